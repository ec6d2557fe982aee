"""Tries in threads: what is left behind goes on, is counted, and keeps nothing from ending.

Some of these are about real threads and real time: Ctrl-C, fork, the end of the process.
"""

import contextvars
import os
import subprocess
import sys
import textwrap
import threading
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from limitpal import (
    AsyncResilientExecutor,
    CircuitBreaker,
    ConcurrencyLimiter,
    Hedge,
    InvalidConfigError,
    MockClock,
    ResilientExecutor,
    RetryPolicy,
    TimeoutExceeded,
    current_attempt,
)

PATIENCE = 20.0


def until(is_so):
    """Wait, in real time, for another thread."""
    end = time.monotonic() + PATIENCE
    while not is_so():
        assert time.monotonic() < end, "it did not come to that"
        time.sleep(0.001)


class Gates:
    """A function whose n-th call says that it began, and waits for a word of the test."""

    def __init__(self, count):
        self.began = [threading.Event() for _ in range(count)]
        self.words = [threading.Event() for _ in range(count)]
        self.answers = [None] * count
        self.calls = 0
        self.threads = []

    def call(self):
        number, self.calls = self.calls, self.calls + 1
        self.threads.append(threading.current_thread())
        self.began[number].set()
        assert self.words[number].wait(PATIENCE)
        answer = self.answers[number]
        if isinstance(answer, BaseException):
            raise answer
        return answer

    def say(self, number, answer):
        self.answers[number] = answer
        self.words[number].set()


def test_a_function_that_blocks_gets_its_hedge_when_the_test_moves_the_clock():
    """The loser goes on, keeps its permit until it ends, and its error is counted."""
    clock = MockClock()
    pool = ConcurrencyLimiter(1, clock=clock)
    executor = ResilientExecutor(pool, hedge=Hedge(0.1), clock=clock)
    gates = Gates(2)

    def test():
        assert gates.began[0].wait(PATIENCE)
        until(lambda: clock._sleepers)
        clock.advance(0.1)
        assert gates.began[1].wait(PATIENCE)
        gates.say(1, "fast")

    driver = threading.Thread(target=test)
    driver.start()
    assert executor.run("api", gates.call) == "fast"
    driver.join()

    stats = executor.stats()
    assert (stats.hedges, stats.hedge_wins, stats.left_behind) == (1, 1, 1)
    assert pool.in_flight("api") == 1, "the run is over, and one of its calls is not"
    gates.say(0, OSError("too late"))
    until(lambda: executor.stats().late_errors == 1)
    until(lambda: pool.in_flight("api") == 0)
    assert all(thread.daemon for thread in gates.threads)
    assert threading.current_thread() not in gates.threads


def test_what_a_try_raises_comes_out_with_its_traceback():
    """One sees where it was raised; and nothing else is in between."""
    executor = ResilientExecutor(hedge=Hedge(1.0), clock=MockClock())

    def the_culprit():
        raise LookupError("not there")

    with pytest.raises(LookupError) as raised:
        executor.run("api", the_culprit)
    assert "the_culprit" in [entry.name for entry in raised.traceback]
    assert raised.value.__cause__ is None


def test_system_exit_in_a_try_comes_out_and_counts_as_cancelled():
    """As in the caller's own thread."""
    executor = ResilientExecutor(hedge=Hedge(1.0), clock=MockClock())
    with pytest.raises(SystemExit):
        executor.run("api", sys.exit, 3)
    assert executor.stats().cancelled == 1


def test_a_coroutine_function_is_refused():
    """It would count as a success and never run."""
    executor = ResilientExecutor(hedge=Hedge(1.0), clock=MockClock())

    async def call():
        """Nobody awaits this."""

    with pytest.raises(TypeError, match="AsyncResilientExecutor"):
        executor.run("api", call)


def test_context_variables_are_copied_and_threads_are_used_again():
    """A try sees what its caller has set; one after the other needs one thread."""
    name = contextvars.ContextVar("name")
    executor = ResilientExecutor(hedge=Hedge(1.0), clock=MockClock())
    threads = set()

    def call():
        threads.add(threading.current_thread())
        return name.get()

    for number in range(50):
        name.set(number)
        assert executor.run("api", call) == number
        time.sleep(0.001)
    assert len(threads) < 25


