"""Gateways that have an address of their own for every model: `https://gateway/bedrock/{region}.{model}`.

In comes an endpoint URL in which `{region}` and `{model}` may stand, out goes the URL that boto3 is built with, and a
client whose requests go to the pattern's address, with `/converse` or `/converse-stream` behind it. They are rewritten
before they are signed. Other endpoint URLs are left alone.
"""

from __future__ import annotations

from typing import Any

from ..patterns import pattern

_CALL = pattern(r"/model/(?P<model>[^/?]+)/(?P<operation>converse|converse-stream)$")


def base_url(endpoint_url: str | None, region: str) -> str | None:
    """The endpoint URL as boto3 takes it: the region filled in, and without the last segments that name the model."""
    if endpoint_url is None:
        return None
    filled = endpoint_url.replace("{region}", region)
    before, model, _ = filled.partition("{model}")
    return before.rpartition("/")[0] if model else filled


def follow_pattern(client: Any, endpoint_url: str | None, region: str) -> None:
    """Have the client's calls go to the address that the pattern gives for their model, if it is a pattern."""
    if endpoint_url is None or "{model}" not in endpoint_url:
        return
    pattern = endpoint_url.replace("{region}", region).rstrip("/")

    def redirect(request: Any, **_: Any) -> None:
        called = _CALL.search(request.url)
        if called is not None:
            # The model's id is already percent-encoded, as one segment.
            request.url = f"{pattern.replace('{model}', called['model'])}/{called['operation']}"

    client.meta.events.register("before-sign.bedrock-runtime", redirect)
