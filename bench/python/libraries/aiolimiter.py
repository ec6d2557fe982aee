"""aiolimiter: one bucket, without keys, for asyncio."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any

from aiolimiter import AsyncLimiter
from turns.statement import Statement, statement


def await_acquire() -> Statement:
    """Wait for capacity that is there."""
    return statement("await acquire()", acquire=AsyncLimiter(1e9, 1).acquire)


def await_wait(rate: float) -> Callable[[], Coroutine[Any, Any, object]]:
    """Return what waits until it is one's turn."""
    return AsyncLimiter(1, 1 / rate).acquire
