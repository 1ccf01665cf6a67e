"""The table: what every exception of a call means."""

from __future__ import annotations

import asyncio
import contextlib
import http.client
import json
import socket
import ssl
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import boto3
import botocore.exceptions as botocore_errors
import pytest
import urllib3.exceptions as urllib3_errors
from botocore.config import Config
from botocore.eventstream import ChecksumMismatch, InvalidHeadersLength, InvalidPayloadLength, ParserError
from botocore.parsers import ResponseParserError

from agent.bedrock.aws.clients import build_runtime_client
from agent.bedrock.aws.credentials import Credentials
from agent.bedrock.aws.settings import ClientSettings
from agent.bedrock.errors import Failure, StreamFaultError, TruncatedResponseError, classify
from agent.bedrock.failures import _CLASSES, _CODES, _KINDS, _STATUSES
from agent.bedrock.testing import FakeBedrock, Refusal, Reply, StreamError, StreamException

SECRET = "Tr0ub4dor-and-3"
URL = {"endpoint_url": "https://bedrock-runtime.us-east-1.amazonaws.com/model/m/converse"}


def client_error(
    code: str, message: str = "", status: int = 400, headers: dict[str, str] | None = None, **more: Any
) -> Any:
    metadata = {"RequestId": "r-1", "HTTPStatusCode": status, "HTTPHeaders": headers or {}}
    response = {"Error": {"Code": code, "Message": message}, "ResponseMetadata": metadata, **more}
    return botocore_errors.ClientError(response, "Converse")  # type: ignore[arg-type]


def in_stream(code: str, message: str = "") -> Any:
    return botocore_errors.EventStreamError({"Error": {"Code": code, "Message": message}}, "ConverseStream")


#: Code, HTTP status, message, and what it means: kind, status of our answer, retryable (converse.md 2.1, 3.9, 3.10).
SERVICE = [
    ("ValidationException", 400, "bad", "invalid_request", 400, False),
    ("AccessDeniedException", 403, "no", "access_denied", 403, False),
    ("ResourceNotFoundException", 404, "Could not resolve the foundation model", "model_not_found", 404, False),
    ("ModelTimeoutException", 408, "slow", "timeout", 408, True),
    ("ModelErrorException", 424, "Model produced invalid sequence as part of ToolUse", "model_error", 424, True),
    ("ModelStreamErrorException", 424, "x", "model_error", 424, True),
    ("ThrottlingException", 429, "Too many requests, please wait before trying again.", "rate_limit", 429, True),
    ("ThrottlingException", 400, "Rate exceeded", "rate_limit", 429, True),
    ("ThrottlingException", 429, "Too many tokens, please wait before trying again.", "rate_limit", 429, True),
    ("ThrottlingException", 429, "Too many tokens per day, please wait before trying again.", "quota", 429, False),
    ("ModelNotReadyException", 429, "loading", "overloaded", 429, True),
    ("InternalServerException", 500, "x", "server_error", 500, True),
    ("ServiceUnavailableException", 503, "x", "overloaded", 503, True),
    ("ServiceQuotaExceededException", 400, "x", "quota", 429, False),
    ("ExpiredTokenException", 403, "x", "auth", 401, False),
    ("UnrecognizedClientException", 403, "x", "auth", 401, False),
    ("InvalidSignatureException", 403, "x", "auth", 401, False),
    ("UnknownOperationException", 404, "x", "unsupported", 400, False),
    ("MPAgreementBeingCreated", 403, "x", "access_denied", 403, False),
    ("FTUFormNotFilled", 404, "x", "access_denied", 403, False),
    ("ThrottlingException:http://internal.amazon.com/coral/", 429, "x", "rate_limit", 429, True),
    ("com.amazon.bedrock#ThrottlingException", 429, "x", "rate_limit", 429, True),
    ("BrandNewException", 400, "x", "invalid_request", 400, False),
    ("BrandNewException", 403, "x", "access_denied", 403, False),
    ("BrandNewException", 503, "x", "overloaded", 503, True),
    # No type header: the code is the status as text
    ("429", 429, "", "rate_limit", 429, True),
    ("502", 502, "Bad Gateway", "server_error", 502, True),
    ("503", 503, "Service Unavailable", "overloaded", 503, True),
    ("504", 504, "Gateway Timeout", "server_error", 504, True),
    ("529", 529, "", "overloaded", 503, True),
    ("599", 599, "", "server_error", 500, True),
    ("413", 413, "Request Entity Too Large", "context_overflow", 413, False),
    ("418", 418, "teapot", "invalid_request", 400, False),
    ("401", 401, "", "auth", 401, False),
]

