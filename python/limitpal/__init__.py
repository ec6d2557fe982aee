"""Rate limiting, retry and circuit breaking in one pipeline, with one clock, sync and async."""

from importlib.metadata import version as _version

from ._adaptive import AsyncAdaptiveLimiter
from ._bulkhead import Bulkhead
from ._cache import Cache
from ._clock import Clock, MockClock, MonotonicClock
from ._composite import AsyncCompositeLimiter
from ._concurrency import AsyncConcurrencyLimiter
from ._current import current_attempt
from ._delays import Constant, Exponential, Fibonacci, Linear
from ._errors import (
    BulkheadFull,
    CircuitBreakerOpen,
    InvalidConfigError,
    LimitPalError,
    RateLimitExceeded,
    RetryExhausted,
    TimeoutExceeded,
    UnknownName,
)
from ._events import (
    AttemptBegan,
    AttemptFailed,
    BreakerFailed,
    BreakerMoved,
    BreakerRefused,
    Event,
    EvictedLive,
    HedgeStarted,
    KeysGrowLikeCalls,
    NearLimit,
    Refused,
    RetryPlanned,
    RunBegan,
    RunEnded,
)
from ._executor import AsyncResilientExecutor
from ._explain import Explanation, explain
from ._fair import AsyncFairBucket
from ._fallback import Fallback
from ._hedge import Hedge
from ._limiters import (
    AsyncLeakyBucket,
    AsyncLimiter,
    AsyncTokenBucket,
    SyncLimiter,
)
from ._limitpal import (
    AdaptiveConcurrency,
    AdaptiveLimiter,
    Attempt,
    CircuitBreaker,
    ClientThrottle,
    CompositeLimiter,
    CompositePermit,
    ConcurrencyLimiter,
    ConcurrencyPermit,
    ConsecutiveFailures,
    Decision,
    FailureRate,
    FairBucket,
    FixedWindow,
    KeyedCircuitBreaker,
    LeakyBucket,
    Rate,
    ResilientExecutor,
    RetryBudget,
    RetryPolicy,
    SlidingWindowCounter,
    SlidingWindowLog,
    SlowCallRate,
    Subscription,
    TokenBucket,
    WarmUpBucket,
)
from ._meant import hint as _hint
from ._registry import Registry
from ._stats import BreakerStats, CacheStats, ExecutorStats, KeyedBreakerStats, LimiterStats
from ._strict import async_strict, strict
from ._warm_up import AsyncWarmUpBucket
from ._windows import AsyncFixedWindow, AsyncSlidingWindowCounter, AsyncSlidingWindowLog

_hint(tuple(globals().values()))
__version__ = _version("limitpal")

__all__ = [
    "AdaptiveConcurrency",
    "AdaptiveLimiter",
    "AsyncAdaptiveLimiter",
    "AsyncCompositeLimiter",
    "AsyncConcurrencyLimiter",
    "AsyncFairBucket",
    "AsyncFixedWindow",
    "AsyncLeakyBucket",
    "AsyncLimiter",
    "AsyncResilientExecutor",
    "AsyncSlidingWindowCounter",
    "AsyncSlidingWindowLog",
    "AsyncTokenBucket",
    "AsyncWarmUpBucket",
    "Attempt",
    "AttemptBegan",
    "AttemptFailed",
    "BreakerFailed",
    "BreakerMoved",
    "BreakerRefused",
    "BreakerStats",
    "Bulkhead",
    "BulkheadFull",
    "Cache",
    "CacheStats",
    "CircuitBreaker",
    "CircuitBreakerOpen",
    "ClientThrottle",
    "Clock",
    "CompositeLimiter",
    "CompositePermit",
    "ConcurrencyLimiter",
    "ConcurrencyPermit",
    "ConsecutiveFailures",
    "Constant",
    "Decision",
    "Event",
    "EvictedLive",
    "ExecutorStats",
    "Explanation",
    "Exponential",
    "FailureRate",
    "FairBucket",
    "Fallback",
    "Fibonacci",
    "FixedWindow",
    "Hedge",
    "HedgeStarted",
    "InvalidConfigError",
    "KeyedBreakerStats",
    "KeyedCircuitBreaker",
    "KeysGrowLikeCalls",
    "LeakyBucket",
    "LimitPalError",
    "LimiterStats",
    "Linear",
    "MockClock",
    "MonotonicClock",
    "NearLimit",
    "Rate",
    "RateLimitExceeded",
    "Refused",
    "Registry",
    "ResilientExecutor",
    "RetryBudget",
    "RetryExhausted",
    "RetryPlanned",
    "RetryPolicy",
    "RunBegan",
    "RunEnded",
    "SlidingWindowCounter",
    "SlidingWindowLog",
    "SlowCallRate",
    "Subscription",
    "SyncLimiter",
    "TimeoutExceeded",
    "TokenBucket",
    "UnknownName",
    "WarmUpBucket",
    "__version__",
    "async_strict",
    "current_attempt",
    "explain",
    "strict",
]
