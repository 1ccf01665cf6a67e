"""The model behind the embedded stand-in: scripted, but honest. It asks for tools and says what their results say.

In comes a recorded request, out goes a reply. The script finds folders, files and a calculation in the words of the
task, asks for them in that order, and words its answer from what came back; it has no other source of knowledge, and
says so where that is not enough.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from agent.bedrock.testing import Reasoning, RecordedRequest, Reply, Text, ToolCall, Usage

SIGNATURE = "c2lnbmVkIGJ5IHRoZSBzdGFuZC1pbg=="

_EXPRESSION = re.compile(r"\(*-?\d[\d.]*(?:[\s()]*(?:\*\*|//|[-+*/%])[\s()]*-?\d[\d.]*)+\)*")
_WORD = re.compile(r"[\w./-]*\w")
_FIRST_SENTENCE = re.compile(r'"""(.*?)(?:\n\n|""")', re.DOTALL)

CHARACTERS_OF_A_TOKEN = 4


@dataclass(slots=True)
class Findings:
    """What the tools have told so far."""

    folders: dict[str, Mapping[str, Any]] = field(default_factory=dict)
    files: dict[str, Mapping[str, Any]] = field(default_factory=dict)
    value: Mapping[str, Any] | None = None
    errors: list[str] = field(default_factory=list)

    def take(self, result: Mapping[str, Any]) -> None:
        """Keep one tool's result."""
        if "error" in result:
            self.errors.append(result["error"])
        elif "value" in result:
            self.value = result
        elif "text" in result:
            self.files[result["path"]] = result
        else:
            self.folders[result["path"]] = result


def answer(request: RecordedRequest, *, pace: float = 0.0) -> Reply:
    """The next thing that this model says; `pace` is the pause between the events of its stream, in seconds."""
    task = _task(request)
    findings = Findings()
    for result in _results(request):
        findings.take(result)
    asked = [name for name, _ in _calls(request)]
    thought, said, calls = _next_step(task, findings, asked)
    blocks: list[Any] = [Reasoning(thought, SIGNATURE), Text(said)]
    blocks += [ToolCall(name, arguments, pieces=_pieces(arguments)) for name, arguments in calls]
    written = len(thought) + len(said) + len(json.dumps(calls))
    usage = Usage(input=len(request.raw) // CHARACTERS_OF_A_TOKEN, output=written // CHARACTERS_OF_A_TOKEN)
    return Reply(*blocks, usage=usage, delta_size=6, pace=pace)


Step = tuple[str, str, list[tuple[str, dict[str, Any]]]]
"""What is thought, what is said, which tools are called."""


def _next_step(task: str, findings: Findings, asked: list[str]) -> Step:
    folders = list(_folders(task)) or ([] if _EXPRESSION.search(task) else ["."])
    if folders and "list_folder" not in asked:
        return (
            f"To find out about this I have to look into {_places(folders)} first.",
            f"I look into {_places(folders)}.",
            [("list_folder", {"path": folder}) for folder in folders],
        )
    if "read_file" not in asked and (files := list(_files(task, findings))):
        return (
            f"The listing has {_listing(files)}, which the task names.",
            f"Now I read {_listing(files)}.",
            [("read_file", {"path": path}) for path in files],
        )
    if "calculate" not in asked and (expression := _expression(task, findings)):
        return (
            f"What is asked for is {expression}; I had better not work it out in my head.",
            "That leaves a calculation.",
            [("calculate", {"expression": expression})],
        )
    return "All results are here.", "\n".join(_answer(findings)), []


def _folders(task: str) -> Iterator[str]:
    """The folders that the task names: words with a slash whose last part has no ending."""
    for word in _WORD.findall(_EXPRESSION.sub(" ", task)):
        if "/" in word and "." not in word.rsplit("/", 1)[-1]:
            yield word
        elif "/" in word:
            yield word.rsplit("/", 1)[0]


def _files(task: str, findings: Findings) -> Iterator[str]:
    """The files that the task names and a listing has."""
    words = {word.rsplit("/", 1)[-1].lower() for word in _WORD.findall(task)}
    for folder, listing in findings.folders.items():
        for name in listing["files"]:
            if name.lower() in words or ("." in name and name.rsplit(".", 1)[0].lower() in words - _COMMON):
                yield name if folder == "." else f"{folder}/{name}"


_COMMON = {"run", "test", "check", "setup", "demo", "license"}
"""Words of a sentence that happen to be names of files without their ending."""


def _expression(task: str, findings: Findings) -> str | None:
    """The calculation in the task, or the sum of the lines of the files that were read."""
    written = _EXPRESSION.search(task)
    if written:
        return written[0].strip()
    counts = [str(file["lines"]) for file in findings.files.values()]
    return " + ".join(counts) if len(counts) > 1 else None


def _answer(findings: Findings) -> Iterator[str]:
    for path, listing in findings.folders.items():
        place = "The repository" if path == "." else path
        yield f"{place} has {len(listing['folders'])} folders and {len(listing['files'])} files."
        if listing["folders"]:
            yield f"The folders are {_listing(listing['folders'])}."
    for path, file in findings.files.items():
        about = _FIRST_SENTENCE.search(file["text"]) if path.endswith(".py") else None
        first = " ".join((about[1] if about else file["text"].strip().split("\n\n")[0]).split())
        yield f"{path} has {file['lines']} lines and begins: {first[:200]}"
    if findings.value is not None:
        yield f"{findings.value['expression']} = {findings.value['value']}"
    for error in findings.errors:
        yield f"One thing could not be done: {error}."
    if not findings.files and findings.value is None:
        yield "More than that I cannot say: I am a script that reads tool results, not a language model."


def _places(folders: list[str]) -> str:
    return _listing(["the repository" if folder == "." else folder for folder in folders])


def _listing(names: list[str]) -> str:
    return ", ".join(names[:-1]) + (" and " if names[:-1] else "") + names[-1]


def _pieces(arguments: Mapping[str, Any]) -> list[str]:
    """The arguments' JSON text as models send it: in small cuts that respect nothing."""
    text = json.dumps(arguments)
    return [text[at : at + 9] for at in range(0, len(text), 9)]


def _task(request: RecordedRequest) -> str:
    """What the person said last."""
    said = [
        block["text"]
        for turn in request.messages
        if turn["role"] == "user"
        for block in turn["content"]
        if "text" in block
    ]
    return said[-1] if said else ""


def _calls(request: RecordedRequest) -> Iterator[tuple[str, Any]]:
    for turn in request.messages:
        for block in turn["content"]:
            if "toolUse" in block:
                yield block["toolUse"]["name"], block["toolUse"]["input"]


def _results(request: RecordedRequest) -> Iterator[Mapping[str, Any]]:
    """The tools' results as data: each is one JSON text."""
    for turn in request.messages:
        for block in turn["content"]:
            for part in block.get("toolResult", {}).get("content", ()):
                yield json.loads(part["text"]) if "text" in part else part["json"]
