"""Several limiters as one: all or nothing."""

from __future__ import annotations

import math

import pytest

from driving import ASYNC, SYNC, Flavour, Line, call, drain, settle
from limitpal import LimitPalError, MockClock, RateLimitExceeded
from models import NANOS, nanos


def parts_of(flavour: Flavour, clock):
    """Make a token bucket of 10 at 5 per second and a leaky one of 4 at 2, and both as one."""
    token = flavour.TokenBucket(10, 5, clock=clock)
    leaky = flavour.LeakyBucket(4, 2, clock=clock)
    return token, leaky, flavour.CompositeLimiter([token, leaky])


async def state(limiter, key: str = "k"):
    """Read everything a part shows of a key."""
    peeked = await call(limiter.peek, key)
    return peeked.allowed, peeked.remaining, peeked.retry_after, peeked.reset_after, len(limiter)


async def test_all_parts_must_allow(flavour: Flavour, clock):
    """The composite admits what its strictest part admits, and takes from each."""
    token, leaky, both = parts_of(flavour, clock)

    assert [await call(both.allow, "k") for _ in range(6)] == [True] * 4 + [False] * 2
    assert await call(token.get_tokens, "k") == 6.0
    assert await call(leaky.get_queue_size, "k") == 4


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
async def test_a_refusal_leaves_every_part_as_it_was(flavour: Flavour, clock, order):
    """Whichever part refuses, first or last, no part has given anything."""
    token = flavour.TokenBucket(10, 5, clock=clock)
    leaky = flavour.LeakyBucket(4, 2, clock=clock)
    both = flavour.CompositeLimiter([(token, leaky)[n] for n in order])
    await call(leaky.allow, "k", cost=3)
    await call(token.allow, "k", cost=1)
    before = [await state(token), await state(leaky)]

    assert not await call(both.allow, "k", cost=2)
    assert not await call(both.check, "k", cost=2)
    with pytest.raises(RateLimitExceeded):
        await call(both.acquire, "k", timeout=0, cost=2)

    assert [await state(token), await state(leaky)] == before


async def test_a_refusal_creates_no_bucket_that_decides_otherwise(flavour: Flavour, clock):
    """A stranger refused by a shared part has its own part whole."""
    mine = flavour.TokenBucket(2, 1, clock=clock)
    shared = flavour.TokenBucket(1, 1, clock=clock, per_key=False)
    both = flavour.CompositeLimiter([mine, shared])
    assert await call(both.allow, "a")

    assert not await call(both.allow, "b")

    assert await call(mine.get_tokens, "b") == 2.0


async def test_when_refused_the_longest_wait_shows(flavour: Flavour, clock):
    """A refused Decision is that of the part with the longest retry_after."""
    quick = flavour.TokenBucket(1, 10, clock=clock)
    slow = flavour.TokenBucket(3, 2, clock=clock)
    both = flavour.CompositeLimiter([slow, quick])
    await drain(quick)
    await drain(slow)

    for decision in (await call(both.check, "k"), await call(both.peek, "k")):
        assert not decision
        assert decision.retry_after == 0.5
        assert decision.limit == 3
        assert decision.reset_after == 1.5
        assert decision.remaining == 0


async def test_when_allowed_the_smallest_share_left_shows(flavour: Flavour, clock):
    """An allowed Decision is that of the part with the least of its capacity left."""
    large = flavour.TokenBucket(100, 1, clock=clock)
    small = flavour.TokenBucket(4, 1, clock=clock)
    both = flavour.CompositeLimiter([large, small])

    first = await call(both.check, "k")
    await call(large.allow, "k", cost=90)
    second = await call(both.check, "k")

    assert first
    assert first.retry_after == 0.0
    assert (first.limit, first.remaining, first.reset_after) == (4, 3, 1.0)
    assert (second.limit, second.remaining, second.reset_after) == (100, 8, 92.0)


