"""Observers, as a type checker sees them."""

from typing_extensions import assert_type

from limitpal import (
    AsyncCompositeLimiter,
    AsyncResilientExecutor,
    AsyncTokenBucket,
    AttemptFailed,
    BreakerStats,
    CircuitBreaker,
    CompositeLimiter,
    Event,
    ExecutorStats,
    KeyedCircuitBreaker,
    LimiterStats,
    NearLimit,
    Refused,
    ResilientExecutor,
    RunEnded,
    Subscription,
    TokenBucket,
)


def observers(limiter: TokenBucket, composite: CompositeLimiter) -> None:
    events: list[Event] = []
    assert_type(limiter.observe(events.append), Subscription)
    assert_type(composite.observe(events.append, near_limit=0.5), Subscription)
    with limiter.observe(print, 0.5) as subscription:
        assert_type(subscription.is_open, bool)
    for event in events:
        if isinstance(event, Refused):
            assert_type(event.retry_after, float | None)
        elif isinstance(event, NearLimit):
            assert_type((event.key, event.used / event.limit), tuple[str, float])
    limiter.observe(None)  # type: ignore[arg-type]


def awaited(limiter: AsyncTokenBucket, composite: AsyncCompositeLimiter) -> None:
    assert_type(limiter.observe(print), Subscription)
    assert_type(composite.observe(print), Subscription)


def story(executor: ResilientExecutor, awaited: AsyncResilientExecutor) -> None:
    events: list[Event] = []
    assert_type(executor.observe(events.append), Subscription)
    assert_type(awaited.observe(print), Subscription)
    for event in events:
        if isinstance(event, RunEnded):
            assert_type(event.lasted, float | None)
            assert_type((event.run, event.attempts), tuple[int, int])
        elif isinstance(event, AttemptFailed):
            assert_type((event.error, event.words, event.retryable), tuple[str, str, bool])
    executor.observe(None)  # type: ignore[arg-type]


def counted(executor: ResilientExecutor, awaited: AsyncResilientExecutor) -> None:
    assert_type(executor.stats(), ExecutorStats)
    assert_type(executor.stats().in_flight, int)
    assert_type(awaited.stats().retry_success, float | None)
    assert_type(awaited.stats().refusals, int)


def counts(
    limiter: TokenBucket,
    composite: AsyncCompositeLimiter,
    breaker: CircuitBreaker,
    breakers: KeyedCircuitBreaker,
) -> None:
    assert_type(limiter.stats(), LimiterStats)
    assert_type(composite.stats().refused_by, tuple[int, ...])
    assert_type(breaker.observe(print), Subscription)
    assert_type(breaker.stats().successes, int | None)
    assert_type(breakers.stats().trips, int)
    assert_type(breakers.snapshot(), bytes)
    assert_type(breakers.stats_by_key(), dict[str, BreakerStats])
