"""What users of other libraries complain of, and the test that says it is otherwise here.

The complaints are those of public threads about retries, circuit breakers and what stands around
them; `COMPLAINTS` has them all. A test for one is here, or in the file of the concept it is about.
"""

import ast
import asyncio
import inspect
import time
from pathlib import Path

import pytest

from complaints import COMPLAINTS
from helpers import Script, both, caught, settle
from limitpal import (
    AsyncResilientExecutor,
    CircuitBreaker,
    CircuitBreakerOpen,
    MockClock,
    ResilientExecutor,
    RetryExhausted,
    RetryPolicy,
)

HERE = Path(__file__).parent


async def test_a_clock_for_tests_stops_nobody_elses_time():
    """Time that is patched for all stops the event loop and other libraries; ours is handed in."""
    clock = MockClock()
    policy = RetryPolicy(base_delay=3600.0, max_delay=3600.0)
    executor = AsyncResilientExecutor(retry_policy=policy, clock=clock)
    began, sleep = time.monotonic(), asyncio.sleep

    assert await executor.run("api", Script(OSError(), "fine")) == "fine"
    await asyncio.wait_for(asyncio.sleep(0.001), 5)

    assert clock.now() == 3600.0
    assert asyncio.sleep is sleep
    assert 0.001 <= time.monotonic() - began < 60


@both
async def test_statistics_can_be_read_while_the_function_runs(side):
    """They are the executor's and not the function's, so nothing empties them between attempts."""
    seen = []
    executor = side.Executor(retry_policy=RetryPolicy(base_delay=0.0), clock=MockClock())

    def call():
        seen.append(executor.stats().successes)
        if len(seen) == 3:
            raise OSError
        return "fine"

    for _ in range(3):
        await settle(executor.run("api", call))

    assert seen == [0, 1, 2, 2]
    assert (executor.stats().calls, executor.stats().attempts) == (3, 4)


@both
async def test_a_wrapped_function_has_the_attributes_that_it_had(side):
    """The guard adds one, and type checkers know the function's own type."""
    executor = side.Executor()

    def fetch():
        return 7

    fetch.route = "/"
    guarded = executor.guard("api")(fetch)

    assert (guarded.route, guarded.executor) == ("/", executor)


@both
async def test_two_functions_of_one_name_have_limits_of_their_own(side):
    """What counts is the key, which is written down; a function's name is nobody's key."""
    executor = side.Executor(side.TokenBucket(1, 1.0, clock=MockClock()), acquire_timeout=0)

    def make(key):
        @executor.guard(key)
        def fetch():
            return key

        return fetch

    users, pages = make("users"), make("pages")
    assert await settle(users()) == "users"
    assert await settle(pages()) == "pages"


@pytest.mark.parametrize("attempt", [1025, 1100, 2**31, 2**32 - 1])
@pytest.mark.parametrize("jitter", [0.0, 0.5, "full", "decorrelated", "smoothed_decorrelated"])
def test_the_thousandth_delay_does_not_overflow(attempt, jitter):
    """`base * factor ** 1100` is no float; the cap comes before the power."""
    policy = RetryPolicy(None, max_delay=7.0, jitter=jitter, seed=1)

    assert 0.0 <= policy.next_delay(attempt) <= 7.0


@both
async def test_a_run_of_two_thousand_attempts_ends(side):
    """An unbounded policy meets the overflow one day, in the middle of an outage."""
    clock = MockClock()
    policy = RetryPolicy(2000, jitter="smoothed_decorrelated", max_delay=60.0, seed=1)

    error = await caught(_run(side.Executor(retry_policy=policy, clock=clock), Script(OSError())))

    assert (type(error), error.attempts) == (RetryExhausted, 2000)


async def _run(executor, call):
    return await settle(executor.run("api", call))


@both
async def test_a_breaker_that_is_asked_twice_in_one_call_closes(side):
    """The same breaker around a call and inside of it: its probe would shut out its own inside."""
    clock = MockClock()
    breaker = CircuitBreaker(1, 5.0, 2, clock=clock)
    inner = ResilientExecutor(circuit_breaker=breaker, clock=clock)
    outer = side.Executor(circuit_breaker=breaker, clock=clock)
    breaker.record_failure()
    clock.advance(5.0)

    assert await settle(outer.run("api", lambda: inner.run("api", lambda: "fine"))) == "fine"

    assert breaker.state == "closed"


@both
async def test_with_one_permit_a_nested_breaker_still_recovers(side):
    """Where the probe shuts out its own inside, that refusal is neither success nor failure."""
    clock = MockClock()
    breaker = CircuitBreaker(1, 5.0, clock=clock)
    inner = ResilientExecutor(circuit_breaker=breaker, clock=clock)
    outer = side.Executor(circuit_breaker=breaker, clock=clock)
    breaker.record_failure()
    clock.advance(5.0)

    refused = await caught(_run(outer, lambda: inner.run("api", lambda: "fine")))
    assert type(refused) is CircuitBreakerOpen
    assert await settle(outer.run("api", lambda: "fine")) == "fine"
    assert breaker.state == "closed"


@both
async def test_what_retries_cost_the_other_side_can_be_counted(side):
    """Quota for each attempt, where the provider counts each; nobody finds 300 where 100 may go."""
    clock = MockClock()
    limiter = side.TokenBucket(100, 100 / 60, clock=clock)
    executor = side.Executor(
        limiter,
        RetryPolicy(3, base_delay=0.0),
        clock=clock,
        charge="attempt",
        acquire_timeout=0,
    )
    call = Script(OSError())

    for _ in range(100):
        await caught(_run(executor, call))

    assert call.count == 100


def functions_of(name):
    """Returns the names of the functions that a file of the tests defines."""
    tree = ast.parse((HERE / name).read_text(encoding="utf-8"))
    kinds = (ast.FunctionDef, ast.AsyncFunctionDef)
    return {node.name for node in tree.body if isinstance(node, kinds)}


@pytest.mark.parametrize(
    ("where", "complaint", "tests"), COMPLAINTS, ids=lambda value: str(value)[:40]
)
def test_each_complaint_has_a_test_that_exists(where, complaint, tests):
    """A test that is renamed or removed takes its complaint along."""
    assert where
    assert complaint
    assert tests
    for test in tests:
        file, _, name = test.partition("::")
        assert name in functions_of(file), test


def test_each_test_here_answers_a_complaint():
    """And none is left over."""
    ours = {name for name in functions_of("test_complaints.py") if name.startswith("test_")}
    listed = {test.partition("::")[2] for _, _, tests in COMPLAINTS for test in tests}

    assert {name for name in ours if not name.startswith("test_each_")} <= listed
    assert inspect.isfunction(test_each_complaint_has_a_test_that_exists)
