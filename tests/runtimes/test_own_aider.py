"""What only aider has: it edits files by text, shows reasoning, and waits out a provider that is busy."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from agent.bedrock.testing import FakeBedrock, Reasoning, Refusal, Reply, Text

if os.environ.get("RUNTIME") != "aider":
    pytest.skip("aider is not installed here; scripts/test-runtimes has it", allow_module_level=True)

from tests.runtimes.players.aider_coder import Player, command_line
from tests.runtimes.players.stage import Stage, close_servers

pytestmark = pytest.mark.leaves_threads

BEFORE, AFTER, LATER = "nothing\n", "something\n", "more\n"


def edit(old: str, new: str) -> Text:
    """An answer that edits note.txt, in aider's own format."""
    said = f"note.txt\n```\n<<<<<<< SEARCH\n{old}=======\n{new}>>>>>>> REPLACE\n```\n"
    return Text([said[begin : begin + 7] for begin in range(0, len(said), 7)])


@pytest.fixture(autouse=True)
def _no_server_is_left() -> Iterator[None]:
    yield
    close_servers()


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
def test_it_edits_a_file_twice_and_shows_the_reasoning(
    stream: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    note = tmp_path / "note.txt"
    note.write_text(BEFORE, encoding="utf-8")
    thought = Reasoning("It wants something.", "c2lnbmVk")
    with FakeBedrock([Reply(thought, edit(BEFORE, AFTER)), Reply(thought, edit(AFTER, LATER))]) as fake:
        coder = Player(Stage(fake)).coder(str(note), stream=stream, edit_format="diff")
        coder.run("Write something.")
        assert note.read_text(encoding="utf-8") == AFTER
        coder.run("And more.")
    assert note.read_text(encoding="utf-8") == LATER
    said = capsys.readouterr().out
    assert said.index("THINKING") < said.index("It wants something.") < said.index("ANSWER") < said.index("SEARCH")
    assert [request.operation for request in fake.requests] == ["converse-stream" if stream else "converse"] * 2
    assert "SEARCH" in str(fake.requests[1].body["messages"])
    assert "It wants something." not in str(fake.requests[1].body["messages"])


def test_the_command_waits_out_a_busy_provider_and_edits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "note.txt").write_text(BEFORE, encoding="utf-8")
    busy = iter([Refusal("ThrottlingException", "Too many requests, please wait.")] * 4)
    with FakeBedrock(lambda request: next(busy, None) or Reply(edit(BEFORE, AFTER))) as fake:
        monkeypatch.setenv("OPENAI_API_BASE", Stage(fake).address())
        monkeypatch.setenv("OPENAI_API_KEY", "unused")
        said = command_line(tmp_path, "--edit-format", "diff", "--message", "Write something.", "note.txt")
    assert "The API provider has rate limited you" in said
    assert "Retrying in 0.2 seconds" in said
    assert "Applied edit to note.txt" in said
    assert (tmp_path / "note.txt").read_text(encoding="utf-8") == AFTER
    assert len(fake.requests) == 5
