"""Messages -> (system blocks, turns): one function per role, found in a table.

In come messages of any shape (dicts, namespaces, SDK objects); out come Converse's system blocks and turns of content
blocks, one turn per message, each block knowing the message it came from. What makes the sequence legal is `turns.py`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from ..errors import InvalidRequestError
from ..models.profiles import PERMISSIVE
from .calls import call_blocks
from .content import (
    REASONING_PARTS,
    cache_point,
    convert_content,
    convert_content_or_placeholder,
    media_blocks,
    result_blocks,
    without_blanks,
)
from .context import EMPTY_TEXT, Block, Context, Turn
from .media import Place, media_from_url
from .memory import ConversationMemory, Reading
from .options import RequestOptions
from .reading import as_mapping, is_blank
from .reasoning import assistant_blocks
from .turns import legal_turns

SYSTEM_KINDS = frozenset({"text", "guardContent", "cachePoint"})
MEDIA_TEXT = "(media of the assistant's message)"
_MEDIA_KINDS = frozenset({"image", "document", "video", "audio"})


def convert_messages(
    messages: Iterable[Any], context: Context | None = None
) -> tuple[list[Block] | None, list[dict[str, Any]]]:
    """(system blocks or None, Converse messages), made legal; without a context for no model in particular."""
    if context is None:
        context = Context("", PERMISSIVE, RequestOptions(prompt_caching=False))
    system, turns = read_messages(list(messages), context)
    turns = legal_turns(turns, context)
    return system or None, [{"role": turn.role, "content": turn.blocks} for turn in turns]


def read_messages(
    messages: Sequence[Any], context: Context, memory: ConversationMemory | None = None
) -> tuple[list[Block], list[Turn]]:
    """The system blocks of the leading system messages, and one turn for every message after them.

    With a memory, only what it does not know of the messages is read.
    """

    def go_on(reading: Reading, since: int, until: int) -> None:
        _read(messages, since, until, reading, context)

    if memory is not None:
        reading = memory.read(messages, context, go_on)
    else:
        reading = Reading([], [], [])
        go_on(reading, 0, len(messages))
    return reading.system, [*reading.opening, *reading.turns]


def _read(messages: Sequence[Any], since: int, until: int, reading: Reading, context: Context) -> None:
    """Read some of the messages; what comes of a message depends on nothing that follows it."""
    system, opening, turns = reading.system, reading.opening, reading.turns
    for index in range(since, until):
        message = messages[index]
        fields = message if type(message) is dict else _fields(message, index)
        said = fields.get("role")
        convert = ROLES.get(said) if isinstance(said, str) else None
        if convert is None:
            raise InvalidRequestError(f"unknown role {said!r}", message_index=index, field="role")
        if convert is _system and not turns:
            system.extend(_system_blocks(fields, context, index, opening))
            continue
        blocks = convert(fields, context, index)
        if fields.get("cache_control"):
            blocks.append(cache_point(fields["cache_control"], Place(context, index, "cache_control")))
        role = _WIRE_ROLES[convert]
        media = _media_of_assistant(blocks, context) if role == "assistant" else ()
        if media:
            blocks = _without_media(blocks, media, context, index, own=bool(fields.get("bedrock_content_blocks")))
        turns.append(Turn(role, blocks, [index] * len(blocks)))
        if media:
            turns.append(Turn("user", [{"text": MEDIA_TEXT}, *media], [index] * (len(media) + 1)))


def _fields(message: Any, index: int) -> Mapping[str, Any]:
    fields = as_mapping(message)
    if fields is None:
        raise InvalidRequestError(f"a message cannot be a {type(message).__name__}", message_index=index)
    return fields


def _system_blocks(message: Mapping[str, Any], context: Context, index: int, opening: list[Turn]) -> list[Block]:
    """The system blocks of a leading system message; media, which `system` cannot hold, opens the conversation."""
    blocks = convert_content(message.get("content"), context, index)
    if message.get("cache_control") and blocks:
        blocks = [*blocks, cache_point(message["cache_control"], Place(context, index, "cache_control"))]
    foreign = [block for block in blocks if SYSTEM_KINDS.isdisjoint(block)]
    if foreign:
        context.repair(
            "move_media_out_of_system", index, "content that a system prompt cannot hold opens the conversation"
        )
        opening.append(Turn("user", foreign, [index] * len(foreign)))
        blocks = [block for block in blocks if not SYSTEM_KINDS.isdisjoint(block)]
    return blocks


def _system(message: Mapping[str, Any], context: Context, index: int) -> list[Block]:
    """A system message after the conversation began: it stays where it stands, see `place_system_turns`."""
    context.kinds.add("late_system")
    return convert_content_or_placeholder(message.get("content"), context, index)


def _media_of_assistant(blocks: list[Block], context: Context) -> list[Block]:
    """Media in an assistant message, which only the user may send, says the documentation; of the model's own, too."""
    if context.profile.assistant_media or context.kinds.isdisjoint(_MEDIA_KINDS):
        return []
    return [block for block in blocks if not _MEDIA_KINDS.isdisjoint(block)]


