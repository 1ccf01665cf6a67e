"""The beginnings of lists that grow: what is found again is never stale, what is kept is bounded."""

from __future__ import annotations

import copy
import threading
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.bedrock.prefixes import NotPlainError, Prefixes, are_as, snapshot

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text() | st.binary(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=8,
)


def conversation(length: int, name: str = "a") -> list[Any]:
    return [{"role": "user", "content": f"{name} {index}"} for index in range(length)]


def settled(kept: Prefixes[str], items: list[Any], basis: Any = None) -> Any:
    """What is known of a list that was seen once, kept, and asked for again."""
    kept.recall(items, basis)
    known = kept.recall(items, basis)
    kept.keep(items, known, f"{known.keep}", 1, basis)
    return kept.recall(items, basis)


def test_a_list_is_kept_from_the_second_time_on() -> None:
    kept: Prefixes[str] = Prefixes(100_000)
    items = conversation(20)
    first = kept.recall(items)
    assert (first.count, first.value, first.keep) == (0, None, 0)
    second = kept.recall(conversation(22))
    assert (second.count, second.value, second.keep) == (0, None, 18), "all but the newest four"
    kept.keep(conversation(22), second, "eighteen", 1)
    third = kept.recall(conversation(24))
    assert (third.count, third.value, third.keep) == (18, "eighteen", 20)


def test_what_grew_takes_the_place_of_what_it_grew_from() -> None:
    kept: Prefixes[str] = Prefixes(100_000)
    settled(kept, conversation(20))
    known = kept.recall(conversation(22))
    assert known.value == "16"
    kept.keep(conversation(22), known, "18", 1)
    assert kept.recall(conversation(22)).value == "18"
    assert len(kept._kept) == 1


def test_a_short_list_is_not_worth_it() -> None:
    kept: Prefixes[str] = Prefixes(100_000)
    assert [kept.recall(conversation(15)).keep for _ in range(3)] == [0, 0, 0]


def test_conversations_and_bases_are_told_apart() -> None:
    kept: Prefixes[str] = Prefixes(100_000)
    assert settled(kept, conversation(20), "a model").value == "16"
    assert kept.recall(conversation(20), "another model").value is None
    assert kept.recall(conversation(20, "b"), "a model").value is None
    changed = conversation(20)
    changed[0]["content"] = "something else"
    assert kept.recall(changed, "a model").value is None


def test_a_list_that_was_cut_back_is_not_taken_for_longer_than_it_is() -> None:
    kept: Prefixes[str] = Prefixes(100_000)
    settled(kept, conversation(30))
    assert kept.recall(conversation(25)).value is None


@pytest.mark.parametrize(
    ("then", "now"),
    [
        (1, True), (1, 1.0), (True, 1), (0, False), (0.0, -0.0), (1.0, 1), ("1", 1), (None, False), (None, ""),
        ([], {}), ("a", b"a"), ({"a": 1}, {"a": True}), ([[1]], [[1.0]]),
    ],
)  # fmt: skip
def test_what_python_takes_for_equal_is_told_apart(then: Any, now: Any) -> None:
    kept: Prefixes[str] = Prefixes(100_000)
    items = conversation(20)
    items[2]["more"] = then
    settled(kept, items)
    items[2]["more"] = now
    assert kept.recall(items).value is None


@given(JSON)
def test_a_copy_equals_what_it_was_taken_of_until_that_changes(value: Any) -> None:
    copied = snapshot(value)
    assert are_as(copied, value)
    assert are_as(copied, copy.deepcopy(value))
    assert not are_as(copied, [value])


@given(st.lists(JSON, min_size=1), st.data())
def test_a_change_in_place_is_seen(value: list[Any], data: Any) -> None:
    copied = snapshot(value)
    at = data.draw(st.integers(0, len(value) - 1))
    value[at] = [value[at]]
    assert not are_as(copied, value)


class Words(str):
    __slots__ = ()


@pytest.mark.parametrize("foreign", [Words("x"), bytearray(b"x"), (1,), {1}, object(), {1: "a key"}, {Words("k"): 1}])
def test_what_could_change_unseen_is_not_kept(foreign: Any) -> None:
    with pytest.raises(NotPlainError):
        snapshot([foreign])
    kept: Prefixes[str] = Prefixes(100_000)
    items = conversation(20)
    items[3]["more"] = foreign
    assert settled(kept, items).value is None


