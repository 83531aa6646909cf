"""The fields of project pages: the path of each, and what the mirror must serve.

Most fields have upstream's value in JSON; if not, the field's note explains why.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name, parse_sdist_filename, parse_wheel_filename
from packaging.version import Version

from tests.conformance.page_views import ABSENT, CANNOT, PageViews, Path, lookup
from tests.conformance.table import Row

if TYPE_CHECKING:
    from collections.abc import Callable


def same(value: Any) -> Any:
    return value


def nothing(value: Any) -> Any:
    return ABSENT


def cannot(value: Any) -> Any:
    return CANNOT


def always(value: Any) -> Callable[[Any], Any]:
    return lambda _: value


def attribute(value: Any) -> Any:
    """Return an HTML attribute's value for a value that may be null, empty or absent."""
    return ABSENT if value in {None, "", ABSENT} else value


def yank(value: Any) -> Any:
    return value if isinstance(value, str) else "" if value is True else ABSENT


def digest(value: Any) -> Any:
    """Return hashes in the format of PEP 503 and PEP 658."""
    return f"sha256={value['sha256']}" if isinstance(value, dict) else ABSENT


def stored_here(value: Any) -> Any:
    """Return the mirror's relative URL for upstream's absolute one."""
    return "../../packages/" + value.rpartition("/packages/")[2]


@dataclass(frozen=True, slots=True, kw_only=True)
class Field:
    """A field of a project page.

    Args:
        at: The field's path in JSON; `html` is the one in HTML.
        in_json: Returns the value that the mirror's JSON must have, given upstream's value;
            `in_html` does so for its HTML.
        pip: The attribute of pip's candidate, which must be equal for all three pages, unless
            `pip_reads` returns another value for the mirror's.
        parse: The parser of `packaging`; the mirror's value must parse to the same as upstream's.
    """

    pep: str
    name: str
    project: str
    at: Path
    html: Path = ()
    in_json: Callable[[Any], Any] = same
    in_html: Callable[[Any], Any] = cannot
    pip: str = ""
    pip_reads: Callable[[Any], Any] = same
    parse: Callable[[Any], Any] | None = None
    note: str = ""

    def row(self, views: PageViews) -> Row:
        """Compare the mirror's pages with upstream's."""
        in_upstream, in_json = lookup(views.upstream, self.at), lookup(views.json, self.at)
        in_html = lookup(views.html, self.html) if self.html else CANNOT
        right = in_json == self.in_json(in_upstream) and in_html == self.in_html(in_upstream)
        read = []
        if self.parse is not None:
            right = right and self._parsed(in_json) == self._parsed(in_upstream)
            read.append(f"`packaging`'s {getattr(self.parse, '__name__', '')}")
        if self.pip:
            position = self.at[1]
            assert isinstance(position, int), self
            upstream, json, html = (
                getattr(each[position], self.pip)
                for each in (views.pip_upstream, views.pip_json, views.pip_html)
            )
            right = right and json == html == self.pip_reads(upstream)
            read.append("pip")
        return Row(
            pep=self.pep,
            field=self.name,
            upstream=in_upstream,
            json=in_json,
            html=in_html,
            read=", ".join(read),
            note=self.note,
            right=right,
        )

    def _parsed(self, value: Any) -> Any:
        assert self.parse is not None
        values = value if isinstance(value, list) else [value]
        return [self.parse(each) for each in values]


def file(number: int, key: str) -> Path:
    return ("files", number, key)


def link(number: int, attribute: str) -> Path:
    return ("links", number, attribute)


SDIST, WHEEL = 1, 0
PLAIN = "plain-project"

