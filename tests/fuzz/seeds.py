"""Write the corpus's seeds: `python -m tests.fuzz.seeds`.

They are the responses of the hostile corpus, pages of each kind of index, and state files of this
version and of earlier ones. Findings in the corpus stay as they are.
"""

from __future__ import annotations

import hashlib
import json
import re
import sys
import urllib.request
from collections import defaultdict
from contextlib import suppress
from http.client import HTTPException
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from xmlrpc.client import Fault as RpcFault
from xmlrpc.client import dumps

import msgspec
from msgspec.structs import replace
from packaging.utils import NormalizedName

from frumious.bundles.catalogue import CatalogueHead, Known
from frumious.bundles.manifest import (
    Head,
    Line,
    Object,
    Part,
    Volume,
    render_head,
    render_line,
)
from frumious.bundles.work import Progress
from frumious.downloads.fields import CLOUDFRONT
from frumious.locks.parse import parse_list
from frumious.model import changes, checkpoint
from frumious.model import closure as closures
from frumious.model.advisories import Advisories, Advisory, Severity, Span, Waiver
from frumious.model.audits import AuditProgress, Finding, Kind
from frumious.model.changes import Entry
from frumious.model.checkpoint import Checkpoint, SignatureLine
from frumious.model.jobs import AllowedRemoval, Job, Outcome, Report, Result
from frumious.model.lists import Lists, LockedList, TopList
from frumious.model.merkle import Tree, leaf_hash
from frumious.model.named import Deletion, NamedProjects
from frumious.model.runs import (
    Cursor,
    Departure,
    Lagging,
    OpenRun,
    Run,
    RunProgress,
    Selected,
)
from frumious.model.types import Key, RunId
from frumious.planning.lists import parse_requirements
from frumious.selection.requirements import dependencies_of, parse_metadata
from frumious.selection.top import parse_counts
from frumious.signing.signatures import sign
from frumious.simple import gzipped
from frumious.state.audit import FoundFile
from frumious.state.bundle_records import Export, Exports, Imported
from frumious.state.changes import FeedState
from frumious.state.inbox import _ReportsFile, _ResultsFile
from frumious.state.ledger import LaggingFile
from frumious.state.objects import render
from frumious.state.removed_files import RemovedFiles
from frumious.state.requirements import Requirements, RequirementsFile
from frumious.state.tombstones import Tombstone
from tests.frumious.downloads import lines as logs
from tests.fuzz.__main__ import CORPUS
from tests.fuzz.record_seeds import record_seeds
from tests.fuzz.targets import TARGETS
from tests.fuzz.targets.checks import PROJECT
from tests.fuzz.targets.feed import FIRST, ORIGIN
from tests.fuzz.targets.signing import MESSAGE, TRUSTED
from tests.hostile.cases import CASES
from tests.upstream import (
    BANDERSNATCH,
    DEVPI,
    HTML_ONLY,
    PYPI,
    Fault,
    Index,
    Server,
    sdist,
    wheel,
)
from tests.upstream.osv import Osv

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import FrameType

BEFORE: Final = Path(__file__).parents[1] / "frumious/state/before"
LOCKS: Final = Path(__file__).parents[1] / "frumious/locks/made"
KEYS: Final = Path(__file__).parents[1] / "frumious/signing/made"
Branch = tuple[str, int, int]

CHECKOUT: Final = Path(__file__).parents[2]

_CODE: Final = "shared/frumious/"
_MAX_SEED: Final = 8 * 1024  # bytes
_JSON: Final = "application/vnd.pypi.simple.v1+json"
_HTML: Final = "text/html"
_RUN: Final = RunId("20260101T000000-1")
_STATE: Final = {
    r"state/cursor\.json": "cursor",
    r"state/lagging\.json": "lagging",
    r"state/selection\.json": "selection",
    r"state/named\.json": "named",
    r"state/excluded\.json": "excluded",
    r"state/private\.json": "private_listing",
    r"state/cooldown\.json": "held_back",
    r"state/lists\.json": "lists",
    r"state/changes\.json": "feed_state",
    r"state/notices\.json": "notices",
    r"state/attestations/.*": "attestations",
    r"state/unverified\.json": "unverified",
    r"state/closure\.json": "closure",
    r"state/needed\.json": "needed",
    r"state/requirements/.*": "requirements",
    r"state/audit\.json": "audit",
    r"state/losses\.json": "losses",
    r"state/announced\.json": "announced",
    r"state/audit/findings/.*": "findings",
    r"state/runs/.*/plan\.json": "plan",
    r"state/runs/.*/progress\.json": "progress",
    r"state/runs/.*/results/.*": "own_results",
    r"state/inbox/.*": "inbox",
    r"state/tombstones/.*": "tombstone",
    r"state/snapshots\.json": "snapshots",
    r"state/snapshots/.*": "kept_page",
    r"web/status\.json": "status",
    r"web/simple/[^/]*/index\.v1_json": "manifest",
    r"web/simple/index\.v1_json": "own_root_index",
}


