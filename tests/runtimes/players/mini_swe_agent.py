"""mini-swe-agent through LiteLLM with our provider: it writes its options down, which no client of the SDK survives."""

from __future__ import annotations

import json
from typing import Any

import litellm
from minisweagent.agents.default import DefaultAgent
from minisweagent.environments.local import LocalEnvironment
from minisweagent.exceptions import FormatError
from minisweagent.models.litellm_model import LitellmModel
from minisweagent.models.litellm_textbased_model import LitellmTextbasedModel

from .litellm_provider import provide
from .stage import MODEL, SCHEMA, Stage


class Player:
    """`DefaultAgent` on `LitellmModel`; its one tool is a shell."""

    tries = 10

    def __init__(self, stage: Stage) -> None:
        provide(stage)
        self.options: dict[str, Any] = {"model_name": f"converse/{MODEL}", "cost_tracking": "ignore_errors"}
        self.model: Any = LitellmModel(**self.options)

    def ask(self, question: str) -> str:
        try:
            return self.model.query([{"role": "user", "content": question}])["content"]
        except FormatError as refusal:  # it wants a command; the answer is there all the same
            return refusal.messages[0]["extra"]["response"]["choices"][0]["message"]["content"]

    def use_tools(self, question: str, *, stream: bool) -> str:
        agent = DefaultAgent(
            self.model, LocalEnvironment(), system_template="You work in a shell.", instance_template="{{task}}"
        )
        return agent.run(question)["submission"].strip()

    def structured(self, question: str) -> Any:
        """By `model_kwargs`, with the model class that takes its commands out of the text; here it is the object."""
        response_format = {"type": "json_schema", "json_schema": {"name": "city", "schema": SCHEMA, "strict": True}}
        options = {**self.options, "model_kwargs": {**self.options.get("model_kwargs", {})}}
        options["model_kwargs"]["response_format"] = response_format
        model = LitellmTextbasedModel(**options, action_regex=r"(\{.*\})")
        [action] = model.query([{"role": "user", "content": question}])["extra"]["actions"]
        return json.loads(action["command"])

    def is_throttle(self, error: BaseException) -> bool:
        return isinstance(error, litellm.RateLimitError)

    def is_overflow(self, error: BaseException) -> bool:
        return isinstance(error, litellm.ContextWindowExceededError)
