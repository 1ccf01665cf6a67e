"""Requests opened without urllib3's preparation: what comes of each is what urllib3 makes of it."""

from __future__ import annotations

import re
import socket
import ssl
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import Any
from unittest.mock import Mock, patch

import pytest
import urllib3
from botocore.awsrequest import AWSHTTPConnectionPool, AWSHTTPSConnectionPool, HeadersDict
from hypothesis import given
from hypothesis import strategies as st
from urllib3.connectionpool import HTTPConnectionPool
from urllib3.exceptions import EmptyPoolError, ProtocolError
from urllib3.util import Retry, Timeout, url
from urllib3.util.proxy import connection_requires_http_tunnel

from agent.bedrock.aws.exchange import _PLAIN_TARGET, directly_opening
from tests.moments import in_some_try
from tests.wire.streaming import authority_file, server_context

pytestmark = pytest.mark.skipif(version("urllib3").startswith("1."), reason="urllib3 1 opens everything itself")

PATH = "/model/us.anthropic.claude-v1%3A0/converse"
HEADERS = HeadersDict({"Content-Type": b"application/json", "User-Agent": b"x", "Content-Length": "2"})

PLAIN: dict[str, Any] = {
    "method": "POST",
    "url": PATH,
    "body": b"{}",
    "headers": HEADERS,
    "retries": Retry(False),
    "assert_same_host": False,
    "preload_content": False,
    "decode_content": False,
    "chunked": False,
    "enforce_content_length": False,
}
"""What botocore asks for (`botocore.httpsession.URLLib3Session.send`)."""

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"

Peer = Callable[[socket.socket], None]


def answering(*answers: bytes) -> Peer:
    """A peer that answers request after request, and then closes."""

    def play(sock: socket.socket) -> None:
        for answer in answers:
            _read_request(sock)
            sock.sendall(answer)

    return play


def resetting(sock: socket.socket) -> None:
    """Closes with the request unread, which makes the kernel send RST."""
    sock.recv(1)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")


def silent(sock: socket.socket) -> None:
    """Reads, and says nothing until the other end is gone."""
    while sock.recv(65536):
        pass


def _read_request(sock: socket.socket) -> None:
    data = b""
    while not data.endswith((b"\r\n\r\n{}", b"0\r\n\r\n")):
        more = sock.recv(65536)
        if not more:
            return
        data += more


@contextmanager
def listening(play: Peer, context: ssl.SSLContext | None = None) -> Iterator[int]:
    """A port at which each connection is played to."""
    server = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        while True:
            try:
                sock, _ = server.accept()
            except OSError:
                return
            threading.Thread(target=converse, args=(sock,), daemon=True).start()

    def converse(sock: socket.socket) -> None:
        try:
            with context.wrap_socket(sock, server_side=True) if context else sock as wrapped:
                play(wrapped)
        except OSError:
            sock.close()

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    yield server.getsockname()[1]
    server.shutdown(socket.SHUT_RDWR)
    server.close()
    thread.join(10)


def outcome(pool: Any, **asked: Any) -> dict[str, Any]:
    """All that came of a request."""
    try:
        response = pool.urlopen(**asked)
        body = b"".join(response.stream())
        said = [response.status, response.reason, dict(response.headers), body, response.retries is asked["retries"]]
    except Exception as error:  # noqa: BLE001 - whatever it is, both are to raise it
        said = [_told(error), _told(error.__context__), _told(error.__cause__)]
    return {
        "said": said,
        "requests": pool.num_requests,
        "connections": pool.num_connections,
        "waiting": sum(connection is not None and connection.sock is not None for connection in pool.pool.queue),
        "places": pool.pool.qsize(),
    }


def _told(error: BaseException | None) -> tuple[Any, str]:
    """Kind and words; that the peer was gone shows at reading or already at writing, as it happens."""
    if isinstance(error, ConnectionResetError | BrokenPipeError):
        return ConnectionResetError, ""
    if isinstance(error, ProtocolError) and isinstance(error.args[-1], ConnectionResetError | BrokenPipeError):
        return ProtocolError, error.args[0]
    text = re.sub(r"0x[0-9a-f]+|_ssl\.c:\d+|port=\d+", "…", str(error))
    return type(error), text


def both(play: Peer, asked: dict[str, Any], times: int = 1, **options: Any) -> list[list[dict[str, Any]]]:
    """What comes of the same requests, of urllib3's pool and of ours."""
    outcomes = []
    for kind in (AWSHTTPConnectionPool, directly_opening(AWSHTTPConnectionPool)):
        with listening(play) as port:
            pool = kind("127.0.0.1", port, maxsize=3, timeout=Timeout(connect=5, read=5), **options)
            outcomes.append([outcome(pool, **asked) for _ in range(times)])
            pool.close()
    return outcomes


