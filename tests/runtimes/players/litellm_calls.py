"""LiteLLM's openai route, with an SDK client over ours."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import litellm
import openai

from .stage import BASE_URL, MODEL, SCHEMA, WEATHER, Stage, weather


class Player:
    """`litellm.completion` with `client=`."""

    tries = 3

    def __init__(self, stage: Stage) -> None:
        self.client = openai.OpenAI(api_key="unused", base_url=BASE_URL, http_client=stage.sync_http())

    def _complete(self, messages: list[Any], **options: Any) -> Any:
        return litellm.completion(
            model=f"openai/{MODEL}",
            api_base=BASE_URL,
            api_key="unused",
            client=self.client,
            messages=messages,
            **options,
        )

    def ask(self, question: str) -> str:
        return self._complete([_user(question)]).choices[0].message.content

    def stream(self, question: str) -> Sequence[str]:
        stream = self._complete([_user(question)], stream=True)
        return [chunk.choices[0].delta.content for chunk in stream if chunk.choices[0].delta.content]

    def use_tools(self, question: str, *, stream: bool) -> str:
        messages = [_user(question)]
        while True:
            answer = self._complete(messages, tools=[WEATHER], stream=stream)
            if stream:
                answer = litellm.stream_chunk_builder(list(answer), messages=messages)
            message = answer.choices[0].message
            if not message.tool_calls:
                return message.content
            messages.append(message.model_dump())
            for call in message.tool_calls:
                result = weather(**json.loads(call.function.arguments))
                messages.append({"role": "tool", "tool_call_id": call.id, "content": result})

    def structured(self, question: str) -> Any:
        response_format = {"type": "json_schema", "json_schema": {"name": "city", "schema": SCHEMA, "strict": True}}
        return json.loads(self._complete([_user(question)], response_format=response_format).choices[0].message.content)

    def is_throttle(self, error: BaseException) -> bool:
        return isinstance(error, litellm.RateLimitError)

    def is_overflow(self, error: BaseException) -> bool:
        return isinstance(error, litellm.ContextWindowExceededError)


def _user(question: str) -> Any:
    return {"role": "user", "content": question}
