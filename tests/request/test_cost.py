"""What converting costs: linear in the history, counted in function calls, which no busy machine can distort."""

from __future__ import annotations

import sys
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
