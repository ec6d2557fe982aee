"""Hedges: another try of what is slow, the first value wins, sync and async by the same body."""

import asyncio
import copy
import inspect
import math
import pickle

import pytest

from helpers import ASYNC, SYNC, Side, both, caught, settle
from limitpal import (
    AsyncResilientExecutor,
    CircuitBreaker,
    CircuitBreakerOpen,
    Hedge,
    InvalidConfigError,
    MockClock,
    RateLimitExceeded,
    ResilientExecutor,
    RetryBudget,
    RetryExhausted,
    RetryPolicy,
)


class Service:
    """Does as told: `(seconds, value or error)` for each try, the last line again and again."""

    def __init__(self, side: Side, clock: MockClock, *lines: tuple[float, object]) -> None:
        self.clock = clock
        self.lines = lines
        self.began: list[float] = []
        self.ended = 0
        self.call = self._call_async if side.is_async else self._call

    def _line(self) -> tuple[float, object]:
        self.began.append(self.clock.now())
        return self.lines[min(len(self.began), len(self.lines)) - 1]

    def _call(self) -> object:
        seconds, answer = self._line()
        self.clock.sleep(seconds)
        self.ended += 1
        if isinstance(answer, BaseException):
            raise answer
        return answer

    async def _call_async(self) -> object:
        seconds, answer = self._line()
        try:
            await self.clock.sleep_async(seconds)
        finally:
            self.ended += 1
        if isinstance(answer, BaseException):
            raise answer
        return answer


async def run(executor: object, service: Service, key: str = "api") -> object:
    """Run it, sync or async."""
    answer = executor.run(key, service.call)
    return await answer if inspect.isawaitable(answer) else answer


@both
async def test_a_slow_try_gets_another_and_the_first_value_wins(side):
    """At 0.1 s the second one starts, and at 0.12 s the run is over."""
    clock = MockClock()
    executor = side.Executor(hedge=Hedge(0.1), clock=clock)
    service = Service(side, clock, (3.0, "slow"), (0.02, "fast"))

    assert await run(executor, service) == "fast"

    assert service.began == [0.0, 0.1]
    assert clock.now() == pytest.approx(0.12)
    stats = executor.stats()
    assert (stats.calls, stats.firsts, stats.hedges, stats.hedge_wins) == (1, 1, 1, 1)
    assert stats.attempts == stats.firsts + stats.retries + stats.hedges == 2
    # An awaited try is cancelled; one in a thread goes on, and is counted.
    assert stats.left_behind == (0 if side.is_async else 1)


@both
async def test_what_is_there_in_time_gets_no_hedge(side):
    """Not even at the very instant at which the hedge is due."""
    clock = MockClock()
    executor = side.Executor(hedge=Hedge(0.1), clock=clock)
    service = Service(side, clock, (0.1, "value"))

    for _ in range(20):
        assert await run(executor, service) == "value"

    assert executor.stats().hedges == 0
    assert len(service.began) == 20


@both
async def test_several_hedges_start_a_delay_apart(side):
    """At most `max_hedges` of them."""
    clock = MockClock()
    executor = side.Executor(hedge=Hedge(0.5, max_hedges=3), clock=clock)
    service = Service(side, clock, (9.0, "value"))

    assert await run(executor, service) == "value"

    assert service.began == [0.0, 0.5, 1.0, 1.5]
    assert (executor.stats().hedges, executor.stats().hedge_wins) == (3, 0)


@both
@pytest.mark.parametrize(
    ("lines", "answer", "tries"),
    [
        ([(1.5, OSError("one")), (0.8, "value")], "value", 2),
        ([(1.8, "value"), (0.01, OSError("two"))], "value", 2),
        ([(0.5, OSError("one")), (0.01, "value")], "one", 1),
        ([(1.5, OSError("one")), (0.6, OSError("two"))], "one", 2),
        ([(1.9, OSError("one")), (0.6, OSError("two"))], "one", 2),
        ([(1.9, OSError("one")), (0.6, RateLimitExceeded("two"))], "one", 2),
        ([(1.9, RateLimitExceeded("one")), (0.6, OSError("two"))], "two", 2),
        ([(1.9, "value"), (0.6, CircuitBreakerOpen("two"))], "value", 2),
    ],
)
async def test_a_failure_waits_for_the_tries_under_way(side, lines, answer, tries):
    """It is no reason for another try, and the earliest try's error counts in the end."""
    clock = MockClock()
    executor = side.Executor(hedge=Hedge(1.0), clock=clock)
    service = Service(side, clock, *lines)

    try:
        got = await run(executor, service)
    except Exception as error:
        got = error.args[0] if error.args else str(error)

    assert answer in got
    assert len(service.began) == tries


