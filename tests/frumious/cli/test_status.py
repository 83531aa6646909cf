"""`frumious status`: how far the mirror is, by what it keeps itself."""

from __future__ import annotations

import json
import re
import shutil
import signal
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.frumious.cli.test_cli import frumious
from tests.frumious.cli.test_runs import running
from tests.frumious.planning.site import site
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


def lag_seconds(conf: str) -> Any:
    return json.loads(frumious("status", "--json", "-c", conf).stdout)["lag_seconds"]


def test_a_status_names_open_runs(conf: str, index: Index, upstream: Server) -> None:
    for name in ("one", "two"):
        index.upload(wheel(name, "1.0"))
    upstream.faults.add(Fault(Slow(delay=30), "/packages/", project="two"))
    with running("mirror", "-c", conf) as process:
        assert process.stderr is not None
        assert process.stderr.readline().startswith("one: ")
        process.send_signal(signal.SIGKILL)

    shown = frumious("status", "-c", conf).stdout
    assert "Open: 1 run of 2 jobs; the next run continues" in shown
    assert "Age: the first run is not done yet" in shown
    assert lag_seconds(conf) is None
    upstream.faults.clear()
    assert frumious("mirror", "-c", conf).returncode == 0
    assert "Age: the mirror had all changes " in frumious("status", "-c", conf).stdout
    assert 0 <= lag_seconds(conf) < 60


def test_a_status_names_what_waits_for_a_person(
    conf: str, tmp_path: Path, index: Index, upstream: Server
) -> None:
    for name in ("one", "two", "requests"):
        index.upload(wheel(name, "1.0"))
    enabled = "\n[plugins]\nenabled = allowlist_project\n[allowlist]\npackages =\n"
    everything = Path(conf).read_text()

    def select(*names: str) -> None:
        Path(conf).write_text(everything + enabled + "".join(f"  {name}\n" for name in names))

    def published() -> Any:
        return json.loads((tmp_path / "mirror/web/status.json").read_text())

    select("one", "two", "requests")
    frumious("mirror", "-c", conf)
    assert "notices" not in published()
    select("one", "requests", "reqests")
    assert frumious("mirror", "-c", conf).returncode == 1

    upstream.clear()
    shown = frumious("status", "-c", conf)
    payload = json.loads(frumious("status", "--json", "-c", conf).stdout)
    notices = published()["notices"]

    absent = (
        "upstream has no project 'reqests', which is in [allowlist] packages; did you mean"
        " 'requests'?"
    )
    assert upstream.requests == []
    assert shown.returncode == 1
    assert shown.stdout.splitlines()[-3:] == [
        absent,
        "Waiting for a confirmation: 1 removal; 'frumious mirror --confirm-removals 1' confirms",
        "  two: no longer selected",
    ]
    assert payload["absent"] == {"reqests": "requests"}
    assert payload["withheld"] == {"two": "no longer selected"}
    assert notices == {
        "revision": 1,
        "absent": 1,
        "withheld": {"no longer selected": 1},
        "unconfirmed": 1,
        "lists": 0,
    }, "readers get numbers alone"

    select("one", "requests")
    frumious("mirror", "--confirm-removals", "1", "-c", conf)
    after = frumious("status", "-c", conf)
    assert (after.returncode, after.stdout.splitlines()[-1]) == (0, "Lagging: 0 projects")
    assert published()["notices"] == {
        "revision": 2, "absent": 0, "withheld": {}, "unconfirmed": 0, "lists": 0,
    }  # fmt: skip


def test_lists_that_cannot_be_read_are_named(conf: str, index: Index) -> None:
    index.upload(wheel("one", "1.0"))
    with site() as web:
        web.files["/a.txt"] = "one\n"
        with Path(conf).open("a") as file:
            file.write("[plugins]\nenabled = project_requirements\n[allowlist]\n")
            address = f"{web.url}/a.txt".replace("://", "://user:s3cr3t@")
            file.write(f"requirements = {address}\n")
        assert frumious("mirror", "-c", conf).returncode == 0
        web.files["/a.txt"] = "<html>Log in</html>"
        done = frumious("mirror", "-c", conf)
        shown = frumious("status", "-c", conf)
        payload = json.loads(frumious("status", "--json", "-c", conf).stdout)
        assert (done.returncode, shown.returncode) == (1, 1)
        for text in (done.stderr, shown.stdout):
            assert "a.txt is invalid: " in text
            assert "; its last good copy counts" in text
        assert list(payload["lists"]) == [f"{web.url}/a.txt".replace("://", "://***@")]
        assert "s3cr3t" not in done.stderr + shown.stdout + json.dumps(payload)

        web.files["/a.txt"] = "one\n"
        assert frumious("mirror", "-c", conf).returncode == 0
        assert frumious("status", "-c", conf).returncode == 0


def test_damaged_notices_are_written_anew(conf: str, tmp_path: Path, index: Index) -> None:
    index.upload(wheel("one", "1.0"))
    with Path(conf).open("a") as file:
        file.write("[plugins]\nenabled = allowlist_project\n[allowlist]\npackages =\n one\n oen\n")
    notices = tmp_path / "mirror/state/notices.json"
    frumious("mirror", "-c", conf)
    notices.write_text("{}nonsense")

    assert "state/notices.json" in frumious("doctor", "-c", conf).stdout
    assert frumious("status", "-c", conf).returncode == 0, "nobody knows"
    frumious("mirror", "-c", conf)

    assert json.loads(notices.read_text())["absent"] == {"oen": None}
    assert frumious("doctor", "-c", conf).returncode == 0


def test_a_status_says_that_master_is_another_index(
    conf: str, index: Index, upstream: Server
) -> None:
    index.upload(wheel("one", "1.0"))
    frumious("mirror", "-c", conf)
    path = Path(conf)
    path.write_text(path.read_text().replace(upstream.url, "http://other.example"))

    shown = frumious("status", "-c", conf)

    assert shown.returncode == 1
    assert "another index than 'master' in mirror.conf" in shown.stdout


def test_a_status_counts_what_is_stored_after_the_state_was_lost(
    conf: str, tmp_path: Path, index: Index
) -> None:
    index.upload(wheel("one", "1.0"))
    frumious("mirror", "-c", conf)
    shutil.rmtree(tmp_path / "mirror/state")
    frumious("mirror", "-c", conf)

    assert "\nSize: 1 project, 1 file, " in frumious("status", "-c", conf).stdout


def test_absent_names_are_reported_with_the_list_that_has_them(
    conf: str, tmp_path: Path, index: Index
) -> None:
    index.upload(wheel("one", "1.0"))
    (tmp_path / "locked.txt").write_text("one==1.0\nmissing==1.0\n")
    with Path(conf).open("a") as file:
        file.write(f"[plugins]\nenabled = project_locks\n[locks]\nfiles = {tmp_path}/locked.txt\n")
    expected = "upstream has no project 'missing', which is in [locks] files"

    assert expected in frumious("mirror", "-c", conf).stderr
    assert expected in frumious("status", "-c", conf).stdout
