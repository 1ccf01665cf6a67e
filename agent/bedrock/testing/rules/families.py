"""What the stand-in knows of the model families: one table, one row per family, first match wins.

A model id comes in, its row goes out. A fact that sources dispute, or that nobody has reported, has the value that
leaves it unjudged (the defaults of `Family`), so that a refusal of the stand-in is always one that the service has
been seen to give. This table is the judge's own: the adapter has another, and the two share nothing.
"""

from __future__ import annotations

import functools
import re
from dataclasses import dataclass

ALL = frozenset({"auto", "any", "tool"})
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
    """What one family refuses; every default means "nothing is refused, or nobody knows".

    `sampling`: "any", "one" (not temperature and topP together), "none" (temperature deprecated), "no-field" (the
    service knows no such field for this family). `lone_reasoning` False refuses a turn of nothing but reasoning. `replay` of reasoning text: "signed", "unsigned" (a signature is
    refused), "refused", "user" (refused as reasoning in a user message). `thinking` names the accepted values of
    `thinking.type`. `cache` names the places where a cache point may stand; None is unjudged. `max_tokens` is the
    largest number accepted; one more is refused. `images`, `documents`: False refuses the block anywhere.
    `inside`: kinds of media that a tool result may not hold; `pdf_inside` False refuses pdf and docx there.
    """

    name: str
    pattern: str
    user_first: bool = False
    prefill: bool = True
    lone_reasoning: bool = True
    system: bool = True
    tools: bool = True
    choices: frozenset[str] = ALL
    status: bool = True
    results_alone: bool = False
    results_first: bool = False
    hyphens: bool = True
    images: bool = True
    documents: bool = True
    video: bool = False
    s3: bool = False
    inside: frozenset[str] = NONE
    pdf_inside: bool = True
    sampling: str = "any"
    stop_sequences: bool = True
    max_tokens: int | None = None
    thinking: frozenset[str] | None = None
    reasoning_config: bool = False
    replay: str | None = None
    cache: frozenset[str] | None = NONE
    long_cache: bool | None = None
    structured: bool | None = None
    strict: bool | None = None
    extra_fields: frozenset[str] = NONE
    system_role: bool = False
    counts_tokens: bool = False


EVERYWHERE = frozenset({"tools", "system", "messages"})
BUDGET = frozenset({"enabled", "disabled"})
EITHER = frozenset({"enabled", "adaptive", "disabled"})
ADAPTIVE = frozenset({"adaptive", "disabled"})
ALWAYS = frozenset({"adaptive"})
CLAUDE_FIELDS = frozenset({"top_k", "thinking", "output_config", "anthropic_beta"})
NOVA_FIELDS = frozenset({"inferenceConfig", "reasoningConfig"})


def claude(name: str, pattern: str, **facts: object) -> Family:
    """A row of Claude's: what all of them share (recorded 2025, Claude 3.7 to 4.6), and what sets this one apart."""
    shared: dict[str, object] = {
        "results_first": True,
        "replay": "signed",
        "cache": EVERYWHERE,
        "extra_fields": CLAUDE_FIELDS,
        "thinking": NONE,
        "counts_tokens": True,
    }
    return Family(name, rf"anthropic\.claude-{pattern}", **{**shared, **facts})  # type: ignore[arg-type]


