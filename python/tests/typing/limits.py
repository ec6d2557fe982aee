"""Rates and limits in words as a user would write them: type checkers read it, nobody runs it."""

from typing_extensions import assert_type

from limitpal import (
    AsyncCompositeLimiter,
    AsyncLeakyBucket,
    AsyncTokenBucket,
    CompositeLimiter,
    LeakyBucket,
    MockClock,
    Rate,
    TokenBucket,
)


def rates() -> None:
    rate = Rate(100, per=60)
    assert_type(Rate.parse("100/minute"), Rate)
    assert_type(rate.count, int)
    assert_type(rate.per, float)
    assert_type(rate.per_second, float)
    assert_type(float(rate), float)
    assert_type(rate == Rate(5), bool)
    assert_type({rate: "slow"}[rate], str)
    TokenBucket(10, rate)
    LeakyBucket(10, leak_rate=rate)
    AsyncTokenBucket(10, rate)
    AsyncLeakyBucket(10, leak_rate=rate)
    TokenBucket(10, "100/minute")  # type: ignore[arg-type]
    Rate("100/minute")  # type: ignore[arg-type]
    Rate.parse(100)  # type: ignore[arg-type]


def limits_in_words() -> None:
    bucket = TokenBucket.per("100/minute", burst=10, clock=MockClock(), ttl=60, per_key=False)
    assert_type(bucket, TokenBucket)
    assert_type(bucket.bound(60), int)
    assert_type(TokenBucket.per("100/minute", 10), TokenBucket)
    assert_type(LeakyBucket.per("100/minute", capacity=10, key_by=str.upper), LeakyBucket)
    assert_type(AsyncTokenBucket.per("100/minute", burst=10, max_buckets=9), AsyncTokenBucket)
    assert_type(AsyncLeakyBucket.per("100/minute", capacity=10), AsyncLeakyBucket)
    assert_type(AsyncLeakyBucket.per("100/minute").bound(0.5), int)
    composite = CompositeLimiter.of("10/second", "500/hour", clock=MockClock())
    assert_type(composite, CompositeLimiter)
    assert_type(composite.bound(3600.0), int)
    twin = AsyncCompositeLimiter.of("10/second", "500/hour")
    assert_type(twin, AsyncCompositeLimiter)
    assert_type(twin.bound(3600), int)
    TokenBucket.per(100)  # type: ignore[arg-type]
    TokenBucket.per("100/minute", speed=5)  # type: ignore[call-arg]
    AsyncTokenBucket.per("100/minute", ttl="60")  # type: ignore[arg-type]
    CompositeLimiter.of(["10/second"])  # type: ignore[arg-type]


def memory() -> None:
    kept = TokenBucket(1, 1, max_buckets=9, evict="inherit")
    TokenBucket(1, 1, evict="lru")  # type: ignore[arg-type]
    assert_type(kept.refused_new, int)
    assert_type(kept.snapshot(), bytes)
    kept.restore(kept.snapshot())


async def restart(limiter: AsyncTokenBucket) -> None:
    assert_type(await limiter.snapshot(), bytes)
    await limiter.restore(b"")
