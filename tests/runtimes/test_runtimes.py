"""One set of scenes that every agent runtime plays: the real runtime, over the transport, against the stand-in.

They run in environments of their own (`scripts/test-runtimes`), which name the runtime in `RUNTIME`; anywhere else they
are skipped. A test of a scene is called `test_scene_` and its name in `workshop.runtimes.SCENES`; what a runtime has no
road for is in `MISSING`, there.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from agent.bedrock.testing import FakeBedrock, Reasoning, RecordedRequest, Refusal, Reply, Text, ToolCall, Usage

if "RUNTIME" not in os.environ:
    pytest.skip("no runtime is named; scripts/test-runtimes has them", allow_module_level=True)

from tests.runtimes.players.stage import MODEL, Stage, close_servers
from workshop.runtimes import MISSING, PLAYERS

ROOT = Path(__file__).parents[2]
BLOCK = re.compile(r"```(python|sh)\n(.*?)```", re.DOTALL)
SERVES = "python -m agent.bedrock serve &\n"
READERS_WORLD = {
    "AWS_ACCESS_KEY_ID": "AKIDEXAMPLE",
    "AWS_SECRET_ACCESS_KEY": "not-a-secret",
    "AWS_REGION": "us-east-1",
    "OPENAI_AGENTS_DISABLE_TRACING": "1",
    "LITELLM_LOCAL_MODEL_COST_MAP": "True",
    "LLM_BEDROCK_MODELS": MODEL,
    "MSWEA_CONFIGURED": "true",
    "AIDER_YES_ALWAYS": "true",
    "AIDER_GIT": "false",
    "AIDER_CHECK_UPDATE": "false",
    "AIDER_ANALYTICS_DISABLE": "true",
    "AIDER_SHOW_RELEASE_NOTES": "false",
    "AIDER_SHOW_MODEL_WARNINGS": "false",
}
"""What whoever follows a page has set up before, and nothing that asks or calls home."""


REQUIRES_A_NAME = re.compile(r"required\W+(n\W+)?name\W")
"""The schema of a city, however it is told, quoted and broken into lines."""

NAMES = PLAYERS[os.environ["RUNTIME"]]
CLASSES = {name: import_module(f"tests.runtimes.players.{name}").Player for name in NAMES}

pytestmark = pytest.mark.leaves_threads  # runtimes keep threads of their own


@pytest.fixture(params=NAMES)
def name(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture
def player_class(name: str) -> Any:
    return CLASSES[name]


@pytest.fixture(autouse=True)
def _no_server_is_left() -> Iterator[None]:
    yield
    close_servers()


@pytest.fixture
def fake() -> Iterator[FakeBedrock]:
    with FakeBedrock() as started:
        yield started


@pytest.fixture
def player(player_class: Any, fake: FakeBedrock) -> Any:
    return player_class(Stage(fake))


@pytest.fixture
def _no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pauses between attempts take no time."""
    import asyncio

    import anyio

    sleep, async_sleep, any_sleep = time.sleep, asyncio.sleep, anyio.sleep
    monkeypatch.setattr(time, "sleep", lambda seconds: sleep(min(seconds, 0.01)))
    monkeypatch.setattr(asyncio, "sleep", lambda seconds, result=None: async_sleep(min(seconds, 0.01), result))
    monkeypatch.setattr(anyio, "sleep", lambda seconds: any_sleep(min(seconds, 0.01)))


def skip_what_it_cannot(name: str, *scenes: str, stream: bool = False) -> None:
    for scene in (*scenes, *(["stream"] if stream else [])):
        if scene in MISSING.get(name, {}):
            pytest.skip(f"not in this runtime: {scene}; {MISSING[name][scene].why}")


WAYS = pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])


THOUGHT = {"text": "Two cities, two calls.", "signature": "c2lnbmVk"}


def tool_names(request: RecordedRequest) -> list[str]:
    tools = request.body.get("toolConfig", {}).get("tools", [])
    return [tool["toolSpec"]["name"] for tool in tools if "toolSpec" in tool]


def without_cache_points(request: RecordedRequest) -> list[Any]:
    return [
        {**turn, "content": [block for block in turn["content"] if "cachePoint" not in block]}
        for turn in request.body["messages"]
    ]


