"""AdaptiveLimiter, sync and async: what moves its rate and what does not, and how one waits."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import pickle
import threading
import weakref

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import limitpal
from driving import ASYNC, BOTH, Flavour, Line, call
from helpers import STOPS, Script, cancel, name_of, spin
from limitpal import (
    CircuitBreakerOpen,
    InvalidConfigError,
    MockClock,
    Rate,
    RateLimitExceeded,
    TokenBucket,
)

REFUSALS = [
    RateLimitExceeded("somebody's limit", key="k", retry_after=1.0),
    CircuitBreakerOpen("somebody's circuit", retry_after=1.0),
    InvalidConfigError("somebody's mistake", parameter="capacity", value=0),
]


class TooManyRequests(Exception):
    """What a 429 comes as."""


def make(flavour: Flavour, clock, max_rate=1000, **options):
    """Returns a limiter that takes `TooManyRequests` for throttling."""
    options = {"throttled_on": TooManyRequests, "clock": clock, **options}
    return flavour.named("AdaptiveLimiter")(max_rate, **options)


async def throttled_at_100(flavour: Flavour, clock, **options):
    """Returns a limiter whose rate fell to seventy a second."""
    limiter = make(flavour, clock, burst=50, **options)
    assert await call(limiter.allow, "k", 50)  # in the first half second
    limiter.record_throttled("k")
    assert limiter.rate("k") == pytest.approx(70)
    return limiter


def written(flavour: Flavour, body):
    """Returns a function as this side's users write it."""
    if flavour is not ASYNC:
        return body

    async def attempt(*args, **kwargs):
        return body(*args, **kwargs)

    return attempt


async def test_a_call_waits_passes_everything_through_and_counts_as_a_success(
    flavour: Flavour, clock
):
    """Arguments go in by position and by name; the rate rises."""
    limiter = await throttled_at_100(flavour, clock)
    clock.advance(1)
    script = Script("answer")

    answer = await call(limiter.call, "k", written(flavour, script), 1, "two", three=3)

    assert answer == "answer"
    assert script.calls == [((1, "two"), {"three": 3})]
    assert limiter.rate("k") > 75


async def test_an_exception_that_is_named_lowers_and_any_other_says_nothing(
    flavour: Flavour, clock
):
    """Both come out unchanged."""
    limiter = await throttled_at_100(flavour, clock)
    clock.advance(1)

    # Fifty and two calls in the second: fifty a second were measured, and 0.7 of that is left.
    for error, expected in [(KeyError("404"), 70), (TooManyRequests("429"), 35)]:
        with pytest.raises(type(error)) as caught:
            await call(limiter.call, "k", written(flavour, Script(error)))
        assert caught.value is error
        assert limiter.rate("k") == pytest.approx(expected)


@pytest.mark.parametrize("error", [*REFUSALS, *STOPS], ids=name_of)
async def test_own_refusals_and_cancellation_say_nothing(flavour: Flavour, clock, error):
    """Even where `throttled_on` names every exception."""
    limiter = await throttled_at_100(flavour, clock, throttled_on=Exception)
    clock.advance(1)

    with pytest.raises(type(error)) as caught:
        await call(limiter.call, "k", written(flavour, Script(error)))

    assert caught.value is error
    assert limiter.rate("k") == pytest.approx(70)


async def test_a_cancelled_call_says_nothing(clock):
    """Neither while it waits nor while it runs."""
    limiter = await throttled_at_100(ASYNC, clock, throttled_on=Exception)
    clock.advance(1)
    task = asyncio.create_task(limiter.call("k", asyncio.Event().wait))
    await spin()

    await cancel(task)

    assert limiter.rate("k") == pytest.approx(70)


async def test_a_call_needs_to_know_what_means_throttled(flavour: Flavour, clock):
    """Without `throttled_on` it would only ever rise."""
    limiter = flavour.named("AdaptiveLimiter")(10, clock=clock)

    with pytest.raises(TypeError, match="throttled_on"):
        await call(limiter.call, "k", written(flavour, Script(1)))
    with pytest.raises(TypeError, match="func is 5"):
        await call(limiter.call, "k", 5)

    assert len(limiter) == 0


