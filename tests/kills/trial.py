"""One trial: rounds of changes, kills and a run to the end, until there are enough kills."""

from __future__ import annotations

import time
from collections import Counter
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from tests.faults import verdict
from tests.faults.chance import Chance
from tests.faults.pages import V1_JSON, page_key
from tests.kills import inspection
from tests.kills.command import Command
from tests.kills.upstream import Upstream

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from pathlib import Path
    from random import Random
    from typing import IO

    from tests.kills.targets import Target

_CONFIG = """\
[mirror]
master = {master}
allow-non-https = true
delete-after = 0
workers = 4
timeout = 5
max-removals = 100% 10
max-losses = 5% 1000000 1000GiB
"""
# Kills before a run may end; 0 measures the length of a run
_KILLS_IN_A_ROW = (0, 1, 1, 1, 2, 2, 3, 4)
_EARLY = 0.1  # the share of kills before the first request upstream
_MAX_RUN_SECONDS = 150.0  # the limit of any run
_SETTLE_SECONDS = 0.5  # after them no request of a dead process is in flight


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Size of the trial.

    Attributes:
        kills: The trial ends with the round that reaches this number.
        changes: Upstream, before each round.
        sending: Seconds that upstream takes to send a file that is not small.
        length: Seconds that a run lasts after its first request; measured during the trial.
        start: Seconds until the first request.
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
    never_named: set[str] = field(default_factory=set)  # files that no page ever named
    kills: Counter[str] = field(default_factory=Counter)  # by phase of the run
    left: Counter[str] = field(default_factory=Counter)  # what kills left until the next run
    figures: dict[str, float] = field(default_factory=dict)


