"""What the field's adapters can do, as statements: one test per row that concerns the request, named after it."""

from __future__ import annotations

import logging
from typing import Any

import pytest

from agent.bedrock.errors import InvalidRequestError
from agent.bedrock.models.profiles import profile_for
from agent.bedrock.request.build import build_request
from tests.request.service import (
    CLAUDE,
    CLAUDE_4_6,
    CLAUDE_4_7,
    LLAMA,
    NOVA,
    PALMYRA,
    R1,
    USER,
    answer,
    built,
    call,
    result,
    steps_of,
    tool,
    turns_of,
    use,
)

PNG = "data:image/png;base64,eA=="
IMAGE = {"image": {"format": "png", "source": {"bytes": b"x"}}}
ASKED = [USER, {"role": "assistant", "content": None, "tool_calls": [call("a"), call("b")]}]
MARK = {"type": "ephemeral"}
ARN = "arn:aws:bedrock:eu-west-1:123456789012:application-inference-profile/abcdefghijkl"


def test_e5_signed_and_redacted_reasoning_goes_back_byte_equal_before_text_and_calls() -> None:
    signed = {"reasoningContent": {"reasoningText": {"text": " t\n", "signature": "c2ln+/="}}}
    sidecar = [signed, {"reasoningContent": {"redactedContent": "/wA="}}, {"text": "so"}, use("a")]
    message = {"role": "assistant", "content": "so", "tool_calls": [call("a")], "bedrock_content_blocks": sidecar}
    blocks = turns_of(CLAUDE, [USER, message, result("a")], [tool()])[1][1]
    assert blocks == [signed, {"reasoningContent": {"redactedContent": b"\xff\x00"}}, {"text": "so"}, use("a")]


def test_e6_results_in_any_order_come_in_the_order_of_the_calls() -> None:
    expected = [("user", [{"text": "hi"}]), ("assistant", [use("a"), use("b")]), ("user", [answer("a"), answer("b")])]
    for results in ([result("a"), result("b")], [result("b"), result("a")]):
        assert turns_of(CLAUDE, [*ASKED, *results], [tool()]) == expected


def test_e7_neighbours_of_one_role_merge_and_roles_alternate() -> None:
    said = {"role": "assistant", "content": "a"}
    assert [role for role, _ in turns_of(CLAUDE, [USER, USER, said, said, USER])] == ["user", "assistant", "user"]


def test_e8_an_error_is_an_error_everything_else_a_success_and_a_blank_result_says_so() -> None:
    messages = [*ASKED, result("a", "boom", is_error=True), result("b", " ")]
    assert turns_of(CLAUDE, messages, [tool()])[2][1] == [
        answer("a", {"text": "boom"}, status="error"), answer("b", {"text": "(empty)"})]  # fmt: skip


def test_e9_images_are_raw_bytes_and_left_out_with_a_log_where_there_are_no_eyes(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.DEBUG)
    part = {"type": "image_url", "image_url": {"url": PNG}}
    messages = [*ASKED, result("a", [part]), result("b"), {"role": "user", "content": [part]}]
    assert turns_of(CLAUDE, messages, [tool()])[2][1] == [answer("a", IMAGE), answer("b"), IMAGE]
    assert "bytes" not in str(turns_of(LLAMA, messages, [tool()]))
    assert "name_refused_media" in caplog.text


def test_e10_no_tools_no_tool_config_blank_system_no_system() -> None:
    assert set(built(CLAUDE, [{"role": "system", "content": ""}, USER]).kwargs) == {"modelId", "messages"}


def test_e11_extra_keeps_exactly_the_members_of_converse_with_one_warning(caplog: pytest.LogCaptureFixture) -> None:
    extra = {
        "serviceTier": {"type": "flex"},
        "inferenceConfig": {"topP": 0.5},
        "modelId": "x",
        "messages": [],
        "foo": 1,
    }
    kwargs = built(CLAUDE, [USER], max_tokens=5, extra=extra).kwargs
    assert kwargs["modelId"] == CLAUDE
    assert kwargs["inferenceConfig"] == {"maxTokens": 5, "topP": 0.5}
    assert kwargs["serviceTier"] == {"type": "flex"}
    assert [record.levelname for record in caplog.records] == ["WARNING"]


