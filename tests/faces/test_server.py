"""The server's two surfaces over real HTTP: OpenAI's and that of agentic-primitives-gateway."""

from __future__ import annotations

import json
from typing import Any

import pytest

from agent.bedrock.faces.hooks import CallDetails
from agent.bedrock.faces.server.metrics import Metrics
from agent.bedrock.testing import Reasoning, Redacted, Refusal, Reply, Stop, StreamException, Text, ToolCall, Usage
from tests.faces.serving import CHAT, CLAUDE, NOVA, USER, Served, as_asked, data_lines, house, served
from tests.moments import comes_true

__all__ = ["house", "served"]

WHOLE = "/api/v1/llm/completions"
STREAM = "/api/v1/llm/completions/stream"
WEATHER = {
    "type": "function",
    "function": {"name": "weather", "parameters": {"type": "object", "properties": {"city": {"type": "string"}}}},
}
CALLS = Reply(
    Reasoning("Two cities.", "c2lnbmVk"),
    Redacted(b"hidden"),
    Text("Let me see."),
    ToolCall("weather", {"city": "Graz"}, id="tooluse_graz"),
    ToolCall("weather", {"city": "Linz"}, id="tooluse_linz"),
    usage=Usage(input=8, output=4, cache_read=2),
)


def sent(served: Served) -> dict[str, Any]:
    """The body of the last request to Bedrock."""
    return served.fake.requests[-1].body


# --- OpenAI -----------------------------------------------------------------------------------------------------------


def test_a_whole_answer_is_a_chat_completion(served: Served) -> None:
    served.answer = lambda _: CALLS
    response = served.chat(model=CLAUDE, tools=[WEATHER])
    assert (response.status_code, response.headers["content-type"]) == (200, "application/json")
    completion = response.json()
    assert completion["object"] == "chat.completion"
    assert completion["usage"]["prompt_tokens"] == 10
    assert completion["choices"][0]["finish_reason"] == "tool_calls"
    assert response.headers["x-request-id"] == completion["bedrock"]["request_id"]


def test_a_stream_is_chunks_and_done(served: Served) -> None:
    served.answer = lambda _: Reply(Text(["Hel", "lo."]))
    with served.http.stream("POST", CHAT, json={"model": NOVA, "messages": USER, "stream": True}) as response:
        assert response.headers["content-type"] == "text/event-stream; charset=utf-8"
        assert response.headers["x-request-id"]
        *lines, done = data_lines(response.read().decode())
    chunks = [json.loads(line) for line in lines]
    assert done == "[DONE]"
    assert "".join(chunk["choices"][0]["delta"].get("content") or "" for chunk in chunks) == "Hello."
    assert chunks[-1]["choices"][0]["finish_reason"] == "stop"
    assert chunks[-1]["usage"]["completion_tokens"] == 10


def test_signed_reasoning_survives_a_tool_round_trip_without_the_server_remembering_anything(served: Served) -> None:
    served.answer = lambda _: CALLS
    calls = served.chat(model=CLAUDE, tools=[WEATHER]).json()["choices"][0]["message"]["tool_calls"]
    said = {
        "role": "assistant",
        "content": "Let me see.",
        "tool_calls": [{name: call[name] for name in ("id", "type", "function")} for call in calls],
    }
    results = [{"role": "tool", "tool_call_id": call["id"], "content": "rain"} for call in calls]
    served.answer = lambda _: Reply("It rains.")
    served.chat(model=CLAUDE, tools=[WEATHER], messages=[*USER, said, *results])
    assistant = sent(served)["messages"][1]["content"]
    assert assistant[0]["reasoningContent"]["reasoningText"] == {"text": "Two cities.", "signature": "c2lnbmVk"}
    assert "redactedContent" in assistant[1]["reasoningContent"]
    assert [block["toolUse"]["toolUseId"] for block in assistant[3:]] == ["tooluse_graz", "tooluse_linz"]


