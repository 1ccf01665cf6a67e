"""Raw events and whole answers as told in the vocabulary: examples as data."""

from __future__ import annotations

import pickle
from typing import Any

import pytest

from agent.bedrock.response.decoder import Decoder, events_from_response, events_from_stream
from agent.bedrock.response.events import (
    BlockStop,
    Citation,
    ImageDelta,
    ImageStart,
    MessageStart,
    MessageStop,
    Metadata,
    NativeBlock,
    ReasoningDelta,
    ReasoningSignature,
    RedactedReasoning,
    ServerToolResultDelta,
    ServerToolResultStart,
    StreamFault,
    TextDelta,
    ToolArgumentsDelta,
    ToolCallStart,
    UnknownEvent,
)


def delta(member: str, value: Any, index: int = 3) -> dict[str, Any]:
    return {"contentBlockDelta": {"delta": {member: value}, "contentBlockIndex": index}}


def start(member: str, value: Any, index: int = 3) -> dict[str, Any]:
    return {"contentBlockStart": {"start": {member: value}, "contentBlockIndex": index}}


STREAM_EVENTS: list[tuple[str, dict[str, Any], tuple[Any, ...]]] = [
    ("role", {"messageStart": {"role": "assistant"}}, (MessageStart("assistant"),)),
    ("text", delta("text", "Hi"), (TextDelta(3, "Hi"),)),
    ("reasoning text", delta("reasoningContent", {"text": "Hm"}), (ReasoningDelta(3, "Hm"),)),
    ("signature", delta("reasoningContent", {"signature": "Eq"}), (ReasoningSignature(3, "Eq"),)),
    ("redacted", delta("reasoningContent", {"redactedContent": b"\xff"}), (RedactedReasoning(3, b"\xff"),)),
    (
        "text and signature in one delta, as hand-made streams have it",
        delta("reasoningContent", {"text": "Hm", "signature": "Eq"}),
        (ReasoningDelta(3, "Hm"), ReasoningSignature(3, "Eq")),
    ),
    ("tool start", start("toolUse", {"toolUseId": "t", "name": "f"}), (ToolCallStart(3, "t", "f", None),)),
    (
        "server tool start",
        start("toolUse", {"toolUseId": "t", "name": "f", "type": "server_tool_use"}),
        (ToolCallStart(3, "t", "f", "server_tool_use"),),
    ),
    ("tool arguments", delta("toolUse", {"input": '{"a"'}), (ToolArgumentsDelta(3, '{"a"'),)),
    (
        "server tool result start",
        start("toolResult", {"toolUseId": "t", "type": "nova_code_interpreter_result", "status": "success"}),
        (ServerToolResultStart(3, {"toolUseId": "t", "type": "nova_code_interpreter_result", "status": "success"}),),
    ),
    ("server tool result", delta("toolResult", [{"text": "4"}]), (ServerToolResultDelta(3, ({"text": "4"},)),)),
    ("citation", delta("citation", {"title": "T"}), (Citation(3, {"title": "T"}),)),
    ("image start", start("image", {"format": "png"}), (ImageStart(3, "png"),)),
    ("image data", delta("image", {"source": {"bytes": b"x"}}), (ImageDelta(3, {"source": {"bytes": b"x"}}),)),
    ("block stop", {"contentBlockStop": {"contentBlockIndex": 3}}, (BlockStop(3),)),
    (
        "message stop with fields",
        {"messageStop": {"stopReason": "end_turn", "additionalModelResponseFields": {"k": 5}}},
        (MessageStop("end_turn", {"k": 5}),),
    ),
    (
        "metadata with everything",
        {
            "metadata": {
                "usage": {"inputTokens": 1},
                "metrics": {"latencyMs": 7},
                "trace": {"promptRouter": {}},
                "performanceConfig": {"latency": "standard"},
                "serviceTier": {"type": "flex"},
                "tomorrow": 1,
            }
        },
        (
            Metadata(
                {"inputTokens": 1}, 7, {"promptRouter": {}}, {"latency": "standard"}, {"type": "flex"}, {"tomorrow": 1}
            ),
        ),
    ),
    ("empty start, as hand-made streams have it", {"contentBlockStart": {"contentBlockIndex": 0, "start": {}}}, ()),
    (
        "exception told as an event",
        {"throttlingException": {"message": "slow down"}},
        (StreamFault("throttlingException", "slow down"),),
    ),
    ("unknown event", {"heartbeat": {"at": 1}}, (UnknownEvent("heartbeat", {"at": 1}),)),
    ("unknown delta", delta("smell", "x"), (UnknownEvent("contentBlockDelta.smell", "x"),)),
    ("unknown start", start("smell", {}), (UnknownEvent("contentBlockStart.smell", {}),)),
    (
        "unknown member as botocore names it",
        delta("SDK_UNKNOWN_MEMBER", {"name": "smell"}),
        (UnknownEvent("contentBlockDelta.smell", {"SDK_UNKNOWN_MEMBER": {"name": "smell"}}),),
    ),
    (
        "unknown reasoning member",
        delta("reasoningContent", {"mood": "good"}),
        (UnknownEvent("reasoningContent.mood", "good"),),
    ),
]


