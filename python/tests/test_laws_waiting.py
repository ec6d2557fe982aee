"""Laws of waiting: whoever comes, leaves or asks in passing, the bound holds and all go."""

from __future__ import annotations

import asyncio

from hypothesis import given, settings
from hypothesis import strategies as st

from driving import ASYNC, GateClock, Line, drain
from limitpal import MockClock
from models import NANOS, nanos, over_the_bound

CAPACITY = st.sampled_from([1, 2, 3, 5, 10])
RATE = st.sampled_from([1, 3, 7, 1 / 3])  # a turn of 1/3 s comes between two nanoseconds
COST = st.integers(1, 4)
EVENT = st.tuples(
    st.sampled_from(["come", "leave", "leave", "allow", "allow", "pass"]),
    st.integers(0, 30),
    st.sampled_from([0, 1, NANOS // 10, NANOS // 3, NANOS // 2, NANOS, 2 * NANOS]),
    COST,
)


async def crowd(limiter, clock, arrivals) -> tuple[Line, list[tuple[int, int]]]:
    """Let people come, leave and ask in passing; return the line and all that was taken."""
    line, costs = Line(limiter, clock), {}
    takes = [(0, limiter.capacity)]
    await drain(limiter)
    for n, (action, whom, pause, asked) in enumerate(arrivals):
        cost = min(asked, limiter.capacity)
        if action == "come":
            costs[str(n)] = cost
            await line.join(str(n), cost=cost)
        elif action == "leave" and line.tasks:
            await line.leave(list(line.tasks)[whom % len(line.tasks)])
        elif action == "allow" and await limiter.allow("k", cost=cost):
            takes.append((nanos(clock.now()), cost))
        await clock.run_for(pause / NANOS)
    await clock.run_for(600.0)
    takes.extend((at, costs[name]) for name, at in line.went)
    return line, takes


@given(
    kind=st.sampled_from(["token", "leaky"]),
    capacity=st.sampled_from([1, 2, 5]),
    rate=RATE,
    movable=st.booleans(),
    first=st.lists(COST, min_size=1, max_size=6),
    events=st.lists(EVENT, min_size=1, max_size=30),
)
@settings(max_examples=200)
def test_giving_back_never_breaks_the_bound(kind, capacity, rate, movable, first, events):
    """Come, leave, ask in passing: the bound holds, all who stay go, in order where they move."""
    arrivals = [("come", 0, 0, cost) for cost in first] + events
    clock = MockClock(autojump=False) if movable else GateClock()
    limiter = ASYNC.bucket(kind, capacity, rate, clock=clock)

    line, takes = asyncio.run(crowd(limiter, clock, arrivals))

    stayed = [name for name, task in line.tasks.items() if not task.cancelled()]
    assert sorted(line.order, key=int) == stayed
    if movable:
        assert line.order == stayed
    assert over_the_bound(takes, capacity, rate) is None


async def composite_crowd(clock, numbers, events) -> tuple[Line, list]:
    """As `crowd`, through a composite, while others use its parts alone."""
    kinds = ["token", "leaky", "token"]
    parts = [
        ASYNC.bucket(kind, *two, clock=clock) for kind, two in zip(kinds, numbers, strict=False)
    ]
    least = min(capacity for capacity, _ in numbers)
    line, costs = Line(ASYNC.CompositeLimiter(parts), clock), {}
    alone: list[list[tuple[int, int]]] = [[] for _ in parts]
    for n, (action, whom, pause, asked) in enumerate(events):
        cost = costs[str(n)] = min(asked, least)
        if action in ("come", "pass"):
            await line.join(str(n), cost=cost)
        elif action == "leave" and line.tasks:
            await line.leave(list(line.tasks)[whom % len(line.tasks)])
        elif action == "allow" and await parts[whom % len(parts)].allow("k", cost=cost):
            alone[whom % len(parts)].append((nanos(clock.now()), cost))
        await clock.run_for(pause / NANOS)
    await clock.run_for(1200.0)
    together = [(at, costs[name]) for name, at in line.went]
    return line, [takes + together for takes in alone]


@given(
    numbers=st.lists(st.tuples(CAPACITY, RATE), min_size=2, max_size=3),
    movable=st.booleans(),
    events=st.lists(EVENT, min_size=1, max_size=30),
)
@settings(max_examples=150)
def test_a_composite_with_a_crowd_keeps_every_parts_bound(numbers, movable, events):
    """Who waits in a composite goes in the end, and no part grants more than its own rate."""
    clock = MockClock(autojump=False) if movable else GateClock()

    line, taken = asyncio.run(composite_crowd(clock, numbers, events))

    stayed = {name for name, task in line.tasks.items() if not task.cancelled()}
    assert set(line.order) == stayed
    for (capacity, rate), takes in zip(numbers, taken, strict=True):
        assert over_the_bound(takes, capacity, rate) is None
