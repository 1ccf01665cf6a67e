"""Any history becomes a request that the service takes: hostile ones from seeds, and whatever hypothesis thinks of.

FUZZ_HISTORIES says how many seeds are tried (a sample by default).
"""

from __future__ import annotations

import copy
import os
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.bedrock.request.build import build_request
from tests.request.hostile import MODELS, hostile
from tests.request.service import complaints

SEEDS = int(os.environ.get("FUZZ_HISTORIES", "1000"))
SLICES = 10


@pytest.mark.parametrize("part", range(SLICES))
def test_a_hostile_history_is_legal_whole_and_untouched(part: int) -> None:
    for seed in range(part, SEEDS, SLICES):
        case = hostile(seed)
        before = repr(case.messages)
        request = build_request(case.model, case.messages, case.tools, **case.options)
        assert complaints(request.kwargs) == [], seed
        assert repr(case.messages) == before, seed
        again = build_request(case.model, case.messages, case.tools, **case.options)
        assert repr(request.kwargs) == repr(again.kwargs), seed
        sent, reported = repr(request.kwargs), {repair.message for repair in request.repairs}
        lost = [word for word, index in case.markers.items() if word not in sent and index not in reported]
        assert lost == [], seed


def test_the_seeds_meet_every_family_and_most_steps() -> None:
    cases = [hostile(seed) for seed in range(600)]
    assert {case.model for case in cases} == set(MODELS)
    steps = {r.step for c in cases for r in build_request(c.model, c.messages, c.tools, **c.options).repairs}
    assert len(steps) >= 35, sorted(steps)


text = st.text(alphabet=st.sampled_from(" \n\t\u3000ab🎈\ud800\u200b"), max_size=6)
call_ids = st.sampled_from(["a", "b", "c:1", "", "x" * 70])
part = st.one_of(text, st.builds(lambda t: {"type": "text", "text": t}, text), st.builds(lambda t: {"text": t}, text))
content = st.one_of(st.none(), text, st.lists(part, max_size=3))
json_values = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), text),
    lambda inner: st.one_of(st.lists(inner, max_size=2), st.dictionaries(text, inner, max_size=2)),
    max_leaves=5,
)


def tool_call(call_id: str, name: str, arguments: Any) -> dict[str, Any]:
    return {"id": call_id, "type": "function", "function": {"name": name, "arguments": arguments}}


calls = st.lists(
    st.builds(tool_call, call_ids, st.sampled_from(["f", "my.tool", "é", ""]), st.one_of(text, json_values)), max_size=3
)
message = st.one_of(
    st.builds(lambda role, c: {"role": role, "content": c}, st.sampled_from(["system", "developer", "user"]), content),
    st.builds(lambda c, t: {"role": "assistant", "content": c, "tool_calls": t}, content, calls),
    st.builds(
        lambda i, c: {"role": "tool", "tool_call_id": i, "content": c}, call_ids, st.one_of(content, json_values)
    ),
)


@settings(max_examples=300, deadline=None)
@given(
    model=st.sampled_from(MODELS),
    messages=st.lists(message, max_size=8),
    tools=st.sampled_from([None, [{"type": "function", "function": {"name": "f"}}]]),
)
def test_whatever_an_agent_produced_is_legal(model: str, messages: list[Any], tools: Any) -> None:
    before = copy.deepcopy(messages)
    request = build_request(model, messages, tools)
    assert complaints(request.kwargs) == []
    assert repr(messages) == repr(before)
    roles = [turn["role"] for turn in request.kwargs["messages"] if turn["role"] != "system"]
    assert roles[0] == roles[-1] == "user"


@settings(max_examples=150, deadline=None)
@given(
    model=st.sampled_from(MODELS),
    messages=st.lists(message, max_size=6),
    more=st.lists(message, min_size=1, max_size=2),
)
def test_what_was_said_stays_as_it_was_built(model: str, messages: list[Any], more: list[Any]) -> None:
    """All turns but the last exchange, which may still grow (and be parted in three), stay when the history goes on."""
    tools = [{"type": "function", "function": {"name": "f"}}]
    options: dict[str, Any] = {"prompt_caching": False, "padding": False}
    early = build_request(model, messages, tools, **options).kwargs.get("messages", [])
    later = build_request(model, [*messages, *more], tools, **options).kwargs.get("messages", [])
    settled = max(len(early) - 4, 0)
    assert repr(later[:settled]) == repr(early[:settled])
