from __future__ import annotations

from base64 import b64encode
from typing import Any

import pytest

from agent.bedrock.carriers import ReasoningStore, outline_of, pack_call_id
from agent.bedrock.request.build import build_request
from agent.bedrock.request.messages import convert_messages
from tests.request.service import (
    CLAUDE,
    GPT,
    GPT_OSS,
    KIMI,
    LLAMA,
    MINIMAX,
    NOVA_2,
    QWEN,
    R1,
    USER,
    built,
    call,
    result,
    steps_of,
    tool,
    turns_of,
    use,
)

SIGNED = {"reasoningContent": {"reasoningText": {"text": "why", "signature": "c2ln"}}}
UNSIGNED = {"reasoningContent": {"reasoningText": {"text": "why"}}}
REDACTED = {"reasoningContent": {"redactedContent": b"\x00\xff"}}
REDACTED_JSON = {"reasoningContent": {"redactedContent": "AP8="}}
CALLS = [call("a", arguments='{"x": "y"}')]
ASSISTANT = {"role": "assistant", "content": "so", "tool_calls": CALLS}
TEXT = {"text": "so"}
USE = use("a", x="y")
SIDECAR: list[dict[str, Any]] = [SIGNED, REDACTED_JSON, TEXT, USE]
DETAILS = [
    {"type": "reasoning.encrypted", "data": "AP8=", "format": "anthropic-claude-v1", "index": 1, "id": None},
    {
        "type": "reasoning.text",
        "text": "why",
        "signature": "c2ln",
        "format": "anthropic-claude-v1",
        "index": 0,
        "id": None,
    },
]
THINKING = [
    {"type": "thinking", "thinking": "why", "signature": "c2ln"},
    {"type": "redacted_thinking", "data": b64encode(b"\x00\xff").decode()},
]

# why, members added to the assistant message
CARRIERS: list[tuple[str, dict[str, Any]]] = [
    ("the sidecar", {"bedrock_content_blocks": SIDECAR}),
    ("reasoning_details", {"reasoning_details": DETAILS}),
    ("thinking_blocks", {"thinking_blocks": THINKING}),
    ("thinking_blocks in provider fields", {"provider_specific_fields": {"thinking_blocks": THINKING}}),
    ("content parts", {"content": [*THINKING, {"type": "text", "text": "so"}]}),
    ("extra content", {"tool_calls": [{**CALLS[0], "extra_content": {"bedrock": {"outline": outline_of(SIDECAR)}}}]}),
    ("blocks in extra content", {"tool_calls": [{**CALLS[0], "extra_content": {"bedrock": {"reasoning": [SIGNED, REDACTED_JSON]}}}]}),
    ("the id", {"tool_calls": [{**CALLS[0], "id": pack_call_id("a", SIDECAR)}]}),
]  # fmt: skip


@pytest.mark.parametrize(("why", "carried"), CARRIERS, ids=[why for why, _ in CARRIERS])
def test_signed_and_redacted_reasoning_goes_back_byte_equal_before_its_call(why: str, carried: dict[str, Any]) -> None:
    messages = [USER, {**ASSISTANT, **carried}, result(carried.get("tool_calls", CALLS)[0]["id"])]
    assert turns_of(CLAUDE, messages, [tool()])[1] == ("assistant", [SIGNED, REDACTED, TEXT, USE])


def test_a_store_keeps_the_reasoning_of_a_runtime_that_keeps_nothing() -> None:
    store = ReasoningStore()
    store.remember({"tool_calls": CALLS, "bedrock_content_blocks": SIDECAR})
    turns = turns_of(CLAUDE, [USER, ASSISTANT, result("a")], [tool()], reasoning_store=store)
    assert turns[1] == ("assistant", [SIGNED, REDACTED, TEXT, USE])
    other = turns_of(
        CLAUDE, [USER, {**ASSISTANT, "tool_calls": [call("a")]}, result("a")], [tool()], reasoning_store=store
    )
    assert other[1] == ("assistant", [TEXT, use("a")])


def test_the_order_of_interleaved_blocks_comes_back_from_an_id() -> None:
    sidecar: list[dict[str, Any]] = [SIGNED, {"text": "one"}, SIGNED, {"text": "two"}, use("a"), SIGNED, use("b")]
    calls = [{**call("a"), "id": pack_call_id("a", sidecar)}, call("b")]
    messages = [
        USER,
        {"role": "assistant", "content": "onetwo", "tool_calls": calls},
        result(calls[0]["id"]),
        result("b"),
    ]
    assert turns_of(CLAUDE, messages, [tool()])[1] == ("assistant", sidecar)


