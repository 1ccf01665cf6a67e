"""Whole answers parsed once: what botocore's parser makes of them, whatever they are."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Any

import botocore.session
import pytest
from botocore import parsers
from botocore.awsrequest import AWSResponse
from botocore.config import Config
from hypothesis import given
from hypothesis import strategies as st

from agent.bedrock.aws.answers import parse_answers_once

from .guarded import HELLO, newest_model

HEADERS = {"content-type": "application/json", "x-amzn-RequestId": "11111111-2222"}


class Body:
    """A body as urllib3 has it."""

    def __init__(self, data: bytes) -> None:
        self._data = data

    def stream(self, **_: Any) -> list[bytes]:
        return [self._data]


class Client:
    """A client whose calls are answered with a body, through all of botocore but the wire."""

    def __init__(self, *, quick: bool) -> None:
        session = botocore.session.Session()
        session.set_credentials("AKIDEXAMPLE", "not-a-secret")
        config = Config(retries={"total_max_attempts": 1})
        self.client = session.create_client("bedrock-runtime", region_name="us-east-1", config=config)
        self.client.meta.events.register("before-send", self._answer)
        if quick:
            parse_answers_once(self.client)
            parse_answers_once(self.client)

    def _answer(self, request: Any, **_: Any) -> AWSResponse:
        return AWSResponse(request.url, self._status, HEADERS, Body(self._body))

    def ask(self, body: bytes, status: int = 200) -> Any:
        """The answer, or what is raised."""
        self._body, self._status = body, status
        try:
            return self.client.converse(**HELLO)
        except Exception as error:  # noqa: BLE001 - whatever it is, both are to raise it
            return type(error).__name__, str(error)


QUICK, GENUINE = Client(quick=True), Client(quick=False)


def both(body: bytes, status: int = 200) -> Any:
    """The answer, which is the same to both."""
    ours = QUICK.ask(body, status)
    assert ours == GENUINE.ask(body, status)
    return ours


def answer(*blocks: Any, **members: Any) -> dict[str, Any]:
    message = {"role": "assistant", "content": list(blocks)}
    usage = {"inputTokens": 1, "outputTokens": 2, "totalTokens": 3}
    whole = {"output": {"message": message}, "stopReason": "end_turn", "usage": usage, "metrics": {"latencyMs": 4}}
    return {**whole, **members}


TOOL = {"toolUse": {"toolUseId": "t", "name": "n", "input": {"a": [1, None, {"b": "ü"}], "SDK_UNKNOWN_MEMBER": {}}}}
THOUGHT = {"reasoningContent": {"reasoningText": {"text": "hm", "signature": "c2ln"}}}

PLAIN: dict[str, Any] = {
    "text": answer({"text": "Hello"}),
    "a tool call": answer({"text": "Hello"}, TOOL),
    "reasoning": answer(THOUGHT, {"text": "Hello"}),
    "fields of the model's own": answer({"text": ""}, additionalModelResponseFields={"a": None, "b": [1, None]}),
    "a trace": answer({"text": "x"}, trace={"promptRouter": {"invokedModelId": "m"}}),
    "nothing": {},
}

NEARLY: dict[str, Any] = {
    "a member that botocore does not know": answer({"text": "x"}, novelty=1),
    "one inside, as recorded 2025": answer({"text": "x"}, usage={"inputTokens": 1, "serverToolUsage": {}}),
    "a null": answer({"text": "x"}, trace=None),
    "a null inside": answer({"text": "x"}, usage={"inputTokens": None, "totalTokens": 1}),
    "a null under an unknown name": answer({"text": "x"}, novelty=None),
}
"""What botocore leaves out."""

SURPRISES: dict[str, bytes] = {
    "a block that botocore does not know": json.dumps(answer({"hologram": {"x": 1}})).encode(),
    "a null among blocks": json.dumps(answer(None, {"text": "x"})).encode(),
    "a null in a block": json.dumps(answer({"text": "x", "toolUse": None})).encode(),
    "redacted reasoning": json.dumps(answer({"reasoningContent": {"redactedContent": "AAEC"}})).encode(),
    "broken base64": json.dumps(answer({"reasoningContent": {"redactedContent": "A"}})).encode(),
    "a block with two kinds": json.dumps(answer({"text": "x", **TOOL})).encode(),
    "a block of no kind": json.dumps(answer({})).encode(),
    "a type beside the kind": json.dumps(answer({"__type": "x", "text": "y"})).encode(),
    "a list for a structure": json.dumps(answer({"text": "x"}, usage=[1])).encode(),
    "a text for a list": json.dumps({"output": {"message": {"content": "x"}}}).encode(),
    "a list": b"[]",
    "a null alone": b"null",
    "a number": b"1",
    "HTML": b"<html>",
    "cut": b'{"output": {',
    "no UTF-8": b'{"stopReason": "\xff"}',
    "empty": b"",
    "a number in quotes": json.dumps(answer({"text": "x"}, metrics={"latencyMs": "4"})).encode(),
    "a fraction for a number": json.dumps(answer({"text": "x"}, metrics={"latencyMs": 4.5})).encode(),
    "true for a number": json.dumps(answer({"text": "x"}, metrics={"latencyMs": True})).encode(),
    "a number for a text": json.dumps(answer({"text": 1})).encode(),
    "NaN": b'{"metrics": {"latencyMs": NaN}}',
    "a member twice": b'{"stopReason": "a", "stopReason": "b"}',
    "deep": b'{"additionalModelResponseFields": ' + b"[" * 500 + b"]" * 500 + b"}",
    "too deep": b'{"additionalModelResponseFields": ' + b"[" * 100_000 + b"]" * 100_000 + b"}",
}


def walks(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """The bodies that botocore decodes."""
    seen: list[Any] = []
    genuine = parsers.BaseJSONParser._parse_body_as_json

    def decode(self: Any, body: Any) -> Any:
        seen.append(body)
        return genuine(self, body)

    monkeypatch.setattr(parsers.BaseJSONParser, "_parse_body_as_json", decode)
    return seen


@newest_model
@pytest.mark.parametrize("why", PLAIN)
def test_a_plain_answer_is_parsed_once(why: str, monkeypatch: pytest.MonkeyPatch) -> None:
    body = json.dumps(PLAIN[why]).encode()
    both(body)
    seen = walks(monkeypatch)
    parsed = QUICK.ask(body)
    assert seen == [b""]
    assert {name: value for name, value in parsed.items() if name != "ResponseMetadata"} == PLAIN[why]
    assert parsed["ResponseMetadata"]["RequestId"] == HEADERS["x-amzn-RequestId"]


@newest_model
@pytest.mark.parametrize("why", NEARLY)
def test_what_botocore_leaves_out_is_left_out(why: str, monkeypatch: pytest.MonkeyPatch) -> None:
    body = json.dumps(NEARLY[why]).encode()
    assert "novelty" not in both(body)
    seen = walks(monkeypatch)
    QUICK.ask(body)
    assert seen == [b""]


@pytest.mark.parametrize("why", SURPRISES)
def test_anything_else_is_botocores(why: str) -> None:
    both(SURPRISES[why])


@pytest.mark.parametrize("status", [201, 204, 301, 400, 429, 500])
@pytest.mark.parametrize("body", [b"{}", b'{"message": "no"}', b"<html>", json.dumps(answer({"text": "x"})).encode()])
def test_so_is_an_answer_of_another_status(status: int, body: bytes) -> None:
    both(body, status)


def test_recorded_answers_are_what_botocore_makes_of_them(recordings: Path) -> None:
    bodies = [json.loads(file.read_text(encoding="utf-8")) for file in sorted(recordings.glob("*.json"))]
    wholes = [body for body in map(_body_of, bodies) if body is not None]
    assert wholes
    for body in wholes:
        both(json.dumps(body).encode())


def _body_of(recorded: Any) -> Any:
    """The body of a recorded answer of Converse, None of anything else."""
    return recorded["body"] if recorded["operation"] == "converse" and recorded["status"] == 200 else None


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["text", "a", "toolUse"]), inner),
    max_leaves=8,
)
MEMBERS = st.sampled_from(["output", "stopReason", "usage", "metrics", "trace", "additionalModelResponseFields", "x"])
BLOCKS = st.dictionaries(st.sampled_from(["text", "toolUse", "reasoningContent", "image", "x"]), JSON, max_size=2)


@given(st.dictionaries(MEMBERS, JSON), st.lists(BLOCKS, max_size=3))
def test_whatever_comes_both_make_the_same_of_it(members: dict[str, Any], blocks: list[Any]) -> None:
    both(json.dumps(members).encode())
    both(json.dumps({**answer(*blocks), **members}).encode())


@newest_model
def test_other_handlers_see_the_whole_answer() -> None:
    seen: list[bytes] = []
    client = Client(quick=True)
    client.client.meta.events.register(
        "before-parse.bedrock-runtime", lambda response_dict, **_: seen.append(response_dict["body"])
    )
    body = json.dumps(answer({"text": "Hello"})).encode()
    client.ask(body)
    assert seen == [body]


def test_who_debugs_the_parser_sees_what_it_sees(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    seen = walks(monkeypatch)
    body = json.dumps(answer({"text": "Hello"})).encode()
    with caplog.at_level(logging.DEBUG, logger="botocore.parsers"):
        QUICK.ask(body)
    assert seen == [body]
