"""`AsyncBedrock().chat.completions`: the client of the openai SDK, awaited.

It takes and gives what `completions` does; nothing is decided here but who waits. Answers are read by the workers of
`AsyncBedrock`, chunks are made in the event loop.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Generator
from functools import partial
from typing import TYPE_CHECKING, Any, Self

from .aio import AsyncChatStream, answered
from .callbacks import Callbacks
from .chunks import CompletionChunk, async_chunks_of, chunk_namespace
from .completions import read_call

if TYPE_CHECKING:
    from types import TracebackType

    from ..response.completion import Completion
    from .core import ChatCore
    from .models_list import Model, ModelList, Models
    from .workers import Workers


class AsyncChat:
    """What `client.chat` is in the openai SDK."""

    def __init__(self, core: ChatCore, workers: Workers) -> None:
        self.completions = AsyncCompletions(core, workers)


class AsyncCompletions:
    """What `client.chat.completions` is in the openai SDK; shared by tasks."""

    def __init__(self, core: ChatCore, workers: Workers) -> None:
        self.core = core
        self._workers = workers

    async def create(
        self, *, model: str, messages: Any, tools: Any = None, stream: bool | None = None, **options: Any
    ) -> Any:
        """A `Completion`, or with `stream=True` an `AsyncCompletionStream`; the options are those of the sync face.

        Callbacks may be coroutine functions, too.
        """
        call = read_call({"model": model, "messages": messages, "tools": tools, "stream": stream, **options})
        if not call.streamed:
            return await answered(self._workers, partial(self.core.complete, call.request))
        open_stream = partial(self.core.open, call.request)
        opened = await AsyncChatStream(open_stream, Callbacks(**call.callbacks), self._workers)
        if call.request.stream:
            return AsyncCompletionStream(opened, self.core, include_usage=call.request.include_usage)
        return self.core.carried(await opened.completion())


class AsyncCompletionStream:
    """One streamed answer as chunks: an async iterator, an async context manager, and the completion.

    It belongs to one task. It ends as an `AsyncChatStream` does; cancelling its task closes the connection.
    """

    def __init__(self, stream: AsyncChatStream, core: ChatCore, *, include_usage: bool = False) -> None:
        self._stream = stream
        self._core = core
        self._chunks = async_chunks_of(stream, core.chunk_maker(stream, include_usage=include_usage))

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> CompletionChunk:
        return chunk_namespace(await anext(self._chunks))

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.close()

    @property
    def request_id(self) -> str | None:
        """The AWS request id of the call."""
        return self._stream.request_id

    async def close(self) -> None:
        """End the stream now; harmless once the answer is complete."""
        await self._stream.aclose()

    aclose = close

    async def completion(self) -> Completion:
        """The completion of the whole answer; what is left of the stream is read first."""
        return self._core.carried(await self._stream.completion())


class AsyncModels:
    """What `client.models` is in the openai SDK."""

    def __init__(self, models: Models, workers: Workers) -> None:
        self._models = models
        self._workers = workers

    def list(self) -> AsyncModelList:
        """The models of the region: to be awaited, or iterated with `async for`."""
        return AsyncModelList(partial(self._workers.run, self._models.list))

    async def retrieve(self, model: str) -> Model:
        """One of the list."""
        return await self._workers.run(partial(self._models.retrieve, model))


class AsyncModelList:
    """A list that is asked for when it is awaited or iterated, as `openai.AsyncOpenAI()` has it."""

    def __init__(self, ask: Callable[[], Awaitable[ModelList]]) -> None:
        self._ask = ask

    def __await__(self) -> Generator[Any, Any, ModelList]:
        return self._ask().__await__()

    async def __aiter__(self) -> AsyncIterator[Model]:
        for model in await self._ask():
            yield model
