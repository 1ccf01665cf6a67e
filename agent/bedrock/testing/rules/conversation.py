"""What the service refuses in the course of a conversation: its messages, their order, and the pairing of tools.

Each rule takes a case and says the service's own words, or None. The threads and recordings that show the words stand
in the docstrings.
"""

from __future__ import annotations

import re

from .case import MEDIA, Case, Turn
from .words import from_model

PLAIN_ID = re.compile(r"[a-zA-Z0-9_-]+")
"""The ids of tool calls that Anthropic's models take."""


def no_messages(case: Case) -> str | None:
    """dify#12340 has the words; a conversation without messages starts with no user message either."""
    if not case.messages and not case.is_prompt:
        return "A conversation must start with a user message. Try again with a conversation that starts with a user message."
    return None


def empty_content(case: Case) -> str | None:
    """pi#3443, archestra#4220."""
    for number, message in enumerate(case.messages):
        if not message["content"]:
            return (
                f"The content field in the Message object at messages.{number} is empty. "
                "Add a ContentBlock object to the content field and try again."
            )
    return None


def blank_text(case: Case) -> str | None:
    """bedrock-engineer#8, langchain-aws#403; not inside tool results (hermes-agent#55092).

    A line break beside a document was accepted (recorded 2025), so that white space beside media stays unjudged.
    """
    beside_media = {block.message for block in case.of(*MEDIA)}
    for block in case.of("text"):
        if not block.value.strip() and not (block.value and block.message in beside_media):
            return f"The text field in the ContentBlock object at {block.at} is blank. Add text to the text field, and try again."
    return None


def blank_system(case: Case) -> str | None:
    """White space only; an empty text is refused by the shape already."""
    for index, block in enumerate(case.system):
        if "text" in block and not block["text"].strip():
            return (
                f"The text field in the SystemContentBlock object at system.{index} is blank. "
                "Add text to the text field, and try again."
            )
    return None


def system_role(case: Case) -> str | None:
    """litellm#32831 (Haiku 4.5, Sonnet 4.6), bifrost#3945 (where the role is known: never first)."""
    for number, message in enumerate(case.messages):
        if message["role"] == "system" and (number == 0 or not case.family.system_role):
            return from_model(
                f'messages.{number}: Unexpected role "system". The Messages API accepts a top-level `system` parameter.'
            )
    return None


def user_first(case: Case) -> str | None:
    """dify#12340; which families mind was checked in July 2026 by pydantic-ai."""
    if case.family.user_first and case.turns and case.turns[0].role == "assistant":
        return "A conversation must start with a user message. Try again with a conversation that starts with a user message."
    return None


def prefill(case: Case) -> str | None:
    """hermes-agent#101401, in the words of ConverseStream; reasoning alone in a turn counts as prefill from 5 on (#105780)."""
    if case.family.prefill or not case.turns:
        return None
    lone = any(turn.role == "assistant" and _is_reasoning_only(turn) for turn in case.turns)
    if case.turns[-1].role == "assistant" or (lone and not case.family.lone_reasoning):
        return from_model(
            "This model does not support assistant message prefill. The conversation must end with a user message."
        )
    return None


def trailing_space_in_prefill(case: Case) -> str | None:
    """Anthropic's rule for the families that take a prefill."""
    last = case.blocks[-1] if case.blocks else None
    text = last.value if last is not None and last.role == "assistant" and last.kind == "text" else ""
    if case.family.is_claude and text != text.rstrip():
        return from_model("messages: final assistant content cannot end with trailing whitespace")
    return None


def tool_config_missing(case: Case) -> str | None:
    """pentagi#160, dify#17545."""
    if case.of("toolUse", "toolResult") and not case.tools:
        return "The toolConfig field must be defined when using toolUse and toolResult content blocks."
    return None


def duplicate_calls(case: Case) -> str | None:
    """litellm#20049; ids may come again in another turn (Kimi numbers them from 0)."""
    for turn in case.turns:
        repeated = _repeated([block.value["toolUseId"] for block in turn.of("toolUse")])
        if repeated:
            return f"The toolUse blocks at {turn.at} contain duplicate Ids: {', '.join(repeated)}"
    return None


def duplicate_results(case: Case) -> str | None:
    """litellm#20047."""
    for turn in case.turns:
        repeated = _repeated([block.value["toolUseId"] for block in turn.of("toolResult")])
        if repeated:
            return f"The toolResult blocks at {turn.at} contain duplicate Ids: {', '.join(repeated)}"
    return None


def surplus_results(case: Case) -> str | None:
    """harness-sdk#1435, dify-official-plugins#765, Curie#16."""
    for before, turn in _pairs(case):
        if turn.role == "user" and len(turn.of("toolResult")) > len(before.calls() if before else ()):
            return (
                f"The number of toolResult blocks at {turn.at} exceeds the number of toolUse blocks of previous turn."
            )
    return None


