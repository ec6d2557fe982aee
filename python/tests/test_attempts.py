"""Retrying a block: `for attempt in policy.attempts(): with attempt: …`, sync and async."""

import asyncio
import gc
import math

import pytest

from helpers import STOPS, both, caught, name_of
from limitpal import (
    Constant,
    InvalidConfigError,
    MockClock,
    MonotonicClock,
    ResilientExecutor,
    RetryBudget,
    RetryExhausted,
    RetryPolicy,
    TimeoutExceeded,
)


async def block(side, policy, body, **options):
    """Run a body as a user's block; return what it saw of each attempt."""
    seen = []
    if side.is_async:
        async for attempt in policy.attempts_async(**options):
            with attempt:
                seen.append((attempt.number, attempt.last_error))
                body()
    else:
        for attempt in policy.attempts(**options):
            with attempt:
                seen.append((attempt.number, attempt.last_error))
                body()
    return seen


def lines(*given):
    """Return a body that raises these errors in turn, and then none."""
    left = iter(given)

    def body():
        error = next(left, None)
        if error is not None:
            raise error

    return body


@both
async def test_a_block_is_repeated_until_it_succeeds(side):
    """With the policy's delays by the clock given; number and last error can be read inside."""
    clock = MockClock()
    first, second = OSError("first"), OSError("second")

    seen = await block(side, RetryPolicy(base_delay=1.0), lines(first, second), clock=clock)

    assert seen == [(1, None), (2, first), (3, second)]
    assert clock.now() == 3.0


@both
async def test_a_block_that_fails_to_the_end_raises_retry_exhausted(side):
    """As an executor does: from the last error, with the reason."""
    last = OSError("last")
    body = lines(OSError("first"), last)

    error = await caught(block(side, RetryPolicy(2), body, clock=MockClock()))

    assert type(error) is RetryExhausted
    assert (error.attempts, error.last_error, error.__cause__) == (2, last, last)
    assert error.reason == "attempts"


@both
async def test_an_error_that_deserves_no_other_attempt_comes_out_as_it_is(side):
    """At once, the very object."""
    fatal = KeyError("fatal")
    body = lines(fatal)

    assert (
        await caught(block(side, RetryPolicy(retry_on=OSError), body, clock=MockClock())) is fatal
    )


@both
@pytest.mark.parametrize("stop", STOPS, ids=name_of)
async def test_cancellation_in_a_block_is_never_retried(side, stop):
    """Cancellation, Ctrl-C and exit come out of the loop."""
    assert await caught(block(side, RetryPolicy(), lines(stop), clock=MockClock())) is stop


@both
async def test_a_block_without_with_is_told_so(side):
    """Else it would be repeated for ever."""

    async def loop():
        if side.is_async:
            async for _attempt in RetryPolicy().attempts_async(clock=MockClock()):
                pass
        else:
            for _attempt in RetryPolicy().attempts(clock=MockClock()):
                pass

    error = await caught(loop())

    assert isinstance(error, RuntimeError)
    assert "with attempt" in str(error)


@both
@pytest.mark.parametrize(
    ("deadline", "attempts", "reason"),
    [
        (6.0, 1, "deadline"),
        (6.5, 1, "deadline"),
        (6.500000001, 2, "deadline"),
        (8.5, 3, "deadline"),
        (9.5, 4, "deadline"),
        (9.6, 5, "elapsed"),
    ],
)
async def test_a_wait_that_would_end_at_the_deadline_is_not_begun(side, deadline, attempts, reason):
    """A deadline is a time of the clock; the sooner of it and `max_elapsed` counts."""
    clock = MockClock(start_time=5.5)
    policy = RetryPolicy(9, base_delay=1.0, backoff=1.0, max_elapsed=4.0)
    body = lines(*[OSError()] * 9)

    error = await caught(block(side, policy, body, clock=clock, deadline=deadline))

    assert (error.attempts, error.reason) == (attempts, reason)
    assert clock.now() == 5.5 + attempts - 1, "it is refused at once"


