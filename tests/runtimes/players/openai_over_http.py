"""The openai SDK over the server, for what can only take an address."""

from __future__ import annotations

from typing import TYPE_CHECKING

import openai

from .openai_sdk import Player as Sdk

if TYPE_CHECKING:
    from .stage import Stage


class Player(Sdk):
    """`openai.OpenAI` with the server's address."""

    def __init__(self, stage: Stage) -> None:
        self.client = openai.OpenAI(api_key="unused", base_url=stage.address())
