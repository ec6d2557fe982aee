"""The token bucket: a burst, then the rate, to the nanosecond."""

from __future__ import annotations

import math
import random

import pytest

from driving import Flavour, call, drain
from limitpal import MockClock, RateLimitExceeded
from models import NANOS, NaiveTokenBucket, exact, nanos, over_the_bound


async def burst(limiter, key: str = "k") -> int:
    """Take until refused; return how many went."""
    for taken in range(1000):
        if not await call(limiter.allow, key):
            return taken
    raise AssertionError("a thousand went and nobody was refused")


async def test_starts_full(flavour: Flavour, clock):
    """A new key has the whole capacity at once."""
    limiter = flavour.TokenBucket(10, 5, clock=clock)

    assert await call(limiter.get_tokens, "k") == 10.0
    assert await burst(limiter) == 10


async def test_refills_at_its_rate_and_never_above_the_capacity(flavour: Flavour, clock):
    """Five per second after the burst; a long rest gives the capacity and no more."""
    limiter = flavour.TokenBucket(10, 5, clock=clock)
    await burst(limiter)

    clock.advance(1.0)
    assert await burst(limiter) == 5
    clock.advance(3600.0)
    assert await burst(limiter) == 10


async def test_refills_continuously(flavour: Flavour, clock):
    """The next token comes 1/rate after the bucket ran dry, not at the next full second."""
    limiter = flavour.TokenBucket(1, 2, clock=clock)
    await burst(limiter)

    clock.advance(0.25)
    assert await call(limiter.get_tokens, "k") == 0.5
    assert not await call(limiter.allow, "k")
    clock.advance(0.25)

    assert await call(limiter.allow, "k")


@pytest.mark.parametrize(
    ("rate", "seconds", "permits"),
    [(3, 1.0, 3), (7, 1.0, 7), (1 / 3, 3.0, 1), (100 / 60, 3.0, 5), (0.1, 10.0, 1), (1e6, 1e-6, 1)],
)
async def test_awkward_rates_are_exact(flavour: Flavour, rate, seconds, permits):
    """Rate 3 gives three permits after one second, not 2.999; a nanosecond before, one less."""
    clock = MockClock()
    limiter = flavour.TokenBucket(100, rate, clock=clock)
    await drain(limiter)

    clock.advance((nanos(seconds) - 1) / NANOS)
    early = await call(limiter.peek, "k")
    clock.advance(1 / NANOS)

    assert early.remaining == permits - 1
    assert (await call(limiter.peek, "k")).remaining == permits
    assert await burst(limiter) == permits


@pytest.mark.parametrize("rate", [3, 7, 1 / 3, 100 / 60, 0.7, 999.9])
async def test_many_small_steps_lose_nothing(flavour: Flavour, rate):
    """Asking every millisecond and a bit for a long time drifts from the exact sum by nothing."""
    clock = MockClock()
    limiter = flavour.TokenBucket(3, rate, clock=clock)
    naive = NaiveTokenBucket(3, rate)

    for step in range(4000):
        clock.advance(0.001_000_007)
        now = (step + 1) * 1_000_007
        assert await call(limiter.allow, "k") == naive.check(now), f"at {now}"


@pytest.mark.parametrize(("top", "tolerance"), [(1000.0, 1e-6), (1e6, 1e-3)])
async def test_a_rate_is_kept_closely_and_never_on_the_generous_side(
    flavour: Flavour, top, tolerance
):
    """One part in a million up to 1,000 per second, one in a thousand at the top; never more."""
    chance = random.Random(20)
    capacity = 2**32 - 1
    for _ in range(60):
        rate = chance.uniform(top / 50, top)
        clock = MockClock()
        limiter = flavour.TokenBucket(capacity, rate, clock=clock)
        await drain(limiter)

        clock.advance(3000.0)
        tokens = await call(limiter.get_tokens, "k")

        assert tokens <= 3000.0 * rate * (1 + 1e-12), rate
        assert tokens >= 3000.0 * rate * (1 - tolerance) - 1, rate


async def test_the_smallest_rate_refills(flavour: Flavour, clock):
    """One in thirty years is a rate: refused a nanosecond before a thousand million seconds."""
    limiter = flavour.TokenBucket(1, 1e-9, clock=clock)
    await drain(limiter)

    assert (await call(limiter.peek, "k")).retry_after == 1e9
    clock.advance(999_999_999.0)
    assert not await call(limiter.allow, "k")
    clock.advance(1.0)

    assert await call(limiter.allow, "k")


async def test_the_largest_capacity_is_a_burst_too(flavour: Flavour, clock):
    """2^32 - 1 permits are there at once, and one more is not."""
    limiter = flavour.TokenBucket(2**32 - 1, 1e6, clock=clock)

    assert (await call(limiter.check, "k", cost=2**32 - 1)).remaining == 0
    assert not await call(limiter.allow, "k")


