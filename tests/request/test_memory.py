"""A memory changes what building costs and nothing else: whatever the history, however it grew, whoever changed what."""

from __future__ import annotations

import base64
import contextlib
import copy
import json
import threading
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.bedrock.carriers import ReasoningStore
from agent.bedrock.errors import InvalidRequestError
from agent.bedrock.models.profiles import profile_for
from agent.bedrock.request import memory as memory_module
from agent.bedrock.request import messages as messages_module
from agent.bedrock.request.build import build_request
from agent.bedrock.request.context import Context
from agent.bedrock.request.memory import ConversationMemory
from agent.bedrock.request.options import RequestOptions
from tests.request.hostile import MODELS, PNG, hostile
from tests.request.test_any_history import message

CLAUDE = "us.anthropic.claude-sonnet-4-5-20250929-v1:0"
TOOLS = [{"type": "function", "function": {"name": "f", "parameters": {"type": "object", "properties": {}}}}]


def exchange(number: int) -> list[dict[str, Any]]:
    function = {"name": "f", "arguments": json.dumps({"n": number, "yes": True})}
    call = {"id": f"call_{number}", "type": "function", "function": function}
    return [
        {"role": "assistant", "content": f"I call {number}.", "tool_calls": [call]},
        {"role": "tool", "tool_call_id": f"call_{number}", "content": f"result {number}"},
    ]


def conversation(exchanges: int) -> list[dict[str, Any]]:
    opening: list[dict[str, Any]] = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Begin."}]
    return opening + [message for number in range(exchanges) for message in exchange(number)]


def built(*given: Any, memory: ConversationMemory | None = None, **options: Any) -> Any:
    """What is built, in a form that shows every difference; or the refusal."""
    try:
        request = build_request(*given, memory=memory, **options)
    except InvalidRequestError as error:
        return repr(error), str(error)
    return repr(request.kwargs), request.repairs, request.tool_names


