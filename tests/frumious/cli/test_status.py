"""`frumious status`: how far the mirror is, by what it keeps itself."""

from __future__ import annotations

import json
import re
import signal
from typing import TYPE_CHECKING

from tests.frumious.cli.test_cli import frumious
from tests.frumious.cli.test_runs import running
from tests.upstream import Fault, Slow, Status, wheel

if TYPE_CHECKING:
    from tests.upstream import Index, Server


def test_a_status_says_how_fresh_and_large_the_mirror_is(
    conf: str, index: Index, upstream: Server
) -> None:
    empty = frumious("status", "-c", conf)
    assert empty.returncode == 1
    assert "There is no mirror of " in empty.stdout

    index.upload(wheel("one", "1.0"))
    frumious("mirror", "-c", conf)
    upstream.clear()
    done = frumious("status", "-c", conf)

    assert done.returncode == 0, done.stderr
    asked, serial, age, size, lagging = done.stdout.splitlines()
    assert re.fullmatch(rf"Upstream: {upstream.url}, asked [\d.]+ s ago", asked)
    assert serial == f"Serial: {index.serial}, all changes as of then"
    assert re.fullmatch(r"Age: the mirror had all changes [\d.]+ s ago", age)
    assert re.fullmatch(r"Size: 1 project, 1 file, \d+ B", size)
    assert lagging == "Lagging: 0 projects"
    assert upstream.requests == []


def test_a_status_names_lagging_projects_with_their_next_retry(
    conf: str, index: Index, upstream: Server
) -> None:
    index.upload(wheel("bad", "1.0"))
    upstream.faults.add(Fault(Status(404), "/packages/"))
    frumious("mirror", "-c", conf)

    shown = frumious("status", "-c", conf)
    payload = json.loads(frumious("status", "--json", "-c", conf).stdout)

    assert shown.returncode == 1
    reason = "upstream lists a file that it does not serve: "
    assert shown.stdout.splitlines()[-1].startswith(f"bad is lagging: {reason}")
    assert re.search(r"; next retry: in \d+ min$", shown.stdout)
    assert (payload["projects"], payload["lagging"]["bad"]["attempts"]) == (1, 1)


def test_a_status_names_open_runs(conf: str, index: Index, upstream: Server) -> None:
    for name in ("one", "two"):
        index.upload(wheel(name, "1.0"))
    upstream.faults.add(Fault(Slow(delay=30), "/packages/", project="two"))
    with running("mirror", "-c", conf) as process:
        assert process.stderr is not None
        assert process.stderr.readline().startswith("one: ")
        process.send_signal(signal.SIGKILL)

    assert "Open: 1 run of 2 jobs; the next run continues" in frumious("status", "-c", conf).stdout
