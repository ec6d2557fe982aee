"""Clocks: who tells the time and who sleeps."""

from __future__ import annotations

import asyncio
import copy
import pickle
import threading
import time
from typing import Any

import pytest

from limitpal import Clock, InvalidConfigError, MockClock, MonotonicClock

NONSENSE = [float("nan"), float("inf"), float("-inf")]
NO_NUMBERS = ["1", None, [1.0], object()]


class OwnClock:
    """A clock that inherits from nothing."""

    def now(self) -> float:
        return 1.0

    def sleep(self, seconds: float) -> None: ...

    async def sleep_async(self, seconds: float) -> None: ...


class InheritedClock(Clock):
    """A clock that inherits from the protocol, and has a constructor of its own."""

    def __init__(self, zero: float) -> None:
        self.zero = zero

    def now(self) -> float:
        return self.zero

    def sleep(self, seconds: float) -> None: ...

    async def sleep_async(self, seconds: float) -> None: ...


# The protocol


@pytest.mark.parametrize("clock", [MonotonicClock(), MockClock(), OwnClock(), InheritedClock(3.0)])
def test_any_object_with_the_three_methods_is_a_clock(clock: object) -> None:
    """No subclassing is needed, and subclassing is allowed."""
    assert isinstance(clock, Clock)


def test_an_object_without_one_of_the_methods_is_no_clock() -> None:
    """`now` alone does not make a clock."""

    class Watch:
        def now(self) -> float:
            return 1.0

    assert not isinstance(Watch(), Clock)
    assert not isinstance(3.0, Clock)


def test_a_subclass_keeps_its_own_constructor() -> None:
    """The protocol takes nothing from who inherits from it."""
    assert InheritedClock(3.0).now() == 3.0


def test_a_subclass_that_lacks_a_method_cannot_be_made() -> None:
    """The missing methods are named at once, not at the first sleep."""

    class Half(Clock):
        def now(self) -> float:
            return 1.0

    with pytest.raises(TypeError, match="sleep"):
        Half()  # type: ignore[abstract]


# The monotonic clock


def test_the_monotonic_clock_never_steps_back() -> None:
    """A thousand readings are in order, and are `time.monotonic()`'s."""
    before = time.monotonic()
    readings = [MonotonicClock().now() for _ in range(1000)]

    assert readings == sorted(readings)
    assert before <= readings[0]
    assert readings[-1] <= time.monotonic()


def test_a_monotonic_sleep_takes_its_time() -> None:
    """Blocking and async, it lasts at least as long as it was told."""
    clock = MonotonicClock()
    start = clock.now()

    clock.sleep(0.01)
    asyncio.run(clock.sleep_async(0.01))

    assert clock.now() - start >= 0.02


@pytest.mark.parametrize("seconds", [0, -1, -0.5])
@pytest.mark.parametrize("clock", [MonotonicClock(), MockClock()])
def test_no_time_is_no_sleep(clock: Clock, seconds: float) -> None:
    """A sleep of zero or less returns."""
    clock.sleep(seconds)
    asyncio.run(clock.sleep_async(seconds))


def test_monotonic_clocks_show_and_pickle() -> None:
    """It has no state, so it may travel."""
    assert repr(MonotonicClock()) == "MonotonicClock()"
    assert isinstance(pickle.loads(pickle.dumps(MonotonicClock())), MonotonicClock)


# Where time stands on a mock clock


def test_time_stands_still_until_it_is_moved() -> None:
    """It starts at zero, or where it is told."""
    assert MockClock().now() == 0.0
    assert MockClock(100.0).now() == 100.0
    assert MockClock(start_time=-2.5).now() == -2.5


def test_now_is_a_float() -> None:
    """Whatever it was moved by."""
    clock = MockClock(start_time=3)
    clock.advance(1)

    assert isinstance(clock.now(), float)


def test_advance_adds_up_without_a_rounding_error() -> None:
    """Time is whole nanoseconds inside: ten tenths are one."""
    clock = MockClock()

    for _ in range(10):
        clock.advance(0.1)

    assert clock.now() == 1.0


def test_a_wait_below_a_float_s_resolution_still_moves_time() -> None:
    """At the time of day a nanosecond is below one ulp; a billion of them are a second."""
    clock = MockClock(start_time=1.7e9)

    for _ in range(1_000):
        clock.sleep(1e-12)
    clock.advance(1.0 - 1e-6)

    assert clock.now() == 1.7e9 + 1.0


def test_advance_refuses_to_go_back() -> None:
    """A negative step says so, and names the way back."""
    clock = MockClock(5.0)

    with pytest.raises(ValueError, match=r"seconds is -1, which is negative; set_time\(\)"):
        clock.advance(-1)
    assert clock.now() == 5.0


