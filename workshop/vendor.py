"""Copy the adapter into a folder, for runtimes whose own package is called `agent` too (Hermes Agent).

In comes a folder; out goes `FOLDER/agent/` with `bedrock_adapter.py` and `bedrock/` in it, to be put before the
runtime's own `agent` by `agent.__path__.insert(0, "FOLDER/agent")`. Only the standard library is used; nothing but
these two is written, so that the folder may hold other things.
"""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

SOURCE = Path(__file__).resolve().parent.parent / "agent"

PARTS = ("bedrock_adapter.py", "bedrock")
"""What a runtime needs; `agent/__init__.py` is left out, because the runtime has its own."""


def vendor(folder: Path) -> Path:
    """Put a fresh copy of the adapter into the folder and give the path to insert."""
    target = folder / "agent"
    if (target / "__init__.py").exists():
        raise SystemExit(f"{target} is a package of its own: name another folder, nothing was written")
    target.mkdir(parents=True, exist_ok=True)
    for part in PARTS:
        _replace(SOURCE / part, target / part)
    shutil.copyfile(SOURCE.parent / "LICENSE", target / "bedrock" / "LICENSE")
    return target


def _replace(source: Path, target: Path) -> None:
    """Put a copy in the place of what an earlier call left there."""
    if source.is_dir():
        shutil.rmtree(target, ignore_errors=True)
        shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__"))
    else:
        shutil.copyfile(source, target)


def main(arguments: Sequence[str]) -> int:
    """`scripts/vendor DIR`: copy, and say how the runtime finds the copy."""
    if len(arguments) != 1 or arguments[0].startswith("-"):
        print("usage: vendor FOLDER", file=sys.stderr)
        return 2
    target = vendor(Path(arguments[0]).expanduser().resolve())
    print(f"Copied the adapter to {target}{os.sep}. Before the runtime first uses Bedrock, run:")
    print(f"\n    import agent; agent.__path__.insert(0, {str(target)!r})")
    return 0
