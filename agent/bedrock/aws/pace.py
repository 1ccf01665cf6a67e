"""The clock of retries: how waiting is done, and the one switch by which tests do not wait.

    with no_waiting() as waits:
        client.converse(...)        # every wait is over at once, counts as passed, and stands in `waits`

Nothing here knows what is waited for.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from queue import Empty, SimpleQueue
from time import monotonic

POLL_INTERVAL = 0.02
"""Seconds between two looks at what can only be asked, and does not ring: a caller's check or cancel token."""

LONGEST_SLEEP = 1.0
"""Seconds; on Windows nothing interrupts a thread that waits, Ctrl-C neither."""


class Bell:
    """What wakes one thread that waits, from any thread, signal handler or finalizer."""

    def __init__(self) -> None:
        self._rings: SimpleQueue[None] = SimpleQueue()

    def ring(self) -> None:
        """Wake whoever waits, or will wait next."""
        self._rings.put(None)

    def wait(self, seconds: float | None) -> None:
        """Wait until it rings, at most so many seconds; it may be over earlier for no reason."""
        with suppress(Empty):
            self._rings.get(timeout=LONGEST_SLEEP if seconds is None else min(seconds, LONGEST_SLEEP))


Check = Callable[[], float | None]
"""Raises where a wait is to end, or says in how many seconds to ask again; None: not before the bell rings."""


class Pace:
    """Real time."""

    def now(self) -> float:
        """Seconds of a clock that only goes forward."""
        return monotonic()

    def jitter(self, most: float) -> float:
        """A random number of seconds, at least 0."""
        return random.uniform(0, most)  # noqa: S311 - that clients do not come back all at once is no secret

    def wait(self, seconds: float, check: Check, bell: Bell) -> None:
        """Wait, as far as `check` lets one."""
        until = monotonic() + seconds
        while (left := until - monotonic()) > 0:
            again = check()
            bell.wait(left if again is None else min(left, again))
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

    def wait(self, seconds: float, check: Check, bell: Bell) -> None:
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
