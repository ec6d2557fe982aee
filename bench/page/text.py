"""The text of the benchmarks' page, out of what the suites wrote: no files, no plots, no clock."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, TypeAlias

#: JSON objects as the suites write them.
Suite: TypeAlias = Mapping[str, Any]
Table: TypeAlias = Mapping[str, Any]
Row: TypeAlias = Mapping[str, Any]

#: What the notes say: by a row's case, why it was missed.
Notes: TypeAlias = Mapping[str, str]

OURS = "limitpal"

#: The order of the suites, and what the page calls each.
SUITES = {"rust": "Rust", "python": "Python", "instructions": "Instructions"}

MACHINE = {
    "cpu": "Processor",
    "cores": "Cores",
    "memory_gib": "Memory, GiB",
    "os": "System",
    "rustc": "Rust",
    "python": "Python",
}

OPENING = """\
# Benchmarks

<!-- Written by bench/page/write.py out of what the suites measured; change those, not this. -->

LimitPal and its peers take turns on one machine, round after round, in one run.
What counts is the ratio of two figures of one round.
Each ratio here is the median over the rounds, and so is each figure.
The machine is shared and noisy: compare within a table, not between pages.

## How to run them

```sh
make bench
```

One suite alone, or a few rows of it:

```sh
cargo run --release --manifest-path bench/rust/Cargo.toml -- --rows keyed
python bench/python/run.py --rows executor
python scripts/instructions.py --json target/bench/instructions.json
python bench/page/write.py target/bench/*.json
```

`--quick` shows in a minute that everything works; its figures are worth nothing.
The Python suite makes its own virtual environments, and runs every case in a process of its own.
"""


def in_order(suites: Iterable[Suite]) -> list[Suite]:
    """Return one suite of each name, in the order of the page.

    Rows that were measured apart come behind the others of their table, or in their place.
    """
    by_size = sorted(suites, key=lambda suite: -len(suite["tables"]))
    joined: dict[str, dict[str, Any]] = {}
    for suite in by_size:
        known = joined.setdefault(suite["suite"], {**suite, "tables": []})
        known["quick"] = bool(known.get("quick") or suite.get("quick"))
        for table in suite["tables"]:
            same = [one for one in known["tables"] if one["title"] == table["title"]]
            if same:
                again = {row["case"] for row in table["rows"]}
                kept = [row for row in same[0]["rows"] if row["case"] not in again]
                same[0]["rows"] = [*kept, *table["rows"]]
            else:
                known["tables"].append({**table, "rows": [*table["rows"]]})
    return sorted(joined.values(), key=lambda suite: list(SUITES).index(suite["suite"]))


def page(suites: Iterable[Suite], notes: Notes) -> str:
    """Return the whole page, in Markdown."""
    ordered = in_order(suites)
    parts = [
        OPENING,
        "\n".join(machine(ordered)),
        "\n".join(versions(ordered)),
        "\n".join(in_short(ordered)),
        *("\n".join(section(suite)) for suite in ordered),
        "\n".join(missed_and_why(ordered, notes)),
    ]
    return "\n".join(parts) + "\n"


def machine(suites: Iterable[Suite]) -> Iterator[str]:
    """Yield what the figures were made on."""
    known: dict[str, Any] = {}
    for suite in suites:
        known |= suite.get("machine", {})
    yield "## The machine\n"
    yield from (f"- {name}: {known[key]}" for key, name in MACHINE.items() if known.get(key))
    yield ""


def versions(suites: Iterable[Suite]) -> Iterator[str]:
    """Yield which version of everything was measured."""
    yield "## The versions\n"
    for suite in suites:
        found = suite.get("versions", {})
        if found:
            listed = ", ".join(f"{name} {version}" for name, version in found.items())
            yield f"- {SUITES[suite['suite']]}: {listed}."
    yield ""


def in_short(suites: Sequence[Suite]) -> Iterator[str]:
    """Yield how many targets were met."""
    rows = [row for _, table in tables(suites) for row in table["rows"] if row.get("target")]
    missed = [row for row in rows if row["verdict"] == "missed"]
    yield "## In short\n"
    hurried = [SUITES[suite["suite"]] for suite in suites if suite.get("quick")]
    if hurried:
        yield f"**Worth nothing: made with `--quick`: {', '.join(hurried)}.**\n"
    met = len(rows) - len(missed)
    yield f"There are {len(rows)} targets: {met} were met, {len(missed)} missed."
    if missed:
        yield "[What was missed, and why](#what-was-missed-and-why) stands at the end."
    yield ""


def section(suite: Suite) -> Iterator[str]:
    """Yield all the tables of a suite."""
    yield f"## {SUITES[suite['suite']]}\n"
    for table in suite["tables"]:
        yield f"### {table['title']}\n"
        yield from sentences(table.get("note", ""))
        yield f"Figures in {table['unit']}.\n" if named(table["unit"]) else ""
        yield from figures(table)
        yield ""
        told = [verdict_of(row, table) for row in table["rows"] if row.get("target")]
        if told:
            yield from told
            yield ""
        if plotted(table):
            described = f"{table['title']}: these figures as bars, on a logarithmic scale"
            yield f"![{described}](benchmarks/{slug(table)}.svg)\n"


def sentences(text: str) -> Iterator[str]:
    """Yield one sentence a line."""
    if text:
        yield re.sub(r"(?<=[.!?]) (?=[A-Z`])", "\n", text.strip())


def figures(table: Table) -> Iterator[str]:
    """Yield the medians as a Markdown table, whichever way it is narrower."""
    rows = cases(table)
    labels = list(dict.fromkeys(label for row in rows for label in row["values"]))
    names = [case_name(row, table) for row in rows]
    cells = [[cell(row, label, table) for label in labels] for row in rows]
    heads = [bold(label, table) for label in labels]
    if len(labels) > len(rows):
        names, heads = heads, names
        cells = [list(column) for column in zip(*cells, strict=True)]
    yield "| | " + " | ".join(heads) + " |"
    yield "|---|" + "---:|" * len(heads)
    for name, line in zip(names, cells, strict=True):
        yield f"| {name} | " + " | ".join(line) + " |"


def cases(table: Table) -> list[Row]:
    """Return one row for each case: a case with two targets stands in the JSON twice."""
    found: dict[str, dict[str, Any]] = {}
    for row in table["rows"]:
        if row["case"] in found:
            found[row["case"]]["values"] = {**found[row["case"]]["values"], **row["values"]}
        else:
            found[row["case"]] = dict(row)
    return list(found.values())


def case_name(row: Row, table: Table) -> str:
    """Return the case, with its unit if that is not the table's."""
    unit = row.get("unit", table["unit"])
    return str(row["case"]) if unit == table["unit"] else f"{row['case']}, {unit}"


