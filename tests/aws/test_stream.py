"""The fast stream under boto3's clients: where it goes, what it is, and when botocore's own parser stays."""

from __future__ import annotations

import contextlib
import gc
import subprocess
import sys
import weakref
from collections.abc import Iterator, Mapping
from typing import Any

import boto3
import botocore.session
import pytest
from botocore.eventstream import ChecksumMismatch, EventStream, NoInitialResponseError
from botocore.model import OperationModel, ServiceModel

from agent.bedrock.aws.stream import event_model, install_fast_stream, stream_class
from agent.bedrock.errors import CallInterruptedError
from agent.bedrock.response.frames import decoder_for
from agent.bedrock.testing import Cut, End, FakeBedrock, Fault, Framing, Junk, Reply, StreamException, Text, ToolCall
from tests.response.frame_bytes import SHORT_STREAM, encode, event, operation_model
from tests.wire.streaming import QUESTION, Settings, bare_client, fast_client, open_stream

ANSWER = Reply(Text(("Hello", " world")), ToolCall("f", {"a": 1}, id="t"))


@pytest.fixture
def fake() -> Iterator[FakeBedrock]:
    with FakeBedrock(lambda request: ANSWER) as running:
        yield running


def is_fast(stream: Any) -> bool:
    return isinstance(stream, stream_class())


# --- where it goes ------------------------------------------------------------------------------------------------


def test_a_clients_streams_are_event_streams_of_botocore_with_the_same_answer_around(fake: FakeBedrock) -> None:
    client, bare = fast_client(fake), bare_client(fake)
    answer, expected = client.converse_stream(**QUESTION), bare.converse_stream(**QUESTION)
    stream = answer["stream"]
    assert is_fast(stream)
    assert isinstance(stream, EventStream)
    assert list(stream) == list(expected["stream"])
    assert answer.keys() == expected.keys()
    metadata, known = answer["ResponseMetadata"], expected["ResponseMetadata"]
    assert metadata.keys() == known.keys()
    assert metadata["RequestId"] == stream.request_id
    assert metadata["HTTPStatusCode"] == 200
    for each in (client, bare):
        each.close()


def test_installing_again_changes_nothing(fake: FakeBedrock) -> None:
    client = fast_client(fake, idle_timeout=3)
    install_fast_stream(client, decoder_for, Settings(idle_timeout=7))
    stream = open_stream(client)
    assert stream._patience.idle_timeout == 3
    assert len(list(stream)) == len(ANSWER.events())
    client.close()


@pytest.mark.parametrize("kind", ["boto3", "botocore"])
def test_a_session_hands_it_to_every_client_it_makes_from_then_on(fake: FakeBedrock, kind: str) -> None:
    session: Any = boto3.session.Session() if kind == "boto3" else botocore.session.Session()
    make = session.client if kind == "boto3" else session.create_client
    before = make("bedrock-runtime", **fake.client_options())
    install_fast_stream(session, decoder_for)
    after = make("bedrock-runtime", **fake.client_options())
    streams = [client.converse_stream(**QUESTION)["stream"] for client in (before, after)]
    assert [is_fast(stream) for stream in streams] == [False, True]
    assert list(streams[0]) == list(streams[1])
    for client in (before, after):
        client.close()


def test_other_operations_are_as_they_were(fake: FakeBedrock) -> None:
    client, bare = fast_client(fake), bare_client(fake)
    answers = [each.converse(**QUESTION) for each in (client, bare)]
    for answer in answers:
        del answer["ResponseMetadata"]
    assert answers[0] == answers[1]
    for each in (client, bare):
        each.close()


def test_importing_it_loads_neither_botocore_nor_urllib3() -> None:
    script = (
        "import sys; import agent.bedrock.aws.stream, agent.bedrock.response.frames; "
        "sys.exit(any(name in sys.modules for name in ('botocore', 'urllib3', 'orjson', 'ssl')))"
    )
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == 0


# --- when botocore's own parser stays -----------------------------------------------------------------------------


class Emitter:
    """A client's events, of which one can be fired by hand."""

    def __init__(self) -> None:
        self.handler: Any = None

    def register(self, name: str, handler: Any, unique_id: str | None = None) -> None:
        if name == "before-parse.bedrock-runtime.ConverseStream":
            self.handler = handler


class Raw:
    """A response that holds the bytes of a stream."""

    def __init__(self, *portions: bytes) -> None:
        self._portions = portions
        self.closed = 0

    def stream(self) -> Iterator[bytes]:
        return iter(self._portions)

    def close(self) -> None:
        self.closed += 1


