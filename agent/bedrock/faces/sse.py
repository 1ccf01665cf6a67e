"""Server-sent events, for whoever serves chunks or event dicts over HTTP.

In comes JSON data, out go the bytes of one event. The text is ASCII, so that no client can find a line break in it that
is none, and lone surrogates, which some models write, survive. Blobs become base64, as they are on the service's wire.
"""

from __future__ import annotations

import json
from base64 import b64encode
from typing import Any

DONE = b"data: [DONE]\n\n"
"""How OpenAI ends a stream."""

CONTENT_TYPE = "text/event-stream; charset=utf-8"


def _plain(value: Any) -> Any:
    if isinstance(value, (bytes, bytearray)):
        return b64encode(value).decode("ascii")
    if hasattr(value, "model_dump"):
        return value.model_dump(exclude_none=True)
    return str(value)


json_text = json.JSONEncoder(separators=(",", ":"), default=_plain).encode
"""Compact JSON of anything that an answer can hold."""


def sse(data: Any) -> bytes:
    """`data: {json}` and the blank line that ends an event; `data` may be a chunk or a completion as it is."""
    return b"data: %b\n\n" % json_text(data).encode("ascii")