#: Text of a ValidationException, or code and text, and the kind.
TEXTS = [
    ("Input is too long for requested model.", "context_overflow"),
    ("The model returned the following errors: prompt is too long: 203470 tokens > 200000 maximum", "context_overflow"),
    ("input length and `max_tokens` exceed context limit: 199846 + 8192 > 200000", "context_overflow"),
    ("The provided model identifier is invalid.", "model_not_found"),
    (
        "Invocation of model ID anthropic.claude-x with on-demand throughput isn\u2019t supported. Retry your request.",
        "model_not_found",
    ),
    ("This model doesn't support tool use in streaming mode.", "unsupported"),
    ("This model doesn't support tool use.", "unsupported"),
    ("This model doesn't support the stopSequences field. Remove stopSequences and try again.", "unsupported"),
    ("The provided model doesn't support counting tokens.", "unsupported"),
    ("The model returned the following errors: `temperature` is deprecated for this model.", "unsupported"),
    ("output_config.format: Extra inputs are not permitted", "unsupported"),
    ("#/toolConfig/tools/18: extraneous key [cachePoint] is not permitted", "unsupported"),
    ("This model does not support assistant message prefill.", "unsupported"),
    ('tool_choice: type "tool" and "any" are not supported for this model.', "unsupported"),
    ("The maximum tokens you requested exceeds the model limit of 128000. Try again with", "invalid_request"),
    ("The text field in the ContentBlock object at messages.0.content.0 is blank.", "invalid_request"),
    ("The toolConfig field must be defined when using toolUse and toolResult content blocks.", "invalid_request"),
    ("Operation not allowed", "access_denied"),
]


@pytest.mark.parametrize(("code", "http", "message", "kind", "status", "retryable"), SERVICE)
def test_what_the_service_answers(  # noqa: PLR0917 (the columns of the table)
    code: str, http: int, message: str, kind: str, status: int, retryable: bool
) -> None:
    found = classify(client_error(code, message, http))
    assert (found.kind, found.status, found.retryable) == (kind, status, retryable)
    assert found.request_id == "r-1"
    assert not found.evict
    assert found.advice


@pytest.mark.parametrize(("message", "kind"), TEXTS)
@pytest.mark.parametrize("code", ["ValidationException", "validationException", "400"])
def test_what_a_refusal_says(code: str, message: str, kind: str) -> None:
    assert classify(client_error(code, message)).kind == kind
    if code == "validationException":
        assert classify(in_stream(code, message)).kind == kind
        assert classify(StreamFaultError(message, code=code)).kind == kind


@pytest.mark.parametrize(
    ("exc", "advice"),
    [
        (client_error("ResourceNotFoundException", "Model use case details have not been submitted", 404), "use case form"),
        (client_error("FTUFormNotFilled", "", 404), "use case form"),
        (client_error("AccessDeniedException", "MPAgreementBeingCreated: x", 403), "Marketplace"),
        (client_error("AccessDeniedException", "aws-marketplace:Subscribe is not allowed", 403), "Marketplace"),
        (client_error("AccessDeniedException", "You don't have access to the model with the specified model ID.", 403),
         "Model access"),
        (client_error("AccessDeniedException", "not authorized to perform: bedrock:InvokeModelWithResponseStream", 403),
         "without streaming"),
        (client_error("ResourceNotFoundException", "This model version has reached the end of its life.", 404), "retired"),
        (client_error("ValidationException", "with on-demand throughput isn't supported."), "inference profile"),
        (client_error("ValidationException", "tool use in streaming mode"), "without streaming"),
        (botocore_errors.EndpointConnectionError(**URL), "region has Bedrock"),
        (botocore_errors.SSLError(**URL, error="certificate verify failed: self-signed"), "AWS_CA_BUNDLE"),
        (botocore_errors.ProxyConnectionError(proxy_url="http://p", error="Tunnel connection failed: 407 x"), "HTTPS_PROXY"),
        (botocore_errors.ReadTimeoutError(**URL), "BEDROCK_READ_TIMEOUT"),
        (botocore_errors.NoRegionError(), "AWS_REGION"),
        (botocore_errors.NoAuthTokenError(), "AWS_BEARER_TOKEN_BEDROCK"),
        (botocore_errors.UnknownServiceError(service_name="bedrock-runtime", known_service_names=""), "pip install"),
        (ModuleNotFoundError("No module named 'boto3'", name="boto3"), "pip install"),
    ],
)  # fmt: skip
def test_advice_names_what_to_do(exc: Exception, advice: str) -> None:
    assert advice in classify(exc).advice


