"""A composite with parts of the user's own: any object with `allow` and `acquire`."""

from __future__ import annotations

import asyncio
import inspect

import pytest

from driving import ASYNC, SYNC, Flavour, call
from limitpal import (
    AsyncLimiter,
    AsyncResilientExecutor,
    InvalidConfigError,
    RateLimitExceeded,
    ResilientExecutor,
    SyncLimiter,
)


class Own:
    """A limiter as 0.1.1 had it: no cost, no check; it notes what it was asked."""

    def __init__(self, log: list, name: str, answers: bool = True) -> None:
        self.log, self.name, self.answers = log, name, answers
        self.hook = lambda: None

    def allow(self, key="default"):
        self.log.append((self.name, "allow", key))
        return self.answers

    def acquire(self, key="default", timeout=None):
        self.log.append((self.name, "acquire", key, timeout))
        self.hook()
        if not self.answers:
            raise RateLimitExceeded("my own refusal", key=key, retry_after=7.0)


class OwnWithCost(Own):
    """One that knows about cost."""

    def allow(self, key="default", cost=1):
        self.log.append((self.name, "cost", cost))
        return super().allow(key)

    def acquire(self, key="default", timeout=None, cost=1):
        self.log.append((self.name, "cost", cost))
        return super().acquire(key, timeout)


def own(flavour: Flavour, *args, kind: type = Own, **kwargs):
    """Make a part of the user's own in the flavour's colour."""
    inner = kind(*args, **kwargs)
    if flavour is SYNC:
        return inner

    class Colour:
        async def allow(self, *args, **kwargs):
            return inner.allow(*args, **kwargs)

        async def acquire(self, *args, **kwargs):
            await asyncio.sleep(0)
            return inner.acquire(*args, **kwargs)

    part = Colour()
    part.inner = inner
    return part


async def test_ours_are_asked_first_and_the_users_last_in_order(flavour: Flavour, clock):
    """If ours refuse, the user's are not even asked; else they are, in the order given."""
    log = []
    ours = flavour.TokenBucket(1, 1, clock=clock)
    limiter = flavour.CompositeLimiter([own(flavour, log, "x"), ours, own(flavour, log, "y")])

    assert await call(limiter.allow, "k") is True
    assert [entry[:2] for entry in log] == [("x", "allow"), ("y", "allow")]
    assert [entry[2] for entry in log] == ["k", "k"]
    log.clear()

    assert await call(limiter.allow, "k") is False
    assert log == []


async def test_if_a_users_part_refuses_ours_go_back(flavour: Flavour, clock):
    """What ours took is returned; those of the user's asked before keep what they took."""
    log = []
    ours = flavour.TokenBucket(5, 1, clock=clock)
    parts = [own(flavour, log, "x"), own(flavour, log, "y", answers=False), own(flavour, log, "z")]
    limiter = flavour.CompositeLimiter([ours, *parts])

    assert await call(limiter.allow, "k") is False
    assert [entry[0] for entry in log] == ["x", "y"]
    assert await call(ours.get_tokens, "k") == 5.0

    with pytest.raises(RateLimitExceeded) as refusal:
        await call(limiter.acquire, "k", timeout=3.0)
    assert refusal.value.retry_after == 7.0
    assert [entry[0] for entry in log] == ["x", "y", "x", "y"]
    assert await call(ours.get_tokens, "k") == 5.0


async def test_acquire_waits_for_ours_and_hands_the_rest_of_the_timeout_on(flavour: Flavour, clock):
    """The user's part is asked when ours have been granted, with the time that is left."""
    log = []
    ours = flavour.TokenBucket(1, 1, clock=clock)
    limiter = flavour.CompositeLimiter([ours, own(flavour, log, "x")])

    await call(limiter.acquire, "k")
    await call(limiter.acquire, "k", timeout=5.0)

    assert clock.now() == 1.0
    assert log[0] == ("x", "acquire", "k", None)
    assert log[1][:3] == ("x", "acquire", "k")
    assert log[1][3] == pytest.approx(4.0)


