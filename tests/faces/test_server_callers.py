"""Whose credentials a call is made with, which backend it goes to, and what the server lets in."""

from __future__ import annotations

import gc
import subprocess
import sys
import textwrap
import threading
from pathlib import Path
from typing import Any

import pytest

from agent.bedrock.errors import InvalidRequestError, SettingsError
from agent.bedrock.faces.backends import Backends
from agent.bedrock.faces.config import Backend, Configuration, Model, ServerSettings, read_configuration
from agent.bedrock.faces.server.callers import Callers
from agent.bedrock.faces.server.exchange import RefusedError
from agent.bedrock.faces.server.limits import Door, is_loopback
from agent.bedrock.faces.server.run import create_app
from agent.bedrock.testing import FakeBedrock, Key, Reasoning, Refusal, Reply, ToolCall
from tests.faces.serving import CHAT, CLAUDE, KEYS, NOVA, USER, Served, house, httpx, served, serving
from tests.moments import comes_true

__all__ = ["house", "served"]

ANN = {"X-AWS-Access-Key-Id": "AKIDANN", "X-AWS-Secret-Access-Key": "ann-secret"}
BOB = {"X-AWS-Access-Key-Id": "AKIDBOB", "X-AWS-Secret-Access-Key": "bob-secret", "X-AWS-Session-Token": "bob-token"}
BODY = {"model": NOVA, "messages": USER}


def signer(request: Any) -> str:
    """The access key that a request was signed with."""
    return str(request.headers["authorization"]).partition("Credential=")[2].partition("/")[0]


# --- credentials ------------------------------------------------------------------------------------------------------


def test_a9_interleaved_callers_sign_with_their_own_credentials() -> None:
    """The stand-in checks every signature, so that a mixed-up secret or token would be refused."""
    known = {
        "AKIDANN": Key("ann-secret"),
        "AKIDBOB": Key("bob-secret", "bob-token"),
        "AKIDSERVER": Key("server-secret"),
    }
    turns = [ANN, BOB, {}] * 6
    with FakeBedrock(lambda request: Reply(signer(request)), credentials=known) as fake, serving(fake) as served:
        answers: list[tuple[dict[str, str], Any]] = []

        def call(headers: dict[str, str]) -> None:
            answers.append((headers, served.http.post(CHAT, json=BODY, headers=headers)))

        threads = [threading.Thread(target=call, args=(headers,)) for headers in turns]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    for headers, response in answers:
        expected = headers.get("X-AWS-Access-Key-Id", "AKIDSERVER")
        assert response.json()["choices"][0]["message"]["content"] == expected


def test_a_region_of_the_request_is_the_region_of_the_call(served: Served) -> None:
    served.http.post(CHAT, json=BODY, headers={**ANN, "X-AWS-Region": "eu-west-3"})
    assert "/eu-west-3/bedrock/" in served.fake.requests[-1].headers["authorization"]


def test_a_bearer_token_of_the_request_is_its_only_credential() -> None:
    headers = {"x-aws-bearer-token": "bedrock-key"}
    bedrock = Callers(Backends(region="us-east-1", **KEYS), ServerSettings(), print).core(headers).bedrock
    assert repr(bedrock) == "Bedrock(region='us-east-1', Credentials(bearer_token=<set>))"


def test_nothing_of_the_servers_credentials_is_mixed_with_a_callers() -> None:
    backends = Backends(region="us-east-1", profile="p", **KEYS, aws_session_token="of the server")
    mixed = backends.with_options(aws_access_key_id="AKID", aws_secret_access_key="s").arguments(None)
    assert (mixed["aws_access_key_id"], mixed.get("aws_session_token"), mixed.get("profile")) == ("AKID", None, None)


BAD_HEADERS = {
    "a key without its secret": {"X-AWS-Access-Key-Id": "AKID"},
    "a secret without its key": {"X-AWS-Secret-Access-Key": "s3cret"},
    "a token alone": {"X-AWS-Session-Token": "s3cret"},
    "keys of variables that are not set": {"X-AWS-Access-Key-Id": "", "X-AWS-Secret-Access-Key": ""},
    "a region that is none": {"X-AWS-Region": "evil.example.com/"},
    "a region with a port": {"X-AWS-Region": "us-east-1:80"},
    "an unknown backend": {"X-Bedrock-Backend": "other"},
}


@pytest.mark.parametrize("name", BAD_HEADERS)
def test_headers_that_are_not_enough_are_refused_without_showing_them(name: str, served: Served) -> None:
    response = served.http.post(CHAT, json=BODY, headers=BAD_HEADERS[name])
    assert response.status_code == 400
    assert "s3cret" not in response.text
    assert not served.fake.requests


