"""Requests serialized by plan: the outcome is botocore's in every case, whatever the request, and whoever listens."""

from __future__ import annotations

import base64
import copy
import enum
import json
import threading
import uuid
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from decimal import Decimal
from functools import cache
from typing import Any

import boto3
import pytest
from botocore.client import BaseClient
from botocore.config import Config
from botocore.model import OperationModel, ServiceModel
from botocore.stub import ANY, Stubber
from hypothesis import example, given, settings
from hypothesis import strategies as st

from agent.bedrock import blobs
from agent.bedrock.aws import fragments, plan
from agent.bedrock.aws.clients import build_runtime_client
from agent.bedrock.aws.credentials import Credentials
from agent.bedrock.aws.serializer import install_fast_requests
from agent.bedrock.aws.settings import ClientSettings
from agent.bedrock.notes import CallNotes, noted
from agent.bedrock.testing import FakeBedrock, Reply

MODEL = "us.anthropic.claude-sonnet-4-5-20250929-v1:0"
PNG = b"\x89PNG\r\n\x1a\n" + bytes(range(256)) * 8
LONG = 'a long text with "quotes", \\ and ünïcödé \U0001f600\n' * 40

EVERYTHING: dict[str, Any] = {
    "modelId": MODEL,
    "system": [{"text": "Be brief."}, {"cachePoint": {"type": "default"}}],
    "messages": [
        {
            "role": "user",
            "content": [
                {"text": LONG},
                {"image": {"format": "png", "source": {"bytes": PNG}}},
                {"document": {"format": "txt", "name": "notes", "source": {"bytes": b"small"}}},
            ],
        },
        {
            "role": "assistant",
            "content": [
                {
                    "toolUse": {
                        "toolUseId": "t",
                        "name": "f",
                        "input": {"a": [1, 2.5, None, True, LONG], "ä": {"": -0.0}},
                    }
                },
                {"reasoningContent": {"reasoningText": {"text": "hm", "signature": "s"}}},
                {"reasoningContent": {"redactedContent": b"\x00\xff" * 600}},
            ],
        },
        {
            "role": "user",
            "content": [
                {
                    "toolResult": {
                        "toolUseId": "t",
                        "status": "success",
                        "content": [{"text": LONG}, {"json": {"n": 1e300}}, {"text": "short"}],
                    }
                }
            ],
        },
    ],
    "inferenceConfig": {"maxTokens": 100, "temperature": 0.5, "topP": 1, "stopSequences": ["x", "y"]},
    "toolConfig": {
        "tools": [{"toolSpec": {"name": "f", "description": "d", "inputSchema": {"json": {"type": "object"}}}}],
        "toolChoice": {"auto": {}},
    },
    "additionalModelRequestFields": {"top_k": 5, "nested": {"deep": [{}]}},
    "additionalModelResponseFieldPaths": ["/stop_sequence"],
    "requestMetadata": {"team": "a"},
    "guardrailConfig": {"guardrailIdentifier": "g", "guardrailVersion": "1", "trace": "enabled"},
    "promptVariables": {"who": {"text": "me"}},
    "performanceConfig": {"latency": "standard"},
}


def known(shape: Any, value: Any) -> Any:
    """The value without what the installed botocore does not know."""
    if shape.type_name == "structure" and isinstance(value, dict) and not shape.is_document_type:
        kept = {name: known(shape.members[name], member) for name, member in value.items() if name in shape.members}
        return {name: member for name, member in kept.items() if member not in ({}, []) or not value[name]}
    if shape.type_name == "list":
        return [item for item in (known(shape.member, item) for item in value) if item != {}]
    return value


# --- what is sent -------------------------------------------------------------------------------------------------


class Sent(Exception):  # noqa: N818 - not an error: it ends a call that got as far as the network
    """The request as it would have gone out."""


@cache
def session() -> Any:
    """One session: its second client costs a fraction of the first."""
    return boto3.session.Session()


def capturing_client(**config: Any) -> Any:
    """A client of boto3 that raises `Sent` in place of sending."""
    client = session().client(
        "bedrock-runtime",
        region_name="us-east-1",
        aws_access_key_id="AKIDEXAMPLE",
        aws_secret_access_key="not-a-secret",
        config=Config(retries={"total_max_attempts": 1}, **config),
    )

    def capture(request: Any, **_: Any) -> None:
        raise Sent(request.url, request.body, dict(request.headers))

    client.meta.events.register("before-send", capture)
    return client


