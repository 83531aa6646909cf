"""Generated project pages: all content survives rendering and parsing, and is harmless.

Derandomized: the same examples in every run. A failure prints the blob that replays it.
"""

from __future__ import annotations

import re
from html.parser import HTMLParser
from typing import TYPE_CHECKING, Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from msgspec.structs import replace
from packaging.utils import canonicalize_name

from frumious.model.checksums import DIGEST_LENGTHS
from frumious.model.pages import (
    DelistedProject,
    File,
    ListedProject,
    ProjectPage,
    Publication,
    Status,
)
from frumious.model.types import Key, RunId
from frumious.simple import parse_json, render, root_index

if TYPE_CHECKING:
    from packaging.utils import NormalizedName

URL = "https://upstream.example/simple/demo-project/"
PROJECT = canonicalize_name("demo-project")

reproducible = settings(
    max_examples=50,
    derandomize=True,
    print_blob=True,
    deadline=None,
    database=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)

HOSTILE = (
    "</a><a href='x'>",
    '"><script>alert(1)</script>',
    "' onclick='x",
    "&lt;b&gt; &amp;quot; &#34; &quot",
    "--><!-- ]]> <![CDATA[",
    "</title></h1></head><base href='//evil.example/'>",
    "<!--SERIAL 9-->",
    "javascript:alert(1)",
    "a\r\nb\tc\0d\x0b\x85\u2028",
    "\ud800 lone \udfff",
    "..\\..\\/../%2e%2e/",
    " ",
    "",
)


# JSON does not distinguish a pair of surrogates from the character that they make.
_PAIR = re.compile("[\ud800-\udbff][\udc00-\udfff]")
TEXT = st.sampled_from(HOSTILE) | st.text(
    st.characters(categories=None, codec=None), max_size=12
).map(lambda text: _PAIR.sub("_", text))


def unknown(*known: str) -> st.SearchStrategy[dict[str, Any]]:
    """Generate an object of keys that the model does not know."""
    return st.dictionaries(TEXT.filter(lambda key: key not in known), JSON, max_size=2)


JSON: st.SearchStrategy[Any] = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**30), 10**30)
    | st.floats(allow_nan=False, allow_infinity=False)
    | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=4,
)


def _digest(algorithm: str) -> st.SearchStrategy[str]:
    length = DIGEST_LENGTHS[algorithm] // 2
    return st.binary(min_size=length, max_size=length).map(bytes.hex)


# At least one that can verify a file, and any that cannot.
HASHES = st.builds(
    lambda unknown_ones, known: {**unknown_ones, **known},
    st.dictionaries(TEXT.filter(lambda name: name not in DIGEST_LENGTHS), TEXT, max_size=1),
    st.lists(st.sampled_from(sorted(DIGEST_LENGTHS)), min_size=1, max_size=3, unique=True).flatmap(
        lambda names: st.fixed_dictionaries({name: _digest(name) for name in names})
    ),
)
ADDRESS = st.sampled_from(
    [
        "https://files.example/packages/a/demo-1.0.tar.gz",
        "http://files.example:8080/x.whl?a=1&copy=2&lt;",
        "https://files.example/%22%3E%3Cscript%3E/'\"<>& x.zip",
        "https://files.example/\u00fc/\U0001f600.whl",
    ]
)
FILES = st.lists(
    st.builds(
        File,
        filename=TEXT,
        url=ADDRESS,
        hashes=HASHES,
        requires_python=st.none() | TEXT,
        size=st.none() | st.integers(0, 2**42),
        upload_time=st.none() | TEXT,
        yanked=st.booleans() | TEXT.filter(bool),  # PEP 592: an empty reason is none
        core_metadata=st.booleans() | HASHES,
        gpg_sig=st.none() | st.booleans(),
        provenance=st.none() | ADDRESS,
        extra=unknown(
            *("filename", "url", "hashes", "requires-python", "size", "upload-time", "yanked"),
            *("core-metadata", "data-dist-info-metadata", "gpg-sig", "provenance"),
        ),
    ),
    max_size=3,
    unique_by=lambda file: file.filename,
).map(tuple)
PAGES = st.builds(
    ProjectPage,
    name=st.sampled_from(["demo-project", "Demo_Project", "DEMO...project"]),
    api_version=st.sampled_from(["1.0", "1.1", "1.4", "1.9999"]),
    files=FILES,
    versions=st.none() | st.lists(TEXT, max_size=3).map(tuple),
    serial=st.none() | st.integers(0, 10**15),
    status=st.none()
    | st.builds(
        Status,
        status=st.sampled_from(["active", "archived", "deprecated", "quarantined"]) | TEXT,
        reason=st.none() | TEXT,
        extra=unknown("status", "reason"),
    ),
    meta=unknown("api-version", "_last-serial", "_frumious"),
    extra=unknown("meta", "name", "files", "versions", "project-status"),
)
KEYS = st.from_regex(r"\Aweb/[^\x00-\x1f\x7f]{1,30}\Z").map(Key)
PUBLICATIONS = st.builds(
    Publication,
    run=st.from_regex(r"\A[0-9A-Za-z][0-9A-Za-z.-]{0,20}\Z").map(RunId),
    selection=TEXT,
    added=st.lists(KEYS, max_size=2).map(tuple),
    removed=st.lists(KEYS, max_size=2).map(tuple),
    refused=st.dictionaries(TEXT, TEXT, max_size=2),
)


