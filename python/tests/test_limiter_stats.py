"""What limiters and breakers count, against a count from outside."""

from __future__ import annotations

import asyncio
import pickle
import threading
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from limitpal import (
    AsyncCompositeLimiter,
    AsyncFairBucket,
    AsyncFixedWindow,
    AsyncLeakyBucket,
    AsyncSlidingWindowLog,
    AsyncTokenBucket,
    CircuitBreaker,
    CircuitBreakerOpen,
    CompositeLimiter,
    ConcurrencyLimiter,
    KeyedCircuitBreaker,
    MockClock,
    RateLimitExceeded,
    TokenBucket,
)

KINDS = {
    "token": lambda clock: AsyncTokenBucket(3, 1, clock),
    "one": lambda clock: AsyncTokenBucket(3, 1, clock, per_key=False),
    "leaky": lambda clock: AsyncLeakyBucket(3, 1, clock),
    "fixed": lambda clock: AsyncFixedWindow(3, 1, clock),
    "log": lambda clock: AsyncSlidingWindowLog(3, 1, clock),
    "fair": lambda clock: AsyncFairBucket(3, 1, clock),
    "composite": lambda clock: AsyncCompositeLimiter(
        [AsyncTokenBucket(3, 1, clock), AsyncTokenBucket(5, 1, clock, per_key=False)]
    ),
}
ACTS = st.lists(
    st.tuples(
        st.sampled_from(["allow", "check", "peek", "acquire", "cancel", "advance"]),
        st.sampled_from("abc"),
        st.integers(1, 4),
        st.sampled_from([None, 0, 2]),
    ),
    min_size=1,
    max_size=30,
)


@pytest.mark.parametrize("kind", KINDS)
@settings(max_examples=60, deadline=None)
@given(acts=ACTS)
def test_each_call_is_admitted_refused_left_or_waiting(kind, acts):
    """The counts add up at every instant, whatever the calls come to."""
    asyncio.run(_drive(KINDS[kind], acts))


async def _drive(make, acts):
    clock = MockClock(autojump=False)
    limiter = make(clock)
    tasks: list[asyncio.Task[None]] = []
    asked = Counter()

    async def acquire(key, timeout, cost):
        try:
            await limiter.acquire(key, timeout, cost)
        except RateLimitExceeded:
            return False
        return True

    for act, key, number, timeout in acts:
        if act == "allow":
            asked[await limiter.allow(key, number)] += 1
        elif act == "check":
            asked[(await limiter.check(key, number)).allowed] += 1
        elif act == "peek":
            await limiter.peek(key, number)
        elif act == "acquire":
            tasks.append(asyncio.ensure_future(acquire(key, timeout, number)))
        elif act == "cancel" and tasks:
            tasks[0].cancel()
        else:
            clock.advance(number / 4)
        for _ in range(12):
            await asyncio.sleep(0)
        for task in [task for task in tasks if task.done()]:
            tasks.remove(task)
            asked["left" if task.cancelled() else task.result()] += 1

        stats = limiter.stats()
        assert stats.waiting == len(tasks)
        assert stats.admitted == asked[True]
        # Who is out of time while it waits for a share has left.
        assert stats.refused + stats.left == asked[False] + asked["left"]
        assert stats.calls == sum(asked.values()) + len(tasks)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


def test_time_waited_is_that_of_all_who_waited():
    """Two who wait for one and two seconds have waited for three."""
    clock = MockClock()
    limiter = TokenBucket(capacity=1, refill_rate=1, clock=clock)
    for _ in range(3):
        limiter.acquire("ann")

    stats = limiter.stats()
    assert (stats.admitted, stats.waited, stats.time_waited) == (3, 2, 2.0)
    assert (stats.keys, stats.waiting, stats.left) == (1, 0, 0)


def test_the_one_bucket_loses_no_call_under_threads():
    """Takes without a lock are counted too, and refusals by threads of their own."""
    limiter = TokenBucket(capacity=3000, refill_rate=1e-6, per_key=False)

    def ask():
        for _ in range(2000):
            limiter.allow()

    threads = [threading.Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert (limiter.stats().admitted, limiter.stats().refused) == (3000, 5000)


def test_a_composite_says_which_part_has_refused():
    """Parts that count how often come first, concurrency limiters after them."""
    clock = MockClock()
    pool = ConcurrencyLimiter(1, clock=clock)
    limiter = CompositeLimiter([pool, TokenBucket(5, 1, clock), TokenBucket(2, 1, clock)])
    with limiter.acquire("ann"):
        assert limiter.try_acquire("ann") is None
        assert limiter.stats().in_flight == 1
    with limiter.acquire("ann"):
        pass
    with pytest.raises(RateLimitExceeded):
        limiter.acquire("ann", timeout=0)

    stats = limiter.stats()
    assert (stats.admitted, stats.refused, stats.refused_by) == (2, 2, (0, 1, 1))
    assert pool.stats().admitted == 2


def test_a_breaker_counts_trips_refusals_and_what_it_ignores():
    """Of a healthy circuit successes are counted where one asks for it."""
    clock = MockClock()
    breaker = CircuitBreaker(
        failure_threshold=2, clock=clock, ignore=KeyError, count_successes=True
    )

    def fail(error):
        raise error

    breaker.call(lambda: 1)
    for error in (KeyError(), OSError(), OSError()):
        with pytest.raises(type(error)):
            breaker.call(fail, error)
    with pytest.raises(CircuitBreakerOpen):
        breaker.call(lambda: 1)
    clock.advance(5.0)
    breaker.call(lambda: 1)

    stats = breaker.stats()
    assert (stats.state, stats.mode, stats.trips, stats.refused) == ("closed", "enforce", 1, 1)
    assert (stats.successes, stats.failures, stats.ignored, stats.probes) == (2, 2, 1, 1)
    assert "count_successes=True" in repr(breaker)
    assert CircuitBreaker().stats().successes is None
    assert pickle.loads(pickle.dumps(stats)) == stats


def test_the_calls_of_forgotten_keys_stay_in_the_sum():
    """A breaker for each key sums up all of them."""
    breakers = KeyedCircuitBreaker(failure_threshold=1, max_breakers=2)
    for key in "abcd":
        breakers.record_failure(key)
        assert not breakers.allow(key)

    stats = breakers.stats()
    assert (stats.keys, stats.open, stats.trips, stats.refused) == (2, 2, 4, 4)
    assert {one.trips for one in breakers.stats_by_key().values()} == {1}
