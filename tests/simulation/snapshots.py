"""Snapshots in histories: an operator creates and deletes them, and none of them ever changes.

Shares no code with the mirror to read them: readers get a snapshot's own page, else the live one.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import msgspec

from frumious.mirror import Mirror
from tests import snapshots
from tests.faults.pages import FORMS, V1_JSON
from tests.simulation.changes import PROJECTS
from tests.simulation.network import simulated_upstream
from tests.simulation.process import Process
from tests.simulation.seen import Kind, Violation, seen
from tests.simulation.stack import Stack
from tests.simulation.storage import MemoryStorage

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterable, Iterator

    from tests.faults.pages import Link
    from tests.simulation.choices import Choices
    from tests.simulation.storage import Disk, Object
    from tests.upstream.index import Index

_NAMES = ("monday", "tuesday")
_GRACE = 900.0 + 60.0  # seconds: the time of a function, and a minute
_PAGE = re.compile(r"web/(?:snapshot/[^/]+/)?simple/(?P<project>[^/]+)/index\.[a-z0-9_]+")
_FILES = ("web/packages/", "web/integrity/")
_QUARANTINES = ("project quarantined", "release quarantined")

Links = frozenset["Link"]


class SnapshotViews:
    """What readers get of each snapshot, from when it is fixed."""

    def __init__(self, disk: Disk, index: Index, now: Callable[[], float]) -> None:
        self.exempt: set[str] = set()  # projects that an operator deleted
        self._disk = disk
        self._index = index
        self._now = now
        self._fixed: dict[str, float] = {}  # snapshot -> when it is
        self._frozen: dict[str, dict[str, frozenset[Links]]] = {}  # its pages at that time
        self._left: set[str] = set()  # files of deleted snapshots

    @property
    def names(self) -> set[str]:
        """The snapshots that there are."""
        return {*self._fixed}

    def add(self, name: str, fixed: float) -> None:
        """Learn of a new snapshot."""
        self._fixed[name] = fixed

    def drop(self, name: str) -> None:
        """Learn that a snapshot is about to be deleted."""
        self._left |= {*self._named(name)}
        del self._fixed[name]
        self._frozen.pop(name, None)

    def named(self) -> set[str]:
        """Return the files that snapshots show, and those that deleted ones have left."""
        return self._left.union(*map(self._named, self._fixed))

    def take(self, key: str, after: Object | None, before: Object | None) -> None:
        """Check a change of the storage.

        Raises:
            Violation: a snapshot has changed, or it names a file that is not stored.
        """
        now = self._now()
        for name in [each for each, fixed in self._fixed.items() if fixed <= now]:
            if name not in self._frozen:
                self._freeze(name, key, before)
            match = _PAGE.fullmatch(key)
            if match is not None:
                self._check(name, match["project"], key)
                self._check_quarantine(name, match["project"], key, after)
            elif after is None and key.startswith(_FILES) and key in self._named(name):
                raise Violation(Kind.DELETED, f"{key} was deleted, and snapshot {name} names it")

    def _freeze(self, name: str, changed: str, before: Object | None) -> None:
        """Take note of a snapshot's pages as they were before a change.

        A killed job leaves HTML that is newer than the JSON page: then either counts.
        """

        def read(key: str) -> Object | None:
            return before if key == changed else self._disk.objects.get(key)

        self._frozen[name] = {
            project: frozenset(self._views(name, project, read)) for project in PROJECTS
        }

    def _check(self, name: str, project: str, key: str) -> None:
        allowed = self._frozen[name].get(project, frozenset())
        for view in self._views(name, project, self._disk.objects.get):
            is_same = view in allowed
            if not is_same and self._is_restricted(project):
                is_same = any(view <= each for each in allowed)
            if not is_same:
                text = f"after a change of {key}, snapshot {name} shows {_brief(view)} of {project}"
                raise Violation(Kind.CHANGED, f"{text}, not {[*map(_brief, allowed)]}")
            for link in view:
                for each, sha256 in link.objects().items():
                    stored = self._disk.objects.get(each)
                    if stored is None or stored.sha256 != sha256:
                        text = f"snapshot {name} names {each}, which is missing or wrong"
                        raise Violation(Kind.MISSING, text)

    def _check_quarantine(self, name: str, project: str, key: str, after: Object | None) -> None:
        """Check that a snapshot shows nothing of a project whose live page is in quarantine."""
        if after is None or key != f"web/simple/{project}/{V1_JSON}":
            return
        status: dict[str, Any] = msgspec.json.decode(after.body).get("project-status") or {}
        views = self._views(name, project, self._disk.objects.get)
        if status.get("status") == "quarantined" and any(views):
            text = f"snapshot {name} shows files of {project}, which is in quarantine"
            raise Violation(Kind.CLAIM, text)

    def _is_restricted(self, project: str) -> bool:
        """Whether files of a project may be withheld."""
        events = self._index.changes_since(0)
        return project in self.exempt or any(
            event.name.lower() == project and event.action.startswith(_QUARANTINES)
            for event in events
        )

    def _views(
        self, name: str, project: str, read: Callable[[str], Object | None]
    ) -> Iterator[Links]:
        for form in FORMS:
            live = f"web/simple/{project}/{form}"
            found = read(f"web/snapshot/{name}/simple/{project}/{form}") or read(live)
            yield frozenset() if found is None else _links(live, found.body)

    def _named(self, name: str) -> Iterable[str]:
        for project in PROJECTS:
            for view in self._views(name, project, self._disk.objects.get):
                yield from (key for link in view for key in link.objects())
            form = f"simple/{project}/{V1_JSON}"
            objects = self._disk.objects
            found = objects.get(f"web/snapshot/{name}/{form}") or objects.get(f"web/{form}")
            if found is not None and _links(f"web/{form}", found.body):
                yield from seen(f"web/{form}", found.body).provenance


def _links(key: str, body: bytes) -> Links:
    is_empty = b'"files":[]' in body if key.endswith(V1_JSON) else b"<a " not in body
    return frozenset() if is_empty else frozenset(seen(key, body).page.links)


def _brief(links: Links) -> list[str]:
    return sorted(f"{link.filename}{' (yanked)' if link.yanked else ''}" for link in links)


class SnapshotSteps(Stack):
    """What an operator does with snapshots."""

    def _snapshot(self, choices: Choices) -> None:
        """Create or delete a snapshot; on one machine, no run is under way then."""
        if not self._in_lambda and any(slot.running for slot in self._slots["command"]):
            return
        name = _NAMES[choices.below(len(_NAMES))]
        process = Process("operator", self.loop, self._log)
        storage = MemoryStorage(self._disk, process)
        upstream = simulated_upstream(self._config, self._client, self._network, process)
        mirror = Mirror.of(self._config, process.clock, upstream, storage, storage)
        if name in self.witness.snapshots.names:
            self._log(f"the operator deletes snapshot {name}")
            self.witness.snapshots.drop(name)
            _finish(snapshots.delete(name, mirror))
            return
        self._log(f"the operator creates snapshot {name}")
        _finish(snapshots.create(name, mirror))
        grace = _GRACE if self._in_lambda else 0.0
        self.witness.snapshots.add(name, self.loop.elapsed + grace)


def _finish(work: Coroutine[Any, Any, object]) -> None:
    """Carry out what never waits: requests take no time."""
    try:
        work.send(None)
    except StopIteration:
        return
    raise AssertionError(work)
