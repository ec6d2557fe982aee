"""CircuitBreaker: the permits of a half-open circuit, lent, returned and lapsed."""

import asyncio
import threading

import pytest

from helpers import STOPS, Script, both, cancel, caught, half_open, name_of, settle, spin, trip
from limitpal import CircuitBreaker, CircuitBreakerOpen, MockClock


@pytest.mark.parametrize("permits", [1, 2, 5])
def test_half_open_lends_so_many_permits(permits):
    """At most `half_open_success_threshold` are out at a time."""
    breaker = half_open(MockClock(), half_open_success_threshold=permits)

    answers = [breaker.allow() for _ in range(permits + 3)]

    assert answers == [True] * permits + [False] * 3


def test_a_reported_probe_makes_room_for_the_next():
    """With one success of two the circuit is half-open still, and one permit came back."""
    breaker = half_open(MockClock(), half_open_success_threshold=2)

    assert [breaker.allow() for _ in range(3)] == [True, True, False]
    breaker.record_success()

    assert breaker.state == "half_open"
    assert breaker.allow() is True
    assert breaker.allow() is False


def test_a_hung_probe_lapses():
    """A permit nobody reports on lapses after `recovery_timeout`: no state locks for ever."""
    clock = MockClock()
    breaker = half_open(clock)

    assert breaker.allow() is True
    clock.advance(9.9)
    assert breaker.allow() is False
    clock.advance(0.1)

    assert breaker.state == "half_open"
    assert breaker.allow() is True


def test_a_lapsed_probes_late_result_does_not_count():
    """A success that comes after its permit lapsed closes nothing; a failure opens nothing."""
    for late in ("record_success", "record_failure"):
        clock = MockClock()
        breaker = half_open(clock)
        assert breaker.allow() is True
        clock.advance(10.0)

        getattr(breaker, late)()

        assert breaker.state == "half_open", late
        assert breaker.allow() is True, late


def test_each_probe_lapses_by_its_own_clock():
    """The first permit comes back before the second."""
    clock = MockClock()
    breaker = half_open(clock, half_open_success_threshold=2)

    breaker.allow()
    clock.advance(4.0)
    breaker.allow()
    clock.advance(6.0)

    assert [breaker.allow(), breaker.allow()] == [True, False]
    clock.advance(4.0)
    assert [breaker.allow(), breaker.allow()] == [True, False]


def test_refused_allows_prolong_nothing():
    """Asking in vain every second neither moves the timeout nor the probe's lapse."""
    clock = MockClock()
    breaker = CircuitBreaker(failure_threshold=1, recovery_timeout=10.0, clock=clock)
    breaker.record_failure()

    answers = []
    for _ in range(25):
        answers.append(breaker.allow())
        clock.advance(1.0)

    assert [second for second, answer in enumerate(answers) if answer] == [10, 20]


def test_retry_after_counts_to_the_oldest_lapse():
    """While the probes are out: until the oldest permit lapses."""
    clock = MockClock()
    breaker = half_open(clock, half_open_success_threshold=2)
    breaker.allow()
    clock.advance(4.0)
    breaker.allow()
    clock.advance(1.0)

    with pytest.raises(CircuitBreakerOpen) as refusal:
        breaker.call(lambda: None)

    assert refusal.value.retry_after == 5.0
    clock.advance(5.0)
    assert breaker.allow() is True


