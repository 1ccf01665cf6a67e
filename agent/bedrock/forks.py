"""What a forked child does not take over from its parent: a lock that another thread held would stay locked for ever.

In comes whatever owns such a lock; in a child it is told to `unlock()` before anything else happens. Nothing is kept alive.
"""

from __future__ import annotations

import os
from typing import Protocol
from weakref import WeakSet


class Locking(Protocol):
    """Something with locks of its own."""

    def unlock(self) -> None:
        """Start with locks that nobody holds."""


_owners: WeakSet[Locking] = WeakSet()


def unlocked_after_fork(owner: Locking) -> None:
    """Have `owner` start with fresh locks in every forked child."""
    _owners.add(owner)


def _unlock() -> None:
    for owner in list(_owners):
        owner.unlock()


if hasattr(os, "register_at_fork"):  # not on Windows, which cannot fork
    os.register_at_fork(after_in_child=_unlock)
