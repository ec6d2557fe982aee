"""A keyword that is not there: Python's own TypeError, and which one was meant."""

import inspect
import pickle

import pytest

import limitpal
from limitpal import (
    AsyncTokenBucket,
    Fallback,
    InvalidConfigError,
    ResilientExecutor,
    RetryPolicy,
    TokenBucket,
)

# A class, what is right, one of its keywords, and that misspelt.
MISSPELT = [
    ("TokenBucket", {"refill_rate": 1.0}, "capacity", "capasity"),
    ("AsyncTokenBucket", {"refill_rate": 1.0}, "capacity", "capasity"),
    ("TokenBucket", {"capacity": 5, "refill_rate": 1.0}, "max_buckets", "max_bucket"),
    ("AsyncTokenBucket", {"capacity": 5, "refill_rate": 1.0}, "max_buckets", "max_bucket"),
    ("LeakyBucket", {"capacity": 5}, "leak_rate", "leakrate"),
    ("FixedWindow", {"limit": 5}, "per", "pre"),
    ("AsyncSlidingWindowLog", {"limit": 5, "per": 1}, "per_key", "perkey"),
    ("WarmUpBucket", {"capacity": 5, "refill_rate": 1.0}, "warm_up", "warmup"),
    ("FairBucket", {"capacity": 5, "refill_rate": 1.0}, "active_for", "activ_for"),
    ("AdaptiveLimiter", {"max_rate": 5}, "cooldown", "cool_down"),
    ("ConcurrencyLimiter", {"limit": 5}, "max_waiting", "maxwaiting"),
    ("CompositeLimiter", {}, "limiters", "limiter"),
    ("Bulkhead", {"limit": 5}, "max_waiting", "max_waitng"),
    ("RetryPolicy", {}, "max_attempts", "max_attemps"),
    ("RetryBudget", {}, "minimum_per_second", "minimum_per_sec"),
    ("CircuitBreaker", {}, "failure_threshold", "failure_treshold"),
    ("KeyedCircuitBreaker", {}, "recovery_timeout", "recovery_time"),
    ("ClientThrottle", {}, "max_rejection", "max_rejections"),
    ("AdaptiveConcurrency", {}, "algorithm", "algoritm"),
    ("FailureRate", {"share": 0.5}, "minimum_calls", "minimum_call"),
    ("SlowCallRate", {"share": 0.5, "slower_than": 1}, "window", "windows"),
    ("Hedge", {}, "percentile", "percentil"),
    ("Fallback", {"value": 1}, "on", "one"),
    ("Cache", {"ttl": 1}, "stale_for", "stalefor"),
    ("Exponential", {}, "base", "bases"),
    ("ResilientExecutor", {}, "retry_policy", "retry_polcy"),
    ("AsyncResilientExecutor", {}, "attempt_timeout", "attempts_timeout"),
    ("MockClock", {}, "autojump", "auto_jump"),
]


@pytest.mark.parametrize(("name", "right", "meant", "given"), MISSPELT)
def test_a_misspelt_keyword_is_a_type_error_that_says_what_was_meant(name, right, meant, given):
    """As Python says it of its own functions from 3.13 on."""
    with pytest.raises(TypeError) as wrong:
        getattr(limitpal, name)(**right, **{given: 1})

    assert type(wrong.value) is TypeError
    assert f"{name}.__" in str(wrong.value)
    assert repr(given) in str(wrong.value)
    assert str(wrong.value).endswith(f"Did you mean {meant!r}?")
    assert str(wrong.value).count("Did you mean") == 1


@pytest.mark.parametrize("make", [TokenBucket, AsyncTokenBucket])
def test_live_changes_say_it_too_and_leave_all_as_it_was(make):
    """`reconfigure` and `configure`, on both sides."""
    bucket = make(5, 1.0)

    for change in (
        lambda: bucket.reconfigure(capasity=9),
        lambda: bucket.configure("ann", capasity=9),
    ):
        with pytest.raises(TypeError, match=r"'capasity'. Did you mean 'capacity'"):
            change()
    assert bucket.capacity == 5


def test_what_is_like_nothing_and_what_is_wrong_otherwise_comes_as_it_is():
    """No guess is better than a wild one; an error from within is nobody's business."""
    with pytest.raises(TypeError) as wrong:
        TokenBucket(5, 1.0, zzz=1)
    assert str(wrong.value) == "TokenBucket.__init__() got an unexpected keyword argument 'zzz'"
    with pytest.raises(TypeError) as wrong:
        RetryPolicy(zzz=1)
    assert str(wrong.value) == "RetryPolicy.__new__() got an unexpected keyword argument 'zzz'"

    with pytest.raises(TypeError, match=r"missing 1 required positional argument: 'refill_rate'$"):
        TokenBucket(5)
    with pytest.raises(InvalidConfigError, match=r"capacity is 0"):
        TokenBucket(0, 1.0)

    def quota(key):
        raise TypeError("f() got an unexpected keyword argument 'capacit'")

    with pytest.raises(TypeError, match=r"'capacit'$"):
        TokenBucket(5, 1.0, quota=quota).allow("ann")
    with pytest.raises(TypeError, match=r"Did you mean 'max_delay'"):
        RetryPolicy().replace(max_dely=1)


def test_a_subclass_is_told_what_its_base_takes_and_its_own_errors_are_its_own():
    """The hint belongs to who refuses."""

    class Named(TokenBucket):
        def __init__(self, name, **options):
            super().__init__(5, 1.0, **options)

    with pytest.raises(TypeError, match=r"TokenBucket.__init__.*Did you mean 'per_key'"):
        Named("api", perkey=False)
    with pytest.raises(TypeError) as wrong:
        Named(nam="api")
    assert str(wrong.value).startswith("test_a_subclass")


def test_signatures_and_pickles_are_what_they_were():
    """Tools see the constructors as they are written down."""
    parameters = list(inspect.signature(TokenBucket).parameters)
    assert parameters[:3] == ["capacity", "refill_rate", "clock"]
    assert list(inspect.signature(TokenBucket.__init__).parameters) == ["self", *parameters]
    assert list(inspect.signature(RetryPolicy).parameters)[:2] == ["max_attempts", "base_delay"]
    assert "unknown" not in inspect.signature(RetryPolicy).parameters
    assert "unknown" not in inspect.signature(limitpal.FailureRate).parameters
    assert str(inspect.signature(TokenBucket.reconfigure)).startswith("(self, /, *, capacity=None")
    assert pickle.loads(pickle.dumps(Fallback(3, on=OSError))) == Fallback(3, on=OSError)


@pytest.mark.parametrize(
    ("given", "advice"),
    [
        (3, "give Fallback(3) to have that in place of an error, or None"),
        ([], "give Fallback([]) to have that in place of an error, or None"),
        (len, "give Fallback(func=that) to have that in place of an error, or None"),
    ],
)
def test_a_fallback_that_is_none_says_how_to_make_one_of_it(given, advice):
    """The line to write, with what was given."""
    with pytest.raises(InvalidConfigError) as wrong:
        ResilientExecutor(fallback=given)

    assert (wrong.value.parameter, wrong.value.value) == ("fallback", given)
    assert wrong.value.reason == advice
