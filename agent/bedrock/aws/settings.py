"""How a client behaves on the wire: timeouts, attempts, connections, endpoint.

In comes a mapping of environment variables or plain arguments, out goes a frozen `ClientSettings`. A malformed value
raises `SettingsError` that names the variable and says what is expected. Nothing here reads credentials, and nothing
imports botocore.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Mapping
from typing import Any

from ..errors import SettingsError
from ..values import field, frozen

#: The modes that botocore knows; `legacy` and `standard` differ in what they retry and how long they wait.
RETRY_MODES = ("legacy", "standard", "adaptive")


@frozen
class ClientSettings:
    """What a client is built with; times in seconds.

    `read_timeout` is the whole generation for a whole answer and the gap between two reads for a stream;
    `idle_timeout` is the longest silence between two events of a stream that has begun (0: no limit). `max_attempts`
    counts all attempts of a call, and none begins later than `retry_seconds` after the call did.
    """

    connect_timeout: float = 10.0
    read_timeout: float = 900.0
    idle_timeout: float = 300.0
    max_attempts: int = 3
    retry_seconds: float = 180.0
    max_connections: int = 64
    endpoint_url: str | None = field(default=None, repr=False)  # an address can carry a password
    retry_mode: str = "standard"

    def __post_init__(self) -> None:
        for name, check in _CHECKS.items():
            object.__setattr__(self, name, check(name, getattr(self, name)))

    @classmethod
    def from_environment(cls, environ: Mapping[str, str] | None = None, **arguments: Any) -> ClientSettings:
        """The settings of `environ` (default `os.environ`), except where an argument that is not None says otherwise."""
        given = {name: value for name, value in arguments.items() if value is not None}
        source = os.environ if environ is None else environ
        return cls(**(_from_variables(source, skip=given.keys()) | given))


def blank_to_none(value: str | None) -> str | None:
    """`value` without the space around it, or None where nothing is left: blank counts as unset."""
    return (value or "").strip() or None


def _from_variables(environ: Mapping[str, str], skip: Any) -> dict[str, Any]:
    """What the environment says, each value checked under the name of its variable."""
    found: dict[str, Any] = {}
    for variable, name in _VARIABLES:
        value = blank_to_none(environ.get(variable))
        if value is not None and name not in found and name not in skip:
            found[name] = _CHECKS[name](variable, value)
    if _is_true(environ.get("AWS_IGNORE_CONFIGURED_ENDPOINT_URLS")):
        found.pop("endpoint_url", None)
    return found


def _is_true(value: str | None) -> bool:
    return (value or "").strip().lower() == "true"


#: Seconds, a month: what is longer is a slip, and what is much longer no operating system can wait for.
LONGEST = 2_592_000

#: urllib3 lays out a place for every connection of a pool at once.
MOST = 10_000


def _seconds(least: float, *, zero_is_off: bool = False) -> Callable[[str, Any], float]:
    expected = f"a number of seconds from {least:g}" + (" (0 turns it off)" if zero_is_off else "") + f" to {LONGEST}"

    def check(name: str, value: Any) -> float:
        number = _number(value, float)
        if number is None or not math.isfinite(number) or not least <= number <= LONGEST:
            raise SettingsError(f"{name} is {value!r}: expected {expected}")
        return float(number)

    return check


def _count(name: str, value: Any) -> int:
    number = _number(value, int)
    if number is None or not 1 <= number <= MOST:
        raise SettingsError(f"{name} is {value!r}: expected a whole number from 1 to {MOST}")
    return int(number)


def _number(value: Any, kind: type[int | float]) -> float | None:
    """`value` as a number of that kind; None where it is none. A bool is no number here."""
    if isinstance(value, bool) or (kind is int and isinstance(value, float) and not value.is_integer()):
        return None
    try:
        return kind(value)
    except (TypeError, ValueError, OverflowError):
        return None


def _endpoint(name: str, value: Any) -> str | None:
    if value is None:
        return None
    scheme, _, rest = str(value).strip().partition("://")
    broken = any(mark.isspace() for mark in rest) or rest.count("[") != rest.count("]")
    if scheme.lower() not in ("http", "https") or not rest.strip("/") or broken:
        # The text itself is left out: an address can carry a password.
        raise SettingsError(f"{name} is no address: expected http://host or https://host, with port and path as needed")
    return str(value).strip()


def _retry_mode(name: str, value: Any) -> str:
    if str(value).lower() not in RETRY_MODES:
        raise SettingsError(f"{name} is {value!r}: expected one of {', '.join(RETRY_MODES)}")
    return str(value).lower()


_CHECKS: dict[str, Callable[[str, Any], Any]] = {
    "connect_timeout": _seconds(0.001),
    "read_timeout": _seconds(0.001),
    "idle_timeout": _seconds(0, zero_is_off=True),
    "max_attempts": _count,
    "retry_seconds": _seconds(0),
    "max_connections": _count,
    "endpoint_url": _endpoint,
    "retry_mode": _retry_mode,
}

#: Variable and the field it sets; of two variables for one field the first that is set wins.
_VARIABLES: tuple[tuple[str, str], ...] = (
    ("BEDROCK_CONNECT_TIMEOUT", "connect_timeout"),
    ("BEDROCK_READ_TIMEOUT", "read_timeout"),
    ("BEDROCK_IDLE_TIMEOUT", "idle_timeout"),
    ("BEDROCK_MAX_ATTEMPTS", "max_attempts"),
    ("AWS_MAX_ATTEMPTS", "max_attempts"),
    ("BEDROCK_RETRY_SECONDS", "retry_seconds"),
    ("BEDROCK_MAX_CONNECTIONS", "max_connections"),
    ("AWS_ENDPOINT_URL_BEDROCK_RUNTIME", "endpoint_url"),
    ("AWS_RETRY_MODE", "retry_mode"),
)

#: Every variable that changes how a client behaves, ours and those that botocore reads when it builds one.
CLIENT_VARIABLES: tuple[str, ...] = (
    *(variable for variable, _ in _VARIABLES),
    "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS",
    "AWS_ENDPOINT_URL",
    "AWS_ENDPOINT_URL_BEDROCK",
    "AWS_USE_FIPS_ENDPOINT",
    "AWS_USE_DUALSTACK_ENDPOINT",
    "AWS_CA_BUNDLE",
    "REQUESTS_CA_BUNDLE",
    "HTTPS_PROXY",
    "https_proxy",
    "HTTP_PROXY",
    "http_proxy",
    "ALL_PROXY",
    "all_proxy",
    "NO_PROXY",
    "no_proxy",
)
