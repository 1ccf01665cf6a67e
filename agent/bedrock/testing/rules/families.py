"""What the stand-in knows of the model families: one table, one row per family, first match wins.

A model id comes in, its row goes out. A fact that sources dispute, or that nobody has reported, has the value that
leaves it unjudged (the defaults of `Family`), so that a refusal of the stand-in is always one that the service has
been seen to give. This table is the judge's own: the adapter has another, and the two share nothing.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

Facts = Mapping[str, Any]
"""Fields of a `Family`."""

ALL = frozenset({"auto", "any", "tool"})
ANY_MEDIA = frozenset({"image", "document", "video"})
FORCED = frozenset({"any", "tool"})
NONE: frozenset[str] = frozenset()

PROVIDERS = (
    "ai21",
    "amazon",
    "anthropic",
    "cohere",
    "deepseek",
    "google",
    "luma",
    "meta",
    "minimax",
    "mistral",
    "moonshot",
    "moonshotai",
    "nvidia",
    "openai",
    "qwen",
    "stability",
    "twelvelabs",
    "writer",
    "xai",
    "zai",
)
"""The providers whose model ids the stand-in takes for real."""


@dataclass(frozen=True, slots=True)
class Family:
    """What one family refuses; every default means that nothing is refused, or that nobody knows."""

    name: str
    pattern: str
    """A regular expression for the bare model id."""

    # --- the conversation
    user_first: bool = False
    prefill: bool = True
    """Whether the assistant may have the last word."""
    lone_reasoning: bool = True
    """Whether a turn may hold nothing but reasoning."""
    system: bool = True
    system_role: bool = False
    """Whether a message in the middle may have the role system."""

    # --- tools
    tools: bool = True
    choices: frozenset[str] = ALL
    status: bool = True
    """Whether a tool result may say how it went."""
    empty_results: bool = True
    results_alone: bool = False
    """Whether nothing may share a turn with tool results."""
    results_first: bool = False
    """Whether tool results come before everything else in their turn."""
    hyphens: bool = True
    """Whether names of tools may have hyphens."""
    strict: bool = True

    # --- media
    images: bool = True
    documents: bool = True
    video: bool = False
    s3: bool = False
    inside: frozenset[str] = NONE
    """Kinds of media that a tool result may not hold."""
    pdf_inside: bool = True
    """Whether a tool result may hold pdf, docx and video."""

    # --- parameters
    sampling: str = "any"
    """"one": not temperature and topP together; "none": deprecated; "no-field": the service knows no such field."""
    stop_sequences: bool = True
    max_tokens: int | None = None
    """The largest number accepted; whether the number itself is, some dispute."""
    structured: bool | None = None
    extra_fields: frozenset[str] = NONE
    """Additional fields that are the family's own."""
    counts_tokens: bool = False

    # --- reasoning
    thinking: frozenset[str] | None = None
    """The values of `thinking.type` that are accepted; none of them: there is no such field."""
    efforts: frozenset[str] | None = None
    """The efforts that are accepted; none of them: there is no such field."""
    capped_effort: bool = False
    """Whether an effort above "high" needs thinking."""
    flat_effort: bool = True
    """Whether effort may be asked for as `reasoning_effort`."""
    reasoning_config: bool = False
    empty_signature: bool = True
    """Whether a signature may be there and empty."""
    replay: str | None = None
    """Reasoning text in the history: "signed" (must be), "unsigned" (must be), "refused", "user" (refused in the words
    for a user's message)."""

    # --- caching
    cache: frozenset[str] | None = NONE
    """The places where a cache point may stand."""
    long_cache: bool | None = None
    """Whether a cache point may live for an hour."""

    @property
    def is_claude(self) -> bool:
        """Whether Anthropic's API is behind it, with words of its own."""
        return self.name.startswith("Claude")

    @property
    def is_nova(self) -> bool:
        """Whether it is one of Amazon's Nova models."""
        return self.name.startswith("Nova")


