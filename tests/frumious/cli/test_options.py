"""Options before and after the verb, and the exit status."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.frumious.cli.test_cli import frumious
from tests.upstream import Fault, Index, Server, Status, wheel

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def conf(tmp_path: Path, index: Index, upstream: Server) -> str:
    """Return the configuration of a mirror in a folder, of a project `one`."""
    path = tmp_path / "other.conf"
    path.write_text(
        f"[mirror]\ndirectory = {tmp_path / 'mirror'}\nmaster = {upstream.url}\n"
        "allow-non-https = true\n"
    )
    index.upload(wheel("one", "1.0"))
    return str(path)


@pytest.mark.parametrize(
    "arguments",
    [("-c", "{}", "-v", "mirror"), ("mirror", "-c", "{}", "-v"), ("-v", "mirror", "--config={}")],
)
def test_options_stand_before_and_after_the_verb(arguments: tuple[str, ...], conf: str) -> None:
    done = frumious(*(argument.format(conf) for argument in arguments))

    assert done.returncode == 0, done.stderr
    assert "DEBUG frumious" in done.stderr


def test_the_last_configuration_counts_and_the_environment_least(
    conf: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert frumious("-c", "missing.conf", "plan", "-c", conf).returncode == 0

    monkeypatch.setenv("FRUMIOUS_CONFIG", "missing.conf")
    assert frumious("-c", conf, "plan").returncode == 0
    assert frumious("plan", "-c", conf).returncode == 0
    assert frumious("plan").returncode == 2


def test_verbose_and_quiet_exclude_each_other(conf: str) -> None:
    done = frumious("-v", "plan", "-q", "-c", conf)

    assert done.returncode == 2
    assert "--verbose and --quiet exclude each other" in done.stderr


def test_sync_answers_for_the_named_projects_alone(
    conf: str, index: Index, upstream: Server
) -> None:
    index.upload(wheel("two", "1.0"))
    upstream.faults.add(Fault(Status(404), "/packages/", project="two"))
    assert frumious("-c", conf, "mirror").returncode == 1

    done = frumious("-c", conf, "sync", "one")
    failed = frumious("-c", conf, "sync", "two")

    assert (done.returncode, "two" in done.stderr) == (0, False)
    assert (failed.returncode, "two is lagging" in failed.stderr) == (1, True)
