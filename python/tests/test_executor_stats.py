"""`executor.stats()`: what is counted is what became of each run, and it adds up."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import threading
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from driving import ASYNC, BOTH, Flavour, call
from limitpal import (
    CircuitBreaker,
    CircuitBreakerOpen,
    ExecutorStats,
    MockClock,
    RateLimitExceeded,
    ResilientExecutor,
    RetryExhausted,
    RetryPolicy,
    TokenBucket,
)

COUNTS = [
    name for name in ExecutorStats.__dataclass_fields__ if name not in ("waited", "backed_off")
]

lines = st.sampled_from(["value", "value", "value", "slow", "slow", "wrong", "cancelled"])
runs = st.lists(st.tuples(st.floats(0, 3), st.lists(lines, min_size=4, max_size=4)), max_size=25)
parts = st.sets(st.sampled_from(["limiter", "breaker", "retry", "own"]))


def built(flavour: Flavour, parts: set[str], charge: Any, clock: MockClock) -> Any:
    """Make an executor of these parts."""
    given: dict[str, Any] = {"charge": charge, "clock": clock}
    if "limiter" in parts:
        bucket = flavour.TokenBucket(3, 1.0, clock=clock)
        given["limiter"] = flavour.CompositeLimiter([bucket]) if "own" in parts else bucket
        given["acquire_timeout"] = 0.5
    if "breaker" in parts:
        given["circuit_breaker"] = CircuitBreaker(2, clock=clock)
    if "retry" in parts:
        given["retry_policy"] = RetryPolicy(retry_on=TimeoutError)
    return flavour.ResilientExecutor(**given)


@pytest.mark.parametrize("flavour", BOTH, ids=lambda flavour: flavour.name)
@pytest.mark.parametrize("charge", ["call", "attempt"])
@given(parts, runs)
def test_what_is_counted_is_what_became_of_each_run(flavour, charge, parts, runs):
    """Whatever the parts, and however a run ends; asserted after every run."""
    clock = MockClock()
    executor = built(flavour, parts, charge, clock)
    expected = dict.fromkeys(COUNTS, 0)

    async def main() -> None:
        for pause, lines in runs:
            clock.advance(pause)
            script, called = iter(lines), []

            def func(script=script, called=called) -> None:
                called.append(1)
                assert executor.stats().in_flight == 1
                line = next(script, "value")
                if line != "value":
                    raise {
                        "slow": TimeoutError,
                        "wrong": LookupError,
                        "cancelled": asyncio.CancelledError,
                    }[line]

            ended = await outcome(executor, func)
            for name in (*ended, "calls"):
                expected[name] += 1
            expected["attempts"] += len(called)
            expected["firsts"] += bool(called)
            expected["retries"] += max(len(called) - 1, 0)
            expected["recovered"] += ended == ["successes"] and len(called) > 1

            stats = executor.stats()
            assert {name: getattr(stats, name) for name in COUNTS} == expected
            assert adds_up(stats)

    asyncio.run(main())


def adds_up(stats: ExecutorStats) -> bool:
    """Whether no run and no attempt is missing."""
    ended = stats.successes + stats.failures + stats.refusals + stats.cancelled
    return (
        stats.calls == ended + stats.in_flight
        and stats.attempts == stats.firsts + stats.retries + stats.hedges
    )


async def outcome(executor: Any, func: Any) -> list[str]:
    """Run once; return what is to be counted of it."""
    try:
        await call(executor.run, "key", func)
    except RateLimitExceeded:
        return ["refused_by_limiter"]
    except CircuitBreakerOpen:
        return ["refused_by_breaker"]
    except RetryExhausted as error:
        names = {
            "attempts": "exhausted",
            "elapsed": "out_of_time",
            "budget": "out_of_budget",
            "circuit_open": "stopped_by_breaker",
            "rate_limited": "stopped_by_limiter",
        }
        return ["failures", names[error.reason]]
    except asyncio.CancelledError:
        return ["cancelled"]
    except (TimeoutError, LookupError):
        return ["failures"]
    return ["successes"]


async def test_waits_are_counted_in_seconds(flavour: Flavour, clock):
    """For quota as they were, between attempts as planned."""
    executor = flavour.ResilientExecutor(flavour.TokenBucket(1, 1.0, clock=clock), RetryPolicy())
    answers = iter([None, TimeoutError(), None])

    def func() -> None:
        answer = next(answers)
        if answer:
            raise answer

    await call(executor.run, "ann", func)
    await call(executor.run, "ann", func)

    stats = executor.stats()
    assert (stats.waited, stats.backed_off) == (1.0, 0.1)
    assert (stats.amplification, stats.retry_success) == (1.5, 1.0)


@pytest.mark.parametrize("kind", ["plain", "limited", "retried"])
async def test_a_run_that_is_cancelled_is_counted_as_such(kind):
    """While it is in its first attempt, waits for quota, or waits for the next attempt."""
    still = MockClock(autojump=False)
    executor = {
        "plain": ASYNC.ResilientExecutor,
        "limited": lambda: ASYNC.ResilientExecutor(ASYNC.TokenBucket(1, 1.0, clock=still)),
        "retried": lambda: ASYNC.ResilientExecutor(retry_policy=RetryPolicy(), clock=still),
    }[kind]()

    async def func() -> None:
        if kind == "retried":
            raise TimeoutError
        await asyncio.Event().wait()

    if kind == "limited":
        await executor.run("ann", lambda: None)
    task = asyncio.create_task(executor.run("ann", func))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task

    stats = executor.stats()
    assert stats.cancelled == 1
    assert stats.attempts == 1
    assert stats.calls == stats.successes + 1


async def test_runs_are_in_flight_until_they_have_ended_or_are_abandoned(clock):
    """Cancelled, closed, dropped, or by an error: none is left over."""
    executor = ASYNC.ResilientExecutor(
        ASYNC.TokenBucket(3, 1.0, clock=MockClock(autojump=False)), RetryPolicy(max_attempts=2)
    )

    async def func() -> None:
        await asyncio.Event().wait()

    tasks = [asyncio.create_task(executor.run("ann", func)) for _ in range(5)]
    await asyncio.sleep(0)
    stats = executor.stats()
    assert (stats.calls, stats.in_flight, stats.amplification) == (5, 5, None)
    for left in range(4, -1, -1):
        tasks[left].cancel()
        with pytest.raises(asyncio.CancelledError):
            await tasks[left]
        assert (executor.stats().in_flight, executor.stats().cancelled) == (left, 5 - left)

    other = ASYNC.ResilientExecutor()
    closed, dropped = other.run("ann", func), other.run("ann", func)
    closed.send(None)
    dropped.send(None)
    assert other.stats().in_flight == 2
    closed.close()
    del dropped
    gc.collect()
    assert (other.stats().in_flight, other.stats().cancelled) == (0, 2)


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit, LookupError, RateLimitExceeded])
async def test_a_run_that_an_error_ends_is_in_flight_no_more(flavour: Flavour, error):
    """Whatever the error, with parts and without."""

    def func() -> None:
        raise error

    for executor in (
        flavour.ResilientExecutor(),
        flavour.ResilientExecutor(
            flavour.TokenBucket(9, 1.0), RetryPolicy(), CircuitBreaker(), timeout=9
        ),
    ):
        with pytest.raises((error, RetryExhausted)):
            await call(executor.run, "ann", func)
        stats = executor.stats()
        assert (stats.calls, stats.in_flight) == (1, 0)
        assert stats.cancelled == issubclass(error, (KeyboardInterrupt, SystemExit))


async def test_a_generator_function_that_is_refused_is_in_flight_no_more(flavour: Flavour):
    """Nothing of it has run."""
    executor = flavour.ResilientExecutor()

    def func():
        yield 1

    with pytest.raises(TypeError):
        await call(executor.run, "ann", func)
    stats = executor.stats()
    assert (stats.calls, stats.cancelled, stats.in_flight) == (1, 1, 0)


def test_a_coroutine_that_a_sync_run_refuses_ends_without_an_answer():
    """It never ran, so it is neither a success nor a failure."""
    executor = ResilientExecutor()

    async def func() -> None: ...

    with pytest.raises(TypeError):
        executor.run("ann", func)

    assert (executor.stats().calls, executor.stats().cancelled) == (1, 1)


def test_nothing_is_divided_by_nothing():
    """Before the first run, and the first retry."""
    stats = ResilientExecutor().stats()
    assert (stats.calls, stats.amplification, stats.retry_success) == (0, None, None)


def test_no_thread_s_run_is_lost():
    """Four real threads share one executor."""
    executor = ResilientExecutor(TokenBucket(100, 1e-6), acquire_timeout=0)

    def work() -> None:
        for _ in range(200):
            with contextlib.suppress(RateLimitExceeded):
                executor.run("ann", int)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    stats = executor.stats()
    assert (stats.calls, stats.successes, stats.refused_by_limiter) == (800, 100, 700)
