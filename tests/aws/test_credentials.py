"""Credentials as values, what the environment offers, the region, and the fingerprint of an identity."""

from __future__ import annotations

import os
import pickle
import sys
from pathlib import Path
from types import ModuleType
from typing import Any
from unittest.mock import MagicMock, patch

import pytest

from agent.bedrock.aws import credentials as module
from agent.bedrock.aws.credentials import (
    IDENTITY_VARIABLES,
    Credentials,
    auth_env_var,
    bearer_token,
    effective_profile,
    environment_digest,
    has_credentials,
    identity,
    resolve_region,
)
from agent.bedrock.errors import SettingsError, classify

SECRET = "Tr0ub4dor&3"
KEYS = {"aws_access_key_id": "AKIDEXAMPLE", "aws_secret_access_key": SECRET}


class TestArguments:
    @pytest.mark.parametrize(
        "name", ["profile", "aws_access_key_id", "aws_secret_access_key", "aws_session_token", "bearer_token"]
    )
    @pytest.mark.parametrize("blank", ["", "  ", "\n"])
    def test_a_blank_one_is_refused_by_name(self, name: str, blank: str) -> None:
        with pytest.raises(SettingsError, match=name):
            Credentials(**{**KEYS, name: blank})

    @pytest.mark.parametrize("inside", ["\n", "\r", "\x00", "\x7f"])
    def test_a_line_break_or_control_character_inside_is_refused_without_showing_the_value(self, inside: str) -> None:
        with pytest.raises(SettingsError, match="bearer_token") as refused:
            Credentials(bearer_token=f"{SECRET}{inside}more")
        assert SECRET not in str(refused.value)
        assert "more" not in str(refused.value).split()

    def test_space_around_a_token_is_stripped(self) -> None:
        assert Credentials(bearer_token=f" {SECRET}\n").bearer_token == SECRET

    def test_bytes_are_refused(self) -> None:
        with pytest.raises(SettingsError, match="bearer_token is a bytes"):
            Credentials(bearer_token=SECRET.encode())  # type: ignore[arg-type]

    @pytest.mark.parametrize(
        ("arguments", "named"),
        [
            ({"aws_access_key_id": "AKID"}, "aws_secret_access_key is missing"),
            ({"aws_secret_access_key": SECRET}, "aws_access_key_id is missing"),
            ({"aws_session_token": SECRET}, "aws_session_token needs"),
            ({"session": object(), "profile": "dev"}, "session brings its own"),
            ({"session": object(), "bearer_token": SECRET}, "session brings its own"),
        ],
    )
    def test_what_does_not_go_together_is_refused(self, arguments: dict[str, Any], named: str) -> None:
        with pytest.raises(SettingsError, match=named) as refused:
            Credentials(**arguments)
        assert SECRET not in str(refused.value)

    def test_the_repr_holds_no_secret(self) -> None:
        shown = repr(Credentials(profile="dev", aws_session_token=SECRET, bearer_token=SECRET, **KEYS))
        assert "profile='dev'" in shown
        assert "bearer_token=<set>" in shown
        assert SECRET not in shown
        assert "AKIDEXAMPLE" not in shown

    def test_equal_arguments_are_equal_credentials_also_after_pickling(self) -> None:
        first = Credentials(**KEYS)
        assert first == Credentials(**KEYS) == pickle.loads(pickle.dumps(first))
        assert hash(first) == hash(Credentials(**KEYS))
        assert Credentials().is_ambient
        assert not first.is_ambient


class TestBearerToken:
    def test_the_environments_counts_only_where_nothing_else_was_given(self) -> None:
        environ = {"AWS_BEARER_TOKEN_BEDROCK": f" {SECRET} "}
        assert bearer_token(environ=environ) == SECRET
        assert bearer_token(Credentials(**KEYS), environ) is None
        assert bearer_token(Credentials(profile="dev"), environ) is None
        assert bearer_token(Credentials(bearer_token="other"), environ) == "other"

    @pytest.mark.parametrize("blank", ["", " ", "\n"])
    def test_a_blank_one_in_the_environment_is_none(self, blank: str) -> None:
        assert bearer_token(environ={"AWS_BEARER_TOKEN_BEDROCK": blank}) is None

    def test_one_with_a_line_break_inside_is_refused_by_the_name_of_its_variable(self) -> None:
        with pytest.raises(SettingsError, match="AWS_BEARER_TOKEN_BEDROCK") as refused:
            bearer_token(environ={"AWS_BEARER_TOKEN_BEDROCK": f"{SECRET}\nX"})
        assert SECRET not in str(refused.value)


