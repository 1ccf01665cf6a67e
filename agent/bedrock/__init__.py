"""Run any agent loop that speaks OpenAI chat completions on Amazon Bedrock.

    from agent.bedrock import Bedrock

    completion = Bedrock().complete("us.anthropic.claude-sonnet-4-5-20250929-v1:0", [{"role": "user", "content": "Hi"}])

The map of the house; imports point downwards only:

    ../bedrock_adapter.py   the drop-in face for Hermes Agent; composition root
    faces/                  thin: `Bedrock` and `AsyncBedrock`, callbacks, chunks, the openai SDK's client and transport,
                            the server, the configuration file, the command line (`python -m agent.bedrock`)
    chat.py                 the one road: request -> call -> events -> completion
    request/                OpenAI -> Converse, pure: messages, content, turns, tools, parameters, caching
    aws/                    all that touches AWS: credentials, guarded clients (`guard.py` lists their layers: retries,
                            learned refusals, fallbacks, giving up), fast streams and requests, catalog
    response/               Converse -> OpenAI, pure: frames, events, decoder, accumulator, completion
    models/                 facts: model ids, one table of family profiles
    notes.py, blocks.py     what travels with a call; content blocks as JSON
    carriers.py, recent.py  how reasoning survives a runtime; what is remembered within bounds
    prefixes.py, blobs.py   what came of the beginning of a growing list; base64 that was worked out before
    errors.py, failures.py  our own exceptions; one table from any exception to kind, status and advice
    values.py, patterns.py  classes of values and regular expressions, built when they are first used
    forks.py                what a forked child does not take over
    testing/                a strict loopback Bedrock that real boto3 talks to

Names are loaded when they are first asked for, so that importing the package costs next to nothing.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from .aws.describe import describe_credentials as describe_credentials
    from .chat import ChatStream as ChatStream
    from .errors import BedrockError as BedrockError
    from .errors import Failure as Failure
    from .errors import InvalidRequestError as InvalidRequestError
    from .errors import classify as classify
    from .faces.aio import AsyncBedrock as AsyncBedrock
    from .faces.aio import AsyncChatStream as AsyncChatStream
    from .faces.client import Bedrock as Bedrock
    from .faces.event_dicts import EventDicts as EventDicts
    from .faces.event_dicts import answer_dict as answer_dict
    from .faces.event_dicts import event_dicts_of as event_dicts_of
    from .faces.hooks import CallDetails as CallDetails
    from .faces.sse import sse as sse
    from .faces.transport import async_http_client as async_http_client
    from .faces.transport import http_client as http_client
    from .response.completion import Completion as Completion

_HOMES = {
    "AsyncBedrock": "faces.aio",
    "AsyncChatStream": "faces.aio",
    "Bedrock": "faces.client",
    "BedrockError": "errors",
    "CallDetails": "faces.hooks",
    "ChatStream": "chat",
    "Completion": "response.completion",
    "EventDicts": "faces.event_dicts",
    "Failure": "errors",
    "InvalidRequestError": "errors",
    "answer_dict": "faces.event_dicts",
    "async_http_client": "faces.transport",
    "classify": "errors",
    "describe_credentials": "aws.describe",
    "event_dicts_of": "faces.event_dicts",
    "http_client": "faces.transport",
    "sse": "faces.sse",
}

__all__ = [  # noqa: PLE0604 - the names are strings, as the table says
    *_HOMES,
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f".{_HOMES[name]}", __name__), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOMES})
