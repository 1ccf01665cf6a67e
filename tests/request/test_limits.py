from __future__ import annotations

from typing import Any

import pytest

from agent.bedrock.errors import InvalidRequestError
from agent.bedrock.request.build import build_request
from tests.request.service import CLAUDE, USER, call, result, tool, turns_of


def image(size: int = 1) -> dict[str, Any]:
    return {"image": {"format": "png", "source": {"bytes": b"x" * size}}}


def document(size: int = 1) -> dict[str, Any]:
    return {"document": {"format": "pdf", "name": "a", "source": {"bytes": b"x" * size}}}


REFUSED: list[tuple[str, list[Any], str]] = [
    ("an image too big", [image(3_932_161)], "an image of 3932161 bytes; the service takes 3932160"),
    ("a document too big", ["see", document(4_718_593)], "an document of 4718593 bytes"),
    ("too many images", [image()] * 21, "more than 20 images in one message"),
    ("too many documents", ["see", *[document()] * 6], "more than 5 documents in one message"),
]


@pytest.mark.parametrize(("why", "content", "said"), REFUSED, ids=[why for why, *_ in REFUSED])
def test_what_is_too_much_is_refused_before_it_travels(why: str, content: list[Any], said: str) -> None:
    with pytest.raises(InvalidRequestError, match=said) as caught:
        build_request(CLAUDE, [USER, {"role": "assistant", "content": "a"}, {"role": "user", "content": content}])
    assert caught.value.message_index == 2


def test_images_inside_tool_results_count() -> None:
    messages = [USER, {"role": "assistant", "tool_calls": [call("a")]}, result("a", [image(3_932_161)])]
    with pytest.raises(InvalidRequestError, match=r"messages\[2\]\.content: an image"):
        build_request(CLAUDE, messages, [tool()])


def test_what_just_fits_is_sent() -> None:
    parts = ["see", image(3_932_160), *[image()] * 19, *[document()] * 5]
    [(_, blocks)] = turns_of(CLAUDE, [{"role": "user", "content": parts}])
    assert len(blocks) == len(parts)


def test_several_messages_of_one_turn_each_have_their_own_bound() -> None:
    [(_, blocks)] = turns_of(CLAUDE, [{"role": "user", "content": [image()] * 15}] * 2)
    assert len(blocks) == 30
