"""Images, documents, video and audio: from data URLs, base64 text, raw bytes, s3 and http URLs to Converse sources.

In comes where the bytes are and what they are said to be; out goes `(format, source)`. boto3 wants raw bytes and encodes
them itself. An http URL is fetched only by the caller's own `fetch`; nothing here opens a connection or a file.
"""

from __future__ import annotations

import logging
import re
from base64 import b64decode, urlsafe_b64decode
from binascii import Error as Base64Error
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from ..blobs import forget_blobs, remember_base64
from ..errors import InvalidRequestError
from ..patterns import pattern
from ..recent import Recent
from ..values import frozen

if TYPE_CHECKING:
    from .context import Context

logger = logging.getLogger(__name__)

IMAGE_FORMATS = {
    "png": "png", "x-png": "png", "apng": "png", "jpeg": "jpeg", "jpg": "jpeg", "pjpeg": "jpeg", "jpe": "jpeg",
    "jfif": "jpeg", "gif": "gif", "webp": "webp",
}  # fmt: skip
DOCUMENT_FORMATS = {
    "pdf": "pdf", "csv": "csv", "doc": "doc", "msword": "doc", "docx": "docx", "xls": "xls", "xlsx": "xlsx",
    "html": "html", "htm": "html", "xhtml+xml": "html", "txt": "txt", "plain": "txt", "text": "txt", "md": "md",
    "markdown": "md", "x-markdown": "md", "vnd.ms-excel": "xls",
    "vnd.openxmlformats-officedocument.wordprocessingml.document": "docx",
    "vnd.openxmlformats-officedocument.spreadsheetml.sheet": "xlsx",
}  # fmt: skip
VIDEO_FORMATS = {
    "mkv": "mkv", "x-matroska": "mkv", "mov": "mov", "quicktime": "mov", "mp4": "mp4", "webm": "webm", "flv": "flv",
    "x-flv": "flv", "mpeg": "mpeg", "mpg": "mpg", "wmv": "wmv", "x-ms-wmv": "wmv", "three_gp": "three_gp",
    "3gp": "three_gp", "3gpp": "three_gp",
}  # fmt: skip
AUDIO_FORMATS = {
    "mp3": "mp3", "opus": "opus", "wav": "wav", "wave": "wav", "x-wav": "wav", "vnd.wave": "wav", "aac": "aac",
    "flac": "flac", "x-flac": "flac", "mp4": "mp4", "ogg": "ogg", "mkv": "mkv", "mka": "mka", "x-matroska": "mka",
    "x-aac": "x-aac", "m4a": "m4a", "x-m4a": "m4a", "mpeg": "mp3", "mpga": "mpga", "pcm": "pcm", "pcm16": "pcm",
    "webm": "webm",
}  # fmt: skip
FORMATS: dict[str, dict[str, str]] = {
    "image": IMAGE_FORMATS,
    "document": DOCUMENT_FORMATS,
    "video": VIDEO_FORMATS,
    "audio": AUDIO_FORMATS,
}

_MAGIC = (
    (b"\x89PNG\r\n\x1a\n", "png"),
    (b"\xff\xd8\xff", "jpeg"),
    (b"GIF87a", "gif"),
    (b"GIF89a", "gif"),
)
_DATA_URL = pattern(r"data:(?P<type>[^;,]*)(?P<parameters>(?:;[^;,]*)*),", re.IGNORECASE)
_WHITE_SPACE = pattern(r"\s+")


@frozen
class Place:
    """Where in the caller's messages something stands, for errors and repairs."""

    context: Context
    message: int
    field: str = "content"

    def refuse(self, reason: str) -> InvalidRequestError:
        """The error that names this place."""
        return InvalidRequestError(reason, message_index=self.message, field=self.field)

    def repair(self, step: str, detail: str) -> None:
        """Record a repair at this place."""
        self.context.repair(step, self.message, detail)


@frozen
class Media:
    """What was found: the media type as said (maybe empty), a file name (maybe empty), and a Converse source."""

    media_type: str
    name: str
    source: dict[str, Any]


def media_from_url(url: str, place: Place, name: str = "") -> Media:
    """The media behind a data, s3, http or https URL."""
    start = url[:8].lower()
    if start.startswith("data:"):
        return _from_data_url(url, place, name)
    if start.startswith("s3://"):
        return _from_s3(url, place, name)
    if start.startswith(("http://", "https://")):
        return _fetched(url, place, name)
    raise place.refuse("neither a data URL nor an s3 or http URL")


def media_from_bytes(data: Any, media_type: str, name: str, place: Place) -> Media:
    """The media in raw bytes, or in base64 text."""
    if isinstance(data, str):
        return Media(media_type, name, {"bytes": _not_empty(decode_base64(data, place), place)})
    if not isinstance(data, (bytes, bytearray, memoryview)):
        raise place.refuse(f"the data is a {type(data).__name__}, neither bytes nor base64 text")
    return Media(media_type, name, {"bytes": _not_empty(bytes(data), place)})