def main() -> None:
    """Keep the seeds that take a way through the code which no other seed took."""
    taken: dict[str, set[Branch]] = defaultdict(set)
    for target, body in seeds():
        if 0 < len(body) <= _MAX_SEED and not _branches(target, body) <= taken[target]:
            taken[target] |= _branches(target, body)
            folder = CORPUS / target
            folder.mkdir(parents=True, exist_ok=True)
            (folder / f"seed-{hashlib.sha256(body).hexdigest()[:16]}").write_bytes(body)


def _branches(target: str, body: bytes) -> set[Branch]:
    """Return the lines of the mirror that an input reaches, and from where."""
    branches: set[Branch] = set()
    previous = 0

    def trace(frame: FrameType, _event: str, _argument: object) -> Any:
        nonlocal previous
        if _CODE not in frame.f_code.co_filename:
            return None
        branches.add((frame.f_code.co_filename, previous, frame.f_lineno))
        previous = frame.f_lineno
        return trace

    sys.settrace(trace)
    try:
        TARGETS[target](body)
    except Exception as error:  # noqa: BLE001 - a finding
        print(f"{target}: {error!r:.200}")
    finally:
        sys.settrace(None)
    return branches


def seeds() -> Iterator[tuple[str, bytes]]:
    """Yield each seed with the name of its target."""
    yield from _responses()
    yield from _state_of_before()
    yield from _state()
    yield from record_seeds()
    yield from _locks()
    yield from _signing()
    yield from _bundles()
    yield from _feed()
    yield from _access_logs()
    yield from _closure()
    url = "https://github.com/astral-sh/python-build-standalone/releases/download/20251014/x.tar.gz"
    build: dict[str, Any] = {
        "name": "cpython",
        "arch": {"family": "x86_64"},
        "os": "linux",
        "libc": "gnu",
    }
    build |= {"major": 3, "minor": 13, "patch": 9, "url": url, "sha256": "ab" * 32}
    yield "python_builds", json.dumps({"a": build, "b": {**build, "name": "pypy"}}).encode()
    yield from _texts()


def _responses() -> Iterator[tuple[str, bytes]]:
    index = Index()
    index.upload(wheel("demo", "1.0"))
    index.upload(sdist("demo", "1.0"))
    index.upload(wheel("demo", "2.0"), provenance={"version": 1, "attestation_bundles": []})
    with suppress(OSError), Server(index) as server:  # hostile answers break connections
        for personality in (PYPI, BANDERSNATCH, DEVPI, HTML_ONLY):
            server.personality = personality
            yield from _pages(server)
        server.personality = PYPI
        yield "legacy", _get(f"{server.url}/pypi/demo/json")
        yield "release", _get(f"{server.url}/pypi/demo/1.0/json")
        for case in CASES:
            server.faults.clear()
            if case.on_page is not None:
                server.faults.add(Fault(case.on_page, "/simple/demo/"))
                body = _get(f"{server.url}/simple/demo/", _JSON)
                yield ("project_html" if body.startswith(b"<") else "project_json"), body
    yield "provenance", b'application/json\n{"version": 1, "attestation_bundles": []}'
    rows = [
        [each.name, each.version, each.timestamp, each.action, each.serial]
        for each in index.changes_since(0)
    ]
    actions = ("remove project", "project quarantined", "release quarantine cleared")
    rows += [["demo", None, 1_800_000_000, action, index.serial + 1] for action in actions]
    yield "changelog_rows", _xml(rows)
    yield "changelog_rows", _xml([[None, None, None, None, 6], ["demo", "1", 0.5, "create", 7]])
    yield "changelog_serial", _xml(index.serial)
    for code, text in ((-32601, "not found"), (-1, "TooManyRequests: reset in 1 seconds")):
        for target in ("changelog_rows", "changelog_serial"):
            yield target, dumps(RpcFault(code, text)).encode()


