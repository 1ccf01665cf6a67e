"""The answer's side of `response_format`: the object that was asked for, whichever way it was asked for.

In come events, in which the answer may be the arguments of a tool that only the builder knows of; out come events that
tell those arguments as the text that the caller expects. Of a complete answer the text is parsed, and checked against the
schema where the `jsonschema` package is installed. Nothing here raises for an answer that does not fit: it is reported.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from ..patterns import pattern
from .events import BlockStop, Event, TextDelta, ToolArgumentsDelta, ToolCallStart

if TYPE_CHECKING:
    from ..notes import AnswerForm
    from .completion import Completion, Message
    from .decoder import Decoder

_WRAPPER = pattern(r'\s*\{\s*"value"\s*:\s*')
_LONGEST_WRAPPER = 100
_CLOSING = " \t\r\n}"
_FENCED = pattern(r"```(?:json)?[ \t]*\n(?P<inside>.*?)\n?[ \t]*```", re.DOTALL)


class StructuredDecoder:
    """A decoder that tells the answering tool's arguments as text; for one stream or answer."""

    def __init__(self, decode: Decoder, form: AnswerForm) -> None:
        self._decode = decode
        self._form = form
        self._answers: dict[int, _Unwrapper] = {}

    def __call__(self, raw: Mapping[str, Any]) -> tuple[Event, ...]:
        """The events that one raw stream event tells."""
        return tuple(self._told(self._decode(raw)))

    def whole(self, response: Mapping[str, Any]) -> Iterator[Event]:
        """The events that a whole answer tells."""
        return self._told(self._decode.whole(response))

    def _told(self, events: Iterable[Event]) -> Iterator[Event]:
        for event in events:
            if isinstance(event, ToolCallStart) and event.name == self._form.tool_name:
                self._answers[event.block] = _Unwrapper(wrapped=self._form.wrapped)
            elif isinstance(event, ToolArgumentsDelta) and event.block in self._answers:
                yield from _text(event.block, self._answers[event.block].feed(event.text))
            elif isinstance(event, BlockStop) and event.block in self._answers:
                yield from _text(event.block, self._answers.pop(event.block).end())
                yield BlockStop(event.block)
            else:
                yield event


def _text(block: int, text: str) -> Iterator[Event]:
    if text:
        yield TextDelta(block, text)


class _Unwrapper:
    """Takes `{"value": ...}` off a JSON text that comes in pieces; a text without it passes as it is."""

    def __init__(self, *, wrapped: bool) -> None:
        self._head: str | None = "" if wrapped else None
        self._holds_closing = wrapped
        self._held: list[str] = []

    def feed(self, text: str) -> str:
        """What can be told now."""
        if self._head is not None:
            self._head += text
            text = self._after_head(self._head)
        if not self._holds_closing:
            return text
        told = text.rstrip(_CLOSING)
        if not told:
            self._held.append(text)
            return ""
        told = "".join((*self._held, told))
        self._held = [text[len(text.rstrip(_CLOSING)) :]]
        return told

    def end(self) -> str:
        """What was held back and belongs to the value."""
        if self._head is not None:
            return self._head
        return "".join(self._held).rstrip().removesuffix("}")

    def _after_head(self, head: str) -> str:
        match = _WRAPPER.match(head)
        if match is not None:
            self._head = None
            return head[match.end() :]
        if len(head) > _LONGEST_WRAPPER:
            self._head, self._holds_closing = None, False
            return head
        return ""


def with_parsed_answer(completion: Completion, form: AnswerForm) -> Completion:
    """The completion with `message.parsed`, and `bedrock.structured` saying how it was got and whether it fits.

    An answer that calls tools is no final one and stays as it is.
    """
    message = completion.choices[0].message
    if message.tool_calls:
        return completion
    value, problem = _parsed_answer(message, form)
    valid = False if problem else None
    if problem is None and form.schema is not None:
        valid, problem = _fits(value, form.schema)
    message.parsed = value
    completion.bedrock.structured = {"mode": form.mode, "valid": valid, "problem": problem}
    return completion


def _parsed_answer(message: Message, form: AnswerForm) -> tuple[Any, str | None]:
    """The value and None, or None and the problem; words that a model puts before or around its answer are no part of it."""
    texts = [message.content or ""]
    if form.tool_name:  # what the tool was called with came last, as a block of its own
        texts += [block["text"] for block in message.bedrock_content_blocks if "text" in block][-1:]
    for candidate in (candidate for text in texts for candidate in _candidates(text)):
        try:
            return json.loads(candidate), None
        except (ValueError, RecursionError):
            continue
    return None, "the answer is no JSON"


def _candidates(text: str) -> Iterator[str]:
    yield text
    fenced = _FENCED.search(text)
    if fenced is not None:
        yield fenced["inside"]


def _fits(value: Any, schema: Mapping[str, Any]) -> tuple[bool | None, str | None]:
    """Whether the value fits; None where nobody can tell, because `jsonschema` is missing or the schema is broken."""
    try:
        from jsonschema import Draft202012Validator
        from jsonschema.exceptions import SchemaError
    except ImportError:
        return None, None
    try:
        Draft202012Validator.check_schema(schema)
    except SchemaError:
        return None, "the schema itself is broken"
    error = next(Draft202012Validator(schema).iter_errors(value), None)
    # Where and which rule; the message of the library would show the value.
    return (True, None) if error is None else (False, f"{error.json_path} breaks {error.validator!r}")
