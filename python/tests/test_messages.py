"""The text of every error a user can meet: the fact, the value, the way out."""

import math
import re

import pytest

from helpers import Script, both, caught, settle, trip
from limitpal import (
    AdaptiveConcurrency,
    AsyncResilientExecutor,
    AsyncTokenBucket,
    CircuitBreaker,
    ClientThrottle,
    CompositeLimiter,
    ConcurrencyLimiter,
    InvalidConfigError,
    LeakyBucket,
    MockClock,
    ResilientExecutor,
    RetryPolicy,
    TokenBucket,
)

NAMES = re.compile(r"^[`'\"]?(Async)?(Token|Leaky|Composite|Circuit|Resilient|Retry|Mock|Sync)\w*")


def well_said(text):
    """Asserts what holds for every message: lower case, no period, no Rust inside."""
    assert text == text.strip()
    assert text, "an empty message"
    assert not text.endswith((".", "!")), text
    assert not text[0].isupper() or NAMES.match(text), f"{text!r} starts with a capital"
    assert not re.search(r"Some\(|None\)|Duration|u32|i64|PyErr|panicked|\bErr\(", text), text


CONFIG = [
    (TokenBucket, {"capacity": 0, "refill_rate": 1.0}, "capacity"),
    (TokenBucket, {"capacity": -3, "refill_rate": 1.0}, "capacity"),
    (TokenBucket, {"capacity": 1.5, "refill_rate": 1.0}, "capacity"),
    (TokenBucket, {"capacity": 2**40, "refill_rate": 1.0}, "capacity"),
    (TokenBucket, {"capacity": "ten", "refill_rate": 1.0}, "capacity"),
    (TokenBucket, {"capacity": 1, "refill_rate": 0}, "refill_rate"),
    (TokenBucket, {"capacity": 1, "refill_rate": math.nan}, "refill_rate"),
    (TokenBucket, {"capacity": 1, "refill_rate": math.inf}, "refill_rate"),
    (TokenBucket, {"capacity": 1, "refill_rate": 1e7}, "refill_rate"),
    (TokenBucket, {"capacity": 1, "refill_rate": 1.0, "ttl": 0}, "ttl"),
    (TokenBucket, {"capacity": 1, "refill_rate": 1.0, "max_buckets": 0}, "max_buckets"),
    (TokenBucket, {"capacity": 1, "refill_rate": 1.0, "cleanup_interval": 0}, "cleanup_interval"),
    (TokenBucket, {"capacity": 1, "refill_rate": 1.0, "key_by": 5}, "key_by"),
    (TokenBucket, {"capacity": 1, "refill_rate": 1.0, "clock": 5}, "clock"),
    (LeakyBucket, {"capacity": 0, "leak_rate": 1.0}, "capacity"),
    (LeakyBucket, {"capacity": 1, "leak_rate": -1.0}, "leak_rate"),
    (CompositeLimiter, {"limiters": []}, "limiters"),
    (ConcurrencyLimiter, {"limit": 0}, "limit"),
    (ConcurrencyLimiter, {"limit": 1, "max_waiting": -1}, "max_waiting"),
    (RetryPolicy, {"max_attempts": 0}, "max_attempts"),
    (RetryPolicy, {"base_delay": -1}, "base_delay"),
    (RetryPolicy, {"base_delay": 2.0, "max_delay": 1.0}, "max_delay"),
    (RetryPolicy, {"backoff": 0.5}, "backoff"),
    (RetryPolicy, {"jitter": 1.5}, "jitter"),
    (RetryPolicy, {"retry_on": "ValueError"}, "retry_on"),
    (RetryPolicy, {"retry_on": (int,)}, "retry_on"),
    (CircuitBreaker, {"failure_threshold": 0}, "failure_threshold"),
    (CircuitBreaker, {"recovery_timeout": 0}, "recovery_timeout"),
    (CircuitBreaker, {"half_open_success_threshold": 0}, "half_open_success_threshold"),
    (CircuitBreaker, {"ignore": 5}, "ignore"),
    (AdaptiveConcurrency, {"algorithm": "bbr"}, "algorithm"),
    (AdaptiveConcurrency, {"min": 0}, "min"),
    (AdaptiveConcurrency, {"min": 9, "max": 8}, "max"),
    (AdaptiveConcurrency, {"initial": 201}, "initial"),
    (AdaptiveConcurrency, {"drop_on": 5}, "drop_on"),
    (ClientThrottle, {"k": 1}, "k"),
    (ClientThrottle, {"k": math.nan}, "k"),
    (ClientThrottle, {"window": 0}, "window"),
    (ClientThrottle, {"max_rejection": 1.5}, "max_rejection"),
    (ClientThrottle, {"reject_on": (int,)}, "reject_on"),
    (ClientThrottle, {"seed": -1}, "seed"),
    (ClientThrottle, {"clock": 5}, "clock"),
    (ResilientExecutor, {"charge": "foo"}, "charge"),
    (ResilientExecutor, {"acquire_timeout": math.nan}, "acquire_timeout"),
    (AsyncResilientExecutor, {"charge": "foo"}, "charge"),
    (AsyncTokenBucket, {"capacity": 0, "refill_rate": 1.0}, "capacity"),
]