async def test_peek_takes_nothing_and_creates_nothing(flavour: Flavour, clock):
    """`peek` says what `check` would say and leaves no trace in any part."""
    token, leaky, both = parts_of(flavour, clock)

    for _ in range(10):
        assert await call(both.peek, "k", cost=4)
    assert not await call(both.peek, "k", cost=5)

    assert (len(token), len(leaky)) == (0, 0)


async def test_never_is_longer_than_any_wait(flavour: Flavour, clock):
    """A cost above one part's capacity is never served, whatever the others say."""
    token, _, both = parts_of(flavour, clock)

    assert not await call(both.allow, "k", cost=5)
    assert (await call(both.check, "k", cost=5)).retry_after == math.inf
    with pytest.raises(RateLimitExceeded) as refusal:
        await call(both.acquire, "k", cost=5)

    assert refusal.value.retry_after == math.inf
    assert clock.now() == 0.0
    assert await call(token.get_tokens, "k") == 10.0


async def test_acquire_goes_when_the_last_part_can(flavour: Flavour, clock):
    """It waits for the longest wait and then takes from all."""
    token = flavour.TokenBucket(2, 1, clock=clock)
    leaky = flavour.LeakyBucket(10, 4, clock=clock)
    both = flavour.CompositeLimiter([token, leaky])
    went = []

    for _ in range(4):
        await call(both.acquire, "k")
        went.append(nanos(clock.now()))

    assert went == [0, 250_000_000, 1_000_000_000, 2_000_000_000]
    assert await call(token.get_tokens, "k") == 0.0


async def test_a_refused_acquire_tells_the_longest_wait_and_takes_nothing(flavour: Flavour, clock):
    """A timeout below the longest wait refuses at once, in no part a place is kept."""
    quick = flavour.TokenBucket(1, 10, clock=clock)
    slow = flavour.TokenBucket(1, 2, clock=clock)
    both = flavour.CompositeLimiter([quick, slow])
    assert await call(both.allow, "k")
    before = [await state(quick), await state(slow)]

    with pytest.raises(RateLimitExceeded) as refusal:
        await call(both.acquire, "k", timeout=0.499_999_999)

    assert refusal.value.retry_after == 0.5
    assert refusal.value.key == "k"
    assert clock.now() == 0.0
    assert [await state(quick), await state(slow)] == before
    await call(both.acquire, "k", timeout=0.5)
    assert clock.now() == 0.5


async def test_while_waiting_only_the_longest_part_holds_a_place(still):
    """Others may use the parts that do not make the composite wait."""
    slow = ASYNC.TokenBucket(1, 1, clock=still)
    free = ASYNC.TokenBucket(2, 1, clock=still)
    line = Line(ASYNC.CompositeLimiter([free, slow]), still)
    await drain(slow)
    await line.join("a")

    await line.advance(0.5)
    assert await free.get_tokens("k") == 2.0
    assert not await slow.allow("k")
    await line.advance(0.5)

    assert line.seconds == {"a": 1.0}
    assert await free.get_tokens("k") == 1.0
    assert await slow.get_tokens("k") == 0.0


async def test_a_part_that_ran_dry_meanwhile_is_waited_for(still):
    """When its turn comes and another part is empty by then, it waits there."""
    slow = ASYNC.TokenBucket(1, 1, clock=still)
    other = ASYNC.TokenBucket(2, 1, clock=still)
    line = Line(ASYNC.CompositeLimiter([slow, other]), still)
    await drain(slow)
    await line.join("a")

    await line.advance(0.9)
    await drain(other)
    await line.advance(0.6)
    assert await slow.peek("k")  # no place is held here any more
    await line.advance(0.399_999_999)
    assert line.went == []
    await line.advance(0.000_000_001)

    assert line.seconds == {"a": 1.9}
    assert await slow.get_tokens("k") == 0.0
    assert await other.get_tokens("k") == 0.0


