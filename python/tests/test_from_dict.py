"""`from_dict`: everything is made of plain dicts, and what is wrong says where."""

import copy
import inspect
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

import limitpal
from helpers import ASYNC, SYNC, Script, both, caught, settle
from limitpal import (
    AsyncTokenBucket,
    CircuitBreaker,
    CompositeLimiter,
    Constant,
    FailureRate,
    FixedWindow,
    InvalidConfigError,
    KeyedCircuitBreaker,
    LeakyBucket,
    MockClock,
    RateLimitExceeded,
    ResilientExecutor,
    RetryBudget,
    RetryPolicy,
    SlidingWindowLog,
    TokenBucket,
    WarmUpBucket,
)
from limitpal._kinds import ERRORS, FUNCTIONS, LIMITERS, PARTS, RATES

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


WRONG = [
    (5, "executor", "give a dict"),
    ({5: 1}, "executor", "the name of an option is text"),
    ({"retry_polic": {}}, "executor.retry_polic", "perhaps 'retry_policy' is meant"),
    ({"zzz": 1}, "executor.zzz", "no such option, but limiter, retry_policy"),
    ({"retry_policy": {"max_attempt": 3}}, "executor.retry_policy.max_attempt", "'max_attempts'"),
    ({"retry_policy": {"max_attempts": 0}}, "executor.retry_policy.max_attempts", "whole number"),
    ({"retry_policy": 5}, "executor.retry_policy", "give a RetryPolicy"),
    ({"retry_policy": {"retry_on": "Timeout"}}, "executor.retry_policy.retry_on", "'TimeoutError'"),
    ({"retry_policy": {"retry_on": [3]}}, "executor.retry_policy.retry_on", "exception type"),
    (
        {"retry_policy": {"retry_on": ["KeyError", "zz"]}},
        "executor.retry_policy.retry_on[1]",
        "names={…} says what others stand for",
    ),
    ({"retry_policy": {"retry_if": "f"}}, "executor.retry_policy.retry_if", "no such name"),
    (
        {"retry_policy": {"delays": {"seconds": 1}}},
        "executor.retry_policy.delays.kind",
        "one of exponential",
    ),
    (
        {"retry_policy": {"delays_for": {"OSError": {"kind": "constant"}}}},
        "executor.retry_policy.delays_for.OSError.seconds",
        "a Constant needs it",
    ),
    ({"limiter": {"capacity": 3}}, "executor.limiter.kind", "give one of token_bucket"),
    ({"limiter": {"kind": "tokenbucket"}}, "executor.limiter.kind", "'token_bucket'"),
    ({"limiter": {"kind": ["x"]}}, "executor.limiter.kind", "no such kind, but token_bucket"),
    (
        {"limiter": {"kind": "token_bucket", "capacity": 3}},
        "executor.limiter.refill_rate",
        "a TokenBucket needs it",
    ),
    (
        {"limiter": {"kind": "token_bucket", "rate": "3/s", "capacity": 3}},
        "executor.limiter.capacity",
        "no such option, but rate, burst",
    ),
    (
        {"limiter": {"kind": "fixed_window", "rate": "3/s", "limit": 3}},
        "executor.limiter.limit",
        "no such option",
    ),
    (
        {"limiter": {"kind": "token_bucket", "capacity": 3, "refill_rate": "3/x"}},
        "executor.limiter.refill_rate",
        'write it as "100/minute"',
    ),
    ({"limiter": "3/x"}, "executor.limiter", 'write it as "100/minute"'),
    ({"limiter": 5}, "executor.limiter", "give a limiter"),
    ({"limiter": []}, "executor.limiter", "at least one"),
    (
        {"limiter": ["3/s", {"kind": "fixed_window", "limit": 0, "per": 1}]},
        "executor.limiter[1].limit",
        "whole number",
    ),
    (
        {"limiter": ["3/s", {"kind": "fixed_window", "rate": "3/x"}]},
        "executor.limiter[1].rate",
        "write it as",
    ),
    (
        {"circuit_breaker": {"trip_on": [{"kind": "failure_rate"}]}},
        "executor.circuit_breaker.trip_on[0].share",
        "a FailureRate needs it",
    ),
    (
        {"circuit_breaker": {"trip_on": {"kind": "failure_rate", "share": 7}}},
        "executor.circuit_breaker.trip_on.share",
        "above 0, 1 at most",
    ),
    ({"timeout": -1}, "executor.timeout", "above 0"),
    ({"timeout": 1, "attempt_timeout": 2}, "executor.attempt_timeout", "at most the timeout"),
    ({"hedge": {"dely": 2}}, "executor.hedge.dely", "perhaps 'delay' is meant"),
    ({"hedge": {"delay": -1}}, "executor.hedge.delay", "at least 0"),
    ({"bulkhead": {"limit": 0}}, "executor.bulkhead.limit", "whole number"),
    ({"cache": {"ttl": -1}}, "executor.cache.ttl", "above 0"),
    ({"cache": {"ttl": 1, "key": "f"}}, "executor.cache.key", "no such name"),
    ({"fallback": {"value": 1, "on": "zz"}}, "executor.fallback.on", "no such name"),
    ({"charge": "run"}, "executor.charge", 'give "call" or "attempt"'),
    ({"acquire_timeout": "5s"}, "executor.acquire_timeout", "time in seconds"),
    ({"kind": "executor"}, "executor.kind", "no such option"),
]


