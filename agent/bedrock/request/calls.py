"""Tool calls as the service takes them: legal names and ids, arguments that are an object.

In come names, ids and argument texts as agents produce them; out come wire forms. An alias depends on the name alone and
is hashed, so that "my.tool" and "my/tool" stay different and the same history gives the same bytes in every process.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from hashlib import sha256
from math import isfinite
from typing import TYPE_CHECKING, Any

from ..blocks import is_too_deep
from ..carriers import unpack_call_id
from ..patterns import pattern
from .reading import as_mapping, is_blank

if TYPE_CHECKING:
    from ..models.profiles import ModelProfile
    from .context import Block, Context

_LEGAL_NAME = pattern(r"[a-zA-Z0-9_-]{1,64}")
_LEGAL_NAME_WITHOUT_HYPHEN = pattern(r"[a-zA-Z0-9_]{1,64}")
_LEGAL_ID = pattern(r"[a-zA-Z0-9_-]{1,64}")
_LEGAL_WIDE_ID = pattern(r"[a-zA-Z0-9_.:-]{1,64}")
_ILLEGAL = pattern(r"[^a-zA-Z0-9_]+")
_ALIAS_STEM = 48


def _finite(text: str) -> float | str:
    """A number that JSON can carry; 1e999 is none, it stays text."""
    number = float(text)
    return number if isfinite(number) else text


_DECODER = json.JSONDecoder(parse_float=_finite, parse_constant=str, strict=False)

# Where the arguments are no JSON object, the model sees what it wrote under this key.
RAW_ARGUMENTS = "unparsed_arguments"


def wire_tool_name(name: str, profile: ModelProfile) -> str:
    """`name` where the service takes it, else its alias: at most 64 legal characters, the same in every process."""
    legal = _LEGAL_NAME if profile.hyphens_in_tool_names else _LEGAL_NAME_WITHOUT_HYPHEN
    return name if legal.fullmatch(name) else _alias(name, "tool")


def _alias(text: str, fallback: str) -> str:
    stem = _ILLEGAL.sub("_", text)[:_ALIAS_STEM].strip("_") or fallback
    return f"{stem}_{sha256(text.encode('utf-8', 'surrogatepass')).hexdigest()[:12]}"


def wire_name(name: Any, context: Context, message: int | None) -> str:
    """The wire form of a tool's name, noted in the context so that answers can give the caller's name back."""
    known = context.wire_names.get(name) if isinstance(name, str) else None
    if known is not None:
        return known
    given = name if isinstance(name, str) else str(name or "")
    wire = wire_tool_name(given, context.profile)
    context.wire_names[given] = wire
    if wire != given:
        context.tool_names[wire] = given
        context.repair("alias_tool_name", message, "a tool name that the service refuses got an alias")
    return wire


def wire_call_id(call_id: Any, context: Context, message: int) -> str:
    """The wire form of a tool-call id: as given where it is legal, else shortened and hashed."""
    given = call_id if isinstance(call_id, str) else str(call_id or "")
    known = context.wire_ids.get(given)
    if known is None:
        known = context.wire_ids[given] = _new_wire_id(given, context, message)
    return known


def _new_wire_id(given: str, context: Context, message: int) -> str:
    legal = _LEGAL_WIDE_ID if context.profile.wide_call_ids else _LEGAL_ID
    original, outline = unpack_call_id(given)  # also where it is legal as it is: an outline may be short
    if outline is not None:
        context.kinds.add("carrier")
    if legal.fullmatch(original):
        return original
    context.repair("alias_call_id", message, "a tool-call id that the service refuses was replaced")
    return _alias(original, "call")


def call_blocks(message: Mapping[str, Any], context: Context, index: int) -> list[Block]:
    """The toolUse blocks of an assistant message's `tool_calls` (or of the older `function_call`)."""
    calls = message.get("tool_calls")
    blocks: list[Block] = []
    open_calls: list[tuple[str, str]] = []
    context.open_calls = open_calls
    context.answered.clear()
    if calls:
        items = calls if isinstance(calls, (list, tuple)) else [calls]
        blocks = [_call_block(call, context, index, position) for position, call in enumerate(items)]
    legacy = as_mapping(message.get("function_call"))
    if legacy is not None and not blocks:
        blocks = [_call_block({"function": legacy}, context, index, 0)]
    if blocks:
        context.kinds.add("toolUse")
        open_calls.extend((block["toolUse"]["toolUseId"], block["toolUse"]["name"]) for block in blocks)
    return blocks


