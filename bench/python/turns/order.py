"""How far those who were served stand from the order in which they came."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable


def inversions(served: Iterable[int]) -> int:
    """Return the number of pairs of which the later one was served first."""
    count = 0
    before: list[int] = []
    for number in served:
        place = bisect_left(before, number)
        count += len(before) - place
        before.insert(place, number)
    return count