@pytest.mark.parametrize(("kind", "settings", "parameter"), CONFIG, ids=repr)
def test_a_bad_argument_names_itself_its_value_and_the_way_out(kind, settings, parameter):
    """`capacity is 0; give a whole number from 1 to 4294967295`."""
    value = settings[parameter]

    with pytest.raises(InvalidConfigError) as refusal:
        kind(**settings)

    text = str(refusal.value)
    well_said(text)
    assert refusal.value.parameter == parameter
    assert refusal.value.value is value
    fact, separator, advice = text.partition("; ")
    assert separator, f"{text!r} shows no way out"
    assert fact.startswith(parameter), text
    assert repr(value) in fact, text
    assert advice == refusal.value.reason
    assert len(advice) > len("give"), text


def test_the_message_of_the_style_guide():
    """The one text that is promised to the letter."""
    with pytest.raises(InvalidConfigError) as refusal:
        TokenBucket(0, 1.0)

    assert str(refusal.value) == "capacity is 0; give a whole number from 1 to 4294967295"


@both
@pytest.mark.parametrize("cost", [0, -1, 1.5, "1"])
async def test_a_bad_cost_names_itself(side, cost):
    """`cost` is checked on every call, and by the same words."""
    limiter = side.TokenBucket(5, 1.0)

    with pytest.raises(InvalidConfigError) as refusal:
        await settle(limiter.allow("k", cost=cost))

    text = str(refusal.value)
    well_said(text)
    assert refusal.value.parameter == "cost"
    assert text.startswith("cost")
    assert repr(cost) in text
    assert "; " in text


@both
async def test_no_quota_says_for_whom_and_until_when(side):
    """`no token for "user:7"; next in 0.42s`: the key and the time are in the text."""
    limiter = side.TokenBucket(1, 0.5, clock=MockClock())
    await settle(limiter.allow("user:7"))

    error = await caught(refusal_of(limiter, "user:7"))

    text = str(error)
    well_said(text)
    assert '"user:7"' in text or "`user:7`" in text or "'user:7'" in text, text
    assert re.search(r"\b2(\.0+)?\s?s", text), text


@both
@pytest.mark.parametrize("key", ["", "a\nb", "ключ", "k" * 1_000_000], ids=len)
async def test_odd_keys_do_not_spoil_the_message(side, key):
    """An empty, a broken, a foreign and an endless key: one short readable line."""
    limiter = side.TokenBucket(1, 0.5, clock=MockClock())
    await settle(limiter.allow(key))

    error = await caught(refusal_of(limiter, key))

    assert error.key == key
    assert "\n" not in str(error)
    assert len(str(error)) < 1000


@both
async def test_a_cost_above_the_capacity_says_never(side):
    """No time to come back is offered; the text says that none will do."""
    limiter = side.TokenBucket(3, 1.0, clock=MockClock())

    error = await caught(refusal_of(limiter, "k", cost=4))

    text = str(error)
    well_said(text)
    assert "inf" not in text, text
    assert "capacity" in text, text


@both
@pytest.mark.parametrize("cost", [1, 2])
async def test_no_permit_says_for_whom_and_why(side, cost):
    """Nobody can say when one comes back; a cost above the limit is named."""
    limiter = side.ConcurrencyLimiter(1)
    held = await settle(limiter.acquire("user:7"))

    error = await caught(refusal_of(limiter, "user:7", cost=cost))

    well_said(str(error))
    assert '"user:7"' in str(error)
    assert ("above the limit" in str(error)) is (cost == 2)
    held.release()


async def refusal_of(limiter, key, **options):
    """Asks for quota without waiting; made here, so that a sync limiter raises here too."""
    return await settle(limiter.acquire(key, timeout=0, **options))


@both
async def test_an_open_circuit_says_until_when(side):
    """The fact and the time."""
    breaker = CircuitBreaker(failure_threshold=1, recovery_timeout=3.0, clock=MockClock())
    trip(breaker)

    text = str(await caught(side.call(breaker, Script("called"))))

    well_said(text)
    assert "circuit" in text
    assert "open" in text
    assert re.search(r"\b3(\.0+)?\s?s", text), text


