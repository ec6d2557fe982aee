"""The cases of `conformance/`, which all languages share, run through the public names."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

import limitpal
from conformance_cases import (
    DIRECTORY,
    SHAPES,
    Fields,
    Step,
    WrongCase,
    decimal,
    finish,
    load,
    nanos,
    read,
    seconds,
    written,
)
from conformance_crowd import STUCK, BreakerTasks, BreakerThreads, Tasks, Threads
from conformance_parts import Limiter, ask, breaker, move_to, now, policy
from conformance_permits import let_in
from conformance_runs import Bench
from driving import ASYNC, BOTH, SYNC, Flavour, call

DRAWS = 300


def cases(*names: str) -> Any:
    """Return the cases of some files as parameters."""
    found = [pytest.param(case, id=case["name"]) for name in names for case in load(name)]
    return pytest.mark.parametrize("case", found)


def waiting(sleepers: str) -> Any:
    """Return the cases of those who wait, but for those that need other sleepers."""
    found = [case for case in load("waiting") if case.get("sleepers", sleepers) == sleepers]
    return pytest.mark.parametrize("case", [pytest.param(case, id=case["name"]) for case in found])


async def decide(case: Fields, flavour: Flavour) -> None:
    """Run a case of one limiter and one caller after another."""
    clock = limitpal.MockClock()
    limiter = Limiter(case["limiter"], clock, flavour)
    for step in map(Step, case["steps"]):
        what, at = step.take("do"), nanos(step.take("at"))
        if what == "set_time":
            clock.set_time(at / 1e9)
            step.compare({})
            continue
        move_to(clock, at)
        target = limiter.target(step)
        if what == "acquire":
            step.compare(await acquire(target.own, clock, step))
        else:
            step.compare(await target.observe(what, step))


async def acquire(limiter: Any, clock: limitpal.MockClock, step: Step) -> Fields:
    """Wait for the turn; what came of it."""
    try:
        await call(limiter.acquire, **ask(step))
    except limitpal.RateLimitExceeded as refusal:
        return {"refused_for": decimal(refusal.retry_after)}
    return {"granted_at": written(now(clock))}


@cases(
    "token_bucket",
    "leaky_bucket",
    "fair_bucket",
    "windows",
    "strict",
    "warm_up",
    "composite",
    "live_change",
)
def test_sync_limiters_decide_as_written(case: Fields) -> None:
    """Every decision, delay and state of a sync limiter is the one written down."""
    finish(decide(case, SYNC))


@cases(
    "token_bucket",
    "leaky_bucket",
    "fair_bucket",
    "windows",
    "strict",
    "warm_up",
    "composite",
    "live_change",
)
def test_async_limiters_decide_as_written(case: Fields) -> None:
    """Every decision, delay and state of an async limiter is the one written down."""
    asyncio.run(decide(case, ASYNC))


async def wait(case: Fields, crowd: Any, flavour: Flavour) -> None:
    """Run a case of many who wait at once."""
    limiter = Limiter(case["limiter"], crowd.clock, flavour)
    for step in map(Step, case["steps"]):
        what, at = step.take("do"), nanos(step.take("at"))
        if what == "set_time":
            await crowd.set_time(at)
            step.compare({})
            continue
        await crowd.move_to(at)
        if what == "acquire":
            await crowd.join(step.take("as"), limiter.own, ask(step))
            step.compare({})
        elif what == "cancel":
            await crowd.cancel(step.take("who"))
            step.compare({})
        else:
            step.compare(await limiter.target(step).observe(what, step))
    ends = [line.get("granted_at", "0") for line in case["outcomes"]]
    await crowd.finish(max(ends, key=nanos))
    assert crowd.outcomes == case["outcomes"]


@waiting("movable")
def test_tasks_that_wait_go_as_written(case: Fields) -> None:
    """Those who wait in tasks go when, and in the order in which, it is written down."""
    asyncio.run(asyncio.wait_for(wait(case, Tasks(), ASYNC), STUCK))


@waiting("fixed")
def test_threads_that_wait_on_a_users_clock_go_as_written(case: Fields) -> None:
    """Those who wait in threads, on a clock that cannot move them, go as it is written down."""
    finish(wait(case, Threads(), SYNC))


@cases("concurrency")
def test_permits_go_to_those_who_wait_as_written(case: Fields) -> None:
    """Who is let in when, who waits and who is refused is as it is written down."""
    asyncio.run(asyncio.wait_for(let_in(case), STUCK))


@cases("backoff")
def test_delays_grow_as_written(case: Fields) -> None:
    """A policy's delays are those written down, or lie where it is written."""
    retry = policy(case["policy"])
    assert case["delays"]
    for step in map(Step, case["delays"]):
        after = step.take("after")
        if "delay" in step.left:
            step.compare({"delay": decimal(retry.next_delay(after))})
            continue
        low, high = seconds(step.take("at_least")), seconds(step.take("at_most"))
        middle = step.take("both_sides_of", None)
        step.compare({})
        draws = [retry.next_delay(after) for _ in range(DRAWS)]
        assert low <= min(draws) <= max(draws) <= high
        if middle is not None:
            assert min(draws) < seconds(middle) < max(draws)


