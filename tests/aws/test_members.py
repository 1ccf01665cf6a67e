"""Members that an older botocore does not know, tried on the service model with those members taken out."""

from __future__ import annotations

import copy
import logging
from collections.abc import Iterator
from typing import Any

import botocore.loaders
import pytest
from botocore.model import ServiceModel
from botocore.validate import ParamValidator

from agent.bedrock.aws import members
from agent.bedrock.aws.members import NEEDED_VERSIONS, NEVER_LEFT_OUT, known_parameters, missing_members
from agent.bedrock.errors import InvalidRequestError

INSTALLED: dict[str, Any] = botocore.loaders.Loader().load_service_model("bedrock-runtime", "service-2")

IS_NEWEST = not missing_members(ServiceModel(INSTALLED, "bedrock-runtime"))
needs_newest = pytest.mark.skipif(not IS_NEWEST, reason="the installed botocore lacks rows of the table")


def older(*rows: str) -> ServiceModel:
    """The service model as it was before these members came."""
    model = copy.deepcopy(INSTALLED)
    for row in rows:
        shape, member = row.split(".")
        del model["shapes"][shape]["members"][member]
    return ServiceModel(model, "bedrock-runtime")


def request(**more: Any) -> dict[str, Any]:
    return {"modelId": "m", "messages": [{"role": "user", "content": [{"text": "Hi"}]}], **more}


@pytest.fixture(autouse=True)
def _nothing_warned_of_yet() -> Iterator[None]:
    members._warned.clear()
    yield
    members._warned.clear()


@needs_newest
def test_every_row_names_a_member_of_the_newest_botocore() -> None:
    for row in NEEDED_VERSIONS:
        shape, member = row.split(".")
        assert member in INSTALLED["shapes"][shape]["members"], row
    assert NEEDED_VERSIONS.keys() >= NEVER_LEFT_OUT


@needs_newest
def test_a_botocore_that_knows_all_walks_nothing() -> None:
    parameters = request(outputConfig={"effort": "high"})
    assert known_parameters(ServiceModel(INSTALLED, "bedrock-runtime"), "Converse", parameters) is parameters


CACHE_POINT = {"cachePoint": {"type": "default"}}
TEXT = {"text": "Hi"}


@needs_newest
@pytest.mark.parametrize(
    ("rows", "before", "after"),
    [
        (["ConverseRequest.serviceTier"], {"serviceTier": {"type": "flex"}}, {}),
        (["OutputConfig.effort"], {"outputConfig": {"effort": "high"}}, {}),
        (
            ["CachePointBlock.ttl"],
            {"system": [TEXT, {"cachePoint": {"type": "default", "ttl": "1h"}}]},
            {"system": [TEXT, CACHE_POINT]},
        ),
        (["SystemContentBlock.cachePoint"], {"system": [TEXT, CACHE_POINT]}, {"system": [TEXT]}),
        (
            ["ContentBlock.cachePoint"],
            {"messages": [{"role": "user", "content": [TEXT, CACHE_POINT]}]},
            {"messages": [{"role": "user", "content": [TEXT]}]},
        ),
        (
            ["ToolSpecification.strict", "Tool.cachePoint"],
            {
                "toolConfig": {
                    "tools": [{"toolSpec": {"name": "t", "strict": True, "inputSchema": {"json": {}}}}, CACHE_POINT]
                }
            },
            {"toolConfig": {"tools": [{"toolSpec": {"name": "t", "inputSchema": {"json": {}}}}]}},
        ),
        (
            ["ToolResultContentBlock.searchResult"],
            {
                "messages": [
                    {
                        "role": "user",
                        "content": [
                            {
                                "toolResult": {
                                    "toolUseId": "a",
                                    "content": [TEXT, {"searchResult": {"source": "s", "title": "t", "content": []}}],
                                }
                            }
                        ],
                    }
                ]
            },
            {"messages": [{"role": "user", "content": [{"toolResult": {"toolUseId": "a", "content": [TEXT]}}]}]},
        ),
    ],
    ids=["top", "emptied structure", "inside a block", "system", "messages", "tools", "tool result"],
)
def test_what_is_not_known_is_left_out_and_the_rest_stays(
    rows: list[str], before: dict[str, Any], after: dict[str, Any]
) -> None:
    model = older(*rows)
    parameters = request(**before)
    untouched = copy.deepcopy(parameters)
    known = known_parameters(model, "Converse", parameters)
    base = {name: value for name, value in request().items() if name not in before or name in after}
    assert known == {**base, **after}
    assert parameters == untouched
    report = ParamValidator().validate(known, model.operation_model("Converse").input_shape)
    assert not report.has_errors(), report.generate_report()


