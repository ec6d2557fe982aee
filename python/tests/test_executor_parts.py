"""The executor's parts: which fit, which are refused, how they print and whether they pickle."""

import pickle

import pytest

from helpers import ASYNC, SYNC, Script, both, caught, each_charge, half_open, settle
from limitpal import (
    AsyncCompositeLimiter,
    AsyncLeakyBucket,
    AsyncLimiter,
    AsyncResilientExecutor,
    AsyncTokenBucket,
    CircuitBreaker,
    CompositeLimiter,
    InvalidConfigError,
    LeakyBucket,
    MockClock,
    ResilientExecutor,
    RetryPolicy,
    SyncLimiter,
    TokenBucket,
)


class OwnSync(SyncLimiter):
    """A sync limiter of the user's, on our base class."""

    def allow(self, key="default"):
        return True

    def acquire(self, key="default", timeout=None):
        return None


class OwnAsync(AsyncLimiter):
    """An async limiter of the user's, on our base class."""

    async def allow(self, key="default"):
        return True

    async def acquire(self, key="default", timeout=None):
        return None


SYNC_PARTS = {
    "TokenBucket": lambda: TokenBucket(1, 1.0),
    "LeakyBucket": lambda: LeakyBucket(1, 1.0),
    "CompositeLimiter": lambda: CompositeLimiter([TokenBucket(1, 1.0)]),
}
ASYNC_PARTS = {
    "AsyncTokenBucket": lambda: AsyncTokenBucket(1, 1.0),
    "AsyncLeakyBucket": lambda: AsyncLeakyBucket(1, 1.0),
    "AsyncCompositeLimiter": lambda: AsyncCompositeLimiter([AsyncTokenBucket(1, 1.0)]),
}
TWINS = dict(zip(SYNC_PARTS, ASYNC_PARTS, strict=True))


@pytest.mark.parametrize("name", SYNC_PARTS)
def test_the_async_executor_refuses_a_sync_limiter(name):
    """A TypeError at construction that names the twin."""
    part = SYNC_PARTS[name]()

    with pytest.raises(TypeError, match=rf"\b{TWINS[name]}\b"):
        AsyncResilientExecutor(limiter=part)


@pytest.mark.parametrize("name", SYNC_PARTS)
def test_the_sync_executor_refuses_an_async_limiter(name):
    """A TypeError at construction that names the twin."""
    part = ASYNC_PARTS[TWINS[name]]()

    with pytest.raises(TypeError, match=rf"\b{name}\b"):
        ResilientExecutor(limiter=part)


def test_a_users_limiter_of_the_other_kind_is_refused():
    """It has no twin of ours to name; the TypeError names its class and the kind that is meant."""
    with pytest.raises(TypeError, match=r"OwnSync\b.*\basync\b"):
        AsyncResilientExecutor(limiter=OwnSync())
    with pytest.raises(TypeError, match=r"OwnAsync\b.*\bsync\b"):
        ResilientExecutor(limiter=OwnAsync())


@both
@pytest.mark.parametrize(
    ("parameter", "value"),
    [
        ("limiter", 5),
        ("limiter", "TokenBucket"),
        ("limiter", RetryPolicy()),
        ("limiter", object()),
        ("retry_policy", 3),
        ("retry_policy", ValueError),
        ("retry_policy", object()),
        ("circuit_breaker", "closed"),
        ("circuit_breaker", RetryPolicy()),
        ("circuit_breaker", object()),
        ("clock", 5.0),
        ("clock", object()),
    ],
    ids=repr,
)
def test_a_part_of_another_kind_is_refused_by_name(side, parameter, value):
    """What is no such part at all is refused when the executor is made."""
    with pytest.raises((InvalidConfigError, TypeError)) as refusal:
        side.Executor(**{parameter: value})

    assert parameter in str(refusal.value)


@both
def test_a_class_instead_of_an_object_is_refused(side):
    """Forgotten brackets are found at construction."""
    for parameter, value in (
        ("limiter", side.TokenBucket),
        ("retry_policy", RetryPolicy),
        ("circuit_breaker", CircuitBreaker),
        ("clock", MockClock),
    ):
        with pytest.raises((InvalidConfigError, TypeError)) as refusal:
            side.Executor(**{parameter: value})
        assert parameter in str(refusal.value)


@both
def test_none_means_without(side):
    """Every part is optional and may be None."""
    side.Executor(None, None, None, None, charge="call", acquire_timeout=None)
    side.Executor(limiter=None, retry_policy=None, circuit_breaker=None, clock=None)