def test_e12_thinking_and_effort_are_translated_and_off_is_off() -> None:
    thinking = {"type": "adaptive", "budget_tokens": 2000, "display": "summarized"}
    request = built(CLAUDE_4_6, [USER], thinking=thinking, output_config={"effort": "low"})
    assert request.kwargs["additionalModelRequestFields"] == {
        "thinking": {"type": "adaptive", "display": "summarized"}, "output_config": {"effort": "low"}}  # fmt: skip
    smuggled = {"thinking": {"type": "adaptive"}}
    off = built(CLAUDE_4_6, [USER], reasoning_effort="none", additional_model_request_fields=smuggled)
    assert "additionalModelRequestFields" not in off.kwargs


def test_r4_structured_output_is_a_forced_tool_that_works_beside_the_users_own() -> None:
    schema = {"type": "object", "properties": {"a": {"type": "string"}}}
    wanted = {"type": "json_schema", "json_schema": {"name": "n", "schema": schema}}
    alone = built(NOVA, [USER], response_format=wanted).kwargs["toolConfig"]
    assert alone["toolChoice"] == {"tool": {"name": "structured_output"}}
    beside = built(NOVA, [USER], [tool()], response_format=wanted).kwargs["toolConfig"]
    assert [block["toolSpec"]["name"] for block in beside["tools"]] == ["read", "structured_output"]


def test_r5_ids_are_legal_the_same_on_call_and_result_and_never_collide() -> None:
    ids = ["a b", "a:b", "a.b", "x" * 65, "x" * 66]
    messages = [USER, {"role": "assistant", "tool_calls": [call(i) for i in ids]}, *(result(i, i) for i in ids)]
    _, (_, calls), (_, results) = turns_of(CLAUDE, messages, [tool()])
    wire = [block["toolUse"]["toolUseId"] for block in calls]
    assert len(set(wire)) == 5
    assert wire == [block["toolResult"]["toolUseId"] for block in results]
    assert all(len(each) <= 64 and each.replace("_", "a").isalnum() for each in wire)


def test_r6_tool_choice_is_left_out_where_unsupported_and_refused_where_unknown() -> None:
    assert built(CLAUDE, [USER], [tool()], tool_choice="required").kwargs["toolConfig"]["toolChoice"] == {"any": {}}
    assert "toolChoice" not in built(LLAMA, [USER], [tool()], tool_choice="required").kwargs["toolConfig"]
    with pytest.raises(ValueError, match="auto"):
        build_request(CLAUDE, [USER], [tool()], tool_choice={"type": "sometimes"})


def test_r7_a_tool_choice_without_tools_is_never_sent() -> None:
    assert "toolConfig" not in built(CLAUDE, [USER], tool_choice="required").kwargs


def test_r8_top_k_and_betas_are_claudes_and_the_callers_fields_win() -> None:
    fields = {"top_k": 1}
    request = built(CLAUDE, [USER], top_k=5, anthropic_beta=["b"], additional_model_request_fields=fields)
    assert request.kwargs["additionalModelRequestFields"] == {"top_k": 1, "anthropic_beta": ["b"]}
    assert "additionalModelRequestFields" not in built(LLAMA, [USER], top_k=5, anthropic_beta=["b"]).kwargs


def test_r9_a_guardrail_needs_its_version_and_keeps_its_trace() -> None:
    with pytest.raises(InvalidRequestError, match="both its identifier and its version"):
        build_request(CLAUDE, [USER], guardrail_config={"guardrail_identifier": "g"})
    config = built(CLAUDE, [USER], guardrail_config={"id": "g", "version": "1", "trace": "enabled_full"}).kwargs
    assert config["guardrailConfig"]["trace"] == "enabled_full"


def test_r10_guard_content_is_text_or_png_or_jpeg_in_system_too_and_never_in_a_result() -> None:
    mark = {"type": "guard_content", "text": "g", "qualifiers": ["query"]}
    request = built(CLAUDE, [{"role": "system", "content": [mark]}, {"role": "user", "content": [mark]}])
    block = {"guardContent": {"text": {"text": "g", "qualifiers": ["query"]}}}
    assert request.kwargs["system"] == request.kwargs["messages"][0]["content"] == [block]
    with pytest.raises(InvalidRequestError, match="tool result"):
        build_request(CLAUDE, [*ASKED, result("a", [mark])], [tool()])


