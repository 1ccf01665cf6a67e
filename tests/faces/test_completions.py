"""`chat.completions.create` over real boto3: what a loop for the openai client relies on."""

from __future__ import annotations

import inspect
import json
import sys
import time
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
from botocore.exceptions import ConnectTimeoutError

from agent.bedrock.errors import DeadlineExceededError, InvalidRequestError, TruncatedResponseError
from agent.bedrock.faces.client import Bedrock
from agent.bedrock.faces.completions import read_call
from agent.bedrock.testing import FakeBedrock, Reasoning, Refusal, Reply, Stall, Stop, Text, ToolCall, Usage
from agent.bedrock.testing.network import unconnectable
from tests.moments import shortly

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

Serve = Callable[..., FakeBedrock]
BedrockAt = Callable[..., Bedrock]


def test_a_completion_has_openais_attributes(serve: Serve, bedrock_at: BedrockAt) -> None:
    client = bedrock_at(serve(Reply("Hello!", usage=Usage(input=5, output=2))))
    completion = client.chat.completions.create(model=NOVA, messages=USER, max_tokens=50, temperature=0.5)
    assert completion.object == "chat.completion"
    assert completion.model == NOVA
    assert completion.choices[0].message.content == "Hello!"
    assert completion.choices[0].finish_reason == "stop"
    assert completion.usage.total_tokens == 7


def test_a_stream_is_chunks_and_a_completion(serve: Serve, bedrock_at: BedrockAt) -> None:
    client = bedrock_at(serve(Reply(Text(["Hel", "lo", "!"]))))
    with client.chat.completions.create(model=NOVA, messages=USER, stream=True) as stream:
        text = "".join(chunk.choices[0].delta.content or "" for chunk in stream)
        completion = stream.completion()
    assert text == "Hello!"
    assert completion.choices[0].message.content == "Hello!"
    assert stream.request_id == completion.bedrock.request_id


@pytest.mark.parametrize(("stream_options", "ends_without_choices"), [(None, False), ({"include_usage": True}, True)])
def test_usage_in_a_stream_comes_as_it_is_asked_for(
    serve: Serve, bedrock_at: BedrockAt, stream_options: Any, ends_without_choices: bool
) -> None:
    client = bedrock_at(serve(Reply("Hi", usage=Usage(input=3, output=1))))
    create = client.chat.completions.create
    *_, last = create(model=NOVA, messages=USER, stream=True, stream_options=stream_options)
    assert last.usage.total_tokens == 4
    assert (last.choices == []) is ends_without_choices


def agent_loop(client: Any, question: str) -> list[Any]:
    """A loop as the openai package's users write it, streamed, with nothing of this package in it."""
    messages: list[Any] = [{"role": "user", "content": question}]
    while True:
        content, calls = "", {}
        stream = client.chat.completions.create(model=CLAUDE, messages=messages, tools=[WEATHER], stream=True)
        for chunk in stream:
            if not chunk.choices:
                continue
            delta = chunk.choices[0].delta
            content += delta.content or ""
            for part in delta.tool_calls or []:
                call = calls.setdefault(part.index, {"id": "", "name": "", "arguments": ""})
                call["id"] += part.id or ""
                call["name"] += part.function.name or ""
                call["arguments"] += part.function.arguments or ""
        messages.append(
            {
                "role": "assistant",
                "content": content or None,
                "tool_calls": [
                    {
                        "id": call["id"],
                        "type": "function",
                        "function": {"name": call["name"], "arguments": call["arguments"]},
                    }
                    for call in calls.values()
                ]
                or None,
            }
        )
        if not calls:
            return messages
        for call in calls.values():
            city = json.loads(call["arguments"])["city"]
            messages.append({"role": "tool", "tool_call_id": call["id"], "content": f"Sunny in {city}"})


TWO_CALLS = Reply(
    Reasoning("Two cities, two calls.", "c2lnbmVk"),
    ToolCall("weather", {"city": "Graz"}, id="tooluse_graz"),
    ToolCall("weather", {"city": "Linz"}, id="tooluse_linz"),
)


