"""CircuitBreaker: decorator, context manager, and which ends of a call count."""

import asyncio
import contextvars
import inspect
from functools import partial

import pytest

from helpers import Script, both, caught, half_open, trip
from limitpal import CircuitBreaker, CircuitBreakerOpen, MockClock, ResilientExecutor, RetryPolicy


def test_a_decorated_function_goes_through_the_breaker():
    """Its name, its doc and its result are the function's own."""
    breaker = CircuitBreaker(1, clock=MockClock())

    @breaker
    def fetch(page, *, size=10):
        """Fetch a page."""
        if page < 0:
            raise ValueError(page)
        return page, size

    assert fetch(3, size=5) == (3, 5)
    assert (fetch.__name__, fetch.__doc__) == ("fetch", "Fetch a page.")
    with pytest.raises(ValueError, match="-1"):
        fetch(-1)
    with pytest.raises(CircuitBreakerOpen):
        fetch(3)


async def test_a_decorated_coroutine_function_stays_one():
    """It is awaited under a permit, as `call_async` does it."""
    breaker = half_open(MockClock())

    @breaker
    async def fetch(page):
        await asyncio.sleep(0)
        assert not breaker.allow(), "its permit is out"
        return page

    assert inspect.iscoroutinefunction(fetch)
    assert await fetch(3) == 3
    assert breaker.state == "closed"


def test_a_decorated_method_gets_its_self():
    """A method is a function like any other."""
    breaker = CircuitBreaker(1, clock=MockClock())

    class Client:
        def __init__(self):
            self.base = 10

        @breaker
        def get(self, page):
            return self.base + page

    assert Client().get(3) == 13


def test_generators_are_refused():
    """Their body runs as somebody iterates: a success would be a lie."""
    breaker = CircuitBreaker(clock=MockClock())

    def pages():
        yield 1

    async def pages_async():
        yield 1

    for function in [pages, pages_async]:
        with pytest.raises(TypeError, match=r"is a generator function.*with breaker"):
            breaker(function)
    for function in [pages, partial(pages)]:
        with pytest.raises(TypeError, match="returned a generator, whose body has not run yet"):
            breaker.call(function)


async def test_generators_are_refused_where_they_are_awaited():
    """By `call_async` too."""
    breaker = CircuitBreaker(clock=MockClock())

    def pages():
        yield 1

    with pytest.raises(TypeError, match="pages returned a generator, whose body has not run yet"):
        await breaker.call_async(pages)


async def test_the_wrong_way_to_call_names_the_right_one():
    """A coroutine function through `call` is a TypeError that says `call_async()`."""
    breaker = half_open(MockClock())

    async def fetch():
        return 1

    def start():
        return fetch()

    with pytest.raises(TypeError, match=r"use call_async\(\)"):
        breaker.call(fetch)
    with pytest.raises(TypeError, match=r"use call_async\(\)"):
        breaker(start)()
    with pytest.raises(TypeError, match="give a function"):
        breaker(3)
    assert breaker.allow(), "its permit went back"


def test_with_records_how_its_body_ended():
    """No error is a success, an error a failure that comes out."""
    breaker = CircuitBreaker(1, clock=MockClock())

    with breaker as entered:
        assert entered is breaker
    with pytest.raises(ValueError, match="down"), breaker:
        raise ValueError("down")

    assert breaker.state == "open"
    with pytest.raises(CircuitBreakerOpen), breaker:
        raise AssertionError("an open circuit does not enter")


async def test_async_with_does_as_with():
    """In half-open it holds the permit while its body lasts."""
    breaker = half_open(MockClock())

    async with breaker as entered:
        assert entered is breaker
        await asyncio.sleep(0)
        assert not breaker.allow()

    assert breaker.state == "closed"