def test_white_space_between_interleaved_blocks_does_not_come_back_from_an_id() -> None:
    sidecar: list[dict[str, Any]] = [SIGNED, {"text": "\n\n"}, SIGNED, {"text": "so"}, use("a")]
    calls = [{**call("a"), "id": pack_call_id("a", sidecar)}]
    messages = [USER, {"role": "assistant", "content": "\n\nso", "tool_calls": calls}, result(calls[0]["id"])]
    assert turns_of(CLAUDE, messages, [tool()])[1] == ("assistant", [SIGNED, SIGNED, TEXT, use("a")])


def test_the_first_carrier_that_survived_wins() -> None:
    other = [{"type": "thinking", "thinking": "other", "signature": "b3RoZXI="}]
    message = {**ASSISTANT, "bedrock_content_blocks": SIDECAR, "reasoning_details": other, "thinking_blocks": other}
    assert turns_of(CLAUDE, [USER, message, result("a")], [tool()])[1][1][0] == SIGNED


# what the family takes of [SIGNED, REDACTED, UNSIGNED]
REPLAYED: list[tuple[str, list[Any]]] = [
    (CLAUDE, [SIGNED, REDACTED]),
    (MINIMAX, [UNSIGNED, UNSIGNED]),
    (GPT, [REDACTED]),
    (NOVA_2, []),
    (LLAMA, []),
    (R1, []),
    (QWEN, []),
    (KIMI, []),
    (GPT_OSS, []),
]


@pytest.mark.parametrize(("model", "kept"), REPLAYED, ids=[model for model, _ in REPLAYED])
def test_replay_follows_the_family_and_what_is_left_out_is_reported(model: str, kept: list[Any]) -> None:
    message = {"role": "assistant", "content": "so", "bedrock_content_blocks": [SIGNED, REDACTED_JSON, UNSIGNED, TEXT]}
    request = built(model, [USER, message, USER])
    assert request.kwargs["messages"][1]["content"] == [*kept, TEXT]
    assert ("drop_unreplayable_reasoning" in steps_of(request)) is (len(kept) < 3)


def test_without_a_model_everything_that_was_carried_goes_back() -> None:
    message = {"role": "assistant", "content": "so", "bedrock_content_blocks": [SIGNED, REDACTED_JSON, UNSIGNED, TEXT]}
    assert convert_messages([USER, message, USER])[1][1]["content"] == [SIGNED, REDACTED, UNSIGNED, TEXT]


def test_bare_text_is_reasoning_only_where_nobody_asks_for_a_signature() -> None:
    message = {"role": "assistant", "content": "so", "reasoning_content": "why"}
    assert turns_of(MINIMAX, [USER, message, USER])[1] == ("assistant", [UNSIGNED, TEXT])
    request = built(CLAUDE, [USER, message, USER])
    assert request.kwargs["messages"][1]["content"] == [TEXT]
    assert steps_of(request) == {"drop_unreplayable_reasoning"}


def test_an_image_of_the_models_own_is_the_users_to_send_back() -> None:
    """ "You can include images and documents only in the user role" (documented), and nobody saw one taken from an assistant."""
    image = {"image": {"format": "png", "source": {"bytes": b"x"}}}
    sidecar = [{"text": "so"}, {"image": {"format": "png", "source": {"bytes": "eA=="}}}]
    message = {"role": "assistant", "content": "so", "bedrock_content_blocks": sidecar}
    turns = turns_of(CLAUDE, [USER, message, USER], strict=True)
    assert turns[1] == ("assistant", [TEXT])
    assert turns[2][1][-2] == image
    assert convert_messages([USER, message, USER])[1][1]["content"] == [TEXT, image]


def test_reasoning_of_another_vendor_is_left_out_and_reported() -> None:
    foreign = [{"type": "reasoning.encrypted", "data": "AP8=", "format": "openai-responses-v1", "index": 0}]
    request = built(CLAUDE, [USER, {"role": "assistant", "content": "so", "reasoning_details": foreign}, USER])
    assert request.kwargs["messages"][1]["content"] == [TEXT]
    assert steps_of(request) == {"drop_foreign_reasoning"}


