"""JSON Schemas: the few rewritings that a known incompatibility forces, and nothing else.

In comes a schema; out goes one that the service's grammar takes, or None where none says the same. Constraints that the
grammar refuses move into the description, so that the model still reads them. The caller's schema is never changed.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from ..patterns import pattern
from .reading import as_mapping, plain_json

EMPTY_OBJECT_SCHEMA: dict[str, Any] = {"type": "object", "properties": {}}

# Refused under strict and outputConfig (live 2026-05-19; minLength and maxLength are accepted despite the documentation).
_REFUSED_CONSTRAINTS = frozenset({
    "minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf", "maxItems", "contains", "minContains",
    "maxContains", "uniqueItems", "patternProperties", "minProperties", "maxProperties", "propertyNames",
})  # fmt: skip
_STRING_FORMATS = frozenset({
    "date-time", "time", "date", "duration", "email", "hostname", "uri", "ipv4", "ipv6", "uuid",
})  # fmt: skip
_REFUSED_PATTERN = pattern(r"\(\?[=!<]|\\[1-9]")
_SCHEMA_MAPS = ("properties", "$defs", "definitions")
_SCHEMA_LISTS = ("anyOf", "allOf", "oneOf", "prefixItems")
_DATA_KEYS = frozenset({"enum", "const", "default", "examples", "required", "type"})

MAX_STRICT_TOOLS = 20
MAX_OPTIONAL_PARAMETERS = 24
MAX_UNION_PARAMETERS = 16


class _InexpressibleError(Exception):
    """The grammar cannot say what the schema says."""


def object_schema(schema: Any) -> dict[str, Any]:
    """A tool's parameters as the object schema that the service insists on."""
    mapping = as_mapping(schema)
    if not mapping:
        return {"type": "object", "properties": {}}
    plain: dict[str, Any] = plain_json(mapping if type(mapping) is dict else dict(mapping))
    if plain.get("type") == "object":
        return plain
    return {**plain, "type": "object"}


def grammar_schema(schema: Mapping[str, Any]) -> dict[str, Any] | None:
    """`schema` as the grammar of strict tools and native output takes it; None where it cannot be said there."""
    if _is_recursive(schema):
        return None
    try:
        rewritten: dict[str, Any] = _for_grammar(schema)
    except _InexpressibleError:
        return None
    return rewritten


def _for_grammar(node: Any) -> Any:
    if not isinstance(node, Mapping):
        return node
    result: dict[str, Any] = {}
    moved: list[str] = []
    for key, value in node.items():
        if _is_refused(key, value):
            moved.append(f"{key}: {json.dumps(value, ensure_ascii=False)}")
        else:
            result["anyOf" if key == "oneOf" else key] = _for_grammar_member(key, value)
    if _is_object(node):
        _close_object(node, result)
    if moved:
        said = f"{result['description']} " if result.get("description") else ""
        result["description"] = f"{said}({', '.join(moved)})"
    return result


def _for_grammar_member(key: str, value: Any) -> Any:
    if key in _DATA_KEYS:
        return value
    if key in _SCHEMA_MAPS and isinstance(value, Mapping):
        return {name: _for_grammar(inner) for name, inner in value.items()}
    if key in _SCHEMA_LISTS and isinstance(value, list):
        return [_for_grammar(inner) for inner in value]
    if key == "items":
        return _for_grammar(value)
    return value


def _is_refused(key: str, value: Any) -> bool:
    if key in _REFUSED_CONSTRAINTS:
        return True
    if key == "minItems":
        return isinstance(value, int) and value > 1
    if key == "pattern":
        return isinstance(value, str) and _REFUSED_PATTERN.search(value) is not None
    return key == "format" and isinstance(value, str) and value not in _STRING_FORMATS


def _is_object(node: Mapping[str, Any]) -> bool:
    kind = node.get("type")
    return kind == "object" or (isinstance(kind, list) and "object" in kind) or "properties" in node


def _close_object(node: Mapping[str, Any], result: dict[str, Any]) -> None:
    """additionalProperties has to be false; an object that lives from free keys cannot be said."""
    free = node.get("additionalProperties")
    if free not in (None, False) or not node.get("properties"):
        if free is False:
            return
        raise _InexpressibleError
    result["additionalProperties"] = False


def _is_recursive(schema: Mapping[str, Any]) -> bool:
    definitions = _definitions(schema)
    return any(_reaches(name, name, definitions, set()) for name in definitions) or '"$ref": "#"' in json.dumps(
        schema, default=str
    )


def _reaches(start: str, goal: str, definitions: Mapping[str, Any], seen: set[str]) -> bool:
    for name in _references(definitions.get(start)):
        if name == goal:
            return True
        if name not in seen:
            seen.add(name)
            if _reaches(name, goal, definitions, seen):
                return True
    return False


def _definitions(schema: Mapping[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key in ("definitions", "$defs"):
        inner = schema.get(key)
        if isinstance(inner, Mapping):
            found.update(inner)
    return found


def _references(node: Any) -> list[str]:
    if isinstance(node, list):
        return [name for item in node for name in _references(item)]
    if not isinstance(node, Mapping):
        return []
    own = [_reference_name(node["$ref"])] if isinstance(node.get("$ref"), str) else []
    return own + [name for key, item in node.items() if key != "$ref" for name in _references(item)]


def _reference_name(reference: str) -> str:
    return reference.rpartition("/")[2]


def inline_references(schema: dict[str, Any]) -> dict[str, Any]:
    """The schema with its $defs written out where they are used; a recursive one ends in an open schema."""
    definitions = _definitions(schema)
    if not definitions:
        return schema
    inlined: dict[str, Any] = _inlined(
        {key: value for key, value in schema.items() if key not in ("$defs", "definitions")}, definitions, ()
    )
    return inlined


def _inlined(node: Any, definitions: Mapping[str, Any], inside: tuple[str, ...]) -> Any:
    if isinstance(node, list):
        return [_inlined(item, definitions, inside) for item in node]
    if not isinstance(node, Mapping):
        return node
    reference = node.get("$ref")
    if not isinstance(reference, str):
        return {key: _inlined(value, definitions, inside) for key, value in node.items()}
    name = _reference_name(reference)
    rest = {key: _inlined(value, definitions, inside) for key, value in node.items() if key != "$ref"}
    if name in inside or name not in definitions:
        return rest
    return {**_inlined(definitions[name], definitions, (*inside, name)), **rest}


def optional_parameters(schema: Any) -> int:
    """How many properties of the schema are not required, at any depth."""
    return _counted(schema, _optional_here)


def union_parameters(schema: Any) -> int:
    """How many properties of the schema are unions, at any depth."""
    return _counted(schema, _unions_here)


def _counted(node: Any, count: Any) -> int:
    if isinstance(node, list):
        return sum(_counted(item, count) for item in node)
    if not isinstance(node, Mapping):
        return 0
    return int(count(node)) + sum(_counted(value, count) for value in node.values())


def _optional_here(node: Mapping[str, Any]) -> int:
    properties = node.get("properties")
    if not isinstance(properties, Mapping):
        return 0
    required = node.get("required")
    return sum(name not in (required if isinstance(required, list) else ()) for name in properties)


def _unions_here(node: Mapping[str, Any]) -> int:
    properties = node.get("properties")
    if not isinstance(properties, Mapping):
        return 0
    return sum(
        isinstance(p, Mapping) and ("anyOf" in p or isinstance(p.get("type"), list)) for p in properties.values()
    )
