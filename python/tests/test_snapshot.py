"""What a limiter remembers outlives its process, or is refused whole."""

from __future__ import annotations

import subprocess
import sys
import threading
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import limitpal
from driving import ASYNC, SYNC, Flavour, call
from limitpal import InvalidConfigError, MockClock, TokenBucket
from test_evict import KINDS, LIMIT, PER, make


@pytest.mark.parametrize("kind", KINDS)
async def test_a_key_goes_on_where_it_was(flavour: Flavour, kind):
    """On a clock with another zero, and by the other flavour: the restart takes no time."""
    old = make(flavour, kind, MockClock(start_time=24_000.0))
    assert await call(old.allow, "ann", cost=3)
    assert await call(old.allow, 7)
    saved = await call(old.snapshot)
    assert isinstance(saved, bytes)

    for other in (SYNC, ASYNC):
        clock = MockClock(start_time=12.0)
        new = make(other, kind, clock)
        assert await call(new.restore, bytearray(saved)) is None
        assert [(await call(new.peek, key)).remaining for key in ("ann", "7", "bob")] == [1, 3, 4]
        assert await call(new.allow, "ann")
        assert not await call(new.allow, "ann")
        clock.advance(2 * PER)
        assert await call(new.allow, "ann", cost=LIMIT)


async def test_no_window_of_the_clock_is_cut_short_by_a_restart(flavour: Flavour):
    """`bound()` holds across it, though the old window has just ended and the new one is ending."""
    clock = MockClock(start_time=9.5)
    old = flavour.window("FixedWindow")(2, 10.0, clock)
    assert await call(old.allow, cost=2)
    clock.advance(1)
    saved = await call(old.snapshot)

    clock = MockClock(start_time=729.5)
    new = flavour.window("FixedWindow")(2, 10.0, clock)
    await call(new.restore, saved)
    assert await call(new.allow, cost=2)
    assert (await call(new.peek)).retry_after == 10.5
    clock.advance(10)
    assert not await call(new.allow)
    clock.advance(0.5)
    assert await call(new.allow, cost=2)


@pytest.mark.parametrize("kind", KINDS)
async def test_a_damaged_snapshot_is_refused_whole(flavour: Flavour, kind):
    """Each byte flipped, each length, and what is no bytes at all; then the whole one is taken."""
    old = make(flavour, kind, MockClock())
    assert await call(old.allow, "ann", cost=3)
    saved = await call(old.snapshot)
    new = make(flavour, kind, MockClock())

    flipped = [saved[:n] + bytes([saved[n] ^ 0x10]) + saved[n + 1 :] for n in range(len(saved))]
    shortened = [saved[:n] for n in range(len(saved))]
    for damaged in [*flipped, *shortened, saved + b"x", "text", None, 5]:
        with pytest.raises(InvalidConfigError) as refusal:
            await call(new.restore, damaged)
        assert refusal.value.parameter == "snapshot"
        assert len(new) == 0
    await call(new.restore, saved)

    assert (await call(new.peek, "ann")).remaining == 1


async def test_a_snapshot_of_another_limiter_is_refused_by_name(flavour: Flavour, clock):
    """Algorithm, numbers, one bucket for everybody, and too few places: each is said."""
    saved = await call(flavour.TokenBucket(5, 1, clock=clock).snapshot)
    for other, said in [
        (flavour.LeakyBucket(5, 1, clock=clock), "give one of LeakyBucket { capacity: 5"),
        (flavour.TokenBucket(6, 1, clock=clock), "give one of TokenBucket { capacity: 6"),
        (flavour.TokenBucket(5, 2, clock=clock), "refill_rate: 2 per second"),
        (flavour.TokenBucket(5, 1, clock=clock, per_key=False), "give one of per_key false"),
        (flavour.window("FixedWindow")(5, 1, clock), "give one of FixedWindow { limit: 5"),
    ]:
        with pytest.raises(InvalidConfigError, match=said):
            await call(other.restore, saved)

    full = flavour.TokenBucket(5, 1, clock=clock)
    for key in "abc":
        await call(full.allow, key)
    small = flavour.TokenBucket(5, 1, clock=clock, max_buckets=2)
    with pytest.raises(InvalidConfigError, match="max_buckets is 2; give at least 3"):
        await call(small.restore, await call(full.snapshot))


@pytest.mark.parametrize("kind", KINDS)
async def test_a_limiter_that_was_used_is_left_as_it_is(flavour: Flavour, clock, kind):
    """Restoring is for a new one, before its first call."""
    old, new = make(flavour, kind, clock), make(flavour, kind, clock)
    assert await call(old.allow, "ann", cost=3)
    assert await call(new.allow, "bob", cost=2)

    with pytest.raises(InvalidConfigError, match="was used already; restore it into a new one"):
        await call(new.restore, await call(old.snapshot))

    assert [(await call(new.peek, key)).remaining for key in ("ann", "bob")] == [4, 2]


@pytest.mark.parametrize("per_key", [True, False])
def test_another_process_restores_it(per_key):
    """Fingerprints are keyed by each process in its own way, and the snapshot brings the key."""
    limiter = TokenBucket(5, 0.001, per_key=per_key)
    assert limiter.allow("ann", cost=4)
    script = """
import sys, limitpal
limiter = limitpal.TokenBucket(5, 0.001, per_key=sys.argv[1] == "True")
limiter.restore(sys.stdin.buffer.read())
print(limiter.allow("ann", cost=2), limiter.allow("ann"))
"""
    command = [sys.executable, "-c", script, str(per_key)]
    ran = subprocess.run(command, input=limiter.snapshot(), capture_output=True, timeout=60)
    assert ran.stdout.split() == [b"False", b"True"], ran.stderr


@given(st.binary(max_size=300), st.sampled_from(KINDS))
def test_no_bytes_ever_harm(junk, kind):
    """Whatever is given is refused as an argument that makes no sense."""
    limiter = make(SYNC, kind, MockClock())
    with pytest.raises(InvalidConfigError):
        limiter.restore(junk)
    assert limiter.allow("ann")


def test_threads_go_on_while_a_snapshot_is_taken():
    """Each snapshot has of each key what it had at some instant of the call."""
    limiter = limitpal.SlidingWindowLog(10_000, 3600.0)
    keys = [f"key {n}" for n in range(200)]
    rounds: list[int] = [0]

    def take() -> None:
        for _ in range(100):
            assert all(limiter.allow_many(keys))
            rounds[0] += 1

    thread = threading.Thread(target=take)
    thread.start()
    while thread.is_alive():
        before, saved, after = rounds[0], limiter.snapshot(), rounds[0]
        restored: Any = limitpal.SlidingWindowLog(10_000, 3600.0)
        restored.restore(saved)
        counts = {10_000 - restored.peek(key).remaining for key in keys}
        assert before <= min(counts) <= max(counts) <= after + 1
    thread.join()


async def test_those_who_have_nothing_to_save_have_no_snapshot(flavour: Flavour, clock):
    """A composite's parts are saved, and permits are nobody's after a restart."""
    composite = flavour.CompositeLimiter([flavour.TokenBucket(5, 1, clock=clock)])
    for limiter in (composite, limitpal.ConcurrencyLimiter(1), limitpal.AsyncConcurrencyLimiter(1)):
        assert not hasattr(limiter, "snapshot")
        assert not hasattr(limiter, "restore")
