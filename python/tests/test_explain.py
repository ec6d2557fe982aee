"""A refusal says who has refused, how that one stood, and what would change it."""

from __future__ import annotations

import asyncio
import pickle

import pytest

from limitpal import (
    AsyncTokenBucket,
    CircuitBreaker,
    CircuitBreakerOpen,
    CompositeLimiter,
    ConcurrencyLimiter,
    LimitPalError,
    MockClock,
    RateLimitExceeded,
    ResilientExecutor,
    RetryExhausted,
    RetryPolicy,
    TokenBucket,
    explain,
)


def refused(call, *args, kind=LimitPalError, **kwargs):
    """Return the refusal that a call raises."""
    with pytest.raises(kind) as raised:
        call(*args, **kwargs)
    return raised.value


def test_a_limiter_says_its_numbers():
    """Which limiter, which key, limit, remaining, and when to come back; it pickles."""
    limiter = TokenBucket(capacity=5, refill_rate=1, clock=MockClock())
    limiter.allow("ann", cost=3)
    error = refused(limiter.acquire, "ann", timeout=0, cost=4)

    said = explain(error)
    assert (said.part, said.key, said.retry_after) == ("TokenBucket", "ann", 2.0)
    assert said.state == {"limit": 5, "remaining": 2, "cost": 4}
    assert str(said).endswith("come back in 2s, or raise the limit")
    assert error.explain() == said == explain(pickle.loads(pickle.dumps(error)))


def test_the_async_twin_and_a_run_say_the_same():
    """However one asks, the refusal says as much."""
    clock = MockClock()

    async def ask():
        limiter = AsyncTokenBucket(1, 1, clock)
        await limiter.acquire("ann")
        await limiter.acquire("ann", timeout=0)

    with pytest.raises(RateLimitExceeded) as raised:
        asyncio.run(ask())
    executor = ResilientExecutor(TokenBucket(1, 1, clock), acquire_timeout=0)
    executor.run("ann", lambda: 1)
    error = refused(executor.run, "ann", lambda: 1)
    assert explain(error) == explain(raised.value)
    assert explain(error).state == {"limit": 1, "remaining": 0, "cost": 1}


def test_a_composite_says_which_of_its_limiters_has_refused():
    """The part with the longest wait, or the one that has no permit."""
    clock = MockClock()
    pool = ConcurrencyLimiter(1, clock=clock)
    limiter = CompositeLimiter([TokenBucket(9, 1, clock), TokenBucket(2, 1, clock), pool])
    with limiter.acquire("ann"):
        said = explain(refused(limiter.acquire, "ann", timeout=0))
        assert (said.part, said.state) == ("ConcurrencyLimiter", {"limit": 1, "cost": 1})
        assert said.retry_after is None
    with limiter.acquire("ann"):
        pass
    said = explain(refused(limiter.acquire, "ann", timeout=0))
    assert (said.part, said.state["limit"], said.retry_after) == ("TokenBucket", 2, 1.0)


def test_no_code_of_the_users_runs_for_an_explanation():
    """With a `key_by` the numbers are left out, and it is asked once."""
    asked = []
    limiter = TokenBucket(1, 1, MockClock(), key_by=lambda key: asked.append(key) or key)
    limiter.acquire("ann")
    error = refused(limiter.acquire, "ann", timeout=0)
    assert (error.limiter, error.limit, asked) == ("TokenBucket", None, ["ann", "ann"])


def test_a_circuit_says_why_it_refuses():
    """Open, with its probes out, and forced open."""
    clock = MockClock()
    breaker = CircuitBreaker(failure_threshold=2, clock=clock)
    breaker.record_failure()
    breaker.record_failure()
    error = refused(breaker.call, lambda: 1, kind=CircuitBreakerOpen)
    assert (error.reason, error.trips, error.failures, error.retry_after) == ("open", 1, 2, 5.0)
    assert str(explain(error)) == (
        "CircuitBreaker refused a call: state open, trips in a row 1, failures in a row 2; "
        "wait 5s, until it half-opens and lets a probe through"
    )
    clock.advance(5.0)
    assert breaker.allow()
    assert refused(breaker.call, lambda: 1).reason == "probing"
    breaker.force_open()
    assert "nobody can say when" in str(explain(refused(breaker.call, lambda: 1)))


def test_a_run_that_gave_up_says_what_would_have_to_change():
    """`RetryExhausted` by its reason."""

    def fail():
        raise OSError

    executor = ResilientExecutor(retry_policy=RetryPolicy(2, 0.0))
    error = refused(executor.run, "api", fail, kind=RetryExhausted)
    assert explain(error).state == {"attempts": 2, "reason": "attempts"}
    assert "allow more attempts" in explain(error).change


@pytest.mark.parametrize("error", [ValueError("no"), KeyError("a")])
def test_what_is_no_refusal_is_refused(error):
    """Others' errors explain themselves."""
    with pytest.raises(TypeError, match="no refusal of ours"):
        explain(error)


def test_a_refusal_made_by_hand_is_explained_as_far_as_it_goes():
    """Limiters of one's own raise it too."""
    assert "a limiter refused a call" in str(explain(RateLimitExceeded()))
    assert "lower the cost" in explain(RateLimitExceeded("no", "a", float("inf"))).change
    assert "open" in str(explain(CircuitBreakerOpen("no", 3.0)))
