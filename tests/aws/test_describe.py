"""Where credentials would come from, compared with what botocore takes, and asked without asking anybody."""

from __future__ import annotations

import socket
import subprocess
from pathlib import Path
from typing import Any
from unittest.mock import patch

import boto3
import pytest

from agent.bedrock.aws.credentials import Credentials
from agent.bedrock.aws.describe import describe_credentials
from agent.bedrock.aws.sessions import open_session

CONFIG = """
[default]
[profile role]
role_arn = arn:aws:iam::123456789012:role/x
source_profile = keys
[profile web]
role_arn = arn:aws:iam::123456789012:role/x
web_identity_token_file = /none
[profile sso]
sso_session = s
sso_account_id = 123456789012
sso_role_name = r
[sso-session s]
sso_region = us-east-1
sso_start_url = https://x.awsapps.com/start
[profile legacy]
sso_account_id = 123456789012
sso_role_name = r
sso_region = us-east-1
sso_start_url = https://x.awsapps.com/start
[profile keys]
aws_access_key_id = AKIDCONFIG
aws_secret_access_key = Tr0ub4dor
[profile process]
credential_process = /bin/false Tr0ub4dor
[profile login]
login_session = arn:aws:sts::123456789012:assumed-role/x
[profile both]
sso_session = s
sso_account_id = 123456789012
sso_role_name = r
aws_access_key_id = AKIDCONFIG
aws_secret_access_key = Tr0ub4dor
"""


@pytest.fixture(autouse=True)
def _files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "config").write_text(CONFIG)
    (tmp_path / "credentials").write_text(
        "[shared]\naws_access_key_id = AKIDSHARED\naws_secret_access_key = Tr0ub4dor\n"
    )
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "credentials"))


@pytest.fixture(autouse=True)
def _nobody_is_asked(request: pytest.FixtureRequest) -> Any:
    """No test of this file may open a connection or start a process."""
    with (
        patch.object(socket.socket, "connect", side_effect=AssertionError("a connection was opened")),
        patch.object(subprocess, "Popen", side_effect=AssertionError("a process was started")),
    ):
        yield


ENV_KEYS = {"AWS_ACCESS_KEY_ID": "AKIDENV", "AWS_SECRET_ACCESS_KEY": "Tr0ub4dor"}

#: Environment and profile argument, and the method that botocore's own chain reports for them.
AS_BOTOCORE: list[tuple[dict[str, str], str | None, str]] = [
    (ENV_KEYS, None, "env"),
    ({**ENV_KEYS, "AWS_PROFILE": "sso"}, None, "env"),
    (ENV_KEYS, "sso", "sso"),
    ({"AWS_PROFILE": "sso"}, None, "sso"),
    ({"AWS_PROFILE": "nobody", "AWS_DEFAULT_PROFILE": "legacy"}, None, "sso"),
    ({}, "legacy", "sso"),
    ({}, "both", "sso"),
    ({}, "role", "assume-role"),
    ({}, "web", "assume-role-with-web-identity"),
    ({"AWS_WEB_IDENTITY_TOKEN_FILE": "/none", "AWS_ROLE_ARN": "a"}, None, "assume-role-with-web-identity"),
    ({"AWS_WEB_IDENTITY_TOKEN_FILE": "/none", "AWS_ROLE_ARN": "a"}, "sso", "sso"),
    ({}, "shared", "shared-credentials-file"),
    ({"AWS_PROFILE": " "}, "shared", "shared-credentials-file"),
]


@pytest.mark.parametrize(("environ", "profile", "method"), AS_BOTOCORE)
def test_the_source_is_the_one_that_botocore_takes(
    environ: dict[str, str], profile: str | None, method: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    credentials = Credentials(profile=profile)
    assert describe_credentials(credentials).method == method
    found = open_session(credentials).get_credentials()
    assert found is not None
    assert found.method == method


@pytest.mark.parametrize(
    ("environ", "profile", "method"),
    [
        ({}, "process", "custom-process"),
        ({}, "login", "login"),
        ({"AWS_CONTAINER_CREDENTIALS_RELATIVE_URI": "/x"}, None, "container-role"),
        ({"AWS_CONTAINER_CREDENTIALS_FULL_URI": "http://127.0.0.1/x"}, None, "container-role"),
        ({"AWS_CONTAINER_CREDENTIALS_FULL_URI": " "}, None, "none"),
        ({}, None, "none"),
        ({"AWS_ACCESS_KEY_ID": "half"}, None, "env"),
        ({"AWS_BEARER_TOKEN_BEDROCK": "Tr0ub4dor", **ENV_KEYS}, None, "bearer"),
        ({"AWS_BEARER_TOKEN_BEDROCK": "Tr0ub4dor"}, "sso", "sso"),
        ({"AWS_BEARER_TOKEN_BEDROCK": " "}, None, "none"),
        ({}, "nobody", "unknown-profile"),
    ],
)
def test_sources_that_botocore_would_have_to_ask(
    environ: dict[str, str], profile: str | None, method: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    found = describe_credentials(Credentials(profile=profile))
    assert found.method == method
    assert found.certain
    assert "Tr0ub4dor" not in f"{found!r} {found}"
    assert found.profile == profile


def test_keys_in_the_config_file_are_found_by_their_profile() -> None:
    # botocore calls the source config-file where the config file has them; one word is enough here.
    assert describe_credentials(Credentials(profile="keys")).text == "access keys of profile keys in the AWS files"


def test_whether_an_instance_has_a_role_only_asking_would_tell(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_EC2_METADATA_DISABLED")
    found = describe_credentials()
    assert (found.method, found.certain) == ("iam-role", False)


def test_arguments_are_named_and_not_shown() -> None:
    keys = Credentials(aws_access_key_id="AKID", aws_secret_access_key="Tr0ub4dor")
    assert describe_credentials(keys).method == "explicit"
    token = describe_credentials(Credentials(bearer_token="Tr0ub4dor"))
    assert (token.method, str(token)) == ("bearer", "a Bedrock API key from the bearer_token argument")
    assert describe_credentials(Credentials(session=boto3.Session())).method == "session"


def test_files_that_cannot_be_read_are_said_to_be(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "config").write_text("no section = here\n")
    assert describe_credentials().method == "unreadable"
