"""Every error LimitPal raises.

LimitPalError
├── RateLimitExceeded     no quota in time
├── BulkheadFull          as many are at it as may be
├── CircuitBreakerOpen    the circuit refuses
├── RetryExhausted        a run stopped after an error worth another attempt
├── TimeoutExceeded       the time of a run or an attempt is over (also a TimeoutError)
├── UnknownName           a registry has nothing of this name (also a KeyError)
└── InvalidConfigError    an argument makes no sense (also a ValueError)
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ._explain import Explanation


class LimitPalError(Exception):
    """The base of every error LimitPal raises."""

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle by the attributes, if what they carry does."""
        return _restore, (type(self), self.args, self.__dict__.copy())

    def explain(self) -> Explanation:
        """Say which part refused, how it stood, and what would change that: `limitpal.explain`."""
        from ._explain import explain

        return explain(self)


def _restore(
    cls: type[LimitPalError], args: tuple[Any, ...], state: dict[str, Any]
) -> LimitPalError:
    error = cls.__new__(cls, *args)
    error.args = args
    error.__dict__.update(state)
    return error


class RateLimitExceeded(LimitPalError):
    """There is no quota within the time one was willing to wait; no limiter of ours took any.

    `key` is the key as text. `retry_after` is the time in seconds until `acquire(timeout=0)` would
    succeed if nobody else takes: `inf` when never, `None` when it cannot be known.

    `limiter` is the kind of limiter that has refused, `cost` what was asked for, `limit` and
    `remaining` how it stood; each None where that is not known.
    """

    limiter: str | None = None
    cost: int | None = None
    limit: int | None = None
    remaining: int | None = None

    def __init__(
        self,
        message: str = "rate limit exceeded",
        key: str | None = None,
        retry_after: float | None = None,
    ) -> None:
        super().__init__(message)
        self.key = key
        self.retry_after = retry_after


class BulkheadFull(LimitPalError):
    """As many are at it as may be, and nobody else may wait, or has waited long enough.

    It is no `RateLimitExceeded`: what answers those by "come back in so many seconds" has nothing
    to say here. `key` is that of the run, None outside of one; `retry_after` is None: nobody can
    say when a place is given back.
    """

    def __init__(
        self,
        message: str = "bulkhead is full",
        key: str | None = None,
        retry_after: float | None = None,
    ) -> None:
        super().__init__(message)
        self.key = key
        self.retry_after = retry_after


class CircuitBreakerOpen(LimitPalError):
    """The circuit is open, or its probes are all out; the function was not called.

    `retry_after` is the time in seconds until the circuit may admit. `reason` is one of `"open"`,
    `"probing"` (half-open, its probes are out), `"ramp"` and `"forced"`; `trips` is how often it
    had opened since it last recovered, `failures` how many in a row there were when it did.
    """

    def __init__(
        self,
        message: str = "circuit breaker is open",
        retry_after: float | None = None,
        reason: str | None = None,
        trips: int | None = None,
        failures: int | None = None,
    ) -> None:
        super().__init__(message)
        self.retry_after = retry_after
        self.reason = reason
        self.trips = trips
        self.failures = failures


class RetryExhausted(LimitPalError):
    """A run stopped after an error that was worth another attempt.

    `last_error` is that error, the `__cause__` too. Where the last attempt gave a value that
    `retry_on_result` turned down, it is None and `last_result` that value. `reason` is one of
    `"attempts"` (they are used up), `"circuit_open"`, `"rate_limited"` (there was no quota for
    another), `"bulkhead_full"` (no place for another), `"elapsed"` (there was no time left for
    another), `"deadline"` (another would begin at the run's deadline or later) and `"budget"` (the
    retry budget has no other).
    """

    def __init__(
        self,
        message: str = "retry attempts exhausted",
        attempts: int | None = None,
        last_error: Exception | None = None,
        reason: str | None = None,
        last_result: object = None,
    ) -> None:
        super().__init__(message)
        self.attempts = attempts
        self.last_error = last_error
        self.reason = reason
        self.last_result = last_result


class TimeoutExceeded(LimitPalError, TimeoutError):
    """The time of a run is over, or that of an attempt.

    `scope` is `"run"` or `"attempt"`, and `timeout` how many seconds that could have lasted: for a
    run within an attempt, what was left of the attempt. `attempts` is how often the function was
    called; after 0 the error says nothing about the other side.
    """

    def __init__(
        self,
        message: str = "timeout exceeded",
        timeout: float | None = None,
        scope: str | None = None,
        attempts: int | None = None,
    ) -> None:
        super().__init__(message)
        self.timeout = timeout
        self.scope = scope
        self.attempts = attempts


class InvalidConfigError(LimitPalError, ValueError):
    """An argument makes no sense: `parameter` names it, `value` is what was given.

    `reason` says what to give instead.
    """

    def __init__(
        self,
        message: str = "invalid configuration",
        parameter: str | None = None,
        value: object = None,
        reason: str | None = None,
    ) -> None:
        super().__init__(message)
        self.parameter = parameter
        self.value = value
        self.reason = reason


class UnknownName(LimitPalError, KeyError):
    """A registry has nothing of this `name`; `nearest` was perhaps meant, or is None."""

    def __init__(
        self,
        message: str = "there is nothing of this name",
        name: object = None,
        nearest: str | None = None,
    ) -> None:
        super().__init__(message)
        self.name = name
        self.nearest = nearest

    # A KeyError shows the repr of its message.
    __str__ = Exception.__str__
