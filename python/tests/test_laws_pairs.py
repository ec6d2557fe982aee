"""Pairs of stages through an outage: neither feeds the other its refusals, and all is well soon."""

import asyncio
from dataclasses import dataclass, field

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from limitpal import (
    AsyncResilientExecutor,
    AsyncTokenBucket,
    Bulkhead,
    Cache,
    CircuitBreaker,
    Fallback,
    Hedge,
    MockClock,
    ResilientExecutor,
    RetryBudget,
    RetryPolicy,
    TokenBucket,
)

# The whole table of pairs is the law of the core, `crates/limitpal/tests/it/pairs.rs`; these are
# those that go through code of Python's own.
PAIRS = [
    ("fallback", "cache"),
    ("fallback", "breaker"),
    ("fallback", "bulkhead"),
    ("fallback", "limiter"),
    ("fallback", "timeout"),
    ("fallback", "hedge"),
    ("cache", "breaker"),
    ("cache", "bulkhead"),
    ("cache", "limiter"),
    ("cache", "timeout"),
    ("cache", "budget"),
    ("cache", "hedge"),
    ("timeout", "breaker"),
    ("attempt_timeout", "breaker"),
    ("attempt_timeout", "bulkhead"),
    ("hedge", "bulkhead"),
    ("hedge", "budget"),
    ("breaker", "limiter"),
    ("bulkhead", "limiter"),
]
INSTEAD, TTL, SPACING, LONGEST_CALL = -1.0, 0.3, 0.25, 0.06
# How long after an outage a stage may still refuse: see the table of the core's law.
RECOVERY = {"breaker": 2.0 + 2 * SPACING, "limiter": 0.3 + 2 * SPACING, "bulkhead": 2 * SPACING}

ARRIVALS = st.lists(
    st.tuples(
        st.integers(0, 200),  # milliseconds after the one before
        st.sampled_from([10, 10, 10, 60]),  # how long the call takes
        st.none() | st.none() | st.integers(0, 150),  # the run is cancelled after so many
    ),
    min_size=10,
    max_size=40,
)
OPTIONS = st.fixed_dictionaries(
    {
        "charge": st.sampled_from(["call", "attempt"]),
        "hangs": st.booleans(),
        "down": st.tuples(st.integers(300, 2000), st.integers(100, 3000)),
        "acquire_timeout": st.sampled_from([0.0, 0.1, 0.3]),
        "max_waiting": st.integers(0, 2),
        "stale_for": st.sampled_from([0.0, 1.0]),
    }
)


@dataclass
class World:
    """An executor of two stages, and another side that is down for a while."""

    pair: tuple[str, str]
    options: dict
    is_async: bool
    clock: MockClock = field(default_factory=MockClock)
    calls: int = 0
    left: int = 0
    is_leaving: bool = False

    def __post_init__(self):
        clock, options = self.clock, self.options
        begins, lasts = options["down"]
        self.begins, self.ends = begins / 1000, (begins + lasts) / 1000
        self.breaker = CircuitBreaker(
            failure_threshold=3, recovery_timeout=2.0, count_successes=True, clock=clock
        )
        self.bulkhead = Bulkhead(2, options["max_waiting"], clock=clock)
        self.budget = RetryBudget(ratio=0.2, minimum_per_second=0.0, window=1000.0, clock=clock)
        self.cache = Cache(TTL, stale_for=options["stale_for"], key=lambda by, _: by % 3)
        self.bucket = (AsyncTokenBucket if self.is_async else TokenBucket)(3, 5.0, clock=clock)
        stages = {
            "fallback": {"fallback": Fallback(INSTEAD)},
            "cache": {"cache": self.cache},
            "timeout": {"timeout": 0.5},
            "attempt_timeout": {"attempt_timeout": 0.4},
            "breaker": {"circuit_breaker": self.breaker},
            "bulkhead": {"bulkhead": self.bulkhead},
            "limiter": {"limiter": self.bucket},
            "hedge": {"hedge": Hedge(percentile=80, min_samples=10, max_extra_load=0.5)},
            "budget": {
                "retry_budget": self.budget,
                "retry_policy": RetryPolicy(base_delay=0.1, backoff=1.0),
            },
        }
        parts = {name: part for stage in self.pair for name, part in stages[stage].items()}
        kind = AsyncResilientExecutor if self.is_async else ResilientExecutor
        self.executor = kind(
            clock=clock,
            charge=options["charge"],
            acquire_timeout=options["acquire_timeout"],
            **parts,
        )

    @property
    def bound(self):
        """How long after the outage the two may still refuse."""
        return LONGEST_CALL + sum(RECOVERY.get(stage, 0.0) for stage in self.pair)

    def begin(self, lasts):
        """Return how long this call takes, and whether it fails then."""
        self.calls += 1
        now = self.clock.now()
        is_down = self.begins <= now < self.ends
        return (self.ends - now if is_down and self.options["hangs"] else lasts), is_down

    def end(self, is_down):
        """Give the time at which it was given."""
        if is_down:
            raise ConnectionError("down")
        return self.clock.now()

    def call(self, by, lasts):
        """Be the sync function."""
        takes, is_down = self.begin(lasts)
        self.clock.sleep(takes)
        return self.end(is_down)

    async def call_async(self, by, lasts):
        """Be the async one."""
        takes, is_down = self.begin(lasts)
        try:
            await self.clock.sleep_async(takes)
        except asyncio.CancelledError:
            self.left += self.is_leaving
            raise
        return self.end(is_down)

    def arrivals(self, arrivals):
        """Return who comes when: at random until the outage is over, then at the full rate."""
        now, coming = 0.0, []
        for pause, lasts, leaves in arrivals:
            now += pause / 1000
            if now < self.ends:
                coming.append((now, lasts / 1000, leaves))
        coming.extend((self.ends + at * SPACING, 0.01, None) for at in range(26))
        return coming

    def is_sound(self, answers):
        """Hold what was counted, fed and held against who called what, in the end."""
        stats, heard = self.executor.stats(), self.breaker.stats()
        assert stats.calls == stats.successes + stats.failures + stats.refusals + stats.cancelled
        assert stats.attempts == stats.firsts + stats.retries + stats.hedges == self.calls
        assert stats.fallbacks == sum(value == INSTEAD for _, value in answers)
        if "cache" in self.pair:
            assert self.cache.stats().misses == stats.calls
        else:
            assert len(answers) == stats.calls
        if "breaker" in self.pair:
            outcomes = stats.successes + stats.failures
            if self.options["charge"] == "attempt":
                outcomes = stats.firsts + stats.retries - self.left
            assert heard.successes + heard.failures + heard.late == outcomes
        if "budget" in self.pair and not self.left:
            left = int(0.2 * stats.firsts) - stats.retries - stats.hedges
            assert self.budget.left == max(left, 0)
        assert (self.bulkhead.in_flight(), self.bulkhead.waiting()) == (0, 0)
        well = [(at, value) for at, value in answers if at >= self.ends + self.bound]
        assert len(well) >= 8
        for at, value in well:
            assert isinstance(value, float), (at, value)
            assert value != INSTEAD, at
            assert value >= at - TTL - 1e-6, "it is fresh"


