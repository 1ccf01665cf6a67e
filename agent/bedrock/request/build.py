"""build_request(): OpenAI messages, tools and options -> the keyword arguments of converse(), read from top to bottom.

In comes what an agent loop has: any history, any tools, options in OpenAI's words. Out comes a `ConverseRequest` that the
chosen model accepts, and the list of what had to be repaired for that. The caller's objects are never changed, nothing is
sent, and the same input gives the same bytes.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from ..errors import InvalidRequestError
from ..models.ids import split_model_id
from ..models.profiles import profile_for
from ..values import changed, frozen
from .caching import place_cache_points
from .context import EMPTY_TEXT, Block, Context, Repair, Turn
from .limits import check_limits
from .messages import read_messages
from .options import RequestOptions
from .parameters import (
    additional_fields,
    asks_to_think,
    deep_merge,
    extra_members,
    guardrail_config,
    inference_config,
    max_tokens,
    output_config,
    own_fields,
    performance_config,
    prompt_variables,
    report_options_without_place,
    request_metadata,
    response_field_paths,
    service_tier,
)
from .structured import STRUCTURED_TOOL, StructuredOutput, instruction, output_tool, plan_structured_output, text_format
from .thinking import read_wish
from .tools import convert_tools, legacy_tools, read_tool_choice, system_tools, tool_choice_block
from .turns import legal_turns

if TYPE_CHECKING:
    from .memory import ConversationMemory

__all__ = ["ConverseRequest", "Repair", "RequestOptions", "StructuredOutput", "build_request"]

_PROMPT_MEMBERS = ("inferenceConfig", "toolConfig", "additionalModelRequestFields")


@frozen
class ConverseRequest:
    """What goes to `client.converse(**kwargs)`, and what the answer's side has to know of it.

    `tool_names` maps a name on the wire to the caller's, only where they differ. `structured` is the plan behind a
    response_format, None where there was none; `reasoning_store` is the caller's, for the answer's reasoning.
    """

    kwargs: dict[str, Any]
    repairs: tuple[Repair, ...]
    tool_names: Mapping[str, str]
    structured: StructuredOutput | None = None
    reasoning_store: Any = None


def build_request(
    model: str,
    messages: Iterable[Any],
    tools: Iterable[Any] | None = None,
    *,
    memory: ConversationMemory | None = None,
    **options: Any,
) -> ConverseRequest:
    """The Converse request for a conversation; `options` are the fields of `RequestOptions`, others raise TypeError.

    With a `memory`, requests share their blocks with it, and what it knows of the conversation is not read again.
    """
    asked = RequestOptions(**options)
    try:
        return _built(model, messages if isinstance(messages, (list, tuple)) else list(messages), tools, asked, memory)
    except RecursionError:
        raise InvalidRequestError("messages, tools or options are nested too deeply, or in themselves") from None


def _built(
    model: str,
    messages: Sequence[Any],
    tools: Iterable[Any] | None,
    asked: RequestOptions,
    memory: ConversationMemory | None,
) -> ConverseRequest:
    context = Context(model, profile_for(model, asked.base_model), asked)
    system, turns = read_messages(messages, context, memory)
    report_options_without_place(context)

    extra, extra_system, extra_tools = _taken_apart(extra_members(context), context)
    system = [*system, *extra_system]
    tool_blocks, choice, plan = _plan_tools([*(tools or ()), *extra_tools], context, memory)
    context.sends_tools = bool(tool_blocks)
    wish = read_wish(context)
    own = own_fields(wish, context)
    context.thinks = asks_to_think(wish, own, context)
    system, turns = _plan_system(system, turns, plan, context)
    turns = check_limits(legal_turns(turns or _nothing_said(context), context), context)

    choice_block = tool_choice_block(choice, tool_blocks, context) if tool_blocks else None
    forced = choice_block is not None and "auto" not in choice_block
    limit = max_tokens(context)
    fields = additional_fields(wish, own, turns, limit, context, forced_choice=forced)
    system, tool_blocks = place_cache_points(system, tool_blocks, turns, context, len(messages))

    members = {
        "messages": [{"role": turn.role, "content": turn.blocks} for turn in turns],
        "system": system,
        "inferenceConfig": inference_config(limit, fields, context),
        "toolConfig": _tool_config(tool_blocks, choice_block),
        "guardrailConfig": guardrail_config(context),
        "additionalModelRequestFields": fields,
        "promptVariables": prompt_variables(context),
        "additionalModelResponseFieldPaths": response_field_paths(context),
        "requestMetadata": request_metadata(context),
        "performanceConfig": performance_config(context),
        "serviceTier": service_tier(context),
        "outputConfig": _output_config(plan, fields, context),
    }
    members = _settle_members(deep_merge(members, extra), context)
    kwargs = {"modelId": model, **{name: value for name, value in members.items() if value}}
    return ConverseRequest(kwargs, tuple(context.repairs), context.tool_names, plan, asked.reasoning_store)


def _nothing_said(context: Context) -> list[Turn]:
    """A conversation has to begin; with padding off an empty one stays empty."""
    if not context.options.padding:
        return []
    context.repair("pad_empty_conversation", None, "a user turn was put into an empty conversation")
    return [Turn("user", [{"text": EMPTY_TEXT}], [None])]


def _plan_tools(
    tools: Iterable[Any], context: Context, memory: ConversationMemory | None
) -> tuple[list[Block], str | tuple[str, str] | None, StructuredOutput | None]:
    """(tools to send, the choice between them, the plan for a structured answer)."""
    options = context.options
    choice = read_tool_choice(options.tool_choice if options.tool_choice is not None else options.function_call)
    given = [*tools, *legacy_tools(options.functions or ())]
    plan = plan_structured_output(context, forced_tool_allowed=choice in (None, "auto", "any"))
    if not context.profile.tools:
        if given:
            context.warn("drop_tools", "tools were left out: the model cannot call any")
        return [], None, plan
    convert = convert_tools if memory is None else partial(memory.convert, convert=convert_tools)
    blocks = [] if choice == "none" else convert(given, context)
    blocks = [*blocks, *system_tools(options.system_tools or (), context)]
    if plan is None or plan.mode != "tool":
        return blocks, choice, plan
    names = {tool[kind]["name"] for tool in blocks for kind in tool if "name" in tool[kind]}
    number = 1
    while plan.tool_name in names:
        number += 1
        plan = changed(plan, tool_name=f"{STRUCTURED_TOOL}_{number}")
    # Beside the caller's own tools the model may call any of them first; the answer is still a call of this one.
    return [*blocks, output_tool(plan)], "any" if blocks else ("tool", plan.tool_name), plan


def _plan_system(
    system: list[Block], turns: list[Turn], plan: StructuredOutput | None, context: Context
) -> tuple[list[Block], list[Turn]]:
    """System blocks with the instruction of a structured answer; in the first turn where the model takes no system."""
    if plan is not None and plan.mode == "instruction":
        system = [*system, {"text": instruction(plan)}]
    takes_system = context.profile.system_prompt and not split_model_id(context.model).is_prompt
    if takes_system or not system:
        return system, turns
    context.repair("fold_system_prompt", None, "the system prompt was put into the first turn: the model takes none")
    origin = turns[0].message if turns else None
    return [], [Turn("user", system, [origin] * len(system)), *turns]


def _tool_config(tools: list[Block], choice: Block | None) -> dict[str, Any]:
    if not tools:
        return {}
    return {"tools": tools} if choice is None else {"tools": tools, "toolChoice": choice}


def _output_config(plan: StructuredOutput | None, fields: Mapping[str, Any], context: Context) -> dict[str, Any]:
    config = output_config("output_config" in fields, context)
    if plan is not None and plan.mode == "native":
        config = {"textFormat": text_format(plan), **config}
    return config


def _taken_apart(extra: dict[str, Any], context: Context) -> tuple[dict[str, Any], list[Block], list[Any]]:
    """(`extra` to be merged in, its system blocks, its tools): these two join the caller's own before anything is decided."""
    system: list[Block] = extra.pop("system", [])
    if any("cachePoint" in block for block in system):
        context.kinds.add("cachePoint")
    tool_config = extra.get("toolConfig", {})
    tools = tool_config.pop("tools", [])
    return extra, system, tools


def _settle_members(members: dict[str, Any], context: Context) -> dict[str, Any]:
    """What the finished members rule out among themselves."""
    if not members["toolConfig"].get("tools"):
        members["toolConfig"] = {}
    if split_model_id(context.model).is_prompt:
        for name in _PROMPT_MEMBERS:
            if members[name]:
                context.warn("drop_member", f"{name} was left out: a stored prompt brings its own")
                members[name] = {}
    return members
