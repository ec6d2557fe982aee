"""What every limiter answers: the calls, the Decision and its numbers."""

from __future__ import annotations

import inspect
import math

import pytest

import limitpal
from driving import ASYNC, SYNC, Flavour, call, drain
from limitpal import MockClock, RateLimitExceeded
from models import NANOS, nanos

KINDS = ["token", "leaky"]
RATES = [1, 3, 5, 7, 1 / 3, 100 / 60, 0.1, 2.5, 1000]


@pytest.mark.parametrize("kind", KINDS)
async def test_allow_takes_while_it_can_and_never_waits(flavour: Flavour, clock, kind):
    """`allow` says True `capacity` times, then False, and time stands still meanwhile."""
    limiter = flavour.bucket(kind, 3, 1, clock=clock)

    answers = [await call(limiter.allow, "k") for _ in range(5)]

    assert answers == [True, True, True, False, False]
    assert clock.now() == 0.0


@pytest.mark.parametrize("kind", KINDS)
async def test_allow_answers_a_real_bool(flavour: Flavour, clock, kind):
    """`allow` returns True or False themselves, as the articles' `is True` wants."""
    limiter = flavour.bucket(kind, 1, 1, clock=clock)

    assert await call(limiter.allow) is True
    assert await call(limiter.allow) is False


@pytest.mark.parametrize("kind", KINDS)
async def test_the_default_key_is_the_word_default(flavour: Flavour, clock, kind):
    """Without a key all calls mean the key "default"."""
    limiter = flavour.bucket(kind, 4, 1, clock=clock)

    assert await call(limiter.allow)
    assert await call(limiter.check)
    await call(limiter.acquire, timeout=10)

    assert (await call(limiter.peek, "default")).remaining < 4
    assert "default" in limiter
    assert len(limiter) == 1


@pytest.mark.parametrize("kind", KINDS)
async def test_arguments_go_by_name_too(flavour: Flavour, clock, kind):
    """key, timeout and cost may be named, or given in the order the contract has them."""
    limiter = flavour.bucket(kind, 10, 1, clock=clock)

    assert await call(limiter.allow, key="k", cost=2)
    assert await call(limiter.allow, "k", 2)
    assert await call(limiter.check, key="k", cost=2)
    assert await call(limiter.peek, key="k", cost=2)
    await call(limiter.acquire, "k", 100.0, 2)
    await call(limiter.acquire, key="k", timeout=100.0, cost=2)
    await call(limiter.reset, key="k")

    assert (await call(limiter.peek, "k")).remaining == 10


async def test_constructor_arguments_have_the_original_order(flavour: Flavour, clock):
    """capacity, rate, clock, ttl, max_buckets, cleanup_interval: positions 0.1.1 had."""
    for limiter in (
        flavour.TokenBucket(2, 5.0, clock, 300.0, 100, 50),
        flavour.LeakyBucket(2, 5.0, clock, 300.0, 100, 50),
    ):
        assert await call(limiter.allow, "k", cost=2)
        clock.advance(0.4)
        assert await call(limiter.allow, "k", cost=2)


@pytest.mark.parametrize("kind", KINDS)
async def test_per_key_and_key_by_are_keyword_only(flavour: Flavour, clock, kind):
    """The options 0.1.1 had not are given by name."""
    with pytest.raises(TypeError):
        flavour.bucket(kind, 2, 5.0, clock, None, None, 100, False)


def test_async_limiters_have_real_coroutine_functions():
    """Every call of an async limiter but `in` and `len` is a coroutine function."""
    token, leaky = ASYNC.TokenBucket(1, 1), ASYNC.LeakyBucket(1, 1)
    composite = ASYNC.CompositeLimiter([token, leaky])
    shared = ["allow", "acquire", "check", "peek", "reset"]

    for limiter, names in (
        (token, [*shared, "get_tokens"]),
        (leaky, [*shared, "get_queue_size", "get_wait_time"]),
        (composite, shared),
    ):
        for name in names:
            assert inspect.iscoroutinefunction(getattr(limiter, name)), name


@pytest.mark.parametrize("classes", [SYNC, ASYNC], ids=["sync", "async"])
def test_limiters_are_instances_of_their_base(classes: Flavour):
    """Code that asked 0.1.1 for `isinstance(x, SyncLimiter)` hears the same answer."""
    base = limitpal.SyncLimiter if classes is SYNC else limitpal.AsyncLimiter
    token = classes.TokenBucket(1, 1)

    for limiter in (token, classes.LeakyBucket(1, 1), classes.CompositeLimiter([token])):
        assert isinstance(limiter, base)


async def test_a_limiter_class_can_be_subclassed(flavour: Flavour, clock):
    """A subclass may override a call and use the original through super()."""
    seen = []

    class Watched(flavour.TokenBucket):
        def allow(self, key="default", cost=1):
            seen.append(key)
            return super().allow(key, cost)

    limiter = Watched(1, 1, clock=clock)

    assert await call(limiter.allow, "k") is True
    assert await call(limiter.allow, "k") is False
    assert seen == ["k", "k"]


