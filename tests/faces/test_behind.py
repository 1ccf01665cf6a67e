"""Application inference profiles: the model behind them decides which rules apply."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Iterator
from typing import Any
from unittest.mock import MagicMock, patch

import pytest

from agent import bedrock_adapter
from agent.bedrock import Bedrock
from agent.bedrock.aws import catalog
from agent.bedrock.faces import behind
from agent.bedrock.testing import FakeBedrock
from tests.moments import PATIENCE

ARN = "arn:aws:bedrock:eu-west-1:123456789012:application-inference-profile/abc123def456"
OPUS = "anthropic.claude-opus-4-7"
HELLO = [{"role": "user", "content": "Hello"}]


@pytest.fixture(autouse=True)
def _forget() -> Iterator[None]:
    catalog.forget_inference_profiles()
    behind._warned.clear()
    yield
    catalog.forget_inference_profiles()


def control(*outcomes: Any) -> MagicMock:
    client = MagicMock()
    client.get_inference_profile.side_effect = outcomes
    return client


PROFILE = {"models": [{"modelArn": f"arn:aws:bedrock:eu-west-1::foundation-model/{OPUS}"}]}


def test_the_rules_of_the_model_behind_apply_in_the_drop_in() -> None:
    client = control(PROFILE)
    with patch("agent.bedrock_adapter._get_bedrock_control_client", return_value=client) as getter:
        for _ in range(3):
            kwargs = bedrock_adapter.build_converse_kwargs(ARN, HELLO, temperature=0.5)
            assert kwargs["modelId"] == ARN
            assert "temperature" not in kwargs["inferenceConfig"]
    getter.assert_called_with("eu-west-1")
    assert client.get_inference_profile.call_count == 1


def test_a_failure_is_warned_of_once_and_asked_again_after_a_while(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = control(RuntimeError("denied"), RuntimeError("denied"), PROFILE)
    monkeypatch.setattr(catalog, "ASKED_AGAIN_AFTER", 0)
    with caplog.at_level(logging.WARNING):
        assert [behind.base_model_of(ARN, lambda region: client) for _ in range(3)] == [None, None, OPUS]
    assert sum("base_model=" in record.message for record in caplog.records) == 1


def test_no_client_is_no_failure() -> None:
    def refuse(region: str) -> Any:
        raise RuntimeError("no credentials")

    assert behind.base_model_of(ARN, refuse) is None


@pytest.mark.parametrize("model", [OPUS, f"eu.{OPUS}", f"arn:aws:bedrock:eu-west-1::foundation-model/{OPUS}"])
def test_what_says_its_model_is_not_asked_about(model: str) -> None:
    assert behind.base_model_of(model, lambda region: pytest.fail("asked")) is None


def test_the_caller_waits_two_seconds_at_most(monkeypatch: pytest.MonkeyPatch) -> None:
    client, may_answer = MagicMock(), threading.Event()
    client.get_inference_profile.side_effect = lambda **_: may_answer.wait(20)
    started = time.monotonic()
    assert catalog.resolve_inference_profile(client, ARN, patience=0.1) is None
    assert time.monotonic() - started < PATIENCE
    may_answer.set()
    assert catalog.PROFILE_PATIENCE == 2


def test_bedrock_asks_the_control_plane_and_an_option_spares_the_question() -> None:
    with FakeBedrock(profiles=None) as fake:
        bedrock = Bedrock(
            region="us-east-1", endpoint_url=fake.url, aws_access_key_id="AKIDEXAMPLE", aws_secret_access_key="made-up"
        )
        with patch.object(bedrock, "_control_client_for", return_value=control(PROFILE)) as getter:
            bedrock.complete(ARN, HELLO, temperature=0.5)
            getter.assert_called_once_with("eu-west-1")
            bedrock.complete(ARN, HELLO, temperature=0.5, base_model="meta.llama4-maverick-17b-instruct-v1:0")
            getter.assert_called_once()
        assert [request.body.get("inferenceConfig") for request in fake.requests] == [None, {"temperature": 0.5}]
