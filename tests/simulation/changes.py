"""Changes upstream: what maintainers and administrators of PyPI do."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.simulation.choices import Choices
    from tests.upstream.index import Index
    from tests.upstream.project import ProjectView

PROJECTS = ("ant", "ant-bee", "cow", "dodo")
_NOTE = {"version": 1, "attestation_bundles": []}
_MAX_RELEASES = 4


class Changes:
    """Changes of a few projects; a filename is used twice by `replace_bytes` alone."""

    def __init__(self, index: Index) -> None:
        self._index = index
        self.silent = False  # whether a change had no event
        self._versions: Counter[str] = Counter()

    def make(self, choices: Choices) -> str:
        """Change a project, and return what was done."""
        name = PROJECTS[choices.below(len(PROJECTS))]
        view = self._index.project(name)
        kind, change = self._choose(choices, name, view)
        change()
        return f"{kind} of {name}"

    def replace_bytes(self, choices: Choices) -> str:
        """Upload other bytes under a name that was used: PyPI never does. Return the project."""
        name = PROJECTS[choices.below(len(PROJECTS))]
        view = self._index.project(name)
        if view is None or not view.files:
            return ""
        file = view.files[choices.below(len(view.files))].file
        self._index.remove_file(name, file.filename)
        content = b"other bytes of " + file.filename.encode()
        self._index.add_file(name, file.filename, content=content, version=file.version)
        return name

    def _choose(
        self, choices: Choices, name: str, view: ProjectView | None
    ) -> tuple[str, Callable[[], object]]:
        index = self._index
        if view is None:
            return "creation", lambda: self._release(choices, name)
        if view.status == "quarantined":
            if choices.below(3) == 1:
                return "removal", lambda: index.remove_project(name)
            return "end of the quarantine", lambda: index.clear_project_quarantine(name)
        state = index.state(name)
        assert state is not None
        if state.quarantined and choices.below(2):
            version = min(state.quarantined)
            return f"clearance of {version}", lambda: index.clear_release_quarantine(name, version)
        versions = sorted({listed.file.version for listed in view.files})
        if not versions:
            return "release", lambda: self._release(choices, name)
        version = versions[choices.below(len(versions))]
        filename = view.files[choices.below(len(view.files))].file.filename
        yanked = version in state.yanked
        kinds: tuple[tuple[int, str, Callable[[], object]], ...] = (
            (8, "release", lambda: self._release(choices, name)),
            (3, f"removal of {version}", lambda: index.remove_release(name, version)),
            (3, f"removal of {filename}", lambda: index.remove_file(name, filename)),
            (3, "removal", lambda: index.remove_project(name)),
            (1, "quarantine", lambda: index.quarantine_project(name, "malware?")),
            (2, f"quarantine of {version}", lambda: index.quarantine_release(name, version)),
            (1, "an event without a change", lambda: index.journal(name, "docs")),
            (1, "archiving", lambda: self._archive(name, view.status)),
            (1, f"late metadata of {filename}", lambda: self._backfill(name, filename)),
            (1, "renaming", lambda: self._rename(choices, name)),
            (1, f"unyank of {version}", lambda: index.unyank(name, version))
            if yanked
            else (2, f"yank of {version}", lambda: index.yank(name, version, "broken")),
        )
        weights = [weight for weight, _, _ in kinds]
        if len(versions) >= _MAX_RELEASES:
            weights[0] = 0
        _, kind, change = kinds[choices.weighted(weights)]
        return kind, change

    def _release(self, choices: Choices, name: str) -> None:
        self._versions[name] += 1
        version = f"{self._versions[name]}.0"
        form = choices.below(4)
        if form != 1:
            wheel = f"{name.replace('-', '_')}-{version}-py3-none-any.whl"
            self._index.add_file(
                name,
                wheel,
                content=wheel.encode(),
                core_metadata=f"Name: {name}".encode() if form != 2 else None,
                provenance=_NOTE if form == 3 else None,
            )
        if form in {1, 3}:
            sdist = f"{name.replace('-', '_')}-{version}.tar.gz"
            self._index.add_file(name, sdist, content=sdist.encode())

    def _archive(self, name: str, status: str) -> None:
        self.silent = True
        if status == "archived":
            self._index.unarchive(name)
        else:
            self._index.archive(name)

    def _backfill(self, name: str, filename: str) -> None:
        self.silent = True
        if filename.endswith(".whl"):
            self._index.backfill_metadata(name, filename, f"Name: {name}".encode())

    def _rename(self, choices: Choices, name: str) -> None:
        self._index.rename(name.title())
        self._release(choices, name)
