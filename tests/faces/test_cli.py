"""The command line: what it prints where, and its exit codes."""

from __future__ import annotations

import errno
import io
import json
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from agent.bedrock.faces import cli, doctor
from agent.bedrock.testing import FakeBedrock, Reasoning, Refusal, Reply, Text

ROOT = Path(__file__).resolve().parents[2]
NOVA = "us.amazon.nova-lite-v1:0"


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeBedrock]:
    with FakeBedrock(lambda _: Reply(Reasoning("Hm.", "c2ln"), Text(["Hel", "lo."]))) as fake:
        for name, value in {
            "AWS_ENDPOINT_URL_BEDROCK_RUNTIME": fake.url,
            "AWS_ENDPOINT_URL_BEDROCK": fake.url,
            "AWS_ACCESS_KEY_ID": "AKIDEXAMPLE",
            "AWS_SECRET_ACCESS_KEY": "not-a-secret",
            "AWS_REGION": "us-east-1",
            "BEDROCK_MAX_ATTEMPTS": "1",
        }.items():
            monkeypatch.setenv(name, value)
        yield fake


def run(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    code = cli.main(arguments)
    said = capsys.readouterr()
    return code, said.out, said.err


# --- chat and models --------------------------------------------------------------------------------------------------


def test_chat_streams_the_answer_to_the_standard_output(fake: FakeBedrock, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(capsys, "chat", "-m", NOVA, "-s", "Be brief.", "Say", "hello") == (0, "Hello.\n", "")
    body = fake.requests[0].body
    assert fake.requests[0].operation == "converse-stream"
    assert body["system"] == [{"text": "Be brief."}]
    assert body["messages"][0]["content"][0] == {"text": "Say hello"}


def test_chat_reads_the_standard_input_and_shows_reasoning_apart(
    fake: FakeBedrock, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO("From a pipe"))
    assert run(capsys, "chat", "-m", NOVA, "--reasoning") == (0, "Hello.\n", "Hm.")
    assert fake.requests[0].body["messages"][0]["content"][0] == {"text": "From a pipe"}


def test_chat_says_why_it_failed_in_a_sentence(fake: FakeBedrock, capsys: pytest.CaptureFixture[str]) -> None:
    fake.queue(Refusal("AccessDeniedException", "You don't have access to the model."))
    code, out, said = run(capsys, "chat", "-m", NOVA, "Hi")
    assert (code, out) == (1, "")
    assert said.startswith("AccessDeniedException: You don't have access to the model.")


def test_a_model_is_asked_for_where_none_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    code, _, said = run(capsys, "chat", "Hi")
    assert (code, said) == (1, "model: names no model, and none is configured as the default\n")


def test_models_are_listed_with_the_configured_names_first(
    fake: FakeBedrock, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    path = tmp_path / "bedrock.toml"
    path.write_text(f'[models.fast]\nmodel = "{NOVA}"\n')
    code, out, _ = run(capsys, "models", "--config", str(path))
    assert (code, out.splitlines()[0]) == (0, f"fast  ({NOVA})")
    assert len(out.splitlines()) > 2
    rows = [json.loads(line) for line in run(capsys, "models", "--json", "--config", str(path))[1].splitlines()]
    assert rows[0]["id"] == "fast"
    assert {"id", "owned_by", "input_modalities"} <= rows[-1].keys()


def test_a_file_that_is_wrong_is_the_settings_fault(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "bedrock.toml"
    path.write_text("[server]\nprot = 1\n")
    for command in (["models"], ["chat", "Hi"], ["serve"]):
        code, _, said = run(capsys, *command, "--config", str(path))
        assert code == 2
        assert said.startswith(f"{path}:2: server.prot is unknown")


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["serve", "--port", "99999"], "argument --port: is no TCP port"),
        (["serve", "--port", "-1"], "argument --port: is no TCP port"),
        (["serve", "--api-key-env", ""], "argument --api-key-env: is blank"),
        (["models", "--config", " "], "argument --config: is blank"),
        (["chat", "--region", "", "Hi"], "argument --region: is blank"),
    ],
)
def test_an_argument_that_cannot_be_meant_is_refused_by_name(
    arguments: list[str], complaint: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        cli.main(arguments)
    assert ended.value.code == 2
    assert complaint in capsys.readouterr().err


def test_nothing_is_asked_where_there_is_nothing_to_ask(
    fake: FakeBedrock, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO(" \n"))
    code, _, said = run(capsys, "chat", "-m", NOVA)
    assert (code, said) == (2, "There is nothing to ask: give a prompt, or write one to the standard input.\n")
    assert not fake.requests


@pytest.mark.parametrize("command", ["models", "serve", "doctor"])
def test_a_region_that_is_none_is_refused_before_anybody_is_asked(
    command: str, fake: FakeBedrock, capsys: pytest.CaptureFixture[str]
) -> None:
    code, out, said = run(capsys, command, "--region", "us-east-1/../")
    assert code == (1 if command == "doctor" else 2)
    assert "'us-east-1/../' is no name of a region" in (out if command == "doctor" else said)


def test_an_output_that_cannot_be_written_is_said(
    fake: FakeBedrock, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    class Full(io.StringIO):
        def write(self, _: str) -> int:
            raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(sys, "stdout", Full())
    assert cli.main(["models"]) == 1
    assert capsys.readouterr().err == "No space left on device\n"


def test_an_interrupted_command_says_so_by_its_code(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(_: Any) -> Any:
        raise KeyboardInterrupt

    monkeypatch.setattr(cli, "_bedrock", interrupted)
    assert run(capsys, "chat", "Hi")[0] == 130


# --- serve ------------------------------------------------------------------------------------------------------------


def test_to_serve_elsewhere_without_a_key_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("starlette")
    code, _, said = run(capsys, "serve", "--host", "0.0.0.0")
    assert code == 2
    assert "an API key is required" in said


def test_a_port_that_is_taken_is_a_failure_without_a_traceback(capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("uvicorn")
    with socket.create_server(("127.0.0.1", 0)) as taken:
        code, _, said = run(capsys, "serve", "--port", str(taken.getsockname()[1]))
    assert code == 1
    assert "Traceback" not in said


def test_without_the_extra_serving_says_what_to_install(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "starlette.applications", None)
    code, _, said = run(capsys, "serve")
    assert (code, said) == (2, "The server needs starlette: pip install 'bedrock-chat-adapter[server]'\n")


# --- doctor -----------------------------------------------------------------------------------------------------------


@pytest.fixture(autouse=True)
def few_distributions(monkeypatch: pytest.MonkeyPatch) -> None:
    """To read the files of all that is installed takes a third of a second; the doctor in a process of its own does."""
    monkeypatch.setattr(doctor, "_distributions", list)


def examined(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, dict[str, str]]:
    code, out, _ = run(capsys, "doctor", *arguments)
    rows: dict[str, str] = {}
    for line in out.splitlines():
        what, _, text = line[2:].partition("  ")
        rows[what] = "; ".join(filter(None, (rows.get(what), f"{line[0].strip()}{text.strip()}")))
    return code, rows


def test_the_doctor_says_what_calls_would_be_made_with(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "s3cret")
    monkeypatch.setenv("AWS_REGION", "eu-west-1")
    code, rows = examined(capsys)
    assert code == 0
    assert rows["backend"] == "region eu-west-1, from AWS_REGION; credentials: access keys from AWS_ACCESS_KEY_ID"
    assert rows["adapter"] == str(ROOT / "agent")
    assert {"python", "boto3", "botocore", "urllib3", "extras", "environment", "server"} <= rows.keys()
    assert "s3cret" not in str(rows)
    assert "AKIDEXAMPLE" not in str(rows)


def test_the_doctor_finds_what_is_wrong(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BEDROCK_READ_TIMEOUT", "soon")
    code, rows = examined(capsys)
    assert code == 1
    assert rows["environment"].startswith("!BEDROCK_READ_TIMEOUT is 'soon'")
    assert rows["backend"].endswith("!credentials: none: no credentials are configured")


def test_the_doctor_reads_the_configuration(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "bedrock.toml"
    path.write_text(
        'default_backend = "a"\n[backends.a]\nregion = "us-east-1"\nbearer_token_env = "NO_TOKEN"\n'
        '[backends.b]\nregion = "us-west-2"\nendpoint_url = "https://u:s3cret@gw/x"\nprofile = "nobody"\n'
        '[server]\nhost = "0.0.0.0"\n'
    )
    code, rows = examined(capsys, "--config", str(path))
    assert code == 1
    assert rows["backend a"] == f"!{path}:4: backends.a.bearer_token_env names NO_TOKEN, which is not set"
    assert "endpoint https://gw/x" in rows["backend b"]
    assert "!credentials: none: there is no profile 'nobody'" in rows["backend b"]
    assert rows["server"].startswith("!to listen on 0.0.0.0 an API key is required")
    path.write_text("x = 1")
    assert examined(capsys, "--config", str(path))[1]["configuration"].startswith(f"!{path}:1: x is unknown")


def test_the_doctor_finds_what_every_other_command_would_refuse(capsys: pytest.CaptureFixture[str]) -> None:
    code, rows = examined(capsys, "--endpoint-url", "garbage")
    assert code == 1
    assert rows["backend"].startswith("!endpoint_url is no address")


def test_the_doctor_sees_other_packages_called_agent(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "agent").mkdir()
    (tmp_path / "agent" / "__init__.py").touch()
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(doctor, "_distributions", lambda: ["agent", "bedrock-chat-adapter"])
    code, rows = examined(capsys)
    assert code == 1
    assert f"!{tmp_path}/agent/__init__.py is called agent, too" in rows["package"]
    assert "!agent and bedrock-chat-adapter install a package called agent" in rows["package"]


def test_the_doctor_stays_offline() -> None:
    """In an interpreter that cannot open a socket."""
    code = (
        "import socket, sys\n"
        "def refuse(*_a, **_k): raise SystemExit('a socket was opened')\n"
        "socket.socket.connect = refuse\n"
        "from agent.bedrock.faces.cli import main\n"
        "main(['doctor'])\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "credentials" in done.stdout
