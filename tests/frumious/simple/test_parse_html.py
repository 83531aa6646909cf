"""Simple API responses in HTML: those of all kinds of indexes, and invalid ones."""

from __future__ import annotations

import time
import urllib.request
from dataclasses import replace
from typing import TYPE_CHECKING
from urllib.parse import quote

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from msgspec import structs
from packaging.utils import canonicalize_name

from frumious.model.pages import File, ListedProject, ProjectPage, RootIndex, Status
from frumious.simple import parse_html, parse_json, render, root_index
from frumious.simple.values import InvalidPage
from tests.upstream import BANDERSNATCH, DEVPI, HTML_ONLY, PYPI, Index, Personality, sdist, wheel

if TYPE_CHECKING:
    from frumious.simple.values import ParsedPage
    from tests.upstream import Server

SIX = canonicalize_name("six")
URL = "https://upstream.example/simple/six/"
ROOT = "https://upstream.example/simple/"
SHA = "ab" * 32
LINK = f'<a href="/f/six-1.0.tar.gz#sha256={SHA}">six-1.0.tar.gz</a>'


def parsed(html: str | bytes) -> ParsedPage:
    return parse_html.project_page(html if isinstance(html, bytes) else html.encode(), URL, SIX)


def one(attributes: str, text: str = "six-1.0.tar.gz") -> File:
    """Parse a page, and return its only file."""
    (file,) = parsed(f"<h1>Links for six</h1><a {attributes}>{text}</a>").page.files
    return file


def get(url: str) -> tuple[bytes, str]:
    request = urllib.request.Request(url, headers={"Accept": "text/html"})  # noqa: S310
    with urllib.request.urlopen(request) as answer:  # noqa: S310
        return answer.read(), answer.url


# What indexes write


@pytest.mark.parametrize(
    "kind",
    [PYPI, replace(BANDERSNATCH, offers=("text/html",)), DEVPI, HTML_ONLY],
    ids=["pypi", "bandersnatch", "devpi", "html-only"],
)
def test_html_says_what_the_same_index_says_in_json(
    kind: Personality, index: Index, upstream: Server
) -> None:
    index.add_project("six")
    index.upload(sdist("six", "1.0"))
    index.upload(wheel("six", "2.0", requires_python=">=3.8,<4"))
    index.yank("six", "1.0", 'it is <bad> & "ugly"')
    upstream.personality = kind

    body, url = get(f"{upstream.url}/simple/six/")
    html = parse_html.project_page(body, url, SIX)
    upstream.personality = replace(kind, offers=("application/vnd.pypi.simple.v1+json",))
    body, url = get(f"{upstream.url}/simple/six/")
    json = parse_json.project_page(body, url, SIX)

    assert html.refused == json.refused == {}
    assert html.page == as_html_carries_it(json.page)
    assert len(html.page.files) == 2


def test_the_root_index_of_an_index_in_html(index: Index, upstream: Server) -> None:
    for name in ("six", "Zope.Interface"):
        index.add_project(name)
    for kind in (HTML_ONLY, DEVPI, PYPI):
        upstream.personality = kind
        body, url = get(f"{upstream.url}/simple/")
        found = parse_html.root_index(body, url)
        assert found.projects == {"six": None, "zope-interface": None}
        assert found.serial == (index.serial if kind is PYPI else None)


@pytest.mark.parametrize(
    ("href", "url"),
    [
        ("six-1.0.tar.gz", "https://upstream.example/simple/six/six-1.0.tar.gz"),
        ("../../p/six-1.0.tar.gz", "https://upstream.example/p/six-1.0.tar.gz"),
        ("/p/six-1.0.tar.gz", "https://upstream.example/p/six-1.0.tar.gz"),
        ("//f.example/six-1.0.tar.gz", "https://f.example/six-1.0.tar.gz"),
        ("http://f.example:81/six-1.0.tar.gz?a=1", "http://f.example:81/six-1.0.tar.gz?a=1"),
        (" \n/p/six-1.0.tar.gz", "https://upstream.example/p/six-1.0.tar.gz"),
    ],
)
def test_links_are_resolved_against_the_address(href: str, url: str) -> None:
    assert one(f'href="{href}#sha256={SHA}"').url == url


