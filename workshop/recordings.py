"""Hold recorded traffic against the adapter: nothing lost, nothing unclassified.

    python -m workshop.recordings FOLDER

Every recorded 200 is served again, byte for byte, to the adapter over real boto3, and what comes out is compared with
what went in; each is told both whole and streamed, and both have to agree. Every history in a recorded request goes
Converse -> OpenAI -> Converse and has to come out as it went in. Every recorded refusal has to be classified.
"""

from __future__ import annotations

import contextlib
import json
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from agent.bedrock import Completion, classify
from agent.bedrock.blocks import from_json, json_safe
from agent.bedrock.request.build import build_request
from agent.bedrock.response.accumulator import fold
from agent.bedrock.response.decoder import events_from_response
from agent.bedrock.testing import Cited, FakeBedrock, RawAnswer, Reasoning, Redacted, Reply, Text, ToolCall, ToolResult
from workshop.loopback import bedrock_on
from workshop.traffic import Block, Body, Json, Recording, answer_shape, load, modelled

MODEL = "us.anthropic.claude-sonnet-4-5-20250929-v1:0"
"""Answers are served to a call for this model; their own models are for the histories."""

QUESTION = [{"role": "user", "content": "?"}]

CLIENT_TOOLS = {None, "tool_use"}
"""Types of tool use that the caller answers; what the service runs itself is no tool call in OpenAI's sense."""


@dataclass(frozen=True, slots=True)
class Loss:
    """Something of a recording that the adapter did not keep."""

    name: str
    what: str


class Judge:
    """Serves recordings to the adapter; to be used in a `with` block."""

    def __enter__(self) -> Self:
        self._shape = answer_shape()
        self._exit = contextlib.ExitStack()
        self._fake = self._exit.enter_context(FakeBedrock(strict=False))
        self._bedrock = self._exit.enter_context(bedrock_on(self._fake, max_attempts=1))
        return self

    def __exit__(self, *_: object) -> None:
        self._exit.close()

    def losses(self, recording: Recording) -> Iterator[Loss]:
        """What the adapter loses of this recording; nothing, if all is well."""
        checks: list[Callable[[Recording], Iterator[str]]] = [self._of_history]
        if recording.is_answer:
            checks += [self._of_answer, self._of_the_other_form]
        elif recording.status != 200:
            checks.append(self._of_refusal)
        for check in checks:
            try:
                yield from (Loss(recording.name, what) for what in check(recording))
            except Exception as error:  # noqa: BLE001 - an exception is a finding like any other
                yield Loss(recording.name, f"{check.__name__[4:]}: {type(error).__name__}: {error}")

    # --- answers -------------------------------------------------------------------------------------------------

    def _of_answer(self, recording: Recording) -> Iterator[str]:
        """The answer, byte for byte, against what it holds."""
        yield from differences(self._answer(recording), self._served(recording))

    def _of_the_other_form(self, recording: Recording) -> Iterator[str]:
        """A whole answer told as a stream, a stream told as a whole answer: the same completion."""
        answer = self._answer(recording)
        self._fake.queue(_reply(answer))
        other = self._whole() if recording.streamed else self._stream()
        yield from (f"told the other way: {what}" for what in differences(answer, other))
        mine, theirs = _comparable(self._served(recording)), _comparable(other)
        if mine != theirs:
            yield f"whole and stream disagree: {_first_difference(mine, theirs)}"

    def _answer(self, recording: Recording) -> Body:
        """What there is to keep: all that botocore knows of (the newest knows all but undocumented doubles of counters)."""
        answer: Body = modelled(recording.answer(), self._shape)
        return answer

    def _served(self, recording: Recording) -> Completion:
        self._fake.queue(RawAnswer(recording.body, recording.headers["content-type"], recording.status))
        return self._stream() if recording.streamed else self._whole()

    def _whole(self) -> Completion:
        return self._bedrock.complete(MODEL, QUESTION)

    def _stream(self) -> Completion:
        with self._bedrock.stream(MODEL, QUESTION) as stream:
            return stream.completion()

    # --- refusals ------------------------------------------------------------------------------------------------

    def _of_refusal(self, recording: Recording) -> Iterator[str]:
        """The refusal as botocore raises it has a kind."""
        self._fake.queue(RawAnswer(recording.body, recording.headers["content-type"], recording.status))
        try:
            self._stream() if recording.operation == "converse-stream" else self._whole()
        except Exception as error:  # noqa: BLE001 - whatever it is, it has to be classified
            failure = classify(error)
            if failure.kind == "unknown":
                yield f"unclassified: {error}"
            if recording.status == 400 and failure.retryable:
                yield f"a refusal would be retried: {error}"
        else:
            yield "the refusal was taken for an answer"

    # --- histories -----------------------------------------------------------------------------------------------

    def _of_history(self, recording: Recording) -> Iterator[str]:
        """The recorded messages, as OpenAI messages and back."""
        request = recording.request or {}
        if not request.get("messages"):
            return
        built = build_request(
            recording.model,
            openai_history(request),
            openai_tools(request),
            prompt_caching=_has_cache_points(request),  # with points of the caller's own none are added
            padding=False,
        )
        if recording.status != 200 and built.repairs:
            return  # the service refused it as it is; what the builder changed, it reports
        for name in ("system", "messages"):
            before, after = _plain_turns(request.get(name) or []), _plain_turns(built.kwargs.get(name) or [])
            if before != after:
                yield f"{name}: {_first_difference(before, after)}"


