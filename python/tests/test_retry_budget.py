"""A retry budget: a share of the calls and a floor, shared between executors."""

import asyncio
import math
import pickle

import pytest
from hypothesis import given
from hypothesis import strategies as st

from helpers import Script, both, caught
from limitpal import (
    AsyncResilientExecutor,
    CircuitBreaker,
    InvalidConfigError,
    MockClock,
    RateLimitExceeded,
    ResilientExecutor,
    RetryBudget,
    RetryExhausted,
    RetryPolicy,
)


def down():
    """Fail, as everything does in an outage."""
    raise OSError("down")


def executors(side, attempts=4, **options):
    """Return an executor and its budget, on clocks of their own."""
    budget = RetryBudget(**options, clock=MockClock())
    policy = RetryPolicy(attempts, base_delay=0.0)
    return side.Executor(retry_policy=policy, retry_budget=budget, clock=MockClock()), budget


@both
async def test_hyx_83_at_a_total_outage_attempts_are_a_share_more_than_calls(side):
    """Of 100 calls with four attempts each: (1 + 0.1) * 100 and a reserve of 0.5 * 10."""
    executor, budget = executors(side, ratio=0.1, minimum_per_second=0.5)
    script = Script(OSError())

    for _ in range(100):
        error = await caught(side.run(executor, script))
        assert type(error) is RetryExhausted

    assert error.reason == "budget"
    assert "no retry left in the budget" in str(error)
    assert script.count == 115
    assert budget.left == 0


@both
async def test_what_never_came_to_the_server_counts_as_no_call(side):
    """A refusal from within and a cancelled call earn no retry; a value and an error do."""
    executor, budget = executors(side, ratio=1.0, minimum_per_second=0.0)

    for line in (RateLimitExceeded(), asyncio.CancelledError(), KeyboardInterrupt()):
        await caught(side.run(executor, Script(line)))
    assert budget.left == 0
    await side.run(executor, Script("a value"))
    assert budget.left == 1
    await side.run(executor, Script(OSError(), "a value"))
    assert budget.left == 1


def test_executors_share_a_budget_sync_and_async():
    """Whichever retries, it is charged to all."""
    clock = MockClock()
    budget = RetryBudget(ratio=0.0, minimum_per_second=0.1, clock=clock)
    policy = RetryPolicy(2, base_delay=0.0)
    sync = ResilientExecutor(retry_policy=policy, retry_budget=budget)
    twin = AsyncResilientExecutor(retry_policy=policy, retry_budget=budget)

    with pytest.raises(RetryExhausted, match="no more are allowed"):
        sync.run("k", down)
    with pytest.raises(RetryExhausted, match="no retry left"):
        asyncio.run(twin.run("k", down))
    clock.advance(10.0)
    with pytest.raises(RetryExhausted, match="no more are allowed"):
        asyncio.run(twin.run("k", down))


def test_a_run_that_is_cancelled_in_its_wait_gives_its_retry_back():
    """Charged at the decision, given back as nothing was sent."""
    clock = MockClock(autojump=False)
    budget = RetryBudget(ratio=0.0, minimum_per_second=0.1, clock=clock)
    executor = AsyncResilientExecutor(retry_policy=RetryPolicy(), retry_budget=budget, clock=clock)

    async def main():
        task = asyncio.ensure_future(executor.run("k", down))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert budget.left == 0
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(main())
    assert budget.left == 1


@both
async def test_a_retry_that_a_breaker_stops_is_given_back(side):
    """The circuit opened during the wait: no attempt, no charge."""
    clock = MockClock()
    budget = RetryBudget(ratio=0.0, minimum_per_second=0.1, clock=clock)
    breaker = CircuitBreaker(failure_threshold=1, clock=clock)
    executor = side.Executor(
        retry_policy=RetryPolicy(), circuit_breaker=breaker, retry_budget=budget
    )

    def call():
        breaker.record_failure()
        raise OSError

    error = await caught(side.run(executor, call))

    assert (error.reason, budget.left) == ("circuit_open", 1)


@pytest.mark.parametrize(
    ("parameter", "value"),
    [("ratio", value) for value in (-0.1, 1.1, math.nan, math.inf, "0.1", None, True)]
    + [("minimum_per_second", value) for value in (-1, 1e7, math.nan, math.inf, "1", None)]
    + [("window", value) for value in (0, -1, math.nan, math.inf, "1", None)],
)
def test_nonsense_is_refused_by_name(parameter, value):
    """When the budget is made."""
    with pytest.raises(InvalidConfigError) as refusal:
        RetryBudget(**{parameter: value})

    assert parameter == refusal.value.parameter


@both
async def test_what_is_no_budget_is_refused(side):
    """A number is none: it would not be shared."""
    with pytest.raises(InvalidConfigError) as refusal:
        side.Executor(retry_budget=0.1)

    assert refusal.value.parameter == "retry_budget"


def test_a_budget_shows_itself_and_does_not_pickle():
    """It has counts that live."""
    budget = RetryBudget(0.2, 2, 5)

    assert repr(budget) == "RetryBudget(ratio=0.2, minimum_per_second=2.0, window=5.0)"
    assert (budget.ratio, budget.minimum_per_second, budget.window) == (0.2, 2.0, 5.0)
    assert repr(budget) in repr(ResilientExecutor(retry_budget=budget))
    with pytest.raises(TypeError):
        pickle.dumps(budget)


@given(st.floats(0.0, 1.0), st.floats(0.0, 3.0), st.integers(2, 5), st.integers(1, 120))
def test_attempts_never_exceed_the_calls_their_share_and_the_reserve(ratio, floor, attempts, calls):
    """Whatever the numbers: (1 + ratio) * calls + reserve."""
    budget = RetryBudget(ratio, floor, clock=MockClock())
    policy = RetryPolicy(attempts, base_delay=0.0)
    executor = ResilientExecutor(retry_policy=policy, retry_budget=budget, clock=MockClock())
    script = Script(OSError())

    for call in range(1, calls + 1):
        with pytest.raises(RetryExhausted):
            executor.run("k", script)
        assert script.count <= (1 + ratio) * call + floor * 10.0 + 1e-9
