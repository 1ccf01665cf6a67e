"""Real boto3 clients for a stand-in, with timeouts that no test wants to wait for."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import boto3
import pytest

from agent.bedrock.testing import FakeBedrock
from agent.bedrock.testing.shapes import input_shape
from tests.moments import PATIENCE

MODEL_IS_NEW = "toolAddition" in (
    input_shape("converse").members["messages"].member.members["content"].member.members  # type: ignore[attr-defined]
)
"""Whether the installed botocore's service model has the newest members that requests here use (since 1.43.62)."""

newest_model = pytest.mark.skipif(not MODEL_IS_NEW, reason="the service model of the installed botocore is too old")

as_measured = pytest.mark.skipif(not MODEL_IS_NEW, reason="what surfaces was measured with a newer botocore")

NOVA = "us.amazon.nova-lite-v1:0"
CLAUDE = "us.anthropic.claude-sonnet-4-5-20250929-v1:0"

HASTE = 0.2
"""Seconds until a read times out where a test waits for that."""


def hasty(fake: FakeBedrock, pace: int) -> Any:
    """A client that does not wait for a silent service, at one of the paces of `tests.moments`."""
    return client_of(fake, read_timeout=HASTE * pace)


def client_of(fake: FakeBedrock, service: str = "bedrock-runtime", **config: Any) -> Any:
    """A client that tries once."""
    options = fake.client_options(**{"retries": {"total_max_attempts": 1}, "read_timeout": PATIENCE, **config})
    return boto3.client(service, **options)


def ask(model: str = NOVA, text: str = "Hello?", **members: Any) -> dict[str, Any]:
    """Arguments of the shortest conversation."""
    return {"modelId": model, "messages": [{"role": "user", "content": [{"text": text}]}], **members}


@pytest.fixture
def fake() -> Iterator[FakeBedrock]:
    """A stand-in without a script; tests queue what they need."""
    with FakeBedrock() as running:
        yield running


@pytest.fixture
def client(fake: FakeBedrock) -> Iterator[Any]:
    """A real client of that stand-in."""
    running = client_of(fake)
    yield running
    running.close()
