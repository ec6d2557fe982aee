"""`from_dict`: everything is made of plain dicts."""

import copy
import json

import pytest

import limitpal
from helpers import ASYNC, SYNC, Script, both, caught, settle
from limitpal import (
    AsyncTokenBucket,
    Bulkhead,
    Cache,
    CircuitBreaker,
    CompositeLimiter,
    Constant,
    FailureRate,
    Fallback,
    FixedWindow,
    Hedge,
    InvalidConfigError,
    KeyedCircuitBreaker,
    LeakyBucket,
    MockClock,
    RateLimitExceeded,
    ResilientExecutor,
    RetryBudget,
    RetryPolicy,
    TokenBucket,
    WarmUpBucket,
)
from limitpal._kinds import LIMITERS


class Loud(Bulkhead):
    """A subclass of somebody's."""


WHOLE = {
    "limiter": [
        {"kind": "token_bucket", "rate": "100/minute", "burst": 10},
        {"kind": "fixed_window", "limit": 500, "per": 3600, "per_key": False},
        {"kind": "concurrency_limiter", "limit": 4},
    ],
    "retry_policy": {
        "max_attempts": 5,
        "delays": {"kind": "fibonacci", "base": 0.5},
        "jitter": "full",
        "retry_on": ["TimeoutError", "ConnectionError"],
        "delays_for": {"BlockingIOError": {"kind": "constant", "seconds": 2}, "OSError": [1, 4]},
    },
    "circuit_breaker": {
        "kind": "keyed_circuit_breaker",
        "trip_on": [{"kind": "failure_rate", "share": 0.5, "window": 60}],
        "ignore": "KeyError",
    },
    "retry_budget": {"ratio": 0.2},
    "charge": "attempt",
    "acquire_timeout": 2.5,
}


@both
async def test_an_executor_is_made_of_what_json_can_carry(side):
    """Limiter, policy, breaker and budget, each as their constructors would make it."""
    clock = MockClock()
    settings = json.loads(json.dumps(WHOLE))
    before = copy.deepcopy(settings)

    executor = side.Executor.from_dict(settings, clock=clock)

    assert repr(executor) == repr(by_hand(side, clock))
    assert await settle(executor.run("api", lambda: 7)) == 7
    assert settings == before


def by_hand(side, clock):
    """Returns what WHOLE describes, by the constructors."""
    limiter = side.CompositeLimiter(
        [
            side.TokenBucket.per("100/minute", burst=10, clock=clock),
            getattr(limitpal, "AsyncFixedWindow" if side.is_async else "FixedWindow")(
                500, 3600, clock, per_key=False
            ),
            side.ConcurrencyLimiter(4, clock=clock),
        ],
        clock,
    )
    policy = RetryPolicy(
        5,
        delays=limitpal.Fibonacci(0.5),
        jitter="full",
        retry_on=(TimeoutError, ConnectionError),
        delays_for={BlockingIOError: Constant(2), OSError: [1, 4]},
    )
    breaker = KeyedCircuitBreaker(
        trip_on=[FailureRate(0.5, window=60.0)], ignore=KeyError, clock=clock
    )
    budget = RetryBudget(0.2, clock=clock)
    return side.Executor(
        limiter,
        policy,
        breaker,
        clock,
        charge="attempt",
        acquire_timeout=2.5,
        retry_budget=budget,
    )


@pytest.mark.parametrize("side", [SYNC, ASYNC], ids=repr)
def test_times_and_hedges_are_options_as_well(side):
    """A number needs no line in the tables, a hedge has one."""
    settings = {"hedge": {"delay": 0.1}, "timeout": 5, "attempt_timeout": 2}
    shown = repr(side.Executor.from_dict(settings))

    assert "Hedge(delay=0.1" in shown
    assert "timeout=5.0, attempt_timeout=2.0" in shown


@both
async def test_what_stands_around_a_call_is_made_of_dicts_as_well(side):
    """Bulkhead, fallback and cache."""
    executor = side.Executor.from_dict(
        {
            "bulkhead": {"limit": 3, "max_waiting": 2},
            "fallback": {"value": [], "on": ["ConnectionError"]},
            "cache": {"ttl": 60},
        },
        clock=MockClock(),
    )
    call = side.function(Script(ConnectionError("down"), 7, 8))

    answers = [await settle(executor.run("api", call)) for _ in range(3)]

    assert answers == [[], 7, 7]
    assert "Bulkhead(limit=3, max_waiting=2" in repr(executor)


