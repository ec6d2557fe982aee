"""CircuitBreaker: `call` and `call_async`, and which results count."""

import asyncio
import functools
import gc
import threading
import warnings

import pytest

from helpers import OwnLimiter, Script, both, caught, half_open, later, settle, trip
from limitpal import (
    CircuitBreaker,
    CircuitBreakerOpen,
    InvalidConfigError,
    MockClock,
    RateLimitExceeded,
    ResilientExecutor,
    RetryExhausted,
    RetryPolicy,
)

REFUSALS = [
    RateLimitExceeded("somebody's limit", key="k", retry_after=1.0),
    CircuitBreakerOpen("somebody's circuit", retry_after=1.0),
    InvalidConfigError("somebody's mistake", parameter="capacity", value=0),
]


@both
async def test_call_passes_everything_through(side):
    """Arguments go in by position and by name; the result comes out as it is."""
    breaker = CircuitBreaker(clock=MockClock())
    answer = object()
    script = Script(answer)

    call = breaker.call_async if side.is_async else breaker.call
    result = await settle(call(side.function(script), 1, "two", three=3))

    assert result is answer
    assert script.calls == [((1, "two"), {"three": 3})]


@both
async def test_an_error_comes_out_unchanged(side):
    """The very object the function raised, with no cause hung on it."""
    breaker = CircuitBreaker(clock=MockClock())
    boom = ValueError("boom")

    error = await caught(side.call(breaker, Script(boom)))

    assert error is boom
    assert error.__cause__ is None
    assert error.__context__ is None


@both
async def test_failed_calls_open(side):
    """The threshold counts the calls that raised."""
    breaker = CircuitBreaker(failure_threshold=2, clock=MockClock())

    states = []
    for _ in range(2):
        await caught(side.call(breaker, Script(ValueError())))
        states.append(breaker.state)

    assert states == ["closed", "open"]


@both
async def test_a_successful_call_sets_the_count_to_zero(side):
    """Failure, success, failure: one in a row."""
    breaker = CircuitBreaker(failure_threshold=2, clock=MockClock())

    await caught(side.call(breaker, Script(ValueError())))
    await side.call(breaker, Script("fine"))
    await caught(side.call(breaker, Script(ValueError())))

    assert breaker.state == "closed"


@both
async def test_an_open_circuit_calls_nothing(side):
    """`CircuitBreakerOpen` at once, with the time to come back; the function never runs."""
    breaker = CircuitBreaker(failure_threshold=1, recovery_timeout=10.0, clock=MockClock())
    trip(breaker)
    script = Script("called")

    error = await caught(side.call(breaker, script))

    assert type(error) is CircuitBreakerOpen
    assert error.retry_after == 10.0
    assert script.count == 0


@both
async def test_a_probe_that_succeeds_closes(side):
    """One call in half-open, one success: closed."""
    breaker = half_open(MockClock())

    assert await side.call(breaker, Script("fine")) == "fine"

    assert breaker.state == "closed"


@both
async def test_a_probe_that_fails_opens(side):
    """One call in half-open, one failure: open for the whole timeout again."""
    clock = MockClock()
    breaker = half_open(clock)

    await caught(side.call(breaker, Script(ValueError())))

    assert breaker.state == "open"
    clock.advance(10.0)
    assert breaker.state == "half_open"


@both
@pytest.mark.parametrize(
    "error",
    [ValueError(), TimeoutError(), AssertionError(), StopAsyncIteration(), RetryExhausted()],
    ids=lambda error: type(error).__name__,
)
async def test_any_exception_is_a_failure(side, error):
    """Whatever its kind; a nested executor's `RetryExhausted` too."""
    breaker = CircuitBreaker(failure_threshold=1, clock=MockClock())

    assert await caught(side.call(breaker, Script(error))) is error

    assert breaker.state == "open"


async def test_a_nested_executors_exhaustion_is_a_failure():
    """The inner run retried and gave up: for the outer circuit that is one failure."""
    clock = MockClock()
    breaker = CircuitBreaker(failure_threshold=1, clock=clock)
    inner = ResilientExecutor(retry_policy=RetryPolicy(max_attempts=2), clock=clock)

    with pytest.raises(RetryExhausted):
        breaker.call(inner.run, "k", Script(ValueError()))

    assert breaker.state == "open"


@both
@pytest.mark.parametrize("refusal", REFUSALS, ids=lambda error: type(error).__name__)
async def test_our_own_refusals_are_not_failures(side, refusal):
    """A limit, a circuit or a wrong setting says nothing about the other end."""
    breaker = CircuitBreaker(failure_threshold=1, clock=MockClock())

    assert await caught(side.call(breaker, Script(refusal))) is refusal

    assert breaker.state == "closed"


