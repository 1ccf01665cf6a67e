"""What real runtimes sent, through the transport: every body is answered, and none is refused by the stand-in."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from agent.bedrock import http_client
from agent.bedrock.testing import FakeBedrock, Reply

if TYPE_CHECKING:
    from agent.bedrock.faces.client import Bedrock

pytest.importorskip("httpx2")

URL = "http://bedrock.local/v1/chat/completions"


@pytest.mark.parametrize("model", ["us.anthropic.claude-sonnet-4-5-20250929-v1:0", "us.amazon.nova-lite-v1:0"])
def test_every_body_that_a_runtime_sent_is_answered(
    requests_folder: Path, bedrock_at: Callable[..., Bedrock], model: str
) -> None:
    files = sorted(requests_folder.glob("*.json"))
    with FakeBedrock(lambda request: Reply("Hello.")) as fake:
        http = http_client(bedrock=bedrock_at(fake))
        for file in files:
            body = {**json.loads(file.read_text(encoding="utf-8")), "model": model}
            response = http.post(URL, json=body)
            assert response.status_code == 200, (file.name, response.text)
            assert "Hello." in response.text
            assert response.text.rstrip().endswith("[DONE]") is (body.get("stream") is True)
    assert len(fake.requests) == len(files) > 0