@pytest.mark.parametrize(("raw", "events"), [row[1:] for row in STREAM_EVENTS], ids=[row[0] for row in STREAM_EVENTS])
def test_a_raw_event_tells(raw: dict[str, Any], events: tuple[Any, ...]) -> None:
    assert Decoder()(raw) == events


def test_events_without_index_are_numbered_in_the_order_of_arrival() -> None:
    stream = [
        {"contentBlockDelta": {"delta": {"reasoningContent": {"text": "Hm"}}}},
        {"contentBlockDelta": {"delta": {"text": "a"}}},
        {"contentBlockDelta": {"delta": {"text": "b"}}},
        {"contentBlockStop": {}},
        {"contentBlockStart": {"start": {"toolUse": {"toolUseId": "t", "name": "f"}}}},
        {"contentBlockDelta": {"delta": {"toolUse": {"input": "{}"}}}},
        {"contentBlockStop": {}},
        {"contentBlockDelta": {"delta": {"text": "c"}}},
    ]
    assert list(events_from_stream(stream)) == [
        ReasoningDelta(0, "Hm"),
        TextDelta(1, "a"),
        TextDelta(1, "b"),
        BlockStop(1),
        ToolCallStart(2, "t", "f"),
        ToolArgumentsDelta(2, "{}"),
        BlockStop(2),
        TextDelta(3, "c"),
    ]


def test_the_callers_tool_names_come_back() -> None:
    raw = start("toolUse", {"toolUseId": "t", "name": "my_tool_1a2b"})
    assert Decoder({"my_tool_1a2b": "my.tool"})(raw) == (ToolCallStart(3, "t", "my.tool"),)


def whole(*blocks: dict[str, Any]) -> list[Any]:
    response = {"output": {"message": {"role": "assistant", "content": list(blocks)}}, "stopReason": "end_turn"}
    return list(events_from_response(response))[1:-1]


def test_a_kind_without_streamed_form_passes_through_whole() -> None:
    video = {"video": {"format": "mp4", "source": {"s3Location": {"uri": "s3://b/v.mp4"}}}}
    assert whole(video) == [NativeBlock(0, video), BlockStop(0, verbatim=video)]


def test_a_block_that_botocore_does_not_know_is_counted_and_not_replayed() -> None:
    block = {"SDK_UNKNOWN_MEMBER": {"name": "hologram"}}
    assert whole(block) == [UnknownEvent("content.hologram", block)]


def test_reasoning_of_the_flat_shape_is_understood() -> None:
    events = whole({"reasoningContent": {"text": "Hm", "signature": "Eq"}})
    assert events[:-1] == [ReasoningDelta(0, "Hm"), ReasoningSignature(0, "Eq")]


def test_a_tool_input_that_is_text_stays_that_text() -> None:
    events = whole({"toolUse": {"toolUseId": "t", "name": "f", "input": '{"a": '}})
    assert ToolArgumentsDelta(0, '{"a": ') in events


def test_events_are_values_whose_reprs_show_no_content() -> None:
    assert TextDelta(0, "secret") == TextDelta(0, "secret") != TextDelta(1, "secret")
    assert TextDelta(0, "a") != ReasoningDelta(0, "a")
    assert len({TextDelta(0, "a"), TextDelta(0, "a"), ToolArgumentsDelta(0, "a")}) == 2
    assert repr(TextDelta(0, "secret")) == "TextDelta(block=0, text=<str of 6>)"
    assert pickle.loads(pickle.dumps(ToolCallStart(0, "id", "f"))) == ToolCallStart(0, "id", "f")
    with pytest.raises(AttributeError):
        TextDelta(0, "a").text = "b"  # type: ignore[misc]
