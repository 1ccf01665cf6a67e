"""The stand-in before real traffic: what the service accepted it accepts, what the service refused it refuses alike."""

from __future__ import annotations

import base64
import http.client
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

from agent.bedrock.testing import FakeBedrock, Framing, RawAnswer
from agent.bedrock.testing.frames import event_frame
from agent.bedrock.testing.server import HOST

from .conftest import ask, client_of, newest_model


def exchanges(recordings: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    for file in sorted(recordings.glob("*.json")):
        yield file.name, json.loads(file.read_text(encoding="utf-8"))


@newest_model
def test_every_recorded_request_gets_the_status_and_the_words_that_it_got(recordings: Path, fake: FakeBedrock) -> None:
    line = http.client.HTTPConnection(HOST, fake.port)
    judged = 0
    wrong = []
    for name, exchange in exchanges(recordings):
        if exchange["request"] is None:
            continue
        path = f"/model/{quote(exchange['model'], safe='')}/{exchange['operation']}"
        line.request("POST", path, json.dumps(exchange["request"]), {"Content-Type": "application/json"})
        answer = line.getresponse()
        body = answer.read()
        judged += 1
        expected = exchange["body"]["message"] if exchange["status"] != 200 else None
        said = json.loads(body)["message"] if answer.status != 200 else None
        if (answer.status, said) != (exchange["status"], expected):
            wrong.append(f"{name}: {exchange['status']} {expected}\n    but here: {answer.status} {said}")
    line.close()
    assert judged, "there are recordings in the folder"
    assert not wrong, "\n".join(wrong)


def test_recorded_answers_can_be_played_back_to_a_real_client(recordings: Path, fake: FakeBedrock, client: Any) -> None:
    for _, exchange in exchanges(recordings):
        if exchange["status"] != 200 or exchange["operation"] == "count-tokens":
            continue
        if exchange["operation"] == "converse":
            fake.queue(exchange["body"])
            assert client.converse(**ask())["stopReason"] == exchange["body"]["stopReason"]
        else:
            frames = base64.b64decode(exchange["body_base64"])
            fake.queue(RawAnswer(frames, "application/vnd.amazon.eventstream", framing=Framing.CHUNKED))
            assert "metadata" in list(client.converse_stream(**ask())["stream"])[-1]


def test_frames_are_written_as_the_service_writes_them(recordings: Path) -> None:
    """Members and padding of a recorded event, framed again, are the recorded bytes."""
    checked = 0
    for _, exchange in exchanges(recordings):
        stream = base64.b64decode(exchange.get("body_base64", ""))
        while stream:
            total, headers = int.from_bytes(stream[:4], "big"), int.from_bytes(stream[4:8], "big")
            members = json.loads(stream[12 + headers : total - 4])
            padding = len(members.pop("p"))
            event = stream[12 + 1 + len(":event-type") + 3 :].split(b"\r:content-type")[0].decode()
            assert event_frame(event, members, padding=padding) == stream[:total]
            stream = stream[total:]
            checked += 1
    assert checked or not any("body_base64" in exchange for _, exchange in exchanges(recordings))


def test_nothing_of_the_stand_in_breaks_without_recordings() -> None:
    with FakeBedrock() as fake:
        assert client_of(fake).converse(**ask())["stopReason"] == "end_turn"
