"""Addresses that nobody answers at."""

from __future__ import annotations

import sys

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ConnectTimeoutError

from agent.bedrock.testing.network import unconnectable
from agent.bedrock.testing.server import DUMMY_CREDENTIALS

from .conftest import ask


@pytest.mark.skipif(sys.platform != "linux", reason="a full backlog drops connections on Linux only")
def test_a_connection_to_the_unconnectable_times_out() -> None:
    config = Config(connect_timeout=0.2, retries={"total_max_attempts": 1}, proxies={})
    with unconnectable() as url:
        client = boto3.client(
            "bedrock-runtime", endpoint_url=url, region_name="us-east-1", config=config, **DUMMY_CREDENTIALS
        )
        with pytest.raises(ConnectTimeoutError):
            client.converse(**ask())
        client.close()
