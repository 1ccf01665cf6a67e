"""Strands: an agent on our model class, derived from its own, as its type checks want it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import strands
from pydantic import BaseModel
from strands.types.exceptions import ContextWindowOverflowException, ModelThrottledException

from agent.bedrock import AsyncBedrock
from agent.bedrock.faces.adapters import StrandsModel

from .stage import KEYS, MODEL, Stage
from .stage import weather as weather_of


class City(BaseModel):
    """A city."""

    name: str


class Model(StrandsModel, strands.models.Model):
    """A model of Strands's."""


@strands.tool
def weather(city: str) -> str:
    """The weather of a city."""
    return weather_of(city)


class Player:
    """`strands.Agent`."""

    tries = 6
    always_streams = True

    def __init__(self, stage: Stage) -> None:
        bedrock = AsyncBedrock(region="us-east-1", endpoint_url=stage.fake.url, max_attempts=1, **KEYS)
        self.model = Model(bedrock, model_id=MODEL)

    def agent(self, **options: Any) -> strands.Agent:
        """An agent that prints nothing."""
        return strands.Agent(model=self.model, callback_handler=None, **options)

    def ask(self, question: str) -> str:
        return str(self.agent()(question)).strip()

    def stream(self, question: str) -> Sequence[str]:
        pieces: list[str] = []
        strands.Agent(model=self.model, callback_handler=lambda **told: pieces.append(told.get("data", "")))(question)
        return [piece for piece in pieces if piece]

    def use_tools(self, question: str, *, stream: bool) -> str:
        return str(self.agent(tools=[weather])(question)).strip()

    def structured(self, question: str) -> Any:
        return self.agent()(question, structured_output_model=City).structured_output

    def is_throttle(self, error: BaseException) -> bool:
        return isinstance(error, ModelThrottledException)

    def is_overflow(self, error: BaseException) -> bool:
        return isinstance(error, ContextWindowOverflowException)
