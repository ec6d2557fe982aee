"""Limits that change while they are in use, keys that are closed, permits that come back."""

from __future__ import annotations

import asyncio
import gc
import inspect
import threading
import weakref
from typing import Any

import pytest

import limitpal
from limitpal import (
    InvalidConfigError,
    LeakyBucket,
    MockClock,
    Rate,
    RateLimitExceeded,
    SlidingWindowCounter,
    SlidingWindowLog,
    TokenBucket,
)

NANO = 1e-9
KINDS = {
    "TokenBucket": {"capacity": 10, "refill_rate": 2},
    "LeakyBucket": {"capacity": 10, "leak_rate": 2},
    "FixedWindow": {"limit": 10, "per": 1},
    "SlidingWindowCounter": {"limit": 10, "per": 1},
    "SlidingWindowLog": {"limit": 10, "per": 1},
    "AdaptiveLimiter": {"burst": 10, "max_rate": 2},
}
everyone = pytest.mark.parametrize("kind", [*KINDS, *(f"Async{kind}" for kind in KINDS)])


def make(kind: str, clock: MockClock, **options: Any) -> Any:
    """Make a limiter of ten permits."""
    numbers = KINDS[kind.removeprefix("Async")]
    return getattr(limitpal, kind)(**numbers, clock=clock, **options)


async def told(answer: Any) -> Any:
    """Sync and async run the same test body."""
    return await answer if inspect.isawaitable(answer) else answer


@everyone
def test_a_penalised_key_is_refused_a_nanosecond_before_and_admitted_at_it(kind: str) -> None:
    """`penalise` closes a key until then, and what to be told of it is exact."""

    async def main() -> None:
        clock = MockClock()
        limiter = make(kind, clock)
        assert await told(limiter.allow("k"))
        await told(limiter.penalise("k", 8))
        await told(limiter.penalise("k", 1))

        decision = await told(limiter.peek("k"))
        assert (decision.retry_after, decision.remaining) == (8.0, 0)
        assert await told(limiter.allow("another"))
        with pytest.raises(RateLimitExceeded) as refused:
            await told(limiter.acquire("k", timeout=7.5))
        assert refused.value.retry_after == 8.0

        clock.advance(8 - NANO)
        assert not await told(limiter.allow("k"))
        clock.advance(NANO)
        assert await told(limiter.allow("k"))
        await told(limiter.penalise("k", 8))
        await told(limiter.reset("k"))
        assert await told(limiter.allow("k"))

    asyncio.run(main())


@everyone
def test_limits_change_for_one_key_and_for_all(kind: str) -> None:
    """`configure`, `unconfigure` and `reconfigure` leave what is not said."""

    async def main() -> None:
        clock = MockClock()
        limiter = make(kind, clock)
        most = next(iter(KINDS[kind.removeprefix("Async")]))
        await told(limiter.configure("gold", **{most: 50}))
        assert (await told(limiter.peek("gold"))).remaining == 50
        assert (limiter.bound(0), limiter.bound(0, "gold")) != (limiter.bound(0),) * 2

        assert await told(limiter.allow("k", 4))
        await told(limiter.reconfigure(**{most: 20}, carry="as_is"))
        left = (await told(limiter.peek("k"))).remaining
        keeps_what_is_left = kind.endswith(("TokenBucket", "AdaptiveLimiter"))
        assert left == (6 if keeps_what_is_left else 16)
        assert getattr(limiter, most) == 20
        assert f"{most}=20" in repr(limiter)
        await told(limiter.reconfigure(carry="reset"))
        assert (await told(limiter.peek("k"))).remaining == 20

        await told(limiter.unconfigure("gold"))
        assert (await told(limiter.peek("gold"))).limit == 20

    asyncio.run(main())


@everyone
def test_permits_come_back_to_at_most_what_is_missing(kind: str) -> None:
    """`give_back` without a grant returns what was taken last."""

    async def main() -> None:
        limiter = make(kind, MockClock())
        assert await told(limiter.allow("k", 8))
        await told(limiter.give_back("k", 3))
        assert (await told(limiter.peek("k"))).remaining == 5
        await told(limiter.give_back("k", 1000))
        assert (await told(limiter.peek("k"))).remaining == 10

    asyncio.run(main())


@everyone
def test_nonsense_is_refused_by_name_and_changes_nothing(kind: str) -> None:
    """A refused change leaves the old limits in force."""

    async def main() -> None:
        limiter = make(kind, MockClock())
        most, pace = KINDS[kind.removeprefix("Async")]
        before = repr(limiter)
        for name, value in [(most, 0), (most, "x"), (pace, 0), (pace, -1), ("carry", "half")]:
            for call in (limiter.reconfigure, lambda **limits: limiter.configure("k", **limits)):
                with pytest.raises(InvalidConfigError) as refused:
                    await told(call(**{name: value}))
                assert refused.value.parameter == name
        for seconds in (-1, float("nan"), float("inf"), "x"):
            with pytest.raises(InvalidConfigError, match="seconds is"):
                await told(limiter.penalise("k", seconds))
        with pytest.raises(InvalidConfigError, match="cost is 0"):
            await told(limiter.give_back("k", 0))
        with pytest.raises(TypeError):
            await told(limiter.reconfigure(nothing=1))
        if "Bucket" in kind:
            with pytest.raises(InvalidConfigError) as refused:
                await told(limiter.reconfigure(**{pace: 1e-9, most: 1000}))
            assert (refused.value.parameter, refused.value.value) == (pace, 1e-9)
            slow = make(kind, MockClock())
            await told(slow.reconfigure(**{pace: 1e-9, most: 1}))
            with pytest.raises(InvalidConfigError) as refused:
                await told(slow.reconfigure(**{most: 1000}))
            assert (refused.value.parameter, refused.value.value) == (pace, 1e-9)
        assert repr(limiter) == before
        assert (await told(limiter.peek("k"))).remaining == 10

    asyncio.run(main())


