"""Advice on the way out: an exception that leaves the AWS wing says what to do about it, and is otherwise unchanged.

In comes whatever botocore, urllib3 or the interpreter raised while a client was built or called; it goes on with a note,
and with the names that its advice needs as attributes (`aws_profile`, `available_profiles`). No secret is among them, and
none stays in the signed request that botocore hangs on some of its exceptions: crash reporters walk attributes.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

from ..errors import annotate, class_names, classify
from .sessions import config_session

if TYPE_CHECKING:
    from types import TracebackType


@contextmanager
def explained(profile: str | None) -> Iterator[None]:
    """Let exceptions pass with advice; `profile` is the AWS profile that the advice is to name."""
    try:
        yield
    except Exception as exc:
        explain(exc, profile)
        raise


def explain(exc: BaseException, profile: str | None) -> None:
    """Add what `classify` advises as a note, and forget what nobody is to see; again does no harm."""
    forget_secrets(exc)
    _attach(exc, "aws_profile", profile)
    if "botocore.exceptions.ProfileNotFound" in class_names(exc):
        _attach(exc, "available_profiles", _available_profiles())
    annotate(exc, classify(exc).advice)


SECRET_HEADERS = ("Authorization", "X-Amz-Security-Token")
"""Headers of a request that hold a bearer token, a signature, or the token of a session."""


def forget_secrets_of(client: Any) -> None:
    """Have a client that is not guarded forget them, too."""
    service = client.meta.service_model.service_id.hyphenize()
    client.meta.events.register(f"after-call-error.{service}", lambda exception, **_: forget_secrets(exception))


def forget_secrets(exc: BaseException) -> None:
    """Blank the secret headers of requests that hang on the exception or on those that led to it (ConnectionClosedError).

    Such a request has been sent for the last time: the next attempt prepares one of its own. What it looked like on its
    way stands in the variables of the frames that the tracebacks hold; these are cleared.
    """
    told: set[int] = set()
    waiting: list[BaseException | None] = [exc]
    while waiting:
        error = waiting.pop()
        if error is None or id(error) in told:
            continue
        told.add(id(error))
        waiting += [error.__cause__, error.__context__]
        _clear_frames(error.__traceback__)
        headers = getattr(getattr(error, "request", None), "headers", None)
        for name in SECRET_HEADERS:
            if headers is not None and name in headers:
                headers[name] = "(not shown)"


_SENDERS = ("botocore.", "urllib3.", "http.client", f"{__package__}.")
"""Modules whose frames see a signed request."""


def _clear_frames(trace: TracebackType | None) -> None:
    while trace is not None:
        # The caller's too: botocore hands exceptions on as values, past frames that keep them and stand in no traceback.
        for frame in (trace.tb_frame, trace.tb_frame.f_back):
            if frame is not None and str(frame.f_globals.get("__name__")).startswith(_SENDERS):
                with suppress(RuntimeError):  # it still runs, and sees no more of the request than its sender has left
                    frame.clear()
        trace = trace.tb_next


def _attach(exc: BaseException, name: str, value: Any) -> None:
    # An exception class with slots takes no attribute; its advice then names nothing.
    with suppress(AttributeError, TypeError):
        if value and not hasattr(exc, name):
            setattr(exc, name, value)


def _available_profiles() -> tuple[str, ...]:
    """The names in the AWS config files; none where they cannot be read."""
    with suppress(Exception):  # the exception that is being explained says what is wrong with the files
        return tuple(config_session().available_profiles)
    return ()
