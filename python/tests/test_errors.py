"""The errors: their tree, what they carry, and that they pickle."""

import copy
import pickle

import pytest

import limitpal
from helpers import Script, both, caught, later, settle, trip
from limitpal import (
    Bulkhead,
    BulkheadFull,
    CircuitBreaker,
    CircuitBreakerOpen,
    InvalidConfigError,
    LimitPalError,
    MockClock,
    RateLimitExceeded,
    RetryExhausted,
    RetryPolicy,
    TimeoutExceeded,
    UnknownName,
)

LEAVES = [
    RateLimitExceeded,
    BulkheadFull,
    CircuitBreakerOpen,
    RetryExhausted,
    TimeoutExceeded,
    UnknownName,
    InvalidConfigError,
]


@pytest.mark.parametrize("leaf", LEAVES)
def test_every_error_is_a_limitpal_error(leaf):
    """One base, one `except`."""
    assert issubclass(leaf, LimitPalError)
    assert issubclass(LimitPalError, Exception)


def test_the_leaves_are_strangers():
    """No error is a kind of another, so that each can be caught alone."""
    for leaf in LEAVES:
        assert [other for other in LEAVES if issubclass(leaf, other)] == [leaf]


def test_only_a_bad_argument_is_a_value_error():
    """`InvalidConfigError` is one too; refusals are not."""
    assert [leaf for leaf in LEAVES if issubclass(leaf, ValueError)] == [InvalidConfigError]


def test_only_an_unknown_name_is_a_key_error():
    """A registry is a mapping."""
    assert [leaf for leaf in LEAVES if issubclass(leaf, KeyError)] == [UnknownName]


def test_there_are_no_other_errors():
    """Every exception type at the top level is in the tree."""
    kinds = {
        value
        for name in limitpal.__all__
        if isinstance(value := getattr(limitpal, name), type) and issubclass(value, BaseException)
    }

    assert kinds == {LimitPalError, *LEAVES}


FIELDS = {
    RateLimitExceeded: {"key": "user:7", "retry_after": 0.42},
    BulkheadFull: {"key": "user:7", "retry_after": None},
    CircuitBreakerOpen: {"retry_after": 3.5},
    RetryExhausted: {"attempts": 3, "last_error": OSError("boom"), "reason": "attempts"},
    TimeoutExceeded: {"timeout": 1.5, "scope": "run", "attempts": 2},
    UnknownName: {"name": "user", "nearest": "users"},
    InvalidConfigError: {"parameter": "capacity", "value": 0, "reason": "give at least 1"},
}


@pytest.mark.parametrize("leaf", LEAVES)
def test_fields_are_optional(leaf):
    """Each can be made bare: fields are None, and there is a message nevertheless."""
    error = leaf()

    assert {name: getattr(error, name) for name in FIELDS[leaf]} == dict.fromkeys(FIELDS[leaf])
    assert str(error)


@pytest.mark.parametrize("leaf", LEAVES)
def test_fields_by_name(leaf):
    """What is given comes back as it is."""
    error = leaf(message="mine", **FIELDS[leaf])

    for name, value in FIELDS[leaf].items():
        assert getattr(error, name) is value, name
    assert "mine" in str(error)


@pytest.mark.parametrize("leaf", LEAVES)
def test_fields_by_position(leaf):
    """In the order of the contract, the message first."""
    error = leaf("mine", *FIELDS[leaf].values())

    for name, value in FIELDS[leaf].items():
        assert getattr(error, name) is value, name
    assert "mine" in str(error)


def test_the_base_takes_a_message():
    """`LimitPalError` is an ordinary exception."""
    assert str(LimitPalError("mine")) == "mine"


def samples():
    """Returns each error bare and filled."""
    return [
        LimitPalError("base"),
        *(leaf() for leaf in LEAVES),
        *(leaf("mine", **FIELDS[leaf]) for leaf in LEAVES),
    ]


def same(one, other):
    """Asserts that two errors are alike in all that a user can see."""
    assert type(one) is type(other)
    assert str(one) == str(other)
    for name in FIELDS.get(type(one), ()):
        left, right = getattr(one, name), getattr(other, name)
        if isinstance(left, BaseException):
            assert (type(left), left.args) == (type(right), right.args)
        else:
            assert left == right, name


@pytest.mark.parametrize("error", samples(), ids=repr)
@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_errors_pickle(error, protocol):
    """With their fields and their text, under every protocol."""
    same(error, pickle.loads(pickle.dumps(error, protocol)))