def deep(levels: int) -> list[Any]:
    nested: list[Any] = []
    for _ in range(levels):
        nested = [nested]
    return nested


@pytest.mark.parametrize("odd", [10**5000, deep(5000)], ids=["a long number", "deep"])
@pytest.mark.parametrize("at", [3, 15], ids=["somewhere", "where it is told from others"])
def test_what_cannot_be_read_to_its_end_does_no_harm(odd: Any, at: int) -> None:
    kept: Prefixes[str] = Prefixes(100_000)
    items = conversation(20)
    items[at]["more"] = odd
    for _ in range(3):
        assert settled(kept, items).value in (None, "16")
    assert settled(kept, conversation(20)).value == "16"
    items[at]["more"] = 10**5000 + 1
    assert kept.recall(items).value is None


def test_a_circle_is_not_kept() -> None:
    kept: Prefixes[str] = Prefixes(100_000)
    items = conversation(20)
    items[3]["more"] = items
    assert settled(kept, items).value is None


def test_what_is_kept_weighs_no_more_than_the_limit() -> None:
    kept: Prefixes[str] = Prefixes(20_000)
    for number in range(50):
        items = conversation(20, str(number))
        kept.recall(items)
        kept.keep(items, kept.recall(items), "value", 3)
        assert kept.recall(items).value == "value"
    assert sum(entry.weight for entry in kept._kept.values()) <= 20_000
    kept.keep(conversation(20), kept.recall(conversation(20)), "too heavy", 20_001)
    assert kept.recall(conversation(20)).value is None


def test_what_is_kept_weighs_what_its_items_hold() -> None:
    kept: Prefixes[str] = Prefixes(3_000_000)
    for number in range(8):
        items = conversation(20)
        items[3]["content"] = [{"type": "image_url", "image_url": {"url": f"{number}" * 1_000_000}}]
        settled(kept, items)
    assert 1 <= len(kept._kept) <= 2


def test_what_is_too_heavy_takes_nobodys_place() -> None:
    kept: Prefixes[str] = Prefixes(100_000)
    assert settled(kept, conversation(20)).value == "16"
    heavy = conversation(20, "b")
    heavy[3]["content"] = "b" * 200_000
    assert settled(kept, heavy).value is None
    assert kept.recall(conversation(20)).value == "16"


def test_of_what_was_only_seen_no_long_text_is_kept() -> None:
    kept: Prefixes[str] = Prefixes(20_000)
    kept.recall([{"role": "user", "content": f"{index}" + "x" * 1_000_000} for index in range(20)])
    assert len(repr(kept._seen)) < 1000


def test_names_in_another_order_are_other_names() -> None:
    kept: Prefixes[str] = Prefixes(10_000, least=1, apart=0, gained=1)
    asked: dict[str, Any] = {"reason": {"type": "string"}, "answer": {"type": "string"}, "more": True}
    assert settled(kept, [{"properties": asked}]).value == "1"
    assert kept.recall([copy.deepcopy({"properties": asked})]).value == "1"
    assert kept.recall([{"properties": dict(reversed(asked.items()))}]).value is None


def test_what_is_asked_for_stays() -> None:
    kept: Prefixes[str] = Prefixes(20_000)
    for number in range(20):
        settled(kept, conversation(20, str(number)))
        assert kept.recall(conversation(20, "0")).value == "16"


def test_what_was_seen_once_is_forgotten_in_time() -> None:
    kept: Prefixes[str] = Prefixes(10)
    for number in range(3000):
        kept.recall(conversation(16, str(number)))
    assert len(kept._seen) <= 1000


def test_threads_never_get_what_is_another_conversations() -> None:
    kept: Prefixes[str] = Prefixes(20)
    wrong: list[Any] = []

    def converse(name: str) -> None:
        items = conversation(16)
        items[0]["content"] = name  # all else is the same: each takes the place of the others
        for index in range(200):
            items.append({"role": "user", "content": f"a {index + 16}"})
            known = kept.recall(items)
            if known.value is not None and known.value != f"{name} {known.count}":
                wrong.append(known)
            if known.keep:
                kept.keep(items, known, f"{name} {known.keep}", 1)

    threads = [threading.Thread(target=converse, args=(name,)) for name in "abcdefgh"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong
