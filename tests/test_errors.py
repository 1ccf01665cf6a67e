"""Our own exceptions, and the narrow questions asked of any exception or text."""

from __future__ import annotations

import copy
import pickle
import subprocess
import sys
from pathlib import Path
from typing import Any

import botocore.exceptions as botocore_errors
import pytest
import urllib3.exceptions as urllib3_errors

from agent.bedrock import errors
from agent.bedrock.errors import (
    BedrockError,
    InvalidRequestError,
    StreamFaultError,
    annotate,
    classify,
    classify_text,
    is_stale_connection_error,
    is_streaming_access_denied_error,
    is_streaming_unsupported_error,
)
from agent.bedrock.failures import CONTEXT_OVERFLOW_PATTERNS, OVERLOAD_PATTERNS, THROTTLE_PATTERNS

OWN = [
    cls for cls in vars(errors).values() if isinstance(cls, type) and issubclass(cls, BedrockError)
]  # every class of ours, new ones too


def client_error(code: str, message: str = "", operation: str = "Converse", **response: Any) -> Any:
    return botocore_errors.ClientError({"Error": {"Code": code, "Message": message}, **response}, operation)


class TestOurOwn:
    @pytest.mark.parametrize("cls", OWN)
    @pytest.mark.parametrize("copied", [lambda exc: pickle.loads(pickle.dumps(exc)), copy.copy, copy.deepcopy])
    def test_they_survive_copying_and_pickling_with_all_they_carry(self, cls: type[BedrockError], copied: Any) -> None:
        exc = (
            cls("it broke", request_id="r-1", partial={"text": "half"}) if cls is not InvalidRequestError else cls("it")
        )
        exc.add_note("advice")
        again = copied(exc)
        assert type(again) is cls
        assert str(again) == str(exc)
        assert vars(again) == vars(exc)

    def test_a_place_survives_too(self) -> None:
        exc = InvalidRequestError("must be text", message_index=3, field="content[1]")
        again = pickle.loads(pickle.dumps(exc))
        assert str(again) == str(exc) == "messages[3].content[1]: must be text"
        assert (again.message_index, again.field) == (3, "content[1]")
        assert (
            pickle.loads(pickle.dumps(StreamFaultError("m", code="throttlingException"))).code == "throttlingException"
        )

    @pytest.mark.parametrize("cls", OWN)
    def test_each_is_classified_as_the_kind_that_it_says(self, cls: type[BedrockError]) -> None:
        found = classify(cls("it broke"))
        assert found.kind == (cls.kind if cls is not StreamFaultError else "server_error")

    def test_runtimes_catch_them_by_the_builtin_they_expect(self) -> None:
        assert issubclass(errors.InvalidRequestError, ValueError)
        assert issubclass(errors.SettingsError, ValueError)
        assert issubclass(errors.IdleTimeoutError, TimeoutError)
        assert issubclass(errors.DeadlineExceededError, TimeoutError)


class TestAnnotate:
    def test_advice_is_added_once(self) -> None:
        exc = RuntimeError("x")
        for _ in range(3):
            annotate(exc, "do this")
        annotate(exc, "and that")
        annotate(exc, "")
        assert exc.__notes__ == ["do this", "and that"]

    def test_what_was_said_stays_as_it_was(self) -> None:
        exc = client_error("ThrottlingException", "Rate exceeded")
        before = str(exc)
        annotate(exc, "wait")
        assert str(exc) == before


def _raised_within(module: str) -> AssertionError:
    """An AssertionError of a bare `assert` in a frame of that module."""
    try:
        exec(compile("assert False", "x", "exec"), {"__name__": module})
    except AssertionError as exc:
        return exc
    raise RuntimeError("assertions are off")


URL = {"endpoint_url": "https://bedrock-runtime.us-east-1.amazonaws.com"}


class TestStale:
    @pytest.mark.parametrize(
        "exc",
        [
            botocore_errors.ConnectionClosedError(**URL),
            botocore_errors.EndpointConnectionError(**URL),
            botocore_errors.ReadTimeoutError(**URL),
            botocore_errors.ConnectTimeoutError(**URL),
            botocore_errors.SSLError(**URL, error="x"),
            botocore_errors.ProxyConnectionError(proxy_url="http://p"),
            botocore_errors.HTTPClientError(error="x"),
            botocore_errors.ResponseStreamingError(error="x"),
            urllib3_errors.ProtocolError("Connection broken"),
            urllib3_errors.ResponseNotChunked("x"),
            urllib3_errors.NewConnectionError(None, "x"),  # type: ignore[arg-type]
            urllib3_errors.NameResolutionError("h", None, OSError()),  # type: ignore[arg-type]
            _raised_within("urllib3.connectionpool"),
            _raised_within("botocore.httpsession"),
            _raised_within("boto3.session"),
            _raised_within("urllib3"),
        ],
        ids=lambda exc: type(exc).__name__,
    )
    def test_transport_errors_of_the_libraries_are(self, exc: BaseException) -> None:
        assert is_stale_connection_error(exc)
        assert classify(exc).evict

    @pytest.mark.parametrize(
        "exc",
        [
            ValueError("Connection broken"),
            KeyError("missing"),
            ConnectionResetError(104, "reset"),
            TimeoutError("slow"),
            client_error("ThrottlingException"),
            botocore_errors.NoCredentialsError(),
            botocore_errors.ParamValidationError(report="x"),
            _raised_within("my.urllib3_tests"),
            _raised_within("agent.tools"),
            errors.TruncatedResponseError("x"),
        ],
        ids=lambda exc: type(exc).__name__,
    )
    def test_nothing_else_is(self, exc: BaseException) -> None:
        assert not is_stale_connection_error(exc)
        assert not classify(exc).evict

    @pytest.mark.parametrize(
        "exc",
        [
            urllib3_errors.ReadTimeoutError(None, None, "x"),  # type: ignore[arg-type]
            urllib3_errors.SSLError("x"),
            errors.IdleTimeoutError("x"),
        ],
        ids=lambda exc: type(exc).__name__,
    )
    def test_a_stream_that_dies_under_its_reader_costs_the_pool_and_not_the_client(self, exc: BaseException) -> None:
        assert not is_stale_connection_error(exc)
        assert classify(exc).evict

    def test_a_broken_connection_to_somebody_else_evicts_no_client_of_bedrock(self) -> None:
        exc = botocore_errors.EndpointConnectionError(endpoint_url="https://oidc.us-east-1.amazonaws.com/token")
        assert is_stale_connection_error(exc)
        assert not classify(exc).evict


