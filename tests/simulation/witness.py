"""What always holds, checked after each change of the storage. Shares no code with the mirror."""

from __future__ import annotations

import gzip
import json
import re
from enum import StrEnum
from functools import lru_cache
from typing import TYPE_CHECKING, Any, NamedTuple

from packaging.utils import canonicalize_name

from tests.faults.pages import V1_JSON, Page, is_variant, read_page
from tests.soak.witness import root_names

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.simulation.storage import Disk, Object
    from tests.upstream.index import Index

STATUS = "status"
STATUS_JSON = "web/status.json"
CURSOR = "state/cursor.json"
LAGGING = "state/lagging.json"
ROOT = f"web/simple/{V1_JSON}"
_PAGE = re.compile(
    r"web/(?:gzip/)?simple/(?P<project>[^/]+)/index\.(?:html|v1_html|v1_json)(?:\.gz)?"
)
_ROOT = re.compile(r"web/(?:gzip/)?simple/index\.(?:html|v1_html|v1_json)(?:\.gz)?")
_FILE = re.compile(r"web(/packages/[0-9a-f]{2}/[0-9a-f]{2}/[0-9a-f]{60}/([^/.][^/]*))")
_OTHER = re.compile(
    r"web/integrity/[^/]+/[^/]+/[^/]+/provenance"
    r"|web/(?:last-modified|status\.json|index\.html)|status|generation"
    r"|state/[a-z].*\.json"  # nobody but the mirror reads those
    r"|mirrored-files(?:-\d+)?(?:\.removed)?"
)
_LEAVING = ("remove project", "project quarantined")
_METADATA = ".metadata"


class Kind(StrEnum):
    """What can be wrong."""

    ALIEN = "alien"
    BACKWARDS = "backwards"
    CHANGED = "changed"
    CLAIM = "claim"
    CRASH = "crash"
    DELETED = "deleted"
    DIFF_FILE = "diff-file"
    DIFFERS = "differs"
    FOREIGN = "foreign"
    LEFT_OVER = "left over"
    MISSING = "missing"
    OVERWRITTEN = "overwritten"
    STUCK = "stuck"
    UNFINISHED = "unfinished"
    UNREADABLE = "unreadable"
    WRONG = "wrong"


class Violation(Exception):
    """Something that always holds does not; `kind` says what."""

    def __init__(self, kind: Kind, text: str) -> None:
        super().__init__(text)
        self.kind = kind


class Seen(NamedTuple):
    """A project page, and what it names: key -> sha256."""

    page: Page
    objects: dict[str, str]
    provenance: frozenset[str]


@lru_cache(maxsize=20_000)
def seen(key: str, body: bytes) -> Seen:
    """Read a page of the mirror's; the same one occurs in many histories."""
    page = read_page(key, body)
    provenance = []
    if key.endswith(V1_JSON) and not is_variant(key):
        project = key.split("/")[-2]
        for file in json.loads(body)["files"]:
            if address := file.get("provenance"):
                version = address.split("/")[-3]
                name = f"web/integrity/{project}/{version}/{file['filename']}/provenance"
                provenance.append(name)
    return Seen(page, page.objects(), frozenset(provenance))


