from __future__ import annotations

from collections import UserDict
from types import SimpleNamespace
from typing import Any

import pytest

from agent.bedrock.errors import InvalidRequestError
from agent.bedrock.request.build import build_request
from agent.bedrock.request.messages import convert_messages
from tests.request.service import (
    CLAUDE,
    CLAUDE_4_8,
    NOVA,
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

EMPTY = {"text": "(empty)"}

# why, messages, turns as (role, blocks)
EXAMPLES: list[tuple[str, list[Any], list[tuple[str, list[Any]]]]] = [
    ("text", [USER], [("user", [{"text": "hi"}])]),
    ("text is sent as it is", [{"role": "user", "content": "  a\n"}], [("user", [{"text": "  a\n"}])]),
    (
        "several results in one turn, in the order of the calls",
        [
            USER,
            {"role": "assistant", "content": None, "tool_calls": [call("a"), call("b", "list", '{"x": 1}')]},
            result("b", "B"),
            result("a", "A"),
        ],
        [
            ("user", [{"text": "hi"}]),
            ("assistant", [use("a"), use("b", "list", x=1)]),
            ("user", [answer("a", {"text": "A"}), answer("b", {"text": "B"})]),
        ],
    ),
    (
        "words before calls",
        [USER, {"role": "assistant", "content": "so", "tool_calls": [call("a")]}, result("a"), USER],
        [
            ("user", [{"text": "hi"}]),
            ("assistant", [{"text": "so"}, use("a")]),
            ("user", [answer("a"), {"text": "hi"}]),
        ],
    ),
    ("one role, one turn", [USER, USER], [("user", [{"text": "hi"}, {"text": "hi"}])]),
    (
        "the conversation begins and ends with the user",
        [{"role": "assistant", "content": "hello"}],
        [("user", [EMPTY]), ("assistant", [{"text": "hello"}]), ("user", [EMPTY])],
    ),
    ("nothing said", [], [("user", [EMPTY])]),
    ("blank text", [{"role": "user", "content": " \n"}], [("user", [EMPTY])]),
    ("no content at all", [{"role": "user"}], [("user", [EMPTY])]),
    (
        "an assistant message without anything",
        [USER, {"role": "assistant", "content": ""}, USER],
        [("user", [{"text": "hi"}]), ("assistant", [EMPTY]), ("user", [{"text": "hi"}])],
    ),
    (
        "a blank result",
        [USER, {"role": "assistant", "tool_calls": [call("a")]}, result("a", "")],
        [("user", [{"text": "hi"}]), ("assistant", [use("a")]), ("user", [answer("a", EMPTY)])],
    ),
    (
        "no arguments are an empty object",
        [USER, {"role": "assistant", "tool_calls": [call("a", arguments="")]}, result("a")],
        [("user", [{"text": "hi"}]), ("assistant", [use("a")]), ("user", [answer("a")])],
    ),
    (
        "OpenAI's older function_call",
        [
            USER,
            {"role": "assistant", "function_call": {"name": "read", "arguments": "{}"}},
            {"role": "function", "name": "read", "content": "ok"},
        ],
        [("user", [{"text": "hi"}]), ("assistant", [use("call_1_0")]), ("user", [answer("call_1_0")])],
    ),
    (
        "calls and results in flat form",
        [
            USER,
            {"role": "assistant", "tool_calls": [{"id": "a", "name": "read", "input": {"x": 1}}]},
            {"role": "user", "tool_results": [{"tool_use_id": "a", "content": "ok"}]},
        ],
        [("user", [{"text": "hi"}]), ("assistant", [use("a", x=1)]), ("user", [answer("a")])],
    ),
    (
        "Anthropic's parts",
        [
            USER,
            {
                "role": "assistant",
                "content": [
                    {"type": "text", "text": "t"},
                    {"type": "tool_use", "id": "a", "name": "read", "input": {}},
                ],
            },
            {
                "role": "user",
                "content": [{"type": "tool_result", "tool_use_id": "a", "content": "no", "is_error": True}],
            },
        ],
        [
            ("user", [{"text": "hi"}]),
            ("assistant", [{"text": "t"}, use("a")]),
            ("user", [answer("a", {"text": "no"}, status="error")]),
        ],
    ),
    (
        "a result that names no call answers the first open one",
        [USER, {"role": "assistant", "tool_calls": [call("a"), call("b")]}, result("", "A"), result("b", "B")],
        [
            ("user", [{"text": "hi"}]),
            ("assistant", [use("a"), use("b")]),
            ("user", [answer("a", {"text": "A"}), answer("b", {"text": "B"})]),
        ],
    ),
    (
        "a refusal is text",
        [USER, {"role": "assistant", "content": None, "refusal": "no"}, USER],
        [("user", [{"text": "hi"}]), ("assistant", [{"text": "no"}]), ("user", [{"text": "hi"}])],
    ),
    ("numbers become text", [{"role": "user", "content": [5]}], [("user", [{"text": "5"}])]),
]


@pytest.mark.parametrize(("why", "messages", "turns"), EXAMPLES, ids=[why for why, *_ in EXAMPLES])
def test_messages_become_turns(why: str, messages: list[Any], turns: list[Any]) -> None:
    assert turns_of(CLAUDE, messages, [tool(), tool("list")]) == turns


def as_namespace(value: Any) -> Any:
    if isinstance(value, dict):
        return SimpleNamespace(**{key: as_namespace(inner) for key, inner in value.items()})
    return [as_namespace(inner) for inner in value] if isinstance(value, list) else value


class Slotted:
    __slots__ = ("content", "role")

    def __init__(self, role: str, content: str) -> None:
        self.role = role
        self.content = content


CONVERSATION: list[dict[str, Any]] = [
    USER,
    {"role": "assistant", "content": "t", "tool_calls": [call("a", arguments='{"x": "y"}')]},
    result("a", [{"type": "text", "text": "ok"}]),
]


def test_objects_with_attributes_are_read_like_dicts() -> None:
    spaces = [as_namespace(message) for message in CONVERSATION]
    assert turns_of(CLAUDE, spaces, [tool()]) == turns_of(CLAUDE, CONVERSATION, [tool()])


def test_mappings_that_are_no_dicts_are_read_like_dicts() -> None:
    mappings = [UserDict(message) for message in CONVERSATION]
    assert turns_of(CLAUDE, mappings, [tool()]) == turns_of(CLAUDE, CONVERSATION, [tool()])


def test_objects_with_slots_are_read_like_dicts() -> None:
    assert turns_of(CLAUDE, [Slotted("user", "hi")]) == [("user", [{"text": "hi"}])]


def test_messages_of_the_openai_sdk_are_read_like_dicts() -> None:
    chat = pytest.importorskip("openai.types.chat")
    message = chat.ChatCompletionMessage.model_validate({**CONVERSATION[1], "reasoning_content": "r"})
    assert turns_of(CLAUDE, [USER, message, CONVERSATION[2]], [tool()]) == turns_of(CLAUDE, CONVERSATION, [tool()])


def test_leading_system_messages_become_system_blocks_in_order() -> None:
    messages = [
        {"role": "system", "content": "a"},
        {"role": "developer", "content": [{"type": "text", "text": "b"}]},
        USER,
    ]
    request = built(CLAUDE, messages, prompt_caching=False)
    assert request.kwargs["system"] == [{"text": "a"}, {"text": "b"}]


def test_blank_system_messages_leave_no_trace() -> None:
    assert "system" not in built(CLAUDE, [{"role": "system", "content": " "}, USER]).kwargs


def test_an_image_in_a_system_message_opens_the_conversation() -> None:
    image = {"image": {"format": "png", "source": {"bytes": b"x"}}}
    request = built(CLAUDE, [{"role": "system", "content": ["a", image]}, USER], prompt_caching=False)
    assert request.kwargs["system"] == [{"text": "a"}]
    assert request.kwargs["messages"][0]["content"] == [image, {"text": "hi"}]
    assert steps_of(request) == {"move_media_out_of_system"}


def test_a_late_system_message_stays_where_it_was_said() -> None:
    late = [USER, {"role": "assistant", "content": "a"}, {"role": "system", "content": "be brief"}, USER]
    assert turns_of(CLAUDE, late)[2] == (
        "user",
        [{"text": "<system-message>\nbe brief\n</system-message>"}, {"text": "hi"}],
    )


def test_a_late_system_message_keeps_its_role_where_the_family_takes_it() -> None:
    late = [USER, {"role": "system", "content": "be brief"}]
    assert turns_of(CLAUDE_4_8, late) == [("user", [{"text": "hi"}]), ("system", [{"text": "be brief"}])]
    assert turns_of(CLAUDE_4_8, [*late, USER])[0][0] == "user"


def test_two_late_system_messages_in_a_row_leave_one_system_turn() -> None:
    late = [USER, {"role": "system", "content": "a"}, {"role": "system", "content": "b"}]
    assert [role for role, _ in turns_of(CLAUDE_4_8, late)] == ["user", "system"]


@pytest.mark.parametrize(
    ("messages", "said"),
    [
        ([USER, {"role": "robot", "content": "x"}], r"messages\[1\]\.role: unknown role 'robot'"),
        ([USER, {"role": ["user"], "content": "x"}], r"messages\[1\]\.role: unknown role"),
        ([USER, 5], r"messages\[1\]: a message cannot be a int"),
        ([USER, USER, {"role": "user", "content": [{"type": "hologram"}]}], r"messages\[2\]\.content: .*'hologram'"),
        (
            [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "http://x/y.png"}}]}],
            r"messages\[0\]\.content: Bedrock does not fetch http URLs",
        ),
    ],
)
def test_what_cannot_be_sent_names_its_message(messages: list[Any], said: str) -> None:
    with pytest.raises(InvalidRequestError, match=said):
        build_request(CLAUDE, messages)


