"""What the completion says, one behaviour a test."""

from __future__ import annotations

import json
from typing import Any

import pytest

from agent.bedrock.response.accumulator import Accumulator, fold
from agent.bedrock.response.completion import Completion, finish_reason
from agent.bedrock.response.events import (
    BlockStop,
    Citation,
    ImageDelta,
    ImageStart,
    MessageStop,
    Metadata,
    ReasoningDelta,
    ReasoningSignature,
    RedactedReasoning,
    StreamRestarted,
    TextDelta,
    ToolArgumentsDelta,
    ToolCallStart,
    UnknownEvent,
)

DONE = MessageStop("end_turn")


def said(*events: Any) -> Any:
    return fold([*events, DONE]).choices[0].message


def call(block: int, arguments: str, name: str = "f") -> list[Any]:
    return [ToolCallStart(block, f"id{block}", name), ToolArgumentsDelta(block, arguments), BlockStop(block)]


@pytest.mark.parametrize(
    ("stop_reason", "expected"),
    [
        ("end_turn", "stop"),
        ("stop_sequence", "stop"),
        ("tool_use", "tool_calls"),
        ("max_tokens", "length"),
        ("model_context_window_exceeded", "length"),
        ("guardrail_intervened", "content_filter"),
        ("content_filtered", "content_filter"),
        ("invented_tomorrow", "stop"),
        (None, "stop"),
    ],
)
def test_finish_reason(stop_reason: str | None, expected: str) -> None:
    assert finish_reason(stop_reason) == expected


def test_calls_that_came_with_end_turn_finish_as_tool_calls() -> None:
    assert fold([*call(0, "{}"), DONE]).choices[0].finish_reason == "tool_calls"


def test_length_stays_length_when_calls_came_with_it() -> None:
    assert fold([*call(0, "{}"), MessageStop("max_tokens")]).choices[0].finish_reason == "length"


def test_an_unknown_stop_reason_is_kept_raw() -> None:
    assert fold([MessageStop("invented_tomorrow")]).bedrock.stop_reason == "invented_tomorrow"


def test_text_blocks_are_joined_without_separator() -> None:
    assert said(TextDelta(0, "a"), TextDelta(2, "b"), TextDelta(0, "A")).content == "aAb"


def test_no_text_is_none() -> None:
    message = said(TextDelta(0, ""))
    assert message.content is None
    assert message.bedrock_content_blocks == [{"text": ""}]


def test_interleaved_calls_do_not_mix() -> None:
    events = [
        ToolCallStart(1, "a", "f"),
        ToolCallStart(2, "b", "g"),
        ToolArgumentsDelta(2, '{"y":'),
        ToolArgumentsDelta(1, '{"x":'),
        ToolArgumentsDelta(2, "2}"),
        ToolArgumentsDelta(1, "1}"),
    ]
    calls = said(*events).tool_calls
    assert [(c.id, c.type, c.function.name, c.function.arguments) for c in calls] == [
        ("a", "function", "f", '{"x":1}'),
        ("b", "function", "g", '{"y":2}'),
    ]


def test_a_call_without_arguments_is_an_empty_object() -> None:
    message = said(ToolCallStart(0, "a", "f"), BlockStop(0))
    assert message.tool_calls[0].function.arguments == "{}"
    assert message.bedrock_content_blocks[0]["toolUse"]["input"] == {}


@pytest.mark.parametrize("broken", ['{"path": "/x", "conte', "[1]", "null", '{"a": NaN}', "[" * 100_000])
def test_broken_arguments_stay_as_they_came_and_are_listed(broken: str) -> None:
    completion = fold([*call(0, broken), MessageStop("tool_use")])
    assert completion.message.tool_calls[0].function.arguments == broken
    assert completion.bedrock.invalid_tool_calls == ["id0"]


def test_a_server_tools_call_is_not_the_clients() -> None:
    completion = fold([ToolCallStart(0, "a", "nova_code_interpreter", "server_tool_use"), BlockStop(0), DONE])
    assert completion.message.tool_calls is None
    assert completion.choices[0].finish_reason == "stop"
    assert completion.message.bedrock_content_blocks[0]["toolUse"]["type"] == "server_tool_use"


def test_reasoning_is_told_thrice_and_block_by_block() -> None:
    message = said(
        ReasoningDelta(0, "Let me"),
        ReasoningDelta(0, " see"),
        ReasoningSignature(0, "EqQ"),
        RedactedReasoning(1, b"\x00\xff"),
        ReasoningDelta(2, "!"),
    )
    assert message.reasoning_content == "Let me see!"
    assert [
        (d["type"], d["index"], d.get("text"), d.get("signature"), d.get("data")) for d in message.reasoning_details
    ] == [
        ("reasoning.text", 0, "Let me see", "EqQ", None),
        ("reasoning.encrypted", 1, None, None, "AP8="),
        ("reasoning.text", 2, "!", None, None),
    ]
    assert message.bedrock_content_blocks == [
        {"reasoningContent": {"reasoningText": {"text": "Let me see", "signature": "EqQ"}}},
        {"reasoningContent": {"redactedContent": "AP8="}},
        {"reasoningContent": {"reasoningText": {"text": "!"}}},
    ]


def test_a_signature_without_text_is_kept() -> None:
    message = said(ReasoningSignature(0, "EqQ"))
    assert message.bedrock_content_blocks == [{"reasoningContent": {"reasoningText": {"text": "", "signature": "EqQ"}}}]


