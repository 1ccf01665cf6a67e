"""Limits that are known in advance, checked before megabytes travel.

In come the finished turns; out come the same turns, or an error that names the message. Nothing is resized or left out.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from ..errors import InvalidRequestError

if TYPE_CHECKING:
    from .context import Block, Context, Turn

_MEDIA = frozenset({"image", "document", "toolResult"})


def check_limits(turns: list[Turn], context: Context) -> list[Turn]:
    """Sizes and numbers of images and documents, as the service's documentation bounds them."""
    if context.kinds.isdisjoint(("image", "document")):
        return turns
    for turn in turns:
        if turn.role == "user":
            _check_turn(turn, context)
    return turns


def _check_turn(turn: Turn, context: Context) -> None:
    counts: Counter[tuple[str, int | None]] = Counter()
    profile = context.profile
    bounds = {"image": profile.max_images, "document": profile.max_documents}
    sizes = {"image": profile.max_image_bytes, "document": profile.max_document_bytes}
    for block, origin in zip(turn.blocks, turn.origins, strict=True):
        for kind, body in _media_of(block):
            counts[kind, origin] += 1
            if counts[kind, origin] > bounds[kind]:
                raise _refused(f"more than {bounds[kind]} {kind}s in one message", origin)
            data = body["source"].get("bytes", b"")
            bound = sizes[kind]
            if bound is not None and len(data) > bound:
                raise _refused(f"an {kind} of {len(data)} bytes; the service takes {bound}", origin)


def _media_of(block: Block) -> list[tuple[str, Block]]:
    if _MEDIA.isdisjoint(block):
        return []
    if "toolResult" in block:
        return [found for part in block["toolResult"]["content"] for found in _media_of(part)]
    kind = next(iter(block))
    return [(kind, block[kind])]


def _refused(reason: str, origin: int | None) -> InvalidRequestError:
    return InvalidRequestError(reason, message_index=origin, field="content")
