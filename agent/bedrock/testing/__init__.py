"""A stand-in for Amazon Bedrock, for tests: real boto3 on a real loopback wire, strict as the service is.

    with FakeBedrock([Reply("Hello!", ToolCall("look", {"path": "."}))]) as fake:
        client = boto3.client("bedrock-runtime", **fake.client_options())
        client.converse(modelId="us.amazon.nova-lite-v1:0", messages=[...])
        assert fake.requests[0].body["messages"] == [...]

**What is answered.** A `Reply` of blocks (`Text`, `Reasoning`, `Redacted`, `ToolCall`, `ToolResult`, `Cited`, `Image`,
`Native`, `Event`) is a whole answer or a stream, whichever is asked for. A `Refusal` is an error answer, a `RawAnswer`
any bytes. A script is a sequence of these, or a function from the `RecordedRequest` to one.

**What goes wrong.** A reply takes faults: `Hangup`, `Cut`, `ShortLength`, `Flip`, `StreamException`, `StreamError`,
`Junk`, `Stall`, `Stop`, `Body`, `Stale`. Whole networks have moods: `fake.refusing()`, `fake.drop_connections()`.

    FakeBedrock([Reply("Hello!", fault=Cut(120, End.RESET)), Refusal("ThrottlingException", "slow down"), "Hello again!"])

**What is refused.** Every request is held to botocore's service model (`shapes`) and to the service's own rules
(`rules`, with the thread or the date of the evidence); a violation gets the service's status, header and words.

**Elsewhere.** CountTokens and the control plane answer on the same URL. `python -m agent.bedrock.testing` serves in a
process of its own, `process.serving()` does that from a test or a benchmark.

The rooms: `server` (FakeBedrock), `service` (judge and answerer), `connection` and `wire` (HTTP by hand), `frames`,
`blocks`, `script`, `faults`, `shapes`, `rules`, `count`, `control`, `signing`. Nothing here imports the adapter: a judge
does not share code with the accused.
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