def put_into(response: Mapping[str, Any], operation: Any = None) -> dict[str, Any]:
    """What the hook puts into an answer."""
    emitter = Emitter()
    install_fast_stream(emitter, decoder_for)
    customized: dict[str, Any] = {}
    emitter.handler(
        operation_model=operation or operation_model(),
        response_dict={"headers": {}, "status_code": 200, **response},
        customized_response_dict=customized,
        event_name="before-parse",
    )
    return customized


def fast_stream(*portions: bytes) -> Any:
    """A fast stream of these bytes."""
    return put_into({"body": Raw(*portions)})["stream"]


@pytest.mark.parametrize("status", [300, 400, 424, 500, 503])
def test_an_answer_that_is_an_error_is_left_alone(status: int) -> None:
    assert put_into({"status_code": status, "body": b'{"message":"no"}'}) == {}


def test_a_body_that_is_no_response_is_left_alone() -> None:
    assert put_into({"body": b""}) == {}


def changed_operation(**change: Any) -> OperationModel:
    """ConverseStream in a service model that somebody changed."""
    description = botocore.session.Session().get_data("bedrock-runtime/2023-09-30/service-2")
    shapes = {**description["shapes"], **change.pop("shapes", {})}
    model = ServiceModel({**description, "shapes": shapes, "metadata": {**description["metadata"], **change}})
    return model.operation_model("ConverseStream")


@pytest.mark.parametrize(
    "change",
    [
        {"protocol": "smithy-rpc-v2-cbor", "protocols": ["smithy-rpc-v2-cbor"]},
        {
            "shapes": {
                "MessageStartEvent": {
                    "type": "structure",
                    "event": True,
                    "members": {"role": {"shape": "ConversationRole", "eventheader": True}},
                }
            }
        },
    ],
)
def test_a_model_that_asks_for_more_than_json_is_left_to_botocore(change: dict[str, Any]) -> None:
    operation = changed_operation(**change)
    assert event_model(operation) is None
    assert put_into({"body": Raw()}, operation) == {}


def test_an_operation_without_a_stream_has_no_events() -> None:
    assert event_model(operation_model().service_model.operation_model("Converse")) is None


def test_members_that_a_newer_botocore_knows_are_read_as_it_reads_them() -> None:
    members = {"at": {"shape": "Moment"}, "renamed": {"shape": "String", "locationName": "onTheWire"}}
    operation = changed_operation(
        shapes={
            "Moment": {"type": "timestamp"},
            "MessageStartEvent": {"type": "structure", "event": True, "members": members},
        }
    )
    payload = b'{"at": 1700000000, "onTheWire": "x", "renamed": "not this"}'
    [got] = put_into({"body": Raw(event("messageStart", payload))}, operation)["stream"]
    assert got["messageStart"]["renamed"] == "x"
    assert got["messageStart"]["at"].timestamp() == 1_700_000_000


# --- what it is ---------------------------------------------------------------------------------------------------


def test_the_raw_stream_is_where_botocore_keeps_it() -> None:
    raw = Raw()
    stream = put_into({"body": raw})["stream"]
    assert stream._raw_stream is raw
    stream.close()
    assert raw.closed == 1


def test_two_loops_share_one_stream_without_losing_an_event() -> None:
    stream = fast_stream(b"".join(SHORT_STREAM[:3]), b"".join(SHORT_STREAM[3:]))
    first, second = iter(stream), iter(stream)
    got = [next(first), next(second), next(first), next(second), *first, *second]
    assert got == list(fast_stream(*SHORT_STREAM))


def test_two_loops_that_take_turns_tell_all_in_order() -> None:
    stream = fast_stream(*(b"".join(SHORT_STREAM[at : at + 2]) for at in (0, 2, 4)))
    first, second = iter(stream), iter(stream)
    got = [next(first), next(second), next(second), next(first), *second, *first]
    assert got == list(fast_stream(*SHORT_STREAM))


def test_a_loop_that_only_looked_at_how_it_begins_takes_nothing_away() -> None:
    stream = fast_stream(b"".join(SHORT_STREAM[:3]), b"".join(SHORT_STREAM[3:]))
    looking = iter(stream)
    got = [next(looking)]
    for batch in iter(stream.next_batch, None):
        got += batch
    assert got == list(fast_stream(*SHORT_STREAM))


def test_batches_are_what_has_come_and_their_end_is_said_again() -> None:
    stream = fast_stream(b"".join(SHORT_STREAM[:3]), b"".join(SHORT_STREAM[3:]))
    batches = [list(batch) for batch in iter(stream.next_batch, None)]
    assert [len(batch) for batch in batches] == [3, len(SHORT_STREAM) - 3]
    assert [event for batch in batches for event in batch] == list(fast_stream(*SHORT_STREAM))
    assert stream.next_batch() is None


