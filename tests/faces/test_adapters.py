"""Row A16: Strands-style models and LangChain chunks as thin functions over the event dicts."""

from __future__ import annotations

import asyncio
import json
import sys
import threading
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
from botocore.exceptions import ClientError

from agent.bedrock import AsyncBedrock
from agent.bedrock.errors import InvalidRequestError
from agent.bedrock.faces.adapters import StrandsModel, langchain_chunks
from agent.bedrock.faces.client import Bedrock
from agent.bedrock.faces.event_dicts import event_dicts_of
from agent.bedrock.testing import FakeBedrock, Reasoning, Redacted, Refusal, Reply, Text, ToolCall, Usage

CLAUDE = "us.anthropic.claude-sonnet-4-5-20250929-v1:0"
ANSWER = Reply(
    Reasoning("Two cities.", "c2ln"),
    Text("Let me see."),
    ToolCall("weather", {"city": "Graz"}, id="t1"),
    ToolCall("weather", {"city": "Linz"}, id="t2"),
    usage=Usage(input=8, output=4, cache_read=2),
)
MESSAGES = [{"role": "user", "content": [{"text": "Weather?"}]}]
TOOL = {"name": "weather", "description": "It.", "inputSchema": {"json": {"type": "object"}}}

Connect = Callable[..., Bedrock]


def strands(bedrock: Bedrock, **options: Any) -> StrandsModel:
    return StrandsModel(AsyncBedrock.over(bedrock), model_id=CLAUDE, **options)


async def collected(stream: Any) -> list[Any]:
    return [event async for event in stream]


def folded(events: list[dict[str, Any]]) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """The message that Strands would make of its stream, and what else was told."""
    blocks: list[dict[str, Any]] = []
    other: dict[str, Any] = {}
    for event in events:
        (kind, told), *_ = event.items()
        if kind == "contentBlockStart":
            blocks.append(
                {"input": "", "text": "", "reasoning": "", "signature": "", **told["start"].get("toolUse", {})}
            )
        elif kind == "contentBlockDelta":
            delta = told["delta"]
            blocks[-1]["text"] += delta.get("text", "")
            blocks[-1]["input"] += delta.get("toolUse", {}).get("input", "")
            blocks[-1]["reasoning"] += delta.get("reasoningContent", {}).get("text", "")
            blocks[-1]["signature"] += delta.get("reasoningContent", {}).get("signature", "")
        else:
            other[kind] = told
    return [{name: value for name, value in block.items() if value} for block in blocks], other


def test_a16_a_strands_model_streams_converse_events(serve: Any, bedrock_at: Connect) -> None:
    fake: FakeBedrock = serve(ANSWER)
    model = strands(bedrock_at(fake), max_tokens=99)
    events = asyncio.run(collected(model.stream(MESSAGES, [TOOL], "Be brief.")))
    assert events[0] == {"messageStart": {"role": "assistant"}}
    blocks, other = folded(events)
    assert blocks == [
        {"reasoning": "Two cities.", "signature": "c2ln"},
        {"text": "Let me see."},
        {"toolUseId": "t1", "name": "weather", "input": json.dumps({"city": "Graz"}, separators=(",", ":"))},
        {"toolUseId": "t2", "name": "weather", "input": json.dumps({"city": "Linz"}, separators=(",", ":"))},
    ]
    assert sum("contentBlockStop" in event for event in events) == 4
    assert other["messageStop"] == {"stopReason": "tool_use"}
    assert other["metadata"]["usage"]["totalTokens"] == 14
    body = fake.requests[0].body
    assert body["messages"] == MESSAGES
    assert body["system"][0] == {"text": "Be brief."}
    assert body["inferenceConfig"]["maxTokens"] == 99


def test_a16_reasoning_stays_in_its_blocks_signed_and_redacted(serve: Any, bedrock_at: Connect) -> None:
    thoughts = (Reasoning("One.", "c2lnMQ=="), Redacted(b"\x00\xff"), Redacted(b"more"), Reasoning("Two.", "c2lnMg=="))
    events = asyncio.run(collected(strands(bedrock_at(serve(Reply(*thoughts, "Hello!")))).stream(MESSAGES)))
    blocks: list[dict[str, Any]] = []
    for event in events:
        if "contentBlockStart" in event:
            blocks.append({})
        elif "contentBlockDelta" in event:
            [(kind, told)] = event["contentBlockDelta"]["delta"].items()
            blocks[-1].update(told if kind == "reasoningContent" else {kind: told})
    assert blocks == [
        {"text": "One.", "signature": "c2lnMQ=="},
        {"redactedContent": b"\x00\xff"},
        {"redactedContent": b"more"},
        {"text": "Two.", "signature": "c2lnMg=="},
        {"text": "Hello!"},
    ]
    assert sum("contentBlockStop" in event for event in events) == 5


def test_a16_a_system_prompt_of_blocks_wins_and_keeps_its_cache_points(serve: Any, bedrock_at: Connect) -> None:
    fake: FakeBedrock = serve("Hi.")
    system = [{"text": "Be brief. " * 500}, {"cachePoint": {"type": "default"}}]
    model = strands(bedrock_at(fake))
    asyncio.run(collected(model.stream(MESSAGES, None, "Be brief.", system_prompt_content=system)))
    assert fake.requests[0].body["system"][:2] == system


