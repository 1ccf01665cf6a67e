"""Heads of answers read at one go: what `http.client` makes of them, whatever they are."""

from __future__ import annotations

import http.client
import io
import socket
from http.client import HTTPResponse
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.bedrock.aws.heads import QuickResponse, quick_response


class Wire:
    """A socket with bytes to read, as many at a time as said."""

    def __init__(self, *pieces: bytes) -> None:
        self.ours, theirs = socket.socketpair()
        for piece in pieces:
            theirs.sendall(piece)
        theirs.close()


def read(response_class: Any, data: bytes, method: str = "POST") -> dict[str, Any]:
    """All there is to know of a response, or what became of reading it."""
    wire = Wire(data)
    response = response_class(wire.ours, method=method)
    try:
        response.begin()
        known = {name: value for name, value in vars(response).items() if name not in {"fp", "headers", "msg"}}
        defects = [type(defect) for defect in response.msg.defects]
        return {**known, "items": response.getheaders(), "defects": defects, "body": response.read()}
    except Exception as error:  # noqa: BLE001 - whatever it is, both are to raise it
        return {"error": (type(error), str(error))}
    finally:
        response.close()
        wire.ours.close()


OK = b"HTTP/1.1 200 OK\r\n"

HEADS: dict[str, bytes] = {
    "an answer": OK + b"Content-Type: application/json\r\nContent-Length: 2\r\nx-amzn-RequestId: 1-2\r\n\r\n{}",
    "a stream": OK + b"transfer-encoding: Chunked\r\nDate: Tue, 27 May 2025 00:00:00 GMT\r\n\r\n2\r\n{}\r\n0\r\n\r\n",
    "kept alive": OK + b"Connection: Keep-Alive\r\nContent-Length: 2\r\n\r\n{}",
    "closed": OK + b"Connection: close\r\nContent-Length: 2\r\n\r\n{}",
    "until it closes": OK + b"Content-Type: text/html\r\n\r\n<html>",
    "chunked with a length": OK + b"Transfer-Encoding: chunked\r\nContent-Length: 2\r\n\r\n2\r\n{}\r\n0\r\n\r\n",
    "two lengths": OK + b"Content-Length: 2\r\nContent-Length: 3\r\n\r\n{} ",
    "no number": OK + b"Content-Length: two\r\n\r\n{}",
    "a negative length": OK + b"Content-Length: -2\r\n\r\n{}",
    "a length with a sign": OK + b"Content-Length: +2\r\n\r\n{}",
    "a length of thousands of digits": OK + b"Content-Length: " + b"9" * 5000 + b"\r\n\r\n{}",
    "no headers": OK + b"\r\n{}",
    "blank values": OK + b"x-empty:\r\nx-blank: \t \r\nx-end: a \t\r\nContent-Length:2\r\n\r\n{}",
    "the same header twice": OK + b"x-a: 1\r\nX-A: 2\r\nContent-Length: 2\r\n\r\n{}",
    "a folded header": OK + b"x-a: 1\r\n  2\r\nContent-Length: 2\r\n\r\n{}",
    "a space before the colon": OK + b"x-a : 1\r\nContent-Length: 2\r\n\r\n{}",
    "no colon": OK + b"nonsense\r\nContent-Length: 2\r\n\r\n{}",
    "line feeds": b"HTTP/1.1 200 OK\nContent-Length: 2\n\n{}",
    "a carriage return in a value": OK + b"x-a: 1\r2\r\nContent-Length: 2\r\n\r\n{}",
    "Latin": OK + "x-name: Grüße\r\n".encode("latin-1") + b"Content-Length: 2\r\n\r\n{}",
    "ninety-nine headers": OK + b"x: y\r\n" * 98 + b"Content-Length: 2\r\n\r\n{}",
    "a hundred, which http.client refuses": OK + b"x: y\r\n" * 99 + b"Content-Length: 2\r\n\r\n{}",
    "no reason": b"HTTP/1.1 200 \r\nContent-Length: 2\r\n\r\n{}",
    "nothing after the status": b"HTTP/1.1 200\r\nContent-Length: 2\r\n\r\n{}",
    "an error": b"HTTP/1.1 400 Bad Request\r\nContent-Length: 2\r\n\r\n{}",
    "no content": b"HTTP/1.1 204 No Content\r\n\r\n",
    "HTTP/1.0": b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\n{}",
    "HTTP/2": b"HTTP/2 200\r\nContent-Length: 2\r\n\r\n{}",
    "after a 100": b"HTTP/1.1 100 Continue\r\n\r\n" + OK + b"Content-Length: 2\r\n\r\n{}",
    "not HTTP": b"SSH-2.0-OpenSSH\r\n",
    "cut inside": OK + b"Content-Length: 2",
    "nothing": b"",
}


