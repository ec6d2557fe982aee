"""`executor.guard(key)`: a function each of whose calls is a run."""

import asyncio
import functools
import inspect
import pickle

import pytest

from helpers import both, caught, settle
from limitpal import (
    AsyncResilientExecutor,
    CircuitBreaker,
    CircuitBreakerOpen,
    KeyedCircuitBreaker,
    MockClock,
    RateLimitExceeded,
    ResilientExecutor,
    RetryPolicy,
)

plain = ResilientExecutor()


@plain.guard("module")
def at_module_level(item):
    """A function that a pickle finds by its name."""
    return item


def limited(side, capacity=1):
    """Returns an executor that refuses a key's second run, and its limiter."""
    clock = MockClock()
    limiter = side.TokenBucket(capacity, 1.0, clock=clock)
    return side.Executor(limiter, acquire_timeout=0, clock=clock), limiter


@both
async def test_each_call_is_a_run_for_the_key(side):
    """The arguments reach the function, and the run takes the quota of its key."""
    executor, limiter = limited(side)

    @executor.guard("users")
    def fetch(user, *, page=1):
        return user, page

    assert await settle(fetch("ann", page=3)) == ("ann", 3)
    assert "users" in limiter
    assert type(await caught(_late(fetch, "ann"))) is RateLimitExceeded
    assert executor.stats().calls == 2


async def _late(func, *args, **kwargs):
    return await settle(func(*args, **kwargs))


@both
async def test_the_key_may_be_a_function_of_the_arguments(side):
    """It is called as the function is, and text and numbers are keys."""
    executor, limiter = limited(side)

    @executor.guard(key=lambda user, page=1: user if page == 1 else page)
    def fetch(user, page=1):
        return page

    assert await settle(fetch("ann")) == 1
    assert await settle(fetch("ann", 7)) == 7
    assert await settle(fetch(user="bob")) == 1
    assert "ann" in limiter
    assert "7" in limiter
    assert "bob" in limiter
    assert type(await caught(_late(fetch, "bob"))) is RateLimitExceeded


@both
async def test_arguments_may_have_the_names_of_runs_own(side):
    """`key`, `func` and `self` reach the function."""
    executor = side.Executor()

    @executor.guard("k")
    def call(key, func=None, self=None, **others):
        return key, func, self, others

    assert await settle(call(key=1, func=2, self=3, args=4)) == (1, 2, 3, {"args": 4})


@both
async def test_such_arguments_are_given_by_their_place_where_they_can(side):
    """What sees the arguments of a run sees those of the function; a wrong call is the user's."""
    seen = []

    class Seeing(side.Executor):
        def run(self, key, func, *args, **kwargs):
            seen.append((args, kwargs))
            return super().run(key, func, *args, **kwargs)

    executor = Seeing()

    @executor.guard("k")
    def by_place(first, key=1, *, last=2):
        return first, key, last

    @executor.guard("k")
    def by_name(*, key):
        return key

    assert await settle(by_place("a", key=7, last=8)) == ("a", 7, 8)
    assert await settle(by_name(key=7)) == 7
    assert seen == [(("a", 7), {"last": 8}), ((), {})]
    with pytest.raises(TypeError, match="missing 1 required positional argument: 'first'"):
        await settle(by_place(key=7))


@both
async def test_a_method_is_guarded_and_its_key_sees_self(side):
    """Each object has the quota of its own key."""
    executor, _ = limited(side)

    class Client:
        def __init__(self, host):
            self.host = host

        @executor.guard(key=lambda self, path: self.host)
        def get(self, path):
            return self.host + path

    ours, theirs = Client("ours"), Client("theirs")
    assert await settle(ours.get("/a")) == "ours/a"
    assert await settle(theirs.get(path="/b")) == "theirs/b"
    assert type(await caught(_late(ours.get, "/a"))) is RateLimitExceeded
    assert ours.get.executor is executor


@both
@pytest.mark.parametrize("outside", [True, False], ids=["guard outside", "guard inside"])
async def test_class_and_static_methods_are_guarded_in_either_order(side, outside):
    """Nothing is bound wrongly, and `.executor` is there."""
    executor = side.Executor()
    guard = executor.guard("k")

    def both_ways(kind, func):
        return guard(kind(func)) if outside else kind(guard(func))

    class Client:
        make = both_ways(classmethod, lambda cls, host: (cls, host))
        parse = both_ways(staticmethod, lambda text: int(text, 10))

    for bound in (Client, Client()):
        assert await settle(bound.make("host")) == (Client, "host")
        assert await settle(bound.parse("7")) == 7
        assert bound.make.executor is bound.parse.executor is executor


@both
async def test_a_guarded_function_looks_like_itself(side):
    """Name, doc, signature, annotations, and the function without the guard."""
    executor = side.Executor()

    def fetch(user: str, page: int = 1) -> bytes:
        """Fetch a page."""

    guarded = executor.guard("k")(fetch)

    assert (guarded.__name__, guarded.__doc__) == ("fetch", "Fetch a page.")
    assert guarded.__qualname__.endswith("<locals>.fetch")
    assert inspect.signature(guarded) == inspect.signature(fetch)
    assert guarded.__wrapped__ is fetch
    assert guarded.executor is executor
    assert guarded.__annotations__ == fetch.__annotations__


def test_a_guarded_function_pickles_by_its_name():
    """As any function does."""
    assert pickle.loads(pickle.dumps(at_module_level)) is at_module_level


