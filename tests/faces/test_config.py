"""The configuration file: what it may say, and where it is wrong."""

from __future__ import annotations

import dataclasses
import re
import textwrap
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.bedrock import Bedrock
from agent.bedrock.errors import SettingsError
from agent.bedrock.faces import config
from agent.bedrock.faces.config import Backend, Configuration, Model, ServerSettings, read_configuration
from agent.bedrock.faces.toml_lines import key_lines

Write = Callable[[str], Path]

EVERYTHING = """
default_backend = "work"
default_model = "sonnet"

[backends.work]
region = "eu-central-1"
profile = "work"
connect_timeout = 5
idle_timeout = 0
max_attempts = 2

[backends.gateway]
region = "us-east-1"
endpoint_url = "https://llm.example.com/bedrock/{region}.{model}"
bearer_token_env = "GATEWAY_TOKEN"
model = "us.amazon.nova-lite-v1:0"

[models.sonnet]
model = "eu.anthropic.claude-sonnet-4-5-20250929-v1:0"
fallbacks = ["spare", { region = "eu-west-1" }]

[models.sonnet.extra]
reasoning_effort = "high"
guardrailConfig = { guardrailIdentifier = "g", guardrailVersion = "1" }

[models.spare]
model = "eu.amazon.nova-pro-v1:0"
stream = false

[server]
host = "0.0.0.0"
api_key_env = ["KEY_A", "KEY_B"]
server_credentials = false
"""


@pytest.fixture
def write(tmp_path: Path) -> Write:
    def write(text: str) -> Path:
        path = tmp_path / "bedrock.toml"
        path.write_text(text, encoding="utf-8")
        return path

    return write


def test_everything_that_a_file_can_say(write: Write) -> None:
    path = write(EVERYTHING)
    guardrail = {"guardrailIdentifier": "g", "guardrailVersion": "1"}
    assert read_configuration(path) == Configuration(
        backends={
            "work": Backend(
                region="eu-central-1", profile="work", connect_timeout=5.0, idle_timeout=0.0, max_attempts=2
            ),
            "gateway": Backend(
                region="us-east-1",
                endpoint_url="https://llm.example.com/bedrock/{region}.{model}",
                bearer_token_env="GATEWAY_TOKEN",
                model="us.amazon.nova-lite-v1:0",
            ),
        },
        models={
            "sonnet": Model(
                "eu.anthropic.claude-sonnet-4-5-20250929-v1:0",
                extra={"reasoning_effort": "high", "guardrailConfig": guardrail},
                fallbacks=((None, "spare"), ("eu-west-1", None)),
            ),
            "spare": Model("eu.amazon.nova-pro-v1:0", stream=False),
        },
        server=ServerSettings(host="0.0.0.0", api_key_env=("KEY_A", "KEY_B"), server_credentials=False),
        default_backend="work",
        default_model="sonnet",
        path=str(path),
    )


def test_the_mark_that_some_editors_begin_a_file_with_is_no_part_of_it(write: Write) -> None:
    assert read_configuration(write("\ufeffdefault_model = 'm'\r\n")).default_model == "m"


def test_an_empty_file_is_as_good_as_none(write: Write) -> None:
    path = write("")
    assert read_configuration(path) == Configuration(path=str(path))


