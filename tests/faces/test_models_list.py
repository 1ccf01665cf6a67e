"""`models.list()`: OpenAI's form of what the control plane says (row A14)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from agent.bedrock.errors import classify
from agent.bedrock.faces.client import Bedrock
from agent.bedrock.faces.models_list import ModelNotListedError
from agent.bedrock.testing import FakeBedrock, Refusal

Serve = Callable[..., FakeBedrock]
BedrockAt = Callable[..., Bedrock]


@pytest.fixture
def control_at(monkeypatch: pytest.MonkeyPatch, bedrock_at: BedrockAt) -> BedrockAt:
    def make(fake: FakeBedrock, **arguments: Any) -> Bedrock:
        monkeypatch.setenv("AWS_ENDPOINT_URL_BEDROCK", fake.url)
        return bedrock_at(fake, **arguments)

    return make


def test_a14_models_are_listed_in_openais_form(serve: Serve, control_at: BedrockAt) -> None:
    listed = control_at(serve()).models.list()
    assert listed.object == "list"
    assert {model.object for model in listed} == {"model"}
    by_id = {model.id: model for model in listed.data}
    assert by_id["amazon.nova-lite-v1:0"].owned_by == "Amazon"
    assert "us.anthropic.claude-sonnet-4-5-20250929-v1:0" in by_id
    assert "amazon.titan-embed-text-v2:0" not in by_id  # no chat model


def test_the_sdks_own_type_takes_the_models(serve: Serve, control_at: BedrockAt) -> None:
    pytest.importorskip("openai")
    from openai.types import Model

    listed = [Model.model_validate(model.model_dump()) for model in control_at(serve()).models.list()]
    assert listed


def test_one_model_is_found_or_not_listed(serve: Serve, control_at: BedrockAt) -> None:
    models = control_at(serve()).models
    assert models.retrieve("amazon.nova-lite-v1:0").id == "amazon.nova-lite-v1:0"
    with pytest.raises(ModelNotListedError) as caught:
        models.retrieve("gpt-4o")
    assert classify(caught.value).status == 404


def test_the_list_is_read_once(serve: Serve, control_at: BedrockAt) -> None:
    fake = serve()
    models = control_at(fake).models
    models.list()
    models.list()
    assert [request.operation for request in fake.requests].count("list-foundation-models") == 1


def test_a_control_plane_that_refuses_says_so(serve: Serve, control_at: BedrockAt) -> None:
    fake = serve()
    fake.queue_control(*[Refusal("AccessDeniedException", "No.")] * 3)
    with pytest.raises(Exception, match="AccessDenied"):
        control_at(fake).models.list()
