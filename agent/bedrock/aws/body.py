"""The body of a streamed HTTP response, as its bytes arrive: a urllib3 response comes in, bytes of its body go out.

urllib3 hands out a chunk when all of it is there, and 64 KiB or the end where a proxy took the chunks away. A
`SocketBody` asks the socket itself, so that every byte is passed on at once and the socket's timeout can do the waiting,
plain and TLS alike; an interrupt check is asked by the `watchdog`, which ends the wait as any other thread may. Where the
response is not what urllib3 makes over http.client (a stub, pyOpenSSL's sockets), a `PlainBody` asks urllib3; what it
promises less stands there.

Errors are those that urllib3 raises (ProtocolError, ReadTimeoutError, SSLError), and of our own IdleTimeoutError,
DeadlineExceededError and CallInterruptedError. A body that ran to its end gives its connection back to the pool; any
other end closes it. What the bytes mean is not known here.
"""

from __future__ import annotations

import contextlib
import io
import os
import struct
import sys
import threading
from collections.abc import Callable, Iterator
from time import monotonic
from typing import TYPE_CHECKING, Any

from ..errors import BedrockError, CallInterruptedError, DeadlineExceededError, IdleTimeoutError
from ..values import frozen
from .framing import NoChunkError, framing_of
from .watchdog import watched

if TYPE_CHECKING:
    import socket
    from http.client import HTTPResponse

    from .watchdog import Vigil

RECEIVE_SIZE = 16384
"""Bytes asked for at once; whatever is there is taken. A TLS record holds no more, and what is decoded from them waits
in memory: some 80 events. It has to exceed http.client's buffer of 8 KiB, so that one reading empties that."""

SHORTEST_WAIT = 0.001
"""Seconds; a socket's timeout of 0 would mean not to wait at all."""


# --- patience ---------------------------------------------------------------------------------------------------------


@frozen
class Patience:
    """How long a caller waits: seconds of silence between events (0: for ever), and a moment of `time.monotonic()`."""

    idle_timeout: float = 0
    deadline: float | None = None

    @property
    def constant(self) -> bool:
        """Whether every wait may last equally long."""
        return self.deadline is None

    def wait(self, now: float, idle_since: float | None) -> float | None:
        """Seconds for which to wait next, None for ever; raises where patience is over."""
        waits = []
        for limit, error in self._limits(idle_since):
            if limit <= now:
                raise error
            waits.append(limit - now)
        return max(min(waits), SHORTEST_WAIT) if waits else None

    def _limits(self, idle_since: float | None) -> Iterator[tuple[float, BedrockError]]:
        if self.deadline is not None:
            yield self.deadline, DeadlineExceededError("the deadline of the call passed before its stream ended")
        if self.idle_timeout and idle_since is not None:
            silence = f"no event arrived for {self.idle_timeout:g} seconds (BEDROCK_IDLE_TIMEOUT)"
            yield idle_since + self.idle_timeout, IdleTimeoutError(silence)


NO_HURRY = Patience()


# --- bodies -----------------------------------------------------------------------------------------------------------


class Body:
    """What all bodies share: one thread reads, any thread may close, and the end is decided once.

    Closing wakes a blocked read, whose thread then closes the connection: closing a socket under its reader would not
    wake it, and the socket's number might meanwhile come to belong to another connection. In a forked child nothing is
    shut down: the connection is the parent's, who may be reading it.
    """

    def __init__(self, raw: Any) -> None:
        self.closed = False
        self._process = os.getpid()
        self._raw = raw
        self._patience = NO_HURRY
        self.begun = False
        """Whether there was an event."""
        self._steady = False
        """Whether nothing has to be prepared for a wait that begins now."""
        self._over = False
        self.waiting_since: float | None = None
        """When the present wait for an event began; None while nobody reads."""
        self._verdict: BaseException | None = None
        self._vigil: Vigil | None = None
        self._ending = threading.RLock()

    @property
    def over(self) -> bool:
        """Whether there is nothing more to wait for."""
        return self._over or self.closed

    def ask_while_silent(self, check: Callable[[], Any]) -> None:
        """Have the watchdog ask this check, instead of the one before."""
        self._vigil = watched(self, check)

    def watch(self, patience: Patience) -> None:
        """Wait with that patience from the next wait on."""
        self._patience = patience
        self._steady = False

    def begin(self) -> None:
        """Take note of the first event: from now on silence counts."""
        self.begun = True
        self._steady = False

    def receive(self, since: float) -> bytes:
        """Body bytes as soon as there are some, b"" at the end; `since` is when the wait for an event began."""
        if self.waiting_since is not None:
            raise RuntimeError("another thread is reading this stream")
        self.waiting_since = since
        data = b""
        try:
            if not (self._over or self.closed):
                data = self._next_bytes(since)
        except BaseException as error:
            woken = self.closed and isinstance(error, Exception)
            self.waiting_since = None
            self.close()
            if not woken:
                raise
        self.waiting_since = None
        if self.closed:
            self.close()
            raise self._reason()
        return data

    def end_with(self, reason: BaseException) -> None:
        """End it from another thread, and have its reader raise this."""
        with self._ending:
            if not self.over:
                self._verdict = reason
                self.close()

    def _reason(self) -> BaseException:
        reason, self._verdict = self._verdict, None
        return reason or CallInterruptedError("the stream was closed before its end")

    def close(self) -> None:
        """End it, from whichever thread: a blocked reader is woken, the connection closed."""
        if self._process != os.getpid():
            self.closed = True  # no lock: its holder, and the reader, may be threads that only the parent has
            return
        with self._ending:
            if self._over:
                return
            self.closed = True
            if self.waiting_since is not None:
                self._wake()
            else:
                self._over = True
                self._let_go()

    def _let_go(self) -> None:
        """Close the connection, which nobody reads from any more."""
        self._raw.close()

    def _next_bytes(self, since: float) -> bytes:
        """Wait for bytes; b"" at the end, which has been seen to."""
        raise RuntimeError("a body knows how to read")

    def _wake(self) -> None:
        """Wake the thread that waits for bytes."""


