"""Options -> inferenceConfig, additional fields, guardrail, tier and the other members beside the conversation.

In come options in OpenAI's, Anthropic's or Converse's words; out come Converse members without empty keys. What a family
refuses is left out and reported; what could never be right raises with the option's name.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import inf
from typing import TYPE_CHECKING, Any

from ..errors import InvalidRequestError
from ..models.ids import split_model_id
from ..patterns import pattern
from .options import CONVERSE_MEMBERS
from .reading import as_mapping, clean_text, is_blank, plain_json, whole_number
from .thinking import REASONING_FIELDS, Wish, thinking_fields, thinks

if TYPE_CHECKING:
    from .context import Context, Turn

_MAX_STOP_SEQUENCES = 2500
_MAX_METADATA_PAIRS = 16
_METADATA_TEXT = pattern(r"[a-zA-Z0-9\s:_@$#=/+,\-.]*")
_LIST_MEMBERS = frozenset({"system", "additionalModelResponseFieldPaths"})
_TIERS = {"priority": "priority", "flex": "flex", "reserved": "reserved", "default": None, "auto": None,
          "standard": None, "standard_only": None}  # fmt: skip

# OpenAI's options that Converse has no place for; the ones without effect on the answer are not worth a report.
_WITHOUT_PLACE = (
    "seed", "frequency_penalty", "presence_penalty", "logit_bias", "logprobs", "top_logprobs", "modalities", "audio",
    "prediction", "web_search_options", "verbosity", "prompt_cache_key", "prompt_cache_retention", "safety_identifier",
    "prompt_cache_options", "moderation",
)  # fmt: skip


# ---------------------------------------------------------------------------------------------------- inferenceConfig


def inference_config(limit: int | None, fields: Mapping[str, Any], context: Context) -> dict[str, Any]:
    """maxTokens, temperature, topP, stopSequences; `fields` are the additional request fields of the same request."""
    config: dict[str, Any] = {}
    if limit is not None:
        config["maxTokens"] = limit
    config.update(_sampling(context, thinking=thinks(fields)))
    stops = _stop_sequences(context)
    if stops:
        config["stopSequences"] = stops
    if (as_mapping(fields.get("reasoningConfig")) or {}).get("maxReasoningEffort") == "high":
        _leave_to_the_model(config, context)
    return config


def _leave_to_the_model(config: dict[str, Any], context: Context) -> None:
    """With the highest effort these have to be unset (documented for Nova 2)."""
    for name in ("maxTokens", "temperature", "topP"):
        if config.pop(name, None) is not None:
            context.repair("drop_bounds_at_high_effort", None, f"{name} was left out: not taken beside high effort")


def max_tokens(context: Context) -> int | None:
    """The bound on the answer, clamped to the family's; None leaves it to the service."""
    options = context.options
    field = "max_completion_tokens" if options.max_completion_tokens is not None else "max_tokens"
    wanted = options.max_completion_tokens if options.max_completion_tokens is not None else options.max_tokens
    if wanted is None:
        return None
    whole = whole_number(wanted, field, at_least=1)
    bound = context.profile.max_output
    if bound is not None and whole > bound:
        context.repair("clamp_max_tokens", None, f"{field} was lowered to the model's bound of {bound}")
        return bound
    return whole


def _sampling(context: Context, *, thinking: bool) -> dict[str, float]:
    options = context.options
    given = {"temperature": options.temperature, "topP": options.top_p}
    config = {name: _fraction(value, name, context) for name, value in given.items() if value is not None}
    if not config:
        return config
    if context.profile.sampling == "none" or thinking:
        reason = "not taken while the model thinks" if thinking else "the model refuses it"
        for name in config:
            context.repair("drop_sampling", None, f"{name} was left out: {reason}")
        return {}
    if context.profile.sampling == "one" and len(config) == 2:
        context.repair("drop_sampling", None, "topP was left out: the model takes it or temperature, not both")
        del config["topP"]
    return config


def _fraction(value: Any, field: str, context: Context) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value < inf:
        raise InvalidRequestError("not a number from 0 to 1", field=field)
    if value > 1:
        context.repair("clamp_sampling", None, f"{field} was lowered to 1, the largest that Converse takes")
        return 1.0
    return value


