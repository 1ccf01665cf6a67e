"""Failures of credentials as real botocore raises them: each leaves with the advice that helps, none with a secret."""

from __future__ import annotations

import datetime as dt
import email.message
import gc
import json
import socket
import sys
import traceback
import weakref
from collections import deque
from collections.abc import Mapping
from contextlib import suppress
from hashlib import sha1
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from types import FunctionType, ModuleType, TracebackType
from typing import Any, Self

import boto3
import botocore.credentials
import botocore.exceptions
import botocore.handlers
import pytest

from agent.bedrock.aws.clients import build_control_client, build_runtime_client
from agent.bedrock.aws.credentials import Credentials
from agent.bedrock.aws.explain import explain
from agent.bedrock.aws.settings import ClientSettings
from agent.bedrock.chat import complete
from agent.bedrock.errors import Failure, SettingsError, classify
from agent.bedrock.response.frames import decoder_for
from agent.bedrock.testing import Body, Cut, End, FakeBedrock, Fault, Hangup, Refusal, Reply, Stall
from tests.wire.streaming import authority_file, server_context

SECRET = "Tr0ub4dor-and-3"
HELLO: dict[str, Any] = {
    "modelId": "anthropic.claude-3-haiku-20240307-v1:0",
    "messages": [{"role": "user", "content": [{"text": "Hi"}]}],
}


class Portal:
    """A server that answers SSO, STS and container requests with one status and body."""

    def __init__(self, status: int, body: dict[str, Any] | str, error: str = "") -> None:
        portal = self
        self.asked: list[str] = []

        class Handler(BaseHTTPRequestHandler):
            def answer(self) -> None:
                portal.asked.append(self.path)
                self.rfile.read(int(self.headers.get("Content-Length") or 0))
                data = (body if isinstance(body, str) else json.dumps(body)).encode()
                self.send_response(status)
                if error:
                    self.send_header("x-amzn-ErrorType", error)
                self.send_header("Content-Type", "text/xml" if isinstance(body, str) else "application/json")
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            do_GET = do_POST = answer  # noqa: N815 (http.server's names)

            def log_message(self, *_: Any) -> None:
                """Keep quiet."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01})

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


@pytest.fixture
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home of one's own; botocore works out the place of its SSO cache while it is imported."""
    from botocore import credentials, tokens, utils

    cache = tmp_path / ".aws" / "sso" / "cache"
    cache.mkdir(parents=True)
    for owner in (credentials.SSOProvider, tokens.SSOTokenProvider):
        monkeypatch.setattr(owner, "_SSO_TOKEN_CACHE_DIR", str(cache))
    assert utils  # loaded before the home changes
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    return tmp_path / ".aws"


def configure(files: Path, text: str) -> None:
    (files / "config").write_text(text)


def failure_of_a_call(credentials: Credentials) -> tuple[Exception, Failure]:
    """What building a client and calling with it raises, and what it means."""
    with FakeBedrock(strict=False) as fake:
        settings = ClientSettings(endpoint_url=fake.url, max_attempts=1, connect_timeout=2, read_timeout=5)
        with pytest.raises(Exception) as raised:  # noqa: PT011 (which one is the test's matter)
            build_runtime_client("us-east-1", settings, credentials).converse(**HELLO)
        assert not fake.requests, "Bedrock was asked"
    found = classify(raised.value)
    assert getattr(raised.value, "__notes__", [""]) == [found.advice]
    assert not [text for text in (found.advice, repr(found), str(raised.value)) if SECRET in text]
    assert SECRET not in "".join(traceback.format_exception(raised.value))
    return raised.value, found


DEV = Credentials(profile="dev")
SSO_SESSION = (
    "[profile dev]\nregion = us-east-1\nsso_session = s\nsso_account_id = 123456789012\nsso_role_name = r\n"
    "[sso-session s]\nsso_region = us-east-1\nsso_start_url = https://x.awsapps.com/start\n"
)
LEGACY_SSO = (
    "[profile dev]\nregion = us-east-1\nsso_account_id = 123456789012\nsso_role_name = r\nsso_region = us-east-1\n"
    "sso_start_url = https://x.awsapps.com/start\n"
)


