"""A seeded generator of hostile histories: any order of roles, any mix of ids, names, blanks, media, huge and empty values.

Every text carries a marker word, so that a test can ask whether anything got lost on the way.
"""

from __future__ import annotations

import json
from base64 import b64encode
from dataclasses import dataclass, field
from random import Random
from types import SimpleNamespace
from typing import Any

PNG = b"\x89PNG\r\n\x1a\n" + bytes(24)
PDF = b"%PDF-1.4 tiny"
NAMES = ("read_file", "my.tool", "my/tool", "my-tool", "", "x" * 80, "täst tool", "read_file")
IDS = ("call_1", "call_1", "functions.f:0", "a|b", "", "y" * 90, "tooluse_abc", "toolu_2")
BLANKS = ("", " ", "\n\t", "\u3000", None)
SIGNED = {"type": "reasoning.text", "text": "why", "signature": "c2ln", "format": "anthropic-claude-v1", "index": 0}

MODELS = (
    "us.anthropic.claude-3-haiku-20240307-v1:0",
    "anthropic.claude-v2",
    "us.anthropic.claude-3-5-haiku-20241022-v1:0",
    "us.anthropic.claude-3-7-sonnet-20250219-v1:0",
    "us.anthropic.claude-sonnet-4-20250514-v1:0",
    "us.anthropic.claude-opus-4-1-20250805-v1:0",
    "us.anthropic.claude-sonnet-4-5-20250929-v1:0",
    "us.anthropic.claude-haiku-4-5-20251001-v1:0",
    "us.anthropic.claude-sonnet-4-6",
    "us.anthropic.claude-opus-4-7",
    "us.anthropic.claude-opus-4-8",
    "us.anthropic.claude-opus-5",
    "us.anthropic.claude-fable-5-1",
    "us.anthropic.claude-sonnet-5-5",
    "us.anthropic.claude-haiku-5-5",
    "us.amazon.nova-micro-v1:0",
    "us.amazon.nova-lite-v1:0",
    "us.amazon.nova-pro-v1:0",
    "us.amazon.nova-premier-v1:0",
    "us.amazon.nova-2-lite-v1:0",
    "amazon.titan-text-express-v1",
    "us.meta.llama3-3-70b-instruct-v1:0",
    "us.meta.llama4-maverick-17b-instruct-v1:0",
    "mistral.mistral-large-2407-v1:0",
    "us.mistral.pixtral-large-2502-v1:0",
    "mistral.mistral-large-3-675b-instruct",
    "mistral.magistral-small-2509",
    "qwen.qwen3-32b-v1:0",
    "qwen.qwen3-coder-480b-a35b-v1:0",
    "us.deepseek.r1-v1:0",
    "deepseek.v3.2",
    "openai.gpt-oss-120b-1:0",
    "openai.gpt-5.6-sol",
    "openai.gpt-6.1-sol",
    "zai.glm-4.7-flash",
    "zai.glm-5.3",
    "moonshotai.kimi-k2.5",
    "xai.grok-4",
    "us.writer.palmyra-x4-v1:0",
    "minimax.minimax-m2",
    "nvidia.nemotron-nano-9b-v2",
    "google.gemma-3-27b-it",
    "cohere.command-r-plus-v1:0",
    "ai21.jamba-1-5-large-v1:0",
    "arn:aws:bedrock:us-east-1:123456789012:application-inference-profile/abc123def456",
)


@dataclass
class Hostile:
    """One generated case; `markers` maps each marker word to the index of its message."""

    model: str
    messages: list[Any]
    tools: list[dict[str, Any]] | None
    options: dict[str, Any]
    markers: dict[str, int] = field(default_factory=dict)


