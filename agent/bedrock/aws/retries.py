"""Retries: when a call that failed is sent once more, and how long that waits.

In comes a call and what it failed with; out goes the call to be sent again, or None. All attempts are ours: botocore is
built with one attempt, so that the two never multiply, and counts as in `attempts = 1 + retries`:

    attempts       BEDROCK_MAX_ATTEMPTS, 3 in all; none begins later than BEDROCK_RETRY_SECONDS (180) after the call
    throttled      waits up to 1 s, then 2 s, 4 s ... at most 20 s (full jitter), as an overloaded model does
    anything else  up to 0.1 s, then 0.2 s, 0.4 s ...
    told to wait   `x-amz-retry-after` (ms) or `Retry-After` (s, or a date), and up to the first wait on top of it;
                   longer than the budget or the deadline allows: not retried

Retried is what `errors.classify` calls retryable; a read timeout or an idle stream is not (the service would generate,
and bill, again), nor a daily quota, nor what the service refused. Whoever cancels is released from a wait at once.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from .pace import current_pace

if TYPE_CHECKING:
    from ..errors import Failure, Kind
    from .journey import Call, Journey

logger = logging.getLogger(__name__)

LONGEST_WAIT = 20.0
"""Seconds, unless the service asks for more."""

_FIRST_WAITS: dict[Kind, float] = {"rate_limit": 1.0, "overloaded": 1.0}
_FIRST_WAIT = 0.1


def try_again(call: Call, error: Exception, failure: Failure) -> Call | None:
    """The same call once more, after a while."""
    journey = call.journey
    if not failure.retryable or not _attempts_left(journey) or not came_over_the_wire(error):
        return None
    delay = wait_before(failure, journey.retries)
    if not _in_time(journey, delay):
        return None
    journey.retries += 1
    logger.info(
        "region=%s model=%s kind=%s | attempt %d of %d follows in %.2f s",
        call.region,
        call.model,
        failure.kind,
        journey.retries + 1,
        journey.attempts_allowed,
        delay,
    )
    current_pace().wait(delay, journey.check, journey.bell)
    return call


def _attempts_left(journey: Journey) -> bool:
    """Whether the budget of attempts has one more."""
    return journey.retries + 1 < journey.attempts_allowed


def wait_before(failure: Failure, retries: int) -> float:
    """Seconds to wait after a failure, so many retries having been made."""
    first = _FIRST_WAITS.get(failure.kind, _FIRST_WAIT)
    pace = current_pace()
    if failure.retry_after is not None:
        return failure.retry_after + pace.jitter(first)
    return pace.jitter(min(LONGEST_WAIT, first * 2**retries))


def _in_time(journey: Journey, delay: float) -> bool:
    """Whether the next attempt would begin within the budget of seconds, and before the caller's deadline."""
    begins = current_pace().now() + delay
    if journey.deadline is not None and begins >= journey.deadline:
        return False
    return begins <= journey.began + journey.protection.settings.retry_seconds


def came_over_the_wire(error: Exception) -> bool:
    """Whether a server said it: what botocore's Stubber or a hook of the caller answers is not asked for twice."""
    response: Any = getattr(error, "response", None)
    metadata = response.get("ResponseMetadata") if isinstance(response, dict) else None
    # botocore counts its own retries into every answer that it has from a server (`RetryAttempts`, also when 0).
    return not (isinstance(metadata, dict) and "HTTPStatusCode" in metadata and "RetryAttempts" not in metadata)