@pytest.mark.parametrize(
    ("argument", "environ", "profile"),
    [
        (None, {}, None),
        (None, {"AWS_PROFILE": "a"}, "a"),
        (None, {"AWS_PROFILE": " "}, None),
        (None, {"AWS_PROFILE": "a", "AWS_DEFAULT_PROFILE": "b"}, "b"),
        (None, {"AWS_PROFILE": "a", "AWS_DEFAULT_PROFILE": ""}, "a"),
        ("c", {"AWS_PROFILE": "a"}, "c"),
    ],
)
def test_the_profile_that_applies(argument: str | None, environ: dict[str, str], profile: str | None) -> None:
    assert effective_profile(Credentials(profile=argument), environ) == profile


class TestRegion:
    @pytest.fixture(autouse=True)
    def _config(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        config = tmp_path / "config"
        config.write_text("[default]\nregion = eu-north-1\n[profile dev]\nregion = ap-south-1\n[profile bare]\n")
        monkeypatch.setenv("AWS_CONFIG_FILE", str(config))

    @pytest.mark.parametrize(
        ("argument", "environ", "region"),
        [
            ("us-west-2", {"AWS_REGION": "eu-west-1"}, "us-west-2"),
            (None, {"AWS_REGION": "eu-west-1", "AWS_DEFAULT_REGION": "eu-west-2"}, "eu-west-1"),
            (None, {"AWS_REGION": " ", "AWS_DEFAULT_REGION": " eu-west-2 "}, "eu-west-2"),
            (None, {}, "eu-north-1"),
        ],
    )
    def test_argument_then_variables_then_profile(
        self, argument: str | None, environ: dict[str, str], region: str
    ) -> None:
        assert resolve_region(argument, environ=environ, default="us-east-1") == region

    def test_the_region_of_the_profile_given(self) -> None:
        assert resolve_region(credentials=Credentials(profile="dev"), environ={}) == "ap-south-1"

    def test_the_region_of_the_session_given(self) -> None:
        import boto3
        import botocore.session

        assert resolve_region(credentials=Credentials(session=boto3.Session(region_name="me-south-1"))) == "me-south-1"
        plain = botocore.session.Session()
        plain.set_config_variable("region", "af-south-1")
        assert resolve_region(credentials=Credentials(session=plain)) == "af-south-1"

    def test_without_any_the_default_or_a_clear_error(self) -> None:
        bare = Credentials(profile="bare")
        assert resolve_region(credentials=bare, environ={}, default="us-east-1") == "us-east-1"
        with pytest.raises(SettingsError, match="AWS_REGION") as raised:
            resolve_region(credentials=bare, environ={})
        assert classify(raised.value).kind == "region"

    def test_a_missing_profile_is_left_for_the_building_of_the_client(self) -> None:
        assert resolve_region(credentials=Credentials(profile="nobody"), environ={}, default="us-east-1") == "us-east-1"

    def test_a_blank_argument_is_refused(self) -> None:
        with pytest.raises(SettingsError, match="region is blank"):
            resolve_region(" ")

    def test_the_profiles_region_is_read_again_once_the_file_changed(self, tmp_path: Path) -> None:
        assert resolve_region(environ={}) == "eu-north-1"
        with patch("botocore.configloader.load_config", side_effect=AssertionError("read twice")):
            assert resolve_region(environ={}) == "eu-north-1"
        (tmp_path / "config").write_text("[default]\nregion = sa-east-1\n")
        assert resolve_region(environ={}) == "sa-east-1"


def _fake_botocore(session: Any) -> dict[str, Any]:
    """botocore as Hermes's tests replace it: a bare package with a `session` attribute."""
    package, sessions = ModuleType("botocore"), ModuleType("botocore.session")
    sessions.get_session = lambda: session  # type: ignore[attr-defined]
    package.session = sessions  # type: ignore[attr-defined]
    return {"botocore": package, "botocore.session": sessions}


class TestDropInSemantics:
    @pytest.mark.parametrize(
        ("environ", "name"),
        [
            ({"AWS_BEARER_TOKEN_BEDROCK": "t", "AWS_ACCESS_KEY_ID": "a"}, "AWS_BEARER_TOKEN_BEDROCK"),
            ({"AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "s", "AWS_PROFILE": "p"}, "AWS_ACCESS_KEY_ID"),
            ({"AWS_ACCESS_KEY_ID": "a", "AWS_PROFILE": "p"}, "AWS_PROFILE"),
            ({"AWS_PROFILE": "p", "AWS_WEB_IDENTITY_TOKEN_FILE": "f"}, "AWS_PROFILE"),
            (
                {"AWS_CONTAINER_CREDENTIALS_RELATIVE_URI": "/x", "AWS_WEB_IDENTITY_TOKEN_FILE": "f"},
                "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
            ),
            ({"AWS_WEB_IDENTITY_TOKEN_FILE": "f"}, "AWS_WEB_IDENTITY_TOKEN_FILE"),
        ],
    )
    def test_the_variable_that_names_the_credentials(self, environ: dict[str, str], name: str) -> None:
        with patch.object(module, "_chain_finds_credentials", side_effect=AssertionError("asked the chain")):
            assert auth_env_var(environ) == name
            assert has_credentials(environ)

    @pytest.mark.parametrize("environ", [{}, {"AWS_PROFILE": " "}, {"AWS_BEARER_TOKEN_BEDROCK": ""}])
    def test_where_the_variables_are_silent_the_chain_is_asked(self, environ: dict[str, str]) -> None:
        session = MagicMock()
        with patch.dict(sys.modules, _fake_botocore(session)):
            assert auth_env_var(environ) == "iam-role"
            session.get_credentials.return_value = None
            assert auth_env_var(environ) is None
            assert not has_credentials(environ)

    def test_the_chain_is_asked_through_the_attribute_of_the_package(self) -> None:
        with patch.dict(sys.modules, {"botocore": MagicMock(), "botocore.session": MagicMock()}):
            import botocore.session

            botocore.session.get_session = MagicMock()
            botocore.session.get_session.return_value.get_credentials.return_value = None
            assert auth_env_var({}) is None

    def test_a_chain_that_fails_found_nothing(self) -> None:
        with patch("botocore.session.get_session", side_effect=OSError("disk")):
            assert auth_env_var({}) is None

    def test_the_region_of_a_replaced_botocore(self) -> None:
        session = MagicMock()
        for configured, region in (("eu-central-1", "eu-central-1"), (None, "us-east-1"), ("eu-west-3", "eu-west-3")):
            session.get_config_variable.return_value = configured
            with patch.dict(sys.modules, _fake_botocore(session)):
                assert resolve_region(environ={}, default="us-east-1") == region
            with patch("botocore.session.get_session", return_value=session):
                assert resolve_region(environ={}, default="us-east-1") == region


class TestIdentity:
    @pytest.mark.parametrize("variable", IDENTITY_VARIABLES)
    def test_changes_with_every_variable_of_the_process(self, variable: str, monkeypatch: pytest.MonkeyPatch) -> None:
        before = identity()
        monkeypatch.setenv(variable, f"changed-{SECRET}")
        changed = identity()
        assert changed != before
        assert identity() == changed
        monkeypatch.delenv(variable)
        assert identity() != changed

    def test_changes_with_arguments_and_session(self) -> None:
        session = object()
        several = [
            Credentials(),
            Credentials(**KEYS),
            Credentials(**{**KEYS, "aws_secret_access_key": "other"}),
            Credentials(aws_session_token="t", **KEYS),
            Credentials(profile="dev"),
            Credentials(bearer_token="dev"),
            Credentials(session=session),
        ]
        assert len({identity(one) for one in several}) == len(several)
        assert identity(Credentials(**KEYS)) == identity(Credentials(**KEYS))

    @pytest.mark.parametrize("variable", ["AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"])
    def test_changes_when_a_shared_file_appears_or_changes(
        self, variable: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        file = tmp_path / "aws"
        monkeypatch.setenv(variable, str(file))
        absent = identity()
        file.write_text("[default]\n")
        present = identity()
        os.utime(file, ns=(1, 1))
        touched = identity()
        file.write_text("[default]\nregion = us-east-1\n")
        assert len({absent, present, touched, identity()}) == 4

    def test_holds_no_secret(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)
        assert SECRET not in repr(identity(Credentials(bearer_token=SECRET)))
        assert SECRET.encode() not in pickle.dumps(identity())

    def test_other_mappings_are_read_the_public_way(self) -> None:
        environ = {"AWS_PROFILE": "a"}
        assert identity(environ=environ) == identity(environ={"AWS_PROFILE": "a"})
        assert identity(environ=environ) != identity(environ={"AWS_PROFILE": "b"})

    def test_a_value_that_is_unset_differs_from_a_blank_one(self) -> None:
        assert environment_digest({}, ("A",)) != environment_digest({"A": ""}, ("A",))
        assert environment_digest({"A": "x", "B": "y"}, ("A", "B")) != environment_digest({"A": "x, y"}, ("A", "B"))
