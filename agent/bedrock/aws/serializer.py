"""Requests of Converse and ConverseStream, serialized by a plan: put under real boto3 clients through botocore's events.

In comes a client, nothing goes out. What handlers of others see of a request, and may change in it, is the request: it is
taken when all of them have had it and botocore is about to resolve the endpoint, and its body put in again before it is
signed. In between botocore validates and serializes little more than the model id. Whatever is not plainly valid is not taken, so
that botocore's own validator finds the words for it; with a botocore that lacks one of the events, or a service model
with more in it than is known here, all goes botocore's way.
"""

from __future__ import annotations

import json
import logging
from typing import Any

from ..notes import NotedTurns
from .fragments import Encoder
from .plan import SURPRISES, NoPlanError, Plan, compile_plan

logger = logging.getLogger(__name__)

_OPERATIONS = ("Converse", "ConverseStream")
_TAKEN = f"{__name__}.taken"


def install_fast_requests(client: Any) -> None:
    """Serialize the client's requests by plan; doing it twice does nothing."""
    hooks = _Hooks(Encoder())
    events = client.meta.events
    # botocore calls the handlers of a longer event name first: last of all comes who is last at the shortest.
    events.register_last("provide-client-params", hooks.hand_out_a_copy, unique_id=f"{__name__}.copy")
    events.register_last("before-endpoint-resolution", hooks.take_body, unique_id=f"{__name__}.take")
    for operation in _OPERATIONS:
        events.register_first(
            f"before-call.bedrock-runtime.{operation}", hooks.put_body, unique_id=f"{__name__}.put.{operation}"
        )


class _Request(dict[str, Any]):
    """A call's parameters in a dict of their own, which may be emptied; `given` is the one that came in."""

    __slots__ = ("_then", "given")

    def __init__(self, given: dict[str, Any]) -> None:
        super().__init__(given)
        self.given = given
        self._then = dict(given)

    def catch_up(self) -> None:
        """Take over what a handler after ours changed in the dict that came in."""
        if self.given != self._then:
            for name in self._then.keys() - self.given.keys():
                self.pop(name, None)
            self.update({name: value for name, value in self.given.items() if value is not self._then.get(name)})


class _Hooks:
    """The handlers of one client's events."""

    def __init__(self, encoder: Encoder) -> None:
        self._encoder = encoder
        self._plans: dict[str, Plan | None] = {}

    def hand_out_a_copy(
        self, params: Any, model: Any, context: dict[str, Any] | None = None, **_kwargs: Any
    ) -> _Request | None:
        """The parameters for all handlers to come, in a dict that nobody else holds."""
        if model.name not in _OPERATIONS or type(params) is not dict or (context or {}).get("is_presign_request"):
            return None
        return _Request(params)

    def take_body(self, params: Any, model: Any, context: Any = None, **_kwargs: Any) -> None:
        """Serialize the body if nothing is in its way, and leave botocore little more than what stands in the URI."""
        if type(params) is not _Request or not isinstance(context, dict):
            return  # none of ours, or another handler put its own in its place
        params.catch_up()
        plan = self._plan(model)
        if plan is None:
            return
        try:
            body = self._encoder.encode(plan, _plain(params))
        except SURPRISES:
            return
        context[_TAKEN] = (body, plan)
        for name in params.keys() - plan.outside:
            del params[name]
        params.update(plan.stand_in)

    def put_body(self, params: dict[str, Any], context: dict[str, Any], **_kwargs: Any) -> None:
        """Put the body where botocore has that of a request without members."""
        body, plan = context.pop(_TAKEN, (None, None))
        if body is None or plan is None:
            return
        params["headers"].setdefault("Content-Type", "application/json")  # older botocores give it to bodies only
        params["body"] = _with_additions(body, params["body"], plan)

    def _plan(self, model: Any) -> Plan | None:
        if model.name not in self._plans:
            self._plans[model.name] = _plan_or_none(model)
        return self._plans[model.name]


def _with_additions(body: bytes, serialized: bytes, plan: Plan) -> bytes:
    """The body with what a handler after ours added to the request, which botocore has validated and serialized."""
    if serialized in _WITHOUT_ADDITIONS:
        return body
    added = {name: member for name, member in json.loads(serialized).items() if member != plan.stand_in.get(name)}
    return json.dumps({**json.loads(body), **added}).encode("ascii") if added else body


_WITHOUT_ADDITIONS = (b"{}", b"", b'{"messages": []}')


def _plain(request: _Request) -> dict[str, Any]:
    """The request as a plain dict; the list that carries the caller's notes is a list in every respect."""
    plain = dict(request)
    if type(plain.get("messages")) is NotedTurns:
        plain["messages"] = list(plain["messages"])
    return plain


def _plan_or_none(model: Any) -> Plan | None:
    try:
        return compile_plan(model)
    except (NoPlanError, AttributeError) as error:
        logger.debug("operation=%s reason=%s | requests are serialized by botocore", model.name, error)
        return None
