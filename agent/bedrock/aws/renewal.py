"""Clients beside the one that a call came through: with fresh credentials, or in another region.

In comes a way to build a client for a region, with the credentials and settings of the first; out come clients, kept for
as long as they hold. A loop that holds only the first client is served by the renewed one behind it.
"""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

from ..errors import Failure, class_names, service_error
from ..values import changed
from .cancel import released, stop_if_given_up
from .pace import current_pace

if TYPE_CHECKING:
    from .journey import Call

logger = logging.getLogger(__name__)

RENEWAL_INTERVAL = 5.0
"""Seconds between two renewals: what fresh credentials did not heal, fresher ones will not heal either."""


class Clients:
    """The clients of one `Protection`, by region; safe for threads, and in a forked child.

    `renew` prepares for a client with fresh credentials, and says whether one that is built anew may have any.
    """

    def __init__(self, build: Callable[[str], Any], renew: Callable[[], bool]) -> None:
        self._build = build
        self._renew = renew
        self._start_afresh()

    def _start_afresh(self) -> None:
        self._process = os.getpid()
        self._kept: dict[str, Any] = {}
        self._renewed_at: dict[str, float] = {}
        self._lock = threading.Lock()

    def current(self, client: Any) -> Any:
        """The client that stands in for this one now: mostly itself.

        A loop that takes its client through a fork is served by one with connections of its own: on the parent's, two
        processes would read each other's answers.
        """
        if self._process != os.getpid():
            self._start_afresh()
            self.client_in(client.meta.region_name)
        return self._kept.get(client.meta.region_name, client) if self._kept else client

    def client_in(self, region: str) -> Any:
        """A client for that region."""
        with self._lock:
            if region not in self._kept:
                stop_if_given_up()
                self._kept[region] = self._build(region)
            return self._kept[region]

    def close(self) -> None:
        """Close the connections of all of them."""
        for client in list(self._kept.values()):
            client.close()

    def renewed(self, region: str, stale: Any) -> Any:
        """A client with fresh credentials in place of `stale`; None where there are none, or it was done only just now.

        Threads that ask for the same at once get one client.
        """
        with self._lock:
            kept = self._kept.get(region)
            if kept is not None and kept is not stale:
                return kept
            now = current_pace().now()
            if now - self._renewed_at.get(region, -RENEWAL_INTERVAL) < RENEWAL_INTERVAL:
                return None
            self._renewed_at[region] = now
            if not self._renew():
                return None
            self._kept[region] = self._build(region)
            return self._kept[region]


def renew_credentials(call: Call, error: Exception, failure: Failure) -> Call | None:
    """The same call through a client with fresh credentials, once, where the old ones are no longer taken."""
    journey, clients = call.journey, call.journey.protection.clients
    if failure.kind != "auth" or journey.renewed or clients is None or not _outdated(error):
        return None
    journey.renewed = True
    try:
        fresh = released(partial(clients.renewed, call.region, call.client), journey)
    except Exception as unavailable:
        if journey.is_ended_by(unavailable):
            raise
        # The refusal that led here says more than that there is nothing fresh.
        logger.debug("region=%s error=%s | no fresh credentials", call.region, type(unavailable).__name__)
        return None
    if fresh is None:
        return None
    logger.warning("region=%s | credentials were refused or missing, trying once with fresh ones", call.region)
    return changed(call, client=fresh)


#: What the service says of credentials that were good once, or of a key that was replaced.
_OUTDATED_CODES = frozenset(
    {"expiredtokenexception", "expiredtoken", "unrecognizedclientexception", "invalidclienttokenid"}
)
#: What a client built before the caller signed in keeps saying: botocore looks for credentials once.
_OUTDATED_CLASSES = frozenset(
    {
        "botocore.exceptions.NoCredentialsError",
        "botocore.exceptions.TokenRetrievalError",
        "botocore.exceptions.UnauthorizedSSOTokenError",
    }
)


def _outdated(error: Exception) -> bool:
    said = service_error(error)
    if said is not None:
        return str(said.get("Code")).lower() in _OUTDATED_CODES and not _asked_for_credentials(error)
    return not _OUTDATED_CLASSES.isdisjoint(class_names(error))


def _asked_for_credentials(error: Exception) -> bool:
    """Whether it was STS or SSO that refused, whom botocore asked for credentials inside the call."""
    return getattr(error, "operation_name", "Converse") not in ("Converse", "ConverseStream", "CountTokens")
