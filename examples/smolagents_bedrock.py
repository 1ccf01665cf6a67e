"""Bedrock as a model of smolagents that tells tool calls and results as what they are, so that reasoning comes back.

from smolagents import ToolCallingAgent
from smolagents_bedrock import BedrockModel

ToolCallingAgent(tools=[...], model=BedrockModel("us.anthropic.claude-sonnet-4-5-20250929-v1:0")).run("...")

smolagents' own `OpenAIModel` writes both into plain text, with which no signed reasoning can go back. It also joins the
results of parallel calls, and does not say where one ends; they stay together here, in the first of them.
"""

from __future__ import annotations

import ast
import json
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from smolagents import ChatMessage, MessageRole, OpenAIModel
from smolagents.models import get_clean_message_list, tool_role_conversions

from agent.bedrock import http_client

BASE_URL = "http://bedrock.local/v1"

_CALLS, _RESULTS = "Calling tools:\n", "Observation:\n"
_TOGETHER = "The first result holds those of all calls, in order."
_NONE = "There is no result."


class BedrockModel(OpenAIModel):
    """`OpenAIModel` on Bedrock; `http` is an HTTP client of ours, the options are those of `OpenAIModel`."""

    def __init__(self, model_id: str, *, http: Any = None, client_kwargs: Any = None, **options: Any) -> None:
        client_kwargs = {"http_client": http or http_client(), **(client_kwargs or {})}
        super().__init__(model_id, api_base=BASE_URL, api_key="unused", client_kwargs=client_kwargs, **options)

    def _prepare_completion_kwargs(self, messages: list[Any], **options: Any) -> dict[str, Any]:
        prepared: dict[str, Any] = super()._prepare_completion_kwargs(messages, **options)
        if "tools" in prepared:  # an agent that writes code calls no tools, whatever it says in its memory

            def plain(some: list[ChatMessage]) -> list[dict[str, Any]]:
                roles = options.get("custom_role_conversions") or tool_role_conversions
                told: list[dict[str, Any]] = get_clean_message_list(some, roles, convert_images_to_image_urls=True)
                return told

            prepared["messages"] = list(_told(messages, plain))
            if "reasoning_effort" in prepared and "tool_choice" not in self.kwargs:
                prepared["tool_choice"] = "auto"  # smolagents demands a tool, with which Claude does not reason
        return prepared


def _told(messages: Iterable[Any], plain: Callable[[list[ChatMessage]], list[dict[str, Any]]]) -> Iterator[Any]:
    """OpenAI's messages: calls and results as such, `plain` for what is between them."""
    between: list[ChatMessage] = []
    waiting: list[dict[str, Any]] = []
    for given in messages:
        message = ChatMessage.from_dict(given) if isinstance(given, dict) else given
        if calls := _calls(message):
            said = between.pop() if between and between[-1].role == MessageRole.ASSISTANT else None
            yield from _results(waiting, _NONE)
            yield from plain(between)
            yield {"role": "assistant", "content": _text(said) or None, "tool_calls": calls}
            between, waiting = [], calls
        elif waiting and message.role == MessageRole.TOOL_RESPONSE:
            yield from _results(waiting, _text(message).removeprefix(_RESULTS))
            waiting = []
        else:
            between.append(message)
    yield from _results(waiting, _NONE)
    yield from plain(between)


def _calls(message: ChatMessage) -> list[dict[str, Any]]:
    """The calls that smolagents wrote into a message, which is the `str()` of a list of OpenAI's."""
    text = _text(message)
    if message.role != MessageRole.TOOL_CALL or not text.startswith(_CALLS):
        return []
    calls: list[dict[str, Any]] = ast.literal_eval(text.removeprefix(_CALLS))
    for call in calls:
        arguments = call["function"]["arguments"]
        call["function"]["arguments"] = arguments if isinstance(arguments, str) else json.dumps(arguments)
    return calls


def _results(calls: list[dict[str, Any]], text: str) -> Iterator[dict[str, Any]]:
    for call in calls:
        yield {"role": "tool", "tool_call_id": call["id"], "content": text}
        text = _TOGETHER


def _text(message: ChatMessage | None) -> str:
    content = message.content if message else None
    if isinstance(content, list):
        return "".join(part.get("text", "") for part in content)
    return content or ""
