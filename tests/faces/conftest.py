"""A stand-in of Bedrock, and `Bedrock` objects that talk to it over real boto3."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest

from agent.bedrock.faces import workers
from agent.bedrock.faces.client import Bedrock
from agent.bedrock.testing import FakeBedrock

KEYS = {"aws_access_key_id": "AKIDEXAMPLE", "aws_secret_access_key": "not-a-secret"}


@pytest.fixture(autouse=True)
def _idle_workers_end_soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """No thread outlives its test, and none is waited for."""
    monkeypatch.setattr(workers, "IDLE_SECONDS", 0.05)


@pytest.fixture
def serve() -> Iterator[Callable[..., FakeBedrock]]:
    """Starts stand-ins that end with the test: `serve(*answers, **options)`; one function is a script."""
    with ExitStack() as stack:

        def start(*answers: Any, **options: Any) -> FakeBedrock:
            script = answers[0] if len(answers) == 1 and callable(answers[0]) else list(answers)
            return stack.enter_context(FakeBedrock(script, **options))

        yield start


@pytest.fixture(scope="session")
def session() -> Any:
    """One session for all: what botocore reads from its files it reads once."""
    import boto3

    return boto3.Session(**KEYS, region_name="us-east-1")


@pytest.fixture
def bedrock_at(session: Any) -> Callable[..., Bedrock]:
    """`Bedrock` objects for a stand-in: `bedrock_at(fake, **arguments)`."""

    def make(fake: FakeBedrock, **arguments: Any) -> Bedrock:
        return Bedrock("us-east-1", **{"endpoint_url": fake.url, "max_attempts": 1, "session": session, **arguments})

    return make
