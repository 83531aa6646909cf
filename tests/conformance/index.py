"""An upstream that uses every field of the Simple API, and some that are invalid."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tests.upstream import Edit, Fault, sdist, wheel

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.upstream import Index, Server

PROVENANCE = {"version": 1, "attestation_bundles": []}
REASON = 'it is <b>"bad"</b> & ugly'


def fill(upstream: Server) -> None:
    """Create the projects, before the first run."""
    index = upstream.index
    index.upload(wheel("Plain.Project", "1.0", requires_python=">=3.8,<4"), provenance=PROVENANCE)
    index.upload(sdist("Plain.Project", "1.0"))
    for version in ("1.0", "2.0", "3.0", "4.0"):
        index.upload(wheel("yanked", version))
    index.yank("yanked", "1.0")
    index.yank("yanked", "2.0", REASON)
    index.add_project("empty")
    for name in ("archived", "deprecated", "quarantined", "stateless", "cleared", "offering"):
        index.upload(wheel(name, "1.0"))
    index.quarantine_project("cleared")
    for version in ("1.0", "2.0", "3.0", "4.0"):
        index.upload(wheel("metadata", version))
    for name in ("old", "beyond", "future"):
        index.upload(wheel(name, "1.0"))
    for project, edit in EDITS.items():
        upstream.faults.add(Fault(Edit(edit), f"/simple/{project}/"))


def change(index: Index) -> None:
    """Change the projects, between the first and the second run."""
    index.archive("archived", REASON)
    index.deprecate("deprecated")
    index.quarantine_project("quarantined", REASON)
    index.clear_project_quarantine("cleared")


def _yank_with_an_empty_reason(page: dict[str, Any]) -> None:
    page["files"][3]["yanked"] = ""


def _without_status(page: dict[str, Any]) -> None:
    del page["project-status"]


def _offer_quarantined_files(page: dict[str, Any]) -> None:
    page["project-status"] = {"status": "quarantined"}


def _use_other_metadata_keys(page: dict[str, Any]) -> None:
    true, of_pypi, of_pep, false = page["files"]
    true["core-metadata"] = true["data-dist-info-metadata"] = True
    del of_pypi["core-metadata"]
    of_pep["dist-info-metadata"] = of_pep.pop("core-metadata")
    del of_pep["data-dist-info-metadata"]
    false["core-metadata"] = false["data-dist-info-metadata"] = False


def _use_version_1_0(page: dict[str, Any]) -> None:
    page["meta"]["api-version"] = "1.0"
    del page["versions"], page["project-status"], page["alternate-locations"]
    for file in page["files"]:
        for key in ("size", "upload-time", "provenance", "yanked", "requires-python"):
            del file[key]


def _use_later_versions(page: dict[str, Any]) -> None:
    page["meta"]["api-version"] = "1.5"
    page["meta"]["tracks"] = ["https://elsewhere.example/simple/beyond/"]
    page["meta"]["_private"] = "upstream's"
    page["alternate-locations"] = ["https://elsewhere.example/simple/beyond/"]
    page["namespaces"] = [{"name": "beyond", "owned": True}]
    page["namespace"] = None
    page["unheard-of"] = {"deep": [1, None, {"é": "<&>"}]}
    page["project-status"]["since"] = "2026-01-01"
    (file,) = page["files"]
    file["unheard-of"] = [True, 2.5]
    file["gpg-sig"] = True
    file["hashes"] |= {"md5": "0" * 32, "unheard-of": "abc"}


def _use_version_2_0(page: dict[str, Any]) -> None:
    page["meta"]["api-version"] = "2.0"


EDITS: dict[str, Callable[[dict[str, Any]], None]] = {
    "yanked": _yank_with_an_empty_reason,
    "stateless": _without_status,
    "offering": _offer_quarantined_files,
    "metadata": _use_other_metadata_keys,
    "old": _use_version_1_0,
    "beyond": _use_later_versions,
    "future": _use_version_2_0,
}
