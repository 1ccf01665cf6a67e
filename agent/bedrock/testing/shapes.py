"""Requests against botocore's service model: types, required members, unions, bounds, patterns, enums, unknown keys.

A parsed JSON body comes in, the service's complaint goes out, or None. botocore's own validator checks a part of this
in the client (types, required, minimums); here the JSON on the wire is checked, all of it, as the service does. The
model is loaded once per process. Nothing here knows what a message means: that is `rules`.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from botocore.loaders import Loader
from botocore.model import ListShape, MapShape, ServiceModel, Shape, StructureShape

from .script import Refusal

OPERATIONS = {"converse": "Converse", "converse-stream": "ConverseStream", "count-tokens": "CountTokens"}
"""The operations with a body, by the last part of their path."""

JSON_NAMES = {dict: "object", list: "array", str: "string", bool: "boolean", int: "integer", float: "number"}

LENIENT_ENUMS = frozenset({"VideoFormat"})
"""Enums that the service does not hold the caller to: Nova Pro took `video/mp4` as a video's format (recorded 2025)."""

Complaint = str
Path = str


@functools.cache
def service_model(service: str = "bedrock-runtime") -> ServiceModel:
    """botocore's model of a service."""
    return ServiceModel(Loader().load_service_model(service, "service-2"), service)


@functools.cache
def input_shape(operation: str) -> StructureShape:
    """The input of an operation of the runtime, by the last part of its path."""
    shape = service_model().operation_model(OPERATIONS[operation]).input_shape
    if shape is None:
        raise LookupError(f"the service model has no input for {operation}")
    return shape


def judge_shape(operation: str, body: Any) -> Refusal | None:
    """What the service says of a body that does not fit the operation's input shape."""
    shape = input_shape(operation)
    if not isinstance(body, dict):
        return Refusal("SerializationException", "Start of structure or map found where not expected.")
    mistyped = next(_mistyped(body, shape, ""), None)
    if mistyped is not None:
        return Refusal("SerializationException", mistyped)
    found = list(_structure_complaints(body, shape, "", skip=_uri_members(shape)))
    if not found:
        return None
    count = "1 validation error" if len(found) == 1 else f"{len(found)} validation errors"
    return Refusal("ValidationException", f"{count} detected: {'; '.join(found)}")


def judge_model_id(operation: str, model_id: str) -> Refusal | None:
    """What the service says of a model id that does not fit its pattern or length."""
    shape = input_shape(operation).members["modelId"]
    found = list(_string_complaints(model_id, shape, "modelId"))
    return Refusal("ValidationException", f"1 validation error detected: {found[0]}") if found else None


def _uri_members(shape: StructureShape) -> frozenset[str]:
    """Members that travel in the path, not in the body."""
    return frozenset(name for name, member in shape.members.items() if "location" in member.serialization)


# --- types: what the service's deserializer cannot read -------------------------------------------------------------


def _mistyped(value: Any, shape: Shape, path: Path) -> Iterator[Complaint]:
    """Complaints about values of the wrong JSON type; unknown members and null are not judged here."""
    if getattr(shape, "is_document_type", False) or value is None:
        return
    if not isinstance(value, PYTHON_TYPES[shape.type_name]) or (
        isinstance(value, bool) and shape.type_name != "boolean"
    ):
        yield f"{JSON_NAMES[type(value)]} can not be converted to {shape.type_name} at '{path}'"
        return
    for inner, inner_shape, inner_path in _inside(value, shape, path):
        yield from _mistyped(inner, inner_shape, inner_path)


PYTHON_TYPES: Mapping[str, tuple[type, ...]] = {
    "structure": (dict,),
    "map": (dict,),
    "list": (list,),
    "string": (str,),
    "blob": (str,),
    "boolean": (bool,),
    "integer": (int,),
    "long": (int,),
    "float": (int, float),
    "double": (int, float),
    "timestamp": (int, float, str),
}


def _inside(value: Any, shape: Shape, path: Path) -> Iterator[tuple[Any, Shape, Path]]:
    """The values inside a value, with their shapes and paths; unknown members are left out."""
    if isinstance(shape, StructureShape):
        for name, member in value.items():
            if name in shape.members:
                yield member, shape.members[name], _join(path, name)
    elif isinstance(shape, ListShape):
        for number, item in enumerate(value, 1):
            yield item, shape.member, f"{path}.{number}.member"
    elif isinstance(shape, MapShape):
        for name, item in value.items():
            yield name, shape.key, f"{path}.key"
            yield item, shape.value, f"{path}.{name}.member"


