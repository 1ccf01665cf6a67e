"""Which model stands behind an application inference profile, so that its family's rules apply.

In comes a model id and the way to a control-plane client; out goes the model's own id, or None where the id says all or
nobody can tell. Never raises: a request without that knowledge is still a request, built with the cautious rules.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

from ..models.ids import split_model_id

logger = logging.getLogger(__name__)

_warned: set[str] = set()
_MOST_WARNINGS = 1000


def is_profile(model: str) -> bool:
    """Whether the id does not say which model it is."""
    return split_model_id(model).arn_kind == "application-inference-profile"


def base_model_of(model: str, control_client_for: Callable[[str], Any]) -> str | None:
    """The model behind an application inference profile's ARN, asked of its region's control plane at the first call."""
    if not is_profile(model):
        return None
    found = _asked(model, split_model_id(model).region, control_client_for)
    if found is None and model not in _warned and len(_warned) < _MOST_WARNINGS:
        _warned.add(model)
        logger.warning(
            "model=%s | the model behind this profile is not known, so its family's rules do not apply; allow "
            "bedrock:GetInferenceProfile, or name it with base_model=",
            model,
        )
    return found


def _asked(model: str, region: str, control_client_for: Callable[[str], Any]) -> str | None:
    from ..aws.catalog import resolve_inference_profile

    try:
        return resolve_inference_profile(control_client_for(region), model)
    except Exception as error:  # noqa: BLE001 - no client, no answer; the call itself will say what ails it
        logger.debug("region=%s error=%s | no client to ask for a profile", region, type(error).__name__)
        return None
