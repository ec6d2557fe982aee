"""ClientThrottle: `call` and `call_async`, what is an accept and what leaves no trace."""

import asyncio

import pytest

from helpers import STOPS, HandClock, Script, both, cancel, caught, name_of, spin
from limitpal import (
    CircuitBreakerOpen,
    ClientThrottle,
    InvalidConfigError,
    MockClock,
    RateLimitExceeded,
    RetryExhausted,
)

REFUSALS = [
    RateLimitExceeded("somebody's limit", key="k", retry_after=1.0),
    CircuitBreakerOpen("somebody's circuit", retry_after=1.0),
    InvalidConfigError("somebody's mistake", parameter="capacity", value=0),
]


class Overloaded(Exception):
    """What a server's 503 comes as."""


def throttle_on(clock=None, **options):
    """Returns a throttle on a mock clock, with lots that can be repeated."""
    return ClientThrottle(seed=7, clock=clock or MockClock(), **options)


def attempt(throttle, requests):
    """Attempts so often, and reports nothing."""
    return [throttle.allow() for _ in range(requests)]


def counts(throttle):
    """Returns the requests and the accepts."""
    return throttle.requests, throttle.accepts


@both
async def test_call_passes_everything_through(side):
    """Arguments go in by position and by name; the result comes out as it is."""
    throttle = throttle_on()
    script = Script("answer")

    if side.is_async:
        result = await throttle.call_async(side.function(script), 1, "two", three=3)
    else:
        result = throttle.call(side.function(script), 1, "two", three=3)

    assert result == "answer"
    assert script.calls == [((1, "two"), {"three": 3})]
    assert counts(throttle) == (1, 1)


@both
async def test_only_what_reject_on_names_is_a_rejection(side):
    """Any other error is an answer, and comes out unchanged like the rest."""
    throttle = throttle_on(reject_on=(Overloaded, TimeoutError))
    errors = [KeyError("404"), Overloaded("503"), TimeoutError("slow")]

    for error in errors:
        assert await caught(side.call(throttle, Script(error))) is error

    assert counts(throttle) == (3, 1)
    assert throttle.rejection_probability == (3 - 2) / 4


@both
async def test_without_more_said_any_error_is_a_rejection(side):
    """As a breaker takes any for a failure."""
    throttle = throttle_on()

    await caught(side.call(throttle, Script(KeyError("404"))))

    assert counts(throttle) == (1, 0)
    assert throttle.rejection_probability == 0.5


@both
async def test_one_that_is_refused_is_not_called(side):
    """`RateLimitExceeded`, and nobody can say for how long."""
    throttle = throttle_on()
    attempt(throttle, 100_000)
    throttle.record_rejection()
    script = Script("called")

    error = await caught(side.call(throttle, script))

    assert type(error) is RateLimitExceeded
    assert error.retry_after is None
    assert error.key is None
    assert "probability 1.00" in str(error)
    assert script.count == 0
    assert counts(throttle) == (100_001, 0)


@both
@pytest.mark.parametrize("error", [*REFUSALS, *STOPS], ids=name_of)
async def test_what_never_came_to_the_server_leaves_no_trace(side, error):
    """Refusals of our own, and whatever stops a call from outside."""
    throttle = throttle_on()

    assert await caught(side.call(throttle, Script(error))) is error

    assert counts(throttle) == (0, 0)
    assert all(attempt(throttle, 10))


@both
async def test_a_nested_executors_exhaustion_is_an_answer_like_any_other(side):
    """It is no refusal: the server was asked."""
    throttle = throttle_on()

    await caught(side.call(throttle, Script(RetryExhausted("gave up"))))

    assert counts(throttle) == (1, 0)


async def test_a_cancelled_call_is_taken_back():
    """It counts while it is out, and then no more."""
    throttle = throttle_on()
    task = asyncio.create_task(throttle.call_async(asyncio.Event().wait))
    await spin()
    assert counts(throttle) == (1, 0)

    await cancel(task)

    assert counts(throttle) == (0, 0)


async def test_a_coroutine_that_is_never_awaited_counts_nothing():
    """The request begins when the call does."""
    throttle = throttle_on()

    throttle.call_async(int).close()

    assert counts(throttle) == (0, 0)


def test_a_coroutine_function_is_refused_by_the_sync_call():
    """The error names the twin, nothing is left unawaited, and the request is taken back."""
    throttle = throttle_on()

    async def later():
        return 1

    with pytest.raises(TypeError, match=r"call_async\(\)"):
        throttle.call(later)

    assert counts(throttle) == (0, 0)


@pytest.mark.parametrize("call", ["call", "call_async"])
def test_what_cannot_be_called_is_refused(call):
    """At once, before anything is counted."""
    throttle = throttle_on()

    with pytest.raises(TypeError, match="func is 5"):
        getattr(throttle, call)(5)

    assert counts(throttle) == (0, 0)


@both
async def test_an_answer_to_a_call_from_before_a_reset_does_not_count(side):
    """Neither an accept nor a rejection."""
    throttle = throttle_on()

    await side.call(throttle, Script(throttle.reset))

    assert counts(throttle) == (0, 0)


def test_a_clock_that_fails_counts_nothing():
    """Its error comes out, and the request of the call is taken back."""
    clock = HandClock()
    throttle = ClientThrottle(clock=clock)
    broken = OSError("the clock stopped")

    def stop():
        def now():
            raise broken

        clock.now = now

    with pytest.raises(OSError, match="the clock stopped"):
        throttle.call(stop)
    with pytest.raises(OSError, match="the clock stopped"):
        throttle.allow()
    del clock.now

    assert counts(throttle) == (0, 0)