@cases("words")
def test_words_mean_what_is_written(case: Fields) -> None:
    """A limit in words is the rate written down, or is refused with the place written down."""
    assert case["limits"]
    for step in map(Step, case["limits"]):
        text, says = step.take("text"), step.take("says", None)
        if says is None:
            rate = limitpal.Rate.parse(text)
            count, per = step.take("count"), seconds(step.take("per"))
            assert (rate, rate.count, rate.per) == (limitpal.Rate(count, per), count, per)
        else:
            for read in (limitpal.Rate.parse, *(flavour.TokenBucket.per for flavour in BOTH)):
                with pytest.raises(limitpal.InvalidConfigError) as refusal:
                    read(text)
                assert says in refusal.value.reason
        step.compare({})


async def change(case: Fields, calls: Any) -> None:
    """Run a case of one breaker and calls that hold its permits."""
    clock = limitpal.MockClock(autojump=False)
    circuit = breaker(case["breaker"], clock)
    for step in map(Step, case["steps"]):
        what, at = step.take("do"), nanos(step.take("at"))
        if what == "set_time":
            clock.set_time(at / 1e9)
            step.compare({})
            continue
        move_to(clock, at)
        if what == "begin":
            refused = await calls.begin(step.take("as"), circuit)
            seen = {"admitted": True} if refused is None else {"refused_for": decimal(refused)}
            step.compare(seen)
        elif what == "end":
            await calls.end(step.take("who"), step.take("with"))
            step.compare({})
        elif what == "state":
            step.compare({"state": circuit.state})
        elif what == "allow":
            step.compare({"allowed": circuit.allow()})
        else:
            reports = {"record_success", "record_failure", "reset"}
            assert what in reports | {"enforce", "shadow", "disable", "force_open"}
            getattr(circuit, what)()
            step.compare({})


@cases("breaker")
def test_breakers_change_state_as_written_sync(case: Fields) -> None:
    """A breaker with calls in threads is, at each step, in the state written down."""
    finish(change(case, BreakerThreads()))


@cases("breaker")
def test_breakers_change_state_as_written_async(case: Fields) -> None:
    """A breaker with calls in tasks is, at each step, in the state written down."""
    asyncio.run(change(case, BreakerTasks()))


async def go_through(case: Fields, mode: str) -> None:
    """Run a case of a whole pipeline."""
    bench = Bench(case, mode)
    for step in map(Step, case["steps"]):
        await bench.take(step)


@pytest.mark.parametrize(
    "case",
    [
        pytest.param(case, id=case["name"])
        for case in load("pipeline")
        if not any("meanwhile" in step for step in case["steps"])
    ],
)
def test_runs_go_through_the_pipeline_as_written_sync(case: Fields) -> None:
    """A sync run calls, waits and ends as it is written down."""
    finish(go_through(case, "sync"))


@cases("pipeline")
def test_runs_go_through_the_pipeline_as_written_in_threads(case: Fields) -> None:
    """A run in a thread on a user's clock, others meddling meanwhile, goes as written down."""
    finish(go_through(case, "threads"))


