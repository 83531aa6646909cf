"""Log what happens to each project, and print it when a violation names the project."""

from __future__ import annotations

import json
import re
import threading
from collections import defaultdict, deque
from typing import TYPE_CHECKING, Any

from packaging.utils import canonicalize_name

from frumious.model import layout
from tests.faults.kills import project_of
from tests.faults.pages import V1_JSON, is_variant

if TYPE_CHECKING:
    from collections.abc import Iterator

_MAX_LINES = 300  # of each project
_NAMED = re.compile(r"project[-_.]\d\d", re.IGNORECASE)


class ProjectLog:
    """Record events from any thread, with the soak's rounds."""

    def __init__(self) -> None:
        self._lines: defaultdict[str, deque[str]] = defaultdict(lambda: deque(maxlen=_MAX_LINES))
        self._planned: dict[str, list[str]] = {}  # projects, by run
        self._runs: dict[str, dict[str, Any]] = {}  # those that are open
        self._lagging: dict[str, dict[str, Any]] = {}
        self._lock = threading.Lock()

    def note(self, turn: int, text: str, *projects: str) -> None:
        """Add a line for each of the projects."""
        with self._lock:
            for project in projects:
                self._add(turn, text, project)

    def take(self, turn: int, observer: str, method: str, key: str, body: bytes) -> None:
        """Add what a change of an object means for its projects."""
        with self._lock:
            for project, text in self._read(method, key, body):
                self._add(turn, f"{observer}: {text}", project)

    def of(self, violation: str) -> list[str]:
        """Return and remove the lines of the projects that a violation names."""
        named = {canonicalize_name(found) for found in _NAMED.findall(violation)}
        with self._lock:
            return [line for project in sorted(named) for line in self._lines.pop(project, ())]

    def _add(self, turn: int, text: str, project: str) -> None:
        self._lines[project].append(f"{turn:5}  {text}")

    def _read(self, method: str, key: str, body: bytes) -> Iterator[tuple[str, str]]:
        project = project_of(key)
        if project is not None:
            yield project, _of_project(method, key, body)
        elif method != "PUT":
            return
        elif key == layout.CURSOR:
            yield from self._read_cursor(json.loads(body))
        elif key == layout.LAGGING:
            yield from self._read_lagging(json.loads(body)["projects"])
        elif key.startswith("mirrored-files"):
            for path in body.decode().splitlines():
                yield project_of(path) or "", f"{key} names {path}"
        elif key.startswith(layout.INBOX):
            yield from _read_reports(json.loads(body))
        elif key.endswith("/plan.json"):
            yield from self._read_plan(json.loads(body))

    def _read_cursor(self, payload: dict[str, Any]) -> Iterator[tuple[str, str]]:
        before, self._runs = self._runs, {run["run"]: run for run in payload["runs"]}
        for run in before.keys() | self._runs.keys():
            now = self._runs.get(run)
            if now != before.get(run):
                text = "is closed" if now is None else f"is open {_short(now)}"
                for project in self._planned.get(run, ()):
                    yield project, f"{run} {text}"

    def _read_lagging(self, payload: dict[str, Any]) -> Iterator[tuple[str, str]]:
        before, self._lagging = self._lagging, payload
        for name in before.keys() | payload.keys():
            if before.get(name) != payload.get(name):
                yield name, f"lags {payload.get(name, 'no longer')}"

    def _read_plan(self, payload: dict[str, Any]) -> Iterator[tuple[str, str]]:
        for project, serial in payload["jobs"].items():
            run = payload["run"]
            self._planned.setdefault(run, []).append(project)
            flags = [name for name in ("named", "again") if project in payload[name]]
            allowed_removal = payload["losing"].get(project, "")
            yield project, f"plans {run} to reach {serial} {allowed_removal} {' '.join(flags)}"


def _read_reports(payload: dict[str, Any]) -> Iterator[tuple[str, str]]:
    for report in payload["reports"]:
        result = report["result"]
        yield result["project"], f"records {_short(report['job'])}: {_short(result)}"


def _of_project(method: str, key: str, body: bytes) -> str:
    """Describe a change of an object that belongs to a project."""
    if method == "PUT" and key.endswith(V1_JSON) and not is_variant(key):
        meta = json.loads(body)["meta"]
        return f"publishes {meta['_last-serial']} {_short(meta['_frumious'])}"
    if method == "PUT" and key == layout.tombstone(canonicalize_name(project_of(key) or "")):
        return f"writes the tombstone {_short(json.loads(body))}"
    return f"{method} {key}"


def _short(payload: dict[str, Any]) -> str:
    """Return an object's entries that are not empty, as text."""
    return " ".join(f"{name}={_brief(value)}" for name, value in payload.items() if value)


def _brief(value: object) -> object:
    """Shorten a list of keys to their filenames."""
    return [each.rpartition("/")[2] for each in value] if isinstance(value, list) else value
