"""Simple API responses: parsing into the model, and rendering as JSON and HTML."""

from __future__ import annotations

import json
from html.parser import HTMLParser
from typing import Any

import pytest
from msgspec.structs import replace
from packaging.utils import canonicalize_name

from frumious.model.pages import File, ProjectPage, Publication, Status
from frumious.model.types import Key, RunId
from frumious.simple import parse_json, render
from frumious.simple.values import InvalidPage

URL = "https://upstream.example/simple/demo/"
DEMO = canonicalize_name("demo")
SHA256 = "ab" * 32


def page(**changes: Any) -> bytes:
    payload = {
        "meta": {"api-version": "1.4", "_last-serial": 7},
        "name": "demo",
        "files": [],
        "versions": ["1.0"],
    }
    return json.dumps({**payload, **changes}).encode()


def entry(**changes: Any) -> dict[str, Any]:
    payload = {
        "filename": "demo-1.0.tar.gz",
        "url": "https://files.example/packages/aa/demo-1.0.tar.gz",
        "hashes": {"sha256": SHA256},
    }
    return {**payload, **changes}


class Anchors(HTMLParser):
    """Collects the attributes of links and meta tags."""

    def __init__(self, html: bytes) -> None:
        super().__init__()
        self.links: list[dict[str, str | None]] = []
        self.meta: dict[str | None, str | None] = {}
        self.others: list[str] = []
        self.feed(html.decode())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag == "a":
            self.links.append(dict(attrs))
        elif tag == "meta":
            attributes = dict(attrs)
            self.meta[attributes["name"]] = attributes["content"]
        else:
            self.others.append(tag)


FULL = ProjectPage(
    name="demo",
    api_version="1.4",
    versions=("1.0", "2.0"),
    publication=Publication(
        run=RunId("run-1"),
        selection="cafe",
        added=(Key("web/packages/a"),),
        removed=(Key("web/packages/b"),),
        refused={"demo-0.tar.gz": "it is bad"},
    ),
    serial=7,
    status=Status(status="archived", reason="it is <done>", extra={"since": "2026"}),
    meta={"tracks": ["https://other.example/"]},
    extra={"alternate-locations": ["https://other.example/"]},
    files=(
        File(
            filename='demo-1.0"<x>.tar.gz',
            url="../../packages/aa/demo-1.0%22%3Cx%3E.tar.gz",
            hashes={"sha256": SHA256, "md5": "cd" * 16},
            requires_python=">=3.8,<4",
            size=5,
            upload_time="2026-01-01T00:00:00Z",
            yanked="it is 'bad' & \"ugly\"",
            core_metadata={"sha256": SHA256},
            gpg_sig=False,
            provenance="https://upstream.example/integrity/x",
            extra={"future": [1, {"a": None}]},
        ),
    ),
)


def test_a_page_that_is_rendered_and_parsed_is_the_same() -> None:
    key = Key("web/simple/demo/index.v1_json")

    parsed = parse_json.manifest(render.project_page_json(FULL), key)

    (file,) = parsed.files
    assert file.url == "/web/packages/aa/demo-1.0%22%3Cx%3E.tar.gz"
    assert replace(parsed, files=(replace(file, url=FULL.files[0].url),)) == FULL


def test_a_manifest_keeps_links_to_another_path_of_its_host() -> None:
    key = Key("web/simple/demo/index.v1_json")
    moved = replace(FULL, files=(replace(FULL.files[0], url="/pypi/packages/aa/demo-1.0.tar.gz"),))

    assert parse_json.manifest(render.project_page_json(moved), key) == moved


def test_html_says_what_json_says_and_escapes_it() -> None:
    html = Anchors(render.project_page_html(FULL))

    (link,) = html.links
    assert link == {
        "href": f"{FULL.files[0].url}#sha256={SHA256}",
        "data-requires-python": ">=3.8,<4",
        "data-core-metadata": f"sha256={SHA256}",
        "data-dist-info-metadata": f"sha256={SHA256}",
        "data-gpg-sig": "false",
        "data-yanked": "it is 'bad' & \"ugly\"",
        "data-provenance": "https://upstream.example/integrity/x",
    }
    assert html.meta == {
        "pypi:repository-version": "1.4",
        "pypi:project-status": "archived",
        "pypi:project-status-reason": "it is <done>",
    }
    assert set(html.others) == {"html", "head", "title", "body", "h1", "br"}


def test_bandersnatch_s_page_is_understood() -> None:
    body = page(
        meta={"api-version": "1.1", "_last-serial": "123"},
        files=[entry(url="../../packages/aa/demo-1.0.tar.gz", **{"requires-python": ""})],
    )

    parsed = parse_json.project_page(body, URL, DEMO).page

    assert parsed.serial == 123
    assert parsed.files[0].url == "https://upstream.example/packages/aa/demo-1.0.tar.gz"


def test_another_mirror_s_private_part_is_not_taken_over() -> None:
    body = page(meta={"api-version": "1.4", "_frumious": {"run": 5}})

    assert parse_json.project_page(body, URL, DEMO).page.publication is None


def test_a_hash_other_than_sha256_will_do() -> None:
    body = page(files=[entry(hashes={"blake2b": "AB" * 64})])

    assert parse_json.project_page(body, URL, DEMO).page.files[0].hashes == {"blake2b": "ab" * 64}


def test_a_file_that_is_named_twice_is_kept_once() -> None:
    body = page(files=[entry(size=1), entry(size=2)])

    parsed = parse_json.project_page(body, URL, DEMO)

    assert [file.size for file in parsed.page.files] == [1]
    assert "more than once" in parsed.refused["demo-1.0.tar.gz"]


def test_an_upstream_without_serials_is_understood() -> None:
    assert parse_json.project_page(page(meta={"api-version": "1.0"}), URL, DEMO).page.serial is None


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"hashes": {}}, "sha256"),
        ({"hashes": {"sha256": "xyz"}}, "sha256"),
        ({"hashes": {"unheard-of": "00"}}, "sha256"),
        ({"hashes": {"sha256": SHA256, "md5": "00"}}, "md5"),
        ({"hashes": None}, "hashes"),
        ({"url": None}, "url"),
        ({"url": "http://[broken"}, "URL"),
        ({"size": -1}, "size"),
        ({"size": True}, "size"),
        ({"size": "1"}, "size"),
        ({"yanked": 1}, "yanked"),
        ({"core-metadata": {"sha256": 1}}, "core-metadata"),
        ({"upload-time": 1}, "upload-time"),
    ],
)
def test_a_file_that_is_none_is_refused_and_the_others_go_on(
    changes: dict[str, Any], why: str
) -> None:
    body = page(files=[entry(**changes), entry(filename="demo-2.0.tar.gz")])

    parsed = parse_json.project_page(body, URL, DEMO)

    assert why in parsed.refused["demo-1.0.tar.gz"]
    assert [file.filename for file in parsed.page.files] == ["demo-2.0.tar.gz"]


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<html>",
        b"[]",
        b"[" * 100_000,
        b"\xff\xfe",
        page(meta=None),
        page(meta={"api-version": "2.0"}),
        page(meta={}),
        page(files={}),
        page(name=None),
        page(name="other"),
        page(versions=[1]),
        page(meta={"api-version": "1.0", "_last-serial": "many"}),
        page(**{"project-status": "archived"}),
        b'{"meta": {"api-version": "1.0"}, "name": "demo", "files": [], "x": NaN}',
        b'{"meta": {"api-version": "1.0"}, "name": "demo", "files": [], "x": 1e999}',
    ],
)
def test_what_is_no_project_page_is_an_error_that_names_the_address(body: bytes) -> None:
    with pytest.raises(InvalidPage, match=URL):
        parse_json.project_page(body, URL, DEMO)
