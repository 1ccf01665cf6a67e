"""A request and its answer on a pooled connection, without urllib3's preparation for what cannot come.

In comes a class of pools, out goes one whose `urlopen` does what urllib3's would do of a request as botocore makes it:
to a path that needs no quoting, past no proxy, with a body in one piece, never repeated. Any other request is urllib3's,
and so are the connection, the writing and the reading (`_make_request`), the words of every error, and everything while
somebody has put a function of his own in `urlopen`'s place. It knows urllib3 2 only.
"""

from __future__ import annotations

import re
from functools import cache
from http.client import HTTPConnection, HTTPException
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

    Retries being off, urllib3 gives out whatever answer there is, redirects and refusals too. One difference stays: over
    a redirect to what is no address urllib3 stumbles and loses the connection; here that is an answer like any other.
    """
    from urllib3 import connection, connectionpool

    over_http_client = HTTPConnection in getattr(connection.HTTPConnection, "__mro__", ())  # not in urllib3-future
    if not hasattr(connection, "_ResponseOptions") or not over_http_client:
        return pool
    import ssl

    from urllib3.exceptions import EmptyPoolError, ProtocolError, SSLError
    from urllib3.util.ssl_match_hostname import CertificateError  # elsewhere in urllib3 before 1.26.8

    left_out = Steps([(owner, "urlopen") for owner in (pool, connectionpool.HTTPConnectionPool)])
    of_tls = (ssl.SSLError, CertificateError)

    def urlopen(self: Any, *positional: Any, **asked: Any) -> Any:
        if not positional and _is_plain(self, asked) and left_out.are_genuine():
            return opened(self, **asked)
        # Not `pool.urlopen(self, ...)`: what somebody has put there may be no function, and take no `self`.
        return super(direct, self).urlopen(*positional, **asked)

    def opened(self: Any, method: str, url: str, assert_same_host: bool, **asked: Any) -> Any:  # noqa: ARG001
        taken = None
        try:
            taken = self._get_conn(timeout=None)
            return self._make_request(taken, method, url, response_conn=taken, **asked)
        except EmptyPoolError:  # it gave no place that could be given back
            raise
        except BaseException as error:
            if taken is not None:
                taken.close()
            self._put_conn(None)
            if isinstance(error, of_tls):
                raise SSLError(error)  # noqa: B904 - urllib3 names no cause
            if isinstance(error, (OSError, HTTPException)):
                raise ProtocolError("Connection aborted.", error)  # noqa: B904
            raise

    direct: Any = type(pool.__name__, (pool,), {"urlopen": urlopen})
    return direct


def _is_plain(pool: Any, asked: dict[str, Any]) -> bool:
    return (
        asked.keys() <= _KNOWN
        and pool.proxy is None
        and not pool.proxy_headers
        and type(asked.get("body")) is bytes
        and asked.get("headers") is not None
        and type(asked.get("timeout", pool.timeout)) is type(pool.timeout)
        and getattr(asked.get("retries"), "total", None) is False
        and asked.get("assert_same_host") is False
        and asked.get("preload_content") is False
        and asked.get("chunked") is False
        and _PLAIN_TARGET.fullmatch(asked["url"]) is not None
    )
