"""The cache that keeps one client per region, for as long as it is built from what holds now.

It is a dict, so that whoever looks in or writes a client of their own into it (tests do) is honoured; what the cache
built itself it builds anew once its fingerprint changed. This module is on the path of importing the drop-in: it loads
next to nothing.
"""

from __future__ import annotations

import os
import threading
import weakref

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Hashable
    from typing import Any

    Base = dict[Any, Any]
else:
    Base = dict


class ClientCache(Base):
    """Clients by key (the region, for one identity); safe for threads, and empty again in a forked child.

    A client that somebody else wrote into the dict stays until it is taken out. With a `limit`, the oldest of those
    built here make room for new ones.
    """

    def __init__(self, limit: int | None = None) -> None:
        super().__init__()
        self._limit = limit
        self._start_afresh()
        _forget_after_fork(self)

    def _start_afresh(self) -> None:
        super().clear()
        # Key -> (client, fingerprint) of what was built here.
        self._built: dict[Hashable, tuple[Any, Hashable]] = {}
        self._lock = threading.Lock()
        self._building: dict[Hashable, threading.Lock] = {}

    def get_or_build(self, key: Hashable, fingerprint: Hashable, build: Callable[[], Any]) -> Any:
        """The client of `key`, built by `build()` where there is none, or none with that fingerprint.

        Threads that ask for the same key at once wait for one build; other keys are built meanwhile.
        """
        found = self.valid(key, fingerprint)
        if found is not None:
            return found
        with self._lock:
            only_builder = self._building.setdefault(key, threading.Lock())
        try:
            with only_builder:
                found = self.valid(key, fingerprint)
                return self._build(key, fingerprint, build) if found is None else found
        finally:
            with self._lock:
                self._building.pop(key, None)  # so that locks do not gather

    def valid(self, key: Hashable, fingerprint: Hashable) -> Any:
        """What stands at `key`, unless it was built here with another fingerprint; None where there is nothing."""
        client = self.get(key)
        built = self._built.get(key)
        if client is None or built is None or built[0] is not client:
            return client
        return client if built[1] == fingerprint else None

    def evict(self, key: Hashable) -> bool:
        """Take a client out, so that the next call gets a new one; whoever still uses the old one can go on."""
        with self._lock:
            return self._take_out(key)

    def clear(self) -> None:
        """Take every client out."""
        with self._lock:
            self._built.clear()
            super().clear()

    def close(self) -> None:
        """Take every client out, and close those that were built here; whoever reads from one reads on."""
        built = list(self._built.values())
        self.clear()
        for client, _ in built:
            client.close()

    def _build(self, key: Hashable, fingerprint: Hashable, build: Callable[[], Any]) -> Any:
        client = build()
        with self._lock:
            self._take_out(key)
            # In this order: a thread that looks in between sees the new client, never the old one as somebody else's.
            self[key] = client
            self._built[key] = (client, fingerprint)
            while self._limit is not None and len(self._built) > self._limit:
                self._take_out(next(iter(self._built)))
        return client

    def _take_out(self, key: Hashable) -> bool:
        found = super().pop(key, None) is not None
        self._built.pop(key, None)
        return found


def _forget_after_fork(cache: ClientCache) -> None:
    """Empty `cache` in every child process: sockets, and locks that another thread held, are the parent's."""
    register = getattr(os, "register_at_fork", None)  # not on Windows, which cannot fork
    if register is not None:
        alive = weakref.ref(cache)

        def start_afresh() -> None:
            if (forked := alive()) is not None:
                forked._start_afresh()  # noqa: SLF001 - the cache's own, told by the operating system

        register(after_in_child=start_afresh)
