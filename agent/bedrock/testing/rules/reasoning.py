"""What the service refuses when a model is to think, and when its thoughts are replayed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .words import from_model, malformed, no_such_field

if TYPE_CHECKING:
    from .case import Case, Placed

LEAST_BUDGET = 1024
"""Tokens of a thinking budget, at least."""

MANUAL = "https://docs.claude.com/en/docs/build-with-claude/extended-thinking"

EFFORT_NEEDS_THINKING = frozenset({"xhigh", "max"})
"""Efforts above "high"."""


def thinking_type(case: Case) -> str | None:
    """llmgateway#2778 for budgets on adaptive models, ax#667 for what cannot be turned off."""
    accepted = case.family.thinking
    if accepted is None or case.thinking is None or case.thinking in accepted:
        return None
    if not accepted:
        return from_model("thinking: Extra inputs are not permitted")
    if case.thinking == "enabled":
        return from_model(
            '"thinking.type.enabled" is not supported for this model. Use "thinking.type.adaptive" and '
            '"output_config.effort" to control thinking behavior.'
        )
    return from_model(f'"thinking.type.{case.thinking}" is not supported for this model.')


def budget_too_small(case: Case) -> str | None:
    """LibreChat#8346."""
    if case.thinking == "enabled" and _budget(case) < LEAST_BUDGET:
        return from_model(f"thinking.enabled.budget_tokens: Input should be greater than or equal to {LEAST_BUDGET}")
    return None


def budget_too_large(case: Case) -> str | None:
    """vercel/ai#7927, zed#31289; without maxTokens the service has a default of its own, and nothing is judged."""
    limit = case.inference.get("maxTokens")
    if case.thinking == "enabled" and limit is not None and _budget(case) >= limit:
        return from_model(
            "`max_tokens` must be greater than `thinking.budget_tokens`. Please consult our documentation at "
            f"{MANUAL}#max-tokens-and-context-window-size"
        )
    return None


def sampling_while_thinking(case: Case) -> str | None:
    """litellm#9524, aider#3720; top_k in Anthropic's words."""
    if case.thinking not in ("enabled", "adaptive"):
        return None
    if case.inference.get("temperature", 1) != 1:
        return from_model(
            "`temperature` may only be set to 1 when thinking is enabled. Please consult our documentation at "
            f"{MANUAL}#important-considerations-when-using-extended-thinking"
        )
    if "top_k" in case.extra:
        return from_model("`top_k` must be unset when thinking is enabled.")
    return None


def effort_without_thinking(case: Case) -> str | None:
    """pydantic-ai: Opus 5 and the 5.5 models cap effort when thinking is off; the words are not recorded."""
    asked = _effort(case)
    if case.family.capped_effort and case.thinking in ("disabled", "between_tools") and asked in EFFORT_NEEDS_THINKING:
        return from_model(f'output_config.effort: "{asked}" requires thinking to be enabled')
    return None


def effort(case: Case) -> str | None:
    """pydantic-ai: who takes which effort; the words for Claude are Anthropic's, for the others not recorded."""
    accepted, asked = case.family.efforts, _effort(case)
    if accepted is None or asked is None or asked in accepted:
        return None
    if case.family.is_claude and not accepted:
        return from_model("This model does not support the effort parameter.")
    field = "output_config.effort" if case.family.is_claude else "reasoning_effort"
    expected = ", ".join(f"'{name}'" for name in sorted(accepted))
    return from_model(f"{field}: Input should be one of {expected}")


def flat_effort(case: Case) -> str | None:
    """pydantic-ai: GPT-5.6, GPT-6 and Grok take `reasoning: {effort}` only; the words are not recorded."""
    if not case.family.flat_effort and "reasoning_effort" in case.extra:
        return malformed("extraneous key [reasoning_effort] is not permitted")
    return None


def prefill_while_thinking(case: Case) -> str | None:
    """langchain-aws#844: with a budget, the last assistant turn starts with its thoughts, also before tool results."""
    assistants = [turn for turn in case.turns if turn.role == "assistant"]
    if case.thinking != "enabled" or not assistants:
        return None
    last = assistants[-1]
    answered = any(turn.of("toolResult") for turn in case.turns[-1:])
    if last is not case.turns[-1] and not answered:
        return None
    first = last.blocks[0]
    if first.kind == "reasoningContent":
        return None
    found = {"toolUse": "tool_use"}.get(first.kind, first.kind)
    return from_model(
        f"{first.at}.type: Expected `thinking` or `redacted_thinking`, but found `{found}`. When `thinking` is enabled, "
        "a final `assistant` message must start with a thinking block (preceeding the lastmost set of `tool_use` and "
        "`tool_result` blocks). We recommend you include thinking blocks from previous turns. To avoid this requirement, "
        f"disable `thinking`. Please consult our documentation at {MANUAL}"
    )


