"""Learned refusals: what a model refused once is left out of every later request of the process.

In comes a call that the service refused with words that `refusals` understands; out goes the same call, to be sent once
more without what was refused. It is remembered once the request was accepted without it, per model, and said once as a
warning and on every answer as `completion.bedrock.learned`. Names are remembered, never content.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from ..errors import Failure, Kind, service_error
from ..values import changed
from .memory import Memory

if TYPE_CHECKING:
    from .journey import Answer, Call, Send
    from .refusals import TakeBack

logger = logging.getLogger(__name__)

#: Model -> tuple of what it refuses. An entry is small; digests of refused reasoning are the most of it.
LEARNED = Memory(limit=256)
_MOST_PER_MODEL = 32
_MOST_DIGESTS = 512

MOST_PER_CALL = 6
"""How many refusals one call may meet and get over."""

_REFUSALS: frozenset[Kind] = frozenset({"unsupported", "invalid_request", "access_denied", "model_error"})


def take_back_what_was_refused(call: Call, error: Exception, failure: Failure) -> Call | None:
    """The call without what the service refused; each thing once."""
    journey = call.journey
    said = service_error(error)
    if failure.kind not in _REFUSALS or said is None or len(journey.taken_back) >= MOST_PER_CALL:
        return None
    from .refusals import refused_by

    # Not what would be sent now: another thread may have learned the same meanwhile.
    take_back = refused_by(str(said.get("Message") or ""), journey.sent or call.parameters)
    if take_back is None or take_back in journey.taken_back:
        return None
    journey.taken_back.append(take_back)
    if _key(take_back) not in {_key(known) for known in _known(call.model)}:
        logger.warning("model=%s | refuses %s: left out from now on", call.model, take_back.name)
    return call


def leave_out_what_is_refused(call: Call, send: Send) -> Answer:
    """Send what the model is known to take."""
    take_backs = (*_known(call.model), *call.journey.taken_back)
    parameters, names = _without(call, take_backs) if take_backs else (call.parameters, [])
    call.journey.record.learned = names
    call.journey.record.in_words = bool(names) and _has_schema(call.parameters) and not _has_schema(parameters)
    call.journey.sent = parameters
    return send(call if parameters is call.parameters else changed(call, parameters=parameters))


def _has_schema(parameters: dict[str, Any]) -> bool:
    return bool((parameters.get("outputConfig") or {}).get("textFormat"))


def _without(call: Call, take_backs: tuple[TakeBack, ...]) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """The parameters without what is taken back, and what that was."""
    from .refusals import without

    parameters = call.parameters
    names: list[dict[str, Any]] = []
    for take_back in take_backs:
        before, parameters = parameters, without(parameters, take_back)
        if parameters is not before:
            names.append({"model": call.model, "left_out": take_back.name})
    return parameters, names


def keep_what_was_learned(call: Call) -> None:
    """Remember what this call had to do without, now that it was accepted."""
    lasting = [take_back for take_back in call.journey.taken_back if take_back.lasting]
    if not lasting:
        return
    known = {_key(take_back): take_back for take_back in _known(call.model)}
    for take_back in lasting:
        before = known.pop(_key(take_back), take_back)
        known[_key(take_back)] = _joined(before, take_back)
    LEARNED.keep(call.model, tuple(known.values())[-_MOST_PER_MODEL:])


def _known(model: str) -> tuple[TakeBack, ...]:
    return LEARNED.get(model) or ()


def _key(take_back: TakeBack) -> TakeBack:
    """What makes two of them one: everything but which blocks were met."""
    return changed(take_back, blocks=frozenset())


def _joined(before: TakeBack, after: TakeBack) -> TakeBack:
    """One of both: the newest digests, as many as are kept."""
    if before.blocks == after.blocks:
        return after
    digests = [*(before.blocks - after.blocks), *after.blocks]
    return changed(after, blocks=frozenset(digests[-_MOST_DIGESTS:]))
