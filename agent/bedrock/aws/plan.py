"""A plan of a request's body, compiled from botocore's service model: what botocore would refuse, and what it changes.

In comes botocore's model of an operation, out goes a function that walks a request once. It returns the request as the
JSON encoder is to have it, the very same objects wherever nothing has to be changed, and raises one of `SURPRISES` for
everything that botocore would refuse, or treat in any other way than as it stands: only botocore knows the words for it.
A model that asks for more than is known here has no plan. Nothing is changed in place.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from math import isfinite
from typing import Any

from ..values import frozen

Blob = Callable[[bytes | bytearray], Any]
"""What stands for bytes in the JSON data."""

Walk = Callable[[Any, Blob], Any]
Rule = int | Walk
"""How a structure treats a member: text of at least that many characters, for calls cost most; anything else is walked."""


class SurpriseError(Exception):
    """The request is not plainly valid: botocore has to look at it."""


class NoPlanError(SurpriseError):
    """The service model asks for more than is known here."""


#: What a lookup or a comparison raises when it meets what no valid request holds; all mean a surprise.
SURPRISES = (SurpriseError, LookupError, TypeError, ValueError, OverflowError, RecursionError)


@frozen
class Plan:
    """How requests of an operation are walked, and which of their members stand in the URI instead of the body.

    `stand_in` has the members of the body that botocore has to find, empty: a request with them alone is valid.
    """

    walk: Walk
    outside: frozenset[str]
    stand_in: Mapping[str, Any]


def compile_plan(operation_model: Any) -> Plan:
    """The plan of an operation; raises NoPlanError, or AttributeError where botocore is not the one known here."""
    service, shape = operation_model.service_model, operation_model.input_shape
    protocol = getattr(service, "resolved_protocol", None) or service.protocol  # the former since botocore 1.38
    if protocol != "rest-json" or shape is None or set(shape.serialization) - {"name"}:
        raise NoPlanError(f"{operation_model.name}: {protocol}")
    outside = frozenset(name for name, member in shape.members.items() if member.serialization.get("location") == "uri")
    required = [name for name in shape.metadata.get("required", ()) if name not in outside]
    if any(shape.members[name].type_name != "list" or shape.members[name].metadata.get("min") for name in required):
        raise NoPlanError(f"{operation_model.name}: a request without a body would not be valid")
    for trait in _TRAITS_THAT_READ_THE_BODY:
        if getattr(operation_model, trait, None):
            raise NoPlanError(f"{operation_model.name}: {trait}")
    return Plan(_Compiler().members_of(shape, outside), outside, {name: [] for name in required})


#: With one of these botocore itself looks into a request after its serialization has begun.
_TRAITS_THAT_READ_THE_BODY = ("context_parameters", "operation_context_parameters", "http_checksum", "endpoint",
                              "request_compression", "has_streaming_input", "has_event_stream_input")  # fmt: skip


class _Compiler:
    """Compiles a shape when the first request that has it comes by; structures only once, for they may hold themselves."""

    def __init__(self) -> None:
        self._structures: dict[str, Walk] = {}

    def walk(self, shape: Any) -> Walk:
        """The walk of a shape in the body."""
        if set(shape.serialization) - {"name"}:
            raise NoPlanError(f"{shape.name}: {sorted(shape.serialization)}")
        return self.walk_of_type(shape)

    def walk_of_type(self, shape: Any) -> Walk:
        """The walk of a shape wherever it stands."""
        compile_type = _TYPES.get(shape.type_name)
        if compile_type is None:
            raise NoPlanError(f"{shape.name}: {shape.type_name}")
        return compile_type(self, shape)

    def structure(self, shape: Any) -> Walk:
        if shape.is_document_type:
            return _document
        # The traits of a member may differ from those of its shape.
        key = f"{shape.name} {sorted(shape.metadata.items(), key=repr)}"
        if key not in self._structures:
            self._structures[key] = self.members_of(shape)
        return self._structures[key]

    def members_of(self, shape: Any, outside: frozenset[str] = frozenset()) -> Walk:
        """The walk of a structure, some of whose members stand outside the body."""
        required = tuple(shape.metadata.get("required", ()))
        build = _union if shape.is_tagged_union else _structure
        return build(_Members(self, shape, outside), required)

    def list_of(self, shape: Any) -> Walk:
        return _list(self.walk(shape.member), shape.metadata.get("min", 0))

    def map_of(self, shape: Any) -> Walk:
        return _map(self.walk(shape.key), self.walk(shape.value))

    def text(self, shape: Any) -> Walk:
        return _text(_least_length(shape))

    def integer(self, shape: Any) -> Walk:
        return _number((int,), shape.metadata.get("min"))

    def number(self, shape: Any) -> Walk:
        return _number((float, int), shape.metadata.get("min"))

    def blob(self, _shape: Any) -> Walk:
        return _blob

    def boolean(self, _shape: Any) -> Walk:
        return _boolean


class _Members(dict[str, Rule]):
    """The rules of a structure's members, each compiled when it is met; an unknown one is a KeyError."""

    def __init__(self, compiler: _Compiler, shape: Any, outside: frozenset[str]) -> None:
        super().__init__()
        self._compiler = compiler
        self._shapes = shape.members
        self._outside = outside

    def __missing__(self, name: str) -> Rule:
        shape = self._shapes[name]
        if name not in self._outside and shape.serialization.get("name", name) != name:
            raise NoPlanError(f"{name} has another name on the wire")
        compile_shape = self._compiler.walk_of_type if name in self._outside else self._compiler.walk
        walk = compile_shape(shape)
        rule = self[name] = _least_length(shape) if shape.type_name == "string" else walk
        return rule


