"""Rendering of project pages of the Simple API, as JSON and as HTML.

The same page always has the same bytes. All of upstream's values are escaped in HTML.
"""

from __future__ import annotations

import json
from html import escape
from typing import TYPE_CHECKING

import msgspec
from msgspec.structs import replace

from frumious.model import layout
from frumious.model.checksums import DIGEST_LENGTHS

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from frumious.model.pages import File, ProjectPage, Status
    from frumious.model.types import Json, JsonObject

_PREFERRED_HASHES = ("sha256", "sha512", "sha384", "sha224", "sha1", "md5")  # installers know them


def as_published(page: ProjectPage, root_uri: str) -> ProjectPage:
    """Return a page that was read as it was rendered: with links to the mirror's own files.

    Raises:
        UnsafeName: the name or the address of a file must not become a key.
    """
    if page.publication is not None and not page.publication.stored:
        return page
    files = (
        replace(file, url=layout.file_url(layout.stored_key(file), root_uri)) for file in page.files
    )
    return replace(page, files=tuple(files))


def project_page_json(page: ProjectPage) -> bytes:
    """Render a project page as JSON (PEP 691, 700, 714, 740, 792)."""
    meta: JsonObject = {**page.meta, "api-version": page.api_version}
    if page.serial is not None:
        meta["_last-serial"] = page.serial
    if page.publication is not None:
        private = msgspec.to_builtins(page.publication)
        if page.publication.stored:
            del private["stored"]  # so that pages keep the bytes that earlier versions wrote
        for name in ("compressed", "removed_files", "private", "delayed", "simple_all"):
            if not private[name]:
                del private[name]
        for name in ("legacy", "releases"):
            if private[name] is None:
                del private[name]
        meta["_frumious"] = private
    payload: JsonObject = {"meta": meta, "name": page.name}
    if page.status is not None:
        payload["project-status"] = _status(page.status)
    if page.versions is not None:
        payload["versions"] = list(page.versions)
    payload["files"] = [_file_json(file) for file in page.files]
    return json.dumps({**page.extra, **payload}, separators=(",", ":")).encode()


def project_page_html(page: ProjectPage, digest_name: str = "sha256") -> bytes:
    """Render a project page as HTML (PEP 503, 592, 629, 658, 714, 740, 792).

    Links have the hash `digest_name`, or the best one if a file has no such hash.
    """
    title = f"Links for {escape(page.name)}"
    return _html(
        title,
        page.api_version,
        _status_tags(page.status),
        [f"<h1>{title}</h1>", *(_anchor(file, digest_name) for file in page.files)],
        page.serial,
    )


def project_pages(
    page: ProjectPage, forms: Iterable[str], digest_name: str
) -> Iterator[tuple[str, bytes]]:
    """Render a project page in each of the forms: HTML, V1_HTML or V1_JSON."""
    html = project_page_html(page, digest_name)
    for form in forms:
        yield form, project_page_json(page) if form == layout.V1_JSON else html


def _status(status: Status) -> JsonObject:
    payload: JsonObject = {"status": status.status}
    if status.reason is not None:
        payload["reason"] = status.reason
    return {**status.extra, **payload}


def _file_json(file: File) -> JsonObject:
    payload: JsonObject = {
        "filename": file.filename,
        "url": file.url,
        "hashes": dict(file.hashes),
        "requires-python": file.requires_python,
        "yanked": file.yanked,
        "core-metadata": _flag(file.core_metadata),
        "data-dist-info-metadata": _flag(file.core_metadata),
    }
    if file.size is not None:
        payload["size"] = file.size
    if file.upload_time is not None:
        payload["upload-time"] = file.upload_time
    if file.gpg_sig is not None:
        payload["gpg-sig"] = file.gpg_sig
    if file.provenance is not None:
        payload["provenance"] = file.provenance
    return {**file.extra, **payload}


def _flag(value: bool | Mapping[str, str]) -> Json:  # noqa: FBT001
    return value if isinstance(value, bool) else dict(value)


def _status_tags(status: Status | None) -> Iterable[str]:
    if status is None:
        return
    yield f'<meta name="pypi:project-status" content="{escape(status.status)}">'
    if status.reason is not None:
        yield f'<meta name="pypi:project-status-reason" content="{escape(status.reason)}">'


def _anchor(file: File, digest_name: str) -> str:
    attributes = [f'href="{escape(f"{file.url}{_fragment(file.hashes, digest_name)}")}"']
    if file.requires_python:
        attributes.append(f'data-requires-python="{escape(file.requires_python)}"')
    if file.core_metadata is not False:
        value = escape(_metadata_hash(file.core_metadata))
        attributes += [f'data-core-metadata="{value}"', f'data-dist-info-metadata="{value}"']
    if file.gpg_sig is not None:
        attributes.append(f'data-gpg-sig="{str(file.gpg_sig).lower()}"')
    if file.yanked is not False:
        reason = "" if file.yanked is True else file.yanked
        attributes.append(f'data-yanked="{escape(reason)}"')
    if file.provenance is not None:
        attributes.append(f'data-provenance="{escape(file.provenance)}"')
    return f"<a {' '.join(attributes)}>{escape(file.filename)}</a><br/>"


def _fragment(hashes: Mapping[str, str], preferred: str = "sha256") -> str:
    """Render one hash: the preferred one, the best that installers know, or any that verifies."""
    if not hashes:
        return ""
    name = min(
        hashes,
        key=lambda name: (name != preferred, _rank(name), name not in DIGEST_LENGTHS, name),
    )
    return f"#{name}={hashes[name]}"


def _rank(name: str) -> int:
    return _PREFERRED_HASHES.index(name) if name in _PREFERRED_HASHES else len(_PREFERRED_HASHES)


def _metadata_hash(core_metadata: bool | Mapping[str, str]) -> str:  # noqa: FBT001
    if isinstance(core_metadata, bool) or not core_metadata:
        return "true"
    return _fragment(core_metadata).removeprefix("#")


def _html(
    title: str, version: str, tags: Iterable[str], body: Iterable[str], serial: int | None
) -> bytes:
    lines = [
        "<!DOCTYPE html>",
        "<html>",
        "  <head>",
        f'    <meta name="pypi:repository-version" content="{version}">',
        *(f"    {tag}" for tag in tags),
        f"    <title>{title}</title>",
        "  </head>",
        "  <body>",
        *(f"    {line}" for line in body),
        "  </body>",
        "</html>",
    ]
    if serial is not None:
        lines.append(f"<!--SERIAL {serial}-->")
    return "\n".join(lines).encode(errors="xmlcharrefreplace")
