"""Composites with a concurrency limiter: all or nothing, and a permit held while the work lasts."""

from __future__ import annotations

import asyncio
import gc
import math
import pickle

import pytest

import limitpal
from driving import ASYNC, Flavour, call, settle
from helpers import caught
from limitpal import CompositePermit, InvalidConfigError, MockClock, RateLimitExceeded


class Both:
    """A bucket of one a second and a pool, and both as one."""

    def __init__(self, flavour: Flavour, burst=5, limit=2):
        self.clock = MockClock()
        self.bucket = flavour.TokenBucket(burst, 1, clock=self.clock)
        self.pool = flavour.ConcurrencyLimiter(limit, clock=self.clock)
        self.all = flavour.CompositeLimiter([self.bucket, self.pool])

    async def seen(self, key="k"):
        """Returns the tokens left, and how many permits are out."""
        tokens = await call(self.bucket.get_tokens, key)
        return tokens, await call(self.pool.in_flight, key)

    async def refused(self, key="k", **asked):
        async def ask():
            return await call(self.all.acquire, key, **{"timeout": 0, **asked})

        error = await caught(ask())
        assert isinstance(error, RateLimitExceeded), error
        return error


async def test_a_permit_holds_the_places_and_quota_is_spent(flavour: Flavour):
    """What is taken from the bucket stays taken when the permit goes back."""
    both = Both(flavour)

    first = await call(both.all.try_acquire, "k")
    with await call(both.all.acquire, "k") as permit:
        assert isinstance(permit, CompositePermit)
        assert await both.seen() == (3.0, 2)
    assert await both.seen() == (3.0, 1)
    first.release()
    first.release()

    assert await both.seen() == (3.0, 0)


async def test_a_refusal_leaves_every_part_as_it_was(flavour: Flavour):
    """Whichever part refuses; a pool that refuses says that nobody knows until when."""
    both = Both(flavour, burst=2, limit=1)
    held = await call(both.all.try_acquire, "k")

    assert await call(both.all.try_acquire, "k") is None
    assert (await both.refused()).retry_after is None
    assert await both.seen() == (1.0, 1)

    held.release()
    assert await call(both.bucket.allow, "k")
    assert await call(both.all.try_acquire, "k") is None
    assert (await both.refused()).retry_after == 1.0
    assert (await both.refused(cost=2)).retry_after == math.inf
    assert "k" not in both.pool


@pytest.mark.parametrize("method", ["allow", "allow_many", "check", "peek"])
async def test_what_nobody_would_hold_is_refused_by_the_name_of_what_is(flavour: Flavour, method):
    """A bare `allow` would limit nothing; without a pool it is there as ever."""
    both = Both(flavour)

    with pytest.raises(TypeError, match=rf"no {method}\(\).*call try_acquire\(\)"):
        await call(getattr(both.all, method), ["k"] if method == "allow_many" else "k")
    assert await both.seen() == (5.0, 0)


async def test_without_a_pool_nothing_is_held(flavour: Flavour):
    """`acquire` gives None as ever; `try_acquire` a permit that holds nothing."""
    bucket = flavour.TokenBucket(2, 1, clock=MockClock())
    limiter = flavour.CompositeLimiter([bucket])

    assert await call(limiter.acquire, "k") is None
    with await call(limiter.try_acquire, "k"):
        assert await call(limiter.try_acquire, "k") is None
    assert await call(bucket.get_tokens, "k") == 0.0


async def test_composites_among_them_count_as_their_parts(flavour: Flavour):
    """Their pools too; and the same one twice is refused."""
    both = Both(flavour)
    log = flavour.window("SlidingWindowLog")(1, 10, clock=both.clock)
    limiter = flavour.CompositeLimiter([log, both.all])

    with await call(limiter.try_acquire, "k"):
        assert await both.seen() == (4.0, 1)
    assert (limiter.bound(1), both.all.bound(1)) == (1, 6)
    assert limiter.limiters == (log, both.all)
    with pytest.raises(InvalidConfigError):
        flavour.CompositeLimiter([both.pool, both.all])
    with pytest.raises(TypeError, match=r"no bound\(\)"):
        flavour.CompositeLimiter([both.pool]).bound(1)


async def test_limiters_of_ones_own_are_not_joined_with_a_pool(flavour: Flavour):
    """They would be waited for while its permit is held."""

    class Own(flavour.TokenBucket):
        def allow(self, *args):
            return super().allow(*args)

    pool = flavour.ConcurrencyLimiter(1)

    with pytest.raises(TypeError, match="hold a permit within"):
        flavour.CompositeLimiter([Own(1, 1), pool])

    class OwnPool(flavour.ConcurrencyLimiter):
        def try_acquire(self, *args):
            return super().try_acquire(*args)

    for make in (lambda own: flavour.CompositeLimiter([own]), flavour.ResilientExecutor):
        with pytest.raises(TypeError, match="acquires in its own way; hold its permit around it"):
            make(OwnPool(1))


@pytest.mark.parametrize("other", ["CompositeLimiter", "ResilientExecutor"])
def test_the_twin_is_named(flavour: Flavour, other):
    """A sync pool is no part of an async composite or executor, nor the reverse."""
    prefix, wrong = ("Async", "") if flavour is ASYNC else ("", "Async")
    pool = getattr(limitpal, f"{wrong}ConcurrencyLimiter")(1)
    given = [pool] if other == "CompositeLimiter" else pool

    with pytest.raises(TypeError, match=rf"give {prefix}ConcurrencyLimiter"):
        getattr(limitpal, prefix + other)(given)


