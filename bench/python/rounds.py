"""Rounds: in each, every column of a row takes its turn; the first is thrown away.

A machine that others share makes every figure wobble, so what counts is the ratio of two figures
of one round, and of those the median over the rounds.
"""

from __future__ import annotations

import statistics
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

from rows import ORIGINAL, Figure, Measurement, Scale, Target
from workers import Worker

#: The figures of one round: by column, by name.
Round: TypeAlias = dict[str, dict[str, float]]


@dataclass(frozen=True)
class Rounds:
    """Takes the rounds of a measurement, with the interpreters that its columns want."""

    ours: Path
    original: Path
    peers: Path
    scale: Scale

    def rows(self, measurement: Measurement) -> list[dict[str, Any]]:
        """Return the rows of a measurement, after all its rounds."""
        rounds = list(self._fresh(measurement) if measurement.fresh else self._kept(measurement))
        return [row for figure in measurement.figures for row in rows_of(figure, rounds)]

    def _kept(self, measurement: Measurement) -> Iterator[Round]:
        """Yield the rounds of workers that live through all of them."""
        workers: dict[str, Worker] = {}
        try:
            for label in measurement.columns:
                worker = self._start(measurement, label)
                if not worker.absent:
                    workers[label] = worker
            for number in range(1 + (measurement.rounds or self.scale.rounds)):
                taken = {label: worker.turn() for label, worker in workers.items()}
                if number:
                    yield taken
        finally:
            for worker in workers.values():
                worker.close()

    def _fresh(self, measurement: Measurement) -> Iterator[Round]:
        """Yield the rounds of workers that take one turn each."""
        for _ in range(measurement.rounds or self.scale.rounds):
            taken: Round = {}
            for label in measurement.columns:
                worker = self._start(measurement, label)
                if not worker.absent:
                    taken[label] = worker.turn()
                    worker.close()
            yield taken

    def _start(self, measurement: Measurement, label: str) -> Worker:
        case = measurement.columns[label]
        settings = {"kind": measurement.kind, "case": case}
        python = self._interpreter(case, label)
        worker = Worker(python, {**settings, "seconds": self.scale.seconds, **measurement.settings})
        if worker.absent:
            print(f"left out: {label}'s `{case}`, since {worker.absent}", flush=True)
            worker.close()
        return worker

    def _interpreter(self, case: str, label: str) -> Path:
        if not case.startswith("limitpal"):
            return self.peers
        return self.original if label == ORIGINAL else self.ours


def rows_of(figure: Figure, rounds: list[Round]) -> Iterator[dict[str, Any]]:
    """Yield a row for each target, all with the same values; one row if there is no target."""
    found = [{label: one[figure.name] for label, one in taken.items()} for taken in rounds]
    labels = list(found[0])
    row: dict[str, Any] = {"case": figure.case}
    if figure.unit:
        row["unit"] = figure.unit
    row["values"] = {
        label: shortened(statistics.median(one[label] for one in found)) for label in labels
    }
    targets = [one for one in figure.targets if {one.ours, one.peer or one.ours} <= {*labels}]
    for target in targets:
        yield {**row, **judged(target, found)}
    if labels and not targets:
        yield {**row, "verdict": ""}


def judged(target: Target, found: list[dict[str, float]]) -> dict[str, Any]:
    """Return the part of a row that says what became of its target."""
    ratio = shortened(statistics.median(target.ratio(one) for one in found))
    verdict = "met" if target.met(ratio) else "missed"
    return {"target": target.as_json(), "ratio": ratio, "verdict": verdict}


def shortened(number: float) -> float:
    """Return a number without the digits that nobody can vouch for."""
    return float(f"{number:.6g}")
