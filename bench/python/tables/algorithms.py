"""One decision of each algorithm beside the same one of others."""

from __future__ import annotations

from rows import OURS, Table, Target, loop, times

LIMITS, THROTTLED = "limits", "throttled-py"


def ten(*peers: str) -> tuple[Target, ...]:
    """Return the targets of being ten times as fast as each."""
    return tuple(times(peer, 10) for peer in peers)


FIXED = {OURS: "limitpal_windows.fixed", LIMITS: "limits.allow", THROTTLED: "throttled.allow_fixed"}
COUNTER = {
    OURS: "limitpal_windows.counter",
    LIMITS: "limits.allow_sliding",
    THROTTLED: "throttled.allow_sliding",
}
LOG = {OURS: "limitpal_windows.log", LIMITS: "limits.allow_moving"}
LOG_REFUSED = {OURS: "limitpal_windows.log_refused", LIMITS: "limits.moving_refused"}
LEAKY = {OURS: "limitpal.allow_leaky", THROTTLED: "throttled.allow_leaking"}

TABLES = (
    Table(
        "Each algorithm, Python",
        "ns per call",
        "Sync, one key, allowed unless said: our `allow`, limits' `hit`, throttled-py's `limit`, "
        "by the algorithm of that kind which each has.",
        (
            loop("fixed window", FIXED, *ten(LIMITS, THROTTLED)),
            loop("sliding window, estimated", COUNTER, *ten(LIMITS, THROTTLED)),
            loop("sliding window, exact", LOG, *ten(LIMITS)),
            loop("sliding window, exact, refused", LOG_REFUSED, *ten(LIMITS)),
            loop("leaky bucket", LEAKY, *ten(THROTTLED)),
        ),
    ),
)
