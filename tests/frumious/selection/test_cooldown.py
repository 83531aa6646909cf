"""What the cooldown holds back, file by file."""

from __future__ import annotations

import json
import math
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest
from packaging.utils import canonicalize_name

from frumious.config import loading
from frumious.model.pages import File, ProjectPage
from frumious.selection.subject import Context
from frumious.simple import legacy_json

if TYPE_CHECKING:
    from frumious.selection.selection import Selection

DEMO = canonicalize_name("demo")
NOW = datetime(2026, 11, 27, 12, tzinfo=UTC).timestamp()
WHEEL = "demo-1.0-py3-none-any.whl"


def configured(options: str, sections: str = "") -> Selection:
    text = f"[mirror]\ndirectory = /b\n[cooldown]\n{options}\n{sections}"
    return loading.parse(text, {}).selection


def page(**uploaded: str | None) -> ProjectPage:
    """Return a page of wheels: `v1_0` is version 1.0, with its upload time."""
    versions = [name.removeprefix("v").replace("_", ".") for name in uploaded]
    files = (
        File(filename=f"demo-{version}-py3-none-any.whl", url="", hashes={}, upload_time=each)
        for version, each in zip(versions, uploaded.values(), strict=True)
    )
    return ProjectPage(name="demo", versions=tuple(versions), files=tuple(files))


def shown(chosen: Selection, found: ProjectPage, now: float = NOW) -> tuple[str, ...] | None:
    selected = chosen.select(DEMO, found, Context(now=now))
    assert selected is not None
    assert selected.versions is not None
    assert len(selected.files) == len(selected.versions)
    return selected.versions


@pytest.mark.parametrize(
    ("uploaded", "wanted"),
    [
        ("2026-11-20T12:00:00Z", True),
        ("2026-11-20T12:00:00.000001Z", False),
        ("2026-11-20T13:00:00+01:00", True),
        ("2026-11-20T12:00:00", True),
        ("2026-11-20T12:00:01", False),
        ("2026-11-20", False),
        ("2027-11-20T12:00:00Z", False),
        ("yesterday", False),
        ("", False),
        (None, False),
    ],
)
def test_a_file_waits_for_seven_days_and_for_ever_without_an_upload_time(
    uploaded: str | None,
    wanted: bool,  # noqa: FBT001
) -> None:
    found = page(v1_0=uploaded)
    assert shown(configured("days = 7"), found) == (("1.0",) if wanted else ())


def test_parts_of_days_count() -> None:
    chosen, found = configured("days = 0.5"), page(v1_0="2026-11-27T00:00:00Z")
    assert shown(chosen, found) == ("1.0",)
    assert shown(chosen, found, NOW - 1) == ()


@pytest.mark.parametrize(
    ("exception", "wanted"),
    [
        ("demo", ("1.0", "2.0")),
        ("Demo == 2.0", ("2.0",)),
        ("demo >= 1", ("1.0", "2.0")),
        ("demo == 3", ()),
        (WHEEL, ("1.0",)),
        ("demo-1.0.tar.gz", ()),
        ("other", ()),
    ],
)
def test_exceptions_name_projects_versions_and_files(
    exception: str, wanted: tuple[str, ...]
) -> None:
    chosen = configured(f"days = 7\nexceptions =\n  {exception}  # CVE-2026-1")
    found = page(v1_0="2026-11-27T00:00:00Z", v2_0=None)
    assert shown(chosen, found) == wanted


@pytest.mark.parametrize(
    ("line", "wanted"),
    [
        ("2026-11-01", ("1.0",)),
        ("2026-11-02", ("1.0", "2.0")),
        ("2026-11-02T00:00:00Z", ("1.0", "2.0")),
        ("2026-11-01T23:59:59Z", ("1.0",)),
    ],
)
def test_nothing_after_the_hard_line_is_shown_ever(line: str, wanted: tuple[str, ...]) -> None:
    chosen = configured(f"not-after = {line}\nexceptions =\n  demo")
    found = page(v1_0="2026-11-01T23:59:59Z", v2_0="2026-11-02T00:00:00Z", v3_0=None)
    assert shown(chosen, found) == wanted
    assert shown(chosen, found, math.inf) == ("1.0", "2.0", "3.0"), "asked without a cooldown"


