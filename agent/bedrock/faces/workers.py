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
from queue import Empty, SimpleQueue
from typing import Any, TypeVar

R = TypeVar("R")

Work = Callable[[], None]

Inbox = SimpleQueue[Work | None]
"""Of one thread: work, or None to end."""

READ_AHEAD = 256
"""Items that a worker may be ahead of who takes them; then it stops reading."""

BREATH = 0.001
"""Seconds after which the loop looks again of its own accord, while items come fast."""

RUSH = 0.003
"""Seconds: items come fast when the loop looked so short a time ago (its timers are late by one or two)."""

IDLE_SECONDS = 1.0
"""How long a worker waits for more work before it ends."""

ROOM_POLL = 1.0
"""Seconds between two looks of a waiting worker at whether its event loop still exists."""


# --- threads ----------------------------------------------------------------------------------------------------------


class Workers:
    """Daemon threads as many as there is work at once: an idle one takes it, else a new one; idle ones end soon.

    Nothing is locked: whoever takes an inbox out of `_idle` owns its thread.
    """

    def __init__(self) -> None:
        self._start_afresh()

    def _start_afresh(self) -> None:
        self._process = os.getpid()
        self._idle: deque[Inbox] = deque()
        self._dismissals = 0
        self._loops: dict[asyncio.AbstractEventLoop, LoopSide] = {}

    def start(self, work: Work) -> None:
        """Have the work done by a thread; it must not raise. RuntimeError: the system gives no thread."""
        if self._hand_over(work):
            return
        inbox: Inbox = SimpleQueue()
        inbox.put(work)
        duty = (inbox, self._dismissals)
        threading.Thread(target=self._serve, args=duty, name="bedrock-worker", daemon=True).start()

    async def begin(self, work: Work) -> None:
        """`start`, but no more than one new thread per turn of the event loop.

        To start a thread is to wait for it, and a loop that starts hundreds at once would stand still for seconds.
        """
        if self._hand_over(work):
            return
        async with self._loop_side().turn:
            self.start(work)
            await asyncio.sleep(0)

    def relay(self) -> Relay:
        """A relay into the running event loop."""
        return Relay(self._loop_side())

    def _loop_side(self) -> LoopSide:
        loop = asyncio.get_running_loop()
        side = self._loops.get(loop)
        if side is None:
            self._loops = {known: its for known, its in self._loops.items() if not known.is_closed()}
            side = self._loops[loop] = LoopSide(loop)
        return side

    def dismiss(self) -> None:
        """Let every thread end as soon as it has nothing to do; later work gets new ones."""
        self._dismissals += 1
        with contextlib.suppress(IndexError):
            while True:
                self._idle.pop().put(None)

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

        try:
            await self.begin(work)
            return await outcome
        except BaseException:
            if not outcome.cancel() and not outcome.cancelled():
                outcome.exception()  # whether or not it was seen, nobody will ask for it any more
            raise

    def _hand_over(self, work: Work) -> bool:
        """Whether an idle thread took the work."""
        if self._process != os.getpid():
            self._start_afresh()  # a fork copies the inboxes, and no threads
        try:
            self._idle.pop().put(work)
        except IndexError:
            return False
        return True

    def _serve(self, inbox: Inbox, shift: int) -> None:
        work = inbox.get()
        while work is not None:
            work()
            del work  # what it holds must not outlive it in an idle thread
            work = self._next(inbox, shift)

    def _next(self, inbox: Inbox, shift: int) -> Work | None:
        self._idle.append(inbox)
        with contextlib.suppress(Empty):
            return inbox.get(timeout=IDLE_SECONDS if shift == self._dismissals else 0)
        try:
            self._idle.remove(inbox)
        except ValueError:
            return inbox.get()  # somebody took it out just now, and is about to put something in
        return None


# --- the crossing -----------------------------------------------------------------------------------------------------