def test_a_clock_of_the_users_own_rings_in_a_thread_beside():
    """It can be neither set nor called off; what it fails with comes out."""

    class Own:
        def __init__(self, error=None):
            self.time = 0.0
            self.error = error

        def now(self):
            return self.time

        def sleep(self, seconds):
            if self.error:
                raise self.error
            self.time += seconds

        async def sleep_async(self, seconds):
            self.sleep(seconds)

    executor = ResilientExecutor(hedge=Hedge(5.0), clock=Own())
    gates = Gates(2)
    gates.say(1, "hedged")
    assert executor.run("api", gates.call) == "hedged"
    gates.say(0, "late")
    until(lambda: executor.stats().late_values == 1)

    executor = ResilientExecutor(hedge=Hedge(5.0), clock=Own(OSError("no time")))
    gates = Gates(1)
    with pytest.raises(OSError, match="no time"):
        executor.run("api", gates.call)
    gates.say(0, "late")
    until(lambda: executor.stats().late_values == 1)


def run_python(program, **options):
    """Run a program in a process of its own."""
    command = [sys.executable, "-c", textwrap.dedent(program)]
    return subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE, **options)


def test_a_try_that_hangs_does_not_keep_the_process():
    """In real time: the hedge answers, the first try hangs, and the program ends."""
    ended = run_python("""
        import threading
        from limitpal import Hedge, ResilientExecutor

        calls = iter([True, False])
        def call():
            if next(calls):
                threading.Event().wait()
            return "fast"

        executor = ResilientExecutor(hedge=Hedge(0.02))
        print(executor.run("api", call), executor.stats().left_behind)
    """)
    assert (ended.stdout, ended.stderr, ended.returncode) == ("fast 1\n", "", 0)


@pytest.mark.skipif(sys.platform == "win32", reason="signals of another kind")
def test_ctrl_c_ends_the_wait_and_leaves_the_tries_behind():
    """In real time: the main thread waits, and a signal comes."""
    ended = run_python("""
        import os, signal, threading
        from limitpal import Hedge, ResilientExecutor

        def call():
            os.kill(os.getpid(), signal.SIGINT)
            threading.Event().wait()

        executor = ResilientExecutor(hedge=Hedge(1000.0))
        try:
            executor.run("api", call)
        except KeyboardInterrupt:
            stats = executor.stats()
            print("ended", stats.cancelled, stats.left_behind)
    """)
    assert (ended.stdout, ended.returncode) == ("ended 1 1\n", 0), ended.stderr


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork")
def test_a_forked_child_has_threads_of_its_own():
    """It has none of its parent's, which may have been idle or at work."""
    ended = run_python("""
        import os, warnings
        warnings.simplefilter("ignore", DeprecationWarning)
        from limitpal import Hedge, ResilientExecutor

        executor = ResilientExecutor(hedge=Hedge(1000.0))
        assert executor.run("api", lambda: 1) == 1
        child = os.fork()
        if child == 0:
            os._exit(0 if executor.run("api", lambda: 2) == 2 else 1)
        _, status = os.waitpid(child, 0)
        print(status, executor.run("api", lambda: 3))
    """)
    assert ended.stdout == "0 3\n", ended.stderr


@given(
    st.lists(st.tuples(st.integers(0, 8), st.booleans()), min_size=3, max_size=3),
    st.integers(1, 4),
)
def test_on_the_mock_clock_threads_are_as_exact_as_a_walk_through_time(lines, delay):
    """Whatever the tries do: who wins, when, and how many there were."""
    clock = MockClock()
    hedge = Hedge(float(delay), max_hedges=2, max_extra_load=1.0)
    executor = ResilientExecutor(hedge=hedge, clock=clock)
    began = []

    def call():
        number = len(began)
        began.append(clock.now())
        after, succeeds = lines[number]
        clock.sleep(float(after))
        if not succeeds:
            raise OSError(number)
        return number

    try:
        outcome = executor.run("api", call)
    except OSError as error:
        outcome = ("failed", error.args[0])

    expected, at, tries = walk(lines, delay)
    assert (outcome, clock.now(), began) == (expected, at, tries)
    assert executor.stats().attempts == len(tries)