# --- answers: what has to be there -------------------------------------------------------------------------------


def differences(answer: Body, completion: Completion) -> Iterator[str]:
    """What the completion does not have as the answer has it."""
    completion_again = json.loads(json.dumps(completion.model_dump()))
    for what, expected, actual in _facts(answer, completion_again):
        if expected != actual:
            yield f"{what}: {_first_difference(expected, actual)}"


def _facts(answer: Body, completion: Body) -> Iterator[tuple[str, Json, Json]]:
    """Name, what the answer holds, what the completion holds."""
    content = answer["output"]["message"]["content"]
    message, details = completion["choices"][0]["message"], completion["bedrock"]
    yield "blocks", content, message["bedrock_content_blocks"]
    yield "text", _text(content), message["content"]
    yield "reasoning", _reasoning_text(content), message["reasoning_content"]
    yield "reasoning details", _reasoning_facts(content), _details(message["reasoning_details"] or [])
    yield "tool calls", _calls(content), _openai_calls(message["tool_calls"] or [])
    yield "citations", _citations(content), [note["bedrock"] for note in message["annotations"] or []]
    yield "counters", answer["usage"], details["usage"]
    yield "prompt tokens", _prompt_tokens(answer["usage"]), completion["usage"]["prompt_tokens"]
    yield "completion tokens", answer["usage"]["outputTokens"], completion["usage"]["completion_tokens"]
    yield "stop reason", answer["stopReason"], details["stop_reason"]
    yield "latency", answer["metrics"]["latencyMs"], details["latency_ms"]
    yield "service tier", answer.get("serviceTier"), details["service_tier"]
    yield "additional fields", answer.get("additionalModelResponseFields"), details["additional_fields"]
    yield "trace", answer.get("trace"), details["trace"]
    yield "unknown", {}, details["unknown"]


def _text(content: Sequence[Block]) -> str | None:
    texts = [text for block in content for text in _texts(block)]
    return "".join(texts) if texts else None


def _texts(block: Block) -> list[str]:
    cited = block.get("citationsContent", {}).get("content", [])
    return [part["text"] for part in (block, *cited) if "text" in part]


def _reasoning_text(content: Sequence[Block]) -> str | None:
    texts = [text for text, _, _ in _reasoning_facts(content) if text is not None]
    return "".join(texts) if texts else None


def _reasoning_facts(content: Sequence[Block]) -> list[tuple[str | None, str | None, str | None]]:
    """Text, signature and redacted bytes of every reasoning block."""
    blocks = [block["reasoningContent"] for block in content if "reasoningContent" in block]
    said = [(block.get("reasoningText", {}), block.get("redactedContent")) for block in blocks]
    return [(text.get("text"), text.get("signature"), redacted) for text, redacted in said]


