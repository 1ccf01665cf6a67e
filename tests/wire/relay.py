"""A TCP relay that hands on a server's bytes in portions and at moments of its own choice, inside TLS records too."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Self

Portions = Callable[[bytes], Iterator[tuple[float, bytes]]]
"""What the server sent at once -> seconds to wait, then bytes to hand on."""


@dataclass
class Relay:
    """Listens on loopback within a `with` block and relays one connection after the other to `port`."""

    port: int
    portions: Portions
    listener: socket.socket = field(init=False)
    threads: list[threading.Thread] = field(default_factory=list)
    sockets: list[socket.socket] = field(default_factory=list)

    def __enter__(self) -> Self:
        self.listener = socket.create_server(("127.0.0.1", 0))
        self._run(self._accept)
        return self

    def __exit__(self, *_exc: object) -> None:
        for sock in (self.listener, *self.sockets):
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)
            sock.close()
        for thread in self.threads:
            thread.join(5)

    @property
    def own_port(self) -> int:
        port: int = self.listener.getsockname()[1]
        return port

    def _run(self, work: Callable[..., None], *arguments: object) -> None:
        thread = threading.Thread(target=work, args=arguments)
        self.threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self.listener.accept()
                server = socket.create_connection(("127.0.0.1", self.port))
                self.sockets += [client, server]
                self._run(self._hand_on, client, server, lambda data: iter([(0.0, data)]))
                self._run(self._hand_on, server, client, self.portions)

    def _hand_on(self, source: socket.socket, target: socket.socket, portions: Portions) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                for pause, portion in portions(data):
                    time.sleep(pause)
                    target.sendall(portion)
            target.shutdown(socket.SHUT_WR)


def in_pieces(sizes: Sequence[int], pause: float) -> Portions:
    """Pieces of these sizes in turn, each after a pause."""

    def portions(data: bytes) -> Iterator[tuple[float, bytes]]:
        at = number = 0
        while at < len(data):
            size = sizes[number % len(sizes)]
            yield pause, data[at : at + size]
            at, number = at + size, number + 1

    return portions
