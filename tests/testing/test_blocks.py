"""Every kind of block, in both forms, as real boto3 delivers it."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from typing import Any

import pytest
from botocore.exceptions import ClientError

from agent.bedrock.testing import (
    Cited,
    Event,
    FakeBedrock,
    Image,
    Native,
    Reasoning,
    Redacted,
    Reply,
    Text,
    ToolCall,
    ToolResult,
)

from .conftest import ask, client_of, newest_model

CITATION = {"title": "A book", "location": {"web": {"url": "https://example.com/"}}, "sourceContent": [{"text": "so"}]}

BLOCKS: Sequence[tuple[Any, dict[str, Any]]] = [
    (Text("Hello dear world, how are you?"), {"text": "Hello dear world, how are you?"}),
    (Text(("Hel", "lo")), {"text": "Hello"}),
    (Text(""), {"text": ""}),
    (Text("ü😀"), {"text": "ü😀"}),
    (
        Reasoning("I think, therefore I am.", "c2ln"),
        {"reasoningContent": {"reasoningText": {"text": "I think, therefore I am.", "signature": "c2ln"}}},
    ),
    (Reasoning(("I ", "think")), {"reasoningContent": {"reasoningText": {"text": "I think"}}}),
    (Redacted(b"\x00\xffsecret"), {"reasoningContent": {"redactedContent": b"\x00\xffsecret"}}),
    (
        ToolCall("look", {"b": 1, "a": [True, None]}, id="tooluse_1"),
        {"toolUse": {"toolUseId": "tooluse_1", "name": "look", "input": {"b": 1, "a": [True, None]}}},
    ),
    (
        ToolCall("look", id="tooluse_1", pieces=()),
        {"toolUse": {"toolUseId": "tooluse_1", "name": "look", "input": {}}},
    ),
    (
        ToolCall("nova_code_interpreter", {"snippet": "1+1"}, id="tooluse_2", type="server_tool_use"),
        {
            "toolUse": {
                "toolUseId": "tooluse_2",
                "name": "nova_code_interpreter",
                "input": {"snippet": "1+1"},
                "type": "server_tool_use",
            }
        },
    ),
    (
        ToolResult("tooluse_2", [{"json": {"stdOut": "2", "exitCode": 0}}, {"text": "done"}]),
        {
            "toolResult": {
                "toolUseId": "tooluse_2",
                "content": [{"json": {"stdOut": "2", "exitCode": 0}}, {"text": "done"}],
                "status": "success",
                "type": "nova_code_interpreter_result",
            }
        },
    ),
    (
        Cited("As the book says.", [CITATION]),
        {"citationsContent": {"content": [{"text": "As the book says."}], "citations": [CITATION]}},
    ),
    (
        Image("png", (b"\x89PNG", b"rest")),
        {"image": {"format": "png", "source": {"bytes": b"\x89PNGrest"}}},
    ),
    (Native({"text": "written out"}, deltas=[{"text": "written "}, {"text": "out"}]), {"text": "written out"}),
]


def fold(events: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """The one block that stream events carry, put together by the plainest means."""
    start: dict[str, Any] = {}
    deltas: list[dict[str, Any]] = []
    for event in events:
        start |= event.get("contentBlockStart", {}).get("start", {})
        if "contentBlockDelta" in event:
            deltas.append(event["contentBlockDelta"]["delta"])
    kind = next(iter(start), None) or next(iter(deltas[0]))
    return FOLDS[kind](start, deltas)


def _fold_text(start: Any, deltas: list[dict[str, Any]]) -> dict[str, Any]:
    text = "".join(delta.get("text", "") for delta in deltas)
    citations = [delta["citation"] for delta in deltas if "citation" in delta]
    return {"citationsContent": {"content": [{"text": text}], "citations": citations}} if citations else {"text": text}


def _fold_reasoning(start: Any, deltas: list[dict[str, Any]]) -> dict[str, Any]:
    parts = [delta["reasoningContent"] for delta in deltas]
    if "redactedContent" in parts[0]:
        return {"reasoningContent": {"redactedContent": parts[0]["redactedContent"]}}
    text: dict[str, Any] = {"text": "".join(part.get("text", "") for part in parts)}
    for part in parts:
        if "signature" in part:
            text["signature"] = part["signature"]
    return {"reasoningContent": {"reasoningText": text}}


def _fold_call(start: Any, deltas: list[dict[str, Any]]) -> dict[str, Any]:
    text = "".join(delta["toolUse"]["input"] for delta in deltas)
    return {"toolUse": {**start["toolUse"], "input": json.loads(text or "{}")}}


def _fold_result(start: Any, deltas: list[dict[str, Any]]) -> dict[str, Any]:
    return {
        "toolResult": {**start["toolResult"], "content": [part for delta in deltas for part in delta["toolResult"]]}
    }


def _fold_image(start: Any, deltas: list[dict[str, Any]]) -> dict[str, Any]:
    data = b"".join(delta["image"]["source"]["bytes"] for delta in deltas)
    return {"image": {**start["image"], "source": {"bytes": data}}}


FOLDS = {
    "text": _fold_text,
    "citation": _fold_text,
    "reasoningContent": _fold_reasoning,
    "toolUse": _fold_call,
    "toolResult": _fold_result,
    "image": _fold_image,
}


@newest_model
@pytest.mark.parametrize(("block", "expected"), BLOCKS)
@pytest.mark.parametrize("delta_size", [None, 1, 7])
def test_whole_answer_and_stream_carry_the_same_block(
    fake: FakeBedrock, client: Any, block: Any, expected: dict[str, Any], delta_size: int | None
) -> None:
    fake.queue(Reply(block, delta_size=delta_size), Reply(block, delta_size=delta_size))
    whole = client.converse(**ask())
    events = list(client.converse_stream(**ask())["stream"])
    assert whole["output"]["message"]["content"] == [expected]
    assert fold(events) == expected
    assert {next(iter(event.values())).get("contentBlockIndex", 0) for event in events} == {0}


@pytest.mark.parametrize("block", [Text("x"), Reasoning("x", "s"), Redacted(b"x"), Cited("x", [CITATION])])
def test_text_and_reasoning_have_no_start_as_in_the_service(block: Any) -> None:
    assert "contentBlockStart" not in [name for name, _ in Reply(block).events()]


def test_broken_tool_arguments_reach_the_client_as_they_are(fake: FakeBedrock, client: Any) -> None:
    fake.queue(Reply(ToolCall("look", '{"path": "/tm', id="t")))
    deltas = [
        event["contentBlockDelta"]
        for event in client.converse_stream(**ask())["stream"]
        if "contentBlockDelta" in event
    ]
    assert deltas == [{"contentBlockIndex": 0, "delta": {"toolUse": {"input": '{"path": "/tm'}}}]


def test_a_call_without_an_id_gets_one_of_the_form_of_the_service_new_for_each_request(
    fake: FakeBedrock, client: Any
) -> None:
    reply = Reply(ToolCall("look"), ToolCall("look"))
    fake.queue(reply, reply)
    ids = [
        block["toolUse"]["toolUseId"]
        for _ in range(2)
        for block in client.converse(**ask())["output"]["message"]["content"]
    ]
    assert len(set(ids)) == 4
    assert all(re.fullmatch(r"tooluse_.{22}", one) for one in ids)


def test_a_raw_event_stands_in_the_stream_and_not_in_the_whole_answer(fake: FakeBedrock, client: Any) -> None:
    reply = Reply(Text("a"), Event("contentBlockDelta", {"contentBlockIndex": 7, "delta": {"text": "b"}}), Text("c"))
    fake.queue(reply, reply)
    assert client.converse(**ask())["output"]["message"]["content"] == [{"text": "a"}, {"text": "c"}]
    deltas = [e["contentBlockDelta"] for e in client.converse_stream(**ask())["stream"] if "contentBlockDelta" in e]
    assert [(d["contentBlockIndex"], d["delta"]["text"]) for d in deltas] == [(0, "a"), (7, "b"), (1, "c")]


def test_a_block_that_streams_cannot_carry_is_an_error_of_the_script() -> None:
    fake = FakeBedrock([Reply(Native({"video": {"format": "mp4", "source": {"bytes": "AAAA"}}}))])
    said = pytest.raises(ValueError, match="only a whole answer can carry the block video")
    with said, fake, pytest.raises(ClientError, match="InternalServerException"):
        client_of(fake).converse_stream(**ask())


def test_interleaved_blocks_alternate() -> None:
    reply = Reply(Text("abc"), Reasoning("xyz"), delta_size=1, interleave=True)
    indices = [members["contentBlockIndex"] for name, members in reply.events() if name == "contentBlockDelta"]
    assert indices == [0, 1, 0, 1, 0, 1]
