"""What is answered: replies, refusals, their order."""

from __future__ import annotations

import itertools
import time
from typing import Any

import pytest
from botocore.exceptions import ClientError

from agent.bedrock.testing import (
    FakeBedrock,
    Framing,
    RawAnswer,
    RecordedRequest,
    Refusal,
    Reply,
    ScriptExhaustedError,
    Text,
    ToolCall,
    Usage,
)
from agent.bedrock.testing.script import STATUS_OF_CODE

from .conftest import ask, client_of, newest_model


def text_of(answer: dict[str, Any]) -> str:
    return "".join(block.get("text", "") for block in answer["output"]["message"]["content"])


def test_answers_come_in_the_order_of_the_script(fake: FakeBedrock, client: Any) -> None:
    fake.queue("one", Text("two"), Reply("three"))
    assert [text_of(client.converse(**ask())) for _ in range(3)] == ["one", "two", "three"]


def test_a_function_answers_each_request_for_what_it_asks() -> None:
    def echo(request: RecordedRequest) -> Reply:
        return Reply(f"{request.operation} says {request.messages[-1]['content'][0]['text']}")

    with FakeBedrock(echo) as fake:
        client = client_of(fake)
        assert text_of(client.converse(**ask(text="red"))) == "converse says red"
        assert text_of(client.converse(**ask(text="blue"))) == "converse says blue"


def test_what_is_queued_comes_before_what_the_function_says() -> None:
    with FakeBedrock(lambda request: Reply("from the function")) as fake:
        fake.queue("queued")
        client = client_of(fake)
        assert [text_of(client.converse(**ask())) for _ in range(2)] == ["queued", "from the function"]


def test_a_sequence_may_be_endless() -> None:
    with FakeBedrock(itertools.cycle(["tick", "tock"])) as fake:
        client = client_of(fake)
        assert [text_of(client.converse(**ask())) for _ in range(3)] == ["tick", "tock", "tick"]


def test_what_is_queued_comes_after_the_sequence() -> None:
    with FakeBedrock(["first"]) as fake:
        fake.queue("second")
        client = client_of(fake)
        assert [text_of(client.converse(**ask())) for _ in range(2)] == ["first", "second"]


def test_an_exhausted_script_says_so(fake: FakeBedrock, client: Any) -> None:
    assert text_of(client.converse(**ask())) == "The script of the stand-in is exhausted."


def test_an_exhausted_script_fails_the_block_if_told_to() -> None:
    said = pytest.raises(ScriptExhaustedError, match=r"request 1 \(converse\)")
    with said, FakeBedrock(exhausted="raise") as fake, pytest.raises(ClientError, match="InternalServerException"):
        client_of(fake).converse(**ask())


def test_what_the_function_raises_fails_the_block() -> None:
    def broken(request: RecordedRequest) -> Reply:
        raise LookupError("a bug in the test")

    said = pytest.raises(LookupError, match="a bug in the test")
    with said, FakeBedrock(broken) as fake, pytest.raises(ClientError, match="InternalServerException"):
        client_of(fake).converse(**ask())


def test_a_mapping_is_answered_as_it_is(fake: FakeBedrock, client: Any) -> None:
    fake.queue({"output": {"message": {"role": "assistant", "content": []}}, "stopReason": "brand_new"})
    assert client.converse(**ask())["stopReason"] == "brand_new"


def test_a_recorded_stream_is_played_back_byte_for_byte(fake: FakeBedrock, client: Any) -> None:
    recorded = Reply("Hi", padding=False).answer("converse-stream").body
    fake.queue(RawAnswer(recorded, "application/vnd.amazon.eventstream", framing=Framing.CHUNKED))
    events = list(client.converse_stream(**ask())["stream"])
    assert [next(iter(event)) for event in events][-2:] == ["messageStop", "metadata"]


@pytest.mark.parametrize(
    ("blocks", "reason"),
    [
        ((Text("x"),), "end_turn"),
        ((Text("x"), ToolCall("f")), "tool_use"),
        ((ToolCall("f", type="server_tool_use"),), "end_turn"),
        ((ToolCall("f", type="tool_use"),), "tool_use"),
    ],
)
def test_the_stop_reason_follows_from_the_blocks(blocks: tuple[Any, ...], reason: str) -> None:
    assert Reply(*blocks).stop_reason == reason
    assert Reply(*blocks, stop_reason="max_tokens").stop_reason == "max_tokens"


