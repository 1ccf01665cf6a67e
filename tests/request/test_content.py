from __future__ import annotations

from base64 import b64encode
from typing import Any

import pytest

from agent.bedrock.errors import InvalidRequestError
from agent.bedrock.request.build import build_request
from tests.request.service import CLAUDE, NOVA, NOVA_2, USER, answer, built, call, result, steps_of, tool, turns_of

PNG = b"\x89PNG\r\n\x1a\nrest"
PDF = b"%PDF-1.4"


def data_url(media_type: str, data: bytes) -> str:
    return f"data:{media_type};base64,{b64encode(data).decode()}"


def image(image_format: str, data: bytes) -> dict[str, Any]:
    return {"image": {"format": image_format, "source": {"bytes": data}}}


def document(name: str, document_format: str, data: bytes, **more: Any) -> dict[str, Any]:
    return {"document": {"format": document_format, "name": name, "source": {"bytes": data}, **more}}


# why, model, part, block
PARTS: list[tuple[str, str, Any, Any]] = [
    ("text", CLAUDE, {"type": "text", "text": "t"}, {"text": "t"}),
    ("a plain string", CLAUDE, "t", {"text": "t"}),
    ("Converse's own text", CLAUDE, {"text": "t"}, {"text": "t"}),
    ("the Responses API's text", CLAUDE, {"type": "input_text", "text": "t"}, {"text": "t"}),
    ("an image URL", CLAUDE, {"type": "image_url", "image_url": {"url": data_url("image/png", b"x")}}, image("png", b"x")),
    ("as plain text", CLAUDE, {"type": "image_url", "image_url": data_url("image/png", b"x")}, image("png", b"x")),
    ("jpg is jpeg", CLAUDE, {"type": "image_url", "image_url": data_url("image/jpg", b"x")}, image("jpeg", b"x")),
    ("the bytes know better", CLAUDE, {"type": "image_url", "image_url": data_url("image/jpeg", PNG)}, image("png", PNG)),
    ("input_image", CLAUDE, {"type": "input_image", "image_url": data_url("image/webp", b"x")}, image("webp", b"x")),
    ("line breaks in base64", CLAUDE, {"type": "image_url", "image_url": "data:image/png;base64,aGVs\nbG8"}, image("png", b"hello")),
    ("the URL alphabet", CLAUDE, {"type": "image_url", "image_url": "data:image/png;base64,-_-_"}, image("png", b"\xfb\xff\xbf")),
    ("text in the URL", CLAUDE, {"type": "image_url", "image_url": "data:image/png,a%20b"}, image("png", b"a b")),
    (
        "Anthropic's image",
        CLAUDE,
        {"type": "image", "source": {"type": "base64", "media_type": "image/gif", "data": "eA=="}},
        image("gif", b"x"),
    ),
    ("Converse's image", CLAUDE, image("png", b"x"), image("png", b"x")),
    ("its JSON form", CLAUDE, {"image": {"format": "png", "source": {"bytes": "eA=="}}}, image("png", b"x")),
    (
        "an s3 location",
        NOVA,
        {"type": "image_url", "image_url": {"url": "s3://bucket/a.png"}},
        {"image": {"format": "png", "source": {"s3Location": {"uri": "s3://bucket/a.png", "bucketOwner": "123456789012"}}}},
    ),
    ("a file", CLAUDE, {"type": "file", "file": {"filename": "my report.pdf", "file_data": data_url("application/pdf", PDF)}},
     document("my report", "pdf", PDF)),
    ("a file by its name", CLAUDE, {"type": "file", "file": {"filename": "a.csv", "file_data": "eA=="}},
     document("a", "csv", b"x")),
    ("octet-stream falls back to the name", CLAUDE,
     {"type": "file", "file": {"filename": "a.docx", "file_data": data_url("application/octet-stream", b"PK")}},
     document("a", "docx", b"PK")),
    ("source code is text", CLAUDE, {"type": "file", "file": {"filename": "a.py", "file_data": "eA=="}},
     document("a", "txt", b"x")),
    ("an image in a file", CLAUDE, {"type": "file", "file": {"filename": "a.png", "file_data": "eA=="}}, image("png", b"x")),
    ("a text document with citations", CLAUDE,
     {"type": "document", "title": "T", "context": "c", "citations": {"enabled": True}, "source": {"type": "text", "data": "d"}},
     {"document": {"format": "txt", "name": "T", "source": {"text": "d"}, "context": "c", "citations": {"enabled": True}}}),
    ("a document in pieces", CLAUDE,
     {"type": "document", "title": "T", "source": {"type": "content", "content": [{"type": "text", "text": "d"}]}},
     {"document": {"format": "txt", "name": "T", "source": {"content": [{"text": "d"}]}}}),
    ("video", NOVA, {"type": "video_url", "video_url": {"url": data_url("video/quicktime", b"x")}},
     {"video": {"format": "mov", "source": {"bytes": b"x"}}}),
    ("audio", NOVA_2, {"type": "input_audio", "input_audio": {"data": "eA==", "format": "mp3"}},
     {"audio": {"format": "mp3", "source": {"bytes": b"x"}}}),
    ("a search result", CLAUDE,
     {"type": "search_result", "source": "s", "title": "t", "content": [{"type": "text", "text": "c"}],
      "citations": {"enabled": True}},
     {"searchResult": {"source": "s", "title": "t", "content": [{"text": "c"}], "citations": {"enabled": True}}}),
    ("guarded text", CLAUDE, {"type": "guard_content", "text": "g", "qualifiers": ["query"]},
     {"guardContent": {"text": {"text": "g", "qualifiers": ["query"]}}}),
    ("a guarded image", CLAUDE, {"type": "guard_content", "image_url": {"url": data_url("image/png", b"x")}},
     {"guardContent": image("png", b"x")}),
    ("a half surrogate", CLAUDE, {"type": "text", "text": "a\ud83d"}, {"text": "a\ufffd"}),
    ("a pair in halves is one character", CLAUDE, {"type": "text", "text": "\ud83c\udf88"}, {"text": "🎈"}),
]  # fmt: skip


