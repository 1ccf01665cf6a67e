"""The real openai SDK over the transport, over real boto3, on the stand-in."""

from __future__ import annotations

import gc
import json
import sys
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import pytest

from agent.bedrock import http_client
from agent.bedrock.aws.pace import no_waiting
from agent.bedrock.errors import SettingsError
from agent.bedrock.faces.client import Bedrock
from agent.bedrock.testing import (
    Cut,
    FakeBedrock,
    Hangup,
    Reasoning,
    Redacted,
    Refusal,
    Reply,
    Stall,
    Stop,
    StreamException,
    Text,
    ToolCall,
    Usage,
)
from agent.bedrock.testing.network import unconnectable
from tests.moments import prompt, shortly

openai = pytest.importorskip("openai")

BASE_URL = "http://bedrock.local/v1"
CLAUDE = "us.anthropic.claude-sonnet-4-5-20250929-v1:0"
NOVA = "us.amazon.nova-lite-v1:0"
USER = [{"role": "user", "content": "Hi"}]
WEATHER = {
    "type": "function",
    "function": {
        "name": "weather",
        "description": "The weather of a city.",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
    },
}
TWO_CALLS = Reply(
    Reasoning("Two cities, two calls.", "c2lnbmVk"),
    Redacted(b"secret"),
    ToolCall("weather", {"city": "Graz"}, id="tooluse_graz"),
    ToolCall("weather", {"city": "Linz"}, id="tooluse_linz"),
)

Serve = Callable[..., FakeBedrock]
Connect = Callable[..., Any]


with_both_libraries = pytest.mark.parametrize("library", ["httpx2", "httpx"], indirect=True)


@pytest.fixture
def library(request: pytest.FixtureRequest) -> Any:
    return pytest.importorskip(getattr(request, "param", "httpx2"))


@pytest.fixture
def connect(library: Any, bedrock_at: Callable[..., Bedrock]) -> Connect:
    """An SDK client on a stand-in; `max_retries` is the SDK's, the other arguments are the transport's."""

    def make(fake: FakeBedrock, *, max_retries: int = 0, carry_reasoning: str = "store", **arguments: Any) -> Any:
        hc = http_client(library=library, carry_reasoning=carry_reasoning, bedrock=bedrock_at(fake, **arguments))
        return openai.OpenAI(api_key="unused", base_url=BASE_URL, http_client=hc, max_retries=max_retries)

    return make


# --- answers ----------------------------------------------------------------------------------------------------------
@with_both_libraries
def test_a_completion_is_the_sdks_own_and_strictly_valid(serve: Serve, connect: Connect) -> None:
    from openai.types.chat import ChatCompletion

    client = connect(serve(Reply(Reasoning("Hm.", "sig"), "Hello!", usage=Usage(input=5, output=2, cache_read=4))))
    completion = client.chat.completions.create(model=CLAUDE, messages=USER)
    assert isinstance(completion, ChatCompletion)
    ChatCompletion.model_validate(completion.to_dict())
    assert completion.choices[0].message.content == "Hello!"
    assert completion.choices[0].message.reasoning_content == "Hm."
    assert completion.usage.prompt_tokens == 9
    assert completion.usage.prompt_tokens_details.cached_tokens == 4
    assert completion.bedrock["stop_reason"] == "end_turn"


@with_both_libraries
def test_the_aws_request_id_is_the_sdks(serve: Serve, connect: Connect) -> None:
    fake = serve(Reply("Hi", headers={"x-amzn-RequestId": "aws-1"}), Reply("Hi", headers={"x-amzn-RequestId": "aws-2"}))
    client = connect(fake)
    assert client.chat.completions.create(model=NOVA, messages=USER)._request_id == "aws-1"
    raw = client.chat.completions.with_raw_response.create(model=NOVA, messages=USER)
    assert raw.headers["x-request-id"] == raw.request_id == "aws-2"
    assert raw.parse().choices[0].message.content == "Hi"
    assert raw.elapsed.total_seconds() > 0
    assert int(raw.headers["content-length"]) == len(raw.content)


