"""The corpus's mirror, and the properties that every response of upstream must preserve."""

from __future__ import annotations

import hashlib
import posixpath
import re
from dataclasses import dataclass, field
from html.parser import HTMLParser
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urldefrag, urljoin, urlsplit

from frumious.model.jobs import AllowedRemoval
from frumious.model.types import Key
from tests.hostile.case import FILES
from tests.upstream import Fault, sdist, wheel

if TYPE_CHECKING:
    from collections.abc import Mapping

    from frumious.model.jobs import Result
    from tests.hostile.case import Case
    from tests.world import World

_FORMS = ("index.html", "index.v1_html", "index.v1_json")
_PREFIXES = ("web/packages/", "web/integrity/demo/", "state/")
_VARIANT = "web/gzip/simple/demo/index.v1_json"
_PAGES = {*(f"web/simple/demo/{form}" for form in _FORMS), _VARIANT}
_LEGACY = {"web/json/demo", "web/pypi/demo/json"}
_TAGS = {"html", "head", "meta", "title", "body", "h1", "a", "br"}
_ATTRIBUTES = {
    "href",
    "data-requires-python",
    "data-core-metadata",
    "data-dist-info-metadata",
    "data-gpg-sig",
    "data-yanked",
    "data-provenance",
}


class MirrorUnderTest:
    """An upstream with `demo` and `other`, and a mirror that stays open."""

    def __init__(self, world: World) -> None:
        self.world = world
        index = world.index
        index.upload(wheel("other", "1.0"), provenance={"version": 1})
        index.upload(wheel("demo", "1.0"))
        index.upload(sdist("demo", "1.0"))
        index.upload(wheel("demo", "2.0"), provenance={"version": 1})
        self._good: Contents | None = None
        self._runs = 0
        self._hashed: dict[tuple[str, str], str] = {}  # (key, ETag) -> sha256
        self.sync("other")
        self.other_objects = self.objects()

    def sync(
        self, project: str, *, allowed_removal: AllowedRemoval = AllowedRemoval.NOTHING
    ) -> Result:
        """Run a job of a new run."""
        self._runs += 1
        return self.world.sync(project, run=f"run-{self._runs}", allowed_removal=allowed_removal)

    def reset(self, *, full: bool) -> Contents:
        """Remove `demo` from the mirror; if `full`, mirror its valid page."""
        self.world.upstream.faults.clear()
        # An earlier case's file of the same name had other bytes.
        self.world.s3.delete_object(Bucket=self.world.bucket, Key="state/removed/demo.json")

        before = self._good if full and self._is_good() else None
        if before is None:
            before = self._rebuild(full=full)
        # A new serial, so that the job reads the page.
        self.world.index.journal("demo", "create", "2.0")
        return before

    def _is_good(self) -> bool:
        """Say whether the bucket still contains exactly the last valid page and its files."""
        return self._good is not None and self.objects() == self._good.objects

    def _rebuild(self, *, full: bool) -> Contents:
        objects = self.objects()
        if {key: objects.get(key) for key in self.other_objects} != self.other_objects:
            self.world.s3.delete_objects(  # an earlier case has changed `other`
                Bucket=self.world.bucket, Delete={"Objects": [{"Key": key} for key in objects]}
            )
            self.sync("other")
            self.other_objects = objects = self.objects()
        if leftover := objects.keys() - self.other_objects.keys():
            self.world.s3.delete_objects(
                Bucket=self.world.bucket, Delete={"Objects": [{"Key": key} for key in leftover]}
            )
        return self.repair() if full else Contents(self.other_objects)

    def apply(self, case: Case) -> None:
        """Configure the case's responses."""
        if case.json:
            self.world.configure("json = true")
        faults = self.world.upstream.faults
        for pattern, action in case.on_files:
            faults.add(Fault(action, re.compile(pattern)))
        if case.on_page is not None:
            faults.add(Fault(case.on_page, "/simple/demo/"))

    def undo(self, case: Case) -> None:
        """Undo the case's changes of the configuration."""
        if case.json:
            self.world.configure()

    def repair(self) -> Contents:
        """Mirror the valid page again, and check the result."""
        self.world.upstream.faults.clear()
        self.world.index.journal("demo", "create", "2.0")
        assert self.sync("demo", allowed_removal=AllowedRemoval.FILES).error is None
        contents = self.contents()
        assert sorted(contents.filenames) == sorted(FILES)
        assert not contents.orphans
        self._good = contents
        return contents

    def objects(self) -> dict[Key, str]:
        """Return the ETag of each object in the bucket by key."""
        pages = self.world.s3.get_paginator("list_objects_v2").paginate(Bucket=self.world.bucket)
        return {
            Key(entry["Key"]): entry["ETag"] for page in pages for entry in page.get("Contents", ())
        }

    def contents(self) -> Contents:
        """Check the mirror's properties, and return what it stores of `demo`."""
        objects = self.objects()
        contents = Contents(objects)
        if Key("web/simple/demo/index.v1_json") in objects:
            contents.page = self.world.page("demo")
            contents.html = _Html(self.world.read("web/simple/demo/index.html"))
        self._check_keys(objects)
        self._check_pages(contents)
        return contents

    # Properties

    def _check_keys(self, objects: Mapping[Key, str]) -> None:
        assert {key: objects.get(key) for key in self.other_objects} == self.other_objects, (
            "`other` has changed"
        )
        for key in objects.keys() - self.other_objects.keys():
            assert key in _PAGES | _LEGACY or key.startswith(_PREFIXES), key
            assert not {"", ".", ".."} & set(key.split("/")), key
            assert key.isprintable(), key
            assert "\\" not in key

    def _check_pages(self, contents: Contents) -> None:
        if contents.page is None or contents.html is None:
            assert not _PAGES & contents.objects.keys(), "a page lacks a format"
            return
        etags = {contents.objects[Key(f"web/simple/demo/{form}")] for form in _FORMS[:2]}
        assert len(etags) == 1
        assert contents.html.tags <= _TAGS
        assert contents.html.attributes <= _ATTRIBUTES
        assert contents.html.scripts == 0
        assert [a["href"] for a in contents.html.anchors if "href" not in a] == []
        files = contents.page["files"]
        assert contents.html.texts == [file["filename"] for file in files]
        assert len(set(contents.html.texts)) == len(files), "a file is listed twice"
        named = set()
        for file, anchor in zip(files, contents.html.anchors, strict=True):
            key = _key(file["url"])
            assert urldefrag(anchor["href"] or "").url == file["url"]
            assert posixpath.basename(key) == file["filename"]
            assert self._sha256(key, contents) == file["hashes"]["sha256"]
            named.add(key)
            if file["core-metadata"]:
                assert self._sha256(f"{key}.metadata", contents) == file["core-metadata"]["sha256"]
                named.add(f"{key}.metadata")
        stored = {
            k
            for k in contents.objects.keys() - self.other_objects.keys()
            if k.startswith("web/packages/")
        }
        # Files whose names do not say that they are `demo`'s stay: nothing proves it.
        contents.orphans = {key for key in stored - named if _is_demos(key)}

    def _sha256(self, key: str, contents: Contents) -> str:
        assert key in contents.objects, f"{key} is named, but missing"
        known = (key, contents.objects[Key(key)])
        if known not in self._hashed:
            self._hashed[known] = hashlib.sha256(self.world.read(key)).hexdigest()
        return self._hashed[known]


