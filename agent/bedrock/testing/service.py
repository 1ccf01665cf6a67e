"""The service itself, without a network: a recorded request comes in, what to answer goes out.

First it is judged (who asks, which model, the shape, the rules), then answered: Converse from the script, CountTokens
by counting, the control plane from the catalogue.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any, cast

from .control import Catalogue
from .count import count, judge_count
from .frames import encode_json
from .recorded import UNKNOWN
from .rules import judge, judge_model
from .script import RawAnswer, Refusal, Script, as_answering, is_fault
from .shapes import OPERATIONS, judge_shape
from .signing import judge_identity

if TYPE_CHECKING:
    from .faults import Fault
    from .recorded import RecordedRequest
    from .script import Answering, Scripted
    from .signing import Known


class Service:
    """Judge and answerer in one; the attributes may be changed while it serves."""

    def __init__(self, script: Script, catalogue: Catalogue, *, region: str, strict: bool, known: Known | None) -> None:
        self.script = script
        self.catalogue = catalogue
        self.region = region
        self.strict = strict
        self.known = None if known is None else dict(known)
        self.counts: deque[int | Scripted] = deque()
        self.control: deque[Scripted] = deque()
        self._answers: Mapping[str, Callable[[RecordedRequest], Answering]] = {
            "converse": self.script.next_for,
            "converse-stream": self.script.next_for,
            "count-tokens": self._counted,
        }

    def answering(self, request: RecordedRequest) -> Answering:
        """The refusal that the request deserves, noted on it, or else its answer."""
        request.refusal = self._refused(request)
        if request.refusal is not None:
            return request.refusal
        return self._answers.get(request.operation, self._from_catalogue)(request)

    def _refused(self, request: RecordedRequest) -> Refusal | None:
        if request.operation == UNKNOWN:
            return Refusal("UnknownOperationException", None)
        if self.known is not None and (stranger := judge_identity(request, self.known, self.region)):
            return stranger
        if request.operation not in OPERATIONS:
            return None
        missing = self.catalogue.judge_model(request.model_id, request.operation)
        return missing if missing is not None or not self.strict else self._judged(request)

    def _judged(self, request: RecordedRequest) -> Refusal | None:
        refusal = judge_model(request.model_id) or judge_shape(request.operation, request.body)
        if refusal is not None:
            return refusal
        if request.operation == "count-tokens":
            return judge_count(request.model_id, request.body)
        return judge(request.operation, self.catalogue.model_behind(request.model_id), request.body)

    def _counted(self, request: RecordedRequest) -> Answering:
        scripted = self.counts.popleft() if self.counts else None
        if scripted is not None and not is_fault(scripted):
            return as_answering({"inputTokens": scripted} if isinstance(scripted, int) else scripted)
        return _natural(count(request.body), scripted)

    def _from_catalogue(self, request: RecordedRequest) -> Answering:
        scripted = self.control.popleft() if self.control else None
        if scripted is not None and not is_fault(scripted):
            return as_answering(scripted)
        found = self.catalogue.answer(request)
        return found if isinstance(found, Refusal) else _natural(found, scripted)


def new_service(
    script: Script,
    *,
    region: str,
    strict: bool,
    known: Known | None,
    models: Iterable[str | Mapping[str, Any]] | None,
    profiles: Iterable[str | Mapping[str, Any]] | None,
    page_size: int,
) -> Service:
    """A service with a catalogue of its own."""
    catalogue = Catalogue(region, models, profiles, page_size=page_size)
    return Service(script, catalogue, region=region, strict=strict, known=known)


def _natural(answer: Mapping[str, Any], fault: object) -> RawAnswer:
    """What the service would answer unscripted, gone wrong if a fault was scripted."""
    return RawAnswer(encode_json(answer), fault=cast("Fault | None", fault))