REFUSALS = {
    "ThrottlingException": (429, "rate_limit_exceeded"),
    "AccessDeniedException": (403, "access_denied"),
    "ResourceNotFoundException": (404, "model_not_found"),
    "ServiceUnavailableException": (503, None),
}


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("code", REFUSALS)
def test_a_refusal_is_an_openai_error_with_its_status(code: str, stream: bool, served: Served) -> None:
    served.answer = lambda _: Refusal(code, "No.")
    response = served.chat(stream=stream)
    status, error_code = REFUSALS[code]
    assert response.status_code == status
    error = response.json()["error"]
    assert error_code is None or error["code"] == error_code
    assert "No." in error["message"]
    assert response.headers["x-should-retry"] in ("true", "false")
    assert response.headers["x-request-id"]


def test_an_overflow_is_a_400_that_says_so(served: Served) -> None:
    served.answer = lambda _: Refusal("ValidationException", "Input is too long for requested model.")
    response = served.chat()
    assert (response.status_code, response.json()["error"]["code"]) == (400, "context_length_exceeded")


def test_a_refusal_in_the_first_event_is_a_status(served: Served) -> None:
    served.answer = lambda _: Reply("Hello.", fault=StreamException("throttlingException", "Slow down."))
    response = served.chat(stream=True)
    assert response.status_code == 429
    assert response.json()["error"]["code"] == "rate_limit_exceeded"


@pytest.mark.parametrize("path", [CHAT, STREAM])
def test_a_failure_in_the_middle_is_the_last_event(path: str, served: Served) -> None:
    served.answer = lambda _: Reply(Text(["Hel", "lo."]), fault=Stop(4))
    body = {"model": NOVA, "messages": USER, "stream": True}
    response = served.http.post(path, json=body)
    lines = data_lines(response.text)
    assert response.status_code == 200
    assert json.loads(lines[-1])["error"]["code"] == "incomplete_response"
    assert "[DONE]" not in lines


BAD_BODIES = {
    "nothing": (b"", "is not JSON"),
    "garbage": (b"\x00\xff{", "is not JSON"),
    "a list": (b"[]", "is not a JSON object"),
    "no model": (b'{"messages": []}', "names no model"),
    "no messages": (b'{"model": "m", "messages": "Hi"}', "is not a list"),
    "a deep nest": (b"[" * 100_000, "is not JSON"),
    "what Python calls a number": (b'{"model": "m", "messages": [], "temperature": NaN}', "is not JSON"),
    "half a character": (b'{"model": "\\ud800", "messages": []}', "model: is not a text"),
}


@pytest.mark.parametrize("name", BAD_BODIES)
def test_a_body_that_is_none_is_refused_before_anything_is_sent(name: str, served: Served) -> None:
    body, complaint = BAD_BODIES[name]
    response = served.http.post(CHAT, content=body)
    assert response.status_code == 400
    assert complaint in response.json()["error"]["message"]
    assert response.json()["error"]["type"] == "invalid_request_error"
    assert not served.fake.requests


def test_what_a_body_may_not_say_is_not_heard(served: Served) -> None:
    """Options of this process, and those of the call: how long, how often, who else."""
    response = served.chat(fetch="x", reasoning_store="x", cancel=1, deadline=0.001, fallbacks=[["x", "y"]])
    assert response.status_code == 200


@pytest.mark.parametrize(("path", "advice"), [("/v1/responses", "chat completions instead"), ("/v2", "is not served")])
def test_other_paths_say_what_there_is(path: str, advice: str, served: Served) -> None:
    response = served.http.post(path, json={})
    assert response.status_code == 404
    assert advice in response.json()["error"]["message"]
    counted = 'bedrock_http_requests_total{endpoint="other",status="404"}'
    assert comes_true(lambda: counted in served.http.get("/metrics").text)


def test_other_methods_are_refused(served: Served) -> None:
    response = served.http.get(CHAT)
    assert (response.status_code, response.headers["allow"]) == (405, "POST")
    assert response.json()["error"]["code"] == "method_not_allowed"


