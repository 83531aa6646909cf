"""Parser of the Simple API in HTML (PEP 503), for upstreams without JSON.

An invalid page is an error. A link that looks like a file but cannot be mirrored is refused by
itself; other links are ignored. HTML has no sizes, upload times and versions, and does not
reliably name the project.
"""

from __future__ import annotations

import re
import string
from typing import TYPE_CHECKING, Final
from urllib.parse import unquote, urlsplit

from packaging.utils import NormalizedName, canonicalize_name

from frumious.model.checksums import DIGEST_LENGTHS
from frumious.model.pages import File, ProjectPage, RootIndex, Status
from frumious.redaction import redact
from frumious.simple import html_page
from frumious.simple.values import (
    MAX_URL_LENGTH,
    InvalidPage,
    InvalidValue,
    ParsedPage,
    check_api_version,
    check_links,
    check_url,
    parse_hashes,
    project_name,
    resolve,
    without_duplicates,
)
from frumious.value import Value

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from frumious.simple.html_page import Anchor, HtmlPage

# A file takes three tags and some entities, a project three tags: enough for 100,000 files and
# 1,300,000 projects.
_MAX_MARKUP: Final = 600_000
_MAX_ROOT_MARKUP: Final = 4_000_000

_DISTRIBUTION: Final = re.compile(
    r".\.(whl|egg|zip|tar|tar\.(gz|bz2|xz|lzma|z|zst)|tgz|tbz2?|txz|exe|msi|rpm|deb|dmg)\Z",
    re.IGNORECASE,
)
_MAX_EXTENSION_LENGTH: Final = 16  # characters
_HEXADECIMAL: Final = frozenset(string.hexdigits)
_MIN_DIGEST_LENGTH: Final = 32  # hexadecimal digits; md5's
_NOT_HASHES: Final = frozenset({"egg", "subdirectory"})  # in fragments that pip defines
_INDEX_FILE: Final = re.compile(r"index\.\w+")

# Titles and headings of project pages: of PyPI, bandersnatch, devpi and most others, then of web
# servers' folder listings.
_PROJECT_HEADING: Final = re.compile(
    r"(?:links for|index of|directory listing for|contents of)\s+(\S.*)", re.IGNORECASE
)
_ROOT_HEADING: Final = re.compile(
    r"simple (?:index|list|repository|api)|package index|(?:index|contents) of\s"
    r"|directory listing",
    re.IGNORECASE,
)


def project_page(body: bytes, url: str, project: NormalizedName) -> ParsedPage:
    """Parse upstream's project page in HTML (PEP 503, 592, 629, 658, 714, 740, 792).

    `url` is the page's own, after redirects; links are resolved against it or against the page's
    base.

    Raises:
        InvalidPage: `body` is not a project page, or another project's.
    """
    anchors: list[Anchor] = []
    html = html_page.parse(
        body, url, max_markup=_MAX_MARKUP, on_anchor=lambda anchor, _: anchors.append(anchor)
    )
    check_links(len(anchors), html.base, url)
    files: list[File] = []
    refused: dict[str, str] = {}
    for anchor in anchors:
        link = _Link.of(anchor, html.base)
        if not link.looks_like_a_file:
            continue
        try:
            files.append(_file(link, anchor.attributes, html.base))
        except (InvalidValue, ValueError) as error:
            refused[link.filename or link.text or redact(link.url)] = str(error)
    projects = _projects_in(html.headings)
    if projects and project not in projects:
        msg = f"the heading of {url} names {sorted(projects)!r:.120}, not {project!r}"
        raise InvalidPage(msg)
    page = ProjectPage(
        name=project,
        api_version=_api_version(html, url),
        files=tuple(files),
        serial=html.serial,
        status=_status(html.meta),
    )
    if not (files or project in projects or _has_marker(html) or _any_of(project, refused)):
        # Login pages, error pages and portals also have the status 200. If one was taken for an
        # empty project, the project's files would be deleted. An empty page must therefore have
        # a meta tag or a serial, a title or heading that names the project ("Links for six",
        # "Index of /simple/six/"), or links to files of that name, even if none of them can be
        # mirrored. A page with a file needs no further evidence.
        msg = f"{url} has no files and no evidence that it is the project page of {project!r}"
        raise InvalidPage(msg)
    return without_duplicates(page, refused)


