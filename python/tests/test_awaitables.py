"""What a function returned: awaited if `await` takes it, handed on if it does not."""

import asyncio
import types
from functools import partial

import pytest

import limitpal
from limitpal import AsyncResilientExecutor, CircuitBreaker, ResilientExecutor

CALLERS = {
    "executor": lambda func: AsyncResilientExecutor().run("k", func),
    "breaker": lambda func: CircuitBreaker().call_async(func),
}
each_caller = pytest.mark.parametrize("caller", CALLERS)


@types.coroutine
def old_style():
    """A coroutine as it was before `async def`: a generator that `await` takes."""
    yield from asyncio.sleep(0).__await__()
    return 7


def generator():
    """A generator, which `await` does not take."""
    yield 1


class Later:
    """An object that can be awaited; its class cannot."""

    def __await__(self):
        yield from asyncio.sleep(0).__await__()
        return 8


@each_caller
@pytest.mark.parametrize("kind", [asyncio.Future, Later], ids=lambda kind: kind.__name__)
async def test_a_class_of_awaitables_is_a_result(caller, kind):
    """`Future` has an `__await__` for its instances: it is returned, not awaited."""
    assert await CALLERS[caller](lambda: kind) is kind


@pytest.mark.parametrize("kind", [asyncio.Future, Later], ids=lambda kind: kind.__name__)
def test_a_class_of_awaitables_is_a_result_of_the_sync_twins(kind):
    """No coroutine that somebody forgot to await: it is returned."""
    assert ResilientExecutor().run("k", lambda: kind) is kind
    assert CircuitBreaker().call(lambda: kind) is kind


@each_caller
async def test_a_generator_that_is_a_coroutine_is_awaited(caller):
    """`types.coroutine` makes one, without an `__await__`."""
    assert await CALLERS[caller](old_style) == 7
    assert await CALLERS[caller](Later) == 8


@each_caller
async def test_any_other_generator_is_refused(caller):
    """Its body has not run, so nothing is known of how it goes."""
    for func in [generator, partial(generator)]:
        with pytest.raises(TypeError, match="returned a generator, whose body has not run yet"):
            await CALLERS[caller](func)


class _Old:
    """A sync limiter whose calls are generators that `types.coroutine` made coroutines."""

    @types.coroutine
    def allow(self, key):
        """Answer to nobody: it has to be awaited."""
        yield

    @types.coroutine
    def acquire(self, key):
        """Answer to nobody: it has to be awaited."""
        yield


@pytest.mark.parametrize("run", ["executor", "breaker", "allow", "acquire", "limiter"])
def test_the_sync_side_refuses_a_generator_that_is_a_coroutine(run):
    """It has not run, so it is no success: a TypeError."""
    old = _Old()
    calls = {
        "executor": lambda: limitpal.ResilientExecutor().run("k", old.allow, "k"),
        "breaker": lambda: limitpal.CircuitBreaker().call(old.allow, "k"),
        "allow": lambda: limitpal.CompositeLimiter([old]).allow("k"),
        "acquire": lambda: limitpal.CompositeLimiter([old]).acquire("k"),
        "limiter": lambda: limitpal.ResilientExecutor(old).run("k", print),
    }

    with pytest.raises(TypeError, match=r"async|awaitable"):
        calls[run]()


@pytest.mark.parametrize("delay", [float("nan"), -1.0, float("inf")])
def test_a_delay_that_makes_no_sense_is_refused(delay):
    """An overridden `next_delay` cannot turn retries into a storm."""

    class Policy(limitpal.RetryPolicy):
        def next_delay(self, attempt):
            return delay

    executor = limitpal.ResilientExecutor(retry_policy=Policy(), clock=limitpal.MockClock())

    with pytest.raises(limitpal.InvalidConfigError, match="next_delay"):
        executor.run("k", lambda: 1 / 0)
