"""Base64 of blobs: what stands on the wire is what encoding gives, whoever said it first; what is kept is bounded."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from agent.bedrock import blobs
from agent.bedrock.recent import Recent
from agent.bedrock.request.build import build_request


@pytest.fixture(autouse=True)
def kept(monkeypatch: pytest.MonkeyPatch) -> Recent[bytes]:
    recent: Recent[bytes] = Recent(100_000)
    monkeypatch.setattr(blobs, "_known", recent)
    return recent


@given(st.binary(max_size=3), st.integers(0, 600))
def test_a_blob_is_its_base64_in_quotation_marks(end: bytes, size: int) -> None:
    value = bytes(size) + end
    for _ in range(2):
        assert json.loads(blobs.json_of_blob(value)) == base64.b64encode(value).decode()


@given(st.binary(min_size=1, max_size=3))
@example(b"\x00")
def test_a_text_that_was_decoded_is_used_again_only_where_it_is_what_encoding_gives(end: bytes) -> None:
    value = b"x" * 600 + end
    text = base64.b64encode(value).decode()
    for said in (text, text + "=", text[:-1] + "\n", text.rstrip("="), text[:-4] + "!!!!", "\n" + text):
        blobs._known.clear()
        blobs.remember_base64(value, said)
        assert blobs.json_of_blob(value) == b'"%b"' % text.encode()


def test_text_with_loose_bits_at_its_end_is_not_used_again() -> None:
    value = b"x" * 601
    text = base64.b64encode(value).decode()
    loose = text[:-3] + chr(ord(text[-3]) + 1) + "=="
    assert base64.b64decode(loose, validate=True) == value
    blobs.remember_base64(value, loose)
    assert blobs.json_of_blob(value) == b'"%b"' % text.encode()


def test_an_image_that_came_as_base64_is_not_encoded_again(monkeypatch: pytest.MonkeyPatch) -> None:
    png = b"\x89PNG\r\n\x1a\n" + bytes(5000)
    text = base64.b64encode(png).decode()
    url = {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{text}"}}
    request = build_request("us.amazon.nova-pro-v1:0", [{"role": "user", "content": [url]}])
    encoded: list[int] = []

    def counting(data: Any) -> bytes:
        encoded.append(len(data))
        return base64.b64encode(data)

    monkeypatch.setattr(blobs, "b64encode", counting)
    sent = request.kwargs["messages"][0]["content"][0]["image"]["source"]["bytes"]
    assert json.loads(blobs.json_of_blob(sent)) == text
    assert encoded == []


def test_what_can_change_or_is_small_is_encoded_anew(kept: Recent[bytes]) -> None:
    data = bytearray(600)
    blobs.json_of_blob(data)
    data[0] = 1
    assert json.loads(blobs.json_of_blob(data)) == base64.b64encode(data).decode()
    blobs.json_of_blob(b"small")
    assert not kept._young


def test_what_is_kept_is_bounded(kept: Recent[bytes]) -> None:
    for number in range(100):
        blobs.json_of_blob(bytes([number]) * 5000)
    entries = {**kept._old, **kept._young}
    assert 0 < sum(len(key) + len(value) for key, value in entries.items()) <= 100_000


def test_what_is_forgotten_is_gone() -> None:
    blobs.json_of_blob(b"x" * 1000)
    blobs.forget_blobs()
    assert blobs._known.get(b"x" * 1000) is None
    assert blobs.json_of_blob(b"x" * 1000) == b'"%b"' % base64.b64encode(b"x" * 1000)