def test_a12_without_credentials_of_its_own_a_call_is_refused_where_the_servers_are_not_lent() -> None:
    sources: list[str] = []
    settings = ServerSettings(server_credentials=False)
    callers = Callers(Backends(region="us-east-1", **KEYS), settings, sources.append)
    with pytest.raises(ValueError, match="send X-AWS-Access-Key-Id and"):
        callers.core({})
    assert callers.core({name.lower(): value for name, value in ANN.items()})
    assert sources == ["caller"]  # nobody's were used for the call that was refused
    Callers(Backends(region="us-east-1", **KEYS), ServerSettings(), sources.append).core({})
    assert sources == ["caller", "server"]


def test_a12_the_refusal_is_a_401_and_whose_credentials_are_used_is_counted() -> None:
    with FakeBedrock() as fake, serving(fake, settings={"server_credentials": False}) as served:
        response = served.chat()
        assert (response.status_code, response.json()["error"]["type"]) == (401, "authentication_error")
        assert served.http.post(CHAT, json=BODY, headers=ANN).status_code == 200
        metrics = served.http.get("/metrics").text
        assert 'bedrock_credentials_total{source="caller"} 1' in metrics
        assert [signer(request) for request in fake.requests] == ["AKIDANN"]
        assert served.http.get("/healthz").json() == {"status": "ok", "credentials": "of the callers"}


def core_of(callers: Callers, number: int, **headers: str) -> Any:
    keys = {"x-aws-access-key-id": f"AKID{number}", "x-aws-secret-access-key": f"secret{number}"}
    return callers.core({**keys, **headers})


def test_a10_clients_are_reused_by_region_and_identity_and_bounded() -> None:
    callers = Callers(Backends(region="us-east-1"), ServerSettings(max_callers=4), print)
    first = core_of(callers, 1)
    assert core_of(callers, 1) is first
    assert first.bedrock.client is core_of(callers, 1).bedrock.client
    assert core_of(callers, 1, **{"x-aws-region": "eu-west-1"}) is not first
    assert core_of(callers, 1, **{"x-aws-session-token": "t"}) is not first
    for number in range(2, 20):
        core_of(callers, number)
    assert len(callers) == 4
    assert core_of(callers, 1) is not first


def test_a9_what_one_callers_answer_reasoned_is_never_put_into_anothers_request() -> None:
    asked = {**BODY, "model": CLAUDE, "tools": [{"type": "function", "function": {"name": "look"}}]}
    with (
        FakeBedrock(lambda _: Reply(Reasoning("Of Ann.", "c2ln"), ToolCall("look", {}, id="t1"))) as fake,
        serving(fake, settings={"carry_reasoning": "store"}) as served,
    ):
        said = served.http.post(CHAT, json=asked, headers=ANN).json()["choices"][0]["message"]
        bare = {"role": "assistant", "tool_calls": said["tool_calls"]}
        result = {"role": "tool", "tool_call_id": "t1", "content": "seen"}
        again = {**asked, "messages": [*BODY["messages"], bare, result]}
        for headers, knows in ((BOB, False), ({}, False), (ANN, True)):
            served.http.post(CHAT, json=again, headers=headers)
            assert ("Of Ann." in str(fake.requests[-1].body)) is knows


def test_what_is_kept_of_callers_names_no_secret() -> None:
    callers = Callers(Backends(region="us-east-1"), ServerSettings(), print)
    core = core_of(callers, 7)
    gc.collect()
    assert "secret7" not in repr([vars(callers), vars(core.bedrock)["_credentials"], core.bedrock])


# --- backends ---------------------------------------------------------------------------------------------------------


def two_backends(fake: FakeBedrock) -> Configuration:
    return Configuration(
        backends={
            "east": Backend(region="us-east-1", endpoint_url=fake.url, model="amazon.nova-lite-v1:0"),
            "west": Backend(region="us-west-2", endpoint_url=f"{fake.url}/west", model="amazon.nova-pro-v1:0"),
        },
        models={"small": Model("amazon.nova-micro-v1:0", "west", extra={"temperature": 0.25}, stream=False)},
        default_backend="east",
    )


def where(fake: FakeBedrock) -> tuple[str, str]:
    request = fake.requests[-1]
    return request.headers["authorization"].split("/")[2], request.path


