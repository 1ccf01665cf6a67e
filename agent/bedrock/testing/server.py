"""FakeBedrock: a strict stand-in for Amazon Bedrock on loopback, for tests that want the real client on a real wire.

It listens on 127.0.0.1 with an event loop in a thread of its own, speaks HTTP/1.1 and the event-stream protocol, judges
every request as the service would, answers from a script, and remembers what it was asked. Nothing is ever sent to
AWS, and no proxy of the environment stands between it and a client built with `client_options()`; other clients need
`NO_PROXY=127.0.0.1`.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
import threading
import time
import uuid
from collections.abc import Callable, Coroutine, Iterable, Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Protocol, Self

from .connection import Connection
from .recorded import UNKNOWN, RecordedRequest, record
from .rules import judge, judge_model
from .script import Answering, Refusal, Script, Scripted, ScriptFunction
from .shapes import OPERATIONS, judge_shape

if TYPE_CHECKING:
    from .wire import Answer, HttpRequest

HOST = "127.0.0.1"
BACKLOG = 1024
STOP_LIMIT = 10.0
"""Seconds in which the server's thread has to end."""

DUMMY_CREDENTIALS = {"aws_access_key_id": "AKIDEXAMPLE", "aws_secret_access_key": "not-a-secret"}


class Desk(Protocol):
    """What a connection needs of the server."""

    def opened(self, connection: Connection) -> int:
        """Count a connection; its serial number."""

    def closed(self, connection: Connection) -> None:
        """Forget a connection."""

    def answer(self, http: HttpRequest, connection: Connection) -> tuple[RecordedRequest, Answer]:
        """Record a request, judge it, and find its answer."""

    def served(self, request: RecordedRequest) -> None:
        """Take note that a request is over."""

    def spawn(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Run a task that the server's end will cancel."""


class FakeBedrock:
    """A stand-in to talk to within a `with` block.

    `script` is a sequence of answers or a function from the recorded request to one; `exhausted="raise"` makes a
    request beyond it an error at the end of the block. `strict=False` accepts every request.
    """

    def __init__(
        self,
        script: Iterable[Scripted] | ScriptFunction | None = None,
        *,
        ssl_context: ssl.SSLContext | None = None,
        strict: bool = True,
        region: str = "us-east-1",
        port: int = 0,
        exhausted: str = "reply",
    ) -> None:
        self.region = region
        self.strict = strict
        self.requests: list[RecordedRequest] = []
        self.connections = 0
        self.errors: list[Exception] = []
        self._script = Script(script, exhausted=exhausted)
        self._ssl_context = ssl_context
        self._port = port
        self._open: set[Connection] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._changed = threading.Condition()
        self._started = threading.Event()
        self._thread: threading.Thread | None = None
        self._loop = asyncio.new_event_loop()
        self._server: asyncio.Server | None = None
        self._failure: OSError | None = None

    # --- the block ---------------------------------------------------------------------------------------------

    def __enter__(self) -> Self:
        self._thread = threading.Thread(target=self._run, name="fake-bedrock", daemon=True)
        self._thread.start()
        self._started.wait()
        if self._failure is not None:
            raise self._failure
        return self

    def __exit__(self, exc_type: type[BaseException] | None, exc: BaseException | None, tb: object) -> None:
        self.close()
        if exc is None and self.errors:
            raise self.errors[0]

    def close(self) -> None:
        """Close every connection, the listener and the thread."""
        if self._thread is None:
            return
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(STOP_LIMIT)
        if self._thread.is_alive():
            raise RuntimeError("the stand-in's thread did not end: does the script's function block?")
        self._thread = None

    # --- what a test reads -------------------------------------------------------------------------------------

    @property
    def url(self) -> str:
        """The endpoint URL."""
        return f"{'http' if self._ssl_context is None else 'https'}://{HOST}:{self._port}"

    @property
    def open_connections(self) -> int:
        """How many TCP connections are open now."""
        return len(self._open)

    def queue(self, *answers: Scripted) -> None:
        """Append answers to the script."""
        self._script.queue(*answers)

    def client_options(self, **config: Any) -> dict[str, Any]:
        """Arguments for `boto3.client`: endpoint, region, dummy keys, no proxies; `config` goes into the Config."""
        from botocore.config import Config

        built = Config(**{"proxies": {}, **config})
        return {"endpoint_url": self.url, "region_name": self.region, "config": built, **DUMMY_CREDENTIALS}

    def wait_for(self, condition: Callable[[FakeBedrock], bool], timeout: float = 5.0) -> bool:
        """Wait until the condition holds of the stand-in; looked at whenever a request or connection comes or goes."""
        with self._changed:
            return self._changed.wait_for(lambda: condition(self), timeout)

    # --- the network's moods -----------------------------------------------------------------------------------

    @contextlib.contextmanager
    def refusing(self) -> Iterator[None]:
        """Refuse new connections for a while; those that are open stay."""
        placeholder = self._on_loop(self._stop_listening())
        try:
            yield
        finally:
            self._on_loop(self._listen_again(placeholder))

    def drop_connections(self, *, reset: bool = True) -> None:
        """Close every open connection, by RST or by FIN."""

        async def drop() -> None:
            for connection in list(self._open):
                connection.reset() if reset else connection.transport.close()

        self._on_loop(drop())

    def _on_loop(self, work: Coroutine[Any, Any, Any]) -> Any:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(STOP_LIMIT)

    async def _stop_listening(self) -> socket.socket:
        """Close the listener and keep the port, so that nobody else gets it."""
        self._listener().close()
        return _bound_socket(self._port)

    async def _listen_again(self, placeholder: socket.socket) -> None:
        await self._listen(placeholder)

    def _listener(self) -> asyncio.Server:
        if self._server is None:
            raise RuntimeError("the stand-in is not running: use it in a with block")
        return self._server

    # --- the thread --------------------------------------------------------------------------------------------

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        try:
            self._loop.run_until_complete(self._start())
        except OSError as failure:
            self._failure = failure
            self._started.set()
            self._loop.close()
            return
        self._started.set()
        self._loop.run_forever()
        self._loop.run_until_complete(self._stop())
        self._loop.close()

    async def _start(self) -> None:
        bound = _bound_socket(self._port)
        self._port = bound.getsockname()[1]
        await self._listen(bound)

    async def _listen(self, bound: socket.socket) -> None:
        self._server = await self._loop.create_server(
            lambda: Connection(self), sock=bound, ssl=self._ssl_context, backlog=BACKLOG
        )

    async def _stop(self) -> None:
        self._listener().close()
        for connection in list(self._open):
            connection.transport.abort()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await asyncio.sleep(0)

    # --- the desk ----------------------------------------------------------------------------------------------

    def opened(self, connection: Connection) -> int:
        """Count a connection; its serial number."""
        with self._changed:
            self.connections += 1
            self._open.add(connection)
            self._changed.notify_all()
            return self.connections

    def closed(self, connection: Connection) -> None:
        """Forget a connection."""
        with self._changed:
            self._open.discard(connection)
            self._changed.notify_all()

    def spawn(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Run a task that the server's end will cancel."""
        task = self._loop.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    def served(self, request: RecordedRequest) -> None:
        """Wake those who wait for a request to be over."""
        with self._changed:
            self._changed.notify_all()

    def answer(self, http: HttpRequest, connection: Connection) -> tuple[RecordedRequest, Answer]:
        """Record a request, judge it, and find its answer."""
        with self._changed:
            serial = len(self.requests) + 1
            request = record(http, serial=serial, connection=connection.number, arrived=time.monotonic())
            self.requests.append(request)
            self._changed.notify_all()
        request.answer = self._answering(request)
        return request, _identified(request.answer.answer(request.operation, serial))

    def _answering(self, request: RecordedRequest) -> Answering:
        try:
            request.refusal = self._judged(request)
            return request.refusal or self._script.next_for(request)
        except Exception as error:  # noqa: BLE001 - a script's function may raise anything; the test has to hear of it
            self.errors.append(error)
            return Refusal("InternalServerException", f"The stand-in failed: {error!r}")

    def _judged(self, request: RecordedRequest) -> Refusal | None:
        if request.operation == UNKNOWN:
            return Refusal("UnknownOperationException", None)
        if not self.strict or request.operation not in OPERATIONS:
            return None
        refusal = judge_model(request.model_id) or judge_shape(request.operation, request.body)
        if refusal is not None or request.operation == "count-tokens":
            return refusal
        return judge(request.operation, request.model_id, request.body)


def _identified(answer: Answer) -> Answer:
    """The answer with a request id of its own, unless it has one."""
    names = {name.lower() for name, _ in answer.headers}
    if "x-amzn-requestid" in names:
        return answer
    return replace(answer, headers=(*answer.headers, ("x-amzn-RequestId", str(uuid.uuid4()))))


def _bound_socket(port: int) -> socket.socket:
    bound = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    bound.bind((HOST, port))
    return bound