_TYPES: Mapping[str, Callable[[_Compiler, Any], Walk]] = {
    "structure": _Compiler.structure,
    "list": _Compiler.list_of,
    "map": _Compiler.map_of,
    "string": _Compiler.text,
    "integer": _Compiler.integer,
    "long": _Compiler.integer,
    "float": _Compiler.number,
    "double": _Compiler.number,
    "blob": _Compiler.blob,
    "boolean": _Compiler.boolean,
}


# --- containers -------------------------------------------------------------------------------------------------------


def _structure(members: Mapping[str, Rule], required: tuple[str, ...]) -> Walk:
    def walk(value: Any, blob: Blob) -> Any:
        if type(value) is not dict:
            raise SurpriseError
        for name in required:
            if name not in value:
                raise SurpriseError
        changed: dict[str, Any] | None = None
        for name, member in value.items():
            rule = members[name]
            if isinstance(rule, int):
                if type(member) is not str or len(member) < rule:
                    raise SurpriseError
                continue
            walked = rule(member, blob)
            if walked is not member:
                changed = dict(value) if changed is None else changed
                changed[name] = walked
        return value if changed is None else changed

    return walk


def _union(members: Mapping[str, Rule], required: tuple[str, ...]) -> Walk:
    if required:
        raise NoPlanError(f"a union that requires {required}")

    def walk(value: Any, blob: Blob) -> Any:
        if type(value) is not dict:
            raise SurpriseError
        ((name, member),) = value.items()  # one member, or a ValueError
        rule = members[name]
        if isinstance(rule, int):
            if type(member) is not str or len(member) < rule:
                raise SurpriseError
            return value
        walked = rule(member, blob)
        return value if walked is member else {name: walked}

    return walk


def _list(walk_item: Walk, least: int) -> Walk:
    def walk(value: Any, blob: Blob) -> Any:
        if type(value) not in _LISTS or len(value) < least:
            raise SurpriseError
        changed: list[Any] | None = None
        for index, item in enumerate(value):
            walked = walk_item(item, blob)
            if walked is not item:
                changed = list(value) if changed is None else changed
                changed[index] = walked
        return value if changed is None else changed

    return walk


_LISTS = (list, tuple)


def _map(walk_key: Walk, walk_value: Walk) -> Walk:
    def walk(value: Any, blob: Blob) -> Any:
        if type(value) is not dict:
            raise SurpriseError
        changed: dict[str, Any] | None = None
        for key, item in value.items():
            walk_key(key, blob)
            walked = walk_value(item, blob)
            if walked is not item:
                changed = dict(value) if changed is None else changed
                changed[key] = walked
        return value if changed is None else changed

    return walk


def _document(value: Any, blob: Blob) -> Any:
    """Any JSON data. Keys are the encoder's business: botocore does not look at them either."""
    kind = type(value)
    if kind is dict:
        for member in value.values():
            _document(member, blob)
        return value
    if kind is list:
        for item in value:
            _document(item, blob)
        return value
    if kind is str or value is None or kind is int or kind is bool or (kind is float and isfinite(value)):
        return value
    raise SurpriseError


# --- leaves -----------------------------------------------------------------------------------------------------------


def _text(least: int) -> Walk:
    def walk(value: Any, _blob: Blob) -> Any:
        if type(value) is not str or len(value) < least:
            raise SurpriseError
        return value

    return walk


def _least_length(shape: Any) -> int:
    return int(shape.metadata.get("min", 0))


def _number(kinds: tuple[type, ...], least: float | None) -> Walk:
    """A bool is none here, though botocore takes it for an int; neither is what JSON has no word for."""

    def walk(value: Any, _blob: Blob) -> Any:
        kind = type(value)
        if kind not in kinds or (kind is float and not isfinite(value)) or (least is not None and value < least):
            raise SurpriseError
        return value

    return walk


def _blob(value: Any, blob: Blob) -> Any:
    """Bytes; botocore also takes text, which it encodes, and what can be read."""
    if not isinstance(value, bytes | bytearray):
        raise SurpriseError
    return blob(value)


def _boolean(value: Any, _blob: Blob) -> Any:
    if type(value) is not bool:
        raise SurpriseError
    return value
