"""Backends and models of a configuration at work, through the client that everyone shares."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Coroutine
from pathlib import Path
from time import monotonic
from typing import Any

import pytest

from agent.bedrock import AsyncBedrock, Bedrock, async_http_client, http_client
from agent.bedrock.errors import InvalidRequestError, SettingsError
from agent.bedrock.faces.backends import Backends
from agent.bedrock.faces.config import Backend, Configuration, Model
from agent.bedrock.response.events import TextDelta
from agent.bedrock.testing import FakeBedrock, Reasoning, Refusal, Reply, Stall, StreamException, Text
from tests.moments import comes_true, prompt
from tests.wire.streaming import authority_file, server_context

NOVA = "us.amazon.nova-lite-v1:0"
CLAUDE = "us.anthropic.claude-sonnet-4-5-20250929-v1:0"
USER = [{"role": "user", "content": "Hi"}]
KEYS = {"aws_access_key_id": "AKIDEXAMPLE", "aws_secret_access_key": "not-a-secret"}
ARN = "arn:aws:bedrock:us-east-1:123456789012:inference-profile/us.amazon.nova-lite-v1:0"

Configured = Callable[..., Bedrock]


def backends(fake: FakeBedrock, *, models: dict[str, Model] | None = None, **backend: Any) -> Backends:
    here = Backend(**{"region": "us-east-1", "endpoint_url": fake.url, "max_attempts": 1, **backend})
    return Backends(Configuration(backends={"here": here}, models=models or {}), **KEYS)


# --- regions and credentials ------------------------------------------------------------------------------------------


def test_a1_the_region_is_us_east_1_where_nothing_says_otherwise() -> None:
    assert Backends().bedrock().region == "us-east-1"


def test_a1_a_default_model_is_used_when_none_is_named() -> None:
    with FakeBedrock() as fake:
        here = backends(fake, model=NOVA).bedrock()
        here.complete("", USER)
        assert here.chat.completions.create(model="", messages=USER).model == NOVA
        assert [request.model_id for request in fake.requests] == [NOVA, NOVA]
    with pytest.raises(InvalidRequestError, match="names no model, and none is configured"):
        Backends().bedrock().complete("", USER)


def test_a2_the_region_is_the_configurations_else_that_of_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_REGION", "eu-west-3")
    assert Backends().bedrock().region == "eu-west-3"
    assert Backends(Configuration(backends={"a": Backend(region="eu-west-1")})).bedrock().region == "eu-west-1"
    assert Backends(region="eu-west-2").bedrock().region == "eu-west-2"


def test_an_argument_wins_over_the_file_and_the_file_over_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BEDROCK_READ_TIMEOUT", "7")
    silent, told = (
        Configuration(backends={"a": Backend(region="us-east-1", **more)}) for more in ({}, {"read_timeout": 5.0})
    )
    found = [Backends(silent), Backends(told), Backends(told, read_timeout=9)]
    assert [backends.bedrock().settings.read_timeout for backends in found] == [7, 5, 9]


def test_a3_keys_and_session_token_come_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"ACCESS_KEY_ID": "AKIDENV", "SECRET_ACCESS_KEY": "s", "SESSION_TOKEN": "env-token"}.items():
        monkeypatch.setenv(f"AWS_{name}", value)
    with FakeBedrock() as fake:
        Backends(endpoint_url=fake.url).bedrock().complete(NOVA, USER)
        headers = fake.requests[0].headers
    assert "Credential=AKIDENV/" in headers["authorization"]
    assert headers["x-amz-security-token"] == "env-token"


def test_named_variables_hold_a_backends_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("TEAM_KEY", "TEAM_SECRET", "TEAM_TOKEN"):
        monkeypatch.setenv(name, f"{name}-value")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIDENV")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "s")
    named = Backend(
        region="us-east-1",
        access_key_id_env="TEAM_KEY",
        secret_access_key_env="TEAM_SECRET",
        session_token_env="TEAM_TOKEN",
    )
    with FakeBedrock() as fake:
        Backends(Configuration(backends={"team": named}), endpoint_url=fake.url).bedrock().complete(NOVA, USER)
        headers = fake.requests[0].headers
    assert "Credential=TEAM_KEY-value/" in headers["authorization"]
    assert headers["x-amz-security-token"] == "TEAM_TOKEN-value"


def test_a11_each_backend_has_its_own_region_model_and_connections() -> None:
    configuration = Configuration(
        backends={
            "east": Backend(region="us-east-1", model="amazon.nova-lite-v1:0"),
            "west": Backend(region="us-west-2", model="amazon.nova-pro-v1:0"),
        },
        default_backend="west",
    )
    both = Backends(configuration)
    assert both.bedrock().region == "us-west-2"
    assert both.bedrock("east").region == "us-east-1"
    assert (both.route("").model, both.route("", "east").model) == ("amazon.nova-pro-v1:0", "amazon.nova-lite-v1:0")
    assert both.bedrock() is both.bedrock("west")
    assert both.bedrock() is not both.bedrock("east")


# --- addresses --------------------------------------------------------------------------------------------------------


@pytest.fixture
def secure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A gateway over TLS, which botocore asks for before it sends a bearer token."""
    monkeypatch.setenv("AWS_CA_BUNDLE", authority_file(tmp_path))
    monkeypatch.setenv("GATEWAY_TOKEN", "gateway-token")
    with FakeBedrock(lambda _: Reply("Hello."), ssl_context=server_context(), strict=False) as fake:
        yield fake


