from __future__ import annotations

import copy
import logging
import pickle
from typing import Any

import pytest
from botocore.model import ListShape, MapShape, Shape, StructureShape

from agent.bedrock.errors import InvalidRequestError
from agent.bedrock.request.build import ConverseRequest, build_request
from tests.request.service import (
    CLAUDE,
    CLAUDE_4_8,
    NOVA_2,
    USER,
    built,
    call,
    input_shape,
    model_is_new,
    result,
    shape_errors,
    tool,
)

MEDIA_URL = "data:{};base64,eA=="
S3 = "s3://bucket/key"
CITED = {
    "citationsContent": {
        "content": [{"text": "c"}],
        "citations": [
            {"title": "t", "source": "s", "sourceContent": [{"text": "x"}], "location": {kind: place}}
            for kind, place in (
                ("web", {"url": "u", "domain": "d"}),
                ("documentChar", {"documentIndex": 0, "start": 0, "end": 1}),
                ("documentPage", {"documentIndex": 0, "start": 0, "end": 1}),
                ("documentChunk", {"documentIndex": 0, "start": 0, "end": 1}),
                ("searchResultLocation", {"searchResultIndex": 0, "start": 0, "end": 1}),
            )
        ],
    }
}
RESULT_PARTS = [
    {"type": "text", "text": "t"},
    {"json": {"a": 1}},
    {"type": "image_url", "image_url": MEDIA_URL.format("image/png")},
    {"type": "document", "title": "d", "context": "c", "citations": True, "source": {"type": "text", "data": "x"}},
    {"type": "document", "title": "e", "source": {"type": "content", "content": ["x"]}},
    {"type": "file", "file": {"filename": "f.pdf", "file_data": "eA=="}},
    {"type": "search_result", "source": "s", "title": "t", "content": "c", "citations": True},
]
USER_PARTS = [
    *RESULT_PARTS[:1],
    *RESULT_PARTS[2:],
    {"type": "video_url", "video_url": MEDIA_URL.format("video/mp4")},
    {"type": "video_url", "video_url": S3 + ".mp4"},
    {"type": "input_audio", "input_audio": {"data": "eA==", "format": "wav"}},
    {"type": "audio_url", "audio_url": S3 + ".mp3"},
    {"type": "image_url", "image_url": S3 + ".png"},
    {"type": "document_url", "document_url": S3 + ".pdf"},
    {"type": "guard_content", "text": "g", "qualifiers": ["query"]},
    {"type": "guard_content", "image_url": MEDIA_URL.format("image/png")},
    {"type": "text", "text": "cached", "cache_control": {"type": "ephemeral", "ttl": "5m"}},
]
ERRORED = [
    {"image": {"format": "png", "source": {"bytes": "eA=="}, "error": {"message": "m"}}},
    {"audio": {"format": "wav", "source": {"bytes": "eA=="}, "error": {"message": "m"}}},
]
ANSWER = {
    "role": "assistant",
    "content": [
        {"text": "so"},
        CITED,
        {"toolUse": {"toolUseId": "s", "name": "n", "input": {}, "type": "server_tool_use"}},
        {"toolResult": {"toolUseId": "s", "content": [{"json": {}}], "status": "success", "type": "x_result"}},
    ],
    "reasoning_details": [
        {"type": "reasoning.text", "text": "t", "signature": "s"},
        {"type": "reasoning.encrypted", "data": "eA=="},
    ],
    "tool_calls": [call("a")],
}
VIDEO_RESULT = [
    {"type": "video_url", "video_url": MEDIA_URL.format("video/mp4")},
    {"type": "image_url", "image_url": S3 + ".png"},
    {"type": "video_url", "video_url": S3 + ".mp4"},
    {"type": "document_url", "document_url": S3 + ".csv"},
]
HIDDEN = "arn:aws:bedrock:us-east-1:123456789012:application-inference-profile/abcdefghijkl"


def everything() -> list[ConverseRequest]:
    """Requests that together reach every member of Converse by a named option or an OpenAI form."""
    system = {
        "role": "system",
        "content": [
            {"type": "text", "text": "s", "cache_control": {"type": "ephemeral", "ttl": "1h"}},
            {"type": "guard_content", "text": "g", "qualifiers": ["grounding_source"]},
            {"type": "guard_content", "image_url": MEDIA_URL.format("image/png")},
        ],
    }
    late = {
        "role": "system",
        "content": [
            {"type": "text", "text": "from now on"},
            {"type": "tool_addition", "tool": {"type": "tool", "name": "read", "server_name": "m"}},
            {"type": "tool_removal", "tool": {"type": "tool", "name": "read", "server_name": "m"}},
        ],
    }
    options: dict[str, Any] = {
        "max_tokens": 100, "stop": "x", "effort": "low", "service_tier": "flex", "metadata": {"a": "b"},
        "performance_config": "standard", "additional_model_response_field_paths": ["/a"], "bucket_owner": "123456789012",
        "guardrail_config": {"id": "g", "version": "1", "trace": "enabled", "stream_processing_mode": "sync"},
        "prompt_variables": {"a": "b"}, "top_k": 5,
    }  # fmt: skip
    schema = {"type": "object", "properties": {"a": {"type": "string"}}, "required": ["a"]}
    fmt = {"type": "json_schema", "json_schema": {"name": "n", "description": "d", "schema": schema}}
    marked = tool(strict=True, cache_control={"type": "ephemeral", "ttl": "1h"})
    media = {"base_model": NOVA_2, **options}
    return [
        build_request(CLAUDE, [system, {"role": "user", "content": USER_PARTS}, ANSWER, result("a", RESULT_PARTS)],
                      [marked], tool_choice="read", temperature=0.5, **options),
        build_request(CLAUDE, [{"role": "user", "content": "x"}], [marked], tool_choice="auto", top_p=0.5, response_format=fmt),
        build_request(HIDDEN, [{"role": "user", "content": USER_PARTS}, ANSWER, result("a", VIDEO_RESULT)], [tool()], **options),
        build_request(HIDDEN, [{"role": "user", "content": [*USER_PARTS, *ERRORED]}, ANSWER, result("a")], [tool()], tool_choice="any",
                      system_tools=["nova_grounding"], **media),
        build_request(CLAUDE_4_8, [USER, late], [tool()]),
    ]  # fmt: skip


