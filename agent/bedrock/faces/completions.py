"""`Bedrock().chat.completions`: the client of the openai SDK, by its names and with its habits.

In come the arguments of `openai.OpenAI().chat.completions.create`, out come completions and chunks with the same
attributes, so that a loop written for that client runs when the client is swapped. What Converse can do beyond OpenAI is
a keyword more: every option of the builder, and the callbacks of `Bedrock.stream`. The openai package is not needed.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, Literal, Self, overload

from ..aws.options import CALL_OPTIONS
from ..errors import InvalidRequestError
from ..request.options import CONVERSE_MEMBERS, OPTION_NAMES
from ..values import changed, frozen, names_of
from .callbacks import Callbacks
from .chunks import CompletionChunk, chunk_namespace
from .core import CALL_OPTIONS_OF_A_BODY, OPTIONS_OF_THIS_PROCESS, ChatCore, ChatRequest, read_body

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
        self.core = core

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
        **options: Any,
    ) -> Completion | CompletionStream:
        """A completion, or with `stream=True` a stream of chunks.

        `options` are those of the builder (`request.options.RequestOptions`), Converse's own members by their names, the
        call's own (`aws.options.CallOptions`), the callbacks of `Bedrock.stream`, and the openai SDK's: `stream_options`,
        `timeout` (seconds, or an httpx.Timeout, of which connect and read count), `extra_body` (anything; what nobody knows is
        left out with a warning), `extra_headers` and `extra_query` (taken, and without meaning here). Others raise
        TypeError. Callbacks without `stream` read a stream and return it whole.
        """
        call = read_call({"model": model, "messages": messages, "tools": tools, "stream": stream, **options})
        if not call.streamed:
            return self.core.complete(call.request)
        opened = self.core.open(call.request, **call.callbacks)
        if call.request.stream:
            return CompletionStream(opened, self.core, include_usage=call.request.include_usage)
        return self.core.carried(opened.completion())


@frozen
class CreateCall:
    """The arguments of `create`, taken apart."""

    request: ChatRequest
    callbacks: Mapping[str, Any]

    @property
    def streamed(self) -> bool:
        """Whether a stream has to be read for this call."""
        return self.request.stream or bool(self.callbacks)


def read_call(arguments: Mapping[str, Any]) -> CreateCall:
    """The arguments of `create` taken apart; raises TypeError for a keyword that nobody knows."""
    unknown = [name for name in arguments if name not in _KEYWORDS]
    if unknown:
        raise TypeError(f"create() got an unexpected keyword argument {unknown[0]!r}")
    given = {name: value for name, value in arguments.items() if type(value).__name__ not in _NOT_GIVEN}
    body = {name: value for name, value in given.items() if name not in _NO_BODY}
    request = read_body({**body, **_object(given, "extra_body")}, call_options=CALL_OPTIONS_OF_A_BODY)
    local = {name: given[name] for name in _OF_THIS_PROCESS if given.get(name) is not None}
    if "extra" in local:
        local["extra"] = {**request.options.get("extra", {}), **_object(local, "extra")}
    local = {**_timeouts(given.get("timeout")), **local}
    callbacks = {name: _function(name, given[name]) for name in CALLBACK_NAMES if given.get(name) is not None}
    return CreateCall(changed(request, options={**request.options, **local}), callbacks)


CALLBACK_NAMES = frozenset(name for name in names_of(Callbacks) if name.startswith("on_"))

_OF_THE_SDK = frozenset({"extra_body", "extra_headers", "extra_query", "timeout"})
_OF_THIS_PROCESS = (OPTIONS_OF_THIS_PROCESS | CALL_OPTIONS) - CALLBACK_NAMES
_NO_BODY = _OF_THE_SDK | _OF_THIS_PROCESS | CALLBACK_NAMES
_KEYWORDS = _NO_BODY | OPTION_NAMES | CONVERSE_MEMBERS | {"model", "messages", "tools"}


_NOT_GIVEN = frozenset({"NotGiven", "Omit"})
"""The classes of what the openai SDK's users pass for an argument that they leave out."""


def _object(arguments: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    value = arguments.get(name) or {}
    if not isinstance(value, Mapping):
        raise InvalidRequestError("is not an object", field=name)
    return value


def _function(name: str, callback: Any) -> Any:
    if not callable(callback):
        raise InvalidRequestError("is not a function", field=name)
    return callback


def _timeouts(timeout: Any) -> dict[str, float]:
    """The options of the call that say it, in the openai SDK's forms: seconds, or an object that names them."""
    if timeout is None:
        return {}
    if isinstance(timeout, (int, float)) and not isinstance(timeout, bool):
        return dict.fromkeys(_TIMEOUTS.values(), timeout)
    if not hasattr(timeout, "read"):
        raise InvalidRequestError("is neither a number of seconds nor an httpx.Timeout", field="timeout")
    named = {option: getattr(timeout, name, None) for name, option in _TIMEOUTS.items()}
    return {option: seconds for option, seconds in named.items() if seconds is not None}


_TIMEOUTS = {"read": "read_timeout", "connect": "connect_timeout"}


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