def test_a_coroutine_function_is_refused_by_the_sync_call(clock):
    """The error names the twin, nothing is left unawaited and nothing is recorded."""
    limiter = make(BOTH[0], clock, initial_rate=5)

    async def later():
        return 1

    with pytest.raises(TypeError, match="AsyncAdaptiveLimiter"):
        limiter.call("k", later)

    assert limiter.rate("k") == 5


async def test_those_who_wait_follow_the_rate_in_their_order(clock):
    """They come later when it falls, and earlier when it rises."""
    limiter = make(ASYNC, clock, 10)
    line = Line(limiter, clock)
    for name in "abcd":
        await line.join(name)
    assert line.order == ["a"]

    limiter.record_throttled("k")  # two a second are measured, so 1.4 are left
    await line.advance(0.7)
    assert line.order == ["a"]
    await line.advance(0.015)
    assert line.order == ["a", "b"]
    clock.advance(0.2)
    limiter.record_success("k")
    assert limiter.rate("k") > 1.6
    await line.advance(0.5, 0.01)
    assert line.order == ["a", "b", "c"]
    await line.advance(1, 0.01)

    assert line.order == ["a", "b", "c", "d"]


async def test_it_is_a_limiter_like_any_other(flavour: Flavour, clock):
    """`acquire`, `check`, `bound`, a composite, an executor, `reset` and the read-outs."""
    limiter = make(flavour, clock, 10, algorithm="aimd", min_rate=2, burst=3)
    both = flavour.CompositeLimiter([limiter, flavour.TokenBucket(4, 1, clock=clock)])

    for _ in range(3):
        assert await call(both.allow, "k")
    assert not await call(both.allow, "k")
    refused = await call(limiter.check, "k")
    assert (refused.limit, refused.remaining, refused.retry_after) == (3, 0, 0.1)
    await call(both.acquire, "k", timeout=1)
    assert clock.now() == 0.1
    with pytest.raises(RateLimitExceeded, match="above the capacity"):
        await call(limiter.acquire, "k", cost=4)
    assert (limiter.bound(1), limiter.max_rate, limiter.min_rate) == (13, 10.0, 2.0)
    assert (limiter.algorithm, limiter.burst, "k" in limiter, len(limiter)) == ("aimd", 3, True, 1)
    limiter.record_throttled("k")
    assert limiter.rate("k") == pytest.approx(7.2)  # four in half a second, and 0.9 of that
    await call(limiter.reset, "k")
    assert limiter.rate("k") == 10.0

    name = "AsyncResilientExecutor" if flavour is ASYNC else "ResilientExecutor"
    executor = getattr(limitpal, name)(limiter, clock=clock)
    assert await call(executor.run, "k", written(flavour, lambda: "done")) == "done"


async def test_the_settings_are_shown(flavour: Flavour, clock):
    """As they can be given again; `increase` with "aimd" alone."""
    name = flavour.named("AdaptiveLimiter").__name__
    cubic = flavour.named("AdaptiveLimiter")(Rate(60, 60), clock=clock, ttl=5)
    aimd = flavour.named("AdaptiveLimiter")(0.25, algorithm="aimd", increase=0.5, clock=clock)

    assert repr(cubic) == (
        f"{name}(max_rate=1.0, algorithm='cubic', min_rate=0.5, initial_rate=1.0, burst=1, "
        f"decrease=0.7, cooldown=0.5, forget_after=600.0, clock={clock!r}, ttl=5.0)"
    )
    assert repr(aimd) == (
        f"{name}(max_rate=0.25, algorithm='aimd', min_rate=0.25, initial_rate=0.25, burst=1, "
        f"decrease=0.9, increase=0.5, cooldown=0.5, forget_after=600.0, clock={clock!r})"
    )


