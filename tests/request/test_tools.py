from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from agent.bedrock.errors import InvalidRequestError
from agent.bedrock.models.profiles import PERMISSIVE, profile_for
from agent.bedrock.request.build import build_request
from agent.bedrock.request.calls import wire_tool_name
from agent.bedrock.request.tools import convert_tools
from tests.request.service import (
    CLAUDE,
    CLAUDE_5_5,
    GPT_OSS,
    LLAMA,
    NOVA,
    NOVA_2,
    R1,
    USER,
    built,
    call,
    result,
    steps_of,
    tool,
)

SCHEMA = {"type": "object", "properties": {"x": {"type": "string"}}, "required": ["x"]}
SPEC = {"toolSpec": {"name": "f", "description": "d", "inputSchema": {"json": SCHEMA}}}

# why, tool, block
SHAPES: list[tuple[str, Any, Any]] = [
    ("OpenAI's", {"type": "function", "function": {"name": "f", "description": "d", "parameters": SCHEMA}}, SPEC),
    ("Anthropic's", {"name": "f", "description": "d", "input_schema": SCHEMA}, SPEC),
    ("flat", {"name": "f", "description": "d", "parameters": SCHEMA}, SPEC),
    ("Converse's", SPEC, SPEC),
    ("an object", SimpleNamespace(type="function", function=SimpleNamespace(name="f", description="d", parameters=SCHEMA)), SPEC),
    ("a blank description is none", {"name": "f", "description": " ", "parameters": SCHEMA},
     {"toolSpec": {"name": "f", "inputSchema": {"json": SCHEMA}}}),
    ("no parameters", {"type": "function", "function": {"name": "f", "parameters": None}},
     {"toolSpec": {"name": "f", "inputSchema": {"json": {"type": "object", "properties": {}}}}}),
    ("a schema without a type", {"name": "f", "parameters": {"properties": {"x": {}}}},
     {"toolSpec": {"name": "f", "inputSchema": {"json": {"type": "object", "properties": {"x": {}}}}}}),
    ("a custom tool", {"type": "custom", "custom": {"name": "f"}},
     {"toolSpec": {"name": "f", "inputSchema": {"json": {"type": "object", "properties": {"input": {"type": "string"}},
                                                         "required": ["input"]}}}}),
    ("strict", {"type": "function", "function": {"name": "f", "parameters": SCHEMA, "strict": True}},
     {"toolSpec": {"name": "f", "strict": True,
                   "inputSchema": {"json": {**SCHEMA, "additionalProperties": False}}}}),
    ("not strict", {"type": "function", "function": {"name": "f", "parameters": SCHEMA, "strict": False}},
     {"toolSpec": {"name": "f", "inputSchema": {"json": SCHEMA}}}),
]  # fmt: skip


@pytest.mark.parametrize(("why", "given", "block"), SHAPES, ids=[why for why, *_ in SHAPES])
def test_a_tool_of_any_shape_becomes_a_tool_spec(why: str, given: Any, block: Any) -> None:
    assert built(CLAUDE, [USER], [given]).kwargs["toolConfig"]["tools"] == [block]


def test_without_tools_there_is_no_tool_config() -> None:
    assert "toolConfig" not in built(CLAUDE, [USER], [], tool_choice="auto").kwargs
    assert convert_tools(None) == convert_tools([]) == []


def test_the_schema_of_the_caller_is_not_changed() -> None:
    schema = {"properties": {"x": {"type": "integer", "minimum": 1}}}
    build_request(
        CLAUDE, [USER], [{"type": "function", "function": {"name": "f", "parameters": schema, "strict": True}}]
    )
    assert schema == {"properties": {"x": {"type": "integer", "minimum": 1}}}


@pytest.mark.parametrize("given", [5, {"type": "function", "function": {}}, {"type": "web_search"}])
def test_a_tool_without_a_name_is_refused_by_its_place(given: Any) -> None:
    with pytest.raises(InvalidRequestError, match=r"^tools\[1\]: "):
        build_request(CLAUDE, [USER], [tool(), given])


