"""`executor.observe()`: what observers hear of runs, and that it adds up at every event."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import pickle
import sys
import weakref
from typing import Any

import pytest

from driving import ASYNC, BOTH, Flavour, call
from limitpal import (
    AttemptBegan,
    AttemptFailed,
    Bulkhead,
    CircuitBreaker,
    Fallback,
    Hedge,
    HedgeStarted,
    InvalidConfigError,
    MockClock,
    RateLimitExceeded,
    RetryExhausted,
    RetryPlanned,
    RetryPolicy,
    RunBegan,
    RunEnded,
)


async def test_a_run_is_told_from_its_beginning_to_its_end(flavour: Flavour, clock):
    """Each event as a value that pickles, in its order."""
    executor = flavour.ResilientExecutor(
        flavour.TokenBucket(1, 1.0, clock=clock), RetryPolicy(), CircuitBreaker(clock=clock)
    )
    await call(executor.run, "ann", int)
    answers = iter([TimeoutError("slow"), 7])

    def func() -> int:
        answer = next(answers)
        if isinstance(answer, Exception):
            raise answer
        return answer

    events: list[Any] = []
    with executor.observe(events.append) as subscription:
        assert await call(executor.run, "ann", func) == 7
    await call(executor.run, "bob", int)

    assert not subscription.is_open
    assert events == [
        RunBegan("ann", 1),
        AttemptBegan("ann", 1, 1),
        AttemptFailed("ann", 1, 1, "TimeoutError", "slow", retryable=True, counted="failure"),
        RetryPlanned("ann", 1, 2, 0.1),
        AttemptBegan("ann", 1, 2),
        RunEnded("ann", 1, "success", None, 2, 1.0, 0.1, 1.1),
    ]
    assert pickle.loads(pickle.dumps(events)) == events


async def ends(executor: Any, func: Any = int) -> tuple[str, str | None]:
    """Run once; return how that ended."""
    events: list[Any] = []
    with executor.observe(events.append), contextlib.suppress(Exception, KeyboardInterrupt):
        await call(executor.run, "ann", func)
    return events[-1].end, events[-1].reason


def down() -> None:
    """Fail."""
    raise LookupError("down")


async def test_whoever_refuses_or_stops_a_run_is_named(flavour: Flavour, clock):
    """Every end has its word."""
    bucket = flavour.TokenBucket(1, 1.0, clock=clock)
    limited = flavour.ResilientExecutor(bucket, acquire_timeout=0)
    assert await ends(limited) == ("success", None)
    assert await ends(limited) == ("refused_by_limiter", None)

    broken = flavour.ResilientExecutor(circuit_breaker=CircuitBreaker(1, clock=clock))
    assert await ends(broken, down) == ("failed", None)
    assert await ends(broken) == ("refused_by_breaker", None)

    bulkhead = Bulkhead(1)
    guarded = flavour.ResilientExecutor(bulkhead=bulkhead, acquire_timeout=0, clock=clock)
    with bulkhead.try_acquire():
        assert await ends(guarded) == ("refused_by_bulkhead", None)

    retried = flavour.ResilientExecutor(retry_policy=RetryPolicy(max_attempts=2), clock=clock)
    assert await ends(retried, down) == ("exhausted", "attempts")

    def interrupted() -> None:
        raise KeyboardInterrupt

    for executor in (limited, guarded, retried):
        clock.advance(10)
        assert await ends(executor, interrupted) == ("cancelled", None)


async def test_an_error_is_told_in_words_and_as_it_was_judged(flavour: Flavour, clock):
    """What the breaker ignores, what is not retried, refusals of ours, and results."""
    executor = flavour.ResilientExecutor(
        retry_policy=RetryPolicy(
            max_attempts=2, retry_on=LookupError, retry_on_result=lambda value: value == 0
        ),
        circuit_breaker=CircuitBreaker(ignore=ValueError, clock=clock),
    )
    events: list[Any] = []
    executor.observe(events.append)

    class Mute(Exception):
        def __str__(self) -> str:
            raise RuntimeError

    for error in (KeyError("a"), ValueError("b"), RateLimitExceeded("c"), Mute()):

        def func(error=error) -> None:
            raise error

        with contextlib.suppress(Exception):
            await call(executor.run, "ann", func)
    with pytest.raises(RetryExhausted):
        await call(executor.run, "ann", int)

    failed = [event for event in events if isinstance(event, AttemptFailed)]
    assert [(one.error, one.words, one.retryable, one.counted) for one in failed] == [
        ("KeyError", "'a'", True, "failure"),
        ("KeyError", "'a'", True, "failure"),
        ("ValueError", "b", False, None),
        ("RateLimitExceeded", "c", False, None),
        ("Mute", "", False, "failure"),
        ("int", "a result that is not good enough", True, "success"),
        ("int", "a result that is not good enough", True, "success"),
    ]


async def test_hedges_and_attempts_cut_short_are_told_of(clock):
    """As they start; and an attempt whose time is over has failed."""
    executor = ASYNC.ResilientExecutor(
        retry_policy=RetryPolicy(max_attempts=2),
        hedge=Hedge(1.0),
        attempt_timeout=2.0,
        clock=clock,
    )
    events: list[Any] = []
    executor.observe(events.append)

    with pytest.raises(RetryExhausted):
        await executor.run("ann", lambda: clock.sleep_async(9.0))

    assert [event for event in events if isinstance(event, HedgeStarted)] == [
        HedgeStarted("ann", 1, 1, 1),
        HedgeStarted("ann", 1, 2, 1),
    ]
    assert [event.error for event in events if isinstance(event, AttemptFailed)] == [
        "TimeoutExceeded"
    ] * 2
    assert events[-1] == RunEnded("ann", 1, "exhausted", "attempts", 2, 0.0, 0.1, 4.1)


def test_hedges_in_threads_are_told_of_too(clock):
    """The sync executor's tries run in threads; its events are told in the caller's."""
    executor = limited_by_nothing(hedge=Hedge(1.0), clock=clock)
    events: list[Any] = []
    executor.observe(events.append)
    calls = iter([5.0, 0.0])

    executor.run("ann", lambda: clock.sleep(next(calls)))

    assert [type(event) for event in events] == [RunBegan, AttemptBegan, HedgeStarted, RunEnded]


def limited_by_nothing(**options: Any) -> Any:
    """Make a sync executor."""
    return BOTH[0].ResilientExecutor(**options)


async def test_a_run_that_is_abandoned_has_ended(clock):
    """Its task cancelled, its coroutine closed, or dropped."""
    executor = ASYNC.ResilientExecutor(retry_policy=RetryPolicy())
    ended: list[Any] = []
    executor.observe(lambda event: ended.append(event) if isinstance(event, RunEnded) else None)

    async def hangs() -> None:
        await asyncio.Event().wait()

    task = asyncio.create_task(executor.run("task", hangs))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    closed = executor.run("closed", hangs)
    closed.send(None)
    closed.close()
    dropped = executor.run("dropped", hangs)
    dropped.send(None)
    del dropped
    gc.collect()

    assert [(event.key, event.end, event.attempts) for event in ended] == [
        ("task", "cancelled", 1),
        ("closed", "cancelled", 1),
        ("dropped", "cancelled", 1),
    ]


async def test_observers_can_neither_break_a_run_nor_hear_of_their_own(
    flavour: Flavour, monkeypatch
):
    """What one raises goes where Python shows those that nobody can catch; others hear all."""
    shown = []
    monkeypatch.setattr("sys.unraisablehook", lambda raised: shown.append(raised.exc_value))
    executor, other = flavour.ResilientExecutor(), BOTH[0].ResilientExecutor()
    events: list[Any] = []

    def sour(event: Any) -> None:
        if flavour is not ASYNC:
            executor.run("inner", int)
        other.run("inner", int)
        raise LookupError(event)

    executor.observe(sour)
    executor.observe(events.append)
    with pytest.raises(ValueError, match="mine"):
        await call(executor.run, "ann", lambda: int("mine"))

    assert [type(event) for event in events] == [RunBegan, AttemptBegan, AttemptFailed, RunEnded]
    assert [type(error) for error in shown] == [LookupError] * 4


async def test_what_stands_around_a_run_is_no_matter_of_the_run_s(flavour: Flavour):
    """A fallback's answer changes nothing of how the run ended; it is observed."""
    executor = flavour.ResilientExecutor(fallback=Fallback(3))
    events: list[Any] = []
    executor.observe(events.append)

    assert await call(executor.run, "ann", down) == 3

    assert events[-1].end == "failed"


