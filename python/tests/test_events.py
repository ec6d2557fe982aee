"""Observers: what a limiter tells, and that they can neither break nor change a call."""

from __future__ import annotations

import asyncio
import gc
import pickle
import sys
import threading
import weakref
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import limitpal
from driving import ASYNC, SYNC, Flavour, call
from limitpal import (
    Event,
    EvictedLive,
    InvalidConfigError,
    KeysGrowLikeCalls,
    MockClock,
    NearLimit,
    RateLimitExceeded,
    Refused,
    Subscription,
    TokenBucket,
)

KINDS: dict[str, Any] = {
    "TokenBucket": (4, 1.0),
    "LeakyBucket": (4, 1.0),
    "FixedWindow": (4, 4.0),
    "SlidingWindowCounter": (4, 4.0),
    "SlidingWindowLog": (4, 4.0),
    "WarmUpBucket": (4, 1.0, 2.0),
    "AdaptiveLimiter": (1.0,),
    "FairBucket": (4, 1.0),
}


def made(flavour: Flavour, kind: str, clock: Any) -> Any:
    """Make one of a kind that lets four pass in about four seconds."""
    options = {"burst": 4} if kind == "AdaptiveLimiter" else {}
    return flavour.named(kind)(*KINDS[kind], clock=clock, **options)


@pytest.mark.parametrize("kind", KINDS)
async def test_every_limiter_tells_of_use_and_of_refusals(flavour: Flavour, clock, kind):
    """Near the limit once, and then each refusal, with what the answer itself says."""
    limiter = made(flavour, kind, clock)
    events: list[Any] = []
    limiter.observe(events.append, near_limit=0.5)

    answers = [await call(limiter.check, "ann") for _ in range(8)]

    refused = [answer for answer in answers if not answer]
    near = [event for event in events if isinstance(event, NearLimit)]
    assert refused
    assert [Refused("ann", 1, answer.retry_after) for answer in refused] == [
        event for event in events if isinstance(event, Refused)
    ]
    assert [(event.key, event.share) for event in near] == [("ann", 0.5)]
    assert near[0].used / near[0].limit >= 0.5


async def test_every_way_to_ask_is_told_of(flavour: Flavour, clock):
    """And who only looks is not."""
    limiter = flavour.TokenBucket(1, 1.0, clock=clock)
    assert await call(limiter.allow, 7)
    events: list[Any] = []
    limiter.observe(events.append)

    assert not await call(limiter.allow, 7)
    assert await call(limiter.allow_many, [7]) == [False]
    assert not await call(limiter.check, 7)
    with pytest.raises(RateLimitExceeded):
        await call(limiter.acquire, 7, timeout=0)
    executor = flavour.ResilientExecutor(limiter, acquire_timeout=0)
    with pytest.raises(RateLimitExceeded):
        await call(executor.run, 7, lambda: None)
    assert not await call(limiter.peek, 7)

    assert events == [Refused("7", 1, 1.0)] * 5


async def test_a_composite_tells_and_what_it_asks_of_its_parts_is_not_told(flavour, clock):
    """All its ways to ask; each part tells of its own calls."""
    own, overall = (flavour.TokenBucket(n, 1.0, clock=clock) for n in (2, 10))
    limiter = flavour.CompositeLimiter([own, overall])
    events: list[Any] = []
    parts: list[Any] = []
    limiter.observe(events.append)
    own.observe(parts.append)
    overall.observe(parts.append)

    assert await call(limiter.allow, "ann")
    await call(limiter.acquire, "ann")
    assert not await call(limiter.allow, "ann")
    assert await call(limiter.try_acquire, "ann") is None
    assert not await call(limiter.check, "ann")
    with pytest.raises(RateLimitExceeded):
        await call(limiter.acquire, "ann", timeout=0)

    assert events == [NearLimit("ann", 2, 2, 0.8)] + [Refused("ann", 1, 1.0)] * 4
    assert parts == []
    assert not await call(own.allow, "ann")
    assert parts == [Refused("ann", 1, 1.0)]


async def test_one_without_limiters_of_ours_has_nothing_to_tell(flavour: Flavour):
    """It says so at once."""

    class Own(flavour.named("SyncLimiter") if flavour is SYNC else limitpal.AsyncLimiter):
        def allow(self, key="default"):
            return True

        def acquire(self, key="default", timeout=None):
            return None

    if flavour is ASYNC:

        async def allow(self, key="default"):
            return True

        Own.allow = Own.acquire = allow

    with pytest.raises(TypeError, match="observe"):
        flavour.CompositeLimiter([Own()]).observe(print)


