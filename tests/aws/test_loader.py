"""The quicker loader: the same models from the same places, once for all sessions where nobody writes into them."""

from __future__ import annotations

import gzip
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import botocore
import botocore.session
import pytest
from botocore.config import Config
from botocore.exceptions import UnknownServiceError
from botocore.regions import EndpointResolver

from agent.bedrock.aws.endpoints import EndpointTable
from agent.bedrock.aws.loader import quicken_loader


def sharing(**variables: Any) -> Any:
    session = botocore.session.Session()
    for name, value in variables.items():
        session.set_config_variable(name, value)
    quicken_loader(session)
    return session


def loader_of(session: Any) -> Any:
    return session.get_component("data_loader")


@pytest.mark.parametrize("name", ["service-2", "endpoint-rule-set-1", "paginators-1"])
def test_models_are_botocores(name: str) -> None:
    plain = botocore.session.Session()
    expected = loader_of(plain).load_service_model("bedrock-runtime", name)
    found = loader_of(sharing()).load_service_model("bedrock-runtime", name)
    assert found == expected
    assert json.dumps(found) == json.dumps(expected)  # in the same order, too


def test_other_data_is_botocores() -> None:
    for name in ("endpoints", "partitions", "sdk-default-configuration"):
        assert loader_of(sharing()).load_data(name) == loader_of(botocore.session.Session()).load_data(name)


def model_of(session: Any) -> Any:
    return loader_of(session).load_service_model("bedrock-runtime", "service-2")


def test_sessions_with_the_same_data_path_share_models() -> None:
    assert model_of(sharing()) is model_of(sharing())
    assert model_of(sharing()) is not model_of(sharing(data_path="/elsewhere"))


def test_what_is_shared_nobody_writes_into() -> None:
    """botocore's resolver of endpoints writes into its data, which is therefore each session's own."""
    plain, session = loader_of(botocore.session.Session()), sharing()
    for options in ({}, {"config": Config(use_fips_endpoint=True)}, {"config": Config(retries={"mode": "adaptive"})}):
        for service in ("bedrock-runtime", "bedrock", "sts"):
            client = session.create_client(service, region_name="us-east-1", **options)
            client.close()
    fresh = loader_of(sharing())
    for name in ("endpoints", "partitions", "sdk-default-configuration"):
        assert fresh.load_data(name) == plain.load_data(name)
    for service in ("bedrock-runtime", "bedrock", "sts"):
        for name in ("service-2", "endpoint-rule-set-1", "paginators-1"):
            assert fresh.load_service_model(service, name) == plain.load_service_model(service, name)


def test_a_model_that_changed_on_disk_is_read_again(tmp_path: Path) -> None:
    folder = tmp_path / "bedrock-runtime" / "2999-01-01"
    folder.mkdir(parents=True)
    for text in ("one", "longer"):
        (folder / "service-2.json").write_text(json.dumps({"metadata": text}))
        assert model_of(sharing(data_path=str(tmp_path)))["metadata"] == text


def test_services_are_listed_as_botocore_lists_them() -> None:
    plain = loader_of(botocore.session.Session()).list_available_services("service-2")
    services = loader_of(sharing()).list_available_services("service-2")
    assert list(services) == plain
    assert (len(services), services[0], "s3" in services, "nothing" in services) == (len(plain), plain[0], True, False)


def test_an_unknown_service_is_refused_in_botocores_words() -> None:
    texts = []
    for session in (botocore.session.Session(), sharing()):
        with pytest.raises(UnknownServiceError) as error:
            session.create_client("nothing", region_name="us-east-1")
        texts.append(str(error.value))
    assert texts[0] == texts[1]


@pytest.mark.parametrize("ending", [".json", ".json.gz"])
def test_models_on_the_users_data_path_are_found(ending: str, tmp_path: Path) -> None:
    folder = tmp_path / "bedrock-runtime" / "2999-01-01"
    folder.mkdir(parents=True)
    data = json.dumps({"metadata": {"mine": "ünïcödé"}}).encode()
    (folder / f"service-2{ending}").write_bytes(data if ending == ".json" else gzip.compress(data))
    model = loader_of(sharing(data_path=str(tmp_path))).load_service_model("bedrock-runtime", "service-2")
    assert model["metadata"] == {"mine": "ünïcödé"}


