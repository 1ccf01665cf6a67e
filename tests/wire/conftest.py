"""A stand-in on plain HTTP and one on TLS, each with a client of the fast stream."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from agent.bedrock.testing import FakeBedrock

from .streaming import authority_file, fast_client, server_context


@pytest.fixture
def fake() -> Iterator[FakeBedrock]:
    """A stand-in on plain HTTP."""
    with FakeBedrock() as running:
        yield running


@pytest.fixture(params=["plain", "tls"])
def wire(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[FakeBedrock, dict[str, Any]]]:
    """A stand-in, plain and over TLS, and what a client needs to reach it."""
    if request.param == "plain":
        with FakeBedrock() as running:
            yield running, {}
    else:
        with FakeBedrock(ssl_context=server_context()) as running:
            yield running, {"verify": authority_file(tmp_path)}


@pytest.fixture
def client(fake: FakeBedrock) -> Iterator[Any]:
    """A client of the plain stand-in with the fast stream."""
    running = fast_client(fake)
    yield running
    running.close()
