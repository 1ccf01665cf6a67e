"""Reasoning in a history: found in whichever carrier survived the runtime, and kept where the family takes it back.

In comes an assistant message; out come its blocks, from the first carrier that has them: the sidecar, reasoning_details,
thinking_blocks, content parts, tool_calls[].extra_content, a store keyed by tool call, the tool-call id itself, and last the
bare text. What goes back is byte-equal to what came, or nothing: a signature is never made up and never edited.
"""

from __future__ import annotations

from base64 import b64decode
from binascii import Error as Base64Error
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ..carriers import Outline, fill_outline, readable_outline, unpack_call_id
from ..errors import InvalidRequestError
from .calls import is_server_call
from .content import native_block
from .context import EMPTY_TEXT
from .media import Place
from .reading import as_mapping, clean_text, is_blank

if TYPE_CHECKING:
    from .context import Block, Context, Turn

_OWN_FORMATS = ("", "anthropic", "bedrock", "unknown")


# --------------------------------------------------------------------------------------------------------- carriers


def assistant_blocks(
    message: Mapping[str, Any], texts: list[Block], calls: list[Block], context: Context, index: int
) -> list[Block]:
    """The blocks of an assistant message in the order of the answer, as far as a carrier still knows it."""
    sidecar = message.get("bedrock_content_blocks")
    if not sidecar:
        provider_fields = as_mapping(message.get("provider_specific_fields"))
        sidecar = provider_fields.get("bedrock_content_blocks") if provider_fields else None
    if sidecar:
        return _with_sidecar(sidecar, message, texts, calls, Place(context, index, "bedrock_content_blocks"))
    outline = None
    reasoning = _explicit_reasoning(message, context, index)
    if not reasoning:
        outline = _outline_in_calls(message, context)
    if outline is not None:
        return _with_outline(outline, texts, calls, context, index)
    if not reasoning:
        reasoning = _bare_reasoning(message, context, index)
    if reasoning:
        context.kinds.add("reasoningContent")
    return [*reasoning, *texts, *calls]


def _with_sidecar(
    sidecar: Any, message: Mapping[str, Any], texts: list[Block], calls: list[Block], place: Place
) -> list[Block]:
    """The sidecar, corrected by what the message says now: the runtime may have edited text or calls since."""
    parts = sidecar if isinstance(sidecar, (list, tuple)) else [sidecar]
    blocks = [block for part in parts for block in _sidecar_block(part, place)]
    untouched = "tool_calls" not in message and "content" not in message
    if not untouched:
        blocks = _reconciled_calls(blocks, calls, place)
        if message.get("content") is not None:  # None is what runtimes make of a text that they do not keep
            blocks = _reconciled_text(blocks, texts, place)
    return blocks


def _sidecar_block(part: Any, place: Place) -> list[Block]:
    fields = as_mapping(part)
    if fields is None or "SDK_UNKNOWN_MEMBER" in fields:
        place.repair("drop_unknown_block", "a block of an unknown kind cannot be sent back")
        return []
    block = _carried_block(fields, place)
    place.context.kinds.update(*block)
    return block


def _carried_block(fields: Mapping[str, Any], place: Place) -> list[Block]:
    """A block from a carrier; what has been broken on the way is left out, as the message still says the rest."""
    try:
        return native_block(fields, place)
    except InvalidRequestError:
        place.repair("drop_broken_block", "a block that a carrier brought back broken was left out")
        return []


def _reconciled_calls(blocks: list[Block], calls: list[Block], place: Place) -> list[Block]:
    """Calls that the message no longer has go, edited ones are taken from the message, added ones come last."""
    left = _by_id(calls)
    kept: list[Block] = []
    for block in blocks:
        use = block.get("toolUse")
        if use is None or is_server_call(block):
            kept.append(block)
            continue
        current = left[use["toolUseId"]].popleft() if left.get(use["toolUseId"]) else None
        if current is None:
            place.repair("follow_edited_message", "a call that the message no longer has was left out")
            continue
        same = current["toolUse"]["name"] == use["name"] and current["toolUse"]["input"] == use["input"]
        kept.append(block if same else current)
    return [*kept, *(call for queue in left.values() for call in queue)]