@with_both_libraries
def test_a_stream_is_chunks_of_the_sdk(serve: Serve, connect: Connect) -> None:
    client = connect(serve(Reply(Text(["Hel", "lo", "!"]), usage=Usage(input=3, output=1))))
    chunks = list(client.chat.completions.create(model=NOVA, messages=USER, stream=True))
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks) == "Hello!"
    assert [chunk.choices[0].finish_reason for chunk in chunks][-1] == "stop"
    assert chunks[-1].usage.total_tokens == 4


@with_both_libraries
def test_the_stream_helper_and_its_final_completion(serve: Serve, connect: Connect) -> None:
    client = connect(serve(TWO_CALLS))
    with client.chat.completions.stream(model=CLAUDE, messages=USER, tools=[WEATHER]) as stream:
        kinds = {event.type for event in stream}
        message = stream.get_final_completion().choices[0].message
    assert {"chunk", "tool_calls.function.arguments.delta", "tool_calls.function.arguments.done"} <= kinds
    assert [(call.id, call.function.arguments) for call in message.tool_calls] == [
        ("tooluse_graz", '{"city":"Graz"}'),
        ("tooluse_linz", '{"city":"Linz"}'),
    ]
    assert message.reasoning_content == "Two cities, two calls."


def test_parse_gives_the_parsed_object(serve: Serve, connect: Connect) -> None:
    from pydantic import BaseModel

    class City(BaseModel):
        name: str

    fake = serve(Reply('{"name": "Graz"}'))
    parsed = connect(fake).chat.completions.parse(model=CLAUDE, messages=USER, response_format=City)
    assert parsed.choices[0].message.parsed == City(name="Graz")
    assert "outputConfig" in fake.requests[0].body


@with_both_libraries
def test_raw_streaming_responses_work(serve: Serve, connect: Connect) -> None:
    client = connect(serve(Reply("Hi")))
    create = client.chat.completions.with_streaming_response.create
    with create(model=NOVA, messages=USER, stream=True) as response:
        assert response.headers["content-type"].startswith("text/event-stream")
        lines = [line for line in response.iter_lines() if line]
    assert lines[-1] == "data: [DONE]"
    assert all(json.loads(line.removeprefix("data: ")) for line in lines[:-1])


def test_models_are_listed(serve: Serve, connect: Connect, monkeypatch: pytest.MonkeyPatch) -> None:
    fake = serve()
    monkeypatch.setenv("AWS_ENDPOINT_URL_BEDROCK", fake.url)
    client = connect(fake)
    ids = [model.id for model in client.models.list()]
    assert CLAUDE in ids
    assert client.models.retrieve(CLAUDE).id == CLAUDE
    with pytest.raises(openai.NotFoundError) as caught:
        client.models.retrieve("gpt-4o")
    assert caught.value.code == "model_not_found"


@pytest.mark.parametrize("stream", [False, True])
def test_extra_body_and_openais_parameters_reach_converse(serve: Serve, connect: Connect, stream: bool) -> None:
    fake = serve(Reply("Hi"))
    connect(fake).chat.completions.create(
        model=NOVA,
        messages=[{"role": "developer", "content": "Be brief."}, *USER],
        max_completion_tokens=50,
        temperature=0.5,
        stop=["END"],
        tools=[WEATHER],
        tool_choice="required",
        parallel_tool_calls=True,
        stream=stream,
        extra_body={"guardrailConfig": {"guardrailIdentifier": "g1", "guardrailVersion": "1"}},
    )
    body = fake.requests[0].body
    assert body["system"][0] == {"text": "Be brief."}
    assert body["inferenceConfig"] == {"maxTokens": 50, "temperature": 0.5, "stopSequences": ["END"]}
    assert body["toolConfig"]["toolChoice"] == {"any": {}}
    assert body["guardrailConfig"]["guardrailIdentifier"] == "g1"


