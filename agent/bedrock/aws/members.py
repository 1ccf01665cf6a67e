"""Which members of a Converse request the installed botocore knows, and what to do about those it does not.

In come a request's parameters and botocore's service model; out go parameters that this botocore accepts. A member that
came with a later version is left out with one warning that names the version; one whose absence would make the answer
unsafe or unaccounted raises instead, and so does one without which the request makes no sense. With a botocore that
knows every row of the table nothing is walked. A member that stands in no row is left for botocore to refuse by name.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any
from weakref import WeakKeyDictionary

from ..errors import InvalidRequestError

logger = logging.getLogger(__name__)

#: Member and the oldest botocore known to have it: models of 1.34.116, 1.34.131, 1.34.143, 1.35.75, 1.37.1, 1.37.28, 1.39.0
#: and 1.44.5 compared, and botocore's changelog from 1.40 on. A member may be a little older than its row says.
NEEDED_VERSIONS: dict[str, str] = {
    "ContentBlock.document": "1.34.131",
    "ToolResultContentBlock.document": "1.34.131",
    "ContentBlock.guardContent": "1.34.131",
    "SystemContentBlock.guardContent": "1.34.131",
    "ConverseRequest.guardrailConfig": "1.34.131",
    "ConverseStreamRequest.guardrailConfig": "1.34.131",
    "GuardrailConverseTextBlock.qualifiers": "1.34.143",
    "ContentBlock.video": "1.35.75",
    "ToolResultContentBlock.video": "1.35.75",
    "GuardrailConverseContentBlock.image": "1.35.75",
    "ConverseRequest.performanceConfig": "1.35.75",
    "ConverseStreamRequest.performanceConfig": "1.35.75",
    "ConverseRequest.promptVariables": "1.35.75",
    "ConverseStreamRequest.promptVariables": "1.35.75",
    "ConverseRequest.requestMetadata": "1.35.75",
    "ConverseStreamRequest.requestMetadata": "1.35.75",
    "ContentBlock.reasoningContent": "1.37.1",
    "ContentBlock.cachePoint": "1.37.28",
    "SystemContentBlock.cachePoint": "1.37.28",
    "Tool.cachePoint": "1.37.28",
    "ContentBlock.citationsContent": "1.39.0",
    "DocumentBlock.citations": "1.39.0",
    "DocumentBlock.context": "1.39.0",
    "DocumentSource.content": "1.39.0",
    "DocumentSource.s3Location": "1.39.0",
    "DocumentSource.text": "1.39.0",
    "ImageSource.s3Location": "1.39.0",
    "Tool.systemTool": "1.40.62",
    "ToolUseBlock.type": "1.40.62",
    "ToolResultBlock.type": "1.40.62",
    "CitationLocation.web": "1.40.62",
    "ConverseRequest.serviceTier": "1.40.76",
    "ConverseStreamRequest.serviceTier": "1.40.76",
    "ContentBlock.searchResult": "1.41.0",
    "ToolResultContentBlock.searchResult": "1.41.0",
    "CitationLocation.searchResultLocation": "1.41.0",
    "Citation.source": "1.41.0",
    "ContentBlock.audio": "1.42.1",
    "ImageBlock.error": "1.42.1",
    "CachePointBlock.ttl": "1.42.31",
    "ConverseRequest.outputConfig": "1.42.42",
    "ConverseStreamRequest.outputConfig": "1.42.42",
    "ToolSpecification.strict": "1.42.42",
    "ContentBlock.toolAddition": "1.43.62",
    "ContentBlock.toolRemoval": "1.43.62",
    "OutputConfig.effort": "1.43.67",
}

#: Without these a request would go out unguarded or unaccounted: they raise.
NEVER_LEFT_OUT = frozenset(
    {
        "ConverseRequest.guardrailConfig",
        "ConverseStreamRequest.guardrailConfig",
        "ContentBlock.guardContent",
        "SystemContentBlock.guardContent",
        "GuardrailConverseTextBlock.qualifiers",
        "GuardrailConverseContentBlock.image",
        "ConverseRequest.requestMetadata",
        "ConverseStreamRequest.requestMetadata",
    }
)

_LEFT_OUT: Any = object()

_warned: set[str] = set()
_missing_by_model: WeakKeyDictionary[Any, frozenset[str]] = WeakKeyDictionary()


def known_parameters(service_model: Any, operation: str, parameters: dict[str, Any]) -> dict[str, Any]:
    """`parameters` without the members that this service model is too old for; the very same dict where none is."""
    missing = missing_members(service_model)
    if not missing:
        return parameters
    shape = service_model.operation_model(operation).input_shape
    known: dict[str, Any] = _structure(shape, parameters, "", missing)
    return known


def missing_members(service_model: Any) -> frozenset[str]:
    """The rows of NEEDED_VERSIONS that this service model does not have, found once per model."""
    if service_model not in _missing_by_model:
        shapes = {row.partition(".")[0] for row in NEEDED_VERSIONS}.intersection(service_model.shape_names)
        known = {f"{shape}.{member}" for shape in shapes for member in service_model.shape_for(shape).members}
        _missing_by_model[service_model] = frozenset(
            row for row in NEEDED_VERSIONS if row not in known and row.partition(".")[0] in shapes
        )
    return _missing_by_model[service_model]


def _pruned(shape: Any, value: Any, path: str, missing: frozenset[str]) -> Any:
    prune = _PRUNERS.get(shape.type_name)
    return value if prune is None else prune(shape, value, path, missing)


def _structure(shape: Any, value: Any, path: str, missing: frozenset[str]) -> Any:
    if not isinstance(value, dict) or getattr(shape, "is_document_type", False):
        return value
    kept: dict[str, Any] = {}
    for name, member in value.items():
        where = f"{path}.{name}" if path else str(name)
        pruned = _member(shape, name, member, where, missing)
        if pruned is not _LEFT_OUT:
            kept[name] = pruned
        elif name in shape.required_members:
            raise _cannot_go_without(where, missing)
    return kept if kept or not value else _LEFT_OUT


def _member(shape: Any, name: str, member: Any, where: str, missing: frozenset[str]) -> Any:
    if name in shape.members:
        return _pruned(shape.members[name], member, where, missing)
    row = f"{shape.name}.{name}"
    if row not in missing:
        return member
    _report(row, where)
    return _LEFT_OUT


def _list(shape: Any, value: Any, path: str, missing: frozenset[str]) -> Any:
    if not isinstance(value, list | tuple):
        return value
    items = [_pruned(shape.member, item, f"{path}[{index}]", missing) for index, item in enumerate(value)]
    kept = [item for item in items if item is not _LEFT_OUT]
    if items and not kept:
        raise _cannot_go_without(path, missing)
    return kept


_PRUNERS: dict[str, Callable[[Any, Any, str, frozenset[str]], Any]] = {"structure": _structure, "list": _list}


def _report(row: str, where: str) -> None:
    """Raise for a member that must not go missing; warn once for any other."""
    import botocore

    version = NEEDED_VERSIONS[row]
    if row in NEVER_LEFT_OUT:
        raise InvalidRequestError(
            f"botocore {botocore.__version__} does not know this member and it is never left out: "
            f"install botocore {version} or newer",
            field=where,
        )
    if row not in _warned:
        _warned.add(row)
        logger.warning(
            "member=%s | left out of requests: botocore %s does not know it, install botocore %s or newer",
            row,
            botocore.__version__,
            version,
        )


def _cannot_go_without(where: str, missing: frozenset[str]) -> InvalidRequestError:
    import botocore

    version = max((NEEDED_VERSIONS[row] for row in missing), key=lambda text: [int(part) for part in text.split(".")])
    return InvalidRequestError(
        f"botocore {botocore.__version__} knows nothing of what is in here: install botocore {version} or newer",
        field=where,
    )
