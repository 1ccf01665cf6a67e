"""What the service refuses in tool definitions, tool choice, and the schemas of structured output."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from ..script import Refusal
from .families import FORCED
from .words import from_model, no_such_field

if TYPE_CHECKING:
    from .case import Case

TOOL_MODEL_ERROR = (
    "Model produced invalid sequence as part of ToolUse. Please refer to the model tool use troubleshooting guide."
)

NUMBER_BOUNDS = ("exclusiveMaximum", "exclusiveMinimum", "maximum", "minimum", "multipleOf")
ARRAY_BOUNDS = ("contains", "maxItems")

STRICT_TOOLS = 20
"""Strict tools in one request, at most (pydantic-ai, from Anthropic's documentation)."""


def no_tools(case: Case) -> str | None:
    """DeepSeek R1, Titan, the oldest Claude."""
    if case.tools and not case.family.tools:
        return "This model doesn't support tool use."
    return None


def schema_is_no_object(case: Case) -> str | None:
    """aws-tools-for-powershell#354."""
    for index, spec in case.tool_specs:
        if not isinstance(spec["inputSchema"].get("json"), dict):
            return (
                f"The format of the value at toolConfig.tools.{index}.toolSpec.inputSchema.json is invalid. "
                "Provide a json object for the field and try again."
            )
    return None


def schema_has_no_object_type(case: Case) -> str | None:
    """The top of a tool's schema is an object."""
    for index, spec in case.tool_specs:
        if spec["inputSchema"]["json"].get("type") != "object":
            return f"The value at toolConfig.tools.{index}.toolSpec.inputSchema.json.type must be one of the following: object."
    return None


def input_is_no_object(case: Case) -> str | None:
    """The same words as for a schema (aws-tools-for-powershell#354)."""
    for block in case.of("toolUse"):
        if not isinstance(block.value["input"], dict):
            return (
                f"The format of the value at {block.at}.toolUse.input is invalid. "
                "Provide a json object for the field and try again."
            )
    return None


def result_json_is_no_object(case: Case) -> str | None:
    """The same words as for a schema."""
    for block in case.of("toolResult"):
        for index, part in enumerate(block.value["content"]):
            if "json" in part and not isinstance(part["json"], dict):
                return (
                    f"The format of the value at {block.at}.toolResult.content.{index}.json is invalid. "
                    "Provide a json object for the field and try again."
                )
    return None


def duplicate_names(case: Case) -> str | None:
    """Names of tools are unique; the words are Anthropic's."""
    names = [spec["name"] for _, spec in case.tool_specs]
    if len(names) != len(set(names)):
        return from_model("tools: Tool names must be unique.")
    return None


def unknown_choice(case: Case) -> str | None:
    """A choice names a tool that is there; the words are Anthropic's."""
    if case.choice != "tool":
        return None
    name = case.body["toolConfig"]["toolChoice"]["tool"]["name"]
    if name not in {spec["name"] for _, spec in case.tool_specs} | _system_tools(case):
        return from_model(f"Tool '{name}' not found in provided tools")
    return None


def choice(case: Case) -> str | None:
    """harness-sdk#1241; Claude 5.5 has words of its own (ax#667)."""
    if case.choice is None or case.choice in case.family.choices:
        return None
    if case.family.is_claude:
        return from_model('tool_choice: type "tool" and "any" are not supported for this model.')
    return no_such_field(f"toolConfig.toolChoice.{case.choice}")


def forced_while_thinking(case: Case) -> str | None:
    """langchain-aws#1141: with a budget; adaptive thinking is disputed and left unjudged."""
    if case.thinking == "enabled" and case.choice in FORCED:
        return from_model("Thinking may not be enabled when tool_choice forces tool use.")
    return None


def status(case: Case) -> str | None:
    """pydantic-ai, Palmyra; accepted without (recorded 2025)."""
    if not case.family.status and any("status" in block.value for block in case.of("toolResult")):
        return no_such_field("status")
    return None


def hyphens(case: Case) -> Refusal | None:
    """SEMOSS#2892: Nova's answer to a tool with a hyphen in its name, every time."""
    named = [spec["name"] for _, spec in case.tool_specs]
    if case.family.hyphens or not any("-" in name for name in named):
        return None
    return Refusal("ModelErrorException", TOOL_MODEL_ERROR, members={"originalStatusCode": 424})


def structured_output(case: Case) -> str | None:
    """ax#667, presenton#939 for Claude; elsewhere in the words for any field that a model does not have."""
    if case.family.structured is not False or not (case.body.get("outputConfig") or {}).get("textFormat"):
        return None
    if case.family.is_claude:
        return from_model("output_config.format: Extra inputs are not permitted")
    return no_such_field("outputConfig")


def strict_unsupported(case: Case) -> str | None:
    """ax#667."""
    for index, spec in case.tool_specs:
        if spec.get("strict") and not case.family.strict:
            return from_model(f"tools.{index}.custom.strict: Extra inputs are not permitted")
    return None


def too_many_strict(case: Case) -> str | None:
    """Anthropic's limit; the words are not recorded."""
    count = sum(bool(spec.get("strict")) for _, spec in case.tool_specs)
    if _holds_to_strict(case) and count > STRICT_TOOLS:
        return from_model(f"tools: at most {STRICT_TOOLS} strict tools are supported, found {count}")
    return None


def strict_schema(case: Case) -> str | None:
    """vercel/ai#20681, pi#9953."""
    for index, spec in case.tool_specs:
        if spec.get("strict") and _holds_to_strict(case):
            for complaint in _schema_complaints(spec["inputSchema"]["json"]):
                return from_model(f"tools.{index}.custom: {complaint}")
    return None


def output_schema(case: Case) -> str | None:
    """The same limits for the schema of the answer, which is JSON in a string."""
    text = (case.body.get("outputConfig") or {}).get("textFormat", {}).get("structure", {}).get("jsonSchema", {})
    if not text:
        return None
    try:
        schema = json.loads(text["schema"])
    except ValueError:
        return "The format of the value at outputConfig.textFormat.structure.jsonSchema.schema is invalid. Provide a json object for the field and try again."
    if _holds_to_strict(case):
        for complaint in _schema_complaints(schema):
            return from_model(f"output_config.format.schema: {complaint}")
    return None


RULES = (
    schema_is_no_object,
    schema_has_no_object_type,
    input_is_no_object,
    result_json_is_no_object,
    no_tools,
    choice,
    status,
    structured_output,
    duplicate_names,
    unknown_choice,
    forced_while_thinking,
    strict_unsupported,
    too_many_strict,
    strict_schema,
    output_schema,
    hyphens,
)


def _system_tools(case: Case) -> set[str]:
    return {tool["systemTool"]["name"] for tool in case.tools if "systemTool" in tool}


def _holds_to_strict(case: Case) -> bool:
    """Whether the limits of strict schemas are known for the model: Claude's are, where it takes them at all."""
    return case.family.is_claude and case.family.strict


def _schema_complaints(schema: Any) -> Iterator[str]:
    """What strict mode refuses in a schema, at any depth."""
    if isinstance(schema, list):
        for item in schema:
            yield from _schema_complaints(item)
    if not isinstance(schema, dict):
        return
    yield from _node_complaints(schema)
    for name, inner in schema.items():
        if name in ("properties", "$defs", "definitions") and isinstance(inner, dict):
            for item in inner.values():
                yield from _schema_complaints(item)
        elif name in ("items", "anyOf", "allOf", "oneOf", "not", "additionalProperties"):
            yield from _schema_complaints(inner)


def _node_complaints(node: Mapping[str, Any]) -> Iterator[str]:
    kind = node.get("type")
    if kind == "object" and node.get("additionalProperties") is not False:
        yield "For 'object' type, 'additionalProperties' must be explicitly set to false"
    bounds = [name for name in NUMBER_BOUNDS if name in node]
    if kind in ("integer", "number") and bounds:
        yield f"For '{kind}' type, properties {', '.join(bounds)} are not supported"
    arrays = [name for name in ARRAY_BOUNDS if name in node]
    if kind == "array" and arrays:
        yield f"For 'array' type, properties {', '.join(arrays)} are not supported"
    if kind == "array" and node.get("minItems", 0) > 1:
        yield f"For 'array' type, 'minItems' values other than 0 or 1 are not supported (found: {node['minItems']})"
