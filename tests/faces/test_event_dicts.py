"""Rows A8 and A15: the gateway's event vocabulary as dicts, streamed and whole."""

from __future__ import annotations

from typing import Any

import pytest

from agent.bedrock.chat import ChatStream, complete
from agent.bedrock.errors import CorruptStreamError
from agent.bedrock.faces.event_dicts import EventDicts, answer_dict, event_dicts_of
from agent.bedrock.notes import CallNotes
from agent.bedrock.response.events import StreamRestarted, StreamResumed, ToolArgumentsDelta, ToolCallStart

MODEL = "us.amazon.nova-lite-v1:0"
USAGE = {"inputTokens": 3, "outputTokens": 2, "totalTokens": 105, "cacheReadInputTokens": 100}
TOLD_USAGE = {
    "input_tokens": 3,
    "output_tokens": 2,
    "cache_read_input_tokens": 100,
    "cache_write_input_tokens": 0,
}


def delta(block: int, **members: Any) -> dict[str, Any]:
    return {"contentBlockDelta": {"delta": members, "contentBlockIndex": block}}


def start(block: int, **members: Any) -> dict[str, Any]:
    return {"contentBlockStart": {"start": {"toolUse": members}, "contentBlockIndex": block}}


def stop(block: int) -> dict[str, Any]:
    return {"contentBlockStop": {"contentBlockIndex": block}}


def told(*events: dict[str, Any]) -> list[dict[str, Any]]:
    return list(event_dicts_of(ChatStream({"stream": list(events)}, CallNotes(model=MODEL))))


STOP = {"messageStop": {"stopReason": "tool_use"}}
TOLD_STOP = {"type": "message_stop", "stop_reason": "tool_use", "model": MODEL}


def test_a8_the_vocabulary_of_event_dicts() -> None:
    assert told(
        {"messageStart": {"role": "assistant"}},
        delta(0, reasoningContent={"text": "Hm."}),
        delta(0, reasoningContent={"signature": "sig"}),
        stop(0),
        delta(1, text="Let me see."),
        stop(1),
        start(2, toolUseId="a", name="read"),
        delta(2, toolUse={"input": '{"path":'}),
        delta(2, toolUse={"input": ' "x"}'}),
        stop(2),
        STOP,
        {"metadata": {"usage": USAGE, "metrics": {"latencyMs": 7}}},
    ) == [
        {"type": "reasoning_delta", "delta": "Hm."},
        {"type": "reasoning_delta", "delta": "", "signature": "sig"},
        {"type": "content_delta", "delta": "Let me see."},
        {"type": "tool_use_start", "id": "a", "name": "read"},
        {"type": "tool_use_delta", "id": "a", "delta": '{"path":'},
        {"type": "tool_use_delta", "id": "a", "delta": ' "x"}'},
        {"type": "tool_use_complete", "id": "a", "name": "read", "input": {"path": "x"}},
        TOLD_STOP,
        {"type": "metadata", "usage": TOLD_USAGE, "latency_ms": 7},
    ]


def test_redacted_reasoning_is_told_as_base64_in_its_place() -> None:
    assert told(
        delta(0, reasoningContent={"text": "Hm."}),
        delta(0, reasoningContent={"signature": "sig"}),
        stop(0),
        delta(1, reasoningContent={"redactedContent": b"secret"}),
        stop(1),
        STOP,
    ) == [
        {"type": "reasoning_delta", "delta": "Hm."},
        {"type": "reasoning_delta", "delta": "", "signature": "sig"},
        {"type": "reasoning_delta", "delta": "", "redacted_content": "c2VjcmV0"},
        TOLD_STOP,
    ]


def test_a_call_without_arguments_has_an_empty_object() -> None:
    complete_call = {"type": "tool_use_complete", "id": "a", "name": "now", "input": {}}
    assert complete_call in told(start(0, toolUseId="a", name="now"), stop(0), STOP)


def test_a_call_that_never_stopped_is_complete_with_the_message() -> None:
    events = told(start(0, toolUseId="a", name="now"), delta(0, toolUse={"input": "{}"}), STOP)
    assert events[-2:] == [{"type": "tool_use_complete", "id": "a", "name": "now", "input": {}}, TOLD_STOP]


def test_broken_arguments_are_handed_over_as_they_came() -> None:
    events = told(start(0, toolUseId="a", name="rm"), delta(0, toolUse={"input": '{"path": "/x'}), stop(0), STOP)
    assert events[2]["input"] == {"raw": '{"path": "/x'}


def test_an_answer_of_another_form_is_corrupt() -> None:
    with pytest.raises(CorruptStreamError, match="not in the form"):
        told(start(0, toolUseId="a", name="read"), delta(0, toolUse={"input": 5}), stop(0), STOP)


def test_a_tool_of_the_service_is_not_told() -> None:
    events = told(
        start(0, toolUseId="s", name="code", type="server_tool_use"), delta(0, toolUse={"input": "{}"}), stop(0), STOP
    )
    assert events == [TOLD_STOP]


def test_a_restart_forgets_the_open_call() -> None:
    tell = EventDicts(MODEL)
    tell(ToolCallStart(0, "a", "now"))
    assert tell(StreamRestarted(2, "overloaded")) == [
        {"type": "stream_restarted", "attempt": 2, "reason": "overloaded"}
    ]
    assert tell(ToolArgumentsDelta(0, "{}")) == []
    assert tell(StreamResumed(3, "connection")) == [{"type": "stream_resumed", "attempt": 3, "reason": "connection"}]


def test_every_call_may_be_renamed_and_a_restart_begins_anew() -> None:
    asked: list[tuple[str, bool]] = []

    def rename(call_id: str, first: bool) -> str:
        asked.append((call_id, first))
        return call_id.upper()

    tell = EventDicts("m", call_id=rename)
    calls = [
        ToolCallStart(1, "a", "f"),
        ToolCallStart(2, "b", "f"),
        StreamRestarted(2, "x"),
        ToolCallStart(1, "c", "f"),
    ]
    told = [item for event in calls for item in tell(event)]
    assert [item["id"] for item in told if item["type"] == "tool_use_start"] == ["A", "B", "C"]
    assert asked == [("a", True), ("b", False), ("c", True)]


def test_a15_a_whole_answer_as_a_dict() -> None:
    content: list[dict[str, Any]] = [
        {"reasoningContent": {"reasoningText": {"text": "Hm."}}},
        {"text": "Let me see."},
        {"toolUse": {"toolUseId": "a", "name": "read", "input": {"path": "x"}}},
    ]
    answer = {
        "output": {"message": {"role": "assistant", "content": content}},
        "stopReason": "tool_use",
        "usage": USAGE,
    }
    assert answer_dict(complete(answer, CallNotes(model=MODEL))) == {
        "model": MODEL,
        "content": "Let me see.",
        "stop_reason": "tool_use",
        "tool_calls": [{"id": "a", "name": "read", "input": {"path": "x"}}],
        "reasoning": "Hm.",
        "usage": TOLD_USAGE,
    }
