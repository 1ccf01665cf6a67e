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
import sys
import threading
import time
import uuid
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Self

from .connection import Connection
from .recorded import record
from .script import Refusal, Script
from .service import new_service

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable, Coroutine, Iterable, Iterator, Mapping

    from .control import Catalogue
    from .recorded import RecordedRequest
    from .script import Scripted, ScriptFunction
    from .signing import Known
    from .wire import Answer, HttpRequest

HOST = "127.0.0.1"
BACKLOG = 1024

PATIENCE = 10.0
"""Seconds that the server's thread may take for what a test asks of it."""

DUMMY_CREDENTIALS = {"aws_access_key_id": "AKIDEXAMPLE", "aws_secret_access_key": "not-a-secret"}


class FakeBedrock:
    """A stand-in to talk to within a `with` block.

    `script` is a sequence of answers (`queue` appends to it) or a function from the recorded request to one, which runs
    on the server's thread and should not block; where it ends, a short text says so, or with `exhausted="raise"` the
    end of the block raises. `strict=False` judges neither shape nor rules.
    `models` and `profiles` (ids, or dicts as the control plane sends them) close the catalogue: nothing else exists.
    `credentials` (access key -> secret or `Key`, bearer token -> `Bearer`) has every request authenticated.
    """

    def __init__(
        self,
        script: Iterable[Scripted] | ScriptFunction | None = None,
        *,
        ssl_context: ssl.SSLContext | None = None,
        strict: bool = True,
        region: str = "us-east-1",
        models: Iterable[str | Mapping[str, Any]] | None = None,
        profiles: Iterable[str | Mapping[str, Any]] | None = None,
        page_size: int = 1000,
        credentials: Known | None = None,
        port: int = 0,
        exhausted: str = "reply",
    ) -> None:
        self.region = region
        self.requests: list[RecordedRequest] = []
        self.connections = 0
        self.errors: list[Exception] = []
        self._service = new_service(
            Script(script, exhausted=exhausted),
            region=region,
            strict=strict,
            known=credentials,
            models=models,
            profiles=profiles,
            page_size=page_size,
        )
        self._ssl_context = ssl_context
        self._port = port
        self._open: set[Connection] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._changed = threading.Condition()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._server: asyncio.Server | None = None
        self._thread: threading.Thread | None = None

    # --- the block -----------------------------------------------------------------------------------------------

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, exc_type: type[BaseException] | None, exc: BaseException | None, tb: object) -> None:
        self.close()
        if exc is None and self.errors:
            raise self.errors[0]

    def start(self) -> None:
        """Listen; returns when clients can connect."""
        listener = _bound_socket(self._port)
        self._port = listener.getsockname()[1]
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, name="fake-bedrock", daemon=True)
        self._thread.start()
        self._on_loop(self._listen(listener))

    def close(self) -> None:
        """Close every connection, the listener and the thread; twice does no harm."""
        if self._thread is None or self._loop is None:
            return
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(PATIENCE)
        if self._thread.is_alive():
            raise RuntimeError("the stand-in's thread did not end: does the script's function block?")
        self._thread = None

    # --- what a test reads -----------------------------------------------------------------------------------------

    @property
    def url(self) -> str:
        """The endpoint URL."""
        return f"{'http' if self._ssl_context is None else 'https'}://{HOST}:{self._port}"

    @property
    def port(self) -> int:
        """The TCP port."""
        return self._port

    @property
    def open_connections(self) -> int:
        """How many TCP connections are open now."""
        return len(self._open)

    @property
    def catalogue(self) -> Catalogue:
        """The models and profiles that exist, and what the account may use of them."""
        return self._service.catalogue

    def client_options(self, **config: Any) -> dict[str, Any]:
        """Arguments for `boto3.client`: endpoint, region, dummy keys, no proxies; `config` goes into the Config."""
        from botocore.config import Config

        built = Config(**{"proxies": {}, **config})
        return {"endpoint_url": self.url, "region_name": self.region, "config": built, **DUMMY_CREDENTIALS}

    def wait_for(self, condition: Callable[[FakeBedrock], bool], timeout: float = 5.0) -> bool:
        """Wait until a condition holds; it is looked at whenever a request or a connection comes or goes."""
        with self._changed:
            return self._changed.wait_for(lambda: condition(self), timeout)

    # --- what a test writes ----------------------------------------------------------------------------------------

    def queue(self, *answers: Scripted) -> None:
        """Append answers to the script."""
        self._service.script.queue(*answers)

    def queue_count(self, *answers: int | Scripted) -> None:
        """Append answers of CountTokens: numbers, refusals, faults."""
        self._service.counts.extend(answers)

    def queue_control(self, *answers: Scripted) -> None:
        """Append answers of the control plane that come before the catalogue's: refusals, JSON, faults."""
        self._service.control.extend(answers)

    @contextlib.contextmanager
    def refusing(self) -> Iterator[None]:
        """Refuse new connections for a while; those that are open stay."""
        placeholder = self._on_loop(self._stop_listening())
        try:
            yield
        finally:
            self._on_loop(self._listen(placeholder))

    def drop_connections(self, *, reset: bool = True) -> None:
        """Close every open connection, by RST or by FIN."""
        self._on_loop(self._drop(reset=reset))

    # --- the thread ------------------------------------------------------------------------------------------------

    def _run(self) -> None:
        loop = self._running_loop()
        try:
            loop.run_forever()
            loop.run_until_complete(self._wind_up())
        finally:
            loop.close()

    def _running_loop(self) -> asyncio.AbstractEventLoop:
        if self._loop is None:
            raise RuntimeError("the stand-in is not running: use it in a with block")
        return self._loop

    def _on_loop(self, work: Coroutine[Any, Any, Any]) -> Any:
        return asyncio.run_coroutine_threadsafe(work, self._running_loop()).result(PATIENCE)

    async def _listen(self, listener: socket.socket) -> None:
        self._server = await asyncio.get_running_loop().create_server(
            lambda: Connection(self), sock=listener, ssl=self._ssl_context, backlog=BACKLOG
        )

    async def _stop_listening(self) -> socket.socket:
        """Close the listener and bind its port again without listening, so that nobody else gets it."""
        if self._server is not None:
            self._server.close()
        await asyncio.sleep(0)
        return _bound_socket(self._port)

    async def _drop(self, *, reset: bool) -> None:
        for connection in list(self._open):
            if reset:
                connection.reset()
            else:
                connection.transport.close()

    async def _wind_up(self) -> None:
        """Leave nothing behind: no listener, no connection, no task."""
        if self._server is not None:
            self._server.close()
        leaving = list(self._open)
        for connection in leaving:
            connection.transport.abort()
        tasks = asyncio.all_tasks() - {asyncio.current_task()}  # ours, and TLS handshakes that asyncio has begun
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await asyncio.gather(*(connection.gone.wait() for connection in leaving))
        await asyncio.sleep(0)  # the socket of a broken-off handshake is closed one round later

    # --- what a connection needs (see connection.Desk) -------------------------------------------------------------

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
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    def answer(self, http: HttpRequest, connection: Connection) -> tuple[RecordedRequest, Answer]:
        """Record a request and find its answer."""
        serial = len(self.requests) + 1
        request = record(http, serial=serial, connection=connection.number, arrived=time.monotonic())
        with self._changed:
            self.requests.append(request)
            self._changed.notify_all()
        try:
            request.answer = self._service.answering(request)
            return request, _identified(request.answer.answer(request.operation, serial))
        except Exception as error:  # noqa: BLE001 - the script's function may raise anything; the test has to hear of it
            self.errors.append(error)
            failed = Refusal("InternalServerException", f"The stand-in failed: {error!r}")
            return request, _identified(failed.answer(request.operation, serial))

    def served(self, request: RecordedRequest) -> None:
        """Wake those who wait for a request to be over."""
        with self._changed:
            self._changed.notify_all()


def _identified(answer: Answer) -> Answer:
    """The answer with a request id of its own, unless it has one."""
    if any(name.lower() == "x-amzn-requestid" for name, _ in answer.headers):
        return answer
    return replace(answer, headers=(*answer.headers, ("x-amzn-RequestId", str(uuid.uuid4()))))


def _bound_socket(port: int) -> socket.socket:
    bound = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    if sys.platform != "win32":  # there it would let two servers share the port
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        bound.bind((HOST, port))
    except OSError:
        bound.close()
        raise
    return bound
