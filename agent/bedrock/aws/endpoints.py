"""botocore's table of endpoints, of which a client needs a hundredth part: a service is parsed when it is asked for.

In comes the text of `endpoints.json`, 1.25 MB about every service in every region; out goes what `json.loads` would give,
but that the services of a partition are a mapping which parses each of them at its first use. Parsing all took 6 ms and
6 MB of each session (measured 2026-11-20), and its 23 000 containers brought a full garbage collection forward into the
first call. What is not laid out as botocore lays it out is parsed like any other JSON.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

_BEGIN = '\n    "services" : {\n'
_END = "\n    }"
"""A member of a partition, and its end: strings hold no line breaks, so that the indentation shows the depth."""

_decode = json.JSONDecoder().raw_decode


class EndpointTable:
    """The text, taken apart once."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._places: list[slice] = []
        self._rest = "".join(self._without_services())

    def _without_services(self) -> Iterator[str]:
        """The text with a number in place of the services of each partition."""
        text, done = self._text, 0
        while (begin := text.find(_BEGIN, done)) >= 0 and (end := text.find(_END, begin)) >= 0:
            yield f'{text[done:begin]}\n    "services" : {len(self._places)}'
            self._places.append(slice(begin + len(_BEGIN) - 1, end))
            done = end + len(_END)
        yield text[done:]

    def fresh(self) -> Any:
        """The table, for one session: botocore's resolver writes into it what it has resolved (1.44.5)."""
        table = json.loads(self._rest)
        partitions = table.get("partitions") if isinstance(table, dict) else None
        numbered = [part for part in partitions or () if isinstance(part, dict) and type(part.get("services")) is int]
        if len(numbered) != len(self._places):  # they stand somewhere else
            return json.loads(self._text)
        for partition, place in zip(numbered, self._places, strict=True):
            partition["services"] = _Services(self._text, place)
        return table


class _Services(Mapping[str, Any]):
    """The services of a partition by name."""

    def __init__(self, text: str, place: slice) -> None:
        self._text = text
        self._place = place
        self._parsed: dict[str, Any] = {}
        self._all = False

    def __getitem__(self, name: str) -> Any:
        if name not in self._parsed and not self._all:
            self._parse(name)
        return self._parsed[name]

    def _parse(self, name: str) -> None:
        line = f"\n      {json.dumps(name)} : {{"
        at = self._text.find(line, self._place.start, self._place.stop)
        if at >= 0:
            self._parsed[name] = _decode(self._text, at + len(line) - 1)[0]

    def __iter__(self) -> Iterator[str]:
        return iter(self._complete())

    def __len__(self) -> int:
        return len(self._complete())

    def _complete(self) -> dict[str, Any]:
        if not self._all:
            self._parsed = {**json.loads(f"{{{self._text[self._place]}}}"), **self._parsed}
            self._all = True
        return self._parsed