@reproducible
@given(PAGES)
def test_a_page_that_is_rendered_and_parsed_is_the_same(page: ProjectPage) -> None:
    parsed = parse_json.project_page(render.project_page_json(page), URL, PROJECT)

    assert parsed.refused == {}
    assert parsed.page == page


@reproducible
@given(PAGES, PUBLICATIONS)
def test_the_mirror_s_own_page_keeps_its_private_part_and_a_mirror_s_mirror_does_not(
    page: ProjectPage, publication: Publication
) -> None:
    body = render.project_page_json(replace(page, publication=publication))

    assert parse_json.manifest(body, Key("web/simple/demo-project/index.v1_json")) == replace(
        page, publication=publication
    )
    assert parse_json.project_page(body, URL, PROJECT).page == page


@reproducible
@given(PAGES)
def test_the_same_page_gives_the_same_bytes_again(page: ProjectPage) -> None:
    body = render.project_page_json(page)
    reparsed = parse_json.project_page(body, URL, PROJECT).page

    assert render.project_page_json(reparsed) == body
    assert render.project_page_html(reparsed) == render.project_page_html(page)


NUMBERS = st.integers(0, 10**15)
SPELLINGS = st.sampled_from(["six", "Zope.Interface", "a__b", "x", "x-1", "y"])
LISTED = st.dictionaries(SPELLINGS, st.tuples(st.none() | NUMBERS, NUMBERS, NUMBERS)).map(
    lambda entries: {
        canonicalize_name(name): ListedProject(name, *rest) for name, rest in entries.items()
    }
)
CHANGES = st.dictionaries(
    SPELLINGS.map(canonicalize_name),
    st.builds(DelistedProject, st.none() | NUMBERS) | st.builds(ListedProject, TEXT, NUMBERS),
)


@reproducible
@given(LISTED, st.none() | NUMBERS)
def test_a_root_index_that_is_rendered_and_read_is_the_same(
    listed: dict[NormalizedName, ListedProject], serial: int | None
) -> None:
    page = root_index.json_page(
        root_index.json_projects(root_index.batched(listed.items())), serial, {"a": 1}
    )

    assert dict(root_index.entries(page, Key("key"))) == listed
    meta = {"api-version": "1.4", "_last-serial": serial, "a": 1}
    assert root_index.meta(page, Key("key")) == meta
    upstream = root_index.parse(page, URL)
    assert upstream.projects == {project: each.serial for project, each in listed.items()}
    assert upstream.serial == serial


@reproducible
@given(LISTED, CHANGES)
def test_a_merge_says_what_replacing_one_by_one_says(
    listed: dict[NormalizedName, ListedProject],
    changes: dict[NormalizedName, ListedProject | DelistedProject],
) -> None:
    expected = dict(listed)
    for project, change in changes.items():
        before = expected.get(project)
        if before is not None and (before.serial or 0) > (change.serial or 0):
            continue
        if isinstance(change, DelistedProject):
            expected.pop(project, None)
        else:
            expected[project] = change

    merged = list(root_index.merge(root_index.batched(sorted(listed.items())), changes))

    assert [item for batch, _ in merged for item in batch.items()] == sorted(expected.items())
    names = [{project: each.name for project, each in side.items()} for side in (listed, expected)]
    assert any(names_changed for _, names_changed in merged) == (names[0] != names[1])


