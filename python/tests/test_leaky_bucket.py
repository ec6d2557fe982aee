"""The leaky bucket: `allow` polices a backlog, `acquire` paces, exactly one per 1/rate."""

from __future__ import annotations

import math
import random

import pytest

from driving import ASYNC, Flavour, Line, call, drain, settle
from limitpal import MockClock, RateLimitExceeded
from models import NANOS, NaiveLeakyBucket, exact, nanos, over_the_bound


async def paced(limiter, clock, count: int, key: str = "k") -> list[int]:
    """Acquire `count` times; return when each went, in nanoseconds."""
    went = []
    for _ in range(count):
        await call(limiter.acquire, key)
        went.append(nanos(clock.now()))
    return went


async def test_allow_joins_while_the_backlog_has_room(flavour: Flavour, clock):
    """`allow` joins if backlog + cost is at most the capacity."""
    limiter = flavour.LeakyBucket(5, 1, clock=clock)

    assert await call(limiter.allow, "k", cost=3)
    assert not await call(limiter.allow, "k", cost=3)
    assert await call(limiter.allow, "k", cost=2)
    assert not await call(limiter.allow, "k")


async def test_the_backlog_drains_at_the_leak_rate(flavour: Flavour, clock):
    """A backlog of B is gone after B / leak_rate, and drains continuously until then."""
    limiter = flavour.LeakyBucket(10, 5, clock=clock)
    await drain(limiter)

    clock.advance(0.1)
    assert not await call(limiter.allow, "k")
    clock.advance(0.1)
    assert await call(limiter.allow, "k")
    assert not await call(limiter.allow, "k")
    clock.advance(2.0)

    assert await call(limiter.get_queue_size, "k") == 0
    assert await call(limiter.allow, "k", cost=10)


@pytest.mark.parametrize("rate", [10, 3, 7, 1 / 3, 100 / 60])
async def test_acquire_leaves_exactly_one_interval_after_the_one_before(flavour: Flavour, rate):
    """The first goes at once, the nth n/rate later: exactly the rate, without bursts."""
    clock = MockClock()
    limiter = flavour.LeakyBucket(20, rate, clock=clock)

    went = await paced(limiter, clock, 50)

    assert went == [n * math.ceil(NANOS / exact(rate)) for n in range(50)]


async def test_acquire_saves_nothing_up_while_idle(flavour: Flavour, clock):
    """After a rest it is one at once and then the pace again: smooth, not bursty."""
    limiter = flavour.LeakyBucket(20, 10, clock=clock)
    await paced(limiter, clock, 3)

    clock.set_time(100.0)

    assert await paced(limiter, clock, 3) == [
        100_000_000_000,
        100_100_000_000,
        100_200_000_000,
    ]


async def test_acquire_waits_for_what_allow_let_in(flavour: Flavour, clock):
    """A backlog of five joined by `allow` leaves before the one who acquires."""
    limiter = flavour.LeakyBucket(20, 10, clock=clock)
    assert await call(limiter.allow, "k", cost=5)

    assert await paced(limiter, clock, 2) == [500_000_000, 600_000_000]


async def test_acquire_never_refuses_for_capacity(flavour: Flavour, clock):
    """The backlog may exceed the capacity: waiting is what the queue is for."""
    limiter = flavour.LeakyBucket(2, 10, clock=clock)
    assert await call(limiter.allow, "k", cost=2)

    await call(limiter.acquire, "k", timeout=0.2)
    await call(limiter.acquire, "k")

    assert clock.now() == 0.3


async def test_a_larger_cost_holds_up_the_next(flavour: Flavour, clock):
    """A cost of three takes three intervals of the drain."""
    limiter = flavour.LeakyBucket(5, 10, clock=clock)

    await call(limiter.acquire, "k", cost=3)
    assert clock.now() == 0.0
    await call(limiter.acquire, "k")

    assert clock.now() == 0.3


async def test_those_who_wait_make_the_backlog(still):
    """Waiters are in the queue: its size exceeds the capacity, and `allow` is refused."""
    limiter = ASYNC.LeakyBucket(2, 1, clock=still)
    line = Line(limiter, still)
    for name in "abcde":
        await line.join(name)

    assert line.order == ["a"]
    assert await limiter.get_queue_size("k") == 5
    assert await limiter.get_wait_time("k") == 4.0
    assert not await limiter.allow("k")
    await line.advance(4.0, step=0.5)

    assert line.went == [(name, n * NANOS) for n, name in enumerate("abcde")]
    assert await limiter.allow("k")


async def test_allow_and_acquire_count_to_different_moments(flavour: Flavour, clock):
    """A Decision counts until there is room, an exception until the queue is empty."""
    limiter = flavour.LeakyBucket(4, 2, clock=clock)
    await drain(limiter)

    refused = await call(limiter.check, "k")
    with pytest.raises(RateLimitExceeded) as paced_out:
        await call(limiter.acquire, "k", timeout=0)

    assert refused.retry_after == 0.5
    assert paced_out.value.retry_after == 2.0


async def test_a_refused_acquire_leaves_the_queue_as_it_was(flavour: Flavour, clock):
    """A wait beyond the timeout is refused at once, and nobody behind is held up by it."""
    limiter = flavour.LeakyBucket(4, 2, clock=clock)
    await drain(limiter)

    for _ in range(3):
        with pytest.raises(RateLimitExceeded):
            await call(limiter.acquire, "k", timeout=1.999_999_999)

    assert clock.now() == 0.0
    assert await call(limiter.get_queue_size, "k") == 4
    await call(limiter.acquire, "k", timeout=2.0)
    assert clock.now() == 2.0