def root_index(body: bytes, url: str) -> RootIndex:
    """Parse the root index in HTML (PEP 503, 629).

    Raises:
        InvalidPage: `body` is not a root index.
    """
    folder = urlsplit(url).path.rpartition("/")[0] + "/"
    projects: dict[NormalizedName, int | None] = {}
    only_projects = True  # text and URL of every link name the same project

    def add(anchor: Anchor, base: str) -> None:
        nonlocal only_projects
        name = project_name(anchor.text.rstrip("/"))
        if name is None or anchor.href not in {f"{name}/", f"{folder}{name}/"}:
            link = _Link.of(anchor, base)
            if not link.may_be_project(url):
                return
            url_name = project_name(link.folder)
            only_projects = only_projects and name is not None and name == url_name
            # PEP 503: the text is the name. Folder listings truncate it, portals decorate it.
            if name is None:
                name = url_name
        if name is not None:
            projects[name] = None

    html = html_page.parse(body, url, max_markup=_MAX_ROOT_MARKUP, on_anchor=add)
    _api_version(html, url)
    # Without a marker, only a page that links to nothing but projects is accepted, such as PEP
    # 503's own example.
    has_marker = _has_marker(html) or any(map(_ROOT_HEADING.search, html.headings))
    if not has_marker and not (projects and only_projects):
        msg = f"{url} has no evidence that it is a root index"
        raise InvalidPage(msg)
    return RootIndex(projects=projects, serial=html.serial)


class _Link(Value, frozen=True):
    """The target of an anchor."""

    url: str  # absolute, without a fragment
    segment: str  # the last one of its path, encoded; "" for a folder
    hashes: Mapping[str, str]
    text: str
    problem: str | None = None

    @classmethod
    def of(cls, anchor: Anchor, base: str) -> _Link:
        """Resolve an anchor."""
        text = anchor.text
        href, _, fragment = anchor.href.partition("#")
        hashes = _hashes(fragment) if fragment else {}
        try:
            if len(href) > MAX_URL_LENGTH:
                msg = f"it exceeds {MAX_URL_LENGTH} characters"
                raise ValueError(msg)  # noqa: TRY301
            url = resolve(base, href)
            segment = urlsplit(url).path.rpartition("/")[2]
        except ValueError as error:
            segment = href.partition("?")[0].rpartition("/")[2][-MAX_URL_LENGTH:]
            return cls(href, segment, hashes, text, f"its URL is invalid: {error}")
        return cls(url, segment, hashes, text)

    @property
    def filename(self) -> str:
        """The filename in the URL, which is the one that installers use."""
        return unquote(self.segment)

    @property
    def folder(self) -> str:
        """The last folder in the path."""
        parts = [part for part in urlsplit(self.url).path.split("/") if part]
        if parts and _INDEX_FILE.fullmatch(parts[-1]):
            parts.pop()
        return unquote(parts[-1]) if parts else ""

    @property
    def looks_like_a_file(self) -> bool:
        """Whether it has a hash or a distribution's filename."""
        return bool(self.hashes) or _is_distribution(self.filename) or _is_distribution(self.text)

    def may_be_project(self, page_url: str) -> bool:
        """Return whether it is an HTTP URL other than the page itself and its parents."""
        if self.problem is not None or not self.url.startswith(("https://", "http://")):
            return False
        page, target = urlsplit(page_url), urlsplit(self.url)
        return page.netloc != target.netloc or not page.path.startswith(target.path)


