"""`AsyncBedrock` mirrors `Bedrock`: the same events, completions and errors, in the event loop, and nothing left over."""

from __future__ import annotations

import asyncio
import contextvars
import gc
import inspect
import threading
import time
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from botocore.exceptions import ClientError, EventStreamError

from agent.bedrock import AsyncBedrock, Bedrock
from agent.bedrock.errors import CallInterruptedError, InvalidRequestError, TruncatedResponseError
from agent.bedrock.faces import workers
from agent.bedrock.response.events import TextDelta
from agent.bedrock.testing import (
    FakeBedrock,
    Reasoning,
    RecordedRequest,
    Refusal,
    Reply,
    Stall,
    Stop,
    StreamException,
    Text,
    ToolCall,
)
from tests.moments import PATIENCE, at_some_pace, comes_true, once, prompt

MODEL = "us.anthropic.claude-sonnet-4-5-20250929-v1:0"
HELLO = [{"role": "user", "content": "Hello"}]
TOOLS = [{"type": "function", "function": {"name": "read", "parameters": {"type": "object"}}}]
RICH = Reply(Reasoning("Let me see.", "c2lnbmF0dXJl"), Text("I will read."), ToolCall("read", {"path": "a"}, id="t1"))
NEVER_ENDING = Reply(Text(["one", "two", "three"]), fault=Stall(3))
"""Stands still before the third text delta."""


def arguments(fake: FakeBedrock, **more: Any) -> dict[str, Any]:
    keys = {"aws_access_key_id": "AKIDEXAMPLE", "aws_secret_access_key": "not-a-secret"}
    return {"region": "us-east-1", "endpoint_url": fake.url, "max_attempts": 1, **keys, **more}


def run(fake: FakeBedrock, play: Callable[[AsyncBedrock], Awaitable[Any]], **more: Any) -> Any:
    """Play a scene with an AsyncBedrock on the stand-in, in an event loop of its own."""

    async def scene() -> Any:
        async with asyncio.timeout(60), AsyncBedrock(**arguments(fake, **more)) as bedrock:
            return await play(bedrock)

    return asyncio.run(scene())


def workers_alive() -> int:
    return sum(thread.name == "bedrock-worker" for thread in threading.enumerate())


def no_connection(fake: FakeBedrock) -> bool:
    return fake.open_connections == 0


# --- the same as the sync face ----------------------------------------------------------------------------------------


def test_it_takes_the_arguments_that_bedrock_takes() -> None:
    for mine, sync in (
        (AsyncBedrock, Bedrock),
        (AsyncBedrock.complete, Bedrock.complete),
        (AsyncBedrock.stream, Bedrock.stream),
    ):
        assert inspect.signature(mine).parameters == inspect.signature(sync).parameters
    assert {"close", "complete", "prewarm", "region", "stream", "with_options"} <= set(dir(AsyncBedrock))


def same(completion: Any) -> dict[str, Any]:
    """What must not differ between two calls."""
    dumped: dict[str, Any] = completion.model_dump()
    dumped.pop("id"), dumped.pop("created"), dumped["bedrock"].pop("request_id")
    return dumped


def test_complete_gives_the_completion_of_the_sync_face() -> None:
    async def play(bedrock: AsyncBedrock) -> Any:
        return await bedrock.complete(MODEL, HELLO, TOOLS)

    with FakeBedrock(lambda _: RICH) as fake, Bedrock(**arguments(fake)) as sync:
        assert same(run(fake, play)) == same(sync.complete(MODEL, HELLO, TOOLS))


def test_a_stream_gives_the_events_and_the_completion_of_the_sync_face() -> None:
    async def play(bedrock: AsyncBedrock) -> Any:
        async with bedrock.stream(MODEL, HELLO, TOOLS) as stream:
            return [event async for event in stream], await stream.completion(), stream.request_id

    with FakeBedrock(lambda _: RICH) as fake, Bedrock(**arguments(fake)) as sync:
        events, completion, request_id = run(fake, play)
        with sync.stream(MODEL, HELLO, TOOLS) as stream:
            assert events == list(stream)
        assert same(completion) == same(stream.completion())
        assert completion.bedrock.request_id == request_id


