"""What is the user's may raise: the error comes out unchanged, and nothing is lost."""

import pytest

from helpers import HandClock, Script, both, caught, each_charge, half_open, later, settle, trip
from limitpal import CircuitBreaker, MockClock, RetryPolicy


class Boom(Exception):
    """The user's own trouble."""


class BrokenClock(HandClock):
    """A clock that raises in the method named, until it is mended."""

    def __init__(self, broken=None):
        super().__init__()
        self.broken = broken
        self.boom = Boom(broken)

    def now(self):
        """Returns the time, or raises."""
        if self.broken == "now":
            raise self.boom
        return super().now()

    def sleep(self, seconds):
        """Moves the time, or raises."""
        if self.broken == "sleep":
            raise self.boom
        super().sleep(seconds)


BUCKETS = {
    "token": lambda side, clock, **more: side.TokenBucket(1, 1.0, clock=clock, **more),
    "leaky": lambda side, clock, **more: side.LeakyBucket(1, 1.0, clock=clock, **more),
}
each_bucket = pytest.mark.parametrize("bucket", BUCKETS)


@both
@each_bucket
@pytest.mark.parametrize("method", ["allow", "acquire", "check", "peek"])
async def test_a_key_by_that_raises_takes_nothing(side, bucket, method):
    """`key_by`'s own error comes out, and the bucket is as it was."""
    boom = Boom("key_by")

    def key_by(key):
        if key == "bad":
            raise boom
        return "shared"

    limiter = BUCKETS[bucket](side, MockClock(), key_by=key_by)

    assert await caught(later(lambda: getattr(limiter, method)("bad"))) is boom

    assert await settle(limiter.allow("good")) is True
    assert await settle(limiter.allow("good")) is False
    assert len(limiter) == 1


@both
@pytest.mark.parametrize("mapped", [None, 1.5, b"k"], ids=repr)
async def test_a_key_by_that_returns_no_key_is_told_so(side, mapped):
    """A TypeError that names it, and nothing is taken."""
    limiter = side.TokenBucket(1, 1.0, key_by=lambda key: mapped if key == "bad" else key)

    error = await caught(later(lambda: limiter.allow("bad")))

    assert type(error) is TypeError
    assert "key" in str(error)
    assert len(limiter) == 0


@both
async def test_a_key_by_may_use_the_limiter_itself(side):
    """No lock is held while the user's callback runs."""
    limiter = None
    seen = []

    def key_by(key):
        if key == "outer":
            seen.append((len(limiter), "inner" in limiter))
        return key

    limiter = side.TokenBucket(1, 1.0, clock=MockClock(), key_by=key_by)
    await settle(limiter.allow("inner"))

    assert await settle(limiter.allow("outer")) is True
    assert seen == [(1, True)]


@both
@each_bucket
async def test_a_clock_that_cannot_tell_time_takes_nothing(side, bucket):
    """`now` raises: out unchanged; mended, the bucket is full."""
    clock = BrokenClock()
    limiter = BUCKETS[bucket](side, clock)
    clock.broken = "now"

    for method in ("allow", "acquire", "check", "peek"):
        error = await caught(later(lambda method=method: getattr(limiter, method)("k")))
        assert error is clock.boom, method

    clock.broken = None
    assert await settle(limiter.allow("k")) is True
    assert await settle(limiter.allow("k")) is False


@both
@each_bucket
async def test_a_clock_that_cannot_sleep_costs_no_place(side, bucket):
    """`sleep` raises in the middle of `acquire`: the place goes back to the line."""
    clock = BrokenClock()
    limiter = BUCKETS[bucket](side, clock)
    await settle(limiter.acquire("k"))
    clock.broken = "sleep"

    for _ in range(5):
        assert await caught(later(lambda: limiter.acquire("k"))) is clock.boom

    clock.broken = None
    clock.time += 1.0
    assert await settle(limiter.allow("k")) is True
    assert await settle(limiter.allow("k")) is False


@both
async def test_a_clock_that_cannot_sleep_costs_a_composite_no_place(side):
    """Neither part keeps a place for the one who left."""
    clock = BrokenClock()
    parts = [side.TokenBucket(1, 1.0, clock=clock), side.TokenBucket(5, 1.0, clock=clock)]
    limiter = side.CompositeLimiter(parts, clock=clock)
    await settle(limiter.acquire("k"))
    clock.broken = "sleep"

    for _ in range(5):
        assert await caught(later(lambda: limiter.acquire("k"))) is clock.boom

    assert [await settle(part.get_tokens("k")) for part in parts] == [0.0, 4.0]
    clock.broken = None
    clock.time += 1.0
    assert await settle(limiter.allow("k")) is True


@both
async def test_a_clock_that_breaks_after_the_wait_costs_no_place(side):
    """`now` raises when the sleeper looks at the time again: no ghost is left in the line."""
    clock = BrokenClock()
    limiter = side.TokenBucket(1, 1.0, clock=clock)
    await settle(limiter.acquire("k"))

    def break_clock():
        clock.broken = "now"

    clock.on_sleep = break_clock
    outcome = await caught_or_none(later(lambda: limiter.acquire("k")))
    clock.broken, clock.on_sleep = None, lambda: None

    assert outcome in (None, clock.boom)
    assert clock.now() == 1.0
    clock.time += 1.0
    held = await settle(limiter.get_tokens("k"))
    assert held >= 1.0, "at most one permit went, to the run that may have got it"


