"""The two calls, and a whole answer told as a stream."""

from __future__ import annotations

import copy
from typing import Any
from unittest.mock import MagicMock

import pytest
from botocore.exceptions import ClientError
from hypothesis import given

from agent.bedrock.aws.calls import converse, open_stream, stream_from_answer, whole_kwargs
from agent.bedrock.aws.clients import build_runtime_client
from agent.bedrock.aws.credentials import Credentials
from agent.bedrock.aws.settings import ClientSettings
from agent.bedrock.chat import ChatStream, complete
from agent.bedrock.testing import FakeBedrock, Refusal, Reply, Text, ToolCall
from tests.response.strategies import answers

HELLO: dict[str, Any] = {
    "modelId": "anthropic.claude-3-haiku-20240307-v1:0",
    "messages": [{"role": "user", "content": [{"text": "Hi"}]}],
}
DENIED = Refusal(
    "AccessDeniedException",
    "User: arn:aws:iam::123456789012:user/x is not authorized to perform: bedrock:InvokeModelWithResponseStream on "
    "resource: arn:aws:bedrock:us-east-1::foundation-model/m because no identity-based policy allows it",
)
NO_STREAMING_TOOLS = Refusal("ValidationException", "This model doesn't support tool use in streaming mode.")


def client_of(fake: FakeBedrock) -> Any:
    keys = Credentials(aws_access_key_id="AKIDEXAMPLE", aws_secret_access_key="s")
    return build_runtime_client("us-east-1", ClientSettings(endpoint_url=fake.url, max_attempts=1), keys)


def told(completion: Any) -> dict[str, Any]:
    """The completion without what differs from call to call."""
    dump = completion.model_dump()
    dump["bedrock"]["request_id"] = None
    return {**dump, "id": "", "created": 0}


def test_the_whole_answer() -> None:
    with FakeBedrock([Reply("Hello")]) as fake:
        assert converse(client_of(fake), HELLO)["output"]["message"]["content"] == [{"text": "Hello"}]


@pytest.mark.parametrize("refusal", [DENIED, NO_STREAMING_TOOLS], ids=["no permission", "no streaming with tools"])
def test_where_streaming_is_refused_the_whole_answer_comes_as_a_stream(refusal: Refusal) -> None:
    reply = Reply(Text("Hello"), ToolCall("t", {}, id="c-1"))
    with FakeBedrock([reply, refusal, reply]) as fake:
        client = client_of(fake)
        streamed = ChatStream(open_stream(client, HELLO)).completion()
        fallen_back = ChatStream(open_stream(client, HELLO)).completion()
        assert [request.operation for request in fake.requests] == ["converse-stream", "converse-stream", "converse"]
    assert told(fallen_back) == told(streamed)


@pytest.mark.parametrize(
    "refusal",
    [
        Refusal("ThrottlingException", "Too many requests, please wait before trying again."),
        Refusal("AccessDeniedException", "You don't have access to the model with the specified model ID."),
        Refusal("ValidationException", "This model doesn't support tool use."),
    ],
)
def test_any_other_refusal_goes_on(refusal: Refusal) -> None:
    with FakeBedrock([refusal]) as fake:
        with pytest.raises(ClientError, match=refusal.code):
            open_stream(client_of(fake), HELLO)
        assert len(fake.requests) == 1


def test_a_guardrails_way_of_streaming_is_no_member_of_converse() -> None:
    guardrail = {"guardrailIdentifier": "g", "guardrailVersion": "1", "streamProcessingMode": "async"}
    kwargs = {**HELLO, "guardrailConfig": guardrail}
    before = copy.deepcopy(kwargs)
    assert whole_kwargs(kwargs)["guardrailConfig"] == {"guardrailIdentifier": "g", "guardrailVersion": "1"}
    assert whole_kwargs(HELLO) == HELLO
    assert kwargs == before
    with FakeBedrock([DENIED, Reply("Hello")]) as fake:
        client = client_of(fake)
        if "guardrailConfig" not in client.meta.service_model.shape_for("ConverseRequest").members:
            pytest.skip("this botocore knows no guardrails in Converse")
        assert list(open_stream(client, kwargs)["stream"])


def test_a_mock_is_a_client_too() -> None:
    client = MagicMock()
    client.converse_stream.return_value = {"stream": ["event"]}
    assert open_stream(client, HELLO) == {"stream": ["event"]}
    client.converse_stream.assert_called_once_with(**HELLO)


@given(answers)
def test_told_as_a_stream_an_answer_folds_into_the_same_completion(answer: dict[str, Any]) -> None:
    before = copy.deepcopy(answer)
    assert told(ChatStream(stream_from_answer(answer)).completion()) == told(complete(answer))
    assert answer == before


def test_an_answer_that_is_not_complete_is_not_told_as_complete() -> None:
    events = list(stream_from_answer({"output": {"message": {"role": "assistant", "content": [{"text": "a"}]}}}))
    assert "messageStop" not in [next(iter(event)) for event in events]


def test_blocks_that_a_stream_has_no_form_for_keep_their_name() -> None:
    unknown = {"SDK_UNKNOWN_MEMBER": {"name": "hologram"}}
    content = [{"video": {"format": "mp4"}}, unknown, {"text": "x"}]
    answer = {"output": {"message": {"role": "assistant", "content": content}}, "stopReason": "end_turn"}
    deltas = [event["contentBlockDelta"] for event in stream_from_answer(answer) if "contentBlockDelta" in event]
    assert [delta["delta"] for delta in deltas] == content
    assert [delta["contentBlockIndex"] for delta in deltas] == [0, 1, 2]
    assert ChatStream(stream_from_answer(answer)).completion().choices[0].message.content == "x"
