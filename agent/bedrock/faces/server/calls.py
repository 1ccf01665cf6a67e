"""A chat call over HTTP: whole or streamed, in one of two forms, and given up when its client is gone.

In come an exchange and a `ChatRequest`, out goes the answer. The status waits for the first event, so that early refusals
are refusals; what fails later ends the stream with an error event. A client that closes its connection ends the call to
Bedrock within a second, whatever the call is waiting for.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import threading
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any

from ...errors import CallInterruptedError, classify
from ..aio import AsyncChatStream
from ..callbacks import Callbacks
from ..chunks import async_chunks_of
from ..desk import completion_json, error_event, stream_headers
from ..event_dicts import EventDicts, answer_dict
from ..hooks import attempts_of
from ..openai_errors import error_answer, error_object
from ..sse import DONE, json_text, sse
from .exchange import ClientGoneError, Exchange
from .journal import Entry

if TYPE_CHECKING:
    from ..config import ServerSettings
    from ..core import ChatCore, ChatRequest
    from ..workers import Workers

logger = logging.getLogger(__name__)

SIGN_OF_LIFE = b": the model is at work\n\n"
SILENCE = 15.0
"""Seconds without an event after which a comment is sent: load balancers close what is silent for a minute."""

TIDYING_SECONDS = 5.0
"""How long a call may go on once its answer has been sent."""


@dataclass(frozen=True, slots=True)
class Form:
    """How an answer is told: a whole one, a stream's events, the end of a stream, an error in its middle."""

    whole: Callable[[Any], dict[str, Any]]
    lines: Callable[[ChatCall, AsyncChatStream], AsyncIterator[bytes]]
    end: bytes
    error: Callable[[BaseException], bytes]


@dataclass(frozen=True, slots=True)
class ChatCall:
    """One call: from whom, through what, and in which form its answer is told."""

    exchange: Exchange
    core: ChatCore
    request: ChatRequest
    form: Form
    entry: Entry
    options: Mapping[str, Any]


async def _openai_lines(call: ChatCall, stream: AsyncChatStream) -> AsyncIterator[bytes]:
    make = call.core.chunk_maker(stream, include_usage=call.request.include_usage)
    if call.entry.on:
        make = _noting(make, call.entry)
    async for chunk in async_chunks_of(stream, make):
        yield sse(chunk)


def _noting(make: Any, entry: Entry) -> Any:
    """The maker of chunks, with every event noted."""

    class Noting:
        last = staticmethod(make.last)

        def __call__(self, event: Any) -> Any:
            entry.event(event)
            return make(event)

    return Noting()


async def _gateway_lines(call: ChatCall, stream: AsyncChatStream, *, tool_deltas: bool = True) -> AsyncIterator[bytes]:
    tell = EventDicts(stream.partial().model, call_id=call.core.call_id(stream), tool_deltas=tool_deltas)
    async for event in stream:
        if call.entry.on:
            call.entry.event(event)
        told = tell(event)
        if told:
            yield b"".join(map(sse, told))
    await stream.completion()


OPENAI = Form(completion_json, _openai_lines, DONE, error_event)
GATEWAY = Form(answer_dict, _gateway_lines, b"", lambda error: sse({"type": "error", "error": error_object(error)}))
WITHOUT_TOOL_DELTAS = replace(GATEWAY, lines=partial(_gateway_lines, tool_deltas=False))
"""For readers that add the input of `tool_use_complete` to what the deltas told, as the gateway's own clients do."""