async def test_a_clock_that_fails_for_those_who_listen_fails_no_run(flavour: Flavour):
    """The run itself does not ask it."""

    class Broken(MockClock):
        def now(self) -> float:
            raise OSError

    executor = flavour.ResilientExecutor(clock=Broken())
    events: list[Any] = []
    executor.observe(events.append)

    assert await call(executor.run, "ann", int) == 0

    assert (events[-1].end, events[-1].lasted) == ("success", None)


def test_what_is_no_observer_is_refused(flavour: Flavour):
    """At once, by name."""
    with pytest.raises((TypeError, InvalidConfigError), match="observer"):
        flavour.ResilientExecutor().observe(3)


def test_an_executor_and_its_observer_are_garbage_together(flavour: Flavour):
    """The core holds no observer that the collector does not see."""
    executor = flavour.ResilientExecutor()

    def observer(_event: Any, executor: Any = executor) -> None: ...

    executor.observe(observer)
    gone = weakref.ref(observer)
    del executor, observer
    gc.collect()
    assert gone() is None


def test_an_observer_of_a_run_that_an_error_drops_changes_no_error():
    """It is called as the error comes up."""
    executor = ASYNC.ResilientExecutor(retry_policy=RetryPolicy())
    seen = []
    executor.observe(lambda event: seen.append((type(event), sys.exc_info()[0])))

    async def hangs() -> None:
        await asyncio.Event().wait()

    async def main() -> None:
        await asyncio.wait_for(executor.run("ann", hangs), 0.001)

    with pytest.raises(asyncio.TimeoutError):
        asyncio.run(main())
    assert seen[-1][0] is RunEnded
