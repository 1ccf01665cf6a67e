"""JSON bytes of a request that its plan has walked: fast, and long parts of it only once.

In comes a request, out goes its body. What costs to encode is kept for a while (`Recent`) under the immutable object it
was made from, so that the old turns of a growing history are walked and copied, and not encoded again. orjson is fast
enough to keep bytes only; where it refuses (lone surrogates, integers of more than 64 bits) and where it is not installed,
the standard library encodes. The JSON means what botocore's means; only its blanks differ.
"""

from __future__ import annotations

import json
import os
from base64 import b64encode
from typing import Any

from ..recent import Recent
from .plan import Plan, SurpriseError
from .speedups import orjson_if_installed

#: Characters or bytes from which on it is cheaper to keep a part's JSON than to make it again.
LONG = 512

KEPT_BYTES = 64 * 1024 * 1024

#: Stands for what was taken out of the data. It leaves the process in no request, so that no answer can bring it back.
_MARK = os.urandom(16).hex()
_QUOTED_MARK = f'"{_MARK}"'.encode("ascii")

_JSON = json.JSONEncoder(separators=(",", ":"), check_circular=False)  # what was walked to its end has no circle


class Encoder:
    """Makes the bodies of requests; one per client, shared by its threads. It keeps at most `limit` bytes."""

    def __init__(self, limit: int = KEPT_BYTES) -> None:
        self._kept: Recent[bytes] = Recent(limit)

    def encode(self, plan: Plan, request: dict[str, Any]) -> bytes:
        """The body of a request; raises one of `plan.SURPRISES` where botocore has to look at it."""
        fast = self._at_once(plan, request)
        return self._spliced(plan, request) if fast is None else fast

    def _at_once(self, plan: Plan, request: dict[str, Any]) -> bytes | None:
        """The body as orjson makes it; None where it is not installed, or refuses."""
        orjson = orjson_if_installed()
        if orjson is None:
            return None
        leaves = _Fragments(self._kept, orjson.Fragment)
        try:
            data: bytes = orjson.dumps(_inside(plan, request, leaves))
        except TypeError:  # also the base of its own error
            return None
        return data

    def _spliced(self, plan: Plan, request: dict[str, Any]) -> bytes:
        """The data encoded with marks in it, and what was taken out put there."""
        marks = _Marks(self._kept)
        data = _JSON.encode(_inside(plan, request, marks)).encode("ascii")
        if not marks.parts:
            return data
        between = data.split(_QUOTED_MARK)
        if len(between) != len(marks.parts) + 1:
            raise SurpriseError
        joined: list[bytes] = [b""] * (2 * len(marks.parts) + 1)
        joined[::2] = between
        joined[1::2] = marks.parts
        return b"".join(joined)


def _inside(plan: Plan, request: dict[str, Any], leaves: Any) -> dict[str, Any]:
    """What stands in the body; botocore leaves out a member that is None, which a document may be."""
    walked = plan.walk(request, leaves)
    return {name: member for name, member in walked.items() if name not in plan.outside and member is not None}


class _Fragments:
    """Leaves for orjson, which puts JSON that is ready where it belongs."""

    long_text = 1 << 62

    def __init__(self, kept: Recent[bytes], fragment: Any) -> None:
        self._kept = kept
        self._fragment = fragment

    def blob(self, value: bytes | bytearray) -> Any:
        return self._fragment(_base64(value, self._kept))

    def text(self, value: str) -> Any:
        return value


class _Marks:
    """Leaves for the standard library's encoder: a mark in the data, the part itself in `parts`."""

    long_text = LONG

    def __init__(self, kept: Recent[bytes]) -> None:
        self._kept = kept
        self.parts: list[bytes] = []

    def blob(self, value: bytes | bytearray) -> str:
        self.parts.append(_base64(value, self._kept))
        return _MARK

    def text(self, value: str) -> str:
        encoded = self._kept.get(value)
        if encoded is None:
            encoded = _JSON.encode(value).encode("ascii")
            self._kept.put(value, encoded)
        self.parts.append(encoded)
        return _MARK


def _base64(value: bytes | bytearray, kept: Recent[bytes]) -> bytes:
    """The bytes as a JSON string in base64."""
    if type(value) is not bytes or len(value) < LONG:  # a bytearray may change tomorrow
        return b'"%b"' % b64encode(value)
    encoded = kept.get(value)
    if encoded is None:
        encoded = b'"%b"' % b64encode(value)
        kept.put(value, encoded)
    return encoded
