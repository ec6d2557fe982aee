"""The kinds of turn: a timed loop, a million keys, a crowd of threads, a crowd of tasks.

Each module has `prepare(case, settings)`, which returns a function that takes one turn and
answers with its figures.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

#: What the row says about the turns: `kind`, `case`, and what the kind wants to know besides.
Settings: TypeAlias = dict[str, Any]

#: Takes one turn, and returns figures by name.
Turn: TypeAlias = Callable[[], dict[str, float]]


class Absent(Exception):
    """Raised by a case that cannot run here; its text says why."""