def test_set_time_goes_forward_and_back() -> None:
    """The clock reads what it was set to."""
    clock = MockClock(start_time=100.0)

    clock.set_time(150.0)
    assert clock.now() == 150.0
    clock.set_time(time_value=50.0)
    assert clock.now() == 50.0
    clock.advance(1.0)
    assert clock.now() == 51.0


def test_a_blocking_sleep_moves_the_clock_to_its_deadline() -> None:
    """Now and the seconds, read when it is called, and it returns."""
    clock = MockClock(start_time=1.0)

    clock.sleep(5.0)

    assert clock.now() == 6.0


def test_blocking_sleeps_on_threads_move_the_clock_to_their_own_deadlines() -> None:
    """Each of eight finds the clock at its deadline or later, and the last ends it."""
    clock = MockClock()
    late: list[float] = []

    def nap() -> None:
        start = clock.now()
        clock.sleep(5.0)
        late.append(clock.now() - start)

    threads = [threading.Thread(target=nap) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert min(late) >= 5.0
    assert clock.now() in {5.0 * count for count in range(1, 9)}


def act(clock: MockClock, call: str, value: Any) -> None:
    """Calls a method of the clock, and awaits it where it is async."""
    if call in ("sleep_async", "run_for"):

        async def main() -> None:
            await getattr(clock, call)(value)

        asyncio.run(main())
    else:
        getattr(clock, call)(value)


CALLS = ["advance", "set_time", "sleep", "sleep_async", "run_for"]


@pytest.mark.parametrize("value", NONSENSE, ids=repr)
@pytest.mark.parametrize("call", CALLS)
def test_a_time_that_is_no_time_is_refused(call: str, value: float) -> None:
    """NaN and infinities: the message names the parameter and the value, and nothing moves."""
    clock = MockClock(5.0)
    parameter = "time_value" if call == "set_time" else "seconds"

    with pytest.raises(ValueError, match=f"{parameter} is {value!r}; give a finite number"):
        act(clock, call, value)
    assert clock.now() == 5.0


@pytest.mark.parametrize("value", NO_NUMBERS, ids=repr)
@pytest.mark.parametrize("call", CALLS)
def test_a_time_that_is_no_number_is_refused(call: str, value: object) -> None:
    """Text is no number, even if it reads like one."""
    parameter = "time_value" if call == "set_time" else "seconds"

    with pytest.raises(TypeError, match=f"{parameter} is "):
        act(MockClock(), call, value)


@pytest.mark.parametrize("value", [*NONSENSE, *NO_NUMBERS, 1e10, -1e10], ids=repr)
def test_a_mock_clock_must_start_somewhere(value: Any) -> None:
    """A start that makes no sense is refused by name when the clock is made."""
    with pytest.raises(InvalidConfigError, match="start_time is ") as caught:
        MockClock(start_time=value)
    assert caught.value.parameter == "start_time"
    assert caught.value.value is value


@pytest.mark.parametrize("value", [None, 1, "no"], ids=repr)
def test_autojump_is_true_or_false(value: Any) -> None:
    """Anything else is refused by name."""
    with pytest.raises(InvalidConfigError, match="autojump is ") as caught:
        MockClock(autojump=value)
    assert caught.value.parameter == "autojump"


@pytest.mark.parametrize("seconds", [float("nan"), float("inf")], ids=repr)
def test_the_monotonic_clock_refuses_nonsense_too(seconds: float) -> None:
    """NaN would break asyncio's own heap of timers."""
    with pytest.raises(ValueError, match="seconds is"):
        MonotonicClock().sleep(seconds)
    with pytest.raises(ValueError, match="seconds is"):
        asyncio.run(MonotonicClock().sleep_async(seconds))


def test_a_mock_clock_shows_where_it_stands() -> None:
    """Its repr has the time, for a failing test's message."""
    clock = MockClock(1.5, autojump=False)

    assert repr(clock) == "MockClock(now=1.5, autojump=False)"


def test_a_subclass_of_the_mock_clock_keeps_its_own_constructor() -> None:
    """Rust takes whatever a subclass takes."""

    class Tuesday(MockClock):
        def __init__(self, hour: int) -> None:
            super().__init__(start_time=hour * 3600.0)

    assert Tuesday(3).now() == 10_800.0


@pytest.mark.parametrize(
    "copied", [copy.copy, copy.deepcopy, pickle.dumps], ids=lambda f: f.__name__
)
def test_a_mock_clock_is_not_copied(copied: Any) -> None:
    """Two clocks that look like one would drift apart: it says so."""
    with pytest.raises(TypeError, match="MockClock has live state"):
        copied(MockClock())