EVERYWHERE = frozenset({"tools", "system", "messages"})
AUTO = frozenset({"auto"})
BUDGET = frozenset({"enabled", "disabled"})
EITHER = frozenset({"enabled", "adaptive", "disabled"})
ADAPTIVE = frozenset({"adaptive", "disabled"})
ALWAYS = frozenset({"adaptive"})
BETWEEN = frozenset({"adaptive", "between_tools"})
SOME_EFFORT = frozenset({"low", "medium", "high"})
MOST_EFFORT = SOME_EFFORT | {"max"}
ALL_EFFORT = MOST_EFFORT | {"xhigh"}
CLAUDE_FIELDS = frozenset({"top_k", "thinking", "output_config", "anthropic_beta"})
NOVA_FIELDS = frozenset({"inferenceConfig", "reasoningConfig"})


UNSIGNED: Facts = {"replay": "unsigned"}
"""Whoever is not Claude refuses a signature on replayed reasoning (Strands); a row may refuse more than that."""


def row(name: str, pattern: str, *shared: Facts, **facts: Any) -> Family:
    """A row of the table: what it shares with others, then what sets it apart."""
    merged = {key: value for some in (UNSIGNED, *shared) for key, value in some.items()} | facts
    return replace(Family(name, pattern), **merged)


CLAUDE: Facts = {
    "results_first": True,
    "replay": "signed",
    "cache": EVERYWHERE,
    "extra_fields": CLAUDE_FIELDS,
    "thinking": NONE,
    "efforts": NONE,
    "counts_tokens": True,
}
"""What all of Claude's rows share (recorded 2025, 3.7 to 4.6)."""

UP_TO_4_1: Facts = {"long_cache": False, "structured": False, "strict": False}
"""Before cache points of an hour and before native structured output."""

FROM_4_7: Facts = {
    "prefill": False,
    "sampling": "none",
    "efforts": ALL_EFFORT,
    "max_tokens": 128_000,
    "long_cache": True,
    "counts_tokens": False,
}
"""Any temperature is refused (obsidian-copilot#2601, promptfoo#10307), a thinking budget too (llmgateway#2778)."""

FROM_5: Facts = {**FROM_4_7, "lone_reasoning": False, "system_role": True}
"""Reasoning alone in a turn is refused as prefill: hermes-agent#105780 (Sonnet 5, Fable 5.1; Sonnet 4.6 takes it)."""


def claude(name: str, pattern: str, *shared: Facts, **facts: Any) -> Family:
    """A row of Claude's: what all of them share, what the generation shares, what sets this one apart."""
    return row(f"Claude {name}", rf"anthropic\.claude-{pattern}", CLAUDE, *shared, **facts)


NOVA: Facts = {
    "replay": None,
    "user_first": True,
    "hyphens": False,
    "empty_results": False,
    "empty_signature": False,
    "cache": frozenset({"system", "messages"}),
    "long_cache": False,
    "structured": False,
    "extra_fields": NOVA_FIELDS,
}
"""Hyphens: SEMOSS#2892. Empty results: stdapi-ai#226. Cache: LibreChat#13838, timothy-agent#756."""

EYES: Facts = {"video": True, "s3": True, "pdf_inside": False}
"""Video and S3 are Nova's alone; pdf and video in a tool result are refused (recorded 2025)."""

LLAMA: Facts = {"user_first": True, "choices": AUTO, "results_alone": True, "structured": False, "replay": "refused"}
MISTRAL: Facts = {"user_first": True, "results_alone": True, "inside": frozenset({"image"})}
DEEPSEEK: Facts = {"user_first": True, "images": False}
OPENAI: Facts = {"user_first": True, "choices": AUTO, "structured": False}
UNSAMPLED: Facts = {"sampling": "no-field", "flat_effort": False, "replay": "refused"}
QWEN: Facts = {"stop_sequences": False, "inside": ANY_MEDIA}
NEMOTRON: Facts = {"user_first": True, "empty_results": False}
"""Empty results: Strands, from a report (harness-sdk#2122)."""