@both
@pytest.mark.parametrize("reason", ["attempts", "circuit_open", "rate_limited"])
async def test_an_exhausted_run_says_how_often_and_why(side, reason):
    """The number of attempts, what ended them, and the last error's own words."""
    clock = MockClock()
    breaker = CircuitBreaker(failure_threshold=1, clock=clock)
    limiter = side.TokenBucket(1, 1 / 3600, clock=clock)
    executor = {
        "attempts": lambda: side.Executor(None, RetryPolicy(max_attempts=1), clock=clock),
        "circuit_open": lambda: side.Executor(
            None, RetryPolicy(), breaker, clock, charge="attempt"
        ),
        "rate_limited": lambda: side.Executor(
            limiter, RetryPolicy(), clock=clock, charge="attempt", acquire_timeout=0
        ),
    }[reason]()

    error = await caught(side.run(executor, Script(OSError("the line is dead"))))

    text = str(error)
    assert error.reason == reason
    well_said(text)
    assert re.search(r"\b1\b|\bone\b", text), text
    assert "the line is dead" in text or "OSError" in text, text


async def later():
    """A coroutine function, for those who take none."""


TYPE_ERRORS = {
    "sync limiter in the async executor": (
        lambda: AsyncResilientExecutor(TokenBucket(1, 1.0)),
        ["TokenBucket", "AsyncTokenBucket"],
    ),
    "async limiter in the sync executor": (
        lambda: ResilientExecutor(AsyncTokenBucket(1, 1.0)),
        ["AsyncTokenBucket", "TokenBucket"],
    ),
    "async limiter in the sync composite": (
        lambda: CompositeLimiter([AsyncTokenBucket(1, 1.0)]),
        ["AsyncTokenBucket", "TokenBucket"],
    ),
    "coroutine function in the sync executor": (
        lambda: ResilientExecutor().run("k", later),
        ["later", "AsyncResilientExecutor"],
    ),
    "returned coroutine in the sync executor": (
        lambda: ResilientExecutor().run("k", lambda: later()),  # noqa: PLW0108
        ["AsyncResilientExecutor"],
    ),
    "coroutine function in the breaker's call": (
        lambda: CircuitBreaker().call(later),
        ["later", "call_async"],
    ),
    "a bare question to a concurrency limiter": (
        lambda: ConcurrencyLimiter(1).allow("k"),
        ["ConcurrencyLimiter", "allow", "try_acquire"],
    ),
    "a bare question to a composite that holds": (
        lambda: CompositeLimiter([ConcurrencyLimiter(1)]).allow("k"),
        ["ConcurrencyLimiter", "allow", "try_acquire"],
    ),
    "concurrency limiter beside one of the user's own": (
        lambda: CompositeLimiter([OwnPart(), ConcurrencyLimiter(1)]),
        ["ConcurrencyLimiter", "hold a permit within"],
    ),
    "key of another kind": (lambda: TokenBucket(1, 1.0).allow(1.5), ["key", "1.5"]),
    "key of bytes": (lambda: TokenBucket(1, 1.0).allow(b"k"), ["key", "b'k'"]),
    "check of a composite with a user's part": (
        lambda: CompositeLimiter([OwnPart()]).check("k"),
        ["check", "allow"],
    ),
}


class OwnPart:
    """A limiter of the user's own."""

    def allow(self, key="default"):
        """Lets everybody through."""
        return True

    def acquire(self, key="default", timeout=None):
        """Waits for nothing."""


@pytest.mark.parametrize("case", TYPE_ERRORS)
def test_a_wrong_kind_names_itself_and_the_way_out(case):
    """What was given, and what to use instead."""
    act, words = TYPE_ERRORS[case]

    with pytest.raises(TypeError) as refusal:
        act()

    text = str(refusal.value)
    well_said(text)
    for word in words:
        assert re.search(rf"(?<![A-Za-z]){re.escape(word)}(?![A-Za-z])", text), f"{word}: {text}"


def test_every_default_message_is_well_said():
    """Errors made bare speak the house style too."""
    from limitpal import CircuitBreakerOpen, RateLimitExceeded, RetryExhausted

    for leaf in (RateLimitExceeded, CircuitBreakerOpen, RetryExhausted, InvalidConfigError):
        well_said(str(leaf()))


def test_a_clock_moved_by_nonsense_says_so():
    """Backwards and not-a-number, with the value."""
    clock = MockClock()

    for seconds in (-1.0, math.nan):
        with pytest.raises(ValueError, match=re.escape(repr(seconds))) as refusal:
            clock.advance(seconds)
        well_said(str(refusal.value))
