"""Rendering of the Simple API's pages and of the legacy JSON.

A page is a dictionary with the keys of the JSON (PEP 691, 700, 714, 740, 792); HTML (PEP 503) is
rendered from it.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from email import message_from_bytes
from functools import lru_cache
from html import escape
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from packaging.utils import NormalizedName, canonicalize_name
from packaging.version import Version

from .negotiation import JSON

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from datetime import datetime

    from .personality import Personality
    from .project import File, ListedFile, ProjectView

Page = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Addresses:
    """Base URLs in pages, without a trailing slash."""

    index: str
    files: str

    def file(self, file: File, *, relative: bool) -> str:
        return ("../.." if relative else self.files) + file.quoted_path

    def provenance(self, file: File) -> str:
        parts = (file.project, file.version, file.filename)
        return f"{self.index}/integrity/{'/'.join(quote(part) for part in parts)}/provenance"


def project_page(view: ProjectView, kind: Personality, addresses: Addresses) -> Page:
    versions = list(dict.fromkeys(listed.file.version for listed in view.files))
    status = {"status": view.status}
    page: Page = {
        "alternate-locations": [],
        "files": [_file(listed, kind, addresses) for listed in view.files],
        "meta": _meta(view.serial, kind),
        "name": view.normalized_name,
        "project-status": status if view.reason is None else {**status, "reason": view.reason},
        "versions": versions,
    }
    return _only(page, kind.page_keys)


def root_page(
    projects: Sequence[tuple[NormalizedName, str, int]], serial: int, kind: Personality
) -> Page:
    return {
        "meta": _meta(serial, kind),
        "projects": [
            {"_last-serial": last, "name": name} if kind.root_serials else {"name": name}
            for _, name, last in projects
        ],
    }


def render(page: Page, content_type: str, kind: Personality) -> bytes:
    """Render a project page or a root index as JSON or HTML."""
    if content_type == JSON:
        return json.dumps(page, separators=(",", ":")).encode()
    if "projects" in page:
        base = "" if kind.relative else "/simple/"
        links = (
            f'<a href="{base}{canonicalize_name(each["name"])}/">{escape(each["name"])}</a><br/>'
            for each in page["projects"]
        )
        return _html(page, "Simple index", links)
    return _html(page, f"Links for {page['name']}", (_link(file) for file in page["files"]))


def release_json(view: ProjectView, version: str, addresses: Addresses) -> Page | None:
    """Return the page at `/pypi/<project>/<version>/json`; None: there is no such release."""
    files = [each for each in view.files if Version(each.file.version) == Version(version)]
    if not files:
        return None
    page = legacy_json(replace(view, files=tuple(files)), addresses)
    del page["releases"]
    return page


def legacy_json(view: ProjectView, addresses: Addresses) -> Page:
    """Return the page at `/pypi/<project>/json` of a project with files."""
    releases: dict[str, list[Page]] = {}
    for listed in view.files:
        releases.setdefault(listed.file.version, []).append(_legacy_file(listed, addresses))
    latest = view.files[-1]
    of_latest = [each.file for each in view.files if each.file.version == latest.file.version]
    return {
        "info": {
            "name": view.name,
            "version": latest.file.version,
            "summary": "",
            "classifiers": [],
            "requires_dist": next(filter(None, map(_requires_dist, of_latest)), None),
            "requires_python": latest.file.requires_python,
            "yanked": bool(latest.yanked),
            "yanked_reason": latest.yanked if isinstance(latest.yanked, str) else None,
        },
        "last_serial": view.serial,
        "releases": releases,
        "urls": releases[latest.file.version],
        "vulnerabilities": [],
    }


def _requires_dist(file: File) -> list[str]:
    """Return what a file's core metadata requires."""
    metadata = b"" if file.core_metadata is None else b"".join(file.core_metadata.read())
    return message_from_bytes(metadata).get_all("Requires-Dist", [])


def _meta(serial: int, kind: Personality) -> Page:
    meta: Page = {"api-version": kind.api_version}
    if kind.serials is not None:
        meta["_last-serial"] = str(serial) if kind.serials == "text" else serial
    return meta


