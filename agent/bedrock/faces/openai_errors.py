"""Failures in OpenAI's form: status, headers and error body, for whoever answers over HTTP or as if.

In comes any exception that a call raised, out goes what an OpenAI client makes the right exception of. What is retried is
said outright by `x-should-retry`, so that a client's retries and ours never multiply. No text of a foreign exception
that may hold a secret goes out.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ..errors import BedrockError, Failure, InvalidRequestError, Kind, StreamFaultError, classify, service_error
from .sse import json_text

OVERFLOW_NOTE = "(context_length_exceeded: this model's maximum context length is exceeded)"
"""What LangChain, LiteLLM, pydantic-ai and Hermes all take for an overflow, behind whatever the service said."""

_TYPES_AND_CODES: dict[Kind, tuple[str, str | None]] = {
    "rate_limit": ("rate_limit_error", "rate_limit_exceeded"),
    "quota": ("insufficient_quota", "insufficient_quota"),
    "overloaded": ("server_error", "overloaded"),
    "server_error": ("server_error", "server_error"),
    "model_error": ("server_error", "model_error"),
    "timeout": ("server_error", "timeout"),
    "idle_timeout": ("server_error", "timeout"),
    "connection": ("server_error", "connection_error"),
    "truncated": ("server_error", "incomplete_response"),
    "corrupt": ("server_error", "corrupt_response"),
    "malformed_output": ("server_error", "malformed_output"),
    "context_overflow": ("invalid_request_error", "context_length_exceeded"),
    "invalid_request": ("invalid_request_error", None),
    "unsupported": ("invalid_request_error", "unsupported"),
    "model_not_found": ("invalid_request_error", "model_not_found"),
    "access_denied": ("permission_error", "access_denied"),
    "auth": ("authentication_error", "invalid_credentials"),
    "region": ("invalid_request_error", "region_missing"),
    "interrupted": ("server_error", "interrupted"),
    "unknown": ("server_error", None),
}

_ADVISED: frozenset[Kind] = frozenset({"auth", "access_denied", "region", "model_not_found", "connection", "timeout"})
"""Kinds whose advice may stand in the message; that of others could be read as a category by those who match words."""

_STATUSES: dict[Kind, int] = {"context_overflow": 400}
"""Where OpenAI's own status counts more than the service's: runtimes look for an overflow in a 400 only."""


@dataclass(frozen=True, slots=True)
class ErrorAnswer:
    """A failure as an answer; `error` is what stands under the key "error"."""

    status: int
    headers: Mapping[str, str]
    error: Mapping[str, Any]
    failure: Failure

    @property
    def body(self) -> bytes:
        """The JSON body."""
        return json_text({"error": self.error}).encode("ascii")


def error_answer(error: BaseException, *, retried: bool = False) -> ErrorAnswer:
    """The answer to a call that failed; `retried` says that all attempts that are worth making were made."""
    failure = classify(error)
    return ErrorAnswer(
        status=_STATUSES.get(failure.kind, failure.status),
        headers=_headers(failure, retried),
        error=error_object(error, failure),
        failure=failure,
    )


def error_object(error: BaseException, failure: Failure | None = None) -> dict[str, Any]:
    """OpenAI's error object; it is also what a stream ends with where it fails in the middle."""
    failure = failure or classify(error)
    kind, code = _TYPES_AND_CODES[failure.kind]
    param = "messages" if failure.kind == "context_overflow" else None
    if isinstance(error, InvalidRequestError):
        place = None if error.message_index is None else f"messages[{error.message_index}]"
        param = ".".join(part for part in (place, error.field) if part) or None
    return {"message": message_of(error, failure), "type": kind, "param": param, "code": code}


def message_of(error: BaseException, failure: Failure) -> str:
    """What went wrong, in the service's words or ours, never in those of a library that may quote a secret."""
    said = _said(error, failure)
    if failure.kind == "context_overflow":
        return f"{said} {OVERFLOW_NOTE}"
    if failure.kind in _ADVISED and failure.advice and failure.advice not in said:
        return f"{_sentence(said)} {failure.advice}".strip()
    return said or failure.kind


def _sentence(text: str) -> str:
    return text if not text or text.endswith((".", "!", "?")) else f"{text}."


def _said(error: BaseException, failure: Failure) -> str:
    service = service_error(error)
    if service is not None:
        code, message = service.get("Code"), service.get("Message")
        return f"{code}: {message}" if code and failure.kind != "context_overflow" else str(message or code or "")
    if isinstance(error, BedrockError) or failure.kind in _HARMLESS:
        return str(error)
    return f"{type(error).__name__}."


_HARMLESS: frozenset[Kind] = frozenset({"truncated", "corrupt", "invalid_request", "region", "interrupted"})
"""Kinds whose foreign texts name parameters, sizes or regions; those about credentials and connections may quote more."""


def _headers(failure: Failure, retried: bool) -> dict[str, str]:
    headers = {"content-type": "application/json", "x-should-retry": str(failure.retryable and not retried).lower()}
    if failure.request_id:
        headers["x-request-id"] = failure.request_id
    if failure.retry_after is not None:
        headers["retry-after"] = f"{failure.retry_after:g}"
        headers["retry-after-ms"] = f"{failure.retry_after * 1000:.0f}"
    return headers


def is_service_error(error: BaseException) -> bool:
    """Whether the service itself said it, so that it was reached."""
    return service_error(error) is not None or isinstance(error, StreamFaultError)