FAMILIES: tuple[Family, ...] = (
    # --- Anthropic Claude; versions from the newest to the oldest --------------------------------------------------
    claude(
        # Forced tool choice and disabled thinking are refused: ax#667, vercel/ai#21364.
        "Claude Opus 5.5, Fable 5.1, Mythos 5.1",
        r"(opus-5-5|fable-5-[12]|mythos-5-[12])",
        prefill=False,
        lone_reasoning=False,
        counts_tokens=False,
        sampling="none",
        thinking=ALWAYS,
        choices=frozenset({"auto"}),
        max_tokens=128_000,
        long_cache=True,
        system_role=True,
    ),
    claude(
        "Claude Sonnet 5.5",
        r"sonnet-5-5",
        prefill=False,
        lone_reasoning=False,
        counts_tokens=False,
        sampling="none",
        thinking=frozenset({"adaptive", "between_tools"}),
        choices=frozenset({"auto"}),
        max_tokens=128_000,
        long_cache=True,
        system_role=True,
    ),
    claude(
        "Claude Haiku 5.5",
        r"haiku-5-5",
        prefill=False,
        lone_reasoning=False,
        counts_tokens=False,
        sampling="none",
        thinking=ADAPTIVE,
        max_tokens=128_000,
        long_cache=True,
        system_role=True,
    ),
    claude(
        # Always thinks; native structured output is refused: ax#667, and no source has it accepted.
        "Claude Fable 5, Mythos 5",
        r"(fable-5|mythos)",
        prefill=False,
        lone_reasoning=False,
        counts_tokens=False,
        sampling="none",
        thinking=ALWAYS,
        structured=False,
        max_tokens=128_000,
        long_cache=True,
        system_role=True,
    ),
    claude(
        "Claude Opus 5, Sonnet 5",
        r"(opus|sonnet|haiku)-5",
        prefill=False,
        lone_reasoning=False,
        counts_tokens=False,
        sampling="none",
        thinking=ADAPTIVE,
        max_tokens=128_000,
        long_cache=True,
        system_role=True,
    ),
    claude(
        # Mid-conversation system messages are documented from 4.8 on.
        "Claude Opus 4.8",
        r"opus-4-8",
        prefill=False,
        counts_tokens=False,
        sampling="none",
        thinking=ADAPTIVE,
        max_tokens=128_000,
        long_cache=True,
        system_role=True,
    ),
    claude(
        # Any temperature is refused: obsidian-copilot#2601, promptfoo#10307; a budget too: llmgateway#2778.
        "Claude Opus 4.7",
        r"(opus|sonnet|haiku)-4-7",
        prefill=False,
        counts_tokens=False,
        sampling="none",
        thinking=ADAPTIVE,
        max_tokens=128_000,
        long_cache=True,
    ),
    claude(
        # Prefill is refused: hermes-agent#101401. The long cache TTL is disputed and left unjudged.
        "Claude 4.6",
        r"(opus|sonnet)-4-6",
        prefill=False,
        sampling="one",
        thinking=EITHER,
        max_tokens=128_000,
        structured=True,
        strict=True,
    ),
    claude(
        # temperature with top_p is refused: bedrock-access-gateway#191, #238. Haiku 4.5's structured output is disputed.
        "Claude Haiku 4.5",
        r"haiku-4-5",
        sampling="one",
        thinking=BUDGET,
        max_tokens=64_000,
        long_cache=True,
    ),
    claude(
        "Claude Opus 4.5, Sonnet 4.5",
        r"(opus|sonnet)-4-5",
        sampling="one",
        thinking=BUDGET,
        max_tokens=64_000,
        long_cache=True,
        structured=True,
        strict=True,
    ),
    claude(
        "Claude Opus 4.1",
        r"opus-4-1",
        sampling="one",
        thinking=BUDGET,
        max_tokens=32_000,
        long_cache=False,
        structured=False,
        strict=False,
    ),
    claude(
        "Claude Opus 4",
        r"opus-4",
        thinking=BUDGET,
        max_tokens=32_000,
        long_cache=False,
        structured=False,
        strict=False,
    ),
    claude("Claude Sonnet 4", r"sonnet-4", thinking=BUDGET, long_cache=False, structured=False, strict=False),
    claude("Claude Sonnet 3.7", r"3-7-sonnet", thinking=BUDGET, long_cache=False, structured=False, strict=False),
    claude(
        "Claude Haiku 3.5",
        r"3-5-haiku",
        images=False,
        max_tokens=8_192,
        long_cache=False,
        structured=False,
        strict=False,
    ),
    claude(
        "Claude Sonnet 3.5 v2",
        r"3-5-sonnet-20241022",
        max_tokens=8_192,
        long_cache=False,
        structured=False,
        strict=False,
    ),
    claude(
        "Claude Sonnet 3.5",
        r"3-5-sonnet",
        max_tokens=8_192,
        cache=NONE,
        long_cache=False,
        structured=False,
        strict=False,
    ),
    claude("Claude 3", r"3-", max_tokens=4_096, cache=NONE, structured=False, strict=False, counts_tokens=False),
    claude(
        # A text document is accepted (recorded 2025).
        "Claude 2 and Instant",
        r"(v2|instant)",
        tools=False,
        images=False,
        cache=NONE,
        structured=False,
        replay=None,
        counts_tokens=False,
    ),
    claude(
        # A version that is not in this table: the rules of the newest, as far as all of those agree.
        "Claude, newer than this table",
        r".*",
        prefill=False,
        lone_reasoning=False,
        sampling="none",
        thinking=None,
        system_role=True,
        counts_tokens=False,
    ),
    # --- Amazon ----------------------------------------------------------------------------------------------------
    Family(
        # Media of every form recorded 2025; pdf and video in a tool result refused (recorded 2025).
        # Replay of reasoning is disputed for Nova 2 and left unjudged.
        "Nova 2",
        r"amazon\.nova-2",
        user_first=True,
        hyphens=False,
        video=True,
        s3=True,
        inside=frozenset({"video"}),
        pdf_inside=False,
        max_tokens=65_535,
        reasoning_config=True,
        cache=frozenset({"system", "messages"}),
        long_cache=False,
        structured=False,
        extra_fields=NOVA_FIELDS,
    ),
    Family(
        "Nova Micro",
        r"amazon\.nova-micro",
        user_first=True,
        hyphens=False,
        images=False,
        documents=False,
        replay="user",
        max_tokens=10_000,
        cache=frozenset({"system", "messages"}),
        long_cache=False,
        structured=False,
        extra_fields=NOVA_FIELDS,
    ),
    Family(
        "Nova",
        r"amazon\.nova",
        user_first=True,
        hyphens=False,
        video=True,
        s3=True,
        inside=frozenset({"video"}),
        pdf_inside=False,
        replay="user",
        cache=frozenset({"system", "messages"}),
        long_cache=False,
        structured=False,
        extra_fields=NOVA_FIELDS,
    ),
    Family("Titan", r"amazon\.titan", system=False, tools=False, images=False, structured=False),
    # --- Meta, Mistral, Writer: nothing may share a turn with tool results (langchain-aws#141) -----------------------
    Family(
        # Images and documents inside tool results are accepted (recorded 2025).
        "Llama 4",
        r"meta\.llama4",
        user_first=True,
        choices=frozenset({"auto"}),
        results_alone=True,
        structured=False,
        replay="refused",
    ),
    Family(
        "Llama 3.2 vision",
        r"meta\.llama3-2-(11b|90b)",
        user_first=True,
        choices=frozenset({"auto"}),
        results_alone=True,
        structured=False,
        replay="refused",
    ),
    Family(
        "Llama",
        r"meta\.llama",
        user_first=True,
        choices=frozenset({"auto"}),
        results_alone=True,
        images=False,
        structured=False,
        replay="refused",
    ),
    Family(
        # Documents inside tool results are accepted (recorded 2025), images are not. Forced choice is disputed.
        "Mistral",
        r"mistral\.",
        user_first=True,
        results_alone=True,
        inside=frozenset({"image"}),
    ),
    Family(
        # `status` on a tool result is refused; accepted without (recorded 2025).
        "Palmyra",
        r"writer\.palmyra",
        user_first=True,
        choices=frozenset({"auto"}),
        status=False,
        results_alone=True,
        structured=False,
        replay="refused",
    ),
    # --- the others --------------------------------------------------------------------------------------------------
    Family("DeepSeek R1", r"deepseek\.r1", user_first=True, tools=False, images=False, structured=False, replay="user"),
    Family(
        # Forced choice and native structured output are disputed; stopSequences: langchain-aws#664.
        "DeepSeek V3.1",
        r"deepseek\.v3-v1",
        user_first=True,
        images=False,
        stop_sequences=False,
    ),
    Family("DeepSeek", r"deepseek\.", user_first=True, images=False),
    Family(
        # Reasoning text is replayed unsigned (instructor#2682); effort "none" is refused.
        "gpt-oss",
        r"openai\.gpt-oss",
        user_first=True,
        choices=frozenset({"auto"}),
        images=False,
        structured=False,
        replay="unsigned",
    ),
    Family(
        # temperature: activepieces#15261. Reasoning only as redacted content: inspect_ai#5217.
        "GPT-5.6 and GPT-6",
        r"openai\.gpt-[56]",
        user_first=True,
        choices=frozenset({"auto"}),
        sampling="no-field",
        replay="refused",
        cache=None,
        structured=False,
    ),
    Family(
        # temperature: hermes-agent#111043.
        "Grok",
        r"xai\.grok",
        user_first=True,
        sampling="no-field",
        replay="refused",
        structured=False,
    ),
    Family(
        # stopSequences: dify-official-plugins#1767. Media inside tool results refused for VL too.
        "Qwen VL",
        r"qwen\.qwen3-vl",
        stop_sequences=False,
        inside=frozenset({"image", "document", "video"}),
    ),
    Family("Qwen", r"qwen\.", stop_sequences=False, images=False, inside=frozenset({"image", "document", "video"})),
    Family("GLM", r"zai\."),
    Family("Kimi", r"moonshot(ai)?\.", inside=frozenset({"image", "document", "video"})),
    Family("Gemma", r"google\.gemma", user_first=True, choices=frozenset({"auto"}), replay="refused"),
    Family("MiniMax", r"minimax\.", user_first=True),
    Family("Nemotron", r"nvidia\.", user_first=True),
    Family("Cohere Command", r"cohere\.", user_first=True, images=False, structured=False),
    Family("Jamba", r"ai21\.", user_first=True, images=False, structured=False),
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
