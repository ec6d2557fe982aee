"""What became of the runs of an executor, and of the calls that asked a cache."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["CacheStats", "ExecutorStats"]


@dataclass(frozen=True, kw_only=True)
class ExecutorStats:
    """What became of the runs of an executor that have ended, and of their attempts.

    It adds up: `calls == successes + failures + refusals + cancelled`, and
    `attempts == firsts + retries + hedges`. Read while runs end in other threads, it may be short
    of those that are just ending.

    - `calls`: runs that have ended. `successes` gave a value, `recovered` of them after a retry.
    - `failures`: runs that ended with an error after at least one attempt. Of these `exhausted` had
      used up their attempts, `timed_out` ended with `TimeoutExceeded`, `out_of_time` had no time
      for another attempt, `out_of_budget` no budget for one, for `stopped_by_breaker` the
      circuit opened between two attempts, for `stopped_by_limiter` there was no quota for
      another, and for `stopped_by_bulkhead` no place.
    - `refused_by_limiter`, `refused_by_breaker`, `refused_by_bulkhead`, `refused_by_timeout`: runs
      that were refused before their first attempt, the last for want of time.
    - `timeouts`: attempts whose time was over, cut short or ended too late.
    - `cancelled`: runs that ended without an answer, by cancellation or Ctrl-C.
    - `attempts`: how often the function was called: `firsts` for the first time in a run,
      `retries` again, and `hedges` beside a try that was slow. `hedge_wins`: hedges that gave the
      value.
    - `left_behind`: sync tries that went on in their thread as their attempt had ended. Since then
      `late_values` of them have given a value, which nobody has, and `late_errors` have failed; the
      others are still under way.
    - `fallbacks`: failures and refusals whose callers were given something else by a fallback.
    - `waited`: how many seconds runs have waited for quota; `backed_off`: how many they have slept
      between attempts, as planned.
    """

    calls: int
    successes: int
    failures: int
    refused_by_limiter: int
    refused_by_breaker: int
    refused_by_bulkhead: int
    refused_by_timeout: int
    cancelled: int
    attempts: int
    firsts: int
    retries: int
    hedges: int
    hedge_wins: int
    left_behind: int
    late_values: int
    late_errors: int
    recovered: int
    exhausted: int
    timed_out: int
    timeouts: int
    out_of_time: int
    out_of_budget: int
    stopped_by_breaker: int
    stopped_by_limiter: int
    stopped_by_bulkhead: int
    fallbacks: int
    waited: float
    backed_off: float

    @property
    def refusals(self) -> int:
        """How many runs were refused before their first attempt."""
        by_parts = self.refused_by_limiter + self.refused_by_breaker + self.refused_by_bulkhead
        return by_parts + self.refused_by_timeout

    @property
    def amplification(self) -> float | None:
        """How many attempts there were for each run; None before the first run."""
        return self.attempts / self.calls if self.calls else None

    @property
    def retry_success(self) -> float | None:
        """The share of retries that gave a value; None before the first retry."""
        return self.recovered / self.retries if self.retries else None


@dataclass(frozen=True, kw_only=True)
class CacheStats:
    """What became of the calls that have asked a cache: each is a hit, a miss, or coalesced.

    - `hits`: answered by a fresh value, without a run. `misses`: a run was made.
    - `coalesced`: waited for the run of an equal call, and got what that came to.
    - `stale`: how often a caller was given a stale value in place of an error.
    """

    hits: int
    misses: int
    coalesced: int
    stale: int
