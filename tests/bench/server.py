"""The loopback server of the benchmark, in a process of its own: `python -m tests.bench.server [CERTIFICATE KEY]`.

It is leaner than the stand-in that the tests use, so that the client is what is measured: a request is not parsed, its
reply is the one that its last message names, and every reply is rendered once, by the stand-in's own frames. It prints
its ports as JSON, and ends when its standard input does.
"""

from __future__ import annotations

import asyncio
import json
import ssl
import sys
import time
from functools import cache
from typing import Any, cast

from agent.bedrock.testing import Reasoning, Reply, Text, ToolCall
from agent.bedrock.testing.frames import event_frame
from agent.bedrock.testing.wire import steps

from .replies import CALL_ID, MARK, SCRIPTS, TOOL, Script

Step = tuple[float, bytes]

CLOCK = "clock"
"""The text of a delta that is written as the time at which it is written."""

_MARK = MARK.encode()


@cache
def rendered(name: str, operation: str) -> list[Step]:
    """A reply as timed writes: seconds to wait, then bytes."""
    script = SCRIPTS[name]
    blocks: list[Any] = [Reasoning(script.reasoning, "c2lnbmF0dXJl")] if script.reasoning else []
    blocks += [Text(script.text)] if script.text else []
    blocks += [ToolCall(TOOL, "".join(script.arguments), CALL_ID, pieces=script.arguments)] if script.arguments else []
    reply = Reply(*blocks, pace=script.pace, headers={"x-amzn-RequestId": "11111111-2222-3333-4444-555555555555"})
    return list(steps(reply.answer(operation)))


def clocked_delta() -> bytes:
    """An HTTP chunk with one text delta that says when it was written."""
    delta = {"contentBlockIndex": 0, "delta": {"text": f"{time.monotonic():.6f}"}}
    frame = event_frame("contentBlockDelta", delta, padding=8)
    return b"%x\r\n%b\r\n" % (len(frame), frame)


class Connection(asyncio.Protocol):
    """One client connection; requests come one after the other."""

    opened = 0
    last = b""

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._length: int | None = None
        self._head = b""
        self._writing: asyncio.Task[None] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        Connection.opened += 1

    def connection_lost(self, exc: Exception | None) -> None:
        if self._writing is not None:
            self._writing.cancel()

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        if self._length is None:
            self._read_head()
        if self._length is not None and len(self._buffer) >= self._length:
            body, self._length = bytes(self._buffer), None
            self._buffer.clear()
            self._answer(body)

    def _read_head(self) -> None:
        end = self._buffer.find(b"\r\n\r\n")
        if end < 0:
            return
        self._head = bytes(self._buffer[:end]).lower()
        del self._buffer[: end + 4]
        self._length = 0
        at = self._head.find(b"content-length:")
        if at >= 0:
            self._length = int(self._head[at + 15 :].split(b"\r\n", 1)[0])
        if b"expect: 100-continue" in self._head:
            self._transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")

    def _answer(self, body: bytes) -> None:
        target = self._head.split(b" ", 2)[1]
        if target == b"/stats":
            self._write_json({"opened": Connection.opened})
        elif target == b"/last":
            self._write_json(json.loads(Connection.last))
        else:
            Connection.last = body
            at = body.rindex(_MARK) + len(_MARK)
            name = body[at : body.index(b";", at)].decode()
            operation = "converse-stream" if target.endswith(b"/converse-stream") else "converse"
            self._write(SCRIPTS[name], rendered(name, operation))

    def _write(self, script: Script, timed: list[Step]) -> None:
        if len(timed) == 1:
            self._transport.write(timed[0][1])
        else:
            self._writing = asyncio.get_running_loop().create_task(self._write_slowly(script, timed))

    async def _write_slowly(self, script: Script, timed: list[Step]) -> None:
        start, deltas = asyncio.get_running_loop().time(), len(script.text)
        for number, (_, data) in enumerate(timed):
            await asyncio.sleep(start + number * script.pace - asyncio.get_running_loop().time())
            is_delta = script.clocked and 1 <= number <= deltas
            self._transport.write(clocked_delta() if is_delta else data)

    def _write_json(self, value: Any) -> None:
        body = json.dumps(value).encode()
        head = f"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
        self._transport.write(head.encode() + body)


async def serve(certificate: list[str]) -> None:
    """Listen until standard input ends."""
    loop = asyncio.get_running_loop()
    plain = await loop.create_server(Connection, "127.0.0.1", 0, backlog=1024)
    ports = {"plain": plain.sockets[0].getsockname()[1]}
    if certificate:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*certificate)
        secure = await loop.create_server(Connection, "127.0.0.1", 0, ssl=context, backlog=1024)
        ports["tls"] = secure.sockets[0].getsockname()[1]
    print(json.dumps(ports), flush=True)
    await loop.run_in_executor(None, sys.stdin.read)


if __name__ == "__main__":
    asyncio.run(serve(sys.argv[1:]))
