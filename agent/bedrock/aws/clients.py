"""Clients: how one is built, and what it is built from.

In come a region, `ClientSettings` and `Credentials`; out goes a boto3 client on a fresh session, for the runtime a
guarded one, and the fingerprint by which `cache` knows when to build anew. boto3 is imported when a client is built.
"""

from __future__ import annotations

import os
from collections.abc import Hashable, Mapping
from typing import TYPE_CHECKING, Any

from ..values import changed
from .credentials import AMBIENT, IDENTITY_VARIABLES, Credentials, identity
from .sessions import can_change, create_client, events_of, named_profile, open_session, signature_version
from .settings import CLIENT_VARIABLES, ClientSettings

if TYPE_CHECKING:
    from botocore.config import Config
    from types_boto3_bedrock import BedrockClient
    from types_boto3_bedrock_runtime import BedrockRuntimeClient

    from .stream import DecoderFor

USER_AGENT = "bedrock-chat-adapter/0.1.0"

_ENDPOINT_VARIABLES = ("AWS_ENDPOINT_URL_BEDROCK_RUNTIME", "AWS_ENDPOINT_URL_BEDROCK", "AWS_ENDPOINT_URL")

#: Seconds; lists of models are short, and who waits for one waits at a prompt.
_CONTROL_CONNECT_TIMEOUT = 5.0
_CONTROL_READ_TIMEOUT = 20.0


# --- building ---------------------------------------------------------------------------------------------------------


def build_runtime_client(
    region: str,
    settings: ClientSettings | None = None,
    credentials: Credentials = AMBIENT,
    *,
    decoder_for: DecoderFor | None = None,
) -> BedrockRuntimeClient:
    """A guarded `bedrock-runtime` client; settings default to those of the environment.

    With `decoder_for` (`response.frames.decoder_for`) its streams are ours, else botocore's. All retries are the guard's
    (`retries`): botocore is told to make one attempt.
    """
    from .answers import parse_answers_once
    from .attempt import listen_to, make_one_attempt_at_a_time
    from .cancel import notice_connections
    from .connections import tune_connections
    from .explain import explained
    from .gateway import base_url, follow_pattern
    from .guard import guarding
    from .journey import Protection
    from .renewal import Clients
    from .serializer import install_fast_requests
    from .signing import sign_quickly
    from .stream import install_fast_stream

    chosen = settings or ClientSettings.from_environment()
    profile = named_profile(credentials)
    beside = Clients(
        lambda place: build_runtime_client(place, chosen, credentials, decoder_for=decoder_for),
        lambda: can_change(credentials),
    )
    with explained(profile):
        session = open_session(credentials)
        config = client_config(changed(chosen, max_attempts=1), signature_version(credentials, session))
        with guarding(events_of(session), Protection(chosen, profile, beside, identity(credentials))):
            client: BedrockRuntimeClient = create_client(
                session,
                "bedrock-runtime",
                region_name=region,
                endpoint_url=base_url(chosen.endpoint_url, region),
                verify=_verify(),
                config=config,
            )
    follow_pattern(client, chosen.endpoint_url, region)
    tune_connections(client)
    notice_connections(client)
    listen_to(client)
    make_one_attempt_at_a_time(client)
    install_fast_requests(client)
    sign_quickly(client)
    parse_answers_once(client)
    if decoder_for is not None:
        install_fast_stream(client, decoder_for, chosen)
    return client


def build_control_client(
    region: str,
    settings: ClientSettings | None = None,
    credentials: Credentials = AMBIENT,
    *,
    endpoint_url: str | None = None,
) -> BedrockClient:
    """A `bedrock` client, for lists of models and profiles; it gives up sooner than one that waits for a model."""
    from .explain import explained, forget_secrets_of

    chosen = settings or ClientSettings.from_environment()
    with explained(named_profile(credentials)):
        session = open_session(credentials)
        config = client_config(chosen, signature_version(credentials, session)).merge(_short_timeouts(chosen))
        client: BedrockClient = create_client(
            session, "bedrock", region_name=region, endpoint_url=endpoint_url, verify=_verify(), config=config
        )
    forget_secrets_of(client)
    return client


def client_config(settings: ClientSettings, signature: str | None = None) -> Config:
    """Everything said explicitly: botocore's own defaults changed between its versions (1.44.0: retries)."""
    from botocore.config import Config

    options: dict[str, Any] = {
        "connect_timeout": settings.connect_timeout,
        "read_timeout": settings.read_timeout,
        "max_pool_connections": settings.max_connections,
        # A new dict each time: botocore writes into the one it is given.
        "retries": {"total_max_attempts": settings.max_attempts, "mode": settings.retry_mode},
        "tcp_keepalive": True,
        "user_agent_extra": USER_AGENT,
    }
    if signature is not None:
        options["signature_version"] = signature
    if any((os.environ.get(variable) or "set").isspace() for variable in _ENDPOINT_VARIABLES):
        # botocore would take the space for an address; that those of the config file go too is the lesser evil.
        options["ignore_configured_endpoint_urls"] = True
    return Config(**options)


def _short_timeouts(settings: ClientSettings) -> Config:
    from botocore.config import Config

    return Config(
        connect_timeout=min(settings.connect_timeout, _CONTROL_CONNECT_TIMEOUT),
        read_timeout=min(settings.read_timeout, _CONTROL_READ_TIMEOUT),
    )


def _verify() -> bool | None:
    """True where a blank variable would turn the checking of certificates off; None leaves it to botocore."""
    bundle = os.environ.get("REQUESTS_CA_BUNDLE", os.environ.get("CURL_CA_BUNDLE", "set"))
    return None if bundle.strip() or os.environ.get("AWS_CA_BUNDLE", "").strip() else True


# --- fingerprint ------------------------------------------------------------------------------------------------------

_VARIABLES = IDENTITY_VARIABLES + CLIENT_VARIABLES


def fingerprint(
    credentials: Credentials = AMBIENT,
    settings: ClientSettings | None = None,
    environ: Mapping[str, str] | None = None,
) -> Hashable:
    """What a client is built from, besides its region: identity, endpoint and settings; contains no secret.

    `settings` None means those of the environment, which are compared unread: a hit of the cache costs 10 us.
    """
    source = os.environ if environ is None else environ
    return identity(credentials, source, _VARIABLES), settings
