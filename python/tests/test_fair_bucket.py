"""The fair bucket, sync and async: a share for each key, and what nobody uses for who asks."""

from __future__ import annotations

import asyncio
import pickle
import threading

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import limitpal
from driving import ASYNC, BOTH, Flavour, call
from limitpal import (
    AsyncFairBucket,
    FairBucket,
    InvalidConfigError,
    MockClock,
    MonotonicClock,
    RateLimitExceeded,
)


def fair(flavour: Flavour, *args, **kwargs):
    """Make a fair bucket of this colour."""
    return flavour.window("FairBucket")(*args, **kwargs)


async def burst(limiter, key: str) -> int:
    """Return how often a key is let in at once."""
    admitted = 0
    while await call(limiter.allow, key):
        admitted += 1
    return admitted


async def test_a_hot_key_leaves_the_others_their_shares(flavour: Flavour, clock):
    """Of three keys each has a third of the burst; what is not used is there for who asks."""
    limiter = fair(flavour, 12, 12, clock)
    assert await call(limiter.allow, "ann")
    assert await call(limiter.allow, "bob")

    assert [await burst(limiter, key) for key in ("hot", "ann", "bob")] == [4, 3, 3]
    clock.advance(1)
    admitted = 0
    for _ in range(120):
        admitted += await burst(limiter, "hot")
        clock.advance(1 / 12)
    assert 120 <= admitted <= 124
    assert (await call(limiter.peek, "ann")).remaining == 4
    assert limiter.bound(1) == 24


async def test_the_settings_are_read_and_shown(flavour: Flavour, clock):
    """What was given, and a repr that says how to make it again."""
    limiter = fair(flavour, 10.0, limitpal.Rate(5), clock, active_for=30)
    name = type(limiter).__name__

    assert (limiter.capacity, limiter.refill_rate, limiter.active_for) == (10, 5.0, 30.0)
    assert (len(limiter), "k" in limiter, bool(limiter)) == (0, False, True)
    assert repr(limiter) == (
        f"{name}(capacity=10, refill_rate=5.0, active_for=30.0, clock={clock!r})"
    )
    assert fair(flavour, 600, 1).active_for == 600.0
    assert fair(flavour, 6, 1).active_for == 60.0
    assert await call(limiter.get_tokens) == 10.0
    with pytest.raises(TypeError, match="live state"):
        pickle.dumps(limiter)
    with pytest.raises(TypeError, match="no snapshot"):
        await call(limiter.snapshot)
    with pytest.raises(InvalidConfigError, match="begins full"):
        await call(limiter.restore, b"any")


async def test_a_key_has_a_share_while_it_is_active(flavour: Flavour, clock):
    """A key that is forgotten leaves its share to the others."""
    limiter = fair(flavour, 10, 10, clock, active_for=5)
    await call(limiter.allow, "gone")
    assert await burst(limiter, "hot") == 5

    clock.advance(5)
    assert (len(limiter), "gone" in limiter) == (0, False)
    assert await burst(limiter, "hot") == 10
    await call(limiter.reset)
    assert await call(limiter.get_tokens) == 10.0


async def test_key_by_says_who_shares(flavour: Flavour, clock):
    """Users of one tenant have one share together."""
    limiter = fair(flavour, 10, 10, clock, key_by=lambda key: key.split(":")[0])
    await call(limiter.allow, "b:1")

    admitted = [await call(limiter.allow, f"a:{user}") for user in range(10)]
    assert sum(admitted) == 5
    assert len(limiter) == 2


@pytest.mark.parametrize(
    ("arguments", "parameter"),
    [
        ({"capacity": 0}, "capacity"),
        ({"capacity": 1.5}, "capacity"),
        ({"refill_rate": float("nan")}, "refill_rate"),
        ({"active_for": 0}, "active_for"),
        ({"active_for": "long"}, "active_for"),
        ({"key_by": 7}, "key_by"),
    ],
)
def test_nonsense_is_refused_by_its_name(flavour: Flavour, arguments, parameter):
    """The error names the argument."""
    with pytest.raises(InvalidConfigError) as refused:
        fair(flavour, **{"capacity": 10, "refill_rate": 1, **arguments})
    assert refused.value.parameter == parameter


async def test_keys_take_turns_among_those_who_wait(clock: MockClock):
    """However many wait for one key, another does not wait for all of them."""
    limiter = AsyncFairBucket(10, 10, clock)
    assert await burst(limiter, "hot") == 10
    went = []

    async def wait(key: str) -> None:
        await limiter.acquire(key)
        went.append(key)

    tasks = [asyncio.create_task(wait("hot")) for _ in range(6)]
    await asyncio.sleep(0)
    tasks += [asyncio.create_task(wait("ann")) for _ in range(3)]
    await asyncio.gather(*tasks)

    assert went == ["hot", "ann", "hot", "ann", "hot", "ann", "hot", "hot", "hot"]


