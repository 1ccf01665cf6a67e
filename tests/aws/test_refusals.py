"""What a refusal takes issue with, and the request without just that: examples as data, and nothing of the caller's lost."""

from __future__ import annotations

import copy
import json
import time
from typing import Any

import boto3
import pytest
from botocore.stub import Stubber
from hypothesis import given
from hypothesis import strategies as st

from agent.bedrock.aws.refusals import TakeBack, refused_by, without
from agent.bedrock.notes import CallNotes, noted, notes_of_request
from agent.bedrock.testing import FakeBedrock

from .guarded import MODEL_IS_NEW

SCHEMA = {"type": "object", "properties": {"a": {"type": "string"}}, "required": ["a"], "additionalProperties": False}


def asked() -> dict[str, Any]:
    """A request with everything in it that may be refused."""
    point = {"cachePoint": {"type": "default", "ttl": "1h"}}
    return {
        "modelId": "us.anthropic.claude-sonnet-4-5-20250929-v1:0",
        "system": [{"text": "Be kind."}, point],
        "messages": [
            {"role": "user", "content": [{"text": "Hi"}, point]},
            {
                "role": "assistant",
                "content": [
                    {"reasoningContent": {"reasoningText": {"text": "hm", "signature": "sig-1"}}},
                    {"reasoningContent": {"redactedContent": b"secret"}},
                    {"toolUse": {"toolUseId": "t-1", "name": "t", "input": {}}},
                ],
            },
            {
                "role": "user",
                "content": [
                    {"toolResult": {"toolUseId": "t-1", "content": [{"text": "no"}], "status": "error"}},
                    {"text": "And?"},
                    {
                        "document": {
                            "format": "pdf",
                            "name": "a",
                            "source": {"bytes": b"x"},
                            "citations": {"enabled": True},
                        }
                    },
                ],
            },
        ],
        "inferenceConfig": {"temperature": 0.5, "topP": 0.9, "maxTokens": 200000, "stopSequences": ["x"]},
        "toolConfig": {
            "tools": [
                {"toolSpec": {"name": "t", "inputSchema": {"json": {"type": "object"}}, "strict": True}},
                point,
            ],
            "toolChoice": {"any": {}},
        },
        "additionalModelRequestFields": {
            "top_k": 5,
            "thinking": {"type": "enabled", "budget_tokens": 1024, "display": "summarized"},
            "anthropic_beta": ["a"],
        },
        "outputConfig": {
            "textFormat": {
                "type": "json_schema",
                "structure": {"jsonSchema": {"schema": json.dumps(SCHEMA), "name": "answer"}},
            },
            "effort": "high",
        },
        "performanceConfig": {"latency": "optimized"},
        "serviceTier": {"type": "flex"},
        "additionalModelResponseFieldPaths": ["/stop_sequence"],
        "guardrailConfig": {"guardrailIdentifier": "abc", "guardrailVersion": "1"},
        "requestMetadata": {"team": "a"},
    }


def at(kwargs: Any, path: str) -> Any:
    for key in path.split("."):
        kwargs = kwargs[int(key)] if isinstance(kwargs, list) else kwargs.get(key)
        if kwargs is None:
            return None
    return kwargs


FIELD = "This model doesn't support the {0} field. Remove {0} and try again."