def cell(row: Row, label: str, table: Table) -> str:
    """Return one figure."""
    if label not in row["values"]:
        return "–"
    text = number(row["values"][label])
    return f"**{text}**" if is_ours(label, table) else text


def bold(label: str, table: Table) -> str:
    """Return a column's name, ours in bold."""
    return f"**{label}**" if is_ours(label, table) else label


def is_ours(label: str, table: Table) -> bool:
    """Whether a column is about this LimitPal, and not about a peer or 0.1.1."""
    named_ours = {row["target"]["ours"] for row in table["rows"] if row.get("target")}
    return label in named_ours or label == OURS or label.startswith(f"{OURS} (")


def number(value: float) -> str:
    """Return a figure with about three digits."""
    size = abs(value)
    if size >= 1_000:
        return f"{value:,.0f}"
    if size >= 100 or value == int(value):
        return f"{value:.0f}"
    return f"{value:.1f}" if size >= 10 else f"{value:.2f}" if size >= 0.01 else f"{value:.2g}"


def verdict_of(row: Row, table: Table) -> str:
    """Return what became of a row's target, in words."""
    return f"- {row['case']}: {measured(row, table)}; {wanted(row)}: **{row['verdict']}**."


def measured(row: Row, table: Table) -> str:
    """Return a row's ratio in words."""
    target, ratio = row["target"], exact(row["ratio"])
    peer, ours = target.get("peer"), target["ours"]
    subject = "ours" if ours == OURS else f"`{ours}`"
    if peer is None:
        unit = row.get("unit", table["unit"])
        return f"{ratio} {unit}" if named(unit) else ratio
    if "at_least" in target:
        return f"{subject} is {ratio} times as fast as {peer}"
    return f"{subject} takes {ratio} times what {peer} takes"


def wanted(row: Row) -> str:
    """Return a row's target in words."""
    target = row["target"]
    if "at_least" in target:
        return f"the target is at least {target['at_least']:g}"
    return f"the target is at most {target['at_most']:g}"


def exact(ratio: float) -> str:
    """Return a ratio with enough digits to see on which side of its target it is."""
    return f"{ratio:.4g}"


def missed_and_why(suites: Iterable[Suite], notes: Notes) -> Iterator[str]:
    """Yield every case of which a target was missed, with what the notes say about it."""
    yield "## What was missed, and why\n"
    said: dict[tuple[str, str], list[str]] = {}
    for suite, table in tables(suites):
        for row in table["rows"]:
            if row.get("target") and row["verdict"] == "missed":
                sentence = f"{measured(row, table)}; {wanted(row)}."
                told = said.setdefault((SUITES[suite["suite"]], row["case"]), [])
                told.append(sentence[0].upper() + sentence[1:])
    for (suite_name, case), sentences_of_it in said.items():
        yield f"### {suite_name}: {case}\n"
        yield from sentences_of_it
        yield notes.get(case, "Nobody has written down why yet.").strip() + "\n"
    if not said:
        yield "Nothing was missed."


def tables(suites: Iterable[Suite]) -> Iterator[tuple[Suite, Table]]:
    """Yield every table with its suite."""
    for suite in suites:
        for table in suite["tables"]:
            yield suite, table


def named(unit: str) -> bool:
    """Whether a unit says what is counted: `ratio` and `as the row says` do not."""
    return bool(unit) and unit not in {"ratio", "as the row says"}


def plotted(table: Table) -> bool:
    """Whether a table has a row with something to compare."""
    return any(comparable(row) for row in table["rows"])


def comparable(row: Row) -> bool:
    """Whether a row has two figures that a bar can show."""
    values: Iterable[float] = row["values"].values()
    return sum(value > 0 for value in values) > 1


def slug(table: Table) -> str:
    """Return the name of a table's plot."""
    return re.sub(r"[^a-z0-9]+", "-", table["title"].lower()).strip("-")
