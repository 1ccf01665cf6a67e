"""How a call ends: complete, interrupted, or an error that carries what came."""

from __future__ import annotations

import gc
import pickle
import threading
from collections.abc import Callable, Iterator
from typing import Any
from unittest.mock import MagicMock

import pytest

from agent.bedrock.chat import ChatStream, Watch, complete
from agent.bedrock.errors import (
    CallInterruptedError,
    CorruptStreamError,
    MalformedOutputError,
    StreamFaultError,
    TruncatedResponseError,
)
from agent.bedrock.notes import NOTES_KEY, CallNotes, notes_of_answer
from agent.bedrock.response.events import MessageStop, TextDelta

REQUEST_ID = "11111111-2222-3333-4444-555555555555"


def text(*pieces: str) -> list[dict[str, Any]]:
    return [{"contentBlockDelta": {"delta": {"text": piece}, "contentBlockIndex": 0}} for piece in pieces]


STOP = {"messageStop": {"stopReason": "end_turn"}}


class Raw:
    """A raw stream that says whether it was closed."""

    def __init__(self, events: list[Any], on_close: Callable[[], None] = lambda: None) -> None:
        self.events = events
        self.closed = threading.Event()
        self.on_close = on_close

    def __iter__(self) -> Iterator[Any]:
        for event in self.events:
            if isinstance(event, BaseException):
                raise event
            yield event() if callable(event) else event

    def close(self) -> None:
        self.closed.set()
        self.on_close()


def answer(stream: Any) -> dict[str, Any]:
    return {"stream": stream, "ResponseMetadata": {"RequestId": REQUEST_ID}}


def test_a_complete_stream_gives_its_completion_and_its_connection_back() -> None:
    raw = Raw([*text("Hel", "lo"), STOP])
    completion = ChatStream(answer(raw)).completion()
    assert completion.message.content == "Hello"
    assert completion.bedrock.request_id == REQUEST_ID
    assert completion.id == f"chatcmpl-{REQUEST_ID}"
    assert not completion.bedrock.interrupted
    assert not raw.closed.is_set()  # run to the end, the connection goes back to the pool by itself


def test_events_and_completion_tell_the_same() -> None:
    stream = ChatStream(answer([*text("a", "b"), STOP]))
    assert [event.text for event in stream if isinstance(event, TextDelta)] == ["a", "b"]
    assert stream.completion().message.content == "ab"


@pytest.mark.parametrize("events", [[], text("half"), [*text("half"), {"metadata": {"usage": {}}}]])
def test_an_end_without_message_stop_is_an_error_that_carries_what_came(events: list[Any]) -> None:
    raw = Raw(events)
    with pytest.raises(TruncatedResponseError, match=REQUEST_ID) as caught:
        ChatStream(answer(raw)).completion()
    partial = caught.value.partial
    assert (partial.message.content if partial else None) == ("half" if events else None)
    assert caught.value.request_id == REQUEST_ID
    assert raw.closed.is_set()


def test_a_foreign_error_carries_partial_and_request_id_unchanged_otherwise() -> None:
    fault = OSError("Connection broken")
    with pytest.raises(OSError, match="Connection broken") as caught:
        ChatStream(answer(Raw([*text("half"), fault]))).completion()
    assert caught.value is fault
    assert caught.value.partial.message.content == "half"  # type: ignore[attr-defined]
    assert caught.value.request_id == REQUEST_ID  # type: ignore[attr-defined]


def test_a_fault_told_as_an_event_is_raised() -> None:
    stream = ChatStream(answer([*text("half"), {"throttlingException": {"message": "slow down"}}]))
    with pytest.raises(StreamFaultError, match="slow down") as caught:
        stream.completion()
    assert (caught.value.code, caught.value.partial.message.content) == ("throttlingException", "half")


@pytest.mark.parametrize("reason", ["malformed_model_output", "malformed_tool_use"])
def test_malformed_output_is_an_error_whole_or_streamed(reason: str) -> None:
    with pytest.raises(MalformedOutputError, match=reason) as streamed:
        ChatStream(answer([*text("oops"), {"messageStop": {"stopReason": reason}}])).completion()
    content = [{"text": "oops"}]
    with pytest.raises(MalformedOutputError, match=reason) as whole:
        complete({"output": {"message": {"role": "assistant", "content": content}}, "stopReason": reason})
    assert streamed.value.partial.message.content == whole.value.partial.message.content == "oops"