@pytest.fixture
def read(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The indexes of the messages that are read."""
    seen: list[int] = []
    genuine = messages_module._read

    def noting(messages: Any, since: int, until: int, *more: Any) -> None:
        seen.extend(range(since, until))
        genuine(messages, since, until, *more)

    monkeypatch.setattr(messages_module, "_read", noting)
    return seen


def test_a_history_that_grows_is_read_from_where_it_grew(read: list[int]) -> None:
    memory = ConversationMemory()
    for exchanges in range(8, 20):
        read.clear()
        messages = conversation(exchanges)
        assert built(CLAUDE, messages, TOOLS, memory=memory) == built(CLAUDE, messages, TOOLS)
        count = len(messages)
        del read[-count:]  # what was read without the memory
        if exchanges >= 10:
            assert read == list(range(count - 6, count)), "the four newest of last time, and two new ones"


def test_equal_messages_in_other_objects_are_known_too(read: list[int]) -> None:
    memory = ConversationMemory()
    for _ in range(3):
        read.clear()
        build_request(CLAUDE, copy.deepcopy(conversation(20)), TOOLS, memory=memory)
    assert len(read) == 4


@pytest.mark.parametrize("part", range(4))
def test_hostile_histories_grow_with_a_memory_as_without(part: int) -> None:
    memory = ConversationMemory()
    for seed in range(part, 160, 4):
        case = hostile(seed)
        longer = [*case.messages, *conversation(6)[2:], *case.messages]
        for end in range(12, len(longer) + 1, 3):
            grown = longer[:end]
            expected = built(case.model, grown, case.tools, **case.options)
            assert built(case.model, grown, case.tools, memory=memory, **case.options) == expected, (seed, end)


@settings(max_examples=60, deadline=None)
@given(
    model=st.sampled_from(MODELS),
    messages=st.lists(message, min_size=14, max_size=22),
    growth=st.lists(st.lists(message, min_size=1, max_size=3), min_size=2, max_size=4),
    options=st.sampled_from([{}, {"strict": True}, {"citations": True}, {"prompt_caching": False}]),
)
def test_whatever_is_said_builds_the_same_with_a_memory(
    model: str, messages: list[Any], growth: list[list[Any]], options: dict[str, Any]
) -> None:
    memory = ConversationMemory()
    before = repr([messages, growth])
    grown = messages
    for more in growth:
        assert built(model, grown, TOOLS, memory=memory, **options) == built(model, grown, TOOLS, **options)
        grown = [*grown, *more]
    assert built(model, grown, TOOLS, memory=memory, **options) == built(model, grown, TOOLS, **options)
    assert repr([messages, growth]) == before


def change_text(messages: list[Any]) -> None:
    messages[3]["content"] = "another result"


def change_arguments(messages: list[Any]) -> None:
    messages[4]["tool_calls"][0]["function"]["arguments"] = '{"n": 1.0}'


def add_a_carrier(messages: list[Any]) -> None:
    messages[2]["reasoning_details"] = [{"type": "reasoning.text", "text": "why", "signature": "c2ln"}]


def take_one_out(messages: list[Any]) -> None:
    del messages[2:4]


def change_the_system(messages: list[Any]) -> None:
    messages[0]["content"] = "Be long."


def nest_deeper(messages: list[Any]) -> None:
    messages[1]["content"] = [{"type": "text", "text": "Begin."}, {"type": "text", "text": "Now."}]


@pytest.mark.parametrize(
    "change", [change_text, change_arguments, add_a_carrier, take_one_out, change_the_system, nest_deeper]
)
def test_an_old_message_that_was_changed_is_read_as_it_is_now(change: Any) -> None:
    memory = ConversationMemory()
    messages = conversation(20)
    for _ in range(3):
        build_request(CLAUDE, messages, TOOLS, memory=memory)
    change(messages)
    assert built(CLAUDE, messages, TOOLS, memory=memory) == built(CLAUDE, messages, TOOLS)


def test_what_somebody_did_to_a_request_is_not_in_the_next_one() -> None:
    memory = ConversationMemory()
    messages = conversation(20)
    expected = built(CLAUDE, messages, TOOLS)
    for _ in range(4):
        kwargs = build_request(CLAUDE, messages, TOOLS, memory=memory).kwargs
        kwargs["messages"][2]["content"][0]["toolResult"]["content"][0]["text"] = "[removed]"
        kwargs["messages"][3]["content"][1]["toolUse"]["input"]["n"] = 1.0
        kwargs["messages"][4]["content"].clear()
        kwargs["toolConfig"]["tools"][0]["toolSpec"]["description"] = "[removed]"
        kwargs["toolConfig"]["tools"].append({})
        kwargs["system"][0]["text"] = "[removed]"
        kwargs["system"].clear()
        assert built(CLAUDE, messages, TOOLS, memory=memory) == expected


def test_neither_is_what_somebody_did_to_the_media_of_a_system_message() -> None:
    memory = ConversationMemory()
    picture = {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{base64.b64encode(PNG).decode()}"}}
    messages = conversation(20)
    messages[0] = {"role": "system", "content": [{"type": "text", "text": "Look:"}, picture]}
    expected = built(CLAUDE, messages, TOOLS)
    for _ in range(4):
        kwargs = build_request(CLAUDE, messages, TOOLS, memory=memory).kwargs
        kwargs["messages"][0]["content"][0]["image"]["format"] = "[removed]"
        assert built(CLAUDE, messages, TOOLS, memory=memory) == expected


def test_another_model_or_other_options_are_other_conversations() -> None:
    memory = ConversationMemory()
    messages = conversation(20)
    nova = "us.amazon.nova-pro-v1:0"
    for _ in range(3):
        build_request(CLAUDE, messages, TOOLS, memory=memory)
    for model, options in ((nova, {}), (CLAUDE, {"base_model": nova}), (CLAUDE, {"citations": True})):
        assert built(model, messages, TOOLS, memory=memory, **options) == built(model, messages, TOOLS, **options)


class Store:
    """Finds nothing, and cannot be hashed."""

    __hash__ = None  # type: ignore[assignment]

    def look_up(self, *_: Any) -> None:
        return None

    def remember(self, _: Any) -> None:
        """Keep nothing."""


def test_a_reasoning_store_of_the_callers_own_need_not_be_hashable(read: list[int]) -> None:
    memory = ConversationMemory()
    store = Store()
    for _ in range(3):
        read.clear()
        build_request(CLAUDE, conversation(20), TOOLS, memory=memory, reasoning_store=store)
    assert len(read) == 4
    read.clear()
    build_request(CLAUDE, conversation(20), TOOLS, memory=memory, reasoning_store=Store())
    assert len(read) == len(conversation(20)), "what another store knows is not known yet"


def test_reasoning_that_the_store_was_told_to_forget_is_not_sent_again() -> None:
    memory, store = ConversationMemory(), ReasoningStore()
    messages = conversation(20)
    block = {"reasoningContent": {"reasoningText": {"text": "Hm", "signature": "sig"}}}
    store.remember({**messages[2], "bedrock_content_blocks": [block, {"text": messages[2]["content"]}]})
    for _ in range(3):
        kwargs = build_request(CLAUDE, messages, TOOLS, memory=memory, reasoning_store=store).kwargs
    assert block in kwargs["messages"][1]["content"]
    store.clear()
    kwargs = build_request(CLAUDE, messages, TOOLS, memory=memory, reasoning_store=store).kwargs
    assert block not in kwargs["messages"][1]["content"]


def test_tools_that_were_changed_are_converted_as_they_are_now() -> None:
    memory = ConversationMemory()
    tools: list[Any] = copy.deepcopy(TOOLS)
    for _ in range(3):
        build_request(CLAUDE, conversation(1), tools, memory=memory)
    tools[0]["function"]["parameters"] = {"type": "object", "properties": {"x": {"type": "string"}}}
    assert built(CLAUDE, conversation(1), tools, memory=memory) == built(CLAUDE, conversation(1), tools)
    aliased = [{"type": "function", "function": {"name": "my.tool"}}]
    for _ in range(4):
        assert built(CLAUDE, conversation(1), aliased, memory=memory) == built(CLAUDE, conversation(1), aliased)


def test_properties_in_another_order_are_other_tools() -> None:
    memory = ConversationMemory()
    names = ["reason", "answer"]
    for _ in range(6):
        schema = {"type": "object", "properties": {name: {"type": "string"} for name in names}}
        tools = [{"type": "function", "function": {"name": "answer", "parameters": schema}}]
        kwargs = build_request(CLAUDE, conversation(1), tools, memory=memory).kwargs
        sent = kwargs["toolConfig"]["tools"][0]["toolSpec"]["inputSchema"]["json"]["properties"]
        assert list(sent) == names
        names.reverse()


def test_what_is_fetched_is_fetched_again() -> None:
    memory = ConversationMemory()
    page = {"type": "image_url", "image_url": {"url": "https://example.com/now.png"}}
    messages = [conversation(0)[0], {"role": "user", "content": [page]}, *conversation(10)[2:]]
    fetched: list[str] = []

    def fetch(url: str) -> tuple[bytes, str]:
        fetched.append(url)
        return b"\x89PNG\r\n\x1a\n" + bytes([len(fetched)]) * 24, "image/png"

    for _ in range(4):
        build_request(CLAUDE, messages, TOOLS, memory=memory, fetch=fetch)
    assert len(fetched) == 4


class _Watched:
    """Options that note which of them is asked for."""

    def __init__(self, options: RequestOptions) -> None:
        self.options = options
        self.asked: set[str] = set()

    def __getattr__(self, name: str) -> Any:
        self.asked.add(name)
        return getattr(self.options, name)


def test_the_terms_name_every_option_that_reading_looks_at() -> None:
    asked: set[str] = set()
    for seed in range(300):
        case = hostile(seed)
        options: Any = _Watched(RequestOptions(**{**case.options, "fetch": None}))
        with contextlib.suppress(InvalidRequestError):
            messages_module.read_messages(case.messages, Context(case.model, profile_for(case.model), options))
        asked |= options.asked
    terms: Any = _Watched(RequestOptions())
    memory_module._terms(Context("m", profile_for("m"), terms))
    assert {"strict", "reasoning_store", "citations"} <= asked
    assert asked - {"fetch"} <= terms.asked


def test_threads_that_share_a_memory_build_each_their_own() -> None:
    memory = ConversationMemory()
    wrong: list[str] = []

    def converse(name: str) -> None:
        messages = conversation(8)
        messages[1]["content"] = name
        for number in range(8, 40):
            messages += exchange(number)
            if built(CLAUDE, messages, TOOLS, memory=memory) != built(CLAUDE, messages, TOOLS):
                wrong.append(name)

    threads = [threading.Thread(target=converse, args=(name,)) for name in "aabbcd"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


def test_pictures_count_in_what_a_memory_holds() -> None:
    memory = ConversationMemory(limit=3_000_000)
    for number in range(6):
        messages = conversation(10)
        data = base64.b64encode(PNG + bytes([number]) * 600_000).decode()
        messages[1]["content"] = [{"type": "image_url", "image_url": {"url": f"data:image/png;base64,{data}"}}]
        for _ in range(2):
            build_request(CLAUDE, messages, TOOLS, memory=memory)
    assert 1 <= len(memory._conversations._kept) <= 2


def test_a_memory_is_bounded() -> None:
    memory = ConversationMemory(limit=200_000)
    for number in range(30):
        messages = conversation(10)
        messages[1]["content"] = f"{number}" * 1000
        for _ in range(2):
            build_request(CLAUDE, messages, TOOLS, memory=memory)
    weights = [entry.weight for entry in memory._conversations._kept.values()]
    assert weights
    assert sum(weights) <= 200_000
