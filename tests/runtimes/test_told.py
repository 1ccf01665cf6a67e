"""What `scripts/test-runtimes` tells of a run: a line for each player, and what is not in its runtime."""

from __future__ import annotations

from pathlib import Path

from workshop.runtimes import MISSING, PLAYERS, RUNTIMES, SCENES, _told

REPORT = """<testsuites><testsuite>
<testcase name="test_scene_plain[mini_swe_agent]"/>
<testcase name="test_scene_stream[mini_swe_agent]"><skipped message="not in this runtime"/></testcase>
<testcase name="test_scene_tools[mini_swe_agent-whole]"/>
<testcase name="test_scene_tools[mini_swe_agent-streamed]"><skipped message="not in this runtime"/></testcase>
<testcase name="test_scene_429[mini_swe_agent-whole]"><failure message="3 == 2"/></testcase>
<testcase name="test_scene_429[mini_swe_agent-streamed]"/>
<testcase name="test_scene_overflow[mini_swe_agent]"><error message="no server"/></testcase>
<testcase name="test_scene_reasoning_survives_the_tools_with_its_signature[mini_swe_agent-whole]"/>
<testcase name="test_the_page_runs_word_for_word[sh0]"/>
</testsuite></testsuites>"""


def test_each_scene_is_told_with_the_worst_of_what_became_of_it(tmp_path: Path) -> None:
    report = tmp_path / "report.xml"
    report.write_text(REPORT, encoding="utf-8")
    first, why, *_ = _told("mini-swe-agent", report)
    player, told = first.split(maxsplit=1)
    assert player == "mini_swe_agent"
    assert told == (
        "plain: passed, stream: not in this runtime, tools: passed, structured: not run, 429: FAILED, "
        "overflow: FAILED, reasoning: passed"
    )
    missing = MISSING["mini_swe_agent"]["stream"]
    assert all(text in why for text in ("stream", missing.why, missing.module, missing.line))


def test_without_a_report_nothing_was_run(tmp_path: Path) -> None:
    [line] = _told("llm", tmp_path / "report.xml")
    assert line.count("not run") == len(SCENES)


def test_every_environment_has_players_and_what_is_missing_belongs_to_one() -> None:
    assert PLAYERS.keys() == RUNTIMES.keys()
    assert MISSING.keys() <= {player for players in PLAYERS.values() for player in players}
    assert {scene for scenes in MISSING.values() for scene in scenes} <= set(SCENES)
