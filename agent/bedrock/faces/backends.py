"""Backends by name, and what a model's name stands for: the configuration at work.

In come a `Configuration` and the name of a model, out goes a `Route`: the `Bedrock` to ask, the model's id, and the
options that the configuration adds. Credentials that a caller brings replace those of every backend and are never mixed
with them. Nothing here reads the file.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any, Self

from ..aws.credentials import DEFAULT_REGION, Credentials, clean_secret, resolve_region
from ..errors import InvalidRequestError, SettingsError
from ..request.options import split_body
from .client import CREDENTIAL_ARGUMENTS, Bedrock
from .config import NO_CONFIGURATION, Configuration, is_region_name

if TYPE_CHECKING:
    from ..chat import ChatStream
    from ..response.completion import Completion
    from .config import Backend

_ARGUMENT_OF_VARIABLE = {
    "access_key_id_env": "aws_access_key_id",
    "secret_access_key_env": "aws_secret_access_key",
    "session_token_env": "aws_session_token",
    "bearer_token_env": "bearer_token",
}
_PLAIN_ARGUMENTS = (
    "region", "profile", "endpoint_url", "connect_timeout", "read_timeout", "idle_timeout", "max_attempts",
    "max_connections",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Route:
    """What the name of a model stands for; `options` win over the caller's, `streams` False asks for whole answers."""

    bedrock: Bedrock
    model: str
    options: Mapping[str, Any] = field(default_factory=dict)
    streams: bool = True

    def over(self, options: Mapping[str, Any]) -> dict[str, Any]:
        """The caller's options under those of the configuration."""
        return _merged(options, self.options)


class Backends:
    """The backends of a configuration, each with its connections; shared by threads.

    `arguments` are those of `Bedrock` and win over what the configuration says, for every backend alike.
    """

    def __init__(self, configuration: Configuration = NO_CONFIGURATION, **arguments: Any) -> None:
        self.configuration = configuration
        self._arguments = {name: value for name, value in arguments.items() if value is not None}
        self._built: dict[str | None, ConfiguredBedrock] = {}
        self._lock = threading.Lock()

    def __reduce__(self) -> tuple[Callable[[], Backends], tuple[()]]:
        """Copies and pickles have connections of their own."""
        return partial(Backends, self.configuration, **self._arguments), ()

    def with_options(self, **changes: Any) -> Backends:
        """The same backends with other arguments; they have connections of their own.

        Where a credential is among the changes, none of the others stays: two callers' are never mixed.
        """
        kept = self._arguments
        if any(changes.get(name) is not None for name in CREDENTIAL_ARGUMENTS):
            kept = {name: value for name, value in kept.items() if name not in CREDENTIAL_ARGUMENTS}
        return Backends(self.configuration, **{**kept, **changes})

    def bedrock(self, name: str | None = None) -> ConfiguredBedrock:
        """The backend of that name, or the default one; SettingsError where there is none."""
        name = self.configuration.backend_name(name)
        with self._lock:
            if name not in self._built:
                self._built[name] = ConfiguredBedrock(self, name, **self.arguments(name))
            return self._built[name]

    def arguments(self, name: str | None) -> dict[str, Any]:
        """The arguments of `Bedrock` for a backend; SettingsError names a variable that is not there."""
        backend = self.configuration.backend(name)
        given = {argument: getattr(backend, argument) for argument in _PLAIN_ARGUMENTS}
        if any(argument in self._arguments for argument in CREDENTIAL_ARGUMENTS):
            given.pop("profile")
        else:
            given |= self._secrets(backend, name)
        arguments = {**given, **self._arguments}
        if arguments.get("region") is None and "client" not in arguments:
            arguments["region"] = resolve_region(credentials=_credentials(arguments), default=DEFAULT_REGION)
        region = arguments.get("region")
        if region is not None and not is_region_name(region):
            raise SettingsError(f"{region!r} is no name of a region; one looks like us-east-1")
        return arguments

    def _secrets(self, backend: Backend, name: str | None) -> dict[str, str]:
        secrets = {}
        for key, argument in _ARGUMENT_OF_VARIABLE.items():
            variable = getattr(backend, key)
            if variable is None:
                continue
            value = os.environ.get(variable, "")
            if not value.strip():
                self.configuration.refuse(f"names {variable}, which is not set", "backends", name or "", key)
            secrets[argument] = str(clean_secret(variable, value))
        return secrets

    def route(self, model: str | None, backend: str | None = None) -> Route:
        """What a model's name stands for, asked of a backend; without a name it is the default model."""
        chosen = self.configuration.backend_name(backend)
        name = (model or "").strip() or self.default_model(chosen)
        alias = self.configuration.models.get(name)
        if alias is None:
            return Route(self.bedrock(chosen), name)
        options, _ = split_body(alias.extra)
        if alias.fallbacks:
            options["fallbacks"] = [(region, self._model_id(other)) for region, other in alias.fallbacks]
        return Route(self.bedrock(alias.backend or chosen), alias.model, options, alias.stream)

    def default_model(self, backend: str | None) -> str:
        """The model that is called where a call names none; InvalidRequestError where none is configured."""
        found = self.configuration.backend(backend).model or self.configuration.default_model
        if found is None:
            raise InvalidRequestError("names no model, and none is configured as the default", field="model")
        return found

    def _model_id(self, name: str | None) -> str | None:
        alias = self.configuration.models.get(name or "")
        return name if alias is None else alias.model

    def close(self) -> None:
        """Give up all connections; whoever is reading an answer reads on."""
        with self._lock:
            for bedrock in self._built.values():
                bedrock.close()


