"""Bodies against the service model: what botocore's client lets pass, the service does not."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
from botocore.exceptions import ClientError

from agent.bedrock.testing.shapes import judge_shape

from .conftest import ask, newest_model

pytestmark = newest_model

USER = {"role": "user", "content": [{"text": "Hello"}]}


def talk(**members: Any) -> dict[str, Any]:
    return {"messages": [USER], **members}


def said(content: Any) -> dict[str, Any]:
    return {"messages": [{"role": "user", "content": content}]}


def tool(**members: Any) -> dict[str, Any]:
    return talk(toolConfig={"tools": [{"toolSpec": {"name": "f", "inputSchema": {"json": {}}, **members}}]})


WRONG: Sequence[tuple[dict[str, Any], str, str]] = [
    (
        {"messages": [{"role": "tool", "content": []}]},
        "Value 'tool' at 'messages.1.member.role'",
        "Member must satisfy enum value set: [user, assistant, system]",
    ),
    (
        tool(name="Complete Session"),
        "Value 'Complete Session' at 'toolConfig.tools.1.member.toolSpec.name'",
        "Member must satisfy regular expression pattern: [a-zA-Z0-9_-]+",
    ),
    (
        tool(name="x" * 65),
        f"Value '{'x' * 65}' at 'toolConfig.tools.1.member.toolSpec.name'",
        "Member must have length less than or equal to 64",
    ),
    (
        tool(description=""),
        "Value '' at 'toolConfig.tools.1.member.toolSpec.description'",
        "Member must have length greater than or equal to 1",
    ),
    (
        talk(toolConfig={"tools": []}),
        "Value '[]' at 'toolConfig.tools'",
        "Member must have length greater than or equal to 1",
    ),
    (talk(toolConfig={}), "Value null at 'toolConfig.tools'", "Member must not be null"),
    (
        said([{"toolUse": {"toolUseId": "a b", "name": "f", "input": {}}}]),
        "Value at 'messages.1.member.content.1.member.toolUse.toolUseId'",
        "Member must satisfy regular expression pattern: [a-zA-Z0-9_.:-]+",
    ),
    (
        said([{"toolUse": {"toolUseId": "a", "name": "f", "input": {}, "type": "tool_use"}}]),
        "Value at 'messages.1.member.content.1.member.toolUse.type'",
        "Member must satisfy enum value set: [server_tool_use]",
    ),
    (
        said([{"reasoningContent": {"reasoningText": {"signature": "s"}}}]),
        "Value at 'messages.1.member.content.1.member.reasoningContent.reasoningText.text'",
        "Member must not be null",
    ),
    (
        said([{"image": {"format": "jpg", "source": {"bytes": "AAAA"}}}]),
        "Value at 'messages.1.member.content.1.member.image.format'",
        "Member must satisfy enum value set: [png, jpeg, gif, webp]",
    ),
    (
        said([{"image": {"format": "png", "source": {"bytes": ""}}}]),
        "Value at 'messages.1.member.content.1.member.image.source.bytes'",
        "Member must have length greater than or equal to 1",
    ),
    (
        talk(inferenceConfig={"temperature": 2}),
        "Value '2' at 'inferenceConfig.temperature'",
        "Member must have value less than or equal to 1",
    ),
    (
        talk(inferenceConfig={"maxTokens": 0}),
        "Value '0' at 'inferenceConfig.maxTokens'",
        "Member must have value greater than or equal to 1",
    ),
    (
        talk(requestMetadata={"key": "no!"}),
        "Value 'no!' at 'requestMetadata.key.member'",
        "Member must satisfy regular expression pattern: [a-zA-Z0-9\\s:_@$#=/+,-.]{0,256}",
    ),
    (
        talk(system=[{"text": ""}]),
        "Value '' at 'system.1.member.text'",
        "Member must have length greater than or equal to 1",
    ),
    (talk(modle="x"), "Value 'x' at 'modle'", "Member is not known to the service"),
    (talk(modelId="x"), "Value 'x' at 'modelId'", "Member is not known to the service"),
    (
        talk(toolConfig={"tools": [{}]}),
        "Value '{}' at 'toolConfig.tools.1.member'",
        "Member must set exactly one of the members: [toolSpec, systemTool, cachePoint]",
    ),
]


@pytest.mark.parametrize(("body", "place", "constraint"), WRONG)
def test_the_validator_complains_in_the_words_of_the_service(body: dict[str, Any], place: str, constraint: str) -> None:
    refusal = judge_shape("converse", body)
    assert refusal is not None
    assert refusal.code == "ValidationException"
    assert refusal.message == f"1 validation error detected: {place} failed to satisfy constraint: {constraint}"


def test_all_complaints_come_at_once() -> None:
    refusal = judge_shape("converse", talk(inferenceConfig={"maxTokens": 0, "topP": 7}))
    assert refusal is not None
    assert (refusal.message or "").startswith("2 validation errors detected: Value '0' at 'inferenceConfig.maxTokens'")
    assert "; Value '7' at 'inferenceConfig.topP'" in (refusal.message or "")


@pytest.mark.parametrize(
    ("body", "complaint"),
    [
        (None, "Start of structure or map found where not expected."),
        ([], "Start of structure or map found where not expected."),
        ({"messages": "hi"}, "string can not be converted to list at 'messages'"),
        (said([{"text": 5}]), "integer can not be converted to string at 'messages.1.member.content.1.member.text'"),
        (
            talk(inferenceConfig={"maxTokens": 1.5}),
            "number can not be converted to integer at 'inferenceConfig.maxTokens'",
        ),
        (
            talk(inferenceConfig={"maxTokens": True}),
            "boolean can not be converted to integer at 'inferenceConfig.maxTokens'",
        ),
    ],
)
def test_what_cannot_be_read_is_a_serialization_error(body: Any, complaint: str) -> None:
    refusal = judge_shape("converse", body)
    assert refusal is not None
    assert (refusal.code, refusal.message) == ("SerializationException", complaint)


def test_streams_and_whole_answers_differ_in_one_member() -> None:
    body = talk(
        guardrailConfig={"guardrailIdentifier": "abc", "guardrailVersion": "1", "streamProcessingMode": "async"}
    )
    assert judge_shape("converse-stream", body) is None
    assert judge_shape("converse", body) is not None


@pytest.mark.parametrize("document", [{"a": [1, None, {"b": 2.5}]}, [1], "text", 5, True, None])
def test_documents_may_hold_any_json(document: Any) -> None:
    assert judge_shape("converse", talk(additionalModelRequestFields=document)) is None


def test_null_members_count_as_absent() -> None:
    assert judge_shape("converse", talk(system=None, inferenceConfig={"maxTokens": None})) is None


def test_null_is_no_member_of_a_list() -> None:
    refusal = judge_shape("converse", talk(system=[None]))
    assert refusal is not None
    assert "Value null at 'system.1.member' failed to satisfy constraint: Member must not be null" in str(
        refusal.message
    )


def test_nova_takes_a_media_type_as_the_format_of_a_video() -> None:
    assert judge_shape("converse", said([{"video": {"format": "video/mp4", "source": {"bytes": "AAAA"}}}])) is None


def test_what_botocore_lets_pass_is_refused_on_the_wire(client: Any) -> None:
    tools = [{"toolSpec": {"name": "dotted.name", "inputSchema": {"json": {"type": "object"}}}}]
    with pytest.raises(ClientError, match="Member must satisfy regular expression pattern") as caught:
        client.converse(**ask(toolConfig={"tools": tools}))
    assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] == 400


def test_a_bare_nan_is_no_json(client: Any) -> None:
    with pytest.raises(ClientError, match="SerializationException"):
        client.converse(**ask(additionalModelRequestFields={"x": float("nan")}))