async def test_cost_is_passed_on_only_when_it_is_not_one(flavour: Flavour, clock):
    """A part that knows no cost works with cost 1; another gets it."""
    log = []
    ours = flavour.TokenBucket(10, 1, clock=clock)
    limiter = flavour.CompositeLimiter([ours, own(flavour, log, "x", kind=OwnWithCost)])
    plain = flavour.CompositeLimiter([ours, own(flavour, [], "y")])

    await call(limiter.allow, "k")
    await call(limiter.acquire, "k", cost=1)
    await call(limiter.allow, "k", cost=3)
    await call(limiter.acquire, "k", cost=2)
    costs = [entry[2] for entry in log if entry[1] == "cost"]

    assert costs == [1, 1, 3, 2]
    assert await call(plain.allow, "k", cost=1)
    with pytest.raises(TypeError, match="cost"):
        await call(plain.allow, "k", cost=2)


@pytest.mark.parametrize("method", ["check", "peek"])
async def test_with_a_users_part_there_is_no_check_and_no_peek(flavour: Flavour, clock, method):
    """It could not tell the numbers: a TypeError, and nothing is taken."""
    log = []
    ours = flavour.TokenBucket(5, 1, clock=clock)
    limiter = flavour.CompositeLimiter([ours, own(flavour, log, "x")])

    with pytest.raises(TypeError):
        await call(getattr(limiter, method), "k")

    assert log == []
    assert await call(ours.get_tokens, "k") == 5.0


async def test_a_users_error_comes_out_unchanged_and_ours_go_back(flavour: Flavour, clock):
    """An error in the user's part is the user's: raised as it is, our permits returned."""
    error = OSError("no route to my counter")

    class Broken(Own):
        def allow(self, key="default"):
            raise error

        def acquire(self, key="default", timeout=None):
            raise error

    ours = flavour.TokenBucket(5, 1, clock=clock)
    limiter = flavour.CompositeLimiter([ours, own(flavour, [], "x", kind=Broken)])

    for method in (limiter.allow, limiter.acquire):
        with pytest.raises(OSError, match="no route") as caught:
            await call(method, "k")
        assert caught.value is error
    assert await call(ours.get_tokens, "k") == 5.0


@pytest.mark.parametrize(("late", "least"), [(0.25, 0.25), (1.5, 1.5), (2.0, 2.0), (50.0, 2.0)])
async def test_what_goes_back_late_is_never_more_than_would_be_there(
    flavour: Flavour, clock, late, least
):
    """A user's part that refuses late: ours have what would be there had nobody taken, or less."""
    ours = flavour.TokenBucket(2, 1, clock=clock)
    slow = own(flavour, [], "x", answers=False)
    getattr(slow, "inner", slow).hook = lambda: clock.advance(late)
    limiter = flavour.CompositeLimiter([ours, slow])
    assert await call(ours.allow, "k", cost=2)
    clock.advance(1.0)

    with pytest.raises(RateLimitExceeded):
        await call(limiter.acquire, "k", cost=1)

    assert clock.now() == 1.0 + late
    assert least <= await call(ours.get_tokens, "k") <= min(2.0, 1.0 + late)
    assert sum([await call(ours.allow, "k") for _ in range(4)]) <= 2


async def test_an_answer_that_is_only_truthy_will_do(flavour: Flavour, clock):
    """A user's `allow` may return 1 or None, as Python code does; ours returns a bool."""
    ours = flavour.TokenBucket(5, 1, clock=clock)
    yes = flavour.CompositeLimiter([ours, own(flavour, [], "x", answers=1)])
    no = flavour.CompositeLimiter([ours, own(flavour, [], "x", answers=None)])

    assert await call(yes.allow, "k") is True
    assert await call(no.allow, "k") is False
    assert await call(ours.get_tokens, "k") == 4.0


async def test_a_composite_of_nothing_but_the_users_parts_works(flavour: Flavour):
    """None of ours is needed."""
    log = []
    limiter = flavour.CompositeLimiter(
        [own(flavour, log, "x"), own(flavour, log, "y", answers=False)]
    )

    assert not await call(limiter.allow, "k")
    with pytest.raises(RateLimitExceeded):
        await call(limiter.acquire, "k")


