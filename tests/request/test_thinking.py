from __future__ import annotations

from typing import Any

import pytest

from tests.request.service import (
    CLAUDE,
    CLAUDE_3_7,
    CLAUDE_4_6,
    CLAUDE_4_7,
    CLAUDE_4_8,
    CLAUDE_5_5,
    GLM,
    GPT,
    GPT_OSS,
    KIMI,
    LLAMA,
    NOVA_2,
    QWEN,
    USER,
    built,
    call,
    result,
    steps_of,
    tool,
)

ADAPTIVE = {"type": "adaptive"}
SONNET_5_5 = "us.anthropic.claude-sonnet-5-5"
OPUS_5 = "us.anthropic.claude-opus-5"
DEEPSEEK = "deepseek.v3.2"
GROK = "xai.grok-4"

# why, model, options, additionalModelRequestFields
ASKED: list[tuple[str, str, dict[str, Any], dict[str, Any] | None]] = [
    ("an effort is a budget", CLAUDE_3_7, {"reasoning_effort": "low"}, {"thinking": {"type": "enabled", "budget_tokens": 2048}}),
    ("under max_tokens", CLAUDE_3_7, {"reasoning_effort": "high", "max_tokens": 4096},
     {"thinking": {"type": "enabled", "budget_tokens": 3276}}),
    ("a budget", CLAUDE_3_7, {"thinking_budget": 5000}, {"thinking": {"type": "enabled", "budget_tokens": 5000}}),
    ("a budget under max_tokens", CLAUDE_3_7, {"thinking_budget": 5000, "max_tokens": 3000},
     {"thinking": {"type": "enabled", "budget_tokens": 2999}}),
    ("at least 1024", CLAUDE_3_7, {"thinking_budget": 10}, {"thinking": {"type": "enabled", "budget_tokens": 1024}}),
    ("no room", CLAUDE_3_7, {"thinking_budget": 5000, "max_tokens": 1024}, None),
    ("Anthropic's own words", CLAUDE, {"thinking": {"type": "enabled", "budget_tokens": 2000}},
     {"thinking": {"type": "enabled", "budget_tokens": 2000}}),
    ("OpenRouter's words", CLAUDE, {"reasoning": {"max_tokens": 2000}}, {"thinking": {"type": "enabled", "budget_tokens": 2000}}),
    ("off where it is off anyway", CLAUDE, {"reasoning_effort": "none"}, None),
    ("adaptive with an effort", CLAUDE_4_6, {"reasoning_effort": "high"},
     {"thinking": ADAPTIVE, "output_config": {"effort": "high"}}),
    ("no effort above the model's", CLAUDE_4_6, {"reasoning_effort": "xhigh"},
     {"thinking": ADAPTIVE, "output_config": {"effort": "high"}}),
    ("adaptive has no budget", CLAUDE_4_7, {"thinking": {"type": "enabled", "budget_tokens": 9000, "display": "summarized"}},
     {"thinking": {**ADAPTIVE, "display": "summarized"}, "output_config": {"effort": "high"}}),
    ("plain yes", CLAUDE_4_7, {"thinking": True}, {"thinking": ADAPTIVE}),
    ("disabled where it thinks unasked", OPUS_5, {"thinking": {"type": "disabled"}}, {"thinking": {"type": "disabled"}}),
    ("the nearest to disabled", SONNET_5_5, {"reasoning_effort": "none"}, {"thinking": {"type": "between_tools"}}),
    ("cannot be disabled", CLAUDE_5_5, {"reasoning_effort": "none"}, None),
    ("a plain yes to reasoning", CLAUDE_3_7, {"reasoning": True}, {"thinking": {"type": "enabled", "budget_tokens": 8192}}),
    ("a plain no to reasoning", OPUS_5, {"reasoning": False}, {"thinking": {"type": "disabled"}}),
    ("effort alone", CLAUDE_4_7, {"output_config": {"effort": "xhigh"}}, {"output_config": {"effort": "xhigh"}}),
    ("Nova", NOVA_2, {"reasoning_effort": "low"}, {"reasoningConfig": {"type": "enabled", "maxReasoningEffort": "low"}}),
    ("Nova off", NOVA_2, {"reasoning_effort": "none"}, {"reasoningConfig": {"type": "disabled"}}),
    ("gpt-oss", GPT_OSS, {"reasoning_effort": "minimal"}, {"reasoning_effort": "low"}),
    ("gpt-oss cannot be silenced", GPT_OSS, {"reasoning_effort": "none"}, None),
    ("GPT", GPT, {"reasoning_effort": "medium"}, {"reasoning": {"effort": "medium"}}),
    ("GPT off", GPT, {"reasoning_effort": "none"}, {"reasoning": {"effort": "none"}}),
    ("Grok", GROK, {"reasoning_effort": "max"}, {"reasoning": {"effort": "xhigh"}}),
    ("Qwen", QWEN, {"reasoning_effort": "high"}, {"reasoning_config": "high"}),
    ("DeepSeek knows one level", DEEPSEEK, {"reasoning_effort": "low"}, {"reasoning_effort": "high"}),
    ("GLM off", GLM, {"reasoning_effort": "none"}, {"reasoning_effort": "none"}),
    ("Kimi", KIMI, {"reasoning_effort": "medium"}, {"reasoning_effort": "low"}),
    ("a family without a field", LLAMA, {"reasoning_effort": "high"}, None),
    ("off removes what was smuggled in", CLAUDE, {"reasoning_effort": "none",
     "additional_model_request_fields": {"thinking": {"type": "enabled", "budget_tokens": 2000}}}, None),
    ("explicit fields win", CLAUDE, {"reasoning_effort": "low",
     "additional_model_request_fields": {"thinking": {"type": "enabled", "budget_tokens": 2000}}},
     {"thinking": {"type": "enabled", "budget_tokens": 2000}}),
]  # fmt: skip


