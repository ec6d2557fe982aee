"""Rate limiting, retry and circuit breaking in one pipeline, with one clock, sync and async."""

from importlib.metadata import version as _version

from ._clock import Clock, MockClock, MonotonicClock
from ._composite import AsyncCompositeLimiter
from ._concurrency import AsyncConcurrencyLimiter
from ._errors import (
    CircuitBreakerOpen,
    InvalidConfigError,
    LimitPalError,
    RateLimitExceeded,
    RetryExhausted,
)
from ._executor import AsyncResilientExecutor
from ._limiters import AsyncLeakyBucket, AsyncLimiter, AsyncTokenBucket, SyncLimiter
from ._limitpal import (
    AdaptiveConcurrency,
    CircuitBreaker,
    ClientThrottle,
    CompositeLimiter,
    ConcurrencyLimiter,
    ConcurrencyPermit,
    Decision,
    LeakyBucket,
    Rate,
    ResilientExecutor,
    RetryPolicy,
    TokenBucket,
)

__version__ = _version("limitpal")

__all__ = [
    "AdaptiveConcurrency",
    "AsyncCompositeLimiter",
    "AsyncConcurrencyLimiter",
    "AsyncLeakyBucket",
    "AsyncLimiter",
    "AsyncResilientExecutor",
    "AsyncTokenBucket",
    "CircuitBreaker",
    "CircuitBreakerOpen",
    "ClientThrottle",
    "Clock",
    "CompositeLimiter",
    "ConcurrencyLimiter",
    "ConcurrencyPermit",
    "Decision",
    "InvalidConfigError",
    "LeakyBucket",
    "LimitPalError",
    "MockClock",
    "MonotonicClock",
    "Rate",
    "RateLimitExceeded",
    "ResilientExecutor",
    "RetryExhausted",
    "RetryPolicy",
    "SyncLimiter",
    "TokenBucket",
    "__version__",
]
