from __future__ import annotations

import json
from typing import Any

import pytest

from agent.bedrock.request.schemas import grammar_schema
from tests.request.service import CLAUDE, CLAUDE_4_7, CLAUDE_5_5, LLAMA, NOVA, QWEN, USER, built, tool

SCHEMA = {"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"]}
FORMAT = {"type": "json_schema", "json_schema": {"name": "P", "description": "a p", "schema": SCHEMA, "strict": True}}


def test_native_where_the_family_takes_it() -> None:
    request = built(QWEN, [USER], response_format=FORMAT)
    definition = request.kwargs["outputConfig"]["textFormat"]["structure"]["jsonSchema"]
    assert {**definition, "schema": json.loads(definition["schema"])} == {
        "name": "P", "description": "a p", "schema": {**SCHEMA, "additionalProperties": False}}  # fmt: skip
    assert request.structured is not None
    assert (request.structured.mode, request.structured.schema) == ("native", SCHEMA)


def test_a_forced_tool_where_it_does_not() -> None:
    request = built(CLAUDE_4_7, [USER], response_format=FORMAT)
    config = request.kwargs["toolConfig"]
    assert config["toolChoice"] == {"tool": {"name": "structured_output"}}
    assert config["tools"][0]["toolSpec"]["inputSchema"] == {"json": SCHEMA}
    assert request.structured is not None
    assert (request.structured.mode, request.structured.tool_name) == ("tool", "structured_output")


def test_beside_the_callers_tools_any_of_them_may_be_called_first() -> None:
    config = built(NOVA, [USER], [tool()], response_format=FORMAT, prompt_caching=False).kwargs["toolConfig"]
    assert [block["toolSpec"]["name"] for block in config["tools"]] == ["read", "structured_output"]
    assert config["toolChoice"] == {"any": {}}


def test_a_tool_of_the_same_name_keeps_it() -> None:
    request = built(NOVA, [USER], [tool("structured_output")], response_format=FORMAT)
    assert request.structured is not None
    assert request.structured.tool_name == "structured_output_2"
    names = ["structured_output", "structured_output_2"]
    request = built(CLAUDE_4_7, [USER], [tool(name) for name in names], response_format=FORMAT)
    assert request.structured is not None
    assert request.structured.tool_name == "structured_output_3"


@pytest.mark.parametrize("model", [LLAMA, CLAUDE_5_5])
def test_an_instruction_where_neither_is_taken(model: str) -> None:
    request = built(model, [{"role": "system", "content": "s"}, USER], response_format=FORMAT, prompt_caching=False)
    assert json.dumps(SCHEMA) in request.kwargs["system"][1]["text"]
    assert request.structured is not None
    assert request.structured.mode == "instruction"


def test_json_object_is_an_instruction() -> None:
    request = built(CLAUDE, [USER], response_format={"type": "json_object"})
    assert "one JSON object" in request.kwargs["system"][0]["text"]
    assert "outputConfig" not in request.kwargs


@pytest.mark.parametrize("wanted", [None, "text", {"type": "text"}])
def test_plain_text_needs_no_plan(wanted: Any) -> None:
    assert built(CLAUDE, [USER], response_format=wanted).structured is None


def test_citations_rule_out_the_native_form() -> None:
    document = {"document": {"format": "pdf", "name": "a", "source": {"bytes": b"x"}, "citations": {"enabled": True}}}
    messages = [{"role": "user", "content": ["see", document]}]
    request = built(CLAUDE, messages, response_format=FORMAT)
    assert request.structured is not None
    assert request.structured.mode == "tool"


def test_a_schema_that_is_no_object_is_wrapped_for_a_tool() -> None:
    listing = {
        "type": "json_schema",
        "json_schema": {"name": "L", "schema": {"type": "array", "items": {"type": "string"}}},
    }
    request = built(NOVA, [USER], response_format=listing)
    assert request.structured is not None
    assert request.structured.wrapped
    spec = request.kwargs["toolConfig"]["tools"][0]["toolSpec"]["inputSchema"]["json"]
    assert spec["properties"] == {"value": {"type": "array", "items": {"type": "string"}}}


# why, schema, what the grammar takes (None: cannot be said)
GRAMMAR: list[tuple[str, dict[str, Any], dict[str, Any] | None]] = [
    ("objects are closed", SCHEMA, {**SCHEMA, "additionalProperties": False}),
    ("bounds move into the description", {"type": "integer", "minimum": 1, "maximum": 5},
     {"type": "integer", "description": "(minimum: 1, maximum: 5)"}),
    ("behind one that is there", {"type": "integer", "description": "d", "multipleOf": 2},
     {"type": "integer", "description": "d (multipleOf: 2)"}),
    ("lengths are taken", {"type": "string", "minLength": 1, "maxLength": 5}, {"type": "string", "minLength": 1, "maxLength": 5}),
    ("formats it knows", {"type": "string", "format": "date"}, {"type": "string", "format": "date"}),
    ("formats it does not", {"type": "string", "format": "iri"}, {"type": "string", "description": '(format: "iri")'}),
    ("one item is fine, two are not", {"type": "array", "minItems": 2, "items": {"type": "string"}},
     {"type": "array", "items": {"type": "string"}, "description": "(minItems: 2)"}),
    ("oneOf is anyOf", {"oneOf": [{"type": "string"}, SCHEMA]},
     {"anyOf": [{"type": "string"}, {**SCHEMA, "additionalProperties": False}]}),
    ("lookarounds", {"type": "string", "pattern": "(?=a)"}, {"type": "string", "description": '(pattern: "(?=a)")'}),
    ("a property called minimum stays", {"type": "object", "properties": {"minimum": {"type": "string"}}},
     {"type": "object", "properties": {"minimum": {"type": "string"}}, "additionalProperties": False}),
    ("an open object", {"type": "object", "properties": {"a": {}}, "additionalProperties": True}, None),
    ("a dictionary", {"type": "object", "additionalProperties": {"type": "string"}}, None),
    ("a recursive schema", {"$ref": "#/$defs/A", "$defs": {"A": {"properties": {"a": {"$ref": "#/$defs/A"}}}}}, None),
    ("a schema that is its own part", {"type": "object", "properties": {"a": {"$ref": "#"}}}, None),
]  # fmt: skip


@pytest.mark.parametrize(("why", "schema", "grammar"), GRAMMAR, ids=[why for why, *_ in GRAMMAR])
def test_schemas_change_only_where_the_grammar_needs_it(
    why: str, schema: dict[str, Any], grammar: dict[str, Any] | None
) -> None:
    before = json.dumps(schema)
    assert grammar_schema(schema) == grammar
    assert json.dumps(schema) == before


def test_a_schema_that_the_grammar_cannot_say_falls_to_the_next_rung() -> None:
    free = {
        "type": "json_schema",
        "json_schema": {"name": "D", "schema": {"type": "object", "additionalProperties": True}},
    }
    request = built(CLAUDE, [USER], response_format=free)
    assert request.structured is not None
    assert request.structured.mode == "tool"