async def test_what_is_held_is_shown_and_not_pickled(flavour: Flavour):
    """A permit that nobody refers to goes back."""
    both = Both(flavour)
    permit = await call(both.all.acquire, "k")

    assert repr(permit) == "<CompositePermit, held>"
    with pytest.raises(TypeError, match="has live state"):
        pickle.dumps(permit)
    permit.release()
    assert repr(permit) == "<CompositePermit, given back>"
    await call(both.all.acquire, "k")
    gc.collect()
    assert (await both.seen())[1] == 0


class Crew:
    """Tasks that acquire from composites, who went when, and what they hold."""

    def __init__(self, clock):
        self.clock = clock
        self.tasks = []
        self.went = []
        self.permits = {}

    async def come(self, limiter, **asked):
        who = len(self.tasks)

        async def wait():
            self.permits[who] = await limiter.acquire("k", **asked)
            self.went.append((who, self.clock.now()))

        self.tasks.append(asyncio.ensure_future(wait()))
        await settle()
        return who

    async def release(self, who):
        self.permits.pop(who).release()
        await settle()

    async def cancel(self, who):
        self.tasks[who].cancel()
        await asyncio.gather(self.tasks[who], return_exceptions=True)
        await settle()


def still(flavour_burst, limit):
    """Returns both, on a clock that stands still, and a crew."""
    both = Both(ASYNC, flavour_burst, limit)
    both.clock = MockClock(autojump=False)
    both.bucket = ASYNC.TokenBucket(flavour_burst, 1, clock=both.clock)
    both.pool = ASYNC.ConcurrencyLimiter(limit, clock=both.clock)
    both.all = ASYNC.CompositeLimiter([both.bucket, both.pool])
    return both, Crew(both.clock)


async def test_async_with_holds_a_permit():
    """What `acquire` returns is awaited, or used in an `async with`."""
    both = Both(ASYNC)

    async with both.all.acquire("k"):
        assert await both.seen() == (4.0, 1)
    with pytest.raises(KeyError):
        async with both.all.acquire("k"):
            raise KeyError

    assert await both.seen() == (3.0, 0)


async def test_one_who_waits_for_quota_keeps_no_permit_and_goes_in_its_order():
    """Quota, then a permit, then quota again: whoever came first goes first."""
    both, crew = still(1, 1)
    await both.bucket.allow("k")
    await crew.come(both.all)
    assert "k" not in both.pool
    held = await both.pool.try_acquire("k")
    await crew.come(both.all)
    await crew.come(both.all)

    await both.clock.run_for(1)
    await settle()
    assert (await both.pool.waiting("k"), await both.bucket.get_tokens("k")) == (3, 1.0)
    held.release()
    await settle()
    await both.clock.run_for(9)
    await crew.release(0)
    await crew.release(1)
    await both.clock.run_for(2)

    assert crew.went == [(0, 1.0), (1, 10.0), (2, 11.0)]


@pytest.mark.parametrize("where", ["quota", "permit", "between"])
async def test_one_that_is_cancelled_leaves_nothing_behind(where):
    """In either line, and in the moment in which its turn comes."""
    both, crew = still(1, 1)
    await both.bucket.allow("k")
    held = None
    if where != "quota":
        await both.clock.run_for(1)
        held = await both.pool.acquire("k")
    who = await crew.come(both.all)
    after = await crew.come(both.all)

    if where == "between":
        held.release()
        crew.tasks[who].cancel()
        await settle()
    else:
        await crew.cancel(who)
        if held is not None:
            held.release()
    await settle()
    await both.clock.run_for(1)
    await settle()

    assert [name for name, _ in crew.went] == [after]
    assert await both.seen() == (1.0 if where != "quota" else 0.0, 1)
    await crew.release(after)
    assert "k" not in both.pool


async def test_a_timeout_runs_to_its_end_for_a_permit_and_is_over_at_once_for_quota():
    """By the composite's clock, through all the lines."""
    both, crew = still(1, 1)
    await both.bucket.allow("k")
    waits = await crew.come(both.all, timeout=3)
    held = await both.pool.try_acquire("k")

    late = await crew.come(both.all, timeout=0.5)
    assert crew.tasks[late].exception().retry_after is None
    await both.clock.run_for(2.9)
    assert not crew.tasks[waits].done()
    await both.clock.run_for(0.2)
    assert crew.tasks[waits].exception().retry_after is None
    assert await both.seen() == (1.0, 1)
    held.release()
    assert "k" not in both.pool


async def test_two_pools_asked_in_either_order_block_nobody():
    """Who held one and waited for the other would wait for ever."""
    one, other = ASYNC.ConcurrencyLimiter(1), ASYNC.ConcurrencyLimiter(1)
    there, back = ASYNC.CompositeLimiter([one, other]), ASYNC.CompositeLimiter([other, one])
    went = 0

    async def work(limiter):
        nonlocal went
        for _ in range(20):
            async with limiter.acquire("k"):
                await asyncio.sleep(0)
            went += 1

    await asyncio.wait_for(asyncio.gather(*map(work, [there, back, there, back, one])), 30)

    assert (went, len(one), len(other)) == (100, 0, 0)