def _pages(server: Server) -> Iterator[tuple[str, bytes]]:
    for name, path in (("project", "/simple/demo/"), ("root", "/simple/")):
        for accept in (_JSON, _HTML):
            body = _get(f"{server.url}{path}", accept)
            form = "html" if body.startswith(b"<") else "json"
            yield f"{name}_{form}", body
            own = {"project_html": "own_html", "project_json": "manifest"}
            yield own.get(f"{name}_{form}", "own_root_index"), body
            yield "compressed_page", gzipped.compress(body)


def _get(url: str, accept: str = "*/*") -> bytes:
    request = urllib.request.Request(url, headers={"Accept": accept})  # noqa: S310
    try:
        with urllib.request.urlopen(request, timeout=2) as response:  # noqa: S310
            body: bytes = response.read(_MAX_SEED + 1)
            return body
    except (OSError, HTTPException, ValueError):  # a hostile response
        return b""


def _xml(payload: Any) -> bytes:
    return dumps((payload,), methodresponse=True, allow_none=True).encode()


def _state_of_before() -> Iterator[tuple[str, bytes]]:
    for path in sorted(BEFORE.glob("*.json")):
        for key, body in _objects(json.loads(path.read_text())):
            for pattern, target in _STATE.items():
                if re.fullmatch(pattern, key):
                    yield target, body.encode()


def _objects(payload: Any) -> Iterator[tuple[str, str]]:
    """Yield the objects of a stored mirror, wherever they are in the file."""
    if isinstance(payload, dict):
        for key, value in payload.items():
            if isinstance(value, str) and re.match("state/|web/", key):
                yield key, value
            else:
                yield from _objects(value)
    elif isinstance(payload, list):
        for value in payload:
            yield from _objects(value)


def _state() -> Iterator[tuple[str, bytes]]:
    job = Job(_RUN, PROJECT, 7, allowed_removal=AllowedRemoval.FILES, recovering=True)
    key = Key("web/packages/ab/cd/demo-1.0.tar.gz")
    result = Result(
        project=PROJECT,
        outcome=Outcome.UPDATED,
        serial=7,
        listed=True,
        added=(key,),
        removed=(key,),
    )
    failed = Result(project=PROJECT, outcome=Outcome.FAILED, serial=7, error="upstream did not")
    yield "job_message", msgspec.json.encode(job)
    yield "job_message", msgspec.json.encode(Job(_RUN, PROJECT, 0))
    for each in (result, failed):
        yield "inbox", render(_ReportsFile([Report(job, each)]))
        yield "own_results", render(_ResultsFile([each]))
    run = Run(
        run=_RUN,
        created=1.8e9,
        since=5,
        until=9,
        jobs={PROJECT: 7},
        allowed_removals={PROJECT: AllowedRemoval.PROJECT},
        named=frozenset({PROJECT}),
    )
    yield "plan", render(run)
    yield "progress", render(RunProgress.of(run))
    entry = OpenRun(run=_RUN, since=5, sent=1.8e9, behind=1.8e9, retries=frozenset({PROJECT}))
    cursor = Cursor(
        serial=9,
        runs=(entry,),
        asked=1.8e9,
        upstream=9,
        changelog=True,
        root_etag='"etag"',
        swept="demo",
        swept_at=1.79e9,
        departures={PROJECT: Departure(_RUN, 3)},
        projects=1,
    )
    yield "cursor", render(cursor)
    yield "cursor", render(Cursor())
    yield from _advisories()
    yield "lagging", render(LaggingFile({PROJECT: Lagging(serial=7, reason="why", due=1.8e9)}))
    yield "selection", render(Selected(projects="a", pages="b", releases={PROJECT: "c"}))
    deletion = Deletion(at=1.8e9, entry="d", pending=True)
    yield "named", render(NamedProjects(requested={PROJECT: 1.8e9}, deleted={PROJECT: deletion}))
    progress = AuditProgress(began=1.8e9, after="demo", shards=16, counts={Kind.ORPHAN: 1})
    yield "audit", render(progress)
    finding = Finding(Kind.WRONG_HASH, key, PROJECT, "its sha256 is another")
    yield "findings", render(FoundFile([finding]))
    yield "removed_hashes", render(RemovedFiles({"demo-1.0.tar.gz": {"sha256": "ab" * 32}}))
    yield "tombstone", render(Tombstone(_RUN, 7, (key,)))
    yield (
        "status",
        json.dumps({"serial": 7, "updated": "2026-01-01T00:00:00Z", "runs": []}).encode(),
    )
    yield "serial", b"7\n"
    yield "diff_file", b"/srv/pypi/web/a\n/srv/pypi/web/c\n"


