"""The frame decoder against botocore's own parser, and where it deliberately gives more."""

from __future__ import annotations

import base64
import json
import pickle
import sys
from pathlib import Path
from types import FrameType
from typing import Any

import pytest
from botocore.eventstream import EventStreamHeaderParser
from hypothesis import example, given
from hypothesis import strategies as st

from agent.bedrock.errors import CorruptStreamError
from agent.bedrock.response import frames
from agent.bedrock.response.frames import Fault, FrameError, parse_headers
from agent.bedrock.testing.frames import encode_json, error_frame, event_frame, exception_frame

from .frame_bytes import (
    SHORT_STREAM,
    botocores,
    compares_with_todays_botocore,
    cut,
    encode,
    event,
    exception,
    header,
    new_decoder,
    operation_model,
    ours,
)

SHORT = b"".join(SHORT_STREAM)
SHORT_EVENTS = botocores([SHORT]).events


def delta(text: str = "x", index: int = 0) -> bytes:
    return event_frame("contentBlockDelta", {"contentBlockIndex": index, "delta": {"text": text}}, padding=7)


# --- the same as botocore -----------------------------------------------------------------------------------------


def test_every_recorded_stream_gives_what_botocore_gives(recordings: Path) -> None:
    found = 0
    for path in sorted(recordings.glob("*.json")):
        exchange = json.loads(path.read_text(encoding="utf-8"))
        if "body_base64" in exchange:
            found += 1
            body = base64.b64decode(exchange["body_base64"])
            expected = botocores([body])
            assert expected.error is None
            assert ours([body]) == expected, path.name
            assert ours(cut(body, range(0, len(body), 7))) == expected, path.name
    assert found


@compares_with_todays_botocore
@pytest.mark.parametrize(
    ("name", "members"),
    [
        ("messageStart", {"role": "assistant"}),
        ("contentBlockStart", {"contentBlockIndex": 1, "start": {"toolUse": {"toolUseId": "t", "name": "n"}}}),
        ("contentBlockStart", {"contentBlockIndex": 1, "start": {"toolResult": {"toolUseId": "t", "type": "x"}}}),
        ("contentBlockStart", {"contentBlockIndex": 2, "start": {"image": {"format": "png"}}}),
        ("contentBlockDelta", {"contentBlockIndex": 0, "delta": {"text": ""}}),
        ("contentBlockDelta", {"contentBlockIndex": 0, "delta": {"text": 'a "quoted" \\ line\nand 🎈'}}),
        ("contentBlockDelta", {"contentBlockIndex": 0, "delta": {"text": "lone \ud800 surrogate"}}),
        ("contentBlockDelta", {"contentBlockIndex": 1, "delta": {"toolUse": {"input": '{"a":1}'}}}),
        ("contentBlockDelta", {"contentBlockIndex": 1, "delta": {"toolUse": {"input": "x", "more": 1}}}),
        ("contentBlockDelta", {"contentBlockIndex": 0, "delta": {"reasoningContent": {"text": "hm"}}}),
        ("contentBlockDelta", {"contentBlockIndex": 0, "delta": {"reasoningContent": {"signature": "c2ln"}}}),
        ("contentBlockDelta", {"contentBlockIndex": 0, "delta": {"reasoningContent": {"redactedContent": "AAEC"}}}),
        ("contentBlockDelta", {"contentBlockIndex": 0, "delta": {"image": {"source": {"bytes": "AAEC"}}}}),
        (
            "contentBlockDelta",
            {"contentBlockIndex": 0, "delta": {"toolResult": [{"text": "a"}, {"json": {"b": None}}]}},
        ),
        ("contentBlockDelta", {"contentBlockIndex": 0, "delta": {"citation": {"title": "T", "location": None}}}),
        ("contentBlockDelta", {"contentBlockIndex": None, "delta": {"text": "no index"}}),
        ("contentBlockDelta", {"contentBlockIndex": 0, "delta": None}),
        ("contentBlockDelta", {"contentBlockIndex": 2**70, "delta": {"text": "a big index"}}),
        ("contentBlockDelta", {"contentBlockIndex": 0, "delta": {"text": "a", "toolUse": None, "__type": "t"}}),
        ("contentBlockDelta", {"contentBlockIndex": 0, "delta": {"text": 5}}),
        ("contentBlockDelta", {"contentBlockIndex": 0, "delta": {"text": "a"}, "unknown": 1}),
        ("contentBlockStop", {"contentBlockIndex": 3}),
        (
            "messageStop",
            {"stopReason": "new_reason", "additionalModelResponseFields": {"a": [None, 2**70, {"b": 1.5}]}},
        ),
        (
            "metadata",
            {"usage": {"inputTokens": 1, "serverToolUsage": {}, "cacheReadInputTokenCount": 2}, "metrics": {}},
        ),
        ("metadata", {"trace": {"guardrail": {"inputAssessment": {"id": {"topicPolicy": {"topics": [None]}}}}}}),
        ("metadata", {}),
    ],
)
def test_a_modelled_event_is_what_botocore_makes_of_it(name: str, members: dict[str, Any]) -> None:
    data = event_frame(name, members, padding=11)
    expected = botocores([data])
    assert expected.error is None
    assert ours([data]) == expected


