"""The scripts and the workshop behind them: environments, the copy for other runtimes, the demo and its tools."""

from __future__ import annotations

import ast
import dataclasses
import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from workshop import environment
from workshop.__main__ import TASKS
from workshop.__main__ import main as workshop
from workshop.demo.tools import SPECIFICATIONS, TOOLS, run_tool
from workshop.environment import Environment, prepare
from workshop.vendor import vendor

ROOT = Path(__file__).resolve().parent.parent
SCRIPTS = sorted(path for path in (ROOT / "scripts").iterdir() if path.is_file())


def python(*arguments: str, cwd: Path = ROOT, **environ: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=cwd,
        env={**os.environ, **environ},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


# --- scripts ---------------------------------------------------------------------------------------------------------


@pytest.mark.skipif(os.name == "nt", reason="shell scripts; on Windows `py workshop TASK` does the same")
@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.name)
def test_a_script_is_short_executable_and_sound(script: Path) -> None:
    assert os.access(script, os.X_OK)
    assert len(script.read_text(encoding="utf-8").splitlines()) <= 15
    assert subprocess.run(["sh", "-n", script], check=False).returncode == 0


def test_every_task_has_its_script_and_every_script_its_task() -> None:
    assert {path.name for path in SCRIPTS} - {"run"} == set(TASKS)


@pytest.mark.skipif(os.name == "nt", reason="shell scripts; on Windows `py workshop TASK` does the same")
def test_a_script_runs_from_anywhere(tmp_path: Path) -> None:
    done = subprocess.run(
        [ROOT / "scripts" / "vendor", "copy"],
        cwd=tmp_path,
        env={**os.environ, "PYTHON": sys.executable},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "copy" / "agent" / "bedrock" / "__init__.py").is_file()


def test_without_a_task_the_tasks_are_listed(capsys: pytest.CaptureFixture[str]) -> None:
    assert workshop([]) == 2
    said = capsys.readouterr().out
    assert all(task in said for task in TASKS)


# --- environments ----------------------------------------------------------------------------------------------------


class Recorder:
    """Runs nothing; keeps what would be run, and makes an interpreter appear when a venv is asked for."""

    def __init__(self, target: Environment) -> None:
        self.target = target
        self.commands: list[list[str]] = []

    def __call__(self, command: Sequence[str | os.PathLike[str]]) -> None:
        self.commands.append([str(word) for word in command])
        if "venv" in self.commands[-1]:
            self.target.python.parent.mkdir(parents=True, exist_ok=True)
            self.target.python.symlink_to(sys.executable)

    @property
    def verbs(self) -> list[str]:
        return [command[2] for command in self.commands]


@pytest.fixture
def target(tmp_path: Path) -> Environment:
    return Environment(tmp_path / "environment", ("boto3",))


def test_an_environment_is_made_once(target: Environment) -> None:
    recorder = Recorder(target)
    assert prepare(target, recorder) == target.python
    assert recorder.verbs == ["venv", "pip"]
    assert prepare(target, recorder) == target.python
    assert recorder.verbs == ["venv", "pip"], "ready: nothing is run"


def test_an_environment_that_works_is_brought_up_to_date_not_made_anew(target: Environment) -> None:
    recorder = Recorder(target)
    prepare(target, recorder)
    wider = dataclasses.replace(target, requirements=("boto3", "orjson"))
    assert not wider.ready()
    prepare(wider, recorder)
    assert recorder.verbs == ["venv", "pip", "pip"]
    assert recorder.commands[-1][-2:] == ["boto3", "orjson"]


