"""Bedrock as a model class of mini-swe-agent, in process; its answers are streamed.

mini --model-class mini_swe_agent_bedrock.BedrockModel -m us.anthropic.claude-sonnet-4-5-20250929-v1:0

This folder has to be on PYTHONPATH. Region and credentials come from the environment, as boto3 has them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import litellm
from litellm_provider import PROVIDER, BedrockLLM
from minisweagent.models.litellm_model import LitellmModel


def say_nothing(_: str) -> None:
    """What becomes of a piece of text where nobody wants to see it."""


class BedrockModel(LitellmModel):
    """`LitellmModel` on Bedrock; `on_text` is called with every piece of text as it arrives."""

    def __init__(self, *, model_name: str, on_text: Callable[[str], None] = say_nothing, **options: Any) -> None:
        options.setdefault("cost_tracking", "ignore_errors")
        super().__init__(model_name=f"{PROVIDER}/{model_name.removeprefix(f'{PROVIDER}/')}", **options)
        self._on_text = on_text
        if not any(entry["provider"] == PROVIDER for entry in litellm.custom_provider_map):
            litellm.custom_provider_map.append({"provider": PROVIDER, "custom_handler": BedrockLLM()})

    def _query(self, messages: list[Any], **options: Any) -> Any:
        chunks = []
        for chunk in super()._query(messages, stream=True, **options):
            chunks.append(chunk)
            self._on_text(chunk.choices[0].delta.content or "")
        return litellm.stream_chunk_builder(chunks, messages=messages)
