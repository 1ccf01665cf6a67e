"""Options of a call, as opposed to those of its request: split off, checked, and handed to the guarded client."""

from __future__ import annotations

import logging
import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest

from agent.bedrock import Bedrock
from agent.bedrock.aws import clients
from agent.bedrock.aws.memory import forget_everything
from agent.bedrock.aws.options import CALL_OPTIONS, CallOptions, split_options
from agent.bedrock.errors import CallInterruptedError, DeadlineExceededError, InvalidRequestError
from agent.bedrock.request.options import OPTION_NAMES
from agent.bedrock.testing import FakeBedrock, Refusal, Reply, Stall
from tests.moments import PATIENCE, at_some_pace, comes_true, once, prompt

KEYS: dict[str, Any] = {"aws_access_key_id": "AKIDEXAMPLE", "aws_secret_access_key": "not-a-secret"}
MODEL = "anthropic.claude-3-haiku-20240307-v1:0"
ASKED = [{"role": "user", "content": "Hi"}]


def face(fake: FakeBedrock, **arguments: Any) -> Bedrock:
    return Bedrock(fake.region, endpoint_url=fake.url, **KEYS, **arguments)


def test_no_option_is_both_of_the_call_and_of_the_request() -> None:
    assert not CALL_OPTIONS & OPTION_NAMES
    call, request = split_options({"deadline": 3, "temperature": 1, "cancel": None})
    assert (call, request) == ({"deadline": 3}, {"temperature": 1})


@pytest.mark.parametrize(
    ("wrong", "name"),
    [
        ({"deadline": 0}, "deadline"),
        ({"deadline": "soon"}, "deadline"),
        ({"deadline": float("nan")}, "deadline"),
        ({"read_timeout": -1}, "read_timeout"),
        ({"deadline": 10**400}, "deadline"),
        ({"read_timeout": 1e300}, "read_timeout"),
        ({"max_attempts": 0}, "max_attempts"),
        ({"max_attempts": "3"}, "max_attempts"),
        ({"max_attempts": True}, "max_attempts"),
        ({"max_attempts": 1.5}, "max_attempts"),
        ({"resume": "maybe"}, "resume"),
        ({"cancel": object()}, "cancel"),
        ({"fallbacks": ["m"]}, "fallbacks"),
        ({"fallbacks": 5}, "fallbacks"),
        ({"fallbacks": "us-west-2"}, "fallbacks"),
        ({"fallbacks": [("us-west-2", " ")]}, "fallbacks"),
    ],
)
def test_what_cannot_be_meant_is_refused_by_name(wrong: dict[str, Any], name: str) -> None:
    with FakeBedrock() as fake:
        for call in (face(fake).complete, face(fake).stream):
            with pytest.raises(InvalidRequestError, match=name):
                call(MODEL, ASKED, **wrong)
        assert not fake.requests


def test_they_reach_the_call_and_not_the_request() -> None:

    def scene(pace: int) -> None:
        with FakeBedrock([Reply("x", fault=Stall(-1)), Reply("Hello")]) as fake:
            bedrock = face(fake)
            with pytest.raises(DeadlineExceededError):
                bedrock.complete(MODEL, ASKED, deadline=0.5 * pace)
            assert fake.requests, "the next call would be answered by silence"
            completion = bedrock.complete(MODEL, ASKED, deadline=30, cancel=threading.Event(), max_attempts=1)
            assert completion.message.content == "Hello"
            assert fake.requests[0].body == fake.requests[1].body

    at_some_pace(scene)


def test_attempts_are_the_calls_own() -> None:
    with FakeBedrock([Refusal("InternalServerException", "down")]) as fake, pytest.raises(Exception, match="down"):
        face(fake).complete(MODEL, ASKED, max_attempts=1)


def test_a_client_that_cannot_obey_is_named(caplog: pytest.LogCaptureFixture) -> None:
    with FakeBedrock() as fake:
        bedrock = Bedrock(client=boto3.client("bedrock-runtime", **fake.client_options()))
        with caplog.at_level(logging.WARNING, logger="agent.bedrock.faces.client"):
            bedrock.complete(MODEL, ASKED)
            bedrock.stream(MODEL, ASKED, on_interrupt_check=lambda: False).completion()
            assert not caplog.records
            bedrock.complete(MODEL, ASKED, deadline=9)
        assert "options=deadline | not obeyed" in caplog.text


def test_a_token_and_a_check_are_asked_as_one() -> None:
    token = threading.Event()
    assert CallOptions().interrupt_check is None
    both = CallOptions(cancel=token, on_interrupt_check=lambda: False).interrupt_check
    assert both is not None
    assert not both()
    token.set()
    assert both()


# --- what a call waits for before it is sent --------------------------------------------------------------------------


