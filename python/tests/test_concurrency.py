"""At most so many at a time: what a concurrency limiter answers, sync and async."""

from __future__ import annotations

import copy
import gc
import inspect
import math
import pickle
import weakref

import pytest

import limitpal
from driving import ASYNC, SYNC, Flavour, call
from helpers import caught
from limitpal import InvalidConfigError, MockClock, RateLimitExceeded

NEVER = math.inf


async def refusal_of(limiter, key="k", **asked):
    """Returns the refusal of an acquire; made here, so that a sync one raises here too."""

    async def ask():
        return await call(limiter.acquire, key, **asked)

    error = await caught(ask())
    assert isinstance(error, RateLimitExceeded), error
    return error


async def test_lets_in_up_to_the_limit_and_no_more(flavour: Flavour):
    """The limit-th permit is there, the next is not."""
    limiter = flavour.ConcurrencyLimiter(3)

    permits = [await call(limiter.try_acquire, "k") for _ in range(5)]

    assert [permit is not None for permit in permits] == [True, True, True, False, False]
    assert await call(limiter.in_flight, "k") == 3


async def test_a_permit_comes_back_once_however_often_it_is_released(flavour: Flavour):
    """`release()` twice is harmless: nobody else's permit comes back."""
    limiter = flavour.ConcurrencyLimiter(2)
    first, second = [await call(limiter.acquire, "k") for _ in range(2)]

    for _ in range(3):
        first.release()

    assert await call(limiter.in_flight, "k") == 1
    second.release()
    assert await call(limiter.in_flight, "k") == 0


async def test_a_permit_is_given_back_at_the_end_of_a_with_statement(flavour: Flavour):
    """Also when an error ends it, and when it was released inside."""
    limiter = flavour.ConcurrencyLimiter(1)

    with await call(limiter.acquire, "k") as permit:
        assert await call(limiter.in_flight, "k") == 1
        permit.release()
        assert await call(limiter.in_flight, "k") == 0
    with pytest.raises(KeyError), await call(limiter.acquire, "k"):
        raise KeyError

    assert await call(limiter.in_flight, "k") == 0


async def test_a_permit_that_nobody_refers_to_comes_back(flavour: Flavour):
    """At once where references are counted; in a cycle, when it is collected."""
    limiter = flavour.ConcurrencyLimiter(1)

    await call(limiter.acquire, "k")
    assert await call(limiter.in_flight, "k") == 0
    cycle = [await call(limiter.acquire, "k")]
    cycle.append(cycle)
    assert await call(limiter.in_flight, "k") == 1
    del cycle
    gc.collect()

    assert await call(limiter.in_flight, "k") == 0


async def test_a_permit_outlives_its_limiter(flavour: Flavour):
    """It needs nothing of it but the count."""
    limiter = flavour.ConcurrencyLimiter(1)
    permit = await call(limiter.acquire, "k")
    watch = weakref.ref(limiter)

    del limiter
    gc.collect()

    assert watch() is None
    permit.release()


async def test_each_key_has_a_limit_of_its_own(flavour: Flavour):
    """Unless `per_key=False`: then it is a bulkhead."""
    limiter = flavour.ConcurrencyLimiter(1)
    bulkhead = flavour.ConcurrencyLimiter(1, per_key=False)

    held = [await call(one.acquire, "ann") for one in (limiter, bulkhead)]

    assert await call(limiter.try_acquire, "bob")
    assert not await call(bulkhead.try_acquire, "bob")
    assert await call(bulkhead.in_flight, "anybody") == 1
    assert len(held) == 2


async def test_keys_may_be_mapped(flavour: Flavour):
    """`key_by` makes a user's limit its tenant's; its errors come out."""
    limiter = flavour.ConcurrencyLimiter(1, key_by=lambda key: key.split(":")[0])
    broken = flavour.ConcurrencyLimiter(1, key_by=lambda key: {}[key])

    held = await call(limiter.acquire, "acme:ann")

    assert held
    assert await call(limiter.try_acquire, "acme:bob") is None
    assert "acme:eve" in limiter
    with pytest.raises(KeyError):
        await call(broken.try_acquire, "k")


async def test_a_key_is_remembered_while_a_permit_of_it_is_out(flavour: Flavour):
    """And no longer: there is nothing to evict."""
    limiter = flavour.ConcurrencyLimiter(2)
    assert (len(limiter), "a" in limiter, bool(limiter)) == (0, False, True)

    a, seven = [await call(limiter.acquire, key) for key in ("a", 7)]
    assert (len(limiter), "a" in limiter, "7" in limiter, "b" in limiter) == (2, True, True, False)
    a.release()
    assert (len(limiter), "a" in limiter, 7 in limiter) == (1, False, True)
    seven.release()

    assert (len(limiter), "a" in limiter) == (0, False)


