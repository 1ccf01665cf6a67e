"""mini-swe-agent through LiteLLM with our provider: it writes its options down, which no client of the SDK survives."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

import litellm

from .litellm_provider import provide
from .stage import MODEL, Stage

os.environ["MSWEA_MODEL_RETRY_STOP_AFTER_ATTEMPT"] = "2"

from minisweagent.agents.default import DefaultAgent
from minisweagent.environments.local import LocalEnvironment
from minisweagent.exceptions import FormatError
from minisweagent.models.litellm_model import LitellmModel


class Player:
    """`DefaultAgent` on `LitellmModel`; its one tool is a shell."""

    carries_calls = True
    tries = 2
    skips = {"stream": "it never streams", "structured": "it asks for commands only"}  # noqa: RUF012

    def __init__(self, stage: Stage) -> None:
        provide(stage)
        self.model = LitellmModel(model_name=f"converse/{MODEL}", cost_tracking="ignore_errors")

    def ask(self, question: str) -> str:
        try:
            return self.model.query([{"role": "user", "content": question}])["content"]
        except FormatError as refusal:  # it wants a command; the answer is there all the same
            return refusal.messages[0]["extra"]["response"]["choices"][0]["message"]["content"]

    def stream(self, question: str) -> Sequence[str]:
        raise NotImplementedError

    def use_tools(self, question: str, *, stream: bool) -> str:
        agent = DefaultAgent(
            self.model, LocalEnvironment(), system_template="You work in a shell.", instance_template="{{task}}"
        )
        return agent.run(question)["submission"].strip()

    def structured(self, question: str) -> Any:
        raise NotImplementedError

    def is_throttle(self, error: BaseException) -> bool:
        return isinstance(error, litellm.RateLimitError)

    def is_overflow(self, error: BaseException) -> bool:
        return isinstance(error, litellm.ContextWindowExceededError)
