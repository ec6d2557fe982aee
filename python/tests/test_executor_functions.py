"""The executor and the user's function: what it may be, and where it runs."""

import asyncio
import contextvars
import functools
import gc
import sys
import threading
import traceback
import warnings
from pathlib import Path

import pytest

import limitpal
from helpers import ASYNC, SYNC, Script, both, caught, each_charge, half_open, settle
from limitpal import (
    AsyncResilientExecutor,
    CircuitBreaker,
    MockClock,
    ResilientExecutor,
    RetryPolicy,
    TokenBucket,
)

HOURLY = 1 / 3600


def loaded(side, charge="call"):
    """Returns an executor with every part, on a mock clock."""
    clock = MockClock()
    limiter = side.TokenBucket(100, 10.0, clock=clock)
    return side.Executor(limiter, RetryPolicy(), CircuitBreaker(clock=clock), clock, charge=charge)


@both
@each_charge
async def test_arguments_reach_every_attempt(side, charge):
    """By position and by name, the same on the second attempt as on the first."""
    script = Script(ValueError(), "done")

    result = await settle(
        loaded(side, charge).run("k", side.function(script), 1, [2], three=3, four=None)
    )

    assert result == "done"
    assert script.calls == [((1, [2]), {"three": 3, "four": None})] * 2


@both
async def test_arguments_are_passed_by_identity(side):
    """Nothing is copied on the way."""
    treasure = object()

    assert await settle(loaded(side).run("k", side.function(lambda x: x), treasure)) is treasure
    assert await settle(loaded(side).run("k", side.function(lambda x: x), x=treasure)) is treasure


@both
async def test_key_and_function_may_be_named(side):
    """`run(key=…, func=…)` works, as 0.1.1 had it."""
    executor = loaded(side)

    result = await settle(executor.run(key="k", func=side.function(lambda n: n + 1), n=1))

    assert result == 2


@both
async def test_a_key_may_be_a_number(side):
    """An int means its decimal text."""
    clock = MockClock()
    limiter = side.TokenBucket(2, HOURLY, clock=clock)
    executor = side.Executor(limiter, clock=clock)

    await settle(executor.run(7, side.function(lambda: None)))

    assert await settle(limiter.get_tokens("7")) == 1.0


@both
@pytest.mark.parametrize("key", [None, 1.5, b"k", ("k",)], ids=repr)
async def test_a_key_is_text(side, key):
    """Anything else is a TypeError that names it; the function is not called."""
    script = Script("called")

    with pytest.raises(TypeError, match="key"):
        await settle(loaded(side).run(key, side.function(script)))

    assert script.count == 0


@both
@pytest.mark.parametrize("func", [None, 5, "name"], ids=repr)
async def test_what_cannot_be_called_is_refused(side, func):
    """A TypeError, as calling it would be."""
    with pytest.raises(TypeError):
        await settle(side.Executor().run("k", func))


class PlainCallable:
    """An object that can be called."""

    def __call__(self, n):
        return 2 * n

    def method(self, n):
        return 3 * n


async def triple(n):
    """Returns three times n, after a turn of the loop."""
    await asyncio.sleep(0)
    return 3 * n


def begin(n):
    """Returns the coroutine, as a plain function that forgot to await."""
    return triple(n)


class AsyncCallable:
    """An object whose call is a coroutine."""

    async def __call__(self, n):
        return await triple(n)


PLAIN = {
    "lambda": lambda n: 2 * n,
    "partial": functools.partial(lambda factor, n: factor * n, 2),
    "callable object": PlainCallable(),
    "bound method": PlainCallable().method,
    "builtin": abs,
    "class": complex,
}


@both
@pytest.mark.parametrize("kind", PLAIN)
async def test_plain_callables_work_in_both(side, kind):
    """Lambdas, partials, objects, methods, builtins and classes."""
    func = PLAIN[kind]

    assert await settle(loaded(side).run("k", func, 4)) == func(4)


AWAITABLES = {
    "coroutine function": triple,
    "partial of one": functools.partial(triple),
    "function that returns a coroutine": begin,
    "callable object": AsyncCallable(),
    "function that returns a task": lambda n: asyncio.ensure_future(triple(n)),
}


@pytest.mark.parametrize("kind", AWAITABLES)
async def test_the_async_executor_awaits_what_is_awaitable(kind):
    """Coroutine functions and plain functions that return an awaitable give the value."""
    assert await loaded(ASYNC).run("k", AWAITABLES[kind], 2) == 6


async def test_the_async_executor_awaits_a_future():
    """Any awaitable will do, not only coroutines."""
    future = asyncio.get_running_loop().create_future()
    future.set_result("from a future")

    assert await loaded(ASYNC).run("k", lambda: future) == "from a future"


@pytest.mark.parametrize(
    "kind", ["coroutine function", "partial of one", "function that returns a coroutine"]
)
async def test_errors_of_awaitables_are_retried(kind):
    """What the awaited thing raises is the attempt's error, wherever it is raised."""
    attempts = []

    async def flaky(n):
        attempts.append(n)
        if len(attempts) < 3:
            raise ValueError(n)
        return "done"

    def begin_flaky(n):
        return flaky(n)

    func = {
        "coroutine function": flaky,
        "partial of one": functools.partial(flaky),
        "function that returns a coroutine": begin_flaky,
    }[kind]

    assert await loaded(ASYNC).run("k", func, 1) == "done"
    assert attempts == [1, 1, 1]