FIELDS = (
    Field(
        pep="503",
        name="project's name",
        project=PLAIN,
        at=("name",),
        html=("title",),
        in_html=lambda value: f"Links for {value}",
        parse=canonicalize_name,
    ),
    Field(
        pep="503",
        name="a wheel's filename",
        project=PLAIN,
        at=file(WHEEL, "filename"),
        html=link(WHEEL, "title"),
        in_html=same,
        pip="filename",
        parse=parse_wheel_filename,
    ),
    Field(
        pep="503",
        name="an sdist's filename",
        project=PLAIN,
        at=file(SDIST, "filename"),
        html=link(SDIST, "title"),
        in_html=same,
        pip="filename",
        parse=parse_sdist_filename,
    ),
    Field(
        pep="503",
        name="`url`, `href`",
        project=PLAIN,
        at=file(WHEEL, "url"),
        html=link(WHEEL, "href"),
        in_json=stored_here,
        in_html=stored_here,
        note="relative, so that it is valid for every URL of the mirror; see below for `root_uri`",
    ),
    Field(
        pep="503",
        name="hash",
        project=PLAIN,
        at=file(WHEEL, "hashes"),
        html=link(WHEEL, "#"),
        in_html=digest,
        pip="sha256",
    ),
    Field(
        pep="503",
        name="`requires-python`",
        project=PLAIN,
        at=file(WHEEL, "requires-python"),
        html=link(WHEEL, "data-requires-python"),
        in_html=attribute,
        pip="requires_python",
        parse=SpecifierSet,
    ),
    Field(
        pep="503",
        name="`requires-python`, null",
        project=PLAIN,
        at=file(SDIST, "requires-python"),
        html=link(SDIST, "data-requires-python"),
        in_html=attribute,
        pip="requires_python",
    ),
    Field(
        pep="503",
        name="`gpg-sig`",
        project="beyond",
        at=file(0, "gpg-sig"),
        html=link(0, "data-gpg-sig"),
        in_json=always(False),  # noqa: FBT003
        in_html=always("false"),
        note="signatures are not mirrored",
    ),
    Field(
        pep="592",
        name="`yanked`, false",
        project="yanked",
        at=file(2, "yanked"),
        html=link(2, "data-yanked"),
        in_html=yank,
        pip="yanked",
    ),
    Field(
        pep="592",
        name="`yanked`, without a reason",
        project="yanked",
        at=file(0, "yanked"),
        html=link(0, "data-yanked"),
        in_html=yank,
        pip="yanked",
    ),
    Field(
        pep="592",
        name="`yanked`, with a reason",
        project="yanked",
        at=file(1, "yanked"),
        html=link(1, "data-yanked"),
        in_html=yank,
        pip="yanked",
    ),
    Field(
        pep="592",
        name="`yanked`, an empty string",
        project="yanked",
        at=file(3, "yanked"),
        html=link(3, "data-yanked"),
        in_json=always(True),  # noqa: FBT003
        in_html=always(""),
        pip="yanked",
        pip_reads=always(""),
        note="PEP 691 does not allow it; the mirror reads it as PEP 592 does in HTML, so that JSON"
        " and HTML agree",
    ),
    Field(
        pep="592",
        name="no `yanked`",
        project="old",
        at=file(0, "yanked"),
        html=link(0, "data-yanked"),
        in_json=always(False),  # noqa: FBT003
        in_html=nothing,
        pip="yanked",
    ),
    *(
        Field(
            pep="629",
            name=f"version {version}",
            project=project,
            at=("meta", "api-version"),
            html=("meta", "pypi:repository-version"),
            in_html=same,
            parse=Version,
        )
        for version, project in (("1.0", "old"), ("1.4", PLAIN))
    ),
    Field(
        pep="629",
        name="version 1.5",
        project="beyond",
        at=("meta", "api-version"),
        html=("meta", "pypi:repository-version"),
        in_json=always("1.4"),
        in_html=always("1.4"),
        note="a mirror without PEP 752's routes must not claim 1.5; HTML stays at 1.4 (PEP 833)",
    ),
    Field(
        pep="658 and 714",
        name="`core-metadata`, hashes",
        project=PLAIN,
        at=file(WHEEL, "core-metadata"),
        html=link(WHEEL, "data-core-metadata"),
        in_html=digest,
        pip="metadata",
    ),
    Field(
        pep="658 and 714",
        name="`data-dist-info-metadata`",
        project=PLAIN,
        at=file(WHEEL, "data-dist-info-metadata"),
        html=link(WHEEL, "data-dist-info-metadata"),
        in_html=digest,
    ),
    Field(
        pep="658 and 714",
        name="`core-metadata`, false",
        project="metadata",
        at=file(3, "core-metadata"),
        html=link(3, "data-core-metadata"),
        in_html=digest,
        pip="metadata",
    ),
    Field(
        pep="658 and 714",
        name="`core-metadata`, true",
        project="metadata",
        at=file(0, "core-metadata"),
        html=link(0, "data-core-metadata"),
        in_json=always(False),  # noqa: FBT003
        in_html=nothing,
        pip="metadata",
        pip_reads=always(None),
        note="not mirrored, because without a hash it cannot be verified",
    ),
    Field(
        pep="691",
        name="`hashes`, several",
        project="beyond",
        at=file(0, "hashes"),
        html=link(0, "#"),
        in_html=digest,
        pip="sha256",
    ),
    Field(
        pep="691",
        name="`files`, empty",
        project="empty",
        at=("files",),
        html=("links",),
        in_html=same,
    ),
    Field(
        pep="691",
        name="`meta._last-serial`",
        project=PLAIN,
        at=("meta", "_last-serial"),
        html=("serial",),
        in_html=str,
    ),
    Field(
        pep="691",
        name="another index's private key in `meta`",
        project="beyond",
        at=("meta", "_private"),
    ),
    Field(
        pep="700",
        name="`versions`",
        project="yanked",
        at=("versions",),
        parse=Version,
    ),
    Field(pep="700", name="`versions`, none", project="empty", at=("versions",)),
    Field(pep="700", name="`size`", project=PLAIN, at=file(WHEEL, "size")),
    Field(pep="700", name="`upload-time`", project=PLAIN, at=file(WHEEL, "upload-time")),
    Field(pep="700", name="no `versions`, before 1.1", project="old", at=("versions",)),
    Field(pep="700", name="no `size`, before 1.1", project="old", at=file(0, "size")),
    Field(pep="700", name="no `upload-time`", project="old", at=file(0, "upload-time")),
    Field(
        pep="740",
        name="`provenance`",
        project=PLAIN,
        at=file(WHEEL, "provenance"),
        html=link(WHEEL, "data-provenance"),
        in_html=attribute,
        note="must be absolute: upstream's URL, unless `root_uri` sets the mirror's",
    ),
    Field(
        pep="740",
        name="`provenance`, null",
        project=PLAIN,
        at=file(SDIST, "provenance"),
        html=link(SDIST, "data-provenance"),
        in_json=nothing,
        in_html=attribute,
        note="omitting it has the same meaning",
    ),
    *(
        Field(
            pep="792",
            name=f"`project-status`, {project}",
            project=project,
            at=("project-status", "status"),
            html=("meta", "pypi:project-status"),
            in_html=same,
        )
        for project in (PLAIN, "archived", "deprecated", "quarantined", "cleared")
    ),
    *(
        Field(
            pep="792",
            name=f"`reason`, {project}",
            project=project,
            at=("project-status", "reason"),
            html=("meta", "pypi:project-status-reason"),
            in_html=same,
        )
        for project in ("archived", "deprecated", "quarantined")
    ),
    Field(
        pep="792",
        name="no `project-status`",
        project="stateless",
        at=("project-status",),
        html=("meta", "pypi:project-status"),
        in_html=same,
    ),
    Field(
        pep="792",
        name="an archived project's files",
        project="archived",
        at=file(0, "filename"),
        html=link(0, "title"),
        in_html=same,
        pip="filename",
    ),
    Field(
        pep="792",
        name="a quarantined project's files",
        project="quarantined",
        at=("files",),
        html=("links",),
        in_html=same,
    ),
    Field(
        pep="792",
        name="a quarantined project that offers a file",
        project="offering",
        at=("files", 0, "filename"),
        html=("links", 0, "title"),
        in_json=nothing,
        in_html=nothing,
        note="an index must not offer it, and the mirror does not",
    ),
    Field(
        pep="752 and beyond",
        name="`namespaces`",
        project="beyond",
        at=("namespaces",),
        in_json=nothing,
        note="not without PEP 752's routes",
    ),
    Field(pep="752 and beyond", name="`namespace`, null", project="beyond", at=("namespace",)),
    Field(
        pep="752 and beyond",
        name="`alternate-locations` (PEP 708)",
        project="beyond",
        at=("alternate-locations",),
    ),
    Field(
        pep="752 and beyond",
        name="`meta.tracks` (PEP 708)",
        project="beyond",
        at=("meta", "tracks"),
    ),
    Field(
        pep="752 and beyond",
        name="an unknown key of the page",
        project="beyond",
        at=("unheard-of",),
    ),
    Field(
        pep="752 and beyond",
        name="an unknown key of `project-status`",
        project="beyond",
        at=("project-status", "since"),
    ),
    Field(
        pep="752 and beyond",
        name="an unknown key of a file",
        project="beyond",
        at=file(0, "unheard-of"),
    ),
)