@pytest.mark.parametrize(
    ("base", "url"),
    [
        ('<base href="https://f.example/x/">', "https://f.example/x/six-1.0.tar.gz"),
        ('<base href="/x/">', "https://upstream.example/x/six-1.0.tar.gz"),
        ('<base target="_top"><base href="/x/">', "https://upstream.example/x/six-1.0.tar.gz"),
        ('<base href="/x/"><base href="/y/">', "https://upstream.example/x/six-1.0.tar.gz"),
        ('<base href="javascript:x">', f"{URL}six-1.0.tar.gz"),
        ('<base href="http://[x">', f"{URL}six-1.0.tar.gz"),
    ],
)
def test_links_are_resolved_against_the_page_s_own_base(base: str, url: str) -> None:
    (file,) = parsed(f'{base}<a href="six-1.0.tar.gz#sha256={SHA}">x</a>').page.files
    assert file.url == url


@pytest.mark.parametrize(
    ("fragment", "hashes"),
    [
        (f"sha256={SHA.upper()}", {"sha256": SHA}),
        (f"md5={'0' * 32}", {"md5": "0" * 32}),
        (f"egg=six&amp;sha256={SHA}&subdirectory=x", {"sha256": SHA}),
        (f"md5={'0' * 32}&sha256={SHA}", {"md5": "0" * 32, "sha256": SHA}),
        (f"sha256={SHA}&blake2b_256={SHA}", {"sha256": SHA, "blake2b_256": SHA}),
    ],
)
def test_the_hash_is_the_fragment_s(fragment: str, hashes: dict[str, str]) -> None:
    file = one(f'href="six-1.0.tar.gz#{fragment}"')
    assert (file.hashes, file.url) == (hashes, f"{URL}six-1.0.tar.gz")


@pytest.mark.parametrize(
    ("attributes", "expected"),
    [
        ("", {}),
        ('data-requires-python="&gt;=3.8"', {"requires_python": ">=3.8"}),
        ('data-requires-python=""', {}),
        ("data-yanked", {"yanked": True}),
        ('data-yanked=""', {"yanked": True}),
        ('data-yanked="a &quot;b&quot;"', {"yanked": 'a "b"'}),
        ('data-core-metadata="true"', {"core_metadata": True}),
        ("data-core-metadata", {"core_metadata": True}),
        ('data-dist-info-metadata="true"', {"core_metadata": True}),
        ('data-dist-info-metadata="false"', {}),
        (f'data-core-metadata="sha256={SHA}"', {"core_metadata": {"sha256": SHA}}),
        (
            f'data-dist-info-metadata="true" data-core-metadata="sha256={SHA}"',
            {"core_metadata": {"sha256": SHA}},
        ),
        ('data-gpg-sig="true"', {"gpg_sig": True}),
        ('data-gpg-sig="false"', {"gpg_sig": False}),
        ('data-gpg-sig="maybe"', {}),
        ('data-provenance="https://p.example/x"', {"provenance": "https://p.example/x"}),
        ('DATA-YANKED="first" data-yanked="second"', {"yanked": "first"}),
    ],
)
def test_attributes_say_what_their_peps_say(attributes: str, expected: dict[str, object]) -> None:
    plain = File(filename="six-1.0.tar.gz", url=f"{URL}six-1.0.tar.gz", hashes={"sha256": SHA})
    file = one(f'href="six-1.0.tar.gz#sha256={SHA}" {attributes}')
    assert file == structs.replace(plain, **expected)