#: Exceptions that are no answer of the service: kind, retryable.
TRANSPORT: list[tuple[BaseException, str, bool]] = [
    (botocore_errors.ConnectionClosedError(**URL), "connection", True),
    (botocore_errors.EndpointConnectionError(**URL), "connection", True),
    (botocore_errors.HTTPClientError(error="x"), "connection", True),
    (botocore_errors.ResponseStreamingError(error="x"), "connection", True),
    (botocore_errors.SSLError(**URL, error="EOF occurred"), "connection", True),
    (botocore_errors.SSLError(**URL, error="CERTIFICATE_VERIFY_FAILED"), "connection", False),
    (botocore_errors.ProxyConnectionError(proxy_url="http://p", error="refused"), "connection", True),
    (botocore_errors.ProxyConnectionError(proxy_url="http://p", error="407 Proxy Auth"), "connection", False),
    (botocore_errors.ConnectTimeoutError(**URL), "timeout", True),
    (botocore_errors.ReadTimeoutError(**URL), "timeout", False),
    (botocore_errors.IncompleteReadError(actual_bytes=1, expected_bytes=2), "truncated", True),
    (botocore_errors.ParamValidationError(report="x"), "invalid_request", False),
    (botocore_errors.InvalidRegionError(region_name="x y"), "region", False),
    (urllib3_errors.ProtocolError("Response ended prematurely"), "connection", True),
    (urllib3_errors.ReadTimeoutError(None, "u", "Read timed out."), "timeout", False),  # type: ignore[arg-type]
    (urllib3_errors.NewConnectionError(None, "x"), "connection", True),  # type: ignore[arg-type]
    (urllib3_errors.SSLError("x"), "connection", True),
    (urllib3_errors.DecodeError("x"), "corrupt", True),
    (urllib3_errors.ClosedPoolError(None, "x"), "connection", True),  # type: ignore[arg-type]
    (ChecksumMismatch(1, 2), "corrupt", True),
    (InvalidHeadersLength(1), "corrupt", True),
    (InvalidPayloadLength(1), "corrupt", True),
    (ParserError("x"), "corrupt", True),
    (ResponseParserError("x"), "corrupt", True),
    (in_stream("", ""), "server_error", True),
    (in_stream("brandNewException", "x"), "server_error", True),
    (in_stream("throttlingException", "x"), "rate_limit", True),
    (in_stream("modelStreamErrorException", "x"), "model_error", True),
    (in_stream("modelStreamErrorException", "Input is too long"), "context_overflow", False),
    (in_stream("internalServerException", "x"), "server_error", True),
    (in_stream("serviceUnavailableException", "x"), "overloaded", True),
    (in_stream("InternalError", "x"), "server_error", True),
    (StreamFaultError("x", code="brandNewException"), "server_error", True),
    (StreamFaultError("per day", code="throttlingException"), "quota", False),
    (ConnectionResetError(104, "reset"), "connection", True),
    (BrokenPipeError(), "connection", True),
    (socket.gaierror(-2, "x"), "connection", True),
    (ssl.SSLError(1, "x"), "connection", True),
    (TimeoutError("x"), "timeout", False),
    (http.client.IncompleteRead(b""), "truncated", True),
    (http.client.RemoteDisconnected("x"), "connection", True),
    (KeyboardInterrupt(), "interrupted", False),
    (asyncio.CancelledError(), "interrupted", False),
    (RuntimeError("ThrottlingException: Rate exceeded"), "rate_limit", True),
    (RuntimeError("prompt is too long: 3 tokens > 2 maximum"), "context_overflow", False),
    (RuntimeError("something"), "unknown", False),
    (ValueError("could not convert"), "unknown", False),
]


@pytest.mark.parametrize(("exc", "kind", "retryable"), TRANSPORT, ids=lambda value: type(value).__name__)
def test_what_is_no_answer_of_the_service(exc: BaseException, kind: str, retryable: bool) -> None:
    found = classify(exc)
    assert (found.kind, found.retryable) == (kind, retryable)
    assert 400 <= found.status <= 599


