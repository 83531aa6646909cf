"""A mirror that stays open, and the promises that hold whatever upstream says."""

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
_PLACES = ("web/packages/", "web/integrity/demo/", "state/")
_PAGES = {f"web/simple/demo/{form}" for form in _FORMS}
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


class House:
    """One upstream with `demo` and `other`, and one mirror of it that stays open."""

    def __init__(self, world: World) -> None:
        self.world = world
        index = world.index
        index.upload(wheel("other", "1.0"), provenance={"version": 1})
        index.upload(wheel("demo", "1.0"))
        index.upload(sdist("demo", "1.0"))
        index.upload(wheel("demo", "2.0"), provenance={"version": 1})
        self._good: Seen | None = None
        self._runs = 0
        self._hashed: dict[tuple[str, str], str] = {}  # (key, ETag) -> sha256
        self.sync("other")
        self.others = self.objects()

    def sync(
        self, project: str, *, allowed_removal: AllowedRemoval = AllowedRemoval.NOTHING
    ) -> Result:
        """Do a job of a new run."""
        self._runs += 1
        return self.world.sync(project, run=f"run-{self._runs}", allowed_removal=allowed_removal)

    def begin(self, *, held: bool) -> Seen:
        """Forget what was there of `demo`; with `held` mirror its good page."""
        self.world.upstream.faults.clear()
        before = self._good if held and self._is_good() else None
        if before is None:
            before = self._begin_anew(held=held)
        # So that there is something to look at.
        self.world.index.journal("demo", "create", "2.0")
        return before

    def _is_good(self) -> bool:
        """Say whether the bucket is as the last good page has left it, as it mostly is."""
        return self._good is not None and self.objects() == self._good.objects

    def _begin_anew(self, *, held: bool) -> Seen:
        objects = self.objects()
        if {key: objects.get(key) for key in self.others} != self.others:
            self.world.s3.delete_objects(  # an earlier case has touched what it must not
                Bucket=self.world.bucket, Delete={"Objects": [{"Key": key} for key in objects]}
            )
            self.sync("other")
            self.others = objects = self.objects()
        if gone := objects.keys() - self.others.keys():
            self.world.s3.delete_objects(
                Bucket=self.world.bucket, Delete={"Objects": [{"Key": key} for key in gone]}
            )
        return self.mend() if held else Seen(self.others)

    def spoil(self, case: Case) -> None:
        """Let upstream answer as the case has it."""
        if case.json:
            self.world.configure("json = true")
        faults = self.world.upstream.faults
        for pattern, action in case.on_files:
            faults.add(Fault(action, re.compile(pattern)))
        if case.on_page is not None:
            faults.add(Fault(case.on_page, "/simple/demo/"))

    def leave(self, case: Case) -> None:
        """Undo what the case has configured."""
        if case.json:
            self.world.configure()

    def mend(self) -> Seen:
        """Let upstream be good again, and say something new: then so is the mirror."""
        self.world.upstream.faults.clear()
        self.world.index.journal("demo", "create", "2.0")
        assert self.sync("demo", allowed_removal=AllowedRemoval.FILES).error is None
        seen = self.seen()
        assert sorted(seen.filenames) == sorted(FILES)
        assert not seen.orphans
        self._good = seen
        return seen

    def objects(self) -> dict[Key, str]:
        """Return what is in the bucket: keys and ETags."""
        pages = self.world.s3.get_paginator("list_objects_v2").paginate(Bucket=self.world.bucket)
        return {
            Key(entry["Key"]): entry["ETag"] for page in pages for entry in page.get("Contents", ())
        }

    def seen(self) -> Seen:
        """Return what readers see of `demo`, once it was found to keep the promises."""
        objects = self.objects()
        seen = Seen(objects)
        if Key("web/simple/demo/index.v1_json") in objects:
            seen.page = self.world.page("demo")
            seen.html = _Html(self.world.read("web/simple/demo/index.html"))
        self._keeps_to_its_places(objects)
        self._serves_what_it_names(seen)
        return seen

    # The promises

    def _keeps_to_its_places(self, objects: Mapping[Key, str]) -> None:
        assert {key: objects.get(key) for key in self.others} == self.others, "other is touched"
        for key in objects.keys() - self.others.keys():
            assert key in _PAGES | _LEGACY or key.startswith(_PLACES), key
            assert not {"", ".", ".."} & set(key.split("/")), key
            assert key.isprintable(), key
            assert "\\" not in key

    def _serves_what_it_names(self, seen: Seen) -> None:
        if seen.page is None or seen.html is None:
            assert not _PAGES & seen.objects.keys(), "half of a page"
            return
        etags = {seen.objects[Key(f"web/simple/demo/{form}")] for form in _FORMS[:2]}
        assert len(etags) == 1
        assert seen.html.tags <= _TAGS
        assert seen.html.attributes <= _ATTRIBUTES
        assert seen.html.scripts == 0
        assert [a["href"] for a in seen.html.anchors if "href" not in a] == []
        files = seen.page["files"]
        assert seen.html.texts == [file["filename"] for file in files]
        assert len(set(seen.html.texts)) == len(files), "a file is named twice"
        named = set()
        for file, anchor in zip(files, seen.html.anchors, strict=True):
            key = _key(file["url"])
            assert urldefrag(anchor["href"] or "").url == file["url"]
            assert posixpath.basename(key) == file["filename"]
            assert self._sha256(key, seen) == file["hashes"]["sha256"]
            named.add(key)
            if file["core-metadata"]:
                assert self._sha256(f"{key}.metadata", seen) == file["core-metadata"]["sha256"]
                named.add(f"{key}.metadata")
        left = {
            k for k in seen.objects.keys() - self.others.keys() if k.startswith("web/packages/")
        }
        seen.orphans = left - named

    def _sha256(self, key: str, seen: Seen) -> str:
        assert key in seen.objects, f"{key} is named, but not there"
        known = (key, seen.objects[Key(key)])
        if known not in self._hashed:
            self._hashed[known] = hashlib.sha256(self.world.read(key)).hexdigest()
        return self._hashed[known]


@dataclass
class Seen:
    """What is to be seen of `demo`."""

    objects: Mapping[Key, str]
    page: dict[str, Any] | None = None
    html: _Html | None = None
    orphans: set[Key] = field(default_factory=set)

    @property
    def readable(self) -> dict[Key, str]:
        """What readers can see."""
        return {key: tag for key, tag in self.objects.items() if key.startswith("web/")}

    @property
    def filenames(self) -> list[str]:
        """The files on the page."""
        return [file["filename"] for file in self.page["files"]] if self.page else []


class _Html(HTMLParser):
    """Collects what a browser would make of a page."""

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


def lookup(said: Any, path: str) -> Any:
    """Return what stands at a path of keys with dots between."""
    for key in path.split("."):
        said = said[key]
    return said


def _key(url: str) -> str:
    path = urlsplit(urljoin("https://mirror.example/simple/demo/", url))
    assert path.netloc == "mirror.example"
    return "web" + unquote(path.path)
