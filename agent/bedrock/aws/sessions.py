"""A fresh botocore session in which blank variables count as unset and the credentials are exactly those meant.

In come `Credentials`, out goes a session. The environment is read, never written: a bearer token reaches one
client through botocore's `token_provider` component, and what botocore would take from a blank variable is replaced
in the session's own configuration. A session that the caller gives is used as it is.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from .credentials import BEARER_VARIABLE, DEFAULT_REGION, Credentials, bearer_token, clean_secret, effective_profile
from .loader import quicken_loader
from .settings import blank_to_none
from .useragent import keep_user_agent, present_as_boto3

_KEY_VARIABLES = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_SECURITY_TOKEN")
_CONTAINER_VARIABLES = ("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", "AWS_CONTAINER_CREDENTIALS_FULL_URI")


def open_session(credentials: Credentials) -> Any:
    """A session that signs as `credentials` say: the caller's, of boto3 or botocore, or a fresh one of botocore.

    Raises botocore's ProfileNotFound for an unknown profile. boto3's session would add nothing but what it is for other
    services, and 20 ms of imports.
    """
    return _fresh_session(credentials) if credentials.session is None else credentials.session


def create_client(session: Any, service: str, **options: Any) -> Any:
    """A client of the session, whichever library it is of."""
    make = session.client if _is_of_boto3(session) else session.create_client
    client = make(service, **options)
    _count_blank_proxies_as_unset(client)
    return client


def can_change(credentials: Credentials) -> bool:
    """Whether asking again may give other credentials: keys and a token stay what they are.

    A session of the caller's is made to fetch its own anew, where they are of a kind that can be fetched.
    """
    if credentials.session is not None:
        return _fetched_anew(credentials.session.get_credentials())
    return credentials.aws_access_key_id is None and credentials.bearer_token is None


def _fetched_anew(held: Any) -> bool:
    """Whether credentials that botocore keeps fresh were refreshed now: it has no public way to ask for it."""
    refresh, lock = getattr(held, "_protected_refresh", None), getattr(held, "_refresh_lock", None)
    if refresh is None or lock is None:
        return False
    with lock:
        refresh(is_mandatory=True)
    return True


def events_of(session: Any) -> Any:
    """The events of all clients that the session is going to make."""
    return session.events if _is_of_boto3(session) else session.get_component("event_emitter")


def _is_of_boto3(session: Any) -> bool:
    return hasattr(session, "client")


def config_session() -> Any:
    """A fresh botocore session that reads the environment and the AWS files as meant, and has no credentials yet."""
    import botocore.session

    session = botocore.session.Session()
    quicken_loader(session)
    _count_blank_variables_as_unset(session)
    return session


def _fresh_session(credentials: Credentials) -> Any:
    session = config_session()
    if credentials.profile:
        session.set_config_variable("profile", credentials.profile)
    if token := bearer_token(credentials):
        _sign_with_token(session, token)
    elif credentials.aws_access_key_id:
        session.set_credentials(
            credentials.aws_access_key_id, credentials.aws_secret_access_key, credentials.aws_session_token
        )
    else:
        _read_keys_without_stray_space(session)
    _ask_only_whom_the_environment_names(session)
    present_as_boto3(session)
    keep_user_agent(session)
    return session


def named_profile(credentials: Credentials) -> str | None:
    """The profile that applies, for advice to name; None for the default one."""
    if credentials.session is None:
        return effective_profile(credentials)
    # boto3 says "default" where none is named; botocore says None.
    named = getattr(credentials.session, "profile_name", None) or getattr(credentials.session, "profile", None)
    return str(named) if named and named != "default" else None


def signature_version(credentials: Credentials, session: Any) -> str | None:
    """How the client signs, said in code so that no later change of the environment turns it around; None: as usual.

    botocore up to 1.44.5 takes even a blank AWS_BEARER_TOKEN_BEDROCK for a token, prefers it to explicit keys, and asks
    the environment again at every request.
    """
    if credentials.session is None:
        return "bearer" if bearer_token(credentials) else "v4"
    return "v4" if _is_explicit(session) or not blank_to_none(os.environ.get(BEARER_VARIABLE)) else None


def _is_explicit(session: Any) -> bool:
    """Whether the caller built the session with keys or a profile, which then beat a token of the environment."""
    if "profile" in botocore_session(session).instance_variables():
        return True
    return getattr(session.get_credentials(), "method", None) == "explicit"


def botocore_session(session: Any) -> Any:
    """The botocore session inside a boto3 session, for which boto3 has no public name; or the session itself."""
    return getattr(session, "_session", session)


# --- bearer token -----------------------------------------------------------------------------------------------------


class _FixedToken:
    """A token of botocore's shape that never changes; it shows itself nowhere."""

    method = "explicit"

    def __init__(self, token: str) -> None:
        self._token = token

    def get_frozen_token(self) -> Any:
        from botocore.tokens import FrozenAuthToken

        return FrozenAuthToken(self._token)


