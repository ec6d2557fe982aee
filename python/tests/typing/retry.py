"""Retry policies, budgets and blocks as type checkers read them; nobody runs this."""

from typing_extensions import assert_type

from limitpal import (
    AsyncResilientExecutor,
    Constant,
    Hedge,
    ResilientExecutor,
    RetryBudget,
    RetryPolicy,
    testing,
)


class Upstream(Exception):
    """An error of the user's."""


def retry_policy() -> None:
    policy = RetryPolicy(max_attempts=5, base_delay=0.1, max_delay=2, backoff=2, jitter=0.1, seed=7)
    RetryPolicy(retry_on=(Upstream, TimeoutError))
    RetryPolicy(retry_on=Upstream)
    RetryPolicy(retry_on=[Upstream])
    assert_type(policy.max_attempts, int | None)
    assert_type(policy.base_delay, float)
    assert_type(policy.next_delay(3), float)
    assert_type(policy.should_retry(Upstream(), 1), bool)
    assert_type(policy == RetryPolicy(), bool)
    assert_type({policy: "patient"}[policy], str)
    RetryPolicy(
        None,
        jitter="full",
        delays=[1, 2.5],
        delays_for={Upstream: Constant(2.0), OSError: Constant(1.0)},
        retry_if=callable,
        delay_from=lambda error: None,
        max_elapsed=60,
    )
    RetryPolicy(retry_on=Upstream())  # type: ignore[arg-type]
    RetryPolicy(jitter="half")  # type: ignore[arg-type]
    RetryPolicy(3, 0.1, 5.0, 2.0, 0.0, (Upstream,), 7)  # type: ignore[call-arg, arg-type]
    assert_type(policy.replace(max_attempts=2), RetryPolicy)


def budget() -> None:
    """A budget goes to executors and to blocks."""
    budget = RetryBudget(0.2, minimum_per_second=1, window=5)
    ResilientExecutor(retry_policy=RetryPolicy(), retry_budget=budget)
    assert_type(budget.left, int)
    ResilientExecutor(retry_budget=0.1)  # type: ignore[arg-type]


def hedge() -> None:
    """A hedge is a value of an executor."""
    hedge = Hedge(0.1, percentile=95, max_hedges=2)
    executor = ResilientExecutor(retry_policy=RetryPolicy(), hedge=hedge, on_threads=True)
    AsyncResilientExecutor(hedge=hedge)
    assert_type(hedge.delay, float | None)
    assert_type(executor.stats().hedge_wins, int)
    Hedge(0.1, 95)  # type: ignore[call-arg]
    ResilientExecutor(hedge=0.1)  # type: ignore[arg-type]


def blocks() -> None:
    """An attempt has its number and the last error."""
    for attempt in RetryPolicy().attempts(deadline=5.0):
        with attempt:
            assert_type(attempt.number, int)
            assert_type(attempt.last_error, BaseException | None)


async def async_blocks() -> None:
    """The same with `async for`."""
    async for attempt in RetryPolicy().attempts_async(budget=RetryBudget()):
        with attempt:
            assert_type(attempt.number, int)


def rehearsals() -> None:
    """The test mode takes a cap."""
    with testing.retries(max_attempts=2):
        pass
    with testing.retries(wait=True):
        pass