# --- reasoning through a tool round trip ------------------------------------------------------------------------------


def bare(message: Any) -> dict[str, Any]:
    """The assistant message as most runtimes keep it: role, content, tool calls."""
    calls = [
        {
            "id": call.id,
            "type": "function",
            "function": {"name": call.function.name, "arguments": call.function.arguments},
        }
        for call in message.tool_calls
    ]
    return {"role": "assistant", "content": message.content, "tool_calls": calls}


def whole(message: Any) -> dict[str, Any]:
    kept: dict[str, Any] = message.to_dict()
    return kept


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(("carry", "keep"), [("store", bare), ("ids", bare), ("none", whole)])
def test_signed_and_redacted_reasoning_survives_a_tool_round_trip(
    serve: Serve, connect: Connect, carry: str, keep: Callable[[Any], dict[str, Any]], stream: bool
) -> None:
    fake = serve(TWO_CALLS, Reply("Sunny."))
    client = connect(fake, carry_reasoning=carry)
    if stream:
        with client.chat.completions.stream(model=CLAUDE, messages=USER, tools=[WEATHER]) as answer:
            message = answer.get_final_completion().choices[0].message
    else:
        message = client.chat.completions.create(model=CLAUDE, messages=USER, tools=[WEATHER]).choices[0].message
    results = [{"role": "tool", "tool_call_id": call.id, "content": "Sunny"} for call in message.tool_calls]
    if carry != "none":  # the second turn is another client's, as if of another process where ids carry
        client = connect(fake, carry_reasoning=carry)
    client.chat.completions.create(model=CLAUDE, messages=[*USER, keep(message), *results], tools=[WEATHER])
    _, assistant, answered = fake.requests[1].body["messages"]
    reasoning, redacted, *calls = assistant["content"]
    assert reasoning["reasoningContent"]["reasoningText"] == {"text": "Two cities, two calls.", "signature": "c2lnbmVk"}
    assert redacted["reasoningContent"]["redactedContent"] == "c2VjcmV0"
    assert [call["toolUse"]["toolUseId"] for call in calls if "toolUse" in call] == ["tooluse_graz", "tooluse_linz"]
    assert [block["toolResult"]["toolUseId"] for block in answered["content"][:2]] == ["tooluse_graz", "tooluse_linz"]


INTERLEAVED = {
    "reasoning before each call": [Reasoning("A", "c2ln"), ("graz", "Graz"), Reasoning("B", "bmVk"), ("linz", "Linz")],
    "text before each call": [Reasoning("A", "c2ln"), Text("1"), ("graz", "Graz"), Text("2"), ("linz", "Linz")],
    "no reasoning before the first": [Text("1"), ("graz", "Graz"), Reasoning("B", "bmVk"), ("linz", "Linz")],
    "all of it": [
        Reasoning("A", "c2ln"), Text("1"), ("graz", "Graz"), Text("2"), Redacted(b"x"), ("linz", "Linz"), ("wien", "Wien"),
    ],
}  # fmt: skip


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("answer", INTERLEAVED.values(), ids=INTERLEAVED.keys())
def test_ids_carry_what_stands_between_the_calls(
    serve: Serve, connect: Connect, answer: list[Any], stream: bool
) -> None:
    blocks = [ToolCall("weather", {"city": b[1]}, id=b[0]) if isinstance(b, tuple) else b for b in answer]
    fake = serve(Reply(*blocks), Reply("Sunny."))
    client = connect(fake, carry_reasoning="ids")
    if stream:
        with client.chat.completions.stream(model=CLAUDE, messages=USER, tools=[WEATHER]) as events:
            message = events.get_final_completion().choices[0].message
    else:
        message = client.chat.completions.create(model=CLAUDE, messages=USER, tools=[WEATHER]).choices[0].message
    results = [{"role": "tool", "tool_call_id": call.id, "content": "Sunny"} for call in message.tool_calls]
    client.chat.completions.create(model=CLAUDE, messages=[*USER, bare(message), *results], tools=[WEATHER])
    _, assistant, answered = fake.requests[1].body["messages"]
    replayed = [block for block in assistant["content"] if "cachePoint" not in block]
    assert [_described(block) for block in replayed] == [
        block[0] if isinstance(block, tuple) else type(block).__name__ for block in answer
    ]
    ids = [block["toolResult"]["toolUseId"] for block in answered["content"] if "toolResult" in block]
    assert ids == [block[0] for block in answer if isinstance(block, tuple)]