@pytest.mark.parametrize(
    "response",
    [
        {},
        {"stopReason": "end_turn"},
        {"output": {"message": {"role": "assistant", "content": [{"text": "a"}]}}},
        {"output": {}, "stopReason": "end_turn"},
    ],
)
def test_a_whole_answer_without_output_or_stop_reason_is_truncated(response: dict[str, Any]) -> None:
    with pytest.raises(TruncatedResponseError):
        complete(response)


@pytest.mark.parametrize(
    "content",
    [
        [None],
        [{"text": 5}],
        [{"text": ["a"]}],
        [{"toolUse": {"toolUseId": "t", "name": ["n"], "input": {}}}],
        [{"reasoningContent": {"reasoningText": {"text": "a", "signature": 5}}}],
    ],
)
def test_a_whole_answer_of_another_form_is_corrupt(content: list[Any]) -> None:
    answer = {"output": {"message": {"role": "assistant", "content": content}}, "stopReason": "end_turn"}
    with pytest.raises(CorruptStreamError, match="not in the form"):
        complete({**answer, "ResponseMetadata": {"RequestId": REQUEST_ID}})


@pytest.mark.parametrize(
    "delta", [{"text": 5}, {"reasoningContent": {"text": []}}, {"toolUse": {"input": {}}}, {"citation": 1}]
)
def test_a_stream_of_another_form_is_corrupt(delta: dict[str, Any]) -> None:
    events = [*text("good"), {"contentBlockDelta": {"delta": delta, "contentBlockIndex": 1}}, STOP]
    with pytest.raises(CorruptStreamError) as raised:
        ChatStream({"stream": Raw(events)}).completion()
    assert raised.value.__cause__ is not None
    cut = ChatStream({"stream": Raw([*events[:2], ConnectionResetError()])})
    with pytest.raises((CorruptStreamError, ConnectionResetError)):
        cut.completion()


def test_truncation_survives_pickling_with_its_partial() -> None:
    with pytest.raises(TruncatedResponseError) as caught:
        ChatStream(answer(text("half"))).completion()
    twin = pickle.loads(pickle.dumps(caught.value))
    assert twin.partial.message.content == "half"
    assert (twin.request_id, str(twin)) == (REQUEST_ID, str(caught.value))


def test_an_interrupt_returns_what_came() -> None:
    raw = Raw([*text("one", "two", "three"), STOP])
    seen: list[str] = []
    watch = Watch({TextDelta: lambda event: seen.append(event.text)}, interrupt_check=lambda: len(seen) == 2)
    completion = ChatStream(answer(raw), watch=watch).completion()
    assert completion.message.content == "onetwo"
    assert completion.choices[0].finish_reason == "stop"
    assert completion.bedrock.interrupted
    assert raw.closed.is_set()


def test_close_from_another_thread_ends_a_blocked_stream_quietly() -> None:
    reading = threading.Event()

    def block() -> dict[str, Any]:
        reading.set()
        raw.closed.wait(10)
        raise OSError("Response ended prematurely")

    raw = Raw([*text("half"), block])
    stream = ChatStream(answer(raw))
    closer = threading.Thread(target=lambda: (reading.wait(10), stream.close()))
    closer.start()
    completion = stream.completion()
    closer.join()
    assert completion.message.content == "half"
    assert completion.bedrock.interrupted


def test_leaving_the_context_early_closes_the_stream() -> None:
    raw = Raw([*text("one", "two"), STOP])
    with ChatStream(answer(raw)) as stream:
        for event in stream:
            if isinstance(event, TextDelta):
                break
    assert raw.closed.is_set()
    assert stream.completion().bedrock.interrupted


def test_a_dropped_stream_is_closed() -> None:
    raw = Raw([*text("one", "two"), STOP])
    stream = ChatStream(answer(raw))
    next(stream)
    del stream
    gc.collect()
    assert raw.closed.is_set()


class Iterated:
    """A stream that is closed by what iterating it gives, which counts how often."""

    def __init__(self, events: list[Any]) -> None:
        self.events = iter(events)
        self.closed = 0

    def __iter__(self) -> Iterated:
        return self

    def __next__(self) -> Any:
        return next(self.events)

    def close(self) -> None:
        self.closed += 1


def refuse(event: Any) -> None:
    raise KeyError("mine")


@pytest.mark.parametrize(
    "watch", [Watch({TextDelta: refuse}), Watch(interrupt_check=lambda: True)], ids=["exception", "interrupt"]
)
def test_what_iterating_gave_is_closed_at_once_where_the_stream_is_left(watch: Watch) -> None:
    iterated = Iterated([*text("one", "two"), STOP])
    stream = ChatStream(answer(type("Raw", (), {"__iter__": lambda _: iterated})()), watch=watch)
    try:
        stream.completion()
    except KeyError:
        assert iterated.closed == 1
    assert iterated.closed == 1