class PlainBody(Body):
    """A body read through urllib3's public methods.

    Between two reads it keeps to its patience; during one, only the read timeout of urllib3 holds.
    """

    def __init__(self, raw: Any) -> None:
        super().__init__(raw)
        self._portions = _portions(raw)

    def _next_bytes(self, since: float) -> bytes:
        data = next(self._portions, b"")
        self._patience.wait(monotonic(), since if self.begun else None)
        self._over = not data
        return data

    def _wake(self) -> None:
        shutdown = getattr(self._raw, "shutdown", None) or self._raw.close
        with contextlib.suppress(OSError, ValueError, RuntimeError):  # there is no connection any more to wake
            shutdown()


def _portions(raw: Any) -> Iterator[bytes]:
    if hasattr(raw, "read1") and not getattr(raw, "chunked", True):
        return iter(lambda: raw.read1(RECEIVE_SIZE) or b"", b"")
    portions: Iterator[bytes] = raw.stream()
    return portions


def kernel_can_keep_time(sock: Any) -> bool:
    """Whether the kernel can end this thread's waits on the socket: a plain one of the standard library, on Linux.

    One that Python gave a timeout is asked with poll before each recv, the GIL being given away and fetched twice: with
    50 threads that was a tenth of a stream's CPU (measured 2026-11-20). Not so in the main thread, where signals begin a
    recv again, with all of its time; nor over TLS, whose reading only Python's own timeout ends; nor gevent's sockets.
    """
    is_plain = sys.platform == "linux" and type(sock).__module__ == "socket" and _TIMEVAL.size == 16
    return is_plain and threading.current_thread() is not threading.main_thread()


_TIMEVAL = struct.Struct("@ll")
"""Seconds and microseconds as the kernel takes them: where words have 64 bits there is no doubt about it."""


def _limit_in_kernel(sock: socket.socket, seconds: float | None) -> None:
    """Have a blocking recv end after so many seconds, with BlockingIOError; None: never."""
    import socket

    microseconds = 0 if seconds is None else max(int(seconds * 1_000_000), 1)  # 0 would mean to wait for ever
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, _TIMEVAL.pack(*divmod(microseconds, 1_000_000)))