def test_a11_named_backends_with_a_default_and_a_choice_per_call() -> None:
    with FakeBedrock(strict=False) as fake, serving(fake, two_backends(fake), **KEYS) as served:
        chat = {"messages": USER}
        served.http.post(CHAT, json=chat)
        assert where(fake) == ("us-east-1", "/model/amazon.nova-lite-v1%3A0/converse")
        served.http.post(CHAT, json=chat, headers={"X-Bedrock-Backend": "west"})
        assert where(fake) == ("us-west-2", "/west/model/amazon.nova-pro-v1%3A0/converse")
        served.http.post(CHAT, json={**chat, "model": "small"}, headers=ANN)
        assert where(fake) == ("us-west-2", "/west/model/amazon.nova-micro-v1%3A0/converse")
        assert signer(fake.requests[-1]) == "AKIDANN"
        assert "small" in [entry["id"] for entry in served.http.get("/v1/models").json()["data"]]


def test_a1_the_default_model_is_asked_where_a_call_names_none() -> None:
    configuration = Configuration(default_model=NOVA)
    with FakeBedrock() as fake, serving(fake, configuration) as served:
        for model in ("", None, " "):
            assert (
                served.http.post("/api/v1/llm/completions", json={"model": model, "messages": USER}).status_code == 200
            )
            assert fake.requests[-1].model_id == NOVA


def test_e26_a_model_that_does_not_stream_is_asked_for_whole_answers() -> None:
    with (
        FakeBedrock(lambda _: Reply("Hello."), strict=False) as fake,
        serving(fake, two_backends(fake), **KEYS) as served,
    ):
        response = served.http.post(CHAT, json={"model": "small", "messages": USER, "stream": True, "temperature": 1})
        assert response.text.count('"content":"Hello."') == 1
        assert "[DONE]" in response.text
        assert where(fake)[1].endswith("/converse")
        assert fake.requests[-1].body["inferenceConfig"]["temperature"] == 0.25


# --- the door ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "10.0.0.1", "example.com", ""])
def test_to_listen_elsewhere_a_key_is_required(host: str, monkeypatch: pytest.MonkeyPatch) -> None:
    configuration = Configuration(server=ServerSettings(host=host))
    with pytest.raises(SettingsError, match="an API key is required"):
        create_app(configuration, region="us-east-1", **KEYS)
    named = Configuration(server=ServerSettings(host=host, api_key_env=("SERVER_KEY",)))
    with pytest.raises(SettingsError, match="SERVER_KEY, which is not set"):
        Door.for_configuration(named)
    monkeypatch.setenv("SERVER_KEY", "k")
    assert Door.for_configuration(named)


def test_the_loopback_is_known_by_all_its_names() -> None:
    assert all(map(is_loopback, ["localhost", "127.0.0.1", "127.9.9.9", "::1", "[::1]", "LOCALHOST"]))
    assert not any(map(is_loopback, ["", "localhost.example.com", "128.0.0.1", "0.0.0.0", "::"]))


SHOWN: dict[str, tuple[dict[str, str], bool]] = {
    "bearer": ({"Authorization": "Bearer first key"}, True),
    "lower case": ({"authorization": "bearer second"}, True),
    "x-api-key": ({"x-api-key": "second"}, True),
    "nothing": ({}, False),
    "another": ({"Authorization": "Bearer third"}, False),
    "a part": ({"Authorization": "Bearer secon"}, False),
    "basic": ({"Authorization": "Basic second"}, False),
    "not ascii": ({"x-api-key": "s\u00e9cond"}, False),
    "empty": ({"x-api-key": ""}, False),
}


@pytest.mark.parametrize("name", SHOWN)
def test_a_key_is_asked_for_where_there_are_keys(name: str) -> None:
    headers, lets_in = SHOWN[name]
    door = Door(("first key", "second"))
    given = {key.lower(): value for key, value in headers.items()}
    if lets_in:
        door.let_in(given)
    else:
        with pytest.raises(Exception, match="API key of this server"):
            door.let_in(given)


def test_a_key_may_have_letters_of_any_language_and_comes_as_bytes() -> None:
    as_it_comes = "schlüssel".encode().decode("latin-1")
    Door(("schlüssel",)).let_in({"x-api-key": as_it_comes})
    with pytest.raises(RefusedError):
        Door(("schlüssel",)).let_in({"x-api-key": "schl"})


