"""From the start of a process to its first token: what is loaded, and what is built at import."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest

from agent.bedrock.testing import FakeBedrock, Reply, Text

RARE_ROOMS = {
    f"agent.bedrock.{name}"
    for name in (
        "aws.catalog", "aws.describe", "aws.prewarm", "aws.refusals", "failures", "response.structured", "testing",
        "faces.adapters", "faces.aio", "faces.backends", "faces.chunks", "faces.cli", "faces.completions", "faces.config",
        "faces.core", "faces.event_dicts", "faces.models_list", "faces.server", "faces.transport",
    )
}  # fmt: skip
"""Rooms that a short turn does not enter: other faces, and what is needed once something fails or is asked for."""

NEVER_LOADED = {"asyncio", "boto3", "httpx", "multiprocessing", "openai", "s3transfer"}

OUR_TURN = """
import json, sys
from agent.bedrock import Bedrock
said = []
Bedrock("us-east-1", endpoint_url=sys.argv[1]).stream(
    "us.anthropic.claude-sonnet-4-5-20250929-v1:0", [{"role": "user", "content": "Hi"}], on_text_delta=said.append
).completion()
assert said, said
built = [
    f"{module.__name__}.{name}"
    for module in list(sys.modules.values()) if module.__name__.startswith("agent.")
    for name, found in vars(module).items()
    if isinstance(found, type) and isinstance(vars(found).get("__dataclass_fields__"), dict)
]
print(json.dumps({"modules": sorted(sys.modules), "dataclasses": built}))
"""

BARE_TURN = """
import json, sys, boto3
client = boto3.client("bedrock-runtime", region_name="us-east-1", endpoint_url=sys.argv[1])
answer = client.converse_stream(
    modelId="us.anthropic.claude-sonnet-4-5-20250929-v1:0", messages=[{"role": "user", "content": [{"text": "Hi"}]}]
)
assert list(answer["stream"])
print(json.dumps({"modules": sorted(sys.modules)}))
"""


def after(turn: str, endpoint: str) -> dict[str, Any]:
    environ = {
        **{name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "BEDROCK_"))},
        "AWS_ACCESS_KEY_ID": "AKIDEXAMPLE",
        "AWS_SECRET_ACCESS_KEY": "not-a-secret",
        "AWS_EC2_METADATA_DISABLED": "true",
    }
    command = [sys.executable, "-c", turn, endpoint]
    done = subprocess.run(command, env=environ, capture_output=True, text=True, check=True, timeout=60)
    found: dict[str, Any] = json.loads(done.stdout)
    return found


@pytest.fixture(scope="module")
def endpoint() -> Iterator[str]:
    with FakeBedrock([Reply(Text("Hello"))] * 2) as fake:
        yield fake.url


@pytest.fixture(scope="module")
def first_turn(endpoint: str) -> dict[str, Any]:
    """What a process holds after one short streamed turn of ours."""
    return after(OUR_TURN, endpoint)


def test_a_short_turn_enters_no_room_of_a_rare_path(first_turn: dict[str, Any]) -> None:
    entered = RARE_ROOMS & set(first_turn["modules"])
    assert not entered, "import these where their path begins, not at the top: " + ", ".join(sorted(entered))


def test_it_loads_nothing_that_bare_boto3_does_not_load(first_turn: dict[str, Any], endpoint: str) -> None:
    bare = {name.partition(".")[0] for name in after(BARE_TURN, endpoint)["modules"]}
    ours = {name.partition(".")[0] for name in first_turn["modules"]}
    assert ours - bare <= {"agent", "orjson"}
    assert not NEVER_LOADED & set(first_turn["modules"])


def test_its_values_are_made_without_generating_code_at_import(first_turn: dict[str, Any]) -> None:
    assert not first_turn["dataclasses"], "agent.bedrock.values has classes that cost a tenth of these"
