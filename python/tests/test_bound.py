"""What a limiter says that it admits at most, and what the worst caller gets."""

from __future__ import annotations

import math
import random
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from driving import SYNC, Flavour, call
from helpers import OwnAsyncLimiter, OwnLimiter
from limitpal import InvalidConfigError, MockClock, Rate
from models import NANOS, nanos

COUNT = st.integers(1, 5000)
WINDOW = st.one_of(st.integers(0, 10**12), st.sampled_from([0, 1, NANOS // 3, NANOS // 3 + 1]))


@given(capacity=st.integers(1, 500_000), count=COUNT, per=COUNT, window=WINDOW)
def test_a_bound_is_capacity_and_rate_in_whole_permits(capacity, count, per, window):
    """`floor(capacity + rate * window)`, by the exact fraction."""
    limiter = SYNC.TokenBucket(capacity, Rate(count, per=per))

    bound = limiter.bound(window / NANOS)

    assert bound == capacity + math.floor(Fraction(count * window, per * NANOS))


def test_a_limit_in_words_admits_twice_its_count_in_its_worst_time(flavour):
    """A full bucket refills while it is emptied; `burst=` is the way out."""
    assert flavour.TokenBucket.per("100/minute").bound(60) == 200
    assert flavour.TokenBucket.per("100/minute", burst=10).bound(60) == 110
    assert flavour.LeakyBucket.per("100/minute", capacity=5).bound(60) == 105
    assert flavour.CompositeLimiter.of("10/second", "500/hour").bound(60) == 508


def test_a_bound_is_the_least_of_the_parts_and_of_theirs(flavour):
    """Of composites within composites too, and of parts that all keys share."""
    shared = flavour.LeakyBucket(30, 0.5, per_key=False)
    inner = flavour.CompositeLimiter([flavour.TokenBucket(10, 10.0), shared])
    limiter = flavour.CompositeLimiter([inner, flavour.TokenBucket(28, 1.0)])

    assert [limiter.bound(window) for window in (0, 1, 2, 10, 60)] == [10, 20, 30, 35, 60]


def test_parts_of_the_users_own_have_no_bound(flavour):
    """A TypeError, as for `check`, that says what to do instead."""
    own = (OwnAsyncLimiter if flavour.name == "async" else OwnLimiter)(lambda: None)
    limiter = flavour.CompositeLimiter([flavour.TokenBucket(1, 1.0), own])

    with pytest.raises(TypeError, match=r"bound\(\); take the least of those"):
        limiter.bound(60)


def limiters(flavour: Flavour) -> list:
    """Return one of each kind."""
    one = flavour.TokenBucket(1, 1.0)
    return [one, flavour.LeakyBucket(1, 1.0), flavour.CompositeLimiter([one])]


@pytest.mark.parametrize("window", [math.nan, -1, -0.5, -math.inf, "60", None, [], True, 1j])
def test_a_window_that_is_none_is_refused_by_name(flavour, window):
    """NaN, what is negative, and what is no number."""
    for limiter in limiters(flavour):
        with pytest.raises(InvalidConfigError, match=r"^window is .*; give a time") as refusal:
            limiter.bound(window)

        assert refusal.value.parameter == "window"


def test_a_bound_beyond_all_bounds_saturates(flavour):
    """No window is too long."""
    for limiter in limiters(flavour):
        assert limiter.bound(math.inf) == limiter.bound(1e300) == 2**64 - 1
        assert limiter.bound(10**10) == 10**10 + 1


Move = tuple[int, str, int, int]  # when, by which call, for how much, how often


class Adversary:
    """Looks for the worst window of a length: it changes how it asks, and keeps what is worse."""

    def __init__(self, window: int, bound: int, seed: int) -> None:
        self.window = window
        self.bound = bound
        self.random = random.Random(seed)

    def instant(self) -> int:
        """Return when to ask."""
        some = self.random.randint(0, 2 * self.window)
        return self.random.choice([0, self.window, some, some, self.window + 1, 2 * self.window])

    def move(self) -> Move:
        """Return a way to ask."""
        kind = self.random.choice(["allow", "allow_many", "acquire", "allow"])
        return self.instant(), kind, self.random.choice([1, 1, 2]), self.random.randint(1, 20)

    def changed(self, plan: list[Move]) -> list[Move]:
        """Return a plan with a move added, taken away, or made another."""
        plan = list(plan)
        at = self.random.randrange(len(plan))
        turn = self.random.random()
        if turn < 0.3 and len(plan) < 8:
            plan.insert(at, self.move())
        elif turn < 0.5 and len(plan) > 1:
            del plan[at]
        elif turn < 0.8:
            plan[at] = (self.instant(), *plan[at][1:])
        else:
            plan[at] = self.move()
        return plan


async def play(limiter, clock: MockClock, plan: list[Move]) -> list[tuple[int, int]]:
    """Ask as planned; return what was admitted and when, in nanoseconds."""
    takes: list[tuple[int, int]] = []
    for at, kind, cost, times in sorted(plan, key=lambda move: move[0]):
        clock.advance(max(0, at - nanos(clock.now())) / NANOS)
        if kind == "allow_many":
            answers = await call(limiter.allow_many, ["k"] * times, cost)
            takes += [(nanos(clock.now()), cost)] * sum(answers)
            continue
        for _ in range(times):
            if kind == "acquire":
                await call(limiter.acquire, "k", cost=cost)
            elif not await call(limiter.allow, "k", cost=cost):
                break
            takes.append((nanos(clock.now()), cost))
    return takes


def most_in_a_window(takes: list[tuple[int, int]], window: int) -> int:
    """Return the most permits taken in any window, both its ends included."""
    ends = [at for at, _ in takes]
    return max(sum(c for at, c in takes if end - window <= at <= end) for end in ends)


async def search(make, window: int, seed: int) -> tuple[int, int]:
    """Return the most that was found in a window, and the bound; beginning anew while it helps."""
    bound = make(MockClock()).bound(window / NANOS)
    worst = 0
    for beginning in range(12):
        adversary = Adversary(window, bound, seed + beginning)
        plan, most = [adversary.move() for _ in range(4)], 0
        for _ in range(40):
            other = adversary.changed(plan)
            clock = MockClock()
            takes = await play(make(clock), clock, other)
            found = most_in_a_window(takes, window)
            assert found <= bound, f"seed {seed} + {beginning}: {other}"
            if found >= most:
                plan, most = other, found
        worst = max(worst, most)
        if worst == bound:
            break
    return worst, bound


MAKERS = {
    "token": lambda flavour, clock: flavour.TokenBucket(6, 5, clock=clock),
    "words": lambda flavour, clock: flavour.TokenBucket.per("7/s", clock=clock),
    "leaky": lambda flavour, clock: flavour.LeakyBucket(4, 4, clock=clock),
    "composite": lambda flavour, clock: flavour.CompositeLimiter.of(
        "5/s", "8 per 4 s", clock=clock
    ),
}


@pytest.mark.parametrize("kind", MAKERS)
@pytest.mark.parametrize("window", [0, 200_000_000, NANOS, 2_300_000_000])
async def test_the_worst_case_is_the_bound(flavour, kind, window):
    """A seeded search never finds more than the bound, and finds 95 % of it at least."""
    found, bound = await search(lambda clock: MAKERS[kind](flavour, clock), window, seed=1)

    assert 20 * found >= 19 * bound, f"{found} of {bound}"


async def test_the_search_finds_one_permit_too_many():
    """One that holds seven is caught out at the bound of one that holds six."""

    class Boaster:
        def __init__(self, clock: MockClock) -> None:
            self.own = SYNC.TokenBucket(7, 5, clock=clock)
            self.bound = SYNC.TokenBucket(6, 5).bound
            self.allow, self.allow_many = self.own.allow, self.own.allow_many
            self.acquire = self.own.acquire

    with pytest.raises(AssertionError, match="seed"):
        await search(Boaster, 2 * NANOS, seed=1)
