"""Compare the bucket with upstream at the end, file by file; it must hold nothing else."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

from tests.faults.pages import FORMS, HTML, V1_HTML, V1_JSON, VARIANT, page_key, read_page
from tests.upstream import PYPI
from tests.upstream.pages import Addresses, project_page

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from tests.faults.pages import Page
    from tests.upstream import File, Index, ProjectView

_PREFIXES = ("web/simple/", "web/gzip/", "web/packages/", "web/integrity/")
_ROOT_PAGES = {f"{top}/simple/{form}" for top in ("web", "web/gzip") for form in FORMS}


def problems(
    index: Index, upstream: str, projects: Sequence[str], contents: Mapping[str, bytes]
) -> Iterator[str]:
    """Yield what the bucket lacks, and what differs from upstream."""
    for name in projects:
        view = index.project(name)
        if view is not None:
            yield from _project_problems(view, upstream, contents)


def left_over(index: Index, projects: Sequence[str], contents: Mapping[str, bytes]) -> set[str]:
    """Return the keys that nothing upstream accounts for."""
    expected = {key for name in projects for key in _keys(index.project(name))}
    return {key for key in contents if key.startswith(_PREFIXES)} - expected - _ROOT_PAGES


def _keys(view: ProjectView | None) -> Iterator[str]:
    if view is None:
        return
    project = view.normalized_name
    yield from (page_key(project, form) for form in (*FORMS, VARIANT))
    for listed in view.files:
        file = listed.file
        yield f"web{file.path}"
        if file.core_metadata is not None:
            yield f"web{file.path}.metadata"
        if file.provenance is not None:
            yield _provenance_key(file)


def _project_problems(
    view: ProjectView, upstream: str, contents: Mapping[str, bytes]
) -> Iterator[str]:
    project = view.normalized_name
    missing = [key for key in _keys(view) if key not in contents]
    if missing:
        yield f"{project}: {len(missing)} objects are missing, the first is {missing[0]}"
        return
    page = read_page(page_key(project, V1_JSON), contents[page_key(project, V1_JSON)])
    yield from _page_problems(view, page, upstream, contents)
    for key, digest in page.objects().items():
        if hashlib.sha256(contents[key]).hexdigest() != digest:
            yield f"{key} has other bytes than its page says"
    for listed in view.files:
        note, key = listed.file.provenance, _provenance_key(listed.file)
        if note is not None and json.loads(contents[key]) != note:
            yield f"{key} differs from upstream's"


def _page_problems(
    view: ProjectView, page: Page, upstream: str, contents: Mapping[str, bytes]
) -> Iterator[str]:
    project = view.normalized_name
    expected = project_page(view, PYPI, Addresses(upstream, upstream))
    for file in expected["files"]:
        file["url"] = "../.." + unquote(urlsplit(file["url"]).path)
        if file["provenance"] is None:
            del file["provenance"]
    json_key = page_key(project, V1_JSON)
    payload = json.loads(contents[json_key])
    payload["meta"].pop("_frumious")
    if payload != expected:
        yield f"{json_key} differs: {_differences(payload, expected)}"
    for form in (HTML, V1_HTML, VARIANT):
        key = page_key(project, form)
        if read_page(key, contents[key]) != page:
            yield f"{key} differs from {json_key}"


def _provenance_key(file: File) -> str:
    return f"web/integrity/{file.project}/{file.version}/{file.filename}/provenance"


def _differences(payload: dict[str, Any], expected: dict[str, Any]) -> str:
    keys = [
        key for key in payload.keys() | expected.keys() if payload.get(key) != expected.get(key)
    ]
    return "; ".join(
        f"{key}: {payload.get(key)!r}, not {expected.get(key)!r}" for key in sorted(keys)
    )