def test_models_are_listed_and_found(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL_BEDROCK", served.fake.url)
    listed = served.http.get("/v1/models").json()
    assert listed["object"] == "list"
    first = listed["data"][0]
    assert served.http.get(f"/v1/models/{first['id']}").json() == first
    missing = served.http.get("/v1/models/none.such")
    assert (missing.status_code, missing.json()["error"]["code"]) == (404, "model_not_found")


# --- the gateway's surface --------------------------------------------------------------------------------------------

OPENAI_FORM = [
    {"role": "system", "content": "Be brief."},
    {"role": "user", "content": "Weather?"},
    {
        "role": "assistant",
        "content": "Let me see.",
        "tool_calls": [
            {"id": "a", "type": "function", "function": {"name": "weather", "arguments": '{"city": "Graz"}'}},
            {"id": "b", "type": "function", "function": {"name": "weather", "arguments": '{"city": "Linz"}'}},
        ],
    },
    {"role": "tool", "tool_call_id": "a", "content": "rain"},
    {"role": "tool", "tool_call_id": "b", "content": '{"sun": true}'},
    {"role": "user", "content": "And?"},
]
ASKED = {
    "role": "assistant",
    "content": "Let me see.",
    "tool_calls": [
        {"id": "a", "name": "weather", "input": {"city": "Graz"}},
        {"id": "b", "name": "weather", "input": '{"city": "Linz"}'},
    ],
}
GATEWAY_FORMS = {
    "results together": [
        {"role": "user", "content": "Weather?"},
        ASKED,
        {"tool_results": [{"tool_use_id": "a", "content": "rain"}, {"tool_use_id": "b", "content": '{"sun": true}'}]},
        {"role": "user", "content": "And?"},
    ],
    "results one by one": [
        {"content": "Weather?"},
        ASKED,
        {"role": "tool", "tool_result": {"tool_use_id": "a", "content": "rain"}},
        {"role": "user", "tool_result": {"tool_use_id": "b", "content": '{"sun": true}'}},
        {"role": "user", "content": "And?"},
    ],
}


@pytest.mark.parametrize("name", GATEWAY_FORMS)
def test_a4_the_gateways_messages_are_equal_to_openais(name: str, served: Served) -> None:
    served.http.post(CHAT, json={"model": NOVA, "messages": OPENAI_FORM, "tools": [WEATHER]})
    expected = sent(served)
    body = {"model": NOVA, "system": "Be brief.", "messages": GATEWAY_FORMS[name], "tools": [WEATHER], "metadata": {}}
    assert served.http.post(WHOLE, json=body).status_code == 200
    assert sent(served) == expected


SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}}
TOOL_FORMS = {
    "input_schema": {"name": "weather", "description": "It.", "input_schema": SCHEMA},
    "parameters": {"name": "weather", "description": "It.", "parameters": SCHEMA},
    "toolSpec": {"toolSpec": {"name": "weather", "description": "It.", "inputSchema": {"json": SCHEMA}}},
    "openai": {"type": "function", "function": {"name": "weather", "description": "It.", "parameters": SCHEMA}},
}


@pytest.mark.parametrize("path", [WHOLE, CHAT])
@pytest.mark.parametrize("form", TOOL_FORMS)
def test_a5_tools_are_taken_in_every_form(form: str, path: str, served: Served) -> None:
    assert (
        served.http.post(path, json={"model": NOVA, "messages": USER, "tools": [TOOL_FORMS[form]]}).status_code == 200
    )
    assert sent(served)["toolConfig"]["tools"] == [TOOL_FORMS["toolSpec"]]


CHOICES: dict[str, tuple[Any, dict[str, Any] | None]] = {
    "auto": ("auto", {"auto": {}}),
    "any": ("any", {"any": {}}),
    "required": ("required", {"any": {}}),
    "name": ("weather", {"tool": {"name": "weather"}}),
    "dict": ({"tool": {"name": "weather"}}, {"tool": {"name": "weather"}}),
    "openai": ({"type": "function", "function": {"name": "weather"}}, {"tool": {"name": "weather"}}),
}


@pytest.mark.parametrize("name", CHOICES)
def test_a6_the_choice_of_a_tool_in_every_form(name: str, served: Served) -> None:
    choice, block = CHOICES[name]
    body = {"model": NOVA, "messages": USER, "tools": [WEATHER], "tool_choice": choice}
    assert served.http.post(WHOLE, json=body).status_code == 200
    assert sent(served)["toolConfig"]["toolChoice"] == block


def test_a6_none_offers_no_tool(served: Served) -> None:
    body = {"model": NOVA, "messages": USER, "tools": [WEATHER], "tool_choice": "none"}
    served.http.post(WHOLE, json=body)
    assert "toolConfig" not in sent(served)


