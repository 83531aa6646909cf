"""Blocking calls in threads: each storage has a pool of its own, as large as it needs."""

from __future__ import annotations

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")


class Abandoned(Exception):
    """The call was cancelled before it sent its next request."""


class ThreadPool:
    """At most `max_calls` blocking calls at once.

    asyncio's default pool has a few threads for each core, and the whole process shares it.
    """

    def __init__(self, max_calls: int) -> None:
        self._executor = ThreadPoolExecutor(max_calls, "frumious-storage")
        self._current = threading.local()

    def close(self) -> None:
        """Let the threads end with the calls that they run."""
        self._executor.shutdown(wait=False, cancel_futures=True)

    async def run(self, call: Callable[[], T], *, read_only: bool = False) -> T:
        """Run a blocking call in a thread; return what it returns, raise what it raises.

        A thread cannot be stopped. A caller that is cancelled leaves a `read_only` call at once,
        and waits for any other call, so that nothing is written after it has given up.
        """
        loop = asyncio.get_running_loop()
        outcome: asyncio.Future[T] = loop.create_future()

        def run() -> None:
            self._current.outcome = outcome
            try:
                result = call()
            except BaseException as error:  # noqa: BLE001 (the caller gets it)
                loop.call_soon_threadsafe(_set, outcome.set_exception, error, outcome)
            else:
                loop.call_soon_threadsafe(_set, outcome.set_result, result, outcome)

        submitted = self._executor.submit(run)
        try:
            return await outcome  # asyncio.wrap_future costs twice as much as all of this
        except asyncio.CancelledError:
            if not submitted.cancel() and not read_only:
                await asyncio.wait([asyncio.wrap_future(submitted)])
            raise

    def check_cancelled(self) -> None:
        """End the call of this thread if it was cancelled; for calls that send several requests.

        Raises:
            Abandoned: it was.
        """
        if self._current.outcome.cancelled():
            raise Abandoned


def _set(setter: Callable[[Any], None], value: object, outcome: asyncio.Future[Any]) -> None:
    if not outcome.done():  # else its caller has left
        setter(value)