def test_a16_a_cancel_signal_ends_the_stream(serve: Any, bedrock_at: Connect) -> None:
    fake: FakeBedrock = serve(Reply(Text(["word "] * 500), pace=0.02))
    enough = threading.Event()

    async def read() -> int:
        events = strands(bedrock_at(fake)).stream(MESSAGES, cancel_signal=enough)
        count = 0
        async for event in events:
            count += "contentBlockDelta" in event
            if count == 3:
                enough.set()
        return count

    assert asyncio.run(read()) < 500
    assert fake.wait_for(lambda fake: fake.requests[0].abandoned)


@pytest.mark.parametrize(
    ("refusal", "name"),
    [
        (Refusal("ThrottlingException", "Too many requests."), "ModelThrottledException"),
        (Refusal("ValidationException", "Input is too long for requested model."), "ContextWindowOverflowException"),
    ],
)
def test_a16_errors_are_those_of_strands_where_it_is_there(
    serve: Any, bedrock_at: Connect, monkeypatch: pytest.MonkeyPatch, refusal: Refusal, name: str
) -> None:
    model = strands(bedrock_at(serve(refusal, refusal, refusal), max_attempts=1))
    theirs = type(name, (Exception,), {})
    monkeypatch.setitem(sys.modules, "strands.types.exceptions", SimpleNamespace(**{name: theirs}))
    with pytest.raises(theirs):
        asyncio.run(collected(model.stream(MESSAGES)))
    with pytest.raises(theirs):
        asyncio.run(collected(model.structured_output(SimpleNamespace(__name__="X", model_json_schema=dict), MESSAGES)))
    monkeypatch.delitem(sys.modules, "strands.types.exceptions")
    with pytest.raises(ClientError):
        asyncio.run(collected(model.stream(MESSAGES)))


def test_a16_an_answer_that_would_be_taken_back_is_refused_at_once(serve: Any, bedrock_at: Connect) -> None:
    fake: FakeBedrock = serve("Hi.")
    with pytest.raises(InvalidRequestError, match="resume"):
        asyncio.run(collected(strands(bedrock_at(fake), resume="restart").stream(MESSAGES)))
    assert not fake.requests


def test_a16_a_strands_model_changes_its_configuration(serve: Any, bedrock_at: Connect) -> None:
    fake: FakeBedrock = serve("One.", "Two.")
    model = strands(bedrock_at(fake), temperature=0.5)
    model.update_config(temperature=0.25, model_id="us.amazon.nova-lite-v1:0")
    assert model.get_config() == {"temperature": 0.25, "model_id": "us.amazon.nova-lite-v1:0"}
    asyncio.run(collected(model.stream(MESSAGES)))
    assert fake.requests[0].model_id == "us.amazon.nova-lite-v1:0"
    assert fake.requests[0].body["inferenceConfig"]["temperature"] == 0.25


def test_a16_a_strands_model_gives_structured_output(serve: Any, bedrock_at: Connect) -> None:
    pydantic = pytest.importorskip("pydantic")
    weather = pydantic.create_model("Weather", city=(str, ...), degrees=(int, ...))

    def answer(request: Any) -> Any:
        data = {"city": "Graz", "degrees": 7}
        tools = (request.body.get("toolConfig") or {}).get("tools")
        return Reply(ToolCall(tools[0]["toolSpec"]["name"], data) if tools else Text(json.dumps(data)))

    model = strands(bedrock_at(serve(answer)))
    (told,) = asyncio.run(collected(model.structured_output(weather, MESSAGES)))
    assert told["output"] == weather(city="Graz", degrees=7)


def test_a16_langchain_chunks_add_up_to_the_message(serve: Any, bedrock_at: Connect) -> None:
    stream = bedrock_at(serve(ANSWER)).stream(CLAUDE, [{"role": "user", "content": "Weather?"}])
    chunks = list(langchain_chunks(event_dicts_of(stream)))
    assert "".join(chunk["content"] for chunk in chunks) == "Let me see."
    reasoning = [chunk["additional_kwargs"]["reasoning_content"] for chunk in chunks if "additional_kwargs" in chunk]
    assert "".join(reasoning) == "Two cities."
    calls: dict[int, dict[str, str]] = {}
    for piece in (piece for chunk in chunks for piece in chunk.get("tool_call_chunks", ())):
        call = calls.setdefault(piece["index"], {"id": "", "args": ""})
        call["id"] += piece["id"] or ""
        call["args"] += piece["args"]
    assert [(call["id"], json.loads(call["args"])) for call in calls.values()] == [
        ("t1", {"city": "Graz"}),
        ("t2", {"city": "Linz"}),
    ]
    usage = next(chunk["usage_metadata"] for chunk in chunks if "usage_metadata" in chunk)
    assert usage == {
        "input_tokens": 10,
        "output_tokens": 4,
        "total_tokens": 14,
        "input_token_details": {"cache_read": 2, "cache_creation": 0},
    }