def _described(block: dict[str, Any]) -> str:
    if "toolUse" in block:
        return str(block["toolUse"]["toolUseId"])
    reasoning = block.get("reasoningContent")
    return "Text" if reasoning is None else "Redacted" if "redactedContent" in reasoning else "Reasoning"


def test_without_a_carrier_a_bare_history_loses_its_reasoning_safely(serve: Serve, connect: Connect) -> None:
    fake = serve(TWO_CALLS, Reply("Sunny."))
    client = connect(fake, carry_reasoning="none")
    message = client.chat.completions.create(model=CLAUDE, messages=USER, tools=[WEATHER]).choices[0].message
    results = [{"role": "tool", "tool_call_id": call.id, "content": "Sunny"} for call in message.tool_calls]
    client.chat.completions.create(model=CLAUDE, messages=[*USER, bare(message), *results], tools=[WEATHER])
    assert not any("reasoningContent" in block for block in fake.requests[1].body["messages"][1]["content"])


def test_an_unknown_way_to_carry_is_refused() -> None:
    with pytest.raises(SettingsError, match="carry_reasoning"):
        http_client(region="us-east-1", carry_reasoning="somehow")


# --- failures ---------------------------------------------------------------------------------------------------------


class Verdict(NamedTuple):
    """A refusal, and what the SDK has to make of it."""

    code: str
    message: str
    error: str
    sdk_code: str | None
    retried: bool


REFUSALS = [
    Verdict("ValidationException", "messages: wrong", "BadRequestError", None, False),
    Verdict(
        "ValidationException",
        "Input is too long for requested model.",
        "BadRequestError",
        "context_length_exceeded",
        False,
    ),
    Verdict("ThrottlingException", "Too many requests", "RateLimitError", "rate_limit_exceeded", True),
    Verdict("ServiceQuotaExceededException", "Quota", "RateLimitError", "insufficient_quota", False),
    Verdict("ModelNotReadyException", "Loading", "RateLimitError", "overloaded", True),
    Verdict("ModelTimeoutException", "Slow", "APIStatusError", "timeout", True),
    Verdict("ModelErrorException", "Model", "APIStatusError", "model_error", True),
    Verdict("InternalServerException", "Oops", "InternalServerError", "server_error", True),
    Verdict("ServiceUnavailableException", "Later", "InternalServerError", "overloaded", True),
    Verdict("AccessDeniedException", "No", "PermissionDeniedError", "access_denied", False),
    Verdict("ExpiredTokenException", "Expired", "AuthenticationError", "invalid_credentials", False),
    Verdict("ResourceNotFoundException", "None", "NotFoundError", "model_not_found", False),
]


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("verdict", REFUSALS, ids=lambda verdict: verdict.code)
def test_refusals_are_the_sdks_exceptions(serve: Serve, connect: Connect, verdict: Verdict, stream: bool) -> None:
    fake = serve(Refusal(verdict.code, verdict.message))
    with pytest.raises(getattr(openai, verdict.error)) as caught:
        connect(fake).chat.completions.create(model=CLAUDE, messages=USER, stream=stream)
    assert verdict.message in caught.value.message
    assert caught.value.code == verdict.sdk_code
    assert caught.value.response.headers["x-should-retry"] == str(verdict.retried).lower()
    assert caught.value.request_id
    assert len(fake.requests) == 1