class TestRetryAfter:
    @pytest.mark.parametrize(
        ("headers", "seconds"),
        [
            ({"x-amz-retry-after": "1500"}, 1.5),
            ({"x-amz-retry-after": "1500", "retry-after": "9"}, 1.5),
            ({"retry-after": "7"}, 7.0),
            ({"Retry-After": "0.5"}, 0.5),
            ({"retry-after": "Fri, 20 Nov 2026 10:00:30 GMT", "date": "Fri, 20 Nov 2026 10:00:00 GMT"}, 30.0),
            ({"retry-after": "Fri, 20 Nov 2026 09:00:00 GMT", "date": "Fri, 20 Nov 2026 10:00:00 GMT"}, 0.0),
            ({"retry-after": "Fri, 20 Nov 2026 10:00:30 GMT"}, None),
            ({"retry-after": "Fri, 20 Nov 2026 10:00:30", "date": "Fri, 20 Nov 2026 10:00:00 GMT"}, None),
            ({"retry-after": "soon", "date": "Fri, 20 Nov 2026 10:00:00 GMT"}, None),
            ({"retry-after": "-3"}, None),
            ({"retry-after": "inf"}, None),
            ({"retry-after": "nan"}, None),
            ({"x-amz-retry-after": "x"}, None),
            ({}, None),
        ],
    )
    def test_from_the_headers_of_the_answer(self, headers: dict[str, str], seconds: float | None) -> None:
        assert classify(client_error("ThrottlingException", "x", 429, headers)).retry_after == seconds

    def test_without_headers_there_is_none(self) -> None:
        assert classify(in_stream("throttlingException")).retry_after is None


class TestRequestId:
    def test_from_the_headers_where_the_metadata_has_none(self) -> None:
        exc = client_error("x", headers={"x-amzn-RequestId": "r-2"})
        del exc.response["ResponseMetadata"]["RequestId"]
        assert classify(exc).request_id == "r-2"

    def test_from_our_own_and_from_the_attribute_that_the_road_attaches(self) -> None:
        assert classify(TruncatedResponseError("x", request_id="r-3")).request_id == "r-3"
        raw = urllib3_errors.ProtocolError("Response ended prematurely")
        raw.request_id = "r-4"  # type: ignore[attr-defined]
        assert classify(raw).request_id == "r-4"

    def test_otherwise_none(self) -> None:
        assert classify(ValueError("x")).request_id is None


class TestCauses:
    def test_what_says_nothing_itself_means_what_it_was_raised_from(self) -> None:
        wrapped = RuntimeError("the call failed")
        wrapped.__cause__ = client_error("ThrottlingException", "x", 429, {"retry-after": "3"})
        found = classify(wrapped)
        assert (found.kind, found.retry_after, found.request_id) == ("rate_limit", 3.0, "r-1")

    def test_an_application_error_beside_a_fault_is_not_that_fault(self) -> None:
        try:
            raise botocore_errors.ConnectionClosedError(**URL)
        except botocore_errors.ConnectionClosedError:
            with pytest.raises(KeyError) as raised:
                {}["a bug in a callback"]
        assert raised.value.__context__ is not None
        assert classify(raised.value).kind == "unknown"

    def test_circles_end(self) -> None:
        first, second = RuntimeError("a"), RuntimeError("b")
        first.__cause__, second.__cause__ = second, first
        assert classify(first).kind == "unknown"


class TestNeverRaises:
    def test_whatever_it_is_given(self) -> None:
        class BrokenError(Exception):
            def __str__(self) -> str:
                raise ValueError("no text")

        class StrangeError(Exception):
            response: Any = "text"
            kwargs = 3
            status_code = "x"

        class HalfError(Exception):
            response: Any = {"Error": {"Code": None, "Message": None}, "ResponseMetadata": None}  # noqa: RUF012

        for exc in (BrokenError(), StrangeError("x"), HalfError("x"), BaseException(), StopIteration(), SystemExit(1)):
            found = classify(exc)
            assert isinstance(found, Failure)
            assert found.kind == "unknown"

    def test_nor_from_mocks(self) -> None:
        from unittest.mock import MagicMock

        exc = RuntimeError("x")
        exc.response, exc.kwargs, exc.operation_name = MagicMock(), MagicMock(), MagicMock()  # type: ignore[attr-defined]
        assert classify(exc).kind == "unknown"


def test_errors_of_http_sdks_are_classified_by_their_status() -> None:
    class RateLimitError(Exception):
        status_code = 429

    assert classify(RateLimitError("slow down")).kind == "rate_limit"


