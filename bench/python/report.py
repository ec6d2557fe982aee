"""What the suite says at the end: the JSON that the page is made from, and lines to read."""

from __future__ import annotations

import os
import platform
from collections.abc import Iterator
from pathlib import Path
from typing import Any


def machine() -> dict[str, Any]:
    """Return what the figures were made on."""
    return {
        "cpu": processor(),
        "cores": os.cpu_count() or 0,
        "memory_gib": memory_gib(),
        "os": f"{platform.system()} {platform.release()}",
        "python": f"{platform.python_implementation()} {platform.python_version()}",
    }


def processor() -> str:
    """Return the processor's name, as Linux has it."""
    try:
        lines = Path("/proc/cpuinfo").read_text("utf-8").splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()


def memory_gib() -> int:
    """Return how much memory there is, rounded."""
    try:
        return round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30)
    except (ValueError, OSError, AttributeError):
        return 0


def lines(rows: list[dict[str, Any]], unit: str) -> Iterator[str]:
    """Yield the rows of a measurement as text."""
    told = ""
    for row in rows:
        if row["case"] != told:
            told = row["case"]
            yield f"  {told}, {row.get('unit', unit)}:"
            yield from (
                f"    {label:22} {number:>14,.4g}" for label, number in row["values"].items()
            )
        if target := row.get("target"):
            yield f"    {wanted(target)}: {row['ratio']:.4g}, {row['verdict']}"


def wanted(target: dict[str, Any]) -> str:
    """Return a target in words."""
    peer = target.get("peer")
    if "at_least" in target:
        return f"at least {target['at_least']:g} times {peer}"
    return f"at most {target['at_most']:g}" + (f" of {peer}" if peer else "")
