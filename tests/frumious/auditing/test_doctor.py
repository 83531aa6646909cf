"""`frumious doctor`: what it finds in a mirror, and what is right after `--repair`."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import TYPE_CHECKING, Any

import pytest

from frumious.storage.filesystem.atomic_write import Folder
from frumious.storage.filesystem.lock import lock
from tests.frumious.cli.test_cli import ENVIRONMENT, configured, frumious
from tests.frumious.cli.test_folders import needs_setpriv, unprivileged
from tests.upstream import Fault, Headers, Index, Server, Slow, wheel

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.world import World

ALLOWLIST = "[plugins]\nenabled = allowlist_project\n[allowlist]\npackages = good\n"
JUNK = (b"", b"{", b"\xff\xfe", b"[]", b'{"version": 1, "serial": "x", "projects": 7, "pages": 8}')
STATE = ("cursor", "lagging", "selection", "losses", "named")


@pytest.fixture
def conf(upstream: Server, index: Index, tmp_path: Path) -> Path:
    """A mirror.conf, and a mirror of two projects in a folder."""
    path = tmp_path / "mirror.conf"
    path.write_text(
        f"[mirror]\ndirectory = {tmp_path}/mirror\nmaster = {upstream.url}\n"
        "allow-non-https = true\nworkers = 4\n"
    )
    for name in ("bad", "good"):
        index.upload(wheel(name, "1.0"))
    assert frumious("-c", str(path), "mirror").returncode == 0
    return path


def doctor(conf: Path, *arguments: str, code: int = 1) -> list[dict[str, Any]]:
    done = frumious("-c", str(conf), "doctor", "--json", *arguments)
    assert done.returncode == code, done.stdout + done.stderr
    findings: list[dict[str, Any]] = json.loads(done.stdout)["findings"]
    return findings


def listed(conf: Path) -> set[str]:
    root = json.loads((conf.parent / "mirror/web/simple/index.v1_json").read_text())
    return {project["name"] for project in root["projects"]}


def serials(conf: Path) -> dict[str, int]:
    root = json.loads((conf.parent / "mirror/web/simple/index.v1_json").read_text())
    return {project["name"]: project["_last-serial"] for project in root["projects"]}


def test_nothing_is_wrong_with_a_new_mirror(conf: Path) -> None:
    assert doctor(conf, code=0) == []
    done = frumious("-c", str(conf), "doctor")
    assert done.stdout == "Nothing is wrong.\n"


@pytest.mark.parametrize("body", JUNK, ids=["empty", "cut off", "bytes", "list", "foreign"])
def test_damaged_state_is_named_and_repaired(conf: Path, body: bytes) -> None:
    state = conf.parent / "mirror/state"
    for name in STATE:
        (state / f"{name}.json").write_bytes(body)
    (state / "inbox").mkdir(exist_ok=True)
    (state / "inbox/junk.json").write_bytes(body)
    foreign = body.startswith(b'{"version"')

    found = {each["subject"] for each in doctor(conf)}
    expected = {f"state/{name}.json" for name in STATE} | {"state/inbox/junk.json"}
    assert found >= expected - ({"state/losses.json"} if foreign else set())

    assert doctor(conf, "--repair", code=0) == []
    assert frumious("-c", str(conf), "mirror").returncode == 0
    assert listed(conf) == {"bad", "good"}
    assert {path.name for path in (state / "damaged").iterdir()} >= {"cursor.json", "named.json"}


def test_readers_that_get_another_index_than_the_last_rollback_gave_them(conf: Path) -> None:
    (conf.parent / "mirror/web/rollback").symlink_to("snapshot/monday")
    (finding,) = doctor(conf)
    assert finding["subject"] == "web/rollback"
    assert "the snapshot 'monday'; the last rollback was to the live index" in finding["problem"]
    assert "frumious rollback --live" in finding["advice"]


def test_state_of_a_later_version_is_left_alone(conf: Path) -> None:
    cursor = conf.parent / "mirror/state/cursor.json"
    cursor.write_text('{"version": 99}')

    (finding,) = doctor(conf, "--repair")

    assert "format version 99" in finding["problem"]
    assert not finding["repairable"]
    assert cursor.read_text() == '{"version": 99}'


def test_deleted_and_requested_projects_are_found_again(conf: Path, index: Index) -> None:
    conf.write_text(conf.read_text() + ALLOWLIST + "  bad\n")
    index.upload(wheel("extra", "1.0"))
    for arguments in (["mirror"], ["sync", "extra"], ["delete", "bad"]):
        assert frumious("-c", str(conf), *arguments).returncode == 0
    named = conf.parent / "mirror/state/named.json"
    named.write_bytes(b"{")

    assert doctor(conf, "--repair", code=0) == []
    assert frumious("-c", str(conf), "mirror", "--force-check").returncode == 0

    assert listed(conf) == {"good", "extra"}
    payload = json.loads(named.read_text())
    assert ([*payload["requested"]], [*payload["deleted"]]) == (["extra"], ["bad"])


@pytest.mark.parametrize("body", [None, b"", b'{"projects": [{'])
def test_the_root_index_is_made_again_from_the_pages_alone(conf: Path, body: bytes | None) -> None:
    root = conf.parent / "mirror/web/simple/index.v1_json"
    before = serials(conf)
    root.unlink() if body is None else root.write_bytes(body)
    html = root.with_name("index.html").read_text()

    (finding,) = doctor(conf)
    assert finding["subject"] == "web/simple/index.v1_json"

    assert doctor(conf, "--repair", code=0) == []
    assert serials(conf) == before
    assert root.with_name("index.html").read_text() == html


def test_a_mirror_that_lost_all_state_is_rebuilt_from_its_pages(
    conf: Path, upstream: Server
) -> None:

    mirror = conf.parent / "mirror"
    before = serials(conf)
    shutil.rmtree(mirror / "state")
    (mirror / "web/simple/index.v1_json").unlink()
    upstream.clear()

    assert doctor(conf, "--repair", code=0) == []
    assert frumious("-c", str(conf), "mirror").returncode == 0

    assert serials(conf) == before
    assert not upstream.requests_for("/packages/"), "no file is fetched again"


def test_a_cursor_ahead_of_upstream_is_reset(conf: Path, upstream: Server, index: Index) -> None:
    backup = index.backup()
    index.upload(wheel("later", "1.0"))
    assert frumious("-c", str(conf), "mirror").returncode == 0
    index.restore(backup)

    (finding,) = doctor(conf)
    assert "upstream's serial is" in finding["problem"]
    assert "in an hour" in finding["advice"], "a cache may be old"
    cursor = conf.parent / "mirror/state/cursor.json"
    payload = json.loads(cursor.read_text())
    cursor.write_text(json.dumps({**payload, "regressed": time.time() - 7200}))

    (finding,) = doctor(conf)
    assert "--reset-serials" in finding["advice"]
    assert doctor(conf, "--repair", code=0) == []
    assert listed(conf) == {"bad", "good"}
    assert int((conf.parent / "mirror/status").read_text()) == index.serial


def test_a_mirror_of_another_index_is_named(conf: Path) -> None:
    with Server(Index()) as other:
        url = other.url
        text = conf.read_text()
        master = next(line for line in text.splitlines() if line.startswith("master"))
        conf.write_text(text.replace(master, f"master = {url}"))

        found = doctor(conf, "--repair")

    assert any("follows another index than master" in each["problem"] for each in found)
    assert listed(conf) == {"bad", "good"}


def test_times_in_the_future_and_a_lost_run_are_repaired(conf: Path, index: Index) -> None:
    cursor = conf.parent / "mirror/state/cursor.json"
    payload = json.loads(cursor.read_text())
    payload["reconciled"] = time.time() + 10 * 365 * 86400
    payload["runs"] = [{"run": "20260101T000000-1", "since": 1, "sent": 1.0}]
    cursor.write_text(json.dumps(payload))
    index.upload(wheel("new", "1.0"))

    found = [each["problem"] for each in doctor(conf)]
    assert any("times in the future" in each for each in found)
    assert any("is missing: the run is lost" in each for each in found)

    assert doctor(conf, "--repair", code=0) == []
    assert frumious("-c", str(conf), "mirror").returncode == 0
    assert listed(conf) == {"bad", "good", "new"}


def test_a_second_writer_is_named(conf: Path) -> None:
    with lock(Folder.at(conf.parent / "mirror", manage_permissions=True)):
        (finding,) = doctor(conf)

    assert f"process {os.getpid()} uses the mirror now" in finding["problem"]


def change_during_check(conf: Path, upstream: Server, change: Callable[[], None]) -> Any:
    """Return what the doctor finds while another process changes the cursor."""
    slow = upstream.faults.add(Fault(Slow(delay=4), "/pypi"))
    upstream.clear()
    command = [sys.executable, "-m", "frumious.cli", "-c", str(conf), "doctor", "--json"]
    environment = {**os.environ, **ENVIRONMENT}
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE) as running:
        while not upstream.requests:
            time.sleep(0.05)
            assert running.poll() is None
        change()
        output, _ = running.communicate(timeout=60)
    upstream.faults.remove(slow)
    assert running.returncode == 1
    return json.loads(output)["findings"]


def test_another_writer_of_the_same_folder_is_found(conf: Path, upstream: Server) -> None:
    """It is on another machine, so that the lock does not name it."""
    cursor = conf.parent / "mirror/state/cursor.json"

    def change() -> None:
        cursor.write_text(json.dumps(json.loads(cursor.read_text()) | {"plans": 99}))

    (finding,) = change_during_check(conf, upstream, change)

    assert finding["subject"] == "state/cursor.json"
    assert "another process changed it" in finding["problem"]
    assert "one process on one machine" in finding["advice"]


def test_another_writer_of_the_same_bucket_is_found(world: World, tmp_path: Path) -> None:
    world.index.upload(wheel("good", "1.0"))
    world.mirror_run()
    configured(world, tmp_path)
    bucket, key = world.bucket, "state/cursor.json"

    def change() -> None:
        body = json.loads(world.s3.get_object(Bucket=bucket, Key=key)["Body"].read())
        body |= {"plans": 99}
        world.s3.put_object(Bucket=bucket, Key=key, Body=json.dumps(body).encode())

    (finding,) = change_during_check(tmp_path / "mirror.conf", world.upstream, change)

    assert "another process changed it" in finding["problem"]
    assert "conditional writes keep the mirror right" in finding["advice"]


@pytest.mark.parametrize(("skew", "words"), [(-7200, "ahead of"), (7200, "behind")])
def test_a_wrong_clock_is_named_but_no_cached_response(
    conf: Path, upstream: Server, skew: int, words: str
) -> None:
    def answer(skew: int, age: str | None = None) -> None:
        upstream.faults.clear()
        date = format_datetime(datetime.now(UTC) + timedelta(seconds=skew), usegmt=True)
        upstream.faults.add(Fault(Headers({"Date": date, "Age": age}), "/simple/"))

    answer(skew)
    (finding,) = doctor(conf)
    assert finding["subject"] == "this machine's clock"
    assert re.match(rf"it is 7[12]\d\d seconds {words} that of {upstream.url}", finding["problem"])

    for date, age in ((-500, "500"), (0, "500")):
        answer(date, age)
        assert doctor(conf, code=0) == []


def test_a_lock_without_owner_is_named_and_its_leftovers_removed(
    conf: Path, upstream: Server, index: Index
) -> None:
    index.upload(wheel("slow", "1.0"))
    upstream.faults.add(Fault(Slow(delay=60), "/packages/", project="slow"))
    command = [sys.executable, "-m", "frumious.cli", "-c", str(conf), "mirror"]
    with subprocess.Popen(command, env=ENVIRONMENT, stderr=subprocess.DEVNULL) as running:
        lock_file = conf.parent / "mirror/.lock"
        deadline = time.monotonic() + 20
        while not lock_file.read_text() and time.monotonic() < deadline:
            time.sleep(0.05)
        time.sleep(1)
        running.send_signal(signal.SIGKILL)

    found = doctor(conf)

    assert any(f"process {running.pid} was killed" in each["problem"] for each in found)
    assert doctor(conf, "--repair", code=0) == []


@needs_setpriv
def test_a_folder_that_cannot_be_written_is_named(conf: Path) -> None:
    state = conf.parent / "mirror/state"
    state.chmod(0o555)
    try:
        done = unprivileged("-c", str(conf), "doctor", "--json")
    finally:
        state.chmod(0o755)
    (finding,) = json.loads(done.stdout)["findings"]
    assert "cannot write to it" in finding["problem"]


def test_what_the_web_server_cannot_read_is_opened(conf: Path) -> None:
    mirror = conf.parent / "mirror"
    page = mirror / "web/simple/good/index.html"
    page.chmod(0o600)
    mirror.chmod(0o700)
    (page.parent / "broken").symlink_to("nowhere")

    found = doctor(conf)
    assert any("the web server cannot read it: its mode is 0" in each["problem"] for each in found)

    assert doctor(conf, "--repair", code=0) == []
    assert page.stat().st_mode & 0o777 == 0o644
    assert mirror.stat().st_mode & 0o777 == 0o755


def test_a_configuration_that_is_warned_of_is_a_finding(conf: Path) -> None:
    conf.write_text(conf.read_text().replace("workers = 4", "workers = 4\nno-such-option = 1"))

    (finding,) = doctor(conf, "--repair")

    assert finding["subject"] == "mirror.conf"
    assert "no-such-option" in finding["problem"]


def test_a_bucket_is_examined_and_repaired(world: World, tmp_path: Path) -> None:
    world.index.upload(wheel("good", "1.0"))
    world.mirror_run()
    conf = tmp_path / "mirror.conf"
    assert configured(world, tmp_path) == str(conf)
    assert doctor(conf, code=0) == []
    for key in ("state/cursor.json", "web/simple/index.v1_json"):
        world.s3.put_object(Bucket=world.bucket, Key=key, Body=b"{")

    assert {each["subject"] for each in doctor(conf)} == {
        "state/cursor.json",
        "web/simple/index.v1_json",
    }
    assert doctor(conf, "--repair", code=0) == []
    world.mirror_run()
    assert not world.dry_run().jobs


@pytest.mark.parametrize("name", ["lagging", "selection"])
def test_a_planner_that_began_before_a_repair_is_overtaken(
    world: World, tmp_path: Path, name: str
) -> None:
    world.index.upload(wheel("good", "1.0"))
    world.mirror_run()
    assert configured(world, tmp_path)
    world.index.upload(wheel("good", "2.0"))
    plan = world.dry_run()
    world.s3.put_object(Bucket=world.bucket, Key=f"state/{name}.json", Body=b"{")
    assert doctor(tmp_path / "mirror.conf", "--repair", code=0) == []

    assert world.start(plan) == []

    world.mirror_run()
    assert {file["filename"] for file in world.page("good")["files"]} == {
        f"good-{version}-py3-none-any.whl" for version in ("1.0", "2.0")
    }


def test_a_missing_state_of_the_cooldown_is_found_and_made_again(conf: Path, index: Index) -> None:
    conf.write_text(conf.read_text() + "[cooldown]\ndays = 7\n")
    index.upload(wheel("good", "9.0"), upload_time=datetime.now(UTC))
    assert frumious("-c", str(conf), "mirror").returncode == 0
    state = conf.parent / "mirror/state/cooldown.json"
    before = json.loads(state.read_text())["projects"]["good"]
    state.unlink()

    (finding,) = doctor(conf)
    assert finding["subject"] == "state/cooldown.json"
    assert doctor(conf, "--repair", code=1)
    assert frumious("-c", str(conf), "mirror").returncode == 0

    assert json.loads(state.read_text())["projects"]["good"][:3] == before[:3]
    assert doctor(conf, code=0) == []
