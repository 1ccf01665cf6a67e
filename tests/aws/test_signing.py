"""Requests signed in one walk: to the letter what botocore signs, and whatever is not plain by botocore itself."""

from __future__ import annotations

import gc
import hmac
from collections.abc import Mapping
from typing import Any

import botocore.session
import pytest
from botocore import auth
from botocore.awsrequest import AWSRequest
from botocore.config import Config
from botocore.credentials import ReadOnlyCredentials
from hypothesis import given
from hypothesis import strategies as st

from agent.bedrock.aws import signing
from agent.bedrock.aws.signing import QUICK_VERSION, sign_quickly

from .guarded import HELLO

if auth.AUTH_TYPE_MAPS["v4"] is not auth.SigV4Auth:
    pytest.skip("botocore signs with the CRT here", allow_module_level=True)

REGION = "eu-west-1"
URL = "https://bedrock-runtime.eu-west-1.amazonaws.com/model/anthropic.claude-v1%3A0/converse"


def quick(token: str | None = None) -> Any:
    return signing._signer_class()(ReadOnlyCredentials("AKIDEXAMPLE", "not-a-secret", token), "bedrock", REGION)


def request_of(
    url: str = URL, headers: Mapping[str, str] | None = None, body: Any = b"{}", **context: Any
) -> AWSRequest:
    request = AWSRequest(method="POST", url=url, data=body, headers=headers or {})
    request.context.update(context)
    return request


def genuinely_signed(request: AWSRequest, timestamp: str, token: str | None = None) -> AWSRequest:
    """What `SigV4Auth.add_auth` does, at that time."""
    signer = auth.SigV4Auth(ReadOnlyCredentials("AKIDEXAMPLE", "not-a-secret", token), "bedrock", REGION)
    request.context["timestamp"] = timestamp
    signer._modify_request_before_signing(request)
    text = signer.string_to_sign(request, signer.canonical_request(request))
    signer._inject_signature_to_request(request, signer.signature(text, request))
    return request


NAMES = st.sampled_from(
    ["Content-Type", "User-Agent", "x-custom", "X-Amzn-Bedrock-Trace", "Accept", "X-Amzn-Trace-Id", "Content-Length"]
)
VALUES = st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=20)
URLS = st.sampled_from(
    [
        URL,
        "http://127.0.0.1:8080/model/a/converse",
        "https://[::1]:8443/model/a.b/converse-stream",
        "https://Host.example:443/proxy//model/./a/../b%2Fc%20d/converse",
        "https://user@host.example",
    ]
)


@given(st.dictionaries(NAMES, VALUES), URLS, st.binary(max_size=50), st.sampled_from([None, "a-token"]))
def test_the_signature_is_botocores(headers: dict[str, str], url: str, body: bytes, token: str | None) -> None:
    ours = request_of(url, headers, body)
    quick(token).add_auth(ours)
    genuine = genuinely_signed(request_of(url, headers, body), ours.context["timestamp"], token)
    assert ours.headers.items() == genuine.headers.items()
    assert ours.context == genuine.context


NOT_PLAIN: dict[str, AWSRequest] = {
    "a date of the caller's": request_of(headers={"Date": "Tue, 27 May 2025 00:00:00 GMT"}),
    "a host of the caller's": request_of(headers={"Host": "other.example"}),
    "a checksum of the caller's": request_of(headers={"X-Amz-Content-SHA256": "abc"}),
    "signed before": request_of(headers={"Authorization": "x", "X-Amz-Date": "y", "X-Amz-Security-Token": "z"}),
    "a query": request_of(url=f"{URL}?a=b&a=a"),
    "text": request_of(body="{}"),
    "no body": request_of(body=None),
    "an unsigned body": request_of(payload_signing_enabled=False),
}


@pytest.mark.parametrize("why", NOT_PLAIN)
def test_what_is_not_plain_is_signed_by_botocore(why: str, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Any] = []
    monkeypatch.setattr(auth.SigV4Auth, "add_auth", lambda _self, request: asked.append(request))
    quick().add_auth(NOT_PLAIN[why])
    assert asked == [NOT_PLAIN[why]]