class Trial:
    """The trial of one target."""

    def __init__(
        self,
        settings: Settings,
        target: Target,
        folder: Path,
        print_line: Callable[[str], None] = lambda _: None,
    ) -> None:
        self.report = Report(target.name, settings.seed)
        self._settings = settings
        self._target = target
        self._folder = folder
        self._print_line = print_line
        self._chance = Chance(settings.seed)
        self._upstream = Upstream(settings.projects, settings.sending)
        self._length, self._start = settings.length, settings.start
        self._named: set[str] = set()  # keys that a JSON page named and that still exist
        self._pages: set[str] = set()  # all that ever existed
        self._reported: set[str] = set()
        self._serial = 0
        self._runs = self._late = 0
        self._inspections = 0

    def run(self) -> Report:
        """Run the trial."""
        started = time.monotonic()
        with ExitStack() as opened:
            opened.callback(self._target.close)
            opened.enter_context(self._upstream)
            self._upstream.fill(self._chance.of("fill"))
            while self.report.kills.total() < self._settings.kills:
                self._round()
        self.report.figures = {
            "kills": self.report.kills.total(),
            "runs that ended before their kill": self._late,
            "runs to the end": self._runs,
            "inspections of all contents": self._inspections,
            "changes upstream": self._upstream.changes.made.total() + self._upstream.large,
            "requests upstream": len(self._upstream.server.requests),
            "seconds that a run lasts": round(self._length, 2),
            "seconds": round(time.monotonic() - started, 1),
        }
        return self.report

    # One round

    def _round(self) -> None:
        self._chance.next_round()
        random = self._chance.of("round")
        kills = random.choice(_KILLS_IN_A_ROW)
        if self._chance.round > 1:
            self._upstream.change(random, self._settings.changes)
        else:
            kills = max(kills, 1)  # the first run has the most to do: its length is unusual
        for number in range(kills):
            if number:
                self._upstream.change(random, random.choice((0, 0, 1, 4)))
            if not self._kill_one(random):
                break
        self._run_to_the_end(random, whole=not kills)
        if self._chance.round % 10 == 0:
            self._print_line(
                f"round {self._chance.round}: {self.report.kills.total()} kills,"
                f" {self._runs} runs to the end of {self._length:.1f} s,"
                f" {len(self.report.violations)} violations"
            )

    def _kill_one(self, random: Random) -> bool:
        """Start a run and kill it; return False if it ended before."""
        early, share = random.random() < _EARLY, random.random()
        with self._log().open("w+b") as log, self._command(random, log) as command:
            if early:
                command.ends_within(share * self._start)
            else:
                self._upstream.contacted.wait(self._settings.start * 30)
                command.ends_within(share * self._length)
            contacted = self._upstream.contacted.is_set()
            if not command.kill():
                self._late += 1
                self._check_end(command)
                return False
        contents = self._target.contents()
        if not contacted:
            when = "before the first request upstream"
        elif inspection.open_runs(contents):
            when = "with a run open"
        elif inspection.serial(contents) < self._upstream.index.serial:
            when = "while planning"
        else:
            when = "with nothing left to do"
        self.report.kills[when] += 1
        self._inspect(contents)
        return True

    def _run_to_the_end(self, random: Random, *, whole: bool) -> None:
        started = time.monotonic()
        with self._log().open("w+b") as log, self._command(random, log) as command:
            self._upstream.contacted.wait(self._settings.start * 30)
            contacted = time.monotonic()
            if not command.ends_within(_MAX_RUN_SECONDS):
                self._violation(
                    f"a run does not end within {_MAX_RUN_SECONDS} s: {command.output()}"
                )
                return
            if whole:
                self._length = time.monotonic() - contacted
                self._start = contacted - started
            self._check_end(command)

    def _check_end(self, command: Command) -> None:
        """Judge the mirror after a run that ended by itself."""
        self._runs += 1
        if command.status:
            self._violation(f"a run exits with {command.status} and prints: {command.output()}")
        contents = self._target.contents()
        if not self._inspect(contents) or command.status:
            return
        self._add_violations(self._final_problems(contents))
        for key in sorted(self._left_over(contents)):
            if key in self._named or key.startswith(("web/simple/", "web/gzip/")):
                self._violation(f"{key} is left over")
            else:
                self.report.never_named.add(key)

    # Contents

    def _inspect(self, contents: Mapping[str, bytes]) -> bool:
        """Check what readers see at this moment; return False if it is wrong."""
        self._inspections += 1
        index = self._upstream.index
        if problems := list(inspection.problems(contents, index)):
            # Requests that a dead process has sent may still be carried out.
            time.sleep(_SETTLE_SECONDS)
            contents = self._target.contents()
            if still := set(problems).intersection(inspection.problems(contents, index)):
                self._add_violations(sorted(still))
                return False
        serial = inspection.serial(contents)
        if not self._serial <= serial <= index.serial:
            self._violation(f"the mirror's serial is {serial} after {self._serial}")
        self._serial = serial
        self._pages.update(key for key in contents if key.startswith("web/simple/"))
        self._named &= contents.keys()
        self._named.update(inspection.named(contents))
        temporary_files = sum(
            inspection.is_hidden(key) for key in inspection.unexpected_keys(contents)
        )
        self.report.left["temporary files"] += temporary_files
        self.report.left["other leftovers"] += sum(1 for _ in self._target.leftovers())
        return True

    def _final_problems(self, contents: Mapping[str, bytes]) -> Iterable[str]:
        index = self._upstream.index
        projects = [name for name in self._upstream.projects if self._is_known(name)]
        yield from verdict.problems(index, self._upstream.server.url, projects, contents)
        yield from inspection.unexpected_objects(contents)
        yield from self._target.leftovers()
        if (serial := inspection.serial(contents)) != index.serial:
            yield f"the mirror's serial is {serial}, and upstream's {index.serial}"
        expected = {normalized: serial for normalized, _, serial in index.projects()}
        if (listed := inspection.listed(contents)) != expected:
            other = sorted(set(listed.items()) ^ set(expected.items()))
            yield f"the root index differs from upstream's: {other}"
        if runs := inspection.open_runs(contents):
            yield f"{runs} runs are open after a run to the end"

    def _is_known(self, project: str) -> bool:
        """Say whether the mirror must know a project: indexes do not list quarantined ones."""
        view = self._upstream.index.project(project)
        in_quarantine = view is not None and view.status == "quarantined"
        return not in_quarantine or page_key(project, V1_JSON) in self._pages

    def _left_over(self, contents: Mapping[str, bytes]) -> set[str]:
        """Return pages and files that upstream lacks, without `unexpected_objects`."""
        left = verdict.left_over(self._upstream.index, self._upstream.projects, contents)
        return left - set(inspection.unexpected_keys(contents))

    # The command

    def _command(self, random: Random, log: IO[bytes]) -> Command:
        config = self._folder / "mirror.conf"
        master = self._upstream.server.url
        config.write_text(_CONFIG.format(master=master) + self._target.settings(random))
        self._upstream.contacted.clear()
        return Command(config, log)

    def _log(self) -> Path:
        return self._folder / "output.log"

    def _add_violations(self, problems: Iterable[str]) -> None:
        for problem in problems:
            self._violation(problem)

    def _violation(self, text: str) -> None:
        if text in self._reported:
            return  # it persists
        self._reported.add(text)
        self.report.violations.append(f"round {self._chance.round}: {text}")
        self._print_line(f"VIOLATION in round {self._chance.round}: {text}")
