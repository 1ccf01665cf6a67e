"""Hermes Agent's own loop on the vendored adapter, over real boto3, against the stand-in.

It runs in an environment of its own (`scripts/test-hermes`), because Hermes has a package `agent` too; anywhere else
it is skipped. `VENDORED_ADAPTER` names the folder that `scripts/vendor` filled.
"""

from __future__ import annotations

import importlib.util
import json
import os
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

if importlib.util.find_spec("run_agent") is None or "VENDORED_ADAPTER" not in os.environ:
    pytest.skip("Hermes Agent is not installed here; scripts/test-hermes has it", allow_module_level=True)

import agent

agent.__path__.insert(0, os.environ["VENDORED_ADAPTER"])

from agent import bedrock_adapter
from agent.bedrock.testing import Cut, FakeBedrock, Reasoning, RecordedRequest, Refusal, Reply, Text, ToolCall, Usage

pytestmark = [
    pytest.mark.leaves_threads,  # Hermes keeps daemon threads of its own
    pytest.mark.filterwarnings("default"),  # and its warnings are its own
]

CLAUDE = "us.anthropic.claude-sonnet-4-5-20250929-v1:0"
NOVA = "us.amazon.nova-pro-v1:0"
REGION = "us-east-1"
SECRET = "the answer is 42"
QUESTION = "What does note.txt say?"
TOO_LONG = Refusal("ValidationException", "Input is too long for requested model.")
SUMMARY = "They counted to forty."
HISTORY: list[Any] = [
    {"role": role, "content": f"{said} {number}. " + "word " * 200}
    for number in range(40)
    for role, said in (("user", "Question"), ("assistant", "Answer"))
]


@pytest.fixture
def note(tmp_path: Path) -> Path:
    path = tmp_path / "note.txt"
    path.write_text(f"{SECRET}\n", encoding="utf-8")
    return path


@contextmanager
def bedrock(script: Any, monkeypatch: pytest.MonkeyPatch, home: Path) -> Iterator[FakeBedrock]:
    """The stand-in, and an environment in which Hermes finds it."""
    with FakeBedrock(script) as fake:
        (home / ".hermes").mkdir(exist_ok=True)
        for name, value in {
            "HERMES_HOME": str(home / ".hermes"),
            "AWS_ACCESS_KEY_ID": "AKIDEXAMPLE",
            "AWS_SECRET_ACCESS_KEY": "not-a-secret",
            "AWS_REGION": REGION,
            "AWS_ENDPOINT_URL_BEDROCK_RUNTIME": fake.url,
            "AWS_ENDPOINT_URL_BEDROCK": fake.url,
            "NO_PROXY": "127.0.0.1",
        }.items():
            monkeypatch.setenv(name, value)
        bedrock_adapter.reset_client_cache()
        yield fake
        bedrock_adapter.reset_client_cache()


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[[Any], Any]:
    return lambda script: bedrock(script, monkeypatch, tmp_path)


def make_agent(model: str = CLAUDE, **options: Any) -> Any:
    from run_agent import AIAgent

    return AIAgent(
        provider="bedrock",
        api_mode="bedrock_converse",
        base_url=f"https://bedrock-runtime.{REGION}.amazonaws.com",
        api_key="aws-sdk",
        model=model,
        enabled_toolsets=["file"],
        quiet_mode=True,
        skip_context_files=True,
        skip_memory=True,
        max_iterations=6,
        tool_delay=0,
        **options,
    )


def reading(note: Path) -> Callable[[RecordedRequest], Reply]:
    """A model that asks for two tools at once and then says what their results say."""

    def answer(request: RecordedRequest) -> Reply:
        results = [
            block["toolResult"] for turn in request.messages for block in turn["content"] if "toolResult" in block
        ]
        if not results:
            return Reply(
                Reasoning("I should read the file.", "c2lnbmF0dXJl"),
                Text("Let me look."),
                ToolCall("read_file", {"path": str(note)}),
                ToolCall("search_files", {"pattern": "answer", "path": str(note.parent)}),
                usage=Usage(input=100, output=20, cache_read=7, cache_write=3),
            )
        found = all(SECRET in str(result["content"]) for result in results)
        return Reply(Text(f"It says: {SECRET}." if found and len(results) == 2 else "The tools did not tell."))

    return answer


def sums_up(request: RecordedRequest) -> Reply | Refusal:
    """A service that finds every conversation too long until it holds the summary that the model was asked for."""
    if "toolConfig" not in request.body:
        return Reply(Text(SUMMARY))
    return Reply(Text("It was long.")) if SUMMARY in str(request.messages) else TOO_LONG


def assert_made_shorter(fake: FakeBedrock, result: Mapping[str, Any]) -> None:
    """Hermes had the conversation summed up, sent the rest of it with the summary, and gave the answer to that."""
    too_long, to_sum_up, shorter = fake.requests
    assert "Question 20." in str(too_long.messages)
    assert "Question 20." in str(to_sum_up.messages)
    assert "Question 20." not in str(shorter.messages)
    assert QUESTION in str(shorter.messages[-1])
    assert len(shorter.messages) < len(too_long.messages)
    assert result["final_response"] == "It was long."
    assert not refusals(fake)


