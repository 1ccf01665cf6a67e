"""Events reach the caller as their bytes arrive, however the body is framed, in chunks of whatever size."""

from __future__ import annotations

from dataclasses import replace
from itertools import islice
from typing import TYPE_CHECKING, Any

import pytest

from agent.bedrock.testing import FakeBedrock, Framing, Reply, Stall, Text

from .streaming import EVENTS, HELLO, bare_client, fast_client, open_stream

if TYPE_CHECKING:
    from agent.bedrock.testing.wire import Answer

FRAMINGS = list(Framing)


@pytest.mark.parametrize("framing", FRAMINGS)
@pytest.mark.parametrize("group", [0, 200, 100_000])
def test_the_events_are_those_of_bare_boto3(fake: FakeBedrock, client: Any, framing: Framing, group: int) -> None:
    reply = Reply(HELLO, framing=framing, group=group)
    fake.queue(reply, reply)
    bare = bare_client(fake)
    assert list(open_stream(client)) == list(open_stream(bare))
    bare.close()


@pytest.mark.parametrize("framing", FRAMINGS)
def test_an_event_does_not_wait_for_the_next_one(wire: Any, framing: Framing) -> None:
    """Bare boto3 waits for 64 KiB or the end where there are no chunks: here the next event never comes."""
    fake, reach = wire
    for count in range(1, EVENTS):
        fake.queue(Reply(HELLO, framing=framing, fault=Stall(count)))
        client = fast_client(fake, **reach)
        assert len(list(islice(open_stream(client), count))) == count
        client.close()


class OneChunk:
    """The whole stream is announced as one chunk, which never ends."""

    def apply(self, answer: Answer) -> Answer:
        first, *rest = answer.pieces
        pieces = [replace(first, promised=100_000), *(replace(piece, data=piece.data) for piece in rest)]
        return replace(answer, pieces=pieces[:1])


def test_an_event_does_not_wait_for_the_rest_of_its_chunk(wire: Any) -> None:
    fake, reach = wire
    fake.queue(Reply(HELLO, fault=(OneChunk(), Stall(1))))
    client = fast_client(fake, **reach)
    assert next(iter(open_stream(client))) == {"messageStart": {"role": "assistant"}}
    client.close()


@pytest.mark.parametrize("framing", FRAMINGS)
def test_bytes_may_arrive_in_any_portions(wire: Any, framing: Framing) -> None:
    fake, reach = wire
    faults = [Stall(number, seconds=0.001, byte=cut) for number, cut in ((0, 5), (2, 50), (5, 90), (8, 11))]
    fake.queue(Reply(HELLO, framing=framing, pace=0.001, merge=False, fault=faults))
    client = fast_client(fake, **reach)
    assert len(list(open_stream(client))) == EVENTS
    client.close()


def test_a_long_stream_of_large_events_arrives_whole(wire: Any) -> None:
    fake, reach = wire
    sizes = [1, 8191, 8192, 16_384, 65_536, 300_000, 1, 70_000]
    texts = [chr(97 + number) * size for number, size in enumerate(sizes)]
    for framing in FRAMINGS:
        fake.queue(Reply(Text(texts), framing=framing))
        client = fast_client(fake, **reach)
        events = list(open_stream(client))
        deltas = [event["contentBlockDelta"]["delta"]["text"] for event in events if "contentBlockDelta" in event]
        assert deltas == texts
        client.close()
