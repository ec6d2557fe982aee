"""The mock clock in an event loop: who wakes when, and when it jumps; asyncio and uvloop alike."""

from __future__ import annotations

import asyncio
import socket
import threading
import time

from limitpal import MockClock
from night import Night, on_each_loop, turns

# advance() and set_time()


@on_each_loop
async def test_a_sleeper_suspends_until_its_deadline() -> None:
    """It sleeps a nanosecond before, and wakes at it."""
    night = Night(MockClock(autojump=False))
    await night.sleep(a=1.0)

    night.clock.advance(1.0 - 1e-9)
    await turns(5)
    assert night.woken == []
    night.clock.advance(1e-9)
    await turns()
    assert night.woken == [("a", 1.0)]


@on_each_loop
async def test_sleepers_wake_by_deadline_and_first_come_first_served() -> None:
    """Equals wake in the order they came; all find the time that advance() went to."""
    night = Night(MockClock())
    await night.sleep(late=3.0, first=1.0, middle=2.0, second=1.0, tomorrow=9.0)

    night.clock.advance(5.0)
    await turns()

    assert night.woken == [("first", 5.0), ("second", 5.0), ("middle", 5.0), ("late", 5.0)]
    await night.end()
    assert night.woken[-1] == ("tomorrow", 9.0)


@on_each_loop
async def test_one_turn_after_advance_the_sleeper_s_code_has_run() -> None:
    """A task that sleeps one second, then two, has gone on after each single turn."""
    clock = MockClock()
    steps: list[float] = []

    async def job() -> None:
        steps.append(clock.now())
        for seconds in (1.0, 2.0):
            await clock.sleep_async(seconds)
            steps.append(clock.now())

    task = asyncio.ensure_future(job())
    await asyncio.sleep(0)
    assert steps == [0.0]
    clock.advance(1.0)
    await asyncio.sleep(0)
    assert steps == [0.0, 1.0]
    clock.advance(2.0)
    await asyncio.sleep(0)
    assert steps == [0.0, 1.0, 3.0]
    await task


@on_each_loop
async def test_sleepers_keep_the_time_they_had_left_when_time_is_set_back() -> None:
    """Two of its three seconds are left, wherever the clock is set."""
    night = Night(MockClock(start_time=100.0, autojump=False))
    await night.sleep(a=3.0)
    night.clock.advance(1.0)

    night.clock.set_time(10.0)
    night.clock.set_time(11.0)
    await turns()
    assert night.woken == []
    night.clock.advance(1.0)
    await turns()
    assert night.woken == [("a", 12.0)]


@on_each_loop
async def test_set_time_forward_wakes_who_is_due() -> None:
    """It is an advance to a time."""
    night = Night(MockClock(autojump=False))
    await night.sleep(a=1.0)

    night.clock.set_time(7.0)
    await turns()

    assert night.woken == [("a", 7.0)]


@on_each_loop
async def test_a_blocking_sleep_wakes_the_sleepers_on_its_way_and_goes_no_further() -> None:
    """It moves to its own deadline, though others sleep longer."""
    night = Night(MockClock(autojump=False))
    await night.sleep(short=1.0, long=9.0)

    night.clock.sleep(5.0)
    await turns()

    assert night.woken == [("short", 5.0)]
    assert night.clock.now() == 5.0
    night.clock.advance(4.0)
    await night.end()


@on_each_loop
async def test_another_thread_may_move_the_clock() -> None:
    """Sleepers wake in their own loop, in order, though it waits for nothing else."""
    night = Night(MockClock(autojump=False))
    await night.sleep(b=2.0, a=1.0, c=3.0)

    def move() -> None:
        night.clock.advance(2.0)
        night.clock.sleep(1.0)

    thread = threading.Thread(target=move)
    thread.start()
    await night.end()
    thread.join()

    assert [name for name, _ in night.woken] == ["a", "b", "c"]
    assert night.clock.now() == 3.0


# autojump


@on_each_loop
async def test_a_sleep_on_its_own_jumps() -> None:
    """Awaited with nothing else to run, five seconds pass at once."""
    clock = MockClock()

    await clock.sleep_async(5)

    assert clock.now() == 5.0


@on_each_loop
async def test_jumps_stop_at_every_deadline() -> None:
    """Each sleeper wakes at its own time."""
    night = Night(MockClock())

    await night.sleep(late=3.0, first=1.0, middle=2.0, second=1.0)
    await night.end()

    assert night.woken == [("first", 1.0), ("second", 1.0), ("middle", 2.0), ("late", 3.0)]


