"""Hooks for metrics and audit: what a caller may hang on the beginning and the end of every call.

In come up to three functions, out go frozen `CallDetails`, without any content of the conversation. A stream that fails
counts as a failure, one that its reader leaves as interrupted. A hook that raises is logged and does no harm.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Literal, Self

from ..errors import NOT_ITS_FORM, CallInterruptedError, Kind, SettingsError, answer_of_another_form, classify
from ..notes import notes_of_answer
from ..response.events import Event, ReasoningDelta, TextDelta, ToolCallStart
from ..values import changed, frozen, names_of

if TYPE_CHECKING:
    from types import TracebackType

    from ..chat import ChatStream
    from ..response.accumulator import Accumulator
    from ..response.completion import Completion

logger = logging.getLogger(__name__)

Outcome = Literal["started", "complete", "interrupted", "failed"]


@frozen
class CallDetails:
    """What is known of a call when a hook is told of it; times in seconds, counted from the call's beginning.

    `model` is who was asked, and at the end who answered: a fallback, where one did.
    `seconds_to_first_token` is about streams: reasoning and tool calls count as tokens. `latency_ms` is the service's
    own figure. `kind`, `error` (the exception's class) and `status` say how a call failed; its tokens are those that the
    service had reported by then, mostly none.
    """

    model: str
    stream: bool
    outcome: Outcome = "started"
    seconds: float = 0.0
    seconds_to_first_token: float | None = None
    latency_ms: int | None = None
    prompt_tokens: int = 0
    completion_tokens: int = 0
    cache_read_tokens: int = 0
    cache_write_tokens: int = 0
    finish_reason: str | None = None
    attempts: int = 1
    request_id: str | None = None
    kind: Kind | None = None
    error: str | None = None
    status: int | None = None


Hook = Callable[[CallDetails], Any]


@frozen
class Hooks:
    """`on_request` is told when a call begins, then either `on_response` or `on_error` when it is over, exactly once."""

    on_request: Hook | None = None
    on_response: Hook | None = None
    on_error: Hook | None = None

    def __post_init__(self) -> None:
        for name in names_of(Hooks):
            hook = getattr(self, name)
            if hook is not None and not _can_be_called(hook):
                raise SettingsError(
                    f"{name} is no function that can be called: of coroutine functions nobody waits for the end"
                )

    def call(self, model: str, *, stream: bool = False) -> HookedCall | UnhookedCall:
        """A call to be told of, as a context manager around its opening."""
        if self.on_request is None and self.on_response is None and self.on_error is None:
            return UNHOOKED
        return HookedCall(self, CallDetails(model, stream))


def _can_be_called(hook: Any) -> bool:
    from inspect import iscoroutinefunction

    return callable(hook) and not iscoroutinefunction(hook)


class UnhookedCall:
    """A call that nobody asked to hear of."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Nothing to tell."""

    def ended(self, completion: Completion, answer: Any) -> Completion:
        """The completion of a whole answer."""
        return completion

    def followed(self, stream: ChatStream, answer: Any) -> ChatStream:
        """The stream, whose end is the call's end."""
        return stream


UNHOOKED = UnhookedCall()


class HookedCall(UnhookedCall):
    """One call and the hooks that hear of it."""

    def __init__(self, hooks: Hooks, details: CallDetails) -> None:
        self._hooks = hooks
        self._details = details
        self._begun = time.perf_counter()
        self._first_token: float | None = None
        self._untold = threading.Lock()  # whoever gets it tells: a reader, another thread that closes, the collector

    def __enter__(self) -> Self:
        _tell(self._hooks.on_request, self._details)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if error is not None:
            self._failed(error)

    def ended(self, completion: Completion, answer: Any) -> Completion:
        """Tell that a whole answer is there."""
        self._finished(completion, attempts_of(answer))
        return completion

    def followed(self, stream: ChatStream, answer: Any) -> ChatStream:
        """The stream; its end is told when it has come."""
        attempts = attempts_of(answer)
        return stream.follow(lambda events, accumulator: _Followed(events, accumulator, self, attempts))

    def token(self) -> None:
        """Note when the first token came."""
        self._first_token = self._passed()

    def stream_ended(self, accumulator: Accumulator, attempts: int) -> None:
        """Tell that a stream is over, read to its end or left; what cannot be folded into an answer has failed."""
        try:
            completion = accumulator.completion(interrupted=not accumulator.complete)
        except NOT_ITS_FORM:
            self._failed(answer_of_another_form(accumulator.request_id), attempts=attempts)
        else:
            self._finished(completion, attempts)

    def stream_failed(self, error: BaseException, accumulator: Accumulator) -> None:
        """Tell that a stream failed, with what the service had counted by then."""
        partial = None
        with suppress(*NOT_ITS_FORM):
            partial = accumulator.completion()
        self._failed(error, partial)

    def _finished(self, completion: Completion, attempts: int) -> None:
        if not self._untold.acquire(blocking=False):
            return
        interrupted = completion.bedrock.interrupted
        details = changed(
            self._counted(completion),
            outcome="interrupted" if interrupted else "complete",
            finish_reason=None if interrupted else completion.choices[0].finish_reason,
            attempts=max(attempts, completion.bedrock.attempts),  # a stream may be opened again while it is read
        )
        _tell(self._hooks.on_response, details)

    def _failed(self, error: BaseException, partial: Completion | None = None, attempts: int = 1) -> None:
        if not self._untold.acquire(blocking=False):
            return
        attempts = max(attempts, attempts_of(error))
        error = _own_reason(error)
        failure = classify(error)
        counted = self._timed() if partial is None else self._counted(partial)
        details = changed(
            counted,
            outcome="interrupted" if failure.kind == "interrupted" else "failed",
            attempts=attempts,
            request_id=failure.request_id or counted.request_id,
            kind=failure.kind,
            error=type(error).__name__,
            status=failure.status,
        )
        _tell(self._hooks.on_error, details)

    def _counted(self, completion: Completion) -> CallDetails:
        usage = completion.usage
        return changed(
            self._timed(),
            model=completion.model or self._details.model,
            latency_ms=completion.bedrock.latency_ms,
            prompt_tokens=usage.prompt_tokens,
            completion_tokens=usage.completion_tokens,
            cache_read_tokens=usage.cache_read_input_tokens,
            cache_write_tokens=usage.cache_creation_input_tokens,
            request_id=completion.bedrock.request_id,
        )

    def _timed(self) -> CallDetails:
        return changed(self._details, seconds=self._passed(), seconds_to_first_token=self._first_token)

    def _passed(self) -> float:
        return time.perf_counter() - self._begun


_TOKENS = frozenset({TextDelta, ReasoningDelta, ToolCallStart})


class _Followed:
    """The events of a stream on their way to the reader; knows how they ended, even if the reader forgot them."""

    def __init__(self, events: Iterator[Event], accumulator: Accumulator, call: HookedCall, attempts: int) -> None:
        self._events = events
        self._accumulator = accumulator
        self._call = call
        self._attempts = attempts
        self._awaiting_token = True

    def __iter__(self) -> Iterator[Event]:
        return self

    def __next__(self) -> Event:
        try:
            event = next(self._events)
        except StopIteration:
            self._call.stream_ended(self._accumulator, self._attempts)
            raise
        except BaseException as error:
            self._call.stream_failed(error, self._accumulator)
            raise
        if self._awaiting_token and type(event) in _TOKENS:
            self._awaiting_token = False
            self._call.token()
        return event

    def left(self) -> None:
        """The reader has closed the stream, and may never ask again."""
        self._call.stream_ended(self._accumulator, self._attempts)

    __del__ = left


def _own_reason(error: BaseException) -> BaseException:
    """What ended the call: where nobody waits for it any more, its error is only what woke its thread."""
    from ..aws.cancel import is_given_up

    return CallInterruptedError("nobody waited for the call any more") if is_given_up() else error


def attempts_of(told: Any) -> int:
    """How often the request was sent, from an answer or from botocore's exception; 1 where neither says."""
    noted = max(notes_of_answer(told).attempts, getattr(told, "attempts", 1) or 1)
    answer = told if isinstance(told, Mapping) else getattr(told, "response", None)
    metadata = answer.get("ResponseMetadata") if isinstance(answer, Mapping) else None
    retries = metadata.get("RetryAttempts") if isinstance(metadata, Mapping) else None
    return max(noted, retries + 1) if isinstance(retries, int) else noted


def _tell(hook: Hook | None, details: CallDetails) -> None:
    if hook is None:
        return
    try:
        hook(details)
    except Exception as error:  # noqa: BLE001 - metrics may never cost an answer
        logger.warning("model=%s error=%s | a hook raised; the call goes on", details.model, type(error).__name__)