def test_citations_point_into_the_final_text_in_code_points() -> None:
    web = {"title": "T", "location": {"web": {"url": "https://x.example", "domain": "x.example"}}}
    message = said(TextDelta(0, "🎉 so "), TextDelta(1, "cited"), Citation(1, web), TextDelta(2, "."))
    [annotation] = message.annotations
    place = annotation["url_citation"]
    assert message.content[place["start_index"] : place["end_index"]] == "cited"
    assert (place["url"], place["title"], annotation["bedrock"]) == ("https://x.example", "T", web)


def test_images_come_out_as_data_urls_and_bytes() -> None:
    events = (
        ImageStart(0, "png"),
        ImageDelta(0, {"source": {"bytes": b"ab"}}),
        ImageDelta(0, {"source": {"bytes": b"c"}}),
    )
    message = said(*events)
    assert message.images == [{"type": "image_url", "image_url": {"url": "data:image/png;base64,YWJj"}}]
    assert message.bedrock_content_blocks == [{"image": {"format": "png", "source": {"bytes": "YWJj"}}}]


def test_prompt_tokens_have_openais_meaning() -> None:
    # Recorded: input 3 + write 1712 + output 227 = total 1942.
    counters = {"inputTokens": 3, "outputTokens": 227, "totalTokens": 1942, "cacheWriteInputTokens": 1712}
    usage = fold([DONE, Metadata(counters)]).usage
    assert (usage.prompt_tokens, usage.completion_tokens, usage.total_tokens) == (1715, 227, 1942)
    assert (usage.cache_creation_input_tokens, usage.prompt_tokens_details.cached_tokens) == (1712, 0)


def test_missing_metadata_is_reported() -> None:
    assert fold([DONE]).bedrock.metadata_missing
    assert not fold([DONE, Metadata({})]).bedrock.metadata_missing


@pytest.mark.parametrize(("tier", "openai"), [("flex", "flex"), ("reserved", None)])
def test_only_tiers_that_openai_knows_are_told_in_its_field(tier: str, openai: str | None) -> None:
    completion = fold([DONE, Metadata({}, service_tier={"type": tier})])
    assert (completion.service_tier, completion.bedrock.service_tier) == (openai, {"type": tier})


def test_unfinished_calls_of_a_partial_answer_are_marked_and_cannot_be_run() -> None:
    accumulator = Accumulator()
    for event in [*call(0, '{"a": 1}'), ToolCallStart(1, "late", "rm"), ToolArgumentsDelta(1, '{"pa')]:
        accumulator.feed(event)
    partial = accumulator.completion(interrupted=True)
    assert [c.id for c in partial.message.tool_calls] == ["id0"]
    assert partial.bedrock.unfinished_tool_calls == [{"id": "late", "name": "rm", "arguments": '{"pa'}]
    assert partial.choices[0].finish_reason == "stop"
    assert [list(block) for block in partial.message.bedrock_content_blocks] == [["toolUse"]]


def test_blocks_without_a_stop_count_once_the_message_has_stopped() -> None:
    message = said(ToolCallStart(0, "a", "f"), ToolArgumentsDelta(0, "{}"))
    assert [c.id for c in message.tool_calls] == ["a"]


def test_a_restart_voids_what_came() -> None:
    assert said(TextDelta(0, "void"), StreamRestarted(2, "overloaded"), TextDelta(0, "new")).content == "new"


def test_unknown_events_are_counted_and_kept() -> None:
    completion = fold([UnknownEvent("heartbeat", {"at": 1}), UnknownEvent("heartbeat", {"at": 2}), DONE])
    assert completion.bedrock.unknown == {"heartbeat": 2}
    assert [event["payload"] for event in completion.bedrock.unknown_events] == [{"at": 1}, {"at": 2}]


def test_arguments_are_gathered_in_linear_time() -> None:
    accumulator = Accumulator()
    accumulator.feed(ToolCallStart(0, "a", "f"))
    for _ in range(40_000):
        accumulator.feed(ToolArgumentsDelta(0, "x"))
    accumulator.feed(BlockStop(0))
    assert len(accumulator.completion().message.tool_calls[0].function.arguments) == 40_000


def completion_with_content() -> Completion:
    return fold([TextDelta(0, "my secret text"), *call(1, '{"password": "hunter2"}'), DONE], model="m")


def test_reprs_show_no_content() -> None:
    completion = completion_with_content()
    shown = repr(completion) + repr(completion.choices) + repr(completion.message) + repr(completion.message.tool_calls)
    assert "secret" not in shown
    assert "hunter2" not in shown


def test_model_dump_is_plain_json_data() -> None:
    def plain(value: Any) -> bool:
        if isinstance(value, dict):
            return type(value) is dict and all(plain(item) for item in value.values())
        if isinstance(value, list):
            return type(value) is list and all(plain(item) for item in value)
        return value is None or type(value) in (str, int, float, bool)

    dumped = completion_with_content().model_dump()
    assert plain(dumped)
    assert json.loads(completion_with_content().model_dump_json()) == json.loads(json.dumps(dumped))


def test_openais_own_type_accepts_the_dump() -> None:
    from openai.types.chat import ChatCompletion

    parsed = ChatCompletion.model_validate(completion_with_content().model_dump())
    assert parsed.choices[0].message.content == "my secret text"
    assert parsed.choices[0].finish_reason == "tool_calls"


def test_a_message_reads_like_a_mapping() -> None:
    message = completion_with_content().message
    assert message["role"] == "assistant"
    assert message.get("nothing", 7) == 7
    assert dict(message)["content"] == "my secret text"
    with pytest.raises(KeyError):
        message["nothing"]
