"""What there is to call: models and inference profiles of a region, the model behind a profile, a model's window.

In comes a client of the control plane (for the window, of the runtime), out go plain dicts and names. A catalog is a help,
never a condition: whatever fails, the answer is what there is, and only an answer that is whole is kept for an hour.
"""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

from ..forks import unlocked_after_fork
from ..patterns import pattern
from ..values import frozen
from .memory import Memory

logger = logging.getLogger(__name__)

Model = dict[str, Any]

KEPT_FOR = 3600.0
"""Seconds for which a list of models is good."""

PROFILE_PATIENCE = 2.0
"""Seconds that a caller waits for the model behind a profile: without it the family's rules are guessed."""

ASKED_AGAIN_AFTER = 300.0
"""Seconds for which the model behind a profile is not asked for again where that failed or took too long: a network
without a way to the control plane would cost every call its PROFILE_PATIENCE."""

MAX_PAGES = 100
"""Pages of a list that are read; the longest list of profiles has two (2026-11)."""


# --- discovery --------------------------------------------------------------------------------------------------------


def discover_models(control_client: Any, provider_filter: Sequence[str] | None = None) -> tuple[list[Model], bool]:
    """Active text models that stream and active inference profiles, sorted; and whether both lists could be read.

    `global.` profiles come first, then everything by name. The filter takes providers' names or the ids' first parts.
    """
    wanted = frozenset(name.strip().lower() for name in provider_filter or () if name.strip())
    summaries, models_read = _read("foundation models", lambda: _foundation_models(control_client))
    profiles, profiles_read = _read("inference profiles", lambda: list(_inference_profiles(control_client)))
    found = _by_id([*_models_of(summaries, wanted), *_profiles_of(profiles, summaries, wanted)])
    found.sort(key=lambda model: (not model["id"].startswith("global."), model["name"].lower()))
    return found, models_read and profiles_read


def _read(what: str, read: Callable[[], list[Mapping[str, Any]]]) -> tuple[list[Mapping[str, Any]], bool]:
    try:
        return read(), True
    except Exception as exc:  # noqa: BLE001 (no permission, no network, no such operation: the other list is still good)
        logger.warning("list=%s error=%s | could not be read", what, type(exc).__name__)
        return [], False


def _foundation_models(control_client: Any) -> list[Mapping[str, Any]]:
    return list(control_client.list_foundation_models().get("modelSummaries") or ())


def _inference_profiles(control_client: Any) -> Iterator[Mapping[str, Any]]:
    token: str | None = None
    for _ in range(MAX_PAGES):
        page = control_client.list_inference_profiles(**({"nextToken": token} if token else {}))
        yield from page.get("inferenceProfileSummaries") or ()
        following = page.get("nextToken")
        if not isinstance(following, str) or following in ("", token):
            return
        token = following


def _models_of(summaries: Iterable[Mapping[str, Any]], wanted: frozenset[str]) -> Iterator[Model]:
    for summary in summaries:
        model_id = str(summary.get("modelId") or "").strip()
        provider = str(summary.get("providerName") or "").strip()
        if not model_id or not _is_usable(summary):
            continue
        if not wanted or not wanted.isdisjoint({provider.lower(), model_id.partition(".")[0].lower()}):
            yield _entry(model_id, summary.get("modelName"), provider, summary)


def _is_usable(summary: Mapping[str, Any]) -> bool:
    """Whether a model is active, streams, and answers in text."""
    status = str((summary.get("modelLifecycle") or {}).get("status") or "")
    streams = bool(summary.get("responseStreamingSupported"))
    return status.upper() == "ACTIVE" and streams and "TEXT" in (summary.get("outputModalities") or ())


def _profiles_of(
    profiles: Iterable[Mapping[str, Any]], summaries: Iterable[Mapping[str, Any]], wanted: frozenset[str]
) -> Iterator[Model]:
    by_id = {str(summary.get("modelId")): summary for summary in summaries}
    for profile in profiles:
        profile_id = str(profile.get("inferenceProfileId") or "").strip()
        if not profile_id or profile.get("status") != "ACTIVE":
            continue
        arns = [str(model.get("modelArn") or "") for model in profile.get("models") or ()]
        if not wanted or not wanted.isdisjoint(provider_from_arn(arn).lower() for arn in arns):
            behind = next((by_id[name] for name in map(model_from_arn, arns) if name in by_id), {})
            yield _entry(profile_id, profile.get("inferenceProfileName"), "inference-profile", behind)


def _entry(model_id: str, name: Any, provider: str, summary: Mapping[str, Any]) -> Model:
    return {
        "id": model_id,
        "name": str(name or model_id).strip(),
        "provider": provider,
        "input_modalities": list(summary.get("inputModalities") or ["TEXT"]),
        "output_modalities": list(summary.get("outputModalities") or ["TEXT"]),
        "streaming": bool(summary.get("responseStreamingSupported", True)),
    }


def _by_id(models: Iterable[Model]) -> list[Model]:
    """The models without those whose id came before."""
    first: dict[str, Model] = {}
    for model in models:
        first.setdefault(model["id"].lower(), model)
    return list(first.values())


@frozen
class _Kept:
    models: list[Model]
    at: float