def test_a_users_subclass_of_the_other_base_is_refused():
    """A SyncLimiter in an async composite, an AsyncLimiter in a sync one: TypeError."""

    class MySync(SyncLimiter):
        def allow(self, key="default"):
            return True

        def acquire(self, key="default", timeout=None):
            return None

    class MyAsync(AsyncLimiter):
        async def allow(self, key="default"):
            return True

        async def acquire(self, key="default", timeout=None):
            return None

    with pytest.raises(TypeError):
        ASYNC.CompositeLimiter([MySync()])
    with pytest.raises(TypeError):
        SYNC.CompositeLimiter([MyAsync()])
    assert SYNC.CompositeLimiter([MySync()]).allow("k")


def test_coroutine_functions_in_a_sync_composite_are_refused():
    """An object whose `allow` is `async def` never counts as having allowed."""

    class Coloured:
        async def allow(self, key="default"):
            return False

        async def acquire(self, key="default", timeout=None):
            return None

    with pytest.raises(TypeError):
        SYNC.CompositeLimiter([Coloured()]).allow("k")


def test_an_async_allow_beside_a_sync_acquire_is_refused():
    """At construction: a coroutine is truthy, and counted as a permit."""

    class Half:
        async def allow(self, key="default"):
            return False

        def acquire(self, key="default", timeout=None):
            return None

    for make in (lambda half: SYNC.CompositeLimiter([half]), ResilientExecutor):
        with pytest.raises(TypeError, match="Half, which is async"):
            make(Half())


@pytest.mark.parametrize("call_of", ["allow", "acquire"])
def test_an_awaitable_from_a_sync_call_is_refused(clock, call_of):
    """Nobody could see it before the call: TypeError, nothing left unawaited, ours given back."""
    left = []

    async def later():
        return True

    class Sly:
        def allow(self, key="default"):
            left.append(later())
            return left[-1]

        acquire = allow

    ours = SYNC.TokenBucket(2, 1, clock=clock)
    limiter = SYNC.CompositeLimiter([ours, Sly()])

    with pytest.raises(TypeError, match=rf"^{call_of}\(\) .* returned an awaitable"):
        getattr(limiter, call_of)("k")

    assert inspect.getcoroutinestate(left[0]) == inspect.CORO_CLOSED
    assert ours.get_tokens("k") == 2.0


@pytest.mark.parametrize("method", ["allow", "acquire"])
async def test_a_sync_limiter_in_async_hands_is_refused_when_called(clock, method):
    """What has no base of ours shows only then what it is; the TypeError says it, ours go back."""
    ours = ASYNC.TokenBucket(2, 1, clock=clock)
    limiter = ASYNC.CompositeLimiter([ours, Own([], "x")])

    with pytest.raises(TypeError, match=rf"^{method}\(\) of Own is sync"):
        await getattr(limiter, method)("k")

    assert await ours.get_tokens("k") == 2.0


async def test_a_sync_limiter_in_an_async_executor_is_refused_when_called():
    """As in the composite; the function is not called."""
    called = []
    executor = AsyncResilientExecutor(Own([], "x"))

    with pytest.raises(TypeError, match=r"^acquire\(\) of Own is sync"):
        await executor.run("k", lambda: called.append(1))

    assert called == []


def test_the_same_users_part_twice_is_refused_however_deep(flavour: Flavour, clock):
    """It would be asked, and charged, twice for one call."""
    part = own(flavour, [], "x")
    inner = flavour.CompositeLimiter([part, flavour.TokenBucket(1, 1, clock=clock)])
    outer = flavour.CompositeLimiter([inner])

    for parts in ([part, part], [part, inner], [outer, part], [inner, outer]):
        with pytest.raises(InvalidConfigError) as refusal:
            flavour.CompositeLimiter(parts)
        assert refusal.value.parameter == "limiters"
        assert refusal.value.value is parts


async def test_reset_reaches_the_users_parts_that_have_one(flavour: Flavour, clock):
    """A part without `reset` is no hindrance; ours are reset."""
    ours = flavour.TokenBucket(1, 1, clock=clock)
    limiter = flavour.CompositeLimiter([ours, own(flavour, [], "x")])
    assert await call(limiter.allow, "k")

    await call(limiter.reset, "k")

    assert await call(limiter.allow, "k")
