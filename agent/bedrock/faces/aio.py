"""`AsyncBedrock`: the road under an asyncio event loop.

In come the arguments of `Bedrock`, out come its completions and streams, awaited. Nothing is converted, decoded or
decided here: boto3 can only wait by blocking, so every call drives the sync `Bedrock` in a worker thread, as many
workers as there are calls at once, and what a stream tells crosses into the event loop in batches. Callbacks run in the
event loop, in order.

This is asyncio's, also under anyio. Under trio, hand the sync `Bedrock` to `trio.to_thread.run_sync`.
"""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import inspect
import logging
from collections.abc import Callable, Coroutine, Generator
from functools import cached_property, partial
from os import PathLike
from typing import TYPE_CHECKING, Any, Concatenate, Final, ParamSpec, Self, TypeVar

from ..aws.cancel import Hold
from ..errors import CallInterruptedError
from ..values import names_of
from .callbacks import Callbacks
from .client import Bedrock
from .workers import End, Relay, Workers

if TYPE_CHECKING:
    from types import TracebackType

    from ..chat import ChatStream
    from ..response.completion import Completion
    from ..response.events import Event
    from .async_completions import AsyncChat, AsyncModels

logger = logging.getLogger(__name__)

P = ParamSpec("P")
R = TypeVar("R")

POLL_SECONDS = 0.02
"""Between two looks at `on_interrupt_check` while nothing arrives."""

CLOSING_SECONDS = 1.0
"""How long `aclose()` waits at most until the worker has closed the connection."""

RAW_EVENT: Final = object()
"""Crosses before the events of each raw event, where somebody wants to know of those."""


def _signed_like(
    sync: Callable[Concatenate[Any, P], object],
) -> Callable[[Callable[..., R]], Callable[Concatenate[Any, P], R]]:
    """Give a method the signature of the sync one that it drives: to type checkers, editors and `help()`."""

    def sign(method: Callable[..., R]) -> Callable[Concatenate[Any, P], R]:
        returned = inspect.signature(method).return_annotation
        method.__signature__ = inspect.signature(sync).replace(return_annotation=returned)  # type: ignore[attr-defined]
        return method

    return sign


class AsyncBedrock:
    """`Bedrock` for asyncio: the same arguments and the same methods, awaited; `sync` is the `Bedrock` that it drives.

    An instance may be shared by tasks, event loops and threads. A call takes a thread for as long as it lasts.
    """

    @_signed_like(Bedrock.__init__)
    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self._drive(Bedrock(*args, **kwargs))

    @classmethod
    def over(cls, sync: Bedrock) -> Self:
        """The one that drives a `Bedrock` which is already there."""
        face = cls.__new__(cls)
        face._drive(sync)  # noqa: SLF001 - it is one of ours
        return face

    @classmethod
    def from_config(cls, path: str | PathLike[str], backend: str | None = None, **arguments: Any) -> Self:
        """`Bedrock.from_config`, to be awaited."""
        return cls.over(Bedrock.from_config(path, backend, **arguments))

    def _drive(self, sync: Bedrock) -> None:
        self.sync = sync
        self._workers = Workers()

    def __repr__(self) -> str:
        return f"Async{self.sync!r}"

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    @property
    def region(self) -> str:
        """The region that calls go to."""
        return self.sync.region

    def with_options(self, **changes: Any) -> Self:
        """Another like this one, with other arguments; it has connections and workers of its own."""
        return self.over(self.sync.with_options(**changes))

    def __reduce__(self) -> tuple[Callable[[Bedrock], Self], tuple[Bedrock]]:
        return self.over, (self.sync,)

    @cached_property
    def chat(self) -> AsyncChat:
        """`await chat.completions.create(...)`, as `openai.AsyncOpenAI()` has it."""
        from .async_completions import AsyncChat

        return AsyncChat(self.sync.chat.completions.core, self._workers)

    @cached_property
    def models(self) -> AsyncModels:
        """`await models.list()`."""
        from .async_completions import AsyncModels

        return AsyncModels(self.sync.models, self._workers)

    def close(self) -> None:
        """`Bedrock.close()`, and its idle threads end; it stays usable."""
        self.sync.close()
        self._workers.dismiss()

    async def aclose(self) -> None:
        """`close()`, by the name that `contextlib.aclosing` knows."""
        self.close()

    async def prewarm(self) -> None:
        """`Bedrock.prewarm`, done when this returns; `asyncio.create_task` has it done in the background."""
        await self._workers.run(lambda: self.sync.prewarm().join())

    @_signed_like(Bedrock.complete)
    async def complete(self, *args: Any, **kwargs: Any) -> Completion:
        """`Bedrock.complete`, awaited; cancelled, it returns at once, and its connection is closed."""
        check = kwargs.pop("on_interrupt_check", None)
        return await answered(self._workers, partial(self.sync.complete, *args, **kwargs), check)

    @_signed_like(Bedrock.stream)
    def stream(self, *args: Any, **kwargs: Any) -> AsyncChatStream:
        """`Bedrock.stream`: to be awaited, entered or iterated, whichever comes first opens it.

        Callbacks may be coroutine functions, too.
        """
        given = {name: kwargs.pop(name) for name in _CALLBACKS & kwargs.keys()}
        return AsyncChatStream(partial(self.sync.stream, *args, **kwargs), Callbacks(**given), self._workers)


