"""The User-Agent header of boto3, built once per client and kept: to the letter what boto3 would have sent.

In comes a fresh botocore session, nothing goes out. It says of itself what boto3's session says, whose import is saved
(`sessions`); where boto3 is not installed it stays botocore's. botocore builds the header twice per request, from parts of which only
the features of the request at hand ever change, and cleans each part character by character: 8 % of a short turn. So the
text is kept per set of features. Where something may rewrite the parts, as AWS Lambda does, botocore builds them.
"""

from __future__ import annotations

import functools
import os
import re
import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Hashable

    from botocore.useragent import UserAgentString

#: Sets of features that a client meets in practice: two or three.
_KEPT = 64

_SET_LATER = ("_supplied_user_agent", "user_agent_extra", "user_agent_appid")


def present_as_boto3(session: Any) -> None:
    """Have the session's clients say what those of boto3 say; a session that has a name already keeps it."""
    version = _boto3_version()
    if version is not None and session.user_agent_name == "Botocore":
        parts = (session.user_agent_extra, f"Botocore/{session.user_agent_version}")
        session.user_agent_extra = " ".join(part for part in parts if part)
        session.user_agent_name, session.user_agent_version = "Boto3", version


@functools.cache
def _boto3_version() -> str | None:
    """The version of the boto3 that is installed beside botocore, read and not imported; None where there is none."""
    loaded = sys.modules.get("boto3")
    if loaded is not None:
        return str(loaded.__version__)
    import botocore

    beside = os.path.join(os.path.dirname(os.path.dirname(botocore.__file__)), "boto3", "__init__.py")  # noqa: PTH118, PTH120
    try:
        with open(beside, encoding="utf-8") as file:  # noqa: PTH123 - pathlib is not loaded for this
            text = file.read()
    except OSError:
        return None
    found = re.search(r"^__version__ = ['\"]([\w.+-]+)['\"]$", text, re.MULTILINE)
    return found[1] if found else None


def keep_user_agent(session: Any) -> None:
    """Have the clients that the session builds from now on keep their User-Agent."""
    build = _keeping_class()
    if build is not None and _is_botocores_own(session.get_component("user_agent_creator")):
        session.register_component("user_agent_creator", build.from_environment())


def _is_botocores_own(creator: Any) -> bool:
    from botocore.useragent import UserAgentString

    return type(creator) is UserAgentString


@functools.cache
def _keeping_class() -> type[UserAgentString] | None:
    """botocore's class with a memory; None for a botocore that does not say what a text depends on (before 1.36)."""
    try:
        from botocore.context import get_context
        from botocore.useragent import UserAgentString, modify_components
    except ImportError:
        return None
    if modify_components.__module__ != UserAgentString.__module__:
        return None

    class KeptUserAgent(UserAgentString):
        """A `UserAgentString` that builds each text once."""

        _known: dict[Hashable, str] | None = None

        def with_client_config(self, client_config: Any) -> Any:
            copied: Any = super().with_client_config(client_config)
            copied._known = {}  # noqa: SLF001 - of our own class
            return copied

        def to_string(self) -> str:
            known = self._known
            if known is None:
                return super().to_string()
            context = get_context()
            features = None if context is None else frozenset(context.features)
            # Set on the config after this copy was made: by botocore the whole header, by whoever likes a part of it.
            config = getattr(self, "_client_config", None)
            key = (features, *[getattr(config, name, None) for name in _SET_LATER])
            text = known.get(key)
            if text is None:
                text = super().to_string()
                if len(known) < _KEPT:
                    known[key] = text
            return text

    return KeptUserAgent