class DiscoveryCache:
    """Lists of models by region and filter, each good for an hour; threads that ask for one at once share one reading.

    `clock` gives seconds; without it the monotonic clock is asked, when it is needed.
    """

    def __init__(self, clock: Callable[[], float] | None = None) -> None:
        self._clock = clock
        self._kept: dict[Any, _Kept] = {}
        self.unlock()
        unlocked_after_fork(self)

    def discover(
        self, region: str, provider_filter: Sequence[str] | None, get_client: Callable[[], Any]
    ) -> list[Model]:
        """`discover_models` with the client that `get_client()` gives, or what is kept; `[]` where there is no client.

        A list that was read only in part is returned and not kept.
        """
        key = (region, tuple(sorted(name.strip().lower() for name in provider_filter or ())))
        with self._lock:
            reading = self._reading.setdefault(key, threading.Lock())
        with reading:
            kept = self._kept.get(key)
            if kept is None or self._now() - kept.at >= KEPT_FOR:
                return self._read(key, region, provider_filter, get_client)
        return _copied(kept.models)

    def unlock(self) -> None:
        """Start with locks that nobody holds."""
        self._lock = threading.Lock()
        self._reading: dict[Any, threading.Lock] = {}

    def clear(self) -> None:
        """Forget all lists."""
        with self._lock:
            self._kept.clear()
            self._reading.clear()

    def _read(
        self, key: Any, region: str, provider_filter: Sequence[str] | None, get_client: Callable[[], Any]
    ) -> list[Model]:
        try:
            client = get_client()
        except Exception as exc:  # noqa: BLE001 (a catalog is a help: whatever ails the client, there is no list)
            logger.warning("region=%s error=%s | no client to list models with", region, type(exc).__name__)
            return []
        models, whole = discover_models(client, provider_filter)
        if whole:
            self._kept[key] = _Kept(models, self._now())
        return _copied(models)

    def _now(self) -> float:
        return (self._clock or time.monotonic)()


DISCOVERED = DiscoveryCache()
"""What this process has discovered; the drop-in's."""


def _copied(models: list[Model]) -> list[Model]:
    """A list of the caller's own, so that what is kept cannot be changed through it."""
    return [
        {name: list(value) if isinstance(value, list) else value for name, value in model.items()} for model in models
    ]


# --- names ------------------------------------------------------------------------------------------------------------

_MODEL_ARN = pattern(r"foundation-model/(?P<model>(?P<provider>[^.]+).*)")


def provider_from_arn(arn: str) -> str:
    """The provider in a foundation model's ARN, "" in any other text."""
    found = _MODEL_ARN.search(arn)
    return found["provider"] if found else ""


def model_from_arn(arn: str) -> str:
    """The model id in a foundation model's ARN, "" in any other text."""
    found = _MODEL_ARN.search(arn)
    return found["model"] if found else ""


# --- the model behind an inference profile ----------------------------------------------------------------------------

_models_behind = Memory(limit=1000)
_unanswered = Memory(limit=1000)
_asking: dict[str, threading.Thread] = {}
_asking_lock = threading.Lock()


def _unlock_after_fork() -> None:
    """In a forked child: what another thread of the parent was asking, and the lock that it held, stay with the parent."""
    global _asking_lock  # noqa: PLW0603 - a lock cannot be emptied
    _asking_lock = threading.Lock()
    _asking.clear()


if hasattr(os, "register_at_fork"):  # not on Windows, which cannot fork
    os.register_at_fork(after_in_child=_unlock_after_fork)


def resolve_inference_profile(control_client: Any, arn: str, *, patience: float = PROFILE_PATIENCE) -> str | None:
    """The id of the model behind an inference profile; None where it cannot be had within `patience` seconds.

    Never raises. An answer is kept for the process, since a profile's model never changes; a failure for a while. The client
    has timeouts of its own, but before they count it may have to fetch credentials: so a thread of ours asks, one per
    profile, and ends when the client gives up.
    """
    if _models_behind.get(arn) is None and not _unanswered.get(arn):
        with _asking_lock:
            asking = _asking.get(arn)
            if asking is None or not asking.is_alive():
                asking = threading.Thread(
                    target=_ask, args=(control_client, arn), name="inference-profile", daemon=True
                )
                _asking[arn] = asking
                asking.start()
        asking.join(patience)
        if _models_behind.get(arn) is None:
            _unanswered.keep(arn, seconds=ASKED_AGAIN_AFTER)
    found: str | None = _models_behind.get(arn)
    return found


def forget_inference_profiles() -> None:
    """Forget which models are behind which profiles."""
    _models_behind.clear()
    _unanswered.clear()


def _ask(control_client: Any, arn: str) -> None:
    try:
        models = control_client.get_inference_profile(inferenceProfileIdentifier=arn).get("models") or ()
        found = next(filter(None, (model_from_arn(str(model.get("modelArn") or "")) for model in models)), None)
    except Exception as exc:  # noqa: BLE001 (no permission, no network: the caller goes on without)
        logger.debug("profile=%s error=%s | the model behind it is not known", arn, type(exc).__name__)
        found = None
    if found:
        _models_behind.keep(arn, found)
    _asking.pop(arn, None)


# --- a model's window -------------------------------------------------------------------------------------------------

_PROBE_TEXT = "data " * 12_000
"""60 kB; the service refuses it by its window only where that is small, so None is the usual answer."""

_TOO_LONG = pattern(r"prompt is too long: \d+ tokens > (?P<maximum>\d+) maximum")

_SMALLEST_WINDOW = 1024
"""Tokens; a smaller number in the text is no window."""


def probe_context_length(client: Any, model_id: str) -> int | None:
    """The window in tokens that the service names when it refuses a long prompt; None on anything else. Never raises."""
    try:
        client.converse(
            modelId=model_id,
            messages=[{"role": "user", "content": [{"text": _PROBE_TEXT}]}],
            inferenceConfig={"maxTokens": 1},
        )
    except Exception as exc:  # noqa: BLE001 (only one refusal says what is asked; every other means: not known)
        found = _TOO_LONG.search(str(exc))
        maximum = int(found["maximum"]) if found else 0
        return maximum if maximum >= _SMALLEST_WINDOW else None
    return None
