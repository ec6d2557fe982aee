"""The public names: exactly these, in order, typed, documented."""

import importlib
import inspect
import types
from importlib import metadata, resources

import pytest

import limitpal

CONTRACT = {
    "AdaptiveConcurrency",
    "AdaptiveLimiter",
    "AsyncAdaptiveLimiter",
    "AsyncCompositeLimiter",
    "AsyncConcurrencyLimiter",
    "AsyncFairBucket",
    "AsyncFixedWindow",
    "AsyncLeakyBucket",
    "AsyncLimiter",
    "AsyncResilientExecutor",
    "AsyncSlidingWindowCounter",
    "AsyncSlidingWindowLog",
    "AsyncTokenBucket",
    "AsyncWarmUpBucket",
    "CircuitBreaker",
    "CircuitBreakerOpen",
    "ClientThrottle",
    "Clock",
    "CompositeLimiter",
    "CompositePermit",
    "ConcurrencyLimiter",
    "ConcurrencyPermit",
    "ConsecutiveFailures",
    "Constant",
    "Decision",
    "Event",
    "EvictedLive",
    "ExecutorStats",
    "Exponential",
    "FailureRate",
    "FairBucket",
    "Fibonacci",
    "FixedWindow",
    "InvalidConfigError",
    "KeyedCircuitBreaker",
    "KeysGrowLikeCalls",
    "LeakyBucket",
    "LimitPalError",
    "Linear",
    "MockClock",
    "MonotonicClock",
    "NearLimit",
    "Rate",
    "RateLimitExceeded",
    "Refused",
    "ResilientExecutor",
    "RetryBudget",
    "RetryExhausted",
    "RetryPolicy",
    "SlidingWindowCounter",
    "SlidingWindowLog",
    "SlowCallRate",
    "Subscription",
    "SyncLimiter",
    "TokenBucket",
    "WarmUpBucket",
    "__version__",
    "async_strict",
    "strict",
}
WINDOWS = {"FixedWindow", "SlidingWindowCounter", "SlidingWindowLog", "WarmUpBucket"}
FUNCTIONS = {"async_strict", "strict"}
NEW_SINCE_0_1_1 = {
    "AdaptiveConcurrency",
    "AdaptiveLimiter",
    "AsyncAdaptiveLimiter",
    "AsyncConcurrencyLimiter",
    "ClientThrottle",
    "CompositePermit",
    "ConcurrencyLimiter",
    "ConcurrencyPermit",
    "ConsecutiveFailures",
    "Constant",
    "Decision",
    "Event",
    "EvictedLive",
    "ExecutorStats",
    "Exponential",
    "FailureRate",
    "FairBucket",
    "Fibonacci",
    "KeyedCircuitBreaker",
    "KeysGrowLikeCalls",
    "Linear",
    "NearLimit",
    "Rate",
    "Refused",
    "RetryBudget",
    "SlowCallRate",
    "Subscription",
    *FUNCTIONS,
    *WINDOWS,
    *(f"Async{name}" for name in WINDOWS),
}
CLASSES = sorted(CONTRACT - {"__version__"} - FUNCTIONS)


def test_the_names_are_those_of_the_contract():
    """No name is missing and none is there by accident."""
    assert set(limitpal.__all__) == CONTRACT


def test_the_names_of_0_1_1_are_all_there():
    """A program written against 0.1.1's top level imports unchanged."""
    for name in CONTRACT - NEW_SINCE_0_1_1:
        assert hasattr(limitpal, name), name


def test_all_is_sorted():
    """A reader finds a name where the alphabet has it; and each once."""
    assert list(limitpal.__all__) == sorted(set(limitpal.__all__))


def test_all_is_what_can_be_imported():
    """Nothing public beside it but the submodules Python itself hangs there."""
    public = {
        name
        for name, value in vars(limitpal).items()
        if not name.startswith("_") and not isinstance(value, types.ModuleType)
    }

    assert public == set(limitpal.__all__) - {"__version__"}


def test_a_star_import_brings_all_of_it():
    """`from limitpal import *` gives `__all__`."""
    namespace = {}

    exec("from limitpal import *", namespace)

    assert set(limitpal.__all__) == {name for name in namespace if name != "__builtins__"}


def test_the_version_is_the_distributions():
    """`__version__` and the installed metadata agree."""
    assert limitpal.__version__ == metadata.version("limitpal")


