"""A stream that breaks off after output began: raised, begun again, or continued; nothing is ever told twice unsaid."""

from __future__ import annotations

import contextlib
import gc
import threading
import time
from collections.abc import Iterator
from typing import Any
from unittest.mock import MagicMock, patch

import pytest
from botocore.eventstream import EventStream
from botocore.exceptions import ClientError

from agent.bedrock.aws import stream as stream_module
from agent.bedrock.aws.clients import build_runtime_client
from agent.bedrock.aws.credentials import Credentials
from agent.bedrock.aws.pace import no_waiting
from agent.bedrock.aws.settings import ClientSettings
from agent.bedrock.chat import ChatStream
from agent.bedrock.errors import CallInterruptedError, InvalidRequestError, TruncatedResponseError
from agent.bedrock.response.events import StreamRestarted, StreamResumed
from agent.bedrock.testing import (
    Cut,
    End,
    FakeBedrock,
    RawAnswer,
    Reasoning,
    Refusal,
    Reply,
    Stall,
    Stop,
    StreamException,
    Text,
    ToolCall,
)
from agent.bedrock.testing.frames import event_frame
from tests.moments import at_some_pace, once, prompt, shortly
from tests.response.frame_bytes import event

from .guarded import HELLO, KEYS, MESSAGES, asking, bedrock, guarded, streamed

ASKED = [{"role": "user", "content": "Hi"}]
THROTTLED = "throttlingException"


@pytest.fixture(autouse=True)
def _no_waiting() -> Iterator[None]:
    with no_waiting():
        yield


def broken(*pieces: str, at: int = 2, **more: Any) -> Reply:
    """Text that breaks off after so many events; messageStart is one of them."""
    return Reply(Text(pieces), fault=StreamException(THROTTLED, at=at), **more)


def names(stream: Any) -> list[str]:
    return [next(iter(event)) for event in stream]


class TestRestart:
    def test_begins_the_turn_again_and_says_so(self) -> None:
        with FakeBedrock([broken("Hel", "lo", at=2), Reply(Text(("Good", " day")))]) as fake:
            told: list[Any] = []
            stream = bedrock(fake).stream(
                HELLO["modelId"],
                ASKED,
                resume="restart",
                on_text_delta=told.append,
                on_restart=lambda attempt, reason: told.append((attempt, reason)),
            )
            events = list(stream)
            completion = stream.completion()
        assert told == ["Hel", (2, "rate_limit"), "Good", " day"]
        assert [event for event in events if isinstance(event, StreamRestarted)] == [StreamRestarted(2, "rate_limit")]
        assert completion.message.content == "Good day"
        assert (completion.bedrock.attempts, completion.bedrock.uncounted_attempts) == (2, 1)
        assert fake.requests[0].body == fake.requests[1].body

    def test_what_the_first_attempts_cost_is_not_known_and_said_to_be_so(self) -> None:
        usage = {"inputTokens": 7, "outputTokens": 3, "totalTokens": 10}
        empty = StreamException(THROTTLED, at=0)
        replies = [
            broken("Hel", "lo"),
            Refusal("ThrottlingException", "slow down"),
            Reply("x", fault=empty),
            broken("Hel", "lo", at=1),
            Reply("Good day", usage=usage),
        ]
        with FakeBedrock(replies) as fake:
            completion = streamed(guarded(fake, max_attempts=5), asking(resume="restart"))
        assert completion.bedrock.attempts == 5
        assert completion.bedrock.uncounted_attempts == 2, "of those, two had begun to answer"
        assert completion.usage.total_tokens == 10
        assert not completion.bedrock.metadata_missing

    def test_the_partial_of_a_failure_says_it_too(self) -> None:
        with FakeBedrock(lambda request: broken("Hel", "lo")) as fake, pytest.raises(ClientError) as raised:
            streamed(guarded(fake), asking(resume="restart"))
        details = raised.value.partial.bedrock
        assert (details.attempts, details.uncounted_attempts, details.metadata_missing) == (3, 2, True)

    def test_makes_up_for_a_stream_that_only_ends_too_soon(self) -> None:
        for fault in (Stop(3), Cut(150), Cut(150, End.RESET), Cut(200, End.FIN)):
            with FakeBedrock([Reply("Hello", fault=fault), Reply("Good day")]) as fake:
                assert streamed(guarded(fake), asking(resume="restart")).message.content == "Good day"

    def test_is_not_told_where_it_fails_and_what_was_shown_stays(self) -> None:
        down = Refusal("InternalServerException", "down")
        with FakeBedrock([broken("Hel", "lo"), down, down]) as fake:
            with pytest.raises(ClientError, match=THROTTLED) as raised:
                streamed(guarded(fake), asking(resume="restart"))
            assert raised.value.partial.message.content == "Hel"
            assert isinstance(raised.value.__cause__, ClientError)
            assert len(fake.requests) == 3

    def test_again_and_again_keeps_to_the_budget(self) -> None:
        with FakeBedrock(lambda request: broken("Hel", "lo")) as fake:
            seen: list[str] = []
            with pytest.raises(ClientError):
                note(seen, guarded(fake).converse_stream(**asking(resume="restart"))["stream"])
            assert seen.count("streamRestarted") == 2
            assert len(fake.requests) == 3

    def test_a_read_timeout_is_not_made_up_for(self) -> None:
        def falls_silent(pace: int) -> None:
            with FakeBedrock([Reply("Hello", fault=Stall(2)), Reply("Good day")]) as fake:
                with pytest.raises(Exception, match="timed out"):
                    streamed(guarded(fake, read_timeout=0.2 * pace), asking(resume="restart"))
                assert len(fake.requests) == 1

        at_some_pace(falls_silent)

    def test_after_message_stop_there_is_nothing_to_make_up_for(self) -> None:
        cut = Reply("Hello", fault=StreamException(THROTTLED, at=4))
        for options in ({}, {"resume": "restart"}, {"resume": "continue"}):
            with FakeBedrock([cut]) as fake:
                completion = streamed(guarded(fake), asking(**options))
                assert completion.message.content == "Hello"
                assert completion.bedrock.metadata_missing
                assert len(fake.requests) == 1