@pytest.mark.parametrize(("why", "model", "part", "block"), PARTS, ids=[why for why, *_ in PARTS])
def test_a_part_becomes_a_block(why: str, model: str, part: Any, block: Any) -> None:
    messages = [{"role": "user", "content": [{"type": "text", "text": "see"}, part]}]
    assert turns_of(model, messages, bucket_owner="123456789012") == [("user", [{"text": "see"}, block])]


def test_a_fetcher_gets_what_stands_behind_a_url() -> None:
    part = {"type": "image_url", "image_url": {"url": "https://example.com/a?b"}}
    turns = turns_of(CLAUDE, [{"role": "user", "content": [part]}], fetch=lambda url: (PNG + url.encode(), "image/png"))
    assert turns == [("user", [image("png", PNG + b"https://example.com/a?b")])]


def test_a_fetcher_reads_s3_for_a_model_that_does_not() -> None:
    part = {"type": "image_url", "image_url": {"url": "s3://bucket/a.png"}}
    turns = turns_of(CLAUDE, [{"role": "user", "content": [part]}], fetch=lambda url: (PNG, "image/png"))
    assert turns == [("user", [image("png", PNG)])]


def test_an_s3_location_for_a_model_that_reads_none_is_named() -> None:
    part = {"type": "image_url", "image_url": {"url": "s3://bucket/a.png"}}
    request = built(CLAUDE, [{"role": "user", "content": [part]}])
    assert "s3://bucket/a.png" in request.kwargs["messages"][0]["content"][0]["text"]
    assert steps_of(request) == {"name_refused_media"}


