"""What a function returned: awaited if `await` takes it, handed on if it does not."""

import asyncio
import types

import pytest

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
async def test_any_other_generator_is_a_result(caller):
    """It is handed on as it is, not started."""
    result = await CALLERS[caller](generator)

    assert list(result) == [1]
