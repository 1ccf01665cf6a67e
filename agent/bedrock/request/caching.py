"""Where cache points go: the caller's own markers, the drop-in's pinned places, or the places that pay.

In come finished system blocks, tools and turns; out come the same with at most four cache points in places that the
service accepts: behind a block of the same message, never behind reasoning, a video or a document that is no PDF, never
two in a row, a longer time to live first. Nothing but cache points is added or taken.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from ..errors import InvalidRequestError
from ..values import frozen

if TYPE_CHECKING:
    from ..models.profiles import CacheRules
    from .context import Block, Context, Turn

DROP_IN = "drop-in"
_CHARACTERS_PER_TOKEN = 3  # low on purpose: a point too early costs nothing, a missing one does


def place_cache_points(
    system: list[Block], tools: list[Block], turns: list[Turn], context: Context, message_count: int
) -> tuple[list[Block], list[Block]]:
    """(system, tools) with their cache points; the turns' are put into the turns."""
    rules = context.profile.cache
    mode = context.options.prompt_caching
    if rules is None or mode is False:
        return _without_points(system, tools, turns, context)
    ttl = _ttl(context, rules)
    if "cachePoint" in context.kinds:
        return _keep_markers(system, tools, turns, context, rules)
    if mode == DROP_IN:
        return _pinned_places(system, tools, turns, rules, ttl)
    stable = message_count - context.options.volatile_tail
    return _places_that_pay(system, tools, turns, _Aim(rules, ttl, stable, _length_of(tools, context)))


def _length_of(tools: list[Block], context: Context) -> int:
    """How many characters the tools have, give or take; a memory that knows them has measured them."""
    count, characters = context.measured_tools
    return characters if count == len(tools) else len(str(tools))


def _ttl(context: Context, rules: CacheRules) -> str | None:
    ttl = context.options.cache_ttl
    if ttl is None:
        return None
    if ttl not in ("5m", "1h"):
        raise InvalidRequestError(f"{ttl!r} is neither 5m nor 1h", field="cache_ttl")
    if not rules.one_hour:
        if ttl == "1h":
            context.repair("shorten_cache_ttl", None, "the model caches for 5 minutes only")
        return None
    return ttl


def _point(ttl: str | None) -> Block:
    return {"cachePoint": {"type": "default"} if ttl is None else {"type": "default", "ttl": ttl}}


def _may_follow(block: Block) -> bool:
    """Whether a cache point may stand directly behind this block (threads opencode 36517, harness-sdk 1966)."""
    if "reasoningContent" in block or "cachePoint" in block or "video" in block:
        return False
    return "document" not in block or block["document"].get("format") == "pdf"


def _may_hold(turn: Turn, rules: CacheRules) -> bool:
    if rules.beside_tool_blocks:
        return True
    return not any("toolUse" in block or "toolResult" in block for block in turn.blocks)


# ------------------------------------------------------------------------------------------------------ markers, off


def _without_points(
    system: list[Block], tools: list[Block], turns: list[Turn], context: Context
) -> tuple[list[Block], list[Block]]:
    if "cachePoint" not in context.kinds:
        return system, tools
    if context.options.prompt_caching is not False:
        context.repair("drop_cache_points", None, "cache points were left out: the model does not cache")
    for turn in turns:
        if any("cachePoint" in block for block in turn.blocks):
            _filter_turn(turn, [("cachePoint" not in block) for block in turn.blocks])
    return _no_points(system), _no_points(tools)


def _no_points(blocks: list[Block]) -> list[Block]:
    return [block for block in blocks if "cachePoint" not in block]


def _filter_turn(turn: Turn, keep: list[bool]) -> None:
    turn.blocks = [block for block, kept in zip(turn.blocks, keep, strict=True) if kept]
    turn.origins = [origin for origin, kept in zip(turn.origins, keep, strict=True) if kept]


