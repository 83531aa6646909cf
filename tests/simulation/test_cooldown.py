"""Thirty days with a cooldown: nothing younger is ever visible, nothing ripe is late.

Planner, workers and finalizer, or the command, run in the simulation and are killed now and then;
releases, yanks, removals and quarantines come upstream, and the cooldown itself is changed.
"""

from __future__ import annotations

import gzip
import json
import random
import re
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest

from frumious_lambda.planner_event import PlannerEvent
from tests.simulation.changes import PROJECTS, Changes
from tests.simulation.choices import Choices
from tests.simulation.process import EPOCH, Fate
from tests.simulation.stack import Stack
from tests.simulation.witness import Witness

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.simulation.storage import Object
    from tests.upstream.project import File

HOUR = 3600.0
DAY = 24 * HOUR
_CONFIGURED = 0.15  # of the steps
STATE = "state/cooldown.json"
MIRROR = ("delete-after = 0", "json = true", "max-losses = 100% 1000 10GiB")
PAUSES = (0.0, 60.0, HOUR, 5 * HOUR, 11 * HOUR, 20 * HOUR)
DAYS = (3.0, 7.0, 7.0, 7.5, 10.0)
REQUESTS = {"planner": 8, "worker": 40, "finalizer": 25, "command": 60}
# What the witness does not know, and the index in which nothing is hidden.
_UNKNOWN = ("web/json/", "web/pypi/", "web/simple-all/", "state/simple-all/")
# What was shown before it was held back, and waits for its deletion.
_REMOVED = re.compile(r'"removed":\[[^]]*\]')
_VERSION = re.compile(r"-([0-9]+\.0)[-.]")


