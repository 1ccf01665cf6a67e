"""LiteLLM with our provider: `examples/litellm_provider.py`."""

from __future__ import annotations

from typing import Any

import litellm

from .litellm_calls import Player as Calls
from .stage import KEYS, MODEL, Stage, example


def provide(stage: Stage) -> None:
    """Make the provider known to LiteLLM."""
    handler = example("litellm_provider").BedrockLLM(
        region="us-east-1", endpoint_url=stage.fake.url, max_attempts=1, **KEYS
    )
    litellm.custom_provider_map = [{"provider": "converse", "custom_handler": handler}]


class Player(Calls):
    """`litellm.completion` with a model of the provider."""

    tries = 1

    def __init__(self, stage: Stage) -> None:
        super().__init__(stage)
        provide(stage)

    def _complete(self, messages: list[Any], **options: Any) -> Any:
        return litellm.completion(model=f"converse/{MODEL}", messages=messages, **options)
