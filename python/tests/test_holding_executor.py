"""Executors with a concurrency limiter: held while the run lasts, or an attempt; always back."""

from __future__ import annotations

import asyncio

import pytest

from driving import ASYNC, SYNC, Flavour, call, settle
from helpers import caught
from limitpal import (
    CircuitBreaker,
    CircuitBreakerOpen,
    MockClock,
    RateLimitExceeded,
    RetryExhausted,
    RetryPolicy,
)


class Seen:
    """A pool that is watched while a function runs, and while a run sleeps between attempts."""

    def __init__(self, flavour: Flavour, charge, in_composite, attempts=2):
        seen = self

        class Watched(MockClock):
            def sleep(self, seconds):
                seen.asleep.append(seen.out())
                super().sleep(seconds)

            async def sleep_async(self, seconds):
                seen.asleep.append(seen.out())
                await super().sleep_async(seconds)

        self.inside, self.asleep = [], []
        clock = Watched()
        self.pool = flavour.ConcurrencyLimiter(1, clock=clock)
        self.bucket = flavour.TokenBucket(5, 0.001, clock=clock)
        parts = flavour.CompositeLimiter([self.bucket, self.pool])
        self.executor = flavour.ResilientExecutor(
            parts if in_composite else self.pool,
            RetryPolicy(max_attempts=attempts, base_delay=1.0),
            charge=charge,
            clock=clock,
            acquire_timeout=10,
        )

    def out(self):
        core = getattr(self.pool, "_core", self.pool)
        return core.in_flight("k")

    def fails(self, times, error=TimeoutError):
        def function():
            self.inside.append(self.out())
            if len(self.inside) <= times:
                raise error("slow")
            return "fine"

        return function


@pytest.mark.parametrize("in_composite", [False, True])
@pytest.mark.parametrize(("charge", "asleep"), [("call", 1), ("attempt", 0)])
async def test_by_runs_it_is_held_between_attempts_and_by_attempts_it_is_not(
    flavour: Flavour, charge, asleep, in_composite
):
    """And it goes back at the end; quota was spent by runs, or by attempts."""
    seen = Seen(flavour, charge, in_composite)

    assert await call(seen.executor.run, "k", seen.fails(1)) == "fine"

    assert (seen.inside, seen.asleep, seen.out()) == ([1, 1], [asleep], 0)
    if in_composite:
        spent = 1 if charge == "call" else 2
        assert round(await call(seen.bucket.get_tokens, "k")) == 5 - spent


@pytest.mark.parametrize("in_composite", [False, True])
@pytest.mark.parametrize("charge", ["call", "attempt"])
async def test_it_goes_back_however_the_run_ends(flavour: Flavour, charge, in_composite):
    """Exhausted, an error that is not retried, Ctrl-C, and a function that was not run at all."""

    async def ends(function, expected):
        seen = Seen(flavour, charge, in_composite)

        async def run():
            return await call(seen.executor.run, "k", function(seen))

        error = await caught(run())
        assert isinstance(error, expected), error
        # The error refers to the frames that raised it, and they to what they held.
        assert seen.out() == 0

    await ends(lambda seen: seen.fails(9), RetryExhausted)
    await ends(lambda seen: seen.fails(9, KeyboardInterrupt), KeyboardInterrupt)
    if flavour is SYNC:
        await ends(lambda _: lambda: asyncio.sleep(0), TypeError)


async def test_without_a_permit_in_time_the_function_is_not_called(flavour: Flavour):
    """The refusal says that nobody knows when one is free."""
    seen = Seen(flavour, "call", in_composite=True)
    held = await call(seen.pool.try_acquire, "k")

    async def run():
        return await call(seen.executor.run, "k", seen.fails(0))

    refusal = await caught(run())

    assert isinstance(refusal, RateLimitExceeded)
    assert (refusal.retry_after, seen.inside, seen.out()) == (None, [], 1)
    assert await call(seen.bucket.get_tokens, "k") == 5.0
    held.release()


@pytest.mark.parametrize("charge", ["call", "attempt"])
@pytest.mark.parametrize("where", ["attempt", "sleep", "line"])
async def test_a_run_that_is_cancelled_gives_back(charge, where):
    """In an attempt, between two, and while it waits for a permit."""
    clock = MockClock(autojump=False)
    pool = ASYNC.ConcurrencyLimiter(1, clock=clock)
    policy = RetryPolicy(base_delay=5.0)
    executor = ASYNC.ResilientExecutor(pool, policy, charge=charge)
    held = await pool.acquire("k") if where == "line" else None

    async def function():
        if where == "sleep":
            raise TimeoutError
        await asyncio.Event().wait()

    run = asyncio.ensure_future(executor.run("k", function))
    await settle()
    between = where == "sleep" and charge == "attempt"
    assert await pool.in_flight("k") == (0 if between else 1)
    run.cancel()
    assert isinstance(await caught(run), asyncio.CancelledError)

    assert (await pool.in_flight("k"), await pool.waiting("k")) == (int(where == "line"), 0)
    if held is not None:
        held.release()
    assert "k" not in pool


async def test_runs_go_in_turn_and_never_more_at_once_than_the_limit():
    """Twenty runs through a bulkhead of three."""
    pool = ASYNC.ConcurrencyLimiter(3, per_key=False)
    executor = ASYNC.ResilientExecutor(pool)
    under_way = most = 0
    order = []

    async def function(number):
        nonlocal under_way, most
        under_way += 1
        most = max(most, under_way)
        await asyncio.sleep(0)
        under_way -= 1
        order.append(number)

    await asyncio.gather(*(executor.run(f"k{n}", function, n) for n in range(20)))

    assert (most, order, await pool.in_flight("k")) == (3, list(range(20)), 0)


async def test_a_run_that_the_breaker_stops_gives_back_what_it_waited_for():
    """Others have opened the circuit while it waited for a permit."""
    clock = MockClock(autojump=False)
    pool = ASYNC.ConcurrencyLimiter(1, clock=clock)
    breaker = CircuitBreaker(failure_threshold=1, clock=clock)
    executor = ASYNC.ResilientExecutor(pool, circuit_breaker=breaker)
    held = await pool.acquire("k")
    run = asyncio.ensure_future(executor.run("k", lambda: "called"))
    await settle()

    breaker.record_failure()
    held.release()

    assert isinstance(await caught(run), CircuitBreakerOpen)
    assert "k" not in pool


def test_what_was_given_is_shown(flavour: Flavour):
    """The limiter, not what stands in for it."""
    shown = repr(flavour.ResilientExecutor(flavour.ConcurrencyLimiter(5)))

    assert "ConcurrencyLimiter(limit=5)" in shown
    assert "Composite" not in shown
