"""`python -m agent.bedrock serve | models | chat | doctor`: the command line; `faces/cli.py` says what each does."""

from __future__ import annotations

import sys

from .faces.cli import main

if __name__ == "__main__":
    sys.exit(main())
