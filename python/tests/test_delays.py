"""The delays of a policy: how they grow and stray, by error, and as the server asks."""

import asyncio
import decimal
import itertools
import math
import pickle

import pytest
from hypothesis import given
from hypothesis import strategies as st

from helpers import STOPS, Script, both, caught, name_of
from limitpal import (
    AsyncResilientExecutor,
    Constant,
    Exponential,
    Fibonacci,
    InvalidConfigError,
    Linear,
    MockClock,
    RetryExhausted,
    RetryPolicy,
)


class Throttled(Exception):
    """The server said 429, perhaps with a time."""

    def __init__(self, retry_after=None):
        super().__init__(retry_after)
        self.retry_after = retry_after


def plus_one(attempt):
    """Delays by a function that pickles."""
    return attempt + 1.0


def asked_for(error):
    """Read the server's delay as a user would."""
    return getattr(error, "retry_after", None)


async def waits(side, policy, *errors):
    """Return the seconds waited before each further attempt of a run with these errors."""
    clock = MockClock()
    script = Script(*errors, "done", clock=clock)
    assert await side.run(side.Executor(retry_policy=policy, clock=clock), script) == "done"
    return [after - before for before, after in itertools.pairwise(script.times)]


@both
@pytest.mark.parametrize(
    ("delays", "expected"),
    [
        (Exponential(0.5, 3.0), [0.5, 1.5, 4.5, 10.0]),
        (Exponential(factor=3), [0.1, 0.3, 0.9, 2.7]),
        (Constant(2), [2, 2, 2, 2]),
        (Linear(1.0, 3.0), [1, 4, 7, 10]),
        (Linear(1.5), [1.5, 3, 4.5, 6]),
        (Fibonacci(1.0), [1, 1, 2, 3]),
        ([1, 5.5], [1, 5.5, 5.5, 5.5]),
        (dict.fromkeys([0.25, 0.5]), [0.25, 0.5, 0.5, 0.5]),
        (plus_one, [2, 3, 4, 5]),
        (lambda n: 4.0 * n, [4, 8, 10, 10]),
    ],
)
async def test_delays_grow_as_they_are_given(side, delays, expected):
    """Values, seconds in turn of which the last repeats, functions; the cap of 10 s is last."""
    policy = RetryPolicy(5, max_delay=10.0, delays=delays)

    assert await waits(side, policy, *[OSError()] * 4) == pytest.approx(expected)
    assert [policy.next_delay(n) for n in (1, 2, 3, 4)] == pytest.approx(expected)


def test_a_generator_of_delays_is_kept():
    """It is read once, when the policy is made."""
    policy = RetryPolicy(delays=(n / 4 for n in (1, 2)))

    assert [policy.next_delay(n) for n in (2, 1, 2, 9)] == [0.5, 0.25, 0.5, 0.5]


@both
async def test_an_error_by_its_class_has_delays_of_its_own(side):
    """The first type that fits; a tuple is several; a function is given the attempt."""
    policy = RetryPolicy(
        9,
        delays=Constant(1.0),
        delays_for={
            Throttled: Linear(2.0, 1.0),
            (KeyError, IndexError): [0.5],
            LookupError: plus_one,
        },
    )

    errors = (OSError(), Throttled(), KeyError(), IndexError(), LookupError())
    assert await waits(side, policy, *errors) == [1.0, 3.0, 0.5, 0.5, 5.0]


@both
async def test_tenacity_541_the_wait_may_come_from_the_error(side):
    """`Retry-After` is waited exactly: above max_delay, without jitter, up to its own cap."""
    policy = RetryPolicy(
        9, base_delay=1.0, backoff=1.0, jitter="full", seed=7, delay_from=asked_for
    )
    errors = [Throttled(7.5), Throttled(0), Throttled(61), Throttled(10**300)]

    assert await waits(side, policy, *errors) == [7.5, 0.0, 60.0, 60.0]
    policy = RetryPolicy(delay_from=asked_for, max_server_delay=2)
    assert await waits(side, policy, Throttled(decimal.Decimal("1.5")), Throttled(3)) == [1.5, 2]


