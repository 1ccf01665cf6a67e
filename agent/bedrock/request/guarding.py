"""Guard content on the newest turn only, so that a guardrail does not judge the whole history again and again.

In come finished turns; out come the same turns with the newest words of the user marked. With any guard content in a
request the guardrail looks at that and nothing else.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .context import Block, Context, Turn

_GUARDED_IMAGES = frozenset({"png", "jpeg"})


def guard_last_turn(turns: list[Turn], context: Context) -> list[Turn]:
    """Mark the newest user turn that says something of its own.

    A turn of tool results alone has nothing to mark, and without any mark the whole history would be judged (thread
    langchain-aws 954).
    """
    if not context.options.guard_last_turn or "guardContent" in context.kinds:
        return turns
    for turn in reversed(turns):
        if turn.role == "user" and any(_can_guard(block, turn, i) for i, block in enumerate(turn.blocks)):
            turn.blocks = [
                _guarded(block) if _can_guard(block, turn, i) else block for i, block in enumerate(turn.blocks)
            ]
            return turns
    return turns


def _can_guard(block: Block, turn: Turn, position: int) -> bool:
    if turn.origins[position] is None:
        return False
    if "text" in block:
        return True
    image = block.get("image")
    return image is not None and image["format"] in _GUARDED_IMAGES and "bytes" in image["source"]


def _guarded(block: Block) -> Block:
    if "text" in block:
        return {"guardContent": {"text": {"text": block["text"]}}}
    image = block["image"]
    return {"guardContent": {"image": {"format": image["format"], "source": {"bytes": image["source"]["bytes"]}}}}
