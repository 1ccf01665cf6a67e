"""Values: classes of named fields, as `@dataclass(frozen=True, slots=True)` makes them, at a tenth of the price.

In goes a class with annotated fields, out comes one with slots, `==`, hash, repr, and an `__init__` that is compiled when
the first instance is made. `dataclasses` generates and compiles six functions per class while the module is imported:
0.4 ms each, 20 ms for the fifty classes on the road to a first token (measured 2026-11-20 with Python 3.11). To `match`,
pickle, type checkers and `dataclasses.replace`, `fields` and `asdict` these are dataclasses. Fields are not inherited.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import MISSING, Field, FrozenInstanceError, field, make_dataclass
from functools import cache, partial
from operator import attrgetter
from typing import Any, TypeVar, dataclass_transform, overload

__all__ = ["changed", "field", "frozen", "mutable", "names_of"]

T = TypeVar("T")

Fields = Mapping[str, Any]
"""Name -> default, MISSING, or what `field()` says of it."""


@overload
def frozen(cls: type[T], /) -> type[T]: ...
@overload
def frozen(*, eq: bool = True, repr: bool = True) -> Callable[[type[T]], type[T]]: ...
@dataclass_transform(frozen_default=True, field_specifiers=(field,))
def frozen(cls: type[T] | None = None, /, *, eq: bool = True, repr: bool = True) -> Any:  # noqa: A002
    """A class of values that never change; the options are those of `dataclass`. What it defines itself stays."""
    return partial(_remade, eq=eq, shown=repr) if cls is None else _remade(cls)


@overload
def mutable(cls: type[T], /) -> type[T]: ...
@overload
def mutable(*, eq: bool = True, repr: bool = True) -> Callable[[type[T]], type[T]]: ...
@dataclass_transform(field_specifiers=(field,))
def mutable(cls: type[T] | None = None, /, *, eq: bool = True, repr: bool = True) -> Any:  # noqa: A002
    """A class of values whose fields may be set."""
    return partial(_remade, fixed=False, eq=eq, shown=repr) if cls is None else _remade(cls, fixed=False)


def names_of(cls: type[Any]) -> tuple[str, ...]:
    """The names of a value's fields, in order."""
    names: tuple[str, ...] = cls.__match_args__
    return names


def changed(given: T, /, **changes: Any) -> T:
    """A value like this one but for the fields named: `dataclasses.replace`, quicker."""
    cls = type(given)
    for name in names_of(cls):
        if name not in changes:
            changes[name] = getattr(given, name)
    return cls(**changes)


def _remade(cls: type[T], *, fixed: bool = True, eq: bool = True, shown: bool = True) -> type[T]:
    """The class again: slots have to be there when a class is made."""
    own = vars(cls)
    fields = {name: own.get(name, MISSING) for name in cls.__annotations__}
    members = _as_dataclass(cls.__name__, fields)
    if shown:
        members["__repr__"] = _repr(fields)
    if eq:
        members["__eq__"], members["__hash__"] = _comparison(fields, hashable=fixed)
    if fixed:
        members["__setattr__"], members["__delattr__"] = _refuse_to_set, _refuse_to_delete
    members |= {name: member for name, member in own.items() if name not in fields and name not in _OF_INSTANCES}
    members["__slots__"] = members["__match_args__"] = tuple(fields)
    remake: Any = type(cls)
    made: Any = remake(cls.__name__, cls.__bases__, members)

    def compile_and_init(self: Any, *args: Any, **kwargs: Any) -> None:
        made.__init__ = _init(made, fields, fixed=fixed)
        made.__init__(self, *args, **kwargs)

    if "__init__" not in own:
        made.__init__ = compile_and_init
    return made  # type: ignore[no-any-return]


_OF_INSTANCES = frozenset({"__dict__", "__weakref__"})
"""What a class without slots has for its instances."""


# --- what instances do ------------------------------------------------------------------------------------------------


def _init(cls: type[Any], fields: Fields, *, fixed: bool) -> Any:
    """The function that `dataclass` would have generated; a fixed value is set through its slots, past the guard."""
    scope: dict[str, Any] = {"not_given": _NOT_GIVEN}
    defaults, body = [], []
    for name, said in fields.items():
        default, factory = (said.default, said.default_factory) if isinstance(said, Field) else (said, MISSING)
        meant = name
        if factory is not MISSING:
            default, scope[f"make_{name}"] = _NOT_GIVEN, factory
            meant = f"make_{name}() if {name} is not_given else {name}"
        if default is not MISSING:
            defaults.append(default)
        elif defaults:
            raise TypeError(f"{cls.__qualname__}: {name} has no default and follows one that has")
        if fixed:
            scope[f"set_{name}"] = getattr(cls, name).__set__
        body.append(f"set_{name}(self, {meant})" if fixed else f"self.{name} = {meant}")
    if hasattr(cls, "__post_init__"):
        body.append("self.__post_init__()")
    exec(f"def __init__(self, {', '.join(fields)}):\n " + "\n ".join(body), scope)  # noqa: S102 - our own fields' names
    init = scope["__init__"]
    init.__defaults__ = tuple(defaults)  # not in the text: every name in it has to be compiled
    return init


_NOT_GIVEN: Any = object()
"""Stands for the argument of a field whose value is made anew for each instance."""


def _comparison(fields: Fields, *, hashable: bool) -> tuple[Any, Any]:
    """`__eq__` and `__hash__`."""
    key = attrgetter(*(name for name, said in fields.items() if not isinstance(said, Field) or said.compare))

    def equals(self: Any, other: object) -> Any:
        return key(self) == key(other) if type(self) is type(other) else NotImplemented

    def digest(self: Any) -> int:
        return hash(key(self))

    return equals, digest if hashable else None


def _repr(fields: Fields) -> Callable[[Any], str]:
    shown = [name for name, said in fields.items() if not isinstance(said, Field) or said.repr]

    def show(self: Any) -> str:
        return f"{type(self).__qualname__}({', '.join(f'{name}={getattr(self, name)!r}' for name in shown)})"

    return show


def _refuse_to_set(_self: Any, name: str, _value: Any) -> None:
    raise FrozenInstanceError(f"cannot assign to field {name!r}")


def _refuse_to_delete(_self: Any, name: str) -> None:
    raise FrozenInstanceError(f"cannot delete field {name!r}")


# --- for others -------------------------------------------------------------------------------------------------------


def _reduce(self: Any) -> Any:
    """For pickle and copy."""
    return type(self), tuple(getattr(self, name) for name in names_of(type(self)))


def _as_dataclass(name: str, fields: Fields) -> dict[str, Any]:
    """Members that the standard library looks for."""

    @cache
    def twin() -> Any:
        specified = [(field_name, Any, field() if said is MISSING else said) for field_name, said in fields.items()]
        return make_dataclass(name, specified, namespace={"__doc__": name}, init=False, repr=False, eq=False)

    members = ("__dataclass_fields__", "__dataclass_params__")
    return {"__reduce__": _reduce, **{member: _OfDataclass(twin) for member in members}}


class _OfDataclass:
    """A member of the dataclass that the value could have been, which is made when somebody asks."""

    def __init__(self, twin: Callable[[], Any]) -> None:
        self._twin = twin

    def __set_name__(self, _owner: type[Any], name: str) -> None:
        self._name = name

    def __get__(self, _instance: object, _owner: type[Any]) -> Any:
        return getattr(self._twin(), self._name)
