"""Many calls at once, in threads, as whoever has only a blocking client does it."""

from __future__ import annotations

import threading
from collections.abc import Callable


def at_once(call: Callable[[], object], count: int) -> None:
    """Make so many calls at once and wait for all; raises what the first that failed raised."""
    errors: list[BaseException] = []

    def run() -> None:
        try:
            call()
        except BaseException as error:  # noqa: BLE001 - it is raised below, in the caller's thread
            errors.append(error)

    threads = [threading.Thread(target=run, daemon=True) for _ in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if errors:
        raise errors[0]
