"""Counts the calls of `time.sleep`, by whoever makes them."""

from __future__ import annotations

import itertools
import time
from typing import SupportsIndex

_total = itertools.count()  # one step of it cannot be interrupted by another thread
_read = 0


def count() -> None:
    """Put a counting function in the place of `time.sleep`."""
    sleep = time.sleep

    def counting_sleep(seconds: float | SupportsIndex, /) -> None:
        next(_total)
        sleep(seconds)

    time.sleep = counting_sleep


def counted() -> int:
    """Return how many calls there were since this was asked last."""
    global _read
    before, _read = _read, next(_total) + 1
    return _read - before - 1
