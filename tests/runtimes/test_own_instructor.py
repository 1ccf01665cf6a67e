"""What only instructor has: objects that grow while they stream, parallel objects, and asking again for a wrong one."""

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import Any

import pytest

from agent.bedrock import Bedrock
from agent.bedrock.testing import FakeBedrock, Refusal, Reply, ToolCall

if os.environ.get("RUNTIME") != "instructor":
    pytest.skip("instructor is not installed here; scripts/test-runtimes has it", allow_module_level=True)

import instructor
from instructor.core import InstructorRetryException

from tests.runtimes.players.instructor_client import City, Player
from tests.runtimes.players.stage import KEYS, MODEL, Stage

pytestmark = pytest.mark.leaves_threads

ASKED: dict[str, Any] = {"model": MODEL, "messages": [{"role": "user", "content": "Which city?"}]}


def test_an_object_grows_while_it_streams() -> None:
    pieces = ['{"na', 'me": "Gr', 'az"}']
    with FakeBedrock([Reply(ToolCall("City", {"name": "Graz"}, pieces=pieces))]) as fake:
        grown = list(Player(Stage(fake)).patched().chat.completions.create_partial(response_model=City, **ASKED))
    assert [city.name for city in grown][-1] == "Graz"
    assert len(grown) > 1
    assert fake.requests[0].operation == "converse-stream"


def test_parallel_calls_are_objects() -> None:
    with FakeBedrock([Reply(*(ToolCall("City", {"name": name}) for name in ("Graz", "Linz")))]) as fake:
        client = Player(Stage(fake)).patched(instructor.Mode.PARALLEL_TOOLS)
        cities = client.chat.completions.create(response_model=Iterable[City], **ASKED)
        assert [city.name for city in cities] == ["Graz", "Linz"]


def test_a_wrong_object_is_asked_for_again() -> None:
    script = [Reply(ToolCall("City", {"nom": "Graz"}, id="tooluse_1")), Reply(ToolCall("City", {"name": "Graz"}))]
    with FakeBedrock(script) as fake:
        city = Player(Stage(fake)).patched().chat.completions.create(response_model=City, max_retries=2, **ASKED)
    assert city.name == "Graz"
    assert [request.refusal for request in fake.requests] == [None, None]
    assert "toolResult" in str(fake.requests[1].body["messages"][-1])


def test_a_context_overflow_is_not_asked_again_and_names_its_code() -> None:
    too_long = Refusal("ValidationException", "Input is too long for requested model.")
    with FakeBedrock(lambda request: too_long) as fake, pytest.raises(InstructorRetryException) as caught:
        Player(Stage(fake)).patched().chat.completions.create(response_model=City, **ASKED)
    assert "context_length_exceeded" in str(caught.value)
    assert len(fake.requests) == 1


def test_it_patches_the_create_of_our_own_client() -> None:
    with FakeBedrock([Reply(ToolCall("City", {"name": "Graz"}))]) as fake:
        bedrock = Bedrock(region="us-east-1", endpoint_url=fake.url, **KEYS)
        create = instructor.patch(create=bedrock.chat.completions.create, mode=instructor.Mode.TOOLS)
        assert create(response_model=City, **ASKED).name == "Graz"
