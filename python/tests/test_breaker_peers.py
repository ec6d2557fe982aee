"""What people suffer from with other breakers, as they have reported it."""

import asyncio
import threading

import pytest

from helpers import Script, both, caught, half_open
from limitpal import (
    CircuitBreaker,
    CircuitBreakerOpen,
    FailureRate,
    MockClock,
    ResilientExecutor,
    RetryExhausted,
    RetryPolicy,
)


def test_pybreaker_55_calls_do_not_wait_for_each_other():
    """danielfm/pybreaker#55: a lock held during the call makes eight threads one."""
    breaker = CircuitBreaker(clock=MockClock())
    together = threading.Barrier(8, timeout=30)
    threads = [threading.Thread(target=breaker.call, args=(together.wait,)) for _ in range(8)]

    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert not together.broken, "all eight were inside at once"


async def test_pybreaker_7_coroutine_functions_are_counted_when_they_end():
    """danielfm/pybreaker#7: ten failures of an `async def` left a breaker of 2 closed."""
    breaker = CircuitBreaker(2, clock=MockClock())

    @breaker
    async def fetch():
        await asyncio.sleep(0)
        raise TimeoutError

    for _ in range(2):
        await caught(fetch())

    assert breaker.state == "open"
    assert type(await caught(fetch())) is CircuitBreakerOpen


@both
async def test_pybreaker_5_errors_are_named_both_ways(side):
    """danielfm/pybreaker#5, #20: a list of failures, a list of what is none, and a predicate."""
    for options, counted in [
        ({"failure_on": OSError}, [TimeoutError()]),
        ({"ignore": (KeyError, ValueError)}, [TimeoutError()]),
        ({"failure_on": lambda error: error.args == (503,)}, [ValueError(503)]),
    ]:
        breaker = CircuitBreaker(1, clock=MockClock(), **options)
        await caught(side.call(breaker, Script(KeyError(404))))
        assert breaker.state == "closed"
        await caught(side.call(breaker, Script(*counted)))
        assert breaker.state == "open"


def test_circuitbreaker_61_threads_lose_no_failure():
    """fabfuel/circuitbreaker#61: without a lock, failures of threads overwrite each other."""
    breaker = CircuitBreaker(4000, clock=MockClock())

    def fail():
        for _ in range(1000):
            breaker.record_failure()

    threads = [threading.Thread(target=fail) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert breaker.state == "open"


@both
async def test_circuitbreaker_69_a_refusal_is_neither_retried_nor_counted(side):
    """fabfuel/circuitbreaker#69: which goes outside? The breaker; and its refusal is no attempt."""
    clock = MockClock()
    breaker = CircuitBreaker(2, clock=clock)
    executor = side.Executor(None, RetryPolicy(max_attempts=5), breaker, clock, charge="attempt")
    script = Script(TimeoutError())

    error = await caught(side.run(executor, script))
    assert (type(error), error.reason, script.count) == (RetryExhausted, "circuit_open", 2)
    assert type(await caught(side.run(executor, script))) is CircuitBreakerOpen

    assert script.count == 2


def test_hyx_11_a_failure_rate_over_a_window_with_a_minimum():
    """roma-glushko/hyx#11: one success in three never lets a count of failures in a row trip."""
    in_a_row = CircuitBreaker(3, clock=MockClock())
    rate = CircuitBreaker(
        trip_on=FailureRate(0.5, window=60.0, minimum_calls=20), clock=MockClock()
    )

    for _ in range(10):
        for breaker in [in_a_row, rate]:
            breaker.record_failure()
            breaker.record_failure()
            breaker.record_success()

    assert (in_a_row.state, rate.state) == ("closed", "open")


@both
async def test_jac_7909_probes_are_capped_and_their_places_come_back(side):
    """jac#7909, safe-client-gateway#3442: on success, on failure and on cancellation."""
    breaker = half_open(MockClock(), half_open_success_threshold=2)

    def cancelled():
        assert [breaker.allow(), breaker.allow()] == [True, False]
        breaker.record_success()
        raise asyncio.CancelledError

    assert type(await caught(side.call(breaker, cancelled))) is asyncio.CancelledError
    assert breaker.state == "half_open"
    assert await side.call(breaker, Script("fine")) == "fine"

    assert breaker.state == "closed"


def test_opossum_276_a_half_open_circuit_is_not_stuck_below_the_minimum():
    """nodeshift/opossum#276: the minimum of calls is for the closed state, not for the probe."""
    clock = MockClock()
    breaker = CircuitBreaker(trip_on=FailureRate(0.5, minimum_calls=20), clock=clock)
    for _ in range(20):
        breaker.record_failure()
    clock.advance(5.0)

    assert breaker.call(lambda: "back") == "back"

    assert breaker.state == "closed"


def test_polly_216_late_results_of_older_calls_do_not_disturb_half_open():
    """App-vNext/Polly#216: a success begun before it opened closed the circuit."""
    clock = MockClock()
    breaker = CircuitBreaker(1, clock=clock)

    def late():
        breaker.record_failure()
        clock.advance(5.0)
        assert breaker.state == "half_open"
        return "late"

    assert breaker.call(late) == "late"

    assert breaker.state == "half_open"


@pytest.mark.parametrize("charge", ["call", "attempt"])
def test_resilience4j_544_an_ignored_error_eats_no_permit(charge):
    """resilience4j#544, #935: and half-open had none left, for ever."""
    breaker = half_open(MockClock(), ignore=KeyError)
    executor = ResilientExecutor(circuit_breaker=breaker, clock=MockClock(), charge=charge)

    for _ in range(5):
        with pytest.raises(KeyError):
            executor.run("k", Script(KeyError()))

    assert executor.run("k", Script("fine")) == "fine"
    assert breaker.state == "closed"
