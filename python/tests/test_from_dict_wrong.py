"""`from_dict`: what is wrong in a dict says where it is, and what to do."""

import inspect

import pytest
from hypothesis import given
from hypothesis import strategies as st

import limitpal
from helpers import ASYNC, SYNC
from limitpal import (
    AsyncTokenBucket,
    InvalidConfigError,
    ResilientExecutor,
    RetryPolicy,
    SlidingWindowLog,
)
from limitpal._kinds import ERRORS, FUNCTIONS, LIMITERS, PARTS, RATES

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