@pytest.mark.parametrize(
    ("name", "media_type", "kind", "media_format"),
    [
        ("a.jpg", "image/jpg", "image", "jpeg"),
        ("a.mov", "video/quicktime", "video", "mov"),
        ("a.docx", "application/octet-stream", "document", "docx"),
        ("a", "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet", "document", "xlsx"),
        ("a.md", "text/x-unknown", "document", "md"),
    ],
)
def test_r11_kinds_are_told_by_media_type_then_by_file_name(
    name: str, media_type: str, kind: str, media_format: str
) -> None:
    part = {"type": "file", "file": {"filename": name, "file_data": f"data:{media_type};base64,eA=="}}
    block = turns_of(NOVA, [{"role": "user", "content": ["see", part]}])[0][1][1]
    assert block[kind]["format"] == media_format


def test_r12_s3_is_a_location_with_its_owner_and_http_a_clear_error() -> None:
    part = {"type": "image_url", "image_url": {"url": "s3://bucket/a.png"}}
    block = turns_of(NOVA, [{"role": "user", "content": [part]}], bucket_owner="123456789012")[0][1][0]
    assert block["image"]["source"] == {"s3Location": {"uri": "s3://bucket/a.png", "bucketOwner": "123456789012"}}
    with pytest.raises(InvalidRequestError, match="does not fetch"):
        build_request(
            NOVA, [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "https://x/a.png"}}]}]
        )


def test_r13_document_names_are_legal_and_a_document_never_stands_alone() -> None:
    part = {"type": "file", "file": {"filename": "a\u3000 b..%.pdf", "file_data": "eA=="}}
    blocks = turns_of(CLAUDE, [{"role": "user", "content": [part]}])[0][1]
    assert blocks[0]["document"]["name"] == "a b"
    assert "text" in blocks[1]


def test_r14_citations_are_asked_for_with_a_flag_on_the_part_or_the_request() -> None:
    part = {"type": "file", "file": {"filename": "a.pdf", "file_data": "eA=="}}
    asked: list[tuple[Any, dict[str, Any]]] = [({**part, "citations": True}, {}), (part, {"citations": True})]
    for given, options in asked:
        block = turns_of(CLAUDE, [{"role": "user", "content": ["see", given]}], **options)[0][1][1]
        assert block["document"]["citations"] == {"enabled": True}


def test_r15_status_goes_to_claude_and_amazon_only() -> None:
    messages = [*ASKED, result("a", is_error=True), result("b")]
    for model, sent in ((CLAUDE, True), (NOVA, True), (LLAMA, False), (PALMYRA, False)):
        assert ("'status'" in str(turns_of(model, messages, [tool()]))) is sent


def test_r16_cache_control_becomes_a_point_right_after_and_never_inside_a_result() -> None:
    messages = [
        *ASKED,
        result("a", [{"type": "text", "text": "x", "cache_control": MARK}]),
        result("b", cache_control=MARK),
    ]
    blocks = built(CLAUDE, messages, [tool()]).kwargs["messages"][2]["content"]
    assert [next(iter(block)) for block in blocks] == ["toolResult", "cachePoint", "toolResult", "cachePoint"]


def test_r17_automatic_points_follow_tools_system_and_messages_but_not_novas_tools() -> None:
    messages = [{"role": "system", "content": "w " * 9000}, USER, {"role": "assistant", "content": "a"}, USER]
    tools = [tool(description="w " * 9000)]
    for model, expected in ((CLAUDE, (1, 1, 1)), (NOVA, (0, 1, 2))):
        kwargs = built(model, messages, tools).kwargs
        spoken = [block for message in kwargs["messages"] for block in message["content"]]
        groups = (kwargs["toolConfig"]["tools"], kwargs["system"], spoken)
        assert tuple(sum("cachePoint" in block for block in group) for group in groups) == expected


