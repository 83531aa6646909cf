"""Pages of the Simple API: upstream's, and the mirror's own."""

from __future__ import annotations

import zlib
from typing import Final

from frumious.model import layout
from frumious.model.blobs import keys_of, mirrored_files
from frumious.model.types import Key
from frumious.simple import gzipped, parse_html, parse_json, render, root_index
from frumious.simple.values import InvalidPage
from tests.fuzz.targets.checks import (
    MANIFEST,
    PROJECT,
    URL,
    check_key,
    check_parsed,
    check_project,
    without_urls,
)

_ROOT_URL: Final = "https://upstream.example/simple/"
_ROOT_KEY: Final = Key("web/simple/index.v1_json")


def project_json(data: bytes) -> None:
    """Upstream's project page in JSON."""
    try:
        parsed = parse_json.project_page(data, URL, PROJECT)
    except InvalidPage:
        return
    check_parsed(parsed)


def project_html(data: bytes) -> None:
    """Upstream's project page in HTML."""
    try:
        parsed = parse_html.project_page(data, URL, PROJECT)
    except InvalidPage:
        return
    check_parsed(parsed)


def manifest(data: bytes) -> None:
    """The mirror's own project page, with its private part; also bandersnatch's."""
    try:
        page = parse_json.manifest(data, MANIFEST)
        files = mirrored_files(PROJECT, page)
    except (InvalidPage, layout.UnsafeName):
        return
    for key in keys_of(files):
        check_key(key, "web/packages/", f"web/integrity/{PROJECT}/")
    again = parse_json.manifest(render.project_page_json(page), MANIFEST)
    assert without_urls(again) == without_urls(page)  # urljoin may change odd URLs once more


def own_html(data: bytes) -> None:
    """The mirror's own HTML page, or bandersnatch's."""
    try:
        page = parse_html.project_page(data, f"/{MANIFEST}", PROJECT).page
        files = mirrored_files(PROJECT, page)
    except (InvalidPage, layout.UnsafeName):
        return
    for key in keys_of(files):
        check_key(key, "web/packages/", f"web/integrity/{PROJECT}/")


def compressed_page(data: bytes) -> None:
    """A page's compressed variant."""
    try:
        page = gzipped.decompress(data, max_size=1024**2)
    except zlib.error:
        page = data
    assert len(page) <= 1024**2
    assert gzipped.decompress(gzipped.compress(page), max_size=len(page) + 1) == page


def root_json(data: bytes) -> None:
    """Upstream's root index in JSON."""
    try:
        index = root_index.parse(data, _ROOT_URL)
    except InvalidPage:
        return
    for project in index.projects:
        check_project(project)


def root_html(data: bytes) -> None:
    """Upstream's root index in HTML."""
    try:
        index = parse_html.root_index(data, _ROOT_URL)
    except InvalidPage:
        return
    for project in index.projects:
        check_project(project)


def own_root_index(data: bytes) -> None:
    """The mirror's own root index, which the finalizer changes."""
    try:
        meta = root_index.meta(data, _ROOT_KEY)
        listed = root_index.merge(root_index.batches(data, _ROOT_KEY), {})
        merged = [batch for batch, _ in listed]
    except (InvalidPage, root_index.NotSorted):
        return
    serial = meta.pop("_last-serial")
    assert serial is None or isinstance(serial, int)
    page = root_index.json_page(root_index.json_projects(merged), serial, meta)
    projects = [project for batch in merged for project in batch.items()]
    assert list(root_index.entries(page, _ROOT_KEY)) == projects
    assert root_index.meta(page, _ROOT_KEY)["_last-serial"] == serial
    root_index.parse(page, _ROOT_URL)
    parse_html.root_index(root_index.html_page(merged), _ROOT_URL)


TARGETS = (
    project_json,
    project_html,
    manifest,
    own_html,
    compressed_page,
    root_json,
    root_html,
    own_root_index,
)