def test_a_loop_for_the_openai_client_runs_and_reasoning_survives_it(serve: Serve, bedrock_at: BedrockAt) -> None:
    fake = serve(TWO_CALLS, Reply("Sunny in both."))
    messages = agent_loop(bedrock_at(fake), "Weather in Graz and Linz?")
    assert messages[-1]["content"] == "Sunny in both."
    _, assistant, results = fake.requests[1].body["messages"]
    assert [next(iter(block)) for block in assistant["content"]] == ["reasoningContent", "toolUse", "toolUse"]
    signed = assistant["content"][0]["reasoningContent"]["reasoningText"]
    assert signed == {"text": "Two cities, two calls.", "signature": "c2lnbmVk"}
    assert [block["toolResult"]["toolUseId"] for block in results["content"][:2]] == ["tooluse_graz", "tooluse_linz"]


def test_e23_a_tool_loop_may_change_messages_and_tools_from_call_to_call(serve: Serve, bedrock_at: BedrockAt) -> None:
    fake = serve(Reply(ToolCall("weather", {"city": "Graz"}, id="a")), Reply("Sunny."))
    client = bedrock_at(fake)
    first = client.chat.completions.create(model=NOVA, messages=USER, tools=[WEATHER])
    message = first.choices[0].message
    other = {**WEATHER, "function": {**WEATHER["function"], "name": "forecast"}}
    result = {"role": "tool", "tool_call_id": message.tool_calls[0].id, "content": "Sunny"}
    client.chat.completions.create(model=NOVA, messages=[*USER, message, result], tools=[WEATHER, other])
    names = [tool["toolSpec"]["name"] for tool in fake.requests[1].body["toolConfig"]["tools"] if "toolSpec" in tool]
    assert names == ["weather", "forecast"]
    assert fake.requests[1].body["messages"][1]["content"][0]["toolUse"]["toolUseId"] == "a"


def test_callbacks_without_stream_give_a_whole_completion(serve: Serve, bedrock_at: BedrockAt) -> None:
    fake = serve(Reply(Text(["Hel", "lo"])))
    told: list[str] = []
    completion = bedrock_at(fake).chat.completions.create(model=NOVA, messages=USER, on_text_delta=told.append)
    assert told == ["Hel", "lo"]
    assert completion.choices[0].message.content == "Hello"
    assert fake.requests[0].operation == "converse-stream"


def test_closing_ends_the_connection_and_the_completion_is_interrupted(serve: Serve, bedrock_at: BedrockAt) -> None:
    fake = serve(Reply(Text(["Hel", "lo"]), fault=Stall(at=2)))
    with bedrock_at(fake).chat.completions.create(model=NOVA, messages=USER, stream=True) as stream:
        seen = [next(stream) for _ in range(2)]
        with shortly(stream.close):
            seen += list(stream)
    assert stream.completion().bedrock.interrupted
    assert fake.wait_for(lambda fake: fake.requests[0].abandoned)
    assert "".join(chunk.choices[0].delta.content or "" for chunk in seen) == "Hel"


def test_an_answer_that_was_ended_has_no_finish_reason(serve: Serve, bedrock_at: BedrockAt) -> None:
    create = bedrock_at(serve(lambda _: Reply(Text(["Hel", "lo"]), fault=Stall(at=3)))).chat.completions.create
    closed = create(model=NOVA, messages=USER, stream=True)
    chunks = [next(closed), next(closed)]
    closed.close()
    asked = create(model=NOVA, messages=USER, stream=True, on_interrupt_check=lambda: len(chunks) > 2)
    for stream in (closed, asked):
        chunks += stream
        assert [choice.finish_reason for chunk in chunks for choice in chunk.choices if choice.finish_reason] == []
        assert chunks[-1].bedrock.interrupted


def test_a_cut_stream_raises_with_what_came(serve: Serve, bedrock_at: BedrockAt) -> None:
    client = bedrock_at(serve(Reply(Text(["Hel", "lo"]), fault=Stop(before="messageStop"))))
    seen = []
    with pytest.raises(TruncatedResponseError) as caught:
        seen.extend(client.chat.completions.create(model=NOVA, messages=USER, stream=True))
    assert not any(chunk.choices[0].finish_reason for chunk in seen)
    assert caught.value.partial.message.content == "Hello"