@pytest.mark.parametrize("method", ["POST", "HEAD"])
@pytest.mark.parametrize("why", HEADS)
def test_a_head_means_what_the_standard_library_says(why: str, method: str) -> None:
    assert read(QuickResponse, HEADS[why], method) == read(HTTPResponse, HEADS[why], method)


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["Content-Length", "Transfer-Encoding", "Connection", "Date", "X-A", "x a", ""]),
            st.sampled_from(["2", "chunked", "close", "keep-alive", " ", "ü", "2, 2", "a\tb", "1\r\n 2"]),
        ),
        max_size=5,
    )
)
def test_so_does_any_other(headers: list[tuple[str, str]]) -> None:
    lines = "".join(f"{name}: {value}\r\n" for name, value in headers).encode("latin-1")
    data = OK + lines + b"\r\n2\r\n{}\r\n0\r\n\r\n"
    assert read(QuickResponse, data) == read(HTTPResponse, data)


def test_a_plain_head_is_read_at_one_go(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("http.client._read_headers", lambda *_: pytest.fail("line by line"))
    for why in ("an answer", "a stream", "kept alive"):
        assert read(QuickResponse, HEADS[why])["body"] == b"{}"


def test_a_head_that_comes_in_pieces_is_whole() -> None:
    ours, theirs = socket.socketpair()
    data = HEADS["an answer"]
    theirs.sendall(data[:20])
    response = QuickResponse(ours, method="POST")
    assert not response._take_plain_head()
    theirs.sendall(data[20:])
    response.begin()
    assert (response.status, response.read()) == (200, b"{}")
    for end in (ours, theirs, response):
        end.close()


def test_silence_times_out_as_ever() -> None:
    ours, theirs = socket.socketpair()
    ours.settimeout(0.01)
    response = QuickResponse(ours, method="POST")
    with pytest.raises(TimeoutError):
        response.begin()
    for end in (ours, theirs, response):
        end.close()


@pytest.mark.parametrize(("owner", "name"), [(HTTPResponse, "begin"), (http.client, "parse_headers")])
def test_who_watches_how_heads_are_read_sees_every_one(owner: Any, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[str] = []
    genuine = getattr(owner, name)

    def watched(*args: Any) -> Any:
        seen.append(name)
        return genuine(*args)

    monkeypatch.setattr(owner, name, watched)
    assert read(QuickResponse, HEADS["an answer"])["body"] == b"{}"
    assert seen == [name]


def test_a_socket_of_somebody_elses_may_have_files_of_its_own() -> None:
    class Played:
        def makefile(self, _mode: str) -> io.BytesIO:
            return io.BytesIO(HEADS["an answer"])

    response: Any = QuickResponse(Played(), method="POST")  # type: ignore[arg-type]
    response.begin()
    assert (response.status, response.read()) == (200, b"{}")


def test_a_class_of_somebody_elses_stays() -> None:
    class Own(HTTPResponse):
        pass

    assert quick_response(Own) is Own
    assert quick_response(HTTPResponse) is QuickResponse