async def caught_or_none(awaitable):
    """Returns the error raised, or None when there was none."""
    try:
        await awaitable
    except Boom as error:
        return error
    return None


@both
@each_charge
async def test_a_backoff_that_cannot_sleep_frees_the_probe(side, charge):
    """The clock's error ends the run, unchanged, as neither success nor failure."""
    clock = BrokenClock()
    breaker = half_open(clock, ignore=ValueError)
    executor = side.Executor(None, RetryPolicy(base_delay=1.0), breaker, clock, charge=charge)
    script = Script(ValueError(), "a second attempt")
    clock.broken = "sleep"

    assert await caught(side.run(executor, script)) is clock.boom

    clock.broken = None
    assert script.count == 1
    assert breaker.state == "half_open"
    assert breaker.allow() is True


@both
@each_charge
async def test_a_quota_wait_that_cannot_sleep_frees_the_probe(side, charge):
    """The clock's error comes out of the run; permit and place go back."""
    clock = BrokenClock()
    breaker = half_open(clock)
    limiter = side.TokenBucket(1, 1.0, clock=clock)
    executor = side.Executor(limiter, RetryPolicy(), breaker, clock, charge=charge)
    await settle(limiter.allow("k"))
    clock.broken = "sleep"
    script = Script("called")

    assert await caught(side.run(executor, script)) is clock.boom

    clock.broken = None
    assert script.count == 0
    assert breaker.allow() is True
    clock.time += 1.0
    assert await settle(limiter.allow("k")) is True


@both
@each_charge
async def test_a_breakers_clock_that_raises_comes_out(side, charge):
    """Asked while open, it needs the time: the error is unchanged, no quota is taken."""
    clock = BrokenClock()
    breaker = CircuitBreaker(failure_threshold=1, recovery_timeout=10.0, clock=clock)
    limits = HandClock()
    limiter = side.TokenBucket(1, 1.0, clock=limits)
    executor = side.Executor(limiter, None, breaker, limits, charge=charge)
    trip(breaker)
    clock.broken = "now"

    assert await caught(side.run(executor, Script("called"))) is clock.boom
    for ask in (breaker.allow, lambda: breaker.state, lambda: breaker.call(print)):
        assert await caught(later(ask)) is clock.boom

    clock.broken = None
    assert await settle(limiter.get_tokens("k")) == 1.0
    clock.time += 10.0
    assert breaker.allow() is True


@both
async def test_a_breakers_clock_that_breaks_inside_a_call_frees_the_probe(side):
    """The result cannot be dated: the clock's error comes out, and the circuit recovers."""
    clock = BrokenClock()
    breaker = half_open(clock)

    def fail():
        clock.broken = "now"
        raise ValueError("the function's own")

    error = await caught(side.call(breaker, fail))
    clock.broken = None

    assert isinstance(error, Boom | ValueError)
    clock.time += 10.0
    assert breaker.allow() is True


@both
@each_charge
async def test_a_limiter_that_raises_frees_the_probe(side, charge):
    """Its error comes out unchanged; the next run is the probe."""
    clock = MockClock()
    breaker = half_open(clock)
    boom = Boom("limiter")
    limiter = side.own_limiter(Script(boom, None))
    executor = side.Executor(limiter, RetryPolicy(), breaker, clock, charge=charge)

    assert await caught(side.run(executor, Script("called"))) is boom
    assert await side.run(executor, Script("done")) == "done"

    assert breaker.state == "closed"


@both
async def test_a_users_part_that_raises_gives_ours_back(side):
    """In a composite: the user's part fails after ours were taken, and ours are whole again."""
    clock = MockClock()
    ours = side.TokenBucket(3, 1.0, clock=clock)
    boom = Boom("part")
    limiter = side.CompositeLimiter([ours, side.own_limiter(Script(boom))], clock=clock)

    assert await caught(later(lambda: limiter.acquire("k"))) is boom

    assert await settle(ours.get_tokens("k")) == 3.0


@both
async def test_an_exception_type_that_misbehaves_is_the_users_error(side):
    """A metaclass whose `isinstance` check raises: that error comes out, the probe is free."""
    boom = Boom("isinstance")

    class Nosy(type):
        def __instancecheck__(cls, instance):
            raise boom

    class Odd(Exception, metaclass=Nosy):
        pass

    clock = MockClock()
    breaker = half_open(clock)
    executor = side.Executor(None, RetryPolicy(retry_on=Odd), breaker, clock)

    error = await caught(side.run(executor, Script(ValueError())))

    assert isinstance(error, Boom | ValueError)
    clock.advance(10.0)
    assert breaker.allow() is True


@both
async def test_bad_input_leaves_the_limiter_usable(side):
    """Keys and costs that are refused take nothing and hold nothing."""
    clock = MockClock()
    limiter = side.TokenBucket(1, 1.0, clock=clock)

    for arguments in ({"key": None}, {"key": "\ud800"}, {"cost": 0}, {"cost": 1.5}):
        for method in ("allow", "acquire", "check", "peek"):
            error = await caught(later(lambda a=arguments, m=method: getattr(limiter, m)(**a)))
            assert isinstance(error, TypeError | ValueError), (arguments, method)

    assert len(limiter) == 0
    assert await settle(limiter.allow()) is True
