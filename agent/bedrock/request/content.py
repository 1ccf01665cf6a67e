"""Content parts -> Converse content blocks: one function per kind of part, found in a table.

In come a message's content (text, a list of parts, one part) in OpenAI's shapes, in Anthropic's, or as Converse's own
blocks; out come content blocks with raw bytes. A part that is not understood raises with its place, or passes through
where it has the form of a Converse block that this version does not know. Turns and families are settled later.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from ..blocks import from_json
from .calls import native_call, result_call_id, wire_call_id
from .context import EMPTY_TEXT, Block, Context
from .media import Media, Place, format_of, kind_of, media_from_bytes, media_from_url
from .reading import as_mapping, is_blank, plain_block, plain_json
from .shapes import has_shape_of, is_result_part

RESULT_KINDS = frozenset({"text", "json", "image", "document", "video", "searchResult"})
REASONING_PARTS = frozenset({"thinking", "redacted_thinking", "reasoning", "reasoning_content"})
_TTLS = ("5m", "1h")


def convert_content(content: Any, context: Context, message: int) -> list[Block]:
    """The blocks of a message's content; blank text is left out beside other content, nothing at all gives []."""
    if type(content) is str:
        return [] if is_blank(content) else [{"text": context.clean(message, content)}]
    if content is None:
        return []
    blocks = _raw_blocks(content, Place(context, message))
    if "json" in context.kinds:  # which only a tool result holds
        blocks = [{"text": _json_text(block["json"])} if "json" in block else block for block in blocks]
    return without_blanks(blocks, Place(context, message))


def convert_content_or_placeholder(content: Any, context: Context, message: int) -> list[Block]:
    """The blocks of a content that has to say something: blank text becomes "(empty)", which the service accepts."""
    blocks = convert_content(content, context, message)
    if blocks and any("cachePoint" not in block for block in blocks):
        return blocks
    context.repair("fill_blank_text", message, "blank content became a placeholder")
    return [{"text": EMPTY_TEXT}, *blocks]


def convert_result_content(content: Any, context: Context, message: int) -> tuple[list[Block], list[Block]]:
    """What a tool returned: (blocks that may stand inside a toolResult, blocks that have to stand beside it)."""
    if type(content) is str:
        text = EMPTY_TEXT if is_blank(content) else context.clean(message, content)
        return [{"text": text}], []
    place = Place(context, message)
    blocks = _result_blocks(content, place)
    inside = [block for block in blocks if not RESULT_KINDS.isdisjoint(block)]
    beside = [block for block in blocks if RESULT_KINDS.isdisjoint(block)]
    if any("guardContent" in block for block in beside):
        raise place.refuse("guard content cannot stand inside a tool result")
    if any("cachePoint" not in block for block in beside):
        place.repair("move_content_out_of_result", "content that a tool result cannot hold was put beside it")
    return inside or [{"text": EMPTY_TEXT}], beside


def result_blocks(message: Mapping[str, Any], context: Context, index: int) -> list[Block]:
    """The toolResult block of a tool message (or of a tool_result part), and what has to stand beside it."""
    call_id = result_call_id(message, context, index)
    inside, beside = convert_result_content(message.get("content"), context, index)
    result: dict[str, Any] = {"toolUseId": call_id, "content": inside}
    status = message.get("status")
    if message.get("is_error") or status == "error":
        result["status"] = "error"
        context.kinds.add("status")
    elif context.profile.result_status and (status == "success" or context.profile.says_success):
        result["status"] = "success"
    context.kinds.add("toolResult")
    return [{"toolResult": result}, *beside]


def _result_blocks(content: Any, place: Place) -> list[Block]:
    """Parts become blocks; any other JSON becomes a json block where it is an object, and text elsewhere."""
    if content is None:
        return []
    if isinstance(content, (list, tuple)):
        if all(_looks_like_part(part) for part in content):
            return without_blanks(_raw_blocks(content, place), place)
        return [{"text": _json_text(content)}]
    mapping = as_mapping(content)
    if mapping is not None:
        return _raw_blocks([content], place) if _looks_like_part(mapping) else [{"json": _plain(place, mapping)}]
    return [{"text": _json_text(content)}]


def _looks_like_part(part: Any) -> bool:
    if isinstance(part, str):
        return True
    mapping = as_mapping(part)
    return mapping is not None and is_result_part(mapping)


