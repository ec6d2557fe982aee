"""Tasks that acquire permits of a concurrency limiter as a conformance case says."""

from __future__ import annotations

import asyncio
from typing import Any

import limitpal
from conformance_cases import Fields, Step, WrongCase, decimal, nanos, seconds
from conformance_crowd import cancelled, granted, refused
from conformance_parts import Limiter, now
from driving import ASYNC, settle


class Permits:
    """Those who came, on the mock clock, and the permits they have."""

    def __init__(self, spec: Fields) -> None:
        self.clock = limitpal.MockClock(autojump=False)
        options: dict[str, Any] = dict(spec)
        table, beside = options.pop("key_by", None), options.pop("beside", [])
        if table is not None:
            options["key_by"] = lambda key: table.get(key, key)
        self.limiter = limitpal.AsyncConcurrencyLimiter(clock=self.clock, **options)
        self.beside = [Limiter(part, self.clock, ASYNC) for part in beside]
        # What is asked: the limiter alone, or with the others.
        self.asked: Any = self.limiter
        if beside:
            rates = [part.own for part in self.beside]
            self.asked = limitpal.AsyncCompositeLimiter([*rates, self.limiter])
        self.outcomes: list[Fields] = []
        self._held: dict[str, Any] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}

    async def take(self, step: Step) -> None:
        """Run one line of a case."""
        what, at = step.take("do"), nanos(step.take("at"))
        await self.clock.run_for((at - now(self.clock)) / 1e9)
        step.compare(await self._do(what, step))
        await settle()

    async def _do(self, what: str, step: Step) -> Fields:
        if what == "acquire":
            name, timeout = step.take("as"), step.take("timeout", None)
            asked = {**ask(step), "timeout": None if timeout is None else seconds(timeout)}
            self._tasks[name] = asyncio.ensure_future(self._acquire(name, asked))
        elif what == "try_acquire":
            name, permit = step.take("as"), await self.asked.try_acquire(**ask(step))
            if permit is not None:
                self._held[name] = permit
            return {"admitted": permit is not None}
        elif what == "release":
            self._held.pop(step.take("who")).release()
        elif what == "cancel":
            self._tasks[step.take("who")].cancel()
        elif what == "set_limit":
            await self.limiter.set_limit(step.take("limit"))
        else:
            return {what: await self._look(what, step)}
        return {}

    async def _look(self, what: str, step: Step) -> object:
        if what == "len":
            return len(self.limiter)
        if what == "tokens":
            part = self.beside[step.take("part")].own
            return decimal(await part.get_tokens(step.take("key")))
        key = step.take("key")
        if what == "contains":
            return key in self.limiter
        if what not in ("in_flight", "waiting"):
            raise WrongCase(f"nothing is called `{what}` here")
        return await getattr(self.limiter, what)(key)

    async def _acquire(self, name: str, asked: Fields) -> None:
        try:
            self._held[name] = await self.asked.acquire(**asked)
        except limitpal.RateLimitExceeded as refusal:
            self.outcomes.append(refused(name, self.clock, refusal))
        except asyncio.CancelledError:
            self.outcomes.append(cancelled(name, self.clock))
        else:
            self.outcomes.append(granted(name, self.clock))

    async def finish(self) -> None:
        """Nobody may wait any more."""
        left = [name for name, task in self._tasks.items() if not task.done()]
        for task in self._tasks.values():
            task.cancel()
        await asyncio.gather(*self._tasks.values(), return_exceptions=True)
        if left:
            raise WrongCase(f"{left} wait longer than written; till then {self.outcomes}")


def ask(step: Step) -> Fields:
    """Take the key and the cost out of a step."""
    return {"key": step.take("key"), "cost": step.take("cost", 1)}


async def let_in(case: Fields) -> None:
    """Run a case."""
    permits = Permits(case["limiter"])
    for step in map(Step, case["steps"]):
        await permits.take(step)
    await permits.finish()
    assert permits.outcomes == case["outcomes"]
