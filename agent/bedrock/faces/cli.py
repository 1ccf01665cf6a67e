"""The command line: serve, list models, ask something, and say what is wrong with the set-up.

In come arguments, out go text and an exit code: 0 it went well, 1 it did not (a call failed, the doctor found something),
2 the arguments or settings cannot be meant, 130 interrupted. Answers go to the standard output and everything else to the
standard error, so that a pipe carries answers only.
"""

from __future__ import annotations

import argparse
import logging
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from ..errors import SettingsError, classify
from .config import NO_CONFIGURATION, Configuration, read_configuration

if TYPE_CHECKING:
    from .backends import ConfiguredBedrock

WENT_WELL, FAILED, NOT_MEANT, INTERRUPTED = 0, 1, 2, 130

PACKAGE = __package__.rpartition(".")[0]
"""The package as it is imported here; it may live inside another one."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; the exit code."""
    options = _parser().parse_args(arguments)
    if options.run is not serve:
        logging.getLogger(PACKAGE).addHandler(logging.NullHandler())  # what matters is said in a sentence at the end
    try:
        return int(options.run(options))
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:
        sys.stderr.close()  # whoever read the answer has read enough, and the interpreter would complain of the pipe
        return FAILED
    except (SettingsError, ImportError) as error:
        return _complain(str(error), NOT_MEANT)
    except OSError as error:
        return _complain(error.strerror or type(error).__name__, FAILED)
    except Exception as error:  # noqa: BLE001 - a person at a terminal wants a sentence, not a traceback
        from .openai_errors import message_of

        return _complain(message_of(error, classify(error)), FAILED)


def _complain(text: str, code: int) -> int:
    sys.stderr.write(f"{text}\n")
    return code


