"""Through a real proxy to a stand-in on TLS: HTTPS_PROXY, NO_PROXY, AWS_CA_BUNDLE, and every promise kept on the way."""

from __future__ import annotations

import base64
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ProxyConnectionError, SSLError

from agent.bedrock import Bedrock
from agent.bedrock.errors import CallInterruptedError, DeadlineExceededError, IdleTimeoutError, classify
from agent.bedrock.testing import FakeBedrock, Framing, Reply, Stall
from tests.aws.guarded import KEYS, MODEL
from tests.moments import at_some_pace, once, once_asked, prompt

from .streaming import HELLO, authority_file, server_context
from .tunnel import Tunnel

ASKED = [{"role": "user", "content": "Hello?"}]
USER = "somebody:Tr0ub4dor"


@pytest.fixture
def fake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeBedrock]:
    """A stand-in on TLS, whose authority stands in AWS_CA_BUNDLE."""
    monkeypatch.setenv("AWS_CA_BUNDLE", authority_file(tmp_path))
    with FakeBedrock(ssl_context=server_context()) as running:
        yield running


@pytest.fixture(params=["plain", "tls"])
def tunnel(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Tunnel]:
    """The proxy that HTTPS_PROXY names, itself reached in plain and over TLS."""
    key = base64.b64encode(USER.encode())
    with Tunnel(tls=server_context() if request.param == "tls" else None, key=key) as running:
        monkeypatch.setenv("HTTPS_PROXY", running.url(USER))
        yield running


def bedrock(fake: FakeBedrock, **arguments: Any) -> Bedrock:
    return Bedrock(fake.region, **{"endpoint_url": fake.url, "read_timeout": 20, **KEYS, **arguments})


def said(face: Bedrock) -> list[str | None]:
    return [face.complete(MODEL, ASKED).message.content, face.stream(MODEL, ASKED).completion().message.content]


@pytest.mark.parametrize("framing", [None, Framing.LENGTH, Framing.EOF])
def test_answers_come_through_the_proxy(fake: FakeBedrock, tunnel: Tunnel, framing: Framing | None) -> None:
    fake.queue(Reply(HELLO, framing=framing), Reply(HELLO, framing=framing))
    assert said(bedrock(fake)) == ["Hello world!"] * 2
    port = fake.url.rpartition(":")[2]
    assert {line.rpartition(" ")[0] for line in tunnel.asked} == {f"CONNECT 127.0.0.1:{port}"}


def test_a_connection_through_the_proxy_is_used_again(fake: FakeBedrock, tunnel: Tunnel) -> None:
    face = bedrock(fake)
    for _ in range(3):
        said(face)
    assert len(tunnel.asked) == 1


def test_hosts_of_no_proxy_are_called_directly(
    fake: FakeBedrock, tunnel: Tunnel, monkeypatch: pytest.MonkeyPatch
) -> None:
    face = bedrock(fake)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    said(face)
    assert tunnel.asked == []
    monkeypatch.delenv("NO_PROXY")
    said(face)
    assert len(tunnel.asked) == 1, "the environment is looked at whenever a client is asked for"


