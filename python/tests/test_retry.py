"""RetryPolicy: which error deserves another attempt, and when."""

import copy
import math
import pickle

import pytest

from helpers import STOPS, Script, both, caught, name_of
from limitpal import InvalidConfigError, MockClock, RetryExhausted, RetryPolicy


def test_defaults_are_those_of_the_contract():
    """A bare policy is three attempts, 0.1 s doubling up to 5 s, any Exception."""
    policy = RetryPolicy()

    assert (
        policy.max_attempts,
        policy.base_delay,
        policy.max_delay,
        policy.backoff,
        policy.jitter,
    ) == (3, 0.1, 5.0, 2.0, 0.0)
    assert (Exception,) == tuple(policy.retry_on)


def test_arguments_may_be_given_by_position():
    """The order is attempts, base, maximum, backoff, jitter, retry_on."""
    by_position = RetryPolicy(4, 0.5, 10.0, 3.0, 0.1, (ValueError,))

    by_name = RetryPolicy(
        max_attempts=4, base_delay=0.5, max_delay=10.0, backoff=3.0, jitter=0.1, retry_on=ValueError
    )
    assert by_name == by_position


def test_seed_is_by_name_only():
    """`seed` comes after the star."""
    with pytest.raises(TypeError):
        RetryPolicy(3, 0.1, 5.0, 2.0, 0.0, (Exception,), 7)


@pytest.mark.parametrize("n", [*range(1, 60), 1023, 1024, 1100, 2**31, 2**62])
@pytest.mark.parametrize(("base", "backoff", "cap"), [(0.5, 2.0, 10.0), (0.1, 1.5, 3.0)])
def test_delay_is_the_formula(n, base, backoff, cap):
    """After attempt n: min(max_delay, base_delay * backoff**(n-1)), for any n without overflow."""
    policy = RetryPolicy(base_delay=base, max_delay=cap, backoff=backoff)

    expected = min(cap, base * backoff ** (n - 1)) if n < 1000 else cap
    assert expected == pytest.approx(policy.next_delay(n), rel=1e-12)


def test_delays_of_the_article():
    """0.5 s, then 1.0 s: the walk the article prints."""
    policy = RetryPolicy(max_attempts=3, base_delay=0.5, max_delay=10.0, backoff=2.0)

    assert [policy.next_delay(n) for n in range(1, 8)] == [0.5, 1.0, 2.0, 4.0, 8.0, 10.0, 10.0]


@pytest.mark.parametrize("n", [1, 2, 1100, 2**62])
def test_a_base_of_zero_never_waits(n):
    """0 times anything is 0, infinity included."""
    policy = RetryPolicy(base_delay=0.0, max_delay=5.0, backoff=1e300)

    assert policy.next_delay(n) == 0.0


def test_a_backoff_of_one_is_constant():
    """backoff=1 gives the same delay every time."""
    policy = RetryPolicy(base_delay=0.25, backoff=1.0)

    assert {0.25} == {policy.next_delay(n) for n in (1, 2, 50, 10_000)}


def test_jitter_is_a_share_to_both_sides():
    """Jitter multiplies by U(1-jitter, 1+jitter): below and above, evenly, never outside."""
    policy = RetryPolicy(base_delay=1.0, max_delay=100.0, jitter=0.1, seed=1)

    delays = [policy.next_delay(1) for _ in range(4000)]

    assert 0.9 <= min(delays) < 0.905, "seed 1"
    assert 1.095 < max(delays) <= 1.1, "seed 1"
    assert sum(delays) / len(delays) == pytest.approx(1.0, abs=0.005), "seed 1"
    assert sum(delay < 1.0 for delay in delays) == pytest.approx(2000, abs=150), "seed 1"


def test_jitter_grows_with_the_delay():
    """The share is of the delay of that attempt, not of the first."""
    policy = RetryPolicy(base_delay=1.0, max_delay=100.0, jitter=0.5, seed=2)

    delays = [policy.next_delay(4) for _ in range(2000)]

    assert 4.0 <= min(delays) < 4.2, "seed 2"
    assert 11.8 < max(delays) <= 12.0, "seed 2"


def test_jitter_of_one_reaches_from_nothing_to_double():
    """The widest jitter never makes a delay negative."""
    policy = RetryPolicy(base_delay=1.0, max_delay=100.0, jitter=1.0, seed=3)

    delays = [policy.next_delay(1) for _ in range(4000)]

    assert 0.0 <= min(delays) < 0.02, "seed 3"
    assert 1.98 < max(delays) <= 2.0, "seed 3"


def test_a_jittered_delay_is_capped_again():
    """Jitter comes after the cap, then the cap once more: upwards it never exceeds max_delay."""
    policy = RetryPolicy(base_delay=5.0, max_delay=5.0, jitter=0.5, seed=4)

    delays = [policy.next_delay(n) for n in range(1, 2000)]

    assert max(delays) == 5.0, "seed 4"
    assert min(delays) < 2.7, "seed 4: jitter is applied to the capped delay"


