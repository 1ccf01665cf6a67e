"""The openai SDK itself, with a loop as its users write it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import openai

from .stage import BASE_URL, MODEL, WEATHER, Stage, weather


class Player:
    """`openai.OpenAI` with our HTTP client."""

    tries = 3

    def __init__(self, stage: Stage) -> None:
        self.client = openai.OpenAI(api_key="unused", base_url=BASE_URL, http_client=stage.sync_http())

    def ask(self, question: str) -> str:
        messages = [{"role": "user", "content": question}]
        completion: Any = self.client.chat.completions.create(model=MODEL, messages=messages)
        return completion.choices[0].message.content

    def stream(self, question: str) -> Sequence[str]:
        messages = [{"role": "user", "content": question}]
        stream: Any = self.client.chat.completions.create(model=MODEL, messages=messages, stream=True)
        return [chunk.choices[0].delta.content for chunk in stream if chunk.choices[0].delta.content]

    def use_tools(self, question: str, *, stream: bool) -> str:
        messages: list[Any] = [{"role": "user", "content": question}]
        while True:
            message = self._turn(messages, stream=stream)
            calls = [call.to_dict() for call in message.tool_calls or ()]
            if not calls:
                return message.content
            messages.append({"role": "assistant", "content": message.content, "tool_calls": calls})
            for call in calls:
                result = weather(**json.loads(call["function"]["arguments"]))
                messages.append({"role": "tool", "tool_call_id": call["id"], "content": result})

    def _turn(self, messages: list[Any], *, stream: bool) -> Any:
        completions: Any = self.client.chat.completions
        if not stream:
            return completions.create(model=MODEL, messages=messages, tools=[WEATHER]).choices[0].message
        with completions.stream(model=MODEL, messages=messages, tools=[WEATHER]) as answer:
            return answer.get_final_completion().choices[0].message

    def structured(self, question: str) -> Any:
        from pydantic import BaseModel

        class City(BaseModel):
            name: str

        completions: Any = self.client.chat.completions
        messages = [{"role": "user", "content": question}]
        return completions.parse(model=MODEL, messages=messages, response_format=City).choices[0].message.parsed

    def is_throttle(self, error: BaseException) -> bool:
        return isinstance(error, openai.RateLimitError)

    def is_overflow(self, error: BaseException) -> bool:
        return isinstance(error, openai.BadRequestError) and error.code == "context_length_exceeded"
