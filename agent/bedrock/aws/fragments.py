"""JSON bytes of a request that its plan has walked: fast, and what was sent before only once.

In comes a request, out goes its body. The JSON of old turns, of the system prompt and of the tools is kept for a while and
found again by content (`prefixes`), so that a history which grows costs what the bytes on the wire cost. orjson encodes where it is installed; where it refuses (lone surrogates, integers of more
than 64 bits) and where it is not, the standard library does. The JSON means what botocore's means; only its blanks differ.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping
from contextlib import suppress
from typing import Any, Protocol

from ..blobs import json_of_blob
from ..prefixes import Known, Prefixes
from .plan import Plan, SurpriseError
from .speedups import orjson_if_installed

KEPT_BYTES = 64 * 1024 * 1024

#: Parts from which on the JSON of old turns is put together, which costs a copy of it.
_MANY_PARTS = 64

#: Members that stay the same from call to call.
_LASTING = ("system", "toolConfig")

#: Stands for what was taken out of the data. It leaves the process in no request, so that no answer can bring it back.
_MARK = os.urandom(16).hex()
_QUOTED_MARK = f'"{_MARK}([0-9]+)"'.encode("ascii")

# What was walked to its end has no circle. UTF-8 is half of what escapes are, and quicker.
_JSON = json.JSONEncoder(separators=(",", ":"), check_circular=False, ensure_ascii=False)
_ESCAPED_JSON = json.JSONEncoder(separators=(",", ":"), check_circular=False)


class Encoder:
    """Makes the bodies of requests; one per client, shared by its threads. It keeps about `limit` bytes at most."""

    def __init__(self, limit: int = KEPT_BYTES) -> None:
        self._turns: Prefixes[tuple[bytes, ...]] = Prefixes(limit // 2)
        self._lasting: Prefixes[bytes] = Prefixes(limit // 8, least=1, apart=0, gained=1)

    def encode(self, plan: Plan, request: dict[str, Any]) -> bytes:
        """The body of a request; raises one of `plan.SURPRISES` where botocore has to look at it."""
        orjson = orjson_if_installed()
        if orjson is not None:
            with suppress(TypeError):  # the base of its own error, for what only the standard library writes
                return self._body(plan, request, _Orjson(orjson))
        return self._body(plan, request, _Standard())

    def _body(self, plan: Plan, request: dict[str, Any], writer: _Writer) -> bytes:
        """The members that are known, and around them what is walked and written now."""
        turns: Any = request.get("messages")
        grown = self._turns.recall(turns) if type(turns) is list else None
        lasting = {name: self._lasting.recall([request[name]], name) for name in _LASTING if name in request}
        known = {name: found.value for name, found in lasting.items() if found.value is not None}
        fresh = {name: member for name, member in request.items() if name not in known}
        if grown is not None:
            fresh["messages"] = turns[grown.count :]
        walked = plan.walk(fresh, writer.blob)

        members = {name: [json_text] for name, json_text in known.items()}
        if grown is not None:
            members["messages"] = [b"[", *self._written_turns(turns, walked["messages"], grown, writer), b"]"]
        for name, found in lasting.items():
            if found.keep and name not in known:
                json_text = writer.dumps(walked[name])
                self._lasting.keep([request[name]], found, json_text, len(json_text), name)
                members[name] = [json_text]
        # botocore leaves out a member that is None, which a document may be.
        left = {
            name: member
            for name, member in walked.items()
            if name not in members and name not in plan.outside and member is not None
        }
        if left:
            members[""] = [writer.dumps(left)[1:-1]]
        return _joined(members)

    def _written_turns(
        self, turns: list[Any], walked: list[Any], known: Known[tuple[bytes, ...]], writer: _Writer
    ) -> list[bytes]:
        """The parts of all turns' JSON, of which those after the known ones were walked; what lasts of them is kept."""
        parts = [*(known.value or ())]
        new = known.keep - known.count
        if new > 0:
            parts += _after(parts, writer.dumps(walked[:new])[1:-1])
            lasting = tuple(parts) if len(parts) < _MANY_PARTS else (b"".join(parts),)
            self._turns.keep(turns, known, lasting, sum(map(len, lasting)))
            walked = walked[new:]
        return parts + _after(parts, writer.dumps(walked)[1:-1]) if walked else parts


def _joined(members: Mapping[str, list[bytes]]) -> bytes:
    """One JSON object of members whose JSON is there in parts; under no name there are whole members. One copy of them all."""
    parts = [b"{"]
    for name, json_parts in members.items():
        if len(parts) > 1:
            parts.append(b",")
        if name:
            parts.append(b'"%b":' % name.encode("ascii"))
        parts += json_parts
    return b"".join([*parts, b"}"])


def _after(parts: list[bytes], json_text: bytes) -> list[bytes]:
    return [b",", json_text] if parts else [json_text]


class _Writer(Protocol):
    """Writes data that was walked."""

    def blob(self, value: bytes | bytearray) -> Any:
        """What stands for the bytes in the data."""

    def dumps(self, value: Any) -> bytes:
        """JSON of data whose blobs were replaced."""


class _Orjson:
    """Writes with orjson, which puts JSON that is ready where it belongs."""

    def __init__(self, orjson: Any) -> None:
        self._fragment = orjson.Fragment
        self.dumps = orjson.dumps

    def blob(self, value: bytes | bytearray) -> Any:
        return self._fragment(json_of_blob(value))


class _Standard:
    """Writes with the standard library's encoder: a mark in the data, and what it stands for put in its place."""

    def __init__(self) -> None:
        self._blobs: dict[bytes, bytes] = {}
        self._written: set[bytes] = set()

    def blob(self, value: bytes | bytearray) -> str:
        number = len(self._blobs)
        self._blobs[b"%d" % number] = json_of_blob(value)
        return f"{_MARK}{number}"

    def dumps(self, value: Any) -> bytes:
        try:
            data = _JSON.encode(value).encode("utf-8")
        except UnicodeEncodeError:  # for half of a surrogate pair there are escapes only
            data = _ESCAPED_JSON.encode(value).encode("ascii")
        if not self._blobs:
            return data
        pieces = re.split(_QUOTED_MARK, data)
        pieces[1::2] = [self._take(number) for number in pieces[1::2]]
        return b"".join(pieces)

    def _take(self, number: bytes) -> bytes:
        """The blob behind a mark; the same mark a second time, or one of no blob, is somebody else's text."""
        if number in self._written:
            raise SurpriseError
        self._written.add(number)
        return self._blobs[number]
