"""The debug log: what was asked of whom and how it went, without what was said.

In come bodies, errors and completions, out go lines at level DEBUG. Texts stand there as their length, images and files
as their size, and of headers nothing at all.
"""

from __future__ import annotations

import itertools
import logging
from collections import Counter
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlsplit, urlunsplit

from ..backends import ConfiguredBedrock

if TYPE_CHECKING:
    from ..core import ChatRequest

logger = logging.getLogger(__name__)

SHOWN_AS_THEY_ARE = frozenset({"role", "type", "model", "tool_choice", "reasoning_effort", "service_tier", "effort"})
"""Keys whose texts are words of the protocol."""

_numbers = itertools.count(1)


def summary(value: Any, key: str = "", depth: int = 8) -> Any:
    """The shape of a body: keys, numbers, lengths; no text of a conversation, no blob."""
    if isinstance(value, Mapping) and depth:
        return {str(name)[:64]: summary(item, str(name), depth - 1) for name, item in value.items()}
    if isinstance(value, (list, tuple)) and depth:
        return [summary(item, key, depth - 1) for item in value]
    if value is None or isinstance(value, (bool, int, float)):
        return value
    if isinstance(value, str):
        return value[:64] if key in SHOWN_AS_THEY_ARE else f"<{_kind(value)} of {len(value)}>"
    return f"<{type(value).__name__}>"


def _kind(text: str) -> str:
    return "data URL" if text.startswith("data:") else "text"


def without_secrets(url: str) -> str:
    """A URL without user, password and query."""
    parts = urlsplit(url)
    return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, "", ""))


class Entry:
    """One call in the log; costs nothing where nobody reads it."""

    def __init__(self) -> None:
        self.on = logger.isEnabledFor(logging.DEBUG)
        self._number = next(_numbers) if self.on else 0
        self._events: Counter[str] = Counter()

    def asked(self, bedrock: Any, request: ChatRequest) -> None:
        """The call begins."""
        if self.on:
            payload = summary({"messages": request.messages, "tools": request.tools, **request.options})
            logger.debug("call=%d url=%s payload=%s | asked", self._number, _url(bedrock, request), payload)

    def event(self, event: Any) -> None:
        """An event came."""
        self._events[type(event).__name__] += 1

    def ended(self, status: int | None, completion: Any = None, error: BaseException | None = None) -> None:
        """The call is over."""
        if self.on:
            usage = completion.usage.model_dump() if completion is not None else None
            failed = type(error).__name__ if error is not None else None
            logger.debug(
                "call=%d status=%s usage=%s events=%s error=%s | over",
                self._number,
                status,
                usage,
                dict(self._events),
                failed,
            )


def _url(bedrock: Any, request: ChatRequest) -> str:
    """Where the call goes, as far as that is known without a client."""
    route = bedrock.route(request.model) if isinstance(bedrock, ConfiguredBedrock) else None
    asked, model = (route.bedrock, route.model) if route is not None else (bedrock, request.model)
    streams = request.stream and (route is None or route.streams)
    settings = asked.settings
    endpoint = (settings and settings.endpoint_url) or f"https://bedrock-runtime.{asked.region}.amazonaws.com"
    operation = "converse-stream" if streams else "converse"
    if "{model}" in endpoint:
        base = endpoint.replace("{region}", asked.region).replace("{model}", quote(model, safe=""))
        return f"{without_secrets(base)}/{operation}"
    return f"{without_secrets(endpoint).rstrip('/')}/model/{quote(model, safe='')}/{operation}"
