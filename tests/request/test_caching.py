from __future__ import annotations

from typing import Any

import pytest

from agent.bedrock.errors import InvalidRequestError
from agent.bedrock.request.build import build_request
from tests.request.service import CLAUDE, CLAUDE_3_7, LLAMA, NOVA, USER, built, call, result, steps_of, tool

POINT = {"cachePoint": {"type": "default"}}
SYSTEM = {"role": "system", "content": "s"}
LONG = {"role": "system", "content": "word " * 4000}
SAID = {"role": "assistant", "content": "a"}
CSV = {"document": {"format": "csv", "name": "b", "source": {"bytes": b"x"}}}
PDF = {"document": {"format": "pdf", "name": "a", "source": {"bytes": b"x"}}}


def places(request: Any) -> list[tuple[str, int, int]]:
    """(member, index of the message, index of the block) of every cache point."""
    kwargs = request.kwargs
    groups = [("tools", 0, kwargs.get("toolConfig", {}).get("tools", [])), ("system", 0, kwargs.get("system", []))]
    groups += [("messages", index, message["content"]) for index, message in enumerate(kwargs["messages"])]
    return [
        (name, index, at) for name, index, blocks in groups for at, block in enumerate(blocks) if "cachePoint" in block
    ]


def marked(text: str, ttl: str | None = None) -> dict[str, Any]:
    marker = {"type": "ephemeral"} if ttl is None else {"type": "ephemeral", "ttl": ttl}
    return {"type": "text", "text": text, "cache_control": marker}


def exchange(number: int, calls: int = 1) -> list[dict[str, Any]]:
    ids = [f"c{number}_{at}" for at in range(calls)]
    return [{"role": "assistant", "content": None, "tool_calls": [call(i) for i in ids]}, *(result(i) for i in ids)]


# ------------------------------------------------------------------------------------------------------------- drop-in


def test_the_drop_in_closes_system_tools_and_the_last_turn_but_one() -> None:
    request = built(CLAUDE, [SYSTEM, USER, SAID, USER], [tool()], prompt_caching="drop-in")
    assert places(request) == [("tools", 0, 1), ("system", 0, 1), ("messages", 1, 1)]
    assert request.kwargs["system"][1] == POINT
    assert request.repairs == ()


def test_the_drop_in_leaves_novas_tools_alone() -> None:
    request = built(NOVA, [SYSTEM, USER, SAID, USER], [tool()], prompt_caching="drop-in")
    assert places(request) == [("system", 0, 1), ("messages", 1, 1)]


@pytest.mark.parametrize(
    "model", [LLAMA, "us.anthropic.claude-3-haiku-20240307-v1:0", "arn:aws:bedrock:us-east-1:1:prompt-router/x"]
)
def test_models_that_do_not_cache_get_no_points(model: str) -> None:
    for mode in (True, "drop-in"):
        assert places(build_request(model, [LONG, USER, SAID, USER], [tool()], prompt_caching=mode)) == []


@pytest.mark.parametrize("content", [["see", CSV]])
def test_the_drop_in_skips_a_place_that_the_service_forbids(content: list[Any]) -> None:
    messages = [{"role": "user", "content": content}, SAID]
    assert places(built(CLAUDE, messages, prompt_caching="drop-in")) == [("messages", 1, 1)]
    reversed_order = [USER, SAID, {"role": "user", "content": content}, SAID, USER][:3]
    assert places(built(CLAUDE, [*reversed_order, SAID], prompt_caching="drop-in")) == [("messages", 3, 1)]
    assert places(built(CLAUDE, [{"role": "user", "content": content}, SAID, USER], prompt_caching="drop-in")) == [
        ("messages", 1, 1)]  # fmt: skip
    nothing = {"role": "assistant", "content": None, "bedrock_content_blocks": [
        {"text": "x"}, {"reasoningContent": {"reasoningText": {"text": "t", "signature": "s"}}}]}  # fmt: skip
    assert places(built(CLAUDE, [USER, nothing, USER], prompt_caching="drop-in", padding=False)) == []


def test_one_switch_turns_everything_off() -> None:
    messages = [LONG, {"role": "user", "content": [marked("x")]}, SAID, USER]
    assert places(built(CLAUDE, messages, [tool(cache_control={"type": "ephemeral"})], prompt_caching=False)) == []


# ----------------------------------------------------------------------------------------------------------- automatic


def test_a_short_prompt_is_not_worth_a_point() -> None:
    assert places(built(CLAUDE, [SYSTEM, USER, SAID, USER], [tool()])) == []


def test_a_long_one_is_cached_to_its_stable_end() -> None:
    request = built(CLAUDE, [LONG, USER, *exchange(1)], [tool()])
    assert places(request) == [("system", 0, 1), ("messages", 2, 1)]


def test_a_single_question_caches_only_what_comes_before_it() -> None:
    assert places(built(CLAUDE, [LONG, USER])) == [("system", 0, 1)]


def test_long_tools_get_a_point_of_their_own() -> None:
    tools = [tool(f"f{number}", description="word " * 500) for number in range(10)]
    assert places(built(CLAUDE, [SYSTEM, USER], tools))[:2] == [("tools", 0, 10), ("system", 0, 1)]


def test_an_exchange_beyond_the_lookback_gets_a_second_point_where_the_last_request_had_its_own() -> None:
    request = built(CLAUDE, [LONG, USER, *exchange(1), *exchange(2, calls=15)], [tool()])
    assert places(request) == [("system", 0, 1), ("messages", 2, 1), ("messages", 4, 15)]


def test_what_the_builder_added_itself_is_not_stable() -> None:
    assert places(built(CLAUDE, [LONG, USER, SAID])) == [("system", 0, 1), ("messages", 1, 1)]