def _json_text(value: Any) -> str:
    return json.dumps(plain_json(value), ensure_ascii=False)


def _raw_blocks(content: Any, place: Place) -> list[Block]:
    parts: Iterable[Any] = content if isinstance(content, (list, tuple)) else (content,)
    blocks: list[Block] = []
    for part in parts:
        if type(part) is str:
            blocks.append({"text": place.context.clean(place.message, part)})
        else:
            _add_part(part, place, blocks)
    return blocks


def _add_part(part: Any, place: Place, blocks: list[Block]) -> None:
    mapping = as_mapping(part)
    if mapping is None:
        if part is not None:
            blocks.append({"text": _json_text(part)})
        return
    kind = mapping.get("type")
    convert = PARTS.get(kind) if isinstance(kind, str) else None
    made = convert(mapping, place) if convert else native_block(mapping, place)
    blocks.extend(made)
    place.context.kinds.update(*made)
    marker = mapping.get("cache_control")
    if marker:
        blocks.append(cache_point(marker, place))


def cache_point(marker: Any, place: Place) -> Block:
    """The cache point behind a `cache_control` marker."""
    place.context.kinds.add("cachePoint")
    place.context.kinds.add("cache_control")
    fields = as_mapping(marker) or {}
    ttl = fields.get("ttl")
    if ttl is None:
        return {"cachePoint": {"type": "default"}}
    if ttl not in _TTLS:
        raise place.refuse(f"cache ttl {ttl!r} is neither 5m nor 1h")
    return {"cachePoint": {"type": "default", "ttl": ttl}}


def without_blanks(blocks: list[Block], place: Place, *, own: bool = False) -> list[Block]:
    """Leave out blank text; the service refuses it wherever it stands (threads opencode 15715, hermes-agent 9486).

    `own` says that the blocks are an answer of the model's.
    """
    if not any("text" in block and is_blank(block["text"]) for block in blocks):
        return blocks
    kept: list[Block] = []
    for block, following in zip(blocks, [*blocks[1:], {}], strict=True):
        if "text" not in block or not is_blank(block["text"]):
            kept.append(block)
        elif kept and "document" in kept[-1] and "cachePoint" in following:
            # A point may not follow a document that is no PDF; the white space between them was accepted (recorded 2025).
            kept.append({"text": EMPTY_TEXT})
    if kept and any("text" in block and block["text"] for block in blocks if block not in kept):
        report = place.context.settle if own else place.context.repair
        report("drop_blank_text", place.message, "white space beside other content was left out")
    return kept


# ------------------------------------------------------------------------------------------------------ OpenAI's parts


def _text(part: Mapping[str, Any], place: Place) -> list[Block]:
    text = part.get("text")
    if text is None:
        text = part.get("refusal") or part.get("content") or ""
    block: Block = {"text": place.context.clean(place.message, text if isinstance(text, str) else _json_text(text))}
    return [block]


def _image_url(part: Mapping[str, Any], place: Place) -> list[Block]:
    url = part.get("image_url", part.get("url"))
    fields = as_mapping(url)
    if fields is not None:
        url = fields.get("url")
    if not isinstance(url, str) or not url:
        return _image_without_url(part, place)
    return media_blocks("image", media_from_url(url, place), place)


def _image_without_url(part: Mapping[str, Any], place: Place) -> list[Block]:
    if part.get("source") is not None:
        return _anthropic_source("image", part, place)
    raise place.refuse("an image without a URL")


def _media_url(kind: str, key: str) -> Callable[[Mapping[str, Any], Place], list[Block]]:
    def convert(part: Mapping[str, Any], place: Place) -> list[Block]:
        url = part.get(key, part.get("url"))
        fields = as_mapping(url)
        if fields is not None:
            url = fields.get("url")
        if not isinstance(url, str) or not url:
            raise place.refuse(f"{kind} without a URL")
        return media_blocks(kind, media_from_url(url, place), place)

    return convert


