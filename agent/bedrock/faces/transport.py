"""The openai SDK on Bedrock, without a server: an HTTP client whose requests never leave the process as HTTP.

    from openai import OpenAI
    from agent.bedrock import http_client

    client = OpenAI(api_key="unused", base_url="http://bedrock.local/v1", http_client=http_client(region="us-east-1"))

In come requests of the SDK (2.x over httpx, 3.x over httpx2 or httpx), out go responses made of the answers of
`Bedrock`. The HTTP library is imported when a client is made, and its classes are derived from then, since either may
be missing. No exception of botocore gets out: it becomes an error response, or the library's own exception where the
service was not reached.
"""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator, Iterator
from functools import cache, partial
from types import ModuleType
from typing import TYPE_CHECKING, Any, Self

from .callbacks import Callbacks
from .chunks import async_chunks_of
from .client import Bedrock
from .desk import Answer, Call, Desk, Streaming, Unreachable, error_event, stream_headers
from .sse import DONE, sse

if TYPE_CHECKING:
    from ..chat import ChatStream
    from .aio import AsyncChatStream
    from .chunks import Chunk
    from .core import Carry


def http_client(*, carry_reasoning: Carry = "store", library: ModuleType | None = None, **options: Any) -> Any:
    """An `httpx.Client` (or `httpx2.Client`) for `openai.OpenAI(http_client=...)`; `options` are those of `Bedrock`.

    `carry_reasoning` says how signed reasoning survives runtimes that do not send it back: kept in this process by
    tool call ("store"), packed into the ids of tool calls, which needs no memory ("ids"), or not ("none").
    `library` is the module to derive from where the choice by the installed openai is not the right one. Closing the
    client gives up nothing that others share; its connections go when it is dropped.
    """
    hx = library or _library()
    desk = Desk(_bedrock(options), carry_reasoning)
    transport = _derived(hx, _SyncTransport, "BaseTransport")(hx, desk)
    return _derived(hx, _SyncClient, "Client")(transport=transport, timeout=_timeout(hx, desk), trust_env=False)


def async_http_client(*, carry_reasoning: Carry = "store", library: ModuleType | None = None, **options: Any) -> Any:
    """The same for `openai.AsyncOpenAI(http_client=...)`; each call takes a thread for as long as it lasts."""
    hx = library or _library()
    desk = Desk(_bedrock(options), carry_reasoning)
    transport = _derived(hx, _AsyncTransport, "AsyncBaseTransport")(hx, desk)
    return _derived(hx, _AsyncClient, "AsyncClient")(transport=transport, timeout=_timeout(hx, desk), trust_env=False)


def _bedrock(options: dict[str, Any]) -> Bedrock:
    given = options.pop("bedrock", None)
    if given is None:
        return Bedrock(**options)
    if options:
        raise TypeError(f"bedrock= brings its own options: {next(iter(options))!r} cannot be given beside it")
    return given  # type: ignore[no-any-return]


def _timeout(hx: Any, desk: Desk) -> Any:
    """The timeouts of `Bedrock` as the library's, so that the SDK takes them for its default."""
    usual = desk.timeouts()
    return hx.Timeout(connect=usual["connect"], read=usual["read"], write=usual["read"], pool=usual["connect"])


# --- which library ----------------------------------------------------------------------------------------------------


def _library() -> ModuleType:
    """The module that the installed openai works with: httpx2 from 3 on, httpx before; without openai what there is."""
    names = ("httpx2", "httpx") if _openai_major() >= 3 else ("httpx",)
    for name in names:
        found = _imported(name)
        if found is not None:
            return found
    raise ImportError(
        f"The openai SDK's transport needs {' or '.join(names)}: pip install 'bedrock-chat-adapter[openai]'"
    )


def _imported(name: str) -> ModuleType | None:
    from importlib import import_module

    try:
        return import_module(name)
    except ImportError:
        return None


def _openai_major() -> int:
    """The installed openai's first number; 3 where there is none, since then any library will do."""
    loaded = getattr(sys.modules.get("openai"), "__version__", None)
    version = loaded or _installed_openai()
    first = str(version).partition(".")[0]
    return int(first) if first.isdigit() else 3


def _installed_openai() -> str:
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version("openai")
    except PackageNotFoundError:
        return ""


# --- what is derived from its classes ---------------------------------------------------------------------------------


@cache
def _derived(hx: Any, ours: type[Any], theirs: str) -> Any:
    """Our class with the library's own for a base, which its clients insist on."""
    return type(
        ours.__name__.lstrip("_"), (ours, getattr(hx, theirs)), {"__module__": __name__, "__doc__": ours.__doc__}
    )


