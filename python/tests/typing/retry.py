"""What type checkers make of retry policies."""

from __future__ import annotations

from typing_extensions import assert_type

from limitpal import Constant, RetryPolicy


class Upstream(Exception):
    """An error of the user's."""


def retry_policy() -> None:
    policy = RetryPolicy(max_attempts=5, base_delay=0.1, max_delay=2, backoff=2, jitter=0.1, seed=7)
    RetryPolicy(retry_on=(Upstream, TimeoutError))
    RetryPolicy(retry_on=Upstream)
    RetryPolicy(retry_on=[Upstream])
    assert_type(policy.max_attempts, int | None)
    assert_type(policy.base_delay, float)
    assert_type(policy.next_delay(3), float)
    assert_type(policy.should_retry(Upstream(), 1), bool)
    assert_type(policy == RetryPolicy(), bool)
    assert_type({policy: "patient"}[policy], str)
    RetryPolicy(
        None,
        jitter="full",
        delays=[1, 2.5],
        delays_for={Upstream: Constant(2.0)},
        retry_if=bool,
        delay_from=lambda error: None,
        max_elapsed=60,
    )
    RetryPolicy(delays_for={OSError: lambda attempt: attempt + 1.0})
    RetryPolicy(retry_on=Upstream())  # type: ignore[arg-type]
    RetryPolicy(jitter="half")  # type: ignore[arg-type]
    RetryPolicy(3, 0.1, 5.0, 2.0, 0.0, (Upstream,), 7)  # type: ignore[call-arg, arg-type]
