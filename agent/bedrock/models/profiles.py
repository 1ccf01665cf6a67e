"""PROFILES: what each model family accepts on Converse, one table, the evidence and its date beside each fact.

In comes a model id (or the base model that the caller names for an ARN which hides it); out goes one frozen `ModelProfile`.
Rows apply from top to bottom, each refining those before it: a family's row first, then its version rules. A version rule
is open towards newer versions, so an unknown newer model takes the newest rules of its family. Where the sources disagree
the cautious side is taken; a refusal that is learned at run time corrects it for the process, elsewhere.

Evidence: "recorded" is an exchange with the real service; "live" a check of it that a maintainer published; "thread" a
public issue; "documented" the vendor's documentation. All of it was compiled on 2026-11-20.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Any, Literal

from ..patterns import pattern
from ..values import changed, frozen
from .ids import PROVIDERS, ModelId, split_model_id

Replay = Literal["verbatim", "signed", "unsigned", "redacted", "none"]
Sampling = Literal["all", "one", "none"]
Thinking = Literal[
    "none",  # no field of the request turns reasoning on or off
    "thinking.budget",  # thinking {type: enabled, budget_tokens}
    "thinking.adaptive",  # thinking {type: adaptive} and output_config {effort}
    "reasoningConfig",  # reasoningConfig {type, maxReasoningEffort}
    "reasoning_effort",  # reasoning_effort: level
    "reasoning.effort",  # reasoning {effort: level}
    "reasoning_config",  # reasoning_config: level
]

# "document" is a text-like one (txt, md, csv, html), "office" a doc, docx, xls or xlsx; families treat them differently.
DOCUMENTS = frozenset({"document", "office", "pdf"})
MEDIA = DOCUMENTS | {"image", "video", "audio"}
EVERY_KIND = MEDIA | {"text", "searchResult", "guardContent"}
NO_KIND: frozenset[str] = frozenset()


@frozen
class CacheRules:
    """Where cache points may stand.

    `minimum` is the smallest prefix in tokens that the service keeps at all; `lookback` is how many blocks before a point
    the service searches for an earlier one, 0 where it does not search.
    """

    minimum: int = 1024
    tools: bool = True
    one_hour: bool = False
    beside_tool_blocks: bool = True
    points: int = 4
    lookback: int = 20


@frozen
class ModelProfile:
    """Facts about one model; the defaults are the cautious side for a model that no row knows."""

    family: str = "unknown"

    # tools
    tools: bool = True
    tools_while_streaming: bool = True
    forced_tool_choice: bool = False
    forced_choice_while_thinking: bool = True
    hyphens_in_tool_names: bool = True
    wide_call_ids: bool = False  # "." and ":" in toolUseId, beside letters, digits, "_" and "-"
    repeated_call_ids: bool = False  # the same id in another turn
    strict_tools: bool = False
    inline_schema_references: bool = False
    system_tools: bool = False

    # turns
    leading_assistant: bool = False
    prefill: bool = False
    system_prompt: bool = True
    system_turns: bool = False
    beside_tool_result: frozenset[str] = EVERY_KIND

    # tool results
    result_status: bool = False
    says_success: bool = True
    result_media: frozenset[str] = DOCUMENTS | {"image"}

    # media
    refused_media: frozenset[str] = NO_KIND
    assistant_media: bool = False  # images and documents are the user's to send (documented)
    s3_sources: frozenset[str] = MEDIA
    max_image_bytes: int | None = 3_932_160  # 5 MiB of base64 (measured, thread aws-idp 778; documented as 3.75 MB)
    max_document_bytes: int | None = 4_718_592  # documented as 4.5 MB
    max_images: int = 20  # in one turn, documented
    max_documents: int = 5  # in one turn, documented

    # reasoning
    thinking: Thinking = "none"
    efforts: tuple[str, ...] = ()
    default_effort_off: str | None = None  # the level that turns reasoning off, where there is one
    can_disable_thinking: bool = True
    disabled_thinking: Mapping[str, Any] | None = (
        None  # the nearest the model takes to "off", when it refuses "disabled"
    )
    thinks_unasked: bool = False
    effort_field: bool = False  # output_config.effort beside a thinking budget
    replay: Replay = "none"
    replays_citations: bool = False  # citationsContent in an assistant's turn; elsewhere its text goes back alone

    beta_field: bool = False  # anthropic_beta

    # sampling and bounds
    sampling: Sampling = "all"
    top_k: tuple[str, ...] = ()  # the path inside additionalModelRequestFields; empty: the field is refused
    stop_sequences: bool = True
    blank_stop_sequences: bool = True  # such as "\n"
    max_output: int | None = None  # the largest maxTokens that is accepted
    context: int = 128_000

    # structured output, caching
    native_schema: bool = False
    cache: CacheRules | None = None


# What the drop-in's model-less converters use: nothing is refused, everything that a caller carries is replayed.
PERMISSIVE = ModelProfile(
    family="any",
    forced_tool_choice=True,
    wide_call_ids=True,
    repeated_call_ids=True,
    strict_tools=True,
    system_tools=True,
    result_status=True,
    says_success=False,
    assistant_media=True,
    result_media=MEDIA,
    max_image_bytes=None,
    max_document_bytes=None,
    max_images=1_000_000,
    max_documents=1_000_000,
    replay="verbatim",
    replays_citations=True,
)


@frozen
class Row:
    """`facts` hold for models whose "provider.name" matches `models` and whose version is in [since, until)."""

    models: str
    facts: Mapping[str, Any]
    evidence: str
    since: tuple[int, ...] = ()
    until: tuple[int, ...] = ()


TEXT_MODEL = frozenset({"video", "image"})
_CLAUDE_4_5_CACHE = CacheRules(minimum=4096, one_hour=True)
_LOW_TO_HIGH = ("low", "medium", "high")
_LOW_TO_MAX = ("low", "medium", "high", "xhigh", "max")
_CLAUDE = r"anthropic\.claude"
_NOVA = r"amazon\.nova"

PROFILES: tuple[Row, ...] = (
    # ---------------------------------------------------------------------------------------------- every known provider
    Row(
        rf"({'|'.join(sorted(PROVIDERS))})\.",
        {"refused_media": frozenset({"video"}), "s3_sources": NO_KIND},
        "live: only Nova takes a video block; only Nova reads from S3 (thread harness-sdk 3610)",
    ),
    # ------------------------------------------------------------------------------------------------ Anthropic Claude
    Row(
        _CLAUDE,
        {
            "family": "claude",
            "forced_tool_choice": True,
            "leading_assistant": True,
            "prefill": True,
            "beside_tool_result": frozenset({"text", "image", "pdf", "searchResult", "guardContent"}),
            "result_status": True,
            "result_media": DOCUMENTS | {"image"},
            "refused_media": frozenset({"video", "audio"}),
            "s3_sources": NO_KIND,
            "replay": "signed",
            "replays_citations": True,
            "top_k": ("top_k",),
            "blank_stop_sequences": False,
            "beta_field": True,
            "max_output": 4096,
            "context": 200_000,
        },
        "recorded 2025: leading assistant, text/image/PDF beside a tool result, image and PDF inside one, top_k; refused "
        "s3Uri and video. Unsigned thinking is refused (thread pydantic-ai 7908); 'each stop sequence must contain "
        "non-whitespace' (documented)",
    ),
    Row(
        _CLAUDE + r"-instant|" + _CLAUDE + "$",
        {"tools": False, "refused_media": MEDIA - DOCUMENTS},
        "documented: Claude 2 and Instant call no tools; recorded: claude-v2 takes a document",
    ),
    Row(_CLAUDE, {"max_output": 8192}, "documented: 3.5 answers with 8 192 tokens", since=(3, 5)),
    Row(
        _CLAUDE + r"-3-5-sonnet-v2|" + _CLAUDE + r"-3-5-haiku",
        {"cache": CacheRules(minimum=2048)},
        "documented: 3.5 Haiku and 3.5 Sonnet v2 cache, 5m only",
    ),
    Row(_CLAUDE + r"-3-5-haiku", {"refused_media": frozenset({"video", "audio", "image"})}, "documented: text only"),
    Row(
        _CLAUDE,
        {
            "thinking": "thinking.budget",
            "forced_choice_while_thinking": False,
            "cache": CacheRules(minimum=1024),
            "max_output": 64_000,
        },
        "documented and recorded: 3.7 thinks with a budget; 'Thinking may not be enabled when tool_choice forces tool "
        "use.' up to 4.7 (thread langchain-aws 1141)",
        since=(3, 7),
    ),
    Row(_CLAUDE + r"-opus", {"max_output": 32_000}, "documented: Opus 4 and 4.1", since=(4,), until=(4, 5)),
    Row(
        _CLAUDE + r"-opus",
        {"sampling": "one"},
        "'`temperature` and `top_p` cannot both be specified for this model.' from Opus 4.1 (thread bedrock-access-gateway 238)",
        since=(4, 1),
    ),
    Row(
        _CLAUDE,
        {
            "sampling": "one",
            "max_output": 63_999,
            "strict_tools": True,
            "native_schema": True,
            "cache": _CLAUDE_4_5_CACHE,
        },
        "recorded: outputConfig and strict on Sonnet 4.5; the bound of 64K is exclusive (thread llumiverse 562); 1h on 4.5 "
        "(thread harness-sdk 3677)",
        since=(4, 5),
    ),
    Row(
        _CLAUDE + r"-sonnet", {"cache": CacheRules(minimum=1024, one_hour=True)}, "documented: Sonnet 4.5", since=(4, 5)
    ),
    Row(
        _CLAUDE + r"-opus",
        {"effort_field": True, "efforts": _LOW_TO_HIGH},
        "live: output_config.effort from Opus 4.5",
        since=(4, 5),
    ),
    Row(
        _CLAUDE,
        {
            "thinking": "thinking.adaptive",
            "efforts": ("low", "medium", "high", "max"),
            "effort_field": True,
            "prefill": False,
            "max_output": 127_999,
            "context": 1_000_000,
            "cache": CacheRules(minimum=4096, one_hour=True),
        },
        "recorded: adaptive with output_config.effort on Sonnet 4.6; no prefill from 4.6 (thread hermes-agent 101401); the "
        "bound of 128000 is exclusive (thread llumiverse 562); 1h is sent when asked for and downgraded when refused",
        since=(4, 6),
    ),
    Row(
        _CLAUDE + r"-sonnet", {"cache": CacheRules(minimum=2048, one_hour=True)}, "documented: Sonnet 4.6", since=(4, 6)
    ),
    Row(
        _CLAUDE,
        {
            "sampling": "none",
            "top_k": (),
            "efforts": _LOW_TO_MAX,
            "strict_tools": False,
            "native_schema": False,
            "cache": CacheRules(minimum=2048, one_hour=True),
        },
        "'`temperature` is deprecated for this model.' (thread obsidian-copilot 2601); 'output_config.format: Extra inputs "
        "are not permitted' on 4.7, 4.8 and 5 (threads presenton 939, ax 667)",
        since=(4, 7),
    ),
    Row(
        _CLAUDE,
        {
            "forced_choice_while_thinking": True,
            "system_turns": True,
            "cache": CacheRules(minimum=1024, one_hour=True),
        },
        "a forced choice beside thinking is accepted from Opus 4.8 (thread langchain-aws 1141); system-role turns are "
        "documented from Opus 4.8 (thread litellm 32831)",
        since=(4, 8),
    ),
    Row(
        _CLAUDE,
        {"thinks_unasked": True, "cache": CacheRules(minimum=512, one_hour=True)},
        "live: 5.x thinks without being asked; documented minimum of Opus 5 and Fable 5",
        since=(5,),
    ),
    Row(
        _CLAUDE + r"-sonnet",
        {"cache": CacheRules(minimum=1024, one_hour=True)},
        "documented: Sonnet 5",
        since=(5,),
        until=(5, 5),
    ),
    Row(_CLAUDE + r"-(fable|mythos)", {"can_disable_thinking": False}, "live: thinking cannot be disabled"),
    Row(
        _CLAUDE + r"-(fable|mythos)",
        {"forced_tool_choice": False},
        "decided: a forced choice is refused by Fable 5.1/5.2 and Mythos 5.1/5.2",
        since=(5, 1),
    ),
    Row(
        _CLAUDE,
        {"forced_tool_choice": False, "can_disable_thinking": False},
        '\'tool_choice: type "tool" and "any" are not supported for this model.\' on Opus and Sonnet 5.5, \'thinking.type.'
        "disabled is not supported' (threads ax 667, vercel/ai 21364)",
        since=(5, 5),
    ),
    Row(
        _CLAUDE + r"-sonnet",
        {"disabled_thinking": {"type": "between_tools"}},
        "live: Sonnet 5.5 takes between_tools",
        since=(5, 5),
    ),
    Row(
        _CLAUDE + r"-haiku",
        {"can_disable_thinking": True},
        "documented: Haiku 5.5 can be told not to think",
        since=(5, 5),
    ),
    # ---------------------------------------------------------------------------------------------------- Amazon
    Row(
        r"amazon\.",
        {"family": "amazon", "result_status": True},
        "documented: the status of a tool result is for Nova and Claude",
    ),
    Row(
        r"amazon\.titan-text",
        {"tools": False, "system_prompt": False, "refused_media": TEXT_MODEL, "context": 32_000},
        "documented: Titan text takes neither tools nor a system prompt",
    ),
    Row(
        _NOVA,
        {
            "forced_tool_choice": True,
            "replays_citations": True,
            "hyphens_in_tool_names": False,
            "result_media": frozenset({"image", "document"}),
            "top_k": ("inferenceConfig", "topK"),
            "refused_media": NO_KIND,
            "s3_sources": MEDIA,
            "max_output": 10_000,
            "context": 300_000,
            "cache": CacheRules(minimum=1024, tools=False, beside_tool_blocks=False, lookback=0),
        },
        "recorded: topK inside inferenceConfig, text/image/PDF/video beside a tool result, S3 sources, an image inside a "
        "tool result, PDF and video refused there; 'extraneous key [cachePoint]' on tools (thread LibreChat 13838); hyphens "
        "in names break tool calls (thread SEMOSS 2892)",
    ),
    Row(
        _NOVA + r"-(lite|micro)",
        {"cache": CacheRules(minimum=1536, tools=False, beside_tool_blocks=False, lookback=0)},
        "documented minimum",
    ),
    Row(
        _NOVA + r"-micro",
        {"context": 128_000, "refused_media": MEDIA, "result_media": NO_KIND},
        "documented: Nova Micro is text only",
    ),
    Row(_NOVA + r"-premier", {"context": 1_000_000, "max_output": 32_000}, "documented"),
    Row(
        _NOVA + r"-\d",
        {
            "thinking": "reasoningConfig",
            "efforts": _LOW_TO_HIGH,
            "system_tools": True,
            "context": 1_000_000,
            "max_output": 65_535,
            "replay": "none",
        },
        "newer than the first; recorded: system tools on Nova 2 Lite; decided: its reasoning is not replayed ('User messages cannot contain "
        "reasoning content.')",
    ),
    Row(
        _NOVA + r"-(\d+-)?(canvas|reel|sonic)|amazon\.titan-(embed|image)|amazon\.(rerank|nova-.*embed)",
        {"tools": False, "cache": None},
        "documented: no chat models",
    ),
    # ---------------------------------------------------------------------------------------------------- Meta Llama
    Row(
        r"meta\.llama",
        {
            "family": "llama",
            "tools_while_streaming": False,
            "beside_tool_result": NO_KIND,
            "max_output": 8192,
        },
        "'Conversation blocks and tool result blocks cannot be provided in the same turn.' (live); recorded: llama4 takes "
        "image and PDF inside a tool result; toolChoice any/tool is refused; reasoning is refused",
    ),
    Row(r"meta\.llama(2|3-1|3-3|3-\d+b|3-2-[13]b)", {"refused_media": TEXT_MODEL}, "documented: text only"),
    Row(r"meta\.llama4", {"context": 1_000_000, "max_output": 16_384}, "documented: Maverick"),
    Row(r"meta\.llama4-scout", {"context": 3_500_000}, "documented: Scout"),
    # ------------------------------------------------------------------------------------------------------ Mistral
    Row(
        r"mistral\.",
        {
            "family": "mistral",
            "tools_while_streaming": False,
            "beside_tool_result": NO_KIND,
            "result_media": DOCUMENTS,
            "max_output": 8192,
        },
        "live: only documents inside a tool result (recorded: a PDF on Pixtral), nothing beside it",
    ),
    Row(
        r"mistral\.(magistral-small|ministral-[3-9]-|mistral-large-[3-9](?!\d)|voxtral)",
        {"strict_tools": True, "native_schema": True},
        "recorded: outputConfig on Mistral Large 3; live for the others",
    ),
    Row(r"mistral\.magistral", {"replay": "unsigned"}, "a signature is refused, the text is taken (strands 1.62)"),
    Row(r"mistral\.(mistral-large-[3-9](?!\d)|ministral)", {"context": 256_000}, "documented"),
    # --------------------------------------------------------------------------------------------------------- Qwen
    Row(
        r"qwen\.",
        {
            "family": "qwen",
            "leading_assistant": True,
            "result_media": NO_KIND,
            "stop_sequences": False,
            "thinking": "reasoning_config",
            "efforts": ("low", "high"),
            "default_effort_off": "none",
            "strict_tools": True,
            "native_schema": True,
            "max_output": 131_000,
            "context": 262_144,
        },
        "recorded: reasoning_config high and outputConfig on qwen3-32b; 'doesn't support the stopSequences field' (thread "
        "dify-official-plugins 1767); live: no media inside a tool result",
    ),
    Row(r"qwen\.(?!.*-vl)", {"refused_media": TEXT_MODEL}, "documented: only the VL models see"),
    Row(r"qwen\.qwen3-coder", {"thinking": "none", "efforts": ()}, "live: the coder never reasons"),
    Row(r"qwen\.qwen3-32b", {"max_output": 16_384, "context": 131_072}, "documented"),
    # ----------------------------------------------------------------------------------------------------- DeepSeek
    Row(
        r"deepseek\.",
        {
            "family": "deepseek",
            "refused_media": TEXT_MODEL,
            "stop_sequences": False,
            "context": 163_840,
            "max_output": 81_920,
        },
        "'doesn't support the stopSequences field' on V3.1 (thread langchain-aws 664); any reasoning is refused (strands 1.62)",
    ),
    Row(
        r"deepseek\.v\d",
        {"thinking": "reasoning_effort", "efforts": ("high",), "default_effort_off": "none"},
        "live: high or none; decided: no native schema",
    ),
    Row(
        r"deepseek\.r1",
        {
            "tools": False,
            "tools_while_streaming": False,
            "stop_sequences": True,
            "context": 128_000,
            "max_output": 32_768,
        },
        "'This model doesn't support tool use'; recorded: always reasons",
    ),
    # ------------------------------------------------------------------------------------------------------- OpenAI
    Row(
        r"openai\.gpt-oss",
        {
            "family": "gpt-oss",
            "inline_schema_references": True,
            "thinking": "reasoning_effort",
            "efforts": _LOW_TO_HIGH,
            "can_disable_thinking": False,
            "refused_media": TEXT_MODEL,
            "max_output": 16_384,
        },
        "recorded: reasoning_effort medium; none, minimal and xhigh are refused (live); $defs have to be inlined (live); "
        "reasoning in history is refused (thread hermes-agent 105119)",
    ),
    Row(
        r"openai\.gpt-\d",
        {
            "family": "gpt",
            "sampling": "none",
            "thinking": "reasoning.effort",
            "efforts": ("low", "medium", "high", "xhigh"),
            "default_effort_off": "none",
            "replay": "redacted",
            "max_output": 128_000,
            "context": 1_050_000,
        },
        "live: reasoning {effort}, no sampling; its reasoning is redactedContent and is replayed verbatim (thread pi 8314)",
    ),
    Row(
        r"openai\.gpt-6(\.\d+)?-astra|openai\.gpt-6\.1-sol",
        {"default_effort_off": None, "can_disable_thinking": False},
        "live: none is refused",
    ),
    # --------------------------------------------------------------------------------------------- Z.ai, Moonshot, xAI
    Row(
        r"zai\.glm",
        {
            "family": "glm",
            "forced_tool_choice": True,
            "leading_assistant": True,
            "thinking": "reasoning_effort",
            "efforts": ("high",),
            "default_effort_off": "none",
            "replay": "unsigned",
            "strict_tools": True,
            "native_schema": True,
            "max_output": 101_000,
            "context": 202_752,
        },
        "recorded: outputConfig on GLM 4.7 flash; live: up to 5, high or none; a signature is refused (strands 1.62)",
    ),
    Row(
        r"zai\.glm",
        {"efforts": _LOW_TO_MAX, "default_effort_off": None, "can_disable_thinking": False},
        "live: low to max, none and minimal refused",
        since=(5, 3),
    ),
    Row(
        r"moonshot(ai)?\.kimi",
        {
            "family": "kimi",
            "forced_tool_choice": True,
            "wide_call_ids": True,
            "repeated_call_ids": True,
            "leading_assistant": True,
            "result_media": NO_KIND,
            "thinking": "reasoning_effort",
            "efforts": ("low", "high", "max"),
            "strict_tools": True,
            "native_schema": True,
            "context": 262_144,
        },
        "recorded: ids such as functions.get_temperature:0; live: no media inside a tool result; reasoning in history is "
        "refused (threads hermes-agent 105119, 115865)",
    ),
    Row(
        r"xai\.grok",
        {
            "family": "grok",
            "forced_tool_choice": True,
            "sampling": "none",
            "thinking": "reasoning.effort",
            "efforts": ("low", "medium", "high", "xhigh"),
            "can_disable_thinking": False,
            "context": 500_000,
        },
        "live: 'This model doesn't support the temperature field'; always reasons, forced choice is kept while it does",
    ),
    # ------------------------------------------------------------------------------------------------------- others
    Row(
        r"writer\.palmyra",
        {
            "family": "palmyra",
            "tools_while_streaming": False,
            "beside_tool_result": NO_KIND,
            "max_output": 8192,
            "context": 1_040_000,
        },
        "recorded: text after a tool result in a turn of its own; 'This model doesn't support the status field' (live)",
    ),
    Row(r"writer\.palmyra-x4", {"context": 123_000}, "documented"),
    Row(
        r"minimax\.minimax",
        {
            "family": "minimax",
            "replay": "unsigned",
            "strict_tools": True,
            "native_schema": True,
            "max_output": 128_000,
            "context": 204_800,
        },
        "recorded: outputConfig on M2; an empty signature is refused (thread bifrost 6942)",
    ),
    Row(
        r"nvidia\.nemotron",
        {"family": "nemotron"},
        "live: video refused, reasoning refused; an empty tool result is refused (strands 2122)",
    ),
    Row(r"nvidia\.nemotron-nano", {"strict_tools": True, "native_schema": True}, "live"),
    Row(r"google\.gemma", {"family": "gemma", "context": 131_072, "max_output": 8192}, "documented; reasoning refused"),
    Row(r"google\.gemma-3-(12b|27b)", {"strict_tools": True, "native_schema": True}, "live"),
    Row(r"cohere\.command-r", {"family": "cohere", "refused_media": TEXT_MODEL, "max_output": 4096}, "documented"),
    Row(
        r"cohere\.(embed|rerank)|stability\.|twelvelabs\.|luma\.",
        {"family": "media", "tools": False},
        "documented: no chat models",
    ),
    Row(
        r"ai21\.jamba",
        {"family": "jamba", "refused_media": TEXT_MODEL, "max_output": 4096, "context": 256_000},
        "documented",
    ),
)


@lru_cache(maxsize=256)
def profile_for(model: str, base_model: str | None = None) -> ModelProfile:
    """The facts about `model`; `base_model` says which one it is where the id hides it."""
    identity = split_model_id(base_model or model)
    provider = _provider(identity)
    subject = f"{provider}.{_variant(identity)}"
    version = _version(identity)
    facts: dict[str, Any] = {}
    for row in PROFILES:
        # Most rows are of other providers; compiling their patterns would cost the first call several milliseconds.
        if provider[:_TELLING] in row.models and re.match(row.models, subject) and _covers(row, version):
            facts.update(row.facts)
    return changed(ModelProfile(), **facts)


_TELLING = len("moonshot")  # of "moonshotai", which its rows spell as an option
_NEWEST = (999,)
_CLAUDE_VERSION = pattern(r"claude(?:-[a-z]+)*(?:-(\d{1,2}))?(?:-(\d{1,2}))?(?!\d)")
_DOTTED_VERSION = pattern(r"(\d+)(?:\.(\d+))?")
_BARE_NAMES = (("claude", "anthropic"), ("nova", "amazon"), ("llama", "meta"))


def _provider(identity: ModelId) -> str:
    """The provider, guessed for the few bare names that gateways use."""
    if identity.provider:
        return identity.provider
    return next((provider for start, provider in _BARE_NAMES if identity.name.startswith(start)), "")


def _variant(identity: ModelId) -> str:
    """The name, with the suffix that tells 3.5 Sonnet v2 from the first one where the id has it."""
    second = identity.version.startswith("v2") and identity.name.endswith("-sonnet")
    return f"{identity.name}-v2" if second else identity.name


def _version(identity: ModelId) -> tuple[int, ...]:
    """(4, 5) for claude-sonnet-4-5, (4,) for claude-sonnet-4; a Claude without a number counts as the newest."""
    if identity.name.startswith("claude"):
        return _claude_version(identity)
    found = _DOTTED_VERSION.search(identity.name)
    return tuple(int(part) for part in found.groups() if part) if found else ()


def _claude_version(identity: ModelId) -> tuple[int, ...]:
    found = _CLAUDE_VERSION.match(identity.name)
    numbers = tuple(int(part) for part in found.groups() if part) if found else ()
    if numbers:
        return numbers
    legacy = identity.name in ("claude", "claude-instant")
    return (1,) if legacy else _NEWEST


def _covers(row: Row, version: tuple[int, ...]) -> bool:
    if row.since and version < row.since:
        return False
    return not (row.until and version >= row.until)


# The drop-in's table: the longest key found in the model id counts.
BEDROCK_CONTEXT_LENGTHS: dict[str, int] = {
    "anthropic.claude": 200_000,
    "anthropic.claude-3": 200_000,
    "anthropic.claude-opus": 1_000_000,
    "anthropic.claude-sonnet": 1_000_000,
    "anthropic.claude-haiku": 1_000_000,
    "anthropic.claude-fable": 1_000_000,
    "anthropic.claude-mythos": 1_000_000,
    "anthropic.claude-opus-4": 200_000,
    "anthropic.claude-opus-4-1": 200_000,
    "anthropic.claude-opus-4-5": 200_000,
    "anthropic.claude-opus-4-6": 1_000_000,
    "anthropic.claude-opus-4-7": 1_000_000,
    "anthropic.claude-opus-4-8": 1_000_000,
    "anthropic.claude-sonnet-4": 200_000,
    "anthropic.claude-sonnet-4-5": 200_000,
    "anthropic.claude-sonnet-4-6": 1_000_000,
    "anthropic.claude-haiku-4-5": 200_000,
    "amazon.nova": 300_000,
    "amazon.nova-micro": 128_000,
    "amazon.nova-lite": 300_000,
    "amazon.nova-pro": 300_000,
    "amazon.nova-premier": 1_000_000,
    "amazon.nova-2": 1_000_000,
    "amazon.titan-text": 32_000,
    "meta.llama3-1": 128_000,
    "meta.llama3-2": 128_000,
    "meta.llama3-3": 128_000,
    "meta.llama4-maverick": 1_000_000,
    "meta.llama4-scout": 3_500_000,
    "mistral.mistral-large": 128_000,
    "mistral.mistral-large-3": 256_000,
    "mistral.ministral": 256_000,
    "mistral.pixtral": 128_000,
    "deepseek.r1": 128_000,
    "deepseek.v3": 163_840,
    "openai.gpt-oss": 128_000,
    "openai.gpt-5": 272_000,
    "openai.gpt-5.6": 1_050_000,
    "openai.gpt-6": 1_050_000,
    "qwen.qwen3": 262_144,
    "qwen.qwen3-32b": 131_072,
    "qwen.qwen3-coder-480b": 131_072,
    "moonshot.kimi": 262_144,
    "moonshotai.kimi": 262_144,
    "minimax.minimax": 204_800,
    "zai.glm": 202_752,
    "writer.palmyra-x5": 1_040_000,
    "writer.palmyra-x4": 123_000,
    "google.gemma-3": 131_072,
    "xai.grok": 500_000,
    "ai21.jamba": 256_000,
    "cohere.command-r": 128_000,
}

BEDROCK_DEFAULT_CONTEXT_LENGTH = 128_000


def known_context_length(model: str) -> int | None:
    """The context window in tokens of the longest matching row, or None where no row matches."""
    lowered = model.lower()
    keys = [key for key in BEDROCK_CONTEXT_LENGTHS if key in lowered]
    return BEDROCK_CONTEXT_LENGTHS[max(keys, key=len)] if keys else None


def context_length(model: str, default: int = BEDROCK_DEFAULT_CONTEXT_LENGTH) -> int:
    """The context window of `model` in tokens: the longest matching row of the table, else `default`."""
    known = known_context_length(model)
    return default if known is None else known
