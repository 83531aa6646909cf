"""The mirror continues from state that the previous version left in an open run.

`before/` holds that state; its README describes how it was made.
"""

from __future__ import annotations

import asyncio
import json
import re
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import msgspec
import pytest
from packaging.utils import canonicalize_name

from frumious.config import loading
from frumious.errors import Reason
from frumious.finalizing.finalize import finalize
from frumious.local import run_here
from frumious.mirror import open_mirror
from frumious.model.jobs import Job
from frumious.planning.plan import plan_changes
from tests.upstream import PYPI, Index, Server

BEFORE: Final = Path(__file__).parent / "before"
STATES: Final = sorted(path.stem for path in BEFORE.glob("*.json") if path.stem != "messages")
WEEK: Final = 7 * 24 * 3600.0
BYTES: Final = frozenset({"content", "core_metadata"})  # arguments that the fixtures have as text

# Key of a message in the previous version -> attribute of a job now.
ATTRIBUTES: Final = {
    "run": "run",
    "project": "project",
    "serial": "serial",
    "may-lose": "allowed_removal",
    "named": "named",
    "again": "recovering",
    "part": "continuation",
    "taking-over": "migrating",
}


@dataclass(frozen=True, slots=True)
class RestoredMirror:
    """A mirror with state of the previous version, and its upstream."""

    folder: Path
    objects: dict[str, str]
    lagging: list[str]  # projects that are due in an hour
    options: str
    upstream: Server

    @property
    def index(self) -> Index:
        return self.upstream.index

    def take_over(
        self, *, options: str = "", finalizer_first: bool = False, plan: bool = True
    ) -> None:
        """Run `frumious mirror`'s steps; with `plan=False` only the finalizer."""
        text = (
            f"[mirror]\ndirectory = {self.folder}\nmaster = {self.upstream.url}\n"
            "allow-non-https = true\nretry-pause = 3600\ndiff-append-epoch = true\n"
            "delete-after = 0\n"
            f"diff-file = {{{{mirror_directory}}}}/diff/\n{options}\n{self.options}\n"
        )

        async def opened() -> None:
            async with open_mirror(loading.parse(text, {})) as mirror:
                if finalizer_first or not plan:
                    await finalize(mirror)
                if plan:
                    await run_here(await plan_changes(mirror), mirror, lambda *_: None)

        asyncio.run(opened())

    def json(self, key: str) -> Any:
        return json.loads((self.folder / key).read_text())

    def root(self) -> dict[str, int]:
        projects = self.json("web/simple/index.v1_json")["projects"]
        return {project["name"]: project["_last-serial"] for project in projects}

    def files(self) -> dict[str, bytes]:
        """Return the content of the mirrored files by key."""
        found = (self.folder / "web/packages").rglob("*")
        return {
            str(path.relative_to(self.folder)): path.read_bytes()
            for path in found
            if path.is_file()
        }

    def reported(self, *, removed: bool = False, new: bool = False) -> set[str]:
        """Return the keys that diff-files name; with `new` only those written by this version."""
        paths = [
            path
            for path in (self.folder / "diff").iterdir()
            if (path.suffix == ".removed") is removed
            and not (new and f"diff/{path.name}" in self.objects)
        ]
        lines = "".join(path.read_text() for path in paths).splitlines()
        return {line.removeprefix(f"{self.folder}/").removeprefix("/srv/pypi/") for line in lines}


def restore(name: str, folder: Path, upstream: Server, *, later: float = 0) -> RestoredMirror:
    """Write a fixture into the folder as if made `later` seconds ago, and rebuild its upstream."""
    fixture = json.loads((BEFORE / f"{name}.json").read_text())
    shift = time.time() - fixture["made"] - later
    for key, text in fixture["objects"].items():
        path = folder / key
        path.parent.mkdir(parents=True, exist_ok=True)
        if key.startswith("state/") and key.endswith(".json"):
            text = json.dumps(shifted(json.loads(text), shift), separators=(",", ":"))  # noqa: PLW2901
        path.write_text(text)
    for action, arguments in fixture["upstream"]:
        encoded = {key: arguments[key].encode() for key in BYTES & arguments.keys()}
        getattr(upstream.index, action)(**{**arguments, **encoded})
    # Relative URLs do not depend on the port: pages have the same ETags as in the fixture.
    upstream.personality = replace(PYPI, relative=True)
    lagging = fixture["lagging"] if later < WEEK else []
    options = f"{fixture['options']}\n{fixture['sections']}"
    return RestoredMirror(folder, fixture["objects"], lagging, options, upstream)


