"""Runs through an executor whose function does what a conformance case says."""

from __future__ import annotations

import asyncio
from typing import Any

import limitpal
from conformance_cases import Fields, Step, WrongCase, decimal, nanos, seconds, written
from conformance_crowd import ParkedClock
from conformance_parts import Limiter, breaker, hedge, move_to, now, policy
from driving import ASYNC, SYNC, settle


class Flaky(Exception):
    """A retryable error: `error`."""


class Ignored(Flaky):
    """A retryable error that the breaker ignores: `ignored`."""


class Fatal(Exception):
    """An error that is not retryable: `fatal`."""


KINDS = {"error": Flaky, "ignored": Ignored, "fatal": Fatal, "refusal": limitpal.RateLimitExceeded}
WORDS = {kind: word for word, kind in KINDS.items()} | {limitpal.TimeoutExceeded: "timeout"}


class Script:
    """A function that does what a case says at each attempt, and notes when it was called."""

    def __init__(self, lines: list[str], clock: Any) -> None:
        self.clock = clock
        self.attempts: list[str] = []
        self.cut: list[str] = []
        self.raised: list[BaseException] = []
        self.left = [line.split(" after ") for line in lines]

    def _begin(self) -> tuple[str, float]:
        self.attempts.append(written(now(self.clock)))
        if not self.left:
            raise AssertionError("the function was called once more than the script has")
        what, *takes = self.left.pop(0)
        return what, seconds(takes[0]) if takes else 0.0

    def _end(self, what: str) -> str:
        if what != "ok":
            self.raised.append(KINDS[what]())
            raise self.raised[-1]
        return "value"

    def block(self) -> str:
        """Be the sync function."""
        what, takes = self._begin()
        if takes:
            self.clock.sleep(takes)
        return self._end(what)

    async def wait(self) -> str:
        """Be the async function."""
        what, takes = self._begin()
        if takes:
            try:
                await self.clock.sleep_async(takes)
            except asyncio.CancelledError:
                self.cut.append(written(now(self.clock)))
                raise
        return self._end(what)

    def ended(self, error: BaseException | None) -> Fields:
        """Return how the run ended."""
        return {**self._result(error), "ended_at": written(now(self.clock))}

    def _result(self, error: BaseException | None) -> Fields:
        if error is None:
            return {"result": "ok"}
        if any(error is raised for raised in self.raised):
            return {"result": WORDS[type(error)]}
        if isinstance(error, limitpal.RateLimitExceeded):
            return {"result": "rate_limited", "retry_after": decimal(error.retry_after)}
        if isinstance(error, limitpal.CircuitBreakerOpen):
            return {"result": "circuit_open", "retry_after": decimal(error.retry_after)}
        if isinstance(error, limitpal.BulkheadFull):
            return {"result": "bulkhead_full"}
        if isinstance(error, limitpal.TimeoutExceeded):
            return {"result": "timeout", "scope": error.scope, "attempts_made": error.attempts}
        if isinstance(error, limitpal.RetryExhausted):
            assert error.last_error is error.__cause__
            timed_out = isinstance(error.last_error, limitpal.TimeoutExceeded)
            assert timed_out or error.last_error is self.raised[-1]
            return {
                "result": "retry_exhausted",
                "reason": error.reason,
                "attempts_made": error.attempts,
                "last_error": WORDS[type(error.last_error)],
            }
        raise error


