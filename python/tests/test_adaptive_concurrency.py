"""AdaptiveConcurrency: places, what their blocks report, and what moves the limit."""

import asyncio
import gc
import heapq
import itertools
import math
import pickle
import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from helpers import STOPS, HandClock, name_of
from limitpal import (
    AdaptiveConcurrency,
    CircuitBreakerOpen,
    InvalidConfigError,
    MockClock,
    RateLimitExceeded,
)

ALL = ["gradient2", "vegas", "aimd"]
each_algorithm = pytest.mark.parametrize("algorithm", ALL)


def take_all(limiter):
    """Takes every place there is."""
    return list(iter(limiter.try_acquire, None))


def rounds(limiter, clock, took, end, times=1):
    """Takes all places, lets some time pass, and ends the calls."""
    for _ in range(times):
        permits = take_all(limiter)
        clock.advance(took)
        for permit in permits:
            getattr(permit, end)()


@each_algorithm
def test_as_many_are_in_flight_as_the_limit_and_no_more(algorithm):
    """The next one is refused, and nobody can say for how long."""
    limiter = AdaptiveConcurrency(algorithm, initial=3, clock=MockClock())

    permits = [limiter.acquire() for _ in range(3)]

    assert (limiter.in_flight, limiter.limit) == (3, 3)
    assert limiter.try_acquire() is None
    with pytest.raises(RateLimitExceeded, match="all places are taken, 3 of them") as refusal:
        limiter.acquire()
    assert refusal.value.retry_after is None
    assert refusal.value.key is None
    del permits
    gc.collect()
    assert limiter.in_flight == 0


@pytest.mark.parametrize("end", ["success", "dropped", "ignore"])
def test_every_end_gives_the_place_back_once(end):
    """Saying it twice, or something else afterwards, is harmless."""
    limiter = AdaptiveConcurrency(initial=3)
    first, _second = limiter.acquire(), limiter.acquire()

    getattr(first, end)()
    assert limiter.in_flight == 1
    first.success()
    first.dropped()
    first.ignore()

    assert limiter.in_flight == 1


def test_a_forgotten_permit_goes_back():
    """A call that was lost locks nobody out."""
    limiter = AdaptiveConcurrency(initial=1)

    permit = limiter.acquire()
    del permit
    gc.collect()

    assert limiter.in_flight == 0


def after_a_round(algorithm, body, **options):
    """Returns the limit after a hundred calls, each of which runs `body` in its block."""
    clock = MockClock()
    limiter = AdaptiveConcurrency(algorithm, initial=100, clock=clock, **options)

    async def call(start):
        with limiter.acquire() as permit:
            await start.wait()
            body(permit)

    async def main():
        start = asyncio.Event()
        calls = [asyncio.create_task(call(start)) for _ in range(100)]
        await asyncio.sleep(0)
        assert limiter.in_flight == 100
        clock.advance(0.05)
        start.set()
        await asyncio.wait(calls)
        for task in calls:
            if not task.cancelled():
                task.exception()

    asyncio.run(main())
    assert limiter.in_flight == 0
    return limiter.limit


def raising(error):
    """Returns a block that raises."""

    def body(_permit):
        raise error

    return body


GROWN = {"gradient2": 100, "vegas": 112, "aimd": 101}
FALLEN = {"gradient2": 90, "vegas": 98, "aimd": 90}


@each_algorithm
def test_a_block_that_ends_is_a_success(algorithm):
    """One round at a level latency: 100.8, 112 and 101."""
    assert after_a_round(algorithm, lambda _permit: None) == GROWN[algorithm]


@each_algorithm
def test_a_block_that_raises_what_drop_on_names_is_dropped(algorithm):
    """However fast it failed, the limit falls."""
    limit = after_a_round(algorithm, raising(TimeoutError()), drop_on=(TimeoutError, KeyError))

    assert limit == FALLEN[algorithm]


@pytest.mark.parametrize(
    "error",
    [ValueError(), CircuitBreakerOpen(), RateLimitExceeded(), asyncio.CancelledError()],
    ids=name_of,
)
@each_algorithm
def test_a_block_that_raises_anything_else_tells_nothing(algorithm, error):
    """It is ignored, and its error comes out."""
    drop_on = () if type(error) is ValueError else Exception

    assert after_a_round(algorithm, raising(error), drop_on=drop_on) == 100


@pytest.mark.parametrize("stop", STOPS, ids=name_of)
def test_what_stops_a_block_from_outside_comes_out_and_tells_nothing(stop):
    """Even where `drop_on` names every exception."""
    limiter = AdaptiveConcurrency("aimd", initial=10, drop_on=Exception, clock=MockClock())

    for _ in range(20):
        with pytest.raises(type(stop)) as raised:
            with limiter.acquire():
                raise stop
        assert raised.value is stop

    assert (limiter.limit, limiter.in_flight) == (10, 0)


@each_algorithm
def test_what_a_block_says_itself_holds(algorithm):
    """`dropped()` before a good end is dropped, `success()` before an error a success."""

    def error_after_success(permit):
        permit.success()
        raise TimeoutError

    assert after_a_round(algorithm, lambda permit: permit.dropped()) == FALLEN[algorithm]
    limit = after_a_round(algorithm, error_after_success, drop_on=TimeoutError)
    assert limit == GROWN[algorithm]


@each_algorithm
def test_what_took_no_time_or_was_ignored_tells_nothing(algorithm):
    """The limit stays."""
    clock = MockClock()
    limiter = AdaptiveConcurrency(algorithm, initial=20, clock=clock)

    rounds(limiter, clock, 0.0, "success", 20)
    rounds(limiter, clock, 0.001, "ignore", 20)

    assert limiter.limit == 20


