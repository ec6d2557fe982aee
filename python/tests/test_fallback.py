"""A fallback: what it answers, what it leaves alone, and that it hides nothing from policies."""

from __future__ import annotations

import asyncio
import concurrent.futures
import gc
import weakref
from typing import Any

import pytest

from driving import ASYNC, BOTH, SYNC, Flavour, call
from helpers import caught
from limitpal import (
    CircuitBreaker,
    Fallback,
    InvalidConfigError,
    MockClock,
    RateLimitExceeded,
    RetryExhausted,
    RetryPolicy,
)


def raises(error: Any) -> Any:
    """Return a function that raises."""

    def function(*_args: Any, **_kwargs: Any) -> Any:
        raise error

    return function


async def test_it_answers_errors_exhaustion_and_refusals_alike_and_values_never(flavour: Flavour):
    """And the policies hear of the errors all the same."""
    clock = MockClock()
    breaker = CircuitBreaker(2, clock=clock)
    nothing: list[Any] = []
    executor = flavour.ResilientExecutor(
        flavour.TokenBucket(3, 0.001, clock=clock),
        RetryPolicy(max_attempts=2),
        breaker,
        acquire_timeout=0,
        fallback=Fallback(nothing),
    )

    assert await call(executor.run, "k", lambda: 7) == 7
    assert await call(executor.run, "k", raises(TimeoutError())) is nothing, "exhausted"
    assert await call(executor.run, "k", lambda: None) is None, "a value, too"
    assert await call(executor.run, "k", lambda: 7) is nothing, "no quota"
    breaker.record_failure(), breaker.record_failure()
    assert await call(executor.run, "k", lambda: 7) is nothing, "the circuit is open"

    stats = executor.stats()
    assert (stats.calls, stats.successes, stats.failures, stats.refusals) == (5, 2, 1, 2)
    assert stats.fallbacks == 3


async def test_on_says_which_errors_are_answered(flavour: Flavour):
    """Types, a function of the error, and the last error of a run that is exhausted."""

    async def answered(on: Any, error: Exception, **parts: Any) -> bool:
        executor = flavour.ResilientExecutor(**parts, fallback=Fallback("instead", on=on))
        try:
            return await call(executor.run, "k", raises(error)) == "instead"
        except Exception:
            return False

    retry = RetryPolicy(max_attempts=1)
    assert await answered(OSError, ConnectionError())
    assert not await answered(OSError, KeyError())
    assert await answered([KeyError, ValueError], ValueError())
    assert not await answered((), KeyError())
    assert await answered(lambda error: error.args == ("this",), KeyError("this"))
    assert not await answered(lambda error: error.args == ("this",), KeyError("that"))
    assert await answered(OSError, ConnectionError(), retry_policy=retry)
    assert await answered(RetryExhausted, ConnectionError(), retry_policy=retry)
    assert not await answered(RateLimitExceeded, ConnectionError(), retry_policy=retry)


async def test_the_function_gets_the_error_and_the_error_stays_reachable(flavour: Flavour):
    """It is the context of what the function raises; a run that is answered well has none."""
    got: list[Exception] = []

    def instead(error: Exception) -> str:
        got.append(error)
        if isinstance(error, KeyError):
            raise LookupError("nothing instead")
        return "instead"

    executor = flavour.ResilientExecutor(fallback=Fallback(func=instead))
    first, second = OSError(), KeyError()

    assert await call(executor.run, "k", raises(first)) == "instead"
    raised = await caught(call(executor.run, "k", raises(second)))

    assert (type(raised), raised.__context__) == (LookupError, second)
    assert got == [first, second]
    assert executor.stats().fallbacks == 1


async def test_the_function_may_be_async_where_the_executor_is():
    """In the sync one that is a mistake."""

    async def instead(error: Exception) -> str:
        await asyncio.sleep(0)
        return f"instead of {type(error).__name__}"

    executor = ASYNC.ResilientExecutor(fallback=Fallback(func=instead))
    assert await executor.run("k", raises(KeyError())) == "instead of KeyError"

    sync = SYNC.ResilientExecutor(fallback=Fallback(func=instead))
    with pytest.raises(TypeError, match=r"instead is async.*AsyncResilientExecutor"):
        sync.run("k", raises(KeyError()))


