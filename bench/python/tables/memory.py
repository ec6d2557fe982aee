"""How much memory a key takes."""

from __future__ import annotations

from rows import ORIGINAL, OURS, Figure, Measurement, Scale, Table, Target

PLAIN = {
    OURS: "limitpal.allow",
    ORIGINAL: "limitpal.allow",
    "token-bucket": "token_bucket.allow",
    "throttled-py": "throttled.allow",
    "throttled-py (GCRA)": "throttled.allow_gcra",
    "limits": "limits.allow",
}
# 0.1.1 would take an hour for this: with a ttl every hundredth call looks at all the keys.
BOUNDED = {OURS: "limitpal.allow_bounded"}

OTHERS = {
    "FixedWindow": "limitpal_windows.fixed",
    "SlidingWindowCounter": "limitpal_windows.counter",
    "SlidingWindowLog": "limitpal_windows.log_refused",
    "WarmUpBucket": "limitpal_windows.warm_up",
    "FairBucket": "limitpal_windows.fair",
    "AdaptiveLimiter": "limitpal_windows.adaptive",
}


def table(scale: Scale) -> Table:
    """Return the table."""
    return Table(
        "Memory per key, Python",
        "bytes",
        "How much a fresh process grows while it allows each of so many keys once, made on the "
        "fly: what the library keeps, the keys included if it keeps those.",
        (
            grown(f"memory, {scale.memory_keys:,} keys", PLAIN, scale),
            grown(f"memory, {scale.memory_keys:,} keys, ttl and max_buckets", BOUNDED, scale),
            grown(
                f"memory, {scale.memory_keys:,} keys, other ways to count",
                OTHERS,
                scale,
                at_most=None,
            ),
        ),
    )


def grown(
    case: str, columns: dict[str, str], scale: Scale, at_most: float | None = 80
) -> Measurement:
    """Return the measurement of a row."""
    targets = () if at_most is None else (Target(at_most=at_most),)
    return Measurement(
        "memory",
        columns,
        (Figure("bytes", case, targets),),
        {"keys": scale.memory_keys},
        fresh=True,
        rounds=scale.memory_rounds,
    )
