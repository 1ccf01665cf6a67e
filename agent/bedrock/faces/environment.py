"""Options for runtimes that cannot pass options: what the environment says of every call of the drop-in.

In comes a mapping of environment variables, read at each call; out go keyword options of the request builder. Blank
counts as unset; a malformed value raises SettingsError naming the variable. Client settings are `aws.settings`' matter.
"""

from __future__ import annotations

import os
from collections.abc import Mapping

from ..errors import SettingsError

_ON = frozenset({"1", "on", "true", "yes"})
_OFF = frozenset({"0", "off", "false", "no"})


def prompt_caching(environ: Mapping[str, str] | None = None) -> bool:
    """`BEDROCK_PROMPT_CACHING`: on (the default) or off."""
    return _switch(os.environ if environ is None else environ, "BEDROCK_PROMPT_CACHING", default=True)


def _switch(environ: Mapping[str, str], variable: str, *, default: bool) -> bool:
    value = (environ.get(variable) or "").strip().lower()
    if not value:
        return default
    if value in _ON | _OFF:
        return value in _ON
    raise SettingsError(f"{variable} is {value!r}: expected on or off")
