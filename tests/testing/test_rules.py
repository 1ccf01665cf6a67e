"""What the service refuses, a row per refusal: the rule, the model, the request, the exact words.

Requests are judged without a network here; one of them goes over the wire at the end. What must not be refused stands in
a table of its own: a judge that refuses everything would pass the first.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest
from botocore.exceptions import ClientError
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.bedrock.testing import FakeBedrock, Refusal
from agent.bedrock.testing.rules import (
    RULES,
    caching,
    conversation,
    judge,
    judge_model,
    media,
    parameters,
    reasoning,
    tools,
)
from agent.bedrock.testing.rules.case import case_of
from agent.bedrock.testing.rules.families import FAMILIES, bare_id, family_of
from agent.bedrock.testing.shapes import judge_shape

from .conftest import MODEL_IS_NEW, client_of

OPUS_55 = "us.anthropic.claude-opus-5-5"
SONNET_55 = "global.anthropic.claude-sonnet-5-5"
HAIKU_55 = "us.anthropic.claude-haiku-5-5"
FABLE_5 = "us.anthropic.claude-fable-5"
OPUS_5 = "us.anthropic.claude-opus-5"
SONNET_5 = "eu.anthropic.claude-sonnet-5"
OPUS_48 = "us.anthropic.claude-opus-4-8"
OPUS_47 = "anthropic.claude-opus-4-7"
SONNET_46 = "us.anthropic.claude-sonnet-4-6"
SONNET_45 = "us.anthropic.claude-sonnet-4-5-20250929-v1:0"
HAIKU_45 = "us.anthropic.claude-haiku-4-5-20251001-v1:0"
SONNET_4 = "us.anthropic.claude-sonnet-4-20250514-v1:0"
SONNET_37 = "us.anthropic.claude-3-7-sonnet-20250219-v1:0"
HAIKU_35 = "us.anthropic.claude-3-5-haiku-20241022-v1:0"
SONNET_35 = "anthropic.claude-3-5-sonnet-20240620-v1:0"
NOVA = "us.amazon.nova-lite-v1:0"
NOVA_2 = "us.amazon.nova-2-lite-v1:0"
NOVA_MICRO = "amazon.nova-micro-v1:0"
TITAN = "amazon.titan-text-express-v1"
LLAMA = "us.meta.llama3-3-70b-instruct-v1:0"
LLAMA_4 = "us.meta.llama4-maverick-17b-instruct-v1:0"
PIXTRAL = "us.mistral.pixtral-large-2502-v1:0"
PALMYRA = "us.writer.palmyra-x4-v1:0"
R1 = "us.deepseek.r1-v1:0"
DEEPSEEK_31 = "deepseek.v3-v1:0"
GPT_OSS = "openai.gpt-oss-120b-1:0"
GPT_56 = "us.openai.gpt-5.6-luna"
GROK = "global.xai.grok-4.6"
QWEN = "qwen.qwen3-32b-v1:0"
QWEN_VL = "qwen.qwen3-vl-235b-a22b"
KIMI = "moonshot.kimi-k2-thinking"
MINIMAX = "minimax.minimax-m2"
GEMMA = "google.gemma-3-12b-it"
COHERE = "cohere.command-r-plus-v1:0"
PROMPT = "arn:aws:bedrock:us-east-1:123456789012:prompt/ABCDEFGHIJ:1"
HIDDEN = "arn:aws:bedrock:us-east-1:123456789012:application-inference-profile/abcdef123456"

BYTES = {"bytes": "AAAA"}
S3 = {"s3Location": {"uri": "s3://bucket/key"}}
POINT = {"cachePoint": {"type": "default"}}
LONG = {"cachePoint": {"type": "default", "ttl": "1h"}}
SIGNED = {"reasoningContent": {"reasoningText": {"text": "Hm.", "signature": "c2ln"}}}
UNSIGNED = {"reasoningContent": {"reasoningText": {"text": "Hm."}}}
REDACTED = {"reasoningContent": {"redactedContent": "AAAA"}}
THINK = {"thinking": {"type": "enabled", "budget_tokens": 1024}}
OBJECT = {"type": "object", "properties": {"a": {"type": "string"}}, "required": ["a"], "additionalProperties": False}

Body = dict[str, Any]


def text(said: str = "Hello") -> Body:
    return {"text": said}


def image(source: Body = BYTES) -> Body:
    return {"image": {"format": "png", "source": source}}


def document(kind: str = "pdf", name: str = "report", source: Body = BYTES, **members: Any) -> Body:
    return {"document": {"format": kind, "name": name, "source": source, **members}}


def video(source: Body = BYTES) -> Body:
    return {"video": {"format": "mp4", "source": source}}


def call(id: str = "t1", name: str = "look", **members: Any) -> Body:  # noqa: A002 - the service's own name
    return {"toolUse": {"toolUseId": id, "name": name, "input": {}, **members}}


def result(id: str = "t1", *content: Body, **members: Any) -> Body:  # noqa: A002 - the service's own name
    return {"toolResult": {"toolUseId": id, "content": list(content), **members}}


def user(*blocks: Body) -> Body:
    return {"role": "user", "content": list(blocks or (text(),))}


def assistant(*blocks: Body) -> Body:
    return {"role": "assistant", "content": list(blocks or (text(),))}


def spec(name: str = "look", schema: Any = None, **members: Any) -> Body:
    return {"toolSpec": {"name": name, "inputSchema": {"json": schema or {"type": "object"}}, **members}}


def talk(*messages: Body, **members: Any) -> Body:
    return {"messages": list(messages or (user(),)), **members}


def tooled(*messages: Body, **members: Any) -> Body:
    """A conversation with a tool to call."""
    return talk(*messages, toolConfig={"tools": [spec()]}, **members)


def answered(*blocks: Body, first: Sequence[Body] = (), **members: Any) -> Body:
    """A call and the user turn that answers it."""
    return tooled(user(), assistant(*first, call()), user(*blocks), **members)


def chosen(choice: Body, *more: Body, **members: Any) -> Body:
    return talk(toolConfig={"tools": [spec(), *more], "toolChoice": choice}, **members)


def extra(**fields: Any) -> Body:
    return talk(additionalModelRequestFields=fields)


def infer(**members: Any) -> Body:
    return talk(inferenceConfig=members)


def schema(text: str) -> Body:
    structure = {"jsonSchema": {"schema": text, "name": "answer"}}
    return {"outputConfig": {"textFormat": {"type": "json_schema", "structure": structure}}}


def model_said(error: str) -> str:
    return f"The model returned the following errors: {error}"


def no_field(name: str) -> str:
    return f"This model doesn't support the {name} field. Remove {name} and try again."


def no_block(kind: str) -> str:
    return f"This model doesn't support the {kind} content block that you provided. Update the content block and try again."


START = "A conversation must start with a user message. Try again with a conversation that starts with a user message."
PREFILL = model_said(
    "This model does not support assistant message prefill. The conversation must end with a user message."
)
BLANK = "The text field in the ContentBlock object at messages.{}.content.{} is blank. Add text to the text field, and try again."
NAME = (
    "The document file name can only contain alphanumeric characters, whitespace characters, hyphens, parentheses, and "
    "square brackets. The name can't contain more than one consecutive whitespace character. Check that the file name "
    "conforms to these restrictions and retry your request."
)
FROM_USER = "User messages cannot contain reasoning content. Please remove the reasoning content and try again."
UNCACHED = "You invoked an unsupported model or your request did not allow prompt caching."
DISOWNED = model_said(
    "Malformed input request: #/messages/2/content/0: extraneous key [toolResult] is not permitted, "
    "please reformat your input and try again."
)
CALLS_ALONE = model_said(
    "messages.1: `tool_use` ids were found without `tool_result` blocks immediately after: t1. "
    "Each `tool_use` block must have a corresponding `tool_result` block in the next message."
)
NOT_ALONE = "messages.2.content: Conversation blocks and tool result blocks cannot be provided in the same turn."


@dataclass(frozen=True)
class Row:
    """A request that is refused, the rule that refuses it, and what the service says."""

    rule: Any
    model: str
    body: Body
    said: str
    code: str = "ValidationException"
    operation: str = field(default="converse", kw_only=True)


REFUSED: Sequence[Row] = [
    # --- conversation ---------------------------------------------------------------------------------------------
    Row(conversation.no_messages, NOVA, {"messages": []}, START),
    Row(conversation.no_messages, SONNET_45, {}, START),
    Row(
        conversation.empty_content,
        NOVA,
        talk(user(), {"role": "assistant", "content": []}, user()),
        "The content field in the Message object at messages.1 is empty. "
        "Add a ContentBlock object to the content field and try again.",
    ),
    Row(conversation.blank_text, NOVA, talk(user(text(""))), BLANK.format(0, 0)),
    Row(conversation.blank_text, SONNET_45, talk(user(text("a"), text(" \n"))), BLANK.format(0, 1)),
    Row(conversation.blank_text, SONNET_45, talk(user(image(), text(""))), BLANK.format(0, 1)),
    Row(conversation.blank_text, HIDDEN, talk(user(), assistant(text(" ")), user()), BLANK.format(1, 0)),
    Row(
        conversation.blank_system,
        NOVA,
        talk(system=[text("a"), text(" ")]),
        "The text field in the SystemContentBlock object at system.1 is blank. Add text to the text field, and try again.",
    ),
    Row(
        conversation.system_role,
        SONNET_46,
        talk(user(), {"role": "system", "content": [text()]}),
        model_said('messages.1: Unexpected role "system". The Messages API accepts a top-level `system` parameter.'),
    ),
    Row(
        conversation.system_role,
        OPUS_48,
        talk({"role": "system", "content": [text()]}, user()),
        model_said('messages.0: Unexpected role "system". The Messages API accepts a top-level `system` parameter.'),
    ),
    *[
        Row(conversation.user_first, model, talk(assistant(), user()), START)
        for model in (NOVA, LLAMA, PIXTRAL, COHERE, PALMYRA, R1, GPT_OSS, GPT_56, GROK, GEMMA, MINIMAX)
    ],
    Row(
        conversation.wrong_side,
        NOVA,
        tooled(user(call())),
        "The toolUse block at messages.0.content.0 is not allowed in a message with the role user.",
    ),
    Row(
        conversation.wrong_side,
        NOVA,
        tooled(user(), assistant(call(), result("t1", text())), user(result("t1", text()))),
        "The toolResult block at messages.1.content.1 is not allowed in a message with the role assistant.",
    ),
    *[
        Row(
            conversation.tool_config_missing,
            model,
            talk(user(), assistant(call()), user(result("t1", text()))),
            "The toolConfig field must be defined when using toolUse and toolResult content blocks.",
        )
        for model in (NOVA, SONNET_45, LLAMA, HIDDEN)
    ],
    Row(
        conversation.duplicate_calls,
        NOVA,
        tooled(user(), assistant(call(), call()), user(result("t1", text()))),
        "The toolUse blocks at messages.1.content contain duplicate Ids: t1",
    ),
    Row(
        conversation.duplicate_results,
        NOVA,
        answered(result("t1", text()), result("t1", text())),
        "The toolResult blocks at messages.2.content contain duplicate Ids: t1",
    ),
    Row(
        conversation.duplicate_results,
        NOVA,
        tooled(user(), assistant(call()), user(result("t1", text())), user(result("t1", text()))),
        "The toolResult blocks at messages.2.content contain duplicate Ids: t1",
    ),
    Row(
        conversation.surplus_results,
        NOVA,
        answered(result("t1", text()), result("t2", text())),
        "The number of toolResult blocks at messages.2.content exceeds the number of toolUse blocks of previous turn.",
    ),
    Row(
        conversation.surplus_results,
        SONNET_45,
        tooled(user(result("t1", text()))),
        "The number of toolResult blocks at messages.0.content exceeds the number of toolUse blocks of previous turn.",
    ),
    Row(
        conversation.unanswered_calls,
        NOVA,
        tooled(user(), assistant(call("a"), call("b")), user(result("a", text()))),
        "Expected toolResult blocks at messages.2.content for the following Ids: b",
    ),
    Row(
        conversation.unanswered_calls,
        SONNET_45,
        tooled(user(), assistant(call("a"), call("b")), user(text())),
        "Expected toolResult blocks at messages.2.content for the following Ids: a, b",
    ),
    Row(
        conversation.unanswered_calls,
        NOVA,
        answered(result("other", text())),
        "Expected toolResult blocks at messages.2.content for the following Ids: t1",
    ),
    Row(
        conversation.empty_error_result,
        SONNET_45,
        answered(result(status="error")),
        "The content field at messages.2.content.0.toolResult cannot be empty when status value is error.",
    ),
    *[
        Row(conversation.results_alone, model, answered(result("t1", text()), text()), NOT_ALONE)
        for model in (LLAMA, LLAMA_4, PIXTRAL, PALMYRA)
    ],
    Row(
        conversation.results_alone,
        LLAMA,
        tooled(user(), assistant(call()), user(result("t1", text())), user(text())),
        NOT_ALONE,
    ),
    *[
        Row(conversation.prefill, model, talk(user(), assistant()), PREFILL)
        for model in (SONNET_46, OPUS_47, OPUS_48, SONNET_5, FABLE_5, OPUS_55, "us.anthropic.claude-sonnet-7")
    ],
    Row(conversation.prefill, SONNET_5, talk(user(), assistant(REDACTED), user()), PREFILL),
    Row(
        conversation.trailing_space_in_prefill,
        SONNET_45,
        talk(user(), assistant(text("The answer is "))),
        model_said("messages: final assistant content cannot end with trailing whitespace"),
    ),
    Row(conversation.last_calls_unanswered, SONNET_45, tooled(user(), assistant(call())), CALLS_ALONE),
    Row(conversation.results_first, SONNET_45, answered(text(), result("t1", text())), CALLS_ALONE),
    Row(conversation.results_first, SONNET_45, answered(result("t1", text()), text(), document("txt")), CALLS_ALONE),
    Row(
        conversation.foreign_ids,
        SONNET_45,
        tooled(user(), assistant(call("functions.look:0")), user(result("functions.look:0", text()))),
        model_said("messages.1.content.0.tool_use.id: String should match pattern '^[a-zA-Z0-9_-]+$'"),
    ),
    Row(
        conversation.empty_result,
        NOVA,
        answered(result()),
        model_said(
            "Malformed input request: #/messages/2/content/0/toolResult/content: expected minimum item count: 1, found: 0, "
            "please reformat your input and try again."
        ),
    ),
    # --- media ------------------------------------------------------------------------------------------------------
    Row(
        media.media_from_assistant,
        SONNET_45,
        talk(user(), assistant(image()), user()),
        "The image block at messages.1.content.0 is only allowed in a message with the role user.",
    ),
    Row(
        media.document_without_text, NOVA, talk(user(document())), "A text block must be included when using documents."
    ),
    *[
        Row(media.document_names, model, talk(user(text(), document(name=name))), NAME)
        for model in (NOVA, SONNET_45)
        for name in (
            "report.pdf",
            "a  b",
            "a\tb",
            "r\N{LATIN SMALL LETTER E WITH ACUTE}sum",
            "John's",
            "a\u3000b",
            "a/b",
        )
    ],
    Row(
        media.duplicate_document_names,
        NOVA,
        talk(user(text(), document()), assistant(), user(text(), document("csv"))),
        "Messages can't contain duplicate document names.",
    ),
    *[
        Row(media.video, model, talk(user(text(), video())), no_block("video"))
        for model in (SONNET_45, LLAMA_4, PIXTRAL, QWEN_VL, KIMI, NOVA_MICRO)
    ],
    Row(media.video, SONNET_45, answered(result("t1", video(S3))), no_block("video")),
    *[
        Row(media.image, model, talk(user(text(), image())), no_block("image"))
        for model in (NOVA_MICRO, LLAMA, HAIKU_35, R1, GPT_OSS, QWEN, COHERE)
    ],
    Row(media.document, NOVA_MICRO, talk(user(text(), document())), no_block("document")),
    Row(media.s3_image, SONNET_45, talk(user(text(), image(S3))), no_field("s3Uri")),
    Row(media.s3_image, SONNET_45, answered(result("t1", image(S3))), no_field("s3Uri")),
    Row(media.s3_image, LLAMA_4, talk(user(text(), document(source=S3))), no_field("s3Uri")),
    Row(
        media.s3_document_for_claude,
        SONNET_45,
        talk(user(text(), document(source=S3))),
        model_said("messages.0.content.1.document.source.type: Field required"),
    ),
    Row(media.media_in_nova_results, NOVA_2, answered(result("t1", document())), DISOWNED),
    Row(media.media_in_nova_results, NOVA, answered(result("t1", video())), DISOWNED),
    Row(media.media_in_results, PIXTRAL, answered(result("t1", image())), no_field("toolResult.content.image")),
    Row(media.media_in_results, QWEN_VL, answered(result("t1", image())), no_field("toolResult.content.image")),
    Row(media.media_in_results, KIMI, answered(result("t1", document())), no_field("toolResult.content.document")),
    Row(
        media.image_size,
        SONNET_45,
        talk(user(text(), image({"bytes": "A" * 5242884}))),
        model_said(
            "messages.0.content.1.image.source.base64: image exceeds 5 MB maximum: 5242884 bytes > 5242880 bytes"
        ),
    ),
    Row(
        media.citations_with_structured_output,
        SONNET_45,
        talk(
            user(text(), document(citations={"enabled": True})),
            **schema('{"type":"object","additionalProperties":false}'),
        ),
        model_said("Citations cannot be enabled when output format is set"),
    ),
    # --- tools ------------------------------------------------------------------------------------------------------
    Row(
        tools.schema_is_no_object,
        NOVA,
        talk(toolConfig={"tools": [spec(), spec("b", "nonsense")]}),
        "The format of the value at toolConfig.tools.1.toolSpec.inputSchema.json is invalid. "
        "Provide a json object for the field and try again.",
    ),
    Row(
        tools.schema_has_no_object_type,
        SONNET_45,
        talk(toolConfig={"tools": [spec(schema={"properties": {}})]}),
        "The value at toolConfig.tools.0.toolSpec.inputSchema.json.type must be one of the following: object.",
    ),
    Row(
        tools.input_is_no_object,
        SONNET_45,
        tooled(user(), assistant(call(input="raw")), user(result("t1", text()))),
        "The format of the value at messages.1.content.0.toolUse.input is invalid. "
        "Provide a json object for the field and try again.",
    ),
    Row(
        tools.result_json_is_no_object,
        NOVA,
        answered(result("t1", text(), {"json": [1, 2]})),
        "The format of the value at messages.2.content.0.toolResult.content.1.json is invalid. "
        "Provide a json object for the field and try again.",
    ),
    Row(tools.no_tools, R1, tooled(), "This model doesn't support tool use."),
    Row(tools.no_tools, TITAN, tooled(), "This model doesn't support tool use."),
    *[
        Row(tools.choice, model, chosen({choice: members}), no_field(f"toolConfig.toolChoice.{choice}"))
        for model in (LLAMA, LLAMA_4, PALMYRA, GPT_OSS, GEMMA)
        for choice, members in (("any", {}), ("tool", {"name": "look"}))
    ],
    *[
        Row(
            tools.choice,
            model,
            chosen(choice),
            model_said('tool_choice: type "tool" and "any" are not supported for this model.'),
        )
        for model in (OPUS_55, SONNET_55)
        for choice in ({"any": {}}, {"tool": {"name": "look"}})
    ],
    Row(tools.status, PALMYRA, answered(result("t1", text(), status="success")), no_field("status")),
    *[
        Row(tools.structured_output, model, talk(**schema(OBJECT_TEXT)), no_field("outputConfig"))
        for OBJECT_TEXT in ('{"type":"object","additionalProperties":false}',)
        for model in (NOVA, LLAMA, GPT_OSS, GROK, PALMYRA)
    ],
    *[
        Row(
            tools.structured_output,
            model,
            talk(**schema('{"type":"object"}')),
            model_said("output_config.format: Extra inputs are not permitted"),
        )
        for model in (FABLE_5, SONNET_37)
    ],
    Row(tools.duplicate_names, NOVA, chosen({"auto": {}}, spec()), model_said("tools: Tool names must be unique.")),
    Row(
        tools.unknown_choice,
        SONNET_45,
        chosen({"tool": {"name": "gone"}}),
        model_said("Tool 'gone' not found in provided tools"),
    ),
    Row(
        tools.forced_while_thinking,
        SONNET_37,
        chosen({"any": {}}, additionalModelRequestFields=THINK),
        model_said("Thinking may not be enabled when tool_choice forces tool use."),
    ),
    Row(
        tools.strict_unsupported,
        SONNET_4,
        talk(toolConfig={"tools": [spec(schema=OBJECT, strict=True)]}),
        model_said("tools.0.custom.strict: Extra inputs are not permitted"),
    ),
    Row(
        tools.too_many_strict,
        SONNET_45,
        talk(toolConfig={"tools": [spec(f"t{n}", OBJECT, strict=True) for n in range(21)]}),
        model_said("tools: at most 20 strict tools are supported, found 21"),
    ),
    Row(
        tools.strict_schema,
        HAIKU_45,
        talk(toolConfig={"tools": [spec(), spec("b", {"type": "object"}, strict=True)]}),
        model_said("tools.1.custom: For 'object' type, 'additionalProperties' must be explicitly set to false"),
    ),
    Row(
        tools.strict_schema,
        OPUS_55,
        talk(
            toolConfig={
                "tools": [
                    spec(
                        schema={
                            **OBJECT,
                            "properties": {"a": {"anyOf": [{"type": "integer", "minimum": 1, "maximum": 9}]}},
                        },
                        strict=True,
                    )
                ]
            }
        ),
        model_said("tools.0.custom: For 'integer' type, properties maximum, minimum are not supported"),
    ),
    Row(
        tools.output_schema,
        SONNET_45,
        talk(**schema('{"type":"array","maxItems":3}')),
        model_said("output_config.format.schema: For 'array' type, properties maxItems are not supported"),
    ),
    Row(
        tools.output_schema,
        QWEN,
        talk(**schema("no json")),
        "The format of the value at outputConfig.textFormat.structure.jsonSchema.schema is invalid. "
        "Provide a json object for the field and try again.",
    ),
    *[
        Row(
            tools.hyphens,
            model,
            talk(toolConfig={"tools": [spec("read-file")]}),
            "Model produced invalid sequence as part of ToolUse. Please refer to the model tool use troubleshooting guide.",
            "ModelErrorException",
        )
        for model in (NOVA, NOVA_2, NOVA_MICRO)
    ],
    # --- caching ------------------------------------------------------------------------------------------------------
    *[
        Row(caching.unsupported, model, talk(system=[text(), POINT]), UNCACHED, "AccessDeniedException")
        for model in (LLAMA, PIXTRAL, QWEN, R1, GPT_OSS, "nvidia.nemotron-super-3-120b", SONNET_35, MINIMAX)
    ],
    Row(
        caching.tools_for_nova,
        NOVA,
        talk(toolConfig={"tools": [spec(), POINT]}),
        model_said(
            "Malformed input request: #/toolConfig/tools/1: extraneous key [cachePoint] is not permitted, "
            "please reformat your input and try again."
        ),
    ),
    *[
        Row(caching.nothing_before, SONNET_45, body, model_said("There is nothing available to cache."))
        for body in (
            talk(user(POINT, text())),
            talk(user(), assistant(), user(POINT, text())),
            talk(system=[POINT, text()]),
            talk(toolConfig={"tools": [POINT, spec()]}),
        )
    ],
    Row(
        caching.after_reasoning,
        SONNET_45,
        talk(user(), assistant(SIGNED, POINT, text()), user()),
        "Cache point cannot be inserted after reasoning block.",
    ),
    Row(
        caching.after_document,
        SONNET_45,
        talk(user(text(), document("txt"), POINT)),
        model_said("messages.0.content.2.type: Field required"),
    ),
    Row(
        caching.after_document,
        NOVA,
        talk(user(text(), video(), POINT)),
        model_said("messages.0.content.2.type: Field required"),
    ),
    Row(
        caching.too_many,
        SONNET_45,
        talk(
            user(text(), POINT, text(), POINT),
            assistant(text(), POINT),
            user(),
            system=[text(), POINT],
            toolConfig={"tools": [spec(), POINT]},
        ),
        model_said("A maximum of 4 blocks with cache_control may be provided. Found 5."),
    ),
    Row(
        caching.long_unsupported,
        NOVA,
        talk(system=[text(), LONG]),
        "Extended TTL prompt caching is only supported for Anthropic models",
    ),
    Row(
        caching.long_unsupported,
        SONNET_37,
        talk(user(text(), LONG)),
        model_said("messages.0.content.1.cache_control.ttl: Extra inputs are not permitted"),
    ),
    Row(
        caching.long_after_short,
        SONNET_45,
        talk(user(text(), LONG), system=[text(), POINT]),
        model_said(
            "messages.0.content.1.cache_control.ttl: a ttl='1h' cache_control block must not come after a ttl='5m' "
            "cache_control block. Note that blocks are processed in the following order: `tools`, `system`, `messages`."
        ),
    ),
    # --- parameters -----------------------------------------------------------------------------------------------------
    Row(
        parameters.stored_prompt,
        PROMPT,
        {"messages": [user()], "system": [text()]},
        "The system field can't be specified when the modelId is a prompt resource. Remove system and try again.",
    ),
    Row(
        parameters.stored_prompt,
        NOVA,
        talk(promptVariables={"a": {"text": "b"}}),
        "The promptVariables field can only be specified when the modelId is a prompt resource.",
    ),
    Row(
        parameters.system_prompt,
        TITAN,
        talk(system=[text()]),
        "This model doesn't support system messages. Try again without a system message "
        "or use a model that supports system messages.",
    ),
    Row(
        parameters.guardrail,
        NOVA,
        talk(guardrailConfig={"guardrailIdentifier": "abc123"}),
        "guardrailIdentifier and guardrailVersion are both required when guardrailConfig is provided.",
    ),
    Row(
        parameters.guard_content,
        NOVA,
        talk(user({"guardContent": {"text": {"text": " "}}})),
        "The text field in the GuardrailConverseContentBlock object at messages.0.content.0.guardContent is blank. "
        "Add text to the text field, and try again.",
    ),
    *[
        Row(
            parameters.max_tokens,
            model,
            infer(maxTokens=limit + 1),
            f"The maximum tokens you requested exceeds the model limit of {limit}. "
            f"Try again with a maximum tokens value that is lower than {limit}.",
        )
        for model, limit in ((SONNET_46, 128_000), (OPUS_55, 128_000), (HAIKU_45, 64_000), (HAIKU_35, 8_192))
    ],
    *[
        Row(parameters.no_sampling_field, model, infer(**{name: 1.0}), no_field(name))
        for model in (GPT_56, GROK)
        for name in ("temperature", "topP")
    ],
    *[
        Row(parameters.stop_sequences, model, infer(stopSequences=["END"]), no_field("stopSequences"))
        for model in (QWEN, QWEN_VL, DEEPSEEK_31)
    ],
    *[
        Row(
            parameters.temperature_and_top_p,
            model,
            infer(temperature=0.5, topP=0.9),
            model_said("`temperature` and `top_p` cannot both be specified for this model. Please use only one."),
        )
        for model in (SONNET_45, HAIKU_45, SONNET_46, "us.anthropic.claude-opus-4-1-20250805-v1:0")
    ],
    *[
        Row(parameters.sampling_deprecated, model, body, model_said(f"`{name}` is deprecated for this model."))
        for model in (OPUS_47, OPUS_48, SONNET_5, FABLE_5, HAIKU_55)
        for name, body in (
            ("temperature", infer(temperature=1.0)),
            ("top_p", infer(topP=0.9)),
            ("top_k", extra(top_k=5)),
        )
    ],
    Row(
        parameters.blank_stop_sequence,
        SONNET_45,
        infer(stopSequences=["\n"]),
        model_said("stop_sequences: each stop sequence must contain non-whitespace"),
    ),
    Row(
        parameters.foreign_field,
        SONNET_45,
        extra(reasoning_effort="high"),
        model_said("reasoning_effort: Extra inputs are not permitted"),
    ),
    *[
        Row(
            parameters.foreign_field,
            NOVA_2,
            extra(**{name: value}),
            model_said(
                f"Malformed input request: #: extraneous key [{name}] is not permitted, "
                "please reformat your input and try again."
            ),
        )
        for name, value in (("top_k", 5), ("thinking", {"type": "adaptive"}))
    ],
    Row(
        parameters.foreign_field,
        LLAMA,
        extra(top_k=5),
        model_said(
            "Malformed input request: extraneous key [top_k] is not permitted, please reformat your input and try again."
        ),
    ),
    # --- reasoning ------------------------------------------------------------------------------------------------------
    Row(reasoning.reasoning_from_user, SONNET_45, talk(user(SIGNED, text())), FROM_USER),
    Row(reasoning.replayed, R1, talk(user(), assistant(UNSIGNED, text()), user()), FROM_USER),
    Row(reasoning.replayed, NOVA, talk(user(), assistant(UNSIGNED, text()), user()), FROM_USER),
    *[
        Row(
            reasoning.replayed,
            model,
            talk(user(), assistant(UNSIGNED, text()), user()),
            "This model doesn't support the reasoningContent.reasoningText.text field for assistant messages. "
            "Remove reasoningContent.reasoningText.text and try again.",
        )
        for model in (GPT_56, LLAMA, GROK, PALMYRA, GEMMA)
    ],
    *[
        Row(
            reasoning.signed,
            model,
            talk(user(), assistant(SIGNED, text()), user()),
            no_field("reasoningContent.reasoningText.signature"),
        )
        for model in (GPT_OSS, KIMI, MINIMAX, QWEN, PIXTRAL, DEEPSEEK_31)
    ],
    *[
        Row(
            reasoning.empty_signature,
            model,
            talk(
                user(),
                assistant({"reasoningContent": {"reasoningText": {"text": "Hm.", "signature": ""}}}, text()),
                user(),
            ),
            no_field("reasoningContent.reasoningText.signature"),
        )
        for model in (NOVA_2, MINIMAX)
    ],
    *[
        Row(
            reasoning.thinking_type,
            model,
            extra(**THINK),
            model_said(
                '"thinking.type.enabled" is not supported for this model. Use "thinking.type.adaptive" and '
                '"output_config.effort" to control thinking behavior.'
            ),
        )
        for model in (OPUS_47, OPUS_48, OPUS_5, FABLE_5, OPUS_55)
    ],
    *[
        Row(
            reasoning.thinking_type,
            model,
            extra(thinking={"type": "disabled"}),
            model_said('"thinking.type.disabled" is not supported for this model.'),
        )
        for model in (FABLE_5, OPUS_55, SONNET_55)
    ],
    Row(
        reasoning.thinking_type,
        HAIKU_35,
        extra(**THINK),
        model_said("thinking: Extra inputs are not permitted"),
    ),
    Row(
        reasoning.budget_too_small,
        SONNET_37,
        extra(thinking={"type": "enabled", "budget_tokens": 1000}),
        model_said("thinking.enabled.budget_tokens: Input should be greater than or equal to 1024"),
    ),
    Row(
        reasoning.budget_too_large,
        SONNET_45,
        talk(inferenceConfig={"maxTokens": 1024}, additionalModelRequestFields=THINK),
        model_said(
            "`max_tokens` must be greater than `thinking.budget_tokens`. Please consult our documentation at "
            "https://docs.claude.com/en/docs/build-with-claude/extended-thinking#max-tokens-and-context-window-size"
        ),
    ),
    Row(
        reasoning.sampling_while_thinking,
        SONNET_45,
        talk(inferenceConfig={"temperature": 0.5}, additionalModelRequestFields=THINK),
        model_said(
            "`temperature` may only be set to 1 when thinking is enabled. Please consult our documentation at "
            "https://docs.claude.com/en/docs/build-with-claude/extended-thinking"
            "#important-considerations-when-using-extended-thinking"
        ),
    ),
    Row(
        reasoning.sampling_while_thinking,
        SONNET_46,
        extra(top_k=5, thinking={"type": "adaptive"}),
        model_said("`top_k` must be unset when thinking is enabled."),
    ),
    Row(
        reasoning.flat_effort,
        GPT_56,
        extra(reasoning_effort="high"),
        model_said(
            "Malformed input request: extraneous key [reasoning_effort] is not permitted, "
            "please reformat your input and try again."
        ),
    ),
    Row(
        reasoning.effort,
        SONNET_45,
        extra(output_config={"effort": "high"}),
        model_said("This model does not support the effort parameter."),
    ),
    Row(
        reasoning.effort,
        SONNET_46,
        extra(thinking={"type": "adaptive"}, output_config={"effort": "xhigh"}),
        model_said("output_config.effort: Input should be one of 'high', 'low', 'max', 'medium'"),
    ),
    *[
        Row(
            reasoning.effort,
            GPT_OSS,
            extra(reasoning_effort=effort),
            model_said("reasoning_effort: Input should be one of 'high', 'low', 'medium'"),
        )
        for effort in ("none", "minimal", "xhigh")
    ],
    *[
        Row(
            reasoning.effort_without_thinking,
            model,
            extra(thinking={"type": off}, output_config={"effort": "max"}),
            model_said('output_config.effort: "max" requires thinking to be enabled'),
        )
        for model, off in ((OPUS_5, "disabled"), (HAIKU_55, "disabled"), (SONNET_55, "between_tools"))
    ],
    Row(
        reasoning.prefill_while_thinking,
        SONNET_45,
        answered(result("t1", text()), first=[text()], additionalModelRequestFields=THINK),
        model_said(
            "messages.1.content.0.type: Expected `thinking` or `redacted_thinking`, but found `text`. When `thinking` is "
            "enabled, a final `assistant` message must start with a thinking block (preceeding the lastmost set of "
            "`tool_use` and `tool_result` blocks). We recommend you include thinking blocks from previous turns. To avoid "
            "this requirement, disable `thinking`. Please consult our documentation at "
            "https://docs.claude.com/en/docs/build-with-claude/extended-thinking"
        ),
    ),
    Row(
        reasoning.unsigned,
        SONNET_45,
        talk(user(), assistant(UNSIGNED, text()), user()),
        model_said("messages.1.content.0.thinking.signature: Field required"),
    ),
    Row(
        reasoning.unsigned,
        SONNET_45,
        talk(
            user(), assistant({"reasoningContent": {"reasoningText": {"text": "a", "signature": ""}}}, text()), user()
        ),
        model_said("messages.1.content.0: Invalid `signature` in `thinking` block"),
    ),
    Row(
        reasoning.nova_config,
        "us.amazon.nova-pro-v1:0",
        extra(reasoningConfig={"type": "enabled", "maxReasoningEffort": "low"}),
        model_said(
            "Malformed input request: the provided reasoning config value is invalid, "
            "please reformat your input and try again."
        ),
    ),
    Row(
        reasoning.nova_config,
        NOVA_2,
        extra(reasoningConfig={"type": "disabled", "maxReasoningEffort": "low"}),
        model_said(
            "Malformed input request: the provided reasoning config value is invalid, "
            "please reformat your input and try again."
        ),
    ),
    Row(
        reasoning.nova_high_effort,
        NOVA_2,
        talk(
            inferenceConfig={"maxTokens": 1000},
            additionalModelRequestFields={"reasoningConfig": {"type": "enabled", "maxReasoningEffort": "high"}},
        ),
        model_said(
            "Malformed input request: #/inferenceConfig: extraneous key [maxTokens] is not permitted, "
            "please reformat your input and try again."
        ),
    ),
]


def first_to_speak(row: Row) -> Any:
    case = case_of(row.operation, row.model, row.body)
    return next((rule for rule in RULES if rule(case) is not None), None)


@pytest.mark.parametrize("row", REFUSED, ids=lambda row: f"{row.rule.__name__}-{row.model}")
def test_the_service_refuses_in_these_words(row: Row) -> None:
    assert not MODEL_IS_NEW or judge_shape(row.operation, row.body) is None, (
        "the shape is right: it is the rule that refuses"
    )
    refusal = judge(row.operation, row.model, row.body)
    assert isinstance(refusal, Refusal)
    assert refusal.message == row.said
    assert refusal.code == row.code
    assert first_to_speak(row) is row.rule


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
def test_every_rule_has_a_request_that_it_refuses_and_says_why_it_is_there(rule: Any) -> None:
    assert rule.__doc__
    assert any(row.rule is rule for row in REFUSED)


ACCEPTED: Sequence[tuple[str, str, Body]] = [
    ("plain", NOVA, talk()),
    ("same-role messages are merged", NOVA, talk(user(), user(), assistant(), assistant(), user())),
    ("leading assistant", SONNET_45, talk(assistant(), user())),
    ("leading assistant", QWEN, talk(assistant(), user())),
    ("prefill", SONNET_45, talk(user(), assistant(text("The answer is")))),
    ("unjudged end", NOVA, talk(user(), assistant())),
    ("white space beside a document", SONNET_45, talk(user(text(), document("txt"), text("\n")))),
    ("blank text in a result", SONNET_45, answered(result("t1", text("")))),
    ("nothing in a result", SONNET_45, answered(result())),
    ("blank text in a result", NOVA, answered(result("t1", text("")))),
    ("results in two messages", SONNET_45, tooled(
        user(), assistant(call("a"), call("b")), user(result("a", text())), user(result("b", text())), assistant(), user()
    )),
    ("ids may come again in another turn", KIMI, tooled(
        user(), assistant(call("f:0")), user(result("f:0", text())), assistant(call("f:0")), user(result("f:0", text()))
    )),
    ("text beside a result", SONNET_45, answered(result("t1", text()), text())),
    ("text before a result", NOVA, answered(text(), result("t1", text()))),
    ("cache point beside a result", LLAMA.replace("us.meta.llama3-3-70b-instruct-v1:0", SONNET_45),
     answered(result("t1", text()), POINT)),
    ("pdf beside a result", SONNET_45, answered(result("t1", text()), text(), document())),
    ("text document beside a result", NOVA, answered(result("t1", text()), text(), document("txt"))),
    ("results alone, a turn between", LLAMA_4, tooled(
        user(), assistant(call()), user(result("t1", text())), assistant(text(".")), user()
    )),
    ("server tool answered in the assistant's turn", NOVA_2, talk(
        user(),
        assistant(call(type="server_tool_use"), result("t1", {"json": {}}), call("t2")),
        user(result("t2", text())),
        toolConfig={"tools": [spec(), {"systemTool": {"name": "nova_code_interpreter"}}]},
    )),
    ("image inside a result", LLAMA_4, answered(result("t1", image()))),
    ("pdf inside a result", PIXTRAL, answered(result("t1", document()))),
    ("csv inside a result", NOVA_2, answered(result("t1", document("csv")))),
    ("image from S3 inside a result", NOVA_2, answered(result("t1", image(S3)))),
    ("video", NOVA, talk(user(text(), video()))),
    ("document with an underscore", NOVA, talk(user(text(), document(name="my_report (2) [a]-b")))),
    ("the image limit itself", SONNET_45, talk(user(text(), image({"bytes": "A" * 5242880})))),
    ("cache point after a pdf", SONNET_45, talk(user(text(), document(), POINT))),
    ("cache point after a cited document", SONNET_45, talk(
        user(text(), document("txt", citations={"enabled": True}), POINT)
    )),
    ("four cache points", SONNET_45, talk(
        user(text(), POINT, text(), POINT), system=[text(), POINT], toolConfig={"tools": [spec(), POINT]}
    )),
    ("long before short", SONNET_45, talk(user(text(), POINT), system=[text(), LONG])),
    ("long cache on 4.6 is disputed", SONNET_46, talk(system=[text(), LONG])),
    ("short ttl said aloud", SONNET_37, talk(system=[text(), {"cachePoint": {"type": "default", "ttl": "5m"}}])),
    ("Nova caches system and messages", NOVA, talk(user(text(), POINT), system=[text(), POINT])),
    ("GPT's caching is not known", GPT_56, talk(system=[text(), POINT])),
    ("a hidden model is not judged by family", HIDDEN, talk(
        assistant(), user(text(), image(S3), video(), POINT), inferenceConfig={"temperature": 1, "topP": 1}
    )),
    ("forced choice", SONNET_45, chosen({"any": {}})),
    ("forced choice", NOVA, chosen({"tool": {"name": "look"}})),
    ("forced choice is disputed", PIXTRAL, chosen({"any": {}})),
    ("forced choice is disputed", QWEN, chosen({"any": {}})),
    ("forced choice with adaptive thinking is disputed", SONNET_46, chosen(
        {"any": {}}, additionalModelRequestFields={"thinking": {"type": "adaptive"}}
    )),
    ("status", LLAMA, answered(result("t1", text(), status="error"))),
    ("no status", PALMYRA, answered(result("t1", text()))),
    ("hyphen", SONNET_45, talk(toolConfig={"tools": [spec("read-file")]})),
    ("one of temperature and topP", SONNET_45, infer(temperature=0.5)),
    ("both", SONNET_4, infer(temperature=0.5, topP=0.9)),
    ("both", NOVA, infer(temperature=0.5, topP=0.9)),
    ("the limit itself is disputed", SONNET_46, infer(maxTokens=128_000)),
    ("native structured output", SONNET_45, talk(**schema('{"type":"object","additionalProperties":false}'))),
    ("native structured output is disputed", OPUS_47, talk(**schema('{"type":"object","additionalProperties":false}'))),
    ("native structured output is disputed", DEEPSEEK_31, talk(**schema('{"type":"object"}'))),
    ("string length under strict", SONNET_45, talk(toolConfig={"tools": [
        spec(schema={**OBJECT, "properties": {"a": {"type": "string", "minLength": 1}}}, strict=True)
    ]})),
    ("budget", SONNET_45, talk(inferenceConfig={"maxTokens": 2048, "temperature": 1}, additionalModelRequestFields=THINK)),
    ("budget on 4.6", SONNET_46, extra(**THINK)),
    ("adaptive", OPUS_55, extra(thinking={"type": "adaptive"}, output_config={"effort": "max"})),
    ("between tools", SONNET_55, extra(thinking={"type": "between_tools"}, output_config={"effort": "high"})),
    ("disabled", OPUS_5, extra(thinking={"type": "disabled"}, output_config={"effort": "high"})),
    ("thoughts first", SONNET_45, answered(
        result("t1", text()), first=[SIGNED, text()], additionalModelRequestFields=THINK
    )),
    ("old turns without thoughts", SONNET_45, talk(user(), assistant(), user(), additionalModelRequestFields=THINK)),
    ("signed thoughts without thinking", SONNET_45, talk(user(), assistant(SIGNED, text()), user())),
    ("lone thoughts on 4.6", SONNET_46, talk(user(), assistant(REDACTED), user())),
    ("redacted thoughts", GPT_56, talk(user(), assistant(REDACTED, text()), user())),
    ("unsigned thoughts", GPT_OSS, talk(user(), assistant(UNSIGNED, text()), user())),
    ("replay on Nova 2 is disputed", NOVA_2, talk(user(), assistant(UNSIGNED, text()), user())),
    ("reasoning on Nova 2", NOVA_2, extra(reasoningConfig={"type": "enabled", "maxReasoningEffort": "high"})),
    ("reasoning off on Nova 2", NOVA_2, extra(reasoningConfig={"type": "disabled"})),
    ("top_k", SONNET_45, extra(top_k=20)),
    ("top_k", NOVA_MICRO, extra(inferenceConfig={"topK": 20})),
    ("effort", GPT_OSS, extra(reasoning_effort="medium")),
    ("effort", QWEN, extra(reasoning_config="high")),
    ("effort", GROK, extra(reasoning={"effort": "xhigh"})),
    ("a prompt brings its messages", PROMPT, {"promptVariables": {"a": {"text": "b"}}}),
    ("system in the middle", OPUS_48, talk(user(), {"role": "system", "content": [text()]})),
]  # fmt: skip


@pytest.mark.parametrize(("why", "model", "body"), ACCEPTED)
def test_the_service_accepts(why: str, model: str, body: Body) -> None:
    assert not MODEL_IS_NEW or judge_shape("converse", body) is None
    assert judge("converse", model, body) is None, why


@pytest.mark.parametrize(
    ("model_id", "exists"),
    [
        (NOVA, True),
        (OPUS_55, True),
        ("us-gov.anthropic.claude-3-7-sonnet-20250219-v1:0", True),
        ("anthropic.claude-sonnet-99", True),
        ("arn:aws:bedrock:us-east-1::foundation-model/amazon.nova-lite-v1:0", True),
        ("arn:aws:bedrock:eu-west-1:123456789012:inference-profile/eu.amazon.nova-lite-v1:0", True),
        (HIDDEN, True),
        (PROMPT, True),
        ("arn:aws:bedrock:us-east-1:123456789012:imported-model/abcdef123456", True),
        ("arn:aws:bedrock:us-east-1:123456789012:provisioned-model/abcdef123456", True),
        ("arn:aws:sagemaker:us-east-1:123456789012:endpoint/mine", True),
        ("us.does-not-exist-model-v1:0", False),
        ("does-not-exist-model-v1:0", False),
        ("gpt-4o", False),
        ("claude-sonnet-4-5", False),
        ("arn:aws:bedrock:us-east-1::foundation-model/nobody.nothing-v1", False),
    ],
)
def test_ids_that_name_nothing_are_invalid(model_id: str, exists: bool) -> None:
    refusal = judge_model(model_id)
    assert (refusal is None) is exists
    if refusal is not None:
        assert (refusal.code, refusal.message) == ("ValidationException", "The provided model identifier is invalid.")


@pytest.mark.parametrize(
    ("model_id", "name"),
    [
        (OPUS_55, "Claude Opus 5.5, Fable 5.1, Mythos 5.1"),
        ("us.anthropic.claude-fable-5-1", "Claude Opus 5.5, Fable 5.1, Mythos 5.1"),
        (FABLE_5, "Claude Fable 5"),
        ("anthropic.claude-mythos-preview", "Claude Mythos 5"),
        ("qwen.qwen3-coder-480b-a35b-v1:0", "Qwen without replay"),
        ("mistral.mistral-large-3-675b-instruct", "Mistral without reasoning"),
        (OPUS_5, "Claude Opus 5"),
        (SONNET_5, "Claude Sonnet 5"),
        ("us.anthropic.claude-opus-4-6-v1", "Claude 4.6"),
        ("us.anthropic.claude-opus-4-20250514-v1:0", "Claude Opus 4"),
        ("us.anthropic.claude-opus-4-1-20250805-v1:0", "Claude Opus 4.1"),
        ("anthropic.claude-3-haiku-20240307-v1:0", "Claude 3"),
        ("anthropic.claude-v2", "Claude 2 and Instant"),
        ("jp.anthropic.claude-quartet-9", "Claude newer than this table"),
        ("apac.amazon.nova-pro-v1:0", "Nova"),
        (HIDDEN, "unknown"),
        ("stability.sd3-large-v1:0", "unknown"),
    ],
)
def test_a_model_is_of_the_family_that_its_id_names(model_id: str, name: str) -> None:
    assert family_of(model_id).name == name


def test_no_row_of_the_families_hides_behind_another() -> None:
    """Every row is the answer to at least one of the ids used here or listed below."""
    more = [
        "us.anthropic.claude-opus-4-5-20251101-v1:0", "us.anthropic.claude-opus-4-20250514-v1:0",
        "us.anthropic.claude-opus-4-1-20250805-v1:0", "anthropic.claude-3-5-sonnet-20241022-v2:0",
        "anthropic.claude-3-haiku-20240307-v1:0", "anthropic.claude-v2", "us.anthropic.claude-quartet-9",
        "us.meta.llama3-2-90b-instruct-v1:0", "deepseek.v3.2", "mistral.magistral-small-2509",
        "mistral.ministral-3-8b-instruct", "qwen.qwen3-coder-30b-a3b-v1:0", "us.anthropic.claude-mythos-preview",
        "nvidia.nemotron-nano-12b-v2", "zai.glm-4.7", "nvidia.nemotron-nano-9b-v2",
        "ai21.jamba-1-5-large-v1:0",
    ]  # fmt: skip
    used = {row.model for row in REFUSED} | {model for _, model, _ in ACCEPTED} | set(more)
    assert {family.name for family in FAMILIES} <= {family_of(model).name for model in used}


def test_geographic_prefixes_are_taken_off() -> None:
    for prefix in ("us", "eu", "apac", "jp", "au", "ca", "us-gov", "global"):
        assert bare_id(f"{prefix}.amazon.nova-lite-v1:0") == "amazon.nova-lite-v1:0"


def _mutated(draw: st.DrawFn, node: Any) -> Any:
    """The same JSON with a part of it gone, doubled or replaced."""
    if isinstance(node, dict) and node:
        name = draw(st.sampled_from(sorted(node)))
        if draw(st.integers(0, 3)) == 0:
            return {key: value for key, value in node.items() if key != name}
        return {**node, name: _mutated(draw, node[name])}
    if isinstance(node, list) and node:
        at = draw(st.integers(0, len(node) - 1))
        kept = draw(st.sampled_from([[], [_mutated(draw, node[at])], [node[at], node[at]]]))
        return [*node[:at], *kept, *node[at + 1 :]]
    return draw(st.sampled_from(["", " ", "a", 0, 1, True, None, {}, [], {"type": "object"}, {"text": "x"}]))


@st.composite
def mutants(draw: st.DrawFn) -> Body:
    body = draw(st.sampled_from([row.body for row in REFUSED] + [body for _, _, body in ACCEPTED]))
    for _ in range(draw(st.integers(1, 4))):
        body = _mutated(draw, body)
    return body if isinstance(body, dict) else {}


MODELS = sorted({row.model for row in REFUSED})


@settings(max_examples=400)
@given(body=mutants(), model=st.sampled_from(MODELS))
def test_whatever_has_the_right_shape_gets_a_verdict(body: Body, model: str) -> None:
    """No rule stumbles over a request that the shape lets pass."""
    if judge_shape("converse", body) is None:
        verdict = judge("converse", model, body)
        assert verdict is None or verdict.code in {
            "ValidationException",
            "ModelErrorException",
            "AccessDeniedException",
        }


@pytest.mark.parametrize("operation", ["converse", "converse_stream"])
def test_a_refusal_reaches_the_client_as_the_service_would_send_it(operation: str) -> None:
    with FakeBedrock() as fake, pytest.raises(ClientError) as caught:
        getattr(client_of(fake), operation)(modelId=NOVA, messages=[user(text(" "))])
    assert caught.value.response["Error"] == {"Code": "ValidationException", "Message": BLANK.format(0, 0)}
    assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] == 400
    assert fake.requests[0].refusal is not None
