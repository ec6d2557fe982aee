"""Laws of limits that change: a bucket does what a plain one counted in fractions does."""

from __future__ import annotations

import asyncio
from fractions import Fraction
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from driving import BOTH, Flavour, call
from limitpal import MockClock

# Tenths of a second, and rates by which whole permits come in them: no clock rounds.
TICK = Fraction(1, 10)
#: How far rounding may put a bucket below the plain one, in permits, after a change.
NEAR = Fraction(1, 10**5)
CAPACITY = st.integers(1, 12)
RATE = st.sampled_from([1, 2, 5, 10])
CARRY = st.sampled_from(["proportional", "as_is", "reset"])
STEP = st.one_of(
    st.tuples(st.just("wait"), st.integers(0, 40)),
    st.tuples(st.just("allow"), st.integers(1, 6)),
    st.tuples(st.just("give_back"), st.integers(1, 12)),
    st.tuples(st.just("penalise"), st.integers(0, 30)),
    st.tuples(st.just("reconfigure"), CAPACITY, RATE, CARRY),
    st.tuples(st.just("configure"), CAPACITY, RATE, CARRY),
    st.tuples(st.just("unconfigure"), CARRY),
)


class Plain:
    """One key's bucket, counted in fractions."""

    def __init__(self, capacity: int, rate: int) -> None:
        self.all, self.own = (capacity, rate), None
        self.held, self.now, self.opens = Fraction(capacity), Fraction(0), Fraction(0)

    @property
    def limits(self) -> tuple[int, int]:
        """Return the capacity and the rate that the key has now."""
        return self.own or self.all

    def wait(self, ticks: int) -> None:
        """Let time pass."""
        self.now += ticks * TICK
        self.held = min(Fraction(self.limits[0]), self.held + ticks * TICK * self.limits[1])

    def give_back(self, cost: int) -> None:
        """Return permits, at most what is missing."""
        self.held = min(Fraction(self.limits[0]), self.held + cost)

    def penalise(self, ticks: int) -> None:
        """Close the key; a longer penalty stays."""
        self.opens = max(self.opens, self.now + ticks * TICK)

    def change(self, limits: tuple[int, int], carry: str) -> None:
        """Go on under other limits."""
        old, new = Fraction(self.limits[0]), Fraction(limits[0])
        if carry == "reset" or self.held == old:
            self.held = new
        elif carry == "as_is":
            self.held = min(self.held, new)
        else:
            self.held = self.held * new / old

    def reconfigure(self, capacity: int, rate: int, carry: str) -> None:
        """Change the limits of all keys that have none of their own."""
        if self.own is None:
            self.change((capacity, rate), carry)
        self.all = (capacity, rate)

    def configure(self, capacity: int, rate: int, carry: str) -> None:
        """Give the key limits of its own."""
        self.change((capacity, rate), carry)
        self.own = (capacity, rate)

    def unconfigure(self, carry: str) -> None:
        """Take them away."""
        if self.own is not None:
            self.change(self.all, carry)
            self.own = None


async def step(limiter: Any, plain: Plain, clock: MockClock, what: str, *given: Any) -> None:
    """Do the same to both; hold the one against the other."""
    if what == "wait":
        clock.set_time(float(plain.now + given[0] * TICK))
        plain.wait(*given)
    elif what == "allow":
        went = await call(limiter.allow, "k", cost=given[0])
        if plain.now < plain.opens:
            assert not went
        elif abs(plain.held - given[0]) > NEAR:
            assert went == (plain.held > given[0])
        plain.held -= given[0] if went else 0
    elif what == "penalise":
        await call(limiter.penalise, "k", float(given[0] * TICK))
        plain.penalise(*given)
    elif what == "give_back":
        await call(limiter.give_back, "k", *given)
        plain.give_back(*given)
    elif what == "unconfigure":
        await call(limiter.unconfigure, "k", *given)
        plain.unconfigure(*given)
    else:
        capacity, rate, carry = given
        named: dict[str, Any] = {"capacity": capacity, "refill_rate": rate, "carry": carry}
        key = ("k",) if what == "configure" else ()
        await call(getattr(limiter, what), *key, **named)
        getattr(plain, what)(*given)
    answer = await call(limiter.peek, "k")
    assert answer.limit == plain.limits[0]
    if plain.now < plain.opens:
        assert not answer
        assert answer.retry_after >= float(plain.opens - plain.now) - 1e-9
    else:
        held = Fraction(await call(limiter.get_tokens, "k"))
        assert -NEAR <= plain.held - held <= NEAR, (plain.held, held)
        plain.held = min(plain.held, max(held, Fraction(0)))


async def play(flavour: Flavour, capacity: int, rate: int, history: list[Any]) -> None:
    """Play a history on a limiter and on a plain bucket."""
    clock = MockClock()
    limiter, plain = flavour.TokenBucket(capacity, rate, clock=clock), Plain(capacity, rate)
    for what, *given_ in history:
        await step(limiter, plain, clock, what, *given_)


@given(st.sampled_from(BOTH), CAPACITY, RATE, st.lists(STEP, max_size=40))
def test_a_bucket_whose_limits_change_is_as_a_plain_one(flavour, capacity, rate, history):
    """Whatever is changed, closed and given back: the same decisions, and as many permits."""
    asyncio.run(play(flavour, capacity, rate, history))
