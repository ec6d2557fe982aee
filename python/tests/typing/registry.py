"""`Registry` and `from_dict` in use: nobody runs this, type checkers read it."""

from typing_extensions import assert_type

from limitpal import (
    AsyncResilientExecutor,
    AsyncTokenBucket,
    CircuitBreaker,
    ExecutorStats,
    MockClock,
    Registry,
    ResilientExecutor,
    RetryPolicy,
    TokenBucket,
)


def registries() -> None:
    registry = Registry()
    assert_type(registry, Registry[ResilientExecutor])
    assert_type(registry.add("users", ResilientExecutor()), ResilientExecutor)
    assert_type(registry["users"], ResilientExecutor)
    assert_type(registry["users"].run("k", lambda: 7), int)
    assert_type(registry.get_or_create("users", ResilientExecutor), ResilientExecutor)
    assert_type(registry.get_or_create("users", {"limiter": "5/s"}), ResilientExecutor)
    assert_type(registry.stats(), dict[str, ExecutorStats])
    assert_type(registry.get("pages"), ResilientExecutor | None)
    assert_type(registry.remove("users"), ResilientExecutor)
    for name in registry:
        assert_type(name, str)
    others = Registry(AsyncResilientExecutor)
    assert_type(others["users"], AsyncResilientExecutor)
    made = Registry.from_dict({"users": {"limiter": "5/s"}})
    assert_type(made, Registry[ResilientExecutor])
    assert_type(Registry.from_dict({}, AsyncResilientExecutor), Registry[AsyncResilientExecutor])
    registry.add("users", AsyncResilientExecutor())  # type: ignore[arg-type]
    Registry(int)  # type: ignore[type-var]


def dicts() -> None:
    settings = {"limiter": "5/s", "retry_policy": {"max_attempts": 3}}
    assert_type(ResilientExecutor.from_dict(settings), ResilientExecutor)
    made = AsyncResilientExecutor.from_dict(settings, clock=MockClock(), names={"E": KeyError})
    assert_type(made, AsyncResilientExecutor)
    assert_type(TokenBucket.from_dict({"rate": "5/s"}), TokenBucket)
    assert_type(AsyncTokenBucket.from_dict({"rate": "5/s"}), AsyncTokenBucket)
    assert_type(RetryPolicy.from_dict({}), RetryPolicy)
    assert_type(CircuitBreaker.from_dict({}), CircuitBreaker)
    ResilientExecutor.from_dict(5)  # type: ignore[arg-type]
