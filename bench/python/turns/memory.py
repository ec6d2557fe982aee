"""How much the process grows for each of many new keys, which are made on the fly."""

from __future__ import annotations

import gc
import os
from pathlib import Path

from . import Absent, Settings, Turn
from .loop import runner
from .statement import Statement


def prepare(case: Statement, settings: Settings) -> Turn:
    """Return a function that touches the keys, once: the process is of no use afterwards."""
    once = runner(case)
    count = settings["keys"]
    resident()  # says now if it cannot say it later
    once(["first"])

    def turn() -> dict[str, float]:
        before = resident()
        seconds = once(f"user:{number}" for number in range(count))
        return {"bytes": (resident() - before) / count, "ns": seconds / count * 1e9}

    return turn


def resident() -> int:
    """Return how many bytes of memory the process occupies, rubbish thrown away."""
    gc.collect()
    try:
        pages = Path("/proc/self/statm").read_text("ascii").split()[1]
    except OSError:
        raise Absent("only Linux says in /proc how much memory a process occupies") from None
    return int(pages) * os.sysconf("SC_PAGE_SIZE")
