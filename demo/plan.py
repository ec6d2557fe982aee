"""One showing as numbers: who asks how often, and what the provider does to them."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Plan:
    """What both clients face alike. All times are seconds from the start of a client's turn."""

    requests: int = 300
    seed: int = 7
    outage: float = 3.0
    bursts: int = 5
    burst_gap: float = 2.0
    outage_start: float = 3.8
    window: float = 1.0
    failure_share: float = 0.08
    slow_share: float = 0.10
    quick_answer: float = 0.02
    slow_answer: float = 0.40
    tries: int = 4
    recovery_timeout: float = 1.0
    patience: float = 30.0
    """A job that the open breaker turns away comes again for so long, then it has failed."""

    @property
    def quota(self) -> int:
        """Requests the provider serves in any window; on average just what is asked for.

        It grows with the number of requests, so that a showing takes about as long with many.
        """
        return round(self.requests * self.window / (self.bursts * self.burst_gap))

    @property
    def burst(self) -> int:
        """The tokens our limiter keeps for a burst."""
        return max(1, self.quota // 10)

    @property
    def refill_rate(self) -> float:
        """Our limiter's tokens per second.

        A window admits at most `burst + refill_rate * window`: nine tenths of the quota.
        The last tenth is for the network, which delivers some requests closer together.
        """
        return 0.8 * self.quota / self.window

    @property
    def outage_end(self) -> float:
        """When the provider is back."""
        return self.outage_start + self.outage

    def in_outage(self, elapsed: float) -> bool:
        """Returns whether the provider is down so many seconds into a turn."""
        return self.outage_start <= elapsed < self.outage_end

    def arrival(self, number: int) -> float:
        """Returns when job `number` (from 0) comes up: jobs come in bursts, as jobs do."""
        return self.burst_gap * (number * self.bursts // self.requests)
