"""Converse content blocks as plain JSON data, and back.

In comes a content block as boto3 knows it, with raw bytes; out goes the same block in the service's own wire form,
where the blobs are base64 text. The reverse takes either form. Only the places where Converse has a blob are touched, so
a tool input or a JSON tool result that looks like one stays as it is. Nothing is dropped or changed in place.
"""

from __future__ import annotations

from base64 import b64decode, b64encode
from collections.abc import Callable
from typing import Any

Block = dict[str, Any]

_MEDIA = ("image", "document", "video", "audio")


def json_safe(block: Block) -> Block:
    """The block with every blob as base64 text; the same object when it holds none."""
    return _rewrite(block, _to_text)


def from_json(block: Block) -> Block:
    """The block with every blob as raw bytes; raises ValueError (binascii.Error) for text that is not base64."""
    return _rewrite(block, _to_bytes)


DEEPEST = 200
"""Levels of nesting that every walk over JSON data can go down, botocore's included, whatever called it."""


def is_too_deep(text: str, value: Any) -> bool:
    """Whether the value of a JSON text is nested deeper than it can be walked (Python 3.12 parses what no walk gets through)."""
    if text.count("{") + text.count("[") <= DEEPEST:
        return False
    level = [value]
    for _ in range(DEEPEST):
        inside = (item.values() if isinstance(item, dict) else item for item in level)
        level = [child for children in inside for child in children if isinstance(child, (dict, list))]
        if not level:
            return False
    return True


def _to_text(blob: Any) -> Any:
    return b64encode(blob).decode("ascii") if isinstance(blob, (bytes, bytearray)) else blob


def _to_bytes(blob: Any) -> Any:
    return b64decode(blob, validate=True) if isinstance(blob, str) else blob


_Convert = Callable[[Any], Any]


def _rewrite(block: Block, convert: _Convert) -> Block:
    for name, place in _PLACES.items():
        if name in block:
            inner = place(block[name], convert)
            if inner is not block[name]:
                block = {**block, name: inner}
    return block


def _media(value: Any, convert: _Convert) -> Any:
    return _member(value, "source", lambda source: _member(source, "bytes", convert))


def _reasoning(value: Any, convert: _Convert) -> Any:
    return _member(value, "redactedContent", convert)


def _guarded_content(value: Any, convert: _Convert) -> Any:
    return _member(value, "image", lambda image: _media(image, convert))


def _tool_result(value: Any, convert: _Convert) -> Any:
    return _member(value, "content", lambda content: _each(content, convert))


def _each(content: Any, convert: _Convert) -> Any:
    if not isinstance(content, list):
        return content
    rewritten = [_rewrite(part, convert) if isinstance(part, dict) else part for part in content]
    return rewritten if any(new is not old for new, old in zip(rewritten, content, strict=True)) else content


def _member(value: Any, name: str, change: _Convert) -> Any:
    if not isinstance(value, dict) or name not in value:
        return value
    inner = change(value[name])
    return value if inner is value[name] else {**value, name: inner}


_PLACES: dict[str, Callable[[Any, _Convert], Any]] = {
    "reasoningContent": _reasoning,
    "guardContent": _guarded_content,
    "toolResult": _tool_result,
    **dict.fromkeys(_MEDIA, _media),
}