async def test_a_cost_counts_as_so_many(flavour: Flavour):
    """Two of three are out: there is one left, and not two."""
    limiter = flavour.ConcurrencyLimiter(3)

    held = await call(limiter.acquire, "k", cost=2)

    assert await call(limiter.try_acquire, "k", cost=2) is None
    assert await call(limiter.try_acquire, "k", cost=1)
    held.release()
    assert await call(limiter.try_acquire, "k", cost=3)


@pytest.mark.parametrize("cost", [4, 2**40, 10**30])
async def test_a_cost_above_the_limit_is_never_served(flavour: Flavour, cost):
    """It is refused at once, with or without a timeout: `retry_after` is inf."""
    limiter = flavour.ConcurrencyLimiter(3)

    assert await call(limiter.try_acquire, "k", cost=cost) is None
    for timeout in (None, 0, 10.0, math.inf):
        refusal = await refusal_of(limiter, "user:7", timeout=timeout, cost=cost)
        assert (refusal.key, refusal.retry_after) == ("user:7", NEVER)
        assert "above the limit" in str(refusal)
    assert len(limiter) == 0


@pytest.mark.parametrize("timeout", [0, 0.0, -1])
async def test_a_timeout_of_zero_never_waits(flavour: Flavour, timeout):
    """Nobody can say when a permit comes back: `retry_after` is None."""
    limiter = flavour.ConcurrencyLimiter(1)
    held = await call(limiter.acquire, "user:7", timeout=timeout)

    refusal = await refusal_of(limiter, "user:7", timeout=timeout)

    assert (refusal.key, refusal.retry_after) == ("user:7", None)
    assert str(refusal) == 'no permit for "user:7"; one is free when somebody gives it back'
    assert await call(limiter.waiting, "user:7") == 0
    held.release()


async def test_a_wait_ends_at_its_timeout(flavour: Flavour, clock):
    """By the limiter's clock, which a wait of one thread or an idle loop moves."""
    limiter = flavour.ConcurrencyLimiter(1, clock=clock)
    held = await call(limiter.acquire, "k")

    refusal = await refusal_of(limiter, timeout=2.5)

    assert (refusal.retry_after, clock.now()) == (None, 2.5)
    assert (await call(limiter.in_flight, "k"), await call(limiter.waiting, "k")) == (1, 0)
    held.release()


async def test_so_many_may_wait_and_no_more(flavour: Flavour):
    """`max_waiting=0` lets nobody wait; try_acquire does not ask for it."""
    limiter = flavour.ConcurrencyLimiter(1, max_waiting=0)
    held = await call(limiter.acquire, "k")

    assert (await refusal_of(limiter)).retry_after is None
    assert (await refusal_of(limiter, timeout=1000.0)).retry_after is None
    held.release()

    assert await call(limiter.acquire, "k")


async def test_the_limit_can_be_changed(flavour: Flavour):
    """More are let in at once; with less, nobody is until there is room, and nobody put out."""
    limiter = flavour.ConcurrencyLimiter(1)
    held = [await call(limiter.acquire, "k")]

    await call(limiter.set_limit, 3)
    held += [await call(limiter.try_acquire, "k") for _ in range(2)]
    assert (limiter.limit, all(held)) == (3, True)
    await call(limiter.set_limit, 1)
    assert await call(limiter.in_flight, "k") == 3
    for _ in range(2):
        held.pop().release()
        assert await call(limiter.try_acquire, "k") is None
    held.pop().release()

    assert await call(limiter.try_acquire, "k")


BAD = {
    "limit": [0, -1, 1.5, math.nan, math.inf, 2**32, "3", None, True, []],
    "max_waiting": [-1, 1.5, math.nan, 2**32, "3", True, False, []],
    "per_key": ["no", 2, None],
    "key_by": [5, "tenant"],
    "clock": [5, "mock", MockClock],
}


@pytest.mark.parametrize(
    ("parameter", "value"), [(name, value) for name, values in BAD.items() for value in values]
)
def test_nonsense_is_refused_by_name(flavour: Flavour, parameter, value):
    """InvalidConfigError has the parameter, the value and the way out."""
    with pytest.raises(InvalidConfigError) as refusal:
        flavour.ConcurrencyLimiter(**{"limit": 3, parameter: value})

    assert refusal.value.parameter == parameter
    assert refusal.value.value is value
    assert str(refusal.value).startswith(f"{parameter} is ")
    assert "; give " in str(refusal.value)


@pytest.mark.parametrize("value", [0, -1, 1.5, 2**32, "3", None, True])
async def test_a_limit_of_nonsense_leaves_the_present_one(flavour: Flavour, value):
    """A live change is checked as the constructor's argument is."""
    limiter = flavour.ConcurrencyLimiter(3)

    with pytest.raises(InvalidConfigError, match="limit is "):
        await call(limiter.set_limit, value)

    assert limiter.limit == 3


