"""What the service refuses in sampling, limits, system prompts, guardrails, prompts and additional fields."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .words import from_model, malformed, no_such_field

if TYPE_CHECKING:
    from .case import Case

FAMILY_FIELDS = {
    "top_k": "Claude",
    "thinking": "Claude",
    "output_config": "Claude",
    "anthropic_beta": "Claude",
    "inferenceConfig": "Nova",
    "reasoningConfig": "Nova",
    "reasoning": "GPT-5.6 and GPT-6, Grok",
    "reasoning_effort": "gpt-oss, DeepSeek, GLM, Kimi",
    "reasoning_config": "Qwen",
}
"""Additional fields and the families that they belong to (model-families 2a)."""

PROMPT_EXCLUDES = ("system", "inferenceConfig", "toolConfig", "additionalModelRequestFields")
"""What a request that names a stored prompt may not carry (service documentation)."""


def temperature_and_top_p(case: Case) -> str | None:
    """bedrock-access-gateway#191, BoltAI#399."""
    if case.family.sampling == "one" and {"temperature", "topP"} <= case.inference.keys():
        return from_model("`temperature` and `top_p` cannot both be specified for this model. Please use only one.")
    return None


def sampling_deprecated(case: Case) -> str | None:
    """obsidian-copilot#2601, promptfoo#10307: any value, 1.0 too."""
    if case.family.sampling != "none":
        return None
    given = [("temperature", "temperature"), ("topP", "top_p")]
    names = [name for member, name in given if member in case.inference] + [
        name for name in ("top_k",) if name in case.extra
    ]
    return from_model(f"`{names[0]}` is deprecated for this model.") if names else None


def no_sampling_field(case: Case) -> str | None:
    """activepieces#15261 (GPT-5.6), hermes-agent#111043 (Grok)."""
    if case.family.sampling != "no-field":
        return None
    given = [name for name in ("temperature", "topP") if name in case.inference]
    return no_such_field(given[0]) if given else None


def stop_sequences(case: Case) -> str | None:
    """dify-official-plugins#1767 (Qwen), langchain-aws#664 (DeepSeek V3.1)."""
    if not case.family.stop_sequences and case.inference.get("stopSequences"):
        return no_such_field("stopSequences")
    return None


def blank_stop_sequence(case: Case) -> str | None:
    """Claude's own words."""
    blank = any(not text.strip() for text in case.inference.get("stopSequences") or ())
    if case.family.is_claude and blank:
        return from_model("stop_sequences: each stop sequence must contain non-whitespace")
    return None


def max_tokens(case: Case) -> str | None:
    """llumiverse#562; whether the limit itself is accepted is disputed and left unjudged."""
    limit, asked = case.family.max_tokens, case.inference.get("maxTokens")
    if limit is not None and asked is not None and asked > limit:
        return (
            f"The maximum tokens you requested exceeds the model limit of {limit}. "
            f"Try again with a maximum tokens value that is lower than {limit}."
        )
    return None


def system_prompt(case: Case) -> str | None:
    """Titan; the words as clients of the service match them."""
    if case.system and not case.family.system:
        return (
            "This model doesn't support system messages. Try again without a system message "
            "or use a model that supports system messages."
        )
    return None


def foreign_field(case: Case) -> str | None:
    """Fields of another family: Claude and Nova are known to mind, `top_k` is minded by all (pydantic-ai)."""
    for name in case.extra:
        owners = FAMILY_FIELDS.get(name)
        if owners is None or name in case.family.extra_fields or case.family.name.split()[0] in owners:
            continue
        if case.family.is_claude:
            return from_model(f"{name}: Extra inputs are not permitted")
        if case.family.is_nova:
            return malformed(f"#: extraneous key [{name}] is not permitted")
        if name == "top_k" and case.family.name != "unknown":
            return malformed(f"extraneous key [{name}] is not permitted")
    return None


def guardrail(case: Case) -> str | None:
    """Identifier and version come together; the words are not recorded."""
    asked = case.body.get("guardrailConfig")
    if asked is not None and not (asked.get("guardrailIdentifier") and asked.get("guardrailVersion")):
        return "guardrailIdentifier and guardrailVersion are both required when guardrailConfig is provided."
    return None


def guard_content(case: Case) -> str | None:
    """bedrock-chat#637: guarded text that is blank; the words follow those of a text block."""
    for block in case.of("guardContent"):
        text = block.value.get("text")
        if text is not None and not text["text"].strip():
            return (
                f"The text field in the GuardrailConverseContentBlock object at {block.at}.guardContent is blank. "
                "Add text to the text field, and try again."
            )
    return None


def stored_prompt(case: Case) -> str | None:
    """A prompt brings its own settings; variables belong to a prompt only (the words are not recorded)."""
    given = [name for name in PROMPT_EXCLUDES if case.body.get(name)]
    if case.is_prompt and given:
        return f"The {given[0]} field can't be specified when the modelId is a prompt resource. Remove {given[0]} and try again."
    if not case.is_prompt and case.body.get("promptVariables"):
        return "The promptVariables field can only be specified when the modelId is a prompt resource."
    return None


RULES = (
    stored_prompt,
    system_prompt,
    guardrail,
    guard_content,
    max_tokens,
    no_sampling_field,
    stop_sequences,
    temperature_and_top_p,
    sampling_deprecated,
    blank_stop_sequence,
    foreign_field,
)
