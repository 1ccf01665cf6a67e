"""Whose calls these are: credentials as values, and what the environment says of credentials and region.

In come arguments and a mapping of environment variables; out go a frozen `Credentials`, names, regions and fingerprints.
A blank variable counts as unset, a blank argument is refused. No secret ever stands in a repr, an error or a log, and
nothing here asks the network, except `auth_env_var` where the variables are silent: botocore's chain may then ask the
instance metadata service. botocore is imported at call time, and only by `auth_env_var` and `resolve_region`.
"""

from __future__ import annotations

import hashlib
import os
import secrets
from collections.abc import Hashable, Mapping
from contextlib import suppress
from functools import lru_cache
from types import FunctionType
from typing import Any

from ..errors import SettingsError
from ..values import frozen, names_of
from .settings import blank_to_none

BEARER_VARIABLE = "AWS_BEARER_TOKEN_BEDROCK"
DEFAULT_REGION = "us-east-1"

#: Drawn per process, so that a fingerprint that leaks says nothing about the secrets it was made of.
_SALT = secrets.token_bytes(16)


def clean_secret(name: str, value: str | None) -> str | None:
    """`value` without space around it; blank, or with a control character inside, it is refused by name, unshown."""
    if value is None:
        return None
    if not isinstance(value, str):
        raise SettingsError(f"{name} is a {type(value).__name__}: expected a str")
    cleaned = value.strip()
    if not cleaned:
        raise SettingsError(f"{name} is blank: give a value, or leave it out")
    if any(ord(mark) < 32 or ord(mark) == 127 for mark in cleaned):
        raise SettingsError(f"{name} has a line break or control character inside (its value is not shown)")
    return cleaned


@frozen(repr=False)
class Credentials:
    """Credentials given as arguments; all None leaves the choice to the environment and botocore's chain.

    Bearer token beats access keys, access keys beat the profile; `session` (of boto3 or botocore) stands alone.
    """

    profile: str | None = None
    aws_access_key_id: str | None = None
    aws_secret_access_key: str | None = None
    aws_session_token: str | None = None
    bearer_token: str | None = None
    session: Any = None

    def __post_init__(self) -> None:
        for name in ("profile", "aws_access_key_id", "aws_secret_access_key", "aws_session_token", "bearer_token"):
            object.__setattr__(self, name, clean_secret(name, getattr(self, name)))
        self._check_pairs()

    def _check_pairs(self) -> None:
        pair = {name: getattr(self, name) for name in ("aws_access_key_id", "aws_secret_access_key")}
        missing = [name for name, value in pair.items() if value is None]
        if len(missing) == 1:
            raise SettingsError(f"{missing[0]} is missing: an access key needs its secret and the reverse")
        if missing and self.aws_session_token is not None:
            raise SettingsError("aws_session_token needs aws_access_key_id and aws_secret_access_key beside it")
        if self.session is not None and any(getattr(self, name) for name in names_of(Credentials)[:-1]):
            raise SettingsError("session brings its own credentials: give either session, or profile, keys or token")

    def __repr__(self) -> str:
        shown = [f"profile={self.profile!r}"] if self.profile else []
        shown += [f"{name}=<set>" for name in names_of(Credentials)[1:] if getattr(self, name) is not None]
        return f"Credentials({', '.join(shown)})"

    @property
    def is_ambient(self) -> bool:
        """Whether nothing was given, so that the environment decides."""
        return all(getattr(self, name) is None for name in names_of(Credentials))


AMBIENT = Credentials()


def bearer_token(credentials: Credentials = AMBIENT, environ: Mapping[str, str] | None = None) -> str | None:
    """The bearer token that calls are made with: the argument, else the environment's where nothing else was given."""
    if not credentials.is_ambient:
        return credentials.bearer_token
    value = (os.environ if environ is None else environ).get(BEARER_VARIABLE)
    return clean_secret(BEARER_VARIABLE, value) if blank_to_none(value) else None


def effective_profile(credentials: Credentials = AMBIENT, environ: Mapping[str, str] | None = None) -> str | None:
    """The profile that applies: the argument, else the environment's; None means botocore's `default`."""
    source = os.environ if environ is None else environ
    # botocore asks AWS_DEFAULT_PROFILE first, unlike the AWS CLI's documentation (measured with 1.44.5).
    named = (blank_to_none(source.get(variable)) for variable in ("AWS_DEFAULT_PROFILE", "AWS_PROFILE"))
    return credentials.profile or next((name for name in named if name), None)


