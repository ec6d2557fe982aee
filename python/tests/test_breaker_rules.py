"""CircuitBreaker: when it trips, how long it is open, and how it takes its calls on again."""

import math
import pickle

import pytest

from helpers import Script, both, caught, half_open, trip
from limitpal import (
    AsyncResilientExecutor,
    CircuitBreaker,
    CircuitBreakerOpen,
    ConsecutiveFailures,
    FailureRate,
    InvalidConfigError,
    MockClock,
    ResilientExecutor,
    SlowCallRate,
)


def walk(breaker, calls):
    """Report a call for each letter, `x` failed; return at which the circuit opened."""
    for rank, call in enumerate(calls):
        breaker.record_failure() if call == "x" else breaker.record_success()
        if breaker.state == "open":
            return rank
    return None


@pytest.mark.parametrize(
    ("rule", "calls", "opens_at"),
    [
        (ConsecutiveFailures(2), "x.xx", 3),
        (FailureRate(0.5, calls=10, minimum_calls=4), "xx.x", 3),
        (FailureRate(0.5, calls=10, minimum_calls=4), "x...x..x..", None),
        (FailureRate(0.5, calls=10, minimum_calls=5), "xxxx.", 4),
        (FailureRate(0.5, calls=4), "x.....xx", 7),
        (FailureRate(0.5, window=60.0, minimum_calls=2), ".x", 1),
        ((ConsecutiveFailures(3), FailureRate(0.5, calls=10, minimum_calls=6)), "xx.x..", 5),
        ((rule for rule in [FailureRate(1.0), ConsecutiveFailures(1)]), "x", 0),
    ],
)
def test_a_rule_trips_at_its_number_and_not_below(rule, calls, opens_at):
    """Equal is enough; below the minimum a rate is unknown; any of several trips."""
    assert walk(CircuitBreaker(trip_on=rule, clock=MockClock()), calls) == opens_at


def test_a_window_forgets_what_is_older():
    """After the window's time the failures of before no longer count."""
    clock = MockClock()
    breaker = CircuitBreaker(trip_on=FailureRate(1.0, window=60.0, minimum_calls=2), clock=clock)

    breaker.record_failure()
    clock.advance(60.0)
    breaker.record_failure()

    assert breaker.state == "closed"
    clock.advance(58.0)
    breaker.record_failure()
    assert breaker.state == "open"


@both
async def test_slow_calls_trip_though_they_succeed(side):
    """Two of two took longer than 2 s."""
    clock = MockClock()
    slow = SlowCallRate(0.5, slower_than=2.0, calls=4, minimum_calls=2)
    breaker = CircuitBreaker(trip_on=slow, clock=clock)

    def call():
        clock.advance(2.5)
        return "late"

    assert await side.call(breaker, call) == "late"
    assert breaker.state == "closed"
    assert await side.call(breaker, call) == "late"

    assert breaker.state == "open"


@pytest.mark.parametrize("charge", ["call", "attempt"])
@both
async def test_an_executor_takes_the_time_of_an_attempt_not_of_the_wait(side, charge):
    """Quota that takes 10 s to come makes no slow call; a function that takes 3 s does."""
    clock = MockClock()
    breaker = CircuitBreaker(trip_on=SlowCallRate(1.0, 2.0, calls=2, minimum_calls=2), clock=clock)
    limiter = side.TokenBucket(1, 0.1, clock=clock)
    executor = side.Executor(limiter, circuit_breaker=breaker, clock=clock, charge=charge)

    for _ in range(3):
        await side.run(executor, lambda: None)
    assert clock.now() == 20.0
    assert breaker.state == "closed"
    for _ in range(2):
        await side.run(executor, lambda: clock.advance(3.0))

    assert breaker.state == "open"


def test_whoever_reports_without_a_permit_says_how_long_it_took():
    """`took` is for a SlowCallRate; without it a call is not slow."""
    breaker = CircuitBreaker(trip_on=SlowCallRate(1.0, 2.0, calls=2), clock=MockClock())

    breaker.record_success()
    breaker.record_success(took=3.0)
    assert breaker.state == "closed"
    breaker.record_failure(took=2.1)

    assert breaker.state == "open"
    with pytest.raises(InvalidConfigError, match=r"^took is -1.0; "):
        breaker.record_success(took=-1.0)


@pytest.mark.parametrize(
    ("make", "parameter"),
    [
        (lambda: ConsecutiveFailures(0), "failures"),
        (lambda: FailureRate(0.0), "share"),
        (lambda: FailureRate(1.5), "share"),
        (lambda: FailureRate(math.nan), "share"),
        (lambda: FailureRate("half"), "share"),
        (lambda: FailureRate(0.5, calls=0), "calls"),
        (lambda: FailureRate(0.5, calls=1_000_001), "calls"),
        (lambda: FailureRate(0.5, calls=10, window=60.0), "calls"),
        (lambda: FailureRate(0.5, window=0.0), "window"),
        (lambda: FailureRate(0.5, calls=10, minimum_calls=11), "minimum_calls"),
        (lambda: SlowCallRate(0.5, slower_than=0.0), "slower_than"),
        (lambda: SlowCallRate(2.0, slower_than=1.0), "share"),
        (lambda: CircuitBreaker(trip_on=0.5), "trip_on"),
        (lambda: CircuitBreaker(trip_on=()), "trip_on"),
        (lambda: CircuitBreaker(trip_on=[FailureRate]), "trip_on"),
        (lambda: CircuitBreaker(3, trip_on=FailureRate(0.5)), "failure_threshold"),
        (lambda: CircuitBreaker(half_open_timeout=0.0), "half_open_timeout"),
        (lambda: CircuitBreaker(ramp=()), "ramp"),
        (lambda: CircuitBreaker(ramp=0.5), "ramp"),
        (lambda: CircuitBreaker(ramp=(0.5, 0.25)), "ramp"),
        (lambda: CircuitBreaker(ramp=(0.5, 1.0)), "ramp"),
        (lambda: CircuitBreaker(ramp=("a",)), "ramp"),
        (lambda: CircuitBreaker(ramp_step=1.0), "ramp_step"),
        (lambda: CircuitBreaker(recovery_backoff=0.5), "recovery_backoff"),
        (lambda: CircuitBreaker(max_recovery_timeout=1.0), "max_recovery_timeout"),
        (lambda: CircuitBreaker(recovery_jitter=2.0), "recovery_jitter"),
        (lambda: CircuitBreaker(seed=-1), "seed"),
        (lambda: CircuitBreaker(failure_on=KeyboardInterrupt), "failure_on"),
        (lambda: CircuitBreaker(failure_on_result=3), "failure_on_result"),
    ],
)
def test_nonsense_is_refused_by_name(make, parameter):
    """When the object is made, naming what was wrong."""
    with pytest.raises(InvalidConfigError) as caught:
        make()

    assert caught.value.parameter == parameter


