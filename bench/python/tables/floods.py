"""New keys, one after the other, when a limiter remembers as many as it may."""

from __future__ import annotations

from rows import ORIGINAL, OURS, Measurement, Table, loop

COLUMNS = {
    OURS: "limitpal.flood",
    ORIGINAL: "limitpal.flood",
    "throttled-py": "throttled.flood",
}


def flood(cap: int, live: bool) -> Measurement:
    """Return the measurement of a row."""
    case = f"flood, {cap:,} buckets {'in use' if live else 'full again'}"
    return loop(case, COLUMNS, keys="fresh", cap=cap, live=live)


TABLES = (
    Table(
        "A flood of new keys at max_buckets, Python",
        "ns per call",
        "Each call brings a key that was never seen. Ours looks for a bucket that it may forget "
        "without loss, throttled-py forgets the least recently used, 0.1.1 looks at all of them.",
        (
            flood(1_000, live=True),
            flood(10_000, live=True),
            flood(100_000, live=True),
            flood(10_000, live=False),
        ),
    ),
)
