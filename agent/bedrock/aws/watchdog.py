"""The watchdog: asks the interrupt checks of streams that are silent, in a thread of its own.

In comes a body that somebody reads from and a check of the caller's; a body whose check says yes, or raises, ends with
that under its reader. The reader meanwhile only waits for bytes. One thread asks for all streams of the process, and one
stands by for when a check does not come back; without streams that have a check there is no thread. Nothing here keeps
a stream alive.
"""

from __future__ import annotations

import contextlib
import contextvars
import os
import threading
import weakref
from collections import deque
from collections.abc import Callable
from time import monotonic
from typing import TYPE_CHECKING, Any

from ..errors import CallInterruptedError
from .pace import POLL_INTERVAL

if TYPE_CHECKING:
    from .body import Body


class Vigil:
    """A check that is asked while one body is silent, in the context in which it was given."""

    def __init__(self, body: Body, check: Callable[[], Any]) -> None:
        self._body = weakref.ref(body)
        self._ask = contextvars.copy_context().run
        self._check = check
        self._seen: float | None = None

    def look(self) -> bool:
        """Ask where the same wait goes on that was seen at the last look; whether to look again."""
        body = self._body()
        if body is None or body.over:
            return False
        since = body.waiting_since
        if since is None or since != self._seen:
            self._seen = since
            return True
        verdict = self._verdict()
        if verdict is not None:
            with contextlib.suppress(Exception):  # the stream is over either way, and other streams need this thread
                body.end_with(verdict)
        return verdict is None

    def _verdict(self) -> BaseException | None:
        """What the reader is to be told; None where it may go on waiting."""
        try:
            interrupted = self._ask(self._check)
        except BaseException as error:  # noqa: BLE001 - whatever the check raises is for the reader
            return error
        if not interrupted:
            return None
        return CallInterruptedError("the interrupt check ended the call while it waited for its stream")


class Watchdog:
    """Looks after vigils every POLL_INTERVAL. Its threads end with the last vigil."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._due: deque[tuple[float, weakref.ref[Vigil]]] = deque()
        """When to look after which; in order, since all wait equally long."""
        self._asking = 0
        self._resting = 0

    def keep(self, vigil: Vigil) -> None:
        """Look after it until it says that it is over, or is dropped."""
        with self._changed:
            self._due.append((monotonic() + POLL_INTERVAL, weakref.ref(vigil)))
            if not self._resting:
                self._start()

    def _start(self) -> None:
        threading.Thread(target=self._run, name="bedrock-watchdog", daemon=True).start()
        self._resting += 1

    def _run(self) -> None:
        while (due := self._next()) is not None:
            vigil = due()
            goes_on = vigil is not None and vigil.look()
            del vigil
            with self._changed:
                self._asking -= 1
                self._resting += 1
                if goes_on:
                    self._due.append((monotonic() + POLL_INTERVAL, due))

    def _next(self) -> weakref.ref[Vigil] | None:
        """What to look after now; None where this thread is not needed any more."""
        with self._changed:
            while self._resting <= 2 and (self._due or self._asking):
                wait = self._due[0][0] - monotonic() if self._due else POLL_INTERVAL
                if wait > 0:
                    self._changed.wait(wait)
                    continue
                self._resting -= 1
                self._asking += 1
                if not self._resting:
                    with contextlib.suppress(RuntimeError):  # where no thread is to be had, one has to do
                        self._start()  # somebody has to go on should this check not come back
                return self._due.popleft()[1]
            self._resting -= 1
            return None


class _Process:
    """The watchdog of the process."""

    watchdog = Watchdog()


def _start_afresh() -> None:
    """In a forked child: neither the threads nor the streams are its own."""
    _Process.watchdog = Watchdog()


if hasattr(os, "register_at_fork"):  # not on Windows, which cannot fork
    os.register_at_fork(after_in_child=_start_afresh)


def watched(body: Body, check: Callable[[], Any]) -> Vigil:
    """Have the check asked while the body is silent, for as long as the vigil is held."""
    vigil = Vigil(body, check)
    _Process.watchdog.keep(vigil)
    return vigil