async def test_an_eviction_in_use_is_told_of(flavour: Flavour, clock):
    """With how many there were in all."""
    limiter = flavour.TokenBucket(3, 1.0, clock=clock, max_buckets=1)
    events: list[Any] = []
    limiter.observe(events.append)

    for key in ("ann", "bob", "cid"):
        await call(limiter.allow, key)

    assert events == [EvictedLive("bob", 1, 1), EvictedLive("cid", 1, 2)]


async def test_a_key_for_each_call_is_told_of_once(flavour: Flavour, clock):
    """The key `job:{id}` of the third article; a key that comes again is none."""
    limiter = flavour.TokenBucket(3, 1.0, clock=clock)
    events: list[Any] = []
    limiter.observe(events.append)

    await call(limiter.allow_many, [f"job:{n}" for n in range(3 * 4096)])

    assert [type(event) for event in events] == [KeysGrowLikeCalls]
    assert events[0].calls == 4096
    assert 3687 <= events[0].new_keys <= 4096

    again: list[Any] = []
    other = flavour.TokenBucket(3, 1.0, clock=clock)
    other.observe(again.append)
    await call(other.allow_many, [f"user:{n % 3000}" for n in range(3 * 4096)])
    assert not [event for event in again if isinstance(event, KeysGrowLikeCalls)]


def test_an_exception_of_an_observer_reaches_nobody(monkeypatch):
    """It goes to `sys.unraisablehook`; other observers and the call itself go on."""
    shown: list[Any] = []
    monkeypatch.setattr(sys, "unraisablehook", lambda args: shown.append(args.exc_value))
    limiter = TokenBucket(1, 1.0, clock=MockClock())
    events: list[Event] = []

    def bad(event: Event) -> None:
        raise LookupError(type(event).__name__)

    subscription = limiter.observe(bad)
    limiter.observe(events.append)

    assert limiter.allow_many(["ann"] * 2) == [True, False]

    assert [str(error) for error in shown] == ["NearLimit", "Refused"]
    assert len(events) == 2
    assert subscription.is_open


def test_a_subscription_ends_when_it_is_closed():
    """By `close()`, however often, or at the end of a `with`; dropping it ends nothing."""
    limiter = TokenBucket(1, 1.0, clock=MockClock())
    events: list[Event] = []
    with limiter.observe(events.append) as subscription:
        assert isinstance(subscription, Subscription)
        assert repr(subscription) == "<Subscription, open>"
        limiter.allow_many(["ann"] * 2)
    subscription.close()
    assert not subscription.is_open
    assert not limiter.allow("ann")
    assert len(events) == 2

    limiter.observe(events.append)
    gc.collect()
    assert not limiter.allow("ann")
    assert len(events) == 3


def test_an_observer_may_call_the_limiter_and_end_itself():
    """It is called under no lock, and what it does itself is not told of."""
    limiter = TokenBucket(1, 1.0, clock=MockClock())
    heard: list[Any] = []

    def observer(event: Event) -> None:
        heard.append((event, limiter.allow("ann"), limiter.peek("ann").remaining))
        subscription.close()

    subscription = limiter.observe(observer)
    limiter.allow_many(["ann"] * 3)

    assert heard == [(NearLimit("ann", 1, 1, 0.8), False, 0)]


@pytest.mark.parametrize("share", [0, -0.1, 1.1, float("nan"), "half", True, None])
async def test_a_share_that_is_none_is_refused_by_name(flavour: Flavour, share):
    """For every colour, and nobody listens then."""
    limiter = flavour.TokenBucket(1, 1.0)
    if share is None:
        with pytest.raises(TypeError, match="observer"):
            limiter.observe(7)
        return
    with pytest.raises(InvalidConfigError) as refused:
        limiter.observe(print, near_limit=share)
    assert refused.value.parameter == "near_limit"


def test_events_are_values():
    """They compare, print as they are written, pickle and match."""
    event = NearLimit("ann", 4, 5, 0.8)
    assert pickle.loads(pickle.dumps(event)) == event
    assert eval(repr(event), vars(limitpal)) == event
    assert isinstance(event, Event)
    match event:
        case NearLimit(key, used, limit):
            assert (key, used, limit) == ("ann", 4, 5)
    with pytest.raises(AttributeError):
        event.used = 3  # type: ignore[misc]