def note(seen: list[str], stream: Any) -> None:
    """Keep the names of events also where the stream breaks off."""
    seen.extend(next(iter(event)) for event in stream)


class TestContinue:
    def test_goes_on_from_what_was_told(self) -> None:
        with FakeBedrock([broken("Once upon ", "a time", at=2), Reply(Text(("a time", " there was.")))]) as fake:
            told: list[str] = []
            stream = bedrock(fake).stream(HELLO["modelId"], ASKED, resume="continue", on_text_delta=told.append)
            events = list(stream)
            completion = stream.completion()
            assert fake.requests[1].body["messages"] == [
                *fake.requests[0].body["messages"],
                {"role": "assistant", "content": [{"text": "Once upon"}]},
            ]
        assert "".join(told) == completion.message.content == "Once upon a time there was."
        assert [event for event in events if isinstance(event, StreamResumed)] == [StreamResumed(2, "rate_limit")]
        assert completion.message.bedrock_content_blocks == [{"text": "Once upon a time there was."}]

    @pytest.mark.parametrize("again", [" day", "day", "  day", "\n day"])
    def test_blanks_at_the_break_are_told_once(self, again: str) -> None:
        with FakeBedrock([broken("Good ", "x", at=2), Reply(Text((again,)))]) as fake:
            completion = streamed(guarded(fake), asking(resume="continue", prefill=True))
        expected = {" day": "Good day", "day": "Good day", "  day": "Good  day", "\n day": "Good \n day"}
        assert completion.message.content == expected[again]

    @pytest.mark.parametrize("pace", [0, 0.05], ids=["at once", "one by one"])
    def test_blanks_that_come_again_in_pieces_are_told_once(self, pace: float) -> None:
        with FakeBedrock([broken("Good  \n", "x", at=2), Reply(Text((" ", " \nday")), pace=pace)]) as fake:
            completion = streamed(guarded(fake), asking(resume="continue", prefill=True))
        assert completion.message.content == "Good  \nday"

    def test_blocks_that_follow_count_on(self) -> None:
        rest = Reply(Text(("and so",)), ToolCall("weather", {"city": "Oslo"}, id="t-1"))
        with FakeBedrock([broken("Well ", "x", at=2), rest]) as fake:
            completion = streamed(guarded(fake), asking(resume="continue", prefill=True))
        assert completion.message.content == "Well and so"
        assert completion.message.tool_calls[0].id == "t-1"
        assert [next(iter(block)) for block in completion.message.bedrock_content_blocks] == ["text", "toolUse"]

    @pytest.mark.parametrize(
        "payload",
        [
            b"\0",
            b"5",
            b'"contentBlockIndex"',
            b'{"contentBlockIndex": null}',
            b"{}",
            b'{"contentBlockIndex": 0, "delta": 5}',
            b'{"contentBlockIndex": 0, "delta": {"text": 5}}',
        ],
    )
    def test_events_that_nobody_knows_pass(self, payload: bytes) -> None:
        frames = [
            event_frame("messageStart", {"role": "assistant"}),
            event("tomorrow", payload),
            event_frame("contentBlockDelta", {"contentBlockIndex": 0, "delta": {"text": "day"}}),
            event_frame("messageStop", {"stopReason": "end_turn"}),
        ]
        rest = RawAnswer(b"".join(frames), content_type="application/vnd.amazon.eventstream")
        with FakeBedrock([broken("Good ", "x"), rest], strict=False) as fake:
            completion = streamed(guarded(fake), asking(resume="continue", prefill=True))
        assert completion.message.content == "Good day"
        assert completion.bedrock.unknown == {"tomorrow": 1}

    def test_twice(self) -> None:
        replies = [
            broken("One ", "x"),
            Reply(Text(("two ", "x")), fault=StreamException(THROTTLED, at=2)),
            Reply("three"),
        ]
        with FakeBedrock(replies) as fake:
            completion = streamed(guarded(fake), asking(resume="continue", prefill=True))
            assert completion.message.content == "One two three"
            prefills = [request.body["messages"][-1]["content"] for request in fake.requests[1:]]
            assert prefills == [[{"text": "One"}], [{"text": "One two"}]]

    @pytest.mark.parametrize(
        "shown",
        [
            Reply(Reasoning(("hm", "so")), Text(("x",)), fault=StreamException(THROTTLED, at=3)),
            Reply(ToolCall("t", {"a": 1}, id="t-1"), fault=StreamException(THROTTLED, at=2)),
            Reply(Text((" ", "x")), fault=StreamException(THROTTLED, at=2)),
        ],
        ids=["reasoning", "tool call", "blank"],
    )
    def test_only_text_can_be_gone_on_from(self, shown: Reply) -> None:
        with FakeBedrock([shown, Reply("no")]) as fake:
            with pytest.raises(ClientError):
                streamed(guarded(fake), asking(resume="continue", prefill=True))
            assert len(fake.requests) == 1

    def test_only_for_models_that_take_it(self) -> None:
        with FakeBedrock([broken("Hel", "lo"), Reply("no")]) as fake:
            with pytest.raises(ClientError):
                streamed(guarded(fake), asking(resume="continue", prefill=False))
            stream = bedrock(fake).stream("amazon.nova-lite-v1:0", ASKED, resume="continue")
            assert len(fake.requests) == 2
            stream.completion()

    def test_a_prefill_of_the_callers_is_left_alone(self) -> None:
        call = asking(resume="continue", prefill=True)
        call["messages"].append({"role": "assistant", "content": [{"text": "I say"}]})
        with FakeBedrock([broken(" Hel", "lo"), Reply("no")]) as fake:
            with pytest.raises(ClientError):
                streamed(guarded(fake), call)
            assert len(fake.requests) == 1

    def test_a_refused_prefill_leaves_the_failure_that_led_to_it(self) -> None:
        refusal = Refusal("ValidationException", "This model does not support assistant message prefill.")
        with FakeBedrock([broken("Hel", "lo"), refusal]) as fake, pytest.raises(ClientError, match=THROTTLED) as raised:
            streamed(guarded(fake), asking(resume="continue", prefill=True))
        assert raised.value.partial.message.content == "Hel"

    def test_what_is_no_way_of_resuming_is_refused_by_name(self) -> None:
        with FakeBedrock() as fake, pytest.raises(InvalidRequestError, match="resume"):
            bedrock(fake).stream(HELLO["modelId"], ASKED, resume="again")


