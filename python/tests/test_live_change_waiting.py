"""Those who wait while limits change: tasks, threads, composites and runs."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Callable
from typing import Any

import pytest

from limitpal import (
    AsyncCompositeLimiter,
    AsyncResilientExecutor,
    AsyncTokenBucket,
    CompositeLimiter,
    FixedWindow,
    MockClock,
    RateLimitExceeded,
    ResilientExecutor,
    TokenBucket,
)


async def told(answer: Any) -> Any:
    """Sync and async run the same test body."""
    return await answer if inspect.isawaitable(answer) else answer


def test_those_who_wait_are_pushed_back_in_their_order() -> None:
    """Tasks go in their order once the key is open; one with a timeout is told at once."""

    async def main() -> None:
        clock = MockClock()
        limiter = AsyncTokenBucket(capacity=1, refill_rate=1, clock=clock)
        went: list[tuple[str, float]] = []

        async def come(name: str, timeout: float | None = None) -> None:
            try:
                await limiter.acquire("k", timeout)
            except RateLimitExceeded as refused:
                name += f" refused for {refused.retry_after:g}"
            went.append((name, clock.now()))

        await limiter.allow("k")
        tasks = [come("a"), come("hasty", 3), come("b")]
        running = [asyncio.ensure_future(task) for task in tasks]
        await asyncio.sleep(0)
        await limiter.penalise("k", 5)
        await asyncio.gather(*running)
        assert went == [("hasty refused for 6", 0.0), ("a", 5.0), ("b", 6.0)]

    asyncio.run(main())


def test_a_cost_that_fits_no_more_is_told_never() -> None:
    """Who waits for more than the new capacity is turned away at once."""

    async def main() -> float | None:
        limiter = AsyncTokenBucket(capacity=5, refill_rate=1, clock=MockClock())
        await limiter.allow("k", 5)
        large = asyncio.ensure_future(limiter.acquire("k", cost=5))
        await asyncio.sleep(0)
        await limiter.reconfigure(capacity=4)
        with pytest.raises(RateLimitExceeded) as refused:
            await large
        return refused.value.retry_after

    assert asyncio.run(main()) == float("inf")


class Own:
    """A clock of one's own, which calls back in its sleep."""

    def __init__(self) -> None:
        self.time = 0.0
        self.sleeps: list[float] = []
        self.during: Callable[[], object] = lambda: None

    def now(self) -> float:
        return self.time

    def sleep(self, seconds: float) -> None:
        self.sleeps.append(seconds)
        during, self.during = self.during, lambda: None
        during()
        self.time += seconds

    async def sleep_async(self, seconds: float) -> None:
        self.sleep(seconds)


@pytest.mark.parametrize(
    "make",
    [
        lambda clock: TokenBucket(10, 2, clock),
        lambda clock: AsyncTokenBucket(10, 2, clock),
        lambda clock: FixedWindow(10, 1, clock),
    ],
)
def test_a_sleeper_that_cannot_be_moved_sleeps_on(make: Callable[[Own], Any]) -> None:
    """One that was pushed back in its sleep sleeps again, until it may go."""

    async def main() -> None:
        clock = Own()
        limiter = make(clock)
        core = getattr(limiter, "_core", limiter)
        assert await told(limiter.allow("k", 10))
        clock.during = lambda: core.penalise("k", 30)
        await told(limiter.acquire("k"))
        assert clock.now() == 30.0
        assert len(clock.sleeps) == 2

        assert core.allow("k", core.peek("k").remaining)
        clock.during = lambda: core.penalise("k", 30)
        with pytest.raises(RateLimitExceeded) as refused:
            await told(limiter.acquire("k", timeout=5))
        assert refused.value.retry_after is not None
        assert 24 <= refused.value.retry_after < 30

    asyncio.run(main())


def test_a_composite_closes_a_key_in_every_part() -> None:
    """Parts of one's own are told too, where they know what it is."""

    class Part:
        def __init__(self) -> None:
            self.calls: list[object] = []

        def allow(self, _key: str) -> bool:
            return True

        def acquire(self, _key: str, **_options: object) -> None: ...

        def penalise(self, *arguments: object) -> None:
            self.calls.append(arguments)

    clock, own = MockClock(), Part()
    first = TokenBucket(2, 1, clock)
    second = FixedWindow(9, 60, clock)
    limiter = CompositeLimiter([first, second, own], clock)
    assert limiter.allow("k")
    limiter.give_back("k")
    assert (first.peek("k").remaining, second.peek("k").remaining) == (2, 9)
    limiter.penalise("k", 5)
    assert (first.peek("k").retry_after, second.peek("k").retry_after) == (5.0, 5.0)
    assert own.calls == [("k", 5)]
    assert not limiter.allow("k")
    limiter.acquire("k")
    assert clock.now() == 5.0
    for name in ("configure", "reconfigure", "unconfigure"):
        assert not hasattr(limiter, name)


def test_an_async_composite_waits_on_where_a_part_turns_it_away() -> None:
    """A composite asks anew, with what is left of its time."""

    async def main() -> list[object]:
        clock = MockClock()
        first = AsyncTokenBucket(1, 1, clock)
        limiter = AsyncCompositeLimiter([first, AsyncTokenBucket(5, 1, clock)])
        await limiter.allow("k")
        patient = asyncio.ensure_future(limiter.acquire("k"))
        hasty = asyncio.ensure_future(limiter.acquire("k", timeout=3))
        await asyncio.sleep(0)
        await limiter.penalise("k", 10)
        with pytest.raises(RateLimitExceeded):
            await hasty
        refused_at = clock.now()
        await patient
        return [refused_at, clock.now()]

    assert asyncio.run(main()) == [0.0, 10.0]


@pytest.mark.parametrize("is_async", [False, True])
def test_a_run_is_refused_where_its_turn_would_come_too_late(is_async: bool) -> None:
    """An executor hears of it as of any refusal."""

    async def main() -> float | None:
        clock = MockClock() if is_async else Own()
        kind: Any = AsyncTokenBucket if is_async else TokenBucket
        limiter = kind(1, 1, clock)
        core = getattr(limiter, "_core", limiter)
        core.allow("k")
        run: Any = AsyncResilientExecutor if is_async else ResilientExecutor
        executor = run(limiter, acquire_timeout=2)
        if isinstance(clock, Own):
            clock.during = lambda: core.penalise("k", 30)
            with pytest.raises(RateLimitExceeded) as refused:
                executor.run("k", lambda: 1)
        else:
            task = asyncio.ensure_future(executor.run("k", lambda: 1))
            await asyncio.sleep(0)
            core.penalise("k", 30)
            with pytest.raises(RateLimitExceeded) as refused:
                await task
        return refused.value.retry_after

    assert asyncio.run(main()) == (30.0 if is_async else 29.0)
