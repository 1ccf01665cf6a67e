"""What was read of a conversation, so that a history which grows is not read again from its beginning.

In comes a conversation; out comes how far it was read before on the same terms, with the state of the reading at that
point: blocks, and what the context learned. Reading goes from message to message and looks at nothing ahead, so that
going on from there gives what reading everything gives. A memory belongs to whoever owns the conversations (a client).
Blocks are shared with the requests made of them; this package never changes one, and one that somebody else changed is
noticed, and read anew.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Hashable, Iterable, Sequence
from typing import Any

from ..prefixes import NotPlainError, Prefixes, are_as, snapshot, weight_of
from ..values import frozen
from .context import Block, Context, Learned, Turn

_LIMIT = 64 * 1024 * 1024
_COPIES = 2
"""Blocks are there as they were, too; that both have the same texts is not counted on: it is a bound."""


class Reading:
    """What was read so far: system blocks, turns that open the conversation, and one turn for every message."""

    __slots__ = ("opening", "system", "turns")

    def __init__(self, system: list[Block], opening: list[Turn], turns: list[Turn]) -> None:
        self.system = system
        self.opening = opening
        self.turns = turns


class ConversationMemory:
    """What was read lately of conversations and of tools; any thread may use it."""

    def __init__(self, limit: int = _LIMIT) -> None:
        self._conversations: Prefixes[_Read] = Prefixes(limit)
        self._tools: Prefixes[_Converted] = Prefixes(limit, least=1, apart=0, gained=1)

    def read(self, messages: Sequence[Any], context: Context, go_on: Callable[[Reading, int, int], None]) -> Reading:
        """The reading of all messages by `go_on`, which reads from one index up to another; the context is still new."""
        if context.options.fetch is not None:  # what a URL gives may be something else tomorrow
            return _read_all(messages, go_on)
        terms = _terms(context)
        known = self._conversations.recall(messages, terms)
        older = known.value if known.value is not None and known.value.is_unchanged() else None
        reading, count = Reading([], [], []), 0
        if older is not None:
            reading, count = older.copy(), known.count
            context.take_over(older.learned)
        if known.keep > count:
            go_on(reading, count, known.keep)
            with contextlib.suppress(NotPlainError, RecursionError):  # of what could change unseen nothing is kept
                newer = _grown(older, reading, context)
                self._conversations.keep(messages, known, newer, newer.weight, terms)
            count = known.keep
        go_on(reading, count, len(messages))
        return reading

    def convert(
        self, tools: Sequence[Any], context: Context, convert: Callable[[Sequence[Any], Context], list[Block]]
    ) -> list[Block]:
        """The tools as `convert` converts them."""
        terms = _terms(context)
        known = self._tools.recall(tools, terms)
        found = known.value
        if found is not None and are_as(found.blocks_then, found.blocks):
            context.wire_names.update(found.names)
            context.measured_tools = found.measured
            return [*found.blocks]
        scratch = Context(context.model, context.profile, context.options)
        blocks = convert(tools, scratch)
        if scratch.repairs or scratch.kinds:
            return convert(tools, context)  # which reports, beside what was reported before
        context.wire_names.update(scratch.wire_names)
        if known.keep:
            with contextlib.suppress(NotPlainError, RecursionError):
                made = _Converted(blocks, scratch.wire_names)
                self._tools.keep(tools, known, made, _COPIES * weight_of(made.blocks_then), terms)
        return blocks


def _read_all(messages: Sequence[Any], go_on: Callable[[Reading, int, int], None]) -> Reading:
    reading = Reading([], [], [])
    go_on(reading, 0, len(messages))
    return reading


def _terms(context: Context) -> Hashable:
    """All that reading and converting look at beside messages and tools."""
    options = context.options
    return (
        context.model,
        options.base_model,
        options.strict,
        options.citations,
        options.bucket_owner,
        options.lenient_images,
        options.stable_tool_order,
        id(options.reasoning_store),  # which a reading keeps, so that no other store gets its number
        getattr(options.reasoning_store, "cleared", None),
    )


@frozen(eq=False, repr=False)
class _Read:
    """A reading as it stood, what the context had learned by then, and the blocks of the turns as they were."""

    system: list[Block]
    opening: list[Turn]
    turns: list[Turn]
    then: list[list[Any]]
    learned: Learned
    weight: int
    store: Any

    def copy(self) -> Reading:
        """The reading in lists of its own, around the same blocks."""
        return Reading([*self.system], _copied(self.opening), _copied(self.turns))

    def is_unchanged(self) -> bool:
        """Whether nobody changed a block."""
        return are_as(self.then, _blocks_of(self))


def _blocks_of(reading: _Read | Reading) -> list[list[Any]]:
    """Three lists of what may grow."""
    return [reading.system, *([turn.blocks for turn in turns] for turns in (reading.opening, reading.turns))]


def _grown(older: _Read | None, reading: Reading, context: Context) -> _Read:
    """A reading where it stands now, of which `older` is the beginning; raises where it holds data of foreign types."""
    turns, known, weight = (older.turns, older.then, older.weight) if older is not None else ([], [[], [], []], 0)
    fresh = [
        [snapshot(blocks) for blocks in now[len(then) :]] for then, now in zip(known, _blocks_of(reading), strict=True)
    ]
    then = [[*then, *grown] for then, grown in zip(known, fresh, strict=True)]
    turns = [*turns, *_copied(reading.turns[len(turns) :])]
    weight += _COPIES * weight_of(fresh)
    store = context.options.reasoning_store
    return _Read([*reading.system], _copied(reading.opening), turns, then, context.learned(), weight, store)


class _Converted:
    """Tools that were converted, as they were."""

    __slots__ = ("blocks", "blocks_then", "measured", "names")

    def __init__(self, blocks: list[Block], names: dict[str, str]) -> None:
        self.blocks = [*blocks]
        self.blocks_then = snapshot(blocks)
        self.names = dict(names)
        self.measured = (len(blocks), len(str(blocks)))


def _copied(turns: Iterable[Turn]) -> list[Turn]:
    return [Turn(turn.role, [*turn.blocks], [*turn.origins]) for turn in turns]


CONVERSATIONS = ConversationMemory()
"""For callers that are functions and own nothing: the drop-in."""
