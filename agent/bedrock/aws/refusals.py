"""What a refusal takes issue with, and the request without just that. Pure: kwargs and the service's words, nothing else.

In comes the text of a refusal; out goes a `TakeBack`, which says in its name what a request to this model has to do
without, or None. `without(kwargs, take_back)` leaves that out; kwargs in which it does not stand come back as they are.
Content of the caller is never taken back, nor is what protects him: guardrails, guarded content, request metadata. The
caller's objects are not changed.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from hashlib import blake2b
from typing import Any

from ..notes import NO_NOTES, noted, notes_of_request
from ..patterns import pattern
from ..values import frozen

Kwargs = dict[str, Any]
Path = tuple[str, ...]

EACH = "*"
"""In a path: every item of the list."""

EMPTY_TEXT = "(empty)"
BRIDGE_TEXT = "Understood."
FAILED_TEXT = "The tool failed:"


@frozen
class TakeBack:
    """What is left out: `name` in words of the request, `paths` where it stands, or `change` for what is no member.

    `number` is a bound that the refusal named. `lasting` says that the model refuses it always, not this history only.
    `blocks` are digests of content blocks that are refused, wherever they come again.
    """

    name: str
    paths: tuple[Path, ...] = ()
    change: str = ""
    number: int | None = None
    lasting: bool = True
    blocks: frozenset[bytes] = frozenset()


def refused_by(text: str, kwargs: Mapping[str, Any]) -> TakeBack | None:
    """What the service's words take issue with, if it may be taken back and stands in the request."""
    asked = dict(kwargs)
    for words, read in _PATTERNS:
        match = words.search(text)
        take_back = read(match, kwargs) if match is not None else None
        if take_back is not None and without(asked, take_back) is not asked:
            return take_back
    return None


def without(kwargs: Kwargs, take_back: TakeBack) -> Kwargs:
    """The request without it; the very same where there is nothing to leave out."""
    changed = kwargs
    for path in take_back.paths:
        changed = _left_out(changed, path)
    if take_back.change:
        changed = _CHANGES[take_back.change](changed, take_back)
    if changed is kwargs or changed.get("messages") is kwargs.get("messages"):
        return changed
    notes = notes_of_request(kwargs)
    return changed if notes is NO_NOTES else {**changed, "messages": noted(changed["messages"], notes)}


# --- leaving out a member -----------------------------------------------------------------------------------------------


def _without_member(kwargs: Kwargs, *path: str) -> Kwargs:
    changed: Kwargs = _left_out(kwargs, path)
    return changed


def _left_out(value: Any, path: Path) -> Any:
    """`value` without what stands at the path, nor what is empty without it; the very same where nothing stands there."""
    key, rest = path[0], path[1:]
    if key == EACH:
        return _items_left_out(value, rest) if isinstance(value, list) else value
    if not isinstance(value, Mapping) or key not in value:
        return value
    if not rest:
        return {name: member for name, member in value.items() if name != key}
    member = _left_out(value[key], rest)
    if member is value[key]:
        return value
    if member or not value[key]:
        return {**value, key: member}
    if key == "content":
        return {**value, key: [{"text": EMPTY_TEXT}]}
    return {name: other for name, other in value.items() if name != key}


def _items_left_out(items: list[Any], rest: Path) -> list[Any]:
    changed = [_left_out(item, rest) for item in items]
    if all(new is old for new, old in zip(changed, items, strict=True)):
        return items
    return [new for new in changed if new or isinstance(new, str)]


def _paths(*dotted: str) -> tuple[Path, ...]:
    return tuple(tuple(path.split(".")) for path in dotted)


_BLOCK = "messages.*.content.*"
_CACHE_POINTS = {
    "messages": _paths(f"{_BLOCK}.cachePoint"),
    "system": _paths("system.*.cachePoint"),
    "toolConfig": _paths("toolConfig.tools.*.cachePoint"),
}
_EVERY_CACHE_POINT = tuple(path for paths in _CACHE_POINTS.values() for path in paths)
_TTL = tuple((*path, "ttl") for path in _EVERY_CACHE_POINT)