@pytest.mark.parametrize("side", [SYNC, ASYNC], ids=repr)
def test_an_empty_dict_is_an_executor_without_parts(side):
    """Every part is optional, and None is as good as nothing."""
    assert repr(side.Executor.from_dict({})) == repr(side.Executor())
    assert repr(side.Executor.from_dict({"limiter": None})) == repr(side.Executor())


LIMITER_DICTS = {
    "token_bucket": {"capacity": 3, "refill_rate": "5/minute"},
    "leaky_bucket": {"rate": "5/second", "capacity": 3},
    "fixed_window": {"rate": "5/minute", "align": "first_use"},
    "sliding_window_counter": {"limit": 5, "per": 60},
    "sliding_window_log": {"rate": "5/minute"},
    "warm_up_bucket": {"capacity": 3, "refill_rate": "5/s", "warm_up": 2.0},
    "fair_bucket": {"capacity": 3, "refill_rate": 5},
    "adaptive_limiter": {"max_rate": "100/s", "min_rate": "1/s"},
    "strict": {"rate": "5/minute", "burst": 2, "ttl": 60},
    "concurrency_limiter": {"limit": 5, "max_waiting": 2},
    "composite_limiter": {"limiters": ["5/second", {"kind": "strict", "rate": "9/minute"}]},
}


@both
@pytest.mark.parametrize("kind", LIMITERS)
async def test_every_kind_of_limiter_stands_in_an_executor(side, kind):
    """The table of kinds and this one have the same rows."""
    assert LIMITER_DICTS.keys() == LIMITERS.keys()
    settings = {"kind": kind, **LIMITER_DICTS[kind]}

    executor = side.Executor.from_dict({"limiter": settings}, clock=MockClock())

    assert await settle(executor.run("api", lambda: 7)) == 7
    assert ("Async" in repr(executor).split("limiter=")[1]) is side.is_async


def test_a_limiter_by_itself_is_made_of_a_dict():
    """By its own class, whose kind it may name; a subclass by its own constructor."""

    class Planned(TokenBucket):
        def __init__(self, plan):
            super().__init__({"small": 10}[plan], 5.0)

    class Told(TokenBucket):
        def __init__(self, told, **options):
            super().__init__(**options)
            self.told = told

    assert TokenBucket.from_dict({"rate": "10/second"}).capacity == 10
    assert TokenBucket.from_dict({"kind": "token_bucket", "rate": "10/second"}).capacity == 10
    assert Planned.from_dict({"plan": "small"}).capacity == 10
    told = Told.from_dict({"told": 7, "capacity": 3, "refill_rate": "5/s"})
    assert (type(told), told.told, told.capacity, told.refill_rate) == (Told, 7, 3, 5.0)
    assert type(LeakyBucket.from_dict({"rate": "10/second"})) is LeakyBucket
    assert FixedWindow.from_dict({"rate": "5/minute"}).per == 60.0
    assert WarmUpBucket.from_dict(LIMITER_DICTS["warm_up_bucket"]).warm_up == 2.0
    assert CompositeLimiter.from_dict({"limiters": ["1/s", "2/s"]}).limiters[1].capacity == 2
    assert type(AsyncTokenBucket.from_dict({"rate": "1/s"})) is AsyncTokenBucket


def test_policies_breakers_and_budgets_are_made_of_dicts():
    """Equal to what their constructors make."""
    policy = RetryPolicy.from_dict({"max_attempts": None, "max_elapsed": 60, "delays": [1, 2]})

    assert policy == RetryPolicy(None, delays=[1, 2], max_elapsed=60)
    assert CircuitBreaker.from_dict({"failure_threshold": 1}).state == "closed"
    assert len(KeyedCircuitBreaker.from_dict({"max_breakers": 5})) == 0
    assert RetryBudget.from_dict({"ratio": 0.5}).ratio == 0.5


