"""Memories of the process: what is remembered of models and regions, for how long, and how much at most.

Safe for threads. What is kept are names, never content.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Hashable
from typing import Any
from weakref import WeakSet

from ..forks import unlocked_after_fork
from .pace import current_pace

_ALL: WeakSet[Memory] = WeakSet()


def forget_everything() -> None:
    """Empty all memories of the process, as tests do between each other."""
    for memory in list(_ALL):
        memory.clear()


class Memory:
    """Keys and values that are forgotten after some time, and when there are too many: the oldest first."""

    def __init__(self, *, limit: int) -> None:
        self._limit = limit
        self._kept: OrderedDict[Hashable, tuple[Any, float]] = OrderedDict()
        self._lock = threading.Lock()
        _ALL.add(self)
        unlocked_after_fork(self)

    def keep(self, key: Hashable, value: Any = True, *, seconds: float = float("inf")) -> None:
        """Remember it for so many seconds."""
        with self._lock:
            self._kept.pop(key, None)
            self._kept[key] = (value, current_pace().now() + seconds)
            while len(self._kept) > self._limit:
                self._kept.popitem(last=False)

    def get(self, key: Hashable) -> Any:
        """What is remembered, None where nothing is."""
        kept = self._kept.get(key)
        return kept[0] if kept is not None and current_pace().now() < kept[1] else None

    def __len__(self) -> int:
        return len(self._kept)

    def unlock(self) -> None:
        """Start with a lock that nobody holds."""
        self._lock = threading.Lock()

    def clear(self) -> None:
        """Forget everything."""
        with self._lock:
            self._kept.clear()