@each_algorithm
def test_the_bounds_hold(algorithm):
    """Neither growth nor drops lead beyond them."""
    clock = MockClock()
    limiter = AdaptiveConcurrency(algorithm, min=5, max=30, clock=clock)

    rounds(limiter, clock, 0.05, "success", 60)
    assert limiter.limit == 30
    rounds(limiter, clock, 0.05, "dropped", 60)

    assert limiter.limit == 5


@pytest.mark.parametrize("algorithm", ["gradient2", "vegas"])
def test_the_limit_settles_near_the_knee_and_follows_it(algorithm):
    """Latency is a tenth of a second plus queue by capacity; the knee moves from 60 to 120."""
    clock = MockClock()
    limiter = AdaptiveConcurrency(algorithm, seed=7, clock=clock)
    calls, number, free = [], itertools.count(), 0.0

    for knee in (60, 120):
        limits, begun = [], clock.now()
        while clock.now() < begun + 60:
            while (permit := limiter.try_acquire()) is not None:
                free = max(free, clock.now()) + 0.1 / knee
                heapq.heappush(calls, (free + 0.1, next(number), permit))
            at, _, permit = heapq.heappop(calls)
            clock.set_time(max(at, clock.now()))
            permit.success()
            if clock.now() > begun + 30:
                limits.append(limiter.limit)

        assert 0.9 < sum(limits) / len(limits) / knee < 1.2
        assert len(limits) / 30 > 0.9 * knee / 0.1


def test_threads_never_have_more_in_flight_than_the_limit():
    """Three places, eight threads."""
    limiter = AdaptiveConcurrency("aimd", initial=3)
    seen, out, lock, start = [], set(), threading.Lock(), threading.Barrier(8)

    def work(name):
        start.wait()
        for _ in range(500):
            permit = limiter.try_acquire()
            if permit is None:
                continue
            with lock:
                out.add(name)
                seen.append(len(out))
            with lock:
                out.discard(name)
            permit.ignore()

    threads = [threading.Thread(target=work, args=(name,)) for name in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert 1 <= max(seen) <= 3
    assert limiter.in_flight == 0


def test_a_clock_that_fails_gives_the_place_back():
    """Its error comes out, of the block too."""
    clock = HandClock()
    limiter = AdaptiveConcurrency(initial=2, clock=clock)

    def now():
        raise OSError("the clock stopped")

    with pytest.raises(OSError, match="the clock stopped"):
        with limiter.acquire():
            clock.now = now
    with pytest.raises(OSError, match="the clock stopped"):
        limiter.acquire()

    assert limiter.in_flight == 0


NONSENSE = [
    ("algorithm", ["bbr", "Vegas", "", 5, None]),
    ("min", [0, -1, 1.5, math.nan, "1", None]),
    ("max", [0, -1, 1.5, math.inf, "9", None]),
    ("initial", [0, 201, 1.5, "9", None]),
    ("drop_on", [5, "ValueError", (int,), BaseException]),
    ("seed", [-1, 1.5, 2**64, "7"]),
    ("clock", [5, "clock", object()]),
]


@pytest.mark.parametrize(
    ("parameter", "value"), [(name, value) for name, values in NONSENSE for value in values]
)
def test_nonsense_is_refused_by_name(parameter, value):
    """What makes no sense is refused when the limiter is made, naming the parameter."""
    with pytest.raises(InvalidConfigError) as refusal:
        AdaptiveConcurrency(**{parameter: value})

    assert refusal.value.parameter == parameter
    assert refusal.value.value is value
    assert parameter in str(refusal.value)


def test_a_lowest_limit_above_the_highest_names_the_highest():
    """Which was left out, and so is the default."""
    with pytest.raises(InvalidConfigError) as refusal:
        AdaptiveConcurrency(min=201)

    assert str(refusal.value) == "max is 200; give a whole number of at least min (201)"


def test_repr_shows_what_was_built():
    """A limiter prints its settings, a permit whether it is out."""
    limiter = AdaptiveConcurrency("vegas", max=50)
    permit = limiter.acquire()

    shown = "AdaptiveConcurrency('vegas', min=1, max=50, limit=20, in_flight=1)"
    assert repr(limiter) == shown
    assert repr(permit) == "<AdaptivePermit in flight>"
    permit.ignore()
    assert repr(permit) == "<AdaptivePermit given back>"


def test_neither_is_pickled():
    """Live state stays in its process."""
    limiter = AdaptiveConcurrency()

    for one in (limiter, limiter.acquire()):
        with pytest.raises(TypeError, match="has live state"):
            pickle.dumps(one)


EVENTS = st.lists(
    st.tuples(
        st.sampled_from(["acquire", "acquire", "success", "dropped", "ignore"]),
        st.integers(0, 30),
        st.floats(0.0, 0.2),
    ),
    max_size=200,
)


@given(EVENTS, st.sampled_from(ALL))
def test_in_flight_is_what_was_taken_and_not_given_back(events, algorithm):
    """A place is taken only below the limit, and failures and refusals never raise that."""
    clock = MockClock()
    limiter = AdaptiveConcurrency(algorithm, initial=4, seed=7, clock=clock)
    permits = []

    for name, number, passes in events:
        clock.advance(passes)
        before = limiter.limit
        if name == "acquire":
            is_free = limiter.in_flight < limiter.limit
            permit = limiter.try_acquire()
            assert is_free is (permit is not None)
            if permit is not None:
                permits.append(permit)
        elif number < len(permits):
            getattr(permits.pop(number), name)()
        assert limiter.in_flight == len(permits)
        assert 1 <= limiter.limit <= 200
        assert name == "success" or limiter.limit <= before
