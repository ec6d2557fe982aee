"""The executor's clock: given, else the one its parts share, else the monotonic one."""

import time
import warnings

import pytest

from helpers import HandClock, Script, both, settle
from limitpal import CircuitBreaker, MockClock, MonotonicClock, RetryPolicy

LONG = RetryPolicy(max_attempts=2, base_delay=3600.0, max_delay=3600.0)
SHORT = RetryPolicy(max_attempts=2, base_delay=0.02)


@pytest.fixture
def flaky():
    """Returns a script that succeeds on the second attempt."""
    return Script(ValueError(), "done")


@both
async def test_the_given_clock_times_the_backoff(side, flaky):
    """`clock=` is what waits between attempts."""
    clock = MockClock()

    assert await side.run(side.Executor(retry_policy=LONG, clock=clock), flaky) == "done"

    assert clock.now() == 3600.0


@both
@pytest.mark.parametrize("part", ["limiter", "composite", "breaker", "limiter and breaker"])
async def test_without_a_clock_it_takes_the_one_its_parts_share(side, part, flaky):
    """One part with a mock clock is enough: an hour's backoff takes no time."""
    clock = MockClock()
    bucket = side.TokenBucket(10, 1.0, clock=clock)
    breaker = CircuitBreaker(clock=clock)
    limiter, breaker = {
        "limiter": (bucket, None),
        "composite": (side.CompositeLimiter([bucket]), None),
        "breaker": (None, breaker),
        "limiter and breaker": (bucket, breaker),
    }[part]

    assert await side.run(side.Executor(limiter, LONG, breaker), flaky) == "done"

    assert clock.now() == 3600.0


@both
async def test_a_users_clock_is_shared_too(side, flaky):
    """A clock of the user's own is as good as ours."""
    clock = HandClock()
    bucket = side.TokenBucket(10, 1.0, clock=clock)
    executor = side.Executor(bucket, LONG, CircuitBreaker(clock=clock))

    assert await side.run(executor, flaky) == "done"

    assert clock.slept == [3600.0]


@both
async def test_parts_that_share_no_clock_leave_the_monotonic_one(side, flaky):
    """Two different mocks: neither is the executor's, and the backoff takes real time."""
    one, other = MockClock(), MockClock()
    limiter, breaker = side.TokenBucket(10, 1.0, clock=one), CircuitBreaker(clock=other)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        executor = side.Executor(limiter, SHORT, breaker)
    start = time.monotonic()

    assert await side.run(executor, flaky) == "done"

    assert time.monotonic() - start >= 0.02
    assert (one.now(), other.now()) == (0.0, 0.0)


@both
async def test_without_any_clock_it_is_the_monotonic_one(side, flaky):
    """The default waits for real."""
    start = time.monotonic()

    assert await side.run(side.Executor(retry_policy=SHORT), flaky) == "done"

    assert 0.02 <= time.monotonic() - start < 5.0


@both
async def test_each_part_keeps_its_own_clock(side):
    """The executor's clock does not replace the limiter's or the breaker's."""
    own, executors = MockClock(), MockClock()
    limiter = side.TokenBucket(1, 1.0, clock=own)
    breaker = CircuitBreaker(failure_threshold=1, recovery_timeout=5.0, clock=own)
    executor = side.Executor(limiter, None, breaker, executors, acquire_timeout=0)
    await side.run(executor, Script("done"))

    executors.advance(1000.0)
    assert await settle(limiter.allow("k")) is False
    breaker.record_failure()
    executors.advance(1000.0)
    assert breaker.state == "open"
    own.advance(5.0)

    assert breaker.state == "half_open"
    assert await settle(limiter.allow("k")) is True


MIXES = {
    "mocked limiter, real breaker": (True, False, None),
    "real limiter, mocked breaker": (False, True, None),
    "real limiter, mocked executor": (False, None, True),
    "mocked limiter, real executor": (True, None, False),
    "real breaker, mocked executor": (None, False, True),
}


@both
@pytest.mark.parametrize("mix", MIXES)
def test_mixing_a_mock_and_a_real_clock_warns(side, mix):
    """Whoever would wait an hour by mistake is told so, in the line that makes the executor."""
    mock, real = MockClock(), MonotonicClock()
    limiter, breaker, clock = (
        None if mocked is None else mock if mocked else real for mocked in MIXES[mix]
    )
    parts = {
        "limiter": limiter and side.TokenBucket(1, 1.0, clock=limiter),
        "circuit_breaker": breaker and CircuitBreaker(clock=breaker),
        "clock": clock,
    }

    with pytest.warns(UserWarning, match="clock") as told:
        side.Executor(**parts)

    assert [warning.filename for warning in told] == [__file__]


@both
@pytest.mark.parametrize("given", [False, True], ids=["no clock", "a clock"])
def test_two_mock_clocks_warn_as_what_they_are(side, given):
    """No real clock was given, and none is accused; with a clock of its own it is as meant."""
    parts = (side.TokenBucket(1, 1.0, clock=MockClock()), LONG, CircuitBreaker(clock=MockClock()))
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")

        side.Executor(*parts, MockClock() if given else None)

    message = "the parts have different MockClocks; give all parts the same clock"
    assert [str(warning.message) for warning in told] == ([] if given else [message])


@both
def test_one_clock_does_not_warn(side):
    """All mock, all monotonic, or nothing to mix: silence."""
    clock = MockClock()
    with warnings.catch_warnings():
        warnings.simplefilter("error")

        side.Executor(side.TokenBucket(1, 1.0, clock=clock), LONG, CircuitBreaker(clock=clock))
        side.Executor(side.TokenBucket(1, 1.0, clock=clock), LONG, None, clock)
        side.Executor(side.TokenBucket(1, 1.0), LONG, CircuitBreaker())
        side.Executor(side.TokenBucket(1, 1.0), LONG, CircuitBreaker(clock=MonotonicClock()))
        side.Executor(side.TokenBucket(1, 1.0, clock=clock), LONG)
        side.Executor(None, LONG, None, clock)
        side.Executor(side.own_limiter(lambda: None), LONG, None, clock)
