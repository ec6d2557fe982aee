"""Composites with concurrency limiters, under threads: nobody is blocked, and nothing stays taken.

Threads wait for each other here, so these tests are about real time.
"""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from driving import PATIENCE
from limitpal import (
    CompositeLimiter,
    ConcurrencyLimiter,
    FixedWindow,
    MockClock,
    RateLimitExceeded,
    TokenBucket,
)


def test_pools_taken_in_either_order_block_nobody():
    """Who held one and waited for the other would block all of them."""
    one, other = ConcurrencyLimiter(1), ConcurrencyLimiter(1)
    bucket = TokenBucket(100_000, 1e6)
    limiters = [CompositeLimiter([one, other]), CompositeLimiter([other, bucket, one])] * 2
    limiters += [CompositeLimiter([one]), CompositeLimiter([other])]

    def work(limiter):
        for _ in range(50):
            with limiter.acquire("k", timeout=PATIENCE):
                assert one.in_flight("k") <= 1 >= other.in_flight("k")

    with ThreadPoolExecutor(len(limiters)) as threads:
        list(threads.map(work, limiters))

    assert (len(one), len(other)) == (0, 0)


def test_a_composite_that_is_refused_is_seen_for_an_instant_at_most():
    """Another thread may see a place taken; never too many, and none in the end."""
    window, pool = FixedWindow(1, 3600), ConcurrencyLimiter(4)
    assert window.allow("k")
    limiter = CompositeLimiter([pool, window])
    over = threading.Event()

    def watch():
        while not over.is_set():
            assert pool.in_flight("k") <= 4
            assert pool.waiting("k") == 0

    def ask(_):
        return [limiter.try_acquire("k") for _ in range(500)]

    with ThreadPoolExecutor(5) as threads:
        watched = threads.submit(watch)
        answers = [answer for asked in threads.map(ask, range(4)) for answer in asked]
        over.set()
        watched.result()

    assert answers == [None] * 2000
    assert len(pool) == 0


def test_a_thread_waits_for_a_permit_without_holding_quota():
    """It is let in as another gives back, and the bucket is touched only then."""
    clock = MockClock()
    bucket, pool = TokenBucket(2, 1, clock=clock), ConcurrencyLimiter(1, clock=clock)
    limiter = CompositeLimiter([bucket, pool])
    held = limiter.acquire("k")

    with ThreadPoolExecutor(1) as threads:
        waiting = threads.submit(limiter.acquire, "k")
        while pool.waiting("k") == 0:
            assert not waiting.done()
        assert bucket.get_tokens("k") == 1.0
        held.release()
        with waiting.result(PATIENCE):
            assert (bucket.get_tokens("k"), pool.in_flight("k")) == (0.0, 1)

    assert len(pool) == 0


def test_a_timeout_moves_a_mock_clock_to_its_end():
    """As a sleep by it would; the line is left."""
    clock = MockClock()
    pool = ConcurrencyLimiter(1, clock=clock)
    limiter = CompositeLimiter([TokenBucket(5, 1, clock=clock), pool])

    with limiter.acquire("k"), pytest.raises(RateLimitExceeded) as refused:
        limiter.acquire("k", timeout=3)

    assert (clock.now(), refused.value.retry_after, len(pool)) == (3.0, None, 0)
