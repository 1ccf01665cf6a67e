"""Run the integration tests of agent runtimes, each in an environment of its own, pinned.

In come names of runtimes (all of them without any) and arguments for pytest; out goes whether every test passed, and a
table of who played what. The tests are `tests/runtimes/test_runtimes.py`, one set of scenes that every runtime plays
against the stand-in, and beside it `test_own_*.py` for what only one of them has. Nothing is left behind but the
environments, in `.venv-runtimes`.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
import xml.etree.ElementTree as ET
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from workshop.environment import ROOT, Environment, declared, editable, prepare

SERVER = ("starlette", "uvicorn")

RUNTIMES: Mapping[str, tuple[str, ...]] = {
    "openai2": ("openai==2.54.0",),
    "openai3": ("openai==3.52.0", *SERVER),
    "pydantic-ai": ("pydantic-ai-slim[openai]==2.68.0", "openai==3.52.0"),
    "openai-agents": ("openai-agents==0.24.0", "openai==3.52.0"),
    # langchain-core from 1.7.5 and LiteLLM from 1.108 on need a certifi that was not published yet; without it,
    # langchain-openai 1.7.4 on langchain-core 1.8.1 and LiteLLM 1.109.1 passed, too (2026-11-20).
    "langchain": ("langchain-openai==1.7.3", "langgraph==1.2.22", "langchain==1.4.7", "openai==3.52.0"),
    "instructor": ("instructor==1.17.0", "openai==3.3.0"),
    "smolagents": ("smolagents[openai]==1.26.0", "openai==3.52.0"),
    # LiteLLM needs mcp for any call with tools, and does not ask for it.
    "litellm": ("litellm==1.106.2", "openai==2.54.0", "mcp==2.3.0"),
    "autogen": ("autogen-ext[openai]==0.7.5", "autogen-agentchat==0.7.5", "openai==3.52.0"),
    "dspy": ("dspy==3.4.1", "litellm==1.106.2", "openai==2.54.0", "mcp==2.3.0", *SERVER),
    "llm": ("llm==0.36", "openai==3.52.0", *SERVER),
    "mini-swe-agent": ("mini-swe-agent==2.4.6", "litellm==1.106.2", "openai==2.54.0", "mcp==2.3.0", *SERVER),
    "aider": ("aider-chat==0.86.2", *SERVER),
    "strands": ("strands-agents==1.62.0",),
}
"""What pip puts into the environment of each runtime, beside this checkout and the tools of the tests."""

PLAYERS: Mapping[str, tuple[str, ...]] = {
    "openai2": ("openai_sdk",),
    "openai3": ("openai_sdk", "openai_over_http"),
    "pydantic-ai": ("pydantic_ai_agent",),
    "openai-agents": ("openai_agents",),
    "langchain": ("langgraph_agent",),
    "instructor": ("instructor_client",),
    "smolagents": ("smolagents_agent", "smolagents_model"),
    "litellm": ("litellm_calls", "litellm_provider"),
    "autogen": ("autogen_agent",),
    "dspy": ("dspy_program",),
    "llm": ("llm_plugin",),
    "mini-swe-agent": ("mini_swe_agent", "mini_swe_agent_model", "mini_swe_agent_over_http"),
    "aider": ("aider_coder",),
    "strands": ("strands_agent",),
}
"""Modules of `tests.runtimes.players` by the environment in which they play."""

SCENES = ("plain", "stream", "tools", "structured", "429", "overflow", "reasoning")
"""What each is asked to play: a plain answer, a stream, two parallel tools, an object, too many requests, a conversation
that is too long, and signed reasoning that survives the tools."""


@dataclass(frozen=True, slots=True)
class Missing:
    """A scene that a runtime has no road for: why, and the line of its own source that shows it."""

    why: str
    module: str
    line: str


_WHOLE = Missing(
    "its own model class reads whole answers only; the one in `examples/` streams",
    "minisweagent.models.litellm_model",
    "message = response.choices[0].message.model_dump()",
)

MISSING: Mapping[str, Mapping[str, Missing]] = {
    "smolagents_agent": {
        "reasoning": Missing(
            "its own model class tells calls and results as plain text; the one in `examples/` tells them as what they are",
            "smolagents.models",
            "MessageRole.TOOL_RESPONSE: MessageRole.USER,",
        )
    },
    "mini_swe_agent": {"stream": _WHOLE},
    "mini_swe_agent_over_http": {"stream": _WHOLE},
    "aider_coder": {
        "tools": Missing(
            "it edits files by text, reads one call of an answer at most, and never sends a result back",
            "aider.coders.base_coder",
            "completion.choices[0].message.tool_calls[0].function",
        ),
        "reasoning": Missing(
            "without tool results nothing has to come back; reasoning is shown and left out of the next turn",
            "aider.coders.base_coder",
            "self.remove_reasoning_content()",
        ),
    },
}
"""What cannot be played, by player; the tests look the lines up, so that a runtime that learns it is noticed."""


def scenes_table() -> str:
    """The players and their scenes as the documents show them."""
    head = f"| player | {' | '.join(SCENES)} |\n|{' --- |' * (len(SCENES) + 1)}"
    return "\n".join([head, *(_row(name, player) for name, players in PLAYERS.items() for player in players)])


def _row(name: str, player: str) -> str:
    missing = MISSING.get(player, {})
    cells = ("no" if scene in missing else "yes" for scene in SCENES)
    return f"| {name}: `{player}` | {' | '.join(cells)} |"


def environment(name: str) -> Environment:
    """The environment of a runtime."""
    tools = [wish for wish in declared("dev") if wish.startswith(("hypothesis", "pytest>", "trustme"))]
    return Environment(ROOT / ".venv-runtimes" / name, (*editable(()), *RUNTIMES[name], *tools))


def main(arguments: Sequence[str]) -> int:
    """Play the scenes with the runtimes that are named, or with all."""
    named = [argument for argument in arguments if argument in RUNTIMES]
    rest = [argument for argument in arguments if argument not in RUNTIMES]
    failed, played = [], []
    for name in named or RUNTIMES:
        passed, lines = _played(name, rest)
        failed += [] if passed else [name]
        played += lines
    print("\n".join(["", *played, ""]))
    print(f"failed: {', '.join(failed)}" if failed else "all passed")
    return int(bool(failed))


def _played(name: str, arguments: Sequence[str]) -> tuple[bool, list[str]]:
    """Whether all went well in an environment, and the lines that tell how."""
    print(f"--- {name}: {', '.join(RUNTIMES[name])}", flush=True)
    python = prepare(environment(name))
    own = ROOT / "tests" / "runtimes" / f"test_own_{name.replace('-', '_')}.py"
    tests = ["tests/runtimes/test_runtimes.py", *([str(own.relative_to(ROOT))] if own.exists() else [])]
    # The warnings of runtimes are their own.
    options = ["-q", "-W", "default", "-p", "no:cacheprovider", "-p", "no:unraisableexception"]
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder, "report.xml")
        words = [str(python), "-P", "-m", "pytest", *options, f"--junitxml={report}", *tests, *arguments]
        done = subprocess.run(words, cwd=ROOT, env={**os.environ, "RUNTIME": name}, check=False)
        return done.returncode == 0, list(_told(name, report))


_SCENE = re.compile(r"test_scene_(?P<scene>\w+?)(?:_\w+)?\[(?P<player>\w+?)(?:-\w+)?\]")


def _told(name: str, report: Path) -> Iterator[str]:
    """A line for each player, with what became of its scenes, and one for each that its runtime does not have."""
    outcomes: dict[tuple[str, str], set[str]] = {}
    for case in ET.parse(report).iter("testcase") if report.exists() else ():  # noqa: S314 - pytest's own
        found = _SCENE.fullmatch(case.get("name", ""))
        if found:
            outcomes.setdefault((found["player"], found["scene"]), set()).add(_outcome(case))
    for player in PLAYERS[name]:
        told = {scene: outcomes.get((player, scene), {"not run"}) for scene in SCENES}
        yield f"{player:25} " + ", ".join(f"{scene}: {_verdict(found)}" for scene, found in told.items())
        for scene, missing in MISSING.get(player, {}).items():
            yield f"{'':25} not in this runtime: {scene}; {missing.why} ({missing.module}: {missing.line})"


def _outcome(case: ET.Element) -> str:
    if case.find("failure") is not None or case.find("error") is not None:
        return "FAILED"
    return "passed" if case.find("skipped") is None else "not in this runtime"


def _verdict(outcomes: set[str]) -> str:
    """The worst of what became of a scene, which is played whole and streamed; one of both is enough to count."""
    return next(word for word in ("FAILED", "passed", "not in this runtime", "not run") if word in outcomes)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
