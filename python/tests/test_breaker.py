"""CircuitBreaker: its three states, what moves it between them, and bare use."""

import math

import pytest

from helpers import HandClock, half_open, trip
from limitpal import CircuitBreaker, CircuitBreakerOpen, InvalidConfigError, MockClock

NANOSECOND = 1e-9


def test_defaults_are_those_of_the_contract():
    """A bare breaker opens after 5 failures, for 5 s, and one success closes it."""
    clock = MockClock()
    breaker = CircuitBreaker(clock=clock)

    for _ in range(4):
        breaker.record_failure()
    assert breaker.state == "closed"
    breaker.record_failure()
    assert breaker.state == "open"

    clock.advance(5.0)
    breaker.record_success()
    assert breaker.state == "closed"


def test_arguments_may_be_given_by_position():
    """The order is failures, timeout, successes, clock."""
    clock = MockClock()
    breaker = CircuitBreaker(1, 7.0, 2, clock)

    breaker.record_failure()
    clock.advance(7.0)
    breaker.record_success()

    assert breaker.state == "half_open"


def test_ignore_is_by_name_only():
    """`ignore` comes after the star."""
    with pytest.raises(TypeError):
        CircuitBreaker(5, 5.0, 1, None, (ValueError,))


def test_a_closed_circuit_admits():
    """Closed is the state of rest: everybody goes, as often as they like."""
    breaker = CircuitBreaker(clock=MockClock())

    assert breaker.state == "closed"
    assert all(breaker.allow() for _ in range(100))


def test_the_threshold_opens():
    """One failure below the threshold it is closed, at it open."""
    breaker = CircuitBreaker(failure_threshold=3, clock=MockClock())

    states = []
    for _ in range(3):
        breaker.record_failure()
        states.append(breaker.state)

    assert states == ["closed", "closed", "open"]


def test_failures_count_only_in_a_row():
    """A success sets the count to 0."""
    breaker = CircuitBreaker(failure_threshold=3, clock=MockClock())

    for _ in range(10):
        breaker.record_failure()
        breaker.record_failure()
        breaker.record_success()

    assert breaker.state == "closed"
    breaker.record_failure()
    breaker.record_failure()
    assert breaker.state == "closed"
    breaker.record_failure()
    assert breaker.state == "open"


@pytest.mark.parametrize("timeout", [0.1, 1.0, 30.0])
def test_open_refuses_until_the_timeout_has_passed(timeout):
    """A nanosecond before it refuses, at it admits."""
    clock = MockClock()
    breaker = CircuitBreaker(failure_threshold=1, recovery_timeout=timeout, clock=clock)
    breaker.record_failure()

    assert breaker.allow() is False
    clock.advance(timeout - NANOSECOND)
    assert breaker.allow() is False
    assert breaker.state == "open"
    clock.advance(NANOSECOND)
    assert breaker.state == "half_open"
    assert breaker.allow() is True


def test_state_is_a_function_of_time():
    """After the timeout `state` reads half_open, whoever asks first, though nobody called."""
    clock = MockClock()
    breaker = CircuitBreaker(failure_threshold=1, recovery_timeout=10.0, clock=clock)
    breaker.record_failure()

    assert breaker.state == "open"
    clock.advance(10.0)

    assert breaker.state == "half_open"
    assert breaker.state == "half_open"


def test_reading_the_state_takes_no_permit():
    """`state` may be read a hundred times; the probe's permit is still there."""
    breaker = half_open(MockClock())

    for _ in range(100):
        assert breaker.state == "half_open"

    assert breaker.allow() is True


@pytest.mark.parametrize("successes", [1, 2, 5])
def test_that_many_successes_close(successes):
    """One success less leaves it half-open."""
    breaker = half_open(MockClock(), half_open_success_threshold=successes)

    states = []
    for _ in range(successes):
        assert breaker.allow() is True
        breaker.record_success()
        states.append(breaker.state)

    assert states == ["half_open"] * (successes - 1) + ["closed"]


def test_one_failure_opens_again():
    """Half-open forgives nothing, and the timeout starts anew."""
    clock = MockClock()
    breaker = half_open(clock, half_open_success_threshold=3)

    breaker.allow()
    breaker.record_success()
    breaker.allow()
    breaker.record_failure()

    assert breaker.state == "open"
    assert breaker.allow() is False
    clock.advance(9.9)
    assert breaker.state == "open"
    clock.advance(0.1)
    assert breaker.state == "half_open"


def test_successes_do_not_survive_a_relapse():
    """After open and half-open again the successes count from 0."""
    clock = MockClock()
    breaker = half_open(clock, half_open_success_threshold=2)
    breaker.allow()
    breaker.record_success()
    breaker.allow()
    breaker.record_failure()
    clock.advance(10.0)

    breaker.allow()
    breaker.record_success()

    assert breaker.state == "half_open"