async def test_queue_size_is_the_backlog_rounded_up(flavour: Flavour, clock):
    """Half a request is still one in the queue; the size is an int."""
    limiter = flavour.LeakyBucket(5, 1, clock=clock)
    assert await call(limiter.get_queue_size, "k") == 0
    await call(limiter.allow, "k", cost=3)

    sizes = []
    for _ in range(7):
        sizes.append(await call(limiter.get_queue_size, "k"))
        clock.advance(0.5)

    assert sizes == [3, 3, 2, 2, 1, 1, 0]
    assert type(sizes[0]) is int
    assert await call(limiter.get_queue_size) == 0


@pytest.mark.parametrize("rate", [2, 3, 7])
async def test_wait_time_is_until_allow_would_succeed(flavour: Flavour, clock, rate):
    """`get_wait_time` is 0.0 with room, and else exact to the nanosecond."""
    limiter = flavour.LeakyBucket(3, rate, clock=clock)
    assert await call(limiter.get_wait_time, "k") == 0.0
    await call(limiter.allow, "k", cost=2)
    assert await call(limiter.get_wait_time, "k") == 0.0
    await call(limiter.allow, "k")

    wait = nanos(await call(limiter.get_wait_time, "k"))
    clock.advance((wait - 1) / NANOS)
    assert not await call(limiter.allow, "k")
    clock.advance(1 / NANOS)

    assert wait == math.ceil(NANOS / rate)
    assert await call(limiter.get_wait_time, "k") == 0.0
    assert await call(limiter.allow, "k")


async def test_remaining_is_the_room_and_reset_is_the_empty_queue(flavour: Flavour, clock):
    """limit is the capacity, remaining the whole room left, reset_after until it is empty."""
    limiter = flavour.LeakyBucket(5, 2, clock=clock)

    decision = await call(limiter.check, "k", cost=2)
    clock.advance(0.25)
    peeked = await call(limiter.peek, "k")

    assert (decision.limit, decision.remaining, decision.reset_after) == (5, 3, 1.0)
    assert (peeked.limit, peeked.remaining, peeked.reset_after) == (5, 3, 0.75)


async def test_remaining_is_never_negative(still):
    """A backlog above the capacity leaves nothing, not less."""
    limiter = ASYNC.LeakyBucket(1, 1, clock=still)
    line = Line(limiter, still)
    for name in "abc":
        await line.join(name)

    decision = await limiter.peek("k")

    assert not decision
    assert decision.remaining == 0
    assert decision.retry_after == 3.0
    await line.close()


@pytest.mark.parametrize("seed", range(5))
async def test_policing_agrees_with_the_naive_backlog(flavour: Flavour, seed):
    """Random histories of `allow` go as a backlog in fractions would have them."""
    chance = random.Random(seed)
    capacity, rate = chance.choice([(1, 3), (5, 7), (10, 100 / 60), (3, 1 / 3)])
    clock = MockClock()
    limiter = flavour.LeakyBucket(capacity, rate, clock=clock)
    naive, now, takes = NaiveLeakyBucket(capacity, rate), 0, []

    for _ in range(1000):
        pause = chance.choice([0, 1, 999_999_937, chance.randrange(NANOS)])
        clock.advance(pause / NANOS)
        now += pause
        cost = chance.randint(1, capacity)
        allowed = await call(limiter.allow, "k", cost=cost)
        assert allowed == naive.check(now, cost), f"seed {seed}, at {now}"
        if allowed:
            takes.append((now, cost))

    assert takes
    assert over_the_bound(takes, capacity, rate) is None


@pytest.mark.parametrize(("capacity", "rate"), [(50, 20), (50.0, 20.0), (1, 100 / 60)])
def test_capacity_and_leak_rate_can_be_read(flavour: Flavour, capacity, rate):
    """The properties give back what was built, in their own types."""
    limiter = flavour.LeakyBucket(capacity=capacity, leak_rate=rate)

    assert limiter.capacity == capacity
    assert limiter.leak_rate == rate
    assert type(limiter.capacity) is int
    assert type(limiter.leak_rate) is float


@pytest.mark.parametrize("back", [0.001, 1.0, 1e6])
async def test_a_step_back_locks_nobody_out(flavour: Flavour, back):
    """After time steps back, `allow` succeeds again within one 1/leak_rate."""
    clock = MockClock(start_time=100.0)
    limiter = flavour.LeakyBucket(5, 2, clock=clock)
    await drain(limiter)

    clock.set_time(100.0 - back)
    extra = sum([await call(limiter.allow, "k") for _ in range(20)])
    clock.advance(0.5)

    assert extra <= 5
    assert await call(limiter.allow, "k")


async def test_a_background_queue_runs_at_its_pace_from_many_tasks(clock):
    """Thirty tasks that come at once leave one each tenth of a second, in their order."""
    limiter = ASYNC.LeakyBucket(20, 10, clock=clock, per_key=False)
    line = Line(limiter, clock)
    for n in range(30):
        line.tasks[str(n)] = await line.join(str(n), key=f"job:{n}")
    while len(line.went) < 30:
        clock.advance(0.05)
        await settle()

    assert line.went == [(str(n), n * 100_000_000) for n in range(30)]
