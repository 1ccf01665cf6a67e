"""Chunks: what the openai SDK's own accumulator makes of them is what the completion says."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.bedrock.chat import ChatStream
from agent.bedrock.errors import CorruptStreamError, TruncatedResponseError
from agent.bedrock.faces.chunks import ChunkMaker, chunk_namespace, chunks_of
from agent.bedrock.notes import CallNotes
from agent.bedrock.response.accumulator import fold
from agent.bedrock.response.events import (
    Citation,
    MessageStop,
    ReasoningDelta,
    StreamRestarted,
    StreamResumed,
    TextDelta,
    ToolArgumentsDelta,
    ToolCallStart,
)
from tests.moments import cost
from tests.response.strategies import _block_events, answers

MODEL = "us.anthropic.claude-sonnet-4-5-20250929-v1:0"


def delta(block: int, **members: Any) -> dict[str, Any]:
    return {"contentBlockDelta": {"delta": members, "contentBlockIndex": block}}


def start(block: int, **members: Any) -> dict[str, Any]:
    return {"contentBlockStart": {"start": members, "contentBlockIndex": block}}


def stop(block: int) -> dict[str, Any]:
    return {"contentBlockStop": {"contentBlockIndex": block}}


BEGIN = {"messageStart": {"role": "assistant"}}
END = {"messageStop": {"stopReason": "end_turn"}}
METADATA = {"metadata": {"usage": {"inputTokens": 3, "outputTokens": 2, "totalTokens": 5}, "metrics": {"latencyMs": 7}}}


def stream_of(events: Iterable[Any]) -> ChatStream:
    return ChatStream({"stream": list(events)}, CallNotes(model=MODEL))


def chunks(*events: Any, **options: Any) -> list[dict[str, Any]]:
    stream = stream_of(events)
    return list(chunks_of(stream, ChunkMaker(stream.partial(), **options)))


def deltas(told: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """The deltas, without the role and without the last chunk."""
    *shown, _ = [choice["delta"] for chunk in told for choice in chunk["choices"]]
    return [{k: v for k, v in delta.items() if k != "role"} for delta in shown if delta != FIRST]


FIRST = {"role": "assistant", "content": None}


def folded(told: Iterable[dict[str, Any]]) -> dict[str, Any]:
    """What the openai SDK's accumulator makes of the chunks, as they would come over the wire."""
    pytest.importorskip("openai")
    from openai.lib.streaming.chat import ChatCompletionStreamState
    from openai.types.chat import ChatCompletionChunk

    state: Any = ChatCompletionStreamState()
    for chunk in told:
        state.handle_chunk(ChatCompletionChunk.model_validate(json.loads(json.dumps(chunk))))
    completion: dict[str, Any] = state.current_completion_snapshot.to_dict()
    return completion


def as_folded(completion: Any) -> dict[str, Any]:
    """The completion in the accumulator's form: what is None is not there, entries of some lists have an index."""
    message = completion.message.model_dump(exclude_none=True)
    for name in ("annotations", "tool_calls"):
        for index, entry in enumerate(message.get(name, ())):
            entry["index"] = index
    return {name: value for name, value in message.items() if value != []}


def without_nothing(message: dict[str, Any]) -> dict[str, Any]:
    for call in message.get("tool_calls") or ():
        call["function"].pop("parsed_arguments", None)
    return {name: value for name, value in message.items() if value is not None}


@st.composite
def streams(draw: Any) -> list[dict[str, Any]]:
    """An answer as a stream, its blocks in turn or mixed, each beginning after the one before it has begun."""
    answer = draw(answers)
    queues = [_block_events(draw, i, block) for i, block in enumerate(answer["output"]["message"]["content"])]
    body, begun, mixed = [], 0, draw(st.booleans())
    while any(queues):
        candidates = [i for i in range(min(begun + 1, len(queues))) if queues[i]]
        chosen = draw(st.sampled_from(candidates)) if mixed else candidates[0]
        begun = max(begun, chosen + 1)
        body.append(queues[chosen].pop(0))
    metadata = {name: answer[name] for name in ("usage", "metrics", "serviceTier") if name in answer}
    return [BEGIN, *body, {"messageStop": {"stopReason": answer["stopReason"]}}, {"metadata": metadata}]


@settings(max_examples=150)
@given(streams(), st.booleans())
def test_what_the_sdk_folds_is_the_completion(events: list[dict[str, Any]], include_usage: bool) -> None:
    completion = stream_of(events).completion()
    seen = folded(chunks(*events, include_usage=include_usage))
    assert without_nothing(seen["choices"][0]["message"]) == as_folded(completion)
    assert seen["choices"][0]["finish_reason"] == completion.choices[0].finish_reason
    assert seen["usage"] == completion.usage.model_dump()


@given(streams())
def test_chunks_as_namespaces_dump_to_what_the_sdk_folds(events: list[dict[str, Any]]) -> None:
    dumped = [chunk_namespace(chunk).model_dump(exclude_none=True) for chunk in chunks(*events)]
    seen, expected = (folded(told)["choices"][0]["message"] for told in (dumped, chunks(*events)))
    assert without_nothing(seen) == without_nothing(expected)