def _stop_sequences(context: Context) -> list[str]:
    options = context.options
    given = options.stop_sequences if options.stop_sequences is not None else options.stop
    if given is None:
        return []
    if not isinstance(given, str) and not isinstance(given, Sequence):
        raise InvalidRequestError("a text or a list of texts", field="stop")
    stops = [given] if isinstance(given, str) else list(given)
    if not all(isinstance(stop, str) for stop in stops):
        raise InvalidRequestError("a text or a list of texts", field="stop")
    stops = [clean_text(stop) for stop in stops if stop]
    if len(stops) > _MAX_STOP_SEQUENCES:
        raise InvalidRequestError(f"more than {_MAX_STOP_SEQUENCES} stop sequences", field="stop")
    if stops and not context.profile.stop_sequences:
        context.warn("drop_stop_sequences", "stop sequences were left out: the model refuses them")
        return []
    return stops if context.profile.blank_stop_sequences else _without_blank_stops(stops, context)


def _without_blank_stops(stops: list[str], context: Context) -> list[str]:
    said = [stop for stop in stops if not is_blank(stop)]
    if len(said) < len(stops):
        context.warn("drop_stop_sequences", "stop sequences of white space were left out: the model refuses them")
    return said


# --------------------------------------------------------------------------------------------------- additional fields


def additional_fields(
    wish: Wish,
    own: Mapping[str, Any],
    turns: Sequence[Turn],
    limit: int | None,
    context: Context,
    *,
    forced_choice: bool,
) -> dict[str, Any]:
    """additionalModelRequestFields: reasoning, top_k, beta headers, and the caller's own, which win."""
    fields = thinking_fields(wish, limit, context) if not thinks(own) else {}
    fields = deep_merge(fields, own)
    fields = _legal_thinking(fields, turns, forced_choice, context)
    _add_top_k(fields, context)
    betas = context.options.anthropic_beta
    if betas and context.profile.beta_field:
        fields.setdefault("anthropic_beta", [betas] if isinstance(betas, str) else list(betas))
    elif betas:
        context.repair("drop_option", None, "anthropic_beta was left out: not for this model")
    return fields


def asks_to_think(wish: Wish, own: Mapping[str, Any], context: Context) -> bool:
    """Whether the request will ask for thinking, as far as the options say."""
    return thinks(own) or (wish.on is True and context.profile.thinking.startswith("thinking."))


def own_fields(wish: Wish, context: Context) -> dict[str, Any]:
    """The caller's own fields, without reasoning that a later option switched off."""
    extra = as_mapping(context.options.extra) or {}
    own: dict[str, Any] = {}
    for name, given in (
        ("extra.additionalModelRequestFields", extra.get("additionalModelRequestFields")),
        ("additional_model_request_fields", context.options.additional_model_request_fields),
    ):
        if given is None:
            continue
        mapping = as_mapping(given)
        if mapping is None:
            raise InvalidRequestError("not an object", field=name)
        own = deep_merge(own, plain_json(dict(mapping)))
    if wish.on is False:
        own = {key: value for key, value in own.items() if key not in REASONING_FIELDS}
    return own


def _legal_thinking(
    fields: dict[str, Any], turns: Sequence[Turn], forced_choice: bool, context: Context
) -> dict[str, Any]:
    """Thinking is left out where this very request rules it out; broken thinking would be refused for good."""
    if not thinks(fields):
        return fields
    budgeted = as_mapping(fields["thinking"]) or {}
    reason = ""
    if forced_choice and not context.profile.forced_choice_while_thinking:
        reason = "a tool choice is forced"
    elif budgeted.get("type") == "enabled" and _lost_thinking(turns):
        reason = "the reasoning of the running tool exchange is lost"
    if not reason:
        return fields
    context.warn("drop_thinking", f"thinking was left out of this request: {reason}")
    return {key: value for key, value in fields.items() if key != "thinking"}


def _lost_thinking(turns: Sequence[Turn]) -> bool:
    """Whether the exchange that goes on has a call without reasoning before it.

    "Expected `thinking` or `redacted_thinking`, but found `tool_use`" (thread langchain-aws 844).
    """
    if len(turns) < 2 or not any("toolResult" in block for block in turns[-1].blocks):
        return False
    calling = turns[-2]
    return calling.role == "assistant" and "reasoningContent" not in calling.blocks[0]


def _add_top_k(fields: dict[str, Any], context: Context) -> None:
    wanted = context.options.top_k
    if wanted is None:
        return
    value = whole_number(wanted, "top_k", at_least=0)
    path = context.profile.top_k
    if not path or thinks(fields):
        context.repair("drop_sampling", None, "top_k was left out: not taken by the model, or not while it thinks")
        return
    target = fields
    for key in path[:-1]:
        inner = target.get(key)
        target[key] = target = dict(inner) if isinstance(inner, Mapping) else {}
    target.setdefault(path[-1], value)


