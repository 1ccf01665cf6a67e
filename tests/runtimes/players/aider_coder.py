"""aider over the server: its scripting interface, and the command as its users type it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from .stage import MODEL, SCHEMA, Stage

os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"  # at import, which is before any test

from aider.coders import Coder
from aider.io import InputOutput
from aider.models import Model

QUIET = (
    *("--no-git", "--yes-always", "--no-pretty", "--no-check-update", "--no-show-release-notes"),
    *("--no-show-model-warnings", "--analytics-disable", "--no-gitignore"),
)


class ToldError(Exception):
    """What aider told its user of as an error."""


class Console(InputOutput):
    """aider's console, without a terminal; it keeps what it tells of as an error."""

    def __init__(self) -> None:
        super().__init__(pretty=False, yes=True, fancy_input=False)
        self.errors: list[str] = []

    def tool_error(self, message: str = "", strip: bool = True) -> None:
        self.errors.append(message)
        super().tool_error(message, strip)


class Player:
    """`aider.coders.Coder`."""

    tries = 27  # 3 of the SDK's in each of 9 of its own

    def __init__(self, stage: Stage) -> None:
        os.environ["OPENAI_API_BASE"], os.environ["OPENAI_API_KEY"] = stage.address(), "unused"
        self.model = Model(f"openai/{MODEL}")
        self.console = Console()

    def coder(self, *files: str, **options: Any) -> Any:
        """A coder on the files, without git."""
        return Coder.create(
            main_model=self.model, io=self.console, fnames=list(files), use_git=False, map_tokens=0, **options
        )

    def ask(self, question: str) -> str:
        answer = self.coder(stream=False).run(question)
        self._no_errors()
        return answer

    def stream(self, question: str) -> Sequence[str]:
        pieces = list(self.coder(stream=True).run_stream(question))
        self._no_errors()
        return pieces

    def _no_errors(self) -> None:
        if self.console.errors:
            raise ToldError("\n".join(self.console.errors))

    def structured(self, question: str) -> Any:
        """By a function that has to be called, which is what aider's models take."""
        city = {"name": "city", "description": "A city.", "parameters": SCHEMA}
        _, answer = self.model.send_completion([{"role": "user", "content": question}], [city], stream=False)
        return json.loads(answer.choices[0].message.tool_calls[0].function.arguments)

    def is_throttle(self, error: BaseException) -> bool:
        return isinstance(error, ToldError) and "rate limited you" in str(error)

    def is_overflow(self, error: BaseException) -> bool:
        return isinstance(error, ToldError) and "has hit a token limit" in str(error)


def command_line(folder: Path, *options: str) -> str:
    """What the command says, started in a folder; the server's address comes from the environment."""
    words = [sys.executable, "-m", "aider", "--model", f"openai/{MODEL}", *QUIET, *options]
    done = subprocess.run(words, cwd=folder, capture_output=True, text=True, timeout=100, check=False)
    return done.stdout + done.stderr
