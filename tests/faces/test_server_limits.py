"""Clients that vanish, send garbage, huge bodies or slow bytes; too many of them; a server that stops; and leaks."""

from __future__ import annotations

import asyncio
import gc
import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from agent.bedrock.faces.server.surfaces import Endpoint
from agent.bedrock.testing import FakeBedrock, Reply, Stall, Text, ToolCall
from tests.faces.serving import (
    CHAT,
    NOVA,
    USER,
    Served,
    as_asked,
    data_lines,
    house,
    httpx,
    served,
    serving,
)
from tests.moments import at_some_pace, comes_true, in_some_try, prompt

__all__ = ["house", "served"]

ROOT = Path(__file__).resolve().parents[2]
BODY = {"model": NOVA, "messages": USER}
ENDLESS = Reply(Text(["one ", "two ", "three "]), fault=Stall(3))
"""Stands still before its third text."""
SILENT = Reply("Hello.", delay=30)
"""Not even headers."""


def request_bytes(body: bytes, path: str = CHAT, extra: str = "") -> bytes:
    head = f"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(body)}\r\n{extra}\r\n"
    return head.encode() + body


@contextmanager
def connection(served: Served) -> Iterator[socket.socket]:
    with socket.create_connection(("127.0.0.1", served.port), timeout=10) as opened:
        yield opened


def read_all(opened: socket.socket) -> bytes:
    parts = []
    while part := opened.recv(65536):
        parts.append(part)
    return b"".join(parts)


def in_flight(served: Served) -> int:
    return sum(
        request.operation in ("converse", "converse-stream") and not (request.complete or request.abandoned)
        for request in served.fake.requests
    )


# --- clients that vanish ----------------------------------------------------------------------------------------------


def test_a_client_that_leaves_a_stream_ends_the_call_within_a_second(served: Served) -> None:
    served.answer = lambda _: ENDLESS

    def leave() -> float:
        with served.http.stream("POST", CHAT, json={**BODY, "stream": True}) as response:
            assert "one" in next(line for line in response.iter_lines() if '"content":"one' in line)
            left = time.monotonic()
        assert served.fake.wait_for(lambda fake: fake.requests[-1].abandoned)
        return time.monotonic() - left

    assert prompt(leave, within=1)
    assert comes_true(lambda: served.service._places.taken == 0)


@pytest.mark.parametrize("stream", [False, True])
def test_a_client_that_leaves_while_nothing_has_come_ends_the_call_within_a_second(
    stream: bool, served: Served
) -> None:
    served.answer = lambda _: SILENT

    def leave() -> float:
        asked = len(served.fake.requests) + 1
        with connection(served) as opened:
            opened.sendall(request_bytes(json.dumps({**BODY, "stream": stream}).encode()))
            assert served.fake.wait_for(lambda fake: len(fake.requests) == asked)
            left = time.monotonic()
        assert served.fake.wait_for(lambda fake: fake.requests[-1].abandoned)
        return time.monotonic() - left

    assert prompt(leave, within=1)
    assert comes_true(lambda: served.service._places.taken == 0)


def test_a_client_that_leaves_behind_another_request_ends_the_call_too(served: Served) -> None:
    served.answer = lambda _: SILENT
    with connection(served) as opened:
        opened.sendall(request_bytes(json.dumps(BODY).encode()) * 2)
        assert served.fake.wait_for(lambda fake: len(fake.requests) == 1)
    assert served.fake.wait_for(lambda fake: fake.requests[0].abandoned)
    assert comes_true(lambda: served.service._places.taken == 0)


def test_a_client_that_leaves_in_the_middle_of_its_body_is_forgotten(served: Served) -> None:
    with connection(served) as opened:
        opened.sendall(request_bytes(b"x" * 1000)[:-500])
    assert comes_true(lambda: served.service._places.taken == 0)
    assert served.chat().status_code == 200
    assert len(served.fake.requests) == 1


