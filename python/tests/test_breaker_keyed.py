"""KeyedCircuitBreaker: a circuit for each key, bounded, and in executors."""

import gc
import pickle
import weakref

import pytest

from helpers import Script, both, caught
from limitpal import (
    CircuitBreakerOpen,
    FailureRate,
    InvalidConfigError,
    KeyedCircuitBreaker,
    MockClock,
    RetryExhausted,
    RetryPolicy,
    SlowCallRate,
)


def test_a_key_that_fails_stops_no_other():
    """Each key has its own count, its own time and its own probes."""
    clock = MockClock()
    breakers = KeyedCircuitBreaker(1, clock=clock)

    breakers.record_failure("a")

    assert (breakers.state("a"), breakers.state("b")) == ("open", "closed")
    assert [breakers.allow(key) for key in ["a", "b", 7]] == [False, True, True]
    assert "7" in breakers
    clock.advance(5.0)
    breakers.record_success("a")
    assert breakers.state("a") == "closed"


def test_a_handle_is_the_keys_own():
    """It has every call of a `CircuitBreaker`; asking for a state remembers nothing."""
    breakers = KeyedCircuitBreaker(1, clock=MockClock())
    assert breakers.state("a") == "closed"
    assert (len(breakers), "a" in breakers) == (0, False)

    handle = breakers.get("a")
    breakers.record_failure("a")
    assert handle.state == "open"
    handle.reset()
    with handle:
        pass

    assert breakers.allow("a")
    assert len(breakers) == 1


def test_it_forgets_what_loses_least():
    """One that is as new goes before an open one; the bound holds whatever comes."""
    breakers = KeyedCircuitBreaker(1, clock=MockClock(), max_breakers=3)
    breakers.record_failure("open")

    for number in range(10):
        assert breakers.allow(number)
        assert breakers.state("open") == "open"
        assert len(breakers) <= 3

    breakers.record_failure("x")
    breakers.record_failure("y")
    breakers.record_failure("z")
    assert len(breakers) == 3
    assert breakers.state("open") == "closed", "none was as new, and it was used least recently"


@both
async def test_calls_go_through_the_keys_circuit(side):
    """`call` and `call_async` take the key first."""
    breakers = KeyedCircuitBreaker(1, clock=MockClock())
    call = breakers.call_async if side.is_async else breakers.call
    boom = ValueError()

    async def through(key, script):
        answer = call(key, side.function(script))
        return await answer if side.is_async else answer

    assert await caught(through("a", Script(boom))) is boom
    assert type(await caught(through("a", Script("fine")))) is CircuitBreakerOpen
    assert await through("b", Script("fine")) == "fine"


@both
@pytest.mark.parametrize("charge", ["call", "attempt"])
async def test_an_executor_asks_the_breaker_of_the_runs_key(side, charge):
    """One key's outage ends its runs and no others."""
    clock = MockClock(autojump=True)
    breakers = KeyedCircuitBreaker(2, recovery_timeout=60.0, clock=clock, ignore=KeyError)
    retry = RetryPolicy(max_attempts=5)
    executor = side.Executor(None, retry, breakers, clock, charge=charge)
    script = Script(TimeoutError())

    for _ in range(2):
        await caught(side.run(executor, script, key="a"))
    refusal = await caught(side.run(executor, script, key="a"))

    assert type(refusal) in (CircuitBreakerOpen, RetryExhausted)
    assert breakers.state("a") == "open"
    assert script.count == (10 if charge == "call" else 2)
    assert await side.run(executor, Script("fine"), key="b") == "fine"
    assert type(await caught(side.run(executor, Script(KeyError()), key="b"))) is RetryExhausted
    assert breakers.state("b") == "closed"
    assert "circuit_breaker=KeyedCircuitBreaker(failure_threshold=2" in repr(executor)


@both
async def test_an_executor_takes_the_time_of_a_keys_calls(side):
    """A slow key trips its own circuit."""
    clock = MockClock()
    breakers = KeyedCircuitBreaker(trip_on=SlowCallRate(1.0, 2.0, calls=1), clock=clock)
    executor = side.Executor(circuit_breaker=breakers, clock=clock)

    await side.run(executor, lambda: clock.advance(1.0), key="fast")
    await side.run(executor, lambda: clock.advance(3.0), key="slow")

    assert (breakers.state("fast"), breakers.state("slow")) == ("closed", "open")


def test_callbacks_hear_the_key():
    """Those of keys to come too; those of a handle, of its key alone."""
    breakers = KeyedCircuitBreaker(1, clock=MockClock())
    heard = []

    @breakers.on_transition
    def changed(key, old, new):
        heard.append((key, old, new))

    breakers.on_refused(lambda key, retry_after: heard.append((key, retry_after)))
    breakers.on_failure(heard.append)
    breakers.get("a").on_success(lambda: heard.append("own"))
    breakers.record_success("b")
    breakers.record_success("a")
    breakers.record_failure("a")
    breakers.allow("a")

    assert heard == ["own", ("a", "closed", "open"), "a", ("a", 5.0)]
    assert breakers.remove_callback(changed)
    breakers.record_failure("b")
    assert heard[4:] == ["b"]


def test_nonsense_is_refused_by_name():
    """As for one breaker, and a bound of none."""
    for options, parameter in [
        ({"max_breakers": 0}, "max_breakers"),
        ({"max_breakers": "many"}, "max_breakers"),
        ({"trip_on": FailureRate}, "trip_on"),
        ({"recovery_timeout": 0.0}, "recovery_timeout"),
    ]:
        with pytest.raises(InvalidConfigError) as caught:
            KeyedCircuitBreaker(**options)
        assert caught.value.parameter == parameter
    assert repr(KeyedCircuitBreaker(max_breakers=None)).endswith("max_breakers=None, len=0)")
    with pytest.raises(TypeError):
        pickle.dumps(KeyedCircuitBreaker())


def test_a_callback_that_holds_its_breakers_is_collected():
    """The garbage collector sees the cycle, with handles and executors about."""

    class Owner:
        def __init__(self):
            self.breakers = KeyedCircuitBreaker(clock=MockClock())
            self.breakers.on_transition(self.changed)
            self.handle = self.breakers.get("a")
            self.handle.on_success(self.changed)

        def changed(self, *_told):
            """Hear of it."""

    owner = Owner()
    watch = weakref.ref(owner)
    del owner
    gc.collect()

    assert watch() is None
