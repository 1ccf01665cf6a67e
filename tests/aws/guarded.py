"""What the tests of the guarded client share: clients on a stand-in, calls, and what came of them."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import botocore.session
import pytest

from agent.bedrock import Bedrock
from agent.bedrock.aws.clients import build_runtime_client
from agent.bedrock.aws.credentials import Credentials
from agent.bedrock.aws.options import CallOptions
from agent.bedrock.aws.pace import Bell, Check, current_pace
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


def notice_waits(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The seconds of every wait between two attempts, told as it begins; it takes as long as ever."""
    begun: list[float] = []
    pace = current_pace()
    wait = pace.wait

    def told(seconds: float, check: Check, bell: Bell) -> None:
        begun.append(seconds)
        wait(seconds, check, bell)

    monkeypatch.setattr(pace, "wait", told)
    return begun


def whole(client: Any, call: dict[str, Any] = HELLO) -> Completion:
    """The completion of `converse`."""
    return complete(client.converse(**call))


def streamed(client: Any, call: dict[str, Any] = HELLO) -> Completion:
    """The completion of `converse_stream`, read to its end."""
    return ChatStream(client.converse_stream(**call)).completion()


BOTH: tuple[Callable[..., Completion], ...] = (whole, streamed)