#: What may be taken back, by the last words of the name under which the service speaks of it, in lower case: its own
#: (`inferenceConfig.topP`) or the model's (`top_p`, `output_config.format`, `cache_control.ttl`).
_MEMBERS: dict[str, TakeBack] = {
    "temperature": TakeBack("temperature", _paths("inferenceConfig.temperature")),
    "topp": TakeBack("topP", _paths("inferenceConfig.topP", "additionalModelRequestFields.top_p")),
    "topk": TakeBack(
        "topK",
        _paths(
            "additionalModelRequestFields.top_k",
            "additionalModelRequestFields.topK",
            "additionalModelRequestFields.inferenceConfig.topK",
        ),
    ),
    "maxtokens": TakeBack("maxTokens", _paths("inferenceConfig.maxTokens")),
    "stopsequences": TakeBack("stopSequences", _paths("inferenceConfig.stopSequences")),
    "toolchoice": TakeBack("toolChoice", _paths("toolConfig.toolChoice")),
    "toolchoice.any": TakeBack("toolChoice", _paths("toolConfig.toolChoice")),
    "toolchoice.tool": TakeBack("toolChoice", _paths("toolConfig.toolChoice")),
    "toolchoice.auto": TakeBack("toolChoice", _paths("toolConfig.toolChoice")),
    "strict": TakeBack("toolSpec.strict", _paths("toolConfig.tools.*.toolSpec.strict")),
    "status": TakeBack("toolResult.status", change="status"),
    "signature": TakeBack("reasoningText.signature", _paths(f"{_BLOCK}.reasoningContent.reasoningText.signature")),
    "reasoningcontent": TakeBack("reasoningContent", _paths(f"{_BLOCK}.reasoningContent")),
    "reasoningtext": TakeBack("reasoningContent", _paths(f"{_BLOCK}.reasoningContent")),
    "outputconfig": TakeBack("outputConfig", change="outputConfig"),
    "outputconfig.textformat": TakeBack("outputConfig.textFormat", change="textFormat"),
    "outputconfig.format": TakeBack("outputConfig.textFormat", change="textFormat"),
    "textformat": TakeBack("outputConfig.textFormat", change="textFormat"),
    "outputconfig.effort": TakeBack(
        "outputConfig.effort", _paths("outputConfig.effort", "additionalModelRequestFields.output_config.effort")
    ),
    "performanceconfig": TakeBack("performanceConfig", _paths("performanceConfig")),
    "latency": TakeBack("performanceConfig", _paths("performanceConfig")),
    "servicetier": TakeBack("serviceTier", _paths("serviceTier")),
    "additionalmodelresponsefieldpaths": TakeBack(
        "additionalModelResponseFieldPaths", _paths("additionalModelResponseFieldPaths")
    ),
    "cachepoint": TakeBack("cachePoint", _EVERY_CACHE_POINT),
    "cachecontrol": TakeBack("cachePoint", _EVERY_CACHE_POINT),
    "ttl": TakeBack("cachePoint.ttl", _TTL),
    "citations": TakeBack("citations", _paths(f"{_BLOCK}.document.citations", f"{_BLOCK}.searchResult.citations")),
    "tooluse.type": TakeBack("toolUse.type", _paths(f"{_BLOCK}.toolUse.type")),
    "toolresult.type": TakeBack("toolResult.type", _paths(f"{_BLOCK}.toolResult.type")),
}


# --- changes that are more than a member --------------------------------------------------------------------------------


def _say_status_in_words(kwargs: Kwargs, _: TakeBack) -> Kwargs:
    """Results without `status`; that a tool failed is said in the result itself."""

    def worded(block: Any) -> Any:
        result = block.get("toolResult") if isinstance(block, Mapping) else None
        if not isinstance(result, Mapping) or "status" not in result:
            return block
        rest = {name: member for name, member in result.items() if name != "status"}
        if result["status"] == "error":
            rest["content"] = [{"text": FAILED_TEXT}, *result.get("content", ())]
        return {**block, "toolResult": rest}

    return _with_blocks(kwargs, worded)


def _with_blocks(kwargs: Kwargs, change: Callable[[Any], Any]) -> Kwargs:
    """The request with every content block changed; the very same where none was. None leaves a block out."""
    turns = kwargs.get("messages")
    if not isinstance(turns, list):
        return kwargs
    changed = [_with_content(turn, change) for turn in turns]
    same = all(new is old for new, old in zip(changed, turns, strict=True))
    return kwargs if same else {**kwargs, "messages": changed}


def _with_content(turn: Any, change: Callable[[Any], Any]) -> Any:
    content = turn.get("content") if isinstance(turn, Mapping) else None
    if not isinstance(content, list):
        return turn
    changed = [change(block) for block in content]
    if all(new is old for new, old in zip(changed, content, strict=True)):
        return turn
    return {**turn, "content": [block for block in changed if block is not None] or [{"text": EMPTY_TEXT}]}


