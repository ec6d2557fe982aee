"""A hard provider: a real HTTP server on loopback with a quota, bad luck and an outage."""

from __future__ import annotations

import asyncio
import json
import math
import random
import socket
import threading
import time
from collections import Counter, deque
from collections.abc import Awaitable, Callable, MutableMapping
from types import TracebackType
from typing import Any

import uvicorn

from demo.plan import Plan

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]


class Shift:
    """What the provider does and writes in its books while one client has its turn."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.started = time.monotonic()
        self.received = 0
        self.into_outage = 0
        self.statuses: Counter[int] = Counter()
        self._random = random.Random(plan.seed)
        self._served: deque[float] = deque()

    async def answer(self) -> tuple[int, float | None]:
        """Returns the status of one request, and its `Retry-After` where it has one."""
        status, retry_after = await self._decide()
        self.statuses[status] += 1
        return status, retry_after

    async def _decide(self) -> tuple[int, float | None]:
        now = time.monotonic()
        self.received += 1
        if self.plan.in_outage(now - self.started):
            self.into_outage += 1
            return 503, None
        wait = self._over_quota(now)
        if wait is not None:
            return 429, wait
        slow = self._random.random() < self.plan.slow_share
        lucky = self._random.random() >= self.plan.failure_share
        await asyncio.sleep(self.plan.slow_answer if slow else self.plan.quick_answer)
        return (200 if lucky else 503), None

    def _over_quota(self, now: float) -> float | None:
        """Counts the request, or returns how long until there is quota for it.

        Every request that is let in counts, also one that ends in a 503.
        """
        while self._served and self._served[0] <= now - self.plan.window:
            self._served.popleft()
        if len(self._served) >= self.plan.quota:
            return self._served[0] + self.plan.window - now
        self._served.append(now)
        return None


class Provider:
    """The server, in a thread of its own; a context manager. Any free port will do."""

    def __init__(self) -> None:
        self._shift: Shift | None = None
        self._socket = socket.create_server(("127.0.0.1", 0), backlog=2048)
        self.url = f"http://127.0.0.1:{self._socket.getsockname()[1]}"
        config = uvicorn.Config(
            self._app,
            interface="asgi3",
            loop="asyncio",
            http="h11",
            lifespan="off",
            log_config=None,
            log_level="critical",
            access_log=False,
            timeout_graceful_shutdown=1,
        )
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(
            target=self._server.run, args=([self._socket],), name="provider", daemon=True
        )

    def begin(self, plan: Plan) -> Shift:
        """Opens new books for the next client's turn, which starts now."""
        self._shift = Shift(plan)
        return self._shift

    def __enter__(self) -> Provider:
        self._thread.start()
        while not self._server.started:
            if not self._thread.is_alive():
                raise RuntimeError("the provider's server did not start")
            time.sleep(0.01)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._server.should_exit = True
        self._thread.join(timeout=5)
        self._socket.close()

    async def _app(self, scope: Message, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or self._shift is None:
            raise RuntimeError("the provider answers plain HTTP, and only during a client's turn")
        status, retry_after = await self._shift.answer()
        headers = [(b"content-type", b"application/json")]
        if retry_after is not None:
            headers.append((b"retry-after", b"%d" % math.ceil(retry_after)))
        body = json.dumps({"path": scope["path"], "status": status}).encode()
        headers.append((b"content-length", b"%d" % len(body)))
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": body})
