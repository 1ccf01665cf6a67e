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
    from asyncio import TimerHandle

    from uvicorn.protocols.http.h11_impl import H11Protocol

    from ..config import Configuration
else:
    H11Protocol = object  # uvicorn is imported when a server is made


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


class Patience(H11Protocol):
    """Mixed into uvicorn's protocol: closes a connection on which a request does not get ready in time, or nobody reads.

    uvicorn itself waits for the headers for ever, and a connection that it closes for its last byte to be read (0.54).
    """

    header_seconds: float
    write_seconds: float
    _unready: TimerHandle | None = None
    _unread: TimerHandle | None = None

    def connection_made(self, transport: Any) -> None:
        """A client has come: its request is waited for."""
        super().connection_made(transport)
        self._watch()

    def data_received(self, data: bytes) -> None:
        """Something has come: a request, or a part of one."""
        super().data_received(data)
        self._watch()

    def connection_lost(self, exc: Exception | None) -> None:
        """Nothing is to be waited for any more."""
        self._is_ready()
        self._is_read()
        super().connection_lost(exc)

    def _watch(self) -> None:
        if self._is_answering():
            self._is_ready()
        elif self._unready is None:
            self._unready = self.loop.call_later(self.header_seconds, self._give_up)

    def _is_answering(self) -> bool:
        cycle: Any = self.cycle  # None until the first request
        return cycle is not None and not cycle.response_complete

    def _is_ready(self) -> None:
        if self._unready is not None:
            self._unready.cancel()
            self._unready = None

    def _give_up(self) -> None:
        self._unready = None
        if not self._is_answering():
            self.transport.close()

    def pause_writing(self) -> None:
        """The client is behind: it has to read on."""
        super().pause_writing()
        self._abort_unless_read()

    def resume_writing(self) -> None:
        """The client has read on."""
        self._is_read()
        super().resume_writing()

    def timeout_keep_alive_handler(self) -> None:
        """Nothing has come for long: the connection is closed once all is read."""
        super().timeout_keep_alive_handler()
        self._abort_unless_read()

    def _abort_unless_read(self) -> None:
        if self._unread is None:
            self._unread = self.loop.call_later(self.write_seconds, self.transport.abort)

    def _is_read(self) -> None:
        if self._unread is not None:
            self._unread.cancel()
            self._unread = None


def patient(protocol: type[Any], header_seconds: float, write_seconds: float) -> type[Any]:
    """uvicorn's protocol class with patience that ends."""
    seconds = {"header_seconds": header_seconds, "write_seconds": write_seconds}
    return type("PatientProtocol", (Patience, protocol), seconds)