def test_a_changed_pyproject_makes_an_environment_stale(
    target: Environment, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    prepare(target, Recorder(target))
    assert target.ready()
    (tmp_path / "pyproject.toml").write_text("# changed", encoding="utf-8")
    monkeypatch.setattr(environment, "ROOT", tmp_path)
    assert not target.ready()


def test_what_fails_leaves_no_stamp(target: Environment) -> None:
    recorder = Recorder(target)

    def fail(command: Sequence[str | os.PathLike[str]]) -> None:
        recorder(command)
        if "pip" in command:
            raise SystemExit(1)

    with pytest.raises(SystemExit):
        prepare(target, fail)
    assert not target.ready()


def test_the_oldest_environment_has_the_lower_bounds_of_pyproject() -> None:
    pinned = [wish for wish in environment.oldest().requirements if wish.startswith("boto")]
    assert [wish.split("==")[0] for wish in pinned] == ["boto3", "botocore"]


# --- the copy for other runtimes -------------------------------------------------------------------------------------


def test_the_copy_works_inside_a_foreign_package_called_agent(tmp_path: Path) -> None:
    target = vendor(tmp_path / "copy")
    foreign = tmp_path / "runtime" / "agent"
    foreign.mkdir(parents=True)
    (foreign / "__init__.py").write_text("THEIRS = True\n", encoding="utf-8")
    (foreign / "bedrock_adapter.py").write_text("raise ImportError('the old one')\n", encoding="utf-8")
    code = (
        f"import agent; assert agent.THEIRS; agent.__path__.insert(0, {str(target)!r})\n"
        "from agent import bedrock_adapter\n"
        "from agent.bedrock import Bedrock, classify\n"
        "print(bedrock_adapter.__file__)\n"
        "print(bedrock_adapter.build_converse_kwargs('amazon.nova-lite-v1:0', [{'role': 'user', 'content': 'Hi'}]))"
    )
    done = python("-S", "-P", "-c", code, cwd=tmp_path, PYTHONPATH=str(foreign.parent))
    assert done.returncode == 0, done.stderr
    file, kwargs = done.stdout.splitlines()
    assert Path(file) == target / "bedrock_adapter.py"
    assert ast.literal_eval(kwargs)["messages"][0]["content"] == [{"text": "Hi"}]


def test_a_second_copy_replaces_the_first_and_touches_nothing_else(tmp_path: Path) -> None:
    target = vendor(tmp_path)
    (target / "bedrock" / "gone.py").write_text("", encoding="utf-8")
    (tmp_path / "mine.txt").write_text("mine", encoding="utf-8")
    vendor(tmp_path)
    assert not (target / "bedrock" / "gone.py").exists()
    assert (tmp_path / "mine.txt").read_text(encoding="utf-8") == "mine"
    assert not list(target.rglob("__pycache__"))


def test_a_runtimes_own_package_is_never_written_into(tmp_path: Path) -> None:
    (tmp_path / "agent").mkdir()
    (tmp_path / "agent" / "__init__.py").write_text("", encoding="utf-8")
    with pytest.raises(SystemExit, match="nothing was written"):
        vendor(tmp_path)
    assert [path.name for path in (tmp_path / "agent").iterdir()] == ["__init__.py"]


# --- the demo --------------------------------------------------------------------------------------------------------


def demo(*arguments: str) -> list[str]:
    done = python("-m", "workshop.demo", "--pace", "0", *arguments, COLUMNS="500")
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout.splitlines()


def test_the_demo_says_first_what_it_runs_on_and_last_what_it_cost() -> None:
    lines = demo()
    assert "stand-in" in lines[0]
    assert lines[-1].endswith("stop reason end_turn")
    assert "first token after" in lines[-1]


def test_the_demo_reports_what_its_tools_really_found() -> None:
    counts = [len((ROOT / "agent/bedrock" / name).read_text("utf-8").splitlines()) for name in ("chat.py", "errors.py")]
    said = "\n".join(demo())
    assert "→ list_folder" in said
    assert said.count("→ read_file") == 2
    assert f"{counts[0]} + {counts[1]} = {sum(counts)}" in said


def test_the_demo_takes_a_task_of_ones_own() -> None:
    said = "\n".join(demo("what", "is", "2 * (3 + 4)?"))
    assert '→ calculate {"expression": "2 * (3 + 4)"}' in said
    assert "2 * (3 + 4) = 14" in said


def test_the_demo_does_not_pretend_to_know_what_no_tool_told() -> None:
    assert any("not a language model" in line for line in demo("write me a poem"))


def test_the_demo_without_credentials_says_why_it_uses_the_stand_in() -> None:
    assert "no AWS credentials were found" in demo("--model", "us.amazon.nova-lite-v1:0")[0]


@pytest.mark.parametrize("specification", SPECIFICATIONS, ids=lambda tool: tool["function"]["name"])
def test_a_tool_is_described_as_it_is(specification: dict[str, Any]) -> None:
    function = specification["function"]
    tool = TOOLS[function["name"]]
    parameters = tool.__code__.co_varnames[: tool.__code__.co_argcount]
    required = parameters[: len(parameters) - len(tool.__defaults__ or ())]
    assert list(function["parameters"]["properties"]) == list(parameters)
    assert function["parameters"]["required"] == list(required)
    assert function["description"]


@pytest.mark.parametrize(
    ("expression", "value"), [("2 * (3 + 4) ** 2", 98), ("-7 // 2", -4), ("2 ** -1", 0.5), ("1e3 % 7", 6.0)]
)
def test_calculations(expression: str, value: float) -> None:
    assert json.loads(run_tool("calculate", json.dumps({"expression": expression})))["value"] == value


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("calculate", '{"expression": "__import__(\'os\').getcwd()"}'),
        ("calculate", '{"expression": "9 ** 9 ** 9"}'),
        ("calculate", '{"expression": "1 / 0"}'),
        ("calculate", '{"expression": "True + 1"}'),
        ("read_file", '{"path": "../outside"}'),
        ("read_file", '{"path": "/etc/hostname"}'),
        ("read_file", '{"path": "agent"}'),
        ("list_folder", '{"path": "no-such-folder"}'),
        ("read_file", '{"path": "READ'),
        ("read_file", '["README.md"]'),
        ("read_file", "{}"),
        ("remove_file", "{}"),
    ],
)
def test_what_cannot_be_done_is_told_to_the_model(name: str, arguments: str) -> None:
    assert list(json.loads(run_tool(name, arguments))) == ["error"]


def test_a_long_file_is_read_in_parts() -> None:
    part = json.loads(run_tool("read_file", '{"path": "tests/test_scripts.py"}'))
    assert not part["whole"]
    last = json.loads(run_tool("read_file", json.dumps({"path": "tests/test_scripts.py", "first_line": part["lines"]})))
    assert last["whole"]