def _file(part: Mapping[str, Any], place: Place) -> list[Block]:
    fields = as_mapping(part.get("file")) or part
    name = str(fields.get("filename") or fields.get("name") or "")
    media_type = str(fields.get("format") or fields.get("mime_type") or fields.get("media_type") or "")
    data = fields.get("file_data") or fields.get("data")
    url = fields.get("file_url") or fields.get("url")
    if isinstance(data, str) and data[:5].lower() == "data:":
        url, data = data, None
    if data is not None:
        media = media_from_bytes(data, media_type, name, place)
    elif isinstance(url, str) and url:
        media = media_from_url(url, place, name)
    else:
        raise place.refuse("a file without data (`file_id` names a file that Bedrock cannot see)")
    if not media.media_type and media_type:
        media = Media(media_type, media.name, media.source)
    return media_blocks(kind_of(media) or "document", media, place, part)


def _input_audio(part: Mapping[str, Any], place: Place) -> list[Block]:
    fields = as_mapping(part.get("input_audio")) or part
    data = fields.get("data")
    said = str(fields.get("format") or "")
    if isinstance(data, str) and data[:5].lower() == "data:":
        return media_blocks("audio", media_from_url(data, place), place)
    if data is None:
        raise place.refuse("audio without data")
    return media_blocks("audio", media_from_bytes(data, f"audio/{said}", "", place), place)


def media_blocks(kind: str, media: Media, place: Place, part: Mapping[str, Any] | None = None) -> list[Block]:
    """The block for `media`; a format that Converse does not know is named in text instead, which is reported."""
    media_format = format_of(kind, media)
    if media_format is None and kind == "document":
        media_format = _document_format(media)
    if media_format is None:
        said = media.media_type or media.name or "unknown"
        place.repair("name_unknown_format", f"{kind} of a format that Converse does not take became text")
        return [{"text": f"[{kind} left out: the format {said} is not supported]"}]
    body: dict[str, Any] = {"format": media_format, "source": media.source}
    if kind == "document":
        body = {"format": media_format, "name": media.name.rpartition(".")[0] or media.name, "source": media.source}
        body.update(_document_options(part, place))
    return [{kind: body}]


def _document_format(media: Media) -> str | None:
    """Text of any kind (source code, JSON, logs) is a txt document."""
    data = media.source.get("bytes")
    if not isinstance(data, bytes):
        return None
    if data.startswith(b"%PDF-"):
        return "pdf"
    try:
        data.decode("utf-8")
    except UnicodeDecodeError:
        return None
    return "txt"


def _document_options(part: Mapping[str, Any] | None, place: Place) -> dict[str, Any]:
    options: dict[str, Any] = {}
    fields = part or {}
    context_text = fields.get("context")
    if isinstance(context_text, str) and context_text:
        options["context"] = place.context.clean(place.message, context_text)
    citations = fields.get("citations")
    if citations is None and place.context.options.citations:
        citations = True
    if citations is not None:
        asked = as_mapping(citations)
        enabled = bool(asked.get("enabled", True)) if asked is not None else bool(citations)
        options["citations"] = {"enabled": enabled}
        if enabled:
            place.context.kinds.add("citations")
    return options


# --------------------------------------------------------------------------------------------------- Anthropic's parts


def _anthropic_image(part: Mapping[str, Any], place: Place) -> list[Block]:
    return _anthropic_source("image", part, place) if "source" in part else _image_url(part, place)


def _anthropic_document(part: Mapping[str, Any], place: Place) -> list[Block]:
    return _anthropic_source("document", part, place) if "source" in part else _file(part, place)


def _anthropic_source(kind: str, part: Mapping[str, Any], place: Place) -> list[Block]:
    source = as_mapping(part.get("source")) or {}
    name = str(part.get("title") or part.get("name") or "")
    form = source.get("type")
    if form == "base64":
        media = media_from_bytes(source.get("data") or "", str(source.get("media_type") or ""), name, place)
        return media_blocks(kind, media, place, part)
    if form == "url":
        return media_blocks(kind, media_from_url(str(source.get("url") or ""), place, name), place, part)
    if kind == "document" and form in ("text", "content"):
        return [_text_document(source, name, part, place)]
    raise place.refuse(f"{kind} source of type {form!r}")


