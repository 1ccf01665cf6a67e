"""The User-Agent that is kept: to the letter botocore's, with the features of each request."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import botocore.session
import pytest
from botocore.config import Config

from agent.bedrock.aws import useragent
from agent.bedrock.aws.credentials import Credentials
from agent.bedrock.aws.sessions import open_session
from agent.bedrock.aws.useragent import keep_user_agent, present_as_boto3

context = pytest.importorskip("botocore.context")  # with an older botocore nothing is kept


class Sent(Exception):  # noqa: N818 - ends a call before it is sent
    pass


def client_of(*, keeping: bool, name: str | None = None, **config: Any) -> Any:
    session = botocore.session.Session()
    session.set_credentials("AKIDEXAMPLE", "not-a-secret")
    if name is not None:
        session.user_agent_name, session.user_agent_version = name, "1.2"
        session.user_agent_extra = "more/stuff"
    if keeping:
        keep_user_agent(session)
    client = session.create_client("bedrock-runtime", region_name="us-east-1", config=Config(**config))

    def stop(request: Any, **_: Any) -> None:
        raise Sent(request.headers["User-Agent"].decode())

    client.meta.events.register("before-send", stop)
    return client


def agent_of(client: Any) -> set[str]:
    """The parts of the header; botocore joins the features in no particular order."""
    with pytest.raises(Sent) as sent:
        client.converse(modelId="m", messages=[])
    return {part if not part.startswith("m/") else "m/" + "".join(sorted(part[2:])) for part in str(sent.value).split()}


CONFIGS: list[dict[str, Any]] = [
    {},
    {"user_agent_extra": "bedrock-chat-adapter/0.1.0"},
    {"user_agent_appid": "app"},
    {"user_agent": "only/this"},
    {"retries": {"mode": "adaptive", "total_max_attempts": 1}},
    {"name": "Boto3"},
]


@pytest.mark.parametrize("config", CONFIGS, ids=str)
def test_it_is_what_botocore_builds(config: dict[str, Any]) -> None:
    kept, plain = client_of(keeping=True, **config), client_of(keeping=False, **config)
    for _ in range(3):
        assert agent_of(kept) == agent_of(plain)
    assert kept.meta.config.user_agent.split()[:2] == plain.meta.config.user_agent.split()[:2]


def test_features_of_a_request_are_in_that_request_only() -> None:
    from botocore.useragent import register_feature_id

    kept, plain = client_of(keeping=True), client_of(keeping=False)
    for feature in ("PAGINATOR", None, "WAITER"):
        with context.start_as_current_context():
            if feature:
                register_feature_id(feature)
            assert agent_of(kept) == agent_of(plain)


@pytest.mark.parametrize("name", ["user_agent_extra", "user_agent_appid"])
def test_a_part_that_is_set_later_is_in_the_next_request(name: str) -> None:
    kept, plain = client_of(keeping=True), client_of(keeping=False)
    for value in (None, "first", "second", None):
        for client in (kept, plain):
            setattr(client.meta.config, name, value)
        assert agent_of(kept) == agent_of(plain)
        assert not value or any(value in part for part in agent_of(kept))


def test_it_is_built_once(monkeypatch: pytest.MonkeyPatch) -> None:
    from botocore.useragent import UserAgentString

    built: list[str] = []
    genuine = UserAgentString.to_string
    monkeypatch.setattr(UserAgentString, "to_string", lambda self: (built.append("x"), genuine(self))[1])
    client = client_of(keeping=True)
    agent_of(client)
    built.clear()
    for _ in range(5):
        agent_of(client)
    assert not built


def test_a_creator_of_the_callers_own_stays() -> None:
    from botocore.useragent import UserAgentString

    class Own(UserAgentString):
        pass

    session = botocore.session.Session()
    own = Own.from_environment()
    session.register_component("user_agent_creator", own)
    keep_user_agent(session)
    assert session.get_component("user_agent_creator") is own


def test_where_something_rewrites_the_parts_botocore_builds_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("botocore.useragent.modify_components", lambda components: components[:1])
    useragent._keeping_class.cache_clear()
    try:
        session = botocore.session.Session()
        before = session.get_component("user_agent_creator")
        keep_user_agent(session)
        assert session.get_component("user_agent_creator") is before
    finally:
        useragent._keeping_class.cache_clear()


# --- boto3's name -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("extra", ["", "more/stuff"])
def test_a_session_says_of_itself_what_boto3_says(extra: str) -> None:
    boto3 = pytest.importorskip("boto3")
    ours, theirs = botocore.session.Session(), botocore.session.Session()
    ours.user_agent_extra = theirs.user_agent_extra = extra
    present_as_boto3(ours)
    boto3.Session(botocore_session=theirs)
    assert names(ours) == names(theirs)
    present_as_boto3(ours)
    assert names(ours) == names(theirs)


def names(session: Any) -> tuple[str, str, str]:
    return session.user_agent_name, session.user_agent_version, session.user_agent_extra


def test_clients_of_ours_begin_with_boto3() -> None:
    boto3 = pytest.importorskip("boto3")
    session = open_session(Credentials(aws_access_key_id="AKIDEXAMPLE", aws_secret_access_key="not-a-secret"))
    client = session.create_client("bedrock-runtime", region_name="us-east-1")
    assert client.meta.config.user_agent.startswith(f"Boto3/{boto3.__version__} ")


def test_the_version_is_read_without_importing_boto3(monkeypatch: pytest.MonkeyPatch) -> None:
    boto3 = pytest.importorskip("boto3")
    monkeypatch.delitem(sys.modules, "boto3")
    monkeypatch.setattr(useragent, "_boto3_version", useragent._boto3_version.__wrapped__)
    assert useragent._boto3_version() == boto3.__version__
    assert "boto3" not in sys.modules


def test_without_boto3_it_is_botocore(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delitem(sys.modules, "boto3", raising=False)
    monkeypatch.setattr(useragent, "_boto3_version", useragent._boto3_version.__wrapped__)
    monkeypatch.setattr(botocore, "__file__", str(tmp_path / "botocore" / "__init__.py"))
    session = botocore.session.Session()
    before = names(session)
    present_as_boto3(session)
    assert names(session) == before


def test_a_session_with_a_name_of_its_own_keeps_it() -> None:
    session = botocore.session.Session()
    session.user_agent_name = "Own"
    before = names(session)
    present_as_boto3(session)
    assert names(session) == before
