"""A client's connections: opened once, their trust read once, and a request in one packet."""

from __future__ import annotations

import gc
import http.client
import ssl
import threading
import weakref
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any, ClassVar
from unittest.mock import Mock, patch

import pytest
import trustme
import urllib3
import urllib3.connection
from botocore.awsrequest import AWSConnection, AWSHTTPConnection, AWSHTTPConnectionPool
from botocore.exceptions import SSLError

from agent.bedrock.aws.clients import build_runtime_client
from agent.bedrock.aws.connections import JOINED, KNOWN_ADDRESSES, _is_idle, _quick_pool, tune_connections
from agent.bedrock.aws.credentials import Credentials
from agent.bedrock.aws.settings import ClientSettings
from agent.bedrock.response.frames import decoder_for
from agent.bedrock.testing import FakeBedrock, Reply, Text
from tests.wire.streaming import QUESTION, authority_file, bare_client, server_context

STREAMS = 50


@pytest.fixture
def bundle(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The authority of the stand-in, as the bundle that every client of the test trusts."""
    file = authority_file(tmp_path)
    monkeypatch.setenv("AWS_CA_BUNDLE", file)
    return file


@pytest.fixture
def loads(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Every reading of a bundle by OpenSSL."""
    seen: list[Any] = []
    genuine = ssl.SSLContext.load_verify_locations

    def load(self: Any, cafile: Any = None, capath: Any = None, cadata: Any = None) -> None:
        seen.append(cafile)
        genuine(self, cafile, capath, cadata)

    monkeypatch.setattr(ssl.SSLContext, "load_verify_locations", load, raising=False)
    return seen


@pytest.fixture
def tls() -> Iterator[FakeBedrock]:
    with FakeBedrock(lambda request: Reply("Hi!"), ssl_context=server_context()) as running:
        yield running


def our_client(fake: FakeBedrock, **settings: Any) -> Any:
    return build_runtime_client(
        "us-east-1",
        ClientSettings(endpoint_url=fake.url, **settings),
        Credentials(aws_access_key_id="AKIDEXAMPLE", aws_secret_access_key="not-a-secret"),
        decoder_for=decoder_for,
    )


def read_one_stream(client: Any) -> int:
    return len(list(client.converse_stream(**QUESTION)["stream"]))


# --- waves of streams -------------------------------------------------------------------------------------------------


class Together:
    """Answers that are begun when all of a wave have been asked, so that they are open at once."""

    def __init__(self, parties: int) -> None:
        self._barrier = threading.Barrier(parties)

    def read(self, client: Any) -> int:
        stream = client.converse_stream(**QUESTION)["stream"]
        self._barrier.wait(30)
        return len(list(stream))


@pytest.mark.parametrize("secure", [False, True], ids=["plain", "tls"])
def test_after_the_first_wave_of_streams_no_connection_is_opened(secure: bool, bundle: str) -> None:
    answer = Reply(Text(("Hello", " world")))
    with FakeBedrock(lambda request: answer, ssl_context=server_context() if secure else None) as fake:
        client = our_client(fake)
        waves = []
        with ThreadPoolExecutor(STREAMS) as pool:
            for _ in range(3):
                together = Together(STREAMS)
                read = list(pool.map(together.read, [client] * STREAMS))
                assert read == [len(answer.events())] * STREAMS
                waves.append(fake.connections)
        client.close()
    assert waves == [STREAMS] * 3


# --- trust ------------------------------------------------------------------------------------------------------------


def test_the_bundle_is_read_once_for_many_connections(tls: FakeBedrock, bundle: str, loads: list[Any]) -> None:
    client = our_client(tls)
    together = Together(8)
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(together.read, [client] * 8))
    client.close()  # drops the pool, not what is known
    read_one_stream(client)
    client.close()
    assert tls.connections == 9
    assert loads == [bundle]


def test_boto3_itself_reads_it_for_every_connection(tls: FakeBedrock, bundle: str, loads: list[Any]) -> None:
    client = bare_client(tls, verify=bundle)
    for _ in range(3):
        client.converse(**QUESTION)
        client.close()
    assert loads == [bundle] * 3