class Month(Stack):
    """A mirror with a cooldown, its readers, and what happens within thirty days."""

    more: tuple[str, ...] = ()  # lines of [cooldown]

    def __init__(self, seed: int, *, in_lambda: bool) -> None:
        self.random = random.Random(seed)
        self.history: list[str] = []
        super().__init__(self.history.append, in_lambda=in_lambda, is_bucket=in_lambda)
        self.index._now = self._upload_time  # type: ignore[method-assign]
        self.days = 7.0
        self.exceptions: frozenset[str] = frozenset()
        self.not_after = ""
        self._earlier: list[frozenset[str]] = []  # held back by earlier configurations
        self._hides: list[str] = []
        self.witness = Witness(self._network, self._disk, self._diffs, self.loop)
        self.witness.confirmed = True  # what the configuration hides is no loss
        check = self._disk.on_change

        def on_change(key: str, new: Object | None, old: Object | None) -> None:
            if not key.startswith(_UNKNOWN):
                check(key, new, old)
            if new is not None:
                self._check_hidden(key, new.body, self.held_back())

        self._disk.on_change = on_change
        self._changes = Changes(self.index)
        self.configure()

    @property
    def now(self) -> float:
        return EPOCH + self.loop.elapsed

    def _upload_time(self) -> datetime:
        return datetime.fromtimestamp(self.now, UTC)

    def configure(self) -> None:
        sections = ["[cooldown]", f"days = {self.days}", *self.more]
        sections += ["exceptions =", *(f"  {each}" for each in sorted(self.exceptions))]
        sections += [f"not-after = {self.not_after}"] if self.not_after else []
        self._log(f"configured: {sections}")
        self._configure_mirror(*MIRROR, *sections)

    def held_back(self, at: float | None = None) -> frozenset[str]:
        """Return the files that nobody may see."""
        return frozenset(name for name, file in self._files().items() if self._waits(file, at))

    def _files(self) -> dict[str, File]:
        """Return all files that were ever uploaded."""
        projects = (self.index._known(project) for project in PROJECTS)
        lifetimes = (each for project in projects if project for each in project.lifetimes)
        return {each.file.filename: each.file for each in lifetimes}

    def _waits(self, file: File, at: float | None) -> bool:
        uploaded = file.upload_time.timestamp()
        if self.not_after and file.upload_time.date().isoformat() > self.not_after:
            return True
        named = {file.project, f"{file.project} == {file.version}", file.filename}
        young = uploaded + self.days * DAY > (self.now if at is None else at)
        return young and not named & self.exceptions

    def _check_hidden(self, key: str, body: bytes, held_back: frozenset[str]) -> None:
        if not key.startswith("web/") or key.startswith("web/simple-all/"):
            return
        text = (gzip.decompress(body) if body[:2] == b"\x1f\x8b" else body).decode()
        text = _REMOVED.sub("", text)
        for filename in held_back:
            if filename in text or filename in key:
                self._hides.append(f"{filename} is visible in {key} at {self.now}")

    # What happens

    def change(self) -> None:
        """Let something happen upstream, or to the configuration."""
        choices = Choices((), self.random)
        for _ in range(self.random.randrange(3)):
            self._log(self._changes.make(choices))
        if self.random.random() < _CONFIGURED:
            self._earlier.append(self.held_back())
            self._change_configuration()

    def _change_configuration(self) -> None:
        files = [*self._files().values()]
        match self.random.randrange(5):
            case 0 | 1:
                self.days = self.random.choice(DAYS)
            case 2 if files:
                file = self.random.choice(files)
                forms = (file.project, f"{file.project} == {file.version}", file.filename)
                self.exceptions |= {self.random.choice(forms)}
            case 3:
                self.exceptions = frozenset()
            case _:
                line = self._upload_time().date().isoformat()
                self.not_after = "" if self.not_after else line
        self.configure()

    def upload(self, project: str, version: str, *, earlier: float = 0.0) -> None:
        """Upload a wheel, some seconds ago."""
        uploaded = datetime.fromtimestamp(self.now - earlier, UTC)
        name = f"{project.replace('-', '_')}-{version}-py3-none-any.whl"
        self.index.add_file(project, name, content=name.encode(), upload_time=uploaded)

    def run_and_check(self) -> None:
        """Let the mirror run once, and compare what readers see with upstream."""
        begun = self.now
        self.run(kills=0)
        self.check(complete=True, begun=begun)

    def run(self, *, kills: float, finalizes: bool = True) -> bool:
        """Let the mirror run once, and return whether nothing was killed."""
        killed = False

        def fate(kind: str) -> Fate:
            nonlocal killed
            if killed or self.random.random() >= kills:
                return Fate()
            killed = True
            after = self.random.random() < 0.5
            return Fate(killed_at=1 + self.random.randrange(REQUESTS[kind]), killed_after=after)

        self._step += 1
        if not self._in_lambda:
            self._begin_command(self._slots["command"][0], fate("command"), PlannerEvent())
            self._run()
            return not killed
        self._begin_planner(self._slots["planner"][0], fate("planner"), PlannerEvent())
        self._run()
        while (visible := self._queues.next_visible()) is not None:
            self.loop.elapsed = max(self.loop.elapsed, visible)
            messages = self._receive(10)
            if messages:
                self._begin_worker(self._slots["worker"][0], fate("worker"), messages)
                self._run()
        if finalizes:
            self._begin_finalizer(self._slots["finalizer"][0], fate("finalizer"))
            self._run()
        return not killed

    # What readers see

    def check(self, *, complete: bool, begun: float) -> None:
        """Poll all pages and files."""
        assert not self._hides, "\n".join((*self.history[-60:], *self._hides))
        hidden = self.held_back()
        if complete:
            self._earlier.clear()
        for earlier in self._earlier:
            hidden &= earlier
        for key, stored in self._disk.objects.items():
            self._check_hidden(key, stored.body, hidden)
        assert not self._hides, "\n".join((*self.history[-60:], *self._hides))
        if complete:
            for project in PROJECTS:
                self._check_page(project, begun)

    def _check_page(self, project: str, begun: float) -> None:
        view = self.index.project(project)
        page = self._page(project)
        files = {} if view is None else {each.file.filename: each for each in view.files}
        ripe = files.keys() - self.held_back(begun)
        shown = {each["filename"]: each.get("yanked", False) for each in page.get("files", ())}
        why = "\n".join((*self.history[-80:], f"{project}: {sorted(shown)}", f"ripe: {ripe}"))
        assert ripe <= shown.keys() <= files.keys() - self.held_back(), why
        assert shown == {name: files[name].yanked for name in shown}, why
        versions = {found[1] for name in shown if (found := _VERSION.search(name))}
        assert {*page.get("versions", ())} == versions, why
        stored = {key.rpartition("/")[2] for key in self._disk.objects if "web/packages/" in key}
        assert shown.keys() <= stored, why

    def _page(self, project: str) -> Any:
        stored = self._disk.objects.get(f"web/simple/{project}/index.v1_json")
        return {} if stored is None else json.loads(stored.body)

    def shown(self, project: str) -> set[str]:
        """Return the files on a page."""
        return {each["filename"] for each in self._page(project).get("files", ())}

    def status(self) -> Any:
        """Return what status.json says of the cooldown."""
        return json.loads(self._disk.objects["web/status.json"].body).get("held_back")