@both
@pytest.mark.parametrize("refusal", REFUSALS, ids=lambda error: type(error).__name__)
async def test_our_own_refusals_give_the_probes_permit_back(side, refusal):
    """In half-open such a call neither closes nor opens."""
    breaker = half_open(MockClock())

    await caught(side.call(breaker, Script(refusal)))

    assert breaker.state == "half_open"
    assert breaker.allow() is True


@both
@pytest.mark.parametrize(
    "ignore",
    [
        lambda: KeyError,
        lambda: (KeyError,),
        lambda: [OSError, KeyError],
        lambda: (kind for kind in [KeyError, OSError]),
    ],
    ids=["one type", "tuple", "list", "generator"],
)
async def test_ignored_errors_count_as_nothing(side, ignore):
    """Neither failure nor success: the count stays, and they come out unchanged."""
    breaker = CircuitBreaker(failure_threshold=2, clock=MockClock(), ignore=ignore())
    missing = KeyError("missing")

    await caught(side.call(breaker, Script(ValueError())))
    for _ in range(3):
        assert await caught(side.call(breaker, Script(missing))) is missing
    assert breaker.state == "closed", "an ignored error is no failure"
    await caught(side.call(breaker, Script(ValueError())))

    assert breaker.state == "open", "an ignored error is no success"


@both
async def test_an_ignored_error_gives_the_probes_permit_back(side):
    """In half-open it neither closes nor opens."""
    breaker = half_open(MockClock(), ignore=LookupError)

    await caught(side.call(breaker, Script(KeyError("a subclass"))))

    assert breaker.state == "half_open"
    assert breaker.allow() is True


@both
async def test_no_lock_is_held_while_the_function_runs(side):
    """The function may use the breaker itself, and so may other threads."""
    breaker = CircuitBreaker(failure_threshold=5, clock=MockClock())

    def busy():
        breaker.record_success()
        breaker.allow()
        other = threading.Thread(target=breaker.record_failure)
        other.start()
        other.join(5.0)
        assert not other.is_alive(), "another thread waits for the breaker"
        breaker.reset()
        return breaker.state

    assert await side.call(breaker, busy) == "closed"


async def test_calls_may_nest():
    """A call inside a call of the same breaker."""
    breaker = CircuitBreaker(clock=MockClock())

    assert breaker.call(breaker.call, lambda: "inner") == "inner"


async def test_call_refuses_a_coroutine_function():
    """Its failure could never be heard: a TypeError that names `call_async`."""
    breaker = half_open(MockClock())

    async def probe():
        return "never"

    for function in (probe, functools.partial(probe)):
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            with pytest.raises(TypeError, match="call_async"):
                breaker.call(function)
            gc.collect()

    assert breaker.state == "half_open"
    assert breaker.allow() is True, "the refusal took no permit"


@both
@pytest.mark.parametrize("func", [5, None, "probe"], ids=repr)
async def test_what_cannot_be_called_is_refused_and_not_counted(side, func):
    """The mistake is the caller's, not the provider's: TypeError, and no permit is taken."""
    breaker = half_open(MockClock())
    call = breaker.call_async if side.is_async else breaker.call

    error = await caught(later(lambda: call(func)))

    assert type(error) is TypeError
    assert str(error) == f"func is {func!r}; give a function to call"
    assert breaker.state == "half_open"
    assert breaker.allow() is True


async def test_call_async_awaits_what_is_awaitable():
    """Coroutine functions, partials of them, and functions that return an awaitable."""
    breaker = CircuitBreaker(failure_threshold=1, clock=MockClock())

    async def double(n):
        await asyncio.sleep(0)
        return 2 * n

    assert await breaker.call_async(double, 1) == 2
    assert await breaker.call_async(functools.partial(double, 2)) == 4
    assert await breaker.call_async(lambda: double(3)) == 6
    assert breaker.state == "closed"


async def test_call_async_runs_in_the_callers_task():
    """`current_task()` is the caller's own."""
    breaker = CircuitBreaker(clock=MockClock())

    async def who():
        return asyncio.current_task()

    assert await breaker.call_async(who) is asyncio.current_task()


async def test_a_breaker_is_shared_by_sync_and_async():
    """One circuit, whichever way it is asked."""
    clock = MockClock()
    breaker = CircuitBreaker(failure_threshold=2, clock=clock)

    async def fail():
        raise ValueError

    await caught(breaker.call_async(fail))
    with pytest.raises(ZeroDivisionError):
        breaker.call(lambda: 1 / 0)

    assert breaker.state == "open"


async def test_a_limiters_refusal_inside_a_call_is_not_a_failure():
    """`breaker.call(limiter.acquire, …)` refused for quota leaves the circuit closed."""
    breaker = CircuitBreaker(failure_threshold=1, clock=MockClock())
    limiter = OwnLimiter(Script(RateLimitExceeded("full", key="k", retry_after=2.0)))

    with pytest.raises(RateLimitExceeded):
        breaker.call(limiter.acquire, "k", timeout=0)

    assert breaker.state == "closed"
