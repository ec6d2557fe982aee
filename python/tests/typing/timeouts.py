"""Timeouts and attempts, as type checkers see them."""

from typing_extensions import assert_type

from limitpal import (
    AsyncResilientExecutor,
    Attempt,
    ResilientExecutor,
    RetryPolicy,
    TimeoutExceeded,
    current_attempt,
)


def attempts() -> None:
    """What an attempt says, in a run and in a loop."""
    attempt = current_attempt()
    assert_type(attempt, Attempt)
    assert_type(attempt.number, int)
    assert_type(attempt.elapsed, float)
    assert_type(attempt.last_error, BaseException | None)
    assert_type(attempt.deadline, float | None)
    assert_type(attempt.remaining(), float | None)
    for block in RetryPolicy().attempts():
        same: Attempt = block
        assert_type(same.number, int)


def hooks() -> None:
    """Each is told of an attempt."""
    RetryPolicy(
        before_attempt=lambda attempt: print(attempt.number),
        after_attempt=lambda attempt, error: print(attempt.elapsed, error),
        before_wait=lambda attempt, delay: print(attempt.last_error, delay + 0.5),
    )


def executors() -> None:
    """Both take both."""
    ResilientExecutor(timeout=9.0, attempt_timeout=3)
    AsyncResilientExecutor(timeout=9.0, attempt_timeout=3)
    ResilientExecutor(timeout="9 s")  # type: ignore[arg-type]
    assert_type(TimeoutExceeded().timeout, float | None)
    error: TimeoutError = TimeoutExceeded()
    raise error