def _by_id(calls: list[Block]) -> dict[str, deque[Block]]:
    """The calls under their ids, which may repeat."""
    found: dict[str, deque[Block]] = {}
    for call in calls:
        found.setdefault(call["toolUse"]["toolUseId"], deque()).append(call)
    return found


def _reconciled_text(blocks: list[Block], texts: list[Block], place: Place) -> list[Block]:
    """Text that was edited since the answer wins over the sidecar's, also where it was taken out."""
    now = "".join(block["text"] for block in texts if "text" in block)
    then = "".join(_text_of(block) for block in blocks)
    if now == then or now.strip() == then.strip():
        return blocks
    place.repair("follow_edited_message", "the text of the message was taken instead of the answer's own")
    kept = [block for block in blocks if "text" not in block and "citationsContent" not in block]
    first = next((i for i, block in enumerate(kept) if "reasoningContent" not in block), len(kept))
    return [*kept[:first], *texts, *kept[first:]]


def _text_of(block: Block) -> str:
    if "text" in block:
        text: str = block["text"]
        return text
    cited = block.get("citationsContent")
    if cited:
        return "".join(str(part.get("text", "")) for part in cited.get("content") or ())
    return ""


def _with_outline(
    outline: Outline, texts: list[Block], calls: list[Block], context: Context, index: int
) -> list[Block]:
    """The order that an outline remembers, filled with this message's text and calls."""
    place = Place(context, index, "tool_calls")
    decoded = [_decoded_entry(entry, place) for entry in outline]
    left = _by_id(calls)
    text = "".join(block["text"] for block in texts if "text" in block)
    blocks = fill_outline(decoded, text, left)
    context.kinds.add("reasoningContent")
    if blocks is None:
        place.repair("follow_edited_message", "the message was edited, its reasoning was put first")
        reasoning = [entry["block"] for entry in decoded if "reasoningContent" in entry.get("block", ())]
        return [*reasoning, *texts, *calls]
    others = [block for block in texts if "text" not in block]
    return [*blocks, *others, *(call for queue in left.values() for call in queue)]


def _decoded_entry(entry: Mapping[str, Any], place: Place) -> dict[str, Any]:
    block = as_mapping(entry.get("block"))
    if block is None:
        return dict(entry)
    made = _carried_block(block, place)
    return {"block": made[0]} if made else {}


def _explicit_reasoning(message: Mapping[str, Any], context: Context, index: int) -> list[Block]:
    place = Place(context, index, "reasoning")
    provider_fields = as_mapping(message.get("provider_specific_fields")) or {}
    for key, read in _EXPLICIT_CARRIERS:
        entries = message.get(key) or provider_fields.get(key)
        if isinstance(entries, (list, tuple)):
            whole = _joined_fragments(_ordered(entries))
            blocks = [block for block in (read(entry, place) for entry in whole) if block]
            if blocks:
                return blocks
    return []


def _ordered(entries: Sequence[Any]) -> list[Mapping[str, Any]]:
    """Entries by their `index`, where they have one; runtimes may have gathered them in another order."""
    mappings = [entry for entry in map(as_mapping, entries) if entry is not None]
    if mappings and all(isinstance(entry.get("index"), int) for entry in mappings):
        mappings.sort(key=lambda entry: entry["index"])
    return mappings


