"""Row A13: hooks for metrics and audit hear of every call once, and of how it ended."""

from __future__ import annotations

import asyncio
import dataclasses
import gc
import threading
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest

from agent.bedrock import AsyncBedrock
from agent.bedrock.errors import BedrockError, SettingsError
from agent.bedrock.faces.client import Bedrock
from agent.bedrock.faces.hooks import CallDetails
from agent.bedrock.testing import Cut, Event, FakeBedrock, Refusal, Reply, StreamException, Text, Usage
from tests.moments import comes_true

NOVA = "us.amazon.nova-lite-v1:0"
PRO = "us.amazon.nova-pro-v1:0"
USER = [{"role": "user", "content": "Hi"}]

Serve = Callable[..., FakeBedrock]
BedrockAt = Callable[..., Bedrock]


class Heard(list[tuple[str, CallDetails]]):
    """What the hooks were told, in order."""

    def hooks(self) -> dict[str, Callable[[CallDetails], None]]:
        names = ("on_request", "on_response", "on_error")
        return {name: lambda details, name=name: self.append((name, details)) for name in names}

    @property
    def names(self) -> list[str]:
        return [name for name, _ in self]

    @property
    def last(self) -> CallDetails:
        return self[-1][1]


@pytest.fixture
def heard() -> Heard:
    return Heard()


def test_a13_a_whole_answer_is_told_with_its_figures(serve: Serve, bedrock_at: BedrockAt, heard: Heard) -> None:
    fake = serve(Reply("Hi", usage=Usage(input=5, output=2, cache_read=100), latency_ms=42))
    completion = bedrock_at(fake, **heard.hooks()).complete(NOVA, USER)
    assert heard.names == ["on_request", "on_response"]
    assert heard[0][1] == CallDetails(NOVA, stream=False)
    told = heard.last
    assert (told.outcome, told.model, told.stream, told.finish_reason) == ("complete", NOVA, False, "stop")
    assert (told.prompt_tokens, told.completion_tokens, told.cache_read_tokens) == (105, 2, 100)
    assert (told.latency_ms, told.attempts, told.request_id) == (42, 1, completion.bedrock.request_id)
    assert 0 < told.seconds < 10
    assert told.seconds_to_first_token is None
    assert (told.kind, told.error, told.status) == (None, None, None)


def test_a13_a_stream_is_told_when_it_is_read_with_the_time_to_its_first_token(
    serve: Serve, bedrock_at: BedrockAt, heard: Heard
) -> None:
    fake = serve(Reply(Text(["a", "b", "c"]), pace=0.03, usage=Usage(input=5, output=2)))
    stream = bedrock_at(fake, **heard.hooks()).stream(NOVA, USER)
    assert heard.names == ["on_request"]
    stream.completion()
    assert heard.names == ["on_request", "on_response"]
    told = heard.last
    assert (told.outcome, told.stream, told.prompt_tokens, told.completion_tokens) == ("complete", True, 5, 2)
    assert told.seconds_to_first_token is not None
    assert 0.02 < told.seconds_to_first_token < told.seconds


@pytest.mark.parametrize("fault", [Cut(at=200), StreamException("throttlingException", at=2)])
def test_a13_a_stream_that_fails_counts_as_a_failure(
    serve: Serve, bedrock_at: BedrockAt, heard: Heard, fault: Any
) -> None:
    stream = bedrock_at(serve(Reply(Text(["a", "b"]), fault=fault)), **heard.hooks()).stream(NOVA, USER)
    with pytest.raises(Exception):  # noqa: B017, PT011 - which one is the road's business
        stream.completion()
    assert heard.names == ["on_request", "on_error"]
    told = heard.last
    assert told.outcome == "failed"
    assert told.kind is not None
    assert told.error
    assert told.request_id == stream.request_id