def test_a8_the_gateways_stream_tells_its_vocabulary(served: Served) -> None:
    served.answer = lambda _: CALLS
    response = served.http.post(STREAM, json={"model": CLAUDE, "messages": USER, "tools": [WEATHER]})
    events = [json.loads(line) for line in data_lines(response.text)]
    assert list(dict.fromkeys(event["type"] for event in events)) == [
        "reasoning_delta",
        "content_delta",
        "tool_use_start",
        "tool_use_delta",
        "tool_use_complete",
        "message_stop",
        "metadata",
    ]
    complete = [event for event in events if event["type"] == "tool_use_complete"]
    assert [event["input"] for event in complete] == [{"city": "Graz"}, {"city": "Linz"}]
    assert {event["id"] for event in events if event["type"] == "tool_use_start"} == {event["id"] for event in complete}
    assert events[-1]["usage"]["cache_read_input_tokens"] == 2


def test_a8_the_gateways_own_clients_read_the_arguments_of_a_call_once() -> None:
    with as_asked(settings={"tool_use_deltas": False}) as served:
        served.answer = lambda _: CALLS
        response = served.http.post(STREAM, json={"model": CLAUDE, "messages": USER, "tools": [WEATHER]})
    events = [json.loads(line) for line in data_lines(response.text)]
    assert "tool_use_delta" not in {event["type"] for event in events}
    complete = [event["input"] for event in events if event["type"] == "tool_use_complete"]
    assert complete == [{"city": "Graz"}, {"city": "Linz"}]


def test_a15_the_gateways_whole_answer(served: Served) -> None:
    served.answer = lambda _: Reply("Hello.", usage=Usage(input=3, output=2))
    assert served.http.post(WHOLE, json={"model": NOVA, "messages": USER}).json() == {
        "model": NOVA,
        "content": "Hello.",
        "stop_reason": "end_turn",
        "usage": {
            "input_tokens": 3,
            "output_tokens": 2,
            "cache_read_input_tokens": 0,
            "cache_write_input_tokens": 0,
        },
    }


def test_the_gateways_surface_carries_signed_reasoning_too(served: Served) -> None:
    served.answer = lambda _: CALLS
    body: dict[str, Any] = {"model": CLAUDE, "messages": USER, "tools": [WEATHER]}
    events = [json.loads(line) for line in data_lines(served.http.post(STREAM, json=body).text)]
    calls = [
        {key: event[key] for key in ("id", "name", "input")} for event in events if event["type"][-8:] == "complete"
    ]
    said = {"role": "assistant", "content": "Let me see.", "tool_calls": calls}
    results = {"tool_results": [{"tool_use_id": call["id"], "content": "rain"} for call in calls]}
    served.answer = lambda _: Reply("It rains.")
    served.http.post(STREAM, json={**body, "messages": [*USER, said, results]})
    assistant = sent(served)["messages"][1]["content"]
    assert assistant[0]["reasoningContent"]["reasoningText"]["signature"] == "c2lnbmVk"


def test_a17_no_temperature_is_sent_unless_one_is_given(served: Served) -> None:
    served.http.post(WHOLE, json={"model": NOVA, "messages": USER})
    assert "temperature" not in sent(served).get("inferenceConfig", {})
    served.http.post(WHOLE, json={"model": NOVA, "messages": USER, "temperature": 0.5, "max_tokens": 9})
    assert sent(served)["inferenceConfig"] == {"temperature": 0.5, "maxTokens": 9}


