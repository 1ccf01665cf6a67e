"""One HTTP request and its answer, over ASGI.

In come ASGI's three arguments, out go bytes. Reading has limits, writing waits for a slow reader only so long, and who
waits for a model can be told that the client is gone. Nothing here knows what is asked.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Mapping
from typing import Any

from ...errors import BedrockError
from ..sse import json_text

Headers = Mapping[str, str]

DRAINED_SECONDS = 2.0
DRAINED_BYTES = 256 * 1024 * 1024
"""How long, and how much, of a body that nobody wants is still read, so that its sender can read the answer."""

DRAINED_SILENCE = 0.25
"""Seconds without a byte after which its sender is taken to be reading."""


class ClientGoneError(Exception):
    """The client closed the connection, or reads nothing any more."""


class RefusedError(BedrockError):
    """A request that is answered before any model is asked; `status` and `code` are the answer's."""

    def __init__(self, status: int, code: str, message: str, *, headers: Headers | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.headers = dict(headers or {})

    @property
    def body(self) -> bytes:
        """OpenAI's error body."""
        kind = _ERROR_TYPES.get(self.status, "invalid_request_error" if self.status < 500 else "server_error")
        error = {"message": str(self), "type": kind, "param": None, "code": self.code}
        return json_text({"error": error}).encode("ascii")


_ERROR_TYPES = {401: "authentication_error", 403: "permission_error"}


class Exchange:
    """A request with its headers (in lower case; of repeated ones the first), and the way to answer it."""

    def __init__(self, scope: Any, receive: Any, send: Any, *, write_seconds: float = 60.0) -> None:
        self.method: str = scope["method"]
        self.path: str = scope["path"]
        self.parameters: Mapping[str, str] = scope.get("path_params") or {}
        self.headers: dict[str, str] = {}
        for name, value in scope["headers"]:
            self.headers.setdefault(name.decode("latin-1").lower(), value.decode("latin-1"))
        self.status: int | None = None
        self.written_at = 0.0
        self.finished = False
        self._receive = receive
        self._send = send
        self._write_seconds = write_seconds
        self._body_read = False

    async def body(self, most: int, seconds: float) -> bytes:
        """The body; RefusedError where it is larger or slower than allowed, ClientGoneError where it ends too soon."""
        declared = self.headers.get("content-length", "0")
        if declared.isdigit() and int(declared) > most:
            raise _too_large(most)
        try:
            async with asyncio.timeout(seconds):
                return await self._read(most)
        except TimeoutError:
            raise RefusedError(408, "body_too_slow", f"The body did not come within {seconds:g} seconds.") from None

    async def _read(self, most: int) -> bytes:
        parts: list[bytes] = []
        size = 0
        while not self._body_read:
            part = await self._part()
            size += len(part)
            if size > most:
                raise _too_large(most)
            parts.append(part)
        return b"".join(parts)

    async def _part(self) -> bytes:
        message = await self._receive()
        if message["type"] == "http.disconnect":
            raise ClientGoneError
        self._body_read = not message.get("more_body", False)
        return message.get("body") or b""

    async def gone(self) -> None:
        """Until the client has closed the connection; only once the body has been read."""
        while (await self._receive())["type"] != "http.disconnect":
            pass

    async def begin(self, status: int, headers: Headers) -> None:
        """The beginning of an answer."""
        self.status = status
        raw = [(name.encode("latin-1"), value.encode("latin-1", "replace")) for name, value in headers.items()]
        await self._send({"type": "http.response.start", "status": status, "headers": raw})

    async def write(self, data: bytes, *, more: bool = True) -> None:
        """A part of an answer; ClientGoneError where nobody has read for too long."""
        self.written_at = asyncio.get_running_loop().time()
        self.finished = not more
        try:
            async with asyncio.timeout(self._write_seconds):
                await self._send({"type": "http.response.body", "body": data, "more_body": more})
        except (TimeoutError, OSError):
            raise ClientGoneError from None

    async def answer(self, status: int, headers: Headers, body: bytes) -> None:
        """A whole answer. What is left of a body that was not read is read now, up to a limit."""
        unread = not self._body_read and self.method not in ("GET", "HEAD")
        closing = {"connection": "close"} if unread else {}
        await self.begin(status, {**headers, "content-length": str(len(body)), **closing})
        await self.write(body, more=unread)
        if unread:
            with contextlib.suppress(ClientGoneError, TimeoutError):  # the answer is sent either way
                await self._drain(asyncio.get_running_loop().time() + DRAINED_SECONDS)
            await self.write(b"", more=False)

    async def _drain(self, until: float) -> None:
        left = DRAINED_BYTES
        while left > 0 and not self._body_read and asyncio.get_running_loop().time() < until:
            async with asyncio.timeout(DRAINED_SILENCE):
                left -= len(await self._part())


def _too_large(most: int) -> RefusedError:
    return RefusedError(413, "body_too_large", f"The body is larger than {most} bytes.")
