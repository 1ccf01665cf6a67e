"""DSPy through LiteLLM with our provider: it copies its models, which no client of the SDK survives."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import dspy
import litellm

from .litellm_provider import provide
from .stage import MODEL, SCHEMA, WEATHER, Stage, weather


class Player:
    """`dspy.LM` with a model of the provider."""

    carries_calls = True
    tries = 4
    skips = {"stream": "DSPy streams inside its own programs only"}  # noqa: RUF012

    def __init__(self, stage: Stage) -> None:
        provide(stage)
        self.lm = dspy.LM(f"converse/{MODEL}", cache=False)

    def ask(self, question: str) -> str:
        return self.lm.copy()(question)[0]

    def stream(self, question: str) -> Sequence[str]:
        raise NotImplementedError

    def use_tools(self, question: str, *, stream: bool) -> str:
        messages: list[Any] = [{"role": "user", "content": question}]
        while True:
            [answer] = self.lm(messages=messages, tools=[WEATHER])
            if isinstance(answer, str):
                return answer
            calls = [call if isinstance(call, dict) else call.model_dump() for call in answer["tool_calls"]]
            messages.append({"role": "assistant", "content": answer.get("text"), "tool_calls": calls})
            for call in calls:
                result = weather(**json.loads(call["function"]["arguments"]))
                messages.append({"role": "tool", "tool_call_id": call["id"], "content": result})

    def structured(self, question: str) -> Any:
        response_format = {"type": "json_schema", "json_schema": {"name": "city", "schema": SCHEMA, "strict": True}}
        return json.loads(self.lm(question, response_format=response_format)[0])

    def is_throttle(self, error: BaseException) -> bool:
        return type(error).__name__ == "LMRateLimitError"

    def is_overflow(self, error: BaseException) -> bool:
        return isinstance(error, (litellm.ContextWindowExceededError, dspy.ContextWindowExceededError))
