"""The executor's `charge`: runs or attempts; and its `acquire_timeout`."""

import math

import pytest

from helpers import HandClock, Script, both, caught, each_charge, half_open, settle, trip
from limitpal import (
    CircuitBreaker,
    InvalidConfigError,
    MockClock,
    RateLimitExceeded,
    RetryExhausted,
    RetryPolicy,
)

HOURLY = 1 / 3600


def fails(times, *rest):
    """Returns a script that raises so often, and then goes on as told."""
    return Script(*[ValueError(f"failure {n}") for n in range(1, times + 1)], *rest)


@both
@pytest.mark.parametrize(("charge", "taken"), [("call", 1), ("attempt", 3)])
async def test_quota_is_taken_per_run_or_per_attempt(side, charge, taken):
    """A run of three attempts costs one permit, or three."""
    clock = MockClock()
    limiter = side.TokenBucket(10, HOURLY, clock=clock)
    policy = RetryPolicy(max_attempts=3, base_delay=1.0)
    executor = side.Executor(limiter, policy, clock=clock, charge=charge)

    assert await side.run(executor, fails(2, "done")) == "done"

    assert await settle(limiter.get_tokens("k")) == pytest.approx(10 - taken, abs=0.01)


@both
async def test_call_is_the_default(side):
    """As the articles draw it: the limiter stands before the retry loop."""
    clock = MockClock()
    limiter = side.TokenBucket(10, HOURLY, clock=clock)
    executor = side.Executor(limiter, RetryPolicy(max_attempts=3), clock=clock)

    await caught(side.run(executor, fails(3)))

    assert await settle(limiter.get_tokens("k")) == pytest.approx(9, abs=0.01)


@both
async def test_a_failed_run_is_one_failure(side):
    """charge="call": three failed attempts are one record, so the second run opens at 2."""
    clock = MockClock()
    breaker = CircuitBreaker(failure_threshold=2, recovery_timeout=1e6, clock=clock)
    executor = side.Executor(None, RetryPolicy(max_attempts=3), breaker, clock)

    states = []
    for _ in range(2):
        error = await caught(side.run(executor, fails(3)))
        assert (error.reason, error.attempts) == ("attempts", 3)
        states.append(breaker.state)

    assert states == ["closed", "open"]


@both
async def test_each_failed_attempt_is_a_failure(side):
    """charge="attempt": the circuit opens in the middle of the run and ends it."""
    clock = MockClock()
    breaker = CircuitBreaker(failure_threshold=2, recovery_timeout=1e6, clock=clock)
    executor = side.Executor(None, RetryPolicy(max_attempts=5), breaker, clock, charge="attempt")
    script = fails(5)

    error = await caught(side.run(executor, script))

    assert type(error) is RetryExhausted
    assert (error.reason, error.attempts) == ("circuit_open", 2)
    assert error.last_error is script.lines[1]
    assert script.count == 2
    assert breaker.state == "open"


@both
async def test_the_attempt_that_opens_may_be_the_last(side):
    """Threshold and attempts reached together: the reason is the attempts."""
    clock = MockClock()
    breaker = CircuitBreaker(failure_threshold=3, recovery_timeout=1e6, clock=clock)
    executor = side.Executor(None, RetryPolicy(max_attempts=3), breaker, clock, charge="attempt")

    error = await caught(side.run(executor, fails(3)))

    assert (error.reason, error.attempts) == ("attempts", 3)
    assert breaker.state == "open"


@both
@pytest.mark.parametrize(("charge", "state"), [("call", "closed"), ("attempt", "open")])
async def test_a_late_success_hides_earlier_failures_only_per_call(side, charge, state):
    """Run: the last result is the result. Attempt: the failures before it were heard."""
    clock = MockClock()
    breaker = CircuitBreaker(failure_threshold=2, recovery_timeout=1e6, clock=clock)
    executor = side.Executor(None, RetryPolicy(max_attempts=3), breaker, clock, charge=charge)

    outcome = await caught_or_result(side.run(executor, fails(2, "done")))

    assert outcome == ("done" if charge == "call" else RetryExhausted)
    assert breaker.state == state


async def caught_or_result(awaitable):
    """Returns the result of a run, or the type of its error."""
    try:
        return await awaitable
    except Exception as error:
        return type(error)


