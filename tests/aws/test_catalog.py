"""Lists of models, the model behind a profile, and a model's window."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from typing import Any
from unittest.mock import MagicMock

import pytest

from agent.bedrock.aws import catalog
from agent.bedrock.aws.catalog import (
    DiscoveryCache,
    discover_models,
    model_from_arn,
    probe_context_length,
    provider_from_arn,
    resolve_inference_profile,
)
from agent.bedrock.aws.clients import build_control_client, build_runtime_client
from agent.bedrock.aws.credentials import Credentials
from agent.bedrock.aws.pace import Pace, current_pace
from agent.bedrock.aws.settings import ClientSettings
from agent.bedrock.testing import FakeBedrock, Refusal, Reply
from tests.moments import PATIENCE, comes_true

KEYS = Credentials(aws_access_key_id="AKIDEXAMPLE", aws_secret_access_key="s")
ARN = "arn:aws:bedrock:us-east-1::foundation-model/"
PROFILE_ARN = "arn:aws:bedrock:us-east-1:123456789012:application-inference-profile/abc123"


def model(model_id: str, name: str = "", provider: str = "Anthropic", **other: Any) -> dict[str, Any]:
    return {
        "modelId": model_id,
        "modelName": name or model_id,
        "providerName": provider,
        "inputModalities": ["TEXT", "IMAGE"],
        "outputModalities": ["TEXT"],
        "responseStreamingSupported": True,
        "modelLifecycle": {"status": "ACTIVE"},
        **other,
    }


def profile(profile_id: str, behind: str, name: str = "", **other: Any) -> dict[str, Any]:
    return {
        "inferenceProfileId": profile_id,
        "inferenceProfileName": name or profile_id,
        "status": "ACTIVE",
        "models": [{"modelArn": ARN + behind}],
        **other,
    }


def control(models: Any = (), pages: Any = ((),)) -> MagicMock:
    """A control client; either list may be an exception."""
    client = MagicMock()
    if isinstance(models, Exception):
        client.list_foundation_models.side_effect = models
    client.list_foundation_models.return_value = {"modelSummaries": models}
    if isinstance(pages, Exception):
        client.list_inference_profiles.side_effect = pages
        return client

    def page(nextToken: str = "0") -> dict[str, Any]:  # noqa: N803 (the service's own name)
        number = int(nextToken)
        more = {"nextToken": str(number + 1)} if number + 1 < len(pages) else {}
        return {"inferenceProfileSummaries": list(pages[number]), **more}

    client.list_inference_profiles.side_effect = page
    return client


class TestDiscovery:
    def test_active_text_models_that_stream_then_profiles_global_first_then_by_name(self) -> None:
        client = control(
            [
                model("anthropic.claude-b", "beta"),
                model("anthropic.claude-a", "Alpha"),
                model("anthropic.old", modelLifecycle={"status": "LEGACY"}),
                model("anthropic.mute", responseStreamingSupported=False),
                model("anthropic.painter", outputModalities=["IMAGE"]),
                model("anthropic.nameless", modelLifecycle={}),
                model(""),
            ],
            [
                [profile("us.anthropic.claude-a", "anthropic.claude-a", "US alpha")],
                [
                    profile("global.anthropic.claude-a", "anthropic.claude-a", "zeta"),
                    profile("eu.anthropic.claude-a", "anthropic.claude-a", status="CREATING"),
                    profile("ANTHROPIC.CLAUDE-A", "anthropic.claude-a"),
                ],
            ],
        )
        found, whole = discover_models(client)
        assert whole
        assert [entry["id"] for entry in found] == [
            "global.anthropic.claude-a",
            "anthropic.claude-a",
            "anthropic.claude-b",
            "us.anthropic.claude-a",
        ]
        assert found[1] == {
            "id": "anthropic.claude-a",
            "name": "Alpha",
            "provider": "Anthropic",
            "input_modalities": ["TEXT", "IMAGE"],
            "output_modalities": ["TEXT"],
            "streaming": True,
        }
        assert found[0]["provider"] == "inference-profile"

    def test_a_profile_has_the_modalities_of_its_model(self) -> None:
        client = control(
            [model("a.painter", outputModalities=["IMAGE"], responseStreamingSupported=False)],
            [[profile("us.a.painter", "a.painter"), profile("us.b.unlisted", "b.unlisted")]],
        )
        found = {entry["id"]: entry for entry in discover_models(client)[0]}
        assert found["us.a.painter"]["output_modalities"] == ["IMAGE"]
        assert found["us.a.painter"]["streaming"] is False
        assert found["us.b.unlisted"]["input_modalities"] == ["TEXT"]
        assert found["us.b.unlisted"]["streaming"] is True

    @pytest.mark.parametrize(
        ("wanted", "ids"),
        [
            (["Anthropic"], ["anthropic.a", "us.anthropic.a"]),
            (["anthropic"], ["anthropic.a", "us.anthropic.a"]),
            ([" AMAZON "], ["amazon.n", "us.amazon.n"]),
            (["nobody"], []),
            ([], ["amazon.n", "anthropic.a", "us.amazon.n", "us.anthropic.a"]),
        ],
    )
    def test_the_filter_takes_names_of_providers_in_any_case(self, wanted: list[str], ids: list[str]) -> None:
        client = control(
            [model("anthropic.a"), model("amazon.n", provider="Amazon")],
            [[profile("us.anthropic.a", "anthropic.a"), profile("us.amazon.n", "amazon.n")]],
        )
        assert [entry["id"] for entry in discover_models(client, wanted)[0]] == ids

    @pytest.mark.parametrize(
        ("client", "ids"),
        [
            (control([model("a.b")], RuntimeError("denied")), ["a.b"]),
            (control(RuntimeError("denied"), [[profile("us.a.b", "a.b")]]), ["us.a.b"]),
            (control(RuntimeError("x"), RuntimeError("y")), []),
        ],
    )
    def test_what_fails_leaves_what_there_is(self, client: MagicMock, ids: list[str]) -> None:
        found, whole = discover_models(client)
        assert [entry["id"] for entry in found] == ids
        assert not whole

    def test_pages_end_even_where_a_client_never_says_so(self) -> None:
        endless = control()
        endless.list_inference_profiles.side_effect = lambda **_: {"inferenceProfileSummaries": [], "nextToken": "same"}
        assert discover_models(endless) == ([], True)
        assert discover_models(MagicMock())[1] is True or discover_models(MagicMock())[0] == []

    def test_from_the_stand_in_over_the_wire(self) -> None:
        with FakeBedrock(page_size=2) as fake:
            client = build_control_client("us-east-1", ClientSettings(), KEYS, endpoint_url=fake.url)
            found, whole = discover_models(client)
        knows_profiles = hasattr(client, "list_inference_profiles")
        assert whole == knows_profiles
        assert len(found) > 4
        assert ("inference-profile" in {entry["provider"] for entry in found}) == knows_profiles


class TestDiscoveryCache:
    def test_a_list_is_good_for_an_hour_per_region_and_filter(self) -> None:
        now = [0.0]
        cache, client = DiscoveryCache(clock=lambda: now[0]), control([model("a.b")])
        first = cache.discover("us-east-1", None, lambda: client)
        now[0] = 3599.0
        assert cache.discover("us-east-1", (), lambda: pytest.fail("asked again")) == first
        assert cache.discover("eu-west-1", None, control) == []
        assert cache.discover("us-east-1", ["x"], control) == []
        assert cache.discover("us-east-1", ["X "], lambda: pytest.fail("asked again")) == []
        now[0] = 3600.0
        assert cache.discover("us-east-1", None, lambda: control([model("c.d")]))[0]["id"] == "c.d"

    def test_a_partial_list_is_given_and_not_kept(self) -> None:
        cache = DiscoveryCache()
        partial = control([model("a.b")], RuntimeError("denied"))
        assert [entry["id"] for entry in cache.discover("r", None, lambda: partial)] == ["a.b"]
        whole = control([model("a.b"), model("c.d")])
        assert len(cache.discover("r", None, lambda: whole)) == 2

    def test_without_a_client_there_is_no_list_and_nothing_is_kept(self) -> None:
        cache = DiscoveryCache()

        def no_client() -> Any:
            raise RuntimeError("no credentials")

        assert cache.discover("r", None, no_client) == []
        assert len(cache.discover("r", None, lambda: control([model("a.b")]))) == 1

    def test_what_is_kept_cannot_be_changed_by_who_got_it(self) -> None:
        cache, client = DiscoveryCache(), control([model("a.b")])
        cache.discover("r", None, lambda: client)[0]["input_modalities"].append("SMELL")
        again = cache.discover("r", None, lambda: client)
        again.clear()
        assert cache.discover("r", None, lambda: client)[0]["input_modalities"] == ["TEXT", "IMAGE"]

    def test_threads_that_ask_at_once_share_one_reading(self) -> None:
        cache, client, found = DiscoveryCache(), control([model("a.b")]), []
        gate = threading.Barrier(6)

        def ask() -> None:
            gate.wait(PATIENCE)
            found.append(cache.discover("r", None, lambda: client))

        threads = [threading.Thread(target=ask) for _ in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(PATIENCE)
        assert client.list_foundation_models.call_count == 1
        assert found == [found[0]] * 6

    def test_clearing_forgets(self) -> None:
        cache, client = DiscoveryCache(), control([model("a.b")])
        cache.discover("r", None, lambda: client)
        cache.clear()
        cache.discover("r", None, lambda: client)
        assert client.list_foundation_models.call_count == 2


@pytest.mark.parametrize(
    ("arn", "provider", "behind"),
    [
        (ARN + "anthropic.claude-sonnet-4-6", "anthropic", "anthropic.claude-sonnet-4-6"),
        (ARN + "amazon.nova-pro-v1:0", "amazon", "amazon.nova-pro-v1:0"),
        ("arn:aws-us-gov:bedrock:us-gov-west-1::foundation-model/a.b", "a", "a.b"),
        (PROFILE_ARN, "", ""),
        ("nonsense", "", ""),
        ("", "", ""),
    ],
)
def test_names_in_arns(arn: str, provider: str, behind: str) -> None:
    assert provider_from_arn(arn) == provider
    assert model_from_arn(arn) == behind


class TestInferenceProfile:
    @pytest.fixture(autouse=True)
    def _nothing_known(self) -> Iterator[None]:
        catalog.forget_inference_profiles()
        yield
        catalog.forget_inference_profiles()

    def test_the_model_behind_it_is_asked_for_once(self) -> None:
        client = MagicMock()
        client.get_inference_profile.return_value = {"models": [{"modelArn": ARN + "anthropic.claude-x"}]}
        assert resolve_inference_profile(client, PROFILE_ARN) == "anthropic.claude-x"
        assert resolve_inference_profile(client, PROFILE_ARN) == "anthropic.claude-x"
        client.get_inference_profile.assert_called_once_with(inferenceProfileIdentifier=PROFILE_ARN)

    @pytest.mark.parametrize("answer", [RuntimeError("denied"), {}, {"models": []}, {"models": [{"modelArn": "x"}]}])
    def test_a_failure_is_none_and_asked_for_again_after_a_while(
        self, answer: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        client = MagicMock()
        client.get_inference_profile.side_effect = [answer, {"models": [{"modelArn": ARN + "a.b"}]}]
        assert [resolve_inference_profile(client, PROFILE_ARN) for _ in range(3)] == [None] * 3
        assert client.get_inference_profile.call_count == 1, "no call is to wait for it again"
        now = current_pace().now()
        monkeypatch.setattr(Pace, "now", lambda self: now + catalog.ASKED_AGAIN_AFTER + 1)
        assert resolve_inference_profile(client, PROFILE_ARN) == "a.b"

    def test_nobody_waits_longer_than_agreed_and_nobody_asks_twice_meanwhile(self) -> None:
        may_answer, client = threading.Event(), MagicMock()

        def slow(**_: Any) -> dict[str, Any]:
            may_answer.wait(20)
            return {"models": [{"modelArn": ARN + "a.b"}]}

        client.get_inference_profile.side_effect = slow
        assert resolve_inference_profile(client, PROFILE_ARN, patience=0.02) is None
        since = time.monotonic()
        assert resolve_inference_profile(client, PROFILE_ARN, patience=20) is None
        assert time.monotonic() - since < PATIENCE, "who came too late for the patience of another does not wait at all"
        may_answer.set()
        assert comes_true(lambda: resolve_inference_profile(client, PROFILE_ARN) == "a.b")
        assert client.get_inference_profile.call_count == 1


class TestProbe:
    def probe(self, answer: Any) -> tuple[int | None, Any]:
        with FakeBedrock([answer]) as fake:
            client = build_runtime_client("us-east-1", ClientSettings(endpoint_url=fake.url, max_attempts=1), KEYS)
            return probe_context_length(client, "qwen.qwen3-32b-v1:0"), fake.requests[0]

    @pytest.mark.parametrize(
        ("answer", "window"),
        [
            (Refusal("ValidationException", "prompt is too long: 12003 tokens > 8192 maximum"), 8192),
            (Refusal("ValidationException", "prompt is too long: 12003 tokens > 3 maximum"), None),
            (Refusal("ValidationException", "Input is too long for requested model."), None),
            (Refusal("ThrottlingException", "Too many tokens, please wait before trying again."), None),
            (Refusal("AccessDeniedException", "no"), None),
            (Reply("Fine."), None),
        ],
    )
    def test_only_a_refusal_that_names_the_window_says_it(self, answer: Any, window: int | None) -> None:
        found, request = self.probe(answer)
        assert found == window
        assert len(request.body["messages"][0]["content"][0]["text"]) <= 64_000
        assert request.body["inferenceConfig"] == {"maxTokens": 1}

    def test_nothing_is_raised_whatever_the_client_is(self) -> None:
        assert probe_context_length(None, "m") is None
