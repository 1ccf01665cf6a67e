"""Whole Converse answers, and every way to cut one into stream events."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import strategies as st

texts = st.text(max_size=40)
ids = st.from_regex(r"[a-zA-Z0-9_.:-]{1,20}", fullmatch=True)
names = st.from_regex(r"[a-zA-Z0-9_-]{1,20}", fullmatch=True)
json_objects = st.dictionaries(
    texts,
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | texts,
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
        max_leaves=6,
    ),
    max_size=3,
)
blobs = st.binary(min_size=1, max_size=40)

citations = st.fixed_dictionaries(
    {"title": texts, "sourceContent": st.lists(st.fixed_dictionaries({"text": texts}), max_size=2)},
    optional={
        "source": texts,
        "location": st.one_of(
            st.fixed_dictionaries({"web": st.fixed_dictionaries({"url": texts, "domain": texts})}),
            st.fixed_dictionaries(
                {"documentChar": st.fixed_dictionaries({"documentIndex": st.just(0), "start": st.just(1)})}
            ),
        ),
    },
)

blocks = st.one_of(
    st.fixed_dictionaries({"text": texts}),
    st.builds(
        lambda text, signature: {
            "reasoningContent": {"reasoningText": {"text": text, **({"signature": signature} if signature else {})}}
        },
        texts,
        texts,
    ),
    st.builds(lambda data: {"reasoningContent": {"redactedContent": data}}, blobs),
    st.builds(
        lambda call, name, arguments, kind: {
            "toolUse": {"toolUseId": call, "name": name, "input": arguments, **({"type": kind} if kind else {})}
        },
        ids,
        names,
        json_objects,
        st.sampled_from([None, "tool_use", "server_tool_use"]),
    ),
    st.builds(
        lambda call, parts: {
            "toolResult": {
                "toolUseId": call,
                "type": "nova_code_interpreter_result",
                "status": "success",
                "content": parts,
            }
        },
        ids,
        st.lists(st.builds(lambda value: {"json": value}, json_objects), min_size=1, max_size=3)
        | st.builds(lambda text: [{"text": text}], texts),
    ),
    st.builds(
        lambda text, sources: {"citationsContent": {"content": [{"text": text}], "citations": sources}},
        texts,
        st.lists(citations, min_size=1, max_size=3),
    ),
    st.builds(
        lambda kind, data: {"image": {"format": kind, "source": {"bytes": data}}},
        st.sampled_from(["png", "jpeg"]),
        blobs,
    ),
)

counters = st.integers(min_value=0, max_value=10**6)
usages = st.fixed_dictionaries(
    {"inputTokens": counters, "outputTokens": counters, "totalTokens": counters},
    optional={
        "cacheReadInputTokens": counters,
        "cacheWriteInputTokens": counters,
        "cacheDetails": st.lists(st.fixed_dictionaries({"ttl": st.just("5m"), "inputTokens": counters}), max_size=2),
    },
)
answers = st.fixed_dictionaries(
    {
        "output": st.fixed_dictionaries(
            {"message": st.fixed_dictionaries({"role": st.just("assistant"), "content": st.lists(blocks, max_size=6)})}
        ),
        "stopReason": st.sampled_from(["end_turn", "tool_use", "max_tokens", "stop_sequence", "something_new"]),
        "usage": usages,
        "metrics": st.fixed_dictionaries({"latencyMs": counters}),
    },
    optional={
        "additionalModelResponseFields": json_objects,
        "trace": st.just({"guardrail": {"actionReason": "No action."}}),
        "performanceConfig": st.just({"latency": "optimized"}),
        "serviceTier": st.sampled_from([{"type": "flex"}, {"type": "reserved"}]),
    },
)


def _pieces(draw: Any, whole: Any) -> list[Any]:
    """`whole` (text or bytes) in pieces; the empty one is sometimes no piece at all, sometimes an empty one."""
    if not whole:
        return [whole]
    marks = sorted(draw(st.lists(st.integers(0, len(whole)), max_size=4)))
    return [whole[a:b] for a, b in zip([0, *marks], [*marks, len(whole)], strict=True)]


def _deltas(draw: Any, block: dict[str, Any]) -> tuple[dict[str, Any] | None, list[dict[str, Any]]]:
    [(kind, value)] = block.items()
    return _CUTTERS[kind](draw, value)


def _cut_reasoning(draw: Any, value: dict[str, Any]) -> tuple[None, list[dict[str, Any]]]:
    if "redactedContent" in value:
        return None, [{"reasoningContent": {"redactedContent": p}} for p in _pieces(draw, value["redactedContent"])]
    reasoning = value["reasoningText"]
    deltas = [{"reasoningContent": {"text": piece}} for piece in _pieces(draw, reasoning["text"])]
    if "signature" in reasoning:
        deltas += [{"reasoningContent": {"signature": p}} for p in _pieces(draw, reasoning["signature"])]
    return None, deltas


def _cut_tool_use(draw: Any, value: dict[str, Any]) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    start = {"toolUse": {name: item for name, item in value.items() if name != "input"}}
    if not value["input"] and draw(st.booleans()):
        return start, []
    return start, [{"toolUse": {"input": piece}} for piece in _pieces(draw, json.dumps(value["input"]))]


def _cut_tool_result(draw: Any, value: dict[str, Any]) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    start = {"toolResult": {name: item for name, item in value.items() if name != "content"}}
    if "text" in value["content"][0]:
        return start, [{"toolResult": [{"text": piece}]} for piece in _pieces(draw, value["content"][0]["text"])]
    return start, [{"toolResult": chunk} for chunk in _pieces(draw, value["content"])]


def _cut_citations(draw: Any, value: dict[str, Any]) -> tuple[None, list[dict[str, Any]]]:
    deltas: list[dict[str, Any]] = [{"text": piece} for piece in _pieces(draw, value["content"][0]["text"])]
    return None, deltas + [{"citation": citation} for citation in value["citations"]]


def _cut_image(draw: Any, value: dict[str, Any]) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    start = {"image": {"format": value["format"]}}
    return start, [{"image": {"source": {"bytes": piece}}} for piece in _pieces(draw, value["source"]["bytes"])]


_CUTTERS = {
    "text": lambda draw, text: (None, [{"text": piece} for piece in _pieces(draw, text)]),
    "reasoningContent": _cut_reasoning,
    "toolUse": _cut_tool_use,
    "toolResult": _cut_tool_result,
    "citationsContent": _cut_citations,
    "image": _cut_image,
}


def _block_events(draw: Any, index: int, block: dict[str, Any]) -> list[dict[str, Any]]:
    start, deltas = _deltas(draw, block)
    events = [{"contentBlockStart": {"start": start, "contentBlockIndex": index}}] if start else []
    events += [{"contentBlockDelta": {"delta": delta, "contentBlockIndex": index}} for delta in deltas]
    return [*events, {"contentBlockStop": {"contentBlockIndex": index}}]


def _interleaved(draw: Any, queues: list[list[dict[str, Any]]]) -> list[dict[str, Any]]:
    mixed = []
    queues = [queue for queue in queues if queue]
    while queues:
        queue = queues[draw(st.integers(0, len(queues) - 1))]
        mixed.append(queue.pop(0))
        queues = [queue for queue in queues if queue]
    return mixed


@st.composite
def cuttings(draw: Any) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """An answer and one way in which a stream could have told it, blocks in turn or interleaved."""
    answer = draw(answers)
    queues = [_block_events(draw, i, block) for i, block in enumerate(answer["output"]["message"]["content"])]
    body = _interleaved(draw, queues) if draw(st.booleans()) else [event for queue in queues for event in queue]
    stop = {"stopReason": answer["stopReason"]}
    if "additionalModelResponseFields" in answer:
        stop["additionalModelResponseFields"] = answer["additionalModelResponseFields"]
    metadata = {
        name: answer[name]
        for name in ("usage", "metrics", "trace", "performanceConfig", "serviceTier")
        if name in answer
    }
    events = [{"messageStart": {"role": "assistant"}}, *body, {"messageStop": stop}, {"metadata": metadata}]
    return answer, events