class ChatCalls:
    """Makes the calls of one server."""

    def __init__(self, workers: Workers, settings: ServerSettings) -> None:
        self._workers = workers
        self._settings = settings

    async def serve(self, exchange: Exchange, core: ChatCore, request: ChatRequest, form: Form) -> None:
        """Answer a request; what goes wrong is answered, too, but ClientGoneError is raised."""
        given_up = threading.Event()
        options = {"cancel": given_up, "deadline": self._settings.call_seconds, **_attempts(exchange)}
        call = ChatCall(exchange, core, request, form, Entry(), options)
        call.entry.asked(core.bedrock, request)
        try:
            await unless_gone(exchange, self._streamed(call) if request.stream else self._whole(call), given_up)
        except ClientGoneError:
            call.entry.ended(None)
            raise
        except Exception as error:  # noqa: BLE001 - whatever it is, the client is told
            answer = error_answer(error, retried=attempts_of(error) > 1)
            call.entry.ended(answer.status, error=error)
            _report(error, answer.failure.kind)
            await exchange.answer(answer.status, answer.headers, answer.body)

    async def _whole(self, call: ChatCall) -> None:
        completion = await self._workers.run(partial(call.core.complete, call.request, **call.options))
        body = json_text(call.form.whole(completion)).encode("ascii")
        headers = {**stream_headers(completion.bedrock.request_id), "content-type": "application/json"}
        await call.exchange.answer(200, headers, body)
        call.entry.ended(200, completion)

    async def _streamed(self, call: ChatCall) -> None:
        stream = AsyncChatStream(partial(call.core.open, call.request, **call.options), Callbacks(), self._workers)
        try:
            await stream
            lines = call.form.lines(call, stream)
            first = await anext(lines, None)
            if first is None:
                raise CallInterruptedError("the call was given up before the answer began")
            await call.exchange.begin(200, stream_headers(stream.request_id))
            async with _signs_of_life(call.exchange):
                failed = await self._tell(call, first, lines)
            call.entry.ended(200, None if failed else stream.partial(), failed)
        finally:
            await stream.aclose()

    async def _tell(self, call: ChatCall, first: bytes, lines: AsyncIterator[bytes]) -> Exception | None:
        """Send a stream to its end, or to the error that ended it, which is returned."""
        write = call.exchange.write
        await write(first)
        try:
            async for line in lines:
                await write(line)
        except ClientGoneError:
            raise
        except Exception as error:  # noqa: BLE001 - the status is sent: all that is left is an event
            _report(error, classify(error).kind)
            await write(call.form.error(error), more=False)
            return error
        await write(call.form.end, more=False)
        return None


def _attempts(exchange: Exchange) -> dict[str, int]:
    """A single attempt where the client itself is trying again, so that attempts never multiply."""
    return {"max_attempts": 1} if exchange.headers.get("x-stainless-retry-count", "0") != "0" else {}


async def unless_gone(exchange: Exchange, work: Coroutine[Any, Any, None], given_up: threading.Event) -> None:
    """Do the work; ClientGoneError as soon as the client is gone, and then `given_up` is set and the work cancelled."""
    working = asyncio.ensure_future(work)
    leaving = asyncio.ensure_future(exchange.gone())
    try:
        await asyncio.wait({working, leaving}, return_when=asyncio.FIRST_COMPLETED)
        if exchange.finished:
            await asyncio.wait({working}, timeout=TIDYING_SECONDS)
        if not working.done():
            raise ClientGoneError
        working.result()
    finally:
        leaving.cancel()
        if not working.done():
            given_up.set()
            working.cancel()
            # Its own end is awaited, so that nothing of it is left when the server stops.
            await asyncio.wait({working})
            with contextlib.suppress(asyncio.CancelledError, Exception):  # nobody is there to be told
                working.result()


@contextlib.asynccontextmanager
async def _signs_of_life(exchange: Exchange) -> AsyncIterator[None]:
    """Send a comment whenever nothing was sent for a while."""

    async def show() -> None:
        clock = asyncio.get_running_loop().time
        while True:
            await asyncio.sleep(SILENCE)
            if clock() - exchange.written_at >= SILENCE:
                with contextlib.suppress(ClientGoneError):  # who writes the events will meet it
                    await exchange.write(SIGN_OF_LIFE)

    showing = asyncio.ensure_future(show())
    try:
        yield
    finally:
        showing.cancel()


def _report(error: BaseException, kind: str) -> None:
    """What nobody foresaw goes into the log, without its text, which may hold anything."""
    if kind == "unknown":
        logger.warning("error=%s | a call failed in a way that has no name", type(error).__name__)
