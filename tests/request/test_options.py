from __future__ import annotations

from agent.bedrock.request.options import split_body


def test_a_body_comes_apart_into_options_and_converse_members() -> None:
    body = {
        "model": "m", "messages": [], "tools": [], "stream": True, "temperature": 0.5, "stop": None,
        "guardrailConfig": {"a": 1}, "frobnicate": 1,
    }  # fmt: skip
    assert split_body(body) == (
        {"stream": True, "temperature": 0.5, "extra": {"guardrailConfig": {"a": 1}}},
        ["frobnicate"],
    )


def test_a_body_from_outside_cannot_reach_what_is_local() -> None:
    assert split_body({"fetch": 1, "lenient_images": True, "reasoning_store": 1, "extra": {}})[0] == {}