class _SyncTransport:
    """Answers the requests of one sync client."""

    def __init__(self, hx: Any, desk: Desk) -> None:
        self._hx = hx
        self._desk = desk

    def handle_request(self, request: Any) -> Any:
        """The response to a request; a streamed one begins once the first event has come."""
        request.read()
        try:
            plan = self._desk.plan(_call(request))
            if isinstance(plan, Streaming):
                return self._opened(plan)
            return _response(self._hx, plan())
        except Exception as error:  # noqa: BLE001 - whatever it is, the SDK understands nothing but responses
            return _failure(self._hx, self._desk, error, request)

    def _opened(self, plan: Streaming) -> Any:
        core = self._desk.core
        stream = core.open(plan.request)
        chunks = core.chunks(stream, include_usage=plan.request.include_usage)
        try:
            first = next(chunks)
        except Exception as error:
            raise _FirstEventError from error
        events = _derived(self._hx, _SyncEvents, "SyncByteStream")(first, chunks, stream)
        return self._hx.Response(200, headers=stream_headers(stream.request_id), stream=events)


class _SyncEvents:
    """The bytes of a streamed response; closing them closes the connection to Bedrock."""

    def __init__(self, first: Chunk, chunks: Iterator[Chunk], stream: ChatStream) -> None:
        self._first = first
        self._chunks = chunks
        self._stream = stream

    def __iter__(self) -> Iterator[bytes]:
        yield sse(self._first)
        try:
            for chunk in self._chunks:
                yield sse(chunk)
        except Exception as error:  # noqa: BLE001 - the status is sent: all that is left is an event
            yield error_event(error)
        else:
            yield DONE

    def close(self) -> None:
        """End the stream now; harmless at its end."""
        self._stream.close()


class _AsyncTransport:
    """Answers the requests of one async client."""

    def __init__(self, hx: Any, desk: Desk) -> None:
        from .workers import Workers

        self._hx = hx
        self._desk = desk
        self._workers = Workers()

    async def handle_async_request(self, request: Any) -> Any:
        """The response to a request; a streamed one begins once the first event has come."""
        from .aio import answered

        await request.aread()
        try:
            plan = self._desk.plan(_call(request))
            if isinstance(plan, Streaming):
                return await self._opened(plan)
            return _response(self._hx, await answered(self._workers, plan))
        except Exception as error:  # noqa: BLE001 - whatever it is, the SDK understands nothing but responses
            return _failure(self._hx, self._desk, error, request)

    async def _opened(self, plan: Streaming) -> Any:
        from .aio import AsyncChatStream

        core = self._desk.core
        stream = await AsyncChatStream(partial(core.open, plan.request), Callbacks(), self._workers)
        make = core.chunk_maker(stream, include_usage=plan.request.include_usage)
        chunks = async_chunks_of(stream, make)
        first = await _first(chunks)
        events = _derived(self._hx, _AsyncEvents, "AsyncByteStream")(first, chunks, stream)
        return self._hx.Response(200, headers=stream_headers(stream.request_id), stream=events)


async def _first(chunks: AsyncIterator[Chunk]) -> Chunk:
    try:
        return await anext(chunks)
    except Exception as error:
        raise _FirstEventError from error


class _AsyncEvents:
    """The bytes of a streamed response; closing them closes the connection to Bedrock."""

    def __init__(self, first: Chunk, chunks: AsyncIterator[Chunk], stream: AsyncChatStream) -> None:
        self._first = first
        self._chunks = chunks
        self._stream = stream

    async def __aiter__(self) -> AsyncIterator[bytes]:
        yield sse(self._first)
        try:
            async for chunk in self._chunks:
                yield sse(chunk)
        except Exception as error:  # noqa: BLE001 - the status is sent: all that is left is an event
            yield error_event(error)
        else:
            yield DONE

    async def aclose(self) -> None:
        """End the stream now; harmless at its end."""
        await self._stream.aclose()


class _SyncClient:
    """An HTTP client that only ever talks to Bedrock; closing it leaves alone what others share."""

    def close(self) -> None:
        """Nothing: SDK clients close what they were given, and others may have been given the same."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self.close()


class _AsyncClient:
    """An async HTTP client that only ever talks to Bedrock; closing it leaves alone what others share."""

    async def aclose(self) -> None:
        """Nothing: SDK clients close what they were given, and others may have been given the same."""

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_error: object) -> None:
        await self.aclose()


def _call(request: Any) -> Call:
    return Call(
        method=request.method,
        path=request.url.raw_path.decode("ascii").partition("?")[0],
        body=request.content,
        headers=request.headers,
        timeouts=request.extensions.get("timeout") or {},
    )


def _response(hx: Any, answer: Answer) -> Any:
    # As a stream, like what comes from a network: what is read by the client has an `elapsed`.
    headers = {**answer.headers, "content-length": str(len(answer.body))}
    return hx.Response(answer.status, headers=headers, stream=hx.ByteStream(answer.body))


class _FirstEventError(Exception):
    """A stream was open and failed before its first event; the cause says how."""


def _failure(hx: Any, desk: Desk, error: BaseException, request: Any) -> Any:
    """The response that tells of an error; raises the library's own exception where the service was not reached."""
    opened = isinstance(error, _FirstEventError)
    try:
        return _response(hx, desk.failed((error.__cause__ or error) if opened else error, opened=opened))
    except Unreachable as verdict:
        raise getattr(hx, verdict.name)(str(verdict), request=request) from None
