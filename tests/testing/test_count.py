"""CountTokens: who is counted, and what is said to the others."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from botocore.exceptions import ClientError

from .conftest import ask, newest_model

if TYPE_CHECKING:
    from agent.bedrock.testing import FakeBedrock

pytestmark = newest_model

SONNET_4 = "anthropic.claude-sonnet-4-20250514-v1:0"
TALK = {"converse": {"messages": ask()["messages"]}}


def native(**members: Any) -> dict[str, Any]:
    return {"invokeModel": {"body": json.dumps({"messages": [], **members}).encode()}}


def refusal(client: Any, model: str, question: dict[str, Any]) -> str:
    with pytest.raises(ClientError) as caught:
        client.count_tokens(modelId=model, input=question)
    assert caught.value.response["Error"]["Code"] == "ValidationException"
    return str(caught.value.response["Error"]["Message"])


def test_the_same_question_has_the_same_number_of_tokens(client: Any) -> None:
    first, second = (client.count_tokens(modelId=SONNET_4, input=TALK)["inputTokens"] for _ in range(2))
    assert first == second > 0


def test_more_text_has_more_tokens(client: Any) -> None:
    long = {"converse": {"messages": ask(text="word " * 100)["messages"]}}
    count = client.count_tokens(modelId=SONNET_4, input=long)["inputTokens"]
    assert count > client.count_tokens(modelId=SONNET_4, input=TALK)["inputTokens"]


def test_requests_in_the_models_own_form_are_counted(client: Any) -> None:
    assert client.count_tokens(modelId=SONNET_4, input=native(system="Be brief."))["inputTokens"] > 0


@pytest.mark.parametrize(
    "model",
    [
        f"us.{SONNET_4}",
        "amazon.nova-lite-v1:0",
        "anthropic.claude-opus-4-7",
        "anthropic.claude-sonnet-5",
    ],
)
def test_profiles_other_families_and_the_newest_are_not_counted(client: Any, model: str) -> None:
    assert refusal(client, model, TALK) == "The provided model doesn't support counting tokens."


def test_an_unknown_model_is_invalid(client: Any) -> None:
    assert refusal(client, "does-not-exist-model-v1:0", TALK) == "The provided model identifier is invalid."


def test_tools_of_the_service_are_refused_in_its_words(client: Any) -> None:
    tools = [{"type": "web_search_20250305", "name": "web_search"}]
    assert refusal(client, SONNET_4, native(tools=tools)) == (
        "tools.0: Input tag 'web_search_20250305' found using 'type' does not match any of the expected tags: "
        "'bash_20250124', 'custom', 'text_editor_20250124', 'text_editor_20250429', 'text_editor_20250728'"
    )


def test_a_conversation_that_converse_would_refuse_is_refused(client: Any) -> None:
    blank = {"converse": {"messages": [{"role": "user", "content": [{"text": " "}]}]}}
    assert "is blank" in refusal(client, SONNET_4, blank)


def test_a_native_body_that_is_no_json_is_refused(client: Any) -> None:
    assert "Malformed input request" in refusal(client, SONNET_4, {"invokeModel": {"body": b"nonsense"}})


def test_counting_takes_nothing_from_the_script(fake: FakeBedrock, client: Any) -> None:
    fake.queue("the answer")
    client.count_tokens(modelId=SONNET_4, input=TALK)
    assert client.converse(**ask())["output"]["message"]["content"] == [{"text": "the answer"}]