class TestTheStream:
    def test_is_botocores(self) -> None:
        with FakeBedrock([Reply("Hello")]) as fake:
            stream = guarded(fake).converse_stream(**HELLO)["stream"]
            assert isinstance(stream, EventStream)
            assert stream.request_id
            assert names(stream)[-1] == "metadata"
            assert stream.message_stopped
            assert names(stream) == []

    def test_message_start_waits_for_what_follows_it(self) -> None:
        go = threading.Event()
        with FakeBedrock([Reply("Hello", fault=Stall(1, until=go))]) as fake:
            stream = guarded(fake).converse_stream(**HELLO)["stream"]
            with shortly(go.set) as moment:
                assert names([next(iter(stream))]) == ["messageStart"]
                assert time.monotonic() >= moment[0]

    def test_with_botocores_own_streams_it_is_the_same(self) -> None:
        fault = StreamException(THROTTLED, at=1)
        with FakeBedrock([Reply("Hello", fault=fault), Reply("Hello"), Reply("Hello", fault=Stop(3))]) as fake:
            settings = ClientSettings(endpoint_url=fake.url)
            client: Any = build_runtime_client("us-east-1", settings, Credentials(**KEYS))
            assert streamed(client).message.content == "Hello"
            with pytest.raises(TruncatedResponseError):
                streamed(client)

    def test_one_that_ran_to_its_end_gives_its_connection_back(self) -> None:
        with FakeBedrock([Reply("Hello")] * 3) as fake:
            client = guarded(fake)
            for _ in range(3):
                streamed(client)
            assert fake.connections == 1

    def test_one_that_is_left_closes_its_connection(self) -> None:
        with FakeBedrock([Reply("Hello" * 30, fault=Stall(3)) for _ in range(3)]) as fake:
            client = guarded(fake)
            for _ in client.converse_stream(**HELLO)["stream"]:
                break
            assert fake.wait_for(lambda fake: fake.open_connections == 0)
            client.converse_stream(**HELLO)["stream"].close()
            assert fake.wait_for(lambda fake: len(fake.requests) == 2 and fake.open_connections == 0)
            dropped = client.converse_stream(**HELLO)["stream"]
            del dropped
            gc.collect()
            assert fake.wait_for(lambda fake: len(fake.requests) == 3 and fake.open_connections == 0)

    @pytest.mark.parametrize("at", [4, 5])
    def test_nobody_waits_long_for_metadata(self, at: int, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(stream_module, "METADATA_TIMEOUT", 0.2)
        with FakeBedrock([Reply("Hello", fault=Stall(at))]) as fake:
            client = guarded(fake)
            began = time.monotonic()
            completion = streamed(client)
            assert time.monotonic() - began < 5
        assert completion.message.content == "Hello"
        assert completion.bedrock.metadata_missing == (at == 4)

    @pytest.mark.parametrize("silence", [Stall(0), Stall(1), Stall(3)])
    def test_closing_wakes_its_reader(self, silence: Stall) -> None:
        with FakeBedrock(lambda request: Reply("Hello", fault=silence)) as fake:
            client = guarded(fake)

            def release() -> float:
                stream = client.converse_stream(**HELLO)["stream"]
                with shortly(stream.close) as moment:
                    with pytest.raises(CallInterruptedError):
                        list(stream)
                    return time.monotonic() - moment[0]

            assert prompt(release)

    @pytest.mark.parametrize("resume", [None, "restart", "continue"])
    @pytest.mark.parametrize("delivered", [0, 1, 2])
    def test_what_had_come_and_was_not_delivered_goes_when_it_is_closed(self, resume: Any, delivered: int) -> None:
        with FakeBedrock([Reply(Text(tuple("Hello")), group=10_000, fault=Stall(5))]) as fake:
            stream = guarded(fake).converse_stream(**asking(resume=resume, prefill=True))["stream"]
            batch = stream.next_batch()
            for _ in range(delivered):
                next(batch)
            stream.close()
            assert list(batch) == []
            with pytest.raises(CallInterruptedError):
                stream.next_batch()

    def test_nor_is_more_delivered_of_what_botocores_own_had_read(self) -> None:
        with FakeBedrock([Reply(Text(tuple("Hello")), group=10_000, fault=Stall(5))]) as fake:
            settings = ClientSettings(endpoint_url=fake.url)
            client: Any = build_runtime_client("us-east-1", settings, Credentials(**KEYS))
            stream = client.converse_stream(**HELLO)["stream"]
            seen: list[str] = []
            with contextlib.suppress(Exception):  # urllib3 says in its own words that what it reads from is closed
                for event in stream:
                    seen.append(next(iter(event)))
                    if len(seen) == 3:
                        stream.close()
            assert seen == ["messageStart", "contentBlockDelta", "contentBlockDelta"]

    @pytest.mark.parametrize("resume", [None, "restart", "continue"])
    @pytest.mark.parametrize("pace", [0, 0.01], ids=["at once", "one by one"])
    def test_what_another_loop_has_left_comes_first(self, resume: Any, pace: float) -> None:
        with FakeBedrock([Reply(Text(tuple("Hello")), group=10_000, pace=pace)]) as fake:
            answer = guarded(fake).converse_stream(**asking(resume=resume, prefill=True))
            looked_at = iter(answer["stream"])
            assert names([next(looked_at), next(looked_at)]) == ["messageStart", "contentBlockDelta"]
            assert ChatStream(answer).completion().message.content == "ello"

    def test_a_mock_may_stand_for_it(self) -> None:
        told = [
            {"contentBlockDelta": {"contentBlockIndex": 0, "delta": {"text": "Hi"}}},
            {"messageStop": {"stopReason": "x"}},
        ]
        mock = MagicMock()
        mock.__iter__.return_value = iter(told)
        mock.next_batch.side_effect = lambda: pytest.fail("a mock has every attribute")
        with FakeBedrock() as fake:
            client = guarded(fake)
            with patch.object(client, "_make_api_call", return_value={"stream": mock}):
                assert streamed(client).message.content == "Hi"

    def test_who_looks_on_around_its_events_sees_them(self) -> None:
        class LookedAt:
            """As instrumentation wraps streams: everything is the stream's, but for what its loop is told."""

            def __init__(self, stream: Any) -> None:
                self.wrapped = stream

            def __iter__(self) -> Iterator[Any]:
                for told in self.wrapped:
                    seen.append(told)
                    yield told

            def __getattr__(self, name: str) -> Any:
                return getattr(self.wrapped, name)

        seen: list[Any] = []
        with FakeBedrock([Reply("Hello")]) as fake:
            client = guarded(fake)
            call = client._make_api_call

            def instrumented(*arguments: Any) -> Any:
                answer = call(*arguments)
                return {**answer, "stream": LookedAt(answer["stream"])}

            with patch.object(client, "_make_api_call", instrumented):
                events = list(client.converse_stream(**HELLO)["stream"])
        assert seen == events
        assert "metadata" in seen[-1]

    def test_a_signals_handler_may_close_it_wherever_it_strikes(self) -> None:
        with FakeBedrock([Reply("Hello" * 30, fault=Stall(3))]) as fake:
            stream = guarded(fake).converse_stream(**HELLO)["stream"]

            def close_within_close() -> None:
                with stream._changing:  # where the handler finds its own thread
                    stream.close()

            closing = threading.Thread(target=close_within_close, daemon=True)
            closing.start()
            closing.join(5)
            assert not closing.is_alive()

    def test_closing_wakes_its_reader_while_it_is_opened_again(self) -> None:
        with FakeBedrock() as fake:
            client = guarded(fake)

            def release() -> float:
                before = len(fake.requests)
                fake.queue(broken("x", at=1), Reply("Hello", fault=Stall(-1)))
                stream = client.converse_stream(**HELLO)["stream"]
                with once(lambda: len(fake.requests) == before + 2, stream.close) as moment:
                    with pytest.raises(CallInterruptedError):
                        list(stream)
                    took = time.monotonic() - moment[0]
                assert fake.wait_for(lambda fake: fake.open_connections == 0)
                return took

            assert prompt(release)

    @pytest.mark.parametrize("silence", [Stall(-1), Stall(2)], ids=["while it is opened", "while it is read"])
    def test_the_watch_goes_over_to_the_stream_that_stands_in(self, silence: Stall) -> None:
        with FakeBedrock() as fake:
            client = guarded(fake)

            def release() -> float:
                wanted, second = threading.Event(), len(fake.requests) + 2
                fake.queue(broken("x", at=1), Reply("Hello", fault=silence))
                stream = client.converse_stream(**HELLO)["stream"]
                stream.watch(on_interrupt_check=wanted.is_set)
                with once(lambda: len(fake.requests) == second, wanted.set) as moment:
                    with pytest.raises(CallInterruptedError):
                        list(stream)
                    return time.monotonic() - moment[0]

            assert prompt(release)

    def test_the_request_goes_out_unchanged_and_the_callers_stays_so(self) -> None:
        with FakeBedrock([broken("x", at=1), Reply("Hello")]) as fake:
            before = repr(MESSAGES)
            streamed(guarded(fake))
            assert fake.requests[0].body == fake.requests[1].body
            assert repr(MESSAGES) == before
