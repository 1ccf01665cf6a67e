"""Has every case happen to the adapter, over real boto3, and says what came of it.

In comes a case, out goes a `Verdict`: how the call ended, and what was wrong with that. Wrong is a kind that the case does
not allow, text that was told twice or lost, a call that outlasts its timeout, a next call that does not work.
"""

from __future__ import annotations

import os
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Self, TypeVar

import trustme

from agent.bedrock import Bedrock, classify
from agent.bedrock.aws.memory import forget_everything
from agent.bedrock.aws.pace import no_waiting
from agent.bedrock.testing import FakeBedrock
from workshop.faults.cases import SHORT, STREAM, TLS, UNHURRIED, WHOLE, Case, short
from workshop.loopback import no_proxy

MODEL = "us.amazon.nova-lite-v1:0"
QUESTION = [{"role": "user", "content": "Hello?"}]
KEYS: dict[str, Any] = {"aws_access_key_id": "AKIDEXAMPLE", "aws_secret_access_key": "not-a-secret"}

SLACK = 6.0
"""Seconds that a busy machine may be late."""


V = TypeVar("V")

Place = Callable[[FakeBedrock], AbstractContextManager[str]]
"""An endpoint for a while; "" where there is no such place on this wire."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What came of a case: the kind it ended as ("complete" where nothing failed), and all that was wrong."""

    case: Case
    ended: str
    healed: bool | None = None
    wrong: tuple[str, ...] = ()


@dataclass(slots=True)
class Told:
    """What a caller was told of an answer while it came, and what it ended as."""

    text: list[str] = field(default_factory=list)
    completion: Any = None
    error: BaseException | None = None
    seconds: float = 0.0
    requests: int = 0

    @property
    def kind(self) -> str:
        """How it ended."""
        return "complete" if self.error is None else classify(self.error).kind


class Judge:
    """A stand-in on one kind of wire and the adapter in front of it; to be used in a `with` block."""

    def __init__(self, wire: str) -> None:
        self.wire = wire
        self._faces: dict[tuple[Any, ...], Bedrock] = {}

    def __enter__(self) -> Self:
        self._exit = ExitStack()
        self._exit.enter_context(no_waiting())
        context = self._exit.enter_context(_authority()) if self.wire == TLS else None
        self._exit.enter_context(no_proxy())
        self._fake = self._exit.enter_context(FakeBedrock(ssl_context=context))
        return self

    def __exit__(self, *_: object) -> None:
        for face in self._faces.values():
            face.close()
        self._exit.close()

    def verdict(self, case: Case) -> Verdict:
        """Have the case happen: with one attempt, then the next call; then with two."""
        return at_some_pace(lambda pace: self._verdict(case.at(pace)), hurried=case.hurried)

    def _verdict(self, case: Case) -> Verdict:
        forget_everything()
        once = self._ask(case, attempts=1, answers=(case.answer,))
        wrong = _complaints(case, once)
        wrong += self._next_call_complaints(case)
        healed = None
        if case.retried and case.kinds:
            twice = self._ask(case, attempts=2, answers=(case.answer, short()))
            healed = twice.error is None
            wrong += [f"with two attempts: {complaint}" for complaint in _retry_complaints(case, once, twice)]
        return Verdict(case, once.kind, healed, tuple(wrong))

    def unreachable(self) -> Iterator[Verdict]:
        """Nobody there, or nobody to trust: whatever is asked there fails, and what is asked elsewhere goes on."""
        for group, kinds, place in _PLACES:
            for operation in (WHOLE, STREAM):
                case = Case(group, operation, None, frozenset(kinds))
                verdict = at_some_pace(partial(self._verdict_there, case, place), hurried=True)
                if verdict is not None:
                    yield verdict

    def _verdict_there(self, case: Case, place: Place, pace: int) -> Verdict | None:
        """What comes of a call to that place; None where there is none on this wire."""
        told = self._asked_there(case, place, connect_timeout=0.5 * pace)
        if told is None:
            return None
        wrong = _complaints(case, told) + self._next_call_complaints(case)
        return Verdict(case, told.kind, None, tuple(wrong))

    def _asked_there(self, case: Case, place: Place, **settings: Any) -> Told | None:
        with place(self._fake) as endpoint:
            if not endpoint:
                return None
            with Bedrock(self._fake.region, endpoint_url=endpoint, max_attempts=1, **settings, **KEYS) as face:
                return self._call(face, case, ())

    def _next_call_complaints(self, case: Case) -> list[str]:
        after = self._ask(case, attempts=1, answers=(short(),), bare=True)
        return [] if after.error is None else [f"the next call failed: {after.error!r}"]

    def _ask(self, case: Case, *, attempts: int, answers: tuple[Any, ...], bare: bool = False) -> Told:
        face = self._face(case, attempts)
        if case.before is not None and not bare:
            self._call(face, case, (case.before,))
            self._fake.wait_for(lambda fake: fake.open_connections == 0, timeout=0.1)  # some stay open, and are dead
        return self._call(face, case, answers)

    def _call(self, face: Bedrock, case: Case, answers: tuple[Any, ...]) -> Told:
        self._drain()
        self._fake.queue(*answers)
        told, before = Told(), len(self._fake.requests)
        began = time.monotonic()
        try:
            told.completion = _stream(face, told) if case.operation == STREAM else face.complete(MODEL, QUESTION)
        except Exception as error:  # noqa: BLE001 - whatever it is, it is what is looked at
            told.error = error
        told.seconds = time.monotonic() - began
        told.requests = len(self._fake.requests) - before
        return told

    def _face(self, case: Case, attempts: int) -> Bedrock:
        settings = (case.patience, case.idle, attempts)
        if settings not in self._faces:
            self._faces[settings] = Bedrock(
                self._fake.region,
                endpoint_url=self._fake.url,
                read_timeout=case.patience,
                idle_timeout=case.idle,
                max_attempts=attempts,
                **KEYS,
            )
        return self._faces[settings]

    def _drain(self) -> None:
        """Take out of the script what an earlier call did not ask for."""
        self._fake._service.script._queue.clear()  # noqa: SLF001 - the stand-in has no other way to forget