class TestNoSecretInAdvice:
    @pytest.mark.parametrize(
        "exc",
        [
            botocore_errors.HTTPClientError(error=ValueError(f"Invalid header value b'Bearer {SECRET}\\n'")),
            botocore_errors.ProxyConnectionError(proxy_url=f"http://u:{SECRET}@p"),
            botocore_errors.CredentialRetrievalError(provider="custom-process", error_msg=SECRET),
            botocore_errors.EndpointConnectionError(endpoint_url=f"https://u:{SECRET}@sts.amazonaws.com"),
            botocore_errors.TokenRetrievalError(provider="sso", error_msg=SECRET),
            client_error("UnrecognizedClientException", SECRET, 403),
            client_error(SECRET, SECRET, 400),
            RuntimeError(SECRET),
        ],
        ids=lambda exc: type(exc).__name__,
    )
    def test_whatever_the_text_holds(self, exc: Exception) -> None:
        assert SECRET not in repr(classify(exc))

    def test_a_token_with_a_line_break_is_a_matter_of_credentials(self) -> None:
        exc = botocore_errors.HTTPClientError(error=ValueError(f"Invalid header value b'Bearer {SECRET}\\n'"))
        found = classify(exc)
        assert (found.kind, found.retryable) == ("auth", False)

    def test_names_of_profiles_are_quoted_for_the_shell(self) -> None:
        exc = botocore_errors.UnauthorizedSSOTokenError()
        exc.aws_profile = "my dev; rm -rf {x}"  # type: ignore[attr-defined]
        assert classify(exc).advice.endswith("aws sso login --profile 'my dev; rm -rf {x}'")


#: Classes that came to botocore after the oldest one that is supported.
_LATE = {"botocore.exceptions.LoginError"}


class TestTheTableItself:
    def test_every_class_named_of_botocore_and_urllib3_exists_and_is_classified_as_said(self) -> None:
        import importlib

        for name, rule in _CLASSES.items():
            module, _, cls = name.rpartition(".")
            found = getattr(importlib.import_module(module), cls, None)
            if found is None and name in _LATE:
                continue  # not yet in the installed botocore
            assert found is not None, name
            assert f"{found.__module__}.{found.__qualname__}" == name or module in ("http.client", "ssl", "socket"), (
                name
            )
            assert rule.kind in _KINDS

    def test_every_transport_exception_of_the_libraries_is_known(self) -> None:
        trees = (
            botocore_errors.ConnectionError,
            botocore_errors.HTTPClientError,
            botocore_errors.SSOError,
            ParserError,
            urllib3_errors.HTTPError,
        )
        left = [cls for tree in trees for cls in [tree, *_below(tree)] if _by_class(cls) is None]
        assert not left

    def test_codes_are_lower_case_and_statuses_are_errors(self) -> None:
        assert all(code == code.lower() for code in _CODES)
        assert all(400 <= status <= 599 for status in _STATUSES)
        assert all(
            row.status in {400, 401, 403, 404, 413, 424, 429, 499, 500, 502, 503, 504} for row in _KINDS.values()
        )

    def test_every_modelled_exception_of_the_runtime_has_a_row(self) -> None:
        client: Any = build_runtime_client("us-east-1", ClientSettings(), Credentials(bearer_token="t"))
        model = client.meta.service_model
        names = {
            shape.name for op in ("Converse", "ConverseStream") for shape in model.operation_model(op).error_shapes
        }  # fmt: skip
        names |= {m for m in model.shape_for("ConverseStreamOutput").members if m.endswith("Exception")}
        assert {name.lower() for name in names} <= _CODES.keys()


def _below(cls: type) -> list[type]:
    return [found for sub in cls.__subclasses__() for found in [sub, *_below(sub)]]


def _by_class(cls: type) -> Any:
    names = (f"{base.__module__}.{base.__qualname__}" for base in cls.__mro__)
    return next((name for name in names if name in _CLASSES), None)


HELLO: dict[str, Any] = {
    "modelId": "anthropic.claude-3-haiku-20240307-v1:0",
    "messages": [{"role": "user", "content": [{"text": "Hi"}]}],
}


@pytest.fixture(scope="module")
def wire() -> Iterator[tuple[FakeBedrock, Any]]:
    """The stand-in, and a client of it that asks once."""
    keys = Credentials(aws_access_key_id="AKIDEXAMPLE", aws_secret_access_key="s")
    with FakeBedrock() as fake:
        client = build_runtime_client("us-east-1", ClientSettings(endpoint_url=fake.url, max_attempts=1), keys)
        yield fake, client
        client.close()


