"""The windows as type checkers see them; nobody runs this."""

from __future__ import annotations

from typing_extensions import assert_type

from limitpal import (
    AsyncCompositeLimiter,
    AsyncFixedWindow,
    AsyncResilientExecutor,
    AsyncSlidingWindowCounter,
    AsyncSlidingWindowLog,
    CompositeLimiter,
    Decision,
    FixedWindow,
    MockClock,
    ResilientExecutor,
    SlidingWindowCounter,
    SlidingWindowLog,
)

fixed = FixedWindow(10, 60, MockClock(), ttl=300, align="first_use", key_by=str.lower)
counter = SlidingWindowCounter(limit=10, per=60.0, max_buckets=1000, per_key=False)
log = SlidingWindowLog(10, 1)
assert_type(fixed.limit, int)
assert_type(fixed.align, str)
assert_type(counter.per, float)
assert_type(log.allow("k", cost=2), bool)
assert_type(log.check(7), Decision)
CompositeLimiter([fixed, counter, log]).acquire("k")
ResilientExecutor(limiter=log).run("k", len, "four")


async def main() -> None:
    """The async twins."""
    own = AsyncFixedWindow(10, 60, align="clock")
    estimate, exact = AsyncSlidingWindowCounter(10, 60), AsyncSlidingWindowLog(10, 60)
    assert_type(own.align, str)
    assert_type(await estimate.allow("k"), bool)
    assert_type(await exact.peek("k"), Decision)
    await AsyncCompositeLimiter([own, estimate, exact]).acquire("k", timeout=1)
    AsyncResilientExecutor(limiter=own)
