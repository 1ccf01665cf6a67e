"""Clients: how one is built, and the cache that keeps one per region.

In come a region, `ClientSettings` and `Credentials`; out goes a boto3 client, for the runtime a guarded one. The cache
is a dict, so that whoever looks in or writes a client of their own into it (tests do) is honoured; what the cache built
itself it builds anew, on a fresh session, once its fingerprint changed. boto3 is imported when a client is built.
"""

from __future__ import annotations

import logging
import os
import threading
import weakref
from collections.abc import Callable, Hashable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from .credentials import AMBIENT, Credentials, digest, environment_values, identity
from .sessions import named_profile, open_session, signature_version
from .settings import CLIENT_VARIABLES, ClientSettings

if TYPE_CHECKING:
    from botocore.config import Config
    from types_boto3_bedrock import BedrockClient
    from types_boto3_bedrock_runtime import BedrockRuntimeClient

logger = logging.getLogger(__name__)

USER_AGENT = "bedrock-chat-adapter/0.1.0"

_ENDPOINT_VARIABLES = ("AWS_ENDPOINT_URL_BEDROCK_RUNTIME", "AWS_ENDPOINT_URL_BEDROCK", "AWS_ENDPOINT_URL")

#: Seconds; lists of models are short, and who waits for one waits at a prompt.
_CONTROL_CONNECT_TIMEOUT = 5.0
_CONTROL_READ_TIMEOUT = 20.0


# --- building ---------------------------------------------------------------------------------------------------------


def build_runtime_client(
    region: str, settings: ClientSettings | None = None, credentials: Credentials = AMBIENT
) -> BedrockRuntimeClient:
    """A guarded `bedrock-runtime` client; settings default to those of the environment."""
    from .explain import explained
    from .guard import guarding

    chosen = settings or ClientSettings.from_environment()
    profile = named_profile(credentials)
    with explained(profile):
        session = open_session(credentials)
        config = client_config(chosen, signature_version(credentials, session))
        with guarding(session.events, profile):
            client: BedrockRuntimeClient = session.client(
                "bedrock-runtime",
                region_name=region,
                endpoint_url=chosen.endpoint_url,
                verify=_verify(),
                config=config,
            )
    return client


def build_control_client(
    region: str,
    settings: ClientSettings | None = None,
    credentials: Credentials = AMBIENT,
    *,
    endpoint_url: str | None = None,
) -> BedrockClient:
    """A `bedrock` client, for lists of models and profiles; it gives up sooner than one that waits for a model."""
    from .explain import explained

    chosen = settings or ClientSettings.from_environment()
    with explained(named_profile(credentials)):
        session = open_session(credentials)
        config = client_config(chosen, signature_version(credentials, session)).merge(_short_timeouts(chosen))
        client: BedrockClient = session.client(
            "bedrock", region_name=region, endpoint_url=endpoint_url, verify=_verify(), config=config
        )
    return client


def client_config(settings: ClientSettings, signature: str | None = None) -> Config:
    """Everything said explicitly: botocore's own defaults changed between its versions (1.44.0: retries)."""
    from botocore.config import Config

    options: dict[str, Any] = {
        "connect_timeout": settings.connect_timeout,
        "read_timeout": settings.read_timeout,
        "max_pool_connections": settings.max_connections,
        # A new dict each time: botocore writes into the one it is given.
        "retries": {"total_max_attempts": settings.max_attempts, "mode": settings.retry_mode},
        "tcp_keepalive": True,
        "user_agent_extra": USER_AGENT,
    }
    if signature is not None:
        options["signature_version"] = signature
    if any((os.environ.get(variable) or "set").isspace() for variable in _ENDPOINT_VARIABLES):
        # botocore would take the space for an address; that those of the config file go too is the lesser evil.
        options["ignore_configured_endpoint_urls"] = True
    return Config(**options)


def _short_timeouts(settings: ClientSettings) -> Config:
    from botocore.config import Config

    return Config(
        connect_timeout=min(settings.connect_timeout, _CONTROL_CONNECT_TIMEOUT),
        read_timeout=min(settings.read_timeout, _CONTROL_READ_TIMEOUT),
    )