def test_nothing_else_is_required_at_run_time():
    """One wheel, no dependency."""
    required = [line for line in metadata.requires("limitpal") or [] if "extra ==" not in line]

    assert required == []


def test_the_package_is_typed():
    """`py.typed` and the stubs of the extension are installed."""
    installed = {entry.name for entry in resources.files("limitpal").iterdir()}

    assert {"py.typed", "_limitpal.pyi"} <= installed


@pytest.mark.parametrize("name", CLASSES)
def test_a_class_says_where_it_lives(name):
    """`__module__` and `__qualname__` lead back to the class: pickles and docs need it."""
    cls = getattr(limitpal, name)
    home = importlib.import_module(cls.__module__)

    assert inspect.isclass(cls)
    assert cls.__module__.partition(".")[0] == "limitpal"
    assert getattr(home, cls.__qualname__) is cls
    assert cls.__name__ == name


def public_members(cls):
    """Returns the public methods and properties that a class defines itself."""
    return {
        name: value
        for name, value in vars(cls).items()
        if not name.startswith("_") and (callable(value) or inspect.isdatadescriptor(value))
    }


@pytest.mark.parametrize("name", CLASSES)
def test_everything_public_is_documented(name):
    """A class, its methods and its properties each open with a sentence."""
    cls = getattr(limitpal, name)

    assert (cls.__doc__ or "").strip(), name
    silent = [member for member in public_members(cls) if not inspect.getdoc(getattr(cls, member))]
    assert silent == []


LIMITER_OPTIONS = [
    "clock",
    "ttl",
    "max_buckets",
    "cleanup_interval",
    "*",
    "per_key",
    "key_by",
    "evict",
]
at = LIMITER_OPTIONS.index("*") + 1
TOKEN_OPTIONS = [*LIMITER_OPTIONS[:at], "initial", "debt", *LIMITER_OPTIONS[at:]]
EXECUTOR = [
    "limiter",
    "retry_policy",
    "circuit_breaker",
    "clock",
    "*",
    "charge",
    "acquire_timeout",
    "retry_budget",
]
BREAKER = [
    "failure_threshold",
    "recovery_timeout",
    "half_open_success_threshold",
    "clock",
    "*",
    "trip_on",
    "half_open_timeout",
    "ramp",
    "ramp_step",
    "recovery_backoff",
    "max_recovery_timeout",
    "recovery_jitter",
    "seed",
    "failure_on",
    "ignore",
    "failure_on_result",
]
SIGNATURES = {
    "TokenBucket": ["capacity", "refill_rate", *TOKEN_OPTIONS],
    "LeakyBucket": ["capacity", "leak_rate", *LIMITER_OPTIONS],
    "CompositeLimiter": ["limiters", "clock"],
    "ConcurrencyLimiter": ["limit", "*", "per_key", "key_by", "max_waiting", "clock"],
    "Rate": ["count", "per"],
    "RetryBudget": ["ratio", "minimum_per_second", "window", "*", "clock"],
    "RetryPolicy": [
        "max_attempts",
        "base_delay",
        "max_delay",
        "backoff",
        "jitter",
        "retry_on",
        "*",
        "delays",
        "min_delay",
        "delays_for",
        "retry_if",
        "retry_on_result",
        "max_elapsed",
        "delay_from",
        "max_server_delay",
        "seed",
    ],
    "CircuitBreaker": BREAKER,
    "KeyedCircuitBreaker": [*BREAKER[:5], "max_breakers", *BREAKER[5:]],
    "ConsecutiveFailures": ["failures"],
    "FailureRate": ["share", "calls", "window", "minimum_calls"],
    "SlowCallRate": ["share", "slower_than", "calls", "window", "minimum_calls"],
    "ClientThrottle": ["k", "window", "*", "max_rejection", "reject_on", "seed", "clock"],
    "AdaptiveConcurrency": [
        "algorithm",
        "*",
        "min",
        "max",
        "initial",
        "drop_on",
        "partitions",
        "seed",
        "clock",
    ],
    "AdaptiveLimiter": [
        "max_rate",
        "clock",
        "ttl",
        "max_buckets",
        "cleanup_interval",
        "*",
        "algorithm",
        "min_rate",
        "initial_rate",
        "burst",
        "decrease",
        "increase",
        "cooldown",
        "forget_after",
        "throttled_on",
        "per_key",
        "key_by",
        "evict",
    ],
    "ResilientExecutor": EXECUTOR,
    "MockClock": ["start_time", "autojump"],
    "RateLimitExceeded": ["message", "key", "retry_after"],
    "CircuitBreakerOpen": ["message", "retry_after"],
    "RetryExhausted": ["message", "attempts", "last_error", "reason", "last_result"],
    "InvalidConfigError": ["message", "parameter", "value", "reason"],
}
for twin in (
    "TokenBucket",
    "LeakyBucket",
    "CompositeLimiter",
    "ConcurrencyLimiter",
    "ResilientExecutor",
):
    SIGNATURES[f"Async{twin}"] = SIGNATURES[twin]


