"""What came of the beginning of a list that grows, found again by the content of the list.

In comes a list of JSON-like data, as an agent sends it again with every turn; out comes what was made of its longest known
beginning. The beginning is compared in full with a copy of what it was, type by type, so that nothing found is stale,
whoever changed what in the meantime; where the leaves are the same objects, that costs a fraction of a microsecond per item.
The order of names counts where they name objects, as the properties of a schema: models answer in that order.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Sequence
from sys import getsizeof
from typing import Any, Generic, TypeVar

Value = TypeVar("Value")

_SEEN = 1000

_LONG = 64
"""Characters of a text from which on a key has its two ends only."""


class NotPlainError(TypeError):
    """Something in the data could change without its copy showing it."""


class Known(Generic[Value]):
    """The first `count` items gave `value`; `keep` is the number of items to keep a value of, 0 for none."""

    __slots__ = ("entry", "keep", "key")

    def __init__(self, keep: int, key: Hashable = None, entry: _Entry[Value] | None = None) -> None:
        self.keep = keep
        self.key = key
        self.entry = entry

    @property
    def count(self) -> int:
        """How many items are known."""
        return len(self.entry.items) if self.entry is not None else 0

    @property
    def value(self) -> Value | None:
        """What they gave."""
        return self.entry.value if self.entry is not None else None


class Prefixes(Generic[Value]):
    """Values by the beginnings of lists, at most `limit` bytes with the items; the longest unused go first.

    Any thread may use it: every step is one operation on a dict, so that no lock can stay locked in a forked child.
    A list is kept from the second time that it is seen: most of those that come once never come again. A list shorter than
    `least` is made anew faster than it is found; the last `apart` items are left out of what is kept, as callers mark,
    extend and replace the newest ones; `gained` is how many a list may have gained since it was kept.
    """

    def __init__(self, limit: int, *, least: int = 16, apart: int = 4, gained: int = 32) -> None:
        self._limit = limit
        self._least = least
        self._apart = apart
        self._gained = gained
        self._kept: dict[Hashable, _Entry[Value]] = {}
        self._seen: dict[Hashable, None] = {}

    def recall(self, items: Sequence[Any], basis: Hashable = None) -> Known[Value]:
        """What is known of the longest beginning that gave a value on the same `basis`."""
        end = len(items) - self._apart
        if len(items) < self._least:
            return Known(0)
        seen = False
        for count in range(end, max(end - self._gained, 0), -1):
            key = (count, basis, *_few_texts(items[count - 1]))
            entry = self._kept.get(key)
            if entry is not None and entry.is_beginning_of(items):
                self._kept[key] = self._kept.pop(key, entry)  # the newest is the last
                return Known(end, key, entry)
            seen = seen or key in self._seen
        if not seen:
            self._note((end, basis, *_few_texts(items[end - 1])))
        return Known(end if seen else 0)

    def keep(
        self, items: Sequence[Any], known: Known[Value], value: Value, weight: int, basis: Hashable = None
    ) -> None:
        """Keep the value of the first `known.keep` items, in place of what `known` says of fewer of them.

        `weight` is that of the value, in bytes; what the items weigh is known here.
        """
        then, of_items = (known.entry.items, known.entry.of_items) if known.entry is not None else ([], 0)
        try:
            fresh = [snapshot(item) for item in items[len(then) : known.keep]]
            entry = _Entry([*then, *fresh], value, of_items + weight_of(fresh), weight)
        except (NotPlainError, RecursionError):
            return
        if entry.weight > self._limit:
            return
        # What another thread keeps under the key by now may be of another conversation.
        if known.entry is not None and self._kept.get(known.key) is known.entry:
            self._kept.pop(known.key, None)
        self._kept[(known.keep, basis, *_few_texts(items[known.keep - 1]))] = entry
        while sum(entry.weight for entry in list(self._kept.values())) > self._limit:
            for oldest in list(self._kept)[:1]:
                self._kept.pop(oldest, None)

    def _note(self, key: Hashable) -> None:
        self._seen[key] = None
        if len(self._seen) > _SEEN:
            self._seen = {}


class _Entry(Generic[Value]):
    """A value, and the items that gave it as they were."""

    __slots__ = ("items", "of_items", "value", "weight")

    def __init__(self, items: list[Any], value: Value, of_items: int, of_value: int) -> None:
        self.items = items
        self.value = value
        self.of_items = of_items
        self.weight = of_items + of_value

    def is_beginning_of(self, items: Sequence[Any]) -> bool:
        return are_as(self.items, list(items[: len(self.items)]))


def _few_texts(item: Any, wanted: int = 3) -> list[str]:
    """The first texts in an item, the long ones cut: enough to tell it from most others."""
    found: list[str] = []
    for text in _texts(item):
        found.append(text if len(text) < _LONG else f"{len(text)} {text[: _LONG // 2]} {text[-_LONG // 2 :]}")
        if len(found) == wanted:
            break
    return found


def _texts(value: Any, depth: int = 8) -> Iterator[str]:
    kind = type(value)
    if kind is str:
        yield value
    elif depth and (kind is dict or kind is list):
        for member in value.values() if kind is dict else value:
            yield from _texts(member, depth - 1)


# ------------------------------------------------------------------------------------------------------------- snapshots


def snapshot(value: Any) -> Any:
    """A copy of JSON-like data that equals the data for as long as that is what it was; raises NotPlainError for other data."""
    kind = type(value)
    if kind is str or kind is bytes or value is None:
        return value
    if kind is dict:
        copied = {_text_key(key): snapshot(member) for key, member in value.items()}
        return _InOrder(copied) if len(copied) > 1 and _OBJECTS.issuperset(map(type, value.values())) else copied
    if kind is list:
        return [snapshot(member) for member in value]
    if kind is int or kind is float or kind is bool:
        return _Exactly(value)
    raise NotPlainError(kind.__name__)


def _text_key(key: Any) -> str:
    if type(key) is not str:
        raise NotPlainError("a key that is no text")
    return key


def are_as(copy: Any, data: Any) -> bool:
    """Whether the data is what it was when the copy was taken; data that cannot be compared is not."""
    try:
        return bool(copy == data)
    except (ValueError, TypeError, RecursionError):
        return False


def weight_of(copy: Any) -> int:
    """The bytes that a copy keeps in memory, beside the names in it."""
    kind = type(copy)
    if kind is dict or kind is _InOrder:
        return getsizeof(copy) + sum(map(weight_of, copy.values()))
    return getsizeof(copy) + (sum(map(weight_of, copy)) if kind is list else 0)


_OBJECTS = frozenset({dict, bool})
"""What a name stands for in a map of schemas."""


class _InOrder(dict[str, Any]):
    """Equals a dict with the same members in the same order."""

    __slots__ = ()
    __hash__ = None

    def __eq__(self, other: object) -> bool:
        return dict.__eq__(self, other) is True and list(self) == list(other)  # type: ignore[call-overload]


class _Exactly:
    """Equals a number of its own type and no other: to Python 1, 1.0 and True are the same, to a model they are not."""

    __slots__ = ("_number", "_type")
    __hash__ = None  # type: ignore[assignment]

    def __init__(self, number: float) -> None:
        self._type = type(number)
        self._number = _told(number)

    def __eq__(self, other: object) -> bool:
        if type(other) is _Exactly:
            return self._type is other._type and self._number == other._number
        return type(other) is self._type and _told(other) == self._number


def _told(number: Any) -> Any:
    """A float as a text that tells 0.0 from -0.0 and is the same for every NaN; of a long int Python makes none."""
    return repr(number) if type(number) is float else number
