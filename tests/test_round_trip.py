"""Answer -> namespace -> JSON -> message -> Converse: the blocks are the answer's own, byte for byte, whatever their kind."""

from __future__ import annotations

import json
from typing import Any

import pytest

from agent.bedrock.chat import complete
from agent.bedrock.request.messages import convert_messages
from tests.request.service import input_shape, model_is_new

MEDIA = {"source": {"bytes": b"\x00\xff"}}
USE = {"toolUse": {"toolUseId": "tooluse_1", "name": "look", "input": {"at": [1, 2.5, None, "ü"]}}}
SERVED = {
    "toolUse": {"toolUseId": "tooluse_2", "name": "nova_code_interpreter", "input": {}, "type": "server_tool_use"}
}
CITED = {
    "content": [{"text": "it is"}],
    "citations": [{
        "title": "t", "source": "s", "sourceContent": [{"text": "x"}],
        "location": {"documentChar": {"documentIndex": 0, "start": 1, "end": 2}},
    }],
}  # fmt: skip

# Every kind of content block, as an answer might hold it.
BLOCKS: dict[str, list[dict[str, Any]]] = {
    "text": [{"text": " so \n"}],
    "reasoningContent": [
        {"reasoningContent": {"reasoningText": {"text": "why", "signature": "c2ln"}}},
        {"reasoningContent": {"reasoningText": {"text": "", "signature": "c2ln"}}},
        {"reasoningContent": {"redactedContent": b"\x00\xff"}},
    ],
    "toolUse": [USE],
    "toolResult": [
        SERVED,
        {"toolResult": {"toolUseId": "tooluse_2", "type": "nova_code_interpreter_result", "status": "success",
                        "content": [{"json": {"stdOut": "4"}}, {"text": "x"}]}},
    ],
    "citationsContent": [{"citationsContent": CITED}],
    "image": [{"image": {"format": "png", **MEDIA}}],
    "document": [{"document": {"format": "pdf", "name": "report", **MEDIA}}, {"text": "see above"}],
    "video": [{"video": {"format": "mp4", **MEDIA}}],
    "audio": [{"audio": {"format": "mp3", **MEDIA}}],
    "guardContent": [{"guardContent": {"text": {"text": "x", "qualifiers": ["query"]}}}],
    "cachePoint": [{"text": "x"}, {"cachePoint": {"type": "default"}}],
    "searchResult": [{"searchResult": {"source": "s", "title": "t", "content": [{"text": "x"}]}}],
    "toolAddition": [{"toolAddition": {"tool": {"type": "custom", "name": "look"}}}],
    "toolRemoval": [{"toolRemoval": {"tool": {"name": "look"}}}],
}  # fmt: skip


def test_no_kind_of_block_is_forgotten() -> None:
    if not model_is_new():
        pytest.skip("the installed botocore does not know the newest kinds")
    members: Any = input_shape().members["messages"]  # type: ignore[attr-defined]
    assert set(BLOCKS) == set(members.member.members["content"].member.members)


@pytest.mark.parametrize("kind", BLOCKS)
def test_an_answer_goes_back_as_it_came(kind: str) -> None:
    blocks = BLOCKS[kind]
    stop = "tool_use" if kind == "toolUse" else "end_turn"
    message = complete({"output": {"message": {"role": "assistant", "content": blocks}}, "stopReason": stop}).message
    history: list[Any] = [{"role": "user", "content": "hi"}, json.loads(message.model_dump_json())]
    history += [{"role": "tool", "tool_call_id": call.id, "content": "ok"} for call in message.tool_calls or ()]
    _, turns = convert_messages(history)
    assert turns[1] == {"role": "assistant", "content": blocks}
