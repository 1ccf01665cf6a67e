"""The check of recorded traffic: on the real one where there is any, and on exchanges made up here, whole and broken."""

from __future__ import annotations

import copy
import dataclasses
import json
from base64 import b64encode
from pathlib import Path
from typing import Any

import pytest

from agent.bedrock import classify
from agent.bedrock.blocks import from_json
from agent.bedrock.response.accumulator import fold
from agent.bedrock.response.decoder import events_from_response
from agent.bedrock.testing.frames import event_frame
from workshop.recordings import Judge, differences, main
from workshop.traffic import events_of, folded, load

CLAUDE = "us.anthropic.claude-sonnet-4-5-20250929-v1:0"

SIGNED = {"reasoningContent": {"reasoningText": {"text": "Two calls, then.", "signature": "c2ln"}}}
REDACTED = {"reasoningContent": {"redactedContent": b64encode(bytes(range(256))).decode()}}
CALL = {"toolUse": {"toolUseId": "tooluse_a", "name": "look", "input": {"at": "Zürich", "n": 1.5}}}
OTHER_CALL = {"toolUse": {"toolUseId": "tooluse_b", "name": "look", "input": {}}}
CITED = {
    "citationsContent": {
        "content": [{"text": "It rains."}],
        "citations": [{"title": "Weather", "source": "w", "location": {"web": {"url": "https://w.example"}}}],
    }
}
RESULTS = [
    {"toolResult": {"toolUseId": "tooluse_a", "content": [{"text": "rain"}], "status": "success"}},
    {"toolResult": {"toolUseId": "tooluse_b", "content": [{"text": "no such place"}], "status": "error"}},
]
USAGE = {
    "inputTokens": 3,
    "outputTokens": 4,
    "totalTokens": 26,
    "cacheReadInputTokens": 12,
    "cacheWriteInputTokens": 7,
}


def answer(*blocks: Any, stop_reason: str = "tool_use") -> dict[str, Any]:
    return {
        "output": {"message": {"role": "assistant", "content": list(blocks)}},
        "stopReason": stop_reason,
        "usage": USAGE,
        "metrics": {"latencyMs": 321},
        "additionalModelResponseFields": {"stop_sequence": None},
    }


def recording(folder: Path, name: str, body: dict[str, Any] | bytes, **parts: Any) -> None:
    said: dict[str, Any] = {
        "model": CLAUDE,
        "operation": "converse",
        "request": None,
        "status": 200,
        "headers": {"Content-Type": ["application/json"]},
        **parts,
    }
    said |= {"body_base64": b64encode(body).decode()} if isinstance(body, bytes) else {"body": body}
    (folder / f"{name}.json").write_text(json.dumps(said), encoding="utf-8")


def stream_of_text_and_call() -> bytes:
    events: list[tuple[str, dict[str, Any]]] = [
        ("messageStart", {"role": "assistant"}),
        ("contentBlockDelta", {"contentBlockIndex": 0, "delta": {"reasoningContent": {"text": "Hm, "}}}),
        ("contentBlockDelta", {"contentBlockIndex": 0, "delta": {"reasoningContent": {"text": "well."}}}),
        ("contentBlockDelta", {"contentBlockIndex": 0, "delta": {"reasoningContent": {"signature": "c2ln"}}}),
        ("contentBlockStop", {"contentBlockIndex": 0}),
        ("contentBlockDelta", {"contentBlockIndex": 1, "delta": {"text": "Grüße, "}}),
        ("contentBlockDelta", {"contentBlockIndex": 1, "delta": {"text": "Welt"}}),
        ("contentBlockStop", {"contentBlockIndex": 1}),
        ("contentBlockStart", {"contentBlockIndex": 2, "start": {"toolUse": {"toolUseId": "t1", "name": "look"}}}),
        ("contentBlockDelta", {"contentBlockIndex": 2, "delta": {"toolUse": {"input": '{"at": "Z'}}}),
        ("contentBlockDelta", {"contentBlockIndex": 2, "delta": {"toolUse": {"input": 'ug"}'}}}),
        ("contentBlockStop", {"contentBlockIndex": 2}),
        ("messageStop", {"stopReason": "tool_use"}),
        ("metadata", {"usage": USAGE, "metrics": {"latencyMs": 5}}),
    ]
    return b"".join(event_frame(name, members, padding=7) for name, members in events)


STREAM_HEADERS = {"content-type": "application/vnd.amazon.eventstream"}


def test_recorded_traffic_is_kept_without_loss(recordings: Path) -> None:
    traffic = load(recordings)
    with Judge() as judge:
        losses = [f"{loss.name}: {loss.what}" for recording in traffic for loss in judge.losses(recording)]
    assert traffic
    assert not losses, "\n".join(losses)


