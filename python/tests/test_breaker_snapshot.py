"""CircuitBreaker: what it remembers outlives the process."""

import pytest

from limitpal import (
    CircuitBreaker,
    FailureRate,
    InvalidConfigError,
    KeyedCircuitBreaker,
    MockClock,
)

OPTIONS = {
    "trip_on": (FailureRate(0.5, window=60.0, minimum_calls=4),),
    "recovery_timeout": 10.0,
    "recovery_backoff": 2.0,
}


def test_an_open_circuit_is_open_for_the_time_that_was_left():
    """The time in between counts as none, whatever the new clock shows."""
    clock, other = MockClock(), MockClock()
    clock.advance(1000.0)
    before, after = CircuitBreaker(clock=clock, **OPTIONS), CircuitBreaker(clock=other, **OPTIONS)
    for _ in range(4):
        before.record_failure()
    clock.advance(4.0)

    after.restore(before.snapshot())

    assert after.state == "open"
    other.advance(5.999)
    assert after.state == "open"
    other.advance(0.001)
    assert after.state == "half_open"


def test_counts_go_along():
    """Two failures before and two after are four."""
    before, after = CircuitBreaker(**OPTIONS), CircuitBreaker(**OPTIONS)
    before.record_failure()
    before.record_failure()

    after.restore(bytearray(before.snapshot()))
    after.record_failure()
    assert after.state == "closed"
    after.record_failure()

    assert after.state == "open"


@pytest.mark.parametrize("bad", [b"", b"limitpal", "text", 3, None])
def test_what_is_no_snapshot_is_refused_whole(bad):
    """All is as it was."""
    breaker = CircuitBreaker(1)
    breaker.record_failure()

    with pytest.raises(InvalidConfigError) as caught:
        breaker.restore(bad)

    assert caught.value.parameter == "snapshot"
    assert breaker.state == "open"


def test_a_snapshot_of_other_options_is_refused():
    """A count of five says nothing to a rule of ten."""
    with pytest.raises(InvalidConfigError, match="of a breaker with other options"):
        CircuitBreaker(5).restore(CircuitBreaker(10).snapshot())


def test_a_breaker_for_each_key_goes_on_with_all_of_them():
    """Also where the other clock shows another time; who is as new is left out."""
    clock, other = MockClock(), MockClock()
    clock.advance(1000.0)
    before, after = (KeyedCircuitBreaker(2, 10.0, clock=one) for one in (clock, other))
    for key in ("eu", "eu", "us"):
        before.record_failure(key)
    before.record_success("new")
    clock.advance(4.0)

    after.restore(before.snapshot())

    assert (len(after), after.state("eu"), after.state("us")) == (2, "open", "closed")
    other.advance(6.0)
    assert after.state("eu") == "half_open"
    after.record_failure("us")
    assert after.state("us") == "open"


@pytest.mark.parametrize("bad", [b"", b"limitpal", "text", 3, None, CircuitBreaker(2).snapshot()])
def test_what_is_no_snapshot_of_many_is_refused_whole(bad):
    """None is remembered then."""
    breakers = KeyedCircuitBreaker(2)

    with pytest.raises(InvalidConfigError) as caught:
        breakers.restore(bad)

    assert caught.value.parameter == "snapshot"
    assert len(breakers) == 0


def test_a_snapshot_of_many_that_does_not_fit_is_refused():
    """Into breakers that were used, or that may be fewer, or have other options."""
    before = KeyedCircuitBreaker(2)
    for key in ("eu", "us"):
        before.record_failure(key)
    used = KeyedCircuitBreaker(2)
    used.record_success("eu")

    for breakers, said in (
        (used, "used already"),
        (KeyedCircuitBreaker(2, max_breakers=1), "of 2 keys"),
        (KeyedCircuitBreaker(3), "other options"),
    ):
        with pytest.raises(InvalidConfigError, match=said):
            breakers.restore(before.snapshot())
