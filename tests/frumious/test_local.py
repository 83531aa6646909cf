"""`frumious mirror` and `sync`: whole runs in a process of their own."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Any

import pytest

from frumious.storage.filesystem.atomic_write import Folder
from frumious.storage.filesystem.lock import lock
from tests.frumious.cli.test_cli import ENVIRONMENT, frumious
from tests.upstream import Fault, Slow, Status, wheel

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.upstream import Index, Server


@pytest.fixture
def conf(upstream: Server, tmp_path: Path) -> str:
    """A mirror.conf for a folder, with a short pause before retries."""
    path = tmp_path / "mirror.conf"
    path.write_text(
        f"[mirror]\ndirectory = {tmp_path}/mirror\nmaster = {upstream.url}\n"
        "allow-non-https = true\nworkers = 4\nretry-pause = 1\n"
        "delete-after = 0\n"
    )
    return str(path)


def page(folder: Path, project: str) -> dict[str, Any]:
    payload: dict[str, Any] = json.loads(
        (folder / f"mirror/web/simple/{project}/index.v1_json").read_text()
    )
    return payload


def files(folder: Path) -> set[str]:
    return {path.name for path in (folder / "mirror/web/packages").rglob("*") if path.is_file()}


def test_a_folder_is_mirrored_and_followed(index: Index, conf: str, tmp_path: Path) -> None:
    for name in ("one", "two"):
        index.upload(wheel(name, "1.0"))

    first = frumious("-c", conf, "mirror")
    assert first.returncode == 0, first.stderr
    assert (tmp_path / "mirror/status").read_text() == str(index.serial)
    assert len(files(tmp_path)) == 4

    index.upload(wheel("one", "2.0"))
    index.remove_project("two")
    second = frumious("-c", conf, "mirror")

    assert second.returncode == 0, second.stderr
    assert page(tmp_path, "one")["versions"] == ["1.0", "2.0"]
    assert not (tmp_path / "mirror/web/simple/two").exists()
    assert (tmp_path / "mirror/status").read_text() == str(index.serial)


def test_projects_are_synced_by_name(
    index: Index, upstream: Server, conf: str, tmp_path: Path
) -> None:
    for name in ("one", "two"):
        index.upload(wheel(name, "1.0"))

    done = frumious("-c", conf, "sync", "One")

    assert done.returncode == 0, done.stderr
    assert len(page(tmp_path, "one")["files"]) == 1
    assert not upstream.requests_for("/simple/two/")


def test_names_of_no_project_are_reported(index: Index, conf: str, tmp_path: Path) -> None:
    index.upload(wheel("one", "1.0"))

    misspelt = frumious("-c", conf, "sync", "one", "oen")
    wrong = frumious("-c", conf, "sync", "one", "../etc")
    on_time = frumious("-c", conf, "retry", "One")

    assert misspelt.returncode == 1
    assert "oen: neither upstream nor the mirror has it" in misspelt.stderr
    assert len(page(tmp_path, "one")["files"]) == 1
    assert wrong.returncode == 2
    assert "'../etc' is not a project's name" in wrong.stderr
    assert "One is not lagging" in on_time.stderr


def test_what_failed_is_named_and_the_status_is_1(
    index: Index, upstream: Server, conf: str, tmp_path: Path
) -> None:
    for name in ("good", "broken"):
        index.upload(wheel(name, "1.0"))
    fault = upstream.faults.add(Fault(Status(404), "/packages/", project="broken"))

    done = frumious("-c", conf, "mirror")

    assert done.returncode == 1
    assert "broken: failed: " in done.stderr
    assert "good: 1 file, " in done.stderr
    assert (tmp_path / "mirror/status").read_text() == str(index.serial)
    upstream.faults.remove(fault)
    time.sleep(1.2)  # its pause
    assert frumious("-c", conf, "mirror").returncode == 0
    assert len(page(tmp_path, "broken")["files"]) == 1


@pytest.fixture
def minding_signals() -> Iterator[None]:
    """Restore SIGINT's handler: background jobs of shells, and their children, ignore it."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("minding_signals")
@pytest.mark.parametrize("sign", [signal.SIGINT, signal.SIGTERM])
def test_a_stopped_run_ends_cleanly_and_is_resumed(
    index: Index, upstream: Server, conf: str, tmp_path: Path, sign: signal.Signals
) -> None:
    for number in range(12):
        index.upload(wheel(f"project-{number}", "1.0"))
    slow = upstream.faults.add(Fault(Slow(delay=30), "/simple/project-7/"))
    command = [sys.executable, "-m", "frumious.cli", "-c", conf, "mirror"]
    with subprocess.Popen(command, env=ENVIRONMENT, stderr=subprocess.PIPE, text=True) as running:
        try:
            assert running.stderr is not None
            assert any(line.startswith("project-0: ") for line in running.stderr), "its job ends"
            while len(files(tmp_path)) < 20:
                time.sleep(0.05)
            running.send_signal(sign)
            _, output = running.communicate(timeout=20)
        finally:
            running.kill()
    assert running.returncode == 128 + sign
    assert "stopped; run again to continue" in output
    assert "Traceback" not in output

    upstream.faults.remove(slow)
    upstream.clear()
    assert frumious("-c", conf, "mirror").returncode == 0

    assert len(files(tmp_path)) == 24
    assert not upstream.requests_for("/simple/project-0/"), "that one was done"


