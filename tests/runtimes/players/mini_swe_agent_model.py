"""mini-swe-agent with a model class of ours, which streams: `examples/mini_swe_agent_bedrock.py`."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

from .mini_swe_agent import Player as Whole
from .stage import EXAMPLES, MODEL

if TYPE_CHECKING:
    from .stage import Stage

sys.path.append(str(EXAMPLES))

from mini_swe_agent_bedrock import BedrockModel


class Player(Whole):
    """`DefaultAgent` on `BedrockModel`."""

    def __init__(self, stage: Stage) -> None:
        super().__init__(stage)
        self.pieces: list[str] = []
        self.streaming = BedrockModel(model_name=MODEL, on_text=self.pieces.append)

    def stream(self, question: str) -> Sequence[str]:
        self.model = self.streaming
        answer = self.ask(question)
        assert answer == "".join(self.pieces)
        return [piece for piece in self.pieces if piece]

    def use_tools(self, question: str, *, stream: bool) -> str:
        if stream:
            self.model = self.streaming
        return super().use_tools(question, stream=stream)