async def test_a_place_that_is_cancelled_is_the_next_ones(clock: MockClock):
    """Nobody waits for one who has left."""
    limiter = AsyncFairBucket(2, 10, clock)
    assert await burst(limiter, "k") == 2
    tasks = [asyncio.create_task(limiter.acquire("k")) for _ in range(3)]
    await asyncio.sleep(0)

    tasks[0].cancel()
    await asyncio.gather(*tasks, return_exceptions=True)

    assert tasks[0].cancelled()
    assert clock.now() == pytest.approx(0.2)


async def test_a_wait_that_becomes_too_long_is_refused_when_its_time_is_over(clock: MockClock):
    """A wait is refused at once if it is too long as things stand, else when it has become so."""
    limiter = AsyncFairBucket(10, 10, clock)
    await limiter.allow("ann")
    assert await burst(limiter, "hot") == 5
    with pytest.raises(RateLimitExceeded) as refused:
        await limiter.acquire("hot", timeout=0.199)
    assert (refused.value.retry_after, clock.now()) == (0.2, 0.0)

    first = asyncio.create_task(limiter.acquire("hot", timeout=0.2))
    second = asyncio.create_task(limiter.acquire("hot", timeout=0.3))
    await asyncio.sleep(0)
    other = asyncio.create_task(limiter.acquire("ann", cost=5))
    await asyncio.gather(first, other)
    with pytest.raises(RateLimitExceeded) as refused:
        await second

    assert (refused.value.key, refused.value.retry_after) == ("hot", None)
    assert clock.now() == pytest.approx(0.3)


async def test_it_is_a_part_of_composites_and_executors(flavour: Flavour, clock):
    """Where a token bucket stands, it can stand too."""
    limiter, own = fair(flavour, 2, 10, clock), flavour.TokenBucket(5, 10, clock)
    composite = flavour.CompositeLimiter([limiter, own])
    for _ in range(4):
        await call(composite.acquire, "k", timeout=1)
    assert clock.now() == pytest.approx(0.2)

    name = "ResilientExecutor" if flavour.name == "sync" else "AsyncResilientExecutor"
    executor = getattr(limitpal, name)(limiter)
    assert [await call(executor.run, "k", lambda: "yes") for _ in range(3)] == ["yes"] * 3
    assert clock.now() == pytest.approx(0.5)


def test_a_thread_that_waits_moves_a_mock_clock(clock: MockClock):
    """The blocking wait ends at its turn."""
    limiter = FairBucket(1, 10, clock)
    for _ in range(4):
        limiter.acquire("k")
    assert clock.now() == pytest.approx(0.3)
    with pytest.raises(RateLimitExceeded):
        limiter.acquire("k", timeout=0)


class Slow:
    """A clock of the user's own."""

    def __init__(self) -> None:
        self.mock = MockClock()

    def now(self) -> float:
        return self.mock.now()

    def sleep(self, seconds: float) -> None:
        self.mock.advance(seconds)

    async def sleep_async(self, seconds: float) -> None:
        await asyncio.sleep(0)
        self.mock.advance(seconds)


async def test_a_clock_of_the_users_own_is_slept_by(flavour: Flavour):
    """Whoever sleeps by it asks again when it wakes."""
    clock = Slow()
    limiter = fair(flavour, 1, 10, clock)
    for _ in range(3):
        await call(limiter.acquire, "k")
    assert clock.now() == pytest.approx(0.2, abs=1e-6)


def test_threads_share_the_real_clock():
    """Real time: four threads with a key each, and nobody is forgotten."""
    limiter = FairBucket(4, 1000, MonotonicClock())
    done = []

    def work(key: str) -> None:
        for _ in range(25):
            limiter.acquire(key)
        done.append(key)

    threads = [threading.Thread(target=work, args=(key,)) for key in "abcd"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert sorted(done) == list("abcd")


@settings(max_examples=25, deadline=None)
@given(
    clients=st.lists(st.tuples(st.integers(1, 3), st.integers(2, 200)), min_size=1, max_size=6),
    share=st.integers(4, 30),
    rate=st.integers(5, 200),
)
def test_each_gets_its_share_and_all_get_the_limit(clients, share, rate):
    """For any demands beside one hot key: at least min(demand, limit / n), and nothing unused."""
    clients = [*clients, (1, 1)]
    count = len(clients)
    clock = MockClock()
    limiter = FairBucket(share * count, rate, clock)
    asked, got = [0] * count, [0] * count

    for tick in range(1500):
        for who, (cost, every) in enumerate(clients):
            if tick % every == 0:
                asked[who] += cost
                got[who] += cost * limiter.allow(str(who), cost)
        clock.advance(0.01)

    limit = rate * 15
    for who, (cost, _) in enumerate(clients):
        assert got[who] >= min(asked[who], limit / count) - share - cost, (clients, asked, got)
    # A tick brings several permits, of which the share's burst is all that goes at once.
    assert sum(got) <= limiter.bound(15)
    if rate * 0.01 <= 1:
        assert sum(got) >= 0.95 * min(sum(asked), limit)


def test_both_colours_are_tested():
    """The fixture runs both."""
    assert [flavour.name for flavour in BOTH] == ["sync", ASYNC.name]
