"""The executor's order: breaker, limiter, attempts; and the breaker again after a wait."""

import pytest

from helpers import HandClock, Script, both, caught, each_charge, half_open, settle, trip
from limitpal import (
    CircuitBreaker,
    CircuitBreakerOpen,
    MockClock,
    RateLimitExceeded,
    RetryExhausted,
    RetryPolicy,
)

HOURLY = 1 / 3600


def filled(side, clock, capacity=10):
    """Returns a bucket that practically does not refill."""
    return side.TokenBucket(capacity, HOURLY, clock=clock)


@both
@each_charge
async def test_an_open_circuit_takes_no_quota(side, charge):
    """Breaker first: `CircuitBreakerOpen` at once, the bucket untouched, nothing called."""
    clock = MockClock()
    limiter = filled(side, clock)
    breaker = CircuitBreaker(failure_threshold=1, recovery_timeout=10.0, clock=clock)
    executor = side.Executor(limiter, RetryPolicy(), breaker, clock, charge=charge)
    script = Script("called")
    trip(breaker)

    error = await caught(side.run(executor, script))

    assert type(error) is CircuitBreakerOpen
    assert error.retry_after == 10.0
    assert await settle(limiter.get_tokens("k")) == 10.0
    assert script.count == 0
    assert clock.now() == 0.0


@both
@each_charge
async def test_an_open_circuit_waits_for_nothing(side, charge):
    """With the bucket empty too, it is the breaker that answers, without a wait."""
    clock = MockClock()
    limiter = filled(side, clock, capacity=1)
    breaker = CircuitBreaker(failure_threshold=1, clock=clock)
    executor = side.Executor(limiter, None, breaker, clock, charge=charge)
    await settle(limiter.allow("k"))
    trip(breaker)

    error = await caught(side.run(executor, Script("called")))

    assert type(error) is CircuitBreakerOpen
    assert clock.now() == 0.0


@both
@each_charge
async def test_the_limiter_comes_before_the_function(side, charge):
    """Refused for quota, the function is not called."""
    clock = MockClock()
    limiter = side.TokenBucket(1, 0.5, clock=clock)
    executor = side.Executor(limiter, clock=clock, charge=charge, acquire_timeout=0)
    script = Script("called")
    await settle(limiter.allow("k"))

    error = await caught(side.run(executor, script))

    assert type(error) is RateLimitExceeded
    assert error.retry_after == 2.0
    assert error.key == "k"
    assert script.count == 0


@both
@each_charge
async def test_a_run_waits_for_quota(side, charge):
    """Without `acquire_timeout` it waits its turn and goes."""
    clock = MockClock()
    limiter = side.TokenBucket(1, 0.5, clock=clock)
    executor = side.Executor(limiter, clock=clock, charge=charge)
    script = Script("done", clock=clock)

    for _ in range(3):
        assert await side.run(executor, script) == "done"

    assert script.times == [0.0, 2.0, 4.0]


@both
@each_charge
async def test_keys_are_limited_apart(side, charge):
    """The run's key is the limiter's key."""
    clock = MockClock()
    limiter = filled(side, clock, capacity=1)
    executor = side.Executor(limiter, clock=clock, charge=charge, acquire_timeout=0)

    for key in ("a", "b", "c"):
        await side.run(executor, Script("done"), key=key)

    assert type(await caught(side.run(executor, Script("done"), key="b"))) is RateLimitExceeded


@both
@each_charge
async def test_a_limiters_refusal_gives_the_permit_back(side, charge):
    """A half-open probe refused for quota counts as nothing and leaves its permit free."""
    clock = MockClock()
    breaker = half_open(clock)
    limiter = filled(side, clock, capacity=1)
    executor = side.Executor(limiter, None, breaker, clock, charge=charge, acquire_timeout=0)
    await settle(limiter.allow("k"))

    error = await caught(side.run(executor, Script("called")))

    assert type(error) is RateLimitExceeded
    assert breaker.state == "half_open"
    assert breaker.allow() is True


