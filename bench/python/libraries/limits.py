"""limits: windows over a memory storage, sync and async."""

from __future__ import annotations

from limits import RateLimitItemPerHour, RateLimitItemPerSecond
from limits.aio.storage import MemoryStorage as AsyncMemoryStorage
from limits.aio.strategies import FixedWindowRateLimiter as AsyncFixedWindow
from limits.storage import MemoryStorage
from limits.strategies import (
    FixedWindowRateLimiter,
    MovingWindowRateLimiter,
    SlidingWindowCounterRateLimiter,
)
from turns.statement import Statement, statement

PLENTY = RateLimitItemPerHour(1_000_000_000)


def allow() -> Statement:
    """Hit the fixed window."""
    limiter = FixedWindowRateLimiter(MemoryStorage())
    return statement("hit(item, key)", hit=limiter.hit, item=PLENTY)


def allow_sliding() -> Statement:
    """Hit the sliding window."""
    limiter = SlidingWindowCounterRateLimiter(MemoryStorage())
    return statement("hit(item, key)", hit=limiter.hit, item=PLENTY)


def allow_moving() -> Statement:
    """Hit the moving window, which remembers each hit of the last second."""
    limiter = MovingWindowRateLimiter(MemoryStorage())
    return statement("hit(item, key)", hit=limiter.hit, item=RateLimitItemPerSecond(1_000_000))


def moving_refused() -> Statement:
    """Hit a moving window that is used up."""
    limiter = MovingWindowRateLimiter(MemoryStorage())
    return statement("hit(item, key)", hit=limiter.hit, item=RateLimitItemPerHour(100))


def allow_refused() -> Statement:
    """Hit a fixed window that is used up."""
    limiter = FixedWindowRateLimiter(MemoryStorage())
    return statement("hit(item, key)", hit=limiter.hit, item=RateLimitItemPerHour(1, 24))


def await_allow() -> Statement:
    """Hit the fixed window, async."""
    limiter = AsyncFixedWindow(AsyncMemoryStorage())
    return statement("await hit(item, key)", hit=limiter.hit, item=PLENTY)
