"""The tests' fake upstream with large files, in a process of its own."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from bench.child import in_child
from tests.upstream import Index, Server

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from multiprocessing.connection import Connection


@contextmanager
def serving(projects: Mapping[str, tuple[int, int]]) -> Iterator[str]:
    """Serve projects with a number of files of a size each; yield the upstream's URL."""
    with in_child(_serve, dict(projects)) as pipe:
        yield pipe.recv()


def _serve(projects: Mapping[str, tuple[int, int]], pipe: Connection) -> None:
    index = Index()
    for name, (count, size) in projects.items():
        for number in range(count):
            file = index.add_file(name, f"{name}-{number}.tar.gz", size=size)
            # Hash it now, so that the first reader of a page does not wait.
            _ = file.path, file.content.sha256
    with Server(index) as server:
        pipe.send(server.url)
        pipe.poll(None)