def test_what_iterating_gave_is_left_alone_at_its_end() -> None:
    iterated = Iterated([*text("one", "two"), STOP])
    ChatStream(answer(type("Raw", (), {"__iter__": lambda _: iterated})())).completion()
    assert iterated.closed == 0


def test_what_iterating_raises_at_once_is_a_fault_of_the_wire_too() -> None:
    raw = MagicMock()
    raw.__iter__.side_effect = ConnectionResetError("the wire's")
    with pytest.raises(ConnectionResetError) as caught:
        ChatStream(answer(raw)).completion()
    assert caught.value.__notes__
    raw.__iter__.side_effect = CallInterruptedError("closed")
    assert ChatStream(answer(raw)).completion().bedrock.interrupted


def test_a_stream_that_breaks_off_after_the_answer_is_closed() -> None:
    raw = Raw([*text("all"), STOP, OSError("Connection broken")])
    completion = ChatStream(answer(raw)).completion()
    assert (completion.message.content, completion.bedrock.metadata_missing) == ("all", True)
    assert raw.closed.is_set()


def test_closing_a_stream_that_only_lacks_its_metadata_leaves_it_complete() -> None:
    call = {"contentBlockStart": {"start": {"toolUse": {"toolUseId": "t", "name": "f"}}, "contentBlockIndex": 0}}
    raw = Raw([call, {"messageStop": {"stopReason": "tool_use"}}, CallInterruptedError("closed")])
    stream = ChatStream(answer(raw))
    for event in stream:
        if isinstance(event, MessageStop):
            stream.close()
    completion = stream.completion()
    assert not completion.bedrock.interrupted
    assert completion.choices[0].finish_reason == "tool_calls"
    assert completion.bedrock.metadata_missing


def test_a_list_that_is_closed_tells_no_more() -> None:
    stream = ChatStream(answer([*text("one", "two"), STOP]))
    assert next(stream) == TextDelta(0, "one")
    stream.close()
    assert list(stream) == []
    assert stream.completion().bedrock.interrupted


def test_closing_a_complete_stream_leaves_it_complete() -> None:
    with ChatStream(answer([*text("all"), STOP])) as stream:
        stream.completion()
    assert not stream.completion().bedrock.interrupted


def test_an_exception_of_a_callback_reaches_the_caller_and_closes_the_stream() -> None:
    def refuse(event: Any) -> None:
        raise KeyError("mine")

    raw = Raw([*text("one", "two"), STOP])
    with pytest.raises(KeyError, match="mine") as caught:
        ChatStream(answer(raw), watch=Watch({TextDelta: refuse})).completion()
    assert caught.value.partial.message.content == "one"  # type: ignore[attr-defined]
    assert raw.closed.is_set()


def test_what_a_callback_raises_gets_no_advice_about_the_wire() -> None:
    def refuse(event: Any) -> None:
        raise ConnectionResetError("mine")

    with pytest.raises(ConnectionResetError, match="mine") as caught:
        ChatStream(answer(Raw([*text("one"), STOP])), watch=Watch({TextDelta: refuse})).completion()
    assert not hasattr(caught.value, "__notes__")
    with pytest.raises(ConnectionResetError) as caught:
        ChatStream(answer(Raw([*text("one"), ConnectionResetError("the wire's")]))).completion()
    assert caught.value.__notes__


def test_an_error_keeps_its_kind_when_it_cannot_carry_anything() -> None:
    class SlottedError(Exception):
        __slots__ = ()

        def __setattr__(self, name: str, value: object) -> None:
            raise AttributeError(name)

    with pytest.raises(SlottedError):
        ChatStream(answer(Raw([*text("one"), SlottedError()]))).completion()


def test_notes_ride_on_the_answers_metadata() -> None:
    notes = CallNotes(model="m", tool_names={"alias": "my.tool"}, repairs=({"step": "s"},))
    noted_answer = {**answer([STOP]), "ResponseMetadata": {"RequestId": REQUEST_ID, NOTES_KEY: notes}}
    completion = ChatStream(noted_answer, notes_of_answer(noted_answer)).completion()
    assert completion.model == "m"
    assert completion.bedrock.repairs == [{"step": "s"}]


def test_plain_lists_and_answers_without_metadata_are_taken() -> None:
    assert ChatStream([*text("a"), STOP]).completion().message.content == "a"
    assert ChatStream({"stream": [*text("a"), STOP]}).completion().bedrock.request_id is None
