"""Laws of composites of every kind: a refusal takes nothing, and says exactly when to come back."""

from __future__ import annotations

import math

from hypothesis import given, settings
from hypothesis import strategies as st

from limitpal import (
    CompositeLimiter,
    ConcurrencyLimiter,
    FixedWindow,
    LeakyBucket,
    MockClock,
    RateLimitExceeded,
    SlidingWindowCounter,
    SlidingWindowLog,
    TokenBucket,
)

KINDS = {
    "token": lambda size, per, **options: TokenBucket(size, size / per, **options),
    "leaky": lambda size, per, **options: LeakyBucket(size, size / per, **options),
    "fixed": FixedWindow,
    "counter": SlidingWindowCounter,
    "log": SlidingWindowLog,
    "pool": lambda size, _, **options: ConcurrencyLimiter(size, **options),
}
PER = st.sampled_from([0.25, 1.0, 3.0])
SPEC = st.tuples(st.sampled_from(sorted(KINDS)), st.integers(1, 5), PER, st.booleans())
KEY, COST = st.sampled_from(["a", "b"]), st.sampled_from([1, 1, 1, 2, 3, 6])
EVENT = st.one_of(
    st.tuples(st.just("come"), KEY, COST),
    st.tuples(st.just("come"), KEY, COST),
    st.tuples(st.just("take"), st.integers(0, 3), KEY, COST),
    st.tuples(st.just("release"), st.integers(0, 5)),
    st.tuples(st.just("pass"), st.sampled_from([0.125, 0.5, 1.0, 2.5])),
)


class World:
    """A composite, its parts, and the permits that are out."""

    def __init__(self, specs):
        self.clock = MockClock()
        self.parts = [
            KINDS[kind](size, per, per_key=per_key, clock=self.clock)
            for kind, size, per, per_key in specs
        ]
        self.pools = [part for part in self.parts if isinstance(part, ConcurrencyLimiter)]
        self.limiter = CompositeLimiter(self.parts)
        self.permits = []

    def ask(self, key, cost):
        """Returns when to come back, or 0 for one who went."""
        try:
            self.permits.append(self.limiter.acquire(key, 0, cost))
        except RateLimitExceeded as refusal:
            assert refusal.retry_after != 0.0
            return refusal.retry_after
        return 0.0

    def seen(self):
        return [
            (part.in_flight(key), part.waiting(key)) if part in self.pools else part.peek(key)
            for part in self.parts
            for key in "ab"
        ]

    def is_full(self, key, cost):
        return any(pool.in_flight(key) + cost > pool.limit for pool in self.pools)

    def come(self, key, cost):
        before = self.seen()
        after = self.ask(key, cost)
        if after == 0.0:
            return
        assert repr(self.seen()) == repr(before), "a refusal took something"
        if after is None:
            assert self.is_full(key, cost)
            self.permits.clear()
            assert self.ask(key, cost) not in (None, math.inf)
        elif after == math.inf:
            self.permits.clear()
            self.clock.advance(1e6)
            assert self.ask(key, cost) == math.inf
        else:
            assert not self.is_full(key, cost), "nobody knows that"
            start = self.clock.now()
            # A float has about a tenth of a microsecond to spare, at a time in the millions.
            self.clock.set_time(start + after - 1e-6)
            assert self.ask(key, cost) != 0.0
            self.clock.set_time(start + after + 1e-8)
            assert self.ask(key, cost) == 0.0

    def act(self, event):
        match event:
            case ("come", key, cost):
                self.come(key, cost)
            case ("take", part, key, cost) if part < len(self.parts):
                own = CompositeLimiter([self.parts[part]])
                self.permits.append(own.try_acquire(key, cost))
            case ("release", which) if self.permits:
                self.permits.pop(which % len(self.permits))
            case ("pass", seconds):
                self.clock.advance(seconds)


@settings(max_examples=150, deadline=None)
@given(st.lists(SPEC, min_size=1, max_size=4), st.lists(EVENT, max_size=20))
def test_a_refusal_takes_nothing_and_says_exactly_when_to_come_back(specs, events):
    """None where a permit is lacking, infinity for never, and else to the nanosecond."""
    world = World(specs)

    for event in events:
        world.act(event)

    world.permits.clear()
    assert all(len(pool) == 0 for pool in world.pools), "a permit was lost"