def format_of(kind: str, media: Media) -> str | None:
    """The Converse format of `media` as `kind` ("image", "document", ...); None where it has none.

    What the bytes of an image say counts more than what they are said to be: the service compares the two.
    """
    if kind == "image":
        seen = _sniffed_image(media.source.get("bytes"))
        if seen:
            return seen
    table = FORMATS[kind]
    declared = media.media_type.lower().partition(";")[0].rpartition("/")[2].strip()
    return table.get(declared) or table.get(media.name.lower().rpartition(".")[2])


def kind_of(media: Media) -> str | None:
    """image, document, video or audio, by the media type first and the file name second; None where neither says it."""
    main, _, sub = media.media_type.lower().partition(";")[0].partition("/")
    if main in ("image", "video", "audio"):
        return main
    if sub in DOCUMENT_FORMATS or main == "text":
        return "document"
    ending = media.name.lower().rpartition(".")[2]
    return next((kind for kind, table in FORMATS.items() if ending in table), None)


def decode_base64(text: str, place: Place) -> bytes:
    """The bytes behind base64 text; every decoding goes through here."""
    known = None if text[:5].lower() == "data:" else _decode_strictly(text)
    return _decode_loosely(text, place) if known is None else known


_KEPT_BYTES = 64 * 1024 * 1024
_KEPT_FROM = 1024

_decoded: Recent[bytes] = Recent(_KEPT_BYTES)
"""Base64 text, or the data URL around it -> its bytes: a history brings the same image with every turn."""


def forget_media() -> None:
    """Keep no media that this process has read or sent lately; what still comes by is worked out once more."""
    _decoded.clear()
    forget_blobs()


def _decode_strictly(text: str, start: int = 0) -> bytes | None:
    """The bytes behind base64 text that begins at `start`; None where it is not plain base64."""
    known = _decoded.get(text)
    if known is not None:
        return known
    data = text[start:]
    try:
        known = b64decode(data, validate=True)
    except (Base64Error, ValueError):
        return None
    if len(known) >= _KEPT_FROM:
        _decoded.put(text, known)
        remember_base64(known, data)
    return known


def _decode_loosely(text: str, place: Place) -> bytes:
    """Accept line breaks, missing padding and the URL alphabet; refuse everything else."""
    compact = _WHITE_SPACE.sub("", text).rstrip("=")
    padded = compact + "=" * (-len(compact) % 4)
    try:
        if "-" in padded or "_" in padded:
            return urlsafe_b64decode(padded.encode("ascii"))
        return b64decode(padded, validate=True)
    except (Base64Error, ValueError):
        if not place.context.options.lenient_images:
            raise place.refuse("the data is not valid base64") from None
    logger.warning("model=%s message=%s | image data is not base64, sent as it is", place.context.model, place.message)
    return text.encode("utf-8", "replace")


def _from_data_url(url: str, place: Place, name: str) -> Media:
    head = _DATA_URL.match(url)
    if head is None:
        raise place.refuse("a data URL without a comma")
    if ";base64" in head["parameters"].lower():
        known = _decode_strictly(url, head.end())
        raw = _decode_loosely(url[head.end() :], place) if known is None else known
    else:
        from urllib.parse import unquote_to_bytes  # not worth its import time for the rare URL in plain text

        raw = unquote_to_bytes(url[head.end() :])
    return Media(head["type"], name, {"bytes": _not_empty(raw, place)})


def _from_s3(url: str, place: Place, name: str) -> Media:
    location = {"uri": url}
    owner = place.context.options.bucket_owner
    if owner:
        location["bucketOwner"] = owner
    return Media("", name or url.rpartition("/")[2], {"s3Location": location})


def fetch_s3(location: Mapping[str, Any], place: Place, name: str) -> Media | None:
    """The bytes behind an s3 location, for models that take no locations; None without a `fetch`."""
    return _fetched(str(location["uri"]), place, name) if place.context.options.fetch else None


def _fetched(url: str, place: Place, name: str) -> Media:
    fetch = place.context.options.fetch
    if fetch is None:
        raise place.refuse(
            "Bedrock does not fetch http URLs: give a data URL, or a `fetch` function that gets the bytes"
        )
    data, media_type = fetch(url)
    path = url.partition("?")[0].partition("#")[0]
    return Media(media_type or "", name or path.rpartition("/")[2], {"bytes": _not_empty(bytes(data), place)})


def _not_empty(raw: bytes, place: Place) -> bytes:
    if not raw:
        raise place.refuse("the data is empty")
    return raw


def _sniffed_image(data: Any) -> str | None:
    if not isinstance(data, (bytes, bytearray)):
        return None
    head = bytes(data[:12])
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return "webp"
    return next((image_format for magic, image_format in _MAGIC if head.startswith(magic)), None)