@pytest.mark.parametrize(
    ("rule", "shown"),
    [
        (ConsecutiveFailures(3), "ConsecutiveFailures(3)"),
        (FailureRate(0.5), "FailureRate(0.5)"),
        (FailureRate(0.5, 10, None, 4), "FailureRate(0.5, calls=10, minimum_calls=4)"),
        (SlowCallRate(1, 2, window=60), "SlowCallRate(1.0, slower_than=2.0, window=60.0)"),
    ],
)
def test_a_rule_is_a_value(rule, shown):
    """It shows what it was made of, is equal to its like, and pickles."""
    again = pickle.loads(pickle.dumps(rule))

    assert repr(rule) == repr(again) == shown
    assert rule == again
    assert hash(rule) == hash(again)
    assert rule != ConsecutiveFailures(4)
    assert f"trip_on={shown}" in repr(CircuitBreaker(trip_on=rule))


def test_the_open_time_grows_and_is_the_first_again_after_a_recovery():
    """1, 2, 4, 5, and 1 again."""
    clock = MockClock()
    options = {"recovery_backoff": 2.0, "max_recovery_timeout": 5.0}
    breaker = CircuitBreaker(1, 1.0, clock=clock, **options)

    def opened_for():
        trip(breaker)
        with pytest.raises(CircuitBreakerOpen) as refusal:
            breaker.call(list)
        clock.advance(refusal.value.retry_after)
        return refusal.value.retry_after

    assert [opened_for() for _ in range(4)] == [1.0, 2.0, 4.0, 5.0]
    breaker.record_success()
    assert opened_for() == 1.0


def test_a_seed_repeats_the_jitter():
    """Two breakers of one seed are open for as long; of two seeds, not."""

    def spans(seed):
        clock = MockClock()
        breaker = CircuitBreaker(1, 1.0, clock=clock, recovery_jitter=0.5, seed=seed)
        found = []
        for _ in range(5):
            trip(breaker)
            with pytest.raises(CircuitBreakerOpen) as refusal:
                breaker.call(list)
            found.append(refusal.value.retry_after)
            clock.advance(refusal.value.retry_after)
        return found

    assert spans(7) == spans(7)
    assert spans(7) != spans(8)
    assert all(0.5 <= span <= 1.5 for span in spans(7))


def test_half_open_lasts_no_longer_than_it_may():
    """From its first call on 3 s; then it is open for the whole timeout again."""
    clock = MockClock()
    breaker = half_open(clock, half_open_timeout=3.0, half_open_success_threshold=2)

    assert breaker.allow()
    clock.advance(2.999)
    assert breaker.state == "half_open"
    clock.advance(0.001)
    assert breaker.state == "open"
    clock.advance(10.0)

    assert breaker.state == "half_open"


def test_a_ramp_admits_its_shares_one_after_the_other():
    """5, 10, 25 and 50 of a hundred, then all."""
    clock = MockClock()
    breaker = half_open(clock, ramp=(0.05, 0.1, 0.25, 0.5), ramp_step=10.0)
    breaker.record_success()

    admitted = []
    for _ in range(5):
        admitted.append(sum(breaker.allow() for _ in range(100)))
        clock.advance(10.0)

    assert admitted == [5, 10, 25, 50, 100]
    assert breaker.state == "closed"


@both
async def test_a_trip_on_the_ramp_opens_it_again(side):
    """And it is refused with the time of the ramp's end before."""
    clock = MockClock()
    breaker = half_open(clock, ramp=(0.5,), ramp_step=10.0)
    breaker.record_success()

    await side.call(breaker, Script("fine"))
    refusal = await caught(side.call(breaker, Script("fine")))
    assert refusal.retry_after == 10.0
    await caught(side.call(breaker, Script(ValueError())))

    assert breaker.state == "open"


def test_an_executor_shows_its_breakers_options():
    """What was built is what the repr says."""
    breaker = CircuitBreaker(
        trip_on=FailureRate(0.5), ramp=(0.1,), recovery_backoff=2.0, half_open_timeout=3.0
    )

    expected = (
        "trip_on=FailureRate(0.5), recovery_timeout=5.0, half_open_success_threshold=1, "
        "half_open_timeout=3.0, ramp=(0.1,), ramp_step=5.0, recovery_backoff=2.0, "
        'max_recovery_timeout=60.0, recovery_jitter=0.0, state="closed")'
    )
    for executor in [ResilientExecutor, AsyncResilientExecutor]:
        assert expected in repr(executor(circuit_breaker=breaker))