def _ask_in_words(kwargs: Kwargs, _: TakeBack) -> Kwargs:
    """Without a native schema; the model is told of it instead."""
    schema = _find(kwargs, ("outputConfig", "textFormat", "structure", "jsonSchema", "schema"))
    left = _without_member(kwargs, "outputConfig", "textFormat")
    if left is kwargs or not isinstance(schema, str):
        return left
    told = {
        "text": "Your final answer is one JSON value and nothing else: no prose, no code fence. It has to match this JSON "
        f"Schema:\n{schema}"
    }
    return {**left, "system": [*left.get("system", ()), told]}


def _ask_in_words_for_all(kwargs: Kwargs, take_back: TakeBack) -> Kwargs:
    return _without_member(_ask_in_words(kwargs, take_back), "outputConfig")


def _part_results(kwargs: Kwargs, _: TakeBack) -> Kwargs:
    """Content beside tool results in a turn of its own; with nothing between, the service would join the two again."""
    turns = kwargs.get("messages") or []
    parted = [part for turn in turns for part in _parted(turn)]
    return kwargs if len(parted) == len(turns) else {**kwargs, "messages": parted}


def _parted(turn: Any) -> Iterator[Any]:
    content = turn.get("content") or []
    results = [block for block in content if "toolResult" in block]
    others = [block for block in content if "toolResult" not in block]
    if not results or not any("cachePoint" not in block for block in others):
        yield turn
        return
    yield {**turn, "content": results}
    yield {"role": "assistant", "content": [{"text": BRIDGE_TEXT}]}
    yield {**turn, "content": others}


def _stop_thinking(kwargs: Kwargs, _: TakeBack) -> Kwargs:
    """Without thinking where a tool choice is forced: the choice is what the caller asked for in so many words."""
    choice = _find(kwargs, ("toolConfig", "toolChoice"))
    if not isinstance(choice, Mapping) or "auto" in choice:
        return kwargs
    return _without_member(kwargs, "additionalModelRequestFields", "thinking")


def _keep_below(kwargs: Kwargs, take_back: TakeBack) -> Kwargs:
    asked = _find(kwargs, ("inferenceConfig", "maxTokens"))
    if take_back.number is None or not isinstance(asked, int) or asked < take_back.number:
        return kwargs
    return {**kwargs, "inferenceConfig": {**kwargs["inferenceConfig"], "maxTokens": take_back.number - 1}}


def _drop_blocks(kwargs: Kwargs, take_back: TakeBack) -> Kwargs:
    """Without the reasoning blocks that were refused before; others stay."""
    if not take_back.blocks:
        return kwargs
    return _with_blocks(kwargs, lambda block: None if _digest_of(block) in take_back.blocks else block)


def _find(value: Any, path: Path) -> Any:
    for key in path:
        value = value.get(key) if isinstance(value, Mapping) else None
    return value


_CHANGES: dict[str, Callable[[Kwargs, TakeBack], Kwargs]] = {
    "status": _say_status_in_words,
    "textFormat": _ask_in_words,
    "outputConfig": _ask_in_words_for_all,
    "same turn": _part_results,
    "thinking": _stop_thinking,
    "below": _keep_below,
    "blocks": _drop_blocks,
}


# --- reasoning that was refused -----------------------------------------------------------------------------------------


def _digest_of(block: Any) -> bytes | None:
    """What tells a reasoning block from others: of its encrypted data, or of its signature; None for other blocks."""
    reasoning = block.get("reasoningContent") if isinstance(block, Mapping) else None
    if not isinstance(reasoning, Mapping):
        return None
    data = reasoning.get("redactedContent") or (reasoning.get("reasoningText") or {}).get("signature") or b""
    return blake2b(data.encode() if isinstance(data, str) else bytes(data), digest_size=16).digest()


def _reasoning(kwargs: Mapping[str, Any], member: str) -> frozenset[bytes]:
    """Digests of all reasoning blocks that have the member."""
    blocks = (block for turn in kwargs.get("messages") or () for block in turn.get("content") or ())
    digests = (_digest_of(block) for block in blocks if member in (block.get("reasoningContent") or ()))
    return frozenset(digest for digest in digests if digest is not None)


# --- reading refusals ---------------------------------------------------------------------------------------------------

Read = Callable[[re.Match[str], Mapping[str, Any]], TakeBack | None]


def _named(match: re.Match[str], kwargs: Mapping[str, Any]) -> TakeBack | None:
    """A member that the refusal names: one of the table, or a field that is the model's own."""
    parts = [part for part in re.split(r"[.\[\]]+", match["field"]) if part]
    plain = [part.replace("_", "").lower() for part in parts]
    for length in (2, 1):
        found = _MEMBERS.get(".".join(plain[-length:]))
        if found is not None and len(plain) >= length:
            return found
    return _own_field(parts, kwargs)