def test_no_folder_of_all_services_is_listed_for_a_client() -> None:
    """In a process of its own: what one session listed, all know."""
    script = """
import os, botocore.session
from agent.bedrock.aws.endpoints import EndpointTable
from agent.bedrock.aws.loader import quicken_loader
listed, genuine = [], os.listdir
os.listdir = lambda path: (listed.append(str(path)), genuine(path))[1]
session = botocore.session.Session()
quicken_loader(session)
session.create_client("bedrock-runtime", region_name="us-east-1")
assert listed and all("bedrock-runtime" in path for path in listed), listed
"""
    subprocess.run([sys.executable, "-c", script], check=True)


# --- endpoints --------------------------------------------------------------------------------------------------------


def table_of_botocore() -> tuple[str, Any]:
    """The text that is installed, and all that it says."""
    (path,) = Path(botocore.__file__).parent.glob("data/endpoints.json*")
    text = (gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()).decode()
    return text, json.loads(text)


def test_each_service_has_the_endpoints_that_botocore_gives_it() -> None:
    text, expected = table_of_botocore()
    found = EndpointTable(text).fresh()
    assert not isinstance(found["partitions"][0]["services"], dict)  # else all was parsed at once
    for ours, theirs in zip(found["partitions"], expected["partitions"], strict=True):
        assert "nothing" not in ours["services"]
        assert {name: ours["services"][name] for name in theirs["services"]} == theirs["services"]
        assert list(ours) == list(theirs)
    assert EndpointTable(text).fresh() == expected
    assert list(EndpointTable(text).fresh()["partitions"][0]["services"]) == list(expected["partitions"][0]["services"])


@pytest.mark.parametrize("layout", [{}, {"indent": 2}, {"indent": 4}, {"indent": 2, "separators": (",", " : ")}])
@pytest.mark.parametrize("wrapped", [False, True])
def test_a_table_that_is_laid_out_otherwise_says_the_same(layout: Any, wrapped: bool) -> None:
    _, expected = table_of_botocore()
    table = {"elsewhere": {"partitions": expected["partitions"][:2]}} if wrapped else expected
    assert EndpointTable(json.dumps(table, **layout)).fresh() == table


def test_partitions_that_are_somewhere_else_are_parsed_as_they_stand() -> None:
    text = '{\n  "others" : {\n    "services" : {\n      "a" : { }\n    }\n  }\n}'
    assert EndpointTable(text).fresh() == {"others": {"services": {"a": {}}}}
    assert EndpointTable(f"[{text}]").fresh() == [{"others": {"services": {"a": {}}}}]


def test_what_a_resolver_writes_into_a_service_stays_in_its_session() -> None:
    table = EndpointTable(table_of_botocore()[0])
    first, second = (table.fresh()["partitions"][0]["services"] for _ in range(2))
    first["bedrock"]["written"] = True
    assert first["bedrock"]["written"]
    assert "written" in dict(first)["bedrock"]
    assert "written" not in second["bedrock"]


@pytest.mark.parametrize("region", ["us-east-1", "eu-central-2", "us-gov-west-1", "cn-north-1", "nowhere-1"])
@pytest.mark.parametrize("service", ["bedrock-runtime", "bedrock", "sts", "sso"])
def test_botocores_resolver_finds_the_same_endpoints(region: str, service: str) -> None:
    resolve = [
        EndpointResolver(loader_of(session).load_data("endpoints")).construct_endpoint
        for session in (botocore.session.Session(), sharing())
    ]
    for variant in ({}, {"use_fips_endpoint": True}, {"use_dualstack_endpoint": True}):
        plain, ours = (construct(service, region, **variant) for construct in resolve)
        assert ours == plain
