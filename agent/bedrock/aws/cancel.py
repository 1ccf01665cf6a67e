"""Calls that can be given up: whoever waits for an answer is released at once, and the connection is discarded.

In comes work that blocks and a check that raises when nobody wants its result any more; out goes the result, or what the
check raised, as soon as the bell rings or the moment comes that the check named. The work is done by a thread of its own
meanwhile; it is used only where somebody may want to give up (a cancel token, an interrupt check, a deadline, a stream
that is opened again), so that other calls cost nothing. Who works in a thread of its own anyhow takes a `Hold` on what
that does. A call that was given up has its socket shut down, which ends the thread; what it answers in spite of that is
closed.
`notice_connections` is how the socket is found: through the classes of connections that botocore hands to urllib3, under
names that are not public. Without them the thread ends when its timeouts do, as it does while a connection is still being
made: urllib3 tells of a socket once it is connected, so that the connect timeout of each address is waited for.
"""

from __future__ import annotations

import contextlib
import contextvars
import threading
from collections.abc import Callable
from functools import cache, partial
from typing import TYPE_CHECKING, Any, Generic, TypeVar, cast

from ..errors import CallInterruptedError
from .attempt import connect_timeout
from .genuine import tuned_pool
from .pace import Bell, Check

if TYPE_CHECKING:
    from .journey import Answer, Call, Journey, Send

R = TypeVar("R")

_working = threading.local()
"""`errand`: what this thread does for somebody who may give up."""


def release_whoever_gives_up(call: Call, send: Send) -> Answer:
    """Send in a way that can be given up, where somebody may want to."""
    return released(partial(send, call), call.journey)


def released(work: Callable[[], R], journey: Journey) -> R:
    """What the work gives, done by a thread of its own where somebody may want to end the journey before."""
    if not journey.watched:
        return work()
    journey.check()
    return Errand(work, journey.bell).result(journey.check)


class Hold:
    """A hold on what a thread does on the wire, for another thread that may give it up."""

    def __init__(self) -> None:
        self.given_up = False
        self._deciding = threading.Lock()
        self._connection: Any = None
        self._socket: Any = None
        self._twin: Any = None
        """A duplicate of a socket while it shakes hands: TLS takes it out of the object that the connection shows."""
        self._use = 0

    def over(self, work: Callable[[], R]) -> Callable[[], R]:
        """The work, with its connections held while it is done."""

        def held() -> R:
            _working.errand = self
            try:
                return work()
            finally:
                _working.errand = None
                with self._deciding:
                    self._let_go()

        return held

    def give_up(self) -> None:
        """End what the thread does: the socket that it uses is shut down, and it gets no other."""
        with self._deciding:
            self.given_up = True
            self._wake()

    def notice(self, connection: Any) -> None:
        """Take note of the connection that the work is using; raises where nobody wants it any more."""
        with self._deciding:
            self._let_go()
            self._connection = connection
            self._socket = getattr(connection, "sock", None)
            self._use = connection.uses
            if self.given_up:
                raise ConnectionAbortedError("the call was given up")

    def notice_new(self, sock: Any) -> None:
        """Take note of a socket that was connected just now."""
        with self._deciding:
            self._twin = sock.dup() if hasattr(sock, "dup") else None  # what stands in for sockets in tests need not
            if self.given_up:
                self._wake()

    def _wake(self) -> None:
        _shut_down(self._twin)
        connection = self._connection
        if connection is not None and connection.uses == self._use:  # else it went through the pool to somebody else
            # http.client forgets the socket of a connection that closes after its answer; the answer still uses it.
            _shut_down(getattr(connection, "sock", None) or self._socket)

    def _let_go(self) -> None:
        if self._twin is not None:
            self._twin.close()
        self._connection = self._socket = self._twin = None


def is_given_up() -> bool | None:
    """Whether what this thread does is wanted by nobody any more; None where nobody has a hold on it."""
    hold: Hold | None = getattr(_working, "errand", None)
    return None if hold is None else hold.given_up


def stop_if_given_up() -> None:
    """Raise where nobody wants what this thread is about to do: others may have had to wait for the same before it."""
    if is_given_up():
        raise CallInterruptedError("the call was given up")


