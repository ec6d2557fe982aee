"""Retrying a block: `for attempt in policy.attempts(): with attempt: …`, sync and async."""

import asyncio
import gc

import pytest

from helpers import STOPS, both, caught, name_of
from limitpal import Constant, MockClock, RetryBudget, RetryExhausted, RetryPolicy


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
@pytest.mark.parametrize(("deadline", "attempts"), [(6.0, 1), (6.5, 2), (8.4, 2), (8.5, 3)])
async def test_a_wait_that_would_end_after_the_deadline_is_not_begun(side, deadline, attempts):
    """A deadline is a time of the clock; the sooner of it and `max_elapsed` counts."""
    clock = MockClock(start_time=5.5)
    policy = RetryPolicy(9, base_delay=1.0, max_elapsed=4.0)
    body = lines(*[OSError()] * 9)

    error = await caught(block(side, policy, body, clock=clock, deadline=deadline))

    assert (error.attempts, error.reason) == (attempts, "elapsed")


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
