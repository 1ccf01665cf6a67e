"""The shapes of Converse's own content blocks, and of the parts that a tool's result may hold.

In comes a block or a part that somebody wrote by hand, or that a carrier brought back; out goes whether it can be one. What
is none is refused with its place, or told as the plain JSON data that it is, instead of being sent and refused for good.
Members that this version does not know pass: the service knows more of them than any table here.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

Check = Callable[[Any], bool]


def _record(required: Mapping[str, Check], optional: Mapping[str, Check] | None = None) -> Check:
    known = {**required, **(optional or {})}

    def check(value: Any) -> bool:
        if not isinstance(value, dict) or not required.keys() <= value.keys():
            return False
        return all(known[name](member) for name, member in value.items() if name in known)

    return check


def _one_of(members: Mapping[str, Check]) -> Check:
    def check(value: Any) -> bool:
        if not isinstance(value, dict) or len(value) != 1:
            return False
        [(name, member)] = value.items()
        return name not in members or members[name](member)

    return check


def _each(item: Check) -> Check:
    return lambda value: isinstance(value, list) and all(map(item, value))


def _text(value: Any) -> bool:
    return isinstance(value, str)


def _blob(value: Any) -> bool:
    return isinstance(value, (str, bytes, bytearray)) and bool(value)


_LOCATION = _record({"uri": _text}, {"bucketOwner": _text})
_SOURCE = _one_of({"bytes": _blob, "s3Location": _LOCATION})
_TEXTS = _each(_one_of({"text": _text}))
_CITING = _record({"enabled": lambda value: isinstance(value, bool)})
_MEDIA = _record({"format": _text, "source": _SOURCE})
_TOOL = _record({"tool": _record({}, {"type": _text, "name": _text, "serverName": _text})})

_BLOCKS: dict[str, Check] = {
    "image": _MEDIA,
    "video": _MEDIA,
    "audio": _MEDIA,
    "document": _record(
        {"source": _one_of({"bytes": _blob, "s3Location": _LOCATION, "text": _text, "content": _TEXTS})},
        {"format": _text, "name": _text, "context": _text, "citations": _CITING},
    ),
    "guardContent": _one_of({
        "text": _record({"text": _text}, {"qualifiers": _each(_text)}),
        "image": _record({"format": _text, "source": _one_of({"bytes": _blob})}),
    }),
    "reasoningContent": _one_of({
        "reasoningText": _record({"text": _text}, {"signature": _text}),
        "redactedContent": _blob,
    }),
    "citationsContent": _record({}, {"content": _TEXTS, "citations": _each(_record({}))}),
    "searchResult": _record(
        {"source": _text, "title": _text, "content": _each(_record({"text": _text}))}, {"citations": _CITING}
    ),
    "toolUse": _record({"name": _text}),
    "toolResult": _record({}),
    "cachePoint": _record({}),
    "toolAddition": _TOOL,
    "toolRemoval": _TOOL,
}  # fmt: skip


def has_shape_of(kind: str, value: Any) -> bool:
    """Whether `value` can stand under `kind` in a content block; what a kind holds that no table knows is not judged."""
    check = _BLOCKS.get(kind)
    return check is None or check(value)


# ---------------------------------------------------------------------------------------------------- in a tool's result


def _url(value: Any) -> bool:
    return isinstance(value, (str, Mapping))


def _object(value: Any) -> bool:
    return isinstance(value, Mapping)


_SAID: dict[str, Check] = {"text": _text, "content": _text}
_SEEN: dict[str, Check] = {"image_url": _url, "source": _object}
_FILED: dict[str, Check] = {"file": _object, "file_data": _text, "file_url": _text, "source": _object}
_GUARDED: dict[str, Check] = {"guard_content": _object, "text": _text, "image_url": _url}

# Kind of part -> what it has one of, when it is meant as a part: tools return objects with a "type" of their own, too.
_RESULT_PARTS: dict[str, dict[str, Check]] = {
    "text": _SAID,
    "input_text": _SAID,
    "output_text": _SAID,
    "refusal": {"refusal": _text},
    "image_url": _SEEN,
    "input_image": _SEEN,
    "image": _SEEN,
    "file": _FILED,
    "input_file": _FILED,
    "document": _FILED,
    "document_url": {"document_url": _url},
    "audio_url": {"audio_url": _url},
    "video_url": {"video_url": _url},
    "video": {"video_url": _url},
    "input_audio": {"input_audio": _object},
    "audio": {"input_audio": _object},
    "search_result": {"content": lambda value: isinstance(value, (str, list))},
    "guard_content": _GUARDED,
}
_RESULT_BLOCKS = frozenset({
    "text", "json", "image", "document", "video", "audio", "searchResult", "guardContent", "cachePoint",
})  # fmt: skip


def is_result_part(part: Mapping[str, Any]) -> bool:
    """Whether an object in a tool's result is a content part or block; anything else is data that the tool returned."""
    kind = part.get("type")
    if isinstance(kind, str):
        marks = _RESULT_PARTS.get(kind, {})
        return kind == "cache_point" or any(name in part and check(part[name]) for name, check in marks.items())
    if len(part) != 1:
        return False
    [(name, value)] = part.items()
    return name in _RESULT_BLOCKS and has_shape_of(name, value)
