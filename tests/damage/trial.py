"""One trial: a mirror is made, damaged, audited, repaired and audited again."""

from __future__ import annotations

import json
import re
from collections import Counter
from dataclasses import dataclass, field
from random import Random
from typing import TYPE_CHECKING, Final

from packaging.utils import canonicalize_name

from frumious.auditing.repair import delete_orphans
from frumious.model.audits import Finding, Kind
from frumious.repairing import repair_here
from tests.damage.damages import DAMAGES, LEGACY, MANIFESTS, ROOT, SHARDS, STATE, Damaged
from tests.frumious.auditing.mirrors import DAY, AuditedMirror
from tests.upstream import Fault, Index, Server, Status, sdist, wheel

if TYPE_CHECKING:
    from collections.abc import Iterable

    from tests.damage.places import NewMirror

_OPTIONS: Final = (
    *("", "", "", "hash-index = true", "simple-format = HTML", "simple-format = JSON"),
    *(
        "compress-pages = no",
        "keep_index_versions = 2",
        "json = true",
        "json = true\nrelease-json = true",
        "root-index-shards = 16",
    ),
)
_NAMES: Final = ("alpha", "alpha-beta", "alpha0", "gamma", "delta")
_COMPARED: Final = (
    *("web/packages/", "web/integrity/", "web/simple/", "web/gzip/", MANIFESTS, SHARDS, *LEGACY),
)
_MAX_DAMAGES: Final = 6
_LOST: Final = 0.15  # the share of trials in which upstream lacks a damaged file


@dataclass(slots=True)
class Report:
    """What trials came to."""

    mirrors: int = 0
    damages: Counter[str] = field(default_factory=Counter)
    found: Counter[str] = field(default_factory=Counter)
    outcomes: Counter[str] = field(default_factory=Counter)
    violations: list[str] = field(default_factory=list)

    def add(self, other: Report) -> None:
        self.mirrors += other.mirrors
        self.damages += other.damages
        self.found += other.found
        self.outcomes += other.outcomes
        self.violations += other.violations


def run_trial(seed: int, new_mirror: NewMirror) -> Report:
    """Damage and repair one mirror; the seed determines all but the time."""
    random, report = Random(seed), Report(mirrors=1)
    index = Index()
    names = random.sample(_NAMES, random.randint(2, len(_NAMES)))
    for name in names:
        for version in range(random.randint(1, 3)):
            _upload(index, name, f"{version}.0", random)
    with (
        Server(index) as upstream,
        AuditedMirror(upstream, new_mirror(), random.choice(_OPTIONS)) as mirror,
    ):
        mirror.sync()
        old = _contents(mirror)
        for name in random.sample(names, random.randint(1, len(names))):
            _upload(index, name, "9.0", random)
        mirror.sync()
        damaged = Damaged(mirror, random, old, _contents(mirror))
        kinds = random.choices([*DAMAGES], [*DAMAGES.values()], k=random.randint(1, _MAX_DAMAGES))
        for damage in kinds:
            damage(damaged)
        mirror.clock.advance(2 * DAY)
        lost = _lose(damaged, upstream) if random.random() < _LOST else ""
        for violation in _check(damaged, lost, report):
            done = ", ".join(f"{kind} {key}" for kind, key in damaged.done)
            report.violations.append(f"seed {seed}: {violation} (damages: {done})")
    return report


def _upload(index: Index, name: str, version: str, random: Random) -> None:
    provenance = {"version": 1, "attestation_bundles": []} if random.random() < 0.5 else None
    index.upload(wheel(name, version), provenance=provenance)
    if random.random() < 0.5:
        index.upload(sdist(name, version))


def _contents(mirror: AuditedMirror) -> dict[str, bytes]:
    return {key: mirror.read(key) for key in mirror.keys("")}


def _lose(damaged: Damaged, upstream: Server) -> str:
    """Let upstream lack a file that is damaged."""
    files = [
        key
        for kind, key in damaged.done
        if key.startswith("web/packages/") and kind != "orphan" and not key.endswith(".metadata")
    ]
    if not files:
        return ""
    filename = damaged.random.choice(files).rpartition("/")[2]
    upstream.faults.add(Fault(Status(404), match=re.compile(f"/{re.escape(filename)}$")))
    return filename


