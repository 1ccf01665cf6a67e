"""The guarded client on the wire: complete answers only, notes that travel, advice, and nothing else changed."""

from __future__ import annotations

import copy
import threading
import traceback
from typing import Any

import boto3
import pytest
from botocore.client import BaseClient
from botocore.exceptions import ClientError, ParamValidationError
from botocore.parsers import ResponseParserError

from agent.bedrock.aws import guard
from agent.bedrock.aws.clients import build_runtime_client
from agent.bedrock.aws.credentials import Credentials
from agent.bedrock.aws.guard import Call, request_id
from agent.bedrock.aws.journey import Journey, Protection
from agent.bedrock.aws.settings import ClientSettings
from agent.bedrock.errors import TruncatedResponseError, classify
from agent.bedrock.notes import CallNotes, noted, notes_of_answer
from agent.bedrock.testing import Cut, FakeBedrock, RawAnswer, Refusal, Reply

HELLO: dict[str, Any] = {
    "modelId": "anthropic.claude-3-haiku-20240307-v1:0",
    "messages": [{"role": "user", "content": [{"text": "Hi"}]}],
}
KEYS = {"aws_access_key_id": "AKIDEXAMPLE", "aws_secret_access_key": "not-a-secret"}


def guarded(fake: FakeBedrock, **settings: Any) -> Any:
    return build_runtime_client(
        "us-east-1", ClientSettings(endpoint_url=fake.url, max_attempts=1, **settings), Credentials(**KEYS)
    )


class TestCompleteness:
    @pytest.mark.parametrize(
        "broken",
        [
            RawAnswer(b""),
            RawAnswer(b"{}"),
            RawAnswer(b"<html><body>Sign in to the network</body></html>", "text/html"),
            RawAnswer(b'{"output": {"message": {"role": "assistant", "content": []}}}'),
            RawAnswer(b'{"stopReason": "end_turn"}'),
            Reply("Hello", fault=Cut(20)),
        ],
        ids=["empty", "braces", "html", "no stop reason", "no output", "cut"],
    )
    def test_a_whole_answer_that_is_not_whole_raises_with_its_request_id(self, broken: Any) -> None:
        with FakeBedrock([broken]) as fake:
            with pytest.raises(TruncatedResponseError) as raised:
                guarded(fake).converse(**HELLO)
            assert raised.value.kind == "truncated"
            assert raised.value.request_id
            assert len(fake.requests) == 1

    @pytest.mark.parametrize(
        "body",
        [
            b'{"secret": "\xff"}',
            b'["secret"]',
            b'"secret"',
            b"null",
            b'{"output": {"message": {"role": "assistant", "content": "secret"}}, "stopReason": "end_turn"}',
            b"[" * 100_000,
            b'{"output": {"message": {"role": "assistant", "content": []}}, "usage": {"inputTokens": 1e999}}',
        ],
        ids=["no text", "list", "text", "null", "content that is no list", "nested without end", "infinite number"],
    )
    @pytest.mark.parametrize("status", [200, 400])
    def test_a_body_of_another_form_is_corrupt_and_not_shown(self, body: bytes, status: int) -> None:
        with FakeBedrock([RawAnswer(body, status=status)]) as fake, pytest.raises(Exception) as raised:  # noqa: PT011
            guarded(fake).converse(**HELLO)
        assert classify(raised.value).kind in {200: ("corrupt",), 400: ("corrupt", "invalid_request")}[status]
        assert classify(raised.value).request_id
        assert raised.value.__notes__
        assert "secret" not in "".join(traceback.format_exception(raised.value))

    def test_an_exception_of_botocores_parser_knows_its_request(self) -> None:
        two = b'{"output": {"message": {"role": "assistant", "content": [{"text": "a", "toolUse": {}}]}}}'
        with FakeBedrock([RawAnswer(two)]) as fake, pytest.raises(ResponseParserError) as raised:
            guarded(fake).converse(**HELLO)
        assert classify(raised.value).request_id

    @pytest.mark.parametrize("status", [301, 302, 307])
    def test_a_redirect_says_where_to_look(self, status: int) -> None:
        there = RawAnswer(b"<html>", status=status, headers={"Location": "https://sign-in.example"})
        with FakeBedrock([there]) as fake, pytest.raises(ClientError) as raised:
            guarded(fake).converse(**HELLO)
        assert classify(raised.value).kind == "corrupt"
        assert "redirect" in classify(raised.value).advice

    def test_an_answer_that_is_whole_passes_unchanged(self) -> None:
        with FakeBedrock([Reply("Hello"), Reply("Hello")]) as fake:
            plain = boto3.client("bedrock-runtime", **fake.client_options())
            expected, got = plain.converse(**HELLO), guarded(fake).converse(**HELLO)
        for answer in (expected, got):
            answer.pop("ResponseMetadata")
        assert got == expected

    def test_the_call_after_a_broken_one_works(self) -> None:
        with FakeBedrock([RawAnswer(b"{}"), Reply("Hello")]) as fake:
            client = guarded(fake)
            with pytest.raises(TruncatedResponseError):
                client.converse(**HELLO)
            assert client.converse(**HELLO)["stopReason"] == "end_turn"


