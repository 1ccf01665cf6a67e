"""What every runtime has to play, and what it gets for it: an HTTP client whose transport is ours."""

from __future__ import annotations

import importlib.util
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from agent.bedrock import async_http_client, http_client

if TYPE_CHECKING:
    from agent.bedrock.testing import FakeBedrock

MODEL = "us.anthropic.claude-sonnet-4-5-20250929-v1:0"
BASE_URL = "http://bedrock.local/v1"
KEYS = {"aws_access_key_id": "AKIDEXAMPLE", "aws_secret_access_key": "not-a-secret"}

SCHEMA = {
    "type": "object",
    "properties": {"name": {"type": "string"}},
    "required": ["name"],
    "additionalProperties": False,
}
"""A city, for the runtimes that want a schema and not a class."""


EXAMPLES = Path(__file__).parents[3] / "examples"


def example(name: str) -> Any:
    """A module of the examples."""
    path = EXAMPLES / f"{name}.py"
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def weather(city: str) -> str:
    """The weather of a city."""
    return f"Sunny in {city}"


WEATHER = {
    "type": "function",
    "function": {
        "name": "weather",
        "description": weather.__doc__,
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
    },
}


SERVERS: list[tuple[Any, threading.Thread]] = []
"""Those that run."""


def close_servers() -> None:
    """End those that run."""
    while SERVERS:
        server, thread = SERVERS.pop()
        server.should_exit = True
        thread.join(10)


@dataclass(frozen=True)
class Stage:
    """Where a scene is played: a stand-in, and clients for it."""

    fake: FakeBedrock

    def sync_http(self, **options: Any) -> Any:
        """An HTTP client for sync clients of the SDK."""
        return http_client(**self._options(options))

    def async_http(self, **options: Any) -> Any:
        """An HTTP client for async clients of the SDK."""
        return async_http_client(**self._options(options))

    def address(self) -> str:
        """The address of a server of ours, which runs until the scene is over."""
        from agent.bedrock.faces.config import NO_CONFIGURATION
        from agent.bedrock.faces.server.run import create_server

        configuration = replace(NO_CONFIGURATION, server=replace(NO_CONFIGURATION.server, port=0))
        server = create_server(configuration, **self._options({}))
        thread = threading.Thread(target=server.run, name="server", daemon=True)
        thread.start()
        while not server.started:
            time.sleep(0.01)
        SERVERS.append((server, thread))
        return f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}/v1"

    def _options(self, options: dict[str, Any]) -> dict[str, Any]:
        return {"region": "us-east-1", "endpoint_url": self.fake.url, "max_attempts": 1, **KEYS, **options}


class Player(Protocol):
    """A runtime at play; a scene that `workshop.runtimes.MISSING` names for it is not asked of it."""

    tries: int
    """How often the runtime and its SDK try where the service throttles."""

    def __init__(self, stage: Stage) -> None: ...

    def ask(self, question: str) -> str:
        """A plain answer."""

    def stream(self, question: str) -> Sequence[str]:
        """A plain answer in the pieces in which it came."""

    def use_tools(self, question: str, *, stream: bool) -> str:
        """The answer after the tool `weather` was called as the model wanted."""

    def structured(self, question: str) -> Any:
        """A city as an object."""

    def is_throttle(self, error: BaseException) -> bool:
        """Whether the error is the runtime's for too many requests."""

    def is_overflow(self, error: BaseException) -> bool:
        """Whether the runtime takes the error for a conversation that is too long."""
