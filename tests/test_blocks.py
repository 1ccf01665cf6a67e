"""Content blocks as JSON and back: blobs change form, look-alikes do not."""

from __future__ import annotations

from typing import Any

import pytest

from agent.bedrock.blocks import from_json, json_safe

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
