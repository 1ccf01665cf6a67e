"""Documents: names that the service accepts, each once in a request, and the text that it wants beside them.

In come turns; out come the same turns with legal document names. Content is never touched.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..patterns import pattern

if TYPE_CHECKING:
    from .context import Block, Context, Turn

_NAME_LIMIT = 200
_UNNAMED = "document"
# Tabs, full-width spaces, dots and double spaces are refused (thread generative-ai-use-cases 1671); "_" works (opencode 48756).
_ILLEGAL = pattern(r"[^A-Za-z0-9 \-()\[\]_]+")
_SPACES = pattern(r" {2,}")
BESIDE_TEXT = "See the attached document."


def name_documents(turns: list[Turn], context: Context) -> list[Turn]:
    """Every document gets a legal name that no other one has: "Messages can't contain duplicate document names."."""
    if "document" not in context.kinds:
        return turns
    taken: dict[str, int] = {}
    for turn in turns:
        for position, block in enumerate(turn.blocks):
            turn.blocks[position] = _renamed(block, taken, turn.origins[position], context)
    return turns


def _renamed(block: Block, taken: dict[str, int], origin: int | None, context: Context) -> Block:
    if "document" in block:
        body = block["document"]
        given = str(body.get("name") or "")
        name = _unused(clean_document_name(given), taken)
        taken.setdefault(name, 1)
        if name == given:
            return block
        if given:
            context.repair("rename_document", origin, "a document got a name that the service accepts")
        return {"document": {**body, "name": name}}
    result = block.get("toolResult")
    if result is None or not any("document" in part for part in result["content"]):
        return block
    content: list[Any] = [_renamed(part, taken, origin, context) for part in result["content"]]
    return {"toolResult": {**result, "content": content}}


def clean_document_name(name: str) -> str:
    """`name` in the service's alphabet: letters, digits, single spaces, hyphens, parentheses, brackets, underscores."""
    cleaned = _SPACES.sub(" ", _ILLEGAL.sub(" ", name)).strip()[:_NAME_LIMIT].strip()
    return cleaned or _UNNAMED


def _unused(name: str, taken: dict[str, int]) -> str:
    """`name`, or with a number where it is taken; `taken` knows the last number that each name was given."""
    if name not in taken:
        return name
    number = taken[name] + 1
    while (candidate := f"{name[: _NAME_LIMIT - 8]} ({number})") in taken:
        number += 1
    taken[name] = number
    return candidate


def text_beside_documents(turns: list[Turn], context: Context) -> list[Turn]:
    """A document needs a text block in the same message, says the service's documentation."""
    if "document" not in context.kinds:
        return turns
    for turn in turns:
        has_document = any("document" in block for block in turn.blocks)
        if has_document and not any("text" in block for block in turn.blocks):
            turn.blocks.append({"text": BESIDE_TEXT})
            turn.origins.append(None)
            context.repair("add_text_to_document", turn.message, "a document without text got some beside it")
    return turns
