"""The guarded runtime client: a genuine boto3 client whose converse() and converse_stream() pass through layers.

In comes the event that botocore emits while it makes a client's class; out goes that class with two methods wrapped, so
that `isinstance`, `.exceptions`, `.meta`, Stubber and instrumentation of botocore hold as ever. A layer is a function
that takes the call and the way onward and adds one concern; the tuples below are read from the outside in. What a layer
learns about requests or answers it says by exceptions and logs; no layer changes the caller's objects.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial, wraps
from typing import Any

from ..errors import TruncatedResponseError
from ..notes import NO_NOTES, NOTES_KEY, notes_of_request
from .explain import explained
from .members import known_parameters

_CLASS_EVENT = "creating-client-class.bedrock-runtime"

Answer = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Call:
    """One call of a guarded client; `operation` is the service's name for it (Converse, ConverseStream).

    `profile` is the AWS profile that the client was built with, None for the default one or none.
    """

    client: Any
    operation: str
    parameters: dict[str, Any]
    profile: str | None = None


Send = Callable[[Call], Answer]
Layer = Callable[[Call, Send], Answer]


# --- layers -----------------------------------------------------------------------------------------------------------


def explain_failures(call: Call, send: Send) -> Answer:
    """Let exceptions pass with advice; they stay the very same exceptions."""
    with explained(call.profile):
        return send(call)


def carry_notes(call: Call, send: Send) -> Answer:
    """Put the notes that ride on the request's messages on the answer, for whoever is handed nothing else."""
    answer = send(call)
    notes = notes_of_request(call.parameters)
    if notes is NO_NOTES:
        return answer
    return {**answer, "ResponseMetadata": {**answer.get("ResponseMetadata", {}), NOTES_KEY: notes}}


def leave_out_unknown_members(call: Call, send: Send) -> Answer:
    """Send what the installed botocore knows."""
    known = known_parameters(call.client.meta.service_model, call.operation, call.parameters)
    return send(call if known is call.parameters else replace(call, parameters=known))


def require_complete_answer(call: Call, send: Send) -> Answer:
    """Refuse a whole answer without `output` or `stopReason`.

    botocore gives `{}` for a 200 whose body is empty, cut by its Content-Length, or HTML (measured with 1.44.5).
    """
    answer = send(call)
    absent = [name for name in ("output", "stopReason") if name not in answer]
    if absent:
        raise TruncatedResponseError(
            f"the answer has no {' and no '.join(absent)}: its body was empty, cut short, or not from Bedrock",
            request_id=request_id(answer),
        )
    return answer


def request_id(answer: Answer) -> str | None:
    """The AWS request id of a botocore answer."""
    metadata = answer.get("ResponseMetadata") or {}
    found = metadata.get("RequestId") or (metadata.get("HTTPHeaders") or {}).get("x-amzn-requestid")
    return str(found) if found else None


CONVERSE_LAYERS: tuple[Layer, ...] = (
    explain_failures,
    carry_notes,
    leave_out_unknown_members,
    require_complete_answer,
)
#: That a stream is complete is proven where its events are gathered, not where it is opened.
STREAM_LAYERS: tuple[Layer, ...] = (explain_failures, carry_notes, leave_out_unknown_members)


# --- the class --------------------------------------------------------------------------------------------------------

#: Method, the service's name of the operation, and the layers around it.
_GUARDED: tuple[tuple[str, str, tuple[Layer, ...]], ...] = (
    ("converse", "Converse", CONVERSE_LAYERS),
    ("converse_stream", "ConverseStream", STREAM_LAYERS),
)

_registering = threading.Lock()
_building = threading.local()


@contextmanager
def guarding(events: Any, profile: str | None = None) -> Iterator[None]:
    """Guard the runtime clients that this thread builds in the meantime on a session with these events.

    The session may be the caller's own: what it builds in other threads or later stays as it was.
    """
    # By identity and count: two threads may build on one session at once.
    handler = {"handler": _guard_class, "unique_id": f"{__name__}.guard", "unique_id_uses_count": True}
    with _registering:
        events.register(_CLASS_EVENT, **handler)
    _building.method = partial(_guarded_method, profile=profile)
    try:
        yield
    finally:
        _building.method = None
        with _registering:
            events.unregister(_CLASS_EVENT, **handler)


def _guard_class(class_attributes: dict[str, Any], **_kwargs: Any) -> None:
    guarded_method = getattr(_building, "method", None)
    if guarded_method is None:
        return
    for name, operation, layers in _GUARDED:
        if name in class_attributes:
            class_attributes[name] = guarded_method(class_attributes[name], operation, layers)


def _guarded_method(
    genuine: Callable[..., Answer], operation: str, layers: tuple[Layer, ...], *, profile: str | None
) -> Callable[..., Answer]:
    """`genuine` with the layers around it; it stays the innermost, so that every call runs botocore's own way."""
    send = _stacked(layers, lambda call: genuine(call.client, **call.parameters))

    @wraps(genuine)
    def guarded(self: Any, *args: Any, **kwargs: Any) -> Answer:
        if args:
            return genuine(self, *args, **kwargs)  # botocore's own words about positional arguments
        return send(Call(self, operation, kwargs, profile))

    return guarded


def _stacked(layers: tuple[Layer, ...], innermost: Send) -> Send:
    send = innermost
    for layer in reversed(layers):
        send = _around(layer, send)
    return send


def _around(layer: Layer, send: Send) -> Send:
    return lambda call: layer(call, send)
