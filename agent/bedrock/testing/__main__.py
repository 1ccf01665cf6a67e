"""`python -m agent.bedrock.testing`: a stand-in in a process of its own, which prints one line with its URL.

It serves until it is interrupted, terminated, or, with `--until-eof`, until its standard input ends (which it does
when the process that started it dies).
"""

from __future__ import annotations

import argparse
import importlib
import signal
import ssl
import sys
import threading
from typing import TYPE_CHECKING, Any

from .server import FakeBedrock

if TYPE_CHECKING:
    from collections.abc import Sequence


def main(arguments: Sequence[str] | None = None) -> int:
    """Serve; the exit code."""
    options = _parser().parse_args(arguments)
    over = threading.Event()
    for name in (signal.SIGINT, signal.SIGTERM):
        signal.signal(name, lambda *_: over.set())
    if options.until_eof:
        threading.Thread(target=_wait_for_eof, args=(over,), daemon=True).start()
    with FakeBedrock(
        _script(options.script),
        ssl_context=_ssl_context(options),
        strict=not options.lenient,
        region=options.region,
        port=options.port,
    ) as fake:
        sys.stdout.write(f"{fake.url}\n")
        sys.stdout.flush()
        over.wait()
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser("python -m agent.bedrock.testing", description="A stand-in for Amazon Bedrock.")
    parser.add_argument("--port", type=int, default=0, help="TCP port on 127.0.0.1; by default a free one")
    parser.add_argument("--script", metavar="MODULE:NAME", help="a function of the request, or a sequence of answers")
    parser.add_argument("--region", default="us-east-1")
    parser.add_argument("--lenient", action="store_true", help="judge no request")
    parser.add_argument("--certificate", metavar="FILE", help="serve TLS with this certificate chain (PEM)")
    parser.add_argument("--key", metavar="FILE", help="the certificate's private key, if it is in another file")
    parser.add_argument("--until-eof", action="store_true", help="serve until the standard input ends")
    return parser


def _script(where: str | None) -> Any:
    if where is None:
        return None
    module, _, name = where.partition(":")
    return getattr(importlib.import_module(module), name)


def _ssl_context(options: argparse.Namespace) -> ssl.SSLContext | None:
    if options.certificate is None:
        return None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(options.certificate, options.key)
    return context


def _wait_for_eof(over: threading.Event) -> None:
    sys.stdin.buffer.read()
    over.set()


if __name__ == "__main__":
    raise SystemExit(main())
