"""OpenTelemetry's own instrumentation of botocore sees of our clients what it sees of bare ones, usage included.

An attempt of ours is a span, since each is a call of botocore's; of botocore's own attempts a span has the number.

Runs where opentelemetry-instrumentation-botocore and opentelemetry-sdk are installed: `pip install` them into the
environment, then `pytest tests/aws/test_telemetry.py` (seen with 0.66b2 and 1.45.2).
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

import boto3
import pytest

from agent.bedrock.testing import FakeBedrock, Reply, StreamException, Text, ToolCall, Usage

from .guarded import HELLO, MODEL, bedrock, guarded

instrumentation = pytest.importorskip("opentelemetry.instrumentation.botocore")

ASKED = [{"role": "user", "content": "Hi"}]
GOOD = Reply(Text(("Hello", " you")), ToolCall("f", {"a": 1}, id="t"), usage=Usage(input=7, output=3))
BAD = Reply(Text(("Hello", " you")), fault=StreamException("throttlingException", at=3))
OF_ONE_CALL = {"aws.request_id", "server.port"}

Ask = Callable[[FakeBedrock], object]


@pytest.fixture
def spans() -> Iterator[Callable[[], list[Any]]]:
    """The spans since it was last asked, without what differs from call to call."""
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import SimpleSpanProcessor
    from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

    exporter, provider = InMemorySpanExporter(), TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    instrumentor = instrumentation.BotocoreInstrumentor()
    instrumentor.instrument(tracer_provider=provider)

    def taken() -> list[Any]:
        finished = exporter.get_finished_spans()
        exporter.clear()
        return [(span.name, span.status.status_code, _lasting(span.attributes)) for span in finished]

    yield taken
    instrumentor.uninstrument()


def _lasting(attributes: Any) -> dict[str, Any]:
    return {name: value for name, value in attributes.items() if name not in OF_ONE_CALL}


def bare(fake: FakeBedrock) -> Any:
    return contextlib.closing(boto3.client("bedrock-runtime", **fake.client_options(retries={"total_max_attempts": 1})))


def bare_whole(fake: FakeBedrock) -> None:
    with bare(fake) as client:
        client.converse(**HELLO)


def bare_stream(fake: FakeBedrock) -> None:
    """Closed by hand: a stream of botocore's own that fails stays open."""
    with bare(fake) as client, contextlib.closing(client.converse_stream(**HELLO)["stream"]) as stream:
        list(stream)


WAYS: dict[str, tuple[Ask, Ask]] = {
    "guarded, whole": (bare_whole, lambda fake: guarded(fake, max_attempts=1).converse(**HELLO)),
    "guarded, streamed": (
        bare_stream,
        lambda fake: list(guarded(fake, max_attempts=1).converse_stream(**HELLO)["stream"]),
    ),
    "face, whole": (bare_whole, lambda fake: bedrock(fake, max_attempts=1).complete(MODEL, ASKED)),
    "face, streamed": (bare_stream, lambda fake: bedrock(fake, max_attempts=1).stream(MODEL, ASKED).completion()),
}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("reply", [GOOD, BAD], ids=["answered", "failed"])
def test_the_spans_are_those_of_bare_boto3(way: str, reply: Reply, spans: Callable[[], list[Any]]) -> None:
    seen = []
    for ask in WAYS[way]:
        with FakeBedrock(lambda request: reply) as fake, contextlib.suppress(Exception):
            ask(fake)
        seen.append(spans())
    theirs, ours = seen
    assert len(theirs) == 1
    assert ours == theirs
    if reply is GOOD:
        [(_, _, attributes)] = ours
        assert (attributes["gen_ai.usage.input_tokens"], attributes["gen_ai.usage.output_tokens"]) == (7, 3)
