"""Who answers instead: a whole answer for a stream, another model, another region; and for how long that is remembered."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import pytest
from botocore.eventstream import EventStream
from botocore.exceptions import ClientError, EndpointConnectionError

from agent.bedrock.aws import fallbacks, pace
from agent.bedrock.aws.credentials import Credentials
from agent.bedrock.aws.fallbacks import refuse_unreachable_regions
from agent.bedrock.aws.journey import Call, Journey, Protection
from agent.bedrock.aws.memory import Memory
from agent.bedrock.aws.settings import ClientSettings
from agent.bedrock.errors import CallInterruptedError, InvalidRequestError, SettingsError
from agent.bedrock.testing import FakeBedrock, Hangup, RawAnswer, Refusal, Reply, StreamException, Text, ToolCall

from .guarded import BOTH, HELLO, MODEL, asking, bedrock, guarded, streamed, whole

DENIED = Refusal(
    "AccessDeniedException",
    "User: arn:aws:iam::1:user/x is not authorized to perform: bedrock:InvokeModelWithResponseStream on resource: y",
)
NO_TOOLS_STREAMED = Refusal("ValidationException", "This model doesn't support tool use in streaming mode.")
THROTTLED = Refusal("ThrottlingException", "Too many requests, please wait before trying again.")
TOOLS = {"tools": [{"toolSpec": {"name": "t", "inputSchema": {"json": {"type": "object"}}}}]}
OTHER = "amazon.nova-lite-v1:0"
ASKED = [{"role": "user", "content": "Hi"}]


@pytest.fixture(autouse=True)
def _no_waiting() -> Iterator[None]:
    with pace.no_waiting():
        yield


def operations(fake: FakeBedrock) -> list[str]:
    return [request.operation for request in fake.requests]


def models(fake: FakeBedrock) -> list[str]:
    return [request.model_id for request in fake.requests]


class TestWholeInsteadOfStreamed:
    def test_a_loop_that_calls_the_client_gets_a_stream_made_of_the_whole_answer(self) -> None:
        reply = Reply(Text(("Hel", "lo")), ToolCall("t", {"a": 1}, id="t-1"))
        with FakeBedrock([DENIED, reply, reply]) as fake:
            answer = guarded(fake).converse_stream(**HELLO, toolConfig=TOOLS)
            assert isinstance(answer["stream"], EventStream)
            assert answer["ResponseMetadata"]["RequestId"] == answer["stream"].request_id
            names = [next(iter(event)) for event in answer["stream"]]
            assert operations(fake) == ["converse-stream", "converse"]
        assert names[0] == "messageStart"
        assert names[-2:] == ["messageStop", "metadata"]

    @pytest.mark.parametrize("refusal", [DENIED, NO_TOOLS_STREAMED], ids=["permission", "tools"])
    def test_the_callbacks_hear_the_same(self, refusal: Refusal) -> None:
        reply = Reply(Text(("Hello",)), ToolCall("t", {"a": 1}, id="t-1"))
        tools = [{"type": "function", "function": {"name": "t", "parameters": {"type": "object"}}}]
        heard: list[list[Any]] = []
        with FakeBedrock([refusal, reply]) as fake:
            told: list[Any] = []
            stream = bedrock(fake).stream(MODEL, ASKED, tools, on_text_delta=told.append, on_tool_start=told.append)
            completion = stream.completion()
            heard.append(told)
        assert told == ["Hello", "t"]
        assert completion.choices[0].finish_reason == "tool_calls"
        assert completion.bedrock.attempts == 2

    def test_it_is_remembered_for_the_model_and_region(self) -> None:
        with FakeBedrock([DENIED]) as fake:
            client = guarded(fake)
            for _ in range(3):
                streamed(client)
            streamed(guarded(fake))
            assert operations(fake) == ["converse-stream", *["converse"] * 4]
            streamed(client, {**HELLO, "modelId": OTHER})
            assert operations(fake)[-1] == "converse-stream"

    def test_what_others_may_not_do_is_not_ones_own_denial(self) -> None:
        with FakeBedrock([DENIED]) as fake:
            streamed(guarded(fake))
            streamed(guarded(fake, Credentials(aws_access_key_id="AKIDOTHER", aws_secret_access_key="not-a-secret")))
            assert operations(fake) == ["converse-stream", "converse", "converse-stream"]

    def test_a_model_that_streams_no_tools_still_streams_without_them(self) -> None:
        with FakeBedrock([NO_TOOLS_STREAMED]) as fake:
            client = guarded(fake)
            streamed(client, {**HELLO, "toolConfig": TOOLS})
            streamed(client)
            streamed(client, {**HELLO, "toolConfig": TOOLS})
            assert operations(fake) == ["converse-stream", "converse", "converse-stream", "converse"]

    def test_after_an_hour_the_stream_is_tried_again(self, monkeypatch: pytest.MonkeyPatch) -> None:
        with FakeBedrock([DENIED]) as fake:
            client = guarded(fake)
            streamed(client)
            monkeypatch.setattr(pace.current_pace(), "now", lambda: time.monotonic() + 3601)
            streamed(client)
            assert operations(fake) == ["converse-stream", "converse", "converse-stream"]

    def test_a_guardrails_way_of_streaming_is_left_out(self) -> None:
        guardrail = {"guardrailIdentifier": "abc", "guardrailVersion": "1", "streamProcessingMode": "async"}
        with FakeBedrock([DENIED]) as fake:
            streamed(guarded(fake), {**HELLO, "guardrailConfig": guardrail})
            assert fake.requests[1].body["guardrailConfig"] == {"guardrailIdentifier": "abc", "guardrailVersion": "1"}

    def test_the_whole_answer_is_protected_as_ever(self) -> None:
        with FakeBedrock([DENIED, RawAnswer(b"{}"), Refusal("InternalServerException", "x"), Reply("Hello")]) as fake:
            assert streamed(guarded(fake)).message.content == "Hello"

    def test_no_other_denial_is_a_reason(self) -> None:
        with FakeBedrock([Refusal("AccessDeniedException", "You don't have access to the model")]) as fake:
            with pytest.raises(ClientError):
                streamed(guarded(fake))
            assert operations(fake) == ["converse-stream"]

    def test_it_can_be_closed(self) -> None:
        with FakeBedrock([DENIED, Reply(Text(("a", "b", "c")))]) as fake:
            stream = guarded(fake).converse_stream(**HELLO)["stream"]
            events = iter(stream)
            next(events)
            stream.close()
            assert list(events) == []


class TestFailover:
    @pytest.mark.parametrize("ask", BOTH)
    @pytest.mark.parametrize(
        ("fault", "kind"),
        [
            (THROTTLED, "rate_limit"),
            (Refusal("ThrottlingException", "Too many tokens per day, please wait."), "quota"),
            (Refusal("ServiceUnavailableException", "busy"), "overloaded"),
            (Refusal("ModelNotReadyException", "loading"), "overloaded"),
        ],
    )
    def test_the_next_is_asked_at_once(self, ask: Callable[..., Any], fault: Any, kind: str) -> None:
        with FakeBedrock([fault, Reply("Hello")]) as fake:
            completion = ask(guarded(fake), asking(fallbacks=[(None, OTHER)]))
            assert models(fake) == [MODEL, OTHER]
        assert completion.message.content == "Hello"
        assert completion.bedrock.fallback == {"region": "us-east-1", "model": OTHER, "reason": kind}

    @pytest.mark.parametrize("ask", BOTH)
    @pytest.mark.parametrize(
        "fault", [Refusal("InternalServerException", "down"), Reply("x", fault=Hangup(reset=True))]
    )
    def test_a_region_that_is_out_is_left_after_all_attempts(self, ask: Callable[..., Any], fault: Any) -> None:
        with FakeBedrock([fault, fault, fault, Reply("Hello")]) as fake:
            completion = ask(guarded(fake), asking(fallbacks=[("eu-west-1", None)]))
            scopes = [request.headers["authorization"].split("/")[2] for request in fake.requests]
        assert scopes == ["us-east-1"] * 3 + ["eu-west-1"]
        assert completion.bedrock.fallback["region"] == "eu-west-1"

    @pytest.mark.parametrize("options", [{}, {"deadline": 10}])
    def test_a_region_that_is_out_for_longer_than_there_is_time_is_left_at_once(self, options: dict[str, Any]) -> None:
        out = Refusal("InternalServerException", "down", headers={"Retry-After": "600"})
        with FakeBedrock([out, Reply("Hello")]) as fake:
            completion = whole(guarded(fake), asking(fallbacks=[(None, OTHER)], **options))
            assert models(fake) == [MODEL, OTHER]
        assert completion.bedrock.fallback["reason"] == "server_error"

    def test_an_endpoint_that_cannot_be_reached(self) -> None:
        with FakeBedrock() as fake:
            client = guarded(fake, max_attempts=1)
            with fake.refusing(), pytest.raises(EndpointConnectionError) as raised:
                whole(client, asking(fallbacks=[("eu-west-1", None)]))
            assert raised.value.attempts == 2

    def test_in_the_order_given(self) -> None:
        third = "anthropic.claude-3-sonnet-20240229-v1:0"
        with FakeBedrock([THROTTLED, THROTTLED, Reply("Hello")]) as fake:
            whole(guarded(fake), asking(fallbacks=[(None, OTHER), (None, third)]))
            assert models(fake) == [MODEL, OTHER, third]

    def test_the_last_one_has_the_attempts_that_are_left(self) -> None:
        with FakeBedrock([THROTTLED] * 9) as fake:
            with pytest.raises(ClientError):
                whole(guarded(fake), asking(fallbacks=[(None, OTHER)]))
            assert models(fake) == [MODEL, OTHER, OTHER, OTHER]

    @pytest.mark.parametrize("refusal", [Refusal("ValidationException", "no"), Refusal("AccessDeniedException", "no")])
    def test_what_is_refused_is_not_asked_of_others(self, refusal: Refusal) -> None:
        with FakeBedrock([refusal]) as fake:
            with pytest.raises(ClientError):
                whole(guarded(fake), asking(fallbacks=[(None, OTHER)]))
            assert models(fake) == [MODEL]

    def test_a_stream_goes_over_before_its_first_event_and_never_after(self) -> None:
        early, late = (Reply("Hello", fault=StreamException("throttlingException", at=at)) for at in (1, 2))
        with FakeBedrock([early, Reply("Good day")]) as fake:
            completion = streamed(guarded(fake), asking(fallbacks=[(None, OTHER)]))
            assert models(fake) == [MODEL, OTHER]
            assert completion.bedrock.fallback["model"] == OTHER
        fallbacks.COOLING.clear()
        with FakeBedrock([late, Reply("Good day")]) as fake:
            with pytest.raises(ClientError):
                streamed(guarded(fake), asking(fallbacks=[(None, OTHER)]))
            assert models(fake) == [MODEL]

    def test_who_failed_is_left_alone_for_a_while(self, monkeypatch: pytest.MonkeyPatch) -> None:
        with FakeBedrock([THROTTLED]) as fake:
            client = guarded(fake)
            call = asking(fallbacks=[(None, OTHER)])
            whole(client, call)
            completion = whole(client, call)
            assert models(fake) == [MODEL, OTHER, OTHER]
            assert completion.bedrock.fallback == {"region": "us-east-1", "model": OTHER, "reason": "rate_limit"}
            whole(client)
            assert models(fake)[-1] == MODEL, "without fallbacks there is nobody else"
            monkeypatch.setattr(pace.current_pace(), "now", lambda: time.monotonic() + fallbacks.COOL_DOWN + 1)
            completion = whole(client, call)
            assert models(fake)[-1] == MODEL
            assert completion.bedrock.fallback is None

    def test_the_quota_of_others_is_not_ones_own(self) -> None:
        other = Credentials(aws_access_key_id="AKIDOTHER", aws_secret_access_key="not-a-secret")
        with FakeBedrock([THROTTLED]) as fake:
            for client in (guarded(fake), guarded(fake, other)):
                whole(client, asking(fallbacks=[(None, OTHER)]))
            assert models(fake) == [MODEL, OTHER, MODEL]

    def test_where_all_are_cooling_the_first_is_asked(self) -> None:
        with FakeBedrock([THROTTLED] * 6) as fake:
            client = guarded(fake, max_attempts=1)
            for _ in range(2):
                with pytest.raises(ClientError):
                    whole(client, asking(fallbacks=[(None, OTHER)]))
            assert models(fake) == [MODEL, OTHER, MODEL, OTHER]

    def test_the_face_builds_the_request_anew_for_the_other_model(self) -> None:
        tools = [{"type": "function", "function": {"name": "my-tool", "parameters": {"type": "object"}}}]
        reply = Reply(ToolCall("my_tool", {}, id="t-1"))
        with FakeBedrock([THROTTLED, reply]) as fake:
            completion = bedrock(fake).complete(MODEL, ASKED, tools, fallbacks=[(None, OTHER)])
            wire = [request.body["toolConfig"]["tools"][0]["toolSpec"]["name"] for request in fake.requests]
        assert wire[0] == "my-tool"
        assert wire[1] != "my-tool", "Nova takes no hyphens"
        assert completion.model == OTHER
        assert completion.bedrock.fallback["model"] == OTHER

    def test_whoever_names_none_gets_none(self) -> None:
        with FakeBedrock([THROTTLED] * 3) as fake:
            with pytest.raises(ClientError):
                whole(guarded(fake), asking())
            assert models(fake) == [MODEL] * 3

    def test_one_that_cannot_be_asked_is_passed_over(self, caplog: pytest.LogCaptureFixture) -> None:
        with FakeBedrock([THROTTLED, Reply("Hello")]) as fake:
            completion = whole(guarded(fake), asking(fallbacks=[("no region!", None), (None, OTHER)]))
            assert models(fake) == [MODEL, OTHER]
        assert completion.bedrock.fallback["model"] == OTHER
        assert "cannot be asked instead" in caplog.text

    def test_where_none_can_be_asked_the_call_is_retried_and_its_own_failure_raised(self) -> None:
        with FakeBedrock([THROTTLED] * 3) as fake:
            with pytest.raises(ClientError, match="ThrottlingException"):
                whole(guarded(fake), asking(fallbacks=[("no region!", None)]))
            assert models(fake) == [MODEL] * 3

    @pytest.mark.parametrize("wrong", [["us-east-1"], [("us-east-1",)], [("us-east-1", 5)], [("", "m")]])
    def test_what_is_no_list_of_pairs_is_refused_by_name(self, wrong: Any) -> None:
        with FakeBedrock() as fake, pytest.raises(InvalidRequestError, match="fallbacks"):
            bedrock(fake).complete(MODEL, ASKED, fallbacks=wrong)

    def test_giving_up_ends_it(self) -> None:
        stop = threading.Event()

        def answer(request: Any) -> Any:
            stop.set()
            return THROTTLED

        with FakeBedrock(answer) as fake:
            with pytest.raises(CallInterruptedError):
                whole(guarded(fake), asking(fallbacks=[(None, OTHER)], cancel=stop))
            assert models(fake) == [MODEL]


class TestMemory:
    def test_is_bounded(self) -> None:
        memory = Memory(limit=3)
        for number in range(10):
            memory.keep(number)
        assert len(memory) == 3
        assert [memory.get(number) for number in (6, 7, 8, 9)] == [None, True, True, True]

    @pytest.mark.skipif(not hasattr(os, "fork"), reason="this system cannot fork")
    @pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")
    def test_a_fork_takes_no_lock_along(self) -> None:
        memory = Memory(limit=3)
        with memory._lock:
            child = os.fork()
            if not child:
                memory.keep("a")
                os._exit(0)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0

    def test_forgets_in_time(self) -> None:
        memory = Memory(limit=3)
        memory.keep("a", 1, seconds=10)
        with pace.no_waiting() as waits:
            assert memory.get("a") == 1
            waits.append(11)
            assert memory.get("a") is None


ENDPOINT_OF_A_REGION = "https://vpce-0a1b.bedrock-runtime.{}.vpce.amazonaws.com"


class TestEndpoints:
    @pytest.mark.parametrize("ask", BOTH)
    def test_a_region_that_the_endpoint_is_not_in_is_refused_before_anything_is_sent(
        self, ask: Callable[..., Any]
    ) -> None:
        with FakeBedrock() as fake:
            client = guarded(fake, endpoint_url=ENDPOINT_OF_A_REGION.format("us-east-1"))
            with pytest.raises(SettingsError, match=r"eu-west-1 cannot be asked at an endpoint of us-east-1.*{region}"):
                ask(client, asking(fallbacks=[(None, OTHER), ("eu-west-1", None)]))

    @pytest.mark.parametrize(
        ("endpoint", "fallback"),
        [
            (None, ("eu-west-1", None)),
            ("https://gateway.example.com/us-east-1", ("eu-west-1", None)),
            (ENDPOINT_OF_A_REGION.format("{region}"), ("eu-west-1", None)),
            (ENDPOINT_OF_A_REGION.format("us-east-1"), ("us-east-1", OTHER)),
            (ENDPOINT_OF_A_REGION.format("us-east-1"), (None, OTHER)),
        ],
    )
    def test_others_can_be_asked(self, endpoint: str | None, fallback: tuple[str | None, str | None]) -> None:
        protection = Protection(ClientSettings(endpoint_url=endpoint))
        client = SimpleNamespace(meta=SimpleNamespace(region_name="us-east-1"))
        journey = Journey("Converse", protection, fallbacks=[fallback])
        refuse_unreachable_regions(Call(client, "Converse", {}, journey))
        assert journey.fallbacks == [fallback], "nobody is struck off"

    def test_a_gateway_is_asked_for_the_other_region_signed_for_it(self) -> None:
        with FakeBedrock([Refusal("ThrottlingException", "slow down"), Reply("Hello")]) as fake:
            assert whole(guarded(fake), asking(fallbacks=[("eu-west-1", None)])).message.content == "Hello"
            scopes = [request.headers["authorization"].split("/")[2] for request in fake.requests]
        assert scopes == ["us-east-1", "eu-west-1"]