def shifted(value: Any, seconds: float) -> Any:
    """Shift all timestamps: only they are floats of this size."""
    if isinstance(value, dict):
        return {key: shifted(each, seconds) for key, each in value.items()}
    if isinstance(value, list):
        return [shifted(each, seconds) for each in value]
    return value + seconds if isinstance(value, float) and value > 1e9 else value


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "mirror"


def assert_in_step(mirror: RestoredMirror) -> None:
    """Check that pages equal upstream's, except for lagging projects."""
    upstream = {
        normalized: view
        for normalized, _, _ in mirror.index.projects()
        if (view := mirror.index.project(normalized)) is not None
    }
    root = {canonicalize_name(name): serial for name, serial in mirror.root().items()}
    assert root.keys() - {*mirror.lagging} == upstream.keys() - {*mirror.lagging}
    stored = mirror.files()
    named = set()
    for name, serial in root.items():
        page = mirror.json(f"web/simple/{name}/index.v1_json")
        listed = {file["filename"]: file["hashes"]["sha256"] for file in page["files"]}
        for form in ("html", "v1_html"):
            html = (mirror.folder / f"web/simple/{name}/index.{form}").read_text()
            assert set(re.findall(r">([^<]+)</a>", html)) == listed.keys()
        named |= {f"web/{file['url'].removeprefix('../../')}" for file in page["files"]}
        if name in mirror.lagging:
            continue
        files = [listed.file for listed in upstream[name].files]
        assert listed == {file.filename: file.content.sha256 for file in files}
        assert serial == page["meta"]["_last-serial"] == upstream[name].serial
        for file in files:
            assert stored[f"web{file.path}"] == b"".join(file.content.read())
            metadata = stored.get(f"web{file.path}.metadata")
            expected = file.core_metadata
            assert metadata == (expected and b"".join(expected.read()))
    assert {key.removesuffix(".metadata") for key in stored} == named
    folders = {path.name for path in (mirror.folder / "web/simple").iterdir() if path.is_dir()}
    assert folders == root.keys()


def assert_nothing_left(mirror: RestoredMirror) -> None:
    """Check that all work is done and reported, and no stored file was downloaded again."""
    serial = mirror.index.serial
    status = mirror.json("web/status.json")
    assert (mirror.folder / "status").read_text() == str(serial)
    assert (status["serial"], status["lag_serials"]) == (serial, 0)
    assert sorted(status["lagging"]) == mirror.lagging
    assert status["projects"] == len(mirror.root())
    assert status["files"] == sum(not key.endswith(".metadata") for key in mirror.files())
    assert mirror.json("state/cursor.json")["runs"] == []

    written = mirror.reported()
    assert mirror.files().keys() <= written
    assert written - mirror.files().keys() - mirror.reported(removed=True) <= {
        key for key in written if key.startswith("web/simple/")
    }
    fetched = {f"web{request.path}" for request in mirror.upstream.requests_for("/packages/")}
    assert not fetched & mirror.objects.keys()


@pytest.mark.parametrize("state", STATES)
@pytest.mark.parametrize(
    ("finalizer_first", "later"),
    [(False, 0), (True, 0), (False, WEEK)],
    ids=["at once", "finalizer first", "a week later"],
)
def test_an_open_run_is_completed(
    folder: Path, upstream: Server, state: str, later: float, *, finalizer_first: bool
) -> None:
    mirror = restore(state, folder, upstream, later=later)
    mirror.index.add_file("newcomer", "newcomer-1.0.tar.gz", content=b"newcomer 1.0")

    mirror.take_over(finalizer_first=finalizer_first)

    assert_in_step(mirror)
    assert_nothing_left(mirror)


@pytest.mark.parametrize("state", STATES)
def test_a_second_run_finds_nothing_to_do(folder: Path, upstream: Server, state: str) -> None:
    mirror = restore(state, folder, upstream)
    mirror.take_over()
    reported = mirror.reported(), mirror.reported(removed=True)
    pages = {path: path.read_bytes() for path in (folder / "web/simple").rglob("*.*html")}
    upstream.clear()

    mirror.take_over()

    assert not upstream.requests_for("/simple/")
    assert {path: path.read_bytes() for path in (folder / "web/simple").rglob("*.*html")} == pages
    assert (mirror.reported(), mirror.reported(removed=True)) == reported
    assert_nothing_left(mirror)