@both
@pytest.mark.parametrize(
    "nonsense", [None, -1, math.nan, math.inf, -math.inf, "soon", "5", True, [], 10**400, 1j]
)
async def test_what_the_server_says_is_passed_over_where_it_is_no_time(side, nonsense):
    """A header is somebody else's: nonsense is no reason to fail, nor to wait for ever."""
    policy = RetryPolicy(base_delay=0.5, delay_from=asked_for)

    assert await waits(side, policy, Throttled(nonsense)) == [0.5]


@both
async def test_retry_if_and_retry_on_must_both_agree(side):
    """A predicate narrows the types; what it turns down comes out as it is."""
    policy = RetryPolicy(retry_on=OSError, retry_if=lambda error: error.errno == 5)
    executor = side.Executor(retry_policy=policy, clock=MockClock())

    assert await side.run(executor, Script(OSError(5, "io"), "done")) == "done"
    for error in (OSError(2, "gone"), ValueError(5)):
        assert await caught(side.run(executor, Script(error, "never"))) is error
    assert policy.should_retry(OSError(5, "io"), 1) is True
    assert policy.should_retry(OSError(2, "gone"), 1) is False


@both
@pytest.mark.parametrize("stop", STOPS, ids=name_of)
async def test_tenacity_529_a_predicate_that_says_yes_to_all_never_sees_cancellation(side, stop):
    """Whatever the predicate, cancellation, Ctrl-C and exit end the run after one call."""
    seen = []
    policy = RetryPolicy(retry_if=lambda error: seen.append(error) or True)
    script = Script(stop, "a second attempt")

    error = await caught(side.run(side.Executor(retry_policy=policy, clock=MockClock()), script))

    assert (error, script.count, seen) == (stop, 1, [])
    assert policy.should_retry(stop, 1) is False


@both
async def test_an_async_predicate_is_refused(side):
    """A coroutine is true: such a predicate would say yes to everything."""

    async def predicate(_error):
        return False

    executor = side.Executor(retry_policy=RetryPolicy(retry_if=predicate), clock=MockClock())

    error = await caught(side.run(executor, Script(OSError(), "never")))

    assert isinstance(error, TypeError)
    assert "retry_if is async" in str(error)


@both
@pytest.mark.parametrize("where", ["retry_if", "delay_from", "delays"])
async def test_an_error_in_the_users_own_function_ends_the_run(side, where):
    """It comes out as it is, and the next run is not disturbed: nothing stays taken."""

    def broken(_about):
        raise RuntimeError(where)

    policy = RetryPolicy(**{where: broken})
    limiter = side.TokenBucket(capacity=2, refill_rate=0.001, clock=MockClock())
    executor = side.Executor(limiter, policy)

    error = await caught(side.run(executor, Script(OSError(), "never")))

    assert (type(error), str(error)) == (RuntimeError, where)
    assert await side.run(executor, Script("fine")) == "fine"


@both
async def test_backoff_43_a_run_ends_by_time_as_well(side):
    """With `max_elapsed` a wait that would end later is not begun; the reason is `elapsed`."""
    clock = MockClock()
    policy = RetryPolicy(None, base_delay=1.0, max_elapsed=6.5)
    script = Script(*[OSError()] * 9, clock=clock)

    error = await caught(side.run(side.Executor(retry_policy=policy, clock=clock), script))

    assert type(error) is RetryExhausted
    assert (error.reason, error.attempts, script.times) == ("elapsed", 3, [0.0, 1.0, 3.0])
    assert "no time left for another" in str(error)
    assert clock.now() == 3.0


@both
async def test_no_most_attempts_means_as_many_as_it_takes(side):
    """`max_attempts=None` goes on until a value comes."""
    policy = RetryPolicy(None, base_delay=0.0)

    assert policy.max_attempts is None
    assert policy.should_retry(OSError(), 2**62) is True
    assert len(await waits(side, policy, *[OSError()] * 500)) == 500


