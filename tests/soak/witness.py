"""Check every change of the storage, and what readers see: no serial goes back.

The mirror's claims are checked too: every event up to the serial in `status` has reached its page,
or its project is reported as lagging.
"""

from __future__ import annotations

import json
import threading
import time
from collections import Counter, defaultdict
from html.parser import HTMLParser
from typing import TYPE_CHECKING, Any

from packaging.utils import canonicalize_name

from tests.faults import reader as faults
from tests.faults.bucket import Bucket
from tests.faults.history import objects
from tests.faults.kills import project_of
from tests.faults.pages import FORMS, HTML, V1_HTML, V1_JSON, VARIANT, page_key, read_page

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.upstream import Index

STATUS = "status"
STATUS_JSON = "web/status.json"
CURSOR = "state/cursor.json"
LAGGING = "state/lagging.json"
ROOT, ROOT_HTML, ROOT_V1_HTML = (f"web/simple/{form}" for form in (V1_JSON, HTML, V1_HTML))
_WATCHED = (STATUS, STATUS_JSON, CURSOR, ROOT, ROOT_HTML, ROOT_V1_HTML)
_LEAVING = ("remove project", "project quarantined")
_PAUSE = 0.03  # seconds between two reads


class Marks:
    """The highest serial that each object has shown."""

    def __init__(self, observer: str, report: Callable[[str], None]) -> None:
        self.checks: Counter[str] = Counter()
        self._observer = observer
        self._report = report
        self._highest: dict[str, int] = {}

    def check(self, key: str, body: bytes) -> None:
        """Check an object's current body."""
        self.checks[key] += 1
        try:
            for subject, serial in _serials(key, body):
                before = self._highest.get(subject, 0)
                if serial < before:
                    self._report(f"{self._observer}: {subject} goes back from {before} to {serial}")
                self._highest[subject] = max(serial, before)
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            self._report(f"{self._observer}: {key} cannot be read: {error!r}: {body[-80:]!r}")


class Watch:
    """Read status, root index and cursor in a thread of its own."""

    def __init__(self, endpoint: str, bucket: str, report: Callable[[str], None]) -> None:
        self.marks = Marks("a reader", report)
        self.crash: Exception | None = None
        self._bucket = Bucket(endpoint, bucket)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._poll, name="watch", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        self._stop.set()
        self._thread.join()
        self._bucket.close()
        if self.crash is not None:
            raise self.crash

    def _poll(self) -> None:
        etags: dict[str, str] = {}
        try:
            while not self._stop.is_set():
                for key in _WATCHED:
                    stored = self._bucket.get(key)
                    if stored is not None and stored.etag != etags.get(key):
                        etags[key] = stored.etag
                        self.marks.check(key, stored.body)
                time.sleep(_PAUSE)
        except Exception as error:  # noqa: BLE001 (raised again by stop)
            self.crash = error


class Reader(faults.Reader):
    """Read project pages and files slowly, those that just changed first."""

    def _poll(self) -> None:
        turn = 0
        try:
            while not self._stop.is_set():
                if not self._touched:
                    self._stop.wait(_PAUSE)
                    turn += 1
                    self._touched.append(self._projects[turn % len(self._projects)])
                project = self._touched.popleft()
                for form in (*FORMS, VARIANT):
                    self._check(page_key(project, form))
        except Exception as error:  # noqa: BLE001 (raised again by stop)
            self.crash = error


