"""The time of a run and of an attempt: what is cut short, what is refused, who hears of it."""

import asyncio
import pickle

import pytest

from helpers import Script, both, caught, each_charge, later
from limitpal import (
    AsyncResilientExecutor,
    CircuitBreaker,
    InvalidConfigError,
    LimitPalError,
    MockClock,
    RateLimitExceeded,
    ResilientExecutor,
    RetryExhausted,
    RetryPolicy,
    TimeoutExceeded,
    current_attempt,
)

EVERY_SECOND = RetryPolicy(max_attempts=9, base_delay=1.0, backoff=1.0)


async def hang():
    """An attempt that never ends by itself."""
    await asyncio.Event().wait()


def stats_of(executor, *names):
    """Returns some of its counts."""
    stats = executor.stats()
    assert stats.calls == stats.successes + stats.failures + stats.refusals + stats.cancelled
    assert stats.attempts == stats.firsts + stats.retries
    return tuple(getattr(stats, name) for name in names)


async def test_an_attempt_that_takes_too_long_is_cancelled_and_the_next_one_begins():
    """Its `finally` runs, and it knows that it was cancelled."""
    clock = MockClock()
    executor = AsyncResilientExecutor(retry_policy=EVERY_SECOND, attempt_timeout=2.0, clock=clock)
    ends = []

    async def call():
        try:
            await clock.sleep_async(9.0 if not ends else 1.0)
        except asyncio.CancelledError:
            ends.append((current_attempt().number, clock.now()))
            raise
        return "done"

    assert await executor.run("api", call) == "done"

    assert (clock.now(), ends) == (4.0, [(1, 2.0)])
    assert stats_of(executor, "timeouts", "recovered", "timed_out") == (1, 1, 0)
    assert asyncio.current_task().cancel.__self__ is asyncio.current_task()


async def test_attempts_that_all_take_too_long_exhaust_the_policy():
    """`RetryExhausted` has the timeout as its cause, and that the cancellation: where it hung."""
    clock = MockClock()
    policy = EVERY_SECOND.replace(max_attempts=2)
    executor = AsyncResilientExecutor(retry_policy=policy, attempt_timeout=1.0, clock=clock)

    end = await caught(executor.run("api", hang))

    assert type(end) is RetryExhausted
    assert (end.reason, end.attempts, clock.now()) == ("attempts", 2, 3.0)
    timeout = end.last_error
    assert end.__cause__ is timeout
    assert type(timeout) is TimeoutExceeded
    assert (timeout.timeout, timeout.scope, timeout.attempts) == (1.0, "attempt", 2)
    assert isinstance(timeout.__cause__, asyncio.CancelledError)
    assert str(timeout) == "the attempt took longer than 1.00s; attempt 2"


@pytest.mark.parametrize("retry", [None, RetryPolicy(retry_on=ValueError)], ids=["none", "other"])
async def test_a_timeout_that_is_not_retried_comes_out_as_a_timeout_error(retry):
    """`retry_on` sees it as any other error."""
    clock = MockClock()
    executor = AsyncResilientExecutor(retry_policy=retry, attempt_timeout=1.0, clock=clock)

    with pytest.raises(TimeoutError) as end:
        await executor.run("api", hang)

    assert isinstance(end.value, LimitPalError)
    assert (end.value.scope, end.value.attempts) == ("attempt", 1)
    assert stats_of(executor, "timed_out", "failures", "timeouts") == (1, 1, 1)


@each_charge
async def test_the_end_of_the_run_within_an_attempt_is_a_failure_and_final(charge):
    """Whatever the policy says there is no time for another attempt."""
    clock = MockClock()
    breaker = CircuitBreaker(failure_threshold=1, clock=clock)
    executor = AsyncResilientExecutor(
        None, EVERY_SECOND, breaker, charge=charge, timeout=3.0, clock=clock
    )

    end = await caught(executor.run("api", hang))

    assert type(end) is TimeoutExceeded
    assert (end.scope, end.timeout, end.attempts, clock.now()) == ("run", 3.0, 1, 3.0)
    assert breaker.state == "open"


@both
async def test_a_wait_that_would_end_at_the_deadline_is_not_begun(side):
    """A nanosecond more, and it is."""
    for timeout, attempts in ((2.0, 2), (2.000000001, 3)):
        clock = MockClock()
        executor = side.Executor(retry_policy=EVERY_SECOND, timeout=timeout, clock=clock)

        end = await caught(side.run(executor, Script(OSError("busy"))))

        assert (end.reason, end.attempts, clock.now()) == ("deadline", attempts, attempts - 1.0)
        assert "the deadline is too near for another" in str(end)
        assert stats_of(executor, "out_of_time", "timeouts") == (1, 0)


@both
async def test_quota_that_would_come_too_late_is_refused_at_once_and_nobody_hears_of_it(side):
    """`retry_after` is the true one; a nanosecond later the wait would be in time."""
    clock = MockClock()
    breaker = CircuitBreaker(failure_threshold=1, clock=clock)
    limiter = side.TokenBucket(1, 0.2, clock=clock)
    executor = side.Executor(limiter, EVERY_SECOND, breaker, timeout=5.0)
    script = Script("done")
    assert await side.run(executor, script) == "done"

    end = await caught(side.run(executor, script))

    assert type(end) is RateLimitExceeded
    assert (end.retry_after, clock.now(), breaker.state) == (5.0, 0.0, "closed")
    assert script.count == 1
    clock.advance(1e-9)
    assert await side.run(executor, script) == "done"