@pytest.mark.parametrize(("why", "model", "options", "fields"), ASKED, ids=[why for why, *_ in ASKED])
def test_reasoning_is_asked_for_in_the_familys_words(
    why: str, model: str, options: dict[str, Any], fields: dict[str, Any] | None
) -> None:
    assert built(model, [USER], **options).kwargs.get("additionalModelRequestFields") == fields


def test_what_thinking_rules_out_is_left_out_and_reported() -> None:
    request = built(CLAUDE_4_6, [USER], thinking=True, temperature=0.5, top_k=5)
    assert "inferenceConfig" not in request.kwargs
    assert request.kwargs["additionalModelRequestFields"] == {"thinking": ADAPTIVE}
    assert steps_of(request) == {"drop_sampling"}


def test_the_highest_effort_of_nova_leaves_bounds_to_the_model() -> None:
    request = built(NOVA_2, [USER], reasoning_effort="high", max_tokens=100, temperature=0.5, stop="x")
    assert request.kwargs["inferenceConfig"] == {"stopSequences": ["x"]}


def test_thinking_is_left_out_beside_a_forced_choice_up_to_4_7(caplog: pytest.LogCaptureFixture) -> None:
    forced = {"tool_choice": "required", "thinking": True}
    assert "additionalModelRequestFields" not in built(CLAUDE, [USER], [tool()], **forced).kwargs
    assert "thinking was left out" in caplog.text
    both = built(CLAUDE_4_8, [USER], [tool()], **forced).kwargs
    assert both["toolConfig"]["toolChoice"] == {"any": {}}
    assert both["additionalModelRequestFields"] == {"thinking": ADAPTIVE}
    assert "toolChoice" not in built(CLAUDE_5_5, [USER], [tool()], **forced).kwargs["toolConfig"]


SIGNED = {"reasoning_details": [{"type": "reasoning.text", "text": "t", "signature": "s"}]}


@pytest.mark.parametrize(("carried", "thinks"), [({}, False), (SIGNED, True)])
def test_lost_reasoning_of_a_running_exchange_drops_thinking_for_that_turn(
    carried: dict[str, Any], thinks: bool
) -> None:
    messages = [USER, {"role": "assistant", "content": None, "tool_calls": [call("a")], **carried}, result("a")]
    request = built(CLAUDE_3_7, messages, [tool()], thinking=True)
    assert ("additionalModelRequestFields" in request.kwargs) is thinks
    assert ("drop_thinking" in steps_of(request)) is not thinks


def test_adaptive_thinking_does_not_mind_lost_reasoning() -> None:
    messages = [USER, {"role": "assistant", "content": None, "tool_calls": [call("a")]}, result("a")]
    assert "additionalModelRequestFields" in built(CLAUDE_4_7, messages, [tool()], thinking=True).kwargs