FULL: dict[str, Any] = known(capturing_client().meta.service_model.operation_model("Converse").input_shape, EVERYTHING)


@cache
def bare() -> Any:
    return capturing_client()


@cache
def fast() -> Any:
    client = capturing_client()
    install_fast_requests(client)
    return client


def request_of(client: Any, parameters: Mapping[str, Any], method: str = "converse") -> tuple[str, bytes, Any]:
    with pytest.raises(Sent) as sent:
        getattr(client, method)(**parameters)
    url, body, headers = sent.value.args
    return url, body, headers


def outcome(client: Any, parameters: Mapping[str, Any], method: str = "converse") -> tuple[Any, ...]:
    """What became of a call: URL, content type and JSON, or the error and its text."""
    try:
        getattr(client, method)(**parameters)
    except Sent as sent:
        url, body, headers = sent.args
        return url, headers["Content-Type"], json.dumps(json.loads(body), sort_keys=True)
    except Exception as error:  # noqa: BLE001 - that any error is the same is what is tested
        return type(error).__name__, str(error)
    raise AssertionError("neither sent nor refused")


def is_ours(body: bytes) -> bool:
    """botocore puts blanks behind commas and colons; we do not."""
    return b'": ' not in body.split(b'"text"')[0]


@pytest.fixture(params=["orjson", "json"], autouse=True)
def encoder(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    if request.param == "json":
        monkeypatch.setattr(fragments, "orjson_if_installed", lambda: None)
    else:
        pytest.importorskip("orjson")
    return str(request.param)


@pytest.mark.parametrize("method", ["converse", "converse_stream"])
def test_a_request_with_everything_in_it_says_what_botocore_says(method: str) -> None:
    url, body, headers = request_of(fast(), FULL, method)
    expected_url, expected, expected_headers = request_of(bare(), FULL, method)
    assert is_ours(body)
    assert not is_ours(expected)
    assert (url, json.loads(body)) == (expected_url, json.loads(expected))
    assert headers["Content-Type"] == expected_headers["Content-Type"]
    assert int(headers["Content-Length"]) == len(body)


@pytest.mark.parametrize(
    ("why", "document"),
    [
        ("a lone surrogate", {"text": "\ud800 and \udfff"}),
        ("a surrogate in a long text", {"text": LONG + "\udc00"}),
        ("a surrogate in a key", {"\ud800": 1}),
        ("more than 64 bits", {"n": 2**70, "m": -(2**64)}),
        ("keys that are no text", {1: "a", 2.5: "b", None: "c", False: "d"}),
        ("floats", {"a": 1e16, "b": 1e-7, "c": 5e-324, "d": 1.7976931348623157e308, "e": 0.1, "f": -0.0}),
        ("every ASCII character", {"".join(map(chr, range(128))): "".join(map(chr, range(256)))}),
        ("line separators and emoji", {"t": "\u2028\u2029 \U0001f469\u200d\U0001f680 \x00\x1f\x7f"}),
        ("deep nesting", {"d": [[[[[[[[[[[[{"e": []}]]]]]]]]]]]]}),
        ("what orjson finds too deep", {"d": json.loads("[" * 300 + "]" * 300)}),
        ("nothing", {}),
    ],
)
def test_json_means_the_same(why: str, document: dict[Any, Any]) -> None:
    parameters = {"modelId": "m", "messages": [], "additionalModelRequestFields": document}
    body, expected = request_of(fast(), parameters)[1], request_of(bare(), parameters)[1]
    assert repr(json.loads(body)) == repr(json.loads(expected)), why
    assert is_ours(body), why


def test_a_request_that_carries_notes_is_serialized_like_any_other() -> None:
    parameters = {**FULL, "messages": noted(FULL["messages"], CallNotes("m"))}
    assert is_ours(request_of(fast(), parameters)[1])
    assert outcome(fast(), parameters) == outcome(bare(), FULL)


def test_tuples_are_lists() -> None:
    parameters = {**FULL, "messages": tuple(FULL["messages"])}
    assert is_ours(request_of(fast(), parameters)[1])
    assert outcome(fast(), parameters) == outcome(bare(), FULL)


def test_the_callers_objects_are_left_alone() -> None:
    parameters = copy.deepcopy(FULL)
    request_of(fast(), parameters)
    assert parameters == FULL


# --- edited in every way ------------------------------------------------------------------------------------------


class Text(str):
    __slots__ = ()


class Colour(enum.Enum):
    RED = "red"


class ColourText(enum.StrEnum):
    RED = "red"


class Dict(dict):  # type: ignore[type-arg]
    pass


class Whole(int):
    pass


ODD_VALUES: list[Any] = [
    None, True, False, 0, 1, -1, 2**70, 1.5, -0.5, float("nan"), float("inf"), Decimal("0.5"), 1j, "", "x", LONG, "\ud800",
    b"", b"x", PNG, bytearray(b"ab"), bytearray(PNG), memoryview(b"ab"), [], (), {}, [None], [[]], {"text": "x"},
    {"text": "x", "image": {}}, {"unknown": 1}, {1: 2}, {"bytes": "dGV4dA=="}, OrderedDict(text="x"), Dict(text="x"),
    Text("x"), Whole(3), Colour.RED, ColourText.RED, uuid.UUID(int=1), datetime(2025, 1, 1, tzinfo=UTC), {"a"},
    frozenset(), range(2), iter(()), [{"text": "x"}], ({"text": "x"},), {"json": {"a": (1, 2)}}, {"json": [Decimal(1)]},
]  # fmt: skip


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Every place in nested data, the root aside."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, member in items:
        yield (*path, key)
        yield from places(member, (*path, key))


PLACES = sorted(places(FULL), key=repr)


def edited(path: tuple[Any, ...], edit: Callable[[Any, Any], None]) -> dict[str, Any]:
    parameters = copy.deepcopy(FULL)
    inner: Any = parameters
    for key in path[:-1]:
        inner = inner[key]
    edit(inner, path[-1])
    return parameters


def replace(value: Any) -> Callable[[Any, Any], None]:
    return lambda inner, key: inner.__setitem__(key, value)


def remove(inner: Any, key: Any) -> None:
    del inner[key]


def add(name: Any, value: Any) -> Callable[[Any, Any], None]:
    """Something beside: another member, another item."""

    def edit(inner: Any, key: Any) -> None:
        if isinstance(inner, dict):
            inner[name] = value
        else:
            inner.append(value)

    return edit


def twice(inner: Any, key: Any) -> None:
    """The same object at two places."""
    if isinstance(inner, list):
        inner.append(inner[key])
    else:
        inner["text"] = inner[key]


NAMES = ["text", "image", "bytes", "extra", "", 1, None, "modelId", "toolUseId", "json", "SDK_UNKNOWN_MEMBER"]
EDITS = st.one_of(
    st.sampled_from(ODD_VALUES).map(replace),
    st.just(remove),
    st.builds(add, st.sampled_from(NAMES), st.sampled_from(ODD_VALUES)),
    st.just(twice),
)


def same_outcome(parameters: dict[Any, Any], method: str = "converse") -> None:
    given_names = {name: value for name, value in parameters.items() if isinstance(name, str)}
    assert outcome(fast(), given_names, method) == outcome(bare(), given_names, method)


@given(path=st.sampled_from(PLACES), edit=EDITS)
@example(path=("additionalModelRequestFields",), edit=replace(None))
def test_a_request_edited_anywhere_ends_as_botocore_has_it_end(path: tuple[Any, ...], edit: Any) -> None:
    same_outcome(edited(path, edit))


@given(edits=st.lists(st.tuples(st.sampled_from(PLACES), EDITS), min_size=2, max_size=4))
def test_several_edits_give_the_same_report(edits: list[Any]) -> None:
    parameters = copy.deepcopy(FULL)
    for path, edit in edits:
        inner: Any = parameters
        try:
            for key in path[:-1]:
                inner = inner[key]
            edit(inner, path[-1])
        except (KeyError, IndexError, TypeError, AttributeError):
            continue  # an earlier edit took the place away
    same_outcome(parameters, "converse_stream")


@pytest.mark.parametrize(
    "path",
    [
        ("modelId",),
        ("messages",),
        ("messages", 1, "role"),
        ("messages", 0, "content", 1, "image", "source", "bytes"),
        ("messages", 1, "content", 0, "toolUse", "input"),
        ("messages", 1, "content", 0, "toolUse", "toolUseId"),
        ("inferenceConfig", "maxTokens"),
        ("inferenceConfig", "temperature"),
        ("requestMetadata", "team"),
        ("additionalModelRequestFields", "top_k"),
        ("toolConfig", "tools"),
    ],
    ids=lambda path: ".".join(map(str, path)),
)
def test_every_odd_value_at_every_kind_of_place(path: tuple[Any, ...]) -> None:
    if path[0] not in FULL:
        pytest.skip("this botocore does not know it")
    for value in ODD_VALUES:
        same_outcome(edited(path, replace(value)))


def test_a_request_that_contains_itself_fails_as_ever() -> None:
    circle: dict[str, Any] = {}
    circle["again"] = circle
    parameters = {"modelId": "m", "messages": [], "additionalModelRequestFields": circle}
    assert outcome(fast(), parameters)[0] == outcome(bare(), parameters)[0] == "RecursionError"


def test_the_text_that_stands_for_a_part_in_the_making_is_harmless_in_a_request(encoder: str) -> None:
    image = {"image": {"format": "png", "source": {"bytes": PNG}}}
    parameters = {
        "modelId": "m",
        "messages": [{"role": "user", "content": [{"text": f"{fragments._MARK}0"}, image]}],
    }
    same_outcome(parameters)
    assert is_ours(request_of(fast(), parameters)[1]) is (encoder == "orjson")


# --- whatever the service model allows -----------------------------------------------------------------------------


def values_of(shape: Any, depth: int = 0) -> st.SearchStrategy[Any]:
    """Valid values of a shape, after botocore's own model."""
    kind = shape.type_name
    if kind == "structure":
        return documents() if shape.is_document_type else structures(shape, depth)
    if kind == "list":
        least = max(shape.metadata.get("min", 0), 1 if depth < 8 else 0)
        return st.deferred(lambda: st.lists(values_of(shape.member, depth + 1), min_size=least, max_size=2))
    if kind == "map":
        return st.dictionaries(values_of(shape.key), values_of(shape.value, depth + 1), max_size=2)
    if kind == "string":
        return st.text(min_size=shape.metadata.get("min", 0), max_size=20) | st.just(LONG)
    if kind in ("integer", "long"):
        return st.integers(min_value=shape.metadata.get("min"))
    if kind in ("float", "double"):
        return st.floats(min_value=shape.metadata.get("min"), allow_nan=False, allow_infinity=False) | st.integers(0, 9)
    return {"blob": st.sampled_from([b"x", PNG, bytearray(b"y")]), "boolean": st.booleans()}[kind]


def documents() -> st.SearchStrategy[Any]:
    leaves = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text()
    return st.dictionaries(
        st.text(), st.recursive(leaves, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner))
    )


