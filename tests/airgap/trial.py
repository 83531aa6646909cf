"""Rounds of changes at the source; bundles that are lost, repeated, reordered, damaged, forged."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections import Counter, defaultdict
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, Final

from frumious.model.blobs import keys_of, mirrored_files
from frumious.model.page_layout import PageLayout
from frumious.model.types import Key
from frumious.simple.parse_json import manifest
from tests.airgap.isolated import Isolated
from tests.airgap.sides import pair
from tests.faults.changes import Changes

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.upstream import Index

OPTIONS: Final = "max-losses = 5% 1000000 1000GiB\n"
FAULTS: Final = (
    *("kill import", "lost", "damaged", "reordered", "forged", "repeated", "kill export"),
    *("stale", "late", "another key"),
)
_PROJECTS: Final = 12
_CHANGES: Final = 8  # in a round
_MAX_DELAY: Final = 0.25  # seconds after which a process is killed


class Violation(Exception):
    """The target shows what it must not show, or does not show what it must."""


class Trial:
    """One source, one target, and what the source has ever shown."""

    def __init__(self, folder: Path, index: Index, url: str, seed: int) -> None:
        self.random = Random(seed)
        self.counts: Counter[str] = Counter()
        self.folder = folder
        projects = [f"project-{number:02}" for number in range(_PROJECTS)]
        self._changes = Changes(index, projects)
        for _ in range(3 * _PROJECTS):
            self._changes.make(self.random)
        self.source, self.target, self.gap = pair(folder, url, OPTIONS)
        self.source.run("keys", "generate", str(folder / "other"))
        self._shown: dict[str, set[str]] = defaultdict(set)  # key -> digests
        self._arrived: list[Path] = []
        self._import(self._export())
        self._compare()

    def run(self, rounds: int, report: Callable[[str], None]) -> None:
        """Go through the rounds, with one kind of fault after the other."""
        for number in range(rounds):
            fault = FAULTS[number % len(FAULTS)]
            for _ in range(_CHANGES):
                self._changes.make(self.random)
            getattr(self, f"_{fault.replace(' ', '_')}")()
            self._compare()
            self.counts[fault] += 1
            report(f"round {number + 1}: {fault}")

    def _kill_import(self) -> None:
        bundle = self._export()
        began = json.loads((bundle / "bundle.json").read_bytes())["id"].encode()
        state = self.target.mirror / "state/import.json"
        for _ in range(3):
            process = Isolated(self.target.conf, "import", str(bundle))
            has_begun = lambda: state.exists() and began in state.read_bytes()  # noqa: E731
            delay = self.random.uniform(0, _MAX_DELAY)
            self.counts["killed imports"] += process.kill_after(has_begun, delay)
            self._check_visible()
        self._import(bundle)

    def _kill_export(self) -> None:
        self.source.run("mirror")
        self._remember()
        progress = self.gap / ".partial/progress.json"
        for _ in range(2):
            process = Isolated(self.source.conf, "export", "--to", str(self.gap), isolated=False)
            delay = self.random.uniform(0, _MAX_DELAY / 2)
            self.counts["killed exports"] += process.kill_after(progress.exists, delay)
        arrived = {*self._arrived}
        self._export()
        for bundle in sorted({*self.gap.glob("frumious-*")} - arrived):
            self._import(bundle)

    def _lost(self) -> None:
        """A bundle is lost: the next one is refused, and it is made again."""
        serial = json.loads((self.target.mirror / "state/import.json").read_bytes())["serial"]
        shutil.rmtree(self._export())
        self._changes.make(self.random)
        self._refused(self._export(), "import the missing bundle")
        self._import(self._export("--since", str(serial)))

    def _late(self) -> None:
        """A bundle comes after the one that follows it."""
        first = self._export()
        self._changes.make(self.random)
        second = self._export()
        self._refused(second, "import the missing bundle")
        self._import(first)
        self._import(second)

    def _reordered(self) -> None:
        first = self._export()
        self._changes.make(self.random)
        second = self._export()
        self._import(second, first)

    def _repeated(self) -> None:
        bundle = self._export()
        self._import(bundle)
        before = self.target.objects()
        self._import(bundle)
        self._import(self.gap)
        if self.target.objects() != before:
            msg = "a repeated bundle has changed something"
            raise Violation(msg)

    def _stale(self) -> None:
        """The first bundle of all, complete and signed, comes once more."""
        self._import(self._export())
        before = self.target.objects()
        self._import(self._arrived[0])
        if self.target.objects() != before:
            msg = "an old bundle has changed something"
            raise Violation(msg)

    def _damaged(self) -> None:
        """A byte changes, in each kind of file."""
        bundle = self._export()
        objects = [
            (f"{kind}-001.tar", part)
            for line in (bundle / "manifest.ndjson").read_bytes().splitlines()
            for kind in ("files", "pages")
            for _, _, _, parts in json.loads(line).get(kind, ())
            for part in parts
            if part[2]
        ]
        name, (_, offset, size) = self.random.choice(objects)
        for damaged, first, last in (
            (name, offset, offset + size),
            *(
                (each, 0, (bundle / each).stat().st_size)
                for each in ("manifest.ndjson", "bundle.json", "bundle.json.minisig")
            ),
        ):
            path = bundle / damaged
            body = path.read_bytes()
            # The first line of the signature is a comment that nothing verifies.
            comment = body.index(b"\n") + 1 if damaged.endswith(".minisig") else 0
            at = self.random.randrange(max(first, comment), last - 1)
            path.write_bytes(body[:at] + bytes([body[at] ^ 1]) + body[at + 1 :])
            self._refused(bundle, "Error")
            path.write_bytes(body)
        self._import(bundle)

    def _forged(self) -> None:
        """A page and its hashes are changed, all but the signature."""
        bundle = self._export()
        copy = self.folder / "forged"
        shutil.rmtree(copy, ignore_errors=True)
        shutil.copytree(bundle, copy)
        body = (copy / "manifest.ndjson").read_bytes()
        forged = body.replace(b"web/simple/", b"web/simplx/", 1)
        (copy / "manifest.ndjson").write_bytes(forged)
        head = (copy / "bundle.json").read_bytes()
        old, new = (hashlib.sha256(each).hexdigest().encode() for each in (body, forged))
        (copy / "bundle.json").write_bytes(head.replace(old, new))
        self._refused(copy, "it has been changed")
        self._import(bundle)

    def _another_key(self) -> None:
        bundle = self._export()
        self._changes.make(self.random)
        forged = self._export("--key", str(self.folder / "other"), "--to", str(self.folder / "x"))
        self._refused(forged, "not one of those to trust")
        self._import(bundle)
        self._import(self._export())

    def _export(self, *options: str) -> Path:
        self.source.run("mirror")
        self._remember()
        to = () if "--to" in options else ("--to", str(self.gap))
        done = json.loads(self.source.run("export", "--json", *to, *options))
        bundle = Path(done["bundle"])
        if to:
            self._arrived.append(bundle)
        return bundle

    def _import(self, *bundles: Path) -> None:
        code, output = Isolated(self.target.conf, "import", *map(str, bundles)).wait()
        self._check_visible()
        if code:
            msg = f"the import of {[each.name for each in bundles]} failed: {output}"
            raise Violation(msg)

    def _refused(self, bundle: Path, why: str) -> None:
        pages = {k: v for k, v in self.target.objects().items() if "/packages/" not in k}
        code, output = Isolated(self.target.conf, "import", str(bundle)).wait()
        self._check_visible()
        after = {k: v for k, v in self.target.objects().items() if "/packages/" not in k}
        provenance = {k for k in after.keys() - pages.keys() if k.startswith("web/integrity/")}
        if (
            code != 1
            or why not in output
            or {k: after[k] for k in after if k not in provenance} != pages
        ):
            msg = f"{bundle.name} was not refused because of {why!r}: {code}, {output}"
            raise Violation(msg)
        self.counts["refused"] += 1

    def _pages(self) -> dict[str, bytes]:
        """Return what readers find: files that no page names are not among it."""
        folders = ("web/packages/", "web/integrity/")
        objects = self.target.objects().items()
        return {key: body for key, body in objects if not key.startswith(folders)}

    def _remember(self) -> None:
        for key, body in self.source.objects().items():
            self._shown[key].add(hashlib.sha256(body).hexdigest())

    def _check_visible(self) -> None:
        """Check that the target shows nothing but what the source has shown at some time."""
        objects = self.target.objects()
        for key, body in objects.items():
            if hashlib.sha256(body).hexdigest() not in self._shown[key]:
                msg = f"{key} of the target was never the source's"
                raise Violation(msg)
            project = PageLayout().project_of(Key(key))
            if project is not None:
                named = keys_of(mirrored_files(project, manifest(body, Key(key))))
                if missing := named - objects.keys():
                    msg = f"{key} names {sorted(missing)}, which are not stored"
                    raise Violation(msg)

    def _compare(self) -> None:
        source, target = self.source.objects(), self.target.objects()
        if source != target:
            different = {key for key in source.keys() & target.keys() if source[key] != target[key]}
            msg = (
                f"only at the source: {sorted(source.keys() - target.keys())};"
                f" only at the target: {sorted(target.keys() - source.keys())};"
                f" different: {sorted(different)}"
            )
            raise Violation(msg)