def test_a_circuit_closed_again_counts_from_zero():
    """The failures of its earlier life are forgotten."""
    breaker = half_open(MockClock(), failure_threshold=3)
    breaker.allow()
    breaker.record_success()

    breaker.record_failure()
    breaker.record_failure()

    assert breaker.state == "closed"
    breaker.record_failure()
    assert breaker.state == "open"


def test_the_walk_of_the_article():
    """Bare `record_*` without `allow()` counts towards the present state."""
    clock = MockClock()
    breaker = CircuitBreaker(
        failure_threshold=3, recovery_timeout=10.0, half_open_success_threshold=2, clock=clock
    )

    breaker.record_success()
    breaker.record_success()
    for _ in range(3):
        breaker.record_failure()
    assert breaker.state == "open"
    with pytest.raises(CircuitBreakerOpen):
        breaker.call(lambda: "never called")

    clock.sleep(10)
    breaker.record_success()
    assert breaker.state == "half_open"
    breaker.record_success()
    assert breaker.state == "closed"


def test_bare_records_while_open_are_ignored():
    """Before the timeout neither a success closes nor a failure prolongs."""
    clock = MockClock()
    breaker = CircuitBreaker(failure_threshold=1, recovery_timeout=10.0, clock=clock)
    breaker.record_failure()

    clock.advance(9.0)
    breaker.record_success()
    assert breaker.state == "open"
    breaker.record_failure()
    clock.advance(1.0)

    assert breaker.state == "half_open"
    assert breaker.allow() is True


def test_a_bare_failure_opens_a_half_open_circuit():
    """The first word after the timeout may be a failure without `allow()`."""
    breaker = half_open(MockClock())

    breaker.record_failure()

    assert breaker.state == "open"


def test_reset_closes_from_any_state():
    """`reset()` gives a circuit as new."""
    clock = MockClock()
    opened = CircuitBreaker(failure_threshold=1, clock=clock)
    trip(opened)
    counted = CircuitBreaker(failure_threshold=2, clock=clock)
    counted.record_failure()
    probing = half_open(clock)
    probing.allow()

    for breaker in (opened, counted, probing):
        breaker.reset()
        assert breaker.state == "closed"
        assert breaker.allow() is True
    counted.record_failure()
    assert counted.state == "closed"


def test_retry_after_counts_to_the_timeout():
    """Open: the time until it may admit, and exactly then it does."""
    clock = MockClock()
    breaker = CircuitBreaker(failure_threshold=1, recovery_timeout=10.0, clock=clock)
    trip(breaker)
    clock.advance(3.0)

    with pytest.raises(CircuitBreakerOpen) as refusal:
        breaker.call(lambda: None)

    assert refusal.value.retry_after == 7.0
    clock.advance(7.0)
    assert breaker.allow() is True


@pytest.mark.parametrize("state", ["open", "probing"])
def test_a_clock_set_back_locks_nobody_out(state):
    """After a step back of an hour, `recovery_timeout` more is enough."""
    clock = HandClock()
    clock.time = 3600.0
    breaker = half_open(clock)
    breaker.allow()
    if state == "open":
        breaker.record_failure()

    clock.time = 0.0
    breaker.allow()
    clock.time = 10.0

    assert breaker.allow() is True


def test_a_mock_set_back_locks_nobody_out():
    """`set_time` backwards leaves the time to wait as it was."""
    clock = MockClock(start_time=3600.0)
    breaker = CircuitBreaker(failure_threshold=1, recovery_timeout=10.0, clock=clock)
    trip(breaker)

    clock.set_time(0.0)
    clock.advance(10.0)

    assert breaker.allow() is True


NONSENSE = [
    ("failure_threshold", [0, -1, 1.5, math.nan, math.inf, "5", None]),
    ("recovery_timeout", [0, 0.0, -1.0, math.nan, math.inf, "5", None]),
    ("half_open_success_threshold", [0, -1, 1.5, math.nan, "1", None]),
    ("ignore", [5, "ValueError", (int,), [ValueError, "x"], ValueError("an instance")]),
    ("clock", [5, "clock", object()]),
]


@pytest.mark.parametrize(
    ("parameter", "value"), [(name, value) for name, values in NONSENSE for value in values]
)
def test_nonsense_is_refused_by_name(parameter, value):
    """What makes no sense is refused when the breaker is made, naming the parameter."""
    with pytest.raises(InvalidConfigError) as refusal:
        CircuitBreaker(**{parameter: value})

    assert refusal.value.parameter == parameter
    assert refusal.value.value is value
    assert parameter in str(refusal.value)


def test_repr_shows_what_was_built():
    """A breaker prints its settings."""
    breaker = CircuitBreaker(
        failure_threshold=7, recovery_timeout=12.5, half_open_success_threshold=3
    )

    text = repr(breaker)

    assert text.startswith("CircuitBreaker(")
    for part in ("failure_threshold=7", "recovery_timeout=12.5", "half_open_success_threshold=3"):
        assert part in text
