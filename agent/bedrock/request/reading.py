"""Reading the caller's objects, whatever they are: dicts, Mapping subclasses, SDK models, plain attribute objects.

In comes a message, a part or a tool; out goes a mapping to read from (the same object where it is one). Nothing is written
to. JSON data that botocore could not send (NaN, tuples, foreign types) becomes data that it can, as visibly as possible.
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Callable, Mapping
from decimal import Decimal
from itertools import islice
from math import isfinite
from typing import Any

from ..errors import InvalidRequestError

_ATTRIBUTES = (
    "role", "content", "tool_calls", "tool_call_id", "name", "id", "type", "function", "arguments", "text",
    "reasoning_content", "reasoning_details", "thinking_blocks", "bedrock_content_blocks", "is_error", "status",
)  # fmt: skip
_SCALARS = frozenset({str, int, float, bool, bytes, bytearray, list, tuple, set, type(None)})


def as_mapping(value: Any) -> Mapping[str, Any] | None:
    """`value` as a mapping, or None where it is a scalar, a list, a class or something without fields."""
    kind = type(value)
    if kind is dict:
        return value  # type: ignore[no-any-return]
    if kind in _SCALARS:
        return None
    if isinstance(value, Mapping):
        return value
    if isinstance(value, type):
        return None
    dump = getattr(value, "model_dump", None)
    if callable(dump):
        dumped = dump()
        if isinstance(dumped, Mapping):
            return dumped
    fields = getattr(value, "__dict__", None)
    if fields:
        return {name: field for name, field in fields.items() if not name.startswith("_")}
    found = {name: getattr(value, name) for name in _ATTRIBUTES if hasattr(value, name)}
    return found or None


def clean_text(text: str) -> str:
    """`text` with lone surrogates replaced, which no UTF-8 can carry; the same object when there is none."""
    if text.isascii():
        return text
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        # A pair that was stored as two halves is one character; a half alone is the replacement character.
        return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return text


def plain_json(value: Any) -> Any:
    """`value` as JSON data that botocore sends as it is; the same object where it is that already."""
    kind = type(value)
    if kind is str:
        return clean_text(value)
    if kind is bool or kind is int or value is None:
        return value
    if kind is float:
        return value if isfinite(value) else str(value)
    if kind is dict:
        return _plain_dict(value, plain_json)
    if kind is list:
        return _plain_list(value, plain_json)
    return _foreign(value)


def plain_block(value: Any) -> Any:
    """`plain_json` for a content block, whose blobs are raw bytes and stay so."""
    kind = type(value)
    if kind is bytes or kind is bytearray:
        return value
    if kind is dict:
        return _plain_dict(value, plain_block)
    if kind is list:
        return _plain_list(value, plain_block)
    return plain_json(value)


def _plain_dict(value: dict[Any, Any], clean: Callable[[Any], Any]) -> dict[str, Any]:
    copy: dict[str, Any] | None = None
    for position, (key, item) in enumerate(value.items()):
        plain = clean(item)
        if copy is None and (plain is not item or type(key) is not str):
            copy = dict(islice(value.items(), position))
        if copy is not None:
            copy[clean_text(key if isinstance(key, str) else str(key))] = plain
    return value if copy is None else copy


def _plain_list(value: list[Any], clean: Callable[[Any], Any]) -> list[Any]:
    copy: list[Any] | None = None
    for position, item in enumerate(value):
        plain = clean(item)
        if copy is None and plain is not item:
            copy = value[:position]
        if copy is not None:
            copy.append(plain)
    return value if copy is None else copy


def _foreign(value: Any) -> Any:
    if isinstance(value, str):
        return clean_text(str(value))
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return plain_json(value.real)
    if isinstance(value, Decimal):
        return plain_json(float(value))
    if isinstance(value, (bytes, bytearray)):
        return b64encode(value).decode("ascii")
    if isinstance(value, (tuple, set, frozenset, list)):
        return [plain_json(item) for item in value]
    mapping = as_mapping(value)
    if mapping is not None:
        return {clean_text(str(key)): plain_json(item) for key, item in mapping.items()}
    return clean_text(str(value))


def whole_number(value: Any, field: str, *, at_least: int) -> int:
    """`value` as an int; raises with the option's name where it is none, or smaller."""
    if type(value) is bool or not isinstance(value, (int, float)) or not (isinstance(value, int) or value.is_integer()):
        raise InvalidRequestError("not a whole number", field=field)
    if value < at_least:
        raise InvalidRequestError(f"smaller than {at_least}", field=field)
    return int(value)


def is_blank(text: str) -> bool:
    """True for text that the service calls blank: nothing, or white space only."""
    return not text or text.isspace()
