"""pydantic-ai: `OpenAIChatModel` with a provider over our HTTP client."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

from pydantic import BaseModel
from pydantic_ai import Agent, exceptions
from pydantic_ai.models.openai import OpenAIChatModel
from pydantic_ai.providers.openai import OpenAIProvider

from .stage import BASE_URL, MODEL, Stage, weather


class City(BaseModel):
    """A city."""

    name: str


class Player:
    """`pydantic_ai.Agent`."""

    tries = 3

    def __init__(self, stage: Stage) -> None:
        provider = OpenAIProvider(base_url=BASE_URL, api_key="unused", http_client=stage.async_http())
        self.model = OpenAIChatModel(MODEL, provider=provider)

    def ask(self, question: str) -> str:
        return Agent(self.model).run_sync(question).output

    def stream(self, question: str) -> Sequence[str]:
        async def read() -> list[str]:
            async with Agent(self.model).run_stream(question) as result:
                return [piece async for piece in result.stream_text(delta=True, debounce_by=None)]

        return asyncio.run(read())

    def use_tools(self, question: str, *, stream: bool) -> str:
        agent = Agent(self.model)
        agent.tool_plain(weather)
        if not stream:
            return agent.run_sync(question).output

        async def read() -> Any:
            async with agent.run_stream(question) as result:
                return await result.get_output()

        return asyncio.run(read())

    def structured(self, question: str) -> Any:
        return Agent(self.model, output_type=City).run_sync(question).output

    def is_throttle(self, error: BaseException) -> bool:
        return isinstance(error, exceptions.ModelRateLimitError)

    def is_overflow(self, error: BaseException) -> bool:
        return isinstance(error, exceptions.ModelContextWindowExceededError)