def operations(fake: FakeBedrock) -> list[str]:
    return [request.operation for request in fake.requests]


def refusals(fake: FakeBedrock) -> list[Any]:
    return [request.refusal for request in fake.requests if request.refusal]


def reasoning_comes_back(fake: FakeBedrock) -> bool:
    """Whether the signed reasoning is before the calls in the turn whose results are sent, which Hermes leaves out."""
    assistant = next(turn["content"] for turn in fake.requests[1].messages if turn["role"] == "assistant")
    assert sum("toolUse" in block for block in assistant) == 2
    signed = {"text": "I should read the file.", "signature": "c2lnbmF0dXJl"}
    return assistant[0].get("reasoningContent", {}).get("reasoningText") == signed


def test_the_adapter_under_test_is_ours() -> None:
    assert Path(str(bedrock_adapter.__file__)).parent == Path(os.environ["VENDORED_ADAPTER"])
    assert sys.modules["agent.bedrock_adapter"] is bedrock_adapter


@pytest.mark.parametrize("model", [CLAUDE, NOVA])
def test_a_streamed_turn_with_two_tools(world: Any, note: Path, model: str) -> None:
    text: list[str] = []
    reasoning: list[str] = []
    with world(reading(note)) as fake:
        agent_loop = make_agent(
            model, stream_delta_callback=lambda delta: text.append(delta or ""), reasoning_callback=reasoning.append
        )
        result = agent_loop.run_conversation(QUESTION)
    assert result["final_response"] == f"It says: {SECRET}."
    assert "".join(text).split() == f"Let me look. It says: {SECRET}.".split()
    assert "".join(reasoning) == "I should read the file."
    assert operations(fake) == ["converse-stream"] * 2, "no probe of the context length, no retry"
    assert not refusals(fake)
    assert reasoning_comes_back(fake) is (model == CLAUDE), "Nova takes none"


@pytest.mark.parametrize("model", [CLAUDE, NOVA])
def test_a_whole_turn_with_two_tools(world: Any, note: Path, model: str) -> None:
    with world(reading(note)) as fake:
        agent_loop = make_agent(model)
        agent_loop._disable_streaming = True
        result = agent_loop.run_conversation(QUESTION)
    assert result["final_response"] == f"It says: {SECRET}."
    assert operations(fake) == ["converse"] * 2
    assert not refusals(fake)
    assert reasoning_comes_back(fake) is (model == CLAUDE), "Nova takes none"


def test_the_history_that_hermes_keeps_goes_on_in_a_later_conversation(world: Any, note: Path) -> None:
    with world(reading(note)) as fake:
        agent_loop = make_agent()
        first = agent_loop.run_conversation(QUESTION)
        again = make_agent().run_conversation("And again?", conversation_history=first["messages"])
    assert again["final_response"] == f"It says: {SECRET}."
    assert operations(fake) == ["converse-stream"] * 3
    assert not refusals(fake)


def test_cache_tokens_count_as_prompt_tokens(world: Any, note: Path) -> None:
    with world(reading(note)):
        result = make_agent().run_conversation(QUESTION)
    assert result["prompt_tokens"] == 100 + 7 + 3 + 25


def test_a_policy_without_streaming_falls_back_to_whole_answers(world: Any, note: Path) -> None:
    denied = Refusal(
        "AccessDeniedException",
        "User: arn:aws:iam::123456789012:user/x is not authorized to perform: "
        "bedrock:InvokeModelWithResponseStream on resource: arn:aws:bedrock:us-east-1::foundation-model/x",
    )
    answer = reading(note)
    with world(lambda request: denied if request.operation == "converse-stream" else answer(request)) as fake:
        result = make_agent().run_conversation(QUESTION)
    assert result["final_response"] == f"It says: {SECRET}."
    assert operations(fake).count("converse") == 2


def test_an_answer_that_breaks_off_is_never_taken_for_an_answer(world: Any, note: Path) -> None:
    answer = reading(note)
    broken = Reply(Text("It says: nothing of"), fault=Cut(at=400))
    first = iter([broken])
    with world(lambda request: next(first, None) or answer(request)):
        result = make_agent().run_conversation(QUESTION)
    assert result["final_response"] == f"It says: {SECRET}."


def test_throttling_at_the_opening_is_waited_out(world: Any, note: Path) -> None:
    answer = reading(note)
    throttled = iter([Refusal("ThrottlingException", "Too many requests, please wait before trying again.")])
    with world(lambda request: next(throttled, None) or answer(request)):
        result = make_agent().run_conversation(QUESTION)
    assert result["final_response"] == f"It says: {SECRET}."


