"""Worker threads for what can only block, and how what they tell crosses into an event loop.

In comes work that blocks; out come, in the event loop, its result, or its items one by one and in order. The loop never
waits for a thread, and a worker waits for the loop only where it is READ_AHEAD items ahead. Threads are not crossed per
item: whoever takes items takes all that are there, and while they come fast the loop looks for them of its own accord.
Nothing here knows what the items are.
"""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import os
import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

R = TypeVar("R")

READ_AHEAD = 256
"""Items that a worker may be ahead of who takes them; then it stops reading."""

BREATH = 0.001
"""Seconds after which the loop looks again, while items come faster than waking it is worth."""

IDLE_SECONDS = 1.0
"""How long a worker waits for more work before it ends."""

ROOM_POLL = 1.0
"""Seconds between two looks of a waiting worker at whether its event loop still exists."""


# --- threads ----------------------------------------------------------------------------------------------------------


class Workers:
    """Daemon threads as many as there is work at once: an idle one takes it, else a new one; idle ones end soon."""

    def __init__(self) -> None:
        self._start_afresh()

    def _start_afresh(self) -> None:
        self._process = os.getpid()
        self._changed = threading.Condition()
        self._waiting: deque[Callable[[], None]] = deque()
        self._idle = 0
        self._dismissals = 0

    def start(self, work: Callable[[], None]) -> None:
        """Have the work done by a thread, now; it must not raise. RuntimeError: the system gives no more threads."""
        if self._process != os.getpid():
            self._start_afresh()  # a fork copies the counts, and no threads
        with self._changed:
            if self._idle > len(self._waiting):
                self._waiting.append(work)
                self._changed.notify()
                return
            shift = self._dismissals
        threading.Thread(target=self._serve, args=(work, shift), name="bedrock-worker", daemon=True).start()

    def dismiss(self) -> None:
        """Let every thread end as soon as it has nothing to do; later work gets new ones."""
        with self._changed:
            self._dismissals += 1
            self._changed.notify_all()

    async def run(self, blocking: Callable[[], R]) -> R:
        """What the function gives or raises; a task that is cancelled does not wait for it any longer."""
        loop = asyncio.get_running_loop()
        outcome: asyncio.Future[R] = loop.create_future()
        context = contextvars.copy_context()

        def settle(setter: Callable[[Any], None], value: Any) -> None:
            if not outcome.done():
                setter(value)

        def work() -> None:
            settled: tuple[Any, ...]
            try:
                settled = (outcome.set_result, context.run(blocking))
            except BaseException as error:  # noqa: BLE001 - whatever it is, it is for who awaits
                settled = (outcome.set_exception, error)
            with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits
                loop.call_soon_threadsafe(settle, *settled)

        self.start(work)
        return await outcome

    def _serve(self, work: Callable[[], None] | None, shift: int) -> None:
        while work is not None:
            work()
            del work  # what it holds must not outlive it in an idle thread
            work = self._next(shift)

    def _next(self, shift: int) -> Callable[[], None] | None:
        with self._changed:
            if not self._waiting and shift == self._dismissals:
                self._idle += 1
                self._changed.wait(IDLE_SECONDS)
                self._idle -= 1
            return self._waiting.popleft() if self._waiting else None


# --- the crossing -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class End:
    """The last item of a relay, with the error that ended it, if one did."""

    error: BaseException | None = None


class Relay:
    """Items on their way from one worker into one event loop; `items` is taken from in the loop, from the left.

    Neither side locks: a deque is safe at both ends, and either the worker sees that the loop is `hungry`, or the loop
    sees the item that came before it said so.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.items: deque[Any] = deque()
        self.abandoned = False
        self._loop = loop
        self._hungry = False
        self._fast = False
        self._ready = asyncio.Event()
        self._finished = asyncio.Event()
        self._room = threading.Event()

    # In the worker.

    def put(self, item: Any) -> bool:
        """Hand over an item, waiting while there are too many; whether more are wanted."""
        items = self.items
        items.append(item)
        if self._hungry:
            self._wake()
        if len(items) >= READ_AHEAD:
            self._wait_for_room()
        return not self.abandoned

    def end(self, end: End) -> None:
        """Hand over the last item."""
        self.items.append(end)
        self.in_loop(self._finish)

    def _wake(self) -> None:
        self._hungry = False
        self.in_loop(self._ready.set)

    def _wait_for_room(self) -> None:
        self._room.clear()
        while len(self.items) >= READ_AHEAD and not self.abandoned:
            if not self._room.wait(ROOM_POLL) and self._loop.is_closed():
                self.abandoned = True

    # In the loop.

    async def wait(self, seconds: float | None = None) -> None:
        """Until there are items, or for so many seconds; it may return sooner."""
        self._room.set()
        if self._fast:
            await asyncio.sleep(BREATH)
            self._fast = len(self.items) > 1
        else:
            await self._be_woken(seconds)

    async def _be_woken(self, seconds: float | None) -> None:
        self._ready.clear()
        self._hungry = True
        if self.items:
            return
        since = self._loop.time()
        alarm = None if seconds is None else self._loop.call_later(seconds, self._ready.set)
        try:
            await self._ready.wait()
        finally:
            if alarm is not None:
                alarm.cancel()
        self._fast = self._loop.time() - since < BREATH

    async def finished(self) -> None:
        """Until the worker is done."""
        await self._finished.wait()

    def _finish(self) -> None:
        self._ready.set()
        self._finished.set()

    # Anywhere.

    def abandon(self) -> None:
        """Want no more: the worker stops at its next item, and who waits in the loop returns."""
        self.abandoned = True
        self._room.set()
        self.in_loop(self._ready.set)

    def in_loop(self, function: Callable[[], Any]) -> bool:
        """Have the loop call the function soon; False where the loop is closed and calls nothing any more."""
        try:
            self._loop.call_soon_threadsafe(function)
        except RuntimeError:
            self.abandoned = True  # nobody waits, and nobody will take anything
            return False
        return True
