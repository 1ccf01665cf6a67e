from __future__ import annotations

from typing import Any

import pytest

from agent.bedrock.errors import InvalidRequestError
from agent.bedrock.request.build import build_request
from tests.request.service import (
    CLAUDE,
    CLAUDE_3_7,
    CLAUDE_4_7,
    GPT,
    LLAMA,
    NOVA,
    NOVA_2,
    QWEN,
    USER,
    built,
    call,
    result,
    steps_of,
    tool,
)


class Answer:
    """The class of an SDK's models."""

    def model_dump(self) -> dict[str, Any]:
        return vars(self)


# why, model, options, members of the request, steps
SENT: list[tuple[str, str, dict[str, Any], dict[str, Any], set[str]]] = [
    ("nothing asked for", CLAUDE, {}, {}, set()),
    ("no cap", CLAUDE, {"max_tokens": None}, {}, set()),
    ("a cap", CLAUDE, {"max_tokens": 5}, {"inferenceConfig": {"maxTokens": 5}}, set()),
    ("the newer name wins", CLAUDE, {"max_tokens": 5, "max_completion_tokens": 6}, {"inferenceConfig": {"maxTokens": 6}}, set()),
    ("clamped", CLAUDE, {"max_tokens": 64_000}, {"inferenceConfig": {"maxTokens": 63_999}}, {"clamp_max_tokens"}),
    ("whole floats", CLAUDE, {"max_tokens": 5.0}, {"inferenceConfig": {"maxTokens": 5}}, set()),
    ("sampling", NOVA, {"temperature": 0, "top_p": 0.5}, {"inferenceConfig": {"temperature": 0, "topP": 0.5}}, set()),
    ("one of two", CLAUDE, {"temperature": 1, "top_p": 0.5}, {"inferenceConfig": {"temperature": 1}}, {"drop_sampling"}),
    ("none at all, stops stay", CLAUDE_4_7, {"temperature": 1, "top_p": 0.5, "stop": "x"},
     {"inferenceConfig": {"stopSequences": ["x"]}}, {"drop_sampling"}),
    ("none for GPT", GPT, {"temperature": 1}, {}, {"drop_sampling"}),
    ("OpenAI's range", NOVA, {"temperature": 1.5}, {"inferenceConfig": {"temperature": 1.0}}, {"clamp_sampling"}),
    ("top_k of Claude", CLAUDE, {"top_k": 5}, {"additionalModelRequestFields": {"top_k": 5}}, set()),
    ("top_k of Nova", NOVA, {"top_k": 5}, {"additionalModelRequestFields": {"inferenceConfig": {"topK": 5}}}, set()),
    ("top_k elsewhere", LLAMA, {"top_k": 5}, {}, {"drop_sampling"}),
    ("stops as text", CLAUDE, {"stop": "x"}, {"inferenceConfig": {"stopSequences": ["x"]}}, set()),
    ("stops as a list", CLAUDE, {"stop_sequences": ["x", "", "y"]}, {"inferenceConfig": {"stopSequences": ["x", "y"]}}, set()),
    ("stops that the family refuses", QWEN, {"stop": "x"}, {}, {"drop_stop_sequences"}),
    ("the tier that is the default", CLAUDE, {"service_tier": "auto"}, {}, set()),
    ("a tier", NOVA, {"service_tier": "flex"}, {"serviceTier": {"type": "flex"}}, set()),
    ("a tier as Converse says it", NOVA, {"service_tier": {"type": "priority"}}, {"serviceTier": {"type": "priority"}}, set()),
    ("metadata", CLAUDE, {"metadata": {"a": "b"}, "user": "me"}, {"requestMetadata": {"a": "b", "user": "me"}}, set()),
    ("a user that metadata cannot hold", CLAUDE, {"user": "ü"}, {}, {"drop_option"}),
    ("latency", NOVA, {"performance_config": "optimized"}, {"performanceConfig": {"latency": "optimized"}}, set()),
    ("paths", CLAUDE, {"additional_model_response_field_paths": ["/a"]}, {"additionalModelResponseFieldPaths": ["/a"]}, set()),
    ("a beta of Claude", CLAUDE, {"anthropic_beta": "x"}, {"additionalModelRequestFields": {"anthropic_beta": ["x"]}}, set()),
    ("a beta elsewhere", NOVA, {"anthropic_beta": "x"}, {}, {"drop_option"}),
    ("seed", CLAUDE, {"seed": 1, "n": 1}, {}, {"drop_option"}),
    ("parallel calls", CLAUDE, {"parallel_tool_calls": True}, {}, set()),
    ("parallel calls off", CLAUDE, {"parallel_tool_calls": False}, {}, {"drop_option"}),
    ("effort in Converse's own place", CLAUDE, {"effort": "low"}, {"outputConfig": {"effort": "low"}}, set()),
    ("a guardrail, snake case", CLAUDE, {"guardrail_config": {"guardrail_identifier": "g", "guardrail_version": 1, "trace": True}},
     {"guardrailConfig": {"guardrailIdentifier": "g", "guardrailVersion": "1", "trace": "enabled"}}, set()),
    ("a guardrail, camel case", CLAUDE, {"guardrail_config": {"guardrailIdentifier": "g", "guardrailVersion": "DRAFT"}},
     {"guardrailConfig": {"guardrailIdentifier": "g", "guardrailVersion": "DRAFT"}}, set()),
    ("a guardrail in one word", CLAUDE, {"guardrail_config": "arn:aws:bedrock:us-east-1:1:guardrail/g:2"},
     {"guardrailConfig": {"guardrailIdentifier": "arn:aws:bedrock:us-east-1:1:guardrail/g", "guardrailVersion": "2"}}, set()),
    ("a guardrail that names none", CLAUDE, {"guardrail_config": {"guardrailIdentifier": ""}}, {}, {"drop_empty_guardrail"}),
    ("a guardrail that is none", CLAUDE, {"guardrail_config": {"x": 1}}, {}, {"drop_empty_guardrail"}),
    ("a number for a guardrail", CLAUDE, {"extra": {"guardrailConfig": 1}}, {}, {"drop_empty_guardrail"}),
    ("stream mode only in streams", CLAUDE, {"stream": False, "guardrail_config": {
        "guardrailIdentifier": "g", "guardrailVersion": "1", "streamProcessingMode": "async"}},
     {"guardrailConfig": {"guardrailIdentifier": "g", "guardrailVersion": "1"}}, set()),
    ("extra merges deeply", CLAUDE, {"max_tokens": 5, "extra": {"inferenceConfig": {"temperature": 0.5}}},
     {"inferenceConfig": {"maxTokens": 5, "temperature": 0.5}}, set()),
    ("extra adds to the system prompt", CLAUDE, {"extra": {"system": [{"text": "s"}]}}, {"system": [{"text": "s"}]}, set()),
    ("extra is allow-listed", CLAUDE, {"extra": {"messages": [], "modelId": "x", "Foo": 1}}, {}, {"drop_extra"}),
    ("extra guardrail", CLAUDE, {"extra": {"guardrailConfig": {"guardrailIdentifier": "g", "guardrailVersion": "1"}}},
     {"guardrailConfig": {"guardrailIdentifier": "g", "guardrailVersion": "1"}}, set()),
    ("white space stops no Claude", CLAUDE, {"stop": ["\n", "END"]}, {"inferenceConfig": {"stopSequences": ["END"]}}, {"drop_stop_sequences"}),
    ("but others", NOVA, {"stop": "\n"}, {"inferenceConfig": {"stopSequences": ["\n"]}}, set()),
    ("variables are for prompts", CLAUDE, {"prompt_variables": {"a": "b"}}, {}, {"drop_member"}),
    ("own fields win", CLAUDE, {"top_k": 5, "additional_model_request_fields": {"top_k": 6}},
     {"additionalModelRequestFields": {"top_k": 6}}, set()),
]  # fmt: skip


