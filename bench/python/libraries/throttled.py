"""throttled-py: its default, the token bucket, and its fastest, GCRA, over a memory store."""

from __future__ import annotations

from throttled import MemoryStore, Throttled, per_hour, per_sec
from throttled.asyncio import MemoryStore as AsyncMemoryStore
from throttled.asyncio import Throttled as AsyncThrottled
from turns.statement import Statement, statement

PLENTY = per_sec(1_000_000, burst=1_000_000_000)


def store(cap: int = 10_000_000) -> MemoryStore:
    """Return a store that forgets nobody before there are so many keys."""
    return MemoryStore(options={"MAX_SIZE": cap})


def allow() -> Statement:
    """Take one token."""
    limiter = Throttled(using="token_bucket", quota=PLENTY, store=store())
    return statement("limit(key)", limit=limiter.limit)


def allow_gcra() -> Statement:
    """Ask GCRA."""
    limiter = Throttled(using="gcra", quota=PLENTY, store=store())
    return statement("limit(key)", limit=limiter.limit)


def allow_by(algorithm: str) -> Statement:
    """Ask another of its algorithms."""
    limiter = Throttled(using=algorithm, quota=PLENTY, store=store())
    return statement("limit(key)", limit=limiter.limit)


def allow_fixed() -> Statement:
    """Count in a fixed window."""
    return allow_by("fixed_window")


def allow_sliding() -> Statement:
    """Count in a sliding window."""
    return allow_by("sliding_window")


def allow_leaking() -> Statement:
    """Ask the leaking bucket."""
    return allow_by("leaking_bucket")


def allow_refused() -> Statement:
    """Ask an empty bucket."""
    limiter = Throttled(using="token_bucket", quota=per_hour(1, burst=1), store=store())
    return statement("limit(key)", limit=limiter.limit)


def await_allow() -> Statement:
    """Take one token, async."""
    store = AsyncMemoryStore(options={"MAX_SIZE": 10_000_000})
    limiter = AsyncThrottled(using="token_bucket", quota=PLENTY, store=store)
    return statement("await limit(key)", limit=limiter.limit)


def flood(cap: int, live: bool) -> Statement:
    """Take one token for a new key; the buckets there are still in use, or full again."""
    quota = per_hour(1, burst=10) if live else PLENTY
    limiter = Throttled(using="token_bucket", quota=quota, store=store(cap))
    for number in range(cap):
        limiter.limit(f"old:{number}")
    return statement("limit(key)", limit=limiter.limit)
