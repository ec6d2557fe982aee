"""What plain dicts are made of: which options hold parts, and what kinds of parts there are.

A new part is a line here, and so is an option that takes a class, a function or a rate; options
that are numbers need none.
"""

from __future__ import annotations

LIMITERS = {
    "token_bucket": "TokenBucket",
    "leaky_bucket": "LeakyBucket",
    "fixed_window": "FixedWindow",
    "sliding_window_counter": "SlidingWindowCounter",
    "sliding_window_log": "SlidingWindowLog",
    "warm_up_bucket": "WarmUpBucket",
    "fair_bucket": "FairBucket",
    "adaptive_limiter": "AdaptiveLimiter",
    "strict": "strict",
    "concurrency_limiter": "ConcurrencyLimiter",
    "composite_limiter": "CompositeLimiter",
}
BREAKERS = {
    "circuit_breaker": "CircuitBreaker",
    "keyed_circuit_breaker": "KeyedCircuitBreaker",
}
_DELAYS = {
    "exponential": "Exponential",
    "constant": "Constant",
    "linear": "Linear",
    "fibonacci": "Fibonacci",
}
_RULES = {
    "consecutive_failures": "ConsecutiveFailures",
    "failure_rate": "FailureRate",
    "slow_call_rate": "SlowCallRate",
}

#: The options that hold parts: the kinds of each, and the names of their classes.
PARTS: dict[str, dict[str, str]] = {
    "limiter": LIMITERS,
    "limiters": LIMITERS,
    "retry_policy": {"retry_policy": "RetryPolicy"},
    "retry_budget": {"retry_budget": "RetryBudget"},
    "circuit_breaker": BREAKERS,
    "delays": _DELAYS,
    "trip_on": _RULES,
    "hedge": {"hedge": "Hedge"},
    "bulkhead": {"bulkhead": "Bulkhead"},
    "fallback": {"fallback": "Fallback"},
    "cache": {"cache": "Cache"},
}
#: The options that take a limit in words too.
RATES = frozenset(("refill_rate", "leak_rate", "max_rate", "min_rate", "initial_rate"))
#: The options that take error classes, by their names.
ERRORS = frozenset(
    ("retry_on", "ignore", "failure_on", "throttled_on", "reject_on", "drop_on", "on")
)
#: The options that take functions, by their names.
FUNCTIONS = frozenset(
    (
        "delays",
        "retry_if",
        "retry_on_result",
        "delay_from",
        "before_attempt",
        "after_attempt",
        "before_wait",
        "failure_on_result",
        "key_by",
        "quota",
        "func",
        "key",
    )
)
#: The kinds that are meant where a dict of several does not say.
USUAL = {"circuit_breaker": "circuit_breaker"}
