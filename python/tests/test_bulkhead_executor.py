"""A bulkhead as a stage of an executor, which feeds no other."""

from __future__ import annotations

import asyncio
import gc
import weakref
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from driving import BOTH, SYNC, Flavour, call, settle
from helpers import caught
from limitpal import (
    AsyncResilientExecutor,
    AsyncTokenBucket,
    Bulkhead,
    BulkheadFull,
    CircuitBreaker,
    CircuitBreakerOpen,
    CompositeLimiter,
    ConcurrencyLimiter,
    ConsecutiveFailures,
    InvalidConfigError,
    MockClock,
    RateLimitExceeded,
    ResilientExecutor,
    RetryBudget,
    RetryExhausted,
    RetryPolicy,
    SlowCallRate,
)


def fails(flavour: Flavour, bulkhead: Bulkhead, seen: list[int], times: int) -> Any:
    """Return a function that fails so many times, and sees how many are inside."""

    def function() -> str:
        seen.append(bulkhead.in_flight())
        if len(seen) <= times:
            raise TimeoutError("slow")
        return "fine"

    return function


@pytest.mark.parametrize("max_waiting", [0, 1])
async def test_a_full_one_refuses_before_quota_is_taken(flavour: Flavour, max_waiting):
    """By its own name, with the run's key; the function is not called."""
    clock = MockClock()
    bulkhead = Bulkhead(1, max_waiting)
    bucket = flavour.TokenBucket(5, 1.0, clock=clock)
    executor = flavour.ResilientExecutor(bucket, bulkhead=bulkhead, acquire_timeout=0)

    with bulkhead:
        refusal = await caught(call(executor.run, "ann", pytest.fail))
    assert type(refusal) is BulkheadFull
    assert (refusal.key, refusal.retry_after) == ("ann", None)
    assert await call(bucket.get_tokens, "ann") == 5.0
    assert await call(executor.run, "ann", bulkhead.in_flight) == 1

    stats = executor.stats()
    assert (stats.calls, stats.refusals, stats.refused_by_bulkhead) == (2, 1, 1)
    assert (await call(bucket.get_tokens, "ann"), bulkhead.in_flight()) == (4.0, 0)


@pytest.mark.parametrize("behind", ["nothing", "bucket", "window", "composite", "pool"])
async def test_it_stands_before_any_limiter_of_ours(flavour: Flavour, behind):
    """A limiter refuses by its own name; a place goes back then, too."""
    clock = MockClock()
    bulkhead = Bulkhead(2, 5)
    bucket = flavour.TokenBucket(1, 1.0, clock=clock)
    limiter = {
        "nothing": lambda: None,
        "bucket": lambda: bucket,
        "window": lambda: flavour.window("FixedWindow")(1, 1.0, clock=clock),
        "composite": lambda: flavour.CompositeLimiter([bucket]),
        "pool": lambda: flavour.ConcurrencyLimiter(1, clock=clock),
    }[behind]()
    executor = flavour.ResilientExecutor(limiter, bulkhead=bulkhead, acquire_timeout=0, clock=clock)

    assert await call(executor.run, "k", bulkhead.in_flight) == 1
    if behind != "nothing":
        held = await call(limiter.try_acquire, "k") if behind == "pool" else None
        refusal = await caught(call(executor.run, "k", bulkhead.in_flight))
        assert type(refusal) is RateLimitExceeded
        if held is not None:
            held.release()
    clock.advance(1.0)
    assert await call(executor.run, "k", bulkhead.in_flight) == 1
    assert bulkhead.in_flight() == 0


async def test_who_waits_for_quota_holds_no_place_and_the_reverse():
    """A task in each line."""
    clock = MockClock(autojump=False)
    bulkhead = Bulkhead(1, 1)
    bucket = AsyncTokenBucket(1, 1.0, clock=clock)
    executor = AsyncResilientExecutor(bucket, bulkhead=bulkhead)
    await bucket.allow("k")
    run = asyncio.ensure_future(executor.run("k", bulkhead.in_flight))
    await settle()
    assert (bulkhead.in_flight(), bulkhead.waiting()) == (0, 0)
    clock.advance(1.0)
    assert await run == 1

    clock.advance(5.0)
    inside = bulkhead.acquire()
    run = asyncio.ensure_future(executor.run("k", bulkhead.in_flight))
    await settle()
    assert (bulkhead.waiting(), await bucket.get_tokens("k")) == (1, 1.0)
    inside.release()
    assert await run == 1
    assert (bulkhead.in_flight(), executor.stats().successes) == (0, 2)


