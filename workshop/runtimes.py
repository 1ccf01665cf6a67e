"""Run the integration tests of agent runtimes, each in an environment of its own, pinned.

In come names of runtimes (all of them without any) and arguments for pytest; out goes whether every test passed. The
tests are `tests/runtimes/test_runtimes.py`: one set of scenes that every runtime plays, against the stand-in. Nothing is
left behind but the environments, in `.venv-runtimes`.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping, Sequence

from workshop.environment import ROOT, Environment, declared, editable, prepare

SERVER = ("starlette", "uvicorn")

RUNTIMES: Mapping[str, tuple[str, ...]] = {
    "openai2": ("openai==2.54.0",),
    "openai3": ("openai==3.51.0", *SERVER),
    "pydantic-ai": ("pydantic-ai-slim[openai]==2.68.0", "openai==3.52.0"),
    "openai-agents": ("openai-agents==0.24.0", "openai==3.52.0"),
    "langchain": ("langchain-openai==1.7.0", "langgraph==1.2.22", "openai==3.51.0"),
    "instructor": ("instructor==1.17.0", "openai==3.3.0"),
    "smolagents": ("smolagents[openai]==1.26.0", "openai==3.52.0"),
    # LiteLLM needs mcp for any call with tools, and does not ask for it.
    "litellm": ("litellm==1.106.2", "openai==2.54.0", "mcp==2.3.0"),
    "autogen": ("autogen-ext[openai]==0.7.5", "autogen-agentchat==0.7.5"),
    "dspy": ("dspy==3.4.0", "mcp==2.3.0"),
    "llm": ("llm==0.36",),
    "mini-swe-agent": ("mini-swe-agent==2.4.6", "mcp==2.3.0"),
    "aider": ("aider-chat==0.86.2", *SERVER),
}
"""What pip puts into the environment of each runtime, beside this checkout and the tools of the tests."""


def environment(name: str) -> Environment:
    """The environment of a runtime."""
    tools = [wish for wish in declared("dev") if wish.startswith(("hypothesis", "pytest>", "trustme"))]
    return Environment(ROOT / ".venv-runtimes" / name, (*editable(()), *RUNTIMES[name], *tools))


def main(arguments: Sequence[str]) -> int:
    """Play the scenes with the runtimes that are named, or with all."""
    named = [argument for argument in arguments if argument in RUNTIMES]
    rest = [argument for argument in arguments if argument not in RUNTIMES]
    failed = [name for name in named or RUNTIMES if not _played(name, rest)]
    print(f"failed: {', '.join(failed)}" if failed else "all passed")
    return int(bool(failed))


def _played(name: str, arguments: Sequence[str]) -> bool:
    print(f"--- {name}: {', '.join(RUNTIMES[name])}", flush=True)
    python = prepare(environment(name))
    words = [
        "-P",
        "-m",
        "pytest",
        "-q",
        "-p",
        "no:cacheprovider",
        "-p",
        "no:unraisableexception",
        "tests/runtimes/test_runtimes.py",
    ]
    environ = {**os.environ, "RUNTIME": name}
    return subprocess.run([str(python), *words, *arguments], cwd=ROOT, env=environ, check=False).returncode == 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
