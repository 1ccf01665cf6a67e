"""The application, and uvicorn around it.

In comes a `Configuration`, out goes a Starlette application, or a server that runs until it is told to stop and then
finishes the streams that it has begun. Starlette and uvicorn are imported here, when they are needed.
"""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from types import ModuleType
from typing import TYPE_CHECKING, Any

from ..backends import Backends
from ..config import NO_CONFIGURATION, Configuration
from .exchange import Exchange, RefusedError
from .limits import Door, patient
from .metrics import Metrics
from .surfaces import JSON_HEADERS, Endpoint, Service

if TYPE_CHECKING:
    import uvicorn
    from starlette.applications import Starlette

logger = logging.getLogger(__name__)

KEEP_ALIVE = 75
"""Seconds for which an idle connection is kept; longer than load balancers keep theirs, so that they close first."""

LONGEST_HEADERS = 64 * 1024
"""Bytes; a session token alone may take several thousand."""

PATHS: tuple[tuple[str, str, str, bool], ...] = (
    ("POST", "/v1/chat/completions", "chat_completions", False),
    ("GET", "/v1/models", "models", False),
    ("GET", "/v1/models/{model:path}", "model", False),
    ("POST", "/api/v1/llm/completions", "gateway_completions", False),
    ("POST", "/api/v1/llm/completions/stream", "gateway_stream", False),
    ("GET", "/api/v1/llm/models", "gateway_models", False),
    ("GET", "/healthz", "healthz", True),
    ("GET", "/metrics", "show_metrics", False),
)
"""Method, path, method of `Service`, and whether no key is asked for."""


def needed(name: str) -> ModuleType:
    """A module of the extra [server]; ImportError says how to install it."""
    from importlib import import_module

    try:
        return import_module(name)
    except ImportError:
        raise ImportError(
            f"The server needs {name.partition('.')[0]}: pip install 'bedrock-chat-adapter[server]'"
        ) from None


def create_app(configuration: Configuration = NO_CONFIGURATION, **arguments: Any) -> Starlette:
    """The ASGI application; `arguments` are those of `Bedrock` and win over the configuration's.

    SettingsError where it could not be served safely: see `limits.Door`.
    """
    applications, routing = needed("starlette.applications"), needed("starlette.routing")
    metrics = Metrics()
    roomy, connections = _with_room(configuration)
    backends = Backends(roomy, **{**connections, **metrics.hooks(), **arguments})
    for name in configuration.backends or (None,):
        backends.bedrock(name)  # what the configuration lacks is said now, not at the first call
    service = Service(backends, configuration.server, Door.for_configuration(configuration), metrics)

    @asynccontextmanager
    async def lifespan(_app: Any) -> AsyncIterator[None]:
        yield
        service.close()

    routes = [
        routing.Route(path, Endpoint(path, getattr(service, name), service, open_to_all=free), methods=[method])
        for method, path, name, free in PATHS
    ]
    app: Starlette = applications.Starlette(routes=routes, lifespan=lifespan, exception_handlers={405: _no_such_method})
    app.state.service = service
    app.router.default = Endpoint("other", _no_such_path, service, open_to_all=True)
    app.router.redirect_slashes = False
    return app


def _with_room(configuration: Configuration) -> tuple[Configuration, dict[str, Any]]:
    """As many connections for each backend as there may be calls, unless the configuration says otherwise."""
    most = configuration.server.max_concurrency
    if not configuration.backends:
        return configuration, {"max_connections": most}
    backends = {
        name: replace(backend, max_connections=backend.max_connections or most)
        for name, backend in configuration.backends.items()
    }
    return replace(configuration, backends=backends), {}


async def _no_such_path(exchange: Exchange) -> None:
    message = f"{exchange.method} {exchange.path} is not served: there are /v1/chat/completions and /v1/models."
    if exchange.path.rstrip("/").endswith("/responses"):
        message += " Tell the runtime to use chat completions instead of the Responses API."
    raise RefusedError(404, "unknown_url", message)


async def _no_such_method(request: Any, error: Any) -> Any:
    refused = RefusedError(405, "method_not_allowed", f"{request.method} is not what {request.url.path} is asked by.")
    headers = {**JSON_HEADERS, **(error.headers or {})}
    return needed("starlette.responses").Response(refused.body, 405, headers)


def create_server(configuration: Configuration = NO_CONFIGURATION, **arguments: Any) -> uvicorn.Server:
    """uvicorn around the application, not yet running; whoever runs it closes `app.state.service` when it has ended."""
    # h11 even where httptools is installed: that takes headers of any length, and does not notice that a client is gone
    # who has sent a second request behind the one that is being answered (uvicorn 0.54).
    library, protocol = needed("uvicorn"), needed("uvicorn.protocols.http.h11_impl").H11Protocol
    settings = configuration.server
    options = library.Config(
        create_app(configuration, **arguments),
        host=settings.host,
        port=settings.port,
        http=patient(protocol, settings.header_seconds, settings.write_seconds),
        ws="none",
        lifespan="off",  # ended by force, uvicorn would show the traceback of whoever waits for the end of it
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_keep_alive=KEEP_ALIVE,
        timeout_graceful_shutdown=settings.drain_seconds,
        h11_max_incomplete_event_size=LONGEST_HEADERS,
    )
    return library.Server(options)  # type: ignore[no-any-return]


def serve(configuration: Configuration = NO_CONFIGURATION, **arguments: Any) -> None:
    """Serve until a signal ends it; streams that have begun are finished first."""
    server = create_server(configuration, **arguments)
    try:
        server.run()
    finally:
        server.config.app.state.service.close()  # type: ignore[union-attr]