@pytest.mark.parametrize("error", samples(), ids=repr)
def test_errors_copy(error):
    """Shallow and deep."""
    same(error, copy.copy(error))
    same(error, copy.deepcopy(error))


def test_what_a_user_hangs_on_an_error_pickles_too():
    """An attribute of the user's own survives, as on any exception."""
    error = RateLimitExceeded("mine", key="k")
    error.request_id = 7

    assert pickle.loads(pickle.dumps(error)).request_id == 7


class Teapot(RateLimitExceeded):
    """A user's own kind of refusal."""


def test_a_users_subclass_pickles():
    """It keeps its type and its fields."""
    twin = pickle.loads(pickle.dumps(Teapot("short and stout", key="tea", retry_after=1.0)))

    assert type(twin) is Teapot
    assert (twin.key, twin.retry_after) == ("tea", 1.0)


def test_an_error_that_carries_what_cannot_be_pickled_says_so():
    """All pickle if what they carry does; otherwise pickle complains, and nothing is dropped."""
    error = RetryExhausted("mine", last_error=ValueError(lambda: None))

    with pytest.raises((pickle.PicklingError, AttributeError, TypeError)):
        pickle.dumps(error)


async def raised(side):
    """Returns one error of each kind, as the package itself raises it."""
    clock = MockClock()
    limiter = side.TokenBucket(1, 0.5, clock=clock)
    await settle(limiter.allow("user:7"))
    opened = CircuitBreaker(failure_threshold=1, recovery_timeout=3.0, clock=clock)
    trip(opened)
    retry = side.Executor(retry_policy=RetryPolicy(max_attempts=2), clock=clock)
    bulkhead = Bulkhead(1)
    inside = bulkhead.acquire()
    guarded = side.Executor(bulkhead=bulkhead)
    errors = [
        await caught(later(lambda: limiter.acquire("user:7", timeout=0))),
        await caught(side.run(guarded, Script("called"))),
        await caught(side.call(opened, Script("called"))),
        await caught(side.run(retry, Script(OSError("boom")))),
        await caught(later(lambda: side.TokenBucket(0, 1.0))),
    ]
    inside.release()
    return errors


@both
async def test_raised_errors_carry_their_fields(side):
    """Key, time to come back, attempts, last error, reason, parameter, value."""
    limit, full, opened, exhausted, wrong = await raised(side)

    assert [type(error) for error in (limit, full, opened, exhausted, wrong)] == [
        leaf for leaf in LEAVES if leaf not in (TimeoutExceeded, UnknownName)
    ]
    assert (limit.key, limit.retry_after) == ("user:7", 2.0)
    assert (full.key, full.retry_after) == ("k", None)
    assert opened.retry_after == 3.0
    assert (exhausted.attempts, exhausted.reason) == (2, "attempts")
    assert isinstance(exhausted.last_error, OSError)
    assert exhausted.__cause__ is exhausted.last_error
    assert (wrong.parameter, wrong.value) == ("capacity", 0)
    assert wrong.reason


@both
async def test_raised_errors_have_python_types(side):
    """Times are floats, counts are ints, reasons and keys are str."""
    limit, _, opened, exhausted, wrong = await raised(side)

    assert type(limit.retry_after) is float
    assert type(limit.key) is str
    assert type(opened.retry_after) is float
    assert type(exhausted.attempts) is int
    assert type(exhausted.reason) is str
    assert (type(wrong.parameter), type(wrong.reason)) == (str, str)


@both
async def test_raised_errors_pickle(side):
    """As a process pool would send them."""
    for error in await raised(side):
        same(error, pickle.loads(pickle.dumps(error)))


@both
async def test_a_refusal_without_end_counts_to_infinity(side):
    """A cost above the capacity is never served: `retry_after` is inf, and pickles."""
    limiter = side.TokenBucket(1, 1.0, clock=MockClock())

    error = await caught(later(lambda: limiter.acquire("k", cost=2)))

    assert type(error) is RateLimitExceeded
    assert error.retry_after == float("inf")
    same(error, pickle.loads(pickle.dumps(error)))


@both
async def test_the_value_is_the_object_given(side):
    """`InvalidConfigError.value` is what the caller wrote, not a copy and not its text."""
    value = ["not", "a", "number"]

    error = await caught(later(lambda: side.TokenBucket(value, 1.0)))

    assert error.value is value


@both
async def test_refusals_have_no_false_context(side):
    """A refusal is not a failure inside us: no cause, no context."""
    limit, full, opened, _, wrong = await raised(side)

    for error in (limit, full, opened, wrong):
        assert error.__cause__ is None
        assert error.__context__ is None or error.__suppress_context__