@pytest.mark.parametrize(("charge", "asleep"), [("call", 1), ("attempt", 0)])
async def test_by_runs_a_place_is_held_between_attempts_and_by_attempts_it_is_not(
    flavour: Flavour, charge, asleep
):
    """By attempts another may have come in meanwhile, and then the run stops."""
    bulkhead, seen, taken = Bulkhead(1), [], []

    class Watched(MockClock):
        def sleep(self, seconds):
            self.look()
            super().sleep(seconds)

        async def sleep_async(self, seconds):
            self.look()
            await super().sleep_async(seconds)

        def look(self):
            taken.append(bulkhead.in_flight())
            if len(taken) == 2:
                taken.append(bulkhead.try_acquire())

    policy = RetryPolicy(max_attempts=4, base_delay=1.0)
    executor = flavour.ResilientExecutor(
        retry_policy=policy, bulkhead=bulkhead, charge=charge, clock=Watched()
    )
    assert await call(executor.run, "k", fails(flavour, bulkhead, seen, 1)) == "fine"
    assert (taken, seen, bulkhead.in_flight()) == ([asleep], [1, 1], 0)

    seen.clear()
    ended = await caught(call(executor.run, "k", fails(flavour, bulkhead, seen, 9)))
    assert isinstance(ended, RetryExhausted)
    if charge == "call":
        assert (ended.reason, ended.attempts, seen) == ("attempts", 4, [1] * 4)
    else:
        assert (ended.reason, ended.attempts, seen) == ("bulkhead_full", 1, [1])
        assert isinstance(ended.last_error, TimeoutError)
        assert "the bulkhead is full" in str(ended)
        assert executor.stats().stopped_by_bulkhead == 1
        taken[2].release()
    assert bulkhead.in_flight() == 0


async def test_a_place_goes_back_however_the_run_ends(flavour: Flavour):
    """An error, Ctrl-C, cancellation, a coroutine given to the sync one."""
    bulkhead = Bulkhead(1)
    executor = flavour.ResilientExecutor(bulkhead=bulkhead)

    for error in (KeyError, KeyboardInterrupt, asyncio.CancelledError):

        def function(error: Any = error) -> None:
            raise error

        try:
            await call(executor.run, "k", function)
        except error as raised:
            # Its traceback refers to the frames, and they to what they held.
            assert bulkhead.in_flight() == 0, raised
        else:
            raise AssertionError
    if flavour is SYNC:
        with pytest.raises(TypeError):
            executor.run("k", asyncio.sleep, 0)
    else:
        task = asyncio.ensure_future(executor.run("k", asyncio.sleep, 60))
        await settle()
        assert bulkhead.in_flight() == 1
        task.cancel()
        await settle()
    assert bulkhead.in_flight() == 0


async def test_a_run_that_is_cancelled_in_the_line_leaves_it():
    """It waits for a place."""
    bulkhead = Bulkhead(1, 5)
    executor = AsyncResilientExecutor(bulkhead=bulkhead)
    with bulkhead:
        task = asyncio.ensure_future(executor.run("k", int))
        await settle()
        assert bulkhead.waiting() == 1
        task.cancel()
        await settle()
        assert (bulkhead.waiting(), bulkhead.in_flight()) == (0, 1)
    assert (bulkhead.in_flight(), executor.stats().cancelled) == (0, 1)


async def test_those_who_observe_the_limiter_hear_of_it_behind_a_bulkhead_too(flavour: Flavour):
    """Of its own refusals, not of the bulkhead's."""
    clock = MockClock()
    bulkhead = Bulkhead(1)
    bucket = flavour.TokenBucket(1, 1.0, clock=clock)
    heard: list[Any] = []
    with bucket.observe(heard.append):
        executor = flavour.ResilientExecutor(bucket, bulkhead=bulkhead, acquire_timeout=0)
        await call(executor.run, "k", int)
        await caught(call(executor.run, "k", int))
        with bulkhead:
            await caught(call(executor.run, "k", int))
    assert [type(event).__name__ for event in heard] == ["NearLimit", "Refused"]