def _values_of(shape: Any) -> st.SearchStrategy[Any]:
    """JSON that the service could send for a shape, with nulls and members that nobody knows."""
    if shape.type_name == "structure" and not shape.is_document_type:
        return _members_of(shape)
    return {
        "structure": st.dictionaries(st.text(max_size=3), st.integers() | st.none(), max_size=2),
        "list": st.deferred(lambda: st.lists(_values_of(shape.member) | st.none(), max_size=2)),
        "map": st.deferred(lambda: st.dictionaries(st.text(max_size=3), _values_of(shape.value), max_size=2)),
        "blob": st.binary(max_size=5).map(lambda data: base64.b64encode(data).decode()),
        "integer": st.integers(-(2**70), 2**70),
        "long": st.integers(0, 2**62),
        "boolean": st.booleans(),
    }.get(shape.type_name, st.text(max_size=8))


def _members_of(shape: Any) -> st.SearchStrategy[Any]:
    members = {name: st.deferred(lambda member=member: _values_of(member)) for name, member in shape.members.items()}
    if shape.is_tagged_union:
        return st.one_of([value.map(lambda item, name=name: {name: item}) for name, value in members.items()])
    nullable = {name: st.none() | value for name, value in members.items()}
    return st.fixed_dictionaries({}, optional={**nullable, "p": st.text(max_size=3), "unheard": st.just({"of": None})})


def _modelled_frames() -> st.SearchStrategy[bytes]:
    events = operation_model().output_shape.members["stream"].members
    return st.one_of(
        [
            _values_of(shape).map(lambda members, name=name: event(name, encode_json(members)))
            for name, shape in events.items()
            if not name.endswith("Exception")
        ]
    )


def _exception_frames() -> st.SearchStrategy[bytes]:
    events = operation_model().output_shape.members["stream"].members
    names = st.sampled_from([name for name in events if name.endswith("Exception")])
    return st.builds(exception_frame, names, st.text(max_size=9)) | st.builds(
        error_frame, st.text(max_size=9), st.text(max_size=9)
    )


cuts = st.lists(st.integers(0, 5000), max_size=8)


@given(stream=st.lists(_modelled_frames(), max_size=5), end=st.just(b"") | _exception_frames(), places=cuts)
def test_whatever_the_model_allows_is_what_botocore_makes_of_it(stream: list[bytes], end: bytes, places: Any) -> None:
    data = b"".join(stream) + end
    assert ours(cut(data, places)) == botocores([data])


def _rows(names: st.SearchStrategy[str]) -> st.SearchStrategy[Any]:
    kinds = {
        0: st.none(),
        1: st.none(),
        2: st.integers(-128, 127),
        3: st.integers(-(2**15), 2**15 - 1),
        4: st.integers(-(2**31), 2**31 - 1),
        5: st.integers(-(2**63), 2**63 - 1),
        6: st.binary(max_size=9),
        7: st.text(max_size=9),
        8: st.integers(-(2**63), 2**63 - 1),
        9: st.binary(min_size=16, max_size=16),
    }
    return st.one_of([st.tuples(names, st.just(kind), value) for kind, value in kinds.items()])