def test_filters_decide_on_what_the_cooldown_leaves() -> None:
    chosen = configured(
        "days = 7",
        "[plugins]\nenabled = latest_release\n  versions_count_project_metadata\n"
        "[latest_release]\nkeep = 1\n[versions_count_project_metadata]\nmax_versions = 2",
    )
    found = page(v1_0="2026-10-01T00:00:00Z", v2_0="2026-10-02T00:00:00Z", v3_0=None)
    assert shown(chosen, found) == ("2.0",)


def test_a_later_file_of_an_old_release_waits() -> None:
    found = page(v1_0="2026-10-01T00:00:00Z")
    sdist = File(filename="demo-1.0.tar.gz", url="", hashes={}, upload_time="2026-11-27T00:00:00Z")
    both = ProjectPage(name="demo", versions=("1.0", "0.9"), files=(*found.files, sdist))
    selected = configured("days = 7").select(DEMO, both, Context(now=NOW))
    assert selected is not None
    assert [file.filename for file in selected.files] == [WHEEL]
    assert selected.versions == ("1.0",), "of a version without a file nobody knows the age"


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ("day = 7", "[cooldown] day = '7': is unknown; must be days, not-after, exceptions"),
        ("days = week", "must be a number of days, such as 7 or 0.5, at most 3650; 0 means no"),
        ("days = 1\nnot-after = 1.12.2026", "must be a date or a time in UTC, such as 2026-11-30"),
        ("exceptions = demo", "has no effect without days or not-after"),
        ("days = 7\nexceptions = =", "each line must be a project's name"),
        ("days = 7\nexceptions = ü-1.zip", "'ü-1.zip' is the name of no project's file"),
    ],
)
def test_a_slip_is_no_weaker_cooldown(options: str, text: str) -> None:
    with pytest.raises(loading.ConfigError) as caught:
        configured(options)
    assert text in str(caught.value)
    assert "no effect; did you mean" not in str(caught.value), "one line for one slip"


def test_an_exception_changes_the_pages_of_its_project_alone() -> None:
    before, after = configured("days = 7"), configured(f"days = 7\nexceptions =\n  {WHEEL}")
    assert before.pages_fingerprint == after.pages_fingerprint
    assert not before.releases_fingerprint(DEMO)
    assert after.releases_fingerprint(DEMO)
    assert after.projects_with_rules == {DEMO}
    assert before.pages_fingerprint != configured("days = 8").pages_fingerprint
    assert not configured("days = 0").pages_fingerprint


def test_legacy_json_describes_only_what_is_shown() -> None:
    def release(version: str) -> list[dict[str, str]]:
        return [{"filename": f"demo-{version}-py3-none-any.whl"}]

    payload = {
        "info": {"name": "demo", "version": "3.0", "summary": "new"},
        "last_serial": 7,
        "releases": {version: release(version) for version in ("1.0", "2.0", "2.1a1", "3.0")},
        "urls": release("3.0"),
        "vulnerabilities": [{"id": "X"}],
    }
    body = json.dumps(payload).encode()

    old = json.loads(
        legacy_json.only(
            {f"demo-{each}-py3-none-any.whl" for each in ("1.0", "2.0", "2.1a1")}, body
        )
    )
    none = json.loads(legacy_json.only(frozenset(), body))
    new = json.loads(legacy_json.only({"demo-3.0-py3-none-any.whl"}, body))

    assert old["info"] == {"name": "demo", "version": "2.0"}
    assert sorted(old["releases"]) == ["1.0", "2.0", "2.1a1"]
    assert (old["urls"], old["vulnerabilities"]) == (release("2.0"), [])
    assert (none["info"], none["releases"], none["urls"]) == (
        {"name": "demo", "version": None},
        {},
        [],
    )
    assert (new["info"], [*new["releases"]], new["urls"]) == (
        payload["info"],
        ["3.0"],
        release("3.0"),
    )
