"""The linters, run beside the tests so that one command and one closing line cover everything."""

from __future__ import annotations

import importlib.util

import pytest

from workshop.checks import CHECKS, complaints


@pytest.mark.parametrize("name", [name for name in CHECKS if name != "house"])  # tests/test_architecture.py runs anyhow
def test_the_code_satisfies(name: str) -> None:
    if importlib.util.find_spec(CHECKS[name][0]) is None:
        pytest.skip(f"{CHECKS[name][0]} is not installed here (the environment of the oldest boto3 has no linters)")
    said = complaints(name)
    assert not said, f"{name} complains:\n{said}"
