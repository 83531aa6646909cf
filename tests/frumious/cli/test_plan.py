"""`frumious plan`: what the next run would do, and nothing else."""

from __future__ import annotations

import json
import re
import signal
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.frumious.cli.test_cli import frumious
from tests.frumious.cli.test_runs import running
from tests.upstream import BANDERSNATCH, PYPI, Fault, Personality, Slow, Status, sdist, wheel

if TYPE_CHECKING:
    from tests.upstream import Index, Server

LISTED = "\n[plugins]\nenabled = allowlist_project\n[allowlist]\npackages =\n"
NOTHING = "Nothing to do: the next run would change nothing."


def planned(conf: str, *arguments: str) -> Any:
    return json.loads(frumious("plan", "--json", "-c", conf, *arguments).stdout)


@pytest.mark.parametrize("personality", [PYPI, BANDERSNATCH], ids=["PyPI", "another mirror"])
def test_a_plan_says_what_the_run_stores_and_is_empty_after_it(
    conf: str, index: Index, upstream: Server, personality: Personality
) -> None:
    upstream.personality = personality
    for dist in (*(wheel("one", f"{n}.0") for n in (1, 2, 3)), sdist("one", "1.0")):
        index.upload(dist)
    index.upload(wheel("two", "1.0"))

    before = planned(conf)
    done = json.loads(frumious("mirror", "--json", "-c", conf).stdout)
    after = frumious("plan", "-c", conf)

    assert before["files"]["one"]["new_files"] == 4
    assert (before["new_files"], before["new_bytes"]) == (done["files"], done["bytes"]) != (0, 0)
    assert after.stdout.splitlines()[-1] == NOTHING
    assert planned(conf, "--force-check")["counts"] == {"updated": 0, "removed": 0, "retried": 0}

    index.remove_release("one", "1.0")
    index.remove_project("two")
    shown = frumious("plan", "-c", conf).stdout.splitlines()
    assert shown[0].startswith("one: update, 2 files removed (")
    assert shown[1].startswith("two: remove")
    frumious("mirror", "-c", conf)
    assert frumious("plan", "-c", conf).stdout.splitlines()[-1] == NOTHING


@pytest.mark.parametrize("selected", ["", LISTED + "  one\n  two\n"], ids=["all", "listed"])
def test_a_plan_names_what_an_interrupted_run_left(
    conf: str, index: Index, upstream: Server, selected: str
) -> None:
    Path(conf).write_text(Path(conf).read_text() + selected)
    for name in ("one", "two"):
        index.upload(wheel(name, "1.0"))
    index.upload(sdist("two", "1.0"))
    slow = upstream.faults.add(Fault(Slow(delay=30), "/packages/", project="two", skip=2))
    with running("mirror", "-c", conf) as process:
        assert process.stderr is not None
        assert process.stderr.readline().startswith("one: ")
        process.send_signal(signal.SIGKILL)
    upstream.faults.remove(slow)

    plan = planned(conf)
    shown = frumious("plan", "-c", conf).stdout
    wrong = frumious("doctor", "-c", conf).stdout
    done = json.loads(frumious("mirror", "--json", "-c", conf).stdout)

    assert "was killed while it used the mirror" in wrong
    assert wrong.endswith("1 finding.\n"), "the next run publishes the root index"
    assert "two" in plan["pending"]
    assert "two: continue, " in shown
    assert "(an interrupted run left it)" in shown
    assert plan["new_files"] == done["files"]
    assert frumious("plan", "-c", conf).stdout.splitlines() == [NOTHING]


def test_a_plan_says_when_lagging_projects_are_retried(
    conf: str, index: Index, upstream: Server
) -> None:
    index.upload(wheel("bad", "1.0"))
    upstream.faults.add(Fault(Status(404), "/packages/"))
    frumious("mirror", "-c", conf)

    lagging, nothing = frumious("plan", "-c", conf).stdout.splitlines()
    assert lagging.startswith("bad: lagging; next retry: in ")
    assert "upstream lists a file that it does not serve" in lagging
    assert nothing == NOTHING
    assert planned(conf)["lagging"]["bad"]["attempts"] == 1

    frumious("retry", "-c", conf)
    assert frumious("plan", "-c", conf).stdout.startswith("bad: retry, 1 new file, ")


def test_pages_of_few_projects_are_read(conf: str, index: Index, upstream: Server) -> None:
    index.add_many(f"project-{number}" for number in range(301))

    shown = frumious("plan", "-c", conf)

    assert "and 251 more to update" in shown.stdout
    assert "files are counted for up to 300 projects only" in shown.stdout
    assert upstream.requests_for("/simple/project-") == []


def test_a_plan_counts_what_the_index_without_the_cooldown_stores(conf: str, index: Index) -> None:
    with Path(conf).open("a") as file:
        file.write("[cooldown]\ndays = 7\nsimple-all = true\n")
    now = datetime.now(UTC)
    index.upload(wheel("one", "1.0"), upload_time=now - timedelta(days=8))

    for new, dist in ((2, wheel("one", "2.0")), (1, sdist("one", "2.0"))):
        index.upload(dist, upload_time=now)
        plan = planned(conf)
        done = json.loads(frumious("mirror", "--json", "-c", conf).stdout)
        assert plan["new_files"] == done["files"] == new
        assert plan["files"]["one"]["held_back"] == 3 - new
        assert frumious("plan", "-c", conf).stdout.splitlines()[-1] == NOTHING
    index.remove_release("one", "2.0")
    assert planned(conf)["files"]["one"]["removed_files"] == 2


def test_what_waits_is_shown_with_its_time(conf: str, index: Index) -> None:
    with Path(conf).open("a") as file:
        file.write("[cooldown]\ndays = 7\n")
    uploaded = datetime.now(UTC).replace(microsecond=0)
    index.upload(wheel("one", "1.0"), upload_time=uploaded - timedelta(days=8))
    for dist in (wheel("one", "2.0"), sdist("one", "2.0")):
        index.upload(dist, upload_time=uploaded)
    until = f"{uploaded + timedelta(days=7):%Y-%m-%dT%H:%M:%SZ}"

    before = frumious("plan", "-c", conf).stdout
    frumious("mirror", "-c", conf)
    after = frumious("plan", "-c", conf).stdout.splitlines()
    shown = frumious("status", "-c", conf).stdout.splitlines()
    payload = json.loads(frumious("status", "--json", "-c", conf).stdout)

    assert f"one: update, 1 new file, 1.0 KiB, 2 files held back until {until}" in re.sub(
        r"[\d.]+ (?:B|KiB)", "1.0 KiB", before
    )
    lines = [
        "Held back by the cooldown: 2 files of 1 project",
        f"  one: 2 files, the first until {until}",
    ]
    assert after == [*lines, NOTHING]
    assert shown[-2:] == lines
    expected = {"projects": 1, "files": 2, "until": {"one": {"files": 2, "next": until}}}
    assert payload["held_back"] == planned(conf)["held_back"] == expected