WRONG: dict[str, tuple[str, int | None, str]] = {
    "an unknown key": ("\n[backends.a]\nregoin = 'x'", 3, "backends.a.regoin is unknown; there are: region, profile"),
    "an unknown table": ("[backend.a]", 1, "backend is unknown"),
    "an unknown key of the server": ("[server]\n\nports = 1", 3, "server.ports is unknown"),
    "a wrong type": ("[server]\nport = '80'", 2, "server.port is not a TCP port"),
    "a bool for a number": ("[backends.a]\nmax_attempts = true", 2, "backends.a.max_attempts is not a whole number"),
    "a number for a text": ("[backends.a]\nregion = 1", 2, "backends.a.region is not a string"),
    "a blank text": ("[backends.a]\nregion = ' '", 2, "backends.a.region is blank"),
    "a value for a table": ("models = 1", 1, "models is not a table"),
    "a value for a backend": ("backends.a = 1", 1, "backends.a is no table"),
    "seconds that are none": ("[server]\ncall_seconds = 0", 2, "server.call_seconds is not a number of seconds"),
    "no address": ("[backends.a]\nendpoint_url = 'llm.example.com'", 2, "backends.a.endpoint_url is not an address"),
    "a model without a model": ("\n[models.a]\nstream = false", 2, "models.a needs model"),
    "a secret": ("[backends.a]\nbearer_token = 's3cret'", 2, "backends.a.bearer_token is not taken: no secret"),
    "a server's secret": ("[server]\napi_key = 's3cret'", 2, "server.api_key is not taken: no secret"),
    "half a pair": ("[backends.a]\naccess_key_id_env = 'A'", 1, "backends.a needs access_key_id_env and secret_acc"),
    "two kinds of credentials": (
        "[backends.a]\nprofile = 'p'\nbearer_token_env = 'T'",
        1,
        "backends.a takes one of profile, access keys and bearer token",
    ),
    "an unknown default": ("default_backend = 'b'", 1, "default_backend names a backend that is not in this file"),
    "no default of several": ("[backends.a]\n[backends.b]", 1, "backends are several: say default_backend"),
    "an unknown backend of a model": (
        "[models.a]\nmodel = 'm'\nbackend = 'b'",
        3,
        "models.a.backend names a backend that is not in this file",
    ),
    "a name of a name": ("[models.a]\nmodel = 'b'\n[models.b]\nmodel = 'm'", 2, "models.a.model names another name"),
    "a fallback elsewhere": (
        "[backends.x]\n[models.a]\nmodel = 'm'\nfallbacks = ['b']\n[models.b]\nmodel = 'n'\nbackend = 'x'",
        4,
        "models.a.fallbacks stay within one backend",
    ),
    "a fallback that is none": (
        "[models.a]\nmodel = 'm'\nfallbacks = [{}]",
        3,
        "models.a.fallbacks.0 is not a model, or",
    ),
    "fallbacks that are no list": (
        "[models.a]\nmodel = 'm'\nfallbacks = 'b'",
        3,
        "models.a.fallbacks is not a list of",
    ),
    "an unknown option": (
        "[models.a]\nmodel = 'm'\nextra = { temperature = 1, temprature = 2 }",
        3,
        "models.a.extra.temprature is not an option of a chat completion",
    ),
    "what a call says": (
        "[models.a]\nmodel='m'\n[models.a.extra]\nstream = true",
        4,
        "models.a.extra.stream is not for",
    ),
    "no number of JSON's": (
        "[models.a]\nmodel='m'\n[models.a.extra]\ntop_p = 1\ntemperature = nan",
        5,
        "models.a.extra.temperature is not something that JSON has",
    ),
    "an option of the wrong type": (
        "[models.a]\nmodel='m'\n[models.a.extra]\nmax_tokens = 5\ntemperature = 'hot'",
        5,
        "models.a.extra.temperature is refused: temperature: not a number",
    ),
    "an option with a value that there is not": (
        "[models.a]\nmodel='m'\nextra.reasoning_effort = 'colossal'",
        3,
        "models.a.extra.reasoning_effort is refused: reasoning_effort: 'colossal' is none of",
    ),
    "a member of the wrong type": (
        "[models.a]\nmodel='m'\nextra.inferenceConfig = 5",
        3,
        "models.a.extra.inferenceConfig is refused: extra.inferenceConfig: not an object",
    ),
    "a member by a name of ours": (
        "[models.a]\nmodel='m'\n[models.a.extra]\ntop_p = 1\nguardrailConfig = 5",
        5,
        "models.a.extra.guardrailConfig is refused: guardrail_config: names no guardrail",
    ),
    "a token in the clear": (
        "[backends.a]\nbearer_token_env = 'T'\nendpoint_url = 'HTTP://llm.example.com'",
        3,
        "backends.a.endpoint_url is not https",
    ),
    "a fallback with an unknown key": (
        "[models.a]\nmodel = 'm'\nfallbacks = [\n  'b',\n  { region = 'eu-west-1', modell = 'c' },\n]",
        5,
        "models.a.fallbacks.1.modell is unknown; there are: region, model",
    ),
    "a fallback of the wrong type": (
        "[models.a]\nmodel = 'm'\nfallbacks = [\n  'b',\n  5,\n]",
        5,
        "models.a.fallbacks.1 is not a model, or a table with region and model",
    ),
    "a fallback in a table of its own": (
        "[models.a]\nmodel = 'm'\n[[models.a.fallbacks]]\nregion = 'eu-west-1'\n[[models.a.fallbacks]]\nregion = 5",
        6,
        "models.a.fallbacks.1.region is not a string",
    ),
    "a name of a key that is none": (
        "[server]\napi_key_env = [\n  'A',\n  5 ]",
        4,
        "server.api_key_env.1 is not a string",
    ),
    "a region that is none": ("[backends.a]\nregion = 'us-east-1/../'", 2, "backends.a.region is not a region's name"),
    "too many attempts": (
        "[backends.a]\nmax_attempts = 20000",
        2,
        "backends.a.max_attempts is not a whole number from 1 to 10000",
    ),
    "too many calls at once": (
        "[server]\nmax_concurrency = 10001",
        2,
        "server.max_concurrency is not a whole number from",
    ),
    "a number in a text": ("[backends.a]\nread_timeout = '5'", 2, "backends.a.read_timeout is not a number of seconds"),
    "more seconds than there are": ("[server]\ncall_seconds = 1" + "0" * 400, 2, "server.call_seconds is not a number"),
    "a port that is none": (
        "[backends.a]\nendpoint_url = 'http://h:99999'",
        2,
        "backends.a.endpoint_url is not an addr",
    ),
    "half an address": ("[backends.a]\nendpoint_url = 'http://[::1'", 2, "backends.a.endpoint_url is not an address"),
    "a pattern of something else": (
        "[backends.a]\nendpoint_url = 'https://h/{regoin}.{model}'",
        2,
        "backends.a.endpoint_url is not an address: in braces there may stand region and model",
    ),
    "a secret for a name": (
        "[backends.a]\nbearer_token_env = 's3cret+/='",
        2,
        "backends.a.bearer_token_env is not the",
    ),
    "a blank name": ("[models.' ']\nmodel = 'm'", 1, "models.  is no name"),
    "a name with space around it": ("[backends.'a ']\nregion = 'us-east-1'", 1, "backends.a  is no name"),
    "a key of another language": ('"\\U0001F600\\t" = 1\n"a\tb" = 1', 1, "\U0001f600\t is unknown"),
    "a nest without end": ("[models.a]\nmodel = 'm'\nextra.stop = " + "[" * 5000 + "]" * 5000, None, "is nested too"),
    "what JSON has not": (
        "[models.a]\nmodel='m'\n[models.a.extra.metadata]\nday = 2026-01-01",
        4,
        "models.a.extra.metadata.day is not something that JSON has",
    ),
    "no TOML": ("a = \n", None, "is no TOML: Invalid value (at line 1, column 5)"),
}