def test_a_server_with_a_key_answers_nobody_without_it_except_on_health(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SERVER_KEY", "open sesame")
    with FakeBedrock() as fake, serving(fake, settings={"api_key_env": ("SERVER_KEY",)}) as served:
        for method, path in (
            ("POST", CHAT),
            ("GET", "/v1/models"),
            ("GET", "/metrics"),
            ("POST", "/api/v1/llm/completions"),
        ):
            refused = served.http.request(method, path)
            assert (refused.status_code, refused.headers["www-authenticate"]) == (401, "Bearer")
            assert refused.json()["error"]["code"] == "invalid_api_key"
        assert served.http.get("/healthz").status_code == 200
        assert all(request.operation == "unknown" for request in fake.requests)  # what health asks
        key = {"Authorization": "Bearer open sesame"}
        assert served.http.post(CHAT, json=BODY, headers=key).status_code == 200


PAGES = {
    "a page of another origin": ({"Origin": "https://evil.example.com"}, 403),
    "a name that was bound to this machine": ({"Host": "evil.example.com"}, 403),
    "an origin that is none": ({"Origin": "http://["}, 403),
    "a page of this machine": ({"Origin": "http://localhost:3000"}, 200),
}


@pytest.mark.parametrize("name", PAGES)
def test_without_a_key_pages_of_a_browser_are_kept_out(name: str, served: Served) -> None:
    headers, status = PAGES[name]
    assert served.http.post(CHAT, json=BODY, headers=headers).status_code == status


# --- health -----------------------------------------------------------------------------------------------------------


def test_a14_health_asks_credentials_and_control_plane_and_remembers_it_for_a_while(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with FakeBedrock() as fake:
        monkeypatch.setenv("AWS_ENDPOINT_URL_BEDROCK", fake.url)
        with serving(fake, settings={"health_seconds": 60}, region="us-east-1", **KEYS) as served:
            health = served.http.get("/healthz")
            assert (health.status_code, health.json()["status"]) == (200, "ok")
            assert health.json()["backends"]["default"]["control_plane"] == "answers"
            for _ in range(3):
                served.http.get("/healthz")
            assert len(fake.requests) == 1
        with serving(fake, settings={"health_seconds": 0.2}, region="us-east-1", **KEYS) as served:
            fake.queue_control(Refusal("UnrecognizedClientException", "s3cret"))
            assert comes_true(lambda: served.http.get("/healthz").status_code == 503)
            failing = served.http.get("/healthz")
            assert failing.json()["backends"]["default"] == {"healthy": False, "kind": "auth"}
            fake.queue_control(Refusal("AccessDeniedException", "not yours"))
            assert comes_true(lambda: served.http.get("/healthz").status_code == 200)


def test_a14_the_health_of_a_gateway_is_that_it_answers() -> None:
    with FakeBedrock() as fake, serving(fake, settings={"health_seconds": 0.05}) as served:
        assert served.http.get("/healthz").json()["backends"]["default"]["endpoint"] == "answers"
        with fake.refusing():
            fake.drop_connections()
            assert comes_true(lambda: served.http.get("/healthz").status_code == 503)


def test_a14_the_health_of_a_gateway_with_a_control_plane_is_that_both_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    with FakeBedrock() as fake, serving(fake, settings={"health_seconds": 0.05}) as served:
        monkeypatch.setenv("AWS_ENDPOINT_URL_BEDROCK", fake.url)
        assert served.http.get("/healthz").json()["backends"]["default"] == {
            "healthy": True,
            "credentials": "accepted",
            "endpoint": "answers",
            "control_plane": "answers",
        }
        fake.queue_control(Refusal("UnrecognizedClientException", "s3cret"))
        assert comes_true(lambda: served.http.get("/healthz").status_code == 503)


def test_the_health_check_of_the_compose_file_tells_healthy_from_failing(served: Served) -> None:
    text = (Path(__file__).resolve().parents[2] / "compose.yaml").read_text(encoding="utf-8")
    check = text.partition("- |\n")[2].partition("      interval:")[0]
    health = textwrap.dedent(check).replace("8080", str(served.port))
    assert subprocess.run([sys.executable, "-I", "-c", health], check=False).returncode == 0
    assert subprocess.run([sys.executable, "-I", "-c", health.replace("z", "")], check=False).returncode == 1


def test_a_missing_variable_is_said_when_the_server_starts(tmp_path: Path) -> None:
    path = tmp_path / "bedrock.toml"
    path.write_text('[backends.a]\nregion = "us-east-1"\nbearer_token_env = "NO_SUCH_TOKEN"\n')
    with pytest.raises(SettingsError, match="NO_SUCH_TOKEN, which is not set"):
        create_app(read_configuration(path))


def test_an_unknown_backend_says_which_there_are() -> None:
    callers = Callers(Backends(Configuration(backends={"a": Backend()})), ServerSettings(), print)
    with pytest.raises(InvalidRequestError, match="there is no backend 'b'; there are: a"):
        callers.core({"x-provider-llm": "b"})


def test_every_replica_answers_alike_since_none_remembers() -> None:
    with FakeBedrock(lambda _: Reply("Hello.")) as fake, serving(fake) as one, serving(fake) as other:
        assert httpx.post(f"{one.url}{CHAT}", json=BODY).json()["choices"] == other.chat().json()["choices"]
