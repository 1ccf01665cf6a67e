"""The pages of the runtimes: one for each that plays, with code that is code, and links that lead somewhere."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

from workshop.runtimes import RUNTIMES, scenes_table

ROOT = Path(__file__).parents[2]
PAGES = sorted((ROOT / "docs" / "runtimes").glob("*.md"))
CODE = re.compile(r"```python\n(.*?)```", re.DOTALL)
LINK = re.compile(r"\]\((?!https?:|#)([^)#]+)")
IMPORTED = re.compile(r"^from agent\.bedrock import (.+)$", re.MULTILINE)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_code_parses_and_imports_what_is_there(page: Path) -> None:
    import agent.bedrock

    for block in CODE.findall(page.read_text(encoding="utf-8")):
        ast.parse(block)
        for names in IMPORTED.findall(block):
            assert set(names.split(", ")) <= set(agent.bedrock.__all__)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_links_lead_somewhere(page: Path) -> None:
    broken = [link for link in LINK.findall(page.read_text(encoding="utf-8")) if not (page.parent / link).exists()]
    assert not broken


def test_every_runtime_that_plays_has_a_page() -> None:
    pages = {page.stem for page in PAGES}
    assert {name.rstrip("23") for name in RUNTIMES} <= pages


def test_the_versions_are_those_that_play() -> None:
    table = (ROOT / "docs" / "runtimes" / "README.md").read_text(encoding="utf-8")
    for name, wishes in RUNTIMES.items():
        version = wishes[0].partition("==")[2]
        page = next(page for page in PAGES if page.stem == name.rstrip("23")).read_text(encoding="utf-8")
        assert version in table, f"{name} {version}"
        assert version in page, f"{name} {version}"


def test_the_table_of_scenes_is_that_of_the_players() -> None:
    assert scenes_table() in (ROOT / "docs" / "runtimes" / "README.md").read_text(encoding="utf-8")
