"""smolagents: `OpenAIModel` with our HTTP client among its client's arguments."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import openai
import smolagents

from .stage import BASE_URL, MODEL, SCHEMA, Stage


@smolagents.tool
def weather(city: str) -> str:
    """The weather of a city.

    Args:
        city: The name of the city.
    """
    return f"Sunny in {city}"


class Player:
    """`ToolCallingAgent` on `OpenAIModel`; it sends tool results as plain text."""

    tries = 9  # 3 of the SDK's in each of 3 rounds of its own

    def __init__(self, stage: Stage) -> None:
        self.model = smolagents.OpenAIModel(
            model_id=MODEL, api_base=BASE_URL, api_key="unused", client_kwargs={"http_client": stage.sync_http()}
        )

    def ask(self, question: str) -> str:
        return self.model.generate([_user(question)]).content

    def stream(self, question: str) -> Sequence[str]:
        return [delta.content for delta in self.model.generate_stream([_user(question)]) if delta.content]

    def use_tools(self, question: str, *, stream: bool) -> str:
        agent = smolagents.ToolCallingAgent(
            tools=[weather], model=self.model, stream_outputs=stream, verbosity_level=smolagents.LogLevel.OFF
        )
        return agent.run(question)

    def structured(self, question: str) -> Any:
        response_format = {"type": "json_schema", "json_schema": {"name": "city", "schema": SCHEMA, "strict": True}}
        return json.loads(self.model.generate([_user(question)], response_format=response_format).content)

    def is_throttle(self, error: BaseException) -> bool:
        return isinstance(error, openai.RateLimitError)

    def is_overflow(self, error: BaseException) -> bool:
        return isinstance(error, openai.BadRequestError) and error.code == "context_length_exceeded"


def _user(question: str) -> Any:
    text = [{"type": "text", "text": question}]
    return smolagents.ChatMessage(role=smolagents.MessageRole.USER, content=text)
