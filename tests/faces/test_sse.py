"""Server-sent events: one line each, whatever the text holds."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.bedrock.faces.sse import DONE, sse

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