def test_a_bundle_that_changed_is_read_again(tls: FakeBedrock, bundle: str, loads: list[Any]) -> None:
    other = trustme.CA()
    trusted = Path(bundle).read_bytes()
    other.cert_pem.write_to_path(bundle)
    client = our_client(tls, max_attempts=1)
    with pytest.raises(SSLError, match="CERTIFICATE_VERIFY_FAILED"):
        client.converse(**QUESTION)
    Path(bundle).write_bytes(trusted + other.cert_pem.bytes())
    assert client.converse(**QUESTION)["stopReason"] == "end_turn"
    assert loads == [bundle] * 2
    client.close()


def test_a_server_that_nobody_vouches_for_is_refused(tls: FakeBedrock, tmp_path: Path) -> None:
    client = our_client(tls, max_attempts=1)  # trusts what botocore trusts, which is not the stand-in
    with pytest.raises(SSLError, match="CERTIFICATE_VERIFY_FAILED"):
        client.converse(**QUESTION)
    client.close()


def test_a_bundle_that_is_gone_is_reported_as_ever(
    tls: FakeBedrock, bundle: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    client, bare = our_client(tls, max_attempts=1), bare_client(tls, verify=bundle)
    Path(bundle).unlink()
    texts = []
    for each in (client, bare):
        with pytest.raises(SSLError) as error:
            each.converse(**QUESTION)
        texts.append(str(error.value))
        each.close()
    assert texts[0] == texts[1]


def test_a_proxy_gets_a_context_that_reads_once_too(loads: list[Any], bundle: str, tls: FakeBedrock) -> None:
    client = bare_client(tls)
    tune_connections(client)
    context = client._endpoint.http_session._get_ssl_context()
    context.load_verify_locations(bundle)
    context.load_verify_locations(bundle)
    context.load_verify_locations(cadata=Path(bundle).read_text())
    assert loads == [bundle, None]
    client.close()


urllib3_2 = pytest.mark.skipif(urllib3.__version__.startswith("1."), reason="urllib3 1 sends one packet by itself")

# --- one packet -------------------------------------------------------------------------------------------------------


@pytest.fixture
def sends(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The bytes of every sending of http.client."""
    seen: list[int] = []
    genuine = http.client.HTTPConnection.send

    def send(self: Any, data: Any) -> None:
        seen.append(len(data))
        genuine(self, data)

    monkeypatch.setattr(http.client.HTTPConnection, "send", send)
    return seen


@pytest.fixture
def fake() -> Iterator[FakeBedrock]:
    with FakeBedrock(lambda request: Reply("Hi!")) as running:
        yield running


def asking(text: str) -> dict[str, Any]:
    return {**QUESTION, "messages": [{"role": "user", "content": [{"text": text}]}]}


def test_a_short_request_is_one_packet(fake: FakeBedrock, sends: list[int]) -> None:
    client = our_client(fake)
    for _ in range(2):
        client.converse(**asking("Hello?"))
    assert len(sends) == 2
    assert [request.body["messages"] for request in fake.requests] == [asking("Hello?")["messages"]] * 2
    client.close()


@urllib3_2
def test_a_long_request_is_not_copied_behind_its_headers(fake: FakeBedrock, sends: list[int]) -> None:
    client = our_client(fake)
    client.converse(**asking("x" * JOINED))
    assert len(sends) == 2
    assert sends[1] > JOINED
    assert fake.requests[0].body["messages"] == asking("x" * JOINED)["messages"]
    client.close()


PREPARED: dict[str, Any] = {
    "Content-Type": b"application/json",
    "User-Agent": b"Botocore/1.44.5 md/a#b (x)",
    "Authorization": b"AWS4-HMAC-SHA256 Credential=A/b, SignedHeaders=host, Signature=0",
    "Content-Length": "2",
}
PATH = "/model/us.anthropic.claude-v1%3A0/converse"
QUICK = {"url": PATH, "headers": PREPARED}

ASKED: dict[str, dict[str, Any]] = {
    "as botocore has it": QUICK,
    "how to read": {**QUICK, "preload_content": False, "decode_content": False, "enforce_content_length": False},
    "a query": {**QUICK, "url": f"{PATH}?a=b&c=%20"},
    "default port": {**QUICK, "port": 80},
    "a name": {**QUICK, "host": "bedrock.example."},
    "IPv6": {**QUICK, "host": "::1"},
    "long": {"url": PATH, "headers": {**PREPARED, "Content-Length": str(JOINED + 1)}, "body": b"x" * (JOINED + 1)},
    "chunked": {**QUICK, "headers": {"User-Agent": b"x"}, "chunked": True},
    "no length": {"url": PATH, "headers": {"User-Agent": b"x"}},
    "no agent": {"url": PATH, "headers": {"Content-Length": b"2"}},
    "no body": {"url": PATH, "headers": {"User-Agent": b"x"}, "body": None},
    "a host of one's own": {"url": PATH, "headers": {**PREPARED, "Host": b"other"}},
    "an encoding of one's own": {"url": PATH, "headers": {**PREPARED, "accept-encoding": b"gzip"}},
    "text": {"url": PATH, "headers": {**PREPARED, "X-A": "ü"}},
    "Latin bytes": {"url": PATH, "headers": {**PREPARED, "X-A": "ü".encode("latin-1")}},
    "a header to skip": {"url": PATH, "headers": {**PREPARED, "User-Agent": "@@@SKIP_HEADER@@@"}},
    "a folded header": {"url": PATH, "headers": {**PREPARED, "X-A": b"a\r\n b"}},
    "a tab": {"url": PATH, "headers": {**PREPARED, "X-A": b"a\tb"}},
    "a smuggled header": {"url": PATH, "headers": {**PREPARED, "X-A": b"a\r\nX-B: c"}},
    "a smuggled name": {"url": PATH, "headers": {**PREPARED, "X-A: b\r\nX-B": b"c"}},
    "a smuggled path": {**QUICK, "url": "/a HTTP/1.1\r\nX-B: c\r\n\r\n"},
    "a path that is not ASCII": {**QUICK, "url": "/ü"},
    "a smuggled method": {**QUICK, "method": "POST /b HTTP/1.1\r\n\r\n"},
    "through a proxy": {**QUICK, "url": f"http://far.example{PATH}"},
    "nothing": {"url": PATH, "headers": None},
}


def asked_of(connection_class: Any, asked: dict[str, Any]) -> dict[str, Any]:
    """What a connection sends, what it knows then, and what it raises."""

    class Wire:
        timeouts: ClassVar[list[Any]] = []
        sent = b""

        def settimeout(self, seconds: Any) -> None:
            self.timeouts = [*self.timeouts, seconds]

        def sendall(self, data: bytes) -> None:
            self.sent += data

    asked = {"method": "POST", "body": b"{}", "host": "127.0.0.1", "port": 8080, **asked}
    connection = connection_class(asked.pop("host"), asked.pop("port"), timeout=3)
    connection.sock = wire = Wire()
    try:
        connection.request(**asked)
        raised = None
    except Exception as error:  # noqa: BLE001 - whatever it is, both are to raise it
        raised = (type(error), str(error))
    known = {name: value for name, value in vars(connection).items() if name not in {"sock", "response_class"}}
    classes = {"_original_response_cls"}
    return {
        "raised": raised,
        "sent": wire.sent,
        "timeouts": wire.timeouts,
        "known": {name: value for name, value in known.items() if name not in classes},
    }


@pytest.mark.parametrize("why", ASKED)
def test_a_request_is_to_the_letter_what_urllib3_sends(why: str) -> None:
    quick = _quick_pool(AWSHTTPConnectionPool).ConnectionCls
    assert asked_of(quick, ASKED[why]) == asked_of(AWSHTTPConnectionPool.ConnectionCls, ASKED[why])


@urllib3_2
@pytest.mark.parametrize("why", ["as botocore has it", "a query", "how to read", "default port", "long"])
def test_a_plain_request_is_written_at_one_go(why: str, monkeypatch: pytest.MonkeyPatch) -> None:
    quick = _quick_pool(AWSHTTPConnectionPool).ConnectionCls
    monkeypatch.setattr("urllib3.connection.body_to_chunks", lambda *_: pytest.fail("line by line"))
    assert PATH.encode() in asked_of(quick, ASKED[why])["sent"]


class Around:
    """What a library for tracing puts around a function: it claims to be the function."""

    def __init__(self, genuine: Any, seen: list[str]) -> None:
        self.genuine = genuine
        self.seen = seen

    def __eq__(self, other: object) -> bool:
        return bool(self.genuine == other)

    def __hash__(self) -> int:
        return hash(self.genuine)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.genuine, name)

    def __get__(self, owner: Any, _kind: Any) -> Any:
        return self if owner is None else partial(self, owner)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        self.seen.append(self.genuine.__name__)
        return self.genuine(*args, **kwargs)


WATCHED = [
    (http.client.HTTPConnection, "putrequest"),
    (http.client.HTTPConnection, "putheader"),
    (http.client.HTTPConnection, "endheaders"),
    (urllib3.connection.HTTPConnection, "request"),
    (AWSHTTPConnection, "putrequest"),
    (AWSConnection, "request"),
    (AWSConnection, "_send_output"),
]


@pytest.mark.parametrize("built_first", [True, False])
@pytest.mark.parametrize(("owner", "name"), WATCHED)
def test_who_watches_how_requests_are_written_sees_every_one(
    owner: Any, name: str, built_first: bool, fake: FakeBedrock
) -> None:
    seen: list[str] = []
    with pytest.MonkeyPatch.context() as patch:
        client = our_client(fake) if built_first else None
        if client is not None:
            client.converse(**QUESTION)
        patch.setattr(owner, name, Around(getattr(owner, name), seen), raising=False)
        client = client or our_client(fake)
        client.converse(**QUESTION)
        assert name in seen
    seen.clear()
    client.converse(**QUESTION)
    assert not seen
    client.close()


def test_what_takes_the_place_of_a_request_is_called_as_by_urllib3() -> None:
    for pool in (AWSHTTPConnectionPool, _quick_pool(AWSHTTPConnectionPool)):
        with patch.object(AWSHTTPConnection, "request") as put:  # no function, so that it gets no `self`
            pool.ConnectionCls("127.0.0.1", 1).request("POST", PATH, body=b"{}", headers=PREPARED, chunked=False)
        put.assert_called_once_with("POST", PATH, body=b"{}", headers=PREPARED, chunked=False)


def test_who_records_and_plays_calls_gets_them_all(fake: FakeBedrock, monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[Any] = []

    class Recording(AWSHTTPConnection):
        def __init__(self, *args: Any, **kwargs: Any) -> None:
            super().__init__(*args, **kwargs)
            made.append(type(self))

    client = our_client(fake)
    monkeypatch.setattr(AWSHTTPConnectionPool, "ConnectionCls", Recording)
    client.converse(**QUESTION)
    assert made == [Recording], "the class itself, which may look at what it is"
    monkeypatch.undo()
    client.close()
    client.converse(**QUESTION)
    assert len(made) == 1
    client.close()


def test_a_connection_that_botocore_knows_more_of_asks_its_way() -> None:
    connection = _quick_pool(AWSHTTPConnectionPool).ConnectionCls("127.0.0.1", 1)
    assert _is_idle(connection)
    connection._response_received = True  # an early answer to `Expect: 100-continue`
    assert not _is_idle(connection)


def test_after_a_request_that_failed_the_next_one_is_whole(fake: FakeBedrock) -> None:
    client = our_client(fake, max_attempts=2)
    client.converse(**QUESTION)
    fake.drop_connections()
    assert client.converse(**QUESTION)["stopReason"] == "end_turn"
    assert [request.body for request in fake.requests] == [{"messages": QUESTION["messages"]}] * 2
    client.close()


def test_tuning_twice_changes_nothing(fake: FakeBedrock) -> None:
    client = our_client(fake)
    session = client._endpoint.http_session
    before = (dict(session._pool_classes_by_scheme), session._get_ssl_context)
    tune_connections(client)
    assert (dict(session._pool_classes_by_scheme), session._get_ssl_context) == before
    client.close()


def test_clients_with_other_insides_are_left_as_they_are() -> None:
    class Session:
        pass

    class Endpoint:
        http_session = Session()

    class Client:
        _endpoint = Endpoint()

    tune_connections(Client())
    tune_connections(object())
    assert vars(Endpoint.http_session) == {}


def test_the_pool_holds_as_many_connections_as_are_set(fake: FakeBedrock) -> None:
    client = our_client(fake, max_connections=3)
    with ThreadPoolExecutor(6) as pool:
        list(pool.map(Together(6).read, [client] * 6))
    assert fake.wait_for(lambda running: running.open_connections <= 3)
    client.close()


# --- addresses --------------------------------------------------------------------------------------------------------


ADDRESSES = ["http://127.0.0.1:1/a", "https://[::1]:2/b?c=d", "https://host.example/model/x%3A0/converse"]


@pytest.fixture
def manager(fake: FakeBedrock) -> Any:
    client = our_client(fake)
    tune_connections(client)
    return client._endpoint.http_session._manager


def test_an_address_is_taken_apart_once(monkeypatch: pytest.MonkeyPatch, fake: FakeBedrock) -> None:
    from urllib3 import poolmanager

    parsed: list[str] = []
    genuine = poolmanager.parse_url
    monkeypatch.setattr(poolmanager, "parse_url", lambda url: (parsed.append(url), genuine(url))[1])
    client = our_client(fake)
    for _ in range(3):
        client.converse(**QUESTION)
    assert len(parsed) == 1
    client.close()
    client.converse(**QUESTION)  # with a new pool
    client.close()
    assert (len(parsed), fake.connections) == (2, 2)


@pytest.mark.parametrize("url", ADDRESSES)
def test_the_pool_of_an_address_is_the_one_that_urllib3_finds(url: str, manager: Any) -> None:
    genuine = super(type(manager), manager).connection_from_url
    for _ in range(2):
        assert manager.connection_from_url(url) is genuine(url)
        assert manager.connection_from_url(url, {"timeout": 1}) is genuine(url, {"timeout": 1}) is not genuine(url)
    before = manager.connection_from_url(url)
    manager.clear()
    assert manager.connection_from_url(url) is genuine(url) is not before


@pytest.mark.parametrize("name", ["connection_from_url", "connection_from_host", "connection_from_pool_key"])
def test_who_watches_how_pools_are_found_sees_every_one(name: str, manager: Any) -> None:
    manager.connection_from_url(ADDRESSES[0])
    with patch.object(urllib3.PoolManager, name, return_value="a pool") as put:
        assert manager.connection_from_url(ADDRESSES[0]) == "a pool"
    assert put.call_count == 1
    assert manager.connection_from_url(ADDRESSES[0]) != "a pool"


def test_a_manager_that_keeps_its_pools_elsewhere_stays_as_it_is(fake: FakeBedrock) -> None:
    client = bare_client(fake)
    manager = client._endpoint.http_session._manager
    pools, manager.pools = manager.pools, Mock(spec=["get", "clear"])  # so it is in urllib3-future
    tune_connections(client)
    assert type(manager) is urllib3.PoolManager
    manager.pools = pools
    assert client.converse(**QUESTION)["stopReason"] == "end_turn"
    client.close()


def test_a_pool_that_urllib3_gave_up_is_kept_by_nobody(manager: Any) -> None:
    pool = weakref.ref(manager.connection_from_url(ADDRESSES[0]))
    manager.clear()
    gc.collect()
    assert pool() is None


def test_of_many_addresses_not_all_are_known(manager: Any) -> None:
    for number in range(KNOWN_ADDRESSES + 1):
        manager.connection_from_url(f"http://127.0.0.1:1/model/{number}")
    assert len(manager.keys_by_url) == 1


def test_pools_of_two_clients_are_two(manager: Any, fake: FakeBedrock) -> None:
    other = our_client(fake)._endpoint.http_session._manager
    assert manager.connection_from_url(ADDRESSES[0]) is not other.connection_from_url(ADDRESSES[0])
