"""What type checkers see of a circuit breaker's options, forms and callbacks; never run."""

from typing import Literal

from typing_extensions import assert_type

from limitpal import CircuitBreaker, ConsecutiveFailures, FailureRate, SlowCallRate


def price(amount: int, *, currency: str) -> float:
    return amount * len(currency) / 3


async def fetch(number: int) -> bytes:
    return bytes(number)


def circuit_breaker(breaker: CircuitBreaker) -> None:
    breaker.record_success(took=1.5)
    breaker.force_open()
    assert_type(breaker.mode, Literal["enforce", "shadow", "disabled", "forced_open"])
    assert_type(breaker(price)(3, currency="USD"), float)
    with breaker as entered:
        assert_type(entered, CircuitBreaker)
    CircuitBreaker(
        trip_on=(ConsecutiveFailures(10), FailureRate(0.5, window=60.0), SlowCallRate(0.5, 2.0)),
        ramp=(0.1, 0.5),
        failure_on=lambda error: isinstance(error, KeyError),
        failure_on_result=lambda result: result is None,
    )
    CircuitBreaker(trip_on=FailureRate(0.5, calls=10))
    CircuitBreaker(trip_on=0.5)  # type: ignore[arg-type]

    @breaker.on_transition
    def changed(old: str, new: str) -> None: ...

    assert_type(breaker.remove_callback(changed), bool)

    @breaker.on_refused
    def refused(retry_after: float | None) -> None: ...

    assert_type(breaker.remove_callback(refused), bool)
    breaker.on_success(changed)  # type: ignore[type-var]


async def circuit_breaker_async(breaker: CircuitBreaker) -> None:
    assert_type(await breaker(fetch)(3), bytes)
    async with breaker as entered:
        assert_type(entered, CircuitBreaker)
