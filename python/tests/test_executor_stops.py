"""The executor: how a run ends, which results count, and what comes out."""

import asyncio

import pytest

from helpers import (
    STOPS,
    HandClock,
    Script,
    both,
    caught,
    each_charge,
    half_open,
    later,
    name_of,
)
from limitpal import (
    AsyncResilientExecutor,
    CircuitBreaker,
    CircuitBreakerOpen,
    InvalidConfigError,
    MockClock,
    RateLimitExceeded,
    RetryExhausted,
    RetryPolicy,
)

REFUSALS = [
    RateLimitExceeded("somebody's limit", key="k", retry_after=1.0),
    CircuitBreakerOpen("somebody's circuit", retry_after=1.0),
    InvalidConfigError("somebody's mistake", parameter="capacity", value=0),
]
EVERYTHING = RetryPolicy(retry_on=(Exception, RateLimitExceeded, CircuitBreakerOpen))


@both
@each_charge
async def test_the_result_comes_out_as_it_is(side, charge):
    """Whatever it is: None, False, an exception that is merely returned."""
    executor = side.Executor(retry_policy=RetryPolicy(), charge=charge, clock=MockClock())

    for result in (None, False, 0, ValueError("returned, not raised"), object()):
        assert await side.run(executor, lambda result=result: result) is result


@both
@each_charge
async def test_attempts_may_be_one(side, charge):
    """max_attempts=1: a retryable error is `RetryExhausted` all the same, after no wait."""
    clock = MockClock()
    boom = ValueError("boom")
    executor = side.Executor(retry_policy=RetryPolicy(max_attempts=1), clock=clock, charge=charge)

    error = await caught(side.run(executor, Script(boom)))

    assert type(error) is RetryExhausted
    assert (error.reason, error.attempts) == ("attempts", 1)
    assert error.last_error is boom
    assert error.__cause__ is boom
    assert clock.now() == 0.0


@both
@each_charge
async def test_the_last_error_is_the_last(side, charge):
    """Of several errors `RetryExhausted` keeps the newest, the very object."""
    clock = MockClock()
    errors = [ValueError(1), KeyError(2), OSError(3)]
    executor = side.Executor(retry_policy=RetryPolicy(), clock=clock, charge=charge)

    error = await caught(side.run(executor, Script(*errors)))

    assert error.last_error is errors[2]
    assert error.attempts == 3


@both
@each_charge
async def test_without_a_policy_an_error_comes_out_unchanged(side, charge):
    """No retry, no wrapping, no cause, no context."""
    clock = MockClock()
    boom = ValueError("boom")
    breaker = CircuitBreaker(clock=clock)
    limiter = side.TokenBucket(5, 1.0, clock=clock)
    script = Script(boom)

    error = await caught(
        side.run(side.Executor(limiter, None, breaker, clock, charge=charge), script)
    )

    assert error is boom
    assert script.count == 1
    assert error.__cause__ is None
    assert error.__context__ is None


@both
@each_charge
async def test_every_exception_counts_retried_or_not(side, charge):
    """An error outside `retry_on` is a failure to the breaker too."""
    clock = MockClock()
    breaker = CircuitBreaker(failure_threshold=1, clock=clock)
    policy = RetryPolicy(retry_on=(OSError,))
    fatal = ValueError("fatal")

    error = await caught(
        side.run(side.Executor(None, policy, breaker, clock, charge=charge), Script(fatal))
    )

    assert error is fatal
    assert breaker.state == "open"


@both
@each_charge
async def test_an_error_without_a_policy_counts(side, charge):
    """The breaker hears of it though nothing retries."""
    clock = MockClock()
    breaker = half_open(clock)

    await caught(
        side.run(side.Executor(None, None, breaker, clock, charge=charge), Script(ValueError()))
    )

    assert breaker.state == "open"