@cases("pipeline")
def test_runs_go_through_the_pipeline_as_written_async(case: Fields) -> None:
    """An async run, others meddling meanwhile, goes as written down."""
    asyncio.run(go_through(case, "async"))


def _of(file: str, slow_attempts: str) -> Any:
    """Return the cases of a file that are not for the other kind of attempts."""
    return pytest.mark.parametrize(
        "case",
        [
            pytest.param(case, id=case["name"])
            for case in load(file)
            if case.get("slow_attempts", slow_attempts) == slow_attempts
        ],
    )


@_of("timeouts", "late")
@pytest.mark.parametrize("mode", ["sync", "threads"])
def test_runs_and_attempts_end_in_time_as_written_sync(mode: str, case: Fields) -> None:
    """A sync run is refused in time, and what comes too late counts as written down."""
    finish(go_through(case, mode))


@_of("timeouts", "cut")
def test_runs_and_attempts_end_in_time_as_written_async(case: Fields) -> None:
    """An async run and its attempts end when it is written down."""
    asyncio.run(go_through(case, "async"))


@cases("hedges")
def test_slow_attempts_get_hedges_as_written_sync(case: Fields) -> None:
    """Tries in threads begin, win and count as it is written down."""
    finish(go_through(case, "sync"))


@cases("hedges")
def test_slow_attempts_get_hedges_as_written_async(case: Fields) -> None:
    """Tries in tasks begin, win, are cut and count as it is written down."""
    asyncio.run(go_through(case, "async"))


def test_every_file_of_cases_is_run() -> None:
    """A file that nobody runs would be a promise that nobody keeps."""
    assert {path.name for path in DIRECTORY.iterdir()} == {"README.md"} | {
        f"{name}.json" for name in SHAPES
    }


RIGHT = '{"at": "0", "do": "check", "key": "a", "allowed": true, "reset_after": "1"}'


def text(step: str = RIGHT) -> str:
    """Return a file of one case of one step."""
    limiter = '{"kind": "token_bucket", "capacity": 1, "rate": "1"}'
    case = f'{{"name": "n", "why": "w", "limiter": {limiter}, "steps": [{step}]}}'
    return f'{{"about": "a", "cases": [{case}]}}'


@pytest.mark.parametrize(
    ("right", "wrong"),
    [
        ("true", "false"),
        ("true", "1"),
        ('"reset_after": "1"', '"reset_after": "2"'),
        ('"reset_after": "1"', '"reset_after": "1.0"'),
        ('"reset_after": "1"', '"surplus": "1"'),
        (', "allowed": true, "reset_after": "1"', ""),
        ('"at": "0"', '"at": "-1"'),
        ('"at": "0"', '"at": 0'),
        ("check", "chek"),
        ('"key": "a"', '"key": "a", "timeout": "1"'),
    ],
)
def test_a_wrong_case_fails(right: str, wrong: str) -> None:
    """A step that is wrong, or says nothing, does not pass."""
    finish(decide(read(text(), "token_bucket")[0], SYNC))

    case = read(text(RIGHT.replace(right, wrong, 1)), "token_bucket")[0]
    with pytest.raises(WrongCase):
        finish(decide(case, SYNC))


@pytest.mark.parametrize(
    ("right", "wrong"),
    [
        ('"about": "a"', '"about": "a", "surplus": 1'),
        ('"why": "w"', '"why": "w", "surplus": 1'),
        ('"why": "w"', '"why": ""'),
        ('"why": "w"', '"why": "w", "why": "w"'),
        (text()[len('{"about": "a", "cases": ') : -1], "[]"),
    ],
)
def test_a_malformed_file_fails(right: str, wrong: str) -> None:
    """Unknown and doubled fields, and a file without cases, are errors."""
    with pytest.raises(WrongCase):
        read(text().replace(right, wrong, 1), "token_bucket")


def test_a_limiter_with_an_unknown_field_fails() -> None:
    """What a case says of its limiter is all used."""
    case = read(text().replace('"rate": "1"', '"rate": "1", "surplus": 1'), "token_bucket")[0]
    with pytest.raises(WrongCase):
        finish(decide(case, SYNC))
