"""Row E27: what the debug log shows of a call, and what no log ever shows."""

from __future__ import annotations

import json
import logging
from typing import Any

import pytest

from agent.bedrock.faces.server.journal import summary, without_secrets
from agent.bedrock.testing import Refusal, Reply, StreamException, Text, ToolCall
from tests.faces.serving import CHAT, CLAUDE, NOVA, Served, house, served
from tests.moments import comes_true

__all__ = ["house", "served"]

PNG = "data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
JOURNAL = "agent.bedrock.faces.server.journal"
TELLING: list[dict[str, Any]] = [
    {"role": "system", "content": "top-secret plan"},
    {
        "role": "user",
        "content": [
            {"type": "text", "text": "my password is hunter2"},
            {"type": "image_url", "image_url": {"url": PNG}},
        ],
    },
]
HEADERS = {
    "X-AWS-Access-Key-Id": "AKIDCALLER",
    "X-AWS-Secret-Access-Key": "caller-s3cret",
    "X-AWS-Session-Token": "session-s3cret",
}
SECRETS = ("top-secret", "hunter2", "iVBOR", "AKIDCALLER", "s3cret", "the answer", "Graz", "server-secret")


@pytest.mark.parametrize("stream", [False, True])
def test_e27_the_debug_log_shows_url_payload_status_usage_and_events(
    stream: bool, served: Served, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, logger="agent.bedrock")
    served.answer = lambda _: Reply(Text("the answer"), ToolCall("weather", {"city": "Graz"}))
    tool = {"type": "function", "function": {"name": "weather", "parameters": {"type": "object"}}}
    body = {"model": CLAUDE, "messages": TELLING, "tools": [tool], "temperature": 0.5, "stream": stream}
    assert served.http.post(CHAT, json=body, headers=HEADERS).status_code == 200
    assert comes_true(lambda: len([record for record in caplog.records if record.name == JOURNAL]) == 2)
    asked, over = (record.getMessage() for record in caplog.records if record.name == JOURNAL)
    operation = "converse-stream" if stream else "converse"
    assert f"url={served.fake.url}/model/{CLAUDE.replace(':', '%3A')}/{operation} payload=" in asked
    assert "'temperature': 0.5" in asked
    assert "<data URL of" in asked
    assert "status=200" in over
    assert "'prompt_tokens': 25" in over
    assert ("'ToolCallStart': 1" in over) == stream
    assert not [secret for secret in SECRETS if secret in caplog.text]


def test_e27_a_failed_call_shows_its_status_and_error(served: Served, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, logger=JOURNAL)
    served.answer = lambda _: Refusal("ThrottlingException", "hunter2")
    served.chat(stream=True)
    assert "status=429 usage=None events={} error=ThrottlingException" in caplog.text
    assert "hunter2" not in caplog.text


def test_e27_a_stream_that_fails_in_the_middle_shows_its_error(
    served: Served, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, logger=JOURNAL)
    served.answer = lambda _: Reply(Text(["hunter2"] * 3), fault=StreamException("modelStreamErrorException", at=3))
    assert served.chat(stream=True).status_code == 200
    assert comes_true(lambda: " | over" in caplog.text)
    assert "status=200 usage=None events={'MessageStart': 1, 'TextDelta': 2} error=EventStreamError" in caplog.text
    assert "hunter2" not in caplog.text


def test_without_debug_nothing_is_written_of_a_call(served: Served, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    served.chat()
    assert not [record for record in caplog.records if record.name.startswith("agent")]


def test_secrets_and_content_stand_in_no_error_and_no_metric(served: Served) -> None:
    served.answer = lambda _: Refusal("AccessDeniedException", "User is not authorized")
    refused = served.http.post(CHAT, json={"model": NOVA, "messages": TELLING[:1]}, headers=HEADERS)
    metrics = served.http.get("/metrics").text
    assert not [secret for secret in SECRETS if secret in refused.text + metrics + json.dumps(dict(refused.headers))]


def test_a_summary_keeps_the_shape_and_no_text() -> None:
    body = {"role": "user", "content": [{"type": "text", "text": "hunter2"}], "n": 1, "b": b"hunter2", "none": None}
    assert summary(body) == {
        "role": "user",
        "content": [{"type": "text", "text": "<text of 7>"}],
        "n": 1,
        "b": "<bytes>",
        "none": None,
    }


def test_a_url_is_shown_without_what_may_be_secret_in_it() -> None:
    assert (
        without_secrets("https://user:s3cret@gw.example.com:8443/a?token=s3cret#b") == "https://gw.example.com:8443/a"
    )