REFUSED = {
    kind: AWAITABLES[kind]
    for kind in (
        "coroutine function",
        "partial of one",
        "function that returns a coroutine",
        "callable object",
    )
}


@pytest.mark.parametrize("kind", REFUSED)
@each_charge
def test_the_sync_executor_refuses_coroutines(kind, charge):
    """A TypeError that names the other executor, and no coroutine left unawaited."""
    executor = loaded(SYNC, charge)

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(TypeError, match="AsyncResilientExecutor"):
            executor.run("k", REFUSED[kind], 2)
        gc.collect()


def test_a_returned_coroutine_is_closed_and_not_retried():
    """The plain function that made it ran once; its coroutine never started, and is closed."""
    made = []

    def make():
        made.append(triple(1))
        return made[-1]

    with pytest.raises(TypeError, match="AsyncResilientExecutor"):
        loaded(SYNC).run("k", make)

    assert len(made) == 1
    assert made[0].cr_frame is None, "the coroutine is closed"


@pytest.mark.parametrize("kind", REFUSED)
def test_a_refused_coroutine_frees_the_probe(kind):
    """The caller's mistake says nothing about the other end."""
    clock = MockClock()
    breaker = half_open(clock)

    with pytest.raises(TypeError):
        ResilientExecutor(None, RetryPolicy(), breaker, clock).run("k", REFUSED[kind], 2)

    assert breaker.state == "half_open"
    assert breaker.allow() is True


def test_a_refused_coroutine_function_takes_no_quota():
    """It is seen before anything is asked."""
    clock = MockClock()
    limiter = TokenBucket(1, HOURLY, clock=clock)

    with pytest.raises(TypeError):
        ResilientExecutor(limiter, clock=clock).run("k", triple, 2)

    assert limiter.get_tokens("k") == 1.0


VARIABLE = contextvars.ContextVar("VARIABLE", default="unset")


@both
@each_charge
async def test_the_function_runs_in_the_callers_context(side, charge):
    """It reads the caller's context variables, and what it sets stays set, as without us."""
    VARIABLE.set("caller")
    seen = []

    def attempt():
        seen.append(VARIABLE.get())
        VARIABLE.set("function")
        if len(seen) < 2:
            raise ValueError

    await side.run(loaded(side, charge), attempt)

    assert seen == ["caller", "function"]
    assert VARIABLE.get() == "function"


@each_charge
async def test_the_function_runs_in_the_callers_task(charge):
    """`current_task()` is the caller's own, before and after a wait."""
    tasks = []

    async def attempt():
        tasks.append(asyncio.current_task())
        if len(tasks) < 3:
            raise ValueError

    await loaded(ASYNC, charge).run("k", attempt)

    assert tasks == [asyncio.current_task()] * 3


@both
async def test_the_function_runs_in_the_callers_thread(side):
    """No worker thread, no pool."""
    assert await side.run(loaded(side), threading.get_ident) == threading.get_ident()


def frames(error):
    """Returns the frames of a traceback as (is it ours, name)."""
    ours = Path(limitpal.__file__).parent
    return [
        (ours in Path(frame.filename).parents, frame.name)
        for frame in traceback.extract_tb(error.__traceback__)
    ]


@both
@each_charge
async def test_tracebacks_show_the_users_frames(side, charge):
    """The user's own lines are there, in order, with two of ours between them at most."""
    executor = side.Executor(circuit_breaker=CircuitBreaker(), charge=charge)

    def deep_inside():
        raise ValueError("boom")

    error = await caught(side.run(executor, deep_inside))

    names = [name for _, name in frames(error)]
    assert names[-1] == "deep_inside"
    assert "run" in names, "the caller's line"
    assert sum(is_ours for is_ours, _ in frames(error)) <= 2


@both
async def test_an_exhausted_runs_cause_keeps_its_traceback(side):
    """The last error leads to the line that raised it."""

    def deep_inside():
        raise ValueError("boom")

    error = await caught(side.run(loaded(side), deep_inside))

    assert frames(error.__cause__)[-1] == (False, "deep_inside")


@both
async def test_a_run_may_run_inside_a_run(side):
    """The same executor, from within its own function."""
    executor = loaded(side)
    inner = side.function(lambda: "inner")

    assert await settle(executor.run("outer", executor.run, "inner", inner)) == "inner"


@both
async def test_a_run_keeps_nothing_of_its_arguments(side):
    """When it is over, function and arguments are free again."""
    executor = loaded(side)
    treasure = [object()]
    before = sys.getrefcount(treasure)

    for _ in range(5):
        await settle(executor.run("k", side.function(lambda x: None), treasure))

    assert sys.getrefcount(treasure) == before


async def test_many_runs_share_one_executor():
    """Tasks in one loop, each with its own attempts and its own result."""
    clock = MockClock()
    executor = AsyncResilientExecutor(retry_policy=RetryPolicy(base_delay=1.0), clock=clock)
    tries = dict.fromkeys(range(50), 0)

    async def flaky(n):
        tries[n] += 1
        if tries[n] < 3:
            raise ValueError(n)
        return n

    results = await asyncio.gather(*(executor.run(str(n), flaky, n) for n in range(50)))

    assert results == list(range(50))
    assert set(tries.values()) == {3}
    assert clock.now() == 3.0
