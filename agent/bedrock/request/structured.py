"""response_format: the ladder from native output over a forced tool to an instruction.

In comes OpenAI's response_format; out goes a plan, which the answer's side needs too (to find and check the object), and
what the plan adds to a request. The first rung that the family takes is used; schemas change only where they have to.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal

from ..errors import InvalidRequestError
from ..values import frozen
from .reading import as_mapping, plain_json
from .schemas import grammar_schema, object_schema

if TYPE_CHECKING:
    from .context import Block, Context

STRUCTURED_TOOL = "structured_output"

Mode = Literal["native", "tool", "instruction"]


@frozen
class StructuredOutput:
    """How a structured answer was asked for; `schema` is the caller's own, None for json_object.

    `tool_name` is the wire name of the tool whose call is the answer (mode "tool"), else empty. `wrapped` says that the
    object sits under the key "value", because a tool's input has to be an object.
    """

    mode: Mode
    name: str
    schema: Mapping[str, Any] | None
    strict: bool
    tool_name: str = ""
    wrapped: bool = False
    description: str = ""
    grammar: Mapping[str, Any] | None = None


def plan_structured_output(context: Context, *, forced_tool_allowed: bool) -> StructuredOutput | None:
    """The plan for `response_format`; None where plain text is asked for."""
    wanted = _read(context.options.response_format)
    if wanted is None:
        return None
    name, schema, strict, description = wanted
    if schema is None:
        return StructuredOutput("instruction", name, None, strict)
    if context.profile.native_schema and not _asks_for_citations(context):
        grammar = grammar_schema(schema)
        if grammar is not None:
            return StructuredOutput("native", name, schema, strict, description=description, grammar=grammar)
    if forced_tool_allowed and context.profile.tools and context.profile.forced_tool_choice:
        wrapped = schema.get("type") != "object" and "properties" not in schema
        return StructuredOutput("tool", name, schema, strict, STRUCTURED_TOOL, wrapped, description)
    return StructuredOutput("instruction", name, schema, strict, description=description)


def _asks_for_citations(context: Context) -> bool:
    """The service says "Citations cannot be enabled when output format is set"."""
    return context.options.citations or "citations" in context.kinds


def _read(response_format: Any) -> tuple[str, dict[str, Any] | None, bool, str] | None:
    fields = as_mapping(response_format)
    if fields is None:
        if response_format is None or response_format == "text":
            return None
        if response_format in ("json", "json_object"):
            return "output", None, False, ""
        raise InvalidRequestError("response_format is an object with a type", field="response_format")
    kind = fields.get("type")
    if kind == "text" or not any(value is not None for value in fields.values()):
        return None
    if kind == "json_object":
        return "output", None, False, ""
    if kind != "json_schema":
        raise InvalidRequestError(f"unknown type {kind!r}", field="response_format.type")
    body = as_mapping(fields.get("json_schema")) or fields
    schema = as_mapping(body.get("schema"))
    if schema is None:
        raise InvalidRequestError("a json_schema without a schema", field="response_format.json_schema.schema")
    return (
        str(body.get("name") or "output"),
        plain_json(dict(schema)),
        body.get("strict") is True,
        str(body.get("description") or ""),
    )


def text_format(plan: StructuredOutput) -> dict[str, Any]:
    """outputConfig.textFormat; the schema travels as text."""
    definition: dict[str, Any] = {
        "schema": json.dumps(plan.grammar, ensure_ascii=False),
        "name": plan.name,
    }
    if plan.description:
        definition["description"] = plan.description
    return {"type": "json_schema", "structure": {"jsonSchema": definition}}


def output_tool(plan: StructuredOutput) -> Block:
    """The tool whose input is the answer."""
    schema = dict(plan.schema or {})
    if plan.wrapped:
        schema = {"type": "object", "properties": {"value": schema}, "required": ["value"]}
    description = f"Give the final answer ({plan.name}) by calling this tool. {plan.description}".strip()
    return {
        "toolSpec": {"name": plan.tool_name, "description": description, "inputSchema": {"json": object_schema(schema)}}
    }


def instruction(plan: StructuredOutput) -> str:
    """What a model that takes neither is told."""
    if plan.schema is None:
        return "Answer with one JSON object and nothing else: no prose, no code fence."
    schema = json.dumps(plan.schema, ensure_ascii=False)
    return (
        "Your final answer is one JSON value and nothing else: no prose, no code fence. It has to match this JSON "
        f"Schema:\n{schema}"
    )
