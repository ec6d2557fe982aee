"""When a slow attempt gets another try, as a value for `hedge=`."""

from __future__ import annotations

from dataclasses import KW_ONLY, dataclass

from ._limitpal import _check_hedge
from ._plain import FromDict

__all__ = ["Hedge"]


@dataclass(frozen=True)
class Hedge(FromDict):
    """Sends another try of an attempt that is slow, and takes whichever gives a value first.

    A hedge is for what is slow by chance: a busy server, a lost packet.

    - A hedge starts when the try before it has taken `delay` seconds, or where there is a
      `percentile` and enough is known, as long as that percentile of the latency (1 ms at least).
    - The first value wins; the other tries are cancelled and awaited, or left behind in their
      threads where the executor is sync. An error waits for the tries under way; one that the retry
      policy does not retry ends the attempt at once. Once all have failed, so has the attempt, with
      the error of the earliest one. What has failed gets no hedge, but a retry.
    - To breaker, retry policy and limiter it is one attempt with one outcome. With
      `charge="attempt"` each hedge takes quota, and without waiting: where there is none, there is
      no hedge.
    - In the last `window` seconds there may be `max_extra_load * calls + minimum_per_second *
      window` hedges. A `RetryBudget` of the executor is charged for hedges, too.
    - **Tries leave the caller's own task or thread**: they run in tasks or threads of their own,
      with a copy of the context variables.

    Options:

    - `delay`: seconds, at least 0; beside a percentile, for as long as too little is known
    - `percentile`: above 0, below 100, of the latency of first tries that gave a value; one that
      lost to its hedge counts as having taken as long as it was let run
    - `max_hedges`: of one attempt, from 1 to 10
    - `max_extra_load`: hedges for each call, from 0 to 1
    - `minimum_per_second`: hedges besides, from 0 to 1000000, so that a quiet client may hedge; all
      of a window's may come at once
    - `min_samples`: how many latencies are enough, at least 1
    - `window`: for how many seconds calls and hedges are remembered; latencies for half of it at
      least

    It is a value; what is counted belongs to each executor.

    >>> import asyncio
    >>> from limitpal import AsyncResilientExecutor, Hedge, MockClock
    >>> clock = MockClock()
    >>> executor = AsyncResilientExecutor(hedge=Hedge(delay=0.1), clock=clock)
    >>> latencies = iter([3.0, 0.02])
    >>> async def call():
    ...     latency = next(latencies)
    ...     await clock.sleep_async(latency)
    ...     return latency
    >>> asyncio.run(executor.run("api", call)), clock.now()
    (0.02, 0.12)
    """

    delay: float | None = None
    _: KW_ONLY
    percentile: float | None = None
    max_hedges: int = 1
    max_extra_load: float = 0.1
    minimum_per_second: float = 1.0
    min_samples: int = 100
    window: float = 30.0

    def __post_init__(self) -> None:
        _check_hedge(self)
