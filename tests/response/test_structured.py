"""Structured answers: the object comes out, whichever way it was asked for."""

from __future__ import annotations

import builtins
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.bedrock.chat import ChatStream, complete
from agent.bedrock.notes import AnswerForm, CallNotes

SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
BY_TOOL = AnswerForm("tool", SCHEMA, "structured_output")
WRAPPED = AnswerForm("tool", {"type": "array"}, "structured_output", wrapped=True)
NATIVE = AnswerForm("native", SCHEMA)


def tool_answer(arguments: Any, name: str = "structured_output") -> dict[str, Any]:
    use = {"toolUse": {"toolUseId": "t1", "name": name, "input": arguments}}
    return {"output": {"message": {"role": "assistant", "content": [use]}}, "stopReason": "tool_use"}


def tool_stream(pieces: list[str], name: str = "structured_output") -> list[dict[str, Any]]:
    return [
        {"contentBlockStart": {"start": {"toolUse": {"toolUseId": "t1", "name": name}}, "contentBlockIndex": 0}},
        *({"contentBlockDelta": {"delta": {"toolUse": {"input": p}}, "contentBlockIndex": 0}} for p in pieces),
        {"contentBlockStop": {"contentBlockIndex": 0}},
        {"messageStop": {"stopReason": "tool_use"}},
    ]


def text_answer(text: str) -> dict[str, Any]:
    return {"output": {"message": {"role": "assistant", "content": [{"text": text}]}}, "stopReason": "end_turn"}


def test_the_answering_tools_input_is_the_text() -> None:
    completion = complete(tool_answer({"city": "Paris"}), CallNotes(answer_form=BY_TOOL))
    choice = completion.choices[0]
    assert choice.message.content == '{"city": "Paris"}'
    assert choice.message.parsed == {"city": "Paris"}
    assert choice.message.tool_calls is None
    assert (choice.finish_reason, completion.bedrock.stop_reason) == ("stop", "tool_use")
    assert completion.bedrock.structured == {"mode": "tool", "valid": True, "problem": None}


def test_what_goes_back_in_the_history_is_the_text_not_a_call_without_result() -> None:
    message = complete(tool_answer({"city": "Paris"}), CallNotes(answer_form=BY_TOOL)).message
    assert message.bedrock_content_blocks == [{"text": '{"city": "Paris"}'}]


def test_the_users_own_tools_stay_calls() -> None:
    completion = complete(tool_answer({"q": 1}, name="search"), CallNotes(answer_form=BY_TOOL))
    assert [call.function.name for call in completion.message.tool_calls or ()] == ["search"]
    assert completion.choices[0].finish_reason == "tool_calls"
    assert completion.message.parsed is None


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=5,
)


@given(values, st.lists(st.integers(0, 60), max_size=6), st.sampled_from([None, 2]))
def test_a_wrapped_value_comes_out_of_any_cutting(value: Any, marks: list[int], indent: int | None) -> None:
    text = json.dumps({"value": value}, indent=indent)
    marks = sorted(min(mark, len(text)) for mark in marks)
    pieces = [text[a:b] for a, b in zip([0, *marks], [*marks, len(text)], strict=True)]
    message = ChatStream(tool_stream(pieces), CallNotes(answer_form=WRAPPED)).completion().message
    assert message.parsed == value
    assert json.loads(message.content or "") == value


def test_arguments_that_are_not_wrapped_as_asked_pass_as_they_are() -> None:
    text = '{"items": [' + "1, " * 60 + "1]}"
    message = ChatStream(tool_stream([text[:30], text[30:]]), CallNotes(answer_form=WRAPPED)).completion().message
    assert message.content == text


@pytest.mark.parametrize(
    ("text", "form", "parsed", "valid"),
    [
        ('{"city": "Paris"}', NATIVE, {"city": "Paris"}, True),
        ('{"city": 5}', NATIVE, {"city": 5}, False),
        ("Paris, I think", NATIVE, None, False),
        ('```json\n{"city": "Paris"}\n```', AnswerForm("instruction", SCHEMA), {"city": "Paris"}, True),
        ('{"anything": 1}', AnswerForm("instruction"), {"anything": 1}, None),
        ("[]", AnswerForm("native", {"type": 5}), [], None),
    ],
)
def test_the_text_is_parsed_and_checked(text: str, form: AnswerForm, parsed: Any, valid: bool | None) -> None:
    completion = complete(text_answer(text), CallNotes(answer_form=form))
    assert completion.message.content == text
    assert completion.message.parsed == parsed
    assert completion.bedrock.structured is not None
    assert completion.bedrock.structured["valid"] is valid


def test_the_report_of_a_misfit_shows_no_content() -> None:
    completion = complete(text_answer('{"city": 12345}'), CallNotes(answer_form=NATIVE))
    assert "12345" not in str(completion.bedrock.structured)


def test_without_jsonschema_an_answer_is_marked_as_unchecked(monkeypatch: pytest.MonkeyPatch) -> None:
    genuine = builtins.__import__

    def refuse(name: str, *args: Any, **kwargs: Any) -> Any:
        if name.startswith("jsonschema"):
            raise ImportError(name)
        return genuine(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", refuse)
    completion = complete(text_answer('{"city": 5}'), CallNotes(answer_form=NATIVE))
    assert completion.bedrock.structured == {"mode": "native", "valid": None, "problem": None}


def test_an_answer_without_plan_says_nothing_of_structure() -> None:
    completion = complete(text_answer("{}"))
    assert (completion.message.parsed, completion.bedrock.structured) == (None, None)


def test_words_before_the_answer_are_no_part_of_it() -> None:
    answer = tool_answer({"city": "Paris"})
    answer["output"]["message"]["content"].insert(0, {"text": "Here you are: "})
    completion = complete(answer, CallNotes(answer_form=BY_TOOL))
    assert completion.message.content == 'Here you are: {"city": "Paris"}'
    assert completion.message.parsed == {"city": "Paris"}
    fenced = text_answer('Here you are:\n```json\n{"city": "Paris"}\n```\nAnything else?')
    assert complete(fenced, CallNotes(answer_form=AnswerForm("instruction", SCHEMA))).message.parsed == {
        "city": "Paris"
    }


def test_white_space_without_end_costs_no_more_than_it_is_long() -> None:
    """A model that fell into writing blanks writes as many as it may."""
    pieces = ['{"value": [1', *[" \n" * 500] * 400, "]", "}"]
    completion = ChatStream({"stream": tool_stream(pieces)}, CallNotes(answer_form=WRAPPED)).completion()
    assert completion.message.parsed == [1]
    assert completion.message.content == "".join(["[1", *pieces[1:-2], "]"])