PEERS: dict[str, Peer] = {
    "an answer": answering(OK, OK, OK),
    "an answer each": answering(OK.replace(b"\r\n", b"\r\nConnection: close\r\n", 1)),
    "a refusal": answering(b"HTTP/1.1 503 Slow\r\nRetry-After: 1\r\nContent-Length: 2\r\n\r\n{}", OK),
    "somewhere else": answering(b"HTTP/1.1 302 Found\r\nLocation: /other\r\nContent-Length: 2\r\n\r\n{}", OK, OK),
    "nowhere else": answering(b"HTTP/1.1 302 Found\r\nContent-Length: 2\r\n\r\n{}", OK, OK),
    "chunks": answering(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n", OK),
    "no HTTP": answering(b"SSH-2.0-OpenSSH\r\n"),
    "no answer": answering(b""),
    "half of a head": answering(b"HTTP/1.1 200 OK\r\nContent-"),
    "a head without end": answering(b"HTTP/1.1 200 OK\r\n" + b"x-a: b\r\n" * 200),
    "reset": resetting,
}


@pytest.mark.parametrize("why", PEERS)
@in_some_try  # whether the next request finds a connection closed, or about to be, is a matter of microseconds
def test_what_comes_of_a_request_is_what_urllib3_makes_of_it(why: str) -> None:
    theirs, ours = both(PEERS[why], PLAIN, times=3)
    assert ours == theirs


def test_a_silent_peer_is_given_up_with_the_same_words() -> None:
    timeout = Timeout(connect=5, read=0.1)
    theirs, ours = both(silent, {**PLAIN, "timeout": timeout})
    assert ours == theirs
    assert "read timeout=0.1" in ours[0]["said"][0][1]


def test_so_is_a_port_where_nobody_listens() -> None:
    with listening(silent) as port:
        pass
    pools = [kind("127.0.0.1", port) for kind in (AWSHTTPConnectionPool, directly_opening(AWSHTTPConnectionPool))]
    theirs, ours = (outcome(pool, **PLAIN) for pool in pools)
    assert ours["said"][0][0] is theirs["said"][0][0] is urllib3.exceptions.NewConnectionError
    assert ours | {"said": 0} == theirs | {"said": 0}


def test_so_is_a_pool_that_is_closed() -> None:
    for kind in (AWSHTTPConnectionPool, directly_opening(AWSHTTPConnectionPool)):
        pool = kind("127.0.0.1", 1)
        pool.close()
        with pytest.raises(urllib3.exceptions.ClosedPoolError):
            pool.urlopen(**PLAIN)


def test_so_is_a_server_that_nobody_vouches_for(tmp_path: Path) -> None:
    said = []
    for kind in (AWSHTTPSConnectionPool, directly_opening(AWSHTTPSConnectionPool)):
        with listening(answering(OK), server_context()) as port:
            for trusted in (None, authority_file(tmp_path)):
                pool = kind("127.0.0.1", port, ca_certs=trusted, cert_reqs="CERT_REQUIRED")
                said.append(outcome(pool, **PLAIN))
                pool.close()
    assert said[:2] == said[2:]
    assert said[0]["said"][0][0] is urllib3.exceptions.SSLError
    assert said[1]["said"][0] == 200


@pytest.mark.parametrize("interruption", [KeyboardInterrupt, SystemExit, MemoryError])
def test_what_interrupts_a_request_goes_through_and_closes_the_connection(
    interruption: type[BaseException], monkeypatch: pytest.MonkeyPatch
) -> None:
    with listening(answering(OK, OK)) as port:
        pool = directly_opening(AWSHTTPConnectionPool)("127.0.0.1", port, maxsize=2)
        outcome(pool, **PLAIN)

        def interrupt(_self: Any) -> Any:
            raise interruption

        monkeypatch.setattr(pool.ConnectionCls, "getresponse", interrupt)
        with pytest.raises(interruption):
            pool.urlopen(**PLAIN)
        monkeypatch.undo()
        assert [connection for connection in pool.pool.queue if connection is not None] == []
        assert outcome(pool, **PLAIN)["said"][0] == 200
        pool.close()


UNCONNECTED: dict[str, BaseException] = {
    "too many files": OSError(24, "Too many open files"),
    "a socket that is closed": ValueError("file descriptor cannot be a negative integer (-1)"),
    "no TLS": ssl.SSLError("no protocols available"),
    "an interruption": KeyboardInterrupt(),
}


@pytest.mark.parametrize("block", [False, True])
@pytest.mark.parametrize("why", UNCONNECTED)
def test_without_a_connection_its_place_is_given_back(why: str, block: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    said = []
    for kind in (AWSHTTPConnectionPool, directly_opening(AWSHTTPConnectionPool)):
        pool = kind("127.0.0.1", 1, maxsize=2, block=block)
        monkeypatch.setattr(pool, "_new_conn", Mock(side_effect=UNCONNECTED[why]))
        with pytest.raises(BaseException) as raised:  # noqa: PT011 - whatever it is, both are to raise it
            pool.urlopen(**PLAIN)
        said.append([_told(raised.value), _told(raised.value.__context__), pool.pool.qsize()])
    theirs, ours = said
    assert ours == theirs
    assert ours[-1] == 2


def test_a_pool_that_has_no_place_left_is_given_none(monkeypatch: pytest.MonkeyPatch) -> None:
    for kind in (AWSHTTPConnectionPool, directly_opening(AWSHTTPConnectionPool)):
        pool = kind("127.0.0.1", 1, block=True)
        pool._get_conn()
        monkeypatch.setattr(pool, "_get_conn", Mock(side_effect=EmptyPoolError(pool, "Pool is empty")))
        with pytest.raises(EmptyPoolError):
            pool.urlopen(**PLAIN)
        assert pool.pool.qsize() == 0


OTHERS: dict[str, dict[str, Any]] = {
    "a path to be quoted": {"url": "/model/ü"},
    "a query": {"url": f"{PATH}?a=b"},
    "an address": {"url": f"http://127.0.0.1{PATH}"},
    "retries": {"retries": Retry(1)},
    "no retries": {"retries": False},
    "the content at once": {"preload_content": True},
    "chunks": {"chunked": True},
    "no body": {"body": None, "headers": HeadersDict({"Content-Length": "0"})},
    "a text": {"body": "{}"},
    "redirects": {"redirect": False},
    "the pool's headers": {"headers": None},
    "no timeout": {"timeout": None},
    "a timeout that is none": {"timeout": 0},
    "seconds": {"timeout": 5},
}


@pytest.mark.parametrize("why", OTHERS)
def test_any_other_request_is_urllib3s(why: str, opened: list[Any]) -> None:
    theirs, ours = both(answering(OK), {**PLAIN, **OTHERS[why]})
    assert ours == theirs
    assert len(opened) == 2


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """A proxy, or None, for each request that urllib3 itself opened."""
    seen: list[Any] = []

    def note(proxy: Any, *others: Any) -> bool:
        seen.append(proxy)
        return connection_requires_http_tunnel(proxy, *others)

    monkeypatch.setattr("urllib3.connectionpool.connection_requires_http_tunnel", note)
    return seen


def test_a_plain_request_is_not_prepared(opened: list[Any]) -> None:
    theirs, ours = both(answering(OK), PLAIN)
    assert ours == theirs
    assert len(opened) == 1, "by urllib3's own pool"


def test_whoever_takes_urlopens_place_sees_every_request(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[str] = []
    genuine = HTTPConnectionPool.urlopen

    def watching(self: Any, *args: Any, **asked: Any) -> Any:
        seen.append(asked["url"])
        return genuine(self, *args, **asked)

    with listening(answering(OK, OK, OK)) as port:
        pool = directly_opening(AWSHTTPConnectionPool)("127.0.0.1", port)
        outcome(pool, **PLAIN)
        with monkeypatch.context() as patched:
            patched.setattr(HTTPConnectionPool, "urlopen", watching)
            assert outcome(pool, **PLAIN)["said"][0] == 200
        outcome(pool, **PLAIN)
        pool.close()
    assert seen == [PATH]


@pytest.mark.parametrize("owner", [HTTPConnectionPool, AWSHTTPConnectionPool])
def test_what_takes_urlopens_place_is_called_as_by_urllib3(owner: Any) -> None:
    for kind in (AWSHTTPConnectionPool, directly_opening(AWSHTTPConnectionPool)):
        with patch.object(owner, "urlopen", return_value="answer") as put:  # no function, so that it gets no `self`
            assert kind("127.0.0.1", 1).urlopen(**PLAIN) == "answer"
        put.assert_called_once_with(**PLAIN)


def test_a_redirect_to_no_address_is_an_answer() -> None:
    answer = b"HTTP/1.1 302 Found\r\nLocation: http://[::1/\r\nContent-Length: 2\r\n\r\n{}"
    with listening(answering(answer, OK)) as port:
        pool = directly_opening(AWSHTTPConnectionPool)("127.0.0.1", port, maxsize=2)
        assert [outcome(pool, **PLAIN)["said"][0] for _ in range(2)] == [302, 200]
        assert pool.num_connections == 1, "urllib3 raises, and loses the connection"
        pool.close()


def test_a_urllib3_that_is_not_known_opens_everything_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    build = directly_opening.__wrapped__
    assert build(AWSHTTPConnectionPool) is not AWSHTTPConnectionPool
    with monkeypatch.context() as patched:  # urllib3-future: other connections by the same names
        patched.setattr("urllib3.connection.HTTPConnection", type("HTTPConnection", (), {}))
        assert build(AWSHTTPConnectionPool) is AWSHTTPConnectionPool
    monkeypatch.delattr("urllib3.connection._ResponseOptions")  # urllib3 1; before 1.26.8 without that module, too
    monkeypatch.setitem(sys.modules, "urllib3.util.ssl_match_hostname", None)
    assert build(AWSHTTPConnectionPool) is AWSHTTPConnectionPool


@given(st.text(st.sampled_from("/aZ09._~-:@!$&'()*+,;=%3A2fF?#[] \"<>\\^`{|}ü\n\t"), max_size=20))
def test_a_target_that_counts_as_plain_is_one_that_urllib3_leaves_as_it_is(text: str) -> None:
    target = f"/{text}"
    if _PLAIN_TARGET.fullmatch(target):
        assert url._encode_target(target) == target
