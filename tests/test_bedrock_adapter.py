"""The drop-in face: every name, signature and pinned habit that Hermes and its users' tests lean on."""

from __future__ import annotations

import base64
import copy
import inspect
import subprocess
import sys
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any
from unittest.mock import MagicMock, patch

import pytest

from agent import bedrock_adapter as adapter
from agent.bedrock.errors import SettingsError, TruncatedResponseError
from agent.bedrock.testing import FakeBedrock, Reasoning, Redacted, Reply, Text, ToolCall

CLAUDE = "us.anthropic.claude-sonnet-4-5-20250929-v1:0"
NOVA = "us.amazon.nova-pro-v1:0"
LLAMA = "us.meta.llama4-maverick-17b-instruct-v1:0"
HELLO = [{"role": "user", "content": "Hello"}]
WEATHER = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "The weather of a city",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}},
    },
}
CACHE_POINT = {"cachePoint": {"type": "default"}}

SIGNATURES = {
    "build_converse_kwargs": (
        "model, messages, tools=None, max_tokens=4096, temperature=None, top_p=None, "
        "stop_sequences=None, guardrail_config=None"
    ),
    "call_converse": (
        "region, model, messages, tools=None, max_tokens=4096, temperature=None, top_p=None, "
        "stop_sequences=None, guardrail_config=None"
    ),
    "call_converse_stream": (
        "region, model, messages, tools=None, max_tokens=4096, temperature=None, top_p=None, "
        "stop_sequences=None, guardrail_config=None"
    ),
    "normalize_converse_response": "response",
    "normalize_converse_stream_events": "event_stream",
    "stream_converse_with_callbacks": (
        "event_stream, on_text_delta=None, on_tool_start=None, on_reasoning_delta=None, "
        "on_interrupt_check=None, on_event=None"
    ),
    "convert_messages_to_converse": "messages",
    "convert_tools_to_converse": "tools",
    "_get_bedrock_runtime_client": "region",
    "_get_bedrock_control_client": "region",
    "reset_client_cache": "",
    "invalidate_runtime_client": "region",
    "is_stale_connection_error": "exc",
    "is_streaming_access_denied_error": "exc",
    "resolve_aws_auth_env_var": "env=None",
    "has_aws_credentials": "env=None",
    "resolve_bedrock_region": "env=None",
    "is_anthropic_bedrock_model": "model_id",
    "discover_bedrock_models": "region, provider_filter=None",
    "get_bedrock_model_ids": "region",
    "bedrock_model_ids_or_none": "",
    "reset_discovery_cache": "",
    "classify_bedrock_error": "error_message",
    "is_context_overflow_error": "error_message",
    "get_bedrock_context_length": "model_id, region='', probe=True",
    "probe_bedrock_context_length": "model_id, region",
}


@pytest.fixture(autouse=True)
def _fresh_caches() -> Iterator[None]:
    adapter.reset_client_cache()
    adapter.reset_discovery_cache()
    yield
    adapter.reset_client_cache()
    adapter.reset_discovery_cache()


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeBedrock]:
    with FakeBedrock() as stand_in:
        monkeypatch.setenv("AWS_ENDPOINT_URL_BEDROCK_RUNTIME", stand_in.url)
        monkeypatch.setenv("AWS_ENDPOINT_URL_BEDROCK", stand_in.url)
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE")
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "made-up")
        yield stand_in


def whole(*blocks: dict[str, Any], stop: str = "end_turn", **rest: Any) -> dict[str, Any]:
    return {"output": {"message": {"role": "assistant", "content": list(blocks)}}, "stopReason": stop, **rest}


def stream(*deltas: dict[str, Any], stop: str | None = "end_turn") -> dict[str, Any]:
    events: list[dict[str, Any]] = [{"messageStart": {"role": "assistant"}}, *deltas]
    return {"stream": [*events, {"messageStop": {"stopReason": stop}}] if stop else events}


def text(piece: str, index: int = 0) -> dict[str, Any]:
    return {"contentBlockDelta": {"delta": {"text": piece}, "contentBlockIndex": index}}


def tool(index: int = 1) -> dict[str, Any]:
    start = {"toolUse": {"toolUseId": "t1", "name": "get_weather"}}
    return {"contentBlockStart": {"start": start, "contentBlockIndex": index}}


class TestTheModule:
    @pytest.mark.parametrize("name", SIGNATURES)
    def test_signature(self, name: str) -> None:
        parameters = inspect.signature(getattr(adapter, name)).parameters.values()
        pinned = SIGNATURES[name]
        shown = ", ".join(p.name if p.default is p.empty else f"{p.name}={p.default!r}" for p in parameters)
        assert shown == pinned

    def test_importing_it_loads_no_aws_library(self) -> None:
        code = (
            "import sys, agent.bedrock_adapter;"
            "print([m for m in ('boto3', 'botocore', 'urllib3', 'asyncio', 'httpx') if m in sys.modules])"
        )
        shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
        assert shown.stdout.strip() == "[]"

    def test_it_works_under_another_package_name(self, tmp_path: Any) -> None:
        ours = next(iter(__import__("agent").__path__))
        (tmp_path / "host").mkdir()
        (tmp_path / "host" / "__init__.py").write_text("")
        code = (
            f"import host; host.__path__.insert(0, {ours!r})\n"
            "from host import bedrock_adapter\n"
            "kwargs = bedrock_adapter.build_converse_kwargs('m', [{'role': 'user', 'content': 'Hi'}])\n"
            "import sys; print(kwargs['modelId'], 'agent' in sys.modules)"
        )
        shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=tmp_path)
        assert shown.stdout.split() == ["m", "False"]