def _advisories() -> Iterator[tuple[str, bytes]]:
    osv = Osv()
    osv.add("MAL-2026-1", "demo", "1.0", "2004d")
    events = [{"introduced": "0"}, {"fixed": "2.0"}, {"introduced": "3"}, {"last_affected": "4"}]
    vector = {"type": "CVSS_V3", "score": "CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H"}
    osv.add("GHSA-a", "demo", "2.0", ranges=events, severity=[vector], aliases=["PYSEC-1"])
    osv.add("PYSEC-1", "demo", ranges=[{"introduced": "1"}, {"limit": "3"}])
    for entry in osv.entries.values():
        yield "osv_entry", json.dumps(entry).encode()
    yield "osv_archive", osv.archive
    advisory = Advisory(id="MAL-2026-1", severity=Severity.MALWARE, versions=("1.0",))
    spans = (Span("", "2.0"), Span("3", "4", closed=True))
    other = Advisory(id="GHSA-a", severity=Severity.CRITICAL, spans=spans, sha256=("ab" * 32,))
    waiver = Waiver(advisory="GHSA-a", project="demo", versions="==1.0", until=1.9e9)
    every = Advisory(id="MAL-2026-2", severity=Severity.MALWARE, spans=(Span(),))
    for advisories in ((advisory, other), (every,), (replace(other, blocks=False),)):
        state = Advisories(entries=3, projects={PROJECT: advisories}, waivers=(waiver,))
        yield "advisories", render(state)


def _closure() -> Iterator[tuple[str, bytes]]:
    requires = [
        "other>=1; python_version < '3'",
        "third[x]; extra == 'y'",
        "bad>=",
        "a @ https://b",
    ]
    metadata = wheel("demo", "1.0", requires=requires).core_metadata or b""
    yield "core_metadata", metadata
    yield "core_metadata", metadata.replace(b"2.1", b"2.2") + b"Dynamic: Requires-Dist\n\ntext"
    lines = parse_metadata(metadata).lines
    read = {"a" * 64: Requirements((0, 1)), "b" * 64: Requirements((), "its metadata is not valid")}
    yield "requirements", render(RequirementsFile(lines, read))
    dependencies, problems = dependencies_of(lines, ())
    found = closures.Dependencies("page", dependencies, tuple(problems))
    needing = {
        PROJECT: closures.Known(7, found),
        NormalizedName("other"): closures.Known(0, found, 8),
    }
    closure = closures.ClosureFile(3, needing)
    yield "closure", render(closure)
    needs = (
        closures.Need(">=1,<2", PROJECT, "other>=1,<2", 2),
        closures.Need("", PROJECT, "other"),
    )
    yield (
        "needed",
        render(
            closures.Needed(
                "basis",
                3,
                {NormalizedName("other"): needs},
                {NormalizedName("third"): "blocklist_project"},
                {PROJECT: found.problems},
                rebuilding=True,
            )
        ),
    )


def _locks() -> Iterator[tuple[str, bytes]]:
    for path in sorted(LOCKS.iterdir()):
        body = path.read_bytes()
        yield "requirements_file" if path.suffix == ".txt" else "lock_file", body
        found = parse_list(path.name, body, ["https://upstream.example"])
        left_out = tuple(found.left_out)
        locked = LockedList(source=path.name, etag="x", pins=found.pins, left_out=left_out)
        yield "lists", render(Lists(lists=(locked,)))
    required = (
        b"demo[fast] >= 1, < 3  # comment\n-r other.txt\nother == 2.0 \\\n  --hash=sha256:00\n"
    )
    counts = b'{"rows": [{"download_count": 7, "project": "Demo"}], "last_update": "now"}'
    yield "required_list", required
    yield "download_counts", counts
    of_requirements = parse_requirements("https://lists.example/a.txt", required)
    failing = TopList(
        source="s3://lists/top.json",
        projects=parse_counts(counts),
        failing=1.0,
        problem="it is gone",
    )
    yield "lists", render(Lists(requirements=(of_requirements,), top=(failing,)))