def forecast(request: RecordedRequest) -> Reply:
    """Two parallel calls with signed reasoning first, then the answer; some runtimes take that by a tool only."""
    names = tool_names(request)
    if len(request.body["messages"]) == 1:
        return Reply(Reasoning(THOUGHT["text"], THOUGHT["signature"]), *(_call(names, city) for city in CITIES))
    if "final_answer" in names:
        return Reply(ToolCall("final_answer", {"answer": ANSWER}))
    if "bash" in names:
        return Reply(ToolCall("bash", {"command": f"echo COMPLETE_TASK_AND_SUBMIT_FINAL_OUTPUT && echo {ANSWER}"}))
    return Reply(Text(["Sunny ", "in ", "both."]), usage=Usage(input=20, output=4))


def _call(names: list[str], city: str) -> ToolCall:
    call_id = f"tooluse_{city.lower()}"
    if "bash" in names:
        return ToolCall("bash", {"command": f"echo Sunny in {city}"}, id=call_id)
    return ToolCall("weather", {"city": city}, id=call_id)


CITIES = ("Graz", "Linz")
ANSWER = "Sunny in both."


def city(request: RecordedRequest) -> Reply:
    """A city, by whatever way the runtime asked for an object."""
    names = tool_names(request)
    return Reply(ToolCall(names[0], {"name": "Graz"})) if names else Reply('{"name": "Graz"}')


def spoken(request: RecordedRequest) -> Reply:
    """A greeting in pieces, in the frame that DSPy wants around its fields."""
    pieces = ["Hel", "lo", "!"]
    if "[[ ## answer ## ]]" in str(request.body):
        pieces = ["[[ ## answer ## ]]\n", *pieces, "\n\n[[ ## completed ## ]]"]
    return Reply(Text(pieces))


def page_reader(request: RecordedRequest) -> Reply:
    """What lets the code of any page come to its end."""
    names = tool_names(request)
    if "final_answer" in names:
        return Reply(ToolCall("final_answer", {"answer": ANSWER}))
    if "bash" in names:
        return Reply(ToolCall("bash", {"command": f"echo COMPLETE_TASK_AND_SUBMIT_FINAL_OUTPUT && echo {ANSWER}"}))
    if names:
        return Reply(ToolCall(names[0], {"name": "Graz"}))
    return spoken(request)


def test_scene_plain(player: Any, fake: FakeBedrock) -> None:
    fake.queue(Reply("Hello!"))
    assert player.ask("Hi") == "Hello!"
    assert "Hi" in str(fake.requests[0].body["messages"][-1]["content"])
    assert len(fake.requests) == 1


def test_scene_stream(name: str, player_class: Any) -> None:
    skip_what_it_cannot(name, "stream")
    with FakeBedrock(spoken) as fake:
        pieces = player_class(Stage(fake)).stream("Hi")
    assert "".join(pieces).strip() == "Hello!"
    assert len(pieces) > 1
    assert [request.operation for request in fake.requests] == ["converse-stream"]


@WAYS
def test_scene_tools(name: str, player_class: Any, stream: bool) -> None:
    stream = stream or getattr(player_class, "always_streams", False)
    skip_what_it_cannot(name, "tools", stream=stream)
    with FakeBedrock(forecast) as fake:
        answer = player_class(Stage(fake)).use_tools("Weather in Graz and Linz?", stream=stream)
    assert answer == ANSWER
    assert [request.operation for request in fake.requests] == ["converse-stream" if stream else "converse"] * 2
    assert [request.refusal for request in fake.requests] == [None, None]
    asked, told = (without_cache_points(request) for request in fake.requests)
    assert told[: len(asked)] == asked
    assert all(f"Sunny in {city}" in str(told[-1]["content"]) for city in CITIES)


