"""What a table is made of: measurements, the figures each gives, and the targets those have."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

OURS = "limitpal"
ORIGINAL = "limitpal 0.1.1"


@dataclass(frozen=True)
class Target:
    """A bound: on ours divided by a peer, on a peer divided by ours, or on ours itself."""

    ours: str = OURS
    peer: str | None = None
    at_most: float | None = None
    at_least: float | None = None

    def ratio(self, figures: dict[str, float]) -> float:
        """Return what the bound is for, of the figures of one round."""
        ours = figures[self.ours]
        if self.peer is None:
            return ours
        peer = figures[self.peer]
        return ours / peer if self.at_least is None else peer / ours

    def met(self, ratio: float) -> bool:
        """Whether a ratio keeps the bound."""
        if self.at_least is not None:
            return ratio >= self.at_least
        return self.at_most is None or ratio <= self.at_most

    def as_json(self) -> dict[str, object]:
        """Return the target as the page reads it."""
        bounds = {"peer": self.peer, "at_most": self.at_most, "at_least": self.at_least}
        given = {name: bound for name, bound in bounds.items() if bound is not None}
        return {"ours": self.ours, **given}


@dataclass(frozen=True)
class Figure:
    """One number of a turn: what the row calls it, its unit if the table's is another."""

    name: str
    case: str
    targets: tuple[Target, ...] = ()
    unit: str | None = None


@dataclass(frozen=True)
class Measurement:
    """What takes turns: the columns by their labels, each a `library.case`."""

    kind: str
    columns: dict[str, str]
    figures: tuple[Figure, ...]
    settings: dict[str, Any] = field(default_factory=dict)
    #: A new process for each turn.
    fresh: bool = False
    rounds: int | None = None


@dataclass(frozen=True)
class Table:
    """Measurements that belong together, with what was called and how."""

    title: str
    unit: str
    note: str
    measurements: tuple[Measurement, ...]


@dataclass(frozen=True)
class Scale:
    """How much of everything."""

    rounds: int = 15
    seconds: float = 0.03
    #: Rounds of what takes real seconds.
    slow_rounds: int = 5
    memory_rounds: int = 3
    memory_keys: int = 1_000_000
    times: int = 12
    tasks: int = 1_000


#: Enough to see that everything works.
QUICK = Scale(3, 0.004, slow_rounds=1, memory_rounds=1, memory_keys=100_000, times=4, tasks=200)


def loop(
    case: str,
    columns: dict[str, str],
    *targets: Target,
    keys: int | str = 1,
    in_order: bool = False,
    **arguments: Any,
) -> Measurement:
    """Return a timed loop, of one figure; several keys come in a random order unless said."""
    settings = {"keys": keys, "in_order": in_order, "arguments": arguments}
    return Measurement("loop", columns, (Figure("ns", case, targets),), settings)


def times(peer: str, at_least: float, ours: str = OURS) -> Target:
    """Return the target of being so many times as fast."""
    return Target(ours=ours, peer=peer, at_least=at_least)
