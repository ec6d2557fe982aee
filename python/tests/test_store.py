"""What is remembered of keys, and what may be forgotten without anybody noticing."""

from __future__ import annotations

import threading

import pytest

from driving import ASYNC, PATIENCE, SYNC, Flavour, Line, call, drain
from limitpal import MockClock

KINDS = ["token", "leaky"]


async def use(limiter, *keys: str, cost: int = 1) -> None:
    """Take from each key, in this order."""
    for key in keys:
        assert await call(limiter.allow, key, cost=cost), key


def names(prefix: str, count: int) -> list[str]:
    """Return so many different keys."""
    return [f"{prefix}{n}" for n in range(count)]


def held(limiter, keys: list[str]) -> list[str]:
    """Return those of the keys that are remembered."""
    return [key for key in keys if key in limiter]


@pytest.mark.parametrize("kind", KINDS)
async def test_a_bucket_idle_past_its_ttl_and_full_again_is_forgotten(
    flavour: Flavour, clock, kind
):
    """After `ttl` of rest a full bucket goes at the next look, every `cleanup_interval` calls."""
    limiter = flavour.bucket(kind, 2, 1, clock=clock, ttl=60.0, cleanup_interval=5)
    await use(limiter, *names("old", 4))

    clock.advance(60.0 + 2.0)
    for _ in range(10):
        await call(limiter.allow, "fresh")

    assert held(limiter, names("old", 4)) == []
    assert len(limiter) == 1
    assert limiter.evicted_live == 0


@pytest.mark.parametrize("kind", KINDS)
async def test_a_bucket_in_use_is_not_forgotten(flavour: Flavour, clock, kind):
    """Used within its ttl, a key stays, however old it is."""
    limiter = flavour.bucket(kind, 2, 1, clock=clock, ttl=60.0, cleanup_interval=1)

    for _ in range(10):
        await use(limiter, "busy")
        clock.advance(50.0)
        await call(limiter.allow, "other")

    assert "busy" in limiter


@pytest.mark.parametrize("kind", KINDS)
async def test_an_idle_bucket_that_is_not_full_stays(flavour: Flavour, kind):
    """ttl=300 on 10 per hour: forgetting at 300 s would hand out a fresh burst."""
    clock = MockClock()
    limiter = flavour.bucket(kind, 10, 10 / 3600, clock=clock, ttl=300.0, cleanup_interval=1)
    admitted = 0

    for _ in range(72):  # each time some seconds past the ttl
        admitted += sum([await call(limiter.allow, "k") for _ in range(12)])
        clock.advance(305.0)
        await call(limiter.allow, "other")
        clock.advance(1.0)

    hours = 72 * 306 / 3600
    assert admitted <= 10 + 10 * hours
    assert admitted >= 10 * hours - 1


@pytest.mark.parametrize("kind", KINDS)
async def test_without_a_ttl_nothing_is_forgotten(flavour: Flavour, clock, kind):
    """No ttl and no cap: a key is remembered for ever."""
    limiter = flavour.bucket(kind, 2, 1, clock=clock, cleanup_interval=1)
    await use(limiter, *names("k", 200))

    clock.advance(1e8)
    await use(limiter, *names("n", 200))

    assert len(limiter) == 400


@pytest.mark.parametrize("interval", [1, 7, 100, 10**9])
async def test_decisions_do_not_depend_on_the_cleanup_interval(flavour: Flavour, interval):
    """When one looks changes what is remembered, never what is decided."""
    clock = MockClock()
    limiter = flavour.TokenBucket(3, 1, clock=clock, ttl=5.0, cleanup_interval=interval)
    plain = flavour.TokenBucket(3, 1, clock=clock)

    for step in range(600):
        key, cost = f"k{step * 7 % 11}", 1 + step % 3
        mine = await call(limiter.check, key, cost=cost)
        theirs = await call(plain.check, key, cost=cost)
        assert (mine.allowed, mine.remaining, mine.retry_after) == (
            theirs.allowed,
            theirs.remaining,
            theirs.retry_after,
        )
        clock.advance((step % 5) * 0.23 + (30.0 if step % 50 == 49 else 0.0))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("cap", [1, 2, 16, 64, 1000, 3000])
async def test_max_buckets_is_reached_and_never_passed(flavour: Flavour, clock, kind, cap):
    """Nobody is evicted while there is room; with none, the number stays."""
    limiter = flavour.bucket(kind, 5, 1, clock=clock, max_buckets=cap)

    await use(limiter, *names("k", cap))
    assert len(limiter) == cap
    assert len(held(limiter, names("k", cap))) == cap
    assert limiter.evicted_live == 0
    for name in names("n", 200):
        await use(limiter, name)
        assert name in limiter
        assert len(limiter) == cap


@pytest.mark.parametrize("kind", KINDS)
async def test_a_newcomer_takes_the_place_of_a_bucket_as_good_as_new(flavour: Flavour, clock, kind):
    """A full bucket goes before a used one, although the used one was touched longer ago."""
    limiter = flavour.bucket(kind, 5, 1, clock=clock, max_buckets=3)
    await use(limiter, "limited", cost=5)
    clock.advance(0.5)
    await use(limiter, "light", "light2")
    clock.advance(2.0)

    await use(limiter, "new")

    assert held(limiter, ["limited", "light", "light2", "new"]) == ["limited", "light2", "new"]
    assert limiter.evicted_live == 0


