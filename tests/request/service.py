"""What the service would say to a request: botocore's own validator, and the stand-in's rules."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

import botocore.session
from botocore.validate import ParamValidator

from agent.bedrock.blocks import json_safe
from agent.bedrock.request.build import ConverseRequest, build_request
from agent.bedrock.testing.rules import judge

if TYPE_CHECKING:
    from botocore.model import Shape

CLAUDE = "us.anthropic.claude-sonnet-4-5-20250929-v1:0"
CLAUDE_3_7 = "us.anthropic.claude-3-7-sonnet-20250219-v1:0"
CLAUDE_4_6 = "us.anthropic.claude-sonnet-4-6"
CLAUDE_4_7 = "us.anthropic.claude-opus-4-7"
CLAUDE_4_8 = "us.anthropic.claude-opus-4-8"
CLAUDE_5_5 = "us.anthropic.claude-opus-5-5"
NOVA = "us.amazon.nova-pro-v1:0"
NOVA_MICRO = "us.amazon.nova-micro-v1:0"
NOVA_2 = "us.amazon.nova-2-lite-v1:0"
LLAMA = "us.meta.llama3-3-70b-instruct-v1:0"
LLAMA_4 = "us.meta.llama4-maverick-17b-instruct-v1:0"
MISTRAL = "us.mistral.pixtral-large-2502-v1:0"
QWEN = "qwen.qwen3-32b-v1:0"
R1 = "us.deepseek.r1-v1:0"
GPT_OSS = "openai.gpt-oss-120b-1:0"
GPT = "openai.gpt-5.6-sol"
GLM = "zai.glm-4.7-flash"
KIMI = "moonshotai.kimi-k2.5"
PALMYRA = "us.writer.palmyra-x4-v1:0"
MINIMAX = "minimax.minimax-m2"


@cache
def input_shape(operation: str = "Converse") -> Shape:
    model = botocore.session.get_session().get_service_model("bedrock-runtime").operation_model(operation)
    assert model.input_shape is not None
    return model.input_shape


@cache
def model_is_new() -> bool:
    """Whether the installed botocore's service model has the newest members that requests here use (since 1.43.62)."""
    return "toolAddition" in str(input_shape().members["messages"].member.members["content"].member.members)  # type: ignore[attr-defined]


def shape_errors(kwargs: dict[str, Any], operation: str = "Converse") -> list[str]:
    """What botocore's own validator has against a request; an old one does not know enough to judge."""
    if not model_is_new():
        return []
    report = ParamValidator().validate(kwargs, input_shape(operation))
    return [report.generate_report()] if report.has_errors() else []


def complaints(kwargs: dict[str, Any], operation: str = "Converse") -> list[str]:
    """Everything that botocore and the stand-in's rules have against a request."""
    found = shape_errors(kwargs, operation)
    body = {name: value for name, value in kwargs.items() if name != "modelId"}
    body["messages"] = [
        {**message, "content": [json_safe(block) for block in message["content"]]} for message in body["messages"]
    ]
    refusal = judge("converse", kwargs["modelId"], body)
    return found + ([refusal.message or refusal.code] if refusal is not None else [])


def built(model: str, messages: list[Any], tools: Any = None, **options: Any) -> ConverseRequest:
    """The request, which the service has nothing against."""
    request = build_request(model, messages, tools, **options)
    assert complaints(request.kwargs) == []
    return request


def turns_of(model: str, messages: list[Any], tools: Any = None, **options: Any) -> list[tuple[str, list[Any]]]:
    """[(role, blocks)] of the request, without cache points."""
    request = built(model, messages, tools, **{"prompt_caching": False, **options})
    return [(message["role"], message["content"]) for message in request.kwargs["messages"]]


def steps_of(request: ConverseRequest) -> set[str]:
    """The names of the steps that repaired something."""
    return {repair.step for repair in request.repairs}


def call(call_id: str, name: str = "read", arguments: str = "{}") -> dict[str, Any]:
    """A tool call in OpenAI's shape."""
    return {"id": call_id, "type": "function", "function": {"name": name, "arguments": arguments}}


def tool(name: str = "read", **more: Any) -> dict[str, Any]:
    """A tool in OpenAI's shape."""
    parameters = {"type": "object", "properties": {"x": {"type": "string"}}}
    return {"type": "function", "function": {"name": name, "description": "d", "parameters": parameters, **more}}


def result(call_id: str, content: Any = "ok", **more: Any) -> dict[str, Any]:
    """A tool message."""
    return {"role": "tool", "tool_call_id": call_id, "content": content, **more}


def use(call_id: str, name: str = "read", **arguments: Any) -> dict[str, Any]:
    """A toolUse block."""
    return {"toolUse": {"toolUseId": call_id, "name": name, "input": arguments}}


def answer(call_id: str, *content: Any, status: str | None = "success") -> dict[str, Any]:
    """A toolResult block."""
    body: dict[str, Any] = {"toolUseId": call_id, "content": list(content or ({"text": "ok"},))}
    if status is not None:
        body["status"] = status
    return {"toolResult": body}


USER = {"role": "user", "content": "hi"}