@both
@each_charge
async def test_a_fatal_error_after_a_retryable_one_counts(side, charge):
    """The run ends with it, unchanged, and the breaker hears a failure."""
    clock = MockClock()
    breaker = CircuitBreaker(failure_threshold=1 if charge == "call" else 2, clock=clock)
    policy = RetryPolicy(retry_on=(OSError,))
    fatal = ValueError("fatal")
    script = Script(OSError(), fatal)

    error = await caught(
        side.run(side.Executor(None, policy, breaker, clock, charge=charge), script)
    )

    assert error is fatal
    assert script.count == 2
    assert breaker.state == "open"


@both
@each_charge
async def test_ignored_errors_are_retried_and_not_counted(side, charge):
    """`ignore` is the breaker's word; the policy retries as it likes."""
    clock = MockClock()
    breaker = CircuitBreaker(failure_threshold=1, clock=clock, ignore=KeyError)
    script = Script(KeyError())

    error = await caught(
        side.run(side.Executor(None, RetryPolicy(), breaker, clock, charge=charge), script)
    )

    assert type(error) is RetryExhausted
    assert script.count == 3
    assert breaker.state == "closed"


@both
@each_charge
async def test_an_ignored_error_frees_the_probe(side, charge):
    """In half-open it is neither success nor failure."""
    clock = MockClock()
    breaker = half_open(clock, ignore=(KeyError,))

    await caught(
        side.run(side.Executor(None, None, breaker, clock, charge=charge), Script(KeyError()))
    )

    assert breaker.state == "half_open"
    assert breaker.allow() is True


@both
@each_charge
@pytest.mark.parametrize("refusal", REFUSALS, ids=name_of)
async def test_our_own_refusals_are_never_retried(side, charge, refusal):
    """Raised by the function, say by a limiter inside it: out unchanged, after one call."""
    clock = MockClock()
    script = Script(refusal, "a second attempt")

    error = await caught(
        side.run(side.Executor(retry_policy=EVERYTHING, clock=clock, charge=charge), script)
    )

    assert error is refusal
    assert script.count == 1
    assert clock.now() == 0.0


@both
@each_charge
@pytest.mark.parametrize("refusal", REFUSALS, ids=name_of)
async def test_our_own_refusals_are_never_counted(side, charge, refusal):
    """Neither failure while closed, nor success nor failure while half-open."""
    clock = MockClock()
    closed = CircuitBreaker(failure_threshold=1, clock=clock)
    probing = half_open(clock)

    for breaker in (closed, probing):
        executor = side.Executor(None, RetryPolicy(), breaker, clock, charge=charge)
        assert await caught(side.run(executor, Script(refusal))) is refusal

    assert closed.state == "closed"
    assert probing.state == "half_open"
    assert probing.allow() is True


@both
@each_charge
async def test_a_refusal_on_a_later_attempt_comes_out_unchanged(side, charge):
    """After a retried error too: it is not retryable, so it is not wrapped."""
    clock = MockClock()
    script = Script(ValueError(), REFUSALS[0])

    error = await caught(
        side.run(side.Executor(retry_policy=RetryPolicy(), clock=clock, charge=charge), script)
    )

    assert error is REFUSALS[0]
    assert script.count == 2


@both
async def test_a_nested_executors_exhaustion_is_a_failure(side):
    """To the outer breaker the inner run's `RetryExhausted` is a failure like any other."""
    clock = MockClock()
    breaker = CircuitBreaker(failure_threshold=1, clock=clock)
    inner = side.Executor(retry_policy=RetryPolicy(max_attempts=2), clock=clock)
    outer = side.Executor(None, None, breaker, clock)
    attempt = side.function(Script(ValueError()))

    error = await caught(later(lambda: outer.run("k", inner.run, "k", attempt)))

    assert type(error) is RetryExhausted
    assert error.attempts == 2
    assert breaker.state == "open"


