"""Reasoning asked for in anybody's words -> the field that the family understands.

In come reasoning_effort, `thinking`, `reasoning`, a budget; out come additional request fields. Every family has one style
(`ModelProfile.thinking`); what a style cannot say is left out and reported.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from ..errors import InvalidRequestError
from ..values import frozen
from .reading import as_mapping, whole_number

if TYPE_CHECKING:
    from .context import Context

_LEVELS = ("minimal", "low", "medium", "high", "xhigh", "max")
_OFF = frozenset({"none", "off", "disabled"})
_BUDGETS = {"minimal": 1024, "low": 2048, "medium": 8192, "high": 16_384, "xhigh": 32_768, "max": 63_000}
MIN_BUDGET = 1024

# Every field by which some family is told to reason: taken out of the caller's own when reasoning is switched off.
REASONING_FIELDS = ("thinking", "reasoningConfig", "reasoning_effort", "reasoning", "reasoning_config")


@frozen
class Wish:
    """What the caller wants of the model's reasoning; None stands for no opinion."""

    on: bool | None = None
    level: str | None = None
    budget: int | None = None
    form: Mapping[str, Any] | None = None  # members of `thinking` that are passed on (display, ...)


def read_wish(context: Context) -> Wish:
    """The caller's wish; the more explicit option wins: thinking, then a budget, then reasoning, then an effort."""
    options = context.options
    wish = _from_effort(options.reasoning_effort, "reasoning_effort")
    wish = _refined(wish, _from_reasoning(options.reasoning))
    configured = as_mapping(options.output_config)
    if configured is not None and configured.get("effort"):
        wish = _refined(wish, Wish(level=_level(str(configured["effort"]), "output_config.effort")))
    if options.thinking_budget is not None:
        wish = _refined(wish, Wish(on=options.thinking_budget > 0, budget=options.thinking_budget or None))
    return _refined(wish, _from_thinking(options.thinking))


_NO_WISH = Wish()


def _refined(wish: Wish, later: Wish) -> Wish:
    if later is _NO_WISH:
        return wish
    return Wish(
        on=wish.on if later.on is None else later.on,
        level=wish.level if later.level is None else later.level,
        budget=wish.budget if later.budget is None else later.budget,
        form=wish.form if later.form is None else later.form,
    )


def _from_effort(effort: str | None, field: str) -> Wish:
    if effort is None or effort == "default":
        return _NO_WISH
    if not isinstance(effort, str):
        raise InvalidRequestError(f"a {type(effort).__name__}, expected a text", field=field)
    if effort in _OFF:
        return Wish(on=False)
    return Wish(on=True, level=_level(effort, field))


def _level(effort: str, field: str) -> str:
    if effort not in _LEVELS:
        raise InvalidRequestError(f"{effort!r} is none of none, {', '.join(_LEVELS)}", field=field)
    return effort


def _from_reasoning(reasoning: Any) -> Wish:
    """OpenRouter's and OpenAI's `reasoning`: {effort, max_tokens, enabled}; or an effort, or a plain yes or no."""
    if isinstance(reasoning, bool):
        return Wish(on=reasoning)
    if isinstance(reasoning, str):
        return _from_effort(reasoning, "reasoning")
    fields = as_mapping(reasoning)
    if fields is None:
        return _NO_WISH
    wish = _from_effort(fields.get("effort"), "reasoning.effort")
    if fields.get("max_tokens"):
        budget = whole_number(fields["max_tokens"], "reasoning.max_tokens", at_least=1)
        wish = _refined(wish, Wish(on=True, budget=budget))
    if fields.get("enabled") is not None:
        wish = _refined(wish, Wish(on=bool(fields["enabled"])))
    return wish


def _from_thinking(thinking: Any) -> Wish:
    """Anthropic's `thinking`: {type, budget_tokens, display}; or a plain yes or no."""
    if thinking is None:
        return _NO_WISH
    if isinstance(thinking, bool):
        return Wish(on=thinking)
    if isinstance(thinking, str):
        return Wish(on=False) if thinking in _OFF else Wish(on=True)
    fields = as_mapping(thinking)
    if fields is None:
        raise InvalidRequestError("thinking is an object with a type", field="thinking")
    if fields.get("type") == "disabled":
        return Wish(on=False)
    form = {key: value for key, value in fields.items() if key not in ("type", "budget_tokens")}
    kind = fields.get("type")
    if kind not in (None, "enabled", "adaptive"):
        form["type"] = kind
    budget = fields.get("budget_tokens")
    if budget is not None:
        budget = whole_number(budget, "thinking.budget_tokens", at_least=1)
    return Wish(on=True, budget=budget, form=form or None)


def thinking_fields(wish: Wish, max_tokens: int | None, context: Context) -> dict[str, Any]:
    """The additional request fields that say the wish in the family's words; {} where there is nothing to say."""
    if wish.on is None and wish.level is None:
        return {}
    return _STYLES[context.profile.thinking](wish, max_tokens, context)


