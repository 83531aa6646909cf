"""What readers get of snapshots: none of them ever changes.

Shares no code with the mirror to read them: readers get a snapshot's own page, else the live one.
"""

from __future__ import annotations

import math
import re
from itertools import chain
from typing import TYPE_CHECKING, Any

import msgspec

from tests.faults.pages import FORMS, V1_JSON
from tests.simulation.changes import PROJECTS
from tests.simulation.reports import CURSOR, ROOT, SNAPSHOTS
from tests.simulation.seen import Kind, Violation, seen

if TYPE_CHECKING:
    from collections.abc import Callable, Container, Iterable, Iterator

    from tests.faults.pages import Link
    from tests.simulation.storage import Disk, Object
    from tests.upstream.index import Index

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
        self._fixed: dict[str, float] = {}  # snapshot -> when it is, in seconds since the epoch
        self._frozen: dict[str, dict[str, frozenset[Links]]] = {}  # its pages at that time
        self.served: str | None = None  # what readers get as the live index
        self._cursor: tuple[int, int | None] | None = None  # its resets and serial
        self._unread = 0  # serial up to which the mirror has read no event

    def named(self) -> set[str]:
        """Return the files that snapshots show."""
        return set[str]().union(*map(self._named, self._fixed))

    def point(self, name: str | None) -> None:
        """Take note that readers get a snapshot as the live index; None: the live one.

        Raises:
            Violation: the snapshot may change, or is incomplete.
        """
        self.served = name
        if name is not None and self._fixed.get(name, math.inf) > self._now():
            raise Violation(Kind.CLAIM, f"readers get snapshot {name}, which is not fixed")

    def _learn(self, body: bytes) -> None:
        """Take note of which snapshots are complete, and from when on they are fixed."""
        known: dict[str, dict[str, Any]] = msgspec.json.decode(body)["snapshots"]
        complete = {
            name: each
            for name, each in known.items()
            if not (each.get("creating") or each.get("deleting"))
        }
        for name in self._fixed.keys() - complete.keys():
            del self._fixed[name]
            self._frozen.pop(name, None)
            if name == self.served:
                raise Violation(Kind.DELETED, f"{name} is deleted, and readers get it")
        for name in complete.keys() - self._fixed.keys():
            entry = complete[name]
            self._fixed[name] = max(entry["fixed"], self._now())
            self._check_new(name, entry.get("as_of"))

    def _follow(self, cursor: bytes, *, is_new: bool) -> None:
        """Take note of where the mirror begins to read events: it knows of none before."""
        payload: dict[str, Any] = msgspec.json.decode(cursor)
        now = payload["resets"], payload["serial"]
        if is_new or self._cursor is None or self._cursor[1] is None or self._cursor[0] != now[0]:
            self._unread = now[1] or 0
        self._cursor = now

    def _check_new(self, name: str, as_of: float | None) -> None:
        """Check that readers get the root index of a snapshot, and no file of a later time.

        HTML that a killed job has left may be newer than the JSON page.
        """
        if f"web/snapshot/{name}/{ROOT.removeprefix('web/')}" not in self._disk.objects:
            raise Violation(Kind.MISSING, f"snapshot {name} has no root index")
        for project in PROJECTS if as_of is not None else ():
            *_, view = self._views(name, project, self._disk.objects.get)
            for link in view:
                uploads = (each.upload_time for each in self._index.files_named(link.filename))
                if min(uploads).timestamp() > (as_of or 0.0):
                    text = f"snapshot {name} shows {link.filename}, which was uploaded later"
                    raise Violation(Kind.CLAIM, text)

    def take(self, key: str, after: Object | None, before: Object | None) -> None:
        """Check a change of the storage.

        Raises:
            Violation: a snapshot has changed, or it names a file that is not stored.
        """
        if key == SNAPSHOTS and after is not None:
            self._learn(after.body)
        if key == CURSOR and after is not None:
            self._follow(after.body, is_new=before is None)
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

        A killed job leaves HTML that is newer than the JSON page: then either counts. What is
        withheld may come back.
        """

        def read(key: str) -> Object | None:
            return before if key == changed else self._disk.objects.get(key)

        self._frozen[name] = {
            project: frozenset((*self._views(name, project, read), *_kept(name, project, read)))
            for project in PROJECTS
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
            raise Violation(Kind.WITHHELD, text)

    def judge(self, deleted: Container[str], *, knows_events: bool) -> None:
        """Check that snapshots show nothing that has to be withheld, once all is done.

        `deleted`: projects that an operator deleted. Only events that were read tell which
        releases are in quarantine.

        Raises:
            Violation: one of them does.
        """
        for name in self._fixed:
            for project in PROJECTS:
                state = self._index.state(project)
                is_banned = project in deleted or (state and state.status == "quarantined")
                versions = self._quarantined(project) if knows_events else frozenset()
                views = self._views(name, project, self._disk.objects.get)
                for link in chain.from_iterable(views):
                    if is_banned or self._version(link) in versions:
                        text = f"snapshot {name} shows {link.filename}, which is to be withheld"
                        raise Violation(Kind.WITHHELD, text)

    def _quarantined(self, project: str) -> frozenset[str]:
        """Return the versions that are in quarantine, if the mirror can know."""
        state = self._index.state(project)
        if state is None:
            return frozenset()
        read = (event for event in self._index.changes_since(0) if event.serial > self._unread)
        return state.quarantined & {
            event.version or ""
            for event in read
            if event.name.lower() == project and event.action.startswith(_QUARANTINES)
        }

    def _version(self, link: Link) -> str:
        return self._index.files_named(link.filename)[0].version

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


def _kept(name: str, project: str, read: Callable[[str], Object | None]) -> Iterator[Links]:
    """Yield what a snapshot would show if nothing of it were withheld, where something is."""
    found = read(f"state/snapshots/{name}/{project}.json")
    if found is not None:
        kept = msgspec.json.decode(found.body)
        if kept["withheld"]:
            yield _links(f"web/simple/{project}/{V1_JSON}", msgspec.json.encode(kept["page"]))


def _links(key: str, body: bytes) -> Links:
    is_empty = b'"files":[]' in body if key.endswith(V1_JSON) else b"<a " not in body
    return frozenset() if is_empty else frozenset(seen(key, body).page.links)


def _brief(links: Links) -> list[str]:
    return sorted(f"{link.filename}{' (yanked)' if link.yanked else ''}" for link in links)
