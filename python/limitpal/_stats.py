"""What was counted: `executor.stats()`, `limiter.stats()`, `breaker.stats()`, `cache.stats()`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

__all__ = ["BreakerStats", "CacheStats", "ExecutorStats", "KeyedBreakerStats", "LimiterStats"]


@dataclass(frozen=True, kw_only=True)
class ExecutorStats:
    """What became of the runs of an executor, and of their attempts.

    It adds up in every reading: `calls == successes + failures + refusals + cancelled + in_flight`,
    and `attempts == firsts + retries + hedges`. Attempts are counted as their run ends. Read while
    runs begin and end in other threads, it may be short of those that are just doing so.

    - `calls`: runs that have begun. `in_flight` of them have not ended. `successes` gave a value,
      `recovered` of them after a retry.
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
    in_flight: int
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
        """How many attempts there were for each run that has ended; None before the first."""
        ended = self.calls - self.in_flight
        return self.attempts / ended if ended else None

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


@dataclass(frozen=True, kw_only=True)
class LimiterStats:
    """What became of the calls of a limiter, since it was made.

    Each call is one of `admitted`, `refused`, `left` and `waiting`, however much it costs; `peek`
    is none. Read while calls end in other threads, it may be short of those that are just ending.

    - `admitted`: calls that took what they asked for, at once or after a wait; `refused`: calls
      that were refused.
    - `waited`: calls that had to wait. Of these `left` went before their turn, cancelled or out of
      time, and `waiting` wait now. `time_waited`: for how many seconds all of them have waited
      together until now; a concurrency limiter does not know the time, and has 0.
    - `given_back`: takes that were given back unused: by a run that ended between its quota and
      its attempt, or as another limiter of a composite refused.
    - `keys`: how many are remembered now; `evicted_live`: how many `max_buckets` has cost though
      they were in use; `refused_new`: newcomers refused for lack of room, of `refused`.
    - `in_flight`: permits that are out, of concurrency limiters.
    - `refused_by`: of a composite, how many of the calls refused each of its limiters has refused:
      those that count how often something goes in their order, then the concurrency limiters.
      Waits are those in its limiters, whoever else they serve.
    """

    admitted: int
    refused: int
    waited: int
    left: int
    waiting: int
    time_waited: float
    given_back: int
    keys: int
    evicted_live: int
    refused_new: int
    in_flight: int
    refused_by: tuple[int, ...]

    @property
    def calls(self) -> int:
        """How many calls there have been."""
        return self.admitted + self.refused + self.left + self.waiting


@dataclass(frozen=True, kw_only=True)
class BreakerStats:
    """Where a circuit breaker stands, and what became of its calls; a reset forgets none of it.

    - `trips`: how often it has opened, from half-open too.
    - `refused`: calls it has refused; `shadowed`: those it would have refused, in shadow.
    - `successes`, `failures`: calls that ended so, and that counted. `successes` is None where a
      healthy circuit is not told of them: see `count_successes`.
    - `ignored`: calls that ended as neither: an error in `ignore`, a refusal of another part of
      ours, a cancellation. `late`: outcomes whose state was over; they count no more.
    - `probes`: calls let through half-open, to find out whether the other side is back.
    """

    state: Literal["closed", "open", "half_open"]
    mode: Literal["enforce", "shadow", "disabled", "forced_open"]
    trips: int
    refused: int
    shadowed: int
    successes: int | None
    failures: int
    ignored: int
    late: int
    probes: int


@dataclass(frozen=True, kw_only=True)
class KeyedBreakerStats:
    """What became of the calls of a breaker for each key, those of keys that are forgotten too.

    `keys` are remembered now; of these circuits `open` are open and `half_open` half-open. The rest
    is summed up, as `BreakerStats` has it.
    """

    keys: int
    open: int
    half_open: int
    trips: int
    refused: int
    shadowed: int
    successes: int | None
    failures: int
    ignored: int
    late: int
    probes: int
