"""Whole answers of Converse, parsed once: put under real boto3 clients through botocore's `before-parse`.

In comes the body of an answer, out goes what botocore's parser makes of it. botocore decodes the JSON and then copies it
member by member after its service model, without members that are null or that it does not know. Here these are taken out of what
was decoded, which is the same data. Whatever botocore would turn into something else (bytes in base64, a kind of block
that it does not know, an error, a body that is no JSON) is left to it, and so is everything while somebody debugs its parser.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from typing import Any
from weakref import WeakKeyDictionary

_OPERATION = "Converse"
_EVENT = "before-parse"  # botocore 1.35.16 and later

_parsers_logger = logging.getLogger("botocore.parsers")

Prune = Callable[[Any], None]
"""Takes out of a value what botocore leaves out; raises one of `_SURPRISES` where it would change more than that."""


class SurpriseError(Exception):
    """The answer is not plainly what the service model says."""


_SURPRISES = (SurpriseError, LookupError, TypeError, ValueError, AttributeError, RecursionError)


def parse_answers_once(client: Any) -> None:
    """Parse the client's whole answers without the copy; doing it twice does nothing."""
    # botocore calls the handlers of a longer event name first: what others see of the answer is all of it.
    client.meta.events.register_last(_EVENT, _take_answer, unique_id=f"{__name__}.take")


def _take_answer(
    operation_model: Any, response_dict: dict[str, Any], customized_response_dict: dict[str, Any], **_kwargs: Any
) -> None:
    """Parse the body in botocore's place, which then finds an empty one."""
    if operation_model.name != _OPERATION or response_dict["status_code"] != 200:
        return
    if not response_dict["body"] or customized_response_dict or _parsers_logger.isEnabledFor(logging.DEBUG):
        return
    try:
        answer = json.loads(response_dict["body"].decode("utf-8"))
        _pruning(operation_model)(answer)
    except _SURPRISES:
        return
    customized_response_dict.update(answer)
    response_dict["body"] = b""


_known: WeakKeyDictionary[Any, Prune] = WeakKeyDictionary()


def _pruning(operation_model: Any) -> Prune:
    """What prunes an operation's answers, made once per service model."""
    service = operation_model.service_model
    prune = _known.get(service)
    if prune is None:
        protocol = getattr(service, "resolved_protocol", None) or service.protocol  # the former since botocore 1.38
        shape = operation_model.output_shape
        is_plain = protocol == "rest-json" and not shape.serialization
        prune = _known[service] = _structure(shape) if is_plain else _refuse
    return prune


# --- by type of shape -------------------------------------------------------------------------------------------------


class _Members(dict[str, Prune | None]):
    """What prunes each member of a structure, made when it is met; one that botocore does not know is no key."""

    def __init__(self, shapes: Any) -> None:
        super().__init__()
        self._shapes = shapes

    def __missing__(self, name: str) -> Prune | None:
        shape = self._shapes.get(name)
        if shape is None:
            return None
        prune = self[name] = _prune_of(shape)
        return prune


def _prune_of(shape: Any) -> Prune:
    return _BY_TYPE.get(shape.type_name, lambda _: _refuse)(shape)


def _structure(shape: Any) -> Prune:
    if getattr(shape, "is_document_type", False):
        return _keep
    if any(member.serialization for member in shape.members.values()):
        return _refuse  # a member that stands elsewhere, or under another name
    members, is_union = _Members(shape.members), shape.is_tagged_union

    def prune(value: Any) -> None:
        if type(value) is not dict:
            raise SurpriseError
        left_out: list[str] = []
        for name, member in value.items():
            prune_member = members[name]
            if prune_member is None or member is None:
                left_out.append(name)
            else:
                prune_member(member)
        if is_union and (left_out or len(value) != 1):
            raise SurpriseError
        for name in left_out:
            del value[name]

    return prune


def _list(shape: Any) -> Prune:
    prune_item = _prune_of(shape.member)

    def prune(value: Any) -> None:
        if type(value) is not list:
            raise SurpriseError
        for item in value:
            prune_item(item)

    return prune


def _scalar(kind: type) -> Callable[[Any], Prune]:
    """botocore makes an int of an integer's text, and a float of an int."""

    def prune(value: Any) -> None:
        if type(value) is not kind or value != value:  # noqa: PLR0124 - NaN
            raise SurpriseError

    return lambda _: prune


def _keep(_value: Any) -> None:
    """Any JSON data."""


def _refuse(_value: Any) -> None:
    raise SurpriseError


_BY_TYPE: dict[str, Callable[[Any], Prune]] = {
    "structure": _structure,
    "list": _list,
    "string": _scalar(str),
    "integer": _scalar(int),
    "long": _scalar(int),
    "float": _scalar(float),
    "double": _scalar(float),
    "boolean": _scalar(bool),
}