async def test_beside_a_limiter_of_ones_own_it_says_what_to_do(flavour: Flavour):
    """It would be waited for while a place is held."""

    class Own:
        def allow(self, key: str) -> bool:
            return True

        def acquire(self, key: str, timeout: float | None = None) -> None: ...

    class AsyncOwn:
        async def allow(self, key: str) -> bool:
            return True

        async def acquire(self, key: str, timeout: float | None = None) -> None: ...

    own = Own() if flavour is SYNC else AsyncOwn()
    for limiter in (own, flavour.CompositeLimiter([flavour.TokenBucket(1, 1.0), own])):
        with pytest.raises(TypeError, match="with bulkhead:"):
            flavour.ResilientExecutor(limiter, bulkhead=Bulkhead(1))


def test_it_is_given_to_no_composite():
    """It is an executor's, or stands alone: a `ConcurrencyLimiter` is for composites."""
    with pytest.raises((TypeError, InvalidConfigError)):
        CompositeLimiter([Bulkhead(1)])  # type: ignore[list-item]
    assert not isinstance(Bulkhead(1), ConcurrencyLimiter)


def test_the_garbage_collector_sees_through_it():
    """An executor in a cycle with its bulkhead's clock and its own is collected."""

    class Clock(MockClock):
        pass

    for flavour in BOTH:
        clock = Clock()
        bulkhead = Bulkhead(1, 1, clock=clock)
        clock.keeps = flavour.ResilientExecutor(  # type: ignore[attr-defined]
            flavour.TokenBucket(1, 1.0, clock=clock), bulkhead=bulkhead
        )
        gone = weakref.ref(clock)
        del clock, bulkhead
        gc.collect()
        assert gone() is None


acts = st.lists(
    st.tuples(st.floats(0, 4), st.booleans(), st.floats(0, 2), st.booleans()), max_size=30
)


class World:
    """Every policy that could be fed, and an executor of them."""

    def __init__(self, flavour: Flavour, charge: Any) -> None:
        self.clock = clock = MockClock()
        self.bulkhead = Bulkhead(1)
        self.bucket = flavour.TokenBucket(5, 1.0, clock=clock)
        slow = SlowCallRate(0.5, 1.0, calls=8, minimum_calls=4)
        self.breaker = CircuitBreaker(trip_on=[ConsecutiveFailures(3), slow], clock=clock)
        self.budget = RetryBudget(ratio=0.5, minimum_per_second=0.1, clock=clock)
        self.executor = flavour.ResilientExecutor(
            self.bucket,
            RetryPolicy(max_attempts=2),
            self.breaker,
            charge=charge,
            acquire_timeout=0,
            retry_budget=self.budget,
            bulkhead=self.bulkhead,
        )

    async def run(self, fails: bool, lasts: float, is_full: bool) -> None:
        def function() -> None:
            self.clock.advance(lasts)
            if fails:
                raise TimeoutError

        inside = self.bulkhead.try_acquire() if is_full else None
        raised: Any = None
        try:
            await call(self.executor.run, "k", function)
        except Exception as error:
            raised = error
        if inside is not None:
            assert isinstance(raised, (BulkheadFull, CircuitBreakerOpen))
            inside.release()

    async def fed(self) -> Any:
        stats = self.executor.stats()
        tokens = await call(self.bucket.get_tokens, "k")
        runs = stats.calls - stats.refusals
        return self.breaker.state, self.breaker.snapshot(), tokens, self.budget.left, runs


@pytest.mark.parametrize("flavour", BOTH, ids=lambda flavour: flavour.name)
@given(acts, st.sampled_from(["call", "attempt"]))
def test_a_full_one_feeds_no_other_stage(flavour, acts, charge):
    """Two worlds, the same but for calls that find it full: all policies stay the same."""

    async def play():
        worlds = World(flavour, charge), World(flavour, charge)
        for pause, fails, lasts, is_full in acts:
            for world in worlds:
                world.clock.advance(pause)
            await worlds[0].run(fails, lasts, is_full)
            if not is_full:
                await worlds[1].run(fails, lasts, is_full)
            assert await worlds[0].fed() == await worlds[1].fed()
            assert worlds[0].bulkhead.in_flight() == 0

    asyncio.run(play())


def test_an_executor_in_an_executor_does_not_count_the_inner_ones_full_bulkhead():
    """An own refusal is neither a failure nor retried."""
    bulkhead, breaker = Bulkhead(1), CircuitBreaker(1)
    inner = ResilientExecutor(bulkhead=bulkhead)
    outer = ResilientExecutor(retry_policy=RetryPolicy(), circuit_breaker=breaker)
    with bulkhead, pytest.raises(BulkheadFull):
        outer.run("k", inner.run, "k", int)
    assert (breaker.state, outer.stats().attempts) == ("closed", 1)
