"""token-bucket: the fastest limiter in pure Python."""

from __future__ import annotations

from token_bucket import Limiter, MemoryStorage
from turns.statement import Statement, statement


def allow() -> Statement:
    """Take one token."""
    limiter = Limiter(rate=1_000_000, capacity=4_000_000_000, storage=MemoryStorage())
    return statement("consume(key)", consume=limiter.consume)


def allow_refused() -> Statement:
    """Ask an empty bucket."""
    limiter = Limiter(rate=1e-6, capacity=1, storage=MemoryStorage())
    return statement("consume(key)", consume=limiter.consume)