# --- constraints: what the service's validator refuses --------------------------------------------------------------


def _complaints(value: Any, shape: Shape, path: Path) -> Iterator[Complaint]:
    if getattr(shape, "is_document_type", False):
        return
    if value is None:
        yield _complaint(None, path, "Member must not be null")
        return
    if isinstance(shape, StructureShape):
        yield from _structure_complaints(value, shape, path)
        return
    if judge := JUDGES.get(shape.type_name):
        yield from judge(value, shape, path)
    for inner, inner_shape, inner_path in _inside(value, shape, path):
        yield from _complaints(inner, inner_shape, inner_path)


def _structure_complaints(
    value: Mapping[str, Any], shape: StructureShape, path: Path, *, skip: frozenset[str] = frozenset()
) -> Iterator[Complaint]:
    """Missing, null, unknown and surplus members, then what is wrong inside the members."""
    given = [name for name, member in value.items() if member is not None]
    for name in shape.required_members:
        if name not in given and name not in skip:
            yield _complaint(None, _join(path, name), "Member must not be null")
    for name in given:
        if name not in shape.members or name in skip:
            yield _complaint(value[name], _join(path, name), "Member is not known to the service")
    if shape.is_tagged_union and len(given) != 1:
        members = ", ".join(shape.members)
        yield _complaint(value, path, f"Member must set exactly one of the members: [{members}]")
    for name in given:
        if name in shape.members and name not in skip:
            yield from _complaints(value[name], shape.members[name], _join(path, name))


def _string_complaints(value: str, shape: Shape, path: Path) -> Iterator[Complaint]:
    yield from _bound_complaints(value, len(value), shape, path, "length")
    pattern = shape.metadata.get("pattern")
    if pattern is not None and not re.fullmatch(pattern, value):
        yield _complaint(value, path, f"Member must satisfy regular expression pattern: {pattern}")
    allowed = shape.metadata.get("enum")
    if allowed and value not in allowed and shape.name not in LENIENT_ENUMS:
        yield _complaint(value, path, f"Member must satisfy enum value set: [{', '.join(allowed)}]")


def _blob_complaints(value: str, shape: Shape, path: Path) -> Iterator[Complaint]:
    """Length in bytes; that the text is base64 at all is not looked at."""
    yield from _bound_complaints(value, len(value.rstrip("=")) * 3 // 4, shape, path, "length")


def _sized_complaints(value: Any, shape: Shape, path: Path) -> Iterator[Complaint]:
    yield from _bound_complaints(value, len(value), shape, path, "length")


def _number_complaints(value: float, shape: Shape, path: Path) -> Iterator[Complaint]:
    yield from _bound_complaints(value, value, shape, path, "value")


JUDGES: Mapping[str, Callable[[Any, Shape, Path], Iterable[Complaint]]] = {
    "string": _string_complaints,
    "blob": _blob_complaints,
    "list": _sized_complaints,
    "map": _sized_complaints,
    "integer": _number_complaints,
    "long": _number_complaints,
    "float": _number_complaints,
    "double": _number_complaints,
}


def _bound_complaints(value: Any, size: float, shape: Shape, path: Path, measure: str) -> Iterator[Complaint]:
    low, high = shape.metadata.get("min"), shape.metadata.get("max")
    if low is not None and size < low:
        yield _complaint(value, path, f"Member must have {measure} greater than or equal to {low}")
    if high is not None and size > high:
        yield _complaint(value, path, f"Member must have {measure} less than or equal to {high}")


def _complaint(value: Any, path: Path, constraint: str) -> Complaint:
    """The service's words; what a message contains is sensitive and not quoted (hermes-agent#90008, n8n#33406)."""
    shown = "null" if value is None else f"'{value}'"
    quoted = "Value" if ".content." in path else f"Value {shown}"
    return f"{quoted} at '{path}' failed to satisfy constraint: {constraint}"


def _join(path: Path, name: str) -> Path:
    return f"{path}.{name}" if path else name