def _credentials(arguments: Mapping[str, Any]) -> Credentials:
    names = ("profile", "aws_access_key_id", "aws_secret_access_key", "aws_session_token", "bearer_token", "session")
    return Credentials(**{name: arguments.get(name) for name in names})


def _merged(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    """Both, deeply; where both say something, `above` wins."""
    merged = dict(below)
    for name, value in above.items():
        mine = merged.get(name)
        if isinstance(mine, Mapping) and isinstance(value, Mapping):
            merged[name] = _merged(mine, value)
        else:
            merged[name] = value
    return merged


class ConfiguredBedrock(Bedrock):
    """A backend as a `Bedrock` that knows the models of its configuration by their names."""

    def __init__(self, backends: Backends, name: str | None = None, **arguments: Any) -> None:
        super().__init__(**arguments)
        self.backends = backends
        self.name = name

    def with_options(self, **changes: Any) -> Self:
        """The same backend with other arguments; it has connections of its own."""
        backends = self.backends.with_options(**changes)
        return type(self)(backends, self.name, **backends.arguments(self.name))

    def __reduce__(self) -> tuple[Callable[[], Self], tuple[()]]:
        return partial(type(self), self.backends, self.name, **self._given()), ()

    def route(self, model: str) -> Route:
        """What the name of a model stands for here."""
        return self.backends.route(model, self.name)

    def complete(
        self, /, model: str, messages: Sequence[Any], tools: Sequence[Any] | None = None, **options: Any
    ) -> Completion:
        """`Bedrock.complete`, with the models of the configuration."""
        route = self.route(model)
        return Bedrock.complete(self._at(route), route.model, messages, tools, **route.over(options))

    def stream(
        self, /, model: str, messages: Sequence[Any], tools: Sequence[Any] | None = None, **options: Any
    ) -> ChatStream:
        """`Bedrock.stream`, with the models of the configuration."""
        route = self.route(model)
        asked = {**route.over(options), **({} if route.streams else {"whole": True})}
        return Bedrock.stream(self._at(route), route.model, messages, tools, **asked)

    def _at(self, route: Route) -> Bedrock:
        """The instance itself where the route leads to its own backend, so that its own options hold."""
        target = route.bedrock
        return self if isinstance(target, ConfiguredBedrock) and target.name == self.name else target


def from_config(path: str | os.PathLike[str], backend: str | None = None, **arguments: Any) -> ConfiguredBedrock:
    """The `Bedrock` of a configuration file: its default backend or the one that is named; `arguments` win."""
    from .config import read_configuration

    return Backends(read_configuration(path), **arguments).bedrock(backend)