@pytest.mark.parametrize("delta", [{"text": 5}, {"toolUse": {"input": 5}}, {"reasoningContent": {"signature": 5}}])
@pytest.mark.parametrize("fault", [None, Cut(at=500)])
def test_a13_a_stream_that_is_no_answer_of_bedrocks_counts_as_a_failure(
    serve: Serve, bedrock_at: BedrockAt, heard: Heard, delta: Any, fault: Any
) -> None:
    strange = Event("contentBlockDelta", {"contentBlockIndex": 1, "delta": delta})
    fake = serve(lambda _: Reply(Text(["a", "b"]), strange, fault=fault))
    bedrock = bedrock_at(fake, **heard.hooks())
    for ask in (bedrock.stream, partial(bedrock.chat.completions.create, stream=True)):
        heard.clear()
        with pytest.raises(BedrockError):
            read(ask(model=NOVA, messages=USER))
        assert heard.names == ["on_request", "on_error"]
        assert heard.last.outcome == "failed"
        assert heard.last.kind in ("corrupt", "truncated")
        assert heard.last.request_id


def read(stream: Any) -> None:
    with stream:
        list(stream)
        stream.completion()


def test_a13_a_refusal_is_told_with_its_kind_and_status(serve: Serve, bedrock_at: BedrockAt, heard: Heard) -> None:
    client = bedrock_at(
        serve(Refusal("ThrottlingException", "Slow down."), Refusal("ThrottlingException", "Slow.")), **heard.hooks()
    )
    for call in (client.complete, client.stream):
        heard.clear()
        with pytest.raises(Exception, match="Throttling"):
            call(NOVA, USER)
        assert heard.names == ["on_request", "on_error"]
        assert (heard.last.kind, heard.last.status, heard.last.outcome) == ("rate_limit", 429, "failed")
        assert heard.last.request_id


def test_a_request_that_cannot_be_built_is_told_too(serve: Serve, bedrock_at: BedrockAt, heard: Heard) -> None:
    with pytest.raises(ValueError, match="n is 1"):
        bedrock_at(serve(), **heard.hooks()).complete(NOVA, USER, n=3)
    assert heard.names == ["on_request", "on_error"]
    assert heard.last.kind == "invalid_request"


@pytest.mark.parametrize("read_first", [True, False])
def test_a_stream_that_its_reader_leaves_is_interrupted(
    serve: Serve, bedrock_at: BedrockAt, heard: Heard, read_first: bool
) -> None:
    stream = bedrock_at(serve(Reply(Text(["a"] * 50), pace=0.01)), **heard.hooks()).stream(NOVA, USER)
    if read_first:
        next(stream)
    stream.close()
    del stream
    gc.collect()
    assert heard.names == ["on_request", "on_response"]
    assert heard.last.outcome == "interrupted"
    assert heard.last.finish_reason is None


@pytest.mark.parametrize("events_read", [0, 1, 3])
def test_a_stream_that_is_closed_is_told_of_although_somebody_keeps_it(
    serve: Serve, bedrock_at: BedrockAt, heard: Heard, events_read: int
) -> None:
    with bedrock_at(serve(Reply(Text(["a"] * 50), pace=0.01)), **heard.hooks()).stream(NOVA, USER) as stream:
        for _ in range(events_read):
            next(stream)
    assert heard.names == ["on_request", "on_response"]
    assert heard.last.outcome == "interrupted"
    assert stream.completion().bedrock.interrupted
    assert len(heard) == 2


