"""What a caller may ask of a call beside what is in the request: how long, how often, in whose place, and when to stop.

In come keyword arguments of a face, out goes a frozen `CallOptions`, which travels to the guarded client with the notes
on the request's messages, so that `converse()` and `converse_stream()` keep boto3's signature. Nothing is done here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Protocol

from ..errors import InvalidRequestError
from ..values import frozen, names_of
from .settings import LONGEST

RESUMES = ("restart", "continue")


class CancelToken(Protocol):
    """What `cancel` takes: a `threading.Event`, or anything else that can be asked and waited for."""

    def is_set(self) -> bool:
        """Whether the call is to end."""

    def wait(self, timeout: float | None = None) -> bool:
        """Wait for that, at most so many seconds."""


@frozen
class CallOptions:
    """The options of one call; seconds throughout, None leaves a thing to the client's settings.

    `deadline` counts from now and is for everything together; `read_timeout` is for this call what the setting is for
    all (botocore 1.44 and later), `connect_timeout` too, where it is shorter. `resume` says what becomes of a stream that breaks off after output began: "restart"
    begins the turn again, "continue" goes on where it broke off; both tell so by an event, None raises. `fallbacks` are
    pairs of region and model, None for the call's own, that are asked in this order where the account is throttled, the
    model overloaded or the region out. `cancel` and `on_interrupt_check` end the call also while nothing arrives; the
    latter is asked every 20 ms, while a stream is silent by a watchdog thread, so it must be thread-safe.

    The face adds at which moment of the clock the call `began` (else: when it comes to the client), whether the model
    takes a `prefill`, and `request_for(model)`, which builds the request for a fallback.
    """

    deadline: float | None = None
    connect_timeout: float | None = None
    read_timeout: float | None = None
    max_attempts: int | None = None
    resume: str | None = None
    fallbacks: Iterable[tuple[str | None, str | None]] = ()
    cancel: CancelToken | None = None
    on_interrupt_check: Callable[[], Any] | None = None
    began: float | None = None
    prefill: bool = False
    request_for: Callable[[str], dict[str, Any]] | None = None

    def __post_init__(self) -> None:
        for name in ("deadline", "read_timeout", "connect_timeout"):
            _check_seconds(name, getattr(self, name))
        if self.max_attempts is not None and (type(self.max_attempts) is not int or self.max_attempts < 1):
            raise InvalidRequestError("is not a whole number from 1 on", field="max_attempts")
        if self.resume not in (None, *RESUMES):
            raise InvalidRequestError(f"is not one of {', '.join(RESUMES)}", field="resume")
        if self.cancel is not None and not hasattr(self.cancel, "is_set"):
            raise InvalidRequestError("cannot be asked: give a threading.Event", field="cancel")
        object.__setattr__(self, "fallbacks", _pairs(self.fallbacks))

    @property
    def interrupt_check(self) -> Callable[[], Any] | None:
        """Whether to end the call, as one question: the token and the callback; None where there is neither."""
        cancel, check = self.cancel, self.on_interrupt_check
        if cancel is None:
            return check
        return cancel.is_set if check is None else lambda: cancel.is_set() or check()


_OF_THE_FACE = frozenset({"began", "prefill", "request_for"})

CALL_OPTIONS = frozenset(names_of(CallOptions)) - _OF_THE_FACE
"""The names of keyword arguments that are no options of the request."""


def split_options(options: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """The options of the call, and those of the request."""
    call = {name: value for name, value in options.items() if name in CALL_OPTIONS and value is not None}
    if "fallbacks" in call:
        call["fallbacks"] = _pairs(call["fallbacks"])  # an iterator could be read only once
    return call, {name: value for name, value in options.items() if name not in CALL_OPTIONS}


def _check_seconds(name: str, value: Any) -> None:
    if value is None:
        return
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 < value <= LONGEST:
        raise InvalidRequestError(f"is not a number of seconds above 0 (and up to {LONGEST})", field=name)


def _pairs(fallbacks: Any) -> tuple[tuple[str | None, str | None], ...]:
    try:
        pairs = tuple(fallbacks)
    except TypeError:
        pairs = (fallbacks,)
    if not all(_is_pair(pair) for pair in pairs):
        raise InvalidRequestError("is not a list of pairs of region and model", field="fallbacks")
    return tuple((region, model) for region, model in pairs)


def _is_pair(pair: Any) -> bool:
    if not isinstance(pair, (tuple, list)) or len(pair) != 2:
        return False
    return all(item is None or (isinstance(item, str) and bool(item.strip())) for item in pair)


NO_OPTIONS = CallOptions()
