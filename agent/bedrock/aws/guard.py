"""The guarded runtime client: a genuine boto3 client whose methods pass through layers.

In comes the event that botocore emits while it makes a client's class; out goes that class with its methods wrapped, so
that `isinstance`, `.exceptions`, `.meta`, Stubber and instrumentation of botocore hold as ever. A layer is a function
that takes the call and the way onward and adds one concern; the tuples below are read from the outside in. What a layer
learns about requests or answers it says by exceptions, logs and the record of the call; no layer changes the caller's
objects.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from functools import wraps
from typing import Any

from ..errors import CorruptStreamError, TruncatedResponseError, was_raised_in
from ..notes import NO_NOTES, NOTES_KEY, notes_of_request
from ..values import changed
from .attempt import send_for
from .cancel import release_whoever_gives_up
from .explain import explain
from .fallbacks import refuse_unreachable_regions, remember_who_cannot_stream, skip_who_is_cooling, tell_as_stream
from .journey import STREAM, WHOLE, Answer, Call, Journey, Layer, Protection, Send
from .learned import leave_out_what_is_refused
from .members import known_parameters
from .options import NO_OPTIONS, CallOptions
from .remedies import persist, tell_attempts
from .resume import hold_stream

__all__ = ["CONVERSE_LAYERS", "OTHER_LAYERS", "STREAM_LAYERS", "Call", "guarding", "request_id"]

_CLASS_EVENT = "creating-client-class.bedrock-runtime"
_PARSERS = ("botocore.parsers",)


# --- layers -----------------------------------------------------------------------------------------------------------


def explain_failures(call: Call, send: Send) -> Answer:
    """Let exceptions pass with advice; they stay the very same exceptions."""
    journey = call.journey
    try:
        return send(call)
    except Exception as error:
        if error is not journey.callers_own:
            explain(error, journey.protection.profile)
        tell_attempts(error, journey)
        _tell_request(error, journey)
        raise


def _tell_request(error: Exception, journey: Journey) -> None:
    """Put the id of the request on an exception that does not say itself which it was."""
    with suppress(AttributeError, TypeError):  # an exception with slots cannot carry more than it is
        if journey.request_id is not None and getattr(error, "request_id", None) is None:
            error.request_id = journey.request_id  # type: ignore[attr-defined]


def carry_notes(call: Call, send: Send) -> Answer:
    """Put the notes that ride on the request's messages on the answer, for whoever is handed nothing else."""
    answer = send(call)
    notes = notes_of_request(call.as_answered.parameters)  # a fallback may have been asked with its own
    if notes is NO_NOTES:
        return answer
    noted = changed(notes, record=call.journey.record)
    return {**answer, "ResponseMetadata": {**answer.get("ResponseMetadata", {}), NOTES_KEY: noted}}


def ask_who_is_ready(call: Call, send: Send) -> Answer:
    """Begin with whoever has not been found overloaded just now, where the caller named others."""
    refuse_unreachable_regions(call)
    return send(skip_who_is_cooling(call))


def leave_out_unknown_members(call: Call, send: Send) -> Answer:
    """Send what the installed botocore knows."""
    known = known_parameters(call.client.meta.service_model, call.operation, call.parameters)
    return send(call if known is call.parameters else changed(call, parameters=known))


def keep_one_token(call: Call, send: Send) -> Answer:
    """Send every attempt with one idempotency token: botocore draws one per attempt, and a job would start twice."""
    from uuid import uuid4

    meta = call.client.meta
    members = meta.service_model.operation_model(meta.method_to_api_mapping[call.operation]).idempotent_members
    drawn = {name: str(uuid4()) for name in members if name not in call.parameters}
    return send(changed(call, parameters={**call.parameters, **drawn}) if drawn else call)


def require_complete_answer(call: Call, send: Send) -> Answer:
    """Refuse a whole answer without `output` or `stopReason`, and one of another form.

    botocore gives `{}` for a 200 whose body is empty, cut by its Content-Length, or HTML; for JSON of another form, and
    for bytes that are no text, its parser breaks with a builtin exception (measured with 1.44.5), which may hold the
    body. That a stream is complete is proven where its events are read.
    """
    try:
        answer = send(call)
    except (ArithmeticError, AttributeError, LookupError, RecursionError, TypeError, ValueError) as error:
        if not was_raised_in(error, _PARSERS):
            raise
        found = call.journey.request_id
        call.journey.record.uncounted += 1
        raise CorruptStreamError("the answer is not in the form of Bedrock's", request_id=found) from None
    absent = [name for name in ("output", "stopReason") if name not in answer] if call.operation == WHOLE else []
    if absent:
        call.journey.record.uncounted += 1
        what = f"the answer has no {' and no '.join(absent)}: its body was empty, cut short, or not from Bedrock"
        refusal = TruncatedResponseError(what, request_id=request_id(answer))
        refusal.answer = answer
        raise refusal
    return answer