def test_made_up_traffic_passes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    recording(tmp_path, "whole", answer(SIGNED, REDACTED, {"text": "I look."}, CALL, OTHER_CALL))
    recording(tmp_path, "cited", answer({"text": "So: "}, CITED, stop_reason="end_turn"))
    recording(tmp_path, "stream", stream_of_text_and_call(), operation="converse-stream", headers=STREAM_HEADERS)
    recording(tmp_path, "refused", {"message": "The provided model identifier is invalid."}, status=400)
    history = {
        "system": [{"text": "Be brief."}],
        "messages": [
            {"role": "user", "content": [{"text": "Weather?"}, {"cachePoint": {"type": "default"}}, {"text": "Now."}]},
            {"role": "assistant", "content": [SIGNED, REDACTED, {"text": "I look."}, CALL, OTHER_CALL]},
            {"role": "user", "content": [*RESULTS, {"text": "Well?"}]},
        ],
        "toolConfig": {"tools": [{"toolSpec": {"name": "look", "inputSchema": {"json": {"type": "object"}}}}]},
    }
    recording(tmp_path, "history", answer({"text": "Rain."}, stop_reason="end_turn"), request=history)
    assert main([str(tmp_path)]) == 0, capsys.readouterr().out
    assert "nothing lost, nothing unclassified" in capsys.readouterr().out


def test_a_refusal_without_a_kind_is_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    recording(tmp_path, "odd", {"message": "Fnord."}, status=400)
    assert main([str(tmp_path)]) == 0
    unknown = dataclasses.replace(classify(ValueError()), kind="unknown")
    monkeypatch.setattr("workshop.recordings.classify", lambda error: unknown)
    assert main([str(tmp_path)]) == 1
    assert "odd: unclassified" in capsys.readouterr().out


def test_an_answer_that_is_none_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    recording(tmp_path, "cut", stream_of_text_and_call()[:-200], operation="converse-stream", headers=STREAM_HEADERS)
    assert main([str(tmp_path)]) == 1
    assert "cut: " in capsys.readouterr().out


def test_an_empty_folder_is_no_success(tmp_path: Path) -> None:
    assert main([str(tmp_path)]) == 1


def test_no_folder_is_a_wrong_call(tmp_path: Path) -> None:
    assert main([str(tmp_path / "missing")]) == 2


WHOLE = answer(SIGNED, REDACTED, {"text": "I look."}, CITED, CALL, OTHER_CALL)


def _completion_of_whole() -> Any:
    said = copy.deepcopy(WHOLE)
    said["output"]["message"]["content"] = [from_json(block) for block in said["output"]["message"]["content"]]
    return fold(events_from_response(said))


def _losing(path: str, value: Any) -> Any:
    """The completion with one thing in it replaced."""
    completion = _completion_of_whole()
    *steps, last = path.split("/")
    place: Any = completion
    for step in steps:
        place = place[int(step)] if step.isdigit() else getattr(place, step) if hasattr(place, step) else place[step]
    if isinstance(place, dict):
        place[last] = value
    else:
        setattr(place, last, value)
    return completion


def test_a_faithful_completion_has_no_differences() -> None:
    assert list(differences(WHOLE, _completion_of_whole())) == []


@pytest.mark.parametrize(
    ("path", "value", "what"),
    [
        ("choices/0/message/content", "I look.It rains", "text"),
        ("choices/0/message/reasoning_content", "Two calls, then", "reasoning"),
        ("choices/0/message/reasoning_details/0/signature", "c2l", "reasoning details"),
        ("choices/0/message/reasoning_details/1/data", "AAEC", "reasoning details"),
        ("choices/0/message/tool_calls", [], "tool calls"),
        ("choices/0/message/tool_calls/0/function/arguments", "{}", "tool calls"),
        ("choices/0/message/tool_calls/1/id", "x", "tool calls"),
        ("choices/0/message/annotations", [], "citations"),
        ("choices/0/message/bedrock_content_blocks", [{"text": "I look."}], "blocks"),
        ("usage/prompt_tokens", 3, "prompt tokens"),
        ("usage/completion_tokens", 5, "completion tokens"),
        ("bedrock/usage", {**USAGE, "cacheWriteInputTokens": 0}, "counters"),
        ("bedrock/stop_reason", "end_turn", "stop reason"),
        ("bedrock/latency_ms", None, "latency"),
        ("bedrock/additional_fields", None, "additional fields"),
        ("bedrock/unknown", {"SDK_UNKNOWN_MEMBER": 1}, "unknown"),
    ],
)
def test_what_a_completion_loses_is_named(path: str, value: Any, what: str) -> None:
    assert [difference.split(":")[0] for difference in differences(WHOLE, _losing(path, value))] == [what]


def test_the_judge_folds_a_stream_by_its_own_rules() -> None:
    assert folded(events_of(stream_of_text_and_call()))["output"]["message"]["content"] == [
        {"reasoningContent": {"reasoningText": {"text": "Hm, well.", "signature": "c2ln"}}},
        {"text": "Grüße, Welt"},
        {"toolUse": {"toolUseId": "t1", "name": "look", "input": {"at": "Zug"}}},
    ]
