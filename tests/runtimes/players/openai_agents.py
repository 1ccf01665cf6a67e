"""openai-agents: its chat-completions model with an async SDK client over ours."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import agents
import openai
from pydantic import BaseModel

from .stage import BASE_URL, MODEL, Stage, weather

agents.set_tracing_disabled(disabled=True)


class City(BaseModel):
    """A city."""

    name: str


class Player:
    """`agents.Runner`."""

    tries = 3

    def __init__(self, stage: Stage) -> None:
        self.http = stage.async_http()

    def _agent(self, **options: Any) -> Any:
        client = openai.AsyncOpenAI(api_key="unused", base_url=BASE_URL, http_client=self.http)
        model = agents.OpenAIChatCompletionsModel(model=MODEL, openai_client=client)
        return agents.Agent(name="assistant", model=model, **options)

    def ask(self, question: str) -> str:
        return agents.Runner.run_sync(self._agent(), question).final_output

    def stream(self, question: str) -> Sequence[str]:
        return self._streamed(self._agent(), question)[0]

    def _streamed(self, agent: Any, question: str) -> tuple[list[str], Any]:
        async def read() -> tuple[list[str], Any]:
            result = agents.Runner.run_streamed(agent, question)
            pieces = [
                event.data.delta
                async for event in result.stream_events()
                if event.type == "raw_response_event" and event.data.type == "response.output_text.delta"
            ]
            return pieces, result.final_output

        return asyncio.run(read())

    def use_tools(self, question: str, *, stream: bool) -> str:
        agent = self._agent(tools=[agents.function_tool(weather)])
        if stream:
            return self._streamed(agent, question)[1]
        return agents.Runner.run_sync(agent, question).final_output

    def structured(self, question: str) -> Any:
        return agents.Runner.run_sync(self._agent(output_type=City), question).final_output

    def is_throttle(self, error: BaseException) -> bool:
        return isinstance(error, openai.RateLimitError)

    def is_overflow(self, error: BaseException) -> bool:
        return isinstance(error, openai.BadRequestError) and error.code == "context_length_exceeded"