def structures(shape: Any, depth: int) -> st.SearchStrategy[Any]:
    members = {name: st.deferred(lambda m=member: values_of(m, depth + 1)) for name, member in shape.members.items()}
    if shape.is_tagged_union:
        return st.sampled_from(sorted(members)).flatmap(lambda name: st.fixed_dictionaries({name: members[name]}))
    required = {name: members.pop(name) for name in shape.required_members}
    return st.fixed_dictionaries(required, optional={} if depth > 12 else members)


@settings(max_examples=25)
@given(data=st.data())
def test_any_request_of_the_service_model_is_taken_and_says_what_botocore_says(data: st.DataObject) -> None:
    shape = bare().meta.service_model.operation_model("Converse").input_shape
    parameters = data.draw(structures(shape, 0).map(lambda drawn: {**drawn, "modelId": "m"}))
    assert outcome(fast(), parameters) == outcome(bare(), parameters)
    taken = fragments.Encoder().encode(
        plan.compile_plan(fast().meta.service_model.operation_model("Converse")), parameters
    )
    assert isinstance(taken, bytes)


# --- encoded once, never stale --------------------------------------------------------------------------------------


def history(turns: int) -> list[dict[str, Any]]:
    """Turns that share their long texts and images with each other's rebuilt histories, as a caller's do."""
    return [
        {
            "role": "user" if index % 2 == 0 else "assistant",
            "content": [{"text": TEXTS[index]}, {"image": {"format": "png", "source": {"bytes": IMAGES[index]}}}],
        }
        for index in range(turns)
    ]