@given(rows=st.lists(_rows(st.text(min_size=1, max_size=20)), max_size=6))
def test_headers_of_every_type_are_read_as_botocore_reads_them(rows: list[Any]) -> None:
    block = b"".join(header(*row) for row in rows)
    if len({name for name, _, _ in rows}) < len(rows):
        with pytest.raises(FrameError) as caught:
            parse_headers(block)
        assert caught.value.reason == "duplicate_header"
    else:
        assert parse_headers(block) == EventStreamHeaderParser().parse(block)


@given(rows=st.lists(_rows(st.sampled_from([":a", "b", "c", "d"])), max_size=3), payload=st.binary(max_size=20))
def test_an_event_is_recognised_among_headers_of_every_type(rows: list[Any], payload: bytes) -> None:
    members = json.dumps({"role": payload.hex()}).encode()
    data = encode(((":event-type", 7, "messageStart"), *rows), members)
    assert ours([data]) == botocores([data])


@compares_with_todays_botocore
@given(data=st.binary(max_size=60), places=cuts)
@example(data=b"<html><body>Sign in to the hotel's Wi-Fi</body></html>", places=[5])
@example(data=bytes(16), places=[])
def test_bytes_that_are_no_frame_fail_as_in_botocore(data: bytes, places: list[int]) -> None:
    """Too few bytes for a prelude are no error to botocore; here they are left over."""
    result, expected = ours(cut(data, places)), botocores([data])
    assert (result.events, result.error) == (expected.events, expected.error)
    assert result.leftover == (0 < len(data) < 12)


@compares_with_todays_botocore
@given(
    position=st.integers(0, len(SHORT) - 1),
    removed=st.integers(0, 9),
    inserted=st.binary(max_size=9),
    places=cuts,
)
def test_a_mangled_stream_gives_the_same_events_and_the_same_error_as_in_botocore(
    position: int, removed: int, inserted: bytes, places: list[int]
) -> None:
    data = SHORT[:position] + inserted + SHORT[position + removed :]
    result, expected = ours(cut(data, places)), botocores([data])
    assert (result.events, result.error) == (expected.events, expected.error)


@compares_with_todays_botocore
@pytest.mark.parametrize(
    "frame",
    [
        encode((), prelude_crc=1),
        encode((), crc=1),
        encode((), headers_length=128 * 1024 + 1, total=200_000),
        encode((), total=24 * 1024 * 1024 + 17),
        encode(((":event-type", 7, "a"), (":event-type", 7, "b"))),
        exception_frame("throttlingException", "Too many requests"),
        exception_frame("modelStreamErrorException", None),
        exception("validationException", b"not JSON at all"),
        exception("serviceUnavailableException", b""),
        error_frame("InternalError", "An internal server error occurred"),
    ],
)
def test_a_frame_that_ends_a_stream_ends_it_as_in_botocore(frame: bytes) -> None:
    data = SHORT_STREAM[0] + frame + SHORT_STREAM[1]
    expected = botocores([data])
    assert expected.error is not None
    assert expected.events == SHORT_EVENTS[:1]
    result = ours([data])
    assert (result.events, result.error) == (expected.events, expected.error)


# --- more than botocore -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "members", "expected"),
    [
        ("contentBlockDelta", {"delta": {"hologram": {"depth": 3}}, "p": "ab"}, {"delta": {"hologram": {"depth": 3}}}),
        ("contentBlockStart", {"start": {"hologram": {}}}, {"start": {"hologram": {}}}),
        (
            "contentBlockDelta",
            {"delta": {"reasoningContent": {"mood": 1}}},
            {"delta": {"reasoningContent": {"mood": 1}}},
        ),
        (
            "contentBlockDelta",
            {"delta": {"reasoningContent": {"text": "a", "signature": "b"}}},
            {"delta": {"reasoningContent": {"text": "a", "signature": "b"}}},
        ),
        ("contentBlockDelta", {"delta": {}}, {"delta": {}}),
        ("heartbeat", {"beat": 1, "p": "ab"}, {"beat": 1, "p": "ab"}),
    ],
)
def test_what_the_model_does_not_know_stays_visible(name: str, members: Any, expected: Any) -> None:
    assert ours([event_frame(name, members)]).events == [{name: expected}]


