"""The real async openai SDK over the transport, over real boto3, on the stand-in."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from agent.bedrock import async_http_client
from agent.bedrock.testing import FakeBedrock, Reasoning, Refusal, Reply, Stop, StreamException, Text, ToolCall, Usage
from tests.moments import comes_true, prompt

openai = pytest.importorskip("openai")

BASE_URL = "http://bedrock.local/v1"
CLAUDE = "us.anthropic.claude-sonnet-4-5-20250929-v1:0"
NOVA = "us.amazon.nova-lite-v1:0"
USER = [{"role": "user", "content": "Hi"}]
KEYS = {"aws_access_key_id": "AKIDEXAMPLE", "aws_secret_access_key": "not-a-secret"}
WEATHER = {
    "type": "function",
    "function": {"name": "weather", "description": "Weather.", "strict": True, "parameters": {"type": "object"}},
}
"""Strict, because openai 2 streams no others with its helper."""

Serve = Callable[..., FakeBedrock]
Scene = Callable[[Any], Coroutine[Any, Any, Any]]

with_both_libraries = pytest.mark.parametrize("library", ["httpx2", "httpx"], indirect=True)


@pytest.fixture
def library(request: pytest.FixtureRequest) -> Any:
    return pytest.importorskip(getattr(request, "param", "httpx2"))


@pytest.fixture
def run(library: Any) -> Callable[..., Any]:
    """Plays a scene with an SDK client on a stand-in."""

    def play(fake: FakeBedrock, scene: Scene, **arguments: Any) -> Any:
        async def staged() -> Any:
            options = {"region": "us-east-1", "endpoint_url": fake.url, "max_attempts": 1, **KEYS, **arguments}
            hc = async_http_client(library=library, **options)
            async with asyncio.timeout(20):
                return await scene(
                    openai.AsyncOpenAI(api_key="unused", base_url=BASE_URL, http_client=hc, max_retries=0)
                )

        return asyncio.run(staged())

    return play


Run = Callable[..., Any]


@with_both_libraries
def test_a_completion_is_the_sdks_own(serve: Serve, run: Run) -> None:
    async def scene(client: Any) -> Any:
        return await client.chat.completions.create(model=NOVA, messages=USER)

    completion = run(serve(Reply("Hello!", headers={"x-amzn-RequestId": "aws-1"})), scene)
    assert isinstance(completion, openai.types.chat.ChatCompletion)
    assert completion.choices[0].message.content == "Hello!"
    assert completion._request_id == "aws-1"


@with_both_libraries
def test_a_stream_is_chunks_of_the_sdk(serve: Serve, run: Run) -> None:
    async def scene(client: Any) -> Any:
        stream = await client.chat.completions.create(model=NOVA, messages=USER, stream=True)
        return [chunk async for chunk in stream]

    chunks = run(serve(Reply(Text(["Hel", "lo"]), usage=Usage(input=3, output=1))), scene)
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks) == "Hello"
    assert chunks[-1].choices[0].finish_reason == "stop"
    assert chunks[-1].usage.total_tokens == 4


def test_reasoning_survives_a_streamed_tool_round_trip(serve: Serve, run: Run) -> None:
    fake = serve(Reply(Reasoning("Hm.", "sig"), ToolCall("weather", {}, id="a")), Reply("Sunny."))

    async def scene(client: Any) -> None:
        async with client.chat.completions.stream(model=CLAUDE, messages=USER, tools=[WEATHER]) as stream:
            message = (await stream.get_final_completion()).choices[0].message
        [call] = message.tool_calls
        function = {"name": call.function.name, "arguments": call.function.arguments}
        history = [
            *USER,
            {"role": "assistant", "tool_calls": [{"id": call.id, "type": "function", "function": function}]},
            {"role": "tool", "tool_call_id": call.id, "content": "Sunny"},
        ]
        await client.chat.completions.create(model=CLAUDE, messages=history, tools=[WEATHER])

    run(fake, scene)
    assert fake.requests[1].body["messages"][1]["content"][0]["reasoningContent"]["reasoningText"]["signature"] == "sig"


def test_reasoning_packed_into_an_id_comes_back_in_its_place(serve: Serve, run: Run) -> None:
    calls = (ToolCall("weather", {"city": "Graz"}, id="a"), ToolCall("weather", {"city": "Linz"}, id="b"))
    fake = serve(Reply(Reasoning("Hm.", "sig"), "Let me see.", *calls), Reply("Sunny."))

    async def scene(client: Any) -> None:
        async with client.chat.completions.stream(model=CLAUDE, messages=USER, tools=[WEATHER]) as stream:
            await asyncio.to_thread(
                fake.wait_for, lambda fake: fake.requests[0].complete
            )  # all has come, nothing is told
            message = (await stream.get_final_completion()).choices[0].message
        made = [call.to_dict() for call in message.tool_calls]
        results = [{"role": "tool", "tool_call_id": call["id"], "content": "Sunny"} for call in made]
        assistant = {"role": "assistant", "content": message.content, "tool_calls": made}
        await client.chat.completions.create(model=CLAUDE, messages=[*USER, assistant, *results], tools=[WEATHER])

    run(fake, scene, carry_reasoning="ids")
    _, assistant, results = fake.requests[1].body["messages"]
    assert [next(iter(block)) for block in assistant["content"]] == ["reasoningContent", "text", "toolUse", "toolUse"]
    assert [block["toolResult"]["toolUseId"] for block in results["content"][:2]] == ["a", "b"]


@pytest.mark.parametrize("stream", [False, True])
def test_refusals_are_the_sdks_exceptions(serve: Serve, run: Run, stream: bool) -> None:
    async def scene(client: Any) -> Any:
        with pytest.raises(openai.RateLimitError) as caught:
            await client.chat.completions.create(model=NOVA, messages=USER, stream=stream)
        return caught.value

    error = run(serve(Refusal("ThrottlingException", "Slow")), scene)
    assert error.code == "rate_limit_exceeded"
    assert error.request_id


def test_a_throttle_in_the_first_event_is_a_429(serve: Serve, run: Run) -> None:
    async def scene(client: Any) -> None:
        with pytest.raises(openai.RateLimitError):
            await client.chat.completions.create(model=NOVA, messages=USER, stream=True)

    run(serve(Reply("Hi", fault=StreamException("throttlingException"))), scene)


def test_a_stream_that_fails_in_the_middle_raises_the_sdks_error(serve: Serve, run: Run) -> None:
    async def scene(client: Any) -> Any:
        reasons = []

        async def read() -> None:
            async for chunk in await client.chat.completions.create(model=NOVA, messages=USER, stream=True):
                reasons.append(chunk.choices[0].finish_reason)  # noqa: PERF401 - keeps what came before the error

        with pytest.raises(openai.APIError) as caught:
            await read()
        return caught.value.code, reasons

    code, reasons = run(serve(Reply(Text(["a", "b"]), fault=Stop(before="messageStop"))), scene)
    assert code == "incomplete_response"
    assert reasons
    assert not any(reasons)


@with_both_libraries
def test_a_service_that_is_not_reached_is_a_connection_error(serve: Serve, run: Run) -> None:
    fake = serve()

    async def scene(client: Any) -> None:
        for stream in (False, True):
            with pytest.raises(openai.APIConnectionError):
                await client.chat.completions.create(model=NOVA, messages=USER, stream=stream)

    with fake.refusing():
        run(fake, scene)


@pytest.mark.needs_botocore("1.44.0")
def test_a_read_timeout_is_the_sdks(serve: Serve, run: Run) -> None:
    async def scene(client: Any) -> None:
        with pytest.raises(openai.APITimeoutError):
            await client.chat.completions.create(model=NOVA, messages=USER, timeout=0.2)

    run(serve(Reply("late", delay=20)), scene)


def endless() -> Reply:
    return Reply(Text(["word "] * 2000), pace=0.01)


@with_both_libraries
def test_leaving_a_stream_closes_its_connection(serve: Serve, run: Run) -> None:
    fake = serve(endless(), endless())

    async def scene(client: Any) -> None:
        async with client.chat.completions.stream(model=NOVA, messages=USER) as stream:
            await anext(aiter(stream))
        left = await client.chat.completions.create(model=NOVA, messages=USER, stream=True)
        await anext(aiter(left))
        await left.close()
        await asyncio.to_thread(fake.wait_for, lambda fake: all(request.abandoned for request in fake.requests))

    run(fake, scene)
    assert [request.abandoned for request in fake.requests] == [True, True]


@with_both_libraries
def test_cancelling_the_task_closes_the_connection_within_a_second(serve: Serve, run: Run) -> None:
    fake = serve(lambda _: endless())

    async def scene(client: Any) -> float:
        seen = asyncio.Event()

        async def read() -> None:
            async for chunk in await client.chat.completions.create(model=NOVA, messages=USER, stream=True):
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
def test_cancelling_before_anything_came_closes_the_connection(serve: Serve, run: Run, stream: bool) -> None:
    fake = serve(lambda _: Reply("late", delay=30))

    async def scene(client: Any) -> float:
        asked = len(fake.requests) + 1
        task = asyncio.create_task(client.chat.completions.create(model=NOVA, messages=USER, stream=stream))
        await asyncio.to_thread(fake.wait_for, lambda fake: len(fake.requests) == asked)
        began = time.monotonic()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert await asyncio.to_thread(fake.wait_for, lambda fake: fake.requests[-1].abandoned)
        return time.monotonic() - began

    assert prompt(lambda: run(fake, scene), within=1)


def test_many_streams_at_once_do_not_wait_for_each_other(serve: Serve, run: Run) -> None:
    fake = serve(lambda request: Reply(Text([f"{request.body['messages'][0]['content'][0]['text']} "] * 10), pace=0.05))

    async def read(client: Any, number: int) -> str:
        messages = [{"role": "user", "content": str(number)}]
        stream = await client.chat.completions.create(model=NOVA, messages=messages, stream=True)
        return "".join([chunk.choices[0].delta.content or "" async for chunk in stream])

    async def scene(client: Any) -> Any:
        began = time.monotonic()
        texts = await asyncio.gather(*(read(client, number) for number in range(20)))
        return texts, time.monotonic() - began

    def measure() -> float:
        texts, seconds = run(fake, scene)
        assert texts == [f"{number} " * 10 for number in range(20)]
        return float(seconds)

    assert prompt(measure, within=6)  # one after the other they would take 12


def test_a_boto3_client_of_ones_own_is_used_as_it_is(serve: Serve, caplog: pytest.LogCaptureFixture) -> None:
    import boto3

    fake = serve(Reply("Hi"), Reply("Hi"))
    boto = boto3.client("bedrock-runtime", **fake.client_options())

    async def scene() -> None:
        hc = async_http_client(client=boto)
        client = openai.AsyncOpenAI(api_key="unused", base_url=BASE_URL, http_client=hc, max_retries=0)
        await client.chat.completions.create(model=NOVA, messages=USER)
        async for _ in await client.chat.completions.create(model=NOVA, messages=USER, stream=True):
            pass

    asyncio.run(scene())
    assert "not obeyed" not in caplog.text


def test_the_clients_threads_end(serve: Serve, run: Run) -> None:
    async def scene(client: Any) -> None:
        await client.chat.completions.create(model=NOVA, messages=USER)
        await client.close()

    before = threading.active_count()
    run(serve(Reply("Hi")), scene)
    assert comes_true(lambda: threading.active_count() <= before + 1), "the stand-in's own thread stays"