DENIED = "User: x is not authorized to perform: bedrock:InvokeModelWithResponseStream on resource: y"


class TestStreamingRefused:
    @pytest.mark.parametrize(
        ("exc", "denied"),
        [
            (client_error("AccessDeniedException", DENIED), True),
            (client_error("accessDeniedException", DENIED), True),
            (RuntimeError(f"403: {DENIED}"), True),
            (RuntimeError("AccessDenied: bedrock:invokemodelwithresponsestream"), True),
            (client_error("ValidationException", DENIED), False),
            (client_error("ThrottlingException", DENIED), False),
            (client_error("AccessDeniedException", DENIED.replace("WithResponseStream", "")), False),
            (RuntimeError("InvokeModelWithResponseStream is slow"), False),
        ],
    )
    def test_by_permission(self, exc: BaseException, denied: bool) -> None:
        assert is_streaming_access_denied_error(exc) is denied

    @pytest.mark.parametrize(
        ("exc", "refused"),
        [
            (client_error("ValidationException", "This model doesn't support tool use in streaming mode."), True),
            (client_error("ValidationException", "The model does not support streaming."), True),
            (client_error("ValidationException", "This model doesn't support tool use."), False),
            (client_error("ThrottlingException", "tool use in streaming mode"), False),
            (RuntimeError("tool use in streaming mode"), False),
        ],
    )
    def test_by_the_model(self, exc: BaseException, refused: bool) -> None:
        assert is_streaming_unsupported_error(exc) is refused


TEXTS = [
    # The seed's own habits
    ("ValidationException: input is too long for model", "context_overflow"),
    ("ValidationException: exceeds the maximum number of input tokens", "context_overflow"),
    ("ModelStreamErrorException: Input is too long", "context_overflow"),
    ("ThrottlingException: Rate exceeded", "rate_limit"),
    ("Too many concurrent requests", "rate_limit"),
    ("ServiceQuotaExceededException: x", "rate_limit"),
    ("ModelNotReadyException", "overloaded"),
    ("ModelTimeoutException", "overloaded"),
    ("InternalServerException: x", "overloaded"),
    ("SomeRandomError: something went wrong", "unknown"),
    ("", "unknown"),
    # The service's words (converse.md 3.10)
    ("An error occurred (ValidationException): Input is too long for requested model.", "context_overflow"),
    ("input length and `max_tokens` exceed context limit: 199846 + 8192 > 200000", "context_overflow"),
    ("The model returned the following errors: prompt is too long: 203470 tokens > 200000 maximum", "context_overflow"),
    ("too many total text bytes: 26000000 > 25000000", "context_overflow"),
    (
        "Mantle streaming error: This model's maximum context length is 202752 tokens. However, you requested 210000",
        "context_overflow",
    ),
    ("ThrottlingException: Too many tokens, please wait before trying again.", "rate_limit"),
    ("Too many tokens per day, please wait before trying again.", "rate_limit"),
    ("Too many requests, please wait before trying again.", "rate_limit"),
    ("ServiceUnavailableException: x", "overloaded"),
    # Alike, and something else
    ("The maximum tokens you requested exceeds the model limit of 128000. Try again with a lower value.", "unknown"),
    ("messages.0.content.0.text: Field required", "unknown"),
    ("expected maxLength: 64, actual: 65", "unknown"),
]


class TestTexts:
    @pytest.mark.parametrize(("text", "meant"), TEXTS)
    def test_a_text_alone(self, text: str, meant: str) -> None:
        assert classify_text(text) == meant
        assert classify_text(text.upper()) == meant or "`" in text

    def test_no_throttle_fits_a_pattern_of_overflow(self) -> None:
        throttles = [text for text, meant in TEXTS if meant == "rate_limit"]
        assert not [text for text in throttles if any(p.search(text) for p in CONTEXT_OVERFLOW_PATTERNS)]

    def test_the_patterns_are_compiled(self) -> None:
        for patterns in (CONTEXT_OVERFLOW_PATTERNS, THROTTLE_PATTERNS, OVERLOAD_PATTERNS):
            assert patterns
            assert all(pattern.search("") is None for pattern in patterns)


def test_importing_and_classifying_load_no_library_of_aws() -> None:
    code = (
        "import sys; from agent.bedrock import errors; "
        "assert errors.classify(TimeoutError('x')).kind == 'timeout'; "
        "assert not [m for m in sys.modules if m.split('.')[0] in ('boto3', 'botocore', 'urllib3')]"
    )
    root = Path(__file__).resolve().parent.parent
    subprocess.run([sys.executable, "-c", code], check=True, cwd=root, timeout=60)