def test_media_that_a_model_refuses_is_named_and_reported() -> None:
    part = {"type": "video_url", "video_url": {"url": data_url("video/mp4", b"x")}}
    request = built(CLAUDE, [USER, {"role": "user", "content": [part]}])
    assert "video left out" in request.kwargs["messages"][0]["content"][1]["text"]
    assert [(repair.step, repair.message) for repair in request.repairs] == [("name_refused_media", 1)]


def test_an_image_format_that_converse_does_not_take_is_named_and_reported() -> None:
    part = {"type": "image_url", "image_url": {"url": data_url("image/svg+xml", b"<svg/>")}}
    request = built(CLAUDE, [{"role": "user", "content": [part]}])
    assert "image/svg+xml" in request.kwargs["messages"][0]["content"][0]["text"]
    assert steps_of(request) == {"name_unknown_format"}


def test_undecodable_base64_names_its_message() -> None:
    part = {"type": "image_url", "image_url": {"url": "data:image/png;base64,§§"}}
    with pytest.raises(InvalidRequestError, match=r"messages\[0\]\.content: the data is not valid base64"):
        build_request(CLAUDE, [{"role": "user", "content": [part]}])


def test_the_drop_in_sends_undecodable_base64_with_a_warning(caplog: pytest.LogCaptureFixture) -> None:
    part = {"type": "image_url", "image_url": {"url": "data:image/png;base64,not base64!"}}
    turns = turns_of(CLAUDE, [{"role": "user", "content": [part]}], lenient_images=True)
    assert turns == [("user", [image("png", b"not base64!")])]
    assert "not base64" in caplog.text


@pytest.mark.parametrize(
    ("part", "said"),
    [
        ({"type": "image_url"}, "an image without a URL"),
        ({"type": "file", "file": {"file_id": "file-1"}}, "a file without data"),
        ({"type": "input_audio", "input_audio": {}}, "audio without data"),
        ({"type": "image_url", "image_url": "ftp://x"}, "neither a data URL nor an s3 or http URL"),
        ({"type": "image_url", "image_url": "data:image/png;base64,"}, "the data is empty"),
        ({"a": 1, "b": 2}, "neither OpenAI's nor Converse's"),
        ({"type": "text", "text": "x", "cache_control": {"type": "ephemeral", "ttl": "2h"}}, "neither 5m nor 1h"),
        (
            {"type": "guard_content", "image_url": {"url": data_url("image/gif", b"x")}},
            "guard content is text, or a png",
        ),
        ({"type": "file", "file": {"file_data": 5}}, "the data is a int"),
        ({"image": "photo.png"}, "no image block of Converse's"),
        ({"image": {"format": "png", "source": {}}}, "no image block of Converse's"),
        ({"toolAddition": {}}, "no toolAddition block of Converse's"),
    ],
)
def test_a_part_that_cannot_be_sent_says_why(part: Any, said: str) -> None:
    with pytest.raises(InvalidRequestError, match=said):
        build_request(CLAUDE, [{"role": "user", "content": [part]}])


def test_guard_content_inside_a_tool_result_is_refused() -> None:
    messages = [
        USER,
        {"role": "assistant", "tool_calls": [call("a")]},
        result("a", [{"type": "guard_content", "text": "x"}]),
    ]
    with pytest.raises(InvalidRequestError, match=r"messages\[2\]\.content: guard content"):
        build_request(CLAUDE, messages, [tool()])


