"""Servers in processes of their own, which do not count into what is measured."""

from __future__ import annotations

import multiprocessing
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from multiprocessing.connection import Connection


@contextmanager
def in_child(serve: Callable[..., None], *arguments: object) -> Iterator[Connection]:
    """Call `serve` in a new process with the arguments and a pipe; yield the pipe's other end.

    At the end the pipe is closed, upon which `serve` must return.
    """
    spawn = multiprocessing.get_context("spawn")
    ours, theirs = spawn.Pipe()
    process = spawn.Process(target=serve, args=(*arguments, theirs), daemon=True)
    process.start()
    theirs.close()
    try:
        yield ours
    finally:
        ours.close()
        process.join()
