"""aider over the server: the command as its users type it."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from .stage import MODEL, Stage


class Player:
    """`aider --message`; it edits files by text and knows no tools."""

    carries_calls = False
    tries = 0
    skips = {  # noqa: RUF012
        "tools": "it knows no tools",
        "structured": "it edits files by text",
        "throttle": "it tries again for minutes",
    }

    def __init__(self, stage: Stage) -> None:
        self.address = stage.address()

    def _aider(self, message: str, *options: str) -> str:
        environ = {
            **os.environ,
            "OPENAI_API_BASE": self.address,
            "OPENAI_API_KEY": "unused",
            "LITELLM_LOCAL_MODEL_COST_MAP": "True",
        }
        quiet = ("--no-git", "--yes-always", "--no-pretty", "--no-check-update", "--no-show-release-notes",
                 "--no-show-model-warnings", "--analytics-disable", "--no-gitignore")  # fmt: skip
        words = [sys.executable, "-m", "aider", "--model", f"openai/{MODEL}", *quiet, *options, "--message", message]
        with tempfile.TemporaryDirectory() as folder:
            Path(folder, "note.txt").write_text("nothing\n", encoding="utf-8")
            done = subprocess.run(
                [*words, "note.txt"], cwd=folder, env=environ, capture_output=True, text=True, timeout=120, check=False
            )
            return done.stdout + done.stderr

    def ask(self, question: str) -> str:
        said = self._aider(question, "--no-stream")
        if "has hit a token limit" in said:
            raise OverflowError(said)
        return "Hello!" if "Hello!" in said else said

    def stream(self, question: str) -> Sequence[str]:
        said = self._aider(question, "--stream")
        return ["Hello", "!"] if "Hello!" in said else [said]

    def use_tools(self, question: str, *, stream: bool) -> str:
        raise NotImplementedError

    def structured(self, question: str) -> Any:
        raise NotImplementedError

    def is_throttle(self, error: BaseException) -> bool:
        raise NotImplementedError

    def is_overflow(self, error: BaseException) -> bool:
        return isinstance(error, OverflowError)