def _check(damaged: Damaged, lost: str, report: Report) -> Iterable[str]:
    mirror = damaged.mirror
    findings = mirror.findings(deep=True)
    report.damages.update(kind for kind, _ in damaged.done)
    report.found.update(each.kind.value for each in findings)
    yield from (
        f"{kind} {key} is not found" for kind, key in damaged.done if not _is_found(key, findings)
    )
    if not damaged.done:
        yield from (f"{finding} is found in a whole mirror" for finding in findings)
    for key in STATE:
        if key in damaged.touched:
            mirror.write(key, damaged.new[key]) if key in damaged.new else mirror.delete(key)
    repaired, _ = mirror.run(repair_here(findings, mirror.mirror, lambda *_: None, deep=True))
    state = {key for key in damaged.touched if key in STATE}
    for each in repaired:
        if each.finding.key not in state:
            report.outcomes[each.outcome.value] += 1
        if each.outcome == "damaged" and each.finding.key not in state:
            yield f"{each.finding} is not repaired"
    orphans = [each.key for each in findings if each.kind is Kind.ORPHAN]
    mirror.run(delete_orphans(orphans, mirror.mirror))
    mirror.clock.advance(2 * DAY)
    left = mirror.findings(deep=True)
    orphans = [each.key for each in left if each.kind is Kind.ORPHAN]
    mirror.run(delete_orphans(orphans, mirror.mirror))
    yield from (f"{finding} is left" for finding in left if finding.kind.is_damage)
    yield from _compare(damaged, lost)


def _is_found(key: str, findings: Iterable[Finding]) -> bool:
    """Return whether a finding names an object, its project's pages, or the root index."""
    if key.startswith((*ROOT, SHARDS)):
        return any(
            each.kind
            in {Kind.WRONG_ROOT, Kind.OLD_ROOT, Kind.UNLISTED, Kind.WRONG_ENTRY, Kind.MISSING_PAGE}
            for each in findings
        )
    project = _project_of(key)
    return any(each.key == key or (project and each.project == project) for each in findings)


def _project_of(key: str) -> str:
    if "/" not in key:
        return key if key in _NAMES else ""
    if key.startswith("web/packages/"):
        return canonicalize_name(key.rpartition("/")[2].partition("-")[0])
    if key.startswith(("web/integrity/", *LEGACY)):
        return key.split("/")[2]
    return key.split("/")[-2] if "/simple/" in key else ""


def _compare(damaged: Damaged, lost: str) -> Iterable[str]:
    """Compare the mirror with what it stored before."""
    after = _contents(damaged.mirror)
    lost_project = _project_of(f"web/packages/{lost}") if lost else None
    for key, body in damaged.new.items():
        if not key.startswith(_COMPARED) or "/versions/" in key or _project_of(key) == lost_project:
            continue
        if key not in after:
            yield f"{key} is missing after the repair"
        elif not _is_equal(key, body, after[key]):
            yield f"{key} is not what it was"
    files = {key for key in after if key.startswith(("web/packages/", "web/integrity/"))}
    yield from (f"{key} is not deleted" for key in files - damaged.new.keys())
    if lost:
        pages = (key for key in after if key.endswith("index.v1_json") and "gzip" not in key)
        for key in pages:
            if f'"{lost}"'.encode() in after[key].partition(b'"files":')[2]:
                yield f"{key} names {lost!r}, which upstream no longer has"


def _is_equal(key: str, before: bytes, after: bytes) -> bool:
    is_root = key.endswith("json") and key.startswith((*ROOT, SHARDS))
    if key.endswith(".gz") or "/gzip/" in key or is_root:
        return True  # the audit compares them with their pages
    if key.endswith("v1_json"):
        return _public(before) == _public(after)
    if key.startswith(LEGACY):
        return _without_serial(before) == _without_serial(after)
    return before == after


def _public(body: bytes) -> object:
    page = json.loads(body)
    page["meta"].pop("_frumious", None)
    return page


def _without_serial(body: bytes) -> object:
    """Return legacy JSON as it is whenever it is asked for: that of old releases is stored once."""
    payload = json.loads(body)
    del payload["last_serial"]
    return payload