async def by_await(bedrock: AsyncBedrock) -> Any:
    stream = await bedrock.stream(MODEL, HELLO)
    return [event async for event in stream]


async def by_entering(bedrock: AsyncBedrock) -> Any:
    async with bedrock.stream(MODEL, HELLO) as stream:
        return [event async for event in stream]


async def by_entering_what_was_awaited(bedrock: AsyncBedrock) -> Any:
    async with await bedrock.stream(MODEL, HELLO) as stream:
        return [event async for event in stream]


async def by_iterating(bedrock: AsyncBedrock) -> Any:
    return [event async for event in bedrock.stream(MODEL, HELLO)]


@pytest.mark.parametrize("way", [by_await, by_entering, by_entering_what_was_awaited, by_iterating])
def test_a_stream_is_awaited_entered_or_iterated(way: Callable[[AsyncBedrock], Awaitable[Any]]) -> None:
    with FakeBedrock([Text(["Hel", "lo"])]) as fake:
        events = run(fake, way)
        assert [event.text for event in events if isinstance(event, TextDelta)] == ["Hel", "lo"]
        assert len(fake.requests) == 1


def test_a_completion_alone_is_enough() -> None:
    async def play(bedrock: AsyncBedrock) -> Any:
        return await bedrock.stream(MODEL, HELLO).completion()

    with FakeBedrock(["Hello!"]) as fake:
        assert run(fake, play).message.content == "Hello!"


def test_several_tasks_may_wait_for_one_stream() -> None:
    async def play(bedrock: AsyncBedrock) -> None:
        stream = bedrock.stream(MODEL, HELLO)

        async def opened() -> None:
            await stream

        await asyncio.gather(*(opened() for _ in range(3)))
        impatient = asyncio.create_task(stream.completion())
        waiting = asyncio.gather(*(stream.completion() for _ in range(3)))
        await asyncio.sleep(0.05)
        answers = [completion.message.content for completion in await asyncio.wait_for(waiting, 20)]
        assert answers == [(await impatient).message.content] * 3 == ["onetwothree"] * 3

    with FakeBedrock([Reply(Text(["one", "two", "three"]), pace=0.05)]) as fake:
        run(fake, play)
        assert len(fake.requests) == 1


def test_without_an_event_loop_a_stream_is_refused_and_leaves_nothing(recwarn: pytest.WarningsRecorder) -> None:
    with pytest.raises(RuntimeError, match="no running event loop"):
        AsyncBedrock("us-east-1").stream(MODEL, HELLO)
    gc.collect()
    assert not recwarn.list  # a __del__ that fails is one


def test_nothing_is_sent_by_a_stream_that_nobody_opens() -> None:
    async def play(bedrock: AsyncBedrock) -> None:
        stream = bedrock.stream(MODEL, HELLO)
        with pytest.raises(CallInterruptedError):
            stream.partial()
        stream.close()
        with pytest.raises(CallInterruptedError):
            await stream.completion()

    with FakeBedrock() as fake:
        run(fake, play)
        assert not fake.requests


# --- callbacks --------------------------------------------------------------------------------------------------------


def test_callbacks_run_in_the_event_loop_in_order() -> None:
    told: list[Any] = []

    def tell(*what: Any) -> None:
        told.append((threading.get_ident(), *what))

    async def play(bedrock: AsyncBedrock) -> Any:
        stream = bedrock.stream(
            MODEL,
            HELLO,
            TOOLS,
            on_text_delta=tell,
            on_reasoning_delta=tell,
            on_tool_start=tell,
            on_tool_arguments_delta=tell,
        )
        await stream.completion()
        return threading.get_ident()

    with FakeBedrock([RICH]) as fake:
        loop = run(fake, play)
    assert told == [
        (loop, "Let me see."),
        (loop, "I will read."),
        (loop, "read"),
        (loop, 2, '{"path":"a"}'),
    ]


