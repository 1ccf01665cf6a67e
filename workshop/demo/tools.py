"""The agent's three tools: list a folder, read a file, run a calculation. They never leave the checkout, and only read.

In comes what the model asked for, as the JSON text that it wrote; out goes JSON text for it to read. What goes wrong is
told to the model, so that it can do better, and never ends the loop.
"""

from __future__ import annotations

import ast
import json
import operator
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent.parent

MOST_CHARACTERS = 6000
"""What one reading shows; the model is told how much there is."""

LARGEST_EXPONENT = 1000
LARGEST_NUMBER = 10**3000

Result = dict[str, Any]


class ToolError(Exception):
    """What the model asked for cannot be done, in words for the model."""


def list_folder(path: str = ".") -> Result:
    """List a folder of the repository: its files with their size in bytes, and its folders."""
    folder = _inside(path)
    if not folder.is_dir():
        raise ToolError(f"{path} is no folder")
    entries = sorted(entry for entry in folder.iterdir() if not entry.name.startswith((".", "__pycache__")))
    return {
        "path": path,
        "folders": [entry.name for entry in entries if entry.is_dir()],
        "files": {entry.name: entry.stat().st_size for entry in entries if entry.is_file()},
    }


def read_file(path: str, first_line: int = 1) -> Result:
    """Read a text file of the repository, from a line on; long files come in parts."""
    file = _inside(path)
    if not file.is_file():
        raise ToolError(f"{path} is no file")
    try:
        lines = file.read_text(encoding="utf-8").splitlines()
    except UnicodeDecodeError:
        raise ToolError(f"{path} is no text") from None
    text = "\n".join(lines[first_line - 1 :])
    return {"path": path, "lines": len(lines), "text": text[:MOST_CHARACTERS], "whole": len(text) <= MOST_CHARACTERS}


def calculate(expression: str) -> Result:
    """Work out an arithmetic expression: numbers, + - * / // % **, parentheses."""
    try:
        value = _value(ast.parse(expression, mode="eval").body)
    except (SyntaxError, ArithmeticError, RecursionError, ValueError) as error:
        raise ToolError(f"cannot work out {expression!r}: {error}") from None
    return {"expression": expression, "value": value}


def _power(base: float, exponent: float) -> Any:
    if abs(exponent) > LARGEST_EXPONENT:
        raise ValueError(f"exponents beyond {LARGEST_EXPONENT} are not worked out")
    return base**exponent


_OPERATORS: Mapping[type[ast.AST], Callable[..., Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.FloorDiv: operator.floordiv,
    ast.Mod: operator.mod,
    ast.Pow: _power,
    ast.UAdd: operator.pos,
    ast.USub: operator.neg,
}


def _value(node: ast.expr) -> float:
    """The value of an arithmetic node; nothing else is evaluated."""
    if isinstance(node, ast.Constant) and type(node.value) in {int, float}:
        return node.value  # type: ignore[return-value]  # the type was just looked at
    if isinstance(node, ast.BinOp) and type(node.op) in _OPERATORS:
        return _bounded(_OPERATORS[type(node.op)](_value(node.left), _value(node.right)))
    if isinstance(node, ast.UnaryOp) and type(node.op) in _OPERATORS:
        return _bounded(_OPERATORS[type(node.op)](_value(node.operand)))
    raise ValueError("only numbers and + - * / // % ** and parentheses are understood")


def _bounded(value: Any) -> float:
    if isinstance(value, complex) or abs(value) > LARGEST_NUMBER:
        raise ValueError("the result is no number that can be shown")
    return value  # type: ignore[no-any-return]  # a float or an int by now


def _inside(path: str) -> Path:
    """The place that the model names, if it is inside the repository."""
    place = (ROOT / path).resolve()
    if not place.is_relative_to(ROOT):
        raise ToolError(f"{path} is outside the repository")
    return place


TOOLS: Mapping[str, Callable[..., Result]] = {
    "list_folder": list_folder,
    "read_file": read_file,
    "calculate": calculate,
}

_PARAMETERS: Mapping[str, tuple[dict[str, Any], list[str]]] = {
    "list_folder": ({"path": {"type": "string", "description": "Relative to the repository, '.' for its top."}}, []),
    "read_file": (
        {
            "path": {"type": "string", "description": "Relative to the repository."},
            "first_line": {"type": "integer", "minimum": 1},
        },
        ["path"],
    ),
    "calculate": ({"expression": {"type": "string", "description": "For example (412 + 131) / 2."}}, ["expression"]),
}

SPECIFICATIONS: list[dict[str, Any]] = [
    {
        "type": "function",
        "function": {
            "name": name,
            "description": tool.__doc__,
            "parameters": {"type": "object", "properties": properties, "required": required},
        },
    }
    for name, tool in TOOLS.items()
    for properties, required in [_PARAMETERS[name]]
]
"""The tools as OpenAI's chat completions describe them."""


def run_tool(name: str, arguments: str) -> str:
    """Run the tool that a model asked for; the result, or what was wrong with the call, as JSON text."""
    try:
        return json.dumps(_run(name, arguments), ensure_ascii=False)
    except ToolError as error:
        return json.dumps({"error": str(error)}, ensure_ascii=False)


def _run(name: str, arguments: str) -> Result:
    if name not in TOOLS:
        raise ToolError(f"there is no tool {name}; there are {', '.join(TOOLS)}")
    try:
        wishes = json.loads(arguments or "{}")
        return TOOLS[name](**wishes)
    except ValueError as error:
        raise ToolError(f"the arguments are not valid JSON: {error}") from None
    except TypeError as error:
        raise ToolError(f"the arguments do not fit: {error}") from None