@both
async def test_quota_for_another_attempt_that_would_come_too_late_ends_by_the_deadline(side):
    """It is the deadline that makes the difference, so it is the reason."""
    clock = MockClock()
    limiter = side.TokenBucket(1, 0.1, clock=clock)
    executor = side.Executor(limiter, EVERY_SECOND, charge="attempt", timeout=8.0)

    end = await caught(side.run(executor, Script(OSError("busy"))))

    assert (end.reason, end.attempts, clock.now()) == ("deadline", 1, 1.0)


@both
async def test_a_value_that_comes_too_late_comes_out_and_counts_as_a_failure(side):
    """Nobody can undo it; the breaker hears that the other side was too slow."""
    clock = MockClock()
    breaker = CircuitBreaker(failure_threshold=1, clock=clock)
    executor = side.Executor(None, None, breaker, attempt_timeout=1.0, clock=clock)

    def slow(seconds):
        clock.advance(seconds)
        return "late"

    assert await side.run(executor, lambda: slow(1.0)) == "late"
    assert (breaker.state, *stats_of(executor, "timeouts")) == ("closed", 0)
    assert await side.run(executor, lambda: slow(1.000000001)) == "late"
    assert (breaker.state, *stats_of(executor, "timeouts", "successes")) == ("open", 1, 2)


@both
async def test_a_run_within_an_attempt_has_its_deadline(side):
    """Whatever the inner executor's own timeout: the earlier one counts."""
    clock = MockClock()
    inner = side.Executor(retry_policy=EVERY_SECOND, timeout=60.0, clock=clock)
    outer = side.Executor(timeout=60.0, attempt_timeout=3.0, clock=clock)
    script = Script(OSError("busy"))

    def begin():
        clock.advance(1.0)
        return inner.run("k", script)

    end = await caught(later(lambda: outer.run("k", begin)))

    assert type(end) is RetryExhausted
    assert (end.reason, end.attempts, clock.now()) == ("deadline", 2, 2.0)


@both
async def test_a_run_that_has_no_time_left_says_nothing_about_the_other_side(side):
    """After no attempt it is a refusal of ours: neither retried nor counted."""
    clock = MockClock()
    breaker = CircuitBreaker(failure_threshold=1, clock=clock)
    inner = side.Executor(clock=clock)
    outer = side.Executor(None, EVERY_SECOND, breaker, timeout=3.0, clock=clock)
    script = Script("never")

    def begin():
        clock.advance(3.0)
        return inner.run("k", script)

    end = await caught(later(lambda: outer.run("k", begin)))

    assert type(end) is TimeoutExceeded
    assert (end.scope, end.attempts, end.timeout, script.count) == ("run", 0, 0.0, 0)
    assert "before the first attempt" in str(end)
    assert breaker.state == "closed"
    assert stats_of(inner, "refused_by_timeout", "attempts") == (1, 0)


async def test_a_task_that_an_attempt_left_behind_has_no_deadline():
    """The deadline is the attempt's, and lasts as long as that."""
    clock = MockClock()
    outer = AsyncResilientExecutor(timeout=1.0, clock=clock)
    inner = AsyncResilientExecutor(clock=clock)
    seen = []

    async def later():
        await clock.sleep_async(5.0)
        seen.append(current_attempt().deadline)
        return await inner.run("inner", lambda: "done")

    async def call():
        seen.append(current_attempt().deadline)
        return asyncio.create_task(later())

    assert await (await outer.run("outer", call)) == "done"
    assert seen == [1.0, None]


@pytest.mark.parametrize("kind", [ResilientExecutor, AsyncResilientExecutor])
def test_what_makes_no_sense_is_refused(kind):
    """By name, with the value and the way out."""
    for name in ("timeout", "attempt_timeout"):
        for value in (0, -1.0, float("nan"), float("inf"), "1", True):
            with pytest.raises(InvalidConfigError) as refusal:
                kind(**{name: value})
            assert (refusal.value.parameter, refusal.value.value) == (name, value) or value != value
    with pytest.raises(InvalidConfigError) as refusal:
        kind(timeout=1.0, attempt_timeout=2.0)
    assert str(refusal.value).startswith("attempt_timeout is 2.0; give at most the timeout")
    shown = repr(kind(timeout=2.0, attempt_timeout=2.0))
    assert shown.endswith("charge='call', timeout=2.0, attempt_timeout=2.0)")


def test_the_error_pickles_and_has_defaults():
    """As every error of LimitPal."""
    error = TimeoutExceeded("slow", timeout=1.5, scope="run", attempts=2)
    again = pickle.loads(pickle.dumps(error))
    assert (str(again), again.timeout, again.scope, again.attempts) == ("slow", 1.5, "run", 2)
    assert (TimeoutExceeded().timeout, str(TimeoutExceeded())) == (None, "timeout exceeded")