@pytest.mark.parametrize("kind", KINDS)
async def test_check_takes_and_tells_the_numbers(flavour: Flavour, clock, kind):
    """`check` is `allow` with limit, remaining, retry_after and reset_after."""
    limiter = flavour.bucket(kind, 10, 5, clock=clock)

    decision = await call(limiter.check, "k", cost=3)

    assert decision.allowed is True
    assert bool(decision) is True
    assert decision.limit == 10
    assert decision.remaining == 7
    assert decision.retry_after == 0.0
    assert decision.reset_after == 0.6
    assert isinstance(decision, limitpal.Decision)


@pytest.mark.parametrize("kind", KINDS)
async def test_a_refused_check_takes_nothing(flavour: Flavour, clock, kind):
    """A refusal is falsy, tells when to come back, and leaves the bucket as it was."""
    limiter = flavour.bucket(kind, 10, 5, clock=clock)
    await call(limiter.allow, "k", cost=9)

    refused = [await call(limiter.check, "k", cost=3) for _ in range(3)]

    for decision in refused:
        assert not decision
        assert decision.allowed is False
        assert decision.limit == 10
        assert decision.remaining == 1
        assert decision.retry_after == 0.4
        assert decision.reset_after == 1.8
    assert await call(limiter.allow, "k")


@pytest.mark.parametrize("kind", KINDS)
async def test_decision_numbers_have_the_promised_types(flavour: Flavour, clock, kind):
    """allowed: bool, limit and remaining: int, retry_after and reset_after: float."""
    limiter = flavour.bucket(kind, 1, 1, clock=clock)

    for decision in (await call(limiter.check, "k"), await call(limiter.check, "k")):
        assert type(decision.allowed) is bool
        assert type(decision.limit) is int
        assert type(decision.remaining) is int
        assert type(decision.retry_after) is float
        assert type(decision.reset_after) is float


@pytest.mark.parametrize("kind", KINDS)
async def test_peek_says_what_check_would_without_taking(flavour: Flavour, clock, kind):
    """`peek` and the `check` after it agree; `remaining` and `reset_after` of a peek are now's."""
    limiter = flavour.bucket(kind, 3, 2, clock=clock)

    for _ in range(5):
        peeked = await call(limiter.peek, "k", cost=2)
        again = await call(limiter.peek, "k", cost=2)
        before = peeked.remaining
        checked = await call(limiter.check, "k", cost=2)

        assert again.remaining == before
        assert peeked.allowed == checked.allowed
        assert peeked.retry_after == checked.retry_after
        assert before - checked.remaining == (2 if checked else 0)
        clock.advance(0.25)


@pytest.mark.parametrize("kind", KINDS)
async def test_peek_does_not_create_the_key(flavour: Flavour, clock, kind):
    """Peeking at strangers leaves nothing behind."""
    limiter = flavour.bucket(kind, 3, 2, clock=clock)

    peeked = await call(limiter.peek, "stranger")

    assert peeked
    assert (peeked.limit, peeked.remaining, peeked.reset_after) == (3, 3, 0.0)
    assert "stranger" not in limiter
    assert len(limiter) == 0


@pytest.mark.parametrize("kind", KINDS)
async def test_remaining_counts_whole_permits(flavour: Flavour, clock, kind):
    """Half a permit is none: `remaining` is rounded down."""
    limiter = flavour.bucket(kind, 2, 1, clock=clock)
    await drain(limiter)

    clock.advance(0.999_999_999)
    assert (await call(limiter.peek, "k")).remaining == 0
    clock.advance(0.000_000_001)
    assert (await call(limiter.peek, "k")).remaining == 1


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("rate", RATES)
async def test_refuses_until_retry_after_and_allows_at_it(flavour: Flavour, kind, rate):
    """A nanosecond before `retry_after` it refuses, at it it admits: for awkward rates too."""
    for cost in (1, 2, 5):
        clock = MockClock()
        limiter = flavour.bucket(kind, 5, rate, clock=clock)
        await drain(limiter)
        clock.advance(0.000_123_457)
        wait = nanos((await call(limiter.peek, "k", cost=cost)).retry_after)

        clock.advance((wait - 1) / NANOS)
        early = await call(limiter.check, "k", cost=cost)
        clock.advance(1 / NANOS)

        assert not early
        assert nanos(early.retry_after) == 1
        assert await call(limiter.allow, "k", cost=cost)


@pytest.mark.parametrize("kind", KINDS)
async def test_an_exception_counts_until_acquire_without_waiting_would_succeed(
    flavour: Flavour, clock, kind
):
    """RateLimitExceeded.retry_after is exact for `acquire(timeout=0)`, a nanosecond sharp."""
    limiter = flavour.bucket(kind, 2, 3, clock=clock)
    await drain(limiter)
    with pytest.raises(RateLimitExceeded) as refusal:
        await call(limiter.acquire, "k", timeout=0)
    wait = nanos(refusal.value.retry_after)

    clock.advance((wait - 1) / NANOS)
    with pytest.raises(RateLimitExceeded) as early:
        await call(limiter.acquire, "k", timeout=0)
    clock.advance(1 / NANOS)

    assert nanos(early.value.retry_after) == 1
    await call(limiter.acquire, "k", timeout=0)


