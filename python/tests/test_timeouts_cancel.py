"""Cancelling what a timeout cancels too: whose cancellation it is, and that nothing is left."""

import asyncio
import sys

import pytest

from helpers import caught
from limitpal import (
    AsyncResilientExecutor,
    AsyncTokenBucket,
    CircuitBreaker,
    MockClock,
    TimeoutExceeded,
)


def executor_on(clock, **options):
    """Returns an executor whose attempts have a second."""
    return AsyncResilientExecutor(attempt_timeout=1.0, clock=clock, **options)


async def hang():
    """An attempt that never ends by itself."""
    await asyncio.Event().wait()


def is_quiet(clock):
    """Returns whether nobody sleeps on the clock, nor any task beside this one is there."""
    return not clock._sleepers and asyncio.all_tasks() == {asyncio.current_task()}


async def test_a_cancellation_from_outside_stays_one():
    """It comes out as it is, and the probe's permit goes back."""
    clock = MockClock(autojump=False)
    breaker = CircuitBreaker(failure_threshold=1, recovery_timeout=1.0, clock=clock)
    breaker.record_failure()
    clock.advance(1.0)
    executor = executor_on(clock, circuit_breaker=breaker)
    task = asyncio.create_task(executor.run("api", hang))
    await asyncio.sleep(0)

    task.cancel("from outside")
    with pytest.raises(asyncio.CancelledError):
        await task

    assert task.cancelled()
    assert (breaker.state, breaker.allow()) == ("half_open", True)
    assert (executor.stats().cancelled, executor.stats().timeouts) == (1, 0)
    assert is_quiet(clock)


@pytest.mark.parametrize("first", ["ours", "theirs"])
@pytest.mark.parametrize("nested", [False, True], ids=["future", "task"])
async def test_a_cancellation_in_the_same_turn_as_ours_is_not_swallowed(first, nested):
    """Whichever came first, and whatever the attempt waits for."""
    clock = MockClock(autojump=False)
    executor = executor_on(clock)

    async def call():
        if nested:
            await asyncio.create_task(hang())
        else:
            await hang()

    task = asyncio.create_task(executor.run("api", call))
    for _ in range(3):
        await asyncio.sleep(0)

    steps = [lambda: clock.advance(1.0), task.cancel]
    for step in steps if first == "ours" else reversed(steps):
        step()
    with pytest.raises(asyncio.CancelledError):
        await task

    assert task.cancelled()
    assert executor.stats().cancelled == 1


async def test_a_timeout_is_a_timeout_where_the_attempt_waits_for_a_task():
    """The task it waits for is cancelled as well."""
    clock = MockClock()
    inner = []

    async def call():
        inner.append(asyncio.create_task(hang()))
        await inner[0]

    end = await caught(executor_on(clock).run("api", call))

    assert type(end) is TimeoutExceeded
    assert inner[0].cancelled()
    assert is_quiet(clock)


async def test_after_a_timeout_the_task_is_not_being_cancelled():
    """It may wait again, and a second timeout is one too."""
    clock = MockClock()
    executor = executor_on(clock)

    for _ in range(2):
        assert type(await caught(executor.run("api", hang))) is TimeoutExceeded
        await asyncio.sleep(0)
        if sys.version_info >= (3, 11):
            assert asyncio.current_task().cancelling() == 0


async def test_an_attempt_that_swallows_the_cancellation_gives_its_value():
    """It has been told; what it makes of that is its own."""
    clock = MockClock()
    executor = executor_on(clock)

    async def stubborn():
        try:
            await hang()
        except asyncio.CancelledError:
            return "saved"

    assert await executor.run("api", stubborn) == "saved"
    await asyncio.sleep(0)


async def test_an_error_of_the_clean_up_comes_out_as_it_is():
    """The attempt ended with it, late or not."""
    clock = MockClock()
    executor = executor_on(clock)

    async def call():
        try:
            await hang()
        finally:
            raise OSError("clean-up")

    assert str(await caught(executor.run("api", call))) == "clean-up"
    await asyncio.sleep(0)


