"""Clients as they are built, and the cache that keeps one per region."""

from __future__ import annotations

import gc
import logging
import os
import subprocess
import sys
import threading
import time
import traceback
import warnings
import weakref
from pathlib import Path
from typing import Any
from unittest.mock import MagicMock

import boto3
import pytest
from botocore.client import BaseClient
from botocore.stub import Stubber

from agent.bedrock import Bedrock
from agent.bedrock.aws import clients
from agent.bedrock.aws.cache import ClientCache
from agent.bedrock.aws.clients import build_control_client, build_runtime_client, fingerprint
from agent.bedrock.aws.credentials import Credentials
from agent.bedrock.aws.settings import ClientSettings
from agent.bedrock.errors import classify
from agent.bedrock.testing import FakeBedrock, Fault, Refusal, Reply, Stall, StreamException
from tests.moments import cost

KEYS = Credentials(aws_access_key_id="AKIDEXAMPLE", aws_secret_access_key="Tr0ub4dor")
HELLO: dict[str, Any] = {
    "modelId": "anthropic.claude-3-haiku-20240307-v1:0",
    "messages": [{"role": "user", "content": [{"text": "Hi"}]}],
}
ANSWER: dict[str, Any] = {
    "output": {"message": {"role": "assistant", "content": [{"text": "Hi"}]}},
    "stopReason": "end_turn",
    "usage": {"inputTokens": 1, "outputTokens": 1, "totalTokens": 2},
    "metrics": {"latencyMs": 1},
}