# why, members of the message beside the sidecar, blocks
EDITED: list[tuple[str, dict[str, Any], list[Any]]] = [
    ("nothing but the sidecar", {}, [SIGNED, REDACTED, TEXT, USE]),
    ("content forgotten", {"content": None, "tool_calls": CALLS}, [SIGNED, REDACTED, TEXT, USE]),
    ("text taken out", {"content": "", "tool_calls": CALLS}, [SIGNED, REDACTED, USE]),
    ("text blanked", {"content": " ", "tool_calls": CALLS}, [SIGNED, REDACTED, USE]),
    ("text edited", {"content": "other", "tool_calls": CALLS}, [SIGNED, REDACTED, {"text": "other"}, USE]),
    ("text stripped", {"content": " so ", "tool_calls": CALLS}, [SIGNED, REDACTED, TEXT, USE]),
    ("call dropped", {"content": "so", "tool_calls": None}, [SIGNED, REDACTED, TEXT]),
    ("arguments edited", {"content": "so", "tool_calls": [call("a")]}, [SIGNED, REDACTED, TEXT, use("a")]),
    ("call added", {"content": "so", "tool_calls": [*CALLS, call("b")]}, [SIGNED, REDACTED, TEXT, USE, use("b")]),
]


@pytest.mark.parametrize(("why", "members", "blocks"), EDITED, ids=[why for why, *_ in EDITED])
def test_a_message_that_was_edited_since_wins_over_its_sidecar(
    why: str, members: dict[str, Any], blocks: list[Any]
) -> None:
    message = {"role": "assistant", "bedrock_content_blocks": SIDECAR, **members}
    assert turns_of(CLAUDE, [USER, message, USER], [tool()])[1] == ("assistant", blocks)


@pytest.mark.parametrize(
    "block",
    [
        {"reasoningContent": 5}, {"reasoningContent": {"reasoningText": None}}, {"reasoningContent": {"redactedContent": "@"}},
        {"image": "x"}, {"citationsContent": 5}, {"toolUse": 5}, {"a": 1, "b": 2}, {"type": "zzz"}, 5, None,
    ],
)  # fmt: skip
def test_a_block_that_came_back_broken_is_left_out_and_reported(block: Any) -> None:
    in_sidecar = {**ASSISTANT, "bedrock_content_blocks": [SIGNED, block, TEXT, USE]}
    in_outline = {"bedrock": {"outline": [{"block": SIGNED}, {"block": block}, {"text": 2}, {"call": "a"}]}}
    in_call = {**ASSISTANT, "tool_calls": [{**CALLS[0], "extra_content": in_outline}]}
    for message in (in_sidecar, in_call):
        request = built(CLAUDE, [USER, message, result("a")], [tool()])
        sent = request.kwargs["messages"][1]["content"]
        assert [each for each in sent if "reasoningContent" not in each] == [TEXT, USE]
    assert (
        build_request(CLAUDE, [USER, in_sidecar, result("a")], [tool()]).kwargs["messages"][1]["content"][0] == SIGNED
    )


# why, reasoning_details as a runtime gathered them from a stream, blocks
FRAGMENTS: list[tuple[str, list[dict[str, Any]], list[Any]]] = [
    ("pieces of one block", [{"type": "reasoning.text", "text": "w", "index": 0}, {"type": "reasoning.text", "text": "hy", "index": 0}, {"signature": "c2ln", "index": 0}], [SIGNED]),
    ("two whole blocks of merged messages", [DETAILS[1], DETAILS[1]], [SIGNED, SIGNED]),
    ("pieces of two", [{"type": "reasoning.text", "text": "why", "index": 0}, DETAILS[0], {"type": "reasoning.text", "signature": "c2ln", "index": 0}], [SIGNED, REDACTED]),
]  # fmt: skip


@pytest.mark.parametrize(("why", "details", "blocks"), FRAGMENTS, ids=[why for why, *_ in FRAGMENTS])
def test_details_in_pieces_are_put_together(why: str, details: list[dict[str, Any]], blocks: list[Any]) -> None:
    message = {**ASSISTANT, "reasoning_details": details}
    assert turns_of(CLAUDE, [USER, message, result("a")], [tool()])[1] == ("assistant", [*blocks, TEXT, USE])


