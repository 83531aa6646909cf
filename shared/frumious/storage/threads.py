"""Blocking calls in threads: each storage has a pool of its own, as large as it needs."""

from __future__ import annotations

import asyncio
import os
import socket
import threading
import traceback
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final, TypeVar

from frumious.storage.protocol import StorageUnavailable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

T = TypeVar("T")

_AGAIN: Final = 1.0  # seconds between two attempts to interrupt a call


class Abandoned(BaseException):
    """The call was cancelled, or took too long; no library catches this and tries again."""


class ThreadPool:
    """At most `max_calls` blocking calls at once.

    asyncio's default pool has a few threads for each core, and the whole process shares it.

    The timeouts of the libraries begin anew with each byte that arrives. A call that takes `limit`
    seconds is therefore interrupted, and one whose caller is cancelled after `grace` seconds.
    """

    def __init__(
        self, max_calls: int, *, limit: float | None = None, grace: float | None = None
    ) -> None:
        self._executor = ThreadPoolExecutor(max_calls, "frumious-storage")
        self._limit = limit
        self._grace = grace
        self._current = threading.local()
        self._left: set[_Interruptible] = set()  # calls that nobody waits for

    def close(self) -> None:
        """Let the threads end with the calls that they run."""
        for call in [*self._left]:
            call.end()
        self._executor.shutdown(wait=False, cancel_futures=True)

    async def run(
        self, call: Callable[[], T], *, read_only: bool = False, target: str = "a request"
    ) -> T:
        """Run a blocking call in a thread; return what it returns, raise what it raises.

        Error messages contain `target`. A caller that is cancelled leaves a `read_only` call at
        once, and waits for the end of any other call, so that nothing is written after it has given
        up.

        Raises:
            StorageUnavailable: the call took too long.
        """
        loop = asyncio.get_running_loop()
        outcome: asyncio.Future[T] = loop.create_future()
        interruptible = _Interruptible()

        def run() -> None:
            self._current.outcome = outcome
            try:
                result = interruptible.run(call)
            except Abandoned as error:
                _close_sockets(error)
                loop.call_soon_threadsafe(_set, outcome.set_exception, Abandoned(), outcome)
            except BaseException as error:  # noqa: BLE001 (the caller gets it)
                loop.call_soon_threadsafe(_set, outcome.set_exception, error, outcome)
            else:
                loop.call_soon_threadsafe(_set, outcome.set_result, result, outcome)
            finally:
                interruptible.leave()
                self._left.discard(interruptible)

        submitted = self._executor.submit(run)
        timer = None if self._limit is None else loop.call_later(self._limit, interruptible.end)
        try:
            return await outcome  # asyncio.wrap_future costs twice as much as all of this
        except Abandoned:
            raise _too_long(target, self._limit) from None
        except asyncio.CancelledError:
            if not submitted.cancel():
                await self._end(interruptible, asyncio.wrap_future(submitted), read_only=read_only)
            raise
        finally:
            if timer is not None:
                timer.cancel()

    async def _end(
        self, interruptible: _Interruptible, ended: asyncio.Future[None], *, read_only: bool
    ) -> None:
        """End a call whose caller is cancelled."""
        if read_only:
            if self._grace is not None and not ended.done():
                self._left.add(interruptible)
                asyncio.get_running_loop().call_later(self._grace, interruptible.end)
            return
        _, running = await asyncio.wait([ended], timeout=self._grace)
        if running:
            interruptible.end()
            await asyncio.wait([ended])

    def check_cancelled(self) -> None:
        """End the call of this thread if it was cancelled; for calls that send several requests.

        Raises:
            Abandoned: it was.
        """
        if self._current.outcome.cancelled():
            raise Abandoned


@contextmanager
def at_most(seconds: float, target: str) -> Iterator[None]:
    """Limit the time of blocking calls in this thread; error messages contain `target`.

    Raises:
        StorageUnavailable: they took too long.
    """
    interruptible = _Interruptible()
    timer = threading.Timer(seconds, interruptible.end)
    timer.daemon = True
    timer.start()
    try:
        with interruptible:
            yield
    except Abandoned as error:
        _close_sockets(error)
        raise _too_long(target, seconds) from None
    finally:
        interruptible.leave()
        timer.cancel()


class _Interruptible:
    """What a thread does while this is entered can be ended by another thread.

    The thread notices it when the bytes arrive for which it waits, or none within the timeout.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._thread: int | None = None
        self._ended = False

    def run(self, call: Callable[[], T]) -> T:
        with self:
            return call()

    def __enter__(self) -> None:
        with self._lock:
            if self._ended:
                raise Abandoned
            self._thread = threading.get_ident()

    def __exit__(self, *_: object) -> None:
        self.leave()

    def leave(self) -> None:
        """Let nothing interrupt this thread any more; again where `__exit__` was interrupted."""
        with self._lock:
            self._thread = None
            if self._ended:  # what was not raised yet must not be raised in another call
                _raise_in(threading.get_ident(), None)

    def end(self) -> None:
        """Raise Abandoned in the thread, again and again: a finalizer may have ignored it."""
        with self._lock:
            self._ended = True
            if self._thread is None:
                return
            _raise_in(self._thread, Abandoned)
        again = threading.Timer(_AGAIN, self.end)
        again.daemon = True
        again.start()


def _raise_in(thread: int, error: type[BaseException] | None) -> None:
    """Raise an error in a thread as soon as it runs Python's code; None: raise none any more."""
    import ctypes  # noqa: PLC0415 (rarely needed)

    raised = None if error is None else ctypes.py_object(error)
    ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(thread), raised)


def _close_sockets(error: BaseException) -> None:
    """Close the sockets that an interrupted call had at hand.

    No library expects an exception between the creation of a socket and its connection. One that
    is only being created has no `close` yet.
    """
    for frame, _ in traceback.walk_tb(error.__traceback__):
        for value in frame.f_locals.values():
            if isinstance(value, socket.socket) and (descriptor := value.detach()) != -1:
                os.close(descriptor)


def _too_long(target: str, seconds: float | None) -> StorageUnavailable:
    return StorageUnavailable(
        f"the storage's answer for {target} took more than {seconds:g} seconds"
    )


def _set(setter: Callable[[Any], None], value: object, outcome: asyncio.Future[Any]) -> None:
    if not outcome.done():  # else its caller has left
        setter(value)
