"""One subject in a process of its own: `python -m tests.bench.subject NAME ENDPOINTS [CONNECTIONS]`.

ENDPOINTS is JSON, {"plain": url, "tls": url}. Commands come as JSON lines on standard input; answers go out likewise.
"""

from __future__ import annotations

import gc
import json
import os
import sys
import threading
import time
from pathlib import Path
from typing import Any

from tests.bench.replies import SCRIPTS
from tests.bench.subjects import Heard, Subject, subject_class
from tests.bench.workloads import WORKLOADS, Workload, short

Answer = dict[str, Any]


class Bench:
    """A subject and what it has prepared."""

    def __init__(self, name: str, endpoints: dict[str, str], connections: int) -> None:
        self._name = name
        self._endpoints = endpoints
        self._connections = connections
        self._subjects: dict[bool, Subject] = {}
        self._prepared: dict[str, tuple[int, Any, Any]] = {}

    def _subject(self, *, tls: bool = False) -> Subject:
        if tls not in self._subjects:
            endpoint = self._endpoints["tls" if tls else "plain"]
            self._subjects[tls] = subject_class(self._name)(endpoint, self._connections)
        return self._subjects[tls]

    def check(self, name: str) -> Answer:
        """Whether the subject hears what the server says in this workload; warms up on the way."""
        workload = WORKLOADS[name]
        subject = self._subject(tls=workload.tls)
        prepared = self._prepare(workload, subject)
        heard = subject.heard(prepared) if workload.streamed else subject.whole(prepared)
        script = SCRIPTS[workload.reply]
        expected = Heard(*("".join(pieces) for pieces in (script.text, script.reasoning, script.arguments)))
        if heard != expected:
            said = {name: len(getattr(heard, name)) for name in ("text", "reasoning", "arguments")}
            raise AssertionError(f"heard something else: lengths {said}")
        return {}

    def measure(self, name: str) -> Answer:
        """Seconds of CPU and of time per unit of the workload."""
        workload = WORKLOADS[name]
        subject = self._subject(tls=workload.tls)
        prepared = [self._prepare(workload, subject) for _ in range(workload.repeat)]
        gc.collect()
        cpu, wall = time.process_time(), time.perf_counter()
        for one in prepared:
            if workload.crowd:
                subject.crowd(one, workload.crowd, _nothing)
            elif workload.streamed:
                subject.stream(one, _nothing)
            else:
                subject.whole(one)
        cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
        runs = workload.repeat * workload.units
        return {"cpu": cpu / runs, "wall": wall / runs}

    def _prepare(self, workload: Workload, subject: Subject) -> Any:
        """What the next run of a workload sends."""
        number, conversation, prepared = self._prepared.get(workload.name, (0, None, None))
        if conversation is None or workload.next == "another":
            conversation, prepared = workload.conversation(number), None
        elif workload.next == "longer":
            conversation, prepared = conversation.longer(), None
        if prepared is None:
            prepared = subject.prepare(conversation)
        self._prepared[workload.name] = (number + 1, conversation, prepared)
        return prepared

    def forget(self, name: str) -> Answer:
        """Drop what was prepared for a workload."""
        self._prepared.pop(name, None)
        return {}

    def lag(self, reply: str, streams: int) -> Answer:
        """Seconds from the server's writing of each delta to its reader, and to the first of them from the call."""
        subject = self._subject()
        prepared = subject.prepare(short(reply))
        lags: list[float] = []

        def note(text: str) -> None:
            now = time.monotonic()
            if text:
                lags.append(now - float(text))
                firsts.append(now)

        firsts: list[float] = []
        since = time.monotonic()
        if streams == 1:
            subject.stream(prepared, note)
        else:
            subject.crowd(prepared, streams, note)
        return {"lags": lags, "first": firsts[0] - since}

    def memory(self) -> Answer:
        """Resident bytes of this process while 50 streams are half read."""
        subject = self._subject()
        prepared = subject.prepare(short("paced-50"))
        subject.stream(prepared, _nothing)
        seen: list[int] = []

        def look() -> None:
            time.sleep(0.35)
            seen.append(resident_bytes())

        threading.Thread(target=look).start()
        subject.crowd(prepared, 50, _nothing)
        return {"bytes": seen[0]}

    def conversion(self, turns: int) -> Answer:
        """Seconds of CPU to build the request of a history of so many turns."""
        from agent.bedrock.request.build import build_request

        from .workloads import MODEL, history

        repeat = max(2, 2000 // turns)
        conversations = [history(turns, number, size=200) for number in range(repeat)]
        gc.collect()
        since = time.process_time()
        for conversation in conversations:
            build_request(MODEL, conversation.messages, conversation.tools)
        return {"cpu": (time.process_time() - since) / repeat}


def resident_bytes() -> int:
    """The resident set of this process; where /proc is missing, the most it ever was."""
    try:
        return int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except OSError:
        import resource

        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return peak if sys.platform == "darwin" else peak * 1024


def _nothing(_: str) -> None:
    """A callback that costs next to nothing."""


def serve(bench: Bench) -> None:
    """Do what standard input says, until it ends."""
    for line in sys.stdin:
        command = json.loads(line)
        try:
            answer = getattr(bench, command.pop("do"))(**command)
        except Exception as error:  # noqa: BLE001 - whatever a peer raises is told, and ends only its own column
            answer = {"error": f"{type(error).__name__}: {error}"[:300]}
        print(json.dumps(answer), flush=True)


def main(arguments: list[str]) -> None:
    """Be a subject."""
    if "--without-orjson" in arguments:
        arguments.remove("--without-orjson")
        sys.modules["orjson"] = None  # type: ignore[assignment]
    serve(Bench(arguments[0], json.loads(arguments[1]), int(arguments[2])))


if __name__ == "__main__":
    main(sys.argv[1:])
