"""Options for runtimes that cannot pass options: what the environment says of every call of the drop-in.

In comes a mapping of environment variables, read at each call; out go keyword options of the request builder. Blank
counts as unset; a malformed value raises SettingsError naming the variable. Client settings are `aws.settings`' matter.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping
from typing import Any

from ..blocks import is_too_deep
from ..errors import InvalidRequestError, SettingsError

_ON = frozenset({"1", "on", "true", "yes"})
_GUARDRAIL_VERSION = re.compile(r"[1-9][0-9]{0,7}|DRAFT")
_OFF = frozenset({"0", "off", "false", "no"})

EFFORTS = ("none", "minimal", "low", "medium", "high", "xhigh", "max")
CACHE_TTLS = ("5m", "1h")
SERVICE_TIERS = ("default", "priority", "flex", "reserved")


def call_options(environ: Mapping[str, str] | None = None) -> dict[str, Any]:
    """The options that the environment adds to every call, named as the request builder names them."""
    source = os.environ if environ is None else environ
    options: dict[str, Any] = {}
    for variable, (option, read) in _OPTIONS.items():
        value = (source.get(variable) or "").strip()
        if value:
            options[option] = read(variable, value)
    return options


def prompt_caching(environ: Mapping[str, str] | None = None) -> bool:
    """`BEDROCK_PROMPT_CACHING`: on (the default) or off."""
    value = ((os.environ if environ is None else environ).get("BEDROCK_PROMPT_CACHING") or "").strip().lower()
    if value and value not in _ON | _OFF:
        raise SettingsError(f"BEDROCK_PROMPT_CACHING is {value!r}: expected on or off")
    return value not in _OFF


def _one_of(*allowed: str) -> Callable[[str, str], str]:
    def read(variable: str, value: str) -> str:
        if value.lower() not in allowed:
            raise SettingsError(f"{variable} is {value!r}: expected one of {', '.join(allowed)}")
        return value.lower()

    return read


def _guardrail(variable: str, value: str) -> dict[str, str]:
    identifier, _, version = value.rpartition(":")
    if not identifier or not _GUARDRAIL_VERSION.fullmatch(version):
        raise SettingsError(f"{variable} is {value!r}: expected id:version, the version a number or DRAFT")
    return {"guardrailIdentifier": identifier, "guardrailVersion": version}


def _json_object(variable: str, value: str) -> dict[str, Any]:
    import json

    from ..request.options import CONVERSE_MEMBERS
    from ..request.parameters import check_member

    try:
        members = json.loads(value)
    except (ValueError, RecursionError) as error:
        # The value itself is left out: it may hold what is nobody's business.
        raise SettingsError(f"{variable} is no JSON ({type(error).__name__})") from None
    if is_too_deep(value, members):
        raise SettingsError(f"{variable} is nested too deeply")
    if not isinstance(members, dict):
        raise SettingsError(f"{variable} is a JSON {type(members).__name__}: expected an object of Converse members")
    for name in CONVERSE_MEMBERS & members.keys():
        try:
            check_member(name, members[name])
        except InvalidRequestError as error:
            raise SettingsError(f"{variable}: {error}") from None
    return members


_OPTIONS: dict[str, tuple[str, Callable[[str, str], Any]]] = {
    "BEDROCK_REASONING_EFFORT": ("reasoning_effort", _one_of(*EFFORTS)),
    "BEDROCK_CACHE_TTL": ("cache_ttl", _one_of(*CACHE_TTLS)),
    "BEDROCK_SERVICE_TIER": ("service_tier", _one_of(*SERVICE_TIERS)),
    "BEDROCK_GUARDRAIL": ("guardrail_config", _guardrail),
    "BEDROCK_EXTRA": ("extra", _json_object),
}
"""Variable -> the builder's option, and how its value is read."""
