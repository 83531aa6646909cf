"""An event loop whose time passes only when nothing else is left to do."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable


class SimulatedLoop(asyncio.BaseEventLoop):
    """asyncio's own loop without sockets and threads; it stops when it waits for nothing.

    Its time is in `elapsed`, which may be moved; clocks may be wrong by `clock_error` seconds.
    """

    def __init__(self) -> None:
        super().__init__()
        self.elapsed = 0.0
        self.clock_error = 0.0
        self._selector = self
        self._clock_resolution = 1e-9

    def time(self) -> float:
        return self.elapsed

    def select(self, timeout: float | None) -> tuple[()]:
        """Let time pass until the next timer, as if waiting for sockets."""
        if timeout is None:
            self.stop()
        elif timeout > 0:
            self.elapsed += timeout
        return ()

    def _process_events(self, event_list: Any) -> None:
        """There are no events: nothing comes from outside."""

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