def _keep_markers(
    system: list[Block], tools: list[Block], turns: list[Turn], context: Context, rules: CacheRules
) -> tuple[list[Block], list[Block]]:
    """The caller's own points, without those that the service refuses, and no more than it takes."""
    if not rules.tools and any("cachePoint" in tool for tool in tools):
        context.repair("drop_cache_points", None, "the model takes no cache point behind tools")
        tools = _no_points(tools)
    system = _legal_points(system)
    tools = _legal_points(tools)
    for turn in turns:
        _keep_legal_points(turn, context, rules)
    surplus = _count(tools) + _count(system) + sum(_count(turn.blocks) for turn in turns) - rules.points
    if surplus > 0:
        context.repair("drop_cache_points", None, "the oldest cache points beyond the limit were left out")
        tools, surplus = _without_oldest(tools, surplus)
        system, surplus = _without_oldest(system, surplus)
        _drop_oldest(turns, surplus)
    _settle_ttls(list(_points(tools, system, turns)), context, rules)
    return system, tools


def _legal_points(blocks: list[Block]) -> list[Block]:
    kept: list[Block] = []
    for block in blocks:
        if "cachePoint" not in block or (kept and _may_follow(kept[-1])):
            kept.append(block)
    return kept


def _keep_legal_points(turn: Turn, context: Context, rules: CacheRules) -> None:
    if not any("cachePoint" in block for block in turn.blocks):
        return
    keep: list[bool] = []
    previous: Block | None = None
    holds = _may_hold(turn, rules)
    for block, origin in zip(turn.blocks, turn.origins, strict=True):
        kept = "cachePoint" not in block or (holds and previous is not None and _may_follow(previous))
        if not kept and not (previous and "cachePoint" in previous):
            context.repair("drop_cache_points", origin, "a cache point stood where the service refuses one")
        keep.append(kept)
        previous = block if kept else previous
    _filter_turn(turn, keep)


def _count(blocks: list[Block]) -> int:
    return sum("cachePoint" in block for block in blocks)


def _without_oldest(blocks: list[Block], surplus: int) -> tuple[list[Block], int]:
    """(the blocks, what is still too much): of tools and of system blocks at least the last point stays, it covers all."""
    dropped = max(min(surplus, _count(blocks) - 1), 0)
    left = dropped
    kept: list[Block] = []
    for block in blocks:
        if "cachePoint" in block and left > 0:
            left -= 1
        else:
            kept.append(block)
    return kept, surplus - dropped


def _drop_oldest(turns: list[Turn], surplus: int) -> None:
    for turn in turns:
        if surplus <= 0:
            return
        keep: list[bool] = []
        for block in turn.blocks:
            drop = "cachePoint" in block and surplus > 0
            surplus -= drop
            keep.append(not drop)
        if not all(keep):
            _filter_turn(turn, keep)


def _points(tools: list[Block], system: list[Block], turns: list[Turn]) -> Iterator[tuple[list[Block], int]]:
    """The places of all cache points in the order in which the service reads them."""
    for blocks in (tools, system, *(turn.blocks for turn in turns)):
        for position, block in enumerate(blocks):
            if "cachePoint" in block:
                yield blocks, position


def _settle_ttls(points: list[tuple[list[Block], int]], context: Context, rules: CacheRules) -> None:
    """A 1h point may not follow a shorter one (thread harness-sdk 3758); models with one lifetime get no `ttl`."""
    shorter_seen = False
    for blocks, position in points:
        ttl = blocks[position]["cachePoint"].get("ttl")
        if not rules.one_hour and ttl is not None:
            if ttl == "1h":
                context.repair("shorten_cache_ttl", None, "the model caches for 5 minutes only")
            blocks[position] = _point(None)
        elif ttl == "1h" and shorter_seen:
            raise InvalidRequestError("a 1h cache point cannot follow a 5m one", field="cache_control.ttl")
        shorter_seen = shorter_seen or ttl != "1h"


# ------------------------------------------------------------------------------------------------------ pinned places


