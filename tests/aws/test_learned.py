"""Refusals that are learned from: once, for the process, said aloud; on the wire, in every face's path."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from botocore.exceptions import ClientError

from agent import bedrock_adapter
from agent.bedrock.aws import learned, pace
from agent.bedrock.aws.refusals import TakeBack
from agent.bedrock.notes import CallNotes, noted
from agent.bedrock.testing import FakeBedrock, Refusal, Reply, StreamException

from .guarded import BOTH, MESSAGES, MODEL, bedrock, guarded, newest_model, streamed, whole

REFUSED = Refusal(
    "ValidationException", "This model doesn't support the temperature field. Remove temperature and try again."
)
FIELD = "This model doesn't support the {0} field. Remove {0} and try again."

MODEL_THAT_CACHES = "us.anthropic.claude-sonnet-4-5-20250929-v1:0"


@pytest.fixture(autouse=True)
def _no_waiting() -> Iterator[None]:
    with pace.no_waiting():
        yield


def call(model: str = MODEL, **members: Any) -> dict[str, Any]:
    asked = {"inferenceConfig": {"temperature": 0.5, "maxTokens": 9}, **members}
    return {"modelId": model, "messages": noted(MESSAGES, CallNotes(model=model)), **asked}


def configs(fake: FakeBedrock) -> list[Any]:
    return [request.body.get("inferenceConfig") for request in fake.requests]


@pytest.mark.parametrize("ask", BOTH)
def test_what_was_refused_is_left_out_and_remembered(ask: Callable[..., Any], caplog: pytest.LogCaptureFixture) -> None:
    with FakeBedrock([REFUSED]) as fake:
        client = guarded(fake)
        with caplog.at_level(logging.WARNING, logger="agent.bedrock.aws.learned"):
            first, second = ask(client, call()), ask(client, call())
        assert configs(fake) == [{"temperature": 0.5, "maxTokens": 9}, {"maxTokens": 9}, {"maxTokens": 9}]
    assert first.bedrock.learned == second.bedrock.learned == [{"model": MODEL, "left_out": "temperature"}]
    assert first.bedrock.attempts == 2
    assert [record.getMessage() for record in caplog.records] == [
        f"model={MODEL} | refuses temperature: left out from now on"
    ]


def test_it_takes_no_attempt_and_no_wait() -> None:
    with FakeBedrock([REFUSED, Reply("Hello")]) as fake, pace.no_waiting() as waits:
        assert whole(guarded(fake, max_attempts=1), call()).message.content == "Hello"
    assert waits == []


def test_it_is_known_to_every_client_and_of_this_model_only() -> None:
    with FakeBedrock([REFUSED]) as fake:
        whole(guarded(fake), call())
        streamed(guarded(fake), call())
        completion = whole(guarded(fake), call("amazon.nova-lite-v1:0"))
        assert [bool((config or {}).get("temperature")) for config in configs(fake)] == [True, False, False, True]
    assert completion.bedrock.learned == []


def test_whoever_does_not_ask_for_it_hears_nothing_of_it() -> None:
    with FakeBedrock([REFUSED]) as fake:
        client = guarded(fake)
        whole(client, call())
        assert whole(client, call(inferenceConfig={"maxTokens": 9})).bedrock.learned == []


def test_one_after_another() -> None:
    words = ["temperature", "topP", "stopSequences"]
    refusals = [Refusal("ValidationException", FIELD.format(word)) for word in words]
    config = {"temperature": 0.5, "topP": 0.5, "stopSequences": ["x"], "maxTokens": 9}
    with FakeBedrock(refusals) as fake:
        completion = whole(guarded(fake), call(inferenceConfig=config))
        assert [entry["left_out"] for entry in completion.bedrock.learned] == words
        assert configs(fake)[-1] == {"maxTokens": 9}


def test_what_does_not_help_is_raised_and_not_remembered() -> None:
    other = Refusal("ValidationException", "The provided request is not valid")
    with FakeBedrock([REFUSED, other]) as fake:
        client = guarded(fake)
        with pytest.raises(ClientError, match="not valid"):
            whole(client, call())
        whole(client, call())
        assert configs(fake)[-1] == {"temperature": 0.5, "maxTokens": 9}


def test_the_same_words_again_are_raised() -> None:
    with FakeBedrock([REFUSED] * 3) as fake:
        with pytest.raises(ClientError, match="temperature"):
            whole(guarded(fake), call())
        assert len(fake.requests) == 2


@pytest.mark.parametrize("name", ["guardrailConfig", "requestMetadata"])
def test_what_protects_the_caller_is_raised(name: str) -> None:
    members = {
        "guardrailConfig": {"guardrailIdentifier": "abc", "guardrailVersion": "1"},
        "requestMetadata": {"team": "a"},
    }
    with FakeBedrock([Refusal("ValidationException", FIELD.format(name))]) as fake:
        with pytest.raises(ClientError, match=name):
            whole(guarded(fake), call(**members))
        assert len(fake.requests) == 1
    assert len(learned.LEARNED) == 0


def test_a_refusal_inside_a_stream_that_showed_nothing() -> None:
    refused = Reply("x", fault=StreamException("validationException", FIELD.format("temperature"), at=1))
    with FakeBedrock([refused, Reply("Hello")]) as fake:
        completion = streamed(guarded(fake), call())
        assert completion.message.content == "Hello"
        assert completion.bedrock.learned == [{"model": MODEL, "left_out": "temperature"}]
        assert configs(fake)[-1] == {"maxTokens": 9}


def test_encrypted_content_of_another_region_costs_only_that_content() -> None:
    def history(data: bytes) -> list[dict[str, Any]]:
        answer = [{"reasoningContent": {"redactedContent": data}}, {"text": "so"}]
        return [*MESSAGES, {"role": "assistant", "content": answer}, *MESSAGES]

    refused = Refusal("ValidationException", "Encrypted content cannot be used in a different region.")
    with FakeBedrock([refused]) as fake:
        client = guarded(fake)
        for data in (b"of the west", b"of the west", b"of the east"):
            client.converse(**call(messages=history(data)))
        sent = [len(request.body["messages"][1]["content"]) for request in fake.requests]
    assert sent == [2, 1, 1, 2], "refused; without it; still without it; other content stays"


@newest_model
def test_a_time_to_live_is_downgraded_and_stays_so() -> None:
    point = {"cachePoint": {"type": "default", "ttl": "1h"}}
    refused = Refusal("ValidationException", "system.1.cache_control.ttl: Extra inputs are not permitted")
    with FakeBedrock([refused]) as fake:
        client = guarded(fake)
        for _ in range(2):
            client.converse(**call(MODEL_THAT_CACHES, system=[{"text": "x" * 9000}, point]))
        points = [request.body["system"][1]["cachePoint"] for request in fake.requests]
    assert points == [{"type": "default", "ttl": "1h"}, {"type": "default"}, {"type": "default"}]


def test_a_loop_that_calls_the_client_itself_is_healed(monkeypatch: pytest.MonkeyPatch) -> None:
    """The drop-in's path: kwargs of the builder, the client's own method, the normalizer."""
    with FakeBedrock([REFUSED, Reply("Hello")]) as fake:
        monkeypatch.setenv("AWS_ENDPOINT_URL_BEDROCK_RUNTIME", fake.url)
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE")
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "not-a-secret")
        bedrock_adapter.reset_client_cache()
        client = bedrock_adapter._get_bedrock_runtime_client("us-east-1")
        kwargs = bedrock_adapter.build_converse_kwargs(MODEL, [{"role": "user", "content": "Hi"}], temperature=0.5)
        completion = bedrock_adapter.stream_converse_with_callbacks(client.converse_stream(**kwargs))
        bedrock_adapter.reset_client_cache()
    assert completion.message.content == "Hello"
    assert completion.bedrock.learned == [{"model": MODEL, "left_out": "temperature"}]


def test_the_face_reports_it() -> None:
    with FakeBedrock([REFUSED, Reply("Hello")]) as fake:
        asked = [{"role": "user", "content": "Hi"}]
        assert bedrock(fake).complete(MODEL, asked, temperature=0.5).bedrock.learned


def test_threads_that_learn_at_once_all_get_their_answer() -> None:
    def answer(request: Any) -> Any:
        refused = "temperature" in (request.body.get("inferenceConfig") or {})
        return REFUSED if refused else Reply("Hello")

    with FakeBedrock(answer) as fake, ThreadPoolExecutor(8) as pool:
        client = guarded(fake)
        completions = list(pool.map(lambda _: whole(client, call()), range(24)))
    assert {completion.message.content for completion in completions} == {"Hello"}


def test_what_is_remembered_is_bounded() -> None:
    take_backs = [TakeBack(f"field {number}", (("x", str(number)),)) for number in range(100)]
    from agent.bedrock.aws.journey import Call, Journey, Protection

    for model in range(300):
        journey = Journey("Converse", Protection(), taken_back=list(take_backs))
        learned.keep_what_was_learned(Call(None, "Converse", {"modelId": f"m{model}"}, journey))
    assert len(learned.LEARNED) == 256
    assert len(learned._known("m299")) == 32
    digests = frozenset(bytes([number // 256, number % 256]) for number in range(2000))
    journey = Journey("Converse", Protection(), taken_back=[TakeBack("r", change="blocks", blocks=digests)])
    for _ in range(3):
        learned.keep_what_was_learned(Call(None, "Converse", {"modelId": "m"}, journey))
    assert len(learned._known("m")[0].blocks) <= 2000


@newest_model
@pytest.mark.parametrize("streaming", [True, False])
def test_an_answer_says_that_its_schema_was_told_in_words(streaming: bool) -> None:
    refused = Refusal("ValidationException", "output_config.format: Extra inputs are not permitted")
    schema = {"type": "object", "properties": {"a": {"type": "integer"}}, "additionalProperties": False}
    form = {"type": "json_schema", "json_schema": {"name": "answer", "schema": schema}}
    asked = (MODEL_THAT_CACHES, [{"role": "user", "content": "Hi"}])
    answer = Reply('{"a": 1}')
    with FakeBedrock([answer, refused, answer, answer], strict=False) as fake:
        face = bedrock(fake)
        modes = []
        for _ in range(3):
            options = {"response_format": form}
            completion = face.stream(*asked, **options).completion() if streaming else face.complete(*asked, **options)
            assert completion.message.parsed == {"a": 1}
            modes.append((completion.bedrock.structured or {})["mode"])
        native = ["textFormat" in request.body.get("outputConfig", {}) for request in fake.requests]
    assert native == [True, True, False, False]
    assert modes == ["native", "instruction", "instruction"]
