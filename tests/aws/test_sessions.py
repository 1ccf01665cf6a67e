"""Whose name a request carries on the wire, and what blank variables must not do."""

from __future__ import annotations

import os
import ssl
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import boto3
import botocore.handlers
import botocore.session
import pytest
import trustme
from botocore.exceptions import NoCredentialsError, PartialCredentialsError

from agent.bedrock.aws.clients import build_control_client, build_runtime_client
from agent.bedrock.aws.credentials import Credentials
from agent.bedrock.aws.sessions import config_session, named_profile, open_session
from agent.bedrock.aws.settings import ClientSettings
from agent.bedrock.errors import SettingsError
from agent.bedrock.testing import FakeBedrock

HELLO: dict[str, Any] = {
    "modelId": "anthropic.claude-3-haiku-20240307-v1:0",
    "messages": [{"role": "user", "content": [{"text": "Hi"}]}],
}
KEYS = {"aws_access_key_id": "AKIDEXAMPLE", "aws_secret_access_key": "not-a-secret"}


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
def secure(authority: trustme.CA, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeBedrock]:
    """The stand-in over TLS, which botocore asks for before it sends a bearer token."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    bundle = tmp_path / "ca.pem"
    authority.cert_pem.write_to_path(bundle)
    monkeypatch.setenv("AWS_CA_BUNDLE", str(bundle))
    with FakeBedrock(ssl_context=context) as fake:
        yield fake


def _authorization(fake: FakeBedrock, credentials: Credentials) -> str:
    """What the Authorization header of a call with these credentials says."""
    client = build_runtime_client("us-east-1", ClientSettings(endpoint_url=fake.url), credentials)
    client.converse(**HELLO)
    return str(fake.requests[-1].headers["authorization"])


KEYED = "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/"


@pytest.mark.parametrize(
    ("credentials", "environ", "sent"),
    [
        (lambda: Credentials(bearer_token=" tok "), {}, "Bearer tok"),
        (lambda: Credentials(bearer_token="tok", **KEYS), {}, "Bearer tok"),
        (lambda: Credentials(bearer_token="tok"), {"AWS_BEARER_TOKEN_BEDROCK": "env"}, "Bearer tok"),
        (Credentials, {"AWS_BEARER_TOKEN_BEDROCK": " env\n"}, "Bearer env"),
        (lambda: Credentials(**KEYS), {"AWS_BEARER_TOKEN_BEDROCK": "env"}, KEYED),
        (lambda: Credentials(session=boto3.Session(**KEYS)), {"AWS_BEARER_TOKEN_BEDROCK": "env"}, KEYED),
        pytest.param(
            lambda: Credentials(session=boto3.Session()),
            {"AWS_BEARER_TOKEN_BEDROCK": "env"},
            "Bearer env",
            marks=pytest.mark.skipif(
                not hasattr(botocore.handlers, "get_bearer_auth_supported_services"),
                reason="this botocore reads no token from the environment, and the session is the caller's",
            ),
        ),
    ],
    ids=["token", "token and keys", "token and env", "env token", "keys beat env token", "session keys", "session"],
)
def test_the_explicit_beats_the_environment_and_a_token_beats_keys(
    secure: FakeBedrock,
    credentials: Callable[[], Credentials],
    environ: dict[str, str],
    sent: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    before = dict(os.environ)
    assert _authorization(secure, credentials()).startswith(sent)
    assert dict(os.environ) == before


def test_tokens_of_several_instances_do_not_mix(secure: FakeBedrock) -> None:
    settings = ClientSettings(endpoint_url=secure.url)
    first, second = (build_runtime_client("us-east-1", settings, Credentials(bearer_token=t)) for t in ("one", "two"))
    for client in (first, second, first):
        client.converse(**HELLO)
    assert [request.headers["authorization"] for request in secure.requests] == [
        "Bearer one",
        "Bearer two",
        "Bearer one",
    ]


def test_a_token_set_after_the_client_was_built_does_not_break_it(
    secure: FakeBedrock, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = build_runtime_client("us-east-1", ClientSettings(endpoint_url=secure.url), Credentials(**KEYS))
    monkeypatch.setenv("AWS_BEARER_TOKEN_BEDROCK", "late")
    client.converse(**HELLO)
    assert secure.requests[-1].headers["authorization"].startswith(KEYED)


def test_a_token_is_shown_by_nothing_that_holds_it() -> None:
    session = open_session(Credentials(bearer_token="Tr0ub4dor"))
    client = build_runtime_client("us-east-1", ClientSettings(), Credentials(bearer_token="Tr0ub4dor"))
    provider = session.get_component("token_provider")
    shown = [repr(thing) for thing in (session, client, client.meta.config, provider)]
    assert not [text for text in shown if "Tr0ub4dor" in text]
    assert "Tr0ub4dor" not in repr(provider.load_token())


@pytest.mark.parametrize("service", ["runtime", "control"])
def test_with_a_token_nobody_is_asked_for_keys(service: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_EC2_METADATA_DISABLED")
    monkeypatch.setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", "http://127.0.0.1:9/never")
    build = build_runtime_client if service == "runtime" else build_control_client
    client = build("us-east-1", ClientSettings(), Credentials(bearer_token="tok"))
    assert client._request_signer._credentials is None


class TestBlankVariables:
    @pytest.mark.parametrize("blank", ["", " "])
    @pytest.mark.parametrize(
        "variable",
        [
            "AWS_PROFILE",
            "AWS_DEFAULT_PROFILE",
            "AWS_BEARER_TOKEN_BEDROCK",
            "AWS_SESSION_TOKEN",
            "AWS_DEFAULT_REGION",
            "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
            "AWS_CONTAINER_CREDENTIALS_FULL_URI",
            "AWS_WEB_IDENTITY_TOKEN_FILE",
            "AWS_ROLE_ARN",
            "AWS_CONFIG_FILE",
            "AWS_SHARED_CREDENTIALS_FILE",
            "AWS_MAX_ATTEMPTS",
            "AWS_RETRY_MODE",
            "AWS_DEFAULTS_MODE",
            "AWS_METADATA_SERVICE_TIMEOUT",
            "AWS_METADATA_SERVICE_NUM_ATTEMPTS",
            "AWS_CA_BUNDLE",
        ],
    )
    def test_the_call_goes_out_as_if_it_were_not_set(
        self, variable: str, blank: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        home = tmp_path / ".aws"
        home.mkdir()
        (home / "credentials").write_text(
            "[default]\naws_access_key_id = AKIDEXAMPLE\naws_secret_access_key = not-a-secret\n"
        )
        monkeypatch.setenv("HOME", str(tmp_path))
        monkeypatch.setenv(variable, blank)
        with FakeBedrock() as fake:
            assert _authorization(fake, Credentials()).startswith(KEYED)

    @pytest.mark.parametrize("blank", ["", " "])
    @pytest.mark.parametrize("variable", ["AWS_ENDPOINT_URL_BEDROCK_RUNTIME", "AWS_ENDPOINT_URL"])
    def test_a_blank_endpoint_is_the_regions_own(
        self, variable: str, blank: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv(variable, blank)
        client = build_runtime_client("us-east-1", ClientSettings.from_environment(), Credentials(**KEYS))
        assert client.meta.endpoint_url == "https://bedrock-runtime.us-east-1.amazonaws.com"

    def test_a_blank_token_file_does_not_hide_the_profiles(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        config = tmp_path / "config"
        config.write_text("[default]\nrole_arn = arn:aws:iam::123456789012:role/x\nweb_identity_token_file = /none\n")
        monkeypatch.setenv("AWS_CONFIG_FILE", str(config))
        monkeypatch.setenv("AWS_WEB_IDENTITY_TOKEN_FILE", "")
        found = open_session(Credentials()).get_credentials()
        assert found is not None
        assert found.method == "assume-role-with-web-identity"

    @pytest.mark.parametrize("variable", ["AWS_CA_BUNDLE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"])
    def test_no_blank_bundle_turns_the_checking_of_certificates_off(
        self, variable: str, authority: trustme.CA, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        for name in ("AWS_CA_BUNDLE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"):
            monkeypatch.delenv(name, raising=False)
        monkeypatch.setenv(variable, "")
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        authority.issue_cert("127.0.0.1").configure_cert(context)
        with FakeBedrock(ssl_context=context) as fake:
            settings = ClientSettings(endpoint_url=fake.url, max_attempts=1)
            client = build_runtime_client("us-east-1", settings, Credentials(**KEYS))
            with pytest.raises(Exception, match="certificate verify failed"):
                client.converse(**HELLO)

    def test_a_blank_secret_is_a_missing_half(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE")
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", " ")
        with pytest.raises(PartialCredentialsError, match="AWS_SECRET_ACCESS_KEY"):
            build_runtime_client("us-east-1", ClientSettings())

    def test_blank_keys_are_no_keys(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", " ")
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "")
        client = build_runtime_client("us-east-1", ClientSettings())
        with pytest.raises(NoCredentialsError):
            client.converse(**HELLO)

    def test_with_nothing_blank_botocores_own_configuration_is_untouched(self) -> None:
        ours, theirs = config_session(), botocore.session.Session()
        for name in ("profile", "config_file", "retry_mode", "max_attempts", "ca_bundle", "metadata_service_timeout"):
            assert ours.get_config_variable(name) == theirs.get_config_variable(name)


def test_stray_space_around_keys_of_the_environment_is_not_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", " AKIDEXAMPLE\n")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "not-a-secret\n")
    monkeypatch.setenv("AWS_SESSION_TOKEN", "session\n")
    with FakeBedrock(credentials={"AKIDEXAMPLE": "not-a-secret"}, strict=False) as fake:
        client = build_runtime_client("us-east-1", ClientSettings(endpoint_url=fake.url))
        with pytest.raises(client.exceptions.ClientError):
            client.converse(**HELLO)  # the stand-in knows this key without a session token
        assert fake.requests[-1].headers["x-amz-security-token"] == "session"


def test_a_line_break_inside_a_key_of_the_environment_is_refused_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "not-a-secret")
    monkeypatch.setenv("AWS_SESSION_TOKEN", "Tr0ub\n4dor")
    with pytest.raises(SettingsError, match="AWS_SESSION_TOKEN") as refused:
        build_runtime_client("us-east-1", ClientSettings())
    assert "Tr0ub" not in str(refused.value)


def test_a_profile_is_used_and_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = tmp_path / "config"
    config.write_text("[profile dev]\naws_access_key_id = AKIDEXAMPLE\naws_secret_access_key = not-a-secret\n")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(config))
    with FakeBedrock() as fake:
        assert _authorization(fake, Credentials(profile="dev")).startswith(KEYED)
    assert named_profile(Credentials(profile="dev")) == "dev"
    assert named_profile(Credentials(session=boto3.Session(profile_name="dev"))) == "dev"
    assert named_profile(Credentials(session=boto3.Session())) is None
    assert named_profile(Credentials()) is None


def test_sessions_of_boto3_and_of_botocore_are_used_as_they_are() -> None:
    ours = boto3.Session(**KEYS)
    assert open_session(Credentials(session=ours)) is ours
    plain = botocore.session.Session()
    plain.set_credentials("AKIDEXAMPLE", "not-a-secret")
    with FakeBedrock() as fake:
        assert _authorization(fake, Credentials(session=plain)).startswith(KEYED)