def unanswered_calls(case: Case) -> str | None:
    """zeroclaw#1476, hermes-agent#108584; calls in the last turn are prefill and another rule's business."""
    for before, turn in _pairs(case):
        if before is None or before.role != "assistant":
            continue
        answered = {block.value["toolUseId"] for block in turn.of("toolResult")}
        missing = [call.value["toolUseId"] for call in before.calls() if call.value["toolUseId"] not in answered]
        if missing:
            return f"Expected toolResult blocks at {turn.at} for the following Ids: {', '.join(missing)}"
    return None


def last_calls_unanswered(case: Case) -> str | None:
    """A conversation cannot end on a call (Anthropic's words, crewAI#4766)."""
    for turn in case.turns[-1:]:
        if turn.role == "assistant" and turn.calls():
            return from_model(_calls_without_results(turn))
    return None


def results_first(case: Case) -> str | None:
    """crewAI#4766; a document that is no PDF is moved to the front by the service (pydantic-ai#6081)."""
    if not case.family.results_first:
        return None
    for before, turn in _pairs(case):
        results = turn.of("toolResult")
        if before is None or turn.role != "user" or not results:
            continue
        foremost = next(block for block in turn.blocks if block.kind != "cachePoint")
        moved = any(block.value.get("format") != "pdf" for block in turn.of("document"))
        if foremost.kind != "toolResult" or moved:
            return from_model(_calls_without_results(before))
    return None


def results_alone(case: Case) -> str | None:
    """langchain-aws#141 (Mistral), pydantic-ai (Llama, Palmyra)."""
    if not case.family.results_alone:
        return None
    for turn in case.turns:
        others = [block for block in turn.blocks if block.kind not in ("toolResult", "cachePoint")]
        if turn.role == "user" and turn.of("toolResult") and others:
            return f"{turn.at}: Conversation blocks and tool result blocks cannot be provided in the same turn."
    return None


def foreign_ids(case: Case) -> str | None:
    """Anthropic's pattern is narrower than the service's: Kimi's `functions.look:0` does not fit it."""
    if not case.family.is_claude:
        return None
    for block in case.of("toolUse"):
        if not PLAIN_ID.fullmatch(block.value["toolUseId"]):
            return from_model(f"{block.at}.tool_use.id: String should match pattern '^[a-zA-Z0-9_-]+$'")
    return None


def empty_error_result(case: Case) -> str | None:
    """sample-multi-agent-orchestration-chat-on-agentcore#15."""
    for block in case.of("toolResult"):
        if block.value.get("status") == "error" and not block.value.get("content"):
            return f"The content field at {block.at}.toolResult cannot be empty when status value is error."
    return None


def empty_result(case: Case) -> str | None:
    """stdapi-ai#226 (Nova), harness-sdk#2122 (Nemotron); one empty text is accepted. The words are not recorded."""
    if case.family.empty_results:
        return None
    for block in case.of("toolResult"):
        if not block.value.get("content"):
            return from_model(
                f"Malformed input request: #/messages/{block.message}/content/{block.index}/toolResult/content: "
                "expected minimum item count: 1, found: 0, please reformat your input and try again."
            )
    return None


def wrong_side(case: Case) -> str | None:
    """Tool calls are the assistant's, results and media the user's (the results of the service's own tools aside)."""
    served = {call.value["toolUseId"] for call in case.of("toolUse") if call.value.get("type") == "server_tool_use"}
    for block in case.of("toolUse", "toolResult"):
        if block.kind == "toolUse" and block.role == "user":
            return f"The toolUse block at {block.at} is not allowed in a message with the role user."
        if block.kind == "toolResult" and block.role == "assistant" and block.value["toolUseId"] not in served:
            return f"The toolResult block at {block.at} is not allowed in a message with the role assistant."
    return None


RULES = (
    no_messages,
    empty_content,
    blank_text,
    blank_system,
    system_role,
    user_first,
    wrong_side,
    tool_config_missing,
    duplicate_calls,
    duplicate_results,
    surplus_results,
    unanswered_calls,
    empty_error_result,
    results_alone,
    prefill,
    trailing_space_in_prefill,
    last_calls_unanswered,
    results_first,
    foreign_ids,
    empty_result,
)


def _pairs(case: Case) -> list[tuple[Turn | None, Turn]]:
    """Every turn with the one before it."""
    return list(zip([None, *case.turns], case.turns, strict=False))


def _is_reasoning_only(turn: Turn) -> bool:
    return bool(turn.blocks) and all(block.kind == "reasoningContent" for block in turn.blocks)


def _repeated(ids: list[str]) -> list[str]:
    return sorted({one for one in ids if ids.count(one) > 1})


def _calls_without_results(turn: Turn) -> str:
    ids = ", ".join(call.value["toolUseId"] for call in turn.calls())
    return (
        f"messages.{turn.message}: `tool_use` ids were found without `tool_result` blocks immediately after: {ids}. "
        "Each `tool_use` block must have a corresponding `tool_result` block in the next message."
    )