@pytest.mark.parametrize(
    ("head", "expected"),
    [
        ("", {}),
        ('<meta name="pypi:repository-version" content="1.4">', {"api_version": "1.4"}),
        ('<META NAME="PyPI:Repository-Version" CONTENT=" 1.1 "/>', {"api_version": "1.1"}),
        ("<!--SERIAL 123-->", {"serial": 123}),
        ("<!-- SERIAL x -->", {}),
        (
            '<meta name="pypi:project-status" content="archived">',
            {"status": Status(status="archived")},
        ),
        (
            (
                '<meta name="pypi:project-status" content="deprecated">\n'
                '<meta name="pypi:project-status-reason" content="use &lt;other&gt;">'
            ),
            {"status": Status(status="deprecated", reason="use <other>")},
        ),
    ],
)
def test_meta_tags_and_the_serial_are_the_page_s(head: str, expected: dict[str, object]) -> None:
    page = parsed(f"{head}{LINK}").page
    assert page == structs.replace(ProjectPage(name="six", files=page.files), **expected)


# Which links are files


@pytest.mark.parametrize(
    ("href", "text", "filename"),
    [
        ("six-1.0.tar.gz", "six-1.0.tar.gz", "six-1.0.tar.gz"),
        ("six-1.0%2Bcu.whl", "six-1.0+cu.whl", "six-1.0+cu.whl"),
        ("six-1.0%2Bcu.whl", "six-1.0%2Bcu.whl", "six-1.0+cu.whl"),
        ("six-1.0.tar.gz", "six-1.0.ta..&gt;", "six-1.0.tar.gz"),  # a folder listing's
        ("six-1.0.tar.gz", "Download", "six-1.0.tar.gz"),
        ("six-1.0.tar.gz", "", "six-1.0.tar.gz"),
        ("six-1.0.tar.gz", "<b>six-1.0</b><i>.tar.gz</i>\n", "six-1.0.tar.gz"),
        ("six-1.0.tar.gz?token=x/y.zip", "six-1.0.tar.gz", "six-1.0.tar.gz"),
        ("six", "six", "six"),  # a link with a hash is a file
    ],
)
def test_the_filename_is_the_url_s(href: str, text: str, filename: str) -> None:
    assert one(f'href="{href}#sha256={SHA}"', text).filename == filename


@pytest.mark.parametrize(
    "anchor",
    [
        '<a name="top">up</a>',
        '<a href="">here</a>',
        '<a href="#files">files</a>',
        '<a href="#tab=2">tab</a>',
        '<a href="../">Parent Directory</a>',
        '<a href="?C=N;O=D">Name</a>',
        '<a href="mailto:a@b.example">mail</a>',
        '<a href="javascript:alert(1)">x</a>',
        '<a href="https://pypi.example/project/six/">home page</a>',
        '<a href="six-1.0.tar.gz.asc">signature</a>',
        '<a href="http://[broken">x</a>',
    ],
)
def test_what_does_not_look_like_a_file_is_passed_over(anchor: str) -> None:
    result = parsed(f"{anchor}{LINK}{anchor}")
    assert (len(result.page.files), result.refused) == (1, {})


@pytest.mark.parametrize(
    ("anchor", "filename", "why"),
    [
        ('<a href="six-2.0.whl">x</a>', "six-2.0.whl", "no hash"),
        ('<a href="SIX-2.0.ZIP">x</a>', "SIX-2.0.ZIP", "no hash"),
        (f'<a href="x.whl#blake2b_256={SHA}">x</a>', "x.whl", "no hash"),
        ('<a href="x.whl#sha256=ab">x</a>', "x.whl", "sha256"),
        (f'<a href="x.whl#sha256={SHA}x">x</a>', "x.whl", "sha256"),
        (f'<a href="javascript:x.whl#sha256={SHA}">x</a>', "x.whl", "neither https"),
        (f'<a href="file:///x.whl#sha256={SHA}">x</a>', "x.whl", "neither https"),
        (f'<a href="https://u:p@f.example/x.whl#sha256={SHA}">x</a>', "x.whl", "user"),
        (f'<a href="http://[f/x.whl#sha256={SHA}">x</a>', "x.whl", "URL is invalid"),
        (f'<a href="http://f:x/x.whl#sha256={SHA}">x</a>', "x.whl", "Port"),
        (f'<a href="six-2.0.whl#sha256={SHA}">six-1.0.whl</a>', "six-2.0.whl", "its text"),
        (f'<a href="/get/1#sha256={SHA}">six-1.0.whl</a>', "1", "its text"),
        (f'<a href="/get/#sha256={SHA}">label</a>', "label", "has no filename"),
        (f'<a href="/{"x" * 9000}/x.whl#sha256={SHA}">x</a>', "x.whl", "exceeds"),
        (
            f'<a href="x.whl#sha256={SHA}" data-core-metadata="sha256=">x</a>',
            "x.whl",
            "sha256",
        ),
        (
            f'<a href="x.whl#sha256={SHA}" data-provenance="javascript:x">x</a>',
            "x.whl",
            "neither https",
        ),
    ],
)
def test_a_file_that_cannot_be_mirrored_is_refused_and_the_others_go_on(
    anchor: str, filename: str, why: str
) -> None:
    result = parsed(f"{anchor}{LINK}")
    assert [file.filename for file in result.page.files] == ["six-1.0.tar.gz"]
    assert list(result.refused) == [filename]
    assert why in result.refused[filename]