TEXTS = [f"{index} {LONG}" for index in range(40)]
IMAGES = [PNG + bytes([index]) * 2000 for index in range(40)]


@pytest.fixture
def own() -> Iterator[Any]:
    client = capturing_client()
    install_fast_requests(client)
    yield client
    client.close()


def sent_messages(client: Any, messages: Any) -> Any:
    return json.loads(request_of(client, {"modelId": "m", "messages": messages})[1])["messages"]


def test_a_history_that_grows_by_a_turn_encodes_the_newest_turns(
    own: Any, monkeypatch: pytest.MonkeyPatch, encoder: str
) -> None:
    blobs._known.clear()
    images: list[int] = []
    monkeypatch.setattr(blobs, "b64encode", lambda data: (images.append(len(data)), base64.b64encode(data))[1])
    written: list[int] = []
    writer = fragments._Orjson if encoder == "orjson" else fragments._Standard
    make = writer.__init__

    def counting(self: Any, *given: Any) -> None:
        make(self, *given)
        dumps = self.dumps
        self.dumps = lambda value: (text := dumps(value), written.append(len(text)))[0]

    monkeypatch.setattr(writer, "__init__", counting)
    for turns in range(26, 30):
        images.clear()
        written.clear()
        sent = sent_messages(own, history(turns))
        assert [message["content"][0]["text"] for message in sent] == TEXTS[:turns]
        assert [base64.b64decode(message["content"][1]["image"]["source"]["bytes"]) for message in sent] == IMAGES[
            :turns
        ]
    assert [size for size in images if size >= blobs.LONG] == [len(IMAGES[28])]
    assert sum(written) < 6 * (2 * len(TEXTS[0]) + 2 * len(IMAGES[0])), "the last four turns, the new one, and a margin"


