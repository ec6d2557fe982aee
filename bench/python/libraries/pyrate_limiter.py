"""pyrate-limiter: its token bucket, one for each name by a factory that its users write."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any

from pyrate_limiter import (
    BucketFactory,
    Duration,
    Limiter,
    MonotonicClock,
    Rate,
    RateItem,
    StateBucket,
    TokenBucket,
)
from turns.statement import Statement, statement

PLENTY = Rate(1_000_000_000, Duration.SECOND)


class ByName(BucketFactory):
    """A bucket for each name."""

    def __init__(self, rate: Rate) -> None:
        self.rate = rate
        self.clock = MonotonicClock()
        self.buckets: dict[str, StateBucket] = {}

    def wrap_item(self, name: str, weight: int = 1) -> RateItem:
        """Return an item that carries the time."""
        return RateItem(name, self.clock.now(), weight=weight)

    def get(self, item: RateItem) -> StateBucket:
        """Return the bucket of the item's name."""
        bucket = self.buckets.get(item.name)
        if bucket is None:
            bucket = self.buckets[item.name] = StateBucket([self.rate], TokenBucket())
        return bucket


def allow() -> Statement:
    """Take one token."""
    limiter = Limiter(ByName(PLENTY))
    return statement("take(key, blocking=False)", take=limiter.try_acquire)


def allow_refused() -> Statement:
    """Ask an empty bucket."""
    limiter = Limiter(ByName(Rate(1, Duration.DAY)))
    return statement("take(key, blocking=False)", take=limiter.try_acquire)


def await_allow() -> Statement:
    """Take one token, async."""
    limiter = Limiter(ByName(PLENTY))
    return statement("await take(key, blocking=False)", take=limiter.try_acquire_async)


def wait(rate: int) -> Callable[[], object]:
    """Return what blocks until it is one's turn; it sleeps 50 ms longer unless told not to."""
    return Limiter(ByName(Rate(1, 1_000 // rate)), buffer_ms=0).try_acquire


def await_wait(rate: int) -> Callable[[], Coroutine[Any, Any, object]]:
    """Return what waits until it is one's turn."""
    return Limiter(ByName(Rate(1, 1_000 // rate)), buffer_ms=0).try_acquire_async