def test_an_unknown_event_without_json_keeps_its_bytes() -> None:
    assert ours([event("audioFrame", b"\x00\xff")]).events == [{"audioFrame": b"\x00\xff"}]


@pytest.mark.parametrize("frame", [event("initial-response", b"{}"), encode(())])
def test_frames_that_say_nothing_are_passed_over(frame: bytes) -> None:
    assert ours([frame + SHORT]).events == SHORT_EVENTS


def test_an_unknown_exception_keeps_its_type_and_message() -> None:
    decoder = new_decoder()
    assert decoder.feed(exception_frame("modelMeltedException", "Too hot", {"degrees": 3000})) == []
    assert decoder.failure == Fault("modelMeltedException", "Too hot", {"degrees": 3000})


def test_a_modelled_exception_keeps_its_other_members() -> None:
    decoder = new_decoder()
    members = {"originalStatusCode": 529, "originalMessage": "overloaded", "p": "abc"}
    decoder.feed(exception_frame("modelStreamErrorException", "The model failed", members))
    assert decoder.failure == Fault(
        "modelStreamErrorException", "The model failed", {"originalStatusCode": 529, "originalMessage": "overloaded"}
    )


def test_an_error_frame_may_say_its_message_in_the_payload() -> None:
    decoder = new_decoder()
    decoder.feed(encode(((":message-type", 7, "error"), (":error-code", 7, "Oops")), b'{"message":"inside"}'))
    assert decoder.failure == Fault("Oops", "inside", {})


@compares_with_todays_botocore
@pytest.mark.parametrize(
    "payload",
    [
        b'{"contentBlockIndex":0,"delta":{"text":"no end',
        b'{"contentBlockIndex":0,"delta":{"text":"a"}} and more',
        b'{"contentBlockIndex":0,"delta":{"text":"\xff"}}',
        b'{"contentBlockIndex":0,"delta":["text"]}',
        b'{"contentBlockIndex":0,"delta":"t"}',
        b'{"contentBlockIndex":0,"delta":{"reasoningContent":{"redactedContent":"A"}}}',
        b'{"contentBlockIndex":0,"delta":{"toolResult":{}}}',
        b"[]",
        b"null",
        b"[" * 100_000,
    ],
)
def test_a_payload_that_cannot_be_read_is_corrupt_and_not_an_empty_event(payload: bytes) -> None:
    decoder = new_decoder()
    assert decoder.feed(SHORT_STREAM[0] + event("contentBlockDelta", payload)) == SHORT_EVENTS[:1]
    assert isinstance(decoder.failure, CorruptStreamError)
    assert "contentBlockDelta" in str(decoder.failure)
    assert "no end" not in str(decoder.failure)


@pytest.mark.parametrize(
    "frame",
    [
        encode((), total=15),
        encode((), total=0),
        encode((), headers_length=1),
        encode(b"\x05name"),
        encode(b"\x04name\x0a"),
        encode(b"\x04name\x07\x00\x09short"),
        encode(b"\x04name\x09tooshort"),
        encode(b"\x02\xff\xff\x00"),
        encode(b"\x04name\x04\x00"),
    ],
)
def test_lengths_and_headers_that_make_no_sense_are_corrupt(frame: bytes) -> None:
    decoder = new_decoder()
    decoder.feed(frame)
    assert isinstance(decoder.failure, FrameError)


# --- the decoder as a machine -------------------------------------------------------------------------------------


@given(places=st.lists(st.integers(0, len(SHORT)), max_size=40))
def test_the_cutting_of_the_bytes_does_not_matter(places: list[int]) -> None:
    assert ours(cut(SHORT, places)).events == SHORT_EVENTS


