"""ClientThrottle: what it counts, and how large a share it refuses."""

import concurrent.futures
import contextlib
import math
import pickle
import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from limitpal import ClientThrottle, InvalidConfigError, MockClock, RateLimitExceeded


def throttle_on(clock=None, **options):
    """Returns a throttle on a mock clock, with lots that can be repeated."""
    return ClientThrottle(seed=7, clock=clock or MockClock(), **options)


def attempt(throttle, requests):
    """Attempts so often, and reports nothing."""
    return [throttle.allow() for _ in range(requests)]


def counts(throttle):
    """Returns the requests and the accepts."""
    return throttle.requests, throttle.accepts


def test_the_probability_is_that_of_the_book():
    """`max(0, (requests - k * accepts) / (requests + 1))`."""
    throttle = throttle_on(k=3.0)

    attempt(throttle, 99)
    for _ in range(20):
        throttle.record_accept()
    throttle.record_rejection()

    assert counts(throttle) == (99, 20)
    assert throttle.rejection_probability == (99 - 3 * 20) / 100


def test_defaults_are_those_of_the_book():
    """Twice what is accepted, over two minutes."""
    clock = MockClock()
    throttle = throttle_on(clock)
    attempt(throttle, 99)
    for _ in range(20):
        throttle.record_accept()
    throttle.record_rejection()

    assert throttle.rejection_probability == (99 - 2 * 20) / 100
    clock.advance(119.999)
    assert counts(throttle) == (99, 20)
    clock.advance(0.001)
    assert counts(throttle) == (0, 0)
    assert throttle.rejection_probability == 0.0


def test_nobody_is_refused_before_somebody_was_turned_away():
    """However many requests are still out."""
    throttle = throttle_on()

    assert all(attempt(throttle, 1000))
    assert throttle.rejection_probability == 0.0

    throttle.record_rejection()
    assert throttle.rejection_probability == 1000 / 1001


def test_a_refusal_of_its_own_is_a_request_and_no_accept():
    """It neither raises nor lowers `accepts`."""
    throttle = throttle_on()
    attempt(throttle, 50)
    for _ in range(5):
        throttle.record_accept()
    throttle.record_rejection()

    assert not all(attempt(throttle, 100))

    assert counts(throttle) == (150, 5)


def test_the_largest_share_can_be_limited():
    """One in ten goes at worst."""
    throttle = throttle_on(max_rejection=0.9)
    attempt(throttle, 100)
    throttle.record_rejection()

    assert throttle.rejection_probability == 0.9
    assert 450 < sum(attempt(throttle, 5000)) < 550


def test_a_reset_forgets_everything():
    """As new."""
    throttle = throttle_on()
    attempt(throttle, 100)
    throttle.record_rejection()

    throttle.reset()

    assert counts(throttle) == (0, 0)
    assert all(attempt(throttle, 100))


def test_a_seed_repeats_the_lots():
    """The same seed draws the same, another one does not."""

    def lots(seed):
        throttle = ClientThrottle(seed=seed, clock=MockClock())
        throttle.record_rejection()
        return attempt(throttle, 64)

    assert lots(7) == lots(7)
    assert lots(7) != lots(8)


@pytest.mark.parametrize("k", [1.1, 2.0])
def test_ten_times_the_capacity_settles_at_k_times_the_capacity(k):
    """A service that accepts 20 a second, and a demand of 200."""
    clock = MockClock()
    throttle = throttle_on(clock, k=k, window=30.0)

    def live(seconds):
        sent, credit = 0, 0.0
        for _ in range(seconds * 200):
            clock.advance(0.005)
            credit = min(credit + 0.1, 20.0)
            if throttle.allow():
                sent += 1
                if credit >= 1.0:
                    credit -= 1.0
                    throttle.record_accept()
                else:
                    throttle.record_rejection()
        return sent / seconds

    live(90)

    assert live(600) == pytest.approx(k * 20, rel=0.02)


