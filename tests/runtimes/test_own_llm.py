"""What only llm has: a command line and async models."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

import pytest

from agent.bedrock.testing import FakeBedrock, Reply, Text

if os.environ.get("RUNTIME") != "llm":
    pytest.skip("llm is not installed here; scripts/test-runtimes has it", allow_module_level=True)

import llm
from click.testing import CliRunner
from llm.cli import cli

from tests.runtimes.players.llm_plugin import Player, plugin
from tests.runtimes.players.stage import MODEL, Stage

pytestmark = pytest.mark.leaves_threads


def test_the_command_line_answers_and_lists_the_model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LLM_USER_PATH", str(tmp_path))
    with FakeBedrock([Reply(Text(["Hel", "lo!"]))]) as fake:
        Player(Stage(fake))
        answer = CliRunner().invoke(cli, ["-m", MODEL, "Hi"], catch_exceptions=False)
    assert answer.output.strip() == "Hello!"
    assert fake.requests[0].operation == "converse-stream"
    assert f"Bedrock: {MODEL}" in CliRunner().invoke(cli, ["models", "list"]).output


def test_an_async_model_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    async def ask() -> str:
        return await llm.get_async_model(MODEL).prompt("Hi", stream=False).text()

    with FakeBedrock(["Hello!"]) as fake:
        monkeypatch.setattr(plugin, "async_http", Stage(fake).async_http)
        assert asyncio.run(ask()) == "Hello!"
