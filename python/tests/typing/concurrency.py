"""The concurrency limiters as a user would write them: nobody runs this, type checkers read it.

An ignored error is a claim too: both checkers report an ignore that nothing needs.
"""

import asyncio
from collections.abc import Awaitable

from typing_extensions import assert_type

from limitpal import (
    AsyncCompositeLimiter,
    AsyncConcurrencyLimiter,
    AsyncResilientExecutor,
    AsyncTokenBucket,
    CompositeLimiter,
    CompositePermit,
    ConcurrencyLimiter,
    ConcurrencyPermit,
    MockClock,
    ResilientExecutor,
    TokenBucket,
)


def sync() -> None:
    limiter = ConcurrencyLimiter(10, max_waiting=5, clock=MockClock())
    ConcurrencyLimiter(10, per_key=False, key_by=len)
    with limiter.acquire("user:7", timeout=1.5, cost=2) as permit:
        assert_type(permit, ConcurrencyPermit)
    assert_type(limiter.acquire(7), ConcurrencyPermit)
    assert_type(limiter.try_acquire(), ConcurrencyPermit | None)
    assert_type(limiter.in_flight("user:7"), int)
    assert_type(limiter.waiting("user:7"), int)
    assert_type(limiter.limit, int)
    assert_type("user:7" in limiter, bool)
    assert_type(len(limiter), int)
    limiter.set_limit(3)
    permit.release()
    limiter.acquire(b"user:7")  # type: ignore[arg-type]
    limiter.limit = 3  # type: ignore[misc]
    ConcurrencyLimiter("10")  # type: ignore[arg-type]
    ConcurrencyLimiter(10, False)  # type: ignore[call-arg]
    both = CompositeLimiter([TokenBucket(10, 5.0), limiter])
    assert_type(both.try_acquire("user:7", cost=2), CompositePermit | None)
    with both.acquire("user:7", timeout=1.5):
        pass
    held: CompositePermit = both.acquire()
    held.release()
    ResilientExecutor(limiter)
    ResilientExecutor(both, charge="attempt")
    CompositeLimiter([AsyncConcurrencyLimiter(1)])  # type: ignore[list-item]
    ResilientExecutor(AsyncConcurrencyLimiter(1))  # type: ignore[arg-type]


async def twin() -> None:
    limiter = AsyncConcurrencyLimiter(10, per_key=False, max_waiting=5)
    async with limiter.acquire("user:7", timeout=1.5, cost=2) as permit:
        assert_type(permit, ConcurrencyPermit)
    assert_type(await limiter.acquire(7), ConcurrencyPermit)
    assert_type(await asyncio.create_task(limiter.acquire()), ConcurrencyPermit)
    waiting: Awaitable[ConcurrencyPermit] = limiter.acquire()
    assert_type(await asyncio.wait_for(waiting, 1), ConcurrencyPermit)
    assert_type(await limiter.try_acquire(), ConcurrencyPermit | None)
    assert_type(await limiter.in_flight("user:7"), int)
    assert_type(await limiter.waiting("user:7"), int)
    assert_type(limiter.limit, int)
    assert_type("user:7" in limiter, bool)
    assert_type(len(limiter), int)
    await limiter.set_limit(3)
    with limiter.acquire("user:7"):  # type: ignore[attr-defined]
        pass
    both = AsyncCompositeLimiter([AsyncTokenBucket(10, 5.0), limiter])
    assert_type(await both.try_acquire("user:7", cost=2), CompositePermit | None)
    async with both.acquire("user:7", timeout=1.5):
        pass
    held: CompositePermit = await both.acquire()
    held.release()
    AsyncResilientExecutor(limiter)
    AsyncResilientExecutor(both, charge="attempt")
    AsyncCompositeLimiter([ConcurrencyLimiter(1)])  # type: ignore[list-item]
    AsyncResilientExecutor(ConcurrencyLimiter(1))  # type: ignore[arg-type]