def _file(link: _Link, attributes: Mapping[str, str], base: str) -> File:
    if link.problem is not None:
        raise InvalidValue(link.problem)
    provenance = attributes.get("data-provenance") or None
    if provenance is not None:
        provenance = check_url(resolve(base, provenance))
    return File(
        filename=_checked_filename(link),
        url=check_url(link.url),
        hashes=parse_hashes(link.hashes),
        requires_python=attributes.get("data-requires-python") or None,
        # PEP 592: "" is yanked without a reason.
        yanked=attributes.get("data-yanked") or "data-yanked" in attributes,
        core_metadata=_core_metadata(
            attributes.get("data-core-metadata", attributes.get("data-dist-info-metadata"))
        ),
        gpg_sig={"true": True, "false": False}.get(attributes.get("data-gpg-sig", "").lower()),
        provenance=provenance,
    )


def _checked_filename(link: _Link) -> str:
    """Return the filename in the URL; refuse a link whose text is another filename.

    PEP 503 requires both to be equal. Installers read the URL, people the text: a link that
    names two files deceives one of them. Text that is not a filename is a label, or a name that
    a folder listing truncated.

    Raises:
        InvalidValue: the names differ, or the URL has no filename.
    """
    if _is_distribution(link.text) and link.text not in {link.filename.strip(), link.segment}:
        msg = f"its text is {link.text!r:.120}, but its URL names {link.filename!r:.120}"
        raise InvalidValue(msg)
    if not link.filename:
        msg = f"its URL {redact(link.url)!r:.120} has no filename"
        raise InvalidValue(msg)
    return link.filename


def _core_metadata(value: str | None) -> bool | Mapping[str, str]:
    """Parse the attribute of PEP 658 and 714: a hash, or "true" for a file without a hash.

    Like pip, treats any other value as "true".
    """
    if value is None or value.strip().lower() == "false":
        return False
    hashes = _hashes(value.strip())
    return parse_hashes(hashes) if hashes else True


def _hashes(fragment: str) -> dict[str, str]:
    """Parse `name=digest` pairs joined by `&`; ignore everything else."""
    hashes: dict[str, str] = {}
    for pair in fragment.split("&"):
        name, _, digest = pair.partition("=")
        if name in DIGEST_LENGTHS or (
            name not in _NOT_HASHES
            and len(digest) >= _MIN_DIGEST_LENGTH
            and _HEXADECIMAL.issuperset(digest)
        ):
            hashes.setdefault(name, digest)
    return hashes


def _is_distribution(name: str) -> bool:
    return _DISTRIBUTION.search(name[-_MAX_EXTENSION_LENGTH:]) is not None


def _api_version(html: HtmlPage, url: str) -> str:
    """Return the page's version (PEP 629), by default 1.0."""
    try:
        return check_api_version(html.meta.get("pypi:repository-version", "1.0").strip())
    except InvalidValue as error:
        msg = f"{url} is not a page of the Simple API: {error}"
        raise InvalidPage(msg) from error


def _status(meta: Mapping[str, str]) -> Status | None:
    """Parse the tags of PEP 792."""
    if "pypi:project-status" not in meta:
        return None
    return Status(status=meta["pypi:project-status"], reason=meta.get("pypi:project-status-reason"))


def _has_marker(html: HtmlPage) -> bool:
    """Return whether the page has a tag that only pages of the Simple API have."""
    return html.serial is not None or any(name.startswith("pypi:") for name in html.meta)


def _any_of(project: NormalizedName, filenames: Iterable[str]) -> bool:
    """Return whether a filename begins with the project's name."""
    return any(canonicalize_name(name).startswith(f"{project}-") for name in filenames)


def _projects_in(headings: Iterable[str]) -> set[NormalizedName]:
    """Return the projects that headings name."""
    matches = filter(None, map(_PROJECT_HEADING.search, headings))
    names = (unquote(match[1].strip().rstrip("/").rpartition("/")[2]) for match in matches)

    return {name for name in map(project_name, names) if name is not None}
