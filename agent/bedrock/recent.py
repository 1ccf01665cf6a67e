"""What was worked out lately from immutable text or bytes, kept within a bound of memory.

In comes a str or bytes object and what came of it; out goes the same again for as long as it is asked for often enough.
A str or bytes object never changes, so what is found under it is never stale; nothing else may be a key.
"""

from __future__ import annotations

import threading
from sys import getsizeof
from typing import Generic, TypeVar

from .forks import unlocked_after_fork

Value = TypeVar("Value", str, bytes)


class Recent(Generic[Value]):
    """Values by key, at most `limit` bytes of both together; what was not asked for lately goes first.

    Two generations: when the young one is full, the old one is dropped whole. Looking up takes no lock, and a key that is
    the very object stored costs no comparison: Python keeps a text's hash in the text.
    """

    def __init__(self, limit: int) -> None:
        self._half = limit // 2
        self._young: dict[str | bytes, Value] = {}
        self._old: dict[str | bytes, Value] = {}
        self._bytes = 0
        self.unlock()
        unlocked_after_fork(self)

    def unlock(self) -> None:
        """Start with a lock that nobody holds."""
        self._lock = threading.Lock()

    def get(self, key: str | bytes) -> Value | None:
        """What was stored under an equal key, None where nothing is (any more)."""
        found = self._young.get(key)
        if found is None and (found := self._old.get(key)) is not None:
            self.put(key, found)
        return found

    def put(self, key: str | bytes, value: Value) -> None:
        """Keep the value, unless it alone would fill a generation."""
        size = getsizeof(key) + getsizeof(value)
        if size > self._half:
            return
        with self._lock:
            if key in self._young:
                return
            if self._bytes + size > self._half:
                self._old, self._young, self._bytes = self._young, {}, 0
            self._young[key] = value
            self._bytes += size

    def clear(self) -> None:
        """Drop everything."""
        with self._lock:
            self._old, self._young, self._bytes = {}, {}, 0
