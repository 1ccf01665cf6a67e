"""langchain-openai and LangGraph: `ChatOpenAI` with both of our HTTP clients."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import openai
from langchain.agents import create_agent
from langchain_core.exceptions import ContextOverflowError
from langchain_core.tools import tool
from langchain_openai import ChatOpenAI

from .stage import BASE_URL, MODEL, SCHEMA, Stage, weather


class Player:
    """`create_agent`, which is a graph of LangGraph's, on `ChatOpenAI`."""

    tries = 3

    def __init__(self, stage: Stage) -> None:
        self.stage = stage

    def _model(self, **options: Any) -> Any:
        return ChatOpenAI(
            model=MODEL,
            api_key="unused",
            base_url=BASE_URL,
            http_client=self.stage.sync_http(),
            http_async_client=self.stage.async_http(),
            **options,
        )

    def ask(self, question: str) -> str:
        return self._model().invoke(question).content

    def stream(self, question: str) -> Sequence[str]:
        return [chunk.content for chunk in self._model().stream(question) if chunk.content]

    def use_tools(self, question: str, *, stream: bool) -> str:
        agent = create_agent(self._model(streaming=stream), [tool(weather)])
        messages = {"messages": [("user", question)]}
        if not stream:
            return agent.invoke(messages)["messages"][-1].content
        *_, last = agent.stream(messages, stream_mode="values")
        return last["messages"][-1].content

    def structured(self, question: str) -> Any:
        schema = {"title": "City", "description": "A city.", **SCHEMA}
        return self._model().with_structured_output(schema).invoke(question)

    def is_throttle(self, error: BaseException) -> bool:
        return isinstance(error, openai.RateLimitError)

    def is_overflow(self, error: BaseException) -> bool:
        return isinstance(error, ContextOverflowError)