def test_a_client_that_leaves_a_list_of_models_is_forgotten(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        monkeypatch.setenv("AWS_ENDPOINT_URL_BEDROCK", f"http://127.0.0.1:{silent.getsockname()[1]}")
        with connection(served) as opened:
            opened.sendall(b"GET /v1/models HTTP/1.1\r\nHost: localhost\r\n\r\n")
            asked, _ = silent.accept()
        assert comes_true(lambda: not served.server.server_state.tasks)
        asked.close()


def test_a_call_that_the_server_gives_up_raises_nothing(served: Served) -> None:
    async def forever(_: Any) -> None:
        await asyncio.sleep(60)

    async def receive() -> Any:
        return {"type": "http.disconnect"}

    async def scene() -> None:
        scope = {"type": "http", "method": "GET", "path": "/x", "headers": []}
        serving = asyncio.ensure_future(Endpoint("/x", forever, served.service)(scope, receive, receive))
        await asyncio.sleep(0)
        serving.cancel()
        await serving

    asyncio.run(scene())


# --- garbage ----------------------------------------------------------------------------------------------------------

GARBAGE = {
    "bytes": bytes(range(256)),
    "a tls hello": bytes.fromhex("16030100c8010000c4"),
    "no http": b"HELO localhost\r\n\r\n",
    "a bad header": b"GET / HTTP/1.1\r\nHost localhost\r\n\r\n",
    "two lengths": b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab",
    "a bad length": b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: -1\r\n\r\n",
    "a bad chunk": request_bytes(b"", extra="")[:-2].replace(b"Content-Length: 0", b"Transfer-Encoding: chunked")
    + b"\r\nzz\r\n",
    "endless headers": b"GET / HTTP/1.1\r\n" + b"X: " + b"x" * 100_000,
    "a websocket": b"GET /v1/models HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n",
}


@pytest.mark.parametrize("name", GARBAGE)
def test_garbage_does_no_harm(name: str, served: Served) -> None:
    with connection(served) as opened:
        opened.sendall(GARBAGE[name])
        opened.shutdown(socket.SHUT_WR)
        assert b"200 OK" not in read_all(opened)
    assert served.chat().status_code == 200


def test_garbage_behind_a_request_waits_for_its_answer_and_ends_the_connection(served: Served) -> None:
    with connection(served) as opened:
        opened.sendall(request_bytes(json.dumps(BODY).encode()) + b"\x00garbage\r\n\r\n")
        answers = read_all(opened)
    assert answers.startswith(b"HTTP/1.1 200")
    assert b"Hello." in answers
    assert b"HTTP/1.1 400" in answers


# --- huge and slow ----------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def strict() -> Iterator[Served]:
    """A server with little patience."""
    limits = {
        "max_body_bytes": 100_000,
        "body_seconds": 0.3,
        "header_seconds": 0.3,
        "write_seconds": 0.5,
        "max_concurrency": 2,
    }
    with as_asked(settings=limits) as served:
        yield served


@pytest.fixture
def impatient(strict: Served) -> Iterator[Served]:
    strict.http = httpx.Client(base_url=strict.url, trust_env=False, timeout=20)
    strict.answer = lambda _: Reply("Hello.")
    strict.fake.requests.clear()
    yield strict
    strict.quiet()


def pieces(size: int) -> Iterator[bytes]:
    for _ in range(size // 50_000):
        yield b"x" * 50_000


@pytest.mark.parametrize("announced", [True, False])
@in_some_try
def test_a_huge_body_is_a_413_that_its_sender_can_read(announced: bool, impatient: Served) -> None:
    size = 20_000_000
    content: Any = b"x" * size if announced else pieces(size)
    response = impatient.http.post(CHAT, content=content)
    assert (response.status_code, response.json()["error"]["code"]) == (413, "body_too_large")
    assert impatient.chat().status_code == 200


@in_some_try
def test_a_body_that_trickles_is_a_408(impatient: Served) -> None:
    with connection(impatient) as opened:
        opened.sendall(request_bytes(b"{}" + b" " * 100)[:-90])
        answer = read_all(opened)
    assert answer.startswith(b"HTTP/1.1 408")
    assert b"body_too_slow" in answer
    assert comes_true(lambda: impatient.service._places.taken == 0)


@pytest.mark.parametrize("sent", [b"", b"POST /v1/chat", b"POST / HTTP/1.1\r\nX: y\r\n"])
def test_a_connection_on_which_no_request_gets_ready_is_closed(sent: bytes, impatient: Served) -> None:
    with connection(impatient) as opened:
        opened.sendall(sent)
        assert read_all(opened) == b""


@in_some_try
def test_a_second_request_that_trickles_is_closed_too(impatient: Served) -> None:
    with connection(impatient) as opened:
        opened.sendall(b"GET /nowhere HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert opened.recv(65536).startswith(b"HTTP/1.1 404")
        opened.sendall(b"GET /nowhere HT")
        assert read_all(opened).count(b"HTTP/1.1") <= 1


@in_some_try
def test_a_slow_answer_is_not_taken_for_a_slow_request(impatient: Served) -> None:
    impatient.answer = lambda _: Reply("Hello.", delay=0.8)
    assert impatient.chat().status_code == 200


@in_some_try
def test_a_client_that_reads_nothing_is_given_up(impatient: Served) -> None:
    impatient.answer = lambda _: Reply(Text(["x" * 50_000] * 400))
    asked = len(impatient.fake.requests) + 1
    with connection(impatient) as opened:
        opened.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        opened.sendall(request_bytes(json.dumps({**BODY, "stream": True}).encode()))
        assert impatient.fake.wait_for(lambda fake: len(fake.requests) == asked)
        assert comes_true(lambda: impatient.service._places.taken == 0)
        assert comes_true(lambda: not impatient.server.server_state.connections)  # though the client keeps its end


@in_some_try
def test_a_call_too_many_is_a_503_that_may_be_tried_again(impatient: Served) -> None:
    impatient.answer = lambda _: ENDLESS
    with connection(impatient) as one, connection(impatient) as two:
        for opened in (one, two):
            opened.sendall(request_bytes(json.dumps({**BODY, "stream": True}).encode()))
        assert comes_true(lambda: impatient.service._places.taken == 2)
        refused = impatient.chat()
        assert (refused.status_code, refused.json()["error"]["code"]) == (503, "overloaded")
        assert (refused.headers["retry-after"], refused.headers["x-should-retry"]) == ("1", "true")
        assert impatient.http.get("/v1/models").status_code == 503
        assert impatient.http.get("/healthz").status_code == 200
    assert comes_true(lambda: impatient.service._places.taken == 0)
    impatient.answer = lambda _: Reply("Hello.")
    assert impatient.chat().status_code == 200


@pytest.mark.parametrize("stream", [False, True])
def test_a_call_that_takes_too_long_is_ended(stream: bool) -> None:

    def scene(pace: int) -> None:
        slow = Reply(Text(["one ", "two ", "three "]), pace=0.3 * pace, delay=0.0 if stream else 5 * pace)
        with FakeBedrock([slow]) as fake, serving(fake, settings={"call_seconds": 0.8 * pace}) as served:
            response = served.chat(stream=stream)
            if stream:
                assert json.loads(data_lines(response.text)[-1])["error"]["code"] == "timeout"
            else:
                assert (response.status_code, response.json()["error"]["code"]) == (504, "timeout")
                assert response.json()["error"]["message"].endswith(" seconds. The time allowed for the call is over.")

    at_some_pace(scene)


# --- stopping ---------------------------------------------------------------------------------------------------------


def test_a_server_that_stops_finishes_the_streams_that_it_has_begun() -> None:
    slow = Reply(Text([f"{number} " for number in range(10)]), pace=0.05)
    texts: list[str] = []
    with FakeBedrock(lambda _: slow) as fake, serving(fake) as served:

        def read() -> None:
            texts.append(served.chat(stream=True).text)

        readers = [threading.Thread(target=read) for _ in range(3)]
        for reader in readers:
            reader.start()
        assert fake.wait_for(lambda fake: len(fake.requests) == 3)
        assert comes_true(lambda: served.service._places.taken == 3)
        served.server.should_exit = True
        for reader in readers:
            reader.join(10)
        with pytest.raises(httpx.ConnectError):
            httpx.get(f"{served.url}/healthz")
    assert len(texts) == 3
    assert all('"9 "' in text and "[DONE]" in text for text in texts)


def test_a_stream_that_never_ends_is_given_up_after_the_drain() -> None:
    with (
        FakeBedrock(lambda _: ENDLESS) as fake,
        serving(fake, settings={"drain_seconds": 0.3}) as served,
        connection(served) as opened,
    ):
        opened.sendall(request_bytes(json.dumps({**BODY, "stream": True}).encode()))
        assert b"200 OK" in opened.recv(65536)
        served.server.should_exit = True
        assert comes_true(lambda: fake.requests[-1].abandoned)


@pytest.mark.skipif(sys.platform == "win32", reason="signals of a terminal")
def test_the_command_serves_until_it_is_terminated() -> None:
    command = [sys.executable, "-m", "agent.bedrock", "serve", "--port", "0", "--model", NOVA]
    keys = {"AWS_ACCESS_KEY_ID": "AKID", "AWS_SECRET_ACCESS_KEY": "s3cret", "AWS_REGION": "us-east-1"}
    with FakeBedrock() as fake:
        environment = {**os.environ, **keys, "AWS_ENDPOINT_URL_BEDROCK_RUNTIME": fake.url}
        with subprocess.Popen(command, cwd=ROOT, env=environment, stderr=subprocess.PIPE, text=True) as process:
            try:
                url = f"http://127.0.0.1:{port_of(process)}"
                assert httpx.get(f"{url}/healthz").status_code == 200
                assert httpx.post(f"{url}{CHAT}", json={"messages": USER}).status_code == 200
            finally:
                process.send_signal(signal.SIGTERM)
                _, said = process.communicate(timeout=15)
    assert process.returncode in (0, -signal.SIGTERM)
    assert "s3cret" not in said
    assert "Traceback" not in said


@pytest.mark.skipif(sys.platform == "win32", reason="signals of a terminal")
def test_a_second_interrupt_ends_the_command_at_once_and_without_a_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    command = [sys.executable, "-m", "agent.bedrock", "serve", "--port", "0", "--region", "us-east-1"]
    with FakeBedrock(lambda _: ENDLESS) as fake:
        arguments = ["--endpoint-url", fake.url]
        environment = {**os.environ, "AWS_ACCESS_KEY_ID": "AKID", "AWS_SECRET_ACCESS_KEY": "s3cret"}
        with (
            heeding_interrupts(),
            subprocess.Popen(
                [*command, *arguments], cwd=ROOT, env=environment, stderr=subprocess.PIPE, text=True
            ) as process,
        ):
            assert process.stderr is not None
            with socket.create_connection(("127.0.0.1", port_of(process)), timeout=10) as opened:
                opened.sendall(request_bytes(json.dumps({**BODY, "stream": True}).encode()))
                assert b"200 OK" in opened.recv(65536)
                process.send_signal(signal.SIGINT)
                assert next(line for line in process.stderr if "Waiting for connections" in line)
                process.send_signal(signal.SIGINT)
                _, said = process.communicate(timeout=15)
    assert process.returncode == 130
    assert "Traceback" not in said


@contextmanager
def heeding_interrupts() -> Iterator[None]:
    """Children get SIGINT also where these tests are run by a shell in the background, which has them ignore it."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def port_of(process: subprocess.Popen[str]) -> int:
    """Where the server listens, once it says so."""
    assert process.stderr is not None
    begun = next(line for line in process.stderr if "running on" in line)
    return int(re.findall(r":(\d+) ", begun)[0])


# --- many, and leaks --------------------------------------------------------------------------------------------------

WORDS = 6
TOGETHER = 1.5
"""Seconds after the first request at which the first word is said to all that have come by then."""


class Chorus:
    """Answers that say whose they are in every word, and how many calls there were at once."""

    def __init__(self, served: Served) -> None:
        self._served = served
        self._began = 0.0
        self.most = 0
        self.late = False

    def __call__(self, request: Any) -> Reply:
        self._began = self._began or time.monotonic()
        left = self._began + TOGETHER - time.monotonic()
        self.late = self.late or left < 0
        self.most = max(self.most, self._served.service._places.taken)
        number = request.messages[0]["content"][0]["text"]
        words = [f"{number}.{word} " for word in range(WORDS)]
        call = ToolCall("note", {"number": int(number)}, id=f"t{number}")
        return Reply(Text(words), call, delay=max(left, 0), pace=0.02)


async def one_stream(client: Any, number: int) -> None:
    body = {"model": NOVA, "messages": [{"role": "user", "content": str(number)}], "stream": True}
    text, arguments, finished = "", "", None
    async with client.stream("POST", CHAT, json=body) as response:
        assert response.status_code == 200
        lines = data_lines((await response.aread()).decode())
    assert lines[-1] == "[DONE]"
    for chunk in map(json.loads, lines[:-1]):
        choice = chunk["choices"][0]
        text += choice["delta"].get("content") or ""
        arguments += "".join(call["function"]["arguments"] for call in choice["delta"].get("tool_calls") or ())
        finished = choice["finish_reason"] or finished
    assert text == "".join(f"{number}.{word} " for word in range(WORDS))
    assert json.loads(arguments) == {"number": number}
    assert finished == "tool_calls"


async def many_streams(url: str, count: int) -> None:
    limits = httpx.Limits(max_connections=None)
    async with httpx.AsyncClient(base_url=url, limits=limits, timeout=60, trust_env=False) as client:
        await asyncio.gather(*(one_stream(client, number) for number in range(count)))


def test_two_hundred_concurrent_streams_are_correct_and_complete(served: Served) -> None:
    served.answer = chorus = Chorus(served)
    asyncio.run(many_streams(served.url, 200))
    assert len(served.fake.requests) == 200
    assert chorus.most == 200 or chorus.late  # on a machine that is too busy, some were done before others came
    assert comes_true(lambda: served.service._places.taken == 0)


def open_files() -> int:
    gc.collect()
    return len(os.listdir("/proc/self/fd"))  # noqa: PTH208 - nothing but their number


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="counts files as Linux shows them")
def test_nothing_is_left_of_clients_however_they_leave(served: Served) -> None:
    served.answer = lambda _: ENDLESS

    def leave_badly() -> None:
        for _ in range(10):
            with connection(served) as opened:
                opened.sendall(request_bytes(json.dumps({**BODY, "stream": True}).encode()))
                opened.recv(100)
            with connection(served) as opened:
                opened.sendall(b"POST " + bytes(range(128, 255)))
        assert comes_true(lambda: served.service._places.taken == 0)
        served.service.workers.dismiss()
        assert comes_true(lambda: not any(t.name == "bedrock-worker" for t in threading.enumerate()))
        assert comes_true(lambda: not served.server.server_state.connections)

    leave_badly()
    before, threads = open_files(), threading.active_count()
    leave_badly()
    leave_badly()
    assert comes_true(lambda: open_files() <= before + 2)
    assert comes_true(lambda: threading.active_count() <= threads)
    assert not served.server.server_state.tasks
