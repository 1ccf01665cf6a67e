"""What the tests of the guarded client share: clients on a stand-in, calls, and what came of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Timer
from time import monotonic
from typing import TYPE_CHECKING, Any

import botocore.session
import pytest

from agent.bedrock import Bedrock
from agent.bedrock.aws.clients import build_runtime_client
from agent.bedrock.aws.credentials import Credentials
from agent.bedrock.aws.options import CallOptions
from agent.bedrock.aws.settings import ClientSettings
from agent.bedrock.chat import ChatStream, complete
from agent.bedrock.notes import CallNotes, noted
from agent.bedrock.response.frames import decoder_for

if TYPE_CHECKING:
    from agent.bedrock.response.completion import Completion
    from agent.bedrock.testing import FakeBedrock


def _members(shape: str) -> set[str]:
    """The members of a shape as the installed botocore has them, none where it has no such shape."""
    model = botocore.session.get_session().get_service_model("bedrock-runtime")
    return set(model.shape_for(shape).members) if shape in model.shape_names else set()


MODEL_IS_NEW = "effort" in _members("OutputConfig")
"""Whether the installed botocore knows every member that these tests send."""

newest_model = pytest.mark.skipif(not MODEL_IS_NEW, reason="the service model of the installed botocore is too old")

MODEL = "anthropic.claude-3-haiku-20240307-v1:0"
MESSAGES: list[dict[str, Any]] = [{"role": "user", "content": [{"text": "Hi"}]}]
HELLO: dict[str, Any] = {"modelId": MODEL, "messages": MESSAGES}
KEYS = {"aws_access_key_id": "AKIDEXAMPLE", "aws_secret_access_key": "not-a-secret"}

PROMPT = 0.1
"""Seconds within which whoever waits is to be released, as the project promises."""

SLACK = 0.5
"""Seconds that it may take on a busy machine."""

TRIES = 5
STUCK = 2.0
"""Seconds that no release takes on any machine; one that does not come takes 20, the read timeout."""


def prompt(release: Callable[[], float]) -> bool:
    """Whether a release takes no longer than promised in one of some tries, and is stuck in none.

    `release` does it once and says how many seconds it took: a busy machine may be late, but not every time.
    """
    took = [release()]
    while min(took) >= PROMPT and len(took) < TRIES:
        took.append(release())
    return min(took) < PROMPT and max(took) < STUCK


def guarded(fake: FakeBedrock, credentials: Credentials | None = None, **settings: Any) -> Any:
    """A guarded client of the stand-in, with our own streams."""
    chosen = ClientSettings(**{"endpoint_url": fake.url, "read_timeout": 20, **settings})
    return build_runtime_client(fake.region, chosen, credentials or Credentials(**KEYS), decoder_for=decoder_for)


def bedrock(fake: FakeBedrock, **arguments: Any) -> Bedrock:
    """`Bedrock` on the stand-in."""
    return Bedrock(fake.region, **{"endpoint_url": fake.url, "read_timeout": 20, **KEYS, **arguments})


def asking(**options: Any) -> dict[str, Any]:
    """A call with these options, as a face would hand it to the client."""
    return {**HELLO, "messages": noted(MESSAGES, CallNotes(model=MODEL, options=CallOptions(**options)))}


def whole(client: Any, call: dict[str, Any] = HELLO) -> Completion:
    """The completion of `converse`."""
    return complete(client.converse(**call))


def streamed(client: Any, call: dict[str, Any] = HELLO) -> Completion:
    """The completion of `converse_stream`, read to its end."""
    return ChatStream(client.converse_stream(**call)).completion()


BOTH: tuple[Callable[..., Completion], ...] = (whole, streamed)


@contextmanager
def later(seconds: float, action: Callable[[], Any]) -> Iterator[list[float]]:
    """Do something in another thread after a while; the list gets the moment at which it was done."""
    moments: list[float] = []

    def act() -> None:
        moments.append(monotonic())
        action()

    timer = Timer(seconds, act)
    timer.start()
    try:
        yield moments
    finally:
        timer.join()
