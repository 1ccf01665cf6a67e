"""Tool calls and their results: every call answered once, in the next turn, first in it and in the order of the calls.

In come turns of alternating roles; out come turns whose exchanges the service accepts. A history that is legal already is
seen to be so in one pass and left alone.
"""

from __future__ import annotations

import json
from collections import Counter, deque
from collections.abc import Callable
from functools import partial
from typing import Any

from .calls import arguments_text, is_server_call
from .context import Block, Context, Turn

NO_RESULT_TEXT = "(no result: the tool call was not answered)"


def repair_tool_exchanges(turns: list[Turn], context: Context) -> list[Turn]:
    """Every call answered once, in the next turn, before anything else there; otherwise the service refuses it all."""
    if context.kinds.isdisjoint(("toolUse", "toolResult")) or exchanges_are_legal(turns, context):
        return turns
    context.kinds.add("beside_result")
    for step in EXCHANGE_STEPS:
        turns = step(turns, context)
    return turns


def exchanges_are_legal(turns: list[Turn], context: Context) -> bool:
    """Whether all calls and results pair up as the service wants them."""
    unique = not context.profile.repeated_call_ids
    used: set[str] = set()
    expected: list[str] = []
    for turn in turns:
        if turn.role == "user":
            if not _answers(turn, expected, context):
                return False
            expected = []
        elif expected:
            return False
        elif turn.role == "assistant":
            expected = _client_calls(turn)
            ids = set(expected)
            if _results_of_strangers(turn) or len(ids) < len(expected) or not used.isdisjoint(ids):
                return False
            if unique:
                used |= ids
    return not expected


def _client_calls(turn: Turn) -> list[str]:
    return [b["toolUse"]["toolUseId"] for b in turn.blocks if "toolUse" in b and "type" not in b["toolUse"]]


def _answers(turn: Turn, expected: list[str], context: Context) -> bool:
    """Whether the turn begins with exactly the expected results, cache points aside; notes other content beside them."""
    found = [block["toolResult"]["toolUseId"] for block in turn.blocks if "toolResult" in block]
    if len(found) == len(turn.blocks):
        return found == expected
    other_content = False
    for block in turn.blocks:
        if "toolResult" in block:
            if other_content:
                return False
        elif "toolUse" in block:
            return False
        elif "cachePoint" not in block:
            other_content = True
    if found and other_content:
        context.kinds.add("beside_result")
    return found == expected


def _results_of_strangers(turn: Turn) -> bool:
    """Whether an assistant turn holds a result of a call that the service did not carry out in that turn."""
    results = [block["toolResult"]["toolUseId"] for block in turn.blocks if "toolResult" in block]
    if not results:
        return False
    return not {b["toolUse"]["toolUseId"] for b in turn.blocks if is_server_call(b)}.issuperset(results)


# --------------------------------------------------------------------------------------------------------------- steps


def retell_misplaced_calls(turns: list[Turn], context: Context) -> list[Turn]:
    """Only the assistant calls tools, and results stand in user turns; what is elsewhere is told as text."""
    for turn in turns:
        if turn.role == "assistant":
            served = {block["toolUse"]["toolUseId"] for block in turn.blocks if is_server_call(block)}
            retell_where(turn, partial(_answers_a_stranger, served=served), context, "retell_misplaced_calls")
        else:
            retell_where(turn, _is_call, context, "retell_misplaced_calls")
    return turns


def _answers_a_stranger(block: Block, served: set[str]) -> bool:
    return "toolResult" in block and block["toolResult"]["toolUseId"] not in served


def _is_call(block: Block) -> bool:
    return "toolUse" in block


def tell_call_ids_apart(turns: list[Turn], context: Context) -> list[Turn]:
    """Ids are unique over a request, though some models number their calls anew in every answer."""
    used: dict[str, int] = {}
    for position, turn in enumerate(turns):
        if turn.role != "assistant":
            continue
        if context.profile.repeated_call_ids:
            used.clear()
        names: dict[str, deque[str]] = {}
        renamed = False
        for at, block in enumerate(turn.blocks):
            if "toolUse" not in block or is_server_call(block):
                continue
            given = block["toolUse"]["toolUseId"]
            fresh = _unused_id(given, used)
            used.setdefault(fresh, 1)
            names.setdefault(given, deque()).append(fresh)
            if fresh != given:
                renamed = True
                turn.blocks[at] = {"toolUse": {**block["toolUse"], "toolUseId": fresh}}
                context.repair(
                    "tell_call_ids_apart", turn.origins[at], "a tool-call id that was used before got a number"
                )
        if renamed and position + 1 < len(turns):
            _rename_results(turns[position + 1], names)
    return turns


def _unused_id(given: str, used: dict[str, int]) -> str:
    """`given`, or with a number where it was used before; `used` knows the last number that each id was given."""
    if given not in used:
        return given
    number = used[given] + 1
    while (candidate := f"{given[:56]}_{number}") in used:
        number += 1
    used[given] = number
    return candidate