def test_the_first_of_two_files_with_one_name_is_kept() -> None:
    result = parsed(f'{LINK}<a href="/other/six-1.0.tar.gz#sha256={"cd" * 32}">x</a>')
    assert [file.hashes["sha256"] for file in result.page.files] == [SHA]
    assert "more than once" in result.refused["six-1.0.tar.gz"]


def test_names_that_would_leave_their_place_are_left_for_the_layout() -> None:
    file = one(f'href="/%2e%2e/a%2F..%00.whl#sha256={SHA}"', "x")
    assert file.filename == "a/..\0.whl"


# Which pages are project pages


@pytest.mark.parametrize(
    "html",
    [
        "<title>Links for six</title>",
        "<!DOCTYPE html><html><body><h1>Links for SIX</h1></body></html>",
        "<title>root/pypi: links for six</title><form><input type=submit></form>",
        "<title>Index of /simple/six/</title><a href='../'>../</a>",
        "<h1>Directory listing for /simple/six/</h1>",
        '<meta name="pypi:repository-version" content="1.0">',
        "<html><!--SERIAL 5--></html>",
    ],
)
def test_an_empty_page_that_shows_what_it_is_is_an_empty_project(html: str) -> None:
    assert parsed(html).page.files == ()


def test_a_listing_without_hashes_is_a_page_with_every_file_refused() -> None:
    result = parsed('<a href="six-1.0.zip">six-1.0.zip</a><a href="six-2.0.zip">six-2.0.zip</a>')
    assert result.page.files == ()
    assert set(result.refused) == {"six-1.0.zip", "six-2.0.zip"}


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"  \n",
        b"no tag at all",
        b'{"meta": {"api-version": "1.0"}, "name": "six", "files": []}',
        b"PK\x03\x04\0\0<a href='six-1.0.whl'>",
        b"\x89PNG\r\n\x1a\n\0\0",
        "<html><title>Links for six</title>".encode("utf-16"),
        b"<" * 1000,
        b"<html></html>",
        b"<title>Sign in</title><form><input type=password></form><a href='/forgot'>?</a>",
        b"<title>Links for teams</title><a href='/docs'>Docs</a>",
        b"<title>404 Not Found</title><h1>404 Not Found</h1>",
        b"<title>Welcome</title><a href='/client.zip'>our client</a>",
        b"<?xml version='1.0'?><Error><Code>AccessDenied</Code></Error>",
        b'<meta name="pypi:repository-version" content="2.0">' + LINK.encode(),
        b'<meta name="pypi:repository-version" content="1">' + LINK.encode(),
        f"{LINK}<a href='six-2".encode(),  # cut off
        f"{LINK}<!-- {LINK}".encode(),
        f"{LINK}<script>{LINK}".encode(),
        f"{LINK}<![x[".encode(),
        f"{LINK}<p>&#{'9' * 5000};</p>".encode(),
    ],
)
def test_what_is_no_project_page_is_an_error_that_names_the_address(body: bytes) -> None:
    with pytest.raises(InvalidPage, match=URL):
        parsed(body)


