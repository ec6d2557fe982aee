"""`executor.observe()`: for all scripts, what is counted adds up at every event."""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from driving import ASYNC, BOTH, Flavour
from limitpal import (
    AttemptBegan,
    Bulkhead,
    CircuitBreaker,
    Hedge,
    HedgeStarted,
    MockClock,
    RetryBudget,
    RetryPlanned,
    RetryPolicy,
    RunBegan,
    RunEnded,
)
from test_executor_stats import adds_up

lines = st.sampled_from(["value", "value", "late", "slow", "slow", "wrong", "cancelled", "hang"])
acts = st.lists(
    st.one_of(
        st.lists(lines, min_size=4, max_size=4),
        st.floats(0, 1.5),
        st.integers(0, 7),
    ),
    max_size=25,
)
parts = st.sets(
    st.sampled_from(["limiter", "breaker", "retry", "bulkhead", "hedge", "timeout", "budget"])
)


def built(flavour: Flavour, parts: set[str], charge: Any, clock: MockClock) -> Any:
    """Make an executor of these parts."""
    given: dict[str, Any] = {"charge": charge, "clock": clock}
    if "limiter" in parts:
        given["limiter"] = flavour.TokenBucket(3, 1.0, clock=clock)
        given["acquire_timeout"] = 0.5
    if "breaker" in parts:
        given["circuit_breaker"] = CircuitBreaker(2, clock=clock)
    if "retry" in parts:
        given["retry_policy"] = RetryPolicy(retry_on=TimeoutError)
    if "bulkhead" in parts:
        given["bulkhead"] = Bulkhead(2)
    if "hedge" in parts and flavour is ASYNC:
        given["hedge"] = Hedge(0.2)
    if "timeout" in parts:
        given |= {"timeout": 2.0, "attempt_timeout": 0.9}
    if "budget" in parts:
        given["retry_budget"] = RetryBudget(clock=clock)
    return flavour.ResilientExecutor(**given)


class Told:
    """What was told so far, held against what is counted at every event."""

    def __init__(self, executor: Any) -> None:
        self.executor = executor
        self.under_way: dict[int, int] = {}
        self.ends: Counter[str] = Counter()
        self.calls = self.attempts = self.firsts = self.hedges = 0
        self.wrong: list[Any] = []

    def hear(self, event: Any) -> None:
        """Note an event; what does not hold is kept, since nobody hears an observer's error."""
        right = True
        if isinstance(event, RunBegan):
            self.calls += 1
            self.under_way[event.run] = 0
        elif isinstance(event, RunEnded):
            right = self.under_way.pop(event.run) == event.attempts
            self.ends[event.end] += 1
            self.attempts += event.attempts
            self.firsts += event.attempts > 0
        elif isinstance(event, AttemptBegan):
            self.under_way[event.run] += 1
            right = self.under_way[event.run] == event.attempt
        elif isinstance(event, RetryPlanned):
            right = self.under_way[event.run] + 1 == event.attempt
        else:
            right = self.under_way[event.run] == event.attempt
            self.hedges += isinstance(event, HedgeStarted)
        stats = self.executor.stats()
        ends = self.ends
        counts = {
            "calls": self.calls,
            "in_flight": len(self.under_way),
            "successes": ends["success"],
            "failures": ends["failed"] + ends["exhausted"] + ends["timed_out"],
            "cancelled": ends["cancelled"],
            "refusals": sum(n for end, n in ends.items() if end.startswith("refused")),
            "firsts": self.firsts,
            "retries": self.attempts - self.firsts,
        }
        if not right or not adds_up(stats) or counts != {n: getattr(stats, n) for n in counts}:
            self.wrong.append((event, counts, stats))


@pytest.mark.parametrize("flavour", BOTH, ids=lambda flavour: flavour.name)
@pytest.mark.parametrize("charge", ["call", "attempt"])
@given(parts, acts)
def test_at_every_event_what_is_counted_adds_up(flavour, charge, parts, acts):
    """Whatever the parts, however runs end, and whoever cancels them."""
    clock = MockClock(autojump=False)
    executor = built(flavour, parts, charge, clock)
    told = Told(executor)
    executor.observe(told.hear)

    async def main() -> None:
        tasks: list[asyncio.Task[Any]] = []
        for act in acts:
            if isinstance(act, float):
                clock.advance(act)
            elif isinstance(act, list):
                func = function(flavour, clock, iter(act))
                if flavour is ASYNC:
                    tasks.append(asyncio.create_task(executor.run("key", func)))
                else:
                    with contextlib.suppress(Exception, asyncio.CancelledError):
                        executor.run("key", func)
            elif tasks:
                tasks[act % len(tasks)].cancel()
            for _ in range(5):
                await asyncio.sleep(0)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    asyncio.run(main())
    stats = executor.stats()
    assert not told.wrong
    assert (stats.in_flight, stats.calls, stats.hedges) == (0, told.calls, told.hedges)


def function(flavour: Flavour, clock: MockClock, script: Any) -> Any:
    """Make a function that does as the script says."""
    errors = {"slow": TimeoutError, "wrong": LookupError, "cancelled": asyncio.CancelledError}

    def func() -> None:
        line = next(script, "value")
        if line in errors:
            raise errors[line](line)
        if line == "late":
            clock.sleep(0.7)

    async def func_async() -> None:
        line = next(script, "value")
        if line in errors:
            raise errors[line](line)
        if line == "late":
            await clock.sleep_async(0.7)
        elif line == "hang":
            await asyncio.Event().wait()

    return func_async if flavour is ASYNC else func
