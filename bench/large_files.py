"""The tests' fake upstream with large files, in a process of its own."""

from __future__ import annotations

import multiprocessing
from contextlib import contextmanager
from typing import TYPE_CHECKING

from tests.upstream import Index, Server

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from multiprocessing.connection import Connection


@contextmanager
def serving(projects: Mapping[str, tuple[int, int]]) -> Iterator[str]:
    """Serve projects of so many files of so many bytes each; gives the upstream's address."""
    spawn = multiprocessing.get_context("spawn")
    here, there = spawn.Pipe()
    process = spawn.Process(target=_serve, args=(dict(projects), there), daemon=True)
    process.start()
    there.close()
    try:
        yield here.recv()
    finally:
        here.close()  # which ends the process
        process.join()


def _serve(projects: Mapping[str, tuple[int, int]], pipe: Connection) -> None:
    index = Index()
    for name, (count, size) in projects.items():
        for number in range(count):
            file = index.add_file(name, f"{name}-{number}.tar.gz", size=size)
            # Hashed here: the first reader of a page would wait for it otherwise.
            _ = file.path, file.content.sha256
    with Server(index) as server:
        pipe.send(server.url)
        pipe.poll(None)