def _call_block(call: Any, context: Context, index: int, position: int) -> Block:
    fields = call if type(call) is dict else as_mapping(call) or {}
    function = fields.get("function")
    if type(function) is not dict:
        function = as_mapping(function) or as_mapping(fields.get("custom")) or fields
    arguments = function.get("arguments")
    if arguments is None:
        arguments = function.get("input")
    if "extra_content" in fields:
        context.kinds.add("carrier")
    call_id = fields.get("id")
    return {
        "toolUse": {
            "toolUseId": wire_call_id(call_id, context, index) if call_id else f"call_{index}_{position}",
            "name": wire_name(function.get("name"), context, index),
            "input": arguments_object(arguments, context, index),
        }
    }


def arguments_object(arguments: Any, context: Context, index: int) -> dict[str, Any]:
    """Arguments as the object that Converse wants; text that is none stays visible to the model."""
    if isinstance(arguments, str):
        return _parsed(arguments, context, index)
    if arguments is None:
        return {}
    mapping = as_mapping(arguments)
    if mapping is not None:
        plain: dict[str, Any] = context.plain(index, mapping if type(mapping) is dict else dict(mapping))
        return plain
    context.repair("keep_unparsed_arguments", index, "tool arguments that are no object were wrapped")
    return {RAW_ARGUMENTS: context.plain(index, arguments)}


def _parsed(arguments: str, context: Context, index: int) -> dict[str, Any]:
    if is_blank(arguments):
        return {}
    try:
        value = _DECODER.decode(arguments)
    except (ValueError, RecursionError):
        value = None
    if type(value) is not dict or is_too_deep(arguments, value):
        context.repair("keep_unparsed_arguments", index, "tool arguments that are no JSON object were kept as text")
        return {RAW_ARGUMENTS: context.clean(index, arguments)}
    # Only escapes and non-ASCII text can hide a lone surrogate.
    if "\\ud" in arguments or "\\uD" in arguments or not arguments.isascii():
        plain: dict[str, Any] = context.plain(index, value)
        return plain
    return value


def native_call(value: Any, context: Context, index: int) -> Block:
    """A toolUse block in Converse's own words, made legal; `type` stays only where it says something."""
    fields = as_mapping(value) or {}
    use: dict[str, Any] = {
        "toolUseId": wire_call_id(fields.get("toolUseId"), context, index),
        "name": wire_name(fields.get("name"), context, index),
        "input": arguments_object(fields.get("input"), context, index),
    }
    if fields.get("type") == "server_tool_use":
        use["type"] = "server_tool_use"
        context.kinds.add("server_tool_use")
    return {"toolUse": use}


def result_call_id(message: Mapping[str, Any], context: Context, index: int) -> str:
    """The call that a tool message answers: by its id, else by its name, else the first one still open."""
    given = message.get("tool_call_id") or message.get("tool_use_id") or message.get("toolUseId")
    if given:
        wire = wire_call_id(given, context, index)
        context.answered.add(wire)
        return wire
    name = message.get("name")
    wanted = context.wire_names.get(name) if isinstance(name, str) else None
    for call_id, call_name in context.open_calls:
        if call_id not in context.answered and (wanted is None or call_name == wanted):
            context.answered.add(call_id)
            return call_id
    return f"orphan_{index}"


def is_server_call(block: Block) -> bool:
    """Whether a toolUse block is one that the service carries out itself."""
    use = block.get("toolUse")
    return use is not None and use.get("type") == "server_tool_use"


def arguments_text(value: Any) -> str:
    """Arguments as the JSON text of a tool call that is told in words."""
    return json.dumps(value, ensure_ascii=False)