@pytest.mark.parametrize(("why", "model", "options", "members", "steps"), SENT, ids=[why for why, *_ in SENT])
def test_options_become_members(
    why: str, model: str, options: dict[str, Any], members: dict[str, Any], steps: set[str]
) -> None:
    request = built(model, [USER], **options)
    assert request.kwargs == {"modelId": model, "messages": [{"role": "user", "content": [{"text": "hi"}]}], **members}
    assert steps_of(request) == steps


def test_tools_in_extra_are_added_and_a_choice_is_merged() -> None:
    spec = {"toolSpec": {"name": "g", "inputSchema": {"json": {"type": "object"}}}}
    extra = {"toolConfig": {"tools": [spec], "toolChoice": {"any": {}}}}
    config = built(CLAUDE, [USER], [tool()], extra=extra).kwargs["toolConfig"]
    assert [block["toolSpec"]["name"] for block in config["tools"]] == ["read", "g"]
    assert config["toolChoice"] == {"any": {}}


def test_tools_in_extra_are_tools_like_any_other() -> None:
    spec = {"toolSpec": {"name": "my.read", "inputSchema": {"json": {"type": "object"}}}}
    messages = [USER, {"role": "assistant", "tool_calls": [call("a", "my.read")]}, result("a")]
    request = built(CLAUDE, messages, extra={"toolConfig": {"tools": [spec]}})
    assert request.kwargs["messages"][1]["content"][0]["toolUse"]["toolUseId"] == "a"
    assert list(request.tool_names.values()) == ["my.read"]


