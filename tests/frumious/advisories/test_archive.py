"""OSV's archive as it is in reality, and as somebody may forge it."""

from __future__ import annotations

import io
import json
import struct
import tempfile
import time
import zipfile
from typing import Any

import pytest

from frumious.advisories import archive as archives
from frumious.advisories.archive import InvalidFeed, read_archive
from frumious.advisories.cvss import severity_of_vector
from frumious.advisories.osv import InvalidEntry, parse_entry
from frumious.model.advisories import Action, Advisories, Severity, Span, Waiver

MALWARE = {
    "id": "MAL-2026-2144",
    "aliases": ["PYSEC-2026-2"],
    "affected": [
        {
            "package": {"ecosystem": "PyPI", "name": "LiteLLM"},
            "versions": ["1.82.7", "1.82.8"],
        }
    ],
    "database_specific": {
        # The hashes of reports, not of files.
        "malicious-packages-origins": [{"source": "x", "sha256": "a" * 64}]
    },
}
REVIEWED = {
    "id": "GHSA-aaaa-bbbb-cccc",
    "aliases": ["CVE-2026-1", "PYSEC-2026-9"],
    "severity": [{"type": "CVSS_V4", "score": "CVSS:4.0/AV:N/AC:L/AT:N/PR:N/UI:N/VC:H"}],
    "affected": [
        {
            "package": {"ecosystem": "PyPI", "name": "demo"},
            "ranges": [
                {"type": "ECOSYSTEM", "events": [{"introduced": "0"}, {"fixed": "1.5"}]},
                {"type": "ECOSYSTEM", "events": [{"introduced": "2.0"}, {"last_affected": "2.3"}]},
            ],
            "versions": ["1.0", "1.4", "2.0", "2.3", "2004d"],
        },
        {"package": {"ecosystem": "npm", "name": "demo"}, "versions": ["9"]},
    ],
    "database_specific": {"severity": "MODERATE"},
}
UNRATED = {
    "id": "PYSEC-2026-9",
    "affected": [{"package": {"ecosystem": "PyPI", "name": "demo"}, "versions": ["1.4"]}],
}


def block_all(_severity: Severity) -> Action:
    return Action.BLOCK


def read(body: bytes) -> Advisories:
    with tempfile.TemporaryFile() as file:
        file.write(body)
        file.flush()
        return read_archive(file, block_all)


def zipped(*entries: Any, method: int = zipfile.ZIP_DEFLATED) -> bytes:
    body = io.BytesIO()
    with zipfile.ZipFile(body, "w", method) as archive:
        for number, entry in enumerate(entries):
            text = entry if isinstance(entry, bytes | str) else json.dumps(entry)
            archive.writestr(f"{number}.json", text)
    return body.getvalue()


def parsed(entry: Any) -> Any:
    return parse_entry(json.dumps(entry).encode())


def affected(events: list[dict[str, str]], **fields: Any) -> dict[str, Any]:
    ranges = [{"type": "ECOSYSTEM", "events": events}]
    package = {"ecosystem": "PyPI", "name": "demo"}
    return {"id": "GHSA-x", "affected": [{"package": package, "ranges": ranges, **fields}]}


def test_malware_of_some_versions_affects_these() -> None:
    advisories = read(zipped(MALWARE)).of("litellm")  # type: ignore[arg-type]

    assert advisories.is_malware
    assert advisories.blocker is None
    assert advisories.blocker_of("1.82.7") is not None
    assert advisories.blocker_of("1.82.07") is not None, "the same version"
    assert advisories.blocker_of("1.82.6") is None
    assert advisories.blocker_of(None, "a" * 64) is None


def test_a_reviewed_vulnerability_affects_ranges() -> None:
    advisories = read(zipped(REVIEWED)).of("demo")  # type: ignore[arg-type]
    (advisory,) = advisories.advisories

    assert advisory.severity is Severity.MEDIUM, "GitHub's word counts"
    assert advisory.spans == (Span("", "1.5"), Span("2.0", "2.3", closed=True))
    assert advisory.versions == ("2004d",), "the others are in the ranges"
    blocked = {text: advisories.blocker_of(text) is not None for text in VERSIONS}
    assert blocked == VERSIONS


VERSIONS = {
    "0.1": True,
    "1.5rc1": True,
    "1.5": False,
    "1.9": False,
    "2.0": True,
    "2.3": True,
    "2.3.post1": False,
    "3": False,
    "2004d": True,
    "2005x": False,
}


