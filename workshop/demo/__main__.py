"""`scripts/demo [TASK] [--model MODEL]`: on Amazon Bedrock where there are credentials and a model, else on a stand-in."""

from __future__ import annotations

import argparse
import contextlib
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from agent.bedrock import Bedrock, classify
from agent.bedrock.testing import FakeBedrock
from workshop.demo import stand_in
from workshop.demo.loop import run
from workshop.demo.screen import Screen
from workshop.loopback import bedrock_on

DEFAULT_TASK = (
    "What is in agent/bedrock? Read its chat.py and errors.py and work out how many lines they have together."
)

SYSTEM = "You are at work on a repository. Use the tools to find things out; never guess. Answer briefly."

STAND_IN_MODEL = "us.anthropic.claude-sonnet-4-5-20250929-v1:0"
"""The stand-in poses as this model, so that the rules of its family apply to every request."""


@dataclass(frozen=True, slots=True)
class Stage:
    """Where a run takes place, in words for the first line and as what the loop needs."""

    headline: str
    bedrock: Bedrock
    model: str


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the agent on the task and show what it does."""
    options = _options(arguments)
    screen = Screen()
    with _stage(options) as stage:
        screen.headline(stage.headline)
        screen.task(options.task)
        messages = [{"role": "system", "content": SYSTEM}, {"role": "user", "content": options.task}]
        try:
            tally = run(stage.bedrock, stage.model, messages, screen.watcher())
        except KeyboardInterrupt:
            return 130
        except Exception as error:  # noqa: BLE001 - whatever it is, the person gets our advice with it
            failure = classify(error)
            screen.trouble(f"{failure.kind}: {error}", failure.advice)
            return 1
        screen.closing(tally)
    return 0


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="scripts/demo", description=__doc__)
    parser.add_argument("task", nargs="*", help="what the agent is to do in this repository")
    parser.add_argument("--model", help="a model id or inference profile of Amazon Bedrock, as you have access to it")
    parser.add_argument("--region", help="its AWS region (default: as AWS's own tools find it)")
    parser.add_argument("--pace", type=float, default=0.012, help="the stand-in's pause between events, in seconds")
    options = parser.parse_args(arguments)
    options.task = " ".join(options.task) or DEFAULT_TASK
    return options


@contextlib.contextmanager
def _stage(options: argparse.Namespace) -> Iterator[Stage]:
    """Amazon Bedrock, or the embedded stand-in with the reason why."""
    if options.model and _has_credentials():
        bedrock = Bedrock(region=options.region)
        yield Stage(f"On Amazon Bedrock: {options.model}, {bedrock.region}", bedrock, options.model)
        return
    reason = "no AWS credentials were found" if options.model else "no --model was given"
    with (
        FakeBedrock(lambda request: stand_in.answer(request, pace=options.pace)) as fake,
        bedrock_on(fake) as bedrock,
    ):
        yield Stage(f"On the embedded stand-in, a scripted model over real boto3 ({reason})", bedrock, STAND_IN_MODEL)


def _has_credentials() -> bool:
    from agent.bedrock_adapter import has_aws_credentials

    return has_aws_credentials()


if __name__ == "__main__":
    sys.exit(main())