def test_byte_by_byte_every_event_comes_with_its_last_byte() -> None:
    decoder = new_decoder()
    came = [event for byte in SHORT for event in [decoder.feed(bytes((byte,)))] if event]
    assert came == [[event] for event in SHORT_EVENTS]
    decoder = new_decoder()
    for frame, expected in zip(SHORT_STREAM, SHORT_EVENTS, strict=True):
        assert decoder.feed(frame[:-1]) == []
        assert decoder.leftover == len(frame) - 1
        assert decoder.feed(frame[-1:]) == [expected]


def test_cut_at_every_byte_the_whole_events_come_and_the_rest_is_left_over() -> None:
    ends = [sum(map(len, SHORT_STREAM[: count + 1])) for count in range(len(SHORT_STREAM))]
    for size in range(len(SHORT) + 1):
        result = ours([SHORT[:size]])
        whole = sum(end <= size for end in ends)
        assert (result.events, result.error) == (SHORT_EVENTS[:whole], None)
        assert result.leftover == (size not in {0, *ends})


def test_a_flipped_bit_anywhere_never_passes_for_an_event() -> None:
    for bit in range(len(SHORT) * 8):
        flipped = bytearray(SHORT)
        flipped[bit // 8] ^= 1 << bit % 8
        result = ours([bytes(flipped)])
        assert result.error is not None
        assert result.error[0] == "ChecksumMismatch"
        assert result.events == SHORT_EVENTS[: len(result.events)]


def test_a_prelude_is_not_believed_before_its_checksum() -> None:
    decoder = new_decoder()
    decoder.feed(encode((), b"x" * 100, total=20_000_000, prelude_crc=1)[:12])
    assert isinstance(decoder.failure, FrameError)
    assert decoder.failure.reason == "checksum"


def test_after_a_failure_the_decoder_refuses_to_go_on() -> None:
    decoder = new_decoder()
    assert decoder.feed(delta() + error_frame("a", "b") + delta()) == [
        {"contentBlockDelta": {"contentBlockIndex": 0, "delta": {"text": "x"}}}
    ]
    failure = decoder.failure
    assert decoder.feed(SHORT) == []
    assert decoder.failure is failure


def test_message_stop_is_noticed() -> None:
    decoder = new_decoder()
    decoder.feed(b"".join(SHORT_STREAM[:4]))
    assert not decoder.message_stopped
    decoder.feed(SHORT_STREAM[4])
    assert decoder.message_stopped


class CountedBytes(bytes):
    """Bytes that count how many of them are copied out."""

    copied = 0

    def __getitem__(self, key: Any) -> Any:
        part = super().__getitem__(key)
        CountedBytes.copied += len(part) if isinstance(key, slice) else 0
        return part


def test_forty_thousand_deltas_in_one_buffer_are_each_copied_once() -> None:
    data = CountedBytes(delta() * 40_000)
    CountedBytes.copied = 0
    decoder = new_decoder()
    assert len(decoder.feed(data)) == 40_000
    assert CountedBytes.copied < 3 * len(data)


def _calls(data: bytes, size: int) -> int:
    """How many functions run, written in C or in Python, while the bytes are fed in pieces of this size."""
    decoder, pieces, calls = new_decoder(), [data[at : at + size] for at in range(0, len(data), size)], 0

    def count(_frame: FrameType, what: str, _argument: Any) -> None:
        nonlocal calls
        calls += what in ("call", "c_call")

    sys.setprofile(count)
    try:
        for piece in pieces:
            decoder.feed(piece)
    finally:
        sys.setprofile(None)
    return calls


@pytest.mark.parametrize("size", [1, 100, 10_000_000])
def test_work_grows_with_the_stream_and_no_faster(size: int) -> None:
    _calls(delta() * 10, size)  # what is remembered between streams
    small, large = _calls(delta() * 100, size), _calls(delta() * 400, size)
    assert large <= 4.1 * small


def test_a_large_frame_in_small_pieces_is_not_looked_at_before_it_is_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    decoder, looks = new_decoder(), []
    look = decoder._decode
    monkeypatch.setattr(decoder, "_decode", lambda data, events: (looks.append(len(data)), look(data, events)))
    frame = delta("x" * 1_000_000)
    for at in range(0, len(frame), 100):
        decoder.feed(frame[at : at + 100])
    assert sum(looks) < 1.1 * len(frame)


def test_what_is_remembered_is_bounded() -> None:
    for number in range(2 * frames.REMEMBERED):
        head = ((":event-type", 7, "messageStart"), ("number", 7, "x" * (number % 40) + str(number)))
        assert ours([encode(head, b'{"role":"a"}' + b" " * number)]).events == [{"messageStart": {"role": "a"}}]
        assert len(ours([delta("x" * number)]).events) == 1
    assert len(frames._NAMES) <= frames.REMEMBERED
    assert 0 < len(frames._DELTA_FRONTS) <= frames.REMEMBERED


def fails(data: bytes) -> bool:
    """Whether these bytes are no event stream."""
    decoder = new_decoder()
    decoder.feed(data)
    return isinstance(decoder.failure, FrameError)


def test_what_a_delta_begins_with_is_remembered_only_of_whole_frames_that_are_deltas() -> None:
    frames._DELTA_FRONTS.clear()
    other = b"contentBlockStop "  # as long as the name of a delta
    assert ours([event(other.decode(), b"{}")]).events == [{other.decode(): {}}]
    whole = delta("x" * 77)
    assert fails(whole[:-1] + bytes((whole[-1] ^ 1,)))
    assert ours([whole[:-1]]).events == []
    assert frames._DELTA_FRONTS == {}
    for _ in range(2):
        assert len(ours([whole]).events) == 1
        assert list(frames._DELTA_FRONTS) == [whole[: frames.DELTA_FRONT_LENGTH]]
    assert fails(whole[:-1] + bytes((whole[-1] ^ 1,)))


def test_the_name_of_an_exception_is_never_remembered_as_an_event() -> None:
    for _ in range(2):
        decoder = new_decoder()
        assert decoder.feed(exception_frame("throttlingException", "slow down")) == []
        assert decoder.failure == Fault("throttlingException", "slow down", {})


@compares_with_todays_botocore
@pytest.mark.parametrize(
    "payload",
    [
        b'{"contentBlockIndex":0,"delta":{"text":"\\ud800"}}',
        b'{"contentBlockIndex":18446744073709551616,"delta":{"text":"a"}}',
        b'{"contentBlockIndex":0,"delta":{"toolResult":[{"json":{"n":123456789012345678901234567890}}]}}',
        b'{"contentBlockIndex":0,"delta":{"toolResult":[{"json":{"n":NaN}}]}}',
        b'{"contentBlockIndex":0,"contentBlockIndex":1,"delta":{"text":"a","text":"b"}}',
        b' {"contentBlockIndex" : 0, "delta":{"text":"space"}}\n',
        b'{"contentBlockIndex":0,"delta":{"text":"caf\xc3\xa9 \\u00e9 \\/ \\b"}}',
    ],
)
@pytest.mark.parametrize("library", ["orjson", "standard"])
def test_every_json_library_means_the_same(payload: bytes, library: str, monkeypatch: pytest.MonkeyPatch) -> None:
    loads = pytest.importorskip("orjson").loads if library == "orjson" else frames._loads
    monkeypatch.setattr(frames, "hot_json", lambda: loads)
    frame = event("contentBlockDelta", payload)
    # By repr, because NaN is not equal to itself.
    assert repr(_sorted(ours([frame]).events)) == repr(_sorted(botocores([frame]).events))


def _sorted(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _sorted(value[name]) for name in sorted(value)}
    return [_sorted(item) for item in value] if isinstance(value, list) else value


def test_a_frame_error_survives_pickling() -> None:
    error = FrameError("the checksum", "checksum", (1, 2))
    error.partial = {"text": "so far"}
    copy = pickle.loads(pickle.dumps(error))
    assert (str(copy), copy.reason, copy.values, copy.partial) == ("the checksum", "checksum", (1, 2), error.partial)
