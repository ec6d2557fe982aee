"""What observers of a circuit breaker hear."""

from __future__ import annotations

import gc
import weakref

import pytest

from limitpal import (
    BreakerFailed,
    BreakerMoved,
    BreakerRefused,
    CircuitBreaker,
    KeyedCircuitBreaker,
    MockClock,
)


def test_moves_failures_and_refusals_are_told():
    """Each as a value, moves before the failure that made them."""
    clock = MockClock()
    breaker = CircuitBreaker(failure_threshold=1, clock=clock)
    events = []
    with breaker.observe(events.append) as subscription:
        breaker.record_failure()
        assert not breaker.allow()
        clock.advance(5.0)
        breaker.call(lambda: 1)
    breaker.record_failure()

    assert not subscription.is_open
    assert events == [
        BreakerMoved("", "closed", "open", "consecutive_failures"),
        BreakerFailed(""),
        BreakerRefused("", 5.0, "open"),
        BreakerMoved("", "open", "half_open", "recovery_timeout"),
        BreakerMoved("", "half_open", "closed", "probes_succeeded"),
    ]


def test_of_many_keys_all_are_told_and_one_hears_of_its_own():
    """The key is in the event."""
    breakers = KeyedCircuitBreaker(failure_threshold=1)
    every, own = [], []
    breakers.observe(every.append)
    eu = breakers.get("eu")
    eu.observe(own.append)
    for key in ("us", "eu"):
        breakers.record_failure(key)

    assert [event.key for event in every] == ["us", "us", "eu", "eu"]
    assert own == [
        BreakerMoved("eu", "closed", "open", "consecutive_failures"),
        BreakerFailed("eu"),
    ]
    eu.reset()
    eu.force_open()
    assert [event.reason for event in own[2:]] == ["reset", "mode_changed"]


def test_an_observer_that_raises_changes_nothing(monkeypatch):
    """Its exception goes where Python shows those that nobody can catch."""
    shown = []
    monkeypatch.setattr("sys.unraisablehook", lambda raised: shown.append(raised.exc_value))
    breaker, events = CircuitBreaker(failure_threshold=1), []
    breaker.observe(lambda event: 1 / 0)
    breaker.observe(events.append)
    breaker.record_failure()

    assert breaker.state == "open"
    assert len(events) == len(shown) == 2
    with pytest.raises(TypeError):
        breaker.observe(None)


def test_an_observer_that_knows_its_breaker_is_collected():
    """The garbage collector sees the cycle."""

    class Log(list):
        pass

    log = Log()
    breaker = CircuitBreaker(failure_threshold=1)
    log.append(breaker)
    breaker.observe(log.append)
    gone = weakref.ref(log)
    del log, breaker
    gc.collect()
    assert gone() is None
