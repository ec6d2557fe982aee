"""Fallbacks and caches as a user would write them: nobody runs this, type checkers read it."""

from typing_extensions import assert_type

from limitpal import AsyncResilientExecutor, Cache, CacheStats, Fallback, ResilientExecutor


def length(text: str) -> int:
    return len(text)


async def fetch(text: str) -> int:
    return len(text)


async def later(error: Exception) -> str:
    return str(error)


async def forms() -> None:
    Fallback(None)
    Fallback([], on=(KeyError, OSError))
    Fallback(value=0, on=lambda error: "down" in str(error))
    fallback = Fallback(func=later, on=TimeoutError)
    Fallback(func=3)  # type: ignore[arg-type]
    Fallback(1, on=KeyboardInterrupt)
    assert_type(fallback.covers(KeyError()), bool)
    cache = Cache(60, max_entries=10, stale_for=1.5, key=length)
    assert_type(cache.stats(), CacheStats)
    assert_type(cache.stats().hits, int)
    assert_type(cache.invalidate("a"), bool)
    assert_type(cache.invalidate_call("k", length, "a"), bool)
    assert_type(len(cache), int)
    cache.clear()
    assert_type(ResilientExecutor(fallback=fallback, cache=cache).run("k", length, "a"), int)
    executor = AsyncResilientExecutor(fallback=fallback, cache=cache)
    assert_type(await executor.run("k", fetch, "a"), int)
    ResilientExecutor(cache=3)  # type: ignore[arg-type]