def spelled(signature):
    """Returns the parameters' names, with a star before those that go by name only."""
    names = []
    for parameter in signature.parameters.values():
        if parameter.kind is parameter.KEYWORD_ONLY and "*" not in names:
            names.append("*")
        names.append(parameter.name)
    return names


@pytest.mark.parametrize("name", SIGNATURES)
def test_constructors_have_the_signatures_of_the_contract(name):
    """Names, order, and what goes by name only, as `help()` shows them."""
    assert spelled(inspect.signature(getattr(limitpal, name))) == SIGNATURES[name]


METHODS = {
    "allow": ["key", "cost"],
    "acquire": ["key", "timeout", "cost"],
    "check": ["key", "cost"],
    "peek": ["key", "cost"],
    "reset": ["key"],
}


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("name", ["TokenBucket", "LeakyBucket", "CompositeLimiter"])
@pytest.mark.parametrize("prefix", ["", "Async"])
def test_limiters_have_the_methods_of_the_contract(prefix, name, method):
    """Sync and async twins with the same signatures; the async ones are coroutine functions."""
    function = getattr(getattr(limitpal, prefix + name), method)

    names = spelled(inspect.signature(function))

    assert [name for name in names if name != "self"] == METHODS[method]
    assert inspect.iscoroutinefunction(function) is (prefix == "Async")


IN_WORDS = {
    "TokenBucket.per": ["rate", "burst", "options"],
    "LeakyBucket.per": ["rate", "capacity", "options"],
    "CompositeLimiter.of": ["rates", "*", "clock"],
    "TokenBucket.bound": ["window"],
    "LeakyBucket.bound": ["window"],
    "CompositeLimiter.bound": ["window"],
}


@pytest.mark.parametrize("name", IN_WORDS)
@pytest.mark.parametrize("prefix", ["", "Async"])
def test_what_waits_for_nothing_is_a_plain_method_on_both_sides(prefix, name):
    """`per` and `of`, which make a limiter, and `bound`: the same signatures, no coroutine."""
    kind, _, method = (prefix + name).partition(".")
    function = getattr(getattr(limitpal, kind), method)

    names = [name for name in spelled(inspect.signature(function)) if name != "self"]

    assert names == IN_WORDS[name]
    assert not inspect.iscoroutinefunction(function)


def test_built_in_parts_are_instances_of_their_bases():
    """`isinstance` checks written against 0.1.1 still hold."""
    for name in ("TokenBucket", "LeakyBucket"):
        assert isinstance(getattr(limitpal, name)(1, 1.0), limitpal.SyncLimiter)
        assert isinstance(getattr(limitpal, f"Async{name}")(1, 1.0), limitpal.AsyncLimiter)
    composite = limitpal.CompositeLimiter([limitpal.TokenBucket(1, 1.0)])
    assert isinstance(composite, limitpal.SyncLimiter)
    composite = limitpal.AsyncCompositeLimiter([limitpal.AsyncTokenBucket(1, 1.0)])
    assert isinstance(composite, limitpal.AsyncLimiter)
    assert isinstance(limitpal.MockClock(), limitpal.Clock)
    assert isinstance(limitpal.MonotonicClock(), limitpal.Clock)


def test_importing_starts_nothing():
    """The import brings no event loop, no thread and no warning."""
    import subprocess
    import sys

    program = (
        "import sys, threading, warnings\n"
        "warnings.simplefilter('error')\n"
        "before = set(sys.modules)\n"
        "import limitpal\n"
        "assert threading.active_count() == 1, threading.enumerate()\n"
        "foreign = {name.partition('.')[0] for name in set(sys.modules) - before}\n"
        "foreign -= set(sys.stdlib_module_names)\n"
        "assert foreign <= {'limitpal'}, foreign\n"
    )

    result = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=False
    )

    assert result.returncode == 0, result.stderr
