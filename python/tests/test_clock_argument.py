"""The `clock=` of a limiter: resolved once, whoever's it is."""

from __future__ import annotations

import gc
import math
import weakref
from fractions import Fraction
from typing import Any

import pytest

from limitpal import AsyncTokenBucket, InvalidConfigError, MockClock, MonotonicClock, TokenBucket


class Watch:
    """A clock of the user's own, that says and raises what it is told."""

    def __init__(self, reading: Any = 0.0) -> None:
        self.reading = reading
        self.slept: list[float] = []

    def now(self) -> Any:
        if isinstance(self.reading, BaseException):
            raise self.reading
        return self.reading

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.reading += seconds

    async def sleep_async(self, seconds: float) -> None:
        self.sleep(seconds)


class Hasty(MockClock):
    """A mock clock with a reading of its own: a second is two."""

    def now(self) -> float:
        return super().now() * 2


class Patient(MockClock):
    """A mock clock that keeps ours, and counts the sleeps."""

    slept = 0

    def sleep(self, seconds: float) -> None:
        self.slept += 1
        super().sleep(seconds)


def spent(clock: Any) -> TokenBucket:
    """Returns a bucket of one permit a second, whose permit is gone."""
    limiter = TokenBucket(1, 1.0, clock=clock)
    assert limiter.allow("k")
    return limiter


def test_the_default_is_the_monotonic_clock() -> None:
    """Given by name or not at all, a real second has not passed."""
    for limiter in (TokenBucket(1, 1.0), TokenBucket(1, 1.0, clock=MonotonicClock())):
        assert limiter.allow("k")
        assert not limiter.allow("k")


def test_a_mock_clock_is_read_and_slept_on() -> None:
    """The limiter's time is the mock's."""
    clock = MockClock()
    limiter = spent(clock)

    assert not limiter.allow("k")
    limiter.acquire("k")
    assert clock.now() == 1.0


def test_limiters_do_not_see_a_mock_clock_step_back() -> None:
    """Set back, it stands still for them; then it goes on."""
    clock = MockClock(start_time=100.0)
    limiter = spent(clock)

    clock.set_time(50.0)
    assert limiter.peek("k").retry_after == 1.0
    clock.advance(1.0)
    assert limiter.allow("k")


def test_a_subclass_with_a_reading_of_its_own_is_asked() -> None:
    """Half a second of ours is one of its."""
    clock = Hasty()
    limiter = spent(clock)

    clock.advance(0.5)

    assert limiter.allow("k")


def test_a_subclass_with_a_sleep_of_its_own_is_slept_on() -> None:
    """Its `sleep` is called, its time is still ours."""
    clock = Patient()

    spent(clock).acquire("k")

    assert (clock.slept, clock.now()) == (1, 1.0)


@pytest.mark.parametrize("reading", [0, 5.5, Fraction(11, 2), -9e9, 1.7e9, 9e9], ids=repr)
def test_a_clock_of_the_users_own_may_count_from_anywhere(reading: Any) -> None:
    """Any number of seconds within 292 years of zero is a time."""
    limiter = spent(Watch(reading))

    assert not limiter.allow("k")


def test_a_clock_of_the_users_own_is_slept_on() -> None:
    """With the seconds that are left."""
    clock = Watch(10.0)
    limiter = spent(clock)
    clock.reading += 0.25

    limiter.acquire("k")

    assert clock.slept == [0.75]


@pytest.mark.parametrize("error", [RuntimeError("no battery"), KeyboardInterrupt()], ids=repr)
def test_an_error_of_the_users_clock_comes_out_unchanged(error: BaseException) -> None:
    """And the limiter works on afterwards."""
    clock = Watch()
    limiter = spent(clock)
    clock.reading = error

    with pytest.raises(type(error)) as caught:
        limiter.allow("k")
    assert caught.value is error
    clock.reading = 1.0
    assert limiter.allow("k")


@pytest.mark.parametrize("reading", [math.nan, math.inf, -math.inf], ids=repr)
def test_a_reading_that_is_no_time_is_named(reading: float) -> None:
    """The message names the clock and the value."""
    limiter = TokenBucket(1, 1.0, clock=Watch(reading))

    with pytest.raises(ValueError, match=rf"Watch\.now\(\) is {reading!r}; give seconds"):
        limiter.allow("k")


@pytest.mark.parametrize("reading", ["noon", None, [1.0]], ids=repr)
def test_a_reading_that_is_no_number_is_named(reading: object) -> None:
    """The message names the clock and the value."""
    limiter = TokenBucket(1, 1.0, clock=Watch(reading))

    with pytest.raises(TypeError, match=r"Watch\.now\(\) is .*; give seconds as a finite number"):
        limiter.allow("k")


class Mute:
    """Reads, and cannot sleep."""

    def now(self) -> float:
        return 1.0


class Still:
    """Sleeps, and cannot read."""

    now = 1.0

    def sleep(self, seconds: float) -> None: ...


@pytest.mark.parametrize("clock", [3.0, "noon", Mute(), Still(), MockClock, Watch], ids=repr)
@pytest.mark.parametrize("limiter", [TokenBucket, AsyncTokenBucket])
def test_what_is_no_clock_is_refused_by_name(limiter: Any, clock: object) -> None:
    """A class is none either: it is refused where the limiter is made."""
    with pytest.raises(InvalidConfigError, match=r"clock is .*; give an object with now") as caught:
        limiter(1, 1.0, clock=clock)
    assert caught.value.parameter == "clock"
    assert caught.value.value is clock


@pytest.mark.parametrize("kind", [Watch, MockClock, Hasty])
def test_a_cycle_of_clock_and_limiter_is_collected(kind: Any) -> None:
    """The collector sees the clock that Rust holds."""
    clock = kind()
    clock.limiter = TokenBucket(1, 1.0, clock=clock)
    clock.limiter.allow("k")
    left = weakref.ref(clock)

    del clock
    gc.collect()

    assert left() is None
