"""A process that asks for one stream and prints when its first text came: `python -m tests.bench.start NAME ENDPOINT`.

For bare boto3 and for us nothing is imported that they do not need themselves: it would hide what they cost.
"""

from __future__ import annotations

import os
import sys
import time

MODEL = "us.anthropic.claude-sonnet-4-5-20250929-v1:0"
PROMPT = "Please go on. reply=text-20;"


def tell(text: str) -> None:
    """Print the time at the first text, and leave."""
    if text:
        sys.stdout.write(f"{time.monotonic()}\n")
        sys.stdout.flush()
        os._exit(0)


def boto3(endpoint: str) -> None:
    import boto3

    client = boto3.client("bedrock-runtime", region_name="us-east-1", endpoint_url=endpoint)
    answer = client.converse_stream(modelId=MODEL, messages=[{"role": "user", "content": [{"text": PROMPT}]}])
    for event in answer["stream"]:
        if "contentBlockDelta" in event:
            tell(event["contentBlockDelta"]["delta"]["text"])


def ours(endpoint: str) -> None:
    from agent.bedrock import Bedrock

    bedrock = Bedrock("us-east-1", endpoint_url=endpoint)
    bedrock.stream(MODEL, [{"role": "user", "content": PROMPT}], on_text_delta=tell).completion()


def ours_async(endpoint: str) -> None:
    import asyncio

    from agent.bedrock import AsyncBedrock

    async def ask() -> None:
        bedrock = AsyncBedrock("us-east-1", endpoint_url=endpoint)
        await bedrock.stream(MODEL, [{"role": "user", "content": PROMPT}], on_text_delta=tell).completion()

    asyncio.run(ask())


def peer(name: str, endpoint: str) -> None:
    from tests.bench.subjects import subject_class
    from tests.bench.workloads import short

    subject = subject_class(name)(endpoint)
    subject.stream(subject.prepare(short("text-20")), tell)


OWN = {"boto3": boto3, "ours": ours, "ours-async": ours_async}


def main(name: str, endpoint: str, *flags: str) -> None:
    """Be a subject that starts."""
    if "--without-orjson" in flags:
        sys.modules["orjson"] = None  # type: ignore[assignment]
    if name in OWN:
        OWN[name](endpoint)
    else:
        peer(name, endpoint)


if __name__ == "__main__":
    main(*sys.argv[1:])
