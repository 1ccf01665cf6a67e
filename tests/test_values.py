"""Classes of values: what a dataclass would do, they do."""

from __future__ import annotations

import copy
import dataclasses
import pickle
import subprocess
import sys
import threading
from typing import Any

import pytest

from agent.bedrock.values import changed, field, frozen, mutable, names_of


@frozen
class Point:
    """A point with all that a field can say."""

    x: int
    y: int = 0
    tags: list[str] = field(default_factory=list)
    secret: str = field(default="", repr=False)
    seen: int = field(default=0, compare=False, hash=False)

    @property
    def sum(self) -> int:
        return self.x + self.y


@dataclasses.dataclass(frozen=True, slots=True)
class PointOfDataclasses:
    """The same, as the standard library makes it."""

    x: int
    y: int = 0
    tags: list[str] = dataclasses.field(default_factory=list)
    secret: str = dataclasses.field(default="", repr=False)
    seen: int = dataclasses.field(default=0, compare=False, hash=False)


@mutable
class Counter:
    """A value that counts."""

    name: str
    count: int = 0


@frozen(eq=False, repr=False)
class Plain:
    """Compared by identity, shown without its fields."""

    text: str


@frozen
class Checked:
    """A value that refuses what it cannot be."""

    size: int

    def __post_init__(self) -> None:
        if self.size < 0:
            raise ValueError("size")
        object.__setattr__(self, "size", min(self.size, 10))

    def __repr__(self) -> str:
        return "<checked>"


@pytest.mark.parametrize("arguments", [((1,), {}), ((1, 2, ["a"], "s", 3), {}), ((), {"y": 2, "x": 1, "secret": "s"})])
def test_it_is_made_and_shown_as_a_dataclass_is(arguments: tuple[Any, Any]) -> None:
    positional, named = arguments
    ours, theirs = Point(*positional, **named), PointOfDataclasses(*positional, **named)
    assert dataclasses.asdict(ours) == dataclasses.asdict(theirs)
    assert repr(theirs) == f"PointOfDataclasses{repr(ours).removeprefix('Point')}"
    assert [said.name for said in dataclasses.fields(ours)] == [said.name for said in dataclasses.fields(theirs)]
    assert Point.__match_args__ == PointOfDataclasses.__match_args__ == names_of(Point)


@pytest.mark.parametrize("arguments", [((), {}), ((1, 2, [], "", 0, 6), {}), ((1,), {"x": 2}), ((1,), {"z": 2})])
def test_wrong_arguments_are_refused(arguments: tuple[Any, Any]) -> None:
    positional, named = arguments
    with pytest.raises(TypeError):
        Point(*positional, **named)


def test_a_field_without_a_default_cannot_follow_one_that_has_one() -> None:
    class Twisted:
        """In the wrong order."""

        x: int = 0
        y: int

    with pytest.raises(TypeError, match="y has no default"):
        frozen(Twisted)(1, 2)


def test_equality_leaves_out_what_is_not_compared_and_knows_the_class() -> None:
    assert Point(1, seen=1) == Point(1, seen=2) != Point(2)
    assert Point(1) != PointOfDataclasses(1)
    assert len({Checked(1), Checked(1), Checked(2)}) == 2
    assert Plain("a") != Plain("a")
    assert len({Plain("a"), Plain("a")}) == 2
    assert Counter("a") == Counter("a") != Counter("a", 1)


def test_each_value_has_a_list_of_its_own() -> None:
    first, second = Point(1), Point(1)
    first.tags.append("a")
    assert second.tags == []


def test_a_frozen_value_cannot_be_changed_and_has_no_room_for_more() -> None:
    point = Point(1)
    with pytest.raises(dataclasses.FrozenInstanceError, match="cannot assign to field 'x'"):
        point.x = 2  # type: ignore[misc]
    with pytest.raises(dataclasses.FrozenInstanceError, match="cannot delete field 'x'"):
        del point.x
    assert point.x == 1
    assert not hasattr(point, "__dict__")


def test_a_mutable_value_can_be_changed_within_its_fields_and_has_no_hash() -> None:
    counter = Counter("a")
    counter.count += 1
    assert counter == Counter("a", 1)
    with pytest.raises(AttributeError):
        counter.total = 1  # type: ignore[attr-defined]
    with pytest.raises(TypeError, match="unhashable"):
        hash(counter)


def test_what_the_class_defines_stays() -> None:
    assert Point(1, 2).sum == 3
    assert repr(Checked(50)) == "<checked>"
    assert Checked(50).size == 10
    with pytest.raises(ValueError, match="size"):
        Checked(-1)
    assert Point.__doc__ == "A point with all that a field can say."


def test_an_init_of_its_own_stays_too() -> None:
    @frozen
    class Doubled:
        size: int

        def __init__(self, half: int) -> None:
            object.__setattr__(self, "size", 2 * half)

    assert [Doubled(2).size, Doubled(3).size] == [4, 6]


def test_a_changed_value_is_another_one() -> None:
    point = Point(1, 2, ["a"], seen=4)
    assert changed(point, y=5) == dataclasses.replace(point, y=5) == Point(1, 5, ["a"])
    assert changed(point, y=5).seen == 4
    assert point.y == 2
    with pytest.raises(TypeError):
        changed(point, z=1)
    with pytest.raises(ValueError, match="size"):
        changed(Checked(1), size=-1)


@pytest.mark.parametrize("value", [Point(1, 2, ["a"], "s", 3), Counter("a", 2), Checked(3)], ids=type)
def test_it_survives_pickle_and_copy(value: Any) -> None:
    for twin in (pickle.loads(pickle.dumps(value)), copy.copy(value), copy.deepcopy(value)):
        assert twin == value
        assert twin is not value


def test_it_can_be_matched_by_position() -> None:
    match Point(1, 2):
        case Point(x, y):
            assert (x, y) == (1, 2)


def test_threads_that_make_the_first_values_at_once_all_get_theirs() -> None:
    @frozen
    class Fresh:
        """Never made before."""

        number: int

    made: list[Fresh] = []
    gate = threading.Barrier(8)

    def make(number: int) -> None:
        gate.wait()
        made.append(Fresh(number))

    threads = [threading.Thread(target=make, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(fresh.number for fresh in made) == list(range(8))


def test_nothing_is_generated_while_a_module_is_imported() -> None:
    code = """
import sys, agent.bedrock.values
generated = []
sys.addaudithook(lambda event, found: event == "exec" and found[0].co_filename == "<string>" and generated.append(1))
from agent.bedrock.response.events import TextDelta
print(len(generated), end=" ")
TextDelta(0, "a"), TextDelta(0, "b")
print(len(generated))
"""
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert shown.stdout.split() == ["0", "1"]