def test_html_that_is_not_tidy_is_understood() -> None:
    html = (
        f"\ufeff<HTML><P><A HREF=six-1.0.zip#sha256={SHA} CLASS=x>six-1.0.zip<p>&nbsp;<br><{LINK}"
    )
    assert [file.filename for file in parsed(html).page.files] == ["six-1.0.zip", "six-1.0.tar.gz"]


@pytest.mark.parametrize(
    ("charset", "reason"),
    [
        ("windows-1252", "Größe €"),
        ("iso-8859-2", "Łódź"),
        ("nonsense", "Gr\ufffd"),
        ("zip", "\ufffd"),
    ],
)
def test_a_page_that_is_not_utf_8_is_read_as_it_declares(charset: str, reason: str) -> None:
    real = charset if charset[0] in "wi" else "latin-1"
    raw = reason.replace("\ufffd", "\xff").encode(real)
    html = f'<meta charset="{charset}"><a href="x.whl#sha256={SHA}" data-yanked="'.encode()
    (file,) = parsed(html + raw + b'">x.whl</a>').page.files
    assert file.yanked == reason


# The root index


@pytest.mark.parametrize(
    ("anchor", "name"),
    [
        ('<a href="six/">six</a>', "six"),
        ('<a href="/simple/six/">Six</a>', "Six"),
        ('<a href="https://other.example/x/six">six</a>', "six"),
        ('<a href="six/index.html">six</a>', "six"),
        ('<a href="six/">six/</a>', "six"),
        ('<a href="six/">six (7 files)</a>', "six"),
        ('<a href="six/"></a>', "six"),
        ('<a href="a-very-long-na%6De/">a-very-long-..&gt;</a>', "a-very-long-name"),
    ],
)
def test_a_project_s_name_is_the_text_or_else_the_address_s(anchor: str, name: str) -> None:
    found = parse_html.root_index(f"<title>Simple index</title>{anchor}".encode(), ROOT)
    assert found.projects == {canonicalize_name(name): None}


@pytest.mark.parametrize(
    "anchor",
    [
        '<a href="../">Parent Directory</a>',
        '<a href="/">home</a>',
        '<a href="?C=N;O=D">Name</a>',
        '<a href="#x">x</a>',
        '<a href="mailto:x@y.example">mail</a>',
        '<a href="javascript:x">x</a>',
        '<a href="-x-/">-x-</a>',
        '<a href="http://[x">x</a>',
    ],
)
def test_a_link_to_no_project_is_passed_over(anchor: str) -> None:
    html = f"<!--SERIAL 9-->{anchor}<a href='six/'>six</a>".encode()
    assert parse_html.root_index(html, ROOT) == RootIndex(projects={SIX: None}, serial=9)


@pytest.mark.parametrize(
    "html",
    [
        "",
        "text",
        "<html></html>",
        "<title>Sign in</title><a href='/'>home</a><a href='/forgot'>Forgot?</a>",
        "<title>Portal</title><a href='/simple/six/'>six</a><a href='/users/new'>Sign up</a>",
        '<meta name="pypi:repository-version" content="2.0"><a href="six/">six</a>',
        '<meta name="pypi:repository-version" content="1.0"><a href="six/',
    ],
)
def test_what_is_no_root_index_is_an_error_that_names_the_address(html: str) -> None:
    with pytest.raises(InvalidPage, match=ROOT):
        parse_html.root_index(html.encode(), ROOT)


def test_pep_503_s_own_example_is_a_root_index() -> None:
    html = b'<!DOCTYPE html><html><body><a href="/frob/">frob</a><a href="/spam/">spam</a></body>'
    assert set(parse_html.root_index(html, "https://upstream.example/").projects) == {
        "frob",
        "spam",
    }


def test_a_root_index_that_is_rendered_and_parsed_is_the_same() -> None:
    listed = {
        canonicalize_name(name): ListedProject(name, None) for name in ("six", "Zope.Interface")
    }
    found = parse_html.root_index(root_index.html_page(root_index.batched(listed.items())), ROOT)
    assert found == RootIndex(projects=dict.fromkeys(listed))


# Hostile pages