@pytest.fixture
def month() -> Iterator[Month]:
    month = Month(0, in_lambda=True)
    yield month
    month.close()


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("in_lambda", [True, False], ids=["functions", "command"])
def test_thirty_days(seed: int, in_lambda: bool) -> None:  # noqa: FBT001
    live_through(Month(seed, in_lambda=in_lambda))


def live_through(month: Month) -> None:
    """Let thirty days pass, and check after each run what readers see."""
    try:
        while month.loop.elapsed < 30 * DAY:
            month._pass(month.random.choice(PAUSES))
            month.change()
            begun = month.now
            complete = month.run(kills=0.3)
            month.check(complete=complete, begun=begun)
            if not complete:  # a run later
                month.run_and_check()
        assert month.held_back(), "else nothing was tested"
    finally:
        month.close()


def test_what_is_ripe_needs_no_event(month: Month) -> None:
    month.upload("ant", "1.0")
    month.run_and_check()
    assert month.status() == {"projects": 1, "files": 1, "next": "2026-02-09T02:40:00Z"}

    month._pass(7 * DAY - 1)
    month.run_and_check()
    assert month.shown("ant") == set()
    month._pass(1)
    month.run_and_check()

    assert month.shown("ant") == {"ant-1.0-py3-none-any.whl"}
    assert month.status() == {"projects": 0, "files": 0, "next": None}


def test_exceptions_are_followed_both_ways(month: Month) -> None:
    month.upload("ant", "1.0")
    month.upload("cow", "1.0")
    month.run_and_check()
    for exceptions in (
        {"ant"},
        {"cow == 1.0"},
        {"ant-1.0-py3-none-any.whl", "cow"},
        {"cow == 2.0"},
    ):
        month.exceptions = frozenset(exceptions)
        month.configure()
        month.run_and_check()
        shown = {project: bool(month.shown(project)) for project in ("ant", "cow")}
        assert shown == {
            "ant": any(each.startswith("ant") for each in exceptions),
            "cow": bool({"cow", "cow == 1.0"} & exceptions),
        }


def test_what_a_finalizer_learns_late_is_planned_all_the_same(month: Month) -> None:
    month.upload("ant", "1.0")
    month.run_and_check()
    month._pass(7 * DAY - 60)
    month.upload("cow", "1.0", earlier=7 * DAY - 90)
    month.run(kills=0, finalizes=False)
    month._pass(120)
    month.run(kills=0)  # the planner knows only of ant, the finalizer then also of cow
    month.run_and_check()

    assert month.shown("cow") == {"cow-1.0-py3-none-any.whl"}


@pytest.mark.parametrize("body", [None, b"{", b'{"version": 1}'], ids=["lost", "damaged", "older"])
def test_a_lost_state_is_made_again(month: Month, body: bytes | None) -> None:
    for project in PROJECTS:
        month.upload(project, "1.0")
    month.run_and_check()
    if body is None:
        month._disk.lose(STATE)
    else:
        month._disk.spoil(STATE, body)
    month._pass(6 * DAY)
    month.upload("ant", "2.0")
    month.run_and_check()
    month.run_and_check()
    month._pass(DAY)
    month.run_and_check()

    assert month.shown("cow") == {"cow-1.0-py3-none-any.whl"}
    assert month.status() == {"projects": 1, "files": 1, "next": "2026-02-15T02:40:00Z"}


def test_without_a_cooldown_all_is_shown_and_nothing_is_kept(month: Month) -> None:
    month.upload("ant", "1.0")
    month.run_and_check()
    assert STATE in month._disk.objects

    month.days = 0
    month.configure()
    month.run_and_check()

    assert month.shown("ant") == {"ant-1.0-py3-none-any.whl"}
    assert json.loads(month._disk.objects[STATE].body)["projects"] == {}
    assert month.status() is None
    month.days = 7
    month.configure()
    month.run_and_check()
    assert month.shown("ant") == set()
    month._pass(7 * DAY)
    month.run_and_check()
    assert month.shown("ant") == {"ant-1.0-py3-none-any.whl"}


def test_a_run_that_is_lost_with_its_plan_is_planned_again(month: Month) -> None:
    month.upload("ant", "1.0")
    month.run_and_check()
    month._pass(7 * DAY)
    month._begin_planner(month._slots["planner"][0], Fate(), PlannerEvent())
    month._run()
    month._disk.lose(max(key for key in month._disk.objects if key.startswith("state/runs/")))
    month._queues.groups.clear()
    month._pass(300)
    month.run(kills=0)
    month.run_and_check()

    assert month.shown("ant") == {"ant-1.0-py3-none-any.whl"}
