"""What the service refuses in images, documents and videos. Their bytes are not looked into, only counted."""

from __future__ import annotations

import re

from .case import Case, inside
from .words import from_model, malformed, no_such_block, no_such_field

DOCUMENT_NAME = re.compile(r"[a-zA-Z0-9_\-()\[\]]+( [a-zA-Z0-9_\-()\[\]]+)* ?| ")
"""ASCII letters, digits, single spaces, `-()[]`; the underscore is undocumented and accepted (vercel/ai#20366)."""

IMAGE_LIMIT = 5 * 1024 * 1024
"""Bytes of base64 in one image for Claude (idp#778): 3,932,160 bytes of picture."""

PDF_LIKE = frozenset({"pdf", "docx"})
"""Formats that Nova does not take inside tool results (pdf recorded 2025, docx from pydantic-ai)."""


def video(case: Case) -> str | None:
    """Recorded 2025 for Claude, inside tool results too; for other families checked by pydantic-ai."""
    if not case.family.video and any(kind == "video" for _, kind, _ in case.media()):
        return no_such_block("video")
    return None


def image(case: Case) -> str | None:
    """Models without eyes, in the words of the video."""
    if not case.family.images and any(kind == "image" for _, kind, _ in case.media()):
        return no_such_block("image")
    return None


def document(case: Case) -> str | None:
    """Models without documents, in the words of the video."""
    if not case.family.documents and any(kind == "document" for _, kind, _ in case.media()):
        return no_such_block("document")
    return None


def s3_image(case: Case) -> str | None:
    """Recorded 2025, inside tool results and beside them; harness-sdk#3610: only Nova reads from S3."""
    if case.family.s3:
        return None
    for _, kind, value in case.media():
        if "s3Location" in value["source"] and not (kind == "document" and case.family.is_claude):
            return no_such_field("s3Uri")
    return None


def s3_document_for_claude(case: Case) -> str | None:
    """Recorded 2025; harness-sdk#3610."""
    for block in case.of("document"):
        if case.family.is_claude and not case.family.s3 and "s3Location" in block.value["source"]:
            return from_model(f"{block.at}.document.source.type: Field required")
    return None


def media_in_nova_results(case: Case) -> str | None:
    """Recorded 2025: a pdf or a video makes Nova disown the tool result."""
    for block in case.of("toolResult"):
        for kind, value in inside(block):
            refused = kind == "video" or (kind == "document" and value.get("format") in PDF_LIKE)
            if refused and not case.family.pdf_inside:
                where = f"#/messages/{block.message}/content/{block.index}"
                return malformed(f"{where}: extraneous key [toolResult] is not permitted")
    return None


def media_in_results(case: Case) -> str | None:
    """pydantic-ai: images in Mistral's results, any media in Qwen's and Kimi's; the words are not recorded."""
    for block in case.of("toolResult"):
        for kind, _ in inside(block):
            if kind in case.family.inside:
                return no_such_field(f"toolResult.content.{kind}")
    return None


def media_from_assistant(case: Case) -> str | None:
    """Images and documents are the user's to send (service documentation; the words are not recorded)."""
    for block in case.of("image", "document", "video"):
        if block.role == "assistant":
            return f"The {block.kind} block at {block.at} is only allowed in a message with the role user."
    return None


def document_without_text(case: Case) -> str | None:
    """archestra#4220."""
    with_text = {block.message for block in case.of("text")}
    if any(block.message not in with_text for block in case.of("document")):
        return "A text block must be included when using documents."
    return None


def document_names(case: Case) -> str | None:
    """vercel/ai#20365, llm-bedrock#8, generative-ai-use-cases#1671."""
    for _, kind, value in case.media():
        if kind == "document" and not DOCUMENT_NAME.fullmatch(value["name"]):
            return (
                "The document file name can only contain alphanumeric characters, whitespace characters, hyphens, "
                "parentheses, and square brackets. The name can't contain more than one consecutive whitespace "
                "character. Check that the file name conforms to these restrictions and retry your request."
            )
    return None


def duplicate_document_names(case: Case) -> str | None:
    """agentcore-public-stack#400: over the whole request."""
    names = [value["name"] for _, kind, value in case.media() if kind == "document"]
    return "Messages can't contain duplicate document names." if len(names) != len(set(names)) else None


def image_size(case: Case) -> str | None:
    """idp#778: measured in base64."""
    if not case.family.is_claude:
        return None
    for block, kind, value in case.media():
        size = len(value["source"].get("bytes") or "")
        if kind == "image" and size > IMAGE_LIMIT:
            where = f"{block.at}.image.source.base64"
            return from_model(f"{where}: image exceeds 5 MB maximum: {size} bytes > {IMAGE_LIMIT} bytes")
    return None


def citations_with_structured_output(case: Case) -> str | None:
    """Anthropic's words (model-families 3a)."""
    cited = any(kind == "document" and (value.get("citations") or {}).get("enabled") for _, kind, value in case.media())
    if cited and (case.body.get("outputConfig") or {}).get("textFormat"):
        return from_model("Citations cannot be enabled when output format is set")
    return None


RULES = (
    media_from_assistant,
    document_without_text,
    document_names,
    duplicate_document_names,
    video,
    image,
    document,
    s3_image,
    s3_document_for_claude,
    media_in_nova_results,
    media_in_results,
    image_size,
    citations_with_structured_output,
)
