"""LimitPal's ways to count that 0.1.1 does not have."""

from __future__ import annotations

from turns.statement import Statement, statement

from limitpal import (
    AdaptiveLimiter,
    FairBucket,
    FixedWindow,
    SlidingWindowCounter,
    SlidingWindowLog,
    WarmUpBucket,
)

PLENTY = 4_000_000_000
HOUR = 3600.0  # seconds


def fixed() -> Statement:
    """Count in a fixed window."""
    return statement("allow(key)", allow=FixedWindow(PLENTY, HOUR).allow)


def counter() -> Statement:
    """Count in a sliding window that is estimated."""
    return statement("allow(key)", allow=SlidingWindowCounter(PLENTY, HOUR).allow)


def log() -> Statement:
    """Count in a sliding window that is exact; what was counted is forgotten as time goes on."""
    return statement("allow(key)", allow=SlidingWindowLog(100_000, 0.004).allow)


def log_refused() -> Statement:
    """Ask a sliding window that is exact, and full."""
    return statement("allow(key)", allow=SlidingWindowLog(100, HOUR).allow)


def warm_up() -> Statement:
    """Count in a bucket that warms up."""
    return statement("allow(key)", allow=WarmUpBucket(PLENTY, 1e6, HOUR).allow)


def fair() -> Statement:
    """Count in a bucket that all keys share fairly."""
    return statement("allow(key)", allow=FairBucket(PLENTY, 1e6).allow)


def adaptive() -> Statement:
    """Count at a rate that adapts."""
    return statement("allow(key)", allow=AdaptiveLimiter(max_rate=1e6).allow)