def _signing() -> Iterator[tuple[str, bytes]]:
    for path in sorted(KEYS.iterdir()):
        target = {".pub": "verify_key", ".key": "signing_key"}.get(path.suffix, "signature")
        yield target, path.read_bytes()
    yield "verify_key", TRUSTED.public.text.encode()
    yield "signing_key", TRUSTED.file().encode()
    yield "signature", sign(MESSAGE, TRUSTED, "the seed").encode()


def _feed() -> Iterator[tuple[str, bytes]]:
    entry = Entry(
        project=PROJECT,
        serial=7,
        outcome="updated",
        run=_RUN,
        time="2026-01-01T00:00:00Z",
        upstream_time="2026-01-01T00:00:00.000001Z",
        added={"demo-1.0.tar.gz": "ab" * 32},
        removed={"demo-0.1.tar.gz": ""},
        page="cd" * 32,
        quarantined=True,
        mirror_serial=9,
    )
    yield "feed_entry", FIRST
    yield "feed_entry", entry.render()
    tree = Tree().append([leaf_hash(FIRST)])
    lines = (FIRST.decode(), entry.render().decode())
    hashes = changes.encoded(tree)
    yield "feed_state", render(FeedState(origin=ORIGIN, lines=lines))
    yield "feed_state", render(FeedState(origin=ORIGIN, size=1, hashes=hashes, lines=lines[1:]))
    for origin, leaves in ((ORIGIN, lines[:1]), (ORIGIN, lines), ("other.example", lines)):
        hashed = [leaf_hash(line.encode()) for line in leaves]
        made = Checkpoint(origin, len(leaves), Tree().append(hashed).root)
        note = checkpoint.render(made)
        signed = checkpoint.render(made, SignatureLine("a", bytes(4), bytes(64)))
        yield "checkpoint_note", note
        yield "checkpoint_note", signed
        bundle = changes.join_lines([line.encode() for line in leaves])
        yield "feed_answer", note + b"\0" + bundle
        yield "feed_answer", signed + b"\0" + b"".join(hashed)
        yield "feed_answer", note + b"\0" + bundle.replace(b"demo", b"omed")
    yield "feed_key", checkpoint.verifier_key("a.example", TRUSTED.public.raw).encode()
    yield "feed_key", TRUSTED.public.text.encode()


def _bundles() -> Iterator[tuple[str, bytes]]:
    part, sha256, id_ = (Part(1, 1536, 5),), "ab" * 32, "cd" * 16
    key = f"web/packages/ab/cd/{'ef' * 30}/demo-1.0.tar.gz"
    files = (Object(key, 5, sha256, part), Object(f"{key}.metadata", 5, sha256, part))
    folders = {"": ("web/simple/demo/index.html", "web/simple/demo/index.v1_json")}
    folders["hashed"] = ("web/simple/d/demo/index.html", "state/simple/d/demo/index.v1_json")
    for keys in folders.values():
        pages = tuple(Object(each, 5, sha256, part) for each in keys)
        yield "bundle_line", render_line(Line(project=PROJECT, files=files, pages=pages))
    site = (Object("web/simple/index.v1_json", 5, sha256, part), Object("status", 5, sha256, part))
    yield "bundle_line", render_line(Line(pages=site))
    yield "bundle_line", render_line(Line(project=PROJECT, removed=True))
    export = Export(id=id_, sequence=2, previous=None, since=7, serial=9, created=1.8e9)
    yield "exports", render(Exports(source=id_, sequence=2, exports={"/media": (export,)}))
    yield "imported", render(Imported(source=id_, id=id_, sequence=2, serial=9, began="ef" * 16))
    head = Head(
        format=1,
        source=id_,
        id=id_,
        sequence=2,
        previous=None,
        since=7,
        serial=9,
        created=1.8e9,
        layout="html json gz",
        changed=1,
        removed=0,
        objects=2,
        bytes=10,
        manifest=sha256,
        manifest_size=9,
        volumes=(Volume("files-001.tar", 9), Volume("pages-001.tar", 9)),
    )
    yield "bundle_head", render_head(head)
    yield "catalogue_line", msgspec.json.encode(CatalogueHead(id_, id_))
    yield "catalogue_line", msgspec.json.encode(Known.of(PROJECT, "ab", [b"123456"]))
    progress = Progress(
        source=id_,
        salt=id_,
        id=id_,
        sequence=2,
        previous=None,
        since=7,
        serial=9,
        created=1.8e9,
        volume_size=10**6,
        projects=None,
        after="demo",
    )
    yield "export_progress", msgspec.json.encode(progress)


