"""What every step of the builder shares: the profile, the options, and the list of what was repaired.

A `Context` lives for one call of the builder. It is the only mutable thing in the room; turns and blocks belong to the
builder too, so that nothing of the caller's is ever written to.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from ..errors import InvalidRequestError
from ..values import field, frozen, mutable, names_of
from .reading import clean_text, plain_json

if TYPE_CHECKING:
    from ..models.profiles import ModelProfile
    from .options import RequestOptions

Block = dict[str, Any]

logger = logging.getLogger(__name__)

EMPTY_TEXT = "(empty)"


@frozen
class Repair:
    """Something the builder did to make a request legal.

    `step` names the step, `message` is the index in the caller's messages (None where it is about no message), `detail`
    says what was done, without any content.
    """

    step: str
    message: int | None
    detail: str


@mutable
class Turn:
    """One turn of the conversation; `origins` says for each block which of the caller's messages it came from."""

    role: str
    blocks: list[Block]
    origins: list[int | None]

    @property
    def message(self) -> int | None:
        """The first of the caller's messages in this turn; None for a turn that the builder added."""
        return next((origin for origin in self.origins if origin is not None), None)


@frozen
class Learned:
    """What a context learned of the messages read so far."""

    repairs: list[Repair]
    tool_names: dict[str, str]
    wire_names: dict[str, str]
    kinds: set[str]
    wire_ids: dict[str, str]
    open_calls: list[tuple[str, str]]
    answered: set[str]


@mutable
class Context:
    """The state of one build."""

    model: str
    profile: ModelProfile
    options: RequestOptions
    repairs: list[Repair] = field(default_factory=list)
    tool_names: dict[str, str] = field(default_factory=dict)  # wire -> the caller's, where they differ
    wire_names: dict[str, str] = field(default_factory=dict)  # the caller's -> wire, every one asked for
    kinds: set[str] = field(default_factory=set)  # the kinds of content seen, so that steps can skip
    sends_tools: bool = True
    thinks: bool = False  # the request asks for thinking of the kind that rules out a prefill
    wire_ids: dict[str, str] = field(default_factory=dict)  # the caller's -> wire
    open_calls: list[tuple[str, str]] = field(default_factory=list)  # (wire id, name) of the newest assistant message
    answered: set[str] = field(default_factory=set)  # wire ids of the results since then
    measured_tools: tuple[int, int] = (0, 0)  # how many tools a memory knows, and their characters

    def learned(self) -> Learned:
        """What it knows by now, in collections of their own."""
        return Learned(*(getattr(self, name).copy() for name in names_of(Learned)))

    def take_over(self, learned: Learned) -> None:
        """Know what was learned before, and nothing else."""
        for name in names_of(Learned):
            setattr(self, name, getattr(learned, name).copy())

    def repair(self, step: str, message: int | None, detail: str) -> None:
        """Record a repair; in strict mode refuse instead."""
        if self.options.strict:
            raise InvalidRequestError(f"{detail} ({step}; strict=True refuses)", message_index=message)
        self.settle(step, message, detail)

    def settle(self, step: str, message: int | None, detail: str) -> None:
        """Record what had to be done to an answer of the model's own, which no caller can help: strict lets it pass."""
        self.repairs.append(Repair(step, message, detail))
        logger.debug("model=%s step=%s message=%s | %s", self.model, step, message, detail)

    def clean(self, message: int | None, text: str) -> str:
        """The text as UTF-8 can carry it, reported where that is not what it was."""
        cleaned = clean_text(text)
        if cleaned is not text:
            self.repair("replace_lone_surrogates", message, "halves of surrogate pairs were replaced or joined")
        return cleaned

    def plain(self, message: int | None, value: Any) -> Any:
        """The value as JSON can carry it, reported where that is not what it was."""
        return self.cleaned(message, value, plain_json)

    def cleaned(self, message: int | None, value: Any, clean: Callable[[Any], Any]) -> Any:
        """The value after `clean`, reported where that is not what it was."""
        try:
            plain = clean(value)
        except RecursionError:
            raise InvalidRequestError("nested too deeply, or in itself", message_index=message) from None
        if plain is not value:
            self.repair(
                "replace_what_json_lacks", message, "NaN, lone surrogates or values of foreign types were told as text"
            )
        return plain

    def warn(self, step: str, detail: str) -> None:
        """Record a repair that takes something from the request which the caller asked for by an option."""
        self.repair(step, None, detail)
        logger.warning("model=%s | %s", self.model, detail)
