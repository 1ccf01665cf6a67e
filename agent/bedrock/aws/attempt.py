"""What botocore is told of the attempt at hand, and tells: through its events, in the thread that makes the attempt.

In comes a client, whose events are listened to; out goes a layer that says for which call this thread sends. A connect
timeout for one call is asked for by the connection that is made for it (`cancel`). A read timeout is taken by botocore 1.44 and later from the context of its request (measured; no documented
interface); older versions ignore it there, and the client's own timeout holds. What is sent is counted when it is sent,
so that a call that fails for want of credentials counts nothing.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

from ..errors import SettingsError
from .explain import SECRET_HEADERS

if TYPE_CHECKING:
    from .journey import Answer, Call, Send

_PREPARING = "provide-client-params.bedrock-runtime"
_SENDING = "before-send.bedrock-runtime"
_ANSWERED = "before-parse.bedrock-runtime"  # botocore 1.35.16 and later

_sending = threading.local()
"""`journey`: of the call that this thread is handing to botocore."""


def send_for(call: Call, send: Send) -> Answer:
    """Send, and let the listeners know for whom."""
    outer = getattr(_sending, "journey", None)
    _sending.journey = call.journey
    call.journey.request_id = None
    try:
        return send(call)
    finally:
        _sending.journey = outer


def connect_timeout(usual: Any) -> Any:
    """Seconds in which a connection that this thread makes for its call has to stand: the client's, or less."""
    journey = getattr(_sending, "journey", None)
    asked = None if journey is None else journey.options.connect_timeout
    if asked is None:
        return usual
    return min(asked, usual) if isinstance(usual, (int, float)) else asked


def listen_to(client: Any) -> None:
    """Have a client's attempts take the read timeout of their call, keep their secrets, be counted, and be known."""
    for event, handler in _HANDLERS:
        client.meta.events.register(event, handler, unique_id=f"{__name__}.{handler.__name__}")


def make_one_attempt_at_a_time(client: Any) -> None:
    """Take botocore's own retrying out of a client that is configured for one attempt.

    Left in, it would do nothing but put "(reached max retries: 0)" into the text of every error.
    """
    client.meta.events.unregister("needs-retry.bedrock-runtime", unique_id="retry-config-bedrock-runtime")


def _set_read_timeout(context: dict[str, Any] | None = None, **_kwargs: Any) -> None:
    journey = getattr(_sending, "journey", None)
    if journey is not None and context is not None and journey.options.read_timeout is not None:
        context["read_timeout"] = journey.options.read_timeout


def _refuse_line_breaks(request: Any = None, **_kwargs: Any) -> None:
    """Raise where a header that holds a secret could not be sent: http.client would show the secret in its error.

    Keys given as arguments or variables were looked at before; those of files and processes only botocore has seen.
    """
    for name in SECRET_HEADERS:
        value = request.headers.get(name) if request is not None else None
        text = value.decode("latin-1") if isinstance(value, bytes) else str(value or "")
        if "\n" in text or "\r" in text:
            what = "the session token" if name == SECRET_HEADERS[1] else "the access key or bearer token"
            error = SettingsError(f"{what} has a line break inside (its value is not shown): set it anew at its source")
            error.kind = "auth"
            raise error


def _count(**_kwargs: Any) -> None:
    journey = getattr(_sending, "journey", None)
    if journey is not None:
        journey.record.attempts += 1


def _note_request_id(response_dict: Any = None, **_kwargs: Any) -> None:
    journey = getattr(_sending, "journey", None)
    if journey is not None and response_dict is not None:
        journey.request_id = response_dict["headers"].get("x-amzn-requestid")


_HANDLERS = (
    (_PREPARING, _set_read_timeout),
    (_SENDING, _refuse_line_breaks),
    (_SENDING, _count),
    (_ANSWERED, _note_request_id),
)
