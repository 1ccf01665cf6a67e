"""What must hold for every answer: whole or cut, copied or stored, it says the same."""

from __future__ import annotations

import copy
import json
import pickle
from typing import Any

from hypothesis import given

from agent.bedrock.blocks import from_json
from agent.bedrock.response.accumulator import fold
from agent.bedrock.response.decoder import events_from_response, events_from_stream

from .strategies import answers, cuttings


@given(cuttings())
def test_any_cutting_of_an_answer_folds_to_the_same_completion(
    case: tuple[dict[str, Any], list[dict[str, Any]]],
) -> None:
    answer, stream = case
    assert fold(events_from_stream(stream)) == fold(events_from_response(answer))


@given(answers)
def test_the_sidecar_is_the_answer_itself(answer: dict[str, Any]) -> None:
    message = fold(events_from_response(answer)).message
    stored = json.loads(json.dumps(message.model_dump()))
    assert [from_json(block) for block in stored["bedrock_content_blocks"]] == answer["output"]["message"]["content"]


@given(answers)
def test_folding_leaves_the_answer_untouched(answer: dict[str, Any]) -> None:
    before = copy.deepcopy(answer)
    fold(events_from_response(answer))
    assert answer == before


@given(answers)
def test_completions_survive_copy_deepcopy_and_pickle(answer: dict[str, Any]) -> None:
    completion = fold(events_from_response(answer), completion_id="chatcmpl-1", model="m")
    for twin in (copy.copy(completion), copy.deepcopy(completion), pickle.loads(pickle.dumps(completion))):
        assert twin == completion
        assert type(twin) is type(completion)
        assert twin.choices[0].message.content == completion.choices[0].message.content


@given(answers)
def test_content_is_exactly_the_text_of_the_answer(answer: dict[str, Any]) -> None:
    text = ""
    for block in answer["output"]["message"]["content"]:
        text += block.get("text", "")
        text += "".join(part["text"] for part in block.get("citationsContent", {}).get("content", ()))
    assert (fold(events_from_response(answer)).message.content or "") == text
