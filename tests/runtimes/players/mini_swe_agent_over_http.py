"""mini-swe-agent with the address of the server, as its YAML files have it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from minisweagent.models.litellm_model import LitellmModel

from .mini_swe_agent import Player as InProcess
from .stage import MODEL

if TYPE_CHECKING:
    from .stage import Stage


class Player(InProcess):
    """`DefaultAgent` on `LitellmModel`, over HTTP."""

    tries = 30  # 3 of the SDK's in each of 10 of its own

    def __init__(self, stage: Stage) -> None:
        self.options = {
            "model_name": f"openai/{MODEL}",
            "model_kwargs": {"api_base": stage.address(), "api_key": "unused"},
            "cost_tracking": "ignore_errors",
        }
        self.model = LitellmModel(**self.options)