class LoopSide:
    """An event loop as threads see it: relays ring, and it answers all that rang at once.

    To wake a loop costs as much CPU as ten events. So while they ring fast nobody wakes it: it looks every BREATH.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop
        self.turn = asyncio.Lock()
        self._rung: deque[Relay] = deque()
        self._attentive = False
        self._looked = 0.0

    def ring(self, relay: Relay) -> bool:
        """From a thread: have the relay answered soon; False where the loop is closed."""
        self._rung.append(relay)
        if self._attentive:
            return True
        self._attentive = True
        return self.call(self._answer)

    def call(self, function: Callable[[], Any]) -> bool:
        """From a thread: have the function called soon; False where the loop is closed."""
        try:
            self.loop.call_soon_threadsafe(function)
        except RuntimeError:
            return False
        return True

    def _answer(self) -> None:
        rung, now = self._rung, self.loop.time()
        # Said before looking: who rings from here on is either seen now, or sees that it has to wake the loop.
        self._attentive = bool(rung) and now - self._looked < RUSH
        self._looked = now
        if self._attentive:
            self.loop.call_later(BREATH, self._answer)
        while rung:
            rung.popleft().answer()


@dataclass(frozen=True, slots=True)
class End:
    """The last item of a relay, with the error that ended it, if one did."""

    error: BaseException | None = None


class Relay:
    """Items on their way from one worker into one event loop; `items` is taken from in the loop, from the left.

    Neither side locks: a deque is safe at both ends, and either the worker sees that the loop is `hungry`, or the loop
    sees the item that came before it said so; likewise for `full`.
    """

    def __init__(self, side: LoopSide) -> None:
        self.items: deque[Any] = deque()
        self.abandoned = False
        self._side = side
        self._hungry = False
        self._waiters: list[asyncio.Future[None]] = []
        self._finished = asyncio.Event()
        self._full = False
        self._room = threading.Event()

    # In the worker.

    def put(self, item: Any) -> bool:
        """Hand over an item, waiting while there are too many; whether more are wanted."""
        items = self.items
        items.append(item)
        if self._hungry:
            self._hungry = False
            if not self._side.ring(self):
                self.abandoned = True
        if len(items) >= READ_AHEAD:
            self._wait_for_room()
        return not self.abandoned

    def end(self, end: End) -> None:
        """Hand over the last item."""
        self.items.append(end)
        self.in_loop(self._finish)

    def _wait_for_room(self) -> None:
        self._full = True
        self._room.clear()
        while len(self.items) >= READ_AHEAD and not self.abandoned:
            if not self._room.wait(ROOM_POLL) and self._side.loop.is_closed():
                self.abandoned = True
        self._full = False

    # In the loop.

    async def wait(self, seconds: float | None = None) -> None:
        """Until there are items, or for so many seconds; it may return sooner."""
        if self._full:
            self._room.set()
        self._hungry = True
        if self.items:
            return
        waiter = self._side.loop.create_future()
        self._waiters.append(waiter)
        alarm = None if seconds is None else self._side.loop.call_later(seconds, self.answer)
        try:
            await waiter
        finally:
            self._waiters.remove(waiter)
            if alarm is not None:
                alarm.cancel()

    def answer(self) -> None:
        """Let who waits look again."""
        for waiter in self._waiters:
            if not waiter.done():
                waiter.set_result(None)

    async def finished(self) -> None:
        """Until the worker is done."""
        await self._finished.wait()

    def _finish(self) -> None:
        self._finished.set()
        self.answer()

    # Anywhere.

    def abandon(self) -> None:
        """Want no more: the worker stops at its next item, and who waits in the loop looks again."""
        self.abandoned = True
        self._room.set()
        self.in_loop(self.answer)

    def in_loop(self, function: Callable[[], Any]) -> bool:
        """Have the loop call the function soon; False where the loop is closed and calls nothing any more."""
        called = self._side.call(function)
        self.abandoned = self.abandoned or not called
        return called
