"""Ctrl-C while a thread waits: it returns at once, and its place goes back."""

import subprocess
import sys
import textwrap

import pytest

COMMON = textwrap.dedent(
    """
    import signal, statistics, threading, time
    from limitpal import *

    main = threading.main_thread().ident


    def interrupted(wait):
        "Interrupts a wait after 0.1 s; returns how long it took to come back."
        sent = []

        def send():
            time.sleep(0.1)
            sent.append(time.perf_counter())
            signal.pthread_kill(main, signal.SIGINT)

        threading.Thread(target=send).start()
        try:
            wait()
        except KeyboardInterrupt:
            return time.perf_counter() - sent[0]
        raise SystemExit("the wait was not interrupted")


    def at_once(wait):
        "Five tries; the median must be below 50 ms, so that one busy moment does not decide."
        late = [interrupted(wait) for _ in range(5)]
        assert statistics.median(late) < 0.05, late
    """
)

ACQUIRE = """
limiter = TokenBucket(1, 0.1)
limiter.allow("k")

at_once(lambda: limiter.acquire("k"))

left = limiter.peek("k").retry_after
assert left < 10.0, f"places were lost: {left}"
"""

LEAKY = """
limiter = LeakyBucket(5, 0.1)
limiter.acquire("k")

at_once(lambda: limiter.acquire("k"))

assert limiter.get_queue_size("k") == 1, limiter.get_queue_size("k")
"""

COMPOSITE = """
slow, wide = TokenBucket(1, 0.1), TokenBucket(5, 0.001)
limiter = CompositeLimiter([slow, wide])
limiter.allow("k")

at_once(lambda: limiter.acquire("k"))

assert slow.peek("k").retry_after < 10.0
assert wide.get_tokens("k") >= 4.0, wide.get_tokens("k")
"""

QUOTA = """
limiter = TokenBucket(1, 0.1)
breaker = CircuitBreaker(failure_threshold=1, recovery_timeout=60.0)
executor = ResilientExecutor(limiter, RetryPolicy(), breaker)
limiter.allow("k")

at_once(lambda: executor.run("k", lambda: None))

assert limiter.peek("k").retry_after < 10.0
assert breaker.state == "closed"
"""

BACKOFF = """
calls = []
breaker = CircuitBreaker(failure_threshold=1, recovery_timeout=0.05, ignore=ValueError)
executor = ResilientExecutor(
    None, RetryPolicy(base_delay=30.0, max_delay=30.0, max_attempts=2), breaker
)


def fail():
    calls.append(1)
    raise ValueError


at_once(lambda: executor.run("k", fail))

assert len(calls) == 5, "one attempt each, none after the interrupt"
assert breaker.state == "closed"
"""

CONCURRENCY = """
limiter = ConcurrencyLimiter(1)
held = limiter.acquire("k")

at_once(lambda: limiter.acquire("k"))
at_once(lambda: limiter.acquire("k", timeout=30.0))

both = CompositeLimiter([TokenBucket(1000, 1), limiter])
at_once(lambda: both.acquire("k"))

assert (limiter.in_flight("k"), limiter.waiting("k")) == (1, 0)
held.release()
assert len(limiter) == 0
"""

OWN_CLOCK = """
class Own:
    def now(self):
        return 0.0

    def sleep(self, seconds):
        time.sleep(seconds)

    async def sleep_async(self, seconds):
        raise NotImplementedError


limiter = ConcurrencyLimiter(1, clock=Own())
held = limiter.acquire("k")

at_once(lambda: limiter.acquire("k", timeout=30.0))

assert (limiter.in_flight("k"), limiter.waiting("k")) == (1, 0)
"""

PROBE = """
clock = MockClock()
breaker = CircuitBreaker(failure_threshold=1, recovery_timeout=30.0, clock=clock)
breaker.record_failure()
clock.advance(30.0)

for _ in range(3):
    interrupted(lambda: breaker.call(lambda: time.sleep(30.0)))
    assert breaker.state == "half_open"

assert breaker.allow() is True, "an interrupted probe kept its permit"
"""


@pytest.mark.parametrize(
    "wait",
    [ACQUIRE, LEAKY, COMPOSITE, QUOTA, BACKOFF, CONCURRENCY, OWN_CLOCK, PROBE],
    ids=[
        "token bucket",
        "leaky bucket",
        "composite",
        "quota",
        "backoff",
        "concurrency",
        "clock of the user's",
        "probe",
    ],
)
def test_an_interrupt_ends_a_wait_at_once(wait):
    """Within 50 ms `KeyboardInterrupt` is there; nothing stays taken, counted or locked."""
    result = subprocess.run(
        [sys.executable, "-c", COMMON + wait],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert result.returncode == 0, result.stdout + result.stderr


def test_other_threads_run_while_one_waits():
    """A blocking wait lets go of the interpreter."""
    program = textwrap.dedent(
        """
        import threading, time
        from limitpal import TokenBucket

        limiter = TokenBucket(1, 5.0)
        limiter.allow("k")
        turns = 0
        waiter = threading.Thread(target=limiter.acquire, args=("k",))
        waiter.start()
        while waiter.is_alive():
            turns += 1
            time.sleep(0.001)
        assert turns > 20, turns
        """
    )

    result = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=False
    )

    assert result.returncode == 0, result.stderr