# --- region -----------------------------------------------------------------------------------------------------------


def resolve_region(
    region: str | None = None,
    *,
    credentials: Credentials = AMBIENT,
    environ: Mapping[str, str] | None = None,
    default: str | None = None,
) -> str:
    """The argument, else AWS_REGION, AWS_DEFAULT_REGION, the profile's region, `default`, else SettingsError.

    boto3 up to 1.44.5 ignores AWS_REGION, which Lambda, ECS and most runtimes set.
    """
    if region is not None:
        return str(clean_secret("region", region))
    source = os.environ if environ is None else environ
    named = (blank_to_none(source.get(variable)) for variable in ("AWS_REGION", "AWS_DEFAULT_REGION"))
    found = next((name for name in named if name), None) or _configured_region(credentials) or default
    if found is None:
        missing = SettingsError(
            "no AWS region: give region=, set AWS_REGION, or write one with `aws configure set region us-east-1`"
        )
        missing.kind = "region"
        raise missing
    return found


def _configured_region(credentials: Credentials) -> str | None:
    """The region of the caller's session or of the profile; None where there is none or the files cannot be read."""
    # A missing profile or a broken file shows itself, with advice, when the client is built.
    with suppress(Exception):
        # As an attribute of the package at call time: tests put their own module there.
        import botocore.session

        if credentials.session is not None:
            session = getattr(credentials.session, "_session", credentials.session)
            return session.get_config_variable("region") or None
        return _region_of_files(botocore.session.get_session, credentials)
    return None


def _region_of_files(get_session: Any, credentials: Credentials) -> str | None:
    """What a new botocore session says; asked again only when the profile or the files have changed.

    A session costs milliseconds, and a road without a region of its own asks at every call.
    """
    # What a test put in botocore's place may answer differently each time.
    is_botocores = isinstance(get_session, FunctionType) and get_session.__module__ == "botocore.session"
    now = identity(credentials)
    kept = _region_memo.get("last")
    if is_botocores and kept is not None and kept[0] == now:
        return kept[1]
    session = get_session()
    if credentials.profile:
        session.set_config_variable("profile", credentials.profile)
    region: str | None = session.get_config_variable("region") or None
    if is_botocores:
        _region_memo["last"] = (now, region)
    return region


#: The last answer with the identity that it was given for; one entry, written and read whole.
_region_memo: dict[str, tuple[Hashable, str | None]] = {}


# --- what the environment offers --------------------------------------------------------------------------------------

#: The first row whose variables are all set names the source (drop-in table, `resolve_aws_auth_env_var`).
_AUTH_VARIABLES: tuple[tuple[str, ...], ...] = (
    (BEARER_VARIABLE,),
    ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"),
    ("AWS_PROFILE",),
    ("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",),
    ("AWS_WEB_IDENTITY_TOKEN_FILE",),
)


def auth_env_var(environ: Mapping[str, str] | None = None) -> str | None:
    """The variable that names the credentials, `"iam-role"` where botocore's chain finds some, else None."""
    source = os.environ if environ is None else environ
    for group in _AUTH_VARIABLES:
        if all(blank_to_none(source.get(variable)) for variable in group):
            return group[0]
    return "iam-role" if _chain_finds_credentials() else None


def has_credentials(environ: Mapping[str, str] | None = None) -> bool:
    """Whether the environment or botocore's chain offers any credentials."""
    return auth_env_var(environ) is not None


def _chain_finds_credentials() -> bool:
    # Whatever hinders the chain (no botocore, a broken file, a failing helper), the answer is the same: none found.
    with suppress(Exception):
        # As an attribute of the package at call time: tests put their own module there.
        import botocore.session

        return botocore.session.get_session().get_credentials() is not None
    return False


# --- fingerprint ------------------------------------------------------------------------------------------------------

