"""Options of a call, as opposed to those of its request: split off, checked, and handed to the guarded client."""

from __future__ import annotations

import logging
import threading
from typing import Any

import boto3
import pytest

from agent.bedrock import Bedrock
from agent.bedrock.aws.options import CALL_OPTIONS, CallOptions, split_options
from agent.bedrock.errors import DeadlineExceededError, InvalidRequestError
from agent.bedrock.request.options import OPTION_NAMES
from agent.bedrock.testing import FakeBedrock, Refusal, Reply, Stall
from tests.moments import at_some_pace

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