@pytest.mark.parametrize("pair", [pair for pair in PAIRS if "hedge" not in pair], ids="-".join)
@settings(deadline=None, max_examples=8)
@given(OPTIONS, ARRIVALS)
def test_two_sync_stages_stand_an_outage(pair, options, arrivals):
    """One run after the other. A sync hedge leaves tries behind, which has its own tests."""
    world = World(pair, options, is_async=False)
    answers = []

    for by, (planned, lasts, _) in enumerate(world.arrivals(arrivals)):
        world.clock.advance(max(planned - world.clock.now(), 0.0))
        comes = world.clock.now()
        try:
            answers.append((comes, world.executor.run("key", world.call, by, lasts)))
        except Exception as error:
            answers.append((comes, error))

    world.clock.advance(5.0)
    world.is_sound(answers)
    assert world.breaker.state == "closed"
    assert world.bucket.get_tokens("key") == 3.0


@pytest.mark.parametrize("pair", PAIRS, ids="-".join)
@settings(deadline=None, max_examples=8)
@given(OPTIONS, ARRIVALS)
def test_two_async_stages_stand_an_outage(pair, options, arrivals):
    """Side by side, and some are cancelled."""

    async def main():
        world = World(pair, options, is_async=True)
        answers, tasks, leaving = [], [], []

        async def come(by, comes, lasts):
            answer = (comes, None)
            try:
                value = await world.executor.run("key", world.call_async, by, lasts)
                answer = (comes, value)
            except Exception as error:
                answer = (comes, error)
            finally:
                answers.append(answer)

        coming = list(enumerate(world.arrivals(arrivals)))
        while coming or leaving:
            leaving.sort(key=lambda one: one[0])
            if leaving and (not coming or leaving[0][0] <= coming[0][1][0]):
                at, task = leaving.pop(0)
                await world.clock.run_for(max(at - world.clock.now(), 0.0))
                world.is_leaving = True
                task.cancel()
                await asyncio.gather(task, return_exceptions=True)
                world.is_leaving = False
                continue
            by, (comes, lasts, leaves) = coming.pop(0)
            await world.clock.run_for(max(comes - world.clock.now(), 0.0))
            tasks.append(asyncio.ensure_future(come(by, comes, lasts)))
            if leaves is not None:
                leaving.append((comes + leaves / 1000, tasks[-1]))
        await world.clock.run_for(5.0)
        assert all(task.done() for task in tasks)
        world.is_sound(answers)
        assert world.breaker.state == "closed"
        assert await world.bucket.get_tokens("key") == 3.0

    asyncio.run(main())
