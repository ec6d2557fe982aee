"""CircuitBreaker: run by hand, and those who listen to it."""

import gc
import itertools
import sys
import threading
import weakref

import pytest

from helpers import Script, both, caught, half_open, trip
from limitpal import CircuitBreaker, CircuitBreakerOpen, MockClock


@both
async def test_forced_open_refuses_until_it_is_told_otherwise(side):
    """Nobody can say when, so `retry_after` is None."""
    clock = MockClock()
    breaker = CircuitBreaker(clock=clock)

    breaker.force_open()
    clock.advance(1e6)
    refusal = await caught(side.call(breaker, Script("fine")))

    assert type(refusal) is CircuitBreakerOpen
    assert refusal.retry_after is None
    assert str(refusal) == "the circuit was forced open; nobody can say until when"
    assert (breaker.state, breaker.mode) == ("open", "forced_open")
    assert repr(breaker).endswith('state="open", mode="forced_open")')
    breaker.enforce()
    assert await side.call(breaker, Script("fine")) == "fine"


@both
async def test_disabled_counts_nothing(side):
    """However much fails."""
    breaker = CircuitBreaker(1, clock=MockClock())
    trip(breaker)

    breaker.disable()
    for _ in range(3):
        await caught(side.call(breaker, Script(ValueError())))

    assert (breaker.state, breaker.mode) == ("closed", "disabled")


@both
async def test_shadow_counts_and_refuses_nobody(side):
    """It says what it would do; enforced, it does it."""
    breaker = CircuitBreaker(1, clock=MockClock())
    refused = []
    breaker.on_refused(refused.append)

    breaker.shadow()
    await caught(side.call(breaker, Script(ValueError())))
    assert breaker.state == "open"
    assert await side.call(breaker, Script("fine")) == "fine"
    executor = side.Executor(circuit_breaker=breaker, clock=MockClock())
    assert await side.run(executor, Script("fine")) == "fine"

    assert refused == [5.0, 5.0]
    assert breaker.state == "open"
    breaker.enforce()
    assert type(await caught(side.call(breaker, Script("fine")))) is CircuitBreakerOpen


@both
async def test_callbacks_hear_what_happens_in_its_order(side):
    """Transitions with both states, the rest as they are."""
    clock = MockClock()
    breaker = CircuitBreaker(1, clock=clock)
    heard = []
    breaker.on_transition(lambda old, new: heard.append((old, new)))
    breaker.on_success(lambda: heard.append("success"))
    breaker.on_failure(lambda: heard.append("failure"))
    breaker.on_refused(heard.append)

    await side.call(breaker, Script("fine"))
    await caught(side.call(breaker, Script(ValueError())))
    await caught(side.call(breaker, Script("fine")))
    clock.advance(5.0)
    await side.call(breaker, Script("fine"))

    assert heard == [
        "success",
        ("closed", "open"),
        "failure",
        5.0,
        ("open", "half_open"),
        ("half_open", "closed"),
        "success",
    ]


def test_a_callback_is_removed_while_the_breaker_is_in_use():
    """What was added twice is removed twice; what was not added says so."""
    breaker = CircuitBreaker(9, clock=MockClock())
    heard = []

    @breaker.on_failure
    def told():
        heard.append("failure")

    assert breaker.on_success(told) is told
    breaker.record_failure()
    assert breaker.remove_callback(told)
    assert not breaker.remove_callback(told)
    breaker.record_failure()
    breaker.record_success()

    assert heard == ["failure"]
    with pytest.raises(TypeError, match="callback is 3; give a function"):
        breaker.on_failure(3)


@both
async def test_an_error_in_a_callback_is_reported_and_changes_nothing(side, monkeypatch):
    """`sys.unraisablehook` hears of it; the call's own answer comes out, the others are told."""
    reported, heard = [], []
    monkeypatch.setattr(sys, "unraisablehook", lambda report: reported.append(report.exc_type))
    breaker = CircuitBreaker(1, clock=MockClock())
    breaker.on_transition(lambda old, new: 1 / 0)
    breaker.on_transition(lambda old, new: heard.append(new))
    boom = ValueError()

    assert await caught(side.call(breaker, Script(boom))) is boom

    assert reported == [ZeroDivisionError]
    assert heard == [breaker.state] == ["open"]


def test_a_callback_may_use_the_breaker():
    """No lock is held; what it does is told after what is being told."""
    breaker = CircuitBreaker(1, clock=MockClock())
    heard = []

    def close(_old, new):
        if new == "open":
            breaker.reset()

    breaker.on_transition(close)
    breaker.on_transition(lambda old, new: heard.append((old, new)))
    breaker.record_failure()

    assert heard == [("closed", "open"), ("open", "closed")]


def test_threads_hear_transitions_in_their_order():
    """Each begins where the one before ended, whichever thread made it."""
    breaker = CircuitBreaker(1, clock=MockClock())
    heard = []
    breaker.on_transition(lambda old, new: heard.append((old, new)))
    barrier = threading.Barrier(4)

    def work(rank):
        barrier.wait()
        for _ in range(300):
            breaker.record_failure() if rank % 2 else breaker.reset()

    threads = [threading.Thread(target=work, args=(rank,)) for rank in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert all(one[1] == next_[0] for one, next_ in itertools.pairwise(heard))


def test_a_callback_that_holds_its_breaker_is_collected():
    """A cycle through the core is one that the garbage collector sees."""

    class Owner:
        def __init__(self):
            self.breaker = CircuitBreaker(clock=MockClock())
            self.breaker.on_transition(self.changed)

        def changed(self, old, new):
            """Hear of it."""

    owner = Owner()
    watch = weakref.ref(owner)
    del owner
    gc.collect()

    assert watch() is None


def test_a_mode_leaves_no_late_outcome_behind():
    """A call begun before it was disabled counts for nothing after."""
    breaker = half_open(MockClock())

    def call():
        breaker.disable()
        breaker.enforce()
        raise ValueError("down")

    with pytest.raises(ValueError, match="down"):
        breaker.call(call)

    assert breaker.state == "closed"
