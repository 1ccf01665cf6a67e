"""The connections of a client, made cheaper: trust is read once per client, a short request is one packet, a head one look.

In comes a client, nothing goes out. urllib3 has a TLS context load the bundle of certificate authorities at every new
connection, although botocore hands it one context per client: 20 ms of CPU, as much as 20 requests (measured with urllib3
2.8.0). And urllib3 2 sends headers and body apart, where botocore means to send them as one
(`AWSConnection._send_output`): two packets, two TLS records, 10 % of a short turn. It also takes the address apart for
each request; `heads` has what an answer begins with. botocore has no public way to either;
what stands here leaves everything as it was where a name is not found. A bundle that changed on disk is read again.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from functools import cache, lru_cache
from typing import Any

from .heads import quick_response

#: Bytes of a body up to which copying it behind the headers costs less than a second packet.
JOINED = 32 * 1024


def tune_connections(client: Any) -> None:
    """Make the client's connections cheaper; doing it twice does nothing."""
    session = getattr(getattr(client, "_endpoint", None), "http_session", None)
    _read_trust_once(session)
    _read_addresses_once(session)
    _send_as_one(session)


# --- trust ------------------------------------------------------------------------------------------------------------


def _read_trust_once(session: Any) -> None:
    options = getattr(getattr(session, "_manager", None), "connection_pool_kw", None)
    context = options.get("ssl_context") if isinstance(options, dict) else None
    build = getattr(session, "_get_ssl_context", None)
    if context is None or build is None or isinstance(build, _BuildKnowing):
        return
    _know(context)
    session._get_ssl_context = _BuildKnowing(build)  # noqa: SLF001 - managers of proxies get their own, later


def _know(context: Any) -> Any:
    context.load_verify_locations = _LoadOnce(context.load_verify_locations)
    return context


class _BuildKnowing:
    """What makes contexts that know what they have loaded."""

    def __init__(self, build: Callable[[], Any]) -> None:
        self._build = build

    def __call__(self) -> Any:
        return _know(self._build())


class _LoadOnce:
    """`SSLContext.load_verify_locations` of one context, which adds to what it trusts: the same again adds nothing."""

    def __init__(self, load: Callable[..., None]) -> None:
        self._load = load
        self._loaded: set[tuple[Any, ...]] = set()
        self._lock = threading.Lock()

    def __call__(self, cafile: Any = None, capath: Any = None, cadata: Any = None) -> None:
        if capath is not None or cadata is not None or not isinstance(cafile, str):
            self._load(cafile, capath, cadata)
            return
        known = _state_of(cafile)
        with self._lock:  # 50 connections at once wait for one reading, which takes less than 50
            if known is None or known not in self._loaded:
                self._load(cafile)
                self._loaded.add(known or ())


def _state_of(path: str) -> tuple[Any, ...] | None:
    """The file as it is now; None where it cannot be seen, so that OpenSSL says why."""
    try:
        state = os.stat(path)  # noqa: PTH116 - pathlib costs more than the call
    except OSError:
        return None
    return (path, state.st_mtime_ns, state.st_size, state.st_ino)


# --- addresses --------------------------------------------------------------------------------------------------------


def _read_addresses_once(session: Any) -> None:
    manager = getattr(session, "_manager", None)
    if manager is not None and hasattr(manager, "connection_from_host"):
        kind: Any = type(manager)
        manager.__class__ = _knowing_manager(kind)


@cache
def _knowing_manager(manager: type[Any]) -> type[Any]:
    """The class of managers with a memory of the addresses that they were asked for: one per model."""
    if hasattr(manager, "taken_apart"):
        return manager
    from urllib3.util import parse_url

    def connection_from_url(self: Any, url: str, pool_kwargs: dict[str, Any] | None = None) -> Any:
        parts = self.taken_apart(url)
        return self.connection_from_host(parts.host, port=parts.port, scheme=parts.scheme, pool_kwargs=pool_kwargs)

    members = {"connection_from_url": connection_from_url, "taken_apart": staticmethod(lru_cache(256)(parse_url))}
    return type(manager.__name__, (manager,), members)


# --- one packet -------------------------------------------------------------------------------------------------------


def _send_as_one(session: Any) -> None:
    classes = getattr(session, "_pool_classes_by_scheme", None)
    if isinstance(classes, dict):
        for scheme, pool in list(classes.items()):
            classes[scheme] = _joining_pool(pool)


@cache
def _joining_pool(pool: type[Any]) -> type[Any]:
    """The pool class with connections that hold the headers back until the body comes."""
    connection: type[Any] = pool.ConnectionCls
    if hasattr(connection, "held_headers"):
        return pool

    def request(self: Any, method: str, url: str, body: Any = None, headers: Any = None, **options: Any) -> None:
        if type(body) is bytes and 0 < len(body) <= JOINED and not (headers and "Expect" in headers):
            self.held_headers = b""
        try:
            connection.request(self, method, url, body=body, headers=headers, **options)
            held, self.held_headers = self.held_headers, None
            if held:
                connection.send(self, held)
        finally:
            self.held_headers = None

    def send(self: Any, data: Any) -> None:
        held = self.held_headers
        if held is None:
            connection.send(self, data)
        elif not held:
            self.held_headers = data
        else:
            self.held_headers = None
            connection.send(self, held + data)

    members = {"request": request, "send": send, "held_headers": None}
    members["response_class"] = quick_response(connection.response_class)
    joining = type(connection.__name__, (connection,), members)
    return type(pool.__name__, (pool,), {"ConnectionCls": joining})