class Witness:
    """Check each change when the storage has carried it out; from any thread."""

    def __init__(self, index: Index, report: Callable[[str], None]) -> None:
        self.marks = Marks("the storage", report)
        self.last: dict[str, bytes] = {}  # the watched objects, by key
        self.diffs: list[tuple[str, bytes]] = []  # every one that was ever written
        self.belated: Counter[str] = Counter()  # pages by run, published after the run was closed
        self.published: set[str] = set()  # all pages and files that readers could ever see
        self._index = index
        self._report = report
        self._lock = threading.Lock()
        self._pages: dict[str, int] = {}  # project -> serial of its JSON page
        self._events: defaultdict[str, list[tuple[int, str]]] = defaultdict(list)
        self._read = 0  # serial up to which `_events` are known

    def take(self, method: str, key: str, body: bytes) -> None:
        with self._lock:
            if key.startswith("mirrored-files"):
                self.diffs.append((key, body))
            elif key.startswith("web/simple/") and key.endswith(f"/{V1_JSON}") and key != ROOT:
                self._take_page(method, key, body)
            elif key in _WATCHED or key == LAGGING:
                if method != "PUT":
                    self._report(f"{key} was deleted")
                    return
                self.last[key] = body
                if key != LAGGING:
                    self.marks.check(key, body)
                if key == STATUS and body:
                    self._check_claim(int(body))

    def lagging(self) -> frozenset[str]:
        """Return the projects that the mirror reports as lagging."""
        status = json.loads(self.last.get(STATUS_JSON, b"{}")).get("lagging", {})
        lagging = json.loads(self.last.get(LAGGING, b"{}")).get("projects", {})
        return frozenset({*lagging, *status})

    def _take_page(self, method: str, key: str, body: bytes) -> None:
        project = project_of(key) or ""
        if method == "PUT":
            self._pages[project] = read_page(key, body).serial
            run = json.loads(body)["meta"]["_frumious"]["run"]
            if run not in self._open_runs():
                self.belated[run] += 1
            self.published.update(page_key(project, form) for form in (*FORMS, VARIANT))
            self.published |= objects(key, body)
        else:
            self._pages.pop(project, None)

    def _open_runs(self) -> frozenset[str]:
        cursor = json.loads(self.last.get(CURSOR, b'{"runs": []}'))
        return frozenset(run["run"] for run in cursor["runs"])

    def _check_claim(self, serial: int) -> None:
        """Check that every event up to the serial has reached its project's page."""
        for change in self._index.changes_since(self._read):
            self._events[canonicalize_name(change.name)].append((change.serial, change.action))
            self._read = change.serial
        lagging = self.lagging()
        for project, events in self._events.items():
            due = max((at for at, _ in events if at <= serial), default=0)
            if not due or project in lagging:
                continue
            page = self._pages.get(project)
            if page is None:
                # Upstream does not list quarantined projects, so a new mirror does not know them.
                if not any(at >= due and action.startswith(_LEAVING) for at, action in events):
                    self._report(f"status claims {serial}, but {project!r} of {due} is missing")
            elif page < due:
                self._report(f"status claims {serial}, but {project!r} is at {page}, not at {due}")


def root_names(body: bytes) -> dict[str, str]:
    """Return the projects that an HTML root index links to: the link texts by URL.

    Raises:
        ValueError: the page is incomplete.
    """
    text = body.decode()
    if not text.startswith("<!DOCTYPE html>") or not text.rstrip().endswith("</html>"):
        msg = f"incomplete page: {text[-60:]!r}"
        raise ValueError(msg)
    reading = _Links()
    reading.feed(text)
    reading.close()
    return reading.found


class _Links(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.found: dict[str, str] = {}
        self._open: str | None = None

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._open = dict(attrs)["href"] if tag == "a" else None

    def handle_data(self, data: str) -> None:
        if self._open is not None:
            self.found[self._open.removesuffix("/")] = data
            self._open = None


def _serials(key: str, body: bytes) -> Iterator[tuple[str, int]]:
    """Yield an object's serials, each with its name."""
    if key in {ROOT_HTML, ROOT_V1_HTML}:
        root_names(body)
        return
    if key == STATUS:
        yield key, int(body or b"0")
        return
    payload: dict[str, Any] = json.loads(body)
    if key == ROOT:
        yield key, payload["meta"].get("_last-serial") or 0
        for entry in payload["projects"]:
            yield f"{key} of {canonicalize_name(entry['name'])}", entry["_last-serial"]
    else:
        yield key, payload["serial"] or 0
