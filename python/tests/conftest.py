"""Fixtures that all tests share: the two flavours, a clock in the hand, quiet hypothesis."""

from __future__ import annotations

import signal

import pytest
from hypothesis import HealthCheck, settings

import limitpal
from driving import BOTH, Flavour

# The same examples in every run: a red law is red for everybody.
settings.register_profile(
    "limitpal",
    derandomize=True,
    database=None,
    deadline=None,
    max_examples=60,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.differing_executors],
)
settings.load_profile("limitpal")

# Whoever runs the tests in the background may have them ignore Ctrl-C, and what they start too.
signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(params=BOTH, ids=lambda flavour: flavour.name)
def flavour(request: pytest.FixtureRequest) -> Flavour:
    """The sync classes, then the async ones: where the claim is the same, so is the body."""
    return request.param


@pytest.fixture
def clock() -> limitpal.MockClock:
    """A mock clock at zero; it jumps when everybody waits, so nothing hangs."""
    return limitpal.MockClock()


@pytest.fixture
def still() -> limitpal.MockClock:
    """A mock clock that moves only when the test moves it."""
    return limitpal.MockClock(autojump=False)
