"""Who is measured: a class per adapter, each in its own module and, when measured, in its own process.

A subject turns a conversation in OpenAI's form into whatever it takes (`prepare`, outside the clock where its users
would do so too), asks for a whole or a streamed answer the way its users do, and says what it heard.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, ClassVar

if TYPE_CHECKING:
    from tests.bench.workloads import Conversation

Tell = Callable[[str], Any]


@dataclass(frozen=True, slots=True)
class Heard:
    """What an answer said, all pieces joined; the arguments are those of its one tool call."""

    text: str = ""
    reasoning: str = ""
    arguments: str = ""


class Subject:
    """An adapter under the clock; `connections` is how many calls there will be at once."""

    requires: ClassVar[str] = ""
    """The module that has to be installed."""

    def __init__(self, endpoint: str, connections: int = 10) -> None:
        raise TypeError("a subject says how its client is made")

    def prepare(self, conversation: Conversation) -> Any:
        """The conversation in the form that the subject's user has it in."""
        return conversation

    def whole(self, prepared: Any) -> Heard:
        """Ask for a whole answer."""
        raise TypeError("a subject says how it asks")

    def stream(self, prepared: Any, tell: Tell) -> Heard:
        """Ask for a stream, telling the text as it comes; what was heard may be left empty where that costs."""
        raise TypeError("a subject says how it asks")

    def heard(self, prepared: Any) -> Heard:
        """What a stream says, for the judge; not under the clock."""
        return self.stream(prepared, lambda _: None)

    def crowd(self, prepared: Any, count: int, tell: Tell) -> None:
        """So many streams at once."""
        from .crowd import at_once

        at_once(lambda: self.stream(prepared, tell), count)


_HOMES: Mapping[str, tuple[str, str]] = {
    "boto3": ("bare", "Boto3"),
    "boto3-told": ("bare", "ToldBoto3"),
    "ours": ("ours", "Ours"),
    "ours-async": ("ours", "OursAsync"),
    "ours-http": ("ours", "OursHttp"),
    "litellm": ("litellm", "LiteLLM"),
    "langchain-aws": ("langchain", "LangChain"),
    "strands": ("strands", "Strands"),
    "pydantic-ai": ("pydantic_ai", "PydanticAI"),
}

PEERS = ("litellm", "langchain-aws", "strands", "pydantic-ai")


def subject_class(name: str) -> type[Subject]:
    """The class of a subject; its module imports what it measures only when one is made."""
    module, attribute = _HOMES[name]
    found: type[Subject] = getattr(import_module(f"{__name__}.{module}"), attribute)
    return found


def is_installed(name: str) -> bool:
    """Whether what the subject measures can be imported here."""
    return find_spec(subject_class(name).requires) is not None
