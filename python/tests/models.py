"""Naive models of the limiters: exact fractions, nothing forgotten, nobody waiting in line."""

from __future__ import annotations

import math
from fractions import Fraction

NANOS = 1_000_000_000


def nanos(seconds: float) -> int:
    """Return float seconds as the whole nanoseconds they stand for."""
    return round(seconds * NANOS)


def exact(rate: float) -> Fraction:
    """Return the simplest fraction that divides to the float, so that 100/60 is 5 in 3."""
    near = Fraction(rate).limit_denominator(10**9)
    return near if float(near) == rate else Fraction(rate)


class NaiveTokenBucket:
    """A level that rises with time: `level = min(capacity, level + rate * elapsed)`."""

    def __init__(self, capacity: int, rate: float) -> None:
        self.capacity = capacity
        self.per_nano = exact(rate) / NANOS
        self.level = Fraction(capacity)
        self.read_at = 0

    def settle(self, now: int) -> None:
        """Let the level rise up to `now`."""
        if now > self.read_at:
            risen = self.level + (now - self.read_at) * self.per_nano
            self.level = min(Fraction(self.capacity), risen)
            self.read_at = now

    def wait(self, now: int, cost: int = 1) -> int | None:
        """Return the nanoseconds until `cost` is there, or None when it never is."""
        self.settle(now)
        if cost > self.capacity:
            return None
        return max(0, math.ceil((cost - self.level) / self.per_nano))

    def check(self, now: int, cost: int = 1) -> bool:
        """Take if possible now."""
        allowed = self.wait(now, cost) == 0
        if allowed:
            self.level -= cost
        return allowed

    def acquire(self, now: int, cost: int, timeout: int | None) -> int | None:
        """Take now what will be there after the wait returned, or nothing and return None."""
        wait = self.wait(now, cost)
        if wait is None or (timeout is not None and wait > timeout):
            return None
        self.level -= cost
        return wait

    def remaining(self, now: int) -> int:
        """Return the whole permits left."""
        self.settle(now)
        return max(0, math.floor(self.level))

    def reset_after(self, now: int) -> int:
        """Return the nanoseconds until the bucket is full again."""
        self.settle(now)
        return math.ceil((self.capacity - self.level) / self.per_nano)


class NaiveLeakyBucket:
    """A backlog that drains with time: `backlog = max(0, backlog - rate * elapsed)`."""

    def __init__(self, capacity: int, rate: float) -> None:
        self.capacity = capacity
        self.per_nano = exact(rate) / NANOS
        self.backlog = Fraction(0)
        self.read_at = 0

    def settle(self, now: int) -> None:
        """Let the backlog drain up to `now`."""
        if now > self.read_at:
            drained = self.backlog - (now - self.read_at) * self.per_nano
            self.backlog = max(Fraction(0), drained)
            self.read_at = now

    def wait(self, now: int, cost: int = 1) -> int | None:
        """Return the nanoseconds until `cost` may join, or None when it never may."""
        self.settle(now)
        if cost > self.capacity:
            return None
        return max(0, math.ceil((self.backlog + cost - self.capacity) / self.per_nano))

    def check(self, now: int, cost: int = 1) -> bool:
        """Join if there is room now."""
        allowed = self.wait(now, cost) == 0
        if allowed:
            self.backlog += cost
        return allowed

    def acquire(self, now: int, cost: int, timeout: int | None) -> int | None:
        """Join, and return the wait until those before have left; None when refused."""
        self.settle(now)
        wait = math.ceil(self.backlog / self.per_nano)
        if cost > self.capacity or (timeout is not None and wait > timeout):
            return None
        self.backlog += cost
        return wait

    def remaining(self, now: int) -> int:
        """Return how many whole requests may still join."""
        self.settle(now)
        return max(0, math.floor(self.capacity - self.backlog))

    def reset_after(self, now: int) -> int:
        """Return the nanoseconds until the backlog is gone."""
        self.settle(now)
        return math.ceil(self.backlog / self.per_nano)


def over_the_bound(takes: list[tuple[int, int]], capacity: int, rate: float) -> int | None:
    """Return the first time at which some window held more than `capacity + rate * W`.

    `takes` are (nanoseconds, cost). A history is within the bound in every window exactly if a
    bucket that starts full can serve it, so one replay checks all windows.
    """
    bucket = NaiveTokenBucket(capacity, rate)
    for now, cost in sorted(takes):
        if not bucket.check(now, cost):
            return now
    return None
