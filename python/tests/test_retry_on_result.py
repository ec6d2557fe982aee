"""Values that deserve another attempt: `retry_on_result`."""

import itertools
import pickle

import pytest

from helpers import Script, both, caught
from limitpal import (
    CircuitBreaker,
    Constant,
    MockClock,
    RetryBudget,
    RetryExhausted,
    RetryPolicy,
    testing,
)


def is_pending(value):
    """Say of a value that it is not there yet."""
    return value in ("pending", None)


POLICY = RetryPolicy(base_delay=1.0, retry_on_result=is_pending)


@both
async def test_a_value_that_is_not_good_enough_is_asked_for_again(side):
    """With the policy's delays, mixed with errors; a good one comes out."""
    clock = MockClock()
    script = Script("pending", "ready", clock=clock)
    assert await side.run(side.Executor(retry_policy=POLICY, clock=clock), script) == "ready"
    assert script.times == [0.0, 1.0]

    script = Script(OSError(), "pending", "ready")
    assert await side.run(side.Executor(retry_policy=POLICY, clock=clock), script) == "ready"
    assert await side.run(side.Executor(retry_policy=POLICY, clock=clock), Script(0)) == 0


@both
@pytest.mark.parametrize("last", ["pending", None])
async def test_when_attempts_run_out_the_last_value_is_kept(side, last):
    """`RetryExhausted` has it as `last_result`, and no error, whatever failed before."""
    executor = side.Executor(retry_policy=POLICY, clock=MockClock())

    end = await caught(side.run(executor, Script(OSError(), "pending", last)))

    assert type(end) is RetryExhausted
    assert (end.last_result, end.last_error, end.__cause__) == (last, None, None)
    assert (end.attempts, end.reason) == (3, "attempts")
    assert str(end).endswith("; the last value was not good enough")
    assert pickle.loads(pickle.dumps(end)).last_result == last


@both
async def test_when_the_last_attempt_failed_the_error_is_kept(side):
    """A value before it is forgotten."""
    error = OSError()
    executor = side.Executor(retry_policy=POLICY, clock=MockClock())

    end = await caught(side.run(executor, Script("pending", "pending", error)))

    assert (end.last_result, end.last_error, end.__cause__) == (None, error, error)


@both
@pytest.mark.parametrize("charge", ["call", "attempt"])
async def test_a_value_is_an_answer_to_the_breaker(side, charge):
    """The other side is there: it counts as a success, also when attempts run out."""
    breaker = CircuitBreaker(failure_threshold=2, clock=MockClock())
    breaker.record_failure()
    executor = side.Executor(None, POLICY, breaker, charge=charge)

    await caught(side.run(executor, Script("pending")))
    breaker.record_failure()

    assert breaker.state == "closed"


@both
@pytest.mark.parametrize("charge", ["call", "attempt"])
async def test_a_value_that_the_breaker_takes_for_a_failure_is_one_when_retried_too(side, charge):
    """`failure_on_result` has the last word on what counts."""
    breaker = CircuitBreaker(2, failure_on_result=is_pending, clock=MockClock())
    executor = side.Executor(None, POLICY, breaker, charge=charge)

    await caught(side.run(executor, Script("pending")))

    assert breaker.stats().failures == (1 if charge == "call" else 2)


@both
async def test_quota_is_charged_as_for_errors(side):
    """By attempt: each takes a permit; by call: the run takes one."""
    for charge, left in (("attempt", 2), ("call", 4)):
        limiter = side.TokenBucket(5, 0.001, clock=MockClock())
        executor = side.Executor(limiter, POLICY.replace(base_delay=0.0), charge=charge)
        await caught(side.run(executor, Script("pending")))
        left_now = limiter.get_tokens("k")
        assert round(await left_now if side.is_async else left_now) == left


@both
async def test_budget_time_and_test_mode_end_such_runs_too(side):
    """The reasons are those of errors."""
    clock = MockClock()
    budget = RetryBudget(0.0, 0.1, clock=clock)
    executor = side.Executor(retry_policy=POLICY, retry_budget=budget, clock=clock)
    assert (await caught(side.run(executor, Script("pending")))).reason == "budget"
    policy = POLICY.replace(max_attempts=None, max_elapsed=6.5)
    executor = side.Executor(retry_policy=policy, clock=clock)
    assert (await caught(side.run(executor, Script("pending")))).reason == "elapsed"
    with testing.retries(max_attempts=1):
        assert (await caught(side.run(executor, Script("pending")))).attempts == 1


@both
async def test_an_error_in_the_predicate_comes_out(side):
    """And an async predicate is refused."""

    async def coroutine(_value):
        return False

    for predicate, kind in ((lambda value: 1 / value, ZeroDivisionError), (coroutine, TypeError)):
        policy = RetryPolicy(retry_on_result=predicate)
        script = Script(0)
        error = await caught(side.run(side.Executor(retry_policy=policy), script))
        assert (type(error), script.count) == (kind, 1)


def test_delays_of_values_are_the_policys_own():
    """`delays_for` and `delay_from` are about errors; a function is asked with the attempt."""
    clock = MockClock()
    policy = POLICY.replace(delay_from=lambda _error: 9.0, delays_for={OSError: Constant(3.0)})
    times = []
    for attempt in policy.attempts(clock):
        with attempt:
            times.append(clock.now())
            attempt.result = "pending" if attempt.number < 3 else "ready"
    assert [after - before for before, after in itertools.pairwise(times)] == [1.0, 2.0]


def test_a_block_that_never_gives_a_good_value_is_exhausted():
    """As a function is."""
    numbers = []

    def loop():
        for attempt in POLICY.attempts(MockClock()):
            with attempt:
                numbers.append(attempt.number)
                attempt.result = "pending"

    with pytest.raises(RetryExhausted) as end:
        loop()
    assert (numbers, end.value.last_result, end.value.attempts) == ([1, 2, 3], "pending", 3)
