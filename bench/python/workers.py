"""This side of a worker: a process that runs one case, and takes a turn when told to."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

PROGRAM = Path(__file__).resolve().parent / "worker.py"


class Worker:
    """A process with one case in it, waiting for its turn."""

    def __init__(self, python: Path, settings: Mapping[str, Any]) -> None:
        self.case = settings["case"]
        # Without the user's PYTHON* variables and site: every case has the same surroundings.
        command = [str(python), "-Es", "-W", "ignore", str(PROGRAM), json.dumps(settings)]
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, encoding="utf-8"
        )
        first = self._read()
        #: Why the case cannot run here, if it cannot.
        self.absent: str | None = first.get("absent")

    def turn(self) -> dict[str, float]:
        """Have the case take a turn, and return its figures."""
        assert self.process.stdin is not None
        self.process.stdin.write("\n")
        self.process.stdin.flush()
        return self._read()

    def close(self) -> None:
        """End the process."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.close()
        self.process.stdout.close()
        self.process.wait()

    def _read(self) -> dict[str, Any]:
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line:
            self.process.wait()
            raise RuntimeError(f"`{self.case}` ended early; its error stands above")
        answer: dict[str, Any] = json.loads(line)
        return answer
