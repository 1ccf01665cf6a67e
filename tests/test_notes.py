"""What travels with a call, and what the process remembers of its names, stays within bounds."""

from __future__ import annotations

from agent.bedrock.notes import AliasMemory


def test_ten_thousand_turns_of_new_tool_names_stay_within_the_limit() -> None:
    memory = AliasMemory(limit=10_000)
    for turn in range(10_000):
        memory.remember({f"alias_{turn}": f"a.name.{turn}" * 5, "kept": "my.tool"})
    assert memory.get("alias_9999", "gone") == "a.name.9999" * 5
    assert memory.get("kept", "gone") == "my.tool"
    assert memory.get("alias_0", "gone") == "gone"
    assert sum(len(alias) + len(name) for alias, name in memory._names.items()) == memory._size <= 10_000
