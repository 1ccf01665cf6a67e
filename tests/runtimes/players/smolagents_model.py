"""smolagents with a model class of ours, which tells calls and results as such: `examples/smolagents_bedrock.py`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .smolagents_agent import Player as Plain
from .stage import MODEL, example

if TYPE_CHECKING:
    from .stage import Stage


class Player(Plain):
    """`ToolCallingAgent` on `BedrockModel`."""

    results_are_together = True

    def __init__(self, stage: Stage) -> None:
        self.model = example("smolagents_bedrock").BedrockModel(MODEL, http=stage.sync_http())