def thinks(fields: Mapping[str, Any]) -> bool:
    """Whether these additional request fields switch on thinking in the form that rules out other settings."""
    thinking = as_mapping(fields.get("thinking"))
    return thinking is not None and thinking.get("type") not in (None, "disabled")


def _nearest(level: str | None, context: Context) -> str | None:
    """The highest level of the family that is not above the one asked for, else its lowest."""
    allowed = context.profile.efforts
    if level is None or not allowed:
        return None
    if level in allowed:
        return level
    below = [each for each in allowed if _LEVELS.index(each) <= _LEVELS.index(level)]
    chosen = below[-1] if below else allowed[0]
    context.repair("fit_effort", None, f"effort {level} is not one of the model's, {chosen} was taken")
    return chosen


def _level_of(wish: Wish) -> str:
    """The level asked for, or the one nearest to the budget asked for."""
    if wish.level is not None:
        return wish.level
    if wish.budget is None:
        return "medium"
    return next((level for level in ("low", "medium", "high") if wish.budget <= _BUDGETS[level]), "high")


def _nothing(wish: Wish, _: int | None, context: Context) -> dict[str, Any]:
    if wish.on is not False:
        context.repair("drop_reasoning_request", None, "reasoning cannot be asked for: the model has no field for it")
    return {}


def _with_budget(wish: Wish, max_tokens: int | None, context: Context) -> dict[str, Any]:
    effort = _nearest(wish.level, context) if context.profile.effort_field else None
    fields: dict[str, Any] = {"output_config": {"effort": effort}} if effort and wish.budget is not None else {}
    if not wish.on:
        return fields
    budget = _fitted_budget(wish, max_tokens, context)
    if budget is None:
        return fields
    return {"thinking": {**(wish.form or {}), "type": "enabled", "budget_tokens": budget}, **fields}


def _fitted_budget(wish: Wish, max_tokens: int | None, context: Context) -> int | None:
    """A budget below max_tokens that leaves room for the answer; None where there is none of 1 024 at least."""
    wanted = wish.budget if wish.budget is not None else _BUDGETS[_level_of(wish)]
    ceiling = max_tokens if max_tokens is not None else context.profile.max_output
    budget = max(wanted, MIN_BUDGET)
    if ceiling is not None and budget >= ceiling:
        budget = ceiling - 1 if wish.budget is not None else ceiling * 4 // 5
    if budget < MIN_BUDGET:
        context.warn("drop_thinking", "thinking was left out: max_tokens leaves no room for a budget of 1024")
        return None
    if budget != wanted:
        context.repair("fit_thinking_budget", None, "the thinking budget was fitted under max_tokens")
    return budget


def _adaptive(wish: Wish, _: int | None, context: Context) -> dict[str, Any]:
    if wish.on is False:
        return _switched_off(context)
    effort = _nearest(wish.level, context)
    if effort is None and wish.budget is not None:
        effort = _nearest(_level_of(wish), context)
        context.repair("budget_to_effort", None, "the model takes no thinking budget, an effort was sent")
    fields: dict[str, Any] = {"output_config": {"effort": effort}} if effort else {}
    if wish.on:
        fields["thinking"] = {"type": "adaptive", **(wish.form or {})}
    return fields


def _switched_off(context: Context) -> dict[str, Any]:
    profile = context.profile
    if not profile.thinks_unasked:
        return {}
    if profile.can_disable_thinking:
        return {"thinking": {"type": "disabled"}}
    if profile.disabled_thinking:
        return {"thinking": dict(profile.disabled_thinking)}
    context.warn("keep_thinking", "the model cannot be told not to think")
    return {}


def _reasoning_config_object(wish: Wish, _: int | None, context: Context) -> dict[str, Any]:
    if wish.on is False:
        return {"reasoningConfig": {"type": "disabled"}}
    return {"reasoningConfig": {"type": "enabled", "maxReasoningEffort": _nearest(_level_of(wish), context)}}


def _word(field: str, *path: str) -> Callable[[Wish, int | None, Context], dict[str, Any]]:
    def style(wish: Wish, _: int | None, context: Context) -> dict[str, Any]:
        if wish.on is False:
            word = context.profile.default_effort_off
            if word is None:
                context.warn("keep_thinking", "the model cannot be told not to reason")
                return {}
        else:
            word = _nearest(_level_of(wish), context)
        value: Any = word
        for key in reversed(path):
            value = {key: value}
        return {field: value} if word else {}

    return style


_STYLES: dict[str, Callable[[Wish, int | None, Context], dict[str, Any]]] = {
    "none": _nothing,
    "thinking.budget": _with_budget,
    "thinking.adaptive": _adaptive,
    "reasoningConfig": _reasoning_config_object,
    "reasoning_effort": _word("reasoning_effort"),
    "reasoning.effort": _word("reasoning", "effort"),
    "reasoning_config": _word("reasoning_config"),
}