def request_id(answer: Answer) -> str | None:
    """The AWS request id of a botocore answer."""
    metadata = answer.get("ResponseMetadata") or {}
    found = metadata.get("RequestId") or (metadata.get("HTTPHeaders") or {}).get("x-amzn-requestid")
    return str(found) if found else None


#: What every single attempt passes, whoever is asked.
_EACH_ATTEMPT: tuple[Layer, ...] = (
    leave_out_what_is_refused,
    leave_out_unknown_members,
    require_complete_answer,
    release_whoever_gives_up,
    send_for,
)
CONVERSE_LAYERS: tuple[Layer, ...] = (explain_failures, carry_notes, ask_who_is_ready, persist, *_EACH_ATTEMPT)
STREAM_LAYERS: tuple[Layer, ...] = (
    explain_failures,
    carry_notes,
    ask_who_is_ready,
    hold_stream,
    remember_who_cannot_stream,
    tell_as_stream,
    *_EACH_ATTEMPT,
)
OTHER_LAYERS: tuple[Layer, ...] = (explain_failures, keep_one_token, persist, send_for)


# --- the class --------------------------------------------------------------------------------------------------------

#: Method, the service's name of the operation, and the layers around it; every other operation has OTHER_LAYERS.
_GUARDED: Mapping[str, tuple[str, tuple[Layer, ...]]] = {
    "converse": (WHOLE, CONVERSE_LAYERS),
    "converse_stream": (STREAM, STREAM_LAYERS),
}

_registering = threading.Lock()
_building = threading.local()


def _unlock_after_fork() -> None:
    """In a forked child: a lock that another thread of the parent held would stay locked for ever."""
    global _registering  # noqa: PLW0603 - a lock cannot be emptied
    _registering = threading.Lock()


if hasattr(os, "register_at_fork"):  # not on Windows, which cannot fork
    os.register_at_fork(after_in_child=_unlock_after_fork)


@contextmanager
def guarding(events: Any, protection: Protection | None = None) -> Iterator[None]:
    """Guard the runtime clients that this thread builds in the meantime on a session with these events.

    The session may be the caller's own: what it builds in other threads or later stays as it was.
    """
    # By identity and count: two threads may build on one session at once.
    handler = {"handler": _guard_class, "unique_id": f"{__name__}.guard", "unique_id_uses_count": True}
    with _registering:
        events.register(_CLASS_EVENT, **handler)
    _building.protection = protection or Protection()
    try:
        yield
    finally:
        _building.protection = None
        with _registering:
            events.unregister(_CLASS_EVENT, **handler)


def _guard_class(class_attributes: dict[str, Any], **_kwargs: Any) -> None:
    protection = getattr(_building, "protection", None)
    if protection is None:
        return
    operations = class_attributes.get("_PY_TO_OP_NAME", {})
    methods = {name: class_attributes[name] for name in operations if name in class_attributes}
    genuine = {operation: methods[name] for name, (operation, _) in _GUARDED.items()}
    for name, method in methods.items():
        operation, layers = _GUARDED.get(name, (name, OTHER_LAYERS))
        class_attributes[name] = _guarded_method(method, operation, layers, {**genuine, operation: method}, protection)
    class_attributes["close"] = _closing(protection)


def _closing(protection: Protection) -> Callable[[Any], None]:
    """A client's `close()` that reaches the clients which stood in for it."""
    from botocore.client import BaseClient

    def close(self: Any) -> None:
        """Close the connections; those in use, once they are not."""
        BaseClient.close(self)
        if protection.clients is not None:
            protection.clients.close()

    return close


def _guarded_method(
    genuine: Callable[..., Answer],
    operation: str,
    layers: tuple[Layer, ...],
    by_operation: Mapping[str, Callable[..., Answer]],
    protection: Protection,
) -> Callable[..., Answer]:
    """`genuine` with the layers around it; it stays the innermost, so that every call runs botocore's own way."""
    send = _stacked(layers, _send)

    @wraps(genuine)
    def guarded(self: Any, *args: Any, **kwargs: Any) -> Answer:
        if args or any(hasattr(value, "read") for value in kwargs.values()):
            # Positional arguments get botocore's own words; what is read from a file cannot be sent twice.
            return genuine(self, *args, **kwargs)
        options = _options(kwargs)
        journey = Journey(operation, protection, options, fallbacks=list(options.fallbacks))
        client = self if protection.clients is None else protection.clients.current(self)
        return send(Call(client, operation, kwargs, journey, by_operation))

    return guarded


def _options(parameters: Mapping[str, Any]) -> CallOptions:
    options = notes_of_request(parameters).options
    return options if isinstance(options, CallOptions) else NO_OPTIONS


def _send(call: Call) -> Answer:
    return call.genuine[call.operation](call.client, **call.parameters)


def _stacked(layers: tuple[Layer, ...], innermost: Send) -> Send:
    send = innermost
    for layer in reversed(layers):
        send = _around(layer, send)
    return send


def _around(layer: Layer, send: Send) -> Send:
    def onward(call: Call) -> Answer:
        return layer(call, send)

    return onward
