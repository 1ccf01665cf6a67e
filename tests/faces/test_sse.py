"""Server-sent events: one line each, whatever the text holds."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.bedrock.faces.sse import DONE, sse
from agent.bedrock.testing import FakeBedrock, Reply, ToolCall

json_data = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
)


@given(json_data)
def test_an_event_is_one_line_for_every_reader_of_lines(data: Any) -> None:
    event = sse(data)
    text = event.decode("ascii")
    assert text.startswith("data: ")
    assert text.endswith("\n\n")
    assert len(text.splitlines()) == 2
    assert json.loads(text.removeprefix("data: ")) == data


def test_blobs_and_lone_surrogates_are_written_too() -> None:
    assert sse({"data": b"\x01\x02", "text": "\ud83e"}) == b'data: {"data":"AQI=","text":"\\ud83e"}\n\n'


def test_done_ends_a_stream_for_the_sdk() -> None:
    pytest.importorskip("openai")
    from openai._streaming import SSEDecoder

    events = list(SSEDecoder().iter_bytes(iter([sse({"a": 1}), DONE])))
    assert [event.data for event in events] == ['{"a":1}', "[DONE]"]


def test_the_generators_of_the_page_are_bodies_of_answers(
    serve: Callable[..., FakeBedrock], monkeypatch: pytest.MonkeyPatch
) -> None:
    streaming = pytest.importorskip("openai._streaming")
    types = pytest.importorskip("openai.types.chat")
    fake = serve(lambda _: Reply("Hi", ToolCall("weather", {"city": "Graz"}, id="a")))
    monkeypatch.setenv("AWS_ENDPOINT_URL_BEDROCK_RUNTIME", fake.url)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "not-a-secret")
    monkeypatch.setenv("AWS_REGION", "us-east-1")
    page = (Path(__file__).parents[2] / "docs" / "server.md").read_text(encoding="utf-8")
    world: dict[str, Any] = {}
    *_, block = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    exec(compile(block, "server.md", "exec"), world)
    model, messages = "us.amazon.nova-lite-v1:0", [{"role": "user", "content": "Hi"}]
    sent = world["openai_stream"]({"model": model, "messages": messages})
    *chunks, done = [event.data for event in streaming.SSEDecoder().iter_bytes(iter(sent))]
    assert done == "[DONE]"
    told = [types.ChatCompletionChunk.model_validate(json.loads(chunk)) for chunk in chunks]
    assert "".join(chunk.choices[0].delta.content or "" for chunk in told) == "Hi"
    assert told[-1].usage
    events = [json.loads(event.decode().removeprefix("data: ")) for event in world["gateway_stream"](model, messages)]
    assert [event["type"] for event in events][-3:] == ["tool_use_complete", "message_stop", "metadata"]
