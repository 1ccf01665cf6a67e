"""Who is asking: SigV4 signatures are verified with botocore's own signer, bearer tokens compared.

A recorded request comes in, a refusal of status 403 goes out, or None. Secrets never leave this room: no message or
representation shows one.
"""

from __future__ import annotations

import hmac
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from .script import Refusal

if TYPE_CHECKING:
    from .recorded import RecordedRequest

SERVICE = "bedrock"
MOST_SKEW = timedelta(minutes=5)

_SIGV4 = re.compile(
    r"AWS4-HMAC-SHA256 Credential=(?P<key>[^/]+)/(?P<date>\d{8})/(?P<region>[^/]+)/(?P<service>[^/]+)/aws4_request, "
    r"SignedHeaders=(?P<headers>[^,]+), Signature=(?P<signature>[0-9a-f]+)"
)

MISSING = Refusal("MissingAuthenticationTokenException", "Missing Authentication Token")
UNKNOWN_KEY = Refusal("UnrecognizedClientException", "The security token included in the request is invalid.")
EXPIRED = Refusal("ExpiredTokenException", "The security token included in the request is expired")
WRONG_SCOPE = Refusal("InvalidSignatureException", "Credential should be scoped to a valid region. ")
WRONG_SIGNATURE = Refusal(
    "InvalidSignatureException",
    "The request signature we calculated does not match the signature you provided. Check your AWS Secret Access Key "
    "and signing method. Consult the service documentation for details.",
)
WRONG_BEARER = Refusal(
    "AccessDeniedException",
    None,
    members={"Message": "Authentication failed: Please make sure your API Key is valid."},
)
"""opencode#47073; the layer before the service writes `Message` with a capital."""


@dataclass(frozen=True, slots=True)
class Key:
    """The secret of an access key, its session token if it has one, and whether it has expired."""

    secret: str = field(repr=False)
    token: str | None = field(default=None, repr=False)
    expired: bool = False


@dataclass(frozen=True, slots=True)
class Bearer:
    """A bearer token is known; expired ones are refused."""

    expired: bool = False


Known = Mapping[str, str | Key | Bearer]
"""Access key id -> secret, or -> `Key`; bearer token -> `Bearer`."""


def judge_identity(request: RecordedRequest, known: Known, region: str) -> Refusal | None:
    """The refusal of a request that is not signed by someone known."""
    if "authorization" not in request.headers:
        return MISSING
    if request.bearer is not None:
        return _judge_bearer(known.get(request.bearer))
    found = _SIGV4.fullmatch(request.headers["authorization"])
    if found is None:
        return Refusal("IncompleteSignatureException", "Authorization header requires 'Credential' parameter.")
    key = known.get(found["key"])
    if key is None or isinstance(key, Bearer):
        return UNKNOWN_KEY
    if (found["region"], found["service"]) != (region, SERVICE):
        return WRONG_SCOPE
    return _judge_signature(request, found, key if isinstance(key, Key) else Key(key))


def _judge_bearer(bearer: str | Key | Bearer | None) -> Refusal | None:
    if not isinstance(bearer, Bearer):
        return WRONG_BEARER
    return (
        Refusal("AccessDeniedException", None, members={"Message": "Bearer Token has expired"})
        if bearer.expired
        else None
    )


def _judge_signature(request: RecordedRequest, found: re.Match[str], key: Key) -> Refusal | None:
    if request.headers.get("x-amz-security-token") != key.token:
        return UNKNOWN_KEY
    if key.expired:
        return EXPIRED
    stamp = request.headers.get("x-amz-date", "")
    if not _is_recent(stamp):
        return Refusal("InvalidSignatureException", f"Signature expired: {stamp} is too far from the service's clock")
    expected = _signature(request, found, key, stamp)
    return None if hmac.compare_digest(expected, found["signature"]) else WRONG_SIGNATURE


def _signature(request: RecordedRequest, found: re.Match[str], key: Key, stamp: str) -> str:
    """The signature that botocore would have given the request as it arrived."""
    signed = {name: request.headers.get(name, "") for name in found["headers"].split(";")}
    url = f"http://{request.headers.get('host', '')}{request.target}"
    again = AWSRequest(method=request.method, url=url, headers=signed, data=request.raw)
    again.context["timestamp"] = stamp
    signer = SigV4Auth(Credentials(found["key"], key.secret, key.token), found["service"], found["region"])
    canonical = signer.canonical_request(again)
    return str(signer.signature(signer.string_to_sign(again, canonical), again))


def _is_recent(stamp: str) -> bool:
    try:
        signed_at = datetime.strptime(stamp, "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
    except ValueError:
        return False
    return abs(datetime.now(UTC) - signed_at) <= MOST_SKEW
