"""A request and its answer on a pooled connection, without urllib3's preparation for what cannot come.

In comes a class of pools, out goes one whose `urlopen` does what urllib3's would do of a request as botocore makes it:
to a path that needs no quoting, past no proxy, with a body in one piece, never repeated. Any other request is urllib3's,
and so are the connection, the writing and the reading (`_make_request`), the words of every error, and everything while
somebody has put a function of his own in `urlopen`'s place. It knows urllib3 2 only.
"""

from __future__ import annotations

import re
from functools import cache
from http.client import HTTPException
from typing import Any

from .genuine import Steps

_PLAIN_TARGET = re.compile(r"/(?:[A-Za-z0-9._~:@!$&'()*+,;=/-]|%[0-9A-F]{2})*")
"""A path that urllib3 leaves as it is (`urllib3.util.url._encode_target`)."""

_KNOWN = frozenset({
    "method", "url", "body", "headers", "retries", "assert_same_host", "preload_content", "decode_content", "chunked",
    "enforce_content_length", "timeout",
})  # fmt: skip
"""What botocore says of a request."""


@cache
def directly_opening(pool: Any) -> Any:
    """The pool class with an `urlopen` for plain requests; the class itself with a urllib3 that is not known.

    Retries being off, urllib3 gives out whatever answer there is, redirects and refusals too.
    """
    import ssl

    from urllib3 import connection, connectionpool
    from urllib3.exceptions import ProtocolError, SSLError
    from urllib3.util.ssl_match_hostname import CertificateError

    if not hasattr(connection, "_ResponseOptions"):
        return pool
    left_out = Steps([(owner, "urlopen") for owner in (pool, connectionpool.HTTPConnectionPool)])
    of_tls = (ssl.SSLError, CertificateError)

    def urlopen(self: Any, *positional: Any, **asked: Any) -> Any:
        plain = not positional and _is_plain(self, asked) and left_out.are_genuine()
        return opened(self, **asked) if plain else pool.urlopen(self, *positional, **asked)

    def opened(self: Any, method: str, url: str, timeout: Any = None, **asked: Any) -> Any:
        asked.pop("assert_same_host")
        taken = self._get_conn(timeout=None)
        try:
            return self._make_request(taken, method, url, timeout=timeout or self.timeout, response_conn=taken, **asked)
        except BaseException as error:
            taken.close()
            self._put_conn(None)
            if isinstance(error, of_tls):
                raise SSLError(error)  # noqa: B904 - urllib3 names no cause
            if isinstance(error, (OSError, HTTPException)):
                raise ProtocolError("Connection aborted.", error)  # noqa: B904
            raise

    return type(pool.__name__, (pool,), {"urlopen": urlopen})


def _is_plain(pool: Any, asked: dict[str, Any]) -> bool:
    return (
        asked.keys() <= _KNOWN
        and pool.proxy is None
        and not pool.proxy_headers
        and type(asked.get("body")) is bytes
        and getattr(asked.get("retries"), "total", None) is False
        and asked.get("assert_same_host") is False
        and asked.get("preload_content") is False
        and asked.get("chunked") is False
        and _PLAIN_TARGET.fullmatch(asked["url"]) is not None
    )
