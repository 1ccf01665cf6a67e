"""The rules of the house: who may import whom, what importing costs, where facts live, how long a function may be."""

from __future__ import annotations

import ast
import os
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "agent"

LEAVES = {
    "models",
    "errors",
    "failures",
    "blobs",
    "blocks",
    "carriers",
    "forks",
    "prefixes",
    "patterns",
    "recent",
    "values",
}
JOINTS = LEAVES | {"notes"}
SIBLINGS = {"request", "aws", "response"}

MAY_IMPORT: Mapping[str, set[str]] = {
    "bedrock_adapter": {"faces", "chat", "bedrock", *SIBLINGS, *JOINTS},
    "bedrock": {"faces", "chat", "testing", *SIBLINGS, *JOINTS},
    "__main__": {"faces", "bedrock", *JOINTS},
    "faces": {"chat", *SIBLINGS, *JOINTS},
    "chat": {*SIBLINGS, *JOINTS},
    "request": LEAVES,
    "response": LEAVES,
    "aws": JOINTS,
    "models": {"patterns", "values"},
    "errors": {"failures", "patterns", "values"},  # one room in two files: the table is loaded at the first failure
    "failures": {"errors", "values"},
    "blobs": {"recent"},
    "blocks": set(),
    "carriers": {"blocks", "forks", "patterns"},
    "forks": set(),
    "notes": {"values"},
    "prefixes": set(),
    "patterns": set(),
    "recent": {"forks"},
    "values": set(),
    "testing": set(),
}
"""Room -> the rooms it may import from, itself aside. "bedrock" is `agent/bedrock/__init__.py`: the public names."""

PURE_ROOMS = {"request", "response", "models", "errors", "blocks"}

IMPURE_MODULES = {"asyncio", "boto3", "botocore", "http", "os", "random", "requests", "socket", "subprocess", "time",
                  "threading", "urllib3", "uuid"}  # fmt: skip
"""What touches AWS, HTTP, the environment, the clock, chance or the network; pure rooms are handed their values."""

AWS_LIBRARIES = {"boto3", "botocore", "urllib3", "s3transfer"}

AWS_ROOMS = {"aws", "testing"}

LONGEST_FUNCTION = 60
MOST_BRANCHES = 14
BRANCHES = (ast.If, ast.For, ast.AsyncFor, ast.While, ast.ExceptHandler, ast.IfExp, ast.comprehension, ast.BoolOp,
            ast.match_case)  # fmt: skip

FAMILIES = re.compile(
    r"claude|anthropic|nova|amazon|llama|meta\b|mistral|pixtral|cohere|command-r|deepseek|qwen|jamba|ai21|titan"
    r"|gpt-oss|kimi|moonshot|minimax|gemma|nemotron|grok|palmyra|writer",
    re.IGNORECASE,
)

WORDS_OF_OTHERS = re.compile(r"anthropic_beta|anthropic-claude-v1")
"""A request field of OpenAI-shaped bodies, and a format of OpenRouter's: named after a family, but no fact about one."""

FORMAT_PREFIXES = {("reasoning.py", "anthropic")}
"""File and string: how OpenRouter's formats of signed reasoning begin."""


@dataclass(frozen=True, slots=True)
class Module:
    """A source file of the package, where it lives in the house, and its syntax."""

    path: Path
    room: str
    tree: ast.Module

    @property
    def name(self) -> str:
        return str(self.path.relative_to(ROOT))

    def imports(self, *, at_run_time_only: bool = True) -> Iterator[tuple[int, str, list[str]]]:
        """Line, absolute module and names of every import; those under TYPE_CHECKING cost nothing and are left out."""
        skipped = _lines_for_types(self.tree) if at_run_time_only else set()
        package = self.path.relative_to(ROOT).with_suffix("").parts[:-1]
        for node in ast.walk(self.tree):
            if getattr(node, "lineno", None) in skipped:
                continue
            if isinstance(node, ast.Import):
                for alias in node.names:
                    yield node.lineno, alias.name, []
            elif isinstance(node, ast.ImportFrom):
                base = ".".join(package[: len(package) - node.level + 1]) if node.level else ""
                yield (
                    node.lineno,
                    ".".join(part for part in (base, node.module or "") if part),
                    [alias.name for alias in node.names],
                )


def _lines_for_types(tree: ast.Module) -> set[int]:
    return {
        line
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test)
        for statement in node.body
        for line in range(statement.lineno, (statement.end_lineno or statement.lineno) + 1)
    }


def _room(path: Path) -> str:
    parts = path.relative_to(PACKAGE).with_suffix("").parts
    if parts[0] != "bedrock":
        return parts[0]
    return "bedrock" if parts[1] == "__init__" else parts[1]


@cache
def modules() -> tuple[Module, ...]:
    return tuple(
        Module(path, _room(path), ast.parse(path.read_text(encoding="utf-8"))) for path in sorted(PACKAGE.rglob("*.py"))
    )


def _rooms_imported(module: Module) -> Iterator[tuple[int, str]]:
    """Line and room of every import from inside the house."""
    for line, name, imported in module.imports():
        parts = name.split(".")
        if parts[0] != "agent":
            continue
        if parts[1:2] != ["bedrock"]:
            yield from ((line, room) for room in (parts[1:2] or imported))
        elif len(parts) > 2:
            yield line, parts[2]
        else:
            yield from ((line, room if room in MAY_IMPORT else "bedrock") for room in imported)


def test_every_room_imports_only_from_the_rooms_below_it() -> None:
    wrong = [
        f"{module.name}:{line}: {module.room} imports {room}"
        for module in modules()
        for line, room in _rooms_imported(module)
        if room not in {module.room, *MAY_IMPORT.get(module.room, set())}
    ]
    assert not wrong, "\n".join(wrong)