def test_an_alias_tells_the_severity() -> None:
    advisories = read(zipped(REVIEWED, UNRATED)).of("demo")  # type: ignore[arg-type]

    assert {each.id: each.severity for each in advisories.advisories} == {
        "GHSA-aaaa-bbbb-cccc": Severity.MEDIUM,
        "PYSEC-2026-9": Severity.MEDIUM,
    }


@pytest.mark.parametrize(
    ("events", "spans"),
    [
        ([{"introduced": "0"}], {Span()}),
        ([{"fixed": "2"}, {"introduced": "1"}], {Span("1", "2")}),
        ([{"introduced": "0"}, {"limit": "3"}], {Span("", "3")}),
        ([{"introduced": "0"}, {"limit": "*"}], {Span()}),
        ([{"introduced": "4"}, {"limit": "3"}], None),
        (
            [{"introduced": "0"}, {"fixed": "1"}, {"introduced": "1"}, {"fixed": "2"}],
            {Span("", "1"), Span("1", "2")},
        ),
        ([{"introduced": "1"}, {"last_affected": "1"}], {Span("1", "1", closed=True)}),
        ([{"fixed": "1"}], None),
    ],
)
def test_ranges_are_evaluated_as_the_schema_says(
    events: list[dict[str, str]], spans: set[Span] | None
) -> None:
    if spans is None:
        with pytest.raises(InvalidEntry):
            parsed(affected(events))
        return
    ((advisory,),) = parsed(affected(events)).projects.values()
    assert {*advisory.spans} == spans


@pytest.mark.parametrize(
    "entry",
    [
        b"",
        b"[]",
        b"\xff",
        b"{" * 100_000,
        {"id": "../../x"},
        {"id": "MAL-1", "affected": "all"},
        {"id": "MAL-1", "affected": [{"package": {"ecosystem": "PyPI", "name": "../x"}}]},
        {"id": "MAL-1", "affected": [{"package": {"ecosystem": "PyPI", "name": "x"}}]},
        affected([{"introduced": "no version"}]),
        affected([{"introduced": "0"}], versions=["1" * 10_000]),
        affected([{"introduced": "0"}] * 2000),
    ],
)
def test_an_invalid_entry_is_passed_over(entry: Any) -> None:
    valid = [{**MALWARE, "id": f"MAL-1-{number}"} for number in range(30)]

    advisories = read(zipped(*valid, entry))

    assert (advisories.entries, advisories.skipped) == (30, 1)


def test_withdrawn_entries_block_nothing() -> None:
    withdrawn = {**MALWARE, "withdrawn": "2026-01-01T00:00:00Z"}

    advisories = read(zipped(withdrawn))

    assert advisories.entries == 1
    assert not advisories.projects


def test_the_hash_of_a_file_blocks_that_file() -> None:
    indicators = {"package_integrity": [{"filename": "x.whl", "hashes": {"sha256": "B" * 64}}]}
    entry = {
        "id": "MAL-2026-1",
        "affected": [
            {
                "package": {"ecosystem": "PyPI", "name": "demo"},
                "database_specific": {"indicators": indicators},
            }
        ],
    }

    advisories = read(zipped(entry)).of("demo")  # type: ignore[arg-type]

    assert advisories.blocker_of("1.0", "b" * 64) is not None
    assert advisories.blocker_of("1.0", "c" * 64) is None


def test_an_exception_covers_what_it_names() -> None:
    everything = {
        "id": "MAL-2026-1",
        "affected": [
            {
                "package": {"ecosystem": "PyPI", "name": "demo"},
                "ranges": [{"type": "ECOSYSTEM", "events": [{"introduced": "0"}]}],
            }
        ],
    }
    advisories = read(zipped(everything))
    some = Waiver(advisory="MAL-2026-1", versions="==1.0", until=1.0)
    all_ = Waiver(project="demo", until=1.0)

    def with_waiver(waiver: Waiver) -> Any:
        return Advisories(projects=advisories.projects, waivers=(waiver,)).of("demo")  # type: ignore[arg-type]

    assert with_waiver(some).blocker is None
    assert with_waiver(some).blocker_of("1.0") is None
    assert with_waiver(some).blocker_of("2.0") is not None
    assert with_waiver(some).blocker_of(None) is not None
    assert not with_waiver(all_).blocking
    assert with_waiver(Waiver(project="other", until=1.0)).blocker is not None


