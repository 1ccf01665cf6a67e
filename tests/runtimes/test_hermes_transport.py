"""Hermes Agent's own loop with a custom provider: an HTTP client of ours in its hands, or the address of our server.

It runs in Hermes's environment, beside `test_hermes` (`scripts/test-hermes`); anywhere else it is skipped.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

if "VENDORED_ADAPTER" not in os.environ:
    pytest.skip("Hermes Agent is not installed here; scripts/test-hermes has it", allow_module_level=True)

from .test_hermes import (
    CLAUDE,
    HISTORY,
    QUESTION,
    SECRET,
    assert_made_shorter,
    note,  # noqa: F401 - a fixture
    reading,
    sums_up,
)

# isort: split
# Only now is `agent` Hermes's package with ours before it.
from agent.bedrock.testing import FakeBedrock, RecordedRequest, Refusal, Reply, Text

from .players.stage import BASE_URL, SCHEMA, Stage, close_servers

pytestmark = [
    pytest.mark.leaves_threads,  # Hermes keeps daemon threads of its own
    pytest.mark.filterwarnings("default"),  # and its warnings are its own
]

Plug = Callable[[FakeBedrock], str]

OVERFLOWS = [
    "Input is too long for requested model.",
    "input length and `max_tokens` exceed context limit: 199846 + 8192 > 200000",
    "The model returned the following errors: prompt is too long: 203470 tokens > 200000 maximum",
    "too many total text bytes: 26000000 > 25000000",
]


@pytest.fixture(params=["transport", "server"])
def plug(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Plug]:
    """Puts HTTP clients of ours into Hermes, or starts our server; gives the address that Hermes is told."""
    from run_agent import AIAgent

    from agent import auxiliary_client, process_bootstrap

    (tmp_path / ".hermes").mkdir()
    monkeypatch.setenv("HERMES_HOME", str(tmp_path / ".hermes"))

    def plugged(fake: FakeBedrock) -> str:
        stage = Stage(fake)
        if request.param == "server":
            return stage.address()
        ours, ours_async = stage.sync_http(), stage.async_http()
        monkeypatch.setattr(AIAgent, "_build_keepalive_http_client", staticmethod(lambda *_, **__: ours))
        monkeypatch.setattr(
            process_bootstrap,
            "build_keepalive_http_client",
            lambda *_, async_mode=False, **__: ours_async if async_mode else ours,
        )
        return BASE_URL

    yield plugged
    auxiliary_client.shutdown_cached_clients()
    close_servers()


@pytest.fixture
def play(plug: Plug) -> Callable[..., Any]:
    """Runs one conversation of Hermes on a stand-in; gives the stand-in and the result."""
    from run_agent import AIAgent

    def converse(script: Any, *, whole: bool = False, history: Any = None, **options: Any) -> tuple[FakeBedrock, Any]:
        with FakeBedrock(script) as fake:
            hermes = AIAgent(
                provider="custom",
                base_url=plug(fake),
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
            return fake, hermes.run_conversation(QUESTION, conversation_history=history)

    return converse


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


@pytest.mark.parametrize("plug", ["transport"], indirect=True)
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


@pytest.mark.parametrize("whole", [False, True])
def test_a_conversation_that_is_too_long_is_made_shorter(play: Any, whole: bool) -> None:
    fake, result = play(sums_up, whole=whole, history=HISTORY)
    assert_made_shorter(fake, result)
    assert {request.model_id for request in fake.requests} == {CLAUDE}


@pytest.mark.parametrize("stream", [False, True])
def test_a_context_overflow_is_taken_for_one_however_the_service_says_it(plug: Plug, stream: bool) -> None:
    import openai
    from run_agent import AIAgent

    from agent.error_classifier import classify_api_error
    from agent.model_metadata import is_output_cap_error, parse_available_output_tokens_from_error

    with FakeBedrock([Refusal("ValidationException", said) for said in OVERFLOWS]) as fake:
        address = plug(fake)
        shared = AIAgent._build_keepalive_http_client(address)
        with openai.OpenAI(api_key="unused", base_url=address, http_client=shared, max_retries=0) as client:
            for said in OVERFLOWS:
                with pytest.raises(openai.BadRequestError, match=re.escape(said)) as caught:
                    client.chat.completions.create(model=CLAUDE, messages=HISTORY, stream=stream)
                verdict = classify_api_error(caught.value, provider="custom", model=CLAUDE)
                assert (verdict.reason.value, verdict.should_compress) == ("context_overflow", True), said
                assert parse_available_output_tokens_from_error(str(caught.value)) is None, said
                assert not is_output_cap_error(str(caught.value)), said


def _answered_later(plugin: Any, **asked: Any) -> Any:
    return asyncio.run(plugin.acomplete_structured(**asked))


@pytest.mark.parametrize("answered", [lambda plugin, **asked: plugin.complete_structured(**asked), _answered_later])
def test_an_object_for_a_plugin(plug: Plug, tmp_path: Path, answered: Any) -> None:
    from agent.plugin_llm import PluginLlm, PluginLlmTextInput

    with FakeBedrock(['{"name": "Graz"}']) as fake:
        model = {"provider": "custom", "base_url": plug(fake), "api_key": "unused", "default": CLAUDE}
        (tmp_path / ".hermes" / "config.yaml").write_text(json.dumps({"model": model}), encoding="utf-8")
        answer = answered(
            PluginLlm(plugin_id="cities"),
            instructions="Which city?",
            input=[PluginLlmTextInput(text="It is on the Mur.")],
            json_schema=SCHEMA,
        )
    assert answer.parsed == {"name": "Graz"}
    assert "outputConfig" in fake.requests[0].body