def test_error_results_say_so_in_status_or_in_text() -> None:
    messages = [USER, {"role": "assistant", "tool_calls": [call("a")]}, result("a", "boom", is_error=True)]
    assert turns_of(NOVA, messages, [tool()])[2][1] == [answer("a", {"text": "boom"}, status="error")]
    assert turns_of("us.writer.palmyra-x4-v1:0", messages, [tool()])[2][1] == [
        answer("a", {"text": "The tool failed:"}, {"text": "boom"}, status=None)
    ]


def test_without_a_model_the_drop_in_gets_plain_results_and_padding() -> None:
    system, turns = convert_messages(
        [{"role": "system", "content": "s"}, *CONVERSATION, {"role": "assistant", "content": "z"}]
    )
    assert system == [{"text": "s"}]
    assert [turn["role"] for turn in turns] == ["user", "assistant", "user", "assistant", "user"]
    assert turns[2]["content"] == [answer("a", status=None)]
    assert turns[4]["content"] == [EMPTY]


def test_without_messages_there_is_nothing_to_convert() -> None:
    assert convert_messages([]) == (None, [])


def test_a_call_that_a_message_says_twice_is_made_once() -> None:
    part = {"type": "tool_use", "id": "a", "name": "read", "input": {}}
    message = {"role": "assistant", "content": [{"type": "text", "text": "so"}, part], "tool_calls": [call("a")]}
    turns = turns_of(CLAUDE, [USER, message, result("a")], [tool()])
    assert turns[1:] == [("assistant", [{"text": "so"}, use("a")]), ("user", [answer("a")])]
