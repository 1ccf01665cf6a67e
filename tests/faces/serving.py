"""Servers for tests: the real uvicorn in a thread, on the loopback, in front of a stand-in of Bedrock."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from agent.bedrock.faces.config import NO_CONFIGURATION, Configuration
from agent.bedrock.faces.server.run import create_server
from agent.bedrock.testing import FakeBedrock, Reply, Text
from tests.moments import comes_true

if TYPE_CHECKING:
    import uvicorn

    from agent.bedrock.faces.server.surfaces import Service

httpx = pytest.importorskip("httpx")
pytest.importorskip("starlette")
pytest.importorskip("uvicorn")

KEYS = {"aws_access_key_id": "AKIDSERVER", "aws_secret_access_key": "server-secret"}
NOVA = "us.amazon.nova-lite-v1:0"
CLAUDE = "us.anthropic.claude-sonnet-4-5-20250929-v1:0"
USER = [{"role": "user", "content": "Hi"}]
CHAT = "/v1/chat/completions"


class Served:
    """A running server, its stand-in, and a client."""

    def __init__(self, fake: FakeBedrock, server: uvicorn.Server) -> None:
        self.fake = fake
        self.server = server
        self.service: Service = server.config.app.state.service  # type: ignore[union-attr]
        self.port: int = server.servers[0].sockets[0].getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self.http = httpx.Client(base_url=self.url, trust_env=False, timeout=20)
        self.answer: Callable[[Any], Any] = lambda _: Reply(Text("Hello."))

    def chat(self, **body: Any) -> Any:
        return self.http.post(CHAT, json={"model": NOVA, "messages": USER, **body})

    def quiet(self) -> None:
        """Let idle threads and connections go."""
        self.http.close()
        self.service.workers.dismiss()


@contextmanager
def serving(
    fake: FakeBedrock, configuration: Configuration = NO_CONFIGURATION, *, settings: Any = None, **arguments: Any
) -> Iterator[Served]:
    """A server until the end of the block; `settings` change those of the configuration."""
    changed = replace(configuration.server, **{"port": 0, **(settings or {})})
    given = arguments or {"endpoint_url": fake.url, "region": "us-east-1", "max_attempts": 1, **KEYS}
    server = create_server(replace(configuration, server=changed), **given)
    thread = threading.Thread(target=server.run, name="server")
    thread.start()
    try:
        assert comes_true(lambda: server.started or not thread.is_alive())
        served = Served(fake, server)
        try:
            yield served
        finally:
            served.quiet()
    finally:
        server.should_exit = True
        thread.join(15)
        assert not thread.is_alive()
        server.config.app.state.service.close()  # type: ignore[union-attr]


@contextmanager
def as_asked(**options: Any) -> Iterator[Served]:
    """A server whose stand-in answers what `served.answer` says at the time."""
    running: list[Served] = []

    def answer(request: Any) -> Any:
        return running[0].answer(request)

    with FakeBedrock(answer) as fake, serving(fake, **options) as served:
        running.append(served)
        yield served


@pytest.fixture(scope="module")
def house() -> Iterator[Served]:
    """One server for all tests of a module."""
    with as_asked() as served:
        yield served


@pytest.fixture
def served(house: Served) -> Iterator[Served]:
    """The module's server, as if new."""
    house.answer = lambda _: Reply(Text("Hello."))
    house.fake.requests.clear()
    house.http = httpx.Client(base_url=house.url, trust_env=False, timeout=20)
    yield house
    house.quiet()


def data_lines(text: str) -> list[str]:
    """What stands behind `data: ` in server-sent events."""
    return [line.removeprefix("data: ") for line in text.splitlines() if line.startswith("data: ")]