def test_threads_count_exactly():
    """Eight threads, no request and no accept lost."""
    throttle = throttle_on()
    start = threading.Barrier(8)

    def work(number):
        start.wait()
        for _ in range(2000):
            throttle.allow()
            if number % 2:
                throttle.record_accept()
            else:
                throttle.record_rejection()

    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        list(pool.map(work, range(8)))

    assert counts(throttle) == (16000, 8000)


NONSENSE = [
    ("k", [1, 1.0, 0, -2, math.nan, math.inf, "2", None, True]),
    ("window", [0, -1.0, math.nan, math.inf, "120", None]),
    ("max_rejection", [0, -0.1, 1.01, math.nan, "1", None]),
    ("reject_on", [5, "ValueError", (int,), BaseException, None]),
    ("seed", [-1, 1.5, 2**64, "7", True]),
    ("clock", [5, "clock", object()]),
]


@pytest.mark.parametrize(
    ("parameter", "value"), [(name, value) for name, values in NONSENSE for value in values]
)
def test_nonsense_is_refused_by_name(parameter, value):
    """What makes no sense is refused when the throttle is made, naming the parameter."""
    with pytest.raises(InvalidConfigError) as refusal:
        ClientThrottle(**{parameter: value})

    assert refusal.value.parameter == parameter
    assert refusal.value.value is value


def test_repr_shows_what_was_built():
    """A throttle prints its settings."""
    text = repr(throttle_on(k=1.5, window=60))

    assert text == (
        "ClientThrottle(k=1.5, window=60.0, max_rejection=1.0, seed=7, rejection_probability=0.0)"
    )


def test_a_throttle_is_not_pickled():
    """Live state stays in its process."""
    with pytest.raises(TypeError, match="a ClientThrottle has live state"):
        pickle.dumps(throttle_on())


EVENTS = st.lists(
    st.one_of(
        st.tuples(st.just("allow"), st.integers(1, 20)),
        st.tuples(st.sampled_from(["record_accept", "record_rejection"]), st.integers(1, 5)),
        st.tuples(st.just("advance"), st.floats(0.0, 40.0)),
    ),
    max_size=40,
)


@given(EVENTS, st.floats(1.01, 4.0))
def test_what_is_counted_is_the_last_window(events, k):
    """Nothing for longer than a window, all of it for 59 sixtieths; and the formula holds."""
    clock = MockClock()
    throttle = throttle_on(clock, k=k, window=60.0)
    log = []

    def count(kind, span):
        return sum(times for name, at, times in log if name == kind and clock.now() - at < span)

    for name, amount in events:
        if name == "advance":
            clock.advance(amount)
            continue
        for _ in range(amount):
            getattr(throttle, name)()
        log.append((name, clock.now(), amount))

        requests, accepts = counts(throttle)
        assert count("allow", 58.999) <= requests <= count("allow", 60.001)
        assert count("record_accept", 58.999) <= accepts <= count("record_accept", 60.001)
        share = max(0.0, (requests - k * accepts) / (requests + 1))
        if throttle.rejection_probability != share:
            assert throttle.rejection_probability == 0.0
            assert not count("record_rejection", 58.999)


@given(EVENTS)
def test_with_no_rejections_nobody_is_refused(events):
    """However many requests are out, answered or not."""
    clock = MockClock()
    throttle = throttle_on(clock, window=60.0)

    for name, amount in events:
        if name == "advance":
            clock.advance(amount)
        elif name == "allow":
            assert all(attempt(throttle, amount))
        else:
            throttle.record_accept()


def test_a_loop_that_sends_what_the_lot_lets_through():
    """The bare calls, as a client of one's own would use them."""
    throttle = throttle_on()
    sent = 0
    for _ in range(200):
        if throttle.allow():
            sent += 1
            throttle.record_rejection()
    with contextlib.suppress(RateLimitExceeded):
        throttle.call(lambda: None)

    assert 1 < sent < 20