async def test_what_an_async_executor_guards_is_a_coroutine_function():
    """Of coroutine functions, of plain ones, and of those that return an awaitable."""
    executor = AsyncResilientExecutor()

    async def fetch(page):
        await asyncio.sleep(0)
        return page

    for func in (fetch, lambda page: page, lambda page=7: fetch(page), functools.partial(fetch)):
        guarded = executor.guard("k")(func)
        assert inspect.iscoroutinefunction(guarded)
        assert await guarded(7) == 7
    assert not inspect.iscoroutinefunction(plain.guard("k")(lambda: 7))


@both
async def test_retries_and_the_breaker_are_those_of_the_executor(side):
    """A guarded function is retried, and refused while the circuit of its key is open."""
    clock = MockClock()
    breakers = KeyedCircuitBreaker(1, 60.0, clock=clock)
    executor = side.Executor(
        retry_policy=RetryPolicy(2, base_delay=0.0, retry_on=OSError),
        circuit_breaker=breakers,
        clock=clock,
    )
    calls = []

    @executor.guard(key=lambda host: host)
    def fetch(host):
        calls.append(host)
        raise OSError if host == "down" else KeyError

    await caught(_late(fetch, "down"))
    assert calls == ["down", "down"]
    assert type(await caught(_late(fetch, "down"))) is CircuitBreakerOpen
    assert type(await caught(_late(fetch, "other"))) is KeyError


@both
async def test_a_key_function_that_fails_comes_out_and_no_run_begins(side):
    """The mistake is the user's own, and seen."""
    executor = side.Executor()

    @executor.guard(key=lambda user: user["name"])
    def fetch(user):
        return user

    assert type(await caught(_late(fetch, {}))) is KeyError
    assert executor.stats().calls == 0


@both
async def test_a_key_that_is_none_is_refused_as_run_refuses_it(side):
    """At the decoration where it is fixed, at the call where it is computed."""
    executor = side.Executor()

    with pytest.raises(TypeError, match=r"key is 1\.5 \(float\); give a str or an int"):
        executor.guard(1.5)
    guarded = executor.guard(key=lambda: None)(lambda: 7)
    with pytest.raises(TypeError, match="key is None"):
        await settle(guarded())


@both
async def test_generators_are_refused_where_they_are_defined(side):
    """Their bodies run only as somebody iterates: nothing would be retried, nothing counted."""
    executor = side.Executor()

    def pages():
        yield 1

    async def pages_async():
        yield 1

    class Pages:
        def __call__(self):
            yield 1

    for func in (pages, pages_async, functools.partial(pages), Pages()):
        with pytest.raises(TypeError, match="is a generator function"):
            executor.guard("k")(func)


def test_a_coroutine_function_on_a_sync_executor_names_the_twin():
    """Rather than to fail at the first call."""

    async def fetch():
        return 7

    class Fetch:
        async def __call__(self):
            return 7

    for func in (fetch, functools.partial(fetch), Fetch()):
        with pytest.raises(TypeError, match="use AsyncResilientExecutor"):
            plain.guard("k")(func)


@both
async def test_what_is_no_function_is_refused(side):
    """A property, or a call of the decorator that was left without its key."""
    executor = side.Executor()

    with pytest.raises(TypeError, match=r"@executor\.guard\(key\), below any other decorator"):
        executor.guard("k")(property(lambda self: 7))

    @executor.guard
    def fetch(page):
        return page

    with pytest.raises(TypeError, match="3 is not a function"):
        fetch(3)


@both
async def test_a_key_function_with_other_parameters_is_refused_at_the_decoration(side):
    """Not in the night, at the first call that leaves the second argument out."""
    executor = side.Executor()

    def fetch(user, page=1, *, size=10):
        return user

    for key in (
        lambda user: user,
        lambda user, page, size: user,
        lambda user, page, *, size=10: user,
        lambda user, page=1: user,
    ):
        with pytest.raises(TypeError, match="other parameters than its key function"):
            executor.guard(key)(fetch)
    for key in (
        lambda user, page=1, *, size=10: user,
        lambda user, *_, **__: user,
        lambda *args, **kwargs: args[0],
    ):
        assert await settle(executor.guard(key)(fetch)("ann", 2, size=3)) == "ann"


@both
async def test_an_async_key_function_is_refused(side):
    """Its answer would be a coroutine."""

    async def key(user):
        return user

    with pytest.raises(TypeError, match="is async; give a plain one"):
        side.Executor().guard(key)


@both
async def test_a_builtin_may_be_the_key_function(side):
    """`str` has no signature to compare."""
    executor, limiter = limited(side)

    @executor.guard(key=str)
    def fetch(number):
        return number

    assert await settle(fetch(7)) == 7
    assert "7" in limiter


async def test_a_subclass_that_overrides_run_is_run():
    """The guard goes by `run`, whosoever it is."""
    ran = []

    class Told(ResilientExecutor):
        def run(self, key, func, *args, **kwargs):
            ran.append(key)
            return super().run(key, func, *args, **kwargs)

    class AsyncTold(AsyncResilientExecutor):
        async def run(self, key, func, *args, **kwargs):
            ran.append(key)
            return await super().run(key, func, *args, **kwargs)

    for executor in (Told(), AsyncTold()):
        assert await settle(executor.guard("k")(lambda: 7)()) == 7
    assert ran == ["k", "k"]


def test_guards_may_be_stacked():
    """Two executors around one function, the outer one first."""
    clock = MockClock()
    breaker = CircuitBreaker(1, clock=clock)
    outer = ResilientExecutor(circuit_breaker=breaker, clock=clock)
    inner = ResilientExecutor(retry_policy=RetryPolicy(2, base_delay=0), clock=clock)
    calls = []

    @outer.guard("outer")
    @inner.guard("inner")
    def fetch():
        calls.append(1)
        raise OSError

    with pytest.raises(Exception, match="2 attempts failed"):
        fetch()
    assert (len(calls), breaker.state, fetch.executor) == (2, "open", outer)
