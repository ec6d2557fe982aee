"""A clock of floats, a clock that steps back, and a reading that only came late."""

from __future__ import annotations

import pytest

from driving import ASYNC, Flavour, GateClock, Line, call, drain
from limitpal import MockClock

KINDS = ["token", "leaky"]


class Scripted:
    """A clock that says what it was told to, and then its last word for ever."""

    def __init__(self, *readings: float) -> None:
        self.readings = list(readings)

    def now(self) -> float:
        return self.readings.pop(0) if len(self.readings) > 1 else self.readings[0]

    def sleep(self, seconds: float) -> None:
        raise AssertionError("nobody waits here")

    async def sleep_async(self, seconds: float) -> None:
        raise AssertionError("nobody waits here")


def step_back(clock, seconds: float) -> None:
    """Set either kind of clock back."""
    if isinstance(clock, GateClock):
        clock.advance(-seconds)
    else:
        clock.set_time(clock.now() - seconds)


def clocks() -> list:
    """Return a mock clock and a user's own, both at a thousand seconds."""
    own = GateClock()
    own.advance(1000.0)
    return [MockClock(start_time=1000.0), own]


@pytest.mark.parametrize("kind", KINDS)
async def test_a_late_reading_is_read_again(flavour: Flavour, kind):
    """One reading older than the bucket's last is a preempted thread, not a step back."""
    clock = Scripted(10.0)
    limiter = flavour.bucket(kind, 5, 1, clock=clock)
    await drain(limiter)

    clock.readings = [9.0, 10.5]
    decision = await call(limiter.check, "k")

    assert not decision
    assert decision.retry_after == 0.5
    clock.readings = [9.5, 11.0]
    assert await call(limiter.allow, "k")
    clock.readings = [11.0]
    assert not await call(limiter.allow, "k")


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("back", [1e-9, 0.001, 0.4, 3.0, 999.0, 1e6])
async def test_a_step_back_gives_one_burst_at_most_and_locks_nobody_out(
    flavour: Flavour, kind, back
):
    """However far: nobody waits longer than 1/rate, and the rate holds from there on."""
    for clock in clocks():
        limiter = flavour.bucket(kind, 5, 2, clock=clock)
        await drain(limiter)

        step_back(clock, back)
        extra = sum([await call(limiter.allow, "k") for _ in range(20)])
        clock.advance(0.5)
        first = await call(limiter.allow, "k")
        admitted = extra + first
        for _ in range(40):
            clock.advance(0.25)
            admitted += sum([await call(limiter.allow, "k") for _ in range(20)])

        assert first
        assert extra <= 5
        assert admitted <= 5 + 5 + 2 * 10.5
        assert admitted >= 2 * 10


@pytest.mark.parametrize("kind", KINDS)
async def test_a_step_back_is_no_refusal_for_strangers(flavour: Flavour, kind):
    """A key first seen after the step has its whole capacity."""
    for clock in clocks():
        limiter = flavour.bucket(kind, 5, 2, clock=clock)
        await drain(limiter, "old")

        step_back(clock, 500.0)

        await drain(limiter, "new")


@pytest.mark.parametrize("kind", KINDS)
async def test_going_back_and_forth_never_panics(flavour: Flavour, kind):
    """A clock that cannot make up its mind gets answers all the same."""
    for clock in clocks():
        limiter = flavour.bucket(kind, 3, 7, clock=clock, ttl=1.0, max_buckets=5)
        for n in range(400):
            step_back(clock, (n * 37 % 11) / 10)
            clock.advance((n * 53 % 13) / 10)
            decision = await call(limiter.check, f"k{n % 9}", cost=1 + n % 3)
            assert decision.retry_after >= 0.0
            assert 0 <= decision.remaining <= 3
            assert len(limiter) <= 5


@pytest.mark.parametrize("kind", KINDS)
async def test_who_waits_when_the_mock_clock_steps_back_keeps_the_time_left(kind):
    """A sleeper has as long to go as before the step, and goes."""
    clock = MockClock(start_time=1000.0, autojump=False)
    limiter = ASYNC.bucket(kind, 1, 1, clock=clock)
    await drain(limiter)
    line = Line(limiter, clock)
    for name in "ab":
        await line.join(name)

    await line.advance(0.25)
    clock.set_time(500.0)
    await line.advance(0.749_999_999)
    assert line.went == []
    await line.advance(1.000_000_001, step=0.000_000_001 + 0.5)

    assert line.order == ["a", "b"]


@pytest.mark.parametrize("kind", KINDS)
async def test_on_a_users_float_clock_retry_after_holds_within_its_resolution(
    flavour: Flavour, kind
):
    """With a clock that only has floats, `retry_after` is right to its resolution."""

    class WallLike:
        time = 1_700_000_000.25

        def now(self) -> float:
            return self.time

        def sleep(self, seconds: float) -> None:
            self.time += seconds

        async def sleep_async(self, seconds: float) -> None:
            self.time += seconds

    clock = WallLike()
    limiter = flavour.bucket(kind, 2, 3, clock=clock)
    await drain(limiter)
    wait = (await call(limiter.peek, "k")).retry_after

    clock.time += wait - 1e-6
    assert not await call(limiter.allow, "k")
    clock.time += 2e-6
    assert await call(limiter.allow, "k")