class SocketBody(Body):
    """A body read from the socket under a urllib3 response."""

    def __init__(self, raw: Any, response: HTTPResponse, buffered: io.BufferedReader, sock: socket.socket) -> None:
        super().__init__(raw)
        self._response = response
        self._buffered: io.BufferedReader | None = buffered
        self._socket = sock
        self._framing = framing_of(raw)
        self._buffer: memoryview | None = None
        """Stays for as long as the socket is read from: buffers that come and go with every event, in many threads, leave
        the process fragmented (14 MB after a few hundred streams in 50 threads, glibc 2.36)."""
        self._receive_into = sock.recv_into
        self._kernel_keeps_time = False
        self._read_timeout = self._armed = sock.gettimeout()
        self._since = 0.0

    def _next_bytes(self, since: float) -> bytes:
        data = b""
        while not (data or self._framing.ended):
            arrived = self._arrived(since)
            if not arrived:
                return self._end_of_input()
            try:
                data = self._framing.feed(arrived)
            except NoChunkError as error:
                raise self._no_chunk(error.line) from None
        if self._framing.ended:
            self._finish()
        return data

    def _arrived(self, since: float) -> bytes:
        """What the socket gives, b"" where the peer has closed."""
        fresh, self._since = since != self._since, since
        started = since if fresh else monotonic()
        if not (fresh and self._steady):
            self._arm(started, fresh=fresh)
        while True:
            buffer = self._buffer
            try:
                return self._first() if buffer is None else bytes(buffer[: self._receive_into(buffer)])
            except BlockingIOError:  # how the kernel says that the wait is over
                self._arm(started, fresh=False)
            except TimeoutError as error:
                if error.errno is not None:  # the network's word, not the end of our wait
                    raise self._read_timed_out() from error
                self._arm(started, fresh=False)
            except OSError as error:
                raise _as_urllib3(error) from error

    def _first(self) -> bytes:
        """What was read together with the headers, or else whatever comes first; the buffer is empty after it.

        A timeout here spoils the buffer's file, which nobody asks any more: from then on the socket itself is read.
        """
        buffered, self._buffered = self._buffered, None
        if buffered is not None:
            return buffered.read1(RECEIVE_SIZE)
        if kernel_can_keep_time(self._socket):
            self._socket.settimeout(None)
            self._kernel_keeps_time = True
            self._limit(self._armed)
        self._buffer = buffer = memoryview(bytearray(RECEIVE_SIZE))
        return bytes(buffer[: self._receive_into(buffer)])

    def _limit(self, seconds: float | None) -> None:
        """Have a wait end after so many seconds; None: never."""
        if self._kernel_keeps_time:
            _limit_in_kernel(self._socket, seconds)
        else:
            self._socket.settimeout(seconds)
        self._armed = seconds

    def _arm(self, started: float, *, fresh: bool) -> None:
        """Give the socket the timeout after which patience has to be asked again; raises where it is over."""
        now = started if fresh else monotonic()
        wait = self._patience.wait(now, self._since if self.begun else None)
        if self._read_timeout is not None:
            left = started + self._read_timeout - now
            if left <= 0:
                raise self._read_timed_out()
            wait = left if wait is None else min(left, wait)
        if wait != self._armed:
            self._limit(wait)
        self._steady = fresh and self._patience.constant

    def _end_of_input(self) -> bytes:
        wrong = self._framing.end_of_input()
        if wrong is not None and not self.closed:
            from urllib3.exceptions import ProtocolError

            raise ProtocolError(wrong)
        self._finish()
        return b""

    def _finish(self) -> None:
        """Give the connection back to the pool as it was, if nothing is left on it; the end is no longer a closing."""
        with self._ending:
            if self.closed:
                return
            self._over = True
            if not self._framing.ended or self._framing.surplus:
                self._let_go()
                return
            self._restore_socket()
            self._response.close()
            self._raw.release_conn()

    def _restore_socket(self) -> None:
        """Leave the socket as urllib3 knows it."""
        if self._kernel_keeps_time:
            self._limit(None)
            self._kernel_keeps_time = False
        if self._armed != self._read_timeout:
            self._limit(self._read_timeout)

    def _wake(self) -> None:
        import socket

        with contextlib.suppress(OSError):  # the peer may have been quicker
            # Not ssl.SSLSocket.shutdown: that forgets the TLS session under its reader, who would then read ciphertext.
            socket.socket.shutdown(socket_under(self._socket), socket.SHUT_RDWR)

    def _read_timed_out(self) -> Exception:
        from urllib3.exceptions import ReadTimeoutError

        # As urllib3 raises it: the pool stands in the text.
        return ReadTimeoutError(getattr(self._raw, "_pool", None), None, "Read timed out.")  # type: ignore[arg-type]

    def _no_chunk(self, line: bytes) -> Exception:
        from urllib3.exceptions import InvalidChunkLength, ProtocolError

        error = InvalidChunkLength(self._raw, line)
        return ProtocolError(f"Connection broken: {error!r}", error)


def _as_urllib3(error: OSError) -> Exception:
    """The exception that urllib3 makes of it."""
    import ssl

    from urllib3.exceptions import ProtocolError, SSLError

    if isinstance(error, ssl.SSLError):
        return SSLError(error)
    return ProtocolError(f"Connection broken: {error!r}", error)


def socket_under(sock: Any) -> Any:
    """The socket itself: through a proxy that is reached over TLS, urllib3 has TLS within TLS, which is no socket."""
    return getattr(sock, "socket", sock)


def open_body(raw: Any) -> Body:
    """The body of a response of urllib3 whose headers have been read, and nothing more."""
    import socket
    from http.client import HTTPResponse

    # urllib3 has no public way to what its response reads from; botocore goes the same one (compat.set_socket_timeout).
    response: Any = getattr(raw, "_fp", None)
    buffered = getattr(response, "fp", None)
    sock: Any = getattr(getattr(buffered, "raw", None), "_sock", None)
    is_socket = isinstance(response, HTTPResponse) and isinstance(socket_under(sock), socket.socket)
    if is_socket and isinstance(buffered, io.BufferedReader) and hasattr(raw, "length_remaining"):
        return SocketBody(raw, response, buffered, sock)
    return PlainBody(raw)
