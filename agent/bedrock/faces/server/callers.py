"""Whose credentials a call is made with: those that the request brings, else the server's, where that is allowed.

In come headers, out goes a `ChatCore`: one per caller, backend and region, so that no client, connection or memory of one
caller ever serves another. So many callers are kept, and the one that was longest away is forgotten first.
"""

from __future__ import annotations

import re
import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable, Mapping
from typing import TYPE_CHECKING, Any

from ...aws.credentials import Credentials, identity
from ...carriers import REMEMBERED, ReasoningStore
from ...errors import InvalidRequestError, SettingsError
from ..backends import Backends, ConfiguredBedrock
from ..core import ChatCore

if TYPE_CHECKING:
    from ..config import ServerSettings

CREDENTIAL_HEADERS = {
    "x-aws-access-key-id": "aws_access_key_id",
    "x-aws-secret-access-key": "aws_secret_access_key",
    "x-aws-session-token": "aws_session_token",
    "x-aws-bearer-token": "bearer_token",
}
REGION_HEADER = "x-aws-region"
BACKEND_HEADERS = ("x-bedrock-backend", "x-provider-llm", "x-provider")

_REGION = re.compile(r"[a-z]{2,4}(?:-[a-z]{2,12}){1,3}-\d{1,2}")
"""The region becomes part of a host name, so nothing else may come in."""


class CallerCredentialsError(SettingsError):
    """A request brings no credentials, and the server's are not for its callers."""

    kind = "auth"


class Callers:
    """The cores by who calls; shared by threads.

    `on_source` is told "caller" or "server" for every call: whose credentials it is made with.
    """

    def __init__(self, backends: Backends, settings: ServerSettings, on_source: Callable[[str], Any]) -> None:
        self._backends = backends
        self._settings = settings
        self._on_source = on_source
        self._kept: OrderedDict[Hashable, ChatCore] = OrderedDict()
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self._kept)

    def core(self, headers: Mapping[str, str]) -> ChatCore:
        """The core for these headers; InvalidRequestError or CallerCredentialsError where they are not enough."""
        backend = self._backend(headers)
        credentials = _credentials(headers)
        region = _region(headers)
        if credentials.is_ambient and not self._settings.server_credentials:
            raise CallerCredentialsError(
                "This server calls with the credentials of its callers only: send X-AWS-Access-Key-Id and "
                "X-AWS-Secret-Access-Key (with X-AWS-Session-Token for temporary ones), or X-AWS-Bearer-Token."
            )
        self._on_source("server" if credentials.is_ambient else "caller")
        return self._core((_who(credentials), backend, region), credentials, backend, region)

    def _backend(self, headers: Mapping[str, str]) -> str | None:
        named = next((headers[name] for name in BACKEND_HEADERS if headers.get(name, "").strip()), None)
        try:
            return self._backends.configuration.backend_name(named and named.strip())
        except SettingsError:
            known = ", ".join(sorted(self._backends.configuration.backends)) or "none"
            raise InvalidRequestError(f"there is no backend {named!r}; there are: {known}") from None

    def _core(self, key: Hashable, credentials: Credentials, backend: str | None, region: str | None) -> ChatCore:
        with self._lock:
            if key in self._kept:
                self._kept.move_to_end(key)
                return self._kept[key]
            brought = {name: getattr(credentials, name) for name in CREDENTIAL_HEADERS.values()}
            given = {name: value for name, value in {**brought, "region": region}.items() if value is not None}
            backends = self._backends.with_options(**given) if given else self._backends
            store = REMEMBERED if credentials.is_ambient else ReasoningStore()
            carry: Any = self._settings.carry_reasoning
            self._kept[key] = ChatCore(backends.bedrock(backend), carry=carry, store=store)
            while len(self._kept) > self._settings.max_callers:
                _, forgotten = self._kept.popitem(last=False)
                self._give_up(forgotten)
            return self._kept[key]

    def close(self) -> None:
        """Give up the connections of all callers."""
        with self._lock:
            for core in self._kept.values():
                self._give_up(core)
            self._kept.clear()

    def _give_up(self, core: ChatCore) -> None:
        """Close the connections of a caller; calls that still run have theirs."""
        bedrock = core.bedrock
        if isinstance(bedrock, ConfiguredBedrock) and bedrock.backends is not self._backends:
            bedrock.backends.close()


def _credentials(headers: Mapping[str, str]) -> Credentials:
    brought = {
        argument: headers[name] for name, argument in CREDENTIAL_HEADERS.items() if headers.get(name, "").strip()
    }
    if not brought and CREDENTIAL_HEADERS.keys() & headers.keys():
        raise InvalidRequestError(
            "the X-AWS-* headers are blank: whoever sends them does not mean the server's credentials"
        )
    try:
        return Credentials(**brought)
    except SettingsError as error:
        raise InvalidRequestError(f"the X-AWS-* headers are not complete: {error}") from None


def _region(headers: Mapping[str, str]) -> str | None:
    region = headers.get(REGION_HEADER, "").strip()
    if region and not _REGION.fullmatch(region):
        raise InvalidRequestError("X-AWS-Region is no name of a region")
    return region or None


def _who(credentials: Credentials) -> Hashable:
    """A salted fingerprint of what a request brought; no secret stands in it."""
    return None if credentials.is_ambient else identity(credentials, {})[0]  # type: ignore[index]
