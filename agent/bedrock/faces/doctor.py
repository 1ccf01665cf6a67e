"""What calls would be made with here, and what is wrong: said offline, without a secret.

In come the arguments of the command line, the environment and the files; out go findings. Nothing is sent anywhere, and
no credential is fetched: whether those that are found are accepted, only a call can tell.
"""

from __future__ import annotations

import os
import platform
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..aws.credentials import Credentials, resolve_region
from ..aws.describe import describe_credentials
from ..aws.settings import ClientSettings
from ..errors import SettingsError
from .backends import Backends
from .client import CREDENTIAL_ARGUMENTS
from .config import NO_CONFIGURATION, Configuration, read_configuration
from .environment import call_options, prompt_caching
from .server.journal import without_secrets
from .server.limits import Door

LIBRARIES = ("boto3", "botocore", "urllib3")
EXTRAS = ("openai", "httpx", "httpx2", "starlette", "uvicorn", "orjson", "jsonschema")

FOLDER = Path(__file__).resolve().parents[2]
"""The folder `agent` that this code is in."""

_NO_SOURCE = frozenset({"none", "unknown-profile", "unreadable"})


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that was looked at."""

    what: str
    text: str
    is_problem: bool = False


def examine(config: str | None = None, **arguments: Any) -> list[Finding]:
    """Everything that is to be said; `arguments` are those of `Bedrock`."""
    findings = [*_versions(), *_package()]
    try:
        configuration = read_configuration(config) if config else NO_CONFIGURATION
    except SettingsError as error:
        return [*findings, Finding("configuration", str(error), is_problem=True)]
    if config:
        findings.append(Finding("configuration", config))
    findings += _environment()
    for name in configuration.backends or (None,):
        findings += _backend(configuration, name, arguments)
    return [*findings, *_server(configuration)]


# --- versions and the package -----------------------------------------------------------------------------------------


def _versions() -> Iterator[Finding]:
    yield Finding("python", f"{platform.python_version()} at {sys.executable}")
    for name in LIBRARIES:
        found = _version(name)
        yield Finding(name, found or "is missing", is_problem=found is None)
    extras = [f"{name} {found}" for name in EXTRAS if (found := _version(name)) is not None]
    yield Finding("extras", ", ".join(extras) or "none")


def _version(name: str) -> str | None:
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version(name)
    except PackageNotFoundError:
        return None


def _package() -> Iterator[Finding]:
    """Where this code is, and who else calls a package `agent`: installers overwrite one with the other in silence."""
    yield Finding("adapter", str(FOLDER))
    if not (FOLDER / "bedrock_adapter.py").exists() or (FOLDER / "process_bootstrap.py").exists():
        text = (
            f"{FOLDER} is mixed with another package of the same name: install this one again, in an environment apart"
        )
        yield Finding("package", text, is_problem=True)
    for other in _others_on_the_path():
        text = f"{other} is called agent, too: whichever comes first on sys.path wins; see docs/hermes.md"
        yield Finding("package", text, is_problem=True)
    owners = _distributions()
    if len(owners) > 1:
        text = f"{' and '.join(owners)} install a package called agent into one environment: keep them apart"
        yield Finding("package", text, is_problem=True)


def _others_on_the_path() -> list[Path]:
    candidates = (Path(entry or ".") / name for entry in sys.path for name in ("agent/__init__.py", "agent.py"))
    found = (place.resolve() for place in candidates if place.is_file())
    return sorted({place for place in found if place.parent != FOLDER})


def _distributions() -> list[str]:
    from importlib.metadata import packages_distributions

    return sorted(set(packages_distributions().get("agent", ())))


# --- environment, backends, server ------------------------------------------------------------------------------------


def _environment() -> Iterator[Finding]:
    checks: tuple[Callable[[], Any], ...] = (ClientSettings.from_environment, call_options, prompt_caching)
    problems = [error for error in map(_complaint, checks) if error is not None]
    yield from (Finding("environment", error, is_problem=True) for error in problems)
    if not problems:
        yield Finding("environment", ", ".join(sorted(_ours())) or "no variable of the adapter is set")


def _complaint(check: Callable[[], Any]) -> str | None:
    try:
        check()
    except SettingsError as error:
        return str(error)
    return None


def _ours() -> Iterator[str]:
    return (name for name, value in os.environ.items() if name.startswith("BEDROCK_") and value.strip())


def _backend(configuration: Configuration, name: str | None, arguments: dict[str, Any]) -> Iterator[Finding]:
    what = "backend" if name is None else f"backend {name}"
    try:
        given = Backends(configuration, **arguments).arguments(name)
        ClientSettings(endpoint_url=given["endpoint_url"])  # refuses what is no address
        credentials = Credentials(**{key: given.get(key) for key in CREDENTIAL_ARGUMENTS if key != "client"})
        source = describe_credentials(credentials)
    except SettingsError as error:
        yield Finding(what, str(error), is_problem=True)
        return
    yield Finding(what, f"region {given['region']}{_region_source(given, arguments, configuration, name)}")
    if given.get("endpoint_url"):
        yield Finding(what, f"endpoint {without_secrets(given['endpoint_url'])}")
    hint = "" if source.certain else " (not asked: the doctor stays offline)"
    yield Finding(what, f"credentials: {source}{hint}", is_problem=source.method in _NO_SOURCE)


def _region_source(
    given: dict[str, Any], arguments: dict[str, Any], configuration: Configuration, name: str | None
) -> str:
    if arguments.get("region"):
        return ", as asked"
    if configuration.backend(name).region:
        return ", from the configuration"
    for variable in ("AWS_REGION", "AWS_DEFAULT_REGION"):
        if os.environ.get(variable, "").strip():
            return f", from {variable}"
    without = resolve_region(credentials=Credentials(profile=given.get("profile")), default="")
    return ", from the profile" if without else ", by default: none is configured"


def _server(configuration: Configuration) -> Iterator[Finding]:
    problem = _complaint(lambda: Door.for_configuration(configuration))
    settings = configuration.server
    text = problem or f"would listen on {settings.host}:{settings.port}"
    yield Finding("server", text, is_problem=problem is not None)
