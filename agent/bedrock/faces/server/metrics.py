"""Counters and histograms in Prometheus' text format, without a dependency.

In come the hooks' `CallDetails` and what the server counts itself, out goes text. Names of models come from callers, so
only so many are told apart, and none that may be made up; nothing of a conversation is counted but its tokens.
"""

from __future__ import annotations

import threading
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ..hooks import CallDetails

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

SECONDS = (0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 900.0)
MOST_MODELS = 100

_OF_NO_MODEL = frozenset({"model_not_found", "invalid_request", "access_denied", "auth", "region", "unsupported"})
"""Kinds of failure that a made-up name meets, too: they count as a known model's, or as `other`."""

Labels = tuple[str, ...]


class Counter:
    """A family of numbers that only grow, or with `kind` gauge go up and down."""

    def __init__(self, name: str, text: str, labels: Sequence[str] = (), *, kind: str = "counter") -> None:
        self.name = name
        self._head = (f"# HELP {name} {text}", f"# TYPE {name} {kind}")
        self._labels = labels
        self._values: dict[Labels, float] = {} if labels else {(): 0.0}

    def add(self, *labels: str, amount: float = 1.0) -> None:
        """Count."""
        self._values[labels] = self._values.get(labels, 0.0) + amount

    def lines(self) -> Iterator[str]:
        """The lines of this family."""
        yield from self._head
        for values, amount in sorted(self._values.items()):
            yield f"{self.name}{_braced(self._labels, values)} {amount:.17g}"


class Histogram:
    """A family of distributions over SECONDS."""

    def __init__(self, name: str, text: str, labels: Sequence[str]) -> None:
        self.name = name
        self._head = (f"# HELP {name} {text}", f"# TYPE {name} histogram")
        self._labels = labels
        self._counts: dict[Labels, list[int]] = defaultdict(lambda: [0] * (len(SECONDS) + 1))
        self._sums: dict[Labels, float] = defaultdict(float)

    def observe(self, seconds: float, *labels: str) -> None:
        """Note one duration."""
        self._counts[labels][bisect_left(SECONDS, seconds)] += 1
        self._sums[labels] += seconds

    def lines(self) -> Iterator[str]:
        """The lines of this family; buckets are cumulative."""
        yield from self._head
        names = (*self._labels, "le")
        for values, counts in sorted(self._counts.items()):
            total = 0
            for bound, count in zip((*map("{:g}".format, SECONDS), "+Inf"), counts, strict=True):
                total += count
                yield f"{self.name}_bucket{_braced(names, (*values, bound))} {total}"
            yield f"{self.name}_sum{_braced(self._labels, values)} {self._sums[values]:.6f}"
            yield f"{self.name}_count{_braced(self._labels, values)} {total}"


class Metrics:
    """What a server counts; its `on_*` are hooks for `Bedrock`. Shared by threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._models: set[str] = set()
        self._calls = Counter(
            "bedrock_calls_total", "Calls of a model by how they ended.", ("model", "stream", "outcome", "kind")
        )
        self._in_flight = Counter("bedrock_calls_in_flight", "Calls of a model that are not over.", kind="gauge")
        self._attempts = Counter("bedrock_attempts_total", "Requests sent to the service.", ("model",))
        self._tokens = Counter("bedrock_tokens_total", "Tokens as the service counts them.", ("model", "type"))
        self._seconds = Histogram("bedrock_call_seconds", "Duration of calls.", ("model", "stream"))
        self._first = Histogram("bedrock_first_token_seconds", "Time to the first token of a stream.", ("model",))
        self._requests = Counter("bedrock_http_requests_total", "HTTP requests by status.", ("endpoint", "status"))
        self._sources = Counter("bedrock_credentials_total", "Calls by whose credentials they use.", ("source",))
        self._families = (
            self._calls,
            self._in_flight,
            self._attempts,
            self._tokens,
            self._seconds,
            self._first,
            self._requests,
            self._sources,
        )

    def hooks(self) -> dict[str, Any]:
        """The hooks as arguments of `Bedrock`."""
        return {"on_request": self.on_request, "on_response": self.on_end, "on_error": self.on_end}

    def on_request(self, details: CallDetails) -> None:
        """A call begins."""
        with self._lock:
            self._in_flight.add()

    def on_end(self, details: CallDetails) -> None:
        """A call is over, one way or the other."""
        with self._lock:
            model, stream = self._model(details), str(details.stream).lower()
            self._in_flight.add(amount=-1)
            self._calls.add(model, stream, details.outcome, details.kind or "")
            self._attempts.add(model, amount=details.attempts)
            self._seconds.observe(details.seconds, model, stream)
            if details.seconds_to_first_token is not None:
                self._first.observe(details.seconds_to_first_token, model)
            for kind in ("prompt", "completion", "cache_read", "cache_write"):
                self._tokens.add(model, kind, amount=getattr(details, f"{kind}_tokens"))

    def on_source(self, source: str) -> None:
        """Whose credentials a call is made with: "caller" or "server"."""
        with self._lock:
            self._sources.add(source)

    def answered(self, endpoint: str, status: int | None) -> None:
        """An HTTP request was answered; None: the client did not wait for it."""
        with self._lock:
            self._requests.add(endpoint, "gone" if status is None else str(status))

    def text(self) -> str:
        """Everything, as Prometheus reads it."""
        with self._lock:
            return "".join(f"{line}\n" for family in self._families for line in family.lines())

    def _model(self, details: CallDetails) -> str:
        if details.model not in self._models:
            if len(self._models) >= MOST_MODELS or details.kind in _OF_NO_MODEL:
                return "other"
            self._models.add(details.model)
        return details.model


def _braced(names: Sequence[str], values: Sequence[str]) -> str:
    pairs = ",".join(f'{name}="{_escaped(value)}"' for name, value in zip(names, values, strict=True))
    return f"{{{pairs}}}" if pairs else ""


def _escaped(value: str) -> str:
    encodable = value.encode("utf-8", "replace").decode("utf-8")
    return encodable.replace("\\", r"\\").replace("\n", r"\n").replace('"', r"\"")