def deep_merge(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """`base` with `over` laid on it, objects merged member by member; neither is changed."""
    merged = dict(base)
    for key, value in over.items():
        below = merged.get(key)
        merged[key] = deep_merge(below, value) if isinstance(below, Mapping) and isinstance(value, Mapping) else value
    return merged


# ---------------------------------------------------------------------------------------------------------- guardrail

_GUARDRAIL_NAMES = {
    "guardrailIdentifier": (
        "guardrailIdentifier",
        "guardrail_identifier",
        "guardrail_id",
        "guardrailId",
        "identifier",
        "id",
    ),
    "guardrailVersion": ("guardrailVersion", "guardrail_version", "version"),
    "trace": ("trace",),
    "streamProcessingMode": ("streamProcessingMode", "stream_processing_mode"),
}
_TRACES = frozenset({"enabled", "disabled", "enabled_full"})


def guardrail_config(context: Context) -> dict[str, Any]:
    """guardrailConfig from either casing or from "id:version"; {} where nothing names a guardrail, which is said."""
    extra = as_mapping(context.options.extra) or {}
    given = context.options.guardrail_config
    if given is None:
        given = extra.get("guardrailConfig")
    if given is None or given == {}:
        return {}
    fields = _guardrail_fields(given)
    config: dict[str, Any] = {}
    for name, spellings in _GUARDRAIL_NAMES.items():
        value = next((fields[spelling] for spelling in spellings if fields.get(spelling) is not None), None)
        if value is not None:
            config[name] = value
    return _checked_guardrail(config, context)


def _guardrail_fields(given: Any) -> Mapping[str, Any]:
    if isinstance(given, str):
        identifier, _, version = given.rpartition(":")
        return {"guardrailIdentifier": identifier, "guardrailVersion": version}
    return as_mapping(given) or {}


def _checked_guardrail(config: dict[str, Any], context: Context) -> dict[str, Any]:
    named = [name for name in ("guardrailIdentifier", "guardrailVersion") if config.get(name)]
    if not named:
        context.warn("drop_empty_guardrail", "guardrail_config names no guardrail, it was left out")
        return {}
    if len(named) == 1:
        raise InvalidRequestError("a guardrail needs both its identifier and its version", field="guardrail_config")
    config["guardrailVersion"] = str(config["guardrailVersion"])
    trace = config.get("trace")
    if isinstance(trace, bool):
        config["trace"] = "enabled" if trace else "disabled"
    elif trace is not None and trace not in _TRACES:
        raise InvalidRequestError(
            f"{trace!r} is none of enabled, disabled, enabled_full", field="guardrail_config.trace"
        )
    if context.options.stream is False:
        config.pop("streamProcessingMode", None)
    return config


# ------------------------------------------------------------------------------------------------------ other members


def request_metadata(context: Context) -> dict[str, str]:
    """requestMetadata from metadata, request_metadata and user; it appears in the invocation logs only."""
    options = context.options
    extra = as_mapping(context.options.extra) or {}
    pairs: dict[str, str] = {}
    for field, given in (
        ("extra.requestMetadata", extra.get("requestMetadata")),
        ("metadata", options.metadata),
        ("request_metadata", options.request_metadata),
    ):
        if given is not None:
            pairs.update(_metadata_pairs(given, field))
    if options.user and _METADATA_TEXT.fullmatch(options.user) and len(options.user) <= 256:
        pairs.setdefault("user", options.user)
    elif options.user:
        context.repair("drop_option", None, "user was left out: not a text that requestMetadata takes")
    if len(pairs) > _MAX_METADATA_PAIRS:
        raise InvalidRequestError(f"more than {_MAX_METADATA_PAIRS} pairs", field="metadata")
    return pairs


def _metadata_pairs(given: Any, field: str) -> dict[str, str]:
    mapping = as_mapping(given)
    if mapping is None:
        raise InvalidRequestError("not an object", field=field)
    pairs = {str(key): value if isinstance(value, str) else str(value) for key, value in mapping.items()}
    for key, value in pairs.items():
        legal = _METADATA_TEXT.fullmatch(key) and _METADATA_TEXT.fullmatch(value)
        if not legal or not 1 <= len(key) <= 256 or len(value) > 256:
            raise InvalidRequestError(
                "keys (1 to 256) and values (up to 256) are letters, digits, white space and :_@$#=/+,-.", field=field
            )
    return pairs


def service_tier(context: Context) -> dict[str, str]:
    """serviceTier; "auto" and "default" are what the service does anyway."""
    given = context.options.service_tier
    if given is None:
        return {}
    mapping = as_mapping(given)
    word = mapping.get("type") if mapping is not None else given
    if not isinstance(word, str) or word not in _TIERS:
        raise InvalidRequestError(f"{word!r} is none of auto, default, priority, flex, reserved", field="service_tier")
    tier = _TIERS[word]
    return {"type": tier} if tier else {}


def performance_config(context: Context) -> dict[str, Any]:
    """performanceConfig from "optimized" or {"latency": "optimized"}."""
    given = context.options.performance_config
    if given is None:
        return {}
    if isinstance(given, str):
        return {"latency": given}
    mapping = as_mapping(given)
    if mapping is None:
        raise InvalidRequestError('"standard", "optimized", or an object', field="performance_config")
    return dict(mapping)


def prompt_variables(context: Context) -> dict[str, Any]:
    """promptVariables from plain texts or Converse's own values."""
    given = context.options.prompt_variables or {}
    if given and not (identity := split_model_id(context.model)).is_prompt and identity.base:
        context.warn("drop_member", "promptVariables was left out: only a stored prompt has variables")
        return {}
    return {str(name): _prompt_value(value) for name, value in given.items()}


def _prompt_value(value: Any) -> dict[str, Any]:
    fields = as_mapping(value)
    return {"text": clean_text(str(value))} if fields is None else dict(fields)


def output_config(wish_in_fields: bool, context: Context) -> dict[str, Any]:
    """outputConfig as given, beside a text format that a response_format may add."""
    config: dict[str, Any] = {}
    given = as_mapping(context.options.output_config)
    if given is not None:
        config = {key: value for key, value in given.items() if key == "textFormat" or not wish_in_fields}
    if context.options.effort:
        if len(context.options.effort) > 16:
            raise InvalidRequestError("longer than 16 characters", field="effort")
        config["effort"] = context.options.effort
    return config


def response_field_paths(context: Context) -> list[str]:
    """additionalModelResponseFieldPaths: at most 10 JSON pointers of at most 256 characters."""
    paths = list(context.options.additional_model_response_field_paths or ())
    if len(paths) > 10 or not all(1 <= len(path) <= 256 for path in paths):
        raise InvalidRequestError(
            "at most 10 paths of 1 to 256 characters", field="additional_model_response_field_paths"
        )
    return paths


def extra_members(context: Context) -> dict[str, Any]:
    """The members of `extra` that Converse knows, beside those that are read elsewhere; the rest is left out with a warning."""
    extra = as_mapping(context.options.extra)
    if extra is None:
        if context.options.extra is not None:
            raise InvalidRequestError("not an object", field="extra")
        return {}
    unknown = sorted(str(key) for key in extra if key not in CONVERSE_MEMBERS)
    if unknown:
        context.warn("drop_extra", f"extra members that Converse does not know were left out: {', '.join(unknown)}")
    read_elsewhere = ("guardrailConfig", "requestMetadata", "additionalModelRequestFields")
    members = {
        key: plain_json(value) for key, value in extra.items() if key in CONVERSE_MEMBERS and key not in read_elsewhere
    }
    for name, value in members.items():
        check_member(name, value)
        members[name] = dict(value) if isinstance(value, dict) else list(value)  # the builder's own, to take apart
    return members


def check_member(name: str, value: Any) -> None:
    """What `extra` brings is merged into other members, so its frame has to be right; what is in it is the caller's."""
    if name in _LIST_MEMBERS:
        if not isinstance(value, list):
            raise InvalidRequestError("not a list", field=f"extra.{name}")
    elif not isinstance(value, dict):
        raise InvalidRequestError("not an object", field=f"extra.{name}")
    items = value if name == "system" else value.get("tools", []) if name == "toolConfig" else []
    if not isinstance(items, list) or not all(isinstance(item, dict) for item in items):
        raise InvalidRequestError("not a list of objects", field=f"extra.{name}")
    if name == "system" and not all(isinstance(item.get("text", ""), str) for item in items):
        raise InvalidRequestError("has a text that is none", field="extra.system")


def report_options_without_place(context: Context) -> None:
    """OpenAI's options that Converse has no word for are left out, and said to be."""
    options = context.options
    if options.n is not None and options.n != 1:
        raise InvalidRequestError("Converse gives one answer to a request: n is 1", field="n")
    for name in _WITHOUT_PLACE:
        if getattr(options, name) not in (None, False, [], {}):
            context.repair("drop_option", None, f"{name} was left out: Converse has no place for it")
    if options.parallel_tool_calls is False:
        context.repair("drop_option", None, "parallel_tool_calls was left out: Converse has no switch for it")
