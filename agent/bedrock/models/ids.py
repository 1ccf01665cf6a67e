"""Model ids: bare, with a geographic prefix, or as an ARN of any kind; taken apart.

In comes what a caller gives as `model`; out goes a frozen `ModelId`. Nothing is looked up, nothing is validated: an id that
cannot be understood is passed through with empty parts, because the service knows more models than any table here.
"""

from __future__ import annotations

from functools import lru_cache

from ..patterns import pattern
from ..values import frozen

PROVIDERS = frozenset({
    "ai21", "amazon", "anthropic", "cohere", "deepseek", "google", "luma", "meta", "minimax", "mistral", "moonshot",
    "moonshotai", "nvidia", "openai", "qwen", "stability", "twelvelabs", "writer", "xai", "zai",
})  # fmt: skip

# Prefixes seen in the wild; others are recognised by the provider that follows them.
GEOGRAPHIES = frozenset({
    "global", "us", "us-gov", "eu", "apac", "ap", "jp", "au", "ca", "cn", "sa", "me", "af", "uk", "il", "in",
})  # fmt: skip

_ARN = pattern(
    r"arn:(?P<partition>aws[a-z-]*):(?P<service>bedrock|sagemaker):(?P<region>[a-z0-9-]*):(?P<account>[0-9]*):"
    r"(?P<kind>[a-z-]+)/(?P<resource>.+)"
)
_MODEL_BEARING_KINDS = frozenset({"foundation-model", "inference-profile", "custom-model", "default-prompt-router"})
_TAIL = pattern(r"(?:-(?P<date>20\d{6}))?(?:-(?P<version>v\d+(?::[a-z0-9:]+)?))?$")


@frozen
class ModelId:
    """The parts of a model id; parts that the text does not say are empty.

    `base` is the foundation model's id without its geography ("anthropic.claude-sonnet-4-5-20250929-v1:0"); it is empty
    for ARNs that hide the model (application inference profiles, provisioned throughput, imported models, prompts).
    """

    text: str
    base: str
    geography: str
    provider: str
    name: str
    date: str
    version: str
    arn_kind: str
    partition: str
    region: str
    account: str

    @property
    def hides_model(self) -> bool:
        """True where the id is an ARN that does not say which model stands behind it."""
        return bool(self.arn_kind) and not self.base

    @property
    def is_prompt(self) -> bool:
        """True for the ARN of a stored prompt, which brings its own system text, tools and settings."""
        return self.arn_kind == "prompt"


@lru_cache(maxsize=256)
def split_model_id(model: str) -> ModelId:
    """The parts of `model`, which is an id, an inference profile's id, or an ARN."""
    arn = _ARN.fullmatch(model)
    if arn is None:
        return _from_plain(model, model, {})
    resource = arn["resource"]
    places = {
        "arn_kind": arn["kind"],
        "partition": arn["partition"],
        "region": arn["region"],
        "account": arn["account"],
    }
    inside = resource.partition("/")[0] if arn["kind"] in _MODEL_BEARING_KINDS else ""
    return _from_plain(model, inside, places)


def _from_plain(text: str, plain: str, places: dict[str, str]) -> ModelId:
    geography, base = _strip_geography(plain)
    provider, dot, name = base.partition(".")
    if not dot:
        provider, name = "", base
    tail = _TAIL.search(name)
    date, version = (tail["date"] or "", tail["version"] or "") if tail else ("", "")
    return ModelId(
        text=text,
        base=base,
        geography=geography,
        provider=provider,
        name=name[: tail.start()] if tail else name,
        date=date,
        version=version,
        arn_kind=places.get("arn_kind", ""),
        partition=places.get("partition", ""),
        region=places.get("region", ""),
        account=places.get("account", ""),
    )


def _strip_geography(plain: str) -> tuple[str, str]:
    """("us", "anthropic.claude...") for "us.anthropic.claude..."; an id that begins with its provider stays whole."""
    first, dot, rest = plain.partition(".")
    if not dot or first in PROVIDERS:
        return "", plain
    following = rest.partition(".")[0]
    if following in PROVIDERS or (first in GEOGRAPHIES and "." in rest):
        return first, rest
    return "", plain