def _verify() -> bool | None:
    """True where a blank variable would turn the checking of certificates off; None leaves it to botocore."""
    bundle = os.environ.get("REQUESTS_CA_BUNDLE", os.environ.get("CURL_CA_BUNDLE", "set"))
    return None if bundle.strip() or os.environ.get("AWS_CA_BUNDLE", "").strip() else True


# --- fingerprint ------------------------------------------------------------------------------------------------------


def fingerprint(
    credentials: Credentials = AMBIENT,
    settings: ClientSettings | None = None,
    environ: Mapping[str, str] | None = None,
) -> Hashable:
    """What a client is built from, besides its region: identity, endpoint and settings; contains no secret.

    `settings` None means those of the environment, which are compared unread: a hit of the cache costs 20 us.
    """
    source = os.environ if environ is None else environ
    return (identity(credentials, source), settings, digest(environment_values(source, CLIENT_VARIABLES)))


# --- cache ------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Built:
    """What the cache built itself: the client and the fingerprint it was built with."""

    client: Any
    fingerprint: Hashable


class ClientCache(dict[Any, Any]):
    """Clients by key (the region, for one identity); safe for threads, and empty again in a forked child.

    A client that somebody else wrote into the dict stays until it is taken out. With a `limit`, the oldest of those
    built here make room for new ones.
    """

    def __init__(self, limit: int | None = None) -> None:
        super().__init__()
        self._limit = limit
        self._start_afresh()
        _forget_after_fork(self)

    def _start_afresh(self) -> None:
        super().clear()
        self._built: dict[Hashable, _Built] = {}
        self._lock = threading.Lock()
        self._building: dict[Hashable, threading.Lock] = {}

    def get_or_build(self, key: Hashable, fingerprint: Hashable, build: Callable[[], Any]) -> Any:
        """The client of `key`, built by `build()` where there is none, or none with that fingerprint.

        Threads that ask for the same key at once wait for one build; other keys are built meanwhile.
        """
        found = self._valid(key, fingerprint)
        if found is not None:
            return found
        with self._only_builder(key):
            found = self._valid(key, fingerprint)
            return self._build(key, fingerprint, build) if found is None else found

    def evict(self, key: Hashable) -> bool:
        """Take a client out, so that the next call gets a new one; whoever still uses the old one can go on."""
        with self._lock:
            return self._take_out(key)

    def clear(self) -> None:
        """Take every client out."""
        with self._lock:
            self._built.clear()
            super().clear()

    def _valid(self, key: Hashable, fingerprint: Hashable) -> Any:
        """What stands at `key`, unless it was built here with another fingerprint."""
        client = self.get(key)
        built = self._built.get(key)
        if client is None or built is None or built.client is not client:
            return client
        return client if built.fingerprint == fingerprint else None

    def _build(self, key: Hashable, fingerprint: Hashable, build: Callable[[], Any]) -> Any:
        replaced = key in self
        client = build()
        with self._lock:
            self._take_out(key)
            # In this order: a thread that looks in between sees the new client, never the old one as somebody else's.
            self[key] = client
            self._built[key] = _Built(client, fingerprint)
            while self._limit is not None and len(self._built) > self._limit:
                self._take_out(next(iter(self._built)))
        logger.debug("region=%s | %s the client", key, "rebuilt" if replaced else "built")
        return client

    def _take_out(self, key: Hashable) -> bool:
        found = super().pop(key, None) is not None
        self._built.pop(key, None)
        return found

    @contextmanager
    def _only_builder(self, key: Hashable) -> Iterator[None]:
        """Hold the lock of one key; it is dropped afterwards, so that locks do not gather."""
        with self._lock:
            lock = self._building.setdefault(key, threading.Lock())
        try:
            with lock:
                yield
        finally:
            with self._lock:
                self._building.pop(key, None)


def _forget_after_fork(cache: ClientCache) -> None:
    """Empty `cache` in every child process: sockets, and locks that another thread held, are the parent's."""
    register = getattr(os, "register_at_fork", None)  # not on Windows, which cannot fork
    if register is not None:
        alive = weakref.ref(cache)

        def start_afresh() -> None:
            if (forked := alive()) is not None:
                forked._start_afresh()  # noqa: SLF001

        register(after_in_child=start_afresh)
