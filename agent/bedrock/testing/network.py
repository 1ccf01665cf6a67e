"""Addresses that nobody answers at: what a stand-in cannot be, because it would have to be there.

For a refused connection there is `FakeBedrock.refusing()`; here is the address whose connections never come about.
"""

from __future__ import annotations

import contextlib
import socket
from typing import TYPE_CHECKING

from .server import HOST

if TYPE_CHECKING:
    from collections.abc import Iterator

CROWD = 4
"""Connections that fill a backlog of none, with some to spare."""


@contextlib.contextmanager
def unconnectable() -> Iterator[str]:
    """A URL to which a connection is neither made nor refused (on Linux: the listener's backlog is full)."""
    with contextlib.ExitStack() as open_sockets:
        listener = open_sockets.enter_context(socket.socket())
        listener.bind((HOST, 0))
        listener.listen(0)
        for _ in range(CROWD):
            waiting = open_sockets.enter_context(socket.socket())
            waiting.setblocking(False)
            waiting.connect_ex(listener.getsockname())
        yield f"http://{HOST}:{listener.getsockname()[1]}"