@pytest.mark.parametrize(
    ("jitter", "low", "high", "mean"),
    [
        ("full", 0.0, 4.0, 2.0),
        ("equal", 2.0, 4.0, 3.0),
        ("decorrelated", 4.0, 12.0, 8.0),
        ("smoothed_decorrelated", 0.0, 5.52, 3.48),
    ],
)
def test_tenacity_487_jitter_by_name_with_a_floor_and_a_hard_cap(jitter, low, high, mean):
    """Each reaches its bounds and keeps its mean; floor and cap cut whatever it draws."""
    policy = RetryPolicy(base_delay=4.0, max_delay=99.0, jitter=jitter, seed=7)
    delays = [policy.next_delay(1) for _ in range(4000)]

    assert low <= min(delays) < low + 0.1, "seed 7"
    assert high - 0.1 < max(delays) <= high, "seed 7"
    assert sum(delays) / 4000 == pytest.approx(mean, abs=0.1), "seed 7"
    policy = RetryPolicy(base_delay=4.0, min_delay=3.0, max_delay=4.5, jitter=jitter, seed=7)
    delays = {policy.next_delay(n % 9 + 1) for n in range(4000)}
    assert 3.0 <= min(delays) < max(delays) <= 4.5, "seed 7"


def test_tenacity_93_each_run_goes_on_from_its_own_delays():
    """Runs of one policy at the same time: none sees another's delay before."""
    policy = RetryPolicy(7, base_delay=1.0, max_delay=1e9, jitter="decorrelated", seed=7)

    async def run():
        clock = MockClock()
        script = Script(*[OSError()] * 6, "done", clock=clock)
        await AsyncResilientExecutor(retry_policy=policy, clock=clock).run("k", script)
        return script.times

    async def main():
        return await asyncio.gather(*(run() for _ in range(50)))

    for times in asyncio.run(main()):
        before = 1.0
        for delay in (later - earlier for earlier, later in itertools.pairwise(times)):
            assert 0.999 <= delay <= 3.001 * before, "seed 7"
            before = delay


NONSENSE = [
    ({"delays": "slow"}, "delays"),
    ({"delays": 2.0}, "delays"),
    ({"delays": []}, "delays"),
    ({"delays": [1, -1]}, "delays"),
    ({"delays": [1, math.nan]}, "delays"),
    ({"delays": [1, "2"]}, "delays"),
    ({"delays": itertools.repeat(1.0)}, "delays"),
    ({"delays": [1.0, 60.0]}, "max_delay"),
    ({"delays": Constant(60.0)}, "max_delay"),
    ({"delays": Constant(1.0), "base_delay": 1.0}, "base_delay"),
    ({"delays": Constant(1.0), "backoff": 2.0}, "backoff"),
    ({"delays_for": {OSError: "slow"}}, "delays_for"),
    ({"delays_for": {OSError: Constant(60.0)}}, "max_delay"),
    ({"delays_for": {int: Constant(1.0)}}, "delays_for"),
    ({"delays_for": {"OSError": Constant(1.0)}}, "delays_for"),
    ({"delays_for": Constant(1.0)}, "delays_for"),
    ({"min_delay": -1.0}, "min_delay"),
    ({"min_delay": 5.1}, "min_delay"),
    ({"min_delay": math.nan}, "min_delay"),
    ({"min_delay": None}, "min_delay"),
    ({"max_elapsed": 0}, "max_elapsed"),
    ({"max_elapsed": -1}, "max_elapsed"),
    ({"max_elapsed": math.inf}, "max_elapsed"),
    ({"max_elapsed": "5"}, "max_elapsed"),
    ({"max_server_delay": -1}, "max_server_delay"),
    ({"max_server_delay": math.inf}, "max_server_delay"),
    ({"max_server_delay": None}, "max_server_delay"),
    ({"jitter": "half"}, "jitter"),
    ({"jitter": "full "}, "jitter"),
    ({"jitter": "decorrelated", "backoff": 3.0}, "jitter"),
    ({"jitter": "smoothed_decorrelated", "delays": Constant(1.0)}, "jitter"),
    ({"jitter": "decorrelated", "delays": plus_one}, "jitter"),
    ({"jitter": "decorrelated", "delays_for": {OSError: Constant(1.0)}}, "jitter"),
]


@pytest.mark.parametrize(("options", "parameter"), NONSENSE, ids=str)
def test_nonsense_is_refused_by_name(options, parameter):
    """When the policy is made, naming the parameter."""
    with pytest.raises(InvalidConfigError) as refusal:
        RetryPolicy(**options)

    assert parameter == refusal.value.parameter
    assert parameter in str(refusal.value)