# --- arguments --------------------------------------------------------------------------------------------------------


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(f"python -m {PACKAGE}", description="OpenAI chat completions on Amazon Bedrock.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    for name, (run, text, add) in _COMMANDS.items():
        command = commands.add_parser(name, help=text, description=text)
        command.set_defaults(run=run)
        command.add_argument("--config", type=_given, metavar="FILE", help="a TOML file: see docs/configuration.md")
        command.add_argument("--region", type=_given, help="instead of the configured one")
        command.add_argument("--profile", type=_given, help="a profile of the AWS files")
        command.add_argument("--endpoint-url", type=_given, metavar="URL", help="a gateway or VPC endpoint")
        add(command)
    return parser


def _given(text: str) -> str:
    """A variable that is not set leaves a blank behind, which must not pass for an argument that was left out."""
    if not text.strip():
        raise argparse.ArgumentTypeError("is blank")
    return text


def _port(text: str) -> int:
    if not text.isdecimal() or int(text) >= 65536:
        raise argparse.ArgumentTypeError("is no TCP port")
    return int(text)


def _add_backend(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--backend", type=_given, metavar="NAME", help="a backend of the configuration, instead of its default"
    )


def _add_models(command: argparse.ArgumentParser) -> None:
    _add_backend(command)
    command.add_argument("--json", action="store_true", help="everything that is known of them, a line each")


def _add_chat(command: argparse.ArgumentParser) -> None:
    _add_backend(command)
    command.add_argument("-m", "--model", default="", help="a model id, ARN or configured name")
    command.add_argument("-s", "--system", help="the system prompt")
    command.add_argument("--reasoning", action="store_true", help="show the model's reasoning, on the standard error")
    command.add_argument("prompt", nargs="*", help="what to ask; without it, or as -, the standard input")


def _add_serve(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--host", type=_given, help="the address to listen on; another than the loopback needs an API key"
    )
    command.add_argument("--port", type=_port, help="the TCP port; 0: a free one")
    command.add_argument("--model", help="what is called where a request names no model")
    command.add_argument(
        "--api-key-env",
        type=_given,
        metavar="NAME",
        action="append",
        help="a variable that holds an API key that callers may show",
    )
    command.add_argument(
        "--callers-credentials-only",
        action="store_true",
        help="refuse calls that bring no X-AWS-* credentials of their own",
    )
    command.add_argument("--log-level", choices=("debug", "info", "warning", "error"), default="info")


def _configuration(options: argparse.Namespace) -> Configuration:
    return read_configuration(options.config) if options.config else NO_CONFIGURATION


def _arguments(options: argparse.Namespace) -> dict[str, Any]:
    return {name: getattr(options, name) for name in ("region", "profile", "endpoint_url")}


def _bedrock(options: argparse.Namespace) -> ConfiguredBedrock:
    from .backends import Backends

    return Backends(_configuration(options), **_arguments(options)).bedrock(options.backend)


# --- commands ---------------------------------------------------------------------------------------------------------


def serve(options: argparse.Namespace) -> int:
    """Serve until a signal ends it."""
    from .server.run import serve as run

    configuration = _configuration(options)
    changes = {
        "host": options.host,
        "port": options.port,
        "api_key_env": tuple(options.api_key_env) if options.api_key_env else None,
        "server_credentials": False if options.callers_credentials_only else None,
    }
    server = replace(configuration.server, **{name: value for name, value in changes.items() if value is not None})
    configuration = replace(configuration, server=server)
    if options.model:
        configuration = replace(configuration, default_model=options.model)
    _log(options.log_level)
    try:
        run(configuration, **_arguments(options))
    except SystemExit:  # it could not listen, and uvicorn has said why
        return FAILED
    return WENT_WELL


def _log(level: str) -> None:
    """Ours and uvicorn's loggers only: botocore's debug log would show what is said, and to whom."""
    logging.basicConfig(format="%(asctime)s %(levelname)s %(name)s %(message)s", level=logging.WARNING)
    for name in (PACKAGE, "uvicorn.error"):
        logging.getLogger(name).setLevel(level.upper() if name == PACKAGE else max(logging.INFO, _number(level)))


def _number(level: str) -> int:
    return logging.getLevelNamesMapping()[level.upper()]


def models(options: argparse.Namespace) -> int:
    """List what there is to call: configured names first, then the region's models and profiles."""
    from .sse import json_text

    bedrock = _bedrock(options)
    for name, model in bedrock.backends.configuration.models.items():
        row = {"id": name, "model": model.model, "backend": model.backend, "owned_by": "configuration"}
        sys.stdout.write(f"{json_text(row) if options.json else f'{name}  ({model.model})'}\n")
    for entry in bedrock.models.list():
        sys.stdout.write(f"{json_text(entry.model_dump()) if options.json else entry.id}\n")
    return WENT_WELL


def chat(options: argparse.Namespace) -> int:
    """Ask once, and show the answer as it comes."""
    prompt = " ".join(options.prompt)
    if prompt in ("", "-"):
        prompt = sys.stdin.read()
    if not prompt.strip():
        return _complain("There is nothing to ask: give a prompt, or write one to the standard input.", NOT_MEANT)
    messages = [{"role": "system", "content": options.system}] if options.system else []
    messages.append({"role": "user", "content": prompt})
    shown: dict[str, Any] = {"on_text_delta": _show(sys.stdout)}
    if options.reasoning:
        shown["on_reasoning_delta"] = _show(sys.stderr)
    with _bedrock(options).stream(options.model, messages, **shown) as stream:
        completion = stream.completion()
    sys.stdout.write("\n")
    if completion.choices[0].finish_reason == "length":
        sys.stderr.write("(the answer was cut off at its longest length)\n")
    return WENT_WELL


def _show(where: Any) -> Callable[[str], None]:
    def show(text: str) -> None:
        where.write(text)
        where.flush()

    return show


def doctor(options: argparse.Namespace) -> int:
    """Say offline what calls would be made with, and what is wrong."""
    from .doctor import examine

    findings = examine(options.config, **_arguments(options))
    width = max(len(finding.what) for finding in findings)
    for finding in findings:
        mark = "!" if finding.is_problem else " "
        sys.stdout.write(f"{mark} {finding.what:{width}}  {finding.text}\n")
    return FAILED if any(finding.is_problem for finding in findings) else WENT_WELL


_COMMANDS: dict[str, tuple[Callable[[argparse.Namespace], int], str, Callable[[argparse.ArgumentParser], None]]] = {
    "serve": (serve, "Serve OpenAI's chat completions over HTTP.", _add_serve),
    "models": (models, "List what there is to call.", _add_models),
    "chat": (chat, "Ask once, and show the answer as it comes.", _add_chat),
    "doctor": (doctor, "Say, without asking AWS, what calls would be made with and what is wrong.", lambda _: None),
}
