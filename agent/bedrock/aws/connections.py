"""The connections of a client, made cheaper: trust is read once per client, a short request is one packet, a head one line.

In comes a client, nothing goes out. urllib3 has a TLS context load the bundle of certificate authorities at every new
connection, although botocore hands it one context per client: 20 ms of CPU, as much as 20 requests (measured with urllib3
2.8.0). And urllib3 2 sends headers and body apart, where botocore means to send them as one
(`AWSConnection._send_output`): two packets, two TLS records, 10 % of a short turn. It also takes the address apart for
each request, and the heads of request and answer line by line (`heads`): 20 % more. botocore has no public way to any of
this; what stands here leaves everything as it was where a name is not found. A bundle that changed on disk is read again.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, MutableMapping
from functools import cache
from typing import Any

from ..forks import unlocked_after_fork
from .exchange import directly_opening
from .genuine import Steps, tuned_pool
from .heads import quick_response, request_head

#: Bytes of a body up to which copying it behind the headers costs less than a second packet.
JOINED = 32 * 1024


KNOWN_ADDRESSES = 256


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
        self.unlock()
        unlocked_after_fork(self)

    def unlock(self) -> None:
        """Start with a lock that nobody holds."""
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
    if isinstance(getattr(manager, "pools", None), MutableMapping):  # something else in urllib3-future
        kind: Any = type(manager)
        manager.__class__ = _knowing_manager(kind)


@cache
def _knowing_manager(manager: type[Any]) -> type[Any]:
    """The class of managers that know under which key the pool of an address is: there is one address per model."""
    if hasattr(manager, "keys_by_url"):
        return manager
    left_out = Steps([(manager, name) for name in _FINDING])

    def connection_from_url(self: Any, url: str, *positional: Any, **asked: Any) -> Any:
        if positional or asked or not left_out.are_genuine():
            return super(knowing, self).connection_from_url(url, *positional, **asked)
        # The key, not the pool: that lives, and keeps its connections, for as long as urllib3 has it.
        pool = self.pools.get(self.keys_by_url.get(url))
        if pool is None:
            pool = super(knowing, self).connection_from_url(url)
            known = self.keys_by_url if len(self.keys_by_url) < KNOWN_ADDRESSES else {}
            self.keys_by_url = {**known, url: _key_of(pool, self.pools)}
        return pool

    members = {"connection_from_url": connection_from_url, "keys_by_url": {}}
    knowing: type[Any] = type(manager.__name__, (manager,), members)
    return knowing


_FINDING = ("connection_from_url", "connection_from_host", "connection_from_context", "connection_from_pool_key")
"""How urllib3 finds the pool of an address."""


def _key_of(pool: Any, pools: Any) -> Any:
    keys = pools.keys()  # urllib3's container refuses to be iterated
    return next((key for key in keys if pools.get(key) is pool), None)


# --- one packet -------------------------------------------------------------------------------------------------------


def _send_as_one(session: Any) -> None:
    classes = getattr(session, "_pool_classes_by_scheme", None)
    if isinstance(classes, dict):
        for scheme, pool in list(classes.items()):
            classes[scheme] = _quick_pool(pool)


@cache
def _quick_pool(pool: Any) -> Any:
    """The pool class with connections that write and read plain heads at one go."""
    if hasattr(pool.ConnectionCls, "request_line_by_line"):
        return pool
    quick: Any = tuned_pool(pool, _quick_connection)
    return directly_opening(quick)


@cache
def _quick_connection(connection: type[Any]) -> type[Any]:
    from http.client import HTTPConnection

    from urllib3 import connection as urllib3_connection

    note = getattr(urllib3_connection, "_ResponseOptions", None)  # of urllib3 2
    is_known = getattr(note, "_fields", ()) == ("request_method", "request_url", *_HOW_TO_READ)
    owners = (connection, urllib3_connection.HTTPConnection, HTTPConnection)
    left_out = Steps([(owner, name) for owner in owners for name in _WRITING])

    def request(self: Any, method: str, url: str, body: Any = None, headers: Any = None, **options: Any) -> None:
        plain = is_known and type(body) is bytes and body and not options.get("chunked") and _is_idle(self)
        plain = plain and headers and left_out.are_genuine()
        head = request_head(_host(self), method, url, headers) if plain else None
        if head is None or note is None:
            # Not `connection.request(self, ...)`: what somebody has put there may take no `self`.
            super(quick, self).request(method, url, body=body, headers=headers, **options)
            return
        if self.sock is not None:
            self.sock.settimeout(self.timeout)
        self._response_options = note(method, url, *(options.get(name, True) for name in _HOW_TO_READ))
        self._method, self._HTTPConnection__state = method, _SENT
        for packet in [head + body] if len(body) <= JOINED else [head, body]:
            self.send(packet)

    members = {"request": request, "request_line_by_line": connection.request}
    members["response_class"] = quick_response(connection.response_class)
    quick: type[Any] = type(connection.__name__, (connection,), members)
    return quick


_WRITING = ("request", "putrequest", "putheader", "endheaders", "_send_output")
"""How http.client, urllib3 and botocore write a request."""

#: What urllib3 and http.client note of a request, in their own words.
_HOW_TO_READ = ("preload_content", "decode_content", "enforce_content_length")
_IDLE, _SENT = "Idle", "Request-sent"


def _is_idle(connection: Any) -> bool:
    """Whether nothing is known of the connection that would change how a request is sent."""
    known = vars(connection)
    return (
        known.get("_HTTPConnection__state") == _IDLE
        and known.get("_response_received") is False  # what botocore notes of an answer that came before its request
        and connection.proxy is None
    )


def _host(connection: Any) -> str:
    """The connection's host as a request names it; an address of IPv6 is none that is plain."""
    host, port = connection.host, connection.port
    return "\n" if ":" in host else host if port == connection.default_port else f"{host}:{port}"
