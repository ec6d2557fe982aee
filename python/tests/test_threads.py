"""Many threads on one object: nothing is counted twice, lost, or waited for in vain."""

import asyncio
import contextlib
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from helpers import half_open
from limitpal import (
    AsyncResilientExecutor,
    AsyncTokenBucket,
    CircuitBreaker,
    MockClock,
    RateLimitExceeded,
    ResilientExecutor,
    RetryExhausted,
    RetryPolicy,
    TokenBucket,
)

HOURLY = 1 / 3600
PATIENCE = 60.0


def together(work, threads=8):
    """Runs `work(number)` in as many threads at once; returns the results in order."""
    gate = threading.Barrier(threads)

    def begin(number):
        gate.wait(PATIENCE)
        return work(number)

    with ThreadPoolExecutor(threads) as pool:
        return [job.result(PATIENCE) for job in [pool.submit(begin, n) for n in range(threads)]]


@pytest.mark.parametrize("charge", ["call", "attempt"])
def test_runs_in_threads_share_the_quota(charge):
    """A hundred permits, four hundred runs: exactly a hundred go."""
    clock = MockClock()
    limiter = TokenBucket(100, HOURLY, clock=clock)
    executor = ResilientExecutor(limiter, clock=clock, charge=charge, acquire_timeout=0)

    def work(_):
        went = 0
        for _ in range(50):
            with contextlib.suppress(RateLimitExceeded):
                went += executor.run("k", lambda: 1)
        return went

    assert sum(together(work)) == 100


def test_no_failure_is_lost():
    """Eight threads with fifty failures each open a threshold of four hundred, not one sooner."""
    breaker = CircuitBreaker(failure_threshold=400, clock=MockClock())
    states = []

    def work(number):
        for _ in range(50 if number else 49):
            breaker.record_failure()

    together(work)
    states.append(breaker.state)
    breaker.record_failure()
    states.append(breaker.state)

    assert states == ["closed", "open"]


def test_runs_in_threads_count_their_failures():
    """The same through an executor: 399 failed runs leave it closed, the next one opens it."""
    clock = MockClock()
    breaker = CircuitBreaker(failure_threshold=400, clock=clock)
    executor = ResilientExecutor(None, RetryPolicy(max_attempts=1), breaker, clock)

    def fail():
        raise ValueError

    def work(number):
        for _ in range(50 if number else 49):
            with pytest.raises(RetryExhausted):
                executor.run("k", fail)

    together(work)
    assert breaker.state == "closed"
    with pytest.raises(RetryExhausted):
        executor.run("k", fail)

    assert breaker.state == "open"


@pytest.mark.parametrize("permits", [1, 3])
def test_probes_in_threads_never_exceed_the_permits(permits):
    """However many try at once, so many are inside at a time."""
    clock = MockClock()
    breaker = half_open(clock, half_open_success_threshold=permits)
    inside, most, lock = [0], [0], threading.Lock()
    release = threading.Event()
    turned_away = []

    def probe():
        with lock:
            inside[0] += 1
            most[0] = max(most[0], inside[0])
        release.wait(PATIENCE)

    def work(number):
        try:
            breaker.call(probe)
        except Exception as error:
            turned_away.append(type(error).__name__)
            if len(turned_away) == 8 - permits:
                release.set()

    together(work)

    assert most[0] == permits
    assert turned_away == ["CircuitBreakerOpen"] * (8 - permits)
    assert breaker.state == "closed"


def test_a_seeded_policy_draws_each_delay_once():
    """Shared by threads it hands out the same delays as alone, none twice and none missing."""
    alone = RetryPolicy(base_delay=1.0, jitter=0.5, seed=7)
    shared = RetryPolicy(base_delay=1.0, jitter=0.5, seed=7)

    expected = sorted(alone.next_delay(1) for _ in range(8 * 500))
    drawn = together(lambda _: [shared.next_delay(1) for _ in range(500)])

    assert sorted(delay for delays in drawn for delay in delays) == expected


def test_reset_among_runs_breaks_nothing():
    """Threads that run, fail, reset and read: every state is one of three, nothing raises."""
    breaker = CircuitBreaker(failure_threshold=3, recovery_timeout=0.001)

    def work(number):
        seen = set()
        for n in range(300):
            if number == 0:
                breaker.reset()
            elif n % 3:
                breaker.record_failure()
            else:
                breaker.allow()
                breaker.record_success()
            seen.add(breaker.state)
        return seen

    assert set().union(*together(work)) <= {"closed", "open", "half_open"}
    breaker.reset()
    assert breaker.state == "closed"


def test_a_blocked_run_blocks_no_other():
    """While one thread is inside its function, others run through the same executor."""
    executor = ResilientExecutor(TokenBucket(10, 10.0), RetryPolicy(), CircuitBreaker())
    began, release = threading.Event(), threading.Event()

    def slow():
        began.set()
        assert release.wait(PATIENCE)

    thread = threading.Thread(target=executor.run, args=("k", slow))
    thread.start()
    assert began.wait(PATIENCE)

    assert executor.run("k", lambda: "done") == "done"

    release.set()
    thread.join(PATIENCE)
    assert not thread.is_alive()


def test_a_waiting_thread_blocks_no_other_key():
    """One thread waits for its key; other keys go at once."""
    limiter = TokenBucket(1, 4.0)
    limiter.allow("slow")
    thread = threading.Thread(target=limiter.acquire, args=("slow",))
    thread.start()

    start = time.monotonic()
    for n in range(100):
        limiter.acquire(f"key:{n}")
    elapsed = time.monotonic() - start

    assert elapsed < 0.2
    thread.join(PATIENCE)


def test_one_async_limiter_serves_two_loops_at_once():
    """Two threads, each with its own loop, share one line; the rate holds for both together."""
    limiter = AsyncTokenBucket(1, 200.0)

    async def drain():
        for _ in range(20):
            await limiter.acquire("k")

    start = time.monotonic()
    together(lambda _: asyncio.run(drain()), threads=2)
    elapsed = time.monotonic() - start

    assert elapsed >= 39 / 200 * 0.999
    assert elapsed < 20.0


def test_a_reset_in_one_thread_wakes_a_waiter_in_another():
    """`reset` lets the waiters go, in whichever loop they sleep."""
    limiter = AsyncTokenBucket(1, HOURLY)
    waits = threading.Event()

    async def wait():
        await limiter.acquire("k")
        asyncio.get_running_loop().call_soon(waits.set)
        await limiter.acquire("k")

    with ThreadPoolExecutor(1) as pool:
        job = pool.submit(lambda: asyncio.run(asyncio.wait_for(wait(), PATIENCE)))
        assert waits.wait(PATIENCE)

        asyncio.run(limiter.reset("k"))

        job.result(PATIENCE)


def test_one_async_executor_serves_two_loops_at_once():
    """Runs of two loops in two threads share quota and circuit and mix up nothing."""
    executor = AsyncResilientExecutor(
        AsyncTokenBucket(1000, 1000.0), RetryPolicy(base_delay=0.0), CircuitBreaker()
    )

    async def work(number):
        tried = set()

        async def flaky(n):
            await asyncio.sleep(0)
            if n not in tried:
                tried.add(n)
                raise ValueError(n)
            return number, n

        return [await executor.run("k", flaky, n) for n in range(100)]

    results = together(lambda number: asyncio.run(work(number)), threads=2)

    assert results == [[(number, n) for n in range(100)] for number in range(2)]
