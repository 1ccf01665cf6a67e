"""The configuration file: named backends, models and the server's settings, shared by client, server and command line.

In comes a TOML file, out goes a frozen `Configuration`. Every key is known and every value has its type, or SettingsError
says where in the file it does not. Secrets never stand in the file: it names the environment variables that hold them,
and they are read when a backend is used. Nothing here builds a client.
"""

from __future__ import annotations

import os
import re
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import MISSING, dataclass, field, fields
from math import isfinite
from pathlib import Path
from typing import Any, NoReturn
from urllib.parse import urlsplit

from ..aws.settings import LONGEST, ClientSettings
from ..errors import InvalidRequestError, SettingsError
from ..request.build import build_request
from ..request.options import split_body
from .toml_lines import key_lines, line_of

Fallback = tuple[str | None, str | None]
"""Region and model that are asked in another's place; None means the call's own."""


# --- what the file says -----------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Backend:
    """An account, a region or a gateway; `model` is what is called where a call names none.

    The `*_env` name environment variables. Times are in seconds; what is None comes from the environment.
    """

    region: str | None = None
    profile: str | None = None
    access_key_id_env: str | None = None
    secret_access_key_env: str | None = None
    session_token_env: str | None = None
    bearer_token_env: str | None = None
    endpoint_url: str | None = None
    model: str | None = None
    connect_timeout: float | None = None
    read_timeout: float | None = None
    idle_timeout: float | None = None
    max_attempts: int | None = None
    max_connections: int | None = None


@dataclass(frozen=True, slots=True)
class Model:
    """Another name for a model: what is called, where, and what every call of it is given besides.

    `extra` is a piece of a chat-completions body that wins over the caller's. With `stream` false the model is asked for
    whole answers, which are told as a stream to whoever wants one.
    """

    model: str
    backend: str | None = None
    stream: bool = True
    extra: Mapping[str, Any] = field(default_factory=dict)
    fallbacks: tuple[Fallback, ...] = ()


@dataclass(frozen=True, slots=True)
class ServerSettings:
    """How the server listens, and what it lets through; sizes in bytes, times in seconds.

    `api_key_env` names the variables that hold the keys, one of which a caller has to show. `server_credentials` says
    whether a caller without credentials of its own calls with the server's, `tool_use_deltas` whether streams of the
    gateway's surface tell the arguments of calls in pieces, too.
    """

    host: str = "127.0.0.1"
    port: int = 8080
    api_key_env: tuple[str, ...] = ()
    server_credentials: bool = True
    carry_reasoning: str = "ids"
    tool_use_deltas: bool = True
    max_body_bytes: int = 64 * 1024 * 1024
    max_concurrency: int = 256
    max_callers: int = 64
    header_seconds: float = 10.0
    body_seconds: float = 60.0
    call_seconds: float = 1800.0
    write_seconds: float = 60.0
    drain_seconds: float = 600.0
    health_seconds: float = 15.0


@dataclass(frozen=True, slots=True)
class Configuration:
    """A configuration file, or what holds without one; `path` is "" then."""

    backends: Mapping[str, Backend] = field(default_factory=dict)
    models: Mapping[str, Model] = field(default_factory=dict)
    server: ServerSettings = field(default_factory=ServerSettings)
    default_backend: str | None = None
    default_model: str | None = None
    path: str = ""
    lines: Mapping[tuple[str, ...], int] = field(default_factory=dict, repr=False, compare=False)

    def backend_name(self, name: str | None = None) -> str | None:
        """The backend that is meant; None for the one that the environment makes. Raises SettingsError for another."""
        name = name or self.default_backend
        if name is None and len(self.backends) == 1:
            return next(iter(self.backends))
        if name is not None and name not in self.backends:
            known = ", ".join(sorted(self.backends)) or "none"
            raise SettingsError(f"{self.path or 'configuration'}: there is no backend {name!r}; there are: {known}")
        return name

    def backend(self, name: str | None) -> Backend:
        """A backend by its name; None for the one that the environment makes."""
        return Backend() if name is None else self.backends[name]

    def refuse(self, what: str, *path: str) -> NoReturn:
        """Raise SettingsError for a key of this file."""
        raise SettingsError(f"{_place(self.path, self.lines, path)}: {'.'.join(path)} {what}")