_CALLBACKS = {name for name in names_of(Callbacks) if name.startswith("on_")}


class AsyncChatStream:
    """One streamed answer: an async iterator of events, an async context manager, and the completion they fold into.

        async with bedrock.stream(model, messages) as stream:
            async for event in stream:
                ...
            completion = await stream.completion()

    It belongs to one task; `close()` may come from anywhere. It ends as a `ChatStream` does: quietly where it is closed
    or interrupted, by an exception that carries `.partial` where something goes wrong. Cancelling the task, leaving the
    context and dropping the stream close the connection. What had come before the end and was not yet iterated counts.
    """

    def __init__(self, open_stream: Callable[..., ChatStream], callbacks: Callbacks, workers: Workers) -> None:
        self._stream: ChatStream | None = None
        self._open_stream = open_stream
        self._listeners = callbacks.watch().listeners
        self._on_event = callbacks.on_event
        self._check = callbacks.on_interrupt_check
        self._workers = workers
        self._relay = workers.relay()
        self._opening = Hold()
        self._begun = False
        self._refusal: BaseException | None = None
        self._over = False
        self._whole = False

    def __await__(self) -> Generator[Any, Any, Self]:
        return self.__aenter__().__await__()

    async def __aenter__(self) -> Self:
        await self._opened()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.aclose()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Event:
        if self._stream is None:
            await self._opened()
        items = self._relay.items
        try:
            while not self._over:
                if not items:
                    await self._wait()
                elif (item := items.popleft()) is RAW_EVENT:
                    await self._look_on()
                elif type(item) is End:
                    self._finish(item)
                else:
                    listener = self._listeners.get(type(item))
                    if listener is not None:
                        await _answer_of(listener(item))
                    return item  # type: ignore[no-any-return]
        except BaseException as error:
            self._give_up(error)
            raise
        raise StopAsyncIteration

    @property
    def request_id(self) -> str | None:
        """The AWS request id of the call, once it is open."""
        return None if self._stream is None else self._stream.request_id

    async def completion(self) -> Completion:
        """The completion of the whole answer; what is left of the stream is read first."""
        stream = await self._opened()
        async for _ in self:
            pass
        await self.aclose()
        return stream.completion() if self._whole else stream.partial()

    def partial(self) -> Completion:
        """The completion of what has come so far, whatever the state of the stream."""
        if self._stream is None:
            raise CallInterruptedError("nothing has come: the stream is not open")
        return self._stream.partial()

    def close(self) -> None:
        """End the stream now, from whichever thread; harmless once it is over."""
        if self._over:
            return
        self._over = True
        self._relay.abandon()
        if self._stream is None:
            self._opening.give_up()
        else:
            # In another thread: closing the stream of a client that is not ours waits for whoever reads from it.
            self._workers.start(self._stream.close)

    async def aclose(self) -> None:
        """`close()`, and wait until the connection is closed or given back."""
        self.close()
        if self._stream is not None:
            with contextlib.suppress(TimeoutError):  # the worker goes on closing without us
                await asyncio.wait_for(self._relay.finished(), CLOSING_SECONDS)

    def __del__(self) -> None:
        if self._stream is not None and not self._over:
            self._relay.abandon()
            # Not here: this may run wherever the collector does, and a thread's start takes locks.
            if not self._relay.in_loop(partial(self._workers.start, self._stream.close)):
                self._stream.close()

    async def _opened(self) -> ChatStream:
        """The sync stream, opened in its worker when first asked for; raises what opening it raised."""
        try:
            while self._stream is None and not self._over:
                await self._open()
        except BaseException:
            self.close()
            raise
        if self._stream is None:
            raise self._refusal or CallInterruptedError("the stream was closed before it was open")
        return self._stream

    async def _open(self) -> None:
        if not self._begun:
            self._begun = True
            mark = {"on_event": self._mark()} if self._on_event or self._check else {}
            drive = partial(_drive, self._opening.over(partial(self._open_stream, **mark)), self._relay)
            await self._workers.begin(partial(contextvars.copy_context().run, drive))
        elif not self._relay.items:
            await self._wait()
        elif type(first := self._relay.items.popleft()) is End:
            self._over, self._refusal = True, first.error
        else:
            self._stream = first

    def _mark(self) -> Callable[[], None]:
        return partial(self._relay.items.append, RAW_EVENT)

    async def _wait(self) -> None:
        """Wait for items, asking from time to time whether to go on."""
        if self._check is None:
            await self._relay.wait()
        elif await _answer_of(self._check()):
            self.close()
        else:
            await self._relay.wait(POLL_SECONDS)

    async def _look_on(self) -> None:
        """What is done for each raw event, as the sync road does it."""
        if self._on_event is not None:
            try:
                await _answer_of(self._on_event())
            except Exception as error:  # noqa: BLE001 - a sign of life may never end a stream
                logger.debug("error=%s | on_event raised; the stream goes on", type(error).__name__)
        if self._check is not None and await _answer_of(self._check()):
            self.close()

    def _finish(self, end: End) -> None:
        self._over = True
        if end.error is not None:
            raise end.error
        self._whole = True

    def _give_up(self, error: BaseException) -> None:
        """Close a stream that was left by an exception that is not its own: a callback's, or cancellation."""
        if not self._over and self._stream is not None:
            if isinstance(error, Exception):
                self._stream.attach_partial(error)
            self.close()


