"""Advice on the way out: an exception that leaves the AWS wing says what to do about it, and is otherwise unchanged.

In comes whatever botocore, urllib3 or the interpreter raised while a client was built or called; it goes on with a note,
and with the names that its advice needs as attributes (`aws_profile`, `available_profiles`). No secret is among them.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

from ..errors import annotate, class_names, classify
from .sessions import config_session


@contextmanager
def explained(profile: str | None) -> Iterator[None]:
    """Let exceptions pass with advice; `profile` is the AWS profile that the advice is to name."""
    try:
        yield
    except Exception as exc:
        explain(exc, profile)
        raise


def explain(exc: BaseException, profile: str | None) -> None:
    """Add what `classify` advises as a note; again does no harm."""
    _attach(exc, "aws_profile", profile)
    if "botocore.exceptions.ProfileNotFound" in class_names(exc):
        _attach(exc, "available_profiles", _available_profiles())
    annotate(exc, classify(exc).advice)


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