def _text_document(source: Mapping[str, Any], name: str, part: Mapping[str, Any], place: Place) -> Block:
    """A document whose text is given: Converse keeps it as text, so that citations can point into it."""
    if source.get("type") == "text":
        inner: dict[str, Any] = {
            "text": place.context.clean(place.message, str(source.get("data") or source.get("text") or ""))
        }
    else:
        content = source.get("content")
        parts = [content] if isinstance(content, str) else list(content or [])
        texts = [each if isinstance(each, str) else str((as_mapping(each) or {}).get("text") or "") for each in parts]
        inner = {"content": [{"text": place.context.clean(place.message, text)} for text in texts]}
    return {"document": {"format": "txt", "name": name, "source": inner, **_document_options(part, place)}}


def _search_result(part: Mapping[str, Any], place: Place) -> list[Block]:
    """Anthropic's search_result: source, title, content [{type: text, text}], citations."""
    content = part.get("content")
    texts = [content] if isinstance(content, str) else list(content or [])
    body: dict[str, Any] = {
        "source": place.context.clean(place.message, str(part.get("source") or part.get("url") or "")),
        "title": place.context.clean(place.message, str(part.get("title") or "")),
        "content": [
            {
                "text": place.context.clean(
                    place.message, each if isinstance(each, str) else str((as_mapping(each) or {}).get("text") or "")
                )
            }
            for each in texts
        ],
    }
    citations = _document_options(part, place).get("citations")
    if citations:
        body["citations"] = citations
    return [{"searchResult": body}]


def _guard_content(part: Mapping[str, Any], place: Place) -> list[Block]:
    """Text or a png/jpeg image that the guardrail has to look at; `qualifiers` as in Converse."""
    fields = as_mapping(part.get("guard_content")) or part
    text = fields.get("text")
    if text is not None:
        inner: dict[str, Any] = {"text": place.context.clean(place.message, str(text))}
        qualifiers = fields.get("qualifiers")
        if qualifiers:
            inner["qualifiers"] = list(qualifiers)
        return [{"guardContent": {"text": inner}}]
    image = _image_url(fields, place)[0].get("image")
    if image is None or image["format"] not in ("png", "jpeg") or "bytes" not in image["source"]:
        raise place.refuse("guard content is text, or a png or jpeg image given as data")
    return [{"guardContent": {"image": image}}]


def _misplaced_reasoning(_part: Mapping[str, Any], place: Place) -> list[Block]:
    """An assistant's reasoning is read where the carriers are; in anybody else's mouth the service refuses it."""
    place.repair("drop_misplaced_reasoning", "reasoning outside an assistant's message was left out")
    return []


def _tool_reference(block: str) -> Callable[[Mapping[str, Any], Place], list[Block]]:
    def convert(part: Mapping[str, Any], _: Place) -> list[Block]:
        tool = as_mapping(part.get("tool")) or {}
        source = tool or part
        keys = (("type", "tool_type" if not tool else "type"), ("name", "name"))
        reference = {key: str(source[given]) for key, given in keys if source.get(given)}
        server = source.get("server_name") or source.get("serverName")
        if server:
            reference["serverName"] = str(server)
        return [{block: {"tool": reference}}]

    return convert


def _cache_point_part(part: Mapping[str, Any], place: Place) -> list[Block]:
    return [cache_point(part, place)]


def _tool_use_part(part: Mapping[str, Any], place: Place) -> list[Block]:
    named = {"toolUseId": part.get("id"), "name": part.get("name"), "input": part.get("input")}
    place.context.kinds.add("toolUse")
    return [native_call(named, place.context, place.message)]


def _tool_result_part(part: Mapping[str, Any], place: Place) -> list[Block]:
    return result_blocks(part, place.context, place.message)


# --------------------------------------------------------------------------------------------------- Converse's blocks


def native_block(part: Mapping[str, Any], place: Place) -> list[Block]:
    """A block in Converse's own words; blobs may be base64 text, as in the JSON-safe form."""
    kind = part.get("type")
    if isinstance(kind, str) and not any(name in part for name in NATIVE):
        raise place.refuse(f"content part of unknown type {kind!r}")
    names = [name for name in part if name not in ("type", "cache_control")]
    if len(names) != 1:
        raise place.refuse("a content part that is neither OpenAI's nor Converse's")
    name = names[0]
    value = _NATIVE_VARIANTS[name](part[name]) if name in _NATIVE_VARIANTS else part[name]
    if not has_shape_of(name, value):
        raise place.refuse(f"no {name} block of Converse's")
    convert = _NATIVE_FORMS.get(name)
    if convert:
        return convert(value, place)
    place.context.kinds.add(name)
    if _cites(value):
        place.context.kinds.add("citations")
    cleaned = place.context.cleaned(place.message, {name: value}, plain_block)
    return [_decoded(cleaned, place)]


