"""The mirror at the end of a history, when it is to equal upstream."""

from __future__ import annotations

import time
from functools import lru_cache
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

import msgspec
from packaging.utils import canonicalize_name

from tests.faults.pages import FORMS, HTML, V1_HTML, V1_JSON
from tests.faults.verdict import _keys, _provenance_key
from tests.root_shards import problems
from tests.simulation.changes import PROJECTS
from tests.simulation.network import MASTER
from tests.simulation.reports import ROOT, STATUS_JSON
from tests.simulation.seen import Kind, Violation, root_names, seen
from tests.soak.diff_files import unreported
from tests.upstream import PYPI
from tests.upstream.pages import Addresses, project_page

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from tests.simulation.storage import Disk
    from tests.simulation.witness import Witness
    from tests.upstream.index import Index
    from tests.upstream.project import ProjectView

_PREFIXES = ("web/simple/", "web/gzip/", "web/packages/", "web/integrity/")


def judge(index: Index, disk: Disk, witness: Witness, now: float) -> None:
    """Compare all that readers see with upstream.

    Raises:
        Violation: something differs.
    """
    expected = {f"web/simple/{form}" for form in FORMS}
    expected |= {_variant(f"web/simple/{form}", disk) for form in FORMS}
    for project in PROJECTS:
        if project in witness.differing:
            expected |= witness.named(project)
            continue
        is_unwanted = project == witness.blocked or project in witness.deleted()
        view = None if is_unwanted else index.project(project)
        if view is not None and not _may_be_missing(view, disk, witness):
            expected |= _judge_project(view, disk)
    _judge_root(index, disk, witness)
    knows_events = not witness.hid_changelog
    witness.snapshots.judge(witness.deleted(), knows_events=knows_events)
    _judge_snapshots(disk, witness)
    undeleted, kept = {*_undeleted(disk, now)}, witness.snapshots.named()
    # A JSON page that a repair makes of HTML does not say what a killed job has added.
    if not (witness.spoilt or witness.repairs):
        # What came back is due all the same; what only snapshots show counts as removed.
        stored = {*disk.objects} - undeleted - kept | witness.named()
        diffs = (*witness.diffs, *witness.unannounced())
        for problem in unreported(diffs, "mirror", stored, witness.visible):
            raise Violation(Kind.DIFF_FILE, problem)
    expected |= undeleted | kept
    for key in disk.objects:
        if not key.startswith(_PREFIXES) or key in expected:
            continue
        if _is_forgotten(key, witness):
            continue
        # Files that were stored for a page that was never published may stay.
        if key in witness.published or not key.startswith(("web/packages/", "web/integrity/")):
            raise Violation(Kind.LEFT_OVER, f"{key} is left over")


def _judge_project(view: ProjectView, disk: Disk) -> set[str]:
    project = view.normalized_name
    key = f"web/simple/{project}/{V1_JSON}"
    expected = {key for key in _keys(view) if not key.startswith("web/gzip/")} | {
        _variant(key, disk)
    }
    if missing := expected - disk.objects.keys():
        raise Violation(Kind.DIFFERS, f"{project} lacks {min(missing)}")
    body = disk.objects[key].body
    try:
        payload = msgspec.json.decode(body)
        payload["meta"].pop("_frumious")
    except (msgspec.DecodeError, KeyError, TypeError) as error:
        raise Violation(Kind.DIFFERS, f"{key} is still damaged: {error!r}") from error
    wanted = _expected(view)
    if payload != wanted:
        raise Violation(Kind.DIFFERS, f"{key} differs: {payload}, not {wanted}")
    page = seen(key, body).page
    for other in (f"web/simple/{project}/{HTML}", f"web/simple/{project}/{V1_HTML}"):
        if seen(other, disk.objects[other].body).page != page:
            raise Violation(Kind.DIFFERS, f"{other} differs from {key}")
    variant = _variant(key, disk)
    if seen(variant, disk.objects[variant].body).page != page:
        raise Violation(Kind.DIFFERS, f"{variant} differs from {key}")
    for listed in view.files:
        note, name = listed.file.provenance, _provenance_key(listed.file)
        if note is not None and msgspec.json.decode(disk.objects[name].body) != note:
            raise Violation(Kind.DIFFERS, f"{name} differs from upstream's")
    return expected


