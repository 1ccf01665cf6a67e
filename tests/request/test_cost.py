"""What converting costs: linear in the history, counted in function calls, which no busy machine can distort."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import pytest

from agent.bedrock.request.build import build_request
from tests.request.service import CLAUDE, LLAMA, NOVA, USER, call, result, tool


def history(turns: int) -> list[dict[str, Any]]:
    messages: list[dict[str, Any]] = [{"role": "system", "content": "s"}, USER]
    for number in range(turns):
        messages.append({"role": "assistant", "content": "t", "tool_calls": [call(f"c{number}", arguments='{"x": 1}')]})
        messages.append(result(f"c{number}", "some output"))
    return messages


def calls_made(model: str, messages: list[dict[str, Any]]) -> int:
    count = 0

    def counted(frame: Any, event: str, argument: Any) -> None:
        nonlocal count
        count += event in ("call", "c_call")

    build_request(model, [USER], [tool()])  # what is found out once per model is not the cost of a history
    before = sys.getprofile()
    sys.setprofile(counted)
    try:
        build_request(model, messages, [tool()])
    finally:
        sys.setprofile(before)
    return count


@pytest.mark.parametrize("model", [CLAUDE, NOVA, LLAMA])
def test_converting_is_linear_in_the_history(model: str) -> None:
    costs = {turns: calls_made(model, history(turns)) for turns in (10, 100, 1000, 5000)}
    per_turn = (costs[100] - costs[10]) / 90
    assert costs[1000] <= costs[100] + 900 * per_turn * 1.1
    assert costs[5000] <= costs[100] + 4900 * per_turn * 1.1


def test_a_legal_exchange_costs_few_calls() -> None:
    assert (calls_made(CLAUDE, history(1010)) - calls_made(CLAUDE, history(10))) / 1000 < 110


def numbered_anew(turns: int) -> list[dict[str, Any]]:
    """The history of a model that calls its first call call_0, in every answer."""
    exchange = [
        {"role": "assistant", "tool_calls": [call("call_0"), call("call_0")]},
        result("call_0"),
        result("call_0"),
    ]
    return [USER, *exchange * turns]


def attached_again(turns: int) -> list[dict[str, Any]]:
    """A history in which the same file comes with every message."""
    file = {"filename": "notes.txt", "file_data": "data:text/plain;base64,aGk="}
    return [{"role": "user", "content": [{"type": "text", "text": "t"}, {"type": "file", "file": file}]}] * turns


@pytest.mark.parametrize("made", [numbered_anew, attached_again])
def test_telling_equal_names_apart_is_linear_too(made: Callable[[int], list[dict[str, Any]]]) -> None:
    """Counted in lines: a loop that only compares makes no calls."""
    lines = 0

    def counted(frame: Any, event: str, argument: Any) -> Any:
        nonlocal lines
        lines += event == "line"
        return counted

    costs = []
    for turns in (100, 1000):
        lines = 0
        before = sys.gettrace()
        sys.settrace(counted)
        try:
            build_request(CLAUDE, made(turns), [tool()])
        finally:
            sys.settrace(before)
        costs.append(lines)
    assert costs[1] < costs[0] * 10.5