class Errand(Hold, Generic[R]):
    """Work done by a thread of its own, for somebody who may give up waiting."""

    def __init__(self, work: Callable[[], R], bell: Bell | None = None) -> None:
        super().__init__()
        self._work = work
        self._bell = bell or Bell()
        self._done = False
        self._answer: R | None = None
        self._error: BaseException | None = None

    def result(self, check: Check) -> R:
        """What the work gives or raises, or what `check` raises before that, in this thread."""
        run = contextvars.copy_context().run
        threading.Thread(target=run, args=(self._run,), name="bedrock-call", daemon=True).start()
        try:
            while not self._done:
                self._bell.wait(check())
        except BaseException:
            self.give_up()
            raise
        return self._outcome()

    def _outcome(self) -> R:
        error, self._error = self._error, None
        try:
            if error is not None:
                raise error
        finally:
            del error  # its traceback knows this frame: no cycle is to outlive the call
        return cast("R", self._answer)

    def _run(self) -> None:
        _working.errand = self
        try:
            self._answer = self._work()
        except BaseException as error:  # noqa: BLE001 - whatever it is, it is for who waits
            self._error = error
        finally:
            _working.errand = None
            del self._work
        with self._deciding:
            self._let_go()
            self._done = True
            given_up = self.given_up
        self._bell.ring()
        if given_up:
            self._discard()

    def give_up(self) -> None:
        """Want no answer any more: wake the thread, or close what it already has."""
        super().give_up()
        if self._done:
            self._discard()

    def _discard(self) -> None:
        answer, self._answer, self._error = self._answer, None, None
        close = getattr(answer.get("stream") if isinstance(answer, dict) else None, "close", None)
        if close is not None:
            with contextlib.suppress(Exception):  # given up either way; there is nobody to tell
                close()


def _shut_down(sock: Any) -> None:
    import socket

    from .body import socket_under

    under = socket_under(sock)
    if isinstance(under, socket.socket):
        with contextlib.suppress(OSError):  # the peer may have been quicker
            # Not ssl.SSLSocket.shutdown: that forgets the TLS session under its reader.
            socket.socket.shutdown(under, socket.SHUT_RDWR)


# --- finding the socket -------------------------------------------------------------------------------------------------


def notice_connections(client: Any) -> None:
    """Have the connections of a client say who uses them; with another botocore than we know nothing changes."""
    session = getattr(getattr(client, "_endpoint", None), "http_session", None)
    classes = getattr(session, "_pool_classes_by_scheme", None)
    if isinstance(classes, dict):
        for scheme, pool in list(classes.items()):
            classes[scheme] = _noticing_pool(pool)


@cache
def _noticing_pool(pool: type[Any]) -> type[Any]:
    """The pool class with connections that tell the errand of their thread that they are in use."""
    return tuned_pool(pool, _noticing_connection)


@cache
def _noticing_connection(connection: type[Any]) -> type[Any]:

    # By way of super(): what somebody has put into the place of a method may take no `self`.
    def connect(self: Any) -> None:
        usual = self.timeout
        self.timeout = connect_timeout(usual)
        _tell(self)
        super(noticing, self).connect()
        _set_timeout(self, usual)  # by now it stands, and what is sent over it may take as long as ever
        _tell(self)

    def request(self: Any, *args: Any, **kwargs: Any) -> Any:
        _tell(self)
        return super(noticing, self).request(*args, **kwargs)

    def new_conn(self: Any) -> Any:
        sock = super(noticing, self)._new_conn()  # so it is called in urllib3 1 and 2
        errand: Hold | None = getattr(_working, "errand", None)
        if errand is not None:
            errand.notice_new(sock)
        return sock

    members = {"connect": connect, "request": request, "_new_conn": new_conn, "uses": 0}
    noticing: type[Any] = type(connection.__name__, (connection,), members)
    return noticing


def _set_timeout(connection: Any, seconds: Any) -> None:
    if connection.timeout != seconds:
        connection.timeout = seconds
        if connection.sock is not None:  # recorders connect to nobody
            connection.sock.settimeout(seconds)


def _tell(connection: Any) -> None:
    connection.uses += 1
    errand: Hold | None = getattr(_working, "errand", None)
    if errand is not None:
        errand.notice(connection)