def _own_field(parts: list[str], kwargs: Mapping[str, Any]) -> TakeBack | None:
    """A field in `additionalModelRequestFields`; one that has to do with guardrails is never taken back."""
    fields = kwargs.get("additionalModelRequestFields")
    if not parts or not isinstance(fields, Mapping) or any("guard" in part.lower() for part in parts):
        return None
    if parts[0] == "additionalModelRequestFields":
        parts = parts[1:]
    if not parts or _find(fields, tuple(parts)) is None:
        return None
    return TakeBack(".".join(parts), (("additionalModelRequestFields", *parts),))


def _extraneous(match: re.Match[str], kwargs: Mapping[str, Any]) -> TakeBack | None:
    """A key that has no place where the pointer says; a cache point goes from that part of the request only."""
    where = (match["where"] or "").lstrip("#/").split("/")
    if match["field"] in ("cachePoint", "cache_control") and where[0] in _CACHE_POINTS:
        return TakeBack(f"{where[0]}.cachePoint", _CACHE_POINTS[where[0]])
    return _named(match, kwargs)


def _always(take_back: TakeBack) -> Read:
    return lambda _match, _kwargs: take_back


def _foreign_reasoning(member: str, name: str) -> Read:
    def read(_: re.Match[str], kwargs: Mapping[str, Any]) -> TakeBack:
        return TakeBack(name, change="blocks", blocks=_reasoning(kwargs, member))

    return read


def _bound(match: re.Match[str], _: Mapping[str, Any]) -> TakeBack:
    return TakeBack("maxTokens", change="below", number=int(match["number"]))


def _pattern(text: str, read: Read) -> tuple[re.Pattern[str], Read]:
    return pattern(text, re.IGNORECASE), read


#: The service's words; the first that names something which stands in the request decides.
_PATTERNS: tuple[tuple[re.Pattern[str], Read], ...] = (
    _pattern(r"doesn.t support the (?P<field>[\w.]+) field", _named),
    _pattern(r"(?:(?P<where>#[/\w]*): )?extraneous key \[(?P<field>[\w.]+)\] is not permitted", _extraneous),
    # Begun where the name begins only: a refusal may quote 70 000 letters, and took minutes to read.
    _pattern(r"(?<![\w.\[\]])(?P<field>[\w.\[\]]+): extra inputs are not permitted", _named),
    _pattern(r"`(?P<field>\w+)` is deprecated for this model", _named),
    _pattern(r"`temperature` and `top_p` cannot both be specified", _always(_MEMBERS["topp"])),
    _pattern(
        r"cannot be provided in the same turn", _always(TakeBack("content beside tool results", change="same turn"))
    ),
    # Of a global profile: another region answered this time (NousResearch/hermes-agent, after 0.19).
    _pattern(
        r"encrypted content cannot be used in a different region",
        _foreign_reasoning("redactedContent", "redactedContent"),
    ),
    _pattern(
        r"invalid `?signature`? in `?thinking`?|thinking\.signature: field required",
        _foreign_reasoning("reasoningText", "reasoningText"),
    ),
    _pattern(
        r"expected `?thinking`? or `?redacted_thinking`?",
        _always(TakeBack("thinking", _paths("additionalModelRequestFields.thinking"), lasting=False)),
    ),
    _pattern(r"user messages cannot contain reasoning content", _always(_MEMBERS["reasoningcontent"])),
    _pattern(r"cache point cannot be inserted|nothing available to cache", _always(_MEMBERS["cachepoint"])),
    _pattern(r"did not allow prompt caching", _always(_MEMBERS["cachepoint"])),
    _pattern(r"extended ttl prompt caching|ttl=.1h. cache_control block", _always(_MEMBERS["ttl"])),
    _pattern(
        r"tool_choice: type .{0,40}not supported|tool choice .{0,40}not supported", _always(_MEMBERS["toolchoice"])
    ),
    _pattern(r"thinking may not be enabled when tool_choice forces", _always(TakeBack("thinking", change="thinking"))),
    _pattern(r"maximum tokens value that is lower than (?P<number>\d+)", _bound),
    _pattern(r"doesn.t support citations|citations cannot be enabled", _always(_MEMBERS["citations"])),
    _pattern(r"service ?tier.{0,60}not supported", _always(_MEMBERS["servicetier"])),
    _pattern(r"(?:performance ?config|latency).{0,60}not supported", _always(_MEMBERS["performanceconfig"])),
)
