"""The HTTP server: OpenAI's surface and that of agentic-primitives-gateway, on Bedrock.

In come HTTP requests, out go answers and server-sent events. Starlette and uvicorn are imported when a server is made,
and only then. It keeps nothing of a conversation between two requests, so any number of replicas may stand behind a load
balancer. Nothing is converted here.

    exchange.py     one request and its answer, over ASGI
    limits.py       who may come in, how many at once, how much and how slowly
    callers.py      whose credentials a call is made with
    calls.py        a chat call: whole, streamed, given up
    surfaces.py     what is served where
    health.py       whether credentials and control plane are there
    metrics.py      Prometheus' text
    journal.py      the debug log
    run.py          the application, and uvicorn around it
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .run import create_app as create_app
    from .run import serve as serve

__all__ = ["create_app", "serve"]


def __getattr__(name: str) -> object:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from . import run

    return getattr(run, name)