@pytest.mark.parametrize("members", [{"text": 5}, {"toolUse": {"input": 5}}, {"reasoningContent": {"text": [5]}}])
def test_an_answer_of_another_form_is_corrupt(members: dict[str, Any]) -> None:
    with pytest.raises(CorruptStreamError, match="not in the form") as raised:
        chunks(BEGIN, delta(0, text="a"), delta(0, **members), END)
    assert raised.value.__notes__


def test_the_first_chunk_has_the_role_and_all_have_one_identity() -> None:
    told = chunks(BEGIN, delta(0, text="Hel"), delta(0, text="lo"), stop(0), END, METADATA)
    assert told[0]["choices"][0]["delta"] == {"role": "assistant", "content": None}
    assert {(c["id"], c["created"], c["model"], c["object"]) for c in told} == {
        (told[0]["id"], told[0]["created"], MODEL, "chat.completion.chunk")
    }
    assert deltas(told) == [{"content": "Hel"}, {"content": "lo"}]
    assert [c["choices"][0]["finish_reason"] for c in told] == [None, None, None, "stop"]


def test_without_message_start_the_role_comes_with_the_first_delta() -> None:
    told = chunks(delta(0, text="Hi"), END)
    assert told[0]["choices"][0]["delta"] == {"role": "assistant", "content": "Hi"}


def test_usage_stands_on_the_finish_chunk_unless_it_is_asked_for() -> None:
    events = (BEGIN, delta(0, text="Hi"), END, METADATA)
    usage = {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5}
    *_, last = chunks(*events)
    assert last["choices"][0]["finish_reason"] == "stop"
    assert usage.items() <= last["usage"].items()
    *_, finish, extra = chunks(*events, include_usage=True)
    assert "usage" not in finish
    assert extra["choices"] == []
    assert usage.items() <= extra["usage"].items()


def test_a_tool_call_is_named_once_and_numbered_among_the_calls() -> None:
    told = chunks(
        BEGIN,
        delta(0, text="Let me see."),
        stop(0),
        start(1, toolUse={"toolUseId": "a", "name": "read"}),
        delta(1, toolUse={"input": '{"pa'}),
        delta(1, toolUse={"input": 'th": 1}'}),
        stop(1),
        start(2, toolUse={"toolUseId": "b", "name": "now"}),
        stop(2),
        {"messageStop": {"stopReason": "tool_use"}},
    )
    assert [d["tool_calls"] for d in deltas(told) if "tool_calls" in d] == [
        [{"index": 0, "id": "a", "type": "function", "function": {"name": "read", "arguments": ""}}],
        [{"index": 0, "function": {"arguments": '{"pa'}}],
        [{"index": 0, "function": {"arguments": 'th": 1}'}}],
        [{"index": 1, "id": "b", "type": "function", "function": {"name": "now", "arguments": ""}}],
        [{"index": 1, "function": {"arguments": "{}"}}],
    ]


def test_a_call_without_arguments_or_stop_still_gets_its_empty_object() -> None:
    told = chunks(
        start(0, toolUse={"toolUseId": "a", "name": "now"}),
        delta(0, toolUse={"input": ""}),
        {"messageStop": {"stopReason": "tool_use"}},
    )
    assert deltas(told)[-1] == {"tool_calls": [{"index": 0, "function": {"arguments": "{}"}}]}


def test_blank_argument_pieces_wait_for_what_they_belong_to() -> None:
    events = [ToolArgumentsDelta(0, text) for text in (" ", "\n", "{", "}")]
    make = ChunkMaker(stream_of([]).partial())
    make(ToolCallStart(0, "a", "now"))
    told = [d["tool_calls"][0]["function"] for event in events for d in deltas([*make(event), *LAST])]
    assert told == [{"arguments": " \n{"}, {"arguments": "}"}]


LAST = [{"choices": [{"delta": {}}]}]


def test_a_tool_of_the_service_is_no_call_for_the_client() -> None:
    told = chunks(
        BEGIN,
        start(0, toolUse={"toolUseId": "s", "name": "nova_code_interpreter", "type": "server_tool_use"}),
        delta(0, toolUse={"input": '{"code": "1"}'}),
        stop(0),
        start(1, toolResult={"toolUseId": "s", "type": "nova_code_interpreter_result", "status": "success"}),
        delta(1, toolResult=[{"json": {"stdOut": "1"}}]),
        stop(1),
        delta(2, text="1"),
        stop(2),
        END,
    )
    assert deltas(told) == [{"content": "1"}]
    sidecar = told[-1]["choices"][0]["delta"]["bedrock_content_blocks"]
    assert [next(iter(block)) for block in sidecar] == ["toolUse", "toolResult", "text"]