class TestClients:
    def test_a_client_written_into_the_cache_is_used(self) -> None:
        client = MagicMock()
        client.converse.return_value = whole({"text": "Hi"})
        adapter._bedrock_runtime_client_cache["us-east-1"] = client
        assert adapter._get_bedrock_runtime_client("us-east-1") is client
        assert adapter.call_converse("us-east-1", CLAUDE, HELLO).choices[0].message.content == "Hi"
        assert client.converse.call_args.kwargs["modelId"] == CLAUDE

    def test_one_client_per_region_kept(self, fake: FakeBedrock) -> None:
        east = adapter._get_bedrock_runtime_client("us-east-1")
        assert adapter._get_bedrock_runtime_client("us-east-1") is east
        assert adapter._get_bedrock_runtime_client("eu-west-1") is not east
        assert adapter._bedrock_runtime_client_cache["us-east-1"] is east
        assert adapter.invalidate_runtime_client("us-east-1")
        assert not adapter.invalidate_runtime_client("us-east-1")
        assert adapter._get_bedrock_runtime_client("us-east-1") is not east

    def test_new_credentials_in_the_environment_build_a_new_client(
        self, fake: FakeBedrock, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        before = adapter._get_bedrock_runtime_client("us-east-1")
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIDOTHER")
        assert adapter._get_bedrock_runtime_client("us-east-1") is not before

    def test_a_malformed_setting_is_refused_by_name(self, fake: FakeBedrock, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("BEDROCK_READ_TIMEOUT", "soon")
        with pytest.raises(SettingsError, match="BEDROCK_READ_TIMEOUT"):
            adapter._get_bedrock_runtime_client("us-east-1")

    def test_boto3_is_looked_up_in_this_modules_globals(self, fake: FakeBedrock) -> None:
        with (
            patch("agent.bedrock_adapter._require_boto3", side_effect=ImportError("no boto3 here")),
            pytest.raises(ImportError, match="no boto3 here"),
        ):
            adapter._get_bedrock_runtime_client("us-east-1")

    @pytest.mark.parametrize(("version", "passes"), [("1.34.46", False), ("1.34.59", True), ("garbled", True)])
    def test_boto3_must_be_able_to_stream(self, version: str, passes: bool) -> None:
        boto3 = SimpleNamespace(__version__=version)
        with patch.dict(sys.modules, {"boto3": boto3}):
            if passes:
                assert adapter._require_boto3() is boto3
            else:
                with pytest.raises(RuntimeError, match="does not support converse_stream"):
                    adapter._require_boto3()

    def test_missing_boto3_says_how_to_install_it(self) -> None:
        with patch.dict(sys.modules, {"boto3": None}), pytest.raises(ImportError, match="pip install boto3"):
            adapter._require_boto3()


class TestCredentialsAndRegion:
    @pytest.mark.parametrize(
        ("env", "expected"),
        [
            ({"AWS_BEARER_TOKEN_BEDROCK": "t", "AWS_PROFILE": "p"}, "AWS_BEARER_TOKEN_BEDROCK"),
            ({"AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "s", "AWS_PROFILE": "p"}, "AWS_ACCESS_KEY_ID"),
            ({"AWS_ACCESS_KEY_ID": "a", "AWS_PROFILE": "p"}, "AWS_PROFILE"),
            ({"AWS_BEARER_TOKEN_BEDROCK": "  ", "AWS_PROFILE": "p"}, "AWS_PROFILE"),
            (
                {"AWS_CONTAINER_CREDENTIALS_RELATIVE_URI": "/x", "AWS_WEB_IDENTITY_TOKEN_FILE": "f"},
                "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
            ),
            ({"AWS_WEB_IDENTITY_TOKEN_FILE": "f"}, "AWS_WEB_IDENTITY_TOKEN_FILE"),
        ],
    )
    def test_the_source_of_credentials(self, env: dict[str, str], expected: str) -> None:
        assert adapter.resolve_aws_auth_env_var(env) == expected
        assert adapter.has_aws_credentials(env)

    @pytest.mark.parametrize(("access_key", "expected"), [("AKID", "iam-role"), (None, None)])
    def test_botocores_chain_is_asked_last(self, access_key: str | None, expected: str | None) -> None:
        session = MagicMock()
        if access_key is None:
            session.get_credentials.return_value = None
        else:
            session.get_credentials.return_value.get_frozen_credentials.return_value.access_key = access_key
        module = MagicMock()
        module.get_session.return_value = session
        with patch.dict(sys.modules, {"botocore": MagicMock(session=module), "botocore.session": module}):
            assert adapter.resolve_aws_auth_env_var({}) == expected
            assert adapter.has_aws_credentials({}) is (expected is not None)

    @pytest.mark.parametrize(
        ("env", "expected"),
        [
            ({"AWS_REGION": "eu-west-1", "AWS_DEFAULT_REGION": "us-west-2"}, "eu-west-1"),
            ({"AWS_REGION": " ", "AWS_DEFAULT_REGION": "us-west-2"}, "us-west-2"),
        ],
    )
    def test_region_from_the_environment(self, env: dict[str, str], expected: str) -> None:
        assert adapter.resolve_bedrock_region(env) == expected

    @pytest.mark.parametrize(("configured", "expected"), [("ap-south-1", "ap-south-1"), (None, "us-east-1")])
    def test_region_from_the_profile_else_us_east_1(self, configured: str | None, expected: str) -> None:
        module = MagicMock()
        module.get_session.return_value.get_config_variable.return_value = configured
        with patch.dict(sys.modules, {"botocore": MagicMock(session=module), "botocore.session": module}):
            assert adapter.resolve_bedrock_region({}) == expected


class TestRequests:
    def test_the_kwargs_hold_converse_members_only_and_suit_boto3(self, fake: FakeBedrock) -> None:
        kwargs = adapter.build_converse_kwargs(
            CLAUDE,
            [{"role": "system", "content": "Be brief."}, *HELLO],
            tools=[WEATHER],
            temperature=0.5,
            stop_sequences=["END"],
            guardrail_config={"guardrailIdentifier": "g1", "guardrailVersion": "1"},
        )
        assert set(kwargs) == {"modelId", "messages", "system", "toolConfig", "inferenceConfig", "guardrailConfig"}
        assert kwargs["inferenceConfig"] == {"maxTokens": 4096, "temperature": 0.5, "stopSequences": ["END"]}
        assert adapter._get_bedrock_runtime_client("us-east-1").converse(**kwargs)["stopReason"] == "end_turn"

    def test_no_cap_when_none_is_wanted(self) -> None:
        assert "maxTokens" not in adapter.build_converse_kwargs(LLAMA, HELLO, max_tokens=None).get(
            "inferenceConfig", {}
        )

    def test_conversion_leaves_the_callers_objects_alone(self) -> None:
        messages: list[Any] = [{"role": "system", "content": [{"type": "text", "text": "S"}]}, *HELLO]
        tools = [WEATHER]
        before = copy.deepcopy((messages, tools))
        adapter.build_converse_kwargs(CLAUDE, messages, tools)
        assert (messages, tools) == before

    @pytest.mark.parametrize(
        ("messages", "roles"),
        [
            ([{"role": "assistant", "content": "Hi"}, *HELLO], ["user", "assistant", "user"]),
            ([*HELLO, {"role": "assistant", "content": "Hi"}], ["user", "assistant", "user"]),
        ],
    )
    def test_first_and_last_turn_are_the_users(self, messages: list[Any], roles: list[str]) -> None:
        _, turns = adapter.convert_messages_to_converse(messages)
        assert [turn["role"] for turn in turns] == roles
        padding = turns[0] if messages[0]["role"] == "assistant" else turns[-1]
        assert padding["content"][0]["text"].strip()

    @pytest.mark.parametrize("blank", ["", "  \n", None, [], [{"type": "text", "text": " "}]])
    def test_blank_content_becomes_a_placeholder(self, blank: Any) -> None:
        assert adapter._convert_content_to_converse(blank) == [{"text": "(empty)"}]
        assert adapter._EMPTY_TEXT_PLACEHOLDER == "(empty)"

    @pytest.mark.parametrize(
        ("given", "safe"), [("x", "x"), ("", "(empty)"), (" \t", "(empty)"), (None, "(empty)"), (5, "5")]
    )
    def test_safe_text(self, given: Any, safe: str) -> None:
        assert adapter._safe_text(given) == safe

    def test_blank_system_parts_are_dropped(self) -> None:
        blank = [{"role": "system", "content": [{"type": "text", "text": " "}]}, {"role": "system", "content": ""}]
        assert adapter.convert_messages_to_converse([*blank, *HELLO])[0] is None
        system, _ = adapter.convert_messages_to_converse([*blank, {"role": "system", "content": "S"}, *HELLO])
        assert system == [{"text": "S"}]

    @pytest.mark.parametrize("nothing", [None, []])
    def test_no_tools(self, nothing: Any) -> None:
        assert adapter.convert_tools_to_converse(nothing) == []

    def test_tools(self) -> None:
        [spec] = adapter.convert_tools_to_converse([WEATHER])
        assert spec["toolSpec"]["name"] == "get_weather"
        assert spec["toolSpec"]["inputSchema"]["json"]["properties"] == {"city": {"type": "string"}}

    def test_missing_parameters_become_an_empty_object_schema(self) -> None:
        [spec] = adapter.convert_tools_to_converse([{"type": "function", "function": {"name": "f"}}])
        assert spec["toolSpec"]["inputSchema"]["json"] == {"type": "object", "properties": {}}

    @pytest.mark.parametrize(
        "model", ["us.deepseek.r1-v1:0", "amazon.titan-embed-text-v2:0", "stability.sd3-large-v1:0"]
    )
    def test_tools_are_left_out_for_models_that_cannot_call_any(
        self, model: str, caplog: pytest.LogCaptureFixture
    ) -> None:
        assert not adapter._model_supports_tool_use(model)
        assert "toolConfig" not in adapter.build_converse_kwargs(model, HELLO, tools=[WEATHER])
        assert [record.levelname for record in caplog.records] == ["WARNING"]

    @pytest.mark.parametrize("model", [CLAUDE, NOVA, "someone.new-model"])
    def test_other_models_are_trusted_to_call_tools(self, model: str) -> None:
        assert adapter._model_supports_tool_use(model)

    def test_sampling_is_left_out_where_it_is_refused_and_stops_stay(self) -> None:
        kwargs = adapter.build_converse_kwargs(
            "us.anthropic.claude-opus-4-7", HELLO, temperature=0.1, top_p=0.9, stop_sequences=["X"]
        )
        assert kwargs["inferenceConfig"] == {"maxTokens": 4096, "stopSequences": ["X"]}

    def test_undecodable_base64_goes_out_as_it_is_with_a_warning(self, caplog: pytest.LogCaptureFixture) -> None:
        url = "data:image/png;base64,!!!not base64!!!"
        [image] = adapter._convert_content_to_converse([{"type": "image_url", "image_url": {"url": url}}])
        assert image["image"]["source"]["bytes"] == b"!!!not base64!!!"
        assert "WARNING" in [record.levelname for record in caplog.records]

    def test_images_go_out_as_raw_bytes(self) -> None:
        url = "data:image/jpg;base64," + base64.b64encode(b"\xff\xd8raw").decode()
        blocks = adapter._convert_content_to_converse([{"type": "image_url", "image_url": {"url": url}}])
        assert {"image": {"format": "jpeg", "source": {"bytes": b"\xff\xd8raw"}}} in blocks


class TestPromptCaching:
    HISTORY = (
        {"role": "system", "content": "S"},
        {"role": "user", "content": "one"},
        {"role": "assistant", "content": "two"},
        {"role": "user", "content": "three"},
    )

    def places(self, model: str) -> list[str]:
        kwargs = adapter.build_converse_kwargs(model, self.HISTORY, tools=[WEATHER])
        turns = kwargs["messages"]
        found = {
            "system": kwargs["system"][-1],
            "tools": kwargs["toolConfig"]["tools"][-1],
            "messages[-2]": turns[-2]["content"][-1],
        }
        assert CACHE_POINT not in turns[-1]["content"]
        return [place for place, block in found.items() if block == CACHE_POINT]

    def test_claude(self) -> None:
        assert self.places(CLAUDE) == ["system", "tools", "messages[-2]"]

    def test_nova_takes_none_in_its_tools(self) -> None:
        assert self.places(NOVA) == ["system", "messages[-2]"]

    @pytest.mark.parametrize("model", [LLAMA, "someone.new-model", "anthropic.claude-3-haiku-20240307-v1:0"])
    def test_never_on_models_that_do_not_cache(self, model: str) -> None:
        assert self.places(model) == []

    def test_off_by_one_switch(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("BEDROCK_PROMPT_CACHING", "off")
        assert self.places(CLAUDE) == []

    def test_a_malformed_switch_is_refused_by_name(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("BEDROCK_PROMPT_CACHING", "perhaps")
        with pytest.raises(SettingsError, match="BEDROCK_PROMPT_CACHING"):
            adapter.build_converse_kwargs(CLAUDE, HELLO)


class TestAnswers:
    def test_a_whole_answer(self) -> None:
        completion = adapter.normalize_converse_response(
            whole(
                {"reasoningContent": {"reasoningText": {"text": "Hm", "signature": "Eq"}}},
                {"text": "Hi"},
                {"toolUse": {"toolUseId": "t1", "name": "get_weather", "input": {"city": "Paris"}}},
                stop="tool_use",
                usage={"inputTokens": 3, "outputTokens": 5, "totalTokens": 20, "cacheReadInputTokens": 12},
            )
        )
        choice = completion.choices[0]
        assert (choice.message.content, choice.message.reasoning_content) == ("Hi", "Hm")
        assert choice.message.tool_calls[0].function.arguments == '{"city": "Paris"}'
        assert choice.finish_reason == "tool_calls"
        usage = completion.usage
        assert (usage.prompt_tokens, usage.completion_tokens, usage.total_tokens) == (15, 5, 20)

    def test_stream_and_whole_agree(self) -> None:
        streamed = adapter.normalize_converse_stream_events(stream(text("Hi")))
        assert streamed.choices == adapter.normalize_converse_response(whole({"text": "Hi"})).choices

    def test_a_plain_list_of_events_is_taken(self) -> None:
        assert adapter.normalize_converse_stream_events(stream(text("Hi"))["stream"]).choices[0].message.content == "Hi"

    def test_callbacks_and_text_held_back_after_a_tool_call(self) -> None:
        seen: list[Any] = []
        events = stream(
            {"contentBlockDelta": {"delta": {"reasoningContent": {"text": "Hm"}}, "contentBlockIndex": 0}},
            text("before", 1),
            tool(2),
            text("after", 3),
        )
        completion = adapter.stream_converse_with_callbacks(
            events,
            on_text_delta=lambda piece: seen.append(("text", piece)),
            on_tool_start=lambda name: seen.append(("tool", name)),
            on_reasoning_delta=lambda piece: seen.append(("reasoning", piece)),
        )
        assert seen == [("reasoning", "Hm"), ("text", "before"), ("tool", "get_weather")]
        assert completion.choices[0].message.content == "beforeafter"

    def test_on_event_fires_for_every_event_and_may_fail(self) -> None:
        count = 0

        def sign() -> None:
            nonlocal count
            count += 1
            raise RuntimeError("mine")

        adapter.stream_converse_with_callbacks(stream(text("a"), text("b")), on_event=sign)
        assert count == 4

    def test_an_interrupt_returns_what_came(self) -> None:
        seen: list[str] = []
        completion = adapter.stream_converse_with_callbacks(
            stream(text("one"), text("two"), text("three")),
            on_text_delta=seen.append,
            on_interrupt_check=lambda: len(seen) == 2,
        )
        assert completion.choices[0].message.content == "onetwo"
        assert (completion.choices[0].finish_reason, completion.bedrock.interrupted) == ("stop", True)

    def test_a_stream_without_message_stop_is_no_answer(self) -> None:
        with pytest.raises(TruncatedResponseError) as caught:
            adapter.normalize_converse_stream_events(stream(text("half"), stop=None))
        assert caught.value.partial.choices[0].message.content == "half"

    @pytest.mark.parametrize(("reason", "expected"), [("end_turn", "stop"), ("max_tokens", "length"), ("new", "stop")])
    def test_stop_reasons(self, reason: str, expected: str) -> None:
        assert adapter._converse_stop_reason_to_openai(reason) == expected

    def test_the_callers_tool_names_come_back_even_through_a_mock(self) -> None:
        spec = {"type": "function", "function": {"name": "files.read/all", "parameters": {"type": "object"}}}
        kwargs = adapter.build_converse_kwargs(CLAUDE, HELLO, tools=[spec])
        alias = next(t["toolSpec"]["name"] for t in kwargs["toolConfig"]["tools"] if "toolSpec" in t)
        assert alias != "files.read/all"
        answer = whole({"toolUse": {"toolUseId": "t1", "name": alias, "input": {}}}, stop="tool_use")
        calls = adapter.normalize_converse_response(answer).choices[0].message.tool_calls
        assert calls[0].function.name == "files.read/all"


class TestCalls:
    def test_whole(self, fake: FakeBedrock) -> None:
        fake.queue(Reply(Text("Hi"), ToolCall("get_weather", {"city": "Paris"})))
        completion = adapter.call_converse("us-east-1", CLAUDE, HELLO, tools=[WEATHER])
        assert completion.choices[0].message.tool_calls[0].function.name == "get_weather"
        assert fake.requests[-1].operation == "converse"

    def test_streamed(self, fake: FakeBedrock) -> None:
        fake.queue(Reply(Text("Hi"), ToolCall("get_weather", {"city": "Paris"})))
        completion = adapter.call_converse_stream("us-east-1", CLAUDE, HELLO, tools=[WEATHER])
        assert completion.choices[0].message.content == "Hi"
        assert completion.bedrock.request_id
        assert completion.model == CLAUDE
        assert fake.requests[-1].operation == "converse-stream"

    def test_a_stale_connection_evicts_and_is_raised_unchanged(self) -> None:
        from botocore.exceptions import ConnectionClosedError

        stale = ConnectionClosedError(endpoint_url="https://example.invalid")
        client = MagicMock()
        client.converse.side_effect = stale
        adapter._bedrock_runtime_client_cache["us-east-1"] = client
        with pytest.raises(ConnectionClosedError) as caught:
            adapter.call_converse("us-east-1", CLAUDE, HELLO)
        assert caught.value is stale
        assert "us-east-1" not in adapter._bedrock_runtime_client_cache

    def test_another_error_leaves_the_cache_alone(self) -> None:
        client = MagicMock()
        client.converse.side_effect = ValueError("mine")
        adapter._bedrock_runtime_client_cache["us-east-1"] = client
        with pytest.raises(ValueError, match="mine"):
            adapter.call_converse("us-east-1", CLAUDE, HELLO)
        assert adapter._bedrock_runtime_client_cache["us-east-1"] is client

    def test_denied_streaming_falls_back_to_a_whole_answer(self) -> None:
        from botocore.exceptions import ClientError

        message = "User: x is not authorized to perform: bedrock:InvokeModelWithResponseStream on resource: y"
        denied = ClientError({"Error": {"Code": "AccessDeniedException", "Message": message}}, "ConverseStream")
        assert adapter.is_streaming_access_denied_error(denied)
        client = MagicMock()
        client.converse_stream.side_effect = denied
        client.converse.return_value = whole({"text": "Hi"})
        adapter._bedrock_runtime_client_cache["us-east-1"] = client
        assert adapter.call_converse_stream("us-east-1", CLAUDE, HELLO).choices[0].message.content == "Hi"

    def test_the_patched_client_getter_is_used(self) -> None:
        client = MagicMock()
        client.converse.return_value = whole({"text": "Hi"})
        with patch("agent.bedrock_adapter._get_bedrock_runtime_client", return_value=client) as getter:
            adapter.call_converse("eu-west-1", CLAUDE, HELLO)
        getter.assert_called_once_with("eu-west-1")


class TestModels:
    @pytest.mark.parametrize(
        ("model", "claude"),
        [
            ("anthropic.claude-3-haiku-20240307-v1:0", True),
            (CLAUDE, True),
            ("global.anthropic.claude-sonnet-5", True),
            ("us-gov.anthropic.claude-sonnet-4-5-20250929-v1:0", True),
            ("apac.anthropic.claude-opus-4-7", True),
            (NOVA, False),
            ("meta.claude-like", False),
        ],
    )
    def test_is_anthropic(self, model: str, claude: bool) -> None:
        assert adapter.is_anthropic_bedrock_model(model) is claude

    def control(self) -> MagicMock:
        def summary(model: str, name: str, **other: Any) -> dict[str, Any]:
            return {
                "modelId": model,
                "modelName": name,
                "providerName": "Anthropic",
                "inputModalities": ["TEXT", "IMAGE"],
                "outputModalities": ["TEXT"],
                "responseStreamingSupported": True,
                "modelLifecycle": {"status": "ACTIVE"},
                **other,
            }

        client = MagicMock()
        client.list_foundation_models.return_value = {
            "modelSummaries": [
                summary("anthropic.claude-b", "Beta"),
                summary("anthropic.old", "Old", modelLifecycle={"status": "LEGACY"}),
                summary("anthropic.mute", "Mute", responseStreamingSupported=False),
                summary("anthropic.painter", "Painter", outputModalities=["IMAGE"]),
                summary("anthropic.claude-a", "Alpha"),
            ]
        }
        arn = "arn:aws:bedrock:us-east-1::foundation-model/anthropic.claude-a"

        def profile(name: str) -> dict[str, Any]:
            return {
                "inferenceProfileId": f"{name}.anthropic.claude-a",
                "inferenceProfileName": f"{name} Alpha",
                "status": "ACTIVE",
                "models": [{"modelArn": arn}],
            }

        pages = {
            None: {"inferenceProfileSummaries": [profile("us")], "nextToken": "p2"},
            "p2": {"inferenceProfileSummaries": [profile("global")]},
        }
        client.list_inference_profiles.side_effect = lambda **page: pages[page.get("nextToken")]
        return client

    def test_discovery(self) -> None:
        client = self.control()
        with patch("agent.bedrock_adapter._get_bedrock_control_client", return_value=client):
            found = adapter.discover_bedrock_models("us-east-1")
            assert adapter.get_bedrock_model_ids("us-east-1") == [model["id"] for model in found]
        assert [model["id"] for model in found] == [
            "global.anthropic.claude-a",
            "anthropic.claude-a",
            "anthropic.claude-b",
            "us.anthropic.claude-a",
        ]
        assert {model["provider"] for model in found} == {"Anthropic", "inference-profile"}
        assert set(found[0]) == {"id", "name", "provider", "input_modalities", "output_modalities", "streaming"}
        assert client.list_foundation_models.call_count == 1

    def test_discovery_with_a_filter(self) -> None:
        with patch("agent.bedrock_adapter._get_bedrock_control_client", return_value=self.control()):
            assert adapter.discover_bedrock_models("us-east-1", ["amazon"]) == []
            assert len(adapter.discover_bedrock_models("us-east-1", ["Anthropic"])) == 4

    def test_discovery_gives_what_there_is(self) -> None:
        client = self.control()
        client.list_inference_profiles.side_effect = RuntimeError("denied")
        with patch("agent.bedrock_adapter._get_bedrock_control_client", return_value=client):
            assert len(adapter.discover_bedrock_models("us-east-1")) == 2
        adapter.reset_discovery_cache()
        with patch("agent.bedrock_adapter._get_bedrock_control_client", side_effect=RuntimeError("no client")):
            assert adapter.discover_bedrock_models("us-east-1") == []

    def test_ids_or_none(self) -> None:
        with (
            patch("agent.bedrock_adapter.resolve_bedrock_region", return_value="eu-west-1"),
            patch("agent.bedrock_adapter.discover_bedrock_models", return_value=[{"id": "m"}]) as discover,
        ):
            assert adapter.bedrock_model_ids_or_none() == ["m"]
        discover.assert_called_once_with("eu-west-1")
        with patch("agent.bedrock_adapter.discover_bedrock_models", side_effect=RuntimeError("down")):
            assert adapter.bedrock_model_ids_or_none() is None
        with patch("agent.bedrock_adapter.discover_bedrock_models", return_value=[]):
            assert adapter.bedrock_model_ids_or_none() is None

    @pytest.mark.parametrize(
        ("arn", "provider"),
        [("arn:aws:bedrock:us-east-1::foundation-model/anthropic.claude-v2", "anthropic"), ("nonsense", "")],
    )
    def test_provider_of_an_arn(self, arn: str, provider: str) -> None:
        assert adapter._extract_provider_from_arn(arn) == provider

    @pytest.mark.parametrize(
        ("model", "window"),
        [
            ("us.anthropic.claude-opus-4-6-v1", 1_000_000),
            ("us.anthropic.claude-sonnet-4-6", 1_000_000),
            ("global.anthropic.claude-opus-4-8", 1_000_000),
            (CLAUDE, 200_000),
            ("anthropic.claude-haiku-4-5-20251001-v1:0", 200_000),
            (NOVA, 300_000),
            ("amazon.nova-lite-v1:0", 300_000),
            ("amazon.nova-micro-v1:0", 128_000),
            ("someone.new-model", 128_000),
        ],
    )
    def test_context_length(self, model: str, window: int) -> None:
        assert adapter.get_bedrock_context_length(model, probe=False) == window
        assert adapter.BEDROCK_DEFAULT_CONTEXT_LENGTH == 128_000

    def test_a_known_model_is_never_probed_and_an_unknown_one_is(self) -> None:
        with patch("agent.bedrock_adapter.probe_bedrock_context_length", return_value=42_000) as probe:
            assert adapter.get_bedrock_context_length(CLAUDE, "us-east-1") == 200_000
            assert adapter.get_bedrock_context_length("someone.new-model") == 128_000
            probe.assert_not_called()
            assert adapter.get_bedrock_context_length("someone.new-model", "us-east-1") == 42_000

    @pytest.mark.parametrize(
        ("outcome", "window"),
        [
            (RuntimeError("prompt is too long: 203470 tokens > 200000 maximum"), 200_000),
            (RuntimeError("Too many tokens, please wait before trying again."), None),
            (whole({"text": "Fine."}), None),
        ],
    )
    def test_probe(self, outcome: Any, window: int | None) -> None:
        client = MagicMock()
        client.converse.side_effect = [outcome]
        adapter._bedrock_runtime_client_cache["us-east-1"] = client
        assert adapter.probe_bedrock_context_length("someone.new-model", "us-east-1") == window
        sent = client.converse.call_args.kwargs["messages"][0]["content"][0]["text"]
        assert len(sent.encode()) <= 64_000


class TestErrors:
    @pytest.mark.parametrize(
        ("message", "kind"),
        [
            ("ValidationException: Input is too long for requested model", "context_overflow"),
            ("ValidationException: prompt is too long: 203470 tokens > 200000 maximum", "context_overflow"),
            ("ThrottlingException: Too many tokens, please wait before trying again.", "rate_limit"),
            ("ModelNotReadyException: loading", "overloaded"),
            ("something else", "unknown"),
        ],
    )
    def test_classify(self, message: str, kind: str) -> None:
        assert adapter.classify_bedrock_error(message) == kind
        assert adapter.is_context_overflow_error(message) is (kind == "context_overflow")

    def test_patterns_are_compiled(self) -> None:
        patterns = [*adapter.CONTEXT_OVERFLOW_PATTERNS, *adapter.THROTTLE_PATTERNS, *adapter.OVERLOAD_PATTERNS]
        assert all(hasattr(pattern, "search") for pattern in patterns)

    def test_stale_errors(self) -> None:
        import botocore.exceptions as boto
        import urllib3.exceptions as urllib3

        stale = [
            boto.ConnectionClosedError(endpoint_url="x"),
            boto.EndpointConnectionError(endpoint_url="x"),
            boto.ReadTimeoutError(endpoint_url="x"),
            boto.ConnectTimeoutError(endpoint_url="x"),
            boto.HTTPClientError(error="x"),
            urllib3.ProtocolError("cut"),
            urllib3.NewConnectionError(MagicMock(), "refused"),
        ]
        assert all(adapter.is_stale_connection_error(error) for error in stale)
        fresh = [ValueError("x"), AssertionError("mine"), boto.ParamValidationError(report="x"), OSError("x")]
        assert not any(adapter.is_stale_connection_error(error) for error in fresh)

    def test_an_assertion_inside_urllib3_is_stale(self) -> None:
        code = compile("def fail():\n    assert False", "pool.py", "exec")
        library: dict[str, Any] = {"__name__": "urllib3.connectionpool"}
        exec(code, library)
        with pytest.raises(AssertionError) as caught:
            library["fail"]()
        assert adapter.is_stale_connection_error(caught.value)


class TestOptionsFromTheEnvironment:
    def kwargs(self, **options: Any) -> dict[str, Any]:
        return adapter.build_converse_kwargs(CLAUDE, HELLO, **options)

    def test_reasoning_effort(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("BEDROCK_REASONING_EFFORT", "low")
        fields = self.kwargs(max_tokens=8192)["additionalModelRequestFields"]
        assert fields["thinking"]["type"] == "enabled"

    def test_cache_ttl(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("BEDROCK_CACHE_TTL", "1h")
        kwargs = adapter.build_converse_kwargs(CLAUDE, [{"role": "system", "content": "S"}, *HELLO])
        assert kwargs["system"][-1] == {"cachePoint": {"type": "default", "ttl": "1h"}}

    def test_service_tier(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("BEDROCK_SERVICE_TIER", "flex")
        assert self.kwargs()["serviceTier"] == {"type": "flex"}

    @pytest.mark.parametrize("name", ["abc123", "arn:aws:bedrock:us-east-1:123456789012:guardrail/abc123"])
    def test_guardrail(self, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("BEDROCK_GUARDRAIL", f"{name}:3")
        guardrail = self.kwargs()["guardrailConfig"]
        assert (guardrail["guardrailIdentifier"], guardrail["guardrailVersion"]) == (name, "3")
        mine = {"guardrailIdentifier": "mine", "guardrailVersion": "1"}
        assert self.kwargs(guardrail_config=mine)["guardrailConfig"]["guardrailIdentifier"] == "mine"

    def test_extra(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv(
            "BEDROCK_EXTRA", '{"requestMetadata": {"team": "a"}, "performanceConfig": {"latency": "optimized"}}'
        )
        kwargs = self.kwargs()
        assert kwargs["requestMetadata"] == {"team": "a"}
        assert kwargs["performanceConfig"] == {"latency": "optimized"}

    @pytest.mark.parametrize(
        ("variable", "value"),
        [
            ("BEDROCK_REASONING_EFFORT", "enormous"),
            ("BEDROCK_CACHE_TTL", "2h"),
            ("BEDROCK_SERVICE_TIER", "gold"),
            ("BEDROCK_GUARDRAIL", "abc123"),
            ("BEDROCK_GUARDRAIL", ":1"),
            ("BEDROCK_EXTRA", "{not json"),
            ("BEDROCK_EXTRA", "[1]"),
            ("BEDROCK_EXTRA", '{"inferenceConfig": 5}'),
            ("BEDROCK_EXTRA", '{"system": "be brief"}'),
            ("BEDROCK_EXTRA", '{"a":' * 5000 + "1" + "}" * 5000),
            ("BEDROCK_GUARDRAIL", "abc:0"),
            ("BEDROCK_GUARDRAIL", "abc:²"),
        ],
    )
    def test_a_malformed_value_is_refused_by_name(
        self, variable: str, value: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv(variable, value)
        with pytest.raises(SettingsError, match=variable):
            self.kwargs()

    def test_they_reach_the_wire_on_every_call(self, fake: FakeBedrock, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("BEDROCK_SERVICE_TIER", "priority")
        adapter.call_converse("us-east-1", CLAUDE, HELLO)
        adapter.call_converse_stream("us-east-1", CLAUDE, HELLO)
        assert [request.body["serviceTier"] for request in fake.requests] == [{"type": "priority"}] * 2


@pytest.mark.parametrize("streamed", [False, True])
def test_signed_reasoning_goes_back_though_the_loop_keeps_text_and_calls_only(
    fake: FakeBedrock, streamed: bool
) -> None:
    """Hermes 0.19 builds its history from content, tool calls and bare reasoning text, stripped of white space."""
    tools = [{"type": "function", "function": {"name": "get.weather", "parameters": {"type": "object"}}}]
    wire_name = adapter.build_converse_kwargs(CLAUDE, HELLO, tools)["toolConfig"]["tools"][0]["toolSpec"]["name"]
    blocks = (Reasoning("think", "c2ln"), Redacted(b"\x00\xff"), Text("  So. "), ToolCall(wire_name, {"city": "Rome"}))
    fake.queue(Reply(*blocks), Reply("Sunny."))
    ask = adapter.call_converse_stream if streamed else adapter.call_converse
    message = ask("us-east-1", CLAUDE, HELLO, tools).choices[0].message
    [made] = message.tool_calls or []
    kept = {
        "role": "assistant",
        "content": (message.content or "").strip(),
        "reasoning_content": message.reasoning_content,
        "tool_calls": [
            {
                "id": made.id,
                "type": "function",
                "function": {"name": made.function.name, "arguments": '{ "city":"Rome" }'},
            }
        ],
    }
    ask("us-east-1", CLAUDE, [*HELLO, kept, {"role": "tool", "tool_call_id": made.id, "content": "sunny"}], tools)
    reasoning, redacted, text, use, *_ = fake.requests[1].body["messages"][1]["content"]
    assert reasoning["reasoningContent"] == {"reasoningText": {"text": "think", "signature": "c2ln"}}
    assert redacted["reasoningContent"] == {"redactedContent": "AP8="}
    assert text == {"text": "So."}
    assert (use["toolUse"]["name"], use["toolUse"]["input"]) == (wire_name, {"city": "Rome"})