def test_a_volatile_tail_stays_behind_the_last_point() -> None:
    request = built(CLAUDE, [LONG, USER, SAID, USER, {"role": "user", "content": "now: 12:00"}], volatile_tail=1)
    assert places(request) == [("system", 0, 1), ("messages", 2, 1)]
    assert request.kwargs["messages"][2]["content"][2] == {"text": "now: 12:00"}


def test_the_last_point_stands_before_documents_that_are_no_pdf() -> None:
    request = built(CLAUDE, [LONG, USER, SAID, {"role": "user", "content": ["see", CSV]}])
    assert places(request)[-1] == ("messages", 2, 1)
    assert places(built(CLAUDE, [LONG, USER, SAID, {"role": "user", "content": ["see", PDF]}]))[-1] == (
        "messages",
        2,
        2,
    )


def test_nova_takes_no_point_beside_tool_blocks() -> None:
    request = built(NOVA, [LONG, USER, SAID, USER, *exchange(1)], [tool()])
    assert places(request) == [("system", 0, 1), ("messages", 2, 1), ("messages", 0, 1)] or all(
        "tool" not in str(request.kwargs["messages"][index]["content"])
        for name, index, _ in places(request)
        if name == "messages"
    )


def test_points_never_exceed_four() -> None:
    tools = [tool(f"f{number}", description="word " * 500) for number in range(10)]
    messages = [LONG, USER, *(message for number in range(6) for message in exchange(number, calls=15))]
    assert len(places(built(CLAUDE, messages, [tool(), *tools]))) == 4


def test_a_longer_life_is_asked_for_where_the_model_has_one() -> None:
    point = built(CLAUDE, [LONG, USER], cache_ttl="1h").kwargs["system"][1]
    assert point == {"cachePoint": {"type": "default", "ttl": "1h"}}
    request = built(CLAUDE_3_7, [LONG, USER], cache_ttl="1h")
    assert request.kwargs["system"][1] == POINT
    assert steps_of(request) == {"shorten_cache_ttl"}


def test_taking_the_points_out_leaves_what_is_sent_without_caching() -> None:
    messages = [LONG, USER, *exchange(1), *exchange(2, calls=15)]
    cached, plain = (built(CLAUDE, messages, [tool()], prompt_caching=on).kwargs for on in (True, False))
    for turn in cached["messages"]:
        turn["content"] = [block for block in turn["content"] if "cachePoint" not in block]
    assert cached["messages"] == plain["messages"]


# ------------------------------------------------------------------------------------------------------------- markers


def test_markers_become_points_right_behind_what_they_mark() -> None:
    messages = [
        {"role": "system", "content": [marked("s")]},
        {"role": "user", "content": [marked("a"), {"type": "text", "text": "b"}]},
        {**SAID, "cache_control": {"type": "ephemeral"}},
        USER,
    ]
    tools = [tool(cache_control={"type": "ephemeral"})]
    assert places(built(CLAUDE, messages, tools)) == [
        ("tools", 0, 1),
        ("system", 0, 1),
        ("messages", 0, 1),
        ("messages", 1, 1),
    ]


def test_a_marker_on_a_tool_message_stands_behind_its_result() -> None:
    first, answer = exchange(1)
    messages = [USER, first, {**answer, "cache_control": {"type": "ephemeral"}}, USER]
    request = built(CLAUDE, messages, [tool()])
    assert places(request) == [("messages", 2, 1)]
    inside = [USER, first, {**answer, "content": [marked("x")]}]
    assert places(built(CLAUDE, inside, [tool()])) == [("messages", 2, 1)]


def test_markers_beyond_four_go_from_the_oldest_on() -> None:
    messages = [{"role": "user", "content": [marked(str(number)) for number in range(6)]}]
    request = built(CLAUDE, messages)
    assert places(request) == [("messages", 0, 3), ("messages", 0, 5), ("messages", 0, 7), ("messages", 0, 9)]
    assert steps_of(request) == {"drop_cache_points"}


def test_markers_beyond_four_leave_the_last_one_of_tools_and_system() -> None:
    marker = {"type": "ephemeral"}
    system = {"role": "system", "content": [marked(str(number)) for number in range(6)]}
    tools = [tool(f"t{number}", cache_control=marker) for number in range(3)]
    request = built(CLAUDE, [system, {"role": "user", "content": [marked("x")]}], tools)
    assert places(request) == [("tools", 0, 3), ("system", 0, 5), ("system", 0, 7), ("messages", 0, 1)]


def test_markers_for_a_model_that_does_not_cache_are_reported() -> None:
    request = built(LLAMA, [{"role": "user", "content": [marked("a")]}])
    assert places(request) == []
    assert steps_of(request) == {"drop_cache_points"}


def test_a_marker_on_novas_tools_goes_and_the_rest_stays() -> None:
    messages = [{"role": "user", "content": [marked("a")]}]
    assert places(built(NOVA, messages, [tool(cache_control={"type": "ephemeral"})])) == [("messages", 0, 1)]


def test_a_marker_behind_nothing_or_behind_another_goes() -> None:
    content = [POINT, {"type": "text", "text": "a"}, POINT, POINT]
    assert places(built(CLAUDE, [{"role": "user", "content": content}])) == [("messages", 0, 1)]


def test_an_hour_after_five_minutes_is_refused() -> None:
    messages = [{"role": "user", "content": [marked("a", "5m"), marked("b", "1h")]}]
    with pytest.raises(InvalidRequestError, match="1h cache point cannot follow"):
        build_request(CLAUDE, messages)
    messages = [{"role": "user", "content": [marked("a", "1h"), marked("b", "5m")]}]
    assert len(places(built(CLAUDE, messages))) == 2