@pytest.mark.parametrize("name", WRONG)
def test_what_is_wrong_is_refused_with_file_line_and_key(name: str, write: Write) -> None:
    text, line, complaint = WRONG[name]
    path = write(text)
    with pytest.raises(SettingsError) as raised:
        read_configuration(path)
    place = f"{path}:{line}: " if line else f"{path} "
    assert str(raised.value).startswith(f"{place}{complaint}")
    assert "s3cret" not in str(raised.value)


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"missing\.toml cannot be read: No such file"):
        read_configuration(tmp_path / "missing.toml")
    (tmp_path / "latin.toml").write_bytes(b'default_model = "\xe9"')
    with pytest.raises(SettingsError, match=r"latin\.toml cannot be read: it is not UTF-8"):
        read_configuration(tmp_path / "latin.toml")


def test_a_named_variable_that_is_not_set_is_named_with_its_line(write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write("[backends.gateway]\nregion = 'us-east-1'\nbearer_token_env = 'GATEWAY_TOKEN'")
    with pytest.raises(SettingsError) as raised:
        Bedrock.from_config(path)
    assert str(raised.value) == f"{path}:3: backends.gateway.bearer_token_env names GATEWAY_TOKEN, which is not set"
    monkeypatch.setenv("GATEWAY_TOKEN", "s3cret")
    assert "s3cret" not in repr(Bedrock.from_config(path))


def test_an_unknown_backend_is_refused_with_those_that_there_are(write: Write) -> None:
    with pytest.raises(SettingsError, match="there is no backend 'c'; there are: a"):
        Bedrock.from_config(write("[backends.a]\nregion = 'us-east-1'"), backend="c")


# --- lines ------------------------------------------------------------------------------------------------------------

TRICKY = '''\
# [no.table] a = 1
top = "# no comment = 1"
multi = """
[not.a.table]
key = 1
"""  # [nor.this]
lit = \'\'\'
x = """
\'\'\'
nested = [
  "a", # b = 1
  { c = 1 }, [2],
]
inline = { one = 1, "two words" = { three = [1, { four = 4 }], five = 5 }, six.seven = 7 }
["quoted.name".'other']
a."b.c".d = 1
[[tables]]
e = 1
[[tables]]
f = 1
'''


def test_lines_are_those_of_the_keys_whatever_stands_around_them() -> None:
    tomllib.loads(TRICKY)
    lines = {".".join(path): line for path, line in key_lines(TRICKY).items()}
    assert lines == {
        "top": 2,
        "multi": 3,
        "lit": 7,
        "nested": 10,
        "nested.0": 11,
        "nested.1": 12,
        "nested.1.c": 12,
        "nested.2": 12,
        "nested.2.0": 12,
        "inline": 14,
        "inline.one": 14,
        "inline.two words": 14,
        "inline.two words.three": 14,
        "inline.two words.three.0": 14,
        "inline.two words.three.1": 14,
        "inline.two words.three.1.four": 14,
        "inline.two words.five": 14,
        "inline.six": 14,
        "inline.six.seven": 14,
        "quoted.name": 15,
        "quoted.name.other": 15,
        "quoted.name.other.a": 16,
        "quoted.name.other.a.b.c": 16,
        "quoted.name.other.a.b.c.d": 16,
        "tables": 17,
        "tables.0": 17,
        "tables.0.e": 18,
        "tables.1": 19,
        "tables.1.f": 20,
    }


KEYS = st.text("ab-_1", min_size=1, max_size=3) | st.text('a. #="\\[', min_size=1, max_size=3)
VALUES = st.sampled_from(
    ["1", "-1.5", '"x # = [ {"', "'a\"'", "[1,\n 2]", "{ }", '"""a\n[b]\nc = 1"""', "'''\n'''", "1979-05-27T07:32:00Z"]
)


def quoted(key: str) -> str:
    escaped = key.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


@given(st.dictionaries(KEYS, st.dictionaries(KEYS, VALUES, max_size=4), max_size=4))
def test_the_scanner_finds_every_key_that_tomllib_finds_on_its_line(tables: dict[str, dict[str, str]]) -> None:
    text, expected = "", {}
    for table, pairs in tables.items():
        expected[table,] = text.count("\n") + 1
        text += f"[{quoted(table)}] # comment\n"
        for key, value in pairs.items():
            expected[table, key] = text.count("\n") + 1
            text += f"{quoted(key)} = {value} # comment\n"
    read: Any = tomllib.loads(text)
    assert {name: set(table) for name, table in read.items()} == {name: set(pairs) for name, pairs in tables.items()}
    assert {path: line for path, line in key_lines(text).items() if len(path) < 3} == expected


# --- documents --------------------------------------------------------------------------------------------------------

ROOT = Path(__file__).resolve().parents[2]


def test_the_documented_file_is_read_and_shows_every_key_of_its_tables(write: Write) -> None:
    page = (ROOT / "docs/configuration.md").read_text(encoding="utf-8")
    read = read_configuration(write(re.findall(r"```toml\n(.*?)```", page, re.DOTALL)[0]))
    assert set(read.backends) == {"work", "team", "gateway"}
    named = set(re.findall(r"`([a-z_]+)`", page))
    for table in (Backend, Model, ServerSettings):
        assert {field.name for field in dataclasses.fields(table)} <= named
    assert {name for table in (config._TOP, config._BACKEND, config._MODEL, config._SERVER) for name in table} == {
        *(field.name for table in (Backend, Model, ServerSettings) for field in dataclasses.fields(table)),
        *("default_backend", "default_model", "backends", "models", "server"),
    }


def test_the_documented_defaults_of_the_server_are_those_of_the_code() -> None:
    page = (ROOT / "docs/configuration.md").read_text(encoding="utf-8")
    defaults = ServerSettings()
    for row in re.findall(r"^\| (`.*`) \| ([\d., ]+) \|", page, re.MULTILINE):
        names, values = re.findall(r"`(\w+)`", row[0]), row[1].split(", ")
        if hasattr(defaults, names[0]):
            assert [str(getattr(defaults, name)).removesuffix(".0") for name in names] == values


def test_the_configuration_in_the_compose_file_is_read(write: Write) -> None:
    text = (ROOT / "compose.yaml").read_text(encoding="utf-8")
    inside = re.search(r"  bedrock:\n    content: \|\n(.*?)\n  balancer:", text, re.DOTALL)
    assert inside is not None
    read = read_configuration(write(textwrap.dedent(inside[1])))
    assert read.server.api_key_env == ("SERVER_KEY",)
    assert "  stop_grace_period: 11m" in text
    assert read.server.drain_seconds < 11 * 60