async def test_of_those_as_good_as_new_the_least_recently_used_goes(flavour: Flavour, clock):
    """Among full buckets the order is least recent use, whatever the order of arrival."""
    limiter = flavour.TokenBucket(5, 10, clock=clock, max_buckets=4)
    for key in ("a", "b", "c", "d", "b", "a"):
        await use(limiter, key)
        clock.advance(0.01)
    clock.advance(10.0)

    for newcomer, gone in (("e", "c"), ("f", "d"), ("g", "b"), ("h", "a")):
        await use(limiter, newcomer)
        assert gone not in limiter
        assert newcomer in limiter
    assert limiter.evicted_live == 0


async def test_when_all_are_live_the_one_nearest_to_new_goes(flavour: Flavour, clock):
    """The least used bucket loses least; the eviction is counted."""
    limiter = flavour.TokenBucket(10, 1, clock=clock, max_buckets=3)
    await use(limiter, "heavy", cost=9)
    await use(limiter, "light", cost=1)
    await use(limiter, "middle", cost=5)

    await use(limiter, "new", cost=2)

    assert held(limiter, ["heavy", "light", "middle", "new"]) == ["heavy", "middle", "new"]
    assert limiter.evicted_live == 1
    assert not await call(limiter.allow, "heavy", cost=2)


async def test_among_equals_the_least_recently_used_goes(flavour: Flavour, clock):
    """Ties are broken by least recent use."""
    limiter = flavour.TokenBucket(10, 1, clock=clock, max_buckets=3)
    await use(limiter, "b", cost=2)
    await use(limiter, "a", cost=4)
    await use(limiter, "b", cost=2)
    await use(limiter, "c", cost=4)

    await use(limiter, "new", cost=4)

    assert held(limiter, ["a", "b", "c", "new"]) == ["b", "c", "new"]
    assert limiter.evicted_live == 1


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("cap", [2, 50, 1024])
async def test_a_flood_of_new_keys_does_not_reset_a_limited_key(flavour: Flavour, clock, kind, cap):
    """Twenty thousand strangers later the limited key is limited as before."""
    limiter = flavour.bucket(kind, 10, 0.01, clock=clock, max_buckets=cap)
    await drain(limiter, "victim")

    for n in range(20_000 if cap < 1024 else 5_000):
        await call(limiter.allow, f"stranger{n}")

    assert "victim" in limiter
    assert not await call(limiter.allow, "victim")
    assert len(limiter) == cap
    assert limiter.evicted_live > 0


async def test_in_a_large_store_one_in_sixteen_as_good_as_new_is_found(flavour: Flavour, clock):
    """Above 1,024 buckets live ones stay while a sixteenth of the whole is as good as new."""
    cap, idle = 4096, 600
    limiter = flavour.TokenBucket(10, 1, clock=clock, max_buckets=cap)
    await use(limiter, *names("idle", idle))
    clock.advance(5.0)
    await use(limiter, *names("live", cap - idle), cost=5)

    newcomers = idle - cap // 16
    await use(limiter, *names("new", newcomers), cost=5)

    assert limiter.evicted_live == 0
    assert len(limiter) == cap
    assert len(held(limiter, names("live", cap - idle))) == cap - idle
    assert len(held(limiter, names("new", newcomers))) == newcomers


async def test_evicting_the_idle_changes_no_decision(flavour: Flavour, clock):
    """While nobody live is evicted, a small store decides as an unbounded one."""
    small = flavour.TokenBucket(3, 2, clock=clock, max_buckets=20)
    whole = flavour.TokenBucket(3, 2, clock=clock)

    for step in range(3000):
        key = f"k{step * step % 97}"
        assert await call(small.allow, key) == await call(whole.allow, key), step
        clock.advance(0.1)

    assert small.evicted_live == 0
    assert len(small) <= 20 < len(whole)


@pytest.mark.parametrize("kind", KINDS)
async def test_a_bucket_somebody_waits_for_stays(still, kind):
    """A flood does not take the bucket from under a waiter; it goes at its time."""
    limiter = ASYNC.bucket(kind, 1, 1, clock=still, max_buckets=2, ttl=0.5, cleanup_interval=1)
    await drain(limiter, "waited")
    line = Line(limiter, still)
    for name in "ab":
        await line.join(name, key="waited")

    for n in range(100):
        await limiter.allow(f"stranger{n}")
        if n == 50:
            await line.advance(0.9)
    assert "waited" in limiter
    await line.advance(1.1, step=0.1)

    assert line.seconds == {"a": 1.0, "b": 2.0}


async def test_peeking_evicts_nobody(flavour: Flavour, clock):
    """Looking at strangers takes nobody's place."""
    limiter = flavour.TokenBucket(5, 1, clock=clock, max_buckets=2)
    await use(limiter, "a", "b")

    for name in names("stranger", 50):
        assert await call(limiter.peek, name)

    assert held(limiter, ["a", "b"]) == ["a", "b"]
    assert limiter.evicted_live == 0


async def test_reset_makes_room(flavour: Flavour, clock):
    """A forgotten key's place is free: the next newcomer evicts nobody."""
    limiter = flavour.TokenBucket(5, 1, clock=clock, max_buckets=2)
    await use(limiter, "a", "b")

    await call(limiter.reset, "a")
    await use(limiter, "c")

    assert held(limiter, ["a", "b", "c"]) == ["b", "c"]
    assert limiter.evicted_live == 0


def test_threads_never_pass_the_cap():
    """Eight threads with new keys all the time: the number of buckets is never above the cap."""
    limiter = SYNC.TokenBucket(5, 1, max_buckets=100)
    seen: list[int] = []

    def flood(thread: int) -> None:
        highest = 0
        for n in range(3000):
            limiter.allow(f"{thread}/{n}")
            highest = max(highest, len(limiter))
        seen.append(highest)

    threads = [threading.Thread(target=flood, args=(n,)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE)

    assert len(seen) == 8
    assert max(seen) <= 100
    assert len(limiter) == 100
