"""`Bedrock` itself: what it does for a loop that keeps nothing but text and calls."""

from __future__ import annotations

import base64
import copy
import gc
import json
import pickle
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import boto3
import pytest

from agent.bedrock import AsyncBedrock, Bedrock, blobs
from agent.bedrock.aws.pace import no_waiting
from agent.bedrock.carriers import ReasoningStore
from agent.bedrock.errors import TruncatedResponseError
from agent.bedrock.request import media
from agent.bedrock.testing import (
    FakeBedrock,
    RawAnswer,
    Reasoning,
    RecordedRequest,
    Refusal,
    Reply,
    Stall,
    Text,
    ToolCall,
)

CLAUDE = "us.anthropic.claude-sonnet-4-5-20250929-v1:0"
TOOLS = [{"type": "function", "function": {"name": "weather", "parameters": {"type": "object"}}}]


def bare(completion: Any) -> dict[str, Any]:
    """The assistant message as a runtime keeps it that knows no reasoning."""
    [call] = completion.message.tool_calls
    function = {"name": call.function.name, "arguments": call.function.arguments}
    return {
        "role": "assistant",
        "content": completion.message.content,
        "tool_calls": [{"id": call.id, "type": "function", "function": function}],
    }


@pytest.mark.parametrize("streamed", [False, True])
@pytest.mark.parametrize(("options", "kept"), [({}, True), ({"reasoning_store": None}, False)])
def test_signed_reasoning_survives_a_loop_that_keeps_text_and_calls_only(
    streamed: bool, options: dict[str, Any], kept: bool
) -> None:
    script = [Reply(Reasoning("Hm", f"sig-{streamed}-{kept}"), Text("Let me see."), ToolCall("weather", {})), "Rain."]
    with FakeBedrock(script) as fake:
        bedrock = Bedrock(
            region="us-east-1", endpoint_url=fake.url, aws_access_key_id="AKIDEXAMPLE", aws_secret_access_key="made-up"
        )
        messages: list[Any] = [{"role": "user", "content": "Weather?"}]
        if streamed:
            answer = bedrock.stream(CLAUDE, messages, TOOLS, **options).completion()
        else:
            answer = bedrock.complete(CLAUDE, messages, TOOLS, **options)
        result = {"role": "tool", "tool_call_id": answer.message.tool_calls[0].id, "content": "7 degrees"}
        bedrock.complete(CLAUDE, [*messages, bare(answer), result], TOOLS, **options)
        replayed = fake.requests[-1].body["messages"][1]["content"]
    reasoning = {"reasoningContent": {"reasoningText": {"text": "Hm", "signature": f"sig-{streamed}-{kept}"}}}
    assert (reasoning in replayed) is kept


@pytest.mark.parametrize(
    "ask",
    [Bedrock.complete, lambda bedrock, *asked: bedrock.stream(*asked, whole=True)],
    ids=["whole", "told as a stream"],
)
def test_a_whole_answer_without_a_stop_reason_is_an_error_that_carries_it(ask: Callable[..., Any]) -> None:
    said = {"role": "assistant", "content": [{"text": "Half an ans"}]}
    begun = RawAnswer(
        json.dumps({"output": {"message": said}, "usage": {"inputTokens": 3, "outputTokens": 2}}).encode()
    )
    keys = {"aws_access_key_id": "AKIDEXAMPLE", "aws_secret_access_key": "made-up"}
    with FakeBedrock([begun] * 3) as fake, no_waiting(), pytest.raises(TruncatedResponseError) as raised:
        ask(Bedrock("us-east-1", endpoint_url=fake.url, **keys), CLAUDE, [{"role": "user", "content": "Hi"}])
    assert raised.value.partial.message.content == "Half an ans"
    assert raised.value.partial.usage.prompt_tokens == 3
    assert raised.value.request_id
    assert pickle.loads(pickle.dumps(raised.value)).partial.message.content == "Half an ans"
    assert "Half" not in repr(raised.value) + str(raised.value)


def test_a_store_of_ones_own_is_used() -> None:
    store = ReasoningStore()
    with FakeBedrock([Reply(Reasoning("Hm", "sig"), ToolCall("weather", {}))]) as fake:
        bedrock = Bedrock(
            region="us-east-1", endpoint_url=fake.url, aws_access_key_id="AKIDEXAMPLE", aws_secret_access_key="made-up"
        )
        bedrock.complete(CLAUDE, [{"role": "user", "content": "Weather?"}], TOOLS, reasoning_store=store)
    assert store.size > 0


# --- closing ----------------------------------------------------------------------------------------------------------

HELLO = [{"role": "user", "content": "Hi"}]

Serve = Callable[..., FakeBedrock]
BedrockAt = Callable[..., Bedrock]


def no_connection(fake: FakeBedrock) -> bool:
    return fake.open_connections == 0


@pytest.fixture
def uncollected() -> Iterator[None]:
    """What is closed is closed by whoever closes it, not by the collector of garbage."""
    gc.collect()
    gc.disable()
    yield
    gc.enable()