def test_an_old_message_that_was_changed_in_place_goes_out_as_it_is_now(own: Any) -> None:
    messages = history(20)
    for _ in range(3):
        sent_messages(own, messages)
    messages[0]["content"][0]["text"] = TEXTS[0] + "changed"
    messages[1]["content"][1]["image"]["source"]["bytes"] = IMAGES[7]
    messages[2]["content"].append({"text": "appended"})
    messages[3]["role"] = "user"
    sent = sent_messages(own, messages)
    assert sent[0]["content"][0]["text"].endswith("changed")
    assert base64.b64decode(sent[1]["content"][1]["image"]["source"]["bytes"]) == IMAGES[7]
    assert sent[2]["content"][-1] == {"text": "appended"}
    assert sent[3]["role"] == "user"


def test_properties_in_another_order_go_out_in_that_order(own: Any) -> None:
    names = ["reason", "answer"]
    for _ in range(6):
        schema = {"type": "object", "properties": {name: {"type": "string"} for name in names}}
        tools = {"tools": [{"toolSpec": {"name": "answer", "inputSchema": {"json": schema}}}]}
        body = request_of(own, {"modelId": "m", "messages": [], "toolConfig": tools})[1]
        sent = json.loads(body)["toolConfig"]["tools"][0]["toolSpec"]["inputSchema"]["json"]["properties"]
        assert list(sent) == names
        names.reverse()


def test_an_old_message_that_became_wrong_is_refused(own: Any) -> None:
    messages = history(20)
    for _ in range(3):
        sent_messages(own, messages)
    messages[0]["content"][0]["text"] = 5
    assert outcome(own, {"modelId": "m", "messages": messages}) == outcome(
        bare(), {"modelId": "m", "messages": messages}
    )


def test_bytes_that_can_change_are_encoded_each_time(own: Any) -> None:
    data = bytearray(PNG)
    messages = [{"role": "user", "content": [{"image": {"format": "png", "source": {"bytes": data}}}]}]
    sent_messages(own, messages)
    data[:] = b"\x00" * len(data)
    source = sent_messages(own, messages)[0]["content"][0]["image"]["source"]
    assert base64.b64decode(source["bytes"]) == bytes(len(data))


class Loud(bytes):
    """Bytes that equal everything: nothing of the kind is to be looked up."""

    def __eq__(self, other: object) -> bool:
        return True

    def __hash__(self) -> int:
        return hash(PNG)


def test_what_only_claims_to_be_equal_is_not_taken_for_equal(own: Any) -> None:
    def sent(data: bytes) -> bytes:
        messages = [{"role": "user", "content": [{"image": {"format": "png", "source": {"bytes": data}}}]}]
        return base64.b64decode(sent_messages(own, messages)[0]["content"][0]["image"]["source"]["bytes"])

    assert sent(PNG) == PNG
    assert sent(Loud(b"z" * len(PNG))).startswith(b"zzz")


