"""What is served where: OpenAI's paths, those of agentic-primitives-gateway, health and metrics.

In come exchanges, out go answers. A body is read here as far as its form differs from a chat completion's; the rest is
the core's and the builder's.
"""

from __future__ import annotations

import asyncio
import json
import logging
import threading
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from ...errors import InvalidRequestError
from ..backends import Backends, ConfiguredBedrock
from ..core import ChatCore, ChatRequest, read_body
from ..models_list import ModelNotListedError
from ..openai_errors import error_answer
from ..sse import json_text
from ..workers import Workers
from .callers import Callers
from .calls import GATEWAY, OPENAI, WITHOUT_TOOL_DELTAS, ChatCalls, Form, unless_gone
from .exchange import ClientGoneError, Exchange, RefusedError
from .health import Health
from .limits import Door, Places
from .metrics import CONTENT_TYPE, Metrics

if TYPE_CHECKING:
    from ..config import ServerSettings

logger = logging.getLogger(__name__)

JSON_HEADERS = {"content-type": "application/json"}

LARGE = 256 * 1024
"""Bytes from which on a body is parsed in a worker, so that no stream waits for it."""

Serve = Callable[[Exchange], Awaitable[None]]

Entries = list[dict[str, Any]]
"""Models in OpenAI's form."""


class Endpoint:
    """One path as an ASGI application: the door, then the service, and an answer to whatever goes wrong."""

    def __init__(self, name: str, serve: Serve, service: Service, *, open_to_all: bool = False) -> None:
        self._name = name
        self._serve = serve
        self._service = service
        self._open = open_to_all

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Serve one request."""
        exchange = Exchange(scope, receive, send, write_seconds=self._service.settings.write_seconds)
        try:
            if not self._open:
                self._service.door.let_in(exchange.headers)
            await self._serve(exchange)
        except ClientGoneError:
            logger.debug("endpoint=%s status=%s | the client is gone", self._name, exchange.status)
        except asyncio.CancelledError:  # nothing is above but the server, which gives up what is left when it stops
            logger.warning("endpoint=%s status=%s | given up, the server stops", self._name, exchange.status)
        except Exception as error:  # noqa: BLE001 - whatever it is, the client is told
            await _answer_error(exchange, error)
        finally:
            self._service.metrics.answered(self._name, exchange.status)


async def _answer_error(exchange: Exchange, error: Exception) -> None:
    if exchange.status is not None:
        logger.warning("error=%s | an answer broke off", type(error).__name__)
    elif isinstance(error, RefusedError):
        headers = {"x-should-retry": "false", **JSON_HEADERS, **error.headers}
        await exchange.answer(error.status, headers, error.body)
    else:
        answer = error_answer(error)
        await exchange.answer(answer.status, answer.headers, answer.body)


class Service:
    """What a server does, path by path."""

    def __init__(self, backends: Backends, settings: ServerSettings, door: Door, metrics: Metrics) -> None:
        self.settings = settings
        self.door = door
        self.metrics = metrics
        self.workers = Workers()
        self._backends = backends
        self._callers = Callers(backends, settings, metrics.on_source)
        self._places = Places(settings.max_concurrency)
        self._calls = ChatCalls(self.workers, settings)
        self._health = Health(backends, settings, self.workers)

    def close(self) -> None:
        """Give up connections and idle threads."""
        self.workers.dismiss()
        self._callers.close()
        self._backends.close()

    # --- OpenAI --------------------------------------------------------------------------------------------------

    async def chat_completions(self, exchange: Exchange) -> None:
        """POST /v1/chat/completions."""
        await self._chat(exchange, OPENAI, read_body)

    async def models(self, exchange: Exchange) -> None:
        """GET /v1/models."""
        await self._list(exchange, lambda listed: {"object": "list", "data": listed})

    async def model(self, exchange: Exchange) -> None:
        """GET /v1/models/{model}."""
        await self._list(exchange, lambda listed: _one_of(listed, exchange.parameters["model"]))

    # --- agentic-primitives-gateway ------------------------------------------------------------------------------

    async def gateway_completions(self, exchange: Exchange) -> None:
        """POST /api/v1/llm/completions."""
        await self._chat(exchange, GATEWAY, lambda body: _gateway_request(body, stream=False))

    async def gateway_stream(self, exchange: Exchange) -> None:
        """POST /api/v1/llm/completions/stream."""
        form = GATEWAY if self.settings.tool_use_deltas else WITHOUT_TOOL_DELTAS
        await self._chat(exchange, form, lambda body: _gateway_request(body, stream=True))

    async def gateway_models(self, exchange: Exchange) -> None:
        """GET /api/v1/llm/models."""
        await self._list(exchange, lambda listed: {"models": [*map(_gateway_model, listed)]})

    # --- the server itself ---------------------------------------------------------------------------------------

    async def healthz(self, exchange: Exchange) -> None:
        """GET /healthz."""
        status, report = await self._health.report()
        await exchange.answer(status, JSON_HEADERS, json_text(report).encode("ascii"))

    async def show_metrics(self, exchange: Exchange) -> None:
        """GET /metrics."""
        await exchange.answer(200, {"content-type": CONTENT_TYPE}, self.metrics.text().encode("utf-8"))

    async def _list(self, exchange: Exchange, tell: Callable[[Entries], Any]) -> None:
        core = self._callers.core(exchange.headers)

        async def answer() -> None:
            data = tell(await self.workers.run(lambda: _listed(core)))
            await exchange.answer(200, JSON_HEADERS, json_text(data).encode("ascii"))

        with self._places.one():
            await unless_gone(exchange, answer(), threading.Event())

    async def _chat(self, exchange: Exchange, form: Form, read: Callable[[Any], ChatRequest]) -> None:
        with self._places.one():
            text = await exchange.body(self.settings.max_body_bytes, self.settings.body_seconds)
            core = self._callers.core(exchange.headers)

            def reading() -> ChatRequest:
                return read(_parsed(text))

            request = await self.workers.run(reading) if len(text) > LARGE else reading()
            await self._calls.serve(exchange, core, request, form)


def _parsed(text: bytes) -> Any:
    try:
        return json.loads(text, parse_constant=_no_number)
    except (ValueError, RecursionError):
        raise InvalidRequestError("the body is not JSON") from None


def _no_number(name: str) -> None:
    """NaN and Infinity, which only Python takes for JSON."""
    raise ValueError(name)


def _gateway_request(body: Any, *, stream: bool) -> ChatRequest:
    """The gateway's request as a chat-completions body: a system prompt apart, and roles that may be left out."""
    if not isinstance(body, Mapping):
        return read_body(body)
    rest = {name: value for name, value in body.items() if name not in ("system", "messages", "metadata", "stream")}
    system, messages = body.get("system"), body.get("messages")
    if not isinstance(messages, list):
        raise InvalidRequestError("is not a list", field="messages")
    said = [{"role": "system", "content": system}] if system else []
    return replace(read_body({**rest, "messages": [*said, *map(_gateway_message, messages)]}), stream=stream)


