"""One decision: sync and async, allowed and refused, one key and many."""

from __future__ import annotations

from rows import ORIGINAL, OURS, Table, loop, times

SYNC = {
    OURS: "limitpal.allow",
    ORIGINAL: "limitpal.allow",
    "token-bucket": "token_bucket.allow",
    "throttled-py": "throttled.allow",
    "throttled-py (GCRA)": "throttled.allow_gcra",
    "limits": "limits.allow",
    "limits (sliding)": "limits.allow_sliding",
    "pyrate-limiter": "pyrate_limiter.allow",
    "bare call": "bare.call",
}
REFUSED = {
    OURS: "limitpal.allow_refused",
    ORIGINAL: "limitpal.allow_refused",
    "token-bucket": "token_bucket.allow_refused",
    "throttled-py": "throttled.allow_refused",
    "limits": "limits.allow_refused",
    "pyrate-limiter": "pyrate_limiter.allow_refused",
    "bare call": "bare.call",
}
LEAKY = {OURS: "limitpal.allow_leaky", ORIGINAL: "limitpal.allow_leaky", "bare call": "bare.call"}
AWAIT_ALLOW = {
    OURS: "limitpal.await_allow",
    ORIGINAL: "limitpal.await_allow",
    "aiolimiter": "aiolimiter.await_acquire",
    "throttled-py": "throttled.await_allow",
    "limits": "limits.await_allow",
    "pyrate-limiter": "pyrate_limiter.await_allow",
    "bare await": "bare.await_call",
}
AWAIT_ACQUIRE = {
    OURS: "limitpal.await_acquire",
    ORIGINAL: "limitpal.await_acquire",
    "aiolimiter": "aiolimiter.await_acquire",
    "bare await": "bare.await_call",
}

TABLES = (
    Table(
        "Sync decisions, Python",
        "ns per call",
        "A token bucket's `allow(key)` and what the others have for it: token-bucket's `consume`, "
        "throttled-py's `limit` (token bucket unless said), limits' `hit` (fixed window unless "
        "said), pyrate-limiter's `try_acquire` with a bucket for each name. Keys come in a random "
        "order, as requests bring them; in the order in which they were first seen the memory of "
        "what keeps Python objects is read from one end to the other, as it hardly ever is.",
        (
            loop("sync allow, 1 key", SYNC, times(ORIGINAL, 15), times("token-bucket", 5), keys=1),
            loop(
                "sync allow, 100,000 keys",
                SYNC,
                times(ORIGINAL, 12),
                times("token-bucket", 5),
                keys=100_000,
            ),
            loop(
                "sync allow, 100,000 keys in order",
                SYNC,
                times(ORIGINAL, 12),
                times("token-bucket", 5),
                keys=100_000,
                in_order=True,
            ),
            loop("sync allow, refused", REFUSED),
            loop("sync allow, leaky bucket", LEAKY),
        ),
    ),
    Table(
        "Async decisions, Python",
        "ns per call",
        "Awaited in one task; aiolimiter has `acquire` only, and no keys.",
        (
            loop("await allow", AWAIT_ALLOW, times(ORIGINAL, 11), times("aiolimiter", 4)),
            loop("await acquire", AWAIT_ACQUIRE, times(ORIGINAL, 10), times("aiolimiter", 4)),
        ),
    ),
)
