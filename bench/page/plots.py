"""Draws the plots of the benchmarks' page: bars on a logarithmic scale, one panel for each case.

`python plots.py FOLDER JSON...` runs in an environment that has matplotlib. The same figures give
the same files, byte for byte.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from text import (
    Row,
    Table,
    case_name,
    cases,
    comparable,
    in_order,
    is_ours,
    named,
    number,
    plotted,
    slug,
    tables,
)

OURS = "#0b6e4f"
THEIRS = "#a9b4bd"
INK = "#24292f"

#: Inches.
WIDTH, BAR, HEAD = 8.0, 0.26, 0.36

SETTINGS: Any = {
    "svg.hashsalt": "limitpal",  # the ids inside the file are made from it
    "svg.fonttype": "none",  # text stays text
    "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans"],
    "font.size": 9,
    "text.color": INK,
    "axes.labelcolor": INK,
    "xtick.color": INK,
    "ytick.color": INK,
}


def main() -> None:
    """Draw every table that has something to compare; other plots in the folder go."""
    folder, *files = map(Path, sys.argv[1:])
    folder.mkdir(parents=True, exist_ok=True)
    for old in folder.glob("*.svg"):
        old.unlink()
    mpl.rcParams.update(SETTINGS)
    suites = [json.loads(file.read_text("utf-8")) for file in files]
    for _, table in tables(in_order(suites)):
        if plotted(table):
            draw(table, folder / f"{slug(table)}.svg")


def draw(table: Table, file: Path) -> None:
    """Write one table's plot."""
    rows = [row for row in cases(table) if comparable(row)]
    bars = [len(row["values"]) for row in rows]
    size = (WIDTH, sum(bars) * BAR + len(rows) * HEAD)
    figure = Figure(figsize=size, layout="constrained")
    panels: Any = figure.subplots(len(rows), 1, squeeze=False, height_ratios=bars)
    for axes, row in zip(panels[:, 0], rows, strict=True):
        panel(axes, row, table)
    figure.savefig(file, format="svg", metadata={"Date": None, "Creator": None})


def panel(axes: Axes, row: Row, table: Table) -> None:
    """Draw the bars of one case, the first column at the top; zero has no bar on such a scale."""
    labels, values = list(row["values"]), list(row["values"].values())
    places = range(len(values), 0, -1)
    colors = [OURS if is_ours(label, table) else THEIRS for label in labels]
    left = min(value for value in values if value > 0) / 2.5
    ends = [max(value, left) for value in values]
    axes.barh(places, ends, height=0.72, color=colors)
    axes.set_xscale("log")
    axes.set_xlim(left, max(values) * 3)
    axes.set_ylim(0.4, len(values) + 0.6)
    axes.set_yticks(list(places), labels)
    axes.set_title(title(row, table), loc="left", fontsize=9, fontweight="bold")
    for place, end, value in zip(places, ends, values, strict=True):
        axes.text(end, place, f" {number(value)}", va="center", fontsize=8)
    plain(axes, labels, table)


def title(row: Row, table: Table) -> str:
    """Return what stands over a panel: the case and its unit."""
    unit = row.get("unit", table["unit"])
    if unit != table["unit"] or not named(unit):
        return case_name(row, table)
    return f"{row['case']}, {unit}"


def plain(axes: Axes, labels: Sequence[str], table: Table) -> None:
    """Leave out what the numbers beside the bars say already."""
    axes.xaxis.set_visible(False)
    axes.tick_params(axis="y", length=0)
    for side in ("top", "right", "bottom"):
        axes.spines[side].set_visible(False)
    axes.spines["left"].set_color(THEIRS)
    for label, text in zip(axes.get_yticklabels(), labels, strict=True):
        label.set_fontweight("bold" if is_ours(text, table) else "normal")


if __name__ == "__main__":
    main()