NO_CONFIGURATION = Configuration()


# --- reading it -------------------------------------------------------------------------------------------------------


def read_configuration(path: str | os.PathLike[str]) -> Configuration:
    """The configuration in a file; SettingsError names file, key and line of what is wrong, and never shows a value."""
    name = os.fspath(path)
    try:
        text = Path(name).read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        why = getattr(error, "strerror", None) or "it is not UTF-8"
        raise SettingsError(f"{name} cannot be read: {why}") from None
    try:
        data = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise SettingsError(f"{name} is no TOML: {error}") from None
    except RecursionError:
        raise SettingsError(f"{name} is nested too deeply") from None
    return _Reader(name, key_lines(text)).configuration(data)


def _place(file: str, lines: Mapping[tuple[str, ...], int], path: tuple[str, ...]) -> str:
    line = line_of(lines, path)
    return file if line is None else f"{file}:{line}"


class _Wrong(Exception):  # noqa: N818 - a verdict on its way to the one who knows file and line
    """A value is not what its key takes; `below` is the path to it from the key."""

    verdict = "is not {}"

    def __init__(self, expected: str, *below: str) -> None:
        super().__init__(self.verdict.format(expected))
        self.below = below


class _Unknown(_Wrong):
    """There is no such key in a table below."""

    verdict = "is unknown; there are: {}"


class _Reader:
    """Reads one file; knows its name and lines for those who have to complain."""

    def __init__(self, file: str, lines: Mapping[tuple[str, ...], int]) -> None:
        self._file = file
        self._lines = lines

    def configuration(self, data: Mapping[str, Any]) -> Configuration:
        top = self._table(_TOP, data, ())
        backends = {name: Backend(**self._table(_BACKEND, table, ("backends", name)))
                    for name, table in self._named(top, "backends")}  # fmt: skip
        models = {name: Model(**self._table(_MODEL, table, ("models", name)))
                  for name, table in self._named(top, "models")}  # fmt: skip
        server = ServerSettings(**self._table(_SERVER, top.get("server", {}), ("server",)))
        defaults = {name: top.get(name) for name in ("default_backend", "default_model")}
        read = Configuration(backends, models, server, **defaults, path=self._file, lines=self._lines)
        _check_backends(read)
        _check_models(read)
        return read

    def _named(self, top: Mapping[str, Any], kind: str) -> list[tuple[str, Mapping[str, Any]]]:
        for name, table in top.get(kind, {}).items():
            if not name.strip() or name != name.strip():
                self._refuse("is no name: it is blank, or has space around it", kind, name)
            if not isinstance(table, dict):
                self._refuse("is no table", kind, name)
        return list(top.get(kind, {}).items())

    def _table(self, schema: Mapping[str, Check], table: Mapping[str, Any], path: tuple[str, ...]) -> dict[str, Any]:
        for name, value in table.items():
            if name in _SECRETS:
                self._refuse(
                    f"is not taken: no secret belongs in this file, name its variable in {name}_env", *path, name
                )
            if name not in schema:
                self._refuse(f"is unknown; there are: {', '.join(schema)}", *path, name)
            if isinstance(value, str) and not value.strip():
                self._refuse("is blank: give a value, or leave it out", *path, name)
        for name in _REQUIRED & schema.keys() - table.keys() if schema is _MODEL else ():
            self._refuse(f"needs {name}", *path)
        return {name: self._checked(schema[name], value, (*path, name)) for name, value in table.items()}

    def _checked(self, check: Check, value: Any, path: tuple[str, ...]) -> Any:
        try:
            return check(value)
        except _Wrong as wrong:
            self._refuse(str(wrong), *path, *wrong.below)

    def _refuse(self, what: str, *path: str) -> NoReturn:
        raise SettingsError(f"{_place(self._file, self._lines, path)}: {'.'.join(path)} {what}")


# --- what keys take ---------------------------------------------------------------------------------------------------

Check = Callable[[Any], Any]


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise _Wrong("a string")
    return value.strip()


def _switch(value: Any) -> bool:
    if not isinstance(value, bool):
        raise _Wrong("true or false")
    return value