@pytest.mark.parametrize(
    ("vector", "severity"),
    [
        ("CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H", Severity.CRITICAL),
        ("CVSS:3.0/AV:L/AC:H/PR:L/UI:R/S:U/C:L/I:N/A:N", Severity.LOW),
        ("CVSS:3.1/AV:N/AC:L/PR:N/UI:R/S:C/C:L/I:L/A:N", Severity.MEDIUM),
        ("CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:N/I:N/A:N", Severity.UNKNOWN),
        ("CVSS:4.0/AV:N/AC:L/AT:N/PR:N/UI:N/VC:H/VI:H/VA:H/SC:N/SI:N/SA:N", Severity.CRITICAL),
        ("CVSS:4.0/AV:N/AC:L/AT:N/PR:H/UI:N/VC:L/VI:L/VA:N/SC:N/SI:N/SA:N", Severity.MEDIUM),
        ("AV:N/AC:L/Au:N/C:C/I:C/A:C", Severity.HIGH),
        ("AV:L/AC:M/Au:N/C:N/I:P/A:C", Severity.MEDIUM),
        ("CVSS:3.1/AV:X", Severity.UNKNOWN),
        ("CVSS:5.0/AV:N", Severity.UNKNOWN),
        ("", Severity.UNKNOWN),
    ],
)
def test_vectors_of_all_versions_are_rated(vector: str, severity: Severity) -> None:
    assert severity_of_vector(vector) is severity


# Hostile archives


def test_a_bomb_costs_no_more_than_an_entry_may_have(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archives, "MAX_ENTRY", 100_000)
    valid = [{**MALWARE, "id": f"MAL-1-{number}"} for number in range(30)]

    advisories = read(zipped(*valid, b" " * 10_000_000))

    assert (advisories.entries, advisories.skipped) == (30, 1)


def test_all_entries_together_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archives, "MAX_TOTAL", 100_000)

    valid = [{**MALWARE, "summary": "x" * 50_000, "id": f"MAL-{n}"} for n in range(3)]
    for entries in (valid, [b" " * 50_000] * 3, [b" " * 9_000_000] * 3):
        with pytest.raises(InvalidFeed, match="more than 100000 bytes"):
            read(zipped(*entries))


def test_the_memory_of_all_entries_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archives, "MAX_MEMORY", 1_000_000)
    many = {
        "package": {"ecosystem": "PyPI", "name": "demo"},
        "versions": [f"1.{n}" for n in range(9000)],
    }

    with pytest.raises(InvalidFeed, match="bytes of memory"):
        read(zipped(*({"id": f"MAL-{n}", "affected": [many]} for n in range(3))))


def test_versions_and_ranges_that_take_long_to_compare_are_refused() -> None:
    events = [{"introduced": f"{n}.1"} if n % 2 else {"fixed": f"{n}"} for n in range(1000)]
    bomb = {
        "id": "MAL-2026-1",
        "affected": [
            {
                "package": {"ecosystem": "PyPI", "name": "demo"},
                "ranges": [{"type": "ECOSYSTEM", "events": events}] * 200,
                "versions": [f"9999.{n}" for n in range(20_000)],
            }
        ],
    }
    assert len(json.dumps(bomb)) < archives.MAX_ENTRY
    begun = time.monotonic()

    with pytest.raises(InvalidEntry, match="steps"):
        parsed(bomb)

    assert time.monotonic() - begun < 5


def test_the_time_for_all_entries_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archives, "MAX_STEPS", 100)

    nothing = {"package": {"ecosystem": "PyPI", "name": "demo"}, "versions": [""] * 4}

    for entry in ({**REVIEWED, "id": "GHSA-1"}, {"id": "GHSA-1", "affected": [nothing]}):
        with pytest.raises(InvalidFeed, match="more than 100 steps"):
            read(zipped(entry, entry, entry))


def test_the_number_of_entries_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archives, "MAX_ENTRIES", 2)

    with pytest.raises(InvalidFeed, match="3 entries"):
        read(zipped(MALWARE, REVIEWED, UNRATED))


def test_a_directory_of_absurd_size_is_not_read() -> None:
    body = bytearray(zipped(MALWARE) + bytes(30 * 1024**2))
    end = bytes(body).rindex(b"PK\x05\x06", 0, 10_000)
    record = bytearray(body[end : end + 22])
    struct.pack_into("<LL", record, 12, 29 * 1024**2, 0)

    with pytest.raises(InvalidFeed, match="directory"):
        read(bytes(body) + bytes(record))


@pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_methods_that_need_much_memory_are_refused(method: int) -> None:
    with pytest.raises(InvalidFeed, match="invalid"):
        read(zipped(MALWARE, method=method))


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"not found",
        zipped(),
        zipped(MALWARE)[:-30],
        zipped(MALWARE)[30:],
        zipped(MALWARE, b"{}", b"{}"),
    ],
)
def test_a_broken_archive_is_refused(body: bytes) -> None:
    with pytest.raises(InvalidFeed):
        read(body)