class Reader(HTMLParser):
    """The elements of a page, as a browser parses them."""

    def __init__(self, html: bytes) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.anchors: list[tuple[list[tuple[str, str | None]], str]] = []
        self.meta: list[tuple[str | None, str | None]] = []
        self.comments: list[str] = []
        self.text: dict[str, str] = {}
        self._open = ""
        self.feed(html.decode())
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self._open = tag
        if tag == "a":
            self.anchors.append((attrs, ""))
        elif tag == "meta":
            self.meta.append((dict(attrs)["name"], dict(attrs)["content"]))

    def handle_endtag(self, tag: str) -> None:
        self._open = ""

    def handle_data(self, data: str) -> None:
        if self._open == "a":
            attrs, text = self.anchors[-1]
            self.anchors[-1] = (attrs, text + data)
        elif self._open in {"title", "h1"}:
            self.text[self._open] = self.text.get(self._open, "") + data

    def handle_comment(self, data: str) -> None:
        self.comments.append(data)


def as_html(text: str) -> str:
    """HTML has no lone surrogates."""
    return re.sub("[\ud800-\udfff]", "\ufffd", text)


def anchor(file: File) -> tuple[list[tuple[str, str | None]], str]:
    """Return the attributes that PEP 503, 592, 658, 714 and 740 require of a file's link."""

    def fragment(hashes: Any) -> str:
        name = next(name for name in PREFERRED if name in hashes)
        return f"{name}={hashes[name]}"

    attributes: list[tuple[str, str | None]] = [("href", f"{file.url}#{fragment(file.hashes)}")]
    if file.requires_python:
        attributes.append(("data-requires-python", as_html(file.requires_python)))
    if file.core_metadata is not False:
        value = "true" if file.core_metadata is True else fragment(file.core_metadata)
        attributes += [("data-core-metadata", value), ("data-dist-info-metadata", value)]
    if file.gpg_sig is not None:
        attributes.append(("data-gpg-sig", "true" if file.gpg_sig else "false"))
    if file.yanked is not False:
        attributes.append(("data-yanked", "" if file.yanked is True else as_html(file.yanked)))
    if file.provenance is not None:
        attributes.append(("data-provenance", file.provenance))
    return attributes, as_html(file.filename)


# PEP 503 has room for one hash. pip and others know the first six of these.
PREFERRED = ("sha256", "sha512", "sha384", "sha224", "sha1", "md5", *sorted(DIGEST_LENGTHS))


@reproducible
@given(PAGES)
def test_html_has_the_anchors_of_the_files_and_nothing_else(page: ProjectPage) -> None:
    html = Reader(render.project_page_html(page))

    assert html.anchors == [anchor(file) for file in page.files]
    status = page.status
    meta = [("pypi:repository-version", page.api_version)]
    if status is not None:
        meta.append(("pypi:project-status", as_html(status.status)))
        if status.reason is not None:
            meta.append(("pypi:project-status-reason", as_html(status.reason)))
    assert html.meta == meta
    assert html.tags == [
        *("html", "head", *("meta" for _ in meta), "title", "body", "h1"),
        *(tag for _ in page.files for tag in ("a", "br")),
    ]
    assert html.text == dict.fromkeys(("title", "h1"), f"Links for {page.name}")
    assert html.comments == ([] if page.serial is None else [f"SERIAL {page.serial}"])


@reproducible
@given(TEXT)
def test_no_name_becomes_markup(name: str) -> None:
    page = Reader(render.project_page_html(ProjectPage(name=name)))
    listed = [(canonicalize_name("six"), ListedProject(name, None))]
    root = Reader(root_index.html_page(root_index.batched(listed)))

    assert page.text == dict.fromkeys(("title", "h1"), f"Links for {as_html(name)}")
    assert page.tags == ["html", "head", "meta", "title", "body", "h1"]
    assert root.anchors == [([("href", "six/")], as_html(name))]
