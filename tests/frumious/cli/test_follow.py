"""`frumious follow` mirrors what `frumious serve` serves, by its change feed."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import pytest

from frumious.signing.keys import SigningKey
from tests.frumious.cli.test_cli import ENVIRONMENT, frumious
from tests.upstream import Index, Server, wheel

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def upstream() -> Iterator[Server]:
    with Server(Index()) as server:
        yield server


@pytest.fixture
def source(upstream: Server, tmp_path: Path) -> Iterator[str]:
    """Serve a mirror with a signed feed; yield its address."""
    key = SigningKey.generate()
    (tmp_path / "secret.key").write_text(key.file())
    (tmp_path / "public.key").write_text(key.public.text)
    (tmp_path / "source.conf").write_text(
        f"[mirror]\ndirectory = {tmp_path}/source\nmaster = {upstream.url}\n"
        "allow-non-https = true\n"
        f"[changes]\nname = source.example\nsecret-key = {tmp_path}/secret.key\n"
    )
    upstream.index.upload(wheel("demo", "1.0"))
    mirror(tmp_path)
    command = [sys.executable, "-m", "frumious.cli", "-c", str(tmp_path / "source.conf")]
    with subprocess.Popen(
        [*command, "serve", "--port", "0"],
        env={**os.environ, **ENVIRONMENT},
        stdout=subprocess.PIPE,
        text=True,
    ) as server:
        assert server.stdout is not None
        line = server.stdout.readline()
        yield line.split(" at ")[1].split()[0].rstrip("/")
        server.terminate()


def mirror(folder: Path) -> None:
    done = frumious("-c", str(folder / "source.conf"), "mirror")
    assert done.returncode == 0, done.stderr


def follow(folder: Path, url: str, *more: str) -> subprocess.CompletedProcess[str]:
    (folder / "follower.conf").write_text(
        f"[mirror]\ndirectory = {folder}/follower\nallow-non-https = true\nretry-pause = 1\n"
    )
    key = (folder / "public.key").read_text()
    return frumious("-c", str(folder / "follower.conf"), "follow", url, "--key", key, *more)


def wheels(folder: Path) -> set[str]:
    return {path.name for path in folder.rglob("*.whl")}


def test_it_follows_a_served_folder(upstream: Server, source: str, tmp_path: Path) -> None:
    done = follow(tmp_path, source, "--once")
    assert done.returncode == 0, done.stderr
    upstream.index.upload(wheel("demo", "2.0"))
    mirror(tmp_path)
    done = follow(tmp_path, source, "--once")
    assert done.returncode == 0, done.stderr

    assert wheels(tmp_path / "follower") == wheels(tmp_path / "source")
    cursor = json.loads((tmp_path / "follower/state/cursor.json").read_text())
    assert cursor["feed"]["size"] == 2


def test_an_address_without_a_feed_is_named(upstream: Server, source: str, tmp_path: Path) -> None:
    done = follow(tmp_path, upstream.url, "--once")
    assert done.returncode == 0, done.stderr
    assert f"has no change feed: {upstream.url}/changes/checkpoint is missing" in done.stderr

    status = frumious("-c", str(tmp_path / "follower.conf"), "status").stdout
    assert "the mirror follows another index than 'master' in mirror.conf" in status


def test_a_key_that_is_none_is_named(source: str, tmp_path: Path) -> None:
    (tmp_path / "public.key").write_text("RWQ")
    done = follow(tmp_path, source, "--once")
    assert done.returncode == 2
    assert "feed-key = 'RWQ': must be a public key of minisign (RW...)" in done.stderr


def test_another_key_is_refused(source: str, tmp_path: Path) -> None:
    (tmp_path / "public.key").write_text(SigningKey.generate().public.text)

    done = follow(tmp_path, source, "--once")

    assert done.returncode == 1
    assert "not signed by the configured key, but by 'source.example'" in done.stderr


def test_a_rewritten_history_ends_the_loop_with_status_3(
    upstream: Server, source: str, tmp_path: Path
) -> None:
    follow(tmp_path, source, "--once")
    # The operator begins the same history anew: the same origin, and another first entry.
    for name in ("state/changes.json", "web/changes/checkpoint"):
        (tmp_path / "source" / name).unlink()
    cursor = tmp_path / "follower/state/cursor.json"
    origin = json.loads(cursor.read_text())["feed"]["origin"]
    upstream.index.upload(wheel("demo", "2.0"))
    mirror(tmp_path)
    state = tmp_path / "source/state/changes.json"
    state.write_text(state.read_text().replace(json.loads(state.read_text())["origin"], origin))
    (tmp_path / "source/web/changes/checkpoint").unlink()
    upstream.index.upload(wheel("demo", "3.0"))
    mirror(tmp_path)

    began = time.monotonic()
    done = follow(tmp_path, source, "--every", "1")

    assert done.returncode == 3, done.stderr
    assert "upstream has rewritten its history" in done.stderr
    assert (tmp_path / "follower/state/feed-proof.json").exists()
    assert time.monotonic() - began < 60
