"""From the bytes of a Simple API answer in HTML (PEP 503) to the model.

For upstreams that offer no JSON. As with JSON, a page that is none is an error as a whole, and
a link that looks like a file and cannot be mirrored is refused by itself; any other link is
passed over. HTML has no sizes, upload times and versions, and does not reliably name the
project. Nothing is fetched or stored here.
"""

from __future__ import annotations

import re
import string
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final
from urllib.parse import unquote, urljoin, urlsplit

from packaging.utils import InvalidName, NormalizedName, canonicalize_name

from frumious.model.checksums import DIGEST_LENGTHS
from frumious.model.pages import File, ProjectPage, RootIndex, Status
from frumious.simple import html_page
from frumious.simple.values import (
    API_VERSION,
    LONGEST_URL,
    InvalidPage,
    InvalidValue,
    ParsedPage,
    check_url,
    checked_hashes,
    without_duplicates,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from frumious.simple.html_page import Anchor, HtmlPage

# A file takes three tags and some entities, a project three tags: room for 160,000 files and
# 2,000,000 projects.
_MOST_MARKUP: Final = 1_000_000
_MOST_ROOT_MARKUP: Final = 6_000_000

_DISTRIBUTION: Final = re.compile(
    r".\.(whl|egg|zip|tar|tar\.(gz|bz2|xz|lzma|z|zst)|tgz|tbz2?|txz|exe|msi|rpm|deb|dmg)\Z",
    re.IGNORECASE,
)
_LONGEST_ENDING: Final = 16  # characters
_HEXADECIMAL: Final = frozenset(string.hexdigits)
_SHORTEST_DIGEST: Final = 32  # hexadecimal digits; md5's
_NOT_HASHES: Final = frozenset({"egg", "subdirectory"})  # pip's own use of fragments
_INDEX_FILE: Final = re.compile(r"index\.\w+")

# What titles and headings of project pages say: PyPI, bandersnatch, devpi and most others;
# then the folder listings of web servers.
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

    `url` is the address that finally answered; links are resolved against it, or against the
    base that the page states.

    Raises:
        InvalidPage: `body` is not such a page.
    """
    said = html_page.read(body, url, most_markup=_MOST_MARKUP)
    files: list[File] = []
    refused: dict[str, str] = {}
    for anchor in said.anchors:
        link = _Link.of(anchor, said.base)
        if not link.looks_like_a_file:
            continue
        try:
            files.append(_file(link, anchor.attributes, said.base))
        except (InvalidValue, ValueError) as error:
            refused[link.filename or link.text or link.url] = str(error)
    headed = _headed(said.headings)
    if headed and project not in headed:
        msg = f"{url} is headed as the page of {sorted(headed)!r:.120}, not of {project!r}"
        raise InvalidPage(msg)
    page = ProjectPage(
        name=project,
        api_version=_api_version(said, url),
        files=tuple(files),
        serial=said.serial,
        status=_status(said.meta),
    )
    if not files and not _signed(said) and not _about(project, said.headings, refused):
        # Login pages, error pages and portals are answered with 200 as well. To take one for an
        # empty project would be to delete the project's files, so an empty page has to show
        # what it is: by a meta tag or a serial, by a title or heading that names the project
        # ("Links for six", "Index of /simple/six/"), or by links to files of that name, even if
        # none of them can be mirrored. A file with a hash needs no other sign.
        msg = f"{url} has no files and no sign that it is the project page of {project!r}"
        raise InvalidPage(msg)
    return without_duplicates(page, refused)


def root_index(body: bytes, url: str) -> RootIndex:
    """Parse the root index in HTML (PEP 503, 629).

    Raises:
        InvalidPage: `body` is not such a page.
    """
    said = html_page.read(body, url, most_markup=_MOST_ROOT_MARKUP)
    _api_version(said, url)
    folder = urlsplit(url).path.rpartition("/")[0] + "/"
    projects: dict[NormalizedName, int | None] = {}
    certain = True  # text and address of every link name the same project
    for anchor in said.anchors:
        by_text = _normalized(anchor.text.rstrip("/"))
        if by_text is None or anchor.href not in {f"{by_text}/", f"{folder}{by_text}/"}:
            link = _Link.of(anchor, said.base)
            if not link.leads_on_from(url):
                continue
            by_url = _normalized(link.folder)
            certain = certain and by_text is not None and by_text == by_url
            # PEP 503: the text is the name. Folder listings cut it short, portals decorate it.
            if by_text is None:
                by_text = by_url
        if by_text is not None:
            projects[by_text] = None
    # As with project pages: without a sign only what cannot be anything else is believed. PEP
    # 503's own example has no title, and no links but those to projects.
    known = _signed(said) or any(map(_ROOT_HEADING.search, said.headings))
    if not known and not (projects and certain):
        msg = f"{url} shows no sign that it is a root index"
        raise InvalidPage(msg)
    return RootIndex(projects=projects, serial=said.serial)


@dataclass(frozen=True, slots=True)
class _Link:
    """Where an anchor leads to, and what it seems to be."""

    url: str  # absolute, without a fragment
    segment: str  # the last part of its path, as it stands there; "" for a folder
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
            if len(href) > LONGEST_URL:
                msg = f"it is longer than {LONGEST_URL} characters"
                raise ValueError(msg)  # noqa: TRY301
            url = urljoin(base, href)
            segment = urlsplit(url).path.rpartition("/")[2]
        except ValueError as error:
            segment = href.partition("?")[0].rpartition("/")[2][-LONGEST_URL:]
            return cls(href, segment, hashes, text, f"its URL is none: {error}")
        return cls(url, segment, hashes, text)

    @property
    def filename(self) -> str:
        """The file's name where installers look for it: in the URL."""
        return unquote(self.segment)

    @property
    def folder(self) -> str:
        """The last part of the path that names something."""
        parts = [part for part in urlsplit(self.url).path.split("/") if part]
        if parts and _INDEX_FILE.fullmatch(parts[-1]):
            parts.pop()
        return unquote(parts[-1]) if parts else ""

    @property
    def looks_like_a_file(self) -> bool:
        """Whether it has a hash, or the name of a distribution."""
        return bool(self.hashes) or _is_distribution(self.filename) or _is_distribution(self.text)

    def leads_on_from(self, page: str) -> bool:
        """Whether it leads neither to the page itself, nor up, nor out of the web."""
        if self.problem is not None or not self.url.startswith(("https://", "http://")):
            return False
        here, there = urlsplit(page), urlsplit(self.url)
        return here.netloc != there.netloc or not here.path.startswith(there.path)


def _file(link: _Link, said: Mapping[str, str], base: str) -> File:
    if link.problem is not None:
        raise InvalidValue(link.problem)
    provenance = said.get("data-provenance") or None
    if provenance is not None:
        provenance = check_url(urljoin(base, provenance))
    return File(
        filename=_checked_filename(link),
        url=check_url(link.url),
        hashes=checked_hashes(link.hashes),
        requires_python=said.get("data-requires-python") or None,
        yanked=said.get("data-yanked") or "data-yanked" in said,  # PEP 592: "" is no reason
        core_metadata=_core_metadata(
            said.get("data-core-metadata", said.get("data-dist-info-metadata"))  # PEP 714
        ),
        gpg_sig={"true": True, "false": False}.get(said.get("data-gpg-sig", "").lower()),
        provenance=provenance,
    )


def _checked_filename(link: _Link) -> str:
    """Return the name that the URL gives, unless the text names another file.

    PEP 503 wants both to be the same. Installers read the URL alone, people the text: where
    they name two files, somebody is deceived. A text that is no filename is a label, or a name
    that a folder listing has cut short.
    """
    if _is_distribution(link.text) and link.text not in {link.filename.strip(), link.segment}:
        msg = f"its text is {link.text!r:.120}, but its URL names {link.filename!r:.120}"
        raise InvalidValue(msg)
    if not link.filename:
        msg = f"its URL {link.url!r:.120} names no file"
        raise InvalidValue(msg)
    return link.filename


def _core_metadata(said: str | None) -> bool | Mapping[str, str]:
    """Read PEP 658's attribute: a hash, or "true" where the file is there without one.

    What is neither is read as pip reads it: the file is there.
    """
    if said is None or said.strip().lower() == "false":
        return False
    hashes = _hashes(said.strip())
    return checked_hashes(hashes) if hashes else True


def _hashes(fragment: str) -> dict[str, str]:
    """Read `name=digest`, several of them joined by `&`; what else is there is left out."""
    hashes: dict[str, str] = {}
    for pair in fragment.split("&"):
        name, _, digest = pair.partition("=")
        if name in DIGEST_LENGTHS or (
            name not in _NOT_HASHES
            and len(digest) >= _SHORTEST_DIGEST
            and _HEXADECIMAL.issuperset(digest)
        ):
            hashes.setdefault(name, digest)
    return hashes


def _is_distribution(name: str) -> bool:
    return _DISTRIBUTION.search(name[-_LONGEST_ENDING:]) is not None


def _api_version(said: HtmlPage, url: str) -> str:
    """Read PEP 629's version; a page that states none has the first one."""
    version = said.meta.get("pypi:repository-version", "1.0").strip()
    if API_VERSION.fullmatch(version):
        return version
    msg = f"{url} has the API version {version!r:.80}; versions 1.x are understood"
    raise InvalidPage(msg)


def _status(meta: Mapping[str, str]) -> Status | None:
    """Read PEP 792's tags."""
    if "pypi:project-status" not in meta:
        return None
    return Status(status=meta["pypi:project-status"], reason=meta.get("pypi:project-status-reason"))


def _signed(said: HtmlPage) -> bool:
    """Whether the page has what only pages of the Simple API have."""
    return said.serial is not None or any(name.startswith("pypi:") for name in said.meta)


def _about(project: NormalizedName, headings: Iterable[str], filenames: Iterable[str]) -> bool:
    """Whether a heading names the project, or files do."""
    return project in _headed(headings) or any(
        canonicalize_name(name).startswith(f"{project}-") for name in filenames
    )


def _headed(headings: Iterable[str]) -> set[NormalizedName]:
    """Return the projects that headings say the page is of."""
    found = filter(None, map(_PROJECT_HEADING.search, headings))
    names = (unquote(match[1].strip().rstrip("/").rpartition("/")[2]) for match in found)
    return {name for name in map(_normalized, names) if name is not None}


def _normalized(name: str) -> NormalizedName | None:
    try:
        return canonicalize_name(name, validate=True)
    except InvalidName:
        return None