def test_coroutine_functions_are_awaited_before_the_next_event() -> None:
    told: list[str] = []

    async def slowly(text: str) -> None:
        await asyncio.sleep(0.001)
        told.append(text)

    async def play(bedrock: AsyncBedrock) -> None:
        async for event in bedrock.stream(MODEL, HELLO, on_text_delta=slowly):
            if isinstance(event, TextDelta):
                assert told[-1] == event.text

    with FakeBedrock([Text(["a", "b", "c"])]) as fake:
        run(fake, play)
    assert told == ["a", "b", "c"]


def test_on_event_comes_before_each_raw_event_and_does_no_harm() -> None:
    signs: list[int] = []

    def sign() -> None:
        signs.append(len(signs))
        raise ValueError("mine")

    async def play(bedrock: AsyncBedrock) -> Any:
        async with bedrock.stream(MODEL, HELLO, on_event=sign) as stream:
            first = await anext(stream)
            return first, list(signs), await stream.completion()

    with FakeBedrock([Text(["a", "b"])]) as fake:
        _, signs_at_first, completion = run(fake, play)
    assert signs_at_first == [0]
    assert len(signs) == 6  # start, two deltas, stop of the block, stop, metadata
    assert completion.message.content == "ab"


def test_an_interrupt_check_ends_the_stream_between_events_and_in_silence() -> None:
    async def between(bedrock: AsyncBedrock) -> Any:
        told: list[str] = []
        stream = bedrock.stream(MODEL, HELLO, on_text_delta=told.append, on_interrupt_check=lambda: len(told) == 2)
        return await stream.completion(), told

    async def in_silence(bedrock: AsyncBedrock) -> Any:
        since_two: list[float] = []

        async def check() -> bool:
            return bool(since_two) and time.monotonic() > since_two[0] + 0.1

        def tell(text: str) -> None:
            if text == "two":
                since_two.append(time.monotonic())

        return await bedrock.stream(MODEL, HELLO, on_text_delta=tell, on_interrupt_check=check).completion()

    with FakeBedrock([Text(["a", "b", "c"])]) as fake:
        completion, told = run(fake, between)
        assert told == ["a", "b"]
        assert completion.bedrock.interrupted or completion.message.content == "abc"
    with FakeBedrock([NEVER_ENDING]) as fake:
        completion = run(fake, in_silence)
        assert completion.bedrock.interrupted
        assert completion.message.content == "onetwo"
        assert fake.wait_for(no_connection)


@pytest.mark.parametrize("streamed", [False, True])
def test_an_interrupt_check_is_asked_in_the_event_loop_while_the_answer_is_waited_for(streamed: bool) -> None:
    asked: list[int] = []

    async def check() -> bool:
        asked.append(threading.get_ident())
        return bool(fake.requests)

    async def play(bedrock: AsyncBedrock) -> None:
        ask = bedrock.stream if streamed else bedrock.complete
        with pytest.raises(CallInterruptedError):
            await ask(MODEL, HELLO, on_interrupt_check=check)
        assert set(asked) == {threading.get_ident()}

    with FakeBedrock([Reply("late", delay=30)]) as fake:
        run(fake, play)
        assert fake.wait_for(no_connection)


# --- errors -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fault", "kind"),
    [
        (StreamException("throttlingException", "slow down", at=3), EventStreamError),
        (Stop(before=3), TruncatedResponseError),
    ],
)
def test_a_fault_in_the_stream_reaches_the_consumer_with_what_came(fault: Any, kind: type[Exception]) -> None:
    told: list[str] = []

    async def play(bedrock: AsyncBedrock) -> None:
        async with bedrock.stream(MODEL, HELLO) as stream:
            with pytest.raises(kind) as caught:
                told.extend([event.text async for event in stream if isinstance(event, TextDelta)])
            assert caught.value.partial.message.content == "onetwo"
            assert [event async for event in stream] == []
            assert stream.partial().message.content == "onetwo"

    with FakeBedrock([Reply(Text(["one", "two", "three"]), fault=fault)]) as fake:
        run(fake, play)


