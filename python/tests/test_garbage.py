"""Garbage: cycles through a user's clock, callback or exception type are collected."""

import gc
import weakref

import pytest

from helpers import ASYNC, SYNC, HandClock, Script, both, caught, run_in, settle
from limitpal import AdaptiveConcurrency, CircuitBreaker, ClientThrottle, MockClock, RetryPolicy


class Mark:
    """An object whose end can be seen."""


def ends_with(make):
    """Returns whether what `make` builds around a mark is collected once it is unreachable."""
    mark = Mark()
    watch = weakref.ref(mark)
    keeper = make(mark)
    assert watch() is mark
    del mark, keeper
    gc.collect()
    return watch() is None


class OwnClock(HandClock):
    """A clock that can hold what is built on it."""


def on_a_clock(build):
    """Returns a maker: a clock that holds the mark, and the object that holds the clock."""

    def make(mark):
        clock = OwnClock()
        clock.mark = mark
        clock.owner = build(clock)
        return clock

    return make


def clocked(side):
    """Returns the builders of everything that keeps a clock."""
    return {
        "token": lambda clock: side.TokenBucket(1, 1.0, clock=clock),
        "leaky": lambda clock: side.LeakyBucket(1, 1.0, clock=clock),
        "composite": lambda clock: side.CompositeLimiter(
            [side.TokenBucket(1, 1.0, clock=clock)], clock=clock
        ),
        "concurrency": lambda clock: side.ConcurrencyLimiter(1, clock=clock),
        "breaker": lambda clock: CircuitBreaker(clock=clock),
        "throttle": lambda clock: ClientThrottle(clock=clock),
        "adaptive": lambda clock: AdaptiveConcurrency(clock=clock),
        "adaptive permit": lambda clock: AdaptiveConcurrency(clock=clock).acquire(),
        "executor": lambda clock: side.Executor(clock=clock),
        "full executor": lambda clock: side.Executor(
            side.TokenBucket(1, 1.0, clock=clock), RetryPolicy(), CircuitBreaker(clock=clock)
        ),
    }


@both
@pytest.mark.parametrize("kind", clocked(SYNC))
def test_a_cycle_through_a_clock_is_collected(side, kind):
    """The clock knows its owner and the owner its clock; together they go."""
    assert ends_with(on_a_clock(clocked(side)[kind]))


@both
@pytest.mark.parametrize("kind", ["token", "leaky", "composite", "concurrency"])
def test_a_mock_clock_may_be_part_of_the_cycle(side, kind):
    """A subclass of MockClock with attributes of its own, too."""

    class Marked(MockClock):
        pass

    def make(mark):
        clock = Marked()
        clock.mark = mark
        clock.owner = clocked(side)[kind](clock)
        return clock

    assert ends_with(make)


@both
@pytest.mark.parametrize("kind", ["token", "concurrency"])
def test_a_cycle_through_key_by_is_collected(side, kind):
    """The callback closes over the limiter that holds it."""

    def make(mark):
        def key_by(key):
            return f"{len(limiter)}:{mark}"

        if kind == "token":
            limiter = side.TokenBucket(1, 1.0, key_by=key_by)
        else:
            limiter = side.ConcurrencyLimiter(1, key_by=key_by)
        return limiter

    assert ends_with(make)


def test_a_cycle_through_an_exception_type_is_collected():
    """A class that remembers the policy or the breaker that names it."""

    def make(build):
        def around(mark):
            kind = type("Kind", (Exception,), {"mark": mark})
            kind.owner = build(kind)
            return kind

        return around

    assert ends_with(make(lambda kind: RetryPolicy(retry_on=kind)))
    assert ends_with(make(lambda kind: CircuitBreaker(ignore=kind)))
    assert ends_with(make(lambda kind: ClientThrottle(reject_on=kind)))
    assert ends_with(make(lambda kind: AdaptiveConcurrency(drop_on=kind)))


@both
def test_a_cycle_through_a_users_part_is_collected(side):
    """A limiter of the user's that knows the composite or executor it is part of."""

    def make(build):
        def around(mark):
            part = side.own_limiter(lambda: None)
            part.mark = mark
            part.owner = build(part)
            return part

        return around

    assert ends_with(make(lambda part: side.CompositeLimiter([part])))
    assert ends_with(make(side.Executor))


@both
def test_used_objects_are_collected_too(side):
    """After runs, waits and errors nothing holds on to clock, function or error."""

    def make(mark):
        clock = OwnClock()
        clock.mark = mark
        clock.owner = clocked(side)["full executor"](clock)

        async def use():
            await caught(side.run(clock.owner, Script(ValueError(mark))))
            await side.run(clock.owner, lambda: clock)

        run_in("asyncio", use())
        return clock

    assert ends_with(make)