async def test_the_timeout_covers_every_part_waited_for(still):
    """A second wait that would exceed the rest of the timeout refuses, and takes nothing."""
    slow = ASYNC.TokenBucket(1, 1, clock=still)
    other = ASYNC.TokenBucket(2, 1, clock=still)
    line = Line(ASYNC.CompositeLimiter([slow, other]), still)
    await drain(slow)
    task = await line.join("a", timeout=1.5)

    await line.advance(0.9)
    await drain(other)
    await line.advance(0.1)

    assert task.done()
    with pytest.raises(RateLimitExceeded) as refusal:
        await task
    assert 0.5 < refusal.value.retry_after <= 0.9
    assert await slow.get_tokens("k") == 1.0
    assert await other.get_tokens("k") == pytest.approx(0.1)


@pytest.mark.parametrize("leaver", [0, 1, 2])
async def test_composite_waiters_go_in_order_and_move_up(still, leaver):
    """Those who wait in a composite keep their order; who leaves makes room."""
    slow = ASYNC.TokenBucket(1, 1, clock=still)
    free = ASYNC.LeakyBucket(50, 50, clock=still)
    line = Line(ASYNC.CompositeLimiter([slow, free]), still)
    await drain(slow)
    for name in "abc":
        await line.join(name)

    await line.advance(0.5)
    await line.leave("abc"[leaver])
    await line.advance(3.0, step=0.5)

    stayed = [name for n, name in enumerate("abc") if n != leaver]
    assert line.went == [(name, n * NANOS) for n, name in enumerate(stayed, 1)]


async def test_two_composites_that_share_a_part_share_its_line(still):
    """A global part in two composites grants no more than its own rate."""
    shared = ASYNC.LeakyBucket(50, 10, clock=still, per_key=False)
    mine = ASYNC.CompositeLimiter([ASYNC.TokenBucket(50, 50, clock=still), shared])
    yours = ASYNC.CompositeLimiter([ASYNC.TokenBucket(50, 50, clock=still), shared])
    lines = [Line(mine, still), Line(yours, still)]
    for n in range(10):
        await lines[n % 2].join(str(n), key=f"user:{n}")
    for _ in range(20):
        still.advance(0.1)
        await settle(20)

    went = sorted(at for line in lines for _, at in line.went)
    assert went == [n * 100_000_000 for n in range(10)]


async def test_reset_resets_every_part(flavour: Flavour, clock):
    """`reset(key)` makes the key new in each part, `reset()` makes all keys new."""
    token, leaky, both = parts_of(flavour, clock)
    for key in ("a", "b"):
        assert await call(both.allow, key, cost=4)

    await call(both.reset, "a")
    assert await call(both.allow, "a", cost=4)
    assert not await call(both.allow, "b")
    await call(both.reset)

    assert (len(token), len(leaky)) == (0, 0)
    assert await call(both.allow, "b", cost=4)


def test_a_composite_has_no_len_and_no_in(flavour: Flavour):
    """Its parts have; a composite remembers nothing of its own."""
    both = flavour.CompositeLimiter([flavour.TokenBucket(1, 1)])

    with pytest.raises(TypeError):
        len(both)
    with pytest.raises(TypeError):
        "k" in both  # noqa: B015


def test_limiters_shows_the_parts(flavour: Flavour):
    """`.limiters` has the very parts, in their order; any iterable of them will do."""
    parts = [flavour.TokenBucket(1, 1), flavour.LeakyBucket(2, 2)]

    assert all(a is b for a, b in zip(flavour.CompositeLimiter(parts).limiters, parts, strict=True))
    assert list(flavour.CompositeLimiter(iter(parts)).limiters) == parts
    assert len(flavour.CompositeLimiter(tuple(parts)).limiters) == 2


@pytest.mark.parametrize("kind", ["token", "leaky"])
def test_a_part_of_the_other_colour_names_its_twin(kind):
    """A sync part in an async composite, or the reverse, is a TypeError that names the twin."""
    names = {"token": "TokenBucket", "leaky": "LeakyBucket"}
    for mine, other, twin in (
        (ASYNC, SYNC, "Async" + names[kind]),
        (SYNC, ASYNC, names[kind]),
    ):
        with pytest.raises(TypeError, match=rf"(?<!\w){twin}\b"):
            mine.CompositeLimiter([mine.TokenBucket(1, 1), other.bucket(kind, 1, 1)])