def walk(lines, delay):
    """Work out, instant by instant, how an attempt ends, when, and when its tries begin."""
    began, failed = [0.0], []
    for now in range(100):
        while True:
            for number, at in enumerate(began):
                after, succeeds = lines[number]
                if number in failed or at + after > now:
                    continue
                if succeeds:
                    return number, now, began
                failed.append(number)
                if len(failed) == len(began):
                    return ("failed", min(failed)), now, began
            if len(began) == 3 or began[-1] + delay > now:
                break
            began.append(float(now))
    raise AssertionError("it never ends")


def test_a_call_that_hangs_is_left_behind_as_its_time_is_over():
    """`on_threads=True`: it is a failure, and its permit goes back once it has ended."""
    clock = MockClock()
    pool = ConcurrencyLimiter(1, clock=clock)
    breaker = CircuitBreaker(1, clock=clock)
    executor = ResilientExecutor(
        pool, circuit_breaker=breaker, attempt_timeout=1.0, on_threads=True, clock=clock
    )
    gates = Gates(1)

    def test():
        assert gates.began[0].wait(PATIENCE)
        until(lambda: clock._sleepers)
        clock.advance(1.0)

    driver = threading.Thread(target=test)
    driver.start()
    with pytest.raises(TimeoutExceeded) as end:
        executor.run("api", gates.call)
    driver.join()

    assert (end.value.scope, end.value.timeout, end.value.attempts) == ("attempt", 1.0, 1)
    assert breaker.state == "open"
    assert (executor.stats().left_behind, executor.stats().timeouts) == (1, 1)
    assert pool.in_flight("api") == 1
    gates.say(0, "late")
    until(lambda: executor.stats().late_values == 1)
    until(lambda: pool.in_flight("api") == 0)


def test_an_attempt_that_was_left_behind_is_retried():
    """On the mock clock each sleeps for 9 s, and has 1 s."""
    clock = MockClock()
    policy = RetryPolicy(3, base_delay=0.5, backoff=1.0)
    executor = ResilientExecutor(
        retry_policy=policy, attempt_timeout=1.0, timeout=60.0, on_threads=True, clock=clock
    )
    began = []

    def call():
        began.append((current_attempt().number, clock.now()))
        clock.sleep(9.0 if len(began) < 3 else 0.25)
        return "in time"

    assert executor.run("api", call) == "in time"
    assert began == [(1, 0.0), (2, 1.5), (3, 3.0)]
    assert clock.now() == 3.25
    clock.advance(9.0)
    until(lambda: executor.stats().late_values == 2)


def test_the_run_s_time_ends_a_call_and_its_hedges():
    """No hedge begins at the deadline or later."""
    for timeout, tries in [(2.0, 2), (2.5, 3)]:
        clock = MockClock()
        hedge = Hedge(1.0, max_hedges=5)
        executor = ResilientExecutor(hedge=hedge, timeout=timeout, clock=clock)
        began = []

        def call(began=began, clock=clock):
            began.append(clock.now())
            clock.sleep(9.0)

        with pytest.raises(TimeoutExceeded) as end:
            executor.run("api", call)
        assert (end.value.scope, len(began), clock.now()) == ("run", tries, timeout)


def test_on_threads_is_a_flag_and_a_hedge_has_to_begin_in_time():
    """What makes no sense is refused when the executor is made."""
    with pytest.raises(InvalidConfigError, match="on_threads is 1; give True or False"):
        ResilientExecutor(on_threads=1)
    for kind in (ResilientExecutor, AsyncResilientExecutor):
        with pytest.raises(InvalidConfigError, match="less than an attempt may last") as refusal:
            kind(hedge=Hedge(1.0), attempt_timeout=1.0)
        assert refusal.value.parameter == "delay"
        with pytest.raises(InvalidConfigError, match="less than an attempt may last"):
            kind(hedge=Hedge(3.0), timeout=2.0)
        with pytest.raises(InvalidConfigError, match="attempt_timeout is 3"):
            kind(timeout=2.0, attempt_timeout=3.0)