# what others write under reasoningContent
VARIANTS: list[tuple[Any, Any]] = [
    ({"text": "why", "signature": "c2ln"}, SIGNED),
    ({"reasoningText": {"text": "why", "signature": "c2ln"}}, SIGNED),
    ({"redactedContentBase64": "AP8="}, REDACTED),
]


@pytest.mark.parametrize(("reasoning", "block"), VARIANTS)
def test_reasoning_written_in_another_way_goes_back_all_the_same(reasoning: Any, block: Any) -> None:
    message = {**ASSISTANT, "bedrock_content_blocks": [{"reasoningContent": reasoning}, TEXT, USE]}
    assert turns_of(CLAUDE, [USER, message, result("a")], [tool()])[1] == ("assistant", [block, TEXT, USE])


def test_reasoning_parts_of_other_makers_are_read() -> None:
    langchain = {"type": "reasoning", "reasoning": "why", "extras": {"signature": "c2ln"}}
    aws = {"type": "reasoning_content", "reasoning_content": {"text": "why", "signature": "c2ln"}}
    for part in (langchain, aws):
        message = {"role": "assistant", "content": [part, {"type": "text", "text": "so"}]}
        assert turns_of(CLAUDE, [USER, message, USER])[1] == ("assistant", [SIGNED, TEXT])


def test_a_sidecar_block_of_an_unknown_kind_is_left_out_and_reported() -> None:
    sidecar = [{"SDK_UNKNOWN_MEMBER": {"name": "x"}}, TEXT]
    request = built(CLAUDE, [USER, {"role": "assistant", "content": "so", "bedrock_content_blocks": sidecar}, USER])
    assert request.kwargs["messages"][1]["content"] == [TEXT]
    assert steps_of(request) == {"drop_unknown_block"}


def test_the_type_that_newer_models_put_on_calls_is_not_sent_back() -> None:
    sidecar = [{"toolUse": {**USE["toolUse"], "type": "tool_use"}}]
    messages = [USER, {"role": "assistant", "tool_calls": CALLS, "bedrock_content_blocks": sidecar}, result("a")]
    assert turns_of(CLAUDE, messages, [tool()])[1] == ("assistant", [USE])


def test_citations_go_back_as_they_came() -> None:
    cited = {
        "citationsContent": {
            "content": [{"text": "it is"}],
            "citations": [{"title": "t", "sourceContent": [{"text": "x"}], "location": {"web": {"url": "u"}}}],
        }
    }
    message = {"role": "assistant", "content": "so it is", "bedrock_content_blocks": [{"text": "so "}, cited]}
    assert turns_of(CLAUDE, [USER, message, USER])[1] == ("assistant", [{"text": "so "}, cited])
    request = built(LLAMA, [USER, message, USER], strict=True)
    assert request.kwargs["messages"][1]["content"] == [{"text": "so "}, {"text": "it is"}]
    assert steps_of(request) == {"tell_citations_as_text"}


def test_a_citation_of_nothing_does_not_go_back() -> None:
    empty = {"citationsContent": {"content": [{"text": ""}], "citations": [{"title": "t"}]}}
    message = {"role": "assistant", "content": "so", "bedrock_content_blocks": [TEXT, empty]}
    assert turns_of(CLAUDE, [USER, message, USER])[1] == ("assistant", [TEXT])


# why, the sidecar of an answer that nobody edited
ANSWERS: list[tuple[str, list[dict[str, Any]]]] = [
    ("unsigned reasoning", [UNSIGNED, TEXT]),
    ("signed reasoning", [SIGNED, TEXT]),
    ("nothing but reasoning", [UNSIGNED]),
    ("white space", [{"text": "\n\n"}, UNSIGNED]),
    ("nothing", []),
]


@pytest.mark.parametrize("model", [CLAUDE, NOVA_2, GPT_OSS, KIMI, MINIMAX, LLAMA, R1, GPT])
@pytest.mark.parametrize(("why", "sidecar"), ANSWERS, ids=[why for why, _ in ANSWERS])
def test_strict_takes_every_answer_of_a_model_back(model: str, why: str, sidecar: list[dict[str, Any]]) -> None:
    content = "".join(block.get("text", "") for block in sidecar) or None
    message = {"role": "assistant", "content": content, "tool_calls": None, "bedrock_content_blocks": sidecar}
    assert turns_of(model, [USER, message, USER], strict=True)[1][0] == "assistant"