@pytest.mark.parametrize("kind", KINDS)
async def test_reset_after_is_when_the_bucket_is_as_new(flavour: Flavour, clock, kind):
    """At `reset_after` the whole capacity is there again, a nanosecond before it is not."""
    limiter = flavour.bucket(kind, 7, 3, clock=clock)
    await call(limiter.allow, "k", cost=5)
    wait = nanos((await call(limiter.peek, "k")).reset_after)

    clock.advance((wait - 1) / NANOS)
    assert not await call(limiter.peek, "k", cost=7)
    clock.advance(1 / NANOS)

    decision = await call(limiter.peek, "k", cost=7)
    assert decision
    assert decision.reset_after == 0.0


@pytest.mark.parametrize("kind", KINDS)
async def test_a_cost_above_the_capacity_is_never_served(flavour: Flavour, clock, kind):
    """`allow` is False, `check` says inf, `acquire` raises at once: with or without a timeout."""
    limiter = flavour.bucket(kind, 3, 1, clock=clock)

    assert await call(limiter.allow, "k", cost=4) is False
    for decision in (
        await call(limiter.check, "k", cost=4),
        await call(limiter.peek, "k", cost=4),
    ):
        assert not decision
        assert decision.retry_after == math.inf
    for timeout in (None, 0, 10.0, math.inf):
        with pytest.raises(RateLimitExceeded) as refusal:
            await call(limiter.acquire, "k", timeout=timeout, cost=2**40)
        assert refusal.value.retry_after == math.inf

    assert clock.now() == 0.0
    assert (await call(limiter.peek, "k")).remaining == 3


@pytest.mark.parametrize("kind", KINDS)
async def test_a_refused_acquire_names_its_key(flavour: Flavour, clock, kind):
    """RateLimitExceeded carries the key that was asked for."""
    limiter = flavour.bucket(kind, 1, 1, clock=clock)
    await call(limiter.allow, "user:7")

    with pytest.raises(RateLimitExceeded) as refusal:
        await call(limiter.acquire, "user:7", timeout=0)

    assert refusal.value.key == "user:7"
    assert refusal.value.retry_after == 1.0


@pytest.mark.parametrize("kind", KINDS)
async def test_acquire_returns_none_after_its_wait(flavour: Flavour, clock, kind):
    """`acquire` waits on the limiter's clock until its turn and returns nothing."""
    limiter = flavour.bucket(kind, 1, 4, clock=clock)

    assert await call(limiter.acquire, "k") is None
    assert clock.now() == 0.0
    assert await call(limiter.acquire, "k") is None
    assert clock.now() == 0.25
    assert await call(limiter.acquire, "k", timeout=0.25) is None
    assert clock.now() == 0.5


@pytest.mark.parametrize("kind", KINDS)
async def test_reset_forgets_one_key_or_all(flavour: Flavour, clock, kind):
    """`reset(key)` makes one key new, `reset()` makes all of them new."""
    limiter = flavour.bucket(kind, 1, 1, clock=clock)
    for key in ("a", "b", "c"):
        await call(limiter.allow, key)

    await call(limiter.reset, "a")
    assert "a" not in limiter
    assert len(limiter) == 2
    assert await call(limiter.allow, "a")
    assert not await call(limiter.allow, "b")
    await call(limiter.reset)

    assert len(limiter) == 0
    assert await call(limiter.allow, "b")
    assert await call(limiter.allow, "c")


@pytest.mark.parametrize("kind", KINDS)
async def test_resetting_a_stranger_is_no_error(flavour: Flavour, clock, kind):
    """A key nobody used may be reset."""
    limiter = flavour.bucket(kind, 1, 1, clock=clock)

    await call(limiter.reset, "stranger")

    assert len(limiter) == 0


@pytest.mark.parametrize("kind", KINDS)
async def test_in_and_len_tell_the_keys_remembered(flavour: Flavour, clock, kind):
    """`key in limiter` and `len(limiter)` are plain, for async limiters too."""
    limiter = flavour.bucket(kind, 5, 1, clock=clock)

    assert len(limiter) == 0
    await call(limiter.allow, "a")
    await call(limiter.allow, "b")
    await call(limiter.allow, "a")

    assert "a" in limiter
    assert "b" in limiter
    assert "c" not in limiter
    assert len(limiter) == 2


@pytest.mark.parametrize("kind", KINDS)
def test_an_empty_limiter_is_true(flavour: Flavour, kind):
    """`if limiter:` asks whether there is one, as it did in 0.1.1, not whether it holds keys."""
    limiter = flavour.bucket(kind, 1, 1)

    assert len(limiter) == 0
    assert limiter
