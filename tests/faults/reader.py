"""Read pages and files from moto throughout a trial, as pip might at any moment.

Checks that pages parse, that serials never go backwards, and that every file that a page names
exists with the right bytes as long as the page names it.
"""

from __future__ import annotations

import hashlib
import threading
import time
from collections import Counter, deque
from typing import TYPE_CHECKING

from tests.faults.bucket import Bucket
from tests.faults.pages import FORMS, VARIANT, Page, page_key, read_page

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

_PAUSE = 0.005  # seconds between two projects


class Reader:
    """Polls in a thread of its own; calls `report` with each violation."""

    def __init__(
        self, endpoint: str, bucket: str, projects: Sequence[str], report: Callable[[str], None]
    ) -> None:
        self.read: Counter[str] = Counter()
        self.crash: Exception | None = None
        self._bucket = Bucket(endpoint, bucket)
        self._projects = projects
        self._report = report
        self._touched: deque[str] = deque()
        self._serials: dict[str, int] = {}
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._poll, name="reader", daemon=True)
        self._thread.start()

    def touch(self, project: str) -> None:
        """Read a project next, because it has just changed."""
        if project not in self._touched:
            self._touched.append(project)

    def stop(self) -> None:
        self._stop.set()
        self._thread.join()
        self._bucket.close()
        if self.crash is not None:
            raise self.crash

    def _poll(self) -> None:
        turn = 0
        try:
            while not self._stop.is_set():
                if self._touched:
                    project = self._touched.popleft()
                else:
                    turn += 1
                    project = self._projects[turn % len(self._projects)]
                for form in (*FORMS, VARIANT):
                    self._check(page_key(project, form))
                time.sleep(_PAUSE)
        except Exception as error:  # noqa: BLE001 (raised again by stop)
            self.crash = error

    def _check(self, key: str) -> None:
        found = self._page(key)
        if found is None:
            return
        etag, page = found
        self.read["pages"] += 1
        if page.serial < self._serials.get(key, 0):
            self._report(f"{key}: serial {page.serial} after {self._serials[key]}")
        self._serials[key] = page.serial
        waiting = page.objects()
        while waiting:
            for name, digest in list(waiting.items()):
                self.read["files"] += 1
                problem = self._wrong(name, digest)
                if problem is None:
                    del waiting[name]
                    continue
                reread = self._page(key)
                if reread is None or name not in reread[1].objects():
                    return  # no longer named: the page was replaced in between
                if reread[0] == etag:
                    self._report(f"{key} (serial {page.serial}) names {name}, which is {problem}")
                    return
                etag, page = reread
                waiting = page.objects()
                break

    def _page(self, key: str) -> tuple[str, Page] | None:
        stored = self._bucket.get(key)
        if stored is None:
            return None
        try:
            return stored.etag, read_page(key, stored.body)
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            self._report(f"{key} cannot be read: {error!r}")
            return None

    def _wrong(self, key: str, digest: str) -> str | None:
        stored = self._bucket.get(key)
        if stored is None:
            return "missing"
        if hashlib.sha256(stored.body).hexdigest() != digest:
            return f"other bytes ({len(stored.body)})"
        return None
