from __future__ import annotations

import re

import pytest

from agent.bedrock.models.profiles import (
    BEDROCK_CONTEXT_LENGTHS,
    PROFILES,
    context_length,
    known_context_length,
    profile_for,
)

# why, model, fact, value
FACTS = [
    ("a family row", "amazon.nova-pro-v1:0", "family", "amazon"),
    ("a Nova to come", "us.amazon.nova-3-pro-v1:0", "max_output", 65_535),
    ("which reasons", "us.amazon.nova-3-pro-v1:0", "thinking", "reasoningConfig"),
    ("a DeepSeek to come", "deepseek.v4", "thinking", "reasoning_effort"),
    ("a GPT to come", "openai.gpt-7-sol", "sampling", "none"),
    ("a Mistral to come", "mistral.mistral-large-4-instruct", "native_schema", True),
    ("and one of old", "mistral.mistral-large-2407-v1:0", "native_schema", False),
    ("GPT-OSS is another family", "openai.gpt-oss-120b-1:0", "family", "gpt-oss"),
    ("every geography", "jp.anthropic.claude-sonnet-4-5-20250929-v1:0", "native_schema", True),
    ("3.5 caches from v2 on", "anthropic.claude-3-5-sonnet-20240620-v1:0", "cache", None),
    ("budget thinking from 3.7", "us.anthropic.claude-3-7-sonnet-20250219-v1:0", "thinking", "thinking.budget"),
    ("adaptive from 4.6", "us.anthropic.claude-sonnet-4-6", "thinking", "thinking.adaptive"),
    ("no prefill from 4.6", "us.anthropic.claude-opus-4-6-v1", "prefill", False),
    ("prefill before", "us.anthropic.claude-opus-4-5-20251101-v1:0", "prefill", True),
    ("exclusive bound", "us.anthropic.claude-opus-4-7", "max_output", 127_999),
    ("no sampling from 4.7", "us.anthropic.claude-opus-4-7", "sampling", "none"),
    ("one of two from Opus 4.1", "us.anthropic.claude-opus-4-1-20250805-v1:0", "sampling", "one"),
    ("both on Opus 4", "us.anthropic.claude-opus-4-20250514-v1:0", "sampling", "all"),
    ("native schema on 4.5", "anthropic.claude-haiku-4-5-20251001-v1:0", "native_schema", True),
    ("no native schema on 4.7", "anthropic.claude-opus-4-7", "native_schema", False),
    ("forced choice on 4.8", "anthropic.claude-opus-4-8", "forced_tool_choice", True),
    ("thinking and forced choice on 4.8", "anthropic.claude-opus-4-8", "forced_choice_while_thinking", True),
    ("not on 4.7", "anthropic.claude-opus-4-7", "forced_choice_while_thinking", False),
    ("no forced choice on 5.5", "anthropic.claude-sonnet-5-5", "forced_tool_choice", False),
    ("forced choice on Fable 5", "anthropic.claude-fable-5", "forced_tool_choice", True),
    ("not on Fable 5.1", "anthropic.claude-fable-5-1", "forced_tool_choice", False),
    ("a version nobody knows is as the newest", "anthropic.claude-opus-9", "forced_tool_choice", False),
    ("a tier nobody knows is as the newest", "anthropic.claude-epic", "sampling", "none"),
    ("Claude 2 calls no tools", "anthropic.claude-v2", "tools", False),
    ("Nova's tools take no cache point", "amazon.nova-lite-v1:0", "hyphens_in_tool_names", False),
    ("R1 calls no tools", "us.deepseek.r1-v1:0", "tools", False),
    ("embeddings call no tools", "cohere.embed-english-v3", "tools", False),
    ("stability calls no tools", "stability.sd3-large-v1:0", "tools", False),
    ("GLM 5.3 cannot be silenced", "zai.glm-5.3", "can_disable_thinking", False),
    ("an id that hides its model", "arn:aws:bedrock:us-east-1:1:application-inference-profile/a", "family", "unknown"),
]


@pytest.mark.parametrize(("why", "model", "fact", "value"), FACTS, ids=[why for why, *_ in FACTS])
def test_a_fact_of_the_table(why: str, model: str, fact: str, value: object) -> None:
    assert getattr(profile_for(model), fact) == value


def test_the_base_model_speaks_for_an_arn_that_hides_it() -> None:
    arn = "arn:aws:bedrock:us-east-1:123456789012:application-inference-profile/abc"
    assert profile_for(arn, "anthropic.claude-opus-4-7") == profile_for("anthropic.claude-opus-4-7")


def test_every_row_has_evidence_and_a_pattern_that_compiles() -> None:
    for row in PROFILES:
        re.compile(row.models)
        assert row.evidence
        assert row.facts


@pytest.mark.parametrize(
    ("model", "tokens"),
    [
        ("us.anthropic.claude-opus-4-6-v1", 1_000_000),
        ("us.anthropic.claude-sonnet-4-5-20250929-v1:0", 200_000),
        ("anthropic.claude-sonnet-4-20250514-v1:0", 200_000),
        ("anthropic.claude-3-haiku-20240307-v1:0", 200_000),
        ("global.anthropic.claude-haiku-5-5", 1_000_000),
        ("amazon.nova-pro-v1:0", 300_000),
        ("amazon.nova-lite-v1:0", 300_000),
        ("amazon.nova-micro-v1:0", 128_000),
        ("unheard.of-model", 128_000),
    ],
)
def test_the_longest_matching_row_says_the_context_length(model: str, tokens: int) -> None:
    assert context_length(model) == tokens


def test_an_unknown_model_has_no_known_context_length() -> None:
    assert known_context_length("unheard.of-model") is None


def test_the_table_and_the_profiles_agree_on_the_context_length() -> None:
    for key in BEDROCK_CONTEXT_LENGTHS:
        if key.startswith(("anthropic.claude-opus-4", "anthropic.claude-sonnet-4", "amazon.nova-")):
            assert profile_for(key).context == BEDROCK_CONTEXT_LENGTHS[key], key
