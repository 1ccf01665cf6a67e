"""`Bedrock().models`: what there is to call, as OpenAI lists models.

In comes the control-plane client, out come OpenAI's model objects for the active text models and inference profiles of
the region. The list is kept for an hour.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from ..aws.catalog import DiscoveryCache
from ..errors import BedrockError
from ..response.completion import Namespace

if TYPE_CHECKING:
    from .client import Bedrock


class ModelNotListedError(BedrockError):
    """There is no such model in the list of the region."""

    kind = "model_not_found"


class Model(Namespace):
    """One model or inference profile, with what Bedrock says of it beyond OpenAI's attributes."""

    id: str
    object: str
    created: int
    owned_by: str
    name: str
    input_modalities: list[str]
    output_modalities: list[str]
    streaming: bool


class ModelList(Namespace):
    """The models of a region; iterating gives the models."""

    object: str
    data: list[Model]

    def __iter__(self) -> Iterator[Any]:
        return iter(self.data)

    def __len__(self) -> int:
        return len(self.data)


class Models:
    """What `client.models` is in the openai SDK."""

    def __init__(self, bedrock: Bedrock) -> None:
        self._bedrock = bedrock
        self._cache = DiscoveryCache()

    def list(self) -> ModelList:
        """The models of the region; raises what the control plane raises where it lists nothing at all."""
        found = self._cache.discover(self._bedrock.region, None, lambda: self._bedrock.control_client)
        if not found:
            # Nobody has a region without models: asking once more lets the reason out.
            self._bedrock.control_client.list_foundation_models()
        return ModelList(object="list", data=[_model(entry) for entry in found])

    def retrieve(self, model: str) -> Model:
        """One of the list; raises ModelNotListedError for any other."""
        for entry in self.list():
            if entry.id == model:
                return entry  # type: ignore[no-any-return]
        raise ModelNotListedError(f"The model {model!r} is not listed in {self._bedrock.region}.")


def _model(entry: dict[str, Any]) -> Model:
    return Model(
        id=entry["id"],
        object="model",
        created=0,  # Bedrock does not say
        owned_by=entry["provider"],
        name=entry["name"],
        input_modalities=entry["input_modalities"],
        output_modalities=entry["output_modalities"],
        streaming=entry["streaming"],
    )
