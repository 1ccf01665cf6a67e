"""Run the tests of Hermes Agent's own loop on the adapter, in an environment that has Hermes and not us.

Our wheel never goes into that environment: both have a package `agent`. The adapter is vendored into a temporary
folder, as its users do it, and the tests put that folder before Hermes's own `agent`. Nothing is left behind but the
environment, `.venv-hermes`.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from workshop.environment import ROOT, Environment, declared, prepare
from workshop.vendor import vendor

TESTS = ("tests/runtimes/test_hermes.py", "tests/runtimes/test_hermes_transport.py")
HERMES = "hermes-agent[bedrock]==0.19.0"


def environment() -> Environment:
    """Hermes as its users install it, and what runs the tests."""
    tools = [wish for wish in declared("dev") if wish.startswith(("hypothesis", "pytest>"))]
    return Environment(ROOT / ".venv-hermes", (HERMES, *tools))


def main(arguments: Sequence[str]) -> int:
    """Vendor the adapter and run the tests; further arguments go to pytest."""
    python = prepare(environment())
    with tempfile.TemporaryDirectory(prefix="vendored-") as folder:
        target = vendor(Path(folder))
        # Sockets that Hermes leaves to the collector are its own.
        options = ["-o", "pythonpath=", "-p", "no:cacheprovider", "-p", "no:unraisableexception"]
        words = ["-P", "-m", "pytest", *options, *TESTS]
        environ = {**os.environ, "VENDORED_ADAPTER": str(target)}
        environ.pop("PYTHONPATH", None)
        return subprocess.run([str(python), *words, *arguments], cwd=ROOT, env=environ, check=False).returncode


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