def _stream(face: Bedrock, told: Told) -> Any:
    return face.stream(MODEL, QUESTION, on_text_delta=told.text.append).completion()


@contextmanager
def _authority() -> Iterator[ssl.SSLContext]:
    """TLS for the stand-in, and an environment that trusts it."""
    authority = trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    before = os.environ.get("AWS_CA_BUNDLE")
    with TemporaryDirectory() as folder:
        file = Path(folder) / "authority.pem"
        authority.cert_pem.write_to_path(str(file))
        os.environ["AWS_CA_BUNDLE"] = str(file)
        try:
            yield context
        finally:
            os.environ.pop("AWS_CA_BUNDLE")
            if before is not None:
                os.environ["AWS_CA_BUNDLE"] = before


# --- places where nobody is -------------------------------------------------------------------------------------------


@contextmanager
def _refused(fake: FakeBedrock) -> Iterator[str]:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        yield f"{fake.url.partition(':')[0]}://127.0.0.1:{unused.getsockname()[1]}"


@contextmanager
def _unknown_host(_: FakeBedrock) -> Iterator[str]:
    yield "http://no-such-host.invalid:9"


@contextmanager
def _silent_host(_: FakeBedrock) -> Iterator[str]:
    """A listener whose backlog is full: it neither takes a connection nor refuses it."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        with socket.create_connection(listener.getsockname()):
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"


@contextmanager
def _untrusted(fake: FakeBedrock) -> Iterator[str]:
    """The stand-in on TLS, whose authority is not trusted for once; nothing on a plain wire."""
    bundle = os.environ.pop("AWS_CA_BUNDLE", None) if fake.url.startswith("https") else None
    try:
        yield fake.url if bundle else ""
    finally:
        if bundle:
            os.environ["AWS_CA_BUNDLE"] = bundle


@contextmanager
def _no_tls(fake: FakeBedrock) -> Iterator[str]:
    """Somebody who knows nothing of TLS; nothing on a plain wire."""
    with FakeBedrock() as plain:
        yield plain.url.replace("http:", "https:") if fake.url.startswith("https") else ""


@contextmanager
def _broken_handshake(fake: FakeBedrock) -> Iterator[str]:
    """Somebody who hangs up when he hears how TLS begins; nothing on a plain wire."""
    if not fake.url.startswith("https"):
        yield ""
        return
    with socket.create_server(("127.0.0.1", 0)) as listener:
        hanging_up = threading.Thread(target=_hang_up, args=(listener,))
        hanging_up.start()
        yield f"https://127.0.0.1:{listener.getsockname()[1]}"
        hanging_up.join()


def _hang_up(listener: socket.socket) -> None:
    connection, _ = listener.accept()
    with connection:
        connection.recv(65536)


_PLACES: tuple[tuple[str, set[str], Place], ...] = (
    ("connection refused", {"connection"}, _refused),
    ("unknown host", {"connection"}, _unknown_host),
    ("no answer to a connection", {"timeout"}, _silent_host),
    ("untrusted certificate", {"connection"}, _untrusted),
    ("no TLS at the other end", {"connection", "timeout"}, _no_tls),
    ("FIN inside the handshake", {"connection"}, _broken_handshake),
)


# --- what may be wrong ------------------------------------------------------------------------------------------------


def _complaints(case: Case, told: Told) -> list[str]:
    """What is wrong with how a call ended."""
    wrong = _late(case, told, attempts=1)
    allowed = case.kinds or {"complete"}
    if told.kind not in allowed:
        # What goes wrong behind messageStop leaves the answer complete, but for its metadata.
        behind = told.kind == "complete" and told.completion.bedrock.metadata_missing
        if not behind:
            wrong.append(f"ended as {told.kind}: {told.error!r}")
    return wrong + _lost(case, told)


LATE = "took "
"""How a complaint about a call begins that was too long on its way."""


PACES = (1, 4, 16)
"""By what the limits of time are multiplied, one try after the other."""


def at_some_pace(judge: Callable[[int], V], *, hurried: bool) -> V:
    """A verdict; with more time another one where a bad one may come of too little: a machine may stand still, once.

    That is so of a call that is only late, and of whatever happens to one that is hurried.
    """
    verdict = judge(PACES[0])
    for pace in PACES[1:]:
        wrong = getattr(verdict, "wrong", ())
        if not wrong or not (hurried or all(LATE in complaint for complaint in wrong)):
            break
        verdict = judge(pace)
    return verdict


def _late(case: Case, told: Told, attempts: int) -> list[str]:
    limit = attempts * max(case.patience if case.patience < UNHURRIED else 0, case.idle) + SLACK
    return [f"{LATE}{told.seconds:.1f} s"] if told.seconds > limit else []


def _lost(case: Case, told: Told) -> list[str]:
    """Text that was told and is not in the result, or the other way round; and text that is not the answer's."""
    wrong = []
    text = "".join(told.text)
    result = told.completion if told.error is None else getattr(told.error, "partial", None)
    held = "" if result is None else result.message.content or ""
    if case.operation == STREAM and held != text:
        wrong.append(f"told {len(text)} characters, the result holds {len(held)}")
    if not case.text.startswith(held):
        wrong.append("the text is not the answer's")
    if told.error is None and held != case.text:
        wrong.append("complete, but not all of it")
    if told.error is not None and not getattr(told.error, "__notes__", None):
        wrong.append(f"no advice on {told.error!r}")
    return wrong


def _retry_complaints(case: Case, once: Told, twice: Told) -> list[str]:
    """What is wrong with how it ended when a second attempt was allowed, and a good answer waited for it."""
    wrong = _late(case, twice, attempts=2)
    hopeful = once.error is not None and classify(once.error).retryable and not once.text
    good = "".join(SHORT)
    if hopeful:
        told = "".join(twice.text) if case.operation == STREAM else good
        if twice.error is not None or twice.completion.message.content != good or told != good:
            wrong.append(f"was not healed: {twice.error!r}")
        elif not twice.requests <= twice.completion.bedrock.attempts == 2:  # some never arrive
            wrong.append(f"{twice.requests} requests, {twice.completion.bedrock.attempts} reported")
    elif once.error is not None and (twice.requests > 1 or twice.kind not in case.kinds):
        wrong.append(f"{twice.requests} requests, ended as {twice.kind}")
    return wrong + ([] if hopeful else _lost(case, twice))


def leftovers() -> list[str]:
    """Threads of the adapter that are still there."""
    return [thread.name for thread in threading.enumerate() if thread.name.startswith("bedrock-")]