def _drive(open_stream: Callable[[], ChatStream], relay: Relay) -> None:
    """In the worker: read a sync stream, and hand over the stream itself, then its events, then how it ended."""
    end = End()
    try:
        with open_stream() as stream:
            put = relay.put
            if put(stream):
                for event in stream:
                    if not put(event):
                        break
    except BaseException as error:  # noqa: BLE001 - whatever it is, it is for who iterates
        end = End(error)
    relay.end(end)


async def answered(workers: Workers, work: Callable[[], R], check: Callable[[], Any] | None = None) -> R:
    """What the work gives in a worker; cancelled, this returns at once, and the work's connection is closed."""
    hold = Hold()
    call = workers.run(hold.over(work))
    try:
        return await (call if check is None else _unless(check, call))
    except BaseException:
        hold.give_up()
        raise


async def _unless(check: Callable[[], Any], call: Coroutine[Any, Any, R]) -> R:
    """What the call gives, unless the check ends it before."""
    task = asyncio.ensure_future(call)
    try:
        while not task.done():
            if await _answer_of(check()):
                raise CallInterruptedError("the caller ended the call before it was answered")
            await asyncio.wait([task], timeout=POLL_SECONDS)
    finally:
        task.cancel()
    return task.result()


async def _answer_of(answer: Any) -> Any:
    """What a callback returned; awaited, where it is a coroutine function."""
    return await answer if hasattr(answer, "__await__") else answer
