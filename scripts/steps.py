"""A list of steps, run one after another: every one runs, and the closing lines tell how each went.

A step that cannot run here is skipped aloud: its name and the reason stand in the closing lines.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PYTHON = sys.executable


class Failed(Exception):
    """Raised by a step that found something wrong; its text is the reason."""


class Skipped(Exception):
    """Raised by a step that cannot run here; its text is the reason and the way out."""


@dataclass
class Outcome:
    """How one step went."""

    name: str
    verdict: str
    seconds: float
    reason: str = ""


@dataclass
class Steps:
    """The steps run so far, under the word of the Makefile that asked for them."""

    word: str
    outcomes: list[Outcome] = field(default_factory=list)

    def run(self, name: str, action: Callable[[], None]) -> None:
        """Runs one step, telling its name first and remembering how it went."""
        print(f"\n=== {self.word}: {name}", flush=True)
        began = time.monotonic()
        verdict, reason = "ok", ""
        try:
            action()
        except Skipped as skip:
            verdict, reason = "skipped", str(skip)
        except Failed as failure:
            verdict, reason = "FAILED", str(failure)
        if reason:
            print(f"{verdict}: {reason}", flush=True)
        self.outcomes.append(Outcome(name, verdict, time.monotonic() - began, reason))

    def command(self, name: str, *command: str, **environment: str) -> None:
        """Runs one step that is a single command."""
        self.run(name, lambda: call(*command, **environment))

    def close(self, *notes: str) -> int:
        """Prints the closing lines; returns the exit status."""
        width = max(len(outcome.name) for outcome in self.outcomes)
        print(f"\n=== {self.word}: summary")
        for outcome in self.outcomes:
            line = f"{outcome.verdict:<8} {outcome.name:<{width}} {outcome.seconds:6.1f} s"
            print(f"{line}  {outcome.reason}".rstrip())
        for note in notes:
            print(note)
        failed = [outcome.name for outcome in self.outcomes if outcome.verdict == "FAILED"]
        skipped = [outcome.name for outcome in self.outcomes if outcome.verdict == "skipped"]
        print(f"skipped: {', '.join(skipped) or 'nothing'}")
        good = "green but for what was skipped" if skipped else "all green"
        print(f"make {self.word}: " + (f"FAILED: {', '.join(failed)}" if failed else good))
        sys.stdout.flush()
        return 1 if failed else 0


def call(*command: str, **environment: str) -> None:
    """Runs a command at the root of the project; a failure names the command to repeat."""
    shown = shown_command(command)
    print(f"$ {shown}", flush=True)
    try:
        status = subprocess.run(command, cwd=ROOT, env=os.environ | environment).returncode
    except FileNotFoundError:
        raise Failed(f"no {command[0]} on the PATH") from None
    if status:
        raise Failed(f"exit status {status} from: {shown}")


def read(*command: str) -> str:
    """Runs a command at the root of the project and returns what it prints."""
    try:
        done = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
    except FileNotFoundError:
        raise Failed(f"no {command[0]} on the PATH") from None
    if done.returncode:
        raise Failed(f"exit status {done.returncode} from: {shown_command(command)}")
    return done.stdout


def shown_command(command: tuple[str, ...]) -> str:
    """The command as somebody at the root of the project would type it."""
    return " ".join(word.replace(f"{ROOT}{os.sep}", "") for word in command)
