"""Bodies that real runtimes sent: each becomes a request that the service takes, with nothing lost."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from agent.bedrock.request.options import split_body
from tests.request.service import CLAUDE, LLAMA, NOVA, built

FOLDER = os.environ.get("BEDROCK_REQUESTS", "")
BODIES = sorted(Path(FOLDER).glob("*.json")) if FOLDER else []

pytestmark = pytest.mark.skipif(not BODIES, reason="BEDROCK_REQUESTS names no folder of request bodies")


def texts(value: Any) -> list[str]:
    """Every text that a user, a tool or a model said in these messages."""
    if isinstance(value, str):
        return [value] if value.strip() else []
    if isinstance(value, list):
        return [text for item in value for text in texts(item)]
    if isinstance(value, dict):
        return [
            text for key in ("content", "text", "tool_calls", "function") if key in value for text in texts(value[key])
        ]
    return []


def arguments(messages: list[dict[str, Any]]) -> list[Any]:
    return [json.loads(made["function"]["arguments"]) for m in messages for made in m.get("tool_calls") or ()]


@pytest.mark.parametrize("path", BODIES, ids=[path.stem for path in BODIES])
@pytest.mark.parametrize("model", [None, CLAUDE, NOVA, LLAMA])
def test_a_body_of_a_runtime_becomes_a_request(path: Path, model: str | None) -> None:
    body = json.loads(path.read_text(encoding="utf-8"))
    options, unknown = split_body(body)
    assert unknown == []
    request = built(model or body["model"], body["messages"], body.get("tools"), **options)
    sent = json.dumps(request.kwargs, ensure_ascii=False, default=str)
    for text in texts([message["content"] for message in body["messages"] if message.get("content")]):
        assert json.dumps(text, ensure_ascii=False)[1:-1] in sent
    if request.kwargs.get("toolConfig"):
        inputs = [b["toolUse"]["input"] for m in request.kwargs["messages"] for b in m["content"] if "toolUse" in b]
        assert inputs == arguments(body["messages"])