def test_every_room_has_its_rule() -> None:
    rooms = {module.room for module in modules()} - {"__init__"}
    assert rooms <= MAY_IMPORT.keys(), f"say in MAY_IMPORT what {rooms - MAY_IMPORT.keys()} may import"


def test_imports_inside_the_package_are_relative() -> None:
    wrong = [
        f"{module.name}:{node.lineno}"
        for module in modules()
        for node in ast.walk(module.tree)
        if (isinstance(node, ast.ImportFrom) and not node.level and (node.module or "").split(".")[0] == "agent")
        or (isinstance(node, ast.Import) and any(alias.name.split(".")[0] == "agent" for alias in node.names))
    ]
    assert not wrong, "absolute imports of our own package:\n" + "\n".join(wrong)


def test_pure_rooms_know_no_aws_network_environment_or_clock() -> None:
    wrong = [
        f"{module.name}:{line}: imports {name}"
        for module in modules()
        if module.room in PURE_ROOMS
        for line, name, _ in module.imports()
        if name.split(".")[0] in IMPURE_MODULES
    ]
    assert not wrong, "\n".join(wrong)


def test_only_the_aws_wing_and_the_stand_in_import_aws_libraries() -> None:
    wrong = [
        f"{module.name}:{line}: imports {name}"
        for module in modules()
        if module.room not in AWS_ROOMS | {"bedrock_adapter"}
        for line, name, _ in module.imports()
        if name.split(".")[0] in AWS_LIBRARIES
    ]
    assert not wrong, "\n".join(wrong)


def test_the_stand_in_shares_no_code_with_what_it_judges() -> None:
    allowed = set(sys.stdlib_module_names) | {"botocore", "agent"}  # `agent` itself is judged by the rooms above
    wrong = [
        f"{module.name}:{line}: imports {name}"
        for module in modules()
        if module.room == "testing"
        for line, name, _ in module.imports()
        if name.split(".")[0] not in allowed
    ]
    assert not wrong, "\n".join(wrong)


def test_no_family_of_models_is_named_in_the_flow_of_request_and_response() -> None:
    wrong = [
        f"{module.name}:{node.lineno}: {node.value!r}"
        for module in modules()
        if module.room in {"request", "response"}
        for node in _strings_in_code(module.tree)
        if FAMILIES.search(WORDS_OF_OTHERS.sub("", node.value))
        and (module.path.name, node.value) not in FORMAT_PREFIXES
    ]
    assert not wrong, "family facts live in models/profiles.py:\n" + "\n".join(wrong)


def _strings_in_code(tree: ast.Module) -> Iterator[ast.Constant]:
    """Every string that is a value: docstrings and strings that stand alone document, and may name what they like."""
    documentation = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in documentation:
            yield node


def _functions(module: Module) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    return (node for node in ast.walk(module.tree) if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)))


def test_no_function_is_a_giant() -> None:
    wrong = []
    for module in modules():
        for function in _functions(module):
            lines = (function.end_lineno or function.lineno) - function.lineno + 1
            branches = 1 + sum(isinstance(node, BRANCHES) for node in ast.walk(function))
            if lines > LONGEST_FUNCTION or branches > MOST_BRANCHES:
                wrong.append(f"{module.name}:{function.lineno}: {function.name}, {lines} lines, {branches} branches")
    assert not wrong, "two things in one?\n" + "\n".join(wrong)


def test_no_exception_is_swallowed() -> None:
    wrong = [
        f"{module.name}:{node.lineno}"
        for module in modules()
        for node in ast.walk(module.tree)
        if isinstance(node, ast.ExceptHandler) and all(isinstance(statement, ast.Pass) for statement in node.body)
    ]
    assert not wrong, "contextlib.suppress with a reason, or act on it:\n" + "\n".join(wrong)


def test_every_module_says_what_it_is_for() -> None:
    wrong = [module.name for module in modules() if not ast.get_docstring(module.tree)]
    assert not wrong


MODULES_TO_IMPORT = ["agent.bedrock", "agent.bedrock_adapter"]


def _imported_by(module: str) -> set[str]:
    """Names of all modules that importing this one loads in an empty interpreter."""
    return set(
        _printed(f"import sys; before = set(sys.modules); import {module}; print(*(set(sys.modules) - before))").split()
    )


def _printed(code: str) -> str:
    """What the code prints in an interpreter that has no site-packages."""
    environ = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "-S", "-c", code], env=environ, capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize("module", MODULES_TO_IMPORT)
def test_importing_loads_neither_aws_libraries_nor_heavy_ones(module: str) -> None:
    heavy = AWS_LIBRARIES | {"asyncio", "concurrent.futures", "email", "http.client", "importlib.metadata", "multiprocessing",
                             "openai", "httpx", "orjson", "rich", "ssl", "starlette", "unittest", "urllib.request", "xml"}  # fmt: skip
    loaded = {name for name in _imported_by(module) if name in heavy or name.split(".")[0] in AWS_LIBRARIES}
    assert not loaded


@pytest.mark.parametrize("module", MODULES_TO_IMPORT)
def test_importing_costs_at_most_fifty_milliseconds(module: str) -> None:
    """Of CPU, in the quickest of several runs: other tests make single ones slow, nothing makes one too fast."""
    code = f"import time; start = time.process_time(); import {module}; print((time.process_time() - start) * 1000)"
    runs: list[float] = []
    while len(runs) < 10 and min(runs, default=100) > 50:
        runs.append(float(_printed(code)))
    assert min(runs) <= 50, f"{min(runs):.1f} ms"