async def test_tasks_and_nested_blocks_have_permits_of_their_own():
    """Whoever ends first reports its own end."""
    breaker = half_open(MockClock(), half_open_success_threshold=3)
    ends = asyncio.Event()

    async def call():
        async with breaker:
            await ends.wait()

    tasks = [asyncio.create_task(call()) for _ in range(2)]
    await asyncio.sleep(0)
    with breaker:
        assert not breaker.allow()
    assert breaker.state == "half_open"
    tasks[0].cancel()
    await asyncio.gather(tasks[0], return_exceptions=True)
    with breaker:
        pass
    ends.set()
    await tasks[1]

    assert breaker.state == "closed"


async def test_a_block_that_is_cancelled_counts_as_neither():
    """Its permit goes back."""
    breaker = half_open(MockClock())

    async def call():
        async with breaker:
            await asyncio.Event().wait()

    task = asyncio.create_task(call())
    await asyncio.sleep(0)
    assert not breaker.allow()
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)

    assert breaker.state == "half_open"
    assert breaker.allow()


def test_a_block_that_ends_in_another_context_reports_all_the_same():
    """A fixture's two halves may run in two contexts."""
    breaker = half_open(MockClock())

    contextvars.copy_context().run(breaker.__enter__)
    breaker.__exit__(None, None, None)

    assert breaker.state == "closed"


@both
@pytest.mark.parametrize(
    ("failure_on", "error", "state"),
    [
        (TimeoutError, TimeoutError(), "open"),
        (TimeoutError, KeyError(), "closed"),
        ((KeyError, TimeoutError), KeyError(), "open"),
        (lambda error: "down" in str(error), ValueError("down"), "open"),
        (lambda error: "down" in str(error), ValueError("no such page"), "closed"),
    ],
)
async def test_failure_on_says_which_errors_are_failures(side, failure_on, error, state):
    """The other side answered with the rest: they close a half-open circuit."""
    clock = MockClock()
    for executes in [False, True]:
        breaker = half_open(clock, failure_on=failure_on)
        executor = side.Executor(circuit_breaker=breaker, clock=clock)
        call = side.run(executor, Script(error)) if executes else None

        assert await caught(call or side.call(breaker, Script(error))) is error

        assert breaker.state == state


@both
async def test_ignored_errors_are_neither_whatever_failure_on_says(side):
    """`ignore` is asked first."""
    breaker = half_open(MockClock(), failure_on=ValueError, ignore=ValueError)

    await caught(side.call(breaker, Script(ValueError())))

    assert breaker.state == "half_open"
    assert breaker.allow()


@both
async def test_results_can_be_failures(side):
    """A 503 that nobody raised."""
    clock = MockClock()
    for executes in [False, True]:
        breaker = CircuitBreaker(1, clock=clock, failure_on_result=lambda code: code >= 500)
        executor = side.Executor(circuit_breaker=breaker, clock=clock)

        def call(code, breaker=breaker, executor=executor, executes=executes):
            script = Script(code)
            return side.run(executor, script) if executes else side.call(breaker, script)

        assert await call(404) == 404
        assert breaker.state == "closed"
        assert await call(503) == 503
        assert breaker.state == "open"


@both
async def test_a_predicate_that_fails_comes_out_and_no_permit_is_lost(side):
    """The mistake is the user's own, and seen."""
    for options in [
        {"failure_on": lambda error: 1 / 0},
        {"failure_on_result": lambda value: 1 / 0},
    ]:
        breaker = half_open(MockClock(), **options)
        script = Script(ValueError() if "failure_on" in options else 7)

        assert type(await caught(side.call(breaker, script))) is ZeroDivisionError

        assert breaker.state == "half_open"
        assert breaker.allow()


def test_an_executor_hears_of_a_bad_result_once_the_run_ends():
    """Retries are for errors; the value that ends the run is judged."""
    clock = MockClock()
    breaker = CircuitBreaker(1, clock=clock, failure_on_result=lambda value: value == "bad")
    executor = ResilientExecutor(None, RetryPolicy(), breaker, clock)

    assert executor.run("k", Script(ValueError(), "bad")) == "bad"

    assert breaker.state == "open"
    trip(breaker)