def _read(answer: dict[str, Any]) -> None:
    with contextlib.closing(answer["stream"]) as stream:
        list(stream)


@pytest.mark.parametrize("by_proxy", [False, True])
def test_time_that_runs_out_before_there_is_a_connection_may_be_tried_again(by_proxy: bool) -> None:
    """Somebody takes the connection and says nothing, neither to TLS nor to CONNECT."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = f"127.0.0.1:{silent.getsockname()[1]}"
        proxies = {"proxies": {"https": f"http://{address}"}} if by_proxy else {}
        patience: Any = {"connect_timeout": 0.2, "read_timeout": 20, "retries": {"total_max_attempts": 1}}
        session = boto3.Session("AKIDEXAMPLE", "not-a-secret", region_name="us-east-1")
        client = session.client(
            "bedrock-runtime", endpoint_url=f"https://{address}", config=Config(**patience, **proxies)
        )
        with pytest.raises(botocore_errors.HTTPClientError) as raised:
            client.converse(modelId="m", messages=[])
        client.close()
    failure = classify(raised.value)
    assert (failure.kind, failure.retryable) == ("timeout", True)
    assert failure.advice.startswith("No connection in time")


class TestOnTheWire:
    def fail(self, wire: tuple[FakeBedrock, Any], answer: Any, method: str = "converse") -> Failure:
        fake, client = wire
        fake.queue(answer)
        with pytest.raises(Exception) as raised:  # noqa: PT011 (which one is the test's matter)
            _read(getattr(client, method)(**HELLO))
        return classify(raised.value)

    @pytest.mark.parametrize("method", ["converse", "converse_stream"])
    @pytest.mark.parametrize("body", ["json", "html", "empty"])
    def test_every_status_with_any_body_is_classified(self, body: str, method: str, wire: Any) -> None:
        answer = {"json": partial(Refusal, "", "x"), "html": Refusal.html, "empty": Refusal.empty}[body]
        found = {status: self.fail(wire, answer(status), method) for status in range(300, 600)}
        assert [status for status, failure in found.items() if failure.kind == "unknown" or not failure.advice] == []

    @pytest.mark.parametrize("status", [300, 302, 304, 305, 308, 399])
    def test_a_redirect_is_an_answer_of_somebody_else(self, status: int, wire: Any) -> None:
        found = self.fail(wire, Refusal("", "x", status))
        assert (found.kind, found.retryable) == ("corrupt", False)
        assert "redirect" in found.advice

    def test_waiting_times_come_through(self, wire: Any) -> None:
        found = self.fail(wire, Refusal("ThrottlingException", "x", headers={"x-amz-retry-after": "2500"}))
        assert (found.kind, found.retry_after) == ("rate_limit", 2.5)

    @pytest.mark.parametrize(
        ("fault", "kind"),
        [
            (StreamException("throttlingException", at=2), "rate_limit"),
            (StreamException("internalServerException", at=2), "server_error"),
            (StreamException("modelStreamErrorException", at=2), "model_error"),
            (StreamException("serviceUnavailableException", at=2), "overloaded"),
            (StreamException("validationException", "Input is too long", at=2), "context_overflow"),
            (StreamException("brandNewException", at=2), "server_error"),
            (StreamError(at=2), "server_error"),
        ],
    )
    def test_faults_inside_a_stream(self, fault: Any, kind: str, wire: Any) -> None:
        found = self.fail(wire, Reply("Hello", fault=fault), "converse_stream")
        modelled = wire[1].meta.service_model.shape_for("ConverseStreamOutput").members
        is_known = isinstance(fault, StreamError) or fault.name in modelled
        assert found.kind == (kind if is_known else "server_error")


def test_every_recorded_refusal_is_classified(recordings: Path) -> None:
    refused = [json.loads(file.read_text()) for file in sorted(recordings.glob("*.json"))]
    refused = [one for one in refused if one["status"] != 200]
    assert refused
    unclear = [
        one["body"]["message"]
        for one in refused
        if classify(client_error(str(one["status"]), one["body"]["message"], one["status"])).kind == "unknown"
        or classify(client_error("ValidationException", one["body"]["message"], one["status"])).kind == "unknown"
    ]
    assert not unclear
