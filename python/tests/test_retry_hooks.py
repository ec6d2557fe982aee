"""The hooks of a retry policy: what they hear, in which order, and what becomes of their errors."""

import asyncio
import pickle

import pytest

from helpers import Script, both, caught
from limitpal import (
    AsyncResilientExecutor,
    CircuitBreaker,
    MockClock,
    RetryPolicy,
    TimeoutExceeded,
    current_attempt,
)


class Later:
    """What does not look like a coroutine function, and returns a coroutine."""

    async def _wait(self):
        pass

    def __call__(self, *_):
        return self._wait()


def logging(log, **options):
    """Returns a policy whose hooks write down what they hear."""
    return RetryPolicy(
        base_delay=1.0,
        before_attempt=lambda attempt: log.append(
            (attempt.number, attempt.elapsed, current_attempt().number)
        ),
        after_attempt=lambda attempt, error: log.append((attempt.number, error)),
        before_wait=lambda attempt, delay: log.append(
            ("wait", attempt.number, attempt.elapsed, attempt.last_error, delay)
        ),
        **options,
    )


@both
async def test_they_hear_of_each_attempt_and_each_wait(side):
    """In order: before an attempt, after it, before the wait for the next."""
    log = []
    executor = side.Executor(retry_policy=logging(log), clock=MockClock())
    busy = OSError("busy")

    assert await side.run(executor, Script(busy, "done")) == "done"

    wait = ("wait", 2, 1.0, busy, 1.0)
    assert log == [(1, 0.0, 1), (1, busy), wait, (2, 1.0, 2), (2, None)]


async def test_an_attempt_that_was_cut_short_ended_with_its_timeout():
    """One that was cancelled from outside has no end to tell of."""
    log, clock = [], MockClock()
    policy = logging(log, max_attempts=1)
    executor = AsyncResilientExecutor(retry_policy=policy, attempt_timeout=1.0, clock=clock)

    async def hang():
        await asyncio.Event().wait()

    await caught(executor.run("api", hang))
    task = asyncio.create_task(executor.run("api", hang))
    await asyncio.sleep(0)
    task.cancel()
    await asyncio.wait([task])

    assert [type(entry[1]) for entry in log] == [float, TimeoutExceeded, float]


@both
@pytest.mark.parametrize("which", ["before_attempt", "after_attempt", "before_wait"])
async def test_an_error_of_a_hook_comes_out_and_the_run_counts_as_cancelled(side, which):
    """It is the user's own; nothing is lost, and the breaker hears nothing."""

    def fail(*_):
        raise LookupError(which)

    clock = MockClock()
    breaker = CircuitBreaker(failure_threshold=1, recovery_timeout=1.0, clock=clock)
    breaker.record_failure()
    clock.advance(1.0)
    limiter = side.TokenBucket(5, 1e-3, clock=clock)
    executor = side.Executor(limiter, RetryPolicy(base_delay=0, **{which: fail}), breaker)
    script = Script(OSError("busy"))

    error = await caught(side.run(executor, script))

    assert (type(error), str(error)) == (LookupError, which)
    assert script.count == (which != "before_attempt")
    stats = executor.stats()
    assert (stats.calls, stats.cancelled, stats.attempts) == (1, 1, script.count)
    assert (breaker.state, breaker.allow()) == ("half_open", True)
    assert current_attempt().number == 1
    if which == "after_attempt":
        assert isinstance(error.__context__, OSError)


@both
async def test_a_loop_over_attempts_has_them_too(side):
    """The same policy, the same words."""
    log, clock = [], MockClock()
    policy = logging(log)
    if side.is_async:
        async for attempt in policy.attempts_async(clock):
            with attempt:
                if attempt.number == 1:
                    raise OSError
    else:
        for attempt in policy.attempts(clock):
            with attempt:
                if attempt.number == 1:
                    raise OSError

    assert [entry[:2] for entry in log] == [
        (1, 0.0),
        (1, log[1][1]),
        ("wait", 2),
        (2, 1.0),
        (2, None),
    ]


@both
async def test_a_hook_that_is_to_be_awaited_is_refused(side):
    """A coroutine function when the policy is made, what only returns a coroutine when it does."""

    async def wrong(*_):
        pass

    for name in ("before_attempt", "after_attempt", "before_wait"):
        with pytest.raises(TypeError, match=f"{name} is async; give a plain function"):
            RetryPolicy(**{name: wrong})
        with pytest.raises(TypeError, match=f"{name} is 7; give a function to call"):
            RetryPolicy(**{name: 7})
        policy = RetryPolicy(base_delay=0, **{name: Later()})
        executor = side.Executor(retry_policy=policy)
        with pytest.raises(TypeError, match=f"{name} is async"):
            await side.run(executor, Script(OSError("busy")))


def test_a_policy_with_hooks_is_a_value():
    """It compares, prints, pickles and is replaced with them."""
    policy = RetryPolicy(before_wait=print, after_attempt=print)
    assert policy == RetryPolicy(before_wait=print, after_attempt=print)
    assert policy != RetryPolicy(before_wait=print)
    assert pickle.loads(pickle.dumps(policy)) == policy
    assert repr(policy).endswith("after_attempt=print, before_wait=print)")
    assert policy.replace(before_wait=None) == RetryPolicy(after_attempt=print)
    assert (policy.before_attempt, policy.before_wait) == (None, print)
