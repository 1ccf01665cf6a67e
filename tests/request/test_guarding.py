from __future__ import annotations

from tests.request.service import CLAUDE, USER, answer, call, result, tool, turns_of

IMAGE = {"image": {"format": "png", "source": {"bytes": b"x"}}}
SAID = {"role": "assistant", "content": "a"}


def guarded(text: str) -> dict[str, object]:
    return {"guardContent": {"text": {"text": text}}}


def test_only_the_newest_words_of_the_user_are_guarded() -> None:
    turns = turns_of(CLAUDE, [USER, SAID, {"role": "user", "content": ["new", IMAGE]}], guard_last_turn=True)
    assert turns[0] == ("user", [{"text": "hi"}])
    assert turns[2] == ("user", [guarded("new"), {"guardContent": IMAGE}])


def test_a_turn_of_tool_results_has_nothing_to_guard_so_the_words_before_it_are() -> None:
    messages = [USER, {"role": "assistant", "tool_calls": [call("a")]}, result("a")]
    turns = turns_of(CLAUDE, messages, [tool()], guard_last_turn=True)
    assert turns[0] == ("user", [guarded("hi")])
    assert turns[2] == ("user", [answer("a")])


def test_the_callers_own_marks_are_enough() -> None:
    messages = [{"role": "user", "content": [{"type": "guard_content", "text": "g"}, "free"]}]
    assert turns_of(CLAUDE, messages, guard_last_turn=True) == [("user", [guarded("g"), {"text": "free"}])]


def test_padding_is_not_guarded() -> None:
    turns = turns_of(CLAUDE, [USER, SAID], guard_last_turn=True)
    assert turns[0] == ("user", [guarded("hi")])
    assert turns[2] == ("user", [{"text": "(empty)"}])


def test_a_document_keeps_text_beside_it() -> None:
    document = {"document": {"format": "pdf", "name": "a", "source": {"bytes": b"x"}}}
    turns = turns_of(CLAUDE, [{"role": "user", "content": ["see", document]}], guard_last_turn=True)
    assert turns == [("user", [guarded("see"), document, {"text": "See the attached document."}])]