def test_what_is_kept_is_bounded(encoder: str) -> None:
    kept = fragments.Encoder(limit=100_000)
    compiled = plan.compile_plan(bare().meta.service_model.operation_model("Converse"))
    for index in range(40):
        content = [{"text": f"{index} {LONG}"}, {"image": {"format": "png", "source": {"bytes": PNG + bytes([index])}}}]
        turns = [{"role": "user", "content": content}] * 20
        for _ in range(2):
            body = kept.encode(compiled, {"modelId": "m", "messages": turns})
        assert json.loads(body)["messages"][0]["content"][0]["text"].startswith(f"{index} ")
    assert sum(entry.weight for entry in kept._turns._kept.values()) <= 100_000


def test_threads_that_share_a_client_get_each_their_own_body(own: Any) -> None:
    wrong: list[Any] = []

    def call(number: int) -> None:
        for turn in range(30):
            text = f"{number}/{turn} {LONG}"
            sent = sent_messages(own, [{"role": "user", "content": [{"text": text}]}])
            if sent != [{"role": "user", "content": [{"text": text}]}]:
                wrong.append(text)

    threads = [threading.Thread(target=call, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


# --- whoever listens ------------------------------------------------------------------------------------------------


SHORT: dict[str, Any] = {"modelId": "m", "messages": [{"role": "user", "content": [{"text": "Hello?"}]}]}


def test_installing_twice_changes_nothing(own: Any) -> None:
    install_fast_requests(own)
    assert outcome(own, FULL) == outcome(bare(), FULL)


def test_stubber_sees_the_parameters_and_answers() -> None:
    client = session().client("bedrock-runtime", region_name="us-east-1")
    install_fast_requests(client)
    answer = {
        "output": {"message": {"role": "assistant", "content": [{"text": "Hi"}]}},
        "stopReason": "end_turn",
        "usage": {"inputTokens": 1, "outputTokens": 1, "totalTokens": 2},
        "metrics": {"latencyMs": 1},
    }
    with Stubber(client) as stubber:
        stubber.add_response("converse", answer, SHORT)
        stubber.add_response("converse", answer, {"modelId": ANY, "messages": ANY})
        stubber.add_client_error("converse", "ThrottlingException", expected_params=SHORT)
        assert client.converse(**SHORT)["stopReason"] == "end_turn"
        assert client.converse(**SHORT)["stopReason"] == "end_turn"
        with pytest.raises(client.exceptions.ThrottlingException):
            client.converse(**SHORT)
        stubber.add_response("converse", answer, {**SHORT, "modelId": "other"})
        with pytest.raises(Exception, match="Expected parameters"):
            client.converse(**SHORT)


def test_whoever_wraps_the_call_sees_the_parameters_before_and_after(monkeypatch: pytest.MonkeyPatch) -> None:
    """OpenTelemetry's instrumentation of botocore wraps `_make_api_call` and reads its parameters at both ends."""
    genuine = BaseClient._make_api_call
    seen: list[Any] = []

    def wrapped(self: Any, operation: str, parameters: Any) -> Any:
        seen.append(copy.deepcopy(parameters))
        try:
            return genuine(self, operation, parameters)
        finally:
            seen.append(copy.deepcopy(parameters))

    monkeypatch.setattr(BaseClient, "_make_api_call", wrapped)
    assert is_ours(request_of(fast(), FULL)[1])
    assert seen == [FULL, FULL]


EVENTS = ["provide-client-params", "before-parameter-build", "before-endpoint-resolution"]


@pytest.mark.parametrize("register", ["register_first", "register", "register_last"])
@pytest.mark.parametrize("scope", ["", ".bedrock-runtime", ".*", ".bedrock-runtime.Converse"])
@pytest.mark.parametrize("event", EVENTS)
def test_what_another_handler_sees_and_changes_is_as_without_us(event: str, scope: str, register: str) -> None:
    if event == "before-endpoint-resolution" and (scope.endswith("Converse") or register == "register_last"):
        return  # it has no operation in its name; after our last handler there is only ours

    def outcome_of(*, ours: bool) -> Any:
        client = capturing_client()
        seen: list[Any] = []

        def listen(params: Any, **_: Any) -> None:
            seen.append(copy.deepcopy(dict(params)))
            params["system"] = [{"text": "from a handler"}]
            params.pop("requestMetadata", None)
            params["messages"][0]["content"][0]["text"] = "changed inside"

        if ours:
            install_fast_requests(client)
        getattr(client.meta.events, register)(f"{event}{scope}", listen)
        result = outcome(client, copy.deepcopy(FULL))
        client.close()
        return seen, result

    assert outcome_of(ours=True) == outcome_of(ours=False)


def test_parameters_that_another_handler_puts_in_place_of_the_callers_win(own: Any) -> None:
    own.meta.events.register(
        "provide-client-params.bedrock-runtime.Converse", lambda **_: {**SHORT, "modelId": "other"}
    )
    assert outcome(own, FULL) == outcome(bare(), {**SHORT, "modelId": "other"})


def test_a_member_that_is_added_after_our_last_handler_is_sent(own: Any) -> None:
    own.meta.events.register_last(
        "before-endpoint-resolution", lambda params, **_: params.update(inferenceConfig={"maxTokens": 7})
    )
    assert json.loads(request_of(own, SHORT)[1]) == {
        "messages": SHORT["messages"],
        "inferenceConfig": {"maxTokens": 7},
    }


def test_handlers_of_the_finished_request_see_and_change_the_body(own: Any) -> None:
    seen: list[bytes] = []

    def change(params: Any, **_: Any) -> None:
        seen.append(params["body"])
        params["body"] = b'{"messages":[]}'

    own.meta.events.register("before-call.bedrock-runtime.Converse", change)
    own.meta.events.register("before-sign.bedrock-runtime.Converse", lambda request, **_: seen.append(request.data))
    assert request_of(own, SHORT)[1] == b'{"messages":[]}'
    assert json.loads(seen[0]) == {"messages": SHORT["messages"]}
    assert seen[1] == b'{"messages":[]}'


def test_a_url_signed_in_advance_is_botocores(own: Any) -> None:
    urls = [client.generate_presigned_url("converse", Params=SHORT) for client in (own, bare())]
    assert "Hello" in urls[0]
    assert urls[0].partition("&X-Amz")[0] == urls[1].partition("&X-Amz")[0]
    assert outcome(own, SHORT) == outcome(bare(), SHORT)


def test_other_operations_are_botocores(own: Any) -> None:
    for body in (b'{"a": 1}', 5):
        parameters = {"modelId": "m", "body": body, "contentType": "application/json"}
        assert outcome(own, parameters, "invoke_model") == outcome(bare(), parameters, "invoke_model")


def test_without_validation_the_outcome_is_botocores_too() -> None:
    client, plain = capturing_client(parameter_validation=False), capturing_client(parameter_validation=False)
    install_fast_requests(client)
    for parameters in (SHORT, {**SHORT, "messages": 5}, {**SHORT, "system": [{"text": 5}]}, {"messages": []}):
        assert outcome(client, parameters) == outcome(plain, parameters)
    client.close()
    plain.close()


# --- a botocore that is not the one we know -------------------------------------------------------------------------


def service_model(
    input_shape: dict[str, Any], shapes: dict[str, Any] | None = None, **operation: Any
) -> OperationModel:
    """The model of an operation with that input."""
    text = {"type": "string"}
    description: dict[str, Any] = {
        "metadata": {"protocol": "rest-json", "protocols": ["rest-json"], "endpointPrefix": "x", "serviceId": "X"},
        "operations": {
            "Converse": {
                "name": "Converse",
                "http": {"method": "POST", "requestUri": "/m"},
                "input": {"shape": "In"},
                **operation,
            }
        },
        "shapes": {"In": {"type": "structure", **input_shape}, "Text": text, **(shapes or {})},
    }
    if "protocol" in operation:
        description["metadata"].update(protocol=operation["protocol"], protocols=[operation["protocol"]])
    return ServiceModel(description, "x").operation_model("Converse")


TEXT = {"shape": "Text"}
ID = {"shape": "Text", "location": "uri", "locationName": "modelId"}


@pytest.mark.parametrize(
    ("why", "model"),
    [
        ("another protocol", service_model({"members": {"modelId": ID}}, protocol="json")),
        ("a required text in the body", service_model({"members": {"a": TEXT}, "required": ["a"]})),
        (
            "a required list that is not empty",
            service_model(
                {"members": {"a": {"shape": "L"}}, "required": ["a"]}, {"L": {"type": "list", "member": TEXT, "min": 1}}
            ),
        ),
        ("one member is the whole body", service_model({"members": {"a": TEXT}, "payload": "a"})),
        ("a host prefix", service_model({"members": {"a": TEXT}}, endpoint={"hostPrefix": "{a}."})),
        ("a checksum", service_model({"members": {"a": TEXT}}, httpChecksum={"requestChecksumRequired": True})),
        ("compression", service_model({"members": {"a": TEXT}}, requestcompression={"encodings": ["gzip"]})),
        (
            "a member that the endpoint depends on",
            service_model({"members": {"a": {**TEXT, "contextParam": {"name": "A"}}}}),
        ),
    ],
)
def test_what_a_model_asks_beyond_what_is_known_has_no_plan(why: str, model: OperationModel) -> None:
    with pytest.raises(plan.NoPlanError):
        plan.compile_plan(model)


@pytest.mark.parametrize(
    ("why", "member", "shapes", "value"),
    [
        ("another name on the wire", {**TEXT, "locationName": "b"}, {}, "x"),
        ("a header", {**TEXT, "location": "header", "locationName": "x-a"}, {}, "x"),
        ("the query", {**TEXT, "location": "querystring", "locationName": "a"}, {}, "x"),
        ("a time", {"shape": "Time"}, {"Time": {"type": "timestamp"}}, "2025-01-01"),
        ("a type of the future", {"shape": "New"}, {"New": {"type": "quaternion"}}, "x"),
        (
            "a union that requires",
            {"shape": "U"},
            {"U": {"type": "structure", "union": True, "members": {"x": TEXT}, "required": ["x"]}},
            {"x": "y"},
        ),
    ],
)
def test_a_request_with_a_member_that_is_not_known_is_left_to_botocore(
    why: str, member: Any, shapes: Any, value: Any
) -> None:
    compiled = plan.compile_plan(service_model({"members": {"a": member, "b": TEXT}}, shapes))
    assert json.loads(fragments.Encoder().encode(compiled, {"b": "x"})) == {"b": "x"}
    with pytest.raises(plan.SURPRISES):
        fragments.Encoder().encode(compiled, {"a": value})


def test_shapes_that_contain_themselves_are_walked() -> None:
    shapes = {"Tree": {"type": "structure", "members": {"left": {"shape": "Tree"}, "name": TEXT}}}
    compiled = plan.compile_plan(service_model({"members": {"tree": {"shape": "Tree"}}}, shapes))
    tree = {"left": {"left": {"name": "x"}, "name": "y"}}
    assert json.loads(fragments.Encoder().encode(compiled, {"tree": tree})) == {"tree": tree}
    with pytest.raises(plan.SURPRISES):
        fragments.Encoder().encode(compiled, {"tree": {"left": {"left": {"name": 5}}}})


def test_without_rules_for_endpoints_botocore_serializes(own: Any) -> None:
    own._ruleset_resolver = None
    assert outcome(own, FULL) == outcome(bare(), FULL)
    assert not is_ours(request_of(own, FULL)[1])


def test_an_operation_without_a_plan_is_botocores(own: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_plan(model: Any) -> Any:
        raise plan.NoPlanError(model.name)

    monkeypatch.setattr("agent.bedrock.aws.serializer.compile_plan", no_plan)
    assert outcome(own, FULL) == outcome(bare(), FULL)
    assert not is_ours(request_of(own, FULL)[1])


# --- on the wire ----------------------------------------------------------------------------------------------------


def test_clients_that_we_build_sign_and_send_it() -> None:
    with FakeBedrock([Reply("Hi!")] * 2, credentials={"AKIDEXAMPLE": "secret"}) as fake:
        client = build_runtime_client(
            "us-east-1",
            ClientSettings(endpoint_url=fake.url),
            Credentials(aws_access_key_id="AKIDEXAMPLE", aws_secret_access_key="secret"),
        )
        client.converse(**SHORT | {"modelId": MODEL})
        list(client.converse_stream(**SHORT | {"modelId": MODEL})["stream"])
        assert [request.body for request in fake.requests] == [{"messages": SHORT["messages"]}] * 2
        client.close()