@pytest.mark.usefixtures("uncollected")
def test_closing_closes_the_connections_and_the_next_call_opens_one(serve: Serve, bedrock_at: BedrockAt) -> None:
    fake = serve(lambda _: "Hello")
    with bedrock_at(fake) as bedrock:
        bedrock.complete(CLAUDE, HELLO)
        assert fake.open_connections == 1
    assert fake.wait_for(no_connection)
    assert bedrock.complete(CLAUDE, HELLO).message.content == "Hello"
    bedrock.close()
    bedrock.close()
    assert fake.wait_for(no_connection)
    assert fake.connections == 2


def test_closing_forgets_what_was_said(serve: Serve, bedrock_at: BedrockAt) -> None:
    picture = b"\x89PNG\r\n\x1a\n" + bytes(2000)
    url = f"data:image/png;base64,{base64.b64encode(picture).decode()}"
    shown = {"role": "user", "content": [{"type": "image_url", "image_url": {"url": url}}]}
    history = [shown, *({"role": role, "content": f"line {n}"} for n in range(10) for role in ("assistant", "user"))]
    with bedrock_at(serve(lambda _: "Hello")) as bedrock:
        for _ in range(3):
            bedrock.complete(CLAUDE, history)
        assert bedrock._memory._conversations._kept
        assert blobs._known.get(picture)
        assert media._decoded.get(url)
    assert not media._decoded.get(url)
    assert not bedrock._memory._conversations._kept
    assert not blobs._known.get(picture)
    assert bedrock.complete(CLAUDE, history).message.content == "Hello"
    bedrock.close()


def test_an_answer_that_is_being_read_outlives_closing_and_its_connection_does_not(
    serve: Serve, bedrock_at: BedrockAt
) -> None:
    fake = serve(Reply(Text(["Hel", "lo"]), pace=0.05))
    bedrock = bedrock_at(fake)
    stream = bedrock.stream(CLAUDE, HELLO)
    next(stream)
    bedrock.close()
    assert stream.completion().message.content == "Hello"
    del stream
    gc.collect()  # botocore's streams are circles of references
    assert fake.wait_for(no_connection)


@pytest.mark.usefixtures("uncollected")
def test_closing_reaches_the_regions_that_stood_in(serve: Serve) -> None:
    fake = serve(Refusal("ServiceUnavailableException", "full"), "Hello")
    keys: dict[str, Any] = {"aws_access_key_id": "AKIDEXAMPLE", "aws_secret_access_key": "made-up"}
    with Bedrock("us-east-1", endpoint_url=fake.url, max_attempts=1, **keys) as bedrock:
        completion = bedrock.complete(CLAUDE, HELLO, fallbacks=[("us-west-2", None)])
        assert completion.bedrock.fallback
        assert fake.open_connections == 2
    assert fake.wait_for(no_connection)


def test_a_client_of_ones_own_is_ones_own_to_close(serve: Serve) -> None:
    fake = serve(lambda _: "Hello")
    client = boto3.client("bedrock-runtime", **fake.client_options())
    with Bedrock(client=client) as bedrock:
        bedrock.complete(CLAUDE, HELLO)
    assert fake.open_connections == 1
    client.close()


# --- callbacks ----------------------------------------------------------------------------------------------------------

CALLBACKS = ["on_text_delta", "on_tool_start", "on_tool_arguments_delta", "on_interrupt_check"]
AGAIN = [{"role": "user", "content": "Again"}]


def greeted(request: RecordedRequest) -> Reply:
    """A greeting with a call, that is long in ending; whatever else is said comes back at once."""
    [said] = request.body["messages"][0]["content"]
    if said["text"] != "Hi":
        return Reply(said["text"])
    return Reply(Text(["Hel", "lo"]), ToolCall("weather", {"city": "Oslo"}), fault=Stall(7, seconds=0.2))


def asked_again(bedrock: Bedrock) -> list[str | None]:
    """What comes of other calls, whole and streamed."""
    whole, stream = bedrock.complete(CLAUDE, AGAIN), bedrock.stream(CLAUDE, AGAIN)
    return [whole.message.content, stream.completion().message.content]


@pytest.mark.parametrize("raised", [KeyError("mine"), ConnectionResetError("mine"), KeyboardInterrupt()], ids=repr)
@pytest.mark.parametrize("name", CALLBACKS)
def test_a_callback_that_raises_does_no_harm(
    serve: Serve, bedrock_at: BedrockAt, name: str, raised: BaseException
) -> None:
    fake = serve(greeted)

    def callback(*_: Any) -> None:
        raise raised

    with bedrock_at(fake) as bedrock:
        with pytest.raises(type(raised)) as caught:
            bedrock.stream(CLAUDE, HELLO, TOOLS, **{name: callback}).completion()
        assert caught.value is raised
        assert len(fake.requests) <= 1
        assert fake.wait_for(no_connection)
        assert asked_again(bedrock) == ["Again", "Again"]