def reached(shape: Shape, value: Any, path: str) -> set[str]:
    """The member paths of the service model that a value reaches."""
    if isinstance(shape, StructureShape) and not getattr(shape, "is_document_type", False):
        found = set()
        for name, inner in value.items():
            found |= {f"{path}.{name}"} | reached(shape.members[name], inner, f"{path}.{name}")
        return found
    if isinstance(shape, ListShape):
        return {each for item in value for each in reached(shape.member, item, path + "[]")}
    if isinstance(shape, MapShape):
        return {each for item in value.values() for each in reached(shape.value, item, path + "{}")}
    return set()


def all_members(shape: Shape, path: str) -> set[str]:
    """Every member path of the service model."""
    if isinstance(shape, StructureShape) and not getattr(shape, "is_document_type", False):
        found = set()
        for name, inner in shape.members.items():
            found |= {f"{path}.{name}"} | all_members(inner, f"{path}.{name}")
        return found
    if isinstance(shape, ListShape):
        return all_members(shape.member, path + "[]")
    return all_members(shape.value, path + "{}") if isinstance(shape, MapShape) else set()


def without_result_prefix(paths: set[str]) -> set[str]:
    """Media in tool results are the same shapes as media beside them: one place of the two is enough for the details."""
    return {path.replace(".toolResult.content[].", ".") if path.count(".") > 4 else path for path in paths}


@pytest.mark.skipif(not model_is_new(), reason="the service model of the installed botocore is too old")
@pytest.mark.parametrize("operation", ["Converse", "ConverseStream"])
def test_every_member_of_the_service_model_is_reachable(operation: str) -> None:
    shape = input_shape(operation)
    found = {path for request in everything() for path in reached(input_shape("ConverseStream"), request.kwargs, "")}
    missing = without_result_prefix(all_members(shape, "")) - without_result_prefix(found)
    assert sorted(missing) == []


def test_the_examples_that_reach_everything_are_taken_by_botocore() -> None:
    for request in everything():
        assert shape_errors(request.kwargs, "ConverseStream") == []


def test_the_request_is_a_value() -> None:
    request = built(CLAUDE, [USER])
    assert request.kwargs == {"modelId": CLAUDE, "messages": [{"role": "user", "content": [{"text": "hi"}]}]}
    assert (request.repairs, dict(request.tool_names), request.structured) == ((), {}, None)
    assert pickle.loads(pickle.dumps(request)) == request


def test_the_same_input_gives_the_same_request_and_is_not_changed() -> None:
    messages = [
        USER,
        {"role": "assistant", "content": None, "tool_calls": [call("a|b", "my.tool", "{")]},
        result("a|b", [{"a": 1}]),
    ]
    tools = [tool("my.tool", strict=True)]
    before = copy.deepcopy((messages, tools))
    first, second = (build_request(CLAUDE, messages, tools, thinking=True, max_tokens=5000) for _ in range(2))
    assert first == second
    assert (messages, tools) == before


def test_repairs_are_logged_without_content(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    build_request(CLAUDE, [USER, result("zz", "secret")], [tool("secret.tool")])
    assert "step=tell_unexpected_results_as_text message=1 |" in caplog.text
    assert "secret" not in caplog.text


def test_an_iterator_of_messages_is_read_once() -> None:
    assert build_request(CLAUDE, iter([USER])).kwargs == built(CLAUDE, [USER]).kwargs


def nested(depth: int) -> dict[str, Any]:
    value: dict[str, Any] = {}
    for _ in range(depth):
        value = {"a": value}
    return value


ENDLESS: dict[str, Any] = {}
ENDLESS["a"] = ENDLESS


@pytest.mark.parametrize("value", [nested(5000), ENDLESS], ids=["deep", "endless"])
def test_what_is_nested_too_deeply_is_refused_with_its_place(value: dict[str, Any]) -> None:
    call = {"id": "a", "function": {"name": "f", "arguments": value}}
    with pytest.raises(InvalidRequestError, match=r"messages\[1\]: nested too deeply"):
        build_request(CLAUDE, [USER, {"role": "assistant", "tool_calls": [call]}], [tool("f")])
    for options in ({"tools": [tool(parameters=value)]}, {"additional_model_request_fields": value}):
        with pytest.raises(InvalidRequestError, match="nested too deeply"):
            build_request(CLAUDE, [USER], **options)


def test_arguments_that_are_too_deep_to_parse_stay_as_text() -> None:
    arguments = '{"a":' * 5000 + "1" + "}" * 5000
    call = {"id": "a", "function": {"name": "read", "arguments": arguments}}
    request = built(CLAUDE, [USER, {"role": "assistant", "tool_calls": [call]}], [tool()])
    assert request.kwargs["messages"][1]["content"][0]["toolUse"]["input"] == {"unparsed_arguments": arguments}
