"""Environments for the scripts: a plain interpreter comes in, the path of a ready one goes out.

Only the standard library is used, and pip as the machine has it configured. A stamp inside the environment says what
was installed, so that a second call costs nothing. Nothing is written outside the environment's own folder.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
"""The checkout."""

OLDEST_PYTHON = (3, 11)

ALL_EXTRAS = ("speed", "openai", "server", "schema", "demo")

Run = Callable[[Sequence[str | os.PathLike[str]]], object]


@dataclass(frozen=True, slots=True)
class Environment:
    """A virtual environment to be: where it lives and what pip has to put there."""

    folder: Path
    requirements: tuple[str, ...]

    @property
    def python(self) -> Path:
        """The interpreter inside."""
        return self.folder / ("Scripts/python.exe" if os.name == "nt" else "bin/python")

    @property
    def stamp(self) -> Path:
        """The file that says what was installed here last."""
        return self.folder / "installed.json"

    def contents(self) -> str:
        """What the stamp says when the environment is ready: a change of pyproject.toml or of the wishes changes it."""
        pyproject = hashlib.sha256((ROOT / "pyproject.toml").read_bytes()).hexdigest()
        return json.dumps({"pyproject": pyproject, "requirements": self.requirements, "checkout": str(ROOT)})

    def ready(self) -> bool:
        """Whether the interpreter is there and was set up for exactly these contents."""
        with contextlib.suppress(OSError):  # no stamp, or no environment: not ready
            return self.python.exists() and self.stamp.read_text(encoding="utf-8") == self.contents()
        return False


def declared(*groups: str) -> tuple[str, ...]:
    """The requirements of dependency groups in pyproject.toml (pip before 25.1 cannot read them itself)."""
    pyproject = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    return tuple(requirement for group in groups for requirement in pyproject["dependency-groups"][group])


def editable(extras: Sequence[str]) -> tuple[str, ...]:
    """What pip calls this checkout, installed in place with these extras."""
    wish = f"{ROOT}[{','.join(extras)}]" if extras else str(ROOT)
    return ("--editable", wish)


def development() -> Environment:
    """The environment of the checkout, with everything that the scripts need."""
    return Environment(ROOT / ".venv", (*editable(ALL_EXTRAS), *declared("dev")))


def oldest() -> Environment:
    """An environment with the oldest boto3 and botocore that pyproject.toml allows, without linters."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    floors = [wish.replace(">=", "==") for wish in project["dependencies"] if wish.startswith("boto")]
    tools = [wish for wish in declared("dev") if wish.startswith(("hypothesis", "pytest", "trustme"))]
    return Environment(ROOT / ".venv-oldest", (*editable(ALL_EXTRAS), *floors, *tools))


def prepare(environment: Environment, run: Run | None = None) -> Path:
    """Make the environment, or bring it up to date, and give its interpreter; at once when it is ready."""
    if environment.ready():
        return environment.python
    run = run or _run
    print(f"Setting up {_shown(environment.folder)} (once, a minute or so) ...", file=sys.stderr, flush=True)
    with _one_at_a_time():
        if environment.ready():
            return environment.python
        if not _works(environment.python):
            _make(environment, run)
        run([environment.python, "-m", "pip", "install", "-qq", *environment.requirements])
        environment.stamp.write_text(environment.contents(), encoding="utf-8")
    return environment.python


def _make(environment: Environment, run: Run) -> None:
    shutil.rmtree(environment.folder, ignore_errors=True)  # what is left of a broken one
    try:
        run([sys.executable, "-m", "venv", environment.folder])
    except SystemExit:
        shutil.rmtree(environment.folder, ignore_errors=True)
        print("If the venv module is missing: Debian and Ubuntu keep it in the package python3-venv.", file=sys.stderr)
        raise


def _works(python: Path) -> bool:
    """Whether the interpreter is there, runs, is new enough, and has pip."""
    probe = f"import sys, pip; sys.exit(sys.version_info < {OLDEST_PYTHON})"
    try:
        return subprocess.run([python, "-c", probe], capture_output=True, check=False).returncode == 0
    except OSError:
        return False


def _run(command: Sequence[str | os.PathLike[str]]) -> None:
    """Run a command to its end with its output on standard error; its failure ends ours."""
    code = subprocess.run(command, stdout=sys.stderr, stdin=subprocess.DEVNULL, check=False).returncode
    if code:
        raise SystemExit(code)


@contextlib.contextmanager
def _one_at_a_time() -> Iterator[None]:
    """Two scripts started at once: the second waits for the first one's environment (POSIX; elsewhere it does not)."""
    if os.name == "nt":
        yield
        return
    import fcntl

    with (ROOT / "pyproject.toml").open("rb") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _shown(folder: Path) -> str:
    return str(folder.relative_to(ROOT) if folder.is_relative_to(ROOT) else folder)
