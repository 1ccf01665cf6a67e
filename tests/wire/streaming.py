"""What the tests of fast streams share: clients, questions, and a TLS authority."""

from __future__ import annotations

import ssl
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import boto3
import trustme

from agent.bedrock.aws.stream import install_fast_stream
from agent.bedrock.response.frames import decoder_for
from agent.bedrock.testing import FakeBedrock, Reply, Text

QUESTION: dict[str, Any] = {
    "modelId": "us.amazon.nova-lite-v1:0",
    "messages": [{"role": "user", "content": [{"text": "Hello?"}]}],
}

HELLO = Text(("Hello", " world", "!"))
"""Three deltas: with messageStart, contentBlockStop, messageStop and metadata seven events."""

EVENTS = len(Reply(HELLO).events())


@dataclass(frozen=True)
class Settings:
    """The part of the client's settings that streams look at."""

    idle_timeout: float = 0


def port_of(fake: FakeBedrock) -> int:
    """Where the stand-in listens."""
    return int(fake.url.rpartition(":")[2])


def bare_client(fake: FakeBedrock, *, verify: str | None = None, port: int | None = None, **config: Any) -> Any:
    """A client as boto3 makes it, that tries once; with `port` something stands between it and the stand-in."""
    options = fake.client_options(**{"retries": {"total_max_attempts": 1}, "read_timeout": 20, **config})
    if port is not None:
        options["endpoint_url"] = fake.url.replace(str(port_of(fake)), str(port))
    return boto3.client("bedrock-runtime", verify=verify, **options)


def fast_client(fake: FakeBedrock, *, idle_timeout: float = 0, **config: Any) -> Any:
    """The same with the fast stream."""
    client = bare_client(fake, **config)
    install_fast_stream(client, decoder_for, Settings(idle_timeout))
    return client


def open_stream(client: Any) -> Any:
    """The stream of one answer."""
    return client.converse_stream(**QUESTION)["stream"]


@cache
def authority() -> trustme.CA:
    """A certificate authority for all tests of a process."""
    return trustme.CA()


def authority_file(folder: Path) -> str:
    """The authority's certificate in a file, for `verify`."""
    file = folder / "authority.pem"
    authority().cert_pem.write_to_path(str(file))
    return str(file)


def server_context() -> ssl.SSLContext:
    """TLS for a stand-in on loopback."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority().issue_cert("127.0.0.1").configure_cert(context)
    return context
