"""Bodies as bytes: HTTP framing undone, however the bytes are cut."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.bedrock.aws import framing as framing_module
from agent.bedrock.aws.framing import MAX_LINE_LENGTH, Chunked, Counted, NoChunkError, Unframed
from tests.response.frame_bytes import cut


def chunked(chunks: list[bytes], extension: bytes = b"", trailers: bytes = b"") -> bytes:
    body = b"".join(b"%X%b\r\n%b\r\n" % (len(chunk), extension, chunk) for chunk in chunks if chunk)
    return body + b"0\r\n" + trailers + b"\r\n"


@given(
    chunks=st.lists(st.binary(max_size=40), max_size=5),
    extension=st.sampled_from([b"", b";name=value", b" ; a"]),
    trailers=st.sampled_from([b"", b"A: 1\r\n", b"A: 1\r\nB: 2\r\n"]),
    places=st.lists(st.integers(0, 500), max_size=9),
    surplus=st.sampled_from([b"", b"HTTP/1.1 200 OK"]),
)
def test_chunks_come_out_as_they_went_in_however_they_arrive(
    chunks: list[bytes], extension: bytes, trailers: bytes, places: list[int], surplus: bytes
) -> None:
    wire = chunked(chunks, extension, trailers)
    framing = Chunked()
    assert b"".join(framing.feed(piece) for piece in cut(wire, places)) == b"".join(chunks)
    assert framing.ended
    assert not framing.surplus
    assert Chunked().feed(wire + surplus) == b"".join(chunks)


def test_every_byte_of_a_chunk_is_passed_on_at_once() -> None:
    framing = Chunked()
    assert [framing.feed(bytes((byte,))) for byte in b"5\r\nhello\r\n2\r\n"] == [
        *[b""] * 3, b"h", b"e", b"l", b"l", b"o", *[b""] * 5,
    ]  # fmt: skip
    assert framing.feed(b"yo\r\n0\r\n\r\nmore") == b"yo"
    assert framing.ended
    assert framing.surplus


@pytest.mark.parametrize("line", [b"", b"xyz", b"-5", b";only=extension", b"<html>"])
def test_a_line_that_is_no_chunk_size_is_an_error(line: bytes) -> None:
    with pytest.raises(NoChunkError) as caught:
        Chunked().feed(line + b"\r\nabc")
    assert caught.value.line == line


def test_a_trailer_that_looks_like_a_chunk_size_is_a_trailer() -> None:
    framing = Chunked()
    assert framing.feed(b"5\r\nhello\r\n0\r\n5\r\n\r\nmore") == b"hello"
    assert (framing.ended, framing.surplus) == (True, True)


def test_what_is_remembered_of_chunk_sizes_is_bounded() -> None:
    for size in range(1, framing_module.REMEMBERED_SIZES + 100):
        Chunked().feed(b"%x\r\n" % size)
        Chunked().feed(b"%x;extension\r\n" % size)
    assert len(framing_module._SIZES) <= framing_module.REMEMBERED_SIZES
    assert max(map(len, framing_module._SIZES)) <= 8


def test_a_line_without_end_is_an_error_before_it_fills_the_memory() -> None:
    framing = Chunked()
    framing.feed(b"5;" + b"x" * (MAX_LINE_LENGTH - 2))
    with pytest.raises(NoChunkError, match="5;xxx"):
        framing.feed(b"x")


@pytest.mark.parametrize(
    ("arrived", "wrong"),
    [
        (b"", "Response ended prematurely"),
        (b"5", "Response ended prematurely"),
        (b"5\r\nhello", "Response ended prematurely"),
        (b"5\r\nhello\r\n", "Response ended prematurely"),
        (b"5\r\nhe", "Connection broken: IncompleteRead(3 more expected)"),
        (b"0\r\n", None),
        (b"0\r\nA: 1\r\n", None),
    ],
)
def test_an_end_before_the_last_chunk_is_wrong(arrived: bytes, wrong: str | None) -> None:
    framing = Chunked()
    framing.feed(arrived)
    assert framing.end_of_input() == wrong
    assert not framing.ended


def test_a_counted_body_ends_with_its_last_byte() -> None:
    framing = Counted(5, enforced=True)
    assert framing.feed(b"abc") == b"abc"
    assert framing.end_of_input() == "Connection broken: IncompleteRead(2 more expected)"
    assert framing.feed(b"defg") == b"de"
    assert (framing.ended, framing.surplus) == (True, True)
    assert Counted(0, enforced=True).ended
    assert Counted(5, enforced=False).end_of_input() is None


def test_a_body_without_framing_ends_with_the_connection() -> None:
    framing = Unframed()
    assert framing.feed(b"abc") == b"abc"
    assert (framing.ended, framing.end_of_input()) == (False, None)