@both
@each_charge
async def test_a_limiters_refusal_is_no_failure(side, charge):
    """However often the quota refuses, the circuit stays closed."""
    clock = MockClock()
    breaker = CircuitBreaker(failure_threshold=1, clock=clock)
    limiter = filled(side, clock, capacity=1)
    executor = side.Executor(
        limiter, RetryPolicy(), breaker, clock, charge=charge, acquire_timeout=0
    )
    await settle(limiter.allow("k"))

    for _ in range(3):
        assert type(await caught(side.run(executor, Script("called")))) is RateLimitExceeded

    assert breaker.state == "closed"
    assert clock.now() == 0.0, "a refusal is never retried"


BUCKETS = {
    "token": lambda side, clock: side.TokenBucket(1, 1.0, clock=clock),
    "leaky": lambda side, clock: side.LeakyBucket(1, 1.0, clock=clock),
    "composite": lambda side, clock: side.CompositeLimiter(
        [side.TokenBucket(1, 1.0, clock=clock), side.TokenBucket(9, 1.0, clock=clock)], clock=clock
    ),
}


@both
@each_charge
@pytest.mark.parametrize("bucket", BUCKETS)
async def test_a_circuit_opened_during_the_wait_stops_the_run(side, charge, bucket):
    """Opened by others while the run queued: `CircuitBreakerOpen`, and the function never runs."""
    clock = HandClock()
    breaker = CircuitBreaker(failure_threshold=1, recovery_timeout=10.0, clock=clock)
    limiter = BUCKETS[bucket](side, clock)
    executor = side.Executor(limiter, RetryPolicy(), breaker, clock, charge=charge)
    script = Script("called")
    await settle(limiter.acquire("k"))
    clock.on_sleep = lambda: trip(breaker)

    error = await caught(side.run(executor, script))

    assert type(error) is CircuitBreakerOpen
    assert error.retry_after == 9.0
    assert script.count == 0


@both
@each_charge
@pytest.mark.parametrize("bucket", BUCKETS)
async def test_a_stopped_run_gives_its_quota_back(side, charge, bucket):
    """The next one goes at once, as if the stopped run had never asked."""
    clock = HandClock()
    breaker = CircuitBreaker(failure_threshold=1, clock=clock)
    limiter = BUCKETS[bucket](side, clock)
    executor = side.Executor(limiter, None, breaker, clock, charge=charge)
    await settle(limiter.acquire("k"))
    clock.on_sleep = lambda: trip(breaker)

    await caught(side.run(executor, Script("called")))

    assert clock.now() == 1.0
    assert await settle(limiter.allow("k")) is True
    assert await settle(limiter.allow("k")) is False, "no more than it would hold"


@both
async def test_the_quota_given_back_can_be_read(side):
    """The token bucket holds what it would hold had the run never come."""
    clock = HandClock()
    breaker = CircuitBreaker(failure_threshold=1, clock=clock)
    limiter = side.TokenBucket(2, 1.0, clock=clock)
    executor = side.Executor(limiter, None, breaker, clock)
    await settle(limiter.allow("k", cost=2))
    clock.on_sleep = lambda: trip(breaker)

    await caught(side.run(executor, Script("called")))

    assert await settle(limiter.get_tokens("k")) == 1.0


@both
@each_charge
async def test_a_users_limiter_that_waited_counts_as_a_wait(side, charge):
    """Whoever made the run wait, the breaker is asked again."""
    clock = HandClock()
    breaker = CircuitBreaker(failure_threshold=1, clock=clock)

    def slow():
        clock.sleep(3.0)
        trip(breaker)

    limiter = side.own_limiter(slow)
    executor = side.Executor(limiter, None, breaker, clock, charge=charge)
    script = Script("called")

    error = await caught(side.run(executor, script))

    assert type(error) is CircuitBreakerOpen
    assert script.count == 0
    assert len(limiter.asked) == 1