def _reasoning_variant(value: Any) -> Any:
    """Reasoning as some write it: text and signature without their frame, a signature of None, a blob named for its coding."""
    if not isinstance(value, Mapping):
        return value
    if "redactedContentBase64" in value:
        return {"redactedContent": value["redactedContentBase64"]}
    framed = "reasoningText" in value
    inner = value["reasoningText"] if framed else value
    if not isinstance(inner, Mapping) or not (framed or "text" in inner):
        return value
    if framed and "signature" in inner and inner["signature"] is not None:
        return value
    return {"reasoningText": {key: item for key, item in inner.items() if item is not None}}


def _cites(value: Any) -> bool:
    citations = value.get("citations") if isinstance(value, Mapping) else None
    return isinstance(citations, Mapping) and bool(citations.get("enabled"))


def _native_text(value: Any, place: Place) -> list[Block]:
    return [{"text": place.context.clean(place.message, value if isinstance(value, str) else _json_text(value))}]


def _native_json(value: Any, place: Place) -> list[Block]:
    """json has to be an object (thread aichat 1542); anything else is told as text."""
    mapping = as_mapping(value)
    if mapping is None:
        return [{"text": value if isinstance(value, str) else _json_text(value)}]
    return [{"json": _plain(place, mapping)}]


def _plain(place: Place, mapping: Mapping[str, Any]) -> Any:
    return place.context.plain(place.message, mapping if type(mapping) is dict else dict(mapping))


def _native_cache_point(value: Any, place: Place) -> list[Block]:
    return [cache_point({"ttl": (as_mapping(value) or {}).get("ttl")}, place)]


def _native_call(value: Any, place: Place) -> list[Block]:
    return [native_call(value, place.context, place.message)]


def _native_result(value: Any, place: Place) -> list[Block]:
    fields = as_mapping(value) or {}
    inside, beside = convert_result_content(fields.get("content"), place.context, place.message)
    call_id = wire_call_id(fields.get("toolUseId"), place.context, place.message)
    result: dict[str, Any] = {"toolUseId": call_id, "content": inside}
    result.update({key: fields[key] for key in ("status", "type") if fields.get(key)})
    place.context.kinds.update(("toolResult", "status"))
    return [{"toolResult": result}, *beside]


def _decoded(block: Block, place: Place) -> Block:
    try:
        return from_json(block)
    except ValueError:
        raise place.refuse("the data is not valid base64") from None


NATIVE = frozenset({
    "text", "image", "document", "video", "audio", "toolUse", "toolResult", "guardContent", "cachePoint",
    "reasoningContent", "citationsContent", "searchResult", "toolAddition", "toolRemoval", "json",
})  # fmt: skip

PARTS: dict[str, Callable[[Mapping[str, Any], Place], list[Block]]] = {
    "text": _text,
    "input_text": _text,
    "output_text": _text,
    "refusal": _text,
    "image_url": _image_url,
    "input_image": _image_url,
    "image": _anthropic_image,
    "file": _file,
    "input_file": _file,
    "document": _anthropic_document,
    "document_url": _media_url("document", "document_url"),
    "input_audio": _input_audio,
    "audio": _input_audio,
    "audio_url": _media_url("audio", "audio_url"),
    "video_url": _media_url("video", "video_url"),
    "video": _media_url("video", "video_url"),
    "search_result": _search_result,
    "guard_content": _guard_content,
    "cache_point": _cache_point_part,
    "tool_addition": _tool_reference("toolAddition"),
    "tool_removal": _tool_reference("toolRemoval"),
    **dict.fromkeys(REASONING_PARTS, _misplaced_reasoning),
    "tool_use": _tool_use_part,
    "tool_result": _tool_result_part,
}

_NATIVE_VARIANTS: dict[str, Callable[[Any], Any]] = {"reasoningContent": _reasoning_variant}

_NATIVE_FORMS: dict[str, Callable[[Any, Place], list[Block]]] = {
    "text": _native_text,
    "json": _native_json,
    "cachePoint": _native_cache_point,
    "toolUse": _native_call,
    "toolResult": _native_result,
}