async def test_a_cycle_through_an_observer_is_collected(flavour: Flavour):
    """The observer knows its limiter, and the limiter its observer; together they go."""

    class Watcher:
        def __init__(self) -> None:
            self.limiter = flavour.TokenBucket(1, 1.0, clock=MockClock())
            self.composite = flavour.CompositeLimiter([self.limiter])
            self.both = [
                self.limiter.observe(self.hear),
                self.composite.observe(self.hear),
            ]

        def hear(self, event: Event) -> None: ...

    watcher = Watcher()
    ended = weakref.ref(watcher)
    await call(watcher.limiter.allow, "ann")
    await call(watcher.composite.allow, "ann")
    gc.collect()
    assert ended() is watcher, "it is in use"
    del watcher
    gc.collect()
    assert ended() is None


def test_a_closed_subscription_lets_go_of_its_observer():
    """Also while the limiter lives on."""

    class Observer:
        def __call__(self, event: Event) -> None: ...

    limiter, observer = TokenBucket(1, 1.0), Observer()
    ended = weakref.ref(observer)
    subscription = limiter.observe(observer)
    del observer
    gc.collect()
    assert ended() is not None
    subscription.close()
    assert ended() is None


def test_no_thread_s_refusal_is_lost():
    """Four real threads, while other observers come and go."""
    limiter = TokenBucket(100, 1e-6, clock=MockClock())
    events: list[Any] = []
    limiter.observe(events.append)
    refused: list[int] = []

    def work() -> None:
        count = 0
        for _ in range(300):
            with limiter.observe(lambda event: None):
                count += not limiter.allow("ann")
        refused.append(count)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert sum(refused) == 4 * 300 - 100
    assert [type(event) for event in events].count(Refused) == sum(refused)
    assert [event for event in events if isinstance(event, NearLimit)] == [
        NearLimit("ann", 80, 100, 0.8)
    ]


acts = st.lists(
    st.tuples(st.sampled_from("abc"), st.integers(1, 5), st.floats(0, 3), st.booleans()),
    max_size=40,
)


@given(acts, st.floats(0.01, 1), st.sampled_from(sorted(set(KINDS) - {"FairBucket"})))
def test_an_observed_limiter_decides_as_one_that_is_not(acts, share, kind):
    """And tells of exactly what was decided, sync and async."""
    clocks = [MockClock() for _ in range(3)]
    calm = made(SYNC, kind, clocks[0])
    observed = made(SYNC, kind, clocks[1])
    awaited = made(ASYNC, kind, clocks[2])
    events: list[Any] = []
    others: list[Any] = []
    observed.observe(events.append, near_limit=share)
    awaited.observe(others.append, share)

    async def run() -> None:
        for key, cost, pause, waits in acts:
            for clock in clocks:
                clock.advance(pause)
            told = expected(calm, key, cost, share, waits)
            if waits:
                for limiter in (observed, awaited):
                    refused = await is_refused(limiter, key, cost)
                    assert refused == any(isinstance(event, Refused) for event in told)
            else:
                answer = observed.check(key, cost)
                assert answer == await awaited.check(key, cost)
                assert bool(answer) == (not told or not isinstance(told[0], Refused))
            assert events == others == told
            events.clear()
            others.clear()
            assert calm.peek(key) == observed.peek(key)

    asyncio.run(run())


async def is_refused(limiter: Any, key: str, cost: int) -> bool:
    """Acquire without waiting; say whether that was refused."""
    try:
        await call(limiter.acquire, key, timeout=0, cost=cost)
    except RateLimitExceeded:
        return True
    return False


def expected(calm: Any, key: str, cost: int, share: float, waits: bool) -> list[Event]:
    """Ask the one that nobody observes; return what the others are to tell."""
    before = calm.peek(key).remaining
    if waits:
        try:
            calm.acquire(key, timeout=0, cost=cost)
        except RateLimitExceeded as refusal:
            return [Refused(key, cost, refusal.retry_after)]
    else:
        answer = calm.check(key, cost)
        if not answer:
            return [Refused(key, cost, answer.retry_after)]
    after = calm.peek(key)
    used = after.limit - after.remaining
    if (after.limit - before) / after.limit < share <= used / after.limit:
        return [NearLimit(key, used, after.limit, share)]
    return []
