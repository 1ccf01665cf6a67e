"""Whether the server can do what it is for: credentials that are accepted, and a control plane that answers.

In come the backends, out goes what `/healthz` says. A check costs one page of one entry from the control plane, and for a
gateway one unsigned GET; its result is good for some seconds, however often it is asked for.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from ...aws.prewarm import warm_up
from ...errors import classify

if TYPE_CHECKING:
    from ..backends import Backends
    from ..client import Bedrock
    from ..config import ServerSettings
    from ..workers import Workers

PATIENCE = 8.0
"""Seconds after which a check that does not come back has failed; load balancers seldom wait longer."""

Report = dict[str, Any]


class Health:
    """The state of all backends; healthy as long as one of them is."""

    def __init__(
        self,
        backends: Backends,
        settings: ServerSettings,
        workers: Workers,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._backends = backends
        self._settings = settings
        self._workers = workers
        self._clock = clock
        self._kept: tuple[float, int, Report] | None = None
        self._asking = asyncio.Lock()

    async def report(self) -> tuple[int, Report]:
        """Status and body; at most `health_seconds` old."""
        async with self._asking:
            if self._kept is None or self._clock() - self._kept[0] >= self._settings.health_seconds:
                status, report = await self._checked()
                self._kept = (self._clock(), status, report)
            return self._kept[1], self._kept[2]

    async def _checked(self) -> tuple[int, Report]:
        if not self._settings.server_credentials:
            return 200, {"status": "ok", "credentials": "of the callers"}
        names: list[str | None] = [*self._backends.configuration.backends] or [None]
        states = dict(zip(names, await asyncio.gather(*map(self._state, names)), strict=True))
        healthy = any(state["healthy"] for state in states.values())
        told = {name or "default": state for name, state in states.items()}
        return 200 if healthy else 503, {"status": "ok" if healthy else "failing", "backends": told}

    async def _state(self, name: str | None) -> Report:
        try:
            async with asyncio.timeout(PATIENCE):
                return await self._workers.run(lambda: check(self._backends.bedrock(name)))
        except TimeoutError:
            return {"healthy": False, "kind": "timeout"}
        except Exception as error:  # noqa: BLE001 - whatever it is, it is why the server is not healthy
            return {"healthy": False, "kind": classify(error).kind}


def check(bedrock: Bedrock) -> Report:
    """Ask for as little as possible; raises what went wrong. May block."""
    settings = bedrock.settings
    if settings is None or settings.endpoint_url is None:
        return {"healthy": True, **_control_plane(bedrock)}
    warm_up(bedrock.client)
    gateway = {"healthy": True, "credentials": "found", "endpoint": "answers"}
    # A gateway for calls says nothing of the control plane.
    known = os.environ.get("AWS_ENDPOINT_URL_BEDROCK", "").strip()
    return {**gateway, **_control_plane(bedrock)} if known else gateway


def _control_plane(bedrock: Bedrock) -> Report:
    try:
        bedrock.control_client.list_inference_profiles(maxResults=1)
    except Exception as error:
        if classify(error).kind != "access_denied":
            raise
        return {"credentials": "accepted", "control_plane": "not permitted"}
    return {"credentials": "accepted", "control_plane": "answers"}