#: The service's words (recorded, or quoted in public threads), what is taken back, and where it stood.
GONE: list[tuple[str, str, str]] = [
    (FIELD.format("temperature"), "temperature", "inferenceConfig.temperature"),
    ("`temperature` is deprecated for this model.", "temperature", "inferenceConfig.temperature"),
    ("`temperature` and `top_p` cannot both be specified for this model.", "topP", "inferenceConfig.topP"),
    (FIELD.format("stopSequences"), "stopSequences", "inferenceConfig.stopSequences"),
    ("top_k: Extra inputs are not permitted", "topK", "additionalModelRequestFields.top_k"),
    ("#: extraneous key [top_k] is not permitted, please reformat", "topK", "additionalModelRequestFields.top_k"),
    (FIELD.format("toolConfig.toolChoice.any"), "toolChoice", "toolConfig.toolChoice"),
    ('tool_choice: type "tool" and "any" are not supported for this model.', "toolChoice", "toolConfig.toolChoice"),
    ("tools.0.custom.strict: Extra inputs are not permitted", "toolSpec.strict", "toolConfig.tools.0.toolSpec.strict"),
    (FIELD.format("performanceConfig"), "performanceConfig", "performanceConfig"),
    (FIELD.format("serviceTier"), "serviceTier", "serviceTier"),
    ("The provided ServiceTier is not supported for this model", "serviceTier", "serviceTier"),
    (
        FIELD.format("additionalModelResponseFieldPaths"),
        "additionalModelResponseFieldPaths",
        "additionalModelResponseFieldPaths",
    ),
    (FIELD.format("outputConfig"), "outputConfig", "outputConfig"),
    ("output_config.format: Extra inputs are not permitted", "outputConfig.textFormat", "outputConfig.textFormat"),
    ("output_config.effort: Extra inputs are not permitted", "outputConfig.effort", "outputConfig.effort"),
    (
        FIELD.format("reasoningContent.reasoningText.signature"),
        "reasoningText.signature",
        "messages.1.content.0.reasoningContent.reasoningText.signature",
    ),
    ("This model doesn't support citations.", "citations", "messages.2.content.2.document.citations"),
    (FIELD.format("status"), "toolResult.status", "messages.2.content.0.toolResult.status"),
    (
        "thinking.display: Extra inputs are not permitted",
        "thinking.display",
        "additionalModelRequestFields.thinking.display",
    ),
    ("anthropic_beta: Extra inputs are not permitted", "anthropic_beta", "additionalModelRequestFields.anthropic_beta"),
    (
        "Thinking may not be enabled when tool_choice forces tool use.",
        "thinking",
        "additionalModelRequestFields.thinking",
    ),
    (
        "messages.1.content.0.type: Expected `thinking` or `redacted_thinking`, but found `text`.",
        "thinking",
        "additionalModelRequestFields.thinking",
    ),
]


@pytest.mark.parametrize(("words", "name", "path"), GONE, ids=[f"{name}: {words[:40]}" for words, name, _ in GONE])
@pytest.mark.parametrize("prefix", ["", "The model returned the following errors: "])
def test_a_member_that_is_named_is_taken_back_and_nothing_else(words: str, name: str, path: str, prefix: str) -> None:
    kwargs = asked()
    take_back = refused_by(prefix + words, kwargs)
    assert take_back is not None
    assert take_back.name == name
    changed = without(kwargs, take_back)
    assert at(kwargs, path) is not None
    assert at(changed, path) is None
    assert kwargs == asked(), "the caller's request is not changed"
    for member in ("guardrailConfig", "requestMetadata", "modelId"):
        assert changed[member] == kwargs[member]
    assert_valid(changed)
    assert without(changed, take_back) is changed, "twice does nothing"
    assert refused_by(prefix + words, changed) is None


def assert_valid(kwargs: dict[str, Any]) -> None:
    if not MODEL_IS_NEW:
        return  # an older botocore does not know all that is asked for here
    with FakeBedrock() as fake:
        client = boto3.client("bedrock-runtime", **fake.client_options())
        with Stubber(client) as stubber:
            stubber.add_response("converse", ANSWER, kwargs)
            client.converse(**kwargs)


ANSWER = {
    "output": {"message": {"role": "assistant", "content": []}},
    "stopReason": "end_turn",
    "usage": {"inputTokens": 1, "outputTokens": 1, "totalTokens": 2},
    "metrics": {"latencyMs": 1},
}


