"""Content blocks as JSON and back: blobs change form, look-alikes do not."""

from __future__ import annotations

import json
import sys
from typing import Any

import pytest

from agent.bedrock.blocks import from_json, is_too_deep, json_safe

CASES: list[tuple[dict[str, Any], dict[str, Any]]] = [
    ({"reasoningContent": {"redactedContent": b"\xff"}}, {"reasoningContent": {"redactedContent": "/w=="}}),
    (
        {"image": {"format": "png", "source": {"bytes": b"a"}}},
        {"image": {"format": "png", "source": {"bytes": "YQ=="}}},
    ),
    (
        {"guardContent": {"image": {"source": {"bytes": b"a"}}}},
        {"guardContent": {"image": {"source": {"bytes": "YQ=="}}}},
    ),
    (
        {"toolResult": {"toolUseId": "t", "content": [{"text": "x"}, {"document": {"source": {"bytes": b"a"}}}]}},
        {"toolResult": {"toolUseId": "t", "content": [{"text": "x"}, {"document": {"source": {"bytes": "YQ=="}}}]}},
    ),
]


@pytest.mark.parametrize(("block", "plain"), CASES)
def test_blobs_become_text_and_come_back(block: dict[str, Any], plain: dict[str, Any]) -> None:
    assert json_safe(block) == plain
    assert from_json(plain) == block
    assert from_json(block) == block


@pytest.mark.parametrize(
    "block",
    [
        {"text": "YQ=="},
        {"toolUse": {"toolUseId": "t", "name": "f", "input": {"source": {"bytes": "YQ=="}, "redactedContent": "YQ=="}}},
        {"toolResult": {"toolUseId": "t", "content": [{"json": {"image": {"source": {"bytes": "YQ=="}}}}]}},
        {"image": {"source": {"s3Location": {"uri": "s3://b/k"}}}},
        {"hologram": {"source": {"bytes": "YQ=="}}},
    ],
)
def test_what_only_looks_like_a_blob_is_left_alone(block: dict[str, Any]) -> None:
    assert from_json(block) is block
    assert json_safe(block) is block


def test_text_that_is_no_base64_is_refused() -> None:
    with pytest.raises(ValueError, match="base64"):
        from_json({"image": {"source": {"bytes": "no base64!"}}})


@pytest.mark.parametrize(
    ("text", "too_deep"),
    [
        ('{"a":' * 5000 + "1" + "}" * 5000, True),
        ("[" * 300 + "]" * 300, True),
        ("[" * 150 + '{"a": ' + "1" + "}" + "]" * 150, False),
        ("[" + ",".join(["{}"] * 5000) + "]", False),
        ('"' + "{" * 5000 + '"', False),
    ],
    ids=["deep objects", "deep lists", "deep enough", "wide", "braces in a text"],
)
def test_what_is_nested_too_deeply_to_be_walked_is_known(text: str, too_deep: bool) -> None:
    limit = sys.getrecursionlimit()
    sys.setrecursionlimit(20_000)  # so that every Python parses it
    try:
        value = json.loads(text)
        assert is_too_deep(text, value) is too_deep
    finally:
        sys.setrecursionlimit(limit)