def _pinned_places(
    system: list[Block], tools: list[Block], turns: list[Turn], rules: CacheRules, ttl: str | None
) -> tuple[list[Block], list[Block]]:
    """The drop-in's habit: system, tools and the last turn but one are closed by a point, where that is legal."""
    if len(turns) >= 2:
        _close_turn(turns[-2], rules, ttl, backwards=False)
    return _closed(system, ttl), _closed(tools, ttl) if rules.tools else tools


def _closed(blocks: list[Block], ttl: str | None) -> list[Block]:
    return [*blocks, _point(ttl)] if blocks and _may_follow(blocks[-1]) else blocks


def _close_turn(turn: Turn, rules: CacheRules, ttl: str | None, *, backwards: bool, before: int | None = None) -> bool:
    """Put a point at the end of the turn (or before position `before`), if legal; `backwards` looks for an earlier place."""
    position = len(turn.blocks) if before is None else before
    if not _may_hold(turn, rules):
        return False
    while backwards and position > 0 and not _may_follow(turn.blocks[position - 1]):
        position -= 1
    if position == 0 or not _may_follow(turn.blocks[position - 1]):
        return False
    turn.blocks.insert(position, _point(ttl))
    turn.origins.insert(position, turn.origins[position - 1])
    return True


# --------------------------------------------------------------------------------------------------- places that pay


@frozen
class _Aim:
    """What automatic placement goes by; messages from `stable` on change with every request."""

    rules: CacheRules
    ttl: str | None
    stable: int
    length_of_tools: int


def _places_that_pay(
    system: list[Block], tools: list[Block], turns: list[Turn], aim: _Aim
) -> tuple[list[Block], list[Block]]:
    """Tools, system and the stable end of the messages, each where the prefix is long enough to be kept at all."""
    wanted = aim.rules.minimum * _CHARACTERS_PER_TOKEN
    length = aim.length_of_tools
    if tools and aim.rules.tools and length >= wanted:
        tools = _closed(tools, aim.ttl)
    length += sum(len(block.get("text", "")) for block in system)
    if system and length >= wanted:
        system = _closed(system, aim.ttl)
    goes_on = bool(tools) or any(turn.role == "assistant" for turn in turns)
    if goes_on and (length >= wanted or _long_enough(turns, wanted - length)):
        _close_stable_tail(turns, aim)
    return system, tools


def _long_enough(turns: list[Turn], wanted: int) -> bool:
    """Whether the turns hold `wanted` characters; stops counting when they do."""
    for turn in turns:
        for block in turn.blocks:
            wanted -= _length(block)
        if wanted <= 0:
            return True
    return False


def _length(block: Block) -> int:
    if "text" in block:
        return len(block["text"])
    result = block.get("toolResult")
    if result is not None:
        return sum(len(part.get("text", "")) or 500 for part in result["content"])
    use = block.get("toolUse")
    return len(str(use["input"])) if use is not None else 1000


def _close_stable_tail(turns: list[Turn], aim: _Aim) -> None:
    """A point behind the newest content that will still be there next time, and one where the last request had its own.

    The service looks back over a number of blocks for an earlier entry; the second point is needed where the newest
    exchange is longer than that, or where the model does not look back at all.
    """
    newest = next((i for i in reversed(range(len(turns))) if _close_stable(turns[i], aim)), None)
    if newest is None:
        return
    exchange = sum(len(turn.blocks) for turn in turns[max(newest - 1, 0) : newest + 1])
    if exchange <= aim.rules.lookback:
        return
    for i in reversed(range(max(newest - 1, 0))):
        if turns[i].role == "user" and _close_stable(turns[i], aim):
            return


def _close_stable(turn: Turn, aim: _Aim) -> bool:
    """Close the part of a turn that comes from stable messages; what the builder added itself changes next time."""
    end = len(turn.blocks)
    while end > 0 and not _is_stable(turn.origins[end - 1], aim.stable):
        end -= 1
    return end > 0 and _close_turn(turn, aim.rules, aim.ttl, backwards=True, before=end)


def _is_stable(origin: int | None, stable: int) -> bool:
    return origin is not None and origin < stable