class _FixedTokenProvider:
    """Stands in for botocore's chain of token providers."""

    def __init__(self, token: str) -> None:
        self._token = _FixedToken(token)

    def load_token(self, **_kwargs: Any) -> _FixedToken:
        return self._token


def _sign_with_token(session: Any, token: str) -> None:
    from botocore.credentials import CredentialResolver

    session.register_component("token_provider", _FixedTokenProvider(token))
    # A token needs no keys: without this botocore would ask the instance metadata service for some and wait for it.
    session.register_component("credential_provider", CredentialResolver(providers=[]))


# --- blank variables --------------------------------------------------------------------------------------------------


def _without_blanks(environ: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in environ.items() if value.strip()}


def _count_blank_variables_as_unset(session: Any) -> None:
    """Replace what botocore would take from a blank variable by what it takes from an absent one.

    A blank AWS_PROFILE would be an unknown profile, a blank AWS_MAX_ATTEMPTS no number, and a blank AWS_CA_BUNDLE would
    turn the checking of certificates off (measured with botocore 1.44.5).
    """
    from botocore import configprovider

    filled = _without_blanks(os.environ)
    chains = configprovider.ConfigChainFactory(session, environ=filled)
    store = session.get_component("config_store")
    for name, (setting, variables, default, convert) in configprovider.BOTOCORE_DEFAUT_SESSION_VARIABLES.items():
        names = [variables] if isinstance(variables, str) else variables or ()
        if any(variable in os.environ and variable not in filled for variable in names):
            chain = chains.create_config_chain(
                instance_name=name,
                env_var_names=variables,
                config_property_names=setting,
                default=default,
                conversion_func=convert,
            )
            store.set_config_provider(name, chain)


def _count_blank_proxies_as_unset(client: Any) -> None:
    """Take blank proxies out of what the client read from the environment: it would look for a host of that name.

    botocore has no public way to them that keeps to NO_PROXY; one that has other names for them is left alone.
    """
    session = getattr(getattr(client, "_endpoint", None), "http_session", None)
    proxies = getattr(getattr(session, "_proxy_config", None), "_proxies", None)
    if isinstance(proxies, dict):
        for scheme in [scheme for scheme, proxy in proxies.items() if not str(proxy).strip()]:
            del proxies[scheme]


def _read_keys_without_stray_space(session: Any) -> None:
    """Read keys as the environment means them: a line break at the end of one would show it in an error of urllib3."""
    from botocore.credentials import EnvProvider

    written = {name: os.environ[name] for name in _KEY_VARIABLES if name in os.environ}
    meant = {name: str(clean_secret(name, value)) for name, value in written.items() if value.strip()}
    if meant != written:
        _replace_provider(session, EnvProvider(environ={**_without_blanks(os.environ), **meant}))


def _ask_only_whom_the_environment_names(session: Any) -> None:
    """Keep botocore from asking a container's endpoint, or for a web identity, because of a blank variable."""
    from botocore.credentials import AssumeRoleWithWebIdentityProvider, ContainerProvider

    if _is_blank_in_environment(*_CONTAINER_VARIABLES):
        _replace_provider(session, ContainerProvider(environ=_without_blanks(os.environ)))
    if _is_blank_in_environment("AWS_WEB_IDENTITY_TOKEN_FILE"):
        from_profile_only = AssumeRoleWithWebIdentityProvider(
            load_config=lambda: session.full_config,
            client_creator=lambda service, **options: session.create_client(
                service, **{"region_name": session.get_config_variable("region") or DEFAULT_REGION, **options}
            ),
            profile_name=session.get_config_variable("profile") or "default",
            cache={},
            disable_env_vars=True,
        )
        _replace_provider(session, from_profile_only)


def _is_blank_in_environment(*names: str) -> bool:
    """Whether one of the variables is there with nothing in it."""
    return not all(os.environ.get(name, "set").strip() for name in names)


def _replace_provider(session: Any, provider: Any) -> None:
    """Put `provider` where botocore's chain has its own of that name, if it has one."""
    resolver = session.get_component("credential_provider")
    if any(present.METHOD == provider.METHOD for present in resolver.providers):
        resolver.insert_after(provider.METHOD, provider)
        resolver.remove(provider.METHOD)
