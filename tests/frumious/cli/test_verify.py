"""`frumious verify` as users run it."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path

import pytest

from tests.frumious.cli.test_cli import frumious
from tests.upstream import Index, Server, wheel

OLD = time.time() - 3 * 24 * 3600


@pytest.fixture
def conf(index: Index, upstream: Server, tmp_path: Path) -> str:
    """A mirror of one project in a folder."""
    path = tmp_path / "mirror.conf"
    path.write_text(
        f"[mirror]\ndirectory = {tmp_path}/mirror\nmaster = {upstream.url}\n"
        "allow-non-https = true\n"
    )
    index.upload(wheel("demo", "1.0"))
    done = frumious("-c", str(path), "mirror")
    assert done.returncode == 0, done.stderr
    return str(path)


@pytest.fixture
def file(conf: str) -> Path:
    return next((Path(conf).parent / "mirror/web/packages").rglob("*.whl"))


def test_a_whole_mirror_is_reported_so(conf: str) -> None:
    done = frumious("-c", conf, "verify")

    assert (done.returncode, done.stderr) == (0, "")
    assert "1 project, " in done.stdout
    assert "no damage" in done.stdout


def test_damage_is_named_and_repaired(conf: str, file: Path) -> None:
    body = file.read_bytes()
    file.write_bytes(body[::-1])

    listed = frumious("-c", conf, "verify")
    found = frumious("-c", conf, "verify", "--deep")
    tried = frumious("-c", conf, "verify", "--deep", "--repair", "--dry-run")
    repaired = frumious("-c", conf, "verify", "--deep", "--repair", "--json")

    assert listed.returncode == 0, "a listing does not show it"
    for done in (found, tried):
        assert done.returncode == 1
        assert "wrong-hash (1): --repair repairs it" in done.stdout
        assert f"web/packages/{'/'.join(file.parts[-4:])}" in done.stdout
    payload = json.loads(repaired.stdout)
    assert (repaired.returncode, payload["left"], payload["found"]) == (0, {}, {"wrong-hash": 1})
    assert payload["findings"][0]["outcome"] == "repaired"
    assert file.read_bytes() == body
    assert frumious("-c", conf, "verify", "--deep").returncode == 0


def test_what_cannot_be_repaired_is_named(conf: str, file: Path, index: Index) -> None:
    file.unlink()
    index.remove_file("demo", file.name)

    done = frumious("-c", conf, "verify", "--repair")

    assert done.returncode == 1
    assert "upstream no longer has it, and no page names it any more" in done.stdout
    assert frumious("-c", conf, "verify").returncode == 0


def test_orphans_are_deleted_on_request_by_either_name(conf: str, file: Path) -> None:
    orphan = file.with_name("demo-2.0-py3-none-any.whl")
    for option in ("--delete-orphans", "--delete"):
        orphan.write_bytes(b"")
        os.utime(orphan, (OLD, OLD))

        found = frumious("-c", conf, "verify", option, "--dry-run")
        deleted = frumious("-c", conf, "verify", option)

        assert found.returncode == deleted.returncode == 0
        assert "orphan (1): --delete-orphans deletes it" in found.stdout
        assert "1 deleted" in deleted.stdout
        assert not orphan.exists()
        assert file.exists()


def test_bandersnatchs_options_are_understood(conf: str) -> None:
    done = frumious(
        "-c", conf, "verify", "--delete", "--dry-run", "--json-update", "--workers", "3"
    )

    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    "options", [("--sample", "200%"), ("--sample", "0"), ("--max-rate", "fast"), ("--workers", "0")]
)
def test_impossible_options_are_refused(conf: str, options: tuple[str, str]) -> None:
    assert frumious("-c", conf, "verify", *options).returncode == 2


def test_a_sample_is_read_no_faster_than_it_may(conf: str, file: Path) -> None:
    began = time.monotonic()

    done = frumious("-c", conf, "verify", "--sample", "100%", "--deep", "--max-rate", "2K")

    assert done.returncode == 0, done.stderr
    assert " read" in done.stdout
    assert time.monotonic() - began > file.stat().st_size / 2000


def test_an_audit_that_was_killed_is_continued(conf: str, file: Path) -> None:
    folder = Path(conf).parent / "mirror"
    assert frumious("-c", conf, "verify").returncode == 0
    state = json.loads((folder / "state/audit.json").read_text())
    state |= {"phase": "files", "shard": 0, "batches": 0, "projects": 123}
    (folder / "state/audit.json").write_text(json.dumps(state))

    done = frumious("-c", conf, "verify")

    assert "Continuing the audit that has checked 123 projects" in done.stderr
    assert "123 projects, " in done.stdout
    assert "Continuing" not in frumious("-c", conf, "verify", "--restart").stderr
    assert file.exists()


def test_a_project_that_the_root_index_lacks_is_named(conf: str) -> None:
    root = Path(conf).parent / "mirror/web/simple/index.v1_json"
    page = json.loads(root.read_text())
    root.write_text(json.dumps({**page, "projects": []}))

    found = frumious("-c", conf, "verify")

    assert "  web/simple/index.v1_json (it lacks 'demo')" in found.stdout.splitlines()


def test_orphans_that_stay_are_explained(conf: str, file: Path) -> None:
    orphan = file.parents[1] / ("0" * 60) / file.name
    orphan.parent.mkdir()
    orphan.write_bytes(b"orphan")
    os.utime(orphan, (OLD, OLD))
    (Path(conf).parent / "mirror/web/simple/index.html").write_text("damaged")

    stay = frumious("-c", conf, "verify", "--repair", "--delete-orphans")
    assert stay.returncode == 0
    assert stay.stderr.startswith("Orphans stay: the root index was damaged.")
    assert orphan.exists()

    assert frumious("-c", conf, "verify", "--delete-orphans").stderr == ""
    assert not orphan.exists()
