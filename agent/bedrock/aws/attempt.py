"""What botocore is told of the attempt at hand, and tells: through its events, in the thread that makes the attempt.

In comes a client, whose events are listened to; out goes a layer that says for which call this thread sends. A read
timeout for one call is taken by botocore 1.44 and later from the context of its request (measured; no documented
interface); older versions ignore it there, and the client's own timeout holds. What is sent is counted when it is sent,
so that a call that fails for want of credentials counts nothing.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .journey import Answer, Call, Send

_EVENTS = ("provide-client-params.bedrock-runtime", "before-send.bedrock-runtime")

_sending = threading.local()
"""`journey`: of the call that this thread is handing to botocore."""


def send_for(call: Call, send: Send) -> Answer:
    """Send, and let the listeners know for whom."""
    outer = getattr(_sending, "journey", None)
    _sending.journey = call.journey
    try:
        return send(call)
    finally:
        _sending.journey = outer


def listen_to(client: Any) -> None:
    """Have a client's attempts take the read timeout of their call, and be counted."""
    for event, handler in zip(_EVENTS, (_set_read_timeout, _count), strict=True):
        client.meta.events.register(event, handler, unique_id=f"{__name__}.{event}")


def make_one_attempt_at_a_time(client: Any) -> None:
    """Take botocore's own retrying out of a client that is configured for one attempt.

    Left in, it would do nothing but put "(reached max retries: 0)" into the text of every error.
    """
    client.meta.events.unregister("needs-retry.bedrock-runtime", unique_id="retry-config-bedrock-runtime")


def _set_read_timeout(context: dict[str, Any] | None = None, **_kwargs: Any) -> None:
    journey = getattr(_sending, "journey", None)
    if journey is not None and context is not None and journey.options.read_timeout is not None:
        context["read_timeout"] = journey.options.read_timeout


def _count(**_kwargs: Any) -> None:
    journey = getattr(_sending, "journey", None)
    if journey is not None:
        journey.record.attempts += 1