@pytest.mark.usefixtures("minding_signals")
def test_a_stopped_run_is_resumed_even_if_nothing_can_be_planned(
    index: Index, upstream: Server, conf: str, tmp_path: Path
) -> None:
    for number in range(3):
        index.upload(wheel(f"project-{number}", "1.0"))
    slow = upstream.faults.add(Fault(Slow(delay=30), "/simple/project-1/"))
    command = [sys.executable, "-m", "frumious.cli", "-c", conf, "mirror"]
    with subprocess.Popen(command, env=ENVIRONMENT, stderr=subprocess.PIPE, text=True) as running:
        try:
            while len(files(tmp_path)) < 4:
                time.sleep(0.05)
            running.terminate()
            running.communicate(timeout=20)
        finally:
            running.kill()
    upstream.faults.remove(slow)
    upstream.faults.add(Fault(Status(400), "/pypi"))

    done = frumious("-c", conf, "mirror")

    assert done.returncode == 1
    assert "returned the status 400" in done.stderr
    assert len(files(tmp_path)) == 6


@pytest.mark.parametrize(
    "key",
    ["status", "web/status.json", "web/simple/index.v1_json", "web/simple/one/index.v1_json"],
)
def test_what_is_damaged_in_a_folder_is_made_again(
    index: Index, conf: str, tmp_path: Path, key: str
) -> None:
    for name in ("one", "two"):
        index.upload(wheel(name, "1.0"))
    assert frumious("-c", conf, "mirror").returncode == 0
    (tmp_path / "mirror" / key).write_bytes(b"{")
    index.upload(wheel("one", "2.0"))

    done = frumious("-c", conf, "mirror")

    assert done.returncode == 0, done.stderr
    assert len(files(tmp_path)) == 6
    assert page(tmp_path, "one")["versions"] == ["1.0", "2.0"]
    assert (tmp_path / "mirror/status").read_text() == str(index.serial)
    root = json.loads((tmp_path / "mirror/web/simple/index.v1_json").read_text())
    assert [project["name"] for project in root["projects"]] == ["one", "two"]


def test_two_commands_on_one_mirror_exclude_each_other(conf: str, tmp_path: Path) -> None:
    with lock(Folder.at(tmp_path / "mirror", manage_permissions=True)):
        done = frumious("-c", conf, "mirror")

    assert done.returncode == 1
    assert "mirror" in done.stderr
    assert str(os.getpid()) in done.stderr


def test_the_first_error_stops_the_run_if_configured(
    index: Index, upstream: Server, conf: str, tmp_path: Path
) -> None:
    with open(conf, "a", encoding="utf-8") as file:  # noqa: PTH123
        file.write("stop-on-error = true\n")
    for number in range(30):
        index.upload(wheel(f"project-{number:02}", "1.0"))
    upstream.faults.add(Fault(Status(404), "/packages/", project="project-00"))
    upstream.faults.add(Fault(Slow(delay=0.5), re.compile("^/simple/project-(?!00)")))

    done = frumious("-c", conf, "mirror")

    assert done.returncode == 1
    assert len(upstream.requests_for("/simple/project-")) <= 10, "those were under way already"


def test_a_run_without_changes_reports_none(index: Index, conf: str, tmp_path: Path) -> None:
    with (tmp_path / "mirror.conf").open("a") as file:
        file.write(f"diff-file = {tmp_path}/mirror/changes\n")
    index.upload(wheel("one", "1.0"))
    changes = tmp_path / "mirror/changes"

    assert frumious("-c", conf, "mirror").returncode == 0
    assert "one-1.0" in changes.read_text()
    assert frumious("-c", conf, "mirror").returncode == 0
    assert changes.read_text() == ""

    page = tmp_path / "mirror/web/simple/one/index.html"
    page.write_text("lost")
    checked = frumious("-c", conf, "mirror", "--force-check")
    assert checked.returncode == 0, checked.stderr
    assert "one-1.0" in page.read_text(), "pages are written again"
    assert changes.read_text() == ""
    runs = json.loads((tmp_path / "mirror/web/status.json").read_text())["runs"]
    assert [run["files_added"] for run in runs] == [1, 0]