def sign_in(files: Path, key: str, hours: float) -> None:
    """What `aws sso login` would have left."""
    expires = dt.datetime.now(dt.UTC) + dt.timedelta(hours=hours)
    token = {
        "startUrl": "https://x.awsapps.com/start",
        "region": "us-east-1",
        "accessToken": SECRET,
        "expiresAt": expires.strftime("%Y-%m-%dT%H:%M:%SZ"),
    }
    name = sha1(key.encode(), usedforsecurity=False).hexdigest()
    (files / "sso" / "cache" / f"{name}.json").write_text(json.dumps(token))


class TestBeforeAnyCall:
    def test_nothing_found_lists_the_ways(self, files: Path) -> None:
        exc, found = failure_of_a_call(Credentials())
        assert type(exc).__name__ == "NoCredentialsError"
        assert (found.kind, found.status, found.retryable, found.evict) == ("auth", 401, False, False)
        for way in ("AWS_BEARER_TOKEN_BEDROCK", "aws sso login", "aws login", "aws configure", "role"):
            assert way in found.advice

    def test_half_a_pair_names_the_missing_variable(self, files: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", SECRET)
        exc, found = failure_of_a_call(Credentials())
        assert type(exc).__name__ == "PartialCredentialsError"
        assert (found.kind, found.advice) == ("auth", "Half of a pair of keys: AWS_SECRET_ACCESS_KEY is not set.")

    @pytest.mark.parametrize("by", ["argument", "environment"])
    def test_an_unknown_profile_shows_those_that_there_are(
        self, by: str, files: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        configure(files, "[default]\n[profile prod]\n")
        (files / "credentials").write_text(f"[personal]\naws_access_key_id=a\naws_secret_access_key={SECRET}\n")
        if by == "environment":
            monkeypatch.setenv("AWS_PROFILE", "dev")
        exc, found = failure_of_a_call(DEV if by == "argument" else Credentials())
        assert type(exc).__name__ == "ProfileNotFound"
        assert found.kind == "auth"
        assert "'dev'" in found.advice
        assert "default, prod, personal" in found.advice

    def test_a_missing_source_profile_is_a_matter_of_the_config(self, files: Path) -> None:
        configure(files, "[profile dev]\nrole_arn = arn:aws:iam::123456789012:role/x\nsource_profile = gone\n")
        exc, found = failure_of_a_call(DEV)
        assert type(exc).__name__ == "InvalidConfigError"
        assert found.kind == "auth"
        assert "source_profile" in found.advice
        assert "dev" in found.advice

    @pytest.mark.parametrize(
        ("program", "raised"),
        [
            ("import sys; sys.exit('denied')", "CredentialRetrievalError"),
            ("print('no json')", "JSONDecodeError"),
            ("print('{\"Version\": 7}')", "CredentialRetrievalError"),
        ],
    )
    def test_a_credential_process_that_fails_says_how_to_see_it(self, program: str, raised: str, files: Path) -> None:
        script = files / "process.py"
        script.write_text(program)
        configure(files, f"[profile dev]\ncredential_process = {sys.executable} {script}\n")
        exc, found = failure_of_a_call(DEV)
        assert type(exc).__name__ == raised
        assert found.kind == "auth"
        assert "aws configure get credential_process --profile dev" in found.advice

    def test_a_credential_process_that_is_not_there_is_not_a_token_file(self, files: Path) -> None:
        configure(files, f"[profile dev]\ncredential_process = {files / 'nothing-here'}\n")
        exc, found = failure_of_a_call(DEV)
        assert isinstance(exc, FileNotFoundError)
        assert "aws configure get credential_process --profile dev" in found.advice

    @pytest.mark.skipif(not hasattr(botocore.credentials, "LoginProvider"), reason="this botocore knows no aws login")
    def test_a_login_profile_needs_the_crt(self, files: Path) -> None:
        configure(files, "[profile dev]\nlogin_session = arn:aws:sts::123456789012:assumed-role/x\n")
        exc, found = failure_of_a_call(DEV)
        assert found.kind == "auth"
        expected = {"MissingDependencyException": 'pip install "botocore[crt]"', "LoginTokenLoadError": "aws login"}
        assert expected[type(exc).__name__] in found.advice

    def test_a_container_that_does_not_answer_is_not_bedrock(
        self, files: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        with Portal(500, {"message": "down"}) as portal:
            monkeypatch.setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", f"{portal.url}/creds")
            monkeypatch.setattr("botocore.utils.ContainerMetadataFetcher.SLEEP_TIME", 0)
            exc, found = failure_of_a_call(Credentials())
        assert type(exc).__name__ == "CredentialRetrievalError"
        assert found.kind == "auth"
        assert "container" in found.advice

    def test_a_broken_config_file(self, files: Path) -> None:
        configure(files, "no section = here\n")
        exc, found = failure_of_a_call(Credentials())
        assert type(exc).__name__ == "ConfigParseError"
        assert found.kind == "auth"
        assert "config file" in found.advice

    @pytest.mark.parametrize("region", ["us east 1", "https://x", "us_east_1"])
    def test_what_is_no_region(self, region: str) -> None:
        with pytest.raises(ValueError, match="doesn't match a supported format") as raised:
            build_runtime_client(region, ClientSettings(), Credentials(bearer_token="t"))
        assert classify(raised.value).kind == "region"
        assert "us-east-1" in raised.value.__notes__[0]


class TestAtTheFirstCall:
    @pytest.mark.parametrize("config", [SSO_SESSION, LEGACY_SSO], ids=["session", "legacy"])
    def test_never_signed_in(self, config: str, files: Path) -> None:
        configure(files, config)
        _, found = failure_of_a_call(DEV)
        assert found.kind == "auth"
        assert "aws sso login --profile dev" in found.advice

    @pytest.mark.parametrize("hours", [-1, 1], ids=["by its date", "by the portal's word"])
    def test_a_legacy_sign_in_that_expired(self, hours: int, files: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        configure(files, LEGACY_SSO)
        sign_in(files, "https://x.awsapps.com/start", hours)
        with Portal(401, {"message": "Session token not found or invalid"}, "UnauthorizedException") as portal:
            monkeypatch.setenv("AWS_ENDPOINT_URL_SSO", portal.url)
            exc, found = failure_of_a_call(DEV)
        assert type(exc).__name__ == "UnauthorizedSSOTokenError"
        assert "aws sso login --profile dev" in found.advice

    def test_a_session_that_expired_and_cannot_be_refreshed(self, files: Path) -> None:
        configure(files, SSO_SESSION)
        sign_in(files, "s", hours=-1)
        exc, found = failure_of_a_call(DEV)
        assert type(exc).__name__ == "TokenRetrievalError"
        assert "expired" in found.advice
        assert "aws sso login --profile dev" in found.advice

    def test_without_a_profile_the_command_names_none(self, files: Path) -> None:
        configure(files, LEGACY_SSO.replace("profile dev", "default"))
        _, found = failure_of_a_call(Credentials())
        assert found.advice.endswith("aws sso login")

    def test_a_role_that_is_not_assigned_is_a_matter_of_the_profile(
        self, files: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        configure(files, LEGACY_SSO)
        sign_in(files, "https://x.awsapps.com/start", hours=1)
        with Portal(403, {"message": "No access"}, "ForbiddenException") as portal:
            monkeypatch.setenv("AWS_ENDPOINT_URL_SSO", portal.url)
            exc, found = failure_of_a_call(DEV)
            assert portal.asked
        assert exc.operation_name == "GetRoleCredentials"  # type: ignore[attr-defined]
        assert found.kind == "auth"
        assert found.advice.startswith("This came from AWS SSO, ")
        assert "sso_account_id and sso_role_name of profile dev" in found.advice

    def test_a_portal_that_cannot_be_reached_is_not_bedrock(self, files: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        configure(files, LEGACY_SSO)
        sign_in(files, "https://x.awsapps.com/start", hours=1)
        # Nothing resolves here; in a network that does, the port is one where nobody listens.
        monkeypatch.setenv("HTTPS_PROXY", "")
        monkeypatch.setattr("socket.getaddrinfo", _only_loopback)
        exc, found = failure_of_a_call(DEV)
        assert type(exc).__name__ == "EndpointConnectionError"
        assert (found.kind, found.evict) == ("connection", False)
        assert found.advice.startswith("This came from AWS SSO, ")

    def test_a_role_that_may_not_be_assumed_is_sts_and_not_bedrock(
        self, files: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        configure(
            files,
            "[profile dev]\nregion = us-east-1\nrole_arn = arn:aws:iam::123456789012:role/x\nsource_profile = keys\n"
            f"[profile keys]\naws_access_key_id = AKID\naws_secret_access_key = {SECRET}\n",
        )
        body = (
            "<ErrorResponse><Error><Code>AccessDenied</Code><Message>not authorized</Message></Error></ErrorResponse>"
        )
        with Portal(403, body) as portal:
            monkeypatch.setenv("AWS_ENDPOINT_URL_STS", portal.url)
            _, found = failure_of_a_call(DEV)
        assert found.kind == "auth"
        assert found.advice.startswith("This came from AWS STS, ")
        assert "trust policy" in found.advice

    def test_a_token_file_that_is_not_there(self, files: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("AWS_WEB_IDENTITY_TOKEN_FILE", str(files / "gone"))
        monkeypatch.setenv("AWS_ROLE_ARN", "arn:aws:iam::123456789012:role/x")
        monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
        exc, found = failure_of_a_call(Credentials())
        assert isinstance(exc, FileNotFoundError)
        assert found.kind == "auth"
        assert "AWS_WEB_IDENTITY_TOKEN_FILE" in found.advice

    def test_a_process_that_gives_expired_credentials(self, files: Path) -> None:
        script = files / "process.py"
        said = {
            "Version": 1,
            "AccessKeyId": "AKID",
            "SecretAccessKey": SECRET,
            "SessionToken": SECRET,
            "Expiration": "2020-01-01T00:00:00Z",
        }
        script.write_text(f"print({json.dumps(json.dumps(said))})")
        configure(files, f"[profile dev]\ncredential_process = {sys.executable} {script}\n")
        exc, found = failure_of_a_call(DEV)
        assert isinstance(exc, RuntimeError)
        assert found.kind == "auth"
        assert "--profile dev" in found.advice

    @pytest.mark.parametrize("broken", ["AccessKeyId", "SessionToken"])
    def test_a_process_whose_keys_hold_a_line_break_is_told_so_without_showing_them(
        self, files: Path, broken: str
    ) -> None:
        said = {"Version": 1, "AccessKeyId": "AKID", "SecretAccessKey": SECRET, "SessionToken": SECRET}
        said[broken] = f"{SECRET}\n{SECRET}"
        script = files / "process.py"
        script.write_text(f"print({json.dumps(json.dumps(said))})")
        configure(files, f"[profile dev]\ncredential_process = {sys.executable} {script}\n")
        exc, found = failure_of_a_call(DEV)
        assert isinstance(exc, SettingsError)
        assert found.kind == "auth"
        assert "line break" in str(exc)

    @pytest.mark.skipif(
        not hasattr(botocore.handlers, "get_bearer_auth_supported_services"), reason="this botocore sends it over http"
    )
    @pytest.mark.needs_botocore("1.44.0")
    def test_a_bearer_token_is_not_sent_over_http(self) -> None:
        exc, found = failure_of_a_call(Credentials(bearer_token=SECRET))
        assert type(exc).__name__ == "InvalidEndpointConfigurationError"
        assert found.kind == "auth"
        assert "https" in found.advice


def _only_loopback(host: Any, *rest: Any, **more: Any) -> Any:
    if host in ("127.0.0.1", "localhost"):
        return [(2, 1, 6, "", ("127.0.0.1", rest[0] if rest else 0))]
    raise OSError("name resolution is off in this test")


@pytest.mark.parametrize(
    ("code", "message", "advice"),
    [
        ("ExpiredTokenException", "The security token included in the request is expired", "have expired"),
        ("UnrecognizedClientException", "The security token included in the request is invalid.", "not known to AWS"),
        ("InvalidSignatureException", "Signature expired: 20261120T100000Z is now earlier than", "system clock"),
        ("AccessDeniedException", "Authentication failed: Please make sure your API Key is valid.", "API key"),
    ],
)
def test_what_bedrock_itself_says_of_credentials(code: str, message: str, advice: str) -> None:
    keys = Credentials(aws_access_key_id="AKID", aws_secret_access_key=SECRET)
    with FakeBedrock([Refusal(code, message)]) as fake:
        client = build_runtime_client("us-east-1", ClientSettings(endpoint_url=fake.url, max_attempts=1), keys)
        with pytest.raises(client.exceptions.ClientError) as raised:
            client.converse(**HELLO)
    found = classify(raised.value)
    assert (found.kind, found.status, found.retryable) == ("auth", 401, False)
    assert advice in found.advice
    assert found.request_id
    assert getattr(raised.value, "__notes__", [""]) == [found.advice]


def test_explaining_twice_says_it_once_and_changes_nothing_else() -> None:
    exc = TimeoutError("slow")
    for _ in range(2):
        explain(exc, "dev")
    assert len(exc.__notes__) == 1
    assert exc.args == ("slow",)
    assert exc.aws_profile == "dev"  # type: ignore[attr-defined]


def test_an_exception_that_takes_no_attribute_is_explained_too() -> None:
    class SlottedError(TimeoutError):
        __slots__ = ()

        def __setattr__(self, name: str, value: object) -> None:
            if name == "aws_profile":
                raise AttributeError(name)
            super().__setattr__(name, value)

    exc = SlottedError("slow")
    explain(exc, "dev")
    assert exc.__notes__


# --- what hangs on an exception ---------------------------------------------------------------------------------------


def reachable(start: object) -> list[str]:
    """Every text that attributes, items and causes lead to, as a crash reporter walks them; tracebacks aside."""
    seen: dict[int, object] = {}
    texts: list[str] = []
    waiting: list[object] = [start]
    while waiting:
        found = waiting.pop()
        if id(found) in seen or isinstance(found, (type, ModuleType, FunctionType, TracebackType)):
            continue
        seen[id(found)] = found
        if isinstance(found, (str, bytes, bytearray)):
            texts.append(found if isinstance(found, str) else bytes(found).decode("latin-1"))
        elif isinstance(found, Mapping):
            waiting += [*found.keys(), *found.values()]
        elif isinstance(found, (list, tuple, set, frozenset, deque)):
            waiting += found
        elif isinstance(found, email.message.Message):
            waiting += found.items()
        if isinstance(found, BaseException):
            waiting += [found.args, found.__cause__, found.__context__, getattr(found, "__notes__", None)]
        waiting += [vars(found)] if hasattr(found, "__dict__") else []
        waiting += [getattr(found, name, None) for name in getattr(type(found), "__slots__", ())]
    return texts


def variables(error: BaseException | None) -> dict[str, object]:
    """What the frames of a call held when it failed, as a crash reporter shows them; those of tests are the caller's."""
    held: dict[str, object] = {}
    while error is not None:
        for frame, line in traceback.walk_tb(error.__traceback__):
            if not str(frame.f_globals["__name__"]).startswith("tests."):
                held.update({f"{frame.f_code.co_name}:{line}:{name}": value for name, value in frame.f_locals.items()})
        error = error.__cause__ or error.__context__
    return held


@pytest.mark.parametrize("bearer", [True, False])
@pytest.mark.parametrize("streamed", [True, False])
@pytest.mark.parametrize(
    "fault",
    [
        Hangup("headers"),
        Hangup("headers", reset=True),
        Hangup("inside headers"),
        Hangup("body"),
        Stall(-1),
        Stall(0),
        Cut(40, End.RESET),
        Body(b"<html>", "text/html"),
        None,
    ],
    ids=str,
)
def test_no_secret_hangs_on_an_exception(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fault: Fault | None, streamed: bool, bearer: bool
) -> None:
    monkeypatch.setenv("AWS_CA_BUNDLE", authority_file(tmp_path))
    keys = ("AKIDEXAMPLE", SECRET, f"session-{SECRET}")
    credentials = Credentials(bearer_token=f"bearer-{SECRET}") if bearer else Credentials(None, *keys)
    answer = Reply("Hello", fault=fault) if fault is not None else Refusal("ThrottlingException", "slow down")
    with FakeBedrock([answer], strict=False, ssl_context=server_context()) as fake:
        settings = ClientSettings(endpoint_url=fake.url, max_attempts=1, read_timeout=_read_timeout(fault))
        client: Any = build_runtime_client("us-east-1", settings, credentials, decoder_for=decoder_for)
        with pytest.raises(Exception, match=r".") as raised:
            complete(client.converse(**HELLO)) if not streamed else list(client.converse_stream(**HELLO)["stream"])
        client.close()
        assert fake.wait_for(lambda fake: fake.requests), "secrets were sent"
    told = "\n".join(reachable(raised.value))
    assert SECRET not in told
    assert "Signature=" not in told
    shown = repr(variables(raised.value))
    assert SECRET not in shown
    assert "Signature=" not in shown


def _read_timeout(fault: Fault | None) -> float:
    """Short where it has to pass; where it has not, long enough for a machine that is busy."""
    return 0.3 if isinstance(fault, Stall) else 20


def test_the_request_on_an_exception_is_found_by_the_walk_where_nobody_forgets() -> None:
    """What makes the test above able to fail: botocore's own client leaves its signed request on the exception."""
    with FakeBedrock([Reply("Hello", fault=Hangup("headers"))]) as fake:
        options = fake.client_options(retries={"total_max_attempts": 1})
        client = boto3.client("bedrock-runtime", **options)
        with pytest.raises(botocore.exceptions.ConnectionClosedError) as raised:
            client.converse(**HELLO)
        client.close()
    assert "Signature=" in "\n".join(reachable(raised.value))
    assert "Signature=" in repr(variables(raised.value))


def test_a_request_that_found_nobody_leaves_nothing_in_the_frames_of_its_traceback() -> None:
    with FakeBedrock() as fake:
        settings = ClientSettings(endpoint_url=fake.url, max_attempts=1)
    client: Any = build_runtime_client("us-east-1", settings, Credentials(None, "AKIDEXAMPLE", SECRET, f"s-{SECRET}"))
    with pytest.raises(botocore.exceptions.EndpointConnectionError) as raised:
        client.converse(**HELLO)
    shown = repr(variables(raised.value))
    assert SECRET not in shown
    assert "Signature=" not in shown


@pytest.mark.parametrize("attempts", [1, 2])
@pytest.mark.parametrize("fault", [Hangup("headers"), Hangup("headers", reset=True), Stall(-1)], ids=str)
def test_a_connection_that_fails_leaves_no_knot_that_only_the_collector_unties(fault: Fault, attempts: int) -> None:
    with FakeBedrock([Reply("Hello", fault=fault), Reply("Hello")]) as fake:
        settings = ClientSettings(endpoint_url=fake.url, max_attempts=attempts, read_timeout=_read_timeout(fault))
        client: Any = build_runtime_client("us-east-1", settings, Credentials(None, "AKIDEXAMPLE", SECRET))
        left: list[weakref.ref[Exception]] = []
        client.meta.events.register("after-call-error", lambda exception, **_: left.append(weakref.ref(exception)))
        gc.collect()
        gc.disable()
        try:
            with suppress(botocore.exceptions.HTTPClientError):
                client.converse(**HELLO)
            assert [error() for error in left] == [None]
        finally:
            gc.enable()


def test_a_client_for_lists_leaves_none_either() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:

        def hang_up() -> None:
            for _ in range(2):
                connection, _address = server.accept()
                connection.recv(65536)
                connection.close()

        listener = Thread(target=hang_up)
        listener.start()
        client = build_control_client(
            "us-east-1",
            ClientSettings(max_attempts=2),
            Credentials(None, "AKIDEXAMPLE", SECRET, f"session-{SECRET}"),
            endpoint_url=f"http://127.0.0.1:{server.getsockname()[1]}",
        )
        with pytest.raises(botocore.exceptions.ConnectionClosedError) as raised:
            client.list_foundation_models()
        client.close()
        listener.join(10)
    told = "\n".join(reachable(raised.value))
    assert "foundation-models" in told
    assert SECRET not in told
    assert "Signature=" not in told