class TestCachePoints:
    @pytest.mark.parametrize(
        ("words", "system", "messages", "tools"),
        [
            ("#/toolConfig/tools/18: extraneous key [cachePoint] is not permitted", 1, 1, 0),
            ("#/messages/0/content/1: extraneous key [cachePoint] is not permitted", 1, 0, 1),
            ("#/system/1: extraneous key [cachePoint] is not permitted", 0, 1, 1),
            (FIELD.format("cachePoint"), 0, 0, 0),
            ("You invoked an unsupported model or your request did not allow prompt caching.", 0, 0, 0),
            ("Cache point cannot be inserted after reasoning block.", 0, 0, 0),
            ("messages.0.content.1.cache_control: Extra inputs are not permitted", 0, 0, 0),
        ],
    )
    def test_go_where_they_are_refused(self, words: str, system: int, messages: int, tools: int) -> None:
        take_back = refused_by(words, asked())
        assert take_back is not None
        changed = without(asked(), take_back)
        assert (points(changed["system"]), points(changed["messages"][0]["content"])) == (system, messages)
        assert points(changed["toolConfig"]["tools"]) == tools
        assert_valid(changed)

    @pytest.mark.parametrize(
        "words",
        [
            "Extended TTL prompt caching is only supported for Anthropic models",
            "a ttl='1h' cache_control block must not come after a ttl='5m' cache_control block",
            "system.1.cache_control.ttl: Extra inputs are not permitted",
            FIELD.format("ttl"),
        ],
    )
    def test_live_shorter_where_only_that_is_refused(self, words: str) -> None:
        take_back = refused_by(words, asked())
        assert take_back is not None
        changed = without(asked(), take_back)
        assert changed["system"][1] == {"cachePoint": {"type": "default"}}
        assert points(changed["messages"][0]["content"]) == 1


def points(blocks: list[Any]) -> int:
    return sum("cachePoint" in block for block in blocks)


class TestChanges:
    def test_a_failed_tool_is_told_in_words(self) -> None:
        changed = without(asked(), take(FIELD.format("status")))
        assert changed["messages"][2]["content"][0]["toolResult"] == {
            "toolUseId": "t-1",
            "content": [{"text": "The tool failed:"}, {"text": "no"}],
        }

    def test_a_schema_that_is_refused_is_asked_for_in_words(self) -> None:
        changed = without(asked(), take("output_config.format: Extra inputs are not permitted"))
        assert changed["outputConfig"] == {"effort": "high"}
        assert json.dumps(SCHEMA) in changed["system"][-1]["text"]

    def test_content_beside_results_gets_its_own_turn(self) -> None:
        words = "Conversation blocks and tool result blocks cannot be provided in the same turn."
        changed = without(asked(), take(words))
        assert [turn["role"] for turn in changed["messages"]] == ["user", "assistant", "user", "assistant", "user"]
        assert [list(block) for block in changed["messages"][2]["content"]] == [["toolResult"]]
        assert [next(iter(block)) for block in changed["messages"][4]["content"]] == ["text", "document"]

    def test_encrypted_content_of_another_region_goes_and_comes_back_with_other_content(self) -> None:
        words = "Encrypted content cannot be used in a different region."
        take_back = take(words)
        changed = without(asked(), take_back)
        assert [next(iter(block)) for block in changed["messages"][1]["content"]] == ["reasoningContent", "toolUse"]
        later = asked()
        later["messages"][1]["content"][1] = {"reasoningContent": {"redactedContent": b"of this region"}}
        assert without(later, take_back) is later

    def test_a_signature_that_is_not_taken_costs_its_block(self) -> None:
        changed = without(asked(), take("messages.1.content.0: Invalid `signature` in `thinking` block"))
        assert [next(iter(block["reasoningContent"])) for block in changed["messages"][1]["content"][:1]] == [
            "redactedContent"
        ]

    def test_reasoning_that_is_not_taken_at_all(self) -> None:
        kwargs = asked()
        kwargs["messages"][1]["content"] = kwargs["messages"][1]["content"][:2]
        changed = without(kwargs, take("User messages cannot contain reasoning content.", kwargs))
        assert changed["messages"][1]["content"] == [{"text": "(empty)"}]

    def test_a_bound_is_kept(self) -> None:
        words = (
            "The maximum tokens you requested exceeds the model limit of 128000. Try again with a maximum tokens value "
            "that is lower than 128000."
        )
        changed = without(asked(), take(words))
        assert changed["inferenceConfig"]["maxTokens"] == 127999
        smaller = {**asked(), "inferenceConfig": {"maxTokens": 5}}
        assert without(smaller, take(words)) is smaller

    def test_an_empty_container_goes_too(self) -> None:
        kwargs = {**asked(), "inferenceConfig": {"temperature": 1.0}}
        assert "inferenceConfig" not in without(kwargs, take(FIELD.format("temperature")))

    def test_thinking_stays_where_nothing_is_forced(self) -> None:
        kwargs = asked()
        del kwargs["toolConfig"]["toolChoice"]
        assert without(kwargs, take("Thinking may not be enabled when tool_choice forces tool use.")) is kwargs

    def test_the_notes_ride_on(self) -> None:
        kwargs = asked()
        kwargs["messages"] = noted(kwargs["messages"], CallNotes(model="m"))
        changed = without(kwargs, take(FIELD.format("status")))
        assert notes_of_request(changed).model == "m"


