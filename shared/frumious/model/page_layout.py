"""Where pages are stored, and in which formats, by the configuration."""

from __future__ import annotations

import re
from enum import StrEnum
from typing import TYPE_CHECKING

from packaging.utils import canonicalize_name

from frumious.model.layout import (
    GZIP_FOLDER,
    HTML,
    V1_HTML,
    V1_JSON,
    filename,
    is_project,
    root_page,
)
from frumious.model.types import Key
from frumious.value import Value

if TYPE_CHECKING:
    from packaging.utils import NormalizedName

    from frumious.model.types import RunId

_VERSION = re.compile(r"index_(?P<serial>\d+)_(?P<time>[^/]+)\.(?:html|v1_html|v1_json)")


class Gzip(StrEnum):
    """Where the compressed variant of a page is stored, for servers that can choose it."""

    NONE = ""
    PREFIX = "gzip"  # web/gzip/simple/...: another origin of CloudFront has the same path
    SUFFIX = "gz"  # index.v1_json.gz next to the page: nginx's gzip_static


class PageLayout(Value, frozen=True):
    """Where pages are stored and in which formats: `hash-index`, `simple-format`, `compress-pages`.

    The JSON pages are also the mirror's manifests. With `simple-format = HTML` they are stored
    as state, where readers do not see them.
    """

    hashed: bool = False  # project pages are in folders by first letter
    html: bool = True
    json: bool = True
    gzip: Gzip = Gzip.NONE

    @classmethod
    def named(cls, name: str) -> PageLayout:
        """Parse a layout's `name`."""
        flags = name.split()
        gzip = next((each for each in Gzip if each in flags), Gzip.NONE)
        return cls("hashed" in flags, html="html" in flags, json="json" in flags, gzip=gzip)

    @property
    def name(self) -> str:
        """The layout as text, as the ledger stores it."""
        flags = (
            ("hashed", self.hashed),
            ("html", self.html),
            ("json", self.json),
            (self.gzip, bool(self.gzip)),
        )
        return " ".join(flag for flag, is_set in flags if is_set)

    @property
    def forms(self) -> tuple[str, ...]:
        """The filenames of a published page, one for each format."""
        return (*((HTML, V1_HTML) if self.html else ()), *((V1_JSON,) if self.json else ()))

    @property
    def manifest_prefix(self) -> str:
        """The prefix of all manifests."""
        return "web/simple/" if self.json else "state/simple/"

    @property
    def root_manifest(self) -> Key:
        """The key of the root index's manifest, its JSON page."""
        return Key(f"{self.manifest_prefix}{V1_JSON}")

    @property
    def root_html(self) -> tuple[Key, ...]:
        """The keys of the root index's HTML pages."""
        return tuple(root_page(form) for form in self.forms if form != V1_JSON)

    @property
    def root_variants(self) -> tuple[Key, ...]:
        """The keys of the root index's compressed variants: of all forms, as it is large."""
        return tuple(self.variant(root_page(form)) for form in self.forms if self.gzip)

    def keys(self, project: str) -> tuple[Key, ...]:
        """Return the keys of a project's published pages, a compressed variant included."""
        pages = tuple(self.page(project, form) for form in self.forms)
        if not self.has_json_variants:
            return pages
        return (*pages, self.variant(self.page(project, V1_JSON)))

    @property
    def has_json_variants(self) -> bool:
        """Whether the JSON pages of projects have compressed variants."""
        return self.json and bool(self.gzip)

    def variant(self, page: Key) -> Key:
        """Return the key of a page's compressed variant."""
        if self.gzip is Gzip.SUFFIX:
            return Key(f"{page}.gz")
        return Key(f"{GZIP_FOLDER}{page.removeprefix('web/')}")

    def page(self, project: str, form: str) -> Key:
        """Return the key of a published project page; `form` is HTML, V1_HTML or V1_JSON."""
        return Key(f"web/simple/{self._folder(project)}/{form}")

    def manifest(self, project: str) -> Key:
        """Return the key of a project's manifest, its JSON page."""
        return Key(f"{self.manifest_prefix}{self._folder(project)}/{V1_JSON}")

    def versions(self, project: str) -> str:
        """Return the prefix of a project's older pages."""
        return f"web/simple/{self._folder(project)}/versions/"

    def project_of(self, key: Key) -> NormalizedName | None:
        """Return the project whose manifest is at `key`; None for any other key."""
        *_, project, _ = ("", "", *key.split("/"))
        if is_project(project) and key == self.manifest(canonicalize_name(project)):
            return canonicalize_name(project)
        return None

    def after_manifest(self, project: str) -> str:
        """Return a text that sorts after a project's manifest and before the next project's."""
        return f"{self.manifest_prefix}{self._folder(project)}/~"

    def _folder(self, project: str) -> str:
        return f"{project[0]}/{project}" if self.hashed else project


def version_of_page(serial: int | None, run: RunId, form: str) -> str:
    """Return the filename of an older page: its serial and the time at which its run began."""
    began, _, _ = run.partition("-")
    if began[:8].isdecimal():
        began = f"{began[:4]}-{began[4:6]}-{began[6:]}Z"
    return f"index_{serial or 0}_{began}.{form.removeprefix('index.')}"


def age_of_version(key: Key) -> tuple[int, str] | None:
    """Return the sort key of an older page, the same for all forms; None for any other key."""
    found = _VERSION.fullmatch(filename(key))
    return (int(found["serial"]), found["time"]) if found is not None else None