def test_what_stands_around_a_call_is_made_of_a_dict_by_itself():
    """As the constructors make it; what takes a function has it by a name that the caller gave."""
    clock = MockClock()
    names = {"by_id": len, "nothing": repr, "is_down": callable, "Throttled": KeyError}

    bulkhead = Bulkhead.from_dict({"limit": 2, "max_waiting": None}, clock=clock)
    cache = Cache.from_dict({"kind": "cache", "ttl": 60, "key": "by_id"}, names=names)
    values = [
        (Fallback.from_dict({"value": []}), Fallback([])),
        (
            Fallback.from_dict({"value": None, "on": ["OSError", "Throttled"]}, names=names),
            Fallback(None, on=(OSError, KeyError)),
        ),
        (
            Fallback.from_dict({"func": "nothing", "on": "is_down"}, names=names),
            Fallback(func=repr, on=callable),
        ),
        (
            Hedge.from_dict({"percentile": 95, "min_samples": 20}),
            Hedge(percentile=95, min_samples=20),
        ),
    ]

    assert repr(bulkhead) == repr(Bulkhead(2, None, clock=clock))
    assert repr(cache) == repr(Cache(60, key=len))
    for made, meant in values:
        assert made == meant
    assert type(Loud.from_dict({"limit": 1})) is Loud


@pytest.mark.parametrize(
    ("cls", "settings", "says"),
    [
        (Bulkhead, {"limit": 0}, "bulkhead.limit is 0; give a whole number from 1 to 4294967295"),
        (Bulkhead, {}, "bulkhead.limit is missing; a Bulkhead needs it"),
        (Cache, {"ttl": 1, "key": "by_id"}, "cache.key is 'by_id'; there is no such name"),
        (Fallback, {"func": "nothing"}, "fallback.func is 'nothing'; there is no such name"),
        (Fallback, {}, "fallback.value is left out; give a value, or func=, and not both"),
        (Hedge, {"dellay": 1}, "hedge.dellay is 1; there is no such option, perhaps 'delay'"),
        (Hedge, {"kind": "cache"}, "hedge.kind is 'cache'; there is no such kind, but hedge"),
    ],
)
def test_what_is_wrong_with_one_by_itself_is_said_with_its_place(cls, settings, says):
    """As in an executor's dict."""
    with pytest.raises(InvalidConfigError) as wrong:
        cls.from_dict(settings)

    assert str(wrong.value).startswith(says)


def test_objects_may_stand_where_dicts_do():
    """A part that is shared is made once and given."""
    breaker, policy = CircuitBreaker(), RetryPolicy(7)
    limiter = TokenBucket(1, 1.0, per_key=False)

    executor = ResilientExecutor.from_dict(
        {"limiter": [limiter, "5/s"], "retry_policy": policy, "circuit_breaker": breaker}
    )
    executor.run("api", lambda: 7)

    assert not limiter.allow()
    assert "max_attempts=7" in repr(executor)


def test_names_say_what_classes_and_functions_are_meant():
    """Errors of a library and functions of one's own, and they go before Python's names."""

    class Timeout(Exception):
        pass

    names = {"Timeout": Timeout, "OSError": KeyError, "is_transient": lambda error: True}

    policy = RetryPolicy.from_dict(
        {"retry_on": ["Timeout", "OSError"], "retry_if": "is_transient"}, names=names
    )

    assert policy.retry_on == (Timeout, KeyError)
    assert policy.retry_if is names["is_transient"]


@both
async def test_the_clock_that_is_given_is_that_of_all_parts(side):
    """So that a whole pipeline from a file stands still in a test; one named in the dict stays."""
    clock = MockClock()
    executor = side.Executor.from_dict(
        {"limiter": {"kind": "token_bucket", "rate": "1/minute"}, "acquire_timeout": 0},
        clock=clock,
    )
    call = side.function(lambda: 7)

    assert await settle(executor.run("api", call)) == 7
    refusal = await caught(_run(executor, call))
    assert (type(refusal), refusal.retry_after) == (RateLimitExceeded, 60.0)
    clock.advance(60.0)
    assert await settle(executor.run("api", call)) == 7


async def _run(executor, call):
    return await settle(executor.run("api", call))
