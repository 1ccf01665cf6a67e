"""Identities: real signatures of real botocore, verified."""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
import trustme
from botocore.auth import SigV4Auth
from botocore.config import Config
from botocore.exceptions import ClientError

from agent.bedrock.testing import Bearer, FakeBedrock, Key
from agent.bedrock.testing.server import HOST

from .conftest import ask, newest_model

KNOWN = {
    "AKIDPLAIN": "plain-secret",
    "AKIDSESSION": Key("session-secret", token="session-token"),
    "AKIDEXPIRED": Key("old-secret", token="old-token", expired=True),
    "token-good": Bearer(),
    "token-old": Bearer(expired=True),
}


@pytest.fixture
def guarded() -> Iterator[FakeBedrock]:
    with FakeBedrock(credentials=KNOWN) as fake:
        yield fake


def client(fake: FakeBedrock, key: str, secret: str, token: str | None = None, **options: Any) -> Any:
    asked = {**fake.client_options(retries={"total_max_attempts": 1}), **options}
    asked |= {"aws_access_key_id": key, "aws_secret_access_key": secret, "aws_session_token": token}
    return boto3.client("bedrock-runtime", **asked)


def refused(client: Any, **arguments: Any) -> tuple[int, str]:
    with pytest.raises(ClientError) as caught:
        client.converse(**(arguments or ask()))
    response = caught.value.response
    assert "secret" not in str(response)
    return response["ResponseMetadata"]["HTTPStatusCode"], response["Error"]["Code"]


def test_a_right_signature_passes(guarded: FakeBedrock) -> None:
    client(guarded, "AKIDPLAIN", "plain-secret").converse(**ask())
    client(guarded, "AKIDSESSION", "session-secret", "session-token").converse(**ask())
    assert [request.access_key for request in guarded.requests] == ["AKIDPLAIN", "AKIDSESSION"]


def test_ids_that_need_encoding_are_signed_as_they_travel(guarded: FakeBedrock) -> None:
    arn = "arn:aws:bedrock:us-east-1:123456789012:inference-profile/us.amazon.nova-lite-v1:0"
    running = client(guarded, "AKIDPLAIN", "plain-secret")
    running.converse(**ask(arn))
    running.converse_stream(**ask(arn))["stream"].close()
    assert [request.model_id for request in guarded.requests] == [arn, arn]


@newest_model
def test_query_strings_are_signed_too(guarded: FakeBedrock) -> None:
    options = {**guarded.client_options(), "aws_access_key_id": "AKIDPLAIN", "aws_secret_access_key": "plain-secret"}
    control = boto3.client("bedrock", **options)
    assert control.list_inference_profiles(maxResults=2, typeEquals="SYSTEM_DEFINED")["inferenceProfileSummaries"]


@pytest.mark.parametrize(
    ("key", "secret", "token", "code"),
    [
        ("AKIDPLAIN", "another-secret", None, "InvalidSignatureException"),
        ("AKIDNOBODY", "plain-secret", None, "UnrecognizedClientException"),
        ("AKIDSESSION", "session-secret", None, "UnrecognizedClientException"),
        ("AKIDSESSION", "session-secret", "another-token", "UnrecognizedClientException"),
        ("AKIDEXPIRED", "old-secret", "old-token", "ExpiredTokenException"),
    ],
)
def test_whoever_is_not_known_is_turned_away(
    guarded: FakeBedrock, key: str, secret: str, token: str | None, code: str
) -> None:
    assert refused(client(guarded, key, secret, token)) == (403, code)


def test_a_signature_for_another_region_is_refused(guarded: FakeBedrock) -> None:
    elsewhere = client(guarded, "AKIDPLAIN", "plain-secret", region_name="eu-west-1")
    assert refused(elsewhere) == (403, "InvalidSignatureException")


def test_a_clock_that_is_wrong_makes_the_signature_expire(
    guarded: FakeBedrock, monkeypatch: pytest.MonkeyPatch
) -> None:
    sign = SigV4Auth._inject_signature_to_request

    def late(self: SigV4Auth, request: Any, signature: str) -> Any:
        request.headers["X-Amz-Date"] = "20200101T000000Z"
        return sign(self, request, signature)

    monkeypatch.setattr(SigV4Auth, "_inject_signature_to_request", late)
    assert refused(client(guarded, "AKIDPLAIN", "plain-secret")) == (403, "InvalidSignatureException")


def test_who_does_not_sign_at_all_is_told_so(guarded: FakeBedrock) -> None:
    from botocore import UNSIGNED

    options = {**guarded.client_options(), "config": Config(signature_version=UNSIGNED, proxies={})}
    assert refused(boto3.client("bedrock-runtime", **options)) == (403, "MissingAuthenticationTokenException")


def test_strangers_take_nothing_from_the_script(guarded: FakeBedrock) -> None:
    guarded.queue("for the known")
    refused(client(guarded, "AKIDNOBODY", "x"))
    answer = client(guarded, "AKIDPLAIN", "plain-secret").converse(**ask())
    assert answer["output"]["message"]["content"] == [{"text": "for the known"}]


def test_without_credentials_nobody_is_asked(fake: FakeBedrock) -> None:
    client(fake, "AKIDNOBODY", "x").converse(**ask())
    assert len(fake.requests) == 1


@newest_model
@pytest.mark.parametrize(
    ("token", "message"),
    [
        ("token-good", None),
        ("token-old", "Bearer Token has expired"),
        ("token-made-up", "Authentication failed: Please make sure your API Key is valid."),
    ],
)
def test_bearer_tokens_are_known_or_not(
    token: str, message: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """botocore sends a bearer token over TLS only."""
    authority = trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(HOST).configure_cert(context)
    bundle = tmp_path / "ca.pem"
    authority.cert_pem.write_to_path(str(bundle))
    monkeypatch.setenv("AWS_BEARER_TOKEN_BEDROCK", token)
    with FakeBedrock(credentials=KNOWN, ssl_context=context) as fake:
        running = boto3.client("bedrock-runtime", **fake.client_options(), verify=str(bundle))
        if message is None:
            running.converse(**ask())
        else:
            with pytest.raises(ClientError) as caught:
                running.converse(**ask())
            assert caught.value.response["Error"] == {"Code": "AccessDeniedException", "Message": message}
        assert fake.requests[0].bearer == token
        running.close()


def test_secrets_are_not_shown() -> None:
    assert "hush" not in repr(Key("hush", token="hush"))