@pytest.mark.parametrize("name", CALLBACKS)
def test_a_callback_may_call_the_adapter(serve: Serve, bedrock_at: BedrockAt, name: str) -> None:
    answers: list[list[str | None]] = []
    with bedrock_at(serve(greeted)) as bedrock:

        def callback(*_: Any) -> None:
            answers.append(asked_again(bedrock))

        completion = bedrock.stream(CLAUDE, HELLO, TOOLS, **{name: callback}).completion()
        assert completion.message.content == "Hello"
        assert completion.message.tool_calls[0].function.arguments == '{"city":"Oslo"}'
        assert answers
        assert all(answer == ["Again", "Again"] for answer in answers)


@pytest.mark.parametrize("name", CALLBACKS)
def test_a_callback_may_close_its_stream_or_the_adapter(serve: Serve, bedrock_at: BedrockAt, name: str) -> None:
    streams: list[Any] = []
    with bedrock_at(serve(greeted)) as bedrock:

        def close(*_: Any) -> None:
            for stream in streams:
                stream.close()

        streams.append(bedrock.stream(CLAUDE, HELLO, TOOLS, **{name: close}))
        assert streams[0].completion().bedrock.interrupted
        whole = bedrock.stream(CLAUDE, HELLO, TOOLS, **{name: lambda *_: bedrock.close()}).completion()
        assert whole.message.content == "Hello"
        assert asked_again(bedrock) == ["Again", "Again"]


# --- others' credentials ---------------------------------------------------------------------------------------------

ANN = {"aws_access_key_id": "AKIDANN", "aws_secret_access_key": "of-ann", "aws_session_token": "session-of-ann"}
BOB = {"aws_access_key_id": "AKIDBOB", "aws_secret_access_key": "of-bob"}


@pytest.mark.parametrize(
    "own",
    [ANN, {"bearer_token": "of-ann"}, {"profile": "ann"}, {"session": boto3.Session()}, {"client": object()}],
    ids=lambda own: next(iter(own)),
)
def test_other_credentials_take_the_place_of_all_that_there_are(own: dict[str, Any]) -> None:
    other = Bedrock("us-east-1", **own).with_options(**BOB)
    shown = "Credentials(aws_access_key_id=<set>, aws_secret_access_key=<set>)"
    assert repr(other) == f"Bedrock(region='us-east-1', {shown})"


def test_what_is_no_credential_leaves_them_as_they_are() -> None:
    own = Bedrock("us-east-1", **ANN)
    assert repr(own.with_options(region="eu-west-1", bearer_token=None)) == repr(own).replace("us-east-1", "eu-west-1")


def test_calls_with_credentials_of_their_own_sign_with_them(serve: Serve) -> None:
    fake = serve(lambda request: request.headers["authorization"].partition("/")[0].rpartition("=")[2])
    shared = Bedrock("us-east-1", endpoint_url=fake.url, **ANN)

    def ask(number: int) -> str | None:
        caller = shared.with_options(**BOB) if number % 2 else shared
        return caller.complete(CLAUDE, HELLO).message.content

    with ThreadPoolExecutor(4) as threads:
        assert list(threads.map(ask, range(12))) == ["AKIDANN", "AKIDBOB"] * 6
    tokens = {
        request.headers.get("x-amz-security-token") for request in fake.requests if "AKIDBOB" in str(request.headers)
    }
    assert tokens == {None}
    shared.close()


# --- copies -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("copied", [copy.copy, copy.deepcopy, lambda bedrock: pickle.loads(pickle.dumps(bedrock))])
def test_a_copy_is_another_one_like_it(serve: Serve, copied: Callable[[Bedrock], Bedrock]) -> None:
    """Runtimes copy what they are configured with, and hand it to other processes."""
    fake = serve(lambda _: "Hello")
    keys: dict[str, Any] = {"aws_access_key_id": "AKIDEXAMPLE", "aws_secret_access_key": "made-up"}
    bedrock = Bedrock("us-east-1", endpoint_url=fake.url, max_attempts=1, **keys)
    bedrock.complete(CLAUDE, HELLO)
    assert bedrock.models is bedrock.models
    other = copied(bedrock)
    assert repr(other) == repr(bedrock)
    assert other.settings == bedrock.settings
    assert other.chat.completions.create(model=CLAUDE, messages=HELLO).choices[0].message.content == "Hello"
    assert fake.connections == 2


def test_an_async_one_and_one_of_a_configuration_are_copied_too(tmp_path: Path) -> None:
    path = tmp_path / "bedrock.toml"
    path.write_text('[backends.far]\nregion = "eu-west-1"\nmodel = "a.b"\n', encoding="utf-8")
    configured = pickle.loads(pickle.dumps(Bedrock.from_config(path, "far")))
    assert (configured.region, configured.route("").model) == ("eu-west-1", "a.b")
    assert pickle.loads(pickle.dumps(AsyncBedrock.from_config(path, "far"))).region == "eu-west-1"
    assert copy.deepcopy(AsyncBedrock("eu-west-1")).region == "eu-west-1"
