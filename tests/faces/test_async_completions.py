"""`AsyncBedrock().chat.completions`: what the sync face gives, awaited."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from agent.bedrock import AsyncBedrock
from agent.bedrock.errors import InvalidRequestError, TruncatedResponseError
from agent.bedrock.testing import FakeBedrock, Reasoning, Reply, Stop, Text, ToolCall
from tests.moments import prompt

CLAUDE = "us.anthropic.claude-sonnet-4-5-20250929-v1:0"
NOVA = "us.amazon.nova-lite-v1:0"
USER = [{"role": "user", "content": "Hi"}]
KEYS = {"aws_access_key_id": "AKIDEXAMPLE", "aws_secret_access_key": "not-a-secret"}
WEATHER = {
    "type": "function",
    "function": {"name": "weather", "description": "Weather.", "parameters": {"type": "object"}},
}

Serve = Callable[..., FakeBedrock]


def run(fake: FakeBedrock, scene: Callable[[AsyncBedrock], Coroutine[Any, Any, Any]]) -> Any:
    async def play() -> Any:
        async with (
            asyncio.timeout(20),
            AsyncBedrock("us-east-1", endpoint_url=fake.url, max_attempts=1, **KEYS) as bedrock,
        ):
            return await scene(bedrock)

    return asyncio.run(play())


def test_a_completion_is_awaited(serve: Serve) -> None:
    async def scene(bedrock: AsyncBedrock) -> Any:
        return await bedrock.chat.completions.create(model=NOVA, messages=USER)

    assert run(serve(Reply("Hello!")), scene).choices[0].message.content == "Hello!"


def test_a_stream_is_chunks_and_a_completion(serve: Serve) -> None:
    async def scene(bedrock: AsyncBedrock) -> Any:
        create = bedrock.chat.completions.create
        async with await create(
            model=NOVA, messages=USER, stream=True, stream_options={"include_usage": True}
        ) as stream:
            chunks = [chunk async for chunk in stream]
            return chunks, await stream.completion(), stream.request_id

    chunks, completion, request_id = run(serve(Reply(Text(["Hel", "lo"]))), scene)
    assert "".join(c.choices[0].delta.content or "" for c in chunks if c.choices) == "Hello"
    assert chunks[-1].choices == []
    assert completion.message.content == "Hello"
    assert completion.bedrock.request_id == request_id


def test_the_chunks_are_those_of_the_sync_face(serve: Serve) -> None:
    reply = Reply(
        Reasoning("Hm.", "sig"), Text("Let me see."), ToolCall("weather", {"city": "Graz"}, id="a"), delta_size=3
    )
    fake = serve(reply, reply)

    async def scene(bedrock: AsyncBedrock) -> Any:
        stream = await bedrock.chat.completions.create(model=CLAUDE, messages=USER, tools=[WEATHER], stream=True)
        told = [chunk.model_dump() async for chunk in stream]
        sync = bedrock.sync.chat.completions.create(model=CLAUDE, messages=USER, tools=[WEATHER], stream=True)
        return told, [chunk.model_dump() for chunk in sync]

    asynchronous, sync = run(fake, scene)
    for chunk in (*asynchronous, *sync):
        chunk.update(id="", created=0)
        (chunk["bedrock"] or {}).pop("request_id", None)
    assert asynchronous == sync


def test_callbacks_may_be_coroutines(serve: Serve) -> None:
    told: list[str] = []

    async def tell(text: str) -> None:
        told.append(text)

    async def scene(bedrock: AsyncBedrock) -> Any:
        return await bedrock.chat.completions.create(model=NOVA, messages=USER, on_text_delta=tell)

    completion = run(serve(Reply(Text(["Hel", "lo"]))), scene)
    assert told == ["Hel", "lo"]
    assert completion.message.content == "Hello"


def test_errors_reach_who_awaits(serve: Serve) -> None:
    fake = serve(Reply(Text(["a", "b"]), fault=Stop(before="messageStop")))

    async def scene(bedrock: AsyncBedrock) -> None:
        with pytest.raises(InvalidRequestError, match="n is 1"):
            await bedrock.chat.completions.create(model=NOVA, messages=USER, n=2)
        with pytest.raises(TypeError, match="temprature"):
            await bedrock.chat.completions.create(model=NOVA, messages=USER, temprature=2)
        with pytest.raises(TruncatedResponseError):
            async for _ in await bedrock.chat.completions.create(model=NOVA, messages=USER, stream=True):
                pass

    run(fake, scene)


def test_cancelling_the_reader_closes_the_connection(serve: Serve) -> None:
    fake = serve(lambda _: Reply(Text(["word "] * 2000), pace=0.01))

    async def scene(bedrock: AsyncBedrock) -> float:
        seen = asyncio.Event()

        async def read() -> None:
            async for chunk in await bedrock.chat.completions.create(model=NOVA, messages=USER, stream=True):
                if chunk.choices[0].delta.content:
                    seen.set()

        task = asyncio.create_task(read())
        await seen.wait()
        began = time.monotonic()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert await asyncio.to_thread(fake.wait_for, lambda fake: fake.requests[-1].abandoned)
        return time.monotonic() - began

    assert prompt(lambda: run(fake, scene), within=1)


@pytest.mark.parametrize("stream", [False, True])
def test_reasoning_is_remembered_for_a_loop_that_keeps_text_and_calls(serve: Serve, stream: bool) -> None:
    fake = serve(Reply(Reasoning("Hm.", "sig"), ToolCall("weather", {}, id="a")), Reply("Sunny."))

    async def scene(bedrock: AsyncBedrock) -> None:
        create = bedrock.chat.completions.create
        answer = await create(model=CLAUDE, messages=USER, tools=[WEATHER], stream=stream)
        if stream:
            async for _ in answer:
                pass
            answer = await answer.completion()
        [call] = answer.message.model_dump()["tool_calls"]
        bare = {"role": "assistant", "content": None, "tool_calls": [call]}
        result = {"role": "tool", "tool_call_id": "a", "content": "Sunny"}
        await create(model=CLAUDE, messages=[*USER, bare, result], tools=[WEATHER])

    run(fake, scene)
    reasoning, *_ = fake.requests[1].body["messages"][1]["content"]
    assert reasoning["reasoningContent"]["reasoningText"]["signature"] == "sig"


def test_an_object_that_was_asked_for_comes_parsed(serve: Serve) -> None:
    schema = {"type": "object", "properties": {"name": {"type": "string"}}, "required": ["name"]}
    wanted = {"type": "json_schema", "json_schema": {"name": "city", "schema": schema}}

    async def scene(bedrock: AsyncBedrock) -> Any:
        stream = await bedrock.chat.completions.create(model=CLAUDE, messages=USER, response_format=wanted, stream=True)
        return await stream.completion()

    assert run(serve(Reply('{"name": "Graz"}')), scene).message.parsed == {"name": "Graz"}


def test_models_are_listed(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    fake = serve()
    monkeypatch.setenv("AWS_ENDPOINT_URL_BEDROCK", fake.url)

    async def scene(bedrock: AsyncBedrock) -> Any:
        iterated = [model.id async for model in bedrock.models.list()]
        assert iterated == [model.id for model in await bedrock.models.list()]
        return iterated, await bedrock.models.retrieve(CLAUDE)

    ids, model = run(fake, scene)
    assert CLAUDE in ids
    assert model.id == CLAUDE
