"""One call of a guarded client on its way: what is sent, and what has happened so far.

A `Call` is a value that the layers hand on and that a remedy replaces by a better one. Its `Journey` is the one mutable
thing: the clock it runs against, who may end it, and the record that the answer gives back. Nothing is sent here.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TypeVar

from ..errors import CallInterruptedError, DeadlineExceededError
from ..notes import CallRecord
from ..values import changed, field, frozen, mutable
from .cancel import is_given_up, released
from .options import NO_OPTIONS, CallOptions
from .pace import POLL_INTERVAL, Bell, current_pace
from .settings import ClientSettings

if TYPE_CHECKING:
    from .refusals import TakeBack
    from .renewal import Clients

Answer = dict[str, Any]
R = TypeVar("R")

WHOLE = "Converse"
STREAM = "ConverseStream"


@frozen
class Protection:
    """What a guarded client is built with: its settings, the AWS profile that advice names, the clients beside it.

    `owner` tells its credentials from others (`credentials.identity`); it holds no secret.
    """

    settings: ClientSettings = field(default_factory=ClientSettings)
    profile: str | None = None
    clients: Clients | None = None
    owner: Hashable = None


@mutable(repr=False)  # it holds the caller's words, which no log is to show
class Journey:
    """What one call has lived through, and how it ends.

    `closed` is said by whoever closes its stream, `onlooker` is the interrupt check of whoever reads it, `bell` wakes
    whoever waits for it. `deadline` is a moment of the clock.
    `retries` counts only attempts that followed a fault, `taken_back` what this call leaves out because the model refused
    it, `sent` what went out last, `callers_own` what the caller's interrupt check raised, `request_id` AWS's id of the
    last attempt, and `answered` who was asked for which operation with what, when an answer came.
    """

    method: str
    protection: Protection
    options: CallOptions = NO_OPTIONS
    record: CallRecord = field(default_factory=CallRecord)
    began: float = field(default_factory=lambda: current_pace().now())
    closed: bool = False
    onlooker: Callable[[], Any] | None = None
    bell: Bell = field(default_factory=Bell)
    retries: int = 0
    renewed: bool = False
    reopening: bool = False
    fallbacks: list[tuple[str | None, str | None]] = field(default_factory=list)
    taken_back: list[TakeBack] = field(default_factory=list)
    sent: dict[str, Any] | None = None
    callers_own: Exception | None = None
    request_id: str | None = None
    answered: tuple[Any, str, dict[str, Any]] | None = None

    @property
    def deadline(self) -> float | None:
        """The moment at which the caller's patience ends."""
        options = self.options
        return None if options.deadline is None else (options.began or self.began) + options.deadline

    @property
    def attempts_allowed(self) -> int:
        """How many attempts may be made in all."""
        return self.options.max_attempts or self.protection.settings.max_attempts

    @property
    def watched(self) -> bool:
        """Whether somebody may want to end the call while its thread is blocked."""
        options = self.options
        return self.reopening or not (
            options.cancel is None and options.on_interrupt_check is None and options.deadline is None
        )

    def close(self) -> None:
        """End the call, from whichever thread."""
        self.closed = True
        self.bell.ring()

    def check(self) -> float | None:
        """Raise where the call is to end now; or the seconds after which to ask again, None where the bell will ring."""
        asked, given_up = self.onlooker or self.options.interrupt_check, is_given_up()
        if self.closed or given_up or (asked is not None and self.ask(asked)):
            raise CallInterruptedError("the caller ended the call before it was answered")
        again = None if asked is None and given_up is None else POLL_INTERVAL
        deadline = self.deadline
        if deadline is None:
            return again
        left = deadline - current_pace().now()
        if left <= 0:
            raise DeadlineExceededError(f"the call was not answered within its {self.options.deadline:g} seconds")
        return left if again is None else min(left, again)

    def ask(self, interrupt_check: Callable[[], Any]) -> Any:
        """What the caller's check says; what it raises is noted as the caller's own, lest it pass for a fault."""
        try:
            return interrupt_check()
        except Exception as error:
            self.callers_own = error
            raise

    def is_ended_by(self, error: Exception) -> bool:
        """Whether it says that the call is to end, and not what went wrong with it."""
        return error is self.callers_own or isinstance(error, (CallInterruptedError, DeadlineExceededError))

    @contextmanager
    def again(self) -> Iterator[None]:
        """While a stream is opened anew: from now on, another thread may close it."""
        self.reopening = True
        try:
            yield
        finally:
            self.reopening = False


@frozen(repr=False)
class Call:
    """What is sent next: `operation` is the service's name for it (Converse, ConverseStream).

    `genuine` has botocore's own methods by operation; they take any client of the service.
    """

    client: Any
    operation: str
    parameters: dict[str, Any]
    journey: Journey
    genuine: Mapping[str, Callable[..., Answer]] = field(default_factory=dict)

    @property
    def as_answered(self) -> Call:
        """The call as it was when an answer came: a remedy may have changed it."""
        answered = self.journey.answered
        if answered is None:
            return self
        client, operation, parameters = answered
        return changed(self, client=client, operation=operation, parameters=parameters)

    @property
    def region(self) -> str:
        """Where it is sent."""
        return str(self.client.meta.region_name)

    @property
    def model(self) -> str:
        """Who is to answer."""
        return str(self.parameters.get("modelId") or "")


def waited_for(work: Callable[[], R], options: CallOptions) -> R:
    """What the work gives that a call with these options cannot be sent without, unless the call is to end before."""
    return released(work, Journey("", Protection(), options))


Send = Callable[[Call], Answer]
Layer = Callable[[Call, Send], Answer]
