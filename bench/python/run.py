"""The Python benchmarks: ours and its peers take turns, and the figures go into one JSON file.

`python bench/python/run.py --quick` shows that everything works; its figures are worth nothing.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import environments
import report
from rounds import Rounds
from rows import QUICK, Scale, Table
from tables import tables

HERE = Path(__file__).resolve().parent
DEPENDENCIES = {"Deprecated", "packaging", "typing_extensions", "wrapt"}


def main() -> None:
    """Run the rows that are wanted, and write them down."""
    arguments = parsed()
    began = time.monotonic()
    ours = environments.ours()
    original = environments.ready("original", HERE / "original.txt", ours)
    peers = environments.ready("peers", HERE / "peers.txt", ours)
    scale = QUICK if arguments.quick else Scale()
    rounds = Rounds(ours, original, peers, scale)
    found = [measured(table, rounds) for table in chosen(tables(scale), arguments.rows)]
    suite = {
        "suite": "python",
        "versions": versions(ours, peers),
        "machine": report.machine(),
        "quick": arguments.quick,
        "tables": [table for table in found if table["rows"]],
    }
    out = Path(arguments.out)
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(json.dumps(suite, indent=1, ensure_ascii=False) + "\n", "utf-8")
    print(f"\n{out} written after {time.monotonic() - began:.0f} s")


def parsed() -> argparse.Namespace:
    """Return the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="few rounds, small numbers")
    parser.add_argument("--rows", default="", help="only rows whose table and case contain this")
    parser.add_argument("--out", default="target/bench/python.json", help="the file to write")
    return parser.parse_args()


def chosen(all_tables: list[Table], part: str) -> Iterator[Table]:
    """Yield the tables with those measurements that have a row of such a name."""
    for table in all_tables:
        kept = tuple(
            one
            for one in table.measurements
            if any(part in f"{table.title} / {row.case}" for row in one.figures)
        )
        if kept:
            yield dataclasses.replace(table, measurements=kept)


def measured(table: Table, rounds: Rounds) -> dict[str, Any]:
    """Return a table with its rows, telling them as they come."""
    print(f"\n{table.title}", flush=True)
    rows: list[dict[str, Any]] = []
    for measurement in table.measurements:
        new = rounds.rows(measurement)
        print("\n".join(report.lines(new, table.unit)), flush=True)
        rows += new
    return {"title": table.title, "unit": table.unit, "note": table.note, "rows": rows}


def versions(ours: Path, peers: Path) -> dict[str, str]:
    """Return the version of everything that was measured."""
    pins = (HERE / "peers.txt").read_text("utf-8").splitlines()
    names = [pin.partition("==")[0] for pin in pins if "==" in pin]
    measured = [name for name in names if name not in DEPENDENCIES]
    return environments.versions(ours, ["limitpal"]) | environments.versions(peers, measured)


if __name__ == "__main__":
    main()
