"""What a run came to: a line for each project, a summary, and the same as JSON."""

from __future__ import annotations

from collections import Counter
from itertools import islice
from typing import TYPE_CHECKING, Final

from frumious.cli.sizes import count, duration, size
from frumious.clock import utc
from frumious.model.jobs import Outcome
from frumious.model.plans import Reason

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping

    from packaging.utils import NormalizedName

    from frumious.meter import Stored
    from frumious.model.cooldown import HeldBack, HeldBackFile
    from frumious.model.jobs import Result
    from frumious.model.runs import Lagging
    from frumious.model.types import Json, JsonObject

_KINDS: Final = {
    Outcome.UPDATED: "updated",
    Outcome.UNCHANGED: "unchanged",
    Outcome.REMOVED: "removed",
    Outcome.QUARANTINED: "removed",
    Outcome.ABSENT: "absent",
    Outcome.EXCLUDED: "unchanged",
}
_WHY: Final = {
    Reason.REMOVED: "deleted upstream",
    Reason.UNANNOUNCED: "gone from upstream",
    Reason.UNWANTED: "no longer selected",
    Reason.MADE_PRIVATE: "its name is private now",
    Reason.PRIVATE_GONE: "gone from the private directory",
    Reason.DELETED: "deleted by name",
    Reason.NAMED: "deleted upstream",
}
_MAX_HELD_BACK: Final = 1000  # projects in JSON
_MAX_SHOWN: Final = 20  # projects in text


class Tally:
    """What this process did, each project once: a killed run and the next may both have it."""

    def __init__(self) -> None:
        self.absent: set[NormalizedName] = set()  # neither upstream nor the mirror has them
        self.failed: set[NormalizedName] = set()
        self.files = self.bytes_ = 0  # that were stored
        self._kinds: dict[NormalizedName, str] = {}

    def add(self, result: Result, stored: Stored) -> None:
        """Count one more result, and the files that were stored for it."""
        project = result.project
        self.files += stored.files
        self.bytes_ += stored.bytes_
        kind = "failed" if result.error else _KINDS[result.outcome]
        if kind not in {"unchanged", "absent"} or project not in self._kinds:
            self._kinds[project] = kind
        self.failed.discard(project)
        if result.error:
            self.failed.add(project)
        if result.outcome is Outcome.ABSENT:
            self.absent.add(project)

    @property
    def counts(self) -> Mapping[str, int]:
        """How many projects were updated, removed, unchanged, absent and failed."""
        kinds = Counter(self._kinds.values())
        return {kind: kinds[kind] for kind in (*dict.fromkeys(_KINDS.values()), "failed")}

    def summary(self, seconds: float, *, behind: bool) -> str:
        """Return all of it in one line."""
        if not self._kinds:
            return "Nothing to do." if behind else "Nothing to do: the mirror has all changes."
        kinds = [f"{number:,} {kind}" for kind, number in self.counts.items() if number]
        stored = f"; stored {count(self.files, 'file')}, {size(self.bytes_)}" if self.files else ""
        return f"Projects: {', '.join(kinds)} in {duration(seconds)}{stored}."

    def payload(self, seconds: float) -> JsonObject:
        """Return all of it as JSON."""
        absent: list[Json] = [*sorted(self.absent)]
        return {
            "projects": dict(self.counts),
            "files": self.files,
            "bytes": self.bytes_,
            "seconds": round(seconds, 3),
            "absent": absent,
        }


def project_line(result: Result, stored: Stored, reason: Reason | None) -> str:
    """Return what became of a project; empty: nothing that anybody has to know."""
    parts = []
    if stored.files:
        parts.append(f"{count(stored.files, 'file')}, {size(stored.bytes_)}")
    removed = f"{count(result.files_removed, 'file')} removed" if result.files_removed else ""
    match result.outcome:
        case Outcome.REMOVED:
            why = _WHY.get(reason) if reason is not None else None
            parts.append(f"removed ({why})" if why else "removed")
        case Outcome.QUARANTINED:
            parts.append(f"{removed} (quarantined upstream)" if removed else "quarantined upstream")
        case Outcome.UPDATED if removed:
            parts.append(removed)
        case Outcome.UPDATED if not stored.files and not result.error:
            parts.append("pages updated")
    if result.error:
        parts.append(f"failed: {result.error}")
    return f"{result.project}: {'; '.join(parts)}" if parts else ""


def lagging_payload(lagging: Mapping[NormalizedName, Lagging]) -> JsonObject:
    """Return lagging projects as JSON."""
    return {
        project: {"reason": entry.reason, "attempts": entry.attempts, "due": round(entry.due)}
        for project, entry in sorted(lagging.items())
    }


def lagging_lines(
    lagging: Mapping[NormalizedName, Lagging], shown: Collection[NormalizedName], now: float
) -> list[str]:
    """Return a line for each lagging project, without its reason where that was `shown`."""
    lines = []
    for project, entry in sorted(lagging.items()):
        reason = "" if project in shown else f": {entry.reason}"
        lines.append(f"{project} is lagging{reason}; {next_retry(entry, now)}")
    return lines


def held_back_payload(held_back: HeldBackFile) -> JsonObject:
    """Return what the cooldown holds back as JSON: in numbers, and of up to a thousand projects."""
    first = islice(_by_time(held_back), _MAX_HELD_BACK)
    return {
        "projects": len(held_back.projects),
        "files": held_back.files,
        "until": {
            project: {"files": each.files, "next": utc(each.ripens)} for project, each in first
        },
    }


def held_back_lines(held_back: HeldBackFile) -> Iterator[str]:
    """Yield what the cooldown holds back: a summary, and the projects that are ripe first."""
    projects = len(held_back.projects)
    if not projects:
        return
    files = f"{count(held_back.files, 'file')} of {count(projects, 'project')}"
    yield f"Held back by the cooldown: {files}"
    for project, each in islice(_by_time(held_back), _MAX_SHOWN):
        until = "until" if each.files == 1 else "the first until"
        yield f"  {project}: {count(each.files, 'file')}, {until} {utc(each.ripens)}"
    if projects > _MAX_SHOWN:
        yield f"  and {projects - _MAX_SHOWN:,} more projects"


def _by_time(held_back: HeldBackFile) -> list[tuple[NormalizedName, HeldBack]]:
    return sorted(held_back.projects.items(), key=lambda item: (item[1].ripens, item[0]))


def next_retry(entry: Lagging, now: float) -> str:
    """Return when a lagging project is retried."""
    due = "with the next run" if entry.is_due(now) else f"in {duration(entry.due - now)}"
    return f"next retry: {due}"