@both
@each_charge
async def test_a_success_is_recorded(side, charge):
    """It sets the count of failures to 0."""
    clock = MockClock()
    breaker = CircuitBreaker(failure_threshold=2, clock=clock)
    executor = side.Executor(None, None, breaker, clock, charge=charge)

    for _ in range(3):
        await caught(side.run(executor, fails(1)))
        await side.run(executor, Script("done"))

    assert breaker.state == "closed"


@both
@each_charge
async def test_a_run_in_half_open_is_the_probe(side, charge):
    """Its success closes, its failure opens."""
    clock = MockClock()
    good, bad = half_open(clock), half_open(clock)

    await side.run(side.Executor(None, None, good, clock, charge=charge), Script("done"))
    await caught(side.run(side.Executor(None, None, bad, clock, charge=charge), fails(1)))

    assert good.state == "closed"
    assert bad.state == "open"


@both
async def test_half_open_counts_attempts_when_told_to(side):
    """charge="attempt": two runs of one attempt each are the two successes that close."""
    clock = MockClock()
    breaker = half_open(clock, half_open_success_threshold=2)
    executor = side.Executor(None, RetryPolicy(), breaker, clock, charge="attempt")

    await side.run(executor, Script("done"))
    assert breaker.state == "half_open"
    await side.run(executor, Script("done"))

    assert breaker.state == "closed"


@both
async def test_an_attempt_waits_before_the_breaker_is_asked(side):
    """charge="attempt": opened by the first attempt, recovered during its backoff, probed."""
    clock = MockClock()
    breaker = CircuitBreaker(failure_threshold=1, recovery_timeout=2.0, clock=clock)
    policy = RetryPolicy(max_attempts=2, base_delay=3.0)
    executor = side.Executor(None, policy, breaker, clock, charge="attempt")
    script = fails(1, "done")

    assert await side.run(executor, script) == "done"

    assert script.count == 2
    assert breaker.state == "closed"


@both
async def test_an_open_circuit_takes_no_quota_for_the_next_attempt(side):
    """charge="attempt": breaker before limiter holds on every attempt."""
    clock = MockClock()
    limiter = side.TokenBucket(10, HOURLY, clock=clock)
    breaker = CircuitBreaker(failure_threshold=1, recovery_timeout=1e6, clock=clock)
    executor = side.Executor(limiter, RetryPolicy(), breaker, clock, charge="attempt")

    error = await caught(side.run(executor, fails(3)))

    assert error.reason == "circuit_open"
    assert await settle(limiter.get_tokens("k")) == pytest.approx(9, abs=0.01)


@both
async def test_an_attempt_stopped_after_its_wait_gives_its_quota_back(side):
    """charge="attempt": opened while the second queued; only the first one's permit is gone."""
    clock = HandClock()
    limiter = side.TokenBucket(1, 1.0, clock=clock)
    breaker = CircuitBreaker(failure_threshold=5, recovery_timeout=60.0, clock=clock)
    policy = RetryPolicy(max_attempts=3, base_delay=0.0)
    executor = side.Executor(limiter, policy, breaker, clock, charge="attempt")
    clock.on_sleep = lambda: trip(breaker)
    script = fails(3)

    error = await caught(side.run(executor, script))

    assert (error.reason, error.attempts) == ("circuit_open", 1)
    assert error.last_error is script.lines[0]
    assert await settle(limiter.get_tokens("k")) == 1.0


@both
async def test_without_quota_for_another_attempt_the_run_ends(side):
    """charge="attempt": `RetryExhausted` with reason rate_limited, the last error kept."""
    clock = MockClock()
    limiter = side.TokenBucket(2, HOURLY, clock=clock)
    policy = RetryPolicy(max_attempts=5, base_delay=0.0)
    executor = side.Executor(limiter, policy, clock=clock, charge="attempt", acquire_timeout=0)
    script = fails(5)

    error = await caught(side.run(executor, script))

    assert type(error) is RetryExhausted
    assert (error.reason, error.attempts) == ("rate_limited", 2)
    assert error.last_error is script.lines[1]
    assert error.__cause__ is script.lines[1]


@both
async def test_a_refusal_on_a_later_attempt_frees_the_probe(side):
    """charge="attempt", half-open: the refused attempt's permit is free again."""
    clock = MockClock()
    breaker = half_open(clock, half_open_success_threshold=1, ignore=ValueError)
    limiter = side.TokenBucket(1, HOURLY, clock=clock)
    policy = RetryPolicy(max_attempts=3, base_delay=0.0)
    executor = side.Executor(limiter, policy, breaker, clock, charge="attempt", acquire_timeout=0)

    error = await caught(side.run(executor, fails(3)))

    assert error.reason == "rate_limited"
    assert breaker.state == "half_open"
    assert breaker.allow() is True