def test_a_tool_given_twice_is_sent_once() -> None:
    request = built(CLAUDE, [USER], [tool(), tool()], prompt_caching=False)
    assert len(request.kwargs["toolConfig"]["tools"]) == 1
    assert steps_of(request) == {"drop_duplicate_tool"}


def test_models_that_call_no_tools_get_none_and_a_warning(caplog: pytest.LogCaptureFixture) -> None:
    assert "toolConfig" not in built(R1, [USER], [tool()]).kwargs
    assert "cannot call any" in caplog.text


@pytest.mark.parametrize("name", ["my.tool", "my/tool", "a b", "", "x" * 65, "täst", "🎈"])
def test_an_alias_is_legal_and_depends_on_the_name_alone(name: str) -> None:
    alias = wire_tool_name(name, PERMISSIVE)
    assert alias == wire_tool_name(name, PERMISSIVE)
    assert alias.isascii()
    assert 1 <= len(alias) <= 64
    assert wire_tool_name(alias, PERMISSIVE) == alias


def test_names_that_clean_to_the_same_stay_different() -> None:
    names = {wire_tool_name(name, PERMISSIVE) for name in ("my.tool", "my/tool", "my_tool", "my tool")}
    assert len(names) == 4


def test_hyphens_are_legal_except_where_they_break_calls() -> None:
    assert wire_tool_name("my-tool", profile_for(CLAUDE)) == "my-tool"
    assert "-" not in wire_tool_name("my-tool", profile_for(NOVA))


def test_specs_history_and_choice_agree_on_an_alias_and_the_request_knows_it() -> None:
    messages = [USER, {"role": "assistant", "tool_calls": [call("a", "my.tool")]}, result("a")]
    request = built(
        CLAUDE, messages, [tool("my.tool")], tool_choice={"type": "function", "function": {"name": "my.tool"}}
    )
    (alias,) = request.tool_names
    assert request.tool_names == {alias: "my.tool"}
    assert request.kwargs["toolConfig"]["tools"][0]["toolSpec"]["name"] == alias
    assert request.kwargs["toolConfig"]["toolChoice"] == {"tool": {"name": alias}}
    assert request.kwargs["messages"][1]["content"][0]["toolUse"]["name"] == alias


NAMED = {"tool": {"name": "read"}}

# why, model, tool_choice, toolChoice
CHOICES: list[tuple[str, str, Any, Any]] = [
    ("nothing said", CLAUDE, None, None),
    ("auto", CLAUDE, "auto", {"auto": {}}),
    ("required", CLAUDE, "required", {"any": {}}),
    ("any", CLAUDE, "any", {"any": {}}),
    ("a name", CLAUDE, "read", NAMED),
    ("OpenAI's object", CLAUDE, {"type": "function", "function": {"name": "read"}}, NAMED),
    ("Anthropic's tool", CLAUDE, {"type": "tool", "name": "read"}, NAMED),
    ("Anthropic's any", CLAUDE, {"type": "any"}, {"any": {}}),
    ("Converse's any", CLAUDE, {"any": {}}, {"any": {}}),
    ("Converse's tool", CLAUDE, NAMED, NAMED),
    (
        "allowed tools",
        CLAUDE,
        {"type": "allowed_tools", "allowed_tools": {"mode": "required", "tools": []}},
        {"any": {}},
    ),
    ("forced, for Nova", NOVA, "required", {"any": {}}),
    ("auto, where only auto is known", LLAMA, "auto", None),
]


@pytest.mark.parametrize(("why", "model", "choice", "block"), CHOICES, ids=[why for why, *_ in CHOICES])
def test_tool_choice(why: str, model: str, choice: Any, block: Any) -> None:
    assert built(model, [USER], [tool()], tool_choice=choice).kwargs["toolConfig"].get("toolChoice") == block


