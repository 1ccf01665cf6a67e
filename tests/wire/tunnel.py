"""An HTTP proxy that tunnels: what HTTPS_PROXY names, reached in plain or over TLS."""

from __future__ import annotations

import contextlib
import socket
import ssl
import threading
from dataclasses import dataclass, field
from typing import Self

_HEAD_END = b"\r\n\r\n"


@dataclass
class Tunnel:
    """Listens on loopback within a `with` block; `asked` has the request lines of those who came.

    With `tls` the proxy itself is reached over TLS. `key` has to stand in the headers, or the answer is 407. Where a
    tunnel leads is looked up in `hosts` first.
    """

    tls: ssl.SSLContext | None = None
    key: bytes = b""
    hosts: dict[str, str] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    _listener: socket.socket = field(init=False)
    _threads: list[threading.Thread] = field(default_factory=list)
    _sockets: list[socket.socket] = field(default_factory=list)

    def __enter__(self) -> Self:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._run(self._accept)
        return self

    def __exit__(self, *_exc: object) -> None:
        for sock in (self._listener, *self._sockets):
            with contextlib.suppress(OSError):
                socket.socket.shutdown(sock, socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join(5)
        for sock in (self._listener, *self._sockets):
            sock.close()

    def url(self, user: str = "") -> str:
        """What HTTPS_PROXY is to be; `user` is a name with a password."""
        at = f"{user}@" if user else ""
        return f"{'http' if self.tls is None else 'https'}://{at}127.0.0.1:{self._listener.getsockname()[1]}"

    def _run(self, work: object, *arguments: object) -> None:
        thread = threading.Thread(target=work, args=arguments)  # type: ignore[arg-type]
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                self._run(self._serve, self._kept(self._listener.accept()[0]))

    def _kept(self, sock: socket.socket) -> socket.socket:
        self._sockets.append(sock)
        return sock

    def _serve(self, caller: socket.socket) -> None:
        with contextlib.suppress(OSError):
            if self.tls is not None:
                caller = self._kept(self.tls.wrap_socket(caller, server_side=True))
            head = b""
            while _HEAD_END not in head:
                more = caller.recv(65536)
                if not more:
                    return
                head += more
            line = head.partition(b"\r\n")[0].decode()
            self.asked.append(line)
            if self.key not in head:
                caller.sendall(b"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n")
                socket.socket.shutdown(caller, socket.SHUT_RDWR)
                return
            host, _, port = line.split()[1].rpartition(":")
            server = self._kept(socket.create_connection((self.hosts.get(host, host), int(port))))
            caller.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
            self._run(_pump, server, caller)
            _pump(caller, server)


def _pump(source: socket.socket, target: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while data := source.recv(65536):
            target.sendall(data)
    with contextlib.suppress(OSError):
        socket.socket.shutdown(target, socket.SHUT_RDWR)