@everyone
def test_a_function_gives_keys_limits_of_their_own(kind: str) -> None:
    """It is asked once for a key that is new; its errors come out as they are."""

    async def main() -> None:
        asked = []
        is_window = "Window" in kind
        answers: dict[str, object] = {
            "words": "100/minute",
            "rate": Rate(30, per=60),
            "pair": (70, 60 if is_window else 7),
            "none": None,
            "nonsense": 5,
            "zero": (0, 1),
        }

        def quota(key: str) -> Any:
            asked.append(key)
            if key == "bad":
                raise LookupError(key)
            return answers[key]

        limiter = make(kind, MockClock(), quota=quota, key_by=lambda key: key[2:])
        wanted = {"words": 100, "rate": 30, "pair": 70, "none": 10}
        if "Adaptive" in kind:  # a count in words is no burst
            wanted |= {"words": 10, "rate": 10}
        for key, most in wanted.items():
            for tenant in "ab":
                assert (await told(limiter.check(f"{tenant}:{key}"))).limit == most
        assert asked == [*wanted]
        with pytest.raises(LookupError):
            await told(limiter.allow("a:bad"))
        with pytest.raises(InvalidConfigError, match="quota is 5"):
            await told(limiter.allow("a:nonsense"))
        with pytest.raises(InvalidConfigError) as refused:
            await told(limiter.allow("a:zero"))
        assert refused.value.value == (0, 1) or refused.value.value == 0
        with pytest.raises(InvalidConfigError, match="quota"):
            make(kind, MockClock(), quota=5)
        with pytest.raises(InvalidConfigError, match="quota"):
            make(kind, MockClock(), quota=quota, per_key=False)

    asyncio.run(main())


def test_a_quota_function_may_ask_the_limiter_and_is_collected_with_it() -> None:
    """No lock is held while it runs, and a cycle through it is garbage."""
    limiters: list[TokenBucket] = []

    def quota(key: str) -> str | None:
        return None if key == "base" else f"{limiters[0].peek('base').limit * 2}/minute"

    limiters.append(TokenBucket(5, 1, clock=MockClock(), quota=quota))
    assert limiters[0].check("twice").limit == 10

    class Holder:
        limiter: TokenBucket

        def quota(self, _key: str) -> None: ...

    holder = Holder()
    holder.limiter = TokenBucket(5, 1, quota=holder.quota)
    seen = weakref.ref(holder)
    del holder
    gc.collect()
    assert seen() is None


def test_no_permit_is_lost_or_doubled_while_limits_change() -> None:
    """Threads take while another changes limits."""
    limiter = TokenBucket(3000, 1e-5, clock=MockClock())
    limiter.allow("k")
    over = threading.Event()
    counts = [0, 0, 0]

    def take(rank: int) -> None:
        while not over.is_set():
            counts[rank] += limiter.allow("k")

    threads = [threading.Thread(target=take, args=(rank,)) for rank in range(3)]
    for thread in threads:
        thread.start()
    try:
        for more in range(50):
            limiter.reconfigure(capacity=3001 + more, carry="as_is")
    finally:
        over.set()
    for thread in threads:
        thread.join()
    while limiter.allow("k"):
        counts[0] += 1
    assert 1 + sum(counts) == 3000


def test_a_share_of_the_fill_is_carried_over() -> None:
    """Half full is half full, and a leaky bucket's backlog is as it says."""
    clock = MockClock()
    bucket = TokenBucket(10, 1, clock)
    bucket.allow("k", 5)
    bucket.reconfigure(capacity=30, refill_rate=Rate(3))
    assert (bucket.get_tokens("k"), bucket.refill_rate) == (15.0, 3.0)
    leaky = LeakyBucket(10, 1, clock)
    leaky.allow("k", 5)
    leaky.reconfigure(capacity=30, leak_rate=3, carry="as_is")
    assert leaky.get_queue_size("k") == 5
    for window in (SlidingWindowCounter(4, 10, clock), SlidingWindowLog(4, 10, clock)):
        assert window.allow("k", 4)
        window.reconfigure(limit=8, per=20)
        assert (window.peek("k").remaining, window.limit, window.per) == (4, 8, 20.0)


@everyone
def test_a_closed_key_and_a_share_outlive_the_process(kind: str) -> None:
    """A snapshot holds until when keys are closed, and shares of limits that are not the common."""

    async def main() -> None:
        clock = MockClock()
        limiter = make(kind, clock)
        await told(limiter.penalise("new", 30))
        await told(limiter.allow("used", 3))
        await told(limiter.penalise("used", 30))
        snapshot = await told(limiter.snapshot())

        other = make(kind, MockClock())
        await told(other.restore(snapshot))
        for key in ("new", "used"):
            assert (await told(other.peek(key))).retry_after == 30.0
        with pytest.raises(InvalidConfigError, match="damaged"):
            await told(make(kind, clock).restore(snapshot[:-1]))

        if "Bucket" in kind:
            await told(limiter.configure("gold", capacity=100))
            await told(limiter.allow("gold", 50))
            restored = make(kind, MockClock())
            await told(restored.restore(await told(limiter.snapshot())))
            assert (await told(restored.peek("gold"))).remaining == 5
            await told(restored.configure("gold", capacity=100))
            assert (await told(restored.peek("gold"))).remaining == 50
            with pytest.raises(InvalidConfigError, match="used already"):
                await told(restored.restore(snapshot))

    asyncio.run(main())