class TestNotes:
    @pytest.mark.parametrize("method", ["converse", "converse_stream"])
    def test_those_of_the_request_come_back_on_the_answer(self, method: str) -> None:
        notes = CallNotes(model="m", tool_names={"alias": "the.name"})
        with FakeBedrock([Reply("Hello")]) as fake:
            call = {**HELLO, "messages": noted(HELLO["messages"], notes)}
            answer = getattr(guarded(fake), method)(**call)
            assert notes_of_answer(answer) == notes
            assert answer["ResponseMetadata"]["HTTPStatusCode"] == 200
            list(answer.get("stream", ()))

    def test_without_notes_the_answer_carries_none(self) -> None:
        with FakeBedrock([Reply("Hello")]) as fake:
            assert "BedrockAdapter" not in guarded(fake).converse(**HELLO)["ResponseMetadata"]


class TestErrors:
    def test_the_services_are_the_clients_own_with_advice_beside_them(self) -> None:
        refusal = Refusal("ValidationException", "The provided model identifier is invalid.")
        with FakeBedrock([refusal]) as fake:
            client = guarded(fake)
            with pytest.raises(client.exceptions.ValidationException) as raised:
                client.converse(**HELLO)
        assert raised.value.response["Error"]["Message"] == "The provided model identifier is invalid."
        assert str(raised.value).endswith(": The provided model identifier is invalid.")
        assert "check the model id" in raised.value.__notes__[0]

    def test_botocores_validation_stays(self) -> None:
        with FakeBedrock() as fake:
            client = guarded(fake)
            with pytest.raises(ParamValidationError, match="temprature"):
                client.converse(**HELLO, temprature=1)
            with pytest.raises(TypeError, match="only accepts keyword arguments"):
                client.converse("m")
            assert not fake.requests

    def test_the_parameters_of_the_caller_are_not_changed(self) -> None:
        call = copy.deepcopy(HELLO)
        with FakeBedrock() as fake:
            guarded(fake).converse(**call)
        assert call == HELLO


class TestTheCallersSession:
    def test_only_what_we_build_is_guarded(self) -> None:
        session = boto3.Session(**KEYS)
        before = session.client("bedrock-runtime", region_name="us-east-1")
        ours: Any = build_runtime_client("us-east-1", ClientSettings(), Credentials(session=session))
        after = session.client("bedrock-runtime", region_name="us-east-1")
        assert hasattr(ours.converse, "__wrapped__")
        assert not hasattr(before.converse, "__wrapped__")
        assert not hasattr(after.converse, "__wrapped__")

    def test_a_client_that_another_thread_builds_meanwhile_is_not_guarded(self) -> None:
        session = boto3.Session(**KEYS)
        found: list[Any] = []

        def build() -> None:
            found.append(session.client("bedrock-runtime", region_name="us-east-1"))

        with guard.guarding(session.events):
            thread = threading.Thread(target=build)
            thread.start()
            thread.join(10)
            inside = session.client("bedrock-runtime", region_name="us-east-1")
        assert not hasattr(found[0].converse, "__wrapped__")
        assert hasattr(inside.converse, "__wrapped__")

    def test_handlers_of_the_callers_session_still_fire(self) -> None:
        session = boto3.Session(**KEYS)
        seen: list[str] = []
        session.events.register("before-send.bedrock-runtime.Converse", lambda request, **_: seen.append(request.url))
        with FakeBedrock() as fake:
            client: Any = build_runtime_client(
                "us-east-1", ClientSettings(endpoint_url=fake.url), Credentials(session=session)
            )
            client.converse(**HELLO)
        assert len(seen) == 1


def test_every_call_goes_botocores_own_way(monkeypatch: pytest.MonkeyPatch) -> None:
    """Instrumentation (OpenTelemetry) wraps BaseClient._make_api_call."""
    operations = []
    genuine = BaseClient._make_api_call

    def traced(self: Any, operation: str, parameters: Any) -> Any:
        operations.append(operation)
        return genuine(self, operation, parameters)

    monkeypatch.setattr(BaseClient, "_make_api_call", traced)
    with FakeBedrock() as fake:
        client = guarded(fake)
        client.converse(**HELLO)
        list(client.converse_stream(**HELLO)["stream"])
    assert operations == ["Converse", "ConverseStream"]


def test_layers_are_read_from_the_outside_in() -> None:
    said: list[str] = []

    def layer(name: str) -> guard.Layer:
        def run(call: Call, send: guard.Send) -> guard.Answer:
            said.append(f"{name} in")
            answer = send(call)
            said.append(f"{name} out")
            return answer

        return run

    send = guard._stacked((layer("outer"), layer("inner")), lambda call: {"asked": call.operation})
    assert send(Call(None, "Converse", {}, Journey("Converse", Protection()))) == {"asked": "Converse"}
    assert said == ["outer in", "inner in", "inner out", "outer out"]


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        ({"ResponseMetadata": {"RequestId": "r-1"}}, "r-1"),
        ({"ResponseMetadata": {"HTTPHeaders": {"x-amzn-requestid": "r-2"}}}, "r-2"),
        ({"ResponseMetadata": {}}, None),
        ({}, None),
    ],
)
def test_the_request_id_of_an_answer(answer: dict[str, Any], expected: str | None) -> None:
    assert request_id(answer) == expected
