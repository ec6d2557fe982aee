"""The limits that find themselves, as a user would write them: only type checkers read it."""

from typing_extensions import assert_type

from limitpal import (
    AdaptiveConcurrency,
    AdaptiveLimiter,
    AsyncAdaptiveLimiter,
    ClientThrottle,
    MockClock,
    Rate,
)


def price(item: int, currency: str = "EUR") -> float:
    """A plain function of the user's."""
    return float(item)


async def fetch(item: int, currency: str = "EUR") -> bytes:
    """A coroutine function of the user's."""
    return currency.encode() * item


def client_throttle() -> None:
    throttle = ClientThrottle(2, 120, max_rejection=0.9, seed=7, clock=MockClock())
    ClientThrottle(reject_on=(KeyError,))
    ClientThrottle(reject_on=KeyError)
    if throttle.allow():
        throttle.record_accept()
        throttle.record_rejection()
    assert_type(throttle.requests, int)
    assert_type(throttle.accepts, int)
    assert_type(throttle.rejection_probability, float)
    throttle.reset()
    assert_type(throttle.call(price, 3, currency="USD"), float)
    throttle.call(price, "3")  # type: ignore[arg-type]
    ClientThrottle(2.0, 120.0, 0.9)  # type: ignore[call-arg]


async def client_throttle_async() -> None:
    throttle = ClientThrottle()
    assert_type(await throttle.call_async(fetch, 3, currency="USD"), bytes)
    assert_type(await throttle.call_async(price, 3), float)
    await throttle.call_async(fetch, "3")  # type: ignore[call-overload]


def adaptive_concurrency() -> None:
    limiter = AdaptiveConcurrency("vegas", min=2, max=50, initial=10, drop_on=TimeoutError, seed=7)
    AdaptiveConcurrency(clock=MockClock(), drop_on=(TimeoutError, KeyError))
    AdaptiveConcurrency("bbr")  # type: ignore[arg-type]
    assert_type(limiter.limit, int)
    assert_type(limiter.in_flight, int)
    with limiter.acquire() as permit:
        permit.success()
    other = limiter.try_acquire()
    if other is not None:
        other.dropped()
        other.ignore()
    limiter.try_acquire().success()  # type: ignore[union-attr]
    shared = AdaptiveConcurrency(partitions={"live": 0.8, "batch": 0.2})
    with shared.acquire("live"):
        assert_type(shared.in_flight_of("live"), int)
    assert_type(shared.places_of("batch"), int)
    shared.acquire(7)  # type: ignore[arg-type]


def adaptive_limiter() -> None:
    limiter = AdaptiveLimiter(100, MockClock(), 300.0, 10_000, algorithm="aimd", increase=2)
    AdaptiveLimiter(Rate(100), min_rate=Rate(1), throttled_on=(TimeoutError, KeyError), burst=5)
    AdaptiveLimiter(100, algorithm="bbr")  # type: ignore[arg-type]
    AdaptiveLimiter()  # type: ignore[call-arg]
    limiter.record_success("api")
    limiter.record_throttled(7)
    assert_type(limiter.rate("api"), float)
    assert_type(limiter.call("api", price, 3, currency="USD"), float)
    limiter.call("api", price, "3")  # type: ignore[arg-type]
    assert_type(limiter.allow("api"), bool)


async def adaptive_limiter_async() -> None:
    limiter = AsyncAdaptiveLimiter(100, initial_rate=10, throttled_on=TimeoutError)
    assert_type(await limiter.call("api", fetch, 3, currency="USD"), bytes)
    assert_type(await limiter.call("api", price, 3), float)
    await limiter.call("api", fetch, "3")  # type: ignore[call-overload]
    assert_type(limiter.rate(), float)
    limiter.record_throttled()
    assert_type(await limiter.allow("api"), bool)
