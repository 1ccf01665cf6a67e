"""The control plane's catalogue: foundation models, inference profiles, and what the account may use.

A recorded request comes in, JSON or a refusal goes out. Models and profiles are given as ids, or as the dicts that
the service would send; what an id leaves out is made up from it. An id that is not in a catalogue that the test gave
does not exist, for the runtime either.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from .rules.families import bare_id, family_of
from .script import Refusal

if TYPE_CHECKING:
    from .recorded import RecordedRequest

ACCOUNT = "123456789012"

PROVIDER_NAMES = {
    "ai21": "AI21 Labs",
    "amazon": "Amazon",
    "anthropic": "Anthropic",
    "cohere": "Cohere",
    "deepseek": "DeepSeek",
    "google": "Google",
    "meta": "Meta",
    "minimax": "MiniMax",
    "mistral": "Mistral AI",
    "moonshot": "Moonshot AI",
    "moonshotai": "Moonshot AI",
    "nvidia": "NVIDIA",
    "openai": "OpenAI",
    "qwen": "Qwen",
    "writer": "Writer",
    "xai": "xAI",
    "zai": "Z.AI",
}

DEFAULT_MODELS = (
    "amazon.nova-2-lite-v1:0",
    "amazon.nova-lite-v1:0",
    "amazon.nova-micro-v1:0",
    "amazon.titan-embed-text-v2:0",
    "anthropic.claude-haiku-4-5-20251001-v1:0",
    "anthropic.claude-opus-5-5",
    "anthropic.claude-sonnet-4-5-20250929-v1:0",
    "deepseek.r1-v1:0",
    "meta.llama4-maverick-17b-instruct-v1:0",
    "mistral.pixtral-large-2502-v1:0",
    "openai.gpt-oss-120b-1:0",
    "qwen.qwen3-32b-v1:0",
)
"""The catalogue of a stand-in that was given none: a model of each large family, some of them in profiles only."""

DEFAULT_PROFILES = (
    "us.amazon.nova-2-lite-v1:0",
    "us.amazon.nova-lite-v1:0",
    "us.amazon.nova-micro-v1:0",
    "us.anthropic.claude-haiku-4-5-20251001-v1:0",
    "global.anthropic.claude-sonnet-4-5-20250929-v1:0",
    "us.anthropic.claude-sonnet-4-5-20250929-v1:0",
    "us.anthropic.claude-opus-5-5",
    "us.deepseek.r1-v1:0",
    "us.meta.llama4-maverick-17b-instruct-v1:0",
    "us.mistral.pixtral-large-2502-v1:0",
)

PROFILE_ONLY = ("anthropic.claude-", "deepseek.r1", "meta.llama4", "mistral.pixtral", "amazon.nova-2")
"""Models that cannot be invoked by their own id, only through a profile."""

PAGE = 1000
"""Profiles on a page where the request does not say."""

Summary = Mapping[str, Any]


class Catalogue:
    """What exists, and what the account may use."""

    def __init__(
        self,
        region: str,
        models: Iterable[str | Summary] | None = None,
        profiles: Iterable[str | Summary] | None = None,
        *,
        page_size: int = PAGE,
    ) -> None:
        self.closed = models is not None or profiles is not None
        self.page_size = page_size
        self.availability: dict[str, Summary] = {}
        given = DEFAULT_MODELS if not self.closed else (models or ())
        self.models = [model_summary(model, region) if isinstance(model, str) else model for model in given]
        offered = DEFAULT_PROFILES if not self.closed else (profiles or ())
        self.profiles = [profile_summary(one, region) if isinstance(one, str) else one for one in offered]

    def answer(self, request: RecordedRequest) -> Mapping[str, Any] | Refusal:
        """The answer to a control plane request."""
        answers = {
            "list-foundation-models": self._list_models,
            "get-foundation-model": self._get_model,
            "get-foundation-model-availability": self._get_availability,
            "list-inference-profiles": self._list_profiles,
            "get-inference-profile": self._get_profile,
        }
        return answers[request.operation](request)

    def model_behind(self, model_id: str) -> str:
        """The id of the model that a profile stands for; any other id is its own."""
        profile = self._profile(model_id)
        if profile is None or not profile.get("models"):
            return model_id
        return str(profile["models"][0].get("modelArn", model_id))

    def judge_model(self, model_id: str, operation: str) -> Refusal | None:
        """The refusal of an id that a given catalogue does not have, or that only profiles may invoke."""
        if not self.closed or self._profile(model_id) is not None:
            return None
        model = self._model(model_id)
        if model is None:
            return Refusal("ValidationException", "The provided model identifier is invalid.")
        if "ON_DEMAND" not in model.get("inferenceTypesSupported", ("ON_DEMAND",)) and operation != "count-tokens":
            return Refusal(
                "ValidationException",
                f"Invocation of model ID {model_id} with on-demand throughput isn\N{RIGHT SINGLE QUOTATION MARK}t supported. "
                "Retry your request with the ID or ARN of an inference profile that contains this model.",
            )
        return None

    def _list_models(self, request: RecordedRequest) -> Mapping[str, Any]:
        query = request.query
        wanted = [
            model
            for model in self.models
            if query.get("byProvider", "").lower() in ("", str(model.get("providerName", "")).lower())
            and _holds(model, "outputModalities", query.get("byOutputModality"))
            and _holds(model, "inferenceTypesSupported", query.get("byInferenceType"))
            and _holds(model, "customizationsSupported", query.get("byCustomizationType"))
        ]
        return {"modelSummaries": wanted}

    def _get_model(self, request: RecordedRequest) -> Mapping[str, Any] | Refusal:
        model = self._model(request.model_id)
        return _not_found() if model is None else {"modelDetails": model}

    def _get_availability(self, request: RecordedRequest) -> Mapping[str, Any] | Refusal:
        if self._model(request.model_id) is None:
            return _not_found()
        return {
            "modelId": request.model_id,
            "agreementAvailability": {"status": "AVAILABLE"},
            "authorizationStatus": "AUTHORIZED",
            "entitlementAvailability": "AVAILABLE",
            "regionAvailability": "AVAILABLE",
            **self.availability.get(request.model_id, {}),
        }

    def _list_profiles(self, request: RecordedRequest) -> Mapping[str, Any] | Refusal:
        kind = request.query.get("type")
        wanted = [profile for profile in self.profiles if kind in (None, profile.get("type"))]
        size = min(int(request.query.get("maxResults", self.page_size)), self.page_size)
        start = _page_start(request.query.get("nextToken"))
        if start is None:
            return Refusal("ValidationException", "The provided nextToken is invalid.")
        page = {"inferenceProfileSummaries": wanted[start : start + size]}
        return {**page, "nextToken": f"page-{start + size}"} if start + size < len(wanted) else page

    def _get_profile(self, request: RecordedRequest) -> Mapping[str, Any] | Refusal:
        return self._profile(request.model_id) or _not_found()

    def _model(self, identifier: str) -> Summary | None:
        return _with(self.models, ("modelId", "modelArn"), identifier)

    def _profile(self, identifier: str) -> Summary | None:
        return _with(self.profiles, ("inferenceProfileId", "inferenceProfileArn"), identifier)


def model_summary(model_id: str, region: str) -> dict[str, Any]:
    """What ListFoundationModels says of a model, made up from its id."""
    provider = model_id.partition(".")[0]
    family = family_of(model_id)
    embeds = "embed" in model_id
    return {
        "modelArn": f"arn:aws:bedrock:{region}::foundation-model/{model_id}",
        "modelId": model_id,
        "modelName": re.sub(r"(-v\d+)?(:\d+)?$", "", model_id.partition(".")[2])[:20],
        "providerName": PROVIDER_NAMES.get(provider, provider)[:20],
        "inputModalities": ["TEXT", "IMAGE"] if family.images and not embeds else ["TEXT"],
        "outputModalities": ["EMBEDDING"] if embeds else ["TEXT"],
        "responseStreamingSupported": not embeds,
        "customizationsSupported": [],
        "inferenceTypesSupported": [] if model_id.startswith(PROFILE_ONLY) else ["ON_DEMAND"],
        "modelLifecycle": {"status": "ACTIVE"},
    }


def profile_summary(profile_id: str, region: str) -> dict[str, Any]:
    """What ListInferenceProfiles says of a system-defined profile, made up from its id."""
    prefix = profile_id.partition(".")[0]
    bare = bare_id(profile_id) or profile_id
    name = re.sub(r"[^0-9a-zA-Z_-]+", " ", f"{prefix.upper()} {bare}")[:64].strip()
    return {
        "inferenceProfileName": name,
        "inferenceProfileArn": f"arn:aws:bedrock:{region}:{ACCOUNT}:inference-profile/{profile_id}",
        "inferenceProfileId": profile_id,
        "models": [{"modelArn": f"arn:aws:bedrock:{region}::foundation-model/{bare}"}],
        "status": "ACTIVE",
        "type": "SYSTEM_DEFINED",
    }


def application_profile(profile_id: str, model_id: str, region: str = "us-east-1") -> dict[str, Any]:
    """An application inference profile: its ARN hides the model behind it."""
    arn = f"arn:aws:bedrock:{region}:{ACCOUNT}:application-inference-profile/{profile_id}"
    named = {"inferenceProfileName": profile_id, "inferenceProfileArn": arn, "inferenceProfileId": profile_id}
    return {**profile_summary(model_id, region), **named, "type": "APPLICATION"}


def _with(items: Sequence[Summary], names: Sequence[str], identifier: str) -> Summary | None:
    return next((item for item in items if identifier in [item.get(name) for name in names]), None)


def _holds(model: Summary, name: str, wanted: str | None) -> bool:
    return wanted is None or wanted in model.get(name, ())


def _page_start(token: str | None) -> int | None:
    """The number of the first item of a page; None for a token that was never given out."""
    if token is None:
        return 0
    found = re.fullmatch(r"page-(\d+)", token)
    return int(found[1]) if found else None


def _not_found() -> Refusal:
    return Refusal("ResourceNotFoundException", "The provided resource identifier could not be found.")
