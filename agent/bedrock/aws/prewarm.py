"""What a client's first call would wait for, done beforehand.

In comes a runtime client, nothing goes out. The client signs a request that is never sent, so that its endpoint is
resolved and its credentials are fetched, not only found; then one unsigned GET of the endpoint's root, which is no API
call, needs no permission and costs nothing, leaves a connection in the client's pool. Errors are botocore's.
"""

from __future__ import annotations

import logging
from typing import Any

logger = logging.getLogger(__name__)


def warm_up(client: Any) -> None:
    """Fetch the client's credentials and open a connection in its pool; blocks, and raises what either raised."""
    _sign_a_request(client)
    _open_a_connection(client)


def _sign_a_request(client: Any) -> None:
    """A presigned URL is signed offline; with a bearer token there is nothing to fetch."""
    from botocore.exceptions import UnsupportedSignatureVersionError

    try:
        client.generate_presigned_url("converse_stream", Params={"modelId": "prewarm", "messages": []})
    except UnsupportedSignatureVersionError as error:
        logger.debug("error=%s | nothing to fetch for this way of signing", type(error).__name__)


def _open_a_connection(client: Any) -> None:
    from botocore.awsrequest import AWSRequest

    # botocore has no public name for a client's pool; without it the first call opens its own connection, as ever.
    session = getattr(getattr(client, "_endpoint", None), "http_session", None)
    if session is None:
        logger.debug("region=%s | no connection opened in advance", client.meta.region_name)
        return
    agent = {"User-Agent": client.meta.config.user_agent}
    session.send(AWSRequest("GET", client.meta.endpoint_url, headers=agent).prepare())
