"""What a request was: the HTTP request comes in, the Bedrock operation in it goes out, for the script and the test."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, unquote, urlsplit

if TYPE_CHECKING:
    from .script import Answering, Refusal
    from .wire import HttpRequest

UNKNOWN = "unknown"

_RUNTIME = re.compile(r"/model/(?P<id>[^/]+)/(?P<operation>[a-z-]+)$")
_CONTROL = (
    ("list-foundation-models", re.compile(r"/foundation-models/?$")),
    ("get-foundation-model", re.compile(r"/foundation-models/(?P<id>.+)$")),
    ("get-foundation-model-availability", re.compile(r"/foundation-model-availability/(?P<id>.+)$")),
    ("list-inference-profiles", re.compile(r"/inference-profiles/?$")),
    ("get-inference-profile", re.compile(r"/inference-profiles/(?P<id>.+)$")),
)
_CREDENTIAL = re.compile(r"Credential=(?P<key>[^/,]+)/")


@dataclass(slots=True)
class RecordedRequest:
    """One request as it arrived, and what became of it.

    `target` is the path with its query as it stood on the wire, `path` the path alone, both still percent-encoded.

    `headers` have lower-case names. `body` is the parsed JSON, None where there is none. `connection` is the serial
    number of its TCP connection, from 1. `complete` turns True when the whole answer has been written, `abandoned`
    when the client closed before that.
    """

    serial: int
    connection: int
    operation: str
    model_id: str
    method: str
    target: str
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    raw: bytes
    body: Any
    arrived: float
    refusal: Refusal | None = None
    answer: Answering | None = field(default=None, repr=False)
    complete: bool = False
    abandoned: bool = False

    @property
    def access_key(self) -> str | None:
        """The access key id of the SigV4 signature."""
        found = _CREDENTIAL.search(self.headers.get("authorization", ""))
        return found["key"] if found else None

    @property
    def bearer(self) -> str | None:
        """The bearer token."""
        scheme, _, token = self.headers.get("authorization", "").partition(" ")
        return token if scheme == "Bearer" else None

    @property
    def attempt(self) -> int:
        """Which attempt of botocore's this is, from 1."""
        found = re.search(r"attempt=(\d+)", self.headers.get("amz-sdk-request", ""))
        return int(found[1]) if found else 1

    @property
    def messages(self) -> list[Any]:
        """The messages of a Converse request."""
        return list(self.body.get("messages", ())) if isinstance(self.body, dict) else []


def record(http: HttpRequest, *, serial: int, connection: int, arrived: float) -> RecordedRequest:
    """The operation, model id and body that an HTTP request means."""
    url = urlsplit(http.target)
    operation, model_id = operation_of(http.method, url.path)
    return RecordedRequest(
        serial=serial,
        connection=connection,
        operation=operation,
        model_id=model_id,
        method=http.method,
        target=http.target,
        path=url.path,
        query=dict(parse_qsl(url.query, keep_blank_values=True)),
        headers=http.headers,
        raw=http.body,
        body=_parsed(http.body),
        arrived=arrived,
    )


def operation_of(method: str, path: str) -> tuple[str, str]:
    """The operation's name in kebab case, and the decoded id in its path; a prefix before the path is allowed."""
    if method == "POST" and (found := _RUNTIME.search(path)):
        return found["operation"], unquote(found["id"])
    if method == "GET":
        for operation, pattern in _CONTROL:
            if found := pattern.search(path):
                return operation, unquote(found.groupdict().get("id") or "")
    return UNKNOWN, ""


def _parsed(raw: bytes) -> Any:
    """The JSON of a body; bytes that are no JSON (bare NaN included) are left for the judge as None."""
    try:
        return json.loads(raw, parse_constant=_refuse_constant) if raw else None
    except ValueError:
        return None


def _refuse_constant(name: str) -> Any:
    raise ValueError(f"{name} is no JSON")
