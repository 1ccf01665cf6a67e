"""orjson, where it is installed (extra `[speed]`)."""

from __future__ import annotations

import functools
from typing import Any


@functools.cache
def orjson_if_installed() -> Any:
    """The module, None where there is none, or one before 3.9, which cannot put ready JSON into its own."""
    try:
        import orjson
    except ImportError:
        return None
    return orjson if hasattr(orjson, "Fragment") else None
