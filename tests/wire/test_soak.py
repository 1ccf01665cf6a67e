"""Many turns at once, with and without faults: no cross-talk, nothing left over. `scripts/soak` does it for minutes."""

from __future__ import annotations

import gc
import logging
import os
import threading

import pytest
from botocore.client import BaseClient

from agent.bedrock import Bedrock
from agent.bedrock.testing import FakeBedrock, RecordedRequest, Reply, Text
from tests.moments import at_some_pace
from workshop.soak import KEYS, MODEL, MOST_GROWTH, Footprint, Sample, answer_to, grown, growth, soak


@pytest.fixture(autouse=True)
def _on_loopback(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setattr(logging.getLogger("agent"), "disabled", True)


def test_a_short_soak_leaves_nothing_behind() -> None:
    reports = []

    def busy(pace: int) -> None:
        report = soak(seconds=2 * pace, threads=16, seed=1, memory=200)
        reports.append(report)
        assert report.turns > 50
        assert report.kinds["complete"] > report.turns / 3

    at_some_pace(busy)
    for report in reports:
        assert [turn for turn in report.wrong if not turn.wrong.startswith("took")] == []
        assert report.left == []


def clients() -> int:
    """How many of boto3's clients there are."""
    gc.collect()
    return sum(isinstance(found, BaseClient) for found in gc.get_objects())


def in_words(request: RecordedRequest) -> Reply:
    words = answer_to(request.body["messages"][0]["content"][0]["text"])
    return Reply(Text(tuple(words[start : start + 5] for start in range(0, len(words), 5))), pace=0.01)


def test_200_streams_at_once_do_not_mix_and_leave_nothing_behind() -> None:
    told: dict[int, list[str]] = {}
    kept: dict[int, str] = {}
    clients_before = clients()
    with FakeBedrock(in_words) as fake:
        two = [
            Bedrock(fake.region, endpoint_url=fake.url, **{**KEYS, "aws_access_key_id": f"AKID{number}"})
            for number in range(2)
        ]
        two[1]._clients = two[0]._clients  # one cache, as a process has one: it tells the credentials apart

        def ask(number: int, together: threading.Barrier) -> None:
            together.wait(30)
            told[number] = []
            question = [{"role": "user", "content": f"question {number} of AKID{number % 2}"}]
            stream = two[number % 2].stream(MODEL, question, on_text_delta=told[number].append)
            kept[number] = stream.completion().message.content or ""

        def at_once(streams: int) -> Footprint:
            assert all(face.client for face in two)
            together = threading.Barrier(streams)
            threads = [threading.Thread(target=ask, args=(number, together)) for number in range(streams)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join(60)
            two[0].close()
            gc.collect()  # clients that were replaced in the cache go when nobody uses them any more
            assert fake.wait_for(lambda fake: fake.open_connections == 0)
            return Footprint.now()

        few, many = at_once(20), at_once(200)
        for request in fake.requests:
            key = request.headers["authorization"].partition("Credential=")[2].partition("/")[0]
            assert request.body["messages"][0]["content"][0]["text"].endswith(key)
    assert kept == {number: answer_to(f"question {number} of AKID{number % 2}") for number in range(200)}
    assert {number: "".join(pieces) for number, pieces in told.items()} == kept
    assert grown(few, many, memory=60) == []
    assert clients() == clients_before


def test_what_is_more_than_before_is_said() -> None:
    before = Footprint(10, 2, 100.0)
    assert grown(before, before, memory=0) == []
    assert grown(before, Footprint(12, 3, 150.0), memory=40) == [
        "2 more file descriptors",
        "1 more threads",
        "50 MiB more memory",
    ]


def course(*, per_turn: float, turns: int = 30_000) -> list[Sample]:
    """Samples of a process that first fills its caches, and then grows by so many KiB with every turn."""
    return [(turn, 60 + min(turn, 4_000) / 200 + turn * per_turn / 1024) for turn in range(0, turns + 1, 1_000)]


def test_the_growth_is_what_comes_after_the_caches_are_full() -> None:
    assert growth(course(per_turn=0)) == pytest.approx(0, abs=0.01)
    assert growth(course(per_turn=1)) == pytest.approx(9.77, abs=0.1)
    assert MOST_GROWTH < 9.77, "a leak of 1 KiB per turn is found"
    assert growth(course(per_turn=1, turns=5_000)) is None
    assert growth([]) is None


def test_a_soak_leaves_the_environment_as_it_was(monkeypatch: pytest.MonkeyPatch) -> None:
    from workshop.loopback import no_proxy

    for before in (None, "example.com"):
        if before is None:
            monkeypatch.delenv("NO_PROXY", raising=False)
        else:
            monkeypatch.setenv("NO_PROXY", before)
        with no_proxy():
            assert os.environ["NO_PROXY"] == "127.0.0.1"
        assert os.environ.get("NO_PROXY") == before