def test_the_same_seed_gives_the_same_delays():
    """A seed makes a run repeatable; another seed makes another run."""
    first, again, other = (RetryPolicy(jitter=0.5, seed=seed) for seed in (7, 7, 8))

    walk = [first.next_delay(n) for n in range(1, 20)]

    assert walk == [again.next_delay(n) for n in range(1, 20)]
    assert walk != [other.next_delay(n) for n in range(1, 20)]


def test_policies_without_a_seed_differ():
    """A thousand clients must not come back at once."""
    delays = {RetryPolicy(jitter=0.5).next_delay(1) for _ in range(50)}

    assert len(delays) > 25


@pytest.mark.parametrize(
    ("retry_on", "yes", "no"),
    [
        (ValueError, ValueError(), KeyError()),
        ((ValueError, KeyError), KeyError(), OSError()),
        ([ValueError, KeyError], ValueError(), OSError()),
        ({OSError}, ConnectionError(), ValueError()),
        ((kind for kind in (ValueError, KeyError)), KeyError(), OSError()),
        ((Exception,), RuntimeError(), KeyboardInterrupt()),
    ],
    ids=["one type", "tuple", "list", "set", "generator", "default"],
)
def test_retry_on_takes_a_type_or_any_iterable(retry_on, yes, no):
    """`retry_on` is kept, so that even a generator works twice; subclasses are meant too."""
    policy = RetryPolicy(max_attempts=3, retry_on=retry_on)

    assert [policy.should_retry(yes, n) for n in (1, 2)] == [True, True]
    assert [policy.should_retry(no, n) for n in (1, 2)] == [False, False]


def test_an_empty_retry_on_retries_nothing():
    """No types, no retries."""
    policy = RetryPolicy(retry_on=())

    assert policy.should_retry(ValueError(), 1) is False


def test_a_list_changed_later_changes_nothing():
    """The policy keeps its own copy of `retry_on`."""
    kinds = [ValueError]
    policy = RetryPolicy(retry_on=kinds)

    kinds.append(KeyError)

    assert policy.should_retry(KeyError(), 1) is False


@pytest.mark.parametrize(("attempts", "answers"), [(1, [False] * 3), (3, [True, True, False])])
def test_should_retry_ends_with_the_attempts(attempts, answers):
    """After attempt `max_attempts` there is no other."""
    policy = RetryPolicy(max_attempts=attempts)

    assert answers == [policy.should_retry(ValueError(), n) for n in (1, 2, 3)]


NONSENSE = [
    ("max_attempts", [0, -1, 1.5, math.nan, math.inf, "3", True]),
    ("base_delay", [-0.1, math.nan, math.inf, -math.inf, "1", None, 1j]),
    ("max_delay", [-1.0, math.nan, math.inf, "5", None]),
    ("backoff", [0.0, 0.999, -2.0, math.nan, math.inf, "2", None]),
    ("jitter", [-0.01, 1.01, math.nan, math.inf, "0", None]),
    ("retry_on", [None, 5, "ValueError", ValueError("an instance"), (int,), [ValueError, "x"]]),
    ("seed", ["7", 1.5]),
]


@pytest.mark.parametrize(
    ("parameter", "value"), [(name, value) for name, values in NONSENSE for value in values]
)
def test_nonsense_is_refused_by_name(parameter, value):
    """What makes no sense is refused when the policy is made, naming the parameter."""
    with pytest.raises(InvalidConfigError) as refusal:
        RetryPolicy(**{parameter: value})

    assert parameter == refusal.value.parameter
    assert refusal.value.value is value
    assert parameter in str(refusal.value)


def test_max_delay_is_not_below_base_delay():
    """A cap below the first delay contradicts it; equal is fine."""
    with pytest.raises(InvalidConfigError) as refusal:
        RetryPolicy(base_delay=2.0, max_delay=1.0)

    assert refusal.value.parameter == "max_delay"
    assert RetryPolicy(base_delay=2.0, max_delay=2.0).next_delay(9) == 2.0


def test_the_edges_of_the_ranges_are_inside():
    """One attempt, no delay at all, no backoff, full jitter."""
    policy = RetryPolicy(max_attempts=1, base_delay=0, max_delay=0, backoff=1, jitter=1)

    assert policy.next_delay(1) == 0.0