def test_cache_points_in_extra_count_among_the_others() -> None:
    system = [{"role": "system", "content": "x" * 20_000}]
    answer = {"role": "assistant", "content": "x" * 20_000}
    point = {"cachePoint": {"type": "default"}}
    extra = {"system": [block for n in range(6) for block in ({"text": str(n)}, point)]}
    request = built(CLAUDE, [*system, USER, answer, USER], [tool()], extra=extra)
    assert request.kwargs["system"].count(point) == 4


REFUSED: list[tuple[dict[str, Any], str]] = [
    ({"max_tokens": 0}, "max_tokens: smaller than 1"),
    ({"max_tokens": True}, "max_tokens: not a whole number"),
    ({"max_tokens": 1.5}, "max_tokens: not a whole number"),
    ({"max_tokens": float("nan")}, "max_tokens: not a whole number"),
    ({"max_tokens": float("inf")}, "max_tokens: not a whole number"),
    ({"max_tokens": -(10**400)}, "max_tokens: smaller than 1"),
    ({"temperature": float("inf")}, "temperature: not a number from 0 to 1"),
    ({"temperature": -(10**400)}, "temperature: not a number from 0 to 1"),
    ({"temperature": float("nan")}, "temperature: not a number from 0 to 1"),
    ({"temperature": -1}, "temperature: not a number from 0 to 1"),
    ({"top_p": "x"}, "topP: not a number from 0 to 1"),
    ({"stop": 5}, "stop: a text or a list of texts"),
    ({"stop": [5]}, "stop: a text or a list of texts"),
    ({"stop": ["x"] * 2501}, "stop: more than 2500"),
    ({"n": 2}, "n: Converse gives one answer"),
    ({"service_tier": "gold"}, "service_tier: 'gold' is none of"),
    ({"metadata": {"a": "x" * 257}}, "metadata: keys"),
    ({"metadata": {"a": "ü"}}, "metadata: keys"),
    ({"metadata": {str(number): "x" for number in range(17)}}, "metadata: more than 16 pairs"),
    ({"guardrail_config": {"guardrailIdentifier": "g"}}, "guardrail_config: a guardrail needs both"),
    ({"guardrail_config": {"id": "g", "version": "1", "trace": "loud"}}, "guardrail_config.trace: 'loud'"),
    ({"extra": 5}, "extra: not an object"),
    ({"additional_model_request_fields": 5}, "additional_model_request_fields: not an object"),
    ({"additional_model_response_field_paths": ["/x"] * 11}, "additional_model_response_field_paths"),
    ({"cache_ttl": "2h"}, "cache_ttl: '2h' is neither"),
    ({"reasoning_effort": "huge"}, "reasoning_effort: 'huge' is none of"),
    ({"response_format": Answer}, "response_format: response_format is an object with a type"),
    ({"response_format": {"type": "xml"}}, "response_format.type: unknown type 'xml'"),
    ({"response_format": {"type": "json_schema", "json_schema": {}}}, "json_schema.schema: a json_schema without"),
    ({"effort": "x" * 17}, "effort: longer than 16"),
    ({"effort": 5}, "effort: a int, expected a text"),
    ({"user": 5}, "user: a int"),
    ({"base_model": []}, "base_model: a list"),
    ({"reasoning_effort": ["high"]}, "reasoning_effort: a list"),
    ({"reasoning": {"effort": ["high"]}}, "reasoning.effort: a list"),
    ({"reasoning": {"max_tokens": "x"}}, "reasoning.max_tokens: not a whole number"),
    ({"reasoning": ["high"]}, "reasoning: a list"),
    ({"reasoning": 1.5}, "reasoning: a float, expected an effort or an object"),
    ({"reasoning": dict}, "reasoning: a type, expected an effort or an object"),
    ({"reasoning": b"high"}, "reasoning: a bytes"),
    ({"output_config": "low"}, "output_config: a str, expected an object"),
    ({"output_config": ["effort"]}, "output_config: a list"),
    ({"parallel_tool_calls": "no"}, "parallel_tool_calls: a str, expected True or False"),
    ({"response_format": {"schema": {"type": "object"}}}, "response_format.type: unknown type None"),
    ({"thinking": {"type": "enabled", "budget_tokens": "x"}}, "thinking.budget_tokens: not a whole number"),
    ({"thinking_budget": "1024"}, "thinking_budget: a str"),
    ({"citations": []}, "citations: a list, expected True or False"),
    ({"strict": "no"}, "strict: a str, expected True or False"),
    ({"stable_tool_order": {}}, "stable_tool_order: a dict, expected True or False"),
    ({"bucket_owner": ["x"]}, "bucket_owner: a list, expected a text"),
    ({"volatile_tail": -1}, "volatile_tail: a int, expected a number from 0 on"),
    ({"service_tier": ["flex"]}, "service_tier: \\['flex'\\] is none of"),
    ({"anthropic_beta": 5}, "anthropic_beta: a int"),
    ({"system_tools": "nova_grounding"}, "system_tools: a str, expected a list of texts"),
    ({"functions": 5}, "functions: a int"),
    ({"prompt_variables": "x"}, "prompt_variables: a str"),
    ({"prompt_caching": "off"}, "prompt_caching: a str, expected True, False or drop-in"),
    ({"additional_model_response_field_paths": [5]}, "additional_model_response_field_paths: a list"),
    ({"extra": {"inferenceConfig": 5}}, "extra.inferenceConfig: not an object"),
    ({"extra": {"system": "be brief"}}, "extra.system: not a list"),
    ({"extra": {"system": ["be brief"]}}, "extra.system: not a list of objects"),
    ({"extra": {"system": [{"text": 5}]}}, "extra.system: has a text that is none"),
    ({"extra": {"toolConfig": {"tools": 5}}}, "extra.toolConfig: not a list of objects"),
]