def test_an_async_wait_given_up_holds_nothing():
    """A cancelled waiter's task and loop are free."""
    import asyncio

    def make(mark):
        clock = MockClock(autojump=False)
        limiter = ASYNC.TokenBucket(1, 1.0, clock=clock)

        async def wait(held):
            await limiter.acquire("k")
            await limiter.acquire("k")
            return held

        async def use():
            task = asyncio.ensure_future(wait(mark))
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            task.cancel()
            await asyncio.wait([task])

        run_in("asyncio", use())
        return limiter, mark

    assert ends_with(make)


def test_an_async_wait_for_a_permit_given_up_holds_nothing():
    """A cancelled waiter's task and loop are free, and so is one that was let in."""
    import asyncio

    def make(mark):
        limiter = ASYNC.ConcurrencyLimiter(1)

        async def wait(held):
            async with limiter.acquire("k", timeout=1000.0):
                await asyncio.sleep(0)
            return held

        async def use():
            permit = await limiter.acquire("k")
            tasks = [asyncio.ensure_future(wait(mark)) for _ in range(2)]
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            tasks[0].cancel()
            permit.release()
            await asyncio.wait(tasks)

        run_in("asyncio", use())
        return limiter, mark

    assert ends_with(make)


def test_an_error_keeps_no_executor_alive():
    """`RetryExhausted` carries the last error, not the machinery."""
    clock = OwnClock()
    executor = SYNC.Executor(retry_policy=RetryPolicy(max_attempts=1), clock=clock)
    watch = weakref.ref(clock)

    def fail():
        raise ValueError

    try:
        executor.run("k", fail)
    except Exception as error:
        kept = error.with_traceback(None)
        kept.last_error.with_traceback(None)
    del executor, clock
    gc.collect()

    assert watch() is None
    assert kept.attempts == 1


def abandon(thing):
    """Makes a garbage cycle of what it is given."""
    cycle = [thing]
    cycle.append(cycle)


def marked_clock():
    """Returns a clock whose contents can be seen to be there."""
    clock = OwnClock()
    clock.mark = "still here"
    return clock


@both
@pytest.mark.parametrize("many", range(1, 6))
@pytest.mark.parametrize("kind", clocked(SYNC))
def test_a_clock_in_use_survives_what_was_built_on_it(side, kind, many):
    """Collecting the owners must not clear a clock that its user still holds."""
    clock = marked_clock()
    for _ in range(many):
        abandon(clocked(side)[kind](clock))

    gc.collect()

    assert vars(clock).get("mark") == "still here"


async def fail_in(side, executor):
    """Runs into an error, and leaves it as a cycle with its frames: run, executor and all."""
    error = await caught(side.run(executor, Script(ValueError())))
    error.cycle = error


async def fail_often(side, clock, attempts, many, shared):
    """Leaves executors behind, and errors of their runs."""
    policy = RetryPolicy(max_attempts=attempts)
    executor = side.Executor(retry_policy=policy, clock=clock)
    for _ in range(many):
        await fail_in(side, executor)
        if not shared:
            executor = side.Executor(retry_policy=policy, clock=clock)


@both
@pytest.mark.parametrize("many", range(1, 6))
@pytest.mark.parametrize("attempts", [1, 2])
@pytest.mark.parametrize("shared", [False, True], ids=["an executor each", "one executor"])
def test_a_clock_in_use_survives_the_runs_on_it(side, attempts, many, shared):
    """The run refers to what its executor refers to; the collector must not count it twice."""
    clock = marked_clock()  # no closure may hold it: it must hang on this frame alone

    run_in("asyncio", fail_often(side, clock, attempts, many, shared))
    gc.collect()

    assert vars(clock).get("mark") == "still here"


async def refuse_often(side, clock, many):
    """Leaves a composite behind, and errors of its refusals."""
    composite = clocked(side)["composite"](clock)
    await settle(composite.acquire("k"))
    for _ in range(many):
        error = await caught(timed_out(composite))
        error.cycle = error
    abandon(composite)


async def timed_out(limiter):
    """Asks without waiting; a sync limiter raises here too."""
    await settle(limiter.acquire("k", timeout=0))


@both
@pytest.mark.parametrize("many", range(1, 6))
def test_a_clock_in_use_survives_a_composites_refusals(side, many):
    """The same for the takes of a composite, which are objects of their own."""
    clock = marked_clock()

    run_in("asyncio", refuse_often(side, clock, many))
    gc.collect()

    assert vars(clock).get("mark") == "still here"