def test_an_overflow_is_worded_as_runtimes_look_for_it(serve: Serve, connect: Connect) -> None:
    client = connect(serve(Refusal("ValidationException", "Input is too long for requested model.")))
    with pytest.raises(openai.BadRequestError) as caught:
        client.chat.completions.create(model=CLAUDE, messages=USER)
    assert (
        "Input is too long for requested model. "
        "(context_length_exceeded: this model's maximum context length is exceeded)"
    ) in caught.value.message
    assert caught.value.param == "messages"


def test_what_cannot_be_meant_is_a_bad_request_with_its_place(serve: Serve, connect: Connect) -> None:
    client = connect(serve())
    with pytest.raises(openai.BadRequestError) as caught:
        client.chat.completions.create(model=CLAUDE, messages=USER, n=2)
    assert caught.value.param == "n"
    with pytest.raises(openai.BadRequestError) as caught:
        client.chat.completions.create(model="", messages=USER)
    assert caught.value.param == "model"


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"\xff\xfe", b'{"model": 1e999}', b"[" * 100_000])
def test_what_is_no_body_is_a_bad_request(serve: Serve, connect: Connect, body: bytes) -> None:
    http = connect(serve())._client  # where the SDK keeps its HTTP client
    assert http.post(f"{BASE_URL}/chat/completions", content=body).status_code == 400


def test_retry_after_reaches_the_sdk(serve: Serve, connect: Connect) -> None:
    client = connect(serve(Refusal("ThrottlingException", "Slow", headers={"retry-after": "7"})))
    with pytest.raises(openai.RateLimitError) as caught:
        client.chat.completions.create(model=CLAUDE, messages=USER)
    assert caught.value.response.headers["retry-after"] == "7"
    assert caught.value.response.headers["retry-after-ms"] == "7000"


@with_both_libraries
def test_a_throttle_in_the_first_event_is_a_429(serve: Serve, connect: Connect) -> None:
    client = connect(serve(Reply("Hi", fault=StreamException("throttlingException"))))
    with pytest.raises(openai.RateLimitError):
        client.chat.completions.create(model=CLAUDE, messages=USER, stream=True)


MIDDLES = [
    (StreamException("throttlingException", "Too many", at=3), "rate_limit_exceeded"),
    (StreamException("modelStreamErrorException", "Model", at=3), "model_error"),
    (Stop(before="messageStop"), "incomplete_response"),
]


@pytest.mark.parametrize(("fault", "code"), MIDDLES)
def test_a_stream_that_fails_in_the_middle_raises_the_sdks_error(
    serve: Serve, connect: Connect, fault: Any, code: str
) -> None:
    client = connect(serve(Reply(Text(["a", "b", "c", "d"]), fault=fault)))
    seen = []
    with pytest.raises(openai.APIError) as caught:
        seen.extend(client.chat.completions.create(model=CLAUDE, messages=USER, stream=True))
    assert caught.value.code == code
    assert seen
    assert not any(chunk.choices[0].finish_reason for chunk in seen)


@with_both_libraries
def test_a_cut_stream_is_never_a_complete_one(serve: Serve, connect: Connect) -> None:
    client = connect(serve(Reply(Text(["a"] * 20), fault=Cut(at=900))))
    seen = []
    with pytest.raises(openai.APIError):
        seen.extend(client.chat.completions.create(model=CLAUDE, messages=USER, stream=True))
    assert not any(chunk.choices[0].finish_reason for chunk in seen)


@with_both_libraries
@pytest.mark.parametrize("stream", [False, True])
def test_a_service_that_is_not_reached_is_a_connection_error(serve: Serve, connect: Connect, stream: bool) -> None:
    fake = serve()
    client = connect(fake)
    with fake.refusing(), pytest.raises(openai.APIConnectionError) as caught:
        client.chat.completions.create(model=CLAUDE, messages=USER, stream=stream)
    assert not isinstance(caught.value, openai.APITimeoutError)
    assert "botocore" not in type(caught.value.__cause__).__module__


