from __future__ import annotations

import pytest

from agent.bedrock.models.ids import split_model_id

# id -> (geography, provider, name, date, version)
PLAIN = [
    ("anthropic.claude-sonnet-4-5-20250929-v1:0", ("", "anthropic", "claude-sonnet-4-5", "20250929", "v1:0")),
    ("us.anthropic.claude-opus-4-7", ("us", "anthropic", "claude-opus-4-7", "", "")),
    (
        "us-gov.anthropic.claude-3-7-sonnet-20250219-v1:0",
        ("us-gov", "anthropic", "claude-3-7-sonnet", "20250219", "v1:0"),
    ),
    ("global.anthropic.claude-opus-4-6-v1", ("global", "anthropic", "claude-opus-4-6", "", "v1")),
    ("apac.amazon.nova-lite-v1:0", ("apac", "amazon", "nova-lite", "", "v1:0")),
    ("amazon.nova-lite-v1:0:300k", ("", "amazon", "nova-lite", "", "v1:0:300k")),
    ("openai.gpt-5.6-sol", ("", "openai", "gpt-5.6-sol", "", "")),
    ("us.openai.gpt-5.6-sol", ("us", "openai", "gpt-5.6-sol", "", "")),
    ("moonshotai.kimi-k2.5", ("", "moonshotai", "kimi-k2.5", "", "")),
    ("nowhere.anthropic.claude-x", ("nowhere", "anthropic", "claude-x", "", "")),
    ("us.newlab.thing-v1:0", ("us", "newlab", "thing", "", "v1:0")),
    ("anthropic.claude-v2:1", ("", "anthropic", "claude", "", "v2:1")),
    ("my-model", ("", "", "my-model", "", "")),
]


@pytest.mark.parametrize(("model", "parts"), PLAIN, ids=[model for model, _ in PLAIN])
def test_an_id_comes_apart(model: str, parts: tuple[str, ...]) -> None:
    identity = split_model_id(model)
    assert (identity.geography, identity.provider, identity.name, identity.date, identity.version) == parts
    assert not identity.hides_model


def test_an_inference_profile_arn_says_partition_region_and_model() -> None:
    identity = split_model_id(
        "arn:aws-us-gov:bedrock:us-gov-west-1:123456789012:inference-profile/us-gov.anthropic.claude-sonnet-4-6"
    )
    assert (identity.partition, identity.region, identity.account) == ("aws-us-gov", "us-gov-west-1", "123456789012")
    assert (identity.geography, identity.base) == ("us-gov", "anthropic.claude-sonnet-4-6")


def test_a_china_arn_is_an_arn() -> None:
    identity = split_model_id("arn:aws-cn:bedrock:cn-north-1::foundation-model/amazon.nova-pro-v1:0")
    assert (identity.partition, identity.provider, identity.name) == ("aws-cn", "amazon", "nova-pro")


@pytest.mark.parametrize(
    "model",
    [
        "arn:aws:bedrock:us-east-1:123456789012:application-inference-profile/abc123",
        "arn:aws:bedrock:us-east-1:123456789012:provisioned-model/abc123def456",
        "arn:aws:bedrock:us-east-1:123456789012:imported-model/abc123def456",
        "arn:aws:bedrock:us-east-1:123456789012:custom-model-deployment/abc123def456",
        "arn:aws:bedrock:us-east-1:123456789012:prompt/ABCDEFGHIJ:1",
        "arn:aws:sagemaker:us-east-1:123456789012:endpoint/mine",
    ],
)
def test_an_arn_that_hides_its_model_says_so(model: str) -> None:
    assert split_model_id(model).hides_model


def test_a_prompt_arn_is_a_prompt() -> None:
    assert split_model_id("arn:aws:bedrock:us-east-1:123456789012:prompt/ABCDEFGHIJ:1").is_prompt


def test_a_custom_model_names_its_base() -> None:
    identity = split_model_id(
        "arn:aws:bedrock:us-east-1:123456789012:custom-model/amazon.nova-lite-v1:0:300k/abc123def456"
    )
    assert (identity.provider, identity.name) == ("amazon", "nova-lite")