def _joined_fragments(entries: list[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Entries whole again that a stream brought in pieces of one index; a runtime may have gathered them as they came.

    A block ends with its signature: what follows under the same index is another one, of a message merged into this.
    """
    joined: list[dict[str, Any]] = []
    for entry in entries:
        last = joined[-1] if joined else None
        if last is not None and _goes_on(last, entry):
            last["text"] = f"{last.get('text') or ''}{entry.get('text') or ''}"
            last["signature"] = entry.get("signature")
        else:
            joined.append(dict(entry))
    return list(joined)


def _goes_on(begun: Mapping[str, Any], entry: Mapping[str, Any]) -> bool:
    index = entry.get("index")
    same = isinstance(index, int) and begun.get("index") == index and entry.get("type") in (None, begun.get("type"))
    return same and begun.get("type") == "reasoning.text" and not begun.get("signature")


def _from_detail(entry: Mapping[str, Any], place: Place) -> Block | None:
    """One of OpenRouter's reasoning_details; those of another vendor's format cannot be replayed."""
    said = str(entry.get("format") or "")
    if said and not said.lower().startswith(_OWN_FORMATS[1:]):
        place.repair("drop_foreign_reasoning", f"reasoning in the format {said!r} cannot be replayed")
        return None
    kind = entry.get("type")
    if kind == "reasoning.text":
        return _signed(entry.get("text"), entry.get("signature"))
    if kind in ("reasoning.encrypted", "redacted_thinking"):
        return _redacted(entry.get("data"), place)
    if kind == "thinking":
        return _signed(entry.get("thinking") or entry.get("text"), entry.get("signature"))
    place.repair("drop_foreign_reasoning", "a reasoning detail that cannot be replayed was left out")
    return None


def _from_thinking(entry: Mapping[str, Any], place: Place) -> Block | None:
    """One of Anthropic's thinking blocks, which LiteLLM passes around and some runtimes keep as content parts."""
    kind = entry.get("type")
    if kind == "thinking":
        return _signed(entry.get("thinking") or entry.get("text") or "", entry.get("signature"))
    if kind == "redacted_thinking":
        return _redacted(entry.get("data"), place)
    if kind in ("reasoning", "reasoning_content"):
        inner = as_mapping(entry.get("reasoning_content")) or entry
        signature = inner.get("signature") or (as_mapping(inner.get("extras")) or {}).get("signature")
        return _signed(inner.get("reasoning") or inner.get("text"), signature)
    return None


_EXPLICIT_CARRIERS: tuple[tuple[str, Callable[[Mapping[str, Any], Place], Block | None]], ...] = (
    ("reasoning_details", _from_detail),
    ("thinking_blocks", _from_thinking),
    ("content", _from_thinking),
)


def _signed(text: Any, signature: Any) -> Block | None:
    if not text and not signature:
        return None
    body: dict[str, Any] = {"text": clean_text(str(text or ""))}
    if signature:
        body["signature"] = str(signature)
    return {"reasoningContent": {"reasoningText": body}}


def _redacted(data: Any, place: Place) -> Block | None:
    if isinstance(data, (bytes, bytearray)):
        return {"reasoningContent": {"redactedContent": bytes(data)}}
    if not isinstance(data, str) or not data:
        return None
    try:
        return {"reasoningContent": {"redactedContent": b64decode(data, validate=True)}}
    except (Base64Error, ValueError):
        place.repair("drop_broken_reasoning", "redacted reasoning that is not base64 cannot be replayed")
        return None


def _outline_in_calls(message: Mapping[str, Any], context: Context) -> Outline | None:
    """The outline that rides on the tool calls: as extra content, in the store, or inside the id."""
    calls = message.get("tool_calls")
    if not isinstance(calls, (list, tuple)):
        return None
    store = context.options.reasoning_store
    for call in calls:
        fields = as_mapping(call) or {}
        outline = _outline_in_extra_content(fields) if "extra_content" in fields else None
        call_id = fields.get("id")
        if outline is None and isinstance(call_id, str):
            own_id, outline = unpack_call_id(call_id)
            if outline is not None:
                return _outline_in_ids(calls)
            if store is not None:
                outline = _stored_outline(store, own_id, fields)
        if outline is not None:
            return outline
    return None


def _outline_in_ids(calls: Sequence[Any]) -> Outline:
    """What the ids of all calls hold together: a stream has to name its calls before the answer is whole."""
    ids = dict.fromkeys(str((as_mapping(call) or {}).get("id")) for call in calls)
    return [entry for call_id in ids for entry in unpack_call_id(call_id)[1] or ()]


def _outline_in_extra_content(call: Mapping[str, Any]) -> Outline | None:
    extra = as_mapping(call.get("extra_content")) or {}
    ours = as_mapping(extra.get("bedrock")) or {}
    outline = readable_outline(ours.get("outline"))
    if outline is not None:
        return outline
    blocks = ours.get("bedrock_content_blocks") or ours.get("reasoning")
    if isinstance(blocks, (list, tuple)):
        return [{"block": dict(block)} for block in map(as_mapping, blocks) if block and "reasoningContent" in block]
    return None


def _stored_outline(store: Any, call_id: str, call: Mapping[str, Any]) -> Outline | None:
    function = as_mapping(call.get("function")) or {}
    arguments = function.get("arguments")
    if not isinstance(arguments, str):
        return None
    found: Outline | None = store.look_up(call_id, str(function.get("name") or ""), arguments)
    return found


def _bare_reasoning(message: Mapping[str, Any], context: Context, index: int) -> list[Block]:
    """Reasoning that came back as text only: unsigned, so of use to families that ask for no signature."""
    text = message.get("reasoning_content") or message.get("reasoning")
    if not isinstance(text, str) or is_blank(text):
        return []
    if context.profile.replay != "unsigned":
        context.settle("drop_unreplayable_reasoning", index, "reasoning without a signature was left out")
        return []
    return [{"reasoningContent": {"reasoningText": {"text": clean_text(text)}}}]


# ----------------------------------------------------------------------------------------------------------- replay


def keep_replayable_reasoning(turns: list[Turn], context: Context) -> list[Turn]:
    """Reasoning goes back as the family takes it: unsigned ones are refused by some, signatures by others, all by a few."""
    if "reasoningContent" not in context.kinds or context.profile.replay == "verbatim":
        return turns
    for turn in turns:
        if any("reasoningContent" in block for block in turn.blocks):
            _keep_replayable(turn, context)
    return turns


def _keep_replayable(turn: Turn, context: Context) -> None:
    blocks: list[Block] = []
    origins: list[int | None] = []
    rule = _REPLAY_RULES[context.profile.replay]
    for block, origin in zip(turn.blocks, turn.origins, strict=True):
        kept: Block | None = block
        if "reasoningContent" in block:
            kept = rule(block["reasoningContent"]) if turn.role == "assistant" else None
            if kept is None:
                context.settle("drop_unreplayable_reasoning", origin, "reasoning that the model refuses was left out")
        if kept is not None:
            blocks.append(kept)
            origins.append(origin)
    if not blocks and turn.role == "assistant":
        context.settle("fill_empty_turn", turn.message, "an answer that was all reasoning became a placeholder")
        blocks, origins = [{"text": EMPTY_TEXT}], [turn.message]
    turn.blocks, turn.origins = blocks, origins


def _only_signed(reasoning: Mapping[str, Any]) -> Block | None:
    if "redactedContent" in reasoning:
        return {"reasoningContent": dict(reasoning)}
    return {"reasoningContent": dict(reasoning)} if reasoning.get("reasoningText", {}).get("signature") else None


def _only_unsigned(reasoning: Mapping[str, Any]) -> Block | None:
    text = reasoning.get("reasoningText", {}).get("text")
    return {"reasoningContent": {"reasoningText": {"text": text}}} if text and not is_blank(text) else None


def _only_redacted(reasoning: Mapping[str, Any]) -> Block | None:
    return {"reasoningContent": dict(reasoning)} if "redactedContent" in reasoning else None


def _never(_: Mapping[str, Any]) -> Block | None:
    return None


_REPLAY_RULES: dict[str, Callable[[Mapping[str, Any]], Block | None]] = {
    "signed": _only_signed,
    "unsigned": _only_unsigned,
    "redacted": _only_redacted,
    "none": _never,
}
