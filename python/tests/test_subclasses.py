"""Subclasses of ours, and mocks of them: what they override is what is called."""

import weakref
from unittest.mock import create_autospec

import pytest

from helpers import ASYNC, SYNC, Script, both, caught, settle
from limitpal import (
    AdaptiveConcurrency,
    AsyncCompositeLimiter,
    AsyncResilientExecutor,
    AsyncTokenBucket,
    CircuitBreaker,
    ClientThrottle,
    ConcurrencyLimiter,
    InvalidConfigError,
    MockClock,
    MonotonicClock,
    RetryPolicy,
)

SOON = 0.05  # seconds to wait by a mock clock; by a real one they cost a failing test no more
KINDS = {
    "token": lambda side: (side.TokenBucket, (1, 1 / SOON)),
    "leaky": lambda side: (side.LeakyBucket, (1, 1 / SOON)),
    "composite": lambda side: (side.CompositeLimiter, ()),
}


def with_own_acquire(side, kind, clock):
    """Returns a limiter of a subclass that counts who acquires."""
    base, numbers = KINDS[kind](side)

    if side.is_async:

        class Own(base):
            acquired = 0

            async def acquire(self, *args, **kwargs):
                type(self).acquired += 1
                await super().acquire(*args, **kwargs)

    else:

        class Own(base):
            acquired = 0

            def acquire(self, *args, **kwargs):
                type(self).acquired += 1
                super().acquire(*args, **kwargs)

    if kind == "composite":
        return Own([side.TokenBucket(1, 1 / SOON, clock=clock)])
    return Own(*numbers, clock=clock)


@both
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("nested", [False, True], ids=["alone", "in a composite"])
async def test_a_limiter_that_overrides_acquire_still_gives_its_clock(side, kind, nested):
    """It is asked as the user's own, and its MockClock is the executor's and the composite's.

    They took it for a stranger's limiter, without a clock, and slept in real time.
    """
    clock = MockClock()
    limiter = with_own_acquire(side, kind, clock)
    executor = side.Executor(
        side.CompositeLimiter([limiter]) if nested else limiter,
        RetryPolicy(max_attempts=2, base_delay=SOON),
    )

    assert await side.run(executor, Script(ValueError(), "done")) == "done"

    assert clock.now() == SOON
    assert limiter.acquired == 1


@both
async def test_a_composite_waits_by_the_clock_of_a_part_that_overrides_acquire(side):
    """`timeout` is counted by that clock: what ours waited is gone from what it is given."""
    clock = MockClock()
    given = []

    class Own(side.TokenBucket):
        def acquire(self, key, timeout=None, cost=1):
            given.append(timeout)
            return super().acquire(key, timeout, cost)

    limiter = side.CompositeLimiter([Own(9, 1.0, clock=clock), side.TokenBucket(1, 1.0, clock)])
    await settle(limiter.acquire("k", timeout=5.0))

    await settle(limiter.acquire("k", timeout=5.0))

    assert given == [5.0, 4.0]
    assert clock.now() == 1.0


class Choosy(RetryPolicy):
    """Decides by the error's text, and waits ten seconds longer each time."""

    def should_retry(self, error, attempt):
        return str(error) == f"again {attempt}"

    def next_delay(self, attempt):
        return 10.0 * attempt


@both
async def test_a_policy_may_decide_for_itself(side):
    """Both executors ask an overridden `should_retry` and `next_delay`, with the attempt."""
    clock = MockClock()
    executor = side.Executor(None, Choosy(max_attempts=5, base_delay=1.0, retry_on=()), clock=clock)
    stop = ValueError("again 2, or not")
    script = Script(ValueError("again 1"), ValueError("again 2"), stop, clock=clock)

    assert await caught(side.run(executor, script)) is stop

    assert script.times == [0.0, 10.0, 30.0]


@both
async def test_a_policy_that_overrides_one_method_keeps_the_other(side):
    """What is not overridden is ours."""

    class Slow(RetryPolicy):
        def next_delay(self, attempt):
            return 2.0 * super().next_delay(attempt)

    clock = MockClock()
    executor = side.Executor(None, Slow(max_attempts=3, base_delay=1.0), clock=clock)
    script = Script(ValueError(), ValueError(), "done", clock=clock)

    assert await side.run(executor, script) == "done"

    assert script.times == [0.0, 2.0, 6.0]
    assert repr(Slow()).startswith("Slow(max_attempts=3")