def test_a_context_overflow_is_taken_for_one(world: Any) -> None:
    from botocore.exceptions import ClientError

    from agent.error_classifier import classify_api_error

    with world([TOO_LONG]):
        client = bedrock_adapter._get_bedrock_runtime_client(REGION)
        with pytest.raises(ClientError) as caught:
            bedrock_adapter.call_converse(REGION, CLAUDE, [{"role": "user", "content": "Hi"}])
        assert client is bedrock_adapter._get_bedrock_runtime_client(REGION)
    assert "context_overflow" in str(classify_api_error(caught.value, provider="bedrock", model=CLAUDE))


@pytest.mark.parametrize("whole", [False, True])
def test_a_conversation_that_is_too_long_is_made_shorter(world: Any, whole: bool) -> None:
    with world(sums_up) as fake:
        agent_loop = make_agent(NOVA)
        agent_loop._disable_streaming = whole
        result = agent_loop.run_conversation(QUESTION, conversation_history=HISTORY)
    assert_made_shorter(fake, result)
    turn = "converse" if whole else "converse-stream"
    assert operations(fake) == [turn, "converse", turn]


def test_what_hermes_asks_of_claude_on_the_side_goes_by_the_sdk_of_anthropic(
    world: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    from agent.auxiliary_client import AnthropicAuxiliaryClient, resolve_provider_client

    with world([]):
        monkeypatch.setenv("AWS_BEARER_TOKEN_BEDROCK", "not-a-token")
        client, _ = resolve_provider_client("bedrock", CLAUDE)
    assert isinstance(client, AnthropicAuxiliaryClient)
    client.close()


def test_a_conversation_with_claude_is_summed_up_by_the_model_that_is_set_for_it(world: Any, tmp_path: Path) -> None:
    with world(sums_up) as fake:
        by_nova = {"auxiliary": {"compression": {"provider": "bedrock", "model": NOVA}}}
        (tmp_path / ".hermes" / "config.yaml").write_text(json.dumps(by_nova), encoding="utf-8")
        result = make_agent(CLAUDE).run_conversation(QUESTION, conversation_history=HISTORY)
    assert_made_shorter(fake, result)
    assert [request.model_id for request in fake.requests] == [CLAUDE, NOVA, CLAUDE]


def test_an_interrupt_ends_the_stream_and_its_connection(world: Any) -> None:
    with world([Reply(Text("word " * 500), pace=0.02)]) as fake:
        agent_loop = make_agent(stream_delta_callback=lambda delta: agent_loop.interrupt("enough"))
        result = agent_loop.run_conversation("Talk.")
        assert fake.wait_for(lambda fake: fake.requests[0].abandoned)
    assert result["interrupted"]


def test_broken_tool_arguments_are_told_as_broken_so_that_hermes_refuses_to_run_them(world: Any, note: Path) -> None:
    with world([Reply(ToolCall("read_file", f'{{"path": "{note}'))]):
        result = make_agent().run_conversation(QUESTION)
    assert "truncated" in result["final_response"]
    assert not [message for message in result["messages"] if message["role"] == "tool"]


def test_the_auxiliary_client_answers(world: Any) -> None:
    from agent.auxiliary_client import BedrockAuxiliaryClient

    with world([Reply(Text("A title"))]) as fake:
        completion = BedrockAuxiliaryClient(REGION, NOVA).chat.completions.create(
            messages=[{"role": "user", "content": "Name this."}], stop="\n", max_tokens=20
        )
    assert completion.choices[0].message.content == "A title"
    assert fake.requests[0].body["inferenceConfig"] == {"maxTokens": 20, "stopSequences": ["\n"]}


def test_an_object_for_a_plugin(world: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    from agent import auxiliary_client
    from agent.plugin_llm import PluginLlm, PluginLlmTextInput

    monkeypatch.setattr(auxiliary_client, "_client_cache", {})
    schema = {"type": "object", "properties": {"name": {"type": "string"}}, "required": ["name"]}
    with world(['{"name": "Graz"}']) as fake:
        model = {"provider": "bedrock", "default": NOVA}
        (tmp_path / ".hermes" / "config.yaml").write_text(json.dumps({"model": model}), encoding="utf-8")
        answer = PluginLlm(plugin_id="cities").complete_structured(
            instructions="Which city?", input=[PluginLlmTextInput(text="It is on the Mur.")], json_schema=schema
        )
    assert answer.parsed == {"name": "Graz"}
    assert [request.model_id for request in fake.requests] == [NOVA]


def test_the_provider_is_resolved_with_our_names(world: Any) -> None:
    from hermes_cli.runtime_provider import resolve_runtime_provider

    with world([]):
        runtime: Mapping[str, Any] = resolve_runtime_provider(requested="bedrock", target_model=NOVA)
    assert SimpleNamespace(**runtime).api_mode == "bedrock_converse"
    assert runtime["source"] == "AWS_ACCESS_KEY_ID"
    assert runtime["region"] == REGION
