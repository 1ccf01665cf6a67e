"""Hermes Agent's own loop with a custom provider: an HTTP client of ours in its hands, or the address of our server.

It runs in Hermes's environment, beside `test_hermes` (`scripts/test-hermes`); anywhere else it is skipped.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

if "VENDORED_ADAPTER" not in os.environ:
    pytest.skip("Hermes Agent is not installed here; scripts/test-hermes has it", allow_module_level=True)

from .test_hermes import CLAUDE, QUESTION, SECRET, note, reading  # noqa: F401 - `note` is a fixture

# isort: split
# Only now is `agent` Hermes's package with ours before it.
from agent.bedrock.testing import FakeBedrock, RecordedRequest, Refusal, Reply, Text

from .players.stage import BASE_URL, SCHEMA, Stage, close_servers

pytestmark = [
    pytest.mark.leaves_threads,  # Hermes keeps daemon threads of its own
    pytest.mark.filterwarnings("default"),  # and its warnings are its own
]


@pytest.fixture(params=["transport", "server"])
def play(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> Iterator[Callable[..., Any]]:
    """Runs one conversation of Hermes on a stand-in; gives the stand-in and the result."""
    from run_agent import AIAgent

    (tmp_path / ".hermes").mkdir()
    monkeypatch.setenv("HERMES_HOME", str(tmp_path / ".hermes"))

    def converse(script: Any, *, whole: bool = False, **options: Any) -> tuple[FakeBedrock, Any]:
        with FakeBedrock(script) as fake:
            stage = Stage(fake)
            if request.param == "transport":
                address, shared = BASE_URL, stage.sync_http()
                monkeypatch.setattr(AIAgent, "_build_keepalive_http_client", staticmethod(lambda *_, **__: shared))
            else:
                address = stage.address()
            hermes = AIAgent(
                provider="custom",
                base_url=address,
                api_key="unused",
                model=CLAUDE,
                enabled_toolsets=["file"],
                quiet_mode=True,
                skip_context_files=True,
                skip_memory=True,
                max_iterations=6,
                tool_delay=0,
                **options,
            )
            hermes._disable_streaming = whole
            return fake, hermes.run_conversation(QUESTION)

    yield converse
    close_servers()


@pytest.mark.parametrize("whole", [False, True])
def test_two_parallel_tools_and_signed_reasoning_survive(play: Any, note: Path, whole: bool) -> None:  # noqa: F811
    fake, result = play(reading(note), whole=whole)
    assert result["final_response"] == f"It says: {SECRET}."
    second = next(request for request in fake.requests if _has_results(request))
    assistant = next(turn for turn in second.messages if turn["role"] == "assistant")
    reasoning, *_ = assistant["content"]
    assert reasoning["reasoningContent"]["reasoningText"] == {
        "text": "I should read the file.",
        "signature": "c2lnbmF0dXJl",
    }
    assert len([block for block in assistant["content"] if "toolUse" in block]) == 2


def _has_results(request: RecordedRequest) -> bool:
    return any("toolResult" in block for turn in request.messages for block in turn["content"])


@pytest.mark.parametrize("play", ["transport"], indirect=True)
def test_hermes_closes_its_clients_and_not_our_connections(play: Any, note: Path) -> None:  # noqa: F811
    fake, _ = play(reading(note))
    assert len(fake.requests) > 1
    assert fake.connections == 1


def test_a_stream_is_shown_as_it_comes(play: Any) -> None:
    pieces: list[str] = []
    _, result = play(
        [Reply(Text(["It ", "says ", "nothing."]))], stream_delta_callback=lambda delta: pieces.append(delta or "")
    )
    assert result["final_response"] == "It says nothing."
    assert [piece for piece in pieces if piece] == ["It ", "says ", "nothing."]


def test_throttling_is_waited_out(play: Any, note: Path) -> None:  # noqa: F811
    answer = reading(note)
    throttled = iter([Refusal("ThrottlingException", "Too many requests", headers={"retry-after": "1"})])
    _, result = play(lambda request: next(throttled, None) or answer(request))
    assert result["final_response"] == f"It says: {SECRET}."


def test_a_context_overflow_is_taken_for_one() -> None:
    import openai

    from agent.error_classifier import classify_api_error

    with FakeBedrock([Refusal("ValidationException", "Input is too long for requested model.")]) as fake:
        client = openai.OpenAI(api_key="unused", base_url=BASE_URL, http_client=Stage(fake).sync_http())
        with pytest.raises(openai.BadRequestError) as caught:
            client.chat.completions.create(model=CLAUDE, messages=[{"role": "user", "content": "Hi"}])
    assert "context_overflow" in str(classify_api_error(caught.value, provider="custom", model=CLAUDE))


def test_an_object_for_a_plugin(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    from agent import auxiliary_client
    from agent.plugin_llm import PluginLlm, PluginLlmTextInput

    monkeypatch.setattr(auxiliary_client, "_client_cache", {})
    home = tmp_path / ".hermes"
    home.mkdir()
    monkeypatch.setenv("HERMES_HOME", str(home))
    with FakeBedrock(['{"name": "Graz"}']) as fake:
        model = {"provider": "custom", "base_url": Stage(fake).address(), "api_key": "unused", "default": CLAUDE}
        (home / "config.yaml").write_text(json.dumps({"model": model}), encoding="utf-8")
        answer = PluginLlm(plugin_id="cities").complete_structured(
            instructions="Which city?", input=[PluginLlmTextInput(text="It is on the Mur.")], json_schema=SCHEMA
        )
    close_servers()
    assert answer.parsed == {"name": "Graz"}
    assert "outputConfig" in fake.requests[0].body
