"""What always holds, checked after each change of the storage. Shares no code with the mirror."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import msgspec
from packaging.utils import canonicalize_name

from tests.faults.pages import V1_JSON, is_variant
from tests.simulation.changes import PROJECTS
from tests.simulation.process import EPOCH
from tests.simulation.reports import CURSOR, LAGGING, ROOT, STATUS, STATUS_JSON, Reports
from tests.simulation.seen import (
    Kind,
    Seen,
    Violation,
    check_compressed,
    root_names,
    root_serials,
    seen,
)
from tests.simulation.snapshots import SnapshotViews

if TYPE_CHECKING:
    from collections.abc import Iterable

    from frumious.cli.findings import Verified
    from frumious.model.audits import Finding
    from frumious.model.plans import Plan
    from tests.simulation.loop import SimulatedLoop
    from tests.simulation.network import Network
    from tests.simulation.storage import Disk, Object

_PAGE = re.compile(
    r"web/(?:gzip/)?simple/(?P<project>[^/]+)/index\.(?:html|v1_html|v1_json)(?:\.gz)?"
)
_ROOT = re.compile(r"web/(?:gzip/)?simple/index\.(?:html|v1_html|v1_json)(?:\.gz)?")
_FILE = re.compile(r"web(/packages/[0-9a-f]{2}/[0-9a-f]{2}/[0-9a-f]{60}/([^/.][^/]*))")
_OTHER = re.compile(
    r"web/integrity/[^/]+/[^/]+/[^/]+/provenance"
    r"|web/snapshot/.+|web/simple-shards/(?:head|[0-9a-f])\.json"
    r"|web/(?:last-modified|status\.json|index\.html)|status|generation"
    r"|state/damaged/.+|state/[a-z].*\.json"  # nobody but the mirror reads those
    r"|state/audit/named/.+"
    r"|mirrored-files(?:-\d+)?(?:\.removed)?"
)
_LEAVING = ("remove project", "project quarantined")
_REMOVING = ("remove ", "project quarantined", "release quarantined")
_DAY = 24 * 3600.0
_PROGRESS = 10_000  # serials that pages may be ahead of the root index, where there is no changelog
_METADATA = ".metadata"


class Witness(Reports):
    """Checks one mirror, and keeps the first violation."""

    def __init__(self, network: Network, disk: Disk, diffs: Disk, loop: SimulatedLoop) -> None:
        super().__init__(disk)
        self.violation: Violation | None = None  # the first one
        self._loop = loop
        self._network = network
        self._index = network.index
        self.pages: dict[str, Seen] = {}  # by key: those that are stored
        self.published: set[str] = set()  # pages, and the files that a JSON page named
        self.diffs: list[tuple[str, bytes]] = []  # each that was ever written
        self.blocked = ""
        self.damaged: dict[str, float] = {}  # files that nobody has repaired yet, and since when
        self.spoilt = False  # whether reports were damaged, and with them what diff-files say
        self.restored = False  # whether upstream counts serials a second time
        self.repairs = False  # whether an operator lets the mirror be repaired
        self.resets = False  # whether an operator lets the mirror count anew
        self.dropped = False  # whether a reset or a deleted cursor let the mirror forget its runs
        self.deceived = False  # whether the changelog or the root index lied
        self.confirmed = False  # whether an operator lets the mirror lose more than its limits
        self.max_losses: int | None = None  # files in a day
        self.max_removals: int | None = None  # projects in a run
        self.shards = 0  # of the root index
        self.differing: set[str] = set()  # projects that must not become as upstream has them
        self._exempt: set[str] = set()  # projects that left for a reason that is not upstream's
        self._lost: dict[str, float] = {}  # files that pages no longer name, and since when
        self._highest = 0  # serial that upstream ever had
        self._serials: dict[str, int] = {}  # the highest that was shown, by what showed it
        self._bytes: dict[str, str] = {}  # filename -> the sha256 that was first published
        self._events: dict[str, list[tuple[int, str]]] = {}
        self._events_until = 0
        self.visible: set[str] = (
            set()
        )  # what JSON pages ever named, and all pages of their projects
        self.snapshots = SnapshotViews(disk, self._index, lambda: EPOCH + loop.elapsed)
        diffs.on_change = disk.on_change = self.take

    def report(self, violation: Violation) -> None:
        """Take note of a violation, and stop the history."""
        self.violation = self.violation or violation
        self._loop.stop()

    def take(self, key: str, after: Object | None, before: Object | None) -> None:
        """Check a change; whoever made it does not learn what is wrong with it."""
        try:
            self._take(key, after, before)
            self.snapshots.take(key, after, before)
        except Violation as violation:
            self.report(violation)

    def _take(self, key: str, after: Object | None, before: Object | None) -> None:
        pattern, match = _pattern_of(key)
        if pattern is _PAGE:
            self._take_page(key, match["project"], after)
        elif pattern is _FILE:
            self._take_file(key, match[1], match[2], after, before)
        elif pattern is _ROOT:
            self._take_root(key, after)
        else:
            self._take_other(key, after)

    def _take_other(self, key: str, after: Object | None) -> None:
        if after is None:
            self._take_deletion(key)
        elif key.endswith(".json") and not key.startswith("state/damaged/"):
            self._take_json(key, after.body)
        elif key == STATUS:
            self._take_status(int(after.body))
        elif key.startswith("mirrored-files"):
            self.diffs.append((key, after.body))

    # Pages and files

    def _take_page(self, key: str, project: str, after: Object | None) -> None:
        is_manifest = key.endswith(V1_JSON) and not is_variant(key)
        before = self.pages.get(key) if is_manifest else None
        if after is None:
            self.pages.pop(key, None)
            self._take_losses(project, before, None)
            if self.restored and project in self.deleted():  # it may be asked for once more
                self._serials.pop(key, None)
                self._serials.pop(f"{ROOT} of {project}", None)
            return
        try:
            page = seen(key, after.body)
        except (ValueError, KeyError, TypeError, AttributeError, OSError) as error:
            raise Violation(Kind.UNREADABLE, f"{key} cannot be read: {error!r}") from error
        self._check_objects(key, page)
        self._take_serial(key, page.page.serial, project)
        self.pages[key] = page
        self.published.add(key)
        if is_manifest:
            self._take_losses(project, before, page)
            self.published.update(page.objects, page.provenance)
            self.visible.update(page.objects, page.provenance)
            self.visible.update(each for each in self.pages if f"/{project}/" in each)
            for link in page.page.links:
                first = self._bytes.setdefault(link.filename, link.sha256)
                if link.sha256 != first:
                    text = f"{key} has other bytes under the name {link.filename} than before"
                    raise Violation(Kind.CHANGED, text)

    def _check_objects(self, key: str, page: Seen) -> None:
        for name, sha256 in page.objects.items():
            stored = self._disk.objects.get(name)
            if name in self.damaged:
                continue
            if stored is None:
                raise Violation(Kind.MISSING, f"{key} names {name}, which is missing")
            if stored.sha256 != sha256:
                raise Violation(Kind.WRONG, f"{key} names {name}, which has other bytes")
        if missing := page.provenance - self._disk.objects.keys():
            raise Violation(Kind.MISSING, f"{key} names {min(missing)}, which is missing")

    def _take_losses(self, project: str, before: Seen | None, after: Seen | None) -> None:
        """Check how many files a page stops naming, with those of the last day."""
        names = {link.filename for link in before.page.links} if before is not None else set()
        lost = names - {link.filename for link in after.page.links} if after is not None else names
        lost -= {key.rpartition("/")[2] for key in self.damaged}  # a repair withholds them
        now = self._loop.elapsed
        self._lost = {name: since for name, since in self._lost.items() if now - since < _DAY}
        if lost and project not in self._exempt:
            self._lost.update(dict.fromkeys(lost, now))
        unlimited = self.max_losses is None or self.confirmed
        if not unlimited and len(self._lost) > (self.max_losses or 0):
            text = f"upstream took away {sorted(self._lost)} within a day: more than max-losses"
            raise Violation(Kind.LIMIT, text)
        unannounced = after is not None and not (self.confirmed or self.restored)
        if unannounced and len(lost) * 2 > len(names) and project not in self._exempt:
            events = (action for _, action in self._events_of(project))
            if not any(action.startswith(_REMOVING) for action in events):
                text = f"{project} lost {sorted(lost)} of {sorted(names)} without an event"
                raise Violation(Kind.LIMIT, text)

    def _take_file(
        self, key: str, path: str, filename: str, after: Object | None, before: Object | None
    ) -> None:
        if after is None:
            self._take_deletion(key)
        elif after.sha256 not in self._known_digests(path, filename):
            raise Violation(Kind.ALIEN, f"{key} has bytes that upstream never had there")
        elif key in self.damaged:
            del self.damaged[key]
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
                check_compressed(after.body)
            elif key == ROOT:
                serial, projects = root_serials(after.body)
                self._take_serial(key, serial)
                for name, each in projects:
                    self._take_serial(f"{key} of {name}", each, name)
            else:
                root_names(after.body)
        except (ValueError, KeyError, TypeError, OSError, EOFError) as error:
            raise Violation(Kind.UNREADABLE, f"{key} cannot be read: {error!r}") from error

    def _take_json(self, key: str, body: bytes) -> None:
        try:
            payload: dict[str, Any] = msgspec.json.decode(body)
        except msgspec.DecodeError as error:
            raise Violation(Kind.UNREADABLE, f"{key} cannot be read: {error!r}") from error
        if key == STATUS_JSON or (key == CURSOR and not self.spoilt):  # a lost run begins anew
            self._take_serial(key, payload["serial"] or 0)

    def _take_serial(self, what: str, serial: int, project: str = "") -> None:
        self._highest = max(self._highest, self._index.serial)
        if serial > self._highest:
            believed = self.deceived or (project and self._network.hid_changelog)
            if not believed or serial > self._highest + _PROGRESS:
                raise Violation(Kind.CLAIM, f"{what} is at {serial}, which upstream never had")
            if project and not self.deceived:  # it lags until it has an event above that
                self.differing.add(project)
        before = self._serials.get(what, 0)
        if serial < before and not self.resets:
            raise Violation(Kind.BACKWARDS, f"{what} goes back from {before} to {serial}")
        self._serials[what] = serial

    def _events_of(self, project: str) -> list[tuple[int, str]]:
        """Return the serials and actions of a project's events."""
        for change in self._index.changes_since(self._events_until):
            name = canonicalize_name(change.name)
            self._events.setdefault(name, []).append((change.serial, change.action))
            self._events_until = change.serial
        return self._events.get(project, [])

    def _take_status(self, serial: int) -> None:
        """Check that every event up to the serial has reached its page."""
        self._take_serial(STATUS, serial)
        if self.restored or self.deceived:
            return  # what events there are is not known
        lagging = self.lagging()
        for project in PROJECTS:
            events = self._events_of(project)
            due = max(
                (at for at, action in events if at <= serial and not _concerns_roles(action)),
                default=0,
            )
            if not due or project in lagging or project in self._exempt:
                continue
            page = self.pages.get(f"web/simple/{project}/{V1_JSON}")
            left = any(at >= due and action.startswith(_LEAVING) for at, action in events)
            if left and self.spoilt:
                continue  # nobody knows that a lost run has a page: the next comparison finds it
            if page is None:
                # Upstream does not list quarantined projects, so a new mirror does not know them.
                if not left:
                    text = f"status claims {serial}, but {project!r} of {due} is missing"
                    raise Violation(Kind.CLAIM, text)
            elif page.page.serial < due:
                quarantined = (page.page.serial, "project quarantined")
                if left and self._network.hid_changelog and quarantined in events:
                    continue  # indexes list neither quarantined nor removed projects: the sweep
                text = (
                    f"status claims {serial}, but {project!r} is at {page.page.serial}, not {due}"
                )
                raise Violation(Kind.CLAIM, text)

    # Plans

    def take_plan(self, plan: Plan, listed: frozenset[str]) -> None:
        """Check how many of the projects a plan removes that were `listed` before it was made."""
        if self.max_removals is None or self.confirmed or not plan.starts:
            return
        removed = {project for project, reason in plan.reasons.items() if reason.removes}
        removed -= self.deleted()
        if len(removed & listed & self.listed()) > self.max_removals:
            text = f"a plan removes {sorted(removed)}: more than max-removals"
            self.report(Violation(Kind.LIMIT, text))

    def take_verified(self, verified: Verified) -> None:
        """Check what pages name after a command has found and left no damage."""
        if verified.is_damaged:
            return
        for page_key, page in self.pages.items():
            for key, sha256 in page.objects.items():
                stored = self._disk.objects.get(key)
                if EPOCH + self.damaged.get(key, 0.0) >= verified.progress.began:
                    continue  # it was found whole before
                if stored is None or (verified.progress.deep and stored.sha256 != sha256):
                    text = f"{page_key} names {key}, whose damage was not found"
                    self.report(Violation(Kind.MISSING, text))

    def take_findings(self, findings: Iterable[Finding]) -> None:
        """Check that an audit finds no file damaged that is whole, whatever jobs do."""
        for finding in findings:
            if finding.kind.is_content and not self.spoilt:
                self.report(Violation(Kind.FALSE_ALARM, f"{finding}, and nothing was damaged"))

    @property
    def hid_changelog(self) -> bool:
        """Whether upstream ever seemed to have no changelog."""
        return self._network.hid_changelog

    def block(self, project: str) -> None:
        """Learn which project the configuration blocks from now on; no name: none."""
        self.blocked = project
        self.exempt(project)

    def exempt(self, project: str) -> None:
        """Learn that a project leaves the mirror, perhaps, whatever upstream says."""
        self._exempt.add(project)
        self.snapshots.exempt.add(project)

    def restore(self) -> None:
        """Learn that upstream is about to go back to a backup."""
        self._highest = max(self._highest, self._index.serial)
        self.restored = True

    def named(self, project: str = "") -> set[str]:
        """Return a project's pages and what they name; without a project, those of all."""
        pages = [key for key in self.pages if f"/{project}/" in key or not project]
        return {*pages}.union(
            *({*self.pages[key].objects} | self.pages[key].provenance for key in pages)
        )


@lru_cache(maxsize=10_000)
def _pattern_of(key: str) -> tuple[re.Pattern[str], re.Match[str]]:
    """Return what kind of key it is.

    Raises:
        Violation: it does not belong to a mirror.
    """
    for pattern in (_PAGE, _FILE, _ROOT, _OTHER):
        if match := pattern.fullmatch(key):
            return pattern, match
    raise Violation(Kind.FOREIGN, f"{key} does not belong to a mirror")


def _concerns_roles(action: str) -> bool:
    return " Owner " in action or " Maintainer " in action