#: Every variable that decides whose calls a client makes.
IDENTITY_VARIABLES: tuple[str, ...] = (
    BEARER_VARIABLE,
    "AWS_ACCESS_KEY_ID",
    "AWS_SECRET_ACCESS_KEY",
    "AWS_SESSION_TOKEN",
    "AWS_SECURITY_TOKEN",
    "AWS_PROFILE",
    "AWS_DEFAULT_PROFILE",
    "AWS_CONFIG_FILE",
    "AWS_SHARED_CREDENTIALS_FILE",
    "AWS_ROLE_ARN",
    "AWS_ROLE_SESSION_NAME",
    "AWS_WEB_IDENTITY_TOKEN_FILE",
    "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
    "AWS_CONTAINER_CREDENTIALS_FULL_URI",
    "AWS_CONTAINER_AUTHORIZATION_TOKEN",
    "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE",
    "AWS_EC2_METADATA_DISABLED",
    "HOME",
    "USERPROFILE",
)

#: The shared files, as the variable that moves one and the place where it lies otherwise.
_SHARED_FILES = (("AWS_CONFIG_FILE", "~/.aws/config"), ("AWS_SHARED_CREDENTIALS_FILE", "~/.aws/credentials"))


def identity(
    credentials: Credentials = AMBIENT,
    environ: Mapping[str, str] | None = None,
    variables: tuple[str, ...] = IDENTITY_VARIABLES,
) -> Hashable:
    """A fingerprint of whose calls a client would make; secrets go into it only as a salted hash. Asks no network.

    It changes with the arguments, the variables (those named are all that count, and hold IDENTITY_VARIABLES), and the
    size or time of the shared config and credentials files.
    """
    source = os.environ if environ is None else environ
    known = environment_digest(source, variables)
    config, keys = _shared_files(source, known)
    return _digest_of_arguments(credentials), id(credentials.session), known, _file_stamp(config), _file_stamp(keys)


def _shared_files(environ: Mapping[str, str], known: bytes) -> tuple[str, ...]:
    """Where the shared files lie; for an environment with that digest it was found out before."""
    if environ is not os.environ:
        return _places(environ)
    places = _kept_places.get(known)
    if places is None:
        _kept_places.clear()  # the environment of a process seldom changes
        places = _kept_places[known] = _places(environ)
    return places


_kept_places: dict[bytes, tuple[str, ...]] = {}


def _places(environ: Mapping[str, str]) -> tuple[str, ...]:
    paths = (environ.get(variable) or place for variable, place in _SHARED_FILES)
    return tuple(os.path.expanduser(path) for path in paths)  # noqa: PTH111 (a Path costs more than the call itself)


@lru_cache(maxsize=64)
def _digest_of_arguments(credentials: Credentials) -> bytes:
    if credentials.is_ambient:
        return b""
    return digest(repr([getattr(credentials, name) for name in names_of(Credentials)[:-1]]).encode())


def digest(data: bytes) -> bytes:
    """A salted hash, good for telling whether something changed in this process and for nothing else."""
    return hashlib.blake2b(data, key=_SALT, digest_size=16).digest()


def environment_digest(environ: Mapping[str, str], variables: tuple[str, ...]) -> bytes:
    """A salted hash of the values of these variables, blank and unset told apart.

    Of `os.environ` the undecoded values are taken where the interpreter keeps them: looking 50 names up takes 35 us by
    the public way and 2 us by this one, and every call of the adapter asks. It is made anew once the values changed.
    """
    raw = getattr(environ, "_data", None) if environ is os.environ else None
    if type(raw) is not dict:
        return digest(repr(tuple(map(environ.get, variables))).encode())
    values = tuple(map(raw.get, _raw_keys(variables)))
    state = hash(values)
    kept = _digests.get(variables)
    if kept is None or kept[0] != state:
        kept = _digests[variables] = (state, digest(repr(values).encode()))
    return kept[1]


_digests: dict[tuple[str, ...], tuple[int, bytes]] = {}
"""Variables -> (Python's hash of their values, which tells a change as surely as 64 bits can; the digest)."""


_raw_key_cache: dict[tuple[str, ...], tuple[Any, ...]] = {}


def _raw_keys(variables: tuple[str, ...]) -> tuple[Any, ...]:
    """The names as `os.environ` keeps them inside: bytes on POSIX, upper case text on Windows."""
    if variables not in _raw_key_cache:
        _raw_key_cache[variables] = tuple(os.environ.encodekey(variable) for variable in variables)
    return _raw_key_cache[variables]


def _file_stamp(path: str) -> tuple[int, int, int] | None:
    """Time, size and number of a file; None where there is none."""
    try:
        found = os.stat(path)  # noqa: PTH116 (a Path costs more than the call itself)
    except (OSError, ValueError):
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino
