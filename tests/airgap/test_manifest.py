"""What a bundle may write: public objects of the project that it names, and nothing else."""

from __future__ import annotations

import pytest
from packaging.utils import canonicalize_name

from frumious.bundles.errors import InvalidBundle
from frumious.bundles.manifest import Line, Object, Part, parse_head, parse_line, render_line
from frumious.model.page_layout import PageLayout

DEMO = canonicalize_name("demo")
PAGES = PageLayout()
SHA256 = "ab" * 32


def parse(key: str, *, is_page: bool, size: int = 1) -> Line:
    each = Object(key, size, SHA256, (Part(1, 0, 1),))
    page = Object("web/simple/demo/index.v1_json", 1, SHA256, (Part(1, 0, 1),))
    pages, files = ((each, page), ()) if is_page else ((page,), (each,))
    return parse_line(render_line(Line(project=DEMO, files=files, pages=pages)), PAGES)


@pytest.mark.parametrize(
    "key",
    [
        "web/packages/ab/cd/ef/demo-1.0.tar.gz",
        "web/packages/ab/cd/ef/demo-1.0.tar.gz.metadata",
        "web/integrity/demo/1.0/demo-1.0.tar.gz/provenance",
    ],
)
def test_files_have_their_keys(key: str) -> None:
    assert parse(key, is_page=False).files[0].key == key
    with pytest.raises(InvalidBundle, match="may not write"):
        parse(key, is_page=True)


@pytest.mark.parametrize(
    "key",
    [
        "web/simple/demo/index.html",
        "web/simple/demo/versions/index_7_2026-01-01Z.html",
        "web/json/demo",
        "web/pypi/demo/json",
    ],
)
def test_pages_have_their_keys(key: str) -> None:
    assert parse(key, is_page=True).pages[0].key == key
    with pytest.raises(InvalidBundle, match="may not write"):
        parse(key, is_page=False)


@pytest.mark.parametrize(
    "key",
    [
        "",
        "/etc/passwd",
        "../outside",
        "state/cursor.json",
        "state/simple/demo/index.v1_json",
        "web/packages/../../state/cursor.json",
        "web/packages/",
        "web/packages/ab//x",
        "web/packages/ab/..",
        "web/packages/a\\b",
        "web/packages/a\nb",
        "web/integrity/other/1.0/x/provenance",
        "web/integrity/demo/../x/provenance",
        "web/integrity/demo/1.0/x/other",
        "web/simple/other/index.html",
        "web/simple/demo/index.html/../x",
        "web/simple/demo/versions/../index.html",
        "web/simple/demo/versions/a/index_7_2026-01-01Z.html",
        "web/simple/index.html",
        "web/status.json",
        "web/gzip/simple/demo/index.v1_json",
        "status",
        ".lock",
    ],
)
@pytest.mark.parametrize("is_page", [True, False])
def test_other_keys_are_refused(key: str, *, is_page: bool) -> None:
    with pytest.raises(InvalidBundle, match="may not write"):
        parse(key, is_page=is_page)


def test_incomplete_lines_are_refused() -> None:
    with pytest.raises(InvalidBundle, match="do not have its size"):
        parse("web/packages/ab/x", is_page=False, size=2)
    html = Object("web/simple/demo/index.html", 1, SHA256, (Part(1, 0, 1),))
    with pytest.raises(InvalidBundle, match="incomplete"):
        parse_line(render_line(Line(project=DEMO, pages=(html,))), PAGES)
    with pytest.raises(InvalidBundle, match="incomplete"):
        parse_line(render_line(Line(removed=True)), PAGES)


def test_a_later_format_is_named() -> None:
    with pytest.raises(InvalidBundle, match="later version of Frumious"):
        parse_head(b'{"format": 2}')
