"""Who answers instead: the same model without streaming, or another model or region.

In comes a call that was refused or that nobody could answer; out goes the call to send in its place. What is found out is
remembered for the process: that a model does not stream here, and for a while that somebody is not worth asking.
Nothing is done once output began; the layers above see to that.
"""

from __future__ import annotations

import logging
from collections.abc import Hashable, Iterator, Mapping
from functools import partial
from typing import Any

from ..errors import Failure, Kind, SettingsError, is_streaming_access_denied_error
from ..values import changed
from .calls import cannot_stream, stream_from_answer, whole_kwargs
from .cancel import released
from .journey import STREAM, WHOLE, Answer, Call, Send
from .memory import Memory
from .retries import came_over_the_wire

logger = logging.getLogger(__name__)

# --- whole instead of streamed ------------------------------------------------------------------------------------------

#: Who may not stream, (owner, region, model) -> True, and who cannot, (region, model, whether the request has tools) ->
#: True. Permissions are granted and models updated: after an hour the stream is tried again.
CANNOT_STREAM = Memory(limit=1024)
_FORGET_REFUSAL_AFTER = 3600.0


def ask_for_a_whole_answer(call: Call, error: Exception, _: Failure) -> Call | None:
    """The same call without streaming, where streaming is what was refused."""
    if call.operation != STREAM or not cannot_stream(error):
        return None
    key = _place(call) if is_streaming_access_denied_error(error) else _form(call)
    CANNOT_STREAM.keep(key, seconds=_FORGET_REFUSAL_AFTER)
    logger.warning("region=%s model=%s | cannot be streamed, whole answers instead", call.region, call.model)
    return _whole(call)


def remember_who_cannot_stream(call: Call, send: Send) -> Answer:
    """Ask for a whole answer where a stream was refused before."""
    if call.operation == STREAM and (CANNOT_STREAM.get(_place(call)) or CANNOT_STREAM.get(_form(call))):
        call = _whole(call)
    return send(call)


def _place(call: Call, region: str | None = None, model: str | None = None) -> tuple[Hashable, ...]:
    """Whose permission or quota it is; those of other credentials are others'."""
    return (call.journey.protection.owner, region or call.region, model or call.model)


def _form(call: Call) -> tuple[Hashable, ...]:
    return (call.region, call.model, _has_tools(call))


def _whole(call: Call) -> Call:
    return changed(call, operation=WHOLE)


def _has_tools(call: Call) -> bool:
    return bool(call.parameters.get("toolConfig"))


def tell_as_stream(call: Call, send: Send) -> Answer:
    """A whole answer in the form of a stream, for whoever asked for one."""
    if call.operation != WHOLE or call.journey.method != STREAM:
        return send(call)
    answer = send(changed(call, parameters=whole_kwargs(call.parameters)))
    told: Answer = {"stream": ToldStream(answer)}
    return {**told, "ResponseMetadata": answer["ResponseMetadata"]} if "ResponseMetadata" in answer else told