def test_changes_of_killed_jobs_are_reported(folder: Path, upstream: Server) -> None:
    mirror = restore("open_run", folder, upstream)

    mirror.take_over()

    written, removed = mirror.reported(new=True), mirror.reported(removed=True, new=True)
    for name in ("recorded", "fresh", "unrecorded", "shown", "stored", "unstarted"):
        assert f"web/simple/{name}/index.html" in written
    for name in ("recorded", "unrecorded", "midway", "unstarted"):
        assert f"web/simple/gone-{name}/index.html" in removed
        assert any(f"/gone-{name}-1.0.tar.gz" in key for key in removed)
    assert not any("untouched" in key for key in written | removed)
    assert not upstream.requests_for("/simple/recorded/"), "its job was done"


def test_a_run_with_missing_results_delays_the_status(folder: Path, upstream: Server) -> None:
    mirror = restore("open_run", folder, upstream)

    mirror.take_over(plan=False)

    assert (folder / "status").read_text() == mirror.objects["status"]
    assert mirror.json("web/status.json")["lagging"] == {}
    assert len(mirror.json("state/cursor.json")["runs"]) == 1


@pytest.mark.parametrize("state", ["closing", "closed_but_listed"])
def test_the_finalizer_alone_closes_a_complete_run(
    folder: Path, upstream: Server, state: str
) -> None:
    mirror = restore(state, folder, upstream)

    mirror.take_over(plan=False)

    assert_in_step(mirror)
    assert_nothing_left(mirror)
    assert not upstream.requests


def test_a_failure_counts_once_when_its_run_is_closed_twice(folder: Path, upstream: Server) -> None:
    mirror = restore("closed_but_listed", folder, upstream)

    mirror.take_over()

    assert mirror.json("web/status.json")["lagging"]["failing"]["attempts"] == 1
    runs = [run["run"] for run in mirror.json("web/status.json")["runs"]]
    assert len(runs) == len(set(runs)) == 2


def test_lagging_projects_keep_their_reason_and_attempts(folder: Path, upstream: Server) -> None:
    mirror = restore("lagging", folder, upstream)
    before = json.loads(mirror.objects["web/status.json"])["lagging"]

    mirror.take_over()

    lagging = mirror.json("web/status.json")["lagging"]
    assert lagging.keys() == before.keys() == {*mirror.lagging}
    for name, entry in lagging.items():
        stored = mirror.json("state/lagging.json")["projects"][name]
        assert stored["reason"] == before[name]["reason"]
        assert entry["reason"] == Reason.public(stored["reason"])
        assert {**entry, "due": "", "reason": ""} == {**before[name], "due": "", "reason": ""}
    for name in mirror.lagging:
        assert not upstream.requests_for(f"/simple/{name}/")
    assert any("late-1.0" in key for key in mirror.reported(new=True)), "it was unreported"


def test_a_project_that_a_younger_run_removed_is_not_listed_again(
    folder: Path, upstream: Server
) -> None:
    mirror = restore("gone", folder, upstream)

    mirror.take_over(finalizer_first=True)

    assert mirror.root().keys() == {"keeps", "stays"}
    assert "goes" not in (folder / "web/simple/index.html").read_text()


def test_pages_are_moved_although_the_state_does_not_name_their_layout(
    folder: Path, upstream: Server
) -> None:
    mirror = restore("old_selection", folder, upstream)

    mirror.take_over(options="hash-index = true")

    assert (folder / "web/simple/o/one/index.html").exists()
    assert not (folder / "web/simple/one").exists()
    assert not upstream.requests_for("/packages/")


@pytest.mark.parametrize("message", json.loads((BEFORE / "messages.json").read_text())["messages"])
def test_messages_of_the_previous_version_are_read(message: dict[str, Any]) -> None:
    job = msgspec.json.decode(message["body"], type=Job)

    for key, value in message["means"].items():
        read = getattr(job, ATTRIBUTES[key])
        assert getattr(read, "name", read) == value