def take(words: str, kwargs: dict[str, Any] | None = None) -> TakeBack:
    take_back = refused_by(words, kwargs or asked())
    assert take_back is not None
    return take_back


NEVER = [
    FIELD.format("guardrailConfig"),
    FIELD.format("requestMetadata"),
    FIELD.format("guardContent"),
    FIELD.format("s3Uri"),
    FIELD.format("messages"),
    FIELD.format("text"),
    FIELD.format("document"),
    FIELD.format("toolConfig"),
    FIELD.format("topic"),
    "#: extraneous key [guardrailConfig] is not permitted",
    "#/messages/2/content/0: extraneous key [toolResult] is not permitted, please reformat your input and try again.",
    "#/messages/0/content/0: extraneous key [guardContent] is not permitted",
    "amazon-bedrock-guardrailConfig: Extra inputs are not permitted",
    "guardrailConfig.trace: Extra inputs are not permitted",
    "This model doesn't support the video content block that you provided. Update the content block and try again.",
    "The provided model identifier is invalid.",
    "messages.2.content.2.document.source.type: Field required",
    "The text field in the ContentBlock object at messages.0.content.0 is blank.",
    "",
]


@pytest.mark.parametrize("words", NEVER)
def test_what_protects_the_caller_and_what_he_says_is_never_taken_back(words: str) -> None:
    kwargs = asked()
    kwargs["messages"][0]["content"].append({"guardContent": {"text": {"text": "x"}}})
    kwargs["additionalModelRequestFields"]["amazon-bedrock-guardrailConfig"] = {"trace": "ENABLED"}
    kwargs["additionalModelRequestFields"]["guardrailConfig"] = {"trace": "enabled"}
    assert refused_by(words, kwargs) is None


def texts(kwargs: Any) -> list[str]:
    """Everything that the caller said."""
    found = [block["text"] for block in kwargs.get("system", []) if "text" in block]
    for turn in kwargs["messages"]:
        for block in turn["content"]:
            found.extend(block[kind] for kind in ("text",) if kind in block)
            found.extend(part["text"] for part in (block.get("toolResult") or {}).get("content", ()) if "text" in part)
    return found


@given(st.sampled_from([words for words, _, _ in GONE]), st.text(max_size=40))
def test_no_words_of_the_caller_are_lost(words: str, said: str) -> None:
    kwargs = asked()
    kwargs["messages"][0]["content"][0]["text"] = said
    before = copy.deepcopy(kwargs)
    changed = without(kwargs, take(words, kwargs))
    assert set(texts(before)) <= set(texts(changed))
    assert kwargs == before


@pytest.mark.parametrize("quoted", ["a" * 100_000, "a." * 50_000, "[" * 100_000, " " * 100_000])
def test_a_refusal_that_quotes_a_lot_is_read_at_once(quoted: str) -> None:
    begun = time.process_time()
    assert refused_by(f"1 validation error detected: Value '{quoted}' at 'x' failed to satisfy", asked()) is None
    assert time.process_time() - begun < 1.0  # it took minutes once


@given(st.text(max_size=200))
def test_any_text_is_read_without_harm(words: str) -> None:
    take_back = refused_by(words, asked())
    assert take_back is None or without(asked(), take_back) != asked()
