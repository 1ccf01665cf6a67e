"""The clock of retries: how waiting is done, and the one switch by which tests do not wait.

    with no_waiting() as waits:
        client.converse(...)        # every wait is over at once, counts as passed, and stands in `waits`

Nothing here knows what is waited for.
"""

from __future__ import annotations

import random
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from time import monotonic

POLL_INTERVAL = 0.05
"""Seconds between two looks at whether a wait is to end before its time."""


class Pace:
    """Real time."""

    def now(self) -> float:
        """Seconds of a clock that only goes forward."""
        return monotonic()

    def jitter(self, most: float) -> float:
        """A random number of seconds, at least 0."""
        return random.uniform(0, most)  # noqa: S311 - that clients do not come back all at once is no secret

    def wait(self, seconds: float, check: Callable[[], None], woken: threading.Event) -> None:
        """Wait; `check` may raise at any time, and is asked at once when `woken` is set."""
        until = monotonic() + seconds
        while (left := until - monotonic()) > 0:
            check()
            woken.wait(min(left, POLL_INTERVAL))
        check()


class NoWaiting(Pace):
    """Time that passes when somebody waits; the longest waits that the jitter allows."""

    def __init__(self) -> None:
        self.waits: list[float] = []

    def now(self) -> float:
        """Real time, and what would have been waited."""
        return monotonic() + sum(self.waits)

    def jitter(self, most: float) -> float:
        """The most."""
        return most

    def wait(self, seconds: float, check: Callable[[], None], woken: threading.Event) -> None:
        """Note how long it would have taken."""
        self.waits.append(seconds)
        check()


class _Current:
    """The pace of the process."""

    pace: Pace = Pace()


def current_pace() -> Pace:
    """The pace that holds now."""
    return _Current.pace


@contextmanager
def no_waiting() -> Iterator[list[float]]:
    """Skip every wait of this process meanwhile; the seconds that each would have taken at most."""
    before, skipping = _Current.pace, NoWaiting()
    _Current.pace = skipping
    try:
        yield skipping.waits
    finally:
        _Current.pace = before