@both
@each_charge
async def test_a_users_limiter_may_wait_by_another_clock(side, charge):
    """Its wait does not show on the executor's clock; the breaker is asked again all the same."""
    clock = MockClock()
    breaker = CircuitBreaker(failure_threshold=1, clock=clock)
    limiter = side.own_limiter(lambda: trip(breaker))
    executor = side.Executor(limiter, RetryPolicy(), breaker, clock, charge=charge)
    script = Script("called")

    error = await caught(side.run(executor, script))

    assert type(error) is CircuitBreakerOpen
    assert script.count == 0
    assert clock.now() == 0.0


@both
@each_charge
async def test_a_circuit_opened_during_backoff_ends_the_retries(side, charge):
    """`RetryExhausted` with reason circuit_open, the last error kept, no other attempt."""
    clock = HandClock()
    breaker = CircuitBreaker(failure_threshold=5, recovery_timeout=60.0, clock=clock)
    boom = ValueError("boom")
    script = Script(boom, "a second attempt")
    policy = RetryPolicy(max_attempts=3, base_delay=1.0)
    executor = side.Executor(None, policy, breaker, clock, charge=charge)
    clock.on_sleep = lambda: trip(breaker)

    error = await caught(side.run(executor, script))

    assert type(error) is RetryExhausted
    assert error.reason == "circuit_open"
    assert error.attempts == 1
    assert error.last_error is boom
    assert error.__cause__ is boom
    assert script.count == 1


@both
@each_charge
async def test_a_permit_still_good_is_kept(side, charge):
    """Nobody touched the circuit during the waits: the run goes on to its end."""
    clock = MockClock()
    breaker = CircuitBreaker(failure_threshold=5, clock=clock)
    policy = RetryPolicy(max_attempts=3, base_delay=1.0)
    executor = side.Executor(
        side.TokenBucket(1, 0.5, clock=clock), policy, breaker, clock, charge=charge
    )
    script = Script(ValueError(), ValueError(), "done")

    assert await side.run(executor, script) == "done"
    assert breaker.state == "closed"


@both
@each_charge
async def test_a_probe_keeps_its_permit_over_its_waits(side, charge):
    """One permit is enough for a half-open run that waits less than it lasts."""
    clock = MockClock()
    breaker = half_open(clock, recovery_timeout=10.0)
    policy = RetryPolicy(max_attempts=2, base_delay=1.0, max_delay=5.0)
    limiter = side.TokenBucket(1, 0.5, clock=clock)
    await settle(limiter.allow("k"))
    executor = side.Executor(limiter, policy, breaker, clock, charge=charge)
    inside = Script(lambda: (breaker.state, breaker.allow()))

    assert await side.run(executor, inside) == ("half_open", False)
    assert breaker.state == "closed"


@both
async def test_a_probe_whose_permit_lapsed_asks_for_another(side):
    """Its backoff outlasts `recovery_timeout`: the breaker lends anew, and the result counts."""
    clock = MockClock()
    breaker = half_open(clock, recovery_timeout=2.0)
    policy = RetryPolicy(max_attempts=2, base_delay=3.0)
    executor = side.Executor(None, policy, breaker, clock)

    assert await side.run(executor, Script(ValueError(), "done")) == "done"

    assert breaker.state == "closed"


@both
@each_charge
async def test_a_circuit_that_opened_and_recovered_meanwhile_takes_the_run_as_probe(side, charge):
    """Open is over when the wait is: the run goes on, as half-open's probe, and closes it."""
    clock = HandClock()
    breaker = CircuitBreaker(failure_threshold=5, recovery_timeout=2.0, clock=clock)
    policy = RetryPolicy(max_attempts=2, base_delay=3.0)
    executor = side.Executor(None, policy, breaker, clock, charge=charge)
    clock.on_sleep = lambda: trip(breaker)

    assert await side.run(executor, Script(ValueError(), "done")) == "done"

    assert breaker.state == "closed"


@both
async def test_a_run_without_parts_just_calls(side):
    """Every part is optional."""
    boom = ValueError("boom")

    assert await side.run(side.Executor(), Script("done")) == "done"
    assert await caught(side.run(side.Executor(), Script(boom))) is boom