@on_each_loop
async def test_the_clock_does_not_jump_while_anything_is_ready_to_run() -> None:
    """A test that spins two thousand turns keeps the loop busy."""
    night = Night(MockClock())
    await night.sleep(a=1.0)

    await turns(2000)

    assert night.clock.now() == 0.0
    await night.end()


@on_each_loop
async def test_the_clock_does_not_jump_before_callbacks_that_are_queued() -> None:
    """What a task does through futures and queues comes first."""
    clock = MockClock()
    queues: list[asyncio.Queue[float]] = [asyncio.Queue() for _ in range(20)]

    async def hand_on(index: int) -> None:
        await queues[index + 1].put(await queues[index].get())

    sleeper = asyncio.ensure_future(clock.sleep_async(1.0))
    hands = asyncio.gather(*(hand_on(index) for index in range(19)))
    await turns()
    await queues[0].put(clock.now())
    await queues[-1].get()

    assert clock.now() == 0.0
    await asyncio.gather(sleeper, hands)


@on_each_loop
async def test_the_clock_does_not_jump_before_what_has_arrived() -> None:
    """The loop looks for I/O once more before it counts as idle."""
    night = Night(MockClock())
    left, right = socket.socketpair()
    with left, right:
        right.setblocking(False)
        received = asyncio.ensure_future(asyncio.get_running_loop().sock_recv(right, 1))

        async def send() -> None:
            await turns(2)
            left.send(b"!")

        # Its last turn comes just before the look for something else to run.
        sender = asyncio.ensure_future(send())
        await night.sleep(a=1.0)
        assert await received == b"!"
        assert sender.done()

    assert night.clock.now() == 0.0
    await night.end()


@on_each_loop
async def test_several_clocks_share_a_loop() -> None:
    """Each jumps to its own deadlines, and one that ticks for ever starves nobody."""
    ticking, other = MockClock(), MockClock(start_time=100.0)

    async def tick() -> None:
        while True:
            await ticking.sleep_async(1.0)

    ticker = asyncio.ensure_future(tick())
    await asyncio.gather(other.sleep_async(5.0), other.sleep_async(3.0))

    assert other.now() == 105.0
    assert ticking.now() == float(int(ticking.now())) >= 1.0
    ticker.cancel()


@on_each_loop
async def test_autojump_can_be_turned_off() -> None:
    """Then an idle loop waits for advance()."""
    night = Night(MockClock(autojump=False))
    await night.sleep(a=1.0)

    await asyncio.sleep(0.02)
    assert night.clock.now() == 0.0
    night.clock.advance(1.0)
    await night.end()


@on_each_loop
async def test_a_real_sleep_lets_the_clock_jump() -> None:
    """While one waits in real time the loop has nothing else to run, so time passes."""
    night = Night(MockClock())
    await night.sleep(a=1.0, b=60.0)

    while len(night.woken) < 2:
        await asyncio.sleep(0.01)

    assert night.woken == [("a", 1.0), ("b", 60.0)]


@on_each_loop
async def test_a_cancelled_sleeper_never_moves_time() -> None:
    """Neither on its own nor on the way to another."""
    night = Night(MockClock())
    await night.sleep(gone=1.0)
    night.tasks["gone"].cancel()

    await asyncio.sleep(0.02)

    assert night.tasks["gone"].cancelled()
    assert night.clock.now() == 0.0


@on_each_loop
async def test_a_cancelled_sleeper_is_no_stop_on_the_way() -> None:
    """While another clock takes one jump, this one goes past it to who still sleeps."""
    clock, other = MockClock(), MockClock()
    night = Night(clock)
    await night.sleep(gone=1.0, kept=5.0)
    night.tasks["gone"].cancel()

    await other.sleep_async(1.0)

    assert clock.now() == 5.0
    await night.end()


@on_each_loop
async def test_an_idle_loop_rests_when_nobody_sleeps_any_more() -> None:
    """Whether they woke or were cancelled, looking for idleness ends with them."""
    night = Night(MockClock())
    await night.sleep(woken=1.0, gone=2.0)
    night.clock.advance(1.0)
    night.tasks["gone"].cancel()
    await night.end()
    start = time.thread_time()

    await asyncio.sleep(0.3)

    assert time.thread_time() - start < 0.02


@on_each_loop
async def test_a_sleeper_cancelled_as_it_is_woken_is_cancelled() -> None:
    """As with asyncio.sleep; who else is due wakes."""
    night = Night(MockClock())
    await night.sleep(a=1.0, b=1.0)

    night.tasks["a"].cancel()
    night.clock.advance(1.0)
    await night.end()

    assert night.tasks["a"].cancelled()
    assert night.woken == [("b", 1.0)]