def test_policies_compare_by_value():
    """Equal settings are equal policies; any other setting makes another."""
    settings = {
        "max_attempts": 4,
        "base_delay": 0.2,
        "max_delay": 4.0,
        "backoff": 3.0,
        "jitter": 0.2,
        "retry_on": (ValueError,),
    }
    policy = RetryPolicy(**settings)
    others = {
        "max_attempts": 5,
        "base_delay": 0.3,
        "max_delay": 4.5,
        "backoff": 2.0,
        "jitter": 0.1,
        "retry_on": (KeyError,),
    }

    assert policy == RetryPolicy(**settings)
    assert (policy != RetryPolicy(**settings)) is False
    for name, value in others.items():
        assert policy != RetryPolicy(**{**settings, name: value}), name
    assert policy != "a policy"


def test_a_policy_prints_its_settings():
    """`repr` shows what was built."""
    text = repr(RetryPolicy(max_attempts=4, base_delay=0.25, jitter=0.5, retry_on=(ValueError,)))

    assert text.startswith("RetryPolicy(")
    for part in ("max_attempts=4", "base_delay=0.25", "max_delay=5", "jitter=0.5", "ValueError"):
        assert part in text


@pytest.mark.parametrize("protocol", range(2, pickle.HIGHEST_PROTOCOL + 1))
def test_a_policy_pickles(protocol):
    """A policy is a value: pickled, copied and deep-copied it is equal and works."""
    policy = RetryPolicy(max_attempts=4, base_delay=0.5, jitter=0.5, retry_on=[KeyError], seed=7)

    for twin in (
        pickle.loads(pickle.dumps(policy, protocol)),
        copy.copy(policy),
        copy.deepcopy(policy),
    ):
        assert policy == twin
        assert twin.should_retry(KeyError(), 1) is True
        assert repr(policy) == repr(twin)


def test_a_pickled_seed_still_seeds():
    """A seeded policy that was pickled before use walks as its original does."""
    policy = RetryPolicy(jitter=0.5, seed=7)
    twin = pickle.loads(pickle.dumps(policy))

    assert [policy.next_delay(n) for n in (1, 2, 3)] == [twin.next_delay(n) for n in (1, 2, 3)]


@both
async def test_the_walk_of_a_run(side):
    """Attempt, base_delay, attempt, twice that, attempt: it waits what the policy says."""
    clock = MockClock()
    policy = RetryPolicy(max_attempts=4, base_delay=0.5, max_delay=1.5, backoff=2.0)
    script = Script(ValueError(), ValueError(), ValueError(), "done", clock=clock)

    result = await side.run(side.Executor(retry_policy=policy, clock=clock), script)

    assert result == "done"
    assert script.times == [0.0, 0.5, 1.5, 3.0]


@both
async def test_when_attempts_run_out(side):
    """`RetryExhausted` is raised from the last error and carries it."""
    clock = MockClock()
    first, last = ValueError("first"), ValueError("last")
    executor = side.Executor(retry_policy=RetryPolicy(max_attempts=2), clock=clock)

    error = await caught(side.run(executor, Script(first, last)))

    assert type(error) is RetryExhausted
    assert error.__cause__ is last
    assert error.last_error is last
    assert error.attempts == 2
    assert error.reason == "attempts"


@both
@pytest.mark.parametrize("n", [1, 2, 3])
async def test_an_error_outside_retry_on_comes_out_as_it_is(side, n):
    """On whichever attempt: the very object, not wrapped."""
    clock = MockClock()
    fatal = KeyError("fatal")
    policy = RetryPolicy(max_attempts=3, retry_on=(ValueError,))
    script = Script(*[ValueError()] * (n - 1), fatal)

    error = await caught(side.run(side.Executor(retry_policy=policy, clock=clock), script))

    assert error is fatal
    assert n == script.count
    assert error.__cause__ is None


@both
@pytest.mark.parametrize("stop", STOPS, ids=name_of)
async def test_cancellation_is_never_retried(side, stop):
    """Cancellation, KeyboardInterrupt and SystemExit end the run after one call."""
    script = Script(stop, "a second attempt")
    executor = side.Executor(retry_policy=RetryPolicy(), clock=MockClock())

    assert await caught(side.run(executor, script)) is stop

    assert script.count == 1


@pytest.mark.parametrize("stop", STOPS, ids=name_of)
def test_should_retry_says_no_to_cancellation(stop):
    """The policy's answer is what the executor does."""
    assert RetryPolicy().should_retry(stop, 1) is False


@pytest.mark.parametrize("stop", STOPS, ids=name_of)
@pytest.mark.parametrize("asked_for", ["by its own type", "by BaseException"])
def test_cancellation_cannot_be_asked_for(stop, asked_for):
    """Named in `retry_on` it is refused by name, or it changes nothing."""
    kind = type(stop) if asked_for == "by its own type" else BaseException

    try:
        policy = RetryPolicy(retry_on=kind)
    except InvalidConfigError as refusal:
        assert refusal.parameter == "retry_on"
    else:
        assert policy.should_retry(stop, 1) is False