@pytest.mark.parametrize("blank", ["", " "])
@pytest.mark.parametrize("variable", ["HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "ALL_PROXY", "NO_PROXY"])
def test_a_blank_one_is_none(fake: FakeBedrock, monkeypatch: pytest.MonkeyPatch, variable: str, blank: str) -> None:
    monkeypatch.setenv(variable, blank)
    said(bedrock(fake, max_attempts=1))


def test_a_blank_one_leaves_no_proxy_its_word(
    fake: FakeBedrock, tunnel: Tunnel, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTP_PROXY", " ")
    said(bedrock(fake))
    assert len(tunnel.asked) == 1
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    said(bedrock(fake))
    assert len(tunnel.asked) == 1


def test_an_authority_that_is_not_known_is_named_in_the_advice_and_not_asked_again(
    fake: FakeBedrock, tunnel: Tunnel, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("AWS_CA_BUNDLE")
    with pytest.raises((SSLError, ProxyConnectionError)) as raised:
        bedrock(fake).complete(MODEL, ASKED)
    assert any("AWS_CA_BUNDLE" in note for note in raised.value.__notes__)
    assert fake.requests == []
    assert vars(raised.value)["attempts"] == 1
    assert "Tr0ub4dor" not in f"{raised.value!r} {raised.value.__notes__}"


@pytest.mark.parametrize("bundle", ["absent.pem", "rubbish.pem", "."])
def test_a_bundle_that_cannot_be_read_is_named_in_the_advice_and_not_tried_again(
    fake: FakeBedrock, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, bundle: str
) -> None:
    (tmp_path / "rubbish.pem").write_text("rubbish")
    monkeypatch.setenv("AWS_CA_BUNDLE", str(tmp_path / bundle))
    with pytest.raises(SSLError) as raised:
        bedrock(fake).complete(MODEL, ASKED)
    assert "names no readable file" in classify(raised.value).advice
    assert vars(raised.value)["attempts"] == 1


def test_a_proxy_that_wants_other_credentials_is_not_asked_again(fake: FakeBedrock, tunnel: Tunnel) -> None:
    tunnel.key = b"another"
    with pytest.raises(ProxyConnectionError) as raised:
        bedrock(fake).complete(MODEL, ASKED)
    assert "HTTPS_PROXY" in classify(raised.value).advice
    assert len(tunnel.asked) == 1
    assert "Tr0ub4dor" not in f"{raised.value!r} {raised.value.__notes__}"


def test_a_proxy_that_is_not_there_is_named_in_the_advice(fake: FakeBedrock, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTPS_PROXY", f"http://{USER}@127.0.0.1:1")
    with pytest.raises(ProxyConnectionError) as raised:
        bedrock(fake, max_attempts=1).complete(MODEL, ASKED)
    assert "HTTPS_PROXY" in classify(raised.value).advice
    assert "Tr0ub4dor" not in f"{raised.value!r} {raised.value.__notes__}"


# --- silence ----------------------------------------------------------------------------------------------------------


def warm(fake: FakeBedrock, **arguments: Any) -> Bedrock:
    face = bedrock(fake, **arguments)
    face.complete(MODEL, ASKED)
    return face


@pytest.mark.parametrize("byte", [None, 20], ids=["between events", "inside an event"])
def test_closing_wakes_a_blocked_read(fake: FakeBedrock, tunnel: Tunnel, byte: int | None) -> None:
    face = warm(fake)

    def release() -> float:
        told: list[str] = []
        fake.queue(Reply(HELLO, fault=Stall(3, byte=byte)))
        stream = face.stream(MODEL, ASKED, on_text_delta=told.append)
        with once(lambda: len(told) == 2, stream.close) as moment:
            completion = stream.completion()
            took = time.monotonic() - moment[0]
        assert completion.bedrock.interrupted
        assert completion.message.content == "Hello world"
        return took

    assert prompt(release)


@pytest.mark.parametrize("silence", [Stall(-1), Stall(3)], ids=["before the headers", "within the stream"])
def test_a_token_ends_the_call(fake: FakeBedrock, tunnel: Tunnel, silence: Stall) -> None:
    face = warm(fake)

    def release() -> float:
        fake.queue(Reply(HELLO, fault=silence))
        token = threading.Event()
        with once_asked(fake, token.set) as moment:
            try:
                interrupted = face.stream(MODEL, ASKED, cancel=token).completion().bedrock.interrupted
            except CallInterruptedError:
                interrupted = True
            took = time.monotonic() - moment[0]
        assert interrupted
        assert fake.wait_for(lambda fake: fake.open_connections == 0), "the connection is discarded"
        return took

    assert prompt(release)


def test_a_deadline_and_an_idle_timeout_hold(fake: FakeBedrock, tunnel: Tunnel) -> None:
    face = warm(fake)

    def scene(pace: int) -> None:
        began = time.monotonic()
        with pytest.raises(DeadlineExceededError) as late:
            face.stream(MODEL, ASKED, deadline=0.5 * pace).completion()
        assert late.value.partial.message.content == "Hello world"
        with pytest.raises(IdleTimeoutError) as silent:
            face.with_options(idle_timeout=0.5 * pace).stream(MODEL, ASKED).completion()
        assert silent.value.partial.message.content == "Hello world"
        assert time.monotonic() - began < 2 * pace

    fake.queue(*[Reply(HELLO, fault=Stall(3))] * 10)
    at_some_pace(scene)
