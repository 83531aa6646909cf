"""Mistakes in `[plugins]` and its lists, by which more would be mirrored than the lists say.

Nobody notices those before the storage is full.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

from frumious.config import values
from frumious.config.reader import did_you_mean
from frumious.selection.names import AllowedProjects
from frumious.selection.unread import Unread

if TYPE_CHECKING:
    from collections.abc import Mapping

    from packaging.requirements import Requirement

    from frumious.config.reader import Reader
    from frumious.selection.selection import Selection

# Sections of filters, in bandersnatch's manner of naming them.
_FILTER_SECTION: Final = re.compile(r"(filter|regex|exclude|latest|size|version)_\w+|\w+_metadata")
_ALLOWLIST_FILTERS: Final = frozenset(
    {
        "allowlist_project",
        "allowlist_release",
        "size_project_metadata",
        "versions_count_project_metadata",
    }
)
_LISTS: Final = ("allowlist", "blocklist", "budget", "top")  # sections that several filters read
_PLATFORM_KEYS: Final = ("platforms", "pythons", "abis", "sdists")
_SHOWN: Final = 5  # entries of a list


def check_filters(reader: Reader) -> None:
    """Report filters that do not exist, and lists that no enabled filter reads.

    To be called when the options of all filters have been read.
    """
    text = reader.text("plugins", "enabled")
    enabled = frozenset(text.split())
    everything = enabled == {"all"}
    if everything:
        _check_sections(reader)
    allowed, blocked = _entries(reader, "allowlist"), _entries(reader, "blocklist")
    _check_locks(reader, enabled)
    if "allowlist_project" in enabled and not reader.text("allowlist", "packages"):
        reader.mistakes.append(
            "[allowlist] packages lists no project, so allowlist_project would allow all of them;"
            " list projects, or remove allowlist_project"
        )
    elif allowed and not everything and not enabled & _ALLOWLIST_FILTERS:
        reader.mistakes.append(
            "[allowlist] packages has no effect, so all projects would be mirrored; add"
            " allowlist_project to [plugins] enabled, or remove the list"
        )
    elif allowed and "allowlist_release" in enabled and "allowlist_project" not in enabled:
        reader.warn(
            "[plugins] enabled has allowlist_release without allowlist_project: the releases of"
            " all other projects are mirrored too"
        )
    if "allowlist_project" in enabled and "allowlist_release" not in enabled:
        _warn_unused(reader, "allowlist", _specific(allowed), "allowlist_release")
    _check_limits(reader, enabled)
    if everything:
        return
    for key in () if "allowlist_platform" in enabled else _PLATFORM_KEYS:
        reader.warn_unused("allowlist", key, "it needs allowlist_platform")
    if not enabled & {"blocklist_project", "blocklist_release"}:
        _warn_unused(reader, "blocklist", blocked, "blocklist_project or blocklist_release")
    elif "blocklist_release" not in enabled:
        _warn_unused(reader, "blocklist", _specific(blocked), "blocklist_release")


def lists_projects(selection: Selection) -> bool:
    """Return whether lists name the projects that are selected, read or not."""
    return any(isinstance(each, AllowedProjects | Unread) for each in selection.names)


def check_closure(reader: Reader, selection: Selection, options: Mapping[str, Any]) -> None:
    """Report a closure that begins nowhere, or that cannot read what files need."""
    if not lists_projects(selection):
        reader.add_mistake(
            "closure", "closure", "needs a list of projects to begin with: all are mirrored anyway"
        )
    if not (options["release_files"] and options["core_metadata"]):
        text = "needs [mirror] release-files = true and core-metadata = true"
        reader.add_mistake("closure", "closure", text)


def _check_limits(reader: Reader, enabled: frozenset[str]) -> None:
    """Report options of `[top]` and `[budget]` that have no effect, or only half of one."""
    top = [key for key in ("projects", "list") if reader.text("top", key)]
    if len(top) == 1 or ("top_projects" in enabled and not top):
        reader.mistakes.append(
            "[top] needs both projects, a number, and list, a file or an address with counts: else"
            " top_projects would allow all projects"
        )
    if enabled == {"all"}:
        return
    for key in top if "top_projects" not in enabled else ():
        reader.warn_unused("top", key, "it needs top_projects")
    for key in ("max-file-size", "max-project-size"):
        if key.replace("-", "_") not in enabled:
            reader.warn_unused("budget", key, f"it needs {key.replace('-', '_')}")


def _check_locks(reader: Reader, enabled: frozenset[str]) -> None:
    files = reader.text("locks", "files")
    if "project_locks" in enabled and not files:
        reader.mistakes.append(
            "[locks] files names no list, so project_locks would allow all projects; name the"
            " lists, or remove project_locks"
        )
    elif files and not enabled & {"project_locks", "all"}:
        reader.mistakes.append(
            "[locks] files has no effect, so all projects would be mirrored; add project_locks to"
            " [plugins] enabled, or remove the section"
        )


def _check_sections(reader: Reader) -> None:
    foreign = [
        f"[{name}]"
        for name in reader.unknown_sections()
        if _FILTER_SECTION.fullmatch(name) or did_you_mean(name, _LISTS)
    ]
    if foreign:
        text = (
            f"there is no filter that reads {', '.join(foreign)}, so more would be mirrored; list"
            " the filters to enable, or correct the section"
        )
        reader.add_mistake("plugins", "enabled", text)


def _warn_unused(reader: Reader, section: str, entries: list[Requirement], needed: str) -> None:
    if entries:
        names = ", ".join(map(str, entries[:_SHOWN]))
        reader.warn(f"[{section}] packages: {names}: has no effect without {needed}")


def _specific(entries: list[Requirement]) -> list[Requirement]:
    return [entry for entry in entries if entry.specifier]


def _entries(reader: Reader, section: str) -> list[Requirement]:
    """Return the entries of a list; none of one that is invalid, which is reported already."""
    try:
        return list(values.requirements(reader.text(section, "packages")))
    except ValueError:
        return []
