"""What went wrong, for whom, and what to do about it: one table from exception to `Failure`.

In comes any exception that a call can raise: ours, botocore's, urllib3's, the interpreter's. Out goes a frozen `Failure`.
botocore's exceptions are classified and annotated, never wrapped, because runtimes read their text. Nothing here imports
botocore: exceptions are recognised by the names of their classes, so that importing the adapter stays free of boto3.

    BedrockError                      base of all our own; picklable; `.kind`, `.request_id`, `.partial`
     +- InvalidRequestError           bad input, found before any bytes are sent (also a ValueError)
     +- SettingsError                 a malformed setting or environment variable (also a ValueError)
     +- TruncatedResponseError        the answer ended before it was complete
     +- CorruptStreamError            bytes that are no event stream, or fail their checksum
     +- MalformedOutputError          the service says the model's output was malformed
     +- StreamFaultError              the service reported a fault inside the stream
     +- IdleTimeoutError              silence between events for too long (also a TimeoutError)
     +- DeadlineExceededError         the caller's total deadline passed (also a TimeoutError)
     +- CallInterruptedError          the caller closed or cancelled the call
"""

from __future__ import annotations

from typing import Any, Literal

Kind = Literal[
    "rate_limit",
    "quota",
    "overloaded",
    "server_error",
    "model_error",
    "timeout",
    "idle_timeout",
    "connection",
    "truncated",
    "corrupt",
    "malformed_output",
    "context_overflow",
    "invalid_request",
    "unsupported",
    "model_not_found",
    "access_denied",
    "auth",
    "region",
    "interrupted",
    "unknown",
]


class BedrockError(Exception):
    """Base of the adapter's own errors.

    `partial` is the completion of what had arrived (None when nothing had); foreign exceptions raised after output
    began get the same attribute. `request_id` is the AWS request id when the service had given one.
    """

    kind: Kind = "unknown"

    def __init__(self, message: str = "", *, request_id: str | None = None, partial: Any = None) -> None:
        super().__init__(message)
        self.request_id = request_id
        self.partial = partial


class InvalidRequestError(BedrockError, ValueError):
    """The caller's input cannot be sent: `message_index` and `field` say where (None where it is not about a message)."""

    kind: Kind = "invalid_request"

    def __init__(self, message: str = "", *, message_index: int | None = None, field: str | None = None) -> None:
        place = "" if message_index is None else f"messages[{message_index}]"
        where = ".".join(part for part in (place, field) if part)
        super().__init__(f"{where}: {message}" if where else message)
        self.message_index = message_index
        self.field = field


class SettingsError(BedrockError, ValueError):
    """A setting or environment variable cannot be understood; the text names it, never its secret value."""

    kind: Kind = "invalid_request"


class TruncatedResponseError(BedrockError):
    """The answer ended without proof of completeness (`messageStop`, or `output` and `stopReason`)."""

    kind: Kind = "truncated"


class CorruptStreamError(BedrockError):
    """The bytes of the answer are no event stream or fail a checksum."""

    kind: Kind = "corrupt"


class MalformedOutputError(BedrockError):
    """Stop reason malformed_model_output or malformed_tool_use: the model's output could not be parsed by the service."""

    kind: Kind = "malformed_output"


class StreamFaultError(BedrockError):
    """A fault that the service reported as an event of the stream; `code` is the service's own word for it."""

    def __init__(self, message: str = "", *, code: str = "", request_id: str | None = None, partial: Any = None) -> None:
        super().__init__(message, request_id=request_id, partial=partial)
        self.code = code


class IdleTimeoutError(BedrockError, TimeoutError):
    """No event arrived for longer than the idle timeout after the stream had begun."""

    kind: Kind = "idle_timeout"


class DeadlineExceededError(BedrockError, TimeoutError):
    """The total time that the caller allowed for the call is over."""

    kind: Kind = "timeout"


class CallInterruptedError(BedrockError):
    """The caller closed or cancelled the call before the answer was complete."""

    kind: Kind = "interrupted"
