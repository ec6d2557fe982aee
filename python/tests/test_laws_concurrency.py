"""Laws of a concurrency limiter: never too many inside, no permit lost, order kept."""

from __future__ import annotations

import asyncio

from hypothesis import given, settings
from hypothesis import strategies as st

from driving import settle
from limitpal import AsyncConcurrencyLimiter, ConcurrencyLimiter, MockClock, RateLimitExceeded

KEY = st.sampled_from(["a", "b"])
COST = st.sampled_from([1, 1, 1, 2, 3])
EVENT = st.one_of(
    st.tuples(st.just("come"), KEY, COST, st.sampled_from([None, None, 0.0, 1.0, 2.5])),
    st.tuples(st.just("cancel"), st.integers(0, 10)),
    st.tuples(st.just("release"), st.integers(0, 10)),
    st.tuples(st.just("pass"), st.sampled_from([0.5, 1.0, 3.0])),
    st.tuples(st.just("limit"), st.integers(1, 4)),
    # Without a turn of the loop between this and the next.
    st.tuples(st.just("at once")),
)


class Crowd:
    """Tasks that come and go, and what is out by their own count."""

    def __init__(self, limit, per_key):
        self.clock = MockClock(autojump=False)
        self.limiter = AsyncConcurrencyLimiter(limit, per_key=per_key, clock=self.clock)
        self.tasks = []
        self.came = []
        self.held = {}
        self.order = []

    async def work(self, number, key, cost, timeout):
        # No two end at one instant: woken for its end, one would go on before one ahead of it whom
        # another's end in that instant has let in.
        timeout = None if timeout is None else timeout + number * 1e-9
        permit = await self.limiter.acquire(key, timeout, cost)
        self.order.append(number)
        self.held[number] = permit

    async def act(self, event):
        match event:
            case ("come", key, cost, timeout):
                number = len(self.came)
                self.came.append((key, cost))
                self.tasks.append(asyncio.ensure_future(self.work(number, key, cost, timeout)))
            case ("cancel", which) if self.tasks:
                self.tasks[which % len(self.tasks)].cancel()
            case ("release", which) if self.held:
                number = sorted(self.held)[which % len(self.held)]
                self.held.pop(number).release()
            case ("pass", seconds):
                await self.clock.run_for(seconds)
            case ("limit", limit):
                await self.limiter.set_limit(limit)

    def out(self, key):
        """Return the cost of all that is held of a key, or of all keys."""
        return sum(self.came[n][1] for n in self.held if key is None or self.came[n][0] == key)


@given(
    limit=st.integers(1, 4), per_key=st.booleans(), events=st.lists(EVENT, min_size=1, max_size=40)
)
@settings(max_examples=200)
def test_whatever_happens_never_too_many_are_inside_and_none_is_lost(limit, per_key, events):
    """Come, cancel, give back, time out, change the limit; also several of these in one tick."""

    async def main():
        crowd, highest = Crowd(limit, per_key), limit
        for event in events:
            await crowd.act(event)
            highest = max(highest, crowd.limiter.limit)
            if event[0] == "at once":
                continue
            await settle()
            for key in ("a", "b"):
                out = crowd.out(key if per_key else None)
                assert out <= highest
                assert out == await crowd.limiter.in_flight(key)
        await settle()
        await crowd.clock.run_for(10.0)
        while crowd.held:
            await crowd.act(("release", 0))
            await settle()
        for answer in await asyncio.gather(*crowd.tasks, return_exceptions=True):
            assert answer is None or isinstance(
                answer, (RateLimitExceeded, asyncio.CancelledError)
            ), answer
        assert len(crowd.limiter) == 0, "a permit was lost"
        for key in ("a", "b"):
            own = [n for n in crowd.order if crowd.came[n][0] == key or not per_key]
            assert own == sorted(own), "somebody overtook"

    asyncio.run(main())


@given(limit=st.integers(1, 5), asks=st.lists(st.tuples(KEY, st.integers(1, 6), st.booleans())))
def test_who_does_not_wait_is_let_in_exactly_while_there_is_room(limit, asks):
    """`try_acquire` against a plain count, with permits given back at random."""
    limiter, held = ConcurrencyLimiter(limit), []

    for key, cost, gives_back in asks:
        if gives_back and held:
            held.pop(0)[2].release()
        out = sum(size for own, size, _ in held if own == key)
        permit = limiter.try_acquire(key, cost)
        assert (permit is not None) == (out + cost <= limit)
        if permit is not None:
            held.append((key, cost, permit))
        assert limiter.in_flight(key) == sum(size for own, size, _ in held if own == key)

    assert len(limiter) == len({key for key, _, _ in held})
