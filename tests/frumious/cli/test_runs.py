"""What a run shows while it is under way, and what it says in the end."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from frumious.signing.keys import SigningKey
from tests.frumious.cli.test_cli import ENVIRONMENT, frumious
from tests.upstream import Edit, Fault, Headers, Slow, Status, Together, sdist, wheel

if TYPE_CHECKING:
    from tests.upstream import Index, Server

PLAIN = SigningKey.generate().file()
# A key is encrypted if its algorithms are Ed25519 and scrypt: "EdSc" in place of two zero bytes.
ENCRYPTED = PLAIN.replace("RWQAAE", "RWRTY0")


def running(*arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "frumious.cli", *arguments],
        env=ENVIRONMENT,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_each_project_is_a_line_as_it_ends(conf: str, index: Index, upstream: Server) -> None:
    for dist in (wheel("two", "1.0"), sdist("two", "1.0"), wheel("one", "1.0"), wheel("bad", "1")):
        index.upload(dist)
    upstream.faults.add(Fault(Status(404), "/packages/", project="bad"))

    done = frumious("mirror", "-c", conf)

    assert done.returncode == 1
    lines = sorted(done.stderr.splitlines())
    assert lines[0].startswith("bad is lagging; next retry: in ")
    assert lines[1].startswith("bad: failed: upstream lists a file that it does not serve: ")
    assert [line.partition(",")[0] for line in lines[2:]] == ["one: 1 file", "two: 2 files"]
    assert "Projects: 2 updated, 1 failed in " in done.stdout
    assert "; stored 3 files, " in done.stdout

    index.remove_project("two")
    removed = frumious("mirror", "-c", conf)
    assert "two: removed (deleted upstream)" in removed.stderr.splitlines()
    assert "bad is lagging: upstream lists a file that it does not serve: " in removed.stderr


def test_a_quiet_run_shows_errors_alone(conf: str, index: Index, upstream: Server) -> None:
    index.upload(wheel("one", "1.0"))
    done = frumious("mirror", "-q", "-c", conf)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")

    index.upload(wheel("one", "2.0"))
    upstream.faults.add(Fault(Status(404), "/packages/"))
    failed = frumious("mirror", "-q", "-c", conf)
    assert (failed.returncode, failed.stdout) == (1, "")
    assert failed.stderr.startswith("one is lagging: upstream lists a file")


def test_a_verbose_run_names_each_file(conf: str, index: Index) -> None:
    index.upload(sdist("one", "1.0"))

    done = frumious("mirror", "-v", "-c", conf)

    [line] = [line for line in done.stderr.splitlines() if "file stored" in line]
    assert "one-1.0.tar.gz" in line
    assert "project=one" in line


def test_a_run_is_one_json_document(conf: str, index: Index, upstream: Server) -> None:
    for name in ("one", "bad"):
        index.upload(wheel(name, "1.0"))
    upstream.faults.add(Fault(Status(404), "/packages/", project="bad"))

    done = json.loads(frumious("mirror", "--json", "-c", conf).stdout)
    synced = json.loads(frumious("sync", "one", "nobody", "--json", "-c", conf).stdout)

    assert done["projects"] == {
        "updated": 1, "unchanged": 0, "removed": 0, "absent": 0, "failed": 1,
    }  # fmt: skip
    assert (done["files"], list(done["lagging"])) == (1, ["bad"])
    assert (synced["absent"], synced["lagging"]) == (["nobody"], {})

    upstream.faults.add(Fault(Status(500)))
    assert "500" in json.loads(frumious("mirror", "--json", "-c", conf).stdout)["error"]


def test_projects_of_a_killed_run_count_once(conf: str, index: Index, upstream: Server) -> None:
    for number in range(4):
        index.upload(wheel(f"project-{number}", "1.0"))
    slow = upstream.faults.add(Fault(Slow(delay=30), "/packages/", project="project-3"))
    with running("mirror", "-c", conf) as process:
        assert process.stderr is not None
        for _ in range(3):
            assert process.stderr.readline().startswith("project-")
        process.send_signal(signal.SIGKILL)
    upstream.faults.remove(slow)

    done = json.loads(frumious("mirror", "--json", "-c", conf).stdout)
    checked = json.loads(frumious("mirror", "--force-check", "--json", "-c", conf).stdout)

    assert sum(done["projects"].values()) <= 4
    assert 1 <= done["files"] < 4
    assert (checked["projects"]["unchanged"], checked["files"]) == (4, 0)


def test_what_keeps_a_run_waiting_is_shown_at_once(
    conf: str, index: Index, upstream: Server
) -> None:
    index.upload(wheel("one", "1.0"))
    upstream.faults.add(Fault(Status(503), "/simple/one/"))
    with running("mirror", "-c", conf) as process:
        assert process.stderr is not None
        line = process.stderr.readline()
        process.kill()

    assert line.startswith("one: upstream did not respond: ")
    assert line.endswith("503 Service Unavailable; trying again in 40 s\n")


def test_what_upstream_makes_a_request_wait_for_is_shown_at_once(
    conf: str, index: Index, upstream: Server
) -> None:
    index.upload(wheel("one", "1.0"))
    busy = Together((Status(503), Headers({"Retry-After": "20"})))
    upstream.faults.add(Fault(busy, "/packages/", times=1))
    with running("mirror", "-c", conf) as process:
        assert process.stderr is not None
        line = process.stderr.readline()
        process.kill()

    assert "503 Service Unavailable" in line
    assert line.endswith("; trying again in 20 s\n")


def test_a_mirror_that_is_empty_after_its_first_run_is_no_success(conf: str, index: Index) -> None:
    for _ in range(2):
        done = frumious("mirror", "-c", conf)
        assert done.returncode == 1
        assert "the mirror is empty: upstream lists no project" in done.stderr
        assert done.stdout == "Nothing to do.\n"

    index.upload(wheel("one", "1.0"))
    assert frumious("mirror", "-c", conf).returncode == 0


def test_what_upstream_lost_is_confirmed_by_the_command_that_the_error_names(
    conf: str, index: Index, upstream: Server
) -> None:
    index.upload(wheel("one", "1.0"))
    index.upload(wheel("two", "1.0"))
    frumious("mirror", "-c", conf)
    without_one = Edit(lambda root: root["projects"].remove(root["projects"][0]))
    upstream.faults.add(Fault(Status(404), "/simple/one/"))
    upstream.faults.add(Fault(without_one, re.compile("^/simple/$")))

    refused = frumious("sync", "one", "-c", conf)
    (named,) = {*re.findall(r"'frumious ([^']*)'", refused.stderr)}

    assert (refused.returncode, named) == (1, "sync one --may-lose")
    assert frumious(*named.split(), "-c", conf).returncode == 0


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (None, "No such file or directory"),
        ("RWQ=\n", "not a minisign secret key"),
        (ENCRYPTED, "its password is needed"),
    ],
)
def test_a_key_that_cannot_sign_stops_a_run_before_its_work(
    conf: str, index: Index, content: str | None, reason: str
) -> None:
    key = Path(conf).with_name("minisign.key")
    with Path(conf).open("a") as file:
        file.write(f"[changes]\nsecret-key = {key}\n")
    if content is not None:
        key.write_text(content)
    index.upload(wheel("one", "1.0"))

    refused = frumious("mirror", "-c", conf)

    assert refused.returncode == 1
    assert f"[changes] secret-key = {str(key)!r}: " in refused.stderr
    assert reason in refused.stderr
    assert "without a password" in refused.stderr
    assert not [*Path(conf).parent.rglob("one*")]
    key.write_text(PLAIN)
    assert frumious("mirror", "-c", conf).returncode == 0