def test_a14_the_gateways_models(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL_BEDROCK", served.fake.url)
    models = served.http.get("/api/v1/llm/models").json()["models"]
    assert {"name", "provider", "capabilities"} == models[0].keys()
    assert {model["name"] for model in models} == {
        entry["id"] for entry in served.http.get("/v1/models").json()["data"]
    }


# --- metrics ----------------------------------------------------------------------------------------------------------


def samples(text: str) -> dict[str, float]:
    return {
        name: float(value)
        for name, _, value in (line.rpartition(" ") for line in text.splitlines() if not line.startswith("#"))
    }


def test_a13_metrics_tell_calls_tokens_failures_and_latency(served: Served) -> None:
    before = samples(served.http.get("/metrics").text)
    served.answer = lambda _: Reply("Hello.", usage=Usage(input=3, output=2))
    served.chat(model="amazon.nova-metrics-v1:0")
    served.answer = lambda _: Reply(Text(["Hel", "lo."]), fault=Stop(4))
    served.chat(model="amazon.nova-metrics-v1:0", stream=True)
    response = served.http.get("/metrics")
    assert response.headers["content-type"].startswith("text/plain; version=0.0.4")
    after = samples(response.text)
    grown = {name: value - before.get(name, 0) for name, value in after.items() if value != before.get(name, 0)}
    model = 'model="amazon.nova-metrics-v1:0"'
    assert grown[f'bedrock_calls_total{{{model},stream="false",outcome="complete",kind=""}}'] == 1
    assert grown[f'bedrock_calls_total{{{model},stream="true",outcome="failed",kind="truncated"}}'] == 1
    assert grown[f'bedrock_tokens_total{{{model},type="prompt"}}'] == 3
    assert grown[f"bedrock_first_token_seconds_count{{{model}}}"] == 1
    assert grown[f'bedrock_call_seconds_bucket{{{model},stream="true",le="+Inf"}}'] == 1
    assert after["bedrock_calls_in_flight"] == 0
    requests = 'bedrock_http_requests_total{endpoint="/v1/chat/completions",status="200"}'
    assert comes_true(lambda: samples(served.http.get("/metrics").text)[requests] == before.get(requests, 0) + 2)


def test_counters_grow_by_one_however_far_they_are() -> None:
    metrics = Metrics()
    for tokens in (123_456_789, 1):
        metrics.on_end(CallDetails(NOVA, stream=False, outcome="complete", prompt_tokens=tokens, seconds=0.25))
    told = samples(metrics.text())
    assert told[f'bedrock_tokens_total{{model="{NOVA}",type="prompt"}}'] == 123_456_790
    assert 'le="0.25"} 2' in metrics.text()


def test_names_that_callers_make_up_do_not_crowd_out_those_of_models(served: Served) -> None:
    served.answer = lambda _: Refusal("ResourceNotFoundException", "Model not found.")
    names = [f"made-up-{number}" for number in range(3)]
    before = samples(served.http.get("/metrics").text)
    assert [served.chat(model=name).status_code for name in names] == [404, 404, 404]
    told = served.http.get("/metrics").text
    assert "made-up" not in told
    failed = 'bedrock_calls_total{model="other",stream="false",outcome="failed",kind="model_not_found"}'
    assert samples(told)[failed] == before.get(failed, 0) + 3


def test_names_of_models_cannot_break_the_text() -> None:
    metrics = Metrics()
    for number in range(150):
        metrics.on_end(CallDetails(f'a"b\\c\nd\ud800{number}', stream=True, outcome="complete"))
    told = samples(metrics.text().encode().decode())
    assert sum(name.startswith("bedrock_attempts_total") for name in told) == 101
    assert any('a\\"b\\\\c\\nd' in name for name in told)


def test_e23_a_tool_loop_may_bring_new_messages_tools_and_credentials_each_time(served: Served) -> None:
    served.answer = lambda _: CALLS
    keys = {"X-AWS-Access-Key-Id": "AKIDONE", "X-AWS-Secret-Access-Key": "one"}
    body: dict[str, Any] = {"model": CLAUDE, "messages": USER, "tools": [WEATHER]}
    message = served.http.post(CHAT, json=body, headers=keys).json()["choices"][0]["message"]
    results = [{"role": "tool", "tool_call_id": call["id"], "content": "rain"} for call in message["tool_calls"]]
    served.answer = lambda _: Reply("It rains.")
    fresh = {"X-AWS-Access-Key-Id": "AKIDTWO", "X-AWS-Secret-Access-Key": "two", "X-AWS-Session-Token": "token"}
    other = {**WEATHER, "function": {**WEATHER["function"], "name": "other"}}  # type: ignore[dict-item]
    body = {**body, "messages": [*USER, message, *results], "tools": [WEATHER, other]}
    assert served.http.post(CHAT, json=body, headers=fresh).status_code == 200
    first, second = served.fake.requests
    assert ("AKIDONE" in first.headers["authorization"], "AKIDTWO" in second.headers["authorization"]) == (True, True)
    assert second.headers["x-amz-security-token"] == "token"
    assert [tool["toolSpec"]["name"] for tool in second.body["toolConfig"]["tools"]][:2] == ["weather", "other"]
