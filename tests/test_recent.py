"""What is kept of late work: found again by equal keys, within a bound, by any thread."""

from __future__ import annotations

import threading
from sys import getsizeof

from hypothesis import given
from hypothesis import strategies as st

from agent.bedrock.recent import Recent


def size(recent: Recent[bytes]) -> int:
    entries = {**recent._old, **recent._young}
    return sum(getsizeof(key) + getsizeof(value) for key, value in entries.items())


def test_an_equal_key_finds_it_again() -> None:
    recent: Recent[bytes] = Recent(10_000)
    recent.put("a" * 100, b"x")
    assert recent.get("".join(["a"] * 100)) == b"x"
    assert recent.get("a" * 99) is None
    assert recent.get(b"a" * 100) is None


def test_what_was_asked_for_lately_stays_and_the_rest_goes() -> None:
    recent: Recent[bytes] = Recent(20_000)
    recent.put("kept", b"x" * 100)
    for index in range(100):
        recent.put(f"{index}", b"y" * 400)
        assert recent.get("kept") == b"x" * 100
    assert recent.get("0") is None
    assert recent.get("99") is not None


def test_what_is_larger_than_a_generation_is_not_kept() -> None:
    recent: Recent[bytes] = Recent(1000)
    recent.put("small", b"x")
    recent.put("large", b"x" * 600)
    assert recent.get("large") is None
    assert recent.get("small") == b"x"


def test_clearing_drops_everything() -> None:
    recent: Recent[bytes] = Recent(10_000)
    recent.put("a", b"x")
    recent.clear()
    assert recent.get("a") is None
    assert size(recent) == 0


@given(st.lists(st.tuples(st.integers(0, 20), st.integers(0, 300))))
def test_the_bound_holds_and_no_answer_is_wrong(asked: list[tuple[int, int]]) -> None:
    recent: Recent[bytes] = Recent(4000)
    for key, length in asked:
        found = recent.get(f"{key}/{length}")
        assert found is None or found == bytes(length)
        recent.put(f"{key}/{length}", bytes(length))
        assert size(recent) <= 4000


def test_threads_keep_to_the_bound_too() -> None:
    recent: Recent[bytes] = Recent(50_000)

    def work(number: int) -> None:
        for index in range(500):
            recent.put(f"{number}/{index}", bytes(200))
            recent.get(f"{(number + 1) % 4}/{index}")

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert 0 < size(recent) <= 50_000
