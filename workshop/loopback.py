"""The adapter on the stand-in: a running `FakeBedrock` comes in, a `Bedrock` that talks to it goes out."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from agent.bedrock import Bedrock

if TYPE_CHECKING:
    from agent.bedrock.testing import FakeBedrock


@contextmanager
def no_proxy() -> Iterator[None]:
    """While the block lasts, no proxy of the environment stands between us and the loopback."""
    before = os.environ.get("NO_PROXY")
    os.environ["NO_PROXY"] = "127.0.0.1"
    try:
        yield
    finally:
        del os.environ["NO_PROXY"]
        if before is not None:
            os.environ["NO_PROXY"] = before


@contextmanager
def bedrock_on(fake: FakeBedrock, **settings: Any) -> Iterator[Bedrock]:
    """The adapter with made-up keys; while the block lasts, no proxy of the environment stands in between."""
    with (
        no_proxy(),
        Bedrock(
            region=fake.region,
            endpoint_url=fake.url,
            aws_access_key_id="AKIDEXAMPLE",
            aws_secret_access_key="not-a-secret",  # noqa: S106 - it says so itself
            **settings,
        ) as bedrock,
    ):
        yield bedrock