HOSTILE = {
    "less-than": b"<" * 1_000_000,
    "tags": b"<html>" + b"<a>" * 2_000_000,
    "unclosed": b"<html>" + b"<a " * 300_000,
    "unclosed-quotes": b"<html>" + b"<a x='\">" * 50_000,
    "comments": b"<html>" + b"<!--" * 300_000,
    "sections": b"<html>" + b"<![CDATA[" * 300_000,
    "script": b"<html><script>" + b"</scrip" * 300_000,
    "end-tags": b"<html>" + b"</a" * 300_000,
    "deep": b"<div>" * 100_000,
    "one-attribute": b"<a href='" + b"x" * 5_000_000 + b"'>x</a>",
    "many-attributes": b"<a " + b"b=c " * 500_000 + b">",
    "attributes-in-all": (b"<a " + b"b " * 30_000 + b">") * 40,
    "spaces": b"<a" + b" " * 2_000_000 + b">",
    "equals": b"<a x" + b"=" * 2_000_000 + b"'",
    "entities": b"<html>" + b"&a" * 400_000,
    "references": b"<html>&#x" + b"f" * 2_000_000 + b";",
    "nuls": b"\0" * 2_000_000,
    "up": b"<a href='" + b"../" * 20_000 + b"x.whl'>x</a>",
    "base": b"<base href='/" + b"a/" * 100_000 + b"'>" + b"<a href=x>" * 1000,
    "headings": b"<title>" + b"links for " * 200_000,
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_page_is_refused_in_no_time(name: str) -> None:
    started = time.process_time()
    with pytest.raises(InvalidPage):
        parsed(HOSTILE[name])
    assert time.process_time() - started < 4  # seconds; anything quadratic takes minutes


# Round trip


def as_html_carries_it(page: ProjectPage) -> ProjectPage:
    """Remove what HTML cannot express."""
    return ProjectPage(
        name=canonicalize_name(page.name),
        api_version=page.api_version,
        serial=page.serial,
        status=page.status and structs.replace(page.status, extra={}),
        files=tuple(
            structs.replace(
                file,
                size=None,
                upload_time=None,
                extra={},
                requires_python=file.requires_python or None,
            )
            for file in page.files
        ),
    )


TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=12) | st.sampled_from(
    [
        "</a>",
        '"><script>',
        "' x='",
        "&lt;",
        "&amp;amp;",
        "--><!--",
        "a\r\nb\t",
        "\0",
        " ",
        "&#38;",
        "]]>",
    ]
)
DIGEST = st.binary(min_size=32, max_size=32).map(bytes.hex)
FILENAME = st.text(
    st.characters(exclude_categories=["Cs", "Cc"], exclude_characters="/"), min_size=1, max_size=12
).map(lambda name: f"{name}.whl")


@st.composite
def files(draw: st.DrawFn) -> File:
    name = draw(FILENAME)
    quoted = quote(name, safe="")
    return File(
        filename=name,
        url=f"https://files.example/packages/{quoted}",
        hashes={"sha256": draw(DIGEST)},
        requires_python=draw(st.none() | TEXT.filter(bool)),
        yanked=draw(st.booleans() | TEXT.filter(bool)),
        core_metadata=draw(st.booleans() | st.fixed_dictionaries({"sha256": DIGEST})),
        gpg_sig=draw(st.none() | st.booleans()),
        provenance=draw(st.sampled_from([None, "https://p.example/x?a=1&copy=2"])),
    )


PAGES = st.builds(
    ProjectPage,
    name=st.just("six"),
    api_version=st.sampled_from(["1.0", "1.1", "1.4", "1.15"]),
    files=st.lists(files(), max_size=4, unique_by=lambda file: file.filename).map(tuple),
    serial=st.none() | st.integers(0, 10**15),
    status=st.none() | st.builds(Status, status=TEXT, reason=st.none() | TEXT),
)


@settings(
    max_examples=150,
    derandomize=True,
    print_blob=True,
    deadline=None,
    database=None,
    suppress_health_check=[HealthCheck.too_slow],
)
@given(PAGES)
def test_a_page_that_is_rendered_and_parsed_is_the_same(page: ProjectPage) -> None:
    result = parsed(render.project_page_html(page))
    assert result.refused == {}
    assert result.page == page
