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
    "Attempt",
    "Bulkhead",
    "BulkheadFull",
    "Cache",
    "CacheStats",
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
    "AttemptBegan",
    "AttemptFailed",
    "HedgeStarted",
    "RetryPlanned",
    "RunBegan",
    "RunEnded",
    "BreakerFailed",
    "BreakerMoved",
    "BreakerRefused",
    "BreakerStats",
    "ExecutorStats",
    "Explanation",
    "KeyedBreakerStats",
    "LimiterStats",
    "Exponential",
    "FailureRate",
    "FairBucket",
    "Fallback",
    "Fibonacci",
    "FixedWindow",
    "Hedge",
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
    "Registry",
    "ResilientExecutor",
    "RetryBudget",
    "RetryExhausted",
    "RetryPolicy",
    "SlidingWindowCounter",
    "SlidingWindowLog",
    "SlowCallRate",
    "Subscription",
    "SyncLimiter",
    "TimeoutExceeded",
    "TokenBucket",
    "UnknownName",
    "WarmUpBucket",
    "__version__",
    "async_strict",
    "current_attempt",
    "explain",
    "strict",
}
WINDOWS = {"FixedWindow", "SlidingWindowCounter", "SlidingWindowLog", "WarmUpBucket"}
FUNCTIONS = {"async_strict", "current_attempt", "explain", "strict"}
NEW_SINCE_0_1_1 = {
    "Cache",
    "CacheStats",
    "Fallback",
    "Bulkhead",
    "BulkheadFull",
    "AdaptiveConcurrency",
    "AdaptiveLimiter",
    "AsyncAdaptiveLimiter",
    "AsyncConcurrencyLimiter",
    "Attempt",
    "ClientThrottle",
    "CompositePermit",
    "ConcurrencyLimiter",
    "ConcurrencyPermit",
    "ConsecutiveFailures",
    "Constant",
    "Decision",
    "Event",
    "EvictedLive",
    "AttemptBegan",
    "AttemptFailed",
    "HedgeStarted",
    "RetryPlanned",
    "RunBegan",
    "RunEnded",
    "BreakerFailed",
    "BreakerMoved",
    "BreakerRefused",
    "BreakerStats",
    "ExecutorStats",
    "Explanation",
    "KeyedBreakerStats",
    "LimiterStats",
    "Exponential",
    "FailureRate",
    "FairBucket",
    "Fibonacci",
    "Hedge",
    "KeyedCircuitBreaker",
    "KeysGrowLikeCalls",
    "Linear",
    "NearLimit",
    "Rate",
    "Refused",
    "Registry",
    "RetryBudget",
    "SlowCallRate",
    "Subscription",
    "TimeoutExceeded",
    "UnknownName",
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