class ToldStream:
    """A whole answer as events; there is no connection to close any more."""

    def __init__(self, answer: Mapping[str, Any]) -> None:
        metadata = answer.get("ResponseMetadata") or {}
        self.request_id: str | None = metadata.get("RequestId")
        self.message_stopped = False
        self._closed = False
        self._events = self._tell(answer)

    def _tell(self, answer: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
        for event in stream_from_answer(answer):
            if self._closed:
                return
            self.message_stopped = self.message_stopped or "messageStop" in event
            yield event

    def __iter__(self) -> Iterator[dict[str, Any]]:
        return self._events

    def close(self) -> None:
        """End it; the events that were not read are dropped."""
        self._closed = True


# --- another model or region --------------------------------------------------------------------------------------------

#: (owner, region, model) -> the kind of failure, while it is not worth asking.
COOLING = Memory(limit=256)
COOL_DOWN = 30.0
"""Seconds, unless the service says when to come back."""
_COOL_DOWNS: dict[Kind, float] = {"quota": 300.0}

#: Waiting for the same one seldom pays while there is another.
_AT_ONCE: frozenset[Kind] = frozenset({"rate_limit", "quota", "overloaded"})
#: A region that is out looks like one bad connection, which a retry heals.
_AT_LAST: frozenset[Kind] = frozenset({"server_error", "connection", "timeout"})


def refuse_unreachable_regions(call: Call) -> None:
    """Raise where a fallback is in another region and the endpoint is this region's own, which would refuse it.

    A gateway, whose address names no region, is asked for the other region at the same address, signed for that one.
    """
    endpoint = call.journey.protection.settings.endpoint_url if call.journey.fallbacks else None
    if endpoint is None or call.region not in endpoint.partition("://")[2].partition("/")[0]:
        return
    for region, _ in call.journey.fallbacks:
        if region not in (None, call.region):
            raise SettingsError(
                f"the fallback in {region} cannot be asked at an endpoint of {call.region}: write {{region}} where the "
                "endpoint_url (or AWS_ENDPOINT_URL_BEDROCK_RUNTIME) names the region"
            )


def ask_another_at_once(call: Call, _: Exception, failure: Failure) -> Call | None:
    """The call to the next fallback, where this one is throttled, out of quota or overloaded."""
    return _next_fallback(call, failure) if failure.kind in _AT_ONCE else None


def ask_another(call: Call, error: Exception, failure: Failure) -> Call | None:
    """The call to the next fallback, where the region seems out and retrying did not help, or would come too late."""
    out = failure.kind in _AT_LAST and failure.retryable and came_over_the_wire(error)
    return _next_fallback(call, failure) if out else None


def skip_who_is_cooling(call: Call) -> Call:
    """The call to the first of all that is not cooling down; unchanged where everyone is, or nobody stands by."""
    journey = call.journey
    reason = COOLING.get(_place(call)) if journey.fallbacks else None
    if reason is None:
        return call
    for number, (region, model) in enumerate(journey.fallbacks):
        if COOLING.get(_place(call, region, model)) is None:
            del journey.fallbacks[:number]
            return _directed(call, reason) or call
    return call


def _next_fallback(call: Call, failure: Failure) -> Call | None:
    if not call.journey.options.fallbacks:
        return None
    seconds = failure.retry_after or _COOL_DOWNS.get(failure.kind, COOL_DOWN)
    COOLING.keep(_place(call), failure.kind, seconds=seconds)
    return _directed(call, failure.kind)


def _directed(call: Call, reason: Kind) -> Call | None:
    """The call to the next fallback that can be asked; that it is another's answer goes on the record."""
    while call.journey.fallbacks:
        region, model = call.journey.fallbacks.pop(0)
        try:
            there = _with_another(call, region, model)
        except Exception as error:
            if call.journey.is_ended_by(error):
                raise
            # The failure that led here says more than a fallback that is none.
            logger.warning(
                "region=%s model=%s error=%s | cannot be asked instead",
                region or call.region,
                model or call.model,
                type(error).__name__,
            )
            continue
        _tell_who_is_asked(call, there, reason)
        return there
    return None


def _with_another(call: Call, region: str | None, model: str | None) -> Call:
    """The call to that region and model; raises where no client, or no request for the model, can be built."""
    parameters = _parameters_for(call, model)
    return changed(call, client=_client_in(call, region), parameters=parameters, operation=call.journey.method)


def _tell_who_is_asked(call: Call, there: Call, reason: Kind) -> None:
    logger.warning(
        "region=%s model=%s kind=%s | asking region=%s model=%s instead",
        call.region,
        call.model,
        reason,
        there.region,
        there.model,
    )
    call.journey.record.fallback = {"region": there.region, "model": there.model, "reason": reason}


def _client_in(call: Call, region: str | None) -> Any:
    clients = call.journey.protection.clients
    if region is None or region == call.region or clients is None:
        return call.client
    return released(partial(clients.client_in, region), call.journey)


def _parameters_for(call: Call, model: str | None) -> dict[str, Any]:
    """The request for that model: built anew where the face can, since models differ in what they take."""
    if model is None or model == call.model:
        return call.parameters
    request_for = call.journey.options.request_for
    return {**call.parameters, "modelId": model} if request_for is None else request_for(model)
