"""Simon Willison's llm with our plugin: `examples/llm_bedrock.py`."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from typing import Any

import llm
import openai

from .stage import MODEL, SCHEMA, Stage, example, weather

plugin = example("llm_bedrock")
os.environ["LLM_BEDROCK_MODELS"] = MODEL  # at import, which is before any test
llm.plugins.pm.register(plugin)


class Player:
    """`llm.get_model` of a model that the plugin registered."""

    tries = 3

    def __init__(self, stage: Stage) -> None:
        http = stage.sync_http()
        plugin.sync_http = lambda: http
        self.model = llm.get_model(MODEL)

    def ask(self, question: str) -> str:
        return self.model.prompt(question, stream=False).text()

    def stream(self, question: str) -> Sequence[str]:
        return list(self.model.prompt(question, stream=True))

    def use_tools(self, question: str, *, stream: bool) -> str:
        return list(self.model.chain(question, tools=[weather], stream=stream).responses())[-1].text()

    def structured(self, question: str) -> Any:
        return json.loads(self.model.prompt(question, schema=SCHEMA, stream=False).text())

    def is_throttle(self, error: BaseException) -> bool:
        return isinstance(error, openai.RateLimitError)

    def is_overflow(self, error: BaseException) -> bool:
        return isinstance(error, openai.BadRequestError) and error.code == "context_length_exceeded"
