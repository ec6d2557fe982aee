"""Laws of the limiters: what holds for every history, on random histories."""

from __future__ import annotations

import asyncio
import math
import threading
import time
from fractions import Fraction

from hypothesis import given, settings
from hypothesis import strategies as st

from driving import ASYNC, BOTH, SYNC, Flavour, call
from limitpal import MockClock, RateLimitExceeded
from models import (
    NANOS,
    NaiveLeakyBucket,
    NaiveTokenBucket,
    exact,
    nanos,
    over_the_bound,
)

NAIVE = {"token": NaiveTokenBucket, "leaky": NaiveLeakyBucket}
CAPACITY = st.sampled_from([1, 2, 3, 5, 10])
RATE = st.sampled_from([1, 3, 7, 1 / 3, 100 / 60, 0.3, 1000.0, 12.5])
KIND = st.sampled_from(["token", "leaky"])
PAUSE = st.one_of(
    st.sampled_from([0, 1, 2, NANOS // 3, NANOS // 3 + 1, NANOS // 7, NANOS, 10 * NANOS]),
    st.integers(0, 2 * NANOS),
)
COST = st.integers(1, 4)
STEP = st.tuples(
    st.sampled_from(["allow", "check", "peek", "acquire", "acquire", "wait", "reset"]),
    PAUSE,
    COST,
)
HISTORY = st.lists(STEP, min_size=1, max_size=40)


def seconds_until(decision_or_refusal) -> int | None:
    """Return retry_after in nanoseconds, None for never."""
    after = decision_or_refusal.retry_after
    return None if after == float("inf") else nanos(after)


async def play(flavour: Flavour, kind: str, capacity: int, rate: float, history) -> list:
    """Play a history on a mock clock; return every answer with its time."""
    clock = MockClock()
    limiter = flavour.bucket(kind, capacity, rate, clock=clock)
    answers = []
    for action, span, cost in history:
        if action == "wait":
            clock.advance(span / NANOS)
        elif action == "reset":
            await call(limiter.reset, "k")
        elif action == "allow":
            answers.append(await call(limiter.allow, "k", cost=cost))
        elif action == "acquire":
            try:
                await call(limiter.acquire, "k", timeout=span / NANOS, cost=cost)
                answers.append("granted")
            except RateLimitExceeded as refusal:
                answers.append(("refused", seconds_until(refusal)))
        else:
            decision = await call(getattr(limiter, action), "k", cost=cost)
            answers.append(
                (
                    decision.allowed,
                    decision.remaining,
                    seconds_until(decision),
                    nanos(decision.reset_after),
                )
            )
        answers.append(nanos(clock.now()))
    return answers


def play_naively(kind: str, capacity: int, rate: float, history) -> list:
    """Play the same history on the naive model."""
    now, bucket = 0, NAIVE[kind](capacity, rate)
    answers: list = []
    for action, span, cost in history:
        if action == "wait":
            now += span
        elif action == "reset":
            bucket = NAIVE[kind](capacity, rate)
            bucket.read_at = now
        elif action == "allow":
            answers.append(bucket.check(now, cost))
        elif action == "acquire":
            wait = bucket.acquire(now, cost, span)
            if wait is None:
                until = NAIVE[kind].acquire(bucket, now, cost, None)
                if until is not None:  # only asked, not taken
                    give_back(bucket, cost)
                answers.append(("refused", until))
            else:
                answers.append("granted")
                now += wait
        else:
            wait = bucket.wait(now, cost)
            if action == "check" and wait == 0:
                bucket.check(now, cost)
            answers.append((wait == 0, bucket.remaining(now), wait, bucket.reset_after(now)))
        answers.append(now)
    return answers


def give_back(bucket, cost: int) -> None:
    """Undo a take of this very instant."""
    if isinstance(bucket, NaiveTokenBucket):
        bucket.level += cost
    else:
        bucket.backlog -= cost


@given(kind=KIND, capacity=CAPACITY, rate=RATE, history=HISTORY)
@settings(max_examples=250)
def test_sync_async_and_a_naive_model_decide_alike(kind, capacity, rate, history):
    """Every answer and every time agree: sync, async, and fractions on paper."""
    expected = play_naively(kind, capacity, rate, history)

    assert asyncio.run(play(SYNC, kind, capacity, rate, history)) == expected
    assert asyncio.run(play(ASYNC, kind, capacity, rate, history)) == expected


@given(
    kind=KIND,
    capacity=CAPACITY,
    rate=RATE,
    asks=st.lists(st.tuples(PAUSE, COST), min_size=1, max_size=60),
)
@settings(max_examples=150)
def test_no_window_holds_more_than_the_bound(kind, capacity, rate, asks):
    """Never more than `capacity + rate * W` in any window W."""
    clock = MockClock()
    limiter = SYNC.bucket(kind, capacity, rate, clock=clock)
    takes, now = [], 0

    for pause, cost in asks:
        clock.advance(pause / NANOS)
        now += pause
        if limiter.allow("k", cost=cost):
            takes.append((now, cost))

    assert over_the_bound(takes, capacity, rate) is None


@given(
    kind=KIND,
    capacity=CAPACITY,
    rate=RATE,
    before=st.lists(st.tuples(PAUSE, COST), max_size=20),
    cost=COST,
)
@settings(max_examples=150)
def test_refused_until_retry_after_and_admitted_at_it(kind, capacity, rate, before, cost):
    """From every reachable state: a nanosecond before it refuses, at it it admits."""
    clock = MockClock()
    limiter = SYNC.bucket(kind, capacity, rate, clock=clock)
    for pause, earlier in before:
        limiter.allow("k", cost=earlier)
        clock.advance(pause / NANOS)

    decision = limiter.peek("k", cost=cost)

    if cost > capacity:
        assert decision.retry_after == float("inf")
    elif decision:
        assert decision.retry_after == 0.0
        assert limiter.allow("k", cost=cost)
    else:
        wait = nanos(decision.retry_after)
        assert wait >= 1
        clock.advance((wait - 1) / NANOS)
        assert not limiter.allow("k", cost=cost)
        clock.advance(1 / NANOS)
        assert limiter.allow("k", cost=cost)


@given(
    kind=KIND,
    capacity=CAPACITY,
    rate=RATE,
    cap=st.integers(1, 12),
    ttl=st.sampled_from([None, 0.1, 2.0]),
    asks=st.lists(st.tuples(st.integers(0, 15), PAUSE, COST), min_size=1, max_size=80),
)
@settings(max_examples=150)
def test_evicting_the_idle_changes_no_decision(kind, capacity, rate, cap, ttl, asks):
    """Until a live bucket must go, a store with a cap and a ttl decides as one without end."""
    clock = MockClock()
    limiter = SYNC.bucket(
        kind, capacity, rate, clock=clock, max_buckets=cap, ttl=ttl, cleanup_interval=1
    )
    naive: dict = {}
    now = 0

    for number, pause, cost in asks:
        clock.advance(pause / NANOS)
        now += pause
        allowed = limiter.allow(f"k{number}", cost=cost)
        if limiter.evicted_live:
            break
        bucket = naive.setdefault(number, NAIVE[kind](capacity, rate))
        assert allowed == bucket.check(now, cost)
        assert len(limiter) <= cap


async def peeks(parts) -> list:
    """Read what each part would say."""
    read = [await call(part.peek, "k") for part in parts]
    return [(d.allowed, d.remaining, d.retry_after, d.reset_after) for d in read]


@given(
    kinds=st.lists(st.tuples(KIND, CAPACITY, RATE), min_size=2, max_size=4),
    history=st.lists(st.tuples(st.integers(-1, 3), PAUSE, COST), min_size=1, max_size=30),
    flavour=st.sampled_from(BOTH),
)
@settings(max_examples=150)
def test_a_refused_composite_leaves_every_part_unchanged(kinds, history, flavour):
    """Allowed: every part paid. Refused: no part did, and one of them says why."""

    async def check() -> None:
        clock = MockClock()
        parts = [flavour.bucket(kind, *numbers, clock=clock) for kind, *numbers in kinds]
        composite = flavour.CompositeLimiter(parts)
        for part, pause, cost in history:
            clock.advance(pause / NANOS)
            if part >= 0:  # somebody uses a part alone meanwhile
                await call(parts[part % len(parts)].allow, "k")
            could = [bool(await call(one.peek, "k", cost=cost)) for one in parts]
            before = await peeks(parts)
            allowed = await call(composite.allow, "k", cost=cost)
            after = await peeks(parts)
            assert allowed == all(could)
            if allowed:
                assert [b[1] - a[1] for b, a in zip(before, after, strict=True)] == [cost] * len(
                    parts
                )
            else:
                assert before == after

    asyncio.run(check())


@given(
    kind=KIND,
    capacity=CAPACITY,
    rate=RATE,
    history=st.lists(st.tuples(PAUSE, COST), min_size=1, max_size=40),
    step_at=st.integers(0, 39),
    back=st.integers(1, 3600 * NANOS),
)
@settings(max_examples=150)
def test_a_step_back_admits_one_burst_more_at_most(kind, capacity, rate, history, step_at, back):
    """Sync and async decide alike, within one burst of the bound, and nobody is locked out."""

    async def stepped(flavour: Flavour) -> list[bool]:
        clock = MockClock(start_time=10_000.0)
        limiter = flavour.bucket(kind, capacity, rate, clock=clock)
        answers, taken = [], 0
        for n, (pause, cost) in enumerate(history):
            clock.advance(pause / NANOS)
            if n == step_at % len(history):
                clock.set_time(clock.now() - back / NANOS)
                clock.advance(math.ceil(NANOS / exact(rate)) / NANOS)
                assert await call(limiter.allow, "k"), "locked out for longer than 1/rate"
                taken += 1
            answers.append(await call(limiter.allow, "k", cost=cost))
            taken += cost * answers[-1]
        elapsed = Fraction(nanos(clock.now() - 10_000.0) + back, NANOS)
        assert taken <= 2 * capacity + exact(rate) * elapsed
        return answers

    assert asyncio.run(stepped(SYNC)) == asyncio.run(stepped(ASYNC))


def test_eight_threads_on_one_hot_key_stay_within_the_bound_for_a_real_second():
    """A preempted thread is no clock step: capacity + rate * W is all that a second admits."""
    capacity, rate, patience = 200, 1000, 1.0  # on a busy machine nobody asks for a while
    limiter = SYNC.TokenBucket(capacity, rate)
    taken: list[int] = []
    ready = threading.Barrier(9)

    def hammer() -> None:
        ready.wait()
        end, count = time.monotonic() + patience, 0
        while time.monotonic() < end:
            count += limiter.allow("hot")
        taken.append(count)

    threads = [threading.Thread(target=hammer) for _ in range(8)]
    for thread in threads:
        thread.start()
    begin = time.monotonic()
    ready.wait()
    for thread in threads:
        thread.join()
    window = time.monotonic() - begin

    assert len(taken) == 8
    assert sum(taken) <= capacity + rate * window
    assert sum(taken) >= 0.5 * rate * patience