def test_r18_a_life_of_5m_or_1h_longer_first_anything_else_is_refused() -> None:
    def marked(*lives: str) -> list[Any]:
        parts = [{"type": "text", "text": "x", "cache_control": {**MARK, "ttl": life}} for life in lives]
        return [{"role": "user", "content": parts}]

    assert "1h" in str(built(CLAUDE, marked("1h", "5m")).kwargs)
    for wrong in (marked("2h"), marked("5m", "1h")):
        with pytest.raises(InvalidRequestError):
            build_request(CLAUDE, wrong)


def test_r19_reasoning_details_are_ordered_by_index_and_only_our_own_are_replayed() -> None:
    details = [
        {"type": "reasoning.text", "text": "2", "signature": "b", "index": 1},
        {"type": "reasoning.text", "text": "1", "signature": "a", "index": 0},
        {"type": "reasoning.text", "text": "x", "signature": "c", "index": 2, "format": "google-gemini-v1"},
        {"type": "reasoning.summary", "summary": "s", "index": 3},
    ]
    message = {"role": "assistant", "content": "so", "reasoning_details": details}
    blocks = turns_of(CLAUDE, [USER, message, USER])[1][1]
    assert [block["reasoningContent"]["reasoningText"]["text"] for block in blocks[:-1]] == ["1", "2"]


def test_r25_tiers_in_converses_words_the_default_left_out() -> None:
    for given, sent in (("priority", {"type": "priority"}), ("flex", {"type": "flex"}), ("default", None)):
        assert built(NOVA, [USER], service_tier=given).kwargs.get("serviceTier") == sent


def test_r26_an_arn_takes_its_capabilities_from_the_model_named_beside_it() -> None:
    request = built(ARN, [USER], [tool("my-tool")], base_model=NOVA, tool_choice="required")
    assert request.kwargs["modelId"] == ARN
    assert request.kwargs["toolConfig"]["toolChoice"] == {"any": {}}
    assert "my-tool" in request.tool_names.values()
    for prefix in ("us.", "eu.", "ap.", "apac.", "ca.", "au.", "jp.", "us-gov.", "global."):
        assert profile_for(prefix + "anthropic.claude-opus-4-7") == profile_for(CLAUDE_4_7)


def test_r27_sampling_conflicts_and_thinking_constraints_are_settled_and_reported() -> None:
    assert steps_of(built(CLAUDE, [USER], temperature=0.5, top_p=0.5)) == {"drop_sampling"}
    request = built(CLAUDE, [USER], temperature=0.5, thinking_budget=9000, max_tokens=4000)
    assert request.kwargs["inferenceConfig"] == {"maxTokens": 4000}
    assert request.kwargs["additionalModelRequestFields"]["thinking"]["budget_tokens"] < 4000


def test_r29_tool_messages_merge_and_empty_parts_go() -> None:
    messages = [*ASKED, result("a"), result("b"), {"role": "user", "content": [{"type": "text", "text": ""}, "x"]}]
    assert turns_of(CLAUDE, messages, [tool()])[2] == ("user", [answer("a"), answer("b"), {"text": "x"}])


def test_o7_tools_can_be_kept_in_one_order() -> None:
    tools = [tool("b"), tool("a"), tool("c")]
    for given in (tools, tools[::-1]):
        sent = built(CLAUDE, [USER], given, stable_tool_order=True).kwargs["toolConfig"]["tools"]
        assert [block["toolSpec"]["name"] for block in sent] == ["a", "b", "c"]


def test_o8_the_cache_point_stands_before_the_volatile_tail() -> None:
    messages = [{"role": "system", "content": "w " * 9000}, USER, {"role": "assistant", "content": "a"},
                USER, {"role": "user", "content": "it is noon"}]  # fmt: skip
    blocks = built(CLAUDE, messages, volatile_tail=1).kwargs["messages"][2]["content"]
    assert [next(iter(block)) for block in blocks] == ["text", "cachePoint", "text"]


def test_o9_tool_history_is_text_when_there_are_no_tools() -> None:
    for model, tools in ((CLAUDE, None), (R1, [tool()])):
        request = built(model, [*ASKED, result("a"), result("b")], tools)
        assert "tool_use" not in str(request.kwargs)
        assert "toolUse" not in str(request.kwargs)
        assert "[Tool call a: read {}]" in str(request.kwargs)