def test_reasoning_is_shown_as_text_and_kept_as_details() -> None:
    told = chunks(
        BEGIN,
        delta(0, reasoningContent={"text": "Think"}),
        delta(0, reasoningContent={"text": "ing"}),
        delta(0, reasoningContent={"signature": "sig"}),
        stop(0),
        delta(1, reasoningContent={"redactedContent": b"\x01"}),
        delta(1, reasoningContent={"redactedContent": b"\x02"}),
        stop(1),
        delta(2, text="Hi"),
        stop(2),
        END,
    )
    first = {"type": "reasoning.text", "index": 0, "text": "Think", "signature": None}
    assert deltas(told) == [
        {"reasoning_content": "Think", "reasoning_details": [{**first, "format": "anthropic-claude-v1", "id": None}]},
        {"reasoning_content": "ing", "reasoning_details": [{"type": "reasoning.text", "index": 0, "text": "ing"}]},
        {"reasoning_details": [{"type": "reasoning.text", "index": 0, "text": "", "signature": "sig"}]},
        {
            "reasoning_details": [
                {"type": "reasoning.encrypted", "data": "AQI=", "format": "anthropic-claude-v1", "index": 1, "id": None}
            ]
        },
        {"content": "Hi"},
    ]


def test_citations_become_annotations_at_the_end_of_their_block() -> None:
    source = {"title": "A book", "location": {"web": {"url": "https://example.com/a"}}}
    told = chunks(BEGIN, delta(0, text="🦉 "), stop(0), delta(1, text="hoots"), delta(1, citation=source), stop(1), END)
    *_, last = deltas(told)
    assert last["annotations"] == [
        {
            "index": 0,
            "type": "url_citation",
            "url_citation": {"url": "https://example.com/a", "title": "A book", "start_index": 2, "end_index": 7},
            "bedrock": source,
        }
    ]


def test_text_of_a_later_block_waits_for_the_earlier_one() -> None:
    told = chunks(
        delta(0, text="one "), delta(1, text="three"), delta(0, text="two "), stop(0), delta(1, text=" four"), END
    )
    assert "".join(d["content"] for d in deltas(told)) == "one two three four"


def test_a_restart_voids_what_was_told_and_a_resumption_does_not() -> None:
    make = ChunkMaker(stream_of([]).partial())
    make(TextDelta(0, "one"))
    make(Citation(0, {"title": "x"}))
    [notice] = make(StreamRestarted(2, "overloaded"))
    assert notice["choices"] == []
    assert notice["bedrock"] == {"restarted": {"attempt": 2, "reason": "overloaded"}}
    [again] = make(TextDelta(0, "uno"))
    assert again["choices"][0]["delta"] == {"role": "assistant", "content": "uno"}
    [notice] = make(StreamResumed(3, "connection"))
    assert notice["bedrock"] == {"resumed": {"attempt": 3, "reason": "connection"}}
    [more] = make(TextDelta(0, " dos"))
    assert more["choices"][0]["delta"] == {"content": " dos"}


def test_no_finish_reason_comes_of_an_answer_that_is_not_complete() -> None:
    told = []
    with pytest.raises(TruncatedResponseError):
        told.extend(chunk["choices"][0]["finish_reason"] for chunk in chunks_of(stream_of([delta(0, text="Hal")])))
    assert not any(told)


def test_the_last_chunk_says_what_openai_has_no_place_for() -> None:
    *_, last = chunks(
        BEGIN, delta(0, text="Hi"), END, {"metadata": {**METADATA["metadata"], "serviceTier": {"type": "flex"}}}
    )
    assert last["service_tier"] == "flex"
    assert last["bedrock"]["stop_reason"] == "end_turn"
    assert last["bedrock"]["latency_ms"] == 7


def test_namespaces_have_every_optional_attribute() -> None:
    first, text, *_, last = [chunk_namespace(chunk) for chunk in chunks(BEGIN, delta(0, text="Hi"), END, METADATA)]
    assert first.choices[0].delta.role == "assistant"
    assert text.choices[0].delta.content == "Hi"
    assert text.choices[0].delta.tool_calls is None
    assert text.choices[0].delta.reasoning_content is None
    assert text.choices[0].finish_reason is None
    assert text.usage is None
    assert last.usage.total_tokens == 5
    assert last.usage.prompt_tokens_details.cached_tokens == 0
    assert last.bedrock.stop_reason == "end_turn"


def test_a_call_of_a_namespace_has_openais_attributes() -> None:
    told = [
        chunk_namespace(chunk)
        for chunk in chunks(
            start(0, toolUse={"toolUseId": "a", "name": "now"}), delta(0, toolUse={"input": "{}"}), stop(0), END
        )
    ]
    named, arguments = (chunk.choices[0].delta.tool_calls[0] for chunk in told[:2])
    assert (named.index, named.id, named.type, named.function.name) == (0, "a", "function", "now")
    assert (arguments.id, arguments.function.name, arguments.function.arguments) == (None, None, "{}")


def test_a_chunk_costs_less_than_ten_microseconds() -> None:
    events: list[Any] = [TextDelta(0, "word ")] * 1000 + [ReasoningDelta(1, "word ")] * 1000
    make = ChunkMaker(fold([MessageStop("end_turn")]))

    def run() -> None:
        for event in events:
            make(event)

    assert cost(run) / len(events) < 10e-6
