"""Declarations of the kinds of index that can be upstream, and of their differences."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from .negotiation import HTML, JSON, LEGACY_HTML


@dataclass(frozen=True, slots=True)
class Personality:
    api_version: str = "1.4"
    offers: tuple[str, ...] = (LEGACY_HTML, HTML, JSON)  # the first one is the default
    refuses: bool = False  # 406 if none of the offers is acceptable, instead of the default
    page_keys: frozenset[str] | None = None  # of a project page; None: all
    file_keys: frozenset[str] | None = None  # of each file; None: all
    serials: Literal["number", "text"] | None = "number"  # `_last-serial` of project pages
    root_serials: bool = True  # `_last-serial` of each project in the root index
    yank_reasons: bool = True  # else `yanked` is a bool
    empty_requires_python: bool = False  # "" instead of null for sdists
    relative: bool = False  # URLs relative to the page
    serial_header: bool = True
    etag: bool = True
    cache_control: bool = True
    redirects: bool = True  # 301 for names that are not normalised, else 404
    apis: bool = True  # XML-RPC, legacy JSON and provenance
    xml_rpc: bool = True  # if there are APIs


PYPI = Personality()

NO_CHANGELOG = Personality(xml_rpc=False)

BANDERSNATCH = Personality(
    api_version="1.1",
    page_keys=frozenset({"meta", "name", "versions", "files"}),
    file_keys=frozenset(
        {"filename", "url", "hashes", "requires-python", "size", "upload-time", "yanked"}
        | {"core-metadata", "data-dist-info-metadata"}
    ),
    serials="text",
    root_serials=False,
    yank_reasons=False,
    empty_requires_python=True,
    relative=True,
    serial_header=False,
    etag=False,
    cache_control=False,
    redirects=False,
    apis=False,
)

HTML_ONLY = Personality(
    api_version="1.0",
    offers=(LEGACY_HTML,),
    serials=None,
    serial_header=False,
    cache_control=False,
    apis=False,
)

DEVPI = Personality(
    api_version="1.0",
    offers=(LEGACY_HTML, JSON),
    page_keys=frozenset({"meta", "name", "files"}),
    file_keys=frozenset({"filename", "url", "hashes", "requires-python", "yanked"}),
    serials=None,
    root_serials=False,
    relative=True,
    serial_header=False,
    cache_control=False,
    apis=False,
)
