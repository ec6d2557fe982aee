"""CircuitBreaker: what it remembers outlives the process."""

import pytest

from limitpal import CircuitBreaker, FailureRate, InvalidConfigError, MockClock

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