@pytest.mark.parametrize("side", [SYNC, ASYNC], ids=repr)
@pytest.mark.parametrize(("settings", "path", "advice"), WRONG, ids=repr)
def test_what_is_wrong_says_where_and_what_to_do(side, settings, path, advice):
    """`executor.retry_policy.max_attempt is 3; there is no such option, perhaps …`."""
    with pytest.raises(InvalidConfigError) as refusal:
        side.Executor.from_dict(settings)

    error = refusal.value
    assert error.parameter == path
    assert str(error).startswith(f"{path} is ")
    assert advice in error.reason
    assert advice in str(error)


def test_a_class_refuses_the_kind_of_another():
    """And the path begins with the name of the class."""
    with pytest.raises(InvalidConfigError, match=r"^sliding_window_log\.kind is 'fixed_window'"):
        SlidingWindowLog.from_dict({"kind": "fixed_window", "rate": "1/s"})
    with pytest.raises(InvalidConfigError, match=r"^retry_policy\.jitter is 3"):
        RetryPolicy.from_dict({"jitter": 3})
    with pytest.raises(InvalidConfigError, match=r"^token_bucket\.burst is 0; give a whole"):
        AsyncTokenBucket.from_dict({"rate": "1/s", "burst": 0})


def test_a_type_error_of_a_constructor_is_a_refusal_with_a_path():
    """A sync part in an async executor keeps its words."""
    with pytest.raises(InvalidConfigError, match=r"^executor: limiter is .* async") as refusal:
        ResilientExecutor.from_dict({"limiter": AsyncTokenBucket(1, 1.0)})

    assert isinstance(refusal.value.__cause__, TypeError)


def test_names_are_a_dict():
    """What says what names mean is checked too."""
    with pytest.raises(InvalidConfigError, match="names is 5; give a dict"):
        ResilientExecutor.from_dict({}, names=5)


words = st.sampled_from(
    [*PARTS, *RATES, *ERRORS, *FUNCTIONS, *LIMITERS, "kind", "rate", "burst", "capacity", "per"]
)
scalars = st.none() | st.booleans() | st.integers(-2, 9) | st.floats() | words | st.text()
anything = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(words, inner, max_size=4)
)


@given(st.dictionaries(words | st.text(), anything, max_size=4))
def test_whatever_is_in_a_dict_is_made_or_refused_with_a_path(settings):
    """Nothing else comes out, and the dict is as it was."""
    before = repr(settings)
    try:
        made = ResilientExecutor.from_dict(settings)
    except InvalidConfigError as refusal:
        assert refusal.parameter.startswith("executor")
        assert refusal.reason
    else:
        assert type(made) is ResilientExecutor
    assert repr(settings) == before


def test_every_option_that_takes_a_part_a_class_or_a_function_is_in_the_tables():
    """A stage that is new in the executor's signature has its line, or takes a number."""
    numbers = {"charge", "acquire_timeout", "timeout", "attempt_timeout", "on_threads", "clock"}
    options = set(inspect.signature(ResilientExecutor).parameters)

    assert options - numbers <= set(PARTS)
    for kinds in PARTS.values():
        for name in kinds.values():
            assert hasattr(limitpal, name), name
