"""The fair bucket as type checkers see it; nobody runs this."""

from __future__ import annotations

from typing_extensions import assert_type

from limitpal import (
    AsyncFairBucket,
    AsyncResilientExecutor,
    CompositeLimiter,
    Decision,
    FairBucket,
    MockClock,
    Rate,
    ResilientExecutor,
)

fair = FairBucket(10, 60, MockClock(), active_for=300, key_by=str.lower)
assert_type(fair.capacity, int)
assert_type(fair.active_for, float)
assert_type(fair.get_tokens(), float)
assert_type(fair.allow("k", cost=2), bool)
assert_type(fair.check(7), Decision)
CompositeLimiter([fair]).acquire("k")
ResilientExecutor(limiter=fair).run("k", len, "four")


async def main() -> None:
    """The async twin."""
    own = AsyncFairBucket(capacity=10, refill_rate=Rate(60))
    assert_type(await own.allow("k"), bool)
    assert_type(await own.get_tokens(), float)
    await own.acquire("k", timeout=1)
    AsyncResilientExecutor(limiter=own)