FAMILIES: tuple[Family, ...] = (
    # --- Anthropic Claude, from the newest to the oldest --------------------------------------------------------------
    # 5.5: forced tool choice and disabled thinking are refused (ax#667, vercel/ai#21364).
    claude(
        "Opus 5.5, Fable 5.1, Mythos 5.1",
        r"(opus-5-5|fable-5-[12]|mythos-5-[12])",
        FROM_5,
        thinking=ALWAYS,
        choices=AUTO,
    ),
    claude("Sonnet 5.5", r"sonnet-5-5", FROM_5, thinking=BETWEEN, choices=AUTO, capped_effort=True),
    claude("Haiku 5.5", r"haiku-5-5", FROM_5, thinking=ADAPTIVE, capped_effort=True),
    # 5: Fable and Mythos always think, and no source has native structured output accepted by Fable (ax#667).
    claude("Fable 5", r"fable-5", FROM_5, thinking=ALWAYS, structured=False, strict=False),
    claude("Mythos 5", r"mythos", FROM_5, thinking=ALWAYS),
    claude("Opus 5", r"opus-5", FROM_5, thinking=ADAPTIVE, capped_effort=True),
    claude("Sonnet 5", r"(sonnet|haiku)-5", FROM_5, thinking=ADAPTIVE),
    # 4.8: mid-conversation system messages are documented from here on.
    claude("Opus 4.8", r"opus-4-8", FROM_4_7, thinking=ADAPTIVE, system_role=True),
    claude("Opus 4.7", r"(opus|sonnet|haiku)-4-7", FROM_4_7, thinking=ADAPTIVE),
    # 4.6: prefill is refused (hermes-agent#101401); cache points of an hour are disputed and left unjudged.
    claude(
        "4.6",
        r"(opus|sonnet)-4-6",
        prefill=False,
        sampling="one",
        thinking=EITHER,
        efforts=MOST_EFFORT,
        max_tokens=128_000,
        structured=True,
    ),
    # 4.5: temperature with top_p is refused (bedrock-access-gateway#191, #238); Haiku's structured output is disputed.
    claude("Haiku 4.5", r"haiku-4-5", sampling="one", thinking=BUDGET, max_tokens=64_000, long_cache=True),
    claude(
        "Opus 4.5",
        r"opus-4-5",
        sampling="one",
        thinking=BUDGET,
        efforts=None,
        max_tokens=64_000,
        long_cache=True,
        structured=True,
    ),
    claude(
        "Sonnet 4.5",
        r"sonnet-4-5",
        sampling="one",
        thinking=BUDGET,
        max_tokens=64_000,
        long_cache=True,
        structured=True,
    ),
    claude("Opus 4.1", r"opus-4-1", UP_TO_4_1, sampling="one", thinking=BUDGET, max_tokens=32_000),
    claude("Opus 4", r"opus-4", UP_TO_4_1, thinking=BUDGET, max_tokens=32_000),
    claude("Sonnet 4", r"sonnet-4", UP_TO_4_1, thinking=BUDGET),
    claude("Sonnet 3.7", r"3-7-sonnet", UP_TO_4_1, thinking=BUDGET),
    claude("Haiku 3.5", r"3-5-haiku", UP_TO_4_1, images=False, max_tokens=8_192),
    claude("Sonnet 3.5 v2", r"3-5-sonnet-20241022", UP_TO_4_1, max_tokens=8_192),
    claude("Sonnet 3.5", r"3-5-sonnet", UP_TO_4_1, max_tokens=8_192, cache=NONE),
    claude("3", r"3-", UP_TO_4_1, max_tokens=4_096, cache=NONE, counts_tokens=False),
    # 2: a text document is accepted (recorded 2025).
    claude(
        "2 and Instant",
        r"(v2|instant)",
        UP_TO_4_1,
        tools=False,
        images=False,
        cache=NONE,
        replay=None,
        counts_tokens=False,
    ),
    # A version that is not in this table: the rules of the newest, as far as those agree.
    claude("newer than this table", r".*", FROM_5, thinking=None, efforts=None, max_tokens=None, long_cache=None),
    # --- Amazon ------------------------------------------------------------------------------------------------------
    # Media in every place recorded 2025. Replay of reasoning is disputed for Nova 2 and left unjudged.
    row("Nova 2", r"amazon\.nova-2", NOVA, EYES, max_tokens=65_535, reasoning_config=True),
    row("Nova Micro", r"amazon\.nova-micro", NOVA, images=False, documents=False, max_tokens=10_000, replay="user"),
    row("Nova", r"amazon\.nova", NOVA, EYES, replay="user"),
    row("Titan", r"amazon\.titan", system=False, tools=False, images=False, structured=False),
    # --- Meta, Mistral, Writer: nothing may share a turn with tool results (langchain-aws#141) ----------------------------
    # Llama 4: images and documents inside tool results are accepted (recorded 2025).
    row("Llama 4", r"meta\.llama4", LLAMA),
    row("Llama 3.2 vision", r"meta\.llama3-2-(11b|90b)", LLAMA),
    row("Llama", r"meta\.llama", LLAMA, images=False),
    # Mistral: documents inside tool results are accepted (recorded 2025), images are not. Forced choice is disputed.
    row("Mistral without reasoning", r"mistral\.(devstral|ministral|mistral-large)", MISTRAL, replay="refused"),
    row("Mistral", r"mistral\.", MISTRAL),
    # Palmyra: `status` on a tool result is refused; a result without it accepted (recorded 2025).
    row("Palmyra", r"writer\.palmyra", LLAMA, status=False),
    # --- the others ------------------------------------------------------------------------------------------------------
    row("DeepSeek R1", r"deepseek\.r1", DEEPSEEK, tools=False, structured=False, replay="user"),
    # stopSequences: langchain-aws#664. Forced choice and native structured output are disputed.
    row("DeepSeek V3.1", r"deepseek\.v3-v1", DEEPSEEK, stop_sequences=False),
    row("DeepSeek", r"deepseek\.", DEEPSEEK),
    # gpt-oss: reasoning text is replayed unsigned (instructor#2682); effort "none" is refused.
    row("gpt-oss", r"openai\.gpt-oss", OPENAI, images=False, efforts=SOME_EFFORT),
    # temperature: activepieces#15261. Reasoning only as redacted content: inspect_ai#5217.
    row("GPT-5.6 and GPT-6", r"openai\.gpt-[56]", OPENAI, UNSAMPLED, efforts=ALL_EFFORT | {"none"}, cache=None),
    # temperature: hermes-agent#111043.
    row("Grok", r"xai\.grok", UNSAMPLED, user_first=True, structured=False, efforts=SOME_EFFORT | {"xhigh"}),
    # stopSequences: dify-official-plugins#1767. Media inside tool results are refused by the models with eyes too.
    row("Qwen VL", r"qwen\.qwen3-vl", QWEN),
    row("Qwen without replay", r"qwen\.qwen3-(235b|coder)", QWEN, images=False, replay="refused"),
    row("Qwen", r"qwen\.", QWEN, images=False),
    row("GLM", r"zai\."),
    row("Kimi", r"moonshot(ai)?\.", inside=ANY_MEDIA),
    row("Gemma", r"google\.gemma", user_first=True, choices=AUTO, replay="refused"),
    row("MiniMax", r"minimax\.", user_first=True, empty_signature=False),
    row("Nemotron without replay", r"nvidia\.nemotron-(nano-9b|super)", NEMOTRON, replay="refused"),
    row("Nemotron", r"nvidia\.", NEMOTRON),
    row("Cohere Command", r"cohere\.", user_first=True, images=False, structured=False),
    row("Jamba", r"ai21\.", user_first=True, images=False, structured=False),
)
"""The table."""

UNKNOWN = Family("unknown", r".*", video=True, s3=True, cache=None, system_role=True)
"""A model that the id does not name (application profiles, custom and imported models): nothing is judged by family."""

_PLAIN = re.compile(rf"(?:[a-z]+(?:-[a-z]+)*\.)?(?P<bare>(?:{'|'.join(PROVIDERS)})\..+)")
_NAMING_ARN = re.compile(r"arn:aws[^:]*:bedrock:[^:]*:[^:]*:(?:foundation-model|inference-profile)/(?P<id>.+)")


def bare_id(model_id: str) -> str | None:
    """The id without geographic prefix and without the ARN around it; None if it names no known provider's model."""
    arn = _NAMING_ARN.fullmatch(model_id)
    found = _PLAIN.fullmatch(arn["id"] if arn else model_id)
    return found["bare"] if found else None


@functools.lru_cache(maxsize=1024)
def family_of(model_id: str) -> Family:
    """The row of a model id."""
    bare = bare_id(model_id)
    if bare is None:
        return UNKNOWN
    return next((family for family in FAMILIES if re.match(family.pattern, bare)), UNKNOWN)
