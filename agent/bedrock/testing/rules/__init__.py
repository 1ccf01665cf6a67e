"""What the service refuses although the shape is right: rules as data, each with its words and its evidence.

A model id and a shape-checked body come in; the first refusal goes out, or None. The order is the service's as far as
it is known: first what Converse itself judges, then what the model behind it says. `families` is the one table of
what each model family takes; facts in dispute are not judged.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from ..script import Refusal
from . import caching, conversation, media, parameters, reasoning, tools
from .case import Case, case_of
from .families import bare_id, family_of

Rule = Callable[[Case], str | Refusal | None]

RULES: tuple[Rule, ...] = (
    *conversation.RULES,
    *media.RULES,
    *tools.RULES,
    *caching.RULES,
    *parameters.RULES,
    *reasoning.RULES,
)
"""Every rule, in the order of judging."""

OPAQUE_ARN_KINDS = (
    ":application-inference-profile/",
    ":custom-model/",
    ":custom-model-deployment/",
    ":default-prompt-router/",
    ":endpoint/",
    ":imported-model/",
    ":prompt-router/",
    ":prompt/",
    ":provisioned-model/",
)
"""ARNs of resources whose name does not say which model is behind them."""


def judge(operation: str, model_id: str, body: Mapping[str, Any]) -> Refusal | None:
    """The first refusal of a Converse request whose shape is right."""
    case = case_of(operation, model_id, body)
    for rule in RULES:
        said = rule(case)
        if said is not None:
            return said if isinstance(said, Refusal) else Refusal("ValidationException", said)
    return None


def judge_model(model_id: str) -> Refusal | None:
    """The refusal of an id that names nothing (recorded 2025)."""
    opaque = model_id.startswith("arn:") and any(kind in model_id for kind in OPAQUE_ARN_KINDS)
    if opaque or bare_id(model_id) is not None:
        return None
    return Refusal("ValidationException", "The provided model identifier is invalid.")


__all__ = ["RULES", "Rule", "family_of", "judge", "judge_model"]
