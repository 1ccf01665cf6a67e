"""The desk behind an HTTP face that runs in this process: a request of the openai SDK in, what to do about it out.

It knows paths, bodies, timeouts and retries of that SDK, and no HTTP library: the transport has two of them to serve, sync
and async. What fails is turned into an answer here, or into what the transport has to raise.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Literal
from urllib.parse import unquote

from ..errors import InvalidRequestError, MalformedOutputError
from .chunks import details_json
from .core import CALL_OPTIONS_OF_A_BODY, Carry, ChatCore, ChatRequest, read_body
from .openai_errors import error_answer, error_object, is_service_error, message_of
from .sse import CONTENT_TYPE, json_text, sse

if TYPE_CHECKING:
    from ..response.completion import Completion
    from .client import Bedrock

logger = logging.getLogger(__name__)

JSON_HEADERS = {"content-type": "application/json"}

Raised = Literal["ConnectError", "ConnectTimeout", "ReadTimeout"]


@dataclass(frozen=True, slots=True)
class Call:
    """A request as it comes from the SDK; `timeouts` are in seconds, None leaves them what they are."""

    method: str
    path: str
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)
    timeouts: Mapping[str, float | None] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Answer:
    """What goes back at once."""

    status: int
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True, slots=True)
class Streaming:
    """What goes back as it comes: a chat request to be opened as a stream."""

    request: ChatRequest


class Unreachable(Exception):  # noqa: N818 - a verdict on its way to the HTTP library's own exception
    """The service was not reached, or did not answer in time; `name` is the exception that an HTTP library has for it."""

    def __init__(self, name: Raised, message: str) -> None:
        super().__init__(message)
        self.name = name


class Desk:
    """Takes calls for one `Bedrock`; shared by threads and event loops."""

    def __init__(self, bedrock: Bedrock, carry: Carry = "store") -> None:
        self.bedrock = bedrock
        self.core = ChatCore(bedrock, carry=carry)

    def timeouts(self) -> dict[str, float]:
        """The timeouts that hold where a request asks for no others; the SDK takes them over as its default."""
        settings = self.bedrock.settings or self.bedrock.client.meta.config
        return {"connect": float(settings.connect_timeout), "read": float(settings.read_timeout)}

    def plan(self, call: Call) -> Callable[[], Answer] | Streaming:
        """What the call asks for: a stream to be opened, or a function that blocks until the answer is there.

        Raises InvalidRequestError for what is no request.
        """
        path = call.path.rstrip("/")
        if call.method == "POST" and path.endswith("/chat/completions"):
            return self._chat(call)
        if call.method == "GET" and path.endswith("/models"):
            return lambda: _json(self.bedrock.models.list().model_dump())
        if call.method == "GET" and "/models/" in path:
            model = unquote(path.partition("/models/")[2])
            return lambda: _json(self.bedrock.models.retrieve(model).model_dump())
        return lambda: _no_such_endpoint(call)

    def _chat(self, call: Call) -> Callable[[], Answer] | Streaming:
        try:
            body = json.loads(call.body)
        except (ValueError, RecursionError):
            raise InvalidRequestError("the body is not JSON") from None
        request = read_body(body, call_options=CALL_OPTIONS_OF_A_BODY)
        request = replace(request, options={**self._call_options(call), **request.options})
        if request.stream:
            return Streaming(request)
        return lambda: _completion_answer(self.core.complete(request))

    def _call_options(self, call: Call) -> dict[str, Any]:
        """The timeout of this call where it is not the usual one, and a single attempt where the SDK tries again itself.

        A client that was handed in keeps its own timeouts and attempts.
        """
        settings = self.bedrock.settings
        if settings is None:
            return {}
        options: dict[str, Any] = {}
        for kind in ("connect", "read"):
            name, patience = f"{kind}_timeout", call.timeouts.get(kind)
            if patience is not None and patience != getattr(settings, name):
                options[name] = max(patience, 0.001)
        if _retries_taken(call):
            options["max_attempts"] = 1
        return options

    def failed(self, error: BaseException, *, opened: bool = False) -> Answer:
        """The answer to a call that failed; raises Unreachable where there was nobody to answer.

        `opened` says that a stream was open and failed before its first event, which the retries of botocore, on a
        client that was handed in, know nothing of.
        """
        # Nobody below asks again for an answer that came whole and says itself that it is not.
        unseen = isinstance(error, MalformedOutputError) or (opened and self.bedrock.settings is None)
        tried = self._attempts() > 1 and not unseen
        answer = error_answer(error, retried=tried)
        if answer.failure.kind == "unknown":
            logger.error("error=%s | a call failed in a way that nobody foresaw", type(error).__name__, exc_info=error)
        # Nobody can tell botocore to try once only; that the SDK is not to try again can only be said by an answer.
        multiplied = tried and self.bedrock.settings is None
        if not is_service_error(error) and not multiplied:
            raised = _RAISED.get(answer.failure.kind)
            if raised is not None:
                name: Raised = "ConnectTimeout" if type(error).__name__ == "ConnectTimeoutError" else raised
                raise Unreachable(name, message_of(error, answer.failure)) from None
        return Answer(answer.status, answer.headers, answer.body)

    def _attempts(self) -> int:
        """How often a call is tried before it fails."""
        settings = self.bedrock.settings
        if settings is not None:
            return settings.max_attempts
        retries = self.bedrock.client.meta.config.retries or {}
        return int(retries.get("total_max_attempts") or 5)  # botocore's oldest default


_RAISED: dict[str, Raised] = {"connection": "ConnectError", "timeout": "ReadTimeout", "idle_timeout": "ReadTimeout"}


def stream_headers(request_id: str | None) -> dict[str, str]:
    """The headers of a streamed answer."""
    identified = {"x-request-id": request_id} if request_id else {}
    return {"content-type": CONTENT_TYPE, "cache-control": "no-cache", **identified}


def error_event(error: BaseException) -> bytes:
    """What a stream that fails in the middle ends with."""
    return sse({"error": error_object(error)})


def completion_json(completion: Completion) -> dict[str, Any]:
    """The completion as OpenAI sends it: what is None is left out, save where a reader may expect the key."""
    data = completion.model_dump(exclude=("bedrock",), exclude_none=True)
    data["bedrock"] = details_json(completion)
    for choice in data["choices"]:
        choice.setdefault("logprobs", None)
        choice["message"].setdefault("content", None)
        choice["message"].setdefault("refusal", None)
    return data


def _completion_answer(completion: Completion) -> Answer:
    request_id = completion.bedrock.request_id
    return _json(completion_json(completion), {"x-request-id": request_id} if request_id else None)


def _json(data: Any, headers: Mapping[str, str] | None = None) -> Answer:
    return Answer(200, {**JSON_HEADERS, **(headers or {})}, json_text(data).encode("ascii"))


def _no_such_endpoint(call: Call) -> Answer:
    message = f"{call.method} {call.path} is not served: there are /chat/completions and /models."
    if call.path.rstrip("/").endswith("/responses"):
        message += " Tell the runtime to use chat completions instead of the Responses API."
    error = {"message": message, "type": "invalid_request_error", "param": None, "code": "unknown_url"}
    body = json_text({"error": error}).encode("ascii")
    return Answer(404, {**JSON_HEADERS, "x-should-retry": "false"}, body)


def _retries_taken(call: Call) -> bool:
    return call.headers.get("x-stainless-retry-count", "0") != "0"
