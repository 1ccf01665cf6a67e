"""Signature version 4 of a plain request, to the letter what botocore signs, in a quarter of its time.

In comes a client, nothing goes out. botocore derives the signing key by four HMACs, walks the headers three times through
`email.message`, and prepares the whole request to look at its body: 12 % of a short turn. Here a request as `Converse`
has it is signed in one walk, with a key that is derived once a day. The signer is put in by botocore's own event
`choose-signer`; whatever is not plain, and every other signature version, is signed by botocore.
"""

from __future__ import annotations

import hmac
import logging
import time
from collections.abc import Mapping
from functools import cache, lru_cache
from hashlib import sha256
from typing import Any

_VERSION = "v4"
QUICK_VERSION = "v4-in-one-walk"
"""Under this name botocore finds the signer."""

_KEY = f"{__name__}.key"

_auth_logger = logging.getLogger("botocore.auth")
"""It tells what is signed to whoever debugs that, so that botocore signs then."""

_ALGORITHM = "AWS4-HMAC-SHA256"
_TIMESTAMP = "%Y%m%dT%H%M%SZ"


def sign_quickly(client: Any) -> None:
    """Have the client's requests signed in one walk; doing it twice does nothing."""
    from botocore import auth

    signer = _signer_class()
    if signer is None:
        return
    auth.AUTH_TYPE_MAPS.setdefault(QUICK_VERSION, signer)
    # botocore calls the handlers of a longer event name first, and the first answer counts: ours is the last word.
    client.meta.events.register_last("choose-signer", _DailyKey().choose, unique_id=f"{__name__}.choose")


class _DailyKey:
    """What one client signs with: it goes with the client, and the next one takes its place, lest old secrets pile up."""

    __slots__ = ("_known",)

    def __init__(self) -> None:
        self._known: tuple[str | None, str, bytes] = (None, "", b"")

    def choose(self, signature_version: Any = None, context: Any = None, **_kwargs: Any) -> str | None:
        """Our signer in the place of botocore's own, if it is still the one; the key comes to it with the request."""
        from botocore import auth

        is_own = signature_version == _VERSION and auth.AUTH_TYPE_MAPS.get(_VERSION) is auth.SigV4Auth
        if not is_own or not isinstance(context, dict) or _auth_logger.isEnabledFor(logging.DEBUG):
            return None
        context[_KEY] = self
        return QUICK_VERSION

    def of(self, secret: str | None, scope: str) -> bytes:
        """The key that holds for a day, a region and a service."""
        known_secret, known_scope, key = self._known
        if known_secret != secret or known_scope != scope:
            key = f"AWS4{secret}".encode()
            for part in scope.split("/"):
                key = hmac.digest(key, part.encode("utf-8"), "sha256")
            self._known = (secret, scope, key)
        return key


@cache
def _signer_class() -> Any:
    """botocore's signer with a way of its own for plain requests; None where botocore signs with the CRT."""
    from botocore import auth

    if auth.AUTH_TYPE_MAPS.get(_VERSION) is not auth.SigV4Auth:
        return None

    unsigned = frozenset(auth.SIGNED_HEADERS_BLACKLIST)

    class QuickSigV4Auth(auth.SigV4Auth):
        """A `SigV4Auth` for the requests of one client."""

        def add_auth(self, request: Any) -> None:
            """Sign the request."""
            headers = self._plain_headers(request)
            if headers is None:
                super().add_auth(request)
                return
            request.context["timestamp"] = timestamp = time.strftime(_TIMESTAMP, time.gmtime())
            added = {"X-Amz-Date": timestamp}
            if self.credentials.token:
                added["X-Amz-Security-Token"] = self.credentials.token
            signed = {name: value for name, value in headers.items() if name not in unsigned}
            signed.update((name.lower(), value) for name, value in added.items())
            names, canonical = _canonical(request, signed)
            scope: str = self.credential_scope(request)
            text = f"{_ALGORITHM}\n{timestamp}\n{scope}\n{sha256(canonical.encode('utf-8')).hexdigest()}"
            # Taken out, since a request hangs on some exceptions with all of its context.
            key = (request.context.pop(_KEY, None) or _DailyKey()).of(self.credentials.secret_key, scope)
            signature = hmac.digest(key, text.encode("utf-8"), "sha256").hex()
            who = f"{self.credentials.access_key}/{scope}"
            added["Authorization"] = f"{_ALGORITHM} Credential={who}, SignedHeaders={names}, Signature={signature}"
            for name, value in added.items():
                request.headers[name] = value

        def _plain_headers(self, request: Any) -> dict[str, str] | None:
            """The headers by lower-case name; None for a request that only botocore signs right."""
            context, credentials = request.context, getattr(self, "credentials", None)
            if (
                credentials is None
                or type(request.data) is not bytes
                or request.params
                or "?" in request.url
                or not context.get("payload_signing_enabled", True)
                or "checksum" in context
            ):
                return None
            headers: dict[str, str] = {}
            for name, value in request.headers.items():
                lower = name.lower()
                if lower in headers or lower in _SIGNERS_OWN or type(value) is not str:
                    return None
                headers[lower] = value
            return headers

    return QuickSigV4Auth


_SIGNERS_OWN = frozenset(
    {"authorization", "date", "host", "x-amz-content-sha256", "x-amz-date", "x-amz-security-token"}
)
"""Headers that say how a request is signed, or that it was: a request that has one is none of a first attempt."""


def _canonical(request: Any, headers: Mapping[str, str]) -> tuple[str, str]:
    """(the names of the signed headers, the canonical request)."""
    host, path = _host_and_path(request.url)
    values = {**headers, "host": host}
    names = sorted(values)
    lines = "\n".join([f"{name}:{' '.join(values[name].split())}" for name in names])
    signed = ";".join(names)
    body = sha256(request.data).hexdigest()
    return signed, f"{request.method.upper()}\n{path}\n\n{lines}\n\n{signed}\n{body}"


@lru_cache(maxsize=256)
def _host_and_path(url: str) -> tuple[str, str]:
    """Host and path as botocore signs them, found in what it would sign of a request with nothing else."""
    from botocore import auth, awsrequest
    from botocore.credentials import ReadOnlyCredentials

    bare = awsrequest.AWSRequest(method="POST", url=url, data=b"")
    signer = auth.SigV4Auth(ReadOnlyCredentials("", "", None), "", "")
    _, path, _, host, *_ = signer.canonical_request(bare).split("\n")
    return host.removeprefix("host:"), path
