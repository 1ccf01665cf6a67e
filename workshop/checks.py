"""The checks that read the code without running it: lint, format, strict types, and the rules of the house.

In comes nothing; out goes what each tool printed, and whether all of them were content. `scripts/test` runs the same
checks as tests, beside the others.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Mapping

from workshop.environment import ROOT

CHECKS: Mapping[str, tuple[str, ...]] = {
    "lint": ("ruff", "check", "--quiet", "."),
    "format": ("ruff", "format", "--check", "--quiet", "."),
    "types": ("mypy", "--no-error-summary"),
    "house": ("pytest", "-q", "--no-header", "-p", "no:cacheprovider", "tests/test_architecture.py"),
}
"""What each check runs, as modules of the environment's own interpreter."""


def complaints(name: str) -> str:
    """What a check has to say against the code: empty when it is content."""
    module, *arguments = CHECKS[name]
    command = [sys.executable, "-m", module, *arguments]
    done = subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, stdin=subprocess.DEVNULL, check=False, timeout=600
    )
    return f"{done.stdout}{done.stderr}".strip() or f"exit code {done.returncode}" if done.returncode else ""


def main() -> int:
    """Run every check, and print a line each and the complaints."""
    failed = False
    for name in CHECKS:
        said = complaints(name)
        print(f"{name:7} {'failed' if said else 'ok'}", said, sep="\n" if said else "", flush=True)
        failed = failed or bool(said)
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