def test_e13_a_bearer_token_is_sent_as_such_and_nothing_is_signed(secure: FakeBedrock) -> None:
    here = Backend(region="us-east-1", endpoint_url=secure.url, bearer_token_env="GATEWAY_TOKEN")
    bedrock = Backends(Configuration(backends={"gateway": here})).bedrock()
    for stream in (False, True):
        ask(bedrock, NOVA, stream)
        headers = secure.requests[-1].headers
        assert headers["authorization"] == "Bearer gateway-token"
        assert not {"x-amz-date", "x-amz-security-token", "x-amz-content-sha256"} & headers.keys()


def test_a_gateways_token_is_shown_to_nobody_else(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GATEWAY_TOKEN", "gateway-token")

    def at(url: str) -> Bedrock:
        here = Backend(region="us-east-1", endpoint_url=url, bearer_token_env="GATEWAY_TOKEN")
        return Backends(Configuration(backends={"gateway": here})).bedrock()

    with pytest.raises(SettingsError, match="set AWS_ENDPOINT_URL_BEDROCK"):
        _ = at("https://llm.example.com/corp").control_client
    assert at("https://vpce-1.bedrock-runtime.us-east-1.vpce.amazonaws.com").control_client
    monkeypatch.setenv("AWS_ENDPOINT_URL_BEDROCK", "https://llm.example.com/control")
    assert at("https://llm.example.com/corp").control_client


def ask(bedrock: Bedrock, model: str, stream: bool) -> str | None:
    if not stream:
        return bedrock.complete(model, USER).choices[0].message.content
    return bedrock.stream(model, USER).completion().choices[0].message.content


ADDRESSES: dict[str, tuple[str, str, str]] = {
    "plain": ("", NOVA, "/model/us.amazon.nova-lite-v1%3A0/"),
    "a prefix": ("/corp/bedrock/", NOVA, "/corp/bedrock/model/us.amazon.nova-lite-v1%3A0/"),
    "an arn": (
        "/corp",
        ARN,
        "/corp/model/arn%3Aaws%3Abedrock%3Aus-east-1%3A123456789012%3Ainference-profile%2Fus.amazon.nova-lite-v1%3A0/",
    ),
    "region and model": ("/gw/{region}.{model}", "amazon.nova-lite-v1:0", "/gw/us-east-1.amazon.nova-lite-v1%3A0/"),
    "model alone": ("/gw/{model}/", "amazon.nova-lite-v1:0", "/gw/amazon.nova-lite-v1%3A0/"),
    "region in between": ("/{region}/x/{model}", "amazon.nova-lite-v1:0", "/us-east-1/x/amazon.nova-lite-v1%3A0/"),
    "region alone": ("/{region}", NOVA, "/us-east-1/model/us.amazon.nova-lite-v1%3A0/"),
}


@pytest.mark.parametrize("name", ADDRESSES)
def test_e14_the_base_url_is_configurable_and_the_model_is_one_encoded_segment(name: str) -> None:
    suffix, model, path = ADDRESSES[name]
    with FakeBedrock(lambda _: Refusal("ValidationException", "not here"), strict=False) as fake:
        bedrock = backends(fake, endpoint_url=fake.url + suffix).bedrock()
        for stream in (False, True):
            with pytest.raises(Exception, match=r".*"):
                ask(bedrock, model, stream)
        assert [request.target for request in fake.requests] == [f"{path}converse", f"{path}converse-stream"]


def test_e14_what_is_sent_to_a_patterns_address_is_signed_for_it(secure: FakeBedrock) -> None:
    here = Backend(region="us-east-1", endpoint_url=f"{secure.url}/gw/{{region}}.{{model}}")
    with pytest.raises(Exception, match=r".*"):
        Backends(Configuration(backends={"a": here}), max_attempts=1, **KEYS).bedrock().complete(NOVA, USER)
    assert secure.requests[-1].headers["authorization"].startswith("AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/")


# --- models -----------------------------------------------------------------------------------------------------------


def test_e26_a_name_stands_for_a_model_with_its_extra_payload() -> None:
    extra = {"temperature": 0.25, "guardrailConfig": {"guardrailIdentifier": "g", "guardrailVersion": "1"}}
    with FakeBedrock(strict=False) as fake:
        here = backends(fake, models={"small": Model(NOVA, extra=extra)}).bedrock()
        mine = {"guardrailIdentifier": "mine", "trace": "enabled"}
        here.complete("small", USER, temperature=1.0, max_tokens=7, extra={"guardrailConfig": mine})
        body, model = fake.requests[0].body, fake.requests[0].model_id
    assert model == NOVA
    assert body["inferenceConfig"] == {"temperature": 0.25, "maxTokens": 7}
    assert body["guardrailConfig"] == {"guardrailIdentifier": "g", "guardrailVersion": "1", "trace": "enabled"}


def test_e26_a_model_with_stream_false_is_asked_for_a_whole_answer_that_is_told_as_a_stream() -> None:
    with FakeBedrock(lambda _: Reply("Hello.")) as fake:
        here = backends(fake, models={"whole": Model(NOVA, stream=False)}).bedrock()
        events = list(here.stream("whole", USER))
        assert fake.requests[0].operation == "converse"
        assert [event.text for event in events if isinstance(event, TextDelta)] == ["Hello."]
        here.stream(NOVA, USER).completion()
        assert fake.requests[1].operation == "converse-stream"


def test_e26_the_region_builds_the_endpoint_when_no_url_is_given() -> None:
    bedrock = Backends(Configuration(backends={"a": Backend(region="eu-south-2")})).bedrock()
    assert bedrock.client.meta.endpoint_url == "https://bedrock-runtime.eu-south-2.amazonaws.com"


def test_e12_thinking_and_effort_of_a_models_extra_payload_are_translated() -> None:
    budget = {"thinking": {"type": "enabled", "budget_tokens": 2048}, "max_tokens": 4096}
    with FakeBedrock() as fake:
        here = backends(fake, models={"thinker": Model(CLAUDE, extra=budget)}).bedrock()
        here.complete("thinker", USER, reasoning_effort="low")
        thinking = fake.requests[0].body["additionalModelRequestFields"]["thinking"]
    assert thinking == {"type": "enabled", "budget_tokens": 2048}


def test_a_fallback_answers_where_the_first_is_throttled() -> None:
    spare = "us.amazon.nova-pro-v1:0"

    def script(request: Any) -> Any:
        return Refusal("ThrottlingException", "Slow down.") if request.model_id == NOVA else Reply("From the spare.")

    models = {"main": Model(NOVA, fallbacks=((None, "spare"),)), "spare": Model(spare)}
    with FakeBedrock(script) as fake:
        here = backends(fake, models=models).bedrock()
        assert here.complete("main", USER).choices[0].message.content == "From the spare."
        assert [request.model_id for request in fake.requests] == [NOVA, spare]


# --- everyone shares it -----------------------------------------------------------------------------------------------

FILE = """
default_model = "fast"
[backends.here]
region = "us-east-1"
endpoint_url = "{url}"
access_key_id_env = "TEAM_KEY"
secret_access_key_env = "TEAM_SECRET"
[models.fast]
model = "us.amazon.nova-lite-v1:0"
extra = {{ temperature = 0.5 }}
"""


@pytest.fixture
def from_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setenv("TEAM_KEY", "AKIDTEAM")
    monkeypatch.setenv("TEAM_SECRET", "s")
    with FakeBedrock(lambda _: Reply("Hello.")) as fake:
        path = tmp_path / "bedrock.toml"
        path.write_text(FILE.format(url=fake.url), encoding="utf-8")
        yield fake, path


def test_the_client_takes_the_file(from_file: Any) -> None:
    fake, path = from_file
    bedrock = Bedrock.from_config(path)
    bedrock.complete("fast", USER)
    bedrock.chat.completions.create(model="fast", messages=USER, timeout=9)
    bedrock.with_options(max_attempts=1).complete("fast", USER)
    assert {(request.model_id, request.body["inferenceConfig"]["temperature"]) for request in fake.requests} == {
        (NOVA, 0.5)
    }
    assert all("AKIDTEAM" in request.headers["authorization"] for request in fake.requests)


def test_the_async_client_and_the_transports_take_it_too(from_file: Any) -> None:
    fake, path = from_file
    httpx = pytest.importorskip("httpx")
    openai = pytest.importorskip("openai")

    async def scene() -> None:
        async with AsyncBedrock.over(Bedrock.from_config(path)) as bedrock:
            await bedrock.complete("fast", USER)
        client = async_http_client(bedrock=Bedrock.from_config(path), library=httpx)
        await openai.AsyncOpenAI(api_key="x", base_url="http://b/v1", http_client=client).chat.completions.create(
            model="fast", messages=USER
        )

    asyncio.run(scene())
    sync = http_client(bedrock=Bedrock.from_config(path), library=httpx)
    openai.OpenAI(api_key="x", base_url="http://b/v1", http_client=sync).chat.completions.create(
        model="fast", messages=USER
    )
    assert [request.model_id for request in fake.requests] == [NOVA] * 3


# --- A7 ---------------------------------------------------------------------------------------------------------------


def test_a7_the_async_iterator_over_a_sync_stream() -> None:
    """Events as on the sync path, and exceptions in the consumer. What is read ahead is bounded: see test_aio.py."""
    whole = Reply(Reasoning("Hm.", "c2ln"), Text(["a", "b"]))
    broken = Reply(Text(["a", "b"]), fault=StreamException("modelStreamErrorException", at=2))

    async def scene(bedrock: AsyncBedrock) -> list[Any]:
        with pytest.raises(Exception, match="ThrottlingException"):
            await bedrock.stream(CLAUDE, USER)
        with pytest.raises(Exception, match="modelStreamErrorException"):
            await bedrock.stream(CLAUDE, USER).completion()
        return [event async for event in bedrock.stream(CLAUDE, USER)]

    with FakeBedrock([Refusal("ThrottlingException"), broken, whole]) as fake:
        told = in_a_loop(fake, scene)
    with FakeBedrock([whole]) as fake:
        assert told == list(Bedrock("us-east-1", endpoint_url=fake.url, **KEYS).stream(CLAUDE, USER))


def test_a7_leaving_the_loop_closes_the_connection_within_a_second_and_the_thread_ends() -> None:
    def leave() -> float:
        async def scene(bedrock: AsyncBedrock) -> float:
            async with bedrock.stream(CLAUDE, USER) as stream:
                async for _ in stream:
                    break
                left = monotonic()
            assert await asyncio.to_thread(fake.wait_for, lambda fake: fake.requests[0].abandoned)
            return monotonic() - left

        with FakeBedrock([Reply(Text(["one", "two", "three"]), fault=Stall(3))]) as fake:
            return in_a_loop(fake, scene)

    assert prompt(leave, within=1.0)
    assert comes_true(lambda: not any(thread.name == "bedrock-worker" for thread in threading.enumerate()))


def in_a_loop(fake: FakeBedrock, scene: Callable[[AsyncBedrock], Coroutine[Any, Any, Any]]) -> Any:
    async def play() -> Any:
        async with AsyncBedrock("us-east-1", endpoint_url=fake.url, max_attempts=1, **KEYS) as bedrock:
            return await scene(bedrock)

    return asyncio.run(play())
