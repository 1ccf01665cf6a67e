"""Tools and tool_choice -> toolConfig.

In come tools as OpenAI, Anthropic or Converse write them; out come toolSpec blocks with legal names and object schemas.
Schemas are not rewritten beyond what a family is known to refuse. Nothing is sent to a model that calls no tools.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from ..errors import InvalidRequestError
from ..models.profiles import PERMISSIVE
from .calls import wire_name
from .content import cache_point
from .context import Block, Context
from .media import Place
from .options import RequestOptions
from .reading import as_mapping, clean_text, is_blank, plain_json
from .schemas import (
    MAX_OPTIONAL_PARAMETERS,
    MAX_STRICT_TOOLS,
    MAX_UNION_PARAMETERS,
    grammar_schema,
    inline_references,
    object_schema,
    optional_parameters,
    union_parameters,
)

_CUSTOM_TOOL_SCHEMA = {"type": "object", "properties": {"input": {"type": "string"}}, "required": ["input"]}


def convert_tools(tools: Iterable[Any] | None, context: Context | None = None) -> list[Block]:
    """The Converse form of `tools`; None and [] give []. Without a context for no model in particular."""
    if context is None:
        context = Context("", PERMISSIVE, RequestOptions(prompt_caching=False))
    converted: list[Block] = []
    seen: set[str] = set()
    for index, tool in enumerate(tools or ()):
        for block in _tool(tool, index, context):
            name = (block.get("toolSpec") or block.get("systemTool") or {}).get("name")
            if name in seen:
                context.repair("drop_duplicate_tool", None, f"tools[{index}] repeats a name, the first one stays")
                continue
            if name is not None:
                seen.add(name)
            converted.append(block)
    if context.options.stable_tool_order and not any("cachePoint" in block for block in converted):
        converted.sort(key=_tool_name)
    return _limit_strict(converted, context)


def _tool_name(block: Block) -> str:
    return str((block.get("toolSpec") or block.get("systemTool") or {}).get("name", ""))


def _tool(tool: Any, index: int, context: Context) -> list[Block]:
    fields = as_mapping(tool)
    if fields is None:
        raise InvalidRequestError(f"a tool cannot be a {type(tool).__name__}", field=f"tools[{index}]")
    if "cachePoint" in fields:
        return [cache_point({"ttl": (as_mapping(fields["cachePoint"]) or {}).get("ttl")}, _place(context))]
    if "systemTool" in fields:
        name = (as_mapping(fields["systemTool"]) or {}).get("name")
        return system_tools([str(name or "")], context)
    body = as_mapping(fields.get("function")) or as_mapping(fields.get("toolSpec")) or as_mapping(fields.get("custom"))
    spec = _tool_spec(body if body is not None else fields, index, context, custom="custom" in fields)
    marker = fields.get("cache_control") or (body.get("cache_control") if body is not None else None)
    return [spec, cache_point(marker, _place(context))] if marker else [spec]


def _place(context: Context) -> Place:
    return Place(context, -1, "tools")


def _tool_spec(body: Mapping[str, Any], index: int, context: Context, *, custom: bool) -> Block:
    name = body.get("name")
    if not isinstance(name, str) or not name:
        raise InvalidRequestError("a tool without a name", field=f"tools[{index}]")
    schema = object_schema(_CUSTOM_TOOL_SCHEMA if custom else _parameters(body))
    if context.profile.inline_schema_references:
        schema = inline_references(schema)
    spec: dict[str, Any] = {"name": wire_name(name, context, None)}
    description = body.get("description")
    if isinstance(description, str) and not is_blank(description):
        spec["description"] = clean_text(description)
    spec["inputSchema"] = {"json": schema}
    if body.get("strict") is True:
        _make_strict(spec, schema, context)
    return {"toolSpec": spec}


def _parameters(body: Mapping[str, Any]) -> Any:
    for key in ("parameters", "input_schema", "inputSchema"):
        schema = body.get(key)
        if schema is not None:
            wrapped = as_mapping(schema)
            return wrapped["json"] if wrapped is not None and set(wrapped) == {"json"} else schema
    return None


def _make_strict(spec: dict[str, Any], schema: dict[str, Any], context: Context) -> None:
    """`strict` only where the family takes it and the grammar can say the schema as it is."""
    if not context.profile.strict_tools:
        context.repair("drop_strict", None, "strict was left out: the model does not take it")
        return
    if context.profile is PERMISSIVE:
        spec["strict"] = True
        return
    expressed = grammar_schema(schema)
    if expressed is None or _loses_constraints(schema, expressed):
        context.repair("drop_strict", None, "strict was left out: the grammar cannot say the schema")
        return
    spec["inputSchema"] = {"json": expressed}
    spec["strict"] = True


def _loses_constraints(schema: Mapping[str, Any], expressed: Mapping[str, Any]) -> bool:
    """Closing objects adds a word; anything that changed a description took a constraint away."""
    return _descriptions(schema) != _descriptions(expressed)


def _descriptions(node: Any) -> list[Any]:
    if isinstance(node, list):
        return [text for item in node for text in _descriptions(item)]
    if not isinstance(node, Mapping):
        return []
    own = [node["description"]] if isinstance(node.get("description"), str) else []
    return own + [text for value in node.values() for text in _descriptions(value)]


def _limit_strict(tools: list[Block], context: Context) -> list[Block]:
    """At most 20 strict tools, 24 optional and 16 union parameters in a request (live 2026)."""
    strict = optional = unions = 0
    for position, block in enumerate(tools):
        spec = block.get("toolSpec", {})
        if not spec.get("strict"):
            continue
        schema = spec["inputSchema"]["json"]
        strict += 1
        optional += optional_parameters(schema)
        unions += union_parameters(schema)
        if strict > MAX_STRICT_TOOLS or optional > MAX_OPTIONAL_PARAMETERS or unions > MAX_UNION_PARAMETERS:
            context.repair("drop_strict", None, "strict was left out beyond the limits of the service")
            tools[position] = {"toolSpec": {key: value for key, value in spec.items() if key != "strict"}}
    return tools


def system_tools(names: Sequence[str], context: Context) -> list[Block]:
    """Tools that the service carries out itself, for models that have them."""
    if not names:
        return []
    if not context.profile.system_tools:
        context.warn("drop_system_tools", "system tools were left out: the model has none")
        return []
    return [{"systemTool": {"name": name}} for name in names]


# --------------------------------------------------------------------------------------------------------- tool_choice

_WORDS = {"auto": "auto", "required": "any", "any": "any", "none": "none", "validated": "auto"}


def read_tool_choice(choice: Any) -> str | tuple[str, str] | None:
    """One of "auto", "any", "none", ("tool", name), or None; raises with the allowed forms for anything else."""
    if choice is None:
        return None
    if isinstance(choice, str):
        return _WORDS.get(choice) or ("tool", choice)
    fields = as_mapping(choice)
    if fields is not None:
        found = _from_mapping(fields)
        if found is not None:
            return found
    raise InvalidRequestError(
        'tool_choice is "auto", "required" (or "any"), "none", a tool\'s name, or {"type": "function", '
        '"function": {"name": ...}}',
        field="tool_choice",
    )


def _from_mapping(fields: Mapping[str, Any]) -> str | tuple[str, str] | None:
    for word in ("auto", "any"):
        if word in fields:
            return word
    allowed = as_mapping(fields.get("allowed_tools"))
    if allowed is not None or fields.get("type") == "allowed_tools":
        return _WORDS.get(str((allowed or fields).get("mode", "auto")))
    for key in ("function", "custom", "tool"):
        inner = as_mapping(fields.get(key))
        if inner is not None and inner.get("name"):
            return ("tool", str(inner["name"]))
    if fields.get("name"):
        return ("tool", str(fields["name"]))
    return _WORDS.get(str(fields.get("type")))


def tool_choice_block(choice: str | tuple[str, str] | None, tools: list[Block], context: Context) -> Block | None:
    """toolChoice for tools that are sent, degraded to auto where the family refuses a forced one."""
    if choice is None or choice == "none":
        return None
    if choice == "auto":
        return {"auto": {}} if context.profile.forced_tool_choice else None
    if isinstance(choice, tuple):
        _known_tool(choice[1], tools, context)
    if not context.profile.forced_tool_choice:
        context.warn("degrade_tool_choice", "the model refuses a forced tool choice, it is left to choose")
        return None
    if isinstance(choice, tuple):
        return {"tool": {"name": wire_name(choice[1], context, None)}}
    return {"any": {}}


def _known_tool(name: str, tools: list[Block], context: Context) -> None:
    wire = wire_name(name, context, None)
    names = [tool[kind]["name"] for tool in tools for kind in ("toolSpec", "systemTool") if kind in tool]
    if wire not in names:
        given = ", ".join(repr(context.tool_names.get(each, each)) for each in names)
        raise InvalidRequestError(f"no tool is called {name!r}; there are {given}", field="tool_choice")


def legacy_tools(functions: Iterable[Any]) -> list[dict[str, Any]]:
    """OpenAI's older `functions` as tools."""
    return [{"type": "function", "function": plain_json(function)} for function in functions]
