"""Tasks that wait for a permit, and who went when."""

from __future__ import annotations

import asyncio

from driving import settle
from limitpal import AsyncConcurrencyLimiter


class Crew:
    """Tasks that acquire from one limiter, who went in order, and their permits."""

    def __init__(self, limiter) -> None:
        self.limiter = limiter
        self.tasks = {}
        self.order = []
        self.permits = {}

    async def join(self, name, **asked):
        async def wait():
            self.permits[name] = await self.limiter.acquire("k", **asked)
            self.order.append(name)

        self.tasks[name] = asyncio.ensure_future(wait())
        await settle()

    async def release(self, name):
        self.permits.pop(name).release()
        await settle()

    async def finish(self):
        """Let all go that can; nobody is left."""
        while self.permits:
            await self.release(next(iter(self.permits)))
        await asyncio.wait_for(asyncio.gather(*self.tasks.values(), return_exceptions=True), 1)
        assert len(self.limiter) == 0, "a permit was lost"


async def line(limit=1, names="abcd", **options):
    """Let one hold all there is, and the others wait, in their order."""
    limiter = AsyncConcurrencyLimiter(limit, **options)
    crew = Crew(limiter)
    await crew.join("holder", cost=limit)
    for name in names:
        await crew.join(name)
    return limiter, crew
