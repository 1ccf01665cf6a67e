"""What is done about a call that failed: the remedies, one after another, until one has a better call to send.

In comes a call, out goes its answer or the last failure, unchanged. A remedy takes the call, the exception and what it
means, and gives the call to send next, or None. The order below is the order of trying: what heals at once comes first,
waiting comes late, somebody else's answer last. Every remedy is bounded by what it keeps in the call's journey.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from contextlib import suppress

from ..errors import Failure, annotate, classify
from .explain import forget_secrets
from .fallbacks import ask_another, ask_another_at_once, ask_for_a_whole_answer
from .journey import Answer, Call, Journey, Send
from .learned import keep_what_was_learned, take_back_what_was_refused
from .renewal import renew_credentials
from .retries import try_again

logger = logging.getLogger(__name__)

Remedy = Callable[[Call, Exception, Failure], Call | None]

REMEDIES: tuple[Remedy, ...] = (
    take_back_what_was_refused,
    ask_for_a_whole_answer,
    renew_credentials,
    ask_another_at_once,
    try_again,
    ask_another,
)


def persist(call: Call, send: Send) -> Answer:
    """Send a call until it is answered, or no remedy is left."""
    while True:
        try:
            answer = send(call)
        except Exception as error:
            better = remedied(call, error)
            if better is None:
                raise
            forget_secrets(error)
            call = better
            continue
        call.journey.answered = (call.client, call.operation, call.parameters)
        keep_what_was_learned(call)
        return answer


def remedied(call: Call, error: Exception) -> Call | None:
    """The call to send after this failure, None where it is to be raised; whoever cancelled gets that raised."""
    if error is call.journey.callers_own:
        return None  # whatever it looks like, it says nothing of the call
    failure = classify(error)
    empty_stale_pool(call, failure)
    for remedy in REMEDIES:
        better = remedy(call, error, failure)
        if better is not None:
            return better
    return None


def empty_stale_pool(call: Call, failure: Failure) -> None:
    """Close the idle connections of a client whose connection was stale; those in use, and the client, live on.

    The next call opens a new one: measured with botocore 1.44.5, no fault needs more than that (a new client costs a
    thousand times as much). Clients of other regions, which the client's own `close()` would reach, keep theirs.
    """
    if failure.evict and hasattr(call.client, "close"):
        from botocore.client import BaseClient

        logger.info("region=%s kind=%s | emptied the client's pool of connections", call.region, failure.kind)
        BaseClient.close(call.client)


def tell_attempts(error: Exception, journey: Journey) -> None:
    """Say on the exception how many requests were sent."""
    attempts = journey.record.attempts
    with suppress(AttributeError, TypeError):  # an exception with slots cannot carry more than it is
        error.attempts = attempts  # type: ignore[attr-defined]
    if attempts > 1:
        annotate(error, f"{attempts} requests were sent.")