def _file(listed: ListedFile, kind: Personality, addresses: Addresses) -> Page:
    file = listed.file
    metadata = {"sha256": file.core_metadata.sha256} if file.core_metadata else False
    no_requires_python = (
        "" if kind.empty_requires_python and not file.filename.endswith(".whl") else None
    )
    entry: Page = {
        "core-metadata": metadata,
        "data-dist-info-metadata": metadata,
        "filename": file.filename,
        "hashes": {"sha256": file.content.sha256},
        "provenance": addresses.provenance(file) if file.provenance is not None else None,
        "requires-python": file.requires_python or no_requires_python,
        "size": file.content.size,
        "upload-time": _upload_time(file.upload_time),
        "url": addresses.file(file, relative=kind.relative),
        "yanked": listed.yanked if kind.yank_reasons else bool(listed.yanked),
    }
    return _only(entry, kind.file_keys)


def _only(entry: Page, keys: frozenset[str] | None) -> Page:
    return entry if keys is None else {key: entry[key] for key in entry if key in keys}


@lru_cache(maxsize=10_000)
def _upload_time(time: datetime) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def _link(file: Page) -> str:
    """Render one file of a project page."""
    hashes = file.get("hashes") or {}
    fragment = next((f"#{name}={value}" for name, value in hashes.items()), "")
    attributes = {"href": f"{file['url']}{fragment}"}
    if file.get("requires-python"):
        attributes["data-requires-python"] = file["requires-python"]
    if file.get("yanked"):
        attributes["data-yanked"] = file["yanked"] if isinstance(file["yanked"], str) else ""
    if file.get("core-metadata"):
        value = "sha256=" + file["core-metadata"]["sha256"]
        attributes["data-dist-info-metadata"] = attributes["data-core-metadata"] = value
    if file.get("provenance"):
        attributes["data-provenance"] = file["provenance"]
    rendered = " ".join(f'{name}="{escape(value)}"' for name, value in attributes.items())
    return f"<a {rendered}>{escape(file['filename'])}</a><br/>"


def _html(page: Page, title: str, links: Iterable[str]) -> bytes:
    meta = page["meta"]
    head = [f'<meta name="pypi:repository-version" content="{meta["api-version"]}">']
    if "project-status" in page:
        status = page["project-status"]
        head.append(f'<meta name="pypi:project-status" content="{escape(status["status"])}">')
        if status.get("reason"):
            reason = escape(status["reason"])
            head.append(f'<meta name="pypi:project-status-reason" content="{reason}">')
    lines = [
        "<!DOCTYPE html>",
        '<html lang="en">',
        "<head>",
        *head,
        f"<title>{escape(title)}</title>",
        "</head>",
        "<body>",
        f"<h1>{escape(title)}</h1>",
        *links,
        "</body>",
        "</html>",
    ]
    if "_last-serial" in meta:
        lines.append(f"<!--SERIAL {meta['_last-serial']}-->")
    return ("\n".join(lines) + "\n").encode()


_PACKAGE_TYPES = {
    "whl": "bdist_wheel",
    "egg": "bdist_egg",
    "exe": "bdist_wininst",
    "msi": "bdist_msi",
    "rpm": "bdist_rpm",
    "dmg": "bdist_dmg",
}


def _legacy_file(listed: ListedFile, addresses: Addresses) -> Page:
    file = listed.file
    is_wheel = file.filename.endswith(".whl")
    digests = {
        "blake2b_256": file.content.blake2b_256,
        "md5": file.content.md5,
        "sha256": file.content.sha256,
    }
    return {
        "core-metadata": {"sha256": file.core_metadata.sha256} if file.core_metadata else False,
        "digests": digests,
        "filename": file.filename,
        "has_sig": False,
        "md5_digest": file.content.md5,
        "packagetype": _PACKAGE_TYPES.get(file.filename.rpartition(".")[2], "sdist"),
        "python_version": file.filename.split("-")[-3] if is_wheel else "source",
        "requires_python": file.requires_python,
        "size": file.content.size,
        "upload_time": file.upload_time.strftime("%Y-%m-%dT%H:%M:%S"),
        "upload_time_iso_8601": _upload_time(file.upload_time),
        "url": addresses.file(file, relative=False),
        "yanked": bool(listed.yanked),
        "yanked_reason": listed.yanked if isinstance(listed.yanked, str) else None,
    }