@both
async def test_an_error_that_is_not_retried_ends_the_attempt_at_once(side):
    """The other try would be told the same."""
    clock = MockClock()
    policy = RetryPolicy(retry_on=OSError)
    executor = side.Executor(hedge=Hedge(1.0), retry_policy=policy, clock=clock)
    service = Service(side, clock, (9.0, "value"), (0.5, ValueError("wrong")))

    with pytest.raises(ValueError, match="wrong"):
        await run(executor, service)

    assert clock.now() == 1.5


@both
async def test_a_value_that_is_turned_down_waits_for_the_tries_under_way(side):
    """As an error does that is retried."""
    clock = MockClock()
    policy = RetryPolicy(1, retry_on_result=lambda value: value == "pending")
    executor = side.Executor(hedge=Hedge(1.0), retry_policy=policy, clock=clock)

    service = Service(side, clock, (1.2, "pending"), (0.5, "done"))
    assert await run(executor, service) == "done"
    service = Service(side, clock, (1.2, "pending"), (0.5, "pending"))
    with pytest.raises(RetryExhausted) as end:
        await run(executor, service)
    assert end.value.last_result == "pending"


@both
async def test_a_breaker_and_a_retry_policy_see_one_attempt(side):
    """Two attempts of two tries each, one failed run."""
    clock = MockClock()
    breaker = CircuitBreaker(2, clock=clock)
    policy = RetryPolicy(2, base_delay=0.0)
    executor = side.Executor(
        hedge=Hedge(1.0), retry_policy=policy, circuit_breaker=breaker, clock=clock
    )
    service = Service(side, clock, (1.5, OSError("down")))

    with pytest.raises(RetryExhausted) as end:
        await run(executor, service)

    assert end.value.attempts == 2
    assert breaker.state == "closed"
    stats = executor.stats()
    assert (stats.firsts, stats.retries, stats.hedges, stats.attempts) == (1, 1, 2, 4)


@both
@pytest.mark.parametrize(("charge", "began"), [("call", [0.0, 1.0, 2.0]), ("attempt", [0.0, 1.0])])
@pytest.mark.parametrize("kind", ["keyed", "composite", "own"])
async def test_a_hedge_takes_quota_where_attempts_do_and_waits_for_none(side, charge, began, kind):
    """Whatever limiter it is: two permits are two tries."""
    clock = MockClock()
    bucket = side.TokenBucket(2, 0.001, clock=clock)
    limiter = bucket if kind == "keyed" else side.CompositeLimiter([bucket])
    if kind == "own":
        left = [2]

        def acquire() -> None:
            if not left[0]:
                raise RateLimitExceeded("none is left")
            left[0] -= 1

        limiter = side.own_limiter(acquire)
    executor = side.Executor(limiter, hedge=Hedge(1.0, max_hedges=2), charge=charge, clock=clock)
    service = Service(side, clock, (9.0, "value"))

    assert await run(executor, service) == "value"

    assert service.began == began


@both
async def test_permits_go_back_once_the_tries_have_ended(side):
    """A try that was left behind keeps its permit, or a bulkhead would not bound anything."""
    clock = MockClock()
    pool = side.ConcurrencyLimiter(2, clock=clock)
    executor = side.Executor(pool, hedge=Hedge(1.0), charge="attempt", clock=clock)
    service = Service(side, clock, (9.0, "slow"), (1.0, "fast"))

    assert await run(executor, service) == "fast"

    assert await settle(pool.in_flight("api")) == (0 if side.is_async else 1)
    clock.advance(9.0)
    if not side.is_async:
        await until(lambda: executor.stats().late_values == 1)
    assert await settle(pool.in_flight("api")) == 0
    assert executor.stats().late_errors == 0


async def until(is_so) -> None:
    """Wait, in real time, for a thread that has something left to do."""
    for _ in range(2000):
        if is_so():
            return
        await asyncio.sleep(0.005)
    raise AssertionError("it did not come to that")


