"""The processes of a benchmark: one server, and one per subject, which wait for their turn without using the CPU."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Self

ROOT = Path(__file__).resolve().parent.parent.parent

WITHOUT_ORJSON = "--without-orjson"


class SubjectError(Exception):
    """What a subject could not do, in its own words."""


class Child:
    """A Python process that answers JSON lines with JSON lines."""

    def __init__(self, module: str, arguments: Sequence[str], environ: Mapping[str, str]) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", module, *arguments],
            cwd=ROOT,
            env=dict(environ),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def ask(self, do: str, **arguments: Any) -> Any:
        """Have something done; raises SubjectError for what it says of its failure."""
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps({"do": do, **arguments}) + "\n")
        self._process.stdin.flush()
        answer = self.hear()
        if "error" in answer:
            raise SubjectError(answer["error"])
        return answer

    def hear(self) -> Any:
        """The next line."""
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise SubjectError(f"the process ended with {self._process.wait()}")
        return json.loads(line)

    def close(self) -> None:
        """End the process."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.close()
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process.stdout.close()


class Server(Child):
    """The loopback server, plain and over TLS."""

    def __init__(self, certificate: Sequence[str], environ: Mapping[str, str]) -> None:
        super().__init__("tests.bench.server", certificate, environ)
        self._ports = self.hear()
        self._control = http.client.HTTPConnection("127.0.0.1", self._ports["plain"])

    @property
    def endpoints(self) -> dict[str, str]:
        """Scheme and address by kind."""
        schemes = {"plain": "http", "tls": "https"}
        return {kind: f"{schemes[kind]}://127.0.0.1:{port}" for kind, port in self._ports.items()}

    def connections(self) -> int:
        """How many connections were ever opened."""
        return int(self._get("/stats")["opened"])

    def last_body(self) -> Any:
        """The last request's body."""
        return self._get("/last")

    def _get(self, path: str) -> Any:
        self._control.request("GET", path)
        return json.loads(self._control.getresponse().read())

    def close(self) -> None:
        """End the process."""
        self._control.close()
        super().close()


def environment(folder: Path, certificates: str | None = None) -> dict[str, str]:
    """The environment of all children: no settings, credentials or proxies of the person who runs the benchmark.

    Modules are compiled once, as they are where a package was installed, into the folder.
    """
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("AWS_", "BEDROCK_", "PYTHON")) and not name.lower().endswith("_proxy")
    }
    bundle = {"AWS_CA_BUNDLE": certificates} if certificates else {}
    return {
        **kept,
        **bundle,
        "AWS_ACCESS_KEY_ID": "AKIDEXAMPLE",
        "AWS_SECRET_ACCESS_KEY": "not-a-secret",
        "AWS_REGION": "us-east-1",
        "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        "LITELLM_LOCAL_MODEL_COST_MAP": "True",
        "PYTHONPATH": str(ROOT),
        "PYTHONPYCACHEPREFIX": str(folder / "compiled"),
    }


@contextlib.contextmanager
def authority(folder: Path) -> Iterator[tuple[list[str], str | None]]:
    """Certificate and key of the server, and a bundle as long as botocore's own that trusts them; nothing without trustme."""
    try:
        import trustme
    except ImportError:
        yield [], None
        return
    import botocore

    own = trustme.CA()
    issued = own.issue_cert("127.0.0.1")
    certificate, key, bundle = folder / "server.pem", folder / "server.key", folder / "bundle.pem"
    for blob in issued.cert_chain_pems:
        blob.write_to_path(certificate, append=True)
    issued.private_key_pem.write_to_path(key)
    bundle.write_bytes((Path(botocore.__file__).parent / "cacert.pem").read_bytes() + own.cert_pem.bytes())
    yield [str(certificate), str(key)], str(bundle)


def subject_process(
    name: str,
    endpoints: Mapping[str, str],
    environ: Mapping[str, str],
    flags: Sequence[str] = (),
    connections: int = 10,
) -> Child:
    """A subject, waiting for commands."""
    arguments = [name, json.dumps(endpoints), str(connections), *flags]
    return Child("tests.bench.subject", arguments, environ)


def seconds_to_first_token(name: str, endpoint: str, environ: Mapping[str, str], flags: Sequence[str]) -> float:
    """From the start of a process to its first text."""
    since = time.monotonic()
    command = [sys.executable, "-m", "tests.bench.start", name, endpoint, *flags]
    done = subprocess.run(command, cwd=ROOT, env=dict(environ), capture_output=True, text=True, check=False, timeout=60)
    if done.returncode or not done.stdout.strip():
        raise SubjectError(done.stderr.strip()[-300:])
    return float(done.stdout.split()[-1]) - since