@pytest.mark.parametrize(
    ("make", "parameter"),
    [
        (lambda: Exponential(-1.0), "base"),
        (lambda: Exponential(1.0, 0.5), "factor"),
        (lambda: Exponential("1"), "base"),
        (lambda: Constant(math.inf), "seconds"),
        (lambda: Linear(1.0, -1.0), "step"),
        (lambda: Fibonacci(math.nan), "base"),
    ],
)
def test_delays_are_checked_when_they_are_made(make, parameter):
    """In the user's own line, by the name it has there."""
    with pytest.raises(InvalidConfigError) as refusal:
        make()

    assert parameter == refusal.value.parameter


@pytest.mark.parametrize("option", ["retry_if", "delay_from"])
def test_what_cannot_be_called_is_refused(option):
    """A TypeError that says so."""
    with pytest.raises(TypeError, match=f"{option} is 5; give a function"):
        RetryPolicy(**{option: 5})


@pytest.mark.parametrize("answer", [-1.0, math.nan, math.inf, "1", None])
def test_a_function_that_gives_no_delay_is_refused(answer):
    """Our own user's function is no header: what is no time is an error."""
    with pytest.raises(InvalidConfigError) as refusal:
        RetryPolicy(delays=lambda _n: answer).next_delay(1)

    assert refusal.value.parameter == "delays()"


FULL = {
    "max_attempts": None,
    "max_delay": 9.0,
    "jitter": "full",
    "retry_on": (OSError, KeyError),
    "delays": (1.0, 2.0),
    "min_delay": 0.5,
    "delays_for": {Throttled: Constant(2.0), (KeyError, IndexError): plus_one},
    "retry_if": asked_for,
    "max_elapsed": 60.0,
    "delay_from": asked_for,
    "max_server_delay": 9.0,
    "seed": 7,
}


def test_a_policy_with_everything_is_a_value():
    """It compares, hashes, prints and pickles, and its options can be read."""
    policy = RetryPolicy(**FULL)

    assert policy == RetryPolicy(**FULL)
    assert hash(policy) == hash(RetryPolicy(**FULL))
    twin = pickle.loads(pickle.dumps(policy))
    assert (twin, repr(twin)) == (policy, repr(policy))
    assert {name: getattr(policy, name) for name in FULL} == FULL
    assert repr(policy) == (
        "RetryPolicy(max_attempts=None, max_delay=9.0, jitter='full', "
        "retry_on=(OSError, KeyError), delays=(1.0, 2.0), min_delay=0.5, "
        "delays_for={Throttled: Constant(seconds=2.0), (KeyError, IndexError): plus_one}, "
        "retry_if=asked_for, max_elapsed=60.0, delay_from=asked_for, max_server_delay=9.0, seed=7)"
    )
    for name in FULL:
        fewer = {key: value for key, value in FULL.items() if key != name}
        assert policy != RetryPolicy(**fewer), name


def test_what_a_policy_says_of_its_delays():
    """`delays` is what was given, or the `Exponential` that `base_delay` and `backoff` mean."""
    assert RetryPolicy().delays == Exponential(0.1, 2.0)
    policy = RetryPolicy(delays=plus_one)
    assert (policy.delays, policy.base_delay, policy.backoff) == (plus_one, 2.0, None)
    policy = RetryPolicy(delays=Exponential(0.5, 3.0))
    assert (policy.base_delay, policy.backoff) == (0.5, 3.0)


SPANS = st.one_of(st.just(0.0), st.floats(0.0, 10.0), st.floats(0.0, 1e300))
DELAYS = st.one_of(
    st.builds(Exponential, SPANS, st.floats(1.0, 1e9)),
    st.builds(Constant, SPANS),
    st.builds(Linear, SPANS, SPANS),
    st.builds(Fibonacci, SPANS),
    st.lists(SPANS, min_size=1, max_size=9),
    SPANS.map(lambda span: lambda _n: span),
)


@given(
    DELAYS,
    st.one_of(st.floats(0.0, 1.0), st.sampled_from(["full", "equal"])),
    st.floats(0.0, 5.0),
    st.one_of(st.integers(1, 99), st.just(2**62)),
)
def test_a_delay_lies_between_floor_and_cap(delays, jitter, floor, n):
    """Whatever the delays and the jitter: at least `min_delay`, at most `max_delay`."""
    policy = RetryPolicy(delays=delays, jitter=jitter, min_delay=floor, max_delay=1e301)

    assert floor <= policy.next_delay(n) <= 1e301