def test_a_batch_ends_where_the_stream_is_closed() -> None:
    stream = fast_stream(b"".join(SHORT_STREAM[:3]), b"".join(SHORT_STREAM[3:]))
    batch = stream.next_batch()
    assert next(batch) == next(iter(fast_stream(*SHORT_STREAM)))
    stream.close()
    assert list(batch) == []
    with pytest.raises(CallInterruptedError):
        stream.next_batch()


def test_what_comes_while_it_is_closed_is_not_delivered_even_if_that_is_all() -> None:
    with FakeBedrock([Reply(Text(("Hello",)), group=10_000, framing=Framing.LENGTH)]) as fake:
        client = fast_client(fake)
        stream = open_stream(client)
        feed = stream._decoder.feed

        def feed_while_another_thread_closes(data: bytes) -> list[Any]:
            stream.close()
            events: list[Any] = feed(data)
            return events

        stream._decoder.feed = feed_while_another_thread_closes
        delivered: list[Any] = []
        with contextlib.suppress(CallInterruptedError):  # where not all bytes came at once
            delivered.extend(stream)
        assert delivered == []
        client.close()


def test_events_before_a_fault_are_delivered_before_it_is_raised() -> None:
    stream = fast_stream(b"".join((*SHORT_STREAM[:2], encode((), crc=1), *SHORT_STREAM[2:])))
    events = iter(stream)
    assert len([next(events), next(events)]) == 2
    with pytest.raises(ChecksumMismatch):
        next(events)


def test_get_initial_response_gives_the_message_and_keeps_the_events() -> None:
    greeting = encode(((":event-type", 7, "initial-response"), (":message-type", 7, "event")), b'{"hello":1}')
    stream = fast_stream(greeting[:9], greeting[9:] + SHORT_STREAM[0], *SHORT_STREAM[1:])
    message = stream.get_initial_response()
    assert message.payload == b'{"hello":1}'
    assert list(stream) == list(fast_stream(*SHORT_STREAM))
    asked_by_batch = fast_stream(greeting[:9], greeting[9:] + SHORT_STREAM[0], *SHORT_STREAM[1:])
    asked_by_batch.get_initial_response()
    assert list(asked_by_batch.next_batch()) == list(fast_stream(*SHORT_STREAM))[:1]


def test_what_get_initial_response_kept_goes_when_the_stream_is_closed() -> None:
    stream = fast_stream(b"".join(SHORT_STREAM))
    with pytest.raises(NoInitialResponseError):
        stream.get_initial_response()
    stream.close()
    with pytest.raises(CallInterruptedError):
        stream.next_batch()


@pytest.mark.parametrize("portions", [(), SHORT_STREAM])
def test_without_an_initial_response_the_events_are_still_there(portions: tuple[bytes, ...]) -> None:
    stream = fast_stream(*portions)
    with pytest.raises(NoInitialResponseError):
        stream.get_initial_response()
    assert list(stream) == list(fast_stream(*portions))


def test_a_finished_stream_and_its_body_are_freed_without_the_collector(fake: FakeBedrock) -> None:
    client = fast_client(fake)
    gc.disable()
    try:
        stream = open_stream(client)
        list(stream)
        kept = [weakref.ref(part) for part in (stream, stream._body, stream._raw_stream)]
        del stream
        assert [part() for part in kept] == [None] * 3
    finally:
        gc.enable()
    client.close()


def fails(stream: Any) -> bool:
    """Whether reading it raises; the exception is gone then (pytest would keep it, and its frames the stream)."""
    try:
        list(stream)
    except Exception:  # noqa: BLE001 - of whatever kind
        return True
    return False


@pytest.mark.parametrize("fault", [Junk(at=3), StreamException("throttlingException", at=3), Cut(300, End.RESET)])
def test_a_failed_stream_keeps_neither_its_response_nor_the_pool_until_the_collector_comes(fault: Fault) -> None:
    with FakeBedrock([Reply("Hello", fault=fault)]) as fake:
        client = fast_client(fake)
        gc.disable()
        try:
            stream = open_stream(client)
            kept = [weakref.ref(part) for part in (stream, stream._body, stream._raw_stream)]
            assert fails(stream)
            del stream
            assert [part() for part in kept] == [None] * 3
            client.close()
            assert fake.wait_for(lambda fake: fake.open_connections == 0)
        finally:
            gc.enable()
