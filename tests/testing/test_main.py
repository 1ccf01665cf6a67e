"""The stand-in in a process of its own."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import boto3
import pytest
import trustme
from botocore.exceptions import EndpointConnectionError

from agent.bedrock.testing import Reply
from agent.bedrock.testing.process import serving
from agent.bedrock.testing.server import DUMMY_CREDENTIALS, HOST

from .conftest import ask

SCRIPT = [Reply("from the script")]


def client(url: str, **options: Any) -> Any:
    return boto3.client("bedrock-runtime", endpoint_url=url, region_name="us-east-1", **DUMMY_CREDENTIALS, **options)


def test_it_prints_its_url_and_serves_the_script_until_it_is_told_to_end() -> None:
    with serving("--script", f"{__name__}:SCRIPT") as url:
        answer = client(url).converse(**ask())
        assert answer["output"]["message"]["content"] == [{"text": "from the script"}]
    with pytest.raises(EndpointConnectionError):
        client(url).converse(**ask())


def test_it_speaks_tls(tmp_path: Any) -> None:
    authority = trustme.CA()
    authority.issue_cert(HOST).private_key_and_cert_chain_pem.write_to_path(str(tmp_path / "server.pem"))
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    with serving("--certificate", str(tmp_path / "server.pem"), "--lenient") as url:
        assert url.startswith("https://")
        client(url, verify=str(tmp_path / "ca.pem")).converse(modelId="whatever", messages=[])


def test_a_process_that_cannot_start_is_an_error() -> None:
    with pytest.raises(RuntimeError, match="did not start"), serving("--script", "no_such_module:x"):
        pass


def test_it_ends_on_request() -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "agent.bedrock.testing"], stdout=subprocess.PIPE, stdin=subprocess.DEVNULL, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline().startswith("http://127.0.0.1:")
    process.terminate()
    assert process.wait(10) == 0
    process.stdout.close()
