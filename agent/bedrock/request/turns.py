"""TURN_STEPS: small named steps that make any history legal.

In come the turns of a conversation, one per message; out come turns that the service accepts from the chosen model. Each
step has one reason, says what it changed, and leaves a legal history alone. Steps are pure towards the caller: turns and
their blocks belong to the builder. Nothing that a tool or a user said disappears; what cannot stay where it was becomes
text that the model can read.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from operator import eq
from typing import Any

from ..models.profiles import EVERY_KIND
from .calls import is_server_call
from .context import EMPTY_TEXT, Block, Context, Turn
from .documents import name_documents, text_beside_documents
from .guarding import guard_last_turn
from .media import Place, fetch_s3, format_of
from .pairing import repair_tool_exchanges, retell_where
from .reading import is_blank
from .reasoning import keep_replayable_reasoning

_MEDIA_BLOCKS = ("image", "document", "video", "audio")
BRIDGE_TEXT = "(continued)"

Step = Callable[[list[Turn], Context], list[Turn]]


def legal_turns(turns: list[Turn], context: Context) -> list[Turn]:
    """The turns after every step."""
    for step in TURN_STEPS:
        turns = step(turns, context)
    return turns


# ------------------------------------------------------------------------------------------- what the family never takes


def name_refused_media(turns: list[Turn], context: Context) -> list[Turn]:
    """Media of a kind that the model refuses is named in text: one picture must not brick every later turn."""
    refused = context.profile.refused_media
    located = context.profile.s3_sources
    if context.kinds.isdisjoint(_MEDIA_BLOCKS):
        return turns
    for turn in turns:
        for position, block in enumerate(turn.blocks):
            replaced = _settled_media(block, turn.origins[position], context, refused, located)
            if replaced is not block:
                turn.blocks[position] = replaced
    return turns


def _settled_media(
    block: Block, origin: int | None, context: Context, refused: frozenset[str], located: frozenset[str]
) -> Block:
    result = block.get("toolResult")
    if result is not None:
        content = result["content"]
        if len(content) == 1 and "text" in content[0]:
            return block
        settled = [_settled_media(part, origin, context, refused, located) for part in content]
        same = all(new is old for new, old in zip(settled, content, strict=True))
        return block if same else {"toolResult": {**result, "content": settled}}
    kind = media_kind(block)
    if kind is None:
        return block
    if kind in refused:
        context.repair("name_refused_media", origin, f"the model takes no {kind}, it was named in text")
        return {"text": f"[{kind} left out: this model does not take any]"}
    name = next(iter(block))
    location = block[name].get("source", {}).get("s3Location")
    if location is None or kind in located:
        return block
    return _without_location(name, block[name], location, origin, context)


def _without_location(
    kind: str, body: Mapping[str, Any], location: Mapping[str, Any], origin: int | None, context: Context
) -> Block:
    """The bytes behind an s3 location, or its name: "This model doesn't support the s3Uri field." (recorded)."""
    place = Place(context, origin if origin is not None else 0)
    fetched = fetch_s3(location, place, str(body.get("name") or ""))
    if fetched is None:
        context.repair(
            "name_refused_media", origin, f"the model takes no s3 location of a {kind}, it was named in text"
        )
        return {"text": f"[{kind} left out: this model does not read s3 locations: {location.get('uri', '')}]"}
    found = format_of(kind, fetched) or body.get("format")
    return {kind: {**body, "format": found, "source": fetched.source}}


def media_kind(block: Block) -> str | None:
    """image, video, audio; document, pdf or office, as families treat these differently; None for anything else."""
    for name in _MEDIA_BLOCKS:
        if name in block:
            return _DOCUMENT_KINDS.get(block[name].get("format"), name) if name == "document" else name
    return None


_DOCUMENT_KINDS = {"pdf": "pdf", "doc": "office", "docx": "office", "xls": "office", "xlsx": "office"}


def tell_server_tools_as_text(turns: list[Turn], context: Context) -> list[Turn]:
    """Calls that the service carried out itself are told in words to a model that has no system tools."""
    if "server_tool_use" not in context.kinds or context.profile.system_tools:
        return turns
    for turn in turns:
        if turn.role == "assistant":
            inside = {block["toolUse"]["toolUseId"] for block in turn.blocks if is_server_call(block)}
            if inside:
                retell_where(turn, partial(_concerns, ids=inside), context, "tell_server_tools_as_text")
    return turns


def _concerns(block: Block, ids: set[str]) -> bool:
    return any(block[name]["toolUseId"] in ids for name in ("toolUse", "toolResult") if name in block)


def tell_citations_as_text(turns: list[Turn], context: Context) -> list[Turn]:
    """Cited text of an answer goes back as plain text to a model that cites nothing, and nowhere without a text.

    Citations are returned by Claude and Nova; what others make of `citationsContent` nobody saw.
    """
    if "citationsContent" not in context.kinds:
        return turns
    for turn in turns:
        for position, block in enumerate(turn.blocks):
            if "citationsContent" in block:
                turn.blocks[position] = _settled_citations(block, turn.origins[position], context)
        kept = [not ("text" in block and is_blank(block["text"])) for block in turn.blocks]
        turn.blocks = [block for block, stays in zip(turn.blocks, kept, strict=True) if stays]
        turn.origins = [origin for origin, stays in zip(turn.origins, kept, strict=True) if stays]
    return turns


def _settled_citations(block: Block, origin: int | None, context: Context) -> Block:
    text = "".join(str(part.get("text", "")) for part in block["citationsContent"].get("content") or ())
    if context.profile.replays_citations and not is_blank(text):
        return block
    context.settle("tell_citations_as_text", origin, "cited text went back without its citations")
    return {"text": text}


def tell_tools_as_text(turns: list[Turn], context: Context) -> list[Turn]:
    """Tool history of a request without tools is told in words, and no tool is invented to keep it.

    "The toolConfig field must be defined when using toolUse and toolResult content blocks." (threads pentagi 196, dify 17545)
    """
    if context.sends_tools or context.kinds.isdisjoint(("toolUse", "toolResult")):
        return turns
    for turn in turns:
        retell_where(turn, _is_tool_block, context, "tell_tools_as_text")
    return turns


def _is_tool_block(block: Block) -> bool:
    return "toolUse" in block or "toolResult" in block


# ------------------------------------------------------------------------------------------------------ order of turns


def place_system_turns(turns: list[Turn], context: Context) -> list[Turn]:
    """A late system message stays in place: hoisting it would change the cached prefix (thread litellm 41043).

    It stays a system-role turn where the family takes one there (after a user turn, and last or before an assistant's,
    thread bifrost 3945); elsewhere it is told in a user turn.
    """
    if "late_system" not in context.kinds:
        return turns
    for position, turn in enumerate(turns):
        if turn.role != "system":
            continue
        after_user = position > 0 and turns[position - 1].role == "user"
        before_assistant = position + 1 == len(turns) or turns[position + 1].role == "assistant"
        if not (context.profile.system_turns and after_user and before_assistant):
            _fold_system_turn(turn, context)
    return turns


def _fold_system_turn(turn: Turn, context: Context) -> None:
    context.repair("fold_system_message", turn.message, "a system message inside the conversation became user text")
    turn.role = "user"
    turn.blocks = [_folded(block) for block in turn.blocks]


def _folded(block: Block) -> Block:
    if "text" in block:
        return {"text": f"<system-message>\n{block['text']}\n</system-message>"}
    for name, verb in (("toolAddition", "added"), ("toolRemoval", "removed")):
        if name in block:
            return {
                "text": f"<system-message>\nThe tool {block[name]['tool'].get('name', '')} was {verb}.\n</system-message>"
            }
    return block


def merge_turns_of_one_role(turns: list[Turn], _: Context) -> list[Turn]:
    """Neighbours of one role are one turn: roles have to alternate."""
    roles = [turn.role for turn in turns]
    if not any(map(eq, roles, roles[1:])):
        return turns
    merged: list[Turn] = []
    for turn in turns:
        if merged and merged[-1].role == turn.role:
            merged[-1].blocks.extend(turn.blocks)
            merged[-1].origins.extend(turn.origins)
        else:
            merged.append(turn)
    return merged


# -------------------------------------------------------------------------------------------- what stands beside results


def move_media_out_of_results(turns: list[Turn], context: Context) -> list[Turn]:
    """Media that the family refuses inside a tool result stands beside it (recorded: Nova and PDFs, videos)."""
    if "toolResult" not in context.kinds or context.kinds.isdisjoint(_MEDIA_BLOCKS):
        return turns
    allowed = context.profile.result_media
    for turn in turns:
        if turn.role == "user" and any(_misplaced(block, allowed) for block in turn.blocks):
            _move_media(turn, allowed, context)
    return turns


def _misplaced(block: Block, allowed: frozenset[str]) -> list[Block]:
    result = block.get("toolResult")
    if result is None:
        return []
    return [part for part in result["content"] if (kind := media_kind(part)) is not None and kind not in allowed]


def _move_media(turn: Turn, allowed: frozenset[str], context: Context) -> None:
    context.kinds.add("beside_result")
    moved: list[Block] = []
    origins: list[int | None] = []
    last_result = max(i for i, block in enumerate(turn.blocks) if "toolResult" in block)
    for position, block in enumerate(turn.blocks):
        out = _misplaced(block, allowed)
        if not out:
            continue
        context.repair("move_media_out_of_result", turn.origins[position], "media of a tool result was put beside it")
        result = block["toolResult"]
        stays = [part for part in result["content"] if not any(part is gone for gone in out)]
        turn.blocks[position] = {
            "toolResult": {**result, "content": stays or [{"text": "The content follows after the tool results."}]}
        }
        moved.append({"text": f"Content of the tool result {result['toolUseId']}:"})
        moved.extend(out)
        origins.extend([turn.origins[position]] * (len(out) + 1))
    turn.blocks[last_result + 1 : last_result + 1] = moved
    turn.origins[last_result + 1 : last_result + 1] = origins


def part_results_from_content(turns: list[Turn], context: Context) -> list[Turn]:
    """Content that may not share a turn with tool results gets a turn of its own, with an assistant turn between.

    "Conversation blocks and tool result blocks cannot be provided in the same turn." (live)
    """
    allowed = context.profile.beside_tool_result
    if "beside_result" not in context.kinds or allowed >= EVERY_KIND:
        return turns
    parted: list[Turn] = []
    for turn in turns:
        cut = _first_foreign(turn, allowed) if turn.role == "user" else None
        if cut is None:
            parted.append(turn)
            continue
        context.repair(
            "part_results_from_content", turn.origins[cut], "content beside tool results got a turn of its own"
        )
        parted.append(Turn("user", turn.blocks[:cut], turn.origins[:cut]))
        parted.append(Turn("assistant", [{"text": BRIDGE_TEXT}], [None]))
        parted.append(Turn("user", turn.blocks[cut:], turn.origins[cut:]))
    return parted


def _first_foreign(turn: Turn, allowed: frozenset[str]) -> int | None:
    """The position of the first block that may not share a turn with tool results; None when all may, or there are none."""
    if len(turn.blocks) < 2 or not any("toolResult" in block for block in turn.blocks):
        return None
    for position, block in enumerate(turn.blocks):
        if "toolResult" in block or "cachePoint" in block:
            continue
        kind = media_kind(block) or next(iter(block))
        if kind not in allowed:
            return position
    return None


def say_error_status(turns: list[Turn], context: Context) -> list[Turn]:
    """`status` goes to families that are known to take it; elsewhere an error is said in the text of the result."""
    if context.profile.result_status or "status" not in context.kinds:
        return turns
    for turn in turns:
        for position, block in enumerate(turn.blocks):
            if "toolResult" in block and "status" in block["toolResult"]:
                turn.blocks[position] = _without_status(block["toolResult"])
    return turns


def _without_status(result: Mapping[str, Any]) -> Block:
    content = result["content"]
    if result["status"] == "error":
        content = [{"text": "The tool failed:"}, *content]
    return {"toolResult": {**{key: value for key, value in result.items() if key != "status"}, "content": content}}


# ----------------------------------------------------------------------------------------------------- first and last


def fill_empty_turns(turns: list[Turn], context: Context) -> list[Turn]:
    """A turn that lost everything still has to say something; one that ends in reasoning has to end in something else."""
    points = "cachePoint" in context.kinds
    for turn in turns:
        if not turn.blocks or (points and all("cachePoint" in block for block in turn.blocks)):
            turn.blocks, turn.origins = [{"text": EMPTY_TEXT}], [turn.message]
            context.repair("fill_empty_turn", turn.message, "a turn without content became a placeholder")
        elif "reasoningContent" in turn.blocks[-1] and context.options.padding and context.profile.replay != "verbatim":
            turn.blocks.append({"text": EMPTY_TEXT})
            turn.origins.append(None)
            context.settle("close_reasoning_turn", turn.message, "a turn that was all reasoning got a placeholder")
    return turns


def pad_conversation(turns: list[Turn], context: Context) -> list[Turn]:
    """The first turn is the user's, and so is the last: newer models refuse to continue an assistant's words."""
    if not context.options.padding or not turns:
        return turns
    if turns[0].role != "user":
        context.repair("pad_first_turn", turns[0].message, "a user turn was put before the first turn")
        turns = [Turn("user", [{"text": EMPTY_TEXT}], [None]), *turns]
    if turns[-1].role != "assistant":
        return turns
    if context.options.prefill and context.profile.prefill and not context.thinks:
        _strip_prefill(turns[-1])
        return turns
    context.repair("pad_last_turn", turns[-1].message, "a user turn was put after the last turn")
    return [*turns, Turn("user", [{"text": EMPTY_TEXT}], [None])]


def _strip_prefill(turn: Turn) -> None:
    """A prefill must not end in white space, says the service."""
    last = turn.blocks[-1]
    if "text" in last and last["text"] != last["text"].rstrip():
        turn.blocks[-1] = {"text": last["text"].rstrip()}


TURN_STEPS: tuple[Step, ...] = (
    keep_replayable_reasoning,
    name_refused_media,
    tell_server_tools_as_text,
    tell_citations_as_text,
    tell_tools_as_text,
    place_system_turns,
    merge_turns_of_one_role,
    repair_tool_exchanges,
    move_media_out_of_results,
    part_results_from_content,
    say_error_status,
    fill_empty_turns,
    name_documents,
    guard_last_turn,
    text_beside_documents,
    pad_conversation,
)
