"""The one core under the OpenAI-shaped faces: a chat-completions body in, a completion or a stream out.

The client, the transport and the server take their bodies apart here, call `Bedrock` here, and have reasoning carried
here through runtimes that keep only text and tool calls. Nothing is converted: that is the builder's and the response
room's business. Nothing here knows HTTP or the openai SDK.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import takewhile
from types import NoneType
from typing import TYPE_CHECKING, Any, Literal

from ..carriers import REMEMBERED, ReasoningStore, holds_reasoning, pack_call_id, packed_call_id
from ..errors import InvalidRequestError, SettingsError
from ..request.options import split_body
from .chunks import Chunk, ChunkMaker, RenameCall, chunks_of

if TYPE_CHECKING:
    from ..chat import ChatStream
    from ..response.completion import Completion
    from .client import Bedrock

Carry = Literal["store", "ids", "none"]
"""How reasoning survives a runtime that does not send it back: kept in this process, packed into ids, or not at all."""

CALL_OPTIONS_OF_A_BODY = frozenset(
    {"deadline", "connect_timeout", "read_timeout", "max_attempts", "resume", "fallbacks"}
)
"""Options of the call, not of the request, that JSON can say; a face takes them from bodies that it trusts."""


@dataclass(frozen=True, slots=True)
class ChatRequest:
    """A chat-completions body taken apart; `options` are those of `Bedrock.complete`, `model` "" is the default one."""

    model: str
    messages: Sequence[Any]
    tools: Sequence[Any] | None = None
    options: Mapping[str, Any] = field(default_factory=dict)
    stream: bool = False
    include_usage: bool = False


def read_body(body: Any, *, call_options: Collection[str] = ()) -> ChatRequest:
    """The body taken apart; keys that nobody here knows go to the builder, which reports and leaves them out.

    `call_options` names those of the call that the body may set. Raises InvalidRequestError for what is no body at all;
    everything else is the builder's to judge.
    """
    if not isinstance(body, Mapping):
        raise InvalidRequestError("the body is not a JSON object")
    model = body.get("model") or ""
    if not isinstance(model, str) or not model.strip().isprintable():  # JSON can hold half a character, no URL can
        raise InvalidRequestError("is not a text", field="model")
    messages, tools = _list(body, "messages"), _list(body, "tools")
    if messages is None:
        raise InvalidRequestError("is missing", field="messages")
    about_the_call = {name: body[name] for name in call_options if body.get(name) is not None}
    options, unknown = split_body({name: value for name, value in body.items() if name not in about_the_call})
    if unknown:
        added = {name: body[name] for name in unknown if name not in OPTIONS_OF_THIS_PROCESS}
        options["extra"] = {**options.get("extra", {}), **added}
    stream = options.pop("stream", None)
    if not isinstance(stream, (bool, NoneType)):
        raise InvalidRequestError("is neither true nor false", field="stream")
    include_usage = _asks_for_usage(options.pop("stream_options", None))
    return ChatRequest(model.strip(), messages, tools, {**options, **about_the_call}, stream is True, include_usage)


OPTIONS_OF_THIS_PROCESS = frozenset({"extra", "fetch", "lenient_images", "reasoning_store"})
"""Options that a caller in this process may give, and no body from outside."""


def _list(body: Mapping[str, Any], name: str) -> list[Any] | None:
    value = body.get(name)
    if value is None or isinstance(value, list):
        return value
    if isinstance(value, (str, bytes, Mapping)):
        raise InvalidRequestError("is not a list", field=name)
    try:
        return list(value)
    except TypeError:
        raise InvalidRequestError("is not a list", field=name) from None


def _asks_for_usage(stream_options: Any) -> bool:
    return isinstance(stream_options, Mapping) and stream_options.get("include_usage") is True


class ChatCore:
    """Calls `Bedrock` for OpenAI-shaped faces; shared by threads.

    Reasoning that is kept in this process is kept in `store`.
    """

    def __init__(self, bedrock: Bedrock, *, carry: Carry = "store", store: ReasoningStore = REMEMBERED) -> None:
        if carry not in ("store", "ids", "none"):
            raise SettingsError(f'carry_reasoning is {carry!r}: expected "store", "ids" or "none"')
        self.bedrock = bedrock
        self._packs_ids = carry == "ids"
        # One for the process, as a rule: a runtime may make a client for every call, or have a sync and an async one.
        self._store = store if carry == "store" else None

    def complete(self, request: ChatRequest, **options: Any) -> Completion:
        """The whole answer; `options` are those of `Bedrock.complete` beside the request's own."""
        model = self._model(request)
        asked = {**self.options(request), **options}
        return self.carried(self.bedrock.complete(model, request.messages, request.tools, **asked))

    def open(self, request: ChatRequest, **options: Any) -> ChatStream:
        """The answer as it comes; `options` are those of `Bedrock.stream`, callbacks included."""
        asked = {**self.options(request), **options}
        return self.bedrock.stream(self._model(request), request.messages, request.tools, **asked)

    def _model(self, request: ChatRequest) -> str:
        if not request.model and not hasattr(self.bedrock, "route"):  # which knows a default
            raise InvalidRequestError("names no model", field="model")
        return request.model

    def chunks(self, stream: ChatStream, *, include_usage: bool = False) -> Iterator[Chunk]:
        """The chunks of a stream; raises what the stream raises."""
        return chunks_of(stream, self.chunk_maker(stream, include_usage=include_usage))

    def chunk_maker(self, stream: Any, *, include_usage: bool = False) -> ChunkMaker:
        """What makes the chunks of a stream, sync or async."""
        return ChunkMaker(stream.partial(), include_usage=include_usage, call_id=self.call_id(stream))

    def call_id(self, stream: Any) -> RenameCall | None:
        """What the tool calls of a stream are to be called, given their ids; None where these stay what they are."""
        return _IdPacker(stream) if self._packs_ids else None

    def options(self, request: ChatRequest) -> dict[str, Any]:
        """The options of a request, and where to look for the reasoning of its history."""
        options = dict(request.options)
        options.setdefault("reasoning_store", self._store)
        return options

    def carried(self, completion: Completion) -> Completion:
        """The completion, its reasoning on the way through whatever the runtime does to it."""
        calls = completion.message.tool_calls
        if self._packs_ids and calls:
            calls[0].id = pack_call_id(calls[0].id, completion.message.bedrock_content_blocks)
        return completion


class _IdPacker:
    """Puts into the ids of a stream's tool calls what came before each: more cannot be known when a stream has to name it.

    So the reasoning between two calls rides on the second one. What follows the last call is lost to this carrier.
    """

    def __init__(self, stream: Any) -> None:
        self._stream = stream
        self._carried = 0

    def __call__(self, call_id: str, first: bool) -> str:
        """The id to tell; `first` says that no call of the answer was told before."""
        if first:
            self._carried = 0
        # An async stream may be read ahead of what is told, so that the call itself and more have come already.
        so_far = self._stream.partial().message.bedrock_content_blocks
        before = list(takewhile(lambda block: block.get("toolUse", {}).get("toolUseId") != call_id, so_far))
        since = before[self._carried :]
        if not holds_reasoning(since) and not (self._carried and any("toolUse" not in block for block in since)):
            return call_id
        self._carried = len(before) + 1
        return packed_call_id(call_id, [*since, {"toolUse": {"toolUseId": call_id}}])
