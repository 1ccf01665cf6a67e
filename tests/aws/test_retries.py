"""What is retried, how often, how long that waits, and what is never retried."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from botocore.exceptions import ClientError, ConnectionClosedError, ReadTimeoutError
from botocore.stub import Stubber

from agent.bedrock.aws.pace import no_waiting
from agent.bedrock.errors import CallInterruptedError, IdleTimeoutError, TruncatedResponseError, classify
from agent.bedrock.testing import (
    MODELLED_EXCEPTIONS,
    Body,
    Cut,
    End,
    FakeBedrock,
    Hangup,
    Junk,
    RawAnswer,
    Refusal,
    Reply,
    Stall,
    Stop,
    StreamError,
    StreamException,
)
from tests.moments import PATIENCE, at_some_pace, once, prompt

from .guarded import BOTH, HELLO, asking, guarded, newest_model, notice_waits, streamed, whole

GOOD = Reply("Hello")


@pytest.fixture
def waits() -> Iterator[list[float]]:
    with no_waiting() as noted:
        yield noted


RETRIED = {
    "throttled": Refusal("ThrottlingException", "Too many requests"),
    "not ready": Refusal("ModelNotReadyException", "loading"),
    "model timeout 408": Refusal("ModelTimeoutException", "too slow"),
    "model error 424": Refusal("ModelErrorException", "sorry"),
    "500": Refusal("InternalServerException", "down"),
    "503": Refusal("ServiceUnavailableException", "busy"),
    "529 without a type": Refusal.html(529),
    "502 page": Refusal.html(502),
    "504 page": Refusal.html(504),
    "408 empty": Refusal.empty(408),
    "no answer at all": Reply("x", fault=Hangup()),
    "reset before headers": Reply("x", fault=Hangup(reset=True)),
    "page with 200": Reply("x", fault=Body(b"<html>Sign in</html>", "text/html")),
    "empty with 200": Reply("x", fault=Body(b"")),
}


class TestWhatIsRetried:
    @pytest.mark.parametrize("ask", BOTH)
    @pytest.mark.parametrize("fault", RETRIED.values(), ids=RETRIED)
    def test_a_passing_fault_is_not_noticed(self, ask: Callable[..., Any], fault: Any, waits: list[float]) -> None:
        with FakeBedrock([fault, fault, GOOD]) as fake:
            completion = ask(guarded(fake))
        assert completion.message.content == "Hello"
        assert len(fake.requests) == 3
        assert len(waits) == 2

    @pytest.mark.parametrize("ask", BOTH)
    def test_braces_for_an_answer_are_asked_for_again(self, ask: Callable[..., Any], waits: list[float]) -> None:
        with FakeBedrock([RawAnswer(b"{}"), GOOD]) as fake:
            completion = ask(guarded(fake), asking())
        assert completion.message.content == "Hello"
        assert completion.bedrock.uncounted_attempts == (ask is whole), "a whole answer was made, and is on the bill"

    @pytest.mark.parametrize(
        "fault",
        [
            *(
                StreamException(name, at=at)
                for name in MODELLED_EXCEPTIONS[:2] + MODELLED_EXCEPTIONS[3:]
                for at in (0, 1)
            ),
            StreamException("tomorrowException", at=1),
            StreamError(at=1),
            Cut(0),
            Cut(0, End.FIN),
            Cut(0, End.RESET),
            Cut(30, End.FIN),
            Cut(30),
            Stop(0),
            Stop(1),
            Junk(at=0),
        ],
        ids=repr,
    )
    def test_a_stream_that_fails_before_it_showed_anything_is_opened_again(
        self, fault: Any, waits: list[float]
    ) -> None:
        with FakeBedrock([Reply("Hello", fault=fault), GOOD]) as fake:
            client = guarded(fake)
            stream = client.converse_stream(**HELLO)["stream"]
            names = [next(iter(event)) for event in stream]
        assert names == ["messageStart", "contentBlockDelta", "contentBlockStop", "messageStop", "metadata"]
        assert len(fake.requests) == 2

    def test_all_attempts_in_vain_raise_the_last_failure_and_say_how_many(self, waits: list[float]) -> None:
        with FakeBedrock([Refusal("InternalServerException", f"down {n}") for n in range(9)]) as fake:
            client = guarded(fake)
            with pytest.raises(client.exceptions.InternalServerException, match="down 2") as raised:
                client.converse(**HELLO)
        assert len(fake.requests) == 3
        assert raised.value.attempts == 3
        assert raised.value.__notes__[-1] == "3 requests were sent."

    @pytest.mark.parametrize("attempts", [1, 2, 5])
    def test_botocores_retries_do_not_multiply_ours(self, attempts: int, waits: list[float]) -> None:
        with FakeBedrock(lambda request: Refusal("ServiceUnavailableException", "busy")) as fake:
            client = guarded(fake, max_attempts=attempts)
            for call in (lambda: client.converse(**HELLO), lambda: client.converse_stream(**HELLO)):
                before = len(fake.requests)
                with pytest.raises(ClientError):
                    call()
                assert len(fake.requests) - before == attempts

    def test_one_budget_is_for_opening_and_reading_together(self, waits: list[float]) -> None:
        broken = Reply("Hello", fault=StreamException("internalServerException", at=1))
        with FakeBedrock([Refusal("InternalServerException", "down"), broken, broken, GOOD]) as fake:
            with pytest.raises(ClientError):
                streamed(guarded(fake))
            assert len(fake.requests) == 3

    @newest_model
    def test_other_operations_are_retried_alike(self, waits: list[float]) -> None:
        with FakeBedrock() as fake:
            fake.queue_count(Refusal("ThrottlingException", "slow"), 7)
            client = guarded(fake)
            model = "anthropic.claude-3-5-sonnet-20240620-v1:0"
            counted = client.count_tokens(modelId=model, input={"converse": {"messages": HELLO["messages"]}})
        assert counted["inputTokens"] == 7


NEVER = {
    "daily quota": Refusal("ThrottlingException", "Too many tokens per day, please wait before trying again."),
    "validation": Refusal("ValidationException", "messages.0.role: wrong"),
    "access": Refusal("AccessDeniedException", "no"),
    "unknown model": Refusal("ResourceNotFoundException", "no such model"),
    "bad signature": Refusal("InvalidSignatureException", "no"),
    "key unknown": Refusal("UnrecognizedClientException", "no"),
    "context overflow": Refusal("ValidationException", "Input is too long for requested model."),
}


class TestWhatIsNotRetried:
    @pytest.mark.parametrize("ask", BOTH)
    @pytest.mark.parametrize("refusal", NEVER.values(), ids=NEVER)
    def test_what_would_be_refused_again(self, ask: Callable[..., Any], refusal: Any, waits: list[float]) -> None:
        with FakeBedrock([refusal]) as fake:
            with pytest.raises(ClientError):
                ask(guarded(fake))
            assert len(fake.requests) == 1
        assert waits == []

    def test_a_validation_exception_in_the_stream(self, waits: list[float]) -> None:
        with FakeBedrock([Reply("Hello", fault=StreamException("validationException", "bad", at=1))]) as fake:
            with pytest.raises(ClientError):
                streamed(guarded(fake))
            assert len(fake.requests) == 1

    @pytest.mark.parametrize("fault", [Stall(-1), Stall(0)])
    def test_a_read_timeout_which_would_be_billed_again(self, fault: Any, waits: list[float]) -> None:
        with FakeBedrock([Reply("Hello", fault=fault)]) as fake:
            with pytest.raises(ReadTimeoutError):
                whole(guarded(fake, read_timeout=0.2))
            assert fake.wait_for(lambda fake: fake.requests)  # a stand-in that is late reads it still
            assert len(fake.requests) == 1

    @pytest.mark.parametrize("at", [0, 1])
    def test_a_stream_that_falls_silent(self, at: int, waits: list[float]) -> None:
        def falls_silent(pace: int) -> None:
            with FakeBedrock([Reply("Hello", fault=Stall(at))]) as fake:
                with pytest.raises(Exception, match="timed out") as raised:
                    streamed(guarded(fake, read_timeout=0.2 * pace))
                assert classify(raised.value).kind == "timeout"
                assert len(fake.requests) == 1

        at_some_pace(falls_silent)

    def test_an_idle_stream(self, waits: list[float]) -> None:
        with FakeBedrock([Reply("Hello", fault=Stall(1))]) as fake:
            with pytest.raises(IdleTimeoutError):
                streamed(guarded(fake, idle_timeout=0.2))
            assert len(fake.requests) == 1

    def test_what_botocores_stubber_answers(self) -> None:
        with FakeBedrock() as fake:
            client = guarded(fake)
            with Stubber(client) as stubber:
                stubber.add_client_error("converse", "ThrottlingException", "slow", 429)
                with pytest.raises(client.exceptions.ThrottlingException):
                    client.converse(**HELLO)

    def test_a_stream_once_something_was_shown(self, waits: list[float]) -> None:
        broken = Reply("Hello", fault=StreamException("throttlingException", at=2))
        with FakeBedrock([broken, GOOD]) as fake:
            seen: list[Any] = []
            stream = guarded(fake).converse_stream(**HELLO)["stream"]
            with pytest.raises(ClientError):
                seen.extend(stream)
            assert [next(iter(event)) for event in seen] == ["messageStart", "contentBlockDelta"]
            assert len(fake.requests) == 1

    @pytest.mark.parametrize("at", range(2, 4))
    def test_a_stream_that_ends_before_its_time(self, at: int) -> None:
        with FakeBedrock([Reply("Hello", fault=Stop(at)), GOOD]) as fake:
            with pytest.raises(TruncatedResponseError) as raised:
                streamed(guarded(fake))
            assert raised.value.partial.message.content == "Hello"
            assert raised.value.request_id
            assert "try again" in " ".join(raised.value.__notes__)
            assert len(fake.requests) == 1


class TestHowLongItWaits:
    def test_throttling_doubles_from_a_second_up_to_twenty(self, waits: list[float]) -> None:
        throttling = FakeBedrock(lambda request: Refusal("ThrottlingException", "slow"))
        with throttling as fake, pytest.raises(ClientError):
            whole(guarded(fake, max_attempts=8))
        assert waits == [1, 2, 4, 8, 16, 20, 20]

    def test_other_faults_wait_a_tenth_of_it(self, waits: list[float]) -> None:
        down = FakeBedrock(lambda request: Refusal("InternalServerException", "down"))
        with down as fake, pytest.raises(ClientError):
            whole(guarded(fake, max_attempts=4))
        assert waits == pytest.approx([0.1, 0.2, 0.4])

    @pytest.mark.parametrize(
        ("headers", "seconds"),
        [
            ({"x-amz-retry-after": "1500"}, 1.5),
            ({"Retry-After": "3"}, 3.0),
            ({"x-amz-retry-after": "200", "Retry-After": "9"}, 0.2),
        ],
    )
    def test_the_service_says_how_long(self, headers: dict[str, str], seconds: float, waits: list[float]) -> None:
        with FakeBedrock([Refusal("ThrottlingException", "slow", headers=headers), GOOD]) as fake:
            whole(guarded(fake))
        assert waits == [pytest.approx(seconds + 1.0)]  # and up to a second on top, so that not all come back at once

    def test_jitter_is_full(self) -> None:
        from agent.bedrock.aws.retries import wait_before
        from agent.bedrock.errors import Failure

        throttled = Failure("rate_limit", True, False, 429, None, None, "")
        drawn = [wait_before(throttled, 2) for _ in range(500)]
        assert 0 <= min(drawn) < 0.4
        assert 3.6 < max(drawn) <= 4
        assert 1.6 < sum(drawn) / len(drawn) < 2.4

    def test_no_attempt_begins_after_the_budget_of_seconds(self, waits: list[float]) -> None:
        with FakeBedrock(lambda request: Refusal("ThrottlingException", "slow")) as fake:
            with pytest.raises(ClientError):
                whole(guarded(fake, max_attempts=10, retry_seconds=6))
            assert len(fake.requests) == 3
        assert waits == [1, 2]  # another 4 would be too late

    def test_whoever_is_told_to_wait_too_long_does_not_wait_at_all(self, waits: list[float]) -> None:
        hour = Refusal("ThrottlingException", "slow", headers={"Retry-After": "3600"})
        with FakeBedrock([hour, GOOD]) as fake, pytest.raises(ClientError):
            whole(guarded(fake))
        assert waits == []

    def test_no_wait_outlasts_the_deadline(self, waits: list[float]) -> None:
        slow = Refusal("ThrottlingException", "slow", headers={"Retry-After": "30"})
        with FakeBedrock([slow, GOOD]) as fake, pytest.raises(ClientError):
            whole(guarded(fake), asking(deadline=20))
        assert waits == []

    def test_the_call_may_say_how_many_attempts(self, waits: list[float]) -> None:
        with FakeBedrock(lambda request: Refusal("InternalServerException", "down")) as fake:
            with pytest.raises(ClientError):
                whole(guarded(fake), asking(max_attempts=5))
            assert len(fake.requests) == 5


SLOW = Refusal("ThrottlingException", "slow", headers={"Retry-After": "60"})


class TestGivingUpWhileItWaits:
    @pytest.mark.parametrize("ask", BOTH)
    def test_a_token_ends_the_wait(self, ask: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> None:
        begun = notice_waits(monkeypatch)
        with FakeBedrock(lambda request: SLOW) as fake:
            client = guarded(fake)

            def release() -> float:
                token, before, awaited = threading.Event(), len(fake.requests), len(begun) + 1
                with once(lambda: len(begun) == awaited, token.set) as moment:
                    with pytest.raises(CallInterruptedError) as raised:
                        ask(client, asking(cancel=token))
                    took = time.monotonic() - moment[0]
                assert isinstance(raised.value.__context__, ClientError)
                assert len(fake.requests) == before + 1
                return took

            assert prompt(release)

    def test_an_interrupt_check_ends_the_wait(self, monkeypatch: pytest.MonkeyPatch) -> None:
        begun = notice_waits(monkeypatch)
        with FakeBedrock(lambda request: SLOW) as fake:
            client = guarded(fake)

            def release() -> float:
                wanted, awaited = threading.Event(), len(begun) + 1
                with once(lambda: len(begun) == awaited, wanted.set) as moment:
                    with pytest.raises(CallInterruptedError):
                        whole(client, asking(on_interrupt_check=wanted.is_set))
                    return time.monotonic() - moment[0]

            assert prompt(release)

    def test_closing_the_stream_ends_the_wait(self, monkeypatch: pytest.MonkeyPatch) -> None:
        begun = notice_waits(monkeypatch)
        broken = Reply("Hello", fault=StreamException("throttlingException", at=1), headers={})
        with FakeBedrock(
            [broken, *[Refusal("ThrottlingException", "slow", headers={"Retry-After": "60"})] * 2]
        ) as fake:
            stream = guarded(fake).converse_stream(**HELLO)["stream"]
            with once(lambda: max(begun, default=0) >= 60, stream.close) as moment:
                with pytest.raises(CallInterruptedError):
                    list(stream)
                assert time.monotonic() - moment[0] < PATIENCE


class TestTheRecord:
    @pytest.mark.parametrize("ask", BOTH)
    def test_the_completion_says_how_many_requests_were_sent(self, ask: Callable[..., Any], waits: list[float]) -> None:
        down = Refusal("InternalServerException", "down")
        with FakeBedrock([down, down, GOOD, GOOD]) as fake:
            client = guarded(fake)
            assert ask(client, asking()).bedrock.attempts == 3
            assert ask(client, asking()).bedrock.attempts == 1

    def test_streams_count_those_that_came_while_they_were_read(self, waits: list[float]) -> None:
        broken = Reply("Hello", fault=StreamException("throttlingException", at=1))
        with FakeBedrock([Refusal("InternalServerException", "down"), broken, GOOD]) as fake:
            completion = streamed(guarded(fake), asking())
            assert completion.bedrock.attempts == 3

    def test_the_request_id_is_that_of_the_request_that_was_answered(self, waits: list[float]) -> None:
        first = Reply("x", headers={"x-amzn-RequestId": "first"}, fault=StreamException("throttlingException", at=1))
        with FakeBedrock([first, Reply("Hello", headers={"x-amzn-RequestId": "second"})]) as fake:
            assert streamed(guarded(fake)).bedrock.request_id == "second"

    def test_the_text_of_an_error_is_botocores(self) -> None:
        with FakeBedrock([Refusal("AccessDeniedException", "no")]) as fake, pytest.raises(ClientError) as raised:
            whole(guarded(fake))
        assert str(raised.value) == "An error occurred (AccessDeniedException) when calling the Converse operation: no"


def test_a_job_is_started_once_however_often_it_is_sent(waits: list[float]) -> None:
    where = {"s3OutputDataConfig": {"s3Uri": "s3://bucket/prefix"}}
    tokens: list[str] = []

    def break_off(request: Any, **_: Any) -> None:
        tokens.append(json.loads(request.body)["clientRequestToken"])
        raise ConnectionClosedError(endpoint_url=request.url)

    with FakeBedrock() as fake:
        client = guarded(fake)
        client.meta.events.register("before-send.bedrock-runtime.StartAsyncInvoke", break_off)
        for given in ({}, {"clientRequestToken": "mine"}):
            with pytest.raises(ConnectionClosedError):
                client.start_async_invoke(modelId="m", modelInput={}, outputDataConfig=where, **given)
    assert len(tokens) == 6
    assert len(set(tokens[:3])) == 1
    assert set(tokens[3:]) == {"mine"}