def _without_media(blocks: list[Block], media: list[Block], context: Context, index: int, *, own: bool) -> list[Block]:
    report = context.settle if own else context.repair
    report("move_media_out_of_answer", index, "media of an assistant message was put into the next user turn")
    kept = [block for block in blocks if not any(block is moved for moved in media)]
    return kept or [{"text": MEDIA_TEXT}]


def _user(message: Mapping[str, Any], context: Context, index: int) -> list[Block]:
    results = message.get("tool_results") or message.get("tool_result")
    if not results:
        return convert_content_or_placeholder(message.get("content"), context, index)
    items = results if isinstance(results, (list, tuple)) else [results]
    blocks: list[Block] = []
    for item in items:
        blocks.extend(result_blocks(as_mapping(item) or {"content": item}, context, index))
    return [*blocks, *convert_content(message.get("content"), context, index)]


def _tool(message: Mapping[str, Any], context: Context, index: int) -> list[Block]:
    return result_blocks(message, context, index)


def _assistant(message: Mapping[str, Any], context: Context, index: int) -> list[Block]:
    calls = call_blocks(message, context, index)
    content = message.get("content")
    said_in_parts = type(content) is not str and content is not None
    if not said_in_parts:
        texts = convert_content(content, context, index)
    else:
        texts = _not_said_twice(convert_content(_without_reasoning(content), context, index), calls)
        context.open_calls.extend(_inline_calls(texts))
    beside = said_in_parts or not _PLAIN_KEYS.issuperset(message)
    if beside:
        texts = [*texts, *_left_over(message, texts, context, index)]
    if beside or (calls and ("carrier" in context.kinds or context.options.reasoning_store is not None)):
        found = assistant_blocks(message, texts, calls, context, index)
        blocks = without_blanks(found, Place(context, index), own=True)
    else:
        blocks = [*texts, *calls]
    if blocks:
        return blocks
    context.settle("fill_blank_text", index, "an assistant message without content became a placeholder")
    return [{"text": EMPTY_TEXT}]


_PLAIN_KEYS = frozenset({"role", "content", "tool_calls", "name"})


def _without_reasoning(content: Any) -> list[Any]:
    """The parts that are no reasoning, which the carriers find by themselves."""
    parts = content if isinstance(content, (list, tuple)) else [content]
    return [part for part in parts if not _is_reasoning(part)]


def _is_reasoning(part: Any) -> bool:
    kind = None if isinstance(part, str) else (as_mapping(part) or {}).get("type")
    return isinstance(kind, str) and kind in REASONING_PARTS


def _not_said_twice(blocks: list[Block], calls: list[Block]) -> list[Block]:
    """The parts without the calls that `tool_calls` says, too: some runtimes keep Anthropic's form beside OpenAI's."""
    return [block for block in blocks if "toolUse" not in block or block not in calls]


def _inline_calls(blocks: list[Block]) -> list[tuple[str, str]]:
    return [(block["toolUse"]["toolUseId"], block["toolUse"]["name"]) for block in blocks if "toolUse" in block]


def _left_over(message: Mapping[str, Any], texts: list[Block], context: Context, index: int) -> list[Block]:
    """What an assistant message may say outside `content`: a refusal, a transcript, images; none beside a sidecar."""
    if message.get("bedrock_content_blocks"):
        return []
    blocks: list[Block] = []
    if not texts:
        audio = as_mapping(message.get("audio")) or {}
        said = (message.get("refusal"), audio.get("transcript"))
        blocks = [{"text": context.clean(index, text)} for text in said if isinstance(text, str) and not is_blank(text)]
    images = message.get("images")
    if isinstance(images, (list, tuple)):
        place = Place(context, index, "images")
        for image in map(as_mapping, images):
            url = as_mapping((image or {}).get("image_url")) or {}
            if isinstance(url.get("url"), str):
                blocks.extend(media_blocks("image", media_from_url(url["url"], place), place))
                context.kinds.add("image")
    return blocks


Convert = Callable[[Mapping[str, Any], Context, int], list[Block]]

ROLES: dict[str, Convert] = {
    "system": _system,
    "developer": _system,
    "user": _user,
    "assistant": _assistant,
    "tool": _tool,
    "function": _tool,
}
_WIRE_ROLES: dict[Convert, str] = {_system: "system", _user: "user", _tool: "user", _assistant: "assistant"}