def _access_logs() -> Iterator[tuple[str, bytes]]:
    rows = (logs.values(), logs.values("six-1.0.tar.gz", agent=logs.UV, status="206"))
    for text in (logs.legacy(*rows), logs.as_json(*rows), logs.combined() * 2):
        yield "access_log", text.encode()
    yield "access_log", logs.packed(logs.combined())
    yield "access_log", " ".join(CLOUDFRONT).encode() + b"\n" + " ".join(rows[0].values()).encode()
    own = '$remote_addr [$time_iso8601] "$request" $status "$http_user_agent"\n'
    line = f'::1 [2026-11-20T10:00:00+00:00] "GET {logs.path("a-1.zip")} HTTP/2.0" 200 "uv/0.9"\n'
    yield "log_format", (own + line).encode()
    for subject in ("six", "six==1.16.0", "six-1.16.0.tar.gz"):
        yield "download_subject", subject.encode()


def _texts() -> Iterator[tuple[str, bytes]]:
    yield "mirror_conf", (CHECKOUT / "mirror.conf").read_bytes()
    options = re.findall(
        r"^    ([a-z-]+ = .*)$", (CHECKOUT / "docs/configuration.md").read_text(), re.MULTILINE
    )
    yield "mirror_conf", "\n".join(["[mirror]", "directory = /srv/pypi", *options]).encode()
    for settings in (
        ("storage-backend = s3", "directory = /bucket/prefix", "[s3]", "region_name = eu"),
        ("storage-backend = swift", "directory = container", "[swift]", "cloud = x"),
        ("directory = /srv", "proxy = http://u:p@proxy:3128", "max-removals = 5%"),
        (
            "directory = /srv",
            "[plugins]",
            "enabled =",
            "    allowlist_project",
            "[allowlist]",
            "packages =",
            "    demo>=1.0",
        ),
        (
            "directory = /srv",
            "[advisories]",
            "every = 30m",
            "policy =",
            "    severity >= critical",
            "    severity >= low report",
            "exceptions = MAL-2026-1 demo == 1.0 until 2026-12-31",
        ),
    ):
        yield "mirror_conf", "\n".join(("[mirror]", *settings)).encode()
    for event in ({"projects": ["six"], "may_lose": True}, {"retry": ["six"]}, {"dry_run": True}):
        yield "planner_event", json.dumps(event).encode()
    record = {"sha256": "ab" * 32, "created": 1_800_000_000, "expires": None}
    yield "token", json.dumps(record).encode()
    yield "token", json.dumps({**record, "expires": 1_900_000_000}).encode()
    for status, *lines in (
        (206, "Content-Range: bytes 1000-1999/2000", 'ETag: "abc"'),
        (200, "Content-Type: application/vnd.pypi.simple.v1+json", "X-PyPI-Last-Serial: 7"),
        (503, "Retry-After: 120", 'ETag: W/"abc"'),
        (429, "Retry-After: Fri, 31 Dec 1999 23:59:59 GMT"),
        (302, "Location: /other?x=1#y", "Content-Type: text/html; charset=utf-8"),
        (301, "Location: //evil.example:99999/"),
    ):
        yield "headers", "\n".join([str(status), *lines]).encode()
    digest = f"packages/{'ab' * 1}/cd/{'ef' * 30}"
    names = ["demo-1.0.tar.gz", "demo-1.0-py3-none-any.whl", "demo-1.0-variants.json", "setup.exe"]
    for name in (*names, "..", "index.html", "demo-1.0-1.tar.gz", "a\\b.whl", "%2e%2e", "x" * 300):
        yield "filename", f"{name}\n{digest}/{name}".encode()
        yield "filename", f"{name}\nx/packages/../{name}?a=b".encode()
    for url in (
        "https://upstream.example/simple/",
        "https://files.example:443/packages/a?X=1",
        "https://u:p@upstream.example/",
        "https://upstream.example\\@evil.example/",
        "https://[::1]/",
        "http://upstream.example/",
    ):
        yield "url", url.encode()
        yield (
            "redaction",
            f"cannot read {url}?token=secret: Authorization: Bearer abcdefghi".encode(),
        )


if __name__ == "__main__":
    main()