def test_a_refusal_is_raised_where_the_stream_is_opened() -> None:
    async def play(bedrock: AsyncBedrock) -> None:
        stream = bedrock.stream(MODEL, HELLO)
        for attempt in (stream, stream.completion(), anext(stream)):
            with pytest.raises(ClientError, match="slow down"):
                await attempt
        with pytest.raises(ClientError, match="slow down"):
            await bedrock.complete(MODEL, HELLO)

    with FakeBedrock([Refusal("ThrottlingException", "slow down")] * 2) as fake:
        run(fake, play)
        assert len(fake.requests) == 2


def test_a_request_that_cannot_be_sent_is_refused_before_anything_is() -> None:
    async def play(bedrock: AsyncBedrock) -> None:
        with pytest.raises(InvalidRequestError):
            await bedrock.stream(MODEL, [{"role": "nobody", "content": "Hello"}], strict=True)

    with FakeBedrock() as fake:
        run(fake, play)
        assert not fake.requests


def test_an_exception_of_a_callback_reaches_the_consumer_and_closes_the_stream() -> None:
    async def refuse(text: str) -> None:
        raise KeyError(text)

    async def play(bedrock: AsyncBedrock) -> None:
        stream = bedrock.stream(MODEL, HELLO, on_text_delta=refuse)
        with pytest.raises(KeyError, match="one") as caught:
            await stream.completion()
        assert caught.value.partial.message.content.startswith("one")
        assert stream.partial().bedrock.interrupted

    with FakeBedrock([NEVER_ENDING]) as fake:
        run(fake, play)
        assert fake.wait_for(no_connection)


# --- ends -------------------------------------------------------------------------------------------------------------


async def cancelled(bedrock: AsyncBedrock) -> None:
    """A task that waits for an event in vain."""
    silent = asyncio.Event()

    async def read() -> None:
        stream = await bedrock.stream(MODEL, HELLO, on_text_delta=lambda text: text == "two" and silent.set())
        async for _ in stream:
            pass

    task = asyncio.create_task(read())
    await silent.wait()
    await asyncio.sleep(0.02)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def timed_out(bedrock: AsyncBedrock) -> None:
    stream = await bedrock.stream(MODEL, HELLO)
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.1):
            await stream.completion()


async def left_early(bedrock: AsyncBedrock) -> None:
    async with bedrock.stream(MODEL, HELLO) as stream:
        async for _ in stream:
            break
    assert (await stream.completion()).bedrock.interrupted


async def dropped(bedrock: AsyncBedrock) -> None:
    async for _ in bedrock.stream(MODEL, HELLO):
        break
    gc.collect()


async def closed_by_another_thread(bedrock: AsyncBedrock) -> None:
    told: list[str] = []
    stream = await bedrock.stream(MODEL, HELLO, on_text_delta=told.append)
    with once(lambda: "two" in told, stream.close):
        completion = await stream.completion()
    assert (completion.message.content, completion.bedrock.interrupted) == ("onetwo", True)


@pytest.mark.parametrize("end", [cancelled, timed_out, left_early, dropped, closed_by_another_thread])
def test_whatever_ends_a_stream_closes_its_connection_and_frees_its_worker(
    end: Callable[[AsyncBedrock], Awaitable[None]],
) -> None:
    def seconds() -> float:
        async def play(bedrock: AsyncBedrock) -> float:
            await end(bedrock)
            since = time.monotonic()
            assert await asyncio.to_thread(fake.wait_for, no_connection)
            took = time.monotonic() - since
            assert (await bedrock.complete(MODEL, HELLO)).message.content == "again"
            return took

        with FakeBedrock([NEVER_ENDING, "again"]) as fake:
            took: float = run(fake, play)
            assert comes_true(lambda: workers_alive() == 0)
            return took

    assert prompt(seconds, within=1)


