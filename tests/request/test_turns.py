"""Every step that makes a history legal: what it does, that it says so, and that a legal history passes untouched."""

from __future__ import annotations

from typing import Any

import pytest

from agent.bedrock.errors import InvalidRequestError
from agent.bedrock.request.build import build_request
from tests.request.service import (
    CLAUDE,
    KIMI,
    LLAMA,
    LLAMA_4,
    MISTRAL,
    NOVA,
    NOVA_2,
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

NO_RESULT = {"text": "(no result: the tool call was not answered)"}
IMAGE = {"image": {"format": "png", "source": {"bytes": b"x"}}}
PDF = {"document": {"format": "pdf", "name": "a", "source": {"bytes": b"x"}}}
CSV = {"document": {"format": "csv", "name": "b", "source": {"bytes": b"x"}}}
HI = {"text": "hi"}
BRIDGE = ("assistant", [{"text": "(continued)"}])


def asks(*calls: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"role": "assistant", "tool_calls": list(calls), **more}


def user(*content: Any) -> dict[str, Any]:
    return {"role": "user", "content": list(content)}


# step, why, model, messages, turns after the first
STEPS: list[tuple[str, str, str, list[Any], list[Any]]] = [
    (
        "answer_missing_results", "a call without a result", CLAUDE,
        [USER, asks(call("a"), call("b")), result("b")],
        [("assistant", [use("a"), use("b")]), ("user", [answer("a", NO_RESULT, status="error"), answer("b")])],
    ),
    (
        "answer_missing_results", "a call at the very end", CLAUDE,
        [USER, asks(call("a"))],
        [("assistant", [use("a")]), ("user", [answer("a", NO_RESULT, status="error")])],
    ),
    (
        "tell_unexpected_results_as_text", "a result that nobody asked for", CLAUDE,
        [USER, result("zz", "secret")],
        [],
    ),
    (
        "tell_unexpected_results_as_text", "a second result of one call", CLAUDE,
        [USER, asks(call("a")), result("a", "1"), result("a", "2")],
        [("assistant", [use("a")]), ("user", [answer("a", {"text": "1"}), {"text": "[Tool result a]\n2"}])],
    ),
    (
        "tell_unexpected_results_as_text", "a result that comes too late", CLAUDE,
        [USER, asks(call("a")), USER, {"role": "assistant", "content": "x"}, result("a", "late")],
        [("assistant", [use("a")]), ("user", [answer("a", NO_RESULT, status="error"), HI]), ("assistant", [{"text": "x"}]),
         ("user", [{"text": "[Tool result a]\nlate"}])],
    ),
    (
        "tell_call_ids_apart", "an id twice in one turn", CLAUDE,
        [USER, asks(call("a", arguments='{"x": 1}'), call("a", arguments='{"x": 2}')), result("a", "1"), result("a", "2")],
        [("assistant", [use("a", x=1), use("a_2", x=2)]), ("user", [answer("a", {"text": "1"}), answer("a_2", {"text": "2"})])],
    ),
    (
        "tell_call_ids_apart", "an id that an earlier turn had", CLAUDE,
        [USER, asks(call("a")), result("a", "1"), asks(call("a")), result("a", "2")],
        [("assistant", [use("a")]), ("user", [answer("a", {"text": "1"})]),
         ("assistant", [use("a_2")]), ("user", [answer("a_2", {"text": "2"})])],
    ),
    (
        "alias_call_id", "an id that the service does not take", CLAUDE,
        [USER, asks(call("functions.read:0")), result("functions.read:0")],
        [("assistant", [use("functions_read_0_c216cab2de2e")]), ("user", [answer("functions_read_0_c216cab2de2e")])],
    ),
    (
        "keep_unparsed_arguments", "arguments that were cut", CLAUDE,
        [USER, asks(call("a", arguments='{"path": "/x", "conte')), result("a")],
        [("assistant", [use("a", unparsed_arguments='{"path": "/x", "conte')]), ("user", [answer("a")])],
    ),
    (
        "keep_unparsed_arguments", "arguments that are no object", CLAUDE,
        [USER, asks(call("a", arguments="[1]")), result("a")],
        [("assistant", [use("a", unparsed_arguments="[1]")]), ("user", [answer("a")])],
    ),
    (
        "retell_misplaced_calls", "a call said by the user", CLAUDE,
        [USER, user(use("a", x=1))],
        [],
    ),
    (
        "drop_blank_text", "white space beside other content", CLAUDE,
        [USER, asks(call("a"), content=[{"type": "text", "text": " "}, {"type": "text", "text": "x"}]), result("a")],
        [("assistant", [{"text": "x"}, use("a")]), ("user", [answer("a")])],
    ),
    (
        "part_results_from_content", "text beside a result, where nothing may stand", LLAMA,
        [USER, asks(call("a")), result("a"), USER],
        [("assistant", [use("a")]), ("user", [answer("a", status=None)]), BRIDGE, ("user", [HI])],
    ),
    (
        "part_results_from_content", "text beside a result, for Palmyra", PALMYRA,
        [USER, asks(call("a")), result("a"), USER],
        [("assistant", [use("a")]), ("user", [answer("a", status=None)]), BRIDGE, ("user", [HI])],
    ),
    (
        "part_results_from_content", "a document that is no PDF, for Claude", CLAUDE,
        [USER, asks(call("a")), result("a"), user("see", CSV)],
        [("assistant", [use("a")]), ("user", [answer("a"), {"text": "see"}]), BRIDGE,
         ("user", [CSV, {"text": "See the attached document."}])],
    ),
    (
        "move_media_out_of_result", "a PDF inside a result, for Nova", NOVA_2,
        [USER, asks(call("a")), result("a", [{"type": "text", "text": "t"}, PDF])],
        [("assistant", [use("a")]),
         ("user", [answer("a", {"text": "t"}), {"text": "Content of the tool result a:"}, PDF])],
    ),
    (
        "move_media_out_of_result", "an image inside a result, for Mistral", MISTRAL,
        [USER, asks(call("a")), result("a", [IMAGE])],
        [("assistant", [use("a")]),
         ("user", [answer("a", {"text": "The content follows after the tool results."}, status=None)]), BRIDGE,
         ("user", [{"text": "Content of the tool result a:"}, IMAGE])],
    ),
    (
        "move_content_out_of_result", "audio inside a result", NOVA,
        [USER, asks(call("a")), result("a", [{"type": "input_audio", "input_audio": {"data": "eA==", "format": "wav"}}])],
        [("assistant", [use("a")]),
         ("user", [answer("a", {"text": "(empty)"}), {"audio": {"format": "wav", "source": {"bytes": b"x"}}}])],
    ),
    (
        "add_text_to_document", "a document alone", CLAUDE,
        [USER, {"role": "assistant", "content": "x"}, user(PDF)],
        [("assistant", [{"text": "x"}]), ("user", [PDF, {"text": "See the attached document."}])],
    ),
    (
        "fold_system_message", "a system message in the middle", CLAUDE,
        [USER, {"role": "assistant", "content": "x"}, {"role": "system", "content": "s"}],
        [("assistant", [{"text": "x"}]), ("user", [{"text": "<system-message>\ns\n</system-message>"}])],
    ),
    (
        "move_media_out_of_answer", "an image said by the assistant", CLAUDE,
        [USER, asks(call("a"), content=[{"type": "text", "text": "x"}, IMAGE]), result("a")],
        [("assistant", [{"text": "x"}, use("a")]),
         ("user", [answer("a"), {"text": "(media of the assistant's message)"}, IMAGE])],
    ),
    (
        "pad_last_turn", "the assistant had the last word", CLAUDE,
        [USER, {"role": "assistant", "content": "x"}],
        [("assistant", [{"text": "x"}]), ("user", [{"text": "(empty)"}])],
    ),
]  # fmt: skip


@pytest.mark.parametrize(("step", "why", "model", "messages", "turns"), STEPS, ids=[f"{s[0]}: {s[1]}" for s in STEPS])
def test_a_step_repairs_and_says_so(step: str, why: str, model: str, messages: list[Any], turns: list[Any]) -> None:
    request = built(model, messages, [tool()], prompt_caching=False)
    assert step in steps_of(request)
    made = [(turn["role"], turn["content"]) for turn in request.kwargs["messages"]]
    if turns:
        assert made == [("user", [HI]), *turns]


@pytest.mark.parametrize(("step", "why", "model", "messages", "turns"), STEPS, ids=[f"{s[0]}: {s[1]}" for s in STEPS])
def test_strict_refuses_what_would_be_repaired(
    step: str, why: str, model: str, messages: list[Any], turns: list[Any]
) -> None:
    with pytest.raises(InvalidRequestError, match="strict=True refuses"):
        build_request(model, messages, [tool()], strict=True)


def test_strict_names_the_message_of_the_repair() -> None:
    with pytest.raises(InvalidRequestError, match=r"^messages\[2\]: .*tell_unexpected_results_as_text") as caught:
        build_request(CLAUDE, [USER, USER, result("zz")], [tool()], strict=True)
    assert caught.value.message_index == 2


def test_what_nobody_asked_for_stays_readable() -> None:
    turns = turns_of(CLAUDE, [USER, result("zz", [{"type": "text", "text": "secret"}, IMAGE])], [tool()])
    assert turns == [("user", [HI, {"text": "[Tool result zz]\nsecret"}, IMAGE])]


LEGAL = [
    {"role": "system", "content": "s"},
    USER,
    asks(call("a"), call("b"), content="let me see"),
    result("a", [{"type": "text", "text": "t"}, {"type": "text", "text": "u"}]),
    result("b", "no", is_error=True),
    {"role": "user", "content": "and?"},
    {"role": "assistant", "content": "done"},
    {"role": "user", "content": "thanks"},
]


@pytest.mark.parametrize("model", [CLAUDE, NOVA, LLAMA_4, MISTRAL, KIMI, "arn:aws:bedrock:us-east-1:1:prompt-router/x"])
def test_a_legal_history_needs_no_repair(model: str) -> None:
    conversation = LEGAL if model in (CLAUDE, NOVA, KIMI) else [*LEGAL[:5], *LEGAL[6:]]
    assert build_request(model, conversation, [tool()]).repairs == ()
    assert build_request(model, conversation, [tool()], strict=True).kwargs


def test_repeated_ids_stay_for_a_family_that_numbers_its_calls() -> None:
    messages = [USER, asks(call("f:0")), result("f:0"), asks(call("f:0")), result("f:0")]
    assert turns_of(KIMI, messages, [tool()])[3] == ("assistant", [use("f:0")])


def test_tool_history_without_tools_is_told_in_words_and_no_tool_is_invented() -> None:
    messages = [USER, asks(call("a", arguments='{"x": "y"}')), result("a", "contents", is_error=True)]
    request = built(CLAUDE, messages)
    assert "toolConfig" not in request.kwargs
    assert request.kwargs["messages"][1]["content"] == [{"text": '[Tool call a: read {"x": "y"}]'}]
    assert request.kwargs["messages"][2]["content"] == [{"text": "[Tool result a (error)]\ncontents"}]
    assert [(repair.step, repair.message) for repair in request.repairs] == [
        ("tell_tools_as_text", 1), ("tell_tools_as_text", 2)]  # fmt: skip


def test_a_model_without_tools_reads_the_callers_own_names() -> None:
    request = built(R1, [USER, asks(call("a", "my.tool")), result("a")], [tool("my.tool")])
    assert request.kwargs["messages"][1]["content"][0]["text"].startswith("[Tool call a: my.tool ")


def test_padding_can_be_switched_off() -> None:
    turns = turns_of(CLAUDE, [{"role": "assistant", "content": "x"}], padding=False)
    assert turns == [("assistant", [{"text": "x"}])]


def test_a_prefill_stays_where_the_family_takes_it_without_its_trailing_space() -> None:
    messages = [USER, {"role": "assistant", "content": "I say: "}]
    assert turns_of(CLAUDE, messages, prefill=True)[-1] == ("assistant", [{"text": "I say:"}])
    assert turns_of("us.anthropic.claude-opus-4-7", messages, prefill=True)[-1][0] == "user"
    assert turns_of(CLAUDE, messages, prefill=True, thinking=True)[-1][0] == "user"


def test_server_tools_stay_for_a_family_that_has_them_and_are_told_elsewhere() -> None:
    blocks = [
        {
            "toolUse": {
                "toolUseId": "s",
                "name": "nova_code_interpreter",
                "input": {"c": "1"},
                "type": "server_tool_use",
            }
        },
        {"toolResult": {"toolUseId": "s", "content": [{"json": {"stdOut": "1"}}], "status": "success"}},
        {"text": "it is 1"},
    ]
    messages = [USER, {"role": "assistant", "content": blocks}, USER]
    assert turns_of(NOVA_2, messages, [tool()])[1] == ("assistant", blocks)
    told = turns_of(CLAUDE, messages, [tool()])[1][1]
    assert [next(iter(block)) for block in told] == ["text", "text", "text"]
    assert '"stdOut": "1"' in told[1]["text"]


def test_a_turn_that_is_all_reasoning_gets_a_placeholder() -> None:
    details = [{"type": "reasoning.text", "text": "t", "signature": "s"}]
    messages = [USER, {"role": "assistant", "content": None, "reasoning_details": details}, USER]
    signed = {"reasoningContent": {"reasoningText": {"text": "t", "signature": "s"}}}
    assert turns_of(CLAUDE, messages)[1] == ("assistant", [signed, {"text": "(empty)"}])
    assert turns_of(CLAUDE, messages, padding=False)[1] == ("assistant", [signed])
    assert turns_of(LLAMA, messages)[1] == ("assistant", [{"text": "(empty)"}])


@pytest.mark.parametrize(
    ("given", "name"),
    [
        ("a\tb..c", "a b c"),
        ("x\u3000y", "x y"),
        ("отчёт", "document"),
        ("r" * 300, "r" * 200),
        ("a_b (1) [2]", "a_b (1) [2]"),
    ],
)
def test_document_names_are_cleaned(given: str, name: str) -> None:
    block = {"document": {"format": "pdf", "name": given, "source": {"bytes": b"x"}}}
    assert turns_of(CLAUDE, [user("see", block)])[0][1][1]["document"]["name"] == name


def test_document_names_are_unique_over_the_request_tool_results_included() -> None:
    messages = [user("see", PDF), asks(call("a")), result("a", [PDF]), user("see", PDF)]
    found = str(turns_of(CLAUDE, messages, [tool()]))
    assert [f"'name': '{name}'" in found for name in ("a", "a (2)", "a (3)")] == [True] * 3


def test_the_same_history_and_one_turn_more_leaves_everything_before_identical() -> None:
    for model in (CLAUDE, NOVA, LLAMA, "us.anthropic.claude-opus-4-8"):
        history = [{**message, "name": "n"} if message["role"] == "user" else message for message in LEGAL]
        history.insert(5, {"role": "system", "content": "late"})
        grown = [*history, {"role": "assistant", "content": "bye"}, user("see", PDF, PDF)]
        before, after = turns_of(model, history, [tool()]), turns_of(model, grown, [tool()])
        assert after[: len(before)] == before