@pytest.mark.parametrize("model", [LLAMA, CLAUDE_5_5, "mistral.mistral-large-2407-v1:0", GPT_OSS])
def test_a_forced_choice_that_the_family_refuses_is_left_to_the_model_with_a_warning(
    model: str, caplog: pytest.LogCaptureFixture
) -> None:
    request = built(model, [USER], [tool()], tool_choice="required")
    assert "toolChoice" not in request.kwargs["toolConfig"]
    assert steps_of(request) == {"degrade_tool_choice"}
    assert "refuses a forced tool choice" in caplog.text


def test_tool_choice_none_sends_no_tools_at_all() -> None:
    messages = [USER, {"role": "assistant", "tool_calls": [call("a")]}, result("a")]
    request = built(CLAUDE, messages, [tool()], tool_choice="none")
    assert "toolConfig" not in request.kwargs


def test_a_choice_of_a_tool_that_is_not_there_names_those_that_are() -> None:
    with pytest.raises(InvalidRequestError, match=r"no tool is called 'write'; there are 'my\.tool'"):
        build_request(CLAUDE, [USER], [tool("my.tool")], tool_choice="write")


def test_a_choice_that_is_none_of_the_forms_names_them() -> None:
    with pytest.raises(ValueError, match='tool_choice: tool_choice is "auto", "required"'):
        build_request(CLAUDE, [USER], [tool()], tool_choice=5)


def test_functions_are_tools() -> None:
    request = built(CLAUDE, [USER], functions=[{"name": "read", "parameters": SCHEMA}], function_call={"name": "read"})
    assert request.kwargs["toolConfig"]["toolChoice"] == NAMED


def test_system_tools_go_to_models_that_have_them() -> None:
    assert built(NOVA_2, [USER], [tool()], system_tools=["nova_grounding"]).kwargs["toolConfig"]["tools"][1] == {
        "systemTool": {"name": "nova_grounding"}}  # fmt: skip
    assert steps_of(built(CLAUDE, [USER], system_tools=["nova_grounding"])) == {"drop_system_tools"}


def test_strict_is_left_out_where_the_family_or_the_grammar_does_not_take_it() -> None:
    free = {"type": "object", "properties": {"x": {"type": "object", "additionalProperties": True}}}
    bounded = {"type": "object", "properties": {"x": {"type": "integer", "minimum": 1}}}
    assert steps_of(built(NOVA, [USER], [tool(strict=True)])) == {"drop_strict"}
    for schema in (free, bounded):
        given = {"type": "function", "function": {"name": "f", "parameters": schema, "strict": True}}
        spec = built(CLAUDE, [USER], [given]).kwargs["toolConfig"]["tools"][0]["toolSpec"]
        assert spec == {"name": "f", "inputSchema": {"json": schema}}


def test_strict_tools_stay_within_the_limits_of_the_service() -> None:
    tools = [tool(f"f{number}", strict=True) for number in range(30)]
    specs = [
        block["toolSpec"] for block in built(CLAUDE, [USER], tools, prompt_caching=False).kwargs["toolConfig"]["tools"]
    ]
    assert sum("strict" in spec for spec in specs) == 20


def test_references_are_written_out_where_the_family_reads_none() -> None:
    schema = {"type": "object", "properties": {"a": {"$ref": "#/$defs/A"}},
              "$defs": {"A": {"type": "object", "properties": {"again": {"$ref": "#/$defs/A"}, "n": {"type": "integer"}}}}}  # fmt: skip
    given = {"type": "function", "function": {"name": "f", "parameters": schema}}
    sent = built(GPT_OSS, [USER], [given]).kwargs["toolConfig"]["tools"][0]["toolSpec"]["inputSchema"]["json"]
    inner = {"type": "object", "properties": {"again": {}, "n": {"type": "integer"}}}
    assert sent == {"type": "object", "properties": {"a": inner}}