@both
async def test_a_policys_own_error_comes_out(side):
    """An overridden method that raises, or returns no seconds, ends the run."""
    boom = KeyError("the policy's own")

    class Broken(RetryPolicy):
        def should_retry(self, error, attempt):
            raise boom

    class Nonsense(RetryPolicy):
        def next_delay(self, attempt):
            return "soon"

    script = Script(ValueError("the function's own"))
    assert await caught(side.run(side.Executor(None, Broken()), script)) is boom
    error = await caught(side.run(side.Executor(None, Nonsense()), script))

    assert isinstance(error, InvalidConfigError)
    assert error.parameter == "next_delay()"
    assert script.count == 2


@both
async def test_a_breaker_may_be_subclassed(side):
    """One with more to it works in an executor and alone."""

    class Named(CircuitBreaker):
        name = "api"

        def call(self, func, *args, **kwargs):
            return self.name, super().call(func, *args, **kwargs)

    breaker = Named(failure_threshold=1, clock=MockClock())
    executor = side.Executor(None, None, breaker)

    assert breaker.call(abs, -3) == ("api", 3)
    await caught(side.run(executor, Script(ValueError())))

    assert breaker.state == "open"


@both
@pytest.mark.parametrize("method", ["allow", "record_success", "record_failure", "state"])
def test_a_breaker_that_overrides_what_no_executor_calls_is_refused(side, method):
    """The executor works on the permits beneath: the user's method would never be heard."""
    own = property(lambda self: "closed") if method == "state" else lambda self: True
    breaker = type("Own", (CircuitBreaker,), {method: own})()

    with pytest.raises(InvalidConfigError, match=rf"\bOwn overrides {method}\b") as refusal:
        side.Executor(circuit_breaker=breaker)

    assert refusal.value.parameter == "circuit_breaker"
    assert refusal.value.value is breaker


LIVE = {
    **{
        f"{side!r} {kind}": make
        for side in (SYNC, ASYNC)
        for kind, make in (
            ("token", lambda side=side: side.TokenBucket(1, 1.0)),
            ("leaky", lambda side=side: side.LeakyBucket(1, 1.0)),
            ("composite", lambda side=side: side.CompositeLimiter([side.TokenBucket(1, 1.0)])),
            ("concurrency", lambda side=side: side.ConcurrencyLimiter(1)),
            ("executor", lambda side=side: side.Executor()),
        )
    },
    "permit": lambda: ConcurrencyLimiter(1).acquire("k"),
    "breaker": CircuitBreaker,
    "throttle": ClientThrottle,
    "adaptive": AdaptiveConcurrency,
    "policy": RetryPolicy,
    "mock clock": MockClock,
    "monotonic clock": MonotonicClock,
}


@pytest.mark.parametrize("name", LIVE)
def test_weak_references_work(name):
    """As in a `WeakKeyDictionary` of what an application has built."""
    one = LIVE[name]()

    watch = weakref.ref(one)

    assert watch() is one
    del one
    assert watch() is None


async def test_a_mock_with_our_spec_is_called_as_the_users_own():
    """`create_autospec` says that it is an instance of ours; it has no core to go around by."""
    limiter = create_autospec(AsyncTokenBucket, instance=True)
    limiter.allow.return_value = True

    assert await AsyncResilientExecutor(limiter).run("k", lambda: "done") == "done"
    limiter.acquire.assert_awaited_once_with("k")
    assert await AsyncCompositeLimiter([limiter]).allow("k") is True
    limiter.allow.assert_awaited_once_with("k")
    await AsyncCompositeLimiter([limiter], MockClock()).acquire("k", timeout=2.0, cost=3)
    limiter.acquire.assert_awaited_with("k", cost=3, timeout=2.0)


class Watched(MockClock):
    """A mock clock that notes who sleeps."""

    def __init__(self):
        super().__init__()
        self.slept = []

    async def sleep_async(self, seconds):
        self.slept.append(seconds)
        await super().sleep_async(seconds)


@pytest.mark.parametrize("kind", ["bucket", "composite", "executor"])
async def test_a_mock_clock_that_overrides_sleep_async_is_slept_on(kind):
    """Waits for quota go through it; they went by the timer beneath."""
    clock = Watched()
    bucket = AsyncTokenBucket(1, 0.5, clock=clock)
    if kind == "bucket":
        acquire = bucket.acquire
    elif kind == "composite":
        acquire = AsyncCompositeLimiter([bucket]).acquire
    else:
        executor = AsyncResilientExecutor(bucket)

        async def acquire(key):
            await executor.run(key, lambda: None)

    for _ in range(3):
        await acquire("k")

    assert clock.slept == [2.0, 2.0]
    assert clock.now() == 4.0