def _whole(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise _Wrong("a whole number, at least 1")
    return value


def _variable(value: Any) -> str:
    """The name of a variable; a secret that was put in its place is not shown, since it is seldom a name."""
    text = _text(value)
    if re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", text) is None:
        raise _Wrong("the name of an environment variable")
    return text


def _setting(name: str) -> Check:
    """What a client is built with, within the bounds that hold for it."""

    def check(value: Any) -> Any:
        given: dict[str, Any] = {name: None if isinstance(value, str) else value}  # where "5" is a number, too
        try:
            return getattr(ClientSettings(**given), name)
        except SettingsError as error:
            raise _Wrong(str(error).partition(": expected ")[2]) from None

    return check


def _port(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value < 65536:
        raise _Wrong("a TCP port")
    return value


def _seconds(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 < value <= LONGEST:
        raise _Wrong(f"a number of seconds above 0, up to {LONGEST}")
    return float(value)


def _url(value: Any) -> str:
    text = _text(value)
    try:
        parts = urlsplit(text)
        whole = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
    except ValueError:  # half a pair of brackets, a port that is none
        whole = False
    if not whole or any(mark.isspace() for mark in text):
        raise _Wrong("an address: http://host or https://host, with port and path as needed")
    if set(re.findall(r"[{}][^{}]*}?", text)) - {"{region}", "{model}"}:
        raise _Wrong("an address: in braces there may stand region and model")
    return text


def is_region_name(text: str) -> bool:
    """Whether it can be part of a host's name; which regions there are is AWS's to say."""
    return re.fullmatch(r"[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?", text) is not None


def _region(value: Any) -> str:
    text = _text(value)
    if not is_region_name(text):
        raise _Wrong("a region's name, such as us-east-1")
    return text


def _variables(value: Any) -> tuple[str, ...]:
    items = [value] if isinstance(value, str) else value
    if not isinstance(items, list):
        raise _Wrong("a string or a list of strings")
    return tuple(_below(number, _variable, item) for number, item in enumerate(items))


def _below(place: int | str, check: Check, value: Any) -> Any:
    """What a check makes of a value that stands below the one at hand."""
    try:
        return check(value)
    except _Wrong as wrong:
        wrong.below = (str(place), *wrong.below)
        raise


def _table_of(value: Any) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise _Wrong("a table")
    return value


def _one_of(*allowed: str) -> Check:
    def check(value: Any) -> str:
        if value not in allowed:
            raise _Wrong(f"one of {', '.join(allowed)}")
        return str(value)

    return check


def _extra(value: Any) -> dict[str, Any]:
    """A piece of a chat-completions body: JSON data under keys that the request builder knows."""
    table = _table_of(value)
    _check_json(table)
    for name in ("model", "messages", "tools", "stream", "stream_options"):
        if name in table:
            raise _Wrong("for what a call itself says", name)
    _, unknown = split_body(table)
    if unknown:
        raise _Wrong("an option of a chat completion, nor a member of a Converse request", unknown[0])
    return table


def _check_json(value: Any, *below: str) -> None:
    if isinstance(value, dict):
        for name, item in value.items():
            _check_json(item, *below, name)
    elif isinstance(value, list):
        for item in value:
            _check_json(item, *below)
    elif not isinstance(value, (str, int, float)) or (isinstance(value, float) and not isfinite(value)):
        raise _Wrong("something that JSON has", *below)


def _fallbacks(value: Any) -> tuple[Fallback, ...]:
    if not isinstance(value, list):
        raise _Wrong("a list of models, or of tables with region and model")
    return tuple(_below(number, _fallback, item) for number, item in enumerate(value))


def _fallback(item: Any) -> Fallback:
    asked = {"model": item} if isinstance(item, str) else item
    if not isinstance(asked, dict) or not asked:
        raise _Wrong("a model, or a table with region and model")
    for name in asked:
        if name not in _FALLBACK:
            raise _Unknown(", ".join(_FALLBACK), name)
    checked = {name: _below(name, _FALLBACK[name], value) for name, value in asked.items()}
    return checked.get("region"), checked.get("model")


_SECRETS = frozenset({"access_key_id", "secret_access_key", "session_token", "bearer_token", "api_key"})
_REQUIRED = frozenset(field.name for field in fields(Model) if field.default is field.default_factory is MISSING)

_TOP: Mapping[str, Check] = {
    "default_backend": _text,
    "default_model": _text,
    "backends": _table_of,
    "models": _table_of,
    "server": _table_of,
}
_FALLBACK: Mapping[str, Check] = {
    "region": _region,
    "model": _text,
}
_BACKEND: Mapping[str, Check] = {
    "region": _region,
    "profile": _text,
    "access_key_id_env": _variable,
    "secret_access_key_env": _variable,
    "session_token_env": _variable,
    "bearer_token_env": _variable,
    "endpoint_url": _url,
    "model": _text,
    "connect_timeout": _setting("connect_timeout"),
    "read_timeout": _setting("read_timeout"),
    "idle_timeout": _setting("idle_timeout"),
    "max_attempts": _setting("max_attempts"),
    "max_connections": _setting("max_connections"),
}
_MODEL: Mapping[str, Check] = {
    "model": _text,
    "backend": _text,
    "stream": _switch,
    "extra": _extra,
    "fallbacks": _fallbacks,
}
_SERVER: Mapping[str, Check] = {
    "host": _text,
    "port": _port,
    "api_key_env": _variables,
    "server_credentials": _switch,
    "carry_reasoning": _one_of("store", "ids", "none"),
    "tool_use_deltas": _switch,
    "max_body_bytes": _whole,
    "max_concurrency": _setting("max_connections"),  # as many connections are kept for it
    "max_callers": _whole,
    "header_seconds": _seconds,
    "body_seconds": _seconds,
    "call_seconds": _seconds,
    "write_seconds": _seconds,
    "drain_seconds": _seconds,
    "health_seconds": _seconds,
}


# --- what only the whole file shows -----------------------------------------------------------------------------------


def _check_backends(read: Configuration) -> None:
    if read.default_backend is not None and read.default_backend not in read.backends:
        read.refuse("names a backend that is not in this file", "default_backend")
    if read.default_backend is None and len(read.backends) > 1:
        read.refuse("are several: say default_backend", "backends")
    for name, backend in read.backends.items():
        has_key, has_secret = backend.access_key_id_env is not None, backend.secret_access_key_env is not None
        if has_key != has_secret or (backend.session_token_env and not has_key):
            read.refuse("needs access_key_id_env and secret_access_key_env together", "backends", name)
        if sum((has_key, backend.profile is not None, backend.bearer_token_env is not None)) > 1:
            read.refuse("takes one of profile, access keys and bearer token", "backends", name)
        if backend.bearer_token_env and (backend.endpoint_url or "").lower().startswith("http:"):
            read.refuse("is not https: a bearer token is sent over https only", "backends", name, "endpoint_url")


def _check_models(read: Configuration) -> None:
    for name, model in read.models.items():
        _check_extra(read, name, model)
        if model.backend is not None and model.backend not in read.backends:
            read.refuse("names a backend that is not in this file", "models", name, "backend")
        if model.model in read.models and model.model != name:
            read.refuse("names another name: write the model's id", "models", name, "model")
        for _, other in model.fallbacks:
            alias = read.models.get(other or "")
            if alias is not None and alias.backend not in (None, model.backend):
                read.refuse("stay within one backend: give region and model", "models", name, "fallbacks")


def _check_extra(read: Configuration, name: str, model: Model) -> None:
    """Have a request built with the options that every call is given: what the builder refuses is said now.

    So is a guardrail that it would leave out, since nobody reads what is said of a single call.
    """
    options, _ = split_body(model.extra)
    try:
        repairs = build_request(model.model, _ANY_QUESTION, **options).repairs
        if any(repair.step == "drop_empty_guardrail" for repair in repairs):
            raise InvalidRequestError("names no guardrail", field="guardrail_config")
    except InvalidRequestError as error:
        first, *below = (error.field or "").removeprefix("extra.").split(".")
        place = (_as_written(first, model.extra), *below)
        read.refuse(f"is refused: {error}", "models", name, "extra", *filter(None, place))


def _as_written(option: str, table: Mapping[str, Any]) -> str:
    """The key that says an option: Converse's own name for it, where the table has that one."""
    head, *rest = option.split("_")
    member = head + "".join(map(str.capitalize, rest))
    return member if option not in table and member in table else option


_ANY_QUESTION = ({"role": "user", "content": "?"},)