def test_a_header_given_twice_is_signed_by_botocore() -> None:
    ours, genuine = request_of(), request_of()
    for request in (ours, genuine):
        request.headers.add_header("x-custom", "one")
        request.headers.add_header("X-Custom", "two")
    quick().add_auth(ours)
    genuinely_signed(genuine, ours.context["timestamp"])
    assert ours.headers.items() == genuine.headers.items()


def test_without_credentials_the_error_is_botocores() -> None:
    from botocore.exceptions import NoCredentialsError

    signer = signing._signer_class()(None, "bedrock", REGION)
    with pytest.raises(NoCredentialsError):
        signer.add_auth(request_of())


def test_the_key_is_derived_once_a_day(monkeypatch: pytest.MonkeyPatch) -> None:
    key, derived = signing._DailyKey(), []
    genuine = hmac.digest

    def digest(secret: bytes, *more: Any) -> bytes:
        if secret.startswith(b"AWS4"):
            derived.append(secret)
        return genuine(secret, *more)

    monkeypatch.setattr(hmac, "digest", digest)
    for day in ("20260101", "20260101", "20260102"):
        monkeypatch.setattr(signing, "_TIMESTAMP", f"{day}T000000Z")
        ours = request_of()
        ours.context[signing._KEY] = key
        quick().add_auth(ours)
        genuine_one = genuinely_signed(request_of(), ours.context["timestamp"])
        assert ours.headers["Authorization"] == genuine_one.headers["Authorization"]
    assert len(derived) == 2


def test_of_credentials_that_changed_nothing_is_kept() -> None:
    client = client_of()
    for secret in ("the-first-one", "the-second-one"):
        client._request_signer._credentials.secret_key = secret
        signed_by(client)
    kept = [
        daily for daily in gc.get_objects() if isinstance(daily, signing._DailyKey) and "-one" in str(daily._known[0])
    ]
    assert [daily._known[0] for daily in kept] == ["the-second-one"]
    assert "-one" not in repr(kept)
    del client, kept
    gc.collect()
    assert not [
        daily for daily in gc.get_objects() if isinstance(daily, signing._DailyKey) and "-one" in str(daily._known[0])
    ]


def test_who_debugs_signatures_reads_what_is_signed(caplog: pytest.LogCaptureFixture) -> None:
    client = client_of()
    with caplog.at_level("DEBUG", "botocore.auth"):
        assert signed_by(client) == "v4"
    assert "CanonicalRequest" in caplog.text


class Sent(Exception):  # noqa: N818 - ends a call before it is sent
    pass


def signed_by(client: Any) -> str:
    """The signature version that a call of the client was signed with."""
    versions: list[str] = []

    def stop(**_: Any) -> None:
        raise Sent

    client.meta.events.register("before-sign", lambda signature_version, **_: versions.append(signature_version))
    client.meta.events.register("before-send", stop)
    with pytest.raises(Sent):
        client.converse(**HELLO)
    return versions[0]


def client_of(**config: Any) -> Any:
    session = botocore.session.Session()
    session.set_credentials("AKIDEXAMPLE", "not-a-secret")
    client = session.create_client("bedrock-runtime", region_name=REGION, config=Config(**config))
    sign_quickly(client)
    sign_quickly(client)
    return client


def test_a_client_that_signs_v4_signs_in_one_walk() -> None:
    assert signed_by(client_of(signature_version="v4")) == QUICK_VERSION
    assert signed_by(client_of()) == QUICK_VERSION


def test_what_others_choose_is_left_to_them() -> None:
    client = client_of()
    client.meta.events.register("choose-signer.bedrock-runtime", lambda **_: "s3v4")
    assert signed_by(client) == "s3v4"


def test_a_signer_that_somebody_put_in_botocores_place_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    class Own(auth.SigV4Auth):
        pass

    client = client_of()
    monkeypatch.setitem(auth.AUTH_TYPE_MAPS, "v4", Own)
    assert signed_by(client) == "v4"


def test_a_presigned_url_is_botocores() -> None:
    client = client_of()
    url = client.generate_presigned_url("converse", Params={"modelId": "m", "messages": []})
    assert "X-Amz-Signature=" in url


def test_other_clients_sign_as_ever() -> None:
    client_of()
    session = botocore.session.Session()
    session.set_credentials("AKIDEXAMPLE", "not-a-secret")
    assert signed_by(session.create_client("bedrock-runtime", region_name=REGION)) == "v4"