@pytest.mark.parametrize("cost", [0, -1, 1.5, "1", True, None])
@pytest.mark.parametrize("method", ["acquire", "try_acquire"])
async def test_a_cost_of_nonsense_is_refused_by_name(flavour: Flavour, method, cost):
    """As for every limiter; nothing is taken."""
    limiter = flavour.ConcurrencyLimiter(3)

    with pytest.raises(InvalidConfigError, match="cost"):
        await call(getattr(limiter, method), "k", cost=cost)

    assert len(limiter) == 0


@pytest.mark.parametrize("limit", [1, 10.0, 2**32 - 1])
@pytest.mark.parametrize("max_waiting", [None, 0, 1, 2**32 - 1])
async def test_the_ends_of_the_ranges_are_fine(flavour: Flavour, limit, max_waiting):
    """Both make a working limiter; the largest does not overflow."""
    limiter = flavour.ConcurrencyLimiter(limit, max_waiting=max_waiting)

    assert (limiter.limit, type(limiter.limit)) == (limit, int)
    held = await call(limiter.acquire, "k", cost=int(limit))
    assert await call(limiter.try_acquire, "k", cost=int(limit)) is None
    held.release()


@pytest.mark.parametrize("method", ["allow", "check", "peek"])
async def test_a_bare_question_is_a_type_error_that_names_try_acquire(flavour: Flavour, method):
    """A permit that nobody holds would limit nothing."""
    limiter = flavour.ConcurrencyLimiter(1)

    for given in [(), ("k",), ("k", 2)]:
        with pytest.raises(TypeError, match=rf"has no {method}\(\).* call try_acquire\(\)"):
            getattr(limiter, method)(*given)


@pytest.mark.parametrize("copied", [pickle.dumps, copy.copy, copy.deepcopy])
async def test_live_state_is_not_pickled(flavour: Flavour, copied):
    """Neither the limiter nor a permit."""
    limiter = flavour.ConcurrencyLimiter(1)

    for one in (limiter, await call(limiter.acquire, "k")):
        with pytest.raises(TypeError, match="has live state and is not pickled"):
            copied(one)


async def test_what_was_built_is_shown(flavour: Flavour):
    """`repr` of the limiter and of a permit."""
    name = "AsyncConcurrencyLimiter" if flavour is ASYNC else "ConcurrencyLimiter"
    clock = MockClock()
    limiter = flavour.ConcurrencyLimiter(2, per_key=False, max_waiting=5, clock=clock)

    permit = await call(limiter.acquire, "k", cost=2)

    assert repr(flavour.ConcurrencyLimiter(3)) == f"{name}(limit=3)"
    assert repr(limiter) == f"{name}(limit=2, per_key=False, max_waiting=5, clock={clock!r})"
    assert repr(permit) == "<ConcurrencyPermit, cost 2, held>"
    permit.release()
    assert repr(permit) == "<ConcurrencyPermit, cost 2, given back>"


def test_a_permit_cannot_be_made():
    """A limiter gives it."""
    with pytest.raises(TypeError):
        limitpal.ConcurrencyPermit()


async def test_it_can_be_subclassed(flavour: Flavour):
    """With an `__init__` of the user's own; before it is made, it says so."""

    class Pool(flavour.ConcurrencyLimiter):
        def __init__(self, name):
            self.name = name
            super().__init__(2, per_key=False)

    pool = Pool("db")

    assert (pool.name, pool.limit) == ("db", 2)
    assert repr(pool) == "Pool(limit=2, per_key=False)"
    assert await call(pool.try_acquire)


def test_an_unmade_limiter_says_so():
    """A subclass that forgot super().__init__()."""

    class Forgetful(limitpal.ConcurrencyLimiter):
        def __init__(self):
            pass

    with pytest.raises(TypeError, match=r"super\(\).__init__\(\)"):
        Forgetful().try_acquire("k")
    with pytest.raises(TypeError, match="was called before"):
        limitpal.ConcurrencyLimiter(1).__init__(2)


def test_the_async_calls_are_coroutine_functions():
    """But `acquire`, which can be awaited and used in an `async with`, and what only refuses."""
    limiter = ASYNC.ConcurrencyLimiter(1)

    for name in ("try_acquire", "in_flight", "waiting", "set_limit"):
        assert inspect.iscoroutinefunction(getattr(limiter, name)), name
    acquiring = limiter.acquire("k")
    assert inspect.isawaitable(acquiring)
    acquiring.close()


@pytest.mark.parametrize("method", ["acquire", "try_acquire", "in_flight", "waiting", "set_limit"])
def test_both_have_the_same_signatures(method):
    """Names, order and defaults."""
    sync, twin = [
        list(inspect.signature(getattr(kind, method)).parameters)
        for kind in (SYNC.ConcurrencyLimiter, ASYNC.ConcurrencyLimiter)
    ]

    assert sync == twin
