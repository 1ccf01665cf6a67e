"""Fewer wake-ups where one process reads a crowd of brisk streams: a delta waits for the next two, briefly.

Each arrival wakes a thread, which has to get the interpreter's lock: with 50 streams of 500 deltas a second that costs
more than all that is done with the delta, and the threads stand in line for it. What network cards do about interrupts
helps here too (interrupt moderation): from `CROWD` streams on, and where the next delta is due within `BRISK`, the kernel
is asked to wake the reader for three at once (SO_RCVLOWAT), or when `WINDOW` has passed: less CPU, and the latest deltas
come sooner, while the middle one comes later than if it were not waited with (`scripts/bench crowd-50 crowd-lag`). Over
TLS each delta is a record that is read by itself, so that less is saved. A stream that is not one of a crowd, or not
brisk, is never waited with.

In comes a socket and what its reads brought; the waiting itself is the body's. Nothing is known here of what bytes mean.
"""

from __future__ import annotations

import contextlib
import os
import sys
import weakref
from typing import Any

CROWD = 32
"""Streams read at once from which on their wake-ups are worth saving."""

BRISK = 0.004
"""Seconds between two deltas below which the next ones are worth waiting for."""

WINDOW = 0.008
"""Seconds that a delta waits at most. A frame of a screen takes 16."""

SMALL = 1024
"""Bytes of a delta below which waking up for it costs more than the delta."""

TWO_AT_LEAST, THREE_AT_LEAST = 1.5, 2.5
"""Times the size of a single delta that only two can have, or only three."""

_RECORD_OVERHEAD = 32
"""Bytes that TLS adds to a delta, at least."""

_DOUBT = 2 * BRISK
_GREATEST_DOUBT = 250 * BRISK


READERS: set[weakref.ref[Moderation]] = set()
"""One of each stream that this process reads; any thread may add its own and take it out, a finalizer too."""

if hasattr(os, "register_at_fork"):  # not on Windows, which cannot fork
    os.register_at_fork(after_in_child=READERS.clear)  # a child reads none of its parent's streams


class Moderation:
    """Of one socket, while a body reads from it; belongs to its reader."""

    def __init__(self, sock: Any) -> None:
        self.gathering = False
        """Whether the socket now tells only of three deltas."""
        self._socket = sock
        self._gap = self._doubt = _DOUBT
        """Seconds between two reads, in the mean of late; and what that starts from after the next time of gathering: more
        where it was soon in vain, as in a stream that comes in bursts, less the more it was worth."""
        self._single = 0.0
        """Bytes of a single delta: the least that a read brought of late."""
        self._takes_all = type(sock).__module__ == "socket"
        """Whether a read takes all that there is: over TLS it takes one record, which has one delta."""
        self._token = weakref.ref(self, READERS.discard)  # who is dropped without a word leaves, too
        READERS.add(self._token)

    def review(self, gap: float, size: int) -> bool:
        """Begin or end to gather after what the last read brought, and how long it took; whether that changed.

        A wait in vain that the socket's own timeout ends is the body's to notice; the kernel hands out what there is.
        """
        if self.gathering:
            in_vain = self._takes_all and size < self._size_of(TWO_AT_LEAST)
            if in_vain or len(READERS) < CROWD:
                self.end()
                return True
            self._doubt = max(self._doubt * 0.9, _DOUBT)
            return False
        self._gap += (gap - self._gap) / 8
        self._single = min(size, self._single * 1.1) if self._single else size
        if self._gap >= BRISK or self._single >= SMALL or len(READERS) < CROWD:
            return False
        self._gap, self._doubt = self._doubt, min(self._doubt * 2, _GREATEST_DOUBT)
        with contextlib.suppress(OSError):  # a kernel that does not know how tells of every byte, as before
            self._tell_from(self._size_of(THREE_AT_LEAST))
            self.gathering = True
        return self.gathering

    def end(self) -> None:
        """Have the socket tell of every byte again."""
        if self.gathering:
            self.gathering = False
            self._tell_from(1)

    def leave(self) -> None:
        """The stream is over."""
        READERS.discard(self._token)

    def _size_of(self, deltas: float) -> int:
        return int(self._single * deltas) + _RECORD_OVERHEAD

    def _tell_from(self, size: int) -> None:
        import socket

        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVLOWAT, size)


def can_be_moderated(sock: Any) -> bool:
    """Whether the kernel gathers for this socket: one of the standard library, plain or TLS, on Linux."""
    return sys.platform == "linux" and type(sock).__module__ in ("socket", "ssl")
