"""Who may come in, and how many at once; and connections that never get as far as a request.

In come headers, out goes nothing, or RefusedError. Keys are compared in constant time. Without keys, which only the
loopback may do without, pages of a browser are kept out: a foreign Origin, or a Host that is not this machine.
"""

from __future__ import annotations

import hmac
import ipaddress
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from ...errors import SettingsError
from .exchange import RefusedError

if TYPE_CHECKING:
    from ..config import Configuration


def is_loopback(host: str) -> bool:
    """Whether an address can only be reached from this machine."""
    name = host.strip("[]").lower()
    if name == "localhost":
        return True
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False


class Door:
    """Lets in who shows a key; where there are no keys, everyone on this machine who is no web page."""

    def __init__(self, keys: tuple[str, ...] = ()) -> None:
        self._keys = tuple(key.encode() for key in keys)

    @classmethod
    def for_configuration(cls, configuration: Configuration) -> Door:
        """The door with the keys that the configuration names; SettingsError where there have to be some."""
        server = configuration.server
        keys = []
        for variable in server.api_key_env:
            value = os.environ.get(variable, "").strip()
            if not value:
                raise SettingsError(f"api_key_env names {variable}, which is not set")
            keys.append(value)
        if not keys and not is_loopback(server.host):
            raise SettingsError(
                f"to listen on {server.host} an API key is required: put one into a variable and name it as api_key_env"
            )
        return cls(tuple(keys))

    def let_in(self, headers: Mapping[str, str]) -> None:
        """Raise RefusedError for who may not come in."""
        if self._keys:
            self._check_key(headers)
        else:
            _refuse_web_pages(headers)

    def _check_key(self, headers: Mapping[str, str]) -> None:
        scheme, _, token = headers.get("authorization", "").partition(" ")
        shown = token.strip() if scheme.lower() == "bearer" else headers.get("x-api-key", "").strip()
        given = shown.encode("latin-1", "replace")  # the bytes as they came
        # Every key is compared: how long it takes must not say which one was near.
        if not sum(hmac.compare_digest(given, key) for key in self._keys):
            what = "is not valid" if shown else "is missing: send it as Authorization: Bearer, or as x-api-key"
            raise RefusedError(
                401, "invalid_api_key", f"The API key of this server {what}.", headers={"www-authenticate": "Bearer"}
            )


def _refuse_web_pages(headers: Mapping[str, str]) -> None:
    origin, host = headers.get("origin"), headers.get("host")
    if origin is not None and not is_loopback(_host_name(origin)):
        raise RefusedError(403, "foreign_origin", "Pages of other origins are not served without an API key.")
    if host is not None and not is_loopback(_host_name(f"//{host}")):
        raise RefusedError(403, "foreign_host", "Without an API key only requests to localhost are served.")


def _host_name(url: str) -> str:
    try:
        return urlsplit(url).hostname or ""
    except ValueError:
        return ""


class Places:
    """So many calls at once, no more."""

    def __init__(self, most: int) -> None:
        self._most = most
        self.taken = 0

    @contextmanager
    def one(self) -> Iterator[None]:
        """Take a place, or raise RefusedError where all are taken."""
        if self.taken >= self._most:
            raise RefusedError(
                503,
                "overloaded",
                f"This server is answering {self._most} calls already.",
                headers={"retry-after": "1", "x-should-retry": "true"},
            )
        self.taken += 1
        try:
            yield
        finally:
            self.taken -= 1


def patient_protocol(protocol: type[Any], header_seconds: float, write_seconds: float) -> type[Any]:
    """uvicorn's protocol class, closing connections on which a request does not get ready in time, or nobody reads.

    uvicorn itself waits for the headers for ever, and a connection that it closes for its last byte to be read (0.54).
    """

    class PatientProtocol(protocol):  # type: ignore[misc]
        _alarm: Any = None
        _unread: Any = None

        def connection_made(self, transport: Any) -> None:
            super().connection_made(transport)
            self._watch()

        def data_received(self, data: bytes) -> None:
            super().data_received(data)
            self._watch()

        def connection_lost(self, exc: Exception | None) -> None:
            self._stop_watching()
            self._is_read()
            super().connection_lost(exc)

        def pause_writing(self) -> None:
            super().pause_writing()
            self._unread = self.loop.call_later(write_seconds, self.transport.abort)

        def resume_writing(self) -> None:
            self._is_read()
            super().resume_writing()

        def timeout_keep_alive_handler(self) -> None:
            super().timeout_keep_alive_handler()
            self._unread = self._unread or self.loop.call_later(write_seconds, self.transport.abort)

        def _is_read(self) -> None:
            if self._unread is not None:
                self._unread.cancel()
                self._unread = None

        def _watch(self) -> None:
            cycle = getattr(self, "cycle", None)
            if cycle is not None and not cycle.response_complete:
                self._stop_watching()
            elif self._alarm is None:
                self._alarm = self.loop.call_later(header_seconds, self._give_up)

        def _stop_watching(self) -> None:
            if self._alarm is not None:
                self._alarm.cancel()
                self._alarm = None

        def _give_up(self) -> None:
            self._alarm = None
            cycle = getattr(self, "cycle", None)
            if cycle is None or cycle.response_complete:
                self.transport.close()

    return PatientProtocol