@with_both_libraries
@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.needs_botocore("1.44.0")
def test_a_read_timeout_is_the_sdks(serve: Serve, connect: Connect, stream: bool) -> None:
    client = connect(serve(Reply("late", delay=20)))
    with pytest.raises(openai.APITimeoutError):
        client.chat.completions.create(model=CLAUDE, messages=USER, stream=stream, timeout=0.2)


@with_both_libraries
@pytest.mark.skipif(sys.platform != "linux", reason="only there connections can be left unmade")
def test_a_connect_timeout_is_the_sdks(serve: Serve, connect: Connect) -> None:
    with unconnectable() as url:
        client = connect(serve(), endpoint_url=url, max_attempts=1)
        began = time.monotonic()
        with pytest.raises(openai.APITimeoutError):
            client.with_options(max_retries=0, timeout=0.2).chat.completions.create(model=CLAUDE, messages=USER)
        assert time.monotonic() - began < 5


@pytest.mark.needs_botocore("1.44.0")
def test_silence_before_the_first_event_is_a_timeout_too(serve: Serve, connect: Connect) -> None:
    client = connect(serve(Reply("late", fault=Stall(at=0))))
    with pytest.raises(openai.APITimeoutError):
        client.chat.completions.create(model=CLAUDE, messages=USER, stream=True, timeout=0.2)


@pytest.mark.needs_botocore("1.44.0")
def test_timeouts_of_one_request_leave_others_alone(serve: Serve, connect: Connect) -> None:
    fake = serve(Reply("late", delay=20), Reply("Hi", delay=0.4), Reply("Hi", delay=0.4))
    client = connect(fake)
    with pytest.raises(openai.APITimeoutError):
        client.with_options(timeout=0.1).chat.completions.create(model=CLAUDE, messages=USER)
    assert fake.wait_for(lambda fake: len(fake.requests) == 1), "the late answer is taken, and not the next call's"
    assert client.chat.completions.create(model=CLAUDE, messages=USER).choices[0].message.content == "Hi"
    assert client.chat.completions.create(model=CLAUDE, messages=USER, timeout=30).choices[0].message.content == "Hi"


@with_both_libraries
def test_the_sdk_takes_the_timeouts_of_bedrock_for_its_own(serve: Serve, connect: Connect) -> None:
    client = connect(serve(), read_timeout=123, connect_timeout=4)
    assert (client.timeout.read, client.timeout.connect) == (123, 4)