@pytest.mark.parametrize(("options", "said"), REFUSED, ids=[str(options)[:40] for options, _ in REFUSED])
def test_what_can_never_be_right_names_its_option(options: dict[str, Any], said: str) -> None:
    with pytest.raises(InvalidRequestError, match=said):
        build_request(CLAUDE, [USER], **options)


def test_an_option_that_nobody_knows_is_a_type_error() -> None:
    with pytest.raises(TypeError, match="max_token"):
        build_request(CLAUDE, [USER], max_token=5)


def test_a_stored_prompt_takes_messages_and_variables_only() -> None:
    model = "arn:aws:bedrock:us-east-1:123456789012:prompt/ABCDEFGHIJ:1"
    messages = [{"role": "system", "content": "s"}, USER]
    request = built(model, messages, [tool()], max_tokens=5, prompt_variables={"a": "b", "c": {"text": "d"}})
    assert request.kwargs == {
        "modelId": model,
        "messages": [{"role": "user", "content": [{"text": "s"}, {"text": "hi"}]}],
        "promptVariables": {"a": {"text": "b"}, "c": {"text": "d"}},
    }
    assert steps_of(request) == {"fold_system_prompt", "drop_member"}


def test_a_model_without_system_prompts_reads_it_in_the_first_turn() -> None:
    request = built("amazon.titan-text-express-v1", [{"role": "system", "content": "s"}, USER])
    assert request.kwargs["messages"] == [{"role": "user", "content": [{"text": "s"}, {"text": "hi"}]}]


@pytest.mark.parametrize("model", [CLAUDE, CLAUDE_3_7, NOVA, NOVA_2])
def test_no_member_is_empty(model: str) -> None:
    assert all(built(model, [USER], [], stop=[], metadata={}, extra={}).kwargs.values())
