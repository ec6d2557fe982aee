"""AdaptiveConcurrency with partitions: what a class is guaranteed, and what it may borrow."""

from __future__ import annotations

import threading

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from limitpal import AdaptiveConcurrency, InvalidConfigError, MockClock, RateLimitExceeded

SHARES = {"live": 0.8, "batch": 0.2}


def make(initial=10, partitions=SHARES, **options):
    """Returns a limiter with classes on a mock clock."""
    return AdaptiveConcurrency(initial=initial, partitions=partitions, clock=MockClock(), **options)


def fill(limiter, partition=None):
    """Takes all places there are for a class."""
    permits = []
    while (permit := limiter.try_acquire(partition)) is not None:
        permits.append(permit)
    return permits


def test_what_is_idle_is_lent_and_what_is_guaranteed_is_there_all_the_same():
    """A class within its share is never refused; those who borrowed wait for room."""
    limiter = make()
    assert (limiter.places_of("live"), limiter.places_of("batch")) == (8, 2)

    batch = fill(limiter, "batch")
    assert len(batch) == 10
    with pytest.raises(RateLimitExceeded, match="all places are taken"):
        limiter.acquire("batch")
    live = fill(limiter, "live")

    assert (len(live), limiter.in_flight_of("live"), limiter.in_flight) == (8, 8, 18)
    while len(batch) > 2:
        batch.pop().ignore()
        assert limiter.try_acquire("batch") is None
    batch.pop().ignore()
    assert limiter.acquire("batch") is not None


def test_every_end_gives_a_place_back_to_its_class():
    """As a context manager, by its methods, and forgotten."""
    limiter = make()
    with limiter.acquire("live"), limiter.acquire("live"):
        assert limiter.in_flight_of("live") == 2
    limiter.acquire("live").success()
    limiter.acquire("live").dropped()
    limiter.acquire("live").ignore()

    limiter.acquire("live")  # and forgotten

    assert (limiter.in_flight_of("live"), limiter.in_flight) == (0, 0)


def test_who_is_of_no_class_has_what_nobody_has_taken():
    """It is guaranteed nothing."""
    limiter = make(2, {"live": 1})

    mine = limiter.acquire()
    live = fill(limiter, "live")

    assert len(live) == 2
    assert limiter.try_acquire() is None
    mine.ignore()
    assert limiter.try_acquire() is None


@pytest.mark.parametrize(
    ("partitions", "message"),
    [
        ({}, r"partitions is \{\}; give each class its share"),
        ({"a": 0.5, "b": 0.4}, "give shares whose sum is 1"),
        ({"a": 0.0, "b": 1.0}, "give a share above 0, 1 at most"),
        ({"a": float("nan")}, "give a share above 0, 1 at most"),
        ({"a": "half"}, "give a dict of classes and shares"),
        ({1: 1.0}, "give a dict of classes and shares"),
        ({"": 1.0}, "give a dict of classes and shares"),
        ([("a", 1.0)], "give a dict of classes and shares"),
    ],
)
def test_shares_that_make_no_sense_are_refused_by_name(partitions, message):
    """With what was given and the way out."""
    with pytest.raises(InvalidConfigError, match=message) as error:
        make(partitions=partitions)

    assert error.value.parameter == "partitions"


@pytest.mark.parametrize("name", ["acquire", "try_acquire", "in_flight_of", "places_of"])
def test_a_class_that_there_is_not_is_refused_with_those_there_are(name):
    """A misspelt class would have no share."""
    with pytest.raises(InvalidConfigError, match='\'bacth\'; give one of "live", "batch"'):
        getattr(make(), name)("bacth")
    with pytest.raises(InvalidConfigError, match="partition is 7; give one of"):
        getattr(make(), name)(7)
    with pytest.raises(InvalidConfigError, match="make the limiter with partitions"):
        getattr(AdaptiveConcurrency(), name)("live")


@settings(max_examples=100, deadline=None)
@given(
    steps=st.lists(st.sampled_from(["live", "batch", None, "end", "drop"]), max_size=80),
    share=st.floats(0.05, 0.95),
    initial=st.integers(1, 20),
)
def test_nobody_within_its_share_is_refused(steps, share, initial):
    """Whatever the others do; and whoever is beyond it goes only while there is room."""
    clock = MockClock()
    limiter = AdaptiveConcurrency(
        "aimd",
        initial=initial,
        max=20,
        partitions={"live": share, "batch": 1 - share},
        clock=clock,
    )
    permits = []
    for step in steps:
        has_room = limiter.in_flight < limiter.limit
        if step in ("end", "drop"):
            clock.advance(0.05)
            if permits:
                permit = permits.pop(0)
                permit.success() if step == "end" else permit.dropped()
            continue
        is_within = step and limiter.in_flight_of(step) < limiter.places_of(step)
        permit = limiter.try_acquire(step)
        assert (permit is not None) == bool(has_room or is_within)
        if permit is not None:
            permits.append(permit)
    assert limiter.in_flight == len(permits)


def test_threads_of_a_class_within_its_share_are_never_refused():
    """However many of another class want all there is (on the real clock)."""
    limiter = AdaptiveConcurrency(initial=4, partitions={"live": 0.5, "batch": 0.5})
    refused = []

    def work(partition):
        for _ in range(2000):
            permit = limiter.try_acquire(partition)
            if permit is not None:
                permit.ignore()
            elif partition == "live":
                refused.append(1)

    names = ["live", "live", "batch", "batch", "batch", "batch"]
    threads = [threading.Thread(target=work, args=(name,)) for name in names]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert (len(refused), limiter.in_flight) == (0, 0)
