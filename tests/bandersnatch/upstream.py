"""The fake PyPI at different serials, at one URL."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from tests.bandersnatch import catalogue
from tests.upstream import Fault, Index, Server, Stale

if TYPE_CHECKING:
    from collections.abc import Mapping


class Upstream(Server):
    """Serve the catalogue as of the serials `earlier`, `later` and `last`; `show` selects one."""

    def __init__(self) -> None:
        index = Index()
        catalogue.fill(index)
        self.earlier = index.serial
        catalogue.change(index)
        self.later = index.serial
        catalogue.change_more(index)
        self.last = index.serial
        super().__init__(index)

    def show(self, serial: int) -> None:
        """Answer all further requests as of a serial."""
        self.faults.clear()
        self.faults.add(Fault(Stale(serial)))

    def take_downloads(self) -> Mapping[str, int]:
        """Return how often each file was sent since the last call, by the mirror's key."""
        sent = Counter(
            f"web{request.path}"
            for request in self.requests_for("/packages/")
            if request.method == "GET" and request.status in {200, 206}
        )
        self.clear()
        return sent

    def keys(self, serial: int) -> frozenset[str]:
        """Return the keys of all files that upstream has at a serial, and of their metadata."""
        keys = set()
        for name, _, _ in self.index.projects(serial):
            view = self.index.project(name, serial)
            for listed in view.files if view is not None else ():
                keys.add(f"web{listed.file.path}")
                if listed.file.core_metadata is not None:
                    keys.add(f"web{listed.file.path}.metadata")
        return frozenset(keys)
