"""Where credentials would come from, said offline.

In come `Credentials`, the environment and the AWS config files; out goes the source that botocore's chain would take. No
credential is fetched: no network, no credential_process, no token refreshed, so that asking is free and safe at any time.
Whether the source then gives valid credentials only a call can tell.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from .credentials import AMBIENT, BEARER_VARIABLE, Credentials, bearer_token, effective_profile
from .sessions import config_session


@dataclass(frozen=True, slots=True)
class CredentialSource:
    """Where credentials would come from; it holds no secret.

    `method` is botocore's name of the provider, or one of bearer, explicit, session, unknown-profile, unreadable, none.
    `certain` is False where only asking the instance's metadata service would tell.
    """

    method: str
    text: str
    profile: str | None = None
    certain: bool = True

    def __str__(self) -> str:
        return self.text


@dataclass(frozen=True, slots=True)
class _Known:
    """What is known without asking: filled variables, the profile's settings, whether the profile was an argument."""

    environ: Mapping[str, str]
    settings: Mapping[str, Any]
    profile_given: bool


def describe_credentials(credentials: Credentials = AMBIENT) -> CredentialSource:
    """The source that calls with these credentials would use; raises SettingsError for a token that cannot be sent."""
    if credentials.session is not None:
        return CredentialSource("session", "the session that was given")
    if bearer_token(credentials):
        where = BEARER_VARIABLE if credentials.is_ambient else "the bearer_token argument"
        return CredentialSource("bearer", f"a Bedrock API key from {where}")
    if credentials.aws_access_key_id:
        return CredentialSource("explicit", "access keys given as arguments")
    return _from_chain(credentials)


def _from_chain(credentials: Credentials) -> CredentialSource:
    environ = {name: value for name, value in os.environ.items() if value.strip()}
    profile = effective_profile(credentials)
    profiles = _profiles()
    if profiles is None:
        return CredentialSource("unreadable", "none: the AWS config files cannot be read", profile)
    if profile is not None and profile not in profiles:
        return CredentialSource("unknown-profile", f"none: there is no profile {profile!r} in the AWS config", profile)
    known = _Known(environ, profiles.get(profile or "default", {}), credentials.profile is not None)
    for method, applies, text in _CHAIN:
        if applies(known):
            return CredentialSource(method, text.format(profile=profile or "default"), profile)
    if environ.get("AWS_EC2_METADATA_DISABLED", "").strip().lower() == "true":
        return CredentialSource("none", "none: no credentials are configured", profile)
    return CredentialSource(
        "iam-role", "the instance's role, if the metadata service offers one", profile, certain=False
    )


def _profiles() -> Mapping[str, Any] | None:
    """Profile -> its settings, of both AWS files; None where they cannot be read."""
    from botocore.exceptions import BotoCoreError

    try:
        profiles: Mapping[str, Any] = config_session().full_config.get("profiles", {})
    except BotoCoreError:
        return None
    return profiles


def _has_env_keys(known: _Known) -> bool:
    # A half pair counts: botocore stops there, with an error that names the missing half.
    return not known.profile_given and "AWS_ACCESS_KEY_ID" in known.environ


def _has_web_identity(known: _Known) -> bool:
    from_environment = not known.profile_given and "AWS_WEB_IDENTITY_TOKEN_FILE" in known.environ
    return from_environment or "web_identity_token_file" in known.settings


def _sets(*names: str) -> Callable[[_Known], bool]:
    return lambda known: any(name in known.settings for name in names)


def _names_container(known: _Known) -> bool:
    variables = ("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", "AWS_CONTAINER_CREDENTIALS_FULL_URI")
    return any(variable in known.environ for variable in variables)


#: botocore's chain in its order (1.44.5): method, whether it would answer, and what that is.
_CHAIN: tuple[tuple[str, Callable[[_Known], bool], str], ...] = (
    ("env", _has_env_keys, "access keys from AWS_ACCESS_KEY_ID"),
    (
        "assume-role",
        lambda known: "role_arn" in known.settings and "web_identity_token_file" not in known.settings,
        "the role that profile {profile} assumes",
    ),
    ("assume-role-with-web-identity", _has_web_identity, "a role assumed with a web identity token file"),
    ("sso", _sets("sso_account_id", "sso_role_name"), "the SSO sign-in of profile {profile}"),
    ("shared-credentials-file", _sets("aws_access_key_id"), "access keys of profile {profile} in the AWS files"),
    ("login", _sets("login_session"), "the `aws login` session of profile {profile}"),
    ("custom-process", _sets("credential_process"), "the credential_process of profile {profile}"),
    ("container-role", _names_container, "the role of the container or pod"),
)
