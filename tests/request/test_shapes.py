from __future__ import annotations

from typing import Any

import pytest

from agent.bedrock.request.shapes import has_shape_of, is_result_part

BLOCKS: list[tuple[str, Any, bool]] = [
    ("image", {"format": "png", "source": {"bytes": b"x"}}, True),
    ("image", {"format": "png", "source": {"s3Location": {"uri": "s3://b/k"}}}, True),
    ("image", {"format": "png", "source": {"bytes": b""}}, False),
    ("image", {"format": "png", "source": {"bytes": b"x", "s3Location": {"uri": "s3://b/k"}}}, False),
    ("image", {"source": {"bytes": b"x"}}, False),
    ("document", {"source": {"content": [{"text": "x"}]}, "citations": {"enabled": True}}, True),
    ("document", {"source": {"content": "x"}}, False),
    ("reasoningContent", {"reasoningText": {"text": "x"}}, True),
    ("reasoningContent", {"reasoningText": {"text": "x", "signature": None}}, False),
    ("reasoningContent", {}, False),
    ("citationsContent", {"content": [{"text": "x"}], "citations": [{"title": "t"}]}, True),
    ("citationsContent", {"content": "x"}, False),
    ("guardContent", {"text": {"text": "x", "qualifiers": ["query"]}}, True),
    ("guardContent", {"text": "x"}, False),
    ("hologram", 5, True),
    ("image", {"format": "png", "source": {"bytes": b"x"}, "hue": 5}, True),
]


@pytest.mark.parametrize(("kind", "value", "holds"), BLOCKS)
def test_what_a_block_of_converse_looks_like(kind: str, value: Any, holds: bool) -> None:
    assert has_shape_of(kind, value) is holds


PARTS: list[tuple[dict[str, Any], bool]] = [
    ({"type": "text", "text": "x"}, True),
    ({"type": "text", "size": 5}, False),
    ({"type": "image_url", "image_url": {"url": "u"}}, True),
    ({"type": "image", "source": {"type": "base64"}}, True),
    ({"type": "image", "source": "camera"}, False),
    ({"type": "file", "file": {"file_data": "x"}}, True),
    ({"type": "file", "url": "https://x/README"}, False),
    ({"type": "tool_use", "name": "x"}, False),
    ({"text": "x"}, True),
    ({"text": "x", "size": 5}, False),
    ({"json": {"a": 1}}, True),
    ({"type": "cache_point"}, True),
    ({}, False),
]


@pytest.mark.parametrize(("part", "holds"), PARTS)
def test_what_is_meant_as_a_part_of_a_tools_result(part: dict[str, Any], holds: bool) -> None:
    assert is_result_part(part) is holds