@pytest.mark.parametrize("stream", [False, True])
def test_missing_credentials_are_an_authentication_error_with_advice(
    serve: Serve, library: Any, stream: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake = serve()
    hc = http_client(library=library, region="us-east-1", endpoint_url=fake.url)
    client = openai.OpenAI(api_key="unused", base_url=BASE_URL, http_client=hc, max_retries=0)
    with pytest.raises(openai.AuthenticationError, match="AWS_BEARER_TOKEN_BEDROCK"):
        client.chat.completions.create(model=CLAUDE, messages=USER, stream=stream)


def test_what_is_not_served_says_what_is(serve: Serve, connect: Connect) -> None:
    client = connect(serve())
    with pytest.raises(openai.NotFoundError, match="chat completions instead of the Responses API"):
        client.responses.create(model=CLAUDE, input="Hi")
    with pytest.raises(openai.NotFoundError, match="not served"):
        client.embeddings.create(model=CLAUDE, input="Hi")


def test_a_fault_of_our_own_is_a_500_that_is_logged(
    serve: Serve, connect: Connect, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(*_: Any, **__: Any) -> Any:
        raise ZeroDivisionError("secret")

    monkeypatch.setattr(Bedrock, "complete", broken)
    with pytest.raises(openai.InternalServerError) as caught:
        connect(serve()).chat.completions.create(model=CLAUDE, messages=USER)
    assert "secret" not in caught.value.message
    assert "ZeroDivisionError" in caplog.text


# --- attempts ---------------------------------------------------------------------------------------------------------


@pytest.fixture
def _no_waiting(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The SDK's pauses between attempts and ours take no time."""
    sleep = time.sleep
    monkeypatch.setattr(time, "sleep", lambda seconds: sleep(min(seconds, 0.01)))
    with no_waiting():
        yield


@pytest.mark.usefixtures("_no_waiting")
def test_with_one_attempt_of_ours_the_sdk_tries_again_what_is_worth_it(serve: Serve, connect: Connect) -> None:
    throttled = Refusal("ThrottlingException", "Slow")
    fake = serve(throttled, throttled, Reply("Hi"))
    completion = connect(fake, max_retries=2).chat.completions.create(model=NOVA, messages=USER)
    assert completion.choices[0].message.content == "Hi"
    assert len(fake.requests) == 3


@pytest.mark.usefixtures("_no_waiting")
@pytest.mark.parametrize(
    "refusal", [Refusal("ThrottlingException", "Slow"), Refusal("InternalServerException", "Oops")]
)
def test_attempts_of_ours_are_not_multiplied_by_the_sdk(serve: Serve, connect: Connect, refusal: Refusal) -> None:
    fake = serve(lambda request: refusal)
    with pytest.raises(openai.APIStatusError) as caught:
        connect(fake, max_retries=2, max_attempts=3).chat.completions.create(model=NOVA, messages=USER)
    assert caught.value.response.headers["x-should-retry"] == "false"
    assert len(fake.requests) == 3


@pytest.mark.usefixtures("_no_waiting")
def test_a_lost_connection_is_tried_by_ours_and_then_once_per_retry_of_the_sdk(serve: Serve, connect: Connect) -> None:
    fake = serve(lambda request: Reply("Hi", fault=Hangup()))
    with pytest.raises(openai.APIConnectionError):
        connect(fake, max_retries=2, max_attempts=3).chat.completions.create(model=NOVA, messages=USER)
    assert len(fake.requests) == 3 + 1 + 1


@pytest.mark.usefixtures("_no_waiting")
def test_an_answer_that_only_we_find_malformed_is_asked_for_again_by_the_sdk(serve: Serve, connect: Connect) -> None:
    malformed = Reply("get_weather(", stop_reason="malformed_tool_use")
    fake = serve(malformed, Reply("Hi"))
    completion = connect(fake, max_retries=2, max_attempts=3).chat.completions.create(model=NOVA, messages=USER)
    assert completion.choices[0].message.content == "Hi"
    fake = serve(lambda _: malformed)
    with pytest.raises(openai.InternalServerError, match="could not parse"):
        connect(fake, max_retries=2, max_attempts=3).chat.completions.create(model=NOVA, messages=USER)
    assert len(fake.requests) == 3


@pytest.mark.usefixtures("_no_waiting")
@pytest.mark.parametrize("stream", [False, True])
def test_attempts_of_a_client_of_ones_own_are_not_multiplied_by_the_sdk(
    serve: Serve, library: Any, stream: bool
) -> None:
    import boto3

    fake = serve(lambda _: Reply("Hi", fault=Hangup()))
    retries = {"total_max_attempts": 2, "mode": "standard"}
    client = boto3.client("bedrock-runtime", **fake.client_options(retries=retries))
    sdk = openai.OpenAI(api_key="x", base_url=BASE_URL, http_client=http_client(library=library, client=client))
    with pytest.raises(openai.InternalServerError) as caught:  # a response can say that nobody is to try again
        sdk.chat.completions.create(model=NOVA, messages=USER, stream=stream)
    assert (caught.value.status_code, caught.value.code) == (502, "connection_error")
    assert len(fake.requests) == 2


@pytest.mark.usefixtures("_no_waiting")
def test_what_was_refused_for_good_is_sent_once(serve: Serve, connect: Connect) -> None:
    fake = serve(lambda request: Refusal("ValidationException", "wrong"))
    with pytest.raises(openai.BadRequestError):
        connect(fake, max_retries=2, max_attempts=3).chat.completions.create(model=NOVA, messages=USER)
    assert len(fake.requests) == 1


# --- closing ----------------------------------------------------------------------------------------------------------


def endless() -> Reply:
    return Reply(Text(["word "] * 2000), pace=0.01)


@with_both_libraries
@pytest.mark.parametrize("leave", ["close", "with", "break", "helper"])
def test_leaving_a_stream_closes_its_connection(serve: Serve, connect: Connect, leave: str) -> None:
    fake = serve(endless())
    client = connect(fake)
    if leave == "helper":
        with client.chat.completions.stream(model=NOVA, messages=USER) as helped:
            next(iter(helped))
    else:
        stream = client.chat.completions.create(model=NOVA, messages=USER, stream=True)
        if leave == "with":
            with stream:
                next(stream)
        elif leave == "close":
            next(stream)
            stream.close()
        else:
            for _ in stream:
                break
            del stream
            gc.collect()
    assert fake.wait_for(lambda fake: fake.requests[0].abandoned)


def test_closing_from_another_thread_ends_a_silent_stream(serve: Serve, connect: Connect) -> None:
    fake = serve(lambda _: Reply(Text(["a", "b"]), fault=Stall(at=2)))
    client = connect(fake)

    def release() -> float:
        stream = client.chat.completions.create(model=NOVA, messages=USER, stream=True)
        with shortly(stream.close) as moment:
            list(stream)
            took = time.monotonic() - moment[0]
        assert fake.wait_for(lambda fake: fake.requests[-1].abandoned)
        return took

    assert prompt(release)


@with_both_libraries
def test_an_sdk_client_that_is_closed_leaves_the_http_client_to_others(serve: Serve, connect: Connect) -> None:
    fake = serve(Reply("a"), Reply("b"), Reply("c"))
    first = connect(fake)
    hc = first._client
    first.chat.completions.create(model=NOVA, messages=USER)
    first.close()
    with openai.OpenAI(api_key="unused", base_url=BASE_URL, http_client=hc) as second:
        assert second.chat.completions.create(model=NOVA, messages=USER).choices[0].message.content == "b"
    with hc:
        pass
    third = openai.OpenAI(api_key="unused", base_url=BASE_URL, http_client=hc)
    assert third.chat.completions.create(model=NOVA, messages=USER).choices[0].message.content == "c"
    assert fake.connections == 1


def test_a_boto3_client_of_ones_own_is_used_as_it_is(serve: Serve, library: Any) -> None:
    import boto3

    fake = serve(Reply("Hi"), Reply("Hi"))
    boto = boto3.client("bedrock-runtime", **fake.client_options())
    hc = http_client(library=library, client=boto)
    client = openai.OpenAI(api_key="unused", base_url=BASE_URL, http_client=hc, max_retries=0)
    assert client.chat.completions.create(model=NOVA, messages=USER).choices[0].message.content == "Hi"
    assert client.chat.completions.create(model=NOVA, messages=USER, timeout=9).choices[0].message.content == "Hi"
    assert client.timeout.read == boto.meta.config.read_timeout


def test_options_beside_a_bedrock_are_refused(bedrock_at: Callable[..., Bedrock], serve: Serve) -> None:
    with pytest.raises(TypeError, match="region"):
        http_client(bedrock=bedrock_at(serve()), region="us-east-1")


def test_streams_of_one_client_run_side_by_side(serve: Serve, connect: Connect) -> None:
    fake = serve(
        lambda request: Reply(Text([f"{request.body['messages'][0]['content'][0]['text']} "] * 20), pace=0.005)
    )
    client = connect(fake)
    texts: dict[int, str] = {}

    def read(number: int) -> None:
        messages = [{"role": "user", "content": str(number)}]
        stream = client.chat.completions.create(model=NOVA, messages=messages, stream=True)
        texts[number] = "".join(chunk.choices[0].delta.content or "" for chunk in stream)

    threads = [threading.Thread(target=read, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert texts == {number: f"{number} " * 20 for number in range(8)}
