"""Expired credentials: fresh ones and one retry, also for a loop that holds only the client it was given once."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import boto3
import botocore.session
import pytest
from botocore.credentials import RefreshableCredentials
from botocore.exceptions import ClientError, NoCredentialsError

from agent.bedrock.aws import pace, renewal
from agent.bedrock.aws.credentials import Credentials
from agent.bedrock.aws.renewal import Clients
from agent.bedrock.testing import FakeBedrock, Key, Refusal, Reply

from .guarded import BOTH, HELLO, KEYS, bedrock, guarded, streamed, whole

EXPIRED = Refusal("ExpiredTokenException", "The security token included in the request is expired")


@pytest.fixture(autouse=True)
def _no_waiting() -> Iterator[None]:
    with pace.no_waiting():
        yield


@pytest.fixture
def keys(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """A file of credentials that can be rewritten, as `aws sso login` and its like do."""
    file = tmp_path / "credentials"
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(file))

    def write(key: str) -> None:
        file.write_text(f"[default]\naws_access_key_id = {key}\naws_secret_access_key = secret-of-{key}\n")

    return write


def signer(request: Any) -> str:
    return str(request.headers["authorization"].partition("Credential=")[2].partition("/")[0])


@pytest.mark.parametrize("ask", BOTH)
@pytest.mark.parametrize("code", ["ExpiredTokenException", "ExpiredToken", "UnrecognizedClientException"])
def test_the_call_is_sent_once_more_with_what_holds_now(
    ask: Callable[..., Any], code: str, keys: Callable[[str], None]
) -> None:
    keys("OLD")
    with FakeBedrock([Refusal(code, "expired", status=403), Reply("Hello"), Reply("Hello")]) as fake:
        client = guarded(fake, Credentials(profile="default"))
        keys("NEW")
        assert ask(client).message.content == "Hello"
        assert ask(client).message.content == "Hello"
        assert [signer(request) for request in fake.requests] == ["OLD", "NEW", "NEW"]


def test_credentials_that_the_service_checks(keys: Callable[[str], None]) -> None:
    known = {"OLD": Key("secret-of-OLD", expired=True), "NEW": "secret-of-NEW"}
    keys("OLD")
    with FakeBedrock([Reply("Hello")], credentials=known) as fake:
        client = guarded(fake, Credentials(profile="default"))
        keys("NEW")
        assert whole(client).message.content == "Hello"


def test_only_once(keys: Callable[[str], None]) -> None:
    keys("OLD")
    with FakeBedrock([EXPIRED] * 9) as fake:
        client = guarded(fake, Credentials(profile="default"))
        with pytest.raises(ClientError, match="expired") as raised:
            whole(client)
        assert len(fake.requests) == 2
        assert "aws sso login --profile default" in " ".join(raised.value.__notes__)
        with pytest.raises(ClientError, match="expired"):
            whole(client)
        assert len(fake.requests) == 3, "a moment later there is nothing fresher"


@pytest.mark.parametrize(
    "credentials",
    [Credentials(**KEYS), Credentials(session=boto3.Session(**KEYS)), Credentials(bearer_token="token")],
    ids=["keys", "session", "token"],
)
def test_what_cannot_be_fresher_is_not_asked_for_again(credentials: Credentials) -> None:
    refused = [EXPIRED] * 2
    with FakeBedrock(refused) as fake:
        client = guarded(fake, credentials)
        with pytest.raises(Exception) as raised:  # noqa: PT011 - a token wants https, and says so before it is sent
            whole(client)
        assert len(fake.requests) <= 1
        assert raised.value.__notes__


def test_who_signs_in_after_the_client_was_built(keys: Callable[[str], None]) -> None:
    with FakeBedrock([Reply("Hello")]) as fake:
        client = guarded(fake, Credentials())
        with pytest.raises(NoCredentialsError):
            client.converse(**HELLO)
        keys("NEW")
        with pace.no_waiting() as waits:
            waits.append(renewal.RENEWAL_INTERVAL)
            assert whole(client).message.content == "Hello"


def of_a_role(fetched: list[str]) -> boto3.Session:
    """A session whose keys are fetched, and called fresh for an hour whatever the service says."""

    def fetch() -> dict[str, str]:
        key = f"KEY{len(fetched)}"
        fetched.append(key)
        expires = (datetime.now(UTC) + timedelta(hours=1)).isoformat()
        return {"access_key": key, "secret_key": "secret", "token": "token", "expiry_time": expires}

    session = botocore.session.Session()
    vars(session)["_credentials"] = RefreshableCredentials.create_from_metadata(fetch(), fetch, "test")
    return boto3.Session(botocore_session=session)


@pytest.mark.parametrize("ask", BOTH)
def test_a_session_of_the_callers_fetches_its_credentials_anew(ask: Callable[..., Any]) -> None:
    fetched: list[str] = []
    with FakeBedrock([EXPIRED, Reply("Hello"), Reply("Hello")]) as fake:
        client = guarded(fake, Credentials(session=of_a_role(fetched)))
        assert ask(client).message.content == "Hello"
        assert ask(client).message.content == "Hello"
        assert [signer(request) for request in fake.requests] == ["KEY0", "KEY1", "KEY1"]


def test_keys_of_a_callers_session_stay_what_they_are() -> None:
    with FakeBedrock([EXPIRED]) as fake:
        client = guarded(fake, Credentials(session=boto3.Session("AKID", "secret", "token")))
        with pytest.raises(ClientError, match="expired"):
            whole(client)
        assert len(fake.requests) == 1


def test_a_refused_stream_is_opened_with_fresh_credentials(keys: Callable[[str], None]) -> None:
    keys("OLD")
    with FakeBedrock([EXPIRED, Reply("Hello")]) as fake:
        client = guarded(fake, Credentials(profile="default"))
        keys("NEW")
        completion = streamed(client)
        assert completion.message.content == "Hello"
        assert fake.requests[1].operation == "converse-stream"


def test_the_face_needs_nothing_else(keys: Callable[[str], None], monkeypatch: pytest.MonkeyPatch) -> None:
    keys("OLD")
    with FakeBedrock([EXPIRED, Reply("Hello")]) as fake:
        no_keys = dict.fromkeys(KEYS)
        face = bedrock(fake, **no_keys, profile="default")
        assert face.client
        keys("NEW")
        assert face.complete(HELLO["modelId"], [{"role": "user", "content": "Hi"}]).message.content == "Hello"


def test_what_sts_or_sso_refuses_is_not_bedrocks_refusal(keys: Callable[[str], None]) -> None:
    refusal: Any = ClientError({"Error": {"Code": "ExpiredTokenException", "Message": "x"}}, "AssumeRole")
    assert not renewal._outdated(refusal)


class TestClients:
    def test_threads_that_ask_at_once_get_one_client(self) -> None:
        built: list[str] = []
        go = threading.Barrier(8)

        def build(region: str) -> Any:
            built.append(region)
            return object()

        clients, stale = Clients(build, lambda: True), object()
        found: list[Any] = []

        def ask() -> None:
            go.wait()
            found.append(clients.renewed("us-east-1", stale))

        threads = [threading.Thread(target=ask) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert built == ["us-east-1"]
        assert len(set(map(id, found))) == 1

    def test_one_per_region(self) -> None:
        clients = Clients(lambda region: [region], lambda: True)
        assert clients.client_in("eu-west-1") is clients.client_in("eu-west-1")
        assert clients.client_in("eu-west-1") is not clients.client_in("eu-west-2")

    def test_where_none_can_be_built_the_refusal_stays(
        self, keys: Callable[[str], None], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        keys("OLD")
        with FakeBedrock([EXPIRED]) as fake:
            client = guarded(fake, Credentials(profile="default"))
            monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", "/nowhere")
            with pytest.raises(ClientError, match="expired"):
                whole(client)