@both
@each_charge
@pytest.mark.parametrize("stop", STOPS, ids=name_of)
async def test_a_stop_is_never_counted(side, charge, stop):
    """Cancellation, KeyboardInterrupt, SystemExit: out at once; the circuit hears nothing."""
    clock = MockClock()
    breaker = CircuitBreaker(failure_threshold=1, clock=clock)
    executor = side.Executor(None, RetryPolicy(), breaker, clock, charge=charge)
    script = Script(stop, "a second attempt")

    assert await caught(side.run(executor, script)) is stop

    assert script.count == 1
    assert breaker.state == "closed"


@both
@each_charge
@pytest.mark.parametrize("stop", STOPS, ids=name_of)
async def test_a_stop_frees_the_probe(side, charge, stop):
    """The half-open permit of a stopped run is given back."""
    clock = MockClock()
    breaker = half_open(clock)
    executor = side.Executor(None, RetryPolicy(), breaker, clock, charge=charge)

    await caught(side.run(executor, Script(stop)))

    assert breaker.state == "half_open"
    assert breaker.allow() is True


@both
@each_charge
@pytest.mark.parametrize("stop", STOPS, ids=name_of)
async def test_a_stop_leaves_the_failures_counted_so_far(side, charge, stop):
    """It is no success either: the count before it stands."""
    clock = MockClock()
    breaker = CircuitBreaker(failure_threshold=2, clock=clock)
    executor = side.Executor(None, None, breaker, clock, charge=charge)

    await caught(side.run(executor, Script(ValueError())))
    await caught(side.run(executor, Script(stop)))
    await caught(side.run(executor, Script(ValueError())))

    assert breaker.state == "open"


@both
@each_charge
@pytest.mark.parametrize("stop", STOPS, ids=name_of)
async def test_a_stop_during_backoff_ends_the_run(side, charge, stop):
    """Interrupted while it waits between attempts: out unchanged, no other attempt."""
    clock = HandClock()
    breaker = half_open(clock, ignore=ValueError)
    executor = side.Executor(None, RetryPolicy(base_delay=1.0), breaker, clock, charge=charge)
    script = Script(ValueError(), "a second attempt")
    clock.on_sleep = Script(stop)

    assert await caught(side.run(executor, script)) is stop

    assert script.count == 1
    assert breaker.state == "half_open"
    assert breaker.allow() is True


@both
async def test_a_users_limiters_refusal_comes_out_as_it_is(side):
    """`RateLimitExceeded` of a limiter of the user's own: the very object, never retried."""
    refusal = RateLimitExceeded("theirs", key="k", retry_after=4.0)
    limiter = side.own_limiter(Script(refusal))
    breaker = CircuitBreaker(failure_threshold=1, clock=MockClock())
    executor = side.Executor(limiter, EVERYTHING, breaker)

    assert await caught(side.run(executor, Script("called"))) is refusal

    assert len(limiter.asked) == 1
    assert breaker.state == "closed"


@both
async def test_a_users_limiters_later_refusal_keeps_the_last_error(side):
    """charge="attempt": refused before the second attempt, the first one's error is not lost."""
    boom = ValueError("boom")
    limiter = side.own_limiter(Script(None, RateLimitExceeded("theirs")))
    clock = MockClock()
    executor = side.Executor(limiter, RetryPolicy(), clock=clock, charge="attempt")

    error = await caught(side.run(executor, Script(boom)))

    assert type(error) is RetryExhausted
    assert (error.reason, error.attempts) == ("rate_limited", 1)
    assert error.last_error is boom


async def test_the_run_stops_where_it_is_when_its_task_is_cancelled():
    """asyncio's cancellation reaches the function as without us: its `finally` runs, once."""
    ended = []
    clock = MockClock(autojump=False)
    executor = AsyncResilientExecutor(retry_policy=EVERYTHING, clock=clock)

    async def patient():
        try:
            await asyncio.Event().wait()
        finally:
            ended.append("finally")

    task = asyncio.ensure_future(executor.run("k", patient))
    for _ in range(5):
        await asyncio.sleep(0)
    task.cancel()
    await asyncio.wait([task])

    assert task.cancelled()
    assert ended == ["finally"]
