"""What the service refuses in cache points: their number, their places, their time to live."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from ..script import Refusal
from .words import from_model, malformed

if TYPE_CHECKING:
    from .case import Case, Placed

MOST = 4
"""Cache points in one request."""


def unsupported(case: Case) -> Refusal | None:
    """harness-sdk#1807 (Llama, by hand), litellm#39210 (Nemotron: 403), zeroclaw#7315 (Qwen), apex#943 (DeepSeek R1)."""
    if case.family.cache is not None and not case.family.cache and any(_points(case)):
        words = "You invoked an unsupported model or your request did not allow prompt caching."
        return Refusal("AccessDeniedException", words)
    return None


def tools_for_nova(case: Case) -> str | None:
    """LibreChat#13838: Nova caches system and messages only."""
    for index, tool in enumerate(case.tools):
        if "cachePoint" in tool and case.family.cache and "tools" not in case.family.cache:
            return malformed(f"#/toolConfig/tools/{index}: extraneous key [cachePoint] is not permitted")
    return None


def too_many(case: Case) -> str | None:
    """sub2api#176 has the words, bifrost#5931 the count over tools, system and messages."""
    count = sum(1 for _ in _points(case))
    if count > MOST:
        return from_model(f"A maximum of {MOST} blocks with cache_control may be provided. Found {count}.")
    return None


def nothing_before(case: Case) -> str | None:
    """harness-sdk#3677: a point needs a block before it in its message, among the tools, in the system prompt."""
    firsts = [message["content"][0] for message in case.messages if message["content"]]
    firsts += [blocks[0] for blocks in (case.system, case.tools) if blocks]
    if any("cachePoint" in block for block in firsts):
        return from_model("There is nothing available to cache.")
    return None


def after_reasoning(case: Case) -> str | None:
    """opencode#36517."""
    for before, block in zip(case.blocks, case.blocks[1:], strict=False):
        together = before.message == block.message
        if together and block.kind == "cachePoint" and before.kind == "reasoningContent":
            return "Cache point cannot be inserted after reasoning block."
    return None


def after_document(case: Case) -> str | None:
    """harness-sdk#1966, #2001, pizza-bot#6: a pdf, or a document with citations, may stand before a point."""
    for before, block in zip(case.blocks, case.blocks[1:], strict=False):
        together = before.message == block.message and block.kind == "cachePoint"
        if case.family.cache and together and _cannot_be_cached(before):
            return from_model(f"{block.at}.type: Field required")
    return None


def long_unsupported(case: Case) -> str | None:
    """timothy-agent#756 for Nova; for older Claude in Anthropic's words."""
    for where, point in _points(case):
        if point.get("ttl") is None or case.family.long_cache is not False:
            continue
        if case.family.is_nova:
            return "Extended TTL prompt caching is only supported for Anthropic models"
        if point["ttl"] == "1h":
            return from_model(f"{where}.cache_control.ttl: Extra inputs are not permitted")
    return None


def long_after_short(case: Case) -> str | None:
    """harness-sdk#3758, Portkey#1762; a point without ttl lives 5 minutes."""
    short = False
    for where, point in _points(case):
        if point.get("ttl") == "1h" and short:
            return from_model(
                f"{where}.cache_control.ttl: a ttl='1h' cache_control block must not come after a ttl='5m' "
                "cache_control block. Note that blocks are processed in the following order: `tools`, `system`, `messages`."
            )
        short = short or point.get("ttl") != "1h"
    return None


RULES = (
    unsupported,
    tools_for_nova,
    nothing_before,
    after_reasoning,
    after_document,
    too_many,
    long_unsupported,
    long_after_short,
)


def _cannot_be_cached(block: Placed) -> bool:
    """Whether the block is a video, or a document that the service renders as text."""
    if block.kind != "document":
        return block.kind == "video"
    return block.value.get("format") != "pdf" and not (block.value.get("citations") or {}).get("enabled")


def _points(case: Case) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Every cache point with its place, in the order in which the service reads them."""
    for index, tool in enumerate(case.tools):
        if "cachePoint" in tool:
            yield f"tools.{index}", tool["cachePoint"]
    for index, block in enumerate(case.system):
        if "cachePoint" in block:
            yield f"system.{index}", block["cachePoint"]
    for placed in case.of("cachePoint"):
        yield placed.at, placed.value
