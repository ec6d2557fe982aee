"""Constructors and methods are called as the contract says."""

import inspect

import pytest

import limitpal

LIMITER_OPTIONS = [
    "clock",
    "ttl",
    "max_buckets",
    "cleanup_interval",
    "*",
    "per_key",
    "key_by",
    "evict",
    "quota",
]
at = LIMITER_OPTIONS.index("*") + 1
TOKEN_OPTIONS = [*LIMITER_OPTIONS[:at], "initial", "debt", *LIMITER_OPTIONS[at:]]
EXECUTOR = [
    "limiter",
    "retry_policy",
    "circuit_breaker",
    "clock",
    "*",
    "charge",
    "acquire_timeout",
    "retry_budget",
    "bulkhead",
    "fallback",
    "cache",
    "timeout",
    "attempt_timeout",
    "hedge",
]
BREAKER = [
    "failure_threshold",
    "recovery_timeout",
    "half_open_success_threshold",
    "clock",
    "*",
    "trip_on",
    "half_open_timeout",
    "ramp",
    "ramp_step",
    "recovery_backoff",
    "max_recovery_timeout",
    "recovery_jitter",
    "seed",
    "failure_on",
    "ignore",
    "failure_on_result",
    "count_successes",
]
SIGNATURES = {
    "TokenBucket": ["capacity", "refill_rate", *TOKEN_OPTIONS],
    "LeakyBucket": ["capacity", "leak_rate", *LIMITER_OPTIONS],
    "CompositeLimiter": ["limiters", "clock"],
    "ConcurrencyLimiter": ["limit", "*", "per_key", "key_by", "max_waiting", "clock"],
    "Rate": ["count", "per"],
    "RetryBudget": ["ratio", "minimum_per_second", "window", "*", "clock"],
    "RetryPolicy": [
        "max_attempts",
        "base_delay",
        "max_delay",
        "backoff",
        "jitter",
        "retry_on",
        "*",
        "delays",
        "min_delay",
        "delays_for",
        "retry_if",
        "retry_on_result",
        "max_elapsed",
        "delay_from",
        "max_server_delay",
        "seed",
        "before_attempt",
        "after_attempt",
        "before_wait",
    ],
    "CircuitBreaker": BREAKER,
    "KeyedCircuitBreaker": [*BREAKER[:5], "max_breakers", *BREAKER[5:]],
    "ConsecutiveFailures": ["failures"],
    "FailureRate": ["share", "calls", "window", "minimum_calls"],
    "SlowCallRate": ["share", "slower_than", "calls", "window", "minimum_calls"],
    "ClientThrottle": ["k", "window", "*", "max_rejection", "reject_on", "seed", "clock"],
    "AdaptiveConcurrency": [
        "algorithm",
        "*",
        "min",
        "max",
        "initial",
        "drop_on",
        "partitions",
        "seed",
        "clock",
    ],
    "AdaptiveLimiter": [
        "max_rate",
        "clock",
        "ttl",
        "max_buckets",
        "cleanup_interval",
        "*",
        "algorithm",
        "min_rate",
        "initial_rate",
        "burst",
        "decrease",
        "increase",
        "cooldown",
        "forget_after",
        "throttled_on",
        "per_key",
        "key_by",
        "evict",
        "quota",
    ],
    "ResilientExecutor": [*EXECUTOR, "on_threads"],
    "MockClock": ["start_time", "autojump"],
    "RateLimitExceeded": ["message", "key", "retry_after"],
    "CircuitBreakerOpen": ["message", "retry_after", "reason", "trips", "failures"],
    "RetryExhausted": ["message", "attempts", "last_error", "reason", "last_result"],
    "UnknownName": ["message", "name", "nearest"],
    "InvalidConfigError": ["message", "parameter", "value", "reason"],
}
for twin in (
    "TokenBucket",
    "LeakyBucket",
    "CompositeLimiter",
    "ConcurrencyLimiter",
):
    SIGNATURES[f"Async{twin}"] = SIGNATURES[twin]
SIGNATURES["AsyncResilientExecutor"] = EXECUTOR


def spelled(signature):
    """Returns the parameters' names, with a star before those that go by name only."""
    names = []
    for parameter in signature.parameters.values():
        if parameter.kind is parameter.KEYWORD_ONLY and "*" not in names:
            names.append("*")
        names.append(parameter.name)
    return names


@pytest.mark.parametrize("name", SIGNATURES)
def test_constructors_have_the_signatures_of_the_contract(name):
    """Names, order, and what goes by name only, as `help()` shows them."""
    assert spelled(inspect.signature(getattr(limitpal, name))) == SIGNATURES[name]


METHODS = {
    "allow": ["key", "cost"],
    "acquire": ["key", "timeout", "cost"],
    "check": ["key", "cost"],
    "peek": ["key", "cost"],
    "reset": ["key"],
}


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("name", ["TokenBucket", "LeakyBucket", "CompositeLimiter"])
@pytest.mark.parametrize("prefix", ["", "Async"])
def test_limiters_have_the_methods_of_the_contract(prefix, name, method):
    """Sync and async twins with the same signatures; the async ones are coroutine functions."""
    function = getattr(getattr(limitpal, prefix + name), method)

    names = spelled(inspect.signature(function))

    assert [name for name in names if name != "self"] == METHODS[method]
    assert inspect.iscoroutinefunction(function) is (prefix == "Async")


IN_WORDS = {
    "TokenBucket.per": ["rate", "burst", "options"],
    "LeakyBucket.per": ["rate", "capacity", "options"],
    "CompositeLimiter.of": ["rates", "*", "clock"],
    "TokenBucket.bound": ["window", "key"],
    "LeakyBucket.bound": ["window", "key"],
    "CompositeLimiter.bound": ["window"],
}


@pytest.mark.parametrize("name", IN_WORDS)
@pytest.mark.parametrize("prefix", ["", "Async"])
def test_what_waits_for_nothing_is_a_plain_method_on_both_sides(prefix, name):
    """`per` and `of`, which make a limiter, and `bound`: the same signatures, no coroutine."""
    kind, _, method = (prefix + name).partition(".")
    function = getattr(getattr(limitpal, kind), method)

    names = [name for name in spelled(inspect.signature(function)) if name != "self"]

    assert names == IN_WORDS[name]
    assert not inspect.iscoroutinefunction(function)