class Witness:
    """Checks one mirror, and keeps the first violation."""

    def __init__(self, index: Index, disk: Disk, diffs: Disk, stop: Callable[[], None]) -> None:
        self.violation: Violation | None = None  # the first one
        self._stop = stop
        self._index = index
        self._disk = disk
        self.pages: dict[str, Seen] = {}  # by key: those that are stored
        self.published: set[str] = set()  # pages, and the files that a JSON page named
        self.diffs: list[tuple[str, bytes]] = []  # each that was ever written
        self.blocked = ""
        self.spoilt = False  # whether reports were damaged, and with them what diff-files say
        self.differing: set[str] = set()  # projects that must not become as upstream has them
        self._ever_blocked: set[str] = set()
        self._serials: dict[str, int] = {}  # the highest that was shown, by what showed it
        self._bytes: dict[str, str] = {}  # filename -> the sha256 that was first published
        self._events: dict[str, list[tuple[int, str]]] = {}
        self._events_until = 0
        self.visible: set[str] = (
            set()
        )  # what JSON pages ever named, and all pages of their projects
        diffs.on_change = disk.on_change = self.take

    def report(self, violation: Violation) -> None:
        """Take note of a violation, and stop the history."""
        self.violation = self.violation or violation
        self._stop()

    def take(self, key: str, after: Object | None, before: Object | None) -> None:
        """Check a change; whoever made it does not learn what is wrong with it."""
        try:
            self._take(key, after, before)
        except Violation as violation:
            self.report(violation)

    def _take(self, key: str, after: Object | None, before: Object | None) -> None:
        if page := _PAGE.fullmatch(key):
            self._take_page(key, page["project"], after)
        elif file := _FILE.fullmatch(key):
            self._take_file(key, file[1], file[2], after, before)
        elif _ROOT.fullmatch(key):
            self._take_root(key, after)
        elif not _OTHER.fullmatch(key):
            raise Violation(Kind.FOREIGN, f"{key} does not belong to a mirror")
        elif after is None:
            self._take_deletion(key)
        elif key.endswith(".json") and not key.startswith("state/damaged/"):
            self._take_json(key, after.body)
        elif key == STATUS:
            self._take_status(int(after.body))
        elif key.startswith("mirrored-files"):
            self.diffs.append((key, after.body))

    # Pages and files

    def _take_page(self, key: str, project: str, after: Object | None) -> None:
        if after is None:
            self.pages.pop(key, None)
            return
        try:
            page = seen(key, after.body)
        except (ValueError, KeyError, TypeError, AttributeError, OSError) as error:
            raise Violation(Kind.UNREADABLE, f"{key} cannot be read: {error!r}") from error
        for name, sha256 in page.objects.items():
            stored = self._disk.objects.get(name)
            if stored is None:
                raise Violation(Kind.MISSING, f"{key} names {name}, which is missing")
            if stored.sha256 != sha256:
                raise Violation(Kind.WRONG, f"{key} names {name}, which has other bytes")
        if missing := page.provenance - self._disk.objects.keys():
            raise Violation(Kind.MISSING, f"{key} names {min(missing)}, which is missing")
        self._take_serial(key, page.page.serial)
        self.pages[key] = page
        self.published.add(key)
        if key.endswith(V1_JSON) and not is_variant(key):
            self.published.update(page.objects, page.provenance)
            self.visible.update(page.objects, page.provenance)
            self.visible.update(each for each in self.pages if f"/{project}/" in each)
            for link in page.page.links:
                first = self._bytes.setdefault(link.filename, link.sha256)
                if link.sha256 != first:
                    text = f"{key} has other bytes under the name {link.filename} than before"
                    raise Violation(Kind.CHANGED, text)

    def _take_file(
        self, key: str, path: str, filename: str, after: Object | None, before: Object | None
    ) -> None:
        if after is None:
            self._take_deletion(key)
        elif after.sha256 not in self._known_digests(path, filename):
            raise Violation(Kind.ALIEN, f"{key} has bytes that upstream never had there")
        elif before is not None and before.sha256 != after.sha256:
            raise Violation(Kind.OVERWRITTEN, f"{key} was another file's")
        elif before is None:
            self.published.discard(key)

    def _take_deletion(self, key: str) -> None:
        for page_key, page in self.pages.items():
            if key in page.objects or key in page.provenance:
                raise Violation(Kind.DELETED, f"{key} was deleted, and {page_key} names it")
        if key in {STATUS, STATUS_JSON, CURSOR, LAGGING}:
            raise Violation(Kind.DELETED, f"{key} was deleted")

    def _known_digests(self, path: str, filename: str) -> set[str]:
        named = self._index.files_named(filename.removesuffix(_METADATA))
        # What a page names at an address of another file gets a path made from its hash.
        at = [file for file in named if file.path == path.removesuffix(_METADATA)] or named
        if filename.endswith(_METADATA):
            contents = [file.core_metadata for file in at]
        else:
            contents = [file.content for file in at]
        return {content.sha256 for content in contents if content is not None}

    # Root index and status

    def _take_root(self, key: str, after: Object | None) -> None:
        if after is None:
            raise Violation(Kind.DELETED, f"{key} was deleted")
        try:
            if is_variant(key):
                gzip.decompress(after.body)
            elif key == ROOT:
                payload = json.loads(after.body)
                self._take_serial(key, payload["meta"].get("_last-serial") or 0)
                for entry in payload["projects"]:
                    name = f"{key} of {canonicalize_name(entry['name'])}"
                    self._take_serial(name, entry["_last-serial"])
            else:
                _root_names(after.body)
        except (ValueError, KeyError, TypeError, OSError, EOFError) as error:
            raise Violation(Kind.UNREADABLE, f"{key} cannot be read: {error!r}") from error

    def _take_json(self, key: str, body: bytes) -> None:
        try:
            payload: dict[str, Any] = json.loads(body)
        except ValueError as error:
            raise Violation(Kind.UNREADABLE, f"{key} cannot be read: {error!r}") from error
        if key == STATUS_JSON or (key == CURSOR and not self.spoilt):  # a lost run begins anew
            self._take_serial(key, payload["serial"] or 0)

    def _take_serial(self, what: str, serial: int) -> None:
        if serial > self._index.serial:
            raise Violation(Kind.CLAIM, f"{what} is at {serial}, which upstream never had")
        before = self._serials.get(what, 0)
        if serial < before:
            raise Violation(Kind.BACKWARDS, f"{what} goes back from {before} to {serial}")
        self._serials[what] = serial

    def _take_status(self, serial: int) -> None:
        """Check that every event up to the serial has reached its page."""
        self._take_serial(STATUS, serial)
        for change in self._index.changes_since(self._events_until):
            name = canonicalize_name(change.name)
            self._events.setdefault(name, []).append((change.serial, change.action))
            self._events_until = change.serial
        lagging = self.lagging()
        for project, events in self._events.items():
            due = max(
                (at for at, action in events if at <= serial and not _concerns_roles(action)),
                default=0,
            )
            if not due or project in lagging or project in self._ever_blocked:
                continue
            page = self.pages.get(f"web/simple/{project}/{V1_JSON}")
            if page is None:
                # Upstream does not list quarantined projects, so a new mirror does not know them.
                if not any(at >= due and action.startswith(_LEAVING) for at, action in events):
                    text = f"status claims {serial}, but {project!r} of {due} is missing"
                    raise Violation(Kind.CLAIM, text)
            elif page.page.serial < due:
                text = (
                    f"status claims {serial}, but {project!r} is at {page.page.serial}, not {due}"
                )
                raise Violation(Kind.CLAIM, text)

    def block(self, project: str) -> None:
        """Learn which project the configuration blocks from now on; no name: none."""
        self.blocked = project
        self._ever_blocked.add(project)

    def lagging(self) -> frozenset[str]:
        """Return the projects that the mirror reports as lagging."""
        stored = self._disk.objects.get(LAGGING)
        return frozenset(json.loads(stored.body)["projects"] if stored is not None else ())

    def open_runs(self) -> int:
        """Return how many runs are open."""
        stored = self._disk.objects.get(CURSOR)
        return 0 if stored is None else len(json.loads(stored.body)["runs"])

    def has_planned_all(self) -> bool:
        """Whether a first run has compared all projects with upstream."""
        stored = self._disk.objects.get(CURSOR)
        return stored is not None and json.loads(stored.body)["serial"] is not None

    def has_stored_configuration(self) -> bool:
        """Whether no change of the configuration remains to store."""
        stored = self._disk.objects.get(CURSOR)
        return stored is not None and bool(json.loads(stored.body)["selected"])

    def serial(self) -> int:
        """Return the serial that the mirror claims."""
        stored = self._disk.objects.get(STATUS)
        return 0 if stored is None else int(stored.body)


def _concerns_roles(action: str) -> bool:
    return " Owner " in action or " Maintainer " in action


@lru_cache(maxsize=5000)
def _root_names(body: bytes) -> dict[str, str]:
    return root_names(body)