# why, content of the tool message, content of the toolResult
RESULTS: list[tuple[str, Any, list[Any]]] = [
    ("text", "t", [{"text": "t"}]),
    ("parts", [{"type": "text", "text": "t"}, "u"], [{"text": "t"}, {"text": "u"}]),
    ("an image", [{"type": "image_url", "image_url": data_url("image/png", b"x")}], [image("png", b"x")]),
    ("an object is JSON", {"a": [1]}, [{"json": {"a": [1]}}]),
    ("a list is text", [1, {"a": 2}], [{"text": '[1, {"a": 2}]'}]),
    ("Converse's JSON that is no object is text", [{"json": [1]}], [{"text": "[1]"}]),
    ("nothing", None, [{"text": "(empty)"}]),
    ("blank parts", [{"type": "text", "text": " "}], [{"text": "(empty)"}]),
    ("a number", 5, [{"text": "5"}]),
    ("NaN stays visible", {"a": float("nan")}, [{"json": {"a": "nan"}}]),
    ("a listing is no list of files", [{"type": "file", "name": "a.py"}], [{"text": '[{"type": "file", "name": "a.py"}]'}]),
    ("an object with an image's name is no image", {"image": "a.png"}, [{"json": {"image": "a.png"}}]),
    ("an object with a document's type is none", {"type": "document", "title": "t"}, [{"json": {"type": "document", "title": "t"}}]),
    ("an object of reasoning's type is data", [{"type": "reasoning", "text": "t"}], [{"text": '[{"type": "reasoning", "text": "t"}]'}]),
    ("an object that is called toolUse is no call", {"toolUse": {"x": 1}}, [{"json": {"toolUse": {"x": 1}}}]),
    ("a search hit without content is data", {"type": "search_result", "url": "u"}, [{"json": {"type": "search_result", "url": "u"}}]),
]  # fmt: skip


@pytest.mark.parametrize(("why", "content", "blocks"), RESULTS, ids=[why for why, *_ in RESULTS])
def test_what_a_tool_returned_becomes_result_content(why: str, content: Any, blocks: list[Any]) -> None:
    messages = [USER, {"role": "assistant", "tool_calls": [call("a")]}, result("a", content)]
    assert turns_of(CLAUDE, messages, [tool()])[2] == ("user", [answer("a", *blocks)])


def test_json_outside_a_tool_result_is_told_as_text() -> None:
    assert turns_of(CLAUDE, [{"role": "user", "content": [{"json": {"a": 1}}]}]) == [("user", [{"text": '{"a": 1}'}])]


def test_reasoning_in_anybody_elses_mouth_is_left_out_and_reported() -> None:
    parts = [{"type": "thinking", "thinking": "why"}, {"type": "text", "text": "t"}]
    request = built(CLAUDE, [{"role": "user", "content": parts}])
    assert request.kwargs["messages"][0]["content"] == [{"text": "t"}]
    assert steps_of(request) == {"drop_misplaced_reasoning"}


def test_lone_surrogates_inside_converses_own_blocks_are_replaced() -> None:
    block = {"searchResult": {"source": "s", "title": "a\ud800", "content": [{"text": "x"}]}}
    request = built(CLAUDE, [{"role": "user", "content": [block]}])
    assert request.kwargs["messages"][0]["content"][0]["searchResult"]["title"] == "a\ufffd"
    assert block["searchResult"]["title"] == "a\ud800"


def test_a_content_block_that_this_version_does_not_know_passes_through() -> None:
    request = build_request(CLAUDE, [{"role": "user", "content": [{"hologram": {"a": 1}}]}])
    assert request.kwargs["messages"][0]["content"] == [{"hologram": {"a": 1}}]


@pytest.mark.parametrize(
    ("message", "step"),
    [
        ({"role": "user", "content": "a\ud800b"}, "replace_lone_surrogates"),
        ({"role": "user", "content": [{"type": "text", "text": "a\udc00"}]}, "replace_lone_surrogates"),
        (
            {
                "role": "assistant",
                "tool_calls": [{"id": "1", "function": {"name": "f", "arguments": {"x": float("nan")}}}],
            },
            "replace_what_json_lacks",
        ),
    ],
)
def test_what_utf8_or_json_cannot_carry_is_replaced_and_reported(message: dict[str, Any], step: str) -> None:
    request = build_request("us.amazon.nova-pro-v1:0", [{"role": "user", "content": "first"}, message])
    assert (step, 1) in [(repair.step, repair.message) for repair in request.repairs]
    with pytest.raises(InvalidRequestError, match=r"messages\[1\]"):
        build_request("us.amazon.nova-pro-v1:0", [{"role": "user", "content": "first"}, message], strict=True)
