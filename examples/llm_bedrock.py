"""A plugin for `llm` (https://llm.datasette.io): models of Bedrock, over `llm`'s own OpenAI code.

llm install -e .            # a folder with this file and the entry point below
LLM_BEDROCK_MODELS=us.anthropic.claude-sonnet-4-5-20250929-v1:0 llm -m us.anthropic... "Hi"

[project.entry-points.llm]
bedrock = "llm_bedrock"
"""

from __future__ import annotations

import os
from functools import cache
from typing import Any

import llm
import openai
from llm.default_plugins.openai_models import AsyncChat, Chat

from agent.bedrock import async_http_client, http_client

BASE_URL = "http://bedrock.local/v1"
CAN = {"vision": True, "supports_schema": True, "supports_tools": True}


@cache
def sync_http() -> Any:
    """One for all models; region and credentials come from the environment."""
    return http_client()


@cache
def async_http() -> Any:
    """The same for async models."""
    return async_http_client()


class _OnBedrock:
    needs_key = None
    key_env_var = None

    def get_client(self, key: Any, *, async_: bool = False) -> Any:
        """The SDK's client, its requests answered by Bedrock."""
        if async_:
            return openai.AsyncOpenAI(api_key="unused", base_url=BASE_URL, http_client=async_http())
        return openai.OpenAI(api_key="unused", base_url=BASE_URL, http_client=sync_http())

    def __str__(self) -> str:
        return f"Bedrock: {self.model_id}"  # type: ignore[attr-defined]


class BedrockChat(_OnBedrock, Chat):
    """A model of Bedrock."""


class AsyncBedrockChat(_OnBedrock, AsyncChat):
    """A model of Bedrock, awaited."""


@llm.hookimpl
def register_models(register: Any) -> None:
    """The models that LLM_BEDROCK_MODELS names, separated by blanks."""
    for model_id in os.environ.get("LLM_BEDROCK_MODELS", "").split():
        register(BedrockChat(model_id, **CAN), AsyncBedrockChat(model_id, **CAN))
