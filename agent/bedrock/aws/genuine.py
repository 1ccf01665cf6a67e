"""Whether the libraries below are as they came: instrumentation and recorders put their own in the place of functions.

In come places of functions, and classes of pools; out goes whether a shortcut may be taken past them. Whoever traces,
records or plays calls (Sentry, VCR, Datadog) replaces methods of `http.client`, urllib3 or botocore, or the class of
connections of a pool, before a client is built or after, and for a while only. None of it is passed by.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from operator import is_
from types import FunctionType
from typing import Any

_HOMES = frozenset({
    "http.client", "urllib3.connection", "urllib3.connectionpool", "urllib3.poolmanager", "botocore.awsrequest",
})  # fmt: skip


class Steps:
    """Functions by owner and name that a shortcut leaves out."""

    def __init__(self, places: Sequence[tuple[Any, str]]) -> None:
        self._places = places
        self._genuine: list[Any] = []

    def are_genuine(self) -> bool:
        """Whether each of them is, now, what its library has there."""
        now = [getattr(owner, name) for owner, name in self._places]
        if not self._genuine and all(map(_is_of_a_library, now)):
            self._genuine = now
        # By identity: what wraps a function may well say that it equals it.
        return bool(self._genuine) and all(map(is_, now, self._genuine))


def _is_of_a_library(function: Any) -> bool:
    return type(function) is FunctionType and function.__globals__.get("__name__") in _HOMES


class _Tuned:
    """`ConnectionCls` of a pool class: another kind of those that the class below has, as long as they are its own."""

    def __init__(self, pool: type[Any], tune: Callable[[Any], type[Any]]) -> None:
        self._pool = pool
        self._tune = tune

    def __get__(self, _pool: Any, _kind: type[Any]) -> type[Any]:
        connection: type[Any] = self._pool.ConnectionCls
        home = connection.__module__
        return self._tune(connection) if home in _HOMES or home.startswith(f"{__package__}.") else connection


def tuned_pool(pool: type[Any], tune: Callable[[Any], type[Any]]) -> type[Any]:
    """The pool class with connections of another kind, unless somebody put others in their place."""
    return type(pool.__name__, (pool,), {"ConnectionCls": _Tuned(pool, tune)})
