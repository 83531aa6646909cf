"""Record which objects in the bucket a page has named.

Distinguishes two kinds of files that are left over at the end: files that a page named and a job
should have deleted, and files that were stored for a page that was never published.
"""

from __future__ import annotations

import json
import threading
from collections import defaultdict

from tests.faults.kills import project_of
from tests.faults.pages import V1_JSON, is_variant, read_page


class History:
    """Record each change when the storage has carried it out; from any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._named: defaultdict[str, frozenset[str]] = defaultdict(frozenset)  # by project
        self._published: set[str] = set()

    def was_published(self, key: str) -> bool:
        """Say whether a JSON page has named the object since it was last stored."""
        return key in self._published

    def take(self, method: str, key: str, body: bytes) -> None:
        project = project_of(key)
        if project is None or is_variant(key):
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
    provenances = []
    for file in json.loads(body)["files"]:
        if address := file.get("provenance"):
            version = address.split("/")[-3]
            provenances.append(f"web/integrity/{project}/{version}/{file['filename']}/provenance")
    return frozenset({*read_page(key, body).objects(), *provenances})
