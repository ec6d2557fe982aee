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
        seen.append(executor.stats().calls)
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


#: Where it was said, what was said, and the tests that say it is otherwise here.
COMPLAINTS = [
    (
        "tenacity#106, #228, #156, #25",
        "tests wait for real between attempts",
        [
            "test_testing.py::test_tenacity_106_a_test_need_not_wait_between_attempts",
            "test_executor_clock.py::test_the_given_clock_times_the_backoff",
        ],
    ),
    (
        "freezegun#437, #384, #383, #521",
        "frozen time hangs asyncio and changes other libraries",
        ["test_complaints.py::test_a_clock_for_tests_stops_nobody_elses_time"],
    ),
    (
        "tenacity#529, #186",
        "a retry swallows the cancellation of its task",
        [
            "test_delays.py::test_tenacity_529_a_predicate_that_says_yes_to_all_never_sees_cancellation",
            "test_retry.py::test_cancellation_is_never_retried",
            "test_executor_stops.py::test_a_stop_is_never_counted",
        ],
    ),
    (
        "tenacity#93",
        "calls at the same time disturb each other's attempt numbers",
        [
            "test_attempts.py::test_tenacity_93_loops_at_the_same_time_do_not_disturb_each_other",
            "test_delays.py::test_tenacity_93_each_run_goes_on_from_its_own_delays",
        ],
    ),
    (
        "tenacity#78, #519, #613",
        "statistics are wrong, or empty while the function runs",
        [
            "test_complaints.py::test_statistics_can_be_read_while_the_function_runs",
            "test_executor_stats.py::test_no_thread_s_run_is_lost",
        ],
    ),
    (
        "tenacity#346, #187",
        "a decorated function has lost its type and its attributes",
        [
            "test_complaints.py::test_a_wrapped_function_has_the_attributes_that_it_had",
            "test_guard.py::test_a_guarded_function_looks_like_itself",
            "typing/guard.py::sync_calls",
            "typing/guard.py::async_calls",
        ],
    ),
    (
        "tenacity#526, #710, stamina#137, anthropic-sdk-python#1760, Polly#2163",
        "the thousandth delay overflows",
        [
            "test_complaints.py::test_the_thousandth_delay_does_not_overflow",
            "test_complaints.py::test_a_run_of_two_thousand_attempts_ends",
        ],
    ),
    (
        "tenacity#487, #162, #223",
        "jitter has no floor, and its kinds go by other names than in the literature",
        ["test_delays.py::test_tenacity_487_jitter_by_name_with_a_floor_and_a_hard_cap"],
    ),
    (
        "tenacity#541, stamina#125, airflow#56762",
        "a server's Retry-After is not heard",
        [
            "test_delays.py::test_tenacity_541_the_wait_may_come_from_the_error",
            "test_delays.py::test_what_the_server_says_is_passed_over_where_it_is_no_time",
        ],
    ),
    (
        "stamina#98, #73, #53",
        "a test of a failure makes all attempts",
        ["test_testing.py::test_stamina_98_a_test_may_cap_attempts"],
    ),
    (
        "backoff#47",
        "a program that shuts down waits for the next attempt",
        [
            "test_attempts.py::test_backoff_47_cancelling_a_task_ends_its_wait",
            "test_executor_stops.py::test_a_stop_during_backoff_ends_the_run",
        ],
    ),
    (
        "backoff#43, evener#342",
        "a number of attempts is no bound of time, and the other way round",
        [
            "test_delays.py::test_backoff_43_a_run_ends_by_time_as_well",
            "test_delays.py::test_no_most_attempts_means_as_many_as_it_takes",
        ],
    ),
    (
        "pybreaker#55, #3, #40, #41, #57, #77",
        "a breaker's lock makes calls wait for each other",
        [
            "test_breaker_peers.py::test_pybreaker_55_calls_do_not_wait_for_each_other",
            "test_breaker_call.py::test_no_lock_is_held_while_the_function_runs",
        ],
    ),
    (
        "pybreaker#7, #59, #102, #103, #104",
        "a coroutine function counts as a success when it is called",
        ["test_breaker_peers.py::test_pybreaker_7_coroutine_functions_are_counted_when_they_end"],
    ),
    (
        "pybreaker#5, #20",
        "errors can be excluded but not included, and values count as nothing",
        [
            "test_breaker_peers.py::test_pybreaker_5_errors_are_named_both_ways",
            "test_breaker_forms.py::test_results_can_be_failures",
        ],
    ),
    (
        "circuitbreaker#61",
        "a breaker loses failures of threads",
        [
            "test_breaker_peers.py::test_circuitbreaker_61_threads_lose_no_failure",
            "test_breaker_permits.py::test_threads_share_the_permits",
        ],
    ),
    (
        "circuitbreaker#69, resilience4j#2383, #515, #1657",
        "nobody knows whether the breaker goes around the retries or inside",
        [
            "test_breaker_peers.py::test_circuitbreaker_69_a_refusal_is_neither_retried_nor_counted",
            "test_executor_charge.py::test_a_failed_run_is_one_failure",
            "test_executor_charge.py::test_each_failed_attempt_is_a_failure",
        ],
    ),
    (
        "hyx#11",
        "a breaker knows no failure rate",
        ["test_breaker_peers.py::test_hyx_11_a_failure_rate_over_a_window_with_a_minimum"],
    ),
    (
        "hyx#83",
        "there is no budget of retries for a whole service",
        [
            "test_retry_budget.py::test_hyx_83_at_a_total_outage_attempts_are_a_share_more_than_calls",
            "test_retry_budget.py::test_executors_share_a_budget_sync_and_async",
        ],
    ),
    (
        "slowapi#169, #12, #37, #191, #39",
        "two functions of one name share a limit",
        ["test_complaints.py::test_two_functions_of_one_name_have_limits_of_their_own"],
    ),
    (
        "slowapi#169, #12, #37, #191, #39",
        "the wrong order of decorators turns the guard off unseen",
        [
            "test_guard.py::test_class_and_static_methods_are_guarded_in_either_order",
            "test_guard.py::test_what_is_no_function_is_refused",
        ],
    ),
    (
        "anyio#947, #1170, dotnet/runtime#77180",
        "a permit is lost with a waiter that is cancelled as it is let in",
        [
            "test_concurrency_tasks.py::test_cancelled_in_the_same_tick_as_it_is_let_in_it_hands_its_permit_on",
            "test_holding_executor.py::test_a_run_that_is_cancelled_gives_back",
        ],
    ),
    (
        "jac#7909, safe-client-gateway#3442, backon#26",
        "a half-open circuit lets everybody try, and one that is cancelled keeps its place",
        [
            "test_breaker_peers.py::test_jac_7909_probes_are_capped_and_their_places_come_back",
            "test_breaker_permits.py::test_half_open_lends_so_many_permits",
            "test_breaker_permits.py::test_a_cancelled_probe_leaves_the_circuit_half_open",
        ],
    ),
    (
        "Sentinel#1638, sentinel-golang#196",
        "a probe that another stage refuses keeps the circuit half-open for ever",
        [
            "test_executor_order.py::test_a_limiters_refusal_gives_the_permit_back",
            "test_executor_charge.py::test_a_refusal_on_a_later_attempt_frees_the_probe",
        ],
    ),
    (
        "resilience4j#544, #935, #1389",
        "an ignored error or a hung call eats the last permit",
        [
            "test_breaker_peers.py::test_resilience4j_544_an_ignored_error_eats_no_permit",
            "test_breaker_permits.py::test_a_hung_probe_lapses",
        ],
    ),
    (
        "Polly#216, #223",
        "late results of older calls decide the half-open state",
        [
            "test_breaker_peers.py::test_polly_216_late_results_of_older_calls_do_not_disturb_half_open",
            "test_breaker_permits.py::test_a_result_begun_in_an_earlier_state_does_not_count",
        ],
    ),
    (
        "Polly#933",
        "a breaker within itself never closes",
        [
            "test_complaints.py::test_a_breaker_that_is_asked_twice_in_one_call_closes",
            "test_complaints.py::test_with_one_permit_a_nested_breaker_still_recovers",
        ],
    ),
    (
        "opossum#276, #385, #119",
        "a half-open circuit is stuck below its minimum of calls",
        [
            "test_breaker_peers.py::test_opossum_276_a_half_open_circuit_is_not_stuck_below_the_minimum"
        ],
    ),
    (
        "go-zero#5551, #3837, concurrency-limits#176",
        "refusals of its own keep a breaker open",
        [
            "test_executor_stops.py::test_our_own_refusals_are_never_counted",
            "test_breaker_call.py::test_our_own_refusals_are_not_failures",
        ],
    ),
    (
        "failsafe-go#139, envoy#30205",
        "a budget of retries ignores its floor, or what is in its wait",
        [
            "test_retry_budget.py::test_attempts_never_exceed_the_calls_their_share_and_the_reserve",
            "test_retry_budget.py::test_a_run_that_is_cancelled_in_its_wait_gives_its_retry_back",
        ],
    ),
    (
        "the articles' pipeline",
        "retries send three times what the limit says",
        ["test_complaints.py::test_what_retries_cost_the_other_side_can_be_counted"],
    ),
]


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
