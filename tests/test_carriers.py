from __future__ import annotations

import threading
import zlib
from base64 import urlsafe_b64encode
from collections import deque
from typing import Any

import pytest

from agent.bedrock.carriers import (
    ReasoningStore,
    fill_outline,
    outline_of,
    pack_call_id,
    readable_outline,
    unpack_call_id,
)

SIGNED: dict[str, Any] = {"reasoningContent": {"reasoningText": {"text": "why", "signature": "sig"}}}
REDACTED: dict[str, Any] = {"reasoningContent": {"redactedContent": "AAEC"}}
CALL: dict[str, Any] = {"toolUse": {"toolUseId": "tooluse_1", "name": "f", "input": {"x": 1}}}
SIDECAR: list[dict[str, Any]] = [SIGNED, {"text": "so"}, REDACTED, {"text": "then"}, CALL]


def message(number: int, size: int = 100) -> dict[str, Any]:
    reasoning = {"reasoningContent": {"reasoningText": {"text": f"{number}" * size, "signature": "s"}}}
    call = {"toolUse": {"toolUseId": f"id{number}", "name": "f", "input": {}}}
    function = {"name": "f", "arguments": "{}"}
    return {
        "tool_calls": [{"id": f"id{number}", "type": "function", "function": function}],
        "bedrock_content_blocks": [reasoning, call],
    }


def test_an_outline_gives_the_blocks_back_in_order() -> None:
    assert fill_outline(outline_of(SIDECAR), "sothen", {"tooluse_1": deque([CALL])}) == SIDECAR


def test_text_that_was_edited_does_not_fit_the_outline() -> None:
    assert fill_outline(outline_of(SIDECAR), "so", {}) is None
    assert fill_outline(outline_of(SIDECAR), "so then and more", {}) is None


def test_the_only_text_keeps_its_place_however_it_was_edited() -> None:
    outline = outline_of([SIGNED, {"text": "  so "}, REDACTED])
    assert fill_outline(outline, "so", {}) == [SIGNED, {"text": "so"}, REDACTED]
    assert fill_outline(outline, "", {}) == [SIGNED, REDACTED]
    assert fill_outline(outline_of(SIDECAR), "", {}) == [SIGNED, REDACTED]


@pytest.mark.parametrize(
    "found",
    ["text", [5], [{}], [{"text": "3"}], [{"text": -1}], [{"text": True}], [{"call": ["a"]}], [{"block": "x"}]],
)
def test_what_is_no_outline_is_not_read_as_one(found: Any) -> None:
    assert readable_outline(found) is None


def test_a_packed_id_gives_id_and_outline_back() -> None:
    packed = pack_call_id("tooluse_1", SIDECAR)
    assert unpack_call_id(packed) == ("tooluse_1", outline_of(SIDECAR))
    assert "|" not in packed
    assert packed.isascii()


def test_an_id_without_reasoning_stays_as_it_is() -> None:
    assert pack_call_id("tooluse_1", [CALL]) == "tooluse_1"
    assert unpack_call_id("tooluse_1") == ("tooluse_1", None)


def test_a_packed_id_that_was_cut_still_gives_the_id() -> None:
    packed = pack_call_id("tooluse_1", SIDECAR)
    assert unpack_call_id(packed[:-7]) == ("tooluse_1", None)


def test_a_hostile_id_does_not_unpack_into_memory() -> None:
    bomb = zlib.compress(b"[" + b" " * 50_000_000 + b"]", 9)
    packed = "a.bedrock1." + urlsafe_b64encode(bomb).decode().rstrip("=")
    assert unpack_call_id(packed) == ("a", None)


def test_reasoning_of_odd_text_survives_packing() -> None:
    odd: list[dict[str, Any]] = [
        {"reasoningContent": {"reasoningText": {"text": "\ud83d 🎈 \0", "signature": "s"}}},
        CALL,
    ]
    assert unpack_call_id(pack_call_id("a", odd))[1] == outline_of(odd)


def test_the_store_gives_back_by_id_name_and_arguments() -> None:
    store = ReasoningStore()
    store.remember(message(1))
    assert store.look_up("id1", "f", "{}") == outline_of(message(1)["bedrock_content_blocks"])
    assert store.look_up("id1", "f", "{ }") is not None
    assert store.look_up("id1", "g", "{}") is None
    assert store.look_up("id1", "f", '{"x": 1}') is None


def test_the_store_stays_within_its_bytes_over_ten_thousand_turns() -> None:
    store = ReasoningStore(max_bytes=50_000)
    for number in range(10_000):
        store.remember(message(number))
        assert store.size <= 50_000
    assert store.look_up("id9999", "f", "{}") is not None
    assert store.look_up("id0", "f", "{}") is None


def test_what_is_used_stays_longest() -> None:
    store = ReasoningStore(max_bytes=1000)
    store.remember(message(0))
    for number in range(1, 200):
        store.remember(message(number))
        assert store.look_up("id0", "f", "{}") is not None


def test_one_answer_too_big_for_the_store_leaves_it_empty() -> None:
    store = ReasoningStore(max_bytes=50)
    store.remember(message(1))
    assert store.size == 0


def test_forgetting_empties_the_store() -> None:
    store = ReasoningStore()
    store.remember(message(1))
    store.clear()
    assert store.size == 0
    assert store.look_up("id1", "f", "{}") is None


def test_threads_share_a_store() -> None:
    store = ReasoningStore(max_bytes=20_000)

    def work(start: int) -> None:
        for number in range(start, start + 200):
            store.remember(message(number))
            store.look_up(f"id{number}", "f", "{}")

    threads = [threading.Thread(target=work, args=(start * 1000,)) for start in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert 0 < store.size <= 20_000
