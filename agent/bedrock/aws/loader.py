"""botocore's service models, loaded quicker, and most of them once for all sessions of a process.

In comes a fresh botocore session, nothing goes out. botocore lists the folder of every AWS service to learn whether there
is one of that name, twice per session, and parses into ordered dicts what ordinary ones hold in order as well: half of
the time that a first client takes. Models that nothing writes into are shared by all sessions with the same data path;
into `endpoints` botocore's resolver writes what it has resolved (1.44.5), so that every session has its own. The files,
their search paths and their order are botocore's.
"""

from __future__ import annotations

import gzip
import json
import os
from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import Any

from .endpoints import EndpointTable
from .speedups import orjson_if_installed

_OPENERS: dict[str, Any] = {".json": open, ".json.gz": gzip.open}
"""Endings in the order in which botocore tries them."""

_SHARED = frozenset({
    "endpoint-rule-set-1", "endpoints", "paginators-1", "partitions", "sdk-default-configuration", "service-2",
})  # fmt: skip


def quicken_loader(session: Any) -> None:
    """Have the session load its models quicker, and what others have loaded mostly not at all."""
    # Later, as botocore does it: the data path may depend on the profile, which is not said yet.
    session.lazy_register_component("data_loader", lambda: _loader(session.get_config_variable("data_path")))


def _loader(data_path: str | None) -> Any:
    """A loader for a data path (AWS_DATA_PATH), which searches where botocore's does."""
    from botocore.loaders import create_loader

    loader: Any = create_loader(data_path)
    loader.file_loader = _files(data_path)
    list_services = loader.list_available_services
    loader.list_available_services = lambda type_name: _Services(loader, type_name, list_services)
    return loader


def _is_file(path: str) -> bool:
    return os.path.isfile(path)  # noqa: PTH113 - pathlib is another millisecond of import


class _Files:
    """Reads files as `botocore.loaders.JSONFileLoader` does; those of `_SHARED` again only when they have changed."""

    def __init__(self) -> None:
        self._read: dict[tuple[str, int, int], Any] = {}

    def exists(self, file_path: str) -> bool:
        """Whether there is such a file, with one of the endings."""
        return any(_is_file(file_path + ending) for ending in _OPENERS)

    def load_file(self, file_path: str) -> Any:
        """What is in it, None where there is none."""
        for ending, open_file in _OPENERS.items():
            if _is_file(file_path + ending):
                return self._load(file_path + ending, open_file, os.path.basename(file_path))  # noqa: PTH119 - as above
        return None

    def _load(self, path: str, open_file: Any, name: str) -> Any:
        state = os.stat(path)  # noqa: PTH116 - as above
        key = (path, state.st_mtime_ns, state.st_size)
        data = self._read.get(key)
        if data is None:
            with open_file(path, "rb") as file:
                text = file.read()
            data = EndpointTable(text.decode()) if name == "endpoints" else _parsed(text)
            if name in _SHARED:
                self._read[key] = data
        return data.fresh() if isinstance(data, EndpointTable) else data


@lru_cache(maxsize=8)
def _files(_data_path: str | None) -> _Files:
    """One per data path: a loader merges what it finds on it into what it has loaded."""
    return _Files()


def _parsed(data: bytes) -> Any:
    orjson = orjson_if_installed()
    if orjson is None:
        return json.loads(data)
    try:
        return orjson.loads(data)
    except ValueError:  # it is stricter with files that users have put on the data path
        return json.loads(data)


class _Services(Sequence[str]):
    """The names of all services, listed when they are asked for; whether one is among them is known sooner."""

    def __init__(self, loader: Any, type_name: str, list_services: Any) -> None:
        self._loader = loader
        self._type_name = type_name
        self._list_services = list_services

    def __contains__(self, name: object) -> bool:
        from botocore.exceptions import DataNotFoundError

        try:
            return bool(self._loader.list_api_versions(name, self._type_name))
        except DataNotFoundError:
            return False

    def __iter__(self) -> Iterator[str]:
        return iter(self._names())

    def __len__(self) -> int:
        return len(self._names())

    def __getitem__(self, index: Any) -> Any:
        return self._names()[index]

    def _names(self) -> list[str]:
        names: list[str] = self._list_services(self._type_name)
        return names