@needs_newest
def test_one_warning_names_the_version_however_often(caplog: pytest.LogCaptureFixture) -> None:
    model = older("ConverseRequest.serviceTier", "SystemContentBlock.cachePoint")
    with caplog.at_level(logging.WARNING, logger="agent"):
        for _ in range(3):
            known_parameters(model, "Converse", request(serviceTier={"type": "flex"}, system=[TEXT, CACHE_POINT]))
    texts = sorted(record.getMessage() for record in caplog.records)
    assert [text.split(" ")[0] for text in texts] == [
        "member=ConverseRequest.serviceTier",
        "member=SystemContentBlock.cachePoint",
    ]
    assert "botocore 1.40.76 or newer" in texts[0]


@needs_newest
@pytest.mark.parametrize(
    ("row", "parameters", "place"),
    [
        ("ConverseRequest.guardrailConfig", request(guardrailConfig={"guardrailIdentifier": "g"}), "guardrailConfig"),
        ("ConverseRequest.requestMetadata", request(requestMetadata={"team": "a"}), "requestMetadata"),
        (
            "ContentBlock.guardContent",
            {"modelId": "m", "messages": [{"role": "user", "content": [{"guardContent": {"text": {"text": "x"}}}]}]},
            "messages[0].content[0].guardContent",
        ),
        (
            "GuardrailConverseTextBlock.qualifiers",
            request(system=[{"guardContent": {"text": {"text": "x", "qualifiers": ["query"]}}}]),
            "system[0].guardContent.text.qualifiers",
        ),
    ],
)
def test_what_guards_or_accounts_is_never_left_out(row: str, parameters: dict[str, Any], place: str) -> None:
    with pytest.raises(InvalidRequestError) as refused:
        known_parameters(older(row), "Converse", parameters)
    assert str(refused.value).startswith(f"{place}: ")
    assert NEEDED_VERSIONS[row] in str(refused.value)


@needs_newest
@pytest.mark.parametrize(
    ("rows", "parameters", "place"),
    [
        (
            ["ContentBlock.reasoningContent"],
            {
                "modelId": "m",
                "messages": [{"role": "assistant", "content": [{"reasoningContent": {"redactedContent": b"x"}}]}],
            },
            "messages[0].content",
        ),
        (["Tool.systemTool"], request(toolConfig={"tools": [{"systemTool": {"name": "n"}}]}), "toolConfig.tools"),
        (
            ["ImageSource.s3Location"],
            {
                "modelId": "m",
                "messages": [
                    {
                        "role": "user",
                        "content": [{"image": {"format": "png", "source": {"s3Location": {"uri": "s3://b/k"}}}}],
                    }
                ],
            },
            "messages[0].content[0].image.source",
        ),
    ],
)
def test_where_nothing_would_be_left_the_request_is_refused(
    rows: list[str], parameters: dict[str, Any], place: str
) -> None:
    with pytest.raises(InvalidRequestError) as refused:
        known_parameters(older(*rows), "Converse", parameters)
    assert str(refused.value).startswith(f"{place}: ")


@needs_newest
def test_what_no_row_names_is_left_for_botocore_to_refuse() -> None:
    parameters = request(temprature=1, inferenceConfig={"maxTokns": 3})
    assert known_parameters(older("ConverseRequest.serviceTier"), "Converse", parameters) == parameters


@needs_newest
def test_documents_of_the_caller_are_not_searched() -> None:
    tool = {"toolUse": {"toolUseId": "a", "name": "t", "input": {"cachePoint": 1, "serviceTier": [{}]}}}
    parameters = {"modelId": "m", "messages": [{"role": "assistant", "content": [tool]}]}
    model = older("ContentBlock.cachePoint", "ConverseRequest.serviceTier")
    assert known_parameters(model, "Converse", parameters) == parameters


def test_the_installed_botocore_accepts_what_is_left_of_a_request_with_everything_in_it() -> None:
    model = ServiceModel(INSTALLED, "bedrock-runtime")
    parameters = request(
        system=[TEXT, CACHE_POINT],
        toolConfig={"tools": [{"toolSpec": {"name": "t", "strict": True, "inputSchema": {"json": {}}}}, CACHE_POINT]},
        serviceTier={"type": "flex"},
        outputConfig={"effort": "high"},
        performanceConfig={"latency": "optimized"},
    )
    known = known_parameters(model, "Converse", parameters)
    assert (known == parameters) == IS_NEWEST
    report = ParamValidator().validate(known, model.operation_model("Converse").input_shape)
    assert not report.has_errors(), report.generate_report()
