"""Tries in tasks: none is left behind, and a cancellation from outside comes through."""

import asyncio
import gc
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from helpers import cancel, each_loop, run_in, spin
from limitpal import (
    AsyncConcurrencyLimiter,
    AsyncResilientExecutor,
    Hedge,
    MockClock,
    RetryExhausted,
    RetryPolicy,
    TimeoutExceeded,
    current_attempt,
)


class Tries:
    """Sleeps as told on the clock, and knows who is under way."""

    def __init__(self, clock, *lines):
        self.clock = clock
        self.lines = lines
        self.began = 0
        self.under_way = 0
        self.cancelled = 0

    async def call(self):
        line = self.lines[min(self.began, len(self.lines) - 1)]
        self.began += 1
        self.under_way += 1
        try:
            await self.clock.sleep_async(line[0])
            if isinstance(line[1], BaseException):
                raise line[1]
            return line[1]
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        finally:
            self.under_way -= 1


def others():
    """Return the tasks besides the present one."""
    return asyncio.all_tasks() - {asyncio.current_task()}


async def test_the_loser_is_cancelled_and_gone_before_the_answer_is_there():
    """No task is left, and no warning."""
    clock = MockClock()
    executor = AsyncResilientExecutor(hedge=Hedge(1.0), clock=clock)
    tries = Tries(clock, (9.0, "slow"), (1.0, "fast"))

    assert await executor.run("api", tries.call) == "fast"

    assert (tries.under_way, tries.cancelled, others()) == (0, 1, set())


async def test_a_loser_that_fails_as_it_is_cancelled_is_nobodys_news():
    """Its error is asked for, so that asyncio does not report it."""
    clock = MockClock()
    executor = AsyncResilientExecutor(hedge=Hedge(1.0), clock=clock)
    reported = []
    asyncio.get_running_loop().set_exception_handler(lambda _, news: reported.append(news))
    calls = iter([True, False])

    async def call():
        if next(calls):
            try:
                await clock.sleep_async(9.0)
            finally:
                raise OSError("at the end")
        return "fast"

    assert await executor.run("api", call) == "fast"
    gc.collect()
    await spin()
    assert reported == []


@each_loop
def test_cancelled_from_outside_a_run_ends_all_tries_and_says_so(loop_kind):
    """Before the hedge, beside it, and while the loser takes its time to go."""

    async def main():
        for moment in (0.5, 1.5, 2.5):
            clock = MockClock(autojump=False)
            executor = AsyncResilientExecutor(hedge=Hedge(1.0), clock=clock)
            tries = Tries(clock, (9.0, "slow"))
            task = asyncio.ensure_future(executor.run("api", tries.call))
            await spin()
            for _ in range(round(moment * 2)):
                clock.advance(0.5)
                await spin()
            await cancel(task)
            assert (tries.under_way, others()) == (0, set())
            assert tries.cancelled == tries.began == (1 if moment < 1 else 2)
            stats = executor.stats()
            assert (stats.calls, stats.cancelled, stats.attempts) == (1, 1, tries.began)

    run_in(loop_kind, main())


async def test_cancelled_while_the_loser_goes_it_waits_for_that_and_is_cancelled():
    """What has won is lost then; nothing is left under way."""
    clock = MockClock(autojump=False)
    executor = AsyncResilientExecutor(hedge=Hedge(1.0), clock=clock)
    gone = asyncio.Event()
    calls = iter([True, False])
    log = []

    async def call():
        if next(calls):
            try:
                await clock.sleep_async(9.0)
            except asyncio.CancelledError:
                log.append("asked to go")
                await gone.wait()
                log.append("gone")
                raise
        return "fast"

    task = asyncio.ensure_future(executor.run("api", call))
    await spin()
    clock.advance(1.0)
    await spin()
    assert log == ["asked to go"]
    task.cancel()
    await spin()
    assert not task.done()
    gone.set()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert log == ["asked to go", "gone"]


async def test_a_try_that_is_cancelled_from_within_ends_the_run_as_cancelled():
    """As without a hedge: never retried, never counted."""
    clock = MockClock()
    executor = AsyncResilientExecutor(hedge=Hedge(1.0), clock=clock)

    async def call():
        raise asyncio.CancelledError

    with pytest.raises(asyncio.CancelledError):
        await executor.run("api", call)
    assert executor.stats().cancelled == 1
    assert others() == set()


async def test_a_run_whose_coroutine_is_closed_leaves_no_task():
    """As a generator that is not used up; nothing can be awaited then."""
    clock = MockClock(autojump=False)
    executor = AsyncResilientExecutor(hedge=Hedge(1.0), clock=clock)
    tries = Tries(clock, (9.0, "slow"))
    run = executor.run("api", tries.call)
    run.send(None)
    await spin()
    assert tries.under_way == 1

    run.close()
    await spin()

    assert (tries.under_way, others(), executor.stats().cancelled) == (0, set(), 1)


