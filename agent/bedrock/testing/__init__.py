"""A stand-in for Amazon Bedrock, for tests: real boto3 on a real loopback wire, strict as the service is.

    with FakeBedrock([Reply("Hello!")]) as fake:
        client = boto3.client("bedrock-runtime", **fake.client_options())
        client.converse(modelId="us.amazon.nova-lite-v1:0", messages=[...])
        assert fake.requests[0].body["messages"] == [...]

The rooms: `server` (FakeBedrock), `connection` and `wire` (HTTP by hand), `frames` (event-stream frames), `blocks` and
`script` (what is answered), `faults` (what goes wrong), `shapes` and `rules` (what the service refuses).
Nothing here imports the adapter: a judge does not share code with the accused.
"""

from __future__ import annotations

from .blocks import Cited, Event, Image, Native, Reasoning, Redacted, Text, ToolCall, ToolResult
from .faults import (
    MODELLED_EXCEPTIONS,
    Body,
    Cut,
    Fault,
    Flip,
    Hangup,
    Junk,
    ShortLength,
    Stale,
    Stall,
    Stop,
    StreamError,
    StreamException,
)
from .recorded import RecordedRequest
from .script import RawAnswer, Refusal, Reply, ScriptExhaustedError, Usage
from .server import FakeBedrock
from .signing import Bearer, Key
from .wire import FOREVER, Afterwards, End, Framing

__all__ = [
    "FOREVER",
    "MODELLED_EXCEPTIONS",
    "Afterwards",
    "Bearer",
    "Body",
    "Cited",
    "Cut",
    "End",
    "Event",
    "FakeBedrock",
    "Fault",
    "Flip",
    "Framing",
    "Hangup",
    "Image",
    "Junk",
    "Key",
    "Native",
    "RawAnswer",
    "Reasoning",
    "RecordedRequest",
    "Redacted",
    "Refusal",
    "Reply",
    "ScriptExhaustedError",
    "ShortLength",
    "Stale",
    "Stall",
    "Stop",
    "StreamError",
    "StreamException",
    "Text",
    "ToolCall",
    "ToolResult",
    "Usage",
]
