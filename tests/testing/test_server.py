"""The server: connections, recording, the network's moods, and that nothing is left of it."""

from __future__ import annotations

import contextlib
import gc
import json
import socket
import ssl
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import boto3
import pytest
import trustme
from botocore.exceptions import ClientError, EndpointConnectionError, SSLError

from agent.bedrock.testing import FakeBedrock, Framing, Reply, Stall, Text
from agent.bedrock.testing.server import HOST
from tests.moments import PATIENCE

from .conftest import CLAUDE, NOVA, ask, client_of


def sockets_of_this_process() -> int:
    links = Path("/proc/self/fd")
    count = 0
    for link in links.iterdir():
        with contextlib.suppress(OSError):  # the descriptor of the listing itself is gone by now
            count += str(link.readlink()).startswith("socket:")
    return count


def exchange(fake: FakeBedrock, data: bytes, *, pieces: int = 1) -> bytes:
    """What the server says to these bytes, sent in pieces, until it hangs up."""
    with socket.create_connection((HOST, fake.port), timeout=PATIENCE) as peer:
        size = -(-len(data) // pieces)
        for at in range(0, len(data), size):
            peer.sendall(data[at : at + size])
        said = b""
        while chunk := peer.recv(65536):
            said += chunk
        return said


def raw_request(body: bytes, *headers: str, operation: str = "converse") -> bytes:
    lines = [f"POST /model/{NOVA}/{operation} HTTP/1.1", "Host: x", "Connection: close", *headers]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


BODY = json.dumps({"messages": ask()["messages"]}).encode()


def test_a_request_is_recorded_with_all_that_was_in_it(fake: FakeBedrock, client: Any) -> None:
    client.converse(**ask(CLAUDE, "hello"))
    [request] = fake.requests
    assert request.operation == "converse"
    assert request.model_id == CLAUDE
    assert request.body == {"messages": [{"role": "user", "content": [{"text": "hello"}]}]}
    assert json.loads(request.raw) == request.body
    assert request.headers["content-type"] == "application/json"
    assert request.access_key == "AKIDEXAMPLE"
    assert request.bearer is None
    assert request.connection == 1
    assert request.attempt == 1
    assert fake.wait_for(lambda fake: fake.requests[0].complete)


def test_an_arn_as_model_id_is_decoded(fake: FakeBedrock, client: Any) -> None:
    arn = "arn:aws:bedrock:us-east-1:123456789012:inference-profile/us.amazon.nova-lite-v1:0"
    client.converse(**ask(arn))
    assert fake.requests[0].model_id == arn
    assert "%3A" in fake.requests[0].path


def test_an_endpoint_may_have_a_path_of_its_own(fake: FakeBedrock) -> None:
    options = {**fake.client_options(), "endpoint_url": f"{fake.url}/gateway/v1/"}
    boto3.client("bedrock-runtime", **options).converse(**ask())
    assert fake.requests[0].path.startswith("/gateway/v1/model/")
    assert fake.requests[0].model_id == NOVA


def test_connections_are_kept_and_counted(fake: FakeBedrock, client: Any) -> None:
    for _ in range(3):
        client.converse(**ask())
        list(client.converse_stream(**ask())["stream"])
    assert fake.connections == 1
    assert fake.open_connections == 1
    assert {request.connection for request in fake.requests} == {1}
    client.close()
    assert fake.wait_for(lambda fake: fake.open_connections == 0)


def test_a_stream_that_the_client_leaves_is_abandoned(fake: FakeBedrock, client: Any) -> None:
    fake.queue(Reply(Text(["word "] * 100), pace=0.05))
    stream = client.converse_stream(**ask())["stream"]
    next(iter(stream))
    stream.close()
    assert fake.wait_for(lambda fake: fake.requests[0].abandoned)
    assert fake.wait_for(lambda fake: fake.open_connections == 0)


def test_an_unknown_path_is_an_unknown_operation(fake: FakeBedrock) -> None:
    said = exchange(fake, b"POST /nothing HTTP/1.1\r\nConnection: close\r\nContent-Length: 2\r\n\r\n{}")
    assert said.startswith(b"HTTP/1.1 404 ")
    assert b"x-amzn-errortype: UnknownOperationException" in said


def test_what_is_no_http_gets_400_and_the_door(fake: FakeBedrock) -> None:
    assert exchange(fake, b"nonsense\r\n\r\n").startswith(b"HTTP/1.1 400 ")


@pytest.mark.parametrize("pieces", [1, 2, 7, 60])
def test_a_request_may_arrive_in_pieces(fake: FakeBedrock, pieces: int) -> None:
    said = exchange(fake, raw_request(BODY, f"Content-Length: {len(BODY)}"), pieces=pieces)
    assert said.startswith(b"HTTP/1.1 200 OK\r\n")
    assert fake.requests[0].raw == BODY


def test_a_request_may_be_chunked(fake: FakeBedrock) -> None:
    chunked = b"%x\r\n%b\r\n5;ext=1\r\n%b\r\n0\r\n\r\n" % (len(BODY) - 5, BODY[:-5], BODY[-5:])
    assert exchange(fake, raw_request(chunked, "Transfer-Encoding: chunked")).startswith(b"HTTP/1.1 200 ")
    assert fake.requests[0].raw == BODY


def test_a_client_that_waits_for_leave_to_send_its_body_gets_it(fake: FakeBedrock) -> None:
    said = exchange(fake, raw_request(BODY, f"Content-Length: {len(BODY)}", "Expect: 100-continue"))
    assert said.startswith(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\n")


def test_two_requests_at_once_on_one_connection_are_answered_in_order(fake: FakeBedrock) -> None:
    fake.queue("first", "second")
    one = raw_request(BODY, f"Content-Length: {len(BODY)}")
    said = exchange(fake, one.replace(b"Connection: close\r\n", b"") + one)
    assert 0 < said.index(b"first") < said.index(b"second")


def test_a_stream_is_chunked_with_a_frame_in_each_chunk(fake: FakeBedrock) -> None:
    fake.queue(Reply(Text(("a", "b"))))
    said = exchange(fake, raw_request(BODY, f"Content-Length: {len(BODY)}", operation="converse-stream"))
    head, _, body = said.partition(b"\r\n\r\n")
    assert b"Transfer-Encoding: chunked" in head
    assert b"Content-Type: application/vnd.amazon.eventstream" in head
    sizes = []
    while body:
        line, _, rest = body.partition(b"\r\n")
        size = int(line, 16)
        if size:
            assert int.from_bytes(rest[:4], "big") == size, "the chunk is one frame"
        sizes.append(size)
        body = rest[size + 2 :]
    assert len(sizes) == 7
    assert sizes[-1] == 0


def test_frames_may_be_grouped_into_big_chunks(fake: FakeBedrock, client: Any) -> None:
    reply = Reply(Text(["word "] * 200), group=10_000)
    assert len(reply.answer("converse-stream").pieces) < 6
    fake.queue(reply)
    assert len(list(client.converse_stream(**ask())["stream"])) == 204


@pytest.mark.parametrize("framing", list(Framing))
def test_every_framing_carries_both_forms(fake: FakeBedrock, client: Any, framing: Framing) -> None:
    reply = Reply("Hello", framing=framing)
    fake.queue(reply, reply)
    assert client.converse(**ask())["stopReason"] == "end_turn"
    assert "metadata" in list(client.converse_stream(**ask())["stream"])[-1]
    assert fake.connections == (2 if framing is Framing.EOF else 1)


def test_a_body_of_many_megabytes_is_taken(fake: FakeBedrock, client: Any) -> None:
    image = {"image": {"format": "png", "source": {"bytes": b"\x89PNG" + bytes(3_000_000)}}}
    content = [{"text": "look"}, *[image] * 3]
    client.converse(modelId=NOVA, messages=[{"role": "user", "content": content}])
    assert len(fake.requests[0].raw) > 12_000_000


def test_refusing_turns_connections_away_for_a_while(fake: FakeBedrock, client: Any) -> None:
    with fake.refusing(), pytest.raises(EndpointConnectionError):
        client.converse(**ask())
    client.converse(**ask())


def test_open_connections_outlive_the_refusal_of_new_ones(fake: FakeBedrock, client: Any) -> None:
    client.converse(**ask())
    with fake.refusing():
        client.converse(**ask())
    assert fake.connections == 1


@pytest.mark.parametrize("reset", [True, False])
def test_all_connections_can_be_dropped(fake: FakeBedrock, client: Any, reset: bool) -> None:
    client.converse(**ask())
    fake.drop_connections(reset=reset)
    assert fake.wait_for(lambda fake: fake.open_connections == 0)
    client.converse(**ask())
    assert fake.connections == 2


def test_proxies_of_the_environment_do_not_come_between(monkeypatch: pytest.MonkeyPatch, fake: FakeBedrock) -> None:
    for name in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    client_of(fake).converse(**ask())
    assert len(fake.requests) == 1


def test_many_slow_streams_run_at_once(fake: FakeBedrock) -> None:
    fake.queue(*[Reply(Text(["word "] * 10), pace=0.02)] * 100)
    client = client_of(fake, max_pool_connections=100)

    def stream(_: int) -> int:
        return len(list(client.converse_stream(**ask())["stream"]))

    with ThreadPoolExecutor(50) as pool:
        assert list(pool.map(stream, range(100))) == [14] * 100


def test_nothing_is_left_when_the_block_ends_in_the_middle_of_answers() -> None:
    gc.collect()  # clients of earlier tests close their sockets when they are collected
    threads, before = threading.active_count(), sockets_of_this_process()
    with FakeBedrock([Reply("x", fault=Stall(2))] * 3) as fake:
        clients = [client_of(fake) for _ in range(3)]
        streams = [client.converse_stream(**ask())["stream"] for client in clients]
        assert fake.open_connections == 3
    assert fake.open_connections == 0
    for stream, client in zip(streams, clients, strict=True):
        stream.close()
        client.close()
    assert threading.active_count() == threads
    assert sockets_of_this_process() == before


def test_a_port_can_be_asked_for(fake: FakeBedrock) -> None:
    fake.close()
    with FakeBedrock(port=fake.port) as again:
        assert again.url == fake.url
        client_of(again).converse(**ask())


def test_a_port_that_is_taken_is_an_error(fake: FakeBedrock) -> None:
    with pytest.raises(OSError, match="Address already in use"), FakeBedrock(port=fake.port):
        pass


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture(scope="module")
def tls(authority: trustme.CA) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(HOST).configure_cert(context)
    return context


def test_tls_is_spoken_with_a_context(authority: trustme.CA, tls: ssl.SSLContext, tmp_path: Path) -> None:
    bundle = tmp_path / "ca.pem"
    authority.cert_pem.write_to_path(str(bundle))
    with FakeBedrock(ssl_context=tls) as fake:
        assert fake.url.startswith("https://")
        client = boto3.client("bedrock-runtime", **fake.client_options(), verify=str(bundle))
        client.converse(**ask())
        assert "metadata" in list(client.converse_stream(**ask())["stream"])[-1]
        client.close()


def test_a_certificate_that_nobody_trusts_is_refused_by_the_client(tls: ssl.SSLContext) -> None:
    with FakeBedrock(ssl_context=tls) as fake, pytest.raises(SSLError):
        client_of(fake).converse(**ask())


def test_leniency_lets_everything_pass() -> None:
    with FakeBedrock(strict=False) as fake:
        client_of(fake).converse(modelId="whatever", messages=[])
        assert fake.requests[0].refusal is None


def test_strictness_is_the_default(fake: FakeBedrock, client: Any) -> None:
    with pytest.raises(ClientError, match="must start with a user message"):
        client.converse(modelId=NOVA, messages=[])
    assert fake.requests[0].refusal is not None


if sys.platform != "linux":  # the count of sockets reads /proc
    del test_nothing_is_left_when_the_block_ends_in_the_middle_of_answers


def test_a_handshake_that_never_ends_leaves_nothing_behind(
    tls: ssl.SSLContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    left: list[str] = []
    gc.collect()  # what earlier tests left is theirs
    monkeypatch.setattr(sys, "unraisablehook", lambda unraisable: left.append(str(unraisable.exc_value)))
    for hello in (b"", b"\x16\x03\x01\x02\x00\x01") * 3:
        with FakeBedrock(ssl_context=tls) as fake:
            halfway = socket.create_connection((HOST, fake.port))
            halfway.sendall(hello)
            time.sleep(0.01)  # nothing tells when asyncio has begun the handshake
        halfway.close()
        gc.collect()
    assert not left