class Bench:
    """The parts of a case, and an executor over them."""

    def __init__(self, case: Fields, mode: str) -> None:
        self.mode = mode
        self.others: list[limitpal.ConcurrencyPermit] = []
        meanwhile = any("meanwhile" in step for step in case["steps"])
        self.clock: Any = ParkedClock()
        if mode != "threads":
            self.clock = limitpal.MockClock(autojump=not meanwhile)
        self.limiter = self.breaker = retry = None
        if "limiter" in case:
            flavour = ASYNC if mode == "async" else SYNC
            self.limiter = Limiter(case["limiter"], self.clock, flavour)
        if "breaker" in case:
            self.breaker = breaker(case["breaker"], self.clock, ignore=(Ignored,))
        if "retry" in case:
            spec = dict(case["retry"])
            timeouts = (limitpal.TimeoutExceeded,) if spec.pop("retry_timeouts", True) else ()
            retry = policy(spec, retry_on=(Flaky, *timeouts))
        self.bulkhead: Any = None
        if "bulkhead" in case:
            self.bulkhead = limitpal.Bulkhead(**case["bulkhead"])
        times = ("acquire_timeout", "timeout", "attempt_timeout")
        options: Any = {name: seconds(case[name]) for name in times if name in case}
        if "hedge" in case:
            options["hedge"] = hedge(case["hedge"])
        cls = limitpal.ResilientExecutor
        if mode == "async":
            cls = limitpal.AsyncResilientExecutor
        self.executor: Any = cls(
            self.limiter and self.limiter.own,
            retry,
            self.breaker,
            self.clock,
            charge=case.get("charge", "call"),
            bulkhead=self.bulkhead,
            **options,
        )

    async def take(self, step: Step) -> None:
        """Take one step of the case."""
        what, at = step.take("do"), nanos(step.take("at"))
        self._move_to(at)
        if what == "run":
            step.compare(await self._run(step))
        elif what == "state":
            step.compare({"state": self._breaker().state})
        elif what == "record_failure":
            self._breaker().record_failure()
            step.compare({})
        elif what in ("enter", "leave"):
            self._come_or_go(what)
            step.compare({})
        elif what == "stats":
            stats = self.executor.stats()
            step.compare({name: getattr(stats, name) for name in step.left})
        elif what == "in_flight" and self.bulkhead is not None:
            step.compare({"in_flight": self.bulkhead.in_flight()})
        elif self.limiter is not None:
            step.compare(await self.limiter.target(step).observe(what, step))
        else:
            raise WrongCase(f"nothing is called `{what}` here")

    def _breaker(self) -> limitpal.CircuitBreaker:
        assert self.breaker is not None, "this case has no breaker"
        return self.breaker

    def _come_or_go(self, what: str) -> None:
        """Let somebody else take a place in the bulkhead, or give it back."""
        if what == "enter":
            self.others.append(self.bulkhead.acquire(timeout=0))
        else:
            self.others.pop().release()

    def _move_to(self, at: int) -> None:
        if self.mode == "threads":
            self.clock.move_to(at)
        else:
            move_to(self.clock, at)

    def _happen(self, event: Fields) -> None:
        if event["do"] == "record_failure":
            self._breaker().record_failure()
        elif event["do"] in ("enter", "leave"):
            self._come_or_go(event["do"])
        else:
            assert event["do"] == "breaker_allow"
            assert self._breaker().allow(), "somebody else was refused by the breaker"
        assert set(event) == {"at", "do"}

    async def _run(self, step: Step) -> Fields:
        key, script = step.take("key"), Script(step.take("script"), self.clock)
        if self.mode != "async":
            step.take("cut", None)  # who has lost is left behind
        events = step.take("meanwhile", [])
        run = {"sync": self._run_sync, "async": self._run_async, "threads": self._run_thread}
        seen = await run[self.mode](key, script, events, step)
        if script.left:
            raise WrongCase(f"{step.whole}\nthe script has {script.left} left; {seen}")
        return {**seen, "attempts": script.attempts, "cut": script.cut}

    async def _run_sync(self, key: str, script: Script, events: Any, step: Step) -> Fields:
        assert not events, "with one thread nobody else does anything meanwhile"
        try:
            assert self.executor.run(key, script.block) == "value"
        except Exception as error:
            return script.ended(error)
        return script.ended(None)

    async def _run_async(self, key: str, script: Script, events: Any, step: Step) -> Fields:
        async def run() -> Fields:
            try:
                assert await self.executor.run(key, script.wait) == "value"
            except Exception as error:
                return script.ended(error)
            return script.ended(None)

        if not events:
            return await run()
        task = asyncio.ensure_future(run())
        await settle()
        for event in events:
            await self.clock.run_for((nanos(event["at"]) - now(self.clock)) / 1e9)
            self._happen(event)
        await self.clock.run_for((nanos(step.whole["ended_at"]) - now(self.clock)) / 1e9)
        if not task.done():
            task.cancel()
            await settle()
            raise WrongCase(f"{step.whole}\nthe run lasts longer than written")
        return task.result()

    async def _run_thread(self, key: str, script: Script, events: Any, step: Step) -> Fields:
        ended: list[Fields] = []

        def run() -> None:
            try:
                assert self.executor.run(key, script.block) == "value"
            except Exception as error:
                ended.append(script.ended(error))
            else:
                ended.append(script.ended(None))

        self.clock.start(run)
        for event in events:
            self.clock.move_to(nanos(event["at"]))
            self._happen(event)
        while not ended:
            deadline = self.clock.next_deadline()
            assert deadline is not None, "the run waits for nothing"
            self.clock.move_to(deadline)
        return ended[0]
