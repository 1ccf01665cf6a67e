"""botocore's User-Agent header, built once per client and kept: to the letter what botocore would have built.

In comes a fresh botocore session, nothing goes out. botocore builds the header twice per request, from parts of which only
the features of the request at hand ever change, and cleans each part character by character: 8 % of a short turn. So the
text is kept per set of features. Where something may rewrite the parts, as AWS Lambda does, botocore builds them.
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Hashable

    from botocore.useragent import UserAgentString

#: Sets of features that a client meets in practice: two or three.
_KEPT = 64


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
            # Set on the config after this copy was made, and the whole header where it is set.
            supplied = getattr(getattr(self, "_client_config", None), "_supplied_user_agent", None)
            text = known.get((features, supplied))
            if text is None:
                text = super().to_string()
                if len(known) < _KEPT:
                    known[features, supplied] = text
            return text

    return KeptUserAgent