@both
async def test_a_deadline_is_that_of_each_loop_and_a_loop_that_begins_at_it_has_no_attempt(side):
    """A clock that was set back included; a deadline far off is none."""
    clock = MockClock(start_time=100.0)
    clock.set_time(5.0)
    left = []

    def body(attempt):
        left.append((attempt.number, attempt.remaining()))
        if attempt.number == 1:
            raise OSError

    async def loop(attempts):
        if side.is_async:
            async for attempt in attempts:
                with attempt:
                    body(attempt)
        else:
            for attempt in attempts:
                with attempt:
                    body(attempt)

    policy = RetryPolicy(base_delay=1.0)
    make = policy.attempts_async if side.is_async else policy.attempts
    attempts = make(clock, deadline=8.0)
    await loop(attempts)
    assert (left, clock.now()) == ([(1, 3.0), (2, 2.0)], 6.0)

    clock.advance(2.0)
    error = await caught(loop(attempts))
    assert isinstance(error, TimeoutExceeded)
    assert (error.scope, error.attempts, len(left)) == ("run", 0, 2)
    await loop(make(clock, deadline=math.inf))
    with pytest.raises(InvalidConfigError, match="deadline is nan; give a time of the clock"):
        make(clock, deadline=math.nan)


def test_a_deadline_goes_by_the_clock_that_python_reads():
    """Of the monotonic clock and of one of the user's own, whatever their zero is."""

    class Own:
        def now(self):
            return 1e6

        def sleep(self, seconds):
            raise AssertionError(seconds)

        async def sleep_async(self, seconds):
            raise AssertionError(seconds)

    for clock in (MonotonicClock(), Own()):
        ends = clock.now() + 30.0
        for attempt in RetryPolicy().attempts(clock, deadline=ends):
            with attempt:
                assert 29.0 < attempt.remaining() <= 30.0
                assert abs(attempt.deadline - ends) < 0.01


def test_a_loop_within_an_attempt_has_its_deadline_too():
    """The sooner of the two."""
    clock = MockClock()
    executor = ResilientExecutor(timeout=2.5, clock=clock)
    policy = RetryPolicy(9, base_delay=1.0, backoff=1.0)

    def loop():
        for attempt in policy.attempts(clock, deadline=50.0):
            with attempt:
                raise OSError

    with pytest.raises(RetryExhausted) as ended:
        executor.run("api", loop)
    assert (ended.value.attempts, ended.value.reason, clock.now()) == (3, "deadline", 2.0)


@both
async def test_a_block_keeps_to_a_budget(side):
    """The same budget as executors have."""
    clock = MockClock()
    budget = RetryBudget(ratio=0.0, minimum_per_second=0.1, clock=clock)
    body = lines(*[OSError()] * 9)

    error = await caught(block(side, RetryPolicy(9), body, clock=clock, budget=budget))

    assert (error.attempts, error.reason) == (2, "budget")


def test_tenacity_93_loops_at_the_same_time_do_not_disturb_each_other():
    """One object of attempts, looped over by many tasks: each counts its own."""
    clock = MockClock()
    attempts = RetryPolicy(3, delays=Constant(1.0)).attempts_async(clock)

    async def one():
        numbers = []
        async for attempt in attempts:
            with attempt:
                numbers.append(attempt.number)
                if attempt.number < 3:
                    raise OSError
        return numbers

    async def main():
        return await asyncio.gather(*(one() for _ in range(20)))

    assert asyncio.run(main()) == [[1, 2, 3]] * 20


def test_backoff_47_cancelling_a_task_ends_its_wait():
    """A cancelled block gives its retry back and leaves at once."""
    clock = MockClock(autojump=False)
    budget = RetryBudget(ratio=0.0, minimum_per_second=0.1, clock=clock)

    async def main():
        async def one():
            async for attempt in RetryPolicy().attempts_async(clock, budget=budget):
                with attempt:
                    raise OSError

        task = asyncio.ensure_future(one())
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert budget.left == 0
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(main())
    assert budget.left == 1


def test_a_loop_that_is_left_gives_its_retry_back():
    """`break` after a failed attempt: nothing was sent."""
    clock = MockClock()
    budget = RetryBudget(ratio=0.0, minimum_per_second=0.1, clock=clock)

    def loop():
        for attempt in RetryPolicy().attempts(clock, budget=budget):
            with attempt:
                raise OSError
            break

    loop()
    gc.collect()
    assert budget.left == 1


def test_a_policy_replaced_is_equal_but_for_what_changed():
    """`replace` makes another value."""
    policy = RetryPolicy(4, base_delay=0.5, seed=7)

    assert policy.replace(max_attempts=2) == RetryPolicy(2, base_delay=0.5, seed=7)
    assert policy.replace() == policy
