"""What the transport adds to the core: at most 0.5 ms per call and 30 us per chunk.

Counted in CPU time of this process, the smallest of several runs, with a client that answers at once: what the wire and
the openai SDK cost is not the transport's.
"""

from __future__ import annotations

import json
from types import SimpleNamespace
from typing import Any

import pytest

from agent.bedrock import http_client
from agent.bedrock.faces.client import Bedrock
from tests.moments import cost

pytest.importorskip("httpx2")

MODEL = "us.anthropic.claude-sonnet-4-5-20250929-v1:0"
URL = "http://bedrock.local/v1/chat/completions"
BODY = {
    "model": MODEL,
    "messages": [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hi"}],
    "tools": [
        {
            "type": "function",
            "function": {"name": f"tool{n}", "description": "A tool.", "parameters": {"type": "object"}},
        }
        for n in range(4)
    ],
}
CHUNKS = 500
METADATA = {"usage": {"inputTokens": 5, "outputTokens": 500, "totalTokens": 505}, "metrics": {"latencyMs": 7}}


class Instant:
    """A boto3 client that answers at once."""

    meta = SimpleNamespace(
        region_name="us-east-1", config=SimpleNamespace(connect_timeout=10, read_timeout=900, retries=None)
    )

    def converse(self, **_: Any) -> dict[str, Any]:
        message = {"role": "assistant", "content": [{"text": "Hello there!"}]}
        return {"output": {"message": message}, "stopReason": "end_turn", **METADATA}

    def converse_stream(self, **_: Any) -> dict[str, Any]:
        delta = {"contentBlockDelta": {"delta": {"text": "word "}, "contentBlockIndex": 0}}
        end = [{"contentBlockStop": {"contentBlockIndex": 0}}, {"messageStop": {"stopReason": "end_turn"}}]
        return {"stream": [{"messageStart": {"role": "assistant"}}, *[delta] * CHUNKS, *end, {"metadata": METADATA}]}


def test_a_call_costs_at_most_half_a_millisecond_more() -> None:
    client = Instant()
    bedrock, http = Bedrock(client=client), http_client(client=client)
    body = json.dumps(BODY)
    core = cost(lambda: bedrock.complete(MODEL, BODY["messages"], BODY["tools"]), 20)
    transport = cost(lambda: http.post(URL, content=body).raise_for_status(), 20)
    assert transport - core < 500e-6


def test_a_chunk_costs_at_most_thirty_microseconds_more() -> None:
    client = Instant()
    bedrock, http = Bedrock(client=client), http_client(client=client)
    body = json.dumps({**BODY, "stream": True})

    def read() -> None:
        with http.stream("POST", URL, content=body) as response:
            assert sum(1 for _ in response.iter_bytes()) > CHUNKS

    core = cost(lambda: bedrock.stream(MODEL, BODY["messages"], BODY["tools"]).completion(), 2)
    assert (cost(read, 2) - core) / CHUNKS < 30e-6