def test_converse_members_and_extra_body_reach_the_wire(serve: Serve, bedrock_at: BedrockAt) -> None:
    fake = serve(Reply("Hi"), Reply("Hi"))
    create = bedrock_at(fake).chat.completions.create
    create(model=NOVA, messages=USER, performanceConfig={"latency": "optimized"}, extra={"requestMetadata": {"a": "b"}})
    create(
        model=NOVA,
        messages=USER,
        extra_body={"guardrailConfig": {"guardrailIdentifier": "g1", "guardrailVersion": "1"}},
    )
    assert fake.requests[0].body["performanceConfig"] == {"latency": "optimized"}
    assert fake.requests[0].body["requestMetadata"] == {"a": "b"}
    assert fake.requests[1].body["guardrailConfig"] == {"guardrailIdentifier": "g1", "guardrailVersion": "1"}


def test_an_unknown_argument_is_refused_and_an_unknown_key_of_a_body_reported(
    serve: Serve, bedrock_at: BedrockAt
) -> None:
    fake = serve(Reply("Hi"))
    create = bedrock_at(fake).chat.completions.create
    with pytest.raises(TypeError, match="temprature"):
        create(model=NOVA, messages=USER, temprature=1)
    completion = create(model=NOVA, messages=USER, extra_body={"chat_template_kwargs": {}, "fetch": "x"})
    assert [repair["step"] for repair in completion.bedrock.repairs] == ["drop_extra"]


@pytest.mark.parametrize(
    ("arguments", "field"),
    [
        ({"model": "", "messages": USER}, "model"),
        ({"model": NOVA, "messages": "Hi"}, "messages"),
        ({"model": NOVA, "messages": USER, "tools": {"name": "x"}}, "tools"),
        ({"model": NOVA, "messages": USER, "n": 2}, "n"),
        ({"model": NOVA, "messages": None}, "messages"),
        ({"model": NOVA, "messages": USER, "stream": "yes"}, "stream"),
        ({"model": NOVA, "messages": USER, "stream": 1}, "stream"),
        ({"model": NOVA, "messages": USER, "extra_body": [1]}, "extra_body"),
        ({"model": NOVA, "messages": USER, "extra_body": "x"}, "extra_body"),
        ({"model": NOVA, "messages": USER, "extra": 5}, "extra"),
        ({"model": NOVA, "messages": USER, "timeout": "soon"}, "timeout"),
        ({"model": NOVA, "messages": USER, "timeout": True}, "timeout"),
        ({"model": NOVA, "messages": USER, "on_text_delta": "print"}, "on_text_delta"),
        ({"model": NOVA, "messages": USER, "reasoning_store": {}}, "reasoning_store"),
        ({"model": NOVA, "messages": USER, "fetch": "https://example.org"}, "fetch"),
    ],
)
def test_what_cannot_be_meant_is_refused_by_name(
    serve: Serve, bedrock_at: BedrockAt, arguments: dict[str, Any], field: str
) -> None:
    fake = serve()
    with pytest.raises(InvalidRequestError) as caught:
        bedrock_at(fake).chat.completions.create(**arguments)
    assert caught.value.field == field
    assert not fake.requests


@pytest.mark.parametrize("left_out", ["NOT_GIVEN", "omit"])
def test_what_the_sdk_calls_not_given_is_not_given(serve: Serve, bedrock_at: BedrockAt, left_out: str) -> None:
    nothing = getattr(pytest.importorskip("openai"), left_out)
    fake = serve(Reply("Hi"))
    bedrock_at(fake).chat.completions.create(
        model=NOVA, messages=USER, tools=nothing, stream=nothing, timeout=nothing, temperature=nothing, stop=nothing
    )
    assert fake.requests[0].body.keys() == {"messages"}


