"""Frames, read back by botocore's own reader."""

from __future__ import annotations

import json
from typing import Any

import pytest
from botocore.eventstream import ChecksumMismatch, EventStreamBuffer
from hypothesis import given
from hypothesis import strategies as st

from agent.bedrock.testing.frames import (
    PADDING,
    encode_json,
    error_frame,
    event_frame,
    exception_frame,
    frame,
    frames_in,
    padding_length,
)

from .conftest import as_measured

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=10,
)


def read(data: bytes) -> list[tuple[dict[str, Any], bytes]]:
    buffer = EventStreamBuffer()
    buffer.add_data(data)
    return [(message.headers, message.payload) for message in buffer]


@given(
    headers=st.dictionaries(st.text(min_size=1, max_size=20).filter(lambda name: len(name.encode()) < 256), st.text()),
    payload=st.binary(max_size=5000),
)
def test_botocore_reads_back_headers_and_payload(headers: dict[str, str], payload: bytes) -> None:
    assert read(frame(headers.items(), payload)) == [(headers, payload)]


@given(st.lists(st.dictionaries(st.text(), JSON), max_size=5))
def test_frames_written_one_after_the_other_are_read_one_after_the_other(events: list[dict[str, Any]]) -> None:
    stream = b"".join(event_frame("metadata", members) for members in events)
    assert [json.loads(payload) for _, payload in read(stream)] == events


@given(frames=st.lists(st.binary(max_size=50), max_size=4), rest=st.binary(max_size=12))
def test_a_stream_is_cut_where_its_frames_end(frames: list[bytes], rest: bytes) -> None:
    whole = [frame([(":event-type", "x")], payload) for payload in frames]
    assert frames_in(b"".join(whole) + rest) == [*whole, *([rest] if rest else [])]


def test_an_event_has_the_headers_of_the_service_in_its_order() -> None:
    [(headers, _)] = read(event_frame("messageStart", {"role": "assistant"}))
    assert list(headers.items()) == [
        (":event-type", "messageStart"),
        (":content-type", "application/json"),
        (":message-type", "event"),
    ]


def test_an_event_is_padded_and_its_members_sorted_but_not_what_is_inside_them() -> None:
    members = {"start": {"toolUse": {"name": "b", "aa": 1}}, "contentBlockIndex": 0}
    [(_, payload)] = read(event_frame("contentBlockStart", members, padding=3))
    assert payload == b'{"contentBlockIndex":0,"p":"abc","start":{"toolUse":{"name":"b","aa":1}}}'


def test_padding_is_as_long_as_the_service_makes_it() -> None:
    lengths = [padding_length(serial) for serial in range(600)]
    assert (min(lengths), max(lengths)) == (2, 61)
    assert len(PADDING) >= 61


def test_an_exception_has_its_type_and_message() -> None:
    [(headers, payload)] = read(exception_frame("throttlingException", "slow down", {"originalStatusCode": 500}))
    assert headers[":message-type"] == "exception"
    assert headers[":exception-type"] == "throttlingException"
    assert json.loads(payload) == {"message": "slow down", "originalStatusCode": 500}


def test_an_error_has_code_and_message_in_its_headers() -> None:
    [(headers, payload)] = read(error_frame("InternalError", "oops"))
    assert headers == {":error-code": "InternalError", ":error-message": "oops", ":message-type": "error"}
    assert payload == b""


@as_measured
@pytest.mark.parametrize("byte", range(len(event_frame("messageStart", {"role": "assistant"}))))
def test_botocore_notices_any_flipped_byte(byte: int) -> None:
    whole = event_frame("messageStart", {"role": "assistant"})
    broken = bytes([*whole[:byte], whole[byte] ^ 1, *whole[byte + 1 :]])
    with pytest.raises(ChecksumMismatch):
        read(broken)


def test_text_outside_ascii_is_utf8_and_lone_surrogates_are_escaped() -> None:
    assert encode_json({"text": "ü😀"}) == '{"text":"ü😀"}'.encode()
    assert encode_json({"text": "\ud800"}) == b'{"text":"\\ud800"}'