WRONG = [
    ({"max_rate": 0}, "max_rate", "max_rate is 0"),
    ({"max_rate": "fast"}, "max_rate", "max_rate is 'fast'"),
    ({"algorithm": "bbr"}, "algorithm", 'algorithm is \'bbr\'; give "cubic" or "aimd"'),
    ({"algorithm": None}, "algorithm", "algorithm is None"),
    ({"min_rate": 101}, "min_rate", r"min_rate is 101; give a rate of at most max_rate \(100\)"),
    ({"initial_rate": 0.1}, "initial_rate", "initial_rate is 0.1; give a rate from min_rate"),
    ({"burst": 0}, "burst", "burst is 0; give a whole number"),
    ({"burst": 1.5}, "burst", "burst is 1.5; give a whole number"),
    ({"decrease": 1}, "decrease", "decrease is 1; give a number above 0 and below 1"),
    ({"decrease": float("nan")}, "decrease", "decrease is nan"),
    ({"increase": 1}, "increase", "increase is 1; leave it out"),
    ({"algorithm": "aimd", "increase": float("inf")}, "increase", "increase is inf; give a finite"),
    ({"cooldown": -1}, "cooldown", "cooldown is -1; give a time in seconds of at least 0"),
    ({"cooldown": 4e9}, "cooldown", "cooldown is 4000000000.0; give a time"),
    ({"forget_after": 0}, "forget_after", "forget_after is 0; give a time in seconds above 0"),
    ({"throttled_on": 429}, "throttled_on", "throttled_on is 429; give an exception type"),
    ({"max_buckets": 0}, "max_buckets", "max_buckets is 0"),
]


@pytest.mark.parametrize(("options", "parameter", "message"), WRONG)
@pytest.mark.parametrize("flavour", BOTH, ids=lambda flavour: flavour.name)
def test_nonsense_is_refused_by_name(flavour: Flavour, options, parameter, message):
    """With the parameter, the value as it was given, and the way out."""
    with pytest.raises(InvalidConfigError, match=message) as error:
        flavour.named("AdaptiveLimiter")(**{"max_rate": 100, **options})

    assert error.value.parameter == parameter


async def test_it_is_not_pickled_and_is_collected(flavour: Flavour, clock):
    """It has live state; and what it names keeps nothing alive."""
    limiter = make(flavour, clock)
    with pytest.raises(TypeError, match="live state"):
        pickle.dumps(limiter)

    class Own(limitpal.AdaptiveLimiter):
        pass

    class Throttled(Exception):
        pass

    own = Own(10, throttled_on=Throttled)
    Throttled.limiter = own
    gone = weakref.ref(own)
    del own, Throttled
    gc.collect()
    assert gone() is None


def test_threads_that_record_lose_no_permit():
    """Each second admits what it may, whoever records meanwhile (on the real clock)."""
    limiter = limitpal.AdaptiveLimiter(1000, burst=1000, per_key=False)
    went = []
    start = limitpal.MonotonicClock().now()

    def work():
        for _ in range(2000):
            if limiter.allow():
                went.append(1)
                limiter.record_success()
            limiter.record_throttled()

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    took = limitpal.MonotonicClock().now() - start
    assert len(went) <= limiter.bound(took)
    assert 0.5 <= limiter.rate() <= 1000


def test_a_service_with_a_knee_is_found():
    """The throughput is within a tenth of what the service does, before and after it changes."""
    clock = MockClock()
    limiter = limitpal.AdaptiveLimiter(1000, clock=clock, throttled_on=TooManyRequests)

    def live(server, seconds):
        done, end = 0, clock.now() + seconds

        def request():
            if not server.allow():
                raise TooManyRequests

        while clock.now() < end:
            with contextlib.suppress(TooManyRequests):
                limiter.call("api", request)
                done += 1
        return done / seconds

    for knee in (100, 50, 150):
        server = TokenBucket(max(1, knee // 10), knee, clock=clock)
        live(server, 40)
        assert 0.9 * knee < live(server, 60) < 1.02 * knee


@settings(max_examples=60, deadline=None)
@given(
    steps=st.lists(
        st.tuples(st.floats(0, 2), st.sampled_from(["take", "wait", "good", "bad"])), max_size=60
    ),
    algorithm=st.sampled_from(["cubic", "aimd"]),
)
def test_no_window_admits_more_than_the_bound(steps, algorithm):
    """Whatever is recorded, and whoever waits."""
    clock = MockClock()
    limiter = limitpal.AdaptiveLimiter(5, algorithm=algorithm, burst=3, clock=clock)
    went = []
    for passed, what in steps:
        clock.advance(passed)
        if what == "wait":
            limiter.acquire()
        if what == "wait" or (what == "take" and limiter.allow()):
            went.append(clock.now())
        elif what == "good":
            limiter.record_success()
        elif what == "bad":
            limiter.record_throttled()
    for i, first in enumerate(went):
        for j, last in enumerate(went[i:], 1):
            assert j <= limiter.bound(last - first + 1e-9)