def test_every_parameter_of_the_sdk_is_taken() -> None:
    sdk = pytest.importorskip("openai.resources.chat.completions").Completions
    parameters = dict.fromkeys(inspect.signature(sdk.create).parameters)
    del parameters["self"]
    assert read_call({**parameters, "model": NOVA, "messages": USER}).request.model == NOVA


def test_a17_what_is_not_given_is_not_sent(serve: Serve, bedrock_at: BedrockAt) -> None:
    fake = serve(Reply("Hi"))
    bedrock_at(fake).chat.completions.create(model=NOVA, messages=USER, temperature=None, tools=None)
    assert fake.requests[0].body.keys() == {"messages"}


@pytest.mark.needs_botocore("1.44.0")
def test_a_timeout_of_one_call_is_that_calls_own(serve: Serve, bedrock_at: BedrockAt) -> None:
    fake = serve(Reply("late", delay=30), Reply("Hi", delay=0.3), Reply("Hi", delay=0.3))
    create = bedrock_at(fake).chat.completions.create
    with pytest.raises(Exception, match="Read timeout"):
        create(model=NOVA, messages=USER, timeout=0.1)
    assert fake.wait_for(lambda fake: len(fake.requests) == 1), "the late answer is taken, and not the next call's"
    assert create(model=NOVA, messages=USER).choices[0].message.content == "Hi"
    timeout = SimpleNamespace(connect=1.0, read=20.0, write=20.0, pool=1.0)
    assert create(model=NOVA, messages=USER, timeout=timeout).choices[0].message.content == "Hi"


@pytest.mark.skipif(sys.platform != "linux", reason="only there connections can be left unmade")
@pytest.mark.parametrize("timeout", [0.2, SimpleNamespace(connect=0.2, read=None)], ids=["seconds", "named"])
def test_a_timeout_of_one_call_is_for_its_connection_too(timeout: Any) -> None:
    with unconnectable() as url:
        bedrock = Bedrock(
            "us-east-1", endpoint_url=url, max_attempts=1, aws_access_key_id="a", aws_secret_access_key="b"
        )
        began = time.monotonic()
        with pytest.raises(ConnectTimeoutError):
            bedrock.chat.completions.create(model=NOVA, messages=USER, timeout=timeout)
        assert time.monotonic() - began < 5


def test_a_client_of_ones_own_keeps_its_timeouts(serve: Serve) -> None:
    import boto3

    client = boto3.client("bedrock-runtime", **serve(Reply("Hi", delay=0.3)).client_options())
    completion = Bedrock(client=client).chat.completions.create(model=NOVA, messages=USER, timeout=0.1)
    assert completion.choices[0].message.content == "Hi"


def test_options_of_the_call_are_keywords_too(serve: Serve, bedrock_at: BedrockAt) -> None:
    fake = serve(Refusal("ThrottlingException", "Slow"), Reply("Hi"), Reply("late", delay=20))
    create = bedrock_at(fake).chat.completions.create
    completion = create(model=NOVA, messages=USER, extra_body={"max_attempts": 2})
    assert completion.bedrock.attempts == 2
    with pytest.raises(InvalidRequestError, match="fallbacks"):
        create(model=NOVA, messages=USER, fallbacks="eu-west-1")
    with pytest.raises(DeadlineExceededError):
        create(model=NOVA, messages=USER, deadline=0.2)


def test_a_refusal_reaches_the_caller_as_it_is(serve: Serve, bedrock_at: BedrockAt) -> None:
    import botocore.exceptions

    client = bedrock_at(serve(Refusal("AccessDeniedException", "No.")))
    with pytest.raises(botocore.exceptions.ClientError, match="AccessDenied"):
        client.chat.completions.create(model=NOVA, messages=USER)


def test_the_callers_messages_stay_as_they_are(serve: Serve, bedrock_at: BedrockAt) -> None:
    messages = [{"role": "user", "content": [{"type": "text", "text": " "}]}, {"role": "assistant", "content": ""}]
    before = json.dumps(messages)
    bedrock_at(serve(Reply("Hi"))).chat.completions.create(model=NOVA, messages=messages)
    assert json.dumps(messages) == before
