"""Writes the benchmarks' page and its plots: `python bench/page/write.py target/bench/*.json`."""

from __future__ import annotations

import importlib
import json
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from text import Notes, Suite, page, tables

# mypy and pytest brought `tomli` where Python has nothing of its own.
toml: Any = importlib.import_module("tomllib" if sys.version_info >= (3, 11) else "tomli")

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
PAGE = ROOT / "docs" / "explanation" / "benchmarks.md"
NOTES = HERE / "notes.toml"


def main() -> None:
    """Read the suites and the notes; write the page, then the plots."""
    files = [Path(name) for name in sys.argv[1:]]
    missing = [str(file) for file in files if not file.is_file()]
    if missing or not files:
        sys.exit(
            f"no such file: {', '.join(missing)}" if missing else "name the suites' JSON files"
        )
    suites: list[Suite] = [json.loads(file.read_text("utf-8")) for file in files]
    notes = read_notes(NOTES)
    PAGE.parent.mkdir(parents=True, exist_ok=True)
    PAGE.write_text(page(suites, notes), "utf-8")
    for case in idle(notes, suites):
        print(f"{NOTES.name} explains {case!r}, which is not among the rows that were missed")
    plots = PAGE.with_suffix("")
    subprocess.run(
        [interpreter(), str(HERE / "plots.py"), str(plots), *map(str, files)], check=True
    )
    print(f"{PAGE.relative_to(ROOT)} written, and {len(list(plots.glob('*.svg')))} plots beside it")


def read_notes(file: Path) -> Notes:
    """Return why rows were missed, by their case; the file need not be there."""
    if not file.exists():
        return {}
    return {case: entry["why"] for case, entry in toml.loads(file.read_text("utf-8")).items()}


def idle(notes: Notes, suites: Iterable[Suite]) -> list[str]:
    """Return the notes that no missed row asks for."""
    missed = {
        row["case"]
        for _, table in tables(suites)
        for row in table["rows"]
        if row.get("verdict") == "missed"
    }
    return [case for case in notes if case not in missed]


def interpreter() -> str:
    """Return the Python that has matplotlib, in an environment made for it."""
    maker = HERE.parent / "python" / "environments.py"
    command = [sys.executable, str(maker), "plots", str(HERE / "plots.txt")]
    made = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    return made.stdout.strip()


if __name__ == "__main__":
    main()
