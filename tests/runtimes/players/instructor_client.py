"""instructor, patched onto an SDK client over ours; what asks for no object goes through it all the same."""

from __future__ import annotations

from typing import Any

import instructor
import openai
from openai.lib.streaming.chat import ChatCompletionStreamState
from pydantic import BaseModel

from .openai_sdk import Player as Sdk
from .stage import BASE_URL, MODEL, WEATHER, Stage


class City(BaseModel):
    """A city."""

    name: str


class Player(Sdk):
    """`instructor.from_openai`."""

    def __init__(self, stage: Stage) -> None:
        super().__init__(stage)
        self.stage = stage

    def patched(self, mode: Any = instructor.Mode.TOOLS) -> Any:
        """A client of instructor's."""
        http = self.stage.sync_http()
        return instructor.from_openai(openai.OpenAI(api_key="unused", base_url=BASE_URL, http_client=http), mode=mode)

    def _create(self, messages: list[Any], **options: Any) -> Any:
        return self.patched().chat.completions.create(model=MODEL, messages=messages, response_model=None, **options)

    def ask(self, question: str) -> str:
        return self._create([{"role": "user", "content": question}]).choices[0].message.content

    def stream(self, question: str) -> list[str]:
        stream = self._create([{"role": "user", "content": question}], stream=True)
        return [chunk.choices[0].delta.content for chunk in stream if chunk.choices[0].delta.content]

    def _turn(self, messages: list[Any], *, stream: bool) -> Any:
        if not stream:
            return self._create(messages, tools=[WEATHER]).choices[0].message
        state: Any = ChatCompletionStreamState()
        for chunk in self._create(messages, tools=[WEATHER], stream=True):
            state.handle_chunk(chunk)
        return state.get_final_completion().choices[0].message

    def structured(self, question: str) -> Any:
        modes = (instructor.Mode.TOOLS, instructor.Mode.JSON, instructor.Mode.JSON_SCHEMA, instructor.Mode.MD_JSON)
        first, *others = [self._structured(question, mode).model_dump() for mode in modes]
        assert others == [first] * 3
        return first

    def _structured(self, question: str, mode: Any) -> Any:
        messages = [{"role": "user", "content": question}]
        return self.patched(mode).chat.completions.create(model=MODEL, messages=messages, response_model=City)
