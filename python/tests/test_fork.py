"""os.fork() under load: a child finds no lock held, whatever the threads were doing."""

import subprocess
import sys
import textwrap

PROGRAM = textwrap.dedent(
    """
    import os, signal, sys, threading, time, warnings
    import limitpal

    warnings.simplefilter("ignore", DeprecationWarning)  # 3.12 on: fork with threads, on purpose
    limiter = limitpal.TokenBucket(1_000_000, 1e6, max_buckets=64)
    leaky = limitpal.LeakyBucket(1_000_000, 1e6)
    breaker = limitpal.CircuitBreaker(failure_threshold=2**31)
    throttle = limitpal.ClientThrottle()
    adaptive = limitpal.AdaptiveConcurrency(min=10)
    executor = limitpal.ResilientExecutor(limiter, limitpal.RetryPolicy(), breaker)
    composite = limitpal.CompositeLimiter([limiter, leaky])
    concurrency = limitpal.ConcurrencyLimiter(3)
    mock = limitpal.MockClock()
    stop = False


    def hammer(number):
        n = 0
        while not stop:
            n += 1
            limiter.allow(f"key:{n % 100}")
            composite.allow("shared")
            with concurrency.acquire("shared"):
                concurrency.set_limit(3)
            breaker.record_failure()
            breaker.record_success()
            throttle.call(int)
            adaptive.acquire().success()
            executor.run("shared", int)
            mock.advance(0.001)


    def child():
        done = 1
        try:
            assert limiter.allow("shared") is True
            assert limiter.allow("a key of the child") is True
            assert composite.allow("shared") is True
            # What the parent's threads held and waited for at the fork is held and waited for here.
            assert concurrency.acquire("shared of the child").release() is None
            concurrency.try_acquire("shared")
            assert breaker.allow() is True
            breaker.record_success()
            assert throttle.call(lambda: "sent") == "sent"
            adaptive.acquire().success()
            assert executor.run("shared", lambda: "done") == "done"
            mock.advance(1.0)
            done = 0
        finally:
            os._exit(done)


    threads = [threading.Thread(target=hammer, args=(n,), daemon=True) for n in range(4)]
    for thread in threads:
        thread.start()
    bad = []
    for n in range(FORKS):
        pid = os.fork()
        if pid == 0:
            child()
        deadline = time.monotonic() + 10
        while True:
            done, status = os.waitpid(pid, os.WNOHANG)
            if done:
                break
            if time.monotonic() > deadline:
                os.kill(pid, signal.SIGKILL)
                os.waitpid(pid, 0)
                status = "hangs"
                break
            time.sleep(0.0005)
        if status != 0:
            bad.append((n, status))
            if len(bad) > 2:
                break
    stop = True
    for thread in threads:
        thread.join(10)
    print("bad children:", bad)
    os._exit(1 if bad else 0)
    """
)


def test_children_forked_under_load_can_use_everything():
    """Four threads hammer limiters, breaker, executor and clock; all children get through."""
    program = PROGRAM.replace("FORKS", "50")

    result = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=120, check=False
    )

    assert result.returncode == 0, result.stdout + result.stderr


def test_a_child_counts_on_its_own():
    """After the fork parent and child have a bucket each, both as it was at the fork."""
    program = textwrap.dedent(
        """
        import os
        import limitpal

        clock = limitpal.MockClock()
        limiter = limitpal.TokenBucket(4, 1.0, clock=clock)
        limiter.allow("k")
        pid = os.fork()
        if pid == 0:
            took = sum(limiter.allow("k") for _ in range(10))
            os._exit(took)
        _, status = os.waitpid(pid, 0)
        mine = sum(limiter.allow("k") for _ in range(10))
        assert (os.waitstatus_to_exitcode(status), mine) == (3, 3), (status, mine)
        """
    )

    result = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=False
    )

    assert result.returncode == 0, result.stderr


def test_a_child_waits_on_the_monotonic_clock():
    """A blocking wait works in the child as in the parent."""
    program = textwrap.dedent(
        """
        import os
        import limitpal

        limiter = limitpal.TokenBucket(1, 100.0)
        executor = limitpal.ResilientExecutor(limiter)
        executor.run("k", int)
        pid = os.fork()
        executor.run("k", int)
        executor.run("k", int)
        if pid == 0:
            os._exit(0)
        _, status = os.waitpid(pid, 0)
        assert status == 0, status
        """
    )

    result = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=False
    )

    assert result.returncode == 0, result.stderr
