"""One TCP connection of the stand-in: requests are read from it, answers written to it, byte for byte as planned.

Everything here runs on the server's event loop. Only a connection knows how to end badly: by RST, by FIN without a
word, or by never answering again.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
import socket
import struct
import sys
import threading
from typing import TYPE_CHECKING, Any, Protocol, cast

from .wire import FOREVER, Afterwards, Answer, End, Framing, HttpRequest, Pause, RequestReader, steps

if TYPE_CHECKING:
    from collections.abc import Coroutine

    from .recorded import RecordedRequest

LINGER_ZERO = struct.pack("hh" if sys.platform == "win32" else "ii", 1, 0)
"""SO_LINGER on, no seconds: closing sends RST."""

DELIVERY_POLL = 0.001
"""Seconds between two looks at whether the peer has received what was written."""

DELIVERY_LIMIT = 1.0
"""Seconds after which an RST no longer waits for what was written before it."""

EVENT_POLL = 0.001
"""Seconds between two looks at an event that a test will set."""

CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"


class Desk(Protocol):
    """What a connection needs of the server."""

    def opened(self, connection: Connection) -> int:
        """Count a connection; its serial number."""

    def closed(self, connection: Connection) -> None:
        """Forget a connection."""

    def answer(self, http: HttpRequest, connection: Connection) -> tuple[RecordedRequest, Answer]:
        """Record a request and find its answer."""

    def served(self, request: RecordedRequest) -> None:
        """Take note that a request is over."""

    def spawn(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Run a task that the server's end will cancel."""


class Connection(asyncio.Protocol):
    """A client's connection, serving one request after the other."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._reader = RequestReader()
        self._serving: asyncio.Task[None] | None = None
        self._writable = asyncio.Event()
        self._writable.set()
        self._afterwards = Afterwards.KEEP
        self.gone = asyncio.Event()
        self.number = 0
        self.transport: asyncio.Transport = cast("asyncio.Transport", None)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take a number."""
        self.transport = cast("asyncio.Transport", transport)
        self.number = self._desk.opened(self)

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop serving: nobody is there."""
        self._writable.set()
        if self._serving is not None:
            self._serving.cancel()
        asyncio.get_running_loop().call_soon(self._leave)

    def _leave(self) -> None:
        """Sign off, a turn of the loop later: asyncio closes the socket after it has said that it is lost."""
        self._desk.closed(self)
        self.gone.set()

    def pause_writing(self) -> None:
        """The peer reads too slowly."""
        self._writable.clear()

    def resume_writing(self) -> None:
        """The peer has caught up."""
        self._writable.set()

    def data_received(self, data: bytes) -> None:
        """Read on; serve when a request is whole."""
        if self._afterwards is Afterwards.RESET_NEXT:
            self.reset()
            return
        self._reader.feed(data)
        self._serve_next()

    def _serve_next(self) -> None:
        if self._serving is not None or self.transport.is_closing():
            return
        try:
            request = self._reader.next_request()
        except ValueError:
            self.transport.write(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
            self.transport.close()
            return
        if self._reader.wants_continue:
            self._reader.wants_continue = False
            self.transport.write(CONTINUE)
        if request is not None:
            self._serving = self._desk.spawn(self._serve(request))

    async def _serve(self, http: HttpRequest) -> None:
        request, answer = self._desk.answer(http, self)
        try:
            await self._write(answer)
            request.complete = answer.end is End.PROPER and answer.head_cut is None
            await self._finish(answer, request)
        finally:
            request.abandoned = not request.complete and answer.end is End.PROPER
            self._serving = None
            self._desk.served(request)
        self._serve_next()

    async def _write(self, answer: Answer) -> None:
        for pause, data in steps(answer):
            if pause:
                await _pass(pause)
            await self._writable.wait()
            if data:
                self.transport.write(data)

    async def _finish(self, answer: Answer, request: RecordedRequest) -> None:
        """End the connection as the answer says, or keep it for the next request."""
        if answer.end is not End.PROPER:
            await self._end(answer.end)
        elif answer.framing is Framing.EOF or _wants_close(request):
            self.transport.close()
        else:
            await self._go_stale(answer.afterwards)

    async def _go_stale(self, how: Afterwards) -> None:
        self._afterwards = how
        if how is Afterwards.FIN:
            await self._end(End.FIN)
        elif how is Afterwards.RESET:
            await self._end(End.RESET)
        elif how is Afterwards.BLACK_HOLE:
            self.transport.pause_reading()
            await _pass(FOREVER)

    async def _end(self, end: End) -> None:
        await self._delivered()
        if end is End.RESET:
            self.reset()
        elif end is End.CLOSE_NOTIFY:
            self.transport.close()
        else:
            self._fin()

    def _fin(self) -> None:
        """FIN without a goodbye of TLS: `close` would send close_notify first."""
        if self.transport.get_extra_info("sslcontext") is None:
            self.transport.close()
            return
        with contextlib.suppress(OSError):  # the peer may have gone first
            self._socket().shutdown(socket.SHUT_WR)
        self.transport.abort()

    def reset(self) -> None:
        """RST, now."""
        with contextlib.suppress(OSError):  # the peer may have gone first
            self._socket().setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, LINGER_ZERO)
        self.transport.abort()

    async def _delivered(self) -> None:
        """Wait until the peer has what was written, so that an RST does not destroy it on the way."""
        left = DELIVERY_LIMIT
        while left > 0 and (self.transport.get_write_buffer_size() or _unacknowledged(self._socket())):
            await asyncio.sleep(DELIVERY_POLL)
            left -= DELIVERY_POLL

    def _socket(self) -> Any:
        return self.transport.get_extra_info("socket")


async def _pass(pause: Pause) -> None:
    """Let a pause pass; one without end passes with the connection only."""
    if isinstance(pause, threading.Event):
        while not pause.is_set():  # noqa: ASYNC110 - it is set by another thread, which knows no event loop
            await asyncio.sleep(EVENT_POLL)
    elif math.isinf(pause):
        await asyncio.get_running_loop().create_future()
    else:
        await asyncio.sleep(pause)


def _wants_close(request: RecordedRequest) -> bool:
    return request.headers.get("connection", "").lower() == "close"


def _unacknowledged(sock: Any) -> int:
    """Bytes in the socket's send queue that the peer has not acknowledged (Linux; elsewhere taken as none)."""
    if sys.platform != "linux":
        return 0
    import fcntl
    import termios

    try:
        return int.from_bytes(fcntl.ioctl(sock.fileno(), termios.TIOCOUTQ, b"\0\0\0\0"), sys.byteorder)
    except OSError:
        return 0