@lru_cache(maxsize=2)
def _addresses() -> Addresses:
    return Addresses(MASTER, MASTER)


def _expected(view: ProjectView) -> dict[str, Any]:
    page = project_page(view, PYPI, _addresses())
    for file in page["files"]:
        file["url"] = "../.." + unquote(urlsplit(file["url"]).path)
        if file["provenance"] is None:
            del file["provenance"]
    return page


def _judge_root(index: Index, disk: Disk, witness: Witness) -> None:
    exempt = witness.differing
    unlisted = {witness.blocked, *witness.deleted(), *exempt}
    expected = {str(name): serial for name, _, serial in index.projects() if name not in unlisted}
    if ROOT not in disk.objects and not expected:
        return  # there never was anything to list
    if ROOT not in disk.objects:
        raise Violation(Kind.DIFFERS, f"{ROOT} is missing")
    payload = msgspec.json.decode(disk.objects[ROOT].body)
    names = {str(canonicalize_name(each["name"])): each["name"] for each in payload["projects"]}
    found: Mapping[str, int] = {
        str(canonicalize_name(each["name"])): each["_last-serial"] for each in payload["projects"]
    }
    if {name: serial for name, serial in found.items() if name not in exempt} != expected:
        raise Violation(Kind.DIFFERS, f"{ROOT} lists {found}, and upstream {expected}")
    bodies = {key: each.body for key, each in disk.objects.items()}
    for problem in problems(bodies, witness.shards):
        raise Violation(Kind.DIFFERS, problem)
    for form in (HTML, V1_HTML):
        if f"web/simple/{form}" not in disk.objects:
            raise Violation(Kind.DIFFERS, f"web/simple/{form} is missing")
        if root_names(disk.objects[f"web/simple/{form}"].body) != names:
            raise Violation(Kind.DIFFERS, f"web/simple/{form} lists other projects than {ROOT}")


def _judge_snapshots(disk: Disk, witness: Witness) -> None:
    """Check that the public status names the snapshots that readers get, as state does."""
    known = witness.snapshots_known()
    status = disk.objects.get(STATUS_JSON)
    if not known or status is None:
        return
    shown = msgspec.json.decode(status.body).get("snapshots") or {}
    if shown.get("known", {}).keys() != known.keys():
        raise Violation(Kind.DIFFERS, f"{STATUS_JSON} has {shown}, and {[*known]} are known")


def _undeleted(disk: Disk, now: float) -> Iterator[str]:
    """Yield the files that wait for their deletion (`delete-after`)."""
    hour = time.strftime("%Y%m%dT%H", time.gmtime(now))
    for key, stored in disk.objects.items():
        if key.startswith("state/removed/"):
            for due, keys in msgspec.json.decode(stored.body)["due"].items():
                if due > hour:
                    yield from keys


def _may_be_missing(view: ProjectView, disk: Disk, witness: Witness) -> bool:
    """Whether a project is quarantined, and the mirror has none of its pages.

    No index lists it, and a 404 of a stale cache after the event counts as its removal.
    """
    directory = f"web/simple/{view.normalized_name}/"
    pages = (key for key in disk.objects if key.startswith(directory))
    return view.status == "quarantined" and all(_is_forgotten(key, witness) for key in pages)


def _is_forgotten(key: str, witness: Witness) -> bool:
    """Whether a page is HTML of a job whose run is forgotten: `frumious verify` finds it."""
    return witness.dropped and key not in witness.visible


def _variant(key: str, disk: Disk) -> str:
    return key.replace("web/", "web/gzip/", 1) if disk.is_bucket else f"{key}.gz"
