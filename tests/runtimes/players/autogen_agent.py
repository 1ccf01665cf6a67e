"""autogen: its OpenAI client with our HTTP client, and an agent on it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from typing import Any

import openai
from autogen_agentchat.agents import AssistantAgent
from autogen_agentchat.messages import ModelClientStreamingChunkEvent
from autogen_core.models import UserMessage
from autogen_ext.models.openai import OpenAIChatCompletionClient
from pydantic import BaseModel

from .stage import BASE_URL, MODEL, Stage, weather


class City(BaseModel):
    """A city."""

    name: str


class Player:
    """`AssistantAgent` on `OpenAIChatCompletionClient`."""

    tries = 3

    def __init__(self, stage: Stage) -> None:
        self.stage = stage

    def _client(self) -> Any:
        info = {
            "vision": True,
            "function_calling": True,
            "json_output": True,
            "structured_output": True,
            "family": "unknown",
        }
        return OpenAIChatCompletionClient(
            model=MODEL, base_url=BASE_URL, api_key="unused", http_client=self.stage.async_http(), model_info=info
        )

    def ask(self, question: str) -> str:
        return asyncio.run(self._create(question)).content

    async def _create(self, question: str, **options: Any) -> Any:
        return await self._client().create([UserMessage(content=question, source="user")], **options)

    def stream(self, question: str) -> Sequence[str]:
        async def read() -> list[str]:
            pieces = self._client().create_stream([UserMessage(content=question, source="user")])
            return [piece async for piece in pieces if isinstance(piece, str)]

        return asyncio.run(read())

    def use_tools(self, question: str, *, stream: bool) -> str:
        async def work() -> str:
            agent = AssistantAgent(
                "assistant",
                self._client(),
                tools=[weather],
                model_client_stream=stream,
                max_tool_iterations=5,
                description="An assistant.",
            )
            messages = [message async for message in agent.run_stream(task=question)]
            assert stream == any(isinstance(message, ModelClientStreamingChunkEvent) for message in messages)
            return messages[-1].messages[-1].content

        return asyncio.run(work())

    def structured(self, question: str) -> Any:
        return json.loads(asyncio.run(self._create(question, json_output=City)).content)

    def is_throttle(self, error: BaseException) -> bool:
        return isinstance(error, openai.RateLimitError)

    def is_overflow(self, error: BaseException) -> bool:
        return isinstance(error, openai.BadRequestError) and error.code == "context_length_exceeded"