def _details(details: Sequence[Body]) -> list[tuple[str | None, str | None, str | None]]:
    return [(detail.get("text"), detail.get("signature"), detail.get("data")) for detail in details]


def _calls(content: Sequence[Block]) -> list[tuple[str, str, Json]]:
    uses = [block["toolUse"] for block in content if "toolUse" in block]
    return [(use["toolUseId"], use["name"], use["input"]) for use in uses if use.get("type") in CLIENT_TOOLS]


def _openai_calls(calls: Sequence[Body]) -> list[tuple[str, str, Json]]:
    return [(call["id"], call["function"]["name"], json.loads(call["function"]["arguments"])) for call in calls]


def _citations(content: Sequence[Block]) -> list[Json]:
    return [citation for block in content for citation in block.get("citationsContent", {}).get("citations", [])]


def _prompt_tokens(usage: Mapping[str, Any]) -> int:
    """OpenAI's meaning: what came out of the cache and went into it counts as prompt."""
    return sum(usage.get(name, 0) for name in ("inputTokens", "cacheReadInputTokens", "cacheWriteInputTokens"))


def _comparable(completion: Completion) -> Body:
    """A completion without what differs between two calls, or between two ways of writing the same JSON."""
    plain: Body = json.loads(json.dumps(completion.model_dump(exclude={"id", "created"})))
    for name in ("request_id", "attempts"):
        plain["bedrock"].pop(name, None)
    for call in plain["choices"][0]["message"]["tool_calls"] or []:
        call["function"]["arguments"] = json.loads(call["function"]["arguments"])
    return plain


# --- answers: told the other way ---------------------------------------------------------------------------------


def _reply(answer: Body) -> Reply:
    """The answer as the stand-in can tell it, whole or streamed."""
    return Reply(
        *[_scripted(block) for block in answer["output"]["message"]["content"]],
        stop_reason=answer["stopReason"],
        usage=answer["usage"],
        latency_ms=answer["metrics"]["latencyMs"],
        service_tier=answer.get("serviceTier"),
        additional_fields=answer.get("additionalModelResponseFields"),
        trace=answer.get("trace"),
        delta_size=5,
    )


def _scripted(block: Block) -> Any:
    ((kind, value),) = block.items()
    return _SCRIPTED[kind](value)


def _scripted_reasoning(value: Body) -> Any:
    if "redactedContent" in value:
        return Redacted(from_json({"reasoningContent": value})["reasoningContent"]["redactedContent"])
    return Reasoning(value["reasoningText"]["text"], value["reasoningText"].get("signature"))


_SCRIPTED: Mapping[str, Callable[[Any], Any]] = {
    "text": Text,
    "reasoningContent": _scripted_reasoning,
    "toolUse": lambda use: ToolCall(use["name"], use["input"], use["toolUseId"], use.get("type")),
    "toolResult": lambda result: ToolResult(
        result["toolUseId"], result["content"], result.get("status"), result.get("type")
    ),
    "citationsContent": lambda cited: Cited(cited["content"][0]["text"], cited["citations"]),
}


# --- histories ---------------------------------------------------------------------------------------------------


def openai_history(request: Body) -> list[Any]:
    """Converse's system and messages as the OpenAI messages that a runtime would hold."""
    history: list[Any] = []
    if request.get("system"):
        history.append({"role": "system", "content": [_part(block) for block in request["system"]]})
    for turn in request["messages"]:
        history += [_assistant(turn)] if turn["role"] == "assistant" else _user(turn)
    return history


def _assistant(turn: Body) -> Body:
    """The message that the adapter made of this turn when the model said it, after a trip through JSON."""
    said = {"output": {"message": {**turn, "content": [from_json(block) for block in turn["content"]]}}}
    message = fold(events_from_response({**said, "stopReason": "end_turn"})).choices[0].message
    plain: Body = json.loads(json.dumps(message.model_dump()))
    return plain


