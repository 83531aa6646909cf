"""What became of the objects in the bucket, change by change.

Tells the two kinds of files that are left over in the end apart: those that a page named and a
job was to delete, and those that were stored for a page that never came to be.
"""

from __future__ import annotations

import json
import threading
from collections import defaultdict

from tests.faults.kills import project_of
from tests.faults.pages import V1_JSON, read_page


class History:
    """Told of each change when the storage has carried it out; from any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._named: defaultdict[str, frozenset[str]] = defaultdict(frozenset)  # by project
        self._published: set[str] = set()

    def was_published(self, key: str) -> bool:
        """Say whether a JSON page has named the object since it was last stored."""
        return key in self._published

    def take(self, method: str, key: str, body: bytes) -> None:
        project = project_of(key)
        if project is None:
            return
        with self._lock:
            if key.endswith(V1_JSON):
                self._named[project] = objects(key, body) if method == "PUT" else frozenset()
                self._published |= self._named[project]
            elif method == "PUT" and key not in self._named[project]:
                self._published.discard(key)


def objects(key: str, body: bytes) -> frozenset[str]:
    """Return what a JSON page names, provenance too."""
    project = project_of(key)
    notes = []
    for file in json.loads(body)["files"]:
        if address := file.get("provenance"):
            version = address.split("/")[-3]
            notes.append(f"web/integrity/{project}/{version}/{file['filename']}/provenance")
    return frozenset({*read_page(key, body).objects(), *notes})