@dataclass
class Contents:
    """The objects of `demo`, and its page."""

    objects: Mapping[Key, str]
    page: dict[str, Any] | None = None
    html: _Html | None = None
    orphans: set[Key] = field(default_factory=set)

    @property
    def readable(self) -> dict[Key, str]:
        """The objects that readers can get."""
        return {key: etag for key, etag in self.objects.items() if key.startswith("web/")}

    @property
    def filenames(self) -> list[str]:
        """The filenames on the page."""
        return [file["filename"] for file in self.page["files"]] if self.page else []


def _is_demos(key: str) -> bool:
    return posixpath.basename(key).lower().startswith(("demo-", "demo.whl"))


class _Html(HTMLParser):
    """The elements of an HTML page."""

    def __init__(self, body: bytes) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.attributes: set[str] = set()
        self.anchors: list[dict[str, str | None]] = []
        self.texts: list[str] = []
        self.scripts = 0
        self._in_anchor = False
        self.feed(body.decode())
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.scripts += tag == "script"
        if tag == "a":
            self.anchors.append(dict(attrs))
            self.attributes.update(name for name, _ in attrs)
            self.texts.append("")
            self._in_anchor = True

    def handle_endtag(self, tag: str) -> None:
        if tag == "a":
            self._in_anchor = False

    def handle_data(self, data: str) -> None:
        if self._in_anchor:
            self.texts[-1] += data


def lookup(payload: Any, path: str) -> Any:
    """Return the value at a path of keys with dots between them."""
    for key in path.split("."):
        payload = payload[key]
    return payload


def _key(url: str) -> str:
    path = urlsplit(urljoin("https://mirror.example/simple/demo/", url))
    assert path.netloc == "mirror.example"
    return "web" + unquote(path.path)