@both
async def test_acquire_timeout_is_for_the_whole_run(side):
    """charge="attempt": 1.5 s allow one wait of 1 s, not two."""
    clock = MockClock()
    limiter = side.TokenBucket(1, 1.0, clock=clock)
    policy = RetryPolicy(max_attempts=5, base_delay=0.0)
    executor = side.Executor(limiter, policy, clock=clock, charge="attempt", acquire_timeout=1.5)
    script = Script(ValueError(), clock=clock)

    error = await caught(side.run(executor, script))

    assert (error.reason, error.attempts) == ("rate_limited", 2)
    assert script.times == [0.0, 1.0]
    assert clock.now() == 1.0, "what would exceed the timeout is refused at once"


@both
async def test_backoff_does_not_count_towards_acquire_timeout(side):
    """Only waiting for quota is waiting for quota."""
    clock = MockClock()
    limiter = side.TokenBucket(1, 0.25, clock=clock)
    policy = RetryPolicy(max_attempts=3, base_delay=3.0, backoff=1.0)
    executor = side.Executor(limiter, policy, clock=clock, charge="attempt", acquire_timeout=2.0)
    script = Script(ValueError(), ValueError(), "done", clock=clock)

    assert await side.run(executor, script) == "done"

    assert script.times == [0.0, 4.0, 8.0]


@both
@each_charge
async def test_a_wait_of_exactly_the_timeout_is_allowed(side, charge):
    """Refused is what would exceed it."""
    clock = MockClock()
    limiter = side.TokenBucket(1, 0.5, clock=clock)
    await settle(limiter.allow("k"))

    exact = side.Executor(limiter, clock=clock, charge=charge, acquire_timeout=2.0)
    assert await side.run(exact, Script("done")) == "done"
    assert clock.now() == 2.0

    short = side.Executor(limiter, clock=clock, charge=charge, acquire_timeout=1.999)
    assert type(await caught(side.run(short, Script("done")))) is RateLimitExceeded
    assert clock.now() == 2.0


@both
async def test_the_next_run_has_the_whole_timeout_again(side):
    """What one run waited is not charged to another."""
    clock = MockClock()
    limiter = side.TokenBucket(1, 1.0, clock=clock)
    executor = side.Executor(limiter, clock=clock, acquire_timeout=1.0)

    for _ in range(5):
        assert await side.run(executor, Script("done")) == "done"

    assert clock.now() == 4.0


@both
async def test_a_users_limiter_is_told_what_time_is_left(side):
    """Its `timeout` is the rest of `acquire_timeout`, by the executor's clock."""
    clock = HandClock()
    limiter = side.own_limiter(lambda: clock.sleep(1.5))
    policy = RetryPolicy(max_attempts=2, base_delay=1.0)
    executor = side.Executor(limiter, policy, clock=clock, charge="attempt", acquire_timeout=2.0)

    await caught(side.run(executor, fails(2)))

    assert limiter.asked == [("k", 2.0), ("k", 0.5)]


@both
async def test_a_users_limiter_without_a_timeout_gets_none(side):
    """Without `acquire_timeout` it may wait as long as it likes."""
    limiter = side.own_limiter(lambda: None)

    await side.run(side.Executor(limiter), Script("done"))

    assert limiter.asked == [("k", None)]


@both
@pytest.mark.parametrize("charge", ["foo", "", "CALL", None, 1, b"call"])
async def test_charge_is_one_of_two_words(side, charge):
    """Anything else is refused by name, and the message offers both words."""
    with pytest.raises(InvalidConfigError) as refusal:
        side.Executor(charge=charge)

    assert refusal.value.parameter == "charge"
    assert refusal.value.value is charge
    assert "call" in refusal.value.reason
    assert "attempt" in refusal.value.reason


@both
@pytest.mark.parametrize("timeout", [math.nan, "1", 1j, [1]], ids=repr)
async def test_acquire_timeout_is_a_time(side, timeout):
    """NaN and what is no number are refused by name."""
    with pytest.raises(InvalidConfigError) as refusal:
        side.Executor(acquire_timeout=timeout)

    assert refusal.value.parameter == "acquire_timeout"
    assert refusal.value.value is timeout


@both
async def test_options_are_by_name_only(side):
    """`charge` and `acquire_timeout` come after the star."""
    with pytest.raises(TypeError):
        side.Executor(None, None, None, None, "call")
