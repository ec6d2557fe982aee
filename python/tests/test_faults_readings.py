"""A clock that fails at any one of its readings: no quota is lost, no place, and nobody waits."""

from typing import Any

import pytest

from helpers import HandClock, Script, both, settle
from limitpal import RetryPolicy


class Boom(Exception):
    """The user's own trouble."""


class LameClock(HandClock):
    """A clock that raises at one of its readings, counted from when it was told."""

    def __init__(self) -> None:
        super().__init__()
        self.left: int | None = None

    def now(self) -> float:
        """Returns the time, or raises once."""
        if self.left is not None:
            self.left -= 1
            if self.left == 0:
                self.left = None
                raise Boom
        return super().now()


BUCKETS = {
    "token": lambda side, clock, *two: side.TokenBucket(*two, clock=clock, max_buckets=1),
    "leaky": lambda side, clock, *two: side.LeakyBucket(*two, clock=clock, max_buckets=1),
}
RETRY = RetryPolicy(max_attempts=2, base_delay=1.0)


def over(side: Any, limiter: Any, clock: Any, script: Script, **options: Any) -> Any:
    """Returns a run through an executor over the limiter."""
    return side.run(side.Executor(limiter, RETRY, clock=clock, **options), script)


RUNS = {
    "acquire": lambda side, part, both, clock: part.acquire("k", timeout=30),
    "executor": lambda side, part, both, clock: over(side, part, clock, Script("done")),
    "attempts": lambda side, part, both, clock: over(
        side, part, clock, Script(ValueError(), "done"), charge="attempt"
    ),
    "composite": lambda side, part, both, clock: both.acquire("k", timeout=30),
    "executor with a composite": lambda side, part, both, clock: over(
        side, both, clock, Script("done")
    ),
}


class Trial:
    """Two parts, emptied, and their twins that nobody touches again, on a clock to fail at `n`."""

    def __init__(self, side: Any, bucket: str) -> None:
        self.side, self.clock = side, LameClock()
        numbers = ((1, 1.0), (2, 0.5))
        make = BUCKETS[bucket]
        self.parts = [make(side, self.clock, *two) for two in numbers]
        self.twins = [make(side, self.clock, *two) for two in numbers]

    async def run(self, which: str, n: int) -> bool:
        """Runs with the `n`th reading failing; returns whether the error came out."""
        for part in [*self.parts, *self.twins]:
            assert await settle(part.allow("k", cost=part.capacity))
        both = self.side.CompositeLimiter(self.parts)
        self.clock.left = n
        try:
            await settle(RUNS[which](self.side, self.parts[0], both, self.clock))
        except Boom:
            return True
        return False

    async def numbers(self, limiters: list[Any]) -> list[Any]:
        """Returns what can be seen of each limiter now."""
        return [await settle(limiter.peek("k")) for limiter in limiters]


@both
@pytest.mark.parametrize("bucket", BUCKETS)
@pytest.mark.parametrize("which", RUNS)
async def test_a_reading_that_fails_loses_no_quota_and_no_place(side, bucket, which):
    """Whichever reading it is: a run that raises leaves every part as if it had never come.

    After the wait the quota was granted, and the clock was read once more: that error kept it.
    """
    came_out, n = 0, 0
    reached = True
    while reached:
        n += 1
        trial = Trial(side, bucket)

        raised = await trial.run(which, n)

        reached = trial.clock.left is None
        trial.clock.left = None
        came_out += raised
        if raised:
            untouched = await trial.numbers(trial.twins)
            assert await trial.numbers(trial.parts) == untouched, f"reading {n}"
        trial.clock.time += 30.0
        for part in trial.parts:
            # The one bucket that fits stays while anybody waits for it.
            assert await settle(part.allow("another")), f"somebody waits after reading {n}"
            assert len(part) == 1
            assert part.evicted_live == 0, f"reading {n}"

    assert came_out >= 1
    assert n > 2
    assert n < 30
