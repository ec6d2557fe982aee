"""A bulkhead as a user would write it: nobody runs this, type checkers read it."""

from typing_extensions import assert_type

from limitpal import (
    AsyncResilientExecutor,
    Bulkhead,
    ConcurrencyPermit,
    MockClock,
    ResilientExecutor,
)


def length(text: str) -> int:
    return len(text)


async def fetch(text: str) -> int:
    return len(text)


async def forms() -> None:
    bulkhead = Bulkhead(10, max_waiting=5, clock=MockClock())
    Bulkhead(10, None)
    assert_type(bulkhead.call(length, "a"), int)
    assert_type(await bulkhead.call_async(fetch, "a"), int)
    assert_type(await bulkhead.call_async(length, "a"), int)
    assert_type(bulkhead(length)("a"), int)
    assert_type(await bulkhead(fetch)("a"), int)
    assert_type(bulkhead.try_acquire(), ConcurrencyPermit | None)
    with bulkhead as entered, bulkhead.acquire(timeout=1) as permit:
        assert_type(entered, Bulkhead)
        assert_type(permit, ConcurrencyPermit)
    async with bulkhead, bulkhead.acquire_async(1.5) as permit:
        assert_type(permit, ConcurrencyPermit)
    assert_type(await bulkhead.acquire_async(), ConcurrencyPermit)
    assert_type((bulkhead.in_flight(), bulkhead.waiting()), tuple[int, int])
    assert_type((bulkhead.limit, bulkhead.max_waiting), tuple[int, int | None])
    bulkhead.set_limit(3)
    bulkhead.call(length, 7)  # type: ignore[arg-type]
    assert_type(ResilientExecutor(bulkhead=bulkhead).run("k", length, "a"), int)
    assert_type(await AsyncResilientExecutor(bulkhead=bulkhead).run("k", fetch, "a"), int)