@pytest.mark.parametrize(
    "error",
    [
        KeyboardInterrupt,
        SystemExit,
        asyncio.CancelledError,
        GeneratorExit,
        concurrent.futures.CancelledError,
        InvalidConfigError,
    ],
)
async def test_it_does_not_answer_cancellation_ctrl_c_or_a_mistake(flavour: Flavour, error):
    """Whatever `on` says."""
    for on in (Exception, lambda _error: True):
        executor = flavour.ResilientExecutor(fallback=Fallback("instead", on=on))
        with pytest.raises(error):
            await call(executor.run, "k", raises(error))


async def test_a_function_that_cannot_be_run_is_a_mistake(flavour: Flavour):
    """A value in its place would hide it for ever."""

    async def coroutine() -> None: ...

    def generator():
        yield 1

    executor = flavour.ResilientExecutor(fallback=Fallback("instead"))
    functions = [generator, 7] if flavour is ASYNC else [generator, 7, coroutine]
    for function in functions:
        with pytest.raises(TypeError):
            await call(executor.run, "k", function)
    with pytest.raises(TypeError):
        await call(executor.run, b"key", int)
    assert await call(executor.run, "k", raises(TypeError("mine"))) == "instead"


def test_bad_input_is_refused():
    """It names the parameter and the value."""
    for given in ({}, {"value": 1, "func": len}, {"func": 3}):
        with pytest.raises(InvalidConfigError):
            Fallback(**given)
    for on in (3, BaseException, KeyboardInterrupt, [3], (KeyError, SystemExit), "KeyError"):
        with pytest.raises(InvalidConfigError, match="on is"):
            Fallback(1, on=on)
    for flavour in BOTH:
        with pytest.raises(InvalidConfigError, match="fallback is 3; give Fallback"):
            flavour.ResilientExecutor(fallback=3)


def test_it_is_a_value_and_shows_what_it_is():
    """Equal where all of it is; and in the executor's repr."""
    assert Fallback([], on=[KeyError]) == Fallback([], on=(KeyError,))
    assert Fallback([]) != Fallback({})
    assert repr(Fallback([])) == "Fallback([])"
    assert repr(Fallback(None, on=KeyError)) == "Fallback(None, on=KeyError)"
    assert repr(Fallback(0, on=(KeyError, OSError))) == "Fallback(0, on=(KeyError, OSError))"
    assert repr(Fallback(func=len)) == "Fallback(func=<built-in function len>)"
    for flavour in BOTH:
        executor = flavour.ResilientExecutor(fallback=Fallback(0))
        assert repr(executor) == f"{type(executor).__name__}(charge='call', fallback=Fallback(0))"


async def test_arguments_and_subclasses_come_through(flavour: Flavour):
    """As without a fallback."""

    class Mine(flavour.ResilientExecutor):  # type: ignore[name-defined, misc]
        pass

    executor = Mine(fallback=Fallback(0))
    kept: dict[str, Any] = {}

    def function(*args: Any, **kwargs: Any) -> str:
        kept.update(args=args, kwargs=kwargs)
        return "fine"

    assert await call(executor.run, 7, function, 1, two=2) == "fine"
    assert kept == {"args": (1,), "kwargs": {"two": 2}}
    assert await call(executor.run, "k", lambda: 1) == 1
    assert executor.stats().calls == 2


def test_an_executor_in_a_cycle_with_its_fallback_is_collected():
    """The garbage collector sees through it."""
    for flavour in BOTH:

        class Holder:
            executor: Any

        holder = Holder()
        holder.executor = flavour.ResilientExecutor(fallback=Fallback(holder))
        gone = weakref.ref(holder)
        del holder
        gc.collect()
        assert gone() is None