def _rename_results(turn: Turn, names: dict[str, deque[str]]) -> None:
    for at, block in enumerate(turn.blocks):
        result = block.get("toolResult")
        fresh = names.get(result["toolUseId"]) if result else None
        if result and fresh:
            name = fresh.popleft()
            if name != result["toolUseId"]:
                turn.blocks[at] = {"toolResult": {**result, "toolUseId": name}}


def tell_unexpected_results_as_text(turns: list[Turn], context: Context) -> list[Turn]:
    """Results that no call of the turn before asked for, and second results of one call, are told as text."""
    for position, turn in enumerate(turns):
        if turn.role == "assistant" or not any("toolResult" in block for block in turn.blocks):
            continue
        before = turns[position - 1] if position else None
        open_calls = Counter(_client_calls(before) if before is not None and before.role == "assistant" else ())
        retell_where(turn, partial(_is_unexpected, left=open_calls), context, "tell_unexpected_results_as_text")
    return turns


def _is_unexpected(block: Block, left: Counter[str]) -> bool:
    """Counts a result off the calls that are still open; the first result of a call is the one that counts."""
    if "toolResult" not in block:
        return False
    call_id = block["toolResult"]["toolUseId"]
    left[call_id] -= 1
    return left[call_id] < 0


def answer_missing_results(turns: list[Turn], context: Context) -> list[Turn]:
    """A call that was never answered gets a result that says so."""
    answered: list[Turn] = []
    for position, turn in enumerate(turns):
        answered.append(turn)
        calls = _client_calls(turn) if turn.role == "assistant" else []
        if not calls:
            continue
        following = turns[position + 1] if position + 1 < len(turns) else None
        if following is None or following.role != "user":
            following = Turn("user", [], [])
            answered.append(following)
        _add_missing(following, calls, turn.message, context)
    return answered


def _add_missing(turn: Turn, calls: list[str], message: int | None, context: Context) -> None:
    present = {block["toolResult"]["toolUseId"] for block in turn.blocks if "toolResult" in block}
    for call_id in calls:
        if call_id not in present:
            context.kinds.update(("toolResult", "status"))
            context.repair("answer_missing_results", message, "a tool call without a result was answered")
            result: dict[str, Any] = {"toolUseId": call_id, "content": [{"text": NO_RESULT_TEXT}], "status": "error"}
            turn.blocks.append({"toolResult": result})
            turn.origins.append(None)


def put_results_first_in_call_order(turns: list[Turn], _: Context) -> list[Turn]:
    """Results open their turn in the order of the calls; a cache point stays behind the block that it followed."""
    for position, turn in enumerate(turns):
        before = turns[position - 1] if position else None
        if turn.role == "user" and before is not None and before.role == "assistant":
            order = {call_id: rank for rank, call_id in enumerate(_client_calls(before))}
            if order:
                _sort_turn(turn, order)
    return turns


def _sort_turn(turn: Turn, order: dict[str, int]) -> None:
    units: list[tuple[int, list[tuple[Block, int | None]]]] = []
    for block, origin in zip(turn.blocks, turn.origins, strict=True):
        if "cachePoint" in block and units:
            units[-1][1].append((block, origin))
            continue
        result = block.get("toolResult")
        rank = order.get(result["toolUseId"], len(order)) if result else len(order)
        units.append((rank, [(block, origin)]))
    units.sort(key=lambda unit: unit[0])
    turn.blocks = [block for _, unit in units for block, _ in unit]
    turn.origins = [origin for _, unit in units for _, origin in unit]


def retell_where(turn: Turn, chosen: Callable[[Block], bool], context: Context, step: str) -> None:
    """Tell the chosen tool calls and results of a turn as text, each reported."""
    if not any("toolUse" in block or "toolResult" in block for block in turn.blocks):
        return
    blocks: list[Block] = []
    origins: list[int | None] = []
    for block, origin in zip(turn.blocks, turn.origins, strict=True):
        told = [block]
        if chosen(block):
            told = told_in_words(block, context)
            context.repair(step, origin, "a tool call or result that pairs with nothing was told as text")
        blocks.extend(told)
        origins.extend([origin] * len(told))
    turn.blocks, turn.origins = blocks, origins


def told_in_words(block: Block, context: Context) -> list[Block]:
    """A tool call or result as text, with the media of a result beside it."""
    use = block.get("toolUse")
    if use is not None:
        name = context.tool_names.get(use["name"], use["name"])
        return [{"text": f"[Tool call {use['toolUseId']}: {name} {arguments_text(use['input'])}]"}]
    result = block["toolResult"]
    texts = [_part_text(part) for part in result["content"] if "text" in part or "json" in part]
    media = [part for part in result["content"] if "text" not in part and "json" not in part]
    failed = " (error)" if result.get("status") == "error" else ""
    return [{"text": "\n".join([f"[Tool result {result['toolUseId']}{failed}]", *texts])}, *media]


def _part_text(part: Block) -> str:
    return str(part["text"]) if "text" in part else json.dumps(part["json"], ensure_ascii=False)


EXCHANGE_STEPS: tuple[Callable[[list[Turn], Context], list[Turn]], ...] = (
    retell_misplaced_calls,
    tell_call_ids_apart,
    tell_unexpected_results_as_text,
    answer_missing_results,
    put_results_first_in_call_order,
)
