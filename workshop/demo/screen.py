"""What the demo shows: text and reasoning as they come, tools and their results, a closing line."""

from __future__ import annotations

import json
from dataclasses import dataclass, field

from rich.console import Console
from rich.markup import escape

from workshop.demo.loop import Tally, Watcher

WIDEST_RESULT = 160


@dataclass(slots=True)
class Screen:
    """A terminal, or a file, on which a run is shown as it happens."""

    console: Console = field(default_factory=lambda: Console(highlight=False, soft_wrap=True))
    _style: str | None = None

    def headline(self, text: str) -> None:
        """The first line: what this runs on."""
        self.console.print(f"[bold]{escape(text)}[/bold]")

    def task(self, text: str) -> None:
        """What the agent was asked."""
        self.console.print(f"[bold cyan]task[/bold cyan] {escape(text)}\n")

    def watcher(self) -> Watcher:
        """What the loop tells, shown here."""
        return Watcher(
            text=lambda text: self._stream(text, "default"),
            reasoning=lambda text: self._stream(text, "dim italic"),
            tool_call=self._tool_call,
            tool_result=self._tool_result,
            turn_ended=self._end_line,
        )

    def closing(self, tally: Tally) -> None:
        """The line with what it cost."""
        first = "never" if tally.first_token is None else f"{tally.first_token * 1000:.0f} ms"
        self.console.print(
            f"\n[bold]{tally.prompt_tokens} tokens in, {tally.completion_tokens} out, {tally.turns} turns"
            f" · first token after {first} · stop reason {tally.stop_reason}[/bold]"
        )

    def trouble(self, what: str, advice: str) -> None:
        """What went wrong, and what to do about it."""
        self._end_line()
        self.console.print(f"[bold red]{escape(what)}[/bold red]")
        if advice:
            self.console.print(escape(advice))

    def _stream(self, text: str, style: str) -> None:
        if self._style not in {None, style}:
            self.console.print()
        self._style = style
        self.console.print(text, end="", style=style, markup=False)

    def _end_line(self) -> None:
        if self._style is not None:
            self.console.print()
        self._style = None

    def _tool_call(self, name: str, arguments: str) -> None:
        self.console.print(f"  [green]→ {escape(name)}[/green] {escape(arguments)}")

    def _tool_result(self, result: str) -> None:
        shown = json.dumps(json.loads(result), ensure_ascii=False)
        cut = shown if len(shown) <= WIDEST_RESULT else f"{shown[:WIDEST_RESULT]} ... ({len(shown)} characters)"
        self.console.print(f"  [dim]← {escape(cut)}[/dim]")
