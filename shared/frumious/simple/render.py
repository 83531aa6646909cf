"""From the model to the bytes of a Simple API answer, as JSON and as HTML.

The same model gives the same bytes, always. Everything that upstream said is escaped in HTML.
"""

from __future__ import annotations

import json
from html import escape
from typing import TYPE_CHECKING

from frumious.model.checksums import DIGEST_LENGTHS

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from frumious.model.pages import File, ProjectPage, Status
    from frumious.model.types import Json, JsonObject

_KNOWN_TO_CLIENTS = ("sha256", "sha512", "sha384", "sha224", "sha1", "md5")


def project_page_json(page: ProjectPage) -> bytes:
    """Render a project page as JSON (PEP 691, 700, 714, 740, 792)."""
    meta = _meta(page.meta, page.api_version, page.serial)
    if page.publication is not None:
        publication = page.publication
        meta["_frumious"] = {
            "run": publication.run,
            "selection": publication.selection,
            "etag": publication.etag,
            "added": list(publication.added),
            "removed": list(publication.removed),
            "refused": dict(publication.refused),
            **({} if publication.stored else {"stored": False}),
        }
    said: JsonObject = {"meta": meta, "name": page.name}
    if page.status is not None:
        said["project-status"] = _status(page.status)
    if page.versions is not None:
        said["versions"] = list(page.versions)
    said["files"] = [_file_json(file) for file in page.files]
    return _json({**page.extra, **said})


def project_page_html(page: ProjectPage, digest_name: str = "sha256") -> bytes:
    """Render a project page as HTML (PEP 503, 592, 629, 658, 714, 740, 792).

    Links carry the hash `digest_name`; where there is none, the best that there is.
    """
    title = f"Links for {escape(page.name)}"
    return _html(
        title,
        page.api_version,
        _status_tags(page.status),
        [f"<h1>{title}</h1>", *(_anchor(file, digest_name) for file in page.files)],
        page.serial,
    )


def _json(said: JsonObject) -> bytes:
    return json.dumps(said, separators=(",", ":")).encode()


def _meta(meta: Mapping[str, Json], version: str, serial: int | None) -> JsonObject:
    said: JsonObject = {"api-version": version}
    if serial is not None:
        said["_last-serial"] = serial
    return {**meta, **said}


def _status(status: Status) -> JsonObject:
    said: JsonObject = {"status": status.status}
    if status.reason is not None:
        said["reason"] = status.reason
    return {**status.extra, **said}


def _file_json(file: File) -> JsonObject:
    said: JsonObject = {
        "filename": file.filename,
        "url": file.url,
        "hashes": dict(file.hashes),
        "requires-python": file.requires_python,
        "yanked": file.yanked,
        "core-metadata": _flag(file.core_metadata),
        "data-dist-info-metadata": _flag(file.core_metadata),
    }
    if file.size is not None:
        said["size"] = file.size
    if file.upload_time is not None:
        said["upload-time"] = file.upload_time
    if file.gpg_sig is not None:
        said["gpg-sig"] = file.gpg_sig
    if file.provenance is not None:
        said["provenance"] = file.provenance
    return {**file.extra, **said}


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
        said = escape(_metadata_hash(file.core_metadata))
        attributes += [f'data-core-metadata="{said}"', f'data-dist-info-metadata="{said}"']
    if file.gpg_sig is not None:
        attributes.append(f'data-gpg-sig="{str(file.gpg_sig).lower()}"')
    if file.yanked is not False:
        reason = "" if file.yanked is True else file.yanked
        attributes.append(f'data-yanked="{escape(reason)}"')
    if file.provenance is not None:
        attributes.append(f'data-provenance="{escape(file.provenance)}"')
    return f"<a {' '.join(attributes)}>{escape(file.filename)}</a><br/>"


def _fragment(hashes: Mapping[str, str], wanted: str = "sha256") -> str:
    if not hashes:
        return ""
    # There is room for one: else the best that installers know, or one that verifies the file.
    name = min(
        hashes,
        key=lambda name: (name != wanted, _rank(name), name not in DIGEST_LENGTHS, name),
    )
    return f"#{name}={hashes[name]}"


def _rank(name: str) -> int:
    return _KNOWN_TO_CLIENTS.index(name) if name in _KNOWN_TO_CLIENTS else len(_KNOWN_TO_CLIENTS)


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