@both
async def test_at_a_total_outage_attempts_stay_within_the_budget(side):
    """Hedges and retries together: (1 + 0.1) * 100 and a reserve of 0.5 * 10."""
    clock = MockClock()
    budget = RetryBudget(0.1, 0.5, clock=MockClock())
    executor = side.Executor(
        hedge=Hedge(0.1, max_extra_load=1.0),
        retry_policy=RetryPolicy(4, base_delay=0.0),
        retry_budget=budget,
        clock=clock,
    )
    service = Service(side, clock, (1.0, OSError("down")))

    for calls in range(1, 101):
        assert type(await caught(_later(executor, service))) is RetryExhausted
        assert len(service.began) <= 1.1 * calls + 5 + 1e-9

    assert len(service.began) == executor.stats().attempts == 115
    assert executor.stats().hedges > 0


async def _later(executor, service):
    return await run(executor, service)


@both
async def test_the_cap_bounds_hedges_to_a_share_of_the_calls(side):
    """Of 40 slow calls: 0.1 * 40, and none besides."""
    clock = MockClock()
    hedge = Hedge(0.1, max_extra_load=0.1, minimum_per_second=0.0, window=1000.0)
    executor = side.Executor(hedge=hedge, clock=clock)
    service = Service(side, clock, (1.0, "value"))

    for _ in range(40):
        assert await run(executor, service) == "value"

    assert executor.stats().hedges == 4


@both
async def test_a_percentile_takes_the_place_of_the_delay_once_enough_is_known(side):
    """Ten calls of 0.1 s: then one of 5 s gets its hedge after hardly more than 0.1 s."""
    clock = MockClock()
    hedge = Hedge(percentile=90, min_samples=10)
    executor = side.Executor(hedge=hedge, clock=clock)
    service = Service(side, clock, *[(0.1, "usual")] * 10, (5.0, "slow"), (0.1, "hedged"))

    for _ in range(10):
        assert await run(executor, service) == "usual"
    start = clock.now()
    assert await run(executor, service) == "hedged"

    assert 0.1 <= service.began[-1] - start <= 0.1 * (1 + 1 / 32)
    assert executor.stats().hedges == 1


@both
async def test_context_variables_are_copied_into_tries(side):
    """A try sees what its caller has set, and changes nothing of it."""
    import contextvars

    name = contextvars.ContextVar("name", default="nobody")
    clock = MockClock()
    executor = side.Executor(hedge=Hedge(0.1), clock=clock)
    seen = []

    def body() -> str:
        seen.append(name.get())
        name.set("a try")
        return "value"

    name.set("the caller")
    answer = executor.run("api", side.function(body))
    assert (await answer if side.is_async else answer) == "value"
    assert (seen, name.get()) == (["the caller"], "the caller")


def test_a_hedge_is_a_value():
    """It compares, prints and pickles."""
    hedge = Hedge(0.1, percentile=95, max_hedges=2)

    assert hedge == copy.copy(hedge) == pickle.loads(pickle.dumps(hedge))
    assert hash(hedge) == hash(Hedge(0.1, percentile=95, max_hedges=2))
    assert hedge != Hedge(0.2)
    assert repr(hedge).startswith("Hedge(delay=0.1, percentile=95, max_hedges=2, ")
    for kind in (ResilientExecutor, AsyncResilientExecutor):
        assert f"hedge={hedge!r}" in repr(kind(hedge=hedge))


@pytest.mark.parametrize(
    ("parameter", "value"),
    [("delay", value) for value in (-1, math.nan, math.inf, "1", True)]
    + [("percentile", value) for value in (0, 100, -1, math.nan, "95")]
    + [("max_hedges", value) for value in (0, 11, 1.5, "1", None)]
    + [("max_extra_load", value) for value in (-0.1, 1.1, math.nan, "1", None)]
    + [("minimum_per_second", value) for value in (-1, 1e7, math.nan, None)]
    + [("min_samples", value) for value in (0, 1.5, None)]
    + [("window", value) for value in (0, -1, math.inf, None)],
)
def test_nonsense_is_refused_by_name(parameter, value):
    """When the hedge is made."""
    with pytest.raises(InvalidConfigError) as refusal:
        Hedge(**{"delay": 1.0, parameter: value})

    assert refusal.value.parameter == parameter


@pytest.mark.parametrize("side", [SYNC, ASYNC], ids=repr)
def test_what_is_no_hedge_is_refused(side):
    """A number is none; and one without delay and percentile would do nothing."""
    with pytest.raises(InvalidConfigError, match="give a Hedge"):
        side.Executor(hedge=0.1)
    with pytest.raises(InvalidConfigError, match="give a time, or a percentile"):
        Hedge()
