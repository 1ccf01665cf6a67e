"""instructor, patched onto an SDK client over ours."""

from __future__ import annotations

from typing import Any

import instructor
import openai
from pydantic import BaseModel

from .openai_sdk import Player as Sdk
from .stage import BASE_URL, MODEL, Stage


class City(BaseModel):
    """A city."""

    name: str


class Player(Sdk):
    """`instructor.from_openai` for what it is made for; it leaves the rest to the SDK."""

    def __init__(self, stage: Stage) -> None:
        super().__init__(stage)
        self.stage = stage
        self.tries = 3

    def structured(self, question: str) -> Any:
        modes = (instructor.Mode.TOOLS, instructor.Mode.JSON, instructor.Mode.JSON_SCHEMA, instructor.Mode.MD_JSON)
        first, *others = [self._structured(question, mode).model_dump() for mode in modes]
        assert others == [first] * 3
        return first

    def _structured(self, question: str, mode: Any) -> Any:
        client = openai.OpenAI(api_key="unused", base_url=BASE_URL, http_client=self.stage.sync_http())
        patched: Any = instructor.from_openai(client, mode=mode)
        messages = [{"role": "user", "content": question}]
        return patched.chat.completions.create(model=MODEL, messages=messages, response_model=City)
