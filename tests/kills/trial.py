"""One trial: rounds of changes, kills and a run to the end, until there were enough kills."""

from __future__ import annotations

import time
from collections import Counter
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from tests.faults import verdict
from tests.faults.chance import Chance
from tests.faults.pages import V1_JSON, page_key
from tests.kills import look
from tests.kills.command import Command
from tests.kills.supply import Supply

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from pathlib import Path
    from random import Random
    from typing import IO

    from tests.kills.places import Place

_CONFIG = """\
[mirror]
master = {master}
allow-non-https = true
workers = 4
timeout = 5
max-removals = 100% 10
"""
_IN_A_ROW = (
    0,
    1,
    1,
    1,
    2,
    2,
    3,
    4,
)  # kills before a run is left alone; none: to see how long it is
_EARLY = 0.1  # the share of kills in the time before upstream is asked
_LONGEST = 150.0  # seconds that any run may last
_REST = 0.5  # seconds after which nothing that a dead process has sent is under way any more


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """How much.

    Attributes:
        kills: After so many the trial ends with the round.
        changes: Upstream, before each round.
        sending: Seconds that upstream sends a file that is not small.
        length: Seconds that a run lasts, from its first request on; measured as it goes.
        start: Seconds that it takes to get there.
    """

    seed: int
    kills: int
    projects: int = 25
    changes: int = 12
    sending: float = 0.6
    length: float = 1.5
    start: float = 1.0


@dataclass(slots=True)
class Report:
    """What a trial found."""

    name: str
    seed: int
    violations: list[str] = field(default_factory=list)
    never_named: set[str] = field(default_factory=set)  # files that were stored for no page
    kills: Counter[str] = field(default_factory=Counter)  # by what went on
    left: Counter[str] = field(default_factory=Counter)  # what kills left, until the next run
    figures: dict[str, float] = field(default_factory=dict)