@both
@each_charge
async def test_a_duck_typed_limiter_works(side, charge):
    """Any object with `allow` and `acquire` is a limiter; it hears the run's key."""
    clock = MockClock()
    limiter = side.own_limiter(lambda: None)
    policy = RetryPolicy(max_attempts=2)
    executor = side.Executor(limiter, policy, clock=clock, charge=charge)

    assert await side.run(executor, Script(ValueError(), "done"), key="user:7") == "done"

    asked = 1 if charge == "call" else 2
    assert limiter.asked == [("user:7", None)] * asked


@both
async def test_a_limiter_on_our_base_class_works(side):
    """`SyncLimiter` and `AsyncLimiter` are there to be subclassed."""
    limiter = OwnAsync() if side.is_async else OwnSync()

    assert await side.run(side.Executor(limiter), Script("done")) == "done"


async def test_a_limiter_whose_acquire_takes_only_a_key_works():
    """Without `acquire_timeout` nothing more is asked of it, as 0.1.1 asked nothing more."""

    class Old:
        def allow(self, key):
            return True

        def acquire(self, key):
            self.key = key

    class AsyncOld(Old):
        async def allow(self, key):
            return True

        async def acquire(self, key):
            self.key = key

    for side, limiter in ((SYNC, Old()), (ASYNC, AsyncOld())):
        assert await side.run(side.Executor(limiter), Script("done")) == "done"
        assert limiter.key == "k"


@both
@each_charge
async def test_a_users_limiters_error_comes_out_unchanged(side, charge):
    """Not retried, not counted, the probe's permit free again."""
    broken = KeyError("the limiter's own")
    limiter = side.own_limiter(Script(broken))
    clock = MockClock()
    breaker = half_open(clock)
    executor = side.Executor(limiter, RetryPolicy(), breaker, clock, charge=charge)
    script = Script("called")

    assert await caught(side.run(executor, script)) is broken

    assert script.count == 0
    assert len(limiter.asked) == 1
    assert breaker.state == "half_open"
    assert breaker.allow() is True


@both
async def test_parts_may_be_shared(side):
    """One limiter, one policy and one breaker in two executors: one quota, one circuit."""
    clock = MockClock()
    limiter = side.TokenBucket(2, 1 / 3600, clock=clock)
    breaker = CircuitBreaker(failure_threshold=2, clock=clock)
    policy = RetryPolicy(max_attempts=1)
    first, second = (side.Executor(limiter, policy, breaker, clock) for _ in range(2))

    await caught(side.run(first, Script(ValueError())))
    await caught(side.run(second, Script(ValueError())))

    assert breaker.state == "open"
    assert await settle(limiter.get_tokens("k")) == 0.0


@both
def test_repr_shows_what_was_built(side):
    """The executor prints its parts and its options."""
    executor = side.Executor(
        side.TokenBucket(10, 5.0),
        RetryPolicy(max_attempts=4),
        CircuitBreaker(failure_threshold=7),
        charge="attempt",
        acquire_timeout=2.5,
    )

    text = repr(executor)

    assert text.startswith(f"{side.Executor.__name__}(")
    for part in (
        f"{side.TokenBucket.__name__}(",
        "RetryPolicy(max_attempts=4",
        "CircuitBreaker(failure_threshold=7",
        "charge='attempt'",
        "acquire_timeout=2.5",
    ):
        assert part in text


@both
def test_repr_of_an_empty_executor_is_short(side):
    """Nothing built, nothing shown but its name and options; no address in memory."""
    text = repr(side.Executor())

    assert text.startswith(f"{side.Executor.__name__}(")
    assert " at 0x" not in text


LIVE = {
    **SYNC_PARTS,
    **ASYNC_PARTS,
    "CircuitBreaker": CircuitBreaker,
    "ResilientExecutor": ResilientExecutor,
    "AsyncResilientExecutor": AsyncResilientExecutor,
}


@pytest.mark.parametrize("name", LIVE)
@pytest.mark.parametrize("protocol", [0, 2, pickle.HIGHEST_PROTOCOL])
def test_live_objects_say_that_they_do_not_pickle(name, protocol):
    """A TypeError with the class and the word: state is not to be torn in two silently."""
    live = LIVE[name]()

    with pytest.raises(TypeError, match=rf"(?s)(?=.*\b{name}\b)(?=.*pickle)"):
        pickle.dumps(live, protocol)