def test_a_stream_that_another_thread_closes_is_told_of_once(serve: Serve, bedrock_at: BedrockAt, heard: Heard) -> None:
    fake = serve(lambda _: Reply(Text(["a"] * 2000), pace=0.01))
    bedrock = bedrock_at(fake, **heard.hooks())
    for wait in (0.0, 0.01, 0.02, 0.03):
        stream = bedrock.stream(NOVA, USER)
        timer = threading.Timer(wait, stream.close)
        timer.start()
        assert stream.completion().bedrock.interrupted
        timer.join()
    gc.collect()
    assert heard.names == ["on_request", "on_response"] * 4


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("own", ["create", "complete"])
def test_a_task_that_is_cancelled_has_interrupted_its_call(
    serve: Serve, bedrock_at: BedrockAt, heard: Heard, stream: bool, own: str
) -> None:
    fake = serve(Reply("late", delay=30))
    bedrock = AsyncBedrock.over(bedrock_at(fake, **heard.hooks()))

    async def ask() -> None:
        if own == "create":
            await bedrock.chat.completions.create(model=NOVA, messages=USER, stream=stream)
        elif stream:
            await bedrock.stream(NOVA, USER).completion()
        else:
            await bedrock.complete(NOVA, USER)

    async def scene() -> None:
        task = asyncio.create_task(ask())
        assert await asyncio.to_thread(fake.wait_for, lambda fake: fake.requests)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        assert await asyncio.to_thread(fake.wait_for, lambda fake: not fake.open_connections)

    asyncio.run(scene())
    bedrock.close()
    assert comes_true(lambda: len(heard) == 2)
    assert heard.names == ["on_request", "on_error"]
    assert (heard.last.outcome, heard.last.kind) == ("interrupted", "interrupted")
    assert len(fake.requests) == 1


def test_a_hook_that_raises_does_no_harm(serve: Serve, bedrock_at: BedrockAt, caplog: pytest.LogCaptureFixture) -> None:
    def broken(details: CallDetails) -> None:
        raise RuntimeError("secret text")

    client = bedrock_at(serve(Reply("Hi"), Refusal()), on_request=broken, on_response=broken, on_error=broken)
    assert client.complete(NOVA, USER).message.content == "Hi"
    with pytest.raises(Exception, match="ValidationException"):
        client.complete(NOVA, USER)
    assert "a hook raised" in caplog.text
    assert "secret text" not in caplog.text


async def waiting(details: CallDetails) -> None: ...


@pytest.mark.parametrize("hook", ["print", waiting])
@pytest.mark.parametrize("face", [Bedrock, AsyncBedrock])
def test_a_hook_that_would_never_be_heard_is_refused(face: Any, hook: Any) -> None:
    with pytest.raises(SettingsError, match="on_error is no function"):
        face("us-east-1", on_error=hook)


def test_details_are_frozen_and_hold_no_content(serve: Serve, bedrock_at: BedrockAt, heard: Heard) -> None:
    bedrock_at(serve(Reply("the answer is 42")), **heard.hooks()).complete(NOVA, [{"role": "user", "content": "hush"}])
    with pytest.raises(dataclasses.FrozenInstanceError):
        heard.last.model = "other"  # type: ignore[misc]
    assert "42" not in repr(heard) or "the answer" not in repr(heard)
    assert "hush" not in repr(heard)


def test_every_face_is_heard_through_the_same_hooks(serve: Serve, bedrock_at: BedrockAt, heard: Heard) -> None:
    client = bedrock_at(serve(Reply("Hi"), Reply("Hi")), **heard.hooks())
    client.chat.completions.create(model=NOVA, messages=USER)
    list(client.chat.completions.create(model=NOVA, messages=USER, stream=True))
    assert heard.names == ["on_request", "on_response"] * 2
    assert [details.stream for _, details in heard] == [False, False, True, True]


@pytest.mark.parametrize("stream", [False, True])
def test_the_answer_of_a_fallback_is_told_under_its_own_name(
    serve: Serve, bedrock_at: BedrockAt, heard: Heard, stream: bool
) -> None:
    bedrock = bedrock_at(serve(Refusal("ThrottlingException", "Slow."), Reply("Hi")), **heard.hooks())
    answer = bedrock.stream if stream else bedrock.complete
    answered = answer(NOVA, USER, fallbacks=[(None, PRO)])
    if stream:
        answered.completion()
    assert [(name, details.model) for name, details in heard] == [("on_request", NOVA), ("on_response", PRO)]


def test_attempts_count_those_of_botocore(serve: Serve, bedrock_at: BedrockAt, heard: Heard) -> None:
    fake = serve(Refusal("InternalServerException", "Again."), Reply("Hi"))
    bedrock_at(fake, max_attempts=3, **heard.hooks()).complete(NOVA, USER)
    assert len(fake.requests) == 2
    assert heard.last.attempts == 2