@newest_model
def test_everything_beside_the_message_reaches_the_client_in_both_forms(fake: FakeBedrock, client: Any) -> None:
    extras: dict[str, Any] = {
        "trace": {"guardrail": {"actionReason": "none"}},
        "performance_config": {"latency": "optimized"},
        "service_tier": {"type": "flex"},
    }
    reply = Reply("x", latency_ms=7, additional_fields={"stop_sequence": "END"}, **extras)
    fake.queue(reply, reply)
    whole = client.converse(**ask())
    stop, metadata = list(client.converse_stream(**ask())["stream"])[-2:]
    for got in (whole, metadata["metadata"]):
        assert got["metrics"] == {"latencyMs": 7}
        assert got["trace"] == extras["trace"]
        assert got["performanceConfig"] == extras["performance_config"]
        assert got["serviceTier"] == extras["service_tier"]
    assert whole["additionalModelResponseFields"] == {"stop_sequence": "END"}
    assert stop["messageStop"]["additionalModelResponseFields"] == {"stop_sequence": "END"}


@newest_model
def test_usage_counts_the_cache_into_the_total_as_the_service_does(fake: FakeBedrock, client: Any) -> None:
    fake.queue(Reply("x", usage=Usage(3, 227, cache_read=0, cache_write=1712, details=[("5m", 1712)])))
    assert client.converse(**ask())["usage"] == {
        "inputTokens": 3,
        "outputTokens": 227,
        "totalTokens": 1942,
        "cacheReadInputTokens": 0,
        "cacheWriteInputTokens": 1712,
        "cacheDetails": [{"ttl": "5m", "inputTokens": 1712}],
    }


def test_usage_may_be_written_out(fake: FakeBedrock, client: Any) -> None:
    written = {"inputTokens": 1, "outputTokens": 2, "totalTokens": 4}
    fake.queue(Reply("x", usage=written))
    assert client.converse(**ask())["usage"] == written


@pytest.mark.parametrize(("code", "status"), STATUS_OF_CODE.items())
@pytest.mark.parametrize("operation", ["converse", "converse_stream"])
def test_a_refusal_has_the_status_of_its_code(
    fake: FakeBedrock, client: Any, code: str, status: int, operation: str
) -> None:
    fake.queue(Refusal(code, "because", headers={"x-amzn-requestid": "id-1"}))
    with pytest.raises(ClientError) as caught:
        getattr(client, operation)(**ask())
    error = caught.value.response
    assert error["Error"] == {"Code": code, "Message": "because"}
    assert error["ResponseMetadata"]["HTTPStatusCode"] == status
    assert error["ResponseMetadata"]["RequestId"] == "id-1"
    assert error["ResponseMetadata"]["HTTPHeaders"]["x-amzn-errortype"].startswith(f"{code}:http://")


def test_a_refusal_carries_further_members_and_headers(fake: FakeBedrock, client: Any) -> None:
    fake.queue(Refusal("ModelErrorException", "no", members={"originalStatusCode": 503}, headers={"retry-after": "3"}))
    with pytest.raises(ClientError) as caught:
        client.converse(**ask())
    assert caught.value.response["originalStatusCode"] == 503
    assert caught.value.response["ResponseMetadata"]["HTTPHeaders"]["retry-after"] == "3"


@pytest.mark.parametrize("status", [400, 403, 404, 408, 413, 424, 429, 500, 502, 503, 504, 529])
@pytest.mark.parametrize("form", [Refusal.html, Refusal.empty])
def test_a_gateway_refuses_without_a_type(fake: FakeBedrock, client: Any, status: int, form: Any) -> None:
    fake.queue(form(status))
    with pytest.raises(ClientError) as caught:
        client.converse(**ask())
    assert caught.value.response["Error"]["Code"] == str(status)
    assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] == status


def test_every_answer_has_a_request_id_of_its_own(fake: FakeBedrock, client: Any) -> None:
    ids = {client.converse(**ask())["ResponseMetadata"]["RequestId"] for _ in range(3)}
    assert len(ids) == 3


def test_events_come_at_the_pace_asked_for(fake: FakeBedrock, client: Any) -> None:
    fake.queue(Reply(Text(("a", "b", "c")), pace=0.02, delay=0.05))
    started = time.monotonic()
    stream = client.converse_stream(**ask())["stream"]
    opened = time.monotonic()
    arrivals = [time.monotonic() for _ in stream]
    assert opened - started >= 0.05
    assert len(arrivals) == 7
    assert arrivals[-1] - started >= 0.05 + 6 * 0.02


def test_one_description_can_be_answered_again_and_again(fake: FakeBedrock, client: Any) -> None:
    reply = Reply("Hi", ToolCall("f", {"a": 1}, id="t"))
    fake.queue(reply, reply, reply)
    first, second = client.converse(**ask()), client.converse(**ask())
    assert first["output"] == second["output"]
    assert list(client.converse_stream(**ask())["stream"])[-2] == {"messageStop": {"stopReason": "tool_use"}}