class TestRuntimeClient:
    def test_is_a_genuine_boto3_client(self) -> None:
        client = build_runtime_client("eu-west-1", ClientSettings(), KEYS)
        plain = boto3.Session().client("bedrock-runtime", region_name="eu-west-1")
        assert isinstance(client, BaseClient)
        assert type(client).__name__ == type(plain).__name__
        assert client.meta.region_name == "eu-west-1"
        assert client.meta.service_model.service_name == "bedrock-runtime"
        assert issubclass(client.exceptions.ThrottlingException, client.exceptions.ClientError)
        assert {name for name in dir(plain) if not name.startswith("__")} <= set(dir(client))
        assert client.can_paginate("converse") is False
        assert client.converse.__name__ == "converse"
        assert "Sends messages" in str(client.converse.__doc__)

    def test_says_everything_explicitly(self) -> None:
        settings = ClientSettings(
            connect_timeout=1, read_timeout=2, max_attempts=4, max_connections=5, retry_mode="adaptive"
        )
        for _ in range(2):  # botocore writes into the dict of retries: a shared one would differ the second time
            config: Any = build_runtime_client("us-east-1", settings, KEYS).meta.config
            assert (config.connect_timeout, config.read_timeout, config.max_pool_connections) == (1, 2, 5)
            assert config.retries == {"total_max_attempts": 1, "mode": "adaptive"}  # the guard makes the others
            assert config.tcp_keepalive is True

    def test_settings_default_to_the_environment(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("BEDROCK_READ_TIMEOUT", "33")
        monkeypatch.setenv("AWS_ENDPOINT_URL_BEDROCK_RUNTIME", "http://127.0.0.1:9/prefix")
        client = build_runtime_client("us-east-1", credentials=KEYS)
        assert client.meta.config.read_timeout == 33
        assert client.meta.endpoint_url == "http://127.0.0.1:9/prefix"

    def test_says_who_calls(self) -> None:
        with FakeBedrock() as fake:
            build_runtime_client("us-east-1", ClientSettings(endpoint_url=fake.url), KEYS).converse(**HELLO)
            assert clients.USER_AGENT in fake.requests[0].headers["user-agent"]

    @pytest.mark.parametrize("attempts", [1, 2])
    def test_attempts_are_counted_in_total(self, attempts: int) -> None:
        with FakeBedrock([Refusal("InternalServerException", "down")] * attempts) as fake:
            settings = ClientSettings(endpoint_url=fake.url, max_attempts=attempts)
            client = build_runtime_client("us-east-1", settings, KEYS)
            with pytest.raises(client.exceptions.InternalServerException):
                client.converse(**HELLO)
            assert len(fake.requests) == attempts

    def test_an_answer_of_the_stubber_passes(self) -> None:
        client = build_runtime_client("us-east-1", ClientSettings(), KEYS)
        with Stubber(client) as stubber:
            stubber.add_response("converse", ANSWER, HELLO)
            assert client.converse(**HELLO)["stopReason"] == "end_turn"
            stubber.add_client_error("converse", "ThrottlingException", "slow down", 429)
            with pytest.raises(client.exceptions.ThrottlingException):
                client.converse(**HELLO)
            stubber.assert_no_pending_responses()

    def test_streams_are_botocores_own(self) -> None:
        from botocore.eventstream import EventStream

        with FakeBedrock([Reply("Hello")]) as fake:
            answer = build_runtime_client("us-east-1", ClientSettings(endpoint_url=fake.url), KEYS).converse_stream(
                **HELLO
            )
            assert isinstance(answer["stream"], EventStream)
            assert [next(iter(event)) for event in answer["stream"]][-2:] == ["messageStop", "metadata"]


class TestControlClient:
    def test_gives_up_sooner_than_one_that_waits_for_a_model(self) -> None:
        client: Any = build_control_client("us-east-1", ClientSettings(), KEYS)
        assert client.meta.service_model.service_name == "bedrock"
        assert client.meta.config.read_timeout <= 20
        assert client.meta.config.connect_timeout <= 5
        assert client.meta.config.retries["total_max_attempts"] == 3
        sooner: Any = build_control_client("us-east-1", ClientSettings(read_timeout=3, connect_timeout=1), KEYS)
        assert (sooner.meta.config.connect_timeout, sooner.meta.config.read_timeout) == (1, 3)

    def test_lists_models_of_the_endpoint_given(self) -> None:
        with FakeBedrock() as fake:
            client = build_control_client("us-east-1", ClientSettings(), KEYS, endpoint_url=fake.url)
            assert client.list_foundation_models()["modelSummaries"]


class TestFingerprint:
    @pytest.mark.parametrize(
        ("variable", "value"),
        [
            ("AWS_ACCESS_KEY_ID", "AKIDOTHER"),
            ("AWS_BEARER_TOKEN_BEDROCK", "tok"),
            ("AWS_PROFILE", "dev"),
            ("BEDROCK_READ_TIMEOUT", "5"),
            ("AWS_ENDPOINT_URL_BEDROCK_RUNTIME", "http://127.0.0.1:9"),
            ("HTTPS_PROXY", "http://proxy"),
            ("AWS_CA_BUNDLE", "/ca"),
        ],
    )
    def test_changes_with_identity_endpoint_and_settings(
        self, variable: str, value: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        before = fingerprint()
        assert fingerprint() == before
        monkeypatch.setenv(variable, value)
        assert fingerprint() != before

    def test_changes_with_arguments(self) -> None:
        several = {fingerprint(), fingerprint(KEYS), fingerprint(KEYS, ClientSettings(read_timeout=1))}
        assert len(several) == 3

    def test_a_hit_is_cheap(self) -> None:
        cache = ClientCache()
        cache.get_or_build("us-east-1", fingerprint(), object)

        # 7 us measured; the bound leaves room, and would still catch a second look at the environment.
        assert cost(lambda: cache.get_or_build("us-east-1", fingerprint(), object), 200) < 100e-6


class TestClientCache:
    def test_one_client_per_key_and_fingerprint(self) -> None:
        cache = ClientCache()
        first = cache.get_or_build("us-east-1", 1, object)
        assert cache.get_or_build("us-east-1", 1, object) is first
        assert cache.get_or_build("eu-west-1", 1, object) is not first
        second = cache.get_or_build("us-east-1", 2, object)
        assert second is not first
        assert cache["us-east-1"] is second
        assert set(cache) == {"us-east-1", "eu-west-1"}

    def test_it_is_a_dict_and_what_is_written_into_it_is_honoured(self) -> None:
        cache = ClientCache()
        assert isinstance(cache, dict)
        mock = MagicMock()
        cache["us-east-1"] = mock
        for changed in (1, 2):
            assert cache.get_or_build("us-east-1", changed, pytest.fail) is mock
        built = cache.get_or_build("eu-west-1", 1, object)
        cache["eu-west-1"] = mock
        assert cache.get_or_build("eu-west-1", 2, pytest.fail) is mock
        del cache["eu-west-1"]
        assert cache.get_or_build("eu-west-1", 2, object) not in (mock, built)

    def test_eviction_takes_one_region_and_says_whether_there_was_one(self) -> None:
        cache = ClientCache()
        east = cache.get_or_build("us-east-1", 1, object)
        cache["us-west-2"] = west = object()
        assert cache.evict("us-east-1") is True
        assert cache.evict("us-east-1") is False
        assert cache.get("us-west-2") is west
        assert cache.get_or_build("us-east-1", 1, object) is not east

    def test_clearing_takes_all(self) -> None:
        cache = ClientCache()
        cache.get_or_build("us-east-1", 1, object)
        cache["x"] = "dummy"
        cache.clear()
        assert len(cache) == 0

    def test_eight_threads_at_once_build_one_client(self) -> None:
        cache, built, gate = ClientCache(), [], threading.Barrier(8)
        found: list[Any] = []

        def build() -> object:
            time.sleep(0.05)
            built.append(object())
            return built[-1]

        def ask() -> None:
            gate.wait()
            found.append(cache.get_or_build("us-east-1", fingerprint(), build))

        _run([ask] * 8)
        assert len(built) == 1
        assert found == built * 8

    def test_eight_threads_at_once_build_one_real_client(self) -> None:
        cache, gate, found = ClientCache(), threading.Barrier(8), set()

        def ask() -> None:
            gate.wait()
            found.add(
                cache.get_or_build(
                    "us-east-1", fingerprint(KEYS), lambda: build_runtime_client("us-east-1", ClientSettings(), KEYS)
                )
            )

        _run([ask] * 8)
        assert len(found) == 1

    def test_a_region_is_built_while_another_is_still_being_built(self) -> None:
        cache, slow_began, slow_may_end = ClientCache(), threading.Event(), threading.Event()

        def slow() -> str:
            slow_began.set()
            assert slow_may_end.wait(5)
            return "slow"

        def ask_both() -> None:
            slow_began.wait(5)
            assert cache.get_or_build("eu-west-1", 1, lambda: "fast") == "fast"
            assert cache.get_or_build("eu-west-1", 1, pytest.fail) == "fast"
            slow_may_end.set()

        _run([lambda: cache.get_or_build("us-east-1", 1, slow), ask_both])
        assert dict(cache) == {"us-east-1": "slow", "eu-west-1": "fast"}

    def test_a_build_that_fails_leaves_nothing_and_the_next_one_may_work(self) -> None:
        cache = ClientCache()

        def fail() -> None:
            raise RuntimeError("no credentials")

        with pytest.raises(RuntimeError):
            cache.get_or_build("us-east-1", 1, fail)
        assert "us-east-1" not in cache
        assert cache.get_or_build("us-east-1", 1, lambda: "client") == "client"
        assert not cache._building

    def test_no_thread_ever_sees_the_old_client_with_the_new_fingerprint(self) -> None:
        cache, stop, wrong = ClientCache(), threading.Event(), []

        def reader() -> None:
            while not stop.is_set():
                wanted = current[0]
                got = cache.get_or_build("us-east-1", wanted, lambda wanted=wanted: f"client {wanted}")
                if got != f"client {wanted}":
                    wrong.append((wanted, got))

        current = [0]
        readers = [threading.Thread(target=reader) for _ in range(3)]
        for thread in readers:
            thread.start()
        for number in range(40):
            current[0] = number
            time.sleep(0.002)
        stop.set()
        for thread in readers:
            thread.join()
        assert not wrong

    def test_a_limit_lets_the_oldest_of_its_own_go(self) -> None:
        cache = ClientCache(limit=2)
        cache["mock"] = "kept"
        for key in ("a", "b", "c"):
            cache.get_or_build(key, 1, object)
        assert set(cache) == {"mock", "b", "c"}

    @pytest.mark.skipif(not hasattr(os, "fork"), reason="this system cannot fork")
    def test_a_forked_child_begins_with_an_empty_cache_and_free_locks(self) -> None:
        cache = ClientCache()
        cache.get_or_build("us-east-1", 1, object)
        cache["us-west-2"] = "mock"
        cache._lock.acquire()  # as if another thread held it at the moment of the fork
        try:
            assert _in_child(lambda: len(cache) == 0 and cache.get_or_build("us-east-1", 1, lambda: 7) == 7)
        finally:
            cache._lock.release()
        assert set(cache) == {"us-east-1", "us-west-2"}

    def test_a_cache_that_is_dropped_is_collected(self) -> None:
        cache = ClientCache()
        gone = weakref.ref(cache)
        del cache
        gc.collect()
        assert gone() is None

    def test_a_rebuild_is_on_a_fresh_session(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        files = tmp_path / "credentials"
        monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(files))
        cache = ClientCache()
        with FakeBedrock() as fake:
            settings = ClientSettings(endpoint_url=fake.url)
            for key in ("AKIDFIRST", "AKIDSECONDONE"):
                files.write_text(f"[default]\naws_access_key_id = {key}\naws_secret_access_key = s\n")
                cache.get_or_build(
                    "us-east-1", fingerprint(), lambda: build_runtime_client("us-east-1", settings)
                ).converse(**HELLO)
            signed = [request.headers["authorization"] for request in fake.requests]
        assert ["Credential=AKIDFIRST/" in signed[0], "Credential=AKIDSECONDONE/" in signed[1]] == [True, True]

    def test_a_stream_in_flight_outlives_the_eviction_of_its_client(self) -> None:
        cache = ClientCache()
        with FakeBedrock([Reply("abcdef", delta_size=1, pace=0.01)]) as fake:
            settings = ClientSettings(endpoint_url=fake.url)
            client = cache.get_or_build("us-east-1", 1, lambda: build_runtime_client("us-east-1", settings, KEYS))
            stream = client.converse_stream(**HELLO)["stream"]
            events = iter(stream)
            next(events)
            del client
            assert cache.evict("us-east-1")
            gc.collect()
            assert [next(iter(event)) for event in events][-1] == "metadata"
            stream.close()


def test_nothing_that_is_built_or_logged_shows_a_secret(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, logger="agent")
    cache = ClientCache()
    with FakeBedrock([Reply("Hi")]) as fake:
        client = cache.get_or_build(
            "us-east-1",
            fingerprint(KEYS),
            lambda: build_runtime_client("us-east-1", ClientSettings(endpoint_url=fake.url), KEYS),
        )
        client.converse(**HELLO)
    shown = [repr(cache), repr(cache._built), repr(fingerprint(KEYS)), repr(client), caplog.text]
    assert not [text for text in shown if "Tr0ub4dor" in text]


def test_secrets_of_the_environment_are_in_nothing_of_ours_when_a_call_fails(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    planted = {"AWS_ACCESS_KEY_ID": "AKIDPLANTED", "AWS_SECRET_ACCESS_KEY": "Tr0ub4dor", "AWS_SESSION_TOKEN": "Tok3n"}
    for name, value in planted.items():
        monkeypatch.setenv(name, value)
    caplog.set_level(logging.DEBUG, logger="agent")
    cache = ClientCache()
    with FakeBedrock([Refusal("UnrecognizedClientException", "The security token is invalid.")] * 2) as fake:
        monkeypatch.setenv("AWS_ENDPOINT_URL_BEDROCK_RUNTIME", fake.url)
        client = cache.get_or_build("us-east-1", fingerprint(), lambda: build_runtime_client("us-east-1"))
        with pytest.raises(client.exceptions.ClientError) as raised:
            client.converse(**HELLO)
        cache.evict("us-east-1")
    shown = [repr(cache), repr(fingerprint()), repr(classify(raised.value)), caplog.text]
    shown += ["".join(traceback.format_exception(raised.value)), str(vars(raised.value))]
    for secret in planted.values():
        assert not [text for text in shown if secret in text]


@pytest.mark.parametrize("fault", [None, Stall(2, seconds=5), StreamException("throttlingException", at=2)], ids=str)
def test_nothing_of_ours_that_is_alive_shows_a_secret(fault: Fault | None, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, logger="agent")
    keys = {"aws_access_key_id": "AKIDEXAMPLE", "aws_secret_access_key": "Tr0ub4dor", "aws_session_token": "Tr0ub4dor"}
    with (
        FakeBedrock([Reply("Hello", fault=fault)]) as fake,
        Bedrock(endpoint_url=fake.url, region="x", **keys) as bedrock,
    ):
        options: dict[str, Any] = {"cancel": threading.Event(), "resume": "restart", "fallbacks": [("y", None)]}
        with bedrock.stream(HELLO["modelId"], [{"role": "user", "content": "Hi"}], **options) as stream:
            next(stream)
            alive = [found for found in gc.get_objects() if _is_ours(type(found))]
    assert {type(found).__name__ for found in alive} >= {"Journey", "Call", "Protection", "Credentials", "ClientCache"}
    assert [type(found) for found in alive if "Tr0ub4dor" in repr(found)] == []
    assert "Tr0ub4dor" not in caplog.text


def _is_ours(cls: type) -> bool:
    return str(cls.__module__).startswith("agent.") and ".testing" not in cls.__module__


def test_importing_the_wing_loads_no_library_of_aws() -> None:
    code = (
        "import sys, importlib, pkgutil; from agent.bedrock import aws; "
        "[importlib.import_module(f'agent.bedrock.aws.{found.name}') for found in pkgutil.iter_modules(aws.__path__)]; "
        "assert not [m for m in sys.modules if m.split('.')[0] in ('boto3', 'botocore', 'urllib3')]"
    )
    root = Path(__file__).resolve().parent.parent.parent
    subprocess.run([sys.executable, "-c", code], check=True, cwd=root, timeout=60)


def _run(targets: list[Any]) -> None:
    failures: list[BaseException] = []

    def guarded(target: Any) -> None:
        try:
            target()
        except BaseException as exc:  # noqa: BLE001 (a thread's failure is the test's)
            failures.append(exc)

    threads = [threading.Thread(target=guarded, args=(target,)) for target in targets]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert not failures, failures


def _in_child(holds: Any) -> bool:
    """Whether `holds()` is true in a forked child."""
    with warnings.catch_warnings():
        # From 3.12 on Python warns of forking beside threads, which is what this is about.
        warnings.simplefilter("ignore", DeprecationWarning)
        pid = os.fork()
    if pid == 0:
        code = 1
        try:
            code = 0 if holds() else 1
        finally:
            os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
