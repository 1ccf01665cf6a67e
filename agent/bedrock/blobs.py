"""Base64 of blobs as JSON strings, worked out once, wherever in the process it came by.

In come bytes that go into a request, or base64 text that bytes were decoded from; out comes the JSON string that stands for
the bytes on the wire. What is kept is bounded and found by content. Small blobs, and those that can change, are encoded anew.
"""

from __future__ import annotations

from base64 import b64encode

from .recent import Recent

#: Bytes from which on it is cheaper to keep a blob's base64 than to make it again.
LONG = 512

KEPT_BYTES = 64 * 1024 * 1024

_known: Recent[bytes] = Recent(KEPT_BYTES)


def json_of_blob(value: bytes | bytearray) -> bytes:
    """The bytes in base64, in quotation marks."""
    if type(value) is not bytes or len(value) < LONG:  # a bytearray may change tomorrow
        return b'"%b"' % b64encode(value)
    text = _known.get(value)
    if text is None:
        text = b'"%b"' % b64encode(value)
        _known.put(value, text)
    return text


def remember_base64(value: bytes, text: str) -> None:
    """Keep the text that was decoded to `value`, where encoding would give the very same."""
    tail = value[-(len(value) % 3 or 3) :]
    if len(value) >= LONG and len(text) == (len(value) + 2) // 3 * 4 and text.endswith(b64encode(tail).decode("ascii")):
        _known.put(value, b'"%b"' % text.encode("ascii"))


def forget_blobs() -> None:
    """Keep nothing of what came by; those who still send it work it out once more."""
    _known.clear()
