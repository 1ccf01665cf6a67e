"""DSPy through LiteLLM with our provider: it copies its models, which no client of the SDK survives."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import dspy
import litellm

from .litellm_provider import provide
from .stage import MODEL, SCHEMA, WEATHER, Stage, weather


class Loop(dspy.Module):
    """A program that calls tools until there is an answer."""

    def __init__(self, lm: Any) -> None:
        super().__init__()
        self.lm = lm

    def forward(self, question: str) -> Any:
        messages: list[Any] = [{"role": "user", "content": question}]
        while True:
            [answer] = self.lm(messages=messages, tools=[WEATHER])
            if isinstance(answer, str):
                return dspy.Prediction(answer=answer)
            calls = [call if isinstance(call, dict) else call.model_dump() for call in answer["tool_calls"]]
            messages.append({"role": "assistant", "content": answer.get("text"), "tool_calls": calls})
            for call in calls:
                result = weather(**json.loads(call["function"]["arguments"]))
                messages.append({"role": "tool", "tool_call_id": call["id"], "content": result})


class Player:
    """`dspy.LM` with a model of the provider, and programs on it, streamed by `dspy.streamify`."""

    tries = 4

    def __init__(self, stage: Stage) -> None:
        provide(stage)
        self.lm = dspy.LM(f"converse/{MODEL}", cache=False)

    def ask(self, question: str) -> str:
        return self.lm.copy()(question)[0]

    def stream(self, question: str) -> Sequence[str]:
        listener = dspy.streaming.StreamListener(signature_field_name="answer")
        program = dspy.streamify(dspy.Predict("question -> answer"), stream_listeners=[listener], async_streaming=False)
        with dspy.context(lm=self.lm):
            told = list(program(question=question))
        pieces = [piece.chunk for piece in told if isinstance(piece, dspy.streaming.StreamResponse)]
        assert told[-1].answer == "".join(pieces).strip()
        return pieces

    def use_tools(self, question: str, *, stream: bool) -> str:
        if not stream:
            return Loop(self.lm)(question=question).answer
        *_, last = dspy.streamify(Loop(self.lm), async_streaming=False)(question=question)
        return last.answer

    def structured(self, question: str) -> Any:
        response_format = {"type": "json_schema", "json_schema": {"name": "city", "schema": SCHEMA, "strict": True}}
        return json.loads(self.lm(question, response_format=response_format)[0])

    def is_throttle(self, error: BaseException) -> bool:
        """Whatever an async stream raises, LiteLLM wraps once more; DSPy takes that for trouble of the server's."""
        wrapped = "MidStreamFallbackError: litellm.RateLimitError" in str(error)
        return type(error).__name__ == ("LMServerError" if wrapped else "LMRateLimitError")

    def is_overflow(self, error: BaseException) -> bool:
        return isinstance(error, (litellm.ContextWindowExceededError, dspy.ContextWindowExceededError))