def unsigned(case: Case) -> str | None:
    """bifrost#6942: Claude wants every thought signed."""
    if case.family.replay != "signed":
        return None
    for block, text in _replayed(case):
        if text.get("signature") is None:
            return from_model(f"{block.at}.thinking.signature: Field required")
        if not text["signature"]:
            return from_model(f"{block.at}: Invalid `signature` in `thinking` block")
    return None


def empty_signature(case: Case) -> str | None:
    """bifrost#6942: Nova and MiniMax mind a signature that is there and empty."""
    if not case.family.empty_signature and any(text.get("signature") == "" for _, text in _replayed(case)):
        return no_such_field("reasoningContent.reasoningText.signature")
    return None


def signed(case: Case) -> str | None:
    """Strands: whoever is not Claude knows no signature."""
    if case.family.replay == "unsigned" and any(text.get("signature") for _, text in _replayed(case)):
        return no_such_field("reasoningContent.reasoningText.signature")
    return None


def replayed(case: Case) -> str | None:
    """inspect_ai#5299 (GPT-5.6), langchain-aws#401 (DeepSeek R1); which families mind: Strands."""
    if not any(_replayed(case)):
        return None
    if case.family.replay == "user":
        return "User messages cannot contain reasoning content. Please remove the reasoning content and try again."
    if case.family.replay == "refused":
        field = "reasoningContent.reasoningText.text"
        return f"This model doesn't support the {field} field for assistant messages. Remove {field} and try again."
    return None


def reasoning_from_user(case: Case) -> str | None:
    """langchain-aws#401 has the words."""
    if any(block.role == "user" for block in case.of("reasoningContent")):
        return "User messages cannot contain reasoning content. Please remove the reasoning content and try again."
    return None


def nova_config(case: Case) -> str | None:
    """inspect_ai#5301: only Nova 2 reasons."""
    asked = case.extra.get("reasoningConfig")
    if asked is None or not case.family.is_nova:
        return None
    if not case.family.reasoning_config or not _is_nova_config(asked):
        return malformed("the provided reasoning config value is invalid")
    return None


def nova_high_effort(case: Case) -> str | None:
    """inspect_ai#3767: at high effort maxTokens, temperature and topP are unset; the words are not recorded."""
    asked = case.extra.get("reasoningConfig") or {}
    high = case.family.reasoning_config and asked.get("maxReasoningEffort") == "high" and asked.get("type") == "enabled"
    given = [name for name in ("maxTokens", "temperature", "topP") if name in case.inference]
    if high and given:
        return malformed(f"#/inferenceConfig: extraneous key [{given[0]}] is not permitted")
    return None


RULES = (
    reasoning_from_user,
    replayed,
    signed,
    empty_signature,
    thinking_type,
    budget_too_small,
    budget_too_large,
    sampling_while_thinking,
    flat_effort,
    effort,
    effort_without_thinking,
    prefill_while_thinking,
    unsigned,
    nova_config,
    nova_high_effort,
)


def _budget(case: Case) -> int:
    budget = case.extra["thinking"].get("budget_tokens")
    return budget if isinstance(budget, int) else 0


def _effort(case: Case) -> str | None:
    """The effort asked for, in whichever of its forms."""
    nested = [case.extra.get(field) for field in ("output_config", "reasoning")]
    asked = [one.get("effort") for one in nested if isinstance(one, dict)]
    return next((one for one in [*asked, case.extra.get("reasoning_effort")] if isinstance(one, str)), None)


def _replayed(case: Case) -> list[tuple[Placed, Any]]:
    """The reasoning texts in the history; redacted content is opaque and judged nowhere."""
    return [
        (block, block.value["reasoningText"])
        for block in case.of("reasoningContent")
        if block.value.get("reasoningText") is not None
    ]


def _is_nova_config(asked: Any) -> bool:
    if not isinstance(asked, dict):
        return False
    effort = asked.get("maxReasoningEffort")
    if asked.get("type") == "disabled":
        return effort is None
    return asked.get("type") == "enabled" and effort in ("low", "medium", "high")