class SlowBuilding:
    """Has clients of one region built slowly, as where a program or a service is asked for credentials."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.region = "us-east-1"
        self.begun, self._go_on = 0, threading.Event()
        self._genuine = clients.build_runtime_client
        monkeypatch.setattr(clients, "build_runtime_client", self._build)

    def _build(self, region: str, *arguments: Any, **named: Any) -> Any:
        if region == self.region:
            self.begun += 1
            self._go_on.wait(PATIENCE)
        return self._genuine(region, *arguments, **named)

    def end(self) -> None:
        """Let go of whoever builds, now and later."""
        self._go_on.set()


@pytest.fixture
def building(monkeypatch: pytest.MonkeyPatch) -> Iterator[SlowBuilding]:
    slow = SlowBuilding(monkeypatch)
    yield slow
    slow.end()


def seconds_until_released(building: SlowBuilding, call: Callable[[threading.Event], Any]) -> float:
    token, awaited = threading.Event(), building.begun + 1
    with once(lambda: building.begun == awaited, token.set) as moment:
        with pytest.raises(CallInterruptedError):
            call(token)
        return time.monotonic() - moment[0]


@pytest.mark.parametrize("method", ["complete", "stream"])
def test_a_client_that_is_long_in_building_holds_nobody(building: SlowBuilding, method: str) -> None:
    with FakeBedrock() as fake:

        def release() -> float:
            call = getattr(face(fake), method)
            return seconds_until_released(building, lambda token: call(MODEL, ASKED, cancel=token))

        assert prompt(release)
        assert not fake.requests


def test_what_was_built_for_a_call_that_was_given_up_serves_the_next(building: SlowBuilding) -> None:
    with FakeBedrock(["Hello"]) as fake, face(fake) as bedrock:
        seconds_until_released(building, lambda token: bedrock.complete(MODEL, ASKED, cancel=token))
        building.end()
        assert bedrock.complete(MODEL, ASKED, deadline=60).message.content == "Hello"
        assert building.begun == 1


@pytest.mark.parametrize("method", ["complete", "stream"])
def test_a_deadline_counts_from_the_call_and_not_from_its_sending(building: SlowBuilding, method: str) -> None:
    with FakeBedrock() as fake:

        def late() -> float:
            began = time.monotonic()
            with pytest.raises(DeadlineExceededError):
                getattr(face(fake), method)(MODEL, ASKED, deadline=0.2)
            return time.monotonic() - began - 0.2

        assert prompt(late)
        assert not fake.requests


def test_a_fallback_whose_client_is_long_in_building_holds_nobody(building: SlowBuilding) -> None:
    building.region = "eu-west-1"
    with FakeBedrock(lambda _: Refusal("ThrottlingException", "slow down")) as fake:

        def release() -> float:
            bedrock, elsewhere = face(fake), [("eu-west-1", None)]
            forget_everything()
            return seconds_until_released(
                building, lambda token: bedrock.complete(MODEL, ASKED, cancel=token, fallbacks=elsewhere)
            )

        assert prompt(release)


def test_fresh_credentials_that_are_long_in_coming_hold_nobody(
    building: SlowBuilding, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "credentials"
    file.write_text("[default]\naws_access_key_id = AKIDEXAMPLE\naws_secret_access_key = not-a-secret\n")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(file))
    with FakeBedrock(lambda _: Refusal("ExpiredTokenException", "expired")) as fake:

        def release() -> float:
            bedrock = Bedrock(fake.region, endpoint_url=fake.url)
            building.region = ""
            assert bedrock.client
            building.region = fake.region
            return seconds_until_released(building, lambda token: bedrock.complete(MODEL, ASKED, cancel=token))

        assert prompt(release)


def test_a_control_plane_that_says_nothing_holds_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    profile = "arn:aws:bedrock:us-east-1:123456789012:application-inference-profile/abc123def456"
    with socket.create_server(("127.0.0.1", 0)) as silent, FakeBedrock() as fake:
        monkeypatch.setenv("AWS_ENDPOINT_URL_BEDROCK", f"http://127.0.0.1:{silent.getsockname()[1]}")

        def late() -> float:
            forget_everything()
            began = time.monotonic()
            with pytest.raises(DeadlineExceededError):
                face(fake, read_timeout=1).complete(profile, ASKED, deadline=0.3)
            return time.monotonic() - began - 0.3

        assert prompt(late)
        assert not fake.requests


def test_nobody_builds_for_a_call_that_was_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever waited in line behind a program that fails slowly does not ask it again."""
    asked: list[Any] = []
    go_on, token = threading.Event(), threading.Event()

    def fail(credentials: Any) -> Any:
        asked.append(credentials)
        go_on.wait(PATIENCE)
        raise OSError("no credentials")

    monkeypatch.setattr(clients, "open_session", fail)
    others = set(threading.enumerate())
    with FakeBedrock() as fake, face(fake) as bedrock:
        with once(lambda: asked, token.set), pytest.raises(CallInterruptedError):
            bedrock.complete(MODEL, ASKED, cancel=token)
        for _ in range(2):
            with pytest.raises(DeadlineExceededError):
                bedrock.complete(MODEL, ASKED, deadline=0.1)
        go_on.set()
        assert comes_true(lambda: not {thread for thread in threading.enumerate() if "call" in thread.name} - others)
    assert len(asked) == 1