def test_threads_share_the_permits():
    """Sixteen threads ask at once; as many go as there are permits."""
    breaker = half_open(MockClock(), half_open_success_threshold=3)
    gate = threading.Barrier(16)
    answers = []

    def ask():
        gate.wait()
        answers.append(breaker.allow())

    threads = [threading.Thread(target=ask) for _ in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert sorted(answers) == [False] * 13 + [True] * 3


@both
async def test_a_calls_permit_is_one_of_them(side):
    """While a call's probe is out, `allow()` refuses, and the other way round."""
    breaker = half_open(MockClock())
    inside = []

    await side.call(breaker, lambda: inside.append(breaker.allow()))

    assert inside == [False]
    assert breaker.state == "closed"


@both
async def test_a_call_without_a_free_permit_is_refused(side):
    """Half-open with every permit out is as good as open; the function is not called."""
    breaker = half_open(MockClock())
    breaker.allow()
    script = Script("called")

    error = await caught(side.call(breaker, script))

    assert type(error) is CircuitBreakerOpen
    assert script.count == 0


@both
async def test_a_stopped_probe_gives_its_permit_back(side):
    """Cancelled or interrupted: neither success nor failure, and the permit is free."""
    for stop in STOPS:
        breaker = half_open(MockClock())

        error = await caught(side.call(breaker, Script(stop)))

        assert error is stop
        assert breaker.state == "half_open", name_of(stop)
        assert breaker.allow() is True, name_of(stop)


async def test_a_cancelled_probe_leaves_the_circuit_half_open():
    """A task cancelled inside its function counts as nothing and leaks nothing."""
    breaker = half_open(MockClock(autojump=False))
    task = asyncio.ensure_future(breaker.call_async(asyncio.Event().wait))
    await spin()
    assert breaker.allow() is False

    await cancel(task)

    assert breaker.state == "half_open"
    assert breaker.allow() is True


async def test_an_abandoned_probe_gives_its_permit_back():
    """A coroutine that is closed instead of finished returns its permit too."""
    breaker = half_open(MockClock(autojump=False))
    call = breaker.call_async(asyncio.Event().wait)
    call.send(None)

    call.close()

    assert breaker.allow() is True


@both
async def test_a_lapsed_calls_result_does_not_count(side):
    """A probe that took longer than `recovery_timeout` neither closes nor opens."""
    for outcome in ("fine", ValueError()):
        clock = MockClock()
        breaker = half_open(clock)

        def slow(clock=clock, outcome=outcome):
            clock.advance(10.0)
            return Script(outcome)()

        await settle_quietly(side.call(breaker, slow))

        assert breaker.state == "half_open", outcome
        assert breaker.allow() is True, outcome


@both
async def test_a_closed_call_may_take_as_long_as_it_likes(side):
    """Permits of the closed state do not lapse: an hour later the failure counts."""
    clock = MockClock()
    breaker = CircuitBreaker(failure_threshold=1, recovery_timeout=10.0, clock=clock)

    def slow():
        clock.advance(3600.0)
        raise ValueError

    await settle_quietly(side.call(breaker, slow))

    assert breaker.state == "open"


@both
@pytest.mark.parametrize("outcome", ["fine", ValueError()], ids=["success", "failure"])
async def test_a_result_begun_in_an_earlier_state_does_not_count(side, outcome):
    """Begun while closed, ended when the circuit had opened and probed: not a word of it counts."""
    clock = MockClock()
    breaker = CircuitBreaker(failure_threshold=1, recovery_timeout=10.0, clock=clock)

    def overtaken():
        trip(breaker)
        clock.advance(10.0)
        return Script(outcome)()

    await settle_quietly(side.call(breaker, overtaken))

    assert breaker.state == "half_open"
    assert breaker.allow() is True


@both
async def test_a_result_from_before_a_reset_does_not_count(side):
    """`reset()` starts a new life; calls of the old one are strangers to it."""
    breaker = CircuitBreaker(failure_threshold=1, clock=MockClock())

    def overtaken():
        breaker.reset()
        raise ValueError

    await settle_quietly(side.call(breaker, overtaken))

    assert breaker.state == "closed"


@both
async def test_an_old_success_does_not_clear_new_failures(side):
    """A success begun before the circuit opened and closed again leaves the new count alone."""
    clock = MockClock()
    breaker = CircuitBreaker(failure_threshold=2, recovery_timeout=10.0, clock=clock)

    def overtaken():
        trip(breaker)
        clock.advance(10.0)
        breaker.record_success()
        breaker.record_failure()
        assert breaker.state == "closed"
        return "an old success"

    await side.call(breaker, overtaken)
    breaker.record_failure()

    assert breaker.state == "open"


async def settle_quietly(awaitable):
    """Runs a call whose own result does not matter to the test."""
    try:
        return await settle(awaitable)
    except ValueError:
        return None