def _gateway_message(message: Any) -> Any:
    if not isinstance(message, Mapping):
        return message
    results = "tool_results" in message or "tool_result" in message
    return {"role": "user", **message, **({"role": "user"} if results else {})}


def _listed(core: ChatCore) -> Entries:
    """The models of the configuration, then those of the region; the former are enough where the latter are not shown."""
    bedrock = core.bedrock
    names = list(bedrock.backends.configuration.models) if isinstance(bedrock, ConfiguredBedrock) else []
    configured = [{"id": name, "object": "model", "created": 0, "owned_by": "configuration"} for name in names]
    try:
        found = [entry.model_dump() for entry in bedrock.models.list()]
    except Exception as error:
        if not configured:
            raise
        logger.debug("error=%s | the models of the region are not listed", type(error).__name__)
        found = []
    return [*configured, *(entry for entry in found if entry["id"] not in names)]


def _one_of(listed: Entries, wanted: str) -> dict[str, Any]:
    for entry in listed:
        if entry["id"] == wanted:
            return entry
    raise ModelNotListedError(f"The model {wanted!r} is not listed.")


def _gateway_model(entry: Mapping[str, Any]) -> dict[str, Any]:
    sees = ["vision"] if "IMAGE" in entry.get("input_modalities", ()) else []
    return {"name": entry["id"], "provider": "bedrock", "capabilities": ["chat", "tool_use", *sees]}
