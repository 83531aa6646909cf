"""Changes upstream between jobs: releases and projects are created and removed.

Knows which events allow a removal, as the planner does. A filename is never reused for other bytes,
even when a project is created again: PyPI guarantees that.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from tests.upstream import sdist, wheel

if TYPE_CHECKING:
    from collections.abc import Callable
    from random import Random

    from tests.upstream import Index, ProjectView

_MAX_RELEASES = 4
_NOTE = {"version": 1, "attestation_bundles": []}
_REMOVALS = ("remove project", "project quarantined")
_REMOVING_ACTIONS = ("remove ", "project quarantined", "release quarantined")


class Changes:
    """Change an index, and count the kinds of changes."""

    def __init__(self, index: Index, projects: list[str]) -> None:
        self.made: Counter[str] = Counter()
        self._index = index
        self._projects = projects
        self._versions: Counter[str] = Counter()  # never used twice
        self._quarantined: dict[str, set[str]] = {}  # releases, by project

    def make(self, random: Random) -> str:
        """Change one project at random, and return its name."""
        name = random.choice(self._projects)
        view = self._index.project(name)
        kind, change = self._choose(random, name, view)
        change()
        self.made[kind] += 1
        return name

    @property
    def touched(self) -> frozenset[str]:
        """The projects that ever existed."""
        return frozenset(self._versions)

    def allowed_removal(self, name: str, since: int) -> str:
        """Return the removal that a job allows because of the events after a serial."""
        actions = [
            change.action for change in self._index.changes_since(since) if change.name == name
        ]
        if actions and actions[-1].startswith(_REMOVALS):
            return "PROJECT"
        return (
            "FILES"
            if any(action.startswith(_REMOVING_ACTIONS) for action in actions)
            else "NOTHING"
        )

    def _choose(
        self, random: Random, name: str, view: ProjectView | None
    ) -> tuple[str, Callable[[], object]]:
        index = self._index
        if view is None:
            kind = "re-creation" if self._versions[name] else "creation"
            self._quarantined.pop(name, None)
            return kind, lambda: self._release(random, name)
        if view.status == "quarantined":
            if random.random() < 0.2:
                return "project removal", lambda: index.remove_project(name)
            return "project clearance", lambda: index.clear_project_quarantine(name)
        versions = sorted({listed.file.version for listed in view.files})
        hidden = self._quarantined.setdefault(name, set())
        if hidden and random.random() < 0.5:
            version = random.choice(sorted(hidden))
            hidden.discard(version)
            return "release clearance", lambda: index.clear_release_quarantine(name, version)
        if not versions or (len(versions) < _MAX_RELEASES and random.random() < 0.45):
            return "release", lambda: self._release(random, name)
        version = random.choice(versions)
        filename = random.choice([listed.file.filename for listed in view.files])
        yanked = any(listed.yanked for listed in view.files if listed.file.version == version)
        options: list[tuple[str, int, Callable[[], object]]] = [
            ("release removal", 3, lambda: index.remove_release(name, version)),
            ("file removal", 3, lambda: index.remove_file(name, filename)),
            ("project removal", 2, lambda: index.remove_project(name)),
            ("project quarantine", 1, lambda: index.quarantine_project(name, "malware?")),
            ("event without a change", 1, lambda: index.journal(name, "docs")),
            ("release quarantine", 2, lambda: self._quarantine(name, version)),
            ("unyank", 2, lambda: index.unyank(name, version))
            if yanked
            else ("yank", 2, lambda: index.yank(name, version, random.choice(["", "<broken>"]))),
        ]
        ((kind, _, change),) = random.choices(options, [weight for _, weight, _ in options])
        return kind, change

    def _quarantine(self, name: str, version: str) -> None:
        self._index.quarantine_release(name, version)
        self._quarantined[name].add(version)

    def _release(self, random: Random, name: str) -> None:
        self._versions[name] += 1
        version = f"{self._versions[name]}.0"
        built = wheel(name, version, filling=random.randbytes(random.randrange(3000)))
        self._index.upload(built, provenance=_NOTE if random.random() < 0.3 else None)
        if random.random() < 0.4:
            self._index.upload(sdist(name, version))
