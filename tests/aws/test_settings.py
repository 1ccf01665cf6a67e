"""Settings: defaults, variables, arguments, and what is refused."""

from __future__ import annotations

from typing import Any

import pytest

from agent.bedrock.aws.settings import CLIENT_VARIABLES, ClientSettings
from agent.bedrock.errors import SettingsError


def test_an_empty_environment_gives_the_documented_defaults() -> None:
    assert ClientSettings.from_environment({}) == ClientSettings(
        connect_timeout=10,
        read_timeout=900,
        idle_timeout=300,
        max_attempts=3,
        retry_seconds=180,
        max_connections=64,
        endpoint_url=None,
        retry_mode="standard",
    )


@pytest.mark.parametrize(
    ("variable", "value", "field", "meant"),
    [
        ("BEDROCK_CONNECT_TIMEOUT", "2.5", "connect_timeout", 2.5),
        ("BEDROCK_READ_TIMEOUT", " 60 ", "read_timeout", 60.0),
        ("BEDROCK_IDLE_TIMEOUT", "0", "idle_timeout", 0.0),
        ("BEDROCK_MAX_ATTEMPTS", "1", "max_attempts", 1),
        ("AWS_MAX_ATTEMPTS", "7", "max_attempts", 7),
        ("BEDROCK_RETRY_SECONDS", "0", "retry_seconds", 0.0),
        ("BEDROCK_MAX_CONNECTIONS", "200", "max_connections", 200),
        ("AWS_RETRY_MODE", "Adaptive", "retry_mode", "adaptive"),
        ("AWS_ENDPOINT_URL_BEDROCK_RUNTIME", "https://gw.example/v1/", "endpoint_url", "https://gw.example/v1/"),
        ("AWS_ENDPOINT_URL_BEDROCK_RUNTIME", "http://[::1]:8080", "endpoint_url", "http://[::1]:8080"),
    ],
)
def test_a_variable_sets_its_field(variable: str, value: str, field: str, meant: Any) -> None:
    assert getattr(ClientSettings.from_environment({variable: value}), field) == meant
    assert variable in CLIENT_VARIABLES


@pytest.mark.parametrize("blank", ["", " ", "\t\n"])
@pytest.mark.parametrize("variable", [name for name in CLIENT_VARIABLES if name.startswith(("BEDROCK_", "AWS_"))])
def test_a_blank_variable_counts_as_unset(variable: str, blank: str) -> None:
    assert ClientSettings.from_environment({variable: blank}) == ClientSettings()


def test_our_attempts_win_over_those_of_aws_unless_blank() -> None:
    both = {"BEDROCK_MAX_ATTEMPTS": "2", "AWS_MAX_ATTEMPTS": "nonsense"}
    assert ClientSettings.from_environment(both).max_attempts == 2
    assert ClientSettings.from_environment({"BEDROCK_MAX_ATTEMPTS": "", "AWS_MAX_ATTEMPTS": "9"}).max_attempts == 9


def test_configured_endpoints_can_be_ignored_as_botocore_does() -> None:
    environ = {"AWS_ENDPOINT_URL_BEDROCK_RUNTIME": "http://a", "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS": "True"}
    assert ClientSettings.from_environment(environ).endpoint_url is None
    assert ClientSettings.from_environment(environ, endpoint_url="http://b").endpoint_url == "http://b"


@pytest.mark.parametrize(
    ("variable", "value", "expected"),
    [
        ("BEDROCK_CONNECT_TIMEOUT", "ten", "a number of seconds"),
        ("BEDROCK_CONNECT_TIMEOUT", "0", "a number of seconds from 0.001"),
        ("BEDROCK_READ_TIMEOUT", "nan", "a number of seconds"),
        ("BEDROCK_READ_TIMEOUT", "inf", "a number of seconds"),
        ("BEDROCK_IDLE_TIMEOUT", "-1", "0 turns it off"),
        ("BEDROCK_MAX_ATTEMPTS", "0", "a whole number from 1 to 10000"),
        ("BEDROCK_MAX_CONNECTIONS", "99999999999999999999", "from 1 to 10000"),
        ("BEDROCK_READ_TIMEOUT", "1e12", "to 2592000"),
        ("BEDROCK_MAX_ATTEMPTS", "1.5", "a whole number"),
        ("AWS_MAX_ATTEMPTS", "many", "a whole number"),
        ("BEDROCK_MAX_CONNECTIONS", "1e3", "a whole number"),
        ("AWS_RETRY_MODE", "brave", "legacy, standard, adaptive"),
        ("AWS_ENDPOINT_URL_BEDROCK_RUNTIME", "gw.example", "http://host"),
        ("AWS_ENDPOINT_URL_BEDROCK_RUNTIME", "ftp://gw.example", "http://host"),
        ("AWS_ENDPOINT_URL_BEDROCK_RUNTIME", "https:///", "http://host"),
    ],
)
def test_a_malformed_variable_is_refused_by_name_with_what_is_expected(
    variable: str, value: str, expected: str
) -> None:
    with pytest.raises(SettingsError, match=variable) as refused:
        ClientSettings.from_environment({variable: value})
    assert expected in str(refused.value)


@pytest.mark.parametrize(
    ("argument", "value"),
    [
        ("connect_timeout", "soon"),
        ("read_timeout", True),
        ("idle_timeout", -0.1),
        ("max_attempts", 2.5),
        ("max_attempts", False),
        ("max_connections", 0),
        ("endpoint_url", "localhost:1"),
        ("endpoint_url", "http://[::1"),
    ],
)
def test_a_malformed_argument_is_refused_by_name(argument: str, value: Any) -> None:
    with pytest.raises(SettingsError, match=argument):
        ClientSettings.from_environment({}, **{argument: value})


def test_an_argument_wins_and_its_variable_is_not_even_read() -> None:
    environ = {"BEDROCK_READ_TIMEOUT": "nonsense", "BEDROCK_MAX_ATTEMPTS": "5"}
    settings = ClientSettings.from_environment(environ, read_timeout=7, max_attempts=None)
    assert (settings.read_timeout, settings.max_attempts) == (7.0, 5)


def test_an_address_with_a_password_is_not_shown_when_refused() -> None:
    with pytest.raises(SettingsError) as refused:
        ClientSettings.from_environment({"AWS_ENDPOINT_URL_BEDROCK_RUNTIME": "user:hunter2@gw"})
    assert "hunter2" not in str(refused.value)


def test_settings_are_values() -> None:
    assert hash(ClientSettings()) == hash(ClientSettings.from_environment({}))
    with pytest.raises(AttributeError):
        ClientSettings().max_attempts = 4  # type: ignore[misc]


def test_the_password_of_an_address_is_not_shown() -> None:
    assert "Tr0ub4dor" not in repr(ClientSettings(endpoint_url="https://somebody:Tr0ub4dor@gateway"))