class Trial:
    """One place, and all that happens to it."""

    def __init__(
        self,
        settings: Settings,
        place: Place,
        folder: Path,
        tell: Callable[[str], None] = lambda _: None,
    ) -> None:
        self.report = Report(place.name, settings.seed)
        self._settings = settings
        self._place = place
        self._folder = folder
        self._tell = tell
        self._chance = Chance(settings.seed)
        self._supply = Supply(settings.projects, settings.sending)
        self._length, self._start = settings.length, settings.start
        self._named: set[str] = set()  # by a JSON page, since it was not there
        self._pages: set[str] = set()  # that were ever seen
        self._told: set[str] = set()
        self._serial = 0
        self._runs = self._late = 0
        self._looks = 0

    def run(self) -> Report:
        """Go through with it."""
        started = time.monotonic()
        with ExitStack() as opened:
            opened.callback(self._place.close)
            opened.enter_context(self._supply)
            self._supply.fill(self._chance.of("fill"))
            while self.report.kills.total() < self._settings.kills:
                self._round()
        self.report.figures = {
            "kills": self.report.kills.total(),
            "runs that ended before they were to be killed": self._late,
            "runs to the end": self._runs,
            "looks at all that is there": self._looks,
            "changes upstream": self._supply.changes.made.total() + self._supply.large,
            "requests upstream": len(self._supply.server.requests),
            "seconds that a run lasts": round(self._length, 2),
            "seconds": round(time.monotonic() - started, 1),
        }
        return self.report

    # One round

    def _round(self) -> None:
        self._chance.next_round()
        random = self._chance.of("round")
        kills = random.choice(_IN_A_ROW)
        if self._chance.round > 1:
            self._supply.change(random, self._settings.changes)
        else:
            kills = max(kills, 1)  # the first run has most to do, and tells no usual length
        for number in range(kills):
            if number:
                self._supply.change(random, random.choice((0, 0, 1, 4)))
            if not self._kill_one(random):
                break
        self._run_to_the_end(random, whole=not kills)
        if self._chance.round % 10 == 0:
            self._tell(
                f"round {self._chance.round}: {self.report.kills.total()} kills,"
                f" {self._runs} runs to the end of {self._length:.1f} s,"
                f" {len(self.report.violations)} violations"
            )

    def _kill_one(self, random: Random) -> bool:
        """Start a run and kill it; say whether that came in time."""
        early, share = random.random() < _EARLY, random.random()
        with self._log().open("w+b") as log, self._command(random, log) as command:
            if early:
                command.ends_within(share * self._start)
            else:
                self._supply.asked.wait(self._settings.start * 30)
                command.ends_within(share * self._length)
            asked = self._supply.asked.is_set()
            if not command.kill():
                self._late += 1
                self._check_end(command)
                return False
        contents = self._place.contents()
        if not asked:
            when = "before upstream was asked"
        elif look.open_runs(contents):
            when = "with a run open"
        elif look.serial(contents) < self._supply.index.serial:
            when = "while planning"
        else:
            when = "with nothing left to do"
        self.report.kills[when] += 1
        self._look(contents)
        return True

    def _run_to_the_end(self, random: Random, *, whole: bool) -> None:
        started = time.monotonic()
        with self._log().open("w+b") as log, self._command(random, log) as command:
            self._supply.asked.wait(self._settings.start * 30)
            asked = time.monotonic()
            if not command.ends_within(_LONGEST):
                self._violation(f"a run does not end within {_LONGEST} s: {command.said()}")
                return
            if whole:
                self._length = time.monotonic() - asked
                self._start = asked - started
            self._check_end(command)

    def _check_end(self, command: Command) -> None:
        """Judge the mirror after a run that ended by itself."""
        self._runs += 1
        if command.status:
            self._violation(f"a run exits with {command.status} and says: {command.said()}")
        contents = self._place.contents()
        if not self._look(contents) or command.status:
            return
        self._tell_all(self._wrongs_at_the_end(contents))
        for key in sorted(self._left_over(contents)):
            if key in self._named or key.startswith("web/simple/"):
                self._violation(f"{key} is left over")
            else:
                self.report.never_named.add(key)

    # What is there

    def _look(self, contents: Mapping[str, bytes]) -> bool:
        """Judge what readers see at this moment; say whether it can be read."""
        self._looks += 1
        index = self._supply.index
        if wrongs := list(look.wrongs(contents, index)):
            # Requests of a process that is dead may still be carried out; it sends no more.
            time.sleep(_REST)
            contents = self._place.contents()
            if still := set(wrongs).intersection(look.wrongs(contents, index)):
                self._tell_all(sorted(still))
                return False
        serial = look.serial(contents)
        if not self._serial <= serial <= index.serial:
            self._violation(f"the mirror's serial is {serial} after {self._serial}")
        self._serial = serial
        self._pages.update(key for key in contents if key.startswith("web/simple/"))
        self._named &= contents.keys()
        self._named.update(look.named(contents))
        drafts = sum(look.is_hidden(key) for key in look.names_of_litter(contents))
        self.report.left["files on their way"] += drafts
        self.report.left["other loose ends"] += sum(1 for _ in self._place.loose_ends())
        return True

    def _wrongs_at_the_end(self, contents: Mapping[str, bytes]) -> Iterable[str]:
        index = self._supply.index
        projects = [name for name in self._supply.projects if self._is_known(name)]
        yield from verdict.wrongs(index, self._supply.server.url, projects, contents)
        yield from look.litter(contents)
        yield from self._place.loose_ends()
        if (serial := look.serial(contents)) != index.serial:
            yield f"the mirror says that its serial is {serial}, upstream's is {index.serial}"
        expected = {normalized: serial for normalized, _, serial in index.projects()}
        if (listed := look.listed(contents)) != expected:
            other = sorted(set(listed.items()) ^ set(expected.items()))
            yield f"the root index is not upstream's: {other}"
        if runs := look.open_runs(contents):
            yield f"{runs} runs are open after a run to the end"

    def _is_known(self, project: str) -> bool:
        """Say whether a mirror must know a project: no index lists those in quarantine."""
        view = self._supply.index.project(project)
        in_quarantine = view is not None and view.status == "quarantined"
        return not in_quarantine or page_key(project, V1_JSON) in self._pages

    def _left_over(self, contents: Mapping[str, bytes]) -> set[str]:
        """Return pages and files that nothing upstream accounts for; litter is told as such."""
        left = verdict.left_over(self._supply.index, self._supply.projects, contents)
        return left - set(look.names_of_litter(contents)) - set(look.ROOT_PAGES)

    # How it is done

    def _command(self, random: Random, log: IO[bytes]) -> Command:
        config = self._folder / "mirror.conf"
        master = self._supply.server.url
        config.write_text(_CONFIG.format(master=master) + self._place.settings(random))
        self._supply.asked.clear()
        return Command(config, log)

    def _log(self) -> Path:
        return self._folder / "said"

    def _tell_all(self, wrongs: Iterable[str]) -> None:
        for wrong in wrongs:
            self._violation(wrong)

    def _violation(self, text: str) -> None:
        if text in self._told:
            return  # it is there still
        self._told.add(text)
        self.report.violations.append(f"round {self._chance.round}: {text}")
        self._tell(f"VIOLATION in round {self._chance.round}: {text}")
