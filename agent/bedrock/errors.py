"""What can go wrong: our own exceptions, and the questions that are asked of any exception.

In comes any exception that a call can raise: ours, botocore's, urllib3's, the interpreter's. Out goes a frozen `Failure`;
the table behind it is `failures.py`, loaded at the first failure so that importing the adapter stays cheap.
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

import logging
import re
from typing import Any, Literal

from .patterns import pattern
from .values import frozen

logger = logging.getLogger(__name__)

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
    """The answer ended without proof of completeness (`messageStop`, or `output` and `stopReason`).

    `answer` is what boto3 made of a whole one that a guarded client refused.
    """

    kind: Kind = "truncated"
    answer: Any = None


class CorruptStreamError(BedrockError):
    """The bytes of the answer are no event stream or fail a checksum."""

    kind: Kind = "corrupt"


NOT_ITS_FORM = (AttributeError, LookupError, TypeError, ValueError)
"""What reading an answer raises whose JSON has a number for a text, or nothing for a block."""


def answer_of_another_form(request_id: str | None = None) -> CorruptStreamError:
    """What to raise in place of one of `NOT_ITS_FORM`, with advice."""
    corrupt = CorruptStreamError("the answer is not in the form of Bedrock's", request_id=request_id)
    annotate(corrupt, classify(corrupt).advice)
    return corrupt


class MalformedOutputError(BedrockError):
    """Stop reason malformed_model_output or malformed_tool_use: the model's output could not be parsed by the service."""

    kind: Kind = "malformed_output"


class StreamFaultError(BedrockError):
    """A fault that the service reported as an event of the stream; `code` is the service's own word for it."""

    def __init__(
        self, message: str = "", *, code: str = "", request_id: str | None = None, partial: Any = None
    ) -> None:
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


# --- what follows from an exception -------------------------------------------------------------------------------------


@frozen
class Failure:
    """What an exception means: `retry_after` in seconds, `status` the HTTP status of an OpenAI-shaped answer.

    `retryable`: the same call may succeed if made again. `evict`: the client's connections are not to be trusted.
    """

    kind: Kind
    retryable: bool
    evict: bool
    status: int
    retry_after: float | None
    request_id: str | None
    advice: str


def classify(exc: BaseException) -> Failure:
    """What `exc` means; never raises, whatever it is given. Code and status count first, the text second."""
    from .failures import failure_of

    try:
        return failure_of(exc)
    except Exception:  # noqa: BLE001 (an exception may be as broken as it likes; the caller is handling one already)
        logger.warning("type=%s | could not be classified", type(exc).__name__)
        return Failure(
            "unknown", retryable=False, evict=False, status=500, retry_after=None, request_id=None, advice=""
        )


def annotate(exc: BaseException, advice: str) -> None:
    """Add `advice` as a note that tracebacks show; a second time it changes nothing."""
    if advice and advice not in getattr(exc, "__notes__", ()):
        exc.add_note(advice)


# --- narrower questions -----------------------------------------------------------------------------------------------

_STALE_CLASSES = frozenset(
    {
        "botocore.exceptions.ConnectionError",
        "botocore.exceptions.HTTPClientError",
        "urllib3.exceptions.ProtocolError",
        "urllib3.exceptions.NewConnectionError",
    }
)
TRANSPORT_MODULES = ("urllib3", "botocore", "boto3")


def is_stale_connection_error(exc: BaseException) -> bool:
    """Whether the client's pooled connections are to be given up: botocore's and urllib3's transport errors only.

    An AssertionError counts where a frame of those libraries raised it: a connection pool in a state it cannot be in.
    """
    if _STALE_CLASSES.intersection(class_names(exc)):
        return True
    return isinstance(exc, AssertionError) and was_raised_in(exc, TRANSPORT_MODULES)


def is_streaming_access_denied_error(exc: BaseException) -> bool:
    """Whether IAM refuses `InvokeModelWithResponseStream`, so that calling without streaming may be allowed."""
    text = str(exc).lower()
    if "invokemodelwithresponsestream" not in text:
        return False
    error = service_error(exc)
    if error is not None:
        return str(error.get("Code")).lower() in (
            "accessdeniedexception",
            "accessdenied",
            "unauthorizedexception",
            "403",
        )
    return "not authorized" in text or "accessdenied" in text


def is_streaming_unsupported_error(exc: BaseException) -> bool:
    """Whether the model refuses to stream what was asked (tools, mostly), so that a whole answer may be had."""
    error = service_error(exc)
    code = str((error or {}).get("Code") or "").lower()
    return code in ("validationexception", "400") and _STREAMING_UNSUPPORTED.search(str(exc)) is not None


#: "This model doesn't support tool use in streaming mode." (Llama 4: badlogic/pi-mono#3739)
_STREAMING_UNSUPPORTED = pattern(
    r"in streaming mode|(?:support|for) (?:response )?streaming|streaming is not supported", re.IGNORECASE
)


def classify_text(message: str) -> Literal["context_overflow", "rate_limit", "overloaded", "unknown"]:
    """What an error message means where nothing but its text is left."""
    from .failures import CONTEXT_OVERFLOW_PATTERNS, OVERLOAD_PATTERNS, THROTTLE_PATTERNS, matches

    if matches(THROTTLE_PATTERNS, message):
        return "rate_limit"
    if matches(CONTEXT_OVERFLOW_PATTERNS, message):
        return "context_overflow"
    return "overloaded" if matches(OVERLOAD_PATTERNS, message) else "unknown"


# --- facts of an exception ----------------------------------------------------------------------------------------------


def class_names(exc: BaseException) -> list[str]:
    """The classes of `exc`, nearest first, each as module and name."""
    return [f"{base.__module__}.{base.__qualname__}" for base in type(exc).__mro__]


def service_error(exc: BaseException) -> dict[str, Any] | None:
    """Code and message of the service's answer, in the shape of botocore's ClientError; None where there is none."""
    response = getattr(exc, "response", None)
    error = response.get("Error") if isinstance(response, dict) else None
    return error if isinstance(error, dict) else None


def was_raised_in(exc: BaseException, modules: tuple[str, ...], *, function: str | None = None) -> bool:
    """Whether a frame of one of these modules, or of one below it, stands in the traceback; of that function, if any."""
    trace = exc.__traceback__
    while trace is not None:
        name = str(trace.tb_frame.f_globals.get("__name__") or "")
        is_meant = function in (None, trace.tb_frame.f_code.co_name)
        if is_meant and (name.startswith(tuple(f"{module}." for module in modules)) or name in modules):
            return True
        trace = trace.tb_next
    return False