def test_a_stream_that_outlives_its_event_loop_is_given_up() -> None:
    async def scene(bedrock: AsyncBedrock) -> Any:
        stream = bedrock.stream(MODEL, HELLO)
        await anext(stream)
        return stream

    with FakeBedrock([NEVER_ENDING]) as fake:
        bedrock = AsyncBedrock(**arguments(fake))
        stream = asyncio.run(scene(bedrock))
        del stream
        gc.collect()
        assert fake.wait_for(no_connection)
        bedrock.close()
        assert comes_true(lambda: workers_alive() == 0)


@pytest.mark.parametrize("streamed", [False, True])
def test_a_call_that_is_cancelled_before_its_answer_releases_its_task_and_closes_its_connection(streamed: bool) -> None:
    def release() -> float:
        async def play(bedrock: AsyncBedrock) -> float:
            call = bedrock.stream(MODEL, HELLO).completion() if streamed else bedrock.complete(MODEL, HELLO)
            task = asyncio.create_task(call)
            await asyncio.to_thread(fake.wait_for, lambda seen: seen.requests)
            since = time.monotonic()
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            released = time.monotonic() - since
            assert await asyncio.to_thread(fake.wait_for, no_connection)
            assert (await bedrock.complete(MODEL, HELLO)).message.content == "again"
            return released

        with FakeBedrock([Reply("late", delay=30), "again"]) as fake:
            released: float = run(fake, play, max_attempts=3)
            assert comes_true(lambda: workers_alive() == 0)
            assert len(fake.requests) == 2
            return released

    assert prompt(release)


def test_cancelling_after_the_answer_leaves_the_connection_alone() -> None:
    """It is in the pool then, and may be somebody else's."""

    def scene(pace: int) -> None:
        async def play(bedrock: AsyncBedrock) -> None:
            task = asyncio.create_task(bedrock.complete(MODEL, HELLO))
            await asyncio.to_thread(fake.wait_for, lambda seen: seen.requests and seen.requests[0].complete)
            await asyncio.to_thread(time.sleep, 0.1 * pace)
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            await bedrock.complete(MODEL, HELLO)
            assert fake.connections == 1

        with FakeBedrock(["one", "two"]) as fake:
            run(fake, play)

    at_some_pace(scene)


# --- many at once -----------------------------------------------------------------------------------------------------


def test_many_streams_at_once_do_not_mix() -> None:
    many = 200

    def echo(request: RecordedRequest) -> Reply:
        text = request.body["messages"][0]["content"][0]["text"]
        return Reply(Text([f"{text}:{piece} " for piece in range(10)]), pace=0.01)

    async def play(bedrock: AsyncBedrock) -> Any:
        async def one(name: int) -> tuple[str, str]:
            told: list[str] = []
            messages = [{"role": "user", "content": f"stream {name}"}]
            completion = await bedrock.stream(MODEL, messages, on_text_delta=told.append).completion()
            return completion.message.content, "".join(told)

        return await asyncio.gather(*(one(name) for name in range(many)))

    with FakeBedrock(echo) as fake:
        for name, (content, told) in enumerate(run(fake, play, max_connections=many)):
            assert content == told == "".join(f"stream {name}:{piece} " for piece in range(10))
        assert comes_true(lambda: workers_alive() == 0)


def test_a_slow_consumer_makes_the_worker_stop_reading() -> None:
    """Together the pieces are more than the sockets' buffers hold, so that the service has to wait, too."""
    pieces = [f"{number:08}" * 1000 for number in range(3000)]

    async def play(bedrock: AsyncBedrock) -> None:
        async with bedrock.stream(MODEL, HELLO) as stream:
            await anext(stream)
            await asyncio.sleep(0.3)
            ahead = stream.partial().message.content
            assert len(ahead) < (workers.READ_AHEAD + 2) * 8000
            assert not fake.requests[0].complete
            assert (await stream.completion()).message.content == "".join(pieces)

    with FakeBedrock([Reply(Text(pieces), merge=False)]) as fake:
        run(fake, play)