def _user(turn: Body) -> Iterator[Body]:
    """A message per tool result, and one for each run of other content."""
    run: list[Json] = []
    for block in turn["content"]:
        if "toolResult" not in block:
            run.append(_part(block))
            continue
        if run:
            yield {"role": "user", "content": run}
            run = []
        result = block["toolResult"]
        content = [_part(part) for part in result["content"]]
        said = {"role": "tool", "tool_call_id": result["toolUseId"], "content": content}
        yield {**said, "status": result["status"]} if "status" in result else said
    if run:
        yield {"role": "user", "content": run}


def _part(block: Block) -> Json:
    """Text as OpenAI writes it, everything else as Converse does."""
    return {"type": "text", "text": block["text"]} if "text" in block else from_json(block)


def openai_tools(request: Body) -> list[Body]:
    """Converse's tools as OpenAI's functions; cache points and system tools as Converse has them."""
    return [_tool(tool) for tool in (request.get("toolConfig") or {}).get("tools", ())]


def _tool(tool: Body) -> Body:
    if "toolSpec" not in tool:
        return tool
    spec = tool["toolSpec"]
    named = {name: spec[name] for name in ("name", "description", "strict") if name in spec}
    return {"type": "function", "function": {**named, "parameters": spec["inputSchema"]["json"]}}


def _has_cache_points(request: Body) -> bool:
    turns = [turn["content"] for turn in request["messages"]]
    tools = (request.get("toolConfig") or {}).get("tools") or []
    return any("cachePoint" in block for blocks in (request.get("system") or [], tools, *turns) for block in blocks)


def _plain_turns(turns: Sequence[Body]) -> list[Json]:
    """Turns or system blocks in the wire's JSON, without blank text, a tool result's status always written out."""
    return [
        {**turn, "content": _plain_blocks(turn["content"])} if "content" in turn else turn
        for turn in (turns if not turns or "content" in turns[0] else _plain_blocks(turns))
    ]


def _plain_blocks(blocks: Sequence[Block]) -> list[Block]:
    return [_plain_block(json_safe(block)) for block in blocks if not _is_blank(block)]


def _plain_block(block: Block) -> Block:
    if "toolResult" in block:
        result = block["toolResult"]
        return {"toolResult": {"status": "success", **result, "content": _plain_blocks(result["content"])}}
    return block


def _is_blank(block: Block) -> bool:
    """Whether a block is white space, or what stands for white space that was needed."""
    return isinstance(block.get("text"), str) and block["text"].strip() in {"", "(empty)"}


def _first_difference(before: Json, after: Json, place: str = "") -> str:
    """Where two values first part ways, in few words."""
    if isinstance(before, Mapping) and isinstance(after, Mapping):
        for name in sorted({*before, *after}):
            if before.get(name) != after.get(name) or (name in before) != (name in after):
                return _first_difference(before.get(name), after.get(name), f"{place}.{name}")
    if isinstance(before, list) and isinstance(after, list):
        for index, (left, right) in enumerate(zip(before, after, strict=False)):
            if left != right:
                return _first_difference(left, right, f"{place}[{index}]")
        return f"{place}: {len(before)} became {len(after)}"
    return f"{place}: {json.dumps(before)[:200]} became {json.dumps(after)[:200]}"


def main(arguments: Sequence[str]) -> int:
    """Check every recording in the folder and print what was lost, and a closing line."""
    if len(arguments) != 1 or not (folder := Path(arguments[0])).is_dir():
        print("usage: check-recordings FOLDER", file=sys.stderr)
        return 2
    recordings = load(folder)
    with Judge() as judge:
        losses = [loss for recording in recordings for loss in judge.losses(recording)]
    for loss in losses:
        print(f"{loss.name}: {loss.what}")
    kinds = Counter(f"{recording.operation} {recording.status}" for recording in recordings)
    print(f"{len(recordings)} recordings ({', '.join(f'{n} {kind}' for kind, n in sorted(kinds.items()))})")
    print(f"{len({loss.name for loss in losses})} with losses" if losses else "nothing lost, nothing unclassified")
    return int(bool(losses) or not recordings)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