async def test_what_returns_no_awaitable_is_called_in_the_callers_own_task():
    """A plain function needs no task, nor do futures and tasks get lost."""
    executor = AsyncResilientExecutor(hedge=Hedge(1.0), clock=MockClock())
    tasks = []

    def plain():
        tasks.append(asyncio.current_task())
        return "value"

    assert await executor.run("api", plain) == "value"
    assert tasks == [asyncio.current_task()]

    async def later():
        return "later"

    assert await executor.run("api", lambda: asyncio.ensure_future(later())) == "later"


async def test_a_clock_of_the_users_own_that_fails_ends_the_run_and_leaves_nothing():
    """Its error comes out; the try is cancelled."""

    class Broken:
        def now(self):
            return 0.0

        def sleep(self, seconds):
            raise OSError("no time")

        async def sleep_async(self, seconds):
            raise OSError("no time")

    executor = AsyncResilientExecutor(hedge=Hedge(1.0), clock=Broken())
    tries = Tries(MockClock(autojump=False), (9.0, "slow"))
    with pytest.raises(OSError, match="no time"):
        await executor.run("api", tries.call)
    assert (tries.under_way, others()) == (0, set())


async def test_an_attempt_whose_time_is_over_ends_all_its_tries():
    """They are cancelled and gone before the next attempt, and before the error comes out."""
    clock = MockClock()
    policy = RetryPolicy(2, base_delay=0.0)
    hedge = Hedge(1.0, max_hedges=5)
    executor = AsyncResilientExecutor(
        hedge=hedge, attempt_timeout=2.5, retry_policy=policy, clock=clock
    )
    tries = Tries(clock, (9.0, "slow"))

    with pytest.raises(RetryExhausted) as end:
        await executor.run("api", tries.call)

    assert type(end.value.last_error) is TimeoutExceeded
    assert (tries.began, tries.cancelled, tries.under_way, others()) == (6, 6, 0, set())
    assert clock.now() == 5.0
    assert asyncio.current_task().cancelling() == 0 if sys.version_info >= (3, 11) else True
    stats = executor.stats()
    assert (stats.timeouts, stats.hedges, stats.attempts) == (2, 4, 6)


async def test_no_hedge_begins_at_the_deadline_or_later():
    """At 2 s there would be the second hedge; the run's time is over then."""
    clock = MockClock()
    executor = AsyncResilientExecutor(hedge=Hedge(1.0, max_hedges=5), timeout=2.0, clock=clock)
    tries = Tries(clock, (9.0, "slow"))

    with pytest.raises(TimeoutExceeded):
        await executor.run("api", tries.call)
    assert (tries.began, tries.under_way, clock.now()) == (2, 0, 2.0)


async def test_current_attempt_is_that_of_the_run_in_each_try():
    """A hedge is no attempt of its own."""
    clock = MockClock()
    executor = AsyncResilientExecutor(
        hedge=Hedge(1.0), retry_policy=RetryPolicy(2, base_delay=0.0), timeout=60.0, clock=clock
    )
    seen = []

    async def call():
        seen.append((current_attempt().number, current_attempt().deadline))
        await clock.sleep_async(1.5)
        raise OSError("down")

    with pytest.raises(RetryExhausted):
        await executor.run("api", call)
    assert seen == [(1, 60.0), (1, 60.0), (2, 60.0), (2, 60.0)]


@given(
    st.lists(
        st.tuples(st.integers(0, 8), st.sampled_from(["value", OSError("x")])),
        min_size=3,
        max_size=3,
    ),
    st.integers(0, 4),
    st.integers(1, 16),
)
def test_cancelled_at_any_instant_nothing_is_left(lines, delay, moment):
    """Whatever the tries do: no task, no permit, no sleeper, and one run counted."""

    async def main():
        clock = MockClock(autojump=False)
        pool = AsyncConcurrencyLimiter(9, clock=clock)
        hedge = Hedge(float(delay), max_hedges=2)
        executor = AsyncResilientExecutor(pool, hedge=hedge, charge="attempt", clock=clock)
        tries = Tries(clock, *[(float(after), answer) for after, answer in lines])
        task = asyncio.ensure_future(executor.run("api", tries.call))
        for _ in range(moment):
            await spin(6)
            clock.advance(1.0)
        await spin(moment % 3)
        task.cancel()
        await asyncio.wait([task])
        assert (tries.under_way, others(), await pool.in_flight("api")) == (0, set(), 0)
        assert clock._sleepers == {}
        stats = executor.stats()
        assert stats.calls == 1
        # A task that is cancelled before its first step was begun, and has run nothing.
        assert tries.began <= stats.attempts == stats.firsts + stats.hedges <= tries.began + 2
        if not task.cancelled():
            task.exception()

    asyncio.run(main())