def test_a_composite_of_the_other_colour_names_its_twin():
    """A composite as a part obeys the same rule."""
    with pytest.raises(TypeError, match="AsyncCompositeLimiter"):
        ASYNC.CompositeLimiter([SYNC.CompositeLimiter([SYNC.TokenBucket(1, 1)])])


async def test_a_composite_may_be_a_part(flavour: Flavour, clock):
    """A composite in a composite: still all or nothing."""
    inner_part = flavour.TokenBucket(3, 1, clock=clock)
    outer_part = flavour.TokenBucket(2, 1, clock=clock)
    inner = flavour.CompositeLimiter([inner_part])
    outer = flavour.CompositeLimiter([inner, outer_part])

    assert [await call(outer.allow, "k") for _ in range(3)] == [True, True, False]
    assert await call(inner_part.get_tokens, "k") == 1.0


async def test_the_key_may_mean_another_bucket_in_each_part(flavour: Flavour, clock):
    """Per user and for all: `per_key=False` and `key_by` work inside a composite."""
    per_user = flavour.TokenBucket(2, 1, clock=clock)
    per_tenant = flavour.TokenBucket(3, 1, clock=clock, key_by=lambda key: key.split("/")[0])
    for_all = flavour.TokenBucket(4, 1, clock=clock, per_key=False)
    limiter = flavour.CompositeLimiter([per_user, per_tenant, for_all])

    asked = ["x/1", "x/1", "x/1", "x/2", "x/2", "y/1", "y/2"]
    assert [await call(limiter.allow, key) for key in asked] == [
        True,
        True,
        False,  # the user's two are gone
        True,
        False,  # the tenant's three are gone
        True,
        False,  # all four are gone
    ]


async def test_bad_keys_and_costs_are_refused_before_any_part(flavour: Flavour, clock):
    """What one limiter refuses as nonsense, a composite does."""
    token, leaky, both = parts_of(flavour, clock)

    for method in (both.allow, both.acquire, both.check, both.peek):
        with pytest.raises(LimitPalError, match="cost"):
            await call(method, "k", cost=0)
        with pytest.raises(TypeError, match="float"):
            await call(method, 1.5)
    with pytest.raises((LimitPalError, TypeError), match="timeout"):
        await call(both.acquire, "k", timeout=math.nan)

    assert (len(token), len(leaky)) == (0, 0)


async def test_parts_keep_their_own_clocks(flavour: Flavour):
    """Each part is timed by its own clock, whatever the composite's."""
    one, two = MockClock(), MockClock()
    a = flavour.TokenBucket(1, 1, clock=one)
    b = flavour.TokenBucket(1, 1, clock=two)
    both = flavour.CompositeLimiter([a, b], clock=one)
    assert await call(both.allow, "k")

    one.advance(1.0)
    assert not await call(both.allow, "k")
    two.advance(1.0)

    assert await call(both.allow, "k")


def test_mixing_a_mock_and_a_real_clock_warns(flavour: Flavour):
    """A part on a mock clock beside one on the real clock is hardly meant: UserWarning."""
    mocked, real = flavour.TokenBucket(1, 1, clock=MockClock()), flavour.TokenBucket(1, 1)

    with pytest.warns(UserWarning, match="clock") as told:
        flavour.CompositeLimiter([mocked, real])

    assert [warning.filename for warning in told] == [__file__]


def test_parts_on_different_mock_clocks_are_told_so(flavour: Flavour):
    """The warning names what is wrong: there is no real clock among them."""
    parts = [flavour.TokenBucket(1, 1, clock=MockClock()) for _ in range(2)]

    with pytest.warns(UserWarning, match="the parts have different MockClocks"):
        flavour.CompositeLimiter(parts)
