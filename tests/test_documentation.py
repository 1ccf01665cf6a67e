"""What the documents promise is there: the README's code runs, its tables are those of the code, its links lead somewhere."""

from __future__ import annotations

import ast
import dataclasses
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from agent.bedrock.aws.settings import ClientSettings
from agent.bedrock.failures import _KINDS
from agent.bedrock.testing import FakeBedrock, Reasoning, RecordedRequest, Reply, Text, ToolCall

ROOT = Path(__file__).resolve().parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
ENVIRONMENT = (ROOT / ".env.example").read_text(encoding="utf-8")
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]

CODE = re.compile(r"```python\n(.*?)```", re.DOTALL)
LINK = re.compile(r"\]\((?!https?:|#)([^)#]+)")
VARIABLE = re.compile(r"^#([A-Z_]+)=(.*)$", re.MULTILINE)


def documented() -> dict[str, str]:
    """Variable and default of every row in .env.example."""
    return dict(VARIABLE.findall(ENVIRONMENT))


def strings_in(folder: Path) -> set[str]:
    """Every string that is a value in the code below a folder."""
    return {
        node.value
        for path in folder.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    }


def test_every_variable_that_the_code_reads_is_documented_and_no_other() -> None:
    ours = re.compile(r"BEDROCK_[A-Z_]+")
    read = {text for text in strings_in(ROOT / "agent") if ours.fullmatch(text)}
    exported = {text for text in read if text.startswith(("BEDROCK_CONTEXT", "BEDROCK_DEFAULT"))}
    assert read - exported == {name for name in documented() if name.startswith("BEDROCK_")}


def test_the_documented_defaults_are_those_of_the_code() -> None:
    defaults = {
        f"BEDROCK_{field.name.upper()}": field.default
        for field in dataclasses.fields(ClientSettings)
        if f"BEDROCK_{field.name.upper()}" in documented()
    }
    assert len(defaults) == 6
    assert {name: float(documented()[name]) for name in defaults} == defaults


def test_the_readme_names_every_variable_of_ours_with_its_default() -> None:
    rows = dict(re.findall(r"^\| `(BEDROCK_[A-Z_]+)` \| ([^|]*?) \|", README, re.MULTILINE))
    assert rows == {name: value for name, value in documented().items() if name.startswith("BEDROCK_")}


def test_the_readmes_table_of_errors_is_that_of_the_code() -> None:
    rows = re.findall(r"^\| `([a-z_]+)` \| (yes|no) \| (\d{3}) \|", README, re.MULTILINE)
    expected = [(kind, "yes" if row.retryable else "no", str(row.status)) for kind, row in _KINDS.items()]
    assert rows == expected


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    broken = [link for link in LINK.findall(page.read_text(encoding="utf-8")) if not (page.parent / link).exists()]
    assert not broken


def test_nothing_names_a_place_that_only_exists_elsewhere() -> None:
    for page in PAGES:
        assert "shared/" not in page.read_text(encoding="utf-8")


def test_the_readmes_commands_exist() -> None:
    commands = re.findall(r"^python -m agent\.bedrock (\w+)", README, re.MULTILINE)
    done = subprocess.run(
        [sys.executable, "-m", "agent.bedrock", "--help"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert commands
    assert all(command in done.stdout for command in commands)


def model(request: RecordedRequest) -> Reply:
    """Calls the first tool it is offered, once, and then says what it was told."""
    results = [block["toolResult"] for turn in request.messages for block in turn["content"] if "toolResult" in block]
    tools = (request.body.get("toolConfig") or {}).get("tools") or []
    if tools and not results:
        return Reply(Reasoning("A tool will do.", "c2ln"), ToolCall(tools[0]["toolSpec"]["name"], {"city": "Oslo"}))
    return Reply(Text(f"I was told: {results[0]['content']}" if results else "Hello."))


def test_the_readmes_python_runs(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    blocks = CODE.findall(README)
    assert len(blocks) >= 3
    with FakeBedrock(model) as fake:
        for name, value in {
            "AWS_ENDPOINT_URL_BEDROCK_RUNTIME": fake.url,
            "AWS_ACCESS_KEY_ID": "AKIDEXAMPLE",
            "AWS_SECRET_ACCESS_KEY": "not-a-secret",
        }.items():
            monkeypatch.setenv(name, value)
        world: dict[str, Any] = {"__name__": "readme"}
        for block in blocks:
            exec(compile(block, "README.md", "exec"), world)
        assert not [request.refusal for request in fake.requests if request.refusal]
    assert "rain" in capsys.readouterr().out