@WAYS
def test_scene_reasoning_survives_the_tools_with_its_signature(name: str, player_class: Any, stream: bool) -> None:
    skip_what_it_cannot(name, "tools", "reasoning", stream=stream)
    with FakeBedrock(forecast) as fake:
        player_class(Stage(fake)).use_tools("Weather in Graz and Linz?", stream=stream)
    assistant, results = [turn["content"] for turn in fake.requests[1].body["messages"][-2:]]
    assert assistant[0]["reasoningContent"]["reasoningText"] == THOUGHT
    calls = [block["toolUse"] for block in assistant if "toolUse" in block]
    answers = [block["toolResult"] for block in results if "toolResult" in block]
    for city, call, answer in zip(CITIES, calls, answers, strict=True):
        assert call["toolUseId"] == answer["toolUseId"] == f"tooluse_{city.lower()}"
        assert city in str(call["input"])
        together = getattr(player_class, "results_are_together", False)
        assert f"Sunny in {city}" in str(answers if together else answer["content"])


def test_scene_structured(name: str, player_class: Any) -> None:
    skip_what_it_cannot(name, "structured")
    with FakeBedrock(city) as fake:
        answer = player_class(Stage(fake)).structured("Which city?")
    assert (answer if isinstance(answer, dict) else answer.model_dump()) == {"name": "Graz"}
    assert all(REQUIRES_A_NAME.search(str(request.body)) for request in fake.requests)


@pytest.mark.usefixtures("_no_waiting")
@WAYS
def test_scene_429(name: str, player_class: Any, stream: bool) -> None:
    skip_what_it_cannot(name, "429", stream=stream)
    with FakeBedrock(lambda request: Refusal("ThrottlingException", "Too many requests, please wait.")) as fake:
        player = player_class(Stage(fake))
        with pytest.raises(Exception) as caught:  # noqa: PT011 - the runtime's own judge follows
            (player.stream if stream else player.ask)("Hi")
    assert player.is_throttle(caught.value), repr(caught.value)
    assert len(fake.requests) == player.tries


@pytest.mark.usefixtures("_no_waiting")
def test_scene_overflow(player: Any, fake: FakeBedrock) -> None:
    fake.queue(*[Refusal("ValidationException", "Input is too long for requested model.")] * 9)
    with pytest.raises(Exception) as caught:  # noqa: PT011 - the runtime's own judge follows
        player.ask("Hi")
    assert player.is_overflow(caught.value), repr(caught.value)
    assert len(fake.requests) == 1


def test_what_it_does_not_have_is_still_not_in_its_source(name: str) -> None:
    for missing in MISSING.get(name, {}).values():
        spec = find_spec(missing.module)
        assert spec is not None
        assert missing.line in Path(str(spec.origin)).read_text(encoding="utf-8")


def blocks_of_the_page() -> list[Any]:
    """The code of the runtime's page, as it is written."""
    page = ROOT / "docs" / "runtimes" / f"{os.environ['RUNTIME'].rstrip('23')}.md"
    found = BLOCK.findall(page.read_text(encoding="utf-8"))
    return [pytest.param(*block, id=f"{block[0]}{number}") for number, block in enumerate(found)]


@pytest.mark.parametrize(("language", "block"), blocks_of_the_page())
def test_the_page_runs_word_for_word(language: str, block: str, tmp_path: Path) -> None:
    with FakeBedrock(page_reader) as fake:
        if SERVES in block:  # one of ours is there already, on another port
            block = block.replace(SERVES, "").replace("http://127.0.0.1:8080/v1", Stage(fake).address())
        environ = {
            **os.environ,
            **READERS_WORLD,
            "AWS_ENDPOINT_URL_BEDROCK_RUNTIME": fake.url,
            "HOME": str(tmp_path),
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
            "PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'examples'}",
        }
        words = [sys.executable, "-c", block] if language == "python" else ["sh", "-ec", block]
        done = subprocess.run(
            words,
            cwd=tmp_path,
            env=environ,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=100,
            check=False,
        )
    assert done.returncode == 0, done.stdout + done.stderr
    assert any(answer in done.stdout for answer in ("Hello!", ANSWER, "Graz")), done.stdout + done.stderr
    assert not [request.refusal for request in fake.requests if request.refusal]


def test_the_page_names_what_is_not_in_the_runtime() -> None:
    page = ROOT / "docs" / "runtimes" / f"{os.environ['RUNTIME'].rstrip('23')}.md"
    text = page.read_text(encoding="utf-8")
    for missing in (missing for name in NAMES for missing in MISSING.get(name, {}).values()):
        assert "/".join(missing.module.split(".")[1:]) + ".py" in text
