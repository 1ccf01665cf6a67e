"""CountTokens: what is refused, and a number for what is accepted.

A request comes in, a refusal or `{"inputTokens": ...}` goes out. The number is an estimate (a token for every four
bytes) that is the same in every run; a test that needs another scripts it.
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Mapping
from typing import Any

from .rules import judge
from .rules.families import bare_id, family_of
from .script import Refusal

BYTES_PER_TOKEN = 4

CLIENT_TOOL_TYPES = (
    "bash_20250124",
    "custom",
    "text_editor_20250124",
    "text_editor_20250429",
    "text_editor_20250728",
)
"""The types of tools in Anthropic's own form that CountTokens takes (recorded 2025, Claude Sonnet 4)."""


def judge_count(model_id: str, body: Mapping[str, Any]) -> Refusal | None:
    """The refusal of a count whose model exists and whose shape is right."""
    is_profile = bare_id(model_id) != model_id
    if is_profile or not family_of(model_id).counts_tokens:
        return Refusal("ValidationException", "The provided model doesn't support counting tokens.")
    asked = body["input"]
    if "converse" in asked:
        return judge("count-tokens", model_id, asked["converse"])
    return _judge_native(_native_body(asked["invokeModel"]["body"]))


def count(body: Mapping[str, Any]) -> dict[str, int]:
    """The answer to a count that is accepted."""
    asked = body["input"]
    text = asked.get("converse") or _native_body(asked.get("invokeModel", {}).get("body", ""))
    return {"inputTokens": max(1, len(json.dumps(text, separators=(",", ":"))) // BYTES_PER_TOKEN)}


def _judge_native(body: Any) -> Refusal | None:
    if not isinstance(body, dict):
        return Refusal("ValidationException", "Malformed input request, please reformat your input and try again.")
    for index, tool in enumerate(body.get("tools") or ()):
        kind = tool.get("type", "custom") if isinstance(tool, dict) else tool
        if kind not in CLIENT_TOOL_TYPES:
            expected = ", ".join(f"'{name}'" for name in CLIENT_TOOL_TYPES)
            return Refusal(
                "ValidationException",
                f"tools.{index}: Input tag '{kind}' found using 'type' does not match any of the expected tags: {expected}",
            )
    return None


def _native_body(encoded: str) -> Any:
    """The request in the model's own form, None where it is no JSON."""
    try:
        return json.loads(base64.b64decode(encoded, validate=True))
    except (binascii.Error, ValueError):
        return None