class Generator:
    """Makes cases from a seed; the same seed gives the same case."""

    def __init__(self, seed: int) -> None:
        self.random = Random(seed)
        self.markers: dict[str, int] = {}
        self.index = 0

    def case(self) -> Hostile:
        pick = self.random
        messages = []
        for self.index in range(pick.choice((0, 1, 2, 3, 5, 8, 13))):
            messages.append(self.wrapped(getattr(self, pick.choice(ROLES))()))
        return Hostile(pick.choice(MODELS), messages, self.tools(), self.options(), self.markers)

    def wrapped(self, message: dict[str, Any]) -> Any:
        return SimpleNamespace(**message) if self.random.random() < 0.1 else message

    def word(self) -> str:
        word = f"mark{len(self.markers)}er"
        self.markers[word] = self.index
        return word

    def text(self) -> str:
        kind = self.random.random()
        if kind < 0.03:
            return f"{self.word()} \ud83d lone"
        if kind < 0.06:
            return f"{self.word()} 🎈 ünï\u3000cödé"
        if kind < 0.08:
            return self.word() + " long" * 2000
        return f"  {self.word()} text"

    def maybe_blank(self) -> Any:
        return self.random.choice(BLANKS) if self.random.random() < 0.2 else self.text()

    def parts(self, roles: str = "user") -> list[Any]:
        count = self.random.choice((0, 1, 1, 2, 4))
        return [self.part(roles) for _ in range(count)]

    def part(self, roles: str) -> Any:
        options = [self.text_part, self.blank_part, self.native_text_part, self.text]
        if roles != "assistant" or self.random.random() < 0.1:
            options += [self.image_part, self.file_part, self.document_part]
        if roles == "user":
            options += [self.video_part, self.audio_part, self.search_part, self.marked_part, self.guard_part]
        return self.random.choice(options)()

    def text_part(self) -> Any:
        return {"type": "text", "text": self.text()}

    def marked_part(self) -> Any:
        return {"type": "text", "text": self.text(), "cache_control": {"type": "ephemeral"}}

    def blank_part(self) -> Any:
        return {"type": "text", "text": self.random.choice(BLANKS[:4])}

    def native_text_part(self) -> Any:
        return {"text": self.text()}

    def guard_part(self) -> Any:
        return {"type": "guard_content", "text": self.text()}

    def image_part(self) -> Any:
        kind = self.random.choice(("png", "jpg", "svg+xml"))
        data = PNG if kind == "png" else (b"\xff\xd8\xff" + bytes(9) if kind == "jpg" else b"<svg/>")
        url = f"data:image/{kind};base64,{b64encode(data).decode()}"
        return self.random.choice(
            (
                {"type": "image_url", "image_url": {"url": url}},
                {"type": "image_url", "image_url": url},
                {"image": {"format": "png", "source": {"bytes": PNG}}},
                {"image": {"format": "png", "source": {"s3Location": {"uri": "s3://bucket/a.png"}}}},
            )
        )

    def file_part(self) -> Any:
        name = self.random.choice(("a.pdf", "a.pdf", "b.c\td..txt", "отчёт.md", "data.csv", ""))
        data = PDF if name.endswith("pdf") else b"some,text"
        return {"type": "file", "file": {"filename": name, "file_data": b64encode(data).decode()}}

    def document_part(self) -> Any:
        pdf = {"type": "base64", "media_type": "application/pdf", "data": b64encode(PDF).decode()}
        source = pdf if self.random.random() < 0.5 else {"type": "text", "data": self.text()}
        return {"type": "document", "title": "T.1", "source": source, "citations": {"enabled": True}}

    def video_part(self) -> Any:
        return {"type": "video_url", "video_url": {"url": "data:video/mp4;base64,AAAA"}}

    def audio_part(self) -> Any:
        return {"type": "input_audio", "input_audio": {"data": "AAAA", "format": "wav"}}

    def search_part(self) -> Any:
        return {
            "type": "search_result",
            "source": "s",
            "title": "t",
            "content": [{"type": "text", "text": self.text()}],
        }

    def system(self) -> dict[str, Any]:
        role = self.random.choice(("system", "developer"))
        return {"role": role, "content": self.random.choice((self.maybe_blank, self.parts_of_text))()}

    def parts_of_text(self) -> list[Any]:
        return [self.text_part() for _ in range(self.random.choice((0, 1, 2)))]

    def user(self) -> dict[str, Any]:
        content = self.maybe_blank() if self.random.random() < 0.5 else self.parts()
        return {"role": "user", "content": content}

    def assistant(self) -> dict[str, Any]:
        message: dict[str, Any] = {"role": "assistant"}
        if self.random.random() < 0.8:
            message["content"] = self.maybe_blank() if self.random.random() < 0.7 else self.parts("assistant")
        if self.random.random() < 0.6:
            message["tool_calls"] = [self.call() for _ in range(self.random.choice((1, 1, 2, 3)))]
        if self.random.random() < 0.3:
            message.update(self.random.choice(self.reasonings())())
        return message

    def reasonings(self) -> list[Any]:
        return [
            lambda: {"reasoning_content": "thought"},
            lambda: {"reasoning_details": [SIGNED]},
            lambda: {"reasoning_details": [{"type": "reasoning.encrypted", "data": "AAEC", "index": 0}]},
            lambda: {"thinking_blocks": [{"type": "thinking", "thinking": "t", "signature": "s"}]},
            lambda: {
                "bedrock_content_blocks": [
                    {"reasoningContent": {"reasoningText": {"text": "t", "signature": "s"}}},
                    {"text": "side"},
                ]
            },
            lambda: {"bedrock_content_blocks": [{"reasoningContent": {"redactedContent": "AAEC"}}]},
        ]

    def call(self) -> dict[str, Any]:
        word = self.word()
        arguments = self.random.choice(
            (
                json.dumps({"x": word}),
                f'{{"x": "{word}',
                f'["{word}"]',
                f'"{word}"',
                {"x": word, "n": float("nan")},
                json.dumps({"x": word, "y": "\ud800"}),
                f'{{"x": "{word}", "n": NaN, "m": 1e999}}',
            )
        )
        return {
            "id": self.random.choice(IDS),
            "type": "function",
            "function": {"name": self.random.choice(NAMES), "arguments": arguments},
        }

    def tool(self) -> dict[str, Any]:
        content = self.random.choice(
            (self.maybe_blank, lambda: self.parts("tool"), lambda: {"answer": self.text()}, lambda: [1, self.word()])
        )()
        message = {"role": "tool", "tool_call_id": self.random.choice(IDS), "content": content}
        if self.random.random() < 0.2:
            message["is_error"] = True
        if self.random.random() < 0.1:
            del message["tool_call_id"]
        return message

    def tools(self) -> list[dict[str, Any]] | None:
        if self.random.random() < 0.35:
            return self.random.choice((None, []))
        return [
            {
                "type": "function",
                "function": {
                    "name": name,
                    "description": self.random.choice(("", "does it")),
                    "parameters": self.random.choice(
                        (None, {}, {"type": "object", "properties": {"x": {"type": "string"}}})
                    ),
                    "strict": self.random.choice((True, False, None)),
                },
            }
            for name in sorted({name for name in NAMES if name})
        ]

    def options(self) -> dict[str, Any]:
        pick = self.random
        options: dict[str, Any] = {}
        choices: dict[str, tuple[Any, ...]] = {
            "max_tokens": (1, 4096, 200_000),
            "temperature": (0, 0.5, 1.7),
            "top_p": (0.1, 1),
            "top_k": (5,),
            "stop": ("END", ["a", ""]),
            "tool_choice": ("auto", "required", "none", "read_file"),
            "reasoning_effort": ("none", "minimal", "low", "high", "max"),
            "thinking": ({"type": "enabled", "budget_tokens": 2000}, {"type": "adaptive"}, {"type": "disabled"}),
            "prompt_caching": (True, False, "drop-in"),
            "cache_ttl": ("5m", "1h"),
            "prefill": (True,),
            "guard_last_turn": (True,),
            "response_format": (
                {"type": "json_object"},
                {
                    "type": "json_schema",
                    "json_schema": {
                        "name": "P",
                        "strict": True,
                        "schema": {
                            "type": "object",
                            "properties": {"a": {"type": "integer", "minimum": 1}},
                            "required": ["a"],
                        },
                    },
                },
            ),
            "user": ("me", "wëird"),
            "service_tier": ("auto", "flex"),
        }
        for name, values in choices.items():
            if pick.random() < 0.2:
                options[name] = pick.choice(values)
        if options.get("tool_choice") == "read_file":
            options["tool_choice"] = {"type": "function", "function": {"name": "read_file"}}
        return options


ROLES = ("system", "user", "user", "assistant", "assistant", "assistant", "tool", "tool", "tool")


def hostile(seed: int) -> Hostile:
    """The case of a seed."""
    return Generator(seed).case()
