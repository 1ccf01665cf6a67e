"""`Bedrock().chat.completions`: the client of the openai SDK, by its names and with its habits.

In come the arguments of `openai.OpenAI().chat.completions.create`, out come completions and chunks with the same
attributes, so that a loop written for that client runs when the client is swapped. What Converse can do beyond OpenAI is
a keyword more: every option of the builder, and the callbacks of `Bedrock.stream`. The openai package is not needed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any, Literal, Self, overload

from ..request.options import CONVERSE_MEMBERS, OPTION_NAMES
from .chunks import CompletionChunk, chunk_namespace
from .core import ChatCore, ChatRequest, read_body

if TYPE_CHECKING:
    from types import TracebackType

    from ..chat import ChatStream
    from ..response.completion import Completion
    from .client import Bedrock


class Chat:
    """What `client.chat` is in the openai SDK."""

    def __init__(self, bedrock: Bedrock) -> None:
        self.completions = Completions(ChatCore(bedrock))


class Completions:
    """What `client.chat.completions` is in the openai SDK; shared by threads.

    Reasoning of answers with tool calls is kept in bounded memory, so that it survives loops that send back nothing but
    text and tool calls.
    """

    def __init__(self, core: ChatCore) -> None:
        self._core = core

    @overload
    def create(
        self,
        *,
        model: str,
        messages: Iterable[Any],
        tools: Iterable[Any] | None = None,
        stream: Literal[True],
        **options: Any,
    ) -> CompletionStream: ...

    @overload
    def create(
        self,
        *,
        model: str,
        messages: Iterable[Any],
        tools: Iterable[Any] | None = None,
        stream: Literal[False] | None = None,
        **options: Any,
    ) -> Completion: ...

    @overload
    def create(
        self,
        *,
        model: str,
        messages: Iterable[Any],
        tools: Iterable[Any] | None = None,
        stream: bool | None,
        **options: Any,
    ) -> Completion | CompletionStream: ...

    def create(
        self,
        *,
        model: str,
        messages: Iterable[Any],
        tools: Iterable[Any] | None = None,
        stream: bool | None = None,
        stream_options: Mapping[str, Any] | None = None,
        on_text_delta: Callable[[str], Any] | None = None,
        on_tool_start: Callable[[str], Any] | None = None,
        on_tool_arguments_delta: Callable[[int, str], Any] | None = None,
        on_reasoning_delta: Callable[[str], Any] | None = None,
        on_event: Callable[[], Any] | None = None,
        on_interrupt_check: Callable[[], Any] | None = None,
        extra_body: Mapping[str, Any] | None = None,
        extra_headers: Mapping[str, str] | None = None,
        extra_query: Mapping[str, Any] | None = None,
        timeout: Any = None,
        **options: Any,
    ) -> Completion | CompletionStream:
        """A completion, or with `stream=True` a stream of chunks.

        `options` are those of the builder (`request.options.RequestOptions`) and Converse's own members by their names;
        others raise TypeError. `extra_body` may hold anything: what nobody knows is left out with a warning.
        `timeout` is in seconds, or an httpx.Timeout. Callbacks without `stream` read a stream and return it whole.
        `extra_headers` and `extra_query` have no meaning here and are taken for the sake of the openai SDK's habits.
        """
        callbacks = {
            "on_text_delta": on_text_delta,
            "on_tool_start": on_tool_start,
            "on_tool_arguments_delta": on_tool_arguments_delta,
            "on_reasoning_delta": on_reasoning_delta,
            "on_event": on_event,
            "on_interrupt_check": on_interrupt_check,
        }
        wanted = {name: callback for name, callback in callbacks.items() if callback is not None}
        request = _request(
            {"model": model, "messages": messages, "tools": tools, "stream": stream, "stream_options": stream_options},
            options,
            extra_body,
        )
        bedrock = self._core.variant(**timeouts(timeout))
        if not request.stream and not wanted:
            return self._core.complete(request, bedrock)
        opened = self._core.open(request, bedrock, **wanted)
        if request.stream:
            return CompletionStream(opened, self._core, include_usage=request.include_usage)
        return self._core.carried(opened.completion())


def _request(
    arguments: dict[str, Any], options: Mapping[str, Any], extra_body: Mapping[str, Any] | None
) -> ChatRequest:
    unknown = [name for name in options if name not in OPTION_NAMES and name not in CONVERSE_MEMBERS]
    if unknown:
        raise TypeError(f"create() got an unexpected keyword argument {unknown[0]!r}")
    local = {name: options[name] for name in _OF_THIS_PROCESS if options.get(name) is not None}
    request = read_body({**arguments, **options, **(extra_body or {})})
    if not local:
        return request
    if "extra" in local:
        local["extra"] = {**request.options.get("extra", {}), **local["extra"]}
    return ChatRequest(
        request.model,
        request.messages,
        request.tools,
        {**request.options, **local},
        request.stream,
        request.include_usage,
    )


_OF_THIS_PROCESS = ("extra", "fetch", "lenient_images", "reasoning_store")
"""Options that a caller may give and a body from outside may not."""


def timeouts(timeout: Any) -> dict[str, float | None]:
    """Client settings that a timeout in the openai SDK's forms asks for: seconds, or an object with connect and read."""
    if timeout is None:
        return {}
    if isinstance(timeout, (int, float)):
        return {"connect_timeout": float(timeout), "read_timeout": float(timeout)}
    return {
        "connect_timeout": getattr(timeout, "connect", None),
        "read_timeout": getattr(timeout, "read", None),
    }


class CompletionStream:
    """One streamed answer as chunks: an iterator, a context manager, and the completion that the chunks fold into.

    It belongs to one thread; `close()` may come from any, and ends the connection. It ends as a `ChatStream` does: an
    answer that is not complete raises, with what came as `.partial`, and no chunk with a finish reason comes before.
    """

    def __init__(self, stream: ChatStream, core: ChatCore, *, include_usage: bool = False) -> None:
        self._stream = stream
        self._core = core
        self._chunks = core.chunks(stream, include_usage=include_usage)

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> CompletionChunk:
        return chunk_namespace(next(self._chunks))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    @property
    def request_id(self) -> str | None:
        """The AWS request id of the call."""
        return self._stream.request_id

    def close(self) -> None:
        """End the stream now, from whichever thread; harmless once the answer is complete."""
        self._stream.close()

    def completion(self) -> Completion:
        """The completion of the whole answer; what is left of the stream is read first."""
        return self._core.carried(self._stream.completion())