@pytest.mark.parametrize("seed", range(5))
async def test_no_window_holds_more_than_the_worst_case(flavour: Flavour, seed):
    """In any window W at most `capacity + refill_rate * W` are admitted, however one asks."""
    chance = random.Random(seed)
    capacity, rate = chance.choice([(1, 3), (5, 7), (10, 100 / 60), (3, 1 / 3)])
    clock = MockClock()
    limiter = flavour.TokenBucket(capacity, rate, clock=clock)
    takes, now = [], 0

    for _ in range(1500):
        pause = chance.choice([0, 1, 999_999_937, chance.randrange(NANOS)])
        clock.advance(pause / NANOS)
        now += pause
        cost = chance.randint(1, capacity)
        if await call(limiter.allow, "k", cost=cost):
            takes.append((now, cost))

    assert takes
    assert over_the_bound(takes, capacity, rate) is None, f"seed {seed}"


async def test_get_tokens_reads_without_taking(flavour: Flavour, clock):
    """`get_tokens` is a float and may be read as often as one likes."""
    limiter = flavour.TokenBucket(4, 2, clock=clock)
    await call(limiter.allow, "k", cost=3)

    readings = [await call(limiter.get_tokens, "k") for _ in range(3)]
    clock.advance(0.75)

    assert readings == [1.0, 1.0, 1.0]
    assert type(readings[0]) is float
    assert await call(limiter.get_tokens, "k") == 2.5
    assert await call(limiter.get_tokens, "stranger") == 4.0
    assert await call(limiter.get_tokens) == 4.0


@pytest.mark.parametrize(("capacity", "rate"), [(10, 5), (10.0, 5.0), (1, 100 / 60)])
def test_capacity_and_refill_rate_can_be_read(flavour: Flavour, capacity, rate):
    """The properties give back what was built, in their own types."""
    limiter = flavour.TokenBucket(capacity=capacity, refill_rate=rate)

    assert limiter.capacity == capacity
    assert limiter.refill_rate == rate
    assert type(limiter.capacity) is int
    assert type(limiter.refill_rate) is float
    with pytest.raises(AttributeError):
        limiter.capacity = 5


async def test_a_larger_cost_waits_for_all_of_it(flavour: Flavour, clock):
    """A cost of three waits until three are there; a refusal keeps what was there."""
    limiter = flavour.TokenBucket(3, 1, clock=clock)
    await drain(limiter)

    clock.advance(2.0)
    assert not await call(limiter.allow, "k", cost=3)
    assert await call(limiter.get_tokens, "k") == 2.0
    await call(limiter.acquire, "k", cost=3)

    assert clock.now() == 3.0
    assert await call(limiter.get_tokens, "k") == 0.0


async def test_acquire_spends_the_burst_then_keeps_the_rate(flavour: Flavour, clock):
    """The first `capacity` go at once, each further one 1/rate after the one before."""
    limiter = flavour.TokenBucket(3, 10, clock=clock)
    went = []

    for _ in range(6):
        await call(limiter.acquire, "k")
        went.append(nanos(clock.now()))

    assert went == [0, 0, 0, 100_000_000, 200_000_000, 300_000_000]


@pytest.mark.parametrize("rate", [3, 7, 100 / 60])
async def test_a_thousand_acquires_take_their_time_and_no_more(flavour: Flavour, rate):
    """Waiting again and again never comes early, and is late by less than a nanosecond each."""
    clock = MockClock()
    limiter = flavour.TokenBucket(1, rate, clock=clock)

    for _ in range(1001):
        await call(limiter.acquire, "k")

    due = math.ceil(1000 * NANOS / exact(rate))
    assert due <= nanos(clock.now()) <= due + 1000


async def test_a_refusal_for_time_takes_nothing(flavour: Flavour, clock):
    """A timeout shorter than the wait refuses at once; the tokens stay."""
    limiter = flavour.TokenBucket(4, 2, clock=clock)
    await call(limiter.allow, "k", cost=3)

    with pytest.raises(RateLimitExceeded) as refusal:
        await call(limiter.acquire, "k", timeout=0.999, cost=3)

    assert refusal.value.retry_after == 1.0
    assert clock.now() == 0.0
    assert await call(limiter.get_tokens, "k") == 1.0


@pytest.mark.parametrize("back", [0.001, 1.0, 1e6])
async def test_a_step_back_admits_one_burst_more_and_locks_nobody_out(flavour: Flavour, back):
    """After time steps back at most one burst more goes, and 1/rate later somebody may."""
    clock = MockClock(start_time=100.0)
    limiter = flavour.TokenBucket(5, 2, clock=clock)
    await burst(limiter)

    clock.set_time(100.0 - back)
    assert await burst(limiter) <= 5
    clock.advance(0.5)

    assert await call(limiter.allow, "k")


async def test_a_century_at_once_fills_the_bucket_and_no_more(flavour: Flavour):
    """A jump far ahead overflows nothing."""
    clock = MockClock(start_time=1e9)
    limiter = flavour.TokenBucket(5, 1e-6, clock=clock)
    await burst(limiter)

    clock.advance(100 * 365.25 * 86400)

    assert await burst(limiter) == 5


async def test_where_time_saturates_the_bound_still_holds(flavour: Flavour):
    """A clock beyond the last nanosecond (one that counts nanoseconds as seconds, say) stands
    still for us; a limiter then admits its burst, not everybody."""
    clock = MockClock()
    limiter = flavour.TokenBucket(5, 1, clock=clock)
    await burst(limiter)

    clock.set_time(1e18)

    assert await burst(limiter) <= 5