async def test_an_attempt_that_moves_the_clock_itself_is_cancelled_where_it_waits_next():
    """And where it does not wait again, its value comes out and nothing is left behind."""
    clock = MockClock(autojump=False)
    executor = executor_on(clock)

    async def call(waits):
        await asyncio.sleep(0)
        clock.advance(2.0)
        if waits:
            await hang()
        return "done"

    assert type(await caught(executor.run("api", call, True))) is TimeoutExceeded
    assert await executor.run("api", call, False) == "done"
    await asyncio.sleep(0)
    assert executor.stats().timeouts == 2
    assert is_quiet(clock)


async def test_an_attempt_that_is_ready_at_once_sets_no_timer():
    """Neither a coroutine that never waits nor a plain function needs one."""
    clock = MockClock()
    executor = executor_on(clock)
    numbers = []

    async def ready():
        numbers.append(len(clock._sleepers))
        return "ready"

    assert await executor.run("api", ready) == "ready"
    assert await executor.run("api", lambda: "plain") == "plain"
    assert numbers == [0]
    assert next(clock._keys) == 0


async def test_nested_timeouts_at_one_instant_are_the_outer_ones():
    """The inner attempt was cancelled from outside, and says so."""
    clock = MockClock()
    outer = AsyncResilientExecutor(timeout=2.0, clock=clock)
    inner = AsyncResilientExecutor(timeout=2.0, clock=clock)

    end = await caught(outer.run("outer", inner.run, "inner", hang))

    assert (type(end), end.scope, clock.now()) == (TimeoutExceeded, "run", 2.0)
    assert (inner.stats().cancelled, outer.stats().timed_out) == (1, 1)
    assert is_quiet(clock)


async def test_whatever_can_be_awaited_can_be_cut_short():
    """A future, a task, an object with `__await__`."""
    clock = MockClock()
    executor = executor_on(clock)

    class Own:
        def __await__(self):
            yield from asyncio.get_running_loop().create_future().__await__()

    for make in (
        asyncio.get_running_loop().create_future,
        Own,
        lambda: asyncio.ensure_future(hang()),
    ):
        assert type(await caught(executor.run("api", make))) is TimeoutExceeded


async def test_a_cancelled_run_gives_back_what_it_held():
    """At each turn of the loop: no permit, no place, no timer is left."""
    for turns in range(6):
        clock = MockClock(autojump=False)
        limiter = AsyncTokenBucket(1, 1.0, clock=clock)
        assert await limiter.allow("k")
        executor = executor_on(clock, limiter=limiter, timeout=9.0)
        task = asyncio.create_task(executor.run("k", hang))
        for _ in range(turns):
            await asyncio.sleep(0)
            clock.advance(0.5)

        task.cancel()
        await asyncio.wait([task])

        assert is_quiet(clock)
        stats = executor.stats()
        # Cancelled before it began, it was no run.
        assert stats.calls == stats.cancelled + stats.failures == (1 if turns else 0)


async def test_a_clock_of_the_users_own_that_fails_ends_the_run_with_its_error():
    """The attempt is cancelled, and the error comes out."""

    class Lame(MockClock):
        async def sleep_async(self, seconds):
            raise RuntimeError("lame")

    executor = executor_on(Lame())

    with pytest.raises(RuntimeError, match="lame"):
        await executor.run("api", hang)
    assert executor.stats().calls == 1


@pytest.mark.parametrize("sleeps", [(2.0,), (0.5, 1.5), (1.0, 0.0, 1.0)])
@pytest.mark.parametrize("option", ["timeout", "attempt_timeout"])
def test_what_is_there_as_the_time_is_over_is_in_time(option, sleeps):
    """Whoever began to sleep first: at one instant of a mock clock all is there before the end."""

    async def main():
        clock = MockClock()
        executor = AsyncResilientExecutor(clock=clock, **{option: 2.0})

        async def work():
            for seconds in sleeps:
                await clock.sleep_async(seconds)
            return clock.now()

        assert await executor.run("api", work) == 2.0
        assert executor.stats().timeouts == 0

        async def works_on():
            await work()
            await clock.sleep_async(1e-9)

        with pytest.raises(TimeoutExceeded):
            await executor.run("api", works_on)
        assert (clock.now(), executor.stats().timeouts) == (4.0, 1)

    asyncio.run(main())
