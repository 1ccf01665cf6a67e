"""What only mini-swe-agent has: a cost per answer, a cache control of its own, and a log of the whole run."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from agent.bedrock.testing import FakeBedrock, RecordedRequest, Reply, Text, ToolCall, Usage

if os.environ.get("RUNTIME") != "mini-swe-agent":
    pytest.skip("mini-swe-agent is not installed here; scripts/test-runtimes has it", allow_module_level=True)

from minisweagent.agents.default import DefaultAgent
from minisweagent.environments.local import LocalEnvironment

from tests.runtimes.players.mini_swe_agent_model import Player
from tests.runtimes.players.stage import MODEL, Stage

pytestmark = pytest.mark.leaves_threads


def work(request: RecordedRequest) -> Reply:
    done = "seen" in str(request.body["messages"])
    command = "echo COMPLETE_TASK_AND_SUBMIT_FINAL_OUTPUT && echo Done." if done else "echo seen"
    call = ToolCall("bash", {"command": command})
    return Reply(Text("Go on."), call, usage=Usage(input=20, output=7, cache_read=5))


def test_a_streamed_run_is_logged_with_usage_and_marks_its_cache(tmp_path: Path) -> None:
    log = tmp_path / "run.json"
    with FakeBedrock(work) as fake:
        model: Any = Player(Stage(fake)).streaming
        model.config.set_cache_control = "default_end"
        agent = DefaultAgent(
            model,
            LocalEnvironment(),
            system_template="You work in a shell.",
            instance_template="{{task}}",
            output_path=log,
        )
        assert agent.run("Work.")["submission"].strip() == "Done."
    assert [request.operation for request in fake.requests] == ["converse-stream"] * 2
    assert not [request.refusal for request in fake.requests if request.refusal]
    assert "cachePoint" in str(fake.requests[0].body["messages"][-1])
    messages = json.loads(log.read_text(encoding="utf-8"))["messages"]
    usage = [message["extra"]["response"]["usage"] for message in messages if message["role"] == "assistant"]
    assert [(told["prompt_tokens"], told["completion_tokens"]) for told in usage] == [(25, 7)] * 2
    assert MODEL in str(json.loads(log.read_text(encoding="utf-8"))["info"])
