"""The control plane: what exists, page by page, and what the account may use."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from botocore.exceptions import ClientError

from agent.bedrock.testing import FakeBedrock
from agent.bedrock.testing.control import application_profile, model_summary

from .conftest import ask, client_of, newest_model

pytestmark = newest_model

NOVA = "amazon.nova-lite-v1:0"
CLAUDE = "anthropic.claude-sonnet-4-5-20250929-v1:0"


@pytest.fixture
def control(fake: FakeBedrock) -> Iterator[Any]:
    running = client_of(fake, "bedrock")
    yield running
    running.close()


def ids(models: dict[str, Any]) -> set[str]:
    return {model["modelId"] for model in models["modelSummaries"]}


def test_a_model_is_described_by_what_its_id_says(control: Any) -> None:
    details = control.get_foundation_model(modelIdentifier=NOVA)["modelDetails"]
    assert details["modelArn"] == f"arn:aws:bedrock:us-east-1::foundation-model/{NOVA}"
    assert details["providerName"] == "Amazon"
    assert details["inputModalities"] == ["TEXT", "IMAGE"]
    assert details["responseStreamingSupported"] is True
    assert details["modelLifecycle"]["status"] == "ACTIVE"


@pytest.mark.parametrize(
    ("filters", "inside", "outside"),
    [
        ({"byProvider": "Anthropic"}, CLAUDE, NOVA),
        ({"byProvider": "anthropic"}, CLAUDE, NOVA),
        ({"byOutputModality": "EMBEDDING"}, "amazon.titan-embed-text-v2:0", NOVA),
        ({"byInferenceType": "ON_DEMAND"}, NOVA, CLAUDE),
        ({"byOutputModality": "TEXT", "byProvider": "Amazon"}, NOVA, "amazon.titan-embed-text-v2:0"),
    ],
)
def test_models_are_filtered(control: Any, filters: dict[str, str], inside: str, outside: str) -> None:
    found = ids(control.list_foundation_models(**filters))
    assert inside in found
    assert outside not in found


def test_a_filter_that_nothing_passes_is_an_empty_list(control: Any) -> None:
    assert control.list_foundation_models(byInferenceType="PROVISIONED")["modelSummaries"] == []


def test_profiles_come_in_pages() -> None:
    names = [f"us.amazon.nova-lite-v{number}:0" for number in range(7)]
    with FakeBedrock(profiles=names, page_size=3) as fake:
        pages = list(client_of(fake, "bedrock").get_paginator("list_inference_profiles").paginate())
    sizes = [len(page["inferenceProfileSummaries"]) for page in pages]
    assert sizes == [3, 3, 1]
    assert [one["inferenceProfileId"] for page in pages for one in page["inferenceProfileSummaries"]] == names


def test_a_page_may_be_smaller_if_asked_for(control: Any) -> None:
    page = control.list_inference_profiles(maxResults=2)
    assert len(page["inferenceProfileSummaries"]) == 2
    assert control.list_inference_profiles(maxResults=2, nextToken=page["nextToken"]) != page


def test_a_token_that_was_never_given_out_is_refused(control: Any) -> None:
    with pytest.raises(ClientError, match="nextToken"):
        control.list_inference_profiles(nextToken="made-up")


def test_profiles_are_filtered_by_their_type() -> None:
    mine = application_profile("abcdef123456", f"us.{NOVA}")
    with FakeBedrock(profiles=[f"us.{NOVA}", mine]) as fake:
        control = client_of(fake, "bedrock")
        found = control.list_inference_profiles(typeEquals="APPLICATION")["inferenceProfileSummaries"]
        assert [one["inferenceProfileId"] for one in found] == ["abcdef123456"]
        assert control.get_inference_profile(inferenceProfileIdentifier=mine["inferenceProfileArn"])["models"] == [
            {"modelArn": f"arn:aws:bedrock:us-east-1::foundation-model/{NOVA}"}
        ]


@pytest.mark.parametrize(
    ("operation", "argument"),
    [
        ("get_foundation_model", "modelIdentifier"),
        ("get_inference_profile", "inferenceProfileIdentifier"),
        ("get_foundation_model_availability", "modelId"),
    ],
)
def test_what_does_not_exist_is_not_found(control: Any, operation: str, argument: str) -> None:
    with pytest.raises(ClientError) as caught:
        getattr(control, operation)(**{argument: "amazon.gone-v1:0"})
    assert caught.value.response["Error"]["Code"] == "ResourceNotFoundException"
    assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] == 404


def test_availability_is_full_unless_said_otherwise(fake: FakeBedrock, control: Any) -> None:
    assert control.get_foundation_model_availability(modelId=NOVA)["authorizationStatus"] == "AUTHORIZED"
    fake.catalogue.availability[NOVA] = {"agreementAvailability": {"status": "NOT_AVAILABLE"}}
    answer = control.get_foundation_model_availability(modelId=NOVA)
    assert answer["agreementAvailability"] == {"status": "NOT_AVAILABLE"}
    assert answer["regionAvailability"] == "AVAILABLE"


def test_without_a_catalogue_every_model_of_a_known_provider_answers(fake: FakeBedrock) -> None:
    client_of(fake).converse(**ask("eu.anthropic.claude-opus-9"))
    assert fake.requests[0].refusal is None


def test_with_a_catalogue_nothing_else_exists() -> None:
    with FakeBedrock(models=[NOVA], profiles=[f"us.{NOVA}"]) as fake:
        client = client_of(fake)
        client.converse(**ask(NOVA))
        client.converse(**ask(f"us.{NOVA}"))
        client.converse(**ask(f"arn:aws:bedrock:us-east-1::foundation-model/{NOVA}"))
        for unknown in (CLAUDE, f"eu.{NOVA}"):
            with pytest.raises(ClientError, match="The provided model identifier is invalid"):
                client.converse(**ask(unknown))


def test_a_model_for_profiles_only_cannot_be_invoked_by_its_own_id() -> None:
    with FakeBedrock(models=[CLAUDE], profiles=[f"us.{CLAUDE}"]) as fake:
        client = client_of(fake)
        client.converse(**ask(f"us.{CLAUDE}"))
        with pytest.raises(ClientError) as caught:
            client.converse(**ask(CLAUDE))
        assert caught.value.response["Error"]["Message"] == (
            f"Invocation of model ID {CLAUDE} with on-demand throughput isn\N{RIGHT SINGLE QUOTATION MARK}t supported. "
            "Retry your request with the ID or ARN of an inference profile that contains this model."
        )
        assert client.count_tokens(modelId=CLAUDE, input={"converse": {"messages": ask()["messages"]}})["inputTokens"]


def test_an_application_profile_is_judged_as_the_model_behind_it() -> None:
    mine = application_profile("abcdef123456", "us.meta.llama3-3-70b-instruct-v1:0")
    content = [{"text": "look"}, {"image": {"format": "png", "source": {"bytes": b"png"}}}]
    messages = [{"role": "user", "content": content}]
    with FakeBedrock(profiles=[mine]) as fake, pytest.raises(ClientError, match="doesn't support the image"):
        client_of(fake).converse(modelId=mine["inferenceProfileArn"], messages=messages)


def test_models_may_be_given_as_the_service_describes_them() -> None:
    legacy = {**model_summary(NOVA, "us-east-1"), "modelLifecycle": {"status": "LEGACY"}}
    with FakeBedrock(models=[legacy]) as fake:
        [model] = client_of(fake, "bedrock").list_foundation_models()["modelSummaries"]
    assert model["modelLifecycle"]["status"] == "LEGACY"