@pytest.mark.parametrize("quick", [True, False])
def test_what_a_call_raises_after_its_task_was_cancelled_is_not_logged_as_never_seen(quick: bool) -> None:
    complaints: list[dict[str, Any]] = []
    cancelled = threading.Event()
    crew = workers.Workers()

    def fail() -> None:
        if not quick:
            cancelled.wait(PATIENCE)
        raise ValueError("late")

    async def scene() -> None:
        asyncio.get_running_loop().set_exception_handler(lambda _, context: complaints.append(context))
        for turns in range(6):
            cancelled.clear()
            task = asyncio.create_task(crew.run(fail))
            for _ in range(turns):
                await asyncio.sleep(0)
            time.sleep(0.01 if quick else 0)  # noqa: ASYNC251 - the work is done before the loop turns again
            task.cancel()
            cancelled.set()
            await asyncio.gather(task, return_exceptions=True)
            await asyncio.to_thread(time.sleep, 0.02)
        del task
        gc.collect()

    asyncio.run(scene())
    gc.collect()
    crew.dismiss()
    assert complaints == []


def test_workers_are_reused_and_end_when_there_is_nothing_to_do() -> None:
    seen: set[int] = set()

    async def play(bedrock: AsyncBedrock) -> None:
        for _ in range(10):
            await bedrock.complete(MODEL, HELLO)

    with FakeBedrock(lambda _: "Hello!") as fake:
        run(fake, play, on_request=lambda _: seen.add(threading.get_ident()))
    assert len(seen) < 5
    assert comes_true(lambda: workers_alive() == 0)


def test_workers_that_a_fork_did_not_copy_are_not_counted_on() -> None:
    crew = workers.Workers()
    crew._idle, crew._process = 5, 0
    done = threading.Event()
    crew.start(done.set)
    assert done.wait(PATIENCE)
    crew.dismiss()


def test_a_call_sees_the_context_of_its_task() -> None:
    """Tracing depends on it."""
    trace = contextvars.ContextVar("trace", default="none")
    seen: list[str] = []

    async def play(bedrock: AsyncBedrock) -> None:
        trace.set("mine")
        await bedrock.complete(MODEL, HELLO)
        await bedrock.stream(MODEL, HELLO).completion()

    with FakeBedrock(lambda _: "Hello!") as fake:
        run(fake, play, on_request=lambda _: seen.append(trace.get()))
    assert seen == ["mine", "mine"]


# --- prewarm ----------------------------------------------------------------------------------------------------------


def test_prewarming_opens_the_connection_that_the_first_call_uses() -> None:
    async def play(bedrock: AsyncBedrock) -> None:
        await bedrock.prewarm()
        assert fake.connections == 1
        await bedrock.complete(MODEL, HELLO)

    with FakeBedrock(["Hello!", "Hello!"]) as fake:
        run(fake, play)
        assert fake.connections == 1
        with Bedrock(**arguments(fake)) as sync:
            sync.prewarm().join()
            sync.complete(MODEL, HELLO)
        assert fake.connections == 2
        assert [request.operation for request in fake.requests if request.path != "/"] == ["converse", "converse"]
        assert not any("authorization" in request.headers for request in fake.requests if request.path == "/")


def test_prewarming_with_a_token_or_without_a_server_does_no_harm() -> None:
    with FakeBedrock() as fake:
        token = {"region": "us-east-1", "bearer_token": "not-a-token"}
        Bedrock(endpoint_url=fake.url, **token).prewarm().join()
        assert fake.connections == 1
        gone = fake.url
    Bedrock(endpoint_url=gone, max_attempts=1, **token).prewarm().join()
