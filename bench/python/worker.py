"""The process that a case runs in: it builds the case, and takes a turn for every line it reads.

It is started with one JSON argument, answers `{"ready": true}` or `{"absent": "why"}`, then one
JSON object of figures for each turn. A process of its own keeps each library's heap, threads and
name (ours and 0.1.1 share one) away from the others.
"""

from __future__ import annotations

import importlib
import json
import os
import sys
from typing import TextIO

from turns import Absent, Settings, Turn, sleeps


def build(settings: Settings) -> Turn:
    """Return what takes a turn of the case that the settings name."""
    library, case = settings["case"].split(".")
    if settings["kind"] == "threads":
        sleeps.count()  # before the library is imported: some take `sleep` from its module
    make = getattr(importlib.import_module(f"libraries.{library}"), case)
    kind = importlib.import_module(f"turns.{settings['kind']}")
    turn: Turn = kind.prepare(make(**settings.get("arguments", {})), settings)
    return turn


def main() -> None:
    """Take turns until there is nothing left to read."""
    out = os.fdopen(os.dup(sys.stdout.fileno()), "w", encoding="utf-8")
    sys.stdout = sys.stderr  # so that no library's print gets between the answers
    try:
        turn = build(json.loads(sys.argv[1]))
    except Absent as absent:
        reply(out, {"absent": str(absent)})
        return
    reply(out, {"ready": True})
    for _ in sys.stdin:
        reply(out, turn())


def reply(out: TextIO, answer: object) -> None:
    """Write one line for the process that started this one."""
    out.write(json.dumps(answer) + "\n")
    out.flush()


if __name__ == "__main__":
    main()
    os._exit(0)  # a library's background threads are not waited for
