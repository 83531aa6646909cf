"""An event loop whose time passes only when nothing else is left to do."""

from __future__ import annotations

import asyncio
from heapq import heappop
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextvars import Context


class SimulatedLoop(asyncio.BaseEventLoop):
    """asyncio's own loop without sockets, threads and checks; it stops when it waits for nothing.

    Its time is in `elapsed`, which may be moved; clocks may be wrong by `clock_error` seconds.
    """

    def __init__(self) -> None:
        super().__init__()
        self.elapsed = 0.0
        self.clock_error = 0.0
        self._ready: Any
        self._scheduled: Any

    def time(self) -> float:
        return self.elapsed

    def call_soon(  # type: ignore[override]
        self, callback: Callable[..., Any], *args: Any, context: Context | None = None
    ) -> asyncio.Handle | None:
        """Call back in the next round; futures and tasks, which give a context, never cancel it."""
        if context is not None:
            self._ready.append((callback, args, context))
            return None
        handle = asyncio.Handle(callback, args, self)
        self._ready.append(handle)
        return handle

    def _run_once(self) -> None:
        """Run what is ready; if nothing is, let time pass until the next timer."""
        ready, scheduled = self._ready, self._scheduled
        while scheduled and scheduled[0].cancelled():
            heappop(scheduled)
        if not ready and not scheduled:
            self.stop()
        elif not ready and not self._stopping:  # type: ignore[attr-defined]
            self.elapsed = max(self.elapsed, scheduled[0].when())
        while scheduled and scheduled[0].when() <= self.elapsed:
            ready.append(heappop(scheduled))
        for _ in range(len(ready)):
            handle = ready.popleft()
            if type(handle) is tuple:
                callback, args, context = handle
                context.run(callback, *args)
            elif not handle.cancelled():
                handle._run()

    def _asyncgen_firstiter_hook(self, agen: Any) -> None:
        """Keep no list of generators: nobody shuts them down."""

    def _write_to_self(self) -> None:
        """There are no other threads."""

    def run_in_executor(  # type: ignore[override]
        self, executor: Any, func: Callable[..., Any], *args: Any
    ) -> asyncio.Future[Any]:
        """Call at once what would run in a thread."""
        future = self.create_future()
        try:
            future.set_result(func(*args))
        except BaseException as error:  # noqa: BLE001 (whoever awaits it gets it)
            future.set_exception(error)
        return future
